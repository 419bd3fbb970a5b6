"""PcapReader: capture files, pcap and pcapng.

draft-ietf-opsawg-pcap and draft-ietf-opsawg-pcapng. The file is streamed through one buffer of 1 MiB, so a capture of
any size, and a pipe, is read in constant memory. Times are exact integers of nanoseconds, rounded down where the
file's unit is finer. No name resolution, no decryption secrets, no statistics blocks: they are passed over.
"""
import errno
import os
from collections import namedtuple

cimport cython
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.errno cimport EINTR
from libc.errno cimport errno as c_errno
from libc.stdint cimport UINT32_MAX, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdio cimport snprintf
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memmove, memset
from posix.unistd cimport close as c_close
from posix.unistd cimport read as c_read

from dpdk_py.device cimport FRAME_SLACK
from stack.wire.octets cimport load_16, load_32, load_be16, load_be32, store_be16

from dpdk_py.errors import DeviceError, PcapError

cdef extern from *:
    """
    /* Ticks of an interface to nanoseconds since 1970; 0 if they do not fit 64 bits. The product needs 94 bits. */
    static int fw_capture_ns(uint64_t ticks, uint8_t resol, int64_t offset_s, int64_t *out) {
        static const uint64_t p10[20] = {1ull, 10ull, 100ull, 1000ull, 10000ull, 100000ull, 1000000ull, 10000000ull,
            100000000ull, 1000000000ull, 10000000000ull, 100000000000ull, 1000000000000ull, 10000000000000ull,
            100000000000000ull, 1000000000000000ull, 10000000000000000ull, 100000000000000000ull,
            1000000000000000000ull, 10000000000000000000ull};
        unsigned n = resol & 0x7f;
        unsigned __int128 ns;
        if (resol & 0x80) ns = (unsigned __int128)ticks * 1000000000u >> n;
        else if (n <= 9) ns = (unsigned __int128)ticks * p10[9 - n];
        else ns = n - 9 < 20 ? ticks / p10[n - 9] : 0;
        __int128 all = (__int128)ns + (__int128)offset_s * 1000000000;
        if (all > INT64_MAX || all < INT64_MIN) return 0;
        *out = (int64_t)all;
        return 1;
    }
    """
    bint capture_ns "fw_capture_ns"(uint64_t ticks, uint8_t resol, int64_t offset_s, int64_t *out) noexcept nogil

cdef enum:
    PCAP_MAGIC_US = 0xa1b2c3d4
    PCAP_MAGIC_NS = 0xa1b23c4d
    PCAP_HLEN = 24
    PCAP_RECORD_HLEN = 16
    PCAPNG_SHB = 0x0a0d0d0a         # reads the same in both orders
    PCAPNG_BOM = 0x1a2b3c4d
    PCAPNG_IDB = 1
    PCAPNG_OPB = 2                  # obsolete, still found in old files
    PCAPNG_SPB = 3
    PCAPNG_EPB = 6
    OPT_IF_TSRESOL = 9
    OPT_IF_FCSLEN = 13
    OPT_IF_TSOFFSET = 14
    OPT_EPB_FLAGS = 2
    LINKTYPE_ETHERNET = 1
    LINKTYPE_RAW = 101
    LINKTYPE_LINUX_SLL = 113
    LINKTYPE_IPV4 = 228
    LINKTYPE_IPV6 = 229
    LINKTYPE_LINUX_SLL2 = 276
    SLL_HLEN = 16
    SLL2_HLEN = 20
    SLL_OUTGOING = 4                # packet type: sent by the capturing host
    ETHERNET_HLEN = 14

Packet = namedtuple("Packet", "ts_ns data orig_len interface linktype direction")
Packet.__doc__ = """One packet of a capture: `ts_ns` (UTC, int; 0 where the file has none), `data` (bytes), `orig_len`
(what it had before the capture cut it), `interface` (index), `linktype`, `direction` (0 unknown, 1 in, 2 out)."""
cdef object new_tuple = tuple.__new__       # half the time of calling the class


# -- the file as octets

cdef inline uint16_t get16(capture *c, const uint8_t *p) noexcept nogil:
    return load_be16(p) if c.big else load_16(p)


cdef inline uint32_t get32(capture *c, const uint8_t *p) noexcept nogil:
    return load_be32(p) if c.big else load_32(p)


