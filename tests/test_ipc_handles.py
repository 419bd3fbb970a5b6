"""Handles used as they should not be, by threads, by signal handlers and after their end: an error, never a crash."""
import os
import signal
import subprocess
import sys
import threading

import numpy
import pytest
from children import Child

from ipc import Borrowed, MpscReader, MpscWriter, Poller, Publisher, Reader, Segment, Subscriber, Writer
from ipc.segment import Forked, View


@pytest.mark.parametrize("kind", [Writer, Reader, MpscWriter, MpscReader, Publisher, Subscriber])
def test_a_handle_that_was_never_opened_is_closed(kind):
    """A subclass may forget super().__init__()."""
    h = kind.__new__(kind)
    for use in ("send", "publish"):
        if hasattr(h, use):
            with pytest.raises(ValueError, match="closed"):
                getattr(h, use)(b"x")
    for use in ("pop", "peek", "read", "wait", "remove", "commit", "ack", "mark"):
        if hasattr(kind, use):
            with pytest.raises(ValueError, match="closed"):
                getattr(h, use)()
    assert h.name == ""
    h.close()


def test_segments_and_views_after_their_end(tmp_path):
    for segment in (Segment(), Segment.create("s", 1, 64, 16, 4096, tmp_path)):
        segment.close()
        for use in (segment.publish, segment.remove):
            with pytest.raises(ValueError, match="closed"):
                use()
    with Writer("x", 64, 16, directory=tmp_path) as w, Reader("x", directory=tmp_path) as r:
        w.send(b"x")
        view = r.peek()
        window = view.obj
        view.release()
    with pytest.raises(BufferError, match="closed"):
        memoryview(window)
    with pytest.raises(TypeError):
        View()


def test_a_broadcast_without_a_pool_has_no_buffer_to_ask_about(tmp_path):
    with Publisher("b", 64, 16, directory=tmp_path), Subscriber("b", directory=tmp_path) as s:
        with pytest.raises(ValueError, match="no pool"):
            Borrowed(memoryview(b""), 0, s, 0, 0).valid()


def waits(tmp_path, which):
    """A handle that will wait, and the call in which it does; the other side's handle comes last, or the ring is full."""
    if which == "pop":
        w = Writer("x", 64, 2, directory=tmp_path, wakeups=True)
        r = Reader("x", directory=tmp_path, wait="sleep")
        return r, lambda: r.pop(timeout_ns=-1), w
    if which == "send":
        w = Writer("x", 64, 1, directory=tmp_path, policy="block", block_ns=-1)
        w.send(b"x")
        return w, lambda: w.send(b"y"), w
    if which == "mpsc pop":
        w = MpscWriter("x", 64, 2, directory=tmp_path)
        m = MpscReader("x", directory=tmp_path, wait="spin")
        return m, lambda: m.pop(timeout_ns=2**63 - 1), w
    p = Publisher("x", 64, 2, directory=tmp_path, wakeups=True)
    s = Subscriber("x", directory=tmp_path, wait="sleep")
    return s, lambda: s.read(timeout_ns=-1), p


@pytest.mark.parametrize("which", ["pop", "send", "mpsc pop", "read"])
def test_a_handle_closed_while_it_waits_in_another_thread_says_so(tmp_path, which):
    handle, wait, _other = waits(tmp_path, which)
    threading.Timer(0.05, handle.close).start()
    with pytest.raises(ValueError, match="closed"):
        wait()
    handle.close()
    with pytest.raises(ValueError, match="closed"):
        handle.remove()


@pytest.mark.parametrize("which", ["pop", "send", "mpsc pop", "read"])
def test_a_signal_handler_may_close_what_it_interrupted(tmp_path, which):
    handle, wait, _other = waits(tmp_path, which)
    old = signal.signal(signal.SIGALRM, lambda *_: handle.close())
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(ValueError, match="closed"):
            wait()
    finally:
        signal.signal(signal.SIGALRM, old)


