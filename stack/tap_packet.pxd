# A captured IPv4 packet as an observer takes it: headers must be whole, text need not be, which ipv4_parse refuses.
from libc.stdint cimport uint8_t, uint32_t

from stack.wire.ipv4 cimport IPPROTO_TCP, IPV4_HLEN, IPV4_MF, IPV4_OFFSET
from stack.wire.octets cimport load_be16, load_be32
from stack.wire.tcp cimport tcp_parse, tcp_seg

cdef enum tap_verdict:
    TAP_SEGMENT = 0
    TAP_NOT_IPV4 = 1
    TAP_MALFORMED = 2
    TAP_FRAGMENT = 3
    TAP_NOT_TCP = 4

cdef struct tap_packet:
    uint32_t source             # host order
    uint32_t destination
    const uint8_t *tcp          # the segment
    uint32_t tcp_len            # octets it had
    bint whole                  # all of them were captured; else seg.text is what there is
    tcp_seg seg


cdef inline tap_verdict tap_packet_read(tap_packet *x, const uint8_t *p, uint32_t n, bint cut) noexcept nogil:
    """Fill `x` from `n` captured octets of an IP packet, which was longer if `cut`; only TAP_SEGMENT fills all of it."""
    cdef uint32_t hlen, total
    if n < IPV4_HLEN or p[0] >> 4 != 4:
        return TAP_NOT_IPV4
    hlen = (p[0] & 15) * 4
    total = load_be16(p + 2)
    if total == 0 and not cut:
        total = n               # a host that leaves segmentation to its NIC captures more than the field can say
    if hlen < IPV4_HLEN or hlen > total:
        return TAP_MALFORMED
    if load_be16(p + 6) & (IPV4_MF | IPV4_OFFSET):
        return TAP_FRAGMENT
    if p[9] != IPPROTO_TCP:
        return TAP_NOT_TCP
    if hlen > n or not tcp_parse(&x.seg, p + hlen, (total if total < n else n) - hlen) or x.seg.hlen > total - hlen:
        return TAP_MALFORMED
    x.source = load_be32(p + 12)
    x.destination = load_be32(p + 16)
    x.tcp = p + hlen
    x.tcp_len = total - hlen
    x.whole = total <= n
    return TAP_SEGMENT
