"""Strategies and the orders they send.

A message comes up as slot_on_message -> Strategy.on_message; an order goes down as order_new -> session_begin,
fix_add_*, session_end, all before order_new returns.
FIX 4.4 volume 4: NewOrderSingle(D), OrderCancelReplaceRequest(G), OrderCancelRequest(F).
"""
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memchr, memcpy, strlen

from fix.encode cimport (
    fix_add_char, fix_add_decimal_e8, fix_add_int, fix_add_str, fix_add_uint, fix_add_utc, fix_cursor, fix_put_str,
    fix_writer)
from fix.message cimport fix_find, fix_msg, fix_read_uint
from fix.parse cimport fix_data_tag, fix_length_tag
from fix.session cimport (
    FIX_EV_DISCONNECT, FIX_EV_LOGON, FIX_EV_REJECTED, FIX_NOT_LOGGED_ON, FIX_STORE_FULL, FIX_TOO_LARGE,
    FIX_WIRE_REFUSED, FIX_WOULD_BLOCK, fix_session, session_begin, session_end)
from fix.template cimport (
    fix_fill_decimal_e8, fix_fill_int, fix_fill_piece, fix_fill_str, fix_fill_uint, fix_fill_utc, fix_template_begin,
    fix_template_end, fix_template_hole)
from stack.timer cimport timer_set
from stack.wire.trace cimport TRACE_STRATEGY, trace_mark

from gateway.risk cimport risk_check, risk_gone, risk_rejected, risk_report, risk_sent
from gateway.slab cimport (
    ENGINE_CALLS, ENGINE_STOP, engine_note, flag_set, slot, strategy_slot)
from gateway.trace cimport trace_record

VERDICTS = ("SENT", "NOT_LOGGED_ON", "WOULD_BLOCK", "TOO_LONG", "BAD_ORDER", "RISK_QTY", "RISK_NOTIONAL", "RISK_RATE",
            "RISK_KILLED", "REFUSED", "MALFORMED", "STALE", "DUPLICATE", "TOO_MANY_OPEN", "NOT_YOURS", "NO_SESSION",
            "RISK_PRICE", "RISK_OPEN", "NOT_ALLOWED")
globals().update({name: verdict for verdict, name in enumerate(VERDICTS)})

cdef enum:                      # MsgType as in fix_msg.MsgType
    MSG_EXECUTION = 0x38        # 8
    MSG_CANCEL_REJECT = 0x39    # 9
    MSG_NEW = 0x44              # D
    MSG_CANCEL = 0x46           # F
    MSG_REPLACE = 0x47          # G


# -- orders

cdef inline bint text_bad(const char *p, uint32_t *n) noexcept nogil:
    """Sets the length that was left to us; True: empty, or SOH would end the field early."""
    if p == NULL:
        return False
    if n[0] == 0:
        n[0] = <uint32_t>strlen(p)
    return n[0] == 0 or memchr(p, 1, n[0]) != NULL


cdef inline void add_id(fix_cursor *c, uint32_t tag, const char *text, uint32_t n, uint64_t number) noexcept nogil:
    if text != NULL:
        fix_add_str(c, tag, <const uint8_t *>text, n)
    else:
        fix_add_uint(c, tag, number)


cdef int order_refused(slot *g, uint32_t refusal) noexcept nogil:
    g.stats.refused += 1
    if refusal == FIX_NOT_LOGGED_ON:
        return NOT_LOGGED_ON
    if refusal == FIX_WOULD_BLOCK or refusal == FIX_STORE_FULL or refusal == FIX_WIRE_REFUSED:
        return WOULD_BLOCK
    if refusal == FIX_TOO_LARGE:
        return TOO_LONG
    return REFUSED


cdef inline bint priced(const order *o) noexcept nogil:
    """A limit or a stop limit order."""
    return o.OrdType == b'2' or o.OrdType == b'4'


