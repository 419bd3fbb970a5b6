# Orders of outside strategies by ClOrdID: whose they are, and what a cancel of them must say. Preallocated, a pool a
# strategy, so that none can use up another's; an order that is done keeps its place until the place is needed, so that
# what still comes about it finds its owner.
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from fix.message cimport fix_msg
from gateway.outside cimport request

cdef enum open_order_state:
    ORDER_FREE = 0
    ORDER_OPEN = 1
    ORDER_DONE = 2

cdef struct open_order:
    uint64_t hash
    uint64_t serial             # in the order in which they were sent, over all strategies
    uint64_t MsgSeqNum          # it left under
    int64_t OrderQty
    uint32_t next               # in the chain of its bucket, index + 1
    uint32_t link               # in its pool's list of free or of done ones, index + 1
    uint32_t session
    uint16_t owner              # index of the strategy
    uint8_t state               # open_order_state
    uint8_t cancel_sent         # by the gateway, for a strategy that died
    uint8_t ClOrdID_n
    uint8_t Symbol_n
    char Side
    char ClOrdID[32]
    char Symbol[32]

cdef struct order_pool:
    uint32_t first              # its entries: first .. first + size - 1
    uint32_t size
    uint32_t free               # lists through open_order.link, index + 1
    uint32_t done_first
    uint32_t done_last
    uint32_t open               # orders open now

cdef struct order_table:
    open_order *entries
    bint kept                   # entries are somebody else's memory
    uint32_t *buckets           # index + 1
    uint32_t mask
    uint32_t n_pools
    order_pool *pools
    uint64_t serial             # the next one's

# `sizes` holds the entries of each of the `n` pools. `kept`: memory for all of them that outlives the process, NULL: none;
# orders that it says are open, are, and those that are done find their owner. False: no memory.
cdef bint order_table_init(order_table *t, const uint32_t *sizes, uint32_t n, open_order *kept) noexcept nogil
cdef void order_table_free(order_table *t) noexcept nogil
# The order with that ClOrdID, done ones included, or NULL.
cdef open_order *order_find(order_table *t, const char *ClOrdID, uint32_t n) noexcept nogil
# A place for the order of `r`, state OPEN; NULL: every place of the pool holds an open order.
cdef open_order *order_add(order_table *t, uint32_t pool, const request *r, uint64_t MsgSeqNum) noexcept nogil
cdef bint order_room(order_table *t, uint32_t pool) noexcept nogil
# As if the order had never been added.
cdef void order_withdraw(order_table *t, open_order *o) noexcept nogil
# The open order with that serial, or NULL; every place is looked at.
cdef open_order *order_of_serial(order_table *t, uint64_t serial) noexcept nogil
cdef void order_done(order_table *t, open_order *o) noexcept nogil
# The order an ExecutionReport(8) or OrderCancelReject(9) is about, its state brought up to date; NULL: none of ours.
cdef open_order *order_report(order_table *t, const fix_msg *m) noexcept nogil
# The order a Reject(3) or BusinessMessageReject(j) is about, which is then done; NULL: none of ours.
cdef open_order *order_rejected(order_table *t, uint32_t session, const fix_msg *m) noexcept nogil
