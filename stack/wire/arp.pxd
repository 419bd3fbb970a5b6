# Address Resolution Protocol for IPv4 over Ethernet (RFC 826). Field names: ar$sha is `sha`, and so on.
from libc.stdint cimport uint8_t, uint16_t, uint32_t

from .ethernet cimport ETHERTYPE_IPV4, mac_copy
from .octets cimport load_be16, load_be32, store_be16, store_be32

cdef enum:
    ARP_LEN = 28
    ARP_HRD_ETHERNET = 1
    ARP_REQUEST = 1
    ARP_REPLY = 2

cdef struct arp_packet:
    uint16_t op                 # ARP_REQUEST, ARP_REPLY or anything else that came
    const uint8_t *sha          # sender hardware address, 6 octets, in the frame
    uint32_t spa                # sender protocol address, host order
    const uint8_t *tha          # target hardware address
    uint32_t tpa                # target protocol address, host order


cdef inline bint arp_parse(arp_packet *arp, const uint8_t *p, uint32_t n) noexcept nogil:
    """Fill `arp` from `n` octets behind the Ethernet header; False unless Ethernet and IPv4 are what it maps."""
    if n < ARP_LEN:
        return False
    # ar$hrd, ar$pro; ar$hln 6 and ar$pln 4
    if load_be16(p) != ARP_HRD_ETHERNET or load_be16(p + 2) != ETHERTYPE_IPV4 or load_be16(p + 4) != 0x0604:
        return False
    arp.op = load_be16(p + 6)
    arp.sha = p + 8
    arp.spa = load_be32(p + 14)
    arp.tha = p + 18
    arp.tpa = load_be32(p + 24)
    return True


cdef inline uint32_t arp_emit(uint8_t *p, uint16_t op, const uint8_t *sha, uint32_t spa, const uint8_t *tha,
                              uint32_t tpa) noexcept nogil:
    """Write ARP_LEN octets at `p`, addresses in host order; returns ARP_LEN."""
    store_be16(p, ARP_HRD_ETHERNET)
    store_be16(p + 2, ETHERTYPE_IPV4)
    store_be16(p + 4, 0x0604)
    store_be16(p + 6, op)
    mac_copy(p + 8, sha)
    store_be32(p + 14, spa)
    mac_copy(p + 18, tha)
    store_be32(p + 24, tpa)
    return ARP_LEN
