"""SEGMENT ARRIVES (RFC 9293 section 3.10.7), its steps in their order.

Read tcp_input first: lookup, checksum, header prediction (Van Jacobson's: what is next in order on an open connection
with nothing unusual about it), then the steps. Deviations from the RFC's text are those of RFC 5961 (RST, SYN and ACK of
blind attackers draw a challenge ACK) and RFC 7323 (PAWS). Opening is tcp_open's, what acknowledgements mean
tcp_recovery's, text and FIN tcp_text's.
"""
from libc.stdint cimport uint32_t, uint64_t

from dpdk_py.device cimport FRAME_RX_L4_BAD, FRAME_RX_L4_GOOD, frame

from .netif cimport netif
from .recorder cimport recorder_l4
from .seqnum cimport seq_ge, seq_gt, seq_in, seq_le, seq_lt
from .tcb cimport *
from .tcp_open cimport NO_FIELD, tcp_established, tcp_no_connection, tcp_passive_open, tcp_syn_sent, tcp_uto_arrives
from .tcp_recovery cimport tcp_acked, tcp_acked_predicted, tcp_rtt_sample
from .tcp_segment cimport tcp_answer_stray, tcp_challenge_ack, tcp_reply_rst, tcp_send_ack, tcp_send_syn
from .tcp_table cimport *
from .tcp_text cimport *
from .timer cimport NEVER, timer_by
from .wire.checksum cimport tcp_csum
from .wire.ipv4 cimport IPPROTO_TCP, IPV4_ECN, IPV4_ECN_CE, ipv4_hdr, ipv4_is_multicast
from .wire.octets cimport likely, load_be16, load_be32, unlikely
from .wire.tcp cimport *
from .wire.trace cimport TRACE_PARSE, trace_mark

cdef enum:
    PLAIN = 0x5010                  # data offset 5, ACK
    PAWS_IDLE_S = 24 * 24 * 3600    # RFC 7323 section 5.5: TS.Recent of a connection idle so long is invalid


cdef inline int tcp_verdict(tcp_table *t, int verdict) noexcept nogil:
    t.counters.rx[verdict] += 1
    return verdict


cdef int tcp_unread(tcp_table *t, netif *nif, int verdict) noexcept nogil:
    if nif.recorder != NULL:
        recorder_l4(nif.recorder, IPPROTO_TCP, verdict, TCP_CLOSED)
    return tcp_verdict(t, verdict)


cdef int tcp_input(void *ctx, netif *nif, const ipv4_hdr *ip, const frame *f, uint64_t now_ns) noexcept nogil:
    """One TCP segment; returns its tcp_rx_verdict, which has been counted.

    The connection is looked up before the checksum is computed, so that its lines arrive meanwhile; nothing is
    believed before the checksum is right.
    """
    cdef tcp_table *t = <tcp_table *>ctx
    cdef const uint8_t *p = ip.payload
    cdef uint32_t n = ip.payload_len, ports, seq, ack, text_len
    cdef int verdict
    cdef tcp_seg seg
    cdef tcb *c
    t.counters.segments_in += 1
    if unlikely(n < TCP_HLEN):
        return tcp_unread(t, nif, TCP_RX_MALFORMED)
    ports = load_be32(p)
    c = tcp_lookup(t, ip.destination, ip.source, ports)
    if not f.flags & FRAME_RX_L4_GOOD:
        if unlikely(f.flags & FRAME_RX_L4_BAD or tcp_csum(ip.source, ip.destination, p, n) != 0):
            return tcp_unread(t, nif, TCP_RX_CHECKSUM)
    trace_mark(nif.trace, TRACE_PARSE)
    if likely(c != NULL):
        seq = load_be32(p + 4)
        ack = load_be32(p + 8)
        text_len = n - TCP_HLEN
        if likely((load_be16(p + 12) & ~TCP_PSH) == PLAIN and c.predict and seq == c.rcv_nxt
                  and load_be16(p + 14) == c.snd_wnd_field and ack - c.snd_una <= c.snd_nxt - c.snd_una
                  and text_len <= c.rcv_adv - seq and (text_len != 0 or ack != c.snd_una)):
            tcp_verdict(t, TCP_RX_PREDICTED)
            c.segs_in += 1
            c.last_rx_ns = now_ns
            c.snd_wl1 = seq
            c.snd_wl2 = ack
            if ack != c.snd_una:
                tcp_acked_predicted(c, ack, now_ns)
            if likely(text_len != 0):
                tcp_take_text(c, p + TCP_HLEN, text_len, now_ns)
            if unlikely(c.snd_end != c.snd_nxt or c.want_writable):
                tcp_after_ack(c, now_ns)
            if unlikely(nif.recorder != NULL):
                recorder_l4(nif.recorder, IPPROTO_TCP, TCP_RX_PREDICTED, c.state)
            return TCP_RX_PREDICTED
    if unlikely(not tcp_parse(&seg, p, n)):
        return tcp_unread(t, nif, TCP_RX_MALFORMED)
    if unlikely(ip.destination != nif.addr or ipv4_is_multicast(ip.source)):
        verdict = TCP_RX_NOT_UNICAST
    elif c == NULL:
        verdict = tcp_no_connection(t, ip, &seg, ports, &c, now_ns)
        if c != NULL:
            verdict = tcp_segment_arrives(c, ip, &seg, now_ns)
    else:
        verdict = tcp_segment_arrives(c, ip, &seg, now_ns)
    if nif.recorder != NULL:
        recorder_l4(nif.recorder, IPPROTO_TCP, verdict, c.state if c != NULL else TCP_CLOSED)
    return tcp_verdict(t, verdict)


