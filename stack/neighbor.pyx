"""ARP and the frames that wait for it (RFC 826, RFC 1122 section 2.3.2, RFC 5227).

An entry is made because we asked (neighbor_queue), because somebody asked us while the table is at most half full, or
by configuration. A packet about an address we have no entry for teaches nothing, so the cache cannot be filled or
poisoned by talk we did not begin. A known neighbour may move (fail-over announces itself that way): counted.

An entry in use is confirmed by asking again while it is still used: a live neighbour never costs a stall.
Not here: proxy ARP, RARP, address selection after a lost conflict (the owner decides).
"""
from dpdk_py.device cimport FRAME_SLACK, device, frame
from libc.stdint cimport UINT64_MAX, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset
from posix.stdlib cimport posix_memalign

from .random cimport random_next
from .recorder cimport RECORD_ARP, RECORD_LATE, RECORD_NONE, RECORD_OUT, recorder_judge, recorder_take
from .wire.arp cimport ARP_REPLY, ARP_REQUEST, arp_emit, arp_packet, arp_parse
from .wire.ethernet cimport (
    ETH_HLEN, ETH_VLAN_HLEN, ETHERTYPE_ARP, eth_emit, eth_emit_tagged, mac_copy, mac_is_group, mac_load,
)

cdef enum:
    NONE = 0xFFFF               # end of a list of entries or slots
    MAX_ENTRIES = 16384
    MAX_PENDING = 4096

cdef uint64_t SECOND_NS = 1_000_000_000
cdef uint64_t UNSENT_RETRY_NS = 1_000_000           # a request the device refused: try again soon
cdef uint64_t ANNOUNCE_INTERVAL_NS = 2 * SECOND_NS  # RFC 5227 section 1.1
cdef uint64_t DEFEND_INTERVAL_NS = 10 * SECOND_NS   # RFC 5227 section 1.1
cdef enum:
    ANNOUNCE_NUM = 2                                # RFC 5227 section 1.1

cdef uint8_t[6] BROADCAST
cdef uint8_t[6] UNKNOWN
memset(BROADCAST, 0xFF, 6)
memset(UNKNOWN, 0, 6)


cdef void neighbor_config_default(neighbor_config *config) noexcept nogil:
    config.entries = 256
    config.pending = 64
    config.pending_each = 48            # the sessions of a gateway connect in one step, through one router
    config.tries = 3
    config.probes = 0
    config.retry_ns = SECOND_NS             # RFC 1122 2.3.2.1: at most one a second to one destination
    config.refresh_ns = 30 * SECOND_NS
    config.probe_ns = SECOND_NS             # RFC 5227 section 1.1: PROBE_MIN


cdef bint neighbors_init(neighbor_table *t, device *dev, uint32_t addr, uint32_t mask, const neighbor_config *config,
                         uint16_t vlan, uint64_t seed) noexcept nogil:
    cdef uint32_t i, buckets = 4, shift = 30
    memset(t, 0, sizeof(neighbor_table))
    if not (2 <= config.entries <= MAX_ENTRIES and 1 <= config.pending <= MAX_PENDING and config.pending_each >= 1
            and 1 <= config.tries <= 16 and 0 < config.retry_ns <= 60 * SECOND_NS):
        return False
    while buckets < 2 * <uint32_t>config.entries:
        buckets *= 2
        shift -= 1
    t.dev = dev
    mac_copy(t.mac, dev.mac)
    t.addr = addr
    t.mask = mask
    t.vlan = vlan
    t.config = config[0]
    t.random = seed
    t.hash_key = <uint32_t>random_next(&t.random) | 1
    t.bucket_shift = shift
    t.deadline_ns = t.acd_deadline_ns = UINT64_MAX
    # Room for the largest frame the device may ever carry: its MTU can be raised later, up to what alloc gives.
    t.slot_room = (neighbor_frame_room(dev) + FRAME_SLACK + 63) & ~<uint32_t>63
    t.entries = <neighbor *>calloc(config.entries, sizeof(neighbor))
    t.buckets = <uint16_t *>calloc(buckets, sizeof(uint16_t))
    t.slot = <neighbor_slot *>calloc(config.pending, sizeof(neighbor_slot))
    if posix_memalign(<void **>&t.slots, 64, <size_t>config.pending * t.slot_room):
        t.slots = NULL
    if t.entries == NULL or t.buckets == NULL or t.slot == NULL or t.slots == NULL:
        neighbors_free(t)
        return False
    memset(t.slots, 0, <size_t>config.pending * t.slot_room)    # every page is there before the first frame
    memset(t.buckets, 0xFF, buckets * sizeof(uint16_t))
    for i in range(config.entries):
        t.entries[i].next = <uint16_t>(i + 1) if i + 1 < config.entries else NONE
        t.entries[i].deadline_ns = UINT64_MAX
    for i in range(config.pending):
        t.slot[i].next = <uint16_t>(i + 1) if i + 1 < config.pending else NONE
    return True


