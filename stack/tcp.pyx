"""The user's calls on TCP (RFC 9293 section 3.9.1), the passing of time, and what ICMP says.

A `tcp_table` is attached to one netif: it takes the segments (tcp_input), is polled, and hears of ICMP errors. Time is
an argument; a step in which nothing is due costs one comparison, however many connections there are.
"""
from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from .isn cimport isn_make
from .netif cimport netif, netif_add_poller
from .random cimport random_next
from .reassembly cimport reass_consume, reass_next
from .seqnum cimport seq_ge, seq_gt, seq_lt
from .tcb cimport *
from .tcp_input cimport tcp_input
from .tcp_open cimport tcp_window_shift
from .tcp_output cimport *
from .tcp_segment cimport *
from .tcp_table cimport *
from .tcp_text cimport tcp_pass_up
from .tcp_timeout cimport tcp_smaller_mss, tcp_timeout_probe, tcp_timeout_reorder, tcp_timeout_rto
from .timer cimport NEVER, timer, timer_set, timers_due, timers_next
from .wire.ipv4 cimport IPPROTO_TCP, ipv4_hdr
from .wire.icmp cimport *
from .wire.octets cimport load_be16, load_be32, unlikely

cdef enum:
    EPHEMERAL_FIRST = 49152         # RFC 6335 section 6
    EPHEMERAL_COUNT = 16384
    LEAST_MSS = 64


cdef tcp_table *tcp_attach(netif *nif, uint32_t connections, uint32_t rcv_buf, uint32_t snd_buf) noexcept nogil:
    """TCP on this interface; NULL: no memory, a size out of range (see tcp_table_new), or too many pollers."""
    cdef tcp_table *t = tcp_table_new(nif, connections, rcv_buf, snd_buf)
    if t == NULL:
        return NULL
    if not netif_add_poller(nif, tcp_poll, tcp_deadline, t):
        tcp_table_free(t)
        return NULL
    nif.l4_input[IPPROTO_TCP] = tcp_input
    nif.l4_error[IPPROTO_TCP] = tcp_error
    nif.l4_ctx[IPPROTO_TCP] = t
    return t


cdef void tcp_detach(tcp_table *t) noexcept nogil:
    """Give the memory back; nobody is told, nothing is sent. The netif must not be polled afterwards."""
    t.nif.l4_input[IPPROTO_TCP] = NULL
    t.nif.l4_error[IPPROTO_TCP] = NULL
    t.nif.l4_ctx[IPPROTO_TCP] = NULL
    tcp_table_free(t)


cdef tcp_table *tcp_of(netif *nif) noexcept nogil:
    return <tcp_table *>nif.l4_ctx[IPPROTO_TCP]


# -- OPEN

cdef uint16_t tcp_choose_port(tcp_table *t, uint32_t dst, uint16_t dport) noexcept nogil:
    """A free ephemeral port towards that peer (RFC 6056 algorithm 2: random start, then the next free one); 0: none."""
    cdef uint32_t _i, at = <uint32_t>(random_next(&t.nif.random) % EPHEMERAL_COUNT)
    for _i in range(EPHEMERAL_COUNT):
        if (tcp_lookup(t, t.nif.addr, dst, <uint32_t>dport << 16 | (EPHEMERAL_FIRST + at)) == NULL
                and (not t.listening or tcp_listener_find(t, <uint16_t>(EPHEMERAL_FIRST + at)) == NULL)):
            return <uint16_t>(EPHEMERAL_FIRST + at)
        at = (at + 1) % EPHEMERAL_COUNT
    return 0


