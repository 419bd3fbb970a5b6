# Transmission Control Protocol, the header and its options (RFC 9293 section 3.1; options: RFC 7323, RFC 2018, RFC 5482).
# Only form is judged here. Whether a segment is acceptable is a question for the connection.
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from .octets cimport load_be16, load_be32, store_be16, store_be32

cdef enum:
    TCP_HLEN = 20
    TCP_MAX_HLEN = 60

cdef enum:                      # control bits, octets 12 (low bit) and 13
    TCP_FIN = 0x01
    TCP_SYN = 0x02
    TCP_RST = 0x04
    TCP_PSH = 0x08
    TCP_ACK = 0x10
    TCP_URG = 0x20
    TCP_ECE = 0x40
    TCP_CWR = 0x80
    TCP_AE = 0x100              # RFC 9768 (formerly NS)

cdef enum:
    TCPOPT_EOL = 0
    TCPOPT_NOP = 1
    TCPOPT_MSS = 2
    TCPOPT_WSCALE = 3
    TCPOPT_SACK_PERMITTED = 4
    TCPOPT_SACK = 5
    TCPOPT_TIMESTAMPS = 8
    TCPOPT_UTO = 28

cdef enum:
    TCPOLEN_MSS = 4
    TCPOLEN_WSCALE = 3
    TCPOLEN_SACK_PERMITTED = 2
    TCPOLEN_TIMESTAMPS = 10
    TCPOLEN_UTO = 4
    TCP_MAX_OPTIONS = 40
    TCP_MAX_WSCALE = 14         # RFC 7323 section 2.3: a larger count is used as 14
    TCP_MAX_SACK = 4            # blocks that fit into 40 octets of options
    # NOP, NOP, kind, length as one word: the layout RFC 7323 appendix A recommends, and nearly everybody sends
    TCP_TIMESTAMPS_WORD = 0x0101080A

cdef struct tcp_seg:
    uint32_t seq                # SEG.SEQ
    uint32_t ack                # SEG.ACK, only with TCP_ACK
    uint16_t source_port
    uint16_t destination_port
    uint16_t flags              # TCP_FIN .. TCP_AE
    uint16_t wnd                # SEG.WND as sent, not scaled
    uint16_t up                 # SEG.UP, only with TCP_URG
    uint16_t hlen               # octets: 4 * Data Offset
    const uint8_t *options      # hlen - TCP_HLEN octets
    const uint8_t *text         # segment text, in the frame
    uint32_t text_len

cdef struct tcp_sack_block:
    uint32_t left               # first sequence number of the block
    uint32_t right              # the one after its last

cdef struct tcp_opt:
    bint has_mss
    bint has_wscale
    bint sack_permitted
    bint has_timestamps
    bint has_uto                # an option of that kind, whatever its length
    uint16_t mss
    uint16_t uto                # as it came, see tcp_uto_ns; 0, which is reserved, where the length is wrong
    uint8_t wscale              # at most TCP_MAX_WSCALE
    uint8_t sack_count          # blocks in `sack`
    uint32_t tsval
    uint32_t tsecr
    tcp_sack_block sack[TCP_MAX_SACK]


cdef inline bint tcp_parse(tcp_seg *seg, const uint8_t *p, uint32_t n) noexcept nogil:
    """Fill `seg` from the `n` octets of IP payload at `p`; False if they cannot be TCP. Checksum: `tcp_csum`."""
    cdef uint16_t hlen, word
    if n < TCP_HLEN:
        return False
    word = load_be16(p + 12)
    hlen = <uint16_t>((word >> 12) * 4)
    if hlen < TCP_HLEN or hlen > n:
        return False
    seg.source_port = load_be16(p)
    seg.destination_port = load_be16(p + 2)
    seg.seq = load_be32(p + 4)
    seg.ack = load_be32(p + 8)
    seg.hlen = hlen
    seg.flags = word & 0x1FF
    seg.wnd = load_be16(p + 14)
    seg.up = load_be16(p + 18)
    seg.options = p + TCP_HLEN
    seg.text = p + hlen
    seg.text_len = n - hlen
    return True


cdef inline bint tcp_parse_timestamps(const uint8_t *options, uint32_t n, uint32_t *tsval,
                                      uint32_t *tsecr) noexcept nogil:
    """True if the options are exactly NOP, NOP, Timestamps: the case of every segment of an open connection."""
    if n != 12 or load_be32(options) != TCP_TIMESTAMPS_WORD:
        return False
    tsval[0] = load_be32(options + 4)
    tsecr[0] = load_be32(options + 8)
    return True


