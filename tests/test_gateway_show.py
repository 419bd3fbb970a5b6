"""`fixwire show` against the independent reassembler and tshark, and against files that are no captures."""
import collections
import json
import pathlib
import random
import shutil
import subprocess
import sys

import pytest
import reassembly_oracle as oracle
from capture_maker import ACK, START, Connection, fix, frame, messages, repeated, retimed, spoilt, write

from gateway import show
from gateway.transcript import Transcript

REAL = pathlib.Path("../shared/captures/fix41-2017.pcap")
KEYS = ("packets", "flows", "messages", "garbled", "retransmissions", "out_of_order", "truncated")


def fixwire(*args):
    return subprocess.run([sys.executable, "-m", "gateway", "show", *map(str, args)], capture_output=True, text=True,
                          timeout=300)


def read(path, lines="octets", **kw):
    """(messages or lines in the order they were given, totals)."""
    t, got, more = Transcript(path, lines=lines, **kw), [], True
    while more:
        more = t.read(packets=50)
        got.append(t.take())
    t.close()
    assert t.error is None
    return (b"".join(got) if lines == "json" else [m for batch in got for m in batch]), t.summary()


def agrees(path):
    """Everything the oracle finds, message by message, and when (of text that waits 256 times are kept, no more)."""
    want = oracle.summarise(path)
    got, totals = read(path)
    assert sorted(m[1:] for m in got) == sorted((m.src, m.dst, m.raw) for m in want.messages)
    if want.packets < 250:
        assert sorted(got) == sorted((m.ts_ns, m.src, m.dst, m.raw) for m in want.messages)
    assert [m[0] for m in got] == sorted(m[0] for m in got), "given in order of time"
    assert (totals["packets"], totals["flows"], totals["garbled"]) == (want.packets, want.flows, want.garbled)
    return totals


needs_real = pytest.mark.skipif(not REAL.exists(), reason="no ../shared/captures here")


@needs_real
def test_the_capture_of_a_real_session_with_a_binary_dialect():
    totals = agrees(REAL)
    assert (totals["messages"], totals["garbled"]) == (34, 33)
    assert totals["MsgTypes"] == {"1": 28, "0": 5, "U": 1}


@needs_real
def test_summary_is_one_object_with_the_named_totals():
    out = fixwire("--summary", REAL)
    totals = json.loads(out.stdout)
    assert out.returncode == 0 and out.stdout.count("\n") == 1
    assert [totals[k] for k in KEYS] == [1261, 12, 34, 33, 0, 0, 0]


@needs_real
def test_json_is_one_object_a_line_and_totals_on_standard_error():
    out = fixwire("--json", REAL)
    lines = [json.loads(line) for line in out.stdout.splitlines()]
    assert len(lines) == 34 and "34 messages, 33 garbled" in out.stderr
    assert list(lines[1]) == ["ts_ns", "src", "dst", "MsgType", "MsgSeqNum", "PossDupFlag", "raw"]
    assert lines[1] == {
        "ts_ns": 1493755109301518000, "src": "8.17.22.31:4000", "dst": "192.168.0.20:47952", "MsgType": "0",
        "MsgSeqNum": 6127, "PossDupFlag": False,
        "raw": "8=FIX.4.1|9=000041|35=0|34=006127|43=N|52=20170502-19:58:29|10=113|"}


@pytest.mark.parametrize("seed", range(60))
def test_spoilt_captures_agree_with_the_oracle(tmp_path, seed):
    agrees(write(tmp_path / "c.pcap", spoilt(1000 + seed), magic="ns"))


@pytest.mark.parametrize("seed", range(40))
def test_captures_with_losses_agree_with_the_oracle(tmp_path, seed):
    """Holes that nobody fills: what lies on both sides is found, nothing is joined across."""
    rng = random.Random(seed)
    packets = [p for p in spoilt(2000 + seed) if rng.random() > 0.03]
    agrees(write(tmp_path / "c.pcap", retimed(packets), magic="ns", order=rng.choice("<>")))


def test_many_connections_at_once(tmp_path):
    rng = random.Random(3)
    packets = []
    for i in range(40):
        c = Connection(client=(f"10.1.0.{i}", 1000 + i), isns=(rng.randrange(2**32), rng.randrange(2**32)), start=i)
        c.say(c.client, b"".join(messages(rng, 5)), [rng.randrange(300) for _ in range(4)])
        packets += c.packets
    packets.sort(key=lambda p: p[0])
    assert agrees(write(tmp_path / "c.pcap", packets, magic="ns"))["messages"] == 200