cdef tcb *tcp_connect(netif *nif, uint32_t dst, uint16_t dport, uint16_t sport, const tcp_options *o,
                      const tcp_sink *sink, uint64_t now_ns) noexcept nogil:
    """An active open: SYN is out, or waits for ARP, when this returns. NULL and why, counted:

    no_slot: every connection is in use. no_port: this 4-tuple is in use, or all ephemeral ports towards dst are, or dst
    is no unicast address (MUST-46). A 4-tuple of ours in TIME-WAIT is used again, above its old numbers.
    """
    cdef tcp_table *t = tcp_of(nif)
    cdef tcp_options defaults
    cdef uint32_t ports, floor_ = 0
    cdef bint again = False
    cdef tcb *c
    if o == NULL:
        tcp_options_default(&defaults)
        o = &defaults
    if (dst >> 29) == 7 or dst == 0 or dst == (nif.addr | ~nif.mask) and ~nif.mask > 1 or dport == 0:
        t.counters.no_port += 1
        return NULL
    if sport == 0:
        sport = tcp_choose_port(t, dst, dport)
    ports = <uint32_t>dport << 16 | sport
    c = tcp_lookup(t, nif.addr, dst, ports) if sport else NULL
    if c != NULL and c.state == TCP_TIME_WAIT and not c.in_upcall:
        floor_ = c.snd_nxt
        again = True
        t.counters.time_wait_reused += 1
        tcp_end(c, 0, now_ns)
        c = NULL                                    # whoever was told may have connected first: tcb_take looks
    if sport == 0 or c != NULL:
        t.counters.no_port += 1
        return NULL
    c = tcb_take(t, nif.addr, dst, ports, o, True, now_ns)
    if c == NULL:
        if tcp_lookup(t, nif.addr, dst, ports) != NULL:
            t.counters.no_port += 1
        else:
            t.counters.no_slot += 1
        return NULL
    if sink != NULL:
        c.sink = sink[0]
    c.iss = isn_make(t.secret, nif.addr, dst, ports, now_ns)
    if again and not seq_gt(c.iss, floor_):
        c.iss = floor_ + 0x10000
    c.snd_una = c.iss
    c.snd_nxt = c.snd_end = c.iss + 1
    c.snd_mss = 536
    c.rcv_wscale = <uint8_t>(tcp_window_shift(c.rcv_buf) if o.window_scale else 0)
    c.rcv.held = c.rcv.count = 0
    t.counters.opened_active += 1
    tcp_header_make(c)
    tcp_set_state(c, TCP_SYN_SENT)
    tcp_send_syn(c, TCP_TX_SYN, now_ns)
    c.rto_at_ns = now_ns + c.rto_ns
    if o.syn_timeout_ns:
        c.user_at_ns = now_ns + o.syn_timeout_ns
    tcp_rearm(c, now_ns)
    return c


cdef tcp_listener *tcp_listen(netif *nif, uint16_t port, const tcp_options *o, tcp_on_accept_fn on_accept,
                              void *ctx) noexcept nogil:
    """A passive open; NULL if somebody listens on that port already, or TCP_LISTENERS do."""
    cdef tcp_table *t = tcp_of(nif)
    cdef tcp_listener *l
    cdef uint32_t i
    if port == 0 or tcp_listener_find(t, port) != NULL:
        return NULL
    for i in range(TCP_LISTENERS):
        l = &t.listeners[i]
        if not l.used and l.half_open == 0:
            l.used = True
            l.port = port
            l.on_accept = on_accept
            l.ctx = ctx
            l.accepted = l.refused = 0
            if o == NULL:
                tcp_options_default(&l.opt)
            else:
                l.opt = o[0]
            t.listening += 1
            return l
    return NULL


cdef void tcp_unlisten(netif *nif, tcp_listener *l, uint64_t now_ns) noexcept nogil:
    """No more connections on that port. Half-open ones are reset, established ones stay."""
    cdef tcp_table *t = tcp_of(nif)
    cdef uint32_t i
    cdef tcb *c
    if not l.used:
        return
    for i in range(t.connections):
        c = <tcb *>(t.slots + <uint64_t>i * t.slot_size)
        if c.state == TCP_SYN_RECEIVED and c.passive and &t.listeners[c.listener_index] == l:
            tcp_send_rst(c, now_ns)
            tcp_end(c, 0, now_ns)
    l.used = False
    t.listening -= 1


