# The gateway's side of strategies in processes of their own: a Strategy of the engine that publishes what it is told and
# takes orders from their channels.
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from fix.message cimport fix_msg
from fix.session cimport fix_session
from ipc.broadcast cimport Publisher
from ipc.broadcast_ring cimport broadcast_ring
from ipc.ring cimport ring
from gateway.open_orders cimport open_order, order_table
from gateway.order_file cimport OrderFile
from gateway.outside cimport message_request, notice, request
from gateway.slab cimport engine, slot
from gateway.strategy cimport Strategy

cdef enum:
    DESK_BURST = 16             # requests of one strategy a step
    DESK_CANCELS = 16           # cancels for a dead one a step
    DESK_TYPES = 32             # of messages that one strategy may send
    DESK_LOOKED_AT = 256        # its places of orders looked at for them a step
    DESK_VERDICTS = 32          # order_verdict and outside_verdict end below

cdef struct outside_stats:
    uint64_t taken              # requests taken from the channel; = hellos + sent + refused
    uint64_t hellos
    uint64_t sent
    uint64_t refused
    uint64_t waits              # steps in which requests waited because the inbox had no room for their verdict
    uint64_t lost               # notices that found the inbox full; the strategy is told
    uint64_t deaths             # incarnations that ended, however
    uint64_t cancels            # sent for those that died
    uint64_t damaged            # times a counter or a length in its channels could not be

cdef struct outside:            # one strategy
    ring *orders
    ring *inbox
    void *orders_segment        # ipc.segment.Segment, borrowed
    void *inbox_segment
    uint32_t index
    bint cancel_on_death
    bint on                     # an incarnation has said HELLO and not been missed since
    bint damaged
    bint cancelling
    bint cancel_again           # some could not be sent: their session was down
    uint32_t cursor             # of the running pass over its orders
    uint32_t max_orders_per_second
    uint32_t orders_this_second
    uint64_t second_ns
    uint32_t n_types
    uint64_t types[DESK_TYPES]  # of messages it may send beside orders, as fix_msg.MsgType
    uint64_t cancel_before      # serial: orders of dead incarnations
    uint64_t stale_until        # requests with smaller numbers are refused
    uint64_t pending_lost
    outside_stats stats
    uint64_t verdicts[DESK_VERDICTS]

cdef class Desk(Strategy):
    cdef readonly Strategy inner        # a strategy inside the gateway that is told the same, or None
    cdef readonly str desk
    cdef readonly dict strategies       # name -> (Reader of its orders, Writer of its inbox)
    cdef object directory
    cdef list configured
    cdef uint32_t capacity              # notices the broadcast keeps
    cdef Publisher events
    cdef Publisher directory_of_sessions
    cdef broadcast_ring *b
    cdef order_table orders
    cdef OrderFile kept                 # where `orders` lie if a session has a journal, else None
    cdef uint64_t *pending              # of it: serial + 1 of the order on its way; else &unkept
    cdef uint64_t unkept
    cdef outside *all
    cdef uint32_t count
    cdef uint32_t max_len               # octets of a notice with what follows
    cdef uint32_t longest               # of all requests
    cdef uint8_t *copied                # the request in hand, private
    cdef uint64_t number
    cdef readonly uint64_t oversize     # messages larger than a notice takes
    cdef uint32_t sessions              # of the engine when the desk was opened; later ones the seats cannot know
    cdef readonly uint64_t unlisted     # notices of such later sessions: not passed on
    cdef void publish(self, notice *h, const uint8_t *p, uint32_t n) noexcept nogil
    cdef void tell(self, outside *o, notice *h, const uint8_t *p, uint32_t n) noexcept nogil
    cdef void fill(self, notice *h, int kind, slot *g, uint32_t n, uint64_t now_ns) noexcept nogil
    cdef void passed_on(self, int kind, fix_session *s, fix_msg *m, int owner, uint64_t now_ns) noexcept nogil
    cdef bint hears(self) noexcept nogil
    cdef int poll(self, uint64_t now_ns) noexcept nogil
    cdef int take(self, outside *o, uint64_t now_ns) noexcept nogil
    cdef void welcome(self, outside *o, uint64_t now_ns) noexcept nogil
    cdef int judge(self, outside *o, const request *r, uint32_t n, uint64_t token, uint64_t now_ns) noexcept nogil
    cdef int send(self, outside *o, const request *r, uint64_t now_ns) noexcept nogil
    cdef int send_message(self, outside *o, const message_request *m, uint64_t now_ns) noexcept nogil
    cdef int make_room(self, open_order *kept) except -1
    cdef bint recorded(self, const open_order *x) noexcept
    cdef void forsaken(self, outside *o) noexcept nogil
    cdef void ended(self, outside *o, uint64_t stale_until) noexcept nogil
    cdef void spoilt(self, outside *o) noexcept nogil
    cdef int cancel_some(self, outside *o, uint64_t now_ns) noexcept nogil
    cdef void look_after(self, outside *o, uint64_t now_ns) noexcept nogil
