"""Two stacks and a wire between them on virtual time: one seed is one world, and gives the same world again.

The wire loses, doubles, reorders, delays and damages frames, changes its MTU and goes down; the applications send,
read late, close, abort or crash. From `heal_ns` on the wire is perfect, so everything must come to its end. Octet
`offset` of a stream is a function of the offset: no wrong octet can hide. Every frame and segment is accounted for.

    run(seed) -> World          raises Wrong, whose text names the seed; replay(seed) prints its exchange.
"""
from __future__ import annotations

import collections
import hashlib
import heapq
import random

from dpdk_py.pair import pair
from stack import Stack
from stack.wire.text import frame_text

US, MS, S = 1_000, 1_000_000, 1_000_000_000
ADDRESS = ("10.0.0.1", "10.0.0.2")
MACS = (bytes.fromhex("020000000001"), bytes.fromhex("020000000002"))
PORT = 7
STREAM = random.Random("octets of every stream").randbytes(1 << 20)
SETTLE_NS = 400 * S             # after the wire has healed: more than the user timeout, 60 s backoffs included
STEP_LIMIT = 400_000


class Wrong(AssertionError):
    """Something that must not happen, ever."""


def octets(base, offset, n):
    """Octets offset.. of the stream that begins at `base`."""
    return STREAM[base + offset:base + offset + n]


class Plan:
    """What this world is like: everything is drawn from the seed, in this order, before anything happens."""

    def __init__(self, seed):
        r = random.Random(seed)

        def sometimes(chance, low, high):
            return r.uniform(low, high) if r.random() < chance else 0.0

        self.delay_ns = int(10 ** r.uniform(3.3, 7.5))             # 2 us .. 30 ms one way
        self.loss = sometimes(0.7, 0.002, 0.15)
        self.double = sometimes(0.4, 0.01, 0.1)
        self.reorder = sometimes(0.4, 0.01, 0.25)
        self.damage = sometimes(0.4, 0.005, 0.08)
        self.spike = sometimes(0.3, 0.002, 0.02)
        self.spike_ns = self.delay_ns * r.randrange(5, 200)
        self.queue = r.choice((0, 0, 8, 32))                       # frames of a bottleneck; 0: none
        self.rate_ns = r.randrange(1, 20)                          # per octet in the bottleneck
        self.blind = sometimes(0.3, 0.01, 0.1)                     # forged segments by somebody off the path
        self.heal_ns = self.delay_ns * r.randrange(200, 2000)
        self.mtus = [1500] if r.random() < 0.6 else [r.choice((296, 576, 1006, 1492, 1500)) for _ in range(3)]
        self.flaps = []
        for _ in range(r.choice((0, 0, 0, 1, 2))):
            down = r.randrange(self.heal_ns)
            self.flaps.append((down, min(self.heal_ns, down + int(self.delay_ns * 10 ** r.uniform(0, 2.5)))))
        self.jumps = sorted((r.randrange(self.heal_ns), int(10 ** r.uniform(6, 10)))
                            for _ in range(r.choice((0, 0, 0, 1, 2))))
        self.crash_ns = r.randrange(self.heal_ns) if r.random() < 0.1 else None
        self.abort_ns = r.randrange(self.heal_ns) if self.crash_ns is None and r.random() < 0.08 else None
        self.start_ns = r.choice((S, 10 ** 12, r.randrange(1, 2 ** 34) * 4000))
        self.seeds = [r.getrandbits(64) for _ in range(3)]
        self.options = [self.stack_options(r) for _ in range(2)]
        self.apps = [self.app(r) for _ in range(2)]
        if any(o["congestion"] == "none" for o in self.options):
            self.queue = 0                                         # a bottleneck without congestion control is a misuse
        self.static = r.random() < 0.5                             # neighbours known; otherwise ARP runs, and suffers too

    def stack_options(self, r):
        options = {
            "sack": r.random() < 0.7, "timestamps": r.random() < 0.4, "window_scale": r.random() < 0.6,
            "ecn": r.random() < 0.3, "congestion": r.choice(("none", "newreno", "newreno", "dctcp")),
            "ack": r.choice(("immediate", "immediate", "delay", "second")), "ack_delay_ns": r.randrange(1, 100) * MS,
            "rcv_buf": r.choice((536, 2000, 8192, 65535, 200_000)), "snd_buf": r.choice((1024, 4096, 65536, 100_000)),
            "mss": r.choice((0, 0, 0, 100, 536, 1000)), "rto_min_ns": r.choice((1, 5, 50, 200)) * MS,
            "initial_window": r.choice((1, 2, 10, 10, 40)), "syn_cookies": r.random() < 0.9,
            "backlog": r.choice((0, 1, 16)), "user_timeout_ns": 0, "syn_timeout_ns": 0,
        }
        if not options["syn_cookies"]:
            options["backlog"] = 16
        if self.crash_ns is not None or self.abort_ns is not None:
            options["keep_idle_ns"] = 2 * S
            options["keep_interval_ns"] = S
            options["keep_count"] = 100
        return options

    def app(self, r):
        chunk = r.choice((1, 50, 1000, 5000))
        return {
            "total": r.choice((0, 1, 100, r.randrange(20_000), r.randrange(60_000))) if chunk > 50 else r.randrange(
                60 * chunk),
            "chunk": chunk, "pause": self.delay_ns * r.choice((0, 0, 1, 10)),
            "reads": r.choice(("callback", "callback", "recv")), "read_chunk": r.choice((7, 500, 100_000)),
            "read_pause": self.delay_ns * r.choice((0, 0, 1)), "base": r.randrange(400_000),
        }


