# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The loops of bench/device.py: what the engine does with a device, through its four functions."""
from libc.stdint cimport uint64_t

from dpdk_py.base cimport Device
from dpdk_py.device cimport device, frame

cdef extern from *:
    """
    #include <time.h>
    static inline uint64_t bench_ns(void) {
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t)t.tv_sec * 1000000000u + t.tv_nsec;
    }
    """
    uint64_t bench_ns() noexcept nogil

cdef enum:
    TURNS = 1000


def empty(Device one, uint64_t[::1] samples):
    """rx_burst of 32 with nothing waiting; nanoseconds of TURNS calls into each sample."""
    cdef frame frames[32]
    cdef device *d = one.ptr()
    cdef uint64_t t
    cdef Py_ssize_t k
    cdef int i, got
    with nogil:
        for k in range(samples.shape[0]):
            t = bench_ns()
            for i in range(TURNS):
                got = d.ops.rx_burst(d, frames, 32, t)
                if got:
                    d.ops.free(d, frames, got)
            samples[k] = bench_ns() - t


def alloc_free(Device one, uint64_t[::1] samples):
    cdef frame f
    cdef device *d = one.ptr()
    cdef uint64_t t
    cdef Py_ssize_t k
    cdef int i
    with nogil:
        for k in range(samples.shape[0]):
            t = bench_ns()
            for i in range(TURNS):
                d.ops.alloc(d, &f)
                d.ops.free(d, &f, 1)
            samples[k] = bench_ns() - t


def through(Device sender, Device receiver, int burst, int octets, uint64_t[::1] samples):
    """alloc, tx_burst, rx_burst at the other end, free: TURNS times `burst` frames a sample. Returns frames received."""
    cdef frame out[32]
    cdef frame back[32]
    cdef device *a = sender.ptr()
    cdef device *b = receiver.ptr()
    cdef uint64_t t
    cdef Py_ssize_t k
    cdef int i, j, sent, got
    cdef uint64_t total = 0
    with nogil:
        for k in range(samples.shape[0]):
            t = bench_ns()
            for i in range(TURNS):
                for j in range(burst):
                    a.ops.alloc(a, &out[j])
                    out[j].len = octets
                sent = a.ops.tx_burst(a, out, burst, t)
                if sent < burst:
                    a.ops.free(a, out + sent, burst - sent)
                got = b.ops.rx_burst(b, back, 32, t)
                b.ops.free(b, back, got)
                total += got
            samples[k] = bench_ns() - t
    return total


def drain(Device one):
    """Receives and frees until nothing comes; frames."""
    cdef frame frames[32]
    cdef device *d = one.ptr()
    cdef uint64_t total = 0
    cdef int got
    with nogil:
        while True:
            got = d.ops.rx_burst(d, frames, 32, 0)
            if got == 0:
                break
            d.ops.free(d, frames, got)
            total += got
    return total