def test_the_same_ports_again(tmp_path):
    first, second = Connection().open(), Connection(isns=(77_000_000, 99_000_000), start=START + 10**9).open()
    for c in (first, second):
        c.say(c.client, b"".join(messages(random.Random(1), 7)))
        c.close()
    totals = agrees(write(tmp_path / "c.pcap", first.packets + second.packets))
    assert (totals["flows"], totals["messages"]) == (2, 14)


def test_split_at_every_octet_and_several_in_a_segment(tmp_path):
    c = Connection().open()
    text = b"".join(messages(random.Random(2), 3))
    c.say(c.client, text, range(len(text)))
    c.say(c.server, text * 3)
    assert agrees(write(tmp_path / "c.pcap", c.packets))["messages"] == 12


def test_what_counts_as_garbled(tmp_path):
    c = Connection().open()
    good = fix("35=0|34=2|49=A|56=B|")
    for bad in (b"8=FIXC\x01nothing", good.replace(b"34=2", b"34=3"), good[:-8] + b"x" + good[-7:],
                good.replace(b"\x019=", b"\x019=x"), b"8=O\x019=5\x01", b"10=000\x01", b"8=FIX8=FIX"):
        c.say(c.client, bad + good)
    c.say(c.client, good[:20])
    totals = agrees(write(tmp_path / "c.pcap", c.packets))
    assert (totals["messages"], totals["garbled"]) == (7, 7)


def test_messages_we_would_not_trade_on_are_shown_too(tmp_path):
    c = Connection().open()
    for m in (fix("35=0|34=1|", begin="FIX.5.0SP2"), fix("34=7|35=0|"), fix("58=no type|"),
              fix("35=B|34=2|43=Y|95=3|96=a\x01b|"), fix(b"35=B\x0134=3\x0158=" + b"x" * 100_000 + b"\x01")):
        c.say(c.client, m, range(0, len(m), 1400))
    path = write(tmp_path / "c.pcap", c.packets)
    assert agrees(path)["messages"] == 5
    lines = [json.loads(line) for line in read(path, "json")[0].splitlines()]
    assert [(m["MsgType"], m["MsgSeqNum"], m["PossDupFlag"]) for m in lines] == [
        ("0", 1, False), ("0", 7, False), (None, None, False), ("B", 2, True), ("B", 3, False)]


def test_octets_outside_ascii_survive_in_json(tmp_path):
    c = Connection().open()
    text = bytes(range(2, 256)) * 2
    c.say(c.client, fix(b"35=B\x0134=1\x0158=" + text + b"\x01"))
    line = json.loads(read(write(tmp_path / "c.pcap", c.packets), "json")[0])
    assert line["raw"].split("|58=")[1].rsplit("|10=")[0].encode("latin-1") == text


def test_counters_of_a_small_known_capture(tmp_path):
    c = Connection().open()
    c.say(c.client, b"".join(messages(random.Random(5), 4)), (100, 200, 300), acked=False)
    handshake, data = c.packets[:3], c.packets[3:]
    packets = handshake + [data[1], data[0], data[2], data[2], data[3]]
    totals = agrees(write(tmp_path / "c.pcap", retimed(packets)))
    assert (totals["out_of_order"], totals["retransmissions"], totals["messages"]) == (1, 1, 4)


def test_filters_limit_what_is_shown_not_what_is_counted(tmp_path):
    c = Connection().open()
    for side in (c.client, c.server):
        for kind in "D8D0":
            c.say(side, fix(f"35={kind}|34=1|"))
    path = write(tmp_path / "c.pcap", c.packets)
    assert len(read(path, types=["D", "8"])[0]) == 6
    assert len(read(path, host="10.0.0.2", types=["8"])[0]) == 2
    assert len(read(path, host="10.0.0.9", port=9876)[0]) == 8
    assert read(path, host="10.0.0.9", port=9877) == ([], read(path)[1])


def test_bad_checksums_are_shown_unless_they_are_to_be_verified(tmp_path):
    c = Connection().open()
    good, twin = fix("35=0|34=1|"), fix("35=1|34=1|")
    packets = [*c.packets, (START + 10**9, frame(("10.0.0.2", 40_001), ("10.0.0.9", 9876), 1001, 9001, ACK, twin,
                                                 bad_checksum=True)),
               (START + 2 * 10**9, frame(("10.0.0.2", 40_001), ("10.0.0.9", 9876), 1001, 9001, ACK, good))]
    path = write(tmp_path / "c.pcap", packets)
    assert [m[3] for m in read(path)[0]] == [twin]
    got, totals = read(path, checksums=True)
    assert [m[3] for m in got] == [good] and totals["bad_checksum"] == 1


