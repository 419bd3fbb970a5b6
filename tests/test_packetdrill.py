"""Our own packetdrill scripts at tolerance 0, the proof that a wrong line never passes, and outside suites if given."""
import os
import pathlib

import pytest
from packetdrill import packets, sockets
from packetdrill.altered import alterations
from packetdrill.runner import START_NS, Player, play
from packetdrill.script import ScriptError, Unsupported, read

SCRIPTS = sorted((pathlib.Path(__file__).parent / "packetdrill" / "scripts").glob("*.pkt"))
OUTSIDE = os.environ.get("FIXWIRE_PACKETDRILL_DIR")
each_script = pytest.mark.parametrize("path", SCRIPTS, ids=lambda p: p.stem)

OPEN = """
0      socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0     bind(3, ..., ...) = 0
+0     listen(3, 1) = 0
+.001  < S 0:0(0) win 65535 <mss 1000>
+0     > S. 0:0(0) ack 1 win 65535 <mss 1460>
+.01   < . 1:1(0) ack 1 win 65535
+0     accept(3, ..., ...) = 4
"""


def passes(text, **options):
    result = play(text, **options)
    assert result.verdict == "passed", "\n".join([result.reason, *result.log])
    return result


@each_script
def test_our_script(path):
    passes(path.read_text())


@each_script
def test_our_script_where_both_sequence_numbers_wrap(path):
    script = read(path.read_text())
    player = Player(script)
    player.play()
    isns = [flow.iss for flow in player.flows.values() if flow.iss is not None]
    later = (-3 - isns[0]) % 2**32 * 4000 if isns else 0        # RFC 6528: our ISN moves on by one each 4 us
    passes(script, start_ns=START_NS + later, peer_shift=2**32 - 3)


@each_script
def test_no_altered_line_passes(path):
    script = read(path.read_text())
    done = 0
    for what, altered in alterations(script):
        assert play(altered).verdict == "failed", f"{path.stem}, {what}: not noticed"
        done += 1
    assert done >= 10


def test_every_script_is_different_and_says_what_it_is_about():
    heads = [p.read_text().splitlines()[0] for p in SCRIPTS]
    assert len(set(heads)) == len(heads) and all(h.startswith("// ") and len(h) > 20 for h in heads)


# -- the runner

@pytest.mark.parametrize("lines, reason", [
    ("+0 > . 1:1(0) ack 1", "nothing was sent"),
    ("+0 epoll_create(1) = 5\n+0 epoll_ctl(5, EPOLL_CTL_ADD, 4, {events=EPOLLIN, fd=4}) = 0\n"
     "+0 epoll_wait(5, {events=EPOLLIN, fd=4}, 1, 0) = 1", "epoll_wait gives []"),
    ("+0 send(4, ..., 10, MSG_MORE) = 10\n+0 > P. 1:11(10) ack 1", "nothing was sent"),
    ("+0 write(4, NULL, 10) = 10", "EFAULT"),
    ("+0 < P. 1:11(10) ack 1 win 9\n+0 > . 1:1(0) ack 11\n+0 recv(4, ..., 10, MSG_PEEK) = 10\n"
     "+0 ioctl(4, SIOCINQ, [0]) = 0", "gives 10"),
    ("+0 `sockstat -4 | grep -c ESTABLISHED | grep 2`", "1 connections"),
    ("+0 write(4, ..., 10) = 11", "gives 10"),
    ("+0 write(4, ..., 10) = 10", "not expected"),
    ("+0 write(9, ..., 10) = 10", "descriptor 9 is not open"),
    ("+0 read(4, ..., 10) = 10", "blocks"),
    ("+0...0.5 read(4, ..., 10) = 10", "never returned"),
    ("+0...0.5 read(4, ..., 10) = 10\n+.4 < P. 1:11(10) ack 1 win 9\n+0 > . 1:1(0) ack 11\n+1 close(3) = 0", "returns at"),
    ("+0...0.5 read(4, ..., 10) = 9\n+.5 < P. 1:11(10) ack 1 win 9\n+0 > . 1:1(0) ack 11", "gives 10"),
    ("+0 fcntl(4, F_SETFL, O_NONBLOCK) = 0\n+0 read(4, ..., 9) = -1 EPIPE", "fails with EAGAIN"),
    ("+0 getsockopt(4, SOL_SOCKET, SO_ERROR, [ECONNRESET], [4]) = 0", "SO_ERROR is 0"),
    ("+0 %{ assert tcpi_snd_mss == 1 }%", "assert"),
    ("+0 < P. 1:11(10) ack 1 win 9\n+0 > . 1:1(0) ack 11 <nop>", "options"),
    ("+0 write(4, ..., 2000) = 2000\n+0 > P. 1:1001(1000) ack 1", "flags"),
    ("+0 write(4, ..., 2000) = 2000\n+0 > P. 1:3001(3000) ack 1", "length"),
    ("+0 < P. 1:11(10) ack 1 win 9\n+0 write(4, ..., 100) = 100\n+0 > P. 1:101(100) ack 11", "length 0"),
])
def test_what_is_wrong_fails_and_says_why(lines, reason):
    result = play(OPEN + lines + "\n")
    assert result.verdict == "failed" and reason in result.reason, result


