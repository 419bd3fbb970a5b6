# Internet Control Message Protocol (RFC 792; next-hop MTU in code 4 per RFC 1191).
from libc.stdint cimport uint8_t, uint16_t, uint32_t

from .checksum cimport csum_fold, csum_partial
from .octets cimport load_be16, load_be32, store_16, store_be32

cdef enum:
    ICMP_HLEN = 8
    ICMP_ECHO_REPLY = 0
    ICMP_UNREACHABLE = 3
    ICMP_SOURCE_QUENCH = 4
    ICMP_REDIRECT = 5
    ICMP_ECHO_REQUEST = 8
    ICMP_TIME_EXCEEDED = 11
    ICMP_PARAMETER_PROBLEM = 12

cdef enum:                      # codes of ICMP_UNREACHABLE
    ICMP_UNREACH_NET = 0
    ICMP_UNREACH_HOST = 1
    ICMP_UNREACH_PROTOCOL = 2
    ICMP_UNREACH_PORT = 3
    ICMP_UNREACH_FRAG_NEEDED = 4
    ICMP_UNREACH_SOURCE_ROUTE = 5

cdef struct icmp_hdr:
    uint8_t type
    uint8_t code
    uint32_t rest               # octets 4..7: identifier and sequence number, or unused and next-hop MTU
    uint16_t mtu                # the low half of `rest`: next-hop MTU of code 4, 0 from routers before RFC 1191
    const uint8_t *body         # echoed data, or the quoted IPv4 header and what followed it
    uint16_t body_len


cdef inline bint icmp_parse(icmp_hdr *icmp, const uint8_t *p, uint16_t n) noexcept nogil:
    """Fill `icmp` from the `n` octets of IP payload at `p`; False if too short. The checksum is the caller's."""
    if n < ICMP_HLEN:
        return False
    icmp.type = p[0]
    icmp.code = p[1]
    icmp.rest = load_be32(p + 4)
    icmp.mtu = load_be16(p + 6)
    icmp.body = p + ICMP_HLEN
    icmp.body_len = <uint16_t>(n - ICMP_HLEN)
    return True


cdef inline bint icmp_checksum_ok(const uint8_t *p, uint16_t n) noexcept nogil:
    return csum_fold(csum_partial(p, n, 0)) == 0


cdef inline uint32_t icmp_emit(uint8_t *p, uint8_t type, uint8_t code, uint32_t rest, uint16_t n) noexcept nogil:
    """Write the header in front of a body already at `p + ICMP_HLEN`; `n` octets in all; returns `n`."""
    p[0] = type
    p[1] = code
    store_16(p + 2, 0)
    store_be32(p + 4, rest)
    store_16(p + 2, csum_fold(csum_partial(p, n, 0)))
    return n
