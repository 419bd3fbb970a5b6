"""The real QuickFIX as the other side: acceptor or initiator, exchange (fills orders), book (lets them rest, and cancels
them when asked) or client (places them).

    quickfix_peer.py acceptor exchange --port 9876
    quickfix_peer.py initiator client --host 10.77.0.2 --port 9876 --orders 1000

Prints `ready` once it listens or tries to connect, and at the end one JSON object: what crossed the session as
QuickFIX saw it. It ends when the session has logged out, or after --timeout seconds (exit status 1). Needs the
module `quickfix` (PyPI quickfix-tls). Every message is checked by QuickFIX against a data dictionary if --dictionary
is given.
"""
import argparse
import collections
import json
import os
import sys
import tempfile
import threading
import time

import quickfix as fix


class Peer(fix.Application):
    """Counts, fills, places. QuickFIX calls from its own threads; the main thread waits on `changed`."""

    def __init__(self, side):
        super().__init__()
        self.fill, self.rest = side == "exchange", side == "book"
        self.changed = threading.Condition()
        self.session = None
        self.logged_on = False
        self.logons = self.logouts = 0
        self.received, self.sent = collections.Counter(), collections.Counter()     # by MsgType
        self.orders, self.executions = [], []                                       # ClOrdIDs, in order
        self.cancels = []                                                           # OrigClOrdIDs
        self.possdup = 0
        self.errors = []

    def _note(self, counter, message):
        kind = fix.MsgType()
        message.getHeader().getField(kind)
        with self.changed:
            counter[kind.getValue()] += 1
            self.changed.notify_all()
        return kind.getValue()

    def onCreate(self, session):            # noqa: N802 (QuickFIX's names)
        self.session = session

    def onLogon(self, session):             # noqa: N802
        with self.changed:
            self.session, self.logged_on = session, True
            self.logons += 1
            self.changed.notify_all()

    def onLogout(self, session):            # noqa: N802
        with self.changed:
            self.logged_on = False
            self.logouts += 1
            self.changed.notify_all()

    def toAdmin(self, message, session):    # noqa: N802
        self._note(self.sent, message)

    def toApp(self, message, session):      # noqa: N802
        self._note(self.sent, message)

    def fromAdmin(self, message, session):  # noqa: N802
        if self._note(self.received, message) in "35":
            text = fix.Text()
            if message.isSetField(text):
                message.getField(text)
                self.errors.append(text.getValue())

    def fromApp(self, message, session):    # noqa: N802
        kind = self._note(self.received, message)
        if message.getHeader().isSetField(fix.PossDupFlag()):
            self.possdup += 1
        if kind == "F":
            self.cancel(message, session)
        if kind not in "D8":
            return
        ident = fix.ClOrdID()
        message.getField(ident)
        with self.changed:
            (self.orders if kind == "D" else self.executions).append(ident.getValue())
            self.changed.notify_all()
        if kind == "D" and self.fill:
            fix.Session.sendToTarget(execution(message, len(self.orders)), session)
        elif kind == "D" and self.rest:
            fix.Session.sendToTarget(resting(message, "0", copied(message, fix.ClOrdID())), session)

    def cancel(self, message, session):
        orig = copied(message, fix.OrigClOrdID())
        with self.changed:
            self.cancels.append(orig.getValue())
            self.changed.notify_all()
        fix.Session.sendToTarget(resting(message, "4", copied(message, fix.ClOrdID()), orig), session)

    def wait(self, what, deadline):
        with self.changed:
            return self.changed.wait_for(what, max(0, deadline - time.monotonic()))

    def summary(self):
        return {"logons": self.logons, "logouts": self.logouts, "received": self.received, "sent": self.sent,
                "orders": self.orders, "executions": self.executions, "cancels": self.cancels, "possdup": self.possdup,
                "errors": self.errors}


def copied(message, field):
    message.getField(field)
    return field


def resting(message, status, *idents):
    """An ExecutionReport(8) that says new or canceled of the order that `message` places or cancels."""
    report = fix.Message()
    report.getHeader().setField(fix.MsgType("8"))
    qty = copied(message, fix.OrderQty()).getValue()
    for field in (fix.OrderID("O"), fix.ExecID("E"), fix.ExecType(status), fix.OrdStatus(status), *idents,
                  copied(message, fix.Symbol()), copied(message, fix.Side()), fix.OrderQty(qty),
                  fix.LeavesQty(qty if status == "0" else 0), fix.CumQty(0), fix.AvgPx(0)):
        report.setField(field)
    return report


