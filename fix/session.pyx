"""A FIX session, initiator or acceptor, sans-I/O. Every decision is taken here; the table of states is fix/states.

FIX 4.4 vol. 2 "Session Protocol" and the FIX Session Layer specification; where they leave a choice, what QuickFIX
does is done here too, so that its acceptance tests and its users find what they know.

Theory of operation
-------------------
A session is two counters and six states. next_out is the MsgSeqNum(34) of the next message sent, next_in the one
expected. Both outlive connections: they end only by a reset (Logon with ResetSeqNumFlag(141)=Y, configuration, hand).

    DISCONNECTED --connected, acceptor--> AWAIT_LOGON --Logon(A)--> ESTABLISHED
    DISCONNECTED --connected, initiator, Logon sent--> LOGON_SENT --Logon(A)--> ESTABLISHED
    ESTABLISHED --Logout sent--> LOGOUT_SENT --Logout(5) or timeout--> CLOSING
    ESTABLISHED --Logout(5), answered--> CLOSING
    any --fault, timeout, abort--> CLOSING --wire gone--> DISCONNECTED

Every whole message takes the same steps (session_accept): BeginString, number readable, allowed in this state,
SendingTime and CompIDs, number in turn, dictionary, then what its MsgType asks for, and last next_in += 1. A message
whose BodyLength or CheckSum is wrong never gets here: it is skipped, counted, and leaves a gap.

Gaps. A number above next_in opens a gap: one ResendRequest(2) from next_in on, and the message waits in a bounded
queue for its turn (or is dropped: the resend brings it again). While the request is open no second one is sent, but
for a hole that shows inside the resend (a PossDup message above next_in after progress) and for a resend that stalls
(repeated after resend_timeout, three times, then Logout). ResendRequest and Logout are obeyed whatever their
number, so two sides that both miss messages serve each other instead of waiting.

Resends. A ResendRequest sets the range; resend_step sends a bounded part of it at once and the rest from
session_poll, between live messages. What need not or cannot be sent again is gap-filled.

Numbers below next_in are a fault that ends the session, unless PossDupFlag(43)=Y marks them as sent again: then they
are ignored, after a look at OrigSendingTime(122).

Time. Heartbeats after HeartBtInt without sending; TestRequest after 1.2 HeartBtInt without receiving; the end after
2.4. deadline_ns is never later than the next thing to do; it may be earlier, so that traffic need not move it.
"""
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

from fix.endpoint cimport same
from fix.logon cimport resend_on, session_logon, session_too_low
from fix.message cimport (
    FIX_ERR_DATA_LENGTH, FIX_ERR_FIELDS, FIX_ERR_TAG, fix_field, fix_find, fix_get, fix_is_yes, fix_msg, fix_read_uint,
    fix_read_utc_ns, fix_tag_text, fix_value,
)
from fix.outbound cimport send_heartbeat, send_logon, send_resend_request, send_test_request, session_utc
from fix.parse cimport FIX_COMPLETE, FIX_PARTIAL, FIX_RESYNC_TRAILER, fix_parse
from fix.recovery cimport (
    TURN_BAD_ORIG, TURN_LATER, TURN_NO_ORIG, TURN_NOW, TURN_TOO_LOW, ask, gap_poll, queue_clear, queue_take,
    resend_start, take_turn,
)
from fix.reject cimport decimal, send_reject
from fix.states cimport (
    advance, emit, in_hours, logout, reset_numbers, send_logout_text, session_close, session_set_deadline, session_set_state,
    set_next_in, since, window_over,
)
from fix.timestamp cimport fix_text_is_utc
from stack.wire.octets cimport likely, load_32, load_64, unlikely
from stack.wire.trace cimport TRACE_FIX_PARSE, TRACE_SESSION, trace_mark

cdef enum:
    SECOND = 1000000000

cdef int64_t FOREVER = 0x3FFFFFFFFFFFFFFF


# --- the way in

