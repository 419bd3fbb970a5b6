"""Many producers: none lost, none twice, each in its order, and the dead stall nobody."""
import os
import random
import signal
import struct
import time

import numpy
import pytest
from children import Child, Patience, in_a_small_process

from ipc.channel import Writer
from ipc.mpsc import MpscReader, MpscWriter
from ipc.poller import Poller
from ipc.segment import RoleTaken, segment_path
from ipc.wait import RingCorrupt

COUNT = int(os.environ.get("FIXWIRE_MPSC_MESSAGES", "10000000"))
MESSAGE = numpy.dtype([("producer", "u4"), ("check", "u4"), ("number", "u8")])


def test_producers_share_one_ring(tmp_path):
    with MpscReader("m", 16, 8, create=True, directory=tmp_path) as r:
        with MpscWriter("m", directory=tmp_path) as a, MpscWriter("m", directory=tmp_path) as b:
            assert (a.producer, b.producer) == (0, 1)
            for i in range(20):
                assert a.send(b"a%d" % i) and b.send(b"b%d" % i)
                assert r.pop_batch() == [b"a%d" % i, b"b%d" % i]
            assert [a.send(b"x") for _ in range(9)] == [True] * 8 + [False] and a.refused == 1
        with pytest.raises(RoleTaken):
            MpscReader("m", directory=tmp_path)


def test_peek_ack_and_oversize(tmp_path):
    with MpscReader("m", 4, 8, create=True, directory=tmp_path) as r, MpscWriter("m", directory=tmp_path) as w:
        with pytest.raises(ValueError, match="5 octets"):
            w.send(b"12345")
        w.send(b"abc")
        for _ in range(2):
            with r.peek() as m:
                assert bytes(m) == b"abc"
        r.ack()
        assert r.peek() is None and r.number == 1
        with pytest.raises(ValueError):
            r.ack()


def test_the_65th_producer_is_refused(tmp_path):
    with MpscReader("m", 16, 8, create=True, directory=tmp_path):
        writers = [MpscWriter("m", directory=tmp_path) for _ in range(64)]
        with pytest.raises(RoleTaken, match="64"):
            MpscWriter("m", directory=tmp_path)
        for w in writers:
            w.close()


def reserve_and_hang(directory):
    def work(say):
        w = MpscWriter("m", directory=directory)
        w.send(b"before")
        w.reserve(5)[:] = b"never"
        say("reserved")
        time.sleep(60)
    return work


def test_a_slot_reserved_by_the_dead_is_skipped_and_counted(tmp_path):
    with MpscReader("m", 16, 8, create=True, directory=tmp_path) as r, MpscWriter("m", directory=tmp_path) as w:
        with Child(reserve_and_hang(tmp_path)) as child:
            child.hear()
            w.send(b"behind")
            assert r.pop_batch() == [b"before"]          # alive: it may still commit
        assert [r.pop(timeout_ns=10_000_000_000), r.abandoned] == [b"behind", 1]


def test_a_slot_reserved_by_the_dead_is_found_also_when_their_number_is_taken_again(tmp_path):
    with MpscReader("m", 16, 8, create=True, directory=tmp_path) as r:
        with Child(reserve_and_hang(tmp_path)) as child:
            child.hear()
        with MpscWriter("m", directory=tmp_path) as w:
            assert w.producer == 0
            w.send(b"after")
            assert r.pop_batch() == [b"before", b"after"] and r.abandoned == 1


HEAD, TAIL, SLOTS = 4096, 4096 + 128, 4096 + 256
FREE, RESERVED, COMMITTED, ABANDONED = range(4)


def forge(directory, at, value):
    with open(segment_path("m", directory), "r+b") as f:
        f.seek(at)
        f.write(struct.pack("<Q", value))


def send_one(directory):
    def work(say):
        with MpscWriter("m", directory=directory) as w:
            say(w.send(b"on"))
    return work


def test_a_producer_dead_before_it_moved_the_hint_stalls_nobody_once_its_slot_was_given_back(tmp_path):
    """Slot 0: reserved by the dead, abandoned and freed by the consumer; the head still says 0."""
    MpscReader("m", 8, 4, create=True, directory=tmp_path).close()
    forge(tmp_path, SLOTS, 4 << 8 | FREE)
    forge(tmp_path, TAIL, 1)
    with Child(send_one(tmp_path)) as child, MpscReader("m", directory=tmp_path) as r:
        assert child.hear(10) == "True"
        assert r.pop() == b"on" and r.number == 2


