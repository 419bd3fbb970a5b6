"""The test language of TCP: a stack at one end of a pair, a scripted peer at the other, time turned by hand.

    link.rx(ACK, seq=PEER + 1, ack=US + 1, text=b"abc")     the peer sends this; the stack takes one step
    link.tx(ACK, seq=US + 1, ack=PEER + 4)                  the stack's next frame is exactly this
    link.silent()                                           and nothing else leaves
    link.wait(ns)                                           time passes, the stack is stepped at each of its deadlines

PEER is the peer's initial sequence number, a few below 2**32, so it wraps inside each test. US stands for ours, whatever it
is: numbers are mapped both ways, SACK blocks included, and the clock starts where our ISN lies a few below 2**32 too.
`window` and `tos` are compared where they are written; options always, but on SYN only where written. Frames are made and
read here, with struct and nothing of stack/.
"""
import struct

import pytest

from dpdk_py.pair import pair
from stack import Stack
from stack.wire.text import frame_text

FIN, SYN, RST, PSH, ACK, URG, ECE, CWR = 1, 2, 4, 8, 16, 32, 64, 128
PEER = 2**32 - 3            # SYN, one octet, and the number is 0 again
US = 0x5000_0000_0000       # no sequence number: replaced by the live one
US_BELOW = 3                # how far below 2**32 our ISN is
MSS = 1460
MS, S = 1_000_000, 1_000_000_000
OUR_MAC, PEER_MAC = bytes.fromhex("020000000001"), bytes.fromhex("020000000002")
OUR_ADDR, PEER_ADDR = bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2])
NAMES = ((SYN, "SYN"), (FIN, "FIN"), (RST, "RST"), (PSH, "PSH"), (ACK, "ACK"), (URG, "URG"), (ECE, "ECE"), (CWR, "CWR"))


def f(first, n):
    """n octets of the stream whose octet i is f(i): a wrong, lost or doubled one shows."""
    return bytes((i * 197 + (i >> 8) * 31 + (i >> 16) * 7 + 1) & 0xFF for i in range(first, first + n))


def mss(n):
    return struct.pack("!BBH", 2, 4, n)


def wscale(n):
    return bytes([1, 3, 3, n])


SACK_OK = bytes([1, 1, 4, 2])


def ts(val, ecr):
    return struct.pack("!BBBBII", 1, 1, 8, 10, val & 0xFFFFFFFF, ecr & 0xFFFFFFFF)


def sack(*blocks):
    """Blocks as written: PEER + n when we send them, US + n when the peer does."""
    return ("sack", blocks)


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def tcp_frame(sport, dport, seq, ack, flags, window, options=b"", text=b"", up=0, tos=0, src=PEER_ADDR, dst=OUR_ADDR,
              bad_sum=False):
    options += b"\0" * (-len(options) % 4)
    hlen = 20 + len(options)
    head = struct.pack("!HHIIBBHHH", sport, dport, seq % 2**32, ack % 2**32, hlen // 4 << 4, flags, window, 0, up)
    pseudo = src + dst + struct.pack("!BBH", 0, 6, hlen + len(text))
    total = checksum(pseudo + head + options + text) ^ (0x1234 if bad_sum else 0)
    head = head[:16] + struct.pack("!H", total) + head[18:]
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, tos, 20 + hlen + len(text), 0, 0x4000, 64, 6, 0, src, dst)
    ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
    return OUR_MAC + PEER_MAC + b"\x08\x00" + ip + head + options + text


class Segment:
    """One TCP frame of ours, taken apart and its checksums verified."""

    def __init__(self, frame):
        self.frame = frame
        ip = frame[14:]
        assert frame[12:14] == b"\x08\x00" and ip[0] == 0x45 and ip[9] == 6, f"not TCP: {frame.hex()}"
        assert checksum(ip[:20]) == 0, "IPv4 header checksum"
        self.tos = ip[1]
        ip, self.src, self.dst = ip[:struct.unpack("!H", ip[2:4])[0]], ip[12:16], ip[16:20]
        tcp = ip[20:]
        assert checksum(self.src + self.dst + struct.pack("!BBH", 0, 6, len(tcp)) + tcp) == 0, "TCP checksum"
        (self.sport, self.dport, self.seq, self.ack, offset, self.flags, self.window, _, self.up) = \
            struct.unpack("!HHIIBBHHH", tcp[:20])
        self.options, self.text = tcp[20:offset >> 4 << 2], tcp[offset >> 4 << 2:]

    def __repr__(self):
        return frame_text(self.frame, 0)


