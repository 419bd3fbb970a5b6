"""The way out of a FIX session: header, MsgSeqNum, store, wire; administrative messages; resends.

FIX 4.4 vol. 2 "Session Protocol". Header fields stand in ascending order behind MsgType(35), body fields of the
messages made here too. A message is kept in the store before the wire gets it, and its number counts as used only
when the wire took it: a refused message leaves no trace in the numbers. When a session may send what, and what its
state becomes, is fix/session's business; nothing here changes the state.
"""
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, strlen

from fix.encode cimport (
    fix_add_raw, fix_add_uint, fix_add_utc, fix_begin, fix_cursor, fix_finish, fix_put_char, fix_put_raw, fix_put_str, fix_put_uint, fix_put_utc, fix_writer,
    fix_writer_version,
)
from fix.endpoint cimport (
    FIX_41, FIX_44, FIXT_11, FIX_ADMIN_ROOM, FIX_BUSY, FIX_ESTABLISHED, FIX_INITIATOR, FIX_NOT_LOGGED_ON, FIX_NUMBERS_EXHAUSTED,
    FIX_SENT, FIX_STORE_FULL, FIX_THROTTLED, FIX_TOO_LARGE, FIX_WIRE_REFUSED, FIX_WOULD_BLOCK, fix_session,
)
from fix.message cimport FIX_MAX_MESSAGE, fix_field, fix_find, fix_msg, fix_value
from fix.parse cimport FIX_COMPLETE, fix_parse
from stack.wire.octets cimport likely, unlikely
from stack.wire.trace cimport TRACE_ENCODE, trace_mark

cdef enum:
    RESEND_SCAN = 4096      # numbers looked at by one resend_step, sent or not


# --- the standard header

cdef int64_t session_utc(const fix_session *s, uint64_t now_ns) noexcept nogil:
    """UTC nanoseconds at `now_ns`."""
    return <int64_t>now_ns + (s.utc_offset_ns[0] if s.utc_offset_ns != NULL else 0)


cdef inline void add_piece(fix_cursor *c, const uint8_t *piece, uint32_t n) noexcept nogil:
    """Whole header fields; the usual 32 octets or less in one store (pieces and writer have that much slack)."""
    if likely(n <= 32 and c.p <= c.end):
        memcpy(c.p, piece, 32)
        c.p += n
    else:
        fix_add_raw(c, piece, n)


cdef inline void put_header(fix_session *s, fix_writer *w, uint64_t seq, uint64_t now_ns) noexcept nogil:
    """MsgSeqNum(34), CompIDs and what the configuration adds, SendingTime(52)."""
    cdef fix_cursor c = w.at
    fix_add_uint(&c, 34, seq)
    add_piece(&c, s.head_us, s.head_us_len)
    fix_add_utc(&c, 52, <uint64_t>session_utc(s, now_ns), s.decimals)
    add_piece(&c, s.head_peer, s.head_peer_len)
    if unlikely(s.head_tail_len != 0):
        fix_add_raw(&c, s.head_tail, s.head_tail_len)
    if unlikely(s.config.last_processed):
        fix_add_uint(&c, 369, s.next_in - 1)
    w.at = c


cdef uint32_t tag_of(const uint8_t *p, uint32_t n) noexcept nogil:
    """The number before '=' at p, 0 if there is none."""
    cdef uint32_t tag = 0, i = 0
    while i < n and 48 <= p[i] <= 57 and i < 9:
        tag = tag * 10 + (p[i] - 48)
        i += 1
    return tag if i > 0 and i < n and p[i] == 61 else 0


cdef uint32_t field_end(const uint8_t *p, uint32_t n) noexcept nogil:
    """Octets of the field at p with its SOH."""
    cdef uint32_t i = 0
    while i < n:
        i += 1
        if p[i - 1] == 1:
            break
    return i


cdef bint ours(uint32_t tag) noexcept nogil:
    """Header fields that only the session writes."""
    return tag in (8, 9, 35, 34, 43, 49, 52, 56, 122)


cdef uint32_t extra_before(fix_writer *w, const uint8_t *extra, uint32_t i, uint32_t n, uint32_t tag) noexcept nogil:
    """Write the extra fields from octet i on whose tags are below `tag`; -> octet of the first that is not."""
    cdef uint32_t k, t
    while i < n:
        t = tag_of(extra + i, n - i)
        if t >= tag:
            break
        k = field_end(extra + i, n - i)
        if t != 0 and not ours(t):
            fix_put_raw(w, extra + i, k)
        i += k
    return i