def execution(order, number):
    """An ExecutionReport(8) that fills `order` whole at its price."""
    qty = copied(order, fix.OrderQty())
    price = fix.Price()
    if order.isSetField(price):
        order.getField(price)
    report = fix.Message()
    report.getHeader().setField(fix.MsgType("8"))
    for field in (fix.OrderID(f"O{number}"), fix.ExecID(f"E{number}"), fix.ExecType("F"), fix.OrdStatus("2"),
                  copied(order, fix.ClOrdID()), copied(order, fix.Symbol()), copied(order, fix.Side()), qty,
                  fix.LastQty(qty.getValue()), fix.LastPx(price.getValue()), fix.LeavesQty(0),
                  fix.CumQty(qty.getValue()), fix.AvgPx(price.getValue())):
        report.setField(field)
    return report


def order(number):
    """NewOrderSingle(D) `number`."""
    message = fix.Message()
    message.getHeader().setField(fix.MsgType("D"))
    for field in (fix.ClOrdID(f"QF{number:06}"), fix.HandlInst("1"), fix.Symbol("FIXW"), fix.Side("1"),
                  fix.TransactTime(), fix.OrdType("2"), fix.OrderQty(100 + number % 7), fix.Price(10.25)):
        message.setField(field)
    return message


def settings(a, directory):
    """QuickFIX's configuration of one session that never ends by the clock."""
    s = {"ConnectionType": a.role, "BeginString": a.begin_string, "SenderCompID": a.sender, "TargetCompID": a.target,
         "StartTime": "00:00:00", "EndTime": "00:00:00", "HeartBtInt": a.heartbeat, "SocketNodelay": "Y",
         "ResetOnLogon": "Y" if a.reset else "N", "FileStorePath": directory, "LogonTimeout": 10, "LogoutTimeout": 5,
         "UseDataDictionary": "Y" if a.dictionary else "N"}
    if a.dictionary:
        s["DataDictionary"] = a.dictionary
    if a.role == "acceptor":
        s |= {"SocketAcceptPort": a.port, "SocketReuseAddress": "Y"}
    else:
        s |= {"SocketConnectHost": a.host, "SocketConnectPort": a.port, "ReconnectInterval": 1}
    path = os.path.join(directory, "session.cfg")
    with open(path, "w") as f:
        f.write("[DEFAULT]\n[SESSION]\n" + "".join(f"{key}={value}\n" for key, value in s.items()))
    return fix.SessionSettings(path)


def run(a, directory):
    peer = Peer(a.side)
    config, store = settings(a, directory), fix.MemoryStoreFactory()
    log = fix.FileLogFactory(a.log) if a.log else None
    make = fix.SocketAcceptor if a.role == "acceptor" else fix.SocketInitiator
    end = make(peer, store, config, log) if log else make(peer, store, config)
    end.start()
    print("ready", flush=True)
    deadline = time.monotonic() + a.timeout
    done = peer.wait(lambda: peer.logons, deadline)
    if done and a.side == "client":
        for number in range(1, a.orders + 1):
            fix.Session.sendToTarget(order(number), peer.session)
        done = peer.wait(lambda: len(peer.executions) >= a.orders or peer.logouts, deadline)
        if a.logout:
            fix.Session.lookupSession(peer.session).logout("done")
    done = done and peer.wait(lambda: peer.logouts >= peer.logons, deadline)
    end.stop()
    print(json.dumps(peer.summary()), flush=True)
    return 0 if done else 1


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("role", choices=("acceptor", "initiator"))
    p.add_argument("side", choices=("exchange", "book", "client"))
    p.add_argument("--host", default="127.0.0.1")
    p.add_argument("--port", type=int, default=9876)
    p.add_argument("--begin-string", default="FIX.4.4")
    p.add_argument("--sender", default="QUICKFIX")
    p.add_argument("--target", default="FIXWIRE")
    p.add_argument("--heartbeat", type=int, default=30)
    p.add_argument("--orders", type=int, default=1000, help="client: how many to place")
    p.add_argument("--logout", action="store_true", help="client: begin the Logout once every order was filled")
    p.add_argument("--reset", action="store_true", help="ResetOnLogon=Y")
    p.add_argument("--dictionary", help="check every message against this FIX dictionary")
    p.add_argument("--log", help="directory for QuickFIX's own logs")
    p.add_argument("--timeout", type=float, default=60)
    a = p.parse_args()
    with tempfile.TemporaryDirectory(prefix="quickfix-peer-") as directory:
        sys.exit(run(a, directory))


if __name__ == "__main__":
    main()
