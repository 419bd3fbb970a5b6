"""Fuzzed: frames into the whole stack, with a listener and an established connection; time and the user come from the input.

Octet number s of the peer's stream is fuzz_octet(s), of ours fuzz_octet(~s), s being the sequence number: the harness puts
them into every frame it sends, however twisted, and asks for them in every text the stack passes up and every segment it
sends. After each step frames and segments are accounted for exactly, and every connection's books agree with themselves.
"""
from libc.stddef cimport size_t
from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from dpdk_py.device cimport *
from fuzz_input cimport *
from fuzz_wire cimport *
from stack.netif cimport *
from stack.neighbor cimport neighbor_add_static
from stack.reassembly cimport reass
from stack.seqnum cimport seq_gt, seq_le
from stack.tcb cimport *
from stack.tcp cimport *
from stack.tcp_table cimport tcp_lookup
from stack.timer cimport NEVER
from stack.wire.ethernet cimport ETH_HLEN
from stack.wire.octets cimport load_be16, load_be32, store_be16, store_be32
from stack.wire.tcp cimport *

cdef enum:
    SLOTS = 6
    MTU = 1500
    LONGEST = 1600              # octets of a frame of the peer's
    OWN_PORT = 50000            # of the connection that is there from the beginning; the peer's port is 80
    LISTEN_PORT = 7             # peers 4001, 4002, 4003 connect there

cdef struct user:                   # of the connection in one slot
    bint started
    uint32_t got                    # number of the next octet to be passed up
    uint32_t greed                  # how much is used up at once: 0 all, else a part

cdef struct peer:
    uint32_t seq                    # what the peer believes while there is no connection
    uint32_t ack

cdef struct world:
    device dev
    netif nif
    tcp_table *t
    tcp_listener *l
    uint64_t now
    int32_t out                     # frames given by alloc and not come back
    uint8_t tx_mode                 # 1: the queue is full, 2: no frame to be had
    uint32_t greed
    const char *why
    user[SLOTS] users
    peer[4] peers
    uint8_t[LONGEST] last           # the frame received last
    uint32_t last_len

cdef world w
cdef device_ops ops
cdef int planted = 0    # 1: an octet is lost on the way up where more than 200 come at once


cdef void wrong(const char *why) noexcept nogil:
    if w.why == NULL:
        w.why = why


# -- the device

cdef bint dev_alloc(device *d, frame *f) noexcept nogil:
    cdef uint8_t *p
    if w.tx_mode == 2:
        return False
    p = <uint8_t *>malloc(FRAME_HEADROOM + MTU + 18)
    memset(f, 0, sizeof(frame))
    f.data = p + FRAME_HEADROOM
    f.room = MTU + 18
    f.handle = p
    w.out += 1
    return True


cdef void dev_free(device *d, frame *frames, int n) noexcept nogil:
    cdef int i
    for i in range(n):
        free(frames[i].handle)
        w.out -= 1


cdef int dev_rx(device *d, frame *frames, int n, uint64_t now_ns) noexcept nogil:
    return 0


cdef int dev_tx(device *d, frame *frames, int n, uint64_t now_ns) noexcept nogil:
    cdef int i
    if w.tx_mode == 1:
        return 0
    for i in range(n):
        sent(frames[i].data, frames[i].len)
    dev_free(d, frames, n)
    return n


ops.alloc, ops.free, ops.rx_burst, ops.tx_burst = dev_alloc, dev_free, dev_rx, dev_tx


cdef int peer_of(uint32_t ports) noexcept nogil:
    """Which of the four peers (remote port << 16 | local port) this is, -1: none."""
    if ports == (80 << 16 | OWN_PORT):
        return 0
    if (ports & 0xFFFF) == LISTEN_PORT and 4001 <= (ports >> 16) <= 4003:
        return <int>(ports >> 16) - 4000
    return -1


cdef uint32_t ports_of(int k) noexcept nogil:
    return <uint32_t>80 << 16 | OWN_PORT if k == 0 else <uint32_t>(4000 + k) << 16 | LISTEN_PORT


