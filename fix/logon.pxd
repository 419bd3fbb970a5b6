# Logon(A), sent and received, and what both sides missed before. For fix.session.
from libc.stdint cimport uint64_t

from fix.endpoint cimport fix_session
from fix.message cimport fix_msg

cdef void session_logon(fix_session *s, fix_msg *m, uint64_t seq, uint64_t now_ns) noexcept nogil
cdef void session_reset(fix_session *s, uint64_t now_ns) noexcept nogil     # both begin at 1; established: by a Logon
cdef void session_too_low(fix_session *s, fix_msg *m, uint64_t seq, uint64_t now_ns) noexcept nogil
cdef void resend_on(fix_session *s, uint64_t now_ns) noexcept nogil         # the next part of a running resend
