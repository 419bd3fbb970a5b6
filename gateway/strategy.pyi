"""Strategies and the orders they send."""
from collections.abc import Callable

from typing_extensions import disjoint_base

from gateway.engine import Engine

VERDICTS: tuple[str, ...]
"""Names of the verdicts of order_new, order_replace, order_cancel and send: VERDICTS[SENT] == "SENT"."""

SENT: int
NOT_LOGGED_ON: int
WOULD_BLOCK: int
TOO_LONG: int
BAD_ORDER: int
RISK_QTY: int
RISK_NOTIONAL: int
RISK_RATE: int
RISK_KILLED: int
REFUSED: int
# only from the gateway of a strategy in a process of its own
MALFORMED: int
STALE: int
DUPLICATE: int
TOO_MANY_OPEN: int
NOT_YOURS: int
NO_SESSION: int
# limits again
RISK_PRICE: int
RISK_OPEN: int
# from outside again
NOT_ALLOWED: int

@disjoint_base
class Strategy:
    """Base of native strategies: a Cython subclass overrides the cdef methods of gateway/strategy.pxd.

    A Python subclass may define on_message and the others as methods too; it is then driven as a PythonStrategy.
    """
    @property
    def name(self) -> str: ...
    @property
    def enabled(self) -> bool: ...      # False: disabled by an exception, or by Engine.enable_strategy
    @property
    def errors(self) -> int: ...        # exceptions its callbacks raised
    @property
    def messages(self) -> int: ...      # handed to it
    @property
    def engine(self) -> Engine | None: ...
    on_call: Callable[[], object] | None
