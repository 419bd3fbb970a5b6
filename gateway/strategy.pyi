"""Strategies and the orders they send."""
from collections.abc import Iterator

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
    def MsgSeqNum(self) -> int: ...
    @property
    def now_ns(self) -> int: ...
    def __getitem__(self, tag: int) -> str: ...             # KeyError: not there
    def get(self, tag: int, default: str | None = None) -> str | None: ...
    def raw(self, tag: int) -> bytes: ...                   # KeyError: not there
    def int(self, tag: int) -> int: ...                     # KeyError: not there; ValueError: not an integer
    def price_e8(self, tag: int) -> int: ...                # a decimal as integer of 1e-8; KeyError, ValueError
    def __contains__(self, tag: object) -> bool: ...
    def __iter__(self) -> Iterator[tuple[int, str]]: ...    # every field in its order
    def __len__(self) -> int: ...                           # number of fields
    def __bytes__(self) -> bytes: ...

class Strategy:
    """Base of native strategies: a Cython subclass overrides the cdef methods of gateway/strategy.pxd.

    A Python subclass may define on_message and the others as methods too; it is then driven as a PythonStrategy.
    """
    name: str
    enabled: bool
    def __init__(self) -> None: ...
    @property
    def errors(self) -> int: ...        # exceptions its callbacks raised
    @property
    def messages(self) -> int: ...      # handed to it
    @property
    def orders(self) -> int: ...        # sent by its sessions

class CallbackStrategy(Strategy):
    """A strategy that is C functions, given by address (C, Cython, numba @cfunc); 0: not called.

    on_message   void f(void *ctx, void *session, void *msg, uint64_t now_ns)
    on_logon     void f(void *ctx, void *session, uint64_t now_ns); on_logout the same
    on_timer     void f(void *ctx, uint64_t now_ns)
    What they may call is in gateway/fixwire.h; `api()` gives it to ctypes and numba. `keep` is held alive.
    """
    def __init__(self, on_message: int, *, ctx: int = 0, on_logon: int = 0, on_logout: int = 0, on_reject: int = 0,
                 on_timer: int = 0, keep: object = None) -> None: ...

class PythonStrategy(Strategy):
    """A strategy that is a Python object; `Engine.add_strategy` makes it."""
    def __init__(self, target: object, on_error: str = "continue") -> None: ...
    @property
    def target(self) -> object: ...
    @property
    def last_error(self) -> BaseException | None: ...

def api() -> dict[str, object]:
    """The functions of gateway/fixwire.h as ctypes function objects, callable from numba's nopython code."""

def api_address() -> int:
    """Address of the `struct fixwire_api` of gateway/fixwire.h, for a strategy written in C."""
