# One queue pair of a DPDK port as a device: the four ops of device.pxd, and what they keep. Used by port.pyx alone.
#
# Frames are lent out of the driver's own mbufs. A chain of mbufs is made contiguous or dropped (rx_multiseg). What can
# never leave is taken, counted and freed. FIXWIRE_DEBUG builds mark every buffer with its owner.
from dpdk_py.base cimport FRAME_ALLOCATED, FRAME_FREE, FRAME_LENT, FRAME_MARKS, FRAME_SENT, frame_fault
from dpdk_py.device cimport (
    FRAME_HEADROOM, FRAME_RX_IP_BAD, FRAME_RX_IP_GOOD, FRAME_RX_L4_BAD, FRAME_RX_L4_GOOD, FRAME_RX_PARTIAL,
    FRAME_RX_VLAN, FRAME_SLACK, FRAME_TS_NONE, FRAME_TX_IP_CSUM, FRAME_TX_L4_CSUM, device, frame,
)
from dpdk_py.dpdk cimport *
from dpdk_py.eal cimport eal_running
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcmp

cdef extern from *:
    int ctz64 "__builtin_ctzll"(unsigned long long v) nogil

cdef enum:
    BURST = 64              # frames handled at a time
    JUMBO_SLOTS = 64        # chained mbufs that can be out as contiguous copies: bits of dpdk_queue.jumbo_used

cdef struct dpdk_queue:
    uint16_t port
    uint16_t queue
    bint drop_own           # the driver shows us our interface's outgoing frames
    bint vouch              # verify=False: unknown L4 checksums count as good
    uint32_t max_len        # mtu + 14; + 4 for a frame that carries its tag
    rte_mempool *mp
    # receive time stamps: bit in ol_flags (0: none), place in the mbuf, ticks a second
    uint64_t ts_flag
    uint64_t ts_hz
    int ts_offset
    uint32_t ts_source
    # contiguous copies of chained mbufs
    uint8_t *jumbo
    uint32_t jumbo_size
    uint64_t jumbo_used


# -- who owns a buffer

cdef inline void mark(rte_mbuf *m, int owner) noexcept nogil:
    """FIXWIRE_DEBUG: who owns the buffer, written in the first octet of its headroom."""
    (<uint8_t *>m.buf_addr)[0] = <uint8_t>owner


cdef inline int marked(rte_mbuf *m) noexcept nogil:
    return (<uint8_t *>m.buf_addr)[0]


