# The transmission control block and what stands around it: states, events, options, counters, the table of connections.
# Structs only; variables carry their names of RFC 9293 section 3.3.1. Who changes what: tcp_input (RCV.*, state), tcp_recovery
# (what acknowledgements mean), tcp_timeout (what silence means), tcp_output (SND.NXT), tcp_segment (what an ACK sent settles),
# tcp (opening, closing, time).
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from stack.netif cimport netif
from stack.reassembly cimport reass
from stack.timer cimport timer, timers

cdef enum tcp_state:                # RFC 9293 section 3.3.2; from TCP_ESTABLISHED on, both sides know both sequence numbers
    TCP_CLOSED = 0
    TCP_LISTEN = 1                  # a tcp_listener, never a tcb
    TCP_SYN_SENT = 2
    TCP_SYN_RECEIVED = 3
    TCP_ESTABLISHED = 4
    TCP_FIN_WAIT_1 = 5
    TCP_FIN_WAIT_2 = 6
    TCP_CLOSE_WAIT = 7
    TCP_CLOSING = 8
    TCP_LAST_ACK = 9
    TCP_TIME_WAIT = 10

cdef enum tcp_event:
    TCP_EV_CONNECTED = 1            # established; a passive open has been through on_accept before
    TCP_EV_PEER_CLOSED = 2          # FIN: all text has been passed up, the peer sends no more
    TCP_EV_RESET = 3                # the peer aborted
    TCP_EV_REFUSED = 4              # our SYN was answered by RST
    TCP_EV_TIMEOUT = 5              # no answer within the user timeout (or the SYN's, or keepalive's)
    TCP_EV_UNREACHABLE = 6          # ICMP: while opening the end of it, later only a hint (RFC 5927)
    TCP_EV_WRITABLE = 7             # room in the send ring again after a refused send
    TCP_EV_URGENT = 8               # the peer's urgent pointer moved ahead (RFC 6093: text stays in line)
    TCP_EV_CLOSED = 9               # the last event; the slot returns at the end of this step

cdef enum tcp_ack_policy:
    TCP_ACK_IMMEDIATE = 0           # with the data sent in the callback, else one bare ACK at the end of the burst
    TCP_ACK_DELAY = 1               # with data, else after ack_delay_ns or once half the receive buffer was sent unacknowledged
    TCP_ACK_SECOND = 2              # every second full-sized segment or as many octets (RFC 9293 SHLD-19), else after ack_delay_ns

cdef enum tcp_congestion:
    TCP_CC_NONE = 0                 # the peer's window alone: a cross-connect nobody else uses
    TCP_CC_NEWRENO = 1              # RFC 5681, 6582
    TCP_CC_DCTCP = 2                # RFC 8257 over ECN

ctypedef uint32_t (*tcp_on_text_fn)(void *ctx, tcb *c, const uint8_t *p, uint32_t n, uint64_t now_ns) noexcept nogil
ctypedef void (*tcp_on_event_fn)(void *ctx, tcb *c, int event, uint64_t now_ns) noexcept nogil
ctypedef bint (*tcp_on_accept_fn)(void *ctx, tcb *c, uint64_t now_ns) noexcept nogil

cdef struct tcp_sink:
    # on_text: in-order text, contiguous, beginning with what earlier calls left; returns how many octets from the front are
    # used up (0..n). FRAME_SLACK octets behind p+n may be read. What is left is kept and closes the window; the next call
    # comes when c.rcv_need octets are there in all, or in the next step if they already are. Either may be NULL.
    # Inside both, anything may be called: send, close, abort, open.
    void *ctx
    tcp_on_text_fn on_text
    tcp_on_event_fn on_event

