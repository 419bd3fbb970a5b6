"""Gaps, resends and SequenceReset: rows of fix/recovery and of the way out's resends."""
import random

import pytest
from messages import Peer, frame, shown

import fix

ORDER = "11={}|55=EUR/USD|54=1|38=100|40=1|60=20231114-22:13:20|"


@pytest.fixture
def acceptor():
    return Peer("acceptor", logged_on=True)


def says(peer, *texts):
    """The application of the session under test sends."""
    for text in texts:
        peer.session.send(text)
    peer._take([])


def sent(peer, count=None):
    """Messages sent since, as MsgType and MsgSeqNum."""
    out = []
    for raw in peer.waiting:
        f = dict(x.split("=", 1) for x in shown(raw).split("|")[:-1])
        out.append((f["35"], int(f["34"]), f.get("36") and int(f["36"]), f.get("43", "")))
    peer.waiting.clear()
    return out


# --- numbers above the one expected

def test_a_gap_is_asked_for_once(acceptor):
    acceptor.sends("35=0|34=5|")
    gap, = acceptor.happened("GAP")
    assert (gap.begin, gap.end) == (2, 4)
    acceptor.gets("35=2|34=2|7=2|16=0|")
    acceptor.sends("35=0|34=6|", "35=0|34=7|")
    acceptor.silent()


def test_old_versions_write_infinity_as_999999():
    peer = Peer("acceptor", BeginString="FIX.4.1", logged_on=True)
    peer.sends("35=0|34=5|")
    peer.gets("35=2|34=2|7=2|16=999999|")


def test_what_came_early_is_handled_in_its_turn(acceptor):
    acceptor.sends("35=D|34=3|" + ORDER.format("B"))
    acceptor.gets("35=2|34=2|7=2|16=0|")
    acceptor.happened("GAP")
    acceptor.sends("35=D|34=2|43=Y|122=20231114-22:13:00|" + ORDER.format("A"))
    first, second = acceptor.happened("MESSAGE", "MESSAGE")
    assert b"\x0111=A\x01" in first.raw and b"\x0111=B\x01" in second.raw
    assert acceptor.session.next_in == 4
    acceptor.sends("35=D|34=3|43=Y|122=20231114-22:13:00|" + ORDER.format("B"))     # the resend brings it again
    acceptor.happened()


def test_a_gap_fill_goes_over_what_was_queued(acceptor):
    acceptor.sends("35=0|34=4|", "35=D|34=6|" + ORDER.format("F"))
    acceptor.gets("35=2|34=2|7=2|16=0|")
    acceptor.sends("35=4|34=2|43=Y|122=20231114-22:13:00|123=Y|36=6|")
    acceptor.happened("GAP", "MESSAGE")
    assert acceptor.session.next_in == 7 and acceptor.session.stats()["queued"] == 2


def test_what_a_gap_fill_passed_leaves_the_queue():
    peer = Peer("acceptor", logged_on=True, queue_octets=400)
    for seq in range(2, 40, 4):
        peer.sends(f"35=D|34={seq + 1}|" + ORDER.format("A"), f"35=D|34={seq + 2}|" + ORDER.format("B"))
        peer.sends(f"35=4|34={seq}|43=Y|122=20231114-22:13:00|123=Y|36={seq + 4}|")
    assert peer.session.next_in == 42 and peer.session.stats()["queue_full"] == 0


def test_a_full_queue_drops_and_the_resend_brings_it():
    peer = Peer("acceptor", logged_on=True, queue_octets=200)
    for seq in (3, 4, 5):
        peer.sends(f"35=D|34={seq}|" + ORDER.format(seq))
    assert peer.session.stats()["queue_full"] == 2
    for seq in (2, 3, 4, 5):
        peer.sends(f"35=D|34={seq}|43=Y|122=20231114-22:13:00|" + ORDER.format(seq))
    assert [e.name for e in peer.events].count("MESSAGE") == 4 and peer.session.next_in == 6


