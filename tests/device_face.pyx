"""A hand that holds frames, as the stack does: compiled by tests/compiled.py. The Python face of Device only copies."""
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport uint64_t, uintptr_t
from libc.string cimport memcpy

from dpdk_py.base cimport FRAME_MARKS, Device
from dpdk_py.device cimport FRAME_HEADROOM, FRAME_SLACK, frame

DEBUG = bool(FRAME_MARKS)
HEADROOM = FRAME_HEADROOM


cdef class Hand:
    """Up to 4096 frames of one device, numbered in the order in which they came."""
    cdef Device device
    cdef frame held[4096]
    cdef readonly int n

    def __init__(self, Device device not None):
        self.device = device

    def receive(self, int n, uint64_t now_ns=0):
        """rx_burst; how many frames were added to the hand."""
        got = self.device.dev.ops.rx_burst(&self.device.dev, self.held + self.n, min(n, 4096 - self.n), now_ns)
        self.n += got
        return got

    def alloc(self, bytes data=b""):
        """True if a frame could be had; it is filled with `data`."""
        cdef frame *f = &self.held[self.n]
        if not self.device.dev.ops.alloc(&self.device.dev, f):
            return False
        memcpy(f.data, <const char *>data, len(data))
        f.len = len(data)
        self.n += 1
        return True

    def send(self, uint64_t now_ns=0):
        """tx_burst of all; how many were taken. Those not taken stay in the hand."""
        cdef int i, taken = self.device.dev.ops.tx_burst(&self.device.dev, self.held, self.n, now_ns)
        self.n -= taken
        for i in range(self.n):
            self.held[i] = self.held[i + taken]
        return taken

    def look(self):
        """What each frame holds now. The octets of FRAME_SLACK behind it are read too."""
        cdef int i, k
        cdef unsigned int total = 0
        for i in range(self.n):
            for k in range(FRAME_SLACK):
                total += self.held[i].data[self.held[i].len + k]
        return [PyBytes_FromStringAndSize(<char *>self.held[i].data, self.held[i].len) for i in range(self.n)]

    def fields(self, int i):
        f = self.held[i]
        return {"len": f.len, "room": f.room, "flags": f.flags, "vlan_tci": f.vlan_tci, "ts_source": f.ts_source,
                "ts_ns": f.ts_ns, "offset": <uintptr_t>f.data % 64}

    def free(self, *numbers):
        """Frees the frames of these numbers one by one, all of them in one call if none is named."""
        cdef int i, k
        if not numbers:
            self.device.dev.ops.free(&self.device.dev, self.held, self.n)
            self.n = 0
            return
        for i in numbers:
            self.device.dev.ops.free(&self.device.dev, &self.held[i], 1)
        for i in sorted(numbers, reverse=True):
            self.n -= 1
            for k in range(i, self.n):
                self.held[k] = self.held[k + 1]

    def free_again(self, int i):
        """Gives a frame back and keeps it: what nobody may do."""
        self.device.dev.ops.free(&self.device.dev, &self.held[i], 1)
