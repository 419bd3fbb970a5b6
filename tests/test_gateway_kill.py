"""kill -9 of the gateway under traffic (tests/crash): no number lost or used twice, what is sent again is what was sent.

Twenty-five kills here, the named points among them; `make soak-kill` has a thousand, and a hundred against QuickFIX.
The judge must find planted faults.
"""
import platform

import netns
import pytest
from crash import driver
from crash.__main__ import play, play_quickfix
from crash.judge import Judge, Wrong, fields_of

pytestmark = [pytest.mark.netns, pytest.mark.skipif(
    platform.machine() != "x86_64", reason="the journal is stepped through with x86-64's trap flag")]


@pytest.fixture(scope="module")
def link():
    with netns.Link() as made:
        yield made


# -- the gateway itself

@pytest.mark.parametrize("role", ["initiator", "acceptor"])
def test_nothing_is_lost_or_doubled_however_the_gateway_dies(link, role):
    report = play(link, role, 10, least=1)
    assert "wrong" not in report, report
    assert report["kills"] == dict.fromkeys(driver.NAMED, 1) | {"anywhere": 3, driver.RUN: 1}
    counts = report["counts"]
    assert counts["resends compared"] and counts["gap fills"] and counts["application messages in"] > 200


def test_quickfix_and_the_gateway_go_on_in_every_version_and_role(link):
    """Three kills break sixteen sessions at once; the wire is cut a moment before the first, so all of them have gaps."""
    pytest.importorskip("quickfix", reason="quickfix is not installed (pip install quickfix-tls)")
    report = play_quickfix(link, 3, least=1)
    assert "wrong" not in report, report["wrong"]
    assert len(report["resends"]) == 16 and all(report["resends"].values()), report
    assert report["counts"]["gap fills"] and report["counts"]["application messages in"] > 200
    assert any(report["asked"].values()), report            # the other way, each session in make soak-kill


def test_a_message_whose_callback_was_interrupted_comes_again(link):
    report = play(link, "initiator", 2, points=["inside on_message"], share=0)      # before it has written anything down
    assert "wrong" not in report, report


@pytest.mark.parametrize("fault, point, finding", [
    ("number first", "mid-record", "is lost: given to"),
    ("record after send", "tx_burst, before the numbers", "number used twice"),
    ("altered resend", "during a resend", "is not the message sent first")])
def test_the_judge_finds_a_planted_fault(link, fault, point, finding):
    report = play(link, "initiator", 3, fault=fault, points=[point])
    assert finding in report.get("wrong", ""), report


# -- the judge by himself: one altered message of a good record each

def framed(body, begin="FIX.4.4"):
    inner = body.replace("|", "\x01").encode()
    raw = f"8={begin}\x019={len(inner)}\x01".encode() + inner
    return raw + b"10=%03d\x01" % (sum(raw) % 256)


def message(number, kind="8", more="", ident=None):
    ident = f"17=E{number}|" if ident is None and kind == "8" else ident or ""
    return f"35={kind}|34={number}|49=GATEWAY|52=20260921-14:13:2{number % 10}.000|56=VENUE|{more}{ident}"


def again(number, **more):
    m = message(number, **more)
    return m.replace("|49=", "|43=Y|49=").replace("|56=VENUE|", f"|56=VENUE|122=20260921-14:13:2{number % 10}.000|").replace(
        f"52=20260921-14:13:2{number % 10}", "52=20260921-14:14:00")


GOOD = [(0, message(1, "A")), (0, message(2)), (0, message(3)), (1, message(5, "A")), (1, again(4)), (1, again(3)),
        (1, message(6, "0")), (2, message(8, "A")), (2, "35=4|34=7|43=Y|49=GATEWAY|52=20260921-14:14:00.000|36=8|123=Y|"),
        (2, message(9))]
INTENDED = {"E2": (0, 2), "E3": (0, 3), "E4": (0, 4), "E9": (2, 9), "E8": (1, 8)}       # 8 became a Logon