cdef int fault(capture *c, uint64_t offset, const char *form, uint64_t a, uint64_t b) noexcept nogil:
    """Notes what is wrong (form takes two %llu) and where; CAPTURE_ERROR. The file is not read any further."""
    snprintf(c.error, sizeof(c.error), form, <unsigned long long>a, <unsigned long long>b)
    c.error_offset = offset
    return CAPTURE_ERROR


cdef int want(capture *c, uint32_t n, bint may_refill) noexcept nogil:
    """CAPTURE_PACKET once `n` octets lie at buf + pos; CAPTURE_END if the file has fewer left."""
    cdef ssize_t got
    if c.end - c.pos >= n:
        return CAPTURE_PACKET
    if c.eof:
        return CAPTURE_END
    if not may_refill:
        return CAPTURE_AGAIN
    memmove(c.buf, c.buf + c.pos, c.end - c.pos)
    c.start += c.pos
    c.end -= c.pos
    c.pos = 0
    while c.end < n:
        got = c_read(c.fd, c.buf + c.end, CAPTURE_BUFFER - c.end)
        if got > 0:
            c.end += <uint32_t>got
        elif got == 0:
            c.eof = True
            return CAPTURE_END
        elif c_errno != EINTR:
            return fault(c, c.start + c.end, b"reading failed with errno %llu", c_errno, 0)
    return CAPTURE_PACKET


cdef int pass_over(capture *c, bint may_refill) noexcept nogil:
    """Moves past c.skip octets, which may be more than the buffer holds."""
    cdef int r
    cdef uint32_t n
    while c.skip:
        n = c.end - c.pos
        if n == 0:
            r = want(c, 1, may_refill)
            if r == CAPTURE_END:
                c.truncated = True
            if r != CAPTURE_PACKET:
                return r
            n = c.end - c.pos
        if n > c.skip:
            n = <uint32_t>c.skip
        c.pos += n
        c.skip -= n
    return CAPTURE_PACKET


cdef int cut_short(capture *c) noexcept nogil:
    """The end of the file: `truncated` unless it lies between two packets."""
    if c.pos != c.end:
        c.truncated = True
    return CAPTURE_END


# -- opening

cdef int capture_open(capture *c) noexcept nogil:
    """Reads the file's first header. CAPTURE_PACKET, or CAPTURE_ERROR. Needs c.fd, c.memory and c.interfaces."""
    cdef uint32_t magic
    cdef int r
    c.buf = c.memory + CAPTURE_MARGIN
    r = want(c, PCAP_HLEN, True)
    if r == CAPTURE_ERROR:
        return r
    if c.end == 0:
        return fault(c, 0, b"the file is empty", 0, 0)
    if c.end < 4:
        return fault(c, 0, b"only %llu octets, not a capture", c.end, 0)
    magic = load_be32(c.buf)
    if magic == PCAPNG_SHB:
        c.pcapng = True
        return CAPTURE_PACKET
    if magic == PCAP_MAGIC_US or magic == PCAP_MAGIC_NS:
        c.big = True
    else:
        magic = load_32(c.buf)
        if magic != PCAP_MAGIC_US and magic != PCAP_MAGIC_NS:
            if load_be16(c.buf) == 0x1f8b:
                return fault(c, 0, b"compressed with gzip: unpack it first", 0, 0)
            if load_be32(c.buf) == 0x28b52ffd:
                return fault(c, 0, b"compressed with zstd: unpack it first", 0, 0)
            return fault(c, 0, b"neither pcap nor pcapng: it begins with %08llx", load_be32(c.buf), 0)
    if c.end < PCAP_HLEN:
        return fault(c, 0, b"only %llu octets, the header of a capture has 24", c.end, 0)
    if get16(c, c.buf + 4) != 2:
        return fault(c, 4, b"pcap version %llu.%llu, only 2.x is known", get16(c, c.buf + 4), get16(c, c.buf + 6))
    return pcap_header(c, 9 if magic == PCAP_MAGIC_NS else 6)


