"""Plays every *.pkt below the given files or directories: one line a script, then `N passed, N failed, N unsupported`.

With a profile: packetdrill's tolerance (4 ms or an eighth of the gap), options in any order, any window scale, and PSH
is not compared; without: everything to the nanosecond.
Exit status: 0 nothing failed, 1 something did, 2 there was nothing to play.
"""
import argparse
import pathlib
import sys

from .runner import PROFILES, play


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m tests.packetdrill", description=__doc__)
    parser.add_argument("path", nargs="+", type=pathlib.Path, help="a script, or a directory of them")
    parser.add_argument("--profile", choices=[p for p in PROFILES if p],
                        help="whose defaults, option order and tolerance; none: our own scripts, tolerance 0")
    parser.add_argument("--define", action="append", metavar="NAME",
                        help="for which names #ifdef lines count (a profile's: Linux; STANDARD for freebsd)")
    parser.add_argument("--log", action="store_true", help="also print the frames of what failed")
    parser.add_argument("--only", choices=("passed", "failed", "unsupported"), help="print these lines alone")
    args = parser.parse_args(arguments)
    scripts = [p for path in args.path for p in (sorted(path.rglob("*.pkt")) if path.is_dir() else [path])]
    if not scripts:
        print("no *.pkt there", file=sys.stderr)
        return 2
    count = dict.fromkeys(("passed", "failed", "unsupported"), 0)
    for script in scripts:
        try:
            result = play(script.read_text(errors="replace"), args.profile, args.define)
        except OSError as e:
            print(f"{script}: {e.strerror}", file=sys.stderr)
            return 2
        count[result.verdict] += 1
        if args.only in (None, result.verdict):
            print(f"{result.verdict:11} {script}{': ' + result.reason if result.reason else ''}", flush=True)
            if args.log and result.verdict == "failed":
                print("\n".join("    " + line for line in result.log))
    print(", ".join(f"{n} {verdict}" for verdict, n in count.items()))
    return 1 if count["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
