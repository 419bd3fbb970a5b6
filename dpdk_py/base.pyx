"""class Device: owns one `device` (dpdk_py/device.pxd), its counters and its end.

The hot path cimports `Device.ptr()` and calls `dev.ops`. The methods here are the slow, safe way to the same four
functions: they copy every frame, so nothing is borrowed once they return. Good for tests, tools and for using
dpdk_py on its own.
"""
import errno
from collections import namedtuple

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_FromStringAndSize
from dpdk_py.device cimport (
    DEVICE_TX_IP_CSUM, DEVICE_TX_L4_CSUM, FRAME_RX_PARTIAL, FRAME_TX_IP_CSUM, FRAME_TX_L4_CSUM, device, device_stats,
    frame,
)
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from stack.wire.octets cimport load_be16, store_be16

from dpdk_py.errors import DeviceError

BURST = 64
MTU_MIN = 68            # RFC 791: every module must forward a datagram of 68 octets
MTU_MAX = 65535         # IPv4 total length is 16 bits

cdef enum:
    VLAN_HLEN = 4
    ETHERTYPE_VLAN = 0x8100         # IEEE 802.1Q
    ETHERTYPE_QINQ = 0x88a8         # IEEE 802.1ad
    ETHERTYPE_IPV4 = 0x0800
    ETHERTYPE_IPV6 = 0x86dd
    IPPROTO_TCP = 6
    IPPROTO_UDP = 17

Frame = namedtuple("Frame", "data ts_ns ts_source flags vlan_tci")
Frame.__doc__ = """One received frame, copied: `data` (bytes, from the Ethernet header, no FCS), `ts_ns` and its
`ts_source` (0 none, 1 the port's clock, 2 UTC), `flags` (FRAME_RX_*), `vlan_tci` where FRAME_RX_VLAN is set."""
cdef object new_tuple = tuple.__new__       # half the time of calling the class


# -- the ops of a closed device

cdef int closed_rx_burst(device *d, frame *frames, int n, uint64_t now_ns) noexcept nogil:
    return 0


cdef int closed_tx_burst(device *d, frame *frames, int n, uint64_t now_ns) noexcept nogil:
    """Takes and loses everything: a sender must see a dead link, not a full queue it would wait for."""
    d.stats.tx_errors += n
    return n


cdef bint closed_alloc(device *d, frame *f) noexcept nogil:
    d.stats.alloc_failed += 1
    return False


cdef void closed_free(device *d, frame *frames, int n) noexcept nogil:
    pass


closed_ops.rx_burst = closed_rx_burst
closed_ops.tx_burst = closed_tx_burst
closed_ops.alloc = closed_alloc
closed_ops.free = closed_free


cdef int mac_from(object value, uint8_t *mac) except -1:
    """Six octets from bytes or "02:00:00:00:00:01"; ValueError names what is wrong."""
    cdef bytes octets
    try:
        octets = bytes.fromhex(value.replace(":", "")) if isinstance(value, str) else bytes(value)
    except ValueError:
        octets = b""
    if len(octets) != 6:
        raise ValueError(f"MAC address {value!r} must be six octets, as bytes or as 02:00:00:00:00:01")
    memcpy(mac, <const uint8_t *>octets, 6)
    return 0


# -- checksums left to a device

cdef uint16_t sum_octets(const uint8_t *p, uint32_t n) noexcept nogil:
    """The Internet checksum's sum of `n` octets, folded, not inverted (RFC 1071)."""
    cdef uint64_t total = 0
    cdef uint32_t i = 0
    while i + 1 < n:
        total += load_be16(p + i)
        i += 2
    if n & 1:
        total += <uint32_t>p[n - 1] << 8
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return <uint16_t>total


cdef void complete_checksums(uint8_t *p, uint32_t n, uint16_t flags) noexcept nogil:
    """Puts into a frame of `n` octets what its `flags` leave to a device, behind any tags.

    Whoever changes a frame or keeps it without its flags does this first: afterwards nobody could tell damage from a
    sum that was never there. What is not TCP or UDP over IPv4 or IPv6, or is cut, is left alone.
    """
    cdef uint32_t at = 12
    cdef uint32_t hlen, length, field
    cdef uint8_t protocol
    cdef uint16_t kind, csum
    while at + 2 <= n and load_be16(p + at) in (ETHERTYPE_VLAN, ETHERTYPE_QINQ):
        at += VLAN_HLEN
    if at + 2 > n:
        return
    kind = load_be16(p + at)
    p += at + 2
    n -= at + 2
    if kind == ETHERTYPE_IPV4 and n >= 20:
        hlen = (p[0] & 15) * 4
        length = load_be16(p + 2)
        protocol = p[9]
        if hlen < 20 or length < hlen or length > n:
            return
        if flags & FRAME_TX_IP_CSUM:
            store_be16(p + 10, 0)
            store_be16(p + 10, ~sum_octets(p, hlen))
    elif kind == ETHERTYPE_IPV6 and n >= 40:
        hlen = 40
        length = 40 + load_be16(p + 4)
        protocol = p[6]
        if length > n:
            return
    else:
        return
    if not flags & (FRAME_TX_L4_CSUM | FRAME_RX_PARTIAL):
        return
    field = 16 if protocol == IPPROTO_TCP else 6
    if protocol not in (IPPROTO_TCP, IPPROTO_UDP) or length - hlen < field + 2:
        return
    csum = ~sum_octets(p + hlen, length - hlen)     # the field holds the pseudo-header's sum
    if protocol == IPPROTO_UDP and csum == 0:
        csum = 0xffff                               # RFC 768: all zeros would mean no checksum
    store_be16(p + hlen + field, csum)


