"""Risk checks: prices. Quantity, notional, rate and the kill switch are in test_gateway_orders and test_gateway_keys."""
import pytest
from street import Quiet, Street
from test_gateway_keys import street

from gateway.strategy import VERDICTS

E8 = 10**8


def new(s, price, symbol="ABC", **kw):
    return VERDICTS[s.here.order_new(symbol, "1", 1, int(price * E8), **kw)]


def test_a_band_around_the_configured_price():
    with street("price_band = 2.5\nreference_prices = {ABC = 100, XYZ = 0.00000040}") as s:
        s.settle()
        assert [new(s, p) for p in (97.5, 102.5)] == ["SENT", "SENT"]
        assert [new(s, p) for p in (97.49999999, 102.50000001)] == ["RISK_PRICE", "RISK_PRICE"]
        assert [new(s, p, "XYZ") for p in (0.0000004, 0.00000042)] == ["SENT", "RISK_PRICE"]
        assert new(s, 100, "NEW") == "RISK_PRICE"               # nobody said what it costs
        stats = s.here.stats()
        assert (stats["refused_price"], stats["refused_risk"], stats["orders"]) == (4, 4, 3)


def test_the_reference_follows_the_strategy_and_the_last_trade():
    with street("price_band = 10") as s:
        s.settle()
        assert s.here.reference_price("ABC", 100 * E8) and new(s, 110) == "SENT" and new(s, 111) == "RISK_PRICE"
        s.there.send("8", [(37, "1"), (55, "ABC"), (31, "200"), (32, "5")])
        s.settle()
        assert new(s, 110) == "RISK_PRICE" and new(s, 220) == "SENT"


def test_the_last_trade_is_not_asked_where_it_is_not_wanted():
    with street("price_band = 10\nprice_band_last = false") as s:
        s.settle()
        s.here.reference_price("ABC", 100 * E8)
        s.there.send("8", [(37, "1"), (55, "ABC"), (31, "200"), (32, "5")])
        s.settle()
        assert new(s, 110) == "SENT"


def test_a_trade_without_a_price_changes_nothing():
    with street("price_band = 10\nreference_prices = {ABC = 100}") as s:
        s.settle()
        abc = (55, "ABC")
        for fields in ([abc], [abc, (31, "0")], [abc, (31, "-5")], [(31, "5")], [abc, (31, "x")]):
            s.there.send("8", [(37, "1"), *fields])
            s.settle()
        assert new(s, 100) == "SENT"


def test_fixed_prices():
    with street("min_price = 5\nmax_price = 10.5") as s:
        s.settle()
        assert [new(s, p) for p in (4.99999999, 5, 10.5, 10.50000001)] == ["RISK_PRICE", "SENT", "SENT", "RISK_PRICE"]
        assert s.here.order_new("ABC", "1", 1, 0, OrdType="1") == 0     # a market order has no price


@pytest.mark.parametrize("price, most", [(500 * E8, 2), (-500 * E8, 2), (-1, 1000 * E8), (-2**63, 0), (2**63 - 1, 0)])
def test_the_notional_of_a_price_below_zero_is_bounded_too(price, most):
    with Street(Quiet(), max_notional_e8=1000 * E8) as s:
        s.settle()
        verdicts = [VERDICTS[s.here.order_new("SPREAD", "1", qty, price)] for qty in (most, most + 1, 2**63 - 1) if qty]
        assert verdicts == (["SENT"] if most else []) + ["RISK_NOTIONAL", "RISK_NOTIONAL"]
        assert VERDICTS[s.here.order_replace("1", "SPREAD", "1", most + 1, price)] == "RISK_NOTIONAL"
        assert s.here.stats()["refused_notional"] == 3


def test_limits_below_zero_cannot_be():
    for wrong in (dict(max_notional_e8=-1), dict(max_order_qty=-1)):
        with pytest.raises(ValueError, match="must be 0 or more"):
            Street(Quiet(), **wrong)


def test_a_replacement_is_judged_too_and_a_cancel_is_not():
    with street("price_band = 10\nreference_prices = {ABC = 100}") as s:
        s.settle()
        assert VERDICTS[s.here.order_replace("1", "ABC", "1", 1, 200 * E8)] == "RISK_PRICE"
        assert s.here.order_cancel("1", "NEW", "1") == 0


def test_symbols_are_bounded_and_the_table_finds_them_all():
    with street("price_band = 10\nprice_symbols = 3") as s:
        s.settle()
        assert [s.here.reference_price(f"S{n}", 100 * E8) for n in range(5)] == [True, True, True, False, False]
        assert s.here.reference_price("S1", 50 * E8)                    # a new price of a known one
        assert [new(s, 50, f"S{n}") for n in range(4)] == ["RISK_PRICE", "SENT", "RISK_PRICE", "RISK_PRICE"]
        assert not s.here.reference_price("S1", 0) and not s.here.reference_price("", 5)
    with street() as s:
        assert not s.here.reference_price("ABC", 100 * E8)              # no band, nothing to keep


def test_ten_thousand_symbols_each_have_their_own_band():
    with street("price_band = 1\nprice_symbols = 10000\nthrottle_messages = 1") as s:
        s.settle()
        for n in range(10_000):
            assert s.here.reference_price(f"SYM.{n}", (n + 1) * 100 * E8)
        wrong = [n for n in range(10_000) if new(s, (n + 1) * 102, f"SYM.{n}") != "RISK_PRICE"]
        assert wrong == []
        assert new(s, 700, "SYM.6") == "SENT"


