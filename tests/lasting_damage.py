"""Lasting damage: two stacks over `Impairment`, which never heals, in virtual time, against a byte oracle.

tests/simulation.py is the wider world (crashes, aborts, forged segments, a wire that heals in the end); here the loss goes
on to the last octet, so a repair that merely survives until better times shows as stuck.

A seed decides everything: options of both sides, how much each sends and reads when, and what the wire does (loss,
duplication, reordering, corruption, delay, jitter, a slow link, silences, a crash and restart of one side, leaps of the
clock). The same seed gives the same frames. Checked in each: every octet arrives once, in order, right; nothing gets
stuck; both sides end CLOSED and hold nothing; and every frame is accounted for, from device to verdict.

    python tests/lasting_damage.py 1000            seeds 0..999; the first that fails prints its exchange
    python tests/lasting_damage.py 1000 --from 77 --one     seed 77 alone, with its exchange
"""
import argparse
import hashlib
import random
import sys
import time

from dpdk_py.impair import Impairment
from dpdk_py.pair import pair
from stack import Stack

MS, S = 1_000_000, 1_000_000_000
STREAM_OCTETS = 1 << 18
LIMIT_NS = 4000 * S            # of virtual time: longer is stuck
LIMIT_STEPS = 400_000
A_MAC, B_MAC = bytes.fromhex("020000000001"), bytes.fromhex("020000000002")


