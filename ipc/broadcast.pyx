"""One writer that never waits, any number of readers that come and go: `Publisher` and `Subscriber`.

A reader that is lapped is told exactly how many messages it lost: at any time `got + lost` is the number of messages
published since it joined and before `number`. With `buffers=N` messages lie in a pool of N buffers and only 16-octet
descriptors cross the ring: readers look at the buffer in place, without a copy each, and ask afterwards whether it was
recycled meanwhile.
"""
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from ipc.atomic cimport (
    fence_acquire,
    fence_release,
    load_acquire,
    load_relaxed,
    store_relaxed,
    store_release,
)
from ipc.broadcast_ring cimport (
    BROADCAST_CORRUPT,
    BROADCAST_EMPTY,
    BROADCAST_LOST,
    BROADCAST_OK,
    broadcast_at,
    broadcast_attach,
    broadcast_join,
    broadcast_octets,
    broadcast_publish,
    broadcast_read,
    broadcast_resume,
    broadcast_tail_holds,
    broadcast_whole,
)
from ipc.producer cimport octet_rows
from ipc.segment cimport LOCK_PRODUCER, SEGMENT_BROADCAST, SEGMENT_HEADER, SEGMENT_POOL, Segment, obtain, view
from ipc.wait cimport SEGMENT_WAKEUPS

from ipc.segment import RoleTaken, hugetlbfs
from ipc.wait import RingCorrupt

cdef enum:
    BUFFER_HEADER = 64          # before each buffer of a pool: its stamp, alone on its line


cdef uint64_t buffer_stride(uint32_t max_len) noexcept nogil:
    return (BUFFER_HEADER + <uint64_t>max_len + 63) & ~<uint64_t>63


cdef uint64_t *buffer_at(Segment pool, uint64_t k) noexcept nogil:
    """The stamp of buffer `k`; its octets begin BUFFER_HEADER behind. `k` is reduced to what the pool has."""
    return <uint64_t *>(pool.data + (k & (pool.capacity - 1)) * buffer_stride(pool.max_len))


cdef Segment attached_pool(Segment segment, name, directory, max_len, buffers, timeout, lock):
    """The pool of buffers of a broadcast attached, its geometry checked."""
    cdef Segment pool
    if segment.max_len != sizeof(descriptor):
        raise RingCorrupt(segment.path, "its geometry cannot be", "remove it and create it again")
    pool = Segment.attach(name + ".pool", SEGMENT_POOL, directory, max_len, buffers, timeout, lock)
    if pool.capacity * buffer_stride(pool.max_len) + SEGMENT_HEADER > pool.size:
        path = pool.path
        pool.close()
        raise RingCorrupt(path, "its geometry cannot be", "remove it and create it again")
    return pool


