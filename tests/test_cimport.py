"""A user's Cython module against the installed package: examples/strategy_cython, built in a folder of its own."""
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent
EXAMPLE = ROOT / "examples" / "strategy_cython"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("user")
    for name in ("follower.pyx", "setup.py"):
        shutil.copy(EXAMPLE / name, folder)
    # Only what an installed package offers: found on sys.path, as Cython finds any package's .pxd files.
    done = subprocess.run([sys.executable, "setup.py", "build_ext", "--inplace"], cwd=folder, capture_output=True, text=True,
                          env=dict(os.environ, PYTHONPATH=str(ROOT), CFLAGS="-O1"), timeout=300)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "performance hint" not in done.stdout + done.stderr
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))


def test_it_trades_as_the_python_class_does(built):
    from follower import Follower
    from test_gateway_strategies import python_follower, sent_by
    assert sent_by(Follower()) == sent_by(python_follower())


def test_it_trades_in_a_process_of_its_own(built, tmp_path):
    from test_gateway_outside_native import check, traded
    check(traded(tmp_path, "follower:Follower", built))


def test_what_users_may_cimport_compiles(tmp_path):
    (tmp_path / "all.pyx").write_text("""
# cython: language_level=3
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from ipc.ring cimport *
from dpdk_py.device cimport device, frame
from stack.wire.octets cimport load_be16
from stack.wire.ethernet cimport *
from stack.wire.ipv4 cimport *
from stack.wire.tcp cimport *
from fix.message cimport fix_find, fix_msg
from fix.digits cimport fix_digits_int
from fix.encode cimport fix_cursor, fix_put_str, fix_writer
from fix.template cimport fix_fill_piece, fix_template
from fix.tags cimport *
from gateway.strategy cimport STALE, Strategy, order, order_new, order_new_from, order_prepare, order_template, order_token
cdef class Nothing(Strategy):
    pass
""")
    done = subprocess.run([sys.executable, "-m", "cython", "-3", "all.pyx"], cwd=tmp_path, capture_output=True, text=True,
                          env=dict(os.environ, PYTHONPATH=str(ROOT)), timeout=300)
    assert done.returncode == 0, done.stderr