cdef uint32_t neighbor_frame_room(device *dev) noexcept nogil:
    """Octets of the largest frame `dev` gives out, or by its MTU while it gives none."""
    cdef frame f
    cdef uint32_t room = dev.mtu + ETH_HLEN + ETH_VLAN_HLEN
    if dev.ops.alloc(dev, &f):
        if f.room > room:
            room = f.room
        dev.ops.free(dev, &f, 1)
    return room


cdef void neighbors_free(neighbor_table *t) noexcept nogil:
    free(t.entries)
    free(t.buckets)
    free(t.slot)
    free(t.slots)
    t.entries = NULL
    t.buckets = NULL
    t.slot = NULL
    t.slots = NULL


# -- the table: chained buckets of entry numbers

cdef inline uint32_t bucket_of(neighbor_table *t, uint32_t addr) noexcept nogil:
    return <uint32_t>(addr * t.hash_key) >> t.bucket_shift


cdef inline neighbor *lookup(neighbor_table *t, uint32_t addr) noexcept nogil:
    cdef uint16_t i = t.buckets[bucket_of(t, addr)]
    while i != NONE:
        if t.entries[i].addr == addr:
            return &t.entries[i]
        i = t.entries[i].next
    return NULL


cdef void unlink_entry(neighbor_table *t, neighbor *nb) noexcept nogil:
    """Out of its bucket and onto the free list. Whatever waited has been taken away before."""
    cdef uint16_t number = <uint16_t>(nb - t.entries)
    cdef uint16_t *link = &t.buckets[bucket_of(t, nb.addr)]
    while link[0] != number:
        link = &t.entries[link[0]].next
    link[0] = nb.next
    nb.state = NEIGHBOR_FREE
    nb.addr = 0
    nb.deadline_ns = UINT64_MAX
    nb.next = t.free_head
    t.free_head = number
    t.used -= 1


cdef neighbor *new_entry(neighbor_table *t, uint32_t addr, uint64_t now_ns) noexcept nogil:
    """An entry for `addr`, INCOMPLETE; one that has not answered makes room before one that has, of these the one unused
    for longest. NULL: all are static."""
    cdef neighbor *nb
    cdef neighbor *oldest = NULL
    cdef bint silent, oldest_silent = False
    cdef uint32_t i, bucket
    if t.free_head == NONE:
        for i in range(t.config.entries):
            nb = &t.entries[i]
            if nb.state == NEIGHBOR_STATIC:
                continue
            silent = nb.state == NEIGHBOR_INCOMPLETE
            if oldest == NULL or (silent != oldest_silent and silent) or (silent == oldest_silent
                                                                          and nb.used_ns < oldest.used_ns):
                oldest = nb
                oldest_silent = silent
        if oldest == NULL:
            t.stats.table_full += 1
            return NULL
        t.stats.evicted += 1
        t.stats.pending_overflow += discard_pending(t, oldest)
        no_deadline(t, oldest)
        unlink_entry(t, oldest)
    i = t.free_head
    nb = &t.entries[i]
    t.free_head = nb.next
    t.used += 1
    bucket = bucket_of(t, addr)
    nb.addr = addr
    nb.state = NEIGHBOR_INCOMPLETE
    nb.tries = 0
    nb.next = t.buckets[bucket]
    nb.pending_head = nb.pending_tail = NONE
    nb.pending_count = 0
    nb.used_ns = now_ns
    nb.refresh_ns = UINT64_MAX
    nb.deadline_ns = UINT64_MAX
    t.buckets[bucket] = <uint16_t>i
    return nb


