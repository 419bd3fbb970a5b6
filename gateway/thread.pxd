# The thread that runs an engine: its core, and what SIGINT and SIGTERM do while it runs.
from libc.stdint cimport uint32_t

# This thread to `core`, every other thread of the process off it -> {thread: cores before}, for unpin.
cdef dict pin(int core)
cdef int unpin(dict before) except -1
# From now on SIGINT and SIGTERM set bit 0 of both words; a second one ends the process as if there were no handler.
# SIGUSR1 writes 1 to the words of flight recorders (NULL: none; without any it is left as it was).
cdef void signals_take(uint32_t *a, uint32_t *b, uint32_t *dump_a, uint32_t *dump_b) noexcept nogil
cdef void signals_give() noexcept nogil
