"""Rings between two processes on two cores: throughput, one-way latency, broadcast; beside the C floor in one run.

Each figure is the best and the median of REPEATS runs, floor and ours interleaved, both processes pinned. Messages are
64 octets (56 for broadcast, as in the floor), each written and checked in full. Latency: one message every 2 us,
producer's TSC in the message, consumer's at receipt. Python rows move numpy structured arrays of 512 messages.
`python bench/ipc.py [--json] [--repeats N]`; needs two cores; the floors are bench/floors/*.c,
compiled in the same run.
"""
import argparse
import json
import multiprocessing
import os
import pathlib
import re
import statistics
import subprocess
import sys
import time

import numpy

sys.path[0] = str(pathlib.Path(__file__).resolve().parent.parent)    # this file's own name is `ipc`

from bench import native  # noqa: E402
from ipc.broadcast import Publisher, Subscriber  # noqa: E402
from ipc.channel import Reader, Writer  # noqa: E402
from ipc.mpsc import MpscReader, MpscWriter  # noqa: E402

FLOORS = native.ROOT / "bench" / "floors"
N = 10_000_000


def pin(core):
    os.sched_setaffinity(0, {core % os.cpu_count()})


def forked(work, core=1):
    """Runs `work` in a child pinned to `core`; its pid."""
    pid = os.fork()
    if pid == 0:
        pin(core)
        try:
            work()
        finally:
            os._exit(0)
    return pid


def two_processes(directory, produce, consume, make):
    """ns from the first message to the last: `produce(end)` in a child, `consume(end)` here."""
    make(directory).close()

    def child():
        with Writer("b", directory=directory) as w:
            produce(w)

    with Reader("b", directory=directory) as r:
        pid = forked(child)
        begun = time.perf_counter_ns()
        consume(r)
        took = time.perf_counter_ns() - begun
        os.waitpid(pid, 0)
    return took


def fresh_ring(directory, capacity=4096):
    return Writer("b", 64, capacity, directory=directory, replace=True, create=True)


def spsc(module, directory, batch):
    took = two_processes(directory, lambda w: module.produce(w, N, batch, 0),
                         lambda r: module.consume(r, N, batch, None), fresh_ring)
    return took / N


