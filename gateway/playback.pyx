"""The peer of a captured connection as a device: what it sent then, our stack receives now.

A captured ACK number belongs to the ISN our side had then. So SEQ, text, splits, order, retransmissions, FIN and RST of
the peer stay as captured, but ACK says what our live side has sent by now, never more, and checksums are made anew. Made
up are only: ARP replies, acknowledgements where the capture has none in time (else our side would send again what the
peer had received), and, where the capture begins in mid-stream, a handshake and a Logon before the first text. Options
of segments are left out, for they answer to options of then; MSS and window scale of a SYN are kept.

Frames of our side in the capture are read over. Time is the capture's: `now_ns` is UTC. Nothing is sent anywhere.
"""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from dpdk_py.base cimport Device
from dpdk_py.capture cimport CAPTURE_PACKET, PcapReader, capture, capture_next, capture_packet
from dpdk_py.device cimport FRAME_HEADROOM, FRAME_SLACK, FRAME_TS_NONE, FRAME_TS_REALTIME, device, device_ops, frame
from stack.seqnum cimport seq_gt, seq_lt
from stack.tap_packet cimport TAP_SEGMENT, tap_packet, tap_packet_read
from stack.wire.arp cimport ARP_REPLY, ARP_REQUEST, arp_emit, arp_packet, arp_parse
from stack.wire.checksum cimport tcp_csum
from stack.wire.ethernet cimport ETHERTYPE_ARP, ETHERTYPE_IPV4, eth_emit, eth_hdr, eth_parse
from stack.wire.ipv4 cimport IPPROTO_TCP, IPV4_DF, IPV4_HLEN, IPV4_TTL, ipv4_emit
from stack.wire.octets cimport load_be16, load_be32, store_16
from stack.wire.tcp cimport TCP_ACK, TCP_FIN, TCP_HLEN, TCP_PSH, TCP_RST, TCP_SYN, tcp_emit, tcp_emit_mss, tcp_emit_wscale, \
    tcp_opt, tcp_parse, tcp_parse_options, tcp_seg

from dpdk_py.capture import PcapReader

cdef enum:
    RX_SLOT = 65536 + 128           # a captured segment may be larger than any MTU: the host left splitting to its NIC
    RX_SLOTS = 64
    TX_SLOTS = 256
    TX_ROOM = 1518
    TX_SLOT = 1664                  # with headroom and slack
    SEARCH = 64                     # segments among which the peer's first is looked for
    BACK = 48 * 1024                # and how far before the one captured first

cdef device_ops play_ops
cdef uint8_t[6] our_mac = [2, 0, 0, 0, 0, 1]
cdef uint8_t[6] peer_mac = [2, 0, 0, 0, 0, 2]


# -- the capture

cdef int read_ours(playback *p, capture_packet *c, tcp_seg *seg) noexcept nogil:
    """Whose segment of this connection a packet is: 0 ours, 1 the peer's, -1 neither, -2 the connection is over."""
    cdef eth_hdr eth
    cdef tap_packet x
    cdef int side
    if not eth_parse(&eth, c.data, c.len) or eth.ethertype != ETHERTYPE_IPV4 or \
            tap_packet_read(&x, eth.payload, eth.payload_len, c.len < c.orig_len) != TAP_SEGMENT:
        return -1
    seg[0] = x.seg
    if x.source == p.addr[0] and x.destination == p.addr[1] and seg.source_port == p.port[0] and \
            seg.destination_port == p.port[1]:
        side = 0
    elif x.source == p.addr[1] and x.destination == p.addr[0] and seg.source_port == p.port[1] and \
            seg.destination_port == p.port[0]:
        side = 1
    else:
        return -1
    if seg.flags & TCP_SYN:
        if p.syn_seen[side] and p.syn_seq[side] != seg.seq:
            return -2
        p.syn_seen[side] = True
        p.syn_seq[side] = seg.seq
    return side


