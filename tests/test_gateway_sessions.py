"""Sessions and their TCP connections: who is let in, who is not, what happens when a connection is lost."""
import pytest
from street import Quiet, Street

from gateway import Engine

LOGON = "35=A|34=1|49={us}|56=VENUE|52=20260921-14:13:21.000|98=0|108=30|"


def framed(text, begin="FIX.4.4"):
    inside = text.replace("|", "\x01")
    whole = f"8={begin}\x019={len(inside)}\x01{inside}".encode()
    return whole + f"10={sum(whole) % 256:03d}\x01".encode()


@pytest.fixture
def street():
    """The venue accepts GATEWAY; nobody has connected yet."""
    with Street(Quiet(), connect=False) as street:
        street.settle()
        yield street


def connection(street, octets=b""):
    """A plain TCP connection to the venue's port that has sent `octets`."""
    conn = street.gateway.stack.connect("10.0.0.2", 9878, now_ns=street.now_ns)
    street.settle()
    if octets:
        assert conn.send(octets, now_ns=street.now_ns) == len(octets)
        street.settle()
    return conn


def test_a_logon_finds_its_session(street):
    street.venue.add_session("VENUE", "OTHER", role="acceptor", port=9878, strategy=street.venue_strategy)
    conn = connection(street, framed(LOGON.format(us="OTHER")))
    assert b"\x0135=A\x01" in conn.recv() and conn.state == "ESTABLISHED"
    assert [s.logged_on for s in street.venue.sessions] == [False, True]


def test_an_octet_at_a_time(street):
    conn = connection(street)
    for octet in framed(LOGON.format(us="GATEWAY")):
        conn.send(bytes([octet]), now_ns=street.now_ns)
        street.settle()
    assert street.there.logged_on


@pytest.mark.parametrize("octets", [
    framed(LOGON.format(us="STRANGER")), framed(LOGON.format(us="GATEWAY"), "FIX.4.2"),
    framed(LOGON.format(us="GATEWAY").replace("35=A", "35=0")), b"GET / HTTP/1.1\r\n\r\n",
    b"8=FIX.4.4\x019=50000\x0135=A\x01" + b"x" * 5000, b"\0" * 100], ids=range(6))
def test_anybody_else_is_closed_without_an_answer(street, octets):
    conn = connection(street, octets)
    street.pass_s(1)
    assert conn.recv() == b"" and conn.state in ("CLOSE-WAIT", "CLOSED")
    assert street.venue.stats()["engine_refused_logon"] == 1
    assert not street.there.connected and street.quiet.told == []


def test_one_sessions_limit_does_not_judge_anothers_logon():
    with Street(Quiet()) as s:
        pair = ("SMALL", "PEER", 256), ("VENUE" + "L" * 50, "GATEWAY" + "L" * 50, 65535)
        for venue, gateway, most in pair:
            s.venue.add_session(venue, gateway, role="acceptor", port=9878, strategy=s.venue_strategy, max_message=most)
            long = {} if most == 256 else dict.fromkeys(("Username", "Password", "SenderSubID"), "L" * 60)
            made = s.gateway.add_session(gateway, venue, role="initiator", host="10.0.0.2", port=9878,
                                         strategy=s.strategy, **long)
            s.settle()
            assert made.logged_on and made.stats()["connects"] == 1
        assert s.venue.stats()["engine_refused_logon"] == 0


@pytest.mark.parametrize("text", ["bye\x0143=Y", "a\0b", "a\nb", "\x7f", "x" * 128])
def test_a_logouts_text_is_one_field(text):
    with Street(Quiet()) as s:
        s.settle()
        s.out()
        with pytest.raises(ValueError, match="must be at most 127 characters, none of them a control character"):
            s.here.logout(text)
        assert s.here.logged_on and s.settle().out() == []
        s.here.logout("x" * 127)
        assert f"|58={'x' * 127}|" in s.settle().out()[0]


@pytest.mark.parametrize("sent, welcome", [
    (dict(Username="desk", Password="secret"), True), (dict(Username="desk"), False), (dict(Password="secret"), False),
    (dict(Username="desk", Password="secrets"), False), (dict(Username="desk", Password="Secret"), False), ({}, False)])
def test_an_acceptor_asks_for_its_password_and_tells_nobody(sent, welcome):
    with Street(Quiet(), connect=False) as s:
        there = s.venue.add_session("V", "G", role="acceptor", port=9878, strategy=s.venue_strategy, Username="desk",
                                    Password="secret")
        here = s.gateway.add_session("G", "V", role="initiator", host="10.0.0.2", port=9878, strategy=s.strategy, **sent)
        s.settle()
        assert here.logged_on == welcome and there.stats()["bad_password"] == (not welcome)
        answer, = (octets for _, _, way, octets in s.venue.messages() if way == "out")
        assert b"secret" not in answer and b"desk" not in answer
        assert welcome or b"\x0158=Logon refused\x01" in answer