def test_threads_share_a_reader_while_one_of_them_waits(tmp_path):
    """The one that waits changes nothing; what the others pop does not make it see a corrupt ring."""
    with Writer("x", 8, 4, directory=tmp_path, policy="block", block_ns=-1) as w, Reader("x", directory=tmp_path) as r:
        got, n = [], 2000

        def take():
            while (m := r.pop(timeout_ns=-1)) != b"end":
                got.append(m)
        threads = [threading.Thread(target=take) for _ in range(4)]
        for t in threads:
            t.start()
        for i in range(n):
            w.send(b"%d" % i)
        for _ in threads:
            w.send(b"end")
        for t in threads:
            t.join()
        assert sorted(map(int, got)) == list(range(n))


def test_threads_share_a_writer_and_batches_stay_whole(tmp_path):
    with Writer("x", 8, 64, directory=tmp_path, policy="block", block_ns=-1) as w, Reader("x", directory=tmp_path) as r:
        def give(k):
            for i in range(200):
                w.send_batch(numpy.arange(20 * i, 20 * i + 20, dtype="u8") + (k << 32))
        threads = [threading.Thread(target=give, args=(k,)) for k in range(3)]
        for t in threads:
            t.start()
        got = []
        while len(got) < 3 * 4000:
            r.wait()
            got += r.pop_array("u8").tolist()
        for t in threads:
            t.join()
    for k in range(3):
        assert [v & 0xffffffff for v in got if v >> 32 == k] == list(range(4000))


def test_a_grandchild_keeps_files_that_took_the_numbers_of_its_parents(tmp_path):
    """fork() closes the descriptor in the child, where its number may mean another file by the next fork: it was closed."""
    w = Writer("x", 64, 16, directory=tmp_path)

    def child(say):
        files = [os.open("/dev/null", os.O_RDONLY) for _ in range(64)]
        pid = os.fork()
        if pid == 0:
            try:
                for f in files:
                    os.fstat(f)
                os._exit(0)
            except OSError:
                os._exit(1)
        say(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    with Child(child) as c:
        assert c.hear() == "0"
    w.close()


def test_a_poller_carried_over_fork_is_refused(tmp_path):
    with Writer("x", 64, 16, directory=tmp_path) as w, Poller("*", tmp_path) as p:
        p.discover()
        w.send(b"mine")

        def child(say):
            for use in (p.poll, p.drop_finished):
                try:
                    use()
                except Forked:
                    say("refused")
        with Child(child) as c:
            assert c.hear() == c.hear() == "refused"
        assert p.poll() == [("x", b"mine")]


def test_one_segment_more_than_can_be_guarded_is_an_error(tmp_path):
    """Unguarded it would die of SIGBUS when cut off, and keep its roles in a forked child."""
    code = f"""
import os, resource
from ipc import Writer
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
kept = [Writer(f"a{{i}}", 8, 1, directory={str(tmp_path)!r}) for i in range(1024)]
try:
    Writer("b", 8, 1, directory={str(tmp_path)!r})
except OSError as e:
    assert "1,024" in str(e) and not os.path.exists(e.path)
    kept.pop().close()
    Writer("b", 8, 1, directory={str(tmp_path)!r})
    print("refused")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout == "refused\n", done.stderr


def test_a_handler_of_bus_errors_installed_later_does_not_undo_ours(tmp_path):
    code = f"""
import faulthandler, mmap, os
from ipc import Writer
faulthandler.enable()
w = Writer("x", 64, 16, directory={str(tmp_path)!r})
os.truncate(w.segment.path, 0)
try:
    w.send(b"x"); w.send(b"y")
except OSError as e:
    print(type(e).__name__, w.segment.state, flush=True)
f = os.open({str(tmp_path / "theirs")!r}, os.O_RDWR | os.O_CREAT)
os.truncate(f, 4096)
theirs = mmap.mmap(f, 4096)
os.truncate(f, 0)
theirs[0]
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout == "SegmentTruncated truncated\n", done.stderr
    assert done.returncode == -signal.SIGBUS and "Fatal Python error: Bus error" in done.stderr     # theirs is theirs
