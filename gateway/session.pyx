"""GatewaySession: orders, state and counters of one session for Python. See gateway/session.pyi."""
import ipaddress

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

from fix.encode cimport fix_put_str, fix_writer
from fix.message cimport fix_msgtype
from fix.session cimport (
    FIX_DISCONNECTED, FIX_ESTABLISHED, FIX_ID_MAX, FIX_TEXT_MAX, fix_session_config, session_ask_resend, session_begin, session_end,
    session_logout, session_renumber, session_reset, session_test_request)

from stack.timer cimport timer_set

from gateway.connection cimport slot_leave
from gateway.risk cimport risk_open, risk_reference
from gateway.order cimport TEMPLATE_TEXT
from gateway.strategy cimport (
    BAD_ORDER, SENT, TOO_LONG, message_send, order, order_cancel, order_init, order_new, order_new_from, order_new_from_text,
    order_prepare, order_refused, order_replace)

from gateway.errors import WrongThread

cdef extern from "Python.h":
    bint PyUnicode_IS_ASCII(object text)
    Py_ssize_t PyUnicode_GET_LENGTH(object text)
    Py_UCS4 PyUnicode_READ_CHAR(object text, Py_ssize_t i)
    const char *PyUnicode_AsUTF8AndSize(object text, Py_ssize_t *n) except NULL
    char *PyBytes_AS_STRING(object octets)
    Py_ssize_t PyBytes_GET_SIZE(object octets)

cdef enum:
    MOST = 65535            # octets of a message

cdef extern from "pythread.h":
    unsigned long PyThread_get_thread_ident() noexcept nogil

STATES = ("disconnected", "await logon", "logon sent", "established", "logout sent", "closing")
VERSIONS = {"FIX.4.0": 40, "FIX.4.1": 41, "FIX.4.2": 42, "FIX.4.3": 43, "FIX.4.4": 44, "FIXT.1.1": 50}
BEGIN_STRINGS = {number: text for text, number in VERSIONS.items()}


cdef object octets_of(object value, str what):
    """str and bytes as octets, an int in decimal; an ASCII str is its own octets."""
    if type(value) is str and PyUnicode_IS_ASCII(value):
        return value
    return bytes_of(value, what)


cdef inline const char *octets_at(object octets, uint32_t *n) except NULL:
    """Where the octets of what octets_of gave are; they live as long as it does."""
    cdef Py_ssize_t size
    cdef const char *p
    if type(octets) is str:
        p = PyUnicode_AsUTF8AndSize(octets, &size)
    else:
        p = PyBytes_AS_STRING(octets)
        size = PyBytes_GET_SIZE(octets)
    if size > MOST:
        raise ValueError(f"a text of {size} characters is longer than any message")
    n[0] = <uint32_t>size
    return p


cdef bytes bytes_of(object value, str what):
    """str and bytes as octets, an int in decimal."""
    if type(value) is bytes:
        return <bytes>value
    if isinstance(value, str):
        return (<str>value).encode("latin-1")
    if isinstance(value, int):
        return b"%d" % value
    if isinstance(value, bytes):
        return bytes(value)
    raise TypeError(f"{what} is {value!r}, must be str, bytes or int")


cdef char char_of(object value, str what) except? 0:
    """A FIX char: one octet."""
    cdef bytes text
    if type(value) is str and PyUnicode_IS_ASCII(value) and PyUnicode_GET_LENGTH(value) == 1:
        return <char>PyUnicode_READ_CHAR(value, 0)
    text = bytes_of(value, what)
    if len(text) != 1:
        raise ValueError(f"{what} is {value!r}, must be one character")
    return text[0]


cdef int copy_id(char *to, object text, str what) except -1:
    cdef bytes octets = text.encode("latin-1") if isinstance(text, str) else bytes(text)
    if not octets or len(octets) > FIX_ID_MAX or b"\x01" in octets or b"\x00" in octets:
        raise ValueError(f"{what} is {text!r}, must be 1 to {FIX_ID_MAX} characters without SOH")
    memcpy(to, <const char *>octets, len(octets))
    return 0


cdef char *id_field(fix_session_config *c, str name):
    """Where this identification goes; NULL: it is none."""
    if name == "SenderSubID":
        return c.SenderSubID
    if name == "TargetSubID":
        return c.TargetSubID
    if name == "SenderLocationID":
        return c.SenderLocationID
    if name == "TargetLocationID":
        return c.TargetLocationID
    if name == "Username":
        return c.Username
    if name == "Password":
        return c.Password
    return NULL


