"""Finishing a message: prefix, BodyLength, CheckSum; and the memory a writer writes to.

The fields are put by the inline functions of encode.pxd. FIX 4.4 volume 1, "Standard header" and "Standard trailer".
"""
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from fix.message cimport FIX_MAX_MESSAGE
from fix.parse cimport fix_octet_sum

cdef extern from *:
    """
    /* Put the begin[] of the writer and the BodyLength n in front of the body; returns where the message starts. */
    static inline uint8_t *fw_prefix(fix_writer *w, uint32_t n) {
        uint8_t digits[8], *end, *o;
        uint32_t k;
        uint64_t x;
        end = fw_write_uint(digits, n);
        *end = 1;
        k = (uint32_t)(end - digits) + 1;
        o = w->body - k;
        memcpy(&x, digits, 8);
        x <<= 64 - 8 * k;
        memcpy(w->body - 8, &x, 8);             /* overlaps the begin[] below, which is written after it */
        o -= w->begin_len;
        memcpy(o, w->begin, 24 < w->begin_len ? 24 : w->begin_len);
        return o;
    }
    static inline void fw_set_begin(fix_writer *w, const char *s, uint32_t n) {
        memcpy(w->begin, "8=", 2);
        memcpy(w->begin + 2, s, n);
        memcpy(w->begin + 2 + n, "\\0019=", 3);
        w->begin_len = n + 5;
    }
    """
    uint8_t *fw_prefix(fix_writer *w, uint32_t n) noexcept nogil
    void fw_set_begin(fix_writer *w, const char *s, uint32_t n) noexcept nogil

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
    w.body = w.p = w.buf + FIX_HEADROOM
    w.end = w.body + size
    fw_set_begin(w, b"FIX.4.4", 7)
    return True


cdef void fix_writer_free(fix_writer *w) noexcept nogil:
    free(w.buf)
    w.buf = w.p = w.end = w.body = NULL
    w.cap = 0


cdef bint fix_writer_version(fix_writer *w, const char *begin_string, uint32_t n) noexcept nogil:
    if n > LONGEST_BEGIN:
        return False
    fw_set_begin(w, begin_string, n)
    return True


cdef void fix_begin(fix_writer *w, uint64_t msgtype) noexcept nogil:
    w.p = w.body
    w.overflow = 0
    memcpy(w.p, <const char *>b"35=", 3)
    memcpy(w.p + 3, &msgtype, 8)
    w.p += 4
    while msgtype > 255:
        msgtype >>= 8
        w.p += 1
    w.p[0] = 1
    w.p += 1


cdef bint fix_finish(fix_writer *w, const uint8_t **start, uint32_t *n) noexcept nogil:
    cdef uint32_t length = <uint32_t>(w.p - w.body)
    cdef uint32_t total, sum
    cdef uint8_t *o
    if w.overflow or length > FIX_MAX_MESSAGE - 40:
        w.overflow = 1
        return False
    o = fw_prefix(w, length)
    total = <uint32_t>(w.p - o)
    sum = fix_octet_sum(o, total)
    memcpy(w.p, <const char *>b"10=", 3)
    w.p[3] = 48 + sum / 100
    w.p[4] = 48 + sum / 10 % 10
    w.p[5] = 48 + sum % 10
    w.p[6] = 1
    start[0] = o
    n[0] = total + 7
    return True