def make_stream(salt):
    block = random.Random(salt).randbytes(4096)
    return b"".join(bytes([(x + i) & 255 for x in block]) for i in range(STREAM_OCTETS // 4096))


STREAMS = make_stream(1), make_stream(2)


class Stuck(AssertionError):
    pass


class Side:
    """One end of the conversation: sends its stream, reads the other's, closes when done."""

    def __init__(self, sim, index, rng, device):
        self.sim, self.index, self.rng = sim, index, rng
        self.device = device
        self.total = rng.choice((0, 1, 100, 3000, 20_000, 100_000))
        self.piece = rng.choice((1, 50, 200, 1460, 5000, 70_000))
        if self.piece < 50:
            self.total = min(self.total, 3000)
        self.sent = self.received = 0
        self.lazy = rng.random() < 0.3              # reads now and then, so windows close
        self.callbacks = rng.random() < 0.5
        self.conn = None
        self.closed = False

    def options(self):
        rng = self.rng
        return dict(
            sack=rng.random() < 0.7, timestamps=rng.random() < 0.4, window_scale=rng.random() < 0.7,
            ecn=rng.random() < 0.3, congestion=rng.choice(("newreno", "newreno", "none", "dctcp")),
            ack=rng.choice(("immediate", "immediate", "delay", "second")),
            ack_delay_ns=rng.choice((50_000, 5 * MS, 40 * MS)),
            rto_min_ns=rng.choice((1, 5, 50, 200)) * MS, max_ack_delay_ns=rng.choice((0, 1, 25)) * MS,
            rcv_buf=rng.choice((2000, 8000, 65535, 200_000)), snd_buf=rng.choice((2048, 16384, 65536, 262144)),
            mss=rng.choice((0, 0, 0, 100, 536)), initial_window=rng.choice((1, 4, 10)), syn_timeout_ns=3600 * S,
            user_timeout_ns=0, time_wait_ns=rng.choice((60, 120)) * S, fin_wait_2_ns=600 * S)

    def take(self, data):
        want = STREAMS[1 - self.index][self.received:self.received + len(data)]
        assert data == want, f"side {self.index}: octets {self.received}..{self.received + len(data)} are wrong"
        self.received += len(data)

    def on_data(self, conn, data):
        self.take(data)

    def act(self):
        """What the application does in this step. True if it did anything."""
        conn, did = self.conn, False
        if conn is None:
            return False
        for event in conn.events():
            assert event not in ("reset", "refused", "timeout"), f"side {self.index}: {event}"
            did = True
        if not self.callbacks and conn.waiting and (not self.lazy or self.rng.random() < 0.2):
            self.take(conn.recv(self.rng.choice((1, 100, 3000, 1 << 20))))
            did = True
        if conn.state in ("ESTABLISHED", "CLOSE-WAIT", "SYN-SENT") and self.sent < self.total:
            n = min(self.piece, self.total - self.sent)
            took = conn.send(STREAMS[self.index][self.sent:self.sent + n])
            self.sent += took
            did = took > 0
        if self.sent == self.total and not self.closed and conn.state in ("ESTABLISHED", "CLOSE-WAIT"):
            self.closed = True
            conn.shutdown()
            did = True
        return did

    def done(self):
        return self.conn is not None and self.closed and self.received == self.sim.sides[1 - self.index].total \
            and self.conn.state in ("CLOSED", "TIME-WAIT")


class Simulation:
    def __init__(self, seed, record=False):
        self.seed = seed
        self.rng = rng = random.Random(seed)
        self.now = rng.randrange(20_000 * S)
        self.start = self.now
        mtu = rng.choice((1500, 1500, 576, 300))
        ends = pair(mtu=mtu, macs=(A_MAC, B_MAC), queue=256)
        self.damage = [self.choose_damage(rng), self.choose_damage(rng)]
        wires = [Impairment(end, seed=seed * 2 + i, side="tx", **self.damage[i]) for i, end in enumerate(ends)]
        self.ends, self.wires = ends, wires
        self.sides = [Side(self, i, rng, wires[i]) for i in (0, 1)]
        self.log = [] if record else None
        self.digest = hashlib.sha256()
        self.stacks = [self.make_stack(i) for i in (0, 1)]
        self.silences = sorted(rng.randrange(2 * S) for _ in range(rng.choice((0, 0, 1, 3))))
        self.leaps = rng.random() < 0.1
        self.listener = self.stacks[1].listen(80)

    def make_stack(self, index):
        side = self.sides[index]
        options = side.options()
        stack = Stack(side.device, f"10.0.0.{index + 1}/24", seed=self.seed * 3 + index, connections=4, announce=False,
                      flight=256 if self.log is not None else 0, **options)
        stack.net.add_neighbor(f"10.0.0.{2 - index}", B_MAC if index == 0 else A_MAC)
        return stack

    @staticmethod
    def choose_damage(rng):
        worst = rng.choice((0, 0, 0.01, 0.05, 0.2))
        return dict(
            loss=worst, duplicate=rng.choice((0, 0.05, 0.3)), reorder=rng.choice((0, 0.05, 0.25)),
            corrupt=rng.choice((0, 0.01, 0.1)), delay_ns=rng.choice((0, 10_000, 1 * MS, 40 * MS)),
            jitter_ns=rng.choice((0, 5_000, 1 * MS)), rate_bps=rng.choice((0, 0, 0, 10_000_000)),
            reorder_ns=rng.choice((20_000, 2 * MS)))

    def connect(self):
        a, b = self.sides
        a.conn = self.stacks[0].connect("10.0.0.2", 80, now_ns=self.now)
        if a.callbacks:
            a.conn.on_data = a.on_data

    def step(self):
        a, b = self.sides
        work = False
        for stack in self.stacks:
            for _ in range(8):
                if not stack.step(self.now):
                    break
                work = True
        if b.conn is None:
            b.conn = self.listener.accept()
            if b.conn is not None and b.callbacks:
                b.conn.on_data = b.on_data
        for side in self.sides:
            work |= bool(side.act())
        return work

    def pass_time(self, work):
        """To the next thing that happens; in small steps while the applications have something to do."""
        rng = self.rng
        soon = [t for t in (*(s.deadline() for s in self.stacks), *(w.deadline_ns for w in self.wires)) if t is not None]
        at = min(soon) if soon else self.now + 10 * MS
        if any(end.pending for end in self.ends):
            at = self.now
        lazy = any(s.conn is not None and s.conn.waiting for s in self.sides)
        if work or lazy:
            at = min(at, self.now + rng.choice((1_000, 20_000, 300_000)))
        if self.leaps and rng.random() < 0.001:
            at = max(at, self.now) + rng.randrange(5 * S)
        self.now = max(at, self.now + 1)

    def run(self):
        self.connect()
        steps = 0
        while not all(side.done() for side in self.sides):
            work = self.step()
            self.pass_time(work)
            steps += 1
            if self.silences and self.now - self.start > self.silences[0]:
                self.silences.pop(0)
                self.silent()
            if self.now - self.start > LIMIT_NS or steps > LIMIT_STEPS:
                raise Stuck(f"stuck after {steps} steps and {(self.now - self.start) / S:.3f} s")
        self.settle()
        self.check()
        return self

    def silent(self):
        """The link is down for a while."""
        for wire in self.wires:
            wire.up = False
        end = self.now + self.rng.choice((1, 50, 3000)) * MS
        while self.now < end:
            self.pass_time(self.step())
        for wire in self.wires:
            wire.up = True

    def settle(self):
        """TIME-WAIT passes, what is still on the wire arrives."""
        for _ in range(100_000):
            work = self.step()
            self.pass_time(work)
            if all(s.counters()["connections"] == 0 for s in self.stacks) and not any(w.waiting for w in self.wires):
                break
        self.step()

    def check(self):
        for i, (stack, side) in enumerate(zip(self.stacks, self.sides, strict=True)):
            other = self.sides[1 - i]
            assert side.received == other.total, f"side {i} got {side.received} of {other.total}"
            k, net = stack.counters(), stack.net.stats()
            assert k["connections"] == 0, f"side {i}: {k['connections']} connections are left"
            assert k["callback_errors"] == 0
            assert k["segments_in"] == sum(v for name, v in k.items() if name.startswith("rx_"))
            assert k["segments_out"] == sum(v for name, v in k.items() if name.startswith("tx_"))
            assert net["rx_frames"] == sum(v for name, v in net.items() if name.startswith("rx_") and name != "rx_frames")
            assert net["rx_l4"] == k["segments_in"] and net["tx_sent"] == k["segments_out"]
            assert k["conflicting_octets"] == 0 or self.damage[1 - i]["corrupt"]
            info = side.conn.info()
            assert info["unacked"] == info["pipe"] == info["sacked"] == info["lost"] == 0, info

    def exchange(self):
        """What both flight recorders remember, in packetdrill notation."""
        out = []
        for i, stack in enumerate(self.stacks):
            for x in stack.flight():
                out.append((x["at_ns"], i, f"{'AB'[i]} {(x['at_ns'] - self.start) / S:.9f} {'>' if x['out'] else '<'} "
                            f"{flag_text(x['flags'])} {x['seq']}:{(x['seq'] + x['len']) % 2**32}({x['len']}) "
                            f"ack {x['ack']} win {x['window']}  {x['verdict']} {x['state']}"))
        return "\n".join(line for _, _, line in sorted(out, key=lambda x: x[:2]))


def flag_text(flags):
    return "".join(c for bit, c in ((2, "S"), (1, "F"), (4, "R"), (8, "P"), (16, "."), (32, "U"), (64, "E"), (128, "W"))
                   if flags & bit)


def run(seed):
    return Simulation(seed).run()


def explain(seed):
    """Run a seed again with the flight recorders on; its text and the error."""
    sim = Simulation(seed, record=True)
    try:
        sim.run()
    except Exception as e:
        lines = [f"seed {seed}: {type(e).__name__}: {e}"]
    else:
        lines = [f"seed {seed}: good"]
    lines += [f"  {'AB'[i]} {d}" for i, d in enumerate(sim.damage)]
    for i, side in enumerate(sim.sides):
        lines.append(f"  {'AB'[i]} sent {side.sent}/{side.total} received {side.received} "
                     f"{side.conn and side.conn.info()}")
    return "\n".join([*lines, sim.exchange()])


def main():
    p = argparse.ArgumentParser(description="Seeded simulations of two stacks over an impaired wire")
    p.add_argument("seeds", type=int)
    p.add_argument("--from", dest="first", type=int, default=0)
    p.add_argument("--one", action="store_true", help="the first seed alone, with its exchange")
    args = p.parse_args()
    if args.one:
        print(explain(args.first))
        return 0
    began, totals = time.monotonic(), {}
    for seed in range(args.first, args.first + args.seeds):
        try:
            sim = run(seed)
        except Exception as e:
            print(explain(seed)[-20_000:])
            print(f"seed {seed} fails: {e}\nagain: python tests/lasting_damage.py 1 --from {seed} --one")
            return 1
        for stack in sim.stacks:
            for name, value in stack.counters().items():
                totals[name] = totals.get(name, 0) + value
    seconds = time.monotonic() - began
    print(f"{args.seeds} seeds, 0 wrong octets, 0 stuck, accounting exact; {seconds:.1f} s, "
          f"{args.seeds / seconds * 60:.0f} a minute")
    print("  " + "  ".join(f"{k} {v}" for k, v in totals.items() if v))
    return 0


if __name__ == "__main__":
    sys.exit(main())
