"""Life after life of a gateway that is killed under traffic, from the peer's namespace.

`Gateway` asks the process in the other namespace for lives; `Lives` plays them with crash.peer and hands everything to
the judge. One run is one seed: who dies where and when is drawn from it.
"""
import collections
import json
import os
import random
import select
import signal
import socket
import sys
import time

from crash.judge import Judge, Wrong
from crash.peer import Peer

NAMED = ("mid-record", "record, before tx_burst", "tx_burst, before the numbers", "segment switch", "inside on_message",
         "during a resend")
AGAIN_S = 1
PATIENCE_S = 60             # nothing takes that long, on any machine
LOOK_S = 5


RUN = "of fixwire run"      # a life is that command, killed anywhere


def where(plan):
    return plan["point"] or (RUN if plan.get("run") else "anywhere")


class Gateway:
    """The process of crash.process, spoken to over its socket."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(path)
        self.text = b""
        self.pid = None
        self.asked = {}
        self.ready()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.kill()
        self.sock.close()

    def ready(self):
        self.up, self.ended, self.hit, self.state = False, None, None, None
        self.logons, self.lost = set(), set()

    def ask(self, **what):
        self.ready()
        self.asked = what
        self.sock.sendall(json.dumps(what).encode() + b"\n")

    def read(self):
        """Take what it says; True once the life has ended."""
        data = self.sock.recv(1 << 20)
        if not data:
            raise Wrong("the gateway's keeper is gone")
        self.text += data
        while b"\n" in self.text:
            line, self.text = self.text.split(b"\n", 1)
            word, _, rest = line.decode().partition(" ")
            if word == "pid":
                self.pid = int(rest)
            elif word == "up":
                self.up = True
            elif word == "logon":
                self.logons.add(rest)
            elif word == "lost":
                self.lost.add(rest)
            elif word == "hit":
                self.hit = rest
            elif word == "state":
                self.state = json.loads(rest)
            elif word == "ended":
                self.ended = int(rest)
            else:
                self.told = json.loads(line)
        return self.ended is not None

    def wait(self, name, what, timeout=PATIENCE_S):
        """Read until `what` is true; `name` says what that is."""
        deadline = time.monotonic() + timeout
        while not what():
            if not select.select([self.sock], [], [], max(0, deadline - time.monotonic()))[0]:
                raise Wrong(f"waited {timeout} s for {name}")
            self.read()

    def report(self):
        """What is known of the life that runs, for whoever waited in vain."""
        said = [f"the gateway: {self.asked}, pid {self.pid}, ended {self.ended}, hit {self.hit}, "
                f"logons {sorted(self.logons)}, cut {sorted(self.lost)}"]
        if self.ended is None and self.pid is not None and not self.asked.get("run"):
            self.kill(signal.SIGRTMIN)
            try:
                self.wait("its state", lambda: self.state is not None or self.ended is not None, LOOK_S)
                said += [f"{name}: {value}" for part in (self.state or {}).values() for name, value in (
                    part.items() if isinstance(part, dict) else (("event", e) for e in part))]
            except Wrong as e:
                said.append(f"{e}; its traceback is on the keeper's stderr")
                self.kill(signal.SIGUSR2)
        return "\n".join(said)

    def kill(self, number=signal.SIGKILL):
        """At once; it may have died by itself."""
        if self.ended is None and self.pid is not None:
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                pass

    def dead(self, plan):
        """Wrong unless it was killed, and where the plan says."""
        if self.ended != -signal.SIGKILL:
            raise Wrong(f"life {plan['life']} ended by itself, status {self.ended}, to die: {where(plan)}")
        if plan["point"] and self.hit != plan["point"]:
            raise Wrong(f"life {plan['life']} was to die {plan['point']}, died {self.hit}")
        self.pid = None

    def tell(self):
        """What every session's journal and notes say."""
        self.told = None
        self.ask(tell=True)
        self.wait("what its journals and notes say", lambda: self.told is not None)
        return self.told


