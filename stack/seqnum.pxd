# Arithmetic on sequence numbers: 32 bits, modulo 2**32 (RFC 9293 section 3.4).
# Right while the two numbers are less than 2**31 apart; windows are far smaller than that.
from libc.stdint cimport int32_t, uint32_t


cdef inline bint seq_lt(uint32_t a, uint32_t b) noexcept nogil:
    return <int32_t>(a - b) < 0


cdef inline bint seq_le(uint32_t a, uint32_t b) noexcept nogil:
    return <int32_t>(a - b) <= 0


cdef inline bint seq_gt(uint32_t a, uint32_t b) noexcept nogil:
    return <int32_t>(a - b) > 0


cdef inline bint seq_ge(uint32_t a, uint32_t b) noexcept nogil:
    return <int32_t>(a - b) >= 0


cdef inline bint seq_in(uint32_t x, uint32_t first, uint32_t n) noexcept nogil:
    """True if x is one of the n numbers first, first+1, ...; n = 0 holds none."""
    return x - first < n


cdef inline uint32_t seq_max(uint32_t a, uint32_t b) noexcept nogil:
    return a if <int32_t>(a - b) >= 0 else b


cdef inline uint32_t seq_min(uint32_t a, uint32_t b) noexcept nogil:
    return a if <int32_t>(a - b) <= 0 else b