cdef void play_read(playback *p) noexcept nogil:
    """The peer's next segment into p.seg; p.done if there is none."""
    cdef capture_packet c
    cdef tcp_seg seg
    cdef tcp_opt opt
    cdef int side
    while not p.have and not p.done:
        if capture_next(p.cap, &c, True) != CAPTURE_PACKET:
            p.done = True
            return
        side = read_ours(p, &c, &seg)
        if side == -2:
            p.done = True
        elif side == 0:
            p.ours += 1
        elif side == 1 and (seg.text_len <= 65_000):
            p.seg.ts_ns = c.ts_ns
            p.seg.seq = seg.seq
            p.seg.flags = seg.flags
            p.seg.wnd = seg.wnd
            p.seg.n = seg.text_len
            memcpy(p.seg.text, seg.text, seg.text_len)
            p.seg.mss = 0
            p.seg.has_wscale = False
            if seg.flags & TCP_SYN:
                tcp_parse_options(&opt, seg.options, seg.hlen - TCP_HLEN)
                p.seg.mss = opt.mss if opt.has_mss else 0
                p.seg.has_wscale = opt.has_wscale
                p.seg.wscale = opt.wscale
            p.have = True


# -- towards our stack

cdef bint play_frame(playback *p, frame *f, int64_t ts_ns, uint32_t seq, uint16_t flags, uint16_t wnd, uint16_t mss,
                     int wscale, const uint8_t *text, uint32_t n) noexcept nogil:
    """One segment of the peer into a free slot; False if every slot is lent."""
    cdef uint8_t *at
    cdef uint8_t *tcp
    cdef uint32_t options = 0
    if p.n_free_rx == 0:
        return False
    p.n_free_rx -= 1
    at = p.rx_slots + <size_t>p.free_rx[p.n_free_rx] * RX_SLOT + FRAME_HEADROOM
    f.handle = <void *><uintptr_t>(p.free_rx[p.n_free_rx] + 1)
    tcp = at + 14 + IPV4_HLEN
    if mss:
        options += tcp_emit_mss(tcp + TCP_HLEN, mss)
    if wscale >= 0:
        options += tcp_emit_wscale(tcp + TCP_HLEN + options, <uint8_t>wscale)
    eth_emit(at, our_mac, peer_mac, ETHERTYPE_IPV4)
    ipv4_emit(at + 14, 0, <uint16_t>(IPV4_HLEN + TCP_HLEN + options + n), 0, IPV4_DF, IPV4_TTL, IPPROTO_TCP, p.addr[1],
              p.addr[0])
    tcp_emit(tcp, p.port[1], p.live_port, seq, p.live_nxt if flags & TCP_ACK else 0, <uint16_t>(TCP_HLEN + options), flags,
             wnd, 0)
    if n:
        memcpy(tcp + TCP_HLEN + options, text, n)
    store_16(tcp + 16, tcp_csum(p.addr[1], p.addr[0], tcp, TCP_HLEN + options + n))
    play_frame_fields(f, at, 14 + IPV4_HLEN + TCP_HLEN + options + n, ts_ns)
    seq += n + (1 if flags & TCP_SYN else 0) + (1 if flags & TCP_FIN else 0)
    if seq_gt(seq, p.snd_nxt) or flags & TCP_SYN:
        p.snd_nxt = seq
    if flags & TCP_ACK:
        p.owes_ack = False
    return True


cdef inline void play_frame_fields(frame *f, uint8_t *at, uint32_t n, int64_t ts_ns) noexcept nogil:
    f.data = at
    f.len = n
    f.room = n
    f.flags = 0
    f.vlan_tci = 0
    f.ts_source = FRAME_TS_REALTIME
    f.ts_ns = ts_ns


cdef bint play_arp_reply(playback *p, frame *f, int64_t ts_ns) noexcept nogil:
    cdef uint8_t *at
    if p.n_free_rx == 0:
        return False
    p.n_free_rx -= 1
    p.n_arps -= 1
    at = p.rx_slots + <size_t>p.free_rx[p.n_free_rx] * RX_SLOT + FRAME_HEADROOM
    f.handle = <void *><uintptr_t>(p.free_rx[p.n_free_rx] + 1)
    eth_emit(at, our_mac, peer_mac, ETHERTYPE_ARP)
    play_frame_fields(f, at, 14 + arp_emit(at + 14, ARP_REPLY, peer_mac, p.arps[p.n_arps].asked, our_mac, p.addr[0]), ts_ns)
    return True


cdef uint16_t play_window(const playback *p) noexcept nogil:
    """The captured window where its scale is known and in force; else as much as 16 bits can say."""
    return p.seg.wnd if p.peer_scales and p.live_scales else 65535


