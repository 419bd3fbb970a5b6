# cython: language_level=3
"""Crossed: one end of two DPDK rings, so that two engines can talk over net_ring, whose ports are loops of their own."""
from dpdk_py.base cimport Device
from dpdk_py.device cimport device, device_ops, frame
from libc.stdint cimport uint64_t
from libc.string cimport memcpy


cdef struct crossing:
    device *rx
    device *tx


cdef int crossed_rx_burst(device *d, frame *frames, int n, uint64_t now_ns) noexcept nogil:
    cdef crossing *x = <crossing *>d.self
    return x.rx.ops.rx_burst(x.rx, frames, n, now_ns)


cdef int crossed_tx_burst(device *d, frame *frames, int n, uint64_t now_ns) noexcept nogil:
    cdef crossing *x = <crossing *>d.self
    return x.tx.ops.tx_burst(x.tx, frames, n, now_ns)


cdef bint crossed_alloc(device *d, frame *f) noexcept nogil:
    cdef crossing *x = <crossing *>d.self
    return x.tx.ops.alloc(x.tx, f)


cdef void crossed_free(device *d, frame *frames, int n) noexcept nogil:
    cdef crossing *x = <crossing *>d.self
    x.rx.ops.free(x.rx, frames, n)          # an mbuf goes back to its own pool, whichever port is asked


cdef device_ops OPS
OPS.rx_burst = crossed_rx_burst
OPS.tx_burst = crossed_tx_burst
OPS.alloc = crossed_alloc
OPS.free = crossed_free


cdef class Crossed(Device):
    """Crossed(a, b, mac): receives what is sent into port `a`, sends into port `b`. The ports stay the caller's."""
    cdef crossing x
    cdef object ports

    def __init__(self, Device a not None, Device b not None, bytes mac not None):
        self.ports = (a, b)
        self.name = f"{a.name} x {b.name}"
        self.x.rx = a.ptr()
        self.x.tx = b.ptr()
        self.dev.ops = &OPS
        self.dev.self = &self.x
        self.dev.mtu = min(a.ptr().mtu, b.ptr().mtu)
        memcpy(self.dev.mac, <const char *>mac, 6)