cdef void session_connected(fix_session *s, uint64_t now_ns) noexcept nogil:
    """A connection is there: an initiator sends its Logon, an acceptor waits for one."""
    if s.state != FIX_DISCONNECTED:
        return
    s.reason = FIX_NO_REASON
    s.text_len = 0
    s.text[0] = 0
    s.need = 0
    s.test_requests = 0
    s.last_rx_ns = s.last_tx_ns = now_ns
    s.sent_reset = s.gap = s.resending = False
    s.gap_high = s.gap_logon = 0
    s.writing = 0
    s.logged_garbled = 0
    queue_clear(s)
    if not in_hours(s, session_utc(s, now_ns)):
        s.reason = FIX_OUT_OF_HOURS
        session_set_state(s, FIX_CLOSING, now_ns)
        s.wire.close(s.wire.ctx, False, now_ns)
        return
    s.window_in = s.window_from
    if s.n_windows != 0 and s.numbers.created_utc_ns < s.window_from:
        reset_numbers(s, now_ns)    # numbers are those of one window
    if s.config.role == FIX_ACCEPTOR:
        session_set_state(s, FIX_AWAIT_LOGON, now_ns)
        return
    s.heartbeat_ns = <uint64_t>s.config.HeartBtInt * SECOND
    if s.config.reset_on_logon:
        reset_numbers(s, now_ns)
    # FIX 4.0 has no ResetSeqNumFlag. Where the numbers stand at 1 after a reset agreed on, the flag says so.
    s.sent_reset = s.config.version > FIX_40 and s.next_in == 1 and s.next_out == 1 and \
        (s.config.reset_on_logon or s.config.reset_on_logout or s.config.reset_on_disconnect)
    session_set_state(s, FIX_LOGON_SENT, now_ns)
    if not send_logon(s, s.sent_reset, s.next_in, now_ns):
        session_close(s, FIX_BAD_LOGON, now_ns)


cdef uint32_t session_input(fix_session *s, const uint8_t *p, uint32_t n, uint64_t now_ns) noexcept nogil:
    """Octets received, beginning with those the last call left; -> how many are consumed.

    FIX_SLACK octets behind p+n must be readable. Stops between two messages when the step's budget is used or the
    session ended; octets behind the end of a session are consumed and counted.
    """
    cdef fix_msg *m = s.msg
    cdef uint32_t used
    m.seek_from = m.seek_to = p
    m.seek_end = p + n          # these octets stay where they are until this returns
    used = take(s, p, n, now_ns)
    m.seek_end = NULL
    return used


cdef inline uint32_t take(fix_session *s, const uint8_t *p, uint32_t n, uint64_t now_ns) noexcept nogil:
    cdef fix_msg *m = s.msg
    cdef uint32_t used = 0, messages = 0, size
    cdef int verdict
    s.need = 0
    m.max_size = s.config.max_message
    m.resync = FIX_RESYNC_TRAILER
    m.data_table = s.data_table
    while used < n:
        if unlikely(s.state == FIX_CLOSING or s.state == FIX_DISCONNECTED):
            s.stats.discarded += 1
            return n
        if unlikely(messages >= s.config.step_messages or used >= s.config.step_octets):
            return used
        verdict = fix_parse(m, p + used, n - used)
        if likely(verdict == FIX_COMPLETE):
            trace_mark(s.trace, TRACE_FIX_PARSE)
            size = m.n          # on_message may parse with m
            s.stats.messages_in += 1
            s.stats.octets_in += size
            session_accept(s, m, now_ns)
            used += size
            messages += 1
            s.logged_garbled = 0
            if unlikely(s.queued != 0):
                drain(s, now_ns)
            continue
        if verdict == FIX_PARTIAL:
            s.need = m.need
            return used
        size = m.skip
        s.stats.garbled_octets += size
        used += size
        session_garbled(s, now_ns)
    return used


cdef void session_garbled(fix_session *s, uint64_t now_ns) noexcept nogil:
    """Octets that are no message. Ignored (FIX 4.4 vol. 2 "Garbled message"), but not instead of a Logon."""
    if s.logged_garbled == 0:
        s.logged_garbled = 1
        s.stats.garbled += 1
        emit(s, FIX_EV_GARBLED, NULL, now_ns)
    if s.state == FIX_AWAIT_LOGON:
        session_close(s, FIX_NOT_A_LOGON, now_ns)


