# The flight recorder's Python face; the memory and the dumps are stack/recorder's.
from .netif cimport Netif
from .recorder cimport recorder

cdef class FlightRecorder:
    cdef recorder *r
    cdef Netif net
