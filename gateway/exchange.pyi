"""The demo's market."""
from collections.abc import Callable

from typing_extensions import disjoint_base

from gateway.strategy import Strategy

@disjoint_base
class SimulatedExchange(Strategy):
    """Fills every NewOrderSingle(D) at its price with one ExecutionReport(8), and checks that they are distinct.

    With prices of a market, bid_e8 and ask_e8, only what crosses them is filled: a buy at ask_e8 or above, any other at
    bid_e8 or below. The others rest, are acknowledged (OrdStatus new), and stay until an OrderCancelRequest(F) names them:
    pending cancel, canceled. OrderCancelReject(9) says of the others whether they were done or are unknown. 4,096 orders
    can rest, a further one is rejected. ClOrdIDs are numbers. No replacing.
    """
    def __init__(self, *, bid_e8: int = 0, ask_e8: int = 0) -> None: ...
    @property
    def orders(self) -> int: ...
    @property
    def filled(self) -> int: ...
    @property
    def rested(self) -> int: ...
    @property
    def rejected(self) -> int: ...          # orders that would have rested in a full book
    @property
    def resting(self) -> int: ...           # orders in the book now
    @property
    def cancels(self) -> int: ...           # OrderCancelRequest(F)s
    @property
    def canceled(self) -> int: ...
    @property
    def too_late(self) -> int: ...          # of orders that were filled or canceled before
    @property
    def unknown(self) -> int: ...           # of orders that never came, or were done 4,096 orders and more ago
    @property
    def refused(self) -> int: ...           # reports that could not be sent
    @property
    def not_distinct(self) -> int: ...      # orders whose ClOrdID did not grow
    @property
    def not_alone(self) -> int: ...         # orders that shared a frame with the one before
    @property
    def malformed(self) -> int: ...

@disjoint_base
class Trader(Strategy):
    """Sends `orders` orders, the first at Logon, each other one for a fill; then stops its gateway.

    on_call is called (between two steps) after `warm_up` fills and after the last.
    """
    on_call: Callable[[], object] | None
    def __init__(self, orders: int, *, warm_up: int = 0) -> None: ...
    @property
    def wanted(self) -> int: ...
    @property
    def sent(self) -> int: ...
    @property
    def executions(self) -> int: ...        # fills that carried the ClOrdID of the order that was out
    @property
    def mismatched(self) -> int: ...        # ... and messages that did not
    @property
    def refused(self) -> int: ...           # orders that could not be sent
    @property
    def warm_up(self) -> int: ...
