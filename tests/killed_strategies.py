"""A gateway with two outside strategies on the demo's exchange: one is killed with -9 N times under traffic.

    python -m tests.killed_strategies [--kills 100] [--seed 1] [--pace-ms 150] [--json]

Processes: the market (gateway and exchange over a pair, one thread, no Python in it) on a core of its own, as an engine
that polls has to be; on the last core all the others: `steady`, which sends an order, waits for its fill, sleeps for
REST_S and sends the next, `victim`, which keeps four orders out that are filled at once and eight that rest, replacing one
of these every millisecond, `bystander`, which has nothing to do with any of them and works as much, both at the lowest
priority, and this one. It kills the victim after a random number of its events, and starts it again; ten times the victim,
ten times the bystander, in turns, each left alone for the pace in between. So what a death costs steady beyond what any
process that dies costs it on this machine is the difference between the two. Each time the victim dies the gateway cancels
what rests. Afterwards the gateway itself hangs (SIGSTOP) while the victim goes on and dies: what is in its channel is stale.

Exit 0 only if: every order of either was sent or refused with a reason or never taken, and the count of each agrees
between the strategies' own notes, the gateway and the exchange; every verdict, fill, acknowledgement and cancel reached a
victim, the one after the kill if not the one before; what the exchange still has resting is what the gateway calls open;
`steady` got everything once; the session's numbers are in order on both sides without one resend; and nothing that is
counted here stood at 0: orders of the dead that were cancelled, stale ones, and so on (`exercised`).
steady's round trips while nobody, the bystander and the victim were killed are printed, not judged.
"""
import argparse
import array
import bisect
import collections
import json
import os
import random
import signal
import sys
import tempfile
import time

if __package__:
    sys.path.insert(0, os.path.dirname(__file__))
from children import Child

from gateway.seat import Seat
from gateway.strategy import SENT, VERDICTS
from ipc import Reader, Writer

OUT = 4                 # orders the victim has out that are filled at once
RESTING = 8             # and that rest
TICK_NS = 1_000_000     # it places one of these, or cancels its oldest
MARKET_E8 = 9_950_000_000
FAR_E8 = 12_000_000_000
HANGS = 2               # times the gateway hangs
HANG_S = 0.02           # at least: more than it waits between two looks at who lives
WARM_UP = 1000          # round trips of steady before the first kill
REST_S = 0.0003         # between a fill of steady's and its next order
PATIENCE_S = 120        # for anything to happen at all


class Steady:
    """One order at a time; how long each took."""

    def __init__(self, say):
        self.say, self.sent, self.fills, self.lost, self.wrong = say, 0, 0, 0, 0
        self.verdicts, self.out, self.at, self.session = collections.Counter(), 0, 0, None
        self.trips = array.array("q")           # when each order went, and how long until its fill, ns

    def on_logon(self, session):
        self.session = session
        self.say("on")

    def order(self, session):
        self.at = time.perf_counter_ns()
        if session.order_new("FIXW", "1", 100, MARKET_E8) == SENT:
            self.sent += 1
            self.out = session.last_ClOrdID

    def on_message(self, session, msg):
        self.trips.extend((self.at, time.perf_counter_ns() - self.at))
        self.wrong += msg.get_int(11) != self.out
        self.fills += 1
        if self.fills == WARM_UP:
            self.say("warm")

    def on_verdict(self, session, token, verdict):
        self.verdicts[VERDICTS[verdict]] += 1

    def on_lost(self, count):
        self.lost += count