cdef int configure(fix_session_config *c, dict more) except -1:
    """Keywords of add_session beyond its own: the session's configuration by name."""
    for name, value in more.items():
        if id_field(c, name) != NULL:
            copy_id(id_field(c, name), value, name)
        elif name == "DefaultApplVerID":
            c.DefaultApplVerID[0] = <char>ord(value)
        elif name == "timestamp_digits":
            if value not in (0, 3, 6, 9):
                raise ValueError(f"timestamp_digits is {value!r}, must be 0, 3, 6 or 9")
            c.timestamp_digits = value
        elif name == "reset_on_logout":
            c.reset_on_logout = value
        elif name == "reset_on_disconnect":
            c.reset_on_disconnect = value
        elif name == "check_comp_id":
            c.check_comp_id = value
        elif name == "check_latency":
            c.check_latency = value
        elif name == "max_latency_s":
            c.max_latency_ns = <uint64_t>(value * 1e9)
        elif name == "logout_timeout_s":
            c.logout_timeout_ns = <uint64_t>(value * 1e9)
        elif name == "next_expected":
            c.next_expected = value
        elif name == "last_processed":
            c.last_processed = value
        elif name == "resend_timeout_s":
            c.resend_timeout_ns = <uint64_t>(value * 1e9)
        elif name == "resend_messages":
            c.resend_messages = value
        elif name == "resend_request_max":
            c.resend_request_max = value
        elif name == "queue_octets":
            c.queue_octets = value
        elif name == "throttle_messages":
            c.throttle_messages = value
        elif name == "throttle_s":
            c.throttle_ns = <uint64_t>(value * 1e9)
        elif name == "seq_max":
            c.seq_max = value
        elif name == "step_octets":
            c.step_octets = value
        elif name == "max_message":
            c.max_message = value
        elif name == "step_messages":
            c.step_messages = value
        else:
            raise TypeError(f"add_session() got an unexpected keyword argument {name!r}")
    return 0


