"""python -m tests.acceptance --port N: the acceptor for at_player, over kernel TCP.

Prints `listening on HOST:PORT` when it is ready and runs until it is interrupted. --port 0 takes any free port.
"""
import argparse
import selectors
import socket
import sys
import time

import fix

from .application import Application, table

LOGON_TIMEOUT_NS = 10_000_000_000
MOST_FIRST = 65536          # octets a connection may send before its Logon is whole


class Connection:
    """A TCP connection; its session is known once its Logon has come."""

    def __init__(self, server, sock):
        self.server, self.sock = server, sock
        self.session = None
        self.first = b""
        self.since = time.monotonic_ns()
        self.out = b""

    def readable(self):
        try:
            data = self.sock.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
        elif self.session is not None:
            self.session.receive(data)
            self.flush()
        else:
            self.first += data
            self.attach()

    def attach(self):
        try:
            ids = fix.identify(self.first)
        except fix.RemoteProtocolError:
            self.close()
            return
        if ids is None:
            if len(self.first) > MOST_FIRST:
                self.close()
            return
        begin, sender, target = ids
        application = self.server.applications.get((begin, sender)) if target == "ISLD" else None
        if application is None or application.session.state != "DISCONNECTED":
            self.close()            # nobody's, or logged on already
            return
        self.session = application.session
        self.session.connected()
        self.session.receive(self.first)
        self.flush()

    def flush(self):
        """Write what there is; close once all is written and the session wants it."""
        self.out += self.session.data_to_send()
        try:
            while self.out:
                self.out = self.out[self.sock.send(self.out):]
        except BlockingIOError:
            pass
        except OSError:
            self.close()
            return
        if not self.out and self.session.close_requested:
            self.close()
        else:
            self.server.selector.modify(self.sock, selectors.EVENT_READ | (selectors.EVENT_WRITE if self.out else 0), self)

    def poll(self, now_ns):
        if self.session is None:
            if now_ns - self.since >= LOGON_TIMEOUT_NS:
                self.close()
        elif self.session.deadline_ns is not None and self.session.deadline_ns <= now_ns:
            self.session.poll()
            self.flush()

    def close(self):
        self.server.selector.unregister(self.sock)
        self.server.connections.remove(self)
        self.sock.close()
        if self.session is not None:
            self.session.disconnected()


class Server:
    def __init__(self, host, port):
        self.selector = selectors.DefaultSelector()
        self.listener = socket.create_server((host, port))
        self.listener.setblocking(False)
        self.selector.register(self.listener, selectors.EVENT_READ, None)
        self.connections = []
        offset = time.time_ns() - time.monotonic_ns()
        self.applications = {(begin, target): Application(begin, target, options, time.monotonic_ns, offset)
                             for (begin, target), options in table().items()}

    def step(self):
        now = time.monotonic_ns()
        deadlines = [c.session.deadline_ns if c.session else c.since + LOGON_TIMEOUT_NS for c in self.connections]
        wait = min((d for d in deadlines if d is not None), default=now + 1_000_000_000)
        for key, events in self.selector.select(min(max(wait - now, 0) / 1e9, 1)):
            if key.data is None:
                sock, _ = self.listener.accept()
                sock.setblocking(False)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.connections.append(Connection(self, sock))
                self.selector.register(sock, selectors.EVENT_READ, self.connections[-1])
            elif events & selectors.EVENT_READ:
                key.data.readable()
            else:
                key.data.flush()
        now = time.monotonic_ns()
        for connection in list(self.connections):
            connection.poll(now)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=15644)
    args = parser.parse_args()
    server = Server(args.host, args.port)
    print("listening on {}:{}".format(*server.listener.getsockname()[:2]), flush=True)
    try:
        while True:
            server.step()
    except KeyboardInterrupt:
        return 0


if __name__ == "__main__":
    sys.exit(main())
