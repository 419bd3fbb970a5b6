"""Segments: every wrong field has an error of its own, roles die with their holder, nothing of a peer's can kill us."""
import errno
import functools
import mmap
import os
import pathlib
import re
import resource
import struct
import subprocess
import tempfile
import threading
import time

import numpy
import pytest
from children import Child, Patience

from ipc.broadcast import Publisher, Subscriber
from ipc.channel import Reader, Writer
from ipc.mpsc import MpscReader, MpscWriter
from ipc.segment import (
    ByteOrderMismatch,
    Forked,
    GeometryMismatch,
    HeaderDamaged,
    KindMismatch,
    LayoutMismatch,
    NotASegment,
    NotPrivate,
    NotReady,
    RoleTaken,
    SegmentError,
    SegmentTruncated,
    Stale,
    segment_path,
    segments,
)
from ipc.wait import RingCorrupt

FIELDS = {"magic": (0, "<Q"), "layout": (8, "<I"), "byte_order": (12, "<I"), "kind": (16, "<I"), "max_len": (20, "<I"),
          "capacity": (24, "<Q"), "size": (32, "<Q"), "boot_id": (64, "<Q"), "state": (80, "<I"), "start_time": (48, "<Q"),
          "epoch": (40, "<Q"), "flags": (60, "<I")}


@pytest.fixture
def there(tmp_path):
    with Writer("x", 64, 16, create=True, directory=tmp_path) as w:
        w.send(b"hello")
    return tmp_path


def poke(directory, field, value):
    at, form = FIELDS[field]
    fd = os.open(segment_path("x", directory), os.O_RDWR)
    os.pwrite(fd, struct.pack(form, value), at)
    os.close(fd)


def attach(directory, **kw):
    return Reader("x", directory=directory, timeout=0.05, **kw)


@pytest.mark.parametrize("field, value, error", [
    ("magic", 7, NotASegment), ("layout", 99, LayoutMismatch), ("byte_order", 0x04030201, ByteOrderMismatch),
    ("kind", 3, GeometryMismatch), ("capacity", 17, GeometryMismatch), ("capacity", 0, GeometryMismatch),
    ("capacity", 1 << 40, GeometryMismatch), ("capacity", 1 << 63, GeometryMismatch), ("max_len", 0, GeometryMismatch),
    ("max_len", 0xffffffff, GeometryMismatch), ("size", 1 << 40, SegmentTruncated), ("boot_id", 1, NotReady),
    ("state", 1, NotReady), ("state", 3, NotReady), ("state", 77, NotReady)])
def test_each_wrong_field_has_its_error(there, field, value, error):
    poke(there, field, value)
    with pytest.raises(error):
        attach(there)


def test_the_untouched_segment_attaches(there):
    with attach(there) as r:
        assert r.pop() == b"hello"
    with attach(there, max_len=64, capacity=16):
        pass


@pytest.mark.parametrize("asked", [{"max_len": 65}, {"capacity": 32}])
def test_another_geometry_is_refused(there, asked):
    with pytest.raises(GeometryMismatch):
        attach(there, **asked)


def test_a_file_still_empty_is_waited_for(there):
    """Its creator has made it and not yet locked it."""
    path = segment_path("x", there)
    os.rename(path, there / "whole")
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    with pytest.raises(NotReady):
        attach(there)
    found = []
    waiting = threading.Thread(target=lambda: found.append(Reader("x", directory=there, timeout=60)))
    waiting.start()
    os.rename(there / "whole", path)
    waiting.join()
    found[0].close()


@pytest.mark.parametrize("size", [1, 100, 4095])
def test_a_file_too_short_is_refused(there, size):
    os.truncate(segment_path("x", there), size)
    with pytest.raises(SegmentTruncated):
        attach(there)


def test_data_cut_off_is_refused(there):
    os.truncate(segment_path("x", there), 4096)
    with pytest.raises(SegmentTruncated):
        attach(there)


def test_a_symbolic_link_is_refused(there):
    os.rename(segment_path("x", there), there / "real")
    os.symlink(there / "real", segment_path("x", there))
    with pytest.raises(NotPrivate):
        attach(there)


def test_a_readable_segment_is_refused(there):
    os.chmod(segment_path("x", there), 0o644)
    with pytest.raises(NotPrivate, match="0600"):
        attach(there)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_segment_of_another_user_is_refused(there):
    os.chown(segment_path("x", there), 12345, 12345)
    with pytest.raises(NotPrivate, match="12345"):
        attach(there)


