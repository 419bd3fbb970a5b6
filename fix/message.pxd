# A parsed FIX message: where its fields are. Nothing is copied or converted until a reader asks.
#
# fix_parse (parse.pxd) fills a fix_msg that points into the caller's octets: it is valid as long as they are, and until the
# next fix_parse with the same fix_msg. `fields` is memory the owner of the fix_msg gives once (fix_msg_alloc in parse.pxd).
# fields[0..2] are BeginString(8), BodyLength(9), MsgType(35), the last one is CheckSum(10); fields behind `count` mean nothing.
# Readers take what fix_find returned, NULL included (False), so that a reader is one line.
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from fix.digits cimport FIX_NUM_OK, fix_digits_e8, fix_digits_int, fix_digits_uint
from fix.timestamp cimport fix_text_date, fix_text_time, fix_text_utc

cdef enum:
    FIX_SLACK = 64              # octets behind p+n that fix_parse and the readers may look at (their content means nothing)
    FIX_MAX_MESSAGE = 65535     # octets of a message: offsets and lengths are 16 bits
    FIX_MAX_FIELDS = 21840      # a message of FIX_MAX_MESSAGE octets cannot have more
    FIX_HINT_NONE = 0xFFFF

cdef enum fix_error:
    # A message with right BodyLength and CheckSum that is wrong inside. It is COMPLETE: the session answers with a Reject
    # or ignores it. `error_field` is the index of the first such field, `error_tag` the tag it claims (0: none to be read).
    FIX_OK = 0
    FIX_ERR_NO_EQUALS = 1       # a field without '='; its tag is 0 and its value the whole field
    FIX_ERR_TAG = 2             # the tag is not 1..2147483647 in digits without leading zeros; tag is 0, see fix_tag_text
    FIX_ERR_DATA_LENGTH = 3     # a data field is not as long as its Length field says
    FIX_ERR_FIELDS = 4          # more fields than the fix_msg has room for; the first ones are there

cdef enum fix_garbled:
    # Why fix_parse said FIX_GARBLED (FIX 4.4 vol. 2 "Message Recovery": what makes a message garbled)
    FIX_GARBLED_NOT_FIX = 1     # the octets do not begin with 8=FIX: the stretch skipped is what lies between messages
    FIX_GARBLED_BEGINSTRING = 2 # not 8=FIX.n.m or 8=FIXT.n.m
    FIX_GARBLED_BODYLENGTH = 3  # no BodyLength(9) in second place, or not a number
    FIX_GARBLED_TOO_LONG = 4    # BodyLength makes the message longer than max_size
    FIX_GARBLED_MSGTYPE = 5     # no MsgType(35) in third place, or it is empty
    FIX_GARBLED_TRAILER = 6     # no CheckSum(10) where BodyLength says it is
    FIX_GARBLED_CHECKSUM = 7    # CheckSum(10) differs

cdef struct fix_field:
    uint32_t tag            # 1..2147483647; 0 where the tag is no number
    uint16_t off            # the value is at msg.p + off
    uint16_t len            # octets of value, 0 if empty

cdef struct fix_msg:
    const uint8_t *p        # first octet, the '8' of 8=FIX
    uint32_t n              # COMPLETE: octets of the message
    uint32_t count          # COMPLETE: fields
    uint32_t need           # PARTIAL: octets needed from p, in total, before parsing again makes sense
    uint32_t skip           # GARBLED: octets to drop from p, up to the next 8=FIX (or what may become one)
    uint64_t MsgType        # its octets, the first lowest ('D' is 0x44); 0 if longer than 8
    uint32_t body           # offset of the first octet that BodyLength counts
    uint16_t error          # fix_error
    uint16_t garbled        # fix_garbled
    uint32_t error_field
    uint32_t error_tag
    # the owner's, set by fix_msg_alloc and kept by fix_parse
    uint32_t max_size       # octets; a message that announces more is GARBLED at once
    uint32_t room           # fields there is room for
    fix_field *fields       # with 256 octets of slack behind
    const void *data_table  # borrowed: Length/data pairs of a dictionary of the user's (parse.pxd), NULL: the standard's
    uint32_t resync         # fix_resync of parse.pxd
    # FIX_RESYNC_TRAILER: the octets up to seek_end stay as they are, and no CheckSum(10) begins in seek_from .. seek_to of
    # them, so that many false beginnings do not look through the same octets again. seek_end NULL: not known.
    const uint8_t *seek_from
    const uint8_t *seek_to
    const uint8_t *seek_end