cdef class Publisher(Side):
    """The only writer of the broadcast `name`; a second one is refused while this one lives.

    max_len   octets of the longest message (of one buffer, with `buffers`); needed to create
    capacity  messages the ring keeps for readers that fall behind, a power of two (4,096): size it for the longest stall
    buffers   0, or the number of buffers of the pool, a power of two
    wakeups   readers may sleep; costs the writer a full fence a message
    lock      True: this side's mapping is never paged out (mlock; OSError where RLIMIT_MEMLOCK forbids it)
    hugepages True: the segments lie on hugetlbfs, in `directory` or its first mount; for readers alike
    """

    def __init__(self, name, max_len=None, capacity=None, *, create=None, directory=None, buffers=0, wakeups=False,
                 replace=False, timeout=1.0, lock=False, hugepages=False):
        self.open_buffer = -1
        if hugepages:
            directory = hugetlbfs(directory)
        size = 4096 if capacity is None else capacity
        ring_len = sizeof(descriptor) if buffers and max_len is not None else max_len
        self.segment = obtain(name, SEGMENT_BROADCAST, ring_len, size, broadcast_octets(ring_len or 0, size), create,
                              directory, (SEGMENT_WAKEUPS if wakeups else 0) | (BROADCAST_POOLED if buffers else 0),
                              replace, timeout, lock, (ring_len, capacity))
        try:
            if self.segment.created and buffers:
                self.pool = Segment.create(name + ".pool", SEGMENT_POOL, max_len, buffers,
                                           buffers * buffer_stride(max_len), directory, 0, True, lock)
            elif self.segment.flags & BROADCAST_POOLED:
                self.pool = attached_pool(self.segment, name, directory, max_len, buffers or None, timeout, lock)
            if not self.segment.claim(LOCK_PRODUCER) or not (self.pool is None or self.pool.claim(LOCK_PRODUCER)):
                raise RoleTaken(self.segment.path, "has a living publisher already", "end that publisher first", 16)
            if broadcast_octets(self.segment.max_len, self.segment.capacity) + SEGMENT_HEADER > self.segment.size:
                raise RingCorrupt(self.segment.path, "its geometry cannot be", "remove it and create it again")
            broadcast_attach(&self.b, self.segment.data, self.segment.max_len, self.segment.capacity)
            if not broadcast_tail_holds(&self.b, self.b.next):
                raise RingCorrupt(self.segment.path, "its tail cannot be", "remove it and create it again")
            broadcast_resume(&self.b)
            for made in (self.pool, self.segment):
                if made is not None and made.created:
                    made.publish()
        except BaseException:
            self.segment.discard()
            if self.pool is not None:
                self.pool.discard()
            raise

    cdef bint put(self, const uint8_t *p, uint32_t n) noexcept nogil:
        """Publishes a copy; False if it is too long (counted)."""
        if not broadcast_publish(&self.b, p, n):
            self.oversize += 1
            return False
        self.notify()
        return True

    def publish(self, const uint8_t[::1] message not None):
        """Publishes one message and returns its number. ValueError if it is too long. With a pool: copied into a buffer."""
        cdef Py_ssize_t n = message.shape[0]
        self.segment.alone()
        if self.pool is not None:
            self._fitting(n, self.pool.max_len)
            if self.open_buffer >= 0:
                raise ValueError("publish the buffer handed out first")
            with self.buffer() as room:
                room[:n] = message
            return self.publish_buffer(n)
        self._fitting(n, self.b.max_len)
        self.put(&message[0] if n else NULL, <uint32_t>n)
        return self.b.next - 1

    cdef int _fitting(self, Py_ssize_t n, uint32_t max_len) except -1:
        if n < 0 or n > max_len:
            self.oversize += 1
            raise ValueError(f"message has {n} octets, the broadcast takes {max_len}")
        return 0

    def publish_batch(self, messages):
        """Publishes each row of a C-contiguous 2-D array of octets or of a structured array; returns how many."""
        cdef const uint8_t[:, ::1] rows
        cdef const uint8_t *p
        cdef Py_ssize_t k
        cdef uint32_t n
        self.segment.alone()
        if self.pool is not None:
            raise ValueError("a pooled broadcast publishes buffers one by one")
        rows = octet_rows(messages)
        self._fitting(rows.shape[1], self.b.max_len)
        n = <uint32_t>rows.shape[1]
        p = &rows[0, 0] if n and rows.shape[0] else NULL
        self.segment.copying += 1
        with nogil:
            for k in range(rows.shape[0]):
                broadcast_publish(&self.b, p + k * n, n)
            self.notify()
        self.segment.copying -= 1
        return rows.shape[0]

    def buffer(self):
        """The pool's next buffer as a writable memoryview; whoever reads what it held before will be told so.

        One at a time, until `publish_buffer`: asked again before, it is the same.
        """
        cdef uint64_t *stamp
        self.segment.alone()
        if self.pool is None:
            raise ValueError("the broadcast has no pool of buffers (buffers=N when it is created)")
        self.pool.check()
        if self.open_buffer < 0:
            self.open_buffer = self.b.next & (self.pool.capacity - 1)
            stamp = buffer_at(self.pool, self.open_buffer)
            store_relaxed(stamp, load_relaxed(stamp) | 1)
            fence_release()
        return view(self.pool, <uint8_t *>buffer_at(self.pool, self.open_buffer) + BUFFER_HEADER, self.pool.max_len, False)

    def publish_buffer(self, n):
        """Publishes the first `n` octets of the buffer handed out; returns the message's number."""
        cdef descriptor d
        cdef uint64_t *stamp
        self.segment.alone()
        if self.open_buffer < 0:
            raise ValueError("take a buffer first")
        self.pool.check()
        self._fitting(n, self.pool.max_len)
        stamp = buffer_at(self.pool, self.open_buffer)
        d.stamp, d.buffer, d.length = (load_relaxed(stamp) | 1) + 1, <uint32_t>self.open_buffer, n
        store_release(stamp, d.stamp)
        self.open_buffer = -1
        self.put(<const uint8_t *>&d, sizeof(descriptor))
        return self.b.next - 1

    @property
    def number(self):
        """The number the next message gets; the first was 0."""
        return self.b.next

    def remove(self):
        """Unlinks the names; readers keep their mappings."""
        self.segment.remove()
        if self.pool is not None:
            self.pool.remove()

    def close(self):
        """Gives the role up and unmaps. BufferError while a buffer's view is held."""
        for s in (self.pool, self.segment):
            if s is not None:
                s.close()


