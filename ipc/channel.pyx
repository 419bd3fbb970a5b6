"""Channel from one producer to one consumer, in two processes or one: `Writer` and `Reader`.

Messages have any length up to the channel's maximum. `pop` is at-most-once (the slot is given back before the caller
sees the message), `peek` and `ack` are at-least-once: a reader that comes after a crash begins at the first message
not acknowledged, and `number` tells it which it has seen before. No system call and no allocation in steady state but
for the Python objects handed out; the C side (`ipc.ring`) makes none.
"""
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.string cimport memcpy

from ipc.atomic cimport load_acquire
from ipc.producer cimport POLICY_DROP_NEW
from ipc.ring cimport (
    RING_CORRUPT,
    RING_OK,
    RING_OVERSIZE,
    ring_attach,
    ring_available,
    ring_commit,
    ring_free_slots,
    ring_octets,
    ring_peek,
    ring_release,
    ring_reserve,
)
from ipc.segment cimport LOCK_CONSUMER, LOCK_PRODUCER, SEGMENT_CHANNEL, SEGMENT_HEADER, Segment, obtain, view
from ipc.wait cimport SEGMENT_WAKEUPS

from ipc.segment import RoleTaken, hugetlbfs
from ipc.wait import RingCorrupt


cdef int sound(Segment segment, ring *r) except -1:
    """Raises where the ring must not be used: its segment says so, or a peer has damaged it."""
    segment.alone()
    if r.verdict == RING_CORRUPT:
        raise RingCorrupt(segment.path, "its counters or a length cannot be", "remove it and create it again")
    return 0


cdef bind(End self, ring *r, name, directory, max_len, capacity, create, wakeups, wait, replace, timeout, lock, hugepages,
          int role, who):
    """Creates or attaches the segment, takes the role, binds the ring; what it made is published last, or taken away."""
    size = 1024 if capacity is None else capacity
    self.segment = obtain(name, SEGMENT_CHANNEL, max_len, size, ring_octets(max_len or 0, size), create,
                          hugetlbfs(directory) if hugepages else directory, SEGMENT_WAKEUPS if wakeups else 0, replace,
                          timeout, lock, (max_len, capacity))
    try:
        self.set_wait(wait)
        if not self.segment.claim(role):
            raise RoleTaken(self.segment.path, f"has a living {who} already", f"end that {who} first", 16)
        if ring_octets(self.segment.max_len, self.segment.capacity) + SEGMENT_HEADER > self.segment.size or \
                not ring_attach(r, self.segment.data, self.segment.max_len, self.segment.capacity):
            raise RingCorrupt(self.segment.path, "its counters cannot be", "remove it and create it again")
        if self.segment.created:
            self.segment.publish()
    except BaseException:
        self.segment.discard()
        raise


