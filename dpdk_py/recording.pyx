"""PcapngWriter: a capture file of Ethernet frames with nanosecond times, the same octets for the same frames.

draft-ietf-opsawg-pcapng: a section header, one interface, enhanced packet blocks; little-endian. No names or statistics,
and nothing of the host; comments only where capture_put_commented is given one.
"""
import errno
import os

cimport cython
from libc.errno cimport EINTR
from libc.errno cimport errno as c_errno
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memmove, memset
from posix.unistd cimport close as c_close
from posix.unistd cimport write as c_write

from stack.wire.octets cimport store_16, store_32, store_be16

from dpdk_py.errors import DeviceError

cdef enum:
    PCAPNG_SHB = 0x0a0d0d0a
    PCAPNG_BOM = 0x1a2b3c4d
    PCAPNG_IDB = 1
    PCAPNG_EPB = 6
    OPT_IF_TSRESOL = 9
    OPT_COMMENT = 1
    OPT_EPB_FLAGS = 2
    LINKTYPE_ETHERNET = 1


cdef uint32_t capture_record_len(uint32_t n, uint32_t direction) noexcept nogil:
    return 32 + ((n + 3) & ~<uint32_t>3) + (12 if direction else 0)


cdef bint capture_room(capture_out *o, uint32_t octets) noexcept nogil:
    """True once `octets` more fit into the buffer, which is written out for that unless drop_when_full."""
    if octets <= o.size - o.used:
        return True
    if o.drop_when_full or octets > o.size:
        return False
    return capture_flush(o)


cdef bint capture_put(capture_out *o, const uint8_t *p, uint32_t n, int64_t ts_ns, uint32_t direction,
                      uint32_t tag) noexcept nogil:
    """One enhanced packet block; False (and `dropped`) if it is not recorded. Times before 1970 become 1970.

    `tag`: 0, or bit 16 and the TCI of an IEEE 802.1Q tag to put in behind the addresses (12 octets or more).
    """
    cdef uint32_t length, padded, extra = 4 if tag and n >= 12 else 0
    cdef uint8_t *b
    cdef uint64_t ticks = <uint64_t>ts_ns if ts_ns > 0 else 0
    if n > CAPTURE_PACKET_MAX - 4 or o.error:
        o.dropped += 1
        return False
    n += extra
    padded = (n + 3) & ~<uint32_t>3
    length = capture_record_len(n, direction)
    if not capture_room(o, length):
        o.dropped += 1
        return False
    b = o.buf + o.used
    store_32(b, PCAPNG_EPB)
    store_32(b + 4, length)
    store_32(b + 8, 0)
    store_32(b + 12, <uint32_t>(ticks >> 32))
    store_32(b + 16, <uint32_t>ticks)
    store_32(b + 20, n)
    store_32(b + 24, n)
    if extra:
        memcpy(b + 28, p, 12)
        store_be16(b + 40, 0x8100)
        store_be16(b + 42, <uint16_t>tag)
        memcpy(b + 44, p + 12, n - 16)
    else:
        memcpy(b + 28, p, n)
    memset(b + 28 + n, 0, padded - n)
    if direction:
        store_16(b + 28 + padded, OPT_EPB_FLAGS)
        store_16(b + 30 + padded, 4)
        store_32(b + 32 + padded, direction)
        store_32(b + 36 + padded, 0)
    store_32(b + length - 4, length)
    o.used += length
    o.packets += 1
    return True


cdef bint capture_put_commented(capture_out *o, const uint8_t *p, uint32_t n, uint32_t orig_len, int64_t ts_ns,
                                uint32_t direction, const uint8_t *comment, uint32_t m) noexcept nogil:
    """capture_put for the first n octets of a frame of orig_len, with m octets of comment (UTF-8, CAPTURE_COMMENT_MAX).

    The comment's option is put in front of the block's other options, so that one writer makes both kinds of block.
    """
    cdef uint32_t start = o.used, at, more = 4 + ((m + 3) & ~<uint32_t>3)
    cdef uint8_t *b
    if m > CAPTURE_COMMENT_MAX or direction == 0 or not capture_room(o, capture_record_len(n, direction) + more):
        o.dropped += 1
        return False
    start = o.used                      # making room may have written the buffer out
    if not capture_put(o, p, n, ts_ns, direction, 0):
        return False
    b = o.buf + start
    at = 28 + ((n + 3) & ~<uint32_t>3)
    memmove(b + at + more, b + at, o.used - start - at)
    store_16(b + at, OPT_COMMENT)
    store_16(b + at + 2, <uint16_t>m)
    memset(b + at + more - 4, 0, 4)
    memcpy(b + at + 4, comment, m)
    o.used += more
    store_32(b + 4, o.used - start)
    store_32(b + o.used - start - 4, o.used - start)
    store_32(b + 24, orig_len)
    return True


