"""Opening: segments for nobody, for a listener, for a connection in SYN-SENT; SYN cookies.

RFC 9293 sections 3.5, 3.10.7.1 (CLOSED), 3.10.7.2 (LISTEN), 3.10.7.3 (SYN-SENT); RFC 6528, RFC 4987 section 3.6, and
RFC 7323, 2018, 3168, 5482 for what SYNs negotiate.
"""
from libc.stdint cimport uint16_t, uint32_t, uint64_t

from .isn cimport COOKIE_PERIOD_S, cookie_check, cookie_make, isn_make
from .reassembly cimport reass_init
from .seqnum cimport seq_gt
from .tcb cimport *
from .tcp_output cimport tcp_output
from .tcp_recovery cimport tcp_congestion_start, tcp_rtt_sample
from .tcp_segment cimport tcp_header_make, tcp_reply_cookie, tcp_reply_rst, tcp_send_rst, tcp_send_syn
from .tcp_table cimport tcb_take, tcp_end, tcp_listener_find, tcp_lookup, tcp_set_state, tcp_tell
from .tcp_text cimport tcp_text_and_fin
from .timer cimport NEVER, timer_by
from .wire.ipv4 cimport ipv4_hdr
from .wire.tcp cimport *

cdef enum:
    DEFAULT_MSS = 536               # the peer named none (MUST-15)

cdef uint64_t HALF_OPEN_NS = 180000000000       # R2 of a SYN (MUST-23), for a SYN-ACK at the latest


cdef int tcp_no_connection(tcp_table *t, const ipv4_hdr *ip, const tcp_seg *seg, uint32_t ports, tcb **made,
                           uint64_t now_ns) noexcept nogil:
    """3.10.7.1 CLOSED and 3.10.7.2 LISTEN. `made` is set where a cookie came back: the segment is then for it."""
    cdef tcp_listener *l = tcp_listener_find(t, seg.destination_port) if t.listening else NULL
    # 3.10.7.2 first: in LISTEN a RST is ignored; in CLOSED it is discarded
    if seg.flags & TCP_RST:
        return TCP_RX_BAD_RST
    if l == NULL:
        tcp_reply_rst(t, ip, seg, now_ns)
        return TCP_RX_NO_CONNECTION
    # second: an ACK is bad in LISTEN, unless it brings back our cookie
    if seg.flags & TCP_ACK:
        return tcp_cookie_returns(t, l, ip, seg, ports, made, now_ns)
    # third: SYN
    if seg.flags & TCP_SYN:
        return tcp_passive_open(t, l, ip, seg, ports, 0, now_ns)
    return TCP_RX_NO_MATCH


cdef int tcp_passive_open(tcp_table *t, tcp_listener *l, const ipv4_hdr *ip, const tcp_seg *seg, uint32_t ports,
                          uint32_t iss_floor, uint64_t now_ns) noexcept nogil:
    """3.10.7.2 third: a SYN for a listener. Beyond the backlog or half of all slots, or without a free one,
    nothing is remembered: cookie."""
    cdef tcb *c = NULL
    cdef tcp_opt opt
    cdef uint32_t own = t.nif.dev.mtu - 40
    cdef uint32_t most = (t.connections + 1) >> 1       # SYNs, which anybody can forge, do not get every slot
    if l.opt.backlog < most:
        most = l.opt.backlog
    if l.half_open < most:
        c = tcb_take(t, ip.destination, ip.source, ports, &l.opt, False, now_ns)
    if c == NULL:
        if tcp_lookup(t, ip.destination, ip.source, ports) != NULL:
            return TCP_RX_NO_SLOT                   # connected while a slot was made: the peer sends its SYN again
        if not l.opt.syn_cookies:
            return TCP_RX_BACKLOG if l.half_open >= most else TCP_RX_NO_SLOT
        t.cookie_ns = now_ns
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
    if c.opt.syn_timeout_ns or c.passive:           # who never gives up connecting need not keep what strangers began
        c.user_at_ns = now_ns + (c.opt.syn_timeout_ns if c.opt.syn_timeout_ns else HALF_OPEN_NS)
    timer_by(&c.table.wheel, &c.wake, c.rto_at_ns)


