"""Text goes up: in order, in place where it can, through the reassembler where it cannot; then the peer's FIN.

RFC 9293 section 3.10.7.4, sixth to eighth, and section 3.8.6.3 for when text is acknowledged. Each upcall may do anything
to the connection, so state is settled before it and read again after it.
"""
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from .reassembly cimport reass, reass_append, reass_block, reass_consume, reass_insert, reass_next, reass_skip
from .seqnum cimport seq_gt, seq_lt, seq_min
from .tcb cimport *
from .tcp_output cimport tcp_output, tcp_send_room
from .tcp_segment cimport tcp_answer_stray, tcp_send_ack, tcp_send_rst
from .tcp_table cimport tcp_ack_later, tcp_end, tcp_ready_later, tcp_set_state, tcp_tell
from .timer cimport NEVER, timer_by
from .wire.octets cimport likely, unlikely
from .wire.tcp cimport TCP_FIN, tcp_seg
from .wire.trace cimport TRACE_TCP, trace_mark

cdef enum:
    TS_OCTETS = 12                                  # the timestamps option with its padding


cdef inline void tcp_note_text(tcb *c, uint32_t n, uint64_t now_ns) noexcept nogil:
    """In-order text has come: an acknowledgement is owed, by the connection's policy."""
    c.octets_in += n
    if c.opt.ack_policy == TCP_ACK_IMMEDIATE:
        tcp_ack_later(c)
        return
    if c.opt.ack_policy == TCP_ACK_SECOND:
        if n + (TS_OCTETS if c.ts_ok else 0) >= c.snd_mss:
            c.unacked_full += 1
        # RFC 9293 section 3.8.6.3: every second full-sized segment, or 2 RMSS octets of smaller ones
        if c.unacked_full >= 2 or c.rcv_nxt - c.last_ack_sent >= 2 * c.snd_mss:
            tcp_ack_later(c)
            return
    elif c.rcv_nxt - c.last_ack_sent >= c.rcv_buf >> 1:
        tcp_ack_later(c)                            # the peer is not to wait for us at the end of its window
        return
    if c.ack_at_ns == NEVER:
        c.ack_at_ns = now_ns + c.opt.ack_delay_ns
        timer_by(&c.table.wheel, &c.wake, c.ack_at_ns)


cdef void tcp_take_text(tcb *c, const uint8_t *p, uint32_t n, uint64_t now_ns) noexcept nogil:
    """n octets that are next in order, with no hole behind them: up in place if nothing waits before them.

    RCV.NXT and the owed ACK are settled before the upcall, which may do anything; what it leaves is kept.
    """
    cdef reass *r = c.rcv
    cdef uint32_t used
    c.rcv_nxt += n
    tcp_note_text(c, n, now_ns)
    if likely(r.held == 0 and r.count == 0 and n >= c.rcv_need and c.sink.on_text != NULL and not c.closed_by_user):
        trace_mark(c.table.nif.trace, TRACE_TCP)
        c.in_upcall += 1
        used = c.sink.on_text(c.sink.ctx, c, p, n, now_ns)
        c.in_upcall -= 1
        reass_skip(r, used)
        if likely(used == n):
            return
        reass_append(r, p + used, n - used)
        if c.closed_by_user or c.state == TCP_CLOSED:
            tcp_discard(c)
        elif c.rcv_need <= n - used:
            tcp_ready_later(c)
        return
    reass_append(r, p, n)
    tcp_pass_up(c, now_ns)


cdef void tcp_discard(tcb *c) noexcept nogil:
    """Text nobody wants any more, the connection having been closed by its user."""
    c.table.counters.discarded_octets += c.rcv.held
    reass_consume(c.rcv, c.rcv.held)