cdef struct tcp_options:
    uint32_t rcv_buf                # octets of receive buffer, the largest window; at most the table's
    uint32_t snd_buf                # octets that wait for an acknowledgement or a window; at most the table's
    uint16_t mss                    # largest segment we take and send; 0 = the device's MTU - 40
    uint8_t ack_policy              # tcp_ack_policy
    uint8_t congestion              # tcp_congestion
    bint window_scale               # offered on SYN (RFC 7323)
    bint sack                       # offered on SYN (RFC 2018)
    bint timestamps                 # offered on SYN (RFC 7323); costs the predicted path
    bint ecn                        # offered on SYN (RFC 3168)
    uint64_t ack_delay_ns           # TCP_ACK_DELAY and TCP_ACK_SECOND: less than 500 ms (MUST-40)
    uint64_t rto_min_ns             # floor of the retransmission timeout, from 1 ms
    uint64_t rto_variance_ns        # least that is added to SRTT for it: G of RFC 6298 (2.3), 1 us
    uint64_t rto_max_ns
    uint64_t rto_initial_ns         # before the first measurement: 1 s (RFC 6298 (2.1))
    uint64_t max_ack_delay_ns       # how long the peer may hold an ACK: added to a tail loss probe for a single segment (RFC 8985)
    uint64_t keep_idle_ns           # 0 = no keepalive (MUST-25)
    uint64_t keep_interval_ns
    uint32_t keep_count             # unanswered probes that end the connection
    uint32_t initial_window         # segments (RFC 6928)
    uint32_t slow_start_limit       # segments one ACK may add to CWND in slow start: 1 (RFC 5681); 2 is L of RFC 3465
    bint tail_probe                 # RFC 8985 section 7; without it a lost tail waits for the timeout
    uint64_t user_timeout_ns        # R2: unacknowledged for so long = TCP_EV_TIMEOUT (RFC 5482); 0 = never
    uint64_t syn_timeout_ns         # R2 for a SYN: at least 3 minutes unless asked otherwise (MUST-23)
    uint64_t time_wait_ns           # 2 MSL
    uint64_t fin_wait_2_ns          # how long a closed connection waits for the peer's FIN; 0 = for ever
    uint32_t backlog                # listener: half-open and not yet accepted connections; beyond it SYN cookies
    bint syn_cookies
    uint8_t ttl
    uint8_t tos                     # DSCP << 2
    # RFC 5482 section 3.1, by its names
    bint uto_enabled                # ENABLED: the user timeout option is sent, and heard
    bint uto_changeable             # CHANGEABLE: the peer's may change user_timeout_ns
    uint64_t adv_uto_ns             # ADV_UTO: what the peer is told; 0 = user_timeout_ns as it was at the opening
    uint64_t uto_l_limit_ns         # L_LIMIT, U_LIMIT: between these the peer may move it
    uint64_t uto_u_limit_ns

cdef enum tcp_rx_verdict:           # what became of a received segment: each gets exactly one, so they add up to segments_in
    TCP_RX_PREDICTED = 0            # next in order, text only: header prediction
    TCP_RX_ACCEPTED = 1             # handled step by step
    TCP_RX_OUT_OF_ORDER = 2         # text kept for later
    TCP_RX_MALFORMED = 3            # header or data offset cannot be TCP
    TCP_RX_CHECKSUM = 4
    TCP_RX_NO_CONNECTION = 5        # nobody listens: answered by RST, unless it was one
    TCP_RX_DUPLICATE = 6            # text we had already: acknowledged again
    TCP_RX_OUTSIDE_WINDOW = 7       # beyond or before the window: acknowledged, dropped (3.10.7.4 first)
    TCP_RX_PAWS = 8                 # an old duplicate by its timestamp (RFC 7323 section 5)
    TCP_RX_BAD_ACK = 9              # acknowledges what we never sent, or too old (RFC 5961 section 5)
    TCP_RX_CHALLENGED = 10          # SYN or RST in the window but not exact (RFC 5961 sections 3 and 4)
    TCP_RX_BAD_RST = 11             # RST outside the window, or not for our SYN
    TCP_RX_NO_ACK = 12              # no ACK bit on a synchronized connection
    TCP_RX_REASSEMBLY_FULL = 13     # too many holes to remember one more
    TCP_RX_AFTER_CLOSE = 14         # text for an application that has closed: reset (RFC 9293 3.6.1)
    TCP_RX_ZERO_WINDOW = 15         # text into a closed window: acknowledged, dropped
    TCP_RX_NO_SLOT = 16             # a SYN, and no connection free
    TCP_RX_BACKLOG = 17             # a SYN beyond the backlog, SYN cookies off
    TCP_RX_BAD_COOKIE = 18          # ACK to a listener that completes no handshake: reset, but not within 128 s of a cookie sent
    TCP_RX_REFUSED = 19             # on_accept said no: reset
    TCP_RX_NOT_UNICAST = 20         # from or to a broadcast or multicast address (MUST-57, MUST-63)
    TCP_RX_NO_MATCH = 21            # to a listener or SYN-SENT and neither SYN, ACK nor RST
    TCP_RX_VERDICTS = 22