# -- waiting frames: a list for each entry over one pool of slots

cdef inline uint8_t *slot_data(neighbor_table *t, uint16_t slot) noexcept nogil:
    return t.slots + <size_t>slot * t.slot_room


cdef inline void slot_release(neighbor_table *t, uint16_t slot) noexcept nogil:
    t.slot[slot].next = t.slot_head
    t.slot_head = slot


cdef uint16_t take_pending(neighbor_table *t, neighbor *nb) noexcept nogil:
    """The oldest waiting frame's slot, now the caller's."""
    cdef uint16_t slot = nb.pending_head
    nb.pending_head = t.slot[slot].next
    nb.pending_count -= 1
    if nb.pending_head == NONE:
        nb.pending_tail = NONE
    return slot


cdef uint32_t discard_pending(neighbor_table *t, neighbor *nb) noexcept nogil:
    cdef uint32_t n = 0
    while nb.pending_head != NONE:
        slot_release(t, take_pending(t, nb))
        n += 1
    return n


cdef void send_pending(neighbor_table *t, neighbor *nb, uint64_t now_ns) noexcept nogil:
    """The neighbour answered: what waited goes out, in order."""
    cdef frame f
    cdef uint16_t slot
    while nb.pending_head != NONE:
        slot = take_pending(t, nb)
        if not t.dev.ops.alloc(t.dev, &f):
            t.stats.pending_tx_full += 1
        elif t.slot[slot].len > f.room:
            t.dev.ops.free(t.dev, &f, 1)
            t.stats.pending_tx_full += 1
        else:
            memcpy(f.data, slot_data(t, slot), t.slot[slot].len)
            mac_copy(f.data, nb.mac)
            f.len = t.slot[slot].len
            f.flags = t.slot[slot].flags
            neighbor_record(t, &f, RECORD_LATE, now_ns)
            if t.dev.ops.tx_burst(t.dev, &f, 1, now_ns) == 1:
                t.stats.pending_sent += 1
            else:
                t.dev.ops.free(t.dev, &f, 1)
                t.stats.pending_tx_full += 1
        slot_release(t, slot)


# -- ARP packets out

cdef inline void neighbor_record(neighbor_table *t, const frame *f, uint8_t verdict, uint64_t now_ns) noexcept nogil:
    cdef uint8_t l4
    if t.recorder != NULL:
        l4 = t.recorder.l4              # of the segment that asks for an address, and comes after this
        t.recorder.l4 = RECORD_NONE
        recorder_judge(t.recorder, recorder_take(t.recorder, f.data, f.len, RECORD_OUT, now_ns), verdict)
        t.recorder.l4 = l4


cdef bint arp_send(neighbor_table *t, uint16_t op, const uint8_t *dst, uint32_t spa, const uint8_t *tha, uint32_t tpa,
                   uint64_t now_ns) noexcept nogil:
    cdef frame f
    cdef uint32_t n
    if not t.dev.ops.alloc(t.dev, &f):
        t.stats.tx_failed += 1
        return False
    if t.vlan:
        n = eth_emit_tagged(f.data, dst, t.mac, t.vlan, ETHERTYPE_ARP)
    else:
        n = eth_emit(f.data, dst, t.mac, ETHERTYPE_ARP)
    f.len = n + arp_emit(f.data + n, op, t.mac, spa, tha, tpa)
    neighbor_record(t, &f, RECORD_ARP, now_ns)
    if t.dev.ops.tx_burst(t.dev, &f, 1, now_ns) == 1:
        return True
    t.dev.ops.free(t.dev, &f, 1)
    t.stats.tx_failed += 1
    return False


