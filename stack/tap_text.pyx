"""One direction of a captured connection: its text in order, what waits for a hole, and the buffers it waits in.

RFC 9293 section 3.4 (sequence numbers) as an observer can follow them; the contract is in tap.pxd, where a segment comes from
in tap.pyx.
"""
from libc.stdint cimport INT64_MIN, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset

from stack.reassembly cimport reass_append, reass_consume, reass_give_up, reass_init, reass_insert, reass_memory, \
    reass_next
from stack.seqnum cimport seq_gt, seq_le, seq_lt
from stack.tap cimport TAP_BACK, TAP_GRACE_SEGMENTS, TAP_HELD, TAP_LIVE, TAP_NOTHING, TAP_PATIENCE, TAP_SIZES, tap, tap_buffer, \
    tap_flow, tap_passage, tap_stream
from stack.tap_marks cimport tap_marks_begin, tap_marks_next, tap_marks_note, tap_marks_ready, \
    tap_marks_when
from stack.wire.octets cimport likely

# Octets that may wait in a stream. A buffer is twice as large (reass_memory); a stream begins with the smallest and moves.
cdef uint32_t[3] tap_limits = [8 * 1024, 128 * 1024, 1024 * 1024]
cdef enum:
    TAP_HOLD_SIZE = 1               # class that holds TAP_BACK and what follows
    TAP_FAR = 1 << 24               # text further than this from where the stream is does not belong to it
    TAP_STRAYS = 3


# -- text

cdef void tap_text(tap *t, tap_flow *flow, int d, uint32_t seq, const uint8_t *p, uint32_t n, int64_t ts_ns) noexcept nogil:
    """Text of `n` octets at `seq`: what is new of it goes up or waits."""
    cdef tap_stream *s = &flow.stream[d]
    cdef uint32_t used
    if s.state == TAP_NOTHING:
        s.state = TAP_HELD
        s.first = seq
        s.high = seq
        s.nxt = seq - TAP_BACK
        if not tap_wait(t, flow, d, TAP_HOLD_SIZE, s.nxt, ts_ns):
            s.state = TAP_LIVE
            s.nxt = seq
    if s.state == TAP_HELD and s.wait.marks.n_behind >= TAP_PATIENCE:
        tap_give_up(t, flow, d)                     # waited long enough for what may have come before
    if s.wait != NULL:
        tap_keep(t, flow, d, seq, p, n, ts_ns)
        return
    if seq_lt(seq, s.nxt):
        if s.nxt - seq > TAP_FAR:
            tap_stray(t, flow, d, seq, p, n, ts_ns)
            return
        t.stats.retransmissions += 1
        if seq_le(seq + n, s.nxt):
            return
        p += s.nxt - seq
        n -= s.nxt - seq
        seq = s.nxt
    if likely(seq == s.nxt):
        s.nxt += n
        s.high = s.nxt
        used = tap_pass(t, flow, d, p, n, False, ts_ns)
        if used < n:
            tap_leave(t, flow, d, p + used, n - used, ts_ns)
        return
    if tap_wait(t, flow, d, tap_size(seq + n - s.nxt), s.nxt, ts_ns):
        tap_keep(t, flow, d, seq, p, n, ts_ns)


cdef void tap_leave(tap *t, tap_flow *flow, int d, const uint8_t *p, uint32_t n, int64_t ts_ns) noexcept nogil:
    """The last n octets before nxt are the beginning of something: they wait for the rest of it."""
    cdef tap_stream *s = &flow.stream[d]
    cdef uint32_t size = tap_size(n)
    if n <= tap_limits[size] and tap_wait(t, flow, d, size, s.nxt - n, ts_ns):
        reass_append(&s.wait.r, p, n)
        tap_marks_ready(&s.wait.marks, s.nxt, ts_ns, s.nxt - n)
    else:
        tap_pass(t, flow, d, p, n, True, ts_ns)


cdef inline uint32_t tap_pass(tap *t, tap_flow *flow, int d, const uint8_t *p, uint32_t n, bint last,
                              int64_t ts_ns) noexcept nogil:
    """Text that came at once, up to nxt."""
    cdef tap_passage x
    x.p = p
    x.n = n
    x.last = last
    x.ts_ns = ts_ns
    x.end = flow.stream[d].nxt
    x.marks = NULL
    flow.stream[d].need = 0
    return t.sink.on_text(t.sink.ctx, flow, d, &x)