cdef void tcp_pass_up(tcb *c, uint64_t now_ns) noexcept nogil:
    """What waits in order goes up, if it is as much as is wanted; then the end of the stream, if that is next."""
    cdef const uint8_t *p
    cdef uint32_t n, used, need
    if c.closed_by_user or c.state == TCP_CLOSED:
        tcp_discard(c)
    n = reass_next(c.rcv, &p)
    need = c.rcv_need if c.rcv_need < c.rcv_buf else c.rcv_buf      # a full buffer is shown whatever is asked
    if n and n >= need and c.sink.on_text != NULL:
        trace_mark(c.table.nif.trace, TRACE_TCP)
        c.in_upcall += 1
        used = c.sink.on_text(c.sink.ctx, c, p, n, now_ns)
        c.in_upcall -= 1
        if unlikely(used > c.rcv.held):
            used = c.rcv.held                       # the upcall has taken some of it by tcp_recv
        reass_consume(c.rcv, used)
        n = c.rcv.held
        if c.closed_by_user or c.state == TCP_CLOSED:
            tcp_discard(c)
        elif n and c.rcv_need <= n:
            tcp_ready_later(c)
            return
    if c.eof_due and c.state != TCP_CLOSED:
        c.eof_due = 0
        tcp_tell(c, TCP_EV_PEER_CLOSED, now_ns)


cdef int tcp_text_and_fin(tcb *c, tcp_seg *seg, uint64_t now_ns) noexcept nogil:
    """Seventh and eighth: text into the stream at its place, the peer's FIN when everything before it is there."""
    cdef uint32_t seq = seg.seq, n = seg.text_len, edge
    cdef const uint8_t *p = seg.text
    cdef bint fin = seg.flags & TCP_FIN != 0
    cdef reass *r = c.rcv
    cdef int verdict = TCP_RX_ACCEPTED
    if c.state != TCP_ESTABLISHED and c.state != TCP_FIN_WAIT_1 and c.state != TCP_FIN_WAIT_2:
        # The peer's FIN is in: nothing may follow it, so a number beyond it lies outside the window, whatever window was
        # offered. A FIN again is answered by unacceptable; text is ignored
        if fin and c.state == TCP_TIME_WAIT:
            c.wait_at_ns = now_ns + c.opt.time_wait_ns
        if n or fin:
            c.ack_pending = 2
        elif seq != c.rcv_nxt:
            tcp_answer_stray(c, now_ns)
        return TCP_RX_ACCEPTED if seq == c.rcv_nxt else TCP_RX_OUTSIDE_WINDOW
    if n and c.closed_by_user and seq_gt(seq + n, c.rcv_nxt):
        # Section 3.6.1: nobody will ever read it, and the peer should know
        c.table.counters.discarded_octets += n
        tcp_send_rst(c, now_ns)
        tcp_end(c, 0, now_ns)
        return TCP_RX_AFTER_CLOSE
    edge = c.rcv_adv
    if c.fin_seen and seq_lt(c.fin_seq, edge):
        edge = c.fin_seq                            # nothing lies beyond a FIN already seen
    if n and seq_gt(seq + n, edge):
        # the part beyond the window, and a FIN behind it, come again
        n = edge - seq if seq_lt(seq, edge) else 0
        fin = False
        c.ack_pending = 2
    if fin and not c.fin_seen:
        c.fin_seen = 1
        c.fin_seq = seq + n
    if n:
        if seq == c.rcv_nxt and r.count == 0:
            tcp_take_text(c, p, n, now_ns)
        else:
            verdict = tcp_text_elsewhere(c, seq, p, n, now_ns)
        if c.state == TCP_CLOSED:
            return verdict
    elif fin and seq != c.rcv_nxt:
        c.ack_pending = 2
        verdict = TCP_RX_OUT_OF_ORDER
    if c.fin_seen and c.rcv_nxt == c.fin_seq and c.state <= TCP_FIN_WAIT_2:
        tcp_fin_arrives(c, now_ns)
    return verdict


cdef int tcp_text_elsewhere(tcb *c, uint32_t seq, const uint8_t *p, uint32_t n, uint64_t now_ns) noexcept nogil:
    """Text that is early, or partly old, or fills a hole: through the reassembler; acknowledged at once (RFC 5681 4.2)."""
    cdef reass *r = c.rcv
    cdef uint64_t duplicate = r.duplicate, refused = r.refused, conflicting = r.conflicting
    cdef uint32_t gained, end = seq + n, twice_seq = 0, twice_end = 0
    if not c.sack_ok and seq_gt(seq, c.rcv_nxt) and (c.ack_pending or c.ack_at_ns != NEVER):
        tcp_send_ack(c, TCP_TX_ACK, now_ns)         # or the first duplicate ACK would not be one, and the sender counts three
    if c.sack_ok:
        tcp_find_twice(r, seq, end, &twice_seq, &twice_end)
    gained = reass_insert(r, seq, p, n)
    c.ack_pending = 2
    c.table.counters.conflicting_octets += r.conflicting - conflicting
    if r.duplicate != duplicate:
        c.duplicates_in += 1
        if seq_lt(seq, c.rcv_nxt):
            tcp_note_twice(c, seq, seq_min(end, c.rcv_nxt))
        elif twice_seq != twice_end:
            tcp_note_twice(c, twice_seq, twice_end)
    if gained:
        c.rcv_nxt = r.nxt
        c.octets_in += gained
        tcp_pass_up(c, now_ns)
        return TCP_RX_ACCEPTED
    if r.duplicate - duplicate == n:
        return TCP_RX_DUPLICATE
    if r.refused - refused == n:
        return TCP_RX_REASSEMBLY_FULL
    c.out_of_order_in += 1
    return TCP_RX_OUT_OF_ORDER


