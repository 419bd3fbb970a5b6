"""Strategies that are Python objects: the one place where the engine's thread takes the GIL.

A spinning engine that has such a strategy holds the GIL already (see Engine.run), so `with gil` costs it little; any other
takes it for the callback. Inside a callback nothing gives it up: order_new and send run with it held.
"""
from libc.stdint cimport int64_t, uint32_t, uint64_t

from fix.face cimport message_of
from fix.fieldset cimport FieldSet, text_of
from fix.message cimport fix_field, fix_find, fix_msg, fix_read_int, fix_read_price_e8
from fix.session cimport fix_session

from gateway.slab cimport ENGINE_ERROR, EV_STRATEGY_ERROR, engine_note, flag_set, slot
from gateway.strategy cimport Strategy


cdef extern from "Python.h":
    long PyLong_AsLongAndOverflow(object number, int *overflow)
    ctypedef struct PyTypeObject:
        void *tp_getattro
    void PyObject_GenericGetAttr()
    void PyType_Modified(PyTypeObject *kind)

cdef object UNSET = object()


cdef class MessageView(FieldSet):
    """See gateway/python.pyi."""

    def __init__(self):
        raise TypeError("a MessageView is made by the gateway")

    cdef fix_msg *_at(self) except NULL:
        if self.m == NULL:
            raise RuntimeError("a message is valid inside its callback only; keep msg.copy() or bytes(msg)")
        return self.m

    cdef uint32_t _first(self) noexcept:
        return 0

    cdef uint32_t _last(self) noexcept:
        return self.m.count if self.m != NULL else 0

    cdef object _message(self):
        return self

    cdef uint32_t _changes(self) noexcept:
        return self.shown

    @property
    def MsgType(self):
        cdef fix_msg *m = self._at()
        if m.fields[2].len == 1:
            return ONE[m.p[m.fields[2].off]]
        return text_of(m.p + m.fields[2].off, m.fields[2].len)

    # Tags as integers, straight from the fields; names, missing fields and bad values take FieldSet's way.

    cdef const fix_field *quick(self, object key) noexcept:
        """The field if `key` is a tag as a number and is there; else NULL, and FieldSet says what is wrong."""
        cdef int overflow = 0
        cdef long tag
        if self.m == NULL or type(key) is not int:
            return NULL
        tag = PyLong_AsLongAndOverflow(key, &overflow)
        return fix_find(self.m, <uint32_t>tag) if 0 < tag < 1 << 31 else NULL

    def __getitem__(self, key):
        cdef const fix_field *f = self.quick(key)
        if f == NULL:
            return FieldSet.__getitem__(self, key)
        return ONE[self.m.p[f.off]] if f.len == 1 else text_of(self.m.p + f.off, f.len)

    def get_int(self, key, default=UNSET):
        cdef int64_t v
        if fix_read_int(self.m, self.quick(key), &v):
            return v
        return FieldSet.get_int(self, key) if default is UNSET else FieldSet.get_int(self, key, default)

    def get_e8(self, key, default=UNSET):
        cdef int64_t v
        if fix_read_price_e8(self.m, self.quick(key), &v):
            return v
        return FieldSet.get_e8(self, key) if default is UNSET else FieldSet.get_e8(self, key, default)

    @property
    def dictionary(self):
        return message_of(self._at(), None).dictionary

    @property
    def name(self):
        known = self.dictionary.messages.get(self.MsgType)
        return known.name if known is not None else self.MsgType

    def _title(self):
        return f"{self.name}({self.MsgType})"

    def _field_title(self, tag):
        known = self.dictionary.fields.get(tag)
        return f"{known.name}({tag})" if known is not None else f"tag {tag}"

    def copy(self):
        return message_of(self._at(), None)

    def __bytes__(self):
        cdef fix_msg *m = self._at()
        return (<const char *>m.p)[:m.n]

    def __repr__(self):
        if self.m == NULL:
            return "<MessageView, gone>"
        return f"<MessageView {bytes(self).replace(bytes([1]), b'|').decode('latin-1')}>"


cdef list ONE = [chr(octet) for octet in range(256)]


