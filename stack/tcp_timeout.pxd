# What silence means: tail loss probe, reordering timer, retransmission timeout. RFC 8985, 5827, 6298, 1191.
from libc.stdint cimport uint32_t, uint64_t

from .tcb cimport tcb

# the three timers of unacknowledged text
cdef void tcp_timeout_probe(tcb *c, uint64_t now_ns) noexcept nogil
cdef void tcp_timeout_reorder(tcb *c, uint64_t now_ns) noexcept nogil
cdef void tcp_timeout_rto(tcb *c, uint64_t now_ns) noexcept nogil
# RFC 1191: text in flight is larger than the path takes
cdef void tcp_smaller_mss(tcb *c, uint32_t mss, uint64_t now_ns) noexcept nogil
