"""`fixwire ipc list | show NAME | remove NAME`: what shared memory of ours is on this host, and cleaning it."""
import argparse
import json
import os
import sys
from typing import Any

from gateway.cli import Mistake
from ipc.segment import retire, segment_path, segments


def main(args: argparse.Namespace) -> int:
    """Exit code: 0 done, 1 when something damaged or left behind was listed, 2 for a name that is not there or in use."""
    if args.directory is not None and not os.path.isdir(args.directory):
        raise Mistake(f"{args.directory} is not a directory")
    return {"list": _list, "show": _show, "remove": _remove}[args.action](args)


def _left_behind(row: dict[str, Any]) -> bool:
    return "error" in row or row["state"] in ("stale", "damaged", "truncated", "init") or \
        (not row["roles"] and not row["alive"])


def _list(args: argparse.Namespace) -> int:
    rows = segments(args.directory)
    if args.json:
        print(json.dumps(rows))
    else:
        for row in rows:
            if "error" in row:
                print(f"{row['name']:32} {row['error']}")
                continue
            shape = f"{row['capacity']} x {row['max_len']} B"
            print(f"{row['name']:32} {row['kind']:10} {shape:18} {row['state']:8} "
                  f"{', '.join(row['roles']) or 'nobody attached'}")
        if not rows:
            sys.stderr.write("no segments\n")
    return 1 if any(_left_behind(row) for row in rows) else 0


def _find(args: argparse.Namespace) -> dict[str, Any]:
    for row in segments(args.directory):
        if row["name"] == args.name:
            return row
    raise Mistake(f"no segment {args.name!r}; `fixwire ipc list` tells which there are")


def _show(args: argparse.Namespace) -> int:
    row = _find(args)
    if args.json:
        print(json.dumps(row))
    else:
        for key, value in row.items():
            print(f"{key:10} {', '.join(value) if isinstance(value, list) else value}")
    return 1 if _left_behind(row) else 0


def _remove(args: argparse.Namespace) -> int:
    """The segment, and the pool of buffers that a broadcast of that name has."""
    row = _find(args)
    if "error" in row and not row["error"].startswith("a segment"):
        raise Mistake(f"{row['path']}: {row['error']}; it is not ours to remove")
    names = [args.name]
    if row.get("kind") == "broadcast":
        pool = args.name + ".pool"
        names += [r["name"] for r in segments(args.directory) if r["name"] == pool and r.get("kind") == "pool"]
    try:
        for name in names:
            retire(segment_path(name, args.directory))
    except OSError as e:
        raise Mistake(str(e.strerror)) from None
    return 0
