# One segment: header template, window, options, checksum, and the kinds without new text. RFC 9293 sections 3.7.4, 3.8.6.
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from .tcb cimport tcb, tcp_table
from .wire.ipv4 cimport ipv4_hdr
from .wire.tcp cimport tcp_seg

cdef void tcp_header_make(tcb *c) noexcept nogil
# n octets of text from seq on, out of `direct` or the send ring; False: no frame, or refused below (counted)
cdef bint tcp_emit_segment(tcb *c, uint32_t seq, uint32_t flags, const uint8_t *direct, uint32_t n, int reason,
                           uint64_t now_ns) noexcept nogil
# text the peer can be sent in one segment with the options of now
cdef uint32_t tcp_text_room(const tcb *c) noexcept nogil
cdef bint tcp_window_moved(tcb *c) noexcept nogil

# -- kinds without new text
cdef bint tcp_send_syn(tcb *c, int reason, uint64_t now_ns) noexcept nogil
cdef bint tcp_send_ack(tcb *c, int reason, uint64_t now_ns) noexcept nogil
cdef bint tcp_send_rst(tcb *c, uint64_t now_ns) noexcept nogil
cdef void tcp_answer_stray(tcb *c, uint64_t now_ns) noexcept nogil
cdef bint tcp_challenge_ack(tcb *c, uint64_t now_ns) noexcept nogil
cdef bint tcp_send_probe(tcb *c, int reason, uint64_t now_ns) noexcept nogil

# -- answers to segments without a connection
cdef bint tcp_reply_rst(tcp_table *t, const ipv4_hdr *ip, const tcp_seg *seg, uint64_t now_ns) noexcept nogil
cdef bint tcp_reply_cookie(tcp_table *t, const ipv4_hdr *ip, const tcp_seg *seg, uint32_t iss, uint16_t mss,
                           uint16_t window, uint8_t ttl, uint64_t now_ns) noexcept nogil


cdef inline uint32_t tcp_ts_now(const tcb *c, uint64_t now_ns) noexcept nogil:
    """Our timestamp clock: milliseconds (RFC 7323 section 5.4), at an offset of each connection's own."""
    return <uint32_t>(now_ns // 1000000) + c.ts_offset
