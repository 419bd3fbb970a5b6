# One interface with one IPv4 address: a frame comes in here and becomes a datagram, a datagram leaves as a frame.
#
# RFC 791, RFC 792, RFC 1122 sections 2 and 3. Read netif_burst first, then netif_input, ipv4_input.
# What is above (TCP, UDP, IGMP) registers functions: l4_input by protocol, l4_error for ICMP errors about what it sent,
# a poller for its timers. Nothing here allocates after netif_init, and time is always an argument.
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from dpdk_py.base cimport Device
from dpdk_py.device cimport device, frame
from .neighbor cimport neighbor, neighbor_config, neighbor_table
from .recorder cimport recorder
from .wire.ipv4 cimport ipv4_hdr

cdef enum:
    NETIF_BURST = 32            # frames asked of the device at once
    NETIF_POLLERS = 4

# What became of a received frame: each is one counter, and their sum is the number of frames received.
cdef enum netif_verdict:
    RX_L4 = 0                   # handed to l4_input; its owner accounts for the rest
    RX_ARP = 1                  # ARP that was of use
    RX_ECHO = 2                 # ICMP echo request, answered
    RX_ICMP_ERROR = 3           # ICMP error, handed to l4_error
    # and the drops, in the order in which they are found
    RX_SHORT = 4                # no whole Ethernet header
    RX_OTHER_MAC = 5            # for another station
    RX_VLAN = 6                 # two tags, or another VLAN than ours
    RX_ETHERTYPE = 7            # neither IPv4 nor ARP
    RX_ARP_IGNORED = 8          # for others, and about nobody we know
    RX_ARP_MALFORMED = 9
    RX_ARP_CONFLICT = 10        # somebody uses our address
    RX_IPV4_MALFORMED = 11      # version, header length or total length contradict the frame
    RX_IPV4_CHECKSUM = 12
    RX_IPV4_SOURCE = 13         # a source nothing can come from: group, loopback, 0/8, broadcast, our own
    RX_IPV4_OTHER = 14          # for another address, or a group nobody here joined
    RX_IPV4_LINK_GROUP = 15     # for our address, but sent to an Ethernet group (RFC 1122 3.3.6)
    RX_IPV4_FRAGMENT = 16
    RX_IPV4_PROTOCOL = 17       # no l4_input for it
    RX_ICMP_MALFORMED = 18
    RX_ICMP_CHECKSUM = 19
    RX_ICMP_IGNORED = 20        # a type we have no use for, or an error about nothing of ours
    RX_ECHO_UNSENT = 21         # echo request: no frame, or queue full, or the neighbour is not known
    RX_ADDRESS_UNUSABLE = 22    # our address is being probed or was lost (RFC 5227)
    RX_VERDICTS = 23

cdef struct netif_stats:
    uint64_t rx_frames          # = the sum of rx[]
    uint64_t rx[RX_VERDICTS]
    # tx_frames = tx_sent + tx_waiting + tx_full + tx_no_route + tx_no_neighbor + tx_address_unusable
    uint64_t tx_frames          # handed to netif_output
    uint64_t tx_sent            # taken by the device
    uint64_t tx_waiting         # copied to wait for ARP; neighbor_stats tells what became of them
    uint64_t tx_full            # refused by the device: its queue was full
    uint64_t tx_no_route        # not on the link, and no gateway
    uint64_t tx_no_neighbor     # no room to wait in
    uint64_t tx_address_unusable
    uint64_t alloc_failed       # netif_alloc found no frame

cdef struct netif

# Returns 0 if the datagram was taken, else the protocol's own reason (1..255), which only the flight recorder shows.
# `ip` and `f` are lent for the call. f.flags tell whether the device vouches for the L4 checksum.
ctypedef int (*l4_input_fn)(void *ctx, netif *nif, const ipv4_hdr *ip, const frame *f, uint64_t now_ns) noexcept nogil
# An ICMP error (type, code) about a datagram we sent, or, with type 3, code 1 and `local`, one whose next hop did not
# answer ARP. `quoted` is its header, at least 8 octets of quoted.payload are there (n of them); `mtu` with code 4,
# 0 where the router named none. An attacker can forge all of it: check the sequence number (RFC 5927). True: of use.
ctypedef bint (*l4_error_fn)(void *ctx, netif *nif, const ipv4_hdr *quoted, uint32_t n, uint8_t type, uint8_t code,
                             uint16_t mtu, bint local, uint64_t now_ns) noexcept nogil
