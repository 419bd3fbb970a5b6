# SPSC ring of messages over any memory: one producer, one consumer, in one process or two, wait-free on both sides.
#
# Memory: ring_shared (two counters, each on cache lines of its own), `capacity` 32-bit lengths, then as many slots of
# `stride` octets, nothing in them but the message. Counters count messages since the ring was made and never wrap to
# the mask; the message's number is its counter. Each side trusts only its own copy of the geometry: a counter or a
# length in shared memory that cannot be is reported (RING_CORRUPT), never followed.
#
# What a message costs is the cache lines that change cores. A length beside each message would make two of one line;
# the lengths by themselves are written only where they change, and then one line carries sixteen of them.
#
# Producer: ring_reserve -> write -> ring_commit.   Consumer: ring_peek -> read -> ring_release.
# A producer that dies before ring_commit has published nothing; a consumer that dies before ring_release gets the
# same messages again: at-least-once. Releasing before use makes it at-most-once.
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from ipc.atomic cimport keep_length, lengths_octets, load32_relaxed, load_acquire, slot_stride, store_release

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
    uint32_t *lengths
    uint8_t *slots
    uint64_t capacity           # a power of two
    uint64_t mask
    uint32_t stride             # octets from slot to slot
    uint32_t max_len            # longest message
    # this side's own counters, and what it last saw of the other's
    uint64_t head
    uint64_t tail
    int verdict                 # ring_verdict of the last call that failed


cdef inline uint64_t ring_octets(uint32_t max_len, uint64_t capacity) noexcept nogil:
    """Octets of memory a ring needs; 64-aligned memory has every slot on as few cache lines as can be."""
    return sizeof(ring_shared) + lengths_octets(capacity) + capacity * slot_stride(max_len)


cdef inline bint ring_attach(ring *r, void *memory, uint32_t max_len, uint64_t capacity) noexcept nogil:
    """Binds `r` to memory that holds a ring of that geometry (all zero is an empty one); False if its counters lie.

    Either side may attach at any time: it takes up where the counters stand.
    """
    r.shared = <ring_shared *>memory
    r.lengths = <uint32_t *>(r.shared + 1)
    r.slots = <uint8_t *>r.lengths + lengths_octets(capacity)
    r.capacity = capacity
    r.mask = capacity - 1
    r.stride = slot_stride(max_len)
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


cdef inline bint ring_room(ring *r, uint64_t count) noexcept nogil:
    """May the producer reserve `count` messages now? Looks at the consumer's counter only where it must.

    Before a batch: a full ring then moves by batches, not by the one message the consumer has just given back.
    """
    return r.capacity - (r.head - r.tail) >= count or ring_free_slots(r) >= count


cdef inline uint8_t *ring_reserve(ring *r, uint32_t n, uint64_t ahead) noexcept nogil:
    """Room for `n` octets, `ahead` messages beyond the last committed one; NULL: full, oversize or corrupt (r.verdict).

    The producer's until ring_commit. Nothing is published, and nothing of an earlier message is left readable: the
    length says what counts.
    """
    cdef uint64_t slot
    if n > r.max_len:
        r.verdict = RING_OVERSIZE
        return NULL
    if r.head + ahead - r.tail >= r.capacity and ring_free_slots(r) <= ahead:
        if r.verdict != RING_CORRUPT:
            r.verdict = RING_FULL
        return NULL
    slot = (r.head + ahead) & r.mask
    keep_length(r.lengths + slot, n)
    return r.slots + slot * r.stride


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
    cdef uint64_t slot, head
    cdef uint32_t length
    if r.head - r.tail <= ahead:
        head = load_acquire(&r.shared.head)
        if head - r.tail > r.capacity:
            r.verdict = RING_CORRUPT
            return NULL
        r.head = head
        if r.head - r.tail <= ahead:
            r.verdict = RING_EMPTY
            return NULL
    slot = (r.tail + ahead) & r.mask
    length = load32_relaxed(r.lengths + slot)
    if length > r.max_len:
        r.verdict = RING_CORRUPT
        return NULL
    n[0] = length
    return r.slots + slot * r.stride


cdef inline void ring_release(ring *r, uint64_t count) noexcept nogil:
    """Gives the first `count` messages' slots back to the producer: the acknowledgement."""
    r.tail += count
    store_release(&r.shared.tail, r.tail)