cdef inline void tcp_find_twice(reass *r, uint32_t seq, uint32_t end, uint32_t *left, uint32_t *right) noexcept nogil:
    """The first octets of seq..end that wait already: left == right if there are none (RFC 2883 section 4 (2))."""
    cdef uint32_t i = 0, a, b
    while reass_block(r, i, &a, &b):
        i += 1
        a = seq if seq_lt(a, seq) else a
        b = seq_min(b, end)
        if seq_lt(a, b) and (left[0] == right[0] or seq_lt(a, left[0])):
            left[0] = a
            right[0] = b


cdef void tcp_note_twice(tcb *c, uint32_t seq, uint32_t end) noexcept nogil:
    if c.sack_ok:
        c.dsack_due = 1
        c.dsack_seq = seq
        c.dsack_end = end


cdef void tcp_fin_arrives(tcb *c, uint64_t now_ns) noexcept nogil:
    """Eighth: the peer sends no more; all text before its FIN has been taken."""
    c.rcv_nxt += 1
    if seq_lt(c.rcv_adv, c.rcv_nxt):
        c.rcv_adv = c.rcv_nxt                       # a FIN may come when the window is closed by the last octet
    c.ack_pending = 2
    if c.state == TCP_ESTABLISHED:
        tcp_set_state(c, TCP_CLOSE_WAIT)
    elif c.state == TCP_FIN_WAIT_1:
        # Had this segment acknowledged our FIN, we would be in FIN-WAIT-2: both sides closed at once.
        tcp_set_state(c, TCP_CLOSING)
    elif c.state == TCP_FIN_WAIT_2:
        tcp_time_wait(c, now_ns)
    c.eof_due = 1
    tcp_pass_up(c, now_ns)


cdef void tcp_time_wait(tcb *c, uint64_t now_ns) noexcept nogil:
    """Both FINs are acknowledged and ours came first: the 4-tuple rests for 2 MSL (MUST-13)."""
    tcp_set_state(c, TCP_TIME_WAIT)
    c.rto_at_ns = c.pto_at_ns = c.reo_at_ns = c.keep_at_ns = c.user_at_ns = NEVER
    c.wait_at_ns = now_ns + c.opt.time_wait_ns
    timer_by(&c.table.wheel, &c.wake, c.wait_at_ns)


cdef void tcp_urgent_arrives(tcb *c, const tcp_seg *seg, uint64_t now_ns) noexcept nogil:
    """Sixth: RCV.UP moves, the user is told, the text stays in line (RFC 6093 sections 3 and 6)."""
    cdef uint32_t up = seg.seq + seg.up
    if c.state > TCP_FIN_WAIT_2:
        return
    if not c.urgent_in or seq_gt(up, c.rcv_up):
        c.rcv_up = up
        c.urgent_in = seq_gt(up, c.rcv_nxt)
        tcp_tell(c, TCP_EV_URGENT, now_ns)


cdef void tcp_after_ack(tcb *c, uint64_t now_ns) noexcept nogil:
    """Acknowledged text has made room: for segments that waited, and for the user."""
    tcp_output(c, now_ns)
    if c.probe_out and c.snd_una == c.snd_nxt and c.snd_end == c.snd_nxt and not (c.fin_queued and not c.fin_sent):
        c.probe_out = 0
        c.rto_at_ns = NEVER
    if c.want_writable and tcp_send_room(c) >= c.snd_buf >> 2:
        c.want_writable = 0
        tcp_tell(c, TCP_EV_WRITABLE, now_ns)