cdef int tcp_segment_arrives(tcb *c, const ipv4_hdr *ip, tcp_seg *seg, uint64_t now_ns) noexcept nogil:
    """3.10.7.3 and 3.10.7.4; then the ACK that must not wait, and what the segment has allowed us to send."""
    cdef int verdict
    c.segs_in += 1
    c.in_upcall += 1                                # no upcall below may give the slot away under our feet
    if c.state == TCP_SYN_SENT:
        verdict = tcp_syn_sent(c, ip, seg, now_ns)
    else:
        verdict = tcp_otherwise(c, ip, seg, now_ns)
    c.in_upcall -= 1
    if c.state != TCP_CLOSED:
        if c.state >= TCP_ESTABLISHED and (c.snd_end != c.snd_nxt or c.lost_octets > c.again_octets
                                           or c.want_writable or c.probe_out or c.fin_queued):
            tcp_after_ack(c, now_ns)
        if c.ack_pending == 2:
            tcp_send_ack(c, TCP_TX_DUP_ACK if verdict != TCP_RX_ACCEPTED else TCP_TX_ACK, now_ns)
        if unlikely(c.urgent_in and seq_ge(c.rcv_nxt - c.rcv.held, c.rcv_up)):
            c.urgent_in = 0                         # all of it has been taken
        tcp_predict(c)
    return verdict


