"""Receiving a segment: our TCP beside lwIP's C on the same frames in the same run, both fed from memory.

Per segment, Ethernet header to callback and back: parse, checksums, connection, state machine, text to a C callback that
counts it, and an ACK, which the device swallows: lwIP's for every second segment, ours at the end of each burst, so in
bursts of 2 both do the same. Rounds of SEGMENTS in-order segments (the
same octets but for the two ISNs) alternate between the stacks, in one thread; a figure is the median of REPEATS rounds,
the ratio the median of the ratios of neighbouring rounds, with quartiles.

lwIP is Debian's liblwip 2.1.3: built for an operating system (a mutex around each allocation, malloc) at Debian's -O2,
called here from one thread without its threads; `in place` hands it the frames as PBUF_REF, without the copy its drivers
make. `python bench/tcp.py [--json] [--repeats N]`; without liblwip-dev only ours is measured.
"""
import argparse
import json
import pathlib
import statistics
import sys
import time

sys.path[0] = str(pathlib.Path(__file__).resolve().parent.parent)

from bench import native  # noqa: E402

SEGMENTS = 512
SYN, ACK, PUSH_ACK = 2, 16, 24
LWIP_HEADERS = pathlib.Path("/usr/include/lwip/lwip/tcp.h")
FLOW = 1_000_000


class Flow:
    """One connection from the scripted peer to a stack over its Feed; `run(burst)` handles what was put."""

    def __init__(self, feed, run):
        self.feed, self.run = feed, run
        self.seq = feed.put(FLOW, 0, SYN)
        run(1)
        self.ack = feed.sent_numbers[0] + 1
        feed.put(self.seq, self.ack, ACK)
        run(1)

    def round(self, octets, burst):
        """ns a segment."""
        self.feed.clear()
        self.seq = self.feed.put(self.seq, self.ack, PUSH_ACK, octets, SEGMENTS) % 2**32
        sent = self.feed.sent
        began = time.perf_counter_ns()
        self.run(burst)
        took = time.perf_counter_ns() - began
        if self.feed.waiting or self.feed.sent_numbers[1] != self.seq or (
                burst == 2 and self.feed.sent - sent != SEGMENTS // 2):
            raise RuntimeError(f"{self.feed.sent - sent} ACKs, the last for {self.feed.sent_numbers[1]}, not {self.seq}")
        return took / SEGMENTS


def lwip(module, in_place):
    flags = ("-O3", "-I/usr/include/lwip", "-Wl,--no-as-needed", "-llwip")
    face = native.cython_module(native.ROOT / "tests" / "lwip_face.pyx", flags)
    feed = module.Feed(0x0A4D0003)
    peer = face.Peer(feed, bytes([10, 77, 0, 3]), "02:00:00:00:00:01", 5001, in_place=in_place)
    return Flow(feed, peer.run)


def measure(octets, burst, in_place, repeats):
    module = native.cython_module(native.ROOT / "bench" / "tcp_native.pyx")
    feed = module.Feed(0x0A4D0002)
    stack = module.Ours(feed, "10.77.0.2/24")
    flows = {"ours": Flow(feed, stack.run)}
    if LWIP_HEADERS.exists():
        flows["lwip"] = lwip(module, in_place)
    figures = {name: [] for name in flows}
    for k in range(repeats + 3):
        for name in sorted(flows, reverse=k % 2):
            ns = flows[name].round(octets, burst)
            if k >= 3:
                figures[name].append(ns)
    result = {"octets": octets, "burst": burst, "in_place": in_place, "ours_predicted": stack.predicted}
    result.update({name: round(statistics.median(values), 1) for name, values in figures.items()})
    if "lwip" in figures:
        ratios = [a / b for a, b in zip(figures["ours"], figures["lwip"], strict=True)]
        result["ratio"] = [round(x, 3) for x in statistics.quantiles(ratios, n=4)]
    return result


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--json", action="store_true")
    p.add_argument("--repeats", type=int, default=201)
    p.add_argument("--one", nargs=3, type=int, metavar=("OCTETS", "BURST", "IN_PLACE"), help=argparse.SUPPRESS)
    a = p.parse_args()
    if a.one:
        print(json.dumps(measure(*a.one[:2], bool(a.one[2]), a.repeats)))
        return
    import subprocess
    rows = []
    for octets in (200, 1460):
        for burst, in_place in ((2, 0), (2, 1), (32, 1)):       # lwIP's state is global: a process each
            argv = [sys.executable, __file__, "--repeats", str(a.repeats), "--one", str(octets), str(burst), str(in_place)]
            rows.append(json.loads(subprocess.run(argv, check=True, capture_output=True, text=True).stdout))
    if a.json:
        print(json.dumps({"machine": native.machine(), "repeats": a.repeats, "rows": rows}, indent=1))
        return
    print(f"{native.machine()}; median of {a.repeats} rounds of {SEGMENTS} segments, ns a segment")
    print(f"{'octets':>6} {'burst':>5} {'lwIP reads':>10} {'ours':>7} {'lwIP':>7}  ours / lwIP (quartiles)")
    for r in rows:
        ratio = f"{r['ratio'][1]:.2f} ({r['ratio'][0]:.2f} to {r['ratio'][2]:.2f})" if "ratio" in r else "no liblwip-dev"
        print(f"{r['octets']:6} {r['burst']:5} {'in place' if r['in_place'] else 'a copy':>10} {r['ours']:7} "
              f"{r.get('lwip', '-'):>7}  {ratio}")


if __name__ == "__main__":
    main()
