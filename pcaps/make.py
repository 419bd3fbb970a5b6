"""Writes the captures of this folder with scapy: `python pcaps/make.py [FOLDER]`. The same octets every time.

One FIX 4.4 session (10.0.0.1:40000 initiator, 10.0.0.2:9878 acceptor) is cut into segments in different ways. Each
file's list of messages is the same unless README.md says otherwise, so any reader can be checked against any other.
"""
from __future__ import annotations

import pathlib
import struct
import sys
from collections.abc import Callable, Iterable

from scapy.all import IP, TCP, Dot1Q, Ether, raw  # type: ignore[attr-defined]
from scapy.layers.inet6 import IPv6

HERE = pathlib.Path(__file__).parent
US, PEER = "10.0.0.1", "10.0.0.2"
US_MAC, PEER_MAC = "02:00:00:00:00:01", "02:00:00:00:00:02"
US_PORT, PEER_PORT = 40000, 9878
START_NS = 1_700_000_000_123_456_789        # 2023-11-14 22:13:20.123456789 UTC
STEP_NS = 1_000_100
SYN, FIN, ACK, PSH, RST = 0x02, 0x01, 0x10, 0x08, 0x04


# -- FIX

def message(kind: str, seq: int, sender: str, target: str, body: str = "", time: str = "") -> bytes:
    """A FIX 4.4 message; `body` in the `|` notation; BodyLength and CheckSum computed."""
    text = f"35={kind}|34={seq}|49={sender}|52={time or '20231114-22:13:20.123'}|56={target}|{body}"
    octets = text.replace("|", "\x01").encode()
    head = b"8=FIX.4.4\x019=%d\x01" % len(octets)
    return head + octets + b"10=%03d\x01" % (sum(head + octets) % 256)


def conversation(orders: int = 6) -> list[tuple[bool, bytes]]:
    """(from the initiator?, message) in the order they were sent: Logon, orders and fills, Heartbeats, Logout."""
    def ours(kind: str, seq: int, body: str = "") -> tuple[bool, bytes]:
        return True, message(kind, seq, "BUYER", "EXCHANGE", body)

    def theirs(kind: str, seq: int, body: str = "") -> tuple[bool, bytes]:
        return False, message(kind, seq, "EXCHANGE", "BUYER", body)
    out = [ours("A", 1, "98=0|108=30|"), theirs("A", 1, "98=0|108=30|")]
    for i in range(orders):
        out.append(ours("D", 2 + i, f"11=ORD{i}|21=1|38=100|40=2|44=10.{i}5|54=1|55=ABC|60=20231114-22:13:20.123|"))
        out.append(theirs("8", 2 + i, f"6=10.{i}5|11=ORD{i}|14=100|17=E{i}|31=10.{i}5|32=100|37=X{i}|39=2|54=1|55=ABC|"
                                      f"150=F|151=0|"))
    # raw data with SOH inside: RawDataLength(95), RawData(96)
    out.append(theirs("B", 2 + orders, "148=NEWS|33=1|58=line|95=7|96=a|b=c|d|"))
    out += [ours("0", 2 + orders), theirs("0", 3 + orders)]
    out += [ours("5", 3 + orders), theirs("5", 4 + orders)]
    return out


# -- segments of it

class Flow:
    """Both ends of one TCP connection, writing frames one after another."""

    def __init__(self, us_isn: int = 1000, peer_isn: int = 5000, vlan: int | None = None, v6: bool = False) -> None:
        self.frames: list[bytes] = []
        self.vlan, self.v6 = vlan, v6
        self.nxt = {True: us_isn, False: peer_isn}

    def segment(self, ours: bool, flags: int, text: bytes = b"", seq: int | None = None) -> bytes:
        at = self.nxt[ours] if seq is None else seq
        ends = (US_PORT, PEER_PORT) if ours else (PEER_PORT, US_PORT)
        link = Ether(src=US_MAC, dst=PEER_MAC) if ours else Ether(src=PEER_MAC, dst=US_MAC)
        if self.vlan is not None:
            link = link / Dot1Q(vlan=self.vlan)
        if self.v6:
            net = IPv6(src="fd00::1", dst="fd00::2") if ours else IPv6(src="fd00::2", dst="fd00::1")
        else:
            net = IP(src=US, dst=PEER, ttl=64, flags="DF") if ours else IP(src=PEER, dst=US, ttl=64, flags="DF")
        ack = self.nxt[not ours] if flags & ACK else 0
        tcp = TCP(sport=ends[0], dport=ends[1], flags=flags, seq=at & 0xFFFFFFFF, ack=ack & 0xFFFFFFFF, window=65000)
        octets = raw(link / net / tcp / text)
        if seq is None:
            self.nxt[ours] = at + len(text) + (1 if flags & (SYN | FIN) else 0)
        return bytes(octets)

    def add(self, ours: bool, flags: int, text: bytes = b"", seq: int | None = None) -> bytes:
        self.frames.append(self.segment(ours, flags, text, seq))
        return self.frames[-1]

    def handshake(self) -> None:
        self.add(True, SYN)
        self.add(False, SYN | ACK)
        self.add(True, ACK)

    def farewell(self) -> None:
        self.add(True, FIN | ACK)
        self.add(False, FIN | ACK)
        self.add(True, ACK)

    def say(self, talk: Iterable[tuple[bool, bytes]]) -> None:
        for ours, text in talk:
            self.add(ours, PSH | ACK, text)
            self.add(not ours, ACK)


