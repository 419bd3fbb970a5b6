# Reject(3) and BusinessMessageReject(j).
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from fix.endpoint cimport fix_session
from fix.message cimport fix_msg

# For applications: Reject(3) of a message of the peer: SessionRejectReason, RefTagID (0 = none, but for reason 0).
# False: s.refusal says why.
cdef bint session_reject(fix_session *s, fix_msg *m, int reason, uint32_t ref_tag, uint64_t now_ns) noexcept nogil
# BusinessMessageReject(j), a Reject in FIX 4.0 and 4.1. text NULL: the standard's own words for the reason.
cdef bint session_business_reject(fix_session *s, fix_msg *m, int reason, const char *text, uint32_t ref_tag,
                                  uint64_t now_ns) noexcept nogil
# For fix.session: `ref` is RefTagID as it is written, ref_len 0 = none.
cdef bint send_reject(fix_session *s, fix_msg *m, int reason, const uint8_t *ref, uint32_t ref_len,
                      uint64_t now_ns) noexcept nogil
# v in digits at o (room for 10); -> how many.
cdef uint32_t decimal(uint8_t *o, uint32_t v) noexcept nogil