def test_a_hole_in_the_resend_is_asked_for_again(acceptor):
    acceptor.sends("35=0|34=9|")
    acceptor.gets("35=2|34=2|7=2|16=0|")
    acceptor.sends("35=D|34=2|43=Y|122=20231114-22:13:00|" + ORDER.format(2))
    acceptor.sends("35=D|34=4|43=Y|122=20231114-22:13:00|" + ORDER.format(4))       # 3 was damaged
    acceptor.gets("35=2|34=3|7=3|16=0|")
    acceptor.sends("35=D|34=5|43=Y|122=20231114-22:13:00|" + ORDER.format(5))
    acceptor.silent()


def test_a_stalled_resend_is_asked_for_three_times_more():
    peer = Peer("acceptor", logged_on=True)
    peer.sends("35=0|34=9|")
    peer.gets("35=2|34=2|7=2|16=0|")
    for _ in range(8):
        peer.passes(15)
        peer.sends("35=0|34=9|")
    assert peer.session.stats()["resend_requests_out"] == 4
    assert peer.session.state in ("LOGOUT_SENT", "CLOSING") and peer.session.reason == "resend stalled"


def test_asking_in_parts():
    peer = Peer("acceptor", logged_on=True, resend_request_max=2)
    peer.sends("35=0|34=6|")
    peer.gets("35=2|34=2|7=2|16=3|")
    peer.sends("35=4|34=2|43=Y|122=20231114-22:13:00|123=Y|36=4|")
    peer.passes(0)
    peer.gets("35=2|34=3|7=4|16=5|")
    peer.sends("35=4|34=4|43=Y|122=20231114-22:13:00|123=Y|36=6|")
    peer.passes(0)
    peer.silent()
    assert peer.session.next_in == 7


# --- numbers below

def test_too_low_ends_it(acceptor):
    acceptor.sends("35=0|34=2|", "35=0|34=3|", "35=0|34=2|")
    acceptor.gets("35=5|34=2|58=MsgSeqNum too low, expecting 4 but received 2|")
    acceptor.closed("MsgSeqNum too low")


def test_a_duplicate_is_ignored(acceptor):
    acceptor.sends("35=D|34=2|" + ORDER.format(1), "35=D|34=2|43=Y|122=20231114-22:13:00|" + ORDER.format(1))
    acceptor.happened("MESSAGE")
    acceptor.silent()
    assert acceptor.session.next_in == 3 and acceptor.session.stats()["poss_dup_ignored"] == 1


def test_a_duplicate_without_its_time_is_rejected(acceptor):
    acceptor.sends("35=0|34=2|", "35=D|34=2|43=Y|" + ORDER.format(1))
    acceptor.gets("35=3|34=2|45=2|58=Required tag missing|371=122|372=D|373=1|")
    acceptor.silent()
    assert acceptor.session.next_in == 3


def test_a_duplicate_from_the_future_ends_it(acceptor):
    acceptor.sends("35=0|34=2|", "35=D|34=2|43=Y|122=20231114-22:13:21|" + ORDER.format(1))
    acceptor.gets("35=3|34=2|45=2|58=SendingTime accuracy problem|372=D|373=10|")
    acceptor.gets("35=5|34=3|")
    assert acceptor.session.state == "LOGOUT_SENT"


def test_a_duplicate_not_seen_before_counts(acceptor):
    acceptor.sends("35=D|34=2|43=Y|122=20231114-22:13:00|" + ORDER.format(1))
    acceptor.happened("MESSAGE")


# --- SequenceReset

def test_a_reset_takes_any_number_of_its_own(acceptor):
    acceptor.sends("35=4|34=77|36=50|")
    assert acceptor.session.next_in == 50
    acceptor.sends("35=4|34=1|123=N|36=60|")
    assert acceptor.session.next_in == 60
    acceptor.silent()


def test_a_reset_downwards_is_rejected(acceptor):
    acceptor.sends("35=0|34=2|", "35=4|34=3|36=2|")
    acceptor.gets("35=3|34=2|45=3|58=Value is incorrect (out of range) for this tag|372=4|373=5|")
    assert acceptor.session.next_in == 3