def judged(record, next_out=10, intended=INTENDED, sent=("E2", "E3", "E9"), numbers=None, got=(), begun=None):
    judge = Judge()
    for life, text in record:
        judge.heard(life, text if isinstance(text, bytes) else framed(text))
    judge.end(next_out, intended, sent, begun or {1: 5, 2: 8})
    judge.received(numbers or {}, got)
    judge.check()
    return judge


def test_a_good_record_is_good():
    counts = judged(GOOD, numbers={"a": 1, "b": 2}, got=[("a", False), ("a", True), ("b", False)]).counts
    assert (counts["resends"], counts["resends compared"], counts["application messages out"]) == (2, 1, 4)


def test_a_number_given_and_not_recorded_is_free():
    """Life 1 died before the record of 7 was whole; the Logon that got the number was heard by nobody, and filled."""
    judged(GOOD, intended=INTENDED | {"E7": (1, 7)}, begun={1: 5, 2: 7})


@pytest.mark.parametrize("record, finding", [
    (GOOD[:3] + [(1, message(3, "A"))] + GOOD[3:], "number used twice"),
    (GOOD + [(2, message(11))], "number after 9"),
    (GOOD[:4] + [(1, again(4, more="58=x|"))] + GOOD[4:], "is not the message sent first"),
    (GOOD[:5] + [(1, again(3).replace("122=20260921-14:13:23", "122=20260921-14:13:24"))] + GOOD[6:], "OrigSendingTime"),
    (GOOD + [(2, again(7))], "was filled in life 2"),
    (GOOD + [(2, again(1, kind="A"))], "administrative message was sent again"),
    (GOOD + [(2, again(10))], "sent again before it was sent"),
    (GOOD[:8] + GOOD[9:], "number 7 is lost"),
    (GOOD + [(2, "35=4|34=2|43=Y|49=GATEWAY|52=20260921-14:14:00.000|36=4|123=Y|")], "fills 2, which was"),
    (GOOD + [(2, "35=4|34=10|49=GATEWAY|52=20260921-14:14:00.000|36=12|")], "no gap fill"),
    (GOOD[:3] + [(1, message(4, "A")), (1, message(5, ident="17=E3|"))] + GOOD[6:], "E3 was sent as"),
    (GOOD[:4] + GOOD[5:], "number 4 is lost"),
    (GOOD[:9] + [(2, framed(message(9)).replace(b"10=", b"10=9"))], "BodyLength|CheckSum|SOH"),
    (GOOD[:9] + [(2, framed(message(9)).replace(b"17=E9", b"17=E8"))], "CheckSum"),
])
def test_the_judge_sees(record, finding):
    with pytest.raises(Wrong, match=finding):
        judged(record)


@pytest.mark.parametrize("numbers, got, finding", [
    ({"a": 1}, [], "never came"), ({"a": 1}, [("a", False), ("a", False)], "without PossDupFlag"),
    ({"a": 1, "b": 2}, [("b", False), ("a", False)], "after 2"), ({}, [("x", False)], "nobody sent")])
def test_the_judge_reads_the_applications_notes(numbers, got, finding):
    with pytest.raises(Wrong, match=finding):
        judged(GOOD, numbers=numbers, got=got)


@pytest.mark.parametrize("more, finding", [
    ({"sent": ("E2", "E7")}, "E7 was sent and never came"), ({"next_out": 12}, "the gateway is at 12"),
    ({"intended": INTENDED | {"E7": (1, 7)}}, "number 7 is lost: given to E7"),
    ({"intended": {}}, "came and was never sent")])
def test_the_judge_compares_with_what_the_application_wanted(more, finding):
    with pytest.raises(Wrong, match=finding):
        judged(GOOD, **more)


@pytest.mark.parametrize("raw", [b"8=FIX.4.4\x01", b"9=5\x018=FIX.4.4\x0135=0\x0110=000\x01", b"hello\x01",
                                 framed(message(2)).replace(b"\x019=61", b"\x019=62")])
def test_what_is_no_message(raw):
    with pytest.raises(Wrong):
        fields_of(raw)