def latency(module, directory, cycles_per_ns):
    n = 200_000
    out = numpy.ones(n, "u8")
    two_processes(directory, lambda w: module.produce(w, n, 1, int(2000 * cycles_per_ns)),
                  lambda r: module.consume(r, n, 1, out), fresh_ring)
    out = numpy.sort(out[1000:]) / cycles_per_ns
    return {"p50": out[len(out) // 2], "p99": out[len(out) * 99 // 100]}


def python_batch(directory):
    n = 2_000_000
    rows = numpy.zeros((512, 64), "u1")
    dtype = numpy.dtype("u8,u8,u8,u8,u8,u8,u8,u8")

    def produce(w):
        sent = 0
        while sent < n:
            sent += w.send_batch(rows[:min(512, n - sent)])

    def consume(r):
        got = 0
        while got < n:
            got += len(r.pop_array(dtype))
    return two_processes(directory, produce, consume, fresh_ring) / n


def mpsc(directory, producers):
    each = 1_000_000
    rows = numpy.zeros((512, 64), "u1")
    dtype = numpy.dtype("u8,u8,u8,u8,u8,u8,u8,u8")

    def produce():
        with MpscWriter("m", directory=directory) as w:
            sent = 0
            while sent < each:
                done = w.send_batch(rows[:min(512, each - sent)])
                sent += done
                if not done:
                    os.sched_yield()
    with MpscReader("m", 64, 4096, directory=directory, create=True, replace=True) as r:
        begun = time.perf_counter_ns()
        pids = [forked(produce) for _ in range(producers)]
        got = 0
        while got < each * producers:
            got += len(r.pop_array(dtype))
        took = time.perf_counter_ns() - begun
        for pid in pids:
            os.waitpid(pid, 0)
    return took / got


def broadcast(module, directory, readers, stopped, cycles_per_ns):
    with Publisher("p", 56, 1024, directory=directory, create=True, replace=True) as p:
        pids = []
        for _ in range(readers):
            def follow():
                with Subscriber("p", directory=directory, start=0) as s:
                    module.follow(s, N)
            pids.append(forked(follow))
        if stopped:
            def stop():
                with Subscriber("p", directory=directory):
                    time.sleep(600)
            pids.append(forked(stop))
        time.sleep(0.1)
        if stopped:
            os.kill(pids[-1], 19)
        took = module.broadcast(p, N) / cycles_per_ns
        if stopped:
            os.kill(pids[-1], 9)
        for pid in pids:
            os.waitpid(pid, 0)
    return took / N


def floor(program, *arguments, pattern):
    if program is None:
        return None
    out = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True).stdout
    found = re.search(pattern, out)
    return float(found[1]) if found else None


def stdlib(kind):
    n = 100_000
    if kind == "pipe":
        a, b = multiprocessing.Pipe(duplex=False)
        put, get = b.send_bytes, a.recv_bytes
    else:
        q = multiprocessing.Queue(4096)
        put, get = q.put, q.get
    message = bytes(64)

    def produce():
        for _ in range(n):
            put(message)
        if kind == "queue":
            q.close()
            q.join_thread()
    begun = time.perf_counter_ns()
    pid = forked(produce)
    for _ in range(n):
        get()
    took = time.perf_counter_ns() - begun
    os.waitpid(pid, 0)
    return took / n


def iceoryx2():
    """ns a message of bench/peers/iceoryx2_ring.py; None where the package is not there or does not run."""
    peer = pathlib.Path(__file__).parent / "peers" / "iceoryx2_ring.py"
    out = subprocess.run([sys.executable, peer], capture_output=True, text=True, timeout=120)
    return float(out.stdout.split()[-1]) if out.returncode == 0 and out.stdout.strip() else None


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--json", action="store_true")
    p.add_argument("--repeats", type=int, default=5)
    a = p.parse_args()
    if os.cpu_count() < 2:
        raise SystemExit("two cores are needed")
    pin(0)
    module = native.cython_module(pathlib.Path(__file__).parent / "ipc_native.pyx")
    c_spsc, c_broadcast = native.c_program(FLOORS / "spsc.c"), native.c_program(FLOORS / "broadcast.c")
    t, k = time.perf_counter_ns(), module.tsc()
    time.sleep(0.2)
    ghz = (module.tsc() - k) / (time.perf_counter_ns() - t)
    rows = {}

    def take(name, ours, its_floor=None):
        mine, theirs = [], []
        for _ in range(a.repeats):
            mine.append(ours())
            if its_floor:
                theirs.append(its_floor())
        row = {"best": min(mine), "median": statistics.median(mine)}
        theirs = [x for x in theirs if x]
        if theirs:
            row |= {"floor": min(theirs), "ratio": min(mine) / min(theirs),
                    "ratio_median": statistics.median(mine) / statistics.median(theirs)}
        rows[name] = row
        if not a.json:
            print(f"{name:34} {row['best']:9.1f} {row['median']:9.1f}" +
                  (f" {row['floor']:9.1f} {row['ratio']:7.2f} {row['ratio_median']:7.2f}" if theirs else ""), flush=True)

    if not a.json:
        print(native.machine())
        print(f"{'ns a message':34} {'best':>9} {'median':>9} {'C floor':>9} {'ratio':>7} {'of medians':>7}")
    with native.scratch() as d:
        per_message = r"([\d.]+) ns/msg"
        take("spsc 64 B", lambda: spsc(module, d, 1), lambda: floor(c_spsc, 1, N, pattern=per_message))
        take("spsc 64 B, batch 32", lambda: spsc(module, d, 32), lambda: floor(c_spsc, 32, N, pattern=per_message))
        for q in ("p50", "p99"):
            take(f"spsc one-way {q}, ns", lambda q=q: latency(module, d, ghz)[q],
                 lambda q=q: floor(c_spsc, 1, 200_000, int(2000 * ghz), pattern=rf"{q}=([\d.]+)"))
        for readers, stopped in ((0, 0), (1, 0), (2, 0), (1, 1)):
            name = f"broadcast writer, {readers} readers" + (", one more stopped" if stopped else "")
            take(name, lambda r=readers, s=stopped: broadcast(module, d, r, s, ghz),
                 lambda: floor(c_broadcast, N, pattern=r"producer .*?([\d.]+) ns/msg"))
        take("spsc from Python, arrays of 512", lambda: python_batch(d))
        for k in (2, 4):
            take(f"mpsc from Python, {k} producers", lambda k=k: mpsc(d, k))
    take("multiprocessing.Pipe", lambda: stdlib("pipe"))
    take("multiprocessing.Queue", lambda: stdlib("queue"))
    if iceoryx2() is not None:
        take("iceoryx2 from Python", iceoryx2)
    if a.json:
        print(json.dumps({"machine": native.machine(), "rows": rows}))


if __name__ == "__main__":
    main()
