# Broadcast ring: one writer that never waits, any number of readers that hold no state in shared memory.
#
# Memory: broadcast_shared, `capacity` 32-bit lengths (beside the slots for ring.pxd's reason), as many slots.
#
# Each slot carries a 64-bit stamp of its generation: 2g+1 while message number g*capacity+slot is written, 2g+2 once
# it is whole. A reader accepts a copy only if the stamp was the wanted even value before and after it (a seqlock whose
# sequence never repeats, so that a lap of exactly `capacity` is seen as well). What it copied before the second look
# means nothing. ARM needs the fences as written, x86 only their compiler half.
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from ipc.atomic cimport (
    copy_racing_in,
    copy_racing_out,
    fence_acquire,
    fence_release,
    keep_length,
    lengths_octets,
    load32_relaxed,
    load_acquire,
    load_relaxed,
    slot_stride,
    store_relaxed,
    store_release,
)

cdef enum broadcast_verdict:
    BROADCAST_OK = 0
    BROADCAST_EMPTY = 1         # not published yet
    BROADCAST_LOST = 2          # lapped: `lost` and `next` have moved, call again
    BROADCAST_CORRUPT = 3       # a length, a stamp or the tail cannot be

cdef struct broadcast_shared:
    uint64_t tail               # messages published; where a reader joins or re-joins
    uint64_t pad[15]

cdef struct broadcast_slot:
    uint64_t stamp
    # the message follows, in room rounded up to 8

cdef struct broadcast_ring:
    broadcast_shared *shared
    uint32_t *lengths
    uint8_t *slots
    uint64_t capacity
    uint64_t mask
    uint32_t shift              # capacity = 1 << shift
    uint32_t stride
    uint32_t max_len
    uint64_t next               # number of the message to write, or to read, next
    uint64_t got                # reader: accepted
    uint64_t lost               # reader: overwritten before they could be read
    bint validate               # reader: always True but in the test that shows what validation is for


cdef inline uint32_t broadcast_stride(uint32_t max_len) noexcept nogil:
    return slot_stride(sizeof(broadcast_slot) + ((max_len + 7) & ~<uint32_t>7))


cdef inline uint64_t broadcast_octets(uint32_t max_len, uint64_t capacity) noexcept nogil:
    """Octets of memory a broadcast ring needs."""
    return sizeof(broadcast_shared) + lengths_octets(capacity) + capacity * broadcast_stride(max_len)


cdef inline broadcast_slot *broadcast_at(broadcast_ring *b, uint64_t number) noexcept nogil:
    return <broadcast_slot *>(b.slots + (number & b.mask) * b.stride)


cdef inline uint64_t broadcast_whole(broadcast_ring *b, uint64_t number) noexcept nogil:
    """The stamp of message `number` when it is whole."""
    return 2 * (number >> b.shift) + 2


cdef inline void broadcast_attach(broadcast_ring *b, void *memory, uint32_t max_len, uint64_t capacity) noexcept nogil:
    """Binds `b` to memory that holds a ring of that geometry (all zero is a new one), at the newest message."""
    b.shared = <broadcast_shared *>memory
    b.lengths = <uint32_t *>(b.shared + 1)
    b.slots = <uint8_t *>b.lengths + lengths_octets(capacity)
    b.capacity = capacity
    b.mask = capacity - 1
    b.shift = 0
    while <uint64_t>1 << b.shift < capacity:
        b.shift += 1
    b.stride = broadcast_stride(max_len)
    b.max_len = max_len
    b.next = load_acquire(&b.shared.tail)
    b.got = 0
    b.lost = 0
    b.validate = True


cdef inline void broadcast_resume(broadcast_ring *b) noexcept nogil:
    """The writer's part of attaching: a predecessor may have died after the stamp and before the tail.

    That message was published: readers look at stamps. Writing another under its number would make two of it.
    """
    if load_acquire(&broadcast_at(b, b.next).stamp) == broadcast_whole(b, b.next):
        b.next += 1
        store_release(&b.shared.tail, b.next)


cdef inline bint broadcast_tail_holds(broadcast_ring *b, uint64_t tail) noexcept nogil:
    """False: the slot of the newest message before `tail`, read from shared memory before, has never held it."""
    return tail == 0 or load_acquire(&broadcast_at(b, tail - 1).stamp) >= broadcast_whole(b, tail - 1)


