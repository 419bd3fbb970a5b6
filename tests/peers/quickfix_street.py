"""The real QuickFIX with a session of every version, as acceptor or initiator, that keeps its numbers in its FileStore.

    quickfix_street.py '{"role": "acceptor", "port": 9876, "sessions": [...], "directory": ...}'

Each session places orders while it is logged on, twenty open at most, and goes on where it was after a disconnect:
`orders` of them, or until a line comes on standard input. Then a TestRequest follows, and `quiet` is printed once every
session has its answer, which comes behind whatever either side still missed. One line more ends it; the last line
printed is one JSON object. What crossed the wire is in QuickFIX's own logs in `directory`.
"""
import json
import os
import sys
import threading
import time

import quickfix as fix

OPEN = 20           # orders without an answer
TURN_S = 0.002
PATIENCE_S = 60
AGAIN_S = 1


class Session:
    def __init__(self, ident):
        self.ident = ident
        self.on = self.echoed = False
        self.placed = self.filled = self.open = self.logons = 0


class Street(fix.Application):
    """QuickFIX calls from its own threads."""

    def __init__(self):
        super().__init__()
        self.lock = threading.RLock()
        self.sessions = {}

    def onCreate(self, session):            # noqa: N802 (QuickFIX's names)
        self.sessions[session.toString()] = Session(fix.SessionID(
            session.getBeginString().getValue(), session.getSenderCompID().getValue(),
            session.getTargetCompID().getValue()))

    def onLogon(self, session):             # noqa: N802
        with self.lock:
            s = self.sessions[session.toString()]
            s.on, s.open = True, 0
            s.logons += 1

    def onLogout(self, session):            # noqa: N802
        with self.lock:
            self.sessions[session.toString()].on = False

    def toAdmin(self, message, session):    # noqa: N802
        pass

    def toApp(self, message, session):      # noqa: N802
        pass

    def fromAdmin(self, message, session):  # noqa: N802
        ident = fix.TestReqID()
        if message.isSetField(ident):
            message.getField(ident)
            if ident.getValue() == "all said":
                with self.lock:
                    self.sessions[session.toString()].echoed = True

    def fromApp(self, message, session):    # noqa: N802
        kind = fix.MsgType()
        message.getHeader().getField(kind)
        if kind.getValue() == "8":
            with self.lock:
                s = self.sessions[session.toString()]
                s.filled += 1
                s.open = max(0, s.open - 1)


def message(kind, *fields):
    made = fix.Message()
    made.getHeader().setField(fix.MsgType(kind))
    for field in fields:
        made.setField(field)
    return made


def order(number):
    return message("D", fix.ClOrdID(str(number)), fix.HandlInst("1"), fix.Symbol("FIXW"), fix.Side("1"),
                   fix.TransactTime(), fix.OrdType("2"), fix.OrderQty(100), fix.Price(10.25),
                   fix.Text("x" * (1 + number % 97)))


def settings(a):
    """Sessions that never end by the clock, numbers in files, as QuickFIX's users have it."""
    lines = ["[DEFAULT]", f"ConnectionType={a['role']}", "StartTime=00:00:00", "EndTime=00:00:00",
             f"HeartBtInt={a.get('heartbeat', 1)}", "SocketNodelay=Y", "UseDataDictionary=N", "ReconnectInterval=1",
             "LogonTimeout=5", "LogoutTimeout=5", f"FileStorePath={a['directory']}/store",
             f"FileLogPath={a['directory']}/log", "SocketReuseAddress=Y", f"SocketAcceptPort={a['port']}"]
    for s in a["sessions"]:
        lines += ["[SESSION]", f"BeginString={s['begin']}", f"SenderCompID={s['them']}", f"TargetCompID={s['us']}"]
        if "appl" in s:
            lines.append(f"DefaultApplVerID={s['appl']}")
        if a["role"] == "initiator":
            lines += [f"SocketConnectHost={a['host']}", f"SocketConnectPort={s['port']}"]
    path = os.path.join(a["directory"], "street.cfg")
    with open(path, "w") as f:
        f.write("\n".join(lines) + "\n")
    return fix.SessionSettings(path)


def place(street, most):
    """As many orders as may be open; False: `most` were placed on every session."""
    more = False
    for s in street.sessions.values():
        more = more or s.placed < most
        while s.on and s.open < OPEN and s.placed < most:
            with street.lock:
                s.placed += 1
                s.open += 1
                number = s.placed
            fix.Session.sendToTarget(order(number), s.ident)
    return more


def heard():
    sys.stdin.readline()
    return True


def told_to_stop():
    stop = threading.Event()
    threading.Thread(target=lambda: heard() and stop.set(), daemon=True).start()
    return stop


def main(a):
    street = Street()
    config = settings(a)
    store, log = fix.FileStoreFactory(config), fix.FileLogFactory(config)
    # SocketInitiator of 1.16 never connects again once it has itself given a connection up (quickfix/quickfix#739)
    make = fix.SocketAcceptor if a["role"] == "acceptor" else fix.ThreadedSocketInitiator
    end = make(street, store, config, log)
    end.start()
    print("ready", flush=True)
    stop = told_to_stop()
    most = a.get("orders", 0)
    while place(street, most or 1 << 60) and (most or not stop.is_set()):
        time.sleep(TURN_S)
    deadline = time.monotonic() + PATIENCE_S
    asked = {}
    while not all(s.echoed for s in street.sessions.values()) and time.monotonic() < deadline:
        for name, s in street.sessions.items():
            # the answer may be filled over with a gap: asked again where none comes
            if s.on and not s.echoed and time.monotonic() > asked.get(name, 0) + AGAIN_S:
                asked[name] = time.monotonic()
                fix.Session.sendToTarget(message("1", fix.TestReqID("all said")), s.ident)
        time.sleep(TURN_S)
    print("quiet", flush=True)
    stop.wait()
    heard()
    end.stop()
    print(json.dumps({str(s.ident): {"placed": s.placed, "filled": s.filled, "logons": s.logons, "echoed": s.echoed}
                      for s in street.sessions.values()}), flush=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
