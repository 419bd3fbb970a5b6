"""The demo's market: SimulatedExchange fills every order in one piece, Trader answers every fill by the next order.

An exchange that is given the prices of a market fills what crosses them; what does not rests until it is cancelled. Both check what they are told: orders are distinct and alone in their frames, fills carry the ClOrdID of the order
that is out. FIX 4.4 volume 4: NewOrderSingle(D), OrderCancelRequest(F), OrderCancelReject(9), ExecutionReport(8).
"""
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

from fix.encode cimport fix_put_char, fix_put_int, fix_put_price_e8, fix_put_str, fix_put_uint, fix_put_utc, fix_writer
from fix.message cimport fix_field, fix_find, fix_get, fix_msg, fix_read_int, fix_read_price_e8, fix_read_uint
from fix.session cimport fix_session, session_begin, session_end

from gateway.slab cimport slot
from gateway.strategy cimport SENT, Strategy, order_init, order_new

cdef enum:
    NEW_ORDER_SINGLE = 0x44         # D
    EXECUTION_REPORT = 0x38         # 8
    ORDER_CANCEL_REQUEST = 0x46     # F
    ORDER_CANCEL_REJECT = 0x39      # 9
    TICK_E8 = 1_000_000             # 0.01
    RESTING_MAX = 4096
    BOOK_PLACES = 2 * RESTING_MAX
    DONE_PLACES = 4096

cdef int64_t FIRST_E8 = 9_950_000_000


