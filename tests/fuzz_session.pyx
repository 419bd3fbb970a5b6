"""Fuzzed: a FIX session. The peer's messages, the user, the wire and the time come from the input.

Most messages are framed by the harness and numbered near what is expected, so that they reach the states behind the checks.
Whatever the session sends must be one whole message under the next number (or marked PossDup), whatever it hands to the
application must be the number that is due, numbers never go back but by a reset, and nothing may be due for ever.
"""
from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memmove, memset

from fix.encode cimport fix_writer, fix_put_str
from fix.message cimport *
from fix.parse cimport *
from fix.session cimport *
from fix.store cimport fix_store, memory_store_new, store_free
from fuzz_input cimport *

cdef extern from *:
    """
    #include <stdio.h>
    #include <string.h>
    #include <time.h>
    static const char fw_types[16][3] = {"0", "1", "2", "3", "4", "5", "A", "D", "8", "j", "B", "AE", "4", "2", "A", "D"};
    static uint32_t fw_sealed(char *to, const char *body, uint32_t n, int version) {
        static const char *begin[] = {"FIX.4.0", "FIX.4.1", "FIX.4.2", "FIX.4.3", "FIX.4.4", "FIXT.1.1"};
        uint32_t at = (uint32_t)sprintf(to, "8=%s\\001" "9=%u\\001", begin[version == 50 ? 5 : version - 40], n), i, sum = 0;
        memcpy(to + at, body, n);
        for (i = 0; i < at + n; i++) sum += (uint8_t)to[i];
        return at + n + (uint32_t)sprintf(to + at + n, "10=%03u\\001", sum & 255);
    }
    static uint32_t fw_message(char *to, int version, int type, uint64_t seq, int64_t utc_ns, int dup, const char *more, uint32_t n) {
        char body[1400], when[40];
        time_t s = (time_t)(utc_ns / 1000000000);
        struct tm tm;
        uint32_t at;
        gmtime_r(&s, &tm);
        strftime(when, sizeof when, "%Y%m%d-%H:%M:%S", &tm);
        at = (uint32_t)sprintf(body, "35=%s\\001" "34=%llu\\001%s49=THEM\\001" "52=%s\\001" "56=US\\001%s%s", fw_types[type & 15],
                               (unsigned long long)seq, dup ? "43=Y\\001" : "", when, dup ? "122=" : "", dup ? when : "");
        if (dup) body[at++] = 1;
        if (!strcmp(fw_types[type & 15], "A")) at += (uint32_t)sprintf(body + at, "98=0\\001" "108=30\\001");
        memcpy(body + at, more, n);
        at += n;
        if (n && body[at - 1] != 1) body[at++] = 1;
        return fw_sealed(to, body, at, version);
    }
    """
    uint32_t sealed "fw_sealed"(char *to, const char *body, uint32_t n, int version) noexcept nogil
    uint32_t message "fw_message"(char *to, int version, int type, uint64_t seq, int64_t utc_ns, int dup, const char *more,
                                  uint32_t n) noexcept nogil

cdef enum:
    ROOM = 1 << 16              # octets of the receive buffer
    STORE = 8192                # of sent messages, at most MESSAGES of them: older ones are evicted
    MESSAGES = 16
    S = 1000000000

cdef struct world:
    fix_session *s
    fix_store *st
    fix_msg m                   # the harness's own
    uint64_t now
    int64_t offset
    uint32_t room               # octets the wire takes
    bint closing
    bint reset                  # the numbers may have gone back
    uint32_t piece              # octets handed over at once, 0: all
    int version
    uint64_t seen_in
    const char *why
    uint8_t *buf
    uint32_t n

cdef world w
cdef int planted = 0    # 1: an ExecutionReport is never in turn


cdef void wrong(const char *why) noexcept nogil:
    if w.why == NULL:
        w.why = why


# -- the session's surroundings

cdef bint commit(void *ctx, const uint8_t *p, uint32_t n, uint64_t now_ns) noexcept nogil:
    cdef uint8_t *copy
    cdef uint64_t seq = 0
    if n > w.room:
        return False
    copy = <uint8_t *>malloc(n + FIX_SLACK)
    memcpy(copy, p, n)
    memset(copy + n, 0, FIX_SLACK)
    if fix_parse(&w.m, copy, n) != FIX_COMPLETE or w.m.n != n or w.m.error:
        wrong(b"what was sent is not one whole message")
    elif not fix_read_uint(&w.m, fix_find(&w.m, 34), &seq):
        wrong(b"a message was sent without a number")
    elif not fix_is_yes(&w.m, fix_find(&w.m, 43)) and seq != w.s.next_out:
        wrong(b"a message was sent under a number that is not the next")
    elif seq > w.s.next_out:
        wrong(b"a number was sent again before it was sent")
    free(copy)
    return True


