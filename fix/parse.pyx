"""Octets to fields: framing, CheckSum, field table, and where to go on behind a garbled message.

FIX 4.4 volume 2, "Message format" and "Garbled messages": a message begins with BeginString(8), BodyLength(9) and
MsgType(35) in that order and ends with CheckSum(10); one that does not, or whose BodyLength or CheckSum is wrong, is
garbled and ignored. What is wrong inside a message that passes all this is told by fix_msg.error and left to the session.
Not here: what tags mean (validate), sequence numbers (session).
"""
from libc.stdlib cimport free, malloc
from libc.string cimport memchr, memcmp, memcpy, memset

from fix.dictionary.datafields cimport FIX_DATA_PAIRS, fix_data_pairs
from fix.message cimport (
    FIX_GARBLED_BEGINSTRING, FIX_GARBLED_BODYLENGTH, FIX_GARBLED_CHECKSUM, FIX_GARBLED_MSGTYPE, FIX_GARBLED_NOT_FIX,
    FIX_GARBLED_TOO_LONG, FIX_GARBLED_TRAILER, FIX_MAX_FIELDS, FIX_MAX_MESSAGE, FIX_OK, FIX_SLACK,
)
from stack.wire.octets cimport likely, unlikely

cdef extern from "scan.h" nogil:
    ctypedef struct fw_data_table:
        uint32_t n
    ctypedef struct fw_fault:
        uint32_t error
        uint32_t field
        uint32_t tag
    ctypedef int (*fw_scan_fn)(const uint8_t *p, uint32_t begin, uint32_t end, uint64_t *out, uint32_t room,
                               uint32_t *sum, const fw_data_table *t) noexcept nogil
    ctypedef uint32_t (*fw_sum_fn)(const uint8_t *p, uint32_t n) noexcept nogil
    int FW_PAIRS
    bint fw_data_add(fw_data_table *t, uint32_t length, uint32_t data) noexcept
    uint32_t fw_data_of(const fw_data_table *t, uint32_t length) noexcept
    uint32_t fw_length_of(const fw_data_table *t, uint32_t data) noexcept
    uint32_t fw_scan_general(const uint8_t *p, uint32_t i, uint32_t end, uint64_t *out, uint32_t k, uint32_t room,
                             const fw_data_table *t, fw_fault *fault) noexcept
    int fw_choose(int isa, fw_scan_fn *scan, fw_sum_fn *sum) noexcept

cdef extern from *:
    """
    #include <string.h>
    #if defined(__GLIBC__)
    extern void *memmem(const void *, size_t, const void *, size_t);
    #endif
    /* "8=FIX.4." and "8=FIXT.1" as they are loaded */
    static inline uint64_t fw_word(const char *s) { uint64_t x; memcpy(&x, s, 8); return x; }
    """
    void *memmem(const void *hay, size_t n, const void *needle, size_t k) noexcept nogil
    uint64_t fw_word(const char *s) noexcept nogil
    uint64_t fw_load8(const uint8_t *p) noexcept nogil
    uint64_t fw_octets_equal(uint64_t x, uint8_t c) noexcept nogil
    uint32_t fw_weigh8(uint64_t x) noexcept nogil
    uint64_t fw_not_digits(uint64_t x) noexcept nogil
    int ctz64 "__builtin_ctzll"(uint64_t x) noexcept nogil

cdef enum:
    SOH = 1
    SHORTEST = 26       # 8=FIX.4.4|9=5|35=0|10=000|
    LONGEST_NEED = 4096  # FIX_RESYNC_TRAILER looks that far behind the announced end before it gives up

cdef fw_data_table standard_pairs
cdef fw_scan_fn scan
cdef fw_sum_fn octet_sum


cdef bint fix_msg_alloc(fix_msg *m, uint32_t fields) noexcept nogil:
    memset(m, 0, sizeof(fix_msg))
    if fields == 0 or fields > FIX_MAX_FIELDS:
        fields = FIX_MAX_FIELDS
    if fields < 8:
        fields = 8
    m.fields = <fix_field *>malloc(fields * sizeof(fix_field) + 128 + 2 * FIX_SLACK)
    if m.fields == NULL:
        return False
    m.room = fields
    m.max_size = FIX_MAX_MESSAGE
    return True


cdef void fix_msg_free(fix_msg *m) noexcept nogil:
    free(m.fields)
    m.data_table = NULL
    m.fields = NULL
    m.room = m.count = 0


