"""A strategy in a process of its own."""
from typing import Any, Self

from typing_extensions import disjoint_base

from gateway.errors import GatewayGone as GatewayGone
from gateway.session import GatewaySession
from gateway.strategy import Strategy

IDLE: tuple[str, ...]

@disjoint_base
class Seat:
    """Seat("desk.maker", Maker()).run(): what `fixwire strategy run module:Maker --connect desk.maker` does.

    The strategy is any that Engine.add_strategy takes, native ones included, and is called as there; `engine` is this
    object, with `sessions`, `now_ns` and `stop()`. An order method returns SENT (0) when the order is in the channel,
    WOULD_BLOCK when the channel is full; so does session.send, for messages of the types the desk
    allows, orders excepted; the gateway's verdict comes as on_verdict(session, token, verdict), token being
    session.last_token after the order. on_lost(count): that many events came faster than they were read. After a restart
    the first events are those that the incarnation before had not handled to the end; the one in hand comes twice, `number`
    tells.

    idle      what `run` does when nothing comes: "spin", "yield" or "sleep" (50 us)
    on_error  after an exception of a callback: "continue", "disable" it, or "stop" (run() raises it)
    Raises FileNotFoundError (no such gateway), ValueError (no such strategy), RoleTaken (it runs already).
    """
    def __init__(self, name: str, strategy: object, *, directory: object = None, idle: str = "yield",
                 on_error: str = "continue", timeout: float = 1.0) -> None: ...
    @property
    def name(self) -> str: ...
    @property
    def strategy(self) -> Strategy: ...
    @property
    def sessions(self) -> list[GatewaySession]: ...
    @property
    def now_ns(self) -> int: ...
    @property
    def number(self) -> int: ...                # of the event delivered last; the gateway numbers all it has
    @property
    def delivered(self) -> int: ...
    @property
    def lost(self) -> int: ...
    def stop(self) -> None:
        """From any thread: run() returns soon."""
    def step(self, now_ns: int | None = None) -> bool:
        """One turn: what is there, then the timer. True: something was done.

        ValueError once closed; step(), run() and close() inside a callback raise RuntimeError.
        """
    def run(self, *, core: int | None = None, signals: bool = True) -> None:
        """Until stop(), SIGINT, SIGTERM or the gateway's end; GatewayGone if it ended without a word.

        Raises what a callback raised with on_error="stop".
        """
    def add_session(self, known: dict[str, Any]) -> None:
        """The gateway's session as it looks from here; the constructor calls it with what the gateway published."""
    def take_in(self, strategy: object, on_error: str) -> None:
        """Makes `strategy` the one of every session; the constructor calls it."""
    def begin(self) -> None:
        """HELLO to the gateway, then on_start; the first step calls it."""
    def stats(self) -> dict[str, Any]: ...
    def close(self) -> None:
        """Gives the channels up: for the gateway, the end of this incarnation."""
    def __enter__(self) -> Self: ...
    def __exit__(self, *exc: object) -> None: ...
