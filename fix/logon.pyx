"""Logon(A): the first message of an acceptor's session, the answer to ours, or a reset of an established one.

FIX 4.4 vol. 2 "Logon", "ResetSeqNumFlag"; NextExpectedMsgSeqNum(789) as the FIX Session Layer specification has it.
"""
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdio cimport snprintf
from libc.string cimport strlen

from fix.endpoint cimport (
    FIX_AWAIT_LOGON, FIX_BAD_LOGON, FIX_DISCONNECTED, FIX_ESTABLISHED, FIX_EV_LOGON, FIX_EV_RESEND_REQUESTED,
    FIX_LOGON_SENT, FIX_NUMBERS_DISAGREE, FIX_SEQ_TOO_LOW, FIXT_11, fix_session,
)
from fix.message cimport fix_field, fix_find, fix_is_yes, fix_msg, fix_read_int, fix_read_uint, fix_value
from fix.outbound cimport resend_step, send_logon, send_logout
from fix.recovery cimport ask, resend_start
from fix.states cimport (
    emit, reset_numbers, send_logout_text, session_close, session_renumber, session_set_deadline, session_set_state,
    set_next_in,
)

cdef enum:
    SECOND = 1000000000


cdef void session_logon(fix_session *s, fix_msg *m, uint64_t seq, uint64_t now_ns) noexcept nogil:
    """Logon(A): the first message of an acceptor's session, the answer to ours, or a reset of an established one."""
    cdef bint reset = fix_is_yes(m, fix_find(m, 141)), answer
    cdef int64_t interval = 0
    cdef uint64_t expects = 0, newest
    if not logon_is_good(s, m, &interval, now_ns):
        return
    if s.state == FIX_LOGON_SENT:
        answer = False
        if reset and not s.sent_reset:
            reset_numbers(s, now_ns)        # the peer's own idea: our Logon was then number 1
            session_renumber(s, 0, 2)
    elif s.state == FIX_AWAIT_LOGON:
        answer = True
        s.heartbeat_ns = <uint64_t>interval * SECOND
        if reset or s.config.reset_on_logon:
            reset_numbers(s, now_ns)
    else:
        answer = not s.sent_reset
        if answer:
            reset_numbers(s, now_ns)
    if seq < s.next_in:
        session_too_low(s, m, seq, now_ns)
        return
    if s.state == FIX_AWAIT_LOGON and not (is_text(m, 553, s.config.Username) and is_text(m, 554, s.config.Password)):
        s.stats.bad_password += 1
        session_refuse_logon(s, b"Logon refused", now_ns)
        return
    if s.app.may_logon != NULL and s.state == FIX_AWAIT_LOGON and not s.app.may_logon(s.app.ctx, s, m):
        session_refuse_logon(s, b"Logon refused", now_ns)
        return
    newest = s.next_out - 1         # before our answer, which the peer cannot have missed
    if s.config.next_expected and fix_read_uint(m, fix_find(m, 789), &expects) and expects > newest + 1:
        send_logout_text(s, b"NextExpectedMsgSeqNum(789) is higher than any number sent", now_ns)
        session_close(s, FIX_NUMBERS_DISAGREE, now_ns)
        return
    if answer and not send_logon(s, reset, s.next_in + (seq == s.next_in), now_ns):
        session_close(s, FIX_BAD_LOGON, now_ns)
        return
    s.sent_reset = False
    established(s, m, seq, expects, newest, reset, now_ns)


cdef bint is_text(const fix_msg *m, uint32_t tag, const char *asked) noexcept nogil:
    """Has this field just this value, or is none asked for? How long it takes does not tell where they differ."""
    cdef uint32_t n = <uint32_t>strlen(asked), i
    cdef const fix_field *f = fix_find(m, tag)
    cdef uint8_t differ = 0
    if n == 0:
        return True
    if f == NULL or f.len != n:
        return False
    for i in range(n):
        differ |= fix_value(m, f)[i] ^ <uint8_t>asked[i]
    return differ == 0


