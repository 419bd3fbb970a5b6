# Frames of the peer of tests/fuzz_frames.pyx: addresses, headers, checksums computed octet by octet, text put right.
from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.string cimport memcpy, memset

from fuzz_input cimport fuzz_octet
from stack.wire.ethernet cimport ETH_HLEN
from stack.wire.octets cimport load_be16, load_be32, store_be16, store_be32

cdef enum:
    US = 0x0A000001
    THEM = 0x0A000002

cdef extern from *:
    """
    static const uint8_t fw_fuzz_us[6] = {2, 0, 0, 0, 0, 1}, fw_fuzz_them[6] = {2, 0, 0, 0, 0, 2};
    """
    const uint8_t *OUR_MAC "fw_fuzz_us"
    const uint8_t *THEIR_MAC "fw_fuzz_them"


cdef inline uint32_t words(const uint8_t *p, uint32_t n, uint32_t sum) noexcept nogil:
    cdef uint32_t i
    for i in range(n):
        sum += p[i] << (8 if i % 2 == 0 else 0)
    return sum


cdef inline uint16_t folded(uint32_t sum) noexcept nogil:
    while sum >> 16:
        sum = (sum & 0xFFFF) + (sum >> 16)
    return <uint16_t>sum


cdef inline void mend(uint8_t *p, uint32_t n, bint sums) noexcept nogil:
    """Text that belongs where the segment says it does and, with `sums`, checksums that are right."""
    cdef uint32_t hlen, total, text, seq, i
    if n < ETH_HLEN + 20 or load_be16(p + 12) != 0x0800:
        return
    p += ETH_HLEN
    hlen = (p[0] & 15) * 4
    total = load_be16(p + 2)
    if hlen < 20 or total < hlen or total > n - ETH_HLEN:
        return
    if sums:
        store_be16(p + 10, 0)
        store_be16(p + 10, ~folded(words(p, hlen, 0)))
    if p[9] == 6 and total - hlen >= 20:
        text = hlen + (p[hlen + 12] >> 4) * 4
        if hlen + 20 <= text <= total:
            seq = load_be32(p + hlen + 4) + (p[hlen + 13] >> 1 & 1)
            for i in range(total - text):
                p[text + i] = fuzz_octet(seq + i)
        store_be16(p + hlen + 16, load_be16(p + hlen + 16) if not sums else 0)
        i = ~folded(words(p + hlen, total - hlen, words(p + 12, 8, 6 + total - hlen)))
        # text put right under a checksum that was right by chance would be an octet changed: with wrong sums it stays wrong
        store_be16(p + hlen + 16, <uint16_t>i if sums else <uint16_t>(i ^ 0x1234))
    elif sums and p[9] == 1 and total - hlen >= 4:
        store_be16(p + hlen + 2, 0)
        store_be16(p + hlen + 2, ~folded(words(p + hlen, total - hlen, 0)))


cdef inline uint32_t head(uint8_t *p, uint8_t protocol, uint32_t n) noexcept nogil:
    """Ethernet and IPv4 around n octets; returns the length of the frame."""
    memcpy(p, OUR_MAC, 6)
    memcpy(p + 6, THEIR_MAC, 6)
    store_be16(p + 12, 0x0800)
    memset(p + 14, 0, 20)
    p[14] = 0x45
    store_be16(p + 16, <uint16_t>(20 + n))
    p[20] = 0x40
    p[22] = 64
    p[23] = protocol
    store_be32(p + 26, THEM)
    store_be32(p + 30, US)
    return ETH_HLEN + 20 + n