cdef inline uint64_t broadcast_number(broadcast_ring *b, uint64_t number, uint64_t stamp) noexcept nogil:
    """The number of the message that `stamp`, found in the slot of message `number`, is of; 2**64-1 for no message's."""
    cdef uint64_t generation = (stamp - 1) >> 1
    return (generation << b.shift) + (number & b.mask) if generation <= ~<uint64_t>0 >> b.shift else ~<uint64_t>0


cdef inline uint64_t broadcast_lapped(broadcast_ring *b) noexcept nogil:
    """Where a reader whose slot holds a later message goes on; where it is: its stamp and the tail cannot both be true.

    A message is stamped when all before it are in the tail, but for the one or two whose store is on its way; and when
    the tail has passed a message by a round, its slot carries the next round's stamp. The writer goes on between our
    looks, so a stamp is looked at on either side of the tail.
    """
    cdef broadcast_slot *slot = broadcast_at(b, b.next)
    cdef uint64_t before = broadcast_number(b, b.next, load_acquire(&slot.stamp))
    cdef uint64_t tail = load_acquire(&b.shared.tail), behind = b.capacity >> 2, to
    if before > tail + 2 or tail > broadcast_number(b, b.next, load_acquire(&slot.stamp)) + b.capacity:
        return b.next
    to = tail - behind if tail > behind else tail
    return to if to > b.next else b.next + 1        # the very slot we stand on is being overwritten


cdef inline void *broadcast_begin(broadcast_ring *b) noexcept nogil:
    """Room for the next message; its slot reads as being written from now on. Always succeeds, never waits."""
    cdef broadcast_slot *slot = broadcast_at(b, b.next)
    store_relaxed(&slot.stamp, broadcast_whole(b, b.next) - 1)
    fence_release()
    return slot + 1


cdef inline void broadcast_end(broadcast_ring *b, uint32_t n) noexcept nogil:
    """Publishes the message begun, `n` octets."""
    cdef broadcast_slot *slot = broadcast_at(b, b.next)
    keep_length(b.lengths + (b.next & b.mask), n)
    store_release(&slot.stamp, broadcast_whole(b, b.next))
    b.next += 1
    store_release(&b.shared.tail, b.next)


cdef inline bint broadcast_publish(broadcast_ring *b, const void *p, uint32_t n) noexcept nogil:
    """Publishes a copy of the `n` octets at `p`; False if they are more than the ring takes."""
    if n > b.max_len:
        return False
    copy_racing_in(broadcast_begin(b), p, n)
    broadcast_end(b, n)
    return True


cdef inline int broadcast_read(broadcast_ring *b, void *out, uint32_t *n) noexcept nogil:
    """Copies the next message to `out` (8-aligned, max_len octets of room), its length to `n`; broadcast_verdict.

    BROADCAST_LOST: the writer has lapped us; `lost` has grown by exactly the messages skipped and `next` stands a
    quarter of the ring behind the newest, so that the next call is not lapped at once.
    """
    cdef broadcast_slot *slot = broadcast_at(b, b.next)
    cdef uint64_t want = broadcast_whole(b, b.next), to
    cdef uint32_t length
    cdef uint64_t stamp = load_acquire(&slot.stamp)
    if stamp < want:
        return BROADCAST_EMPTY
    if stamp == want or not b.validate:
        length = load32_relaxed(b.lengths + (b.next & b.mask))
        if length <= b.max_len:
            copy_racing_out(out, slot + 1, length)
            fence_acquire()
            if load_relaxed(&slot.stamp) == want or not b.validate:
                n[0] = length
                b.next += 1
                b.got += 1
                return BROADCAST_OK
        elif load_acquire(&slot.stamp) == want:
            return BROADCAST_CORRUPT        # the stamp vouches for a length that cannot be
    to = broadcast_lapped(b)
    if to == b.next:
        return BROADCAST_CORRUPT
    b.lost += to - b.next
    b.next = to
    return BROADCAST_LOST


cdef inline void broadcast_join(broadcast_ring *b, uint64_t number) noexcept nogil:
    """The reader stands before message `number` from now on; nothing is counted as lost for the jump."""
    b.next = number
