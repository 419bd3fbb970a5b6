"""Two sessions, a wire that breaks, and time turned by hand: run one seed, or see what it did.

    python tests/fix_simulation.py SEED        the run of one seed, message by message

Faults: the connection is lost with what is on its way, in either direction and in mid-message; octets arrive in any
pieces and after any delay; an octet is changed on its way (as a broken router or a bug would), which garbles a message;
a process dies and comes back with its store; a peer stops reading for a while. At the end the faults stop, and then every
application message must have been delivered once, in order, and both sides must agree on both numbers.
"""
import random
import sys

import fix

SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND


class Side:
    """One session, its application and the octets on their way to it."""

    def __init__(self, world, role, names, rng):
        self.world, self.role, self.names, self.rng = world, role, names, rng
        self.store = fix.MemoryStore(octets=1 << 16, messages=1024)
        self.options = dict(HeartBtInt=5, resend_messages=rng.choice([1, 3, 64]), step_messages=rng.choice([1, 5, 64]),
                            queue_octets=rng.choice([0, 600, 65536]), resend_request_max=rng.choice([0, 0, 2, 7]),
                            next_expected=rng.random() < 0.2, resend_timeout_ns=3 * SECOND)
        self.sent, self.got = [], []
        self.inbound = []           # (when, octets)
        self.blocked_until = 0
        self.live()

    def live(self):
        self.session = fix.Session(self.role, *self.names, "FIX.4.4", store=self.store, utc_offset_ns=START,
                                   on_event=self.on_event, **self.options)

    def on_event(self, session, event):
        self.world.log(self, event)
        if event.name == "MESSAGE":
            self.got.append(event.raw.split(b"\x0158=")[1].split(b"\x01")[0].decode())
        elif event.name == "LOGON" and self.rng.random() < 0.3:
            self.say()

    def say(self):
        text = f"{self.role}-{len(self.sent)}"
        try:
            self.session.send([(35, "B"), (148, "x" * self.rng.randrange(40)), (58, text)], self.world.now)
        except fix.LocalProtocolError:
            return
        self.sent.append(text)


class World:
    def __init__(self, seed, messages=60, faults=True, verbose=False):
        self.rng = rng = random.Random(seed)
        self.now, self.verbose, self.faults = SECOND, verbose, faults
        self.lines = []
        self.up = False
        self.a = Side(self, "initiator", ("A", "B"), rng)
        self.b = Side(self, "acceptor", ("B", "A"), rng)
        self.b.options["next_expected"] = self.a.options["next_expected"]
        self.b.live()
        self.left = messages
        self.breaks = rng.randrange(12)

    def log(self, side, what):
        if self.verbose:
            print(f"{self.now / SECOND:8.3f} {side.role[:1].upper()} {side.session.state:12} "
                  f"{side.session.next_in:4}/{side.session.next_out:<4} {what}")

    def connect(self):
        self.up = True
        for side in (self.b, self.a):
            side.inbound.clear()
            side.blocked_until = 0
            side.session.connected(self.now)

    def disconnect(self):
        self.up = False
        for side in (self.a, self.b):
            if self.faults and self.rng.random() < 0.3:     # part of what was on its way still arrives
                self.deliver(side, everything=False)
            side.inbound.clear()
            side.session.disconnected(self.now)

    def die(self, side):
        """The process ends; its store is what it was."""
        self.log(side, "dies")
        side.session = None
        side.live()
        other = self.b if side is self.a else self.a
        self.up = False
        side.inbound.clear()
        other.inbound.clear()
        other.session.disconnected(self.now)

    def carry(self):
        """What the sessions want to send goes on its way."""
        for side, other in ((self.a, self.b), (self.b, self.a)):
            data = side.session.data_to_send()
            if not data or not self.up:
                continue
            if self.faults and self.breaks and self.rng.random() < 0.02:
                data = bytearray(data)
                data[self.rng.randrange(len(data))] ^= 1 << self.rng.randrange(7)
            when = max([self.now + self.rng.randrange(1, 200_000_000)] + [w for w, _ in other.inbound[-1:]])
            while data:
                cut = self.rng.choice([1, 7, 60, 300, len(data)])
                other.inbound.append((when, bytes(data[:cut])))
                data = data[cut:]

    def deliver(self, side, everything=False):
        while side.inbound and (everything or side.inbound[0][0] <= self.now) and side.blocked_until <= self.now:
            _, data = side.inbound.pop(0)
            if side.session.state == "DISCONNECTED":
                continue
            side.session.receive(data, self.now)

    def step(self):
        rng = self.rng
        if not self.up:
            self.now += rng.randrange(1, 2 * SECOND)
            self.connect()
        for side in (self.a, self.b):
            if self.faults and self.left and rng.random() < 0.5:
                side.say()
                self.left -= 1
            self.deliver(side)
            side.session.poll(self.now)
        self.carry()
        if self.faults and self.breaks and rng.random() < 0.04:
            self.breaks -= 1
            fault = rng.randrange(3)
            side = rng.choice([self.a, self.b])
            if fault == 0:
                self.disconnect()
            elif fault == 1:
                self.die(side)
            else:
                side.blocked_until = self.now + rng.randrange(4 * SECOND)
        if self.up and any(s.session.close_requested and not s.session.data_to_send() for s in (self.a, self.b)):
            self.disconnect()
        due = [w for s in (self.a, self.b) for w, _ in s.inbound[:1]]
        due += [s.session.deadline_ns for s in (self.a, self.b) if s.session.deadline_ns is not None]
        soonest = min(due, default=self.now + SECOND)
        self.now = max(self.now + 1_000_000, min(soonest, self.now + SECOND))

    def agreed(self):
        a, b = self.a.session, self.b.session
        return (a.established and b.established and a.next_in == b.next_out and b.next_in == a.next_out
                and not self.a.inbound and not self.b.inbound)

    def run(self):
        """Steps until all is said and agreed on; raises AssertionError with the seed's story otherwise."""
        steps = 0
        while self.left or self.breaks and steps < 400:
            self.step()
            steps += 1
            if steps > 5000:
                raise AssertionError("the applications cannot send")
        self.faults = False
        for _ in range(4000):
            self.step()
            if self.agreed() and self.a.got == self.b.sent and self.b.got == self.a.sent:
                return self
        return self

    def check(self):
        assert self.b.got == self.a.sent, difference(self.a.sent, self.b.got)
        assert self.a.got == self.b.sent, difference(self.b.sent, self.a.got)
        assert self.agreed(), [(s.role, s.session.state, s.session.next_in, s.session.next_out)
                               for s in (self.a, self.b)]


def difference(sent, got):
    for n, (s, g) in enumerate(zip(sent, got, strict=False)):
        if s != g:
            return f"message {n}: sent {s}, got {g}"
    return f"{len(sent)} sent, {len(got)} got: {(sent + got)[min(len(sent), len(got)):][:3]}"


if __name__ == "__main__":
    World(int(sys.argv[1]), verbose=True).run().check()
