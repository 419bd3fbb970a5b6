"""The state table of fix/session, row by row: logon, heartbeats, tests, logout, faults."""
import pytest
from messages import Peer, utc

from fix import LocalProtocolError

ORDER = "11=A1|55=EUR/USD|54=1|38=100|40=2|44=1.25|60=20231114-22:13:20|"


@pytest.fixture
def acceptor():
    return Peer("acceptor", logged_on=True)


@pytest.fixture
def initiator():
    return Peer("initiator", logged_on=True)


# --- Logon

def test_an_acceptor_answers_a_logon_with_the_peers_interval():
    peer = Peer("acceptor", HeartBtInt=10)
    assert peer.session.state == "AWAIT_LOGON"
    peer.silent()
    peer.sends("35=A|34=1|98=0|108=42|")
    peer.gets("35=A|34=1|98=0|108=42|")
    peer.happened("LOGON")
    assert peer.session.established and peer.session.HeartBtInt == 42


def test_an_initiator_speaks_first():
    peer = Peer("initiator", HeartBtInt=10)
    peer.gets("35=A|34=1|98=0|108=10|")
    assert peer.session.state == "LOGON_SENT"
    peer.sends("35=A|34=1|98=0|108=10|")
    peer.happened("LOGON")
    peer.silent()
    assert (peer.session.next_in, peer.session.next_out) == (2, 2)


@pytest.mark.parametrize("role", ["initiator", "acceptor"])
@pytest.mark.parametrize("version", ["FIX.4.0", "FIX.4.1", "FIX.4.2", "FIX.4.3", "FIX.4.4", "FIXT.1.1"])
def test_every_version_logs_on_with_its_timestamps(version, role):
    peer = Peer(role, BeginString=version, logged_on=True)
    peer.sends("35=1|112=ID|")
    peer.gets("35=0|34=2|112=ID|")


@pytest.mark.parametrize("logon, reason", [
    ("35=0|34=1|", "not a Logon"),
    ("35=D|34=1|" + ORDER, "not a Logon"),
    ("35=5|34=1|", "not a Logon"),
    ("35=A|34=1|49=OTHER|98=0|108=30|", "CompID problem"),
    ("35=A|34=1|56=OTHER|98=0|108=30|", "CompID problem"),
    ("35=A|34=1|49=-|98=0|108=30|", "bad Logon"),
    ("35=A|34=1|52=20010101-00:00:00|98=0|108=30|", "SendingTime accuracy problem"),
    ("8=FIX.4.3|35=A|34=1|98=0|108=30|", "wrong BeginString"),
    ("35=A|34=1|98=0|", "bad Logon"),
    ("35=A|34=1|108=30|", "bad Logon"),
])
def test_a_first_message_that_is_no_good_logon_ends_it_without_a_word(logon, reason):
    peer = Peer("acceptor")
    peer.sends(logon)
    peer.closed(reason)
    assert peer.session.next_in == 1


def test_octets_that_are_no_message_before_a_logon_end_it():
    peer = Peer("acceptor")
    peer.sends_raw(b"GET / HTTP/1.1\r\n\r\n")
    peer.closed("not a Logon")


@pytest.mark.parametrize("field, text", [
    ("98=0|108=-1|", "HeartBtInt(108) must be 0 or more seconds"),
    ("98=0|108=soon|", "HeartBtInt(108) must be 0 or more seconds"),
    ("98=2|108=30|", "EncryptMethod(98) must be 0"),
])
def test_a_logon_that_asks_for_the_impossible_is_told_why(field, text):
    peer = Peer("acceptor")
    peer.sends("35=A|34=1|" + field)
    peer.gets(f"35=5|34=1|58={text}|")
    peer.closed("bad Logon")


def test_a_fixt_logon_needs_its_application_version():
    peer = Peer("acceptor", BeginString="FIXT.1.1")
    peer.sends("35=A|34=1|98=0|108=30|")
    peer.closed("bad Logon")


