"""Risk checks before an order leaves: kill switch, quantity, notional, rate, open orders, fixed prices, a band around a
reference price.

Each refusal has a verdict and a counter of its own. An order that says so in its Bypass field passes all of them but the
kill switch, where the session allows it, and is counted. A session with a band refuses an order in a symbol that has no
reference price yet: it comes from the configuration, the strategy, or the last trade. Orders without a price (market) are
not judged by price. Open orders lie beside the session's journal, where it has one, and survive the process with it.
"""
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdio cimport snprintf
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from fix.message cimport fix_field, fix_find, fix_msg, fix_read_price_e8, fix_read_uint
from fix.session cimport fix_session

from gateway.open_orders cimport (
    ORDER_OPEN, open_order, order_add, order_done, order_find, order_rejected, order_report, order_room, order_table,
    order_table_free, order_table_init)
from gateway.order cimport (
    RISK_KILLED, RISK_NOTIONAL, RISK_OPEN, RISK_PRICE, RISK_QTY, RISK_RATE, SENT, TOO_LONG, order)
from gateway.outside cimport OUTSIDE_TEXT, request
from gateway.slab cimport price_reference, risk_limits, slot

cdef enum:
    MSG_NEW = 0x44              # D, as in fix_msg.MsgType
    MSG_REPLACE = 0x47          # G

cdef extern from *:
    """
    /* floor(a * b / 1000000), or the largest int64 where that is larger */
    static inline int64_t fw_ppm(int64_t a, uint64_t b) {
        unsigned __int128 v = (unsigned __int128)(uint64_t)a * b / 1000000u;
        return v > (unsigned __int128)INT64_MAX ? INT64_MAX : (int64_t)v;
    }
    """
    int64_t ppm_of "fw_ppm"(int64_t a, uint64_t b) noexcept nogil


cdef inline uint64_t symbol_hash(const char *p, uint32_t n) noexcept nogil:
    """FNV-1a, never 0: that is a free place."""
    cdef uint64_t h = 0xcbf29ce484222325ULL
    cdef uint32_t i
    for i in range(n):
        h = (h ^ <uint8_t>p[i]) * 0x100000001b3ULL
    return h | 1


cdef inline price_reference *price_find(const risk_limits *r, uint64_t h) noexcept nogil:
    """The place of this symbol, or the free one where it belongs. A quarter of all places stays free."""
    cdef uint64_t i = (h >> 20) & r.prices_mask
    while r.prices[i].hash != 0 and r.prices[i].hash != h:
        i = (i + 1) & r.prices_mask
    return &r.prices[i]


cdef bint price_set(risk_limits *r, const char *Symbol, uint32_t n, int64_t price_e8) noexcept nogil:
    cdef price_reference *at
    cdef uint64_t h
    cdef int64_t width
    if r.prices == NULL or n == 0 or price_e8 <= 0:
        return False
    h = symbol_hash(Symbol, n)
    at = price_find(r, h)
    if at.hash == 0:
        if r.n_prices == r.max_prices:
            return False
        r.n_prices += 1
        at.hash = h
    width = ppm_of(price_e8, r.band_ppm)
    at.low_e8 = price_e8 - width
    at.high_e8 = price_e8 + width if width <= <int64_t>0x7FFFFFFFFFFFFFFF - price_e8 else <int64_t>0x7FFFFFFFFFFFFFFF
    return True


cdef bint price_is_good(const risk_limits *r, const order *o) noexcept nogil:
    cdef price_reference *at
    if o.OrdType != b'2' and o.OrdType != b'4':
        return True
    if o.Price_e8 < r.min_price_e8 or (r.max_price_e8 != 0 and o.Price_e8 > r.max_price_e8):
        return False
    if r.prices == NULL:
        return True
    at = price_find(r, symbol_hash(o.Symbol, o.Symbol_n))
    return at.hash != 0 and at.low_e8 <= o.Price_e8 <= at.high_e8


cdef inline uint64_t magnitude(int64_t price_e8) noexcept nogil:
    """Without its sign: the price of a spread may be below 0. That of the least int64 is 2**63."""
    return <uint64_t>price_e8 if price_e8 >= 0 else <uint64_t>0 - <uint64_t>price_e8


cdef int risk_check(slot *g, const order *o, uint64_t MsgType, uint64_t now_ns) noexcept nogil:
    cdef risk_limits *r = &g.risk
    if r.killed:
        g.stats.refused_killed += 1
        return RISK_KILLED
    if o.Bypass and r.bypass_allowed:
        g.stats.bypassed += 1
        return SENT
    if r.max_order_qty and o.OrderQty > r.max_order_qty:
        g.stats.refused_qty += 1
        return RISK_QTY
    if r.max_notional_e8 and o.Price_e8 != 0 and <uint64_t>o.OrderQty > <uint64_t>r.max_notional_e8 / magnitude(o.Price_e8):
        g.stats.refused_notional += 1
        return RISK_NOTIONAL
    if (r.prices != NULL or r.min_price_e8 or r.max_price_e8) and not price_is_good(r, o):
        g.stats.refused_price += 1
        return RISK_PRICE
    if r.orders != NULL:
        if o.ClOrdID_n > OUTSIDE_TEXT:
            return TOO_LONG
        if not order_room(<order_table *>r.orders, 0) or (MsgType == MSG_NEW and risk_open(r) >= r.max_open_orders):
            g.stats.refused_open += 1
            return RISK_OPEN
    if r.max_orders_per_second:
        if now_ns - r.second_ns >= 1_000_000_000:
            r.second_ns = now_ns
            r.orders_this_second = 0
        if r.orders_this_second >= r.max_orders_per_second:
            g.stats.refused_rate += 1
            return RISK_RATE
    return SENT