cdef void sent(const uint8_t *p, uint32_t n) noexcept nogil:
    """A frame of ours on the wire: form, checksums, and the octets of its text."""
    cdef uint32_t total, text, i, seq, ports
    cdef int k
    cdef uint16_t flags
    if n < ETH_HLEN or n > w.dev.mtu + ETH_HLEN:
        wrong(b"a frame shorter or longer than the device takes")
        return
    if load_be16(p + 12) != 0x0800:
        return
    p += ETH_HLEN
    total = load_be16(p + 2)
    if n < ETH_HLEN + 20 or p[0] != 0x45 or total < 20 or total > n - ETH_HLEN or folded(words(p, 20, 0)) != 0xFFFF:
        wrong(b"an IPv4 header of ours is wrong")
        return
    if p[9] != 6:
        return
    if total < 40 or folded(words(p + 20, total - 20, words(p + 12, 8, 6 + total - 20))) != 0xFFFF:
        wrong(b"a TCP checksum of ours is wrong")
        return
    text = 20 + (p[32] >> 4) * 4
    if text < 40 or text > total:
        wrong(b"a data offset of ours is wrong")
        return
    seq = load_be32(p + 24)
    flags = load_be16(p + 32) & 0x1FF
    for i in range(total - text):
        if p[text + i] != fuzz_octet(~(seq + i)):
            wrong(b"an octet we sent is not the one at its place in the stream")
            return
    ports = <uint32_t>load_be16(p + 22) << 16 | load_be16(p + 20)
    k = peer_of(ports)
    if k >= 0 and flags & TCP_SYN:
        w.peers[k].ack = seq + 1


# -- the user

cdef uint32_t on_text(void *ctx, tcb *c, const uint8_t *p, uint32_t n, uint64_t now_ns) noexcept nogil:
    cdef user *u = &w.users[c.index]
    cdef uint32_t i, ahead
    if not u.started:
        u.started = True
        u.got = c.irs + 1
    ahead = c.rcv_nxt - (u.got + n)
    if ahead > 1:                       # 1: the FIN behind it
        wrong(b"text passed up does not end at RCV.NXT")
    for i in range(n):
        if p[i] != fuzz_octet(u.got + i):
            wrong(b"a wrong octet was passed up")
    if u.greed:
        n = n // u.greed
    u.got += n + (1 if planted == 1 and n > 200 else 0)
    return n


cdef void on_event(void *ctx, tcb *c, int event, uint64_t now_ns) noexcept nogil:
    cdef user *u = &w.users[c.index]
    if event == TCP_EV_CONNECTED and not u.started:
        u.started = True
        u.got = c.irs + 1


cdef bint on_accept(void *ctx, tcb *c, uint64_t now_ns) noexcept nogil:
    w.users[c.index].started = False
    w.users[c.index].greed = w.greed
    c.sink.ctx = NULL
    c.sink.on_text = on_text
    c.sink.on_event = on_event
    return w.greed != 5


cdef void give(tcb *c, uint32_t n) noexcept nogil:
    """The user sends n octets, the right ones for their place."""
    cdef uint8_t *p
    cdef uint32_t i
    if n == 0 or c.fin_queued or c.state == TCP_CLOSED:
        return
    p = <uint8_t *>malloc(n)
    for i in range(n):
        p[i] = fuzz_octet(~(c.snd_end + i))
    tcp_send(c, p, n, w.now)
    free(p)


# -- the peer

cdef void arrives(const uint8_t *p, uint32_t n, uint16_t flags) noexcept nogil:
    """The frame is lent for the call: its memory, slack and all, is gone behind it."""
    cdef frame f
    cdef uint8_t *copy = <uint8_t *>malloc(n + FRAME_SLACK)
    memcpy(copy, p, n)
    memset(copy + n, 0xA5, FRAME_SLACK)
    if p != w.last:
        memcpy(w.last, p, n)
        w.last_len = n
    memset(&f, 0, sizeof(frame))
    f.data = copy
    f.len = f.room = n
    f.flags = flags
    netif_input(&w.nif, &f, w.now)
    free(copy)


cdef void segment(int k, uint32_t seq, uint32_t ack, uint16_t flags, uint16_t wnd, const uint8_t *options, uint32_t nopt,
                  uint32_t text) noexcept nogil:
    """Peer k sends this."""
    cdef uint8_t[LONGEST] p
    cdef uint32_t hlen = 20 + ((nopt + 3) & ~<uint32_t>3), ports = ports_of(k)
    memset(p, 0, sizeof(p))
    tcp_emit(p + 34, <uint16_t>(ports >> 16), <uint16_t>ports, seq, ack, <uint16_t>hlen, flags, wnd, 0)
    if nopt:
        memcpy(p + 54, options, nopt)
    text = head(p, 6, hlen + text)
    mend(p, text, True)
    arrives(p, text, 0)


cdef tcb *conn(int k) noexcept nogil:
    return tcp_lookup(w.t, US, THEM, ports_of(k))


