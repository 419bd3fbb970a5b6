"""Thousands of worlds of tests/simulation.py: `python -m tests.soak --seeds 10000 [--start N] [--jobs 2]`.

Ends with what was exercised and one line of verdict; a seed that goes wrong is replayed in packetdrill notation, and
alone with `--replay SEED`. Exit status 1 if any did.
"""
import argparse
import collections
import multiprocessing
import os
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import simulation  # noqa: E402

BATCH = 25
MINUTE_S = 60


def batch(first):
    """(worlds, what was exercised, [(seed, what went wrong)])"""
    count = collections.Counter()
    wrong = []
    start, stop = first
    for seed in range(start, stop):
        try:
            count.update(simulation.run(seed).count)
        except simulation.Wrong as e:
            wrong.append((seed, str(e)))
    return stop - start, count, wrong


def report(count, write):
    def group(*names):
        return ", ".join(f"{count[n]} {n.replace('_', ' ')}" for n in names)

    write("wire: " + group("frames", "lost", "doubled", "reordered", "damaged", "queue_full", "too_large", "link_down",
                           "link_down_lost", "spikes", "mtu_changes", "device_full", "forged"))
    write("hosts: " + group("connections", "octets", "aborts", "crashes", "reconnects", "clock_jumps", "cookies"))
    for head in ("rx_", "tx_"):
        write(f"segments {head[:2]}: " + ", ".join(f"{v} {k[3:]}" for k, v in sorted(count.items()) if k.startswith(head)))


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="how many")
    parser.add_argument("--start", type=int, default=0, help="the first")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--replay", type=int, metavar="SEED", help="print the exchange of one seed")
    args = parser.parse_args(arguments)
    if args.replay is not None:
        return 0 if simulation.replay(args.replay) else 1
    began = time.monotonic()
    stop = args.start + args.seeds
    ranges = [(a, min(a + BATCH, stop)) for a in range(args.start, stop, BATCH)]
    count, wrong, done = collections.Counter(), [], 0
    with multiprocessing.Pool(max(1, args.jobs)) as pool:
        for n, counted, bad in pool.imap_unordered(batch, ranges):
            done += n
            count.update(counted)
            wrong += bad
            if sys.stderr.isatty():
                print(f"\r{done} of {args.seeds}", end="", file=sys.stderr, flush=True)
    seconds = time.monotonic() - began
    report(count, print)
    wrong.sort()
    for _, what in wrong:
        print(what)
    if wrong:
        print(f"\nthe first of them, seed {wrong[0][0]}:")
        simulation.replay(wrong[0][0])
    print(f"{done} seeds in {seconds:.1f} s ({done / seconds * MINUTE_S:.0f} a minute): {len(wrong)} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