cdef void session_accept(fix_session *s, fix_msg *m, uint64_t now_ns) noexcept nogil:
    """One whole message, step by step."""
    cdef const fix_field *f
    cdef uint64_t seq = 0
    cdef uint32_t tag = 0
    cdef uint8_t kind = 0
    cdef int verdict
    s.last_rx_ns = now_ns
    if unlikely(s.test_requests != 0):
        s.test_requests = 0         # heartbeats go on, and may be due sooner
        session_set_deadline(s)
    if unlikely(m.MsgType - c'0' <= 5 or m.MsgType == c'A'):
        kind = <uint8_t>m.MsgType

    # 1. BeginString(8)
    if unlikely(m.fields[0].len != s.begin_len or not same(fix_value(m, &m.fields[0]), s.begin, s.begin_len)):
        session_wrong_begin_string(s, m, kind, now_ns)
        return

    # 2. MsgSeqNum(34)
    f = fix_get(m, 34, &s.hint_seq)
    if unlikely(not fix_read_uint(m, f, &seq)):
        session_no_number(s, m, f, now_ns)
        return

    # 3. a message that this state allows
    if unlikely(s.state != FIX_ESTABLISHED or kind == c'A') and not session_allows(s, m, kind, seq, now_ns):
        return

    # 4. SendingTime(52), SenderCompID(49), TargetCompID(56)
    f = fix_get(m, 52, &s.hint_time)
    if unlikely(not time_is_good(s, m, f, now_ns)) and not s.draining:      # a queued one was in time when it came
        session_fault_header(s, m, f, 52, 10, seq, FIX_SENDING_TIME, now_ns)
        return
    f = fix_get(m, 49, &s.hint_sender)
    if unlikely(f == NULL or f.len != s.peer_len or not same(fix_value(m, f), s.peer, s.peer_len)) and \
            (s.config.check_comp_id or f == NULL or f.len == 0):
        session_fault_header(s, m, f, 49, 9, seq, FIX_WRONG_COMP_ID, now_ns)
        return
    f = fix_get(m, 56, &s.hint_target)
    if unlikely(f == NULL or f.len != s.us_len or not same(fix_value(m, f), s.us, s.us_len)) and \
            (s.config.check_comp_id or f == NULL or f.len == 0):
        session_fault_header(s, m, f, 56, 9, seq, FIX_WRONG_COMP_ID, now_ns)
        return

    # 5. the number is the one expected
    if unlikely(seq != s.next_in) and not in_turn(s, m, kind, seq, now_ns):
        return

    # 6. the dictionary
    if unlikely(m.error != 0) and not session_malformed(s, m, seq, now_ns):
        return
    if s.check != NULL:
        verdict = s.check(s.check_tables, m, &tag)
        if unlikely(verdict >= 0):
            session_refuse(s, m, verdict, tag, seq, now_ns)
            return

    # 7. what it asks for
    if likely(kind == 0):
        s.stats.app_in += 1
        trace_mark(s.trace, TRACE_SESSION)
        if unlikely(m.MsgType == c'j'):
            emit(s, FIX_EV_REJECTED, m, now_ns)
        elif s.app.on_message != NULL:
            s.app.on_message(s.app.ctx, s, m, now_ns)
        advance(s, seq)     # afterwards: what a crash interrupts, the peer sends again
    else:
        session_admin(s, m, kind, seq, now_ns)


# --- step 1 and 2: not for this session at all

cdef void session_wrong_begin_string(fix_session *s, fix_msg *m, uint8_t kind, uint64_t now_ns) noexcept nogil:
    """FIX 4.4 vol. 2: Logout "Incorrect BeginString", then disconnect. A Logout of any version is a Logout."""
    cdef uint64_t seq = 0
    s.stats.bad_begin_string += 1
    if s.state == FIX_ESTABLISHED or s.state == FIX_LOGOUT_SENT:
        if fix_read_uint(m, fix_find(m, 34), &seq):
            advance(s, seq)
        if kind == c'5':
            session_logout_in(s, m, seq, now_ns)
            return
        if s.state == FIX_ESTABLISHED:
            s.reason = FIX_WRONG_BEGIN_STRING
            logout(s, b"Incorrect BeginString", now_ns)
            emit(s, FIX_EV_ERROR, m, now_ns)
        return
    session_close(s, FIX_WRONG_BEGIN_STRING, now_ns)


