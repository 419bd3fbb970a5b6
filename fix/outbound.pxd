# The way out of a session: header, number, store, wire; administrative messages; resends. Functions in the order of an order.
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from fix.encode cimport fix_writer
from fix.endpoint cimport fix_session
from fix.message cimport fix_msg

# Begin a message: the standard header is written, the caller puts the body. MsgType as fix_msgtype("D") gives it.
# NULL: refused, s.refusal says why, no number is used.
cdef fix_writer *session_begin(fix_session *s, uint64_t MsgType, uint64_t now_ns) noexcept nogil
# With more header fields, whole (SOH included) and ascending by tag: they take their places among the standard ones.
cdef fix_writer *session_begin_with(fix_session *s, uint64_t MsgType, const uint8_t *extra, uint32_t n,
                                    uint64_t now_ns) noexcept nogil
# Number it, keep it, send it. False: not sent, no number used, s.refusal says why.
cdef bint session_end(fix_session *s, fix_writer *w, uint64_t now_ns) noexcept nogil
cdef void session_cancel(fix_session *s, fix_writer *w) noexcept nogil          # instead of session_end

# for fix.session and fix.reject alone; False: no room, counted in admin_refused
cdef fix_writer *refuse(fix_session *s, uint32_t why) noexcept nogil
cdef fix_writer *admin_begin_with(fix_session *s, uint64_t MsgType, const uint8_t *extra, uint32_t n,
                                  uint64_t now_ns) noexcept nogil
cdef bint admin_end(fix_session *s, fix_writer *w, bint admin, uint64_t now_ns) noexcept nogil
cdef int64_t session_utc(const fix_session *s, uint64_t now_ns) noexcept nogil
cdef bint send_logon(fix_session *s, bint reset, uint64_t expected, uint64_t now_ns) noexcept nogil
cdef bint send_logout(fix_session *s, const uint8_t *text, uint32_t n, uint64_t now_ns) noexcept nogil
cdef bint send_heartbeat(fix_session *s, const uint8_t *id, uint32_t n, uint64_t now_ns) noexcept nogil
cdef bint send_test_request(fix_session *s, uint64_t now_ns) noexcept nogil
cdef bint send_resend_request(fix_session *s, uint64_t first, uint64_t last, uint64_t now_ns) noexcept nogil
cdef bint send_gap_fill(fix_session *s, uint64_t first, uint64_t next_seq, uint64_t now_ns) noexcept nogil
# Send again what s.resend_next .. s.resend_to says, as much as one step may; False: there is more.
cdef bint resend_step(fix_session *s, uint64_t now_ns) noexcept nogil
cdef bint is_header_tag(uint32_t tag) noexcept nogil
