# The demo's market: who fills orders or lets them rest, and who trades with it.
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from fix.message cimport fix_field, fix_msg
from fix.session cimport fix_session

from gateway.strategy cimport Strategy, order

cdef struct resting_order:
    uint64_t ClOrdID            # 0: a free place
    uint64_t OrderID
    int64_t OrderQty
    int64_t Price_e8
    char Side
    uint8_t Symbol_n
    char Symbol[32]

cdef struct done_order:
    uint64_t ClOrdID
    char OrdStatus

cdef struct exchange_book:
    resting_order orders[8192]  # by ClOrdID, open addressing; at most half of the places are used
    done_order done[4096]       # by ClOrdID, the later one stays
    uint32_t resting

cdef class SimulatedExchange(Strategy):
    cdef readonly uint64_t orders       # NewOrderSingles received = filled + rested + rejected + refused
    cdef readonly uint64_t filled
    cdef readonly uint64_t rested
    cdef readonly uint64_t rejected     # that would have rested in a full book
    cdef readonly uint64_t cancels      # OrderCancelRequests received = canceled + too_late + unknown + refused
    cdef readonly uint64_t canceled
    cdef readonly uint64_t too_late     # of orders that were filled or canceled before
    cdef readonly uint64_t unknown      # of orders that never came, or were done long ago
    cdef readonly uint64_t refused      # reports that could not be sent
    cdef readonly uint64_t not_distinct # ClOrdIDs that came before
    cdef readonly uint64_t not_alone    # orders that shared a frame with the one before
    cdef readonly uint64_t malformed
    cdef uint64_t last_ClOrdID, last_frame, exec_id
    cdef int64_t bid_e8, ask_e8
    cdef exchange_book *book            # NULL: every order is filled
    cdef uint16_t hint[8]
    cdef void rest(self, fix_session *s, fix_msg *m, resting_order *o, const fix_field *symbol, uint64_t now_ns) noexcept nogil
    cdef void cancel(self, fix_session *s, fix_msg *m, uint64_t now_ns) noexcept nogil
    cdef bint report(self, fix_session *s, const resting_order *o, char status, fix_msg *request, uint64_t now_ns) noexcept nogil
    cdef bint not_cancelled(self, fix_session *s, fix_msg *m, char status, uint64_t now_ns) noexcept nogil

cdef class Trader(Strategy):
    cdef readonly uint64_t wanted       # orders to be sent
    cdef readonly uint64_t sent
    cdef readonly uint64_t executions   # fills that carry the ClOrdID of the order that is out
    cdef readonly uint64_t mismatched
    cdef readonly uint64_t refused
    cdef readonly uint64_t warm_up      # on_call is called after so many executions, and after the last
    cdef uint64_t out                   # ClOrdID of the order that is out, 0: none
    cdef int64_t position
    cdef uint16_t hint[8]
    cdef order o
    cdef void trade(self, fix_session *s, uint64_t now_ns) noexcept nogil
