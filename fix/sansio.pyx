"""fix.Session: a FIX session for Python, sans-I/O. Octets and time go in, events and octets come out.

The owner has the connection and the clock: it calls `connected`, hands what it reads to `receive`, writes what
`data_to_send` gives, calls `poll` at `deadline_ns` at the latest, closes when `close_requested`, and says
`disconnected`. The same state machine as in the gateway (fix/session), over a growing buffer instead of TCP.
"""
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy, memmove

from fix.encode cimport fix_put_raw, fix_writer
from fix.endpoint cimport (
    FIX_ACCEPTOR, FIX_DISCONNECTED, FIX_ESTABLISHED, FIX_EV_GAP, FIX_EV_LOGOUT, FIX_EV_RESEND_REQUESTED, FIX_INITIATOR,
    fix_session, fix_session_config, fix_session_config_init, session_free, session_new,
)
from fix.message cimport FIX_SLACK, fix_field, fix_find, fix_msg
from fix.outbound cimport session_begin_with, session_end
from fix.parse cimport FIX_COMPLETE, FIX_PARTIAL, fix_msg_alloc, fix_msg_free, fix_parse
from fix.reject cimport session_business_reject, session_reject
from fix.session cimport (
    session_abort, session_ask_resend, session_connected, session_disconnected, session_input, session_logout,
    session_poll, session_renumber, session_reset, session_schedule, session_test_request,
)
from fix.store cimport MemoryStore, Store
from fix.tagvalue cimport split
from fix.validate cimport Validator, fix_check

from fix.errors import LocalProtocolError, RemoteProtocolError
from fix.states import REASONS, STATES

VERSIONS = {"FIX.4.0": 40, "FIX.4.1": 41, "FIX.4.2": 42, "FIX.4.3": 43, "FIX.4.4": 44, "FIXT.1.1": 50}
EVENTS = ("", "LOGON", "LOGOUT", "DISCONNECT", "REJECTED", "RESEND_REQUESTED", "GAP", "GARBLED", "ERROR", "RESET",
          "SENT_REJECT")
REFUSALS = ("", "not logged on", "no room to send: the peer does not read", "the store is full",
            "larger than max_out", "another message is begun", "the wire refused it", "throttled",
            "MsgSeqNum is used up")


class Event:
    """What happened: `name` is MESSAGE or one of EVENTS.

    raw      octets of the message it is about, or None          message  the same as a fix.Message
    reason   why a session ends or a fault was found, "" if none  text     Text(58) of a Logout
    begin, end   numbers of a GAP or RESEND_REQUESTED, else 0
    """
    __slots__ = ("name", "raw", "reason", "text", "begin", "end", "dictionary")

    def __init__(self, name, raw=None, reason="", text="", begin=0, end=0, dictionary=None):
        self.name, self.raw, self.reason, self.text = name, raw, reason, text
        self.begin, self.end, self.dictionary = begin, end, dictionary

    @property
    def message(self):
        """A fix.Message of `raw`, or None."""
        import fix
        if self.raw is None or self.dictionary is None:
            return None if self.raw is None else fix.parse(self.raw)
        return fix.Parser(self.dictionary).feed(self.raw)[0]        # data fields that only this dictionary knows

    @property
    def error(self):
        """The fault as an exception to raise, or None."""
        return RemoteProtocolError(self.reason) if self.name == "ERROR" else None

    def __repr__(self):
        said = [f"{n}={getattr(self, n)!r}" for n in ("reason", "text", "begin", "end") if getattr(self, n)]
        if self.raw is not None:
            said.insert(0, self.raw.decode("latin-1").replace("\x01", "|"))
        return f"<Event {self.name}{''.join(' ' + x for x in said)}>"


cdef str value_of(const fix_msg *m, const fix_field *f):
    return m.p[f.off:f.off + f.len].decode("latin-1")


