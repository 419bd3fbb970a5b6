"""A FIX session over asyncio streams: the sans-I/O engine of `fix`, one task a connection.

    python examples/asyncio_fix.py                              an exchange and three clients in one process
    python examples/asyncio_fix.py --listen 9878                the exchange alone: fills every order
    python examples/asyncio_fix.py --connect 127.0.0.1:9878     one client alone (--orders N)

`serve` is all there is to it: feed what was read to `receive`, write `data_to_send`, `poll` when `deadline_ns` comes, close
when the session asks for that. kernel_socket_fix.py is the same with select and blocking sockets.
"""
from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Callable
from decimal import Decimal

import fix
from fix.fix44 import ExecutionReport, NewOrderSingle

UTC_OFFSET_NS = time.time_ns() - time.monotonic_ns()


async def serve(session: fix.Session, reader: asyncio.StreamReader, writer: asyncio.StreamWriter,
                on_event: Callable[[fix.Event], None], first: bytes = b"") -> None:
    """Drive one session until either side ends it. `first`: octets read before it was known whose they are."""
    for event in session.connected() + (session.receive(first) if first else []):
        on_event(event)
    while True:
        writer.write(session.data_to_send())
        await writer.drain()                            # a slow reader stops us here, not in memory
        if session.close_requested:
            break
        left = None
        if session.deadline_ns is not None:
            left = max(session.deadline_ns - time.monotonic_ns(), 0) / 1e9
        try:
            data = await asyncio.wait_for(reader.read(65536), left)
        except TimeoutError:
            events = session.poll()
        except ConnectionError:
            break
        else:
            if not data:
                break
            events = session.receive(data)
        for event in events:
            on_event(event)
    writer.close()
    for event in session.disconnected():
        on_event(event)


class Exchange:
    """Fills every order at its price; each client has a session of its own, named by its SenderCompID."""

    def __init__(self) -> None:
        self.sessions: dict[str, fix.Session] = {}
        self.fills = 0

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = b""
        while (ids := fix.identify(first)) is None:
            data = await asyncio.wait_for(reader.read(65536), 10)
            if not data:
                writer.close()
                return
            first += data
        client = ids[1]
        session = self.sessions.setdefault(client, fix.Session(
            "acceptor", "EXCHANGE", client, clock=time.monotonic_ns, utc_offset_ns=UTC_OFFSET_NS, reset_on_logon=True))
        if session.state != "DISCONNECTED":
            writer.close()                              # logged on already
            return
        await serve(session, reader, writer, lambda event: self.on_event(session, event), first)

    def on_event(self, session: fix.Session, event: fix.Event) -> None:
        order = event.message
        if event.name != "MESSAGE" or order is None or order.MsgType != "D":
            return
        self.fills += 1
        session.send(ExecutionReport(
            OrderID=f"O{self.fills}", ClOrdID=order.ClOrdID, ExecID=f"E{self.fills}", ExecType="F", OrdStatus="2",
            Symbol=order.Symbol, Side=order.Side, OrderQty=order.OrderQty, LastQty=order.OrderQty, LastPx=order.Price,
            LeavesQty=0, CumQty=order.OrderQty, AvgPx=order.Price))


class Client:
    """Sends orders, one after the other's execution, and logs out after the last."""

    def __init__(self, name: str, orders: int) -> None:
        self.name, self.left, self.executed = name, orders, 0
        self.session = fix.Session("initiator", name, "EXCHANGE", clock=time.monotonic_ns, utc_offset_ns=UTC_OFFSET_NS,
                                   reset_on_logon=True)

    async def run(self, host: str, port: int) -> None:
        reader, writer = await asyncio.open_connection(host, port)
        await serve(self.session, reader, writer, self.on_event)

    def on_event(self, event: fix.Event) -> None:
        if event.name == "LOGON":
            self.order()
        elif event.name == "MESSAGE" and event.message is not None and event.message.MsgType == "8":
            self.executed += 1
            print(f"{self.name}: {event.message.ClOrdID} filled, {event.message.LastQty} at {event.message.LastPx}")
            self.order()
        elif event.name == "DISCONNECT":
            print(f"{self.name}: {self.executed} executions; the session ended: {event.reason}")

    def order(self) -> None:
        if self.left == 0:
            self.session.logout()
            return
        self.left -= 1
        self.session.send(NewOrderSingle(
            ClOrdID=f"{self.name}-{self.left}", Symbol="EUR/USD", Side="1", OrderQty=100, OrdType="2",
            Price=Decimal("1.0825"), TransactTime=time.strftime("%Y%m%d-%H:%M:%S", time.gmtime())))


async def both(orders: int) -> bool:
    server = await asyncio.start_server(Exchange().accept, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    clients = [Client(f"CLIENT{n}", orders) for n in range(3)]
    await asyncio.gather(*(client.run(host, port) for client in clients))
    server.close()
    return all(client.executed == orders for client in clients)


async def listen(port: int) -> None:
    server = await asyncio.start_server(Exchange().accept, "127.0.0.1", port)
    print("exchange on port", server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main() -> int:
    parser = argparse.ArgumentParser(description="A FIX session over asyncio streams.")
    parser.add_argument("--listen", type=int, metavar="PORT")
    parser.add_argument("--connect", metavar="HOST:PORT")
    parser.add_argument("--orders", type=int, default=10)
    args = parser.parse_args()
    if args.listen is not None:
        asyncio.run(listen(args.listen))
        return 0
    if args.connect:
        host, _, port = args.connect.rpartition(":")
        client = Client("CLIENT", args.orders)
        asyncio.run(client.run(host, int(port)))
        return 0 if client.executed == args.orders else 1
    return 0 if asyncio.run(both(args.orders)) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(0)