cdef inline fix_writer *order_begin(fix_session *s, order *o, uint64_t MsgType, uint64_t now_ns, int *verdict) noexcept nogil:
    """Limits, header, ClOrdID; the caller puts the body. NULL: `verdict` says what became of the order."""
    cdef slot *g = <slot *>s.user
    cdef fix_writer *w
    if g.carry != NULL:                 # limits are the gateway's, in its process
        verdict[0] = g.carry(g, o, MsgType, now_ns)
        return NULL
    if MsgType != MSG_CANCEL:
        verdict[0] = risk_check(g, o, MsgType, now_ns)
        if verdict[0] != SENT:
            g.stats.refused += 1
            g.stats.refused_risk += 1
            return NULL
    w = session_begin(s, MsgType, now_ns)
    if w == NULL:
        verdict[0] = order_refused(g, s.refusal)
        return NULL
    if o.ClOrdID == 0 and o.ClOrdID_text == NULL:
        if g.e.next_ClOrdID == 0:       # microseconds of UTC: above everything an earlier run can have used
            g.e.next_ClOrdID = (now_ns + <uint64_t>g.e.utc_offset_ns) / 1000
        o.ClOrdID = g.e.next_ClOrdID
        g.e.next_ClOrdID += 1
    return w


cdef inline int order_end(fix_session *s, order *o, fix_writer *w, uint64_t MsgType, uint64_t now_ns) noexcept nogil:
    """Send it and account for it -> verdict."""
    cdef slot *g = <slot *>s.user
    if g.risk.order_pending != NULL and MsgType != MSG_CANCEL:
        g.risk.order_pending[0] = s.next_out        # should this be the last that the process does
    if not session_end(s, w, now_ns):
        if g.risk.order_pending != NULL:
            g.risk.order_pending[0] = 0
        return order_refused(g, s.refusal)
    g.ClOrdID = o.ClOrdID
    g.stats.orders += 1
    g.risk.orders_this_second += 1
    if g.risk.orders != NULL and MsgType != MSG_CANCEL:
        risk_sent(g, o, s.next_out - 1)
        if g.risk.order_pending != NULL:
            g.risk.order_pending[0] = 0
    if g.e.trace != NULL:
        trace_record(g.e.trace)
    return SENT


cdef inline int order_send(fix_session *s, order *o, uint64_t MsgType, uint64_t now_ns) noexcept nogil:
    """One of the three messages, which differ in a handful of fields."""
    cdef slot *g = <slot *>s.user
    cdef fix_writer *w
    cdef fix_cursor c
    cdef bint bad
    cdef int verdict = SENT
    trace_mark(s.trace, TRACE_STRATEGY)
    bad = (o.Symbol == NULL or o.Side == 0 or text_bad(o.Symbol, &o.Symbol_n) or text_bad(o.Account, &o.Account_n)
           or text_bad(o.ClOrdID_text, &o.ClOrdID_n) or text_bad(o.OrigClOrdID_text, &o.OrigClOrdID_n))
    if MsgType == MSG_CANCEL:
        bad = bad or (o.OrigClOrdID == 0 and o.OrigClOrdID_text == NULL) or o.OrderQty < 0
    else:
        bad = bad or o.OrderQty <= 0 or (priced(o) and o.Price_e8 == 0)
        bad = bad or (MsgType == MSG_REPLACE and o.OrigClOrdID == 0 and o.OrigClOrdID_text == NULL)
    if bad:
        g.stats.refused += 1
        return BAD_ORDER
    w = order_begin(s, o, MsgType, now_ns, &verdict)
    if w == NULL:
        return verdict
    c = w.at
    add_id(&c, 11, o.ClOrdID_text, o.ClOrdID_n, o.ClOrdID)
    if MsgType != MSG_NEW:
        add_id(&c, 41, o.OrigClOrdID_text, o.OrigClOrdID_n, o.OrigClOrdID)
    if o.Account != NULL:
        fix_add_str(&c, 1, <const uint8_t *>o.Account, o.Account_n)
    if MsgType != MSG_CANCEL and o.HandlInst:
        fix_add_char(&c, 21, o.HandlInst)
    fix_add_str(&c, 55, <const uint8_t *>o.Symbol, o.Symbol_n)
    fix_add_char(&c, 54, o.Side)
    fix_add_utc(&c, 60, now_ns + <uint64_t>g.e.utc_offset_ns, g.time_digits)
    if o.OrderQty:
        fix_add_int(&c, 38, o.OrderQty)
    if MsgType != MSG_CANCEL:
        fix_add_char(&c, 40, o.OrdType)
        if priced(o):
            fix_add_decimal_e8(&c, 44, o.Price_e8, 0)
        if o.TimeInForce:
            fix_add_char(&c, 59, o.TimeInForce)
    w.at = c
    return order_end(s, o, w, MsgType, now_ns)