cdef void session_no_number(fix_session *s, fix_msg *m, const fix_field *f, uint64_t now_ns) noexcept nogil:
    """Without MsgSeqNum nothing can be recovered (FIX Session Layer test case 2, "MsgSeqNum missing")."""
    s.reason = FIX_NO_MSG_SEQ_NUM
    emit(s, FIX_EV_ERROR, m, now_ns)
    if s.state == FIX_ESTABLISHED:
        if f == NULL:
            send_logout_text(s, b"Required tag missing: MsgSeqNum(34)", now_ns)
        else:
            send_logout_text(s, b"Incorrect data format for value: MsgSeqNum(34)", now_ns)
    session_close(s, FIX_NO_MSG_SEQ_NUM, now_ns)


# --- step 3: state

cdef bint session_allows(fix_session *s, fix_msg *m, uint8_t kind, uint64_t seq, uint64_t now_ns) noexcept nogil:
    """False: the message ended the session or is ignored."""
    if s.state == FIX_AWAIT_LOGON:
        if kind == c'A':
            return True
        session_close(s, FIX_NOT_A_LOGON, now_ns)
        return False
    if s.state == FIX_LOGON_SENT:
        # a Logout refuses our Logon; a Reject says what is wrong with it
        if kind == c'A' or kind == c'5' or kind == c'3':
            return True
        session_close(s, FIX_UNEXPECTED_MESSAGE, now_ns)
        return False
    if kind == c'A' and seq < s.next_in and fix_is_yes(m, fix_find(m, 43)):
        s.stats.poss_dup_ignored += 1       # the Logon that began this session, sent again
        return False
    if kind == c'A' and not fix_is_yes(m, fix_find(m, 141)):
        # a second Logon is only good for a reset
        session_close(s, FIX_UNEXPECTED_MESSAGE, now_ns)
        return False
    return True


# --- step 4: who and when

cdef inline bint time_is_good(fix_session *s, fix_msg *m, const fix_field *f, uint64_t now_ns) noexcept nogil:
    """Is SendingTime a time, and within max_latency of ours? The second looked at last is compared as text."""
    cdef const uint8_t *p
    cdef int64_t utc = session_utc(s, now_ns)
    cdef uint32_t fraction
    if unlikely(f == NULL):
        return False
    p = fix_value(m, f)
    if likely((f.len == 21 or f.len == 17) and load_64(p) == load_64(s.time_in) and
              load_64(p + 8) == load_64(s.time_in + 8) and p[16] == s.time_in[16] and
              s.time_in_from <= utc <= s.time_in_to):
        if f.len == 17:
            return True
        fraction = load_32(p + 17)      # ".123": the dot lowest
        if likely((fraction & 0xFF) == c'.'):
            fraction = (fraction >> 8) ^ 0x303030
            return ((fraction | (fraction + 0x767676)) & 0x808080) == 0
        return False
    return time_is_good_slow(s, m, f, utc)


cdef bint time_is_good_slow(fix_session *s, fix_msg *m, const fix_field *f, int64_t utc) noexcept nogil:
    cdef int64_t sent = 0, second, limit = <int64_t>s.config.max_latency_ns
    if not fix_read_utc_ns(m, f, &sent):
        return False
    if not s.config.check_latency:
        limit = FOREVER
    second = sent - sent % SECOND
    memcpy(s.time_in, fix_value(m, f), 17)
    s.time_in_from = second + SECOND - limit
    s.time_in_to = second + limit
    if limit == FOREVER:
        s.time_in_from = -limit
        s.time_in_to = limit
        return True
    return sent - limit <= utc <= sent + limit