cdef bint play_made(playback *p, frame *f, uint64_t now_ns) noexcept nogil:
    """A frame the capture does not have and our side needs now; False: none."""
    if p.n_arps:
        return play_arp_reply(p, f, now_ns)
    if p.stage == PLAY_OPENING and p.made:
        if p.passive and not p.syn_sent:
            p.syn_sent = True
            p.live_port = p.port[0]
            return play_frame(p, f, now_ns, p.peer_isn, TCP_SYN, 65535, 1460, -1, NULL, 0)
        if p.live_known:
            p.stage = PLAY_GREETING
            if p.passive:
                return play_frame(p, f, now_ns, p.peer_isn + 1, TCP_ACK, 65535, 0, -1, NULL, 0)
            p.syn_sent = True
            return play_frame(p, f, now_ns, p.peer_isn, TCP_SYN | TCP_ACK, 65535, 1460, -1, NULL, 0)
        return False
    if p.stage == PLAY_GREETING and (p.passive or p.live_nxt != p.live_isn + 1 or p.greeting_n == 0):
        # An initiator's Logon is answered, it does not come by itself.
        p.stage = PLAY_LIVE
        if p.greeting_n:
            return play_frame(p, f, now_ns, p.peer_isn + 1, TCP_ACK | TCP_PSH, 65535, 0, -1, p.greeting, p.greeting_n)
    return False


cdef bint play_may(const playback *p, uint64_t now_ns) noexcept nogil:
    """May the captured segment be played: it is due, our side is there, and its window takes the text."""
    if p.seg.ts_ns > <int64_t>now_ns or p.stage == PLAY_GREETING:
        return False
    if p.made:
        if p.stage != PLAY_LIVE:
            return False
    elif not p.live_known and not (p.passive and p.seg.flags & TCP_SYN and not p.seg.flags & TCP_ACK):
        return False
    return p.seg.n == 0 or not p.live_known or not seq_gt(p.seg.seq + p.seg.n, p.live_edge)


cdef int play_rx_burst(device *d, frame *frames, int n, uint64_t now_ns) noexcept nogil:
    """What is due by `now_ns`, in the order of the capture; what our side is not ready for waits."""
    cdef playback *p = <playback *>d.self
    cdef int i = 0, k
    while i < n and play_made(p, &frames[i], now_ns):
        i += 1
    while i < n and not p.live_ended:
        play_read(p)
        if not p.have or not play_may(p, now_ns):
            break
        if p.passive and p.live_port == 0:
            p.live_port = p.port[0]
        if p.seg.flags & TCP_SYN:
            p.peer_scales = p.seg.has_wscale
        if not play_frame(p, &frames[i], p.seg.ts_ns, p.seg.seq, p.seg.flags & (TCP_FIN | TCP_SYN | TCP_RST | TCP_PSH | TCP_ACK),
                          p.seg.wnd if p.seg.flags & TCP_SYN else play_window(p), p.seg.mss,
                          <int>p.seg.wscale if p.seg.has_wscale else -1, p.seg.text, p.seg.n):
            break
        p.have = False
        p.frames_in += 1
        i += 1
    if i < n and p.owes_ack and p.live_known and not p.live_ended and p.stage == PLAY_LIVE:
        if play_frame(p, &frames[i], now_ns, p.snd_nxt, TCP_ACK, play_window(p), 0, -1, NULL, 0):
            i += 1
    for k in range(i):
        d.stats.rx_octets += frames[k].len
    d.stats.rx_frames += i
    return i


# -- from our stack