cdef int tcp_otherwise(tcb *c, const ipv4_hdr *ip, tcp_seg *seg, uint64_t now_ns) noexcept nogil:
    """3.10.7.4, all states but CLOSED, LISTEN and SYN-SENT."""
    cdef tcp_opt opt
    cdef uint32_t wnd, len_
    cdef bint closed_window = False, opened = False, syn = False
    cdef int verdict
    opt.sack_count = 0
    opt.has_timestamps = opt.has_uto = False
    if seg.hlen > TCP_HLEN:
        tcp_parse_options(&opt, seg.options, seg.hlen - TCP_HLEN)

    if c.state == TCP_SYN_RECEIVED and seg.flags & TCP_SYN and seg.seq == c.irs and not seg.flags & TCP_RST:
        if not seg.flags & TCP_ACK:
            tcp_send_syn(c, TCP_TX_SYN_RETRANSMIT, now_ns)      # its SYN again: our SYN-ACK was lost
            return TCP_RX_DUPLICATE
        seg.seq += 1                                # the SYN-ACK of a simultaneous open; its SYN we have
        seg.flags &= ~TCP_SYN
        syn = True

    # First: sequence number. PAWS comes before (RFC 7323 section 5.3 R1)
    if c.ts_ok and opt.has_timestamps and not seg.flags & TCP_RST and seq_lt(opt.tsval, c.ts_recent) \
            and (now_ns - c.ts_recent_ns) // 1000000000 < PAWS_IDLE_S:
        c.ack_pending = 2
        return TCP_RX_PAWS
    wnd = c.rcv_adv - c.rcv_nxt
    len_ = seg.text_len + (seg.flags & TCP_SYN != 0) + (seg.flags & TCP_FIN != 0)
    if not tcp_acceptable(c, seg.seq, len_, wnd):
        if c.state == TCP_TIME_WAIT and seg.flags & TCP_SYN and not seg.flags & (TCP_RST | TCP_ACK):
            return tcp_syn_in_time_wait(c, ip, seg, &opt, now_ns)
        if wnd == 0 and seg.seq == c.rcv_nxt and not seg.flags & (TCP_SYN | TCP_RST):
            # MUST-66: with a closed window ACK, RST and URG are still heard
            closed_window = True
            seg.text_len = 0
            seg.flags &= ~TCP_FIN
        else:
            return tcp_unacceptable(c, seg, len_, now_ns)

    # Second: RST (RFC 5961 section 3)
    if seg.flags & TCP_RST:
        return tcp_reset_arrives(c, seg, now_ns)
    # Fourth: SYN (RFC 5961 section 4)
    if seg.flags & TCP_SYN:
        if c.state == TCP_TIME_WAIT and not seg.flags & TCP_ACK:
            return tcp_syn_in_time_wait(c, ip, seg, &opt, now_ns)
        tcp_challenge_ack(c, now_ns)
        return TCP_RX_CHALLENGED
    # Fifth: ACK
    if not seg.flags & TCP_ACK:
        return TCP_RX_NO_ACK
    if c.state == TCP_SYN_RECEIVED:
        if not (seq_lt(c.snd_una, seg.ack) and seq_le(seg.ack, c.snd_nxt)):
            tcp_reply_rst(c.table, ip, seg, now_ns)
            return TCP_RX_BAD_ACK
        c.snd_una = c.iss + 1
        c.snd_wnd = <uint32_t>seg.wnd << (0 if syn else c.snd_wscale)      # that of a SYN is never scaled
        c.snd_wnd_field = NO_FIELD if syn and c.snd_wscale else seg.wnd
        c.max_snd_wnd = c.snd_wnd
        c.snd_wl1 = seg.seq
        c.snd_wl2 = seg.ack
        if c.backoff == 0 and now_ns != c.opened_ns:    # a connection out of a cookie begins now: nothing was measured
            tcp_rtt_sample(c, now_ns - c.opened_ns, now_ns)
        tcp_established(c, now_ns)
        opened = True
        if c.state == TCP_CLOSED:
            return TCP_RX_REFUSED if c.passive and not c.accepted else TCP_RX_ACCEPTED
    if c.probe_out == 2 and seg.ack == c.snd_nxt + 1 and seq_gt(c.snd_end, c.snd_nxt):
        c.snd_nxt += 1                              # the octet of a window probe was taken after all
    # RFC 5961 section 5
    if seq_gt(seg.ack, c.snd_nxt) or seq_lt(seg.ack, c.snd_una - c.max_snd_wnd):
        tcp_challenge_ack(c, now_ns)
        return TCP_RX_BAD_ACK
    if c.ts_ok and opt.has_timestamps and seq_le(seg.seq, c.last_ack_sent) \
            and (seq_ge(opt.tsval, c.ts_recent) or (now_ns - c.ts_recent_ns) // 1000000000 >= PAWS_IDLE_S):
        # RFC 7323 section 4.3 (2): segments that begin at or before the last ACK carry the time to echo; section 5.5: one
        # that is 24 days old compares with nothing
        c.ts_recent = opt.tsval
        c.ts_recent_ns = now_ns
    c.last_rx_ns = now_ns
    c.keep_probes = 0
    if unlikely(opt.has_uto):
        tcp_uto_arrives(c, opt.uto)
    if c.ecn_ok:
        tcp_ecn_arrives(c, ip, seg, now_ns)
    if not opened:
        tcp_ack_arrives(c, seg, &opt, closed_window, now_ns)
    verdict = tcp_ack_and_state(c, seg, now_ns)
    if verdict >= 0:
        return verdict
    # Sixth: URG
    if seg.flags & TCP_URG:
        tcp_urgent_arrives(c, seg, now_ns)
        if c.state == TCP_CLOSED:
            return TCP_RX_ACCEPTED
    if closed_window:
        if len_:
            c.ack_pending = 2
            return TCP_RX_ZERO_WINDOW
        return TCP_RX_ACCEPTED
    # Seventh: text. Eighth: FIN
    return tcp_text_and_fin(c, seg, now_ns)


cdef inline bint tcp_acceptable(const tcb *c, uint32_t seq, uint32_t n, uint32_t wnd) noexcept nogil:
    """Table 6 of section 3.10.7.4."""
    if n == 0:
        return seq == c.rcv_nxt if wnd == 0 else seq_in(seq, c.rcv_nxt, wnd)
    return wnd != 0 and (seq_in(seq, c.rcv_nxt, wnd) or seq_in(seq + n - 1, c.rcv_nxt, wnd)
                         or (seq_lt(seq, c.rcv_nxt) and seq_ge(seq + n, c.rcv_nxt + wnd)))


cdef int tcp_unacceptable(tcb *c, const tcp_seg *seg, uint32_t n, uint64_t now_ns) noexcept nogil:
    """Outside the window: acknowledged unless it is a RST, and dropped. Old text is named in a DSACK block."""
    if seg.flags & TCP_RST:
        return TCP_RX_BAD_RST
    if c.state == TCP_TIME_WAIT and seg.flags & TCP_FIN and seg.seq + n == c.rcv_nxt:
        # Eighth, TIME-WAIT: the peer sends its FIN again, our ACK was lost: 2 MSL begin anew
        c.wait_at_ns = now_ns + c.opt.time_wait_ns
    if n == 0:
        tcp_answer_stray(c, now_ns)
        return TCP_RX_OUTSIDE_WINDOW
    c.ack_pending = 2
    if seq_le(seg.seq + n, c.rcv_nxt):
        c.duplicates_in += 1
        if seg.text_len:
            tcp_note_twice(c, seg.seq, seg.seq + seg.text_len)
            c.rcv.duplicate += seg.text_len
        return TCP_RX_DUPLICATE
    return TCP_RX_OUTSIDE_WINDOW


cdef int tcp_reset_arrives(tcb *c, const tcp_seg *seg, uint64_t now_ns) noexcept nogil:
    """Second: only a RST at exactly RCV.NXT resets; one elsewhere in the window is asked to prove itself."""
    cdef int event = TCP_EV_RESET
    if seg.seq != c.rcv_nxt:
        tcp_challenge_ack(c, now_ns)
        return TCP_RX_CHALLENGED
    if c.state == TCP_SYN_RECEIVED:
        event = 0 if c.passive else TCP_EV_REFUSED      # back to LISTEN: nobody had been told
    elif c.state == TCP_CLOSING or c.state == TCP_LAST_ACK or c.state == TCP_TIME_WAIT:
        event = 0
    tcp_end(c, event, now_ns)
    return TCP_RX_ACCEPTED


cdef int tcp_syn_in_time_wait(tcb *c, const ipv4_hdr *ip, tcp_seg *seg, const tcp_opt *opt,
                              uint64_t now_ns) noexcept nogil:
    """RFC 6191: a new incarnation, if it is certainly new: a later timestamp, or a SYN beyond all old numbers."""
    cdef tcp_table *t = c.table
    cdef tcp_listener *l = tcp_listener_find(t, seg.destination_port)
    cdef uint32_t ports = c.ports, floor_ = c.snd_nxt
    if l != NULL and ((c.ts_ok and opt.has_timestamps and seq_gt(opt.tsval, c.ts_recent))
                      or seq_gt(seg.seq, c.rcv_nxt)):
        t.counters.time_wait_reused += 1
        tcp_end(c, 0, now_ns)
        c = tcp_lookup(t, ip.destination, ip.source, ports)
        if c != NULL:                               # whoever was told has connected: both sides open at once
            return tcp_segment_arrives(c, ip, seg, now_ns)
        return tcp_passive_open(t, l, ip, seg, ports, floor_, now_ns)
    tcp_challenge_ack(c, now_ns)
    return TCP_RX_CHALLENGED


cdef void tcp_ecn_arrives(tcb *c, const ipv4_hdr *ip, const tcp_seg *seg, uint64_t now_ns) noexcept nogil:
    """CE on text: echoed until CWR (RFC 3168 section 6.1.3) or, for DCTCP, exactly as marked (RFC 8257 section 3.2)."""
    cdef bint ce = (ip.tos & IPV4_ECN) == IPV4_ECN_CE
    if seg.text_len == 0:
        return
    if c.opt.congestion == TCP_CC_DCTCP:
        if ce != c.ce_state and (c.ack_pending or c.ack_at_ns != NEVER):
            tcp_send_ack(c, TCP_TX_ACK, now_ns)         # what came before is acknowledged with the old mark
        c.ce_state = ce
        c.ecn_echo = ce
        return
    if seg.flags & TCP_CWR:
        c.ecn_echo = 0
    if ce:
        c.ecn_echo = 1


cdef void tcp_ack_arrives(tcb *c, const tcp_seg *seg, const tcp_opt *opt, bint cut, uint64_t now_ns) noexcept nogil:
    """Fifth, ESTABLISHED: SND.UNA and the send window. `cut`: it had text, which the closed window kept out."""
    cdef uint32_t wnd = <uint32_t>seg.wnd << c.snd_wscale
    cdef bint bare = (seg.text_len == 0 and not cut and not seg.flags & TCP_FIN and seg.ack == c.snd_una and wnd == c.snd_wnd)
    if c.probe_out and not c.closed_by_user:
        # MUST-37: a peer that answers probes is alive, however long its window stays closed. But a connection nobody has any
        # more is not kept for that: it would be a way to take all of them
        c.user_at_ns = NEVER
    tcp_acked(c, seg.ack, opt, bare, seg.flags & TCP_ECE != 0, now_ns)
    # SND.UNA =< SEG.ACK, and not older than what the window was last taken from
    if seq_le(c.snd_una, seg.ack) and (seq_lt(c.snd_wl1, seg.seq) or (c.snd_wl1 == seg.seq
                                                                      and seq_le(c.snd_wl2, seg.ack))):
        c.snd_wnd = wnd
        c.snd_wnd_field = seg.wnd
        c.snd_wl1 = seg.seq
        c.snd_wl2 = seg.ack
        if wnd > c.max_snd_wnd:
            c.max_snd_wnd = wnd
    if c.snd_wnd == 0 and seg.ack == c.snd_una and c.user_at_ns != NEVER and not c.probe_out and not c.closed_by_user:
        # The window was shrunk to nothing over text in flight (SHLD-17): retransmissions ask as probes do, and so count their
        # answers (MUST-35), from the next question on
        c.user_at_ns = (now_ns if c.rto_at_ns == NEVER else c.rto_at_ns) + c.opt.user_timeout_ns
    if c.urgent_out and seq_ge(c.snd_una, c.snd_up):
        c.urgent_out = 0


cdef int tcp_ack_and_state(tcb *c, const tcp_seg *seg, uint64_t now_ns) noexcept nogil:
    """Fifth, the states that wait for the ACK of our FIN; -1 to go on with the segment."""
    cdef bint fin_acked = c.fin_sent and c.snd_una == c.snd_nxt
    if c.state == TCP_FIN_WAIT_1 and fin_acked:
        tcp_set_state(c, TCP_FIN_WAIT_2)
        if c.opt.fin_wait_2_ns and c.closed_by_user:
            c.wait_at_ns = now_ns + c.opt.fin_wait_2_ns
            timer_by(&c.table.wheel, &c.wake, c.wait_at_ns)
    elif c.state == TCP_CLOSING and fin_acked:
        tcp_time_wait(c, now_ns)
    elif c.state == TCP_LAST_ACK and fin_acked:
        tcp_end(c, 0, now_ns)
        return TCP_RX_ACCEPTED
    return -1
