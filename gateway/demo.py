"""`fixwire demo`: a simulated exchange and the gateway, each on its own stack, joined by a pair, in one thread.

The strategy sends one order at Logon and the next one for every fill, so one order is on its way at a time and
wire_to_wire is the latency of one, without queueing. Four runs, each a session of its own:

1. a few orders with every message printed;
2. `stages`: a mark at every stage boundary, each of which costs what `marks` says;
3. `wire_to_wire`: two marks only, at the return of the rx_burst that brought the fill and of the tx_burst that took
   the order its callback sent. One sample an order, all kept; the first 1,000 orders are warm-up and left out;
4. `allocations`: in a child process whose malloc is counted (LD_PRELOAD of gateway.allocations), after the warm-up.

In all of them IP, TCP and FIX checksums are computed and verified, sessions check numbers, CompIDs and times and keep
what they sent (in memory). The run fails (exit 1) unless every order was distinct and in a frame of its own, and came
back as exactly one fill with its ClOrdID.
"""
from __future__ import annotations

import argparse
import array
import json
import os
import platform
import subprocess
import sys
import time
from typing import Any

WARM_UP = 1000
SHOWN = 3
NAMES = {"0": "Heartbeat", "1": "TestRequest", "2": "ResendRequest", "3": "Reject", "4": "SequenceReset", "5": "Logout",
         "8": "ExecutionReport", "A": "Logon", "D": "NewOrderSingle", "j": "BusinessMessageReject"}
GATEWAY, EXCHANGE, PORT = "10.0.0.1/24", "10.0.0.2/24", 9878


class PythonTrader:
    """gateway.exchange.Trader in Python: one order at Logon, then one for every fill."""

    __slots__ = ("engine", "executions", "last_e8", "mismatched", "on_call", "out", "quotes", "refused", "sent", "traded",
                 "wanted", "warm_up")

    def __init__(self, orders: int, warm_up: int = 0) -> None:
        self.wanted, self.warm_up = orders, warm_up
        self.sent = self.executions = self.mismatched = self.refused = self.traded = self.last_e8 = self.out = 0
        self.quotes = [("2" if n % 2 else "1", 100 + 100 * (n % 7), 9_950_000_000 + n * 37 % 1000 * 1_000_000)
                       for n in range(7000)]
        self.on_call: Any = None
        self.engine: Any = None

    def on_start(self, engine: Any) -> None:
        self.engine = engine

    def on_logon(self, session: Any) -> None:
        self.out = session.utc_ns // 1000
        side, qty, price_e8 = self.quotes[0]
        self.refused += session.order_new("FIXW", side, qty, price_e8, self.out, "2", "0", "DEMO01") != 0
        self.sent = 1 - self.refused

    def on_message(self, session: Any, msg: Any) -> None:
        if msg.get_int(11) != self.out:                 # ClOrdID
            self.mismatched += 1
            return
        self.executions = filled = self.executions + 1
        self.traded += msg.get_int(32)                  # LastQty
        self.last_e8 = msg.get_e8(31)                   # LastPx
        sent = self.sent
        if sent < self.wanted:
            side, qty, price_e8 = self.quotes[sent % 7000]
            self.out += 1
            if session.order_new("FIXW", side, qty, price_e8, self.out, "2", "0", "DEMO01") == 0:
                self.sent = sent + 1
            else:
                self.refused += 1
        if filled == self.warm_up or filled == self.wanted:
            self.milestone()

    def milestone(self) -> None:
        if self.on_call is not None:
            self.on_call()
        if self.executions == self.wanted:
            self.engine.stop()