def drain(link):
    """All segments that have left."""
    got = []
    while segment := link.sent():
        got.append(segment)
    return got


def flag_names(flags):
    return "|".join(name for bit, name in NAMES if flags & bit) or "none"


class Link:
    """See the head of the module. `conn` is the connection under test; sport/dport its ports, ours first."""

    def __init__(self, seed=7, mtu=1500, **options):
        self.seed, self.mtu, self.options = seed, mtu, options
        self.sport, self.dport = 50000, 80
        self.device, self.peer = pair(mtu=mtu, macs=(OUR_MAC, PEER_MAC))
        self.conn = self.listener = None
        self.iss = None
        self.peer_window = 65535
        self.stack = self.make_stack(self.device)
        self.now = 0

    def make_stack(self, device):
        stack = Stack(device, "10.0.0.1/24", "10.0.0.254", seed=self.seed, announce=False, **self.options)
        stack.net.add_neighbor("10.0.0.2", PEER_MAC)
        stack.net.add_neighbor("10.0.0.254", PEER_MAC)
        return stack

    # -- time
    def start_where_isn_wraps(self, active):
        """Our ISN is a clock of 4 us plus a secret of the 4-tuple: learn the secret from a stack of the same seed."""
        mine, theirs = pair(macs=(OUR_MAC, PEER_MAC))
        other = self.make_stack(mine)
        if active:
            other.connect("10.0.0.2", self.dport, local_port=self.sport, now_ns=0)
        else:
            other.listen(self.sport)
            other.step(0)
            theirs.tx(tcp_frame(self.dport, self.sport, PEER, 0, SYN, 65535, mss(MSS)))
            other.step(0)
        secret = Segment(theirs.rx_burst(1, 0)[0].data).seq
        self.now = (2**32 - US_BELOW - secret) % 2**32 * 4000
        self.stack.step(self.now)

    def step(self):
        self.stack.step(self.now)

    def wait(self, ns):
        """Time passes; the stack is stepped whenever it wanted to be, and at the end."""
        end = self.now + ns
        while True:
            at = self.stack.deadline()
            if at is None or at > end:
                break
            self.now = max(self.now, at)
            self.stack.step(self.now)
        self.now = end
        self.stack.step(end)

    # -- the peer's hand
    def live(self, number):
        if number < US // 2:
            return number % 2**32
        assert self.iss is not None, "US is not known before our first segment"
        return (number - US + self.iss) % 2**32

    def option_bytes(self, opts):
        if isinstance(opts, tuple):
            edges = [self.live(x) for block in opts[1] for x in block]
            return struct.pack("!BBBB", 1, 1, 5, 2 + 4 * len(edges)) + b"".join(struct.pack("!I", x) for x in edges)
        if isinstance(opts, list):
            return b"".join(self.option_bytes(x) for x in opts)
        return opts

    def frame(self, flags, seq, ack=0, text=b"", window=None, opts=b"", **fields):
        return tcp_frame(fields.pop("sport", self.dport), fields.pop("dport", self.sport), self.live(seq), self.live(ack),
                         flags, self.peer_window if window is None else window, self.option_bytes(opts), text, **fields)

    def rx(self, flags, seq, ack=0, text=b"", window=None, opts=b"", **fields):
        assert self.peer.tx(self.frame(flags, seq, ack, text, window, opts, **fields))
        self.step()

    def rx_burst(self, *frames):
        """Several frames (link.frame(...)) in one step."""
        for frame in frames:
            assert self.peer.tx(frame)
        self.step()

    # -- what the stack does
    def sent(self):
        """Its next frame as a Segment, None if there is none."""
        got = self.peer.rx_burst(1, self.now)
        return Segment(got[0].data) if got else None

    def tx(self, flags, seq, ack=None, text=b"", window=None, opts=None, tos=None, up=None):
        got = self.sent()
        want = f"{flag_names(flags)} seq={seq - US if seq >= US // 2 else seq:+} len={len(text)}"
        assert got is not None, f"nothing was sent, expected {want}"
        if self.iss is None and flags & SYN:
            self.iss = (got.seq - (seq - US)) % 2**32
        assert flag_names(got.flags) == flag_names(flags), f"{got}, expected {want}"
        off = (got.seq - (self.iss or 0) + 2**31) % 2**32 - 2**31
        assert got.seq == self.live(seq), f"{got}: seq is US{off:+}, expected {want}"
        if ack is None:
            assert not got.flags & ACK
        else:
            assert got.ack == self.live(ack), \
                f"{got}: ack is PEER{(got.ack - PEER + 2**31) % 2**32 - 2**31:+}, expected PEER{(ack - PEER):+}"
        assert got.text == text, f"{got}: text is {got.text[:40]!r} ({len(got.text)}), expected {text[:40]!r} ({len(text)})"
        if window is not None:
            assert got.window == window, f"{got}: window"
        if opts is not None or not flags & SYN:
            assert got.options == self.option_bytes(opts or b""), \
                f"{got}: options {got.options.hex()}, expected {self.option_bytes(opts or b'').hex()}"
        if tos is not None:
            assert got.tos == tos, f"{got}: tos is {got.tos}"
        if up is not None:
            assert got.up == up, f"{got}: urgent pointer is {got.up}"
        return got

    def silent(self):
        got = self.sent()
        assert got is None, f"sent {got}"

    # -- openings, by conversation
    def connect(self, **options):
        """Our SYN is out."""
        self.start_where_isn_wraps(True)
        self.conn = self.stack.connect("10.0.0.2", self.dport, local_port=self.sport, now_ns=self.now, **options)
        ecn = {**self.options, **options}.get("ecn")
        self.tx(SYN | ECE | CWR if ecn else SYN, seq=US)
        return self

    def listen(self, **options):
        self.start_where_isn_wraps(False)
        self.listener = self.stack.listen(self.sport, **options)
        return self

    def established(self, opts=None, window=65535, rtt=0, **options):
        """An active open has succeeded, in `rtt` ns. `opts`: of the peer's SYN-ACK, by default its MSS alone."""
        self.connect(**options)
        self.wait(rtt)
        self.peer_window = window
        self.rx(SYN | ACK, seq=PEER, ack=US + 1, opts=mss(MSS) if opts is None else opts, window=min(window, 65535))
        got = self.sent()
        assert got.flags == ACK and not got.text
        self.silent()
        assert self.conn.state == "ESTABLISHED" and self.conn.events() == ["connected"]
        return self

    def accepted(self, opts=None, **options):
        """A passive open has succeeded."""
        self.listen(**options)
        self.rx(SYN, seq=PEER, opts=mss(MSS) if opts is None else opts)
        self.tx(SYN | ACK, seq=US, ack=PEER + 1)
        self.rx(ACK, seq=PEER + 1, ack=US + 1)
        self.conn = self.listener.accept()
        assert self.conn.state == "ESTABLISHED"
        return self

    def counted(self):
        """Every segment has exactly one verdict or reason, and the device agrees."""
        k = self.stack.counters()
        assert k["segments_in"] == sum(v for name, v in k.items() if name.startswith("rx_"))
        assert k["segments_out"] == sum(v for name, v in k.items() if name.startswith("tx_"))
        return k


@pytest.fixture
def link():
    link = Link()
    yield link
    link.counted()


@pytest.fixture
def make_link():
    made = []

    def make(**options):
        made.append(Link(**options))
        return made[-1]
    yield make
    for link in made:
        link.counted()
