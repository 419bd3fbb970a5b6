"""What the flight recorder costs a frame: taken, named, judged, in nanoseconds; `python bench/recorder.py`.

1,000 frames between two reads of the clock, best and median of 500 such; the kept frames lie in a ring that is walked, so
the row with 65,536 frames pays for a cold line where the others find theirs in the cache. Aim: below 20 ns.
"""
import array
import os
import pathlib
import statistics
import sys

sys.path[0] = str(pathlib.Path(__file__).resolve().parent.parent)

from bench import native  # noqa: E402
from dpdk_py.pair import pair  # noqa: E402
from stack import Stack  # noqa: E402

TURNS, SAMPLES = 1000, 500
ROWS = ((1024, 160, 54), (1024, 160, 254), (1024, 1518, 254), (1024, 1518, 1514), (65536, 160, 254))


def main():
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    module = native.cython_module(pathlib.Path(__file__).parent / "recorder_native.pyx")
    print(native.machine())
    print(f"{'frames kept':>12} {'octets kept':>12} {'frame':>6} {'min ns':>8} {'median ns':>10}")
    for kept, octets, length in ROWS:
        stack = Stack(pair()[0], "10.0.0.1/24", seed=1, connections=1, flight=kept, flight_octets=octets)
        samples = array.array("Q", bytes(8 * SAMPLES))
        for _ in range(2):
            module.record(stack, bytes(length), TURNS, samples)
        each = [ns / TURNS for ns in samples]
        print(f"{kept:12} {octets:12} {length:6} {min(each):8.2f} {statistics.median(each):10.2f}")


if __name__ == "__main__":
    main()
