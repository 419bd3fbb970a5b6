"""Mempool and Mbuf: DPDK's packet buffers, seen from Python.

An Mbuf owns its buffer until `free`, until a port takes it for sending, or until Python collects it. Its octets are
a memoryview over the buffer itself, writable and without a copy; while one is alive the buffer cannot be freed or
sent (BufferError, as with bytearray). DPDK's own pool rules: dpdk mempool library guide; layout: rte_mbuf_core.h.
"""
import errno
import itertools

from cpython.buffer cimport PyBUF_FORMAT, PyBUF_ND, PyBUF_STRIDES
from dpdk_py.device cimport FRAME_SLACK
from dpdk_py.dpdk cimport (
    RTE_MBUF_DEFAULT_DATAROOM, RTE_MEMPOOL_CACHE_MAX_SIZE, RTE_PKTMBUF_HEADROOM, rte_mbuf,
    rte_mempool_avail_count, rte_mempool_free, rte_mempool_in_use_count, rte_pktmbuf_alloc, rte_pktmbuf_free,
    rte_pktmbuf_headroom, rte_pktmbuf_read, rte_pktmbuf_tailroom, rte_strerror, shim_errno, shim_pool_create,
)
from dpdk_py.eal cimport eal_require, eal_running
from libc.stdint cimport uint8_t, uint16_t
from libc.string cimport memcpy

from dpdk_py.errors import DpdkError

cdef object numbers = itertools.count()
cdef char *OCTETS = b"B"


cdef class Mempool:
    """`n` packet buffers (best 2^k - 1) of `room` octets behind DPDK's headroom of 128, on NUMA node `socket`.

    cache: buffers an lcore keeps for itself. Each buffer has 64 readable octets behind its room.
    DpdkError where the memory is not to be had. `close()` gives it back once every buffer is home.
    """

    def __init__(self, int n=4095, *, int room=RTE_MBUF_DEFAULT_DATAROOM, int cache=250, int socket=-1, name=None):
        cdef bytes cname
        cdef int ret
        eal_require()
        if n < 1:
            raise ValueError(f"n is {n}, must be 1 or more")
        if not 64 <= room <= 65535 - RTE_PKTMBUF_HEADROOM:
            raise ValueError(f"room is {room}, must be 64 to {65535 - RTE_PKTMBUF_HEADROOM} octets")
        if not 0 <= cache <= RTE_MEMPOOL_CACHE_MAX_SIZE:
            raise ValueError(f"cache is {cache}, must be 0 to {RTE_MEMPOOL_CACHE_MAX_SIZE}")
        if cache * 3 > n * 2:
            cache = n * 2 // 3                  # DPDK wants 1.5 times the cache in the pool
        self.name = f"fixwire{next(numbers)}" if name is None else name
        self.room = room
        self.socket = socket
        cname = self.name.encode()
        self.mp = shim_pool_create(cname, n, cache, <uint16_t>(RTE_PKTMBUF_HEADROOM + room), FRAME_SLACK, socket)
        if self.mp == NULL:
            ret = shim_errno()
            why = "a pool of that name exists" if ret == errno.EEXIST else rte_strerror(ret).decode()
            raise DpdkError(ret, f"no pool of {n} buffers of {room} octets: {why}", self.name,
                            "give EAL more memory (-m MB or hugepages) or ask for fewer buffers"
                            if ret == errno.ENOMEM else None)

    cdef int require(self) except -1:
        eal_require()
        if self.mp == NULL:
            raise DpdkError(errno.EBADF, "the pool is closed", self.name)
        return 0

    @property
    def size(self):
        """Buffers the pool was made with."""
        self.require()
        return self.mp.size

    @property
    def slack(self):
        """Octets behind each buffer's room that nothing else uses and loads may reach."""
        self.require()
        return self.mp.elt_size - sizeof(rte_mbuf) - RTE_PKTMBUF_HEADROOM - self.room

    @property
    def in_use(self):
        """Buffers that are out: with the caller, or in a driver's rings."""
        self.require()
        return rte_mempool_in_use_count(self.mp)

    @property
    def available(self):
        self.require()
        return rte_mempool_avail_count(self.mp)

    def alloc(self):
        """An empty Mbuf, or None if every buffer is out."""
        self.require()
        cdef rte_mbuf *m = rte_pktmbuf_alloc(self.mp)
        return mbuf_wrap(m, self) if m != NULL else None

    def close(self):
        """Give the memory back. DpdkError while buffers are out: freeing under them would corrupt memory."""
        cdef unsigned out
        if self.mp == NULL or not eal_running():
            return
        out = rte_mempool_in_use_count(self.mp)
        if out:
            raise DpdkError(errno.EBUSY, f"{out} of its buffers are still out", self.name,
                            "free or send them, and close the ports that receive into it")
        rte_mempool_free(self.mp)
        self.mp = NULL

    def __dealloc__(self):
        if self.mp != NULL and eal_running() and rte_mempool_in_use_count(self.mp) == 0:
            rte_mempool_free(self.mp)

    def __repr__(self):
        return f"<Mempool {self.name} room={self.room}{' closed' if self.mp == NULL else ''}>"