def test_the_mode_is_0600_whatever_the_umask(tmp_path):
    old = os.umask(0o000)
    try:
        with Writer("x", 64, 16, directory=tmp_path) as w:
            assert os.stat(w.segment.path).st_mode & 0o777 == 0o600
    finally:
        os.umask(old)


@pytest.mark.parametrize("name", ["", ".x", "a/b", "x" * 201, "ü n"])
def test_names_that_are_no_names(name, tmp_path):
    with pytest.raises(ValueError):
        Writer(name, 64, directory=tmp_path)


def test_create_refuses_what_exists_and_counts_epochs_when_told_to_replace(tmp_path):
    w = Writer("x", 64, 16, create=True, directory=tmp_path)
    with pytest.raises(FileExistsError):
        Writer("x", 64, 16, create=True, directory=tmp_path)
    with pytest.raises(RoleTaken):
        Writer("x", 64, 16, create=True, directory=tmp_path, replace=True)
    w.close()
    with Writer("x", 64, 16, create=True, directory=tmp_path, replace=True) as w2:
        assert w2.segment.epoch == 2


def test_those_attached_see_that_their_segment_was_replaced(tmp_path):
    with Writer("x", 64, 16, directory=tmp_path) as w:
        r = Reader("x", directory=tmp_path)
        w.remove()
        assert r.segment.state == "removed"
        with Writer("x", 64, 16, create=True, directory=tmp_path):
            assert r.segment.state == "replaced"
        r.close()


def test_no_space_is_an_error_now_and_not_a_bus_error_later(tmp_path):
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", tmp_path], capture_output=True,
                      timeout=60).returncode:
        pytest.skip("cannot mount a small tmpfs here")
    try:
        with pytest.raises(SegmentError) as e:
            Writer("x", 1024, 4096, directory=tmp_path)
        assert e.value.errno == errno.ENOSPC
        assert os.listdir(tmp_path) == []
        with Writer("x", 64, 1024, directory=tmp_path) as w:
            assert w.send(b"fits")
    finally:
        subprocess.run(["umount", "-l", tmp_path], check=True, timeout=300)


SIDES = {"channel": (Writer, Reader), "mpsc": (MpscWriter, MpscReader), "broadcast": (Publisher, Subscriber),
         "pool": (functools.partial(Publisher, buffers=4), Subscriber)}


@pytest.mark.parametrize("kind", ["channel", "mpsc", "broadcast"])
def test_an_array_of_no_messages_is_a_batch_of_none(tmp_path, kind):
    with SIDES[kind][0]("x", 64, 16, directory=tmp_path) as w:
        assert (w.publish_batch if kind == "broadcast" else w.send_batch)(numpy.empty(0, "3u8")) == 0


def locked():
    """Octets of ours that cannot be paged out."""
    with open("/proc/self/status") as f:
        return int(re.search(r"VmLck:\s+(\d+)", f.read())[1]) << 10


@pytest.mark.uninstrumented("ASan takes mlock for itself and locks nothing")
@pytest.mark.parametrize("kind", SIDES)
def test_each_side_may_lock_its_mapping_in_memory(tmp_path, kind):
    first, second = SIDES[kind]
    before = locked()
    with first("x", 64, 16, directory=tmp_path) as a, second("x", directory=tmp_path):
        assert locked() == before
        size = sum(os.stat(tmp_path / name).st_size for name in os.listdir(tmp_path))
        a.close()
        with first("x", directory=tmp_path, lock=True):
            assert locked() == before + size
            with second("x", directory=tmp_path, start="oldest", lock=True) if kind in ("broadcast", "pool") else \
                    first("y", 64, 16, directory=tmp_path, lock=True):
                assert locked() == before + 2 * size
    assert locked() == before


@pytest.mark.uninstrumented("ASan takes mlock for itself and locks nothing")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody whose limit counts")
def test_a_lock_beyond_the_limit_is_an_error_and_leaves_nothing():
    with tempfile.TemporaryDirectory(dir="/dev/shm") as where:
        os.chmod(where, 0o777)

        def limited(say):
            resource.setrlimit(resource.RLIMIT_MEMLOCK, (0, 0))
            os.setgid(65534)
            os.setuid(65534)
            try:
                Writer("x", 64, 16, directory=where, lock=True)
            except SegmentError as e:
                say(e)
        with Child(limited) as child:
            assert "ulimit -l" in child.hear() and os.listdir(where) == []


def test_huge_pages_are_asked_for_on_hugetlbfs_alone(tmp_path):
    for side in (Writer, Reader, MpscWriter, MpscReader, Publisher):
        with pytest.raises(SegmentError, match="not on hugetlbfs"):
            side("x", 64, 16, create=True, directory=tmp_path, hugepages=True)
    with pytest.raises(SegmentError, match="not on hugetlbfs"):
        Subscriber("x", directory=tmp_path, hugepages=True)
    assert os.listdir(tmp_path) == []


