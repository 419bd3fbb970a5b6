# A named region of shared memory with a header that says exactly what it is.
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

cdef enum:
    SEGMENT_HEADER = 4096       # octets before the data; one page, so the data is page-aligned
    SEGMENT_CONSTANT = 80       # octets of the header that never change once it is made: what lies before `state`
    SEGMENT_LAYOUT = 2          # raised when the layout of a header or of a ring changes

cdef enum segment_kind:
    SEGMENT_CHANNEL = 1         # SPSC ring
    SEGMENT_MPSC = 2
    SEGMENT_BROADCAST = 3
    SEGMENT_POOL = 4            # buffers of a descriptor broadcast

cdef enum segment_state:
    SEGMENT_INIT = 1
    SEGMENT_READY = 2
    SEGMENT_REMOVED = 3         # unlinked or replaced by its owner; peers should look for the new one

cdef enum segment_octet:
    # octets of the file that are only ever locked, never written: who holds which role
    LOCK_CREATOR = 0
    LOCK_PRODUCER = 1           # the only producer of a channel or broadcast
    LOCK_CONSUMER = 2
    LOCK_NAME = 3               # for as long as it takes to unlink the name, or to see that it still is the file's
    LOCK_PRODUCERS = 64         # 64 .. 127: the producers of an MPSC channel, by number

cdef struct segment_header:
    uint64_t magic
    uint32_t layout
    uint32_t byte_order         # 0x01020304 in the creator's order
    uint32_t kind               # segment_kind
    uint32_t max_len            # octets of the longest message, or of one buffer
    uint64_t capacity           # slots, a power of two
    uint64_t size               # octets of the whole file
    uint64_t epoch              # 1 for the first of this name, one more for each that replaced one
    uint64_t start_time         # of the creator, clock ticks since boot
    uint32_t creator
    uint32_t flags              # of the kind
    uint8_t boot_id[16]
    uint32_t state              # segment_state; written last, with release
    uint32_t wake               # futex word: bumped when a sleeper may have something to do
    uint32_t asleep             # 1: somebody may be waiting on `wake`; whoever wakes them clears it
    uint32_t sum                # CRC-32 of the first SEGMENT_CONSTANT octets, without who made it
    uint64_t mark               # a number the consumer leaves for its successor; nobody else's business

cdef class Segment:
    cdef segment_header *header
    cdef uint8_t *data          # SEGMENT_HEADER octets into the map
    cdef int fd
    cdef uint64_t size
    cdef uint64_t forks         # fork count when it was opened
    cdef uint32_t broken        # set by the SIGBUS guard
    cdef int guard
    cdef int exports            # views handed out and not yet given back
    cdef int waiting            # calls that wait without the GIL
    cdef int copying            # calls that copy without the GIL: others through this handle come after them
    cdef bint closing           # closed while a call waits; the last of those lets go
    cdef uint64_t inode
    cdef uint64_t device_number
    # our own copies: nothing in shared memory is trusted for bounds
    cdef readonly uint32_t kind
    cdef readonly uint32_t max_len
    cdef readonly uint64_t capacity
    cdef readonly uint64_t epoch
    cdef readonly uint32_t flags
    cdef readonly str path
    cdef readonly bint created
    cdef int check(self) except -1
    cdef int alone(self) except -1
    cdef void wait_over(self)
    cdef void _batch_over(self)
    cdef bint claim(self, int octet) except -1
    cdef bint held(self, int octet) noexcept nogil
    cdef void _release(self)

cdef Segment obtain(name, int kind, max_len, capacity, octets, create, directory, int flags, replace, timeout, lock, exact)

cdef class View:
    # buffer-protocol window into a segment: keeps it mapped, and keeps close() from pulling it away
    cdef Segment segment
    cdef uint8_t *data
    cdef Py_ssize_t n
    cdef bint readonly

cdef object view(Segment segment, const uint8_t *data, Py_ssize_t n, bint readonly)