def test_a_truncated_file_keeps_its_whole_packets_and_says_so(tmp_path):
    c = Connection().open()
    for n in range(3):
        c.say(c.client, fix(f"35=0|34={n}|"))
    path = write(tmp_path / "c.pcap", c.packets)
    path.write_bytes(path.read_bytes()[:-70 - 20])
    out = fixwire("--summary", path)
    totals = json.loads(out.stdout)
    assert out.returncode == 0 and totals["truncated"] == 1 and totals["messages"] == 2
    assert "ends within a packet" in fixwire("--json", path).stderr


def test_packets_cut_by_the_capture_are_counted(tmp_path):
    c = Connection().open()
    c.say(c.client, fix("35=0|34=1|"), acked=False)
    c.say(c.client, fix("35=0|34=2|58=" + "x" * 200 + "|"), acked=False)
    c.say(c.client, fix("35=0|34=3|"), acked=False)
    totals = agrees(write(tmp_path / "c.pcap", c.packets, snaplen=120))
    assert [totals[k] for k in ("truncated", "messages", "garbled", "gaps")] == [1, 2, 1, 1]


def test_raw_and_cooked_captures(tmp_path):
    c = Connection().open()
    c.say(c.client, b"".join(messages(random.Random(6), 5)))
    raw = write(tmp_path / "raw.pcap", [(t, p[14:]) for t, p in c.packets], link=101)
    sll = write(tmp_path / "sll.pcap", [(t, b"\0\0\0\1\0\6" + b"\2" * 8 + p[12:]) for t, p in c.packets], link=113)
    assert agrees(raw)["messages"] == agrees(sll)["messages"] == 5


def tshark_counts(path):
    out = subprocess.run(["tshark", "-r", path, "-o", "tcp.reassemble_out_of_order:TRUE", "-Y", "fix.MsgType", "-T",
                          "fields", "-e", "fix.MsgType"], capture_output=True, text=True, check=True, timeout=300).stdout
    return collections.Counter(t for line in out.splitlines() for t in line.split(","))


@pytest.mark.skipif(not shutil.which("tshark"), reason="tshark is not installed")
def test_tshark_counts_the_same_messages(tmp_path):
    """Well-formed sessions: splits, several messages a segment, retransmissions; two of a frame counted apart."""
    rng = random.Random(9)
    c = Connection().open()
    for _ in range(20):
        text = b"".join(messages(rng, rng.randint(1, 6)))
        c.say(rng.choice((c.client, c.server)), text, [rng.randrange(len(text)) for _ in range(rng.randint(0, 3))])
    c.close()
    path = write(tmp_path / "c.pcap", repeated(rng, c.packets, 0.1, 1), magic="ns")
    assert agrees(path)["MsgTypes"] == dict(tshark_counts(path))
    if REAL.exists():
        assert dict(tshark_counts(REAL)) == {"1": 28, "0": 5, "U": 1}


def test_the_human_view_names_what_it_shows(tmp_path):
    c = Connection().open()
    c.say(c.client, fix("35=D|34=12|11=o-1|54=1|9999=?|95=5|96=a\x01=\x1bz|", begin="FIX.4.4"))
    c.say(c.server, fix("35=zz|34=13|", begin="FIX.9"))
    out = fixwire(write(tmp_path / "c.pcap", c.packets))
    assert out.returncode == 0 and "2 messages, 0 garbled" in out.stderr
    lines = out.stdout.splitlines()
    assert lines[0] == "2017-07-14 02:40:00.003000000  10.0.0.2:40001 > 10.0.0.9:9876  NewOrderSingle(D)"
    assert [line.split() for line in lines[1:10]] == [
        ["8", "BeginString", "FIX.4.4"], ["9", "BodyLength", "44"], ["35", "MsgType", "D", "NewOrderSingle"],
        ["34", "MsgSeqNum", "12"], ["11", "ClOrdID", "o-1"], ["54", "Side", "1", "BUY"], ["9999", "?"],
        ["95", "RawDataLength", "5"], ["96", "RawData", "a\\x01=\\x1bz"]]
    assert "MsgType zz  +0.002000 s" in lines[12]


def test_nothing_a_terminal_would_obey_is_printed():
    assert show.printable(b"\x1b[31m\x9b\x07\\") == "\\x1b[31m\\x9b\\x07\\\\"
    assert show.printable("caf\xe9".encode("latin-1")) == "caf\xe9"


class FakeTerminal:
    def __init__(self):
        self.text = ""

    def write(self, text):
        self.text += text

    def flush(self):
        pass