cdef void peer_speaks(fuzz_input *in_, int k, uint8_t kind) noexcept nogil:
    """A segment near what the connection expects: text, an ACK, SYN, FIN, RST, or anything."""
    cdef tcb *c = conn(k)
    cdef uint32_t seq = w.peers[k].seq, ack = w.peers[k].ack, n = 0, nopt = 0
    cdef uint16_t wnd = 0xFFFF
    cdef uint16_t flags = TCP_ACK
    cdef const uint8_t *options = NULL
    if c != NULL and c.state >= TCP_SYN_RECEIVED:
        seq, ack = c.rcv_nxt, c.snd_nxt
    elif c != NULL:
        ack = c.iss + 1
    if kind == 0:                                   # text in order
        flags = TCP_ACK | TCP_PSH
        n = take8(in_) * 6
    elif kind == 1:                                 # an ACK of so much, with a window
        ack -= take8(in_) * 64
        wnd = <uint16_t>(take8(in_) * 257)
    elif kind == 2:                                 # text somewhere else
        seq += <uint32_t>take_near(in_, 64)
        ack += <uint32_t>take_near(in_, 64)
        n = take8(in_) * 6
    elif kind == 3:
        flags = TCP_SYN if take8(in_) & 1 else TCP_SYN | TCP_ACK
        if c == NULL or c.state < TCP_SYN_RECEIVED:
            w.peers[k].seq = seq = <uint32_t>take16(in_) << 16 | 0xFFF0
            w.peers[k].seq += 1
        nopt = take_octets(in_, 40, &options)
    elif kind == 4:
        flags = TCP_FIN | TCP_ACK
        n = take8(in_)
    else:
        flags = take16(in_) & 0x1FF
        seq += <uint32_t>take_near(in_, 256)
        ack += <uint32_t>take_near(in_, 256)
        wnd = take16(in_)
        n = take8(in_) * 6
        nopt = take_octets(in_, 40, &options)
    segment(k, seq, ack, flags, wnd, options, nopt, min(n, LONGEST - 34 - 60))


cdef void icmp(fuzz_input *in_, int k) noexcept nogil:
    """An ICMP error that quotes a segment of ours, or almost."""
    cdef uint8_t[LONGEST] p
    cdef tcb *c = conn(k)
    cdef uint32_t n, ports = ports_of(k)
    memset(p, 0, 80)
    head(p + 28, 6, 8)                              # the quoted datagram: its IPv4 header lands at 42
    store_be32(p + 42 + 12, US)
    store_be32(p + 42 + 16, THEM)
    store_be16(p + 62, <uint16_t>ports)
    store_be16(p + 64, <uint16_t>(ports >> 16))
    store_be32(p + 66, (c.snd_una if c != NULL else 0) + <uint32_t>take_near(in_, 64))
    n = head(p, 1, 36)
    memset(p + 34, 0, 8)
    p[34] = take8(in_) % 16
    p[35] = take8(in_) % 16
    store_be16(p + 40, take16(in_))
    mend(p, n, True)
    arrives(p, n, 0)


cdef void other(fuzz_input *in_, uint8_t kind) noexcept nogil:
    """A frame octet by octet, the last one again with some octets changed, or ARP."""
    cdef uint8_t[LONGEST] p
    cdef const uint8_t *text
    cdef uint32_t n, _i
    cdef uint8_t how = take8(in_)
    cdef uint16_t at
    memset(p, 0, sizeof(p))
    if kind == 0:
        n = take_octets(in_, 255, &text)
        memcpy(p, text, n)
        if how & 2:                                 # to us, IPv4
            memcpy(p, OUR_MAC, 6)
            store_be16(p + 12, 0x0800)
            n = max(n, 14)
    elif kind == 1:
        n = w.last_len
        memcpy(p, w.last, n)
        for _i in range(how >> 4):
            at = take16(in_)
            if n:
                p[at % min(n, 74)] = take8(in_)
        if how & 4:
            n = n // 2
    else:
        memset(p, 0xFF, 6)
        memcpy(p + 6, THEIR_MAC, 6)
        store_be16(p + 12, 0x0806)
        memcpy(p + 14, <const char *>b"\x00\x01\x08\x00\x06\x04\x00\x01\x02\x00\x00\x00\x00\x02\x0a\x00\x00\x02", 18)
        p[21] = 1 + (how >> 1 & 1)
        store_be32(p + 38, US)
        n = 42
        at = take16(in_)
        p[14 + at % 28] = <uint8_t>(at >> 8)
    mend(p, n, how & 1)
    arrives(p, n, <uint16_t>(how >> 3 & 1) << 2 if kind == 0 and how & 1 else 0)