cdef uint32_t room(void *ctx) noexcept nogil:
    return w.room


cdef void close_(void *ctx, bint abort, uint64_t now_ns) noexcept nogil:
    w.closing = True


cdef void on_message(void *ctx, fix_session *s, fix_msg *m, uint64_t now_ns) noexcept nogil:
    cdef uint64_t seq = 0
    if s.state < FIX_ESTABLISHED or s.state == FIX_CLOSING:
        wrong(b"a message was delivered to an application that is not logged on")
    if not fix_read_uint(m, fix_find(m, 34), &seq) or seq != s.next_in or (planted and m.MsgType == 0x38):
        wrong(b"a message was delivered out of turn")


cdef void on_event(void *ctx, fix_session *s, int event, uint64_t now_ns) noexcept nogil:
    if event == FIX_EV_RESET or event == FIX_EV_LOGON or event == FIX_EV_DISCONNECT:
        w.reset = True


# -- what the input asks for

cdef void feed(const uint8_t *p, uint32_t n) noexcept nogil:
    """n octets more have come; the session sees what waits in memory that ends behind the slack."""
    cdef uint8_t *exact
    cdef uint32_t used, rounds = 0, part
    while n and w.why == NULL:
        part = min(n, w.piece) if w.piece else n
        part = min(part, ROOM - w.n)
        if part == 0:
            w.n = 0
            wrong(b"the session takes nothing of a full buffer")
            return
        memcpy(w.buf + w.n, p, part)
        w.n += part
        p += part
        n -= part
        while w.n and w.n >= w.s.need and w.s.state != FIX_DISCONNECTED and w.why == NULL:
            exact = <uint8_t *>malloc(w.n + FIX_SLACK)
            memcpy(exact, w.buf, w.n)
            memset(exact + w.n, 0x35, FIX_SLACK)
            used = session_input(w.s, exact, w.n, w.now)
            free(exact)
            if used > w.n:
                wrong(b"more was consumed than there was")
                return
            w.n -= used
            memmove(w.buf, w.buf + used, w.n)
            rounds += 1
            if used == 0 and (w.s.need <= w.n or w.s.need == 0 or rounds > 100000):
                break
    hang_up()


cdef void hang_up() noexcept nogil:
    if w.closing:
        w.closing = False
        session_disconnected(w.s, w.now)
        w.n = 0
        session_connected(w.s, w.now)


cdef void peer_says(fuzz_input *in_, uint8_t kind) noexcept nogil:
    cdef char[4096] out
    cdef const uint8_t *more
    cdef uint8_t what = take8(in_)
    cdef uint32_t n
    cdef uint64_t seq = w.s.next_in
    cdef int dup = 0
    if kind <= 5:
        if kind >= 3:
            seq += <uint64_t><int64_t>take_near(in_, 100)
            dup = what >> 6 & 1
        if seq == 0 or seq > <uint64_t>1 << 40:
            seq = 1
        n = take_octets(in_, 255, &more)
        n = message(out, w.version, what & 15, seq, <int64_t>w.now + w.offset, dup, <const char *>more, n)
        feed(<const uint8_t *>out, n)
    else:
        n = take_octets(in_, 255, &more)
        if kind == 6:
            n = sealed(out, <const char *>more, n, w.version)
            feed(<const uint8_t *>out, n)
        else:
            feed(more, n)


cdef void user_acts(fuzz_input *in_) noexcept nogil:
    cdef uint8_t what = take8(in_), n = take8(in_)
    cdef uint8_t[256] text
    cdef fix_writer *o
    if what < 160:
        memset(text, 0x41 + what % 26, sizeof(text))
        o = session_begin(w.s, 0x44 if what & 1 else 0x38, w.now)
        if o != NULL:
            fix_put_str(o, 58, text, n)
            if what & 2 and n > 200:
                session_cancel(w.s, o)
            else:
                session_end(w.s, o, w.now)
    elif what < 176:
        session_test_request(w.s, w.now)
    elif what < 192:
        session_ask_resend(w.s, n, 0 if what & 1 else n + 3, w.now)
    elif what < 208:
        session_logout(w.s, b"bye", w.now)
    elif what < 220:
        session_abort(w.s, w.now)
    elif what < 240:
        session_disconnected(w.s, w.now)
        w.n = 0
        w.closing = False
        w.reset = True
        session_connected(w.s, w.now)
    else:
        w.room = 100000 if what & 1 else <uint32_t>n * 40
        if w.room >= 4096:
            session_writable(w.s, w.now)
    hang_up()


