"""What silence means: the tail loss probe, the reordering timer, the retransmission timeout. And a path that became smaller.

RFC 8985 sections 6.3 and 7, RFC 5827, RFC 6298 section 5, RFC 1191. Loss is marked on the records of what is in flight and
tcp_output sends again what is marked, as in tcp_recovery, which says what acknowledgements mean.
"""
from libc.stdint cimport uint32_t, uint64_t

from .neighbor cimport NEIGHBOR_STATIC, neighbor, neighbor_find
from .netif cimport netif
from .tcb cimport *
from .tcp_output cimport tcp_flight_size, tcp_output, tcp_retransmit, tcp_send_new
from .tcp_recovery cimport tcp_enter_recovery, tcp_half, tcp_limit_sacked, tcp_mark_lost, tcp_rack_detect
from .tcp_segment cimport tcp_text_room
from .tcp_table cimport tcp_predict
from .timer cimport NEVER, timer_by

cdef enum:
    R1 = 3                              # SHLD-10


cdef void tcp_timeout_probe(tcb *c, uint64_t now_ns) noexcept nogil:
    """Two round trips without a word: send new text, or the last segment again, to hear what is missing."""
    cdef uint32_t n, room = tcp_text_room(c), i
    c.pto_at_ns = NEVER
    if c.snd_una == c.snd_nxt or c.recovery != TCP_RECOVERY_NONE or c.sent_head == c.sent_tail:
        return
    c.probes += 1
    n = c.snd_end - c.snd_nxt
    if n > room:
        n = room
    c.tlp_again = 0
    if not c.fin_sent and n and c.snd_nxt + n - c.snd_una <= c.snd_wnd:
        if not tcp_send_new(c, n, TCP_TX_TAIL_PROBE, now_ns):
            return
    else:
        i = c.sent_tail - 1 if c.sack_ok else c.sent_head
        c.tlp_again = 1
        if not tcp_retransmit(c, i, TCP_TX_TAIL_PROBE, now_ns):
            return
    c.tlp_out = 1
    c.pto_at_ns = NEVER                             # new text armed it again; there is one probe at a time (section 7.3)
    c.tlp_end_seq = c.snd_nxt
    c.rto_at_ns = now_ns + c.rto_ns
    timer_by(&c.table.wheel, &c.wake, c.rto_at_ns)
    tcp_predict(c)


cdef void tcp_timeout_reorder(tcb *c, uint64_t now_ns) noexcept nogil:
    """RFC 8985 section 6.3, RFC 5827: what was merely late is now lost."""
    cdef bint found = False
    if c.sack_ok:
        found = tcp_rack_detect(c, now_ns)
    elif c.recovery == TCP_RECOVERY_NONE and not c.tlp_out and c.sent_head != c.sent_tail:
        tcp_mark_lost(c, &c.sent[c.sent_head & c.sent_mask], TCP_TX_FAST_RETRANSMIT)
        tcp_limit_sacked(c)
        found = True
    if found:
        if c.recovery == TCP_RECOVERY_NONE:
            tcp_enter_recovery(c, now_ns)
        tcp_output(c, now_ns)
    tcp_predict(c)


cdef void tcp_timeout_rto(tcb *c, uint64_t now_ns) noexcept nogil:
    """RFC 6298 (5.4) to (5.6), RFC 5681 section 3.1: everything out is deemed lost, the oldest goes again, the timer backs off."""
    cdef uint32_t i, flight = tcp_flight_size(c)
    cdef tcp_sent *s
    cdef bint reneged
    if c.sent_head == c.sent_tail:
        c.rto_at_ns = NEVER
        return
    c.timeouts += 1
    if c.opt.congestion != TCP_CC_NONE:
        if c.backoff == 0:
            c.ssthresh = tcp_half(c, flight)
        c.cwnd = c.snd_mss
        c.cwnd_acked = 0
    c.backoff += 1
    if c.backoff == R1:
        tcp_advise(c, now_ns)
    c.rto_ns = 2 * c.rto_ns if 2 * c.rto_ns < c.opt.rto_max_ns else c.opt.rto_max_ns
    c.recovery = TCP_RECOVERY_LOSS
    c.recover = c.snd_nxt
    c.dup_acks = 0
    c.tlp_out = 0
    c.pto_at_ns = c.reo_at_ns = NEVER
    # RFC 2018 section 8: a receiver that lets SND.UNA stand there SACKed has changed its mind about all of it
    reneged = c.sent[c.sent_head & c.sent_mask].flags & TCP_SENT_SACKED
    c.sacked_octets = c.lost_octets = c.again_octets = 0
    i = c.sent_head
    while i != c.sent_tail:
        s = &c.sent[i & c.sent_mask]
        i += 1
        if s.flags & TCP_SENT_SACKED and not reneged:
            c.sacked_octets += s.end - s.seq
            continue
        s.flags = (s.flags & TCP_SENT_RETRANS) | TCP_SENT_LOST
        s.reason = TCP_TX_TIMEOUT_RETRANSMIT
        c.lost_octets += s.end - s.seq
    c.rto_at_ns = now_ns + c.rto_ns
    timer_by(&c.table.wheel, &c.wake, c.rto_at_ns)
    tcp_predict(c)
    tcp_output(c, now_ns)


cdef void tcp_advise(tcb *c, uint64_t now_ns) noexcept nogil:
    """MUST-20, R1: tell IP that this way may be dead. Its answer is to ask for the next hop's address again."""
    cdef netif *nif = c.table.nif
    cdef uint32_t hop = c.remote_addr if ((c.remote_addr ^ nif.addr) & nif.mask) == 0 else nif.gateway
    cdef neighbor *nb = neighbor_find(&nif.neighbors, hop, now_ns)
    if nb != NULL and nb.state != NEIGHBOR_STATIC:
        nb.refresh_ns = now_ns


cdef void tcp_smaller_mss(tcb *c, uint32_t mss, uint64_t now_ns) noexcept nogil:
    """RFC 1191 section 6.4: segments cannot have passed; send them again, smaller, without blaming congestion."""
    cdef uint32_t i = c.sent_head, room
    cdef tcp_sent *s
    cdef bint fin
    c.pmtu_mss = mss
    c.snd_mss = mss
    room = tcp_text_room(c)
    while i != c.sent_tail:
        s = &c.sent[i & c.sent_mask]
        i += 1
        fin = c.fin_sent and s.end == c.snd_end + 1
        if s.end - s.seq - fin > room and not s.flags & TCP_SENT_SACKED:
            tcp_mark_lost(c, s, TCP_TX_PMTU_RETRANSMIT)
    if not c.sack_ok:
        tcp_limit_sacked(c)
    if c.lost_octets and c.recovery == TCP_RECOVERY_NONE:
        c.recovery = TCP_RECOVERY_LOSS
        c.recover = c.snd_nxt
    tcp_predict(c)
    tcp_output(c, now_ns)