cdef void play_sent(playback *p, const uint8_t *data, uint32_t n) noexcept nogil:
    """A frame of our live side: what it asks for by ARP, and how far it is on the connection."""
    cdef eth_hdr eth
    cdef arp_packet arp
    cdef tcp_seg seg
    cdef tcp_opt opt
    cdef const uint8_t *ip
    cdef uint32_t end
    if not eth_parse(&eth, data, n):
        return
    if eth.ethertype == ETHERTYPE_ARP:
        if arp_parse(&arp, eth.payload, eth.payload_len) and arp.op == ARP_REQUEST and p.n_arps < 8 and \
                arp.tpa != p.addr[0]:
            p.arps[p.n_arps].asked = arp.tpa
            p.n_arps += 1
        return
    ip = eth.payload
    if eth.ethertype != ETHERTYPE_IPV4 or eth.payload_len < IPV4_HLEN or ip[9] != IPPROTO_TCP or \
            load_be32(ip + 16) != p.addr[1] or not tcp_parse(&seg, ip + IPV4_HLEN, load_be16(ip + 2) - IPV4_HLEN) or \
            seg.destination_port != p.port[1]:
        return
    if seg.flags & TCP_SYN and not p.live_known:
        tcp_parse_options(&opt, seg.options, seg.hlen - TCP_HLEN)
        p.live_known = True
        p.live_port = seg.source_port
        p.live_isn = seg.seq
        p.live_nxt = seg.seq + 1
        p.live_scales = opt.has_wscale
        p.live_wscale = opt.wscale if opt.has_wscale else 0
        p.live_acked = seg.ack
        p.live_edge = (seg.ack if seg.flags & TCP_ACK else p.peer_isn + 1) + seg.wnd
        return
    if seg.source_port != p.live_port or (seg.flags & TCP_SYN and seg.seq != p.live_isn):
        p.reconnects += seg.flags & TCP_SYN != 0
        return
    if seg.flags & TCP_RST:
        p.live_ended = True
    end = seg.seq + seg.text_len + (1 if seg.flags & (TCP_FIN | TCP_SYN) else 0)
    if seq_gt(end, p.live_nxt):
        p.live_nxt = end
    if seg.text_len or seg.flags & TCP_FIN:
        p.owes_ack = True
    if seg.flags & TCP_ACK:
        p.live_acked = seg.ack
        end = seg.ack + (<uint32_t>seg.wnd << (p.live_wscale if p.peer_scales else 0))
        if seq_gt(end, p.live_edge):
            p.live_edge = end


cdef int play_tx_burst(device *d, frame *frames, int n, uint64_t now_ns) noexcept nogil:
    cdef playback *p = <playback *>d.self
    cdef int i
    for i in range(n):
        play_sent(p, frames[i].data, frames[i].len)
        d.stats.tx_octets += frames[i].len
    p.frames_out += n
    d.stats.tx_frames += n
    play_free(d, frames, n)
    return n


cdef bint play_alloc(device *d, frame *f) noexcept nogil:
    cdef playback *p = <playback *>d.self
    if p.n_free_tx == 0:
        d.stats.alloc_failed += 1
        return False
    p.n_free_tx -= 1
    f.data = p.tx_slots + <size_t>p.free_tx[p.n_free_tx] * TX_SLOT + FRAME_HEADROOM
    f.len = 0
    f.room = TX_ROOM
    f.flags = 0
    f.vlan_tci = 0
    f.ts_source = FRAME_TS_NONE
    f.ts_ns = 0
    f.handle = <void *><uintptr_t>(RX_SLOTS + 1 + p.free_tx[p.n_free_tx])
    return True


cdef void play_free(device *d, frame *frames, int n) noexcept nogil:
    cdef playback *p = <playback *>d.self
    cdef uintptr_t k
    cdef int i
    for i in range(n):
        k = <uintptr_t>frames[i].handle
        if k <= RX_SLOTS:
            p.free_rx[p.n_free_rx] = <uint32_t>(k - 1)
            p.n_free_rx += 1
        else:
            p.free_tx[p.n_free_tx] = <uint32_t>(k - RX_SLOTS - 1)
            p.n_free_tx += 1


play_ops.rx_burst = play_rx_burst
play_ops.tx_burst = play_tx_burst
play_ops.alloc = play_alloc
play_ops.free = play_free


cdef int ends(playback *p, us, peer) except -1:
    import ipaddress
    p.addr[0] = int(ipaddress.IPv4Address(us[0]))
    p.addr[1] = int(ipaddress.IPv4Address(peer[0]))
    p.port[0] = us[1]
    p.port[1] = peer[1]
    return 0


def survey(path, us, peer):
    """What a capture holds of the connection between two ends (("10.0.0.2", 40112), ("10.0.0.9", 9876)).

    dict: `opener`, the side whose SYN came first, "us", "peer" or None where the capture begins in mid-stream; `peer_isn`
    of the peer's SYN or None; `peer_first`, the peer's first sequence number in the capture; `first_ns` and `last_ns`,
    times of its first and last frame. OSError and PcapError as PcapReader; LookupError: not in the capture.
    """
    cdef playback p
    cdef capture_packet c
    cdef tcp_seg seg
    cdef PcapReader reader = PcapReader(path)
    cdef capture *cap = &reader.cap
    cdef int side
    cdef uint32_t seen = 0, first = 0
    cdef int64_t first_ns = 0, last_ns = 0
    cdef bint any_seen = False
    memset(&p, 0, sizeof(p))
    ends(&p, us, peer)
    opener = None
    while capture_next(cap, &c, True) == CAPTURE_PACKET:
        side = read_ours(&p, &c, &seg)
        if side == -2:
            break
        if side < 0:
            continue
        if not any_seen:
            first_ns = c.ts_ns
            any_seen = True
        last_ns = c.ts_ns
        if seg.flags & TCP_SYN and opener is None and seen < SEARCH:
            opener = ("peer" if side == 0 else "us") if seg.flags & TCP_ACK else ("us" if side == 0 else "peer")
        if side == 1 and seen < SEARCH:
            if seen == 0 or (seq_lt(seg.seq, first) and first - seg.seq <= BACK):
                first = seg.seq
            seen += 1
    reader.close()
    if not any_seen:
        raise LookupError(f"{path} has no TCP between {us[0]}:{us[1]} and {peer[0]}:{peer[1]}")
    return {"opener": opener, "peer_isn": p.syn_seq[1] if p.syn_seen[1] else None, "peer_first": first if seen else None,
            "first_ns": first_ns, "last_ns": last_ns}


