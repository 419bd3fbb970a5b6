# One direction of a captured connection: its text in order, what waits for a hole, and the buffers it waits in.
from libc.stdint cimport int64_t, uint8_t, uint32_t

from stack.tap cimport tap, tap_flow, tap_stream

# n octets of text from seq on
cdef void tap_text(tap *t, tap_flow *flow, int d, uint32_t seq, const uint8_t *p, uint32_t n, int64_t ts_ns) noexcept nogil
# a hole may have been there for too long
cdef void tap_patience(tap *t, tap_flow *flow, int d, int64_t ts_ns) noexcept nogil
# another connection between the same ends
cdef void tap_renew(tap *t, tap_flow *flow) noexcept nogil
# the first hole is passed over
cdef void tap_advance(tap *t, tap_flow *flow, int d) noexcept nogil
# everything that waits goes up
cdef void tap_drain(tap *t, tap_flow *flow, int d) noexcept nogil

# -- buffers
cdef void tap_release(tap *t, tap_stream *s) noexcept nogil
cdef bint tap_squeeze(tap *t) noexcept nogil