cdef void session_fault_header(fix_session *s, fix_msg *m, const fix_field *f, uint32_t tag, int reason, uint64_t seq,
                               int why, uint64_t now_ns) noexcept nogil:
    """SendingTime or a CompID is missing, empty or not text of its type: Reject. It is wrong: Reject and Logout."""
    if f == NULL:
        session_refuse(s, m, 1, tag, seq, now_ns)
        return
    if f.len == 0:
        session_refuse(s, m, 4, tag, seq, now_ns)
        return
    if tag == 52 and not fix_text_is_utc(fix_value(m, f), f.len):
        session_refuse(s, m, 6, tag, seq, now_ns)
        return
    if tag == 52:
        s.stats.bad_sending_time += 1
    else:
        s.stats.bad_comp_id += 1
    if s.state == FIX_AWAIT_LOGON or s.state == FIX_LOGON_SENT:
        session_close(s, why, now_ns)
        return
    session_refuse(s, m, reason, 0, seq, now_ns)
    s.reason = why
    if s.state == FIX_ESTABLISHED:
        logout(s, NULL, now_ns)


cdef void session_refuse(fix_session *s, fix_msg *m, int reason, uint32_t tag, uint64_t seq,
                         uint64_t now_ns) noexcept nogil:
    """Reject(3); the message counts as received. A Logon is not rejected: the connection ends."""
    cdef uint8_t[12] ref
    cdef uint32_t n = 0
    if s.state == FIX_AWAIT_LOGON or s.state == FIX_LOGON_SENT or m.MsgType == c'A':
        session_close(s, FIX_BAD_LOGON, now_ns)
        return
    if tag != 0 or reason == 0:
        n = decimal(ref, tag)
    reject(s, m, reason, ref, n, seq, now_ns)


cdef void reject(fix_session *s, fix_msg *m, int reason, const uint8_t *ref, uint32_t n, uint64_t seq,
                 uint64_t now_ns) noexcept nogil:
    send_reject(s, m, reason, ref, n, now_ns)
    # a SequenceReset that is refused keeps its number for one that is not
    if m.MsgType != c'4':
        advance(s, seq)
    emit(s, FIX_EV_SENT_REJECT, m, now_ns)


cdef bint session_malformed(fix_session *s, fix_msg *m, uint64_t seq, uint64_t now_ns) noexcept nogil:
    """Right BodyLength and CheckSum, but a field that is none. False: dealt with."""
    cdef uint32_t n = 0, i
    cdef const uint8_t *ref = fix_tag_text(m, m.error_field, &n)
    cdef bint number = n > 0
    if s.state == FIX_AWAIT_LOGON or s.state == FIX_LOGON_SENT:
        session_close(s, FIX_BAD_LOGON, now_ns)
        return False
    if m.error == FIX_ERR_TAG:
        # a number that can be no tag is rejected; anything else is as good as garbled
        for i in range(n):
            if not (48 <= ref[i] <= 57 or (i == 0 and n > 1 and ref[i] == c'-')):
                number = False
        if number:
            reject(s, m, 0, ref, n, seq, now_ns)
            return False
    elif m.error == FIX_ERR_DATA_LENGTH:
        session_refuse(s, m, 6, m.error_tag, seq, now_ns)
        return False
    elif m.error == FIX_ERR_FIELDS:
        session_refuse(s, m, 99, 0, seq, now_ns)
        return False
    session_garbled(s, now_ns)
    return False


# --- step 5: turn

cdef bint in_turn(fix_session *s, fix_msg *m, uint8_t kind, uint64_t seq, uint64_t now_ns) noexcept nogil:
    """The number is not next_in. True: handle the message all the same."""
    cdef int turn
    if s.sent_reset and kind != c'A' and kind != c'5':
        if kind == c'3':
            return True             # perhaps of our Logon
        s.stats.discarded += 1      # numbered before the reset we asked for
        return False
    turn = take_turn(s, m, kind, seq, now_ns)
    if turn == TURN_NOW:
        return True
    if turn == TURN_LATER:
        session_set_deadline(s)
    elif turn == TURN_TOO_LOW:
        session_too_low(s, m, seq, now_ns)
    elif turn == TURN_NO_ORIG:
        session_refuse(s, m, 1, 122, seq, now_ns)
    elif turn == TURN_BAD_ORIG:
        session_refuse(s, m, 10, 0, seq, now_ns)
        s.reason = FIX_BAD_POSS_DUP
        if s.state == FIX_ESTABLISHED:
            logout(s, NULL, now_ns)
    return False


