"""The command `fixwire`: arguments in, exit code out. Each subcommand imports what it needs when it runs.

0: done, nothing to complain about. 1: done, and something was found (a failed check, an order not matched).
2: wrong usage or bad input, told in one sentence. Never a traceback for a user's mistake.
"""
import argparse
import os
import sys
from collections.abc import Callable
from typing import NoReturn

EPILOG = """examples:
  fixwire demo                                  an order's way through our own stack, with a latency table
  fixwire show session.pcap                     every FIX message of a capture
  fixwire show session.pcap --json | jq .       one object a line
  fixwire replay session.pcap --strategy my_strategy:Maker --json
  fixwire run gateway.toml                      the gateway process
  fixwire strategy run maker.py:Maker --connect desk.maker   a strategy in a process of its own
  fixwire session list                          sessions of the running gateway: states and numbers
  fixwire devices                               which ways in and out exist on this machine

exit codes: 0 done, 1 done with findings, 2 wrong usage or bad input
"""


SESSION_ACTIONS = {
    "list": "every session", "show": "one session with its counters", "reset": "both numbers begin at 1",
    "seq": "set the next numbers", "logout": "Logout; an initiator logs on again unless it is disabled",
    "test-request": "send a TestRequest", "resend-request": "ask for messages again",
    "enable": "let it connect, or be logged on to", "disable": "Logout, and stay out",
    "kill": "refuse every order", "unkill": "let orders through again",
}