cdef inline void earlier(neighbor_table *t, uint64_t deadline_ns) noexcept nogil:
    if deadline_ns < t.deadline_ns:
        t.deadline_ns = deadline_ns


cdef void earliest(neighbor_table *t) noexcept nogil:
    cdef uint32_t i
    t.deadline_ns = UINT64_MAX
    for i in range(t.config.entries):
        earlier(t, t.entries[i].deadline_ns)


cdef inline void no_deadline(neighbor_table *t, neighbor *nb) noexcept nogil:
    cdef bint first = nb.deadline_ns == t.deadline_ns
    nb.deadline_ns = UINT64_MAX
    if first and t.deadline_ns != UINT64_MAX:
        earliest(t)


cdef void ask(neighbor_table *t, neighbor *nb, const uint8_t *dst, uint64_t now_ns) noexcept nogil:
    """One more request, and when to do the next thing if nothing answers it."""
    if arp_send(t, ARP_REQUEST, dst, t.addr, UNKNOWN, nb.addr, now_ns):
        t.stats.tx_requests += 1
        nb.deadline_ns = now_ns + (t.config.retry_ns << nb.tries)
        nb.tries += 1
    else:
        nb.deadline_ns = now_ns + UNSENT_RETRY_NS
    earlier(t, nb.deadline_ns)


# -- for netif_output

cdef neighbor *neighbor_find(neighbor_table *t, uint32_t addr, uint64_t now_ns) noexcept nogil:
    cdef neighbor *nb = lookup(t, addr)
    if nb == NULL or nb.state < NEIGHBOR_REACHABLE:
        return NULL
    nb.used_ns = now_ns
    if now_ns >= nb.refresh_ns:
        # RFC 1122 2.3.2.1 (2): unicast poll. Meanwhile the entry serves.
        nb.state = NEIGHBOR_REFRESHING
        nb.refresh_ns = UINT64_MAX
        nb.tries = 0
        ask(t, nb, nb.mac, now_ns)
    return nb


cdef bint neighbor_queue(neighbor_table *t, uint32_t addr, const frame *f, uint64_t now_ns) noexcept nogil:
    cdef neighbor *nb = lookup(t, addr)
    cdef uint16_t slot
    if f.len > t.slot_room - FRAME_SLACK:
        return False
    if nb == NULL:
        nb = new_entry(t, addr, now_ns)
        if nb == NULL:
            return False
        ask(t, nb, BROADCAST, now_ns)
    if nb.pending_count >= t.config.pending_each or (t.slot_head == NONE and nb.pending_count > 0):
        # RFC 1122 2.3.2.2: the latest is the one to keep
        slot_release(t, take_pending(t, nb))
        t.stats.pending_overflow += 1
    slot = t.slot_head
    if slot == NONE:
        return False
    t.slot_head = t.slot[slot].next
    memcpy(slot_data(t, slot), f.data, f.len)
    t.slot[slot].len = f.len
    t.slot[slot].flags = f.flags
    t.slot[slot].next = NONE
    if nb.pending_tail == NONE:
        nb.pending_head = slot
    else:
        t.slot[nb.pending_tail].next = slot
    nb.pending_tail = slot
    nb.pending_count += 1
    nb.used_ns = now_ns
    t.stats.pending_queued += 1
    return True


cdef bint neighbor_add_static(neighbor_table *t, uint32_t addr, const uint8_t *mac, uint64_t now_ns) noexcept nogil:
    cdef neighbor *nb = lookup(t, addr)
    if nb == NULL:
        nb = new_entry(t, addr, now_ns)
        if nb == NULL:
            return False
    mac_copy(nb.mac, mac)
    nb.state = NEIGHBOR_STATIC
    nb.refresh_ns = UINT64_MAX
    no_deadline(t, nb)
    send_pending(t, nb, now_ns)
    return True