class App:
    """One end of the conversation; the connection may be replaced by a new one after a crash."""

    def __init__(self, world, side):
        self.world, self.side = world, side
        self.__dict__.update(world.plan.apps[side])
        self.random = random.Random(world.plan.seeds[2] + side)
        self.reset(None)

    def reset(self, conn):
        self.conn = conn
        self.sent = self.got = 0
        self.peer_base = self.world.plan.apps[1 - self.side]["base"]
        self.eof = self.shut = self.closed = False
        self.error = None
        self.next_write = self.next_read = self.world.now

    def attach(self, conn):
        self.reset(conn)
        conn.on_event = self.event
        if self.reads == "callback":
            conn.on_data = self.data
        self.world.wake(self.world.now)

    def event(self, conn, name):
        if conn is not self.conn:
            return
        if name in ("reset", "timeout", "refused", "unreachable"):
            self.error = conn.error or self.error
        elif name == "peer_closed":
            self.eof = True
        elif name == "closed":
            self.closed = True
        self.world.wake(self.world.now)

    def data(self, conn, data):
        if conn is self.conn:
            self.check(data)

    def check(self, data):
        if bytes(data) != octets(self.peer_base, self.got, len(data)):
            self.world.wrong(f"octets {self.got}.. received by {ADDRESS[self.side]} are wrong")
        self.got += len(data)
        if self.got > self.world.apps[1 - self.side].total:
            self.world.wrong(f"{ADDRESS[self.side]} received {self.got} octets, more than were sent")

    def act(self):
        """What this end does now; called whenever something may have changed."""
        conn, now = self.conn, self.world.now
        if conn is None:
            return
        if self.reads == "recv" and now >= self.next_read:
            self.read(conn, now)
        if self.closed or conn.state in ("CLOSED", "SYN-SENT", "SYN-RECEIVED"):
            return
        while self.sent < self.total and now >= self.next_write:
            n = min(self.total - self.sent, self.random.randrange(1, self.chunk + 1))
            taken = conn.send(octets(self.base, self.sent, n), now)
            self.sent += taken
            if taken < n:
                break                               # "writable" wakes us
            if self.pause:
                self.next_write = now + self.random.randrange(self.pause)
                self.world.wake(self.next_write)
        if self.sent == self.total and not self.shut:
            self.shut = True
            if self.eof and self.got == self.world.apps[1 - self.side].total:
                conn.close(now)
            else:
                conn.shutdown(now)

    def read(self, conn, now):
        while data := conn.recv(self.read_chunk, now):
            self.check(data)
            if self.read_pause:
                self.next_read = now + self.random.randrange(self.read_pause)
                self.world.wake(self.next_read)
                return

    def done(self):
        return (self.conn is not None and self.error is None and self.sent == self.total and self.eof
                and self.got == self.world.apps[1 - self.side].total)


