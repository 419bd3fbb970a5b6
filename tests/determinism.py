"""One seed is one conversation, octet for octet: `python -m tests.determinism --runs 1000`.

A run is a fresh interpreter with a hash seed of its own and every clock of libc shifted by an amount of its own
(shifted_clock.c). In it a stack talks to another one over a pair with loss, duplicates, reordering and damage, ARP
included, and then to the recording of that other one through PcapDevice. What it transmitted is a capture file each
time, times included: the two files, and those of all runs, must be the same octets. Exit status 1 if they are not.

`planted` gives a run one dependence it must not have (on a clock, the hash seed, os.urandom, the backend): each shows.
"""
import argparse
import collections
import concurrent.futures
import hashlib
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time

from dpdk_py.capture import PcapReader
from dpdk_py.impair import Impairment
from dpdk_py.pair import pair
from dpdk_py.pcap import PcapDevice, PcapWriter
from dpdk_py.recording import PcapngWriter
from stack import Stack

ROOT = pathlib.Path(__file__).parent.parent
US, MS, S = 1_000, 1_000_000, 1_000_000_000
START_NS, TICK_NS, END_NS = 5 * S, 20 * US, 100 * MS
ADDRESS, PEER = "10.0.0.1", "10.0.0.2"
MACS = ("02:00:00:00:00:01", "02:00:00:00:00:02")
IN, OUT = 1, 2
START = bytes.fromhex("ffffffffffff 020000000002 88b5") + bytes(46)      # of a type for local experiments: IEEE 802
PLANTED = ("clock", "monotonic", "hash", "urandom", "backend")
OPTIONS = {"connections": 8, "rto_min_ns": 5 * MS, "timestamps": 1, "time_wait_ns": 5 * MS, "user_timeout_ns": 0}


class Ours:
    """The stack under test and its user: everything it does is decided by the seed and the time of the conversation."""

    def __init__(self, device, seed, planted=None):
        key = seed
        if planted == "clock":
            key ^= int(time.time()) // 60
        elif planted == "monotonic":
            key ^= int(time.monotonic()) // 60
        self.stack = Stack(device, ADDRESS + "/24", seed=None if planted == "urandom" else key, **OPTIONS)
        self.random = random.Random(seed)
        self.names = {"EURUSD", "USDJPY", "GBPUSD", "USDCHF"} if planted == "hash" else ["EURUSD"]
        self.out = None
        self.listener = self.stack.listen(7, on_accept=self.accepted)
        self.left = 120

    def accepted(self, conn):
        conn.on_data = lambda conn, data: conn.send(bytes(data[::-1]))
        conn.on_event = lambda conn, name: conn.shutdown() if name == "peer_closed" else None

    def step(self, now_ns):
        if now_ns == START_NS + 2 * MS:
            self.out = self.stack.connect(PEER, 7, now_ns=now_ns)
            self.out.on_data = lambda conn, data: None
        if self.out is not None and self.out.state == "ESTABLISHED" and self.left and self.random.random() < 0.1:
            self.left -= 1
            self.out.send("".join(self.names).encode() + self.random.randbytes(self.random.randrange(4000)), now_ns)
            if not self.left:
                self.out.close(now_ns)
        self.stack.step(now_ns)


class Theirs:
    """The peer: a client of port 7 and a server of its own."""

    def __init__(self, device, seed):
        self.stack = Stack(device, PEER + "/24", seed=seed ^ 0xFFFF, **OPTIONS)
        self.random = random.Random(~seed)
        self.stack.listen(7, on_accept=self.accepted)
        self.conn, self.left = None, 120

    def accepted(self, conn):
        conn.on_data = lambda conn, data: conn.send(data[:200])
        conn.on_event = lambda conn, name: conn.shutdown() if name == "peer_closed" else None

    def step(self, now_ns):
        if now_ns == START_NS + MS:
            self.conn = self.stack.connect(ADDRESS, 7, now_ns=now_ns)
            self.conn.on_data = lambda conn, data: None
        if self.conn is not None and self.conn.state == "ESTABLISHED" and self.left and self.random.random() < 0.2:
            self.left -= 1
            self.conn.send(self.random.randbytes(self.random.randrange(3000)), now_ns)
            if not self.left:
                self.conn.close(now_ns)
        self.stack.step(now_ns)


