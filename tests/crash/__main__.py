"""`python -m tests.crash --kills 1000`: that many kill -9 of the gateway under traffic, the peer's record as the judge.

Half of the lives are an initiator's, half an acceptor's; a quarter of those killed at random are `fixwire run`. A tenth as
many follow against QuickFIX in every version and role, half of those killed at random `fixwire run`,
then 10,000 orders a session with two kills. Ends with what was exercised; exit status 1 if anything was wrong or missed.
"""
import argparse
import collections
import contextlib
import json
import os
import pathlib
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))
import netns  # noqa: E402

from crash import driver, quickfix  # noqa: E402
from crash.judge import Wrong  # noqa: E402

PYTHON = ["env", "PYTHONPATH=tests:.", sys.executable, "-m"]
STREET = "tests/peers/quickfix_street.py"
HEARTBEAT_S = 2
EACH = 20           # kills at every named point, of a thousand


@contextlib.contextmanager
def keeper(link, sessions, **more):
    """The gateway's process for `sessions`, which waits to be asked for lives; -> (its directory, its socket, Process)."""
    shm = "/dev/shm" if pathlib.Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(prefix="fixwire-crash-", dir=shm) as ring, \
            tempfile.TemporaryDirectory(prefix="fixwire-crash-") as disk:
        a = {"ifname": link.us.ifname, "address": f"{netns.US_IP}/{netns.PREFIX}", "heartbeat": 30, "sessions": sessions,
             "notes": f"{disk}/notes-", "directory": f"{disk}/segments", "ring_directory": ring} | more
        process = link.us.start([*PYTHON, "crash.process", f"{disk}/life", json.dumps(a)], ready="serving", timeout=120)
        try:
            yield disk, f"{disk}/life", process
        finally:
            process.finish(20, check=False)


def play(link, role, kills, seed=1, fault="", port=9890, begin="FIX.4.4", **options):
    """One run over `link`; -> the driver's report."""
    session = {"name": "desk", "us": "GATEWAY", "them": "VENUE", "role": role, "port": port, "begin": begin}
    if role == "initiator":
        session["host"] = netns.PEER_IP
    with keeper(link, [session], fault=fault) as (_, path, process):
        options |= {"seed": seed, "role": role, "kills": kills, "port": port, "begin": begin,
                    "address": netns.PEER_IP if role == "initiator" else netns.US_IP}
        out = link.peer.start([*PYTHON, "crash.driver", path, json.dumps(options)]).finish(60 + kills * 10).stdout
    report = json.loads(out.splitlines()[-1])
    if "wrong" in report:
        report["gateway"] = process.report()
    return report


def play_quickfix(link, kills, seed=1, versions=quickfix.VERSIONS, port=9900, orders=0, **options):
    """The same against two QuickFIX processes, an acceptor and an initiator; -> what was exercised."""
    made = quickfix.sessions("initiator", port, netns.PEER_IP, versions) + quickfix.sessions(
        "acceptor", port, versions=versions)
    # short heartbeats: a connection whose other end died with nothing on its way is noticed only by them
    with keeper(link, made, tag_lives=True, heartbeat=HEARTBEAT_S) as (disk, path, process):
        directory, street = {}, []
        for role, theirs in (("initiator", "acceptor"), ("acceptor", "initiator")):
            directory[role] = f"{disk}/{theirs}"
            os.mkdir(directory[role])
            street.append(link.peer.python(STREET, json.dumps({
                "role": theirs, "port": port, "host": netns.US_IP, "directory": directory[role], "orders": orders,
                "sessions": [s for s in made if s["role"] == role]}), ready="ready"))
        try:
            return quickfix.lives(path, street, directory, made, kills, seed, orders=orders, **options)
        except Wrong as e:
            sockets = link.peer.sh("ss -tan state all", check=False).stdout
            for p in street:
                p.kill()
            return {"wrong": f"{e}\n{sockets}\n{process.finish(20, check=False).stderr[-3000:]}"}


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--orders", type=int, default=10000, help="of every session with QuickFIX in the run of high rates")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    args = parser.parse_args(arguments)
    least = EACH * args.kills // 1000
    kills, counts, wrong = collections.Counter(), collections.Counter(), 0
    theirs, resends, asked = collections.Counter(), collections.Counter(), collections.Counter()
    began = time.monotonic()
    with netns.Link() as link:
        for role in ("initiator", "acceptor"):
            print(f"the gateway is {role}, seed {args.seed}", flush=True)
            report = play(link, role, args.kills // 2, args.seed, least=(least + 1) // 2)
            if "wrong" in report:
                wrong += 1
                print(json.dumps(report, indent=2))
            kills.update(report["kills"])
            counts.update(report.get("counts", {}))
        for lives, orders in ((args.kills // 10, 0), (2, args.orders)):
            print(f"{lives} kills against QuickFIX, {orders or 'any number of'} orders a session", flush=True)
            start = time.monotonic()
            report = play_quickfix(link, lives, args.seed, least=max(1, least // 10), orders=orders, progress=10)
            if "wrong" in report:
                wrong += 1
                print(report["wrong"])
            else:
                theirs.update(report["kills"])
                resends.update(report["resends"])
                asked.update(report["asked"])
                print(f"{report['counts']['application messages in']} orders answered, {len(report['resends'])} sessions, "
                      f"{time.monotonic() - start:.0f} s", flush=True)
    for name, ours, points in (("our own peer", kills, driver.NAMED), ("QuickFIX", theirs, quickfix.POINTS)):
        for point in (*points, "anywhere", driver.RUN):
            print(f"{ours[point]:6} kills against {name}: {point}")
    print(", ".join(f"{n} {what}" for what, n in counts.items()))
    print("resends to QuickFIX, and by it: " + ", ".join(f"{name} {n} {asked[name]}" for name, n in resends.items()))
    missed = [point for point in (*driver.NAMED, driver.RUN) if kills[point] < least] + [
        what for what in ("resends compared", "delivered again", "gap fills") if not counts[what]] + [
        f"QuickFIX: {point}" for point in (*quickfix.POINTS, driver.RUN) if not theirs[point]] + [
        f"resends on {s['name']}" for role in ("initiator", "acceptor") for s in quickfix.sessions(role, 0)
        if not resends[s["name"]] or not asked[s["name"]]]
    if missed:
        print("not exercised: " + ", ".join(missed))
    print(f"{sum(kills.values()) + sum(theirs.values())} kills in {time.monotonic() - began:.0f} s: {wrong} runs wrong")
    return 1 if wrong or missed else 0


if __name__ == "__main__":
    sys.exit(main())
