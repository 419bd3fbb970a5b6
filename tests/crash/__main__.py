"""`python -m tests.crash --kills 1000`: that many kill -9 of the gateway under traffic, the peer's record as the judge.

Half of the lives are an initiator's, half an acceptor's. Ends with what was exercised; exit status 1 if anything was
wrong or a named point of death was missed.
"""
import argparse
import collections
import json
import pathlib
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))
import netns  # noqa: E402

from crash import driver  # noqa: E402

EACH = 20           # kills at every named point, of a thousand


def play(link, role, kills, seed=1, fault="", port=9890, begin="FIX.4.4", **options):
    """One run over `link`; -> the driver's report."""
    shm = "/dev/shm" if pathlib.Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(prefix="fixwire-crash-", dir=shm) as ring, \
            tempfile.TemporaryDirectory(prefix="fixwire-crash-") as disk:
        a = {"ifname": link.us.ifname, "address": f"{netns.US_IP}/{netns.PREFIX}", "host": netns.PEER_IP, "port": port,
             "role": role, "begin": begin, "heartbeat": 30, "fault": fault, "notes": f"{disk}/notes",
             "directory": f"{disk}/segments", "ring_directory": ring}
        python = ["env", "PYTHONPATH=tests:.", sys.executable, "-m"]
        keeper = link.us.start([*python, "crash.process", f"{disk}/life", json.dumps(a)], ready="serving", timeout=120)
        options |= {"seed": seed, "role": role, "kills": kills, "port": port, "begin": begin,
                    "address": netns.PEER_IP if role == "initiator" else netns.US_IP}
        player = link.peer.start([*python, "crash.driver", f"{disk}/life", json.dumps(options)])
        try:
            out = player.finish(60 + kills * 10).stdout.splitlines()
        finally:
            keeper.finish(20, check=False)
        report = json.loads(out[-1])
        if "wrong" in report:
            report["gateway"] = keeper.report()
        return report


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    args = parser.parse_args(arguments)
    least = EACH * args.kills // 1000
    kills, counts, wrong = collections.Counter(), collections.Counter(), 0
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
    for point in (*driver.NAMED, "anywhere"):
        print(f"{kills[point]:6} kills: {point}")
    print(", ".join(f"{n} {what}" for what, n in counts.items()))
    missed = [point for point in driver.NAMED if kills[point] < least] + [
        what for what in ("resends compared", "delivered again", "gap fills") if not counts[what]]
    if missed:
        print("not exercised: " + ", ".join(missed))
    print(f"{sum(kills.values())} kills in {time.monotonic() - began:.0f} s: {wrong} runs wrong")
    return 1 if wrong or missed else 0


if __name__ == "__main__":
    sys.exit(main())
