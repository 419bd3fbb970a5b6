"""Many producers, one consumer: `MpscWriter` and `MpscReader`, over one ring.

Messages of one producer arrive in its order. A producer killed at any point stalls nobody: what it had reserved and not
committed is skipped and counted by the consumer (`abandoned`). A producer that merely sleeps between reserve and commit
holds up the messages behind it: it is alive, and its message may still come.
"""
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.string cimport memcpy

from ipc.atomic cimport compare_and_swap, load_acquire, load_relaxed, pause, store_relaxed, store_release
from ipc.producer cimport POLICY_DROP_NEW
from ipc.segment cimport LOCK_CONSUMER, LOCK_PRODUCERS, SEGMENT_HEADER, SEGMENT_MPSC, Segment, obtain, view
from ipc.wait cimport SEGMENT_WAKEUPS

from ipc.segment import RoleTaken, hugetlbfs
from ipc.wait import RingCorrupt

cdef enum:
    ASK_EVERY = 64              # looks at a reserved slot between two questions to the kernel whether its producer lives
    ASK_AFTER = 1000            # pauses, 20 to 40 us, before the first: a living one has committed by then


cdef inline uint64_t word(uint64_t number, uint32_t producer, int phase) noexcept nogil:
    return number << 8 | <uint64_t>producer << 2 | phase


cdef inline uint64_t number_of(uint64_t state) noexcept nogil:
    return state >> 8


cdef inline mpsc_slot *mpsc_at(mpsc_ring *m, uint64_t number) noexcept nogil:
    return <mpsc_slot *>(m.slots + (number & m.mask) * m.stride)


cdef inline bint dead(uint64_t state, Segment segment) noexcept nogil:
    """Who reserved the slot in that state lives no more."""
    return not segment.held(LOCK_PRODUCERS + ((state >> 2) & 63))


cdef open_ring(End self, mpsc_ring *m, name, directory, max_len, capacity, create, wakeups, replace, timeout, lock,
               hugepages):
    """Creates or attaches the segment and binds the ring; one it made is still to be published."""
    cdef uint64_t i
    size = 1024 if capacity is None else capacity
    self.segment = obtain(name, SEGMENT_MPSC, max_len, size, mpsc_octets(max_len or 0, size), create,
                          hugetlbfs(directory) if hugepages else directory, SEGMENT_WAKEUPS if wakeups else 0,
                          replace, timeout, lock, (max_len, capacity))
    m.shared = <mpsc_shared *>self.segment.data
    m.slots = self.segment.data + sizeof(mpsc_shared)
    m.capacity, m.mask = self.segment.capacity, self.segment.capacity - 1
    m.max_len, m.stride = self.segment.max_len, mpsc_stride(self.segment.max_len)
    if mpsc_octets(m.max_len, m.capacity) + SEGMENT_HEADER > self.segment.size:
        raise RingCorrupt(self.segment.path, "its geometry cannot be", "remove it and create it again")
    if self.segment.created:
        for i in range(m.capacity):
            mpsc_at(m, i).state = word(i, 0, MPSC_FREE)


