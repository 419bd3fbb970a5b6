"""Fuzzed: shared-memory segments of every kind whose octets are written over, by both ends that attach them.

The input names a segment and what happens to it: octets of its header or its ring change, before it is attached or under
those who have it, and ends come and go, send, read, acknowledge. Only documented errors may come of that; what is handed
out lies in the mapping, whole; the numbers add up. Until an octet has been changed, what comes out is what went in.
Attaching is Python, so Python runs for an input.
"""
import atexit
import functools
import mmap
import os
import shutil
import tempfile
import traceback
import zlib

from cpython.memoryview cimport PyMemoryView_GET_BUFFER
from libc.stddef cimport size_t
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

from fuzz_input cimport fuzz_input, fuzz_octet, harness, left, take8, take16, take_near
from ipc.broadcast_ring cimport broadcast_octets
from ipc.mpsc cimport mpsc_octets
from ipc.ring cimport ring_octets
from ipc.segment cimport SEGMENT_CONSTANT, SEGMENT_HEADER, Segment, segment_header
from ipc.wait cimport Side

from ipc.broadcast import Publisher, Subscriber
from ipc.channel import Reader, Writer
from ipc.mpsc import MpscReader, MpscWriter
from ipc.segment import SegmentError, segments

cdef enum:
    CHANNEL = 0
    MPSC = 1
    BROADCAST = 2
    POOL = 3
    STEPS = 60

GEOMETRIES = (8, 1), (1, 2), (24, 4), (496, 8)      # octets of the longest message, messages
NOTHING = object()                                  # the call raised an error it may raise

cdef int planted = 0    # 1: a message that fills its slot is said to be too long
cdef volatile uint8_t seen      # octets are looked at, not only pointed to


cdef bytes text(uint64_t number, uint32_t n):
    return bytes([fuzz_octet(<uint32_t>(number * 64 + i)) for i in range(n)])


cdef void sum_up(segment_header *h) except *:
    cdef segment_header constant = h[0]
    constant.creator = constant.start_time = 0
    h.sum = <uint32_t>zlib.crc32((<const uint8_t *>&constant)[:SEGMENT_CONSTANT])


class Made:
    """A segment that is whole, the octets of its files, and what was sent: {number: message}, the numbers next and first."""

    def __init__(self, kind, max_len, capacity, wakeups):
        self.where, self.sent, self.next, self.first = tempfile.mkdtemp(dir=folder()), {}, 0, 0
        self.max_len, self.capacity = max_len, capacity
        given = {"directory": self.where, "create": True, "wakeups": wakeups}
        messages = [text(k, k * 7 % (max_len + 1)) for k in range(2 * capacity + 1)]
        if kind == BROADCAST or kind == POOL:
            with Publisher("x", max_len, capacity, buffers=4 if kind == POOL else 0, **given) as w:
                for m in messages:
                    self.sent[w.publish(m)] = m
        else:
            ends = (Writer, Reader) if kind == CHANNEL else (MpscWriter, MpscReader)
            with ends[0]("x", max_len, capacity, **given) as w, ends[1]("x", directory=self.where) as r:
                for k, m in enumerate(messages):
                    while k - self.first > capacity // 2:
                        assert r.pop() == self.sent[self.first]
                        self.first += 1
                    assert w.send(m)
                    self.sent[k] = m
        self.next = len(messages)
        self.files = [open(os.path.join(self.where, n), "r+b") for n in sorted(os.listdir(self.where))]
        self.maps = [mmap.mmap(f.fileno(), 0) for f in self.files]
        self.whole = [bytes(m) for m in self.maps]

    def mend(self):
        for f, m, whole in zip(self.files, self.maps, self.whole, strict=True):
            if os.fstat(f.fileno()).st_size != len(whole):
                os.truncate(f.fileno(), len(whole))
            m[:] = whole


@functools.cache
def folder():
    where = tempfile.mkdtemp(prefix="fixwire-fuzz-")
    atexit.register(shutil.rmtree, where, True)
    return where


made = functools.cache(Made)


