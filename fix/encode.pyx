"""Finishing a message: prefix, BodyLength, CheckSum; and the memory a writer writes to.

The fields are put by the inline functions of encode.pxd. FIX 4.4 volume 1, "Standard header" and "Standard trailer".
"""
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from fix.message cimport FIX_MAX_MESSAGE
from fix.parse cimport fix_octet_sum
from stack.wire.octets cimport unlikely

cdef extern from *:
    """
    /* Put the begin[] of the writer and the BodyLength n in front of the body; returns where the message starts. */
    static inline uint8_t *fw_prefix(fix_writer *w, uint32_t n) {
        const uint64_t d = fw_spread8(n);
        uint8_t *o = w->body - 9 + ((uint32_t)__builtin_ctzll(d) >> 3);     /* the first digit */
        fw_store8(w->body - 8, (d | 0x3030303030303030ull) >> 8 | 1ull << 56);
        memcpy(o - sizeof w->begin, w->begin, sizeof w->begin);     /* over the zeros in front of the digits */
        return o - w->begin_len;
    }
    static inline void fw_set_begin(fix_writer *w, const char *s, uint32_t n) {
        uint8_t *o = w->begin + sizeof w->begin - 5 - n;
        memcpy(o, "8=", 2);
        memcpy(o + 2, s, n);
        memcpy(o + 2 + n, "\\0019=", 3);
        w->begin_len = n + 5;
    }
    /* 10=nnn| in one store, of 8 octets. */
    static inline void fw_trailer(uint8_t *o, uint32_t sum) {
        const uint32_t h = sum * 41 >> 12, r = sum - h * 100, t = r * 103 >> 10;
        fw_store8(o, 0x00013030303d3031ull + ((uint64_t)h << 24) + ((uint64_t)t << 32) + ((uint64_t)(r - t * 10) << 40));
    }
    """
    uint8_t *fw_prefix(fix_writer *w, uint32_t n) noexcept nogil
    void fw_set_begin(fix_writer *w, const char *s, uint32_t n) noexcept nogil
    void fw_trailer(uint8_t *o, uint32_t sum) noexcept nogil

cdef enum:
    LONGEST_BEGIN = 16      # octets of BeginString


cdef bint fix_writer_alloc(fix_writer *w, uint32_t size) noexcept nogil:
    memset(w, 0, sizeof(fix_writer))
    if size > FIX_MAX_MESSAGE:
        size = FIX_MAX_MESSAGE
    w.buf = <uint8_t *>malloc(FIX_HEADROOM + size + FIX_WRITER_SLACK)
    if w.buf == NULL:
        return False
    w.cap = size
    w.body = w.at.p = w.buf + FIX_HEADROOM
    w.at.end = w.body + size
    w.at.stamp = &w.stamp
    fw_set_begin(w, b"FIX.4.4", 7)
    return True


cdef void fix_writer_free(fix_writer *w) noexcept nogil:
    free(w.buf)
    w.buf = w.at.p = w.at.end = w.body = NULL
    w.cap = 0


cdef bint fix_writer_version(fix_writer *w, const char *begin_string, uint32_t n) noexcept nogil:
    if n > LONGEST_BEGIN:
        return False
    fw_set_begin(w, begin_string, n)
    return True


cdef void fix_begin(fix_writer *w, uint64_t msgtype) noexcept nogil:
    cdef uint8_t *o = w.body
    memcpy(o, <const char *>b"35=", 3)
    memcpy(o + 3, &msgtype, 8)
    o += 4
    while msgtype > 255:
        msgtype >>= 8
        o += 1
    o[0] = 1
    w.at.p = o + 1
    w.at.overflow = 0


cdef bint fix_finish(fix_writer *w, const uint8_t **start, uint32_t *n) noexcept nogil:
    cdef uint8_t *p = w.at.p
    cdef uint8_t *o
    cdef uint32_t length = <uint32_t>(p - w.body), total
    if unlikely(w.at.overflow or length > FIX_MAX_MESSAGE - 40):
        w.at.overflow = 1
        return False
    o = fw_prefix(w, length)
    total = <uint32_t>(p - o)
    fw_trailer(p, fix_octet_sum(o, total))
    start[0] = o
    n[0] = total + 7
    return True
