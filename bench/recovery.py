"""How soon a lost segment is repaired on a wire of 20 us round trip, on a virtual clock: exact, the same on any machine.

Two stacks of ours, 10 us apart, a settled round trip time, five full segments in one burst (or as many as the row says);
the wire loses the one named, once. `resent`: when its second copy leaves, counted from the moment it was first sent and,
for a tail, from the last ACK before the silence. `whole`: when the receiver has everything. Last rows: the tail loss probe
is lost as well, so the retransmission timeout has to do it; its floor is what other stacks set to 200 ms or 1 s.
`python bench/recovery.py [--rtt-us 20] [--json]`
"""
import argparse
import dataclasses
import heapq
import itertools
import json
import pathlib
import sys

sys.path[0] = str(pathlib.Path(__file__).resolve().parent.parent)

from dpdk_py.pair import pair  # noqa: E402
from stack import Stack  # noqa: E402

US, MS, S = 1_000, 1_000_000, 1_000_000_000
MSS = 1460
REASONS = ("fast_retransmit", "rack_retransmit", "tail_probe", "timeout_retransmit")
ADDRESS = ("10.0.0.1", "10.0.0.2")


@dataclasses.dataclass
class Repair:
    resent_ns: int              # second copy leaves, after the first did
    silence_ns: int             # ... after the last ACK before it
    whole_ns: int               # the receiver has every octet of the burst
    by: str                     # the reason it was sent again


class Wire:
    """Two stacks and half a round trip between them; `lose(frame)` decides about what the first one sends."""

    def __init__(self, rtt_ns, **options):
        self.half, self.now, self.queue, self.order = rtt_ns // 2, S, [], itertools.count()
        self.stacks, self.ends, macs = [], [], []
        for address in ADDRESS:
            near, far = pair()
            self.stacks.append(Stack(near, address + "/24", seed=1, announce=False, time_wait_ns=0, **options))
            self.ends.append(far)
            macs.append(near.mac)
        for i in (0, 1):
            self.stacks[i].net.add_neighbor(ADDRESS[1 - i], macs[1 - i])
        self.lose = lambda frame: False
        self.sent, self.got, self.last_ack = [], 0, 0
        self.stacks[1].listen(7, on_accept=self.accepted)
        self.conn = self.stacks[0].connect(ADDRESS[1], 7, now_ns=self.now)

    def accepted(self, conn):
        conn.on_data = self.take

    def take(self, conn, data):
        self.got += len(data)

    def step(self):
        """Everything that is due now, and what it makes due now."""
        busy = True
        while busy:
            busy = False
            while self.queue and self.queue[0][0] <= self.now:
                _, _, side, data = heapq.heappop(self.queue)
                self.ends[side].tx(data, self.now)
                if side == 0:
                    self.last_ack = self.now
            for side, stack in enumerate(self.stacks):
                busy |= stack.step(self.now)
                for frame in self.ends[side].rx_burst(64, self.now):
                    busy = True
                    if side == 0:
                        self.sent.append((self.now, len(frame.data)))
                        if self.lose(frame):
                            continue
                    heapq.heappush(self.queue, (self.now + self.half, next(self.order), 1 - side, frame.data))

    def until(self, done):
        """Lets time pass from event to event; AssertionError if nothing is left to happen before done()."""
        self.step()
        while not done():
            due = [t for t in (stack.deadline() for stack in self.stacks) if t is not None]
            due += [self.queue[0][0]] if self.queue else []
            assert due, "nothing is due any more"
            self.now = max(self.now, min(due))
            self.step()


def repair(rtt_ns=20 * US, segments=5, lost=(4,), copies=1, **options):
    """The Repair of the last to be repaired of the segments numbered `lost` of a burst, each losing `copies` copies."""
    options = {"max_ack_delay_ns": 0, "snd_buf": 1 << 17, "rto_min_ns": 50 * MS, **options}
    wire = Wire(rtt_ns, **options)
    wire.until(lambda: wire.conn.state == "ESTABLISHED")
    for _ in range(40):                         # until the variance has settled
        wire.conn.send(b"x", wire.now)
        wire.until(lambda: wire.conn.info()["unacked"] == 0)
    wire.now += rtt_ns
    base = wire.conn.info()["snd_nxt"]
    left = dict.fromkeys(lost, copies)
    seen = {}                                   # segment: times it left
    silences = {}

    def lose(frame):
        data = frame.data
        at = (int.from_bytes(data[38:42], "big") - base) % (1 << 32)
        if len(data) < 100 or at % MSS:
            return False
        seen.setdefault(at // MSS, []).append(wire.now)
        silences[at // MSS] = wire.now - wire.last_ack
        if left.get(at // MSS):
            left[at // MSS] -= 1
            return True
        return False

    wire.lose = lose
    start, total = wire.now, wire.got + segments * MSS
    wire.last_ack = start
    before = wire.stacks[0].counters()
    wire.conn.send(bytes(segments * MSS), start)
    wire.until(lambda: wire.got == total)
    after = wire.stacks[0].counters()
    last = max(lost, key=lambda i: seen[i][-1])
    return Repair(seen[last][-1] - start, silences[last], wire.now - start,
                  "+".join(r for r in REASONS if after["tx_" + r] > before["tx_" + r]))


ROWS = (
    # what is lost, of how many, with which options
    ("last of 5", {"lost": (4,)}),
    ("the only one", {"segments": 1, "lost": (0,)}),
    ("the only one, floor 1 ms (default)", {"segments": 1, "lost": (0,), "max_ack_delay_ns": MS}),
    ("last two of 5", {"lost": (3, 4)}),
    ("second of 5", {"lost": (1,)}),
    ("second and third of 8", {"segments": 8, "lost": (1, 2)}),
    ("second to last of 5", {"lost": (3,)}),
    ("all of 5", {"lost": (0, 1, 2, 3, 4)}),
    *((f"last of 5, its probe too, RTO_min {name}", {"lost": (4,), "copies": 2, "rto_min_ns": ns})
      for name, ns in (("1 ms", MS), ("50 ms (default)", 50 * MS), ("200 ms", 200 * MS), ("1 s", S))),
)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rtt-us", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args(arguments)
    rtt = args.rtt_us * US
    rows = {name: {key: repair(rtt, sack=sack, **how) for key, sack in (("sack", True), ("without", False))}
            for name, how in ROWS}
    if args.json:
        print(json.dumps({name: {k: dataclasses.asdict(r) for k, r in row.items()} for name, row in rows.items()}))
        return
    print(f"RTT {args.rtt_us} us, virtual clock; microseconds, and round trips since the last ACK")
    head = f"{'resent':>14} {'silence':>10} {'whole':>12}"
    print(f"{'lost; with SACK, without':44} {head}  |  {head}")
    for name, row in rows.items():
        cells = []
        for r in row.values():
            cells.append(f"{r.resent_ns / US:14,.2f} {r.silence_ns / rtt:6,.2f} RTT {r.whole_ns / US:12,.2f}")
        print(f"{name:44} {cells[0]}  |  {cells[1]}")


if __name__ == "__main__":
    main()
