# A strategy in a process of its own: the engine it believes to run in.
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from gateway.outside cimport notice
from gateway.slab cimport engine, slot, strategy_slot
from gateway.strategy cimport Strategy
from ipc.broadcast cimport Subscriber
from ipc.channel cimport Reader, Writer
from ipc.ring cimport ring

cdef class Seat:
    cdef engine *e                      # sessions, timers and flags only: no device, no loop
    cdef strategy_slot at
    cdef void *wakes
    cdef readonly str name              # DESK.STRATEGY
    cdef readonly Strategy strategy
    cdef readonly list sessions
    cdef Writer orders
    cdef Reader inbox
    cdef Subscriber events
    cdef ring *out                      # of orders
    cdef ring *into                     # of inbox
    cdef uint8_t *broadcast             # a notice read from the broadcast, delivered when it is its turn
    cdef uint8_t *private               # a notice of the inbox, copied
    cdef bint pending                   # `broadcast` holds one
    cdef bint stopped                   # the gateway has said STOP
    cdef bint broken                    # something the gateway writes cannot be
    cdef bint started
    cdef bint inside                    # a call that may call back is under way
    cdef int idle
    cdef uint32_t index
    cdef uint64_t next_ClOrdID
    cdef readonly uint64_t number       # of the notice delivered last, of all notices of the gateway
    cdef readonly uint64_t delivered
    cdef readonly uint64_t lost         # notices that came faster than they were read, broadcast and inbox
    cdef bint next_broadcast(self) noexcept nogil
    cdef int turn(self, uint64_t now_ns) noexcept nogil
    cdef void deliver(self, const uint8_t *record, uint32_t n) noexcept nogil
    cdef void logged(self, uint32_t session, bint on, uint64_t now_ns) noexcept nogil
    cdef int send(self, slot *g, void *given, uint64_t MsgType, uint64_t now_ns) noexcept nogil
    cdef int send_message(self, slot *g, uint64_t MsgType, const uint8_t *body, uint32_t n) noexcept nogil
    cdef int loop(self, uint64_t until_ns) noexcept nogil
    cdef int open_for(self, str call) except -1
    cdef object attend(self)
    cdef void release(self) noexcept