cdef int pcap_header(capture *c, uint8_t tsresol) noexcept nogil:
    cdef capture_interface *nif = &c.interfaces[0]
    cdef uint32_t word = get32(c, c.buf + 20)
    nif.linktype = <uint16_t>word
    # Bit 26 says that the top four bits are the length of the FCS, in units of two octets.
    nif.fcs_len = <uint8_t>((word >> 28) * 2) if word & 0x04000000 else 0
    nif.tsresol = tsresol
    nif.tsoffset_s = 0
    nif.snaplen = get32(c, c.buf + 16)
    c.ninterfaces = 1
    c.pos = PCAP_HLEN
    if c.ethernet and not linktype_known(nif.linktype):
        return fault(c, 20, LINKTYPE_TEXT, nif.linktype, 0)
    return CAPTURE_PACKET


# -- packets

cdef int capture_next(capture *c, capture_packet *p, bint may_refill) noexcept nogil:
    """The next packet into `p`: a capture_verdict.

    p.data stays readable (FRAME_SLACK octets beyond its end too) and writable until a later call with may_refill.
    """
    cdef int r
    if c.error[0]:
        return CAPTURE_ERROR
    if c.truncated:
        return CAPTURE_END
    if c.pcapng:
        r = pcapng_next(c, p, may_refill)
    else:
        r = pcap_next(c, p, may_refill)
    if r != CAPTURE_PACKET:
        return r
    c.packets += 1
    c.octets += p.len
    if p.len < p.orig_len:
        c.cut += 1
    return CAPTURE_PACKET


cdef int pcap_next(capture *c, capture_packet *p, bint may_refill) noexcept nogil:
    cdef const uint8_t *h
    cdef uint32_t n, frac
    cdef uint64_t at
    cdef int r = want(c, PCAP_RECORD_HLEN, may_refill)
    if r != CAPTURE_PACKET:
        return cut_short(c) if r == CAPTURE_END else r
    h = c.buf + c.pos
    n = get32(c, h + 8)
    if n > CAPTURE_PACKET_MAX:
        return fault(c, c.start + c.pos + 8, b"a packet of %llu octets, at most %llu are possible", n,
                     CAPTURE_PACKET_MAX)
    r = want(c, PCAP_RECORD_HLEN + n, may_refill)
    if r != CAPTURE_PACKET:
        return cut_short(c) if r == CAPTURE_END else r
    h = c.buf + c.pos
    at = c.start + c.pos
    frac = get32(c, h + 4)
    p.ts_ns = <int64_t>get32(c, h) * 1000000000 + (frac if c.interfaces[0].tsresol == 9 else <int64_t>frac * 1000)
    p.has_ts = True
    p.interface = 0
    p.direction = CAPTURE_UNKNOWN
    p.data = c.buf + c.pos + PCAP_RECORD_HLEN
    p.len = n
    p.orig_len = get32(c, h + 12)
    c.pos += PCAP_RECORD_HLEN + n
    return as_asked(c, p, at)


cdef int pcapng_next(capture *c, capture_packet *p, bint may_refill) noexcept nogil:
    """Reads blocks until one is a packet."""
    cdef uint8_t *b
    cdef uint32_t kind, n
    cdef uint64_t at
    cdef int r
    while True:
        r = pass_over(c, may_refill)
        if r != CAPTURE_PACKET:
            return r
        r = want(c, 12, may_refill)
        if r != CAPTURE_PACKET:
            return cut_short(c) if r == CAPTURE_END else r
        b = c.buf + c.pos
        at = c.start + c.pos
        kind = get32(c, b)
        if kind == PCAPNG_SHB:
            r = section_order(c, b, at)
            if r != CAPTURE_PACKET:
                return r
        n = get32(c, b + 4)
        if n < 12 or n & 3:
            return fault(c, at + 4, b"a block of %llu octets, must be 12 or more and a multiple of 4", n, 0)
        if kind not in (PCAPNG_SHB, PCAPNG_IDB, PCAPNG_OPB, PCAPNG_SPB, PCAPNG_EPB):
            c.skip = n
            continue
        if n > CAPTURE_BUFFER:
            return fault(c, at + 4, b"a block of %llu octets, at most %llu are possible", n, CAPTURE_BUFFER)
        r = want(c, n, may_refill)
        if r != CAPTURE_PACKET:
            return cut_short(c) if r == CAPTURE_END else r
        b = c.buf + c.pos
        if get32(c, b + n - 4) != n:
            return fault(c, at + n - 4, b"a block of %llu octets ends by saying it has %llu", n, get32(c, b + n - 4))
        c.pos += n
        if kind == PCAPNG_SHB:
            r = section_header(c, b, n, at)
        elif kind == PCAPNG_IDB:
            r = interface_block(c, b, n, at)
        else:
            r = packet_block(c, p, kind, b, n, at)
            return as_asked(c, p, at) if r == CAPTURE_PACKET else r
        if r != CAPTURE_PACKET:
            return r