cdef void tap_keep(tap *t, tap_flow *flow, int d, uint32_t seq, const uint8_t *p, uint32_t n, int64_t ts_ns) noexcept nogil:
    """Text for a stream in which something waits: into the buffer, and up if that closes a hole."""
    cdef tap_stream *s = &flow.stream[d]
    cdef tap_buffer *b
    cdef uint32_t gained
    cdef uint64_t duplicate, refused
    if not tap_fits(t, flow, d, seq + n):
        tap_stray(t, flow, d, seq, p, n, ts_ns)
        return
    b = s.wait
    if b != NULL and seq_gt(seq + n, b.r.nxt - b.r.held + b.r.limit):
        # nothing waits and still it is too far: a hole larger than any buffer, or one text that is
        if s.state == TAP_HELD:
            s.state = TAP_LIVE
        else:
            t.stats.gaps += 1
            t.stats.gap_octets += seq - s.nxt
        s.nxt = seq
        tap_release(t, s)
    if s.wait == NULL:                              # what waited was given up to make room
        tap_text(t, flow, d, seq, p, n, ts_ns)
        return
    duplicate = b.r.duplicate
    refused = b.r.refused
    gained = reass_insert(&b.r, seq, p, n)
    if b.r.refused != refused:                      # a range more than there is room for
        tap_give_up(t, flow, d)
        tap_text(t, flow, d, seq, p, n, ts_ns)
        return
    if b.r.duplicate != duplicate:
        t.stats.retransmissions += 1
    elif seq_lt(seq, s.high):
        t.stats.out_of_order += 1
    if seq_gt(seq + n, s.high):
        s.high = seq + n
    if b.r.count:
        tap_marks_note(&b.marks, seq + n, ts_ns, b.r.nxt - b.r.held)
    if gained:
        s.state = TAP_LIVE
        s.nxt = b.r.nxt
        tap_marks_ready(&b.marks, s.nxt, ts_ns, s.nxt - b.r.held)
        tap_deliver(t, flow, d, False)


cdef void tap_stray(tap *t, tap_flow *flow, int d, uint32_t seq, const uint8_t *p, uint32_t n, int64_t ts_ns) noexcept nogil:
    """Text too far from the stream to belong to it. Several that follow each other are a connection whose SYN was missed."""
    cdef tap_stream *s = &flow.stream[d]
    t.stats.outside += 1
    s.strays = s.strays + 1 if s.strays and seq == s.stray_nxt else 1
    s.stray_nxt = seq + n
    if s.strays == TAP_STRAYS:
        tap_renew(t, flow)
        tap_text(t, flow, d, seq, p, n, ts_ns)


cdef void tap_renew(tap *t, tap_flow *flow) noexcept nogil:
    """Another connection between the same ends."""
    tap_drain(t, flow, 0)
    tap_drain(t, flow, 1)
    memset(flow.stream, 0, sizeof(flow.stream))
    flow.segments = 0
    flow.number = t.stats.flows
    t.stats.flows += 1


cdef void tap_deliver(tap *t, tap_flow *flow, int d, bint last) noexcept nogil:
    """Pass up what waits in order, if it is enough or nothing follows; the buffer goes when nothing is left in it."""
    cdef tap_stream *s = &flow.stream[d]
    cdef tap_buffer *b = s.wait
    tap_pass_waiting(t, flow, d, s.nxt, last)
    if last:
        reass_consume(&b.r, b.r.held)
    if b.r.held == 0 and b.r.count == 0 and s.state == TAP_LIVE:
        tap_release(t, s)
    elif b.r.count == 0:
        b.since_ns = tap_marks_when(&b.marks, s.nxt - b.r.held + 1)


cdef void tap_pass_waiting(tap *t, tap_flow *flow, int d, uint32_t end, bint last) noexcept nogil:
    """Pass up what waits in order before `end`, if it is as much as was asked for."""
    cdef tap_stream *s = &flow.stream[d]
    cdef tap_passage x
    x.n = reass_next(&s.wait.r, &x.p) - (s.nxt - end)
    if x.n and (last or x.n >= s.need):
        x.last = last
        x.ts_ns = s.wait.marks.latest_ns
        x.end = end
        x.marks = &s.wait.marks
        s.need = 0
        reass_consume(&s.wait.r, t.sink.on_text(t.sink.ctx, flow, d, &x))