def test_a_gap_fill_in_its_turn(acceptor):
    acceptor.sends("35=4|34=2|123=Y|36=20|")
    assert acceptor.session.next_in == 20
    acceptor.sends("35=4|34=20|123=Y|36=20|")
    acceptor.gets("35=3|34=2|45=20|58=Value is incorrect (out of range) for this tag|372=4|373=5|")


def test_a_gap_fill_too_high_opens_a_gap(acceptor):
    acceptor.sends("35=4|34=10|123=Y|36=20|")
    acceptor.gets("35=2|34=2|7=2|16=0|")
    assert acceptor.session.next_in == 2


def test_a_gap_fill_too_low(acceptor):
    acceptor.sends("35=4|34=1|43=Y|122=20231114-22:13:00|123=Y|36=20|")
    assert acceptor.session.next_in == 2
    acceptor.sends("35=4|34=1|123=Y|36=20|")
    acceptor.gets("35=5|34=2|58=MsgSeqNum too low, expecting 2 but received 1|")


@pytest.mark.parametrize("fields, answer", [
    ("", "58=Required tag missing|371=36|372=4|373=1|"),
    ("36=x|", "58=Incorrect data format for value|371=36|372=4|373=6|"),
])
def test_a_sequence_reset_without_a_number(acceptor, fields, answer):
    acceptor.sends("35=4|34=2|" + fields)
    acceptor.gets("35=3|34=2|45=2|" + answer)


# --- ResendRequest of the peer

def test_messages_are_sent_again_and_admin_is_filled(acceptor):
    acceptor.sends("35=1|34=2|112=A|", "35=1|34=3|112=B|")
    says(acceptor, "35=8|37=1|", "35=8|37=2|")
    acceptor.sends("35=1|34=4|112=C|")
    acceptor.waiting.clear()
    acceptor.passes(5)
    acceptor.sends("35=2|34=5|7=1|16=0|")
    acceptor.gets("35=4|34=1|43=Y|49=US|52=...|56=PEER|122=20231114-22:13:25.000|36=4|123=Y|")
    acceptor.gets("35=8|34=4|43=Y|49=US|52=20231114-22:13:25.000|56=PEER|122=20231114-22:13:20.000|37=1|")
    acceptor.gets("35=8|34=5|43=Y|49=US|52=20231114-22:13:25.000|56=PEER|122=20231114-22:13:20.000|37=2|")
    acceptor.gets("35=4|34=6|43=Y|49=US|52=...|56=PEER|122=...|36=7|123=Y|")
    acceptor.silent()
    assert acceptor.session.next_out == 7


def test_a_resent_header_keeps_its_order():
    peer = Peer("acceptor", TargetSubID="POOL", SenderLocationID="LON")
    peer.sends("35=A|34=1|98=0|108=30|")
    says(peer, "35=8|97=Y|116=X|128=V|37=1|")
    peer.waiting.clear()
    peer.sends("35=2|34=2|7=2|16=2|")
    peer.gets("35=8|34=2|43=Y|49=US|52=...|56=PEER|57=POOL|97=Y|116=X|122=20231114-22:13:20.000|128=V|142=LON|37=1|")


@pytest.mark.parametrize("begin, end, numbers", [
    (2, 3, [2, 3]), (3, 3, [3]), (2, 0, [2, 3, 4]), (4, 999, [4]), (2, 999999, [2, 3, 4]),
])
def test_the_range_asked_for(acceptor, begin, end, numbers):
    says(acceptor, "35=8|37=1|", "35=8|37=2|", "35=8|37=3|")
    acceptor.waiting.clear()
    acceptor.sends(f"35=2|34=2|7={begin}|16={end}|")
    assert sent(acceptor) == [("8", n, None, "Y") for n in numbers]