cdef enum tcp_tx_reason:            # why a segment left: they add up to segments_out
    TCP_TX_TEXT = 0                 # new text (a FIN may ride along)
    TCP_TX_ACK = 1                  # bare, for text or FIN received
    TCP_TX_DUP_ACK = 2              # bare, at once: out of order, duplicate, outside the window
    TCP_TX_WINDOW = 3               # window update
    TCP_TX_SYN = 4
    TCP_TX_SYN_ACK = 5
    TCP_TX_FIN = 6                  # FIN without text
    TCP_TX_RST = 7
    TCP_TX_FAST_RETRANSMIT = 8      # three duplicate ACKs, or a partial ACK after them
    TCP_TX_RACK_RETRANSMIT = 9      # lost by time (RFC 8985 section 6)
    TCP_TX_TAIL_PROBE = 10          # new or old text after 2 SRTT (RFC 8985 section 7)
    TCP_TX_TIMEOUT_RETRANSMIT = 11  # RFC 6298 (5.4)
    TCP_TX_SYN_RETRANSMIT = 12      # SYN or SYN-ACK again
    TCP_TX_WINDOW_PROBE = 13        # one octet into a closed window
    TCP_TX_KEEPALIVE = 14
    TCP_TX_CHALLENGE_ACK = 15       # RFC 5961
    TCP_TX_COOKIE = 16              # SYN-ACK without a connection behind it
    TCP_TX_PMTU_RETRANSMIT = 17     # again, smaller (RFC 1191)
    TCP_TX_REASONS = 18

cdef struct tcp_counters:           # of a table; never reset
    uint64_t segments_in
    uint64_t rx[22]                 # by tcp_rx_verdict
    uint64_t segments_out
    uint64_t tx[18]                 # by tcp_tx_reason
    uint64_t tx_refused             # no frame, device full or neighbour queue full: sent again from the ring
    uint64_t challenge_limited      # ACKs not sent: challenges and answers to strays over their connection's limit
    uint64_t no_slot                # connect: every connection is in use
    uint64_t no_port                # connect: every ephemeral port towards that peer is in use
    uint64_t time_wait_reused       # RFC 6191
    uint64_t time_wait_recycled     # oldest TIME-WAIT given up for a new connection
    uint64_t cookies_sent
    uint64_t cookies_accepted
    uint64_t send_refused           # tcp_send_commit without room
    uint64_t conflicting_octets     # overlapping text that differed from what was kept: the first copy counts
    uint64_t discarded_octets       # text that came after close or abort
    uint64_t spurious_probes        # tail loss probes that DSACK proved needless
    uint64_t bad_uto                # user timeout options of a wrong length or a reserved value, where enabled
    uint64_t icmp_ignored           # ICMP about a connection that it does not quote rightly (RFC 5927)
    uint64_t aborted                # connections ended by RST of ours
    uint64_t opened_active
    uint64_t opened_passive

cdef enum tcp_sent_flag:
    TCP_SENT_SACKED = 1
    TCP_SENT_LOST = 2               # deemed lost and not sent again since
    TCP_SENT_RETRANS = 4            # sent more than once
    TCP_SENT_IN_FLIGHT_AGAIN = 8    # its retransmission counts in the pipe

cdef struct tcp_sent:               # one transmission that is not yet acknowledged; they tile SND.UNA..SND.NXT
    uint32_t seq
    uint32_t end
    uint64_t xmit_ns                # the last time it left
    uint8_t flags                   # tcp_sent_flag
    uint8_t reason
    uint16_t pad16
    uint32_t pad32

