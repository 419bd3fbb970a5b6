"""What a device costs: the four functions of dpdk_py/device.pxd, in nanoseconds a frame.

Each sample is 1,000 turns of a nogil loop between two reads of the clock, so neither the clock nor Python is in the
figure; `--samples` of them (default 300) after as many that are thrown away, one thread, pinned. `min` is the cost
without disturbance, `median` what this machine gave. A turn of "alloc+tx+rx+free" allocates a frame, sends it, receives
it at the other end and frees it; nobody writes or reads its octets. Rows of files read 20,000 frames from the page
cache, best and median of 7. `python bench/device.py [--json] [--samples N]`; the DPDK rows need libdpdk.
"""
import argparse
import array
import json
import os
import pathlib
import statistics
import sys
import tempfile
import time

sys.path[0] = str(pathlib.Path(__file__).resolve().parent.parent)

from bench import native  # noqa: E402
from dpdk_py import (  # noqa: E402
    BackendUnavailable,
    DeviceError,
    Impairment,
    PcapngWriter,
    PcapReader,
    PcapWriter,
    open_device,
)

TURNS = 1000
FILE_FRAMES = 20_000


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--json", action="store_true")
    p.add_argument("--samples", type=int, default=300)
    a = p.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    module = native.cython_module(pathlib.Path(__file__).parent / "device_native.pyx")
    rows = {}

    def row(name, values):
        rows[name] = {"min": min(values), "median": statistics.median(values)}
        if not a.json:
            print(f"{name:58} {rows[name]['min']:9.2f} {rows[name]['median']:9.2f}", flush=True)

    def take(name, loop, *args, per=1):
        samples = array.array("Q", bytes(8 * a.samples))
        loop(*args, samples)
        loop(*args, samples)
        row(name, [ns / TURNS / per for ns in samples])

    def best(name, work, frames):
        times = []
        for _ in range(7):
            t = time.perf_counter_ns()
            work()
            times.append((time.perf_counter_ns() - t) / frames)
        row(name, times)

    if not a.json:
        print(native.machine())
        print(f"{'ns':58} {'min':>9} {'median':>9}")
    x, y = open_device("pair")
    take("pair: rx_burst, nothing waiting", module.empty, y)
    take("pair: alloc+free", module.alloc_free, x)
    take("pair: alloc+tx+rx+free, bursts of 1", module.through, x, y, 1, 60)
    take("pair: alloc+tx+rx+free, bursts of 32, a frame", module.through, x, y, 32, 60, per=32)
    impaired = Impairment(y, seed=1)
    take("pair + Impairment without settings, bursts of 1", module.through, x, impaired, 1, 60)
    lossy = Impairment(y, seed=1, loss=0.01, duplicate=0.01, reorder=0.01, corrupt=0.01)
    take("pair + Impairment, 1% of each, bursts of 1", module.through, x, lossy, 1, 60)
    with tempfile.TemporaryDirectory() as folder:
        recorder = PcapWriter(y, "/dev/null")
        take("pair + PcapWriter to /dev/null, 200 octets, bursts of 1", module.through, x, recorder, 1, 200)
        file = pathlib.Path(folder) / "f.pcapng"
        with PcapngWriter(file) as w:
            for i in range(FILE_FRAMES):
                w.write(bytes(200), i)
        best("pcap: replay, 200 octets, a frame", lambda: module.drain(open_device(f"pcap:{file}")), FILE_FRAMES)
        best("PcapReader in Python, a packet", lambda: sum(1 for _ in PcapReader(file)), FILE_FRAMES)
    best("pair: Python tx() and rx_burst(), a frame",
         lambda: [(x.tx(bytes(60)), y.rx_burst()) for _ in range(FILE_FRAMES)], FILE_FRAMES)
    try:
        lo = open_device("afpacket:lo")
        module.drain(lo)
        take("afpacket: rx_burst, nothing waiting", module.empty, lo)
    except DeviceError as error:
        print(f"afpacket: {error}", file=sys.stderr)
    try:
        with open_device("dpdk:net_ring0") as ring:
            take("dpdk net_ring: alloc+tx+rx+free, bursts of 1", module.through, ring, ring, 1, 60)
            take("dpdk net_ring: alloc+tx+rx+free, bursts of 32, a frame", module.through, ring, ring, 32, 60, per=32)
        with open_device("dpdk:net_null0") as null:
            take("dpdk net_null: 1 sent, 32 received and freed, a turn", module.through, null, null, 1, 60)
    except (BackendUnavailable, DeviceError) as error:
        print(f"dpdk: {error}", file=sys.stderr)
    if a.json:
        print(json.dumps({"machine": native.machine(), "rows": rows}))


if __name__ == "__main__":
    main()