cdef uint32_t extra_piece(fix_writer *w, const uint8_t *extra, uint32_t i, uint32_t n, const uint8_t *piece,
                          uint32_t piece_n) noexcept nogil:
    """Write our fields of `piece` among the extra ones; an extra field of the same tag takes our field's place."""
    cdef uint32_t at = 0, k, tag
    while at < piece_n:
        tag = tag_of(piece + at, piece_n - at)
        k = field_end(piece + at, piece_n - at)
        i = extra_before(w, extra, i, n, tag)
        if i >= n or tag_of(extra + i, n - i) != tag or ours(tag):
            fix_put_raw(w, piece + at, k)
        at += k
    return i


cdef void put_header_with(fix_session *s, fix_writer *w, uint64_t seq, const uint8_t *extra, uint32_t n,
                          uint64_t now_ns) noexcept nogil:
    """put_header with more fields, ascending by tag, merged in."""
    cdef uint32_t i = extra_before(w, extra, 0, n, 34)
    fix_put_uint(w, 34, seq)
    i = extra_piece(w, extra, i, n, s.head_us, s.head_us_len)
    i = extra_before(w, extra, i, n, 52)
    fix_put_utc(w, 52, <uint64_t>session_utc(s, now_ns), s.decimals)
    i = extra_piece(w, extra, i, n, s.head_peer, s.head_peer_len)
    i = extra_piece(w, extra, i, n, s.head_tail, s.head_tail_len)
    if s.config.last_processed:
        i = extra_before(w, extra, i, n, 369)
        fix_put_uint(w, 369, s.next_in - 1)
    extra_before(w, extra, i, n, 0xFFFFFFFF)


cdef inline fix_writer *begin(fix_session *s, uint64_t MsgType) noexcept nogil:
    if unlikely(not s.own_w):       # shared with sessions of other versions
        fix_writer_version(s.w, <const char *>s.begin, s.begin_len)
    fix_begin(s.w, MsgType)
    return s.w


# --- messages of the application

cdef fix_writer *refuse(fix_session *s, uint32_t why) noexcept nogil:
    s.refusal = why
    s.stats.refused += 1
    return NULL


cdef inline uint32_t may_send(fix_session *s, uint64_t now_ns) noexcept nogil:
    """FIX_SENT if an application message of the largest size may be sent now, else the reason why not."""
    if unlikely(s.state != FIX_ESTABLISHED):
        return FIX_NOT_LOGGED_ON
    if unlikely(s.writing != 0):
        return FIX_BUSY
    if unlikely(s.wire.room(s.wire.ctx) < s.config.max_out + FIX_ADMIN_ROOM):
        return FIX_WOULD_BLOCK
    if unlikely(not s.store.ops.room(s.store, s.config.max_out)):
        return FIX_STORE_FULL
    if unlikely(s.next_out > s.config.seq_max):
        return FIX_NUMBERS_EXHAUSTED
    if unlikely(s.config.throttle_messages != 0) and throttled(s, now_ns):
        return FIX_THROTTLED
    return FIX_SENT


cdef bint throttled(fix_session *s, uint64_t now_ns) noexcept nogil:
    """Has this interval had its messages? Intervals begin with the first message after the last one's end."""
    if s.throttle_sent == 0 or now_ns - s.throttle_from_ns >= s.config.throttle_ns:
        s.throttle_from_ns = now_ns
        s.throttle_sent = 0
    if s.throttle_sent >= s.config.throttle_messages:
        s.stats.throttled += 1
        return True
    return False


cdef fix_writer *session_begin(fix_session *s, uint64_t MsgType, uint64_t now_ns) noexcept nogil:
    cdef uint32_t why = may_send(s, now_ns)
    cdef fix_writer *w
    if unlikely(why != FIX_SENT):
        return refuse(s, why)
    s.writing = 1
    w = begin(s, MsgType)
    put_header(s, w, s.next_out, now_ns)
    return w


