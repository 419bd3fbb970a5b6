"""`fixwire devices`: which kinds of device this machine and this installation can open, and what the others need."""
import argparse

from gateway.cli import colour


def main(args: argparse.Namespace) -> int:
    """Exit code 0: it is no finding that a kind is missing."""
    from dpdk_py import backends
    found = backends()
    if args.json:
        import json
        print(json.dumps({b.name: {"available": b.available, "why": b.why, "remedy": b.remedy} for b in found}))
        return 0
    strong, off = ("\033[1m", "\033[0m") if colour() else ("", "")
    for b in found:
        print(f"{strong}{b.name:<10}{off} " + ("yes" if b.available else f"no: {b.why}\n{'':<11}{b.remedy}"))
    return 0