@pytest.mark.parametrize("taken", [FREE, RESERVED, COMMITTED])
def test_a_consumer_dead_between_slot_and_tail_whose_slot_was_taken_again(tmp_path, taken):
    with MpscWriter("m", 8, 4, directory=tmp_path) as w:
        assert w.send_batch([b"0", b"1", b"2", b"3"]) == 4
        forge(tmp_path, SLOTS, 4 << 8 | FREE)           # message 0 was popped; the tail still says so not
        if taken:
            room = w.reserve(1)
            room[:] = b"4"
            room.release()
        if taken == COMMITTED:
            w.commit()
        with MpscReader("m", directory=tmp_path) as r:
            assert r.number == 1 and r.pop_batch() == [b"1", b"2", b"3"] + [b"4"] * (taken == COMMITTED)
            if taken == RESERVED:
                w.commit()
                assert r.pop() == b"4"
            assert r.pop() is None and r.abandoned == 0


@pytest.mark.parametrize("word", [3 << 8, 8 << 8, 2**64 - 1])
@pytest.mark.parametrize("policy", ["refuse", "block"])
def test_a_slots_number_that_cannot_be_is_reported_not_followed(tmp_path, word, policy):
    """Found by fuzzing: the producer moved the hint on towards a number that no slot could have come to, for ever."""
    with MpscWriter("m", 8, 4, directory=tmp_path, policy=policy, block_ns=1) as w:
        forge(tmp_path, SLOTS, word)
        for send in (w.send, w.send, w.reserve, w.send_batch):
            with pytest.raises(RingCorrupt):
                send({w.reserve: 1, w.send_batch: numpy.zeros((2, 8), "u1")}.get(send, b"x"))


def test_a_batch_of_which_some_are_dropped_says_how_many_were_sent(tmp_path):
    with MpscWriter("m", 8, 4, directory=tmp_path, policy="drop") as w:
        assert w.send_batch([b"x"] * 6) == w.sent == 4 and w.dropped == 2


@pytest.mark.slow
@pytest.mark.parametrize("killed", [False, True])
def test_ten_million_messages_of_four_producers(tmp_path, killed):
    each = COUNT // 4

    def produce(k):
        def work(say):
            with MpscWriter("m", directory=tmp_path) as w:
                say("on")
                sent = 0
                block = numpy.zeros(512, MESSAGE)
                block["producer"] = k
                while sent < each:
                    n = min(512, each - sent)
                    block["number"][:n] = numpy.arange(sent, sent + n)
                    block["check"][:n] = (block["number"][:n] * 3 + k).astype("u4")
                    done = w.send_batch(block[:n])
                    sent += done
                    if not done:
                        os.sched_yield()
        return work

    with MpscReader("m", MESSAGE.itemsize, 4096, create=True, directory=tmp_path) as r:
        children = [Child(produce(k)) for k in range(4)]
        for c in children:
            c.hear()
        expected = [0] * 4
        total, patience = 0, Patience()
        while True:
            ended = not any([c.alive() for c in children])
            a = r.pop_array(MESSAGE)
            if not len(a):
                if ended:
                    break
                patience.check(expected, r.number, [c.status for c in children])
                os.sched_yield()
                continue
            patience.again()
            assert (a["check"] == (a["number"] * 3 + a["producer"]).astype("u4")).all()
            for k in range(4):
                own = a["number"][a["producer"] == k]
                if len(own):
                    assert own[0] == expected[k] and (numpy.diff(own) == 1).all()
                    expected[k] = int(own[-1]) + 1
            total += len(a)
            if killed and total > COUNT // 8 and children[3].status is None:
                children[3].kill()
        assert [c.status for c in children] == [0, 0, 0, -signal.SIGKILL if killed else 0]
        assert expected[:3] == [each] * 3
        assert expected[3] == each or killed
        assert r.abandoned <= (1 if killed else 0)
        print(f"{total} messages of 4 producers, {r.abandoned} abandoned: 0 lost, 0 twice, each producer's in order")


@pytest.mark.slow
def test_producers_killed_at_random_points(tmp_path):
    in_a_small_process("test_ipc_mpsc", "kill_at_random", tmp_path)