class World:
    def __init__(self, seed, log=None, plan=None):
        self.seed, self.log = seed, log
        self.plan = plan or Plan(seed)
        self.random = random.Random(self.plan.seeds[0])
        self.now = self.start = self.plan.start_ns
        self.heap = []
        self.order = 0
        self.count = collections.Counter()
        self.digest = hashlib.sha256()
        self.mtu = self.plan.mtus[0]
        self.free_at = [0, 0]                       # when the bottleneck of each direction is free
        self.in_bottleneck = [0, 0]
        self.devices, self.ends, self.stacks = [], [], [None, None]
        self.books = []
        for side in range(2):
            device, end = pair(queue=512, mtu=1500, macs=(MACS[side], MACS[1 - side]))
            self.devices.append(device)
            self.ends.append(end)
        self.apps = [App(self, 0), App(self, 1)]
        self.generation = 0
        self.expected_error = False
        for side in range(2):
            self.boot(side)
        self.connect()

    # -- the two hosts

    def boot(self, side):
        options = dict(self.plan.options[side])
        buffers = {"rcv_buf": options.pop("rcv_buf"), "snd_buf": options.pop("snd_buf")}
        self.devices[side].mtu = self.mtu
        stack = Stack(self.devices[side], ADDRESS[side] + "/24", seed=self.plan.seeds[1] + side + 2 * self.generation,
                      announce=not self.plan.static, connections=16, **buffers, **options)
        if self.plan.static:
            stack.net.add_neighbor(ADDRESS[1 - side], MACS[1 - side])
        self.stacks[side] = stack
        self.generation += 1
        if side == 1:
            stack.listen(PORT, self.accepted)
        self.received_before = getattr(self, "received_before", [0, 0])
        self.received_before[side] = self.devices[side].stats()["rx_frames"]
        self.wake(self.now)

    def connect(self):
        self.apps[0].attach(self.stacks[0].connect(ADDRESS[1], PORT, now_ns=self.now))

    def accepted(self, conn):
        self.apps[1].attach(conn)
        self.count["connections"] += 1

    # -- time

    def wake(self, at_ns, what=None):
        self.order += 1
        heapq.heappush(self.heap, (max(at_ns, self.now), self.order, what))

    def run(self):
        plan = self.plan
        for _, up in plan.flaps:
            self.count["link_down"] += 1
            self.wake(self.start + up)
        for k, mtu in enumerate(plan.mtus[1:]):
            self.wake(self.start + plan.heal_ns * (k + 1) // 4, ("mtu", mtu))
        if plan.crash_ns is not None:
            self.wake(self.start + plan.crash_ns, ("crash",))
        if plan.abort_ns is not None:
            self.wake(self.start + plan.abort_ns, ("abort",))
        for at, jump in plan.jumps:
            self.wake(self.start + at, ("jump", jump))
        deadline = self.start + plan.heal_ns + SETTLE_NS + sum(j for _, j in plan.jumps)
        for _ in range(STEP_LIMIT):
            self.settle()
            if self.finished():
                break
            at = self.next_time()
            if at is None:
                self.wrong("nothing is due, and it is not finished")
            if at > deadline:
                self.wrong("stuck")
            self.now = max(self.now, at)
            self.due()
        else:
            self.wrong("no end of events at one time" if at == self.now else "too many events")
        self.check_end()
        return self

    def next_time(self):
        times = [self.heap[0][0]] if self.heap else []
        times += [d for d in (s.deadline() for s in self.stacks) if d is not None]
        return min(times, default=None)

    def due(self):
        while self.heap and self.heap[0][0] <= self.now:
            what = heapq.heappop(self.heap)[2]
            if what is None:
                continue
            kind, *rest = what
            getattr(self, "on_" + kind)(*rest)

    def settle(self):
        """Both hosts do what there is to do now."""
        for _ in range(1000):
            busy = False
            for side in range(2):
                busy |= self.stacks[side].step(self.now)
                self.apps[side].act()
                for frame in self.ends[side].rx_burst(64):
                    busy = True
                    self.carry(side, frame.data)
            if not busy:
                return self.check_due()
        self.wrong("the hosts are never done at one time")

    def check_due(self):
        """Whoever has text or a FIN that is not sent or not acknowledged has a time at which it does something about it."""
        for app in self.apps:
            if app.conn is None or self.stacks[app.side].deadline() is not None or app.conn.state == "CLOSED":
                continue
            info = app.conn.info()
            if info["unacked"] or info["unsent"]:
                self.wrong(f"{ADDRESS[app.side]} has {info['unacked']} octets unacknowledged and {info['unsent']} unsent, "
                           "and no timer")

    # -- the wire

    def healed(self):
        return self.now >= self.start + self.plan.heal_ns

    def link_up(self):
        return not any(down <= self.now - self.start < up for down, up in self.plan.flaps)

    def carry(self, side, data):
        """A frame leaves host `side`; when and how it arrives at the other."""
        plan, r = self.plan, self.random
        self.digest.update(self.now.to_bytes(8, "big") + bytes([side]) + data)
        self.count["frames"] += 1
        if not self.link_up():
            return self.fate(side, data, "link_down_lost")
        if len(data) > self.mtu + 14:
            return self.fate(side, data, "too_large")
        perfect = self.healed()
        if not perfect and r.random() < plan.loss:
            return self.fate(side, data, "lost")
        delay = plan.delay_ns
        if plan.queue:
            if self.in_bottleneck[side] >= plan.queue:
                return self.fate(side, data, "queue_full")
            self.free_at[side] = max(self.free_at[side], self.now) + len(data) * plan.rate_ns
            self.in_bottleneck[side] += 1
            self.wake(self.free_at[side], ("leaves", side))
            delay += self.free_at[side] - self.now
        copies = 1
        if not perfect:
            if r.random() < plan.reorder:
                self.count["reordered"] += 1
                delay += int(plan.delay_ns * r.uniform(0.1, 3))
            if r.random() < plan.spike:
                self.count["spikes"] += 1
                delay += plan.spike_ns
            if r.random() < plan.double:
                self.count["doubled"] += 1
                copies = 2
            if r.random() < plan.damage:
                data = self.damaged(data)
        for k in range(copies):
            self.wake(self.now + delay + k * r.randrange(1, plan.delay_ns), ("arrives", 1 - side, data))
        self.fate(side, data, "carried")
        # Not while it opens: a SYN from the right address then is a simultaneous open to any TCP
        if not perfect and r.random() < plan.blind and self.apps[1].conn is not None:
            self.wake(self.now + r.randrange(plan.delay_ns), ("arrives", r.randrange(2), self.forged(r)))

    def fate(self, side, data, what):
        self.count[what] += 1
        if self.log is not None:
            mark = "" if what == "carried" else f"   // {what.replace('_', ' ')}"
            self.log.append(frame_text(data, self.now - self.start, ">" if side == 0 else "<", ports=True) + mark)

    def damaged(self, data):
        """One burst of at most 8 bits: what the checksums are certain to notice (RFC 1071), wherever it hits."""
        self.count["damaged"] += 1
        at = self.random.randrange(len(data) * 8)
        bits = bytearray(data)
        for bit in range(at, min(at + self.random.randrange(1, 9), len(data) * 8)):
            if bit == at or self.random.random() < 0.5:
                bits[bit // 8] ^= 1 << bit % 8
        return bytes(bits)

    def forged(self, r):
        """A segment of somebody who knows the 4-tuple and nothing else."""
        from packetdrill import packets
        self.count["forged"] += 1
        conn = self.apps[0].conn
        local = conn.local[1] if conn is not None else 1
        to = r.randrange(2)
        ports = (PORT, local) if to == 0 else (local, PORT)
        flags = r.choice((4, 20, 2, 16, 18, 17, 24))
        # never by chance the very number an RST needs, nor text into the window with an ACK that fits
        seq, ack = r.getrandbits(32), r.getrandbits(32)
        ends = (0x0A000000 + 2 - to, 0x0A000000 + 1 + to)
        segment = packets.tcp_segment(*ports, seq, ack, flags, r.getrandbits(16), 0, b"", b"", *ends)
        return MACS[to] + MACS[1 - to] + b"\x08\x00" + packets.ipv4_header(len(segment), 6, *ends) + segment

    def on_leaves(self, side):
        self.in_bottleneck[side] -= 1

    def on_arrives(self, side, data):
        if not self.ends[side].tx(data, self.now):
            self.count["device_full"] += 1

    # -- what happens to hosts

    def on_mtu(self, mtu):
        self.count["mtu_changes"] += 1
        self.mtu = mtu
        for device in self.devices:
            device.mtu = mtu

    def on_jump(self, jump_ns):
        """Both hosts were suspended; the wire was not."""
        self.count["clock_jumps"] += 1
        self.now += jump_ns

    def on_abort(self):
        app = self.apps[self.random.randrange(2)]
        if app.conn is None or app.closed or app.conn.state == "CLOSED":
            return
        self.count["aborts"] += 1
        self.expected_error = True
        app.conn.abort(self.now)
        app.closed = True

    def on_crash(self):
        """Host 1 forgets everything and comes back; host 0 finds out by RST and connects again."""
        self.count["crashes"] += 1
        self.keep_books(1)
        self.expected_error = True
        self.apps[1].reset(None)
        self.boot(1)

    def finished(self):
        a, b = self.apps
        if self.expected_error:
            if self.plan.crash_ns is not None and a.conn is not None and (a.error or a.closed) and not (
                    a.done() or self.count["reconnects"]):
                self.count["reconnects"] += 1
                self.expected_error = False
                self.connect()
                return False
            if self.plan.crash_ns is not None and a.done() and b.conn is None:
                return True                         # the crash came after everything was said
            if self.plan.abort_ns is not None:
                return all(x.conn is None or x.closed or x.conn.state == "CLOSED" for x in self.apps)
        if a.done() and b.conn is None and self.count["crashes"]:
            return True
        return a.done() and b.done() and all(x.conn.state in ("CLOSED", "TIME-WAIT") for x in self.apps)

    # -- the end

    def wrong(self, what):
        raise Wrong(f"seed {self.seed}: {what} at {(self.now - self.start) / S:.9f} s: {self.state()}")

    def state(self):
        out = []
        for app in self.apps:
            state = app.conn.state if app.conn is not None else "no connection"
            out.append(f"{ADDRESS[app.side]} {state}, sent {app.sent}/{app.total}, got {app.got}, eof {app.eof}, "
                       f"error {app.error}, closed {app.closed}")
        return "; ".join(out)

    def keep_books(self, side):
        """Exact accounting of a host, at the end or before it crashes."""
        stack, device = self.stacks[side], self.devices[side].stats()
        net, tcp = stack.net.stats(), stack.counters()

        def equal(what, one, other):
            if one != other:
                self.wrong(f"{ADDRESS[side]}: {what}: {one}, {other}")

        equal("frames received", net["rx_frames"], device["rx_frames"] - self.received_before[side])
        equal("frames received by verdict", net["rx_frames"],
              sum(v for k, v in net.items() if k.startswith("rx_") and k != "rx_frames"))
        equal("segments received", tcp["segments_in"], net["rx_l4"])
        equal("segments received by verdict", tcp["segments_in"],
              sum(v for k, v in tcp.items() if k.startswith("rx_")))
        equal("segments sent by reason", tcp["segments_out"], sum(v for k, v in tcp.items() if k.startswith("tx_")))
        equal("datagrams sent by outcome", net["tx_frames"], sum(net["tx_" + k] for k in (
            "sent", "waiting", "full", "no_route", "no_neighbor", "address_unusable")))
        equal("segments and datagrams sent", tcp["segments_out"] + net["rx_echo"], net["tx_sent"] + net["tx_waiting"])
        waiting = sum(n for _, _, n in stack.net.neighbors().values())
        equal("datagrams that waited for ARP", net["tx_waiting"], waiting + sum(net["arp_pending_" + k] for k in (
            "sent", "overflow", "timeout", "tx_full")))
        for name in ("rx_", "tx_"):
            self.count.update({name + k[3:]: v for k, v in tcp.items() if k.startswith(name) and v})
        self.count.update({"challenge_limited": tcp["challenge_limited"], "cookies": tcp["cookies_accepted"],
                           "conflicting_octets": tcp["conflicting_octets"]})

    def check_end(self):
        for side in range(2):
            self.keep_books(side)
            if self.stacks[side].counters()["conflicting_octets"]:
                self.wrong(f"{ADDRESS[side]} saw overlapping octets that differ")
        if not self.expected_error and not self.count["crashes"]:
            for app in self.apps:
                if app.error is not None:
                    self.wrong(f"{ADDRESS[app.side]} ended with {app.error}")
        self.count["octets"] += sum(app.got for app in self.apps)
        self.count["virtual_ms"] += (self.now - self.start) // MS


def run(seed, log=None):
    """The World of `seed`, come to its end; raises Wrong."""
    world = World(seed, log)
    try:
        return world.run()
    except Wrong:
        raise
    except Exception as e:
        raise Wrong(f"seed {seed}: {type(e).__name__}: {e} at {(world.now - world.start) / S:.9f} s") from e


def replay(seed, write=print):
    """Prints the exchange of `seed` in packetdrill notation (> is 10.0.0.1's), and its end."""
    log = []
    plan = Plan(seed)
    write(f"// seed {seed}: " + ", ".join(
        f"{k} {v}" for k, v in vars(plan).items() if k not in ("seeds", "options", "apps")))
    for side in range(2):
        write(f"// {ADDRESS[side]}: {plan.options[side]} {plan.apps[side]}")
    try:
        world = run(seed, log)
        verdict = f"right: {world.state()}"
    except Wrong as e:
        verdict = f"WRONG: {e}"
    for line in log:
        write(line)
    write(f"// {verdict}")
    return not verdict.startswith("WRONG")