class Victim:
    """Notes what it is told, a line an event, in a file that outlives it; an order for each fill, and some that rest."""

    def __init__(self, notes):
        self.session, self.resting = None, []
        self.notes = os.open(notes, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def note(self, *words):
        os.write(self.notes, (" ".join(map(str, words)) + "\n").encode())

    def on_start(self, engine):
        return engine.now_ns + TICK_NS

    def on_logon(self, session):
        self.note("on")
        self.session = session
        for _ in range(OUT):
            self.order(session)
        for _ in range(RESTING):
            self.rest(session)

    def order(self, session):
        if session.order_new("VICT", "2", 100, MARKET_E8) == SENT:
            self.note("order", session.last_token, session.last_ClOrdID)

    def rest(self, session):
        if session.order_new("VICT", "2", 100, FAR_E8) == SENT:
            self.resting.append(session.last_ClOrdID)
            self.note("rest", session.last_token, session.last_ClOrdID)

    def on_timer(self, now_ns):
        if self.session:
            if len(self.resting) < RESTING:
                self.rest(self.session)
            elif self.session.order_cancel(self.resting.pop(0), "VICT", "2", 100) == SENT:
                self.note("cancel", self.session.last_token, self.session.last_ClOrdID)
        return now_ns + TICK_NS

    def on_message(self, session, msg):
        status = msg[39]
        if msg.MsgType == "9":
            self.note("late", msg[41])
        elif status in "46":
            self.note("canceled" if status == "4" else "canceling", msg[41])
        else:
            self.note("fill" if status == "2" else "rested", msg[11])
            if status == "2":
                self.order(session)

    def on_verdict(self, session, token, verdict):
        self.note("verdict", token, VERDICTS[verdict])

    def on_lost(self, count):
        self.note("lost", count)


def sit_with_the_others(calm):
    """On the last core; `calm` False: whoever has something to do there comes first."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    if not calm:
        os.nice(19)


def market(directory):
    def work(say):
        from dpdk_py import open_device
        from gateway import Desk, Engine
        from gateway.exchange import SimulatedExchange
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        near, far = open_device("pair")
        gateway, venue = (Engine(d, a, seed=k, idle="yield", sessions=1, connections=4)
                          for k, (d, a) in enumerate(((near, "10.0.0.1/24"), (far, "10.0.0.2/24")), 1))
        exchange = SimulatedExchange(bid_e8=MARKET_E8, ask_e8=MARKET_E8)
        desk = Desk("k", [{"name": "steady"}, {"name": "victim", "on_death": "cancel"}], directory=directory, message=512)
        here = gateway.add_session("GATEWAY", "VENUE", role="initiator", host="10.0.0.2", port=1,
                                   strategy=gateway.add_strategy(desk))
        there = venue.add_session("VENUE", "GATEWAY", role="acceptor", port=1, strategy=venue.add_strategy(exchange))
        desk.open()
        say("open")
        gateway.run(beside=venue)
        found = {"desk": desk.stats(),
                 "exchange": {name: getattr(exchange, name) for name in (
                     "orders", "filled", "rested", "resting", "rejected", "cancels", "canceled", "too_late", "unknown",
                     "malformed", "refused")},
                 "numbers": [here.next_out, there.next_in, there.next_out, here.next_in],
                 "near": here.stats(), "far": there.stats()}
        desk.close()
        say(json.dumps(found))
    return work


def steady(directory):
    def work(say):
        target = Steady(say)
        ending = []
        signal.signal(signal.SIGTERM, lambda *_: ending.append(True))
        sit_with_the_others(True)
        with Seat("k.steady", target, directory=directory, timeout=10) as seat:
            while not (ending and target.fills == target.sent):
                seat.step()
                if target.session and target.fills == target.sent and not ending:
                    time.sleep(REST_S)
                    target.order(target.session)
            stats = seat.stats()
        with open(os.path.join(directory, "trips"), "wb") as f:
            target.trips.tofile(f)
        say(json.dumps({"sent": target.sent, "fills": target.fills, "wrong": target.wrong, "lost": target.lost,
                        "verdicts": target.verdicts, "errors": stats["errors"]}))
    return work


def victim(directory, notes):
    def work(say):
        sit_with_the_others(False)
        with Seat("k.victim", Victim(notes), directory=directory, idle="sleep", timeout=10) as seat:
            seat.run()
    return work


def bystander(directory):
    """A strategy's work without a gateway: messages through a channel of its own, a line written for each."""
    def work(say):
        sit_with_the_others(False)
        name = f"bystander.{os.getpid()}"
        with Writer(name, 512, 1024, create=True, directory=directory) as w, Reader(name, directory=directory) as r, \
                open(os.path.join(directory, "lines"), "ab", buffering=0) as f:
            w.remove()
            while True:
                for _ in range(OUT):
                    w.send(bytes(200))
                for m in r.pop_batch():
                    f.write(b"%d\n" % len(m))
                f.truncate(0)
                time.sleep(0.0002)
    return work


def spread(took):
    took = sorted(took) or [0]
    return {"count": len(took), "p50_us": took[len(took) // 2] / 1000, "p99_us": took[len(took) * 99 // 100] / 1000,
            "p999_us": took[len(took) * 999 // 1000] / 1000}


def by_phase(directory, phases):
    """steady's round trips in each kind of phase, of `phases` [(kind, from_ns)]; what was before the first is left out."""
    trips = array.array("q")
    with open(os.path.join(directory, "trips"), "rb") as f:
        trips.frombytes(f.read())
    starts = [at for _, at in phases]
    took = collections.defaultdict(list)
    for at, ns in zip(trips[::2], trips[1::2], strict=True):
        k = bisect.bisect(starts, at)
        if k:
            took[phases[k - 1][0]].append(ns)
    return {kind: spread(took[kind]) for kind in dict.fromkeys(kind for kind, _ in phases)}


def lines(notes):
    with open(notes) as f:
        return [line.split() for line in f.read().splitlines()]


def grown(notes, octets):
    """Until the file has so many octets."""
    end = time.monotonic() + PATIENCE_S
    while not os.path.exists(notes) or os.path.getsize(notes) < octets:
        if time.monotonic() > end:
            raise SystemExit("the victim does nothing")
        time.sleep(0.0005)


def exercised(row, market, heard):
    """What a run that shows something has seen at least once."""
    return {"deaths": row["deaths"], "orders sent": row["sent"], "orders filled": len(heard["fill"]),
            "orders that rested": market["rested"], "cancels for the dead": row["cancels"],
            "orders cancelled": market["canceled"], "orders refused as stale": row["verdicts"].get("STALE", 0)}


def judged(found, kept, notes, kills):
    """What is wrong; empty: nothing."""
    told = collections.defaultdict(list)
    for word, *rest in lines(notes):
        told[word].append(rest)
    row, calm, market = found["desk"]["victim"], found["desk"]["steady"], found["exchange"]
    verdicts = {int(token): verdict for token, verdict in told["verdict"]}
    asked = {word: {int(token): clordid for token, clordid in told[word]} for word in ("order", "rest", "cancel")}
    heard = {word: {clordid for clordid, in told[word]} for word in ("fill", "rested", "canceled", "late")}
    sent = {token for token, verdict in verdicts.items() if verdict == "SENT"}
    own_cancels = len(sent & asked["cancel"].keys())        # those that were noted: a victim may die before it can
    out, seen, back, here = found["numbers"]
    checks = {
        "victims ended": row["deaths"] >= kills + HANGS and row["hellos"] == kills + HANGS + 1,
        "taken = hellos + sent + refused": all(r["taken"] == r["hellos"] + r["sent"] + r["refused"] for r in (row, calm)),
        "a verdict for every request taken": len(verdicts) == row["sent"] + row["refused"],
        "the victims' verdicts are the gateway's": collections.Counter(verdicts.values()) == row["verdicts"],
        "a request has a verdict, or is still in the channel": all(
            (t in verdicts) == (t < row["taken"]) for requests in asked.values() for t in requests),
        "every order that crossed was filled, and a victim was told":
        len(heard["fill"]) == market["filled"] - calm["sent"] and all(
            asked["order"][t] in heard["fill"] for t in sent & asked["order"].keys()),
        "every other rested, and a victim was told": len(heard["rested"]) == market["rested"] and
        all(asked["rest"][t] in heard["rested"] for t in sent & asked["rest"].keys()),
        "every one cancelled was told to a victim": len(heard["canceled"]) == market["canceled"],
        "the exchange had every order and cancel once":
        market["orders"] + market["cancels"] == row["sent"] + row["cancels"] + calm["sent"],
        "a cancel is a victim's or the gateway's":
        0 <= market["cancels"] - row["cancels"] - own_cancels <= row["deaths"],
        "what is open is what rests": row["open"] == market["resting"] == market["rested"] - market["canceled"] and
        calm["open"] == 0,
        "nothing malformed, rejected or unreported": market["malformed"] == market["rejected"] == market["refused"] == 0,
        "no notice to steady was lost, none of the victims' own": kept["lost"] == row["lost"] == calm["lost"] == 0,
        "steady got everything once": kept["sent"] == kept["fills"] == calm["sent"] and kept["wrong"] == 0 and
        kept["verdicts"] == {"SENT": kept["sent"]} and kept["errors"] == 0,
        "numbers in order": out == seen and back == here and found["near"]["connects"] == found["far"]["connects"] == 1,
        "no resend, no reject": not any(n for side in ("near", "far") for k, n in found[side].items()
                                        if k.startswith(("resend", "gap", "reject", "garbled"))),
    }
    return [what for what, right in checks.items() if not right] + [
        f"0 {name}" for name, count in exercised(row, market, heard).items() if not count]


def run(kills, seed, directory, progress=lambda text: None, pace_s=0.0, turn=10):
    """-> (what was found, what is wrong)."""
    rng, notes, phases = random.Random(seed), os.path.join(directory, "notes"), []

    def phase(kind):
        phases.append((kind, time.perf_counter_ns()))

    def size():
        return os.path.getsize(notes) if os.path.exists(notes) else 0
    with Child(market(directory)) as trading:
        trading.hear()
        with Child(steady(directory)) as calm:
            assert calm.hear() == "on"
            one, other = Child(victim(directory, notes)), Child(bystander(directory))
            assert calm.hear(PATIENCE_S) == "warm"
            phase("nobody")
            time.sleep(10 * pace_s)
            for k in range(kills):
                if k % turn == 0:
                    phase("the bystander")
                    for _ in range(min(turn, kills - k)):
                        time.sleep(pace_s)
                        grown(notes, size() + rng.randrange(1, 4000))
                        other.kill()
                        other = Child(bystander(directory))
                    phase("the victim")
                time.sleep(pace_s)
                grown(notes, size() + rng.randrange(1, 4000))
                one.kill()
                one = Child(victim(directory, notes))
                if (k + 1) % turn == 0:
                    progress(f"{k + 1} kills")
            phase("afterwards")
            other.kill()
            for _ in range(HANGS):
                grown(notes, size() + 4000)                     # this one trades
                os.kill(trading.pid, signal.SIGSTOP)
                hung = time.monotonic()
                grown(notes, size() + 2000)                     # and goes on, until its channel has more than a step's burst
                while time.monotonic() - hung < HANG_S:
                    time.sleep(HANG_S)
                one.kill()
                os.kill(trading.pid, signal.SIGCONT)
                one = Child(victim(directory, notes))
            grown(notes, size() + 4000)                         # the last one has seen what was left
            os.kill(calm.pid, signal.SIGTERM)
            kept = json.loads(calm.hear(PATIENCE_S))
        os.kill(trading.pid, signal.SIGTERM)                    # Logout: what is out comes in before it
        found = json.loads(trading.hear(PATIENCE_S))
        assert trading.join() == 0 and one.join() == 0          # the victim ends when the gateway says so
    kept["killed"] = by_phase(directory, phases)
    return {"market": found, "steady": kept}, judged(found, kept, notes, kills)


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--kills", type=int, default=100)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--pace-ms", type=float, default=150, help="how long everybody is left alone before each kill")
    p.add_argument("--json", action="store_true")
    a = p.parse_args()
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="fixwire-killed-", dir="/dev/shm") as directory:
        found, wrong = run(a.kills, a.seed, directory, lambda text: print(text, file=sys.stderr, flush=True),
                           a.pace_ms / 1000)
    if a.json:
        print(json.dumps({**found, "wrong": wrong}))
    else:
        row, kept = found["market"]["desk"]["victim"], found["steady"]
        print(f"{a.kills} kills in {time.monotonic() - begun:.0f} s; victim: {row['sent']} orders sent, refused "
              f"{ {k: v for k, v in row['verdicts'].items() if k != 'SENT'} }, {row['cancels']} cancels for the dead, "
              f"{row['waiting']} never taken; exchange: {found['market']['exchange']}")
        for who in ("nobody", "the bystander", "the victim"):
            print("steady, round trip while {} was killed: {count} orders, p50 {p50_us:.1f} us, p99 {p99_us:.1f} us, "
                  "p99.9 {p999_us:.1f} us".format(who, **kept["killed"][who]))
        print("p99 while the victim was killed / while the bystander was: {:.2f}".format(
            kept["killed"]["the victim"]["p99_us"] / kept["killed"]["the bystander"]["p99_us"]))
    for what in wrong:
        print("NOT SO:", what)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