cdef void *fix_data_table(dict pairs) except? NULL:
    cdef fw_data_table *t
    if all(fix_data_tag(NULL, length) == data for length, data in pairs.items()):
        return NULL
    t = <fw_data_table *>malloc(sizeof(fw_data_table))
    if t == NULL:
        raise MemoryError("a table of Length and data fields")
    memcpy(t, &standard_pairs, sizeof(fw_data_table))
    for length, data in pairs.items():
        if not fw_data_add(t, length, data):
            free(t)
            raise ValueError(f"{len(pairs)} pairs of Length and data fields, at most {FW_PAIRS} are possible")
    return t


cdef const fw_data_table *table_of(const fix_msg *m) noexcept nogil:
    return <const fw_data_table *>m.data_table if m != NULL and m.data_table != NULL else &standard_pairs


cdef uint32_t fix_data_tag(const fix_msg *m, uint32_t length_tag) noexcept nogil:
    return fw_data_of(table_of(m), length_tag)


cdef uint32_t fix_length_tag(const fix_msg *m, uint32_t data_tag) noexcept nogil:
    return fw_length_of(table_of(m), data_tag)


cdef uint32_t fix_next_begin(const uint8_t *p, uint32_t n) noexcept nogil:
    cdef const void *hit
    cdef uint32_t k
    if n < 2:
        return n
    hit = memmem(p + 1, n - 1, <const char *>b"8=FIX", 5)
    if hit != NULL:
        return <uint32_t>(<const uint8_t *>hit - p)
    for k in range(4 if n > 5 else n - 1, 0, -1):
        if memcmp(p + n - k, <const char *>b"8=FIX", k) == 0:
            return n - k
    return n


cdef const uint8_t *next_trailer(fix_msg *m, const uint8_t *p, const uint8_t *end) noexcept nogil:
    """The first `|10=` that begins at p or behind and ends before `end`, NULL: none."""
    cdef const uint8_t *at = p
    cdef const uint8_t *hit
    cdef bint kept = m.seek_end != NULL and end <= m.seek_end
    cdef bint known = kept and m.seek_from <= p <= m.seek_to
    if known:
        at = m.seek_to
    if end - at < 4:
        return NULL
    hit = <const uint8_t *>memmem(at, <size_t>(end - at), <const char *>b"\x0110=", 4)
    if kept and hit == NULL:
        if not known:
            m.seek_from = p
        m.seek_to = end - 3
    return hit


cdef int garbled(fix_msg *m, const uint8_t *p, uint32_t n, int why, uint32_t total) noexcept nogil:
    """Fill in `skip`. `total` is what BodyLength makes of the message, 0 if it could not be read."""
    cdef const uint8_t *hit
    cdef const uint8_t *soh
    cdef uint32_t far
    m.garbled = why
    if m.resync == 1 and total != 0:        # FIX_RESYNC_TRAILER
        if n < total:
            m.need = total
            return FIX_PARTIAL
        far = n if n - total < LONGEST_NEED else total + LONGEST_NEED
        # CheckSum(10) may stand exactly where BodyLength says, with the SOH before it one octet earlier
        hit = next_trailer(m, p + total - 8, p + far)
        if hit != NULL:
            soh = <const uint8_t *>memchr(hit + 4, SOH, <size_t>(p + far - (hit + 4)))
            if soh != NULL:
                m.skip = <uint32_t>(soh + 1 - p)
                return FIX_GARBLED
        if n - total < LONGEST_NEED:
            m.need = n + 1
            return FIX_PARTIAL
    m.skip = fix_next_begin(p, n)
    return FIX_GARBLED


cdef int frame_prefix(fix_msg *m, const uint8_t *p, uint32_t n) noexcept nogil:
    """Fewer octets than any message has: PARTIAL as long as they may begin one."""
    cdef uint32_t i, k = 10
    cdef bint ok
    for i in range(n if n < 5 else 5):
        if p[i] != <uint8_t>(<const char *>b"8=FIX")[i]:
            return garbled(m, p, n, FIX_GARBLED_NOT_FIX, 0)
    if n > 5 and p[5] == 84:                            # T
        k = 11
    for i in range(5, n if n < k + 2 else k + 2):
        if i == 5 and k == 11:
            continue
        if i == k - 5 or i == k - 3:
            ok = p[i] == 46                             # .
        elif i == k - 4 or i == k - 2:
            ok = 48 <= p[i] <= 57
        elif i == k - 1:
            ok = p[i] == SOH
        else:
            ok = p[i] == (57 if i == k else 61)         # 9=
            if not ok:
                return garbled(m, p, n, FIX_GARBLED_BODYLENGTH, 0)
        if not ok:
            return garbled(m, p, n, FIX_GARBLED_BEGINSTRING, 0)
    for i in range(k + 2, n):
        if p[i] == SOH and i > k + 2:
            break
        if not 48 <= p[i] <= 57 or i > k + 8:
            return garbled(m, p, n, FIX_GARBLED_BODYLENGTH, 0)
    m.need = SHORTEST
    return FIX_PARTIAL


