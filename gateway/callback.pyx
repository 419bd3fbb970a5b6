"""CallbackStrategy, and the functions a C or numba strategy calls back (struct fixwire_api of gateway/fixwire.h)."""
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from fix.message cimport fix_field, fix_find, fix_msg, fix_msgtype, fix_read_int, fix_read_price_e8
from fix.session cimport fix_session

from gateway.slab cimport ENGINE_STOP, flag_set, slot
from gateway.strategy cimport (
    Strategy, message_send, order, order_cancel, order_init, order_new, order_new_from, order_new_from_text,
    order_prepare, order_replace, order_template, order_token)

ctypedef void (*message_fn)(void *ctx, void *session, void *msg, uint64_t now_ns) noexcept nogil
ctypedef void (*session_fn)(void *ctx, void *session, uint64_t now_ns) noexcept nogil
ctypedef int (*resend_fn)(void *ctx, void *session, void *msg, uint64_t now_ns) noexcept nogil
ctypedef void (*timer_fn)(void *ctx, uint64_t now_ns) noexcept nogil
ctypedef void (*verdict_fn)(void *ctx, void *session, uint64_t token, int verdict, uint64_t now_ns) noexcept nogil
ctypedef void (*lost_fn)(void *ctx, uint64_t count, uint64_t now_ns) noexcept nogil


cdef class CallbackStrategy(Strategy):
    """See gateway/strategy.pyi."""

    def __init__(self, size_t on_message, *, size_t ctx=0, size_t on_logon=0, size_t on_logout=0, size_t on_reject=0,
                 size_t on_timer=0, size_t may_resend=0, size_t on_verdict=0, size_t on_lost=0, object keep=None):
        super().__init__()
        self.ctx = <void *>ctx
        self.message_fn = <void *>on_message
        self.logon_fn = <void *>on_logon
        self.logout_fn = <void *>on_logout
        self.reject_fn = <void *>on_reject
        self.timer_fn = <void *>on_timer
        self.may_resend_fn = <void *>may_resend
        self.verdict_fn = <void *>on_verdict
        self.lost_fn = <void *>on_lost
        self.keep = keep

    cdef void on_message(self, fix_session *s, fix_msg *m, uint64_t now_ns) noexcept nogil:
        if self.message_fn != NULL:
            (<message_fn>self.message_fn)(self.ctx, s, m, now_ns)

    cdef void on_reject(self, fix_session *s, fix_msg *m, uint64_t now_ns) noexcept nogil:
        if self.reject_fn != NULL:
            (<message_fn>self.reject_fn)(self.ctx, s, m, now_ns)

    cdef void on_logon(self, fix_session *s, uint64_t now_ns) noexcept nogil:
        if self.logon_fn != NULL:
            (<session_fn>self.logon_fn)(self.ctx, s, now_ns)

    cdef void on_logout(self, fix_session *s, uint64_t now_ns) noexcept nogil:
        if self.logout_fn != NULL:
            (<session_fn>self.logout_fn)(self.ctx, s, now_ns)

    cdef void on_timer(self, uint64_t now_ns) noexcept nogil:
        if self.timer_fn != NULL:
            (<timer_fn>self.timer_fn)(self.ctx, now_ns)

    cdef bint may_resend(self, fix_session *s, fix_msg *m, uint64_t now_ns) noexcept nogil:
        return self.may_resend_fn == NULL or (<resend_fn>self.may_resend_fn)(self.ctx, s, m, now_ns) != 0

    cdef void on_verdict(self, fix_session *s, uint64_t token, int verdict, uint64_t now_ns) noexcept nogil:
        if self.verdict_fn != NULL:
            (<verdict_fn>self.verdict_fn)(self.ctx, s, token, verdict, now_ns)

    cdef void on_lost(self, uint64_t count, uint64_t now_ns) noexcept nogil:
        if self.lost_fn != NULL:
            (<lost_fn>self.lost_fn)(self.ctx, count, now_ns)


# -- what they may call

cdef extern from "fixwire.h":
    ctypedef struct fixwire_order:
        pass
    ctypedef struct fixwire_template:
        pass
    ctypedef struct fixwire_api:
        uint32_t version
        uint32_t order_size
        int (*order_new)(void *session, fixwire_order *o, uint64_t now_ns) noexcept nogil
        int (*order_replace)(void *session, fixwire_order *o, uint64_t now_ns) noexcept nogil
        int (*order_cancel)(void *session, fixwire_order *o, uint64_t now_ns) noexcept nogil
        int (*limit_order)(void *session, const char *symbol, uint32_t symbol_n, int side, int64_t qty, int64_t price_e8,
                           uint64_t ClOrdID, uint64_t now_ns) noexcept nogil
        uint64_t (*msg_type)(const void *msg) noexcept nogil
        int (*msg_int)(const void *msg, uint32_t tag, int64_t *value) noexcept nogil
        int (*msg_price_e8)(const void *msg, uint32_t tag, int64_t *value) noexcept nogil
        const char *(*msg_text)(const void *msg, uint32_t tag, uint32_t *n) noexcept nogil
        void (*stop)(void *session) noexcept nogil
        uint64_t (*last_token)(const void *session) noexcept nogil
        int (*order_prepare)(fixwire_template *t, const fixwire_order *o) noexcept nogil
        int (*order_new_from)(void *session, fixwire_template *t, uint64_t ClOrdID, int64_t qty, int64_t price_e8,
                              uint64_t now_ns) noexcept nogil
        int (*order_new_from_text)(void *session, fixwire_template *t, const char *ClOrdID, uint32_t n, int64_t qty,
                                   int64_t price_e8, uint64_t now_ns) noexcept nogil
        int (*message_send)(void *session, const char *msg_type, const char *body, uint32_t n, uint64_t now_ns) noexcept nogil


