# distutils: libraries = lwip
# distutils: include_dirs = /usr/include/lwip
"""One TCP connection of lwIP 2.1.3 (Debian's liblwip) over a device of ours; compiled by tests/compiled.py.

Debian builds lwIP for an operating system (NO_SYS=0, malloc, a lock around each allocation; Reno without SACK, 64 KB
windows scaled by one bit, 500 ms timer ticks). Here its raw API is driven from one thread: no thread of lwIP runs, frames go
to ethernet_input, and Peer.step sees to its timers. ARP is left out, in both directions: the peer's address is given.
Frames come in PBUF_RAM: the pool elements of this build hold 616 octets, less than its pbuf_alloc takes them to hold.
"""
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int16_t, uint8_t, uint16_t, uint32_t
from libc.string cimport memcpy

from dpdk_py.base cimport Device, mac_from
from dpdk_py.device cimport device, frame

cdef extern from "lwip/init.h":
    void lwip_init()

cdef extern from "lwip/ip4_addr.h":
    ctypedef struct ip4_addr_t:
        uint32_t addr

cdef extern from "lwip/ip_addr.h":
    ctypedef struct ip_addr_t:
        pass
    const ip_addr_t *IP_ADDR_ANY

cdef extern from "lwip/pbuf.h":
    ctypedef enum pbuf_layer:
        PBUF_RAW
    ctypedef enum pbuf_type:
        PBUF_RAM
        PBUF_REF
    cdef struct pbuf:
        void *payload
        uint16_t tot_len
    pbuf *pbuf_alloc(pbuf_layer layer, uint16_t length, pbuf_type kind)
    int pbuf_take(pbuf *p, const void *data, uint16_t n)
    uint16_t pbuf_copy_partial(const pbuf *p, void *data, uint16_t n, uint16_t offset)
    uint8_t pbuf_free(pbuf *p)

cdef extern from "lwip/netif.h":
    cdef struct netif
    ctypedef signed char (*netif_output_fn)(netif *nif, pbuf *p, const ip4_addr_t *to) noexcept
    ctypedef signed char (*netif_linkoutput_fn)(netif *nif, pbuf *p) noexcept
    ctypedef signed char (*netif_input_fn)(pbuf *p, netif *nif) noexcept
    ctypedef signed char (*netif_init_fn)(netif *nif) noexcept
    cdef struct netif:
        netif_input_fn input
        netif_output_fn output
        netif_linkoutput_fn linkoutput
        uint16_t mtu
        uint8_t hwaddr[6]
        uint8_t hwaddr_len
        uint8_t flags
        void *state
    enum: NETIF_FLAG_ETHERNET, NETIF_FLAG_ETHARP, NETIF_FLAG_LINK_UP
    netif *netif_add(netif *nif, const ip4_addr_t *ip, const ip4_addr_t *mask, const ip4_addr_t *gw, void *state,
                     netif_init_fn init, netif_input_fn input)
    void netif_set_default(netif *nif)
    void netif_set_up(netif *nif)

cdef extern from "netif/ethernet.h":
    cdef struct eth_addr:
        pass
    signed char ethernet_input(pbuf *p, netif *nif) noexcept
    signed char ethernet_output(netif *nif, pbuf *p, const eth_addr *source, const eth_addr *to, uint16_t kind)

