"""The side that survives: a FIX session over kernel sockets, written for the judge alone and from the standard alone.

It keeps its numbers over every connection, asks for what it missed, serves what it is asked for, and now and then asks
for messages that it has, so that the judge can compare them.
"""
import datetime
import select
import socket

from crash.judge import ADMIN

TIME = "%Y%m%d-%H:%M:%S.%f"


class Peer:
    """`judge` hears everything; `place(number)` gives the fields of the next application message."""

    def __init__(self, judge, begin="FIX.4.4", us="VENUE", them="GATEWAY", heartbeat=30):
        self.judge, self.begin, self.us, self.them, self.heartbeat = judge, begin, us, them, heartbeat
        self.next_out = self.expected = 1
        self.kept = {}              # number: (MsgType, body, SendingTime) of application messages
        self.numbers = {}           # identifier: number
        self.life = 0
        self.sock = None
        self.got = 0                # application messages in their turn
        self.left()

    def left(self):
        """The connection is gone."""
        if self.sock is not None:
            self.sock.close()
        self.sock = None
        self.inbound, self.outbound, self.early = b"", b"", {}
        self.asked_to = 0           # an open ResendRequest brings numbers up to here
        self.logged_on = self.logged_out = self.ended = self.placed_logon = False
        self.replies = 0            # application messages of this connection
        self.served_from = self.next_out
        self.echoed = None          # TestReqID(112) of the last Heartbeat

    def connected(self, sock, life, initiate=False):
        self.left()
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock, self.life = sock, life
        if initiate:
            self.logon()

    # -- out

    def frame(self, kind, number, body, sent=None):
        now = datetime.datetime.now(datetime.UTC).strftime(TIME)[:-3]
        head = f"34={number}\x01" + ("43=Y\x01" if sent else "") + f"49={self.us}\x0152={now}\x0156={self.them}\x01" + (
            f"122={sent}\x01" if sent else "")
        inner = f"35={kind}\x01{head}{body}".encode()
        raw = f"8={self.begin}\x019={len(inner)}\x01".encode() + inner
        return raw + b"10=%03d\x01" % (sum(raw) % 256), now

    def send(self, kind, body, ident=None):
        raw, now = self.frame(kind, self.next_out, body)
        if ident is not None:
            self.kept[self.next_out] = (kind, body, now)
            self.numbers[ident] = self.next_out
        self.next_out += 1
        self.write(raw)

    def write(self, raw):
        self.outbound += raw
        self.flush()

    def flush(self):
        try:
            while self.outbound and self.sock is not None:
                self.outbound = self.outbound[self.sock.send(self.outbound):]
        except BlockingIOError:
            pass
        except OSError:
            self.ended = True
            self.outbound = b""

    def logon(self):
        self.placed_logon = True
        self.send("A", f"98=0\x01108={self.heartbeat}\x01")

    def order(self, ident, text=""):
        self.send("D", f"11={ident}\x0155=FIXW\x0154=1\x0138=100\x0140=2\x0144=10.25\x0158={text or 'x'}\x01", ident)

    def ask(self, first):
        """Once more, please, from `first` on, although it may have come before."""
        self.send("2", f"7={first}\x0116=0\x01")

    def serve(self, first, last):
        """Messages again, gap fills for what was administrative."""
        last = self.next_out - 1 if last == 0 or last >= self.next_out else last
        fill = None
        for number in range(first, last + 1):
            if number not in self.kept:
                fill = fill or number
                continue
            if fill:
                self.fill(fill, number)
                fill = None
            kind, body, sent = self.kept[number]
            self.write(self.frame(kind, number, body, sent)[0])
        if fill:
            self.fill(fill, last + 1)

    def fill(self, first, following):
        now = datetime.datetime.now(datetime.UTC).strftime(TIME)[:-3]
        self.write(self.frame("4", first, f"36={following}\x01123=Y\x01", now)[0])

    # -- in

    def poll(self, timeout=0.0, beside=()):
        """Wait for octets and take them; -> those of `beside` that are readable."""
        socks = [self.sock] if self.sock is not None and not self.ended else []
        writers = socks if self.outbound else []
        readable, writable, _ = select.select([*socks, *beside], writers, [], timeout)
        if writable:
            self.flush()
        if self.sock in readable:
            self.read()
        return [s for s in readable if s is not self.sock]

    def read(self):
        """Everything that is there."""
        try:
            while True:
                data = self.sock.recv(1 << 16)
                if not data:
                    self.ended = True
                    break
                self.inbound += data
        except BlockingIOError:
            pass
        except OSError:
            self.ended = True
        self.take()

    def take(self):
        """Whole messages of `inbound`, one after the other."""
        at = 0
        while True:
            body = self.inbound.find(b"\x0135=", at)
            length = self.inbound.find(b"\x019=", at)
            if body < 0 or length < 0:
                break
            n = int(self.inbound[length + 3:body])
            end = body + 1 + n + 7
            if len(self.inbound) < end:
                break
            raw, at = self.inbound[at:end], end
            message = self.judge.heard(self.life, raw)
            if message:
                self.accept(message)
        self.inbound = self.inbound[at:]

    def accept(self, message):
        number, kind = int(message[b"34"]), message[b"35"]
        if kind == b"A":
            self.logged_on = True
            if not self.placed_logon:
                self.logon()
        if kind == b"2":                            # served whatever its number
            self.serve(int(message[b"7"]), int(message[b"16"]))
        if number > self.expected and kind != b"5":
            self.early[number] = message
            if number > self.asked_to and not self.asked_to:
                self.asked_to = number
                self.ask(self.expected)
        elif number == self.expected or kind == b"5":
            self.turn(message, kind)
        while self.early and min(self.early) <= self.expected:
            message = self.early.pop(min(self.early))
            if int(message[b"34"]) == self.expected:        # else a gap fill went over it
                self.turn(message, message[b"35"])
        if self.expected > self.asked_to:
            self.asked_to = 0

    def turn(self, message, kind):
        self.expected = int(message[b"36"]) if kind == b"4" else self.expected + 1
        if kind == b"1":
            self.send("0", f"112={message[b'112'].decode()}\x01")
        elif kind == b"0":
            self.echoed = message.get(b"112", self.echoed)
        elif kind == b"5":
            self.logged_out = True
        elif kind not in ADMIN:
            self.got += 1
            self.replies += 1


