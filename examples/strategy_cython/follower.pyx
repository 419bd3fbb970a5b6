# cython: language_level=3
"""The strategy of strategy_python.py as a Cython class: no Python on the way of a message."""
from libc.stdint cimport int64_t, uint64_t

from fix.message cimport fix_field, fix_find, fix_msg, fix_read_int, fix_read_price_e8
from fix.session cimport fix_session
from gateway.strategy cimport SENT, Strategy, order, order_init, order_new


cdef class Follower(Strategy):
    cdef int64_t last_e8
    cdef readonly uint64_t refused

    cdef void on_message(self, fix_session *s, fix_msg *m, uint64_t now_ns) noexcept nogil:
        cdef order o
        cdef int64_t price_e8, size
        cdef const fix_field *symbol
        if m.MsgType != 0x57:                               # 'W', MarketDataSnapshotFullRefresh
            return
        symbol = fix_find(m, 55)
        if (symbol == NULL or not fix_read_price_e8(m, fix_find(m, 270), &price_e8)
                or not fix_read_int(m, fix_find(m, 271), &size)):
            return
        if self.last_e8:
            order_init(&o)
            o.Symbol = <const char *>m.p + symbol.off
            o.Symbol_n = symbol.len
            o.Side = b'1' if price_e8 < self.last_e8 else b'2'
            o.OrderQty = size
            o.Price_e8 = price_e8
            self.refused += order_new(s, &o, now_ns) != SENT
        self.last_e8 = price_e8

    cdef void on_verdict(self, fix_session *s, uint64_t token, int verdict, uint64_t now_ns) noexcept nogil:
        self.refused += verdict != SENT                     # in a process of its own: the gateway's word comes later
