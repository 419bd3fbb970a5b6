"""Segments leave here: the send ring, header templates, windows, retransmission.

RFC 9293 sections 3.7.4, 3.8.3, 3.8.6; RFC 6691 for the MSS; RFC 7323, 2018 and 5482 for the options. What is sent when an
acknowledgement or a timer says so is decided in tcp_recovery; here it is built and handed to netif_output. There is no
Nagle algorithm and no timer on the way of new text: what the windows allow leaves before tcp_send returns.
"""
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from dpdk_py.device cimport DEVICE_TX_L4_CSUM, FRAME_TX_L4_CSUM, frame

from .netif cimport netif, netif_alloc, netif_output
from .reassembly cimport reass_block
from .recorder cimport FAULT_ABORTED, recorder_fault, recorder_l4
from .seqnum cimport seq_gt, seq_lt
from .tcb cimport *
from .tcp_table cimport tcp_predict, tcp_retry_later
from .timer cimport NEVER, timer_by
from .wire.checksum cimport csum_copy, csum_fold, csum_partial, csum_pseudo
from .wire.ethernet cimport ETH_HLEN
from .wire.ipv4 cimport IPPROTO_TCP, IPV4_DF, IPV4_ECN_ECT0, IPV4_HLEN, ipv4_emit, ipv4_hdr
from .wire.octets cimport likely, load_32, store_16, store_be16, store_be32, unlikely
from .wire.tcp cimport *

cdef enum:
    HEADERS = IPV4_HLEN + TCP_HLEN
    PERSIST_MIN_NS = 5000000            # an unanswered window probe is repeated after the RTO, at least this
    S = 1000000000
    ANSWERS = 10                        # of each connection in a half second

cdef extern from *:
    """
    static inline uint64_t fw_swab32(uint32_t x) { return __builtin_bswap32(x); }
    static inline uint64_t fw_swab16(uint32_t x) { return __builtin_bswap16((uint16_t)x); }
    """
    uint64_t swab32 "fw_swab32"(uint32_t x) noexcept nogil
    uint64_t swab16 "fw_swab16"(uint32_t x) noexcept nogil


cdef void tcp_header_make(tcb *c) noexcept nogil:
    """The template of every segment of c, and the sums of its constant part.

    Sums are kept as in wire/checksum: over octets as they lie in memory. Total Length, TOS, SEQ, ACK, flags, window and
    urgent pointer are 0 in the template and added per segment. DF is set: RFC 1191, and RFC 6864 then frees us of the
    identification.
    """
    cdef uint8_t *p = c.header
    ipv4_emit(p, 0, 0, 0, IPV4_DF, c.opt.ttl, IPPROTO_TCP, c.local_addr, c.remote_addr)
    store_16(p + 10, 0)
    c.ip_sum = csum_partial(p, IPV4_HLEN, 0)
    tcp_emit(p + IPV4_HLEN, <uint16_t>(c.ports & 0xFFFF), <uint16_t>(c.ports >> 16), 0, 0, 0, 0, 0, 0)
    c.tcp_sum = csum_pseudo(c.local_addr, c.remote_addr, IPPROTO_TCP, 0) + load_32(p + IPV4_HLEN)


# -- windows

cdef inline uint32_t tcp_window_edge(const tcb *c) noexcept nogil:
    """The right edge of the window we could offer now; it never moves left (SHLD-14), and not by little (MUST-39)."""
    cdef uint32_t room, edge, step, most = <uint32_t>0xFFFF << c.rcv_wscale
    if most > c.rcv_buf:                            # all a header can say; more would look like news with every read
        most = c.rcv_buf
    room = c.rcv_buf - c.rcv.held if c.rcv.held < c.rcv_buf else 0
    if room > most:
        room = most
    edge = c.rcv_nxt + room
    if <int32_t>(edge - c.rcv_adv) <= 0:
        return c.rcv_adv
    step = most >> 1 if most >> 1 < c.snd_mss else c.snd_mss
    if unlikely(room < most >> 2 or room < step):
        # RFC 9293 section 3.8.6.2.2, applied where windows are small enough to be silly
        if edge - c.rcv_adv < step:
            return c.rcv_adv
    return edge


