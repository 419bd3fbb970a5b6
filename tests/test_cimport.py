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


RINGS = """
# cython: language_level=3, boundscheck=False, wraparound=False
from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memcpy
from ipc.broadcast cimport Publisher, Subscriber
from ipc.broadcast_ring cimport BROADCAST_OK, broadcast_publish, broadcast_read
from ipc.channel cimport Reader, Writer
from ipc.mpsc cimport MpscReader, MpscWriter, mpsc_slot
from ipc.ring cimport ring_commit, ring_peek, ring_release, ring_reserve

def through(Writer w, Reader r, MpscWriter m, MpscReader n, Publisher p, Subscriber s, const uint8_t[::1] text):
    # the text by every ring, without the GIL: what came out of the last
    cdef uint32_t length = <uint32_t>text.shape[0], got = 0
    cdef mpsc_slot *slot
    cdef uint8_t *room
    cdef const uint8_t *there
    cdef uint8_t out[64]
    with nogil:
        room = ring_reserve(&w.r, length, 0)
        memcpy(room, &text[0], length)
        ring_commit(&w.r, 1)
        there = ring_peek(&r.r, &got, 0)
        memcpy(m.claim(), there, got)
        ring_release(&r.r, 1)
        m.commit_held(got)
        slot = n.first()
        memcpy(out, slot + 1, n.length)
        broadcast_publish(&p.b, out, n.length)
        n.release()
        out[0] = 0
        if broadcast_read(&s.b, out, &got) != BROADCAST_OK:
            got = 0
    return bytes(out[:got])
"""


def test_the_rings_are_used_without_the_gil_from_outside_the_tree(tmp_path):
    (tmp_path / "mine.pyx").write_text(RINGS)
    (tmp_path / "setup.py").write_text("from Cython.Build import cythonize\nfrom setuptools import setup\n"
                                       "setup(ext_modules=cythonize('mine.pyx'))\n")
    env = dict(os.environ, PYTHONPATH=str(ROOT), CFLAGS="-O0")
    done = subprocess.run([sys.executable, "setup.py", "build_ext", "--inplace"], cwd=tmp_path, capture_output=True,
                          text=True, env=env, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "performance hint" not in done.stdout + done.stderr
    done = subprocess.run([sys.executable, "-c", """
import mine
from ipc import *
w, m, p = Writer("w", 64, 8, directory="."), MpscWriter("m", 64, 8, directory="."), Publisher("p", 64, 8, directory=".")
r, n, s = Reader("w", directory="."), MpscReader("m", directory="."), Subscriber("p", directory=".")
print(mine.through(w, r, m, n, p, s, b"through all three"))
"""], cwd=tmp_path, capture_output=True, text=True, env=env, timeout=60)
    assert done.stdout == "b'through all three'\n", done.stderr
