# The crash-safe store: a ring on tmpfs that the session writes (fix/ring), and a thread that carries it to disk (fix/drain).
from libc.stdint cimport uint64_t

from fix.ring cimport journal
from fix.store cimport Store

cdef struct replay:             # what records say when a journal is opened
    uint64_t next_out           # 0: nothing
    uint64_t next_in            # of the last JOURNAL_NUMBERS record
    uint64_t numbers_at         # its position
    bint numbers

cdef class Journal(Store):
    cdef journal *j
    cdef int fd
    cdef bint open
    cdef void _begin_ring(self, replay *y)
    cdef void _let_go(self) noexcept
    cdef readonly object name, directory, ring_directory, durability