cdef bint tcp_window_moved(tcb *c) noexcept nogil:
    """True if the reader has made so much room that the peer should be told at once."""
    cdef uint32_t edge = tcp_window_edge(c), gain = edge - c.rcv_adv, step = 2 * c.snd_mss
    if c.rcv_adv - c.rcv_nxt < c.snd_mss:           # the peer may be waiting for it
        step = c.snd_mss
    if step > c.rcv_buf >> 1:
        step = c.rcv_buf >> 1
    return gain != 0 and gain >= step


cdef inline uint32_t tcp_options_room(const tcb *c) noexcept nogil:
    """Octets of options on a segment of c as things stand."""
    cdef uint32_t n = 12 if c.ts_ok else 0, blocks
    if c.uto_due:
        n += TCPOLEN_UTO
    if c.sack_ok and (c.rcv.count or c.dsack_due):
        blocks = c.rcv.count + c.dsack_due
        if blocks > (TCP_MAX_OPTIONS - 4 - n) // 8:
            blocks = (TCP_MAX_OPTIONS - 4 - n) // 8
        n += 4 + 8 * blocks
    return n


cdef uint32_t tcp_text_room(const tcb *c) noexcept nogil:
    """Text octets that fit into one segment: the MSS less the options that will be on it (RFC 6691)."""
    return c.snd_mss - tcp_options_room(c)


# -- one segment

cdef inline uint32_t tcp_put_options(tcb *c, uint8_t *p, uint32_t room, uint64_t now_ns) noexcept nogil:
    """Timestamps, the user timeout if it is due, as many SACK blocks as `room` octets allow; returns the octets written."""
    cdef tcp_sack_block blocks[TCP_MAX_SACK]
    cdef uint32_t n = 0, count = 0, i = 0, seq, end, most
    if c.ts_ok:
        n = tcp_emit_timestamps(p, tcp_ts_now(c, now_ns), c.ts_recent, True)
    if c.uto_due and room >= n + TCPOLEN_UTO:
        n += tcp_emit_uto(p + n, tcp_uto_field(c.opt.adv_uto_ns))
        c.uto_due = 0                               # it need not arrive (RFC 5482 section 3.2)
        tcp_predict(c)
    if c.sack_ok and (c.rcv.count or c.dsack_due) and room >= n + 12:
        most = (room - n - 4) // 8
        if most > (TCP_MAX_OPTIONS - 4 - n) // 8:
            most = (TCP_MAX_OPTIONS - 4 - n) // 8
        if c.dsack_due:
            # RFC 2883 section 4: the first block is what came twice
            blocks[0].left = c.dsack_seq
            blocks[0].right = c.dsack_end
            count = 1
            c.dsack_due = 0
        while count < most and reass_block(c.rcv, i, &seq, &end):
            blocks[count].left = seq
            blocks[count].right = end
            count += 1
            i += 1
        if count:
            n += tcp_emit_sack(p + n, blocks, count)
    return n