cdef void user_acts(fuzz_input *in_, int k) noexcept nogil:
    cdef tcb *c = conn(k)
    cdef uint8_t what = take8(in_)
    cdef tcp_sink sink
    cdef tcp_options o
    if c == NULL or c.state == TCP_CLOSED:
        if k == 0:
            memset(&sink, 0, sizeof(sink))
            sink.on_text = on_text
            sink.on_event = on_event
            o = w.l.opt
            c = tcp_connect(&w.nif, THEM, 80, OWN_PORT, &o, &sink, w.now)
            if c != NULL:
                w.users[c.index].started = False
                w.users[c.index].greed = w.greed
        return
    if what < 192:
        give(c, what * 32)
    elif what < 208:
        tcp_shutdown(c, w.now)
    elif what < 220:
        tcp_close(c, w.now)
    elif what < 224:
        tcp_abort(c, w.now)
    elif what < 236:
        tcp_urgent(c, w.now)
    else:
        tcp_want_text(c, (what - 236) * 100)
        w.users[c.index].greed = what & 3


cdef void hardware(fuzz_input *in_) noexcept nogil:
    cdef uint8_t what = take8(in_)
    if what & 128:
        w.dev.mtu = <uint16_t>(576 if what & 1 else MTU)
        netif_poll(&w.nif, w.now)                   # where TCP looks at it
    else:
        w.tx_mode = what % 3
    w.greed = what >> 3 & 7


# -- what must hold

cdef void books(tcb *c) noexcept nogil:
    cdef uint32_t i, at = c.snd_una
    cdef tcp_sent *s
    cdef reass *r = c.rcv
    if c.state < TCP_SYN_RECEIVED:
        return
    if not seq_le(c.snd_una, c.snd_nxt) or c.snd_nxt - c.snd_una > c.ring_mask + 2:
        wrong(b"SND.UNA and SND.NXT")
    for i in range(c.sent_head, c.sent_tail):
        s = &c.sent[i & c.sent_mask]
        if s.seq != at or not seq_gt(s.end, s.seq):
            wrong(b"the records do not tile what was sent")
        at = s.end
    if c.sent_head != c.sent_tail and at != c.snd_nxt:
        wrong(b"the last record does not end at SND.NXT")
    if c.sent_tail - c.sent_head > c.sent_mask + 1:
        wrong(b"more records than there is room for")
    if r.held > r.limit or r.count > 32:
        wrong(b"more text waits than there is room for")
    at = r.nxt
    for i in range(r.count):
        if not seq_gt(r.ranges[i].seq, at) or not seq_gt(r.ranges[i].end, r.ranges[i].seq) \
                or r.ranges[i].end - r.nxt > r.limit:
            wrong(b"ranges of text that waits")
        at = r.ranges[i].end
    if c.sink.on_text == on_text and w.users[c.index].started and not c.closed_by_user:
        i = c.rcv_nxt - w.users[c.index].got - r.held
        if i > 1 or i != c.fin_seen and c.fin_seq + 1 == c.rcv_nxt:
            wrong(b"text is lost between RCV.NXT and the user")


cdef void check() noexcept nogil:
    cdef netif_stats *s = &w.nif.stats
    cdef tcp_counters *k = &w.t.counters
    cdef uint64_t sum = 0
    cdef uint32_t i, used = 0
    cdef tcb *c
    if w.out != 0:
        wrong(b"a frame was lost or freed twice")
    for i in range(RX_VERDICTS):
        sum += s.rx[i]
    if sum != s.rx_frames:
        wrong(b"received frames do not add up")
    if s.tx_frames != s.tx_sent + s.tx_waiting + s.tx_full + s.tx_no_route + s.tx_no_neighbor + s.tx_address_unusable:
        wrong(b"frames to send do not add up")
    sum = 0
    for i in range(TCP_RX_VERDICTS):
        sum += k.rx[i]
    if sum != k.segments_in or sum != s.rx[<int>RX_L4]:
        wrong(b"received segments do not add up")
    sum = 0
    for i in range(TCP_TX_REASONS):
        sum += k.tx[i]
    if sum != k.segments_out:
        wrong(b"sent segments do not add up")
    for i in range(SLOTS):
        c = <tcb *>(w.t.slots + <uint64_t>i * w.t.slot_size)
        if c.state != TCP_CLOSED:
            used += 1
            books(c)
    if used > w.t.in_use:
        wrong(b"connections in use")


