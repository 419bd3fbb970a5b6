"""Many producers, one consumer: `MpscWriter` and `MpscReader`, over one ring.

Messages of one producer arrive in its order. A producer killed at any point stalls nobody: what it had reserved and not
committed is skipped and counted by the consumer (`abandoned`). A producer that merely sleeps between reserve and commit
holds up the messages behind it: it is alive, and its message may still come.
"""
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.string cimport memcpy

from ipc.atomic cimport (
    compare_and_swap,
    load_acquire,
    load_relaxed,
    pause,
    slot_stride,
    store_relaxed,
    store_release,
)
from ipc.channel cimport POLICY_BLOCK, POLICY_DROP_NEW
from ipc.segment cimport LOCK_CONSUMER, LOCK_PRODUCERS, SEGMENT_MPSC, obtain, view
from ipc.wait cimport SEGMENT_WAKEUPS

from ipc.channel import POLICIES
from ipc.segment import RoleTaken, hugetlbfs
from ipc.wait import RingCorrupt

cdef enum:
    ASK_EVERY = 256             # looks at a reserved slot between two questions to the kernel whether its producer lives
    ASK_AFTER = 1000            # pauses, 20 to 40 us, before the first: a living one has committed by then


cdef inline uint64_t word(uint64_t number, uint32_t producer, int phase) noexcept nogil:
    return number << 8 | <uint64_t>producer << 2 | phase


cdef inline uint64_t number_of(uint64_t state) noexcept nogil:
    return state >> 8


cdef uint32_t stride_of(uint32_t max_len) noexcept nogil:
    return slot_stride(sizeof(mpsc_slot) + max_len)


cdef class MpscEnd(Side):
    """What both ends share."""

    def _bind(self, name, directory, max_len, capacity, create, wakeups, replace, timeout, lock, hugepages):
        cdef uint64_t i
        size = capacity or 1024
        self.segment = obtain(name, SEGMENT_MPSC, max_len, size, sizeof(mpsc_shared) + size * stride_of(max_len or 0),
                              create, hugetlbfs(directory) if hugepages else directory, SEGMENT_WAKEUPS if wakeups else 0,
                              replace, timeout, lock, (max_len, capacity))
        self._geometry()
        if self.segment.created:
            for i in range(self.capacity_):
                self.at(i).state = word(i, 0, MPSC_FREE)
            self.segment.publish()

    def _geometry(self):
        self.shared = <mpsc_shared *>self.segment.data
        self.slots = self.segment.data + sizeof(mpsc_shared)
        self.capacity_, self.mask = self.segment.capacity, self.segment.capacity - 1
        self.max_len_, self.stride = self.segment.max_len, stride_of(self.segment.max_len)
        if sizeof(mpsc_shared) + self.capacity_ * self.stride + 4096 > self.segment.size:
            raise RingCorrupt(self.segment.path, "its geometry cannot be", "remove it and create it again")

    cdef mpsc_slot *at(self, uint64_t number) noexcept nogil:
        return <mpsc_slot *>(self.slots + (number & self.mask) * self.stride)

    def _check(self):
        self.segment.check()
        if self.corrupt:
            raise RingCorrupt(self.segment.path, "a slot's number or a length cannot be", "remove it and create it again")

    @property
    def max_len(self):
        """Octets of the longest message."""
        return self.max_len_

    @property
    def capacity(self):
        """Messages the ring holds."""
        return self.capacity_


