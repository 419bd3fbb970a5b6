# What is sent, and when: the send ring, windows, retransmission. RFC 9293 sections 3.7.4, 3.8.
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from .tcb cimport tcb

# -- the user's side
# All n octets are queued, or none (False, counted; TCP_EV_WRITABLE follows). What the windows allow has been handed to the
# device when this returns.
cdef bint tcp_send_commit(tcb *c, const uint8_t *p, uint32_t n, uint64_t now_ns) noexcept nogil
# -> octets queued, from the front
cdef uint32_t tcp_send(tcb *c, const uint8_t *p, uint32_t n, uint64_t now_ns) noexcept nogil
# octets tcp_send_commit would take; 0 when not connected
cdef uint32_t tcp_send_room(const tcb *c) noexcept nogil

# -- inside TCP
cdef void tcp_output(tcb *c, uint64_t now_ns) noexcept nogil
cdef uint64_t tcp_persist_ns(const tcb *c) noexcept nogil
# record i of c.sent
cdef bint tcp_retransmit(tcb *c, uint32_t i, int reason, uint64_t now_ns) noexcept nogil
cdef bint tcp_send_new(tcb *c, uint32_t n, int reason, uint64_t now_ns) noexcept nogil


cdef inline uint32_t tcp_flight_size(const tcb *c) noexcept nogil:
    return c.snd_nxt - c.snd_una


cdef inline uint32_t tcp_pipe(const tcb *c) noexcept nogil:
    """Octets that may still be in the network (RFC 6675 section 2)."""
    return c.snd_nxt - c.snd_una - c.sacked_octets - c.lost_octets + c.again_octets
