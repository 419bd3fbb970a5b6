"""SEGMENT ARRIVES (RFC 9293 section 3.10.7), its steps in their order.

Read tcp_input first: lookup, checksum, header prediction (Van Jacobson's: what is next in order on an open connection
with nothing unusual about it), then the steps. Deviations from the RFC's text are those of RFC 5961 (RST, SYN and ACK of
blind attackers draw a challenge ACK) and RFC 7323 (PAWS). What acknowledgements mean is tcp_recovery's.
"""
from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t

from dpdk_py.device cimport FRAME_RX_L4_BAD, FRAME_RX_L4_GOOD, frame

from .isn cimport cookie_check, cookie_make, isn_make
from .netif cimport netif
from .reassembly cimport reass, reass_append, reass_consume, reass_init, reass_insert, reass_next, reass_skip
from .seqnum cimport seq_ge, seq_gt, seq_in, seq_le, seq_lt, seq_min
from .tcb cimport *
from .tcp_output cimport *
from .tcp_recovery cimport tcp_acked, tcp_acked_predicted, tcp_congestion_start, tcp_rtt_sample
from .tcp_table cimport *
from .timer cimport NEVER, timer_by
from .wire.checksum cimport tcp_csum
from .wire.ipv4 cimport IPV4_ECN, IPV4_ECN_CE, ipv4_hdr, ipv4_is_multicast
from .wire.octets cimport likely, load_be16, load_be32, unlikely
from .wire.tcp cimport *
from .wire.trace cimport TRACE_PARSE, TRACE_TCP, trace_mark

cdef enum:
    PLAIN = 0x5010                  # data offset 5, ACK
    DEFAULT_MSS = 536               # the peer named none (MUST-15)
    PAWS_IDLE_NS = 24 * 24 * 3600   # in seconds: RFC 7323 section 5.5, TS.Recent of a connection idle so long is invalid


cdef inline int tcp_verdict(tcp_table *t, int verdict) noexcept nogil:
    t.counters.rx[verdict] += 1
    return verdict


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
        return tcp_verdict(t, TCP_RX_MALFORMED)
    ports = load_be32(p)
    c = tcp_lookup(t, ip.destination, ip.source, ports)
    if not f.flags & FRAME_RX_L4_GOOD:
        if unlikely(f.flags & FRAME_RX_L4_BAD or tcp_csum(ip.source, ip.destination, p, n) != 0):
            return tcp_verdict(t, TCP_RX_CHECKSUM)
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
            if unlikely(t.flight != NULL):
                tcp_flight_record(t, c.remote_addr, ports, seq, ack, TCP_ACK, text_len, c.snd_wnd_field, False,
                                  TCP_RX_PREDICTED, c.state, now_ns)
            if ack != c.snd_una:
                tcp_acked_predicted(c, ack, now_ns)
            if likely(text_len != 0):
                tcp_take_text(c, p + TCP_HLEN, text_len, now_ns)
            if unlikely(c.snd_end != c.snd_nxt or c.want_writable):
                tcp_after_ack(c, now_ns)
            return TCP_RX_PREDICTED
    if unlikely(not tcp_parse(&seg, p, n)):
        return tcp_verdict(t, TCP_RX_MALFORMED)
    if unlikely(ip.destination != nif.addr or ipv4_is_multicast(ip.source)):
        verdict = TCP_RX_NOT_UNICAST
    elif c == NULL:
        verdict = tcp_no_connection(t, ip, &seg, ports, now_ns)
    else:
        verdict = tcp_segment_arrives(c, ip, &seg, now_ns)
    tcp_verdict(t, verdict)
    if t.flight != NULL:
        tcp_flight_record(t, ip.source, ports, seg.seq, seg.ack, seg.flags, seg.text_len, seg.wnd, False, verdict,
                          c.state if c != NULL else TCP_CLOSED, now_ns)
    return verdict


# -- text goes up