def test_no_logon_in_time(request):
    for role in ("acceptor", "initiator"):
        peer = Peer(role)
        if role == "initiator":
            peer.gets("35=A|34=1|98=0|108=30|")
        peer.passes(9.9)
        assert not peer.session.close_requested
        peer.passes(0.2)
        peer.closed("logon timeout")


def test_a_logout_refuses_our_logon():
    peer = Peer("initiator")
    peer.gets("35=A|34=1|98=0|108=30|")
    peer.sends("35=5|34=1|58=not today|")
    logout, = peer.happened("LOGOUT")
    assert logout.text == "not today"
    peer.closed()


def test_an_application_message_before_the_answer_to_our_logon_ends_it():
    peer = Peer("initiator")
    peer.gets("35=A|34=1|98=0|108=30|")
    peer.sends("35=D|34=1|" + ORDER)
    peer.closed("unexpected message")


def test_a_second_logon_ends_it(acceptor):
    acceptor.sends("35=A|34=2|98=0|108=30|")
    acceptor.closed("unexpected message")


def test_a_logon_with_reset_begins_at_one(acceptor):
    acceptor.sends("35=0|34=2|", "35=0|34=3|")
    acceptor.sends("35=A|34=1|98=0|108=30|141=Y|")
    acceptor.gets("35=A|34=1|98=0|108=30|141=Y|")
    assert (acceptor.session.next_in, acceptor.session.next_out) == (2, 2)
    acceptor.sends("35=1|34=2|112=X|")
    acceptor.gets("35=0|34=2|112=X|")


def test_a_logon_with_reset_may_have_any_number():
    peer = Peer("acceptor")
    peer.sends("35=A|34=9|98=0|108=30|141=Y|")
    peer.gets("35=A|34=1|98=0|108=30|141=Y|")
    peer.silent()
    assert peer.session.next_in == 2


def test_our_own_reset_waits_for_the_answer(initiator):
    initiator.sends("35=0|34=2|")
    initiator.session.reset()
    initiator.sends("35=0|34=3|")                       # on its way before the peer knew
    initiator.gets("35=A|34=1|98=0|108=30|141=Y|")
    initiator.sends("35=A|34=1|98=0|108=30|141=Y|")
    initiator.silent()
    assert (initiator.session.next_in, initiator.session.next_out) == (2, 2)


def test_our_own_reset_may_be_answered_by_a_logout(initiator):
    initiator._take(initiator.session.reset())
    initiator.gets("35=A|34=1|98=0|108=30|141=Y|")
    initiator.sends("35=5|34=2|58=no reset today|")
    initiator.gets("35=5|34=2|")
    initiator.closed()
    assert initiator.happened("RESET", "LOGOUT")[1].text == "no reset today"


def test_our_own_reset_rejected_ends_it(initiator):
    initiator._take(initiator.session.reset())
    initiator.gets("35=A|34=1|98=0|108=30|141=Y|")
    initiator.sends("35=3|34=2|45=1|", "35=0|34=3|")
    initiator.happened("RESET", "REJECTED")
    initiator.silent()
    initiator.passes(9)
    initiator.silent()
    initiator.passes(1)
    initiator.gets("35=5|34=2|58=The reset asked for by Logon was not answered|")
    assert initiator.session.reason == "logon timeout"


def test_our_own_reset_that_cannot_be_said_ends_it():
    peer = Peer("acceptor", max_out=512, send_buffer=512 + 4096)
    peer.sends("35=A|34=1|98=0|108=30|")
    while not peer.session.stats()["admin_refused"]:    # never read
        peer.session.receive(peer.message(f"35=1|112={'x' * 20}|"))
    peer.session.reset()
    assert peer.session.close_requested and peer.session.reason == "bad Logon"


