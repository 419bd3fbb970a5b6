"""The gateway that dies: Engine, Journal and AF_PACKET in a process of its own, one life after the other.

    python -m crash.process SOCKET '{"ifname": ...}'      in tests/, in the gateway's namespace

Serves the driver over a Unix socket: a line of JSON asks for one life, lines tell what becomes of it: `pid N`, `up`,
`hit POINT` (it killed itself there), `ended STATUS`. Everything is imported once; a life is a fork.
"""
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
LINE = 32                   # octets of a note: it never lies across a page, so a kill leaves none in half


class Notes:
    """What the application did, in a file that outlives it."""

    def __init__(self, path):
        self.fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)

    def write(self, *words):
        os.write(self.fd, " ".join(map(str, words)).ljust(LINE - 1).encode() + b"\n")

    def read(self):
        with open(self.fd, "rb", closefd=False) as f:
            f.seek(0)
            return [line.decode().split() for line in f]


class Desk:
    """Answers every order once with an ExecutionReport(8); writes down what it got, wants to send and has sent."""

    def __init__(self, notes, life, plan, up):
        self.notes, self.life, self.up = notes, life, up
        self.left = plan["passages"] if plan["point"] == "inside on_message" else None
        self.moment = int(plan["share"] * 4)
        told = notes.read()
        self.got = {words[1] for words in told if words[0] == "G"}
        self.placed = {words[1] for words in told if words[0] == "I"}

    def here(self, moment):
        if self.left is not None and moment == self.moment:
            self.left -= 1
            if self.left < 0:
                face.die("inside on_message")

    def on_start(self, engine):
        self.engine = engine
        self.up()

    def on_logon(self, session):
        self.say(session, f"N{self.life}", "B", [(148, "a new life"), (33, 1), (58, "good morning")])

    def on_logout(self, session):
        self.engine.stop()

    def on_message(self, session, msg):
        if msg.MsgType != "D":
            return
        ident, text = msg[11], msg[58]
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
        else:
            self.placed.discard(ident)


def journal(a):
    return fix.Journal("crash", a["directory"], ring_directory=a["ring_directory"], ring_octets=1 << 18,
                       segment_octets=1 << 17, keep_segments=8, durability=a.get("durability", "process"))


def live(a, plan, fd):
    """One life, to its end or its death."""
    def up():
        os.write(fd, b"up\n")
    face.arm(plan["point"] if plan["point"] in face.POINTS else "", plan["passages"], plan["share"], fd,
             a.get("fault", ""))
    notes = Notes(a["notes"])
    store = journal(a)
    drain = next(t.native_id for t in threading.enumerate() if t.name == "fix journal")
    face.arm_store(store, drain)
    desk = Desk(notes, plan["life"], plan, up)
    with dpdk_py.open_device(f"afpacket:{a['ifname']}") as inner:
        device = face.CrashDevice(inner)
        with Engine(device, a["address"], idle="yield", sessions=1, connections=8) as engine:
            engine.add_session("GATEWAY", "VENUE", role=a["role"], port=a["port"],
                               host=a["host"] if a["role"] == "initiator" else None, BeginString=a["begin"],
                               HeartBtInt=a["heartbeat"], strategy=engine.add_strategy(desk, on_error="stop"),
                               store=store, reconnect_s=0.05, reconnect_max_s=0.2)
            engine.run(seconds=120)
    store.close()


def fork(a, plan, conn):
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            live(a, plan, conn.fileno())
            code = 0
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            sys.stderr.flush()
            os._exit(code)
    conn.sendall(f"pid {pid}\n".encode())
    _, status = os.waitpid(pid, 0)
    conn.sendall(f"ended {os.waitstatus_to_exitcode(status)}\n".encode())


def tell(a, conn):
    """What the journal and the application's notes say; no life runs."""
    with journal(a) as store:
        numbers = [store.next_in, store.next_out]
        stats = store.stats()
    conn.sendall(json.dumps({"numbers": numbers, "notes": Notes(a["notes"]).read(), "stats": stats}).encode() + b"\n")


def serve(path, a):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(1)
        print("serving", flush=True)
        conn, _ = listener.accept()
        with conn, conn.makefile("r") as lines:
            for line in lines:
                plan = json.loads(line)
                if plan.get("tell"):
                    tell(a, conn)
                else:
                    fork(a, plan, conn)


if __name__ == "__main__":
    serve(sys.argv[1], json.loads(sys.argv[2]))