def plain(**how: object) -> list[bytes]:
    flow = Flow(**how)  # type: ignore[arg-type]
    flow.handshake()
    flow.say(conversation())
    flow.farewell()
    return flow.frames


def runs(talk: list[tuple[bool, bytes]]) -> list[tuple[bool, bytes]]:
    """Neighbouring messages of one side, joined."""
    out: list[tuple[bool, bytes]] = []
    for ours, text in talk:
        if out and out[-1][0] == ours:
            out[-1] = ours, out[-1][1] + text
        else:
            out.append((ours, text))
    return out


def splits() -> list[bytes]:
    """All of one side's messages as one stream, cut after 40, then every 1, 2, 3, 5, 8, ... octets across messages."""
    flow = Flow()
    flow.handshake()
    for side in (True, False):
        stream = b"".join(text for ours, text in conversation() if ours == side)
        flow.add(side, PSH | ACK, stream[:40])      # enough to be told for FIX
        at, a, b = 40, 1, 2
        while at < len(stream):
            flow.add(side, PSH | ACK, stream[at:at + a])
            at += a
            a, b = (b, a + b) if a < 300 else (1, 2)
        flow.add(not side, ACK)
    flow.farewell()
    return flow.frames


def several() -> list[bytes]:
    """Four messages in a segment, and segments that end within a message."""
    flow = Flow()
    flow.handshake()
    for side in (True, False):
        texts = [text for ours, text in conversation() if ours == side]
        for i in range(0, len(texts), 4):
            chunk = b"".join(texts[i:i + 4])
            flow.add(side, PSH | ACK, chunk[:-10])
            flow.add(side, PSH | ACK, chunk[-10:])
            flow.add(not side, ACK)
    flow.farewell()
    return flow.frames


def trouble() -> list[bytes]:
    """Retransmitted, overlapping and reordered segments; every octet of the stream is there at least once."""
    flow = Flow()
    flow.handshake()
    for i, (ours, text) in enumerate(conversation()):
        at, half = flow.nxt[ours], len(text) // 2
        first = flow.add(ours, PSH | ACK, text[:half])
        if i % 4 == 0:          # the whole first half again
            flow.frames.append(first)
        flow.add(ours, PSH | ACK, text[half:])
        if i % 4 == 1:          # the second half comes before the first
            flow.frames[-2:] = reversed(flow.frames[-2:])
        if i % 4 == 2:          # both halves again in one segment
            flow.add(ours, PSH | ACK, text, seq=at)
        if i % 4 == 3:          # from within the first half to within the second, again
            flow.add(ours, PSH | ACK, text[half - 20:half + 20], seq=at + half - 20)
        flow.add(not ours, ACK)
    flow.farewell()
    return flow.frames


def midstream() -> list[bytes]:
    """The handshake, the Logons and half of the first order were before the capture began."""
    flow = Flow()
    talk = conversation()
    for ours, text in talk[:2]:
        flow.segment(ours, PSH | ACK, text)
    ours, text = talk[2]
    flow.segment(ours, PSH | ACK, text[:50])
    flow.add(ours, PSH | ACK, text[50:])
    flow.say(talk[3:])
    flow.farewell()
    return flow.frames


def lost() -> list[bytes]:
    """The capture missed one segment of ours: the middle of the third order."""
    flow = Flow()
    flow.handshake()
    for i, (ours, text) in enumerate(conversation()):
        if i == 6:
            flow.add(ours, PSH | ACK, text[:40])
            flow.segment(ours, PSH | ACK, text[40:90])
            flow.add(ours, PSH | ACK, text[90:])
        else:
            flow.add(ours, PSH | ACK, text)
        flow.add(not ours, ACK)
    flow.farewell()
    return flow.frames


# -- files

