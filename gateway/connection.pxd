# How a session of the gateway gets, uses and loses its TCP connection. Functions in the order of a connection's life.
from libc.stdint cimport uint16_t, uint64_t

from gateway.slab cimport anonymous, engine, slot

# fix_session.wire and .app of this slot: the way out through its connection, the way up to its strategy
cdef void slot_wire(slot *g) noexcept nogil
# acceptors: listen on `port`; True also if we already do. False: port taken, or too many ports.
cdef bint engine_listen(engine *e, uint16_t port) noexcept nogil
# what has come due for a slot: connect, poll its session, let a closed connection go
cdef void slot_wake(slot *g, uint64_t now_ns) noexcept nogil
# the Logon did not come in time
cdef void anonymous_wake(anonymous *a, uint64_t now_ns) noexcept nogil
# shutdown: Logout where there is a session, else close; and, when the time is over, the end
cdef void slot_leave(slot *g, uint64_t now_ns) noexcept nogil
cdef void slot_abort(slot *g, uint64_t now_ns) noexcept nogil
