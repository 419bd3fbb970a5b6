# The Python face of one session of an engine. Native strategies use fix_session and gateway.strategy instead.
from fix.session cimport fix_session_config

from gateway.order cimport order_template
from gateway.slab cimport slot

cdef class GatewaySession:
    cdef slot *g                # NULL once the engine is closed
    cdef str given_name         # None: made of the CompIDs
    cdef object engine          # weak: the engine owns us
    cdef object kept            # store, validator and windows that the fix_session points into
    cdef int live(self) except -1
    cdef int change(self) except -1
    cdef int ours(self) except -1

cdef class OrderTemplate:
    cdef order_template t
    cdef readonly GatewaySession session

# An identification into its 64 octets; ValueError if it cannot be one.
cdef int copy_id(char *to, object text, str what) except -1
# Keywords of Engine.add_session beyond its own: the session's configuration by name.
cdef int configure(fix_session_config *c, dict more) except -1