cdef class Writer(Producer):
    """The producing end of the channel `name`.

    create     True: make it (FileExistsError if it is there); False: it must be there; None: whichever is needed
    max_len    octets of the longest message (needed to create)
    capacity   messages, a power of two (1,024)
    policy     what a full ring does: `refuse`, `block` (for `block_ns`) or `drop` (the new message, counted)
    wait       `spin`, `yield` or `sleep` (`sleep` needs a channel made with wakeups=True)
    lock       True: this side's mapping is never paged out (mlock; OSError where RLIMIT_MEMLOCK forbids it)
    hugepages  True: the segment lies on hugetlbfs, in `directory` or its first mount; for both sides alike
    """

    def __init__(self, name, max_len=None, capacity=None, *, create=None, directory=None, policy="refuse",
                 block_ns=1_000_000_000, wait="yield", wakeups=False, replace=False, timeout=1.0, lock=False,
                 hugepages=False):
        self.set_policy(policy, block_ns)
        bind(self, &self.r, name, directory, max_len, capacity, create, wakeups, wait, replace, timeout, lock, hugepages,
             LOCK_PRODUCER, "producer")

    cdef int usable(self) except -1:
        return sound(self.segment, &self.r)

    cdef int _vacant(self) except -1:
        """`usable`, and nothing is reserved."""
        self.usable()
        if self.reserved:
            raise ValueError("commit or cancel the reserved message first")
        return 0

    cdef bint ready(self, bint for_room) noexcept nogil:
        return self.r.head - load_acquire(&self.r.shared.tail) != self.r.capacity

    cdef int put(self, const uint8_t *p, uint32_t n) noexcept nogil:
        """ring_verdict: RING_OK when the message is in the ring. Does not wait, does not count."""
        cdef uint8_t *slot = ring_reserve(&self.r, n, 0)
        if slot is NULL:
            return self.r.verdict
        if n:                           # an empty message may come without an address
            memcpy(slot, p, n)
        ring_commit(&self.r, 1)
        self.sent += 1
        self.notify()
        return 0

    cdef int _publish(self, uint64_t k) except -1:
        if k:
            ring_commit(&self.r, k)
            self.sent += k
            self.notify()
        return 0

    def send(self, const uint8_t[::1] message not None):
        """Sends one message. False: it is not in the ring (full: refused, or the deadline passed).

        With policy `drop` True also for a message that was dropped: see `dropped`. ValueError if it is too long.
        """
        cdef int64_t end = 0
        cdef uint32_t n
        cdef const uint8_t *p
        self._vacant()
        n = self.fitting(message.shape[0], self.r.max_len)
        p = &message[0] if n else NULL
        while self.put(p, n) != RING_OK:
            if not self.room(1, &end):
                return self.policy == POLICY_DROP_NEW
        return True

    cdef uint64_t _send_list(self, messages) except? 0:
        cdef uint64_t done = 0, k, total
        cdef int64_t end = 0
        cdef const uint8_t[::1] one
        cdef bint too_long = False
        self._vacant()
        total = len(messages)
        while done < total:
            k = 0
            while done + k < total:
                one = messages[done + k]
                if not self._reserve(one, k):
                    too_long = self.r.verdict == RING_OVERSIZE
                    break
                k += 1
            if too_long and done + k == 0:
                self.fitting(one.shape[0], self.r.max_len)
            self._publish(k)
            done += k
            if too_long or done == total or not self.room(total - done, &end):
                break
        return done

    cdef bint _reserve(self, const uint8_t[::1] message, uint64_t ahead) except -1:
        cdef uint8_t *slot
        cdef Py_ssize_t n = message.shape[0]
        if n > self.r.max_len:
            self.r.verdict = RING_OVERSIZE
            return False
        slot = ring_reserve(&self.r, <uint32_t>n, ahead)
        if slot is not NULL and n:
            memcpy(slot, &message[0], n)
        return slot is not NULL

    cdef uint64_t _send_rows(self, const uint8_t[:, ::1] rows) except? 0:
        cdef uint64_t done = 0, k, total = rows.shape[0]
        cdef uint32_t n
        cdef const uint8_t *p
        cdef uint8_t *slot
        cdef int64_t end = 0
        self._vacant()
        n = self.fitting(rows.shape[1], self.r.max_len)
        p = &rows[0, 0] if n and total else NULL
        while done < total:
            k = 0
            self.segment.copying += 1
            with nogil:
                while done + k < total:
                    slot = ring_reserve(&self.r, n, k)
                    if slot is NULL:
                        break
                    if n:
                        memcpy(slot, p + (done + k) * n, n)
                    k += 1
            self.segment.copying -= 1
            self._publish(k)
            done += k
            if done == total or not self.room(total - done, &end):
                break
        return done

    def reserve(self, n):
        """A writable memoryview of `n` octets in the ring, or None: full, and the policy has counted it. `commit` publishes it.

        Release the view (or leave its `with`) before the channel is closed.
        """
        cdef uint8_t *slot
        cdef int64_t end = 0
        cdef uint32_t octets
        self._vacant()
        octets = self.fitting(n, self.r.max_len)
        while True:
            slot = ring_reserve(&self.r, octets, 0)
            if slot is not NULL:
                self.reserved = True
                return view(self.segment, slot, octets, False)
            if not self.room(1, &end):
                return None

    def commit(self):
        """Publishes the reserved message."""
        self.usable()
        if not self.reserved:
            raise ValueError("nothing is reserved")
        self.reserved = False
        self._publish(1)

    def cancel(self):
        """Forgets the reserved message; nothing was published."""
        self.reserved = False

    @property
    def next_number(self):
        """The number the next message gets; the channel's first was 0."""
        return self.r.head

    @property
    def free(self):
        """Messages that fit now."""
        self.usable()
        return ring_free_slots(&self.r)


