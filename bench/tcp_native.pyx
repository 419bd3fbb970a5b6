# cython: language_level=3
"""Segments out of memory into a TCP, and nothing else: a device that lends prepared frames and swallows what is sent."""
from dpdk_py.base cimport Device
from dpdk_py.device cimport FRAME_HEADROOM, FRAME_TS_NONE, device, device_ops, frame
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free

from stack.netif cimport Netif, netif_burst, netif_poll
from stack.tcb cimport tcb, tcp_table
from stack.tcp cimport tcp_attach, tcp_detach, tcp_listen
from stack.wire.ethernet cimport ETH_HLEN, eth_emit
from stack.wire.ipv4 cimport IPPROTO_TCP, IPV4_DF, IPV4_HLEN, ipv4_emit
from stack.wire.octets cimport load_be32, store_be16
from stack.wire.tcp cimport TCP_HLEN, tcp_emit, tcp_emit_mss
from stack.wire.checksum cimport tcp_csum

cdef enum:
    SLOT = 1664                 # 26 cache lines
    HEADERS = ETH_HLEN + IPV4_HLEN + TCP_HLEN
    ETHERTYPE_IPV4 = 0x0800


cdef struct feed:
    uint8_t *arena
    uint32_t frames
    uint32_t head
    uint32_t tail
    uint16_t len_[4096]
    uint8_t sent[2048]          # the one buffer to send from; holds the last frame sent
    uint64_t nsent


cdef int feed_rx_burst(device *d, frame *frames, int n, uint64_t now_ns) noexcept nogil:
    cdef feed *s = <feed *>d.self
    cdef int i = 0
    while i < n and s.head != s.tail:
        frames[i].data = s.arena + <size_t>s.head * SLOT + FRAME_HEADROOM
        frames[i].len = frames[i].room = s.len_[s.head]
        frames[i].flags = 0
        frames[i].vlan_tci = 0
        frames[i].ts_source = FRAME_TS_NONE
        frames[i].ts_ns = 0
        s.head += 1
        i += 1
    return i


cdef int feed_tx_burst(device *d, frame *frames, int n, uint64_t now_ns) noexcept nogil:
    (<feed *>d.self).nsent += n
    return n


cdef bint feed_alloc(device *d, frame *f) noexcept nogil:
    f.data = (<feed *>d.self).sent + FRAME_HEADROOM
    f.len = 0
    f.room = 1600
    f.flags = 0
    return True


cdef void feed_free(device *d, frame *frames, int n) noexcept nogil:
    pass


cdef device_ops OPS
OPS.rx_burst = feed_rx_burst
OPS.tx_burst = feed_tx_burst
OPS.alloc = feed_alloc
OPS.free = feed_free


cdef class Feed(Device):
    """Lends what `put` has prepared, in its order. Addresses are 10.77.0.1 (theirs) and `address` (ours), ports 4000, 5001."""
    cdef feed state
    cdef uint32_t address

    def __cinit__(self, uint32_t address):
        self.address = address
        self.state.arena = <uint8_t *>calloc(4096, SLOT)
        if not self.state.arena:
            raise MemoryError()
        self.dev.ops = &OPS
        self.dev.self = &self.state
        self.dev.mac = [2, 0, 0, 0, 0, 2]

    def __dealloc__(self):
        free(self.state.arena)

    def clear(self):
        self.state.head = self.state.tail = 0

    def put(self, uint32_t seq, uint32_t ack, int flags, int text_len=0, int count=1):
        """`count` segments of `text_len` octets one after the other; returns the sequence number after the last."""
        cdef feed *s = &self.state
        cdef uint8_t *p
        cdef uint8_t theirs[6]
        cdef uint32_t n, hlen
        cdef int k
        theirs[:] = [2, 0, 0, 0, 0, 1]
        for _i in range(count):
            if s.tail == 4096:
                raise ValueError("4096 frames at most between two clear()")
            p = s.arena + <size_t>s.tail * SLOT + FRAME_HEADROOM
            hlen = TCP_HLEN
            if flags & 2:
                hlen += tcp_emit_mss(p + HEADERS, 1460)
            n = hlen + text_len
            for k in range(text_len):
                p[HEADERS + k] = <uint8_t>(seq + k)
            eth_emit(p, self.dev.mac, theirs, ETHERTYPE_IPV4)
            ipv4_emit(p + ETH_HLEN, 0, <uint16_t>(IPV4_HLEN + n), 0, IPV4_DF, 64, IPPROTO_TCP, 0x0a4d0001, self.address)
            tcp_emit(p + ETH_HLEN + IPV4_HLEN, 4000, 5001, seq, ack, <uint16_t>hlen, <uint16_t>flags, 65535, 0)
            store_be16(p + ETH_HLEN + IPV4_HLEN + 16, 0)
            (<uint16_t *>(p + ETH_HLEN + IPV4_HLEN + 16))[0] = tcp_csum(0x0a4d0001, self.address,
                                                                        p + ETH_HLEN + IPV4_HLEN, n)
            s.len_[s.tail] = <uint16_t>(ETH_HLEN + IPV4_HLEN + n)
            s.tail += 1
            seq += text_len + (flags & 3 != 0)
        return seq

    @property
    def waiting(self):
        return self.state.tail - self.state.head

    @property
    def sent(self):
        """Frames sent so far."""
        return self.state.nsent

    @property
    def sent_numbers(self):
        """(SEQ, ACK) of the last segment sent."""
        cdef uint8_t *p = self.state.sent + FRAME_HEADROOM + ETH_HLEN + IPV4_HLEN
        return load_be32(p + 4), load_be32(p + 8)


cdef uint32_t count_text(void *ctx, tcb *c, const uint8_t *p, uint32_t n, uint64_t now_ns) noexcept nogil:
    (<uint64_t *>ctx)[0] += n
    return n


cdef bint accept_all(void *ctx, tcb *c, uint64_t now_ns) noexcept nogil:
    c.sink.ctx = ctx
    c.sink.on_text = count_text
    return True


cdef class Ours:
    """Our TCP over a Feed: accepts on port 5001, ACKs at the end of each burst, and drops what comes."""
    cdef Netif net
    cdef tcp_table *table
    cdef readonly uint64_t taken

    def __cinit__(self, Feed source not None, str address not None):
        self.net = Netif(source, address, seed=1)
        self.net.add_neighbor("10.77.0.1", b"\2\0\0\0\0\1")
        self.table = tcp_attach(self.net.nif, 8, 65535, 65536)
        if self.table == NULL:
            raise MemoryError()
        tcp_listen(self.net.nif, 5001, NULL, accept_all, &self.taken)

    def __dealloc__(self):
        if self.table != NULL:
            tcp_detach(self.table)

    def run(self, int burst):
        """Everything the Feed holds, in bursts. Time stands still for TCP."""
        cdef uint64_t now = 1000000000
        with nogil:
            while netif_burst(self.net.nif, burst, now):
                netif_poll(self.net.nif, now)

    @property
    def predicted(self):
        return self.table.counters.rx[0]
