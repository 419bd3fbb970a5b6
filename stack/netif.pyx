"""From frame to datagram and back: Ethernet, IPv4 and ICMP of one interface with one address.

RFC 791, 792, 1122 (sections 2 and 3), 5927 (what an ICMP error may claim). netif_burst shows the order.
Every frame ends in exactly one counter of netif_stats.rx, the enum netif_verdict.

Not here: forwarding (RFC 1122 3.3.4.2: a host that is no router never passes a datagram on), fragments (counted,
dropped), several addresses, ICMP redirects and source quench (ignored on purpose: anybody can send them, RFC 6633).
"""
from cpython.mem cimport PyMem_Calloc, PyMem_Free
from dpdk_py.base cimport Device, mac_from
from dpdk_py.device cimport (
    FRAME_RX_IP_BAD, FRAME_RX_IP_GOOD, FRAME_RX_VLAN, FRAME_SLACK, device, frame,
)
from libc.stdint cimport UINT32_MAX, UINT64_MAX, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from .neighbor cimport (
    ARP_IGNORED, ARP_MALFORMED, ARP_TAKEN, NEIGHBOR_REACHABLE, neighbor, neighbor_add_static,
    neighbor_config_default, neighbor_find, neighbor_queue, neighbor_remove, neighbor_stats, neighbors_deadline,
    neighbors_free, neighbors_init, neighbors_input, neighbors_poll, neighbors_start, neighbors_usable,
)
from .random cimport random_next
from .recorder cimport (
    RECORD_FULL, RECORD_IN, RECORD_NO_ROUTE, RECORD_OUT, RECORD_SENT, RECORD_WAITS, recorder, recorder_amend,
    recorder_judge, recorder_serve, recorder_take,
)
from .wire.ethernet cimport (
    ETH_ALEN, ETH_HLEN, ETH_VLAN_HLEN, ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_VLAN, eth_emit, eth_emit_tagged, eth_hdr,
    eth_parse, mac_copy, mac_is_group, mac_load,
)
from .wire.icmp cimport (
    ICMP_ECHO_REPLY, ICMP_ECHO_REQUEST, ICMP_HLEN, ICMP_PARAMETER_PROBLEM, ICMP_TIME_EXCEEDED, ICMP_UNREACH_FRAG_NEEDED,
    ICMP_UNREACH_HOST, ICMP_UNREACHABLE, icmp_checksum_ok, icmp_emit, icmp_hdr, icmp_parse,
)
from .wire.ipv4 cimport (
    IPPROTO_ICMP, IPV4_HLEN, IPV4_MF, IPV4_OFFSET, IPV4_TTL, ipv4_checksum_ok, ipv4_emit, ipv4_hdr,
    ipv4_is_multicast, ipv4_is_unicast_source, ipv4_parse, ipv4_parse_quoted,
)
from .wire.octets cimport likely, load_be16, prefetch, unlikely
from .wire.trace cimport TRACE_RX, TRACE_TCP_OUT, TRACE_TX, trace_mark

from stack.verdicts import NETIF_VERDICTS as VERDICTS
from stack.wire.text import format_ipv4, parse_address, parse_ipv4

cdef enum:
    PREFETCH_OCTETS = 384       # six lines: headers and a FIX message of the usual size
    VID_MASK = 0x0FFF


cdef void netif_config_default(netif_config *config) noexcept nogil:
    memset(config, 0, sizeof(netif_config))
    neighbor_config_default(&config.neighbors)


cdef bint netif_init(netif *nif, device *dev, const netif_config *config) noexcept nogil:
    memset(nif, 0, sizeof(netif))
    nif.dev = dev
    nif.addr = config.addr
    nif.mask = config.mask
    nif.gateway = config.gateway
    nif.vlan = config.vlan
    mac_copy(nif.mac, dev.mac)
    nif.mac_word = mac_load(dev.mac)
    nif.random = config.seed
    nif.secret[0] = random_next(&nif.random)
    nif.secret[1] = random_next(&nif.random)
    if not neighbors_init(&nif.neighbors, dev, config.addr, config.mask, &config.neighbors, config.vlan,
                          random_next(&nif.random)):
        return False
    nif.ip_id = <uint16_t>random_next(&nif.random)
    nif.neighbors.on_failed = netif_neighbor_failed
    nif.neighbors.ctx = nif
    nif.last = nif.neighbors.entries
    return True


