# The demo's market: who fills every order, and who trades with it.
from libc.stdint cimport int64_t, uint16_t, uint64_t

from fix.message cimport fix_msg
from fix.session cimport fix_session

from gateway.strategy cimport Strategy, order

cdef class SimulatedExchange(Strategy):
    cdef readonly uint64_t orders       # NewOrderSingles received, each filled
    cdef readonly uint64_t cancels      # OrderCancelRequests received, each too late
    cdef readonly uint64_t refused      # fills that could not be sent
    cdef readonly uint64_t not_distinct # ClOrdIDs that came before
    cdef readonly uint64_t not_alone    # orders that shared a frame with the one before
    cdef readonly uint64_t malformed
    cdef uint64_t last_ClOrdID, last_frame, exec_id
    cdef uint16_t hint[8]
    cdef void too_late(self, fix_session *s, fix_msg *m, uint64_t now_ns) noexcept nogil

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
