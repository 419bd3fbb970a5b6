"""What is sent, and when: the send ring, windows, retransmission.

RFC 9293 sections 3.7.4, 3.8.3, 3.8.6. What an acknowledgement or a timer asks for is decided in tcp_recovery, the segment is
built by tcp_segment. There is no Nagle algorithm and no timer on the way of new text: what the windows allow leaves before
tcp_send returns.
"""
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

from .seqnum cimport seq_gt
from .tcb cimport *
from .tcp_segment cimport tcp_emit_segment, tcp_text_room
from .tcp_table cimport tcp_retry_later
from .timer cimport NEVER, timer_by
from .wire.octets cimport likely, unlikely
from .wire.tcp cimport *

cdef enum:
    PERSIST_MIN_NS = 5000000            # an unanswered window probe is repeated after the RTO, at least this


# -- new text

cdef inline void tcp_record(tcb *c, uint32_t seq, uint32_t end, int reason, uint64_t now_ns) noexcept nogil:
    """Remember when seq..end left. With no record free the last one grows: times get coarser, nothing else changes."""
    cdef tcp_sent *s
    if unlikely(c.sent_tail - c.sent_head > c.sent_mask):
        s = &c.sent[(c.sent_tail - 1) & c.sent_mask]
        s.end = end
        s.xmit_ns = now_ns
        if s.flags & TCP_SENT_SACKED:               # not all of it any more
            s.flags &= ~TCP_SENT_SACKED
            c.sacked_octets -= seq - s.seq
        elif s.flags & TCP_SENT_LOST:
            c.lost_octets += end - seq
            if s.flags & TCP_SENT_IN_FLIGHT_AGAIN:
                c.again_octets += end - seq
        return
    s = &c.sent[c.sent_tail & c.sent_mask]
    c.sent_tail += 1
    s.seq = seq
    s.end = end
    s.xmit_ns = now_ns
    s.flags = 0
    s.reason = <uint8_t>reason


cdef inline void tcp_arm(tcb *c, uint64_t now_ns) noexcept nogil:
    """RFC 6298 (5.1) and the tail loss probe (RFC 8985 section 7.2): new text has left."""
    cdef uint64_t pto
    if c.rto_at_ns == NEVER or c.probe_out:
        c.rto_at_ns = now_ns + c.rto_ns
        c.probe_out = 0
        if c.opt.user_timeout_ns and c.user_at_ns == NEVER:
            c.user_at_ns = now_ns + c.opt.user_timeout_ns
    if c.srtt_ns and c.opt.tail_probe and not c.tlp_out and c.recovery == TCP_RECOVERY_NONE and (c.sacked_octets == 0 or not c.sack_ok):
        pto = 2 * c.srtt_ns
        if c.sent_tail - c.sent_head == 1:
            pto += c.max_ack_delay_ns
        pto += now_ns
        c.pto_at_ns = pto if pto < c.rto_at_ns else c.rto_at_ns
        timer_by(&c.table.wheel, &c.wake, c.pto_at_ns)
    else:
        timer_by(&c.table.wheel, &c.wake, c.rto_at_ns)


cdef inline bint tcp_new_sent(tcb *c, uint32_t n, bint fin, int reason, uint64_t now_ns) noexcept nogil:
    tcp_record(c, c.snd_nxt, c.snd_nxt + n + fin, reason, now_ns)
    c.snd_nxt += n + fin
    if fin:
        c.fin_sent = 1
    tcp_arm(c, now_ns)
    return True


cdef bint tcp_send_new(tcb *c, uint32_t n, int reason, uint64_t now_ns) noexcept nogil:
    """The next n octets of the ring, with FIN if they are the last and it is time. False: refused below, tried again."""
    cdef uint32_t flags = TCP_ACK
    cdef bint fin = c.fin_queued and c.snd_nxt + n == c.snd_end and not c.fin_sent
    if n and c.snd_nxt + n == c.snd_end:
        flags |= TCP_PSH                            # MUST-61: the last of what was queued
    if fin:
        flags |= TCP_FIN
        if n == 0 and reason == TCP_TX_TEXT:
            reason = TCP_TX_FIN
    if c.urgent_out and seq_gt(c.snd_up, c.snd_nxt):
        flags |= TCP_URG
    if unlikely(not tcp_emit_segment(c, c.snd_nxt, flags, NULL, n, reason, now_ns)):
        c.refused |= TCP_RETRY_OUTPUT
        tcp_retry_later(c)
        return False
    return tcp_new_sent(c, n, fin, reason, now_ns)


