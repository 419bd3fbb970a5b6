# SEGMENT ARRIVES (RFC 9293 section 3.10.7).
from libc.stdint cimport uint64_t

from dpdk_py.device cimport frame

from .netif cimport netif
from .wire.ipv4 cimport ipv4_hdr

# l4_input of protocol 6; ctx is the tcp_table. Returns a tcp_rx_verdict.
cdef int tcp_input(void *ctx, netif *nif, const ipv4_hdr *ip, const frame *f, uint64_t now_ns) noexcept nogil
