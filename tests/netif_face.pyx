"""A protocol above netif, in Python: what l4_input and l4_error were handed is kept in lists."""
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from dpdk_py.device cimport frame
from stack.netif cimport Netif, netif
from stack.wire.ipv4 cimport ipv4_hdr


cdef int take(void *ctx, netif *nif, const ipv4_hdr *ip, const frame *f, uint64_t now_ns) noexcept nogil:
    with gil:
        (<Protocol>ctx).datagrams.append(((<const char *>ip.payload)[:ip.payload_len], ip.source, ip.tos))
        if (<Protocol>ctx).respond:
            (<Protocol>ctx).respond()
    return 0


cdef bint error(void *ctx, netif *nif, const ipv4_hdr *quoted, uint32_t n, uint8_t type, uint8_t code, uint16_t mtu,
                bint local, uint64_t now_ns) noexcept nogil:
    with gil:
        (<Protocol>ctx).errors.append((type, code, mtu, bool(local), (<const char *>quoted.payload)[:n],
                                       quoted.destination))
        if (<Protocol>ctx).respond:
            (<Protocol>ctx).respond()
    return not (<Protocol>ctx).deny


cdef bint member(void *ctx, netif *nif, uint32_t group) noexcept nogil:
    return group == (<Protocol>ctx).group


cdef class Protocol:
    cdef Netif netif
    cdef public list datagrams, errors
    cdef public object respond
    cdef public bint deny
    cdef public uint32_t group

    def __init__(self, Netif netif not None, int protocol):
        self.netif = netif
        self.datagrams, self.errors = [], []
        netif.nif.l4_input[protocol] = take
        netif.nif.l4_error[protocol] = error
        netif.nif.l4_ctx[protocol] = <void *>self
        netif.nif.is_member = member
        netif.nif.member_ctx = <void *>self
