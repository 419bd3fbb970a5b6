"""python -m tests.acceptance: the acceptor for at_player, over kernel sockets or over our own stack.

    python -m tests.acceptance --port 0                                             kernel TCP, any free port
    python -m tests.acceptance --device afpacket:eth1 --address 10.0.0.2/24         our stack on that device

Prints `listening on HOST:PORT` when it is ready and runs until it is interrupted.
"""
import argparse
import selectors
import signal
import socket
import sys
import time

from .application import applications
from .connection import Connection


class KernelTransport:
    def __init__(self, sock):
        self.sock, self.eof = sock, False
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def recv(self, n):
        try:
            data = self.sock.recv(n)
        except BlockingIOError:
            return b""
        except OSError:
            data = b""
        self.eof = not data
        return data

    def send(self, data):
        try:
            return self.sock.send(data)
        except BlockingIOError:
            return 0
        except OSError:
            self.eof = True
            return len(data)

    def close(self):
        self.sock.close()


def over_kernel(host, port, sessions, running):
    selector = selectors.DefaultSelector()
    connections = {}
    with socket.create_server((host, port)) as listener:
        listener.setblocking(False)
        selector.register(listener, selectors.EVENT_READ)
        print("listening on {}:{}".format(*listener.getsockname()[:2]), flush=True)
        while running():
            now = time.monotonic_ns()
            wait = min((c.deadline_ns for c in connections.values() if c.deadline_ns is not None), default=now + 10**9)
            for key, _ in selector.select(min(max(wait - now, 0) / 1e9, 1)):
                if key.fileobj is listener:
                    sock, _ = listener.accept()
                    connections[sock] = Connection(KernelTransport(sock), sessions, time.monotonic_ns())
                    selector.register(sock, selectors.EVENT_READ)
            now = time.monotonic_ns()
            for sock, connection in list(connections.items()):
                connection.serve(now)
                if connection.closed:
                    selector.unregister(sock)
                    del connections[sock]
                else:
                    selector.modify(sock, selectors.EVENT_READ | (selectors.EVENT_WRITE if connection.out else 0))


def over_stack(device, address, port, sessions, running):
    from dpdk_py import open_device
    from stack.face import Stack

    with open_device(device) as nic, Stack(nic, address, clock=time.monotonic_ns, connections=256) as stack:
        served = {}
        with stack.listen(port) as listener:
            print(f"listening on {address.partition('/')[0]}:{port}", flush=True)
            while running():
                busy = stack.step()
                while (opened := listener.accept()) is not None:
                    served[opened] = Connection(opened, sessions, time.monotonic_ns())
                now = time.monotonic_ns()
                for opened, connection in list(served.items()):
                    connection.serve(now)
                    if connection.closed:
                        del served[opened]
                if not busy:
                    time.sleep(0.0002)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=15644)
    parser.add_argument("--device", help="afpacket:IF or dpdk:...: our own stack instead of the kernel's")
    parser.add_argument("--address", metavar="IP/PREFIX", help="ours on that device, not one of the kernel's")
    args = parser.parse_args()
    if bool(args.device) != bool(args.address):
        parser.error("--device and --address go together")
    stopped = []
    signal.signal(signal.SIGTERM, lambda number, frame: stopped.append(number))
    signal.signal(signal.SIGINT, lambda number, frame: stopped.append(number))
    sessions = applications(time.monotonic_ns, time.time_ns() - time.monotonic_ns())
    if args.device:
        over_stack(args.device, args.address, args.port, sessions, lambda: not stopped)
    else:
        over_kernel(args.host, args.port, sessions, lambda: not stopped)
    return 0


if __name__ == "__main__":
    sys.exit(main())
