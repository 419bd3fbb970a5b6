"""Passive reassembly: both directions of TCP connections in a capture or on a mirror port, every octet once and in order.

RFC 9293 section 3.4 (sequence numbers) and 3.10.7.4 as an observer can follow them; the contract, and what differs from
an endpoint, is in tap.pxd. Memory is bounded by two numbers: connections, and octets that wait. No FIX here.
"""
from libc.stdint cimport INT64_MAX, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

from stack.seqnum cimport seq_gt, seq_lt
from stack.tap_packet cimport TAP_FRAGMENT, TAP_MALFORMED, TAP_NOT_IPV4, TAP_NOT_TCP, tap_packet, tap_packet_read, tap_verdict
from stack.tap_text cimport tap_advance, tap_drain, tap_patience, tap_release, tap_renew, tap_squeeze, tap_text
from stack.wire.checksum cimport tcp_csum
from stack.wire.ethernet cimport ETHERTYPE_IPV4, eth_hdr, eth_parse
from stack.wire.tcp cimport TCP_ACK, TCP_SYN, tcp_seg


cdef bint tap_init(tap *t, const tap_sink *sink, uint32_t flows, uint64_t memory) noexcept nogil:
    cdef uint32_t buckets = 16
    memset(t, 0, sizeof(tap))
    t.sink = sink[0]
    t.n_flows = flows
    while buckets < flows:
        buckets *= 2
    t.bucket_mask = buckets - 1
    t.buckets = <tap_flow **>calloc(buckets, sizeof(tap_flow *))
    t.flows = <tap_flow *>calloc(flows, sizeof(tap_flow))
    t.max_memory = memory
    t.grace_ns = 3_000_000_000
    if t.buckets == NULL or t.flows == NULL:
        tap_free(t)
        return False
    return True


cdef void tap_free(tap *t) noexcept nogil:
    """Give all memory back; what still waits is lost (tap_finish first)."""
    while t.oldest != NULL:
        tap_release(t, &t.oldest.flow.stream[t.oldest.direction])
    while tap_squeeze(t):
        pass
    free(t.buckets)
    free(t.flows)
    t.buckets = NULL
    t.flows = NULL


# -- a packet comes in

cdef void tap_ethernet(tap *t, const uint8_t *p, uint32_t n, bint cut, int64_t ts_ns) noexcept nogil:
    cdef eth_hdr eth
    if not eth_parse(&eth, p, n) or eth.ethertype != ETHERTYPE_IPV4:
        t.stats.packets += 1
        t.stats.not_ipv4 += 1
        return
    tap_ipv4(t, eth.payload, eth.payload_len, cut, ts_ns)


cdef void tap_ipv4(tap *t, const uint8_t *p, uint32_t n, bint cut, int64_t ts_ns) noexcept nogil:
    cdef tap_packet x
    cdef tap_verdict verdict = tap_packet_read(&x, p, n, cut)
    t.stats.packets += 1
    if verdict == TAP_NOT_IPV4:
        t.stats.not_ipv4 += 1
    elif verdict == TAP_MALFORMED:
        t.stats.malformed += 1
    elif verdict == TAP_FRAGMENT:
        t.stats.fragments += 1
    elif verdict == TAP_NOT_TCP:
        t.stats.not_tcp += 1
    elif t.checksums and x.whole and tcp_csum(x.source, x.destination, x.tcp, x.tcp_len) != 0:
        t.stats.bad_checksum += 1
    else:
        t.stats.cut += not x.whole
        tap_segment(t, x.source, x.destination, &x.seg, ts_ns)


cdef void tap_segment(tap *t, uint32_t source, uint32_t destination, const tcp_seg *seg, int64_t ts_ns) noexcept nogil:
    cdef tap_flow *flow
    cdef tap_stream *s
    cdef tap_stream *back
    cdef uint32_t seq = seg.seq
    cdef int d
    t.stats.segments += 1
    if source < destination or (source == destination and seg.source_port <= seg.destination_port):
        d = 0
        flow = tap_lookup(t, source, seg.source_port, destination, seg.destination_port)
    else:
        d = 1
        flow = tap_lookup(t, destination, seg.destination_port, source, seg.source_port)
    if seg.flags & TCP_SYN:
        tap_syn(t, flow, d, seq)
        seq += 1
    flow.segments += 1
    s = &flow.stream[d]
    back = &flow.stream[d ^ 1]
    if seg.flags & TCP_ACK and (not back.ack_seen or seq_gt(seg.ack, back.acked)):
        back.ack_seen = True
        back.acked = seg.ack
    if seg.text_len:
        tap_text(t, flow, d, seq, seg.text, seg.text_len, ts_ns)
    if s.wait != NULL:
        tap_patience(t, flow, d, ts_ns)
    if back.wait != NULL:
        tap_patience(t, flow, d ^ 1, ts_ns)


