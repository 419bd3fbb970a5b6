"""Frames for the tests of the low layers, and a wire to put them on.

scapy makes and reads them: an oracle that shares no code with stack/.
"""
from scapy.layers.inet import ICMP, IP, TCP, UDP  # noqa: F401
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Raw  # noqa: F401

from dpdk_py.pair import pair
from stack.netif import Netif

US_MAC, PEER_MAC, THIRD_MAC = "02:00:00:00:00:01", "02:00:00:00:00:02", "02:00:00:00:00:03"
BROADCAST = "ff:ff:ff:ff:ff:ff"
US, PEER, THIRD, GATEWAY = "10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.254"
SECOND = 1_000_000_000


def mac(text):
    return bytes.fromhex(text.replace(":", ""))


def ether(payload, dst=US_MAC, src=PEER_MAC, **fields):
    return bytes(Ether(dst=dst, src=src, **fields) / payload)


def who_has(tpa, spa=PEER, sha=PEER_MAC, dst=BROADCAST):
    return ether(ARP(op=1, hwsrc=sha, psrc=spa, hwdst="00:00:00:00:00:00", pdst=tpa), dst=dst, src=sha)


def is_at(spa, sha, tpa=US, tha=US_MAC, dst=US_MAC):
    return ether(ARP(op=2, hwsrc=sha, psrc=spa, hwdst=tha, pdst=tpa), dst=dst, src=sha)


def tagged(payload, vlan, dst=US_MAC, src=PEER_MAC):
    """`payload` behind an 802.1Q tag; of a whole frame (bytes) what is behind its header, and its addresses."""
    if isinstance(payload, bytes):
        inner = Ether(payload)
        return bytes(Ether(dst=inner.dst, src=inner.src) / Dot1Q(vlan=vlan) / inner.payload)
    return bytes(Ether(dst=dst, src=src) / Dot1Q(vlan=vlan) / payload)


def datagram(payload=b"", src=US, dst=PEER, proto=253, **fields):
    """An IPv4 datagram, header and all; protocol 253 is for experiments (RFC 3692)."""
    return bytes(IP(src=src, dst=dst, proto=proto, **fields) / Raw(payload))


class Wire:
    """A Netif at one end, our hands at the other."""

    def __init__(self, address=US + "/24", **options):
        options.setdefault("gateway", GATEWAY if address.endswith("/24") else None)
        self.device, self.peer = pair(queue=options.pop("queue", 64))
        self.netif = Netif(self.device, address, **options)
        self.now = 10 * SECOND
        self.injected = 0

    def rx(self, *frames):
        for frame in frames:
            assert self.peer.tx(frame)
        return self.netif.burst(self.now)

    def input(self, frame, flags=0, vlan_tci=0):
        """Past the device, with what a device might say about it; returns the verdict."""
        self.injected += 1
        return self.netif.input(frame, self.now, flags, vlan_tci)

    def out(self):
        return [Ether(f.data) for f in self.peer.rx_burst(64)]

    def send(self, payload=b"x", dst=PEER):
        return self.netif.output(datagram(payload, dst=dst), dst, self.now)

    def at(self, seconds):
        self.now = int(seconds * SECOND)
        return self.netif.poll(self.now)

    def __getitem__(self, name):
        return self.netif.stats()[name]

    def accounted(self):
        """Every frame in exactly one counter, whatever happened before."""
        s = self.netif.stats()
        named = [v for k, v in s.items() if k.startswith("rx_") and k != "rx_frames"]
        assert s["rx_frames"] == sum(named) == self.device.stats()["rx_frames"] + self.injected
        assert s["tx_frames"] == sum(s["tx_" + k] for k in (
            "sent", "waiting", "full", "no_route", "no_neighbor", "address_unusable"))
        waiting = sum(n for _, _, n in self.netif.neighbors().values())
        assert s["tx_waiting"] == s["arp_pending_queued"] == waiting + sum(s["arp_pending_" + k] for k in (
            "sent", "overflow", "timeout", "tx_full"))