cdef void drain(fix_session *s, uint64_t now_ns) noexcept nogil:
    """Handle queued messages while their turn has come. take() has set what s.msg is to parse by."""
    cdef uint32_t n = 0
    cdef const uint8_t *p
    while s.queued != 0 and (s.state == FIX_ESTABLISHED or s.state == FIX_LOGOUT_SENT):
        p = queue_take(s, &n)
        if p == NULL:
            return
        if fix_parse(s.msg, p, n) == FIX_COMPLETE:
            s.draining = True
            session_accept(s, s.msg, now_ns)
            s.draining = False


# --- step 7: administrative messages

cdef void session_admin(fix_session *s, fix_msg *m, uint8_t kind, uint64_t seq, uint64_t now_ns) noexcept nogil:
    cdef const fix_field *f
    if kind == c'0':
        advance(s, seq)
    elif kind == c'1':
        f = fix_find(m, 112)
        if f == NULL:
            session_refuse(s, m, 1, 112, seq, now_ns)
            return
        send_heartbeat(s, fix_value(m, f), f.len, now_ns)
        advance(s, seq)
    elif kind == c'2':
        session_resend_request(s, m, seq, now_ns)
    elif kind == c'3':
        s.stats.rejects_in += 1
        emit(s, FIX_EV_REJECTED, m, now_ns)
        advance(s, seq)
    elif kind == c'4':
        session_sequence_reset(s, m, seq, now_ns)
    elif kind == c'5':
        session_logout_in(s, m, seq, now_ns)
    else:
        session_logon(s, m, seq, now_ns)


cdef void session_resend_request(fix_session *s, fix_msg *m, uint64_t seq, uint64_t now_ns) noexcept nogil:
    """ResendRequest(2), answered first even if messages before it are missing."""
    cdef uint64_t first = 0, last = 0, newest = s.next_out - 1
    cdef const fix_field *begin = fix_find(m, 7)
    cdef const fix_field *end = fix_find(m, 16)
    s.stats.resend_requests_in += 1
    if begin == NULL or end == NULL:
        session_refuse(s, m, 1, 7 if begin == NULL else 16, seq, now_ns)
        return
    if not fix_read_uint(m, begin, &first) or not fix_read_uint(m, end, &last):
        session_refuse(s, m, 6, 7 if not fix_read_uint(m, begin, &first) else 16, seq, now_ns)
        return
    # 0 is "all there is"; FIX 4.0 and 4.1 wrote 999999, and some 4.2 engines still do
    if last == 0 or (last == 999999 and s.config.version <= FIX_42) or last > newest:
        last = newest
    if first == 0 or first > last:
        session_refuse(s, m, 5, 7, seq, now_ns)
        return
    advance(s, seq)
    if resend_start(s, first, last):
        emit(s, FIX_EV_RESEND_REQUESTED, m, now_ns)
        resend_on(s, now_ns)
    if seq > s.next_in and s.state == FIX_ESTABLISHED:
        ask(s, m, seq, now_ns)
        session_set_deadline(s)


cdef void session_sequence_reset(fix_session *s, fix_msg *m, uint64_t seq, uint64_t now_ns) noexcept nogil:
    """SequenceReset(4): fills a gap in its turn, or sets next_in whatever its own number; never downwards."""
    cdef uint64_t new = 0
    cdef const fix_field *f = fix_find(m, 36)
    cdef bint fill = fix_is_yes(m, fix_find(m, 123))
    if f == NULL:
        session_refuse(s, m, 1, 36, seq, now_ns)
    elif not fix_read_uint(m, f, &new):
        session_refuse(s, m, 6, 36, seq, now_ns)
    elif new < s.next_in or (fill and new == s.next_in) or new > <uint64_t>FOREVER:
        reject(s, m, 5, NULL, 0, seq, now_ns)
    else:
        set_next_in(s, new)


# --- Logout

