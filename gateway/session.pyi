"""One FIX session of an engine, for Python."""
from collections.abc import Iterable
from typing import Literal

from typing_extensions import disjoint_base

VERSIONS: dict[str, int]
BEGIN_STRINGS: dict[int, str]
STATES: tuple[str, ...]

@disjoint_base
class GatewaySession:
    """Made by `Engine.add_session`; of use as long as its engine is open (RuntimeError afterwards).

    Reading is for the engine's thread: from a callback, or between steps. Whatever sends raises WrongThread elsewhere.
    The verdict of an order is SENT (0), or the reason why nothing left and no number was used: VERDICTS[verdict].
    ClOrdID 0: the engine makes one, see last_ClOrdID. Texts are str or bytes; Price_e8 is the price times 10^8.
    """
    @property
    def name(self) -> str: ...                  # "SENDER->TARGET", or the name given
    @property
    def BeginString(self) -> str: ...
    @property
    def SenderCompID(self) -> str: ...          # ours
    @property
    def TargetCompID(self) -> str: ...
    @property
    def role(self) -> Literal["initiator", "acceptor"]: ...
    @property
    def state(self) -> str: ...                 # one of STATES
    @property
    def connected(self) -> bool: ...            # it has a TCP connection, be it not yet established
    @property
    def logged_on(self) -> bool: ...
    @property
    def next_in(self) -> int: ...
    @property
    def next_out(self) -> int: ...
    @property
    def now_ns(self) -> int: ...                # time of the step that is running
    @property
    def utc_ns(self) -> int: ...                # the same as nanoseconds since 1970
    @property
    def text(self) -> str: ...                  # Text(58) of the last Logout received
    @property
    def last_ClOrdID(self) -> int: ...          # of the newest order whose ClOrdID was a number, given or made
    @property
    def last_token(self) -> int: ...            # in a process of its own: of the newest order, see Strategy.on_verdict
    @property
    def open_orders(self) -> int: ...           # with max_open_orders: ours that no report said are done; replacements count
    @property
    def killed(self) -> bool: ...               # True: every order is refused with RISK_KILLED
    @killed.setter
    def killed(self, value: bool) -> None: ...
    @property
    def vacant(self) -> bool: ...               # of a template's pool, and nobody has logged on to it yet
    @property
    def host(self) -> str | None: ...           # the address an initiator connects to now
    def reference_price(self, Symbol: str | bytes, price_e8: int) -> bool:
        """The price around which orders in Symbol must lie, for the session's price_band. -> False where it has none,
        price_e8 is not above 0, or price_symbols others have one."""
    def order_new(self, Symbol: str | bytes, Side: str | bytes, OrderQty: int, Price_e8: int = 0,
                  ClOrdID: int | str | bytes = 0, OrdType: str | bytes = "2", TimeInForce: str | bytes | None = "0",
                  Account: str | bytes | None = None, bypass_risk: bool = False) -> int:
        """Send a NewOrderSingle(D). -> verdict

        bypass_risk: only the kill switch is asked, where the session was made with bypass_allowed; counted."""
    def order_template(self, Symbol: str | bytes, Side: str | bytes, OrdType: str | bytes = "2",
                       TimeInForce: str | bytes | None = "0", Account: str | bytes | None = None,
                       bypass_risk: bool = False) -> OrderTemplate:
        """Orders of this session that differ in ClOrdID, OrderQty and Price alone, prepared once.

        ValueError: a text is empty or has SOH in it, or Symbol or Account has more than 64 characters."""
    def order_replace(self, OrigClOrdID: int | str | bytes, Symbol: str | bytes, Side: str | bytes, OrderQty: int,
                      Price_e8: int = 0, ClOrdID: int | str | bytes = 0, OrdType: str | bytes = "2",
                      TimeInForce: str | bytes | None = "0", Account: str | bytes | None = None,
                      bypass_risk: bool = False) -> int:
        """Send an OrderCancelReplaceRequest(G). -> verdict"""
    def order_cancel(self, OrigClOrdID: int | str | bytes, Symbol: str | bytes, Side: str | bytes, OrderQty: int = 0,
                     ClOrdID: int | str | bytes = 0) -> int:
        """Send an OrderCancelRequest(F). -> verdict"""
    def send(self, MsgType: str | bytes, fields: Iterable[tuple[int, str | bytes | int]]) -> int:
        """Send any message; header and trailer are the session's (ValueError for a field of theirs). -> verdict

        From a process of its own a strategy sends no orders this way (NOT_ALLOWED), no Length and data fields (BAD_ORDER),
        and only the types its desk allows it: the gateway's verdict comes as on_verdict.
        """
    def logout(self, text: str | bytes | None = None) -> None:
        """Begin the Logout(5) exchange; the connection closes when the peer has answered, or after the timeout."""
    def test_request(self) -> None: ...
    def resend_request(self, begin: int, end: int = 0) -> None:
        """Ask for messages again that came already; they are then marked PossDup and ignored. end 0: all there is."""
    def renumber(self, next_in: int | None = None, next_out: int | None = None) -> None:
        """Set the MsgSeqNum expected and the next of ours, at once and whatever the state; ValueError outside 1..seq_max.

        The peer is not told. Kept messages from next_out on are forgotten.
        """
    def reset(self) -> None:
        """Both numbers begin at 1; while logged on by a Logon with ResetSeqNumFlag, which the peer must answer.

        RuntimeError while the session is connected and not logged on.
        """
    @property
    def enabled(self) -> bool: ...              # an initiator connects, an acceptor may be logged on to
    @enabled.setter
    def enabled(self, value: bool) -> None: ... # False: also Logout and disconnect, if there is a connection
    def stats(self) -> dict[str, int]:
        """Every counter of the session, its orders and its connections by name."""

@disjoint_base
class OrderTemplate:
    """Made by `GatewaySession.order_template`."""
    @property
    def session(self) -> GatewaySession: ...
    @property
    def address(self) -> int: ...               # as long as this object lives: of the fixwire_template, for C and numba
    def order_new(self, OrderQty: int, Price_e8: int = 0, ClOrdID: int | str | bytes = 0) -> int:
        """The NewOrderSingle(D) that session.order_new would send: the same octets, limits and counters. -> verdict"""
