"""Fuzzed: fix_parse. Every scanner this machine has says the same of the same octets, and what it says holds together.

The first octet of an input is the settings: with FRAMED the rest is a body that BeginString, BodyLength and CheckSum are
put around, so that it reaches the scanners. tests/test_fuzz.py asks the independent Python parser about the corpus too.
"""
from libc.stddef cimport size_t
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp, memcpy, memset

from fix.message cimport *
from fix.parse cimport *
from fuzz_input cimport harness

cdef enum:
    FRAMED = 1
    TRAILER = 2
    LITTLE_ROOM = 4
    SMALL = 8               # max_size 200
    FIXT = 16
    TAIL = 32               # the beginning of another message behind it
    MOST = 60000
    ROOM = 20

cdef fix_msg[3] found
cdef int scanners = 0       # of 3: this machine has the first so many
cdef int planted = 0    # 1: of messages of ten fields and more the portable scanner's fifth is one octet short


cdef extern from *:
    """
    #include <stdio.h>
    static inline uint32_t fw_framed(uint8_t *to, const uint8_t *body, uint32_t n, int fixt) {
        uint32_t at = (uint32_t)sprintf((char *)to, "8=FIX%s\\001" "9=%u\\001", fixt ? "T.1.1" : ".4.4", n), i, sum = 0;
        for (i = 0; i < n; i++) to[at + i] = body[i];
        for (i = 0; i < at + n; i++) sum += to[i];
        return at + n + (uint32_t)sprintf((char *)to + at + n, "10=%03u\\001", sum & 255);
    }
    """
    uint32_t framed "fw_framed"(uint8_t *to, const uint8_t *body, uint32_t n, int fixt) noexcept nogil


def setup():
    global scanners
    cdef int i
    for i in range(3):
        if fix_use_isa(i) != i:
            break
        scanners += 1
        if not fix_msg_alloc(&found[i], 0):
            raise MemoryError("a message's fields")
    fix_use_isa(FIX_ISA_AVX512)


setup()


cdef const char *whole(fix_msg *m, uint32_t n) noexcept nogil:
    """A complete message holds together, and every reader may be asked about every field."""
    cdef uint32_t i, k, at = 0
    cdef const fix_field *f
    cdef uint64_t u
    cdef int64_t s
    cdef int32_t days
    cdef uint8_t c
    cdef bint yes
    if m.n > n or m.n > m.max_size or m.count < 4 or m.count > m.room:
        return b"a message larger than its octets"
    if m.fields[0].tag != 8 or m.fields[1].tag != 9 or m.fields[2].tag != 35 or m.fields[m.count - 1].tag != 10:
        return b"head and trailer"
    for i in range(m.count):
        f = &m.fields[i]
        if f.off < at or f.off + f.len >= m.n or m.p[f.off + f.len] != 1:
            return b"a field is not where its octets are"
        at = f.off + f.len + 1
        fix_read_uint(m, f, &u)
        fix_read_int(m, f, &s)
        fix_read_price_e8(m, f, &s)
        fix_read_char(m, f, &c)
        fix_read_bool(m, f, &yes)
        fix_read_utc_ns(m, f, &s)
        fix_read_time(m, f, &s)
        fix_read_date(m, f, &days)
        fix_tag_text(m, i, &k)
        if f.tag and fix_find(m, f.tag) > f:
            return b"the first field of a tag is not the first"
    if m.error != FIX_ERR_FIELDS and at != m.n:
        return b"the last field is not the end"
    return NULL


cdef const char *same(const fix_msg *a, int verdict, const fix_msg *b, int other) noexcept nogil:
    if verdict != other:
        return b"scanners disagree about the verdict"
    if verdict == FIX_PARTIAL:
        if a.need != b.need:
            return b"scanners disagree about the need"
        return NULL
    if verdict == FIX_GARBLED:
        if a.skip != b.skip or a.garbled != b.garbled:
            return b"scanners disagree about what is garbled"
        return NULL
    if a.n != b.n or a.count != b.count or a.MsgType != b.MsgType or a.body != b.body:
        return b"scanners disagree about the message"
    if a.error != b.error or (a.error and (a.error_field != b.error_field or a.error_tag != b.error_tag)):
        return b"scanners disagree about the fault"
    if memcmp(a.fields, b.fields, a.count * sizeof(fix_field)) != 0:
        return b"scanners disagree about a field"
    return NULL


cdef const char *run(const uint8_t *data, size_t size) noexcept nogil:
    cdef uint8_t kind = data[0] if size else 0
    cdef uint32_t n = <uint32_t>(min(size - 1, MOST) if size else 0), at = 0, rounds = 0
    cdef uint8_t *octets
    cdef const char *why = NULL
    cdef int[3] verdict
    cdef int i
    octets = <uint8_t *>malloc(n + 64 + FIX_SLACK)
    if kind & FRAMED:
        n = framed(octets, data + 1, n, kind & FIXT)
    elif n:
        memcpy(octets, data + 1, n)
    if kind & TAIL:
        memcpy(octets + n, <const char *>b"8=FIX.4.4\x019=5", 13)
        n += 13
    cdef uint8_t *exact = <uint8_t *>malloc(n + FIX_SLACK)      # the octets and the slack, and not one more
    memcpy(exact, octets, n)
    memset(exact + n, kind, FIX_SLACK)
    free(octets)
    while why == NULL and at < n and rounds < 200:
        rounds += 1
        for i in range(scanners):
            found[i].max_size = 200 if kind & SMALL else FIX_MAX_MESSAGE
            found[i].room = ROOM if kind & LITTLE_ROOM else FIX_MAX_FIELDS
            found[i].resync = FIX_RESYNC_TRAILER if kind & TRAILER else FIX_RESYNC_NEXT
            fix_use_isa(i)
            verdict[i] = fix_parse(&found[i], exact + at, n - at)
            if planted and i == 0 and verdict[0] == FIX_COMPLETE and found[0].count > 9:
                found[0].fields[4].len -= 1
        for i in range(1, scanners):
            if why == NULL:
                why = same(&found[0], verdict[0], &found[i], verdict[i])
        if why != NULL:
            break
        if verdict[0] == FIX_COMPLETE:
            why = whole(&found[0], n - at)
            at += found[0].n
        elif verdict[0] == FIX_GARBLED:
            if found[0].skip == 0 or found[0].skip > n - at:
                why = b"skipping stands still or goes too far"
            at += found[0].skip
        else:
            if found[0].need <= n - at:
                why = b"PARTIAL, and what it needs is there"
            break
    fix_use_isa(FIX_ISA_AVX512)
    free(exact)
    return why


def octets_of(bytes data):
    """The octets of this input as the standard settings would meet them, framed if it asks for that."""
    cdef uint8_t kind = data[0] if data else 0
    cdef bytes out = b"\0" * (len(data) + 64)
    if len(data) > MOST:
        return b""
    if kind & FRAMED:
        return out[:framed(<uint8_t *><char *>out, <const uint8_t *><const char *>data + 1, <uint32_t>len(data) - 1, kind & FIXT)]
    return data[1:]


ENTRY = harness(run, &planted)
