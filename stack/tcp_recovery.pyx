"""What acknowledgements mean: round trip time, congestion window, loss. What silence means is tcp_timeout's.

RFC 6298 (round trip), 5681 and 6582 (NewReno), 2018, 6675 and 2883 (SACK, DSACK), 8985 (RACK-TLP), 8257 (DCTCP). Segments
that leave because of it are sent by tcp_output. The records of what is in flight (`c.sent`) tile SND.UNA..SND.NXT; loss
is marked on them and tcp_output sends again what is marked, so one loop serves every reason.

Deviations: tail loss probes are used without SACK too, then with the oldest segment, because without SACK a second copy
of the newest says nothing about the ones before it.
"""
from libc.stdint cimport uint32_t, uint64_t

from .seqnum cimport seq_ge, seq_gt, seq_le, seq_lt
from .tcb cimport *
from .tcp_output cimport tcp_flight_size
from .tcp_segment cimport tcp_ts_now
from .tcp_table cimport tcp_predict
from .timer cimport NEVER, timer_by
from .wire.octets cimport unlikely
from .wire.tcp cimport tcp_opt

cdef enum:
    DUP_THRESH = 3
    MIN_RTT_WINDOW_S = 10               # a minimum older than this is forgotten (RFC 8985 section 6.2, step 1)
    CWND_MAX = 1 << 30
    MAX_ACK_DELAY_NS = 50000000         # how far max_ack_delay learns
    PTO_INITIAL_NS = 1000000000


# What one acknowledgement told, gathered while its records are visited.
cdef struct ack_news:
    uint32_t acked                      # octets by SEG.ACK
    uint32_t sacked                     # octets newly SACKed
    uint64_t rtt_ns                     # of the newest segment sent once, 0: none
    uint64_t second_copy_ns             # when the newest retransmission among what was acknowledged left, 0: none was
    bint reordered                      # an older segment, sent once, arrived after a newer one
    bint dsack


# -- round trip

cdef void tcp_rtt_sample(tcb *c, uint64_t rtt_ns, uint64_t now_ns) noexcept nogil:
    """RFC 6298 (2.2), (2.3) and the floor of (2.4), here per connection."""
    cdef uint64_t off
    if rtt_ns == 0:
        rtt_ns = 1
    if c.srtt_ns == 0:
        c.srtt_ns = rtt_ns
        c.rttvar_ns = rtt_ns >> 1
    else:
        off = c.srtt_ns - rtt_ns if c.srtt_ns > rtt_ns else rtt_ns - c.srtt_ns
        c.rttvar_ns += (off >> 2) - (c.rttvar_ns >> 2)
        c.srtt_ns += (rtt_ns >> 3) - (c.srtt_ns >> 3)
        if c.srtt_ns == 0:
            c.srtt_ns = 1
    tcp_rto_from_srtt(c)
    if c.min_rtt_ns == 0 or rtt_ns <= c.min_rtt_ns or now_ns - c.min_rtt_at_ns > MIN_RTT_WINDOW_S * <uint64_t>1000000000:
        c.min_rtt_ns = rtt_ns
        c.min_rtt_at_ns = now_ns


cdef inline void tcp_rto_from_srtt(tcb *c) noexcept nogil:
    cdef uint64_t off = 4 * c.rttvar_ns
    if c.srtt_ns == 0:
        return
    c.rto_ns = c.srtt_ns + (off if off > c.opt.rto_variance_ns else c.opt.rto_variance_ns)
    if c.rto_ns < c.opt.rto_min_ns:
        c.rto_ns = c.opt.rto_min_ns
    if c.rto_ns > c.opt.rto_max_ns:
        c.rto_ns = c.opt.rto_max_ns


cdef inline void tcp_restart_rto(tcb *c, uint64_t now_ns) noexcept nogil:
    """RFC 6298 (5.2), (5.3): an acknowledgement of new text restarts the timer, or stops it with nothing outstanding."""
    if c.snd_una == c.snd_nxt:
        c.rto_at_ns = NEVER
        c.pto_at_ns = NEVER
        c.user_at_ns = NEVER
        return
    c.rto_at_ns = now_ns + c.rto_ns
    if c.opt.user_timeout_ns:
        c.user_at_ns = now_ns + c.opt.user_timeout_ns
    timer_by(&c.table.wheel, &c.wake, c.rto_at_ns)