@pytest.mark.parametrize("lines, what", [
    ("+0 < udp (1000)", "UDP"), ("+0 < S 0:0(0) win 9 <FO 1234>", "FO"), ("+0 sctp_bindx(3, ..., 1) = 0", "sctp_bindx"),
    ("+0 setsockopt(4, SOL_TCP, TCP_MD5SIG, [1], 4) = 0", "TCP_MD5SIG"), ("+0 < .5 1:1(0) ack 1 win 9", "AccECN"),
    ("+0 %{ assert tcpi_busy_time == 0 }%", "tcpi_busy_time"), ("+0 < ipv6 fd3d::1 > fd3d::2: . 1:1(0) win 1", "ipv6"),
    ("+0 < icmp router_advertisement id 3", "ICMP"), ("+0 `tc qdisc add`", "command"),
    ("+0 < . 1:1(0) ack 1 win 9 {mut tcp mss}", "fuzzed"), ("+0 > icmp unreachable", "ICMP"),
    ("+0 send(4, ..., 10, MSG_MORE) = 10\n+.2 close(4) = 0", "MSG_MORE"),
    ("+0 send(4, ..., 9, MSG_ZEROCOPY) = 9", "ZEROCOPY"),
    ("+0 send(4, ..., 9, MSG_EOR) = 9", "MSG_EOR"), ("+0 `sysctl -w net.inet.tcp.insecure_rst=1`", "insecure_rst=1"),
    ("+0 `sysctl -q net.ipv4.tcp_nonsense=1`", "tcp_nonsense"), ("+0 `nstat | grep -q TcpExt`", "nstat"),
    ("+0 `set_sysctls.py /proc/sys/net/ipv4/tcp_wmem=\"1 2 3\"`", "net.ipv4.tcp_wmem"),
    ("+0 `sysctl net.ipv4.tcp_ecn=3`", "AccECN"), ("+0 pipe([5, 6]) = 0", "pipe"),
])
def test_what_there_is_no_equivalent_for_is_unsupported_never_passed(lines, what):
    result = play(OPEN + lines + "\n")
    assert result.verdict == "unsupported" and what in result.reason, result


@pytest.mark.parametrize("text", [
    "0 < S 0:1(0) win 1", "0 < S 0:0(0) win 70000", "+-1 < S 0:0(0) win 1", "0 < X 0:0(0) win 1", "0 < S 0:0(0", "0 foo(",
    "* < S 0:0(0) win 1", "0~1 close(3) = 0", "+2~+1 > . 0:0(0)", "0 < . 1:1(0) ack 1 win 1 <...>",
    "1.0000000001 close(3) = 0",
    "0 < . 1:1(0) win 1 <mss>", "0 <[xyz] . 1:1(0) win 1", "0", "0 < S 0:0(0) win 1 <foo 1>", "`x", "0 socket(3) 3",
])
def test_what_is_no_script_is_refused_with_its_line(text):
    with pytest.raises(ScriptError, match="line 2: "):
        read("\n" + text)


def test_every_prefix_and_many_damaged_scripts_are_read_or_refused():
    import random
    rng = random.Random(9)
    whole = "".join(p.read_text() for p in SCRIPTS[::7])
    for _ in range(300):
        at = rng.randrange(len(whole))
        text = whole[rng.randrange(at + 1):at] + rng.choice("<>.:()[]{}%`\"~+*0aS,=|") + whole[at + 1:at + 80]
        try:
            read(text)
        except (ScriptError, Unsupported) as e:
            assert str(e).startswith("line ")


