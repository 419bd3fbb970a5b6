# The crash-safe store: a ring on tmpfs that the session writes, and a thread that carries it to disk.
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from fix.segment cimport segment_set
from fix.store cimport Store, fix_numbers, fix_store

cdef enum journal_durability:
    JOURNAL_PROCESS = 0         # survives kill -9
    JOURNAL_MACHINE = 1         # and, but for the last sync_ns, a crash of the machine
    JOURNAL_EACH = 2            # and a crash of the machine at any time: append returns after fdatasync

cdef struct ring_page:          # the first page of the ring's file; what is written by different threads is on different lines
    uint64_t magic
    uint32_t version
    uint32_t disk               # records go on to segments
    uint64_t size
    uint64_t stream
    uint64_t[4] pad0
    uint64_t head               # records end here; the session's thread
    uint64_t[7] pad1
    uint64_t drained            # on disk up to here (written, not yet synced); the drain thread
    uint64_t[7] pad2
    uint64_t tail               # the oldest record of the ring that is whole; with a disk: where this ring began
    uint64_t applied            # numbers hold what JOURNAL_NUMBERS records before here say
    fix_numbers numbers

cdef struct index_entry:
    uint64_t seq
    uint64_t at
    uint32_t n
    uint32_t known

cdef struct journal:
    ring_page *page
    uint8_t *ring
    uint64_t size
    index_entry *index
    uint64_t mask
    uint64_t void_before        # messages at positions before are void
    bint disk
    int durability
    uint64_t sync_ns
    uint64_t synced             # position up to which fdatasync has returned
    uint64_t idle_ns            # since the last sync
    uint64_t numbers_in         # next_in and created that the numbers file holds
    int64_t numbers_created
    uint64_t drain_errors
    int last_errno
    segment_set segments
    uint8_t *copy               # of a message that is only on disk
    journal *next               # of those the drain thread serves

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