cdef void tcp_arm_probe(tcb *c, uint64_t now_ns) noexcept nogil:
    """RFC 8985 section 7.2: when, if nothing is heard, the tail is probed. Not while anything is being repaired."""
    cdef uint64_t pto
    # Without SACK `sacked_octets` is a guess from one or two duplicate ACKs, and nothing else would repair that hole
    if (c.snd_una == c.snd_nxt or c.recovery != TCP_RECOVERY_NONE or (c.sacked_octets and c.sack_ok) or c.tlp_out
            or c.rto_at_ns == NEVER or not c.opt.tail_probe):
        c.pto_at_ns = NEVER
        return
    if c.srtt_ns:
        pto = 2 * c.srtt_ns
        if c.sent_tail - c.sent_head == 1:
            pto += c.max_ack_delay_ns           # a lone segment may be waiting for a delayed ACK
    else:
        pto = PTO_INITIAL_NS
    pto += now_ns
    c.pto_at_ns = pto if pto < c.rto_at_ns else c.rto_at_ns
    timer_by(&c.table.wheel, &c.wake, c.pto_at_ns)


# -- congestion

cdef void tcp_congestion_start(tcb *c) noexcept nogil:
    """The connection is open and its MSS known: the initial window of RFC 6928, or none at all."""
    c.cwnd = CWND_MAX if c.opt.congestion == TCP_CC_NONE else c.opt.initial_window * c.snd_mss
    c.ssthresh = CWND_MAX
    c.dctcp_end = c.snd_nxt
    c.cwr_end = c.snd_una
    c.rack_fack = c.snd_una
    c.rack_dsack_round = c.snd_una


cdef inline void tcp_grow(tcb *c, uint32_t acked, uint32_t flight) noexcept nogil:
    """Slow start and congestion avoidance (RFC 5681 section 3.1), only while the window is what held us back."""
    cdef uint32_t most = c.opt.slow_start_limit * c.snd_mss
    if c.opt.congestion == TCP_CC_NONE or 2 * flight <= c.cwnd or c.cwnd >= CWND_MAX:
        return
    if c.cwnd < c.ssthresh:
        c.cwnd += acked if acked < most else most
    else:
        c.cwnd_acked += acked
        if c.cwnd_acked >= c.cwnd:
            c.cwnd_acked -= c.cwnd
            c.cwnd += c.snd_mss


cdef void tcp_enter_recovery(tcb *c, uint64_t now_ns) noexcept nogil:
    """RFC 6675 section 5 (4), RFC 6582 section 3.2 (2): one reduction for everything lost in this window."""
    c.recovery = TCP_RECOVERY_FAST
    c.recover = c.snd_nxt
    c.pto_at_ns = NEVER
    if c.opt.congestion != TCP_CC_NONE:
        c.ssthresh = tcp_half(c, tcp_flight_size(c))
        c.cwnd = c.ssthresh
        c.cwnd_acked = 0
        c.cwr_due = c.ecn_ok
    c.rto_at_ns = now_ns + c.rto_ns
    timer_by(&c.table.wheel, &c.wake, c.rto_at_ns)


cdef void tcp_leave_recovery(tcb *c) noexcept nogil:
    """Everything that was out when the loss was seen is acknowledged."""
    if c.recovery == TCP_RECOVERY_FAST and c.opt.congestion != TCP_CC_NONE:
        c.cwnd = c.ssthresh
    c.recovery = TCP_RECOVERY_NONE
    c.dup_acks = 0
    if not c.sack_ok:
        c.sacked_octets = 0
    if c.rack_persist:
        c.rack_persist -= 1
        if c.rack_persist == 0:
            c.rack_reo_mult = 1