cdef class SimulatedExchange(Strategy):

    def __init__(self, *, int64_t bid_e8=0, int64_t ask_e8=0):
        super().__init__()
        if not 0 <= bid_e8 <= ask_e8 or (ask_e8 and not bid_e8):
            raise ValueError(f"bid_e8 {bid_e8} and ask_e8 {ask_e8} must be above 0 and the bid at most the ask")
        self.bid_e8, self.ask_e8 = bid_e8, ask_e8
        if ask_e8:
            self.book = <exchange_book *>calloc(1, sizeof(exchange_book))
            if self.book == NULL:
                raise MemoryError()

    def __dealloc__(self):
        free(self.book)

    cdef void on_message(self, fix_session *s, fix_msg *m, uint64_t now_ns) noexcept nogil:
        cdef slot *g = <slot *>s.user
        cdef fix_writer *w
        cdef const fix_field *symbol
        cdef const fix_field *side
        cdef const fix_field *account
        cdef resting_order o
        cdef uint64_t clordid
        cdef int64_t qty, price_e8
        if m.MsgType == ORDER_CANCEL_REQUEST:
            self.cancel(s, m, now_ns)
            return
        if m.MsgType != NEW_ORDER_SINGLE:
            self.malformed += 1
            return
        symbol = fix_get(m, 55, &self.hint[0])
        side = fix_get(m, 54, &self.hint[1])
        account = fix_get(m, 1, &self.hint[2])
        if (not fix_read_uint(m, fix_get(m, 11, &self.hint[3]), &clordid)
                or not fix_read_int(m, fix_get(m, 38, &self.hint[4]), &qty)
                or not fix_read_price_e8(m, fix_get(m, 44, &self.hint[5]), &price_e8)
                or symbol == NULL or side == NULL):
            self.malformed += 1
            return
        self.orders += 1
        self.not_distinct += clordid <= self.last_ClOrdID       # they only ever grow
        self.last_ClOrdID = clordid
        self.not_alone += g.e.nif.stats.rx_frames == self.last_frame
        self.last_frame = g.e.nif.stats.rx_frames
        if self.book != NULL and (price_e8 < self.ask_e8 if m.p[side.off] == b'1' else price_e8 > self.bid_e8):
            o.ClOrdID, o.OrderID, o.OrderQty, o.Price_e8 = clordid, 700_000_000 + self.orders, qty, price_e8
            o.Side = <char>m.p[side.off]
            self.rest(s, m, &o, symbol, now_ns)
            return
        self.exec_id += 1
        w = session_begin(s, EXECUTION_REPORT, now_ns)
        if w == NULL:
            self.refused += 1
            return
        fix_put_uint(w, 37, 700_000_000 + self.orders)          # OrderID
        fix_put_uint(w, 11, clordid)
        fix_put_uint(w, 17, 900_000_000 + self.exec_id)         # ExecID
        fix_put_char(w, 150, b'F')                              # ExecType: trade
        fix_put_char(w, 39, b'2')                               # OrdStatus: filled
        if account != NULL:
            fix_put_str(w, 1, m.p + account.off, account.len)
        fix_put_str(w, 55, m.p + symbol.off, symbol.len)
        fix_put_str(w, 54, m.p + side.off, side.len)
        fix_put_int(w, 38, qty)
        fix_put_char(w, 40, b'2')
        fix_put_price_e8(w, 44, price_e8)
        fix_put_char(w, 59, b'0')
        fix_put_int(w, 32, qty)                                 # LastQty
        fix_put_price_e8(w, 31, price_e8)                       # LastPx
        fix_put_int(w, 151, 0)                                  # LeavesQty
        fix_put_int(w, 14, qty)                                 # CumQty
        fix_put_price_e8(w, 6, price_e8)                        # AvgPx
        fix_put_utc(w, 60, now_ns + <uint64_t>g.e.utc_offset_ns, g.time_digits)
        if not session_end(s, w, now_ns):
            self.refused += 1
            return
        self.filled += 1
        if self.book != NULL:
            book_done(self.book, clordid, b'2')

    @property
    def resting(self):
        return 0 if self.book == NULL else self.book.resting

    cdef void rest(self, fix_session *s, fix_msg *m, resting_order *o, const fix_field *symbol, uint64_t now_ns) noexcept nogil:
        """Into the book and acknowledged; rejected where there is no room."""
        cdef resting_order *place = book_place(self.book, o.ClOrdID)
        o.Symbol_n = <uint8_t>min(symbol.len, <uint32_t>sizeof(o.Symbol))
        memcpy(o.Symbol, m.p + symbol.off, o.Symbol_n)
        if o.Symbol_n < symbol.len or self.book.resting == RESTING_MAX or place.ClOrdID == o.ClOrdID:
            self.rejected += self.report(s, o, b'8', NULL, now_ns)
            return
        if self.report(s, o, b'0', NULL, now_ns):
            place[0] = o[0]
            self.book.resting += 1
            self.rested += 1

    cdef void cancel(self, fix_session *s, fix_msg *m, uint64_t now_ns) noexcept nogil:
        """OrderCancelRequest(F): two reports where the order rests, an OrderCancelReject(9) where it does not."""
        cdef resting_order *o
        cdef resting_order was
        cdef done_order *d
        cdef uint64_t orig = 0
        if fix_find(m, 11) == NULL or fix_find(m, 41) == NULL:
            self.malformed += 1
            return
        self.cancels += 1
        if self.book == NULL:                                   # it was filled when it came
            self.too_late += self.not_cancelled(s, m, b'2', now_ns)
            return
        if fix_read_uint(m, fix_find(m, 41), &orig) and orig != 0:
            o = book_place(self.book, orig)
            if o.ClOrdID == orig:
                was = o[0]
                if self.report(s, &was, b'6', m, now_ns) and self.report(s, &was, b'4', m, now_ns):
                    book_take(self.book, o)
                    book_done(self.book, orig, b'4')
                    self.canceled += 1
                return
            d = &self.book.done[hashed(orig) & (DONE_PLACES - 1)]
            if d.ClOrdID == orig:
                self.too_late += self.not_cancelled(s, m, d.OrdStatus, now_ns)
                return
        self.unknown += self.not_cancelled(s, m, b'8', now_ns)

    cdef bint report(self, fix_session *s, const resting_order *o, char status, fix_msg *request, uint64_t now_ns) noexcept nogil:
        """ExecutionReport(8) about an order that is not filled; `request` asked for it to be cancelled, NULL: nobody did."""
        cdef slot *g = <slot *>s.user
        cdef const fix_field *ident
        cdef fix_writer *w = session_begin(s, EXECUTION_REPORT, now_ns)
        if w == NULL:
            self.refused += 1
            return False
        self.exec_id += 1
        fix_put_uint(w, 37, o.OrderID)
        if request != NULL:
            ident = fix_find(request, 11)
            fix_put_str(w, 11, request.p + ident.off, ident.len)
            fix_put_uint(w, 41, o.ClOrdID)
        else:
            fix_put_uint(w, 11, o.ClOrdID)
        fix_put_uint(w, 17, 900_000_000 + self.exec_id)         # ExecID
        fix_put_char(w, 150, status)                            # ExecType
        fix_put_char(w, 39, status)                             # OrdStatus
        fix_put_str(w, 55, <const uint8_t *>o.Symbol, o.Symbol_n)
        fix_put_char(w, 54, o.Side)
        fix_put_int(w, 38, o.OrderQty)
        fix_put_char(w, 40, b'2')
        fix_put_price_e8(w, 44, o.Price_e8)
        fix_put_int(w, 151, o.OrderQty if status == b'0' or status == b'6' else 0)      # LeavesQty
        fix_put_int(w, 14, 0)                                   # CumQty
        fix_put_int(w, 6, 0)                                    # AvgPx
        fix_put_utc(w, 60, now_ns + <uint64_t>g.e.utc_offset_ns, g.time_digits)
        if session_end(s, w, now_ns):
            return True
        self.refused += 1
        return False

    cdef bint not_cancelled(self, fix_session *s, fix_msg *m, char status, uint64_t now_ns) noexcept nogil:
        """OrderCancelReject(9): `status` is the order's, rejected: it is unknown."""
        cdef const fix_field *request = fix_find(m, 11)
        cdef const fix_field *orig = fix_find(m, 41)
        cdef fix_writer *w = session_begin(s, ORDER_CANCEL_REJECT, now_ns)
        if w == NULL:
            self.refused += 1
            return False
        fix_put_str(w, 37, b"NONE", 4)
        fix_put_str(w, 11, m.p + request.off, request.len)
        fix_put_str(w, 41, m.p + orig.off, orig.len)
        fix_put_char(w, 39, status)
        fix_put_char(w, 434, b'1')                              # CxlRejResponseTo: OrderCancelRequest
        fix_put_int(w, 102, 1 if status == b'8' else 0)         # CxlRejReason: unknown order, too late
        if session_end(s, w, now_ns):
            return True
        self.refused += 1
        return False