def identify(data):
    """Whose first message is this? -> (BeginString, SenderCompID, TargetCompID) of a Logon; None: not all there yet.

    For acceptors of several sessions: the peer's SenderCompID is a session's TargetCompID. RemoteProtocolError if the
    octets do not begin with a Logon.
    """
    cdef bytes padded = bytes(data) + b"\0" * FIX_SLACK
    cdef fix_msg m
    cdef int verdict
    cdef const fix_field *sender
    cdef const fix_field *target
    if not fix_msg_alloc(&m, 0):
        raise MemoryError("a message's fields")
    try:
        verdict = fix_parse(&m, <const uint8_t *>padded, <uint32_t>len(padded) - FIX_SLACK)
        if verdict == FIX_PARTIAL:
            return None
        sender, target = fix_find(&m, 49), fix_find(&m, 56)
        if verdict != FIX_COMPLETE or m.MsgType != c'A' or sender == NULL or target == NULL:
            raise RemoteProtocolError("the first message is not a Logon")
        return value_of(&m, m.fields), value_of(&m, sender), value_of(&m, target)
    finally:
        fix_msg_free(&m)


cdef bint wire_commit(void *ctx, const uint8_t *p, uint32_t n, uint64_t now_ns) noexcept with gil:
    return (<Session>ctx)._commit(p, n)


cdef uint32_t wire_room(void *ctx) noexcept with gil:
    cdef Session self = <Session>ctx
    return self.send_limit - self.pending if self.pending < self.send_limit else 0


cdef void wire_close(void *ctx, bint abort, uint64_t now_ns) noexcept with gil:
    cdef Session self = <Session>ctx
    self.closing = self.s.state != FIX_DISCONNECTED     # on_event may have said that it is gone
    if abort:
        self.out.clear()
        self.pending = 0


cdef void app_message(void *ctx, fix_session *s, fix_msg *m, uint64_t now_ns) noexcept with gil:
    (<Session>ctx)._happened(Event("MESSAGE", PyBytes_FromStringAndSize(<const char *>m.p, m.n),
                                   dictionary=(<Session>ctx).own_data))


cdef void app_event(void *ctx, fix_session *s, int event, uint64_t now_ns) noexcept with gil:
    cdef bytes raw = PyBytes_FromStringAndSize(<const char *>s.in_msg.p, s.in_msg.n) if s.in_msg != NULL else None
    what = Event(EVENTS[event], raw, REASONS[s.reason], dictionary=(<Session>ctx).own_data)
    if event == FIX_EV_LOGOUT:
        what.text = s.text[:s.text_len].decode("latin-1")
    elif event == FIX_EV_RESEND_REQUESTED:
        what.begin, what.end = s.resend_from, s.resend_to
    elif event == FIX_EV_GAP:
        what.begin, what.end = s.gap_from, s.gap_to
    (<Session>ctx)._happened(what)


cdef int64_t number(name, value, int64_t least, int64_t most) except? -1:
    if not isinstance(value, int) or not least <= value <= most:
        raise ValueError(f"{name} is {value!r}, must be {least} to {most}")
    return value


cdef bytes octets(name, value):
    cdef bytes b = value.encode("latin-1") if isinstance(value, str) else bytes(value)
    if b"\x01" in b or b"\0" in b:
        raise ValueError(f"{name} is {value!r}, must not hold SOH or NUL")
    return b


cdef int text(char *field, int room, name, value, bint needed) except -1:
    cdef bytes b = octets(name, value)
    if len(b) > room or (needed and not b):
        raise ValueError(f"{name} is {value!r}, must be {1 if needed else 0} to {room} characters")
    memcpy(field, <const char *>b, len(b) + 1)
    return 0