cdef fix_writer *session_begin_with(fix_session *s, uint64_t MsgType, const uint8_t *extra, uint32_t n,
                                    uint64_t now_ns) noexcept nogil:
    cdef uint32_t why = may_send(s, now_ns)
    cdef fix_writer *w
    if unlikely(why != FIX_SENT):
        return refuse(s, why)
    s.writing = 1
    w = begin(s, MsgType)
    put_header_with(s, w, s.next_out, extra, n, now_ns)
    return w


cdef bint session_end(fix_session *s, fix_writer *w, uint64_t now_ns) noexcept nogil:
    cdef const uint8_t *p = NULL
    cdef uint32_t n = 0
    if unlikely(w == NULL or s.writing == 0):
        refuse(s, FIX_BUSY)         # an administrative message took the writer in between
        return False
    s.writing = 0
    if unlikely(not fix_finish(w, &p, &n) or n > s.config.max_out):
        refuse(s, FIX_TOO_LARGE)
        return False
    if unlikely(s.state != FIX_ESTABLISHED):
        refuse(s, FIX_NOT_LOGGED_ON)
        return False
    if not commit(s, p, n, False, now_ns):
        s.stats.refused += 1
        return False
    s.stats.app_out += 1
    s.throttle_sent += 1
    return True


cdef void session_cancel(fix_session *s, fix_writer *w) noexcept nogil:
    s.writing = 0


cdef inline bint commit(fix_session *s, const uint8_t *p, uint32_t n, bint admin, uint64_t now_ns) noexcept nogil:
    """Store, wire, number, in this order. False: s.refusal says why, no number is used."""
    cdef uint64_t seq = s.next_out
    if unlikely(not s.store.ops.append(s.store, seq, p, n, admin, now_ns)):
        s.refusal = FIX_STORE_FULL
        return False
    trace_mark(s.trace, TRACE_ENCODE)
    if unlikely(not s.wire.commit(s.wire.ctx, p, n, now_ns)):
        s.refusal = FIX_WIRE_REFUSED
        return False
    s.next_out = seq + 1
    s.numbers.next_out = seq + 1
    s.last_tx_ns = now_ns
    s.stats.messages_out += 1
    s.stats.octets_out += n
    s.refusal = FIX_SENT
    return True


# --- administrative messages. They may use the room kept back from the application.

cdef fix_writer *admin_begin(fix_session *s, uint64_t MsgType, uint64_t now_ns) noexcept nogil:
    cdef fix_writer *w
    s.writing = 0           # whatever the application had begun is void
    w = begin(s, MsgType)
    put_header(s, w, s.next_out, now_ns)
    return w


cdef fix_writer *admin_begin_with(fix_session *s, uint64_t MsgType, const uint8_t *extra, uint32_t n,
                                  uint64_t now_ns) noexcept nogil:
    cdef fix_writer *w
    if n == 0:
        return admin_begin(s, MsgType, now_ns)
    s.writing = 0
    w = begin(s, MsgType)
    put_header_with(s, w, s.next_out, extra, n, now_ns)
    return w


cdef bint admin_end(fix_session *s, fix_writer *w, bint admin, uint64_t now_ns) noexcept nogil:
    cdef const uint8_t *p = NULL
    cdef uint32_t n = 0
    if fix_finish(w, &p, &n) and commit(s, p, n, admin, now_ns):
        return True
    s.stats.admin_refused += 1
    return False


cdef void put_text(fix_writer *w, uint32_t tag, const char *text) noexcept nogil:
    if text[0] != 0:
        fix_put_str(w, tag, <const uint8_t *>text, <uint32_t>strlen(text))