ctypedef int (*netif_poll_fn)(void *ctx, netif *nif, uint64_t now_ns) noexcept nogil
ctypedef uint64_t (*netif_deadline_fn)(void *ctx, netif *nif) noexcept nogil
ctypedef bint (*netif_member_fn)(void *ctx, netif *nif, uint32_t group) noexcept nogil

cdef struct netif_poller:
    void *ctx
    netif_poll_fn poll          # timers, pending ACKs, redeliveries, reaping; returns work done
    netif_deadline_fn deadline  # earliest timer, UINT64_MAX: none

cdef struct netif:
    device *dev
    uint32_t addr               # ours, host order
    uint32_t mask
    uint32_t gateway            # 0: none
    uint16_t vlan               # VLAN id of our frames, 0: untagged, and any one tag is tolerated
    uint16_t ip_id              # next identification of a datagram that may be fragmented
    uint8_t mac[6]
    uint64_t mac_word           # mac as mac_load gives it
    uint64_t *trace             # NULL, or the engine's array (stack/wire/trace.pxd)
    recorder *recorder          # the flight recorder, NULL: none (set with netif_record)
    neighbor *last              # where the last datagram went
    uint64_t random             # state of random_next (stack/random.pxd)
    uint64_t secret[2]          # key for ISNs and hashes, from the seed
    l4_input_fn l4_input[256]   # by IPv4 protocol
    l4_error_fn l4_error[256]
    void *l4_ctx[256]
    netif_member_fn is_member   # NULL: no group is ours
    void *member_ctx
    int poller_count
    netif_poller pollers[NETIF_POLLERS]
    netif_stats stats
    neighbor_table neighbors

cdef struct netif_config:
    uint32_t addr
    uint32_t mask
    uint32_t gateway
    uint64_t seed               # of everything random: ISN key, ports, identification
    uint16_t vlan
    neighbor_config neighbors

cdef void netif_config_default(netif_config *config) noexcept nogil
cdef bint netif_init(netif *nif, device *dev, const netif_config *config) noexcept nogil     # False: no memory
cdef void netif_free(netif *nif) noexcept nogil
# Announces our address (RFC 5227), after probing for it if neighbors.probes says so. Without it nothing is announced.
cdef void netif_start(netif *nif, uint64_t now_ns) noexcept nogil
cdef bint netif_add_poller(netif *nif, netif_poll_fn poll, netif_deadline_fn deadline, void *ctx) noexcept nogil

cdef void netif_record(netif *nif, recorder *r) noexcept nogil

# Receives and handles at most `budget` frames; returns how many there were.
cdef int netif_burst(netif *nif, int budget, uint64_t now_ns) noexcept nogil
# One frame that stays the caller's; returns a netif_verdict.
cdef int netif_input(netif *nif, const frame *f, uint64_t now_ns) noexcept nogil
cdef int netif_poll(netif *nif, uint64_t now_ns) noexcept nogil
cdef uint64_t netif_deadline(netif *nif) noexcept nogil

# An empty frame to fill from f.data + ETH_HLEN on; False: none to be had (counted).
cdef bint netif_alloc(netif *nif, frame *f) noexcept nogil
# The frame (IPv4 header at f.data + ETH_HLEN, f.len set) goes to dst's next hop. It is no longer the caller's, whatever
# is returned. False: not sent and not waiting for ARP either (counted).
cdef bint netif_output(netif *nif, frame *f, uint32_t dst, uint64_t now_ns) noexcept nogil


cdef class Netif:
    cdef netif *nif
    cdef Device device          # kept alive