cdef inline void release_jumbo(dpdk_queue *q, rte_mbuf *m, const uint8_t *data) noexcept nogil:
    if m.nb_segs != 1 and q.jumbo != NULL and data >= q.jumbo:
        q.jumbo_used &= ~(1ULL << (<size_t>(data - q.jumbo) // q.jumbo_size))


# -- receive

cdef inline uint16_t rx_flags(dpdk_queue *q, rte_mbuf *m) noexcept nogil:
    """What the driver says of checksums, in the contract's words.

    NONE (rte_mbuf_core.h): the field in the packet is not right, but the integrity is known. That is how a peer on
    this host leaves it to a device that never was: only the pseudo-header's sum is there.
    """
    cdef uint64_t ol = m.ol_flags
    cdef uint64_t ip = ol & RTE_MBUF_F_RX_IP_CKSUM_MASK
    cdef uint64_t l4 = ol & RTE_MBUF_F_RX_L4_CKSUM_MASK
    cdef uint16_t flags = 0
    if ip == RTE_MBUF_F_RX_IP_CKSUM_BAD:
        flags |= FRAME_RX_IP_BAD
    elif ip != 0:
        flags |= FRAME_RX_IP_GOOD
    if l4 == RTE_MBUF_F_RX_L4_CKSUM_BAD:
        flags |= FRAME_RX_L4_BAD
    elif l4 == RTE_MBUF_F_RX_L4_CKSUM_GOOD:
        flags |= FRAME_RX_L4_GOOD
    elif l4 != 0:
        flags |= FRAME_RX_L4_GOOD | FRAME_RX_PARTIAL
    elif q.vouch:
        flags |= FRAME_RX_L4_GOOD
    if ol & RTE_MBUF_F_RX_VLAN_STRIPPED:
        flags |= FRAME_RX_VLAN
    return flags


cdef inline uint8_t *contiguous(dpdk_queue *q, rte_mbuf *m) noexcept nogil:
    """The octets of a chain in one piece: in the first segment's tailroom, else in a jumbo slot. NULL: no room.

    Only the first data_len octets at the first segment's data are the packet's; the rest lies in other buffers.
    """
    cdef int slot
    if rte_pktmbuf_tailroom(m) >= m.pkt_len - m.data_len and rte_pktmbuf_linearize(m) == 0:
        return <uint8_t *>m.buf_addr + m.data_off
    if m.pkt_len > q.jumbo_size - FRAME_SLACK or q.jumbo_used == 0xffffffffffffffffULL:
        return NULL
    slot = ctz64(~q.jumbo_used)
    q.jumbo_used |= 1ULL << slot
    cdef uint8_t *to = q.jumbo + <size_t>slot * q.jumbo_size
    rte_pktmbuf_read(m, 0, m.pkt_len, to)
    return to


cdef inline bint too_long(const uint8_t *data, uint32_t n, uint32_t max_len) noexcept nogil:
    """More than the MTU's frame, a tag of four octets granted."""
    return n > max_len and not (n <= max_len + 4 and data[12] == 0x81 and data[13] == 0)


cdef inline bint rx_frame(device *d, dpdk_queue *q, rte_mbuf *m, frame *f) noexcept nogil:
    """Describe `m` in `f`; False, counted, if it is not to be seen."""
    cdef uint8_t *data = <uint8_t *>m.buf_addr + m.data_off
    if m.pkt_len > q.max_len and too_long(data, m.pkt_len if m.data_len >= 14 else 0xffffffffU, q.max_len):
        d.stats.rx_oversize += 1
        return False
    if m.nb_segs != 1:
        data = contiguous(q, m)
        if data == NULL:
            d.stats.rx_multiseg += 1
            return False
    if q.drop_own and m.pkt_len >= 12 and memcmp(data + 6, d.mac, 6) == 0:
        d.stats.rx_own += 1
        release_jumbo(q, m, data)
        return False
    f.data = data
    f.len = m.pkt_len
    f.room = m.pkt_len
    f.flags = rx_flags(q, m)
    f.vlan_tci = m.vlan_tci
    f.ts_source = FRAME_TS_NONE
    f.ts_ns = 0
    if m.ol_flags & q.ts_flag:
        f.ts_source = q.ts_source
        f.ts_ns = shim_timestamp_ns(m, q.ts_offset, q.ts_hz)
    f.handle = m
    if FRAME_MARKS:
        mark(m, FRAME_LENT)
    return True


cdef inline int dpdk_rx_burst(device *d, frame *frames, int n, uint64_t now_ns) noexcept nogil:
    cdef dpdk_queue *q = <dpdk_queue *>d.self
    cdef rte_mbuf *got[BURST]
    cdef int i, k, out = 0
    k = rte_eth_rx_burst(q.port, q.queue, got, <uint16_t>(n if n < BURST else BURST))
    if k == 0:
        return 0
    shim_prefetch(got[0])
    for i in range(k):
        if i + 1 < k:
            shim_prefetch(got[i + 1])
        if rx_frame(d, q, got[i], &frames[out]):
            d.stats.rx_octets += frames[out].len
            out += 1
        else:
            rte_pktmbuf_free(got[i])
    d.stats.rx_frames += out
    return out


# -- free and alloc

cdef inline void dpdk_free(device *d, frame *frames, int n) noexcept nogil:
    cdef dpdk_queue *q = <dpdk_queue *>d.self
    cdef rte_mbuf *m
    cdef int i
    for i in range(n):
        m = <rte_mbuf *>frames[i].handle
        if FRAME_MARKS:
            if marked(m) != FRAME_LENT and marked(m) != FRAME_ALLOCATED:
                frame_fault("dpdk", "freed twice, or freed after it was sent")
            mark(m, FRAME_FREE)
        release_jumbo(q, m, frames[i].data)
        rte_pktmbuf_free(m)


cdef inline bint dpdk_alloc(device *d, frame *f) noexcept nogil:
    cdef dpdk_queue *q = <dpdk_queue *>d.self
    cdef rte_mbuf *m = rte_pktmbuf_alloc(q.mp)
    if m == NULL:
        d.stats.alloc_failed += 1
        return False
    m.data_off = RTE_PKTMBUF_HEADROOM + FRAME_HEADROOM
    f.data = <uint8_t *>m.buf_addr + m.data_off
    f.len = 0
    f.room = m.buf_len - m.data_off
    f.flags = 0
    f.vlan_tci = 0
    f.ts_source = FRAME_TS_NONE
    f.ts_ns = 0
    f.handle = m
    if FRAME_MARKS:
        mark(m, FRAME_ALLOCATED)
    return True


# -- transmit

cdef inline bint tx_offload(rte_mbuf *m, const frame *f) noexcept nogil:
    """Tell the driver where the headers are. False if the frame is no IPv4 that could have its sums computed."""
    cdef const uint8_t *p = f.data
    cdef unsigned l2 = 18 if f.len >= 38 and p[12] == 0x81 and p[13] == 0 else 14
    cdef unsigned l3
    cdef uint64_t flags = RTE_MBUF_F_TX_IPV4
    if f.len < l2 + 20 or p[l2 - 2] != 0x08 or p[l2 - 1] != 0 or p[l2] >> 4 != 4:
        return False
    l3 = (p[l2] & 15) * 4
    if f.flags & FRAME_TX_IP_CSUM:
        flags |= RTE_MBUF_F_TX_IP_CKSUM
    if f.flags & FRAME_TX_L4_CSUM:
        if p[l2 + 9] == 6:
            flags |= RTE_MBUF_F_TX_TCP_CKSUM
        elif p[l2 + 9] == 17:
            flags |= RTE_MBUF_F_TX_UDP_CKSUM
        else:
            return False
    shim_tx_offload(m, flags, l2, l3, 8 if p[l2 + 9] == 17 else 20)
    return True


cdef inline int dpdk_tx_burst(device *d, frame *frames, int n, uint64_t now_ns) noexcept nogil:
    """Runs of frames to the driver; between them those that can never leave are taken, counted and freed."""
    cdef dpdk_queue *q = <dpdk_queue *>d.self
    cdef rte_mbuf *run[BURST]
    cdef rte_mbuf *m
    cdef frame *f
    cdef int taken = 0, k, i, sent, good
    cdef bint offload, bad
    while taken < n:
        k = 0
        offload = False
        bad = False
        while k < BURST and taken + k < n:
            f = &frames[taken + k]
            m = <rte_mbuf *>f.handle
            if FRAME_MARKS and marked(m) != FRAME_ALLOCATED:
                frame_fault("dpdk", "sent a frame that alloc did not give, or sent it twice")
            m.data_off = <uint16_t>(f.data - <uint8_t *>m.buf_addr)
            m.data_len = <uint16_t>f.len
            m.pkt_len = f.len
            if f.len < 14 or f.len > q.max_len and too_long(f.data, f.len, q.max_len):
                bad = True
                break
            if f.flags & (FRAME_TX_IP_CSUM | FRAME_TX_L4_CSUM):
                if not tx_offload(m, f):
                    bad = True
                    break
                offload = True
            run[k] = m
            k += 1
        good = k
        if offload:
            # Some drivers want the pseudo-header's sum in another form; they convert it here.
            good = rte_eth_tx_prepare(q.port, q.queue, run, <uint16_t>k)
        sent = rte_eth_tx_burst(q.port, q.queue, run, <uint16_t>good) if good else 0
        for i in range(sent):
            d.stats.tx_octets += frames[taken + i].len
        d.stats.tx_frames += sent
        taken += sent
        if sent < good:
            d.stats.tx_full += n - taken
            return taken
        if bad or good < k:
            rte_pktmbuf_free(<rte_mbuf *>frames[taken].handle)
            d.stats.tx_errors += 1
            taken += 1
    return taken


# -- the ops of a closed device: the pool outlives the port while frames are held, so they can come home

cdef inline void gone_free(device *d, frame *frames, int n) noexcept nogil:
    if eal_running():
        dpdk_free(d, frames, n)


cdef inline int gone_tx_burst(device *d, frame *frames, int n, uint64_t now_ns) noexcept nogil:
    d.stats.tx_errors += n
    gone_free(d, frames, n)
    return n