cdef void session_logout_in(fix_session *s, fix_msg *m, uint64_t seq, uint64_t now_ns) noexcept nogil:
    """Logout(5): answered, or the answer to ours; either way the connection ends (FIX 4.4 vol. 2 "Logout")."""
    cdef const fix_field *f = fix_find(m, 58)
    s.text_len = 0
    if f != NULL:
        s.text_len = f.len if f.len <= FIX_TEXT_MAX else FIX_TEXT_MAX
        memcpy(s.text, fix_value(m, f), s.text_len)
    s.text[s.text_len] = 0
    advance(s, seq)
    s.resending = False
    if s.state == FIX_ESTABLISHED:
        send_logout_text(s, NULL, now_ns)
    if s.config.reset_on_logout and s.state != FIX_LOGON_SENT:
        reset_numbers(s, now_ns)
    emit(s, FIX_EV_LOGOUT, m, now_ns)
    session_close(s, FIX_LOGGED_OUT, now_ns)


# --- time

cdef void session_poll(fix_session *s, uint64_t now_ns) noexcept nogil:
    """Whatever the time asks for; nothing before deadline_ns."""
    cdef uint64_t quiet
    if s.state == FIX_AWAIT_LOGON or s.state == FIX_LOGON_SENT:
        if since(now_ns, s.state_ns) >= s.config.logon_timeout_ns:
            session_close(s, FIX_LOGON_TIMEOUT, now_ns)
    elif s.state == FIX_LOGOUT_SENT:
        if since(now_ns, s.state_ns) >= s.config.logout_timeout_ns:
            session_close(s, FIX_LOGOUT_TIMEOUT, now_ns)
        elif s.resending:
            resend_on(s, now_ns)
    elif s.state == FIX_ESTABLISHED and (not in_hours(s, session_utc(s, now_ns)) or window_over(s)):
        s.reason = FIX_OUT_OF_HOURS
        logout(s, b"The session's hours are over", now_ns)
    elif s.state == FIX_ESTABLISHED and s.sent_reset and since(now_ns, s.reset_ns) >= s.config.logon_timeout_ns:
        s.reason = FIX_LOGON_TIMEOUT
        logout(s, b"The reset asked for by Logon was not answered", now_ns)
        emit(s, FIX_EV_ERROR, NULL, now_ns)
    elif s.state == FIX_ESTABLISHED:
        if s.resending:
            resend_on(s, now_ns)
        if not gap_poll(s, now_ns):
            logout(s, b"Messages asked for by ResendRequest were not sent again", now_ns)
            s.reason = FIX_RESEND_STALLED
            emit(s, FIX_EV_ERROR, NULL, now_ns)
        elif s.heartbeat_ns != 0:
            quiet = since(now_ns, s.last_rx_ns)
            if quiet >= s.heartbeat_ns * 12 // 5:
                s.stats.heartbeat_timeouts += 1
                session_close(s, FIX_HEARTBEAT_TIMEOUT, now_ns)
            elif quiet >= s.heartbeat_ns * 6 // 5 * (s.test_requests + 1):
                send_test_request(s, now_ns)
                s.test_requests += 1
            elif s.test_requests == 0 and since(now_ns, s.last_tx_ns) >= s.heartbeat_ns:
                send_heartbeat(s, NULL, 0, now_ns)
                s.last_tx_ns = now_ns       # also when there was no room: not again at once
    session_set_deadline(s)


cdef void session_writable(fix_session *s, uint64_t now_ns) noexcept nogil:
    if s.resending and (s.state == FIX_ESTABLISHED or s.state == FIX_LOGOUT_SENT):
        resend_on(s, now_ns)


# --- by hand

cdef void session_test_request(fix_session *s, uint64_t now_ns) noexcept nogil:
    if s.state == FIX_ESTABLISHED and send_test_request(s, now_ns):
        s.test_requests += 1
        session_set_deadline(s)


cdef void session_ask_resend(fix_session *s, uint64_t from_seq, uint64_t to_seq, uint64_t now_ns) noexcept nogil:
    """ResendRequest for messages already received: what comes again is marked PossDup and ignored."""
    if s.state == FIX_ESTABLISHED:
        send_resend_request(s, from_seq, to_seq, now_ns)
