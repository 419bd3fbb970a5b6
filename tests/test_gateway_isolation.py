"""What one hostile peer may cost: bounded messages and octets a step, no memory, and no other session's Heartbeat.

Virtual time, a step a millisecond (tests/hostile.py); the wall clock's share is bench/isolation.py.
"""
import random

import pytest
from hostile import QUIET, Town, memory

import fix
from fix import dictionary

BURST, MSS = 32, 1460           # frames of one step, octets of their text
STEP_OCTETS = BURST * MSS + 65536       # and what one session_input takes of what had waited
FLAT = 200_000                  # octets that the test's own lists and the allocator's habits may make a difference


@pytest.fixture
def town():
    with Town() as town:
        yield town


def rules():
    return fix.Validator(dictionary.standard("FIX.4.4"))


def test_quiet_sessions_alone(town):
    town.pass_ms(3100)
    town.undisturbed(3)


def test_a_late_heartbeat_would_be_seen(town):
    town.pass_ms(900)
    town.street.now_ns += 200_000_000          # as if one step had taken a fifth of a second
    town.pass_ms(300)
    assert {peer for peer, _ in town.late} == set(QUIET) and all(by > 0 for _, by in town.late)


def test_a_peer_that_stops_reading(town):
    """His window closes, the gateway's ring fills, and then no more is taken for him: WOULD_BLOCK, not memory."""
    town.line.reading = False
    verdicts = {}
    before = memory()
    for _ in range(30):
        for _ in range(200):
            verdict = town.evil.send("B", [(148, "x" * 500)])
            verdicts[verdict] = verdicts.get(verdict, 0) + 1
        town.pass_ms(100)
    assert memory() - before < FLAT
    assert verdicts[0] < 1500 and sum(verdicts.values()) - verdicts[0] > 4000
    assert town.evil.stats()["refused"] > 2000
    town.undisturbed(3)


@pytest.mark.parametrize("stored", [0, 3000])
def test_a_request_for_a_million_messages(stored):
    with Town(next_out=1_000_000 - stored) as town:
        for n in range(stored):
            while town.evil.send("B", [(148, f"story {n}")]) != 0:
                town.pass_ms(1)
        town.pass_ms(100)
        town.most_sent = 0
        before = memory()
        town.say("35=2|7=1|16=0|")
        town.pass_ms(100)
        assert town.evil.stats()["gap_fills"] == 0          # a million numbers are not looked at in a step
        for _ in range(4):
            town.pass_ms(300)
            town.say("35=2|7=1|16=0|")
        town.pass_ms(1300)
        stats = town.evil.stats()
        assert stats["resend_requests_in"] == 5 and stats["gap_fills"] >= 1 and stats["resent"] >= stored
        assert town.most_sent <= 2 * 64 + 8         # resend_messages in the poll and when TCP has room again
        assert memory() - before < FLAT
        town.undisturbed(2)


def garbage(seed, n):
    """Octets with the beginnings of messages in them."""
    r = random.Random(seed)
    parts = []
    while n > 0:
        part = r.choice([r.randbytes(r.randrange(1, 400)), b"8=FIX.4.4\x019=", b"8=FIX.4.4\x019=120\x0135=D\x01" + b"x" * 90,
                         b"8=FIX", b"10=000\x01", b"\x01" * 50, b"8=FIX.4.4\x019=99999999999999999999\x01"])
        parts.append(part)
        n -= len(part)
    return b"".join(parts)


def test_a_stream_of_garbage(town):
    before = memory()
    chunk = garbage(1, 1 << 20)
    town.pour(chunk)
    town.pass_ms(1500)
    while town.line.left:
        town.pass_ms(10)
    assert town.most_octets <= STEP_OCTETS and town.evil.stats()["garbled_octets"] > 900_000
    del chunk
    town.pour(b"\x0110=000\x01")
    town.say("35=1|112=still there?|")
    town.pass_ms(1000)
    assert "|112=still there?|" in town.line.heard()
    assert 1 <= town.evil.stats()["garbled"] < 10 and town.events.count("garbled") < 10    # said once a burst
    assert memory() - before < FLAT
    town.undisturbed(2)


@pytest.mark.parametrize("head", [
    b"8=FIX.4.4\x019=4000000000\x0135=D\x01", b"8=FIX.4.4\x019=70000\x0135=D\x01", b"8=FIX.4.4\x019=" + b"1" * 400,
    b"8=FIX.4.4\x019=-5\x0135=0\x01", b"8=FIX.4.4\x019=0\x01", b"8=" + b"F" * 3000],
    ids=["4e9", "70000", "digits", "negative", "nothing", "begin"])
