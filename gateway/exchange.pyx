"""The demo's market: SimulatedExchange fills every order in one piece, Trader answers every fill by the next order.

Both check what they are told: orders are distinct and alone in their frames, fills carry the ClOrdID of the order
that is out. FIX 4.4 volume 4: NewOrderSingle(D), ExecutionReport(8).
"""
from libc.stdint cimport int64_t, uint64_t

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

cdef int64_t FIRST_E8 = 9_950_000_000


cdef class SimulatedExchange(Strategy):

    cdef void on_message(self, fix_session *s, fix_msg *m, uint64_t now_ns) noexcept nogil:
        cdef slot *g = <slot *>s.user
        cdef fix_writer *w
        cdef const fix_field *symbol
        cdef const fix_field *side
        cdef const fix_field *account
        cdef uint64_t clordid
        cdef int64_t qty, price_e8
        if m.MsgType == ORDER_CANCEL_REQUEST:
            self.too_late(s, m, now_ns)
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
        self.exec_id += 1
        w = session_begin(s, EXECUTION_REPORT, now_ns)
        if w == NULL:
            self.refused += 1
            return
        fix_put_uint(w, 37, 700_000_000 + self.exec_id)         # OrderID
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

    cdef void too_late(self, fix_session *s, fix_msg *m, uint64_t now_ns) noexcept nogil:
        """OrderCancelReject(9): whatever is to be cancelled was filled when it came."""
        cdef const fix_field *request = fix_find(m, 11)
        cdef const fix_field *orig = fix_find(m, 41)
        cdef fix_writer *w
        if request == NULL or orig == NULL:
            self.malformed += 1
            return
        self.cancels += 1
        w = session_begin(s, ORDER_CANCEL_REJECT, now_ns)
        if w == NULL:
            self.refused += 1
            return
        fix_put_str(w, 37, b"NONE", 4)
        fix_put_str(w, 11, m.p + request.off, request.len)
        fix_put_str(w, 41, m.p + orig.off, orig.len)
        fix_put_char(w, 39, b'2')
        fix_put_char(w, 434, b'1')                              # CxlRejResponseTo: OrderCancelRequest
        fix_put_int(w, 102, 0)                                  # CxlRejReason: too late
        if not session_end(s, w, now_ns):
            self.refused += 1


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