cdef void netif_free(netif *nif) noexcept nogil:
    neighbors_free(&nif.neighbors)


cdef void netif_start(netif *nif, uint64_t now_ns) noexcept nogil:
    neighbors_start(&nif.neighbors, now_ns)


cdef void netif_record(netif *nif, recorder *r) noexcept nogil:
    """From now on `r` sees every frame, ARP's too; it stays its owner's and must outlive the netif, or be taken away."""
    nif.recorder = r
    nif.neighbors.recorder = r


cdef bint netif_add_poller(netif *nif, netif_poll_fn poll, netif_deadline_fn deadline, void *ctx) noexcept nogil:
    if nif.poller_count == NETIF_POLLERS:
        return False
    nif.pollers[nif.poller_count].ctx = ctx
    nif.pollers[nif.poller_count].poll = poll
    nif.pollers[nif.poller_count].deadline = deadline
    nif.poller_count += 1
    return True


# -- up

cdef int netif_burst(netif *nif, int budget, uint64_t now_ns) noexcept nogil:
    cdef frame frames[NETIF_BURST]
    cdef int done = 0, n, want, i
    cdef uint32_t at
    while done < budget:
        want = budget - done if budget - done < NETIF_BURST else NETIF_BURST
        n = nif.dev.ops.rx_burst(nif.dev, frames, want, now_ns)
        if n == 0:
            break
        # Another core, or the device, wrote these lines: fetched together they cost one miss instead of six
        for i in range(n):
            at = 0
            while at < frames[i].len and at < PREFETCH_OCTETS:
                prefetch(frames[i].data + at)
                at += 64
        for i in range(n):
            trace_mark(nif.trace, TRACE_RX)
            netif_input(nif, &frames[i], now_ns)
        nif.dev.ops.free(nif.dev, frames, n)
        done += n
        if n < want:
            break
    return done


cdef int netif_input(netif *nif, const frame *f, uint64_t now_ns) noexcept nogil:
    cdef int verdict
    cdef uint64_t number = 0
    nif.stats.rx_frames += 1
    if unlikely(nif.recorder != NULL):
        number = recorder_take(nif.recorder, f.data, f.len, RECORD_IN, now_ns)
    if likely(f.len >= ETH_HLEN and mac_load(f.data) == nif.mac_word
              and load_be16(f.data + 2 * ETH_ALEN) == ETHERTYPE_IPV4 and not f.flags & FRAME_RX_VLAN):
        verdict = ipv4_input(nif, f, f.data + ETH_HLEN, f.len - ETH_HLEN, False, now_ns)
    else:
        verdict = ethernet_input(nif, f, now_ns)
    nif.stats.rx[verdict] += 1
    if unlikely(nif.recorder != NULL):
        recorder_judge(nif.recorder, number, <uint8_t>verdict)
    return verdict


cdef int ethernet_input(netif *nif, const frame *f, uint64_t now_ns) noexcept nogil:
    """Every frame but the plainest: broadcast, ARP, 802.1Q, other people's."""
    cdef eth_hdr eth
    cdef bint group
    cdef int vid = -1
    if not eth_parse(&eth, f.data, f.len):
        return RX_SHORT
    group = mac_is_group(eth.dst)
    if not group and mac_load(eth.dst) != nif.mac_word:
        return RX_OTHER_MAC
    if f.flags & FRAME_RX_VLAN:
        if eth.tagged:
            return RX_VLAN
        vid = f.vlan_tci & VID_MASK
    elif eth.tagged:
        if eth.ethertype == ETHERTYPE_VLAN:
            return RX_VLAN
        vid = eth.tci & VID_MASK
    if nif.vlan != 0 and vid > 0 and vid != nif.vlan:
        return RX_VLAN
    if eth.ethertype == ETHERTYPE_IPV4:
        return ipv4_input(nif, f, eth.payload, eth.payload_len, group, now_ns)
    if eth.ethertype == ETHERTYPE_ARP:
        return arp_input(nif, eth.payload, eth.payload_len, now_ns)
    return RX_ETHERTYPE


