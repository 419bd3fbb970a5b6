# Open orders in a file on tmpfs, which outlives the process: gateway/slots keeps those of a session, OrderFile those of a desk.
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from gateway.open_orders cimport open_order

cdef enum:
    ORDERS_HEAD = 64

cdef struct orders_head:            # the file's first 64 octets
    uint64_t magic
    uint32_t entry                  # octets of an open_order
    uint32_t places
    uint64_t pending                # the order that is on its way into the journal, 0: none. A session: MsgSeqNum; a desk: serial + 1
    uint32_t text                   # octets between head and entries

cdef class OrderFile:
    cdef readonly str path
    cdef object map
    cdef uint8_t[::1] view
    cdef open_order *entries
    cdef uint64_t *pending          # of the head
