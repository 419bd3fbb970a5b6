# Many producers to one consumer, every slot owned by exactly one of them at any time.
#
# A slot's word says it all: which message number it is for, who holds it and how far it is:
#     FREE(n) -> RESERVED(n, producer) -> COMMITTED(n, producer) -> FREE(n + capacity)
#                        \-> ABANDONED(n, producer) -^        (the consumer found the producer dead)
# Each arrow but the last is one compare-and-swap, so the claim and the claimant become visible together; `head` is a
# hint that anybody may push on. A producer is alive while the kernel holds its lock on octet LOCK_PRODUCERS + number
# of the file; only a consumer that stands before a slot RESERVED by somebody asks.
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from ipc.segment cimport Segment
from ipc.wait cimport Side

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

cdef class MpscEnd(Side):
    cdef mpsc_shared *shared
    cdef uint8_t *slots
    cdef uint64_t capacity_
    cdef uint64_t mask
    cdef uint32_t stride
    cdef uint32_t max_len_
    cdef bint corrupt           # a slot's number or a length cannot be
    cdef mpsc_slot *at(self, uint64_t number) noexcept nogil

cdef class MpscWriter(MpscEnd):
    cdef readonly uint32_t producer     # our number, 0 .. 63
    cdef mpsc_slot *held
    cdef uint64_t held_state
    cdef int policy
    cdef int64_t block_ns
    cdef readonly uint64_t sent
    cdef readonly uint64_t refused
    cdef readonly uint64_t timed_out
    cdef readonly uint64_t dropped
    cdef readonly uint64_t oversize
    cdef uint8_t *claim(self) noexcept nogil
    cdef bint commit_held(self, uint32_t n) noexcept nogil
    cdef int _recover(self) except -1

cdef class MpscReader(MpscEnd):
    cdef uint64_t tail
    cdef uint32_t stuck
    cdef mpsc_slot *seen
    cdef uint32_t length
    cdef readonly uint64_t received
    cdef readonly uint64_t abandoned    # slots reserved by producers that died before they committed
    cdef int _recover(self) except -1
    cdef mpsc_slot *first(self) noexcept nogil
    cdef void release(self) noexcept nogil