cdef int arp_input(netif *nif, const uint8_t *p, uint32_t n, uint64_t now_ns) noexcept nogil:
    cdef int verdict = neighbors_input(&nif.neighbors, p, n, now_ns)
    if verdict == ARP_TAKEN:
        return RX_ARP
    if verdict == ARP_IGNORED:
        return RX_ARP_IGNORED
    return RX_ARP_MALFORMED if verdict == ARP_MALFORMED else RX_ARP_CONFLICT


cdef int ipv4_input(netif *nif, const frame *f, const uint8_t *p, uint32_t n, bint link_group,
                    uint64_t now_ns) noexcept nogil:
    """The `n` octets behind the Ethernet header, padding and all. Options are passed over by the header length."""
    cdef ipv4_hdr ip
    cdef l4_input_fn input_fn
    if unlikely(not ipv4_parse(&ip, p, n)):
        return RX_IPV4_MALFORMED
    if not f.flags & FRAME_RX_IP_GOOD and unlikely(f.flags & FRAME_RX_IP_BAD or not ipv4_checksum_ok(&ip)):
        return RX_IPV4_CHECKSUM
    if unlikely(ip.destination != nif.addr):
        if not (ipv4_is_multicast(ip.destination) and nif.is_member != NULL
                and nif.is_member(nif.member_ctx, nif, ip.destination)):
            return RX_IPV4_OTHER
    elif unlikely(link_group):
        return RX_IPV4_LINK_GROUP
    if unlikely(not source_ok(nif, ip.source)):
        return RX_IPV4_SOURCE
    if unlikely(not neighbors_usable(&nif.neighbors)):
        return RX_ADDRESS_UNUSABLE
    if unlikely(ip.fragment & (IPV4_MF | IPV4_OFFSET)):
        return RX_IPV4_FRAGMENT
    input_fn = nif.l4_input[ip.protocol]
    if likely(input_fn != NULL):
        input_fn(nif.l4_ctx[ip.protocol], nif, &ip, f, now_ns)
        return RX_L4
    if ip.protocol == IPPROTO_ICMP:
        return icmp_input(nif, &ip, now_ns)
    return RX_IPV4_PROTOCOL


cdef inline bint source_ok(netif *nif, uint32_t source) noexcept nogil:
    """RFC 1122 3.2.1.3: nothing comes from a group, a broadcast, 0/8 or 127/8; and what we send does not come back."""
    if not ipv4_is_unicast_source(source) or source == nif.addr:
        return False
    # The directed broadcast of our own net; a /31 (RFC 3021) and a /32 have none.
    return source != (nif.addr | ~nif.mask) or nif.mask >= UINT32_MAX - 1


# -- ICMP

cdef int icmp_input(netif *nif, const ipv4_hdr *ip, uint64_t now_ns) noexcept nogil:
    cdef icmp_hdr icmp
    if not icmp_parse(&icmp, ip.payload, ip.payload_len):
        return RX_ICMP_MALFORMED
    if not icmp_checksum_ok(ip.payload, ip.payload_len):
        return RX_ICMP_CHECKSUM
    if icmp.type == ICMP_ECHO_REQUEST and icmp.code == 0 and ip.destination == nif.addr:
        return icmp_echo(nif, ip, &icmp, now_ns)
    if icmp.type == ICMP_UNREACHABLE or icmp.type == ICMP_TIME_EXCEEDED or icmp.type == ICMP_PARAMETER_PROBLEM:
        return icmp_error(nif, &icmp, now_ns)
    return RX_ICMP_IGNORED


