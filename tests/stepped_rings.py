"""One side of a ring dies, or stands still, in every state of one operation: what the others and its successor then find.

A scenario is a generator. It makes the ring and the sides that survive, yields what the dying side does (called in a
forked process: opens its end, returns the operation), and goes on once that process is dead (True where the operation
had ended) to judge: every message whole, none invented, none twice or missing beyond the window the operation declares,
the numbers adding up, and three more times round the ring. `every` runs it for the first state, the second, ... until
the operation comes to its end. A scenario that yields twice has its process stopped, then continued.
"""
import functools
import itertools
import mmap
import os
import signal
import tempfile

import compiled
import numpy
from children import Child

from ipc import MpscReader, MpscWriter, Publisher, Reader, Subscriber, Writer

face = compiled.module("step_face")
CAP, LEN = 4, 48
PARTS = (0, 128), (4096, 512)               # of a segment, in octets: the header, and counters and slots for CAP messages
WORDS = numpy.dtype("6u8")


def message(number, of=0):
    """Six words alike: who, and the number; a torn one is two messages' words."""
    return ((of << 32 | number) & (1 << 64) - 1).to_bytes(8, "little") * 6


def rows(first, count, of=0):
    return numpy.frombuffer(b"".join(message(first + i, of) for i in range(count)), "u1").reshape(count, LEN)


def memory(where, by):
    """Addresses of the segments in `where`: as the operation's own maps, or (for `states`) mapped once more."""
    if by == "states":
        kept = []
        for name in os.listdir(where):
            with open(os.path.join(where, name), "r+b") as f:
                kept.append(numpy.frombuffer(mmap.mmap(f.fileno(), 0), "u8"))
        return [(a.ctypes.data + at, a.ctypes.data + min(a.nbytes, at + n)) for a in kept for at, n in PARTS], kept
    with open("/proc/self/maps") as f:
        spans = [line.split()[0].split("-") for line in f if where in line]
    return [(int(a, 16), int(b, 16)) for a, b in spans], None


def stepping(where, opened, by, at, number):
    def work(say):
        operation = opened()
        ranges, kept = memory(where, by)
        assert ranges
        face.arm(by, ranges, at, number)
        face.on()
        found = operation()
        face.off()
        say(found)
        return kept
    return Child(work)


def every(scenario, *arguments, by="stores", stride=1):
    """How many stores (instructions, states) the operation went through; fails with the one that was wrong."""
    for at in itertools.count(0, stride):
        with tempfile.TemporaryDirectory(prefix="fixwire-step-", dir="/dev/shm") as where:
            story = scenario(where, *arguments)
            stops = getattr(scenario, "stops", False)
            with stepping(where, next(story), by, at, signal.SIGSTOP if stops else signal.SIGKILL) as child:
                try:
                    if stops:
                        ended = not child.stopped()
                        more = story.send(ended)
                        if not ended:
                            os.kill(child.pid, signal.SIGCONT)
                        more(child)
                    else:
                        ended = child.join() == 0
                        assert ended or child.status == -signal.SIGKILL, child.status
                        story.send(ended)
                    for _ in story:
                        raise RuntimeError("the scenario goes on")
                except StopIteration:
                    pass
                except BaseException as e:
                    e.add_note(f"{scenario.__name__}{arguments}, {by} {at}")
                    raise
        if ended:
            return at
        assert at < 1_000_000, "the operation does not end"


def stopped_and_continued(scenario):
    scenario.stops = True
    return scenario


# -- operations: what the side that dies does with its end

SENDS = {"send": (1, lambda w, m: w.send(m[0])), "send_batch": (3, lambda w, m: w.send_batch(m)),
         "send_list": (3, lambda w, m: w.send_batch([bytes(x) for x in m])),
         "reserve": (1, lambda w, m: reserve(w, m[0])),
         "native": (1, lambda w, m: (face.mpsc_send if isinstance(w, MpscWriter) else face.send)(w, m[0]))}
TAKES = {"pop": (1, lambda r: r.pop()), "pop_batch": (3, lambda r: r.pop_batch(3)), "ack": (1, lambda r: ack(r)),
         "pop_array": (3, lambda r: len(r.pop_array(WORDS, 3))),
         "native": (1, lambda r: (face.mpsc_pop if isinstance(r, MpscReader) else face.ack)(r))}


def reserve(w, text):
    with w.reserve(LEN) as room:
        room[:] = text
    w.commit()


def ack(r):
    with r.peek() as m:
        assert bytes(m) == message(r.number)
    r.ack()


def empty(r, most=3 * CAP):
    """What is there, taken one by one; more than can be there fails."""
    found = []
    while (m := r.pop()) is not None:
        found.append(m)
        assert len(found) <= most, found
    return found