cdef class Play:
    cdef fuzz_input in_
    cdef int kind
    cdef object made, writer, other, reader
    cdef dict sent
    cdef uint64_t next          # number of the next message sent
    cdef uint64_t taken         # of a channel: number of the next one read
    cdef uint64_t joined        # of a broadcast's reader: where it began, less what it has told of
    cdef bint touched           # an octet has been changed
    cdef bint exact             # what comes is known: nothing changed, nobody left a slot reserved
    cdef const char *why

    cdef void wrong(self, const char *why):
        if self.why == NULL:
            self.why = why

    def attempt(self, call, *given, usage=False, **named):
        """What the call gives, or NOTHING: it raised what it may. `usage`: what is asked of it may be nonsense."""
        try:
            return call(*given, **named)
        except (SegmentError, FileNotFoundError):
            if not self.touched:
                self.wrong(b"an error, and nothing was changed")
        except ValueError:
            if self.exact and not usage:
                self.wrong(b"a usage error, and nothing was asked wrongly")
        return NOTHING

    # -- what is handed out

    cdef void inside(self, Segment s, object view, bint filled) except *:
        """The view is in the mapping and no longer than a message; its octets are looked at, or (`not filled`) written."""
        cdef uint8_t *p = <uint8_t *>PyMemoryView_GET_BUFFER(view).buf
        cdef uint64_t n = <uint64_t>PyMemoryView_GET_BUFFER(view).len, i
        cdef uint8_t *begin = <uint8_t *>s.header
        global seen
        if p < begin + SEGMENT_HEADER or p > begin + s.size or n > <uint64_t>(begin + s.size - p):
            self.wrong(b"what is handed out is not in the segment")
        elif n + planted > s.max_len:
            self.wrong(b"what is handed out is longer than a message may be")
        else:
            for i in range(n):
                if filled:
                    seen = p[i]
                else:
                    p[i] = fuzz_octet(<uint32_t>(self.next * 64 + i))

    cdef void came(self, object message, uint64_t number) except *:
        """A message was read under this number."""
        if <uint64_t>len(message) + planted > self.largest():
            self.wrong(b"a message is longer than it may be")
        if self.exact and self.sent.get(number) != message:
            self.wrong(b"another message than was sent")

    cdef uint64_t largest(self):
        cdef Side end = self.reader if self.reader is not None else self.writer
        return (<Segment>end.pool if self.kind == POOL else end.segment).max_len

    cdef bint spans(self, Side end) except *:
        """All the ring's memory is the segment's."""
        cdef Segment s = end.segment
        if self.kind == CHANNEL:
            return SEGMENT_HEADER + ring_octets(s.max_len, s.capacity) <= s.size
        if self.kind == MPSC:
            return SEGMENT_HEADER + mpsc_octets(s.max_len, s.capacity) <= s.size
        return SEGMENT_HEADER + broadcast_octets(s.max_len, s.capacity) <= s.size

    # -- what the input asks for

    cdef void change(self, bint pool, bint summed) except *:
        """A word of a file becomes another; `summed`: by one who knows how the header is summed."""
        cdef uint8_t[::1] octets = self.made.maps[pool and self.kind == POOL]
        cdef uint32_t where = take8(&self.in_), how = take8(&self.in_), size, at, width
        cdef uint64_t word = 0, base
        cdef int32_t near = 0
        size = <uint32_t>min(octets.shape[0], os.fstat(self.made.files[pool and self.kind == POOL].fileno()).st_size)
        at = where if where < 128 else SEGMENT_HEADER + ((where - 128) * 8 if where < 192 else take16(&self.in_))
        width = 1 if how & 3 == 0 else 4 if how & 3 == 1 else 8
        if at + width > size:
            return
        memcpy(&word, &octets[at], width)
        how = how >> 2 & 7
        if how >= 3 and how != 7:
            near = take_near(&self.in_, 3)
        if how == 0:
            for _ in range(width):
                word = word << 8 | take8(&self.in_)
        elif how <= 2:
            word = 0 if how == 1 else ~<uint64_t>0
        elif how == 7:
            word = <uint64_t>1 << take8(&self.in_) % 64
        else:
            base = self.made.max_len if how == 4 else self.made.capacity if how == 5 else size
            word = (word if how == 3 else base) + <uint64_t><int64_t>near
        memcpy(&octets[at], &word, width)
        if at < SEGMENT_HEADER and summed:
            sum_up(<segment_header *>&octets[0])
        self.touched, self.exact = True, False

    cdef void cut(self, bint pool) except *:
        """The file is shorter, or longer, while nobody has it open."""
        cdef uint32_t n = take16(&self.in_)
        f = self.made.files[pool and self.kind == POOL]
        os.truncate(f.fileno(), n)
        self.touched, self.exact = True, False

    cdef void open_writer(self, uint8_t op) except *:
        given = {"directory": self.made.where, "timeout": 0}
        if self.kind == BROADCAST or self.kind == POOL:
            w = self.attempt(Publisher, "x", **given)
        else:
            w = self.attempt(Writer if self.kind == CHANNEL else MpscWriter, "x", policy="drop" if op & 16 else "refuse", **given)
        if w is NOTHING:
            return
        if not self.spans(w):
            self.wrong(b"a ring larger than its segment was attached")
        if self.writer is None:
            self.writer = w
        else:
            self.other = w              # of many producers

    cdef void open_reader(self, uint8_t op) except *:
        given = {"directory": self.made.where, "timeout": 0}
        if self.kind == BROADCAST or self.kind == POOL:
            start = ("newest", "oldest", take8(&self.in_), (1 << 62) + take8(&self.in_))[op >> 4 & 3]
            r = self.attempt(Subscriber, "x", start=start, **given)
        else:
            r = self.attempt(Reader if self.kind == CHANNEL else MpscReader, "x", **given)
        if r is NOTHING:
            return
        if not self.spans(r):
            self.wrong(b"a ring larger than its segment was attached")
        self.reader = r
        if self.kind == BROADCAST or self.kind == POOL:
            self.joined = r.number
            self.exact = self.exact and r.number <= self.next

    cdef object message(self, Side w, uint32_t n):
        return text(self.next, <uint32_t>(n % (<uint64_t>w.segment.max_len + 2 if self.kind != POOL else 500)))

    cdef void sent_one(self, object m, object done, uint64_t dropped) except *:
        """One message was given to a channel; `done` is what it said, `dropped` how many it has just dropped."""
        if self.exact and (done and not dropped) != (self.next - self.taken < self.made.capacity):
            self.wrong(b"room where there is none, or none where there is")
        if done and not dropped:
            self.sent[self.next] = m
            self.next += 1

    cdef void send(self, w, uint8_t op) except *:
        cdef uint64_t dropped
        m = self.message(w, take8(&self.in_) if op & 32 else take16(&self.in_))
        if self.kind == BROADCAST or self.kind == POOL:
            number = self.attempt(w.publish, m, usage=True)
            if number is not NOTHING:
                self.sent[number] = m
                if self.exact and number != self.next:
                    self.wrong(b"a number that was not due")
                self.next = number + 1 & ~<uint64_t>0
        else:
            dropped = w.dropped
            done = self.attempt(w.send, m, usage=True)
            if done is not NOTHING:
                self.sent_one(m, done, w.dropped - dropped)

    cdef void send_many(self, w, uint8_t op) except *:
        count = take8(&self.in_) % 10
        messages = [text(self.next + k, w.segment.max_len) for k in range(count)]
        if self.kind == POOL:
            return
        if op & 32 or self.kind == BROADCAST:
            import numpy
            messages = numpy.frombuffer(b"".join(messages), "u1").reshape(count, w.segment.max_len)
        done = self.attempt(w.publish_batch if self.kind == BROADCAST else w.send_batch, messages)
        if done is not NOTHING:
            for k in range(done):
                self.sent[self.next + k] = bytes(messages[k])
            self.next += done

    cdef void send_in_place(self, w, uint8_t op) except *:
        m = self.message(w, take8(&self.in_))
        if self.kind == BROADCAST:
            return
        room = self.attempt(w.buffer) if self.kind == POOL else self.attempt(w.reserve, len(m), usage=True)
        if room is NOTHING or room is None:
            return
        with room:
            self.inside((<Side>w).segment if self.kind != POOL else w.pool, room, False)
        if self.kind == POOL:
            number = self.attempt(w.publish_buffer, len(m), usage=True)
            if number is not NOTHING:
                self.sent[number] = m
                self.next = number + 1 & ~<uint64_t>0
        elif op & 32 and self.kind == CHANNEL:
            w.cancel()
        elif op & 64 and self.kind == MPSC:
            self.exact = False          # nobody commits it while this producer lives
        else:
            done = self.attempt(w.commit)
            if done is not NOTHING:
                self.sent_one(m, done is not False, 0)

    cdef void peek(self, r) except *:
        if self.kind == POOL:
            self.borrow(r)
            return
        if self.kind == BROADCAST:
            return
        m = self.attempt(r.peek)
        if m is not NOTHING and m is not None:
            with m:
                self.inside((<Side>r).segment, m, True)
                self.came(bytes(m), r.number)

    cdef void borrow(self, r) except *:
        m = self.attempt(r.borrow)
        if m is NOTHING or m is None:
            return
        with m:
            self.inside(r.pool, m.data, True)
            if self.exact and not m.valid():
                self.wrong(b"a buffer is said to have been recycled")
            self.came(bytes(m.data), m.number)

    cdef void acknowledge(self, r) except *:
        cdef uint64_t count = take8(&self.in_) % 10 if self.kind == CHANNEL else 1
        if self.kind == BROADCAST or self.kind == POOL:
            return
        there = self.next - self.taken
        done = self.attempt(r.ack, *(count,) if self.kind == CHANNEL else (), usage=count > there)
        if done is not NOTHING:
            self.taken += count

    cdef void read(self, r) except *:
        if self.kind == POOL:
            self.borrow(r)
            return
        m = self.attempt(r.read if self.kind == BROADCAST else r.pop)
        if m is NOTHING:
            return
        if m is not None:
            self.came(m, r.number - 1 & ~<uint64_t>0)
            self.taken += 1
        elif self.exact and (r.number if self.kind == BROADCAST else self.taken) != self.next:
            self.wrong(b"a message is not there")

    cdef void read_many(self, r, uint8_t op) except *:
        cdef uint64_t before
        most = take8(&self.in_) % 12
        if self.kind == POOL:
            return
        if op & 32:
            size = take8(&self.in_) % 32 + 1
            before = r.number
            got = self.attempt(r.read_array if self.kind == BROADCAST else r.pop_array, f"V{size}", most, usage=True)
            if got is NOTHING:
                return
            if self.kind == BROADCAST:
                before = r.number - len(got[0])
                got = got[0]
            elif self.exact and r.number - before != len(got):
                self.wrong(b"numbers and an array do not agree")
            got = [got[k].tobytes() for k in range(len(got))]
        else:
            got = self.attempt(r.read_batch if self.kind == BROADCAST else r.pop_batch, most)
            if got is NOTHING:
                return
            before = r.number - len(got)
        for k, m in enumerate(got):
            if self.kind != BROADCAST:
                self.came(m, before + k)
        self.taken += len(got)

    cdef void look(self, uint8_t op) except *:
        if op & 16:
            segments(self.made.where)
        for end in (self.writer, self.other, self.reader):
            if end is not None:
                self.attempt(getattr, end.segment, "state")
                for name in ("free", "next_number", "number", "mark", "behind", "got", "lost", "abandoned", "capacity"):
                    self.attempt(getattr, end, name, None)
                if hasattr(type(end), "__len__"):
                    self.attempt(len, end)

    cdef void close(self, uint8_t op) except *:
        which = op >> 4 & 3
        end = self.reader if which == 0 else self.other if which == 1 else self.writer
        if end is None:
            return
        end.close()
        if which == 0:
            self.reader = None
        elif which == 1:
            self.other = None
        else:
            self.writer, self.other = self.other, None

    cdef void step(self) except *:
        cdef uint8_t op = take8(&self.in_), what = op & 15
        w = self.other if op & 128 and self.other is not None else self.writer
        if what <= 2:
            self.change(op & 64, not op & 128)
        elif what == 3:
            if self.writer is None and self.reader is None:
                self.cut(op & 64)
        elif what == 4:
            if self.writer is None or (self.kind == MPSC and self.other is None):
                self.open_writer(op)
        elif what == 5:
            if self.reader is None:
                self.open_reader(op)
        elif what == 6:
            self.close(op)
        elif what == 15:
            self.look(op)
        elif what <= 10:
            if w is not None:
                if what <= 8:
                    self.send(w, op)
                elif what == 9:
                    self.send_in_place(w, op)
                else:
                    self.send_many(w, op)
        elif self.reader is not None:
            if what == 11:
                self.peek(self.reader)
            elif what == 12:
                self.acknowledge(self.reader)
            elif what == 13:
                self.read(self.reader)
            else:
                self.read_many(self.reader, op)
        if self.reader is not None and (self.kind == BROADCAST or self.kind == POOL) and \
                self.reader.number != (self.joined + self.reader.got + self.reader.lost & ~<uint64_t>0):
            self.wrong(b"got and lost are not all there were")

    cdef void settle(self) except *:
        """Nothing was changed: everything that was sent can be read."""
        for _ in range(2 * self.made.capacity + 2):
            if self.exact and self.why == NULL:
                self.read(self.reader)
        if self.exact and self.kind != BROADCAST and self.kind != POOL and self.taken != self.next:
            self.wrong(b"what was sent does not come")

    cdef const char *play(self, const uint8_t *data, size_t n) except? NULL:
        cdef uint8_t kind
        cdef uint32_t steps = 0
        self.in_.p, self.in_.end, self.why = data, data + n, NULL
        kind = take8(&self.in_)
        self.kind = kind & 3
        self.made = made(self.kind, *GEOMETRIES[kind >> 2 & 3], kind & 16 != 0)
        self.made.mend()
        self.sent, self.next, self.taken = dict(self.made.sent), self.made.next, self.made.first
        self.exact = True
        try:
            while self.why == NULL and left(&self.in_) and steps < STEPS:
                steps += 1
                self.step()
            if self.reader is not None and self.exact:
                self.settle()
        finally:
            for end in (self.writer, self.other, self.reader):
                if end is not None:
                    end.close()
        return self.why


cdef const char *run(const uint8_t *data, size_t n) noexcept nogil:
    cdef const char *why
    with gil:
        try:
            why = Play().play(data, n)
        except Exception:
            traceback.print_exc()
            why = b"an error that no documentation names"
        return why


ENTRY = harness(run, &planted)