cdef extern from *:
    """
    #ifndef FIXWIRE_FIND
    #define FIXWIRE_FIND
    #include <stdint.h>
    #include <string.h>
    #if defined(__SSE2__)
    #include <emmintrin.h>
    #endif
    /* Index of the first field from `i` on whose tag is `tag`, or `count`. Reads up to 64 octets behind the fields. */
    static inline __attribute__((unused)) uint32_t fw_find(const void *fields, uint32_t i, uint32_t count, uint32_t tag) {
        const uint8_t *f = (const uint8_t *)fields;
    #if defined(__SSE2__)
        const __m128i want = _mm_set1_epi32((int)tag);
        for (; i < count; i += 8) {
            const __m128 *q = (const __m128 *)(f + 8 * (size_t)i);
            __m128i a = _mm_castps_si128(_mm_shuffle_ps(_mm_loadu_ps((const float *)q), _mm_loadu_ps((const float *)(q + 1)), 0x88));
            __m128i b = _mm_castps_si128(_mm_shuffle_ps(_mm_loadu_ps((const float *)(q + 2)), _mm_loadu_ps((const float *)(q + 3)), 0x88));
            uint32_t hit = (uint32_t)_mm_movemask_epi8(_mm_packs_epi16(_mm_packs_epi32(_mm_cmpeq_epi32(a, want), _mm_cmpeq_epi32(b, want)), _mm_setzero_si128()));
            if (hit) { i += (uint32_t)__builtin_ctz(hit); return i < count ? i : count; }
        }
        return count;
    #else
        for (; i < count; i++) { uint32_t t; memcpy(&t, f + 8 * (size_t)i, 4); if (t == tag) return i; }
        return count;
    #endif
    }
    #endif
    """
    uint32_t fix_index_from "fw_find"(const fix_field *fields, uint32_t i, uint32_t count, uint32_t tag) noexcept nogil


cdef inline const fix_field *fix_find(const fix_msg *m, uint32_t tag) noexcept nogil:
    """The first field with that tag, or NULL. About 1 ns for every 8 fields before it."""
    cdef uint32_t i = fix_index_from(m.fields, 0, m.count, tag)
    return &m.fields[i] if i < m.count else NULL


cdef inline const fix_field *fix_find_after(const fix_msg *m, const fix_field *f, uint32_t tag) noexcept nogil:
    """The next field with that tag behind `f`, or NULL."""
    cdef uint32_t i = fix_index_from(m.fields, <uint32_t>(f - m.fields) + 1, m.count, tag)
    return &m.fields[i] if i < m.count else NULL


cdef inline const fix_field *fix_get(const fix_msg *m, uint32_t tag, uint16_t *hint) noexcept nogil:
    """fix_find that remembers in `hint` where it found the tag: one compare while messages keep their shape.

    A hint is only right for the first field of that tag; start with 0. Not for tags that repeat in groups.
    """
    cdef uint32_t i = hint[0]
    if i < m.count and m.fields[i].tag == tag:
        return &m.fields[i]
    i = fix_index_from(m.fields, 0, m.count, tag)
    if i >= m.count:
        return NULL
    hint[0] = <uint16_t>i
    return &m.fields[i]


cdef inline const uint8_t *fix_value(const fix_msg *m, const fix_field *f) noexcept nogil:
    """First octet of the value; f.len octets. `f` must not be NULL."""
    return m.p + f.off


cdef inline bint fix_value_is(const fix_msg *m, const fix_field *f, const char *text, uint32_t n) noexcept nogil:
    """True if `f` is there and its value is exactly the n octets of `text`."""
    cdef uint32_t i
    if f == NULL or f.len != n:
        return False
    for i in range(n):
        if m.p[f.off + i] != <uint8_t>text[i]:
            return False
    return True


# Readers: True and the value, or False if `f` is NULL or the value is not of that type (out is then unchanged or meaningless).

cdef inline bint fix_read_uint(const fix_msg *m, const fix_field *f, uint64_t *out) noexcept nogil:
    """SeqNum, Length, NumInGroup, Qty in whole units: digits only, leading zeros allowed."""
    return f != NULL and fix_digits_uint(m.p + f.off, f.len, out) == FIX_NUM_OK


cdef inline bint fix_read_int(const fix_msg *m, const fix_field *f, int64_t *out) noexcept nogil:
    return f != NULL and fix_digits_int(m.p + f.off, f.len, out) == FIX_NUM_OK


cdef inline bint fix_read_price_e8(const fix_msg *m, const fix_field *f, int64_t *out) noexcept nogil:
    """Price, Qty, Amt, float as a mantissa of 10^-8, exact; False also when it does not fit or has more decimals."""
    return f != NULL and fix_digits_e8(m.p + f.off, f.len, out) == FIX_NUM_OK


cdef inline bint fix_read_char(const fix_msg *m, const fix_field *f, uint8_t *out) noexcept nogil:
    if f == NULL or f.len != 1:
        return False
    out[0] = m.p[f.off]
    return True


cdef inline bint fix_read_bool(const fix_msg *m, const fix_field *f, bint *out) noexcept nogil:
    if f == NULL or f.len != 1 or (m.p[f.off] != 89 and m.p[f.off] != 78):      # 'Y', 'N'
        return False
    out[0] = m.p[f.off] == 89
    return True


cdef inline bint fix_is_yes(const fix_msg *m, const fix_field *f) noexcept nogil:
    """True if the field is there and is Y."""
    return f != NULL and f.len == 1 and m.p[f.off] == 89


