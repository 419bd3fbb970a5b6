# What acknowledgements mean: round trip time, congestion, loss. RFC 6298, 5681, 6582, 6675, 8985, 2883, 8257.
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from .tcb cimport TCP_SENT_IN_FLIGHT_AGAIN, TCP_SENT_LOST, tcb, tcp_sent
from .wire.tcp cimport tcp_opt

# SEG.ACK is new (SND.UNA < ack <= SND.NXT) and nothing unusual is going on: the predicted path
cdef void tcp_acked_predicted(tcb *c, uint32_t ack, uint64_t now_ns) noexcept nogil
# an acceptable ACK: SND.UNA - MAX.SND.WND <= ack <= SND.NXT. `bare`: no text, no FIN, window as before (RFC 5681 section 2)
cdef void tcp_acked(tcb *c, uint32_t ack, const tcp_opt *opt, bint bare, bint ece, uint64_t now_ns) noexcept nogil
# first measurement, of the handshake
cdef void tcp_rtt_sample(tcb *c, uint64_t rtt_ns, uint64_t now_ns) noexcept nogil
cdef void tcp_congestion_start(tcb *c) noexcept nogil
# something is lost: one reduction for all of it
cdef void tcp_enter_recovery(tcb *c, uint64_t now_ns) noexcept nogil
# True: something was marked as lost by time
cdef bint tcp_rack_detect(tcb *c, uint64_t now_ns) noexcept nogil


cdef inline uint32_t tcp_half(const tcb *c, uint32_t flight) noexcept nogil:
    """ssthresh after a loss: max(FlightSize / 2, 2 SMSS) (RFC 5681 equation 4)."""
    return flight >> 1 if flight >> 1 > 2 * c.snd_mss else 2 * c.snd_mss


cdef inline void tcp_mark_lost(tcb *c, tcp_sent *s, int reason) noexcept nogil:
    s.reason = <uint8_t>reason
    if not s.flags & TCP_SENT_LOST:
        s.flags |= TCP_SENT_LOST
        c.lost_octets += s.end - s.seq
    elif s.flags & TCP_SENT_IN_FLIGHT_AGAIN:
        s.flags &= ~TCP_SENT_IN_FLIGHT_AGAIN    # its second copy is lost too
        c.again_octets -= s.end - s.seq


cdef inline void tcp_limit_sacked(tcb *c) noexcept nogil:
    """The guess of tcp_count_duplicates never exceeds what can have arrived."""
    cdef uint32_t most = c.snd_nxt - c.snd_una - c.lost_octets
    if c.sacked_octets > most:
        c.sacked_octets = most