cdef class MpscWriter(Producer):
    """One of up to 64 producers of the channel `name`; parameters as of channel.Writer."""

    def __init__(self, name, max_len=None, capacity=None, *, create=None, directory=None, policy="refuse",
                 block_ns=1_000_000_000, wait="yield", wakeups=False, replace=False, timeout=1.0, lock=False,
                 hugepages=False):
        self.set_policy(policy, block_ns)
        try:
            open_ring(self, &self.m, name, directory, max_len, capacity, create, wakeups, replace, timeout, lock, hugepages)
            self.set_wait(wait)
            for k in range(MPSC_PRODUCERS):
                if self.segment.claim(LOCK_PRODUCERS + k):
                    self.producer = k
                    break
            else:
                raise RoleTaken(self.segment.path, f"has {MPSC_PRODUCERS} living producers already", "end one first", 16)
            self._recover()
            if self.segment.created:
                self.segment.publish()
        except BaseException:
            self.segment.discard()
            raise

    cdef int _recover(self) except -1:
        """Slots a dead predecessor of our number reserved: nobody else would ever find their producer dead again."""
        cdef uint64_t i, state
        for i in range(self.m.capacity):
            state = load_acquire(&mpsc_at(&self.m, i).state)
            if state & 3 == MPSC_RESERVED and (state >> 2) & 63 == self.producer:
                compare_and_swap(&mpsc_at(&self.m, i).state, state, state & ~<uint64_t>3 | MPSC_ABANDONED)
        return 0

    cdef int usable(self) except -1:
        self.segment.alone()
        if self.corrupt:
            raise RingCorrupt(self.segment.path, "its head or a slot's number cannot be", "remove it and create it again")
        return 0

    cdef int _vacant(self) except -1:
        """`usable`, and nothing is reserved."""
        self.usable()
        if self.held is not NULL:
            raise ValueError("commit or cancel the reserved message first")
        return 0

    cdef bint ready(self, bint for_room) noexcept nogil:
        cdef uint64_t head = load_acquire(&self.m.shared.head)
        return number_of(load_acquire(&mpsc_at(&self.m, head).state)) + self.m.capacity != head

    cdef uint8_t *claim(self) noexcept nogil:
        """A slot of ours alone (also in `held`), or NULL: full, or `corrupt`."""
        cdef uint64_t head, state
        cdef mpsc_slot *slot
        while True:
            head = load_acquire(&self.m.shared.head)
            slot = mpsc_at(&self.m, head)
            state = load_acquire(&slot.state)
            if state == word(head, 0, MPSC_FREE) and head >> 56 == 0:       # a hint is 64 bits, a slot's number 56
                if compare_and_swap(&slot.state, state, word(head, self.producer, MPSC_RESERVED)):
                    compare_and_swap(&self.m.shared.head, head, head + 1)
                    self.held = slot
                    self.held_state = word(head, self.producer, MPSC_RESERVED)
                    return <uint8_t *>(slot + 1)
            elif number_of(state) == head or number_of(state) == head + self.m.capacity:
                # Somebody has it, or had it and it was given back already: he may have died before moving the hint on.
                compare_and_swap(&self.m.shared.head, head, head + 1)
            elif load_acquire(&self.m.shared.head) == head:
                # The hint stood still while we looked, so the slot is of the round before, or nothing that can be.
                self.corrupt = number_of(state) + self.m.capacity != head
                return NULL

    cdef bint commit_held(self, uint32_t n) noexcept nogil:
        """Publishes the slot held; False if the consumer has given us up for dead meanwhile."""
        cdef mpsc_slot *slot = self.held
        self.held = NULL
        store_relaxed(&slot.length, n)
        if not compare_and_swap(&slot.state, self.held_state, self.held_state + (MPSC_COMMITTED - MPSC_RESERVED)):
            return False
        self.sent += 1
        self.notify()
        return True

    cdef bint _claimed(self, uint64_t count, int64_t *end) except -1:
        """A slot is `held`; False: the ring is full and the policy has counted `count` messages."""
        while self.claim() is NULL:
            if not self.room(count, end):
                return False
        return True

    def send(self, const uint8_t[::1] message not None):
        """Sends one message; False: not sent (as Writer.send)."""
        cdef uint32_t n
        cdef int64_t end = 0
        self._vacant()
        n = self.fitting(message.shape[0], self.m.max_len)
        if not self._claimed(1, &end):
            return self.policy == POLICY_DROP_NEW
        if n:
            memcpy(self.held + 1, &message[0], n)
        return self.commit_held(n)

    cdef uint64_t _send_list(self, messages) except? 0:
        cdef uint64_t done = 0, total
        cdef int64_t end = 0
        cdef const uint8_t[::1] one
        cdef uint32_t n
        self._vacant()
        total = len(messages)
        while done < total:
            one = messages[done]
            if done and one.shape[0] > self.m.max_len:
                break
            n = self.fitting(one.shape[0], self.m.max_len)
            if not self._claimed(total - done, &end):
                break
            if n:
                memcpy(self.held + 1, &one[0], n)
            done += self.commit_held(n)
        return done

    cdef uint64_t _send_rows(self, const uint8_t[:, ::1] rows) except? 0:
        cdef uint64_t done = 0, total = rows.shape[0]
        cdef uint32_t n
        cdef const uint8_t *p
        cdef int64_t end = 0
        self._vacant()
        n = self.fitting(rows.shape[1], self.m.max_len)
        p = &rows[0, 0] if n and total else NULL
        while done < total:
            self.segment.copying += 1
            with nogil:
                while done < total and self.claim() is not NULL:
                    if n:
                        memcpy(self.held + 1, p + done * n, n)
                    self.commit_held(n)
                    done += 1
            self.segment.copying -= 1
            if done == total or not self.room(total - done, &end):
                break
        return done

    def reserve(self, n):
        """A writable memoryview of `n` octets that `commit` publishes, or None: full, and the policy has counted it."""
        cdef int64_t end = 0
        self._vacant()
        cdef uint32_t octets = self.fitting(n, self.m.max_len)
        if not self._claimed(1, &end):
            return None
        self.held_length = octets
        return view(self.segment, <uint8_t *>(self.held + 1), octets, False)

    def commit(self):
        """Publishes the reserved message; False if the consumer took us for dead (it never does while we live)."""
        self.usable()
        if self.held is NULL:
            raise ValueError("nothing is reserved")
        return self.commit_held(self.held_length)

    def cancel(self):
        """Gives the reserved message up: the consumer skips its slot and counts it as abandoned."""
        self.segment.check()
        if self.held is not NULL:
            compare_and_swap(&self.held.state, self.held_state, self.held_state + (MPSC_ABANDONED - MPSC_RESERVED))
            self.held = NULL
            self.notify()