cdef void tap_give_up(tap *t, tap_flow *flow, int d) noexcept nogil:
    """The first hole will not be filled: what lies before it is the end of a piece, what lies behind begins another."""
    cdef tap_stream *s = &flow.stream[d]
    cdef tap_buffer *b = s.wait
    if b.r.held:
        tap_deliver(t, flow, d, True)
        if s.wait == NULL:
            return
    if b.r.count == 0:
        return
    if s.state == TAP_HELD:
        s.state = TAP_LIVE
    else:
        t.stats.gaps += 1
        t.stats.gap_octets += b.r.ranges[0].seq - b.r.nxt
    tap_advance(t, flow, d)


cdef void tap_advance(tap *t, tap_flow *flow, int d) noexcept nogil:
    """Go on at the first range. Its text goes up as it was captured, piece by piece, each with its time."""
    cdef tap_stream *s = &flow.stream[d]
    cdef tap_buffer *b = s.wait
    cdef uint32_t upto, i
    cdef int64_t ts_ns
    b.marks.latest_ns = INT64_MIN
    b.marks.n_ready = 0
    b.covered = False
    s.need = 0
    reass_give_up(&b.r)
    s.nxt = b.r.nxt
    upto = s.nxt - b.r.held
    while upto != s.nxt:
        i = tap_marks_next(&b.marks, upto)
        upto = s.nxt
        ts_ns = b.marks.latest_ns
        if i < b.marks.n_behind:
            ts_ns = b.marks.behind[i].ts_ns
            if seq_lt(b.marks.behind[i].end, upto):
                upto = b.marks.behind[i].end
        tap_marks_ready(&b.marks, upto, ts_ns, s.nxt - b.r.held)
        tap_pass_waiting(t, flow, d, upto, False)
    if b.r.held == 0 and b.r.count == 0:
        tap_release(t, s)


cdef void tap_patience(tap *t, tap_flow *flow, int d, int64_t ts_ns) noexcept nogil:
    """Give a hole up once its receiver has had the octets for a while: they were not captured."""
    cdef tap_stream *s = &flow.stream[d]
    cdef tap_buffer *b = s.wait
    cdef uint32_t seq
    if b.r.count == 0 or not s.ack_seen:
        return
    seq = b.r.ranges[0].end if s.state == TAP_HELD else b.r.ranges[0].seq
    if seq_lt(s.acked, seq):
        b.covered = False
    elif not b.covered or b.covered_seq != seq:
        b.covered = True
        b.covered_seq = seq
        b.covered_ns = ts_ns
        b.covered_segments = flow.segments
    elif ts_ns - b.covered_ns >= t.grace_ns and flow.segments - b.covered_segments >= TAP_GRACE_SEGMENTS:
        tap_give_up(t, flow, d)


# -- buffers

cdef uint32_t tap_size(uint32_t n) noexcept nogil:
    """The smallest class of buffers for n octets, or the largest."""
    cdef uint32_t size = 0
    while size + 1 < TAP_SIZES and tap_limits[size] < n:
        size += 1
    return size


cdef bint tap_fits(tap *t, tap_flow *flow, int d, uint32_t end) noexcept nogil:
    """Make the stream's buffer reach to `end`: a larger one, then holes given up, then the unfinished message.

    False if that would be unreasonable: `end` lies far from the stream. Afterwards s.wait may be NULL, or still too small
    with nothing in it.
    """
    cdef tap_stream *s = &flow.stream[d]
    cdef uint32_t base = s.wait.r.nxt - s.wait.r.held
    if seq_le(end, base + s.wait.r.limit):
        return base - end <= TAP_FAR or seq_gt(end, base)
    if s.ack_seen and seq_gt(end, s.acked + TAP_FAR):
        return False
    while s.wait != NULL and seq_gt(end, s.wait.r.nxt - s.wait.r.held + s.wait.r.limit):
        if s.wait.size + 1 < TAP_SIZES and tap_grow(t, s):
            continue
        if s.wait == NULL or (s.wait.r.count == 0 and s.wait.r.held == 0):
            break
        if s.wait.r.count:
            tap_give_up(t, flow, d)
        else:
            tap_deliver(t, flow, d, True)
    return True