def test_a_wrong_octet_of_ours_is_noticed(monkeypatch):
    text = OPEN + "+0 write(4, ..., 100) = 100\n+0 > P. 1:101(100) ack 1\n+.001 < . 1:1(0) ack 101 win 9\n"
    passes(text)
    player = Player(read(text))

    def send(sock, *_):
        player.sockets.sent[sock.conn.local[1], sock.conn.remote[1]] += bytes(100)
        return sock.conn.send(bytes(99) + b"x"), None

    monkeypatch.setattr(player.sockets, "send", send)
    result = player.play()
    assert result.verdict == "failed" and "not those that were written" in result.reason


def test_a_wrong_octet_of_the_peers_is_noticed(monkeypatch):
    text = OPEN + "+0 < P. 1:101(100) ack 1 win 9\n+0 > . 1:1(0) ack 101\n+0 read(4, ..., 100) = 100\n"
    passes(text)
    monkeypatch.setattr(sockets, "text_at", lambda offset, n: bytes(n))
    assert "not those the peer sent" in play(text).reason


def test_a_bad_checksum_of_ours_is_noticed():
    frame = packets.tcp_frame(packets.tcp_segment(1, 2, 3, 4, 16, 5, 0, b"", b"text"))
    ours = frame[6:12] + frame[:6] + frame[12:26] + frame[30:34] + frame[26:30] + frame[34:]
    assert packets.read_frame(ours, 0).text == b"text"
    for at in range(len(ours)):
        with pytest.raises(packets.Malformed):
            packets.read_frame(ours[:at] + bytes([ours[at] ^ 4]) + ours[at + 1:], 0)


def test_the_command_line(tmp_path, capsys):
    from packetdrill.__main__ import main
    (tmp_path / "good.pkt").write_text(OPEN)
    (tmp_path / "bad.pkt").write_text(OPEN + "+0 > . 1:1(0) ack 1\n")
    (tmp_path / "other.pkt").write_text(OPEN + "+0 < udp (1000)\n")
    assert main([str(tmp_path), "--log"]) == 1
    out = capsys.readouterr().out.splitlines()
    assert out[-1] == "1 passed, 1 failed, 1 unsupported" and sum("> S. " in line for line in out) == 1
    assert [line.split()[0] for line in out if str(tmp_path) in line] == ["failed", "passed", "unsupported"]
    assert main([str(tmp_path / "good.pkt")]) == 0 and main([str(tmp_path / "none")]) == 2


def test_a_borrowed_script_is_judged_by_its_profile():
    text = OPEN.replace("+0     > S. 0:0(0) ack 1 win 65535 <mss 1460>", "+.003  > S. 0:0(0) ack 1 <mss 1460>")
    assert play(text).verdict == "failed" and play(text, "linux").verdict == "passed"
    other = text.replace("<mss 1000>", "<mss 1000,sackOK,nop,nop,nop,wscale 7>").replace(
        "ack 1 <mss 1460>", "ack 1 <mss 1460,nop,nop,sackOK,nop,wscale 8>")
    assert play(other, "linux").verdict == "passed" and play(other, "freebsd").verdict == "passed"
    assert play(other.replace("nop,nop,sackOK,nop,wscale 8", "nop,wscale 8"), "linux").verdict == "failed"


def breaks_the_runner(path):
    """What the runner itself stumbled over in an outside script, under either profile."""
    for profile in ("linux", "freebsd"):
        result = play(path.read_text(errors="replace"), profile)
        if "the runner:" in result.reason:
            yield f"{path}: {result.reason}"


