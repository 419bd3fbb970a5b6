"""run(): threads, signals, shutdown. The one place where engines read the clock; what is waited for is events."""
import contextlib
import os
import signal
import subprocess
import sys
import threading

import pytest
from street import Quiet

from dpdk_py import open_device
from gateway import Engine, WrongThread

CHILD = """
import sys
sys.path[:0] = {path!r}
from street import Quiet
from dpdk_py import open_device
from gateway import Engine
near, far = open_device("pair")
gateway = Engine(near, "10.0.0.1/24", idle="yield", message_log=1 << 16)
venue = Engine(far, "10.0.0.2/24", idle="yield")

class Tells(Quiet):
    def on_logon(self, session):
        print("logged on", flush=True)
    def on_logout(self, session):
        print("logged out", flush=True)

gateway.add_session("GATEWAY", "VENUE", role="initiator", host="10.0.0.2", port=9878, strategy=gateway.add_strategy(Tells()))
there = venue.add_session("VENUE", "GATEWAY", role="acceptor", port=9878, strategy=None)
{before}
gateway.run(beside=venue)
print([octets.split(b"\\x0135=")[1][:1].decode() for _, _, way, octets in gateway.messages() if way == "out"], there.state)
"""


@contextlib.contextmanager
def child(before=""):
    path = [os.path.dirname(__file__), os.path.dirname(os.path.dirname(__file__))]
    with subprocess.Popen([sys.executable, "-c", CHILD.format(path=path, before=before)], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "logged on\n", process.communicate(timeout=30)
            yield process
        finally:
            process.kill()              # one that goes on all the same


@pytest.mark.parametrize("which", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_shuts_down_with_a_logout(which):
    with child() as process:
        process.send_signal(which)
        out, err = process.communicate(timeout=30)
    assert out == "logged out\n['A', '5'] disconnected\n" and err == "" and process.returncode == 0


def test_a_second_signal_ends_at_once():
    # nobody answers the Logout: the venue takes no more steps once it is logged on to
    with child("""
while not there.logged_on or not gateway.sessions[0].logged_on:
    gateway.step(), venue.step()
gateway.submit(lambda: print("running", flush=True))
gateway.run()
""") as process:
        assert process.stdout.readline() == "running\n"     # before that the signals would be Python's
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    assert process.returncode in (-signal.SIGINT, -signal.SIGTERM)


def engines():
    near, far = open_device("pair")
    gateway = Engine(near, "10.0.0.1/24", seed=1, idle="yield")
    venue = Engine(far, "10.0.0.2/24", seed=2, idle="yield")
    return gateway, venue


class Meets(Quiet):
    """Lets the test wait for the logon."""

    def __init__(self):
        super().__init__()
        self.here = threading.Event()

    def on_logon(self, session):
        super().on_logon(session)
        self.here.set()


@pytest.fixture
def running():
    """Both ends driven by a thread; the gateway's session is logged on."""
    gateway, venue = engines()
    meets = Meets()
    session = gateway.add_session("GATEWAY", "VENUE", role="initiator", host="10.0.0.2", port=9878,
                                  strategy=gateway.add_strategy(meets))
    venue.add_session("VENUE", "GATEWAY", role="acceptor", port=9878, strategy=venue.add_strategy(Quiet()))
    thread = threading.Thread(target=gateway.run, kwargs=dict(beside=venue))
    thread.start()
    assert meets.here.wait(30)
    yield gateway, venue, session
    gateway.stop()
    thread.join(30)
    assert not thread.is_alive()
    gateway.close()
    venue.close()


def test_other_threads_are_turned_away(running):
    gateway, venue, session = running
    for call in (gateway.step, gateway.run, gateway.close, gateway.events, lambda: gateway.add_strategy(Quiet()),
                 lambda: session.order_new("ABC", "1", 1, 1), session.logout, lambda: session.send("0", [])):
        with pytest.raises(WrongThread, match="submit"):
            call()


def test_submit_calls_in_the_engines_thread(running, caplog):
    gateway, venue, session = running
    done, found = threading.Event(), []

    def order(symbol):
        found.append((threading.current_thread() is threading.main_thread(), session.order_new(symbol, "1", 1, 1)))
        done.set()
    gateway.submit(lambda: 1 / 0)                           # logged, and no harm to those behind it
    gateway.submit(order, "ABC")
    assert done.wait(30) and found == [(False, 0)]
    assert "a submitted call failed" in caplog.text
    with pytest.raises(TypeError):
        gateway.submit(5)


def test_submit_has_a_limit():
    gateway, venue = engines()
    for _ in range(1024):
        gateway.submit(int)
    with pytest.raises(RuntimeError, match="1024 submitted calls are waiting"):
        gateway.submit(int)
    gateway.step(1)
    assert gateway.stats()["engine_calls"] == 1024


def test_stop_before_run_and_run_again():
    gateway, venue = engines()
    meets = Meets()
    gateway.add_session("GATEWAY", "VENUE", role="initiator", host="10.0.0.2", port=9878,
                        strategy=gateway.add_strategy(meets))
    venue.add_session("VENUE", "GATEWAY", role="acceptor", port=9878, strategy=None)
    gateway.stop()
    gateway.run(beside=venue)
    assert gateway.stopped and meets.told == []
    gateway.run(beside=venue, seconds=0.2)
    assert meets.told == ["logon", "logout"]


def test_run_gives_signal_handlers_and_affinity_back():
    gateway, venue = engines()
    heard = []
    # handlers of our own: a test run in the background starts with SIGINT ignored
    before = {n: signal.signal(n, lambda n, _: heard.append(n)) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        ours = {n: signal.getsignal(n) for n in before}
        cores = os.sched_getaffinity(0)
        gateway.run(core=min(cores), seconds=0.01)
        assert {n: signal.getsignal(n) for n in before} == ours
        assert os.sched_getaffinity(0) == cores
        for n in before:
            signal.raise_signal(n)
        assert heard == [signal.SIGINT, signal.SIGTERM]
    finally:
        for n, handler in before.items():
            signal.signal(n, handler)
    with pytest.raises(ValueError, match="core is 4096"):
        gateway.run(core=4096)


def test_a_pinned_engine_keeps_the_other_threads_off_its_core():
    cores = os.sched_getaffinity(0)
    if len(cores) < 2:
        pytest.skip("one core only")
    gateway, venue = engines()
    mine, free, seen = min(cores), threading.Event(), {}
    other = threading.Thread(target=free.wait)
    other.start()
    gateway.submit(lambda: seen.update({tid: os.sched_getaffinity(int(tid)) for tid in os.listdir("/proc/self/task")}))
    gateway.run(core=mine, seconds=0.05)
    free.set()
    other.join()
    assert seen.pop(str(threading.get_native_id())) == {mine}
    assert seen and all(mine not in allowed for allowed in seen.values())
    assert os.sched_getaffinity(0) == cores


@pytest.mark.parametrize("idle", ["spin", "yield", "sleep"])
def test_every_idle_policy_gets_there(idle):
    near, far = open_device("pair")
    gateway, venue = Engine(near, "10.0.0.1/24", idle=idle), Engine(far, "10.0.0.2/24")
    meets = Meets()
    meets.on_logon = lambda session: (meets.told.append("logon"), gateway.stop())
    gateway.add_session("GATEWAY", "VENUE", role="initiator", host="10.0.0.2", port=9878,
                        strategy=gateway.add_strategy(meets))
    venue.add_session("VENUE", "GATEWAY", role="acceptor", port=9878, strategy=None)
    gateway.run(beside=venue, seconds=30)
    assert meets.told == ["logon", "logout"]


@pytest.mark.parametrize("wrong, message", [
    (dict(idle="rest"), "idle is 'rest'"), (dict(burst=0), "burst is 0, must be 1 to 64"),
    (dict(trace="all"), "trace is 'all'"), (dict(sessions=0), "sessions is 0"),
    (dict(connections=3), "connections is 3, must be at least the 64 sessions")])
def test_an_engine_that_cannot_be(wrong, message):
    with open_device("pair")[0] as device, pytest.raises(ValueError, match=message):
        Engine(device, "10.0.0.1/24", **wrong)


def test_a_closed_engine_says_so():
    gateway, venue = engines()
    gateway.close()
    gateway.close()
    for call in (gateway.step, gateway.stop, gateway.stats, lambda: gateway.submit(int), lambda: gateway.now_ns):
        with pytest.raises(RuntimeError, match="the engine is closed"):
            call()
