"""The gateway that dies: Engine, Journal and AF_PACKET in a process of its own, one life after the other.

    python -m crash.process SOCKET '{"ifname": ...}'      in tests/, in the gateway's namespace

Serves the driver over a Unix socket: a line of JSON asks for one life, lines tell what becomes of it: `pid N`, `up`,
`logon SESSION`, `lost SESSION` (it sent something behind the cut of the wire), `hit POINT` (it killed itself there),
`ended STATUS`. SIGRTMIN asks a life for `state {...}`, what its sessions are at; SIGUSR2 for a traceback on stderr.
Everything is imported once; a life is a fork. One with `run` in its plan becomes `fixwire run` with a gateway.toml of the
same sessions, journals and notes.
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
from crash.desk import LIFE, NO_PLAN, Desk, Notes
from gateway import Engine
from gateway.sessions import journal_name

face = compiled.module("crash_face")
LIFE_S = 120                # it ends by itself then, whoever lost it


SIZES = {"ring_octets": 1 << 18, "segment_octets": 1 << 17, "keep_segments": 8}


def journal(a, s):
    return fix.Journal(journal_name(s["begin"], s["us"], s["them"]), a["directory"], ring_directory=a["ring_directory"],
                       **SIZES)


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
            store = opened.enter_context(journal(a, s))
            if chosen:
                face.arm_store(store)
            notes[s["name"]].write("B", plan["life"], store.next_out)
            desk = Desk(notes[s["name"]], plan["life"], plan if chosen else NO_PLAN, say, face)
            more = {"SenderSubID": str(plan["life"])} if a.get("tag_lives") else {}
            if "appl" in s:
                more["DefaultApplVerID"] = s["appl"]
            engine.add_session(
                s["us"], s["them"], name=s["name"], role=s["role"], port=s["port"], host=s.get("host"),
                BeginString=s["begin"], HeartBtInt=a["heartbeat"], store=store, reconnect_s=0.05, reconnect_max_s=0.2,
                strategy=engine.add_strategy(desk, on_error="stop"), **more)
        engine.run(seconds=plan.get("seconds", LIFE_S))


def gateway_toml(a, plan):
    """The file of a `fixwire run` with the sessions of `live`; -> its path."""
    lines = [f'device = "afpacket:{a["ifname"]}"', f'address = "{a["address"]}"', 'idle = "yield"', 'exceptions = "stop"',
             f'strategy = "{os.path.join(os.path.dirname(os.path.abspath(__file__)), "desk.py")}:Desks"', 'log = "run.log"',
             'runtime_directory = "."', "[default]", f"HeartBtInt = {a['heartbeat']}", "ReconnectInterval = 0.05",
             "reconnect_max = 0.2", f'FileStorePath = "{a["directory"]}"', f'ring_directory = "{a["ring_directory"]}"',
             *(f"{name} = {size}" for name, size in SIZES.items())]
    if a.get("tag_lives"):
        lines.append(f'SenderSubID = "{plan["life"]}"')
    for s in a["sessions"]:
        lines += ["[[sessions]]", f"port = {s['port']}"]
        lines += [f'{key} = "{s[given]}"' for key, given in (
            ("name", "name"), ("role", "role"), ("BeginString", "begin"), ("SenderCompID", "us"), ("TargetCompID", "them"),
            ("host", "host"), ("DefaultApplVerID", "appl")) if given in s]
    path = os.path.join(os.path.dirname(a["directory"]), "gateway.toml")
    with open(path, "w") as f:
        f.write("\n".join(lines) + "\n")
    return path


def become_fixwire_run(a, plan, fd):
    os.set_inheritable(fd, True)
    path = gateway_toml(a, plan)
    os.execve(sys.executable, [sys.executable, "-m", "gateway", "run", path], {
        **os.environ, LIFE: json.dumps({"life": plan["life"], "fd": fd, "notes": a["notes"]})})


def fork(a, plan, conn, notes):
    for n in notes.values():
        n.read()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            if plan.get("run"):
                become_fixwire_run(a, plan, conn.fileno())
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
        with journal(a, s) as store:
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
