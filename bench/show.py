"""What `fixwire show` costs beside tshark: one capture, wall-clock seconds of whole processes.

The capture is made here, seeded: both directions, messages split over segments, several in a segment, one frame in a
hundred sent again. Every tool must count exactly the messages that were put in, else the bench fails. Best of
`--repeat` runs each, in turn; the file is in the page cache. `python bench/show.py [--json] [--messages N]`; without
tshark its row is left out.
"""
import argparse
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from capture_maker import Connection, messages, repeated, write  # noqa: E402

FIXWIRE = [sys.executable, "-m", "gateway", "show"]


def capture(path, count):
    rng = random.Random(1)
    c = Connection(step=10**5).open()
    while count:
        n = min(count, 200)
        count -= n
        text = b"".join(messages(rng, n, size=250))
        cuts = [rng.randrange(len(text)) for _ in range(n)] if rng.random() < 0.5 else range(1400, len(text), 1400)
        c.say(rng.choice((c.client, c.server)), text, cuts)
    write(path, repeated(rng, c.packets, 0.01, 2))


def run(command):
    """(seconds, what it printed)"""
    begun = time.perf_counter()
    out = subprocess.run(command, capture_output=True, check=True, cwd=ROOT).stdout
    return time.perf_counter() - begun, out


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--json", action="store_true")
    p.add_argument("--messages", type=int, default=100_000)
    p.add_argument("--repeat", type=int, default=5)
    a = p.parse_args()
    with tempfile.TemporaryDirectory() as tmp:
        path = os.path.join(tmp, "bench.pcap")
        capture(path, a.messages)
        tools = {
            "fixwire show --summary": ([*FIXWIRE, "--summary", path], lambda out: json.loads(out)["messages"], a.repeat),
            "fixwire show --json": ([*FIXWIRE, "--json", path], lambda out: out.count(b"\n"), a.repeat),
        }
        if shutil.which("tshark"):
            tools["tshark"] = (["tshark", "-r", path, "-o", "tcp.reassemble_out_of_order:TRUE", "-Y", "fix.MsgType", "-T",
                                "fields", "-e", "fix.MsgType"], lambda out: len(out.replace(b",", b"\n").split()), 1)
        best, wrong, size = {}, [], os.path.getsize(path)
        for name, (command, counted, repeat) in tools.items():
            for _ in range(repeat):
                seconds, out = run(command)
                best[name] = min(seconds, best.get(name, seconds))
                if counted(out) != a.messages:
                    wrong.append(f"{name} counted {counted(out)} messages, not {a.messages}")
                    break
    if a.json:
        print(json.dumps({"messages": a.messages, "octets": size, "cpus": os.cpu_count(), "seconds": best, "wrong": wrong}))
    else:
        print(f"{a.messages} messages, {size / 1e6:.1f} MB, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}")
        for name, seconds in best.items():
            ratio = f"   1/{best['tshark'] / seconds:.0f} of tshark" if "tshark" in best and name != "tshark" else ""
            print(f"{name:<24} {seconds:7.3f} s   {a.messages / seconds:>10,.0f} messages/s{ratio}")
        print("\n".join(wrong), end="")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