class Borrowed:
    """A message in a buffer of the pool, looked at in place.

    `data` is a read-only memoryview. What was read from it counts only if `valid()` is still True afterwards.
    """

    __slots__ = ("data", "number", "_subscriber", "_buffer", "_stamp")

    def __init__(self, data, number, subscriber, buffer, stamp):
        self.data, self.number = data, number
        self._subscriber, self._buffer, self._stamp = subscriber, buffer, stamp

    def valid(self):
        """True: the buffer has not been recycled since; everything read from `data` so far is the message."""
        return self._subscriber.still(self._buffer, self._stamp)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.data.release()


cdef class Subscriber(Side):
    """A reader of the broadcast `name`. It keeps no place in shared memory: the writer does not know it.

    start   `newest` (the next message published), `oldest` (the oldest still there) or a message number
    wait    `spin`, `yield` or `sleep` (needs a broadcast made with wakeups=True)
    """

    def __init__(self, name, *, directory=None, start="newest", wait="yield", timeout=1.0, lock=False, hugepages=False):
        if hugepages:
            directory = hugetlbfs(directory)
        self.segment = Segment.attach(name, SEGMENT_BROADCAST, directory, None, None, timeout, lock)
        try:
            if broadcast_octets(self.segment.max_len, self.segment.capacity) + SEGMENT_HEADER > self.segment.size:
                raise RingCorrupt(self.segment.path, "its geometry cannot be", "remove it and create it again")
            if self.segment.flags & BROADCAST_POOLED:
                self.pool = attached_pool(self.segment, name, directory, None, None, timeout, lock)
            self.set_wait(wait)
            broadcast_attach(&self.b, self.segment.data, self.segment.max_len, self.segment.capacity)
            self.scratch = <uint8_t *>malloc(self.segment.max_len + 8)
            if self.scratch is NULL:
                raise MemoryError()
            self.join(start)
        except BaseException:
            self.close()
            raise

    def __dealloc__(self):
        free(self.scratch)

    def join(self, start="newest"):
        """Moves to `newest`, `oldest` or a message number.

        What was overwritten from that number on is reported as lost at the next read; one not yet published is waited for.
        """
        cdef uint64_t tail
        self.segment.alone()
        tail = load_acquire(&self.b.shared.tail)
        if not broadcast_tail_holds(&self.b, tail):
            self._corrupt()
        if start == "newest":
            broadcast_join(&self.b, tail)
        elif start == "oldest":
            broadcast_join(&self.b, tail - self.b.capacity if tail > self.b.capacity else 0)
        elif isinstance(start, int) and start >= 0:
            broadcast_join(&self.b, start)
        else:
            raise ValueError(f"start is {start!r}, must be newest, oldest or a message number")

    cdef int get(self, void *out, uint32_t *n) noexcept nogil:
        """broadcast_verdict; goes on after a loss, which is counted."""
        cdef int verdict
        while True:
            verdict = broadcast_read(&self.b, out, n)
            if verdict != BROADCAST_LOST:
                return verdict

    cdef int _corrupt(self) except -1:
        raise RingCorrupt(self.segment.path, "a length, a stamp or the tail cannot be", "remove it and create it again")

    cdef bint ready(self, bint for_room) noexcept nogil:
        return load_acquire(&broadcast_at(&self.b, self.b.next).stamp) >= broadcast_whole(&self.b, self.b.next)

    def wait(self, timeout_ns=-1):
        """True as soon as a message can be read; False when `timeout_ns` is over (-1: never)."""
        cdef bint there
        self.segment.alone()
        there = self.sleep_until(False, timeout_ns)
        self.segment.check()
        return there

    def read(self, int64_t timeout_ns=0):
        """The next message as bytes, or None; waits up to `timeout_ns` (-1: for ever). Look at `lost` to see a gap."""
        cdef uint32_t n = 0
        cdef int64_t end = 0
        cdef int verdict
        self.segment.alone()
        if self.pool is not None:
            raise ValueError("a pooled broadcast is read with borrow()")
        verdict = self.get(self.scratch, &n)
        while verdict == BROADCAST_EMPTY and timeout_ns != 0 and self.linger(False, timeout_ns, &end):
            self.segment.alone()
            verdict = self.get(self.scratch, &n)
        self.segment.check()
        if verdict == BROADCAST_CORRUPT:
            self._corrupt()
        return PyBytes_FromStringAndSize(<const char *>self.scratch, n) if verdict == BROADCAST_OK else None

    def read_batch(self, most=1024):
        """Up to `most` messages as a list of bytes; a gap in front of or between them shows in `lost`."""
        messages = []
        while len(messages) < most and (m := self.read()) is not None:
            messages.append(m)
        return messages

    def read_array(self, dtype, uint64_t most=65536):
        """Up to `most` messages of exactly `dtype.itemsize` octets as one structured array.

        (array, numbers lost): the loss lies before the array's first message; a batch ends before another loss, and
        before a message of another length. That one, as the first, is a ValueError, and skipped.
        """
        cdef uint32_t n = 0, size
        cdef uint64_t k = 0, before = self.b.lost, there, tail, next, got, lost
        cdef int verdict = BROADCAST_EMPTY
        cdef uint8_t[::1] out
        import numpy
        self.segment.alone()
        if self.pool is not None:
            raise ValueError("a pooled broadcast is read with borrow()")
        dtype = numpy.dtype(dtype)
        size = dtype.itemsize
        if size == 0:
            raise ValueError(f"{dtype} has no octets; empty messages are read with read")
        tail = load_acquire(&self.b.shared.tail)
        # one more than the tail says: a publisher killed just before it wrote the tail has published
        there = min((tail - self.b.next if tail > self.b.next else 0) + 1, most, self.b.capacity)
        array = numpy.empty(there, dtype)
        if not there:
            return array, 0
        out = array.reshape(-1).view(numpy.uint8)
        self.segment.copying += 1
        with nogil:
            while k < there:
                next, got, lost = self.b.next, self.b.got, self.b.lost
                verdict = broadcast_read(&self.b, self.scratch, &n)
                if verdict == BROADCAST_LOST and k == 0:
                    continue
                if verdict != BROADCAST_OK or n != size:
                    if k:                       # for the next call, which begins with it
                        self.b.next, self.b.got, self.b.lost = next, got, lost
                    break
                memcpy(&out[k * size], self.scratch, size)
                k += 1
        self.segment.copying -= 1
        if k == 0 and verdict == BROADCAST_CORRUPT:
            self._corrupt()
        if k == 0 and verdict == BROADCAST_OK:
            raise ValueError(f"message {self.b.next - 1} has {n} octets, {dtype} has {size}")
        return array[:k], self.b.lost - before

    def borrow(self):
        """The next message of a pooled broadcast in place, a Borrowed, or None. Ask it `valid()` after use."""
        cdef descriptor d
        cdef uint32_t n = 0
        cdef int verdict
        self.segment.alone()
        if self.pool is None:
            raise ValueError("the broadcast has no pool of buffers")
        self.pool.check()
        while True:
            verdict = self.get(&d, &n)
            if verdict == BROADCAST_CORRUPT:
                self._corrupt()
            if verdict != BROADCAST_OK:
                return None
            if n != sizeof(descriptor) or d.buffer >= self.pool.capacity or d.length > self.pool.max_len:
                self._corrupt()
            if load_acquire(buffer_at(self.pool, d.buffer)) != d.stamp:
                self.b.got -= 1             # recycled before we came to look
                self.b.lost += 1
                continue
            data = view(self.pool, <uint8_t *>buffer_at(self.pool, d.buffer) + BUFFER_HEADER, d.length, True)
            return Borrowed(data, self.b.next - 1, self, d.buffer, d.stamp)

    def still(self, uint32_t buffer, uint64_t stamp):
        """True while `buffer` of the pool carries `stamp`: what was read from it before this call was whole."""
        if self.pool is None:
            raise ValueError("the broadcast has no pool of buffers")
        self.pool.check()
        fence_acquire()
        return load_relaxed(buffer_at(self.pool, buffer)) == stamp

    @property
    def number(self):
        """The number of the message read next."""
        return self.b.next

    @property
    def got(self):
        """Messages read."""
        return self.b.got

    @property
    def lost(self):
        """Messages overwritten before they could be read."""
        return self.b.lost

    @property
    def behind(self):
        """Messages published and not yet read, as far as the writer has counted them."""
        cdef uint64_t tail
        self.segment.check()
        tail = load_acquire(&self.b.shared.tail)        # may stand one behind a message already readable
        return tail - self.b.next if tail > self.b.next else 0

    def _without_validation(self):
        """For the test that shows what the second look at the stamp is for: accepts torn messages from now on."""
        self.b.validate = False

    def close(self):
        """Unmaps. BufferError while borrowed messages are held."""
        for s in (self.pool, self.segment):
            if s is not None:
                s.close()

    def __iter__(self):
        """Reads messages until none is there."""
        while (message := self.read()) is not None:
            yield message