def pcap(frames: list[bytes], *, ns: bool = False, big: bool = False, linktype: int = 1,
         snaplen: int = 262144) -> bytes:
    order = ">" if big else "<"
    out = struct.pack(order + "IHHiIII", 0xA1B23C4D if ns else 0xA1B2C3D4, 2, 4, 0, 0, snaplen, linktype)
    for i, f in enumerate(frames):
        sec, frac = divmod(START_NS + i * STEP_NS, 1_000_000_000)
        kept = f[:snaplen]
        out += struct.pack(order + "IIII", sec, frac if ns else frac // 1000, len(kept), len(f)) + kept
    return out


def block(order: str, kind: int, body: bytes) -> bytes:
    body += bytes(-len(body) % 4)
    length = struct.pack(order + "I", len(body) + 12)
    return struct.pack(order + "I", kind) + length + body + length


def option(order: str, code: int, value: bytes) -> bytes:
    return struct.pack(order + "HH", code, len(value)) + value + bytes(-len(value) % 4)


def section(order: str) -> bytes:
    return block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))


def interface(order: str, linktype: int = 1, snaplen: int = 0, tsresol: int | None = None, tsoffset: int = 0) -> bytes:
    body = struct.pack(order + "HHI", linktype, 0, snaplen)
    if tsresol is not None:
        body += option(order, 9, bytes([tsresol]))
    if tsoffset:
        body += option(order, 14, struct.pack(order + "q", tsoffset))
    return block(order, 1, body + (option(order, 0, b"") if len(body) > 8 else b""))


def enhanced(order: str, number: int, ticks: int, data: bytes, orig_len: int | None = None) -> bytes:
    return block(order, 6, struct.pack(order + "IIIII", number, ticks >> 32, ticks & 0xFFFFFFFF, len(data),
                                       len(data) if orig_len is None else orig_len) + data)


def pcapng(frames: list[bytes], order: str = "<") -> bytes:
    """Three interfaces with different clocks (us, ns, 2^-20 s with an offset), taken in turn; simple blocks between."""
    offset = 1_600_000_000
    out = section(order) + interface(order) + interface(order, tsresol=9)
    out += interface(order, tsresol=0x80 | 20, tsoffset=offset)
    for i, f in enumerate(frames):
        ns = START_NS + i * STEP_NS
        if i % 4 == 0:
            out += enhanced(order, 0, ns // 1000, f)
        elif i % 4 == 1:
            out += enhanced(order, 1, ns, f)
        elif i % 4 == 2:
            out += enhanced(order, 2, (ns - offset * 10**9) * 2**20 // 10**9, f)
        else:       # the obsolete packet block: interface and drop count are 16 bits each
            out += block(order, 2, struct.pack(order + "HHIIII", 1, 0, ns >> 32, ns & 0xFFFFFFFF, len(f), len(f)) + f)
        if i == 3:  # a name resolution block: passed over
            out += block(order, 4, bytes(4))
    return out


def cooked(frame: bytes, version: int) -> bytes:
    """The frame as a capture on the interface `any` of the host US keeps it."""
    ours = frame[6:12] == bytes.fromhex(US_MAC.replace(":", ""))
    kind, ethertype = 4 if ours else 0, frame[12:14]
    if version == 1:
        return struct.pack(">HHH", kind, 1, 6) + frame[6:12] + bytes(2) + ethertype + frame[14:]
    return ethertype + bytes(2) + struct.pack(">IHBB", 2, 1, kind, 6) + frame[6:12] + bytes(2) + frame[14:]


FILES: dict[str, Callable[[], bytes]] = {
    "session.pcap": lambda: pcap(plain()),
    "session-ns-big.pcap": lambda: pcap(plain(), ns=True, big=True),
    "session.pcapng": lambda: pcapng(plain()),
    "session-big.pcapng": lambda: pcapng(plain(), ">"),
    "splits.pcap": lambda: pcap(splits(), ns=True),
    "several.pcap": lambda: pcap(several(), ns=True),
    "trouble.pcap": lambda: pcap(trouble(), ns=True),
    "vlan.pcap": lambda: pcap(plain(vlan=100), ns=True),
    "midstream.pcap": lambda: pcap(midstream(), ns=True),
    "wrap.pcap": lambda: pcap(plain(us_isn=2**32 - 700, peer_isn=2**32 - 300), ns=True),
    "lost.pcap": lambda: pcap(lost(), ns=True),
    "ipv6.pcap": lambda: pcap(plain(v6=True), ns=True),
    "raw.pcap": lambda: pcap([f[14:] for f in plain()], ns=True, linktype=101),
    "cooked.pcap": lambda: pcap([cooked(f, 1) for f in plain()], ns=True, linktype=113),
    "cooked2.pcap": lambda: pcap([cooked(f, 2) for f in plain()], ns=True, linktype=276),
    "snaplen.pcap": lambda: pcap(plain(), ns=True, snaplen=96),
    "truncated.pcap": lambda: pcap(plain())[:-30],
    "truncated.pcapng": lambda: pcapng(plain())[:-30],
    "wifi.pcap": lambda: pcap([b"\x08\x01" + bytes(30)], linktype=105),
}


def main() -> None:
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else HERE
    for name, make in FILES.items():
        (folder / name).write_bytes(make())


if __name__ == "__main__":
    main()
