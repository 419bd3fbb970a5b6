"""Open a DPDK port and print its frames, one line each: "DPDK for Python" in one page.

    python examples/dpdk_frames.py net_null0 --count 3              # no privileges, no network
    python examples/dpdk_frames.py net_pcap0,rx_pcap=FILE
    sudo python examples/dpdk_frames.py net_af_packet0,iface=eth1 --promiscuous
    sudo python examples/dpdk_frames.py 0000:3b:00.0                # bound to vfio-pci: see docs/deploy.md

Everything is the port's own: packets are Mbufs, views into the driver's buffers, given back by free().
"""
import argparse
import sys
import time

from dpdk_py import DpdkError
from dpdk_py.eal import Eal
from dpdk_py.mbuf import Mbuf
from dpdk_py.port import Port

ETHERTYPES = {0x0800: "IPv4", 0x0806: "ARP", 0x86DD: "IPv6", 0x8100: "802.1Q"}


def describe(packet: Mbuf) -> str:
    """Length, addresses, type and the first octets, from the buffer itself: no copy of the frame."""
    with memoryview(packet) as octets:
        if len(octets) < 14:
            return f"{packet.len:5} octets, too short for Ethernet: {octets.hex()}"
        etype = octets[12] << 8 | octets[13]
        name = ETHERTYPES.get(etype, f"0x{etype:04x}")
        return (f"{packet.len:5} {octets[6:12].hex(':')} > {octets[:6].hex(':')} {name:6} "
                f"{octets[14:38].hex(' ')}{' ...' if packet.len > 38 else ''}")


def main() -> None:
    p = argparse.ArgumentParser(description="Print the frames of a DPDK port, one line each.",
                                epilog="Example: %(prog)s net_null0 --count 3")
    p.add_argument("port", help="PCI address or vdev: 0000:3b:00.0, net_af_packet0,iface=eth1, net_null0")
    p.add_argument("--count", type=int, default=0, metavar="N", help="end after N frames (default: Ctrl-C)")
    p.add_argument("--seconds", type=float, default=0, metavar="S", help="end after S seconds")
    p.add_argument("--promiscuous", action="store_true", help="frames for every address, not only ours")
    p.add_argument("--mtu", type=int, help="larger frames than the port's own MTU, e.g. 9000")
    p.add_argument("--eal", nargs=argparse.REMAINDER, default=None, metavar="ARG",
                   help="EAL arguments, last: --eal -l 2-3 -n 4")
    a = p.parse_args()
    try:
        port = Port(a.port, promiscuous=a.promiscuous, mtu=a.mtu, eal=a.eal)
    except (DpdkError, ValueError) as e:
        p.exit(1, f"{p.prog}: {e}\n")
    seen, end = 0, time.monotonic() + a.seconds if a.seconds else None
    with port:
        print(f"{port.name}: {port.driver}, {port.mac.hex(':')}, MTU {port.mtu}, {Eal.current()!r}", file=sys.stderr)
        try:
            while (not a.count or seen < a.count) and (end is None or time.monotonic() < end):
                for packet in port.rx_burst(min(32, a.count - seen) if a.count else 32):
                    print(describe(packet))
                    packet.free()
                    seen += 1
        except KeyboardInterrupt:
            pass
        counters = {name: n for name, n in port.stats().items() if n}
        print(f"{seen} frames; {counters}", file=sys.stderr)


if __name__ == "__main__":
    main()
