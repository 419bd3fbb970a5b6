"""The SPSC channel: messages and their lengths, full rings, who may hold an end, and both ends killed anywhere."""
import os
import random
import signal
import struct
import threading
import time

import numpy
import pytest
from children import Child, Patience, in_a_small_process

from ipc.channel import Reader, Writer
from ipc.mpsc import MpscReader, MpscWriter
from ipc.segment import RoleTaken, segment_path
from ipc.wait import RingCorrupt

HEAD, TAIL, FIRST_LENGTH = 4096, 4096 + 128, 4096 + 256
KILLS = int(os.environ.get("FIXWIRE_KILLS", "1000"))


@pytest.fixture
def ends(tmp_path):
    with Writer("c", 64, 8, create=True, directory=tmp_path) as w, Reader("c", directory=tmp_path) as r:
        yield w, r


def test_lengths_are_kept_and_nothing_of_an_earlier_message_leaks(ends):
    w, r = ends
    for m in (b"x" * 64, b"", b"y", b"z" * 63, b"z" * 63) * 5:     # every slot holds each in turn
        assert w.send(m)
        assert r.pop() == m
    assert r.pop() is None


def test_oversize_is_refused_by_every_way_in(ends):
    w, r = ends
    for way in (lambda: w.send(b"x" * 65), lambda: w.reserve(65), lambda: w.send_batch([b"x" * 65]),
                lambda: w.send_batch(numpy.zeros((2, 65), "u1"))):
        with pytest.raises(ValueError, match="65 octets"):
            way()
    assert w.oversize == 4 and r.pop() is None


@pytest.mark.parametrize("writer, reader", [(Writer, Reader), (MpscWriter, MpscReader)], ids=["spsc", "mpsc"])
def test_a_full_ring_refuses_drops_or_waits_and_counts(tmp_path, writer, reader):
    for policy, answer, counter in (("refuse", False, "refused"), ("drop", True, "dropped"), ("block", False, "timed_out")):
        with writer(policy, 8, 4, directory=tmp_path, policy=policy, block_ns=1_000_000) as w:
            assert all(w.send(b"%d" % i) for i in range(4))
            assert w.send(b"5th") is answer and w.reserve(1) is None
            assert getattr(w, counter) == 2 and w.refused + w.dropped + w.timed_out == 2
            with reader(policy, directory=tmp_path) as r:
                assert r.pop_batch() == [b"0", b"1", b"2", b"3"]
            assert w.send(b"again") and w.sent == 5


def test_peek_is_the_same_until_acknowledged_and_numbers_count(ends):
    w, r = ends
    w.send_batch([b"a", b"b", b"c"])
    for _ in range(2):
        with r.peek() as m:
            assert bytes(m) == b"a" and m.readonly
        assert r.number == 0
    r.ack(2)
    assert (r.number, r.pop(), len(r)) == (2, b"c", 0)
    with pytest.raises(ValueError, match="1 messages to acknowledge, 0"):
        r.ack()


def test_reserve_writes_in_place_and_publishes_on_commit(ends):
    w, r = ends
    with w.reserve(5) as room:
        room[:] = b"hello"
    assert r.pop() is None
    with pytest.raises(ValueError, match="commit or cancel"):
        w.send(b"x")
    w.commit()
    assert r.pop() == b"hello"
    w.reserve(3).release()
    w.cancel()
    assert w.send(b"x") and r.pop() == b"x"


def test_views_keep_the_segment_mapped(ends):
    w, r = ends
    w.send(b"abc")
    m = r.peek()
    with pytest.raises(BufferError):
        r.close()
    assert bytes(m) == b"abc"
    m.release()


def test_batches_of_structured_arrays(ends):
    w, r = ends
    sent = numpy.zeros(5, "u8,f4,S3")
    sent["f0"] = range(5)
    assert w.send_batch(sent) == 5
    assert (r.pop_array(sent.dtype, 3) == sent[:3]).all()
    assert (r.pop_array(sent.dtype) == sent[3:]).all()
    assert len(r.pop_array(sent.dtype)) == 0
    w.send(b"odd")
    with pytest.raises(ValueError, match="has 3 octets"):
        r.pop_array(sent.dtype)
    assert r.pop() == b"odd"


