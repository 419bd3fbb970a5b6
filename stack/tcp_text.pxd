# Text goes up, and the peer's FIN: the last steps of SEGMENT ARRIVES.
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from .tcb cimport tcb
from .wire.tcp cimport tcp_seg

# n > 0 octets next in order, no hole behind them, all of them within the window
cdef void tcp_take_text(tcb *c, const uint8_t *p, uint32_t n, uint64_t now_ns) noexcept nogil
# text that waits in order goes up, if it is wanted; then, if it is time, TCP_EV_PEER_CLOSED
cdef void tcp_pass_up(tcb *c, uint64_t now_ns) noexcept nogil
# sixth; seventh and eighth -> tcp_rx_verdict
cdef void tcp_urgent_arrives(tcb *c, const tcp_seg *seg, uint64_t now_ns) noexcept nogil
cdef int tcp_text_and_fin(tcb *c, tcp_seg *seg, uint64_t now_ns) noexcept nogil
# text seq..end came twice: the next ACK says so (RFC 2883)
cdef void tcp_note_twice(tcb *c, uint32_t seq, uint32_t end) noexcept nogil
cdef void tcp_time_wait(tcb *c, uint64_t now_ns) noexcept nogil
# acknowledged text has made room: send what waits, tell who waits
cdef void tcp_after_ack(tcb *c, uint64_t now_ns) noexcept nogil