def test_absurd_lengths_and_endless_messages(town, head):
    before = memory()
    town.pour(head)
    town.pass_ms(20)
    for _ in range(300):
        town.pour(b"58=" + b"x" * 1400 + b"\x01")
        town.pass_ms(5)
    town.say("35=1|112=after all|")
    town.pass_ms(1000)
    assert "|112=after all|" in town.line.heard(), town.evil.state
    assert town.evil.stats()["garbled_octets"] > 300_000 and town.most_octets <= STEP_OCTETS
    assert memory() - before < FLAT
    town.undisturbed(2)


def test_a_message_that_never_ends_holds_no_one_up(town):
    """BodyLength is within the limit, the octets come one a millisecond."""
    town.pour(b"8=FIX.4.4\x019=60000\x0135=D\x01")
    for _ in range(2100):
        town.pour(b"x")
        town.pass_ms(1)
    assert town.evil.stats()["messages_in"] == 1
    town.undisturbed(2)
    town.pass_ms(1000)
    assert not town.evil.logged_on          # not one whole message within 2.4 heartbeat intervals


def test_a_flood_of_test_requests(town):
    before = memory()
    town.pour(b"".join(town.line.message("35=1|112=PING|") for _ in range(40_000)))
    while town.line.left:
        town.pass_ms(10)
    town.pass_ms(1500)
    stats = town.evil.stats()
    assert stats["messages_in"] == 40_001 and 100 < town.most_messages <= BURST * 20
    assert stats["heartbeats_out"] + stats["admin_refused"] >= 40_000
    assert memory() - before < FLAT
    town.undisturbed(1)


def test_a_flood_of_logons(town):
    """A second Logon ends the session; whoever comes again and again finds the same few slots."""
    before = memory()
    for n in range(60):
        town.line.left += b"".join(town.line.message("35=A|98=0|108=1|") for _ in range(50))
        town.pass_ms(20)
        if n % 3 == 2:
            town.peers[-1] = town.line = type(town.line)(town, "EVIL")
            town.pass_ms(20)
    town.pass_ms(1500)
    stats = town.gateway.stats()
    assert stats["session_disconnects"] >= 10 and town.most_messages <= BURST * 64
    assert memory() - before < FLAT
    town.undisturbed(3)


@pytest.mark.parametrize("text, reason, tag", [
    ("35=V|262=R|263=1|264=0|267=1000000000|269=0|146=1|55=A|", 16, 267),      # NumInGroup of 10^9
    ("35=0|0=x|", 0, 0),
    ("35=0|2147483648=x|", 0, 2147483648),
    ("35=0|4294967297=x|", 0, 4294967297),
    ("35=0|99999999999999999999=x|", 0, 99999999999999999999),
    ("35=0|-1=x|", 0, -1),
    ("35=1|112=|", 4, 112),
    ("35=D|11=A|55=B|54=1|60=20260921-14:13:21|38=10^9|40=2|44=1|", 6, 38),
    ("35=2|7=99999999999999999999|16=0|", 6, 7),
], ids=["group", "tag 0", "tag 2^31", "tag 2^32+1", "tag 10^20", "tag -1", "empty", "quantity", "number"])
def test_what_the_standard_rejects(text, reason, tag):
    with Town(validator=rules()) as town:
        before = town.evil.stats()
        for _ in range(50):
            town.say(text)
            town.pass_ms(1)
        town.pass_ms(1100)
        after = town.evil.stats()
        assert after["rejects_out"] - before["rejects_out"] == 50, town.line.heard()[-300:]
        assert f"|373={reason}|" in town.line.heard() and f"|371={tag}|" in town.line.heard()
        town.say("35=1|112=and on|")
        town.pass_ms(5)
        assert "|112=and on|" in town.line.heard()
        town.undisturbed(1)


@pytest.mark.parametrize("text", ["35=B|148=\xff\xfe\x80 caf\xe9|33=1|58=\xc3\xa9|", "35=B|148=\x07\x00\x7f|33=1|58=x|"])
def test_octets_that_are_no_ascii_pass_as_they_are(text):
    """The standard bounds no String to ASCII but for the SOH; what is delivered is what came."""
    with Town(validator=rules()) as town:
        before = town.evil.stats()["app_in"]
        for _ in range(20):
            town.say(text)
        town.pass_ms(1100)
        assert town.evil.stats()["app_in"] - before == 20 and town.evil.logged_on
        town.undisturbed(1)