cdef void add_open(slot *g, request *r, uint64_t seq) noexcept nogil:
    cdef order_table *t = <order_table *>g.risk.orders
    cdef open_order *known = order_find(t, r.ClOrdID, r.ClOrdID_n)
    r.session = g.id
    if known == NULL or known.state != ORDER_OPEN:
        order_add(t, 0, r, seq)


cdef void risk_sent(slot *g, const order *o, uint64_t seq) noexcept nogil:
    cdef request r
    memset(&r, 0, sizeof(request))
    r.OrderQty = o.OrderQty
    r.Side = o.Side
    if o.ClOrdID_text != NULL:
        if o.ClOrdID_n > OUTSIDE_TEXT:
            return                              # only one that passed the limits by saying so
        r.ClOrdID_n = <uint8_t>o.ClOrdID_n
        memcpy(r.ClOrdID, o.ClOrdID_text, o.ClOrdID_n)
    else:
        r.ClOrdID_n = <uint8_t>snprintf(r.ClOrdID, OUTSIDE_TEXT, b"%llu", <unsigned long long>o.ClOrdID)
    r.Symbol_n = <uint8_t>(o.Symbol_n if o.Symbol_n < OUTSIDE_TEXT else <uint32_t>OUTSIDE_TEXT)
    memcpy(r.Symbol, o.Symbol, r.Symbol_n)
    add_open(g, &r, seq)


cdef void risk_report(slot *g, const fix_msg *m) noexcept nogil:
    cdef const fix_field *symbol
    cdef int64_t price = 0
    if g.risk.orders != NULL:
        order_report(<order_table *>g.risk.orders, m)
    if g.risk.prices == NULL or not g.risk.band_last:
        return
    symbol = fix_find(m, 55)
    if symbol != NULL and fix_read_price_e8(m, fix_find(m, 31), &price):
        price_set(&g.risk, <const char *>m.p + symbol.off, symbol.len, price)


cdef void risk_rejected(slot *g, const fix_msg *m) noexcept nogil:
    if m != NULL:
        order_rejected(<order_table *>g.risk.orders, g.id, m)


cdef void risk_gone(slot *g, uint64_t seq) noexcept nogil:
    cdef order_table *t = <order_table *>g.risk.orders
    cdef uint32_t i
    for i in range(t.pools[0].size):
        if t.entries[i].state == ORDER_OPEN and t.entries[i].MsgSeqNum == seq:
            order_done(t, &t.entries[i])


cdef void risk_recover(slot *g, const fix_msg *m, uint64_t seq) noexcept nogil:
    cdef const fix_field *ident = fix_find(m, 11)
    cdef const fix_field *symbol = fix_find(m, 55)
    cdef const fix_field *side = fix_find(m, 54)
    cdef uint64_t quantity = 0
    cdef request r
    memset(&r, 0, sizeof(request))
    if (m.MsgType != MSG_NEW and m.MsgType != MSG_REPLACE) or ident == NULL or symbol == NULL or side == NULL or \
            ident.len > OUTSIDE_TEXT or not fix_read_uint(m, fix_find(m, 38), &quantity):
        return
    r.ClOrdID_n = <uint8_t>ident.len
    memcpy(r.ClOrdID, m.p + ident.off, ident.len)
    r.Symbol_n = <uint8_t>min(symbol.len, <uint32_t>OUTSIDE_TEXT)
    memcpy(r.Symbol, m.p + symbol.off, r.Symbol_n)
    r.Side = <char>m.p[side.off]
    r.OrderQty = <int64_t>quantity
    add_open(g, &r, seq)


cdef bint risk_orders(risk_limits *r, uint32_t most, open_order *kept) noexcept nogil:
    cdef order_table *t
    cdef uint32_t size = 2 * most
    if most == 0 or most > 1 << 20:
        return False
    t = <order_table *>calloc(1, sizeof(order_table))
    if t == NULL or not order_table_init(t, &size, 1, kept):
        free(t)
        return False
    r.max_open_orders = most
    r.orders = t
    return True


cdef uint32_t risk_open(const risk_limits *r) noexcept nogil:
    return (<order_table *>r.orders).pools[0].open if r.orders != NULL else 0


cdef bint risk_reference(fix_session *s, const char *Symbol, uint32_t n, int64_t price_e8) noexcept nogil:
    return price_set(&(<slot *>s.user).risk, Symbol, n, price_e8)


cdef bint risk_prices(risk_limits *r, uint32_t symbols) noexcept nogil:
    cdef uint64_t places = 4
    if symbols == 0 or symbols > 1 << 20:
        return False
    while places < <uint64_t>symbols + symbols // 3 + 1:
        places <<= 1
    r.prices = <price_reference *>calloc(places, sizeof(price_reference))
    r.prices_mask = places - 1
    r.max_prices = symbols
    return r.prices != NULL


cdef void risk_free(risk_limits *r) noexcept nogil:
    free(r.prices)
    if r.orders != NULL:
        order_table_free(<order_table *>r.orders)
        free(r.orders)
    r.prices = NULL
    r.orders = NULL