@pytest.mark.parametrize("fields, answer", [
    ("7=9|16=0|", "58=Value is incorrect (out of range) for this tag|371=7|372=2|373=5|"),
    ("7=0|16=0|", "58=Value is incorrect (out of range) for this tag|371=7|372=2|373=5|"),
    ("7=2|16=1|", "58=Value is incorrect (out of range) for this tag|371=7|372=2|373=5|"),
    ("7=a|16=0|", "58=Incorrect data format for value|371=7|372=2|373=6|"),
    ("7=1|16=b|", "58=Incorrect data format for value|371=16|372=2|373=6|"),
])
def test_a_request_for_what_was_never_sent(acceptor, fields, answer):
    acceptor.sends("35=2|34=2|" + fields)
    acceptor.gets("35=3|34=2|45=2|" + answer)


def test_a_request_with_any_number_is_served(acceptor):
    says(acceptor, "35=8|37=1|")
    acceptor.waiting.clear()
    acceptor.sends("35=0|34=2|", "35=2|34=2|7=2|16=0|")
    assert sent(acceptor) == [("8", 2, None, "Y")]
    acceptor.sends("35=2|34=9|7=2|16=0|")               # served first, then its own gap is asked for
    assert sent(acceptor) == [("8", 2, None, "Y"), ("2", 3, None, "")]


def test_both_sides_may_ask_at_once(acceptor):
    says(acceptor, "35=8|37=1|", "35=8|37=2|")
    acceptor.waiting.clear()
    acceptor.sends("35=0|34=7|", "35=2|34=8|7=2|16=3|")
    assert sent(acceptor) == [("2", 4, None, ""), ("8", 2, None, "Y"), ("8", 3, None, "Y")]
    acceptor.sends("35=4|34=2|43=Y|122=20231114-22:13:00|123=Y|36=9|")
    assert acceptor.session.next_in == 9
    acceptor.silent()


def test_what_the_store_lost_is_filled():
    import fix
    peer = Peer("acceptor", logged_on=True, store=fix.MemoryStore(octets=10000, messages=8192))
    for n in range(20):
        says(peer, f"35=8|37={n}|58={'x' * 900}|")
    peer.waiting.clear()
    peer.sends("35=2|34=2|7=1|16=0|")
    answers = sent(peer)
    assert answers[0][0] == "4" and [a[1] for a in answers[1:]] == list(range(answers[0][2], 22))
    assert 0 < len(answers[1:]) < 20 and peer.session.stats()["not_stored"] == 20 - len(answers[1:])


def test_a_session_that_keeps_nothing_fills_everything():
    import fix
    peer = Peer("acceptor", logged_on=True, store=fix.Store())
    says(peer, "35=8|37=1|", "35=8|37=2|")
    peer.waiting.clear()
    peer.sends("35=2|34=2|7=1|16=0|")
    assert sent(peer) == [("4", 1, 4, "Y")]


def test_a_resend_goes_in_parts_between_live_messages():
    peer = Peer("acceptor", logged_on=True, resend_messages=3)
    for n in range(8):
        says(peer, f"35=8|37={n}|")
    peer.waiting.clear()
    peer.sends("35=2|34=2|7=2|16=0|")
    assert [m[1] for m in sent(peer)] == [2, 3, 4]
    says(peer, "35=8|37=live|")
    peer.passes(0)
    assert [m[1:] for m in sent(peer)] == [(10, None, ""), (5, None, "Y"), (6, None, "Y"), (7, None, "Y"),
                                           (8, None, "Y"), (9, None, "Y")]


def test_a_request_that_a_running_resend_covers_starts_nothing():
    peer = Peer("acceptor", logged_on=True, resend_messages=2)
    for n in range(6):
        says(peer, f"35=8|37={n}|")
    peer.waiting.clear()
    peer.sends("35=2|34=2|7=2|16=0|", "35=2|34=3|7=2|16=0|", "35=2|34=4|7=3|16=0|")
    peer.passes(0)
    assert [m[1] for m in sent(peer)] == [2, 3, 4, 5, 6, 7]
    assert peer.session.stats()["resend_redundant"] == 2


