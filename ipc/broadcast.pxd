# One Publisher, any number of Subscribers, over broadcast_ring.pxd in a segment; optionally a pool of buffers beside it.
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from ipc.broadcast_ring cimport broadcast_ring
from ipc.segment cimport Segment
from ipc.wait cimport Side

cdef enum broadcast_flag:
    BROADCAST_POOLED = 2        # bit 1 (bit 0: SEGMENT_WAKEUPS): messages are `descriptor`s of buffers in the segment NAME.pool

cdef struct descriptor:
    uint64_t stamp              # of the buffer, even: what it must still be after use
    uint32_t buffer
    uint32_t length

cdef class Publisher(Side):
    cdef readonly Segment pool
    cdef broadcast_ring b
    cdef int64_t open_buffer            # index of the buffer handed out, -1: none
    cdef readonly uint64_t oversize
    cdef bint put(self, const uint8_t *p, uint32_t n) noexcept nogil
    cdef int _fitting(self, Py_ssize_t n, uint32_t max_len) except -1

cdef class Subscriber(Side):
    cdef readonly Segment pool
    cdef broadcast_ring b
    cdef uint8_t *scratch               # max_len octets, 8-aligned
    cdef int get(self, void *out, uint32_t *n) noexcept nogil
    cdef int _corrupt(self) except -1
