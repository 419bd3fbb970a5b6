# Many producers to one consumer, every slot owned by exactly one of them at any time.
#
# A slot's word says it all: which message number it is for, who holds it and how far it is:
#     FREE(n) -> RESERVED(n, producer) -> COMMITTED(n, producer) -> FREE(n + capacity)
#                        \-> ABANDONED(n, producer) -^        (the consumer found the producer dead, or it cancelled)
# Each arrow but the last is one compare-and-swap, so the claim and the claimant become visible together; `head` is a
# hint that anybody may push on. A producer is alive while the kernel holds its lock on octet LOCK_PRODUCERS + number
# of the file; only a consumer that stands before a slot RESERVED by somebody asks.
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from ipc.atomic cimport slot_stride
from ipc.producer cimport End, Producer

cdef enum:
    MPSC_PRODUCERS = 64

cdef enum mpsc_phase:
    MPSC_FREE = 0
    MPSC_RESERVED = 1
    MPSC_COMMITTED = 2
    MPSC_ABANDONED = 3

cdef struct mpsc_shared:
    uint64_t head               # hint: no slot before it is FREE for its number
    uint64_t pad_head[15]
    uint64_t tail               # messages released; the consumer's
    uint64_t pad_tail[15]

cdef struct mpsc_slot:
    uint64_t state              # number << 8 | producer << 2 | mpsc_phase
    uint64_t length
    # the message follows

cdef struct mpsc_ring:
    mpsc_shared *shared
    uint8_t *slots
    uint64_t capacity
    uint64_t mask
    uint32_t stride
    uint32_t max_len


cdef inline uint32_t mpsc_stride(uint32_t max_len) noexcept nogil:
    """Octets from slot to slot."""
    return slot_stride(sizeof(mpsc_slot) + max_len)


cdef inline uint64_t mpsc_octets(uint32_t max_len, uint64_t capacity) noexcept nogil:
    """Octets of memory a ring needs."""
    return sizeof(mpsc_shared) + capacity * mpsc_stride(max_len)


cdef class MpscWriter(Producer):
    cdef mpsc_ring m
    cdef readonly uint32_t producer     # our number, 0 .. 63
    cdef mpsc_slot *held
    cdef uint64_t held_state
    cdef uint32_t held_length           # of a message reserved and not yet committed
    cdef bint corrupt
    cdef uint8_t *claim(self) noexcept nogil
    cdef bint commit_held(self, uint32_t n) noexcept nogil
    cdef int _recover(self) except -1
    cdef int _vacant(self) except -1
    cdef bint _claimed(self, uint64_t count, int64_t *end) except -1

cdef class MpscReader(End):
    cdef mpsc_ring m
    cdef uint64_t tail
    cdef uint32_t stuck
    cdef uint32_t looked
    cdef mpsc_slot *seen
    cdef uint32_t length
    cdef bint corrupt
    cdef readonly uint64_t received
    cdef readonly uint64_t abandoned    # slots reserved by producers that died, or cancelled
    cdef int _recover(self) except -1
    cdef int usable(self) except -1
    cdef bint _arrived(self, int64_t timeout_ns) except -1
    cdef mpsc_slot *first(self) noexcept nogil
    cdef void release(self) noexcept nogil
