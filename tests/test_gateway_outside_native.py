"""Native strategies (Cython, C, numba) in processes of their own: every callback and order, and `fixwire strategy run`."""
import ctypes
import json
import os
import pathlib
import signal
import subprocess
import sys

import compiled
import pytest
from children import Child
from street import body
from test_gateway_outside import Floor, Venue
from test_gateway_strategies import PRICES, SIDES

from dpdk_py import open_device
from gateway import Desk, Engine, callback
from gateway.strategy import STALE

ROOT = pathlib.Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
MESSAGE, QUOTE = ord("8"), ord("W")


@pytest.fixture(scope="module")
def native():
    return compiled.module("outside_face").Native


@pytest.fixture
def floor(tmp_path):
    with Floor(tmp_path) as f:
        yield f


def test_an_order_is_worked_through_its_whole_life(floor, native):
    called = []
    strategy = native(sends=True)
    strategy.on_call = lambda: called.append(strategy.engine)
    seat = floor.sit("maker", strategy)
    assert seat.strategy is strategy and strategy.told() == [("start", 0, 0), ("logon", 0, 0)]
    floor.turn(ms=10).turn()
    assert [t for t in strategy.told() if t[0] != "verdict"] == [
        ("timer", 1, 0), ("send", 2, 0), ("message", MESSAGE, 0), ("message", MESSAGE, 5), ("message", MESSAGE, 4)]
    assert called == [seat] and strategy.refused == 1           # its own session_begin comes to nothing
    assert floor.stats("maker")["verdicts"] == {"SENT": 4} and floor.stats("maker")["open"] == 0 and floor.accounted()
    assert [body(m) for m in floor.street.out() if "|35=V|" in m] == ["262=native|"]
    assert len(floor.venue.orders) == 2 and floor.venue.cancels == floor.venue.orders[1:]


def test_verdicts_come_with_the_orders_token(tmp_path, native):
    with Floor(tmp_path, max_order_qty=60) as floor:
        strategy = native()
        floor.sit("maker", strategy)
        floor.turn(ms=10)
        assert ("timer", 1, 0) in (told := strategy.told()) and told[-1] == ("verdict", 1, 5)      # RISK_QTY
        assert strategy.stale == STALE


def test_it_is_told_of_a_reject_of_a_loss_and_of_the_end(floor, native):
    strategy = native()
    floor.sit("maker", strategy)
    floor.turn(ms=10).turn()
    strategy.told()
    floor.venue.session.send("j", [(45, str(floor.street.here.next_out - 1)), (372, "F"), (380, "0")])
    floor.turn()
    assert strategy.told() == [("reject", ord("j"), 0)]
    for k in range(200):                                        # the broadcast keeps 64
        floor.venue.quote(str(k + 1))
        floor.street.settle()
    floor.turn()
    (what, lost, _), *quotes = strategy.told()
    assert what == "lost" and lost + len(quotes) == 200 and {m[:2] for m in quotes} == {("message", QUOTE)}
    floor.street.gateway.stop()
    floor.turn(ms=3000)
    assert [t[0] for t in strategy.told()] == ["logout"]


def test_it_ends_with_on_stop(floor, native):
    strategy = native()
    seat = floor.sit("maker", strategy)
    seat.stop()
    strategy.told()
    seat.run(signals=False)
    assert strategy.told()[-1][0] == "stop"


def test_C_functions_are_told_of_verdicts_and_losses(floor):
    seen, fw = [], callback.api()

    def function(*types):
        return ctypes.CFUNCTYPE(None, ctypes.c_void_p, *types)
    sessions, number = (ctypes.c_void_p, ctypes.c_uint64), ctypes.c_uint64

    def logon(ctx, session, now_ns):
        verdict = fw["limit_order"](session, ctypes.cast(b"ABC", ctypes.c_void_p), 3, ord("1"), 100, 10**9, 0, now_ns)
        seen.append((ctx, verdict, fw["last_token"](session)))
    functions = {
        "on_logon": function(*sessions)(logon),
        "on_verdict": function(*sessions, ctypes.c_int, number)(
            lambda ctx, session, token, verdict, now_ns: seen.append((token, verdict))),
        "on_lost": function(number, number)(lambda ctx, count, now: seen.append(count))}
    given = callback.CallbackStrategy(0, ctx=42, keep=functions, **{
        name: ctypes.cast(f, ctypes.c_void_p).value for name, f in functions.items()})
    floor.sit("maker", given)
    floor.turn()
    assert seen == [(42, 0, 1), (1, 0)]
    for k in range(200):
        floor.venue.quote(str(k + 1))
        floor.street.settle()
    floor.turn()
    assert len(seen) == 3 and seen[2] > 100 and given.messages + seen[2] == 201


