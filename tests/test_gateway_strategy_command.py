"""`fixwire strategy run` and the [ipc] of `fixwire run`: two commands, and every way they end."""
import os
import pathlib
import signal
import subprocess
import sys

import pytest
from children import Child
from killed_strategies import market
from test_gateway_cli_run import configured, started

ROOT = pathlib.Path(__file__).parent.parent
STRATEGY = '''
class Tells:
    def on_start(self, engine):
        self.engine = engine
        print("started", [s.name for s in engine.sessions], flush=True)
    def on_logon(self, session):
        print("logon", session.order_new("ABC", "1", 100, 100 * 10**8), flush=True)
    def on_message(self, session, msg):
        print("fill", msg.get_int(32), flush=True)
    def on_verdict(self, session, token, verdict):
        print("verdict", token, verdict, flush=True)
    def on_stop(self, engine):
        print("stop", flush=True)

class Stops(Tells):
    def on_message(self, session, msg):
        self.engine.stop()

class Raises(Tells):
    def on_message(self, session, msg):
        raise RuntimeError("no more")
'''


def strategy(directory, name, connect, *args):
    (directory / "mine.py").write_text(STRATEGY)
    return subprocess.Popen([sys.executable, "-m", "gateway", "strategy", "run", f"{directory}/mine.py:{name}", "--connect",
                             connect, "--directory", str(directory), *args], cwd=directory, text=True,
                            env=dict(os.environ, PYTHONPATH=str(ROOT)), stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.fixture
def trading(tmp_path):
    with Child(market(tmp_path)) as child:
        assert child.hear() == "open"
        yield child


def test_it_trades_until_it_is_told_to_end(trading, tmp_path):
    p = strategy(tmp_path, "Tells", "k.victim")
    assert p.stdout.readline() == "started ['GATEWAY->VENUE']\n"
    assert [p.stdout.readline() for _ in range(3)] == ["logon 0\n", "verdict 1 0\n", "fill 100\n"]
    twice = strategy(tmp_path, "Tells", "k.victim")
    assert "has a living producer already" in twice.communicate(timeout=60)[1] and twice.returncode == 2
    p.send_signal(signal.SIGTERM)
    out, err = p.communicate(timeout=60)
    assert (p.returncode, out) == (0, "stop\n") and "k.victim: " in err and " 0 lost, 1 orders, 0 errors" in err


@pytest.mark.parametrize("name, args, code, said", [
    ("Stops", (), 0, "1 orders"),
    ("Raises", ("--exceptions", "stop"), 1, "the strategy ended itself: RuntimeError: no more")])
def test_it_may_end_itself(trading, tmp_path, name, args, code, said):
    p = strategy(tmp_path, name, "k.victim", *args)
    assert said in p.communicate(timeout=60)[1] and p.returncode == code


@pytest.mark.parametrize("how, code, said", [(signal.SIGTERM, 0, "1 orders"), (signal.SIGKILL, 1, "the gateway is gone")])
def test_it_ends_with_its_gateway(trading, tmp_path, how, code, said):
    p = strategy(tmp_path, "Tells", "k.victim")
    while p.stdout.readline() != "fill 100\n":
        assert p.poll() is None
    os.kill(trading.pid, how)
    assert said in p.communicate(timeout=60)[1] and p.returncode == code


@pytest.mark.parametrize("connect, said", [
    ("q.victim", "no gateway with the desk 'q' runs here"),
    ("k.nobody", "k knows no strategy 'nobody', only steady, victim"),
    ("victim", "name is 'victim', must be DESK.STRATEGY")])
def test_what_cannot_be_connected_to_is_one_sentence(trading, tmp_path, connect, said):
    p = strategy(tmp_path, "Tells", connect, "--wait", "0")
    _, err = p.communicate(timeout=60)
    assert p.returncode == 2 and err.startswith(f"fixwire: {said}") and err.count("\n") == 1


def test_fixwire_run_opens_a_desk_where_the_configuration_has_one(tmp_path):
    path = configured(tmp_path)
    path.write_text(path.read_text() + f"""[ipc]
desk = "d"
events = 64
directory = "{tmp_path}"
[[ipc.strategies]]
name = "maker"
""")
    gateway = started(path)
    p = strategy(tmp_path, "Tells", "d.maker")
    assert p.stdout.readline() == "started ['US->THEM']\n"
    gateway.terminate()
    log = gateway.communicate(timeout=60)[1]
    assert p.communicate(timeout=60)[0] == "stop\n" and p.returncode == 0 and gateway.returncode == 0
    assert "strategy joined" in log
    assert not [f for f in os.listdir(tmp_path) if f.startswith("fixwire.")]