cdef class PythonStrategy(Strategy):
    """See gateway/python.pyi."""

    def __init__(self, target, str on_error="continue", str name=None):
        super().__init__()
        if on_error not in ("continue", "disable", "stop"):
            raise ValueError(f"on_error is {on_error!r}, must be 'continue', 'disable' or 'stop'")
        if not callable(getattr(target, "on_message", None)):
            raise TypeError(f"{target!r} has no method on_message(session, msg)")
        self.target = target
        self.on_error = on_error
        self.name = name or getattr(target, "name", None) or type(target).__name__
        self.pending = []
        self.view = MessageView.__new__(MessageView)
        self._on_start = getattr(target, "on_start", None)
        self._on_logon = getattr(target, "on_logon", None)
        self._on_message = target.on_message
        self._on_reject = getattr(target, "on_reject", None)
        self._on_timer = getattr(target, "on_timer", None)
        self._on_logout = getattr(target, "on_logout", None)
        self._on_stop = getattr(target, "on_stop", None)
        self._on_verdict = getattr(target, "on_verdict", None)
        self._on_lost = getattr(target, "on_lost", None)
        self._may_resend = getattr(target, "may_resend", None)

    cdef void on_start(self, uint64_t now_ns) noexcept nogil:
        with gil:
            if self._on_start is not None:
                self.call_timed(self._on_start, self.engine, "on_start")

    cdef void on_logon(self, fix_session *s, uint64_t now_ns) noexcept nogil:
        with gil:
            if self._on_logon is not None:
                self.call(self._on_logon, <object>(<slot *>s.user).handle, "on_logon")

    cdef void on_message(self, fix_session *s, fix_msg *m, uint64_t now_ns) noexcept nogil:
        with gil:
            self.call_message(self._on_message, s, m, now_ns, "on_message")

    cdef void on_reject(self, fix_session *s, fix_msg *m, uint64_t now_ns) noexcept nogil:
        with gil:
            if self._on_reject is not None:
                self.call_message(self._on_reject, s, m, now_ns, "on_reject")

    cdef void on_timer(self, uint64_t now_ns) noexcept nogil:
        with gil:
            if self._on_timer is not None:
                self.call_timed(self._on_timer, now_ns, "on_timer")

    cdef void on_logout(self, fix_session *s, uint64_t now_ns) noexcept nogil:
        with gil:
            if self._on_logout is not None:
                self.call(self._on_logout, <object>(<slot *>s.user).handle, "on_logout")

    cdef void on_stop(self, uint64_t now_ns) noexcept nogil:
        with gil:
            if self._on_stop is not None:
                self.call(self._on_stop, self.engine, "on_stop")

    cdef void on_verdict(self, fix_session *s, uint64_t token, int verdict, uint64_t now_ns) noexcept nogil:
        with gil:
            if self._on_verdict is not None:
                try:
                    self._on_verdict(<object>(<slot *>s.user).handle, token, verdict)
                except BaseException as exc:
                    self.failed(exc, "on_verdict")

    cdef void on_lost(self, uint64_t count, uint64_t now_ns) noexcept nogil:
        with gil:
            if self._on_lost is not None:
                self.call(self._on_lost, count, "on_lost")

    cdef bint may_resend(self, fix_session *s, fix_msg *m, uint64_t now_ns) noexcept nogil:
        """An exception is no: what cannot be judged is not sent a second time."""
        cdef bint may = True
        with gil:
            if self._may_resend is not None:
                may = False
                self.view.m = m
                self.view.shown += 1
                self.view.now_ns = now_ns
                try:
                    may = bool(self._may_resend(<object>(<slot *>s.user).handle, self.view))
                except BaseException as exc:
                    self.failed(exc, "may_resend")
                self.view.m = NULL
        return may

    cdef void call_message(self, object fn, fix_session *s, fix_msg *m, uint64_t now_ns, str where) noexcept:
        cdef fix_msg *outer = self.view.m      # a callback inside a callback does not happen, but would be right
        self.view.m = m
        self.view.shown += 1
        self.view.now_ns = now_ns
        try:
            fn(<object>(<slot *>s.user).handle, self.view)
        except BaseException as exc:
            self.failed(exc, where)
        self.view.m = outer

    cdef void call(self, object fn, object argument, str where) noexcept:
        try:
            fn(argument)
        except BaseException as exc:
            self.failed(exc, where)

    cdef void call_timed(self, object fn, object argument, str where) noexcept:
        """What on_start and on_timer return, where it is an int, is when on_timer comes (again)."""
        try:
            at_ns = fn(argument)
            if type(at_ns) is int:
                self.set_timer(at_ns)
        except BaseException as exc:
            self.failed(exc, where)

    cdef void failed(self, object exc, str where):
        """Count it and leave it for the engine, which logs it and applies the policy before its next step."""
        self.errors += 1
        self.last_error = exc
        if len(self.pending) < 16:
            self.pending.append((exc, where))
        if self.on_error != "continue" or not isinstance(exc, Exception):
            self.enabled = False            # now: nothing more of this burst is delivered
        if self.slot != NULL:
            self.slot.e.stats.errors += 1
            engine_note(self.slot.e, 0, EV_STRATEGY_ERROR, 0)
            flag_set(self.slot.e, ENGINE_ERROR)

    cdef list take_errors(self):
        taken, self.pending = self.pending, []
        return taken


# FieldSet's way to the names that only a user's dictionary has would cost every msg.get_int() a bound method, 40 ns each: the
# interpreter looks methods up in place only on types with the ordinary attribute lookup. msg["Desk"] takes such names too.
(<PyTypeObject *>MessageView).tp_getattro = <void *>PyObject_GenericGetAttr
PyType_Modified(<PyTypeObject *>MessageView)
