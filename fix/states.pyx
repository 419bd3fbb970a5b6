"""The states of a FIX session: the table, its transitions, what ends a session, and when time matters next.

fix/session is the theory of operation and decides when a state changes; here is what may follow what, as data for
tests and docs, and everything that goes with a change.
"""
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport strlen

from fix.endpoint cimport (
    FIX_ABORTED, FIX_AWAIT_LOGON, FIX_CLOSING, FIX_DISCONNECTED, FIX_ESTABLISHED, FIX_EV_DISCONNECT, FIX_EV_ERROR,
    FIX_EV_RESET, FIX_LOGGED_OUT, FIX_LOGON_SENT, FIX_LOGOUT_SENT, FIX_NO_REASON, FIX_PEER_CLOSED, fix_session,
)
from fix.outbound cimport send_logout, session_utc
from fix.recovery cimport gap_patience, queue_clear

cdef uint64_t NEVER = 0xFFFFFFFFFFFFFFFF


# (from, to): why. The only transitions there are; FIXWIRE_DEBUG stops at any other.
TRANSITIONS = {
    ("DISCONNECTED", "AWAIT_LOGON"): "connected as acceptor",
    ("DISCONNECTED", "LOGON_SENT"): "connected as initiator, Logon sent",
    ("DISCONNECTED", "CLOSING"): "connected outside the session's hours",
    ("AWAIT_LOGON", "ESTABLISHED"): "the peer's Logon was good and is answered",
    ("AWAIT_LOGON", "CLOSING"): "no Logon, not a good one, or not in time",
    ("LOGON_SENT", "ESTABLISHED"): "the peer answered with its Logon",
    ("LOGON_SENT", "CLOSING"): "refused by Logout, answered wrongly, or not in time",
    ("ESTABLISHED", "LOGOUT_SENT"): "we asked for the end: by hand, or after a fault the peer is told about",
    ("ESTABLISHED", "CLOSING"): "the peer's Logout is answered, or a fault leaves nothing to say",
    ("LOGOUT_SENT", "CLOSING"): "the peer's Logout came, or logout_timeout passed",
    ("AWAIT_LOGON", "DISCONNECTED"): "the connection was lost",
    ("LOGON_SENT", "DISCONNECTED"): "the connection was lost",
    ("ESTABLISHED", "DISCONNECTED"): "the connection was lost",
    ("LOGOUT_SENT", "DISCONNECTED"): "the connection was lost",
    ("CLOSING", "DISCONNECTED"): "the connection is closed",
}
STATES = ("DISCONNECTED", "AWAIT_LOGON", "LOGON_SENT", "ESTABLISHED", "LOGOUT_SENT", "CLOSING")
REASONS = ("", "peer closed", "logon timeout", "logout timeout", "heartbeat timeout", "MsgSeqNum too low",
           "not a Logon", "unexpected message", "wrong BeginString", "CompID problem", "SendingTime accuracy problem",
           "MsgSeqNum missing", "bad Logon", "logged out", "resend stalled", "aborted", "out of hours",
           "numbers disagree", "bad PossDup message")

cdef extern from *:
    """
    #ifdef FIXWIRE_DEBUG
    #include <stdio.h>
    #include <stdlib.h>
    #define FW_SESSION_MAY(allowed, from, to) do { \
        if (!((allowed) >> (to) & 1)) { fprintf(stderr, "fix: state %d cannot follow %d\\n", (to), (from)); abort(); } } while (0)
    #else
    #define FW_SESSION_MAY(allowed, from, to) do { } while (0)
    #endif
    """
    void session_transition "FW_SESSION_MAY"(uint8_t allowed, int before, int after) noexcept nogil

cdef uint8_t[6] ALLOWED     # bit per state that may follow; made from TRANSITIONS


cdef void fill_allowed():
    for before, after in TRANSITIONS:
        ALLOWED[STATES.index(before)] |= 1 << STATES.index(after)


fill_allowed()


cdef void session_set_state(fix_session *s, int state, uint64_t now_ns) noexcept nogil:
    session_transition(ALLOWED[s.state], s.state, state)
    s.state = <uint8_t>state
    s.state_ns = now_ns
    session_set_deadline(s)


# --- numbers

cdef void reset_numbers(fix_session *s, uint64_t now_ns) noexcept nogil:
    """Both directions begin at 1, nothing sent before is resent."""
    s.store.ops.reset(s.store, session_utc(s, now_ns))
    s.next_in = s.next_out = 1
    s.gap = s.resending = False
    s.gap_high = s.gap_logon = 0
    queue_clear(s)
    s.stats.resets += 1
    emit(s, FIX_EV_RESET, NULL, now_ns)


cdef void session_renumber(fix_session *s, uint64_t next_in, uint64_t next_out) noexcept nogil:
    """Administration: what the two counters are from now on."""
    if next_in != 0:
        s.gap_logon = 0
        set_next_in(s, next_in)
    if next_out != 0:
        s.next_out = s.numbers.next_out = next_out
        s.resending = False
    s.store.ops.renumber(s.store)


# --- Logout and the end

cdef void send_logout_text(fix_session *s, const char *text, uint64_t now_ns) noexcept nogil:
    send_logout(s, <const uint8_t *>text, <uint32_t>strlen(text) if text != NULL else 0, now_ns)


