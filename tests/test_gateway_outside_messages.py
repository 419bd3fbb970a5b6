"""Messages beside orders from strategies in processes of their own: which may leave, and that none can do harm."""
import struct

import pytest
from street import body
from test_gateway_outside import Floor, order

from gateway import Desk
from gateway.strategy import BAD_ORDER, NOT_ALLOWED, SENT, TOO_LONG, WOULD_BLOCK
from ipc.channel import Writer

REQUEST = [(262, "r1"), (263, "1"), (264, "0"), (267, "1"), (269, "0"), (146, "1"), (55, "ABC")]


@pytest.fixture
def floor(tmp_path):
    with Floor(tmp_path, [{"name": "maker"}, {"name": "taker"}]) as f:
        yield f


def verdicts(seat):
    return [verdict for _, verdict in seat.strategy.target.verdicts]


def test_a_message_is_the_octets_it_would_have_been_inside(floor):
    maker = floor.sit("maker")
    floor.street.out()
    assert maker.sessions[0].send("V", REQUEST) == SENT and maker.sessions[0].last_token == 1
    floor.turn()
    outside = floor.street.out()
    floor.street.here.send("V", REQUEST)
    floor.turn()
    assert [body(m) for m in outside] == [body(m) for m in floor.street.out()] and "|35=V|" in outside[0]
    assert maker.strategy.target.verdicts == [(1, "SENT")] and floor.accounted() and floor.venue.others == ["V", "V"]


def test_what_answers_a_question_about_an_order_finds_who_asked(floor):
    maker, taker = floor.sit("maker"), floor.sit("taker")
    order(maker, ClOrdID="M1")
    maker.sessions[0].send("H", [(11, "M1"), (55, "ABC"), (54, "1")])
    floor.turn()
    floor.venue.report("M1", "1")
    floor.turn()
    assert floor.venue.others == ["H"] and maker.strategy.target.told[-2:] == [("8", "M1")] * 2
    assert taker.strategy.target.told == ["logon"]


@pytest.mark.parametrize("msgtype", ["D", "F", "G", "0", "5", "A"])
def test_orders_and_the_sessions_own_go_no_other_way(floor, msgtype):
    maker = floor.sit("maker")
    assert maker.sessions[0].send(msgtype, [(11, "M1")]) == NOT_ALLOWED
    with pytest.raises(ValueError, match=f"messages of maker has '{msgtype}'"):
        Desk("e", [{"name": "maker", "messages": [msgtype]}])


@pytest.mark.parametrize("msgtype", ["E", "L", "s", "t", "AB", "AC"])
def test_orders_of_more_than_one_are_no_messages_either(floor, msgtype):
    with pytest.raises(ValueError, match=f"messages of maker has '{msgtype}', an order's"):
        Desk("e", [{"name": "maker", "messages": ["V", msgtype]}])
    maker = floor.sit("maker")
    maker.sessions[0].send(msgtype, [(11, "M1")])
    floor.turn()
    assert floor.venue.others == [] and maker.strategy.target.verdicts == [(1, "NOT_ALLOWED")]


@pytest.mark.parametrize("field", [(262, ""), (262, "a\x01b"), (262, "a\x1fb"), (43, "Y"), (95, "3"), (96, "abc"),
                                   (354, "1")])
def test_a_field_that_cannot_be_in_a_body_is_refused_where_it_is_made(floor, field):
    maker = floor.sit("maker")
    assert maker.sessions[0].send("V", [field]) == BAD_ORDER
    floor.turn()
    assert floor.stats("maker")["taken"] == 1               # its HELLO


def test_the_configuration_says_which(tmp_path):
    given = [{"name": "maker", "messages": ["S", "V"], "request": 64}, {"name": "taker", "messages": []}]
    with Floor(tmp_path, given) as floor:
        maker, taker = floor.sit("maker"), floor.sit("taker")
        for msgtype in ("S", "V", "H"):
            maker.sessions[0].send(msgtype, [(117, "q")])
        taker.sessions[0].send("V", [(262, "r")])
        assert maker.sessions[0].send("V", [(58, "x" * 200)]) == TOO_LONG
        floor.turn()
        assert verdicts(maker) == ["SENT", "SENT", "NOT_ALLOWED"] and verdicts(taker) == ["NOT_ALLOWED"]
        assert floor.venue.others == ["S", "V"] and floor.accounted()