# -- in processes of their own

def trading(directory):
    """A gateway whose venue shows every price once the strategy is there; in the end, what it was sent."""
    def work(say):
        ending = []
        signal.signal(signal.SIGTERM, lambda *_: ending.append(True))
        orders = []

        class Noting(Venue):
            def on_message(self, session, msg):
                orders.append([msg.MsgType, msg[54], msg.get(44)])
                super().on_message(session, msg)
        venue = Noting()
        near, far = open_device("pair")
        with Engine(near, "10.0.0.1/24", seed=1) as gateway, Engine(far, "10.0.0.2/24", seed=2) as there, \
                Desk("d", [{"name": "maker"}], directory=directory) as desk:
            gateway.add_session("GATEWAY", "VENUE", role="initiator", host="10.0.0.2", port=1,
                                strategy=gateway.add_strategy(desk))
            there.add_session("VENUE", "GATEWAY", role="acceptor", port=1, strategy=there.add_strategy(venue))
            desk.open()
            say("open")
            shown = dead = False
            while not ending:
                gateway.step()
                there.step()
                row = desk.stats()["maker"]
                if row["on"] and not shown and venue.session:
                    shown = True
                    for price in PRICES:
                        venue.session.send("W", [(55, "ABC"), (268, 1), (269, "0"), (270, price), (271, 7)])
                if len(venue.orders) == len(PRICES) - 1 == row["open"] and shown is True:
                    shown = "and traded"
                    say("traded")
                if row["deaths"] and not dead and not row["open"]:
                    dead = True
                    say("cancelled")
            say(json.dumps({"orders": orders, "desk": desk.stats()["maker"], "cancels": venue.cancels, "ids": venue.orders}))
    return work


def traded(directory, spec, *path):
    """`fixwire strategy run spec` against that gateway, killed once it has traded; what the venue was sent."""
    with Child(trading(directory)) as gateway:
        assert gateway.hear() == "open"
        with subprocess.Popen([sys.executable, "-m", "gateway", "strategy", "run", spec, "--connect", "d.maker",
                               "--directory", str(directory), "--idle", "sleep"], stderr=subprocess.PIPE, text=True,
                              env=dict(os.environ, PYTHONPATH=os.pathsep.join(map(str, (ROOT, *path))))) as running:
            try:
                assert gateway.hear() == "traded"
            finally:
                running.kill()
                said = running.communicate(timeout=60)[1]
            assert running.returncode == -signal.SIGKILL, said
        assert gateway.hear() == "cancelled"
        os.kill(gateway.pid, signal.SIGTERM)
        return json.loads(gateway.hear())


def check(found):
    """The orders that the rule makes of the prices, each cancelled once its strategy was killed."""
    n = len(SIDES)
    assert found["orders"][:n] == [["D", side, price] for side, price in zip(SIDES, PRICES[1:], strict=True)]
    assert found["orders"][n:] == [["F", side, None] for side in SIDES] and found["cancels"] == found["ids"]
    row = found["desk"]
    assert (row["sent"], row["verdicts"], row["cancels"], row["deaths"], row["open"]) == (n, {"SENT": n}, n, 1, 0)


def test_the_numba_example(tmp_path):
    pytest.importorskip("numba", reason="numba is not installed")
    check(traded(tmp_path, f"{EXAMPLES}/strategy_numba.py:follower"))


def test_the_C_example(tmp_path):
    library = tmp_path / "libfollower.so"
    subprocess.run(["gcc", "-O2", "-Wall", "-Werror", "-shared", "-fPIC", "-I", str(ROOT / "gateway"), "-o", str(library),
                    str(EXAMPLES / "strategy_c.c")], check=True, timeout=300)
    (tmp_path / "mine.py").write_text(f'''
import ctypes
from gateway.callback import CallbackStrategy, api_address
library = ctypes.CDLL("{library}")
library.init(ctypes.c_void_p(api_address()))
follower = CallbackStrategy(ctypes.cast(library.on_message, ctypes.c_void_p).value, keep=library)
''')
    check(traded(tmp_path, f"{tmp_path}/mine.py:follower"))


def test_the_python_example_with_the_same_rule(tmp_path):
    """What the others are measured by."""
    check(traded(tmp_path, f"{EXAMPLES}/strategy_python.py:Follower"))
