# SPSC channel: ring.pxd over a segment, with one living producer and one living consumer at most.
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from ipc.ring cimport ring
from ipc.segment cimport Segment
from ipc.wait cimport Side

cdef enum channel_policy:
    POLICY_REFUSE = 0           # send returns False
    POLICY_BLOCK = 1            # send waits until its deadline, then returns False
    POLICY_DROP_NEW = 2         # send returns True and the message is gone, counted

cdef class End(Side):
    cdef ring r
    cdef int usable(self) except -1

cdef class Writer(End):
    cdef int policy
    cdef int64_t block_ns
    cdef uint64_t reserved
    cdef readonly uint64_t sent         # messages committed by this handle
    cdef readonly uint64_t refused      # full ring, policy refuse
    cdef readonly uint64_t timed_out    # full ring, policy block, deadline over
    cdef readonly uint64_t dropped      # full ring, policy drop
    cdef readonly uint64_t oversize
    cdef int put(self, const uint8_t *p, uint32_t n) noexcept nogil
    cdef bint _full(self) except -1

cdef class Reader(End):
    cdef readonly uint64_t received     # messages released by this handle
    cdef int _took(self, uint64_t k) except -1
    cdef int _await(self, int64_t timeout_ns) except -1
