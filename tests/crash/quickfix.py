"""The gateway is killed; the peer is the real QuickFIX, which goes on with the numbers of its FileStore.

A session of every version and role at once, so one kill breaks the stream of all of them; where the wire was cut a moment
before, what every session said in that moment is missing. QuickFIX's own message logs are
the record of the wire, its .seqnums files say where it is.
"""
import json
import pathlib
import random
import select
import signal
import time

from netns import ProcessFailed

from crash.driver import NAMED, PATIENCE_S, RUN, Gateway, verdict, where
from crash.judge import SOH, Judge, Wrong, fields_of

VERSIONS = ("FIX.4.0", "FIX.4.1", "FIX.4.2", "FIX.4.3", "FIX.4.4", "FIX.5.0", "FIX.5.0SP1", "FIX.5.0SP2")
APPL = {"FIX.5.0": "7", "FIX.5.0SP1": "8", "FIX.5.0SP2": "9"}      # DefaultApplVerID(1137)
# QuickFIX asks for messages once more only where some are missing, so nobody dies during a resend by plan.
SLOW = 500          # orders a second, at the least
POINTS = ("wire cut", *NAMED[:5])


def sessions(role, port, host=None, versions=VERSIONS):
    """A session of ours for each version; `role` is ours."""
    made = []
    for version in versions:
        # CompIDs of its own for each: one configuration file has them all
        s = {"name": f"{version}-{role}", "us": "FIXWIRE", "them": f"QF-{version}-{role}", "role": role, "port": port,
             "begin": "FIXT.1.1" if version in APPL else version}
        if version in APPL:
            s["appl"] = APPL[version]
        if role == "initiator":
            s["host"] = host
        made.append(s)
    return made


def log(directory, s, kind):
    return pathlib.Path(directory, "log", f"{s['begin']}-{s['them']}-{s['us']}.{kind}.current.log")


def wire(directory, s):
    """The messages of QuickFIX's log of this session, in order: [octets]."""
    lines = log(directory, s, "messages").read_bytes().split(b"\n")
    return [line.split(b" : ", 1)[1] for line in lines if b" : " in line]


def expected(directory, s):
    """The number QuickFIX expects next, as its FileStore has it."""
    text = pathlib.Path(directory, "store", f"{s['begin']}-{s['them']}-{s['us']}.seqnums").read_text()
    return int(text.split(":")[1])


def tails(directory, made, said, gateway, most=12):
    """The end of QuickFIX's own logs of the sessions that are named in `said` or did not log on, else of all."""
    chosen = [s for s in made if s["them"] in said or s["name"] not in gateway.logons] or made
    for s in chosen[:6]:
        for kind in ("messages", "event"):
            for line in log(directory[s["role"]], s, kind).read_bytes().split(b"\n")[-most - 1:-1]:
                yield f"QuickFIX, {s['name']}: {line.replace(SOH, b'|').decode('latin-1')}"


def judged(directory, s, told):
    """The judge of one session, who has seen all."""
    judge = Judge()
    life, placed, high = 0, {}, 0
    for raw in wire(directory, s):
        message = dict(fields_of(raw))
        if message[b"49"].decode() == s["us"]:
            # SenderSubID(50) is the life in which a message was made; one sent again has that of its first life
            if message.get(b"43") != b"Y":
                life = int(message[b"50"])
            judge.heard(life, raw)
            continue
        if message.get(b"43") != b"Y":
            # after the last Logout QuickFIX may use one number more for a Logon that finds no connection
            high = max(high, int(message[b"34"]))
        else:
            judge.counts["messages QuickFIX sent again"] += 1
        if message[b"35"] == b"D":
            # one placed in the moment of a disconnect has its number, and is on the wire only as one sent again
            number = placed.setdefault(message[b"11"].decode(), int(message[b"34"]))
            if number != int(message[b"34"]):
                judge.problems.append(f"QuickFIX gave order {message[b'11'].decode()} {number} and {int(message[b'34'])}")
    verdict(judge, told, (high + 1, expected(directory, s)), placed)
    return judge