cdef int order_new(fix_session *s, order *o, uint64_t now_ns) noexcept nogil:
    """Send a NewOrderSingle(D)."""
    return order_send(s, o, MSG_NEW, now_ns)


cdef int order_replace(fix_session *s, order *o, uint64_t now_ns) noexcept nogil:
    """Send an OrderCancelReplaceRequest(G): OrigClOrdID names the order, the rest is what it becomes."""
    return order_send(s, o, MSG_REPLACE, now_ns)


cdef int order_cancel(fix_session *s, order *o, uint64_t now_ns) noexcept nogil:
    """Send an OrderCancelRequest(F): OrigClOrdID, Symbol and Side name the order; OrderQty 0 is left out."""
    return order_send(s, o, MSG_CANCEL, now_ns)


# -- orders from a template: what order_send puts, in its order

cdef int order_prepare(order_template *t, const order *o) noexcept nogil:
    cdef fix_cursor c
    cdef order *k = &t.o
    t.o = o[0]
    t.body.whole = 0
    if k.Symbol == NULL or k.Side == 0 or text_bad(k.Symbol, &k.Symbol_n) or text_bad(k.Account, &k.Account_n):
        return BAD_ORDER
    if k.Account == NULL:
        k.Account_n = 0
    if k.Symbol_n > TEMPLATE_TEXT or k.Account_n > TEMPLATE_TEXT:
        return TOO_LONG
    memcpy(t.Symbol, k.Symbol, k.Symbol_n)
    if k.Account_n != 0:
        memcpy(t.Account, k.Account, k.Account_n)
    c = fix_template_begin(&t.body)
    fix_template_hole(&t.body, &c, 11)
    if k.Account_n != 0:
        fix_add_str(&c, 1, <const uint8_t *>t.Account, k.Account_n)
    if k.HandlInst:
        fix_add_char(&c, 21, k.HandlInst)
    fix_add_str(&c, 55, <const uint8_t *>t.Symbol, k.Symbol_n)
    fix_add_char(&c, 54, k.Side)
    fix_template_hole(&t.body, &c, 60)
    fix_template_hole(&t.body, &c, 38)
    fix_add_char(&c, 40, k.OrdType)
    if priced(k):
        fix_template_hole(&t.body, &c, 44)
    if k.TimeInForce:
        fix_add_char(&c, 59, k.TimeInForce)
    fix_template_end(&t.body, &c)       # both texts at their longest fit
    return SENT


cdef inline int template_send(fix_session *s, order_template *t, int64_t OrderQty, int64_t Price_e8,
                              uint64_t now_ns) noexcept nogil:
    """The ClOrdID is in t.o already."""
    cdef slot *g = <slot *>s.user
    cdef order *o = &t.o
    cdef fix_writer *w
    cdef fix_cursor c
    cdef int verdict = SENT
    trace_mark(s.trace, TRACE_STRATEGY)
    o.Symbol = t.Symbol                 # here: the template may have been copied
    o.Account = t.Account if o.Account_n != 0 else NULL
    o.OrderQty = OrderQty
    o.Price_e8 = Price_e8
    if not t.body.whole or text_bad(o.ClOrdID_text, &o.ClOrdID_n) or OrderQty <= 0 or (priced(o) and Price_e8 == 0):
        g.stats.refused += 1
        return BAD_ORDER
    w = order_begin(s, o, MSG_NEW, now_ns, &verdict)
    if w == NULL:
        return verdict
    c = w.at
    fix_fill_piece(&c, &t.body, 0)
    if o.ClOrdID_text != NULL:
        fix_fill_str(&c, <const uint8_t *>o.ClOrdID_text, o.ClOrdID_n)
    else:
        fix_fill_uint(&c, o.ClOrdID)
    fix_fill_piece(&c, &t.body, 1)
    fix_fill_utc(&c, now_ns + <uint64_t>g.e.utc_offset_ns, g.time_digits)
    fix_fill_piece(&c, &t.body, 2)
    fix_fill_int(&c, OrderQty)
    fix_fill_piece(&c, &t.body, 3)
    if priced(o):
        fix_fill_decimal_e8(&c, Price_e8, 0)
        fix_fill_piece(&c, &t.body, 4)
    w.at = c
    return order_end(s, o, w, MSG_NEW, now_ns)