class Market:
    """Both engines and what they check, ready to run once."""

    def __init__(self, orders: int, strategy: Any, *, trace: str | None = None, warm_up: int = WARM_UP,
                 message_log: int = 0, devices: tuple[Any, Any] | None = None) -> None:
        from dpdk_py import open_device
        from gateway.engine import Engine
        from gateway.exchange import SimulatedExchange, Trader
        self.orders = orders
        self.device, self.far_device = devices or open_device("pair")
        keep = max(0, orders - warm_up)
        self.engine = Engine(self.device, GATEWAY, seed=1, sessions=1, connections=4, trace=trace, samples=keep,
                             message_log=message_log)
        self.far = Engine(self.far_device, EXCHANGE, seed=2, sessions=1, connections=4)
        self.trader: Any = strategy
        if isinstance(strategy, str):
            self.trader = Trader(orders, warm_up=warm_up) if strategy == "native" else PythonTrader(orders, warm_up)
        self.exchange = SimulatedExchange()
        if self.engine.trace is not None:
            self.engine.trace.skip(warm_up)
        self.session = self.engine.add_session("GATEWAY", "EXCHANGE", role="initiator", host="10.0.0.2", port=PORT,
                                               strategy=self.engine.add_strategy(self.trader))
        self.far.add_session("EXCHANGE", "GATEWAY", role="acceptor", port=PORT,
                             strategy=self.far.add_strategy(self.exchange))

    def run(self) -> None:
        """Until the last fill and both Logouts. A minute without them ends it; `faults` then says what is missing."""
        self.engine.run(beside=self.far, seconds=60 + self.orders / 1000)

    def faults(self) -> list[str]:
        """What did not happen as it must; empty: all is well."""
        trader, exchange = self.trader, self.exchange
        wrong = {"orders were not sent": self.orders - trader.sent,
                 "orders were refused": trader.refused,
                 "orders did not reach the exchange": self.orders - exchange.orders,
                 "orders were not distinct": exchange.not_distinct,
                 "orders shared a frame": exchange.not_alone,
                 "messages made no sense to the exchange": exchange.malformed,
                 "fills could not be sent": exchange.refused,
                 "fills are missing": self.orders - trader.executions,
                 "fills carried another ClOrdID": trader.mismatched}
        return [f"{n} {what}" for what, n in wrong.items() if n]

    def close(self) -> None:
        self.engine.close()
        self.far.close()
        self.device.close()
        self.far_device.close()