# -- CLOSE, ABORT, RECEIVE

cdef void tcp_shutdown(tcb *c, uint64_t now_ns) noexcept nogil:
    """FIN after what is queued; text still comes in (half-close). A second call does nothing."""
    if c.fin_queued or c.state == TCP_CLOSED:
        return
    c.fin_queued = 1
    if c.state == TCP_ESTABLISHED:
        tcp_set_state(c, TCP_FIN_WAIT_1)
    elif c.state == TCP_CLOSE_WAIT:
        tcp_set_state(c, TCP_LAST_ACK)
    tcp_output(c, now_ns)


cdef void tcp_close(tcb *c, uint64_t now_ns) noexcept nogil:
    """The user is done with it: FIN after what is queued, and no more text is wanted.

    Text waiting unread is discarded and counted; new text is answered by RST (RFC 9293 section 3.6.1). While opening the
    attempt ends at once.
    """
    if c.closed_by_user or c.state == TCP_CLOSED:
        return
    c.closed_by_user = 1
    if c.state == TCP_SYN_SENT:
        tcp_end(c, 0, now_ns)
        return
    if not c.in_upcall:
        tcp_pass_up(c, now_ns)                      # discards
    tcp_shutdown(c, now_ns)
    tcp_predict(c)
    if c.state == TCP_FIN_WAIT_2 and c.opt.fin_wait_2_ns:
        c.wait_at_ns = now_ns + c.opt.fin_wait_2_ns
        tcp_rearm(c, now_ns)


cdef void tcp_abort(tcb *c, uint64_t now_ns) noexcept nogil:
    """RST, where the state has one to send (3.10.5), and CLOSED. Queued text is forgotten."""
    if c.state == TCP_CLOSED:
        return
    c.closed_by_user = 1
    if TCP_SYN_RECEIVED <= c.state <= TCP_CLOSE_WAIT:
        tcp_send_rst(c, now_ns)
    tcp_end(c, 0, now_ns)


cdef void tcp_urgent(tcb *c, uint64_t now_ns) noexcept nogil:
    """SND.UP = the end of what is queued: segments carry URG until it is acknowledged. Never sends by itself."""
    if c.state < TCP_SYN_SENT or c.fin_queued:
        return
    c.snd_up = c.snd_end
    c.urgent_out = seq_gt(c.snd_end, c.snd_una) and c.snd_end != c.iss + 1
    tcp_predict(c)


cdef uint32_t tcp_recv_waiting(const tcb *c) noexcept nogil:
    return c.rcv.held


cdef uint32_t tcp_recv(tcb *c, uint8_t *p, uint32_t n, uint64_t now_ns) noexcept nogil:
    """Up to n octets of what waits in order, copied to p; the peer is told when that made room for it to matter."""
    cdef const uint8_t *text
    cdef uint32_t waiting = reass_next(c.rcv, &text)
    if n > waiting:
        n = waiting
    memcpy(p, text, n)
    reass_consume(c.rcv, n)
    if c.state >= TCP_ESTABLISHED and tcp_window_moved(c):
        tcp_send_ack(c, TCP_TX_WINDOW, now_ns)
    return n


cdef void tcp_want_text(tcb *c, uint32_t need) noexcept nogil:
    c.rcv_need = need
    if c.rcv.held and c.rcv.held >= need:
        tcp_ready_later(c)


# -- time

