# Strategies that are C functions, given by address: C, Cython or numba's @cfunc. gateway/fixwire.h is the C side.
from gateway.strategy cimport Strategy

cdef class CallbackStrategy(Strategy):
    cdef void *ctx
    cdef void *message_fn
    cdef void *logon_fn
    cdef void *logout_fn
    cdef void *reject_fn
    cdef void *timer_fn
    cdef void *may_resend_fn
    cdef void *verdict_fn
    cdef void *lost_fn
    cdef object keep
