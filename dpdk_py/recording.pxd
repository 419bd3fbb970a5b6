# A writer of pcapng into preallocated memory, written to the file when full or when asked.
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from dpdk_py.capture cimport CAPTURE_PACKET_MAX

cdef enum:
    CAPTURE_COMMENT_MAX = 96        # octets of a frame's comment

cdef struct capture_out:
    int fd
    uint8_t *buf
    uint32_t size
    uint32_t used
    bint drop_when_full             # else the burst that finds the buffer full writes it out
    int error                       # errno of the first failed write; nothing is written after it
    uint64_t packets
    uint64_t dropped                # not recorded: buffer full, longer than CAPTURE_PACKET_MAX, or after an error

cdef uint32_t capture_record_len(uint32_t n, uint32_t direction) noexcept nogil
cdef bint capture_room(capture_out *o, uint32_t octets) noexcept nogil
cdef bint capture_put(capture_out *o, const uint8_t *p, uint32_t n, int64_t ts_ns, uint32_t direction,
                      uint32_t tag) noexcept nogil
cdef bint capture_put_commented(capture_out *o, const uint8_t *p, uint32_t n, uint32_t orig_len, int64_t ts_ns,
                                uint32_t direction, const uint8_t *comment, uint32_t m) noexcept nogil
cdef void capture_file_header(capture_out *o) noexcept nogil
cdef bint capture_flush(capture_out *o) noexcept nogil

cdef class PcapngWriter:
    cdef capture_out out
    cdef readonly str path
    cdef int check(self) except -1
