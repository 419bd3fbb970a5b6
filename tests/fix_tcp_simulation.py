"""Two gateways over two stacks and a wire that loses, doubles, reorders, delays and damages frames, on virtual time.

    python tests/fix_tcp_simulation.py SEED        the run of one seed, and what it exercised

Faults of TCP and of FIX together: beside the wire's own, the link goes down for longer than a session waits, and a
process dies with all its connections and comes back with its journal. At the end the wire heals, and then every
application message must have been delivered once, in order, and both sides must agree on both numbers.
"""
import collections
import pathlib
import random
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import fix  # noqa: E402
from dpdk_py import open_device  # noqa: E402
from dpdk_py.impair import Impairment  # noqa: E402
from gateway import Engine  # noqa: E402

MS, SECOND = 10**6, 10**9
UTC_OFFSET_NS = 1_790_000_000 * SECOND
ADDRESS = ("10.0.0.1", "10.0.0.2")
NAMES = ("LEFT", "RIGHT")
FAULTS = ("loss", "duplicate", "reorder", "corrupt")
TCP = {"rto_min_ns": 50 * MS}


class Side:
    """A gateway process with one session; its strategy notes what it is given."""

    def __init__(self, world, n, inner, rng, place):
        self.world, self.n, self.place = world, n, place
        # One end damages, whichever way a frame goes: two flipped bits, one at each end, can cancel in TCP's checksum and
        # in CheckSum(10) at once, and then nobody could tell
        faults = {fault: rng.random() * 0.08 for fault in FAULTS if rng.random() < 0.6}
        if n:
            faults.pop("corrupt", None)
        self.device = Impairment(inner, seed=rng.randrange(1 << 30), delay_ns=rng.choice([0, 1, 20]) * MS, **faults)
        self.options = dict(HeartBtInt=2, resend_messages=rng.choice([1, 3, 64]), step_messages=rng.choice([1, 5, 64]),
                            queue_octets=rng.choice([0, 600, 65536]), resend_request_max=rng.choice([0, 0, 2, 7]))
        self.sent, self.got, self.deaths = [], [], 0
        self.count = collections.Counter()
        self.live()

    def live(self):
        self.store = fix.Journal(NAMES[self.n], ring_directory=self.place, ring_octets=1 << 17)
        self.engine = Engine(self.device, f"{ADDRESS[self.n]}/24", seed=self.deaths + 7 * self.n + self.world.seed,
                             sessions=1, connections=16, rcv_buf=8192, snd_buf=32768, utc_offset_ns=UTC_OFFSET_NS, tcp=TCP)
        role = ("initiator", "acceptor")[self.n]
        self.session = self.engine.add_session(
            NAMES[self.n], NAMES[1 - self.n], role=role, port=9878, host=ADDRESS[1] if self.n == 0 else None,
            strategy=self.engine.add_strategy(self, on_error="stop"), store=self.store, reconnect_s=0.2,
            reconnect_max_s=1.0, logon_timeout_s=3.0, **self.options)

    def on_message(self, session, msg):
        if msg.MsgType == "B":
            self.got.append(msg[148])

    def say(self):
        text = f"{NAMES[self.n]}-{len(self.sent)}"
        if self.session.send("B", [(148, text), (58, "x" * self.world.rng.randrange(1, 400))]) == 0:
            self.sent.append(text)
            return True
        return False

    def keep_books(self):
        stats = self.session.stats()
        for name in ("resent", "gap_fills", "disconnects", "queued", "logons"):
            self.count[name] += stats[name]
        stack = self.engine.stack.counters()
        self.count["retransmitted"] += sum(v for k, v in stack.items() if "retransmi" in k)

    def die(self):
        """The process ends without a word; its journal is what it was."""
        self.keep_books()
        self.count["deaths"] += 1
        self.deaths += 1
        up, self.device.up = self.device.up, False      # nothing of its end reaches the wire
        self.engine.close()
        self.store.close()
        self.device.up = up
        self.live()

    def close(self):
        self.keep_books()
        self.engine.close()
        self.store.close()
        for name, n in self.device.counts().items():
            self.count[name] += n
        self.device.close()


class World:
    def __init__(self, seed, messages=40):
        self.seed, self.rng = seed, random.Random(seed)
        self.now, self.left, self.faults = SECOND, messages, self.rng.randrange(6)
        self.place = tempfile.TemporaryDirectory(prefix="fixwire-sim-")
        self.ends = open_device("pair")
        self.sides = [Side(self, n, self.ends[n], self.rng, self.place.name) for n in (0, 1)]
        self.down_until = None

    def step(self, ns):
        self.now += ns
        for side in self.sides:
            side.engine.step(self.now)

    def fault(self):
        self.faults -= 1
        if self.down_until or self.rng.random() < 0.6:
            self.rng.choice(self.sides).die()
        else:
            side = self.rng.choice(self.sides)
            side.device.up = False
            side.count["cuts"] += 1
            self.down_until = self.now + self.rng.randrange(8 * SECOND), side

    def run(self):
        steps = 0
        while self.left or self.faults or self.down_until:
            steps += 1
            if steps > 20000:
                raise AssertionError("the applications cannot send")
            if self.left and self.rng.random() < 0.2:
                self.left -= self.rng.choice(self.sides).say()
            if self.faults and self.rng.random() < 0.01:
                self.fault()
            if self.down_until and self.now >= self.down_until[0]:
                self.down_until[1].device.up = True
                self.down_until = None
            self.step(self.rng.choice([MS, 5 * MS, 20 * MS]))
        for side in self.sides:
            side.device.set(loss=0, duplicate=0, reorder=0, corrupt=0)
        for _ in range(6000):
            self.step(10 * MS)
            if self.agreed():
                return self
        return self

    def agreed(self):
        a, b = (side.session for side in self.sides)
        return (a.logged_on and b.logged_on and a.next_in == b.next_out and b.next_in == a.next_out
                and self.sides[0].got == self.sides[1].sent and self.sides[1].got == self.sides[0].sent)

    def check(self):
        for side, other in (self.sides, self.sides[::-1]):
            assert side.got == other.sent, f"{NAMES[side.n]} has {side.got[-3:]} ({len(side.got)}) of {len(other.sent)}"
        assert self.agreed(), [(s.session.state, s.session.next_in, s.session.next_out) for s in self.sides]

    def close(self):
        """-> what was exercised."""
        for side in self.sides:
            side.close()
        for end in self.ends:
            end.close()
        self.place.cleanup()
        return self.sides[0].count + self.sides[1].count


def play(seed):
    """Raises AssertionError with the seed; -> what was exercised."""
    world = World(seed)
    try:
        world.run().check()
    except AssertionError as error:
        raise AssertionError(f"seed {seed} (python tests/fix_tcp_simulation.py {seed}): {error}") from None
    finally:
        counts = world.close()
    return counts


if __name__ == "__main__":
    print(play(int(sys.argv[1])))
