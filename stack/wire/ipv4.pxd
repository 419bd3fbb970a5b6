# Internet Protocol version 4 (RFC 791; DF and identification per RFC 6864). Addresses are numbers in host order.
from libc.stdint cimport uint8_t, uint16_t, uint32_t

from .checksum cimport csum_ipv4_header
from .octets cimport load_16, load_be16, load_be32, store_16, store_be16, store_be32

cdef enum:
    IPV4_HLEN = 20
    IPV4_MAX_HLEN = 60
    IPV4_DF = 0x4000            # flags and fragment offset, one 16-bit field
    IPV4_MF = 0x2000
    IPV4_OFFSET = 0x1FFF        # in units of 8 octets
    IPV4_TTL = 64               # RFC 1700's recommended default
    IPPROTO_ICMP = 1
    IPPROTO_IGMP = 2
    IPPROTO_TCP = 6
    IPPROTO_UDP = 17

cdef enum:
    IPV4_ECN = 3                # the two low bits of the TOS octet (RFC 3168)
    IPV4_ECN_ECT1 = 1
    IPV4_ECN_ECT0 = 2
    IPV4_ECN_CE = 3

cdef struct ipv4_hdr:
    const uint8_t *p            # the header, in the frame
    uint16_t hlen               # octets: 4 * IHL, options included
    uint8_t tos
    uint8_t ttl
    uint16_t total_length       # header and payload
    uint16_t identification
    uint16_t fragment           # flags and offset: IPV4_DF, IPV4_MF, IPV4_OFFSET
    uint8_t protocol
    uint32_t source
    uint32_t destination
    const uint8_t *payload
    uint16_t payload_len        # by total_length: Ethernet's padding is left out


cdef inline void ipv4_fill(ipv4_hdr *ip, const uint8_t *p, uint16_t hlen) noexcept nogil:
    ip.p = p
    ip.hlen = hlen
    ip.tos = p[1]
    ip.identification = load_be16(p + 4)
    ip.fragment = load_be16(p + 6)
    ip.ttl = p[8]
    ip.protocol = p[9]
    ip.source = load_be32(p + 12)
    ip.destination = load_be32(p + 16)
    ip.payload = p + hlen
    ip.payload_len = <uint16_t>(ip.total_length - hlen)


cdef inline bint ipv4_parse(ipv4_hdr *ip, const uint8_t *p, uint32_t n) noexcept nogil:
    """Fill `ip` from `n` octets behind the Ethernet header; False if they cannot be IPv4.

    Lengths and version are judged, nothing else: checksum (`ipv4_checksum_ok`), addresses and fragments are the
    caller's. `n` may exceed Total Length: short frames come padded.
    """
    cdef uint16_t hlen
    if n < IPV4_HLEN or (p[0] >> 4) != 4:
        return False
    hlen = <uint16_t>((p[0] & 0x0F) * 4)
    ip.total_length = load_be16(p + 2)
    if hlen < IPV4_HLEN or hlen > ip.total_length or ip.total_length > n:
        return False
    ipv4_fill(ip, p, hlen)
    return True


cdef inline bint ipv4_parse_quoted(ipv4_hdr *ip, const uint8_t *p, uint32_t n) noexcept nogil:
    """Fill `ip` from the header an ICMP error quotes, with at least 8 octets behind it; False if it is not there.

    `payload_len` is what the datagram had; of it n - hlen octets follow the header here. RFC 792 quotes 8, RFC 1812
    section 4.3.2.3 as much as fits into 576.
    """
    cdef uint16_t hlen
    if n < IPV4_HLEN + 8 or (p[0] >> 4) != 4:
        return False
    hlen = <uint16_t>((p[0] & 0x0F) * 4)
    ip.total_length = load_be16(p + 2)
    if hlen < IPV4_HLEN or <uint32_t>hlen + 8 > n or hlen + 8 > ip.total_length:
        return False
    ipv4_fill(ip, p, hlen)
    return True


cdef inline bint ipv4_checksum_ok(const ipv4_hdr *ip) noexcept nogil:
    return csum_ipv4_header(ip.p, ip.hlen) == 0


cdef inline uint32_t ipv4_emit(uint8_t *p, uint8_t tos, uint16_t total_length, uint16_t identification,
                               uint16_t fragment, uint8_t ttl, uint8_t protocol, uint32_t source,
                               uint32_t destination) noexcept nogil:
    """Write a header without options, its checksum included; returns IPV4_HLEN."""
    p[0] = 0x45
    p[1] = tos
    store_be16(p + 2, total_length)
    store_be16(p + 4, identification)
    store_be16(p + 6, fragment)
    p[8] = ttl
    p[9] = protocol
    store_16(p + 10, 0)
    store_be32(p + 12, source)
    store_be32(p + 16, destination)
    store_16(p + 10, csum_ipv4_header(p, IPV4_HLEN))
    return IPV4_HLEN


cdef inline bint ipv4_is_multicast(uint32_t addr) noexcept nogil:
    return (addr >> 28) == 0xE


cdef inline bint ipv4_is_unicast_source(uint32_t addr) noexcept nogil:
    """False for what no datagram may come from: 0/8, 127/8, multicast, class E and broadcast (RFC 1122 3.2.1.3)."""
    return (addr >> 24) != 0 and (addr >> 24) != 127 and (addr >> 29) != 7