def test_a_logon_number_too_low_is_told_and_ends_it():
    peer = Peer("acceptor", logged_on=True)
    peer.sends("35=0|34=2|", "35=5|34=3|")
    peer.gets("35=5|34=2|")
    peer.drops()
    peer.connects()
    peer.sends("35=A|34=1|98=0|108=30|")
    peer.gets("35=5|34=3|58=MsgSeqNum too low, expecting 4 but received 1|")
    peer.closed("MsgSeqNum too low")


def test_an_acceptor_that_resets_on_logon_takes_any_beginning():
    peer = Peer("acceptor", logged_on=True, reset_on_logon=True)
    peer.sends("35=0|34=2|", "35=5|34=3|")
    peer.gets("35=5|34=2|")
    peer.drops()
    peer.connects()
    peer.sends("35=A|34=1|98=0|108=30|")
    peer.gets("35=A|34=1|98=0|108=30|")


def test_an_initiator_that_resets_on_logon_says_so():
    peer = Peer("initiator", reset_on_logon=True)
    peer.gets("35=A|34=1|98=0|108=30|141=Y|")
    peer.sends("35=A|34=1|98=0|108=30|141=Y|")
    peer.happened("RESET", "LOGON")
    peer.drops()
    peer.connects()
    peer.gets("35=A|34=1|98=0|108=30|141=Y|")


@pytest.mark.parametrize("fields", ["0=x|", "nonsense|"])
def test_a_malformed_logon_ends_it_without_a_word(fields):
    peer = Peer("acceptor")
    peer.sends_raw(peer.message("35=A|34=1|98=0|108=30|" + fields.replace("nonsense|", "7x=1|")))
    peer.closed("bad Logon")


def test_the_table_of_states_leads_everywhere_and_back():
    from fix.states import STATES, TRANSITIONS
    reached = {"DISCONNECTED"}
    for _ in STATES:
        reached |= {after for before, after in TRANSITIONS if before in reached}
    assert reached == set(STATES)
    assert {before for before, after in TRANSITIONS if after == "DISCONNECTED"} == set(STATES) - {"DISCONNECTED"}


# --- application messages

def test_application_messages_are_handed_over_in_order(acceptor):
    acceptor.sends("35=D|34=2|" + ORDER, "35=F|34=3|11=A2|")
    first, second = acceptor.happened("MESSAGE", "MESSAGE")
    assert b"\x0135=D\x01" in first.raw and b"\x0135=F\x01" in second.raw
    assert acceptor.session.next_in == 4
    acceptor.silent()


def test_the_header_of_what_we_send(initiator):
    assert initiator.session.send("35=D|" + ORDER) == 2
    initiator._take([])
    initiator.gets("35=D|34=2|49=US|52=20231114-22:13:20.000|56=PEER|" + ORDER)


def test_more_header_fields_take_their_places():
    peer = Peer("initiator", SenderSubID="DESK", TargetSubID="POOL", SenderLocationID="LON", logged_on=False)
    peer.gets("35=A|34=1|49=US|50=DESK|52=20231114-22:13:20.000|56=PEER|57=POOL|142=LON|98=0|108=30|")
    peer.sends("35=A|34=1|98=0|108=30|")
    peer.session.send("35=D|128=AWAY|97=Y|11=A1|43=Y|34=9|")
    peer._take([])
    peer.gets("35=D|34=2|49=US|50=DESK|52=20231114-22:13:20.000|56=PEER|57=POOL|97=Y|128=AWAY|142=LON|11=A1|")


def test_nothing_is_sent_before_the_logon():
    peer = Peer("acceptor")
    with pytest.raises(Exception, match="not logged on"):
        peer.session.send("35=D|11=A1|")
    assert peer.session.next_out == 1
    peer.silent()


