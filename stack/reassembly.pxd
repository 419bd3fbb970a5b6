# Ranges of a stream over preallocated memory: what arrived ahead of its turn, and what the reader has not used up.
# One `reass` is one direction of one connection. RFC 9293 section 3.10.7.4 (seventh), RFC 2018 for the blocks.
# Used by tcp_input and, passively, by tap.
#
# The buffer is linear: the reader sees one contiguous piece, `FRAME_SLACK` octets behind it may be read. Out-of-order
# text is stored where it will be read, so a filled hole costs no second copy. Where two copies of an octet overlap the
# first one stays; if they differ that is counted.
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

cdef enum:
    REASS_RANGES = 32

cdef struct reass_range:
    uint32_t seq
    uint32_t end            # one past the last
    uint32_t recent         # larger = touched later

cdef struct reass:
    uint8_t *buf            # 2 * limit + FRAME_SLACK octets
    uint32_t limit          # most octets that may wait, in order or not: the window
    uint32_t head           # index in buf of the first octet that waits in order
    uint32_t held           # octets that wait in order; they end at nxt
    uint32_t nxt            # RCV.NXT: the next octet in order
    uint32_t count          # ranges beyond nxt, ascending, with holes between them
    uint32_t clock
    reass_range ranges[32]
    uint64_t conflicting    # octets that came twice and differed
    uint64_t duplicate      # octets that came twice
    uint64_t refused        # octets not kept: beyond the limit or one range too many

# octets of buf that `limit` needs
cdef inline uint64_t reass_memory(uint32_t limit) noexcept nogil:
    return 2 * <uint64_t>limit + 64

cdef inline uint32_t reass_room(const reass *r) noexcept nogil:
    """Octets beyond nxt that may be kept: the window to offer."""
    return r.limit - r.held

cdef inline uint32_t reass_next(reass *r, const uint8_t **p) noexcept nogil:
    """Octets that wait in order; *p is the first of them, valid until the next insert or append."""
    p[0] = r.buf + r.head
    return r.held

cdef inline void reass_consume(reass *r, uint32_t n) noexcept nogil:
    """The reader has used up n of the octets of reass_next."""
    r.held -= n
    r.head = r.head + n if r.held or r.count else 0

cdef void reass_init(reass *r, uint8_t *buf, uint32_t limit, uint32_t nxt) noexcept nogil
# -> octets that became readable in order by this text (0: none, it waits or was old); nxt moves by as many
cdef uint32_t reass_insert(reass *r, uint32_t seq, const uint8_t *p, uint32_t n) noexcept nogil
# octets at nxt, nothing waits out of order or what does is not touched; n <= reass_room
cdef void reass_append(reass *r, const uint8_t *p, uint32_t n) noexcept nogil
# text at nxt was used in place, without a copy; only while held == 0
cdef void reass_skip(reass *r, uint32_t n) noexcept nogil
# tap: the hole before the first range will not be filled; nxt jumps to it. -> octets readable then
cdef uint32_t reass_give_up(reass *r) noexcept nogil
# the i-th most recently touched range (RFC 2018 section 4), False = no such
cdef bint reass_block(const reass *r, uint32_t i, uint32_t *seq, uint32_t *end) noexcept nogil