cdef class GatewaySession:

    def __init__(self):
        raise TypeError("Engine.add_session makes sessions")

    cdef int live(self) except -1:
        if self.g == NULL:
            raise RuntimeError(f"session {self.name}: its engine is closed")
        return 0

    cdef int change(self) except -1:
        """Only the engine's thread goes on from here."""
        self.live()
        if self.g.e.owner and self.g.e.owner != PyThread_get_thread_ident():
            raise WrongThread(f"session {self.name} belongs to its engine's thread; "
                              "hand the call over with engine.submit(fn)")
        return 0

    cdef int ours(self) except -1:
        """Only where the session is this process's: from one of its own a strategy sends orders and messages, nothing else."""
        self.change()
        if self.g.carry != NULL:
            raise RuntimeError(f"session {self.name} is kept by the gateway's process; only orders and messages go there")
        return 0

    @property
    def name(self):
        if self.given_name is not None or self.g == NULL:
            return self.given_name or "of a closed engine"
        return f"{self.SenderCompID}->{self.TargetCompID}"

    @property
    def vacant(self):
        self.live()
        return bool(self.g.vacant)

    @property
    def host(self):
        self.live()
        return None if self.g.n_hosts == 0 else str(ipaddress.IPv4Address(self.g.hosts[self.g.host_at].address))

    @property
    def BeginString(self):
        self.live()
        return BEGIN_STRINGS[self.g.s.config.version]

    @property
    def SenderCompID(self):
        self.live()
        return (<const char *>self.g.s.config.SenderCompID).decode("latin-1")

    @property
    def TargetCompID(self):
        self.live()
        return (<const char *>self.g.s.config.TargetCompID).decode("latin-1")

    @property
    def role(self):
        self.live()
        return "initiator" if self.g.initiator else "acceptor"

    @property
    def state(self):
        self.live()
        return STATES[self.g.s.state]

    @property
    def connected(self):
        self.live()
        return self.g.c != NULL

    @property
    def logged_on(self):
        self.live()
        return self.g.s.state == FIX_ESTABLISHED

    @property
    def next_in(self):
        self.live()
        return self.g.s.next_in

    @property
    def next_out(self):
        self.live()
        return self.g.s.next_out

    @property
    def now_ns(self):
        self.live()
        return self.g.e.now_ns

    @property
    def utc_ns(self):
        self.live()
        return <int64_t>self.g.e.now_ns + self.g.e.utc_offset_ns

    @property
    def text(self):
        """Text(58) of the last Logout received."""
        self.live()
        return (<const char *>self.g.s.text).decode("latin-1")

    @property
    def last_ClOrdID(self):
        self.live()
        return self.g.ClOrdID

    @property
    def last_token(self):
        self.live()
        return self.g.token

    @property
    def open_orders(self):
        self.live()
        return risk_open(&self.g.risk)

    @property
    def killed(self):
        self.live()
        return bool(self.g.risk.killed)

    @killed.setter
    def killed(self, bint value):
        self.change()
        self.g.risk.killed = value

    def reference_price(self, Symbol, int64_t price_e8):
        cdef object symbol = octets_of(Symbol, "Symbol")
        cdef uint32_t n = 0
        cdef const char *p = octets_at(symbol, &n)
        self.change()
        return bool(risk_reference(self.g.s, p, n, price_e8))

    def order_new(self, Symbol, Side, int64_t OrderQty, int64_t Price_e8=0, ClOrdID=0, OrdType="2", TimeInForce="0",
                  Account=None, bint bypass_risk=False):
        cdef order o
        cdef object symbol = octets_of(Symbol, "Symbol"), account, clordid
        self.change()
        order_init(&o)
        o.Symbol = octets_at(symbol, &o.Symbol_n)
        o.Side = char_of(Side, "Side")
        o.OrderQty = OrderQty
        o.Price_e8 = Price_e8
        o.OrdType = char_of(OrdType, "OrdType")
        o.TimeInForce = 0 if TimeInForce is None else char_of(TimeInForce, "TimeInForce")
        o.Bypass = bypass_risk
        if type(ClOrdID) is int:
            o.ClOrdID = ClOrdID
        else:
            clordid = octets_of(ClOrdID, "ClOrdID")
            o.ClOrdID_text = octets_at(clordid, &o.ClOrdID_n)
        if Account is not None:
            account = octets_of(Account, "Account")
            o.Account = octets_at(account, &o.Account_n)
        return order_new(self.g.s, &o, self.g.e.now_ns)

    def order_template(self, Symbol, Side, OrdType="2", TimeInForce="0", Account=None, bint bypass_risk=False):
        cdef order o
        cdef object symbol = octets_of(Symbol, "Symbol"), account
        cdef OrderTemplate made = OrderTemplate.__new__(OrderTemplate)
        cdef int verdict
        self.change()
        order_init(&o)
        o.Symbol = octets_at(symbol, &o.Symbol_n)
        o.Side = char_of(Side, "Side")
        o.OrdType = char_of(OrdType, "OrdType")
        o.TimeInForce = 0 if TimeInForce is None else char_of(TimeInForce, "TimeInForce")
        o.Bypass = bypass_risk
        if Account is not None:
            account = octets_of(Account, "Account")
            o.Account = octets_at(account, &o.Account_n)
        verdict = order_prepare(&made.t, &o)
        if verdict == TOO_LONG:
            raise ValueError(f"Symbol {Symbol!r} or Account {Account!r} of a template has more than {TEMPLATE_TEXT} characters")
        if verdict != SENT:
            raise ValueError(f"Symbol {Symbol!r}, Side {Side!r} and Account {Account!r} make no order")
        made.session = self
        return made

    def order_replace(self, OrigClOrdID, Symbol, Side, int64_t OrderQty, int64_t Price_e8=0, ClOrdID=0, OrdType="2",
                      TimeInForce="0", Account=None, bint bypass_risk=False):
        cdef order o
        cdef object symbol = octets_of(Symbol, "Symbol"), orig = octets_of(OrigClOrdID, "OrigClOrdID")
        cdef object account, clordid
        self.change()
        order_init(&o)
        o.OrigClOrdID_text = octets_at(orig, &o.OrigClOrdID_n)
        o.Symbol = octets_at(symbol, &o.Symbol_n)
        o.Side = char_of(Side, "Side")
        o.OrderQty = OrderQty
        o.Price_e8 = Price_e8
        o.OrdType = char_of(OrdType, "OrdType")
        o.TimeInForce = 0 if TimeInForce is None else char_of(TimeInForce, "TimeInForce")
        o.Bypass = bypass_risk
        if type(ClOrdID) is int:
            o.ClOrdID = ClOrdID
        else:
            clordid = octets_of(ClOrdID, "ClOrdID")
            o.ClOrdID_text = octets_at(clordid, &o.ClOrdID_n)
        if Account is not None:
            account = octets_of(Account, "Account")
            o.Account = octets_at(account, &o.Account_n)
        return order_replace(self.g.s, &o, self.g.e.now_ns)

    def order_cancel(self, OrigClOrdID, Symbol, Side, int64_t OrderQty=0, ClOrdID=0):
        cdef order o
        cdef object symbol = octets_of(Symbol, "Symbol"), orig = octets_of(OrigClOrdID, "OrigClOrdID"), clordid
        self.change()
        order_init(&o)
        o.OrigClOrdID_text = octets_at(orig, &o.OrigClOrdID_n)
        o.Symbol = octets_at(symbol, &o.Symbol_n)
        o.Side = char_of(Side, "Side")
        o.OrderQty = OrderQty
        if type(ClOrdID) is int:
            o.ClOrdID = ClOrdID
        else:
            clordid = octets_of(ClOrdID, "ClOrdID")
            o.ClOrdID_text = octets_at(clordid, &o.ClOrdID_n)
        return order_cancel(self.g.s, &o, self.g.e.now_ns)

    def send(self, MsgType, fields):
        cdef bytes msgtype = bytes_of(MsgType, "MsgType"), text
        cdef fix_writer *w
        self.change()
        if not 0 < len(msgtype) <= 8:
            raise ValueError(f"MsgType is {MsgType!r}, must be 1 to 8 characters")
        pairs = [(int(tag), bytes_of(value, f"field {tag}")) for tag, value in fields]
        for tag, text in pairs:
            if not 0 < tag < 1 << 31:
                raise ValueError(f"tag is {tag}, must be 1 to {(1 << 31) - 1}")
            if tag in (8, 9, 10, 34, 35, 49, 52, 56):
                raise ValueError(f"field {tag} is the session's own")
            if not text or b"\x01" in text:
                return BAD_ORDER
        if self.g.carry_message != NULL:
            text = b"".join([b"%d=%b\x01" % pair for pair in pairs])
            return message_send(self.g.s, fix_msgtype(msgtype), <const uint8_t *><const char *>text, <uint32_t>len(text),
                                self.g.e.now_ns)
        w = session_begin(self.g.s, fix_msgtype(msgtype), self.g.e.now_ns)
        if w == NULL:
            return order_refused(self.g, self.g.s.refusal)
        for tag, text in pairs:
            fix_put_str(w, tag, <const uint8_t *><const char *>text, <uint32_t>len(text))
        if not session_end(self.g.s, w, self.g.e.now_ns):
            return order_refused(self.g, self.g.s.refusal)
        return SENT

    def logout(self, text=None):
        cdef bytes octets = b"" if text is None else bytes_of(text, "text")
        self.ours()
        if len(octets) > FIX_TEXT_MAX or any(c < 32 or c == 127 for c in octets):
            raise ValueError(f"text is {text!r}, must be at most {FIX_TEXT_MAX} characters, none of them a control character")
        session_logout(self.g.s, <const char *>octets if octets else NULL, self.g.e.now_ns)

    def test_request(self):
        self.ours()
        session_test_request(self.g.s, self.g.e.now_ns)

    def resend_request(self, uint64_t begin, uint64_t end=0):
        self.change()
        if begin < 1 or (end != 0 and end < begin):
            raise ValueError(f"{begin} to {end} is no range of MsgSeqNum: 1 or more, and an end of 0 for all there is")
        session_ask_resend(self.g.s, begin, end, self.g.e.now_ns)

    def renumber(self, next_in=None, next_out=None):
        self.change()
        for name, value in (("next_in", next_in), ("next_out", next_out)):
            if value is not None and not 1 <= value <= self.g.s.config.seq_max:
                raise ValueError(f"{name} is {value}, must be 1 to {self.g.s.config.seq_max}")
        session_renumber(self.g.s, 0 if next_in is None else next_in, 0 if next_out is None else next_out)

    def reset(self):
        self.change()
        if self.g.s.state != FIX_DISCONNECTED and self.g.s.state != FIX_ESTABLISHED:
            raise RuntimeError(f"session {self.name} is in state {self.state!r}: it can be reset while it is "
                               "disconnected or established")
        session_reset(self.g.s, self.g.e.now_ns)

    @property
    def enabled(self):
        self.live()
        return bool(self.g.enabled)

    @enabled.setter
    def enabled(self, bint value):
        self.change()
        self.g.enabled = value
        if value and self.g.initiator and self.g.c == NULL:
            self.g.backoff_ns = self.g.reconnect_ns
            self.g.connect_ns = self.g.e.now_ns
            timer_set(&self.g.e.due, &self.g.wake, self.g.e.now_ns)
        elif not value and self.g.c != NULL:
            slot_leave(self.g, self.g.e.now_ns)

    def stats(self):
        self.live()
        counters = dict(self.g.s.stats)
        counters.update({f"strategy_{name}" if name == "messages" else name: value
                         for name, value in dict(self.g.stats).items()})
        counters["session_refused"] = self.g.s.stats.refused
        return counters

    def __repr__(self):
        return f"<GatewaySession {self.name} {'closed' if self.g == NULL else self.state}>"


cdef class OrderTemplate:

    def __init__(self):
        raise TypeError("GatewaySession.order_template makes templates")

    @property
    def address(self):
        return <size_t>&self.t

    def order_new(self, int64_t OrderQty, int64_t Price_e8=0, ClOrdID=0):
        cdef object clordid
        cdef const char *text
        cdef uint32_t n = 0
        self.session.change()
        if type(ClOrdID) is int:
            return order_new_from(self.session.g.s, &self.t, ClOrdID, OrderQty, Price_e8, self.session.g.e.now_ns)
        clordid = octets_of(ClOrdID, "ClOrdID")
        text = octets_at(clordid, &n)
        return order_new_from_text(self.session.g.s, &self.t, text, n, OrderQty, Price_e8, self.session.g.e.now_ns)