cdef void settle() noexcept nogil:
    """The device is well again, the users take what there is, time passes: nothing stays due for ever."""
    cdef uint64_t at
    cdef uint32_t i, _k, still = 0
    w.tx_mode = 0
    w.greed = 0
    for i in range(SLOTS):
        w.users[i].greed = 0
    for _k in range(300):
        netif_poll(&w.nif, w.now)
        at = netif_deadline(&w.nif)
        if w.why != NULL or at == NEVER:
            break
        still = 0 if at > w.now else still + 1
        if still > 50:
            wrong(b"something is due for ever")
            return
        w.now = max(w.now, at)
    netif_poll(&w.nif, w.now)
    check()


# -- one input

cdef bint build(fuzz_input *in_) noexcept nogil:
    cdef netif_config config
    cdef tcp_options o
    cdef tcp_sink sink
    cdef uint8_t kind = take8(in_), more = take8(in_)
    cdef uint8_t[20] options
    cdef uint32_t n
    cdef tcb *c
    memset(&w, 0, sizeof(world))
    w.dev.ops = &ops
    w.dev.mtu = MTU
    memcpy(w.dev.mac, OUR_MAC, 6)
    w.now = 1000000000 + <uint64_t>(more >> 4) * 268435456 * 4000       # where our ISN lies, in sixteenths of the space
    netif_config_default(&config)
    config.addr = US
    config.mask = 0xFFFFFF00
    config.seed = 7
    config.neighbors.entries = 8
    config.neighbors.pending = 4
    if not netif_init(&w.nif, &w.dev, &config):
        return False
    w.t = tcp_attach(&w.nif, SLOTS, 4000, 4096)
    if w.t == NULL:
        return False
    neighbor_add_static(&w.nif.neighbors, THEM, THEIR_MAC, w.now)
    tcp_options_default(&o)
    o.rcv_buf = 4000
    o.snd_buf = 4096
    o.timestamps = kind & 1
    o.sack = not kind & 2
    o.window_scale = not kind & 4
    o.ecn = kind >> 3 & 1
    o.ack_policy = <uint8_t>((kind >> 4 & 3) % 3)
    o.congestion = <uint8_t>((kind >> 6) % 3)
    o.backlog = more & 1
    o.syn_cookies = not more & 2
    o.rto_min_ns = 1000000
    o.keep_idle_ns = 5000000000 if more & 4 else 0
    o.user_timeout_ns = 60000000000
    o.uto_enabled = more >> 3 & 1
    o.uto_l_limit_ns = 1000000000
    w.l = tcp_listen(&w.nif, LISTEN_PORT, &o, on_accept, NULL)
    memset(&sink, 0, sizeof(sink))
    sink.on_text = on_text
    sink.on_event = on_event
    c = tcp_connect(&w.nif, THEM, 80, OWN_PORT, &o, &sink, w.now)
    n = tcp_emit_mss(options, 1460)
    n += tcp_emit_sack_permitted(options + n, True)
    n += tcp_emit_wscale(options + n, 2)
    w.peers[0].seq = 0xFFFFFFF0
    segment(0, 0xFFFFFFEF, c.iss + 1, TCP_SYN | TCP_ACK, 0xFFFF, options, n, 0)
    if c.state != TCP_ESTABLISHED:
        wrong(b"the first connection does not open")
    return True


cdef void step(fuzz_input *in_) noexcept nogil:
    cdef uint8_t op = take8(in_)
    cdef int k = op >> 4 & 3, kind = op & 15
    cdef uint64_t at
    if kind <= 5:
        peer_speaks(in_, k, <uint8_t>kind)
    elif kind <= 8:
        other(in_, <uint8_t>(kind - 6))
    elif kind == 9:
        icmp(in_, k)
    elif kind == 10:
        hardware(in_)
    elif kind == 11:
        w.now += <uint64_t>1 << take8(in_) % 37
    elif kind <= 13:
        user_acts(in_, k)
    else:
        at = netif_deadline(&w.nif)
        if at != NEVER and at > w.now:
            w.now = at
    if not op & 0x80:                               # else more belongs to the same burst
        netif_poll(&w.nif, w.now)


cdef const char *run(const uint8_t *data, size_t size) noexcept nogil:
    cdef fuzz_input in_
    cdef uint32_t steps = 0
    in_.p = data
    in_.end = data + size
    if build(&in_):
        check()
        while w.why == NULL and left(&in_) and steps < 300:
            steps += 1
            step(&in_)
            check()
        if w.why == NULL:
            settle()
        tcp_detach(w.t)
    netif_free(&w.nif)
    return w.why


ENTRY = harness(run, &planted)