cdef int configure(fix_session_config *c, dict options) except -1:
    """Keyword options of a Session, by the names of fix_session_config."""
    cdef dict o = dict(options)
    if "SenderSubID" in o: text(c.SenderSubID, 63, "SenderSubID", o.pop("SenderSubID"), False)
    if "TargetSubID" in o: text(c.TargetSubID, 63, "TargetSubID", o.pop("TargetSubID"), False)
    if "SenderLocationID" in o: text(c.SenderLocationID, 63, "SenderLocationID", o.pop("SenderLocationID"), False)
    if "TargetLocationID" in o: text(c.TargetLocationID, 63, "TargetLocationID", o.pop("TargetLocationID"), False)
    if "DefaultApplVerID" in o: text(c.DefaultApplVerID, 7, "DefaultApplVerID", o.pop("DefaultApplVerID"), False)
    if "Username" in o: text(c.Username, 63, "Username", o.pop("Username"), False)
    if "Password" in o: text(c.Password, 63, "Password", o.pop("Password"), False)
    if "reset_on_logon" in o: c.reset_on_logon = o.pop("reset_on_logon")
    if "reset_on_logout" in o: c.reset_on_logout = o.pop("reset_on_logout")
    if "reset_on_disconnect" in o: c.reset_on_disconnect = o.pop("reset_on_disconnect")
    if "check_comp_id" in o: c.check_comp_id = o.pop("check_comp_id")
    if "check_latency" in o: c.check_latency = o.pop("check_latency")
    if "next_expected" in o: c.next_expected = o.pop("next_expected")
    if "last_processed" in o: c.last_processed = o.pop("last_processed")
    if "timestamp_digits" in o:
        if o["timestamp_digits"] not in (0, 3, 6, 9):
            raise ValueError(f"timestamp_digits is {o['timestamp_digits']!r}, must be 0, 3, 6 or 9")
        c.timestamp_digits = o.pop("timestamp_digits")
    if "max_latency_ns" in o: c.max_latency_ns = number("max_latency_ns", o.pop("max_latency_ns"), 0, 1 << 61)
    if "logon_timeout_ns" in o: c.logon_timeout_ns = number("logon_timeout_ns", o.pop("logon_timeout_ns"), 1, 1 << 61)
    if "logout_timeout_ns" in o: c.logout_timeout_ns = number("logout_timeout_ns", o.pop("logout_timeout_ns"), 1, 1 << 61)
    if "resend_timeout_ns" in o: c.resend_timeout_ns = number("resend_timeout_ns", o.pop("resend_timeout_ns"), 0, 1 << 61)
    if "max_message" in o: c.max_message = number("max_message", o.pop("max_message"), 64, 65535)
    if "max_out" in o: c.max_out = number("max_out", o.pop("max_out"), 512, 65535)
    if "step_messages" in o: c.step_messages = number("step_messages", o.pop("step_messages"), 1, 1 << 30)
    if "step_octets" in o: c.step_octets = number("step_octets", o.pop("step_octets"), 1, 1 << 30)
    if "resend_messages" in o: c.resend_messages = number("resend_messages", o.pop("resend_messages"), 1, 1 << 30)
    if "queue_octets" in o: c.queue_octets = number("queue_octets", o.pop("queue_octets"), 0, 1 << 30)
    if "resend_request_max" in o: c.resend_request_max = number("resend_request_max", o.pop("resend_request_max"), 0, 1 << 30)
    if "throttle_messages" in o: c.throttle_messages = number("throttle_messages", o.pop("throttle_messages"), 0, 1 << 30)
    if "throttle_ns" in o: c.throttle_ns = number("throttle_ns", o.pop("throttle_ns"), 1, 1 << 61)
    if "seq_max" in o: c.seq_max = number("seq_max", o.pop("seq_max"), 1, 1 << 62)
    if o:
        raise TypeError(f"{', '.join(sorted(o))}: no such option of a Session")
    return 0