@pytest.mark.parametrize("start", [0, 2**64 - 5, 2**32 - 3])
def test_counters_may_start_anywhere(tmp_path, start):
    Writer("c", 8, 4, create=True, directory=tmp_path).close()
    with open(segment_path("c", tmp_path), "r+b") as f:
        for at in (HEAD, TAIL):
            f.seek(at)
            f.write(struct.pack("<Q", start))
    with Writer("c", directory=tmp_path) as w, Reader("c", directory=tmp_path) as r:
        for i in range(20):
            assert w.send(b"%d" % i) and r.pop() == b"%d" % i
        assert [w.send(b"x") for _ in range(5)] == [True] * 4 + [False]
        assert len(r.pop_batch()) == 4


@pytest.mark.parametrize("at, value, side", [
    (HEAD, 1 << 40, "batch"), (HEAD, 1 << 40, "reader"), (HEAD, 2**64 - 1, "reader"),
    (FIRST_LENGTH, 1 << 31, "reader"), (FIRST_LENGTH, 65, "reader"),
    (TAIL, 1 << 40, "writer"), (TAIL, 50, "writer")])
def test_what_a_peer_writes_over_the_counters_is_reported_not_followed(tmp_path, at, value, side):
    with Writer("c", 64, 8, create=True, directory=tmp_path) as w, Reader("c", directory=tmp_path) as r:
        w.send(b"first")
        with open(segment_path("c", tmp_path), "r+b") as f:
            f.seek(at)
            f.write(struct.pack("<Q", value))
        for _ in range(2):                      # and stays reported
            with pytest.raises(RingCorrupt):
                for _ in range(20):
                    {"writer": lambda: w.send(b"x"), "reader": r.pop, "batch": lambda: r.pop_array("V5")}[side]()


def test_second_ends_are_refused_while_the_first_live(ends, tmp_path):
    for end in (Writer, Reader):
        with pytest.raises(RoleTaken):
            end("c", directory=tmp_path)


@pytest.mark.parametrize("end", ["writer", "reader"])
def test_a_successor_is_admitted_once_the_holder_was_killed(tmp_path, end):
    Writer("c", 64, 8, create=True, directory=tmp_path).close()
    make = Writer if end == "writer" else Reader

    def hold(say):
        held = make("c", directory=tmp_path)
        say("holding")
        time.sleep(60)
        held.close()

    with Child(hold) as child:
        child.hear()
        os.kill(child.pid, signal.SIGSTOP)          # stopped is not dead
        with pytest.raises(RoleTaken):
            make("c", directory=tmp_path)
    make("c", directory=tmp_path).close()


def test_a_producer_killed_between_payload_and_publish_has_sent_nothing(tmp_path):
    with Reader("c", 64, 8, create=True, directory=tmp_path) as r:
        def half(say):
            w = Writer("c", directory=tmp_path)
            w.send(b"whole")
            w.reserve(64)[:] = b"h" * 64
            say("reserved")
            time.sleep(60)

        with Child(half) as child:
            child.hear()
        with Writer("c", directory=tmp_path) as w:
            w.send(b"next")
            assert r.pop_batch() == [b"whole", b"next"]


def test_a_consumer_killed_between_read_and_release_leaves_the_message(tmp_path):
    with Writer("c", 64, 8, create=True, directory=tmp_path) as w:
        w.send_batch([b"a", b"b"])

        def read(say):
            r = Reader("c", directory=tmp_path)
            assert r.pop() == b"a"
            say(bytes(r.peek()).decode())
            time.sleep(60)

        with Child(read) as child:
            assert child.hear() == "b"
        with Reader("c", directory=tmp_path) as r:
            assert (r.number, r.pop()) == (1, b"b")


@pytest.mark.parametrize("wait", ["spin", "yield", "sleep"])
def test_both_ways_of_waiting_end_when_the_other_side_acts(tmp_path, wait):
    with Reader("c", 8, 4, create=True, directory=tmp_path, wait=wait, wakeups=True) as r:
        def produce(say):
            with Writer("c", directory=tmp_path, wait=wait, policy="block", block_ns=60_000_000_000) as w:
                for i in range(1000):
                    assert w.send(b"%d" % i)
                say(w.timed_out)

        with Child(produce) as child:
            got = [r.pop(timeout_ns=60_000_000_000) for _ in range(1000)]
            assert got == [b"%d" % i for i in range(1000)]
            assert child.hear() == "0" and child.join() == 0
        assert r.pop(timeout_ns=1_000_000) is None


