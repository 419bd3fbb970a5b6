"""Fuzzed: the reader of pcap and pcapng, against a second one that follows nothing but lengths from block to block.

The file is the input, whole in memory of its own size: capture_next is told that it has been read to its end, so it
reads no file, and an octet it takes from beyond the slack it may look at is one that ASan sees. Each input is read as
the file has it and as Ethernet frames; both must find the same packets with the same times.
"""
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from dpdk_py.capture cimport *
from dpdk_py.device cimport FRAME_SLACK
from fuzz_input cimport harness
from stack.wire.octets cimport load_32, load_be32

cdef enum:
    MOST = 60000
    ETHERNET_HLEN = 14

cdef struct chain:              # the second reader
    const uint8_t *p
    uint32_t n
    uint32_t at                 # where the next block begins
    bint pcapng
    bint big

cdef struct reading:            # what a whole file gave
    uint32_t count
    int last                    # CAPTURE_END or CAPTURE_ERROR
    uint64_t times              # of the first packets, so many as were asked for, one sum

cdef int planted = 0    # 1: the second reader looks for a packet's octets four too early
cdef volatile uint8_t seen      # octets are looked at, not only pointed to


cdef uint32_t word(const chain *f, uint32_t at) noexcept nogil:
    return load_be32(f.p + at) if f.big else load_32(f.p + at)


cdef void begin(chain *f, const uint8_t *p, uint32_t n) noexcept nogil:
    cdef uint32_t first = load_be32(p)
    f.p, f.n, f.at = p, n, 24
    f.pcapng = first == <uint32_t>0x0a0d0d0a
    f.big = first == <uint32_t>0xa1b2c3d4 or first == <uint32_t>0xa1b23c4d
    if f.pcapng:
        f.at = 0


cdef bint follow(chain *f, uint32_t *data, uint32_t *room) noexcept nogil:
    """Where the next packet's octets begin and how many there may be; False where no block holds one any more."""
    cdef uint32_t kind, size, at = f.at
    while f.n - at >= 12:
        if not f.pcapng:
            if f.n - at < 16 or word(f, at + 8) > f.n - at - 16:
                return False
            data[0], room[0] = at + 16, word(f, at + 8)
            f.at = at + 16 + room[0]
            return True
        kind = word(f, at)
        if kind == 0x0a0d0d0a:
            f.big = load_be32(f.p + at + 8) == <uint32_t>0x1a2b3c4d
        size = word(f, at + 4)
        if size < 12 or size > f.n - at:
            return False
        if kind == 2 or kind == 3 or kind == 6:
            data[0] = at + (12 if kind == 3 else 28 - 4 * planted)
            if data[0] + 4 > at + size:
                return False
            room[0] = at + size - 4 - data[0]
            f.at = at + size
            return True
        at += size
    return False


cdef const char *judge(capture *c, const capture_packet *p, uint32_t n) noexcept nogil:
    global seen
    cdef uint32_t i
    if p.data < c.memory or p.data > c.buf + n or p.len > c.buf + n - p.data:
        return b"a packet is not in the file"
    if p.len > p.orig_len or p.len > CAPTURE_PACKET_MAX + ETHERNET_HLEN:
        return b"a packet longer than it was"
    if p.interface >= c.ninterfaces or p.linktype != c.interfaces[p.interface].linktype:
        return b"a packet of no interface"
    if not p.has_ts and p.ts_ns != 0:
        return b"a time that is not there"
    for i in range(p.len + FRAME_SLACK):
        seen = p.data[i]
    for i in range(p.len):
        p.data[i] = p.data[i]
    return NULL


cdef const char *whole(const uint8_t *octets, uint32_t n, bint ethernet, uint32_t most, reading *got) noexcept nogil:
    """Reads the file to its end; `most` packets have their times added up."""
    cdef capture c
    cdef capture_packet p
    cdef chain f
    cdef uint32_t data = 0, room = 0, before
    cdef uint64_t lengths = 0, cut = 0
    cdef const char *why = NULL
    cdef int r
    memset(&c, 0, sizeof(c))
    memset(got, 0, sizeof(reading))
    c.fd, c.eof, c.end, c.ethernet = -1, True, n, ethernet
    c.memory = <uint8_t *>malloc(CAPTURE_MARGIN + n + FRAME_SLACK)
    c.interfaces = <capture_interface *>malloc((n // 20 + 1) * sizeof(capture_interface))   # a block of 20 octets each
    memset(c.memory, 0, CAPTURE_MARGIN + n + FRAME_SLACK)
    memcpy(c.memory + CAPTURE_MARGIN, octets, n)
    r = capture_open(&c)
    if r == CAPTURE_PACKET:
        begin(&f, octets, n)
    while r == CAPTURE_PACKET and why == NULL:
        before = c.pos
        r = capture_next(&c, &p, True)
        if r != CAPTURE_PACKET:
            break
        why = judge(&c, &p, n)
        if why != NULL:
            break
        if c.pos <= before or c.pos > n:
            why = b"the reader stands still or goes too far"
        elif not follow(&f, &data, &room):
            why = b"a packet where no block holds one"
        elif not ethernet and (p.data != c.buf + data or p.len > room):
            why = b"a packet is not where its block has it"
        if got.count < most:
            got.times = got.times * 31 + <uint64_t>p.ts_ns
        got.count += 1
        lengths += p.len
        cut += p.len < p.orig_len
    got.last = r
    if why == NULL:
        if r == CAPTURE_AGAIN:
            why = b"more is asked for where there is no more"
        elif (r == CAPTURE_ERROR) != (c.error[0] != 0) or (r == CAPTURE_ERROR and c.error_offset > n):
            why = b"an error that is nowhere"
        elif c.pos != 0 and capture_next(&c, &p, True) != r:
            why = b"it goes on behind its end"
        elif r == CAPTURE_END and not c.truncated and c.pos != n:
            why = b"a whole file, and something is left"
        elif c.packets != got.count or c.octets != lengths or c.cut != cut:
            why = b"the counters do not add up"
    free(c.memory)
    free(c.interfaces)
    return why


cdef const char *run(const uint8_t *data, size_t size) noexcept nogil:
    cdef uint32_t n = <uint32_t>(size if size < MOST else MOST)
    cdef reading frames, raw
    cdef const char *why = whole(data, n, True, 0xffffffff, &frames)
    if why != NULL:
        return why
    why = whole(data, n, False, frames.count, &raw)
    if why != NULL:
        return why
    if frames.count > raw.count or (frames.last == CAPTURE_END and frames.count != raw.count):
        return b"as frames there are other packets"
    if frames.times != raw.times:
        return b"as frames there are other times"
    return NULL


ENTRY = harness(run, &planted)