class Mistake(Exception):
    """A user's mistake or bad input: one plain sentence, exit code 2."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def parser() -> argparse.ArgumentParser:
    """The whole command line; no subcommand's module is imported for it."""
    raw = argparse.RawDescriptionHelpFormatter
    p = _Parser(prog="fixwire", description="A kernel-bypass FIX gateway for Python.", epilog=EPILOG,
                formatter_class=raw, allow_abbrev=False)
    p.add_argument("--version", action="store_true", help="print the version and leave")
    commands = p.add_subparsers(dest="command", metavar="command", title="commands", parser_class=_Parser)

    def command(name: str, run: Callable[[argparse.Namespace], int], text: str,
                epilog: str) -> argparse.ArgumentParser:
        c = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".",
                                epilog="examples:\n" + epilog, formatter_class=raw, allow_abbrev=False)
        c.set_defaults(run=run)
        return c

    c = command("demo", _demo, "a simulated exchange and the gateway, each on its own stack, in one process",
                "  fixwire demo\n  fixwire demo --orders 100000 --strategy native --json\n")
    c.add_argument("--orders", type=_count, default=None, metavar="N", help="orders to send")
    c.add_argument("--strategy", choices=("python", "native"), default=None, help="who decides about orders")
    c.add_argument("--json", action="store_true", help="the result as one object")

    c = command("show", _show, "every FIX message in a capture, both directions, TCP put together",
                "  fixwire show session.pcap\n  fixwire show session.pcap --type D,8 --host 10.0.0.5\n"
                "  fixwire show session.pcapng --json > messages.jsonl\n  fixwire show session.pcap --summary\n")
    c.add_argument("file", metavar="FILE", help="pcap or pcapng")
    how = c.add_mutually_exclusive_group()
    how.add_argument("--json", action="store_true", help="one object a line; totals on standard error")
    how.add_argument("--summary", action="store_true", help="only the totals, as one object")
    c.add_argument("--type", metavar="T[,T]", help="only these MsgTypes")
    c.add_argument("--host", metavar="IP[:PORT]", help="only messages from or to this end")
    c.add_argument("--checksums", action="store_true",
                   help="drop segments whose TCP checksum is wrong (captures of a host that offloads them have none)")

    c = command("replay", _replay, "the peer's side of a capture, played through the real stack into a strategy",
                "  fixwire replay session.pcap --strategy my_strategy:Maker\n"
                "  fixwire replay day.pcapng --strategy maker.py:Maker --us 10.0.0.2:40112 --record out.pcapng --json\n"
                "\nReplay is open loop: what the peer answered is what it answered then, whatever the strategy sends "
                "now.\n")
    c.add_argument("file", metavar="FILE", help="pcap or pcapng")
    c.add_argument("--strategy", required=True, metavar="MODULE:NAME", help="a class; module may be a path to a .py")
    c.add_argument("--us", metavar="IP[:PORT]", help="which end is ours, and so which flow")
    c.add_argument("--seed", type=_count, default=0, metavar="N", help="seed of ISN and ports (0)")
    c.add_argument("--record", metavar="OUT.pcapng", help="write every frame of the replay")
    c.add_argument("--json", action="store_true", help="one object a message, the totals as the last one")

    c = command("run", _run, "the gateway process",
                "  fixwire run gateway.toml\n  fixwire run gateway.toml --check\n")
    c.add_argument("file", metavar="gateway.toml", help="configuration; examples/gateway.toml explains every key")
    c.add_argument("--check", action="store_true", help="only read and check the configuration")

    c = command("strategy", _strategy, "a strategy in a process of its own, connected to a running gateway",
                "  fixwire strategy run my_strategy:Maker --connect desk.maker\n"
                "  fixwire strategy run maker.py:Maker --connect desk.maker --idle spin --core 3\n"
                "\nThe gateway's [ipc] table names the desk and its strategies.\n"
                "exit codes: 0 stopped, 1 the gateway is gone or a callback raised, 2 wrong usage, or it runs already\n")
    actions = c.add_subparsers(dest="action", metavar="run", required=True, parser_class=_Parser)
    a = actions.add_parser("run", help="until SIGINT, SIGTERM, its own stop() or the gateway's end", allow_abbrev=False)
    a.add_argument("strategy", metavar="MODULE:NAME", help="a class; module may be a path to a .py")
    a.add_argument("--connect", required=True, metavar="DESK.NAME", help="a gateway's desk, and our name there")
    a.add_argument("--directory", metavar="DIR", help="where the gateway has its shared memory (/dev/shm)")
    a.add_argument("--idle", choices=("spin", "yield", "sleep"), default="yield", help="what to do while nothing comes")
    a.add_argument("--core", type=_count, metavar="CPU", help="pin it to this CPU")
    a.add_argument("--exceptions", choices=("continue", "disable", "stop"), default="continue",
                   help="after an exception in a callback: go on, call it no more, or end")
    a.add_argument("--wait", type=_count, default=5, metavar="S", help="seconds to wait for the gateway to be there (5)")

    c = command("session", _session, "the sessions of a running gateway: look at them, change them",
                "  fixwire session list\n  fixwire session show DESK->VENUE --json\n"
                "  fixwire session seq DESK->VENUE --out 1042\n  fixwire session disable DESK->VENUE\n"
                "  fixwire session kill --all\n"
                "\nEvery change is in the audit log. exit codes: 0 done, 1 refused, 2 wrong usage or no gateway runs\n")
    _session_actions(c)

    c = command("devices", _devices, "which ways frames can take on this machine, and what the missing ones need",
                "  fixwire devices\n  fixwire devices --json\n")
    c.add_argument("--json", action="store_true", help="one object")

    c = command("ipc", _ipc, "the shared-memory segments on this host: list, show, remove",
                "  fixwire ipc list\n  fixwire ipc show events --json\n  fixwire ipc remove orders.maker\n")
    actions = c.add_subparsers(dest="action", metavar="list|show|remove", required=True, parser_class=_Parser)
    for action, text in (("list", "every segment; exit 1 if one was left behind"), ("show", "one segment"),
                         ("remove", "unlink one that no living process uses")):
        a = actions.add_parser(action, help=text, allow_abbrev=False)
        if action != "list":
            a.add_argument("name", metavar="NAME")
        if action != "remove":
            a.add_argument("--json", action="store_true", help="as JSON")
        a.add_argument("--directory", metavar="DIR", help="another directory than /dev/shm")
    return p