def test_sleeping_needs_a_segment_made_for_it(tmp_path):
    with pytest.raises(ValueError, match="wakeups=True"):
        Writer("c", 8, 4, directory=tmp_path, wait="sleep")


MESSAGE = numpy.dtype([("number", "u8"), ("text", "u8", 6), ("check", "u8")])


def batch(first, n):
    a = numpy.zeros(n, MESSAGE)
    a["number"] = numpy.arange(first, first + n)
    a["text"] = a["number"][:, None] * 7
    a["check"] = ~a["number"]
    return a


def whole(a):
    return ((a["text"] == a["number"][:, None] * 7).all() and (a["check"] == ~a["number"]).all())


@pytest.mark.slow
def test_a_producer_killed_a_thousand_times_loses_tears_and_invents_nothing(tmp_path):
    in_a_small_process("test_ipc_channel", "kill_producers", tmp_path)


@pytest.mark.slow
def test_a_consumer_killed_a_thousand_times_sees_every_message_at_least_once_in_order(tmp_path):
    in_a_small_process("test_ipc_channel", "kill_consumers", tmp_path)


def kill_producers(tmp_path):
    rng = random.Random(1)
    killed_in_flight = 0
    with Reader("c", MESSAGE.itemsize, 64, create=True, directory=tmp_path) as r:
        expected = 0

        def produce(say):
            with Writer("c", directory=tmp_path) as w:
                say("on")
                while True:
                    w.send_batch(batch(w.next_number, 5))

        for k in range(KILLS):
            with Child(produce) as child:
                child.hear()
                before = expected
                until, patience = time.monotonic_ns() + rng.randrange(300_000), Patience()
                # every tenth is killed in full flight however slow the machine is
                while time.monotonic_ns() < until or k % 10 == 0 and expected == before:
                    patience.check(k, expected, r.number)
                    assert child.alive(), child.status
                    a = r.pop_array(MESSAGE)
                    assert whole(a) and (a["number"] == numpy.arange(expected, expected + len(a))).all()
                    expected += len(a)
                killed_in_flight += child.alive()
        a = r.pop_array(MESSAGE)
        assert whole(a) and (a["number"] == numpy.arange(expected, expected + len(a))).all()
    assert killed_in_flight == KILLS and expected >= KILLS // 10
    print(f"{KILLS} producers killed, {expected} messages taken: 0 torn, 0 phantom, 0 lost, in order")


def kill_consumers(tmp_path):
    rng = random.Random(2)
    with Writer("c", MESSAGE.itemsize, 64, create=True, directory=tmp_path) as w:
        seen_until = 0

        def consume(say):
            with Reader("c", directory=tmp_path) as r:
                say(r.number)
                while True:
                    with (r.peek() or memoryview(b"")) as m:
                        if len(m):
                            a = numpy.frombuffer(bytes(m), MESSAGE)
                            if not whole(a) or a["number"][0] != r.number:
                                os._exit(99)
                            ack = True
                        else:
                            ack = False
                    if ack:
                        r.ack()

        for k in range(KILLS):
            with Child(consume) as child:
                began = int(child.hear())
                assert seen_until <= began <= w.next_number     # never behind what was acknowledged, never beyond
                seen_until = began
                until, patience = time.monotonic_ns() + rng.randrange(300_000), Patience()
                sent = 0
                while time.monotonic_ns() < until or k % 10 == 0 and sent < 2 * w.capacity:
                    patience.check(k, sent, w.next_number, began)
                    assert child.alive(), child.status
                    sent += w.send_batch(batch(w.next_number, 8))
                child.kill()
                assert child.status == -signal.SIGKILL
    assert seen_until >= KILLS // 10
    print(f"{KILLS} consumers killed, {seen_until} messages acknowledged: each seen at least once, in order, 0 torn")


# -- the policy of a full ring, of a channel with one producer and with many

