"""Connections and their memory: the 4-tuple table, slots, lists of what is due, and the one place where state changes.

RFC 9293 sections 3.3.2 and 3.10. All memory is taken by `tcp_table_new`. A slot whose connection has ended goes back at
the end of `tcp_poll`, so a pointer held by an upcall stays valid until the step is over.
"""
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

from .isn cimport flow_hash
from .netif cimport netif
from .random cimport random_next
from .reassembly cimport reass, reass_memory
from .recorder cimport FAULT_RESET, FAULT_TIMEOUT, recorder_fault
from .tcb cimport *
from .timer cimport NEVER, timer_cancel, timer_init, timer_slot, timers_init

cdef enum:
    LINE = 64
    MS = 1000000
    SENT_EACH = 128             # one record for so many octets of send ring, at least SENT_LEAST
    SENT_LEAST = 64

cdef extern from *:
    """
    #ifdef FIXWIRE_DEBUG
    #include <stdio.h>
    #include <stdlib.h>
    /* What may follow what (RFC 9293 figure 5, and CLOSED from everywhere). Row: old, bit: new. */
    static const unsigned short fw_tcp_may[11] = {
        1 << 2 | 1 << 3,                                /* CLOSED: SYN-SENT, SYN-RECEIVED */
        0,
        1 << 0 | 1 << 3 | 1 << 4,                       /* SYN-SENT */
        1 << 0 | 1 << 4 | 1 << 5,                       /* SYN-RECEIVED */
        1 << 0 | 1 << 5 | 1 << 7,                       /* ESTABLISHED */
        1 << 0 | 1 << 6 | 1 << 8 | 1 << 10,             /* FIN-WAIT-1 */
        1 << 0 | 1 << 10,                               /* FIN-WAIT-2 */
        1 << 0 | 1 << 9,                                /* CLOSE-WAIT */
        1 << 0 | 1 << 10,                               /* CLOSING */
        1 << 0,                                         /* LAST-ACK */
        1 << 0,                                         /* TIME-WAIT */
    };
    static inline void fw_tcp_transition(int from, int to) {
        if (!(fw_tcp_may[from] >> to & 1)) { fprintf(stderr, "tcp: state %d cannot follow %d\\n", to, from); abort(); }
    }
    #else
    static inline void fw_tcp_transition(int from, int to) { (void)from; (void)to; }
    #endif
    """
    void tcp_transition "fw_tcp_transition"(int before, int after) noexcept nogil


cdef void tcp_options_default(tcp_options *o) noexcept nogil:
    """What a latency-minded session wants on a wire it does not know; every deviation from an RFC default says why."""
    memset(o, 0, sizeof(tcp_options))
    o.rcv_buf = 65535
    o.snd_buf = 65536
    o.ack_policy = TCP_ACK_IMMEDIATE
    o.congestion = TCP_CC_NEWRENO
    o.window_scale = True
    o.sack = True
    o.timestamps = False            # twelve octets a segment, and off the predicted path
    o.ecn = False
    o.ack_delay_ns = 40 * MS
    # RFC 6298 says 1 s; 50 ms lies above the 40 ms for which Linux holds back an ACK. The tail loss probe comes earlier.
    o.rto_min_ns = 50 * MS
    o.rto_max_ns = <uint64_t>60000 * MS
    o.rto_initial_ns = 1000 * MS
    o.rto_variance_ns = 1000
    o.slow_start_limit = 1
    o.tail_probe = True
    o.max_ack_delay_ns = MS         # learnt upwards when a probe proves needless
    o.keep_idle_ns = 0
    o.keep_interval_ns = <uint64_t>75000 * MS
    o.keep_count = 9
    o.initial_window = 10
    o.user_timeout_ns = <uint64_t>300000 * MS
    o.uto_enabled = False           # RFC 5482 section 3.1
    o.uto_changeable = True
    o.uto_l_limit_ns = <uint64_t>100000 * MS    # R2 is at least 100 s (SHLD-11)
    o.uto_u_limit_ns = <uint64_t>3600000 * MS   # a dead peer's memory is held so long at the most
    o.syn_timeout_ns = <uint64_t>180000 * MS
    o.time_wait_ns = <uint64_t>60000 * MS       # MSL 30 s, as most stacks
    o.fin_wait_2_ns = <uint64_t>60000 * MS
    o.backlog = 128
    o.syn_cookies = True
    o.ttl = 64
    o.tos = 0


cdef inline uint64_t lines(uint64_t n) noexcept nogil:
    return (n + LINE - 1) // LINE * LINE


cdef uint32_t power_of_two(uint32_t n) noexcept nogil:
    cdef uint32_t p = 1
    while p < n:
        p <<= 1
    return p


