"""An independent reader of captures: pcap and pcapng, TCP streams put together offline, FIX messages found in them.

Plain Python over the whole file at once, written for reading and not for speed; shares no code with the product.
It holds every segment of a connection, lays the first copy of each octet at its place and then looks at the
contiguous stretches, so order, repetition and loss cannot confuse it. The judge of `fixwire show`.
"""
import re
import struct
from dataclasses import dataclass, field

ETHERNET, RAW, LINUX_SLL, IPV4_RAW, LINUX_SLL2 = 1, 101, 113, 228, 276
BEGIN = re.compile(rb"8=FIX[^\x01]{0,26}\x019=(\d{1,9})\x01")


@dataclass
class Packet:
    ts_ns: int
    link: int
    octets: bytes
    wire_len: int


@dataclass
class Message:
    ts_ns: int              # of the packet that brought its last octet
    src: str
    dst: str
    raw: bytes

    @property
    def type(self):
        return re.search(rb"\x0135=([^\x01]*)\x01", self.raw)[1].decode("latin-1")


@dataclass
class Summary:
    packets: int = 0
    flows: int = 0
    messages: list = field(default_factory=list)
    garbled: int = 0


def read(path):
    """The packets of a capture file; stops without complaint at a record that is cut off."""
    with open(path, "rb") as f:
        data = f.read()
    magic = data[:4]
    if magic == b"\x0a\x0d\x0d\x0a":
        return list(_read_ng(data))
    order, unit = {b"\xd4\xc3\xb2\xa1": ("<", 1000), b"\xa1\xb2\xc3\xd4": (">", 1000),
                   b"\x4d\x3c\xb2\xa1": ("<", 1), b"\xa1\xb2\x3c\x4d": (">", 1)}[magic]
    link = struct.unpack_from(order + "I", data, 20)[0] & 0xFFFF
    packets, at = [], 24
    while at + 16 <= len(data):
        sec, frac, caplen, wire = struct.unpack_from(order + "IIII", data, at)
        if at + 16 + caplen > len(data):
            break
        packets.append(Packet(sec * 10**9 + frac * unit, link, data[at + 16:at + 16 + caplen], wire))
        at += 16 + caplen
    return packets


