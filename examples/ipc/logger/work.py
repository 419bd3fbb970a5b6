"""Does work and logs each step into the channel `log`: a memory copy, no file, no lock. A full ring drops and counts."""
import argparse
import time

from ipc import Writer


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--steps", type=int, default=100_000)
    a = p.parse_args()
    with Writer("log", 256, 65536, create=True, replace=True, policy="drop") as log:
        begun = time.perf_counter_ns()
        for step in range(a.steps):
            log.send(b"%d step %d done" % (time.time_ns(), step))
        took = time.perf_counter_ns() - begun
        print(f"{a.steps} lines, {took / a.steps:.0f} ns each, {log.dropped} dropped")


if __name__ == "__main__":
    main()