cdef void tcp_rearm(tcb *c, uint64_t now_ns) noexcept nogil:
    """The timer fires at the earliest deadline of c; never at or before now, so that a step always ends."""
    cdef uint64_t at = c.rto_at_ns
    if c.state == TCP_CLOSED:
        return
    if c.pto_at_ns < at:
        at = c.pto_at_ns
    if c.reo_at_ns < at:
        at = c.reo_at_ns
    if c.ack_at_ns < at:
        at = c.ack_at_ns
    if c.wait_at_ns < at:
        at = c.wait_at_ns
    if c.keep_at_ns < at:
        at = c.keep_at_ns
    if c.user_at_ns < at:
        at = c.user_at_ns
    if at <= now_ns:
        at = now_ns + 1
    timer_set(&c.table.wheel, &c.wake, at)


cdef void tcp_wake(tcb *c, uint64_t now_ns) noexcept nogil:
    """Some deadline of c may have come: see to those that have."""
    if c.user_at_ns <= now_ns:
        tcp_give_up(c, now_ns)
        return
    if c.wait_at_ns <= now_ns:
        c.wait_at_ns = NEVER
        tcp_end(c, 0, now_ns)                       # 2 MSL are over, or a peer never sent its FIN
        return
    if c.state < TCP_ESTABLISHED:
        if c.rto_at_ns <= now_ns:
            c.backoff += 1
            c.rto_ns = 2 * c.rto_ns if 2 * c.rto_ns < c.opt.rto_max_ns else c.opt.rto_max_ns
            c.rto_at_ns = now_ns + c.rto_ns
            tcp_send_syn(c, TCP_TX_SYN_RETRANSMIT, now_ns)
        return
    if c.ack_at_ns <= now_ns:
        c.ack_at_ns = NEVER
        tcp_send_ack(c, TCP_TX_ACK, now_ns)
    if c.reo_at_ns <= now_ns:
        c.reo_at_ns = NEVER
        tcp_timeout_reorder(c, now_ns)
    if c.pto_at_ns <= now_ns:
        tcp_timeout_probe(c, now_ns)                # moves the retransmission timer along
    if c.rto_at_ns <= now_ns:
        if c.probe_out:
            tcp_timeout_persist(c, now_ns)
        else:
            tcp_timeout_rto(c, now_ns)
    if c.keep_at_ns <= now_ns:
        tcp_timeout_keep(c, now_ns)


cdef void tcp_give_up(tcb *c, uint64_t now_ns) noexcept nogil:
    """R2 (MUST-20): nothing acknowledged for too long."""
    cdef int event = TCP_EV_TIMEOUT
    c.user_at_ns = NEVER
    if c.state == TCP_SYN_RECEIVED and c.passive:
        event = 0
    elif c.state >= TCP_ESTABLISHED:
        tcp_send_rst(c, now_ns)
    tcp_end(c, event, now_ns)


cdef void tcp_timeout_persist(tcb *c, uint64_t now_ns) noexcept nogil:
    """The window has been closed, or too small to be worth a segment: send what fits, or ask (RFC 9293 3.8.6.1)."""
    cdef int32_t usable = <int32_t>(c.snd_una + c.snd_wnd - c.snd_nxt)
    cdef uint32_t n = c.snd_end - c.snd_nxt, room = tcp_text_room(c)
    if n > room:
        n = room
    if usable > 0:
        if n > <uint32_t>usable:
            n = usable
        if tcp_send_new(c, n, TCP_TX_TEXT, now_ns):
            return
    else:
        tcp_send_probe(c, TCP_TX_WINDOW_PROBE, now_ns)
        c.backoff += 1
    if c.opt.user_timeout_ns and c.user_at_ns == NEVER:
        c.user_at_ns = now_ns + c.opt.user_timeout_ns       # any answer takes it back (MUST-37)
    c.rto_at_ns = now_ns + tcp_persist_ns(c)


