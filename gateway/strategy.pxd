# What a strategy may cimport: the base class, the order and the three functions that send one.
#
#     cdef class Mine(Strategy):
#         cdef void on_message(self, fix_session *s, fix_msg *m, uint64_t now_ns) noexcept nogil:
#             cdef order o
#             order_init(&o)
#             o.Symbol = b"ABC"; o.Side = b'1'; o.OrderQty = 100; o.Price_e8 = 10150000000
#             order_new(s, &o, now_ns)
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memset
from fix.message cimport fix_msg
from fix.session cimport fix_session

from gateway.slab cimport engine, slot

cdef enum order_verdict:
    SENT = 0                # a MsgSeqNum was used and the octets are with TCP
    NOT_LOGGED_ON = 1
    WOULD_BLOCK = 2         # no room in the send ring, the window's queue or the store; nothing was used
    TOO_LONG = 3            # the message does not fit the largest we send
    BAD_ORDER = 4           # Symbol or Side is missing, OrderQty is not positive, no Price for a limit order
    RISK_QTY = 5
    RISK_NOTIONAL = 6
    RISK_RATE = 7
    RISK_KILLED = 8
    REFUSED = 9             # the session is going down, or the strategy is disabled

# Texts are pointers into the caller's memory, read before the call returns. _n 0 with a pointer: NUL-terminated.
cdef struct order:
    uint64_t ClOrdID        # written in decimal; 0: the engine makes one and writes it here
    uint64_t OrigClOrdID    # replace and cancel
    const char *ClOrdID_text        # instead of ClOrdID
    const char *OrigClOrdID_text
    const char *Symbol
    const char *Account     # NULL: left out
    uint32_t ClOrdID_n, OrigClOrdID_n, Symbol_n, Account_n
    int64_t OrderQty
    int64_t Price_e8        # with OrdType 2 (limit) and 4
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

# -> order_verdict. Inside a callback or between steps, in the engine's thread; the GIL is not needed and never given up.
cdef int order_new(fix_session *s, order *o, uint64_t now_ns) noexcept nogil
cdef int order_replace(fix_session *s, order *o, uint64_t now_ns) noexcept nogil
cdef int order_cancel(fix_session *s, order *o, uint64_t now_ns) noexcept nogil

cdef class Strategy:
    cdef engine *e          # set when the engine takes it; NULL before
    cdef uint32_t id
    cdef readonly str name
    cdef public bint enabled
    cdef readonly uint64_t messages, orders, errors
    cdef void on_start(self) noexcept nogil                 # before the first step
    cdef void on_message(self, fix_session *s, fix_msg *m, uint64_t now_ns) noexcept nogil
    cdef void on_logon(self, fix_session *s, uint64_t now_ns) noexcept nogil
    cdef void on_logout(self, fix_session *s, uint64_t now_ns) noexcept nogil   # or the connection was lost
    cdef void on_reject(self, fix_session *s, fix_msg *m, uint64_t now_ns) noexcept nogil  # Reject(3), (j) of ours
    cdef void on_timer(self, uint64_t now_ns) noexcept nogil
    cdef void on_stop(self) noexcept nogil                  # after the last step
    cdef void set_timer(self, uint64_t at_ns) noexcept nogil        # one timer a strategy; all ones: none
    cdef void stop(self) noexcept nogil                     # begin the gateway's shutdown
