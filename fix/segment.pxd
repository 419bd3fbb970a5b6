# The journal's files on disk: segments that hold the ring's octets at their positions, and the numbers. Everything here may
# block and belongs to the drain thread or to opening and closing; nothing here is called while a message is on its way.
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from posix.types cimport off_t

from fix.store cimport fix_numbers

cdef enum journal_kind:
    JOURNAL_MESSAGE = 0x4D      # n octets of message `seq`
    JOURNAL_ADMIN = 0x41        # number `seq` was an administrative message; no octets
    JOURNAL_NUMBERS = 0x4E      # by hand or by a reset: next_out = seq, next_in = aux; messages from seq on are void
    JOURNAL_PAD = 0x50          # the next record begins at the ring's beginning; n octets in all, this word included

cdef enum:
    JOURNAL_HEAD = 32           # octets of journal_record
    SEGMENT_HEAD = 64
    SEGMENTS_MAX = 1024
    RECORD_MAX = 65536          # octets of a message

cdef struct journal_record:     # 8-aligned; followed by n octets and padding to 8
    uint32_t kind
    uint32_t n
    uint64_t seq
    uint64_t aux                # message: UTC ns; numbers: next_in
    uint32_t crc                # CRC-32C of the record with crc 0; filled in when it goes to disk
    uint32_t zero

cdef struct segment:
    uint64_t start              # position of its first octet in the journal
    uint64_t end                # behind its last whole record
    int fd                      # -1 but for the last one
    uint8_t *map                # the whole file, read only, or NULL

cdef extern from "<pthread.h>" nogil:
    ctypedef struct pthread_mutex_t:
        pass
    int pthread_mutex_init(pthread_mutex_t *m, const void *attr)
    int pthread_mutex_lock(pthread_mutex_t *m)
    int pthread_mutex_unlock(pthread_mutex_t *m)
    int pthread_mutex_destroy(pthread_mutex_t *m)

cdef struct segment_set:
    pthread_mutex_t lock        # held for the moment in which `at` changes, and while old octets are copied out
    char prefix[1024]           # directory and name
    uint64_t stream             # ties segments and ring together
    uint64_t size               # octets of a segment
    uint32_t keep               # segments kept, older ones are deleted
    uint32_t count
    segment at[1024]            # SEGMENTS_MAX, ascending
    int numbers_fd
    uint64_t generation         # of the numbers written last
    uint64_t damaged            # records with a wrong CRC
    uint64_t pruned

cdef inline uint64_t record_step(const journal_record *r) noexcept nogil:
    """Octets to the next record."""
    if r.kind == JOURNAL_PAD:
        return r.n
    return JOURNAL_HEAD + ((<uint64_t>r.n + 7) & ~<uint64_t>7)

cdef uint32_t crc32c(uint32_t crc, const uint8_t *p, uint64_t n) noexcept nogil
cdef bint record_is_good(journal_record *r, uint64_t left) noexcept nogil
cdef void record_seal(journal_record *r) noexcept nogil     # fill in crc

# 0 or an errno; segment_adopt: -1 = not a segment of this journal
cdef int segment_adopt(segment_set *set, const char *name, uint64_t start, bint last) noexcept nogil
cdef void segment_walk(segment_set *set, uint32_t i, uint64_t kept) noexcept nogil
cdef int segments_rotate(segment_set *set, uint64_t at) noexcept nogil
cdef int segments_write(segment_set *set, uint64_t at, const uint8_t *p, uint64_t n) noexcept nogil
cdef int segments_sync(segment_set *set) noexcept nogil
cdef uint64_t segments_seal(segment_set *set) noexcept nogil
cdef void segments_cut(segment_set *set, uint64_t at) noexcept nogil
cdef void segments_prune(segment_set *set) noexcept nogil
cdef void segments_close(segment_set *set) noexcept nogil
cdef const uint8_t *segments_at(segment_set *set, uint64_t at, uint64_t n) noexcept nogil
cdef int numbers_open(segment_set *set) noexcept nogil
cdef int numbers_write(segment_set *set, const fix_numbers *numbers, uint64_t at) noexcept nogil
cdef bint numbers_read(segment_set *set, fix_numbers *numbers, uint64_t *at) noexcept nogil
