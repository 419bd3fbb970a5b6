"""Stores of sent messages that live in memory: a bounded ring, and none at all. The journal is in fix/journal.

A session appends a message before it goes to the wire and asks for it again when the peer sends a ResendRequest
(FIX 4.4 vol. 2 "Message Recovery"). Whatever is no longer kept is answered by a gap fill, so a small ring costs
the peer messages, never the session.
"""
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset

from stack.wire.octets cimport prefetch

cdef extern from *:
    """
    /* Write every page. A plain memset of zeros behind malloc becomes calloc, which touches nothing. */
    static void fw_store_touch(void *p, size_t n) {
        for (size_t i = 0; i < n; i += 4096) ((volatile char *)p)[i] = ((volatile char *)p)[i];
        if (n) ((volatile char *)p)[n - 1] = ((volatile char *)p)[n - 1];
    }
    """
    void store_touch "fw_store_touch"(void *p, size_t n) noexcept nogil


cdef enum:
    SLACK = 64              # octets behind a message that a reader may look at
    LINE = 64               # octets the CPU fetches at once


cdef struct memory_entry:
    uint64_t seq            # 0: nothing here
    uint64_t at             # place in the ring, counted from the beginning of time
    uint32_t n              # 0: no text to send again
    uint32_t gone           # there was one; it made room


cdef struct memory_ring:
    fix_numbers numbers
    uint8_t *octets         # `size` octets and slack
    uint64_t size
    uint64_t head           # where the next message goes, counted from the beginning of time
    memory_entry *index     # by MsgSeqNum modulo mask + 1
    uint64_t mask
    uint64_t oldest         # the first number that may still be kept


cdef bint memory_append(fix_store *st, uint64_t seq, const uint8_t *p, uint32_t n, bint admin,
                        uint64_t now_ns) noexcept nogil:
    cdef memory_ring *r = <memory_ring *>st.self
    cdef memory_entry *e = &r.index[seq & r.mask]
    cdef uint64_t at = r.head
    cdef uint64_t left
    if n > r.size:
        st.stats.refused += 1
        return False
    if e.seq != 0 and e.seq != seq:
        st.stats.evicted += e.n != 0
        e.n = 0
    e.seq = seq
    e.gone = False
    st.stats.appended += 1
    if admin:
        e.n = 0
        return True
    left = r.size - at % r.size
    if left < n:
        at += left          # a message is contiguous
    memcpy(r.octets + at % r.size, p, n)
    e.at = at
    e.n = n
    r.head = at + n
    if r.oldest == 0 or seq < r.oldest:
        r.oldest = seq
    if r.head > r.size:
        memory_evict(st, r, seq)
    st.stats.appended_octets += n
    # The next message goes where nothing has been for a whole round of the ring: out of the caches, at each new page out of
    # the TLB. Left to its stores, that is waited for while the segment is built
    at = r.head % r.size
    prefetch(r.octets + at + LINE)
    prefetch(r.octets + at + 2 * LINE)
    prefetch(r.octets + at + 3 * LINE)
    prefetch(r.octets + at + 4 * LINE)
    prefetch(&r.index[(seq + 4) & r.mask])
    return True


cdef void memory_evict(fix_store *st, memory_ring *r, uint64_t newest) noexcept nogil:
    """Void the entries whose octets the ring has written over since."""
    cdef memory_entry *e
    if newest - r.oldest > r.mask:
        r.oldest = newest - r.mask
    while r.oldest < newest:
        e = &r.index[r.oldest & r.mask]
        if e.seq == r.oldest and e.n != 0:
            if r.head - e.at <= r.size:
                return
            e.n = 0
            e.gone = True
            st.stats.evicted += 1
        r.oldest += 1


cdef const uint8_t *memory_get(fix_store *st, uint64_t seq, uint32_t *n) noexcept nogil:
    cdef memory_ring *r = <memory_ring *>st.self
    cdef memory_entry *e = &r.index[seq & r.mask]
    if e.seq != seq or e.n == 0 or r.head - e.at > r.size:
        n[0] = e.seq != seq or e.gone or e.n != 0
        return NULL
    n[0] = e.n
    return r.octets + e.at % r.size


cdef bint memory_room(fix_store *st, uint32_t n) noexcept nogil:
    return n <= (<memory_ring *>st.self).size


cdef void memory_reset(fix_store *st, int64_t utc_ns) noexcept nogil:
    cdef memory_ring *r = <memory_ring *>st.self
    memset(r.index, 0, (r.mask + 1) * sizeof(memory_entry))
    r.head = 0
    r.oldest = 0
    numbers_reset(st, utc_ns)


cdef void memory_renumber(fix_store *st) noexcept nogil:
    cdef memory_ring *r = <memory_ring *>st.self
    cdef uint64_t i
    for i in range(r.mask + 1):
        if r.index[i].seq >= r.numbers.next_out:
            r.index[i].seq = 0
            r.index[i].n = 0
    r.oldest = 0            # found again at the next append: an old number may be the newest now
    for i in range(r.mask + 1):
        if r.index[i].seq != 0 and (r.oldest == 0 or r.index[i].seq < r.oldest):
            r.oldest = r.index[i].seq


cdef void memory_free(fix_store *st) noexcept nogil:
    cdef memory_ring *r = <memory_ring *>st.self
    free(r.octets)
    free(r.index)
    free(r)
    free(st)


cdef fix_store_ops MEMORY_OPS
MEMORY_OPS.append = memory_append
MEMORY_OPS.get = memory_get
MEMORY_OPS.room = memory_room
MEMORY_OPS.reset = memory_reset
MEMORY_OPS.renumber = memory_renumber
MEMORY_OPS.free = memory_free