cdef int order_new_from(fix_session *s, order_template *t, uint64_t ClOrdID, int64_t OrderQty, int64_t Price_e8,
                        uint64_t now_ns) noexcept nogil:
    t.o.ClOrdID = ClOrdID
    t.o.ClOrdID_text = NULL
    t.o.ClOrdID_n = 0
    return template_send(s, t, OrderQty, Price_e8, now_ns)


cdef int order_new_from_text(fix_session *s, order_template *t, const char *ClOrdID, uint32_t n, int64_t OrderQty,
                             int64_t Price_e8, uint64_t now_ns) noexcept nogil:
    """ClOrdID as order.ClOrdID_text: n 0 means NUL-terminated, NULL that the engine makes one."""
    t.o.ClOrdID = 0
    t.o.ClOrdID_text = ClOrdID
    t.o.ClOrdID_n = n
    return template_send(s, t, OrderQty, Price_e8, now_ns)


# -- other messages

cdef inline bint sessions_own(uint32_t tag) noexcept nogil:
    """Of header or trailer: the session writes it, or nobody."""
    return (tag == 8 or tag == 9 or tag == 10 or tag == 34 or tag == 35 or tag == 43 or tag == 49 or tag == 50 or tag == 52
            or tag == 56 or tag == 57 or tag == 97 or tag == 122 or tag == 142 or tag == 143)


cdef bint type_sound(uint64_t MsgType) noexcept nogil:
    """One to eight printable octets, and neither an order nor the session's own: 0 to 5, A."""
    cdef uint64_t rest = MsgType
    if MsgType == MSG_NEW or MsgType == MSG_CANCEL or MsgType == MSG_REPLACE or MsgType == 0x41 or 0x30 <= MsgType <= 0x35:
        return False
    while rest & 0xff > 0x20 and rest & 0xff < 0x7f:
        rest >>= 8
    return MsgType != 0 and rest == 0


cdef bint field_at(const uint8_t *body, uint32_t n, uint32_t *at, uint32_t *tag, uint32_t *value) noexcept nogil:
    """The field at `at`: its tag, where its value begins, and `at` behind its SOH; False: there is none that is whole."""
    cdef uint32_t i = at[0]
    tag[0] = 0
    while i < n and 48 <= body[i] <= 57 and tag[0] < 100_000_000:
        tag[0] = tag[0] * 10 + body[i] - 48
        i += 1
    if i == n or body[i] != 61 or body[at[0]] == 48 or tag[0] == 0:
        return False
    i += 1
    value[0] = i
    while i < n and body[i] >= 0x20 and body[i] != 0x7f:
        i += 1
    if i == n or body[i] != 1 or i == value[0]:
        return False
    at[0] = i + 1
    return True


cdef bint body_sound(const fix_session *s, const uint8_t *body, uint32_t n) noexcept nogil:
    """Nothing in it can be taken for anything else: a Length field could hide what follows from the peer."""
    cdef fix_msg pairs
    cdef uint32_t at = 0, tag = 0, value = 0
    pairs.data_table = s.data_table
    while at < n:
        if not field_at(body, n, &at, &tag, &value) or sessions_own(tag):
            return False
        if fix_data_tag(&pairs, tag) or fix_length_tag(&pairs, tag):
            return False
    return True


cdef int message_send(fix_session *s, uint64_t MsgType, const uint8_t *body, uint32_t n, uint64_t now_ns) noexcept nogil:
    cdef slot *g = <slot *>s.user
    cdef uint32_t at = 0, tag = 0, value = 0
    cdef fix_writer *w
    if not type_sound(MsgType):
        g.stats.refused += 1
        return NOT_ALLOWED
    if not body_sound(s, body, n):
        g.stats.refused += 1
        return BAD_ORDER
    if g.carry_message != NULL:
        return g.carry_message(g, MsgType, body, n)
    w = session_begin(s, MsgType, now_ns)
    if w == NULL:
        return order_refused(g, s.refusal)
    while at < n:
        field_at(body, n, &at, &tag, &value)
        fix_put_str(w, tag, body + value, at - 1 - value)
    return SENT if session_end(s, w, now_ns) else order_refused(g, s.refusal)


# -- what a session tells its strategy

