# cython: language_level=3
"""A native strategy that notes every callback, and works an order: sent by its timer, replaced when it is acknowledged,
cancelled when it is replaced, then Python is called."""
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from fix.message cimport fix_find, fix_msg, fix_read_int
from fix.session cimport fix_session, session_begin
from gateway.strategy cimport (
    SENT, STALE, Strategy, message_send, order, order_cancel, order_init, order_new, order_replace, order_token)

NAMES = ("start", "logon", "message", "reject", "timer", "logout", "stop", "verdict", "lost", "send")

cdef enum:
    START, LOGON, MESSAGE, REJECT, TIMER, LOGOUT, STOP, VERDICT, LOST, SEND


cdef class Native(Strategy):
    cdef uint64_t notes[256][3]
    cdef uint32_t n
    cdef uint64_t out
    cdef fix_session *s
    cdef readonly int refused               # its own session_begin was
    cdef public bint trades, sends

    def __init__(self, trades=True, sends=False):
        super().__init__()
        self.trades, self.sends = trades, sends

    def told(self):
        """[(callback, its number, another)], and forget them."""
        found = [(NAMES[self.notes[i][0]], self.notes[i][1], self.notes[i][2]) for i in range(self.n)]
        self.n = 0
        return found

    @property
    def stale(self):
        return <int>STALE

    cdef void note(self, uint64_t what, uint64_t a, uint64_t b) noexcept nogil:
        if self.n < 256:
            self.notes[self.n][0], self.notes[self.n][1], self.notes[self.n][2] = what, a, b
            self.n += 1

    cdef void fill(self, order *o, int64_t qty) noexcept nogil:
        order_init(o)
        o.Symbol = b"ABC"
        o.Side = b'1'
        o.OrderQty = qty
        o.Price_e8 = 1_000_000_000
        o.OrigClOrdID = self.out

    cdef void on_start(self, uint64_t now_ns) noexcept nogil:
        self.note(START, 0, 0)
        self.set_timer(now_ns + 5_000_000)

    cdef void on_logon(self, fix_session *s, uint64_t now_ns) noexcept nogil:
        self.s = s
        self.note(LOGON, 0, 0)

    cdef void on_timer(self, uint64_t now_ns) noexcept nogil:
        cdef order o
        if not self.trades or self.s == NULL:
            return
        self.fill(&o, 100)
        if order_new(self.s, &o, now_ns) == SENT:
            self.out = o.ClOrdID
            self.note(TIMER, order_token(self.s), 0)
        if self.sends:
            self.refused = session_begin(self.s, 0x56, now_ns) == NULL
            if message_send(self.s, 0x56, <const uint8_t *>b"262=native\x01", 11, now_ns) == SENT:
                self.note(SEND, order_token(self.s), 0)

    cdef void on_message(self, fix_session *s, fix_msg *m, uint64_t now_ns) noexcept nogil:
        cdef int64_t status = -1
        cdef order o
        fix_read_int(m, fix_find(m, 39), &status)
        self.note(MESSAGE, m.MsgType, <uint64_t>status)
        if m.MsgType != 0x38 or not self.trades:
            return
        self.fill(&o, 50)
        if status == 0 and order_replace(s, &o, now_ns) == SENT:
            self.out = o.ClOrdID
        elif status == 5:
            order_cancel(s, &o, now_ns)
        elif status == 4:
            self.call_python()

    cdef void on_reject(self, fix_session *s, fix_msg *m, uint64_t now_ns) noexcept nogil:
        self.note(REJECT, m.MsgType, 0)

    cdef void on_logout(self, fix_session *s, uint64_t now_ns) noexcept nogil:
        self.note(LOGOUT, 0, 0)

    cdef void on_stop(self, uint64_t now_ns) noexcept nogil:
        self.note(STOP, 0, 0)

    cdef void on_verdict(self, fix_session *s, uint64_t token, int verdict, uint64_t now_ns) noexcept nogil:
        self.note(VERDICT, token, verdict)

    cdef void on_lost(self, uint64_t count, uint64_t now_ns) noexcept nogil:
        self.note(LOST, count, 0)
