"""Makes captures of TCP connections that went wrong in every way, seeded: for `show`, `tap` and `replay`.

A capture is a list of (ts_ns, frame, original length). `Side` sends text in order; `spoil` then splits nothing and
forges nothing, it only does to the frames what networks and capture points do.
"""
import random
import struct

SOH = b"\x01"
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
START = 1_500_000_000 * 10**9


def fix(fields, begin="FIX.4.2"):
    """A whole message from `35=D|34=2|...`; BodyLength and CheckSum are put around it."""
    body = fields.encode("latin-1") if isinstance(fields, str) else fields
    body = body.replace(b"|", SOH)
    head = b"8=" + begin.encode() + b"\x019=%d\x01" % len(body)
    return head + body + b"10=%03d\x01" % (sum(head + body) % 256)


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data[:len(data) & ~1])) + (data[-1] << 8 if len(data) & 1 else 0)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ip(text):
    return bytes(map(int, text.split(".")))


def frame(src, dst, seq, ack=0, flags=ACK, text=b"", vlan=None, options=b"", bad_checksum=False, window=65535, ident=0):
    """An Ethernet frame; src and dst are ("10.0.0.1", 5001)."""
    tcp = struct.pack("!HHIIBBHHH", src[1], dst[1], seq & 0xFFFFFFFF, ack & 0xFFFFFFFF, (20 + len(options)) // 4 << 4,
                      flags, window, 0, 0) + options + text
    pseudo = ip(src[0]) + ip(dst[0]) + struct.pack("!HH", 6, len(tcp))
    c = checksum(pseudo + tcp) ^ (0x5555 if bad_checksum else 0)
    tcp = tcp[:16] + struct.pack("!H", c) + tcp[18:]
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(tcp), ident, 0x4000, 64, 6, 0, ip(src[0]), ip(dst[0]))
    head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
    kind = b"\x08\x00" if vlan is None else b"\x81\x00" + struct.pack("!H", vlan) + b"\x08\x00"
    return b"\x02\x00\x00\x00\x00\x02\x02\x00\x00\x00\x00\x01" + kind + head + tcp


def write(path, packets, magic="us", order="<", link=1, snaplen=None):
    """A pcap file of (ts_ns, frame[, original length])."""
    unit = 1000 if magic == "us" else 1
    with open(path, "wb") as f:
        f.write(struct.pack(order + "IHHiIII", 0xA1B2C3D4 if magic == "us" else 0xA1B23C4D, 2, 4, 0, 0, 65535, link))
        for ts, data, *more in packets:
            wire = more[0] if more else len(data)
            data = data[:snaplen] if snaplen else data
            f.write(struct.pack(order + "IIII", ts // 10**9, ts % 10**9 // unit, len(data), wire) + data)
    return path


class Side:
    """One end of a connection: its address and where its sequence numbers are."""

    def __init__(self, addr, port, isn):
        self.end, self.isn, self.nxt = (addr, port), isn, isn


class Connection:
    """Frames of one connection, in order, as if captured in the middle. `packets` grows with every call."""

    def __init__(self, client=("10.0.0.2", 40_001), server=("10.0.0.9", 9876), isns=(1000, 9000), start=START,
                 step=10**6, vlan=None):
        self.client, self.server = Side(*client, isns[0]), Side(*server, isns[1])
        self.now, self.step, self.vlan, self.packets = start, step, vlan, []

    def put(self, a, b, flags=ACK, text=b"", seq=None, **kw):
        octets = frame(a.end, b.end, a.nxt if seq is None else seq, b.nxt if flags & ACK else 0, flags, text,
                       vlan=self.vlan, **kw)
        self.packets.append((self.now, octets))
        self.now += self.step

    def open(self):
        self.put(self.client, self.server, SYN)
        self.client.nxt += 1
        self.put(self.server, self.client, SYN | ACK)
        self.server.nxt += 1
        self.put(self.client, self.server)
        return self

    def say(self, a, text, pieces=(), acked=True):
        """`a` sends text, cut at the offsets in `pieces`, each piece acknowledged by the other end."""
        b = self.server if a is self.client else self.client
        cuts = [0, *sorted(c for c in set(pieces) if 0 < c < len(text)), len(text)]
        for i, j in zip(cuts, cuts[1:], strict=False):
            self.put(a, b, PSH | ACK, text[i:j])
            a.nxt += j - i
            if acked:
                self.put(b, a)

    def close(self):
        for a, b in ((self.client, self.server), (self.server, self.client)):
            self.put(a, b, FIN | ACK)
            a.nxt += 1
        self.put(self.client, self.server)


def retimed(packets, step=10**6):
    """The same frames in this order at even times: what a capture point saw."""
    start = packets[0][0] if packets else START
    return [(start + i * step, *p[1:]) for i, p in enumerate(packets)]


def reordered(rng, packets, distance=6, share=0.2):
    """Some frames arrive up to `distance` places later."""
    keys = [i + (rng.randint(1, distance) + 0.5 if rng.random() < share else 0) for i in range(len(packets))]
    return retimed([packets[i] for i in sorted(range(len(packets)), key=keys.__getitem__)])


def repeated(rng, packets, share=0.15, distance=12):
    """Some frames come again, as they were or joined with the octets of the next (an overlap)."""
    out = list(packets)
    for i in reversed(range(len(packets))):
        if rng.random() < share:
            out.insert(min(len(out), i + rng.randint(1, distance)), packets[i])
    return retimed(out)


def messages(rng, count, begin="FIX.4.2", size=200):
    """Messages of assorted types and lengths, numbered."""
    out = []
    for n in range(1, count + 1):
        kind = rng.choice("0158DFG") if rng.random() < 0.9 else "AE"
        text = "".join(rng.choices("abcdefghijklmnopqrstuvwxyz =8FIX.", k=rng.randint(0, size)))
        out.append(fix(f"35={kind}|34={n}|49=A|56=B|52=20170714-02:40:00.{n % 1000:03d}|58={text}x|", begin))
    return out


def spoilt(seed, count=30):
    """(packets, how many messages each direction said): one connection with everything at once, losses apart."""
    rng = random.Random(seed)
    isns = [rng.choice((rng.randrange(2**32), 2**32 - rng.randrange(1, 5000))) for _ in range(2)]
    c = Connection(isns=isns, vlan=rng.choice((None, None, 7)), step=rng.choice((10**3, 10**6, 10**8)))
    if rng.random() < 0.6:
        c.open()
    for side in (c.client, c.server) * rng.randint(1, 3):
        text = b"".join(messages(rng, rng.randint(1, count), rng.choice(("FIX.4.2", "FIX.4.4", "FIXT.1.1"))))
        if rng.random() < 0.4:
            at = rng.randrange(len(text))
            text = text[:at] + rng.choice((b"8=FIX", b"8=FIXC.1|9=5\x01", b"\x00" * 50, b"8=FIX.4.2\x019=99999\x01",
                                           b"10=000\x01", b"8=F")) + text[at:]
        n = rng.choice((0, 1, 3, len(text) // 400, len(text) // 100, len(text) if len(text) < 3000 else 9))
        c.say(side, text, [rng.randrange(len(text)) for _ in range(n)] if n < len(text) else range(len(text)),
              acked=rng.random() < 0.7)
    if rng.random() < 0.5:
        c.close()
    packets = c.packets
    if rng.random() < 0.6:
        packets = repeated(rng, packets)
    if rng.random() < 0.6:
        packets = reordered(rng, packets)
    return retimed(packets, c.step)
