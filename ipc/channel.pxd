# SPSC channel: ring.pxd over a segment, with one living producer and one living consumer at most.
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from ipc.producer cimport End, Producer
from ipc.ring cimport ring

cdef class Writer(Producer):
    cdef ring r
    cdef bint reserved                  # a message is, and neither committed nor cancelled
    cdef int put(self, const uint8_t *p, uint32_t n) noexcept nogil
    cdef int _vacant(self) except -1
    cdef int _publish(self, uint64_t k) except -1
    cdef bint _reserve(self, const uint8_t[::1] message, uint64_t ahead) except -1

cdef class Reader(End):
    cdef ring r
    cdef int usable(self) except -1
    cdef readonly uint64_t received     # messages released by this handle
    cdef int _took(self, uint64_t k) except -1
    cdef int _await(self, int64_t timeout_ns) except -1