cdef int icmp_echo(netif *nif, const ipv4_hdr *ip, const icmp_hdr *icmp, uint64_t now_ns) noexcept nogil:
    """RFC 1122 3.2.2.6: the reply carries all of the request's data, from the address it was sent to."""
    cdef frame f
    cdef uint32_t n = ip.payload_len
    if not netif_alloc(nif, &f):
        return RX_ECHO_UNSENT
    if ETH_HLEN + IPV4_HLEN + n > f.room:
        nif.dev.ops.free(nif.dev, &f, 1)
        return RX_ECHO_UNSENT
    ipv4_emit(f.data + ETH_HLEN, ip.tos, <uint16_t>(IPV4_HLEN + n), netif_ip_id(nif), 0, IPV4_TTL, IPPROTO_ICMP,
              nif.addr, ip.source)
    memcpy(f.data + ETH_HLEN + IPV4_HLEN + ICMP_HLEN, icmp.body, icmp.body_len)
    icmp_emit(f.data + ETH_HLEN + IPV4_HLEN, ICMP_ECHO_REPLY, 0, icmp.rest, <uint16_t>n)
    f.len = ETH_HLEN + IPV4_HLEN + n
    return RX_ECHO if netif_output(nif, &f, ip.source, now_ns) else RX_ECHO_UNSENT


cdef int icmp_error(netif *nif, const icmp_hdr *icmp, uint64_t now_ns) noexcept nogil:
    """About something we sent, if the quotation is to be believed; the owner of the protocol looks closer (RFC 5927)."""
    cdef ipv4_hdr quoted
    cdef l4_error_fn error_fn
    cdef uint16_t mtu = 0
    if not ipv4_parse_quoted(&quoted, icmp.body, icmp.body_len):
        return RX_ICMP_MALFORMED
    error_fn = nif.l4_error[quoted.protocol]
    # The ports are in the first fragment only
    if quoted.source != nif.addr or quoted.fragment & IPV4_OFFSET or error_fn == NULL:
        return RX_ICMP_IGNORED
    if icmp.type == ICMP_UNREACHABLE and icmp.code == ICMP_UNREACH_FRAG_NEEDED:
        mtu = icmp.mtu
    if error_fn(nif.l4_ctx[quoted.protocol], nif, &quoted, icmp.body_len - quoted.hlen, icmp.type, icmp.code, mtu, False,
                now_ns):
        return RX_ICMP_ERROR
    return RX_ICMP_IGNORED


cdef void netif_neighbor_failed(void *ctx, uint32_t addr, const uint8_t *p, uint32_t n, uint64_t now_ns) noexcept nogil:
    """Nobody answered for the next hop of this frame of ours: told like an ICMP host unreachable (RFC 1122 2.4)."""
    cdef netif *nif = <netif *>ctx
    cdef eth_hdr eth
    cdef ipv4_hdr ip
    if eth_parse(&eth, p, n) and ipv4_parse(&ip, eth.payload, eth.payload_len) and nif.l4_error[ip.protocol] != NULL:
        nif.l4_error[ip.protocol](nif.l4_ctx[ip.protocol], nif, &ip, ip.payload_len, ICMP_UNREACHABLE,
                                  ICMP_UNREACH_HOST, 0, True, now_ns)


# -- time

cdef int netif_poll(netif *nif, uint64_t now_ns) noexcept nogil:
    cdef int i, work = neighbors_poll(&nif.neighbors, now_ns)
    for i in range(nif.poller_count):
        work += nif.pollers[i].poll(nif.pollers[i].ctx, nif, now_ns)
    if unlikely(nif.recorder != NULL and (nif.recorder.fault or nif.recorder.requested)):
        recorder_serve(nif.recorder, now_ns)
    return work


cdef uint64_t netif_deadline(netif *nif) noexcept nogil:
    cdef uint64_t earliest = neighbors_deadline(&nif.neighbors), d
    cdef int i
    for i in range(nif.poller_count):
        d = nif.pollers[i].deadline(nif.pollers[i].ctx, nif)
        if d < earliest:
            earliest = d
    return earliest


# -- down

cdef uint16_t netif_ip_id(netif *nif) noexcept nogil:
    """RFC 6864: only a datagram that may be fragmented needs one that does not repeat soon."""
    nif.ip_id += 1
    return nif.ip_id


cdef bint netif_alloc(netif *nif, frame *f) noexcept nogil:
    if unlikely(not nif.dev.ops.alloc(nif.dev, f)):
        nif.stats.alloc_failed += 1
        return False
    if unlikely(nif.vlan != 0):
        # netif_output puts the tag into these four octets
        f.data += ETH_VLAN_HLEN
        f.room -= ETH_VLAN_HLEN
    return True