cdef bint tcp_emit_segment(tcb *c, uint32_t seq, uint32_t flags, const uint8_t *direct, uint32_t n, int reason,
                           uint64_t now_ns) noexcept nogil:
    """Build and send one segment with n octets of text beginning at seq, from `direct` or else from the send ring.

    False: no frame, or refused below (counted): nothing about c has changed but that. True: it is out, or waits for ARP.
    """
    cdef tcp_table *t = c.table
    cdef netif *nif = t.nif
    cdef frame f
    cdef uint8_t *p
    cdef uint8_t *text
    cdef uint32_t options = 0, hlen, total, edge, wnd, word, ack, cut, at
    cdef uint64_t sum
    cdef uint8_t tos = c.opt.tos
    if unlikely(not netif_alloc(nif, &f)):
        t.counters.tx_refused += 1
        return False
    p = f.data + ETH_HLEN
    memcpy(p, c.header, HEADERS)
    if unlikely(c.ts_ok or c.rcv.count or c.dsack_due or c.uto_due) and not flags & TCP_RST:
        options = tcp_put_options(c, p + HEADERS, c.snd_mss - n, now_ns)
    if unlikely(flags & TCP_SYN):
        options = tcp_syn_options(c, p + HEADERS, now_ns)
    hlen = TCP_HLEN + options
    total = IPV4_HLEN + hlen + n
    edge = tcp_window_edge(c)
    wnd = edge - c.rcv_nxt
    if unlikely(wnd > 0xFFFF or c.rcv_wscale):
        if not flags & TCP_SYN:
            wnd >>= c.rcv_wscale
        if wnd > 0xFFFF:
            wnd = 0xFFFF
        edge = c.rcv_nxt + (wnd << (0 if flags & TCP_SYN else c.rcv_wscale))
        if seq_lt(edge, c.rcv_adv):
            edge = c.rcv_adv                        # rounded down by the scale; what was promised stays promised
    ack = c.rcv_nxt if flags & TCP_ACK else 0
    if unlikely(c.ecn_ok):
        flags |= tcp_ecn_flags(c, seq, n, reason, &tos)
    store_be16(p + 2, <uint16_t>total)
    sum = c.ip_sum + swab16(total)
    if tos:
        p[1] = tos
        sum += <uint64_t>tos << 8
    store_16(p + 10, csum_fold(sum))
    p += IPV4_HLEN
    word = hlen << 10 | flags
    store_be32(p + 4, seq)
    store_be32(p + 8, ack)
    store_be16(p + 12, <uint16_t>word)
    store_be16(p + 14, <uint16_t>wnd)
    sum = c.tcp_sum + swab16(hlen + n) + swab32(seq) + swab32(ack) + swab16(word) + swab16(wnd)
    if unlikely(flags & TCP_URG):
        at = c.snd_up - seq if c.snd_up - seq < 0xFFFF else 0xFFFF
        store_be16(p + 18, <uint16_t>at)
        sum += swab16(at)
    text = p + hlen
    if unlikely(nif.dev.caps & DEVICE_TX_L4_CSUM):
        f.flags |= FRAME_TX_L4_CSUM
        tcp_text_copy(c, text, seq, direct, n)
        # the pseudo-header's sum, not complemented: the device adds the rest
        store_16(p + 16, ~csum_fold(csum_pseudo(c.local_addr, c.remote_addr, IPPROTO_TCP, hlen + n)))
    else:
        if unlikely(options):
            sum = csum_partial(p + TCP_HLEN, options, sum)
        if direct != NULL:
            sum = csum_copy(text, direct, n, sum)
        elif n:
            at = seq & c.ring_mask
            cut = c.ring_mask + 1 - at
            if likely(cut >= n):
                sum = csum_copy(text, c.ring + at, n, sum)
            else:
                tcp_text_copy(c, text, seq, NULL, n)
                sum = csum_partial(text, n, sum)
        store_16(p + 16, csum_fold(sum))
    f.len = ETH_HLEN + total
    if unlikely(nif.recorder != NULL):
        recorder_l4(nif.recorder, IPPROTO_TCP, reason, c.state)
    if unlikely(not netif_output(nif, &f, c.remote_addr, now_ns)):
        t.counters.tx_refused += 1
        return False
    t.counters.segments_out += 1
    t.counters.tx[reason] += 1
    c.segs_out += 1
    c.last_tx_ns = now_ns
    if flags & TCP_ACK:
        c.rcv_adv = edge
        c.last_ack_sent = ack
        c.ack_pending = 0
        c.unacked_full = 0
        c.ack_at_ns = NEVER
    return True


cdef inline void tcp_text_copy(tcb *c, uint8_t *to, uint32_t seq, const uint8_t *direct, uint32_t n) noexcept nogil:
    cdef uint32_t at = seq & c.ring_mask, cut = c.ring_mask + 1 - at
    if direct != NULL:
        memcpy(to, direct, n)
    elif cut >= n:
        memcpy(to, c.ring + at, n)
    else:
        memcpy(to, c.ring + at, cut)
        memcpy(to + cut, c.ring, n - cut)


cdef uint32_t tcp_ecn_flags(tcb *c, uint32_t seq, uint32_t n, int reason, uint8_t *tos) noexcept nogil:
    """ECE and CWR as RFC 3168 section 6.1 wants them; ECT(0) on new text only (6.1.5), so never on SYN or a bare ACK."""
    cdef uint32_t flags = 0
    if c.state < TCP_ESTABLISHED:
        return 0
    if c.ecn_echo:
        flags |= TCP_ECE
    if n and reason == TCP_TX_TEXT:
        tos[0] |= IPV4_ECN_ECT0
        if c.cwr_due:
            c.cwr_due = 0
            flags |= TCP_CWR
    return flags


