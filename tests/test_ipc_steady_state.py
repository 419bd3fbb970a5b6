"""In steady state the rings make no system call and allocate nothing: strace's log between two marks, malloc counted.

Each test has a version beside it that makes a call, or allocates, a message: it must be caught.
"""
import collections
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

from gateway import allocations

pytestmark = pytest.mark.uninstrumented("malloc is ASan's here: it maps memory and cannot be counted")
ROOT = pathlib.Path(__file__).parent.parent
N = 2000
MARKS = ("sched_get_priority_max", "sched_get_priority_min")    # calls that nothing else makes
TRAFFIC = """
import os, sys
sys.path.insert(0, {root!r})
from ipc import MpscReader, MpscWriter, Publisher, Reader, Subscriber, Writer
kind, directory, wait, planted = sys.argv[1:5]
N, message, for_ever = {n}, bytes(64), 10**12
begin, end = lambda: os.sched_get_priority_max(1), lambda: os.sched_get_priority_min(1)
write = {{"channel": Writer, "mpsc": MpscWriter}}.get(kind, Publisher)
read = {{"channel": Reader, "mpsc": MpscReader}}.get(kind, Subscriber)
to_many = write is Publisher
write("r", 64, 16384 if to_many else 64, create=True, directory=directory,
      **(dict(buffers=16384) if kind == "pool" else {{}})).close()

def writer():
    more = {{}} if to_many else dict(policy="block", block_ns=for_ever, wait=wait)
    with write("r", directory=directory, **more) as w:
        put = w.publish if to_many else w.send
        for k in range(2 * N):
            if k == N:
                begin()
            put(message)
            if planted == "writer":
                os.getppid()
        end()

def reader(r):
    def borrow(timeout):
        while (m := r.borrow()) is None:
            pass
        with m:
            pass
    take = borrow if kind == "pool" else r.read if to_many else r.pop
    for k in range(2 * N):
        if k == N:
            begin()
        take(for_ever)
        if planted == "reader":
            os.getppid()
    end()
    r.close()

if to_many:                             # it keeps no place for a reader that is not there yet
    pid = os.fork()
    if not pid:
        with read("r", directory=directory, wait=wait, start=0) as s:
            reader(s)
        os._exit(0)
    writer()
else:
    pid = os.fork()
    if not pid:
        writer()
        os._exit(0)
    reader(read("r", directory=directory, wait=wait))
assert os.waitpid(pid, 0)[1] == 0
"""


def calls(tmp_path, kind, wait="spin", planted=""):
    """Per process, the writer's first: the system calls between its marks."""
    log = tmp_path / "strace"
    done = subprocess.run(["strace", "-f", "-qq", "-o", log, sys.executable, "-c", TRAFFIC.format(root=str(ROOT), n=N), kind,
                           tmp_path, wait, planted], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    between = collections.defaultdict(lambda: None)
    found = {}
    for pid, call in re.findall(r"^(\d+) +(\w+)\(", log.read_text(), re.M):
        if call == MARKS[0]:
            between[pid] = collections.Counter()
        elif call == MARKS[1]:
            found[pid] = dict(between.pop(pid))
        elif between[pid] is not None:
            between[pid][call] += 1
    first, second = sorted(found, key=int)              # the parent, the child
    return [found[first], found[second]] if kind in ("broadcast", "pool") else [found[second], found[first]]


@pytest.fixture
def traced(tmp_path):
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    tried = subprocess.run(["strace", "-o", os.devnull, "true"], capture_output=True, text=True, timeout=300)
    if tried.returncode:
        pytest.skip(f"strace may not trace here: {tried.stderr.strip()}")
    return tmp_path


@pytest.mark.parametrize("kind", ["channel", "broadcast", "pool"])
def test_no_system_call_in_steady_state(traced, kind):
    assert calls(traced, kind) == [{}, {}]


def test_no_system_call_with_many_producers_but_whether_one_that_stands_still_lives(traced):
    """The kernel may take the core from a producer in mid-message: then, and only then, the reader asks for it."""
    writer, reader = calls(traced, "mpsc")
    assert writer == {} and set(reader) <= {"fcntl"} and reader.get("fcntl", 0) < N // 50


@pytest.mark.parametrize("planted", ["writer", "reader"])
def test_a_planted_system_call_a_message_is_seen(traced, planted):
    seen = {"getppid": N}
    assert calls(traced, "channel", planted=planted) == ([seen, {}] if planted == "writer" else [{}, seen])


ALLOCATING = """
import json, sys
sys.path.insert(0, {root!r})
from gateway.allocations import counting, mallocs
from ipc import MpscReader, MpscWriter, Publisher, Reader, Subscriber, Writer
directory, octets, found = sys.argv[1], int(sys.argv[2]), {{}}
message = bytes(octets)
for kind, write, read in (("channel", Writer, Reader), ("mpsc", MpscWriter, MpscReader),
                          ("broadcast", Publisher, Subscriber), ("pool", Publisher, Subscriber)):
    more = {{"buffers": 64}} if kind == "pool" else {{}}
    with write(kind, octets, 64, create=True, directory=directory, **more) as w, read(kind, directory=directory) as r:
        def borrow():
            with r.borrow() as m:
                bytes(m.data)
        put, take = (w.publish, borrow if more else r.read) if write is Publisher else (w.send, r.pop)
        for k in range({n}):
            if k == {n} // 2:
                before, blocks = mallocs(), sys.getallocatedblocks()
            put(message)
            take()
        found[kind] = [mallocs() - before, sys.getallocatedblocks() - blocks > 100]
print(json.dumps([counting(), found]))
"""


def allocated(directory, octets):
    done = subprocess.run([sys.executable, "-c", ALLOCATING.format(root=str(ROOT), n=2 * N), directory, str(octets)],
                          capture_output=True, text=True, env=dict(os.environ, LD_PRELOAD=allocations.__file__), timeout=300)
    assert done.returncode == 0, done.stderr
    counting, found = json.loads(done.stdout)
    assert counting
    return found


def test_nothing_is_allocated_in_steady_state(tmp_path):
    assert allocated(tmp_path, 64) == {kind: [0, False] for kind in ("channel", "mpsc", "broadcast", "pool")}


def test_planted_allocations_are_counted(tmp_path):
    """Python takes a bytes object above 512 octets from malloc."""
    assert all(mallocs >= N for mallocs, _ in allocated(tmp_path, 4096).values())