cdef int section_order(capture *c, const uint8_t *b, uint64_t at) noexcept nogil:
    """A section header says in which order the integers of its section are, its own length included."""
    if load_32(b + 8) == PCAPNG_BOM:
        c.big = False
    elif load_be32(b + 8) == PCAPNG_BOM:
        c.big = True
    else:
        return fault(c, at + 8, b"the byte-order magic is %08llx, must be 1a2b3c4d", load_be32(b + 8), 0)
    return CAPTURE_PACKET


cdef int section_header(capture *c, const uint8_t *b, uint32_t n, uint64_t at) noexcept nogil:
    if n < 28:
        return fault(c, at + 4, b"a section header of %llu octets, must be 28 or more", n, 0)
    if get16(c, b + 12) != 1:
        return fault(c, at + 12, b"pcapng version %llu.%llu, only 1.x is known", get16(c, b + 12), get16(c, b + 14))
    c.ninterfaces = 0       # interface numbers begin again in every section
    return CAPTURE_PACKET


cdef const uint8_t *option_find(capture *c, const uint8_t *p, const uint8_t *end, uint16_t code,
                                uint16_t least) noexcept nogil:
    """The value of the first option `code` of at least `least` octets; NULL if none, or the list is damaged before."""
    cdef uint32_t n
    while end - p >= 4:
        n = get16(c, p + 2)
        if get16(c, p) == 0 or <uint32_t>(end - p - 4) < n:
            return NULL
        if get16(c, p) == code and n >= least:
            return p + 4
        n = (n + 3) & ~<uint32_t>3
        if <uint32_t>(end - p - 4) < n:
            return NULL
        p += 4 + n
    return NULL


cdef int interface_block(capture *c, const uint8_t *b, uint32_t n, uint64_t at) noexcept nogil:
    cdef capture_interface *nif
    cdef const uint8_t *v
    cdef uint64_t offset
    if n < 20:
        return fault(c, at + 4, b"an interface block of %llu octets, must be 20 or more", n, 0)
    if c.ninterfaces == CAPTURE_INTERFACES_MAX:
        return fault(c, at, b"more than %llu interfaces", CAPTURE_INTERFACES_MAX, 0)
    nif = &c.interfaces[c.ninterfaces]
    nif.linktype = get16(c, b + 8)
    nif.snaplen = get32(c, b + 12)
    v = option_find(c, b + 16, b + n - 4, OPT_IF_TSRESOL, 1)
    nif.tsresol = v[0] if v else 6
    v = option_find(c, b + 16, b + n - 4, OPT_IF_FCSLEN, 1)
    nif.fcs_len = v[0] if v else 0
    v = option_find(c, b + 16, b + n - 4, OPT_IF_TSOFFSET, 8)
    offset = 0
    if v:
        offset = (<uint64_t>get32(c, v) << 32 | get32(c, v + 4) if c.big else
                  <uint64_t>get32(c, v + 4) << 32 | get32(c, v))
    nif.tsoffset_s = <int64_t>offset
    c.ninterfaces += 1
    return CAPTURE_PACKET