cdef void tcp_split(tcb *c, uint32_t i, uint32_t at) noexcept nogil:
    """Record i becomes two, of what lies before `at` and behind; nothing happens while no record is free."""
    cdef uint32_t k = c.sent_tail
    if k - c.sent_head > c.sent_mask:
        return
    while k != i:
        c.sent[k & c.sent_mask] = c.sent[(k - 1) & c.sent_mask]
        k -= 1
    c.sent_tail += 1
    c.sent[i & c.sent_mask].end = at
    c.sent[(i + 1) & c.sent_mask].seq = at


cdef bint tcp_retransmit(tcb *c, uint32_t i, int reason, uint64_t now_ns) noexcept nogil:
    """What record i stands for, again; if that is more than a segment holds now, the first part becomes a record of its own.

    False: refused below, tried again.
    """
    cdef tcp_sent *s = &c.sent[i & c.sent_mask]
    cdef uint32_t seq = s.seq, n, flags, room = tcp_text_room(c)
    cdef bint fin = c.fin_sent and s.end == c.snd_end + 1
    if s.end - seq - fin > room:
        tcp_split(c, i, seq + room)
    while seq != s.end:                             # once, or for all parts of a record that could not be split
        fin = c.fin_sent and s.end == c.snd_end + 1
        n = s.end - seq - fin
        flags = TCP_ACK
        if n > room:
            n = room
            fin = False
        if fin:
            flags |= TCP_FIN
        if n and seq + n == c.snd_end:
            flags |= TCP_PSH
        if c.urgent_out and seq_gt(c.snd_up, seq):
            flags |= TCP_URG
        if not tcp_emit_segment(c, seq, flags, NULL, n, reason, now_ns):
            c.refused |= TCP_RETRY_OUTPUT
            tcp_retry_later(c)
            return False
        c.retransmitted += 1
        c.retransmitted_octets += n
        seq += n + fin
    s.xmit_ns = now_ns
    s.flags |= TCP_SENT_RETRANS
    if s.flags & TCP_SENT_LOST and not s.flags & TCP_SENT_IN_FLIGHT_AGAIN:
        s.flags |= TCP_SENT_IN_FLIGHT_AGAIN
        c.again_octets += s.end - s.seq
    return True


cdef bint tcp_output_lost(tcb *c, uint64_t now_ns) noexcept nogil:
    """Send again what is deemed lost, oldest first, while the pipe has room. False: stopped before the end."""
    cdef uint32_t i = c.sent_head
    cdef tcp_sent *s
    cdef int reason
    while i != c.sent_tail and c.lost_octets > c.again_octets:
        s = &c.sent[i & c.sent_mask]
        i += 1
        if (s.flags & (TCP_SENT_LOST | TCP_SENT_IN_FLIGHT_AGAIN)) != TCP_SENT_LOST:
            continue
        # RFC 6675 section 5 (4.3): the first one goes whatever the pipe says
        if tcp_pipe(c) + (s.end - s.seq) > c.cwnd and tcp_pipe(c) and c.again_octets:
            return False
        reason = s.reason if s.reason != TCP_TX_TEXT else TCP_TX_FAST_RETRANSMIT
        if not tcp_retransmit(c, i - 1, reason, now_ns):
            return False
        if c.rto_at_ns == NEVER:
            c.rto_at_ns = now_ns + c.rto_ns
            timer_by(&c.table.wheel, &c.wake, c.rto_at_ns)
    return True


cdef void tcp_output(tcb *c, uint64_t now_ns) noexcept nogil:
    """Everything the windows allow: first what is lost, then new text, then FIN.

    RFC 9293 section 3.8.6.2.1 decides about small segments, without its Nagle clause: all that is queued goes if it
    fits, whole segments go, and a part only if it is half the largest window the peer ever offered.
    """
    cdef uint32_t queued, room, n, pipe
    cdef int32_t usable
    cdef bint fin
    if c.state < TCP_ESTABLISHED or c.state == TCP_TIME_WAIT:
        return
    if c.lost_octets > c.again_octets and not tcp_output_lost(c, now_ns):
        return
    room = tcp_text_room(c)
    while not c.fin_sent:
        queued = c.snd_end - c.snd_nxt
        fin = c.fin_queued
        if queued == 0 and not fin:
            return
        usable = <int32_t>(c.snd_una + c.snd_wnd - c.snd_nxt)
        n = queued if queued < room else room
        if usable <= 0:
            break
        if n > <uint32_t>usable:
            if usable * 2 < <int64_t>c.max_snd_wnd:
                break
            n = usable
        pipe = tcp_pipe(c)
        # Limited transmit (RFC 3042) needs nothing of its own: each duplicate ACK has taken a segment out of the pipe
        if pipe + n > c.cwnd and pipe:
            return                                  # acknowledgements will call again
        if not tcp_send_new(c, n, TCP_TX_TEXT, now_ns):
            return
    if not c.fin_sent and c.snd_una == c.snd_nxt and (not c.probe_out or c.rto_at_ns == NEVER):
        # Nothing in flight will bring an ACK with a new window: ask for it (MUST-36, 3.8.6.1). While that goes on, the timer
        # stands still only if the octet of the last probe was just acknowledged
        c.probe_out = 1
        c.backoff = 0
        c.rto_at_ns = now_ns + tcp_persist_ns(c)
        timer_by(&c.table.wheel, &c.wake, c.rto_at_ns)


