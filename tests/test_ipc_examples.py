"""The samples of examples/ipc, run as their READMEs say."""
import os
import pathlib
import signal
import subprocess
import sys

import pytest

from ipc.segment import retire, segment_path

EXAMPLES = pathlib.Path(__file__).parent.parent / "examples" / "ipc"


@pytest.fixture(autouse=True)
def no_leftovers():
    """An earlier run that was killed may have left its segments."""
    for name in ("log", "events", "parsed"):
        if os.path.exists(path := segment_path(name)):
            retire(path)


def start(script, *arguments):
    script = EXAMPLES / script
    env = dict(os.environ, PYTHONPATH=os.pathsep.join([str(EXAMPLES.parent.parent), os.environ.get("PYTHONPATH", "")]))
    program = ["-m", "gateway"] if script.name == "fixwire" else [script.name]
    return subprocess.Popen([sys.executable, *program, *map(str, arguments)], cwd=script.parent, text=True, env=env,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def end(process):
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0, out
    return out


@pytest.mark.slow
def test_fan_out(tmp_path):
    publisher = start("fan_out/publish.py", "--count", 50_000, "--rate", 50_000, "--directory", tmp_path)
    followers = [start("fan_out/follow.py", "--directory", tmp_path) for _ in range(2)]
    assert "published 50000" in end(publisher)
    for f in followers:
        assert "silence" in end(f)


@pytest.mark.slow
def test_logger(tmp_path):
    worker, writer = start("logger/work.py", "--steps", 2000), start("logger/write.py", tmp_path / "log")
    assert "2000 lines" in end(worker)
    assert "2000 lines" in end(writer)
    assert len((tmp_path / "log").read_bytes().splitlines()) == 2000


@pytest.mark.slow
def test_hot_swap():
    feed, one = start("hot_swap/feed.py"), start("hot_swap/strategy.py", 1)
    assert "takes over at event 0" in one.stdout.readline()
    two = start("hot_swap/strategy.py", 2)
    one.send_signal(signal.SIGKILL)
    one.communicate(timeout=60)
    assert "all acknowledged" in end(feed)
    assert "to 2999" in end(two)


@pytest.mark.slow
def test_many_parsers(tmp_path):
    file = tmp_path / "messages"
    body = b"35=0\x0149=A\x0156=B\x0134=1\x0152=20260101-00:00:00\x01"
    message = b"8=FIX.4.4\x019=%d\x01" % len(body) + body
    file.write_bytes((message + b"10=%03d\x01" % (sum(message) % 256)) * 50)
    collector = start("many_parsers/collect.py")
    for parser in [start("many_parsers/parse.py", file) for _ in range(3)]:
        assert "50 messages" in end(parser)
    assert "'0': 150" in end(collector)


@pytest.mark.slow
def test_outside_strategy(tmp_path):
    gateway = start("outside_strategy/market.py", "--directory", tmp_path)
    assert "open: fixwire strategy run" in gateway.stdout.readline()
    command = ("outside_strategy/fixwire", "strategy", "run", "buyer.py:Buyer", "--connect", "demo.buyer",
               "--directory", tmp_path)
    buyer = start(*command)
    assert "logged on" in buyer.stdout.readline() and "1 fills, the last 100 at 99.50" in buyer.stdout.readline()
    buyer.kill()
    buyer.communicate(timeout=60)
    again = start(*command)
    assert "fills" in again.stdout.readline() + again.stdout.readline()
    gateway.send_signal(signal.SIGTERM)
    assert "'hellos': 2" in end(gateway)
    end(again)