def _session_actions(c: argparse.ArgumentParser) -> None:
    actions = c.add_subparsers(dest="action", metavar="|".join(SESSION_ACTIONS), required=True, parser_class=_Parser)
    for action, text in SESSION_ACTIONS.items():
        a = actions.add_parser(action, help=text, description=text[0].upper() + text[1:] + ".", allow_abbrev=False)
        if action in ("kill", "unkill"):
            which = a.add_mutually_exclusive_group(required=True)
            which.add_argument("session", nargs="?", metavar="SESSION")
            which.add_argument("--all", action="store_true", help="every session")
        elif action != "list":
            a.add_argument("session", metavar="SESSION", help="its name, as `list` gives it")
        if action == "seq":
            a.add_argument("--in", dest="in_", type=_count, metavar="N", help="MsgSeqNum expected from the peer")
            a.add_argument("--out", dest="out_", type=_count, metavar="N", help="MsgSeqNum of our next message")
        if action == "resend-request":
            a.add_argument("--from", dest="from_", type=_count, metavar="N", required=True, help="the first message")
            a.add_argument("--to", dest="to_", type=_count, metavar="N", help="the last one; left out: all there is")
        if action == "logout":
            a.add_argument("--text", dest="text_", metavar="TEXT", help="Text(58)")
        if action in ("reset", "seq"):
            a.add_argument("--force", dest="force_", action="store_true", help="also where it is not safe")
        a.add_argument("--config", metavar="gateway.toml", help="of the gateway that is meant, where several run")
        a.add_argument("--runtime-directory", metavar="DIR", help="where it has its socket")
        a.add_argument("--json", action="store_true", help="as JSON")


def main(argv: list[str] | None = None) -> int:
    """Run the command line; the exit code is returned, nothing but argparse's own --help leaves by SystemExit."""
    p = parser()
    try:
        args = p.parse_args(argv)
        if args.version:
            print("fixwire", version())
            return 0
        if args.command is None:
            p.error("which command? demo, show, replay, run, strategy, session, devices or ipc")
        code: int = args.run(args)
        sys.stdout.flush()
        return code
    except Mistake as e:
        return complain(str(e))
    except BrokenPipeError:
        # The reader (head, less) has seen enough. Keep the interpreter from flushing into the pipe at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130


def complain(sentence: str) -> int:
    """One line on standard error; the exit code that goes with it."""
    sys.stderr.write(f"fixwire: {sentence}\n")
    return 2


def version() -> str:
    """Version of the installed distribution."""
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed
    try:
        return installed("fixwire")
    except PackageNotFoundError:
        return "not installed"


def colour(stream: object = None) -> bool:
    """Whether `stream` (standard output) shall have colours: a terminal, and NO_COLOR is not set."""
    stream = sys.stdout if stream is None else stream
    return bool(getattr(stream, "isatty", bool)()) and not os.environ.get("NO_COLOR") \
        and os.environ.get("TERM") != "dumb"


def end(text: str, what: str) -> tuple[str, int | None]:
    """(address, port or None) of `IP[:PORT]`; Mistake names `what` otherwise."""
    import ipaddress
    ip, colon, port = text.partition(":")
    try:
        address = str(ipaddress.IPv4Address(ip))
    except ValueError:
        raise Mistake(f"{what} is {text!r}, must be IP or IP:PORT with an IPv4 address") from None
    if not colon:
        return address, None
    if not (port.isascii() and port.isdigit()) or not 0 < int(port) < 65536:
        raise Mistake(f"{what} is {text!r}, its port must be from 1 to 65535")
    return address, int(port)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or int(text) >= 2**63:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 0 or more")
    return int(text)


def _demo(args: argparse.Namespace) -> int:
    from gateway import demo
    argv = ["--json"] if args.json else []
    if args.orders is not None:
        argv += ["--orders", str(args.orders)]
    if args.strategy is not None:
        argv += ["--strategy", args.strategy]
    return int(demo.main(argv))


def _show(args: argparse.Namespace) -> int:
    from gateway import show
    return show.main(args)


def _replay(args: argparse.Namespace) -> int:
    from gateway import replay
    return replay.main(args)


def _run(args: argparse.Namespace) -> int:
    from gateway import run
    return run.main(args)


def _session(args: argparse.Namespace) -> int:
    from gateway import admin_command
    return admin_command.main(args)


def _devices(args: argparse.Namespace) -> int:
    from gateway import devices
    return devices.main(args)


def _strategy(args: argparse.Namespace) -> int:
    from gateway import strategy_command
    return strategy_command.main(args)


def _ipc(args: argparse.Namespace) -> int:
    from gateway import shared_memory
    return shared_memory.main(args)