cdef class MpscWriter(MpscEnd):
    """One of up to 64 producers of the channel `name`; parameters as of channel.Writer."""

    def __init__(self, name, max_len=None, capacity=None, *, create=None, directory=None, policy="refuse",
                 block_ns=1_000_000_000, wait="yield", wakeups=False, replace=False, timeout=1.0, lock=False,
                 hugepages=False):
        if policy not in POLICIES:
            raise ValueError(f"policy is {policy!r}, must be one of {', '.join(POLICIES)}")
        self.policy, self.block_ns = POLICIES[policy], block_ns
        try:
            self._bind(name, directory, max_len, capacity, create, wakeups, replace, timeout, lock, hugepages)
            self.set_wait(wait)
            for k in range(MPSC_PRODUCERS):
                if self.segment.claim(LOCK_PRODUCERS + k):
                    self.producer = k
                    break
            else:
                raise RoleTaken(self.segment.path, f"has {MPSC_PRODUCERS} living producers already", "end one first", 16)
            self._recover()
        except BaseException:
            self.close()
            raise

    cdef int _recover(self) except -1:
        """Slots a dead predecessor of our number reserved: nobody else would ever find their producer dead again."""
        cdef uint64_t i, state
        for i in range(self.capacity_):
            state = load_acquire(&self.at(i).state)
            if state & 3 == MPSC_RESERVED and (state >> 2) & 63 == self.producer:
                compare_and_swap(&self.at(i).state, state, state & ~<uint64_t>3 | MPSC_ABANDONED)
        return 0

    cdef uint8_t *claim(self) noexcept nogil:
        """A slot of ours alone (also in `held`), or NULL: full (or `corrupt`)."""
        cdef uint64_t head, state
        cdef mpsc_slot *slot
        while True:
            head = load_acquire(&self.shared.head)
            slot = self.at(head)
            state = load_acquire(&slot.state)
            if state == word(head, 0, MPSC_FREE):
                if compare_and_swap(&slot.state, state, word(head, self.producer, MPSC_RESERVED)):
                    compare_and_swap(&self.shared.head, head, head + 1)
                    self.held = slot
                    self.held_state = word(head, self.producer, MPSC_RESERVED)
                    return <uint8_t *>(slot + 1)
            elif (number_of(state) ^ head) & self.mask or \
                    number_of(state) > load_acquire(&self.shared.head) + self.capacity_:
                # No slot is ahead of the hint by more than the ring; following such a number would never end.
                self.corrupt = True
                return NULL
            elif number_of(state) >= head:
                # Somebody has it, or had it and it was given back already: he may have died before moving the hint on.
                compare_and_swap(&self.shared.head, head, head + 1)
            elif load_acquire(&self.shared.head) == head:
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

    cdef int ready(self, bint for_room) noexcept nogil:
        cdef uint64_t head = load_acquire(&self.shared.head)
        return -1 if self.corrupt else number_of(load_acquire(&self.at(head).state)) >= head

    def _room(self):
        """A claimed slot's address as an int, or 0: what the policy made of a full ring."""
        cdef uint8_t *p = self.claim()
        cdef bint room = False
        if p is NULL and self.policy == POLICY_BLOCK:
            with nogil:
                while p is NULL:
                    room = self.wait_until(True, self.block_ns)
                    if not room:
                        break
                    p = self.claim()
        if self.corrupt:
            self._check()
        if p is NULL and self.policy == POLICY_BLOCK:
            self.segment.check()
            self.timed_out += 1
        elif p is NULL and self.policy == POLICY_DROP_NEW:
            self.dropped += 1
        elif p is NULL:
            self.refused += 1
        return p is not NULL

    def send(self, const uint8_t[::1] message not None):
        """Sends one message; False: not sent (as Writer.send)."""
        cdef uint32_t n = <uint32_t>message.shape[0]
        self._check()
        if self.held is not NULL:
            raise ValueError("commit the reserved message first")
        if n > self.max_len_:
            self.oversize += 1
            raise ValueError(f"message has {n} octets, the channel takes {self.max_len_}")
        if not self._room():
            return self.policy == POLICY_DROP_NEW
        if n:
            memcpy(self.held + 1, &message[0], n)
        return self.commit_held(n)

    def send_batch(self, messages):
        """Sends the rows of a structured or 2-D octet array (or a list of messages) until the ring is full; how many."""
        cdef const uint8_t[:, ::1] rows
        cdef Py_ssize_t k = 0
        cdef uint32_t n
        self._check()
        if self.held is not NULL:
            raise ValueError("commit the reserved message first")
        if not hasattr(messages, "dtype"):
            before = self.sent
            for m in messages:
                if not self.send(m):
                    break
            return self.sent - before
        import numpy
        a = numpy.ascontiguousarray(messages)
        rows = a.view(numpy.uint8).reshape(len(a), -1 if len(a) else 0)
        n = <uint32_t>rows.shape[1]
        if n > self.max_len_:
            self.oversize += 1
            raise ValueError(f"messages have {n} octets, the channel takes {self.max_len_}")
        with nogil:
            while k < rows.shape[0]:
                if self.claim() is NULL:
                    break
                memcpy(self.held + 1, &rows[k, 0], n)
                self.commit_held(n)
                k += 1
        if k == 0:
            self._check()
        return k

    def reserve(self, n):
        """A writable memoryview of `n` octets that `commit` publishes, or None: full."""
        self._check()
        if self.held is not NULL:
            raise ValueError("commit the reserved message first")
        if not 0 <= n <= self.max_len_:
            self.oversize += 1
            raise ValueError(f"{n} octets are asked for, the channel takes {self.max_len_}")
        if not self._room():
            return None
        self.held.length = n
        return view(self.segment, <uint8_t *>(self.held + 1), n, False)

    def commit(self):
        """Publishes the reserved message; False if the consumer took us for dead (it never does while we live)."""
        self.segment.check()
        if self.held is NULL:
            raise ValueError("nothing is reserved")
        return self.commit_held(<uint32_t>self.held.length)