cdef inline void tcp_note_text(tcb *c, uint32_t n, uint64_t now_ns) noexcept nogil:
    """In-order text has come: an acknowledgement is owed, by the connection's policy."""
    c.octets_in += n
    if c.opt.ack_policy == TCP_ACK_IMMEDIATE:
        tcp_ack_later(c)
        return
    if c.opt.ack_policy == TCP_ACK_SECOND and n >= c.snd_mss:
        c.unacked_full += 1
        if c.unacked_full >= 2:
            tcp_ack_later(c)
            return
    if c.ack_at_ns == NEVER:
        c.ack_at_ns = now_ns + c.opt.ack_delay_ns
        timer_by(&c.table.wheel, &c.wake, c.ack_at_ns)


cdef void tcp_take_text(tcb *c, const uint8_t *p, uint32_t n, uint64_t now_ns) noexcept nogil:
    """n octets that are next in order, with no hole behind them: up in place if nothing waits before them.

    RCV.NXT and the owed ACK are settled before the upcall, which may do anything; what it leaves is kept.
    """
    cdef reass *r = c.rcv
    cdef uint32_t used, generation
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
        return
    n = reass_next(c.rcv, &p)
    need = c.rcv_need if c.rcv_need < c.rcv_buf else c.rcv_buf      # a full buffer is shown whatever is asked
    if n and n >= need and c.sink.on_text != NULL:
        trace_mark(c.table.nif.trace, TRACE_TCP)
        c.in_upcall += 1
        used = c.sink.on_text(c.sink.ctx, c, p, n, now_ns)
        c.in_upcall -= 1
        reass_consume(c.rcv, used)
        n -= used
        if c.closed_by_user or c.state == TCP_CLOSED:
            tcp_discard(c)
            return
        if n and c.rcv_need <= n:
            tcp_ready_later(c)
            return
    if c.eof_due:
        c.eof_due = 0
        tcp_tell(c, TCP_EV_PEER_CLOSED, now_ns)


cdef void tcp_after_ack(tcb *c, uint64_t now_ns) noexcept nogil:
    """Acknowledged text has made room: for segments that waited, and for the user."""
    tcp_output(c, now_ns)
    if c.probe_out and c.snd_una == c.snd_nxt and c.snd_end == c.snd_nxt and not (c.fin_queued and not c.fin_sent):
        c.probe_out = 0
        c.rto_at_ns = NEVER
    if c.want_writable and tcp_send_room(c) >= c.snd_buf >> 2:
        c.want_writable = 0
        tcp_tell(c, TCP_EV_WRITABLE, now_ns)


# -- no connection

cdef int tcp_no_connection(tcp_table *t, const ipv4_hdr *ip, const tcp_seg *seg, uint32_t ports,
                           uint64_t now_ns) noexcept nogil:
    """3.10.7.1 CLOSED and 3.10.7.2 LISTEN."""
    cdef tcp_listener *l = tcp_listener_find(t, seg.destination_port) if t.listening else NULL
    # 3.10.7.2 first: in LISTEN a RST is ignored; in CLOSED it is discarded
    if seg.flags & TCP_RST:
        return TCP_RX_BAD_RST
    if l == NULL:
        tcp_reply_rst(t, ip, seg, now_ns)
        return TCP_RX_NO_CONNECTION
    # second: an ACK is bad in LISTEN, unless it brings back our cookie
    if seg.flags & TCP_ACK:
        return tcp_cookie_returns(t, l, ip, seg, ports, now_ns)
    # third: SYN
    if seg.flags & TCP_SYN:
        return tcp_passive_open(t, l, ip, seg, ports, 0, now_ns)
    return TCP_RX_NO_MATCH


cdef uint32_t tcp_window_shift(uint32_t rcv_buf) noexcept nogil:
    cdef uint32_t shift = 0
    while rcv_buf >> shift > 0xFFFF and shift < TCP_MAX_WSCALE:
        shift += 1
    return shift