cdef bint tap_wait(tap *t, tap_flow *flow, int d, uint32_t size, uint32_t nxt, int64_t ts_ns) noexcept nogil:
    """Give the stream an empty buffer whose next octet is `nxt`; the oldest of others are squeezed out for it."""
    cdef tap_stream *s = &flow.stream[d]
    cdef tap_buffer *b = tap_take(t, size)
    if b == NULL:
        return False
    reass_init(&b.r, b.r.buf, tap_limits[size], nxt)
    tap_marks_begin(&b.marks)
    b.covered = False
    b.since_ns = ts_ns
    b.flow = flow
    b.direction = d
    b.newer = NULL
    b.older = t.newest
    if t.newest != NULL:
        t.newest.newer = b
    else:
        t.oldest = b
    t.newest = b
    s.wait = b
    return True


cdef inline uint64_t tap_memory(uint32_t size) noexcept nogil:
    return reass_memory(tap_limits[size]) + sizeof(tap_buffer)


cdef tap_buffer *tap_take(tap *t, uint32_t size) noexcept nogil:
    """A buffer of a class from the spare ones or from the system. NULL only where the system has no memory."""
    cdef tap_buffer *b = t.spare[size]
    cdef uint64_t octets = tap_memory(size)
    if b != NULL:
        t.spare[size] = b.newer
        return b
    while t.memory + octets > t.max_memory and tap_squeeze(t):
        pass
    b = <tap_buffer *>malloc(sizeof(tap_buffer))
    if b == NULL:
        return NULL
    b.r.buf = <uint8_t *>calloc(reass_memory(tap_limits[size]), 1)     # pages are touched when text lies in them
    if b.r.buf == NULL:
        free(b)
        return NULL
    b.size = size
    t.memory += octets
    return b


cdef bint tap_squeeze(tap *t) noexcept nogil:
    """Free some buffer: a spare one, else the oldest, whose stream loses what it waited for."""
    cdef tap_buffer *b
    cdef int i
    for i in range(TAP_SIZES - 1, -1, -1):
        b = t.spare[i]
        if b != NULL:
            t.spare[i] = b.newer
            t.memory -= tap_memory(b.size)
            free(b.r.buf)
            free(b)
            return True
    if t.oldest == NULL:
        return False
    t.stats.squeezed += 1
    tap_drain(t, t.oldest.flow, t.oldest.direction)
    return True


cdef bint tap_grow(tap *t, tap_stream *s) noexcept nogil:
    """Move what waits into a buffer of the next class."""
    cdef tap_buffer *b = s.wait
    cdef tap_buffer *larger
    cdef uint8_t *was = b.r.buf
    cdef uint32_t n, size = b.size
    larger = tap_take(t, size + 1)
    if larger == NULL:
        return False
    if s.wait != b:
        # Squeezed out itself while room was made. The new one has no other use than to be spare.
        larger.newer = t.spare[size + 1]
        t.spare[size + 1] = larger
        return False
    n = b.r.held
    if b.r.count:
        n += b.r.ranges[b.r.count - 1].end - b.r.nxt
    memcpy(larger.r.buf, was + b.r.head, n)
    b.r.buf = larger.r.buf
    b.r.head = 0
    b.r.limit = tap_limits[size + 1]
    b.size = size + 1
    larger.r.buf = was
    larger.size = size
    larger.newer = t.spare[size]
    t.spare[size] = larger
    return True


cdef void tap_release(tap *t, tap_stream *s) noexcept nogil:
    """Nothing waits any more: the buffer is spare."""
    cdef tap_buffer *b = s.wait
    t.stats.conflicting += b.r.conflicting
    if b.older != NULL:
        b.older.newer = b.newer
    else:
        t.oldest = b.newer
    if b.newer != NULL:
        b.newer.older = b.older
    else:
        t.newest = b.older
    b.newer = t.spare[b.size]
    t.spare[b.size] = b
    s.wait = NULL


cdef void tap_drain(tap *t, tap_flow *flow, int d) noexcept nogil:
    """Pass everything up that waits in a stream, holes or not."""
    cdef tap_stream *s = &flow.stream[d]
    while s.wait != NULL and s.wait.r.count:
        tap_give_up(t, flow, d)
    if s.wait != NULL:
        tap_deliver(t, flow, d, True)
    if s.wait != NULL:
        tap_release(t, s)
