"""The journal: what it brings back after a process died, after a machine did, and after its files were damaged."""
import errno
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import textwrap
import time

import pytest
from messages import Peer

import fix
from fix.segment import checksum

SMALL = dict(ring_octets=65536, segment_octets=131072)


@pytest.fixture
def place(tmp_path):
    """Keyword arguments of journals that live in directories of this test."""
    ring = tmp_path / "shm"
    ring.mkdir()
    return dict(ring_directory=str(ring), directory=str(tmp_path / "disk"), **SMALL)


def message(seq, size=200):
    return (b"8=FIX.4.4\x019=5\x0134=%d\x0158=" % seq).ljust(size, b"x")


def fill(journal, first, last, size=200):
    for seq in range(first, last + 1):
        assert journal.append(seq, message(seq, size))


def abandon(journal, place, to):
    """What is there when the process is killed now: copies of the files, as places for another journal."""
    other = dict(place, ring_directory=str(to / "shm"), directory=None)
    shutil.copytree(place["ring_directory"], to / "shm")
    if place["directory"] is not None:
        shutil.copytree(place["directory"], to / "disk")
        other["directory"] = str(to / "disk")
    return other


# --- the process died

def test_messages_and_numbers_come_back(place, tmp_path):
    journal = fix.Journal("a", **place)
    journal.renumber(next_in=42)
    fill(journal, 1, 5)
    journal.append(6, b"logout", admin=True)
    with fix.Journal("a", **abandon(journal, place, tmp_path / "later")) as back:
        assert [back.get(seq) for seq in range(1, 8)] == [message(seq) for seq in range(1, 6)] + [None, None]
        assert (back.next_out, back.next_in) == (7, 42)


def test_a_record_whose_number_was_not_counted_yet_counts(place, tmp_path):
    journal = fix.Journal("a", **place)
    fill(journal, 1, 3)                                 # appended; the session never wrote next_out
    assert journal.next_out == 1
    with fix.Journal("a", **abandon(journal, place, tmp_path / "later")) as back:
        assert back.next_out == 4 and back.get(3) == message(3)


def test_a_reset_of_the_peer_leaves_our_logon_counted(place, tmp_path):
    journal = fix.Journal("a", **place)
    journal.renumber(next_in=20, next_out=30)
    peer = Peer("initiator", store=journal)
    peer.sends("35=A|34=1|98=0|108=30|141=Y|")
    assert (peer.session.next_out, peer.session.next_in) == (2, 2)
    with fix.Journal("a", **abandon(journal, place, tmp_path / "later")) as back:
        assert (back.next_out, back.next_in) == (2, 2)


@pytest.mark.parametrize("disk", [False, True])
def test_every_moment_of_a_long_life_can_be_the_last(place, tmp_path, disk):
    if not disk:
        place["directory"] = None
    journal = fix.Journal("a", **place)
    rng = random.Random(3)
    for seq in range(1, 2001):
        while not journal.append(seq, message(seq, rng.randint(100, 900)), admin=rng.random() < 0.1):
            journal.sync()
        if rng.random() < 0.01:
            to = tmp_path / str(seq)
            with fix.Journal("a", **abandon(journal, place, to)) as back:
                assert back.next_out == seq + 1
                assert back.get(seq) == journal.get(seq) and back.get(seq - 20) == journal.get(seq - 20)
                assert back.stats()["damaged"] == 0
            shutil.rmtree(to)


def test_a_reset_outlives_the_process(place, tmp_path):
    journal = fix.Journal("a", **place)
    fill(journal, 1, 5)
    journal.reset(utc_ns=99)
    fill(journal, 1, 2, size=300)
    with fix.Journal("a", **abandon(journal, place, tmp_path / "later")) as back:
        assert (back.next_out, back.next_in, back.created_utc_ns) == (3, 1, 99)
        assert back.get(2) == message(2, 300) and back.get(4) is None


def test_numbers_by_hand_outlive_the_process(place, tmp_path):
    journal = fix.Journal("a", **place)
    fill(journal, 1, 5)
    journal.renumber(next_in=7, next_out=3)
    assert journal.get(2) == message(2) and journal.get(3) is None
    with fix.Journal("a", **abandon(journal, place, tmp_path / "later")) as back:
        assert (back.next_out, back.next_in) == (3, 7)
        assert back.get(2) == message(2) and back.get(4) is None