cdef class MpscReader(End):
    """The only consumer of the channel `name`; parameters as of channel.Reader."""

    def __init__(self, name, max_len=None, capacity=None, *, create=False, directory=None, wait="yield", wakeups=False,
                 replace=False, timeout=1.0, lock=False, hugepages=False):
        try:
            open_ring(self, &self.m, name, directory, max_len, capacity, create, wakeups, replace, timeout, lock, hugepages)
            self.set_wait(wait)
            if not self.segment.claim(LOCK_CONSUMER):
                raise RoleTaken(self.segment.path, "has a living consumer already", "end that consumer first", 16)
            self._recover()
            if self.segment.created:
                self.segment.publish()
        except BaseException:
            self.segment.discard()
            raise

    cdef int _recover(self) except -1:
        """A predecessor may have died after freeing a slot and before it moved the tail; it may be taken again since."""
        self.tail = load_acquire(&self.m.shared.tail)
        if number_of(load_acquire(&mpsc_at(&self.m, self.tail).state)) == self.tail + self.m.capacity:
            self.tail += 1
            store_release(&self.m.shared.tail, self.tail)
        return 0

    cdef mpsc_slot *first(self) noexcept nogil:
        """The slot of the first message not released, or NULL: none yet (or `corrupt`).

        Also in `seen`, with the `length` that was judged: the one in shared memory may be another by the next look.
        """
        cdef mpsc_slot *slot
        cdef uint64_t state, length
        cdef int pauses
        while True:
            slot = mpsc_at(&self.m, self.tail)
            state = load_acquire(&slot.state)
            if number_of(state) != self.tail:
                self.corrupt = True
                return NULL
            if state & 3 == MPSC_COMMITTED:
                length = load_relaxed(&slot.length)
                if length > self.m.max_len:
                    self.corrupt = True
                    return NULL
                self.stuck = 0
                self.seen, self.length = slot, <uint32_t>length
                return slot
            if state & 3 == MPSC_FREE:
                return NULL
            if state & 3 == MPSC_RESERVED:
                pauses = 0
                while self.stuck == 0 and pauses < ASK_AFTER and load_acquire(&slot.state) == state:
                    pause()
                    pauses += 1
                if load_acquire(&slot.state) != state:
                    continue
                if self.stuck % ASK_EVERY == 0 and dead(state, self.segment):
                    compare_and_swap(&slot.state, state, state & ~<uint64_t>3 | MPSC_ABANDONED)
                    self.stuck = 0
                    continue
                self.stuck += 1
                return NULL
            self.abandoned += 1
            self.release()

    cdef void release(self) noexcept nogil:
        store_release(&mpsc_at(&self.m, self.tail).state, word(self.tail + self.m.capacity, 0, MPSC_FREE))
        self.tail += 1
        store_release(&self.m.shared.tail, self.tail)

    cdef bint ready(self, bint for_room) noexcept nogil:
        cdef uint64_t state = load_acquire(&mpsc_at(&self.m, self.tail).state)
        if state == word(self.tail, 0, MPSC_FREE):
            return False
        if number_of(state) != self.tail or state & 3 != MPSC_RESERVED:
            return True
        self.looked += 1
        return self.looked % ASK_EVERY == 0 and dead(state, self.segment)

    cdef int usable(self) except -1:
        self.segment.alone()
        if self.corrupt:
            raise RingCorrupt(self.segment.path, "a slot's number or a length cannot be", "remove it and create it again")
        return 0

    cdef bint _arrived(self, int64_t timeout_ns) except -1:
        """True when a message is there, waited for if asked; see `seen`."""
        cdef int64_t end = 0
        cdef bint goes_on = timeout_ns != 0
        self.usable()
        while self.first() is NULL:
            self.usable()
            if not goes_on:
                return False
            goes_on = self.linger(False, timeout_ns, &end)      # also when all that came is a dead producer's slot
            self.usable()
        return True

    def peek(self, timeout_ns=0):
        """A read-only memoryview of the first message not acknowledged, or None."""
        if not self._arrived(timeout_ns):
            return None
        return view(self.segment, <uint8_t *>(self.seen + 1), self.length, True)

    def ack(self):
        """Acknowledges the first message."""
        if not self._arrived(0):
            raise ValueError("no message to acknowledge")
        self.release()
        self.received += 1
        self.notify()

    def pop(self, timeout_ns=0):
        """The next message as bytes, already given back, or None."""
        if not self._arrived(timeout_ns):
            return None
        message = PyBytes_FromStringAndSize(<const char *>(self.seen + 1), self.length)
        self.release()
        self.received += 1
        self.notify()
        return message

    def pop_batch(self, uint64_t most=1024):
        """Up to `most` messages as a list of bytes, given back one by one."""
        messages = []
        while <uint64_t>len(messages) < most and (m := self.pop()) is not None:
            messages.append(m)
        return messages

    def pop_array(self, dtype, uint64_t most=65536):
        """Up to `most` messages of exactly `dtype.itemsize` octets as one structured array, given back one by one.

        ValueError if the next message has another length; a batch ends before such a one.
        """
        cdef mpsc_slot *slot = NULL
        cdef uint64_t k = 0, room
        cdef uint32_t size
        cdef uint8_t[::1] out
        import numpy
        dtype = numpy.dtype(dtype)
        if dtype.itemsize == 0:
            raise ValueError(f"{dtype} has no octets; empty messages are read with pop")
        if not self._arrived(0):
            return numpy.empty(0, dtype)
        size, room = dtype.itemsize, min(most, self.m.capacity)
        array = numpy.empty(room, dtype)
        out = array.reshape(-1).view(numpy.uint8)
        self.segment.copying += 1
        with nogil:
            while k < room:
                slot = self.first()
                if slot is NULL or self.length != size:
                    break
                memcpy(&out[k * size], slot + 1, size)
                self.release()
                k += 1
            self.received += k
            self.notify()
        self.segment.copying -= 1
        if k == 0 and slot is not NULL:
            raise ValueError(f"message {self.tail} has {self.length} octets, {dtype} has {size}")
        return array[:k]

    def wait(self, timeout_ns=-1):
        """True as soon as a message is there; False when `timeout_ns` is over."""
        return self._arrived(timeout_ns)

    @property
    def number(self):
        """The number of the first message not acknowledged."""
        return self.tail
