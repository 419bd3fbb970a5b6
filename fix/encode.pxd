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
    #include <stddef.h>
    #include <stdint.h>
    #include <string.h>
    #define FW_PUT static inline __attribute__((always_inline, unused))
    typedef struct {
        uint8_t *p;             /* next octet to write */
        uint8_t *end;           /* values may not begin here or behind; FIX_WRITER_SLACK octets more are writable */
        fix_stamp *stamp;
        uint32_t overflow;
    } fix_cursor;
    typedef struct {
        fix_cursor at;
        uint8_t *body;          /* the '3' of 35= */
        uint32_t begin_len;     /* octets of begin[] */
        uint8_t begin[24];      /* 8=FIX.4.4|9= at its end */
        uint8_t *buf;
        uint32_t cap;
        fix_stamp stamp;
    } fix_writer;

    /* "38=" as it lies in memory; folds to a constant where the tag is one. */
    FW_PUT uint64_t fw_tag_word(uint32_t t, uint32_t *n) {
        if (t < 10) { *n = 2; return ('0' + t) | (uint64_t)'=' << 8; }
        if (t < 100) { *n = 3; return ('0' + t / 10) | (uint64_t)('0' + t % 10) << 8 | (uint64_t)'=' << 16; }
        if (t < 1000) {
            *n = 4;
            return ('0' + t / 100) | (uint64_t)('0' + t / 10 % 10) << 8 | (uint64_t)('0' + t % 10) << 16 | (uint64_t)'=' << 24;
        }
        *n = 5;
        return ('0' + t / 1000) | (uint64_t)('0' + t / 100 % 10) << 8 | (uint64_t)('0' + t / 10 % 10) << 16
             | (uint64_t)('0' + t % 10) << 24 | (uint64_t)'=' << 32;
    }
    FW_PUT uint8_t *fw_put_tag(uint8_t *o, uint32_t t) {
        if (t < 10000) {
            uint32_t n;
            fw_store8(o, fw_tag_word(t, &n));
            return o + n;
        }
        o = fw_write_uint(o, t);
        *o = '=';
        return o + 1;
    }
    /* Room for a field? `end` leaves slack for every tag and number, and for texts of 16 octets. */
    FW_PUT int fw_room(fix_cursor *c) {
        if (__builtin_expect(c->p > c->end, 0)) { c->overflow = 1; return 0; }
        return 1;
    }
    /* ... and for n octets of text? */
    FW_PUT int fw_room_for(fix_cursor *c, size_t n) {
        if (__builtin_expect(c->p > c->end || (size_t)(c->end - c->p) < n, 0)) { c->overflow = 1; return 0; }
        return 1;
    }
    /* n <= 16 octets, none beside them read or written: a call of memcpy costs more than most texts. */
    FW_PUT void fw_copy16(uint8_t *o, const uint8_t *s, uint32_t n) {
        if (n >= 8) {
            uint64_t x = fw_load8(s), y = fw_load8(s + n - 8);
            fw_store8(o, x);
            fw_store8(o + n - 8, y);
        } else if (n >= 4) {
            uint32_t x, y;
            memcpy(&x, s, 4);
            memcpy(&y, s + n - 4, 4);
            memcpy(o, &x, 4);
            memcpy(o + n - 4, &y, 4);
        } else if (n) {
            uint8_t x = s[0], y = s[n >> 1], z = s[n - 1];
            o[0] = x;
            o[n >> 1] = y;
            o[n - 1] = z;
        }
    }
    FW_PUT void fw_add_str(fix_cursor *c, uint32_t tag, const uint8_t *s, uint32_t n) {
        uint8_t *o;
        if (__builtin_expect(n > 16, 0)) {
            if (!fw_room_for(c, n)) return;
            o = fw_put_tag(c->p, tag);
            memcpy(o, s, n);
        } else {
            if (!fw_room(c)) return;
            o = fw_put_tag(c->p, tag);
            fw_copy16(o, s, n);
        }
        o[n] = 1;
        c->p = o + n + 1;
    }
    FW_PUT void fw_add_raw(fix_cursor *c, const uint8_t *s, uint32_t n) {
        if (!fw_room_for(c, n)) return;
        memcpy(c->p, s, n);
        c->p += n;
    }
    FW_PUT void fw_add_uint(fix_cursor *c, uint32_t tag, uint64_t v) {
        uint8_t *o;
        if (!fw_room(c)) return;
        o = fw_write_uint(fw_put_tag(c->p, tag), v);
        *o = 1;
        c->p = o + 1;
    }
    FW_PUT void fw_add_int(fix_cursor *c, uint32_t tag, int64_t v) {
        uint8_t *o;
        if (!fw_room(c)) return;
        o = fw_write_int(fw_put_tag(c->p, tag), v);
        *o = 1;
        c->p = o + 1;
    }
    FW_PUT void fw_add_char(fix_cursor *c, uint32_t tag, uint8_t v) {
        uint8_t *o;
        uint32_t n;
        if (!fw_room(c)) return;
        if (tag < 10000) {              /* tag, value and SOH in one store */
            uint64_t x = fw_tag_word(tag, &n);
            fw_store8(c->p, x | (uint64_t)(v | 0x100u) << 8 * n);
            c->p += n + 2;
            return;
        }
        o = fw_put_tag(c->p, tag);
        o[0] = v;
        o[1] = 1;
        c->p = o + 2;
    }
    FW_PUT void fw_add_e8(fix_cursor *c, uint32_t tag, int64_t v, uint32_t decimals) {
        uint8_t *o;
        if (!fw_room(c)) return;
        o = fw_write_e8(fw_put_tag(c->p, tag), v, decimals);
        *o = 1;
        c->p = o + 1;
    }
    FW_PUT void fw_add_utc(fix_cursor *c, uint32_t tag, uint64_t utc_ns, uint32_t decimals) {
        uint8_t *o;
        if (!fw_room(c)) return;
        o = fw_write_utc(c->stamp, fw_put_tag(c->p, tag), utc_ns, decimals);
        *o = 1;
        c->p = o + 1;
    }
    #define fw_put_str(w, tag, s, n) fw_add_str(&(w)->at, tag, s, n)
    #define fw_put_raw(w, s, n) fw_add_raw(&(w)->at, s, n)
    #define fw_put_uint(w, tag, v) fw_add_uint(&(w)->at, tag, v)
    #define fw_put_int(w, tag, v) fw_add_int(&(w)->at, tag, v)
    #define fw_put_char(w, tag, v) fw_add_char(&(w)->at, tag, v)
    #define fw_put_e8(w, tag, v, decimals) fw_add_e8(&(w)->at, tag, v, decimals)
    #define fw_put_utc(w, tag, utc_ns, decimals) fw_add_utc(&(w)->at, tag, utc_ns, decimals)
    #endif
    """
    # Where a writer writes. A copy of it in a local variable stays in registers, where the writer's own is read again for every
    # field, since octets written may be anything's:
    #     cdef fix_cursor c = w.at
    #     fix_add_...(&c, tag, value) ...
    #     w.at = c
    ctypedef struct fix_cursor:
        uint8_t *p
        uint8_t *end
        fix_stamp *stamp
        uint32_t overflow
    ctypedef struct fix_writer:
        fix_cursor at
        uint8_t *body
        uint8_t *buf
        uint32_t cap
        fix_stamp stamp
    # fields at a cursor, as fix_put_* below
    void fix_add_str "fw_add_str"(fix_cursor *c, uint32_t tag, const uint8_t *s, uint32_t n) noexcept nogil
    void fix_add_raw "fw_add_raw"(fix_cursor *c, const uint8_t *s, uint32_t n) noexcept nogil
    void fix_add_uint "fw_add_uint"(fix_cursor *c, uint32_t tag, uint64_t v) noexcept nogil
    void fix_add_int "fw_add_int"(fix_cursor *c, uint32_t tag, int64_t v) noexcept nogil
    void fix_add_char "fw_add_char"(fix_cursor *c, uint32_t tag, uint8_t v) noexcept nogil
    void fix_add_decimal_e8 "fw_add_e8"(fix_cursor *c, uint32_t tag, int64_t v, uint32_t decimals) noexcept nogil
    void fix_add_utc "fw_add_utc"(fix_cursor *c, uint32_t tag, uint64_t utc_ns, uint32_t decimals) noexcept nogil
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
    return w.at.p <= w.at.end and <uint64_t>(w.at.end - w.at.p) >= n


# A writer over its own memory for messages of up to `size` octets. False: no memory.
cdef bint fix_writer_alloc(fix_writer *w, uint32_t size) noexcept nogil
cdef void fix_writer_free(fix_writer *w) noexcept nogil
# BeginString of the messages that follow: FIX.4.0 ... FIX.4.4, FIXT.1.1; at most 16 octets (False if longer).
cdef bint fix_writer_version(fix_writer *w, const char *begin_string, uint32_t n) noexcept nogil
# Begin a message: 35=<MsgType>|. MsgType as in fix_msg.MsgType: octets, the first lowest.
cdef void fix_begin(fix_writer *w, uint64_t msgtype) noexcept nogil
# Complete it -> True and where it is. False: overflow, or longer than FIX_MAX_MESSAGE; there is no message.
cdef bint fix_finish(fix_writer *w, const uint8_t **start, uint32_t *n) noexcept nogil