def free_huge_pages():
    with open("/proc/meminfo") as f:
        found = re.search(r"HugePages_Free:\s+(\d+)", f.read())
    return int(found[1]) if found else 0


@pytest.fixture
def huge_pages():
    """At least 3 of them are free: root has the kernel reserve them, and gives them back."""
    setting = pathlib.Path("/proc/sys/vm/nr_hugepages")
    before, missing = None, 3 - free_huge_pages()
    if missing > 0 and os.geteuid() == 0 and setting.exists():
        before = setting.read_text()
        setting.write_text(str(int(before) + missing))
    try:
        if free_huge_pages() < 3:
            pytest.skip("fewer than 3 huge pages are free (sysctl vm.nr_hugepages)")
        yield
    finally:
        if before is not None:
            setting.write_text(before)


@pytest.mark.parametrize("kind", SIDES)
def test_a_segment_of_huge_pages(tmp_path, huge_pages, kind):
    if subprocess.run(["mount", "-t", "hugetlbfs", "none", tmp_path], capture_output=True, timeout=60).returncode:
        pytest.skip("cannot mount hugetlbfs here")
    try:
        first, second = SIDES[kind]
        for epoch in (1, 2):
            with first("x", 64, 16, create=True, replace=epoch == 2, directory=tmp_path, hugepages=True) as a:
                with second("x", directory=tmp_path, hugepages=True) as b:
                    assert a.segment.epoch == epoch and os.stat(a.segment.path).st_size >= 2 << 20
                    (a.publish if hasattr(a, "publish") else a.send)(b"huge")
                    if kind == "pool":
                        with b.borrow() as m:
                            assert bytes(m.data) == b"huge" and m.valid()
                    else:
                        assert (b.read if kind == "broadcast" else b.pop)() == b"huge"
                    assert {row["name"] for row in segments(tmp_path)} >= {"x"}
    finally:
        subprocess.run(["umount", "-l", tmp_path], check=True, timeout=60)


def test_attach_waits_for_a_creator_and_gives_up_in_time(tmp_path):
    def make(say):
        import ipc.segment as s
        made = s.Segment.create("x", 1, 64, 16, 4096, directory=tmp_path)
        say("made")
        time.sleep(0.2)
        made.publish()
        say("published")
        time.sleep(60)

    with Child(make) as child:
        child.hear()
        with pytest.raises(NotReady):
            Reader("x", directory=tmp_path, timeout=0.01)
        Reader("x", directory=tmp_path, timeout=30).close()
        assert child.hear() == "published"


def test_a_creator_killed_while_it_initialises_leaves_an_error_and_no_garbage(tmp_path):
    def make(say):
        import ipc.segment as s
        made = s.Segment.create("x", 1, 64, 16, 4096, directory=tmp_path)
        say("made")
        time.sleep(60)
        made.publish()

    with Child(make) as child:
        child.hear()
    with pytest.raises(NotReady, match="died"):
        Reader("x", directory=tmp_path, timeout=0.05)
    Writer("x", 64, 16, create=True, directory=tmp_path, replace=True).close()


def test_a_handle_carried_over_fork_is_refused_and_keeps_no_role(tmp_path):
    w = Writer("x", 64, 16, directory=tmp_path)

    def child_of(say):
        try:
            w.send(b"x")
        except Forked:
            say("refused")
        time.sleep(60)

    with Child(child_of) as child:
        assert child.hear() == "refused"
        assert w.send(b"mine")
        w.close()
        Writer("x", directory=tmp_path).close()         # the child, alive, holds nothing


def test_a_file_truncated_under_the_mapping_is_an_error_and_no_signal(tmp_path):
    w = Writer("x", 1024, 64, directory=tmp_path)
    r = Reader("x", directory=tmp_path)
    w.send(b"y" * 1024)
    os.truncate(w.segment.path, 4096)
    with pytest.raises(SegmentError):
        for _ in range(100):
            r.pop()
    with pytest.raises(SegmentError):
        for _ in range(100):
            w.send(b"z" * 1024)
    r.close()
    w.close()


def with_a_message(kind, directory, n):
    """A segment whose next message is `n` zeros; the octets behind its header."""
    first, second = SIDES[kind]
    with first("x", 64, 16, create=True, directory=directory) as a:
        (a.publish if kind == "broadcast" else a.send)(bytes(n))
    return pathlib.Path(segment_path("x", directory)).read_bytes()[4096:]


