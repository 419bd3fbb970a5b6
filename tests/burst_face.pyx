"""The four functions of a device, one by one, from Python: frames are held as a hot loop would hold them."""
from libc.stdint cimport uint16_t, uint64_t
from libc.string cimport memcpy, memmove

from dpdk_py.base cimport Device
from dpdk_py.device cimport device, frame

HELD = 512


cdef class Bursts:
    """Frames in hand, oldest first: from `rx` and `alloc`, until `send` or `free` takes them from the front."""
    cdef Device owner
    cdef device *d
    cdef frame frames[512]
    cdef readonly int held

    def __init__(self, Device owner not None):
        self.owner = owner
        self.d = owner.ptr()

    def rx(self, int n=32, uint64_t now_ns=0):
        cdef int got
        with nogil:
            got = self.d.ops.rx_burst(self.d, self.frames + self.held, min(n, 512 - self.held), now_ns)
        self.held += got
        return got

    def alloc(self, bytes data=b"", uint16_t flags=0):
        cdef frame *f = self.frames + self.held
        if not self.d.ops.alloc(self.d, f):
            return False
        assert len(data) <= f.room
        memcpy(f.data, <const char *>data, len(data))
        f.len = <unsigned int>len(data)
        f.flags = flags
        self.held += 1
        return True

    def push(self, int i, bytes data):
        """Put `data` in front of frame i, into its headroom."""
        cdef frame *f = self.frames + i
        f.data -= len(data)
        memcpy(f.data, <const char *>data, len(data))
        f.len += <unsigned int>len(data)

    cdef void drop(self, int n):
        self.held -= n
        memmove(self.frames, self.frames + n, self.held * sizeof(frame))

    def send(self, n=None, uint64_t now_ns=0):
        cdef int count = self.held if n is None else n, taken
        with nogil:
            taken = self.d.ops.tx_burst(self.d, self.frames, count, now_ns)
        self.drop(taken)
        return taken

    def free(self, n=None):
        cdef int count = self.held if n is None else n
        self.d.ops.free(self.d, self.frames, count)
        self.drop(count)

    def data(self, int i, int slack=0):
        cdef frame *f = self.frames + i
        return (<const char *>f.data)[:f.len + slack]

    def field(self, int i):
        """(address modulo 64, len, room, flags)"""
        cdef frame *f = self.frames + i
        return <size_t>f.data % 64, f.len, f.room, f.flags