cdef bint send_logon(fix_session *s, bint reset, uint64_t expected, uint64_t now_ns) noexcept nogil:
    """Logon(A); `reset` adds ResetSeqNumFlag(141)=Y, the numbers are then 1 already. `expected` goes into 789."""
    cdef fix_writer *w = admin_begin(s, c'A', now_ns)
    fix_put_uint(w, 98, 0)
    fix_put_uint(w, 108, s.heartbeat_ns // 1000000000)
    if reset:
        fix_put_char(w, 141, c'Y')
    if s.config.role == FIX_INITIATOR:      # an acceptor's are what it asks for, told to nobody
        put_text(w, 553, s.config.Username)
        put_text(w, 554, s.config.Password)
    if s.config.next_expected and s.config.version >= FIX_44:
        fix_put_uint(w, 789, expected)
    if s.config.version == FIXT_11:
        put_text(w, 1137, s.config.DefaultApplVerID)
    return admin_end(s, w, True, now_ns)


cdef bint send_logout(fix_session *s, const uint8_t *text, uint32_t n, uint64_t now_ns) noexcept nogil:
    cdef fix_writer *w = admin_begin(s, c'5', now_ns)
    if n != 0:
        fix_put_str(w, 58, text, n)
    return admin_end(s, w, True, now_ns)


cdef bint send_heartbeat(fix_session *s, const uint8_t *id, uint32_t n, uint64_t now_ns) noexcept nogil:
    """Heartbeat(0), with the TestReqID(112) it answers, be it empty; id NULL: it answers none."""
    cdef fix_writer *w = admin_begin(s, c'0', now_ns)
    if id != NULL:
        fix_put_str(w, 112, id, n)
    if not admin_end(s, w, True, now_ns):
        return False
    s.stats.heartbeats_out += 1
    return True


cdef bint send_test_request(fix_session *s, uint64_t now_ns) noexcept nogil:
    """TestRequest(1). Any message of the peer answers it, so its TestReqID need not be told apart."""
    cdef fix_writer *w = admin_begin(s, c'1', now_ns)
    fix_put_str(w, 112, b"TEST", 4)
    if not admin_end(s, w, True, now_ns):
        return False
    s.stats.test_requests_out += 1
    return True


cdef bint send_resend_request(fix_session *s, uint64_t first, uint64_t last, uint64_t now_ns) noexcept nogil:
    """ResendRequest(2) for first .. last; last 0: all there is, which FIX 4.0 and 4.1 write as 999999."""
    cdef fix_writer *w = admin_begin(s, c'2', now_ns)
    fix_put_uint(w, 7, first)
    fix_put_uint(w, 16, 999999 if last == 0 and s.config.version <= FIX_41 else last)
    if not admin_end(s, w, True, now_ns):
        return False
    s.stats.resend_requests_out += 1
    return True


# --- resends

cdef bint is_header_tag(uint32_t tag) noexcept nogil:
    """Fields of the standard header (FIX 4.4 vol. 1, FIXT 1.1) that may stand behind MsgType."""
    return tag in (34, 43, 49, 50, 52, 56, 57, 90, 91, 97, 115, 116, 122, 128, 129, 142, 143, 144, 145, 212, 213, 347,
                   369, 627, 628, 629, 630, 1128, 1129, 1156)


cdef bint only_filled(uint64_t MsgType) noexcept nogil:
    """Administrative, but not Reject(3): never sent again (FIX 4.4 vol. 2 "Resend Request"), whoever kept it."""
    return MsgType in (c'0', c'1', c'2', c'4', c'5', c'A')


cdef bint commit_again(fix_session *s, fix_writer *w, uint64_t now_ns) noexcept nogil:
    """To the wire only: numbers and store know this message already. False: s.refusal says why."""
    cdef const uint8_t *p = NULL
    cdef uint32_t n = 0
    s.refusal = FIX_WIRE_REFUSED
    # a resend waits for no more room than this
    if not fix_finish(w, &p, &n) or n > s.config.max_out + FIX_ADMIN_ROOM:
        s.refusal = FIX_TOO_LARGE
        return False
    if not s.wire.commit(s.wire.ctx, p, n, now_ns):
        s.stats.admin_refused += 1
        return False
    s.last_tx_ns = now_ns
    s.stats.messages_out += 1
    s.stats.octets_out += n
    return True


cdef bint send_gap_fill(fix_session *s, uint64_t first, uint64_t next_seq, uint64_t now_ns) noexcept nogil:
    """SequenceReset-GapFill: numbers first .. next_seq - 1 carried nothing that must be sent again."""
    cdef fix_writer *w
    cdef uint64_t utc = <uint64_t>session_utc(s, now_ns)
    s.writing = 0
    w = begin(s, c'4')
    fix_put_uint(w, 34, first)
    fix_put_char(w, 43, c'Y')
    fix_put_raw(w, s.head_us, s.head_us_len)
    fix_put_utc(w, 52, utc, s.decimals)
    fix_put_raw(w, s.head_peer, s.head_peer_len)
    fix_put_utc(w, 122, utc, s.decimals)
    fix_put_raw(w, s.head_tail, s.head_tail_len)
    if s.config.last_processed:
        fix_put_uint(w, 369, s.next_in - 1)
    fix_put_uint(w, 36, next_seq)
    fix_put_char(w, 123, c'Y')
    if not commit_again(s, w, now_ns):
        return False
    s.stats.gap_fills += 1
    return True


cdef bint send_again(fix_session *s, fix_msg *m, uint64_t now_ns) noexcept nogil:
    """The kept message `m` as it was, but for PossDupFlag, SendingTime and OrigSendingTime (FIX 4.4 vol. 2 "PossDup")."""
    cdef const fix_field *f
    cdef const fix_field *sent = fix_find(m, 52)
    cdef const fix_field *last = &m.fields[m.count - 1]     # CheckSum(10)
    cdef uint32_t i = 3, start
    cdef bint flagged = False, dated = sent == NULL
    cdef fix_writer *w
    s.writing = 0
    w = begin(s, m.MsgType)
    while i < m.count - 1 and is_header_tag(m.fields[i].tag):
        f = &m.fields[i]
        if not flagged and f.tag > 43:
            fix_put_char(w, 43, c'Y')
            flagged = True
        if not dated and f.tag > 122:
            fix_put_str(w, 122, fix_value(m, sent), sent.len)
            dated = True
        if f.tag == 52:
            fix_put_utc(w, 52, <uint64_t>session_utc(s, now_ns), s.decimals)
        elif f.tag == 369:
            fix_put_uint(w, 369, s.next_in - 1)
        elif f.tag != 43 and f.tag != 122:
            fix_put_str(w, f.tag, fix_value(m, f), f.len)
        i += 1
    if not flagged:
        fix_put_char(w, 43, c'Y')
    if not dated:
        fix_put_str(w, 122, fix_value(m, sent), sent.len)
    f = &m.fields[i - 1]
    start = <uint32_t>f.off + f.len + 1
    fix_put_raw(w, m.p + start, last.off - 3 - start)       # the body, up to "10="
    if not commit_again(s, w, now_ns):
        return False
    s.stats.resent += 1
    return True


cdef bint resend_step(fix_session *s, uint64_t now_ns) noexcept nogil:
    """Go on with the running resend; True when it is done.

    Bounded by resend_messages and by the room on the wire, of which FIX_ADMIN_ROOM stays free, so live traffic goes on
    between the steps. Numbers without a message to send again are gathered into one gap fill.
    """
    cdef fix_msg *m = s.msg
    cdef const uint8_t *p
    cdef uint32_t n = 0, sent = 0, scanned = 0, max_size = m.max_size
    cdef bint again
    while s.resend_next <= s.resend_to:
        if sent >= s.config.resend_messages or scanned >= RESEND_SCAN:
            return False
        if s.wire.room(s.wire.ctx) < s.config.max_out + FIX_ADMIN_ROOM:
            return False
        scanned += 1
        p = s.store.ops.get(s.store, s.resend_next, &n)
        again = p != NULL
        if again:
            m.max_size = FIX_MAX_MESSAGE
            m.data_table = s.data_table
            again = fix_parse(m, p, n) == FIX_COMPLETE and m.error == 0
            m.max_size = max_size
        elif n != 0:
            s.stats.not_stored += 1
        again = again and not only_filled(m.MsgType)
        if again and s.app.may_resend != NULL:
            again = s.app.may_resend(s.app.ctx, s, m)
        if not again:
            if s.resend_fill == 0:
                s.resend_fill = s.resend_next
            s.resend_next += 1
            continue
        if s.resend_fill != 0:
            if not send_gap_fill(s, s.resend_fill, s.resend_next, now_ns):
                return False
            s.resend_fill = 0
        if send_again(s, m, now_ns):
            sent += 1
        elif s.refusal == FIX_TOO_LARGE:
            s.stats.resend_too_large += 1       # kept by another, or before max_out was set lower
            s.resend_fill = s.resend_next
        else:
            return False
        s.resend_next += 1
    if s.resend_fill != 0:
        if not send_gap_fill(s, s.resend_fill, s.resend_to + 1, now_ns):
            return False
        s.resend_fill = 0
    return True
