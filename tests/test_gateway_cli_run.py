"""`fixwire run`: from gateway.toml to a process that trades, and its ends."""
import os
import signal
import subprocess
import sys

import netns
import pytest
from capture_maker import write

CONFIG = '''
device = "{device}"
address = "{address}"
{strategy}
idle = "sleep"
seed = 5
{more}
[[sessions]]
role = "{role}"
BeginString = "FIX.4.4"
SenderCompID = "{us}"
TargetCompID = "{them}"
HeartBtInt = 5
host = "10.77.0.9"
port = 9876
'''
STRATEGIES = '''
class Buyer:
    """Ten orders, then the gateway stops."""
    def __init__(self):
        self.fills = 0
    def on_start(self, engine):
        self.engine = engine
    def on_logon(self, session):
        self.order(session)
    def on_message(self, session, msg):
        self.fills += 1
        print("fill", self.fills, flush=True)
        if self.fills == 10:
            self.engine.stop()
        else:
            self.order(session)
    def order(self, session):
        assert session.order_new("ABC", "1", 100, 10 * 10**8) == 0

class Venue:
    def on_start(self, engine):
        print("ready", flush=True)
    def on_message(self, session, msg):
        session.send("8", [(37, msg[11]), (17, msg[11]), (150, "2"), (39, "2"), (11, msg[11]), (55, "ABC"), (54, "1"),
                           (151, "0"), (14, "100"), (6, "10")])

class Failing:
    def on_start(self, engine):
        print("ready", flush=True)
    def on_message(self, session, msg):
        raise RuntimeError("no venue")
'''


def configured(directory, name="g.toml", **kw):
    values = {"device": "pcap:" + str(write(directory / "empty.pcap", [])), "address": "10.77.0.2/24", "strategy": "",
              "more": "", "role": "initiator", "us": "US", "them": "THEM", **kw}
    (directory / "strategies.py").write_text(STRATEGIES)
    path = directory / name
    path.write_text(CONFIG.format(**values))
    return path


def run(*args):
    return subprocess.run([sys.executable, "-m", "gateway", "run", *map(str, args)], capture_output=True, text=True,
                          timeout=60)


def started(path):
    """A running gateway, once it says so."""
    p = subprocess.Popen([sys.executable, "-m", "gateway", "run", str(path)], stderr=subprocess.PIPE, text=True)
    said = p.stderr.readline()
    assert "gateway on" in said, said
    return p


def test_check_opens_nothing(tmp_path):
    good = configured(tmp_path, device="dpdk:0000:ff:1f.7", strategy='strategy = "no_such:Thing"')
    out = run("--check", good)
    assert (out.returncode, out.stdout, out.stderr) == (0, f"{good}: 1 sessions, every key is right\n", "")


def test_every_wrong_key_is_told_with_its_line(tmp_path):
    out = run(configured(tmp_path, more='colour = "red"\nlog = 3'))
    assert out.returncode == 2 and not out.stdout
    assert out.stderr.splitlines() == [f"{tmp_path}/g.toml:7: 'colour' is no key, did you mean core?",
                                       f"{tmp_path}/g.toml:8: log is 3, must be a string"]


@pytest.mark.parametrize("kw, sentence", [
    ({"more": "core = 1023"}, "core is 1023, this process may use "),
    ({"device": "pcap:/nowhere"}, "device pcap:/nowhere: "),
    ({"device": "afpacket:nowhere0"}, "device afpacket:nowhere0: "),
    ({"strategy": 'strategy = "nothing:Here"'}, "strategy module 'nothing' is not found"),
    ({"more": 'log = "/nowhere/at/all.log"'}, "log file /nowhere/at/all.log cannot be written: "),
])
def test_what_cannot_run_is_one_sentence(tmp_path, kw, sentence):
    out = run(configured(tmp_path, **kw))
    assert out.returncode == 2 and not out.stdout and sentence in out.stderr
    assert out.stderr.count("\n") == 1 and "Traceback" not in out.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly(tmp_path, number):
    p = started(configured(tmp_path))
    p.send_signal(number)
    _, log = p.communicate(timeout=30)
    assert p.returncode == 0 and log.splitlines()[-1].endswith("INFO stopped")


def test_the_engine_is_pinned_and_nothing_else_is_on_its_core(tmp_path):
    cores = os.sched_getaffinity(0)
    if len(cores) < 2:
        pytest.skip("one CPU only: the rest of the process cannot be kept off it")
    core = max(cores)
    p = started(configured(tmp_path, more=f"core = {core}"))
    try:
        assert "connecting" in p.stderr.readline()      # so the engine runs
        threads = {int(t): os.sched_getaffinity(int(t)) for t in os.listdir(f"/proc/{p.pid}/task")}
        assert threads.pop(p.pid) == {core}
        assert threads and all(core not in allowed for allowed in threads.values())
    finally:
        p.terminate()
        p.communicate(timeout=30)


@pytest.mark.netns
def test_two_gateways_trade_over_a_wire(tmp_path):
    """Ten orders and fills between two processes; one ends itself with Logout, the other by SIGTERM."""
    netns.require()
    with netns.Link() as link:
        link.peer.sh(f"ip addr flush dev {link.peer.ifname}")
        venue = configured(tmp_path, "venue.toml", device=f"afpacket:{link.peer.ifname}", address="10.77.0.9/24",
                           role="acceptor", us="THEM", them="US", strategy='strategy = "strategies:Venue"')
        buyer = configured(tmp_path, "buyer.toml", device=f"afpacket:{link.us.ifname}",
                           strategy='strategy = "strategies.py:Buyer"')
        far = link.peer.python("-m", "gateway", "run", str(venue), ready="ready")
        near = link.us.python("-m", "gateway", "run", str(buyer)).finish(timeout=60)
        assert near.stdout.splitlines() == [f"fill {n}" for n in range(1, 11)]
        assert "session US->THEM: logon" in near.stderr and "session US->THEM: logout" in near.stderr
        far.signal(signal.SIGTERM)
        assert "session THEM->US: logon" in far.finish().stderr


@pytest.mark.netns
def test_the_policy_stop_ends_the_gateway_with_exit_1(tmp_path):
    netns.require()
    with netns.Link() as link:
        link.peer.sh(f"ip addr flush dev {link.peer.ifname}")
        venue = configured(tmp_path, "venue.toml", device=f"afpacket:{link.peer.ifname}", address="10.77.0.9/24",
                           role="acceptor", us="THEM", them="US", strategy='strategy = "strategies:Failing"',
                           more='exceptions = "stop"')
        buyer = configured(tmp_path, "buyer.toml", device=f"afpacket:{link.us.ifname}",
                           strategy='strategy = "strategies:Buyer"')
        far = link.peer.python("-m", "gateway", "run", str(venue), ready="ready")
        near = link.us.python("-m", "gateway", "run", str(buyer))
        ended = far.finish(timeout=60, check=False)
        assert ended.returncode == 1
        assert "RuntimeError: no venue" in ended.stderr and "the strategy stopped the gateway" in ended.stderr
        near.signal(signal.SIGTERM)
        near.finish()
