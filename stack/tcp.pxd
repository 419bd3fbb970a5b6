# The user's calls on TCP (RFC 9293 section 3.9.1) and the passing of time. Everything a room above may cimport is here
# and in tcb.pxd, plus tcp_send* in tcp_output.pxd, cimported through here.
#
#   tcp_attach(nif, ...)  once; then netif_burst / netif_input bring segments and netif_poll passes time.
#   tcp_connect / tcp_listen -> tcb; its sink hears of text and events; tcp_send_commit, tcp_close, tcp_abort.
# A tcb is valid until its TCP_EV_CLOSED; keep (pointer, generation) where it may be outlived: `tcb_alive`.
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from .netif cimport netif
from .tcb cimport tcb, tcp_listener, tcp_on_accept_fn, tcp_options, tcp_sink, tcp_table
from .tcp_output cimport tcp_send, tcp_send_commit, tcp_send_room
from .tcp_table cimport tcp_options_default

# TCP on this interface: takes all memory, registers with nif. connections = most at a time (TIME-WAIT included). NULL: no memory.
cdef tcp_table *tcp_attach(netif *nif, uint32_t connections, uint32_t rcv_buf, uint32_t snd_buf) noexcept nogil
cdef void tcp_detach(tcp_table *t) noexcept nogil
# the table attached to nif, NULL if none
cdef tcp_table *tcp_of(netif *nif) noexcept nogil

# Active open. sport 0: chosen. o NULL: defaults. NULL: none free (counted). The sink hears CONNECTED, or REFUSED, TIMEOUT,
# UNREACHABLE and then CLOSED.
cdef tcb *tcp_connect(netif *nif, uint32_t dst, uint16_t dport, uint16_t sport, const tcp_options *o,
                      const tcp_sink *sink, uint64_t now_ns) noexcept nogil
# Passive open. on_accept sets c.sink (and c.user) of an established connection; False refuses it by RST. NULL: port taken,
# or TCP_LISTENERS are.
cdef tcp_listener *tcp_listen(netif *nif, uint16_t port, const tcp_options *o, tcp_on_accept_fn on_accept,
                              void *ctx) noexcept nogil
# Half-open connections of it are reset; established ones stay.
cdef void tcp_unlisten(netif *nif, tcp_listener *l, uint64_t now_ns) noexcept nogil

# Text already received or arriving from now on is not wanted: discarded, and answered by RST if it is new (RFC 9293 3.6.1).
# FIN follows the text queued by tcp_send.
cdef void tcp_close(tcb *c, uint64_t now_ns) noexcept nogil
# FIN after the queued text; the peer may go on sending (half-close).
cdef void tcp_shutdown(tcb *c, uint64_t now_ns) noexcept nogil
# RST now; queued text is forgotten.
cdef void tcp_abort(tcb *c, uint64_t now_ns) noexcept nogil
# What has been queued so far is urgent (RFC 9293 3.8.5; RFC 6093 advises against).
cdef void tcp_urgent(tcb *c, uint64_t now_ns) noexcept nogil
# For a sink without on_text: up to n octets of in-order text; 0: none waits.
cdef uint32_t tcp_recv(tcb *c, uint8_t *p, uint32_t n, uint64_t now_ns) noexcept nogil
cdef uint32_t tcp_recv_waiting(const tcb *c) noexcept nogil
# A sink that returned less than it could may ask to be called again.
cdef void tcp_want_text(tcb *c, uint32_t need) noexcept nogil

cdef int tcp_poll(void *ctx, netif *nif, uint64_t now_ns) noexcept nogil
cdef uint64_t tcp_deadline(void *ctx, netif *nif) noexcept nogil


cdef inline bint tcb_alive(const tcb *c, uint32_t generation) noexcept nogil:
    """False once the slot's connection has been CLOSED, or belongs to another one."""
    return c.generation == generation and c.state != 0
