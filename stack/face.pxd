# The Python face of TCP. gateway cimports Stack for `nif` and `table`; nothing on a hot path needs the rest.
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from .flight cimport FlightRecorder
from .netif cimport Netif, netif
from .tcb cimport tcb, tcp_listener, tcp_options, tcp_table

cdef class Stack:
    cdef readonly Netif net
    cdef netif *nif
    cdef tcp_table *table
    cdef tcp_options defaults
    cdef uint64_t now_ns            # of the latest step or call
    cdef readonly FlightRecorder recorder       # None: off
    cdef object clock
    cdef unsigned long owner        # thread that steps; 0 = none yet
    cdef bint stepping
    cdef bint started
    cdef bint announce
    cdef object failure             # first exception of a callback in this step
    cdef readonly uint64_t callback_errors
    cdef dict connections_by_index
    cdef dict is_ready
    cdef list listeners
    cdef int enter(self, object now_ns) except -1
    cdef int fault(self) except -1

cdef class Connection:
    cdef readonly Stack stack
    cdef tcb *c                     # NULL once CLOSED
    cdef uint32_t generation
    cdef object data_callback
    cdef public object on_event
    cdef public object user
    cdef list queue                 # events not yet asked for
    cdef bytes rest                 # text unread when it closed
    cdef dict last                  # info() as it closed
    cdef bint delivering            # in on_data: what waits is its argument, and recv() has nothing
    cdef readonly bint eof
    cdef readonly str error
    cdef object __weakref__
    cdef int bind(self, tcb *c) except -1
    cdef int happened(self, int event) except -1
    cdef int live(self, object now_ns) except -1
    cdef int refuse(self) except -1

cdef class Listener:
    cdef readonly Stack stack
    cdef tcp_listener *l
    cdef public object on_accept
    cdef object waiting
    cdef readonly int port
    cdef uint32_t backlog
    cdef bint arrived(self, tcb *c) except -1