cdef class MpscReader(MpscEnd):
    """The only consumer of the channel `name`; parameters as of channel.Reader."""

    def __init__(self, name, max_len=None, capacity=None, *, create=False, directory=None, wait="yield", wakeups=False,
                 replace=False, timeout=1.0, lock=False, hugepages=False):
        try:
            self._bind(name, directory, max_len, capacity, create, wakeups, replace, timeout, lock, hugepages)
            self.set_wait(wait)
            if not self.segment.claim(LOCK_CONSUMER):
                raise RoleTaken(self.segment.path, "has a living consumer already", "end that consumer first", 16)
            self._recover()
        except BaseException:
            self.close()
            raise

    cdef int _recover(self) except -1:
        """A predecessor may have died after freeing a slot and before it moved the tail; it may be taken again since."""
        self.tail = load_acquire(&self.shared.tail)
        if number_of(load_acquire(&self.at(self.tail).state)) == self.tail + self.capacity_:
            self.tail += 1
            store_release(&self.shared.tail, self.tail)
        return 0

    cdef mpsc_slot *first(self) noexcept nogil:
        """The slot of the first message not released, or NULL: none yet (or `corrupt`).

        Also in `seen`, with the `length` that was judged: the one in shared memory may be another by the next look.
        """
        cdef mpsc_slot *slot
        cdef uint64_t state, length
        cdef int pauses
        while True:
            slot = self.at(self.tail)
            state = load_acquire(&slot.state)
            if number_of(state) != self.tail:
                self.corrupt = True
                return NULL
            if state & 3 == MPSC_COMMITTED:
                length = load_relaxed(&slot.length)
                if length > self.max_len_:
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
                if self.stuck % ASK_EVERY == 0 and not self.segment.held(LOCK_PRODUCERS + ((state >> 2) & 63)):
                    compare_and_swap(&slot.state, state, state & ~<uint64_t>3 | MPSC_ABANDONED)
                    self.stuck = 0
                    continue
                self.stuck += 1
                return NULL
            self.abandoned += 1
            self.release()

    cdef void release(self) noexcept nogil:
        store_release(&self.at(self.tail).state, word(self.tail + self.capacity_, 0, MPSC_FREE))
        self.tail += 1
        store_release(&self.shared.tail, self.tail)

    cdef int ready(self, bint for_room) noexcept nogil:
        if self.first() is not NULL:
            return 1
        return -1 if self.corrupt else 0

    def _slot(self, int64_t timeout_ns):
        """True when a message is there, waited for if asked."""
        self._check()
        there = self.first() is not NULL
        if not there and timeout_ns:
            with nogil:
                self.wait_until(False, timeout_ns)
            there = self.first() is not NULL
        if self.corrupt:
            self._check()
        return there

    def peek(self, timeout_ns=0):
        """A read-only memoryview of the first message not acknowledged, or None."""
        if not self._slot(timeout_ns):
            return None
        return view(self.segment, <uint8_t *>(self.seen + 1), self.length, True)

    def ack(self):
        """Acknowledges the first message."""
        if not self._slot(0):
            raise ValueError("no message to acknowledge")
        self.release()
        self.received += 1
        self.notify()

    def pop(self, timeout_ns=0):
        """The next message as bytes, already given back, or None."""
        if not self._slot(timeout_ns):
            return None
        message = PyBytes_FromStringAndSize(<const char *>(self.seen + 1), self.length)
        self.release()
        self.received += 1
        self.notify()
        return message

    def pop_batch(self, most=1024):
        """Up to `most` messages as a list of bytes."""
        messages = []
        while len(messages) < most and (m := self.pop()) is not None:
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
        if not self._slot(0):
            return numpy.empty(0, dtype)
        dtype = numpy.dtype(dtype)
        size, room = dtype.itemsize, min(most, self.capacity_)
        array = numpy.empty(room, dtype)
        out = array.reshape(-1).view(numpy.uint8)
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
        if k == 0 and slot is not NULL:
            raise ValueError(f"message {self.tail} has {self.length} octets, {dtype} has {size}")
        return array[:k]

    def wait(self, timeout_ns=-1):
        """True as soon as a message is there; False when `timeout_ns` is over."""
        return self._slot(timeout_ns)

    @property
    def number(self):
        """The number of the first message not acknowledged."""
        return self.tail
