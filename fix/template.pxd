# A message body prepared once and sent many times: pieces of whole octets with holes for the values that change.
#
#     cdef fix_cursor c = fix_template_begin(&t)    cdef fix_cursor c = w.at
#     fix_add_...(&c, tag, value) ...               fix_fill_piece(&c, &t, 0)           what stands before the first hole
#     fix_template_hole(&t, &c, 38)                 fix_fill_uint(&c, qty)
#     fix_add_...                                   fix_fill_piece(&c, &t, 1)           ... and behind it
#     if fix_template_end(&t, &c): ...              w.at = c
#
# On the left how it is made, on the right how it is filled in behind fix_begin: from left to right, so that what a wide store
# writes too much lies where the next value goes. BodyLength and CheckSum are fix_finish's. Every hole must get a value.
# A template is plain memory without pointers into itself: it may be copied.
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from fix.encode cimport fix_cursor

cdef enum:
    FIX_TEMPLATE_OCTETS = 320       # of all pieces
    FIX_TEMPLATE_HOLES = 8

cdef extern from *:
    """
    #ifndef FIXWIRE_TEMPLATE
    #define FIXWIRE_TEMPLATE
    enum { FW_TEMPLATE_OCTETS = 320, FW_TEMPLATE_HOLES = 8, FW_TEMPLATE_SLACK = 96 };
    typedef struct {
        uint32_t holes, whole;                          /* whole: fix_template_end found nothing missing */
        uint16_t from[FW_TEMPLATE_HOLES + 2];           /* piece i is text[from[i]] up to text[from[i + 1]] */
        uint8_t text[FW_TEMPLATE_OCTETS + FW_TEMPLATE_SLACK];
    } fix_template;

    /* Where the first piece is written; `stamp` is needed by none of them. */
    FW_PUT fix_cursor fw_template_begin(fix_template *t) {
        fix_cursor c = {t->text, t->text + FW_TEMPLATE_OCTETS, NULL, 0};
        memset(t, 0, sizeof *t);
        return c;
    }
    /* "38=" ends a piece, the SOH behind the value begins the next one. */
    FW_PUT void fw_template_hole(fix_template *t, fix_cursor *c, uint32_t tag) {
        if (t->holes == FW_TEMPLATE_HOLES) c->overflow = 1;
        if (!fw_room(c)) return;
        c->p = fw_put_tag(c->p, tag);
        if (!c->overflow) t->from[++t->holes] = (uint16_t)(c->p - t->text);
        *c->p++ = 1;
    }
    FW_PUT int fw_template_end(fix_template *t, fix_cursor *c) {
        t->from[t->holes + 1] = (uint16_t)(c->p - t->text);
        t->whole = !c->overflow && c->p <= c->end;
        return (int)t->whole;
    }

    FW_PUT void fw_fill_piece(fix_cursor *c, const fix_template *t, uint32_t i) {
        const uint8_t *s = t->text + t->from[i];
        const uint32_t n = (uint32_t)t->from[i + 1] - t->from[i];
        if (__builtin_expect(n <= 32, 1)) {
            if (!fw_room(c)) return;
            memcpy(c->p, s, 32);
        } else {
            if (!fw_room_for(c, n)) return;
            memcpy(c->p, s, 64);
            if (__builtin_expect(n > 64, 0)) memcpy(c->p + 64, s + 64, n - 64);
        }
        c->p += n;
    }
    FW_PUT void fw_fill_uint(fix_cursor *c, uint64_t v) { if (fw_room(c)) c->p = fw_write_uint(c->p, v); }
    FW_PUT void fw_fill_int(fix_cursor *c, int64_t v) { if (fw_room(c)) c->p = fw_write_int(c->p, v); }
    FW_PUT void fw_fill_e8(fix_cursor *c, int64_t v, uint32_t decimals) { if (fw_room(c)) c->p = fw_write_e8(c->p, v, decimals); }
    FW_PUT void fw_fill_utc(fix_cursor *c, uint64_t utc_ns, uint32_t decimals) {
        if (fw_room(c)) c->p = fw_write_utc(c->stamp, c->p, utc_ns, decimals);
    }
    FW_PUT void fw_fill_str(fix_cursor *c, const uint8_t *s, uint32_t n) {
        if (__builtin_expect(n > 16, 0)) {
            if (!fw_room_for(c, n)) return;
            memcpy(c->p, s, n);
        } else {
            if (!fw_room(c)) return;
            fw_copy16(c->p, s, n);
        }
        c->p += n;
    }
    #endif
    """
    ctypedef struct fix_template:
        uint32_t holes
        uint32_t whole          # 0: it is not to be filled in; so is one that is all zeros
    fix_cursor fix_template_begin "fw_template_begin"(fix_template *t) noexcept nogil
    void fix_template_hole "fw_template_hole"(fix_template *t, fix_cursor *c, uint32_t tag) noexcept nogil
    # True: whole. False: more than FIX_TEMPLATE_OCTETS or FIX_TEMPLATE_HOLES
    bint fix_template_end "fw_template_end"(fix_template *t, fix_cursor *c) noexcept nogil
    # piece i of holes + 1; a value goes between two of them
    void fix_fill_piece "fw_fill_piece"(fix_cursor *c, const fix_template *t, uint32_t i) noexcept nogil
    void fix_fill_uint "fw_fill_uint"(fix_cursor *c, uint64_t v) noexcept nogil
    void fix_fill_int "fw_fill_int"(fix_cursor *c, int64_t v) noexcept nogil
    void fix_fill_decimal_e8 "fw_fill_e8"(fix_cursor *c, int64_t v, uint32_t decimals) noexcept nogil
    void fix_fill_utc "fw_fill_utc"(fix_cursor *c, uint64_t utc_ns, uint32_t decimals) noexcept nogil
    void fix_fill_str "fw_fill_str"(fix_cursor *c, const uint8_t *s, uint32_t n) noexcept nogil