cdef uint64_t tcp_persist_ns(const tcb *c) noexcept nogil:
    """Until the next window probe: the RTO, doubled with each (SHLD-29, SHLD-30), at most rto_max."""
    cdef uint64_t wait = c.rto_ns if c.rto_ns > PERSIST_MIN_NS else PERSIST_MIN_NS
    wait <<= c.backoff if c.backoff < 16 else 16
    return wait if wait < c.opt.rto_max_ns else c.opt.rto_max_ns


# -- the user's side

cdef uint32_t tcp_send_room(const tcb *c) noexcept nogil:
    """Octets tcp_send_commit would take now; 0 where nothing can be sent any more."""
    if c.fin_queued or not (TCP_SYN_SENT <= c.state <= TCP_ESTABLISHED or c.state == TCP_CLOSE_WAIT):
        return 0
    return c.snd_buf - (c.snd_end - c.snd_una) if c.snd_end - c.snd_una < c.snd_buf else 0


cdef inline void tcp_ring_put(tcb *c, const uint8_t *p, uint32_t n) noexcept nogil:
    """n octets behind SND.END, in two pieces at the ring's end."""
    cdef uint32_t at = c.snd_end & c.ring_mask, cut = c.ring_mask + 1 - at
    if likely(cut >= n):
        memcpy(c.ring + at, p, n)
    else:
        memcpy(c.ring + at, p, cut)
        memcpy(c.ring, p + cut, n - cut)
    c.snd_end += n


cdef bint tcp_send_commit(tcb *c, const uint8_t *p, uint32_t n, uint64_t now_ns) noexcept nogil:
    """Queue n octets, all or none, and send what the windows allow before returning.

    False: no room (counted; TCP_EV_WRITABLE follows), or not a state to send in. A piece of at most one MSS on an open
    window is in the device's queue on return: it goes straight from p to the frame, and into the ring after that.
    """
    cdef uint32_t pipe
    if unlikely(n > tcp_send_room(c) or n == 0):
        if n == 0:
            return True
        c.table.counters.send_refused += 1
        c.want_writable = 1
        return False
    pipe = c.snd_nxt - c.snd_una
    if pipe == 0 and unlikely(now_ns - c.last_tx_ns > c.rto_ns) and c.opt.congestion != TCP_CC_NONE:
        tcp_restart_window(c)
    if likely(c.predict and c.snd_nxt == c.snd_end and n <= c.snd_mss and pipe + n <= c.snd_wnd
              and (pipe + n <= c.cwnd or pipe == 0)):
        if likely(tcp_emit_segment(c, c.snd_nxt, TCP_ACK | TCP_PSH, p, n, TCP_TX_TEXT, now_ns)):
            tcp_ring_put(c, p, n)
            return tcp_new_sent(c, n, False, TCP_TX_TEXT, now_ns)
        tcp_ring_put(c, p, n)
        c.refused |= TCP_RETRY_OUTPUT
        tcp_retry_later(c)
        return True
    tcp_ring_put(c, p, n)
    tcp_output(c, now_ns)
    return True


cdef void tcp_restart_window(tcb *c) noexcept nogil:
    """After more than an RTO of silence what is known of the path is old (RFC 5681 section 4.1)."""
    cdef uint32_t initial = c.opt.initial_window * c.snd_mss
    if c.cwnd > initial and c.state >= TCP_ESTABLISHED:
        c.cwnd = initial


cdef uint32_t tcp_send(tcb *c, const uint8_t *p, uint32_t n, uint64_t now_ns) noexcept nogil:
    """As many of n octets as there is room for, from the front; less than n means TCP_EV_WRITABLE follows."""
    cdef uint32_t room = tcp_send_room(c)
    cdef uint32_t most = n if n < room else room
    if most < n:
        c.want_writable = 1
    if most == 0:
        return 0
    tcp_send_commit(c, p, most, now_ns)
    return most
