# Ethernet II with at most one 802.1Q tag (IEEE 802.3 clause 3, 802.1Q clause 9).
# A frame with a length instead of an ethertype (802.3/LLC) parses too; its "ethertype" is below 0x0600.
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from .octets cimport load_16, load_32, load_be16, store_16, store_32, store_be16

cdef enum:
    ETH_ALEN = 6
    ETH_HLEN = 14
    ETH_VLAN_HLEN = 4
    ETHERTYPE_IPV4 = 0x0800
    ETHERTYPE_ARP = 0x0806
    ETHERTYPE_VLAN = 0x8100

cdef struct eth_hdr:
    const uint8_t *dst          # 6 octets, in the frame
    const uint8_t *src
    uint16_t ethertype          # of what follows the tag
    uint16_t tci                # 802.1Q tag control information, 0 without a tag
    bint tagged
    const uint8_t *payload
    uint32_t payload_len


cdef inline bint eth_parse(eth_hdr *eth, const uint8_t *p, uint32_t n) noexcept nogil:
    """Fill `eth` from the frame of `n` octets at `p`; False if it is too short for its header.

    One 802.1Q tag is passed over. A second one stays as ethertype 0x8100, for the caller to refuse.
    """
    if n < ETH_HLEN:
        return False
    eth.dst = p
    eth.src = p + ETH_ALEN
    eth.ethertype = load_be16(p + 12)
    eth.tci = 0
    eth.tagged = False
    eth.payload = p + ETH_HLEN
    eth.payload_len = n - ETH_HLEN
    if eth.ethertype == ETHERTYPE_VLAN:
        if n < ETH_HLEN + ETH_VLAN_HLEN:
            return False
        eth.tagged = True
        eth.tci = load_be16(p + 14)
        eth.ethertype = load_be16(p + 16)
        eth.payload = p + (ETH_HLEN + ETH_VLAN_HLEN)
        eth.payload_len = n - (ETH_HLEN + ETH_VLAN_HLEN)
    return True


cdef inline void mac_copy(uint8_t *to, const uint8_t *mac) noexcept nogil:
    store_32(to, load_32(mac))
    store_16(to + 4, load_16(mac + 4))


cdef inline uint64_t mac_load(const uint8_t *mac) noexcept nogil:
    """The six octets as one number, for comparing; equal addresses give equal numbers, no more is promised."""
    return load_32(mac) | (<uint64_t>load_16(mac + 4) << 32)


cdef inline bint mac_is_group(const uint8_t *mac) noexcept nogil:
    """Broadcast or multicast: the I/G bit, the first to travel (IEEE 802.3 clause 3.2.3)."""
    return mac[0] & 1


cdef inline uint32_t eth_emit(uint8_t *p, const uint8_t *dst, const uint8_t *src, uint16_t ethertype) noexcept nogil:
    """Write an untagged header of ETH_HLEN octets at `p`; returns ETH_HLEN."""
    mac_copy(p, dst)
    mac_copy(p + ETH_ALEN, src)
    store_be16(p + 12, ethertype)
    return ETH_HLEN


cdef inline uint32_t eth_emit_tagged(uint8_t *p, const uint8_t *dst, const uint8_t *src, uint16_t tci,
                                     uint16_t ethertype) noexcept nogil:
    """Write a header with an 802.1Q tag, 18 octets, at `p`; returns 18."""
    mac_copy(p, dst)
    mac_copy(p + ETH_ALEN, src)
    store_be16(p + 12, ETHERTYPE_VLAN)
    store_be16(p + 14, tci)
    store_be16(p + 16, ethertype)
    return ETH_HLEN + ETH_VLAN_HLEN