cdef Mbuf mbuf_wrap(rte_mbuf *m, Mempool pool):
    cdef Mbuf b = Mbuf.__new__(Mbuf)
    b.m = m
    b.pool = pool
    return b


cdef rte_mbuf *mbuf_take(Mbuf b) except NULL:
    cdef rte_mbuf *m
    b.require()
    if b.views:
        raise BufferError("a memoryview of this Mbuf is still in use")
    m = b.m
    b.m = NULL
    return m


cdef class Mbuf:
    """One packet buffer. Made by Mempool.alloc and Port.rx_burst, not by hand.

    memoryview(b): the first segment's octets, in place. `bytes(b)`: a copy of all segments.
    """

    cdef int require(self) except -1:
        if self.m == NULL:
            raise ValueError("the Mbuf was freed or sent")
        return eal_require()

    @property
    def len(self):
        """Octets of the packet, over all segments. Settable on a single segment, up to its room."""
        self.require()
        return self.m.pkt_len

    @len.setter
    def len(self, int n):
        self.require()
        if self.views:
            raise BufferError("a memoryview of this Mbuf is still in use")
        if self.m.nb_segs != 1:
            raise ValueError(f"the packet has {self.m.nb_segs} segments, only a single one can be resized")
        if not 0 <= n <= self.m.buf_len - self.m.data_off:
            raise ValueError(f"len is {n}, must be 0 to {self.m.buf_len - self.m.data_off}")
        self.m.data_len = <uint16_t>n
        self.m.pkt_len = n

    def append(self, const uint8_t[::1] octets not None):
        """Copy `octets` behind those there are. ValueError if they do not fit."""
        cdef Py_ssize_t n = octets.shape[0]
        cdef int old
        self.require()
        old = self.m.data_len
        self.len = old + n
        if n:
            memcpy(<uint8_t *>self.m.buf_addr + self.m.data_off + old, &octets[0], n)

    @property
    def segments(self):
        """Buffers the packet is chained of."""
        self.require()
        return self.m.nb_segs

    @property
    def headroom(self):
        """Octets free in front of the data."""
        self.require()
        return rte_pktmbuf_headroom(self.m)

    @property
    def tailroom(self):
        """Octets free behind the data of the first segment."""
        self.require()
        return rte_pktmbuf_tailroom(self.m)

    @property
    def port(self):
        """DPDK's number of the port it came from."""
        self.require()
        return self.m.port

    @property
    def flags(self):
        """ol_flags of DPDK: RTE_MBUF_F_*."""
        self.require()
        return self.m.ol_flags

    def free(self):
        """Give the buffer back to its pool. BufferError while a memoryview of it is in use. May be called twice."""
        if self.m != NULL:
            rte_pktmbuf_free(mbuf_take(self))

    def __bytes__(self):
        cdef bytearray out
        cdef uint8_t *to
        cdef const void *at
        self.require()
        out = bytearray(self.m.pkt_len)
        if len(out):
            to = out
            at = rte_pktmbuf_read(self.m, 0, self.m.pkt_len, to)
            if at != to:                # one segment: DPDK points into it instead of copying
                memcpy(to, at, self.m.pkt_len)
        return bytes(out)

    def __len__(self):
        return self.len

    def __getbuffer__(self, Py_buffer *view, int flags):
        self.require()
        self.shape[0] = self.m.data_len
        view.buf = <uint8_t *>self.m.buf_addr + self.m.data_off
        view.obj = self
        view.len = self.m.data_len
        view.itemsize = 1
        view.readonly = 0
        view.ndim = 1
        view.format = OCTETS if flags & PyBUF_FORMAT else NULL
        view.shape = self.shape if flags & PyBUF_ND == PyBUF_ND else NULL
        view.strides = &view.itemsize if flags & PyBUF_STRIDES == PyBUF_STRIDES else NULL
        view.suboffsets = NULL
        view.internal = NULL
        self.views += 1

    def __releasebuffer__(self, Py_buffer *view):
        self.views -= 1

    def __dealloc__(self):
        if self.m != NULL and eal_running():
            rte_pktmbuf_free(self.m)

    def __repr__(self):
        if self.m == NULL:
            return "<Mbuf gone>"
        return f"<Mbuf len={self.m.pkt_len} segments={self.m.nb_segs}>"