cdef void passes(uint64_t at) noexcept nogil:
    if at > w.now:
        w.now = at
    session_poll(w.s, w.now)
    hang_up()


cdef void step(fuzz_input *in_) noexcept nogil:
    cdef uint8_t op = take8(in_)
    cdef uint8_t kind = op & 15
    if kind <= 8:
        peer_says(in_, kind)
    elif kind <= 11:
        user_acts(in_)
    elif kind == 12:
        passes(w.now + (<uint64_t>1 << take8(in_) % 38))
    elif kind == 13:
        w.piece = take8(in_)
    else:
        passes(w.s.deadline_ns if w.s.deadline_ns < w.now + 1000 * <uint64_t>S else w.now)


cdef void check() noexcept nogil:
    cdef fix_session *s = w.s
    if s.state >= FIX_STATES:
        wrong(b"no such state")
    if s.numbers.next_in != s.next_in or s.numbers.next_out != s.next_out:
        wrong(b"the store's numbers are not the session's")
    if s.next_in < w.seen_in and not w.reset:
        wrong(b"the number expected went back")
    w.seen_in = s.next_in
    w.reset = False
    if s.queue_len > s.config.queue_octets:
        wrong(b"more waits than there is room for")
    if s.writing:
        wrong(b"a message is begun and nobody ends it")


cdef void settle() noexcept nogil:
    """The wire is well again: what is due gets done, and the session is not due for ever."""
    cdef uint32_t _i, still = 0
    w.room = 100000
    session_writable(w.s, w.now)
    hang_up()
    for _i in range(200):
        if w.why != NULL or w.s.deadline_ns == ~<uint64_t>0:
            break
        still = 0 if w.s.deadline_ns > w.now else still + 1
        if still > 100:
            wrong(b"something is due for ever")
            return
        passes(w.s.deadline_ns)
        check()


cdef const char *run(const uint8_t *data, size_t size) noexcept nogil:
    cdef fuzz_input in_
    cdef fix_session_config c
    cdef uint8_t kind, more
    cdef uint32_t steps = 0
    cdef fix_msg keep = w.m
    memset(&w, 0, sizeof(world))
    w.m = keep
    in_.p = data
    in_.end = data + size
    kind = take8(&in_)
    more = take8(&in_)
    fix_session_config_init(&c)
    c.role = FIX_ACCEPTOR if kind & 1 else FIX_INITIATOR
    w.version = c.version = 44 if (kind & 6) == 0 else 42 if (kind & 6) == 2 else 50 if (kind & 6) == 4 else 40 + more % 4
    memcpy(c.SenderCompID, <const char *>b"US", 3)
    memcpy(c.TargetCompID, <const char *>b"THEM", 5)
    memcpy(c.DefaultApplVerID, <const char *>b"9", 2)
    c.reset_on_logon = kind >> 3 & 1
    c.reset_on_logout = kind >> 4 & 1
    c.reset_on_disconnect = kind >> 5 & 1
    c.next_expected = kind >> 6 & 1 and c.version >= 44
    c.last_processed = kind >> 7
    c.max_message = 900 if more & 8 else 65535
    c.max_out = 1024
    c.step_messages = 2 if more & 16 else 64
    c.resend_messages = 1 if more & 32 else 32
    c.queue_octets = 0 if more & 64 else 2000
    c.resend_request_max = 5 if more & 128 else 0
    c.throttle_messages = 3 if more & 4 else 0
    c.throttle_ns = S
    w.now = S
    w.offset = <int64_t>1700000000 * S
    w.room = 100000
    w.st = memory_store_new(STORE, MESSAGES)
    w.s = session_new(&c, w.st, NULL, NULL)
    w.buf = <uint8_t *>malloc(ROOM)
    if w.s == NULL:
        wrong(b"no session")
    else:
        w.s.utc_offset_ns = &w.offset
        w.s.wire.commit = commit
        w.s.wire.room = room
        w.s.wire.close = close_
        w.s.app.on_message = on_message
        w.s.app.on_event = on_event
        session_connected(w.s, w.now)
        while w.why == NULL and left(&in_) and steps < 300:
            steps += 1
            step(&in_)
            check()
        if w.why == NULL:
            settle()
        session_free(w.s)
    store_free(w.st)
    free(w.buf)
    return w.why


if not fix_msg_alloc(&w.m, 0):
    raise MemoryError("a message's fields")


ENTRY = harness(run, &planted)