def test_the_bar_is_drawn_once_a_percent_and_taken_away(monkeypatch):
    monkeypatch.setattr(sys, "stderr", FakeTerminal())
    bar = show.Bar(True)
    for part in (0.0, 0.5, 0.501, 1.0, None):
        bar.at(part)
    assert sys.stderr.text == (f"\r[{'':25}]   0 %\r[{'#' * 12:25}]  50 %\r[{'#' * 25}] 100 %\r\033[K")
    show.Bar(False).at(0.5)
    assert sys.stderr.text.count("\r") == 4


@pytest.mark.parametrize("make, sentence", [
    (lambda p: p.write_bytes(b""), "the file is empty"),
    (lambda p: p.write_text("these are no packets at all, but words"), "neither pcap nor pcapng"),
    (lambda p: p.mkdir(), "is a directory"),
    (lambda p: None, "No such file or directory"),
    (lambda p: write(p, [], link=105), "link type 105"),
])
def test_a_bad_file_is_one_sentence_and_exit_2(tmp_path, make, sentence):
    path = tmp_path / "bad.pcap"
    make(path)
    for how in ("--json", "--summary"):
        out = fixwire(how, path)
        assert (out.returncode, out.stdout) == (2, "")
        assert sentence in out.stderr and out.stderr.count("\n") == 1 and "Traceback" not in out.stderr


@pytest.mark.parametrize("args, sentence", [
    (["--type", ""], "--type is '', must be 1 to 32 MsgTypes"),
    (["--type", "D,,8"], "--type is 'D,,8', must be"),
    (["--host", "venue"], "--host is 'venue', must be IP or IP:PORT"),
])
def test_wrong_filters(tmp_path, args, sentence):
    out = fixwire(*args, write(tmp_path / "c.pcap", []))
    assert out.returncode == 2 and sentence in out.stderr and out.stderr.count("\n") == 1


def test_damage_further_on_is_told_after_what_was_read(tmp_path):
    c = Connection().open()
    c.say(c.client, fix("35=0|34=1|"))
    path = write(tmp_path / "c.pcap", c.packets)
    path.write_bytes(path.read_bytes() + b"\xff" * 200)
    out = fixwire("--json", path)
    assert out.returncode == 2 and json.loads(out.stdout)["MsgSeqNum"] == 1
    assert "what comes before it was read" in out.stderr


def test_mutated_captures_end_in_messages_or_a_sentence(tmp_path):
    """Any octets as capture: no crash, no exception but the two that are told to users."""
    rng = random.Random(4711)
    bases = [write(tmp_path / f"{i}.pcap", spoilt(i, 4), magic=rng.choice(("us", "ns")), order=rng.choice("<>"))
             for i in range(8)]
    bases = [b.read_bytes() for b in bases]
    path = tmp_path / "mutated.pcap"
    outcomes = collections.Counter()
    for _ in range(500):
        data = bytearray(rng.choice(bases))
        for _ in range(rng.randint(1, 8)):
            at = rng.randrange(len(data)) if rng.random() < 0.7 else rng.randrange(min(200, len(data)))
            what = rng.random()
            if what < 0.6:
                data[at] = rng.choice((0, 1, 0x7F, 0xFF, rng.randrange(256)))
            elif what < 0.8:
                del data[at:at + rng.randint(1, 60)]
            else:
                data[at:at] = rng.choice((b"8=FIX", b"\xff" * 4, data[:rng.randint(1, 80)], b"\x019=999999\x01"))
            if not data:
                data = bytearray(b"\0")
        path.write_bytes(data)
        try:
            t = Transcript(path, lines=rng.choice(("json", "octets")), checksums=rng.random() < 0.3)
        except (OSError, ValueError):
            outcomes["refused"] += 1
            continue
        more = True
        while more:
            more = t.read()
            t.take()
        outcomes["damaged" if t.error else "read"] += 1
        assert t.summary()["packets"] <= len(data)
    assert min(outcomes.values()) > 10


def test_memory_does_not_grow_with_the_file(tmp_path):
    """Ten times the packets, the same peak."""
    def peak(times):
        c = Connection().open()
        for _ in range(times):
            c.say(c.client, b"".join(messages(random.Random(1), 300)), range(0, 10**6, 1400), acked=False)
        path = write(tmp_path / "c.pcap", c.packets)
        code = ("import resource, sys\nfrom gateway.transcript import Transcript\n"
                "t = Transcript(sys.argv[1], lines='json')\nwhile t.read(): t.take()\n"
                "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)")
        return int(subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True,
                                  timeout=300).stdout)
    small, large = peak(20), peak(200)
    assert large < small + 16 * 1024, (small, large)