def kill_at_random(tmp_path):
    rng = random.Random(3)
    kills = int(os.environ.get("FIXWIRE_KILLS", "1000")) // 5

    def produce(say):
        with MpscWriter("m", directory=tmp_path) as w:
            say("on")
            k = 0
            while True:
                room = w.reserve(8)
                if room is not None:
                    room[:] = k.to_bytes(8, "little")
                    if k == dies_at:
                        os.kill(os.getpid(), signal.SIGKILL)    # between reserve and commit, for certain
                    k += w.commit()

    with MpscReader("m", 16, 64, create=True, directory=tmp_path) as r:
        for k in range(kills):
            dies_at = rng.randrange(50) if k % 4 == 0 else -1
            with Child(produce) as child:
                child.hear()
                until, patience = time.monotonic_ns() + rng.randrange(500_000), Patience()
                want = 0
                while time.monotonic_ns() < until or want < dies_at or k % 4 == 1 and want == 0:
                    patience.check(k, dies_at, want, r.number, child.alive())
                    for m in r.pop_batch():
                        assert int.from_bytes(m, "little") == want
                        want += 1
                if dies_at >= 0:
                    child.join()
            for m in r.pop_batch(10_000):
                assert int.from_bytes(m, "little") == want
                want += 1
            assert r.pop(timeout_ns=0) is None
        assert r.abandoned >= kills // 4        # killed in the middle, or this test shows nothing
        print(f"{kills} producers killed, {r.abandoned} in mid-message, {r.received} messages taken: 0 torn, 0 phantom")


def test_the_poller_finds_takes_turns_and_drops(tmp_path):
    from ipc.channel import Writer
    with Poller("orders.*", tmp_path, burst=2) as poller:
        a, b = (Writer(f"orders.{n}", 8, 16, directory=tmp_path) for n in "ab")
        other = Writer("fills.a", 8, 16, directory=tmp_path)
        assert poller.discover() == ["orders.a", "orders.b"]
        for w in (a, b):
            w.send_batch([b"%d" % i for i in range(3)])
        assert poller.poll() == [("orders.a", b"0"), ("orders.a", b"1"), ("orders.b", b"0"), ("orders.b", b"1")]
        assert poller.poll(1) == [("orders.b", b"2")]
        a.close()
        assert poller.drop_finished() == []              # still one to read
        assert poller.poll() == [("orders.a", b"2")]
        assert poller.drop_finished() == ["orders.a"]
        c = Writer("orders.c", 8, 16, directory=tmp_path)
        assert "orders.c" in poller.discover()
        for w in (b, c, other):
            w.close()


def test_a_damaged_channel_does_not_stop_the_others(tmp_path):
    from ipc.channel import Writer
    with Poller("o.*", tmp_path) as poller:
        a, b = (Writer(f"o.{n}", 8, 16, directory=tmp_path) for n in "ab")
        poller.discover()
        b.send(b"fine")
        with open(a.segment.path, "r+b") as f:
            f.seek(4096)
            f.write(b"\xff" * 8)
        assert poller.poll() == [("o.b", b"fine")]
        assert "o.a" in poller.unreadable
        a.close()
        b.close()


@pytest.mark.parametrize("hint", [1 << 50, 1 << 63, 2**56 + 1])
def test_a_hint_ahead_of_the_ring_is_reported_not_taken_for_a_full_ring(tmp_path, hint):
    with MpscWriter("m", 8, 16, directory=tmp_path) as w:
        forge(tmp_path, 4096, hint)
        with pytest.raises(RingCorrupt):
            w.send(b"x")


def test_a_stray_file_does_not_keep_the_poller_from_the_channels(tmp_path):
    (tmp_path / "fixwire.a name").touch()
    os.mkfifo(tmp_path / "fixwire.fifo")
    with Writer("x", 8, 16, directory=tmp_path) as w, Poller("*", tmp_path) as p:
        assert p.discover() == ["x"] and set(p.unreadable) == {"a name", "fifo"}
        w.send(b"found")
        assert p.poll() == [("x", b"found")]


def test_a_channel_cut_off_is_dropped_with_its_reason(tmp_path):
    with Writer("x", 8, 16, directory=tmp_path) as w, Writer("y", 8, 16, directory=tmp_path), Poller("*", tmp_path) as p:
        p.discover()
        os.truncate(w.segment.path, 0)
        p.poll()
        p.drop_finished()
        assert list(p.readers) == ["y"] and "truncated" in p.unreadable["x"]
