# Neighbours: the ARP cache of one interface and the frames that wait for it.
#
# RFC 826; RFC 1122 section 2.3.2 (time-out, flood limit, one packet saved at least); RFC 5227 (address conflicts).
# Below netif: knows a device and addresses, no datagram. Everything is allocated by `neighbors_init`.
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from dpdk_py.device cimport device, frame
from .recorder cimport recorder

cdef enum neighbor_state:
    NEIGHBOR_FREE = 0
    NEIGHBOR_INCOMPLETE = 1     # asked, no answer yet; frames wait
    NEIGHBOR_REACHABLE = 2      # the address may be used
    NEIGHBOR_REFRESHING = 3     # still used while the neighbour is asked again
    NEIGHBOR_STATIC = 4         # given by configuration: never asked, never changed, never evicted

cdef enum acd_state:            # RFC 5227, of our own address
    ACD_OFF = 0                 # not started: the address is ours by decree
    ACD_PROBE = 1               # section 2.1: asking whether somebody has it; not used meanwhile
    ACD_ANNOUNCE = 2            # section 2.3: ours, being announced
    ACD_DEFEND = 3              # section 2.4: ours, defended
    ACD_CONFLICT = 4            # somebody answered a probe: never used

cdef struct neighbor:
    uint32_t addr               # host order
    uint8_t state               # neighbor_state
    uint8_t tries               # requests without an answer
    uint8_t mac[6]
    uint16_t next               # in its bucket, or in the list of free ones
    uint16_t pending_head       # oldest waiting frame
    uint16_t pending_tail
    uint16_t pending_count
    uint64_t used_ns            # a frame last went there
    uint64_t refresh_ns         # asked again when used after this
    uint64_t deadline_ns        # next request or giving up; UINT64_MAX: none

cdef struct neighbor_slot:
    uint32_t len
    uint16_t flags              # frame_flag: what the device shall still compute
    uint16_t next               # the next one waiting, or free

cdef struct neighbor_stats:
    uint64_t rx_requests        # for our address: answered
    uint64_t rx_replies         # to something we asked
    uint64_t rx_other           # for others, or nothing we asked; learnt from only where an entry exists
    uint64_t rx_malformed       # not Ethernet/IPv4 ARP, or a group address as sender
    uint64_t rx_conflicts       # somebody else uses our address
    uint64_t rx_moved           # a known neighbour changed its Ethernet address
    uint64_t tx_requests
    uint64_t tx_replies
    uint64_t tx_probes          # RFC 5227 probes
    uint64_t tx_announcements
    uint64_t tx_failed          # no frame to be had, or the device's queue was full
    uint64_t pending_queued     # frames that began to wait
    uint64_t pending_sent       # of those: sent
    uint64_t pending_overflow   # of those: pushed out by a newer one, or no slot was free
    uint64_t pending_timeout    # of those: the neighbour never answered
    uint64_t pending_tx_full    # of those: refused by the device when their time came
    uint64_t failed             # neighbours that never answered
    uint64_t evicted            # neighbours that made room for others
    uint64_t table_full         # no entry could be made

# One frame whose neighbour never answered; the octets are lent for the call.
ctypedef void (*neighbor_failed_fn)(void *ctx, uint32_t addr, const uint8_t *p, uint32_t n,
                                    uint64_t now_ns) noexcept nogil
# The address is somebody else's too. `lost`: it must not be used (a probe was answered).
ctypedef void (*neighbor_conflict_fn)(void *ctx, const uint8_t *mac, bint lost, uint64_t now_ns) noexcept nogil

cdef struct neighbor_config:
    uint16_t entries            # table size, 2..16384
    uint16_t pending            # frames that may wait, in all, 1..4096
    uint16_t pending_each       # for one neighbour
    uint8_t tries               # requests before giving up
    uint8_t probes              # RFC 5227 probes before the address is used, 0: none
    uint64_t retry_ns           # after the first request; doubled after each (RFC 1122 2.3.2.1: not under 1 s)
    uint64_t refresh_ns         # age at which a used entry is confirmed
    uint64_t probe_ns           # least time between probes (RFC 5227: 1 s)

cdef struct neighbor_table:
    device *dev
    recorder *recorder          # the flight recorder, NULL: none
    uint8_t mac[6]
    uint32_t addr               # ours, host order
    uint32_t mask
    neighbor_config config
    neighbor_stats stats
    neighbor *entries
    uint16_t *buckets
    uint32_t bucket_shift
    uint32_t hash_key           # from the seed: which addresses collide is not an attacker's choice
    uint16_t free_head
    uint16_t used               # entries in use
    uint8_t *slots              # waiting frames, slot_room octets each
    neighbor_slot *slot         # what is in each
    uint32_t slot_room
    uint16_t slot_head          # first free slot
    uint64_t deadline_ns        # earliest of all; UINT64_MAX: none
    uint8_t acd                 # acd_state
    uint8_t acd_count
    uint64_t acd_deadline_ns
    uint64_t defended_ns        # RFC 5227: at most one defence each 10 s
    uint64_t random             # state of random_next
    uint16_t vlan               # VLAN id of our tag, 0: untagged
    neighbor_failed_fn on_failed
    neighbor_conflict_fn on_conflict
    void *ctx

cdef enum arp_verdict:
    ARP_TAKEN = 0               # request answered, reply used, entry refreshed
    ARP_IGNORED = 1
    ARP_MALFORMED = 2
    ARP_CONFLICT = 3

cdef void neighbor_config_default(neighbor_config *config) noexcept nogil
# False: no memory, or a limit of `config` is out of its range. `neighbors_free` undoes it, once or more often.
cdef bint neighbors_init(neighbor_table *t, device *dev, uint32_t addr, uint32_t mask, const neighbor_config *config,
                         uint16_t vlan, uint64_t seed) noexcept nogil
cdef void neighbors_free(neighbor_table *t) noexcept nogil
# Begins to probe for, or announces, our address; the rest follows by neighbors_poll.
cdef void neighbors_start(neighbor_table *t, uint64_t now_ns) noexcept nogil

# Entry whose mac may be used at once, or NULL. A due refresh is sent beside it.
cdef neighbor *neighbor_find(neighbor_table *t, uint32_t addr, uint64_t now_ns) noexcept nogil
# A copy of the frame waits until addr is known, and the question goes out. Its Ethernet header is complete but for
# the destination. False: refused, counted. The frame stays the caller's.
cdef bint neighbor_queue(neighbor_table *t, uint32_t addr, const frame *f, uint64_t now_ns) noexcept nogil
# False: table full.
cdef bint neighbor_add_static(neighbor_table *t, uint32_t addr, const uint8_t *mac, uint64_t now_ns) noexcept nogil
cdef bint neighbor_remove(neighbor_table *t, uint32_t addr) noexcept nogil

# n octets behind the Ethernet header; returns an arp_verdict.
cdef int neighbors_input(neighbor_table *t, const uint8_t *p, uint32_t n, uint64_t now_ns) noexcept nogil
cdef int neighbors_poll(neighbor_table *t, uint64_t now_ns) noexcept nogil


cdef inline bint neighbors_usable(const neighbor_table *t) noexcept nogil:
    """Whether our address may be used as a source by now (RFC 5227 section 2.1)."""
    return t.acd != ACD_PROBE and t.acd != ACD_CONFLICT


cdef inline uint64_t neighbors_deadline(const neighbor_table *t) noexcept nogil:
    return t.deadline_ns if t.deadline_ns < t.acd_deadline_ns else t.acd_deadline_ns
