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
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from fix.message cimport fix_msg
from fix.session cimport fix_session

from gateway.order cimport (
    BAD_ORDER, NOT_LOGGED_ON, REFUSED, RISK_KILLED, RISK_NOTIONAL, RISK_OPEN, RISK_PRICE, RISK_QTY, RISK_RATE, SENT, TOO_LONG,
    TEMPLATE_TEXT, WOULD_BLOCK, order, order_init, order_template, order_verdict)
from gateway.outside cimport (
    DUPLICATE, MALFORMED, NOT_ALLOWED, NOT_YOURS, NO_SESSION, STALE, TOO_MANY_OPEN, outside_verdict)
from gateway.slab cimport engine, slot, strategy_slot

# -> order_verdict. Inside a callback or between steps, in the engine's thread. The GIL is neither needed nor given up.
cdef int order_new(fix_session *s, order *o, uint64_t now_ns) noexcept nogil
# A template of what `o` says but for ClOrdID, OrderQty and Price_e8, once and off the hot path -> SENT (it is made),
# BAD_ORDER, or TOO_LONG: Symbol or Account has more than 64 octets. Texts are copied.
cdef int order_prepare(order_template *t, const order *o) noexcept nogil
# order_new with these values and the rest from the template: the same octets, limits, counters and verdicts, in less time.
# A template that order_prepare did not make is a BAD_ORDER. ClOrdID 0: the engine makes one, t.o.ClOrdID says which.
cdef int order_new_from(fix_session *s, order_template *t, uint64_t ClOrdID, int64_t OrderQty, int64_t Price_e8,
                        uint64_t now_ns) noexcept nogil
cdef int order_new_from_text(fix_session *s, order_template *t, const char *ClOrdID, uint32_t n, int64_t OrderQty,
                             int64_t Price_e8, uint64_t now_ns) noexcept nogil
cdef int order_replace(fix_session *s, order *o, uint64_t now_ns) noexcept nogil
cdef int order_cancel(fix_session *s, order *o, uint64_t now_ns) noexcept nogil
# Any other application message -> order_verdict; `body` is tag=value<SOH> and so on, without header and trailer. NOT_ALLOWED:
# an order, which the functions above send, or a message of the session's own. BAD_ORDER: the body is no such text, or has a
# field of the session's, or raw data.
cdef int message_send(fix_session *s, uint64_t MsgType, const uint8_t *body, uint32_t n, uint64_t now_ns) noexcept nogil
# In a process of its own (gateway/seat): the number of the last order on its way to the gateway, for on_verdict. Else 0.
cdef inline uint64_t order_token(const fix_session *s) noexcept nogil:
    return (<slot *>s.user).token
# What session_begin or session_end gave as refusal -> order_verdict.
cdef int order_refused(slot *g, uint32_t refusal) noexcept nogil

# The upcalls of a session (fix_app); ctx is its slot.
cdef void slot_on_message(void *ctx, fix_session *s, fix_msg *m, uint64_t now_ns) noexcept nogil
cdef void slot_on_event(void *ctx, fix_session *s, int event, uint64_t now_ns) noexcept nogil
cdef bint slot_may_resend(void *ctx, fix_session *s, fix_msg *m) noexcept nogil
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
    # m, which we sent, is about to be sent again, marked PossDup; False: its number is filled instead (a stale order)
    cdef bint may_resend(self, fix_session *s, fix_msg *m, uint64_t now_ns) noexcept nogil
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