cdef class Device:
    """One way for frames to enter and leave the process. Made by `open_device`, not by hand.

    A device is driven by one thread. It is a context manager; `close()` may be called twice. What the network does
    (full queue, link down, oversized frame) is counted in `stats()`, never raised.
    """

    def __cinit__(self, *args, **kwargs):
        memset(&self.dev, 0, sizeof(device))
        self.dev.ops = &closed_ops
        self.dev.mtu = 1500
        self.name = type(self).__name__

    cdef device *ptr(self) noexcept nogil:
        return &self.dev

    cdef int shutdown(self) except -1:
        return 0

    cdef int change_mtu(self, int mtu) except -1:
        raise DeviceError(errno.EOPNOTSUPP, "the MTU of this device cannot be changed", self.name)

    cdef int require_open(self) except -1:
        if self.closed:
            raise DeviceError(errno.EBADF, "the device is closed", self.name)
        return 0

    @property
    def mac(self):
        """Our hardware address, 6 octets."""
        return PyBytes_FromStringAndSize(<char *>self.dev.mac, 6)

    @property
    def mtu(self):
        """Octets of IP packet a frame may carry. Setting it raises DeviceError where the device cannot."""
        return self.dev.mtu

    @mtu.setter
    def mtu(self, int value):
        self.require_open()
        if not MTU_MIN <= value <= MTU_MAX:
            raise ValueError(f"MTU is {value}, must be {MTU_MIN} to {MTU_MAX}")
        self.change_mtu(value)

    @property
    def caps(self):
        """DEVICE_* bits: what the device does for us (1 TX IP checksum, 2 TX L4 checksum, 4 RX checksum, 8 RX time)."""
        return self.dev.caps

    def stats(self):
        """Counters since the device was opened, by the names of device_stats."""
        cdef device_stats *s = &self.dev.stats
        return {
            "rx_frames": s.rx_frames, "rx_octets": s.rx_octets, "rx_missed": s.rx_missed, "rx_errors": s.rx_errors,
            "rx_oversize": s.rx_oversize, "rx_multiseg": s.rx_multiseg, "rx_nombuf": s.rx_nombuf,
            "rx_own": s.rx_own, "tx_frames": s.tx_frames, "tx_octets": s.tx_octets, "tx_full": s.tx_full,
            "tx_errors": s.tx_errors, "alloc_failed": s.alloc_failed,
        }

    def rx_burst(self, int n=32, uint64_t now_ns=0):
        """Up to `n` (at most 64) waiting frames as a list of Frame, each a copy; [] when there are none."""
        cdef frame frames[64]
        cdef device *d = &self.dev
        cdef int i, got
        self.require_open()
        got = d.ops.rx_burst(d, frames, max(0, min(n, 64)), now_ns)     # does not block: the GIL may stay
        try:
            return [new_tuple(Frame, (PyBytes_FromStringAndSize(<char *>frames[i].data, frames[i].len),
                                      frames[i].ts_ns, frames[i].ts_source, frames[i].flags, frames[i].vlan_tci))
                    for i in range(got)]
        finally:
            d.ops.free(d, frames, got)

    def tx(self, data not None, uint64_t now_ns=0, int flags=0):
        """Sends one frame (copied): True if the device took it, False if no buffer was free or its queue was full.

        `flags` are FRAME_TX_*, each only where `caps` has it. ValueError for other flags and for a frame longer than
        any buffer. A frame above the MTU is taken, lost and counted in tx_errors.
        """
        cdef device *d = &self.dev
        cdef frame f
        cdef Py_buffer octets
        self.require_open()
        if (flags & FRAME_TX_IP_CSUM and not d.caps & DEVICE_TX_IP_CSUM
                or flags & FRAME_TX_L4_CSUM and not d.caps & DEVICE_TX_L4_CSUM
                or flags & ~(FRAME_TX_IP_CSUM | FRAME_TX_L4_CSUM)):
            raise ValueError(f"flags {flags:#x} ask for what {self.name} does not do (caps {d.caps:#x})")
        PyObject_GetBuffer(data, &octets, PyBUF_SIMPLE)
        try:
            if not d.ops.alloc(d, &f):
                return False
            if <size_t>octets.len > f.room:
                d.ops.free(d, &f, 1)
                raise ValueError(f"a frame of {octets.len} octets, {self.name} has room for {f.room}")
            memcpy(f.data, octets.buf, octets.len)
            f.len = <unsigned int>octets.len
        finally:
            PyBuffer_Release(&octets)
        f.flags = flags
        if d.ops.tx_burst(d, &f, 1, now_ns) == 1:
            return True
        d.ops.free(d, &f, 1)
        return False

    def close(self):
        """Ends the device. Frames still held stay readable and may be freed; counters stay readable."""
        if not self.closed:
            self.closed = True
            self.dev.ops = &closed_ops
            self.shutdown()

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.close()

    def __repr__(self):
        state = " closed" if self.closed else ""
        return f"<{type(self).__name__} {self.name} mtu={self.dev.mtu}{state}>"
