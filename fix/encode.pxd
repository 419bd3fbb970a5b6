# Writing a message: body fields go into scratch behind headroom, fix_finish puts 8= and 9= in front (BodyLength without
# leading zeros) and CheckSum behind. Nothing is allocated; what does not fit sets `overflow` and is not written.
#
#     fix_begin(&w, MsgType)                    35=D|
#     fix_put_...(&w, tag, value) ...           header and body fields, in the order they are put
#     if fix_finish(&w, &p, &n): ...            the whole message; valid until the next fix_begin
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from fix.digits cimport fix_write_uint
from fix.timestamp cimport fix_stamp

cdef enum:
    FIX_HEADROOM = 64           # before the body: 8=...|9=...| backwards, BeginString of at most 16 octets
    FIX_WRITER_SLACK = 96       # behind `end`: one number, CheckSum, and what wide stores overrun

cdef extern from *:
    """
    #ifndef FIXWIRE_WRITER
    #define FIXWIRE_WRITER
    #include <stdint.h>
    #include <string.h>
    #define FW_PUT static inline __attribute__((always_inline, unused))
    typedef struct {
        uint8_t *p;             /* next octet to write */
        uint8_t *end;           /* values may not begin here or behind; FIX_WRITER_SLACK octets more are writable */
        uint8_t *body;          /* the '3' of 35= */
        uint32_t overflow;
        uint32_t begin_len;     /* octets of begin[] */
        uint8_t begin[24];      /* 8=FIX.4.4|9= */
        uint8_t *buf;
        uint32_t cap;
        fix_stamp stamp;
    } fix_writer;

    /* "38=" in one store; folds to a constant where the tag is one. */
    FW_PUT uint8_t *fw_put_tag(uint8_t *o, uint32_t t) {
        uint64_t x;
        if (t < 10) { x = ('0' + t) | (uint64_t)'=' << 8; memcpy(o, &x, 8); return o + 2; }
        if (t < 100) {
            x = ('0' + t / 10) | (uint64_t)('0' + t % 10) << 8 | (uint64_t)'=' << 16;
            memcpy(o, &x, 8); return o + 3;
        }
        if (t < 1000) {
            x = ('0' + t / 100) | (uint64_t)('0' + t / 10 % 10) << 8 | (uint64_t)('0' + t % 10) << 16 | (uint64_t)'=' << 24;
            memcpy(o, &x, 8); return o + 4;
        }
        if (t < 10000) {
            x = ('0' + t / 1000) | (uint64_t)('0' + t / 100 % 10) << 8 | (uint64_t)('0' + t / 10 % 10) << 16
              | (uint64_t)('0' + t % 10) << 24 | (uint64_t)'=' << 32;
            memcpy(o, &x, 8); return o + 5;
        }
        o = fw_write_uint(o, t);
        *o = '=';
        return o + 1;
    }
    /* Room for a tag and n octets of value? `end` leaves slack for every tag and number. */
    FW_PUT int fw_put_room(fix_writer *w, size_t n) {
        if (__builtin_expect(w->p > w->end || (size_t)(w->end - w->p) < n, 0)) { w->overflow = 1; return 0; }
        return 1;
    }
    FW_PUT void fw_put_str(fix_writer *w, uint32_t tag, const uint8_t *s, uint32_t n) {
        uint8_t *o;
        if (!fw_put_room(w, n)) return;
        o = fw_put_tag(w->p, tag);
        memcpy(o, s, n);
        o[n] = 1;
        w->p = o + n + 1;
    }
    FW_PUT void fw_put_raw(fix_writer *w, const uint8_t *s, uint32_t n) {
        if (!fw_put_room(w, n)) return;
        memcpy(w->p, s, n);
        w->p += n;
    }
    FW_PUT void fw_put_uint(fix_writer *w, uint32_t tag, uint64_t v) {
        uint8_t *o;
        if (!fw_put_room(w, 0)) return;
        o = fw_write_uint(fw_put_tag(w->p, tag), v);
        *o = 1;
        w->p = o + 1;
    }
    FW_PUT void fw_put_int(fix_writer *w, uint32_t tag, int64_t v) {
        uint8_t *o;
        if (!fw_put_room(w, 0)) return;
        o = fw_write_int(fw_put_tag(w->p, tag), v);
        *o = 1;
        w->p = o + 1;
    }
    FW_PUT void fw_put_char(fix_writer *w, uint32_t tag, uint8_t c) {
        uint8_t *o;
        if (!fw_put_room(w, 0)) return;
        o = fw_put_tag(w->p, tag);
        o[0] = c;
        o[1] = 1;
        w->p = o + 2;
    }
    FW_PUT void fw_put_e8(fix_writer *w, uint32_t tag, int64_t v, uint32_t decimals) {
        uint8_t *o;
        if (!fw_put_room(w, 0)) return;
        o = fw_write_e8(fw_put_tag(w->p, tag), v, decimals);
        *o = 1;
        w->p = o + 1;
    }
    FW_PUT void fw_put_utc(fix_writer *w, uint32_t tag, uint64_t utc_ns, uint32_t decimals) {
        uint8_t *o;
        if (!fw_put_room(w, 0)) return;
        o = fw_write_utc(&w->stamp, fw_put_tag(w->p, tag), utc_ns, decimals);
        *o = 1;
        w->p = o + 1;
    }
    #endif
    """
    ctypedef struct fix_writer:
        uint8_t *p
        uint8_t *end
        uint8_t *body
        uint32_t overflow
        uint8_t *buf
        uint32_t cap
        fix_stamp stamp
    # Values are written as they are given: no SOH may be in them (only a data field may hold one, behind its Length field).
    void fix_put_str "fw_put_str"(fix_writer *w, uint32_t tag, const uint8_t *s, uint32_t n) noexcept nogil
    void fix_put_raw "fw_put_raw"(fix_writer *w, const uint8_t *s, uint32_t n) noexcept nogil    # whole fields, SOH included
    void fix_put_uint "fw_put_uint"(fix_writer *w, uint32_t tag, uint64_t v) noexcept nogil
    void fix_put_int "fw_put_int"(fix_writer *w, uint32_t tag, int64_t v) noexcept nogil
    void fix_put_char "fw_put_char"(fix_writer *w, uint32_t tag, uint8_t c) noexcept nogil
    # mantissa of 10^-8, with as few decimals as are exact but at least `decimals` (0..8)
    void fix_put_decimal_e8 "fw_put_e8"(fix_writer *w, uint32_t tag, int64_t v, uint32_t decimals) noexcept nogil
    # decimals: 0, 3, 6 or 9
    void fix_put_utc "fw_put_utc"(fix_writer *w, uint32_t tag, uint64_t utc_ns, uint32_t decimals) noexcept nogil


