# SPSC ring of messages over any memory: one producer, one consumer, in one process or two, wait-free on both sides.
#
# Memory: ring_shared (two counters, each on cache lines of its own), then `capacity` slots of `stride` octets: a
# 64-bit word with the message's length, then the message. Counters count messages since the ring was made and never
# wrap to the mask; the message's number is its counter. Each side trusts only its own copy of the geometry: a counter
# or a length in shared memory that cannot be is reported (RING_CORRUPT), never followed.
#
# Producer: ring_reserve -> write -> ring_commit.   Consumer: ring_peek -> read -> ring_release.
# A producer that dies before ring_commit has published nothing; a consumer that dies before ring_release gets the
# same messages again: at-least-once. Releasing before use makes it at-most-once.
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from ipc.atomic cimport load_acquire, load_relaxed, store_release

cdef enum:
    RING_LINE = 128             # two lines: the adjacent-line prefetcher pulls pairs

cdef enum ring_verdict:
    RING_OK = 0
    RING_FULL = 1
    RING_EMPTY = 2
    RING_OVERSIZE = 3           # larger than the slot
    RING_CORRUPT = 4            # the peer's counter or a length cannot be

cdef struct ring_shared:
    uint64_t head               # messages committed; written by the producer only
    uint64_t pad_head[15]
    uint64_t tail               # messages released; written by the consumer only
    uint64_t pad_tail[15]

cdef struct ring:
    ring_shared *shared
    uint8_t *slots
    uint64_t capacity           # a power of two
    uint64_t mask
    uint32_t stride             # octets from slot to slot, a multiple of 8
    uint32_t max_len            # longest message
    # this side's own counters, and what it last saw of the other's
    uint64_t head
    uint64_t tail
    int verdict                 # ring_verdict of the last call that failed


cdef inline uint32_t ring_stride(uint32_t max_len) noexcept nogil:
    """Octets from slot to slot for messages of at most `max_len` octets: length word, text, rounded up to 8."""
    return (8 + max_len + 7) & ~<uint32_t>7


cdef inline uint64_t ring_octets(uint32_t max_len, uint64_t capacity) noexcept nogil:
    """Octets of memory a ring needs."""
    return sizeof(ring_shared) + capacity * ring_stride(max_len)


cdef inline bint ring_attach(ring *r, void *memory, uint32_t max_len, uint64_t capacity) noexcept nogil:
    """Binds `r` to memory that holds a ring of that geometry (all zero is an empty one); False if its counters lie.

    Either side may attach at any time: it takes up where the counters stand.
    """
    r.shared = <ring_shared *>memory
    r.slots = <uint8_t *>memory + sizeof(ring_shared)
    r.capacity = capacity
    r.mask = capacity - 1
    r.stride = ring_stride(max_len)
    r.max_len = max_len
    r.tail = load_acquire(&r.shared.tail)
    r.head = load_acquire(&r.shared.head)
    r.verdict = RING_OK
    return r.head - r.tail <= capacity


cdef inline uint64_t ring_free_slots(ring *r) noexcept nogil:
    """How many messages the producer may reserve now; looks at the consumer's counter."""
    cdef uint64_t tail = load_acquire(&r.shared.tail)
    if r.head - tail > r.capacity:
        r.verdict = RING_CORRUPT
        return 0
    r.tail = tail
    return r.capacity - (r.head - tail)


cdef inline uint8_t *ring_reserve(ring *r, uint32_t n, uint64_t ahead) noexcept nogil:
    """Room for `n` octets, `ahead` messages beyond the last committed one; NULL: full, oversize or corrupt (r.verdict).

    The producer's until ring_commit. Nothing is published, and nothing of an earlier message is left readable: the
    length says what counts.
    """
    cdef uint8_t *slot
    if n > r.max_len:
        r.verdict = RING_OVERSIZE
        return NULL
    if r.head + ahead - r.tail >= r.capacity and ring_free_slots(r) <= ahead:
        if r.verdict != RING_CORRUPT:
            r.verdict = RING_FULL
        return NULL
    slot = r.slots + ((r.head + ahead) & r.mask) * r.stride
    (<uint64_t *>slot)[0] = n
    return slot + 8


cdef inline void ring_commit(ring *r, uint64_t count) noexcept nogil:
    """Publishes the next `count` reserved messages."""
    r.head += count
    store_release(&r.shared.head, r.head)


cdef inline uint64_t ring_available(ring *r) noexcept nogil:
    """How many messages the consumer may peek; looks at the producer's counter only when it knows of none."""
    cdef uint64_t head
    if r.head == r.tail:
        head = load_acquire(&r.shared.head)
        if head - r.tail > r.capacity:
            r.verdict = RING_CORRUPT
            return 0
        r.head = head
    return r.head - r.tail


cdef inline const uint8_t *ring_peek(ring *r, uint32_t *n, uint64_t ahead) noexcept nogil:
    """The message `ahead` beyond the first unreleased one, `n` its length; NULL: none, or corrupt (r.verdict).

    Stays valid, and the consumer's, until ring_release has passed it.
    """
    cdef uint8_t *slot
    cdef uint64_t length
    if r.head - r.tail <= ahead:
        length = load_acquire(&r.shared.head)
        if length - r.tail > r.capacity:
            r.verdict = RING_CORRUPT
            return NULL
        r.head = length
        if r.head - r.tail <= ahead:
            r.verdict = RING_EMPTY
            return NULL
    slot = r.slots + ((r.tail + ahead) & r.mask) * r.stride
    length = load_relaxed(<uint64_t *>slot)
    if length > r.max_len:
        r.verdict = RING_CORRUPT
        return NULL
    n[0] = <uint32_t>length
    return slot + 8


cdef inline void ring_release(ring *r, uint64_t count) noexcept nogil:
    """Gives the first `count` messages' slots back to the producer: the acknowledgement."""
    r.tail += count
    store_release(&r.shared.tail, r.tail)