def show_session(strategy: str, out: Any) -> list[str]:
    """Run 1, every message on a line of its own. -> faults."""
    market = Market(SHOWN, strategy, warm_up=0, message_log=1 << 16)
    market.run()
    for now_ns, _, direction, octets in market.engine.messages():
        for message in octets.replace(b"\x018=FIX", b"\x01\n8=FIX").decode("latin-1").split("\n"):
            fields = [field.split("=", 1) for field in message.split("\x01") if "=" in field]
            msgtype = dict(fields).get("35", "?")
            text = " ".join(f"{tag}={value}" for tag, value in fields if tag not in ("8", "9", "10", "35", "49", "52", "56"))
            utc = now_ns + market.engine.utc_offset_ns
            clock = time.strftime("%H:%M:%S", time.gmtime(utc // 10**9)) + f".{utc % 10**9 // 1000:06d}"
            arrow = "gateway  -> exchange" if direction == "out" else "exchange -> gateway "
            out.write(f"{clock} {arrow} {NAMES.get(msgtype, msgtype):<16} {text}\n")
    faults = market.faults()
    market.close()
    return faults


def measure(orders: int, strategy: str, trace: str, warm_up: int) -> tuple[dict[str, Any], Market, list[str]]:
    """Run 2 or 3. -> (Trace.table, the market closed, faults)"""
    market = Market(orders, strategy, trace=trace, warm_up=warm_up)
    market.run()
    assert market.engine.trace is not None
    table = market.engine.trace.table()
    faults = market.faults()
    market.close()
    return table, market, faults


def count_allocations(orders: int, strategy: str, warm_up: int) -> dict[str, int | None]:
    """Run 4, in this process: what is allocated between the warm-up and the last fill, by both ends."""
    from gateway.allocations import counting, mallocs
    seen = array.array("q", [0] * 5)        # written in place: looking must not be what is counted

    def look() -> None:
        seen[0] += 1
        seen[seen[0]] = mallocs()
        seen[seen[0] + 2] = sys.getallocatedblocks()

    look()                                      # once in vain: what it makes for itself is made
    seen[0] = 0
    market = Market(orders, strategy, warm_up=warm_up)
    market.trader.on_call = look
    market.run()
    faults = market.faults()
    market.close()
    if seen[0] != 2 or faults or not counting():
        return {"mallocs": None, "python_blocks": None}
    return {"mallocs": seen[2] - seen[1], "python_blocks": seen[4] - seen[3]}


def counted_allocations(orders: int, strategy: str, warm_up: int) -> dict[str, int | None]:
    """Run 4 in a child whose malloc is counted; None where that cannot be done."""
    import gateway.allocations
    done = subprocess.run([sys.executable, "-c", "import sys; from gateway.demo import main; sys.exit(main(sys.argv[1:]))",
                           "--count-allocations", "--orders", str(orders), "--strategy", strategy,
                           "--warm-up", str(warm_up)],
                          env=dict(os.environ, LD_PRELOAD=gateway.allocations.__file__,
                                   PYTHONPATH=os.pathsep.join(sys.path)),
                          capture_output=True, text=True, timeout=300)
    try:
        found: dict[str, int | None] = json.loads(done.stdout)
        return found
    except ValueError:
        return {"mallocs": None, "python_blocks": None}


def rounded(row: dict[str, float]) -> dict[str, float]:
    return {name: value if name == "count" else round(value, 1) for name, value in row.items()}


def print_table(found: dict[str, Any], out: Any) -> None:
    head = f"{'ns':<14}{'min':>9}{'p50':>9}{'p99':>9}{'p99.9':>9}{'max':>10}\n"
    out.write(head)
    for name, row in [*found["stages"].items(), ("wire_to_wire", found["wire_to_wire"])]:
        if name == "wire_to_wire":
            out.write("\n")
        out.write(f"{name:<14}" + "".join(f"{row.get(key, 0):>{width}.1f}" for key, width in
                  (("min_ns", 9), ("p50_ns", 9), ("p99_ns", 9), ("p99_9_ns", 9), ("max_ns", 10))) + "\n")


def main(argv: list[str] | None = None) -> int:
    """-> exit status: 0 all orders filled, 1 not, 2 wrong arguments."""
    parser = argparse.ArgumentParser(prog="fixwire demo", description="A simulated exchange and the gateway over a pair: "
                                     "orders, fills and where the time goes. No root, no network.")
    parser.add_argument("--orders", type=int, default=100_000, metavar="N", help="orders of each run (default 100000)")
    parser.add_argument("--strategy", choices=("python", "native"), default="native")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout instead of text")
    parser.add_argument("--warm-up", type=int, default=WARM_UP, help=argparse.SUPPRESS)
    parser.add_argument("--count-allocations", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.orders < 1:
        parser.error(f"argument --orders: {args.orders} is not at least 1")
    warm_up = min(args.warm_up, args.orders // 2)
    if args.count_allocations:
        print(json.dumps(count_allocations(args.orders, args.strategy, warm_up)))
        return 0

    from gateway.trace import Trace
    out = sys.stdout if not args.json else open(os.devnull, "w")
    began = time.perf_counter()
    faults = show_session(args.strategy, out)
    out.flush()
    stages, _, more = measure(args.orders, args.strategy, "stages", warm_up)
    faults += more
    wire, market, more = measure(args.orders, args.strategy, "wire", warm_up)
    faults += more
    allocations = counted_allocations(args.orders, args.strategy, warm_up)
    found = {
        "orders": market.trader.sent,
        "executions": market.trader.executions,
        "strategy": args.strategy,
        "warm_up": warm_up,
        "stages": {name: rounded(row) for name, row in stages.items()},
        "wire_to_wire": rounded(wire["wire_to_wire"]),
        "allocations": allocations["mallocs"] if allocations["mallocs"] is None else
        allocations["mallocs"] + (max(0, allocations["python_blocks"] or 0) if args.strategy == "native" else 0),
        "mallocs": allocations["mallocs"],
        "python_blocks": allocations["python_blocks"],
        "marks": {"cost_ns": round(Trace.mark_cost_ns(), 1), "per_order_in_stages": 10, "per_order_in_wire_to_wire": 2},
        "seconds": round(time.perf_counter() - began, 3),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "faults": faults,
    }
    if args.json:
        print(json.dumps(found))
    else:
        out.write(f"\n{found['orders']:,} orders, {found['executions']:,} executions, {args.strategy} strategy; the first "
                  f"{warm_up:,} are warm-up and left out\n\n")
        print_table(found, out)
        counted = "not counted, malloc cannot be interposed here"
        if found["allocations"] is not None:
            counted = f"{found['allocations']} (mallocs {found['mallocs']}, Python blocks {found['python_blocks']})"
        out.write(f"\nA mark costs {found['marks']['cost_ns']} ns and is contained in every stage; wire_to_wire was "
                  f"measured in a run of its own with two marks.\nAllocations after the warm-up: {counted}. "
                  f"{found['seconds']} s in all.\n")
    for fault in faults:
        print(f"fixwire demo: {fault}", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