cdef void tcp_take_syn(tcb *c, const tcp_seg *seg, uint64_t now_ns) noexcept nogil:
    """The peer's SYN: its sequence number, and what its options and ours have in common."""
    cdef tcp_opt opt
    cdef bint answer = c.state == TCP_SYN_SENT
    tcp_parse_options(&opt, seg.options, seg.hlen - TCP_HLEN)
    c.irs = seg.seq
    c.rcv_nxt = seg.seq + 1
    c.rcv_adv = c.rcv_nxt
    c.last_ack_sent = c.rcv_nxt
    reass_init(c.rcv, c.rcv.buf, c.rcv.limit, c.rcv_nxt)
    tcp_set_mss(c, opt.mss if opt.has_mss else DEFAULT_MSS)
    c.wscale_ok = opt.has_wscale and c.opt.window_scale
    c.snd_wscale = opt.wscale if c.wscale_ok else 0
    if not c.wscale_ok:
        c.rcv_wscale = 0
    c.sack_ok = opt.sack_permitted and c.opt.sack
    c.ts_ok = opt.has_timestamps and c.opt.timestamps
    if c.ts_ok:
        c.ts_recent = opt.tsval
        c.ts_recent_ns = now_ns
    # RFC 3168 section 6.1.1: ECE and CWR on SYN ask, ECE alone on SYN-ACK agrees
    if answer and seg.flags & TCP_ACK:
        c.ecn_ok = c.opt.ecn and (seg.flags & (TCP_ECE | TCP_CWR)) == TCP_ECE
    else:
        c.ecn_ok = c.opt.ecn and (seg.flags & (TCP_ECE | TCP_CWR)) == (TCP_ECE | TCP_CWR)


cdef void tcp_set_mss(tcb *c, uint32_t peer_mss) noexcept nogil:
    """Eff.snd.MSS (MUST-16): the peer's word, our MTU and our own limit; never so small that nothing moves."""
    cdef uint32_t most = c.table.nif.dev.mtu - 40
    if 0 < c.opt.mss < most:
        most = c.opt.mss
    if peer_mss < most:
        most = peer_mss
    # Options (40 octets at most) must leave room for text
    c.snd_mss = most if most > 64 else 64


cdef int tcp_passive_open(tcp_table *t, tcp_listener *l, const ipv4_hdr *ip, const tcp_seg *seg, uint32_t ports,
                          uint32_t iss_floor, uint64_t now_ns) noexcept nogil:
    """3.10.7.2 third: a SYN for a listener. Beyond the backlog, or without a free slot, nothing is remembered: cookie."""
    cdef tcb *c = NULL
    cdef tcp_opt opt
    cdef uint32_t own = t.nif.dev.mtu - 40
    if l.half_open < l.opt.backlog:
        c = tcb_take(t, ip.destination, ip.source, ports, &l.opt, now_ns)
    if c == NULL:
        if not l.opt.syn_cookies:
            return TCP_RX_BACKLOG if l.half_open >= l.opt.backlog else TCP_RX_NO_SLOT
        tcp_parse_options(&opt, seg.options, seg.hlen - TCP_HLEN)
        if 0 < l.opt.mss < own:
            own = l.opt.mss
        tcp_reply_cookie(t, ip, seg, cookie_make(t.secret, ip.destination, ip.source, ports, seg.seq,
                                                 opt.mss if opt.has_mss else DEFAULT_MSS, now_ns),
                         <uint16_t>own, <uint16_t>(l.opt.rcv_buf if l.opt.rcv_buf < 0xFFFF else 0xFFFF), l.opt.ttl,
                         now_ns)
        return TCP_RX_ACCEPTED
    c.passive = 1
    c.listener_index = <uint32_t>(l - &t.listeners[0])
    c.iss = isn_make(t.secret, ip.destination, ip.source, ports, now_ns)
    if iss_floor and not seq_gt(c.iss, iss_floor):
        c.iss = iss_floor + 0x10000                 # RFC 6191: above everything the old incarnation used
    c.snd_una = c.iss
    c.snd_nxt = c.snd_end = c.iss + 1
    c.rcv_wscale = <uint8_t>tcp_window_shift(c.rcv_buf)
    tcp_take_syn(c, seg, now_ns)
    c.snd_wnd = seg.wnd
    tcp_header_make(c)
    tcp_set_state(c, TCP_SYN_RECEIVED)
    tcp_send_syn(c, TCP_TX_SYN_ACK, now_ns)
    tcp_arm_syn(c, now_ns)
    t.counters.opened_passive += 1
    return TCP_RX_ACCEPTED


cdef void tcp_arm_syn(tcb *c, uint64_t now_ns) noexcept nogil:
    c.rto_at_ns = now_ns + c.rto_ns
    if c.opt.syn_timeout_ns:
        c.user_at_ns = now_ns + c.opt.syn_timeout_ns
    timer_by(&c.table.wheel, &c.wake, c.rto_at_ns)