def test_room_is_kept_back_for_administrative_messages():
    peer = Peer("acceptor", max_out=512, send_buffer=512 + 4096)
    peer.sends("35=A|34=1|98=0|108=30|")
    while True:
        try:
            peer.session.send(f"35=B|58={'x' * 300}|")
        except Exception as error:
            assert "does not read" in str(error)
            break
    numbers = peer.session.next_out
    for seq in range(2, 6):
        peer.session.receive(peer.message(f"35=1|34={seq}|112={'x' * 300}|"))
    peer.session.receive(peer.message("35=5|34=6|"))
    assert peer.session.next_out == numbers + 5         # Heartbeats and Logout found room


def test_a_message_the_wire_refused_uses_no_number():
    peer = Peer("acceptor", max_out=512, send_buffer=512 + 4096)
    peer.sends("35=A|34=1|98=0|108=30|")
    for _ in range(100):                                # never read, a peer's tests use up even what is kept back
        if peer.session.stats()["admin_refused"]:
            break
        peer.session.receive(peer.message(f"35=1|112={'x' * 200}|"))
    numbers = peer.session.next_out
    peer.session.receive(peer.message(f"35=1|112={'x' * 200}|"))
    assert peer.session.next_out == numbers and peer.session.stats()["admin_refused"] == 2
    peer._take([])
    peer.waiting.clear()
    peer.sends("35=1|112=A|")
    peer.gets(f"35=0|34={numbers}|112=A|")


def test_a_callback_may_send_and_raise():
    peer = Peer("acceptor", logged_on=True)

    def echo(session, event):
        if event.name == "MESSAGE":
            session.send("35=8|37=1|")
            raise KeyError("strategy")
    session = peer.session
    heard = Peer("acceptor", on_event=echo)
    heard.sends("35=A|34=1|98=0|108=30|")
    heard.gets("35=A|34=1|98=0|108=30|")
    with pytest.raises(KeyError, match="strategy"):
        heard.sends("35=D|34=2|" + ORDER)
    heard._take([])
    heard.gets("35=8|34=2|37=1|")
    assert heard.session.next_in == 3 and session.next_in == 2


@pytest.mark.parametrize("call, tells", [
    (lambda peer: peer.sends("35=5|34=2|", "35=0|34=3|"), "LOGOUT"),
    (lambda peer: peer.passes(100), "ERROR"),                                   # two heartbeat intervals of silence
    (lambda peer: peer.session.reset(), "RESET"),
    (lambda peer: peer.session.disconnected(), "DISCONNECT"),
], ids=["receive", "poll", "reset", "disconnected"])
@pytest.mark.parametrize("enters", ["connected", "receive", "poll"])
def test_what_must_wait_for_the_end_of_the_call_that_tells(call, tells, enters):
    said = []

    def again(session, event):
        if event.name == tells:
            session.disconnected()
            try:
                session.receive(b"") if enters == "receive" else getattr(session, enters)()
            except LocalProtocolError as error:
                said.append(str(error))
    peer = Peer("acceptor", on_event=again)
    peer.sends("35=A|34=1|98=0|108=30|")
    call(peer)
    assert said == [f"{enters} inside on_event: the call it is told by ends first"]
    assert peer.session.state == "DISCONNECTED" and not peer.session.close_requested
    peer.waiting.clear()
    peer.connects()
    peer.sends(f"35=A|34={peer.session.next_in}|98=0|108=30|")
    assert peer.session.established


def test_an_exception_of_on_event_is_raised_by_the_outermost_call_alone():
    went_on = []

    def leaves(session, event):
        if event.name == "RESET":
            raise KeyError("strategy")
        if event.name == "DISCONNECT":
            session.logout("of no use any more")
            went_on.append(session.state)
    peer = Peer("acceptor", on_event=leaves, reset_on_disconnect=True, logged_on=False)
    peer.sends("35=A|34=1|98=0|108=30|")
    with pytest.raises(KeyError, match="strategy"):
        peer.session.disconnected()
    assert went_on == ["DISCONNECTED"]


