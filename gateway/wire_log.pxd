# Message logs, the engine's side: what went over the wire into a ring, from which a thread takes it (gateway/filelog).
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from ipc.ring cimport ring_commit, ring_reserve

from gateway.slab cimport engine, slot

cdef enum:
    PIECE_HEAD = 16
    PIECE_OCTETS = 496          # of text in one slot of the ring

cdef struct log_piece:          # a message is as many pieces as it needs, committed at once
    int64_t utc_ns
    uint32_t n                  # octets of the whole message
    uint16_t slot
    uint16_t sent               # 1: by us
    uint8_t text[496]


cdef inline void file_log_put(slot *g, bint sent, const uint8_t *p, uint32_t n, uint64_t now_ns) noexcept nogil:
    """The `n` octets at `p` to the log of g, which has one. No room: lost, counted in engine.file_log_lost."""
    cdef engine *e = g.e
    cdef log_piece *piece
    cdef uint32_t at = 0, k, pieces = 0
    while at < n:
        k = n - at if n - at < PIECE_OCTETS else <uint32_t>PIECE_OCTETS
        piece = <log_piece *>ring_reserve(e.file_log, PIECE_HEAD + k, pieces)
        if piece == NULL:
            e.file_log_lost += 1        # nothing of what was reserved is published
            return
        piece.utc_ns = <int64_t>now_ns + e.utc_offset_ns
        piece.n = n
        piece.slot = <uint16_t>g.id
        piece.sent = sent
        memcpy(piece.text, p + at, k)
        at += k
        pieces += 1
    ring_commit(e.file_log, pieces)