cdef uint32_t tcp_syn_options(tcb *c, uint8_t *p, uint64_t now_ns) noexcept nogil:
    """MSS, SACK-permitted, timestamps, window scale: offered on SYN, repeated on SYN-ACK where the peer offered them too.
    And the user timeout, which is no offer (RFC 5482 section 3.1): whoever has it enabled says it.

    The order is Linux's, since some middleboxes have seen no other.
    """
    cdef bint answer = c.state == TCP_SYN_RECEIVED
    cdef bint sack = c.sack_ok if answer else c.opt.sack
    cdef bint ts = c.ts_ok if answer else c.opt.timestamps
    cdef bint scale = c.wscale_ok if answer else c.opt.window_scale
    cdef uint32_t n = tcp_emit_mss(p, tcp_own_mss(c))
    if sack and ts:
        n += tcp_emit_sack_permitted(p + n, False)
    elif sack:
        n += tcp_emit_sack_permitted(p + n, True)
    if ts:
        n += tcp_emit_timestamps(p + n, tcp_ts_now(c, now_ns), c.ts_recent if answer else 0, not sack)
    if scale:
        n += tcp_emit_wscale(p + n, c.rcv_wscale)
    if c.opt.uto_enabled:
        n += tcp_emit_uto(p + n, tcp_uto_field(c.opt.adv_uto_ns))
    return n


cdef inline uint16_t tcp_own_mss(const tcb *c) noexcept nogil:
    """What we announce: what one frame can bring us (RFC 6691: options are the sender's business)."""
    cdef uint32_t most = c.table.nif.dev.mtu - HEADERS
    return <uint16_t>(c.opt.mss if 0 < c.opt.mss < most else most)


# -- kinds of segments without new text

cdef bint tcp_send_syn(tcb *c, int reason, uint64_t now_ns) noexcept nogil:
    """SYN in SYN-SENT, SYN-ACK in SYN-RECEIVED; first or again."""
    cdef uint32_t flags = TCP_SYN
    if c.state == TCP_SYN_RECEIVED:
        flags |= TCP_ACK
        if c.ecn_ok:
            flags |= TCP_ECE
    elif c.opt.ecn and reason == TCP_TX_SYN:
        flags |= TCP_ECE | TCP_CWR                  # not on a retransmission: a middlebox may have eaten it (6.1.1.1)
    if tcp_emit_segment(c, c.iss, flags, NULL, 0, reason, now_ns):
        c.refused &= ~TCP_RETRY_SYN
        return True
    c.refused |= TCP_RETRY_SYN
    tcp_retry_later(c)
    return False


cdef bint tcp_send_ack(tcb *c, int reason, uint64_t now_ns) noexcept nogil:
    """<SEQ=SND.NXT><ACK=RCV.NXT><CTL=ACK>"""
    if likely(tcp_emit_segment(c, c.snd_nxt, TCP_ACK, NULL, 0, reason, now_ns)):
        c.refused &= ~TCP_RETRY_ACK
        return True
    c.refused |= TCP_RETRY_ACK
    tcp_retry_later(c)
    return False


cdef bint tcp_send_rst(tcb *c, uint64_t now_ns) noexcept nogil:
    """<SEQ=SND.NXT><CTL=RST>, with ACK where the peer knows our number only that way (RFC 9293 section 3.5.2)."""
    c.table.counters.aborted += 1
    recorder_fault(c.table.nif.recorder, FAULT_ABORTED)
    return tcp_emit_segment(c, c.snd_nxt, TCP_RST | TCP_ACK, NULL, 0, TCP_TX_RST, now_ns)