cdef void tcp_timeout_keep(tcb *c, uint64_t now_ns) noexcept nogil:
    """RFC 9293 section 3.8.4: is the peer there? Only asked when nothing else would show it."""
    if now_ns - c.last_rx_ns < c.opt.keep_idle_ns:
        c.keep_probes = 0
        c.keep_at_ns = c.last_rx_ns + c.opt.keep_idle_ns
    elif c.snd_una != c.snd_nxt or c.probe_out:
        c.keep_at_ns = now_ns + c.opt.keep_interval_ns
    elif c.keep_probes >= c.opt.keep_count:
        tcp_send_rst(c, now_ns)
        tcp_end(c, TCP_EV_TIMEOUT, now_ns)
    else:
        c.keep_probes += 1
        c.keep_at_ns = now_ns + c.opt.keep_interval_ns
        tcp_send_probe(c, TCP_TX_KEEPALIVE, now_ns)


cdef int tcp_poll(void *ctx, netif *nif, uint64_t now_ns) noexcept nogil:
    """Text that is wanted again, timers, refused segments, owed ACKs, ended connections: in this order. -> work done"""
    cdef tcp_table *t = <tcp_table *>ctx
    cdef int work = 0
    cdef timer *due
    cdef tcb *c
    if unlikely(nif.dev.mtu != t.mtu):
        work += tcp_poll_mtu(t, now_ns)
    if t.ready_list != NULL:
        work += tcp_poll_ready(t, now_ns)
    while timers_next(&t.wheel) <= now_ns:
        due = timers_due(&t.wheel, now_ns)
        c = <tcb *>due.owner
        c.in_upcall += 1
        tcp_wake(c, now_ns)
        c.in_upcall -= 1
        tcp_rearm(c, now_ns)
        work += 1
    if t.retry_list != NULL:
        work += tcp_poll_retry(t, now_ns)
    if t.ack_list != NULL:
        work += tcp_poll_acks(t, now_ns)
    if t.reap_list != NULL:
        work += tcp_reap(t)
    return work


cdef int tcp_poll_mtu(tcp_table *t, uint64_t now_ns) noexcept nogil:
    """The device's MTU has changed: what no longer fits is cut smaller, and what is in flight sent again, as RFC 1191
    does for a path. A larger one serves new connections only."""
    cdef uint32_t i, mss
    cdef tcb *c
    t.mtu = t.nif.dev.mtu
    mss = t.mtu - 40 if t.mtu > 40 + LEAST_MSS else LEAST_MSS
    for i in range(t.connections):
        c = <tcb *>(t.slots + <uint64_t>i * t.slot_size)
        if c.state == TCP_SYN_RECEIVED and c.snd_mss > mss:
            c.snd_mss = mss
        elif c.state >= TCP_ESTABLISHED and c.snd_mss > mss:
            c.in_upcall += 1
            tcp_smaller_mss(c, mss, now_ns)
            c.in_upcall -= 1
            tcp_rearm(c, now_ns)
    return 1


cdef int tcp_poll_ready(tcp_table *t, uint64_t now_ns) noexcept nogil:
    cdef tcb *c = t.ready_list
    cdef tcb *following
    cdef int work = 0
    t.ready_list = NULL
    while c != NULL:
        following = c.next_ready
        c.on_lists &= ~TCB_ON_READY
        c.in_upcall += 1
        tcp_pass_up(c, now_ns)
        if c.state >= TCP_ESTABLISHED and tcp_window_moved(c):
            tcp_send_ack(c, TCP_TX_WINDOW, now_ns)
        c.in_upcall -= 1
        work += 1
        c = following
    return work


cdef int tcp_poll_retry(tcp_table *t, uint64_t now_ns) noexcept nogil:
    cdef tcb *c = t.retry_list
    cdef tcb *following
    cdef int work = 0
    cdef uint8_t what
    t.retry_list = NULL
    while c != NULL:
        following = c.next_retry
        c.on_lists &= ~TCB_ON_RETRY
        what = c.refused
        c.refused = 0
        if c.state == TCP_SYN_SENT or c.state == TCP_SYN_RECEIVED:
            if what & TCP_RETRY_SYN:
                tcp_send_syn(c, TCP_TX_SYN_RETRANSMIT if c.backoff else TCP_TX_SYN if c.state == TCP_SYN_SENT
                             else TCP_TX_SYN_ACK, now_ns)
        elif c.state != TCP_CLOSED:
            if what & TCP_RETRY_ACK:
                tcp_send_ack(c, TCP_TX_ACK, now_ns)
            tcp_output(c, now_ns)
        work += 1
        c = following
    return work


