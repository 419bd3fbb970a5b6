"""A gateway with three quiet sessions and one whose peer is hostile, on virtual time: tests/test_gateway_isolation.

    town = Town(validator=...)                  options of the hostile peer's session
    town.say("35=0|")                           the hostile peer's next message, header and trailer filled in
    town.pour(octets)                           any octets of his, as fast as TCP takes them
    town.pass_ms(1500)                          a step a millisecond; what the gateway did is in `town`

The quiet sessions' Heartbeats are due every second; `late` holds those that did not leave in the step they were due in.
"""
import ctypes
import datetime
import gc

from street import UTC_OFFSET_NS, Quiet, Street

from stack import TcpError

MS = 1_000_000
QUIET = ("Q1", "Q2", "Q3")
HEARTBEAT_MS = 1000


class Blocks(ctypes.Structure):
    """struct mallinfo2 (malloc.h)."""
    _fields_ = [(name, ctypes.c_size_t) for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks",
                                                     "uordblks", "fordblks", "keepcost")]


libc = ctypes.CDLL(None)
libc.mallinfo2.restype = Blocks


def memory():
    """Octets that malloc has given out, mapped ones included."""
    gc.collect()
    m = libc.mallinfo2()
    return m.uordblks + m.hblkhd


class Line:
    """One peer of the gateway: a TCP connection and the numbers of what he says."""

    def __init__(self, town, name):
        self.town, self.name = town, name
        self.number = 0
        self.reading = True
        self.inbound = b""
        self.left = b""
        self.conn = town.street.gateway.stack.connect("10.0.0.2", 9878, now_ns=town.street.now_ns)

    def message(self, text):
        """`text` begins with MsgType; "34=" in it is taken as it is."""
        self.number += 1
        kind, _, more = text.partition("|")
        at = datetime.datetime.fromtimestamp((self.town.street.now_ns + UTC_OFFSET_NS) / 1e9, datetime.UTC)
        number = "" if "|34=" in text else f"34={self.number}|"
        text = f"{kind}|{number}49={self.name}|52={at:%Y%m%d-%H:%M:%S}|56=VENUE|{more}"
        body = text.replace("|", "\x01").encode("latin-1")
        whole = b"8=FIX.4.4\x019=%d\x01" % len(body) + body
        return whole + b"10=%03d\x01" % (sum(whole) % 256)

    def say(self, text):
        self.left += self.message(text)
        self.turn()

    def turn(self):
        """Send what TCP takes, read what is there."""
        try:
            if self.left:
                self.left = self.left[self.conn.send(self.left[:1 << 16], now_ns=self.town.street.now_ns):]
            if self.reading:
                self.inbound = (self.inbound + self.conn.recv())[-1 << 16:]
        except TcpError:                # the gateway has closed it
            self.left = b""

    def heard(self):
        return self.inbound.replace(b"\x01", b"|").decode("latin-1")


class Town:
    def __init__(self, **options):
        self.street = street = Street(Quiet(), connect=False)
        self.gateway = street.venue
        for name in QUIET:
            self.gateway.add_session("VENUE", name, role="acceptor", port=9878, strategy=street.venue_strategy)
        self.evil = self.gateway.add_session("VENUE", "EVIL", role="acceptor", port=9878, strategy=street.venue_strategy,
                                             **options)
        self.late = []
        self.beats = dict.fromkeys(QUIET, 0)
        self.last = {}
        self.most_messages = self.most_octets = self.most_sent = 0
        self.events = []
        self.ms = 0
        self.peers = []
        street.settle()
        self.peers = [Line(self, name) for name in (*QUIET, "EVIL")]
        self.line = self.peers[-1]
        for peer in self.peers:
            street.settle()
            peer.say(f"35=A|98=0|108={HEARTBEAT_MS // 1000}|")
        self.pass_ms(5)
        assert all(s.logged_on for s in self.gateway.sessions[1:])
        self.most_messages = self.most_octets = self.most_sent = 0

    def say(self, text):
        self.line.say(text)

    def pour(self, octets):
        self.line.left += octets

    def pass_ms(self, n):
        """A step every millisecond; the quiet peers say Heartbeat when it is time."""
        for _ in range(n):
            self.ms += 1
            if self.ms % (HEARTBEAT_MS - 100) == 0:
                for peer in self.peers[:-1]:
                    peer.say("35=0|")
            for peer in self.peers:
                peer.turn()
            before = self.evil.stats()
            self.street.step(MS)
            after = self.evil.stats()
            self.most_messages = max(self.most_messages, after["messages_in"] - before["messages_in"])
            self.most_octets = max(self.most_octets, after["octets_in"] + after["garbled_octets"]
                                   - before["octets_in"] - before["garbled_octets"])
            self.most_sent = max(self.most_sent, after["messages_out"] - before["messages_out"])
            self.watch()

    def watch(self):
        for now_ns, name, way, octets in self.gateway.messages():
            peer = name.partition(">")[2]
            if way == "out" and peer in QUIET:
                due = self.last.get(peer, now_ns - HEARTBEAT_MS * MS) + HEARTBEAT_MS * MS
                if b"\x0135=0\x01" in octets:
                    self.beats[peer] += 1
                    if not 0 <= now_ns - due < MS:          # the first step that could
                        self.late.append((peer, now_ns - due))
                self.last[peer] = now_ns
        self.events += [event for _, name, event, _ in self.gateway.events() if name.endswith(">EVIL")]

    def undisturbed(self, beats):
        """Each quiet session was logged on all the time and said Heartbeat when it was due, `beats` times at the least."""
        assert self.late == [] and all(n >= beats for n in self.beats.values()), (self.late[:3], self.beats)
        assert all(s.logged_on for s in self.gateway.sessions[1:4])

    def close(self):
        self.street.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()