cdef void logout(fix_session *s, const char *text, uint64_t now_ns) noexcept nogil:
    """Ask for the end; the peer's Logout or logout_timeout brings it."""
    send_logout_text(s, text, now_ns)
    session_set_state(s, FIX_LOGOUT_SENT, now_ns)


cdef void session_logout(fix_session *s, const char *text, uint64_t now_ns) noexcept nogil:
    """An orderly end: Logout, the peer's Logout, disconnect. Before that is possible, the connection is closed."""
    if s.state == FIX_ESTABLISHED:
        logout(s, text, now_ns)
    elif s.state == FIX_AWAIT_LOGON or s.state == FIX_LOGON_SENT:
        session_close(s, FIX_LOGGED_OUT, now_ns)


cdef void session_close(fix_session *s, int reason, uint64_t now_ns) noexcept nogil:
    """Nothing more is read or sent. The first reason stays."""
    cdef bint fault = reason != FIX_LOGGED_OUT and s.reason == FIX_NO_REASON
    if s.state == FIX_CLOSING or s.state == FIX_DISCONNECTED:
        return
    if s.reason == FIX_NO_REASON:
        s.reason = reason
    s.resending = s.gap = False
    session_set_state(s, FIX_CLOSING, now_ns)
    if fault:
        emit(s, FIX_EV_ERROR, NULL, now_ns)
    s.wire.close(s.wire.ctx, False, now_ns)


cdef void session_abort(fix_session *s, uint64_t now_ns) noexcept nogil:
    if s.state == FIX_DISCONNECTED:
        return
    if s.state != FIX_CLOSING:
        if s.reason == FIX_NO_REASON:
            s.reason = FIX_ABORTED
        s.resending = s.gap = False
        session_set_state(s, FIX_CLOSING, now_ns)
    s.wire.close(s.wire.ctx, True, now_ns)


cdef void session_disconnected(fix_session *s, uint64_t now_ns) noexcept nogil:
    if s.state == FIX_DISCONNECTED:
        return
    if s.reason == FIX_NO_REASON:
        s.reason = FIX_PEER_CLOSED
    s.gap = s.resending = s.sent_reset = False
    s.need = 0
    s.writing = 0
    queue_clear(s)
    s.stats.disconnects += 1
    session_set_state(s, FIX_DISCONNECTED, now_ns)
    if s.config.reset_on_disconnect:
        reset_numbers(s, now_ns)
    emit(s, FIX_EV_DISCONNECT, NULL, now_ns)


# --- time

cdef bint in_hours(fix_session *s, int64_t utc) noexcept nogil:
    if s.n_windows == 0:
        return True
    while utc >= s.window_to and s.window + 1 < s.n_windows:
        s.window += 1
        s.window_from = s.windows[2 * s.window]
        s.window_to = s.windows[2 * s.window + 1]
    return s.window_from <= utc < s.window_to


cdef uint64_t session_opens_ns(fix_session *s, uint64_t now_ns) noexcept nogil:
    cdef int64_t utc = session_utc(s, now_ns)
    if in_hours(s, utc):
        return now_ns
    return now_ns + <uint64_t>(s.window_from - utc) if s.window_from > utc else NEVER


cdef void session_schedule(fix_session *s, const int64_t *windows, uint32_t n, uint64_t now_ns) noexcept nogil:
    s.windows = windows
    s.n_windows = n
    s.window = 0
    if n != 0:
        s.window_from = windows[0]
        s.window_to = windows[1]
        in_hours(s, session_utc(s, now_ns))
    session_set_deadline(s)


cdef uint64_t next_deadline(const fix_session *s) noexcept nogil:
    """When session_poll may next have something to do."""
    cdef uint64_t d = NEVER, t
    cdef int64_t left
    if s.state == FIX_AWAIT_LOGON or s.state == FIX_LOGON_SENT:
        return s.state_ns + s.config.logon_timeout_ns
    if s.state == FIX_LOGOUT_SENT:
        return 0 if s.resending else s.state_ns + s.config.logout_timeout_ns
    if s.state != FIX_ESTABLISHED:
        return NEVER
    if s.resending or window_over(s):
        return 0
    if s.n_windows != 0:
        left = s.window_to - session_utc(s, 0)
        d = <uint64_t>left if left > 0 else 0
    if s.gap and s.gap_ns + gap_patience(s) < d:
        d = s.gap_ns + gap_patience(s)
    elif s.config.resend_request_max != 0 and s.gap_high >= s.next_in:
        return 0
    if s.sent_reset and s.reset_ns + s.config.logon_timeout_ns < d:
        d = s.reset_ns + s.config.logon_timeout_ns
    if s.heartbeat_ns != 0:
        t = s.last_rx_ns + s.heartbeat_ns * 6 // 5 * (s.test_requests + 1)
        if t < d:
            d = t
        t = s.last_tx_ns + s.heartbeat_ns
        if s.test_requests == 0 and t < d:
            d = t
    return d


cdef void session_set_deadline(fix_session *s) noexcept nogil:
    cdef uint64_t d = next_deadline(s)
    cdef bint earlier = d < s.deadline_ns
    s.deadline_ns = d
    if earlier and s.app.on_deadline != NULL:
        s.app.on_deadline(s.app.ctx, s)