cdef int tcp_cookie_returns(tcp_table *t, tcp_listener *l, const ipv4_hdr *ip, const tcp_seg *seg, uint32_t ports,
                            uint64_t now_ns) noexcept nogil:
    """The ACK of a SYN-ACK that was sent as a cookie: the connection is made now, as if the SYN had been remembered."""
    cdef uint16_t mss = 0
    cdef tcb *c
    if l.opt.syn_cookies and t.counters.cookies_sent and not seg.flags & TCP_SYN:
        mss = cookie_check(t.secret, ip.destination, ip.source, ports, seg.seq - 1, seg.ack - 1, now_ns)
    if mss == 0:
        tcp_reply_rst(t, ip, seg, now_ns)
        return TCP_RX_BAD_COOKIE
    c = tcb_take(t, ip.destination, ip.source, ports, &l.opt, now_ns)
    if c == NULL:
        return TCP_RX_NO_SLOT                       # the peer sends again
    t.counters.cookies_accepted += 1
    t.counters.opened_passive += 1
    c.passive = 1
    c.listener_index = <uint32_t>(l - &t.listeners[0])
    c.iss = seg.ack - 1
    c.snd_una = c.iss
    c.snd_nxt = c.snd_end = seg.ack
    c.irs = seg.seq - 1
    c.rcv_nxt = c.last_ack_sent = seg.seq
    c.rcv_adv = seg.seq + (c.rcv_buf if c.rcv_buf < 0xFFFF else 0xFFFF)
    reass_init(c.rcv, c.rcv.buf, c.rcv.limit, c.rcv_nxt)
    tcp_set_mss(c, mss)
    tcp_header_make(c)
    tcp_set_state(c, TCP_SYN_RECEIVED)
    return tcp_segment_arrives(c, ip, seg, now_ns)


# -- SYN-SENT

cdef int tcp_syn_sent(tcb *c, const ipv4_hdr *ip, tcp_seg *seg, uint64_t now_ns) noexcept nogil:
    """3.10.7.3"""
    cdef bint acked = False
    # First: ACK
    if seg.flags & TCP_ACK:
        if seg.ack != c.snd_nxt:
            if not seg.flags & TCP_RST:
                tcp_reply_rst(c.table, ip, seg, now_ns)
                return TCP_RX_BAD_ACK
            return TCP_RX_BAD_RST
        acked = True
    # Second: RST
    if seg.flags & TCP_RST:
        if not acked:
            return TCP_RX_BAD_RST
        tcp_end(c, TCP_EV_REFUSED, now_ns)
        return TCP_RX_ACCEPTED
    # Fourth: SYN
    if not seg.flags & TCP_SYN:
        return TCP_RX_NO_MATCH
    tcp_take_syn(c, seg, now_ns)
    c.snd_wnd = seg.wnd                             # the window of a SYN is never scaled
    c.snd_wnd_field = seg.wnd
    c.max_snd_wnd = seg.wnd
    c.snd_wl1 = seg.seq
    c.snd_wl2 = seg.ack
    c.last_rx_ns = now_ns
    if not acked:
        # Both sides opened at once (section 3.5, figure 7)
        tcp_set_state(c, TCP_SYN_RECEIVED)
        tcp_send_syn(c, TCP_TX_SYN_ACK, now_ns)
        return TCP_RX_ACCEPTED
    c.snd_una = seg.ack
    if c.backoff == 0:
        tcp_rtt_sample(c, now_ns - c.opened_ns, now_ns)
    c.ack_pending = 2
    c.in_upcall += 1                                # keeps the slot while we look at it afterwards
    tcp_established(c, now_ns)
    c.in_upcall -= 1
    if c.state == TCP_CLOSED:
        return TCP_RX_ACCEPTED
    # Text and FIN may come with the SYN (MUST-9 lets none of it be lost)
    seg.seq += 1
    tcp_text_and_fin(c, seg, now_ns)
    return TCP_RX_ACCEPTED


