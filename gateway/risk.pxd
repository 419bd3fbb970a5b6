# Risk checks: what an order must pass before a number is used. Limits are gateway.slab.risk_limits, one a session.
from libc.stdint cimport int64_t, uint32_t, uint64_t

from fix.message cimport fix_msg
from fix.session cimport fix_session

from gateway.open_orders cimport open_order
from gateway.order cimport order
from gateway.slab cimport risk_limits, slot

# -> order_verdict. Nothing is counted as sent yet. MsgType as in fix_msg.MsgType: new or replace.
cdef int risk_check(slot *g, const order *o, uint64_t MsgType, uint64_t now_ns) noexcept nogil
# a new or replacing order has left under MsgSeqNum `seq`: it is open, until a report says that it is done
cdef void risk_sent(slot *g, const order *o, uint64_t seq) noexcept nogil
# an ExecutionReport(8) or OrderCancelReject(9): what is done is open no more; LastPx(31) becomes the reference of its Symbol
cdef void risk_report(slot *g, const fix_msg *m) noexcept nogil
# a Reject(3) or BusinessMessageReject(j) about a message of ours
cdef void risk_rejected(slot *g, const fix_msg *m) noexcept nogil
# what left under MsgSeqNum `seq` is open no more
cdef void risk_gone(slot *g, uint64_t seq) noexcept nogil
# The reference price of a symbol, for the band; for strategies, in the engine's thread. False: the session has no band,
# the price is not above 0, or as many symbols as it has room for have a price.
cdef bint risk_reference(fix_session *s, const char *Symbol, uint32_t n, int64_t price_e8) noexcept nogil
# memory for the references of `symbols` symbols; False: none, or not 1 to 1,048,576 of them
cdef bint risk_prices(risk_limits *r, uint32_t symbols) noexcept nogil
# memory for `most` open orders, and as many replacements of them; `kept` as in order_table_init. False: none
cdef bint risk_orders(risk_limits *r, uint32_t most, open_order *kept) noexcept nogil
# `m`, a message of ours numbered `seq`, had left, or may have, when the process before this one ended
cdef void risk_recover(slot *g, const fix_msg *m, uint64_t seq) noexcept nogil
cdef uint32_t risk_open(const risk_limits *r) noexcept nogil
cdef void risk_free(risk_limits *r) noexcept nogil
