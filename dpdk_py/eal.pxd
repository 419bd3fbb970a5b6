# Eal: DPDK's environment, once a process. What mbuf and port ask of it.
from libc.stdint cimport uint16_t

cdef enum eal_state:
    EAL_NONE = 0            # rte_eal_init was not called
    EAL_RUNNING = 1
    EAL_FAILED = 2          # rte_eal_init failed; DPDK cannot try again in this process
    EAL_CLEANED = 3         # rte_eal_cleanup was called; DPDK cannot begin again
    EAL_FORKED = 4          # the child of a fork: EAL's threads exist only in the parent

cdef bint eal_running() noexcept nogil
cdef int eal_require() except -1                    # raises the reason unless running
cdef int eal_register_thread() noexcept nogil       # 0, or -rte_errno; any thread, any number of times
cdef void eal_unregister_thread() noexcept nogil

cdef int eal_attach(str name, str devargs, uint16_t *port) except -1     # raises DpdkError with reason and remedy
cdef int eal_detach(str name) except -1
cdef object eal_log_mark()                                               # where the log stands: for eal_error
cdef int eal_watch(object port) except -1                                # cleanup closes it
cdef object eal_error(int ret, str what, str name, object mark)          # the DpdkError of a failed call, log read