# --- heartbeats

def test_a_heartbeat_after_an_interval_of_silence(initiator):
    initiator.passes(29.9)
    initiator.silent()
    initiator.passes(0.2)
    initiator.gets("35=0|34=2|52=20231114-22:13:50.000|")
    initiator.silent()


def test_what_we_send_puts_the_heartbeat_off(initiator):
    initiator.passes(20)
    initiator.session.send("35=D|11=1|")
    initiator._take([])
    initiator.gets("35=D|34=2|11=1|")
    initiator.sends("35=0|34=2|")
    initiator.passes(29.9)
    initiator.silent()
    initiator.passes(0.1)
    initiator.gets("35=0|34=3|")


def test_a_silent_peer_is_tested_then_dropped(initiator):
    initiator.passes(35.9)
    initiator.gets("35=0|34=2|52=...|")
    initiator.silent()
    initiator.passes(0.2)
    initiator.gets("35=1|34=3|52=20231114-22:13:56.000|112=TEST|")
    initiator.passes(35.8)
    initiator.silent()
    initiator.passes(0.2)
    initiator.closed("heartbeat timeout")


def test_any_message_answers_the_test(initiator):
    initiator.passes(36)
    initiator.gets("35=0|34=2|52=...|")
    initiator.gets("35=1|34=3|112=TEST|")
    initiator.sends("35=8|34=2|37=1|")
    initiator.passes(35)
    initiator.gets("35=0|34=4|52=20231114-22:14:26.000|")
    initiator.silent()
    assert initiator.session.established


def test_no_heartbeats_where_the_interval_is_zero():
    peer = Peer("acceptor")
    peer.sends("35=A|34=1|98=0|108=0|")
    peer.gets("35=A|34=1|98=0|108=0|")
    assert peer.session.deadline_ns is None
    peer.passes(100000)
    peer.silent()


# --- Logout

def test_the_peers_logout_is_answered(acceptor):
    acceptor.sends("35=5|34=2|58=good night|")
    acceptor.gets("35=5|34=2|")
    logout, = acceptor.happened("LOGOUT")
    assert logout.text == "good night"
    acceptor.closed("logged out")
    acceptor.drops()
    acceptor.happened("DISCONNECT")
    assert acceptor.session.state == "DISCONNECTED" and acceptor.session.next_in == 3


def test_our_logout_waits_for_the_answer(initiator):
    initiator._take(initiator.session.logout("done"))
    initiator.gets("35=5|34=2|58=done|")
    assert initiator.session.state == "LOGOUT_SENT"
    initiator.sends("35=8|34=2|37=1|")                  # still counts
    initiator.happened("MESSAGE")
    with pytest.raises(Exception, match="not logged on"):
        initiator.session.send("35=D|11=1|")
    initiator.sends("35=5|34=3|")
    initiator.closed("logged out")


def test_our_logout_is_not_answered(initiator):
    initiator._take(initiator.session.logout())
    initiator.gets("35=5|34=2|")
    initiator.passes(1.9)
    assert not initiator.session.close_requested
    initiator.passes(0.2)
    initiator.closed("logout timeout")


def test_reset_on_logout_and_on_disconnect():
    for option in ("reset_on_logout", "reset_on_disconnect"):
        peer = Peer("acceptor", logged_on=True, **{option: True})
        peer.sends("35=0|34=2|", "35=5|34=3|")
        peer.gets("35=5|34=2|")
        peer.drops()
        assert (peer.session.next_in, peer.session.next_out) == (1, 1)


def test_octets_behind_the_end_are_discarded(acceptor):
    acceptor.sends("35=5|34=2|", "35=D|34=3|" + ORDER)
    acceptor.gets("35=5|34=2|")
    acceptor.happened("LOGOUT")
    assert acceptor.session.stats()["discarded"] == 1


# --- what a message must be