cdef inline uint64_t hashed(uint64_t ClOrdID) noexcept nogil:
    """Numbers in steps of 1 and of 64 alike."""
    return ClOrdID * 0x9E3779B97F4A7C15ULL >> 40


cdef resting_order *book_place(exchange_book *b, uint64_t ClOrdID) noexcept nogil:
    """The place of this order, or the free one where it belongs."""
    cdef uint64_t i = hashed(ClOrdID) & (BOOK_PLACES - 1)
    while b.orders[i].ClOrdID != 0 and b.orders[i].ClOrdID != ClOrdID:
        i = (i + 1) & (BOOK_PLACES - 1)
    return &b.orders[i]


cdef void book_take(exchange_book *b, resting_order *o) noexcept nogil:
    """Frees the place; what lies behind and belongs further in front moves up."""
    cdef uint64_t hole = <uint64_t>(o - b.orders)
    cdef uint64_t i = hole
    cdef uint64_t home
    while True:
        i = (i + 1) & (BOOK_PLACES - 1)
        if b.orders[i].ClOrdID == 0:
            break
        home = hashed(b.orders[i].ClOrdID) & (BOOK_PLACES - 1)
        if ((i - home) & (BOOK_PLACES - 1)) >= ((i - hole) & (BOOK_PLACES - 1)):
            b.orders[hole] = b.orders[i]
            hole = i
    b.orders[hole].ClOrdID = 0
    b.resting -= 1


cdef inline void book_done(exchange_book *b, uint64_t ClOrdID, char status) noexcept nogil:
    cdef done_order *d = &b.done[hashed(ClOrdID) & (DONE_PLACES - 1)]
    d.ClOrdID = ClOrdID
    d.OrdStatus = status


cdef class Trader(Strategy):
    """Trader(orders, warm_up=1000): one order at Logon, then one for every fill; stops the gateway after the last."""

    def __init__(self, uint64_t orders, *, uint64_t warm_up=0):
        super().__init__()
        self.wanted = orders
        self.warm_up = warm_up
        order_init(&self.o)
        self.o.Symbol = b"FIXW"
        self.o.Account = b"DEMO01"
        self.o.Symbol_n = 4
        self.o.Account_n = 6

    cdef void on_logon(self, fix_session *s, uint64_t now_ns) noexcept nogil:
        self.trade(s, now_ns)

    cdef void on_message(self, fix_session *s, fix_msg *m, uint64_t now_ns) noexcept nogil:
        cdef uint64_t clordid
        cdef int64_t price_e8, qty
        if (m.MsgType != EXECUTION_REPORT
                or not fix_read_uint(m, fix_get(m, 11, &self.hint[0]), &clordid)
                or not fix_read_int(m, fix_get(m, 32, &self.hint[1]), &qty)
                or not fix_read_price_e8(m, fix_get(m, 31, &self.hint[2]), &price_e8)
                or clordid != self.out):
            self.mismatched += 1
            return
        self.executions += 1
        self.out = 0
        self.position += qty if self.o.Side == b'1' else -qty
        if self.executions == self.warm_up:
            self.call_python()
        if self.sent < self.wanted:
            self.trade(s, now_ns)
        elif self.executions == self.wanted:
            self.call_python()
            self.stop()

    cdef void trade(self, fix_session *s, uint64_t now_ns) noexcept nogil:
        """Lean against the position; the price moves with every trade, so no two orders are alike."""
        self.o.ClOrdID = 0
        self.o.Side = b'2' if self.position > 0 else b'1'
        self.o.OrderQty = 100 + 100 * <int64_t>(self.sent % 7)
        self.o.Price_e8 = FIRST_E8 + <int64_t>((self.sent * 37) % 1000) * TICK_E8
        if order_new(s, &self.o, now_ns) == SENT:
            self.sent += 1
            self.out = self.o.ClOrdID
        else:
            self.refused += 1