cdef bint neighbor_remove(neighbor_table *t, uint32_t addr) noexcept nogil:
    cdef neighbor *nb = lookup(t, addr)
    if nb == NULL:
        return False
    t.stats.pending_overflow += discard_pending(t, nb)
    no_deadline(t, nb)
    unlink_entry(t, nb)
    return True


# -- ARP packets in

cdef int neighbors_input(neighbor_table *t, const uint8_t *p, uint32_t n, uint64_t now_ns) noexcept nogil:
    cdef arp_packet arp
    cdef neighbor *nb
    cdef bint known
    if not arp_parse(&arp, p, n) or mac_is_group(arp.sha) or mac_load(arp.sha) == 0:
        t.stats.rx_malformed += 1
        return ARP_MALFORMED
    if arp_conflicts(t, &arp, now_ns):
        return ARP_CONFLICT
    known = arp.spa != 0 and arp.spa != t.addr and arp_merge(t, &arp, now_ns)
    if arp.op == ARP_REQUEST and arp.tpa == t.addr and arp.spa != t.addr and neighbors_usable(t):
        t.stats.rx_requests += 1
        if not known and arp.spa != 0 and ((arp.spa ^ t.addr) & t.mask) == 0 and 2 * t.used < t.config.entries:
            # It asks because it is about to talk to us (RFC 826); the answer then needs no question of ours.
            nb = new_entry(t, arp.spa, now_ns)
            mac_copy(nb.mac, arp.sha)
            nb.state = NEIGHBOR_REACHABLE
            nb.refresh_ns = now_ns + t.config.refresh_ns
        if arp_send(t, ARP_REPLY, arp.sha, t.addr, arp.sha, arp.spa, now_ns):
            t.stats.tx_replies += 1
        return ARP_TAKEN
    if known:
        if arp.op == ARP_REPLY:
            t.stats.rx_replies += 1
        else:
            t.stats.rx_other += 1
        return ARP_TAKEN
    t.stats.rx_other += 1
    return ARP_IGNORED


cdef bint arp_merge(neighbor_table *t, arp_packet *arp, uint64_t now_ns) noexcept nogil:
    """RFC 826 "Merge_flag": True if there is an entry for the sender. It is confirmed, and what waited goes out."""
    cdef neighbor *nb = lookup(t, arp.spa)
    if nb == NULL:
        return False
    if nb.state == NEIGHBOR_STATIC:
        return True
    if nb.state >= NEIGHBOR_REACHABLE and mac_load(nb.mac) != mac_load(arp.sha):
        t.stats.rx_moved += 1
    mac_copy(nb.mac, arp.sha)
    nb.state = NEIGHBOR_REACHABLE
    nb.refresh_ns = now_ns + t.config.refresh_ns
    no_deadline(t, nb)
    send_pending(t, nb, now_ns)
    return True


# -- our own address (RFC 5227)

cdef bint arp_conflicts(neighbor_table *t, arp_packet *arp, uint64_t now_ns) noexcept nogil:
    """True if the packet shows that somebody else has, or is about to take, our address."""
    cdef bint theirs = mac_load(arp.sha) != mac_load(t.mac)
    if t.acd == ACD_PROBE:
        # Section 2.1.1: any packet with our address as sender, or somebody else's probe for it
        if theirs and (arp.spa == t.addr or (arp.spa == 0 and arp.op == ARP_REQUEST and arp.tpa == t.addr)):
            t.stats.rx_conflicts += 1
            t.acd = ACD_CONFLICT
            t.acd_deadline_ns = UINT64_MAX
            if t.on_conflict != NULL:
                t.on_conflict(t.ctx, arp.sha, True, now_ns)
            return True
        return False
    if not theirs or arp.spa != t.addr:
        return False
    t.stats.rx_conflicts += 1
    if t.acd == ACD_ANNOUNCE or t.acd == ACD_DEFEND:
        # Section 2.4 (c): a server keeps its address, and says so at most once each DEFEND_INTERVAL
        if t.defended_ns == 0 or now_ns - t.defended_ns >= DEFEND_INTERVAL_NS:
            t.defended_ns = now_ns if now_ns != 0 else 1
            announce(t, now_ns)
    if t.on_conflict != NULL:
        t.on_conflict(t.ctx, arp.sha, False, now_ns)
    return True