@pytest.mark.parametrize("kind", ["channel", "mpsc", "broadcast"])
def test_a_length_that_changes_while_it_is_read_is_judged_as_it_is_used(tmp_path, kind):
    """A peer writes one length and another, as fast as it can: what comes is whole, or the ring is damaged, never more."""
    five, seven = (with_a_message(kind, d, n) for d, n in ((tmp_path / "5", 5), (tmp_path / "7", 7)) if not d.mkdir())
    (at,) = (i for i in range(len(five)) if five[i] != seven[i])        # the length, wherever it is

    def change(say):
        with open(segment_path("x", tmp_path / "5"), "r+b") as f, mmap.mmap(f.fileno(), 0) as octets:
            say("on")
            while True:
                octets[4096 + at + 2] = 1       # 65,541
                octets[4096 + at + 2] = 0
    seen, turns, patience, reader = 5, 0, Patience(), SIDES[kind][1]
    with Child(change) as child:
        child.hear()
        while turns < 500:              # as often one came and then the other: both processes ran at the same time
            patience.check(turns)
            before = seen
            with reader("x", directory=tmp_path / "5", **({"start": 0} if kind == "broadcast" else {})) as r:
                try:
                    with memoryview(r.read()) if kind == "broadcast" else r.peek() as m:
                        seen = len(m)
                except RingCorrupt:
                    seen = RingCorrupt
            assert seen in (5, RingCorrupt)
            turns += seen != before


def test_a_closed_segment_says_so(tmp_path):
    w = Writer("x", 64, 16, directory=tmp_path)
    w.close()
    w.close()
    with pytest.raises(ValueError, match="closed"):
        w.send(b"x")


def test_a_creator_whose_pid_is_used_again_is_not_taken_for_alive(there):
    def row():
        (found,) = segments(there)
        return found
    assert row()["alive"] and row()["roles"] == []
    poke(there, "start_time", 1)                # the same PID, another process
    assert not row()["alive"]
    with Writer("x", directory=there):          # who holds a role is the kernel's word, whatever the header says
        assert row()["roles"] == ["producer"]


def test_listing_tells_kind_roles_and_strangers(there):
    (there / "fixwire.junk").write_bytes(b"not a segment")
    with attach(there):
        rows = {row["name"]: row for row in segments(there)}
    assert rows["junk"]["error"] == "not a segment"
    assert rows["x"]["kind"] == "channel" and rows["x"]["roles"] == ["consumer"] and rows["x"]["state"] == "ready"


@pytest.mark.parametrize("field, value", [("epoch", 7), ("flags", 1), ("flags", 1 << 31)])
def test_fields_that_nothing_else_betrays_are_summed(there, field, value):
    poke(there, field, value)
    with pytest.raises(HeaderDamaged):
        attach(there)
    assert [row["state"] for row in segments(there)] == ["damaged"]


@pytest.mark.parametrize("size", [1, 4096, 8191])
def test_a_header_that_says_less_than_there_is_is_refused(there, size):
    poke(there, "size", size)
    with pytest.raises(GeometryMismatch, match="its header says"):
        attach(there)


@pytest.mark.parametrize("field, value", [
    ("magic", 7), ("layout", 99), ("byte_order", 0x04030201), ("kind", 3), ("capacity", 17), ("max_len", 0),
    ("size", 1 << 40), ("boot_id", 1), ("state", 1), ("state", 3), ("state", 77), ("epoch", 7)])
def test_each_error_has_a_remedy(there, field, value):
    poke(there, field, value)
    with pytest.raises(SegmentError) as e:
        attach(there)
    assert e.value.remedy and e.value.remedy in str(e.value)


def test_kind_and_last_boot_have_errors_of_their_own(there):
    poke(there, "kind", 3)
    with pytest.raises(KindMismatch, match="broadcast, not a channel"):
        attach(there)
    poke(there, "kind", 1)
    poke(there, "boot_id", 1)
    with pytest.raises(Stale):
        attach(there)


@pytest.mark.parametrize("size", [0, 100, 4096])
def test_one_cut_off_is_listed_as_such_says_so_and_is_replaced(tmp_path, size):
    with Writer("x", 64, 16, directory=tmp_path) as w:
        os.truncate(w.segment.path, size)
        (row,) = segments(tmp_path)
        assert row.get("state", row.get("error")) == ("truncated" if size else "not a segment")
        assert w.segment.state == "truncated"
    with Writer("x", 64, 16, create=True, replace=True, directory=tmp_path) as w:
        assert w.segment.state == "ready" and w.send(b"whole")