cdef inline uint32_t begin_string(const uint8_t *p) noexcept nogil:
    """Octets of `8=FIX.n.m|` or `8=FIXT.n.m|` at p, or 0. 26 octets are readable."""
    cdef uint64_t x = fw_load8(p)
    cdef uint32_t k = 10
    if x != fw_word(b"8=FIX.4."):
        if memcmp(p, <const char *>b"8=FIX", 5) != 0:
            return 0
        if p[5] == 84:
            k = 11
        if p[k - 5] != 46 or not 48 <= p[k - 4] <= 57 or p[k - 3] != 46:
            return 0
    if not 48 <= p[k - 2] <= 57 or p[k - 1] != SOH:
        return 0
    return k


cdef int fix_parse(fix_msg *m, const uint8_t *p, uint32_t n) noexcept nogil:
    cdef uint32_t i, w, total, length, sum = 0
    cdef uint64_t x, y, hit
    cdef int count
    cdef const fw_data_table *pairs
    m.p = p
    m.n = m.count = 0
    if unlikely(n < SHORTEST):
        return frame_prefix(m, p, n)
    # BeginString and the 9= behind it; in one look what FIX 4 messages begin with
    y = fw_load8(p + 8) ^ <uint64_t>0x3d390130
    if likely(fw_load8(p) == fw_word(b"8=FIX.4.") and <uint32_t>y <= 9):
        i = 10
    else:
        i = begin_string(p)
        if i == 0:
            if memcmp(p, <const char *>b"8=FIX", 5) != 0:
                return garbled(m, p, n, FIX_GARBLED_NOT_FIX, 0)
            return garbled(m, p, n, FIX_GARBLED_BEGINSTRING, 0)
        if p[i] != 57 or p[i + 1] != 61:
            return garbled(m, p, n, FIX_GARBLED_BODYLENGTH, 0)
    # BodyLength: one to seven digits
    x = fw_load8(p + i + 2)
    hit = fw_octets_equal(x, SOH)
    w = <uint32_t>ctz64(hit | <uint64_t>1 << 63) >> 3
    x = (x ^ <uint64_t>0x3030303030303030) << ((64 - 8 * w) & 63)
    length = fw_weigh8(x)
    if unlikely(hit == 0 or w == 0 or fw_not_digits(x) != 0 or length < 5):
        return garbled(m, p, n, FIX_GARBLED_BODYLENGTH, 0)
    m.body = i + w + 3
    total = m.body + length + 7
    if unlikely(total > m.max_size or total > FIX_MAX_MESSAGE):
        return garbled(m, p, n, FIX_GARBLED_TOO_LONG, 0)
    # MsgType. All of `35=x` is there as soon as `total` octets are, and it is judged when its four octets are.
    y = fw_load8(p + m.body)
    if unlikely((y & 0xffffff) != 0x3d3533 or (y >> 24 & 0xff) == SOH) and n >= m.body + 4:
        return garbled(m, p, n, FIX_GARBLED_MSGTYPE, total)
    if unlikely(n < total):
        m.need = total
        return FIX_PARTIAL
    # |10=ddd| where BodyLength says
    x = fw_load8(p + total - 8)
    hit = (x >> 32 & 0xffffff) ^ 0x303030
    if unlikely((x & <uint64_t>0xff000000ffffffff) != <uint64_t>0x010000003d303101
                or ((hit | (hit + 0x767676)) & 0x808080) != 0):
        return garbled(m, p, n, FIX_GARBLED_TRAILER, total)
    pairs = table_of(m)
    m.error = FIX_OK
    count = scan(p, m.body, total - 7, <uint64_t *>(m.fields + 2), m.room - 3, &sum, pairs)
    if unlikely(count < 0):
        count = irregular(m, total - 7, pairs)
        sum = octet_sum(p, total - 7)
    if unlikely(sum != (hit & 0xff) * 100 + (hit >> 8 & 0xff) * 10 + (hit >> 16)):
        return garbled(m, p, n, FIX_GARBLED_CHECKSUM, total)
    put_field(m.fields, 8, 2, i - 3)
    put_field(m.fields + 1, 9, i + 2, w)
    put_field(m.fields + count + 2, 10, total - 4, 3)
    m.n = total
    m.count = <uint32_t>count + 3
    # its octets up to the SOH
    y = y >> 24
    if likely((y >> 8 & 0xff) == SOH):
        m.MsgType = y & 0xff
    else:
        w = m.fields[2].len
        m.MsgType = (fw_load8(p + m.body + 3) & (~<uint64_t>0 >> (64 - 8 * w))) if w <= 8 else 0
    return FIX_COMPLETE


