"""Strategies in processes of their own: the gateway's side."""
from collections.abc import Iterable, Mapping
from typing import Any, Self

from typing_extensions import disjoint_base

from gateway.strategy import Strategy

@disjoint_base
class Desk(Strategy):
    """The strategy of sessions whose strategies are other processes (`gateway.seat`).

    Desk("desk", [{"name": "maker", "on_death": "cancel"}]); Engine.add_strategy(it); add_session(strategy=it); open().

    desk          name of the segments: desk.events, desk.sessions, desk.maker.orders, desk.maker.inbox
    strategies    one mapping each: name; messages: MsgTypes it may send beside orders (inquiries), request: octets of their
                  longest body (512); on_death `cancel` (its open orders) or `leave`; orders, inbox: messages its two
                  channels hold (1024, 4096; powers of two); open: orders open at most (4096); max_orders_per_second (0:
                  no limit but the sessions')
    inner         a strategy of the same engine, inside the gateway, that is told everything as well
    events        notices the broadcast keeps, a power of two
    message       octets of the longest FIX message passed on; longer ones are counted in `oversize`
    """
    def __init__(self, desk: str, strategies: Iterable[Mapping[str, Any]], *, inner: Strategy | None = None,
                 directory: object = None, events: int = 16384, message: int = 2048) -> None: ...
    @property
    def inner(self) -> Strategy | None: ...
    @property
    def desk(self) -> str: ...
    @property
    def strategies(self) -> dict[str, tuple[Any, Any]]: ...     # name -> (Reader of orders, Writer of the inbox)
    @property
    def oversize(self) -> int: ...
    @property
    def unlisted(self) -> int: ...
    @property
    def published(self) -> int: ...
    def open(self) -> None:
        """Makes the channels and lets strategies in; once the engine has all its sessions: of one that is added later
        nothing is passed on (counted in `unlisted`) and no order is taken (NO_SESSION).

        Where a session has a journal, open orders are kept beside its ring, in fixwire-DESK.outside: those of a gateway
        before are their strategies' again, and are cancelled or left as on_death says. RoleTaken: another gateway of this
        name lives. ValueError: that file is damaged, or has open orders of a strategy or session that is not there any more.
        """
    def remember(self) -> None:
        """Takes over the open orders of the gateway before; open() calls it."""
    def stats(self) -> dict[str, dict[str, Any]]:
        """By strategy: taken == hellos + sent + refused; waiting: still in the channel; open: its open orders."""
    def close(self) -> None:
        """Takes the channels away; strategies that still run end."""
    def __enter__(self) -> Self: ...
    def __exit__(self, *exc: object) -> None: ...
