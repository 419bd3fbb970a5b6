# Segments leave here: the send ring, header templates, windows, retransmission. RFC 9293 sections 3.7, 3.8.
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from .netif cimport netif
from .tcb cimport tcb, tcp_sent, tcp_table
from .wire.ipv4 cimport ipv4_hdr
from .wire.tcp cimport tcp_seg

# -- the user's side
# All n octets are queued, or none (False, counted; TCP_EV_WRITABLE follows). What the windows allow has been handed to the
# device when this returns.
cdef bint tcp_send_commit(tcb *c, const uint8_t *p, uint32_t n, uint64_t now_ns) noexcept nogil
# -> octets queued, from the front
cdef uint32_t tcp_send(tcb *c, const uint8_t *p, uint32_t n, uint64_t now_ns) noexcept nogil
# octets tcp_send_commit would take; 0 when not connected
cdef uint32_t tcp_send_room(const tcb *c) noexcept nogil

# -- inside TCP
cdef void tcp_header_make(tcb *c) noexcept nogil
cdef void tcp_output(tcb *c, uint64_t now_ns) noexcept nogil
cdef uint64_t tcp_persist_ns(const tcb *c) noexcept nogil
cdef bint tcp_send_syn(tcb *c, int reason, uint64_t now_ns) noexcept nogil
cdef bint tcp_send_ack(tcb *c, int reason, uint64_t now_ns) noexcept nogil
cdef bint tcp_send_rst(tcb *c, uint64_t now_ns) noexcept nogil
cdef void tcp_answer_stray(tcb *c, uint64_t now_ns) noexcept nogil
cdef bint tcp_challenge_ack(tcb *c, uint64_t now_ns) noexcept nogil
# record i of c.sent
cdef bint tcp_retransmit(tcb *c, uint32_t i, int reason, uint64_t now_ns) noexcept nogil
cdef bint tcp_send_new(tcb *c, uint32_t n, int reason, uint64_t now_ns) noexcept nogil
cdef bint tcp_send_probe(tcb *c, int reason, uint64_t now_ns) noexcept nogil
cdef bint tcp_window_moved(tcb *c) noexcept nogil
# answers to segments without a connection
cdef bint tcp_reply_rst(tcp_table *t, const ipv4_hdr *ip, const tcp_seg *seg, uint64_t now_ns) noexcept nogil
cdef bint tcp_reply_cookie(tcp_table *t, const ipv4_hdr *ip, const tcp_seg *seg, uint32_t iss, uint16_t mss,
                           uint16_t window, uint8_t ttl, uint64_t now_ns) noexcept nogil
# text the peer can be sent in one segment with the options of now
cdef uint32_t tcp_text_room(const tcb *c) noexcept nogil


cdef inline uint32_t tcp_flight_size(const tcb *c) noexcept nogil:
    return c.snd_nxt - c.snd_una


cdef inline uint32_t tcp_pipe(const tcb *c) noexcept nogil:
    """Octets that may still be in the network (RFC 6675 section 2)."""
    return c.snd_nxt - c.snd_una - c.sacked_octets - c.lost_octets + c.again_octets


cdef inline uint32_t tcp_ts_now(const tcb *c, uint64_t now_ns) noexcept nogil:
    """Our timestamp clock: milliseconds (RFC 7323 section 5.4), at an offset of each connection's own."""
    return <uint32_t>(now_ns // 1000000) + c.ts_offset
