"""A FIX session over a plain kernel socket: the sans-I/O engine of `fix` with nothing else of this project.

    python examples/kernel_socket_fix.py                              an exchange and a client in one process, ten orders
    python examples/kernel_socket_fix.py --listen 9878                the exchange alone: fills every order
    python examples/kernel_socket_fix.py --connect 127.0.0.1:9878     the client alone (--orders N)

The whole contract of fix.Session is in `Connection.run`: read, `receive`, write `data_to_send`, `poll` at `deadline_ns`,
close when it asks for that.
"""
from __future__ import annotations

import argparse
import select
import socket
import sys
import threading
import time
from collections.abc import Callable

import fix

UTC_OFFSET_NS = time.time_ns() - time.monotonic_ns()


class Connection:
    """One session on one connected socket, until either side ends it."""

    def __init__(self, sock: socket.socket, session: fix.Session, on_event: Callable[[fix.Event], None]) -> None:
        self.sock, self.session, self.on_event = sock, session, on_event

    def run(self) -> None:
        sock, session = self.sock, self.session
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setblocking(False)
        waiting = b""
        self.handle(session.connected())
        while True:
            waiting += session.data_to_send()
            if not waiting and session.close_requested:
                break
            left = None
            if session.deadline_ns is not None:
                left = max(session.deadline_ns - time.monotonic_ns(), 0) / 1e9
            readable, writable, _ = select.select([sock], [sock] if waiting else [], [], left)
            try:
                if readable:
                    data = sock.recv(65536)
                    if not data:
                        break
                    self.handle(session.receive(data))
                if writable:
                    waiting = waiting[sock.send(waiting):]
            except OSError as error:
                print(f"{session.state}: {error}", file=sys.stderr)
                break
            self.handle(session.poll())
        sock.close()
        self.handle(session.disconnected())

    def handle(self, events: list[fix.Event]) -> None:
        for event in events:
            self.on_event(event)


def new_session(role: str, us: str, peer: str) -> fix.Session:
    return fix.Session("acceptor" if role == "acceptor" else "initiator", us, peer, "FIX.4.4", clock=time.monotonic_ns,
                       utc_offset_ns=UTC_OFFSET_NS, reset_on_logon=True)


class Exchange:
    """Fills every order at its price."""

    def __init__(self, sock: socket.socket) -> None:
        self.session = new_session("acceptor", "EXCHANGE", "CLIENT")
        self.fills = 0
        Connection(sock, self.session, self.on_event).run()

    def on_event(self, event: fix.Event) -> None:
        if event.name != "MESSAGE" or event.message is None or event.message["35"] != "D":
            return
        order = event.message
        self.fills += 1
        self.session.send([
            (35, "8"), (37, f"O{self.fills}"), (11, order["11"]), (17, f"E{self.fills}"), (150, "F"), (39, "2"),
            (55, order["55"]), (54, order["54"]), (38, order["38"]), (32, order["38"]), (31, order["44"]),
            (151, 0), (14, order["38"]), (6, order["44"]),
        ])


class Client:
    """Sends orders, one after the other's execution, and logs out after the last."""

    def __init__(self, sock: socket.socket, orders: int) -> None:
        self.session = new_session("initiator", "CLIENT", "EXCHANGE")
        self.left, self.executed, self.sent_ns = orders, 0, 0
        Connection(sock, self.session, self.on_event).run()

    def on_event(self, event: fix.Event) -> None:
        if event.name == "LOGON":
            print(f"logged on, HeartBtInt {self.session.HeartBtInt} s")
            self.order()
        elif event.name == "MESSAGE" and event.message is not None and event.message["35"] == "8":
            self.executed += 1
            took = (time.monotonic_ns() - self.sent_ns) / 1000
            print(f"{event.message['11']} filled: {event.message['32']} at {event.message['31']}, {took:.0f} us")
            self.order()
        elif event.name == "DISCONNECT":
            print(f"{self.executed} executions; the session ended: {event.reason}")

    def order(self) -> None:
        if self.left == 0:
            self.session.logout()
            return
        self.left -= 1
        self.sent_ns = time.monotonic_ns()
        self.session.send([(35, "D"), (11, f"A{self.left}"), (55, "EUR/USD"), (54, 1), (38, 100), (40, 2), (44, "1.0825"),
                           (60, time.strftime("%Y%m%d-%H:%M:%S", time.gmtime()))])


def main() -> int:
    parser = argparse.ArgumentParser(description="A FIX session over a plain kernel socket.")
    parser.add_argument("--listen", type=int, metavar="PORT")
    parser.add_argument("--connect", metavar="HOST:PORT")
    parser.add_argument("--orders", type=int, default=10)
    args = parser.parse_args()
    if args.connect:
        host, _, port = args.connect.rpartition(":")
        client = Client(socket.create_connection((host, int(port))), args.orders)
        return 0 if client.executed == args.orders else 1
    with socket.create_server(("127.0.0.1", args.listen or 0)) as listener:
        if args.listen:
            print("exchange on port", listener.getsockname()[1], flush=True)
            Exchange(listener.accept()[0])
            return 0
        exchange = threading.Thread(target=lambda: Exchange(listener.accept()[0]))
        exchange.start()
        client = Client(socket.create_connection(listener.getsockname()), args.orders)
        exchange.join()
        return 0 if client.executed == args.orders else 1


if __name__ == "__main__":
    sys.exit(main())
