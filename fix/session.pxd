# One FIX session, sans-I/O: octets and time go in, messages and octets come out. fix/session.pyx is the theory of
# operation. Functions stand in the order in which a message meets them; the structs are in fix/endpoint.pxd, the way out
# is in fix/outbound.pxd, and both may be cimported from here.
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from fix.endpoint cimport (
    FIXT_11, FIX_40, FIX_41, FIX_42, FIX_43, FIX_44, FIX_ABORTED, FIX_ACCEPTOR, FIX_ADMIN_ROOM, FIX_AWAIT_LOGON,
    FIX_BAD_LOGON, FIX_BAD_POSS_DUP, FIX_BUSY, FIX_CLOSING, FIX_DISCONNECTED, FIX_ESTABLISHED, FIX_EV_DISCONNECT,
    FIX_EV_ERROR, FIX_EV_GAP, FIX_EV_GARBLED, FIX_EV_LOGON, FIX_EV_LOGOUT, FIX_EV_REJECTED,
    FIX_EV_RESEND_REQUESTED, FIX_EV_RESET, FIX_EV_SENT_REJECT, FIX_HEARTBEAT_TIMEOUT, FIX_ID_MAX, FIX_INITIATOR,
    FIX_LOGGED_OUT, FIX_LOGON_SENT, FIX_LOGON_TIMEOUT, FIX_LOGOUT_SENT, FIX_LOGOUT_TIMEOUT, FIX_NOT_A_LOGON,
    FIX_NOT_LOGGED_ON, FIX_NO_MSG_SEQ_NUM, FIX_NO_REASON, FIX_NUMBERS_DISAGREE, FIX_NUMBERS_EXHAUSTED,
    FIX_OUT_OF_HOURS, FIX_PEER_CLOSED, FIX_REASONS, FIX_RESEND_STALLED, FIX_SENDING_TIME, FIX_SENT,
    FIX_SEQ_TOO_LOW, FIX_STATES, FIX_STORE_FULL, FIX_TEXT_MAX, FIX_THROTTLED, FIX_TOO_LARGE,
    FIX_UNEXPECTED_MESSAGE, FIX_WIRE_REFUSED, FIX_WOULD_BLOCK, FIX_WRONG_BEGIN_STRING, FIX_WRONG_COMP_ID, fix_app,
    fix_check_fn, fix_event, fix_reason, fix_refusal, fix_role, fix_session, fix_session_config, fix_session_state,
    fix_session_config_init, fix_session_stats, fix_version, fix_wire, session_free, session_matches, session_new,
)
from fix.message cimport fix_msg
from fix.encode cimport fix_writer
from fix.outbound cimport (
    session_begin, session_begin_with, session_cancel, session_end,
)
from fix.logon cimport session_reset
from fix.reject cimport session_business_reject, session_reject
from fix.states cimport (
    session_abort, session_disconnected, session_logout, session_opens_ns, session_renumber, session_schedule,
)
from fix.store cimport fix_store

# the way in
cdef void session_connected(fix_session *s, uint64_t now_ns) noexcept nogil
# -> octets consumed; the rest is given again, with what follows, once there are s.need octets (0: at the next step)
cdef uint32_t session_input(fix_session *s, const uint8_t *p, uint32_t n, uint64_t now_ns) noexcept nogil
cdef void session_writable(fix_session *s, uint64_t now_ns) noexcept nogil      # room on the wire again
cdef void session_poll(fix_session *s, uint64_t now_ns) noexcept nogil          # at deadline_ns, or any time

# what the application may ask for; more in fix/outbound.pxd, fix/reject.pxd and fix/states.pxd
cdef void session_test_request(fix_session *s, uint64_t now_ns) noexcept nogil
cdef void session_ask_resend(fix_session *s, uint64_t from_seq, uint64_t to_seq, uint64_t now_ns) noexcept nogil