cdef bint logon_is_good(fix_session *s, fix_msg *m, int64_t *interval, uint64_t now_ns) noexcept nogil:
    """HeartBtInt(108), EncryptMethod(98), DefaultApplVerID(1137). False: refused."""
    cdef int64_t method = 0
    cdef const fix_field *f = fix_find(m, 108)
    if f == NULL or fix_find(m, 98) == NULL or (s.config.version == FIXT_11 and fix_find(m, 1137) == NULL):
        session_close(s, FIX_BAD_LOGON, now_ns)
        return False
    if not fix_read_int(m, f, interval) or interval[0] < 0 or interval[0] > 1 << 30:
        session_refuse_logon(s, b"HeartBtInt(108) must be 0 or more seconds", now_ns)
        return False
    if not fix_read_int(m, fix_find(m, 98), &method) or method != 0:
        session_refuse_logon(s, b"EncryptMethod(98) must be 0", now_ns)
        return False
    return True


cdef void session_refuse_logon(fix_session *s, const char *text, uint64_t now_ns) noexcept nogil:
    """Logout(5) in place of the Logon."""
    send_logout_text(s, text, now_ns)
    session_close(s, FIX_BAD_LOGON, now_ns)


cdef void established(fix_session *s, fix_msg *m, uint64_t seq, uint64_t expects, uint64_t newest, bint reset,
                      uint64_t now_ns) noexcept nogil:
    """Both Logons are done. What either side missed before is asked for, or sent where the peer's 789 asks for it."""
    if s.state != FIX_ESTABLISHED:
        s.stats.logons += 1
        session_set_state(s, FIX_ESTABLISHED, now_ns)
    if seq == s.next_in or reset:
        set_next_in(s, s.next_in + 1)   # numbers begin with a Logon that resets them, whatever its own
    elif expects != 0:
        s.gap_logon = seq
        s.gap = True                # our own 789 has asked for it
        s.gap_from = s.gap_mark = s.next_in
        s.gap_to = s.gap_high = seq
        s.gap_ns = now_ns
        s.gap_tries = 0
    else:
        s.gap_logon = seq
        ask(s, m, seq, now_ns)
    emit(s, FIX_EV_LOGON, m, now_ns)
    if 0 < expects <= newest and s.state == FIX_ESTABLISHED and resend_start(s, expects, newest):
        emit(s, FIX_EV_RESEND_REQUESTED, m, now_ns)
        resend_on(s, now_ns)
    session_set_deadline(s)


cdef void session_reset(fix_session *s, uint64_t now_ns) noexcept nogil:
    """Begin at 1 in both directions; while established by a Logon with ResetSeqNumFlag, which the peer answers."""
    if s.state == FIX_DISCONNECTED:
        reset_numbers(s, now_ns)
    elif s.state == FIX_ESTABLISHED and not s.sent_reset:
        reset_numbers(s, now_ns)
        s.sent_reset = True
        s.reset_ns = now_ns
        if send_logon(s, True, s.next_in, now_ns):
            session_set_deadline(s)
        else:
            session_close(s, FIX_BAD_LOGON, now_ns)     # the peer's numbers are not ours any more


cdef void session_too_low(fix_session *s, fix_msg *m, uint64_t seq, uint64_t now_ns) noexcept nogil:
    """FIX 4.4 vol. 2: a number below the one expected without PossDupFlag ends the session at once."""
    cdef char[96] text
    s.stats.seq_too_low += 1
    snprintf(text, sizeof(text), b"MsgSeqNum too low, expecting %llu but received %llu",
             <unsigned long long>s.next_in, <unsigned long long>seq)
    send_logout(s, <const uint8_t *>text, <uint32_t>strlen(text), now_ns)
    session_close(s, FIX_SEQ_TOO_LOW, now_ns)


cdef void resend_on(fix_session *s, uint64_t now_ns) noexcept nogil:
    if s.resending and resend_step(s, now_ns):
        s.resending = False
    session_set_deadline(s)