def test_scripts_of_a_directory_never_break_the_runner(tmp_path):
    """Damaged scripts of our own; with FIXWIRE_PACKETDRILL_DIR also every one there."""
    ours = sorted((pathlib.Path(__file__).parent / "packetdrill" / "scripts").glob("*.pkt"))
    for k, script in enumerate(ours[:20]):
        text = script.read_text()
        (tmp_path / script.name).write_text(text[:len(text) * (k + 1) // 21].replace("<", ">" if k % 3 == 0 else "<"))
    paths = [*sorted(tmp_path.glob("*.pkt")), *(sorted(pathlib.Path(OUTSIDE).rglob("*.pkt")) if OUTSIDE else [])]
    broken = [found for path in paths for found in breaks_the_runner(path)]
    assert len(paths) >= 20 and not broken, "\n".join(broken)


def test_an_inbound_line_larger_than_a_frame_comes_in_one_burst():
    text = OPEN + ("+0 < P. 1:4001(4000) ack 1 win 9\n+0 > . 1:1(0) ack 4001\n"
                   "+0 read(4, ..., 5000) = 4000\n+0 > . 1:1(0) ack 4001\n")
    result = passes(text)
    assert sum("< ." in line or "< P." in line for line in result.log) == 1 + 3


BORROWED = OPEN.replace("win 65535 <mss 1460>", "<mss 1460>")


def borrowed(text, profile="linux", **options):
    result = play(text, profile, **options)
    assert result.verdict == "passed", "\n".join([result.reason, *result.log])


def test_epoll_level_edge_and_once():
    watch = "+0 epoll_create1(0) = 5\n+0 epoll_ctl(5, EPOLL_CTL_ADD, 4, {events=%s, fd=4}) = 0\n"
    nothing, came = "+0 epoll_wait(5, {events=0, ptr=0}, 1, 0) = 0\n", "+0 epoll_wait(5, {events=%s, fd=4}, 1, 0) = 1\n"
    text = "+0 < P. %d:%d(10) ack 1 win 9\n+0 > . 1:1(0) ack %d\n"
    passes(OPEN + watch % "EPOLLIN" + nothing + text % (1, 11, 11) + 2 * (came % "EPOLLIN") + "+0 read(4, ..., 9) = 9\n"
           + came % "EPOLLIN" + "+0 read(4, ..., 9) = 1\n" + nothing)
    passes(OPEN + watch % "EPOLLIN|EPOLLOUT|EPOLLET" + came % "EPOLLOUT" + nothing + text % (1, 11, 11)
           + came % "EPOLLIN|EPOLLOUT" + nothing + text % (11, 21, 21) + came % "EPOLLOUT|EPOLLIN" + nothing)
    passes(OPEN + watch % "EPOLLOUT|EPOLLONESHOT" + came % "EPOLLOUT" + nothing
           + "+0 epoll_ctl(5, EPOLL_CTL_MOD, 4, {events=EPOLLOUT, fd=4}) = 0\n" + 2 * (came % "EPOLLOUT")
           + "+0 epoll_ctl(5, EPOLL_CTL_DEL, 4, {events=0, fd=4}) = 0\n" + nothing
           + "+0 epoll_ctl(5, EPOLL_CTL_DEL, 4, {events=0, fd=4}) = -1 ENOENT\n")


def test_a_cork_holds_what_fills_no_segment():
    passes(OPEN + """
+0     setsockopt(4, SOL_TCP, TCP_CORK, [1], 4) = 0
+0     write(4, ..., 700) = 700
+0     write(4, ..., 700) = 700
+0     > P. 1:1001(1000) ack 1
+0     ioctl(4, SIOCOUTQ, [1400]) = 0
+.01   setsockopt(4, SOL_TCP, TCP_CORK, [0], 4) = 0
+0     > P. 1001:1401(400) ack 1
+0     send(4, ..., 10, MSG_MORE) = 10
+0     sendmsg(4, {msg_name(...)=..., msg_iov(2)=[{..., 0}, {..., 10}], msg_flags=0}, 0) = 10
+0     > P. 1401:1421(20) ack 1
+0     send(4, ..., 10, MSG_MORE) = 10
+0     close(4) = 0
+0     > P. 1421:1431(10) ack 1
+0     > F. 1431:1431(0) ack 1
""")


def test_peeking_waiting_for_all_and_bad_pointers():
    passes(OPEN + """
+0     recv(4, ..., 10, MSG_DONTWAIT) = -1 EAGAIN
+0...0.1 recv(4, ..., 15, MSG_WAITALL) = 15
+.05   < P. 1:11(10) ack 1 win 9
+0     > . 1:1(0) ack 11
+.05   < P. 11:21(10) ack 1 win 9
+0     > . 1:1(0) ack 21
+0     recv(4, ..., 3, MSG_PEEK) = 3
+0     recvmsg(4, {msg_name(...)=..., msg_iov(2)=[{..., 2}, {..., 2}], msg_flags=0}, MSG_PEEK) = 4
+0     read(4, NULL, 10) = -1 EFAULT (Bad address)
+0     ioctl(4, SIOCINQ, [5]) = 0
+0     recv(4, ..., 9, MSG_TRUNC) = 5
+0     write(4, NULL, 9) = -1 EFAULT (Bad address)
""")


def test_what_getsockopt_gives_back():
    passes(OPEN + "".join(f"+0 getsockopt({fd}, {level}, {name}, [{value}], [4]) = 0\n" for fd, level, name, value in (
        (4, "SOL_TCP", "TCP_MAXSEG", 1000), (4, "SOL_TCP", "TCP_KEEPIDLE", 7200), (4, "SOL_TCP", "TCP_KEEPINTVL", 75),
        (4, "SOL_SOCKET", "SO_KEEPALIVE", 0), (4, "SOL_IP", "IP_TTL", 64), (4, "SOL_TCP", "TCP_CORK", 0),
        (4, "SOL_TCP", "TCP_USER_TIMEOUT", 0), (4, "SOL_SOCKET", "SO_ERROR", 0))))
    text = "0 `sysctl -w net.inet.tcp.keepidle=15000`\n0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n" \
           "+0 getsockopt(3, IPPROTO_TCP, TCP_KEEPIDLE, [15], [4]) = 0\n+0 `sysctl net.inet.tcp.keepidle=9000`\n" \
           "+0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 4\n+0 getsockopt(4, IPPROTO_TCP, TCP_KEEPIDLE, [9], [4]) = 0\n"
    borrowed(text, "freebsd")


def test_lines_for_one_system_or_another():
    text = OPEN + "#ifdef linux\n+0 write(4, ..., 9) = 9\n#else\n+0 write(4, ..., 8) = 8\n#endif\n+0 > P. 1:%d(%d) ack 1\n"
    passes(text % (9, 8))
    passes(text % (10, 9), defined=("linux",))
    assert play(text % (10, 9)).verdict == "failed"


def test_a_shell_command_is_read_not_executed(tmp_path):
    witness = tmp_path / "x"
    borrowed(f"0 `echo hello > {witness}`\n" + BORROWED)
    assert not witness.exists()
    assert play(f"0 `./defaults.sh\n touch {witness} # comment\n tc qdisc add dev tun0 root fq`\n" + BORROWED,
                "linux").reason == "line 1: command 'tc qdisc add dev tun0 root fq'"


def test_windows_of_borrowed_scripts_are_compared_in_octets():
    text = ("0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+0 bind(3, ..., ...) = 0\n+0 listen(3, 1) = 0\n"
            "+0 < S 0:0(0) win 65535 <mss 1000,nop,wscale 7>\n+0 > S. 0:0(0) ack 1 win 65535 <mss 1460,nop,wscale 6>\n"
            "+0 < . 1:1(0) ack 1 win 9\n+0 accept(3, ..., ...) = 4\n+0 < P. 1:101(100) ack 1 win 9\n"
            "+.04 > . 1:1(0) ack 101 win %d\n")
    borrowed(text % 1030, "freebsd")                # 66,000 octets, whole segments, less 100
    for window in (1032, 1027, 65535):
        assert "window in octets" in play(text % window, "freebsd").reason


def test_an_inbound_line_may_be_what_gro_would_have_made():
    borrowed(BORROWED.replace("<mss 1000>", "<mss 1000,sackOK>").replace("<mss 1460>", "<mss 1460,nop,nop,sackOK>")
             + "+0 < . 20001:60001(40000) ack 1 win 9\n+0 > . 1:1(0) ack 1 <nop,nop,sack 20001:60001>\n")


def test_sysctls_of_a_borrowed_script_become_options():
    text = ("0 `sysctl -q net.ipv4.tcp_timestamps=0; sysctl net.ipv4.tcp_ecn=1`\n"
            "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+0 fcntl(3, F_SETFL, O_NONBLOCK) = 0\n"
            "+0 connect(3, ..., ...) = -1\n+0 > SEW 0:0(0) <mss 1460,nop,nop,sackOK,nop,wscale 7>\n")
    assert play(text, "linux").verdict == "passed"
    assert play(text.replace("tcp_ecn=1", "tcp_ecn=0"), "linux").verdict == "failed"