class Lives:
    """`kills` lives that end by kill -9, then one that ends by Logout."""

    def __init__(self, path, seed, address, port, role, begin="FIX.4.4", points=None, least=0,
                 share=None):
        self.gateway = Gateway(path)
        self.rng = random.Random(seed)
        self.judge = Judge()
        self.peer = Peer(self.judge, begin)
        self.address, self.port, self.role = address, port, role
        self.points, self.least, self.share = points, least, share
        self.orders = 0
        self.kills = collections.Counter()
        if role == "initiator":         # the gateway's role
            self.listener = socket.create_server((address, port), backlog=16)

    def plan(self, life, kills):
        """The named points in turn until each has its share, the rest at random."""
        points = NAMED if self.points is None else self.points
        point = points[life % len(points)] if self.points or life < self.least * len(points) else ""
        return {"life": life, "point": point, "run": not point and life % 4 == 3,
                "share": self.rng.random() if self.share is None else self.share,
                "passages": self.rng.randrange(40) if point != "segment switch" else 0}

    def run(self, kills, progress=None):
        for life in range(kills):
            plan = self.plan(life, kills)
            self.live(life, plan)
            self.kills[where(plan)] += 1
            if progress and (life + 1) % progress == 0:
                print(f"{life + 1} kills, {self.judge.counts['messages']} messages judged, "
                      f"{len(self.judge.problems)} wrong", flush=True)
            if len(self.judge.problems) > 20:
                break
        self.last(kills)
        return self.end()

    def live(self, life, plan):
        """One life under traffic until it is killed, by itself at its point or by us at any time."""
        gateway = self.gateway
        gateway.ask(**plan)
        gateway.wait("the life to begin", lambda: gateway.pid is not None or gateway.ended is not None)
        self.traffic(life, plan)
        if gateway.ended is None:
            gateway.kill()
            gateway.wait("its death", lambda: gateway.ended is not None)
        gateway.dead(plan)
        if self.peer.sock is not None and not self.peer.ended:
            self.peer.read()            # what it said before it died
        self.peer.left()

    def connect(self, life):
        """True once there is a connection of this life."""
        if self.role == "initiator":
            if not select.select([self.listener], [], [], 0.02)[0]:
                return False
            sock, _ = self.listener.accept()
            self.peer.connected(sock, life)
            return True
        if not self.gateway.up:
            select.select([self.gateway.sock], [], [], 0.02)
            return False
        try:
            sock = socket.create_connection((self.address, self.port), timeout=5)
        except OSError:
            return False
        self.peer.connected(sock, life, initiate=True)
        return True

    def traffic(self, life, plan):
        """Orders, answers, requests for messages once more, until the gateway is dead or its time has come."""
        gateway, peer = self.gateway, self.peer
        begun = time.monotonic()
        # some die while they start, most with traffic on the wire
        wait = self.rng.expovariate(1 / 0.03)
        starting = self.rng.random() < 0.1
        asked = False
        while True:
            if not plan["point"] and time.monotonic() - begun > wait:
                if starting or peer.logged_on:
                    return
                begun, starting = time.monotonic(), gateway.up
            if select.select([gateway.sock], [], [], 0)[0] and gateway.read():
                return
            if peer.sock is None or peer.ended:
                if peer.ended:
                    peer.left()
                self.connect(life)
                asked = False
            else:
                peer.poll(0.002, [gateway.sock])
            if peer.logged_on:
                self.place(5)
                if not asked and (plan["point"] == "during a resend" or self.rng.random() < 0.1) or \
                        plan["point"] == "during a resend" and self.rng.random() < 0.2:
                    asked = True
                    peer.ask(max(1, peer.expected - self.rng.randrange(1, 60)))
            if time.monotonic() - begun > PATIENCE_S:
                raise Wrong(f"life {life} did not die ({where(plan)}) within {PATIENCE_S} s, logged on: {peer.logged_on}")

    def last(self, life):
        """No more faults: traffic, then everything that is missing comes, then Logout."""
        gateway, peer = self.gateway, self.peer
        gateway.ask(**self.plan(life, 0) | {"point": "", "run": False})
        deadline = time.monotonic() + PATIENCE_S
        stage, until = "traffic", self.orders + 50
        while gateway.ended is None:
            if select.select([gateway.sock], [], [], 0)[0]:
                gateway.read()
            if stage == "logout" and (peer.sock is None or peer.ended):
                gateway.wait("its end after Logout", lambda: gateway.ended is not None)
            elif peer.sock is None:
                self.connect(life)
            elif peer.ended:
                peer.left()
            else:
                peer.poll(0.002, [gateway.sock])
            if stage == "traffic" and peer.logged_on:
                self.place(5)
                if self.orders >= until:
                    stage, ask_at = "quiet", 0
            elif stage == "quiet" and peer.echoed == b"all said" and not peer.early:
                peer.send("5", "58=good night\x01")
                stage = "logout"
            elif stage == "quiet" and peer.logged_on and time.monotonic() > ask_at:
                # answered in its turn, so behind everything that either side still misses; a gap fill may go over the answer
                peer.send("1", "112=all said\x01")
                ask_at = time.monotonic() + AGAIN_S
            if time.monotonic() > deadline:
                raise Wrong(f"the last life did not end, stage {stage}: we expect {peer.expected}, "
                            f"have {sorted(peer.early)[:5]}")
        if gateway.ended != 0 or stage != "logout":
            raise Wrong(f"the last life ended with status {gateway.ended}, stage {stage}")

    def place(self, most):
        """Some orders, of any length."""
        if self.peer.next_out - self.peer.served_from > self.peer.replies + 20:
            return
        for _ in range(self.rng.randrange(1, most + 1)):
            self.orders += 1
            self.peer.order(f"{self.orders}", "x" * (1 + int(self.rng.expovariate(1 / 60))))

    def end(self):
        """The two sides' numbers and the application's notes, to the judge; -> what was exercised."""
        peer = self.peer
        (told,) = self.gateway.tell().values()
        verdict(self.judge, told, (peer.next_out, peer.expected), peer.numbers)
        self.judge.check()
        return {"kills": dict(self.kills), "counts": dict(self.judge.counts), "store": told["stats"]}


def verdict(judge, told, peer, numbers):
    """Compare the record with what journal and application say; `peer`: its next number out and in."""
    intended, got, sent, begun = {}, [], set(), {}
    for kind, ident, *words in told["notes"]:
        if kind == "I":
            intended[ident] = tuple(map(int, words))
        elif kind == "S":
            sent.add(ident)
        elif kind == "B":
            begun[int(ident)] = int(words[0])
        else:
            got.append((ident, words[0] == "1"))
    next_in, next_out = told["numbers"]
    if (next_in, next_out) != tuple(peer):
        judge.problems.append(f"the gateway is at {next_in}/{next_out}, the peer at {peer[0]}/{peer[1]}")
    judge.end(next_out, intended, sent, begun)
    judge.received(numbers, got)


def main(path, options):
    """The judge's report as the last line of stdout; exit status 1 where something was wrong."""
    progress = options.pop("progress", 0)
    kills = options.pop("kills")
    lives = Lives(path, **options)
    try:
        report = lives.run(kills, progress)
    except Wrong as e:
        report = {"wrong": f"{e}\n{lives.gateway.report()}", "problems": lives.judge.problems[:20],
                  "kills": dict(lives.kills)}
    print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
