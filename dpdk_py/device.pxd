# The contract every backend fulfils: four functions over frames, and who owns a frame when.
#
# Receive.  `rx_burst` lends up to n frames. They stay the device's; whoever called rx_burst calls `free` for all
#           of them once the burst is handled, in the same thread, and keeps no pointer into them afterwards. A held
#           frame stops a TPACKET ring and starves an mbuf pool, so text that must wait is copied by the stack.
# Transmit. `alloc` gives one empty frame (data, room; len 0). `tx_burst` returns how many it took, from the front:
#           those are the device's and must not be read any more (a PMD may still be sending). The others stay the
#           caller's: it frees them with `free`, counts, and tries again later from its own copy.
# Both.     FRAME_SLACK octets behind data+len may be read (their content means nothing): vector loads overrun.
#           A device is driven by one thread; `now_ns` is that thread's time, read once a step. No call blocks.
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef enum:
    FRAME_SLACK = 64
    FRAME_HEADROOM = 10     # alloc puts `data` at 10 modulo 64: 14+20+20 octets on, TCP text begins a cache line

cdef enum frame_flag:
    # Receive. Neither GOOD nor BAD: not known, the stack verifies.
    FRAME_RX_IP_GOOD = 1 << 0       # IPv4 header checksum vouched for by the device
    FRAME_RX_IP_BAD = 1 << 1
    FRAME_RX_L4_GOOD = 1 << 2       # TCP/UDP checksum vouched for: by a NIC, or by a peer on this host (CSUMNOTREADY)
    FRAME_RX_L4_BAD = 1 << 3
    FRAME_RX_VLAN = 1 << 4          # the tag was stripped and is in vlan_tci
    FRAME_RX_PARTIAL = 1 << 5       # the L4 checksum field holds only the pseudo-header's sum (with FRAME_RX_L4_GOOD).
                                    # Whoever changes an octet completes it first and clears GOOD and PARTIAL.
    # Transmit. Only set where the device's caps have it.
    FRAME_TX_IP_CSUM = 1 << 8       # the device computes the IPv4 header checksum (field is 0)
    FRAME_TX_L4_CSUM = 1 << 9       # the device computes TCP/UDP; the field holds the pseudo-header's sum

cdef enum device_cap:
    DEVICE_TX_IP_CSUM = 1 << 0
    DEVICE_TX_L4_CSUM = 1 << 1
    DEVICE_RX_CSUM = 1 << 2         # RX flags above are filled in
    DEVICE_RX_TIMESTAMP = 1 << 3    # ts_ns comes from the port's clock

cdef enum frame_ts_source:
    FRAME_TS_NONE = 0
    FRAME_TS_DEVICE = 1             # the port's own clock, nanoseconds, epoch unknown
    FRAME_TS_REALTIME = 2           # UTC nanoseconds: the kernel's stamp, or a capture file's

cdef struct frame:
    uint8_t *data           # first octet of the Ethernet header; the frame is contiguous
    uint32_t len            # octets, without FCS
    uint32_t room           # octets that may be written at data (alloc), or len (rx)
    uint16_t flags          # frame_flag
    uint16_t vlan_tci       # valid with FRAME_RX_VLAN
    uint32_t ts_source      # frame_ts_source; ts_ns is never comparable with now_ns
    int64_t ts_ns
    void *handle            # the backend's own

cdef struct device_stats:
    uint64_t rx_frames      # handed out by rx_burst
    uint64_t rx_octets
    uint64_t rx_missed      # the device or the kernel had no room for them
    uint64_t rx_errors      # arrived damaged (FCS, cut off)
    uint64_t rx_oversize    # GSO frames larger than the MTU: the peer needs `ethtool -K IF tso off gso off`
    uint64_t rx_multiseg    # chained mbufs that could not be made contiguous
    uint64_t rx_nombuf      # no buffer was free to receive into
    uint64_t rx_own         # our own outgoing frames, seen again and ignored
    uint64_t tx_frames      # taken by tx_burst
    uint64_t tx_octets
    uint64_t tx_full        # refused by tx_burst: queue full
    uint64_t tx_errors      # taken and lost: link down, larger than the MTU
    uint64_t alloc_failed

ctypedef int (*device_rx_burst_fn)(device *d, frame *frames, int n, uint64_t now_ns) noexcept nogil
ctypedef int (*device_tx_burst_fn)(device *d, frame *frames, int n, uint64_t now_ns) noexcept nogil
ctypedef bint (*device_alloc_fn)(device *d, frame *f) noexcept nogil
ctypedef void (*device_free_fn)(device *d, frame *frames, int n) noexcept nogil

cdef struct device_ops:
    device_rx_burst_fn rx_burst     # -> 0..n frames filled in; fills every field
    device_tx_burst_fn tx_burst     # -> 0..n frames taken, from the front
    device_alloc_fn alloc           # -> False: no frame to be had (counted)
    device_free_fn free             # gives back rx frames, or frames from alloc that were not taken

cdef struct device:
    const device_ops *ops
    void *self              # the backend's own state
    uint32_t caps           # device_cap
    uint16_t mtu            # octets of IP packet; a frame is at most mtu + 14 (+ 4 with a tag)
    uint8_t mac[6]
    device_stats stats