def lives(path, quickfix, directory, made, kills, seed, least=0, pause_s=0.3, orders=0,
          progress=0):
    """`kills` lives of the gateway against the processes `quickfix`; -> what was exercised. Wrong if anything was."""
    died = dict.fromkeys((*POINTS, "anywhere", RUN), 0)
    rng = random.Random(seed)
    with Gateway(path) as gateway:
        try:
            for life in range(kills):
                plan = {"life": life, "point": POINTS[life % len(POINTS)] if life < least * len(POINTS) else "",
                        "share": rng.random(), "passages": rng.randrange(20), "victim": rng.randrange(len(made))}
                plan["run"] = not plan["point"] and life % 2 == 1
                if plan["point"] == "segment switch":
                    plan["passages"] = 0
                live(gateway, plan, len(made), rng.expovariate(1 / pause_s))
                died[where(plan)] += 1
                if progress and (life + 1) % progress == 0:
                    print(f"{life + 1} kills against QuickFIX", flush=True)
            last(gateway, quickfix, kills, len(made), 2 * PATIENCE_S + orders * len(made) / SLOW)
            told = gateway.tell()
        except (Wrong, ProcessFailed) as e:
            raise Wrong("\n".join([str(e), gateway.report(), *tails(directory, made, str(e), gateway)])) from None
    problems, counts, resends, asked = [], {}, {}, {}
    for s in made:
        judge = judged(directory[s["role"]], s, told[s["name"]])
        problems += [f"{s['name']}: {p}" for p in judge.problems]
        resends[s["name"]] = judge.counts["resends"]
        asked[s["name"]] = judge.counts["messages QuickFIX sent again"]
        for what, n in judge.counts.items():
            counts[what] = counts.get(what, 0) + n
    if problems:
        raise Wrong("\n".join(problems[:20]))
    return {"kills": died, "counts": counts, "resends": resends, "asked": asked}


def live(gateway, plan, sessions, pause_s):
    """One life: until every session is logged on and a while more, or until it kills itself."""
    gateway.ask(**plan)
    gateway.wait("every session's Logon", lambda: gateway.ended is not None or len(gateway.logons) == sessions)
    cut = plan["point"] == "wire cut"
    until = time.monotonic() + (pause_s if cut or not plan["point"] else PATIENCE_S)
    while gateway.ended is None:
        if select.select([gateway.sock], [], [], max(0, until - time.monotonic()))[0]:
            gateway.read()
        elif cut and gateway.hit is None:
            gateway.kill(signal.SIGUSR1)
            gateway.hit = "wire cut"
            gateway.wait("every session's message behind the cut", lambda: len(gateway.lost) == sessions)
            break
        else:
            break
    if gateway.ended is None and plan["point"] and not gateway.hit:
        raise Wrong(f"life {plan['life']} did not die {plan['point']} within {PATIENCE_S} s")
    gateway.kill()
    gateway.wait("its death", lambda: gateway.ended is not None)
    gateway.dead(plan)


def last(gateway, quickfix, life, sessions, patience_s):
    """No more kills: everything that is missing comes, then Logout everywhere."""
    gateway.ask(life=life, point="", share=0, passages=0, seconds=3 * PATIENCE_S + patience_s)
    gateway.wait("every session's last Logon", lambda: gateway.ended is not None or len(gateway.logons) == sessions)
    for process in quickfix:
        process.write("no more orders\n")
    for process in quickfix:
        process.expect("quiet", patience_s)
    gateway.kill(signal.SIGTERM)
    gateway.wait("its end after SIGTERM", lambda: gateway.ended is not None)
    for process in quickfix:
        process.write("the end\n")
    said = [json.loads(process.finish(PATIENCE_S).stdout.splitlines()[-1]) for process in quickfix]
    silent = [name for one in said for name, s in one.items() if not s["echoed"]]
    if gateway.ended != 0 or silent:
        raise Wrong(f"the last life ended with status {gateway.ended}; no answer on {silent}")