cdef inline bint tcp_parse_options(tcp_opt *opt, const uint8_t *p, uint32_t n) noexcept nogil:
    """Fill `opt` from the `n` (at most 40) octets of options at `p`; False if a length runs out of them or is below 2.

    What came before the damage is kept: RFC 9293 MUST-7 wants a bad length survived. Unknown kinds are passed over
    by their length (MUST-6), a known kind with a wrong length too, but for `has_uto`.
    """
    cdef uint32_t i = 0, length
    cdef uint8_t kind, k
    opt.has_mss = opt.has_wscale = opt.sack_permitted = opt.has_timestamps = opt.has_uto = False
    opt.sack_count = 0
    while i < n:
        kind = p[i]
        if kind == TCPOPT_EOL:
            return True
        if kind == TCPOPT_NOP:
            i += 1
            continue
        if i + 1 >= n:
            return False
        length = p[i + 1]
        if length < 2 or length > n - i:
            return False
        if kind == TCPOPT_TIMESTAMPS and length == TCPOLEN_TIMESTAMPS:
            opt.has_timestamps = True
            opt.tsval = load_be32(p + i + 2)
            opt.tsecr = load_be32(p + i + 6)
        elif kind == TCPOPT_SACK and length >= 10 and (length - 2) % 8 == 0:
            opt.sack_count = <uint8_t>((length - 2) // 8)
            for k in range(opt.sack_count):
                opt.sack[k].left = load_be32(p + i + 2 + 8 * k)
                opt.sack[k].right = load_be32(p + i + 6 + 8 * k)
        elif kind == TCPOPT_MSS and length == TCPOLEN_MSS:
            opt.has_mss = True
            opt.mss = load_be16(p + i + 2)
        elif kind == TCPOPT_WSCALE and length == TCPOLEN_WSCALE:
            opt.has_wscale = True
            opt.wscale = p[i + 2] if p[i + 2] <= TCP_MAX_WSCALE else TCP_MAX_WSCALE
        elif kind == TCPOPT_SACK_PERMITTED and length == TCPOLEN_SACK_PERMITTED:
            opt.sack_permitted = True
        elif kind == TCPOPT_UTO:
            opt.has_uto = True
            opt.uto = load_be16(p + i + 2) if length == TCPOLEN_UTO else 0
        i += length
    return True


cdef inline uint32_t tcp_emit(uint8_t *p, uint16_t source_port, uint16_t destination_port, uint32_t seq, uint32_t ack,
                              uint16_t hlen, uint16_t flags, uint16_t wnd, uint16_t up) noexcept nogil:
    """Write the fixed header at `p`, its checksum field 0; returns TCP_HLEN. `hlen` counts the options to come."""
    store_be16(p, source_port)
    store_be16(p + 2, destination_port)
    store_be32(p + 4, seq)
    store_be32(p + 8, ack)
    store_be16(p + 12, <uint16_t>(((hlen // 4) << 12) | (flags & 0x1FF)))
    store_be16(p + 14, wnd)
    store_be16(p + 16, 0)
    store_be16(p + 18, up)
    return TCP_HLEN


cdef inline uint32_t tcp_emit_mss(uint8_t *p, uint16_t mss) noexcept nogil:
    p[0] = TCPOPT_MSS
    p[1] = TCPOLEN_MSS
    store_be16(p + 2, mss)
    return TCPOLEN_MSS


cdef inline uint32_t tcp_emit_wscale(uint8_t *p, uint8_t shift) noexcept nogil:
    """NOP first, so that the option fills a word: four octets."""
    p[0] = TCPOPT_NOP
    p[1] = TCPOPT_WSCALE
    p[2] = TCPOLEN_WSCALE
    p[3] = shift
    return 4


cdef inline uint32_t tcp_emit_sack_permitted(uint8_t *p, bint padded) noexcept nogil:
    """Two octets, or four with NOP, NOP in front."""
    if padded:
        store_be32(p, 0x01010402)
        return 4
    store_be16(p, 0x0402)
    return 2


cdef inline uint32_t tcp_emit_timestamps(uint8_t *p, uint32_t tsval, uint32_t tsecr, bint padded) noexcept nogil:
    """Ten octets, or twelve with NOP, NOP in front."""
    cdef uint32_t i = 0
    if padded:
        store_be16(p, 0x0101)
        i = 2
    store_be16(p + i, 0x080A)
    store_be32(p + i + 2, tsval)
    store_be32(p + i + 6, tsecr)
    return i + TCPOLEN_TIMESTAMPS


cdef inline uint64_t tcp_uto_ns(uint16_t field) noexcept nogil:
    """What the option says: its granularity bit chooses minutes or seconds. 0: reserved (RFC 5482 section 3.4)."""
    return <uint64_t>(field & 0x7FFF) * (60 if field & 0x8000 else 1) * 1000000000


cdef inline uint16_t tcp_uto_field(uint64_t ns) noexcept nogil:
    """The option's field for a timeout of so long, rounded up; 0, which is never, is as long as can be said."""
    cdef uint64_t seconds = ns // 1000000000 + (ns % 1000000000 != 0), minutes = (seconds + 59) // 60
    if 0 < seconds <= 0x7FFF:
        return <uint16_t>seconds
    return <uint16_t>(0x8000 | (minutes if 0 < minutes < 0x7FFF else 0x7FFF))


cdef inline uint32_t tcp_emit_uto(uint8_t *p, uint16_t field) noexcept nogil:
    """Four octets (RFC 5482 section 3.3)."""
    p[0] = TCPOPT_UTO
    p[1] = TCPOLEN_UTO
    store_be16(p + 2, field)
    return TCPOLEN_UTO


cdef inline uint32_t tcp_emit_sack(uint8_t *p, const tcp_sack_block *blocks, uint32_t count) noexcept nogil:
    """NOP, NOP and `count` (1 to TCP_MAX_SACK) blocks, the newest first as RFC 2018 asks; returns 4 + 8 * count."""
    cdef uint32_t k
    store_be16(p, 0x0101)
    p[2] = TCPOPT_SACK
    p[3] = <uint8_t>(2 + 8 * count)
    for k in range(count):
        store_be32(p + 4 + 8 * k, blocks[k].left)
        store_be32(p + 8 + 8 * k, blocks[k].right)
    return 4 + 8 * count