cdef void tcp_congested(tcb *c, uint32_t ack, bint ece, uint32_t acked, uint64_t now_ns) noexcept nogil:
    """ECN-Echo: once a window, halve (RFC 3168 section 6.1.2) or, with DCTCP, cut by the share that was marked."""
    cdef uint32_t cut
    if c.opt.congestion == TCP_CC_DCTCP:
        c.dctcp_acked += acked
        if ece:
            c.dctcp_marked += acked
        if seq_ge(ack, c.dctcp_end) and c.dctcp_acked:
            # RFC 8257 section 3.3: alpha = (1 - g) alpha + g F, g = 1/16, in units of 1/1024
            c.dctcp_alpha -= c.dctcp_alpha >> 4
            c.dctcp_alpha += <uint32_t>((<uint64_t>c.dctcp_marked << 10) // c.dctcp_acked) >> 4
            if c.dctcp_alpha > 1024:
                c.dctcp_alpha = 1024
            c.dctcp_acked = c.dctcp_marked = 0
            c.dctcp_end = c.snd_nxt
    if not ece or c.opt.congestion == TCP_CC_NONE or c.recovery != TCP_RECOVERY_NONE:
        return
    if seq_lt(ack, c.cwr_end) and seq_le(c.cwr_end, c.snd_nxt):     # a mark that SND.NXT is not up to is 2 GiB old
        return
    c.cwr_end = c.snd_nxt
    c.cwr_due = 1
    if c.opt.congestion == TCP_CC_DCTCP:
        cut = <uint32_t>((<uint64_t>c.cwnd * c.dctcp_alpha) >> 11)
        c.ssthresh = c.cwnd - cut if c.cwnd - cut > 2 * c.snd_mss else 2 * c.snd_mss
    else:
        c.ssthresh = c.cwnd >> 1 if c.cwnd >> 1 > 2 * c.snd_mss else 2 * c.snd_mss
    c.cwnd = c.ssthresh


# -- RACK

cdef inline bint sent_after(uint64_t t1, uint32_t end1, uint64_t t2, uint32_t end2) noexcept nogil:
    return t1 > t2 or (t1 == t2 and seq_gt(end1, end2))


cdef inline void tcp_rack_arrived(tcb *c, const tcp_sent *s, ack_news *news, uint64_t now_ns) noexcept nogil:
    """RFC 8985 section 6.2, steps 2 and 3, for a segment just acknowledged or SACKed."""
    cdef uint64_t rtt = now_ns - s.xmit_ns
    if s.flags & TCP_SENT_RETRANS:
        # More likely the ACK of the first copy. RFC 8985 compares with the minimum only; with a long queue on the way
        # that believes ACKs of first copies, and takes the whole flight for lost again and again.
        if rtt < c.min_rtt_ns or rtt < c.srtt_ns - (c.srtt_ns >> 2):
            return
    else:
        if seq_lt(s.end, c.rack_fack):
            news.reordered = True
        news.rtt_ns = rtt if rtt else 1
    if seq_gt(s.end, c.rack_fack):
        c.rack_fack = s.end
    c.rack_rtt_ns = rtt
    if sent_after(s.xmit_ns, s.end, c.rack_xmit_ns, c.rack_end_seq):
        c.rack_xmit_ns = s.xmit_ns
        c.rack_end_seq = s.end


cdef uint64_t tcp_rack_window(tcb *c) noexcept nogil:
    """RFC 8985 section 6.2, step 4: how much later than its successors a segment may arrive before it counts as lost."""
    cdef uint64_t w
    if not c.rack_reordering:
        if c.recovery != TCP_RECOVERY_NONE or c.sacked_octets >= DUP_THRESH * c.snd_mss or tcp_sacked_many(c):
            return 0
    w = c.rack_reo_mult * (c.min_rtt_ns >> 2)
    return w if w < c.srtt_ns else c.srtt_ns


cdef bint tcp_sacked_many(const tcb *c) noexcept nogil:
    cdef uint32_t i = c.sent_head, n = 0
    while i != c.sent_tail and n < DUP_THRESH:
        n += (c.sent[i & c.sent_mask].flags & TCP_SENT_SACKED) != 0
        i += 1
    return n >= DUP_THRESH


cdef bint tcp_rack_detect(tcb *c, uint64_t now_ns) noexcept nogil:
    """RFC 8985 section 6.2, step 5: mark what was sent well before something that has arrived. True if anything was.

    Arms the reordering timer for what is late but not late enough.
    """
    cdef uint32_t i = c.sent_head
    cdef uint64_t due, wait = 0, window = tcp_rack_window(c)
    cdef tcp_sent *s
    cdef bint found = False
    c.reo_at_ns = NEVER
    while i != c.sent_tail:
        s = &c.sent[i & c.sent_mask]
        i += 1
        if s.flags & TCP_SENT_SACKED:
            continue
        if (s.flags & (TCP_SENT_LOST | TCP_SENT_IN_FLIGHT_AGAIN)) == TCP_SENT_LOST:
            continue
        if not sent_after(c.rack_xmit_ns, c.rack_end_seq, s.xmit_ns, s.end):
            continue
        due = s.xmit_ns + c.rack_rtt_ns + window
        if due <= now_ns:
            tcp_mark_lost(c, s, TCP_TX_RACK_RETRANSMIT)
            found = True
        elif due > wait:
            wait = due
    if wait:
        c.reo_at_ns = wait
        timer_by(&c.table.wheel, &c.wake, wait)
    return found


# -- the scoreboard

cdef inline void tcp_forget(tcb *c, const tcp_sent *s, uint32_t n) noexcept nogil:
    """n octets of s are acknowledged: they leave every count they are in."""
    if s.flags & TCP_SENT_SACKED:
        c.sacked_octets -= n
    elif s.flags & TCP_SENT_LOST:
        c.lost_octets -= n
        if s.flags & TCP_SENT_IN_FLIGHT_AGAIN:
            c.again_octets -= n


cdef void tcp_advance(tcb *c, uint32_t ack, ack_news *news, uint64_t now_ns) noexcept nogil:
    """SND.UNA moves to ack; the records before it go, and tell their round trip.

    A segment sent twice tells none (Karn, MUST-18), nor does one sent before that second copy was: it may have waited
    behind the hole for as long as a timeout, and this ACK was drawn by the copy.
    """
    cdef tcp_sent *s
    while c.sent_head != c.sent_tail:
        s = &c.sent[c.sent_head & c.sent_mask]
        if seq_gt(s.end, ack):
            if seq_lt(s.seq, ack):
                tcp_forget(c, s, ack - s.seq)
                s.seq = ack
                if s.flags & TCP_SENT_RETRANS and s.xmit_ns > news.second_copy_ns:
                    news.second_copy_ns = s.xmit_ns
                if s.flags & TCP_SENT_IN_FLIGHT_AGAIN:      # only its front was sent again
                    s.flags &= ~TCP_SENT_IN_FLIGHT_AGAIN
                    c.again_octets -= s.end - s.seq
            break
        if s.flags & TCP_SENT_RETRANS and s.xmit_ns > news.second_copy_ns:
            news.second_copy_ns = s.xmit_ns
        if not s.flags & TCP_SENT_SACKED:
            tcp_rack_arrived(c, s, news, now_ns)
        tcp_forget(c, s, s.end - s.seq)
        c.sent_head += 1
    if news.second_copy_ns and news.rtt_ns > now_ns - news.second_copy_ns:
        news.rtt_ns = 0
    if news.second_copy_ns and c.backoff and now_ns - news.second_copy_ns >= c.srtt_ns - (c.srtt_ns >> 2):
        # The repair worked, and not because the first copy came late after all: the timer need not stay backed off
        # (RFC 8961 section 4 (4); RFC 6298 would wait for a measurement, which heavy loss puts off for minutes)
        tcp_rto_from_srtt(c)
    news.acked = ack - c.snd_una
    c.octets_out += news.acked
    c.snd_una = ack
    c.backoff = 0


cdef void tcp_read_sack(tcb *c, const tcp_opt *opt, uint32_t ack, uint32_t una_before, ack_news *news,
                        uint64_t now_ns) noexcept nogil:
    """Mark what the blocks cover. Blocks that make no sense are passed over (they may be old, or forged)."""
    cdef uint32_t k, left, right, i
    cdef tcp_sent *s
    for k in range(opt.sack_count):
        left = opt.sack[k].left
        right = opt.sack[k].right
        if seq_ge(left, right):
            continue
        if k == 0 and (seq_lt(left, ack) or (opt.sack_count > 1 and seq_ge(left, opt.sack[1].left)
                                             and seq_le(right, opt.sack[1].right))):
            # RFC 2883 section 4: the first block reports what came twice
            if seq_le(right, c.snd_nxt) and seq_ge(left, una_before - c.max_snd_wnd):
                news.dsack = True
                c.dsacks_in += 1
                tcp_read_dsack(c, right)
            continue
        if seq_lt(left, ack) or seq_gt(right, c.snd_nxt):
            continue
        i = c.sent_head
        while i != c.sent_tail:
            s = &c.sent[i & c.sent_mask]
            i += 1
            if seq_ge(s.seq, right):
                break
            if seq_lt(s.seq, left) or seq_gt(s.end, right) or s.flags & TCP_SENT_SACKED:
                continue
            tcp_rack_arrived(c, s, news, now_ns)
            tcp_forget(c, s, s.end - s.seq)
            s.flags = (s.flags & ~(TCP_SENT_LOST | TCP_SENT_IN_FLIGHT_AGAIN)) | TCP_SENT_SACKED
            c.sacked_octets += s.end - s.seq
            news.sacked += s.end - s.seq


cdef void tcp_read_dsack(tcb *c, uint32_t right) noexcept nogil:
    """The peer got something twice: a probe was needless, or the reordering window too small."""
    if c.tlp_out and c.tlp_again and right == c.tlp_end_seq:
        # RFC 8985 section 7.4.2: nothing was lost. The peer holds its ACKs longer than we thought.
        c.tlp_out = 0
        c.table.counters.spurious_probes += 1
        c.max_ack_delay_ns = 2 * c.max_ack_delay_ns + c.srtt_ns
        if c.max_ack_delay_ns > MAX_ACK_DELAY_NS:
            c.max_ack_delay_ns = MAX_ACK_DELAY_NS
        return
    if seq_ge(c.snd_una, c.rack_dsack_round) or seq_gt(c.rack_dsack_round, c.snd_nxt):
        c.rack_dsack_round = c.snd_nxt
        if c.rack_reo_mult < 64:
            c.rack_reo_mult += 1
        c.rack_persist = 16


# -- acknowledgements

cdef void tcp_acked_predicted(tcb *c, uint32_t ack, uint64_t now_ns) noexcept nogil:
    """An ACK of new text while nothing is lost, SACKed, probed or repaired."""
    cdef uint32_t flight = c.snd_nxt - c.snd_una
    cdef tcp_sent *s
    cdef uint64_t rtt = 0
    while c.sent_head != c.sent_tail:
        s = &c.sent[c.sent_head & c.sent_mask]
        if unlikely(seq_gt(s.end, ack)):
            if seq_lt(s.seq, ack):
                s.seq = ack
            break
        rtt = now_ns - s.xmit_ns
        c.rack_xmit_ns = s.xmit_ns
        c.rack_end_seq = s.end
        c.rack_fack = s.end
        if unlikely(s.flags & TCP_SENT_RETRANS):
            rtt = 0
        elif rtt == 0:
            rtt = 1
        c.sent_head += 1
    c.octets_out += ack - c.snd_una
    tcp_grow(c, ack - c.snd_una, flight)
    c.snd_una = ack
    c.backoff = 0
    if rtt:
        c.rack_rtt_ns = rtt
        tcp_rtt_sample(c, rtt, now_ns)
    tcp_restart_rto(c, now_ns)
    if c.snd_una != c.snd_nxt:
        tcp_arm_probe(c, now_ns)


cdef void tcp_acked(tcb *c, uint32_t ack, const tcp_opt *opt, bint bare, bint ece, uint64_t now_ns) noexcept nogil:
    """Everything an acceptable ACK can mean; the caller sends what it allows (tcp_output)."""
    cdef ack_news news
    cdef uint32_t before = c.snd_una, flight = c.snd_nxt - c.snd_una, known = c.sacked_octets
    cdef bint forward = seq_gt(ack, c.snd_una), found = False
    news.acked = news.sacked = 0
    news.rtt_ns = news.second_copy_ns = 0
    news.reordered = news.dsack = False
    if forward:
        tcp_advance(c, ack, &news, now_ns)
    if c.sack_ok and opt.sack_count:
        tcp_read_sack(c, opt, ack, before, &news, now_ns)
    if news.reordered:
        c.rack_reordering = 1
    if news.rtt_ns:
        tcp_rtt_sample(c, news.rtt_ns, now_ns)
    elif news.second_copy_ns and c.ts_ok and opt.has_timestamps:
        tcp_rtt_from_timestamp(c, opt.tsecr, news.second_copy_ns, now_ns)
    tcp_tail_answered(c, ack, forward, bare, now_ns)
    if c.ecn_ok:
        tcp_congested(c, ack, ece, news.acked, now_ns)

    if c.sack_ok:
        if bare and not forward and flight and not news.dsack:
            c.dup_acks += 1
        elif forward:
            c.dup_acks = 0
        if c.sacked_octets or c.recovery != TCP_RECOVERY_NONE:
            found = tcp_rack_detect(c, now_ns)
        elif forward:
            c.reo_at_ns = NEVER
    elif forward and c.tlp_out and c.tlp_again and tcp_probe_filled_a_hole(c, &news, now_ns):
        found = True
    else:
        found = tcp_count_duplicates(c, ack, forward, bare and flight != 0, &news, now_ns)
    if found and c.recovery == TCP_RECOVERY_NONE:
        tcp_enter_recovery(c, now_ns)

    if forward:
        if c.recovery == TCP_RECOVERY_FAST and seq_ge(ack, c.recover):
            tcp_leave_recovery(c)
        elif c.recovery != TCP_RECOVERY_FAST:
            if c.recovery == TCP_RECOVERY_LOSS and seq_ge(ack, c.recover):
                tcp_leave_recovery(c)               # slow start after a timeout (RFC 5681 section 3.1) goes on
            if not (ece and c.ecn_ok) and news.acked + c.sacked_octets > known:
                tcp_grow(c, news.acked + c.sacked_octets - known, flight)   # what a SACK told has counted before
        tcp_restart_rto(c, now_ns)
    if forward or news.sacked or not c.sack_ok or c.pto_at_ns == NEVER:
        tcp_arm_probe(c, now_ns)                    # what brings no news does not put the probe off (RFC 8985 section 7.2)
    tcp_predict(c)


cdef void tcp_rtt_from_timestamp(tcb *c, uint32_t tsecr, uint64_t xmit_ns, uint64_t now_ns) noexcept nogil:
    """The echoed timestamp tells which copy was acknowledged (RFC 3522); if the last one, its round trip is known.

    Never from the echo itself: the ACK of a duplicate echoes what the receiver had before (RFC 7323 section 4.3), however
    long ago that was.
    """
    if seq_ge(tsecr, tcp_ts_now(c, xmit_ns)):
        tcp_rtt_sample(c, now_ns - xmit_ns, now_ns)


cdef inline bint tcp_too_early(const tcb *c, const ack_news *news, uint64_t now_ns) noexcept nogil:
    """What was acknowledged had been sent again, but less than any round trip before: this ACK is of the first copy."""
    return news.second_copy_ns != 0 and now_ns - news.second_copy_ns < c.min_rtt_ns


cdef bint tcp_count_duplicates(tcb *c, uint32_t ack, bint forward, bint duplicate, const ack_news *news,
                               uint64_t now_ns) noexcept nogil:
    """Loss without SACK: three duplicate ACKs, then one hole a partial ACK (RFC 5681, 6582). True: something is lost.

    Each duplicate ACK says that one segment has left the network; `sacked_octets` counts them, so the pipe is right.
    """
    cdef tcp_sent *s = &c.sent[c.sent_head & c.sent_mask]
    cdef uint32_t out
    if forward:
        c.dup_acks = 0
        c.reo_at_ns = NEVER
        if c.recovery == TCP_RECOVERY_NONE:
            c.sacked_octets = 0
            return False
        out = news.acked - c.snd_mss if news.acked > c.snd_mss else 0
        c.sacked_octets -= out if out < c.sacked_octets else c.sacked_octets
        if c.recovery == TCP_RECOVERY_FAST and tcp_too_early(c, news, now_ns):
            # Not the copy's doing: the first copies come after all, one ACK after the other. Without this each of them would
            # have the next segment sent again, to the end of the flight
            tcp_leave_recovery(c)
            return False
        if c.recovery == TCP_RECOVERY_FAST and seq_lt(ack, c.recover) and c.sent_head != c.sent_tail:
            if (s.flags & TCP_SENT_LOST) == 0:
                tcp_mark_lost(c, s, TCP_TX_FAST_RETRANSMIT)     # a partial ACK: the next hole
                tcp_limit_sacked(c)
            return True
        tcp_limit_sacked(c)
        return False
    if not duplicate or c.sent_head == c.sent_tail:
        return False
    c.dup_acks += 1
    c.sacked_octets += c.snd_mss
    tcp_limit_sacked(c)
    if c.dup_acks < DUP_THRESH:
        if c.recovery == TCP_RECOVERY_NONE and not c.tlp_out and c.sent_tail - c.sent_head <= DUP_THRESH:
            # Early Retransmit (RFC 5827 section 3.2): too few follow it for a third duplicate. Its successor has arrived; it
            # gets the quarter of a round trip that RACK gives.
            c.reo_at_ns = now_ns + (c.min_rtt_ns >> 2)
            timer_by(&c.table.wheel, &c.wake, c.reo_at_ns)
        return False
    if c.recovery != TCP_RECOVERY_NONE:
        # Already under repair (RFC 6582 section 3.2 (2)); but if its second copy has had the time to arrive, that is lost too
        if not s.flags & TCP_SENT_IN_FLIGHT_AGAIN or now_ns < s.xmit_ns + c.srtt_ns + (c.srtt_ns >> 2):
            return False
        c.dup_acks = 0
    tcp_mark_lost(c, s, TCP_TX_FAST_RETRANSMIT)
    tcp_limit_sacked(c)
    return True


# -- tail loss

cdef void tcp_tail_answered(tcb *c, uint32_t ack, bint forward, bint bare, uint64_t now_ns) noexcept nogil:
    """RFC 8985 section 7.4.2: what the answer to a probe says."""
    if not c.tlp_out or seq_lt(ack, c.tlp_end_seq):
        return
    if not c.tlp_again:
        c.tlp_out = 0
        return
    if seq_gt(ack, c.tlp_end_seq) or (forward and not c.sack_ok):
        # No DSACK came: the probe filled a hole, a loss like any other. Without SACK none can come.
        c.tlp_out = 0
        if c.opt.congestion != TCP_CC_NONE and c.recovery == TCP_RECOVERY_NONE:
            c.ssthresh = c.cwnd = tcp_half(c, c.cwnd)       # what was in flight is not known any more
    elif bare and not forward:
        c.tlp_out = 0


cdef bint tcp_probe_filled_a_hole(tcb *c, const ack_news *news, uint64_t now_ns) noexcept nogil:
    """Without SACK: the answer to a probe of the oldest segment acknowledges part of what was out before the probe. The rest
    was sent as long ago and nobody has heard of it: a partial ACK (RFC 6582 section 3.2 (3)) in a recovery that begins now.

    False where the ACK came too early to be the probe's: then the first copies were only late.
    """
    if news.second_copy_ns == 0 or now_ns - news.second_copy_ns < c.srtt_ns - (c.srtt_ns >> 2):
        return False
    c.tlp_out = 0
    c.dup_acks = 0
    c.sacked_octets = 0
    if c.sent_head == c.sent_tail:
        return False
    tcp_mark_lost(c, &c.sent[c.sent_head & c.sent_mask], TCP_TX_FAST_RETRANSMIT)
    return True
