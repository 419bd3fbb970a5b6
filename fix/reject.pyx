"""Rejects: what they say, which fields which version gives them, and the way back over third parties.

FIX 4.4 vol. 2 "Reject", "Business Message Reject". Texts are QuickFIX's. FIX 4.0 and 4.1 have no RefTagID(371), so
the tag stands in the text; SessionRejectReason(373) and RefMsgType(372) came with 4.2.
"""
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, strlen

from fix.encode cimport fix_put_str, fix_put_uint, fix_writer
from fix.endpoint cimport FIX_40, FIX_42, FIXT_11, FIX_ESTABLISHED, FIX_ID_MAX, FIX_NOT_LOGGED_ON, fix_session
from fix.message cimport fix_field, fix_find, fix_msg, fix_value
from fix.outbound cimport admin_begin_with, admin_end, refuse


cdef const char *reject_text(int reason) noexcept nogil:
    """Text(58) for a SessionRejectReason(373)."""
    if reason == 0: return b"Invalid tag number"
    if reason == 1: return b"Required tag missing"
    if reason == 2: return b"Tag not defined for this message type"
    if reason == 3: return b"Undefined tag"
    if reason == 4: return b"Tag specified without a value"
    if reason == 5: return b"Value is incorrect (out of range) for this tag"
    if reason == 6: return b"Incorrect data format for value"
    if reason == 7: return b"Decryption problem"
    if reason == 8: return b"Signature problem"
    if reason == 9: return b"CompID problem"
    if reason == 10: return b"SendingTime accuracy problem"
    if reason == 11: return b"Invalid MsgType"
    if reason == 12: return b"XML validation error"
    if reason == 13: return b"Tag appears more than once"
    if reason == 14: return b"Tag specified out of required order"
    if reason == 15: return b"Repeating group fields out of order"
    if reason == 16: return b"Incorrect NumInGroup count for repeating group"
    if reason == 17: return b"Non data value includes field delimiter"
    if reason == 18: return b"Invalid/Unsupported application version"
    return b"Other"


cdef const char *business_text(int reason) noexcept nogil:
    """Text(58) for a BusinessRejectReason(380)."""
    if reason == 1: return b"Unknown ID"
    if reason == 2: return b"Unknown Security"
    if reason == 3: return b"Unsupported Message Type"
    if reason == 4: return b"Application not available"
    if reason == 5: return b"Conditionally required field missing"
    if reason == 6: return b"Not authorized"
    if reason == 7: return b"DeliverTo firm not available at this time"
    if reason == 18: return b"Invalid price increment"
    return b"Other"


cdef uint32_t decimal(uint8_t *o, uint32_t v) noexcept nogil:
    """v in digits at o (room for 10); -> how many."""
    cdef uint8_t back[10]
    cdef uint32_t n = 0, i
    while True:
        back[n] = <uint8_t>(48 + v % 10)
        n += 1
        v //= 10
        if v == 0:
            break
    for i in range(n):
        o[i] = back[n - 1 - i]
    return n


cdef uint32_t reversed_route(fix_session *s, fix_msg *m, uint8_t *o) noexcept nogil:
    """Header fields that lead an answer to `m` back over third parties; -> octets at o (room for 6 * 72).

    OnBehalfOf... and DeliverTo... change places (FIX 4.4 vol. 1 "FIX routing"). An empty field is not returned.
    """
    cdef uint32_t[6] to
    cdef uint32_t[6] back
    cdef const fix_field *f
    cdef uint32_t n = 0, i
    to[0], to[1], to[2], to[3], to[4], to[5] = 115, 116, 128, 129, 144, 145
    back[0], back[1], back[2], back[3], back[4], back[5] = 128, 129, 115, 116, 145, 144
    for i in range(6):
        if s.config.version == FIX_40 and i >= 4:
            break           # LocationIDs came with FIX 4.1
        f = fix_find(m, back[i])
        if f == NULL or f.len == 0 or f.len > FIX_ID_MAX:
            continue
        n += decimal(o + n, to[i])
        o[n] = c'='
        memcpy(o + n + 1, fix_value(m, f), f.len)
        n += f.len + 2
        o[n - 1] = 1
    return n


