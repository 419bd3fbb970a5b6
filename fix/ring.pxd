# The ring of a journal: what a session writes before the wire sees it, in memory that survives the process. Structs of the
# whole journal, and the two words that its two threads share.
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from fix.segment cimport journal_record, segment_set
from fix.store cimport fix_numbers, fix_store_ops

cdef extern from *:
    """
    #include <stdint.h>
    static inline void fw_publish(uint64_t *p, uint64_t v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }
    static inline uint64_t fw_observe(const uint64_t *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
    """
    void publish "fw_publish"(uint64_t *p, uint64_t v) noexcept nogil
    uint64_t observe "fw_observe"(const uint64_t *p) noexcept nogil

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


cdef inline journal_record *record_at(journal *j, uint64_t at) noexcept nogil:
    return <journal_record *>(j.ring + (at & (j.size - 1)))


cdef inline void index_put(journal *j, uint64_t seq, uint64_t at, uint32_t n) noexcept nogil:
    cdef index_entry *e = &j.index[seq & j.mask]
    e.seq = seq
    e.at = at
    e.n = n
    e.known = True


cdef fix_store_ops JOURNAL_OPS
cdef fix_store_ops CLOSED_OPS       # a closed journal: nothing is kept, nothing may be sent