cdef void tcp_established(tcb *c, uint64_t now_ns) noexcept nogil:
    """Both sides know both numbers. A passive open asks its listener now; text queued while opening leaves."""
    cdef tcp_table *t = c.table
    cdef tcp_listener *l
    cdef bint yes
    c.rto_at_ns = NEVER
    c.user_at_ns = NEVER
    if c.rto_ns > c.opt.rto_initial_ns or c.srtt_ns == 0:
        # RFC 6298 (5.7): a SYN was lost, be careful with the first text
        c.rto_ns = 3 * c.opt.rto_initial_ns if c.backoff else c.opt.rto_initial_ns
    c.backoff = 0
    tcp_congestion_start(c)
    tcp_set_state(c, TCP_ESTABLISHED)
    if c.opt.keep_idle_ns:
        c.keep_at_ns = now_ns + c.opt.keep_idle_ns
        timer_by(&t.wheel, &c.wake, c.keep_at_ns)
    if c.passive:
        l = &t.listeners[c.listener_index]
        yes = False
        if l.used and l.on_accept != NULL:
            c.in_upcall += 1
            yes = l.on_accept(l.ctx, c, now_ns)
            c.in_upcall -= 1
        if not yes:
            l.refused += 1
            if c.state != TCP_CLOSED:
                tcp_send_rst(c, now_ns)
                tcp_end(c, 0, now_ns)
            return
        l.accepted += 1
        c.accepted = 1
    if c.state == TCP_ESTABLISHED:
        tcp_tell(c, TCP_EV_CONNECTED, now_ns)
    if c.state == TCP_ESTABLISHED and c.fin_queued:
        tcp_set_state(c, TCP_FIN_WAIT_1)            # closed while it was opening
    tcp_output(c, now_ns)


# -- every other state

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
        tcp_predict(c)
    return verdict


cdef int tcp_otherwise(tcb *c, const ipv4_hdr *ip, tcp_seg *seg, uint64_t now_ns) noexcept nogil:
    """3.10.7.4, all states but CLOSED, LISTEN and SYN-SENT."""
    cdef tcp_opt opt
    cdef uint32_t wnd, len_
    cdef bint closed_window = False, opened = False
    cdef int verdict
    opt.sack_count = 0
    opt.has_timestamps = False
    if seg.hlen > TCP_HLEN:
        tcp_parse_options(&opt, seg.options, seg.hlen - TCP_HLEN)

    if c.state == TCP_SYN_RECEIVED and seg.flags & TCP_SYN and seg.seq == c.irs and not seg.flags & TCP_RST:
        if not seg.flags & TCP_ACK:
            tcp_send_syn(c, TCP_TX_SYN_RETRANSMIT, now_ns)      # its SYN again: our SYN-ACK was lost
            return TCP_RX_DUPLICATE
        seg.seq += 1                                # the SYN-ACK of a simultaneous open; its SYN we have
        seg.flags &= ~TCP_SYN

    # First: sequence number. PAWS comes before (RFC 7323 section 5.3 R1)
    if c.ts_ok and opt.has_timestamps and not seg.flags & TCP_RST and seq_lt(opt.tsval, c.ts_recent) \
            and (now_ns - c.ts_recent_ns) // 1000000000 < PAWS_IDLE_NS:
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
        c.snd_wnd = <uint32_t>seg.wnd << c.snd_wscale
        c.snd_wnd_field = seg.wnd
        c.max_snd_wnd = c.snd_wnd
        c.snd_wl1 = seg.seq
        c.snd_wl2 = seg.ack
        if c.backoff == 0:
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
    if c.ts_ok and opt.has_timestamps and seq_le(seg.seq, c.last_ack_sent) and seq_ge(opt.tsval, c.ts_recent):
        # RFC 7323 section 4.3 (2): segments that begin at or before the last ACK carry the time to echo
        c.ts_recent = opt.tsval
        c.ts_recent_ns = now_ns
    c.last_rx_ns = now_ns
    c.keep_probes = 0
    if c.ecn_ok:
        tcp_ecn_arrives(c, ip, seg, now_ns)
    if not opened:
        tcp_ack_arrives(c, seg, &opt, now_ns)
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
    c.ack_pending = 2
    if n and seq_le(seg.seq + n, c.rcv_nxt):
        c.duplicates_in += 1
        if seg.text_len:
            tcp_note_twice(c, seg.seq, seg.seq + seg.text_len)
            c.rcv.duplicate += seg.text_len
        return TCP_RX_DUPLICATE
    return TCP_RX_OUTSIDE_WINDOW


