# What a strategy may cimport: the base class, the order, and the three functions that send one.
#
#     cdef class Mine(Strategy):
#         cdef void on_message(self, fix_session *s, fix_msg *m, uint64_t now_ns) noexcept nogil:
#             cdef order o
#             order_init(&o)
#             o.Symbol = b"ABC"
#             o.Side = b'1'
#             o.OrderQty = 100
#             o.Price_e8 = 10150000000        # 101.5
#             order_new(s, &o, now_ns)
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memset

from fix.message cimport fix_msg
from fix.session cimport fix_session

from gateway.slab cimport engine, slot, strategy_slot

cdef enum order_verdict:
    SENT = 0                # a MsgSeqNum was used and TCP has the octets
    NOT_LOGGED_ON = 1
    WOULD_BLOCK = 2         # no room in the send ring or the store; no number was used
    TOO_LONG = 3            # larger than the largest message we send
    BAD_ORDER = 4           # no Symbol, no Side, OrderQty not positive, no Price of a limit order, SOH in a text
    RISK_QTY = 5
    RISK_NOTIONAL = 6
    RISK_RATE = 7
    RISK_KILLED = 8
    REFUSED = 9             # the session's own reason: throttled, numbers used up, a message begun and not ended

# Texts are the caller's memory, read before the call returns. Length 0 with a pointer: NUL-terminated.
cdef struct order:
    uint64_t ClOrdID        # written in decimal; 0: the engine makes one and writes it here
    uint64_t OrigClOrdID    # replace and cancel
    const char *Symbol
    const char *Account     # NULL: left out, as every text
    const char *ClOrdID_text        # instead of the number
    const char *OrigClOrdID_text
    uint32_t Symbol_n
    uint32_t Account_n
    uint32_t ClOrdID_n
    uint32_t OrigClOrdID_n
    int64_t OrderQty
    int64_t Price_e8        # with OrdType 2 (limit) and 4 (stop limit)
    char Side               # '1' buy, '2' sell ...
    char OrdType            # '1' market, '2' limit ...
    char TimeInForce        # '0' day ...; 0: left out
    char HandlInst          # '1' automated, no intervention; 0: left out

cdef inline void order_init(order *o) noexcept nogil:
    """A limit order for the day, everything else empty."""
    memset(o, 0, sizeof(order))
    o.OrdType = b'2'
    o.TimeInForce = b'0'
    o.HandlInst = b'1'

# -> order_verdict. Inside a callback or between steps, in the engine's thread. The GIL is neither needed nor given up.
cdef int order_new(fix_session *s, order *o, uint64_t now_ns) noexcept nogil
cdef int order_replace(fix_session *s, order *o, uint64_t now_ns) noexcept nogil
cdef int order_cancel(fix_session *s, order *o, uint64_t now_ns) noexcept nogil
# What session_begin or session_end gave as refusal -> order_verdict.
cdef int order_refused(slot *g, uint32_t refusal) noexcept nogil

# The upcalls of a session (fix_app); ctx is its slot.
cdef void slot_on_message(void *ctx, fix_session *s, fix_msg *m, uint64_t now_ns) noexcept nogil
cdef void slot_on_event(void *ctx, fix_session *s, int event, uint64_t now_ns) noexcept nogil
cdef void strategy_due(strategy_slot *t, uint64_t now_ns) noexcept nogil

cdef class Strategy:
    cdef strategy_slot *slot        # NULL until an engine takes it
    cdef readonly str name
    cdef readonly bint enabled
    cdef readonly uint64_t messages, errors
    cdef readonly object engine
    cdef public object on_call      # anything callable, for call_python
    cdef bint wants_call
    # callbacks, in the order of a session's life
    cdef void on_start(self, uint64_t now_ns) noexcept nogil        # before the first step
    cdef void on_logon(self, fix_session *s, uint64_t now_ns) noexcept nogil
    cdef void on_message(self, fix_session *s, fix_msg *m, uint64_t now_ns) noexcept nogil
    cdef void on_reject(self, fix_session *s, fix_msg *m, uint64_t now_ns) noexcept nogil   # Reject(3), (j) about ours
    cdef void on_timer(self, uint64_t now_ns) noexcept nogil
    cdef void on_logout(self, fix_session *s, uint64_t now_ns) noexcept nogil       # or the connection was lost
    cdef void on_stop(self, uint64_t now_ns) noexcept nogil         # every session is down
    # in a process of its own (gateway/seat) only
    cdef void on_verdict(self, fix_session *s, uint64_t token, int verdict, uint64_t now_ns) noexcept nogil
    cdef void on_lost(self, uint64_t count, uint64_t now_ns) noexcept nogil     # events it was too slow for
    # what a strategy may ask of its engine
    cdef void set_timer(self, uint64_t at_ns) noexcept nogil        # one a strategy; all ones: none
    cdef void stop(self) noexcept nogil                             # begin the gateway's shutdown
    cdef void call_python(self) noexcept nogil                      # have on_call() called between two steps
    # the engine's
    cdef void count_message(self) noexcept nogil
    cdef list take_errors(self)