cdef bint tcp_may_answer(tcb *c, uint64_t now_ns) noexcept nogil:
    """True ANSWERS times a half second: what may be forged draws no more ACKs than that (RFC 5961 section 7).

    The count is the connection's own. One of the whole table tells the owner of one connection how many ACKs another has
    drawn, and so whether a guess about that other one was right (CVE-2016-5696).
    """
    cdef uint32_t period = <uint32_t>(now_ns // (S // 2))
    if period != c.answer_period:
        c.answer_period = period
        c.answers = 0
    if c.answers >= ANSWERS:
        c.table.counters.challenge_limited += 1
        return False
    c.answers += 1
    return True


cdef void tcp_answer_stray(tcb *c, uint64_t now_ns) noexcept nogil:
    """RFC 9293 wants an ACK for a segment outside the window. Where it has no text there is a limit: two ends that each hold
    the other's ACKs for old would answer each other for ever."""
    if tcp_may_answer(c, now_ns):
        c.ack_pending = 2


cdef bint tcp_challenge_ack(tcb *c, uint64_t now_ns) noexcept nogil:
    """RFC 5961: an ACK that only the true peer can answer."""
    return tcp_may_answer(c, now_ns) and tcp_send_ack(c, TCP_TX_CHALLENGE_ACK, now_ns)


cdef bint tcp_send_probe(tcb *c, int reason, uint64_t now_ns) noexcept nogil:
    """Something the peer must answer: the next octet into its closed window (MUST-36), or an old number (keepalive)."""
    if reason == TCP_TX_WINDOW_PROBE and seq_gt(c.snd_end, c.snd_nxt):
        c.probe_out = 2                             # that octet may be acknowledged though SND.NXT has not moved
        return tcp_emit_segment(c, c.snd_nxt, TCP_ACK | TCP_PSH, NULL, 1, reason, now_ns)
    return tcp_emit_segment(c, c.snd_nxt - 1, TCP_ACK, NULL, 0, reason, now_ns)


cdef bint tcp_reply(tcp_table *t, const ipv4_hdr *ip, const tcp_seg *seg, uint32_t seq, uint32_t ack, uint32_t flags,
                    uint32_t wnd, uint16_t mss, uint8_t ttl, int reason, uint64_t now_ns) noexcept nogil:
    """An answer to `seg` without a connection."""
    cdef netif *nif = t.nif
    cdef frame f
    cdef uint8_t *p
    cdef uint32_t n = TCP_HLEN
    if not netif_alloc(nif, &f):
        t.counters.tx_refused += 1
        return False
    p = f.data + ETH_HLEN + IPV4_HLEN
    if mss:
        n += tcp_emit_mss(p + TCP_HLEN, mss)
    tcp_emit(p, seg.destination_port, seg.source_port, seq, ack, <uint16_t>n, <uint16_t>flags, <uint16_t>wnd, 0)
    ipv4_emit(p - IPV4_HLEN, 0, <uint16_t>(IPV4_HLEN + n), 0, IPV4_DF, ttl, IPPROTO_TCP, ip.destination, ip.source)
    store_16(p + 16, csum_fold(csum_partial(p, n, csum_pseudo(ip.destination, ip.source, IPPROTO_TCP, n))))
    f.len = ETH_HLEN + IPV4_HLEN + n
    if nif.recorder != NULL:
        recorder_l4(nif.recorder, IPPROTO_TCP, reason, TCP_CLOSED)
    if not netif_output(nif, &f, ip.source, now_ns):
        t.counters.tx_refused += 1
        return False
    t.counters.segments_out += 1
    t.counters.tx[reason] += 1
    return True


cdef bint tcp_reply_rst(tcp_table *t, const ipv4_hdr *ip, const tcp_seg *seg, uint64_t now_ns) noexcept nogil:
    """RFC 9293 section 3.10.7.1: a reset the peer will believe. The caller has made sure `seg` is none itself."""
    cdef uint32_t end
    if seg.flags & TCP_ACK:
        return tcp_reply(t, ip, seg, seg.ack, 0, TCP_RST, 0, 0, 64, TCP_TX_RST, now_ns)
    end = seg.seq + seg.text_len + (seg.flags & TCP_SYN != 0) + (seg.flags & TCP_FIN != 0)
    return tcp_reply(t, ip, seg, 0, end, TCP_RST | TCP_ACK, 0, 0, 64, TCP_TX_RST, now_ns)


cdef bint tcp_reply_cookie(tcp_table *t, const ipv4_hdr *ip, const tcp_seg *seg, uint32_t iss, uint16_t mss,
                           uint16_t window, uint8_t ttl, uint64_t now_ns) noexcept nogil:
    """A SYN-ACK nobody here will remember; no option but MSS, since there is nowhere to keep the others."""
    t.counters.cookies_sent += 1
    return tcp_reply(t, ip, seg, iss, seg.seq + 1, TCP_SYN | TCP_ACK, window, mss, ttl, TCP_TX_COOKIE, now_ns)


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