cdef inline void tcp_note_twice(tcb *c, uint32_t seq, uint32_t end) noexcept nogil:
    if c.sack_ok:
        c.dsack_due = 1
        c.dsack_seq = seq
        c.dsack_end = end


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


cdef int tcp_syn_in_time_wait(tcb *c, const ipv4_hdr *ip, const tcp_seg *seg, const tcp_opt *opt,
                              uint64_t now_ns) noexcept nogil:
    """RFC 6191: a new incarnation, if it is certainly new: a later timestamp, or a SYN beyond all old numbers."""
    cdef tcp_table *t = c.table
    cdef tcp_listener *l = tcp_listener_find(t, seg.destination_port)
    cdef uint32_t ports = c.ports, floor_ = c.snd_nxt
    if l != NULL and ((c.ts_ok and opt.has_timestamps and seq_gt(opt.tsval, c.ts_recent))
                      or seq_gt(seg.seq, c.rcv_nxt)):
        t.counters.time_wait_reused += 1
        tcp_end(c, 0, now_ns)
        return tcp_passive_open(t, l, ip, seg, ports, floor_, now_ns)
    tcp_challenge_ack(c, now_ns)
    return TCP_RX_CHALLENGED


cdef void tcp_ecn_arrives(tcb *c, const ipv4_hdr *ip, const tcp_seg *seg, uint64_t now_ns) noexcept nogil:
    """CE on text: echoed until CWR (RFC 3168 section 6.1.3) or, for DCTCP, exactly as marked (RFC 8257 section 3.2)."""
    cdef bint ce = (ip.tos & IPV4_ECN) == IPV4_ECN_CE
    if seg.text_len == 0:
        return
    if c.opt.congestion == TCP_CC_DCTCP:
        if ce != c.ce_state and c.ack_pending:
            tcp_send_ack(c, TCP_TX_ACK, now_ns)         # what came before is acknowledged with the old mark
        c.ce_state = ce
        c.ecn_echo = ce
        return
    if seg.flags & TCP_CWR:
        c.ecn_echo = 0
    if ce:
        c.ecn_echo = 1


cdef void tcp_ack_arrives(tcb *c, const tcp_seg *seg, const tcp_opt *opt, uint64_t now_ns) noexcept nogil:
    """Fifth, ESTABLISHED: SND.UNA and the send window."""
    cdef uint32_t wnd = <uint32_t>seg.wnd << c.snd_wscale
    cdef bint bare = (seg.text_len == 0 and not seg.flags & TCP_FIN and seg.ack == c.snd_una and wnd == c.snd_wnd)
    if c.probe_out:
        # MUST-37: a peer that answers probes is alive, however long its window stays closed
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


cdef int tcp_text_and_fin(tcb *c, tcp_seg *seg, uint64_t now_ns) noexcept nogil:
    """Seventh and eighth: text into the stream at its place, the peer's FIN when everything before it is there."""
    cdef uint32_t seq = seg.seq, n = seg.text_len, cut, edge, gained
    cdef const uint8_t *p = seg.text
    cdef bint fin = seg.flags & TCP_FIN != 0
    cdef reass *r = c.rcv
    cdef uint64_t duplicate, refused
    cdef int verdict = TCP_RX_ACCEPTED
    if c.state != TCP_ESTABLISHED and c.state != TCP_FIN_WAIT_1 and c.state != TCP_FIN_WAIT_2:
        # The peer's FIN is in: nothing may follow it. A FIN again is answered by unacceptable; text is ignored
        if fin and c.state == TCP_TIME_WAIT:
            c.wait_at_ns = now_ns + c.opt.time_wait_ns
        if n or fin:
            c.ack_pending = 2
        return TCP_RX_ACCEPTED
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
    cdef uint32_t gained = reass_insert(r, seq, p, n), end = seq + n
    c.ack_pending = 2
    c.table.counters.conflicting_octets += r.conflicting - conflicting
    if r.duplicate != duplicate:
        c.duplicates_in += 1
        if seq_lt(seq, c.rcv_nxt):
            tcp_note_twice(c, seq, seq_min(end, c.rcv_nxt))
        elif r.duplicate - duplicate == n:
            tcp_note_twice(c, seq, end)
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