cdef bint netif_output(netif *nif, frame *f, uint32_t dst, uint64_t now_ns) noexcept nogil:
    cdef uint32_t hop = dst
    cdef neighbor *nb = nif.last
    cdef uint8_t group[ETH_ALEN]
    nif.stats.tx_frames += 1
    if unlikely(not neighbors_usable(&nif.neighbors)):
        nif.stats.tx_address_unusable += 1
        return netif_unroutable(nif, f, now_ns)
    if unlikely(ipv4_is_multicast(dst)):
        # RFC 1112 section 6.4: the low 23 bits behind 01-00-5E
        group[0], group[1], group[2] = 0x01, 0x00, 0x5E
        group[3], group[4], group[5] = (dst >> 16) & 0x7F, (dst >> 8) & 0xFF, dst & 0xFF
        return netif_transmit(nif, f, group, now_ns)
    if unlikely(((dst ^ nif.addr) & nif.mask) != 0):
        hop = nif.gateway
        if hop == 0:
            nif.stats.tx_no_route += 1
            return netif_unroutable(nif, f, now_ns)
    if unlikely(nb.addr != hop or nb.state < NEIGHBOR_REACHABLE or now_ns >= nb.refresh_ns):
        nb = neighbor_find(&nif.neighbors, hop, now_ns)
        if nb == NULL:
            return netif_wait(nif, f, hop, now_ns)
        nif.last = nb
    nb.used_ns = now_ns
    return netif_transmit(nif, f, nb.mac, now_ns)


cdef inline bint netif_transmit(netif *nif, frame *f, const uint8_t *mac, uint64_t now_ns) noexcept nogil:
    cdef uint64_t number = 0
    netif_emit(nif, f, mac)
    if unlikely(nif.recorder != NULL):
        number = recorder_take(nif.recorder, f.data, f.len, RECORD_OUT, now_ns)
        recorder_judge(nif.recorder, number, RECORD_SENT)
    trace_mark(nif.trace, TRACE_TCP_OUT)
    if likely(nif.dev.ops.tx_burst(nif.dev, f, 1, now_ns) == 1):
        trace_mark(nif.trace, TRACE_TX)
        nif.stats.tx_sent += 1
        return True
    trace_mark(nif.trace, TRACE_TX)
    nif.stats.tx_full += 1
    if unlikely(nif.recorder != NULL):
        recorder_amend(nif.recorder, number, RECORD_FULL)
    return netif_refuse(nif, f)


cdef inline void netif_emit(netif *nif, frame *f, const uint8_t *mac) noexcept nogil:
    """The Ethernet header in front of the datagram."""
    if likely(nif.vlan == 0):
        eth_emit(f.data, mac, nif.mac, ETHERTYPE_IPV4)
        return
    f.data -= ETH_VLAN_HLEN
    f.room += ETH_VLAN_HLEN
    f.len += ETH_VLAN_HLEN
    eth_emit_tagged(f.data, mac, nif.mac, nif.vlan, ETHERTYPE_IPV4)


cdef bint netif_wait(netif *nif, frame *f, uint32_t hop, uint64_t now_ns) noexcept nogil:
    """The next hop is not known yet: a copy waits in neighbor's queue."""
    cdef bint waits
    netif_emit(nif, f, nif.mac)         # neighbor puts the destination in
    waits = neighbor_queue(&nif.neighbors, hop, f, now_ns)
    if unlikely(nif.recorder != NULL):
        netif_record_unsent(nif, f, RECORD_WAITS if waits else RECORD_FULL, now_ns)
    if waits:
        nif.stats.tx_waiting += 1
    else:
        nif.stats.tx_no_neighbor += 1
    nif.dev.ops.free(nif.dev, f, 1)
    return waits


cdef bint netif_unroutable(netif *nif, frame *f, uint64_t now_ns) noexcept nogil:
    if nif.recorder != NULL:
        netif_emit(nif, f, nif.mac)
        netif_record_unsent(nif, f, RECORD_NO_ROUTE, now_ns)
    return netif_refuse(nif, f)