cdef int tcp_poll_acks(tcp_table *t, uint64_t now_ns) noexcept nogil:
    """The end of the burst: one ACK for each connection whose text no segment of ours has acknowledged since."""
    cdef tcb *c = t.ack_list
    cdef tcb *following
    cdef int work = 0
    t.ack_list = NULL
    while c != NULL:
        following = c.next_ack
        c.on_lists &= ~TCB_ON_ACK
        if c.ack_pending and c.state != TCP_CLOSED:
            tcp_send_ack(c, TCP_TX_ACK, now_ns)
            work += 1
        c = following
    return work


cdef uint64_t tcp_deadline(void *ctx, netif *nif) noexcept nogil:
    """When tcp_poll has something to do: 0 = at once, NEVER = only when something arrives."""
    cdef tcp_table *t = <tcp_table *>ctx
    if t.ready_list != NULL or t.retry_list != NULL or t.ack_list != NULL or t.reap_list != NULL:
        return 0
    return timers_next(&t.wheel)


# -- ICMP

cdef bint tcp_error(void *ctx, netif *nif, const ipv4_hdr *quoted, uint32_t n, uint8_t type_, uint8_t code,
                    uint16_t mtu, bint local, uint64_t now_ns) noexcept nogil:
    """An ICMP error about a segment of ours (RFC 9293 section 3.9.2.2, RFC 5927): never ends an open connection.

    Only what quotes a sequence number in flight is heard; anybody could have sent it.
    """
    cdef tcp_table *t = <tcp_table *>ctx
    cdef uint32_t ports = <uint32_t>load_be16(quoted.payload + 2) << 16 | load_be16(quoted.payload)
    cdef uint32_t seq = load_be32(quoted.payload + 4)
    cdef tcb *c = tcp_lookup(t, quoted.source, quoted.destination, ports)
    if c == NULL or not (local or (c.snd_una != c.snd_nxt and seq_ge(seq, c.snd_una) and seq_lt(seq, c.snd_nxt))):
        t.counters.icmp_ignored += 1
        return False
    c.in_upcall += 1
    if type_ == ICMP_UNREACHABLE and code == ICMP_UNREACH_FRAG_NEEDED:
        tcp_path_mtu(c, mtu, now_ns)
    elif type_ == ICMP_SOURCE_QUENCH:
        pass                                        # MUST-55: silently discarded
    elif c.state == TCP_SYN_SENT and (local or (type_ == ICMP_UNREACHABLE and 2 <= code <= 3)):
        tcp_end(c, TCP_EV_UNREACHABLE, now_ns)      # SHLD-26 for hard errors; a soft one must not (MUST-56)
    elif c.state != TCP_SYN_RECEIVED:
        tcp_tell(c, TCP_EV_UNREACHABLE, now_ns)
    c.in_upcall -= 1
    tcp_rearm(c, now_ns)
    return True


cdef void tcp_path_mtu(tcb *c, uint32_t mtu, uint64_t now_ns) noexcept nogil:
    """RFC 1191: the next hop's MTU, or from an old router none: then the next lower plateau of its table 7-1."""
    cdef uint32_t mss
    if mtu == 0:
        mtu = c.snd_mss + 40
        mtu = 1492 if mtu > 1492 else 1006 if mtu > 1006 else 508 if mtu > 508 else 296 if mtu > 296 else 104
    mss = mtu - 40 if mtu > 40 + LEAST_MSS else LEAST_MSS
    if mss < c.snd_mss and c.state >= TCP_ESTABLISHED:
        tcp_smaller_mss(c, mss, now_ns)
