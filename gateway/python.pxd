# Strategies that are Python objects.
from libc.stdint cimport uint32_t, uint64_t

from fix.fieldset cimport FieldSet
from fix.message cimport fix_field, fix_msg
from fix.session cimport fix_session

from gateway.strategy cimport Strategy

cdef class MessageView(FieldSet):
    cdef fix_msg *m                 # NULL outside the callback
    cdef uint32_t shown             # callbacks so far: what was taken from an earlier one is stale
    cdef readonly uint64_t now_ns
    cdef const fix_field *quick(self, object key) noexcept

cdef class PythonStrategy(Strategy):
    cdef readonly object target
    cdef readonly str on_error
    cdef readonly object last_error
    cdef object _on_start, _on_logon, _on_message, _on_reject, _on_timer, _on_logout, _on_stop, _on_verdict, _on_lost
    cdef object _may_resend
    cdef list pending
    cdef MessageView view
    cdef void failed(self, object exc, str where)
    cdef void call_message(self, object fn, fix_session *s, fix_msg *m, uint64_t now_ns, str where) noexcept
    cdef void call(self, object fn, object argument, str where) noexcept
    cdef void call_timed(self, object fn, object argument, str where) noexcept