cdef struct tcb:
    # -- what the lookup and header prediction read
    tcb *hash_next
    uint32_t remote_addr            # host order, as all addresses and ports here
    uint32_t local_addr
    uint32_t ports                  # remote << 16 | local
    uint32_t rcv_nxt
    uint32_t rcv_adv                # right edge of the window we told the peer; never moves left (SHLD-14)
    uint32_t snd_una
    uint32_t snd_nxt
    uint32_t snd_end                # end of the text in the send ring
    uint32_t snd_wnd                # octets, scaled
    uint32_t rcv_need               # on_text is called when so many octets are there (0 = any)
    uint32_t snd_wnd_field          # the peer's last window as it stood in the header; after a SYN, which is not scaled, none
    uint8_t state                   # tcp_state; only tcp_set_state changes it
    uint8_t predict                 # ESTABLISHED, nothing kept, nothing unusual: header prediction may apply
    uint8_t ack_pending             # text received and not acknowledged yet; 2 = at once
    uint8_t in_upcall
    uint8_t on_lists                # tcb_list bits
    uint8_t rcv_wscale              # our shift
    # -- where text goes
    tcp_sink sink
    void *user                      # the sink's owner
    tcp_table *table
    reass *rcv                      # text not yet used up or out of order
    uint64_t last_rx_ns             # any acceptable segment (keepalive)
    # -- sending
    uint8_t *ring                   # octet with sequence number s is ring[s & ring_mask]
    uint32_t ring_mask
    uint32_t snd_buf
    tcp_sent *sent                  # ring of records, sent[i & sent_mask], sent_head <= i < sent_tail
    uint32_t sent_mask
    uint32_t sent_head
    uint32_t sent_tail
    uint32_t snd_mss                # text octets in a segment without options
    uint32_t cwnd
    uint32_t ssthresh
    uint64_t rto_at_ns              # the deadlines; NEVER = off
    uint64_t pto_at_ns              # tail loss probe
    # -- round trip (RFC 6298), all ns; rtt fields 0 before the first measurement
    uint64_t srtt_ns
    uint64_t rttvar_ns
    uint64_t rto_ns
    uint64_t min_rtt_ns
    uint64_t min_rtt_at_ns
    timer wake                      # fires at the earliest deadline or before
    # -- IPv4 and TCP header, patched for each segment, and the sums of what does not change in them
    uint8_t header[64]
    uint64_t ip_sum
    uint64_t tcp_sum
    # -- off the predicted path
    uint32_t generation             # changes when the slot is given to another connection
    uint32_t index                  # of the slot
    uint32_t iss
    uint32_t irs
    uint32_t snd_wl1
    uint32_t snd_wl2
    uint32_t snd_up                 # urgent pointer, valid with urgent_out
    uint32_t rcv_up
    uint32_t max_snd_wnd            # largest window the peer ever offered
    uint32_t fin_seq                # of the peer's FIN, valid with fin_seen
    uint32_t rcv_buf
    uint32_t recover                # NewReno: SND.NXT when recovery began
    uint32_t dup_acks
    uint32_t sacked_octets          # of SND.UNA..SND.NXT; with lost and again the pipe of RFC 6675
    uint32_t lost_octets
    uint32_t again_octets
    uint32_t high_sacked
    uint32_t backoff                # RTOs in a row
    uint32_t cwnd_acked             # congestion avoidance: octets counted towards the next MSS
    uint32_t listener_index
    uint32_t answer_period          # half seconds, the last in which a challenge was due or something outside the window came
    uint32_t answers                # ... given in it
    uint8_t fin_seen
    uint8_t fin_queued              # we close once the ring is sent
    uint8_t fin_sent
    uint8_t urgent_out
    uint8_t urgent_in
    uint8_t closed_by_user
    uint8_t passive
    uint8_t accepted                # on_accept said yes
    uint8_t snd_wscale
    uint8_t wscale_ok
    uint8_t sack_ok
    uint8_t ts_ok
    uint8_t ecn_ok
    uint8_t ecn_echo                # ECE on what we send
    uint8_t cwr_due                 # CWR on the next new text
    uint8_t want_writable
    uint8_t recovery                # tcp_recovery_kind
    uint8_t probe_out               # 1 = window probing, timer is the persist timer
    uint8_t tlp_out                 # a tail loss probe is unanswered
    uint8_t tlp_again               # it was a retransmission
    uint8_t rack_reordering         # reordering was seen
    uint8_t rack_persist
    uint8_t dsack_due               # next ACK begins with a DSACK block
    uint8_t ce_state                # DCTCP: last CE mark received
    uint8_t keep_probes
    uint8_t ended                   # TCP_EV_CLOSED was given
    uint8_t eof_due                 # FIN is in, TCP_EV_PEER_CLOSED waits for text to be used up
    uint8_t refused                 # the device or the neighbour queue was full: tcp_retry bits
    uint8_t unacked_full            # full-sized segments received and not acknowledged (TCP_ACK_SECOND)
    uint8_t uto_due                 # the user timeout option goes on the next segment
    uint32_t dsack_seq
    uint32_t dsack_end
    uint32_t ts_recent
    uint32_t last_ack_sent
    uint64_t ts_recent_ns
    uint32_t ts_offset
    uint32_t tlp_end_seq
    uint32_t rack_end_seq
    uint32_t rack_fack
    uint32_t rack_dsack_round
    uint32_t rack_reo_mult
    uint64_t rack_xmit_ns
    uint64_t rack_rtt_ns
    uint64_t max_ack_delay_ns       # as learnt
    uint64_t reo_at_ns
    uint64_t ack_at_ns
    uint64_t wait_at_ns             # 2 MSL, FIN-WAIT-2
    uint64_t keep_at_ns
    uint64_t user_at_ns             # RFC 5482: unacknowledged until then = gone
    uint32_t dctcp_alpha            # 1024 = all marked
    uint32_t dctcp_acked
    uint32_t dctcp_marked
    uint32_t dctcp_end
    uint32_t cwr_end                # one reduction a window (RFC 3168 6.1.2)
    uint32_t pmtu_mss               # 0 = none heard of
    uint64_t remote_uto_ns          # REMOTE_UTO of RFC 5482, 0 = none heard of
    tcp_options opt
    # -- lists of the table: to acknowledge, to deliver again, to send again, to give back
    tcb *next_ack
    tcb *next_ready
    tcb *next_retry
    tcb *next_free
    # -- statistics of this connection
    uint64_t opened_ns
    uint64_t last_tx_ns
    uint64_t segs_in
    uint64_t segs_out
    uint64_t octets_in              # text passed up
    uint64_t octets_out             # text acknowledged by the peer
    uint64_t retransmitted
    uint64_t retransmitted_octets
    uint64_t dsacks_in
    uint64_t out_of_order_in
    uint64_t duplicates_in
    uint64_t timeouts
    uint64_t probes