def test_prices_at_the_ends_of_what_fits():
    with street("price_band = 1000\nreference_prices = {ABC = 90000000000}") as s:
        s.settle()
        assert new(s, 90_000_000_000) == "SENT" and s.here.reference_price("ABC", 2**63 - 1)
        assert s.here.order_new("ABC", "1", 1, 2**63 - 1) == 0


@pytest.mark.parametrize("keys, verdict", [("bypass_allowed = true", "SENT"), ("", "RISK_PRICE")])
def test_passing_the_limits_is_said_and_allowed_and_counted(keys, verdict):
    with street(f"max_price = 10\nmax_order_qty = 5\n{keys}") as s:
        s.settle()
        assert new(s, 11) == "RISK_PRICE"
        assert new(s, 11, bypass_risk=True) == verdict
        assert s.here.stats()["bypassed"] == (verdict == "SENT")
        s.here.killed = True
        assert new(s, 11, bypass_risk=True) == "RISK_KILLED"


# -- open orders

class Book:
    """A session with at most two open orders, and the reports the venue sends about them."""

    def __init__(self, s):
        self.s = s
        s.settle()

    def new(self, ClOrdID):
        verdict = VERDICTS[self.s.here.order_new("ABC", "1", 10, 5 * E8, ClOrdID=ClOrdID)]
        self.s.settle()
        return verdict

    def report(self, MsgType="8", **fields):
        tags = dict(ClOrdID=11, OrigClOrdID=41, OrdStatus=39, ExecType=150, RefSeqNum=45, CxlRejReason=102)
        self.s.there.send(MsgType, [(37, "1"), *((tags[name], value) for name, value in fields.items())])
        self.s.settle()
        return self.s.here.open_orders


@pytest.fixture
def book():
    with street("max_open_orders = 2") as s:
        yield Book(s)


def test_open_orders_are_counted_and_limited(book):
    assert [book.new(n) for n in ("a", "b", "c")] == ["SENT", "SENT", "RISK_OPEN"]
    assert book.s.here.open_orders == 2 and book.s.here.stats()["refused_open"] == 1
    assert book.s.there.next_in == 4                        # the third never left


@pytest.mark.parametrize("status, open_then", [
    ("0", 2), ("1", 2), ("A", 2), ("6", 2), ("2", 1), ("4", 1), ("8", 1), ("C", 1)])
def test_what_an_execution_report_says(book, status, open_then):
    book.new("a"), book.new("b")
    assert book.report(ClOrdID="a", OrdStatus=status) == open_then
    assert book.report(ClOrdID="a", OrdStatus=status) == open_then      # twice is once
    assert book.report(ClOrdID="zzz", OrdStatus="2") == open_then       # not ours


def test_a_number_as_ClOrdID_is_found_again(book):
    assert book.new(0) == "SENT"
    assert book.report(ClOrdID=str(book.s.here.last_ClOrdID), OrdStatus="2") == 0


def test_replacements_take_the_place_of_the_order(book):
    book.new("a")
    assert book.s.here.order_replace("a", "ABC", "1", 20, 5 * E8, ClOrdID="a2") == 0
    assert book.s.here.open_orders == 2                                 # until it is known what becomes of it
    assert book.report(ClOrdID="a2", OrigClOrdID="a", OrdStatus="0", ExecType="5") == 1
    assert book.report(ClOrdID="a2", OrdStatus="2") == 0


def test_a_refused_replacement_and_a_cancel(book):
    book.new("a")
    book.s.here.order_replace("a", "ABC", "1", 20, 5 * E8, ClOrdID="a2")
    assert book.report("9", ClOrdID="a2", OrigClOrdID="a", OrdStatus="0", CxlRejReason="0") == 1
    book.s.here.order_cancel("a", "ABC", "1", ClOrdID="a3")
    assert book.report(ClOrdID="a3", OrigClOrdID="a", OrdStatus="4") == 0


@pytest.mark.parametrize("MsgType", ["3", "j"])
def test_a_rejected_order_is_none(book, MsgType):
    book.new("a")                                                       # MsgSeqNum 2
    assert book.report(MsgType, RefSeqNum="2") == 0


def test_an_order_that_is_not_sent_again_never_was():
    class Never:
        def on_message(self, session, msg):
            pass

        def may_resend(self, session, msg):
            return False
    with street("max_open_orders = 2", strategy=Never()) as s:
        book = Book(s)
        book.new("a")
        s.there.resend_request(1)
        s.settle()
        assert s.here.open_orders == 0


def test_a_ClOrdID_that_is_too_long_to_follow(book):
    assert book.new("x" * 32) == "SENT" and book.new("x" * 33) == "TOO_LONG"


def test_places_are_used_again_for_ever(book):
    for n in range(50):
        assert book.new(f"a{n}") == "SENT" and book.new(f"b{n}") == "SENT" and book.new(f"c{n}") == "RISK_OPEN"
        assert book.report(ClOrdID=f"a{n}", OrdStatus="2") == 1 and book.report(ClOrdID=f"b{n}", OrdStatus="4") == 0