def test_limits_hold_for_them(tmp_path):
    with Floor(tmp_path, [{"name": "maker", "max_orders_per_second": 2}, {"name": "taker"}]) as floor:
        maker, taker = floor.sit("maker"), floor.sit("taker")
        order(maker)
        maker.sessions[0].send("V", REQUEST)
        maker.sessions[0].send("V", REQUEST)
        order(maker)
        floor.turn()
        assert verdicts(maker) == ["SENT", "SENT", "RISK_RATE", "RISK_RATE"]
        floor.street.here.killed = True
        taker.sessions[0].send("V", REQUEST)
        floor.turn()
        floor.street.here.killed = False
        floor.venue.session.logout()
        floor.turn()
        taker.sessions[0].send("V", REQUEST)
        floor.turn()
        assert verdicts(taker) == ["RISK_KILLED", "NOT_LOGGED_ON"] and floor.venue.others == ["V"] and floor.accounted()


def test_every_limit_of_a_session_has_its_verdict_and_its_count(tmp_path):
    with Floor(tmp_path, max_price_e8=11 * 10**8, max_open_orders=1) as floor:
        maker, taker = floor.sit("maker"), floor.sit("taker")
        maker.sessions[0].order_new("ABC", "1", 100, 12 * 10**8)
        order(maker)
        order(maker)
        floor.turn()
        order(taker)
        floor.turn()
        assert floor.stats("maker")["verdicts"] == {"RISK_PRICE": 1, "SENT": 1, "RISK_OPEN": 1}
        assert floor.stats("taker")["verdicts"] == {"RISK_OPEN": 1} and floor.accounted()


def test_a_full_channel_says_so(tmp_path):
    with Floor(tmp_path, [{"name": "maker", "orders": 4}]) as floor:
        session = floor.sit("maker").sessions[0]
        assert [session.send("V", REQUEST) for _ in range(5)] == [SENT] * 4 + [WOULD_BLOCK]


def message(msgtype, text, *, session=0, n=None):
    """A request as it lies in the channel."""
    return struct.pack("<II8sII", 5, session, msgtype, len(text) if n is None else n, 0) + text


def test_what_a_strategy_writes_past_its_own_library_is_judged(floor):
    """Whatever is in the channel: nothing of it leaves but what was whole and allowed, and the session is none the worse."""
    floor.sit("maker")
    floor.die(floor.seats[0], ms=0)
    good = b"262=a\x0158=b\x01"
    bad = [b"", b"x", b"262", b"262=", b"262=a", b"262=a\x01\x01", b"=a\x01", b"x=a\x01", b"0=a\x01", b"01=a\x01",
           b"262=\x01", b"8=FIX.4.4\x01", b"35=D\x01", b"10=000\x01", b"34=1\x01", b"43=Y\x01", b"122=x\x01", b"58=a\nb\x01",
           b"58=a\x7f\x01", b"95=100\x01", b"95=1\x0196=a\x01", b"96=a\x01", b"99999999999=a\x01", b"262=a\x0110=1\x01",
           b"-1=a\x01"]
    empty = bad.index(b"")                                  # a message without a body is one
    with Writer("d.maker.orders", create=False, directory=floor.where) as w:
        w.send(struct.pack("<I", 1).ljust(160, b"\0"))      # HELLO
        floor.turn()
        for k, text in enumerate(bad):
            w.send(message(b"V", text))
            floor.turn()
            seen = floor.stats("maker")["verdicts"]
            assert seen == {"SENT": 1, "MALFORMED": k} if k > empty else seen == {"SENT": 1}, text
        for record, verdict in [(message(b"D", good), "NOT_ALLOWED"), (message(b"", good), "NOT_ALLOWED"),
                                (message(b"V\x0135=D", good), "NOT_ALLOWED"), (message(b"V", good, session=1), "NO_SESSION"),
                                (message(b"V", good, n=3), "MALFORMED"), (message(b"V", good, n=1 << 31), "MALFORMED"),
                                (message(b"V", b"")[:-1], "MALFORMED"), (message(b"V", good)[:8], "MALFORMED")]:
            count = floor.stats("maker")["verdicts"].get(verdict, 0)
            w.send(record)
            floor.turn()
            assert floor.stats("maker")["verdicts"][verdict] == count + 1, record
        w.send(message(b"V", good))
        floor.turn()
    assert [body(m) for m in floor.street.out() if "|35=V|" in m] == ["", "262=a|58=b|"]
    assert floor.venue.others == ["V", "V"] and floor.street.here.logged_on and floor.accounted()