def round_the_ring(r, *writers):
    """Everybody goes on: three times the ring's capacity from each writer in turn."""
    for k in range(3 * CAP):
        for n, w in enumerate(writers):
            assert w.send(message(k, 90 + n)), (k, n, r.number)
            assert empty(r) == [message(k, 90 + n)], (k, n, r.number)
    for w in writers:
        while w.send(b"full"):
            assert w.sent < 1000
    assert len(empty(r)) == CAP


# -- many producers

def begun(where, before, left):
    """A ring whose numbers stand at `before`, `left` messages of B in it: (reader, B)."""
    r = MpscReader("m", LEN, CAP, create=True, directory=where)
    b = MpscWriter("m", directory=where)
    for k in range(before):
        assert b.send(message(k, 2)) and empty(r) == [message(k, 2)]
    for k in range(before, before + left):
        assert b.send(message(k, 2))
    return r, b


def others(r, b, busy):
    """What the living do before a successor comes; (taken, sent by B in all)."""
    taken = []
    for _ in range(2 if busy == "both" else busy == "consumer"):
        if busy == "both":
            while b.send(message(b.sent, 2)):
                assert b.sent < 1000
        taken += empty(r)
    if busy == "producer":
        while b.send(message(b.sent, 2)):
            assert b.sent < 1000
    return taken


def mpsc_producer(where, how, before, left, busy, opens=False):
    """A dies while it sends; B and the consumer live; another A comes. `opens`: it dies in the number of a dead one."""
    count, send = SENDS[how]
    count = min(count, CAP - left)
    r, b = begun(where, before, left)
    if opens:
        def reserved(say):
            MpscWriter("m", directory=where).reserve(LEN)
            os.kill(os.getpid(), signal.SIGKILL)
        Child(reserved).join()

    def child():
        if opens:
            return lambda: MpscWriter("m", directory=where)
        w = MpscWriter("m", directory=where)
        return functools.partial(send, w, rows(0, count, 1))
    ended = yield child
    taken = others(r, b, busy)
    with MpscWriter("m", directory=where) as a:
        assert a.producer == 1
        taken += empty(r)
        assert a.send(message(0, 3))
        taken += empty(r)
        of_a = [m for m in taken if m[4] == 1]
        assert of_a == [message(k, 1) for k in range(len(of_a))] and (len(of_a) == count or not ended or opens), of_a
        assert [m for m in taken if m[4] == 2] == [message(k, 2) for k in range(before, b.sent)], taken
        assert [m for m in taken if m[4] == 3] == [message(0, 3)] and len(taken) == len(of_a) + b.sent - before + 1
        assert r.number == r.received + r.abandoned and r.abandoned <= (not ended or opens), (r.number, r.abandoned)
        round_the_ring(r, a, b)
    r.close()
    b.close()


def mpsc_consumer(where, how, before, left, busy, dead=False):
    """The consumer dies while it takes; B lives. `dead`: behind a slot that a dead producer had reserved."""
    count, take = TAKES[how]
    r, b = begun(where, before, 0)
    if dead:
        def reserved(say):
            MpscWriter("m", directory=where).reserve(LEN)
            os.kill(os.getpid(), signal.SIGKILL)
        Child(reserved).join()
        left = min(left, CAP - 1)
    r.close()
    start = before + dead               # the first message's number
    for k in range(start, start + left):
        assert b.send(message(k, 0))
    count = min(count, left)

    def child():
        return functools.partial(take, MpscReader("m", directory=where))
    ended = yield child
    sent = start + left
    while busy and b.send(message(sent, 0)):
        sent += 1
        assert sent < 1000
    with MpscReader("m", directory=where) as r:
        number = r.number
        first = max(number, start)
        taken = empty(r)
        assert taken == [message(k, 0) for k in range(first, sent)], (number, taken)
        assert first <= start + count and (not ended or first == start + count), number
        assert r.number == sent and r.number - number == r.received + r.abandoned
        round_the_ring(r, b)
    b.close()


@stopped_and_continued
def mpsc_producer_stands_still(where, how, before, left):
    """A is stopped while it sends and goes on later: alive, so nothing of it may be given up."""
    count, send = SENDS[how]
    count = min(count, CAP - left)
    r, b = begun(where, before, left)

    def child():
        return functools.partial(send, MpscWriter("m", directory=where), rows(0, count, 1))
    ended = yield child
    taken = others(r, b, "both")

    def rest(child):
        nonlocal taken
        # full for it now and then: a batch may have been cut short by what B sent meanwhile
        said = child.hear()
        assert child.join() == 0
        taken += empty(r)
        want = {"True": count, "None": count}.get(said, 0 if said == "False" else int(said) if said.isdigit() else -1)
        assert [m for m in taken if m[4] == 1] == [message(k, 1) for k in range(want)], (said, taken)
        assert [m for m in taken if m[4] == 2] == [message(k, 2) for k in range(before, b.sent)], taken
        assert r.abandoned == 0 and r.number == r.received and (want == count or not ended)
        round_the_ring(r, b)
        r.close()
        b.close()
    yield rest