def test_a_message_the_wire_refused_is_replaced(place, tmp_path):
    journal = fix.Journal("a", **place)
    journal.append(1, message(1, 100))
    journal.append(1, message(1, 150))
    with fix.Journal("a", **abandon(journal, place, tmp_path / "later")) as back:
        assert back.get(1) == message(1, 150) and back.next_out == 2


WRITER = textwrap.dedent("""
    import sys, fix
    directory = sys.argv[2] or None
    journal = fix.Journal("k", directory, ring_directory=sys.argv[1], ring_octets=65536, segment_octets=131072)
    seq = journal.next_out
    while True:
        text = b"%d " % seq * 40
        while not journal.append(seq, text):
            journal.sync()
        sys.stdout.buffer.write(b"%d\\n" % seq)
        sys.stdout.buffer.flush()
        seq += 1
""")


@pytest.mark.parametrize("disk", ["", "disk"])
def test_killed_at_random_it_goes_on_where_it_was(tmp_path, disk):
    rng = random.Random(5)
    said = 0
    for _ in range(10):
        child = subprocess.Popen([sys.executable, "-c", WRITER, tmp_path, disk and str(tmp_path / disk)],
                                 stdout=subprocess.PIPE)
        lines = [child.stdout.readline() for _ in range(rng.randint(1, 400))]
        child.send_signal(signal.SIGKILL)
        lines += child.stdout.readlines()
        child.wait(60)
        numbers = [int(n) for n in lines if n.endswith(b"\n")]
        assert numbers == list(range(numbers[0], numbers[-1] + 1))
        assert numbers[0] in (said + 1, said + 2)       # a record may be whole and not yet said
        said = numbers[-1]
        with fix.Journal("k", str(tmp_path / disk) if disk else None, ring_directory=str(tmp_path), **SMALL) as back:
            assert back.next_out in (said + 1, said + 2)
            assert back.get(said) == b"%d " % said * 40
            assert back.stats()["damaged"] == 0


# --- the ring and the disk

def test_without_a_disk_old_messages_make_room(place):
    with fix.Journal("a", **dict(place, directory=None)) as journal:
        fill(journal, 1, 1000)
        kept = [seq for seq in range(1, 1001) if journal.get(seq)]
        assert kept == list(range(kept[0], 1001)) and 200 < len(kept) < 300
        assert journal.get(kept[0]) == message(kept[0])


def test_what_left_the_ring_comes_from_disk(place):
    with fix.Journal("a", **place) as journal:
        for seq in range(1, 2001):
            while not journal.append(seq, message(seq)):
                journal.sync()
        journal.sync()
        assert all(journal.get(seq) == message(seq) for seq in range(1, 2001))
        assert journal.stats()["segments"] >= 3


def test_old_segments_are_deleted(place):
    with fix.Journal("a", **dict(place, keep_segments=2)) as journal:
        for seq in range(1, 3001):
            while not journal.append(seq, message(seq)):
                journal.sync()
        journal.sync()
        assert len([f for f in os.listdir(place["directory"]) if f.endswith(".journal")]) == 2
        assert journal.get(1) is None and journal.get(3000) == message(3000)
        kept = [seq for seq in range(1, 3001) if journal.get(seq)]
        assert kept == list(range(kept[0], 3001))


def test_a_disk_that_does_not_keep_up_refuses_messages(place, monkeypatch):
    journal = fix.Journal("a", **place)
    os.chmod(place["directory"], 0o500)
    refused = 0
    shutil.rmtree(place["directory"])                   # no segment can be made any more
    for seq in range(1, 2000):
        refused += not journal.append(seq, message(seq))
    assert 1500 < refused < 2000
    with pytest.raises(OSError):
        journal.sync()
    assert journal.get(1) == message(1)