cdef int packet_block(capture *c, capture_packet *p, uint32_t kind, uint8_t *b, uint32_t n,
                      uint64_t at) noexcept nogil:
    """The fields of an enhanced, simple or obsolete packet block of `n` octets at `b`."""
    cdef uint32_t room, head = 12 if kind == PCAPNG_SPB else 28
    cdef const uint8_t *v
    cdef capture_interface *nif
    if n < head + 4:
        return fault(c, at + 4, b"a packet block of %llu octets, must be %llu or more", n, head + 4)
    room = n - head - 4
    p.interface = 0
    p.direction = CAPTURE_UNKNOWN
    p.has_ts = kind != PCAPNG_SPB
    p.ts_ns = 0
    p.data = b + head
    if kind == PCAPNG_EPB:
        p.interface = get32(c, b + 8)
    elif kind == PCAPNG_OPB:
        p.interface = get16(c, b + 8)
    if p.interface >= c.ninterfaces:
        return fault(c, at + 8, b"a packet of interface %llu, the file has %llu", p.interface, c.ninterfaces)
    nif = &c.interfaces[p.interface]
    if kind == PCAPNG_SPB:
        p.orig_len = get32(c, b + 8)
        p.len = p.orig_len
        if nif.snaplen and p.len > nif.snaplen:
            p.len = nif.snaplen
    else:
        p.len = get32(c, b + 20)
        p.orig_len = get32(c, b + 24)
        if not capture_ns(<uint64_t>get32(c, b + 12) << 32 | get32(c, b + 16), nif.tsresol, nif.tsoffset_s, &p.ts_ns):
            return fault(c, at + 12, b"a time outside the years 1678 to 2262", 0, 0)
    if p.len > room or p.len > CAPTURE_PACKET_MAX:
        return fault(c, at + (8 if kind == PCAPNG_SPB else 20), b"a packet of %llu octets in a block with room for %llu",
                     p.len, room)
    if kind == PCAPNG_EPB:
        v = option_find(c, b + head + ((p.len + 3) & ~<uint32_t>3), b + n - 4, OPT_EPB_FLAGS, 4)
        if v:
            p.direction = get32(c, v) & 3
    return CAPTURE_PACKET


# -- link types

LINKTYPE_HELP = ("link type %llu is neither Ethernet (1), raw IP (101, 228, 229) nor Linux cooked (113, 276); "
                 "interface %llu")
cdef bytes linktype_text = LINKTYPE_HELP.encode()
cdef const char *LINKTYPE_TEXT = linktype_text


cdef bint linktype_known(uint16_t linktype) noexcept nogil:
    return linktype in (LINKTYPE_ETHERNET, LINKTYPE_RAW, LINKTYPE_IPV4, LINKTYPE_IPV6, LINKTYPE_LINUX_SLL,
                        LINKTYPE_LINUX_SLL2)


cdef int as_asked(capture *c, capture_packet *p, uint64_t at) noexcept nogil:
    """Takes the FCS off; where frames are asked for, gives the packet an Ethernet header or refuses it."""
    cdef capture_interface *nif = &c.interfaces[p.interface]
    cdef uint32_t whole
    if p.orig_len < p.len:
        p.orig_len = p.len      # some writers leave it 0
    p.linktype = nif.linktype
    if nif.fcs_len and p.orig_len >= nif.fcs_len:
        whole = p.orig_len - nif.fcs_len
        p.orig_len = whole
        if p.len > whole:
            p.len = whole
    if not c.ethernet or nif.linktype == LINKTYPE_ETHERNET:
        return CAPTURE_PACKET
    if not linktype_known(nif.linktype):
        return fault(c, at, LINKTYPE_TEXT, nif.linktype, p.interface)
    if nif.linktype == LINKTYPE_LINUX_SLL:
        cooked_to_ethernet(p, SLL_HLEN, 14, 0, 4, 6)
    elif nif.linktype == LINKTYPE_LINUX_SLL2:
        cooked_to_ethernet(p, SLL2_HLEN, 0, 10, 11, 12)
    else:
        ethernet_before(p, 0x86dd if p.len and p.data[0] >> 4 == 6 else 0x0800, NULL)
    return CAPTURE_PACKET


cdef void ethernet_before(capture_packet *p, uint16_t ethertype, const uint8_t *source) noexcept nogil:
    """Fourteen octets in front of p.data, over headers of the file that have been read. The destination is zero."""
    cdef uint8_t mac[6]
    memset(mac, 0, 6)
    if source:
        memcpy(mac, source, 6)
    p.data -= ETHERNET_HLEN
    memset(p.data, 0, 6)
    memcpy(p.data + 6, mac, 6)
    store_be16(p.data + 12, ethertype)
    p.len += ETHERNET_HLEN
    if p.orig_len <= UINT32_MAX - ETHERNET_HLEN:        # else a damaged file, whose nonsense must not wrap below len
        p.orig_len += ETHERNET_HLEN


