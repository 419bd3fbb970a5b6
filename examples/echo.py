"""A TCP echo server on our own stack, over any device. The kernel has no part in it.

    sudo python examples/echo.py --device afpacket:eth1 --address 10.0.0.2/24
    sudo python examples/echo.py --device dpdk:net_af_packet0,iface=eth1 --address 10.0.0.2/24 --port 7777

Give it an address the kernel does not have on that interface (the kernel would answer with RST), and talk to it from
another host or network namespace: `nc 10.0.0.2 7`. One connection in a hundred lines or a hundred in one: the loop is
step, then whatever became ready.
"""
import argparse
import os
import signal
import sys
import time

from dpdk_py import DeviceError, open_device
from stack.face import Connection, Stack


def serve(conn: Connection) -> None:
    """Give back as much as the send buffer takes; the rest waits in the receive buffer and closes the window."""
    data = conn.recv(conn.room)
    if data:
        conn.send_all(data)
    for event in conn.events():
        if event in ("reset", "timeout", "closed"):
            print(f"{conn.remote[0]}:{conn.remote[1]} {event}", file=sys.stderr)
    if conn.eof and not conn.waiting:
        conn.close()                                    # FIN once everything echoed is on its way


def main() -> None:
    p = argparse.ArgumentParser(description="TCP echo server on fixwire's own stack.",
                                epilog="Example: %(prog)s --device afpacket:eth1 --address 10.0.0.2/24")
    p.add_argument("--device", required=True, help="afpacket:IF, dpdk:PCI-ADDRESS, dpdk:VDEV,args")
    p.add_argument("--address", required=True, metavar="IP/PREFIX", help="our address, not one of the kernel's")
    p.add_argument("--gateway", metavar="IP", help="next hop outside our network")
    p.add_argument("--port", type=int, default=7)
    p.add_argument("--no-verify", action="store_true",
                   help="dpdk: accept TCP checksums unseen (a peer on this host with tx offload leaves them partial)")
    p.add_argument("--stats", action="store_true", help="print every counter at the end")
    a = p.parse_args()
    running = True

    def stop(number: int, at: object) -> None:
        nonlocal running
        running = False
    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    try:
        device = open_device(a.device, verify=False) if a.no_verify else open_device(a.device)
    except (DeviceError, ValueError) as e:
        p.exit(1, f"{p.prog}: {e}\n")
    with device, Stack(device, a.address, a.gateway, clock=time.monotonic_ns) as stack:
        with stack.listen(a.port, rcv_buf=262144) as listener:
            print(f"echo on {a.address.partition('/')[0]}:{a.port}, {device!r}", flush=True)
            while running:
                busy = stack.step()
                while listener.accept() is not None:
                    pass
                for conn in stack.ready():
                    serve(conn)
                if not busy:
                    os.sched_yield()                    # a trading process would spin
        if a.stats:
            counters = stack.counters() | device.stats()
            print({name: n for name, n in counters.items() if n}, file=sys.stderr)


if __name__ == "__main__":
    main()