cdef int api_order_new(void *session, fixwire_order *o, uint64_t now_ns) noexcept nogil:
    return order_new(<fix_session *>session, <order *>o, now_ns)


cdef int api_order_replace(void *session, fixwire_order *o, uint64_t now_ns) noexcept nogil:
    return order_replace(<fix_session *>session, <order *>o, now_ns)


cdef int api_order_cancel(void *session, fixwire_order *o, uint64_t now_ns) noexcept nogil:
    return order_cancel(<fix_session *>session, <order *>o, now_ns)


cdef int api_limit_order(void *session, const char *symbol, uint32_t symbol_n, int side, int64_t qty, int64_t price_e8,
                         uint64_t ClOrdID, uint64_t now_ns) noexcept nogil:
    cdef order o
    order_init(&o)
    o.Symbol = symbol
    o.Symbol_n = symbol_n
    o.Side = <char>side
    o.OrderQty = qty
    o.Price_e8 = price_e8
    o.ClOrdID = ClOrdID
    return order_new(<fix_session *>session, &o, now_ns)


cdef int api_order_prepare(fixwire_template *t, const fixwire_order *o) noexcept nogil:
    return order_prepare(<order_template *>t, <const order *>o)


cdef int api_order_new_from(void *session, fixwire_template *t, uint64_t ClOrdID, int64_t qty, int64_t price_e8,
                            uint64_t now_ns) noexcept nogil:
    return order_new_from(<fix_session *>session, <order_template *>t, ClOrdID, qty, price_e8, now_ns)


cdef int api_order_new_from_text(void *session, fixwire_template *t, const char *ClOrdID, uint32_t n, int64_t qty,
                                 int64_t price_e8, uint64_t now_ns) noexcept nogil:
    return order_new_from_text(<fix_session *>session, <order_template *>t, ClOrdID, n, qty, price_e8, now_ns)


cdef uint64_t api_msg_type(const void *msg) noexcept nogil:
    return (<const fix_msg *>msg).MsgType


cdef int api_msg_int(const void *msg, uint32_t tag, int64_t *value) noexcept nogil:
    return fix_read_int(<const fix_msg *>msg, fix_find(<const fix_msg *>msg, tag), value)


cdef int api_msg_price_e8(const void *msg, uint32_t tag, int64_t *value) noexcept nogil:
    return fix_read_price_e8(<const fix_msg *>msg, fix_find(<const fix_msg *>msg, tag), value)


cdef const char *api_msg_text(const void *msg, uint32_t tag, uint32_t *n) noexcept nogil:
    cdef const fix_field *f = fix_find(<const fix_msg *>msg, tag)
    if f == NULL:
        n[0] = 0
        return NULL
    n[0] = f.len
    return <const char *>(<const fix_msg *>msg).p + f.off


cdef void api_stop(void *session) noexcept nogil:
    flag_set((<slot *>(<fix_session *>session).user).e, ENGINE_STOP)


cdef uint64_t api_last_token(const void *session) noexcept nogil:
    return order_token(<const fix_session *>session)


cdef int api_message_send(void *session, const char *msg_type, const char *body, uint32_t n, uint64_t now_ns) noexcept nogil:
    return message_send(<fix_session *>session, fix_msgtype(msg_type), <const uint8_t *>body, n, now_ns)


cdef fixwire_api table
table.version = 3
table.order_size = sizeof(order)
table.order_new = api_order_new
table.order_replace = api_order_replace
table.order_cancel = api_order_cancel
table.limit_order = api_limit_order
table.msg_type = api_msg_type
table.msg_int = api_msg_int
table.msg_price_e8 = api_msg_price_e8
table.msg_text = api_msg_text
table.stop = api_stop
table.last_token = api_last_token
table.order_prepare = api_order_prepare
table.order_new_from = api_order_new_from
table.order_new_from_text = api_order_new_from_text
table.message_send = api_message_send
assert sizeof(order) == sizeof(fixwire_order), "gateway/fixwire.h and gateway/strategy.pxd disagree about an order"
assert sizeof(order_template) <= sizeof(fixwire_template), "an order_template is larger than gateway/fixwire.h says"


def api_address():
    return <size_t>&table


def api():
    import ctypes as c
    session, msg, text, out = c.c_void_p, c.c_void_p, c.c_void_p, c.c_void_p
    return {
        "limit_order": c.CFUNCTYPE(c.c_int, session, text, c.c_uint32, c.c_int, c.c_int64, c.c_int64, c.c_uint64,
                                   c.c_uint64)(<size_t>table.limit_order),
        "order_new_from": c.CFUNCTYPE(c.c_int, session, c.c_void_p, c.c_uint64, c.c_int64, c.c_int64, c.c_uint64)(
            <size_t>table.order_new_from),
        "msg_type": c.CFUNCTYPE(c.c_uint64, msg)(<size_t>table.msg_type),
        "msg_int": c.CFUNCTYPE(c.c_int, msg, c.c_uint32, out)(<size_t>table.msg_int),
        "msg_price_e8": c.CFUNCTYPE(c.c_int, msg, c.c_uint32, out)(<size_t>table.msg_price_e8),
        "msg_text": c.CFUNCTYPE(c.c_void_p, msg, c.c_uint32, out)(<size_t>table.msg_text),
        "stop": c.CFUNCTYPE(None, session)(<size_t>table.stop),
        "last_token": c.CFUNCTYPE(c.c_uint64, session)(<size_t>table.last_token),
        "message_send": c.CFUNCTYPE(c.c_int, session, text, text, c.c_uint32, c.c_uint64)(<size_t>table.message_send),
    }
