# How a side of a ring waits for the other, and wakes it: the same for channels and broadcasts.
from libc.stdint cimport int64_t, uint32_t

from ipc.segment cimport Segment

cdef enum:
    SEGMENT_WAKEUPS = 1         # bit 0 of segment_header.flags: sides may sleep; who acts pays a full fence to look

cdef enum wait_strategy:
    WAIT_SPIN = 0
    WAIT_YIELD = 1              # spin a little, then sched_yield
    WAIT_SLEEP = 2              # spin a little, then a futex; needs SEGMENT_WAKEUPS

cdef class Side:
    cdef readonly Segment segment
    cdef int strategy
    cdef int set_wait(self, wait) except -1
    cdef bint ready(self, bint for_room) noexcept nogil     # there may be something to do; changes nothing
    cdef void notify(self) noexcept nogil
    cdef bint linger(self, bint for_room, int64_t timeout_ns, int64_t *end) except -1
    cdef bint sleep_until(self, bint for_room, int64_t timeout_ns) except -1
    cdef bint wait_until(self, bint for_room, int64_t timeout_ns) except -1 nogil
