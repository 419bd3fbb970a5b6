"""Wire to callback to wire, stage by stage: the ns between the rx_burst that brings a fill and the tx_burst of the order.

It is `fixwire demo` (gateway/demo.py) run several times: a simulated exchange and the gateway, each on its own stack, in
one thread, one order on its way at a time; every order distinct and in a frame of its own, every fill checked.
  stages        a run with marks (the CPU's counter) at every stage boundary; a stage is the time between two marks
                and contains the cost of one, printed below. rx is rx_burst itself, before the total begins.
  wire_to_wire  a run with two marks only: the return of rx_burst, the return of tx_burst. No cost is subtracted.
  runs          --runs of each (default 5), backends and strategies in turn, so that a slow minute hits all alike. A row
                shows the run with the lowest median; `spread` is the lowest and highest median of all runs.
The first 1,000 orders of a run are left out. Backends: pair, and DPDK's net_ring (two ports, crossed, with DPDK's mbufs and
pools; left out with the reason where there is no DPDK). net_null answers nothing, so no session can run over it; its cost
is in bench/device.py.
`reference` is a fixed integer loop: its median over its minimum says how contended the machine was.

    python bench/path.py [--orders N] [--runs N] [--strategy native|python|both] [--json]
"""
import argparse
import json
import os
import pathlib
import platform
import sys
import time

sys.path[0] = str(pathlib.Path(__file__).resolve().parent.parent)

from bench import native  # noqa: E402
from gateway import demo  # noqa: E402
from gateway.trace import STAGES, Trace  # noqa: E402

COLUMNS = ("min_ns", "p50_ns", "p99_ns", "p99_9_ns", "max_ns")


def backends():
    """{name: what makes the two devices of a run}, and why others are left out."""
    found, missing = {"pair": lambda: None}, {}
    from dpdk_py import DeviceError, open_device
    try:
        crossed = native.cython_module(pathlib.Path(__file__).with_name("path_native.pyx")).Crossed
        a, b = open_device("dpdk:net_ring0"), open_device("dpdk:net_ring1")
        found["net_ring"] = lambda: (crossed(a, b, b"\2fix\0\1"), crossed(b, a, b"\2fix\0\2"))
    except (DeviceError, ImportError) as error:
        missing["net_ring"] = str(error).splitlines()[0]
    return found, missing


def reference():
    took = []
    for _ in range(200):
        began = time.perf_counter_ns()
        sum(range(5000))
        took.append(time.perf_counter_ns() - began)
    return sorted(took)


def run(orders, strategy, trace, devices):
    market = demo.Market(orders, strategy, trace=trace, devices=devices)
    market.run()
    table, faults = market.engine.trace.table(), market.faults()
    market.close()
    if faults:
        raise SystemExit("bench/path.py: " + "; ".join(faults))
    return table


def measure(orders, runs, strategies):
    """{(backend, strategy): {stage: row}}; a row is that of the run with the lowest median, and `spread`."""
    found, missing = backends()
    kept = {}
    for _ in range(runs):
        for backend, devices in found.items():
            for strategy in strategies:
                for trace in ("stages", "wire"):
                    for stage, row in run(orders, strategy, trace, devices()).items():
                        kept.setdefault((backend, strategy), {}).setdefault(stage, []).append(row)
    best = {}
    for key, stages in kept.items():
        best[key] = {}
        for stage, rows in stages.items():
            medians = [row["p50_ns"] for row in rows]
            best[key][stage] = dict(min(rows, key=lambda row: row["p50_ns"]), spread=(min(medians), max(medians)))
    return best, missing


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--orders", type=int, default=50_000)
    p.add_argument("--runs", type=int, default=5)
    p.add_argument("--strategy", choices=("native", "python", "both"), default="both")
    p.add_argument("--json", action="store_true")
    a = p.parse_args()
    before = reference()
    tables, missing = measure(a.orders, a.runs, ("native", "python") if a.strategy == "both" else (a.strategy,))
    loops = sorted(before + reference())
    facts = {"machine": f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores, Python {platform.python_version()}",
             "orders": a.orders, "runs": a.runs, "mark_ns": round(Trace.mark_cost_ns(), 1),
             "reference": round(loops[len(loops) // 2] / loops[0], 2)}
    if a.json:
        print(json.dumps(facts | {"missing": missing, "tables": {
            f"{backend} {strategy}": {stage: {name: [round(v, 1) for v in value] if name == "spread" else round(value, 1)
                                              for name, value in row.items()} for stage, row in rows.items()}
            for (backend, strategy), rows in tables.items()}}))
        return
    print(f"{facts['machine']}; {a.runs} runs of {a.orders:,} orders; a mark costs {facts['mark_ns']} ns; "
          f"reference loop {facts['reference']} x its minimum")
    for (backend, strategy), rows in tables.items():
        print(f"\n{backend}, {strategy} strategy\n{'ns':<14}" + "".join(f"{c[:-3].replace('_', '.'):>9}" for c in COLUMNS)
              + f"{'spread of p50':>18}")
        for stage in (*STAGES, "wire_to_wire"):
            row = rows[stage]
            print(f"{stage:<14}" + "".join(f"{row[c]:>9.0f}" for c in COLUMNS)
                  + f"{row['spread'][0]:>11.0f} ..{row['spread'][1]:>5.0f}")
    for backend, why in missing.items():
        print(f"\n{backend}: left out, {why}")


if __name__ == "__main__":
    main()
