# Message logs, the thread's side: what writes them. gateway/wire_log.pxd is the engine's.
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from fix.message cimport fix_msg
from ipc.ring cimport ring

from gateway.slab cimport slot

cdef enum:
    PATH_OCTETS = 1024

cdef struct log_file:
    slot *g
    int fd                      # -1: not open
    uint64_t inode
    char directory[1024]

cdef class FileLog:
    cdef object engine
    cdef object thread
    cdef uint32_t max_slots
    cdef ring producer          # the engine's end
    cdef ring consumer          # the thread's
    cdef void *memory
    cdef size_t octets
    cdef log_file *files        # by slot
    cdef uint8_t *text          # of the message being put together
    cdef uint8_t *out           # lines not written yet
    cdef uint32_t out_n
    cdef log_file *out_to
    cdef fix_msg msg
    cdef uint32_t stopping
    cdef uint64_t looked_ns     # when it was last looked whether files were moved away
    cdef uint64_t written       # messages
    cdef uint64_t errors        # writes that failed: their lines are lost
    cdef uint64_t garbage       # octets received that were no message
    cdef int last_errno
    cdef void work(self) noexcept nogil
    cdef bint drain(self) noexcept nogil
    cdef void message(self, log_file *f, int64_t utc_ns, bint sent, uint32_t n) noexcept nogil
    cdef void line(self, log_file *f, int64_t utc_ns, const uint8_t *p, uint32_t n) noexcept nogil
    cdef void flush(self) noexcept nogil
    cdef bint open_file(self, log_file *f) noexcept nogil
    cdef void path_of(self, log_file *f, char *path, size_t room) noexcept nogil
    cdef void look(self) noexcept nogil