def test_a_full_disk_refuses_and_goes_on_when_there_is_room_again(place):
    """The kernel refuses octets beyond RLIMIT_FSIZE as it refuses them on a full disk, while a segment is made."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with fix.Journal("a", **place) as journal:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))      # octets; a segment has 131,072
        try:
            refused = sum(not journal.append(seq, message(seq)) for seq in range(1, 1001))
            assert 600 < refused < 1000
            with pytest.raises(OSError) as full:
                journal.sync()
            assert full.value.errno in (errno.EFBIG, errno.ENOSPC) and journal.stats()["drain_errors"] > 0
            assert journal.get(1) == message(1) and journal.next_out == 1
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            signal.signal(signal.SIGXFSZ, ignored)
        journal.sync()
        assert journal.append(1001, message(1001)) and journal.get(1001) == message(1001)


def test_the_index_is_bounded_and_the_newest_are_in_it(place):
    with fix.Journal("a", **dict(place, messages=64)) as journal:
        for seq in range(1, 501):
            while not journal.append(seq, message(seq)):
                journal.sync()
        kept = [seq for seq in range(1, 501) if journal.get(seq)]
    assert kept == list(range(437, 501))
    with fix.Journal("a", **dict(place, messages=64)) as journal:       # and it is when the files are read
        assert [seq for seq in range(1, 501) if journal.get(seq)] == kept


@pytest.mark.parametrize("durability", ["machine", "each"])
def test_after_the_machine_died_the_synced_part_is_there(place, tmp_path, durability):
    journal = fix.Journal("a", **dict(place, durability=durability, sync_ns=0))
    journal.renumber(next_in=17)
    fill(journal, 1, 50)
    if durability == "machine":
        journal.sync()
    os.mkdir(tmp_path / "shm2")
    crashed = dict(place, directory=shutil.copytree(place["directory"], tmp_path / "disk2"),
                   ring_directory=str(tmp_path / "shm2"))
    with fix.Journal("a", **crashed) as back:
        assert back.next_out == 51 and back.next_in == (17 if durability == "machine" else back.next_in)
        assert [back.get(seq) for seq in range(1, 51)] == [message(seq) for seq in range(1, 51)]
        fill(back, 51, 60)
    with fix.Journal("a", **crashed) as back:
        assert back.next_out == 61 and back.get(40) == message(40) and back.get(55) == message(55)


def test_a_torn_end_on_disk_is_left_out_and_never_met_again(place, tmp_path):
    with fix.Journal("a", **place) as journal:
        fill(journal, 1, 20)
    segment, = (os.path.join(place["directory"], f) for f in os.listdir(place["directory"]) if f.endswith(".journal"))
    with open(segment, "r+b") as f:
        f.seek(64 + 10 * 232 + 100)
        f.write(b"torn")
    os.unlink(os.path.join(place["ring_directory"], "fixwire-a.ring"))
    with fix.Journal("a", **place) as journal:
        assert journal.next_out == 11 and journal.stats()["damaged"] == 1
        assert journal.get(10) == message(10) and journal.get(11) is None
        fill(journal, 11, 11)                           # as long as the torn one: the old 12 would fit behind it
    os.unlink(os.path.join(place["ring_directory"], "fixwire-a.ring"))
    with fix.Journal("a", **place) as journal:
        assert journal.next_out == 12 and journal.get(12) is None and journal.get(11) == message(11)


def test_a_write_to_disk_cut_short_by_a_kill_is_no_damage(place, tmp_path):
    with fix.Journal("a", **place) as journal:
        fill(journal, 1, 20)
    segment, = (os.path.join(place["directory"], f) for f in os.listdir(place["directory"]) if f.endswith(".journal"))
    with fix.Journal("a", **place) as journal:
        drained = journal.stats()["drained"]
    with open(segment, "r+b") as f:
        f.seek(64 + drained)
        f.write(b"\x01half a record")
    with fix.Journal("a", **place) as journal:
        assert journal.stats()["damaged"] == 0 and journal.next_out == 21
        fill(journal, 21, 25)
    os.unlink(os.path.join(place["ring_directory"], "fixwire-a.ring"))
    with fix.Journal("a", **place) as journal:
        assert [journal.get(seq) for seq in range(1, 26)] == [message(seq) for seq in range(1, 26)]
        assert journal.stats()["damaged"] == 0


# --- opening

def test_one_process_at_a_time(place):
    with fix.Journal("a", **place):
        with pytest.raises(fix.JournalError, match="in use"):
            fix.Journal("a", **place)
    fix.Journal("a", **place).close()


def test_halves_of_different_journals_are_refused(place, tmp_path):
    fix.Journal("a", **place).close()
    with fix.Journal("a", **dict(place, directory=str(tmp_path / "other"))) as journal:
        fill(journal, 1, 3)
    os.unlink(os.path.join(place["ring_directory"], "fixwire-a.ring"))
    with fix.Journal("a", **place) as journal:
        fill(journal, 1, 3)
    with pytest.raises(fix.JournalError, match="different journals"):
        fix.Journal("a", **dict(place, directory=str(tmp_path / "other")))


@pytest.mark.parametrize("options, complaint", [
    (dict(name="../x"), "name is"), (dict(name=""), "name is"), (dict(ring_octets=100000), "power of two"),
    (dict(ring_octets=1), "must be 65536"), (dict(durability="good"), "durability is"),
    (dict(durability="each", directory=None), "needs a directory"), (dict(keep_segments=1), "keep_segments is 1"),
    (dict(segment_octets=131073), "multiple of 8"),
])
def test_bad_options_are_named(place, options, complaint):
    with pytest.raises(ValueError, match=complaint):
        fix.Journal(**dict(dict(name="a", **place), **options))


def test_a_closed_journal_refuses_and_does_no_harm(place):
    journal = fix.Journal("a", **place)
    session = fix.Session("initiator", "US", "PEER", store=journal)
    journal.close()
    journal.close()
    assert not journal.append(1, b"x") and journal.get(1) is None and not journal.sync()
    session.next_in = 5
    session.connected(0)
    assert session.data_to_send() == b"" and session.close_requested
    journal.remove()
    assert os.listdir(place["ring_directory"]) == [] and os.listdir(place["directory"]) == []


def test_damaged_files_never_crash(place, tmp_path):
    with fix.Journal("a", **place) as journal:
        fill(journal, 1, 100)
    rng = random.Random(11)
    for n in range(60):
        to = tmp_path / str(n)
        other = abandon(None, place, to)
        files = [os.path.join(d, f) for d in (other["ring_directory"], other["directory"]) for f in os.listdir(d)]
        path = rng.choice(files)
        with open(path, "r+b") as f:
            size = os.path.getsize(path)
            for _ in range(rng.randint(1, 20)):
                f.seek(rng.randrange(min(size, rng.choice([64, 5000, size]))))
                f.write(bytes([rng.randrange(256)]))
            if rng.random() < 0.2:
                f.truncate(rng.randrange(size))
        try:
            with fix.Journal("a", **other) as back:
                for seq in range(1, 102):
                    assert len(back.get(seq) or b"") in (0, 200) or back.get(seq)
                back.append(back.next_out, b"goes on") if back.next_out < 1 << 60 else None
        except (fix.JournalError, OSError):
            pass
        shutil.rmtree(to)


def test_the_checksum_is_crc_32c():
    assert checksum(b"123456789") == 0xE3069283
    assert checksum(b"") == 0
    assert checksum(b"56789", checksum(b"1234")) == 0xE3069283


def test_the_drain_thread_needs_no_one(place):
    journal = fix.Journal("a", **dict(place, durability="machine", sync_ns=0))
    fill(journal, 1, 10)
    until = time.monotonic() + 20
    while journal.stats()["synced"] != journal.stats()["head"]:
        assert time.monotonic() < until, journal.stats()
        os.sched_yield()
    journal.close()


def test_removing_a_journal_leaves_one_whose_name_begins_alike(place):
    with fix.Journal("venue.backup", **place) as other, fix.Journal("venue", **place) as journal:
        fill(other, 1, 3)
        fill(journal, 1, 3)
        other.sync()
        before = sorted(f for f in os.listdir(place["directory"]) if f.startswith("venue.backup"))
        journal.sync()
        journal.remove()
    assert len(before) == 2 and sorted(os.listdir(place["directory"])) == before


def test_a_message_refused_because_the_disk_failed_is_not_there_later(place, tmp_path):
    journal = fix.Journal("a", **dict(place, durability="each"))
    fill(journal, 1, 3)
    journal.renumber(next_in=7, next_out=4)
    moved = tmp_path / "gone"
    os.rename(place["directory"], moved)                # no segment can be made any more
    refused = next(seq for seq in range(4, 2000) if not journal.append(seq, message(seq)))
    assert journal.get(refused) is None
    os.rename(moved, place["directory"])
    with fix.Journal("a", **abandon(journal, place, tmp_path / "later")) as back:
        assert (back.next_out, back.next_in) == (refused, 7) and back.get(refused) is None
        assert back.get(refused - 1) == message(refused - 1)
