"""How long another session's Heartbeat waits while one peer is hostile: the wall-clock length of the gateway's steps.

A Heartbeat that is due leaves in the next step, so the step in front of it is its delay. tests/hostile.py turns virtual
time; only the gateway's own step is timed (its strategies are Python's and idle), the hostile peer's work is not. The aim is
1 ms on a quiet core. `python bench/isolation.py [--json] [--ms 5000]`
"""
import argparse
import json
import pathlib
import platform
import random
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from hostile import Town  # noqa: E402

AIM_NS = 1_000_000


class Timed:
    """The gateway's engine with a clock around step()."""

    def __init__(self, engine):
        self.engine, self.took = engine, []

    def __getattr__(self, name):
        return getattr(self.engine, name)

    def step(self, now_ns):
        began = time.perf_counter_ns()
        did = self.engine.step(now_ns)
        self.took.append(time.perf_counter_ns() - began)
        return did


def nobody(town, ms):
    town.pass_ms(ms)


def stops_reading(town, ms):
    town.line.reading = False
    for _ in range(ms // 10):
        for _ in range(20):
            town.evil.send("B", [(148, "x" * 500)])
        town.pass_ms(10)


def million(town, ms):
    for _ in range(ms // 1000):
        town.say("35=2|7=1|16=0|")
        town.pass_ms(1000)


def garbage(town, ms):
    town.pour(random.Random(1).randbytes(60_000 * ms))
    town.pass_ms(ms)


def beginnings(town, ms):
    town.pour(b"8=FIX.4.4\x019=120\x0135=D\x01" * (2000 * ms))
    town.pass_ms(ms)


def test_requests(town, ms):
    town.pour(b"".join(town.line.message("35=1|112=PING|") for _ in range(100 * ms)))
    town.pass_ms(ms)


ATTACKS = {"nobody": (nobody, {}), "stops reading": (stops_reading, {}),
           "asks for a million messages": (million, {"next_out": 1_000_000}), "60 MB/s of garbage": (garbage, {}),
           "beginnings of messages": (beginnings, {}), "a flood of TestRequests": (test_requests, {})}


def measure(name, ms):
    attack, options = ATTACKS[name]
    with Town(**options) as town:
        timed = town.street.venue = Timed(town.gateway)
        attack(town, ms)
        town.street.venue = town.gateway
        if town.late:
            raise SystemExit(f"{name}: {len(town.late)} Heartbeats were late on virtual time: {town.late[:3]}")
    took = sorted(timed.took)
    return {"attack": name, "steps": len(took), "p50_ns": took[len(took) // 2], "p99_ns": took[len(took) * 99 // 100],
            "max_ns": took[-1], "above_aim": sum(t > AIM_NS for t in took)}


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--ms", type=int, default=5000, help="virtual time of each attack")
    p.add_argument("--json", action="store_true")
    args = p.parse_args()
    rows = [measure(name, args.ms) for name in ATTACKS]
    if args.json:
        print(json.dumps({"machine": platform.processor() or platform.machine(), "python": platform.python_version(),
                          "rows": rows}))
        return
    print(f"{'what the hostile peer does':28} {'steps':>7} {'p50 us':>8} {'p99 us':>8} {'max us':>9} {'> 1 ms':>7}")
    for r in rows:
        print(f"{r['attack']:28} {r['steps']:7} {r['p50_ns'] / 1000:8.1f} {r['p99_ns'] / 1000:8.1f} "
              f"{r['max_ns'] / 1000:9.1f} {r['above_aim']:7}")


if __name__ == "__main__":
    main()