cdef tcp_table *tcp_table_new(netif *nif, uint32_t connections, uint32_t rcv_buf, uint32_t snd_buf) noexcept nogil:
    """All memory of `connections` connections in one piece; NULL if there is none, or a size is out of range.

    rcv_buf 536..2**28, snd_buf 1024..2**28 (rounded up to a power of two), connections 1..2**20.
    """
    cdef tcp_table *t
    cdef tcb *c
    cdef uint8_t *m
    cdef uint64_t slot, ring, records, limit, each
    cdef uint32_t i, sent
    if not (1 <= connections <= 1 << 20 and 536 <= rcv_buf <= 1 << 28 and 1024 <= snd_buf <= 1 << 28):
        return NULL
    t = <tcp_table *>calloc(1, sizeof(tcp_table))
    if t == NULL:
        return NULL
    snd_buf = power_of_two(snd_buf)
    sent = power_of_two(snd_buf // SENT_EACH)
    if sent < SENT_LEAST:
        sent = SENT_LEAST
    limit = rcv_buf + <uint64_t>nif.dev.mtu         # one segment may be in an upcall while its window is still offered
    slot = lines(sizeof(tcb)) + lines(sizeof(reass))
    ring = snd_buf + LINE
    records = lines(sent * sizeof(tcp_sent))
    # Five lines more than a power of two: the same field of two connections is not 4 KiB apart.
    each = slot + lines(ring) + records + lines(reass_memory(<uint32_t>limit)) + 5 * LINE
    t.bucket_mask = power_of_two(2 * connections) - 1
    t.memory = calloc(each * connections + LINE, 1)
    t.buckets = <tcb **>calloc(t.bucket_mask + 1, sizeof(tcb *))
    t.wheel.heap = <timer_slot *>calloc(connections, sizeof(timer_slot))
    if t.memory == NULL or t.buckets == NULL or t.wheel.heap == NULL:
        tcp_table_free(t)
        return NULL
    t.nif = nif
    t.connections = connections
    t.rcv_buf = rcv_buf
    t.snd_buf = snd_buf
    t.mtu = nif.dev.mtu
    t.slots = <uint8_t *>((<uintptr_t>t.memory + LINE - 1) & ~<uintptr_t>(LINE - 1))
    t.slot_size = <uint32_t>each
    t.hash_key[0] = nif.secret[0] ^ random_next(&nif.random)
    t.hash_key[1] = nif.secret[1] ^ random_next(&nif.random)
    t.secret[0] = nif.secret[0]
    t.secret[1] = nif.secret[1]
    t.next_port = <uint16_t>(49152 + random_next(&nif.random) % 16384)
    timers_init(&t.wheel, t.wheel.heap, connections)
    for i in range(connections):
        m = t.slots + (connections - 1 - i) * each
        c = <tcb *>m
        c.index = connections - 1 - i
        c.table = t
        m += lines(sizeof(tcb))
        c.rcv = <reass *>m
        m += lines(sizeof(reass))
        c.sent = <tcp_sent *>m
        c.sent_mask = sent - 1
        m += records
        c.ring = m
        c.ring_mask = snd_buf - 1
        m += lines(ring)
        c.rcv.buf = m
        c.rcv.limit = <uint32_t>limit
        c.next_free = t.free_slots
        t.free_slots = c
    return t


cdef void tcp_table_free(tcp_table *t) noexcept nogil:
    if t == NULL:
        return
    free(t.memory)
    free(t.buckets)
    free(t.wheel.heap)
    free(t)


cdef tcb *oldest(tcp_table *t, int state) noexcept nogil:
    """The connection in TIME-WAIT, or the passive open in SYN-RECEIVED, that began longest ago and can be given up at once."""
    cdef tcb *c
    cdef tcb *found = NULL
    cdef uint32_t i
    for i in range(t.connections):
        c = <tcb *>(t.slots + <uint64_t>i * t.slot_size)
        if c.state != state or c.in_upcall or (state == TCP_SYN_RECEIVED and (not c.passive or c.on_lists)):
            continue
        if found == NULL or (c.wait_at_ns < found.wait_at_ns if state == TCP_TIME_WAIT else c.opened_ns < found.opened_ns):
            found = c
    return found


cdef void reap_now(tcb *c) noexcept nogil:
    """One ended connection goes back before the end of the step; the others stay valid until then."""
    cdef tcp_table *t = c.table
    cdef tcb **at = &t.reap_list
    while at[0] != c:
        at = &at[0].next_free
    at[0] = c.next_free
    c.next_free = NULL
    cdef tcb *others = t.reap_list
    t.reap_list = c
    tcp_reap(t)
    if t.reap_list == NULL:
        t.reap_list = others
    else:
        c.next_free = others


cdef tcb *tcb_take(tcp_table *t, uint32_t local_addr, uint32_t remote_addr, uint32_t ports, const tcp_options *o,
                   bint certain, uint64_t now_ns) noexcept nogil:
    """A slot for this 4-tuple, in the table and CLOSED, with an empty sink; NULL if none is free, or somebody has it now.

    The oldest connection in TIME-WAIT is given up before that: its peer has had the longest time to go. Whoever is told of
    its end may connect in that call, with this very 4-tuple too. Then, if the new one is `certain` (ours, or a cookie came
    back), the oldest half-open one: its SYN may be forged (RFC 4987 section 3.4).
    """
    cdef tcb *c
    cdef uint32_t h
    if t.free_slots == NULL and t.time_waiting:
        c = oldest(t, TCP_TIME_WAIT)
        if c != NULL:
            t.counters.time_wait_recycled += 1
            tcp_end(c, 0, now_ns)
            reap_now(c)
    if t.free_slots == NULL and certain:
        c = oldest(t, TCP_SYN_RECEIVED)
        if c != NULL:
            tcp_end(c, 0, now_ns)
            reap_now(c)
    if t.free_slots == NULL or tcp_lookup(t, local_addr, remote_addr, ports) != NULL:
        return NULL
    c = t.free_slots
    t.free_slots = c.next_free
    t.in_use += 1
    tcb_clear(c)
    c.opt = o[0]
    c.local_addr = local_addr
    c.remote_addr = remote_addr
    c.ports = ports
    c.rcv_buf = o.rcv_buf if 0 < o.rcv_buf < t.rcv_buf else t.rcv_buf
    c.snd_buf = o.snd_buf if 0 < o.snd_buf < t.snd_buf else t.snd_buf
    c.rto_ns = o.rto_initial_ns
    if c.opt.adv_uto_ns == 0:
        c.opt.adv_uto_ns = o.user_timeout_ns
    c.max_ack_delay_ns = o.max_ack_delay_ns
    c.rack_reo_mult = 1
    c.ssthresh = 0x7FFFFFFF
    c.dctcp_alpha = 1024
    c.opened_ns = now_ns
    c.last_rx_ns = now_ns
    timer_init(&c.wake, c, 0)
    c.rto_at_ns = c.pto_at_ns = c.reo_at_ns = c.ack_at_ns = NEVER
    c.wait_at_ns = c.keep_at_ns = c.user_at_ns = NEVER
    c.ts_offset = <uint32_t>random_next(&t.nif.random)
    h = flow_hash(t.hash_key, local_addr, remote_addr, ports) & t.bucket_mask
    c.hash_next = t.buckets[h]
    t.buckets[h] = c
    return c


cdef void tcb_clear(tcb *c) noexcept nogil:
    """Zero, but for what belongs to the slot."""
    cdef tcp_table *t = c.table
    cdef reass *rcv = c.rcv
    cdef tcp_sent *sent = c.sent
    cdef uint8_t *ring = c.ring
    cdef uint32_t ring_mask = c.ring_mask, sent_mask = c.sent_mask, generation = c.generation, index = c.index
    memset(c, 0, sizeof(tcb))
    c.table = t
    c.rcv = rcv
    c.sent = sent
    c.ring = ring
    c.ring_mask = ring_mask
    c.sent_mask = sent_mask
    c.index = index
    c.generation = generation + 1


cdef const char *tcp_state_name(int state) noexcept nogil:
    if state == TCP_CLOSED: return b"CLOSED"
    if state == TCP_LISTEN: return b"LISTEN"
    if state == TCP_SYN_SENT: return b"SYN-SENT"
    if state == TCP_SYN_RECEIVED: return b"SYN-RECEIVED"
    if state == TCP_ESTABLISHED: return b"ESTABLISHED"
    if state == TCP_FIN_WAIT_1: return b"FIN-WAIT-1"
    if state == TCP_FIN_WAIT_2: return b"FIN-WAIT-2"
    if state == TCP_CLOSE_WAIT: return b"CLOSE-WAIT"
    if state == TCP_CLOSING: return b"CLOSING"
    if state == TCP_LAST_ACK: return b"LAST-ACK"
    return b"TIME-WAIT"


cdef void tcp_set_state(tcb *c, int state) noexcept nogil:
    """The only writer of `c.state`. Keeps the counts that depend on it."""
    tcp_transition(c.state, state)
    if c.state == TCP_SYN_RECEIVED and c.passive:
        c.table.listeners[c.listener_index].half_open -= 1
    if c.state == TCP_TIME_WAIT:
        c.table.time_waiting -= 1
    if state == TCP_TIME_WAIT:
        c.table.time_waiting += 1
    if state == TCP_SYN_RECEIVED and c.passive:
        c.table.listeners[c.listener_index].half_open += 1
    c.state = <uint8_t>state
    tcp_predict(c)


cdef void tcp_predict(tcb *c) noexcept nogil:
    """Header prediction applies while all this holds; called wherever one of them may have changed."""
    c.predict = (c.state == TCP_ESTABLISHED and c.rcv.count == 0 and not c.ts_ok and not c.ecn_ok
                 and not c.urgent_in and not c.urgent_out and not c.fin_seen and not c.closed_by_user
                 and c.recovery == TCP_RECOVERY_NONE and c.dup_acks == 0 and c.sacked_octets == 0
                 and c.lost_octets == 0 and not c.tlp_out and not c.probe_out and not c.dsack_due and not c.uto_due)


cdef void tcp_tell(tcb *c, int event, uint64_t now_ns) noexcept nogil:
    if c.sink.on_event == NULL:
        return
    c.in_upcall += 1
    c.sink.on_event(c.sink.ctx, c, event, now_ns)
    c.in_upcall -= 1


cdef void tcp_end(tcb *c, int event, uint64_t now_ns) noexcept nogil:
    """The connection is CLOSED: out of the table, no timer left, `event` (if not 0) and TCP_EV_CLOSED told.

    Its slot returns to the pool at the end of tcp_poll. A second call does nothing.
    """
    cdef tcp_table *t = c.table
    cdef tcb **at
    if c.ended:
        return
    c.ended = 1
    if c.state != TCP_CLOSED:
        tcp_set_state(c, TCP_CLOSED)
    timer_cancel(&t.wheel, &c.wake)
    c.rto_at_ns = c.pto_at_ns = c.reo_at_ns = c.ack_at_ns = NEVER
    c.wait_at_ns = c.keep_at_ns = c.user_at_ns = NEVER
    c.ack_pending = 0
    at = &t.buckets[flow_hash(t.hash_key, c.local_addr, c.remote_addr, c.ports) & t.bucket_mask]
    while at[0] != c:
        at = &at[0].hash_next
    at[0] = c.hash_next
    c.hash_next = NULL
    if event == TCP_EV_RESET or event == TCP_EV_TIMEOUT:
        recorder_fault(t.nif.recorder, FAULT_RESET if event == TCP_EV_RESET else FAULT_TIMEOUT)
    if event:
        tcp_tell(c, event, now_ns)
    tcp_tell(c, TCP_EV_CLOSED, now_ns)
    c.on_lists |= TCB_ON_REAP
    c.next_free = t.reap_list
    t.reap_list = c


cdef int tcp_reap(tcp_table *t) noexcept nogil:
    """Give the slots of ended connections back; one still on another list, or in an upcall, waits for the next time."""
    cdef tcb *c = t.reap_list
    cdef tcb *following
    cdef int done = 0
    t.reap_list = NULL
    while c != NULL:
        following = c.next_free
        if c.on_lists & ~TCB_ON_REAP or c.in_upcall:
            c.next_free = t.reap_list
            t.reap_list = c
        else:
            c.on_lists = 0
            c.generation += 1
            c.next_free = t.free_slots
            t.free_slots = c
            t.in_use -= 1
            done += 1
        c = following
    return done


cdef tcp_listener *tcp_listener_find(tcp_table *t, uint16_t port) noexcept nogil:
    cdef uint32_t i
    for i in range(TCP_LISTENERS):
        if t.listeners[i].used and t.listeners[i].port == port:
            return &t.listeners[i]
    return NULL


cdef void tcp_ack_later(tcb *c) noexcept nogil:
    """An ACK is owed at the end of the burst, unless text carries it before."""
    if not c.ack_pending:
        c.ack_pending = 1
    if not c.on_lists & TCB_ON_ACK:
        c.on_lists |= TCB_ON_ACK
        c.next_ack = c.table.ack_list
        c.table.ack_list = c


cdef void tcp_ready_later(tcb *c) noexcept nogil:
    """Text waits and is wanted: on_text again in the next step."""
    if not c.on_lists & TCB_ON_READY:
        c.on_lists |= TCB_ON_READY
        c.next_ready = c.table.ready_list
        c.table.ready_list = c


cdef void tcp_retry_later(tcb *c) noexcept nogil:
    """A segment could not be handed to the device: tried again in the next step."""
    if not c.on_lists & TCB_ON_RETRY:
        c.on_lists |= TCB_ON_RETRY
        c.next_retry = c.table.retry_list
        c.table.retry_list = c