def test_garbled_messages_are_ignored_and_asked_for_again(acceptor):
    good = acceptor.message("35=0|34=3|")
    acceptor.sends_raw(acceptor.message("35=0|34=2|").replace(b"10=", b"10=9", 1)[:-2] + b"\x01")
    acceptor.happened("GARBLED")
    acceptor.sends_raw(good)
    acceptor.gets("35=2|34=2|7=2|16=0|")


@pytest.mark.parametrize("message, answer", [
    ("35=0|34=2|49=OTHER|", "35=3|34=2|45=2|58=CompID problem|372=0|373=9|"),
    ("35=D|34=2|56=OTHER|", "35=3|34=2|45=2|58=CompID problem|372=D|373=9|"),
    ("35=0|34=2|49=PEEL|", "35=3|34=2|45=2|58=CompID problem|372=0|373=9|"),
    ("35=0|34=2|56=UP|", "35=3|34=2|45=2|58=CompID problem|372=0|373=9|"),
    ("35=0|34=2|52=20231114-22:11:19|", "35=3|34=2|45=2|58=SendingTime accuracy problem|372=0|373=10|"),
    ("35=0|34=2|52=20231114-22:15:21|", "35=3|34=2|45=2|58=SendingTime accuracy problem|372=0|373=10|"),
])
def test_wrong_compids_and_times_are_rejected_and_end_it(acceptor, message, answer):
    acceptor.sends(message)
    acceptor.gets(answer)
    acceptor.gets("35=5|34=3|")
    assert acceptor.session.state == "LOGOUT_SENT" and acceptor.session.next_in == 3
    acceptor.sends("35=5|34=3|")
    acceptor.closed()


@pytest.mark.parametrize("seconds", [-120, 120])
def test_two_minutes_are_accurate_enough(acceptor, seconds):
    acceptor.sends(f"35=0|34=2|52={utc(acceptor.utc() + seconds, 0)}|")
    acceptor.sends(f"35=0|34=3|52={utc(acceptor.utc() + seconds, 0)}|")
    acceptor.silent()


def test_the_cached_second_does_not_hide_a_late_message():
    acceptor = Peer("acceptor")
    acceptor.sends("35=A|34=1|98=0|108=0|")
    acceptor.gets("35=A|34=1|98=0|108=0|")
    at = utc(acceptor.utc(), 3)
    acceptor.sends(f"35=0|34=2|52={at}|")
    acceptor.passes(121)
    acceptor.sends(f"35=0|34=3|52={at}|")
    acceptor.gets("35=3|34=2|45=3|58=SendingTime accuracy problem|372=0|373=10|")


@pytest.mark.parametrize("message, answer", [
    ("35=0|34=2|56=-|", "45=2|58=Required tag missing|371=56|372=0|373=1|"),
    ("35=0|34=2|49=-|", "45=2|58=Required tag missing|371=49|372=0|373=1|"),
    ("35=0|34=2|52=-|", "45=2|58=Required tag missing|371=52|372=0|373=1|"),
    ("35=0|34=2|56=|", "45=2|58=Tag specified without a value|371=56|372=0|373=4|"),
    ("35=0|34=2|52=yesterday|", "45=2|58=Incorrect data format for value|371=52|372=0|373=6|"),
    ("35=0|34=2|0=HI|", "45=2|58=Invalid tag number|371=0|372=0|373=0|"),
    ("35=0|34=2|-1=HI|", "45=2|58=Invalid tag number|371=-1|372=0|373=0|"),
    ("35=0|34=2|99999999999=HI|", "45=2|58=Invalid tag number|371=99999999999|372=0|373=0|"),
    ("35=1|34=2|", "45=2|58=Required tag missing|371=112|372=1|373=1|"),
    ("35=2|34=2|7=1|", "45=2|58=Required tag missing|371=16|372=2|373=1|"),
])
def test_a_faulty_field_is_rejected_and_the_session_goes_on(acceptor, message, answer):
    acceptor.sends(message)
    acceptor.gets("35=3|34=2|" + answer)
    acceptor.silent()
    acceptor.sends("35=1|34=3|112=X|")
    acceptor.gets("35=0|34=3|112=X|")