cdef void netif_record_unsent(netif *nif, const frame *f, uint8_t why, uint64_t now_ns) noexcept nogil:
    cdef uint64_t number = recorder_take(nif.recorder, f.data, f.len, RECORD_OUT, now_ns)
    recorder_judge(nif.recorder, number, why)


cdef bint netif_refuse(netif *nif, frame *f) noexcept nogil:
    nif.dev.ops.free(nif.dev, f, 1)
    return False


# -- the Python face

assert len(VERDICTS) == RX_VERDICTS
NEIGHBOR_STATES = ("free", "incomplete", "reachable", "refreshing", "static")


cdef class Netif:
    """One interface over a device: ARP, IPv4 and ICMP, with nothing above. `Stack` is this with TCP on it.

    `address` is "10.0.0.2/24" (without a length: /32, and everything goes to `gateway`). `seed` fixes everything
    random. `vlan` 1..4094 tags what is sent and refuses other tags; 0 sends untagged and tolerates one tag of any VLAN.
    `neighbors` (256), `pending` (64 frames), `pending_each` (48), `arp_tries` (3), `arp_retry_ns` (1 s, doubled each
    time), `arp_refresh_ns` (30 s) and `probes` (0; RFC 5227 wants 3) bound the ARP cache. Times are `now_ns`, any
    monotonic origin. Allocates here and never again.
    """

    def __cinit__(self, Device dev not None, str address not None, gateway=None, *, seed=0, int vlan=0,
                  int neighbors=256, int pending=64, int pending_each=48, int arp_tries=3,
                  arp_retry_ns=1_000_000_000, arp_refresh_ns=30_000_000_000, int probes=0):
        cdef netif_config config
        addr, length = parse_address(address)
        netif_config_default(&config)
        config.addr = addr
        config.mask = (0xFFFFFFFF << (32 - length)) & 0xFFFFFFFF
        config.gateway = 0 if gateway is None else parse_ipv4(gateway)
        config.seed = seed & 0xFFFFFFFFFFFFFFFF
        if not ipv4_is_unicast_source(config.addr):
            raise ValueError(f"address {address} cannot be an interface's")
        if config.gateway and length < 32 and (config.gateway ^ config.addr) & config.mask:
            raise ValueError(f"gateway {gateway} is not on the net of {address}")
        if not 0 <= vlan <= 4094:
            raise ValueError(f"vlan is {vlan}, must be 0 (untagged) to 4094")
        config.vlan = vlan
        for name, value, least, most in (
                ("neighbors", neighbors, 2, 16384), ("pending", pending, 1, 4096), ("pending_each", pending_each, 1, 4096),
                ("arp_tries", arp_tries, 1, 16), ("arp_retry_ns", arp_retry_ns, 1, 60_000_000_000),
                ("arp_refresh_ns", arp_refresh_ns, 1, 2 ** 62), ("probes", probes, 0, 255)):
            if not least <= value <= most:
                raise ValueError(f"{name} is {value}, must be {least} to {most}")
        config.neighbors.entries = neighbors
        config.neighbors.pending = pending
        config.neighbors.pending_each = pending_each
        config.neighbors.tries = arp_tries
        config.neighbors.retry_ns = arp_retry_ns
        config.neighbors.refresh_ns = arp_refresh_ns
        config.neighbors.probes = probes
        self.device = dev
        self.nif = <netif *>PyMem_Calloc(1, sizeof(netif))
        if self.nif == NULL or not netif_init(self.nif, dev.ptr(), &config):
            raise MemoryError("no memory for the ARP cache")

    def __dealloc__(self):
        if self.nif != NULL:
            netif_free(self.nif)
            PyMem_Free(self.nif)

    @property
    def address(self):
        return format_ipv4(self.nif.addr)

    def start(self, uint64_t now_ns):
        """Announces the address (RFC 5227), after probing for it where `probes` says so; poll() goes on with it."""
        netif_start(self.nif, now_ns)

    def burst(self, uint64_t now_ns, int budget=NETIF_BURST):
        """Receives and handles at most `budget` frames; returns how many there were."""
        with nogil:
            budget = netif_burst(self.nif, budget, now_ns)
        return budget

    def input(self, const uint8_t[::1] data not None, uint64_t now_ns, int flags=0, int vlan_tci=0):
        """Handles one frame as if the device had received it; returns the verdict, a name of VERDICTS."""
        cdef frame f
        cdef uint8_t *copy
        cdef Py_ssize_t n = data.shape[0]
        memset(&f, 0, sizeof(frame))
        copy = <uint8_t *>PyMem_Calloc(1, n + FRAME_SLACK)
        if copy == NULL:
            raise MemoryError()
        if n:
            memcpy(copy, &data[0], n)
        f.data = copy
        f.len = f.room = <uint32_t>n
        f.flags = flags
        f.vlan_tci = vlan_tci
        try:
            return VERDICTS[netif_input(self.nif, &f, now_ns)]
        finally:
            PyMem_Free(copy)

    def output(self, const uint8_t[::1] datagram not None, str destination not None, uint64_t now_ns):
        """Sends an IPv4 datagram, header and all, to the next hop of `destination`. False: not sent, nor waiting for
        ARP (stats() has the reason). ValueError if it is longer than a frame of the device."""
        cdef frame f
        cdef uint32_t dst = parse_ipv4(destination)
        cdef Py_ssize_t n = datagram.shape[0]
        if not netif_alloc(self.nif, &f):
            return False
        if ETH_HLEN + n > f.room:
            self.nif.dev.ops.free(self.nif.dev, &f, 1)
            raise ValueError(f"a datagram of {n} octets, the frame has room for {f.room - ETH_HLEN}")
        if n:
            memcpy(f.data + ETH_HLEN, &datagram[0], n)
        f.len = ETH_HLEN + <uint32_t>n
        return netif_output(self.nif, &f, dst, now_ns)

    def poll(self, uint64_t now_ns):
        """Does what is due; returns how many things were."""
        return netif_poll(self.nif, now_ns)

    def deadline(self):
        """When poll() has something to do: nanoseconds, or None."""
        cdef uint64_t d = netif_deadline(self.nif)
        return None if d == UINT64_MAX else d

    def stats(self):
        """Counters since the start. rx_frames is the sum of the `rx_` verdicts; tx_frames that of tx_sent, tx_waiting,
        tx_full, tx_no_route, tx_no_neighbor and tx_address_unusable; `arp_` ones are the neighbour table's."""
        cdef netif_stats *s = &self.nif.stats
        cdef neighbor_stats *a = &self.nif.neighbors.stats
        cdef int i
        out = {"rx_frames": s.rx_frames}
        for i in range(RX_VERDICTS):
            out["rx_" + VERDICTS[i]] = s.rx[i]
        out.update(
            tx_frames=s.tx_frames, tx_sent=s.tx_sent, tx_waiting=s.tx_waiting, tx_full=s.tx_full,
            tx_no_route=s.tx_no_route, tx_no_neighbor=s.tx_no_neighbor, tx_address_unusable=s.tx_address_unusable,
            alloc_failed=s.alloc_failed)
        out.update({"arp_" + name: value for name, value in a[0].items()})
        return out

    def neighbors(self):
        """The ARP cache: {address: (state, MAC as bytes, frames waiting)}."""
        cdef neighbor *nb
        cdef int i
        out = {}
        for i in range(self.nif.neighbors.config.entries):
            nb = &self.nif.neighbors.entries[i]
            if nb.state:
                out[format_ipv4(nb.addr)] = (NEIGHBOR_STATES[nb.state], nb.mac[:6], nb.pending_count)
        return out

    def add_neighbor(self, str address not None, mac, uint64_t now_ns=0):
        """A static entry; False where the table holds nothing but such. `mac`: 6 octets, or 02:00:00:00:00:01."""
        cdef uint8_t octets[6]
        mac_from(mac, octets)
        return neighbor_add_static(&self.nif.neighbors, parse_ipv4(address), octets, now_ns)

    def remove_neighbor(self, str address not None):
        """Forgets an entry, what waits for it included; False if there was none."""
        return neighbor_remove(&self.nif.neighbors, parse_ipv4(address))
