"""Gaps in what the peer sent, and requests to send again what it missed (FIX 4.4 vol. 2 "Message Recovery").

The rules that keep two engines from asking each other for ever: one open request at a time, asked again only for a
hole that shows inside the resend after progress, or when the resend stalls; a request that a running resend covers
starts nothing; what was queued or dropped meanwhile needs no request, the resend brings it.
"""
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

from fix.endpoint cimport FIX_EV_GAP, fix_session
from fix.message cimport fix_field, fix_find, fix_is_yes, fix_msg, fix_read_utc_ns
from fix.outbound cimport send_resend_request

cdef enum:
    SECOND = 1000000000
    GAP_TRIES = 3           # an open request is repeated so often


cdef struct waiting:        # in the queue, followed by n octets and padding to 8
    uint64_t seq            # 0: taken
    uint32_t n
    uint32_t step           # octets to the next


# --- the turn of a message

cdef int take_turn(fix_session *s, fix_msg *m, uint8_t kind, uint64_t seq, uint64_t now_ns) noexcept nogil:
    """Logon, ResendRequest, Logout and SequenceReset-Reset are obeyed whatever their number."""
    cdef int64_t sent = 0, orig = 0
    cdef const fix_field *f
    if kind == c'A' or kind == c'5':
        return TURN_NOW
    if kind == c'4' and not fix_is_yes(m, fix_find(m, 123)):
        return TURN_NOW
    if seq > s.next_in:
        if kind == c'2':
            return TURN_NOW         # serve the peer first, or both sides wait for each other
        queue_put(s, m, seq)
        ask(s, m, seq, now_ns)
        return TURN_LATER
    if not fix_is_yes(m, fix_find(m, 43)):
        if kind == c'2':
            return TURN_NOW
        return TURN_TOO_LOW
    if kind != c'4':
        f = fix_find(m, 122)
        if f == NULL:
            return TURN_NO_ORIG
        if fix_read_utc_ns(m, f, &orig) and fix_read_utc_ns(m, fix_find(m, 52), &sent) and orig > sent:
            return TURN_BAD_ORIG
    s.stats.poss_dup_ignored += 1
    return TURN_SEEN


cdef void ask(fix_session *s, fix_msg *m, uint64_t seq, uint64_t now_ns) noexcept nogil:
    if seq > s.gap_high:
        s.gap_high = seq
    if s.gap and (s.gap_mark == s.next_in or not fix_is_yes(m, fix_find(m, 43))):
        return
    s.gap_tries = 0
    ask_now(s, seq - 1, now_ns)


cdef void ask_now(fix_session *s, uint64_t last, uint64_t now_ns) noexcept nogil:
    """ResendRequest from next_in on: all there is, or at most resend_request_max."""
    cdef uint64_t to = 0
    s.gap_from = s.gap_mark = s.next_in
    s.gap_to = last
    if s.config.resend_request_max != 0 and last - s.next_in >= s.config.resend_request_max:
        to = s.gap_to = s.next_in + s.config.resend_request_max - 1
    s.gap = True
    s.gap_ns = now_ns
    send_resend_request(s, s.gap_from, to, now_ns)
    if s.app.on_event != NULL:
        s.app.on_event(s.app.ctx, s, FIX_EV_GAP, now_ns)


cdef uint64_t gap_patience(const fix_session *s) noexcept nogil:
    """How long an open request may bring nothing, ns."""
    cdef uint64_t least = 10 * <uint64_t>SECOND
    if s.config.resend_timeout_ns != 0:
        return s.config.resend_timeout_ns
    return s.heartbeat_ns if s.heartbeat_ns > least else least


cdef bint gap_poll(fix_session *s, uint64_t now_ns) noexcept nogil:
    if not s.gap:
        # a request for a part was filled, more is missing
        if s.config.resend_request_max != 0 and s.gap_high >= s.next_in and s.gap_mark != s.next_in:
            s.gap_tries = 0
            ask_now(s, s.gap_high, now_ns)
        return True
    if s.gap_mark != s.next_in:
        s.gap_mark = s.next_in
        s.gap_ns = now_ns
        s.gap_tries = 0
    elif now_ns > s.gap_ns and now_ns - s.gap_ns >= gap_patience(s):
        if s.gap_tries >= GAP_TRIES:
            return False
        s.gap_tries += 1
        ask_now(s, s.gap_to if s.gap_to >= s.next_in else s.next_in, now_ns)
    return True


# --- messages that wait

cdef void queue_clear(fix_session *s) noexcept nogil:
    s.queued = 0
    s.queue_len = 0


cdef void queue_put(fix_session *s, fix_msg *m, uint64_t seq) noexcept nogil:
    """Keep a copy until its turn; dropped if there is no room or the number is there already."""
    cdef uint32_t at = 0, step = (<uint32_t>sizeof(waiting) + m.n + 7) & ~<uint32_t>7
    cdef waiting *q
    while at < s.queue_len:
        q = <waiting *>(s.queue + at)
        if q.seq == seq:
            return
        at += q.step
    if step > s.config.queue_octets - s.queue_len:
        s.stats.queue_full += 1
        return
    q = <waiting *>(s.queue + at)
    q.seq = seq
    q.n = m.n
    q.step = step
    memcpy(s.queue + at + sizeof(waiting), m.p, m.n)
    s.queue_len += step
    s.queued += 1
    s.stats.queued += 1


cdef const uint8_t *queue_take(fix_session *s, uint32_t *n) noexcept nogil:
    cdef uint32_t at = 0
    cdef waiting *q
    cdef const uint8_t *found = NULL
    while at < s.queue_len:
        q = <waiting *>(s.queue + at)
        at += q.step
        if q.seq == 0 or q.seq > s.next_in:
            continue
        if q.seq == s.next_in:
            found = <const uint8_t *>q + sizeof(waiting)
            n[0] = q.n
        q.seq = 0           # taken, or a gap fill went over it
        s.queued -= 1
    if s.queued == 0:
        s.queue_len = 0     # the octets stay where they are until the next queue_put
    return found


# --- what the peer asks for

cdef bint resend_start(fix_session *s, uint64_t first, uint64_t last) noexcept nogil:
    """A running resend of first .. last grows; what it has sent already is on its way and is not sent twice."""
    if s.resending and first >= s.resend_from:
        s.stats.resend_redundant += 1
        if last > s.resend_to:
            s.resend_to = last
        return False
    if s.resending and s.resend_to > last:
        last = s.resend_to
    s.resend_from = s.resend_next = first
    s.resend_to = last
    s.resend_fill = 0
    s.resending = True
    return True
