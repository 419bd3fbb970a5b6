"""`fixwire session ...`: asks a running gateway over its administration socket, prints what it says.

Exit codes: 0 done, 1 refused by the gateway, 2 wrong usage or no gateway.
"""
import argparse
import glob
import json
import os
import socket
import sys
from typing import Any

from gateway.admin import runtime_directory, socket_name
from gateway.cli import Mistake

ANSWER_S = 15.0
COLUMNS = ("name", "role", "BeginString", "state", "next_in", "next_out", "enabled", "killed")


def main(args: argparse.Namespace) -> int:
    """Ask and print."""
    request: dict[str, Any] = {"command": args.action}
    if args.action != "list":
        request["session"] = "*" if getattr(args, "all", False) else args.session
    for key in ("in", "out", "from", "to", "text", "force"):
        value = getattr(args, f"{key}_", None)
        if value is not None and value is not False:
            request[key] = value
    answer = ask(socket_path(args), request)
    if "error" in answer:
        if args.json:
            print(json.dumps(answer))
        sys.stderr.write(f"fixwire: {answer['error']}\n")
        return 1
    show(answer["sessions"], args)
    return 0


def socket_path(args: argparse.Namespace) -> str:
    """The socket of the gateway that is meant. Mistake: none runs, or several and it was not said which."""
    directory = runtime_directory(args.runtime_directory)
    if args.config is not None:
        from gateway.config import ConfigError, load
        try:
            config = load(args.config)
        except OSError as e:
            raise Mistake(f"{args.config} cannot be read: {e.strerror}") from None
        except ConfigError as e:
            raise Mistake(e.problems[0]) from None
        if args.runtime_directory is None and config.runtime_directory is not None:
            directory = os.path.join(os.path.dirname(os.path.abspath(args.config)), config.runtime_directory)
        return os.path.join(directory, socket_name(args.config))
    found = sorted(glob.glob(os.path.join(glob.escape(directory), "*.sock")))
    alive = [path for path in found if answers(path)]
    if not alive:
        raise Mistake(f"no gateway runs: none serves a socket in {directory} (--config FILE or --runtime-directory DIR "
                      "where it has another)")
    if len(alive) > 1:
        names = ", ".join(os.path.basename(path)[:-5].rpartition("-")[0] for path in alive)
        raise Mistake(f"{len(alive)} gateways run here ({names}): say which with --config FILE")
    return alive[0]


def connected(path: str) -> socket.socket:
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    s.settimeout(ANSWER_S)
    try:
        s.connect(path)
    except OSError:
        s.close()
        raise
    return s


def answers(path: str) -> bool:
    """Whether anybody serves this socket; one that may not be used counts as served, and is told of when it is."""
    try:
        connected(path).close()
    except PermissionError:
        return True
    except OSError:
        return False
    return True


def ask(path: str, request: dict[str, Any]) -> dict[str, Any]:
    """The gateway's answer. Mistake where there is none."""
    try:
        with connected(path) as s:
            s.sendall(json.dumps(request).encode() + b"\n")
            raw = b""
            while more := s.recv(65536):
                raw += more
    except PermissionError:
        raise Mistake(f"{path} is not ours to use: administration is for the gateway's own user") from None
    except (FileNotFoundError, ConnectionRefusedError):
        raise Mistake(f"no gateway runs: nobody serves {path}") from None
    except OSError as e:
        raise Mistake(f"{path}: {e}") from None
    try:
        answer: dict[str, Any] = json.loads(raw)
    except ValueError:
        raise Mistake(f"{path} gave no answer: the gateway has ended") from None
    return answer


def show(sessions: list[dict[str, Any]], args: argparse.Namespace) -> None:
    if args.json:
        print(json.dumps(sessions if args.action == "list" else sessions[0] if len(sessions) == 1 else sessions))
        return
    rows = [[str(s[c]).lower() if isinstance(s[c], bool) else str(s[c]) for c in COLUMNS] for s in sessions]
    widths = [max(map(len, column)) for column in zip(COLUMNS, *rows, strict=True)]
    for row in [list(COLUMNS), *rows]:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
    for s in sessions:
        for name, value in sorted(s.get("stats", {}).items()):
            if value:
                print(f"  {name} {value}")