cdef inline bint fix_read_utc_ns(const fix_msg *m, const fix_field *f, int64_t *utc_ns) noexcept nogil:
    """UTCTimestamp with 0 to 9 (or 12) decimals; a leap second is the next minute's first."""
    return f != NULL and fix_text_utc(m.p + f.off, f.len, utc_ns)


cdef inline bint fix_read_time(const fix_msg *m, const fix_field *f, int64_t *ns_of_day) noexcept nogil:
    """UTCTimeOnly, LocalMktTime."""
    return f != NULL and fix_text_time(m.p + f.off, f.len, ns_of_day)


cdef inline bint fix_read_date(const fix_msg *m, const fix_field *f, int32_t *days) noexcept nogil:
    """UTCDateOnly, LocalMktDate: days since 1970-01-01."""
    return f != NULL and fix_text_date(m.p + f.off, f.len, days)


cdef inline uint64_t fix_msgtype(const char *text) noexcept nogil:
    """What fix_msg.MsgType is for this MsgType(35); up to 8 octets. A constant where `text` is one."""
    cdef uint64_t x = 0
    cdef int i
    for i in range(8):
        if text[i] == 0:
            break
        x |= <uint64_t><uint8_t>text[i] << (8 * i)
    return x


cdef inline const uint8_t *fix_tag_text(const fix_msg *m, uint32_t i, uint32_t *n) noexcept nogil:
    """The octets that stand as the tag of field i, number or not (RefTagID of a Reject); the whole field without '='."""
    cdef uint32_t start = 0
    if i > 0:
        start = <uint32_t>m.fields[i - 1].off + m.fields[i - 1].len + 1
    n[0] = m.fields[i].off - start - 1 if m.fields[i].off > start else m.fields[i].len
    return m.p + start


# Repeating groups. The first field behind NoXxx begins every entry (FIX 4.4 vol. 1 "Repeating Groups"). Where an entry ends
# that is the last one is known only with the group's members: give them sorted; without them it reaches to CheckSum.
cdef struct fix_group:
    const fix_msg *m
    const uint32_t *members     # tags of the group and of the groups in it, ascending; NULL: not known
    uint32_t n_members
    uint32_t count              # what NoXxx says
    uint32_t entry              # entries handed out so far
    uint32_t begin              # the entry's fields: m.fields[begin] .. m.fields[end - 1]
    uint32_t end
    uint32_t limit              # the fields of the message, or of the entry this group is nested in, end here
    uint32_t delimiter


cdef inline bint fix_group_has(const fix_group *g, uint32_t tag) noexcept nogil:
    cdef uint32_t lo = 0, hi = g.n_members, mid
    if g.members == NULL:
        return True
    while lo < hi:
        mid = (lo + hi) >> 1
        if g.members[mid] < tag:
            lo = mid + 1
        else:
            hi = mid
    return lo < g.n_members and g.members[lo] == tag


cdef inline bint fix_group_open(fix_group *g, const fix_msg *m, const fix_field *counter, uint32_t limit) noexcept nogil:
    """Begin with the group counted by `counter`; False if it is NULL, no number, or there is nothing behind it.

    `limit` is m.count - 1, or g.end of the entry around a nested group. Set g.members, n_members afterwards if known.
    """
    cdef uint64_t n
    cdef uint32_t i
    g.m = m
    g.members = NULL
    g.n_members = 0
    g.count = g.entry = g.begin = g.end = 0
    if not fix_read_uint(m, counter, &n) or n > FIX_MAX_FIELDS:
        return False
    i = <uint32_t>(counter - m.fields) + 1
    g.limit = limit
    g.begin = g.end = i
    g.count = <uint32_t>n
    if n == 0:
        return True
    if i >= limit:
        return False
    g.delimiter = m.fields[i].tag
    return True


cdef inline bint fix_group_next(fix_group *g) noexcept nogil:
    """The next entry, in g.begin and g.end; False when there is none, be it that NoXxx promised more."""
    cdef uint32_t i = g.end
    if g.entry >= g.count or i >= g.limit or g.m.fields[i].tag != g.delimiter:
        return False
    g.begin = i
    i += 1
    while i < g.limit and g.m.fields[i].tag != g.delimiter and fix_group_has(g, g.m.fields[i].tag):
        i += 1
    g.end = i
    g.entry += 1
    return True


cdef inline const fix_field *fix_group_find(const fix_group *g, uint32_t tag) noexcept nogil:
    """The first field with that tag in this entry, or NULL."""
    cdef uint32_t i = fix_index_from(g.m.fields, g.begin, g.end, tag)
    return &g.m.fields[i] if i < g.end else NULL


cdef inline const fix_field *fix_group_get(const fix_group *g, uint32_t tag, uint16_t *hint) noexcept nogil:
    """fix_group_find with a hint: the place of the tag within its entry."""
    cdef uint32_t i = g.begin + hint[0]
    if i < g.end and g.m.fields[i].tag == tag:
        return &g.m.fields[i]
    i = fix_index_from(g.m.fields, g.begin, g.end, tag)
    if i >= g.end:
        return NULL
    hint[0] = <uint16_t>(i - g.begin)
    return &g.m.fields[i]