cdef inline bint tap_begins_before(const tap_stream *s, uint32_t seq) noexcept nogil:
    """Text that waits for its beginning lies before `seq`."""
    return s.state == TAP_HELD and s.wait.r.count and seq_lt(s.wait.r.ranges[0].seq, seq)


cdef void tap_syn(tap *t, tap_flow *flow, int d, uint32_t isn) noexcept nogil:
    """A SYN begins its stream; one with another ISN than the stream has begins another connection on the same ports."""
    cdef tap_stream *s = &flow.stream[d]
    cdef tap_buffer *b
    if s.syn_seen and s.isn == isn:
        return
    if s.state != TAP_NOTHING and (s.syn_seen or s.first - (isn + 1) > TAP_BACK or tap_begins_before(s, isn + 1)):
        tap_renew(t, flow)
    s.syn_seen = True
    s.isn = isn
    if s.state == TAP_NOTHING:
        s.nxt = isn + 1
        s.high = isn + 1
        s.state = TAP_LIVE
    elif s.state == TAP_HELD:
        # Captured behind its own text: now the beginning is known, nothing lies before it.
        b = s.wait
        b.r.head += isn + 1 - b.r.nxt
        b.r.nxt = isn + 1
        s.nxt = isn + 1
        s.state = TAP_LIVE
        if b.r.count and b.r.ranges[0].seq == b.r.nxt:
            tap_advance(t, flow, d)


cdef void tap_finish(tap *t) noexcept nogil:
    cdef uint32_t i
    while t.oldest != NULL:
        tap_drain(t, t.oldest.flow, t.oldest.direction)
    memset(t.buckets, 0, (t.bucket_mask + 1) * sizeof(tap_flow *))
    for i in range(t.used_flows):
        memset(&t.flows[i], 0, sizeof(tap_flow))
    t.used_flows = 0
    t.free_flows = t.coldest = t.warmest = t.recent = NULL


cdef int64_t tap_watermark(const tap *t) noexcept nogil:
    cdef int64_t ns = INT64_MAX
    cdef const tap_buffer *b = t.oldest
    while b != NULL:
        if b.since_ns < ns:
            ns = b.since_ns
        b = b.newer
    return ns


# -- the table of connections

cdef tap_flow *tap_lookup(tap *t, uint32_t a, uint16_t a_port, uint32_t b, uint16_t b_port) noexcept nogil:
    """The connection between these ends, (a, a_port) the lower; a new one if there is none yet."""
    cdef tap_flow *f = t.recent
    cdef tap_flow **bucket
    if f != NULL and tap_is(f, a, a_port, b, b_port):
        return f
    bucket = &t.buckets[tap_bucket(t, a, a_port, b, b_port)]
    f = bucket[0]
    while f != NULL and not tap_is(f, a, a_port, b, b_port):
        f = f.chain
    if f != NULL:
        tap_unlink(t, f)
    else:
        f = tap_new_flow(t)
        bucket = &t.buckets[tap_bucket(t, a, a_port, b, b_port)]
        f.addr[0] = a
        f.addr[1] = b
        f.port[0] = a_port
        f.port[1] = b_port
        f.number = t.stats.flows
        t.stats.flows += 1
        f.chain = bucket[0]
        bucket[0] = f
    f.warmer = NULL
    f.colder = t.warmest
    if t.warmest != NULL:
        t.warmest.warmer = f
    else:
        t.coldest = f
    t.warmest = f
    t.recent = f
    return f


cdef void tap_unlink(tap *t, tap_flow *f) noexcept nogil:
    if f.colder != NULL:
        f.colder.warmer = f.warmer
    else:
        t.coldest = f.warmer
    if f.warmer != NULL:
        f.warmer.colder = f.colder
    else:
        t.warmest = f.colder


cdef tap_flow *tap_new_flow(tap *t) noexcept nogil:
    """An empty slot; the connection that was silent longest is forgotten for it where all are in use."""
    cdef tap_flow *f
    cdef tap_flow **at
    if t.used_flows < t.n_flows:
        f = &t.flows[t.used_flows]
        t.used_flows += 1
        return f
    f = t.coldest
    tap_drain(t, f, 0)
    tap_drain(t, f, 1)
    tap_unlink(t, f)
    at = &t.buckets[tap_bucket(t, f.addr[0], f.port[0], f.addr[1], f.port[1])]
    while at[0] != f:
        at = &at[0].chain
    at[0] = f.chain
    memset(f, 0, sizeof(tap_flow))
    t.stats.evicted += 1
    return f
