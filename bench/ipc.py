"""Rings between two processes on two cores: throughput, one-way latency, broadcast; beside the C floor in one run.

Best and median of REPEATS short rounds; a round runs every row once, ours and its floor one after the other, so that what
the machine does meanwhile falls on all of them. That is needed: where a hypervisor puts the two cores (one physical core's
two threads, one cache, two caches) changes within seconds, and each place has times of its own, from 3 to 200 ns a message.
So a ratio is taken within each round, and their median is what is claimed, with the quartiles beside it.
Both processes are pinned. Messages are 64 octets (56 for broadcast, as in the floor), each written and checked in full.
Latency: one message every 2 us, producer's TSC in the message, consumer's at receipt. Python rows move numpy structured
arrays of 512 messages. `python bench/ipc.py [--json] [--repeats N]`; needs two quiet cores; the floors are
bench/floors/*.c, compiled in the same run.
"""
import argparse
import collections
import json
import multiprocessing
import os
import pathlib
import re
import signal
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
N = 500_000             # short, and often: ours and the floor should meet the machine in the same mood


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
        r.wait(60_000_000_000)              # the producer is there
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


def reattach(directory):
    """ns from the kill -9 of a producer until its successor's first message is in the reader's hands."""
    fresh_ring(directory).close()

    def hold():
        with Writer("b", directory=directory) as w:
            w.send(b"first")
            signal.pause()
    with Reader("b", directory=directory) as r:
        pid = forked(hold)
        r.pop(60_000_000_000)
        begun = time.perf_counter_ns()
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        with Writer("b", directory=directory) as w:
            w.send(b"next")
            if r.pop() != b"next":
                raise RuntimeError("the successor's message did not come")
            return time.perf_counter_ns() - begun


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


TIMES = {"100 ns": 100.0, "10 ms": 10_000_000.0}
LIMITS = (          # row, what it is compared with, the most it may be of that
    ("spsc 64 B", "its floor", 1.3),
    ("spsc 64 B, batch 32", "its floor", 1.3),
    ("spsc one-way p50", "its floor", 1.3),
    ("broadcast writer, 1 reader", "its floor", 1.3),
    ("broadcast writer, no reader", "broadcast writer, 1 reader", 1.1),
    ("broadcast writer, 2 readers", "broadcast writer, 1 reader", 1.1),
    ("broadcast writer, 1 reader, 1 stopped", "broadcast writer, 1 reader", 1.1),
    ("spsc from Python, arrays of 512", "100 ns", 1.0),
    ("re-attach after a kill, once", "10 ms", 1.0),
    ("spsc from Python, arrays of 512", "iceoryx2 from Python", 0.1),
)


def quartiles(ratios):
    """The median of the ratios between the first and the third quartile, as floats."""
    return [float(x) for x in numpy.percentile(ratios, (25, 50, 75))]


def claims(rows):
    """(text, True, False or None where there is nothing to compare with) of each of LIMITS."""
    for name, other, most in LIMITS:
        ours, its_floor = rows[name]
        against = ([TIMES[other]] * len(ours) if other in TIMES else its_floor if other == "its floor" else
                   rows.get(other, ([], []))[0])
        if not ours or len(against) != len(ours):
            yield f"{name} / {other}", None
            continue
        low, middle, high = quartiles([a / b for a, b in zip(ours, against, strict=True)])
        yield f"{name} / {other}: {middle:.2f} (half of the rounds {low:.2f} to {high:.2f}), at most {most}", middle <= most


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--json", action="store_true")
    p.add_argument("--repeats", type=int, default=31)
    a = p.parse_args()
    if os.cpu_count() < 2:
        raise SystemExit("two cores are needed")
    pin(0)
    module = native.cython_module(pathlib.Path(__file__).parent / "ipc_native.pyx")
    c_spsc, c_broadcast = native.c_program(FLOORS / "spsc.c"), native.c_program(FLOORS / "broadcast.c")
    t, k = time.perf_counter_ns(), module.tsc()
    time.sleep(0.2)
    ghz = (module.tsc() - k) / (time.perf_counter_ns() - t)
    per_message = r"([\d.]+) ns/msg"

    def both(function, *arguments):
        """Ours and the floor's p50 and p99 come from one run."""
        return lambda: {f"spsc one-way {q}": v for q, v in function(*arguments).items()}

    def paced_floor():
        out = subprocess.run([c_spsc, "1", "200000", str(int(2000 * ghz))], capture_output=True, text=True).stdout
        return {f"spsc one-way {q}": float(re.search(rf"{q}=([\d.]+)", out)[1]) for q in ("p50", "p99")}

    rows, cells = collections.defaultdict(lambda: ([], [])), []
    with native.scratch() as d:
        for batch, text in ((1, ""), (32, ", batch 32")):
            cells.append((f"spsc 64 B{text}", lambda b=batch: spsc(module, d, b),
                          c_spsc and (lambda b=batch: floor(c_spsc, b, N, pattern=per_message))))
        cells.append(("", both(latency, module, d, ghz), c_spsc and paced_floor))
        for readers, stopped, text in ((0, 0, "no reader"), (1, 0, "1 reader"), (2, 0, "2 readers"),
                                       (1, 1, "1 reader, 1 stopped")):
            cells.append((f"broadcast writer, {text}", lambda r=readers, s=stopped: broadcast(module, d, r, s, ghz),
                          c_broadcast and text == "1 reader" and (lambda: floor(c_broadcast, N, pattern=per_message))))
        cells.append(("spsc from Python, arrays of 512", lambda: python_batch(d), None))
        cells.append(("re-attach after a kill, once", lambda: reattach(d), None))
        cells += [(f"mpsc from Python, {k} producers", lambda k=k: mpsc(d, k), None) for k in (2, 4)]
        cells += [(f"multiprocessing.{k.capitalize()}", lambda k=k: stdlib(k), None) for k in ("pipe", "queue")]
        if iceoryx2() is not None:
            cells.append(("iceoryx2 from Python", iceoryx2, None))
        for k in range(a.repeats):
            for name, ours, its_floor in cells:
                for column, work in enumerate((ours, its_floor)):
                    found = work() if work else None
                    for row, value in (found.items() if isinstance(found, dict) else [(name, found)]):
                        rows[row][column].extend([value] if value else [])
            print(f"round {k + 1} of {a.repeats}", file=sys.stderr, flush=True)
    held = list(claims(rows))
    if a.json:
        table = {name: {"ours": ours, "floor": its_floor} for name, (ours, its_floor) in rows.items()}
        print(json.dumps({"machine": native.machine(), "rows": table, "claims": held}))
        return
    print(native.machine())
    print(f"{'ns a message':38} {'best':>9} {'median':>9} {'C floor':>9} {'median':>9} {'ratio in a round':>17}")
    for name, (ours, its_floor) in rows.items():
        text = f"{name:38} {min(ours):9.1f} {statistics.median(ours):9.1f}"
        if its_floor:
            text += f" {min(its_floor):9.1f} {statistics.median(its_floor):9.1f} "
            if len(its_floor) == len(ours):
                text += f"{quartiles([x / y for x, y in zip(ours, its_floor, strict=True)])[1]:17.2f}"
        print(text)
    for text, holds in held:
        print({True: "holds  ", False: "MISSED ", None: "not run"}[holds], text)


if __name__ == "__main__":
    main()