cdef class Session:
    """One FIX session. Times are `now_ns` (monotonic); UTC is now_ns + utc_offset_ns, or `clock` gives both.

    role            "initiator" or "acceptor"
    SenderCompID    ours; TargetCompID: the peer's; BeginString "FIX.4.0" ... "FIX.4.4", "FIXT.1.1" (DefaultApplVerID)
    HeartBtInt      seconds, 0 = none; an acceptor takes the peer's
    store           a fix.Store, default MemoryStore(); a store outlives sessions, not two of them at once
    clock           a callable giving now_ns where a method is called without it
    on_event        called with each Event when it happens instead of returning them; it may do everything but connected,
                    receive and poll, which wait for the end of the call it is told by
    send_buffer     octets that may wait in data_to_send before sends are refused
    validator       a fix.Validator: received messages are checked against its dictionary, None: not at all
    schedule        a fix.Schedule: outside its hours the session ends and does not begin; each window begins at number 1
    Further keywords: reset_on_logon, reset_on_logout, reset_on_disconnect, check_comp_id, check_latency, next_expected,
    last_processed, max_latency_ns, logon_timeout_ns, logout_timeout_ns, resend_timeout_ns, timestamp_digits, max_message,
    max_out, step_messages, resend_messages, queue_octets, resend_request_max, seq_max, throttle_messages, throttle_ns.
    """
    cdef fix_session *s
    cdef Store store
    cdef fix_msg scratch
    cdef int64_t utc_offset
    cdef uint8_t *buf           # what was received and is not consumed
    cdef uint32_t buf_len, buf_cap, need
    cdef list out
    cdef uint32_t pending, send_limit
    cdef bint closing
    cdef uint32_t inside        # calls of on_event that have not returned
    cdef object clock, on_event, raised, schedule
    cdef Validator validator
    cdef object own_data        # its dictionary, if that has data fields that the standard has not
    cdef int64_t[2] window
    cdef bytes _held            # the octets scratch points into
    cdef list events
    cdef object __weakref__

    def __cinit__(self, role, SenderCompID, TargetCompID, BeginString="FIX.4.4", HeartBtInt=30, store=None,
                  clock=None, utc_offset_ns=0, on_event=None, send_buffer=1 << 20, schedule=None,
                  validator=None, **options):
        cdef fix_session_config c
        fix_session_config_init(&c)
        if role not in ("initiator", "acceptor"):
            raise ValueError(f"role is {role!r}, must be 'initiator' or 'acceptor'")
        if BeginString not in VERSIONS:
            raise ValueError(f"BeginString is {BeginString!r}, must be one of {', '.join(VERSIONS)}")
        c.role = FIX_ACCEPTOR if role == "acceptor" else FIX_INITIATOR
        c.version = VERSIONS[BeginString]
        c.HeartBtInt = number("HeartBtInt", HeartBtInt, 0, 1 << 30)
        text(c.SenderCompID, 63, "SenderCompID", SenderCompID, True)
        text(c.TargetCompID, 63, "TargetCompID", TargetCompID, True)
        configure(&c, options)
        if c.version == 50 and c.DefaultApplVerID[0] == 0:
            raise ValueError("FIXT.1.1 needs DefaultApplVerID, such as '9' for FIX 5.0 SP2")
        self.store = MemoryStore() if store is None else store
        self.out = []
        self.events = []
        self.clock, self.on_event = clock, on_event
        self.utc_offset = utc_offset_ns
        self.send_limit = number("send_buffer", send_buffer, c.max_out + 4096, 1 << 31)
        if not fix_msg_alloc(&self.scratch, 0):
            raise MemoryError("a session's scratch")
        self.s = session_new(&c, self.store.st, NULL, NULL)
        if self.s == NULL:
            raise MemoryError("a session")
        self.s.utc_offset_ns = &self.utc_offset
        self.s.wire.ctx = self.s.app.ctx = <void *>self
        self.s.wire.commit = wire_commit
        self.s.wire.room = wire_room
        self.s.wire.close = wire_close
        self.s.app.on_message = app_message
        self.s.app.on_event = app_event
        self.schedule, self.validator = schedule, validator
        if validator is not None:
            self.s.check = fix_check
            self.s.check_tables = (<Validator>validator).rules
            self.s.data_table = self.scratch.data_table = (<Validator>validator).data_table
            self.own_data = validator.dictionary if self.s.data_table != NULL else None

    def __dealloc__(self):
        session_free(self.s)
        fix_msg_free(&self.scratch)
        free(self.buf)

    # --- the connection

    def connected(self, now_ns=None):
        """The connection is there. An initiator's Logon is then in data_to_send.

        LocalProtocolError inside on_event: the call that tells of the old connection ends first.
        """
        cdef uint64_t now = self._now(now_ns)
        self._not_inside("connected")
        if self.s.state != FIX_DISCONNECTED:
            raise LocalProtocolError(f"connected in state {self.state}")
        self.buf_len = self.need = self.pending = 0
        self.out.clear()
        self.closing = False
        self._look_at_hours(now)
        session_connected(self.s, now)
        return self._collect()

    def receive(self, data, now_ns=None):
        """Events that these octets, in any pieces, cause; with on_event it is called and the list is empty.

        LocalProtocolError before connected and inside on_event.
        """
        cdef uint64_t now = self._now(now_ns)
        cdef const uint8_t[::1] view = data
        cdef uint32_t used
        self._not_inside("receive")
        if self.s.state == FIX_DISCONNECTED:
            raise LocalProtocolError("receive before connected")
        self._append(view)
        while self.buf_len != 0 and self.buf_len >= self.need:
            used = session_input(self.s, self.buf, self.buf_len, now)
            self.need = self.s.need
            self.buf_len -= used
            memmove(self.buf, self.buf + used, self.buf_len)
            if used == 0 and self.need <= self.buf_len:
                break
        return self._collect()

    def data_to_send(self, limit=None):
        """Octets for the connection, at most `limit` of them; b"" if there are none. They count as sent."""
        data = b"".join(self.out)
        self.out.clear()
        if limit is not None and len(data) > limit:
            self.out.append(data[limit:])
            data = data[:limit]
        self.pending -= <uint32_t>len(data)
        return data

    def poll(self, now_ns=None):
        """Heartbeats, timeouts, the next part of a resend; to be called at deadline_ns, harmless at any time.

        LocalProtocolError inside on_event.
        """
        cdef uint64_t now = self._now(now_ns)
        self._not_inside("poll")
        session_poll(self.s, now)
        return self._collect()

    def disconnected(self, now_ns=None):
        """The connection is gone, whoever closed it."""
        session_disconnected(self.s, self._now(now_ns))
        self.closing = False
        return self._collect()

    # --- sending

    def send(self, message, now_ns=None):
        """Send an application message -> its MsgSeqNum.

        `message`: a fix.Message, "35=D|11=A1|..." (or SOH), or (tag, value) pairs with 35 among them. Header fields
        other than the session's own (8 9 10 34 43 49 52 56 122, which are left out) take their place in the header.
        Raises LocalProtocolError if it is refused; then no number is used.
        """
        cdef uint64_t now = self._now(now_ns), seq = self.s.next_out
        cdef uint64_t kind = 0
        cdef fix_writer *w
        cdef bytes extra, body, MsgType
        cdef Py_ssize_t i
        MsgType, extra, body = split(message)
        if not 1 <= len(MsgType) <= 8:
            raise LocalProtocolError(f"MsgType(35) is {MsgType!r}, must be 1 to 8 characters")
        if MsgType in (b"0", b"1", b"2", b"4", b"5", b"A"):
            raise LocalProtocolError(f"MsgType(35) is {MsgType.decode()}: administrative messages are the session's")
        for i in range(len(MsgType)):
            kind |= <uint64_t><uint8_t>MsgType[i] << (8 * i)
        if len(extra) + len(body) > self.s.config.max_out:
            raise LocalProtocolError(f"the message has {len(extra) + len(body)} octets of fields, max_out is "
                                     f"{self.s.config.max_out}")
        w = session_begin_with(self.s, kind, <const uint8_t *>extra, <uint32_t>len(extra), now)
        if w != NULL:
            fix_put_raw(w, <const uint8_t *>body, <uint32_t>len(body))
        if w == NULL or not session_end(self.s, w, now):
            raise LocalProtocolError(REFUSALS[self.s.refusal])
        return seq

    def reject(self, raw, reason, ref_tag=0, now_ns=None):
        """Reject(3) of the received message `raw`: SessionRejectReason, RefTagID (0 = none)."""
        self._parse(raw)
        if not session_reject(self.s, &self.scratch, reason, ref_tag, self._now(now_ns)):
            raise LocalProtocolError(REFUSALS[self.s.refusal])

    def business_reject(self, raw, reason, text=None, ref_tag=0, now_ns=None):
        """BusinessMessageReject(j), in FIX 4.0 and 4.1 a Reject(3), of the received message `raw`."""
        cdef bytes said = None if text is None else octets("Text(58)", text)
        self._parse(raw)
        if not session_business_reject(self.s, &self.scratch, reason, NULL if said is None else <const char *>said,
                                       ref_tag, self._now(now_ns)):
            raise LocalProtocolError(REFUSALS[self.s.refusal])

    def logout(self, text="", now_ns=None):
        """Ask for an orderly end: Logout, the peer's Logout or logout_timeout_ns, then close_requested."""
        cdef bytes said = octets("Text(58)", text)
        session_logout(self.s, <const char *>said, self._now(now_ns))
        return self._collect()

    def abort(self, now_ns=None):
        """Close without a word."""
        session_abort(self.s, self._now(now_ns))
        return self._collect()

    def test_request(self, now_ns=None):
        """Send a TestRequest(1)."""
        session_test_request(self.s, self._now(now_ns))

    def resend_request(self, begin, end=0, now_ns=None):
        """Ask for messages again; end 0 = up to the last. What was received before comes back as duplicates."""
        session_ask_resend(self.s, begin, end, self._now(now_ns))

    def reset(self, now_ns=None):
        """Both numbers begin at 1; while established the peer is told by a Logon with ResetSeqNumFlag."""
        session_reset(self.s, self._now(now_ns))
        return self._collect()

    # --- state

    @property
    def state(self):
        """One of fix.session.STATES."""
        return STATES[self.s.state]

    @property
    def established(self):
        """True while application messages may be sent."""
        return self.s.state == FIX_ESTABLISHED

    @property
    def close_requested(self):
        """True once the connection is to be closed, after what data_to_send still gives."""
        return self.closing

    @property
    def reason(self):
        """Why the session ended, "" if it did not or ended well."""
        return REASONS[self.s.reason]

    @property
    def deadline_ns(self):
        """When poll is due at the latest, or None."""
        return None if self.s.deadline_ns == <uint64_t>0xFFFFFFFFFFFFFFFF else self.s.deadline_ns

    @property
    def next_in(self):
        """MsgSeqNum expected from the peer."""
        return self.s.next_in

    @next_in.setter
    def next_in(self, value):
        session_renumber(self.s, number("next_in", value, 1, 1 << 62), 0)

    @property
    def next_out(self):
        """MsgSeqNum of the next message we send."""
        return self.s.next_out

    @next_out.setter
    def next_out(self, value):
        session_renumber(self.s, 0, number("next_out", value, 1, 1 << 62))

    @property
    def HeartBtInt(self):
        """Seconds between heartbeats, as agreed on."""
        return self.s.heartbeat_ns // 1000000000

    @property
    def utc_offset_ns(self):
        """UTC minus now_ns."""
        return self.utc_offset

    @utc_offset_ns.setter
    def utc_offset_ns(self, value):
        self.utc_offset = value

    def stats(self):
        """Counters as a dict."""
        return self.s.stats

    # --- within

    cdef uint64_t _now(self, now_ns) except? 0:
        if now_ns is not None:
            return now_ns
        if self.clock is None:
            raise TypeError("now_ns is missing: give it, or a clock when the Session is made")
        return self.clock()

    cdef int _not_inside(self, str what) except -1:
        """What tells an event is in the middle of something: a new connection, octets or time have to wait for its end."""
        if self.inside:
            raise LocalProtocolError(f"{what} inside on_event: the call it is told by ends first")
        return 0

    cdef int _look_at_hours(self, uint64_t now) except -1:
        if self.schedule is not None:
            self.window[0], self.window[1] = self.schedule.window(<int64_t>now + self.utc_offset)
            session_schedule(self.s, self.window, 1, now)
        return 0

    cdef int _append(self, const uint8_t[::1] view) except -1:
        cdef size_t want = <size_t>self.buf_len + view.shape[0] + FIX_SLACK
        cdef uint8_t *p
        if want > 1 << 30:
            raise ValueError(f"{view.shape[0]} octets at once, at most {1 << 30}")
        if want > self.buf_cap:
            p = <uint8_t *>realloc(self.buf, want * 2)
            if p == NULL:
                raise MemoryError(f"{want} octets of receive buffer")
            self.buf = p
            self.buf_cap = <uint32_t>(want * 2)
        if view.shape[0] > 0:
            memcpy(self.buf + self.buf_len, &view[0], view.shape[0])
            self.buf_len += <uint32_t>view.shape[0]
        return 0

    cdef bint _commit(self, const uint8_t *p, uint32_t n):
        if n > self.send_limit - self.pending:
            return False
        self.out.append(PyBytes_FromStringAndSize(<const char *>p, n))
        self.pending += n
        return True

    cdef void _happened(self, object event):
        if self.on_event is None:
            self.events.append(event)
            return
        self.inside += 1
        try:
            self.on_event(self, event)
        except BaseException as error:      # raised where the octets came in; the message counts as delivered
            if self.raised is None:
                self.raised = error
        self.inside -= 1

    cdef list _collect(self):
        cdef list events = self.events
        self.events = []
        if self.raised is not None and not self.inside:
            error, self.raised = self.raised, None
            raise error
        return events

    cdef int _parse(self, raw) except -1:
        cdef bytes data = bytes(raw) + b"\0" * FIX_SLACK
        if fix_parse(&self.scratch, <const uint8_t *>data, <uint32_t>len(data) - FIX_SLACK) != FIX_COMPLETE:
            raise ValueError("not one whole FIX message")
        self._held = data
        return 0
