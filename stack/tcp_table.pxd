# Connections and their memory: the 4-tuple table, slots, lists of what is due, and the one place where state changes.
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from .isn cimport flow_hash
from .netif cimport netif
from .tcb cimport tcb, tcp_counters, tcp_listener, tcp_options, tcp_table

cdef void tcp_options_default(tcp_options *o) noexcept nogil
# NULL: no memory, or a size out of range. All memory of `connections` connections; snd_buf is rounded up to a power of 2.
cdef tcp_table *tcp_table_new(netif *nif, uint32_t connections, uint32_t rcv_buf, uint32_t snd_buf) noexcept nogil
cdef void tcp_table_free(tcp_table *t) noexcept nogil

# A slot for this 4-tuple, in the table, CLOSED, with the sink still empty; NULL: none free (the oldest TIME-WAIT is given
# up first), or who was told of that connected with this 4-tuple.
cdef tcb *tcb_take(tcp_table *t, uint32_t local_addr, uint32_t remote_addr, uint32_t ports, const tcp_options *o,
                   bint certain, uint64_t now_ns) noexcept nogil
cdef void tcp_set_state(tcb *c, int state) noexcept nogil
cdef const char *tcp_state_name(int state) noexcept nogil
# CLOSED: out of the table, timers off, `event` (if not 0) and TCP_EV_CLOSED given; the slot goes back at the end of tcp_poll
cdef void tcp_end(tcb *c, int event, uint64_t now_ns) noexcept nogil
cdef void tcp_tell(tcb *c, int event, uint64_t now_ns) noexcept nogil
cdef int tcp_reap(tcp_table *t) noexcept nogil
cdef tcp_listener *tcp_listener_find(tcp_table *t, uint16_t port) noexcept nogil
cdef void tcp_predict(tcb *c) noexcept nogil

cdef void tcp_ack_later(tcb *c) noexcept nogil
cdef void tcp_ready_later(tcb *c) noexcept nogil
cdef void tcp_retry_later(tcb *c) noexcept nogil



cdef inline tcb *tcp_lookup(tcp_table *t, uint32_t local_addr, uint32_t remote_addr, uint32_t ports) noexcept nogil:
    """The connection with that 4-tuple (ports = remote << 16 | local), or NULL."""
    cdef tcb *c = t.buckets[flow_hash(t.hash_key, local_addr, remote_addr, ports) & t.bucket_mask]
    while c != NULL and (c.ports != ports or c.remote_addr != remote_addr or c.local_addr != local_addr):
        c = c.hash_next
    return c