cdef bint capture_flush(capture_out *o) noexcept nogil:
    """Writes the buffer out; False (and o.error) when the file takes no more."""
    cdef uint32_t done = 0
    cdef ssize_t got
    while done < o.used and not o.error:
        got = c_write(o.fd, o.buf + done, o.used - done)
        if got >= 0:
            done += <uint32_t>got
        elif c_errno != EINTR:
            o.error = c_errno
    o.used = 0
    return o.error == 0


cdef void capture_file_header(capture_out *o) noexcept nogil:
    cdef uint8_t *b = o.buf
    memset(b, 0, 60)
    store_32(b, PCAPNG_SHB)
    store_32(b + 4, 28)
    store_32(b + 8, PCAPNG_BOM)
    store_16(b + 12, 1)
    memset(b + 16, 0xff, 8)         # the section's length is not known beforehand
    store_32(b + 24, 28)
    store_32(b + 28, PCAPNG_IDB)
    store_32(b + 32, 32)
    store_16(b + 36, LINKTYPE_ETHERNET)
    store_32(b + 40, CAPTURE_PACKET_MAX)
    store_16(b + 44, OPT_IF_TSRESOL)
    store_16(b + 46, 1)
    b[48] = 9
    store_32(b + 56, 32)
    o.used = 60


@cython.final
cdef class PcapngWriter:
    """Writes Ethernet frames to a new pcapng file with nanosecond times.

    The octets depend on the frames alone: no host, program or date is recorded. Frames are buffered (`buffer` octets);
    `flush` and `close` write them out and raise DeviceError where the disk refuses.
    """

    def __cinit__(self, path, *, uint32_t buffer=1 << 20, bint drop_when_full=False):
        self.out.fd = -1
        self.path = os.fspath(path)
        if not 4096 <= buffer <= 1 << 30:
            raise ValueError(f"buffer is {buffer}, must be 4096 to {1 << 30} octets")
        self.out.buf = <uint8_t *>malloc(buffer)
        if not self.out.buf:
            raise MemoryError()
        memset(self.out.buf, 0, buffer)     # every page is there before the first frame
        self.out.size = buffer
        self.out.drop_when_full = drop_when_full
        try:
            self.out.fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise DeviceError(error.errno, f"cannot be written: {error.strerror}", self.path) from None
        capture_file_header(&self.out)

    def __dealloc__(self):
        if self.out.fd >= 0:
            capture_flush(&self.out)
            c_close(self.out.fd)
        free(self.out.buf)

    cdef int check(self) except -1:
        if self.out.error:
            raise DeviceError(self.out.error, f"cannot be written: {os.strerror(self.out.error)}", self.path)
        return 0

    @property
    def packets(self):
        """Frames recorded."""
        return self.out.packets

    @property
    def dropped(self):
        """Frames not recorded: longer than 262140 octets, the buffer was full, or the disk refused."""
        return self.out.dropped

    def write(self, const uint8_t[::1] data not None, int64_t ts_ns, uint32_t direction=0):
        """Records one frame at `ts_ns` (UTC nanoseconds, 0 or more); `direction` 0 unknown, 1 in, 2 out."""
        cdef uint32_t n = <uint32_t>data.shape[0]
        if self.out.fd < 0:
            raise DeviceError(errno.EBADF, "the file is closed", self.path)
        if data.shape[0] > CAPTURE_PACKET_MAX - 4:
            raise ValueError(f"a frame of {data.shape[0]} octets, at most {CAPTURE_PACKET_MAX - 4} can be recorded")
        if ts_ns < 0:
            raise ValueError(f"ts_ns is {ts_ns}, pcapng has no times before 1970")
        if direction > 2:
            raise ValueError(f"direction is {direction}, must be 0, 1 or 2")
        capture_put(&self.out, &data[0] if n else self.out.buf, n, ts_ns, direction, 0)
        self.check()

    def flush(self):
        """Writes what is buffered to the file."""
        if self.out.fd >= 0:
            with nogil:
                capture_flush(&self.out)
            self.check()

    def close(self):
        """Writes what is buffered and closes the file. May be called twice."""
        if self.out.fd >= 0:
            with nogil:
                capture_flush(&self.out)
                c_close(self.out.fd)
            self.out.fd = -1
            self.check()

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.close()
