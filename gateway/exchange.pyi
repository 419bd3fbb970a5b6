"""The demo's market."""
from collections.abc import Callable

from typing_extensions import disjoint_base

from gateway.strategy import Strategy

@disjoint_base
class SimulatedExchange(Strategy):
    """Fills every NewOrderSingle(D) at its price with one ExecutionReport(8), and checks that they are distinct."""
    @property
    def orders(self) -> int: ...
    @property
    def cancels(self) -> int: ...           # OrderCancelRequest(F)s, each answered as too late
    @property
    def refused(self) -> int: ...           # fills that could not be sent
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
