"""Nothing is allocated once the session runs: 100,000 orders out and 100,000 fills in, malloc counted by an interposer.

Both ends are counted, the venue's engine too. What is looked at lies between the 1,000th fill and the last.
"""
import json
import os
import pathlib
import subprocess
import sys

import pytest

from gateway import allocations, callback

pytestmark = pytest.mark.uninstrumented("malloc is ASan's here, it cannot be counted by an interposer")
ROOT = pathlib.Path(__file__).parent.parent
CHILD = """
import ctypes, json, sys
from dpdk_py import open_device
from gateway import CallbackStrategy, Engine
from gateway.allocations import counting, mallocs
from gateway.callback import api_address
from gateway.exchange import SimulatedExchange
from gateway.filelog import FileLog

library, orders, planted, trace, logs = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4] or None, sys.argv[5]
LOOK = ctypes.CFUNCTYPE(None)

class State(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int64) for name in ("orders", "warm_up", "planted", "sent", "fills")] + [("look", LOOK)]

seen = (ctypes.c_uint64 * 5)()
def look():
    seen[seen[0] + 1], seen[seen[0] + 3] = mallocs(), sys.getallocatedblocks()
    seen[0] += 1
look(); seen[0] = 0
given = LOOK(look)
given(); seen[0] = 0
state = State(orders, 1000, planted, 0, 0, given)
c = ctypes.CDLL(library)
c.init(ctypes.c_void_p(api_address()))
address = lambda f: ctypes.cast(f, ctypes.c_void_p).value
near, far = open_device("pair")
gateway = Engine(near, "10.0.0.1/24", trace=trace)
venue = Engine(far, "10.0.0.2/24")
trader = CallbackStrategy(address(c.on_message), ctx=ctypes.addressof(state), on_logon=address(c.on_logon), keep=c)
guards = dict(price_band=1000, max_open_orders=8, max_order_qty=1 << 40, max_notional_e8=1 << 62) if logs else {}
here = gateway.add_session("GATEWAY", "VENUE", role="initiator", host="10.0.0.2", port=1,
                           strategy=gateway.add_strategy(trader), **guards)
here.reference_price("FIXW", 10**10)
log = FileLog(gateway) if logs else None
if logs:
    log.add(here, logs)
venue.add_session("VENUE", "GATEWAY", role="acceptor", port=1, strategy=venue.add_strategy(SimulatedExchange()))
gateway.run(beside=venue, seconds=20)
if logs:
    log.close()
print(json.dumps(dict(counting=counting(), fills=state.fills, looks=seen[0], mallocs=seen[2] - seen[1],
                      blocks=seen[4] - seen[3])))
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    out = tmp_path_factory.mktemp("c") / "libplanted.so"
    subprocess.run(["gcc", "-O2", "-Wall", "-shared", "-fPIC", "-I", os.path.dirname(callback.__file__), "-o", str(out),
                    str(ROOT / "tests" / "planted_malloc.c")], check=True, timeout=300)
    return str(out)


def count(library, orders, planted=0, trace="", logs=""):
    done = subprocess.run([sys.executable, "-c", CHILD, library, str(orders), str(planted), trace, logs], check=True,
                          text=True, capture_output=True,
                          env=dict(os.environ, LD_PRELOAD=allocations.__file__, PYTHONPATH=str(ROOT)), timeout=300)
    found = json.loads(done.stdout)
    assert found["counting"] and found["fills"] == orders and found["looks"] == 2, done.stderr
    return found["mallocs"], found["blocks"]


def test_no_malloc_and_no_python_block_in_100_000_messages_each_way(library):
    assert count(library, 100_000) == (0, 0)


@pytest.mark.parametrize("trace", ["stages", "wire"])
def test_measuring_allocates_nothing_either(library, trace):
    assert count(library, 5_000, trace=trace) == (0, 0)


def test_neither_do_message_logs_price_bands_and_open_orders(library, tmp_path):
    assert count(library, 5_000, logs=str(tmp_path)) == (0, 0)
    assert (tmp_path / "FIX.4.4-GATEWAY-VENUE.messages.current.log").stat().st_size > 0


def test_a_planted_malloc_is_counted(library):
    mallocs, _ = count(library, 5_000, planted=1)
    assert mallocs == 4_000


def test_without_the_interposer_nothing_is_claimed():
    assert not allocations.counting() and allocations.mallocs() == 0