def _read_ng(data):
    at, order, interfaces = 0, "<", []
    while at + 12 <= len(data):
        kind = struct.unpack_from("<I", data, at)[0]
        if kind == 0x0A0D0D0A:
            order = "<" if data[at + 8:at + 12] == b"\x4d\x3c\x2b\x1a" else ">"
            interfaces = []
        kind, length = struct.unpack_from(order + "II", data, at)
        if length < 12 or at + length > len(data):
            return
        body = data[at + 8:at + length - 4]
        if kind == 1:
            units, o = 10**6, 8
            while o + 4 <= len(body):
                code, n = struct.unpack_from(order + "HH", body, o)
                if code == 9:
                    v = body[o + 4]
                    units = 2**(v & 0x7F) if v & 0x80 else 10**v
                o += 4 + (n + 3 & ~3)
            interfaces.append((struct.unpack_from(order + "H", body)[0], units))
        elif kind == 6:
            i, hi, lo, caplen, wire = struct.unpack_from(order + "IIIII", body)
            link, units = interfaces[i]
            yield Packet((hi << 32 | lo) * 10**9 // units, link, body[20:20 + caplen], wire)
        at += length


def ipv4_of(packet):
    """The IPv4 packet inside, or None."""
    o = packet.octets
    if packet.link == ETHERNET:
        kind, at = o[12:14], 14
        if kind == b"\x81\x00":
            kind, at = o[16:18], 18
        return o[at:] if kind == b"\x08\x00" else None
    if packet.link == LINUX_SLL:
        return o[16:] if o[14:16] == b"\x08\x00" else None
    if packet.link == LINUX_SLL2:
        return o[20:] if o[0:2] == b"\x08\x00" else None
    return o


@dataclass
class Segment:
    ts_ns: int
    src: tuple
    dst: tuple
    seq: int
    flags: int
    text: bytes


def segment_of(packet):
    """The TCP segment inside, with as much text as was captured; None for anything else, fragments included."""
    ip = ipv4_of(packet)
    if not ip or len(ip) < 20 or ip[0] >> 4 != 4 or ip[9] != 6:
        return None
    head, total, frag = (ip[0] & 15) * 4, struct.unpack_from("!H", ip, 2)[0], struct.unpack_from("!H", ip, 6)[0]
    if frag & 0x3FFF or head < 20 or total < head:
        return None
    tcp = ip[head:total]
    if len(tcp) < 20 or (tcp[12] >> 4) * 4 < 20 or (tcp[12] >> 4) * 4 > total - head:
        return None
    sport, dport, seq = struct.unpack_from("!HHI", tcp)
    src, dst = (".".join(map(str, ip[12:16])), sport), (".".join(map(str, ip[16:20])), dport)
    return Segment(packet.ts_ns, src, dst, seq, tcp[13], tcp[(tcp[12] >> 4) * 4:])


class Stream:
    """One direction of one connection: segments by unwrapped position, first copy of an octet wins."""

    def __init__(self, src, dst):
        self.src, self.dst = src, dst
        self.isn = self.last = self.first = None
        self.position = 1 << 32
        self.segments = []

    def add(self, seg):
        seq = seg.seq
        if seg.flags & 2:
            self.isn = seq
            seq += 1
        if self.last is not None:
            self.position += ((seq - self.last + 2**31) & 0xFFFFFFFF) - 2**31
        self.last = seq
        if self.first is None and (seg.text or seg.flags & 2):
            self.first = seq
        if seg.text:
            self.segments.append((self.position, seg.ts_ns, seg.text))

    def another(self, isn):
        """Does a SYN with this number begin another connection? Not one that was captured behind its own text."""
        if self.first is None or self.isn == isn:
            return False
        return self.isn is not None or (self.first - isn - 1) % 2**32 > 48 * 1024

    def stretches(self):
        """Contiguous runs of octets, and when each octet had come with all before it in its run."""
        octets = {}
        for at, ts, text in self.segments:
            for i, x in enumerate(text, at):
                octets.setdefault(i, (x, ts))
        run, times, before = bytearray(), [], None
        for i in sorted(octets):
            if before is not None and i != before + 1:
                yield bytes(run), times
                run, times = bytearray(), []
            run.append(octets[i][0])
            times.append(max(octets[i][1], times[-1]) if times else octets[i][1])
            before = i
        if run:
            yield bytes(run), times


def find(data):
    """((begin, end) of each whole message, number of `8=FIX` that began none)."""
    found, garbled, at = [], 0, 0
    while (at := data.find(b"8=FIX", at)) >= 0:
        end = _whole(data, at)
        if end:
            found.append((at, end))
            at = end
        else:
            garbled += 1
            at += 5
    return found, garbled


def _whole(data, at):
    m = BEGIN.match(data, at)
    if not m:
        return None
    trailer = m.end() + int(m[1])
    if data[trailer - 1:trailer] != b"\x01" or not re.fullmatch(rb"10=\d\d\d\x01", data[trailer:trailer + 7]):
        return None
    return trailer + 7 if sum(data[at:trailer]) % 256 == int(data[trailer + 3:trailer + 6]) else None


def summarise(path):
    """Every message of a capture in the order it was completed, and how many stretches only began like one."""
    out, live, streams = Summary(), {}, []
    for packet in read(path):
        out.packets += 1
        seg = segment_of(packet)
        if seg is None:
            continue
        key = tuple(sorted((seg.src, seg.dst)))
        pair = live.get(key)
        stream = pair and pair[seg.src]
        if pair is None or seg.flags & 2 and stream.another(seg.seq):
            pair = live[key] = {a: Stream(a, b) for a, b in ((seg.src, seg.dst), (seg.dst, seg.src))}
            streams += pair.values()
            out.flows += 1
        pair[seg.src].add(seg)
    for s in streams:
        for data, times in s.stretches():
            found, garbled = find(data)
            out.garbled += garbled
            out.messages += [Message(times[e - 1], f"{s.src[0]}:{s.src[1]}", f"{s.dst[0]}:{s.dst[1]}", data[b:e])
                             for b, e in found]
    out.messages.sort(key=lambda m: m.ts_ns)
    return out