cdef void put_ref_text(fix_session *s, fix_writer *w, const char *text, const uint8_t *ref, uint32_t ref_len,
                       bint in_text) noexcept nogil:
    """Text(58), with " (tag)" behind where the message has no RefTagID(371)."""
    cdef uint8_t line[FIX_ID_MAX + 160]
    cdef uint32_t n = <uint32_t>strlen(text)
    if n > 140:
        n = 140
    memcpy(line, text, n)
    if in_text and ref_len != 0:
        line[n] = c' '
        line[n + 1] = c'('
        memcpy(line + n + 2, ref, ref_len)
        line[n + 2 + ref_len] = c')'
        n += ref_len + 3
    fix_put_str(w, 58, line, n)


cdef fix_writer *reject_begin(fix_session *s, fix_msg *m, uint64_t MsgType, uint64_t now_ns) noexcept nogil:
    """A reject of `m` up to RefSeqNum(45)."""
    cdef uint8_t route[512]
    cdef uint32_t n = reversed_route(s, m, route)
    cdef const fix_field *f = fix_find(m, 34)
    cdef fix_writer *w
    w = admin_begin_with(s, MsgType, route, n, now_ns)
    if f != NULL and 0 < f.len <= 20:
        fix_put_str(w, 45, fix_value(m, f), f.len)
    return w


cdef bint send_reject(fix_session *s, fix_msg *m, int reason, const uint8_t *ref, uint32_t ref_len,
                      uint64_t now_ns) noexcept nogil:
    """Reject(3) of `m`; `ref` = RefTagID as text, ref_len 0 = none. It is kept for resends (FIX 4.4 vol. 2)."""
    cdef fix_writer *w = reject_begin(s, m, c'3', now_ns)
    cdef const fix_field *f = fix_find(m, 35)
    cdef bint refs = s.config.version >= FIX_42
    if ref_len > FIX_ID_MAX:
        ref_len = FIX_ID_MAX
    put_ref_text(s, w, reject_text(reason), ref, ref_len, not refs)
    if refs:
        if ref_len != 0:
            fix_put_str(w, 371, ref, ref_len)
        if f != NULL and 0 < f.len <= FIX_ID_MAX:
            fix_put_str(w, 372, fix_value(m, f), f.len)
        # FIX 4.2 knows the reasons up to 11
        if s.config.version > FIX_42 or reason <= 11:
            fix_put_uint(w, 373, reason)
    if not admin_end(s, w, False, now_ns):
        return False
    s.stats.rejects_out += 1
    return True


cdef bint session_reject(fix_session *s, fix_msg *m, int reason, uint32_t ref_tag, uint64_t now_ns) noexcept nogil:
    cdef uint8_t ref[16]
    cdef uint32_t n = 0
    if s.state != FIX_ESTABLISHED:
        refuse(s, FIX_NOT_LOGGED_ON)
        return False
    if ref_tag != 0 or reason == 0:
        n = decimal(ref, ref_tag)
    return send_reject(s, m, reason, ref, n, now_ns)


cdef bint session_business_reject(fix_session *s, fix_msg *m, int reason, const char *text, uint32_t ref_tag,
                                  uint64_t now_ns) noexcept nogil:
    cdef uint8_t ref[16]
    cdef uint32_t n = 0
    cdef fix_writer *w
    cdef const fix_field *f = fix_find(m, 35)
    if s.state != FIX_ESTABLISHED:
        refuse(s, FIX_NOT_LOGGED_ON)
        return False
    if ref_tag != 0:
        n = decimal(ref, ref_tag)
    if s.config.version < FIX_42:
        w = reject_begin(s, m, c'3', now_ns)
        if text == NULL:
            text = business_text(reason)
            if reason == 3:
                text = b"Unsupported message type"
        put_ref_text(s, w, text, ref, n, True)
    else:
        w = reject_begin(s, m, c'j', now_ns)
        if text == NULL:
            text = business_text(reason)
        put_ref_text(s, w, text, ref, n, True)
        if f != NULL and 0 < f.len <= FIX_ID_MAX:
            fix_put_str(w, 372, fix_value(m, f), f.len)
        fix_put_uint(w, 380, reason)
        if s.config.version == FIXT_11 and s.config.DefaultApplVerID[0] != 0:
            # not a field of the message in any dictionary, but QuickFIX says which version it speaks for
            fix_put_str(w, 1137, <const uint8_t *>s.config.DefaultApplVerID, <uint32_t>strlen(s.config.DefaultApplVerID))
    if not admin_end(s, w, False, now_ns):
        return False
    s.stats.rejects_out += 1
    return True
