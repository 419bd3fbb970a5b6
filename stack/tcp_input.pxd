# SEGMENT ARRIVES (RFC 9293 section 3.10.7), in the order in which a segment meets it.
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from dpdk_py.device cimport frame

from .netif cimport netif
from .tcb cimport tcb, tcp_options, tcp_table
from .wire.ipv4 cimport ipv4_hdr

# l4_input of protocol 6; ctx is the tcp_table. Returns a tcp_rx_verdict.
cdef int tcp_input(void *ctx, netif *nif, const ipv4_hdr *ip, const frame *f, uint64_t now_ns) noexcept nogil
# text that waits in order goes up, if it is wanted; then, if it is time, TCP_EV_PEER_CLOSED
cdef void tcp_pass_up(tcb *c, uint64_t now_ns) noexcept nogil
# our shift for a buffer of that size (RFC 7323 section 2.3)
cdef uint32_t tcp_window_shift(uint32_t rcv_buf) noexcept nogil
