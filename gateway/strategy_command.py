"""`fixwire strategy run MODULE:NAME --connect DESK.NAME`: a strategy in a process of its own."""
import argparse
import logging
import os
import sys

from gateway.cli import Mistake
from gateway.errors import GatewayGone
from gateway.loading import load_strategy
from gateway.seat import Seat


def main(args: argparse.Namespace) -> int:
    """0 stopped, by whomever; 1 the gateway ended without a word, or a callback's exception ended it; 2 cannot begin."""
    if args.core is not None and args.core not in os.sched_getaffinity(0):
        raise Mistake(f"--core is {args.core}, this process may use {', '.join(map(str, sorted(os.sched_getaffinity(0))))}")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    strategy = load_strategy(args.strategy)
    try:
        seat = Seat(args.connect, strategy, directory=args.directory, idle=args.idle, on_error=args.exceptions,
                    timeout=args.wait)
    except FileNotFoundError:
        desk = args.connect.rpartition(".")[0]
        raise Mistake(f"no gateway with the desk {desk!r} runs here; `fixwire ipc list` tells what there is") from None
    except (OSError, ValueError) as e:
        raise Mistake(str(e.strerror if isinstance(e, OSError) else e)) from None
    with seat:
        try:
            seat.run(core=args.core)
            code = 0
        except GatewayGone as e:
            code = 1
            sys.stderr.write(f"fixwire: {e}\n")
        except Exception as e:      # a callback's, by --exceptions stop; its traceback is logged
            code = 1
            sys.stderr.write(f"fixwire: the strategy ended itself: {type(e).__name__}: {e}\n")
        found = seat.stats()
    logging.getLogger("fixwire.strategy").info(
        "%s: %d events, %d lost, %d orders, %d errors", args.connect, found["delivered"], found["lost"], found["orders"],
        found["errors"])
    return code
