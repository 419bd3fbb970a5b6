# What acknowledgements and silence mean: round trip time, congestion, loss. RFC 6298, 5681, 6582, 6675, 8985, 2883, 8257.
from libc.stdint cimport uint32_t, uint64_t

from .tcb cimport tcb
from .wire.tcp cimport tcp_opt

# SEG.ACK is new (SND.UNA < ack <= SND.NXT) and nothing unusual is going on: the predicted path
cdef void tcp_acked_predicted(tcb *c, uint32_t ack, uint64_t now_ns) noexcept nogil
# an acceptable ACK: SND.UNA - MAX.SND.WND <= ack <= SND.NXT. `bare`: no text, no FIN, window as before (RFC 5681 section 2)
cdef void tcp_acked(tcb *c, uint32_t ack, const tcp_opt *opt, bint bare, bint ece, uint64_t now_ns) noexcept nogil
# first measurement, of the handshake
cdef void tcp_rtt_sample(tcb *c, uint64_t rtt_ns, uint64_t now_ns) noexcept nogil
cdef void tcp_congestion_start(tcb *c) noexcept nogil
# the three timers of unacknowledged text
cdef void tcp_timeout_rto(tcb *c, uint64_t now_ns) noexcept nogil
cdef void tcp_timeout_probe(tcb *c, uint64_t now_ns) noexcept nogil
cdef void tcp_timeout_reorder(tcb *c, uint64_t now_ns) noexcept nogil
# RFC 1191: text in flight is larger than the path takes
cdef void tcp_smaller_mss(tcb *c, uint32_t mss, uint64_t now_ns) noexcept nogil