cdef void slot_on_message(void *ctx, fix_session *s, fix_msg *m, uint64_t now_ns) noexcept nogil:
    cdef slot *g = <slot *>ctx
    if m.MsgType == MSG_EXECUTION or m.MsgType == MSG_CANCEL_REJECT:
        risk_report(g, m)
    if g.strategy == NULL or not (<Strategy>g.strategy).enabled:
        g.stats.undelivered += 1
        return
    g.stats.messages += 1
    (<Strategy>g.strategy).count_message()
    (<Strategy>g.strategy).on_message(s, m, now_ns)


cdef void slot_on_event(void *ctx, fix_session *s, int event, uint64_t now_ns) noexcept nogil:
    cdef slot *g = <slot *>ctx
    engine_note(g.e, g.id, event, s.reason)
    if event == FIX_EV_REJECTED and g.risk.orders != NULL:
        risk_rejected(g, s.in_msg)
    if event == FIX_EV_LOGON:
        g.backoff_ns = g.reconnect_ns
        g.on = g.answered = True
    if g.strategy == NULL or not (<Strategy>g.strategy).enabled:
        if event == FIX_EV_DISCONNECT:
            g.on = False
        return
    if event == FIX_EV_LOGON:
        (<Strategy>g.strategy).on_logon(s, now_ns)
    elif event == FIX_EV_DISCONNECT and g.on:
        g.on = False
        (<Strategy>g.strategy).on_logout(s, now_ns)
    elif event == FIX_EV_REJECTED:
        (<Strategy>g.strategy).on_reject(s, s.in_msg, now_ns)


cdef bint slot_may_resend(void *ctx, fix_session *s, fix_msg *m) noexcept nogil:
    """A disabled strategy is asked no more: its orders are not sent again, nobody would look after them."""
    cdef slot *g = <slot *>ctx
    cdef uint64_t seq = 0
    if g.strategy == NULL:
        return True
    if (<Strategy>g.strategy).enabled and (<Strategy>g.strategy).may_resend(s, m, g.e.now_ns):
        return True
    g.stats.not_resent += 1
    if g.risk.orders != NULL and fix_read_uint(m, fix_find(m, 34), &seq):
        risk_gone(g, seq)               # it never arrived, and will not
    return False


cdef void strategy_due(strategy_slot *t, uint64_t now_ns) noexcept nogil:
    if (<Strategy>t.strategy).enabled:
        (<Strategy>t.strategy).on_timer(now_ns)


cdef class Strategy:
    """See gateway/strategy.pyi and the .pxd."""

    def __init__(self):
        self.enabled = True
        self.name = type(self).__name__

    cdef void on_start(self, uint64_t now_ns) noexcept nogil:
        pass

    cdef void on_logon(self, fix_session *s, uint64_t now_ns) noexcept nogil:
        pass

    cdef void on_message(self, fix_session *s, fix_msg *m, uint64_t now_ns) noexcept nogil:
        pass

    cdef void on_reject(self, fix_session *s, fix_msg *m, uint64_t now_ns) noexcept nogil:
        pass

    cdef void on_timer(self, uint64_t now_ns) noexcept nogil:
        pass

    cdef void on_logout(self, fix_session *s, uint64_t now_ns) noexcept nogil:
        pass

    cdef void on_stop(self, uint64_t now_ns) noexcept nogil:
        pass

    cdef void on_verdict(self, fix_session *s, uint64_t token, int verdict, uint64_t now_ns) noexcept nogil:
        pass

    cdef void on_lost(self, uint64_t count, uint64_t now_ns) noexcept nogil:
        pass

    cdef bint may_resend(self, fix_session *s, fix_msg *m, uint64_t now_ns) noexcept nogil:
        return True

    cdef void set_timer(self, uint64_t at_ns) noexcept nogil:
        if self.slot != NULL:
            timer_set(&self.slot.e.due, &self.slot.wake, at_ns)

    cdef void stop(self) noexcept nogil:
        if self.slot != NULL:
            flag_set(self.slot.e, ENGINE_STOP)

    cdef void call_python(self) noexcept nogil:
        self.wants_call = True
        if self.slot != NULL:
            flag_set(self.slot.e, ENGINE_CALLS)

    cdef void count_message(self) noexcept nogil:
        self.messages += 1

    cdef list take_errors(self):
        """[(exception, where it was raised)] since the last call, oldest first."""
        return []
