"""Strategies and the orders they send."""
from builtins import int as _int
from collections.abc import Callable, Iterator

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

class Message:
    """The message a Python strategy is handed: a view that is valid inside the callback only, and reused.

    Outside it every access raises RuntimeError; `bytes(msg)` inside it keeps a copy.
    """
    @property
    def MsgType(self) -> str: ...
    @property
    def MsgSeqNum(self) -> _int: ...
    @property
    def now_ns(self) -> _int: ...
    def __getitem__(self, tag: _int) -> str: ...             # KeyError: not there
    def get(self, tag: _int, default: str | None = None) -> str | None: ...
    def raw(self, tag: _int) -> bytes: ...                   # KeyError: not there
    def int(self, tag: _int) -> _int: ...                     # KeyError: not there; ValueError: not an integer
    def price_e8(self, tag: _int) -> _int: ...                # a decimal as integer of 1e-8; KeyError, ValueError
    def __contains__(self, tag: object) -> bool: ...
    def __iter__(self) -> Iterator[tuple[_int, str]]: ...    # every field in its order
    def __len__(self) -> _int: ...                           # number of fields
    def __bytes__(self) -> bytes: ...

class Strategy:
    """Base of native strategies: a Cython subclass overrides the cdef methods of gateway/strategy.pxd.

    A Python subclass may define on_message and the others as methods too; it is then driven as a PythonStrategy.
    """
    def __init__(self) -> None: ...
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

class PythonStrategy(Strategy):
    """A strategy that is a Python object; `Engine.add_strategy` makes it."""
    def __init__(self, target: object, on_error: str = "continue", name: str | None = None) -> None: ...
    @property
    def on_error(self) -> str: ...
    @property
    def target(self) -> object: ...
    @property
    def last_error(self) -> BaseException | None: ...