@stopped_and_continued
def mpsc_consumer_stands_still(where, how, before, left):
    """The consumer is stopped while it takes, B fills the ring, and it goes on."""
    count, take = TAKES[how]
    count = min(count, left)
    r, b = begun(where, before, 0)
    r.close()
    for k in range(before, before + left):
        assert b.send(message(k, 0))

    def child():
        return functools.partial(take, MpscReader("m", directory=where))
    yield child
    sent = before + left
    while b.send(message(sent, 0)):
        sent += 1
        assert sent < 1000

    def rest(child):
        child.hear()
        assert child.join() == 0
        with MpscReader("m", directory=where) as r:
            assert before + count <= r.number <= before + max(count, TAKES[how][0]), r.number
            first = r.number
            assert empty(r) == [message(k, 0) for k in range(first, sent)], first
            round_the_ring(r, b)
        b.close()
    yield rest


# -- one producer, one consumer

def spsc_producer(where, how, before, left, busy):
    count, send = SENDS[how]
    count = min(count, CAP - left)
    r = Reader("c", LEN, CAP, create=True, directory=where)
    with Writer("c", directory=where) as w:
        for k in range(before):
            assert w.send(message(k)) and empty(r) == [message(k)]
        for k in range(before, before + left):
            assert w.send(message(k))

    def child():
        return functools.partial(send, Writer("c", directory=where), rows(before + left, count))
    ended = yield child
    taken = empty(r) if busy else []
    with Writer("c", directory=where) as w:
        sent = w.next_number
        assert before + left <= sent <= before + left + count and (not ended or sent == before + left + count), sent
        taken += empty(r)
        assert taken == [message(k) for k in range(before, sent)] and r.number == sent, (taken, sent)
        round_the_ring(r, w)
    r.close()


def spsc_consumer(where, how, before, left, busy):
    count, take = TAKES[how]
    count = min(count, left)
    w = Writer("c", LEN, CAP, create=True, directory=where)
    with Reader("c", directory=where) as r:
        for k in range(before):
            assert w.send(message(k)) and empty(r) == [message(k)]
    for k in range(before, before + left):
        assert w.send(message(k))

    def child():
        return functools.partial(take, Reader("c", directory=where))
    ended = yield child
    while busy and w.send(message(w.next_number)):
        assert w.sent < 1000
    with Reader("c", directory=where) as r:
        first = r.number
        assert first in (before, before + count) and (not ended or first == before + count), first     # all or nothing
        assert empty(r) == [message(k) for k in range(first, w.next_number)]
        round_the_ring(r, w)
    w.close()


# -- broadcast

def reads(s, most=100):
    """(number, message) of everything that is there."""
    found = []
    while (m := s.read()) is not None:
        found.append((s.number - 1, m))
        assert len(found) <= most
    return found


def borrows(s, most=100):
    found = []
    while (m := s.borrow()) is not None:
        with m:
            text = bytes(m.data)
            if m.valid():
                found.append((m.number, text))
        assert len(found) <= most
    return found


PUBLISHES = {"publish": (1, lambda p, m: p.publish(m[0])), "publish_batch": (3, lambda p, m: p.publish_batch(m)),
             "buffer": (1, lambda p, m: fill(p, m[0])), "native": (1, lambda p, m: face.publish(p, m[0]))}


def fill(p, text):
    with p.buffer() as room:
        room[:] = text
    p.publish_buffer(LEN)


def broadcast_publisher(where, how, before, busy, buffers=0):
    """The publisher dies; readers before, while and after its successor comes agree on every number."""
    count, publish = PUBLISHES[how]
    take = borrows if buffers else reads
    with Publisher("b", LEN, CAP, create=True, directory=where, buffers=buffers) as p:
        early, late, idle = (Subscriber("b", directory=where, start=0) for _ in range(3))
        for k in range(before):
            p.publish(message(k))
    seen = take(early)

    def child():
        return functools.partial(publish, Publisher("b", directory=where), rows(before, count))
    ended = yield child
    if busy:
        seen += take(early)
    with Publisher("b", directory=where) as p:
        there = p.number
        assert before <= there <= before + count and (not ended or there == before + count), there
        for k in range(there, there + 2):
            assert p.publish(message(k, 7)) == k
        total = there + 2
        seen += take(early)
        for s, found in ((early, seen), (late, take(late))):
            assert [m for _, m in found] == [message(k, 7 if k >= there else 0) for k, _ in found], (there, found)
            assert s.got + s.lost == s.number == total and s.got == len(found), (s.got, s.lost, total)
            assert s.behind == 0
        assert late.lost == 0 or total > min(CAP, buffers or CAP), late.lost
        for k in range(total, total + 3 * CAP):
            assert p.publish(message(k, 7)) == k and take(early) == [(k, message(k, 7))]
        found = take(idle)
        assert [m for _, m in found] == [message(k, 7) for k, _ in found] and idle.got + idle.lost == p.number == idle.number
    for s in (early, late, idle):
        s.close()