cdef enum tcp_retry:
    TCP_RETRY_OUTPUT = 1
    TCP_RETRY_ACK = 2
    TCP_RETRY_SYN = 4

cdef enum tcb_list:
    TCB_ON_ACK = 1
    TCB_ON_READY = 2
    TCB_ON_RETRY = 4
    TCB_ON_REAP = 8

cdef enum tcp_recovery_kind:
    TCP_RECOVERY_NONE = 0
    TCP_RECOVERY_FAST = 1
    TCP_RECOVERY_LOSS = 2           # after a timeout

cdef struct tcp_listener:
    uint16_t port
    bint used
    uint32_t half_open
    tcp_on_accept_fn on_accept
    void *ctx
    tcp_options opt
    uint64_t accepted
    uint64_t refused

cdef enum:
    TCP_LISTENERS = 64

cdef struct tcp_table:
    # One for each netif: its connections, their memory, what is due. All memory is taken when it is made.
    netif *nif
    tcb **buckets
    uint32_t bucket_mask
    uint32_t connections
    uint64_t hash_key[2]
    uint64_t secret[2]              # of initial sequence numbers and SYN cookies (RFC 6528)
    uint8_t *slots                  # tcb i at slots + i * slot_size
    uint32_t slot_size
    uint32_t in_use
    uint32_t time_waiting
    tcb *free_slots
    tcb *ack_list
    tcb *ready_list
    tcb *retry_list
    tcb *reap_list
    timers wheel
    tcp_listener listeners[64]
    uint32_t listening
    uint32_t rcv_buf                # largest of any connection
    uint32_t snd_buf
    uint64_t cookie_ns              # when a SYN cookie was last sent
    uint16_t mtu                    # of the device when tcp_poll last looked
    uint16_t next_port
    uint64_t rng
    tcp_counters counters
    void *memory