cdef int tcp_cookie_returns(tcp_table *t, tcp_listener *l, const ipv4_hdr *ip, const tcp_seg *seg, uint32_t ports,
                            tcb **made, uint64_t now_ns) noexcept nogil:
    """The ACK of a SYN-ACK that was sent as a cookie: the connection is made now, as if the SYN had been remembered."""
    cdef uint16_t mss = 0
    cdef tcb *c
    if l.opt.syn_cookies and t.counters.cookies_sent and not seg.flags & TCP_SYN:
        mss = cookie_check(t.secret, ip.destination, ip.source, ports, seg.seq - 1, seg.ack - 1, now_ns)
    if mss == 0:
        # While cookies are about, this may be text whose first segment was lost or comes later: an RST would end a
        # connection that its retransmission opens
        if not t.counters.cookies_sent or now_ns - t.cookie_ns >= 2 * COOKIE_PERIOD_S * <uint64_t>1000000000:
            tcp_reply_rst(t, ip, seg, now_ns)
        return TCP_RX_BAD_COOKIE
    c = tcb_take(t, ip.destination, ip.source, ports, &l.opt, True, now_ns)
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
    made[0] = c
    return TCP_RX_ACCEPTED


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
    # Our SYN offered a window before there was a number to count it from
    c.rcv_adv = c.rcv_nxt + (0 if not answer else c.rcv_buf if c.rcv_buf < 0xFFFF else 0xFFFF)
    c.last_ack_sent = c.rcv_nxt
    reass_init(c.rcv, c.rcv.buf, c.rcv.limit, c.rcv_nxt)
    tcp_set_mss(c, opt.mss if opt.has_mss else DEFAULT_MSS)
    if opt.has_uto:
        tcp_uto_arrives(c, opt.uto)
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


cdef void tcp_uto_arrives(tcb *c, uint16_t field) noexcept nogil:
    """RFC 5482 section 3.1: the peer's user timeout, and what ours then is, if it may change and within our limits."""
    cdef uint64_t mine = c.opt.adv_uto_ns, before = c.opt.user_timeout_ns
    if not c.opt.uto_enabled:
        return
    if field & 0x7FFF == 0:
        c.table.counters.bad_uto += 1
        return
    c.remote_uto_ns = tcp_uto_ns(field)
    if not c.opt.uto_changeable:
        return
    # USER_TIMEOUT = min(U_LIMIT, max(ADV_UTO, REMOTE_UTO, L_LIMIT))
    if mine == 0:
        mine = NEVER
    if mine < c.remote_uto_ns:
        mine = c.remote_uto_ns
    if mine < c.opt.uto_l_limit_ns:
        mine = c.opt.uto_l_limit_ns
    if mine > c.opt.uto_u_limit_ns:
        mine = c.opt.uto_u_limit_ns
    c.opt.user_timeout_ns = mine
    if c.state >= TCP_ESTABLISHED and c.user_at_ns != NEVER:        # before, it is the timeout of the SYN
        c.user_at_ns += mine - before
        timer_by(&c.table.wheel, &c.wake, c.user_at_ns)


cdef void tcp_set_mss(tcb *c, uint32_t peer_mss) noexcept nogil:
    """Eff.snd.MSS (MUST-16): the peer's word, our MTU and our own limit; never so small that nothing moves."""
    cdef uint32_t most = c.table.nif.dev.mtu - 40
    if 0 < c.opt.mss < most:
        most = c.opt.mss
    if peer_mss < most:
        most = peer_mss
    # Options (40 octets at most) must leave room for text
    c.snd_mss = most if most > 64 else 64


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
    c.snd_wnd_field = NO_FIELD if c.snd_wscale else seg.wnd
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
    # Text and FIN may come with the SYN
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
    c.uto_due = c.opt.uto_enabled               # again on the first segment without SYN: a peer may answer SYNs by cookies
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