@stopped_and_continued
def broadcast_reader_overtaken(where, before, ahead, validate=True):
    """A reader is stopped while it reads, the writer publishes `ahead` more over it, it goes on."""
    p = Publisher("b", LEN, CAP, create=True, directory=where)
    for k in range(before):
        p.publish(message(k))

    def child():
        s = Subscriber("b", directory=where, start=0)
        if not validate:
            s._without_validation()

        def read():
            m = face.read(s)
            return f"{m.hex() if m else '-'} {s.got} {s.lost} {s.number}"
        return read
    yield child
    for k in range(before, before + ahead):
        p.publish(message(k))

    def rest(child):
        text, got, lost, number = child.hear().split()
        assert child.join() == 0
        assert int(got) + int(lost) == int(number) <= p.number
        if text != "-":
            assert bytes.fromhex(text) == message(int(number) - 1), "torn or taken for another"
        p.close()
    yield rest


# -- the whole list

def deaths(sends=SENDS, takes=TAKES, publishes=("publish", "publish_batch", "native"), behind=(False, True)):
    """Every scenario with every operation and what the others do meanwhile."""
    for (before, left), how in itertools.product(((0, 0), (3, 1), (6, 3), (5, 2)), sends):
        yield from ((mpsc_producer, how, before, left, busy) for busy in ("", "producer", "consumer", "both"))
        yield from ((spsc_producer, how, before, left, busy) for busy in (False, True))
    for (before, left), how, busy in itertools.product(((0, 1), (3, 3), (6, CAP)), takes, (False, True)):
        yield spsc_consumer, how, before, left, busy
        yield from ((mpsc_consumer, how, before, left, busy, dead) for dead in behind)
    for before, how, busy in itertools.product((0, 1, 3, 4, 9), publishes, (True, False)):
        yield broadcast_publisher, how, before, busy


def pooled():
    for before, busy, buffers, how in itertools.product((0, 1, 3, 4, 9), (False, True), (2, 4, 8), ("buffer", "publish")):
        yield broadcast_publisher, how, before, busy, buffers


def attaches():
    """A side dies while it takes its end over from a dead one: it maps the memory itself, so `states`."""
    for busy in ("", "consumer", "both"):
        yield mpsc_producer, "send", 3, 1, busy, True


def stops(sends=SENDS, takes=TAKES):
    for (before, left), how in itertools.product(((0, 0), (3, 1), (6, 3)), sends):
        yield mpsc_producer_stands_still, how, before, left
    for (before, left), how in itertools.product(((0, 1), (3, 1), (6, 3)), takes):
        yield mpsc_consumer_stands_still, how, before, left


def overtaken(validate=True):
    """Laps of exactly 1, 2 and CAP, one more and one less, over a reader in the middle of a message."""
    for before, ahead in itertools.product((1, 3, CAP), (1, CAP - 1, CAP, CAP + 1, 2 * CAP, CAP * CAP)):
        yield broadcast_reader_overtaken, before, ahead, validate


NATIVE = {"sends": ("native",), "takes": ("native",)}
# A consumer behind a dead producer's slot pauses a thousand times before it asks: ten thousand instructions of one state.
EACH = {**NATIVE, "publishes": ("native",), "behind": (False,)}
LISTS = {                       # name: (scenarios, by, and for `make test`: every so many of them, the stride)
    "deaths": (deaths, "stores", 11, 1),
    "pooled": (pooled, "stores", 13, 1),
    "attaches": (attaches, "states", 3, 1),
    "stops": (stops, "stores", 7, 1),
    "overtaken": (overtaken, "instructions", 5, 7),
    "torn": (functools.partial(overtaken, False), "instructions", 1, 3),
    "deaths, instructions": (functools.partial(deaths, **EACH), "instructions", 9, 11),
    "stops, instructions": (functools.partial(stops, **NATIVE), "instructions", 3, 11),
}


def play(name):
    """One of LISTS, whole with FIXWIRE_STEPS=all; prints what was gone through."""
    scenarios, by, share, stride = LISTS[name]
    if os.environ.get("FIXWIRE_STEPS") == "all":
        share = stride = 1
    count = points = 0
    for scenario, *arguments in itertools.islice(scenarios(), 0, None, share):
        count += 1
        points += every(scenario, *arguments, by=by, stride=stride) // stride + 1
    print(f"{name}: {count} operations, ended or stopped at {points} {by}")
    assert points > count
