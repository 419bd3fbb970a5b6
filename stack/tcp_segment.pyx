"""One segment: header template, window, options, checksum, and the kinds without new text. Handed to netif_output.

RFC 9293 sections 3.7.4 and 3.8.6; RFC 6691 for the MSS; RFC 7323, 2018 and 5482 for the options; RFC 5961 for what draws a
challenge ACK. Also the answers to segments that have no connection. What is sent, and when, is tcp_output's.
"""
from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from dpdk_py.device cimport DEVICE_TX_L4_CSUM, FRAME_TX_L4_CSUM, frame

from .netif cimport netif, netif_alloc, netif_output
from .reassembly cimport reass_block
from .recorder cimport FAULT_ABORTED, recorder_fault, recorder_l4
from .seqnum cimport seq_gt, seq_lt
from .tcb cimport *
from .tcp_table cimport tcp_predict, tcp_retry_later
from .timer cimport NEVER
from .wire.checksum cimport csum_copy, csum_fold, csum_partial, csum_pseudo
from .wire.ethernet cimport ETH_HLEN
from .wire.ipv4 cimport IPPROTO_TCP, IPV4_DF, IPV4_ECN_ECT0, IPV4_HLEN, ipv4_emit, ipv4_hdr
from .wire.octets cimport likely, load_32, store_16, store_be16, store_be32, unlikely
from .wire.tcp cimport *

cdef enum:
    HEADERS = IPV4_HLEN + TCP_HLEN
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