cdef fix_store *memory_store_new(uint32_t octets, uint32_t messages) noexcept nogil:
    cdef fix_store *st = <fix_store *>calloc(1, sizeof(fix_store))
    cdef memory_ring *r = <memory_ring *>calloc(1, sizeof(memory_ring))
    cdef uint64_t slots = 1
    if st == NULL or r == NULL or octets == 0 or messages == 0:
        free(st)
        free(r)
        return NULL
    while slots < messages:
        slots <<= 1
    r.size = octets
    r.mask = slots - 1
    r.octets = <uint8_t *>malloc(<size_t>octets + SLACK)
    r.index = <memory_entry *>malloc(slots * sizeof(memory_entry))
    if r.octets == NULL or r.index == NULL:
        free(r.octets)
        free(r.index)
        free(r)
        free(st)
        return NULL
    memset(r.index, 0, slots * sizeof(memory_entry))
    store_touch(r.octets, <size_t>octets + SLACK)       # no page fault later
    store_touch(r.index, slots * sizeof(memory_entry))
    r.numbers.next_in = r.numbers.next_out = 1
    st.ops = &MEMORY_OPS
    st.numbers = &r.numbers
    st.self = r
    return st


cdef void numbers_reset(fix_store *st, int64_t utc_ns) noexcept nogil:
    st.numbers.next_in = st.numbers.next_out = 1
    st.numbers.created_utc_ns = utc_ns
    st.stats.resets += 1


cdef bint null_append(fix_store *st, uint64_t seq, const uint8_t *p, uint32_t n, bint admin,
                      uint64_t now_ns) noexcept nogil:
    return True


cdef const uint8_t *null_get(fix_store *st, uint64_t seq, uint32_t *n) noexcept nogil:
    n[0] = 1
    return NULL


cdef bint null_room(fix_store *st, uint32_t n) noexcept nogil:
    return True


cdef void null_renumber(fix_store *st) noexcept nogil:
    pass


cdef void null_free(fix_store *st) noexcept nogil:
    free(st.self)
    free(st)


cdef fix_store_ops NULL_OPS
NULL_OPS.append = null_append
NULL_OPS.get = null_get
NULL_OPS.room = null_room
NULL_OPS.reset = numbers_reset
NULL_OPS.renumber = null_renumber
NULL_OPS.free = null_free


cdef fix_store *null_store_new() noexcept nogil:
    cdef fix_store *st = <fix_store *>calloc(1, sizeof(fix_store))
    cdef fix_numbers *numbers = <fix_numbers *>calloc(1, sizeof(fix_numbers))
    if st == NULL or numbers == NULL:
        free(st)
        free(numbers)
        return NULL
    numbers.next_in = numbers.next_out = 1
    st.ops = &NULL_OPS
    st.numbers = numbers
    st.self = numbers
    return st


cdef void store_free(fix_store *st) noexcept nogil:
    if st != NULL:
        st.ops.free(st)


cdef class Store:
    """Sent messages and next numbers of one session. `Store()` keeps the numbers only: every resend is a gap fill."""

    def __cinit__(self, *args, **kwargs):
        self.st = null_store_new()
        if self.st == NULL:
            raise MemoryError("a store of numbers")

    def __dealloc__(self):
        store_free(self.st)

    def append(self, seq, message, admin=False, now_ns=0):
        """True if the message is kept (or needs not be), False if there is no room. ValueError for number 0."""
        cdef const uint8_t[::1] view = message
        cdef uint64_t number = seq
        if number == 0:
            raise ValueError("MsgSeqNum(34) is 0, must be 1 or more")
        if view.shape[0] == 0:
            raise ValueError("the message is empty")
        return bool(self.st.ops.append(self.st, number, &view[0], <uint32_t>view.shape[0], admin, now_ns))

    def get(self, seq):
        """The octets of message `seq`, or None: administrative, never sent, or no longer kept."""
        cdef uint32_t n = 0
        cdef const uint8_t *p = self.st.ops.get(self.st, seq, &n)
        return None if p == NULL else p[:n]

    def reset(self, utc_ns=0):
        """Forget every message; both numbers are 1."""
        self.st.ops.reset(self.st, utc_ns)

    @property
    def next_in(self):
        """MsgSeqNum expected from the peer."""
        return self.st.numbers.next_in

    @property
    def next_out(self):
        """MsgSeqNum of the next message sent."""
        return self.st.numbers.next_out

    def renumber(self, next_in=None, next_out=None):
        """Set the next numbers; kept messages from `next_out` on are void. ValueError below 1."""
        for name, value in (("next_in", next_in), ("next_out", next_out)):
            if value is not None and value < 1:
                raise ValueError(f"{name} is {value}, must be 1 or more")
        if next_in is not None:
            self.st.numbers.next_in = next_in
        if next_out is not None:
            self.st.numbers.next_out = next_out
        self.st.ops.renumber(self.st)

    @property
    def created_utc_ns(self):
        """When the numbers last began at 1, UTC nanoseconds."""
        return self.st.numbers.created_utc_ns

    def stats(self):
        """Counters as a dict: appended, appended_octets, refused, evicted, resets."""
        return self.st.stats


cdef class MemoryStore(Store):
    """The newest messages that fit in `octets`, at most `messages` of them (rounded up to a power of two)."""

    def __cinit__(self, octets=1 << 20, messages=8192):
        if not 1024 <= octets <= 1 << 31:
            raise ValueError(f"octets is {octets}, must be 1024 to {1 << 31}")
        if not 1 <= messages <= 1 << 26:
            raise ValueError(f"messages is {messages}, must be 1 to {1 << 26}")
        store_free(self.st)
        self.st = memory_store_new(octets, messages)
        if self.st == NULL:
            raise MemoryError(f"a store of {octets} octets")