cdef extern from "lwip/tcp.h":
    cdef struct tcp_pcb:
        int state
        uint8_t nrtx
        uint32_t lastack
        int16_t rto
        uint32_t snd_buf
        uint16_t snd_queuelen
        uint32_t cwnd
    ctypedef signed char (*tcp_accept_fn)(void *arg, tcp_pcb *c, signed char error) noexcept
    ctypedef signed char (*tcp_recv_fn)(void *arg, tcp_pcb *c, pbuf *p, signed char error) noexcept
    ctypedef void (*tcp_err_fn)(void *arg, signed char error) noexcept
    tcp_pcb *tcp_new()
    signed char tcp_bind(tcp_pcb *c, const ip_addr_t *at, uint16_t port)
    tcp_pcb *tcp_listen(tcp_pcb *c)
    void tcp_arg(tcp_pcb *c, void *arg)
    void tcp_accept(tcp_pcb *c, tcp_accept_fn f)
    void tcp_recv(tcp_pcb *c, tcp_recv_fn f)
    void tcp_err(tcp_pcb *c, tcp_err_fn f)
    void tcp_recved(tcp_pcb *c, uint16_t n)
    signed char tcp_write(tcp_pcb *c, const void *text, uint16_t n, uint8_t flags)
    signed char tcp_output(tcp_pcb *c)
    signed char tcp_shutdown(tcp_pcb *c, int rx, int tx)
    enum: TCP_WRITE_FLAG_COPY, TCP_SND_QUEUELEN

cdef extern from "lwip/timeouts.h":
    void sys_check_timeouts()

cdef enum:
    ETHERTYPE_IPV4 = 0x0800
    BURST = 32
    ERR_CLSD = -15                  # lwip/err.h: both sides have closed

STATES = ("CLOSED", "LISTEN", "SYN-SENT", "SYN-RECEIVED", "ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2", "CLOSE-WAIT", "CLOSING",
          "LAST-ACK", "TIME-WAIT")      # enum tcp_state of lwip/tcpbase.h
TICK_NS = 500_000_000               # TCP_SLOW_INTERVAL, the unit of tcp_pcb.rto
MTU = 1500
cdef netif interface
cdef uint8_t peer_mac[6]


cdef signed char lwip_ip_output(netif *nif, pbuf *p, const ip4_addr_t *to) noexcept:
    return ethernet_output(nif, p, <eth_addr *>nif.hwaddr, <eth_addr *>peer_mac, ETHERTYPE_IPV4)


cdef signed char lwip_link_output(netif *nif, pbuf *p) noexcept:
    """A frame the device has no room for is lost, as on any wire."""
    cdef device *d = <device *>nif.state
    cdef frame f
    if not d.ops.alloc(d, &f):
        return 0
    f.len = pbuf_copy_partial(p, f.data, p.tot_len, 0)
    if d.ops.tx_burst(d, &f, 1, 0) != 1:
        d.ops.free(d, &f, 1)
    return 0


cdef signed char lwip_netif_init(netif *nif) noexcept:
    nif.output = lwip_ip_output
    nif.linkoutput = lwip_link_output
    nif.mtu = MTU
    nif.hwaddr_len = 6
    nif.flags |= NETIF_FLAG_ETHERNET | NETIF_FLAG_ETHARP | NETIF_FLAG_LINK_UP       # ETHARP: or IPv4 is refused
    return 0


cdef signed char accepted(void *arg, tcp_pcb *c, signed char error) noexcept:
    cdef Peer peer = <Peer>arg
    if peer.c != NULL or error:
        return -1
    peer.c = c
    tcp_arg(c, arg)
    tcp_recv(c, text_came)
    tcp_err(c, ended)
    return 0


cdef signed char text_came(void *arg, tcp_pcb *c, pbuf *p, signed char error) noexcept:
    cdef Peer peer = <Peer>arg
    cdef bytes text
    if p == NULL:
        peer.eof = True
        return 0
    peer.taken += p.tot_len
    if peer.on_text is None:
        tcp_recved(c, p.tot_len)
        pbuf_free(p)
        return 0
    text = PyBytes_FromStringAndSize(NULL, p.tot_len)
    pbuf_copy_partial(p, <char *>text, p.tot_len, 0)
    tcp_recved(c, p.tot_len)
    pbuf_free(p)
    peer.on_text(text)
    return 0


cdef void ended(void *arg, signed char error) noexcept:
    cdef Peer peer = <Peer>arg
    peer.c = NULL
    if error != ERR_CLSD:
        peer.error = f"lwIP ended the connection, err_t {error}, in {STATES[peer.state]} after {peer.resent} retransmissions"