def test_a_resend_waits_for_room_on_the_wire():
    peer = Peer("acceptor", send_buffer=512 + 4096, max_out=512)
    peer.sends("35=A|34=1|98=0|108=30|")
    for n in range(60):
        says(peer, f"35=8|37={n}|58={'x' * 100}|")
    peer.waiting.clear()
    peer.session.receive(peer.message("35=2|34=2|7=2|16=0|"))
    part = peer.session.data_to_send()
    assert 512 < len(part) <= 512 + 4096 - 2048
    peer._take([])
    peer.passes(0)
    assert peer.session.stats()["resent"] == 60 and peer.session.next_out == 62


def test_what_a_logon_shows_missing_is_asked_for():
    peer = Peer("acceptor")
    peer.sends("35=A|34=5|98=0|108=30|")
    peer.gets("35=A|34=1|98=0|108=30|")
    peer.gets("35=2|34=2|7=1|16=0|")
    peer.happened("GAP", "LOGON")
    peer.sends("35=4|34=1|43=Y|122=20231114-22:13:00|123=Y|36=6|")
    assert peer.session.next_in == 6


def test_a_logout_with_any_number_ends_it_and_loses_nothing(acceptor):
    acceptor.sends("35=5|34=9|")
    acceptor.gets("35=5|34=2|")
    acceptor.closed()
    assert acceptor.session.next_in == 2


def test_a_message_in_time_is_not_late_when_its_turn_comes(acceptor):
    acceptor.sends("35=D|34=3|" + ORDER.format("B"))
    acceptor.gets("35=2|34=2|7=2|16=0|")
    acceptor.now_ns += 130 * 10**9
    acceptor.sends("35=D|34=2|43=Y|122=20231114-22:13:00|" + ORDER.format("A"))
    acceptor.happened("GAP", "MESSAGE", "MESSAGE")
    acceptor.silent()
    assert acceptor.session.established and acceptor.session.next_in == 4


def test_the_first_logon_sent_again_is_a_duplicate(acceptor):
    acceptor.sends("35=0|34=2|")
    acceptor.sends("35=A|34=1|43=Y|122=20231114-22:13:00|98=0|108=30|",
                   "35=A|34=1|43=Y|122=20231114-22:13:00|98=0|108=30|141=Y|")
    acceptor.silent()
    assert acceptor.session.established and acceptor.session.next_in == 3
    assert acceptor.session.stats()["poss_dup_ignored"] == 2


def kept(*bodies):
    """A store with these messages, numbered from 1."""
    store = fix.MemoryStore()
    for seq, body in enumerate(bodies, 1):
        text = body.replace("|", f"|34={seq}|49=US|52=20231114-22:13:00.000|56=PEER|", 1)
        store.append(seq, frame("FIX.4.4", text.replace("|", "\x01").encode()))
    store.renumber(next_out=len(bodies) + 1)
    return store


def test_administrative_messages_that_another_kept_are_gap_filled():
    store = kept("35=A|98=0|108=30|", "35=8|37=1|", "35=5|58=bye|", "35=3|45=1|", "35=0|")
    peer = Peer("acceptor", store=store)
    peer.sends("35=A|34=1|98=0|108=30|", "35=2|34=2|7=1|16=5|")
    assert sent(peer) == [("A", 6, None, ""), ("4", 1, 2, "Y"), ("8", 2, None, "Y"), ("4", 3, 4, "Y"),
                          ("3", 4, None, "Y"), ("4", 5, 6, "Y")]


def test_a_kept_message_larger_than_any_sent_is_gap_filled():
    store = kept("35=8|37=1|", f"35=B|148=x|58={'z' * 9000}|", "35=8|37=3|")
    peer = Peer("acceptor", store=store, max_out=1024)
    peer.sends("35=A|34=1|98=0|108=30|", "35=2|34=2|7=1|16=3|")
    assert sent(peer) == [("A", 4, None, ""), ("8", 1, None, "Y"), ("4", 2, 3, "Y"), ("8", 3, None, "Y")]
    assert peer.session.stats()["resend_too_large"] == 1 and peer.session.deadline_ns > peer.now_ns


