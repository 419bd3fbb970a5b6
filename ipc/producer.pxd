# The producing end of a channel, one of one or one of many: what it does when the ring is full, and what it counts.
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from ipc.wait cimport Side

cdef enum full_ring_policy:
    POLICY_REFUSE = 0           # send returns False
    POLICY_BLOCK = 1            # send waits until its deadline, then returns False
    POLICY_DROP_NEW = 2         # send returns True and the message is gone, counted

cdef class End(Side):
    pass

cdef class Producer(End):
    cdef int policy
    cdef int64_t block_ns
    cdef readonly uint64_t sent         # messages committed by this handle
    cdef readonly uint64_t refused      # full ring, policy refuse
    cdef readonly uint64_t timed_out    # full ring, policy block, deadline over
    cdef readonly uint64_t dropped      # full ring, policy drop
    cdef readonly uint64_t oversize
    cdef int set_policy(self, policy, block_ns) except -1
    cdef int usable(self) except -1
    cdef bint room(self, uint64_t count, int64_t *end) except -1
    cdef uint32_t fitting(self, Py_ssize_t n, uint32_t max_len) except? 0
    cdef uint64_t _send_rows(self, const uint8_t[:, ::1] rows) except? 0
    cdef uint64_t _send_list(self, messages) except? 0

cdef const uint8_t[:, ::1] octet_rows(messages)
