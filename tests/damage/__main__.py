"""The damage matrix: `python -m tests.damage [CELL ...] [--mb 100] [--json]`; CELL as in "cubic/loss5" or "bbr/*".

In each cell our stack, over AF_PACKET, and a real peer send each other so many megabytes at the same time over one
connection, through a bridge that damages frames in both directions. Peers: the kernel's TCP with reno, cubic and bbr, and
lwIP, which sends less where its timers make it slow (cells.LWIP_SENDS). Judged: sha256 of both streams, what the wire did
(each kind within 20 % of what was asked), our frame accounting, and how long each sender stood still (at most 3 of its
RTO then in force; the figure against the RTO before any back-off stands beside it). Exit status 1 if a cell failed.
"""
import argparse
import fnmatch
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))
import netns  # noqa: E402

from damage import cells, run  # noqa: E402

HEAD = (f"{'cell':18} {'s':>6} {'MB/s':>6} {'frames':>8} {'lost':>7} {'moved':>7} {'doubled':>7} {'damaged':>7} "
        f"{'refused':>7} {'resent':>7} {'RTOs':>5}   {'we stood, ms (RTO, first)':>26} "
        f"{'peer stood, ms (RTO, first)':>28}  verdict")


def stood(stall):
    return f"{stall['longest_ms']:9.1f} ({stall['rtos']:.2f}, {stall['first_rtos']:.2f})"


def line(outcome):
    wire, us = outcome["wire"], outcome["us"]
    rate = (outcome["octets"] + outcome["octets_back"]) / run.MB / us["seconds"]
    return (f"{outcome['cell']:18} {us['seconds']:6.2f} {rate:6.1f} {wire['seen']:8} "
            + " ".join(f"{wire[name]:7}" for name in ("lost", "moved", "doubled", "damaged"))
            + f" {outcome['refused']:7} {us['info']['retransmitted']:7} {us['info']['timeouts']:5}   "
            f"{stood(us['stall']):>26} {stood(outcome['peer']['stall']):>28}  "
            + ("good" if not outcome["faults"] else "FAILED: " + "; ".join(outcome["faults"])))


def main(arguments=None):
    p = argparse.ArgumentParser(prog="python -m tests.damage", description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("cells", nargs="*", metavar="CELL", help=f"all unless named: {' '.join(cells.names())}")
    p.add_argument("--mb", type=float, default=100, help="megabytes each way")
    p.add_argument("--json", action="store_true", help="every figure as JSON on standard output")
    a = p.parse_args(arguments)
    chosen = [c for c in cells.names() if not a.cells or any(fnmatch.fnmatch(c, pattern) for pattern in a.cells)]
    if not run.has_lwip():
        chosen = [c for c in chosen if not c.startswith("lwip/")]
        print("lwIP is left out: liblwip-dev is not installed", file=sys.stderr)
    if not chosen:
        p.error(f"no cell is named {' '.join(a.cells)}")
    if netns.why_not():
        p.error(f"network namespaces: {netns.why_not()}")
    outcomes = []
    print(HEAD, file=sys.stderr if a.json else sys.stdout, flush=True)
    with run.make_link() as link:
        for cell in chosen:
            try:
                outcomes.append(run.run_cell(link, cell, int(a.mb * run.MB)))
            except netns.ProcessFailed as e:
                outcomes.append({"cell": cell, "octets": int(a.mb * run.MB), "faults": [str(e)]})
                print(f"{cell:18} FAILED: {e}", file=sys.stderr, flush=True)
            else:
                print(line(outcomes[-1]), file=sys.stderr if a.json else sys.stdout, flush=True)
    bad = sum(bool(o["faults"]) for o in outcomes)
    if a.json:
        json.dump({"outcomes": outcomes, "failed": bad}, sys.stdout, indent=1)
    else:
        print(f"{len(outcomes)} cells of {a.mb:g} MB each way, {bad} failed")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
