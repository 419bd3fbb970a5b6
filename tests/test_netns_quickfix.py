"""Our gateway and the real QuickFIX, which runs on the Linux kernel's TCP in a namespace of its own.

A thousand orders and a thousand fills each way, counted on QuickFIX's side, ClOrdIDs compared as sets; QuickFIX checks
every message of ours against its dictionary where `../shared/dictionaries` is there.
"""
import json
import os
import pathlib
import signal

import netns
import pytest
from children import Child, Patience

import dpdk_py

pytestmark = pytest.mark.netns
pytest.importorskip("quickfix", reason="quickfix is not installed (pip install quickfix-tls)")

PEER = str(netns.ROOT / "tests" / "peers" / "quickfix_peer.py")
DICTIONARY = pathlib.Path(netns.ROOT / "../shared/dictionaries/FIX44.xml").resolve()
CHECKED = ["--dictionary", str(DICTIONARY)] if DICTIONARY.exists() else []
DEVICES = [pytest.param("afpacket:us0", id="afpacket"),
           pytest.param("dpdk:net_af_packet0,iface=us0", id="dpdk", marks=pytest.mark.dpdk)]
MODULE = {"afpacket": "dpdk_py.afpacket", "dpdk": "dpdk_py.port"}
N = 1000
PORT = 9876


@pytest.fixture(scope="module")
def link():
    with netns.Link() as made:
        yield made


@pytest.fixture(params=DEVICES)
def device(request):
    # Not backends(): what this user may not do here it may in the namespace.
    pytest.importorskip(MODULE[request.param.partition(":")[0]], exc_type=ImportError)
    return request.param


# -- our side, in its namespace

class Client:
    """Places N orders, fifty of them open at a time; logs out when every one is filled."""

    def __init__(self, orders):
        self.left, self.open = orders, 0
        self.placed, self.filled, self.refused = [], [], 0

    def place(self, session):
        while self.left and self.open < 50:
            if session.order_new("FIXW", "1", 100, 1025000000 + self.left) != 0:
                self.refused += 1
                break
            self.placed.append(str(session.last_ClOrdID))
            self.left -= 1
            self.open += 1

    def on_logon(self, session):
        self.place(session)

    def on_message(self, session, msg):
        if msg.MsgType == "8":
            self.filled.append(msg[11])
            self.open -= 1
            self.place(session)
            if len(self.filled) == len(self.placed) and not self.left:
                session.logout("done")


class Exchange:
    """Fills every order whole at its price."""

    def __init__(self, _):
        self.placed, self.filled, self.refused = [], [], 0

    def on_message(self, session, msg):
        if msg.MsgType != "D":
            return
        self.placed.append(msg[11])
        n = len(self.placed)
        verdict = session.send("8", [
            (37, f"O{n}"), (17, f"E{n}"), (150, "F"), (39, "2"), (11, msg[11]), (55, msg[55]), (54, msg[54]),
            (38, msg[38]), (32, msg[38]), (31, msg[44]), (151, 0), (14, msg[38]), (6, msg[44])])
        if verdict == 0:
            self.filled.append(msg[11])
        else:
            self.refused += 1


def gateway(device, role, side, orders):
    """Our gateway until its session has logged out; what it and its strategy counted."""
    from gateway import Engine
    strategy = {"client": Client, "exchange": Exchange}[side](orders)
    # The end of the session ends the gateway: an initiator would connect again.
    strategy.on_start = lambda engine: setattr(strategy, "engine", engine)
    strategy.on_logout = lambda session: strategy.engine.stop()
    with dpdk_py.open_device(device) as d:
        with Engine(d, f"{netns.US_IP}/{netns.PREFIX}", idle="yield") as engine:
            session = engine.add_session(
                "FIXWIRE", "QUICKFIX", role=role, port=PORT, host=netns.PEER_IP if role == "initiator" else None,
                strategy=engine.add_strategy(strategy, on_error="stop"), reconnect_s=0.1)
            print("up", flush=True)
            engine.run(seconds=50)
            return {"placed": strategy.placed, "filled": strategy.filled, "refused": strategy.refused,
                    "session": session.stats(), "events": [(event, reason) for _, _, event, reason in engine.events()],
                    "device": d.stats()}


def summary(process, timeout=60):
    return json.loads(process.finish(timeout).stdout.splitlines()[-1])


def check(ours, theirs, orders, executions):
    """`orders`, `executions`: QuickFIX's lists of ClOrdIDs; nothing lost, doubled, rejected or resent."""
    assert len(ours["placed"]) == len(ours["filled"]) == len(orders) == N, (ours["events"], theirs["errors"])
    assert set(orders) == set(ours["placed"]) == set(ours["filled"]) and len(set(orders)) == N
    if executions:
        assert set(executions) == set(orders) and len(executions) == N
    assert (theirs["logons"], theirs["logouts"], theirs["possdup"]) == (1, 1, 0)
    assert theirs["received"]["5"] == theirs["sent"]["5"] == 1
    assert not {"2", "3", "4", "j"} & (theirs["received"].keys() | theirs["sent"].keys()), theirs


def test_the_peer_itself_against_itself():
    """QuickFIX to QuickFIX over the kernel's loopback: what the other tests rely on."""
    with netns.Link() as link:
        acceptor = link.peer.python(PEER, "acceptor", "exchange", "--sender=A", "--target=B", *CHECKED, ready="ready")
        client = link.peer.python(PEER, "initiator", "client", "--sender=B", "--target=A", "--logout", *CHECKED)
        placed, filled = summary(client), summary(acceptor)
    assert len(placed["executions"]) == len(filled["orders"]) == N
    assert set(placed["executions"]) == set(filled["orders"]) and len(set(filled["orders"])) == N
    assert filled["received"]["5"] == filled["sent"]["5"] == 1 and placed["errors"] in ([], ["done"])
    assert placed["possdup"] == filled["possdup"] == 0


