"""A strategy as a Python class: any object with an on_message(session, msg).

    fixwire run gateway.toml                 strategy = "strategy_python:Follower"
    python examples/strategy_python.py       against a simulated venue, in one process

The rule: when the venue shows a lower price than before, buy what it shows; when it shows a higher one, sell.
strategy_cython/, strategy_numba.py and strategy_c.c are the same rule, and send the same octets.
"""
from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.python import MessageView
    from gateway.session import GatewaySession


class Follower:
    def __init__(self) -> None:
        self.last_e8 = 0

    def on_message(self, session: GatewaySession, msg: MessageView) -> None:
        if msg.MsgType != "W":                          # MarketDataSnapshotFullRefresh
            return
        price_e8, size = msg.get_e8(270), msg.get_int(271)
        if self.last_e8:
            session.order_new(msg[55], "1" if price_e8 < self.last_e8 else "2", size, price_e8)
        self.last_e8 = price_e8


class Venue:
    """Shows ten prices, one after each order."""

    def __init__(self) -> None:
        self.prices = ["101.5", "101.25", "101.75", "101.5", "102", "101", "100.5", "100.75", "99", "100"]

    def show(self, session: GatewaySession) -> None:
        if self.prices:
            session.send("W", [(55, "ABC"), (268, 1), (269, "0"), (270, self.prices.pop(0)), (271, 100)])
        else:
            session.logout("no more prices")

    def on_logon(self, session: GatewaySession) -> None:
        self.show(session)
        self.show(session)

    def on_message(self, session: GatewaySession, msg: MessageView) -> None:
        print(bytes(msg).replace(b"\x01", b"|").decode())
        self.show(session)


def main() -> None:
    from dpdk_py import open_device
    from gateway import Engine
    near, far = open_device("pair")
    with near, far, Engine(near, "10.0.0.1/24") as gateway, Engine(far, "10.0.0.2/24") as venue:
        gateway.add_session("GATEWAY", "VENUE", role="initiator", host="10.0.0.2", port=9878,
                            strategy=gateway.add_strategy(Follower()))
        venue.add_session("VENUE", "GATEWAY", role="acceptor", port=9878, strategy=venue.add_strategy(Venue()))
        gateway.run(beside=venue, seconds=0.5)


if __name__ == "__main__":
    main()