cdef void cooked_to_ethernet(capture_packet *p, uint32_t hlen, uint32_t protocol, uint32_t kind, uint32_t halen,
                             uint32_t address) noexcept nogil:
    """LINKTYPE_LINUX_SLL and _SLL2: the header keeps protocol, packet type and the sender's address, at these offsets.

    Of a packet cut within the cooked header nothing is left; it stays as it is and its length says it was cut.
    """
    cdef uint8_t source[6]
    cdef uint16_t ethertype, length
    cdef bint known
    if p.len < hlen:
        p.len = 0
        return
    ethertype = load_be16(p.data + protocol)
    if hlen == SLL_HLEN:
        if load_be16(p.data + kind) == SLL_OUTGOING:
            p.direction = CAPTURE_OUT
        length = load_be16(p.data + halen)
    else:
        if p.data[kind] == SLL_OUTGOING:
            p.direction = CAPTURE_OUT
        length = p.data[halen]
    known = length == 6
    memcpy(source, p.data + address, 6)
    p.data += hlen
    p.len -= hlen
    p.orig_len -= hlen
    ethernet_before(p, ethertype, source if known else NULL)


# -- Python

@cython.final
cdef class PcapReader:
    """Iterates over the packets of a pcap or pcapng file (path, or "/dev/stdin").

    Yields Packet. With `ethernet` (the default) every packet is an Ethernet frame: raw IP (101, 228, 229) and Linux
    cooked (113, 276) packets get a header made up of what the capture kept (destination zero, source zero or the
    sender's), other link types raise PcapError. Without it packets are as the file has them. A frame check sequence
    the file declares is taken off.

    A file that ends within a packet gives its whole packets and sets `truncated`. A damaged one gives what lies
    before the damage, then raises PcapError. DeviceError if it cannot be opened or read.
    """

    def __cinit__(self, path, *, bint ethernet=True):
        self.cap.fd = -1
        self.path = os.fspath(path)
        self.cap.memory = <uint8_t *>calloc(CAPTURE_MARGIN + CAPTURE_BUFFER + FRAME_SLACK, 1)
        self.cap.interfaces = <capture_interface *>calloc(CAPTURE_INTERFACES_MAX, sizeof(capture_interface))
        if not self.cap.memory or not self.cap.interfaces:
            raise MemoryError()
        self.cap.ethernet = ethernet
        try:
            self.cap.fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
            self.size = os.fstat(self.cap.fd).st_size
        except OSError as error:
            raise DeviceError(error.errno, f"cannot be opened: {error.strerror}", self.path) from None
        cdef int r
        with nogil:
            r = capture_open(&self.cap)
        if r == CAPTURE_ERROR:
            self.fail()

    def __dealloc__(self):
        if self.cap.fd >= 0:
            c_close(self.cap.fd)
        free(self.cap.memory)
        free(self.cap.interfaces)

    cdef int fail(self) except -1:
        raise PcapError(self.path, self.cap.error_offset, self.cap.error.decode())

    @property
    def format(self):
        """"pcap" or "pcapng"."""
        return "pcapng" if self.cap.pcapng else "pcap"

    @property
    def truncated(self):
        """The file ends within a packet. Known once the last packet has been read."""
        return bool(self.cap.truncated)

    @property
    def packets(self):
        """Packets read so far."""
        return self.cap.packets

    @property
    def octets(self):
        """Octets of packets read so far, as given out."""
        return self.cap.octets

    @property
    def cut(self):
        """Packets read so far that the capture had cut to its snaplen."""
        return self.cap.cut

    @property
    def offset(self):
        """Octets of the file dealt with so far; `size` (0 for a pipe) is all of them."""
        return self.cap.start + self.cap.pos

    @property
    def linktypes(self):
        """Link type of each interface the file has named so far in this section."""
        return [self.cap.interfaces[i].linktype for i in range(self.cap.ninterfaces)]

    def __iter__(self):
        return self

    def __next__(self):
        cdef capture_packet p
        cdef int r
        if self.cap.fd < 0:
            raise DeviceError(errno.EBADF, "the file is closed", self.path)
        if self.busy:
            raise RuntimeError(f"{self.path} is being read by another thread")
        self.busy = True
        with nogil:
            r = capture_next(&self.cap, &p, True)
        self.busy = False
        if r == CAPTURE_ERROR:
            self.fail()
        if r == CAPTURE_END:
            raise StopIteration
        return new_tuple(Packet, (p.ts_ns, PyBytes_FromStringAndSize(<char *>p.data, p.len), p.orig_len, p.interface,
                                  p.linktype, p.direction))

    def close(self):
        if self.busy:
            raise RuntimeError(f"{self.path} is being read by another thread")
        if self.cap.fd >= 0:
            c_close(self.cap.fd)
            self.cap.fd = -1

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.close()
