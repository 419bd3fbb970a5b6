"""The gateway that dies: Engine, Journal and AF_PACKET in a process of its own, one life after the other.

    python -m crash.process SOCKET '{"ifname": ...}'      in tests/, in the gateway's namespace

Serves the driver over a Unix socket: a line of JSON asks for one life, lines tell what becomes of it: `pid N`, `up`,
`logon SESSION`, `lost SESSION` (it sent something behind the cut of the wire), `hit POINT` (it killed itself there),
`ended STATUS`. SIGRTMIN asks a life for `state {...}`, what its sessions are at; SIGUSR2 for a traceback on stderr.
Everything is imported once; a life is a fork.
"""
import contextlib
import faulthandler
import json
import os
import signal
import socket
import sys
import threading

import compiled

import dpdk_py
import fix
from gateway import Engine

face = compiled.module("crash_face")
NO_PLAN = {"point": "", "share": 0}
LIFE_S = 120                # it ends by itself then, whoever lost it
LINE = 32                   # octets of a note: it never lies across a page, so a kill leaves none in half


class Notes:
    """What the application did, in a file that outlives it. Opened by the keeper, read on before each life."""

    def __init__(self, path):
        self.fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self.told = []
        self.placed = set()

    def write(self, *words):
        os.write(self.fd, " ".join(map(str, words)).ljust(LINE - 1).encode() + b"\n")

    def read(self):
        with open(self.fd, "rb", closefd=False) as f:
            f.seek(LINE * len(self.told))
            new = [line.decode().split() for line in f]
        self.told += new
        self.placed.update(words[1] for words in new if words[0] == "I")
        return self.told


class Desk:
    """Answers every order once with an ExecutionReport(8); writes down what it got, wants to send and has sent."""

    def __init__(self, notes, life, plan, say):
        self.notes, self.life, self.tell = notes, life, say
        self.left = plan["passages"] if plan["point"] == "inside on_message" else None
        self.moment = int(plan["share"] * 4)
        self.lost = False
        self.placed = notes.placed

    def here(self, moment):
        if self.left is not None and moment == self.moment:
            self.left -= 1
            if self.left < 0:
                face.die("inside on_message")

    def on_start(self, engine):
        self.engine = engine
        self.tell("up")

    def on_logon(self, session):
        self.tell(f"logon {session.name}")
        self.say(session, f"N{self.life}", "B", [(148, "a new life"), (33, 1), (58, "good morning")])

    def on_logout(self, session):
        self.engine.stop()

    def on_message(self, session, msg):
        if msg.MsgType != "D":
            return
        ident, text = msg[11], msg.get(58, "x")
        self.here(0)
        self.notes.write("G", ident, int(msg.get(43) == "Y"))
        self.here(1)
        if f"E{ident}" not in self.placed:
            self.say(session, f"E{ident}", "8", [
                (37, ident), (150, "F"), (39, "2"), (11, ident), (55, msg[55]), (54, msg[54]), (38, msg[38]),
                (32, msg[38]), (31, msg[44]), (151, 0), (14, msg[38]), (6, msg[44]), (58, text)])
        self.here(3)

    def say(self, session, ident, kind, fields):
        self.notes.write("I", ident, self.life, session.next_out)
        self.placed.add(ident)
        self.here(2)
        if session.send(kind, [(17, ident), *fields]) == 0:
            self.notes.write("S", ident)
            if face.cut() and not self.lost:
                self.lost = True
                self.tell(f"lost {session.name}")
        else:
            self.placed.discard(ident)


def journal(a, name):
    return fix.Journal(name, a["directory"], ring_directory=a["ring_directory"], ring_octets=1 << 18,
                       segment_octets=1 << 17, keep_segments=8)


def state(engine):
    """What a reader must know who finds this life waiting for something."""
    stats = engine.stats()
    return {"sessions": {s.name: [s.state, "connected" if s.connected else "not connected", s.next_in, s.next_out]
                         for s in engine.sessions},
            "counters": {name: n for name, n in stats.items() if n and name.startswith(("engine_", "session_"))},
            "events": [[f"{now_ns / 1e9:.3f}", *what] for now_ns, *what in engine.events()[-40:]]}


def answer(engine, say):
    """A thread's: `state` whenever SIGRTMIN comes; it is the engine's own that looks."""
    while signal.sigwait([signal.SIGRTMIN]):
        engine.submit(lambda: say("state " + json.dumps(state(engine))))


def live(a, plan, fd, notes):
    """One life, to its end or its death. The point of death is one of the `victim`-th session's."""
    def say(line):
        os.write(fd, line.encode() + b"\n")
    faulthandler.register(signal.SIGUSR2)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGRTMIN])     # before there are threads: for answer's alone
    face.arm(plan["point"] if plan["point"] in face.POINTS else "", plan["passages"], plan["share"], fd,
             a.get("fault", ""))
    with contextlib.ExitStack() as opened:
        device = face.CrashDevice(opened.enter_context(dpdk_py.open_device(f"afpacket:{a['ifname']}")))
        engine = opened.enter_context(Engine(device, a["address"], idle="yield", sessions=len(a["sessions"]),
                                             connections=4 * len(a["sessions"]) + 4))
        threading.Thread(target=answer, args=(engine, say), daemon=True).start()
        for n, s in enumerate(a["sessions"]):
            chosen = n == plan.get("victim", 0)
            store = opened.enter_context(journal(a, s["name"]))
            if chosen:
                face.arm_store(store)
            notes[s["name"]].write("B", plan["life"], store.next_out)
            desk = Desk(notes[s["name"]], plan["life"], plan if chosen else NO_PLAN, say)
            more = {"SenderSubID": str(plan["life"])} if a.get("tag_lives") else {}
            if "appl" in s:
                more["DefaultApplVerID"] = s["appl"]
            engine.add_session(
                s["us"], s["them"], name=s["name"], role=s["role"], port=s["port"], host=s.get("host"),
                BeginString=s["begin"], HeartBtInt=a["heartbeat"], store=store, reconnect_s=0.05, reconnect_max_s=0.2,
                strategy=engine.add_strategy(desk, on_error="stop"), **more)
        engine.run(seconds=plan.get("seconds", LIFE_S))


def fork(a, plan, conn, notes):
    for n in notes.values():
        n.read()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            live(a, plan, conn.fileno(), notes)
            code = 0
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            sys.stderr.flush()
            os._exit(code)
    conn.sendall(f"pid {pid}\n".encode())
    _, status = os.waitpid(pid, 0)
    conn.sendall(f"ended {os.waitstatus_to_exitcode(status)}\n".encode())


def tell(a, conn, notes):
    """What the journal and the application's notes say; no life runs."""
    told = {}
    for s in a["sessions"]:
        with journal(a, s["name"]) as store:
            told[s["name"]] = {"numbers": [store.next_in, store.next_out], "notes": notes[s["name"]].read(),
                               "stats": store.stats()}
    conn.sendall(json.dumps(told).encode() + b"\n")


def serve(path, a):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    notes = {s["name"]: Notes(a["notes"] + s["name"]) for s in a["sessions"]}
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(1)
        print("serving", flush=True)
        conn, _ = listener.accept()
        with conn, conn.makefile("r") as lines:
            for line in lines:
                plan = json.loads(line)
                if plan.get("tell"):
                    tell(a, conn, notes)
                else:
                    fork(a, plan, conn, notes)


if __name__ == "__main__":
    serve(sys.argv[1], json.loads(sys.argv[2]))
