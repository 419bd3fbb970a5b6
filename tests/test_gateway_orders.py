"""Orders and their verdicts: what leaves, and what does not and why."""
import pytest
from street import Quiet, Street, body

from gateway import strategy
from gateway.python import MessageView


@pytest.fixture
def street():
    with Street(Quiet()) as street:
        street.settle()
        street.out()
        yield street


def test_the_three_messages(street):
    order = street.here
    assert order.order_new("ABC", "1", 100, 10150000000, ClOrdID="a-1", Account="ACC") == strategy.SENT
    assert order.order_replace("a-1", "ABC", "1", 50, 10149000000, ClOrdID="a-2", TimeInForce="3") == strategy.SENT
    assert order.order_cancel("a-2", "ABC", "1", ClOrdID="a-3") == strategy.SENT
    new, replace, cancel = (body(m) for m in street.out())
    time = new.split("|60=")[1].split("|")[0]
    assert new == f"11=a-1|1=ACC|21=1|55=ABC|54=1|60={time}|38=100|40=2|44=101.5|59=0|"
    assert replace == f"11=a-2|41=a-1|21=1|55=ABC|54=1|60={time}|38=50|40=2|44=101.49|59=3|"
    assert cancel == f"11=a-3|41=a-2|55=ABC|54=1|60={time}|"
    assert time == "20260921-14:13:21.000"
    street.settle()
    assert street.quiet.told == ["logon", "D", "G", "F"]


def test_a_market_order_has_no_price(street):
    assert street.here.order_new("ABC", "2", 1, OrdType="1", TimeInForce=None) == strategy.SENT
    sent, = street.out()
    assert "|40=1|" in sent and "|44=" not in sent and "|59=" not in sent


def test_the_gateway_makes_ClOrdIDs_that_grow(street):
    made = []
    for _ in range(3):
        assert street.here.order_new("ABC", "1", 1, 1) == strategy.SENT
        made.append(street.here.last_ClOrdID)
    assert made == [made[0], made[0] + 1, made[0] + 2]
    assert made[0] == (street.now_ns + street.gateway.utc_offset_ns) // 1000
    assert [m.split("|11=")[1].split("|")[0] for m in street.out()] == [str(n) for n in made]


@pytest.mark.parametrize("wrong", [
    dict(Symbol=""), dict(Symbol="A\x01B"), dict(OrderQty=0), dict(OrderQty=-1), dict(Price_e8=0), dict(Side="\0"),
    dict(ClOrdID=""), dict(ClOrdID="a\x0144=1"), dict(Account="")])
def test_an_order_that_is_none(street, wrong):
    order = dict(Symbol="ABC", Side="1", OrderQty=1, Price_e8=100, ClOrdID=7) | wrong
    before = street.here.next_out
    assert street.here.order_new(**order) == strategy.BAD_ORDER
    assert street.here.next_out == before and street.out() == []
    assert street.here.stats()["refused"] == 1


@pytest.mark.parametrize("wrong", [dict(Side="12"), dict(Side=None), dict(Symbol=1.5), dict(OrderQty="x")])
def test_an_argument_of_another_type(street, wrong):
    with pytest.raises((TypeError, ValueError)):
        street.here.order_new(**dict(Symbol="ABC", Side="1", OrderQty=1, Price_e8=100) | wrong)
    assert street.out() == []


def test_cancel_and_replace_need_to_say_which_order(street):
    assert street.here.order_cancel("", "ABC", "1") == strategy.BAD_ORDER
    assert street.here.order_replace("", "ABC", "1", 1, 1) == strategy.BAD_ORDER


def test_nothing_is_sent_before_logon():
    with Street(Quiet()) as street:
        assert not street.here.logged_on
        assert street.here.order_new("ABC", "1", 1, 1) == strategy.NOT_LOGGED_ON
        assert street.here.next_out == 1
        street.settle()
        assert street.here.order_new("ABC", "1", 1, 1) == strategy.SENT


def test_limits():
    with Street(Quiet(), max_order_qty=100, max_notional_e8=1000 * 10**8, max_orders_per_second=3) as street:
        street.settle()
        order = street.here
        assert order.order_new("ABC", "1", 101, 1) == strategy.RISK_QTY
        assert order.order_new("ABC", "1", 11, 100 * 10**8) == strategy.RISK_NOTIONAL
        assert [order.order_new("ABC", "1", 10, 100 * 10**8) for _ in range(4)] == [strategy.SENT] * 3 + [strategy.RISK_RATE]
        street.pass_s(1)
        assert order.order_new("ABC", "1", 10, 100 * 10**8) == strategy.SENT
        order.killed = True
        assert order.order_new("ABC", "1", 1, 1) == strategy.RISK_KILLED
        assert order.order_cancel("1", "ABC", "1") == strategy.SENT         # what reduces risk is never in the way
        assert order.stats()["refused_risk"] == 4


def test_a_peer_that_does_not_read_gets_a_verdict_not_a_wait(street):
    verdicts = []
    while strategy.WOULD_BLOCK not in verdicts:                             # the venue takes no step
        verdicts.append(street.here.order_new("ABC", "1", 1, 1))
        assert len(verdicts) < 5000
    sent = verdicts.count(strategy.SENT)
    assert set(verdicts) == {strategy.SENT, strategy.WOULD_BLOCK} and street.here.next_out == sent + 2
    street.settle(20000)
    assert street.quiet.told.count("D") == sent
    assert street.here.order_new("ABC", "1", 1, 1) == strategy.SENT


def test_any_message_can_be_sent(street):
    assert street.here.send("V", [(262, "q1"), (263, 1), (264, 0), (267, 1), (269, "0"), (146, 1), (55, "ABC")]) == 0
    sent, = street.out()
    assert body(sent) == "262=q1|263=1|264=0|267=1|269=0|146=1|55=ABC|"
    for field in (8, 34, 52):
        with pytest.raises(ValueError, match=f"field {field} is the session's own"):
            street.here.send("V", [(field, "1")])
    with pytest.raises(ValueError, match="tag is 0"):
        street.here.send("V", [(0, "1")])
    assert street.here.send("V", [(58, "a\x01b")]) == strategy.BAD_ORDER


def test_a_message_is_read_in_its_callback_and_nowhere_else():
    kept = {}

    class Reader(Quiet):
        def on_message(self, session, msg):
            kept.update(view=msg, octets=bytes(msg), copy=msg.copy(), Symbol=msg["Symbol"], price=msg.get_e8(44),
                        number=msg.MsgSeqNum, has=(55 in msg, 58 in msg), entry=len(msg), now=msg.now_ns)

    with Street(Quiet(), Reader()) as street:
        street.settle()
        street.here.order_new("ABC", "1", 100, 10150000000, ClOrdID=5)
        street.settle()
        assert (kept["Symbol"], kept["price"], kept["number"], kept["has"]) == ("ABC", 10150000000, 2, (True, False))
        assert kept["copy"].get_int(11) == 5 and kept["octets"].startswith(b"8=FIX.4.4\x01")
        with pytest.raises(RuntimeError, match="valid inside its callback only"):
            kept["view"].get_int(11)
        assert repr(kept["view"]) == "<MessageView, gone>" and len(kept["view"]) == 0
    with pytest.raises(TypeError):
        MessageView()


def test_a_session_outlives_its_engine_as_a_clear_error(street):
    street.close()
    with pytest.raises(RuntimeError, match="its engine is closed"):
        street.here.order_new("ABC", "1", 1, 1)
