"""What messages cost: parsing, reading, encoding, checking; beside the C yardsticks of ../shared/floors in one run.

Input: 1,024 varied messages of three kinds (nos NewOrderSingle 186 octets, er ExecutionReport 264, md
MarketDataIncrementalRefresh 799), ../shared/messages. A sample is one pass over all of them, nogil, one thread, pinned;
rows are taken in turn `--samples` times (default 200) so that a slow moment hits all alike. `min` and `median` are
nanoseconds a message. `parse` is framing, BodyLength, CheckSum and the table of all fields; the yardstick `floor gather`
only scans. The times in the files are at random, another second in every message; `in one second` is what a session does.
Python rows count the calls too. `python bench/fix_message.py [--json] [--samples N]`.
"""
import argparse
import ctypes
import functools
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

sys.path[0] = str(pathlib.Path(__file__).resolve().parent.parent)

import fix  # noqa: E402
from bench import native  # noqa: E402

SHARED = native.ROOT.parent / "shared"
KINDS = ["nos", "er", "md"]
FLOOR = """
#include "%s/floors/gather/scan.h"
int floor_512(const uint8_t *p, size_t n, uint64_t *out, uint32_t *sum) { return scan_avx512(p, n, out, sum); }
int floor_256(const uint8_t *p, size_t n, uint64_t *out, uint32_t *sum) { return scan_avx2(p, n, out, sum); }
int floor_plain(const uint8_t *p, size_t n, uint64_t *out, uint32_t *sum) { return scan_scalar(p, n, out, sum); }
"""


def floors():
    """The yardsticks' scanners by name, as addresses; none where ../shared/floors is absent."""
    if not (SHARED / "floors" / "gather" / "scan.h").exists():
        return {}
    native.BUILD.mkdir(parents=True, exist_ok=True)
    c, so = native.BUILD / "fix_floor.c", native.BUILD / "fix_floor.so"
    c.write_text(FLOOR % SHARED)
    subprocess.run(["gcc", "-O3", "-w", "-shared", "-fPIC", c, "-o", so], check=True)
    lib = ctypes.CDLL(str(so))
    flags = pathlib.Path("/proc/cpuinfo").read_text()
    names = {"floor_512": "avx512_vbmi2", "floor_256": "avx2", "floor_plain": ""}
    return {name: ctypes.cast(getattr(lib, name), ctypes.c_void_p).value for name, flag in names.items() if flag in flags}


def python_rows(data):
    """Whole-Python figures for one kind of message, each a callable over `n` messages."""
    raws = [m.raw for m in fix.Parser().feed(data)]

    def parse():
        for raw in raws:
            fix.parse(raw)

    def parse_read():
        for raw in raws:
            m = fix.parse(raw)
            m.get_int(34), m.get_utc_ns(52), m[11], m[55], m[54], m.get_int(38), m.get_e8(44), m[40]

    def build():
        for i in range(len(raws)):
            m = fix.Message("D")
            m[11] = "ORD00001"
            m[1] = "ACCT"
            m[21] = "1"
            m[38] = i
            m[40] = "2"
            m[44] = "101.25"
            m[54] = "1"
            m[55] = "IBM"
            m[59] = "0"
            m[60] = "20261120-16:09:25.666"
            m.encode()
    return {"python parse": parse, "python parse + 8 reads": parse_read, "python build + encode 10 fields": build}


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--json", action="store_true")
    p.add_argument("--samples", type=int, default=200)
    a = p.parse_args()
    if not (SHARED / "messages").is_dir():
        print("skipped: ../shared/messages is not there")
        return
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    module = native.cython_module(native.ROOT / "bench" / "fix_message_native.pyx")
    scanner = sys.modules["fix.parse"]
    rows = {}
    rules = fix.Validator(fix.dictionary.standard("FIX.4.4"))
    for kind in KINDS:
        data = (SHARED / "messages" / f"{kind}_1024.fix").read_bytes()
        messages = module.Messages(data)
        assert messages.check() == messages.count, f"{kind}: the encoder gives other octets than the file has"
        steady = module.Messages(data)
        if kind == "nos":
            assert steady.check_templates() == steady.count, "the templates give other octets than the file has"
        steady.in_one_second()
        takes = {name: functools.partial(messages.floor, address) for name, address in floors().items()}

        def with_isa(isa, take):
            def taken():
                scanner.use_isa(isa)
                return take()
            return taken

        for isa in ("avx512", "avx2", "scalar"):
            if scanner.use_isa(isa) == isa:
                takes[f"parse {isa}"] = with_isa(isa, messages.parse)
        best = scanner.use_isa()
        takes["parse + 8 hinted reads"] = with_isa(best, messages.parse_read)
        takes["parse + dictionary checks"] = with_isa(best, functools.partial(messages.parse_check, rules))
        takes["encode typed"] = with_isa(best, messages.encode)
        takes["encode typed, in one second"] = with_isa(best, steady.encode)
        if kind == "nos":
            takes["encode template, in one second"] = with_isa(best, steady.encode_template)
        takes["CheckSum alone"] = with_isa(best, messages.octet_sum)
        samples = {name: [] for name in takes}
        for take in takes.values():
            take()
        for _ in range(a.samples):
            for name, take in takes.items():
                samples[name].append(take() / messages.count)
        if kind == "nos":
            for name, work in python_rows(data).items():
                samples[name] = []
                for _ in range(max(a.samples // 20, 3)):
                    begun = time.perf_counter_ns()
                    work()
                    samples[name].append((time.perf_counter_ns() - begun) / messages.count)
        for name, values in samples.items():
            rows.setdefault(name, {})[kind] = {"min": min(values), "median": statistics.median(values)}
    if a.json:
        print(json.dumps({"machine": native.machine(), "rows": rows}))
        return
    print(native.machine())
    print(f"{'ns a message: min (median)':34}" + "".join(f"{kind:>18}" for kind in KINDS))
    for name, kinds in rows.items():
        print(f"{name:34}" + "".join(f"{v['min']:10.1f} ({v['median']:.0f})".rjust(18) if v else " " * 18
                                     for v in (kinds.get(kind) for kind in KINDS)))
    for ours, floor in [("parse avx512", "floor_512"), ("parse avx2", "floor_256"), ("parse scalar", "floor_plain")]:
        if ours in rows and floor in rows:
            ratios = (rows[ours][kind]["min"] / rows[floor][kind]["min"] for kind in KINDS)
            print(f"{ours + ' / ' + floor:34}" + "".join(f"{ratio:18.2f}" for ratio in ratios))


if __name__ == "__main__":
    main()