cdef class Reader(End):
    """The consuming end of the channel `name`; the parameters are Writer's."""

    def __init__(self, name, max_len=None, capacity=None, *, create=False, directory=None, wait="yield", wakeups=False,
                 replace=False, timeout=1.0, lock=False, hugepages=False):
        bind(self, &self.r, name, directory, max_len, capacity, create, wakeups, wait, replace, timeout, lock, hugepages,
             LOCK_CONSUMER, "consumer")

    cdef int usable(self) except -1:
        return sound(self.segment, &self.r)

    cdef bint ready(self, bint for_room) noexcept nogil:
        return load_acquire(&self.r.shared.head) != self.r.tail

    def peek(self, timeout_ns=0):
        """A read-only memoryview of the first message not acknowledged, or None; waits up to `timeout_ns` (-1: for ever).

        The same one until `ack`. Its number is `number`.
        """
        cdef uint32_t n = 0
        cdef const uint8_t *p
        self._await(timeout_ns)
        p = ring_peek(&self.r, &n, 0)
        if p is NULL:
            self.usable()
            return None
        return view(self.segment, p, n, True)

    def ack(self, uint64_t count=1):
        """Acknowledges the first `count` messages; their slots are the producer's again, views of them say nothing more."""
        self.usable()
        if count > self.r.head - self.r.tail and count > <uint64_t>len(self):
            raise ValueError(f"{count} messages to acknowledge, {len(self)} are there")
        ring_release(&self.r, count)
        self.received += count
        self.notify()

    def pop(self, timeout_ns=0):
        """The next message as bytes, already given back, or None; waits up to `timeout_ns` (-1: for ever)."""
        cdef uint32_t n = 0
        cdef const uint8_t *p
        self._await(timeout_ns)
        p = ring_peek(&self.r, &n, 0)
        if p is NULL:
            self.usable()
            return None
        message = PyBytes_FromStringAndSize(<const char *>p, n)
        ring_release(&self.r, 1)
        self.received += 1
        self.notify()
        return message

    def pop_batch(self, uint64_t most=1024):
        """Up to `most` messages as a list of bytes, given back together."""
        cdef uint32_t n = 0
        cdef uint64_t k = 0
        cdef const uint8_t *p
        self.usable()
        messages = []
        while k < most:
            p = ring_peek(&self.r, &n, k)
            if p is NULL:
                break
            messages.append(PyBytes_FromStringAndSize(<const char *>p, n))
            k += 1
        self._took(k)
        return messages

    def pop_array(self, dtype, uint64_t most=65536):
        """Up to `most` messages of exactly `dtype.itemsize` octets as one structured array (a copy), given back together.

        ValueError if the next message has another length; a batch ends before such a one.
        """
        cdef uint32_t n = 0, size
        cdef uint64_t k = 0, there
        cdef const uint8_t *p
        cdef uint8_t[::1] out
        import numpy
        self.usable()
        dtype = numpy.dtype(dtype)
        size = dtype.itemsize
        if size == 0:
            raise ValueError(f"{dtype} has no octets; empty messages are read with pop")
        there = ring_available(&self.r)
        if there == 0:
            self.usable()
        array = numpy.empty(min(there, most), dtype)
        if not len(array):
            return array
        out = array.reshape(-1).view(numpy.uint8)
        self.segment.copying += 1
        with nogil:
            while k < <uint64_t>(out.shape[0] // size):
                p = ring_peek(&self.r, &n, k)
                if p is NULL or n != size:
                    break
                memcpy(&out[k * size], p, size)
                k += 1
        self.segment.copying -= 1
        if k == 0:
            self.usable()
            raise ValueError(f"message {self.r.tail} has {n} octets, {dtype} has {size}")
        self._took(k)
        return array[:k]

    cdef int _took(self, uint64_t k) except -1:
        if k:
            ring_release(&self.r, k)
            self.received += k
            self.notify()
        elif self.r.verdict == RING_CORRUPT:
            self.usable()
        return 0

    cdef int _await(self, int64_t timeout_ns) except -1:
        """`usable`, and waited for a message as long as is allowed."""
        cdef int64_t end = 0
        self.usable()
        while timeout_ns != 0 and ring_available(&self.r) == 0 and self.linger(False, timeout_ns, &end):
            self.usable()
        return self.usable()

    def wait(self, timeout_ns=-1):
        """True as soon as a message is there; False when `timeout_ns` is over."""
        self._await(timeout_ns)
        return len(self) > 0

    @property
    def number(self):
        """The number of the first message not acknowledged."""
        return self.r.tail

    @property
    def mark(self):
        """A number of the consumer's own that survives it, for its successor: 0 in a new channel."""
        self.segment.check()
        return self.segment.header.mark

    @mark.setter
    def mark(self, uint64_t value):
        self.segment.check()
        self.segment.header.mark = value

    def __len__(self):
        """Messages that are there now."""
        cdef uint64_t head
        self.usable()
        head = load_acquire(&self.r.shared.head)
        if head - self.r.tail > self.r.capacity:
            self.r.verdict = RING_CORRUPT
            self.usable()
        self.r.head = head
        return head - self.r.tail

    def __iter__(self):
        """Pops messages until none is there."""
        while (message := self.pop()) is not None:
            yield message