# --- NextExpectedMsgSeqNum

def test_next_expected_spares_the_resend_requests():
    peer = Peer("acceptor", next_expected=True, logged_on=False)
    peer.sends("35=A|34=1|98=0|108=30|789=1|")
    peer.gets("35=A|34=1|98=0|108=30|789=2|")
    says(peer, "35=8|37=1|", "35=8|37=2|")
    peer.drops()
    peer.connects()
    peer.sends("35=A|34=4|98=0|108=30|789=3|")
    peer.gets("35=A|34=4|98=0|108=30|789=2|")
    assert sent(peer) == [("8", 3, None, "Y")]
    peer.sends("35=4|34=2|43=Y|122=20231114-22:13:00|123=Y|36=5|")
    assert peer.session.next_in == 5
    peer.silent()


def test_the_logon_that_shows_a_gap_is_not_missed_behind_it():
    peer = Peer("initiator", next_expected=True)
    peer.gets("35=A|34=1|98=0|108=30|789=1|")
    peer.sends("35=A|34=5|98=0|108=30|789=2|")
    peer.sends(*(f"35=D|34={n}|43=Y|122=20231114-22:13:00|" + ORDER.format(n) for n in (1, 2, 3, 4)))
    assert peer.session.next_in == 6
    peer.sends("35=D|34=6|" + ORDER.format("live"))
    peer.happened("LOGON", *["MESSAGE"] * 5)
    peer.silent()


def test_an_initiators_next_expected():
    peer = Peer("initiator", next_expected=True)
    peer.gets("35=A|34=1|98=0|108=30|789=1|")
    peer.sends("35=A|34=1|98=0|108=30|789=2|")
    peer.silent()


def test_next_expected_beyond_what_was_sent_ends_it():
    peer = Peer("acceptor", next_expected=True)
    peer.sends("35=A|34=1|98=0|108=30|789=2|")
    peer.gets("35=5|34=1|58=NextExpectedMsgSeqNum(789) is higher than any number sent|")
    peer.closed("numbers disagree")


# --- by hand

def test_numbers_set_by_hand(acceptor):
    acceptor.session.next_in, acceptor.session.next_out = 10, 20
    acceptor.sends("35=1|34=10|112=A|")
    acceptor.gets("35=0|34=20|112=A|")


def test_the_last_number_is_the_last(acceptor):
    acceptor.session.next_out = 2147483647
    says(acceptor, "35=8|37=1|")
    acceptor.gets("35=8|34=2147483647|37=1|")
    with pytest.raises(Exception, match="used up"):
        acceptor.session.send("35=8|37=2|")


# --- beginnings that begin nothing

def false_beginnings(peer):
    """Two hundred pieces that look like messages, and every tenth a TestRequest that is one."""
    r = random.Random(5)
    stream = []
    for n in range(200):
        stream.append(r.choice([b"8=FIX.4.4\x019=120\x0135=D\x01", b"8=FIX.4.4\x019=3000\x0135=D\x01", b"\x0110=000\x01",
                                b"x" * r.randrange(600), b"\x0110=", b"8=FIX.4.4\x019=30\x01"]))
        if n % 10 == 9:
            stream.append(b"y" * 5000 + peer.message(f"35=1|112=T{n}|"))
    return b"".join(stream)


def test_false_beginnings_end_alike_however_the_octets_come():
    outcomes = set()
    for piece in (1 << 20, 997, 60, 1):
        peer = Peer("acceptor", logged_on=True)
        data = false_beginnings(peer)
        for at in range(0, len(data), piece):
            peer.sends_raw(data[at:at + piece])
        stats = peer.session.stats()
        outcomes.add((stats["garbled_octets"], stats["messages_in"], peer.session.next_in, peer.session.state))
    assert len(outcomes) == 1 and stats["messages_in"] > 2 and stats["garbled_octets"] > 90_000, outcomes
