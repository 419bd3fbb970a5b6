# The states of a session and what every change of them brings with it. For fix.session, which decides when.
from libc.stdint cimport int64_t, uint32_t, uint64_t

from fix.endpoint cimport fix_session
from fix.message cimport fix_msg
from stack.wire.octets cimport likely, unlikely


cdef inline void emit(fix_session *s, int event, fix_msg *m, uint64_t now_ns) noexcept nogil:
    s.in_msg = m
    if s.app.on_event != NULL:
        s.app.on_event(s.app.ctx, s, event, now_ns)
    s.in_msg = NULL


cdef inline void set_next_in(fix_session *s, uint64_t seq) noexcept nogil:
    if unlikely(seq == s.gap_logon):
        seq += 1        # it was handled when it came
    s.next_in = seq
    s.numbers.next_in = seq
    if unlikely(s.gap and seq > s.gap_to):
        s.gap = False


cdef inline void advance(fix_session *s, uint64_t seq) noexcept nogil:
    """Message `seq` is dealt with. Logout and ResendRequest come here with any number."""
    if likely(seq == s.next_in):
        set_next_in(s, seq + 1)


cdef inline uint64_t since(uint64_t now_ns, uint64_t then_ns) noexcept nogil:
    return now_ns - then_ns if now_ns > then_ns else 0


cdef inline bint window_over(const fix_session *s) noexcept nogil:
    """Has the window ended that the connection began in? Another may follow it without a break."""
    return s.n_windows != 0 and s.window_from != s.window_in


cdef void session_set_state(fix_session *s, int state, uint64_t now_ns) noexcept nogil
# Is the session open at `utc`? Moves on to the next window when one has ended.
cdef bint in_hours(fix_session *s, int64_t utc) noexcept nogil
# When it may connect: now_ns if it is open, the time of its next window, or UINT64_MAX.
cdef uint64_t session_opens_ns(fix_session *s, uint64_t now_ns) noexcept nogil
# Give it windows: n pairs (from, to) of UTC ns, ascending, that outlive the session; n 0: always open.
cdef void session_schedule(fix_session *s, const int64_t *windows, uint32_t n, uint64_t now_ns) noexcept nogil
# Compute deadline_ns again, and tell the application if it is earlier now.
cdef void session_set_deadline(fix_session *s) noexcept nogil
cdef void reset_numbers(fix_session *s, uint64_t now_ns) noexcept nogil
cdef void session_renumber(fix_session *s, uint64_t next_in, uint64_t next_out) noexcept nogil
cdef void send_logout_text(fix_session *s, const char *text, uint64_t now_ns) noexcept nogil
cdef void logout(fix_session *s, const char *text, uint64_t now_ns) noexcept nogil
cdef void session_logout(fix_session *s, const char *text, uint64_t now_ns) noexcept nogil
cdef void session_close(fix_session *s, int reason, uint64_t now_ns) noexcept nogil
cdef void session_abort(fix_session *s, uint64_t now_ns) noexcept nogil
cdef void session_disconnected(fix_session *s, uint64_t now_ns) noexcept nogil
