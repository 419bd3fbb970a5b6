# User Datagram Protocol (RFC 768).
from libc.stdint cimport uint8_t, uint16_t, uint32_t

from .checksum cimport csum_fold, csum_partial, csum_pseudo
from .octets cimport load_16, load_be16, store_16, store_be16

cdef enum:
    UDP_HLEN = 8

cdef struct udp_hdr:
    uint16_t source_port
    uint16_t destination_port
    uint16_t length             # header and data
    bint checksummed            # False: the sender computed none (the field is 0)
    const uint8_t *data
    uint16_t data_len           # by `length`


cdef inline bint udp_parse(udp_hdr *udp, const uint8_t *p, uint16_t n) noexcept nogil:
    """Fill `udp` from the `n` octets of IP payload at `p`; False if its lengths contradict. Checksum: the caller's."""
    if n < UDP_HLEN:
        return False
    udp.length = load_be16(p + 4)
    if udp.length < UDP_HLEN or udp.length > n:
        return False
    udp.source_port = load_be16(p)
    udp.destination_port = load_be16(p + 2)
    udp.checksummed = load_16(p + 6) != 0
    udp.data = p + UDP_HLEN
    udp.data_len = <uint16_t>(udp.length - UDP_HLEN)
    return True


cdef inline bint udp_checksum_ok(uint32_t source, uint32_t destination, const uint8_t *p,
                                 uint16_t length) noexcept nogil:
    """Addresses in host order; `length` octets at `p` are header and data. Only where `checksummed`."""
    return csum_fold(csum_partial(p, length, csum_pseudo(source, destination, 17, length))) == 0


cdef inline uint32_t udp_emit(uint8_t *p, uint16_t source_port, uint16_t destination_port, uint16_t data_len,
                              uint32_t source, uint32_t destination) noexcept nogil:
    """Write the header in front of `data_len` octets already at `p + UDP_HLEN`, checksum included; returns the length.

    A sum of zero is sent as 0xFFFF, because zero means that there is none.
    """
    cdef uint16_t length = <uint16_t>(UDP_HLEN + data_len)
    cdef uint16_t checksum
    store_be16(p, source_port)
    store_be16(p + 2, destination_port)
    store_be16(p + 4, length)
    store_16(p + 6, 0)
    checksum = csum_fold(csum_partial(p, length, csum_pseudo(source, destination, 17, length)))
    store_16(p + 6, checksum if checksum != 0 else 0xFFFF)
    return length
