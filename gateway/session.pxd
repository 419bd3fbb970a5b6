# The Python face of one session of an engine. Native strategies use fix_session and gateway.strategy instead.
from libc.stdint cimport uint64_t

from gateway.slab cimport slot

cdef class GatewaySession:
    cdef slot *g                # NULL once the engine is closed
    cdef readonly str name
    cdef object engine          # weak: the engine owns us
    cdef int live(self) except -1
    cdef int change(self) except -1