cdef class PlaybackDevice(Device):
    """The peer of the connection between `us` and `peer` in the capture `path`, played to the stack that drives this.

    `passive`: the peer opens the connection, else our stack does. `peer_first`: sequence number of the peer's first octet.
    `made`: the capture lacks the peer's SYN; its handshake is made up so that `greeting` (octets of a Logon, or none)
    ends where `peer_first` is. Give `now_ns` as UTC.
    """

    def __init__(self, path, us, peer, *, bint passive, uint32_t peer_first, bint made=False, bytes greeting=b""):
        cdef playback *p = &self.p
        cdef uint32_t i
        if self.reader is not None:
            raise TypeError("a PlaybackDevice is opened once")
        if len(greeting) > 4096:
            raise ValueError(f"greeting has {len(greeting)} octets, at most 4096")
        self.greeting = greeting
        p.memory = <uint8_t *>calloc(1, RX_SLOTS * RX_SLOT + TX_SLOTS * TX_SLOT + 65_536 + FRAME_SLACK)
        if p.memory == NULL:
            raise MemoryError("no memory for frames")
        p.rx_slots = p.memory
        p.tx_slots = p.rx_slots + RX_SLOTS * RX_SLOT
        p.seg.text = p.tx_slots + TX_SLOTS * TX_SLOT
        for i in range(RX_SLOTS):
            p.free_rx[i] = RX_SLOTS - 1 - i
        for i in range(TX_SLOTS):
            p.free_tx[i] = TX_SLOTS - 1 - i
        p.n_free_rx = RX_SLOTS
        p.n_free_tx = TX_SLOTS
        ends(p, us, peer)
        p.passive = passive
        p.made = made
        p.greeting = <const uint8_t *><const char *>self.greeting
        p.greeting_n = <uint32_t>len(greeting)
        p.peer_isn = peer_first - 1 - p.greeting_n
        if not made:
            p.stage = PLAY_LIVE
        self.reader = PcapReader(path)
        p.cap = &self.reader.cap
        self.name = f"playback:{self.reader.path}"
        self.dev.mtu = 1500
        for i in range(6):
            self.dev.mac[i] = our_mac[i]
        self.dev.self = p
        self.dev.ops = &play_ops

    def __dealloc__(self):
        free(self.p.memory)

    cdef int shutdown(self) except -1:
        self.p.done = True
        self.p.have = False
        if self.reader is not None:
            self.reader.close()
        return 0

    @property
    def done(self):
        """Nothing of the capture is left to play, or our side has reset the connection."""
        if not self.closed:
            play_read(&self.p)
        return not self.p.have or self.p.live_ended

    @property
    def next_ns(self):
        """UTC of the next captured segment of the peer, None behind the last."""
        return None if self.done else self.p.seg.ts_ns

    @property
    def opened(self):
        """The connection stands and, where a Logon was made up, that was sent."""
        return self.p.live_known and self.p.stage == PLAY_LIVE

    @property
    def hole(self):
        """Octets of the peer at the end that our side could not take: some before them are not in the capture."""
        cdef uint32_t n = self.p.snd_nxt - self.p.live_acked
        return n if self.p.live_known and not self.p.live_ended and 0 < n < 1 << 31 else 0

    def counts(self):
        """dict: frames_in (played), frames_ours (of our side, read over), frames_out (sent by our stack), reconnects."""
        return {"frames_in": self.p.frames_in, "frames_ours": self.p.ours, "frames_out": self.p.frames_out,
                "reconnects": self.p.reconnects}