ENDS = {"channel": (Writer, Reader), "mpsc": (MpscWriter, MpscReader)}
FORMS = {"list": lambda n: [b"%03d" % i for i in range(n)], "array": lambda n: numpy.array([b"%03d" % i for i in range(n)])}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", ENDS)
def test_what_does_not_fit_of_a_batch_meets_the_policy(tmp_path, kind, form):
    writer, reader = ENDS[kind]
    for policy, counter in (("refuse", "refused"), ("drop", "dropped"), ("block", "timed_out")):
        with writer(policy, 8, 4, directory=tmp_path, policy=policy, block_ns=1_000_000) as w:
            assert w.send_batch(FORMS[form](6)) == 4 == w.sent
            assert getattr(w, counter) == 2 == w.refused + w.dropped + w.timed_out
            with reader(policy, directory=tmp_path) as r:
                assert r.pop_batch() == FORMS["list"](4)
            assert w.send_batch(FORMS[form](0)) == 0


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", ENDS)
def test_a_batch_larger_than_the_ring_goes_through_when_it_may_wait(tmp_path, kind, form):
    writer, reader = ENDS[kind]
    with writer("c", 8, 4, directory=tmp_path, policy="block", block_ns=-1) as w, reader("c", directory=tmp_path) as r:
        sending = threading.Thread(target=lambda: w.send_batch(FORMS[form](500)))
        sending.start()
        assert [r.pop(timeout_ns=-1) for _ in range(500)] == FORMS["list"](500)
        sending.join()
        assert w.sent == 500 and w.timed_out == 0


@pytest.mark.parametrize("kind", ENDS)
def test_reserve_waits_for_room_as_send_does(tmp_path, kind):
    writer, reader = ENDS[kind]
    with writer("c", 8, 1, directory=tmp_path, policy="block", block_ns=-1) as w, reader("c", directory=tmp_path) as r:
        w.send(b"1")
        threading.Timer(0.02, r.pop).start()
        with w.reserve(1) as room:
            room[:] = b"2"
        w.commit()
        assert r.pop() == b"2"


@pytest.mark.parametrize("kind", ENDS)
def test_a_reserved_message_may_be_cancelled(tmp_path, kind):
    writer, reader = ENDS[kind]
    with writer("c", 8, 4, directory=tmp_path) as w, reader("c", directory=tmp_path) as r:
        w.reserve(3).release()
        with pytest.raises(ValueError, match="commit or cancel"):
            w.send(b"x")
        w.cancel()
        w.cancel()
        assert w.send(b"x") and r.pop() == b"x" and r.pop() is None
        with pytest.raises(ValueError, match="nothing is reserved"):
            w.commit()


@pytest.mark.parametrize("kind", ENDS)
def test_a_batch_ends_before_a_message_that_is_too_long(tmp_path, kind):
    writer, reader = ENDS[kind]
    with writer("c", 8, 8, directory=tmp_path) as w, reader("c", directory=tmp_path) as r:
        assert w.send_batch([b"1", b"2", b"x" * 9, b"3"]) == 2 and w.refused == w.oversize == 0
        with pytest.raises(ValueError, match="9 octets"):
            w.send_batch([b"x" * 9, b"3"])
        assert r.pop_batch() == [b"1", b"2"] and w.oversize == 1


@pytest.mark.parametrize("kind", ENDS)
def test_a_dtype_without_octets_is_refused(tmp_path, kind):
    writer, reader = ENDS[kind]
    with writer("c", 8, 8, directory=tmp_path) as w, reader("c", directory=tmp_path) as r:
        assert w.send_batch(numpy.zeros((3, 0), "u1")) == 3
        with pytest.raises(ValueError, match="no octets"):
            r.pop_array("S0")
        assert r.pop_batch() == [b""] * 3


def test_all_that_is_there_may_be_acknowledged_at_once(ends):
    w, r = ends
    w.send(b"1")
    r.peek().release()
    w.send_batch([b"2", b"3"])
    r.ack(len(r))
    assert r.number == 3 and r.pop() is None and w.send(b"4") and r.pop() == b"4"
    with pytest.raises(ValueError, match="1 messages to acknowledge, 0"):
        r.ack()


@pytest.mark.parametrize("timeout_ns", [2**63 - 1, 2**63 - 2**40])
def test_the_longest_wait_is_long(ends, timeout_ns):
    """The deadline wrapped, and the wait was over at once."""
    w, r = ends
    threading.Timer(0.02, lambda: w.send(b"x")).start()
    assert r.pop(timeout_ns=timeout_ns) == b"x"
