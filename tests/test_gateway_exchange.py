"""The demo's exchange with the prices of a market: what crosses them is filled, the rest rests until it is cancelled."""
import random

import pytest
from street import Quiet, Street

from fix import Validator, dictionary
from gateway.exchange import SimulatedExchange

BID, ASK = 100 * 10**8, 101 * 10**8
BUY, SELL = "1", "2"


class Noting(Quiet):
    """Notes what came as (MsgType, ExecType or CxlRejReason, OrdStatus, ClOrdID), and that the standard allows it."""

    def __init__(self):
        super().__init__()
        self.check = Validator(dictionary.standard("FIX.4.4")).check

    def on_message(self, session, msg):
        assert self.check(msg.copy()) is None
        self.told.append((msg.MsgType, msg.get(150) or msg.get(102), msg[39], msg[11]))


class Market:
    def __init__(self, **prices):
        self.notes, self.exchange = Noting(), SimulatedExchange(**prices)
        self.street = Street(self.notes, self.exchange).settle()
        self.told()

    def told(self):
        self.street.settle()
        found, self.notes.told = self.notes.told, []
        return found

    def order(self, side, price_e8, ident, qty=10):
        assert self.street.here.order_new("ABC", side, qty, price_e8, ClOrdID=ident) == 0
        return self.told()

    def cancel(self, orig, ident):
        assert self.street.here.order_cancel(orig, "ABC", BUY, 10, ClOrdID=ident) == 0
        return self.told()

    def counts(self, *names):
        return tuple(getattr(self.exchange, name) for name in names)


@pytest.fixture
def market():
    market = Market(bid_e8=BID, ask_e8=ASK)
    with market.street:
        yield market


@pytest.mark.parametrize("side, price_e8, filled", [
    (BUY, ASK, True), (BUY, ASK - 1, False), (BUY, ASK + 1, True), (SELL, BID, True), (SELL, BID + 1, False),
    ("5", BID, True)])
def test_what_crosses_is_filled_and_what_does_not_rests(market, side, price_e8, filled):
    assert market.order(side, price_e8, "7") == [("8", "F", "2", "7") if filled else ("8", "0", "0", "7")]
    assert market.counts("orders", "filled", "rested", "resting") == (1, filled, not filled, not filled)


def test_a_resting_order_is_cancelled_once(market):
    market.order(BUY, BID, "7")
    assert market.cancel("7", "c1") == [("8", "6", "6", "c1"), ("8", "4", "4", "c1")]
    assert market.cancel("7", "c2") == [("9", "0", "4", "c2")]
    assert market.counts("cancels", "canceled", "too_late", "unknown", "resting") == (2, 1, 1, 0, 0)


def test_a_report_of_a_cancel_names_the_order(market):
    market.order(BUY, BID, "7", qty=30)
    market.cancel("7", "c1")
    reports = [octets.decode() for _, _, way, octets in market.street.gateway.messages()
               if way == "in" and b"\x0135=8" in octets]
    assert [r.split("\x0141=")[1].split("\x01")[0] for r in reports if "\x0141=" in r] == ["7", "7"]
    assert [r.split("\x01151=")[1].split("\x01")[0] for r in reports] == ["30", "30", "0"]


@pytest.mark.parametrize("orig, reason", [("7", ("0", "2")), ("8", ("1", "8")), ("seven", ("1", "8")), ("0", ("1", "8"))])
def test_what_does_not_rest_is_not_cancelled(market, orig, reason):
    market.order(BUY, ASK, "7")                                 # filled
    assert market.cancel(orig, "c") == [("9", *reason, "c")]
    assert market.counts("too_late", "unknown") == ((1, 0) if orig == "7" else (0, 1))


def test_a_full_book_rejects(market):
    for k in range(4096):
        market.street.here.order_new("ABC", BUY, 10, BID, ClOrdID=str(64 * k + 1))
        if k % 256 == 0:
            market.told()
    market.told()
    assert market.order(BUY, BID, "400000") == [("8", "8", "8", "400000")]
    assert market.order(BUY, ASK, "400001") == [("8", "F", "2", "400001")]
    assert market.counts("rested", "rejected", "resting", "not_distinct") == (4096, 1, 4096, 0)


def test_orders_are_found_however_they_come_and_go(market):
    """Against a set, so many that places of the book are shared."""
    rng, out, last = random.Random(7), [], 0
    for k in range(3000):
        if out and rng.random() < 0.45:
            orig = out.pop(rng.randrange(len(out)))
            assert market.cancel(orig, f"c{k}")[-1] == ("8", "4", "4", f"c{k}")
        else:
            last += rng.choice((1, 64, 8192))
            market.order(BUY, BID, str(last))
            out.append(str(last))
        if k % 500 == 0:
            assert market.exchange.resting == len(out)
    for orig in out:
        assert market.cancel(orig, "c")[-1][1] == "4"
    assert market.counts("resting", "unknown", "too_late", "refused", "malformed") == (0, 0, 0, 0, 0)


def test_without_prices_everything_is_filled_and_every_cancel_too_late():
    market = Market()
    with market.street:
        assert market.order(BUY, 1, "7") == [("8", "F", "2", "7")]
        assert market.cancel("7", "c") == [("9", "0", "2", "c")]
        assert market.counts("filled", "too_late", "resting") == (1, 1, 0)


@pytest.mark.parametrize("bid_e8, ask_e8", [(2, 1), (0, 1), (1, 0), (-1, 1)])
def test_prices_that_are_no_market(bid_e8, ask_e8):
    with pytest.raises(ValueError, match="bid at most the ask"):
        SimulatedExchange(bid_e8=bid_e8, ask_e8=ask_e8)