def ticks():
    return range(START_NS, START_NS + END_NS, TICK_NS)


def over_pair(directory, seed, planted):
    """The conversation, both directions to whole.pcapng."""
    near, far = pair(macs=MACS)
    device = PcapWriter(near, directory / "whole.pcapng")
    wire = Impairment(far, seed=seed, loss=0.03, duplicate=0.03, reorder=0.05, corrupt=0.02, delay_ns=50 * US,
                      jitter_ns=30 * US)
    theirs, ours = Theirs(wire, seed), Ours(device, seed, planted)
    far.tx(START, START_NS)             # what the recording begins with, so that its replay starts on time
    for now_ns in ticks():
        theirs.step(now_ns)
        ours.step(now_ns)
    counters = ours.stack.counters()
    for each in (device, wire, near, far):
        each.close()
    return counters


def split(directory):
    """whole.pcapng by direction: transmitted to pair.pcapng, received to heard.pcapng."""
    with PcapngWriter(directory / "pair.pcapng") as sent, PcapngWriter(directory / "heard.pcapng") as heard:
        for packet in PcapReader(directory / "whole.pcapng"):
            (sent if packet.direction == OUT else heard).write(packet.data, packet.ts_ns, packet.direction)


def over_pcap(directory, seed, planted):
    """The same user over the recording of the peer; what is transmitted goes to pcap.pcapng."""
    device = PcapDevice(directory / "heard.pcapng", paced=True, record=directory / "pcap.pcapng", mac=MACS[0])
    ours = Ours(device, seed + (planted == "backend"), planted)
    for now_ns in ticks():
        ours.step(now_ns)
    device.close()


def conversation(directory, seed, planted=None):
    """(sha256 of the transmit capture over the pair, of that over pcap, segments and the repairs among them)"""
    directory = pathlib.Path(directory)
    counters = over_pair(directory, seed, planted)
    split(directory)
    over_pcap(directory, seed, planted)
    digests = [hashlib.sha256((directory / name).read_bytes()).hexdigest() for name in ("pair.pcapng", "pcap.pcapng")]
    repairs = sum(counters[f"tx_{name}"] for name in ("rack_retransmit", "tail_probe", "timeout_retransmit"))
    return *digests, counters["segments_out"], repairs


def build_shifted_clock(directory):
    library = pathlib.Path(directory) / "shifted_clock.so"
    subprocess.run(["gcc", "-O2", "-Wall", "-shared", "-fPIC", "-o", library, ROOT / "tests" / "shifted_clock.c", "-ldl"],
                   check=True, timeout=300)
    return library


def fresh(library, seed, run, planted=None):
    """conversation() in a new interpreter, as strings; `run` decides its hash seed and its clock."""
    env = {**os.environ, "PYTHONHASHSEED": str(run + 1), "PYTHONPATH": str(ROOT), "LD_PRELOAD": str(library),
           "FIXWIRE_SHIFT_S": str(run * 9973)}
    with tempfile.TemporaryDirectory() as directory:
        code = f"from tests.determinism import conversation; print(*conversation({directory!r}, {seed}, {planted!r}))"
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, text=True, capture_output=True, timeout=300)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return tuple(done.stdout.split())


def runs(library, seed, n, planted=None, jobs=2):
    """Counter of what n fresh processes gave."""
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        return collections.Counter(pool.map(lambda run: fresh(library, seed, run, planted), range(n)))


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m tests.determinism", description=__doc__)
    parser.add_argument("--runs", type=int, default=1000, help="fresh processes")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args(arguments)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        library = build_shifted_clock(directory)
        found = runs(library, args.seed, args.runs)
        other = runs(library, args.seed + 1, 1)
    for (over, replayed, segments, repairs), n in found.most_common():
        print(f"{n} x pair {over[:16]} pcap {replayed[:16]}: {segments} segments sent, {repairs} of them repairs")
    same = len(found) == 1 and all(a == b for a, b, *_ in found)
    differs = not set(found) & set(other)
    print(f"seed {args.seed}, {args.runs} fresh processes: transmit captures "
          f"{'identical' if same else 'DIFFERENT'}; another seed {'differs' if differs else 'DOES NOT DIFFER'}; "
          f"{time.monotonic() - began:.0f} s")
    return 0 if same and differs else 1


if __name__ == "__main__":
    sys.exit(main())