def test_a_second_connection_of_a_session_is_closed(street):
    first = connection(street, framed(LOGON.format(us="GATEWAY")))
    second = connection(street, framed(LOGON.format(us="GATEWAY")))
    assert second.recv() == b"" and second.state == "CLOSE-WAIT"
    assert first.state == "ESTABLISHED" and street.there.logged_on
    assert street.venue.stats()["engine_refused_twice"] == 1


def test_who_says_nothing_is_closed_after_ten_seconds(street):
    conn = connection(street)
    street.pass_s(9.5)
    assert conn.state == "ESTABLISHED"
    street.pass_s(1)
    assert conn.state == "CLOSE-WAIT" and street.venue.stats()["engine_logon_timeouts"] == 1


def test_no_more_than_64_wait_for_their_logon():
    with Street(Quiet(), connect=False) as street:
        conns = [street.gateway.stack.connect("10.0.0.2", 9878, now_ns=street.now_ns) for _ in range(70)]
        street.pass_s(5)                                            # SYNs that found ARP's queue full come again
        assert street.venue.stats()["engine_refused_full"] == 6
        assert sum(conn.state == "ESTABLISHED" for conn in conns) == 64


def test_it_tries_again_and_waits_longer_each_time():
    with Street(Quiet(), reconnect_s=1, reconnect_max_s=5) as street:
        street.lose_venue()                                         # nobody at home: no answer, not even to ARP
        street.pass_s(60)
        tries = [round(now / 1e9) for now, _, event, _ in street.gateway.events() if event == "connecting"]
        waits = [b - a for a, b in zip(tries, tries[1:], strict=False)]
        assert len(tries) >= 4 and waits == sorted(waits) and waits[-1] <= 5 + 10


def test_refused_then_connected():
    with Street(Quiet(), connect=False) as street:
        here = street.gateway.add_session("GATEWAY", "LATE", role="initiator", host="10.0.0.2", port=9999,
                                          strategy=street.strategy, reconnect_s=1)
        street.pass_s(2)
        assert here.stats()["connect_failed"] >= 1 and not here.connected
        street.venue.add_session("LATE", "GATEWAY", role="acceptor", port=9999, strategy=street.venue_strategy)
        street.pass_s(5)
        assert here.logged_on


def test_a_lost_connection_is_told_once_and_made_again():
    mine = Quiet()
    with Street(mine, reconnect_s=1, ResetOnLogon=True) as street:
        street.settle()
        street.lose_venue()
        street.settle()
        assert mine.told == ["logon", "logout"] and street.here.state == "disconnected"
        street.pass_s(0.5)
        street.venue = Engine(street.far, "10.0.0.2/24", seed=3, utc_offset_ns=street.gateway.utc_offset_ns)
        there = street.venue.add_session("VENUE", "GATEWAY", role="acceptor", port=9878, strategy=None)
        street.pass_s(1)
        assert mine.told == ["logon", "logout", "logon"]
        assert there.logged_on and there.stats()["connects"] == 1


def test_heartbeats_and_a_peer_that_falls_silent():
    with Street(Quiet(), HeartBtInt=5) as street:
        street.settle()
        street.out()
        street.pass_s(21)
        assert [m.split("|35=")[1][0] for m in street.out()].count("0") == 4
        assert street.here.logged_on
        for _ in range(2000):                                       # the venue no longer takes steps
            street.now_ns += 10**7
            street.gateway.step(street.now_ns)
        assert not street.here.logged_on and street.here.stats()["heartbeat_timeouts"] == 1


@pytest.mark.parametrize("wrong, message", [
    (dict(role="peer"), "role is 'peer'"), (dict(port=0), "port is 0"),
    (dict(BeginString="FIX.9"), "BeginString is 'FIX.9'"),
    (dict(HeartBtInt=-1), "HeartBtInt is -1, must be 0 or more"), (dict(role="initiator"), "needs the host"),
    (dict(reconnect_s=9, reconnect_max_s=3), "reconnect_s is 9.0"), (dict(SenderCompID=""), "SenderCompID is ''"),
    (dict(SenderCompID="A\x01B"), "SenderCompID"), (dict(SenderCompID="x" * 64), "1 to 63 characters"),
    (dict(TargetCompID="GATEWAY"), "has these CompIDs already"), (dict(strategy=object()), "is no strategy of this engine")])
def test_a_session_that_cannot_be(street, wrong, message):
    good = dict(SenderCompID="VENUE", TargetCompID="X", role="acceptor", port=9878, strategy=None)
    with pytest.raises(ValueError, match=message):
        street.venue.add_session(**good | wrong)
    assert len(street.venue.sessions) == 1
    street.venue.add_session(**good)


def test_more_sessions_than_there_is_room_for(street):
    for n in range(7):
        street.venue.add_session("VENUE", f"X{n}", role="acceptor", port=9878, strategy=None)
    with pytest.raises(RuntimeError, match="all 8 sessions"):
        street.venue.add_session("VENUE", "X8", role="acceptor", port=9878, strategy=None)
    with pytest.raises(TypeError, match="unexpected keyword argument 'colour'"):
        street.gateway.add_session("A", "B", role="acceptor", port=1, strategy=None, colour="red")
