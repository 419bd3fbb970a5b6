# Opening: CLOSED, LISTEN, SYN-SENT.
from libc.stdint cimport uint16_t, uint32_t, uint64_t

from .tcb cimport tcb, tcp_listener, tcp_table
from .wire.ipv4 cimport ipv4_hdr
from .wire.tcp cimport tcp_seg

cdef enum:
    NO_FIELD = 0x10000              # no window in a header is so large

# no tcb has this 4-tuple -> tcp_rx_verdict
cdef int tcp_no_connection(tcp_table *t, const ipv4_hdr *ip, const tcp_seg *seg, uint32_t ports, tcb **made,
                           uint64_t now_ns) noexcept nogil
cdef int tcp_passive_open(tcp_table *t, tcp_listener *l, const ipv4_hdr *ip, const tcp_seg *seg, uint32_t ports,
                          uint32_t iss_floor, uint64_t now_ns) noexcept nogil
cdef int tcp_syn_sent(tcb *c, const ipv4_hdr *ip, tcp_seg *seg, uint64_t now_ns) noexcept nogil
# the peer's user timeout option: its field, 0 for one of a wrong length
cdef void tcp_uto_arrives(tcb *c, uint16_t field) noexcept nogil
cdef void tcp_established(tcb *c, uint64_t now_ns) noexcept nogil
# our shift for a buffer of that size (RFC 7323 section 2.3)
cdef uint32_t tcp_window_shift(uint32_t rcv_buf) noexcept nogil