cdef class Peer:
    """Accepts one connection on `port` at `address` (four octets). One in a process: lwIP's state is global.

    on_text(bytes) is called with what comes in order; None: it is only counted in `taken`. `in_place`: lwIP reads frames
    where the device has them, which is sound only while all come in order. `eof` after FIN; `error` if lwIP gave the connection up. Not
    `connected` any more once it is closed in both directions.
    """
    cdef Device device
    cdef tcp_pcb *c
    cdef object on_text
    cdef bint in_place
    cdef int state                      # of c, before lwIP's timers ran last
    cdef int resent                     # how often its first unacknowledged segment was sent again
    cdef readonly unsigned long long taken
    cdef readonly bint eof
    cdef readonly str error

    def __init__(self, Device dev not None, const uint8_t[::1] address not None, mac_of_peer, int port, on_text=None,
                 bint in_place=False):
        cdef ip4_addr_t at, mask, gateway
        cdef tcp_pcb *listener
        if interface.state != NULL:
            raise RuntimeError("lwIP has been started in this process")
        self.device, self.on_text, self.in_place, self.error = dev, on_text, in_place, ""
        mac_from(mac_of_peer, peer_mac)
        memcpy(&at.addr, &address[0], 4)
        mask.addr = 0x00ffffff              # /24 in network order
        gateway.addr = 0
        lwip_init()
        memcpy(interface.hwaddr, dev.dev.mac, 6)
        netif_add(&interface, &at, &mask, &gateway, dev.ptr(), lwip_netif_init, ethernet_input)
        netif_set_default(&interface)
        netif_set_up(&interface)
        listener = tcp_new()
        if tcp_bind(listener, IP_ADDR_ANY, port):
            raise OSError("lwIP cannot bind")
        listener = tcp_listen(listener)
        tcp_arg(listener, <void *>self)
        tcp_accept(listener, accepted)

    cdef int burst(self, int most) noexcept:
        """At most so many frames in; how many there were."""
        cdef frame frames[BURST]
        cdef device *d = self.device.ptr()
        cdef pbuf *p
        cdef int i, n = d.ops.rx_burst(d, frames, min(most, <int>BURST), 0)
        for i in range(n):
            p = pbuf_alloc(PBUF_RAW, frames[i].len, PBUF_REF if self.in_place else PBUF_RAM)
            if p == NULL:
                continue
            if self.in_place:
                p.payload = frames[i].data
            else:
                pbuf_take(p, frames[i].data, frames[i].len)
            if interface.input(p, &interface):
                pbuf_free(p)
        d.ops.free(d, frames, n)
        return n

    def step(self):
        """Frames in, timers; how many frames."""
        n = self.burst(BURST)
        if self.c != NULL:
            self.state, self.resent = self.c.state, self.c.nrtx
        sys_check_timeouts()
        return n

    def run(self, int most):
        """Everything the device has, in bursts of at most so many; no timers."""
        while self.burst(most):
            pass

    @property
    def connected(self):
        return self.c != NULL

    def send(self, const uint8_t[::1] text not None):
        """Octets queued and, as its windows allow, sent."""
        cdef uint32_t n
        if self.c == NULL or text.shape[0] == 0 or self.c.snd_queuelen + 8 > TCP_SND_QUEUELEN:
            return 0
        n = min(min(<uint32_t>text.shape[0], self.c.snd_buf), 0xffff)
        if n == 0 or tcp_write(self.c, &text[0], n, TCP_WRITE_FLAG_COPY):
            return 0
        tcp_output(self.c)
        return n

    def shutdown(self):
        """FIN after what is queued; True if it could be queued."""
        return self.c != NULL and tcp_shutdown(self.c, 0, 1) == 0

    @property
    def unacked(self):
        """(SND.UNA, RTO in ns, back-off included); None without a connection."""
        return None if self.c == NULL else (self.c.lastack, self.c.rto * TICK_NS)
