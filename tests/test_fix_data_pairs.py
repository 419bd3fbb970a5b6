"""Length and data fields of a user's dictionary in sessions: input, queue, resend, and in the gateway beside others."""
import copy

import pytest
from messages import Peer, frame
from street import UTC_OFFSET_NS, Quiet, Street
from test_gateway_sessions import connection

from fix import Validator, dictionary

NEWS = "35=B|148=x|33=1|58=y|9001=7|9002=ab\x01c=de|"
SENT = [(148, "x"), (33, "1"), (58, "y"), (9001, "7"), (9002, b"ab\x01c=de")]


@pytest.fixture(scope="module")
def rules():
    book = copy.deepcopy(dictionary.standard("FIX.4.4"))
    book.standard = False
    book.add_field(9001, "BlobLength", "LENGTH")
    book.add_field(9002, "Blob", "DATA")
    return Validator(book, ValidateUserDefinedFields=False)


def test_a_message_with_such_a_field_arrives(rules):
    peer = Peer("acceptor", logged_on=True, validator=rules)
    peer.sends(NEWS, "35=1|112=X|")
    peer.gets("35=0|34=2|112=X|")
    message = peer.events[0].message
    assert message.get_bytes(9002) == b"ab\x01c=de" and peer.session.next_in == 4
    peer.silent()


def test_one_that_waited_for_its_turn_arrives_too(rules):
    peer = Peer("acceptor", logged_on=True, validator=rules)
    peer.sends(NEWS.replace("|148", "|34=3|148"))
    peer.gets("35=2|34=2|7=2|16=0|")
    peer.sends("35=0|34=2|")
    assert [e.message.get_bytes(9002) for e in peer.events if e.name == "MESSAGE"] == [b"ab\x01c=de"]
    assert peer.session.next_in == 4


def test_without_the_dictionary_it_is_no_message():
    peer = Peer("acceptor", logged_on=True)
    peer.sends(NEWS)
    peer.silent()
    assert peer.session.next_in == 2


def test_one_of_ours_is_sent_again_whole(rules):
    peer = Peer("acceptor", logged_on=True, validator=rules)
    peer.session.send([(35, "B"), *SENT])
    first = peer.session.data_to_send()
    peer.sends_raw(peer.message("35=2|7=2|16=0|"))
    assert b"\x019002=ab\x01c=de\x0110=" in first and peer.session.stats()["resent"] == 1


def test_each_session_of_a_gateway_has_its_own(rules):
    class Reader(Quiet):
        def on_message(self, session, msg):
            self.told.append((session.TargetCompID, bytes(msg.get_bytes(9002))))
    with Street(Quiet(), Reader(), connect=False) as s:
        made = {name: s.venue.add_session("VENUE", name, role="acceptor", port=9878, strategy=s.venue_strategy, **more)
                for name, more in (("RULES", dict(validator=rules)), ("PLAIN", {}))}
        head = "34={}\x0149={}\x0156=VENUE\x0152=20260921-14:13:21.000\x01"
        for name in ("RULES", "PLAIN", "RULES"):
            logon = f"35=A\x01{head.format(made[name].next_in, name)}98=0\x01108=30\x01"
            news = f"35=B\x01{head.format(made[name].next_in + 1, name)}" + NEWS[5:].replace("|", "\x01")
            conn = connection(s, b"".join(frame("FIX.4.4", text.encode()) for text in (logon, news)))
            conn.close(now_ns=s.now_ns)
            s.settle()
        assert s.quiet.told.count(("RULES", b"ab\x01c=de")) == 2 and made["PLAIN"].next_in == 2
        assert UTC_OFFSET_NS and made["RULES"].next_in == 5