cdef void announce(neighbor_table *t, uint64_t now_ns) noexcept nogil:
    if arp_send(t, ARP_REQUEST, BROADCAST, t.addr, UNKNOWN, t.addr, now_ns):
        t.stats.tx_announcements += 1


cdef void neighbors_start(neighbor_table *t, uint64_t now_ns) noexcept nogil:
    t.acd_count = 0
    if t.config.probes:
        t.acd = ACD_PROBE
        t.acd_deadline_ns = now_ns + random_next(&t.random) % (t.config.probe_ns + 1)   # PROBE_WAIT
    else:
        t.acd = ACD_ANNOUNCE
        t.acd_deadline_ns = now_ns
        acd_poll(t, now_ns)


cdef void acd_poll(neighbor_table *t, uint64_t now_ns) noexcept nogil:
    """The next probe or announcement is due."""
    if t.acd == ACD_PROBE:
        if t.acd_count < t.config.probes:
            # Section 2.1.1: sender address all zero, so that nobody's cache learns it
            if arp_send(t, ARP_REQUEST, BROADCAST, 0, UNKNOWN, t.addr, now_ns):
                t.stats.tx_probes += 1
                t.acd_count += 1
            if t.acd_count < t.config.probes:
                t.acd_deadline_ns = now_ns + t.config.probe_ns + random_next(&t.random) % (t.config.probe_ns + 1)
            else:
                t.acd_deadline_ns = now_ns + 2 * t.config.probe_ns      # ANNOUNCE_WAIT
            return
        t.acd = ACD_ANNOUNCE
        t.acd_count = 0
    announce(t, now_ns)
    t.acd_count += 1
    if t.acd_count < ANNOUNCE_NUM:
        t.acd_deadline_ns = now_ns + ANNOUNCE_INTERVAL_NS
    else:
        t.acd = ACD_DEFEND
        t.acd_deadline_ns = UINT64_MAX


# -- time

cdef int neighbors_poll(neighbor_table *t, uint64_t now_ns) noexcept nogil:
    """What is due by now; returns how many things were. Entries are walked only when one is due."""
    cdef int work = 0
    cdef uint32_t i
    cdef neighbor *nb
    if now_ns >= t.acd_deadline_ns:
        acd_poll(t, now_ns)
        work += 1
    if now_ns < t.deadline_ns:
        return work
    for i in range(t.config.entries):
        nb = &t.entries[i]
        if now_ns >= nb.deadline_ns:
            entry_due(t, nb, now_ns)
            work += 1
    earliest(t)
    return work


cdef void entry_due(neighbor_table *t, neighbor *nb, uint64_t now_ns) noexcept nogil:
    if nb.tries >= t.config.tries:
        fail(t, nb, now_ns)
    elif nb.state == NEIGHBOR_REFRESHING and nb.tries + 1 < t.config.tries:
        ask(t, nb, nb.mac, now_ns)
    else:
        ask(t, nb, BROADCAST, now_ns)


cdef void fail(neighbor_table *t, neighbor *nb, uint64_t now_ns) noexcept nogil:
    """Nobody answered. The entry goes first: those who are told may send there again, which asks anew."""
    cdef uint16_t slot = nb.pending_head
    cdef uint16_t following
    cdef uint32_t addr = nb.addr
    nb.pending_head = nb.pending_tail = NONE
    nb.pending_count = 0
    t.stats.failed += 1
    unlink_entry(t, nb)
    while slot != NONE:
        following = t.slot[slot].next
        t.stats.pending_timeout += 1
        if t.on_failed != NULL:
            t.on_failed(t.ctx, addr, slot_data(t, slot), t.slot[slot].len, now_ns)
        slot_release(t, slot)
        slot = following