def test_a_reject_goes_back_the_way_it_came(acceptor):
    acceptor.sends("35=0|34=2|56=|115=A|116=B|144=C|128=D|129=E|145=F|")
    acceptor.gets("35=3|34=2|49=US|52=20231114-22:13:20.000|56=PEER|115=D|116=E|128=A|129=B|144=F|145=C|"
                  "45=2|58=Tag specified without a value|371=56|372=0|373=4|")


def test_old_versions_say_the_tag_in_the_text():
    peer = Peer("acceptor", BeginString="FIX.4.1", logged_on=True)
    peer.sends("35=0|34=2|56=-|")
    peer.gets("35=3|34=2|45=2|58=Required tag missing (56)|")
    peer.sends("35=D|34=3|11=1|")
    peer.session.business_reject(peer.happened("SENT_REJECT", "MESSAGE")[1].raw, 3)
    peer._take([])
    peer.gets("35=3|34=3|45=3|58=Unsupported message type|")


def test_business_reject(acceptor):
    acceptor.sends("35=8|34=2|")
    acceptor.session.business_reject(acceptor.happened("MESSAGE")[0].raw, 3)
    acceptor._take([])
    acceptor.gets("35=j|34=2|45=2|58=Unsupported Message Type|372=8|380=3|")


def test_business_reject_of_fixt_names_the_version():
    peer = Peer("acceptor", "FIXT.1.1", logged_on=True, DefaultApplVerID="7")
    peer.sends("35=8|34=2|")
    peer.session.business_reject(peer.happened("MESSAGE")[0].raw, 3)
    peer._take([])
    peer.gets("35=j|34=2|45=2|58=Unsupported Message Type|372=8|380=3|1137=7|")


def test_an_empty_test_request_is_answered_in_kind(acceptor):
    acceptor.sends("35=1|34=2|112=|")
    acceptor.gets("35=0|34=2|112=|")


def test_a_message_without_number_ends_it(acceptor):
    acceptor.sends_raw(acceptor.message("35=0|34=-|"))
    acceptor.gets("35=5|34=2|58=Required tag missing: MsgSeqNum(34)|")
    acceptor.closed("MsgSeqNum missing")


def test_another_begin_string_ends_it(acceptor):
    acceptor.sends("8=FIX.4.3|35=1|34=2|112=X|")
    acceptor.gets("35=5|34=2|58=Incorrect BeginString|")
    acceptor.silent()
    acceptor.sends("35=5|34=3|")
    acceptor.closed("wrong BeginString")


def test_a_sending_time_in_any_year_is_a_time(acceptor):
    acceptor.sends("35=1|34=2|52=99991231-23:59:59|112=X|")     # beyond what nanoseconds of 64 bits hold
    acceptor.gets("35=3|34=2|45=2|58=SendingTime accuracy problem|372=1|373=10|")
    assert acceptor.session.state == "LOGOUT_SENT" and acceptor.session.stats()["bad_sending_time"] == 1


def test_rejects_of_ours_are_events(initiator):
    initiator.sends("35=3|34=2|45=2|58=no|", "35=j|34=3|45=2|372=D|380=0|")
    initiator.happened("REJECTED", "REJECTED")
    initiator.silent()
    assert initiator.session.next_in == 4


def test_the_hops_of_a_message_stay_in_their_order(initiator):
    hops = "627=2|628=A|629=20260101-00:00:00|630=1|628=B|629=20260101-00:00:01|630=2|"
    initiator.session.send("35=D|" + ORDER + hops + "115=X|")
    initiator._take([])
    initiator.gets("35=D|34=2|115=X|" + hops + ORDER)
