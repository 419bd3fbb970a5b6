# PlaybackDevice: the peer of a captured connection, played to our own stack. See playback.pyx.
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from dpdk_py.base cimport Device
from dpdk_py.capture cimport PcapReader, capture

cdef enum play_stage:
    PLAY_OPENING = 0            # nobody has sent a SYN yet, or the answer to it is missing
    PLAY_GREETING = 1           # the connection is open; the made-up Logon is still to be sent
    PLAY_LIVE = 2               # the capture is played

cdef struct play_segment:       # of the peer, as captured
    int64_t ts_ns
    uint32_t seq
    uint16_t flags
    uint16_t wnd
    uint16_t mss                # of a SYN, 0 = none said
    uint8_t wscale
    bint has_wscale
    uint32_t n
    uint8_t *text               # 65,536 octets of our own

cdef struct play_arp:
    uint32_t asked

cdef struct playback:
    capture *cap
    uint32_t addr[2]            # 0 ours, 1 the peer's; host order
    uint16_t port[2]            # as captured
    bint syn_seen[2]
    uint32_t syn_seq[2]
    # the capture
    play_segment seg            # read, not played yet
    bint have
    bint done                   # no more: end of the file, damage, another connection on the same ports
    uint64_t frames_in          # played
    uint64_t ours               # frames of our side in the capture: not sent
    # what is made up
    play_stage stage
    bint passive                # the peer opens
    bint made                   # its SYN is made up: the capture begins in mid-stream
    bint syn_sent
    uint32_t peer_isn
    const uint8_t *greeting
    uint32_t greeting_n
    uint32_t snd_nxt            # of the peer as played
    play_arp arps[8]
    uint32_t n_arps
    bint owes_ack
    # our live side, as its frames tell
    uint16_t live_port
    bint live_known
    uint32_t live_isn
    uint32_t live_nxt
    uint32_t live_acked         # SEG.ACK of its newest
    uint32_t live_edge          # how far its window reaches
    uint8_t live_wscale
    bint live_scales
    bint live_ended             # it sent RST
    bint peer_scales
    uint64_t frames_out
    uint64_t reconnects         # further SYNs, not answered
    # buffers
    uint8_t *memory
    uint8_t *rx_slots
    uint8_t *tx_slots
    uint32_t free_rx[64]
    uint32_t n_free_rx
    uint32_t free_tx[256]
    uint32_t n_free_tx

cdef class PlaybackDevice(Device):
    cdef playback p
    cdef PcapReader reader
    cdef bytes greeting