cdef inline void put_field(fix_field *f, uint32_t tag, uint64_t off, uint64_t n) noexcept nogil:
    (<uint64_t *>f)[0] = tag | off << 32 | n << 48      # as it lies in memory, in one store


cdef int irregular(fix_msg *m, uint32_t end, const fw_data_table *pairs) noexcept nogil:
    """The field table where the fast scanner would not decide; sets m.error."""
    cdef fw_fault fault
    cdef uint32_t k = fw_scan_general(m.p, m.body, end, <uint64_t *>(m.fields + 2), 0, m.room - 3, pairs, &fault)
    if fault.error != FIX_OK:
        m.error = fault.error
        m.error_field = fault.field + 2
        m.error_tag = fault.tag
    return <int>k


cdef uint32_t fix_octet_sum(const uint8_t *p, uint32_t n) noexcept nogil:
    return octet_sum(p, n)


cdef int fix_use_isa(int isa) noexcept nogil:
    global scan, octet_sum
    return fw_choose(isa, &scan, &octet_sum)


cdef void fill_pairs() noexcept:
    cdef int i
    for i in range(FIX_DATA_PAIRS):
        fw_data_add(&standard_pairs, fix_data_pairs[i][0], fix_data_pairs[i][1])


fill_pairs()
fix_use_isa(FIX_ISA_AVX512)


# For tests and for finding out what a machine does.

ISA = {"scalar": FIX_ISA_SCALAR, "avx2": FIX_ISA_AVX2, "avx512": FIX_ISA_AVX512}


def use_isa(name="avx512"):
    """Scan with "scalar", "avx2" or "avx512" instructions from now on, or the best below; says which it is."""
    if name not in ISA:
        raise ValueError(f"isa is {name!r}, must be one of {', '.join(ISA)}")
    chosen = fix_use_isa(ISA[name])
    return next(key for key, value in ISA.items() if value == chosen)


def verdict(const uint8_t[::1] data, int max_size=FIX_MAX_MESSAGE, bint trailer=False, int room=0, bint in_place=False):
    """What fix_parse says of the octets: (verdict, octets, why, fields).

    octets is the message's length, what is needed in all, or what is to be skipped; why the fix_error with its field, or
    the fix_garbled; fields a list of (tag, offset, length). The octets are parsed in a copy with FIX_SLACK behind it;
    with in_place where they are, the last FIX_SLACK of them being that.
    """
    cdef fix_msg m = scratch
    cdef uint32_t n = <uint32_t>data.shape[0], i
    cdef const uint8_t *p
    cdef uint8_t *copy = NULL
    if in_place:
        if n < FIX_SLACK:
            raise ValueError(f"{n} octets, in_place needs {FIX_SLACK} and more")
        n -= FIX_SLACK
        p = &data[0]
    else:
        p = copy = <uint8_t *>malloc(n + FIX_SLACK)
        if copy == NULL:
            raise MemoryError
        if n:
            memcpy(copy, &data[0], n)
        memset(copy + n, 0x3d, FIX_SLACK)
    m.max_size = max_size
    m.resync = FIX_RESYNC_TRAILER if trailer else FIX_RESYNC_NEXT
    if room:
        m.room = min(max(room, 8), FIX_MAX_FIELDS)
    found = fix_parse(&m, p, n)
    free(copy)
    if found == FIX_PARTIAL:
        return found, m.need, None, []
    if found == FIX_GARBLED:
        return found, m.skip, m.garbled, []
    return (found, m.n, (m.error, m.error_field, m.error_tag) if m.error else None,
            [(m.fields[i].tag, m.fields[i].off, m.fields[i].len) for i in range(m.count)])


cdef fix_msg scratch        # verdict's

if not fix_msg_alloc(&scratch, 0):
    raise MemoryError