cdef inline void fix_put_bool(fix_writer *w, uint32_t tag, bint v) noexcept nogil:
    fix_put_char(w, tag, 89 if v else 78)


cdef inline void fix_put_price_e8(fix_writer *w, uint32_t tag, int64_t v) noexcept nogil:
    """Price, Qty, Amt: mantissa of 10^-8, written with as few decimals as are exact."""
    fix_put_decimal_e8(w, tag, v, 0)


cdef inline bint fix_room(const fix_writer *w, uint32_t n) noexcept nogil:
    """True if n more octets of fields fit."""
    return w.p <= w.end and <uint64_t>(w.end - w.p) >= n


# A writer over its own memory for messages of up to `size` octets. False: no memory.
cdef bint fix_writer_alloc(fix_writer *w, uint32_t size) noexcept nogil
cdef void fix_writer_free(fix_writer *w) noexcept nogil
# BeginString of the messages that follow: FIX.4.0 ... FIX.4.4, FIXT.1.1; at most 16 octets (False if longer).
cdef bint fix_writer_version(fix_writer *w, const char *begin_string, uint32_t n) noexcept nogil
# Begin a message: 35=<MsgType>|. MsgType as in fix_msg.MsgType: octets, the first lowest.
cdef void fix_begin(fix_writer *w, uint64_t msgtype) noexcept nogil
# Complete it -> True and where it is. False: overflow, or longer than FIX_MAX_MESSAGE; there is no message.
cdef bint fix_finish(fix_writer *w, const uint8_t **start, uint32_t *n) noexcept nogil