def test_whatever_lies_in_the_directory_is_listed_and_not_opened(tmp_path):
    os.mkfifo(tmp_path / "fixwire.fifo")
    os.mkdir(tmp_path / "fixwire.directory")
    os.symlink("/etc/passwd", tmp_path / "fixwire.link")
    (tmp_path / "fixwire.a name").touch()
    rows = {row["name"]: row["error"] for row in segments(tmp_path)}
    assert rows["fifo"] == rows["directory"] == "is not a regular file" and "link" in rows["link"]
    for name, error in (("fifo", NotASegment), ("directory", NotASegment), ("link", NotPrivate)):
        for how in ({"replace": True}, {}):
            with pytest.raises(error if how else (error, FileExistsError)):
                Writer(name, 64, 16, create=True, directory=tmp_path, **how)
        with pytest.raises(error):
            Reader(name, directory=tmp_path, timeout=0)


WRONG = [lambda d: Writer("x", 64, 16, create=True, directory=d, wait="sleep"),
         lambda d: Writer("x", 64, 16, create=True, directory=d, wait="nap"),
         lambda d: Writer("x", 64, 16, create=True, directory=d, policy="nap"),
         lambda d: Reader("x", 64, 16, create=True, directory=d, wait="sleep"),
         lambda d: MpscWriter("x", 64, 16, create=True, directory=d, wait="sleep"),
         lambda d: MpscReader("x", 64, 16, create=True, directory=d, wait="sleep"),
         lambda d: Publisher("x", 64, 16, create=True, directory=d, buffers=17),
         lambda d: Publisher("x", 1 << 31, 16, create=True, directory=d, buffers=16)]


@pytest.mark.parametrize("wrong", range(len(WRONG)))
def test_what_could_not_be_made_whole_leaves_nothing(tmp_path, wrong):
    with pytest.raises(ValueError):
        WRONG[wrong](tmp_path)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("kind", [Writer, MpscWriter, Publisher])
def test_a_second_opener_cannot_ask_for_what_the_first_did_not_make(tmp_path, kind):
    with kind("x", 64, 16, directory=tmp_path):
        pass
    for wrong in ({"max_len": 65}, {"capacity": 32}, {"max_len": 64, "wakeups": True}, *(
            [{"max_len": 64, "buffers": 4}] if kind is Publisher else [])):
        with pytest.raises(GeometryMismatch):
            kind("x", directory=tmp_path, **wrong)
    with kind("x", 64, 16, directory=tmp_path):
        pass


def test_of_many_that_replace_at_once_one_has_the_name(tmp_path):
    """Each took the old one away and made its own: the last one's name, the others' segments nobody could find."""
    Writer("x", 64, 16, directory=tmp_path).close()

    def contend(say):
        try:
            w = Writer("x", 64, 16, create=True, replace=True, directory=tmp_path)
            say(w.segment.state)
            time.sleep(60)
        except (FileExistsError, RoleTaken):
            say("refused")
    for _ in range(20):
        contenders = [Child(contend) for _ in range(4)]
        said = sorted(c.hear() for c in contenders)
        for c in contenders:
            c.kill()
        assert said == ["ready", "refused", "refused", "refused"]


def test_who_looks_away_while_another_replaces_does_not_take_the_new_one_away(tmp_path):
    """The unlink is of the file that was judged, not of whatever has its name by then."""
    old = Writer("x", 64, 16, directory=tmp_path)
    aside = tmp_path / "aside"
    os.rename(old.segment.path, aside)
    with Writer("x", 64, 16, create=True, directory=tmp_path) as new:
        old.remove()
        assert new.segment.state == "ready" and old.segment.state == "replaced"
    old.close()


def test_what_is_judged_is_what_is_used(there):
    """A peer that writes over the header between our look and our use changes nothing: a segment's copies are its own."""
    with attach(there) as r:
        poke(there, "capacity", 1 << 40)
        poke(there, "max_len", 1 << 29)
        assert (r.capacity, r.max_len, r.segment.capacity) == (16, 64, 16) and r.pop() == b"hello"


def test_huge_pages_cut_off_are_an_error_and_no_signal(tmp_path, huge_pages):
    if subprocess.run(["mount", "-t", "hugetlbfs", "none", tmp_path], capture_output=True, timeout=60).returncode:
        pytest.skip("cannot mount hugetlbfs here")
    try:
        with Writer("x", 64, 16, directory=tmp_path, hugepages=True) as w:
            os.truncate(w.segment.path, 0)
            with pytest.raises(SegmentTruncated):
                w.send(b"x")
                w.send(b"x")
    finally:
        subprocess.run(["umount", "-l", tmp_path], check=True, timeout=60)
