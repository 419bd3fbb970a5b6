# The engine for Cython: what owns it all. Strategies need gateway.strategy only.
from libc.stdint cimport uint32_t, uint64_t

from stack.face cimport Stack

from gateway.slab cimport engine
from gateway.strategy cimport Strategy

cdef class Engine:
    cdef engine *e              # NULL once closed
    cdef void *wakes            # memory of engine.due
    cdef readonly object device
    cdef readonly Stack stack
    cdef bint announced
    cdef bint stepping
    cdef object look(self)
    cdef readonly object trace
    cdef readonly list sessions
    cdef readonly list strategies
    cdef readonly str idle
    cdef readonly bint running
    cdef object calls           # of submit()
    cdef object fatal           # what run() is to raise
    cdef bint started
    cdef bint ended             # stopped, and the strategies were told
    cdef bint given_time        # the last step's time was the caller's: virtual, perhaps
    cdef uint64_t traceback_ns
    cdef uint32_t tracebacks    # logged in the second that began then
    cdef object __weakref__
    cdef void release(self) noexcept
    cdef int open_(self) except -1
    cdef int mine(self) except -1
    cdef object start(self, uint64_t now_ns)
    cdef object attend(self)
    cdef int turn(self, Engine beside, int idle, bint hold, uint64_t until) except -1
    cdef object report(self, Strategy strategy, exc, str where)
