# Mempool and Mbuf: DPDK's packet buffers for Python; the pools of DpdkDevice too.
from dpdk_py.dpdk cimport rte_mbuf, rte_mempool

cdef class Mempool:
    cdef rte_mempool *mp        # NULL once closed
    cdef readonly str name
    cdef readonly int room      # octets a driver may fill, behind the headroom
    cdef readonly int socket

    cdef int require(self) except -1

cdef class Mbuf:
    cdef rte_mbuf *m            # NULL once freed or sent: whoever holds the pointer owns the mbuf
    cdef Mempool pool
    cdef int views              # memoryviews out
    cdef Py_ssize_t shape[1]

    cdef int require(self) except -1

cdef Mbuf mbuf_wrap(rte_mbuf *m, Mempool pool)      # the caller's ownership passes to the Mbuf
cdef rte_mbuf *mbuf_take(Mbuf b) except NULL        # and back; BufferError while a memoryview is out
