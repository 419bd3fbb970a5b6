"""Making and freeing one end of a FIX session: configuration, defaults, the constant pieces of its header.

Everything a session ever needs is allocated here, so that nothing is on the way of a message.
"""
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memchr, memcpy, memset, strlen

from fix.encode cimport fix_writer, fix_writer_alloc, fix_writer_free, fix_writer_version
from fix.message cimport FIX_MAX_MESSAGE, FIX_SLACK, fix_field, fix_find, fix_msg, fix_value
from fix.parse cimport fix_msg_alloc, fix_msg_free
from fix.store cimport fix_store

cdef enum:
    SECOND = 1000000000

cdef uint64_t NEVER = 0xFFFFFFFFFFFFFFFF


cdef void fix_session_config_init(fix_session_config *c) noexcept nogil:
    memset(c, 0, sizeof(fix_session_config))
    c.version = FIX_44
    c.HeartBtInt = 30
    c.timestamp_digits = -1
    c.check_comp_id = c.check_latency = True
    c.max_latency_ns = 120 * <uint64_t>SECOND
    c.logon_timeout_ns = 10 * <uint64_t>SECOND
    c.logout_timeout_ns = 2 * <uint64_t>SECOND
    c.max_message = FIX_MAX_MESSAGE
    c.max_out = 8192
    c.step_messages = 64
    c.step_octets = 65536
    c.resend_messages = 64
    c.queue_octets = 65536
    c.seq_max = 2147483647
    c.throttle_ns = SECOND


cdef const char *begin_string(int version) noexcept nogil:
    if version == FIX_40: return b"FIX.4.0"
    if version == FIX_41: return b"FIX.4.1"
    if version == FIX_42: return b"FIX.4.2"
    if version == FIX_43: return b"FIX.4.3"
    if version == FIX_44: return b"FIX.4.4"
    if version == FIXT_11: return b"FIXT.1.1"
    return NULL


cdef uint32_t add_field(uint8_t *o, uint32_t n, const char *tag, const char *value) noexcept nogil:
    """Append `tag` ("49=") and value at o + n, nothing if the value is empty; -> octets then."""
    cdef uint32_t t = <uint32_t>strlen(tag), k = <uint32_t>strlen(value)
    if k == 0:
        return n
    memcpy(o + n, tag, t)
    memcpy(o + n + t, value, k)
    o[n + t + k] = 1
    return n + t + k + 1


cdef void write_head(fix_session *s) noexcept nogil:
    """The constant pieces of the header, and what the peer's must say."""
    cdef fix_session_config *c = &s.config
    s.head_us_len = add_field(s.head_us, 0, b"49=", c.SenderCompID)
    s.head_us_len = add_field(s.head_us, s.head_us_len, b"50=", c.SenderSubID)
    s.head_peer_len = add_field(s.head_peer, 0, b"56=", c.TargetCompID)
    s.head_peer_len = add_field(s.head_peer, s.head_peer_len, b"57=", c.TargetSubID)
    s.head_tail_len = add_field(s.head_tail, 0, b"142=", c.SenderLocationID)
    s.head_tail_len = add_field(s.head_tail, s.head_tail_len, b"143=", c.TargetLocationID)
    s.us_len = <uint8_t>strlen(c.SenderCompID)
    s.peer_len = <uint8_t>strlen(c.TargetCompID)
    memcpy(s.us, c.SenderCompID, s.us_len)
    memcpy(s.peer, c.TargetCompID, s.peer_len)


cdef fix_session *session_new(const fix_session_config *c, fix_store *store, fix_msg *msg, fix_writer *w) noexcept nogil:
    cdef const char *begin = begin_string(c.version)
    cdef fix_session *s
    if begin == NULL or c.SenderCompID[0] == 0 or c.TargetCompID[0] == 0 or store == NULL:
        return NULL
    s = <fix_session *>calloc(1, sizeof(fix_session))
    if s == NULL:
        return NULL
    s.config = c[0]
    s.begin_len = <uint32_t>strlen(begin)
    memcpy(s.begin, begin, s.begin_len)
    write_head(s)
    if c.timestamp_digits >= 0:
        s.decimals = c.timestamp_digits
    else:
        s.decimals = 0 if c.version <= FIX_41 else 3
    s.msg = msg
    s.w = w
    s.own_msg = msg == NULL
    s.own_w = w == NULL
    s.queue = <uint8_t *>calloc(1, <size_t>c.queue_octets + FIX_SLACK)
    if s.own_msg:
        s.msg = <fix_msg *>calloc(1, sizeof(fix_msg))
    if s.own_w:
        s.w = <fix_writer *>calloc(1, sizeof(fix_writer))
    if s.queue == NULL or s.msg == NULL or s.w == NULL or \
            (s.own_msg and not fix_msg_alloc(s.msg, 0)) or \
            (s.own_w and not fix_writer_alloc(s.w, c.max_out + 512 if c.max_out < 65000 else 65535)):
        session_free(s)
        return NULL
    fix_writer_version(s.w, begin, s.begin_len)
    s.store = store
    s.numbers = store.numbers
    s.next_in = s.numbers.next_in
    s.next_out = s.numbers.next_out
    s.heartbeat_ns = <uint64_t>c.HeartBtInt * SECOND
    s.deadline_ns = NEVER
    return s


cdef void session_free(fix_session *s) noexcept nogil:
    if s == NULL:
        return
    if s.own_msg and s.msg != NULL:
        fix_msg_free(s.msg)
        free(s.msg)
    if s.own_w and s.w != NULL:
        fix_writer_free(s.w)
        free(s.w)
    free(s.queue)
    free(s)


cdef bint session_is_for(const fix_session *s, fix_msg *m) noexcept nogil:
    cdef const fix_field *target = fix_find(m, 56)
    return m.MsgType == c'A' and target != NULL and m.fields[0].len == s.begin_len and \
        same(fix_value(m, &m.fields[0]), s.begin, s.begin_len) and \
        target.len == s.us_len and same(fix_value(m, target), s.us, s.us_len)


cdef bint session_matches(const fix_session *s, fix_msg *m) noexcept nogil:
    cdef const fix_field *sender = fix_find(m, 49)
    return sender != NULL and sender.len == s.peer_len and same(fix_value(m, sender), s.peer, s.peer_len) and \
        session_is_for(s, m)


cdef bint session_set_peer(fix_session *s, const uint8_t *p, uint32_t n) noexcept nogil:
    if n == 0 or n > FIX_ID_MAX or memchr(p, 0, n) != NULL:
        return False
    memset(s.config.TargetCompID, 0, sizeof(s.config.TargetCompID))
    memcpy(s.config.TargetCompID, p, n)
    memset(s.peer, 0, sizeof(s.peer))
    write_head(s)
    return True