def test_quickfix_accepts_and_fills_our_orders(link, device):
    theirs = link.peer.python(PEER, "acceptor", "exchange", f"--port={PORT}", *CHECKED, ready="ready")
    ours = link.us.call(gateway, device, "initiator", "client", N, timeout=60)
    theirs = summary(theirs)
    check(ours, theirs, theirs["orders"], None)
    assert theirs["sent"]["8"] == N


def test_quickfix_connects_and_we_fill_its_orders(link, device):
    ours = link.us.start_call(gateway, device, "acceptor", "exchange", 0, ready="up")
    theirs = summary(link.peer.python(PEER, "initiator", "client", f"--host={netns.US_IP}", f"--port={PORT}",
                                      f"--orders={N}", "--logout", *CHECKED))
    ours = netns.result_of(ours, 60)
    check(ours, theirs, ours["placed"], theirs["executions"])
    assert set(theirs["executions"]) == {f"QF{i:06}" for i in range(1, N + 1)}


def test_quickfix_connects_and_fills_our_orders(link):
    ours = link.us.start_call(gateway, "afpacket:us0", "acceptor", "client", N, ready="up")
    theirs = summary(link.peer.python(PEER, "initiator", "exchange", f"--host={netns.US_IP}", f"--port={PORT}",
                                      *CHECKED))
    check(netns.result_of(ours, 60), theirs, theirs["orders"], None)


@pytest.mark.parametrize("fault", [
    lambda ours, theirs: theirs["orders"].pop(),                                # one lost on the way
    lambda ours, theirs: theirs["orders"].__setitem__(0, theirs["orders"][1]),  # one doubled, one lost
    lambda ours, theirs: ours["filled"].__setitem__(7, "never placed"),
    lambda ours, theirs: theirs.update(possdup=1),
    lambda ours, theirs: theirs["received"].update({"3": 1}),                   # we rejected one
    lambda ours, theirs: theirs["sent"].update({"2": 1}),                       # a gap was noticed
    lambda ours, theirs: theirs["received"].pop("5"),                           # no Logout of ours
])
def test_the_check_sees(fault):
    ids = [f"C{i}" for i in range(N)]
    ours = {"placed": ids, "filled": list(ids), "events": []}
    theirs = {"orders": list(ids), "errors": [], "logons": 1, "logouts": 1, "possdup": 0,
              "received": {"A": 1, "D": N, "5": 1}, "sent": {"A": 1, "8": N, "5": 1}}
    check(ours, theirs, theirs["orders"], None)
    fault(ours, theirs)
    with pytest.raises((AssertionError, KeyError)):
        check(ours, theirs, theirs["orders"], None)


# -- a strategy in a process of its own, whose orders rest at QuickFIX when it is killed

class Rests:
    """Places orders, and says when all are acknowledged."""
    COUNT = 40

    def __init__(self, say):
        self.say, self.placed, self.acknowledged = say, [], 0

    def on_logon(self, session):
        for k in range(self.COUNT):
            assert session.order_new("FIXW", "12"[k % 2], 100 + k, 1025000000) == 0
            self.placed.append(str(session.last_ClOrdID))

    def on_message(self, session, msg):
        self.acknowledged += msg[39] == "0"
        if self.acknowledged == self.COUNT:
            self.say(json.dumps(self.placed))


def desk(directory):
    """Our gateway with a desk, until the dead strategy has nothing open any more; then Logout."""
    from gateway import Desk, Engine
    with dpdk_py.open_device("afpacket:us0") as d, Engine(d, f"{netns.US_IP}/{netns.PREFIX}") as engine, \
            Desk("q", [{"name": "maker"}, {"name": "other"}], directory=directory) as desk:
        session = engine.add_session("FIXWIRE", "QUICKFIX", role="initiator", port=PORT, host=netns.PEER_IP,
                                     strategy=engine.add_strategy(desk), reconnect_s=0.1)
        desk.open()
        print("up", flush=True)
        patience, row = Patience(), desk.stats()["maker"]
        while not row["cancels"] or row["open"]:
            engine.step()
            row = desk.stats()["maker"]
            patience.check(row)
        session.logout("done")
        while session.connected:
            engine.step()
            patience.check(session.state)
        return {"desk": desk.stats(), "session": session.stats()}


def test_quickfix_is_asked_to_cancel_every_resting_order_of_a_killed_strategy(link, tmp_path):
    theirs = link.peer.python(PEER, "acceptor", "book", f"--port={PORT}", *CHECKED, ready="ready")
    ours = link.us.start_call(desk, str(tmp_path), ready="up")

    def strategy(say):
        from gateway import Seat
        with Seat("q.maker", Rests(say), directory=str(tmp_path), idle="sleep") as seat:
            seat.run()
    with Child(strategy) as maker:
        placed = json.loads(maker.hear())
        os.kill(maker.pid, signal.SIGKILL)
        ours, theirs = netns.result_of(ours, 60), summary(theirs)
    assert theirs["orders"] == theirs["cancels"] == placed and len(set(placed)) == Rests.COUNT
    assert ours["desk"]["maker"]["cancels"] == ours["desk"]["maker"]["sent"] == Rests.COUNT
    assert (theirs["logons"], theirs["possdup"]) == (1, 0)
    assert not {"2", "3", "4", "j"} & (theirs["received"].keys() | theirs["sent"].keys()), theirs
