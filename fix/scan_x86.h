/* The scanners of scan.h for AVX-512 (with VBMI2: Ice Lake, Zen 4 and later) and AVX2, compiled whatever the build's
 * target is and called only where cpuid says so.
 *
 * 64 octets at a time. SOH and '=' become bit masks. Which '=' ends a tag is one addition: a carry started at the octet
 * behind each SOH runs through everything that is not '=' and stops in the first one; the bits it turned are the tag.
 * A field without '=' lets two carries end in the same place, so as many marked '=' as SOH means every field has one.
 */
#ifndef FIXWIRE_SCAN_X86_H
#define FIXWIRE_SCAN_X86_H
#include <immintrin.h>
#define FW_512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512cd,avx512vbmi,avx512vbmi2,bmi,bmi2,popcnt,lzcnt")))
#define FW_256 __attribute__((target("avx2,bmi,bmi2,popcnt,lzcnt")))

static inline uint32_t fw_load4(const uint8_t *p) { uint32_t x; memcpy(&x, p, 4); return x; }

/* 64 octets of ones, then 64 of zeros */
static const uint8_t fw_tail[128] = {
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255};

/* Not 0 if one of the tags may be a Length tag. */
static inline __attribute__((always_inline)) uint64_t fw_has_length(const uint64_t *out, uint32_t n, const fw_data_table *t) {
    uint64_t any = 0;
    for (uint32_t i = 0; i < n; i++) any |= t->bits[(out[i] & 0xffff) >> 6] >> (out[i] & 63);
    return any & 1;
}

FW_256 static uint32_t fw_sum_256(const uint8_t *p, uint32_t n) {
    const __m256i zero = _mm256_setzero_si256();
    __m256i a = zero;
    __m128i x;
    uint32_t i = 0, s;
    for (; i + 32 <= n; i += 32) a = _mm256_add_epi64(a, _mm256_sad_epu8(_mm256_loadu_si256((const __m256i *)(p + i)), zero));
    x = _mm_add_epi64(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
    s = (uint32_t)_mm_cvtsi128_si64(x) + (uint32_t)_mm_extract_epi64(x, 1);
    for (; i < n; i++) s += p[i];
    return s & 255;
}

/* Where the '=' that ends a tag and the SOH that ends its value are, alternately, in [*at, to) of the message: `marks` from
 * marks[have] on. Returns how many there are now; *balance is '=' minus SOH, *digits the octets of tags so far. */
typedef struct { uint64_t start, sum; uint32_t at, equals, sohs, tag_octets; unsigned char carry; } fw_marks;

FW_256 static inline __attribute__((always_inline)) uint32_t fw_mark(const uint8_t *p, uint32_t end, uint32_t to,
                                                                    uint16_t *marks, uint32_t have, fw_marks *st) {
    const __m256i soh = _mm256_set1_epi8(1), eq = _mm256_set1_epi8('='), zero = _mm256_setzero_si256();
    __m256i acc = zero;
    uint32_t i = st->at, equals = st->equals, sohs = st->sohs, tag_octets = st->tag_octets;
    uint64_t start = st->start;
    unsigned char carry = st->carry;
    uint16_t *o = marks + have;
    for (; i < to; i += 64) {
        __m256i v = _mm256_loadu_si256((const __m256i *)(p + i)), w = _mm256_loadu_si256((const __m256i *)(p + i + 32));
        uint64_t ms = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(v, soh))
                    | (uint64_t)(uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(w, soh)) << 32;
        uint64_t me = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(v, eq))
                    | (uint64_t)(uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(w, eq)) << 32;
        uint64_t starts, m;
        unsigned long long r;
        uint32_t c;
        if (__builtin_expect(end - i < 64, 0)) {
            const uint64_t keep = _bzhi_u64(~0ull, end - i);
            const __m256i *tail = (const __m256i *)(fw_tail + 64 - (end - i));
            ms &= keep;
            me &= keep;
            v = _mm256_and_si256(v, _mm256_loadu_si256(tail));
            w = _mm256_and_si256(w, _mm256_loadu_si256(tail + 1));
        }
        acc = _mm256_add_epi64(acc, _mm256_add_epi64(_mm256_sad_epu8(v, zero), _mm256_sad_epu8(w, zero)));
        starts = ms << 1 | start;
        start = ms >> 63;
        carry = _addcarry_u64(carry, starts, ~me, &r);
        tag_octets += (uint32_t)_mm_popcnt_u64(r ^ ~me);
        m = (r & me) | ms;
        c = (uint32_t)_mm_popcnt_u64(m);
        sohs += (uint32_t)_mm_popcnt_u64(ms);
        equals += (uint32_t)_mm_popcnt_u64(r & me);
        for (uint16_t *q = o;; q += 14) {
            for (int j = 0; j < 14; j++) { q[j] = (uint16_t)(i + (uint32_t)_tzcnt_u64(m)); m = _blsr_u64(m); }
            if (__builtin_expect(m == 0, 1)) break;
        }
        o += c;
    }
    {
        const __m128i x = _mm_add_epi64(_mm256_castsi256_si128(acc), _mm256_extracti128_si256(acc, 1));
        st->sum += (uint64_t)_mm_cvtsi128_si64(x) + (uint64_t)_mm_extract_epi64(x, 1);
    }
    st->at = i;
    st->start = start;
    st->carry = carry;
    st->equals = equals;
    st->sohs = sohs;
    st->tag_octets = tag_octets;
    return (uint32_t)(o - marks);
}

/* A chunk of the message at a time: marks of at most 64 octets in 3 each, what the chunk before left, and what is overrun. */
enum { FW_CHUNK = 2048, FW_MARKS = 2 * FW_CHUNK + 96 };

/* Tags of up to seven digits, one after the other; for what the scanners below find too long. */
FW_256 static int fw_scan_wide(const uint8_t *p, uint32_t begin, uint32_t end, uint64_t *out, uint32_t room, uint32_t *sum,
                               const fw_data_table *t) {
    uint16_t marks[FW_MARKS];
    fw_marks st = {.start = 1, .at = begin};
    uint32_t k = 0, have = 0, start = begin, j;
    while (st.at < end) {
        have = fw_mark(p, end, end - st.at > FW_CHUNK ? st.at + FW_CHUNK : end, marks, have, &st);
        if (k + have / 2 > room) return -1;
        for (j = 0; j + 1 < have; j += 2) {
            const uint32_t e = marks[j], s = marks[j + 1], w = e - start;
            const uint64_t text = fw_load8(p + start), x = (text ^ 0x3030303030303030ull) << ((64 - 8 * w) & 63);
            const uint32_t tag = fw_weigh8(x);
            if (w - 1 > 6 || fw_not_digits(x) || (uint8_t)text == '0' || fw_data_of(t, tag)) return -1;
            out[k++] = tag | (uint64_t)(e + 1) << 32 | (uint64_t)(s - e - 1) << 48;
            start = s + 1;
        }
        if (j < have) marks[0] = marks[j];
        have -= j;
    }
    *sum = ((uint32_t)st.sum + fw_sum_256(p, begin)) & 255;
    return st.equals == st.sohs ? (int)k : -1;
}

/* Eight fields whose tags have one to four digits. */
FW_256 static int fw_scan_256(const uint8_t *p, uint32_t begin, uint32_t end, uint64_t *out, uint32_t room, uint32_t *sum,
                              const fw_data_table *t) {
    const __m256i c30 = _mm256_set1_epi8(0x30), nine = _mm256_set1_epi8(9), one = _mm256_set1_epi8(1);
    const __m256i w1 = _mm256_set1_epi16(0x010a), w2 = _mm256_set1_epi32(0x00010064), zero = _mm256_setzero_si256();
    const __m256i bottom = _mm256_set1_epi32(0xff), step = _mm256_set1_epi32((int)0xffff0001u);
    uint16_t marks[FW_MARKS];
    fw_marks st = {.start = 1, .at = begin};
    __m256i wrong = zero, rest = zero, tags = zero, lengths = zero;
    const __m256i filter = _mm256_loadu_si256((const __m256i *)t->filter), low5 = _mm256_set1_epi32(31);
    uint32_t k = 0, have = 0, j, g, lanes = 0;
    while (st.at < end) {
        uint32_t full;
        have = fw_mark(p, end, end - st.at > FW_CHUNK ? st.at + FW_CHUNK : end, marks, have, &st);
        if (k + have / 2 > room) return -1;
        full = have & ~15u;
        if (st.at >= end && full != have) {
            /* the last field again and again, so that the last eight are full */
            if (have < 2 || have & 1) return -1;
            for (j = 0; j < 16; j += 2) { marks[have + j] = marks[have - 2]; marks[have + j + 1] = marks[have - 1]; }
            full += 16;
        }
        for (j = 0; j < full; j += 16) {
            const uint16_t *m = marks + j;
            #define FW_BEFORE(i) fw_load4(p + m[2 * (i)] - 4)
            __m256i x = _mm256_setr_epi32((int)FW_BEFORE(0), (int)FW_BEFORE(1), (int)FW_BEFORE(4), (int)FW_BEFORE(5),
                                          (int)FW_BEFORE(2), (int)FW_BEFORE(3), (int)FW_BEFORE(6), (int)FW_BEFORE(7));
            #undef FW_BEFORE
            __m256i o = _mm256_permute4x64_epi64(_mm256_loadu_si256((const __m256i *)m), 0xd8), off, is_zero;
            x = _mm256_xor_si256(x, c30);
            /* off: what is no digit, and every octet below such */
            off = _mm256_cmpeq_epi8(_mm256_min_epu8(x, nine), x);
            off = _mm256_xor_si256(off, _mm256_set1_epi8(-1));
            off = _mm256_or_si256(off, _mm256_srli_epi32(off, 8));
            off = _mm256_or_si256(off, _mm256_srli_epi32(off, 16));
            x = _mm256_andnot_si256(off, x);
            rest = _mm256_add_epi64(rest, _mm256_sad_epu8(_mm256_and_si256(off, one), zero));
            /* a first digit that is 0, or no digit at all */
            is_zero = _mm256_and_si256(_mm256_cmpeq_epi8(x, zero), _mm256_or_si256(_mm256_slli_epi32(off, 8), bottom));
            wrong = _mm256_or_si256(wrong, _mm256_andnot_si256(_mm256_andnot_si256(_mm256_srli_epi32(off, 24), off), is_zero));
            x = _mm256_madd_epi16(_mm256_maddubs_epi16(x, w1), w2);
            tags = _mm256_or_si256(tags, x);
            lengths = _mm256_or_si256(lengths, _mm256_srlv_epi32(
                _mm256_permutevar8x32_epi32(filter, _mm256_srli_epi32(x, 5)), _mm256_and_si256(x, low5)));
            o = _mm256_sub_epi32(_mm256_add_epi32(o, step), _mm256_slli_epi32(o, 16));
            _mm256_storeu_si256((__m256i *)(out + k), _mm256_unpacklo_epi32(x, o));
            _mm256_storeu_si256((__m256i *)(out + k + 4), _mm256_unpackhi_epi32(x, o));
            k += 8;
            lanes += 8;
        }
        if (st.at >= end) { k -= (full - have) / 2; break; }
        for (g = 0; j + g < have; g++) marks[g] = marks[j + g];
        have = g;
    }
    *sum = ((uint32_t)st.sum + fw_sum_256(p, begin)) & 255;
    if (st.equals != st.sohs || k != st.sohs) return -1;
    if (!_mm256_testz_si256(wrong, wrong)) return -1;
    {
        const __m128i x = _mm_add_epi64(_mm256_castsi256_si128(rest), _mm256_extracti128_si256(rest, 1));
        const uint32_t digits = 4 * lanes - (uint32_t)(_mm_cvtsi128_si64(x) + _mm_extract_epi64(x, 1));
        const uint32_t last = (uint32_t)(out[k - 1] >> 32 & 0xffff) - 1;
        const uint32_t before = k > 1 ? (uint32_t)(out[k - 2] >> 32 & 0xffff) + (uint32_t)(out[k - 2] >> 48) + 1 : begin;
        if (digits != st.tag_octets - k - (begin - end) % 64 + (lanes - k) * (last - before))
            return fw_scan_wide(p, begin, end, out, room, sum, t);
    }
    lengths = _mm256_or_si256(_mm256_and_si256(lengths, _mm256_set1_epi32(1)), _mm256_srli_epi32(tags, 9));
    return !_mm256_testz_si256(lengths, lengths) && fw_has_length(out, k, t) ? -1 : (int)k;
}
static const uint8_t fw_iota[64] __attribute__((aligned(64))) = {
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31,
    32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60,
    61, 62, 63};
/* From marks ('=', SOH, '=', SOH ...) to dwords in the order 0 1 4 5 2 3 6 7, which unpacking puts right again:
 * the '=' four times, and '=' | SOH << 16. */
static const uint8_t fw_four[32] __attribute__((aligned(32))) = {
    0, 0, 0, 0, 2, 2, 2, 2, 8, 8, 8, 8, 10, 10, 10, 10, 4, 4, 4, 4, 6, 6, 6, 6, 12, 12, 12, 12, 14, 14, 14, 14};
static const uint8_t fw_both[32] __attribute__((aligned(32))) = {
    0, 255, 1, 255, 2, 255, 3, 255, 8, 255, 9, 255, 10, 255, 11, 255,
    4, 255, 5, 255, 6, 255, 7, 255, 12, 255, 13, 255, 14, 255, 15, 255};
/* the lanes above that hold one of the first n fields; n is at most 32, a field having two octets at least */
static const uint8_t fw_live[33] = {0, 0x01, 0x03, 0x13, 0x33, 0x37, 0x3f, 0x7f, 255, 255, 255, 255, 255, 255, 255, 255, 255,
                                    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255};

/* The constants of fw_scan_512 as it wants them in registers: loading one costs less than making it. */
static const struct { uint8_t v[9][64]; uint32_t w[6][8]; } fw_const __attribute__((aligned(64))) = {{
    {[0 ... 63] = 1}, {[0 ... 63] = '='}, {[0 ... 63] = 0x30}, {[0 ... 63] = 0x31}, {[0 ... 63] = 8}, {[0 ... 63] = 9}},
   {{[0 ... 7] = 0x3f3e3d3c}, {[0 ... 7] = 15}, {[0 ... 7] = 64}, {[0 ... 7] = 0x010a010a}, {[0 ... 7] = 0x00010064}}};
/* Keeps the compiler from looking through a value: it stays in its register. */
#define FW_KEEP(x) __asm__("" : "+v"(x))
#define FW_CONST_512(name, i) __m512i name = _mm512_load_si512(fw_const.v[i]); FW_KEEP(name)
#define FW_CONST_256(name, i) __m256i name = _mm256_load_si256((const __m256i *)fw_const.w[i]); FW_KEEP(name)
/* Up to eight fields from `marks`, of which `n` are real, to o. */
#define FW_EIGHT(o, n) { \
    const __m256i m = _mm256_broadcastsi128_si256(_mm512_castsi512_si128(marks)); \
    const __m512i at = _mm512_castsi256_si512(_mm256_add_epi8(_mm256_shuffle_epi8(m, four), before)); \
    /* the four octets before each '=', 0 where they are not its tag's */ \
    __m256i x = _mm512_castsi512_si256(_mm512_permutex2var_epi8(prev, at, digits)), y = _mm256_shuffle_epi8(m, pair); \
    x = _mm256_maskz_madd_epi16(fw_live[n], _mm256_maddubs_epi16(x, w1), w2); \
    y = _mm256_sub_epi32(_mm256_add_epi32(y, step), _mm256_slli_epi32(y, 16)); \
    _mm256_storeu_si256((__m256i *)(o), _mm256_unpacklo_epi32(x, y)); \
    _mm256_storeu_si256((__m256i *)(o) + 1, _mm256_unpackhi_epi32(x, y)); \
    tags = _mm256_or_si256(tags, x); \
    y = _mm512_castsi512_si256(_mm512_permutex2var_epi16(low0, _mm512_castsi256_si512(_mm256_srli_epi32(x, 4)), low1)); \
    lengths = _mm256_or_si256(lengths, _mm256_srlv_epi32(y, _mm256_and_si256(x, fifteen))); }

/* Tags of one to four digits. What the loop does not decide (longer tags, a tag that is no number, '=' before a SOH) it only
 * notes; fw_scan_wide looks again. */
FW_512 static int fw_scan_512(const uint8_t *p, uint32_t begin, uint32_t end, uint64_t *out, uint32_t room, uint32_t *sum,
                              const fw_data_table *t) {
    __m512i low0 = _mm512_loadu_si512(t->bits), low1 = _mm512_loadu_si512(t->bits + 8), iota = _mm512_load_si512(fw_iota);
    __m256i four = _mm256_load_si256((const __m256i *)fw_four), pair = _mm256_load_si256((const __m256i *)fw_both);
    FW_CONST_512(soh, 0); FW_CONST_512(eq, 1); FW_CONST_512(c30, 2); FW_CONST_512(c31, 3); FW_CONST_512(eight, 4);
    FW_CONST_512(nine, 5); FW_CONST_512(zero, 6);
    FW_CONST_256(before, 0); FW_CONST_256(fifteen, 1); FW_CONST_256(c64, 2); FW_CONST_256(w1, 3); FW_CONST_256(w2, 4);
    __m512i acc = _mm512_sad_epu8(_mm512_maskz_loadu_epi8(_bzhi_u64(~0ull, begin), p), zero), prev = zero;
    __m256i tags = _mm512_castsi512_si256(zero), lengths = tags, step = _mm256_set1_epi32((int)(0xffff0001u + begin));
    uint64_t too_long = 0, tag_before = 0, in_tag = 1;      /* in_tag: this block begins within a tag, else within a value */
    __mmask64 odd = 0;
    uint64_t *o = out;
    uint32_t i = begin;
    if (__builtin_expect(3 * room < end - begin, 0)) return fw_scan_wide(p, begin, end, out, room, sum, t);
    FW_KEEP(low0); FW_KEEP(low1); FW_KEEP(iota); FW_KEEP(four); FW_KEEP(pair);
    do {
        const uint32_t left = end - i;
        __m512i v, back, marks, digits;
        __mmask64 soh_k, start_k, tag_k;
        uint64_t ms, me, r, first, tag, c;
        uint16_t *length = (uint16_t *)o - 1;
        uint32_t value;
        if (left >= 64) {
            v = _mm512_loadu_si512(p + i);
            back = _mm512_loadu_si512(p + i - 1);
        } else {
            const __mmask64 keep = _bzhi_u64(~0ull, left);
            v = _mm512_maskz_loadu_epi8(keep, p + i);
            back = _mm512_maskz_loadu_epi8(keep, p + i - 1);
        }
        soh_k = _mm512_cmpeq_epi8_mask(v, soh);
        start_k = _mm512_cmpeq_epi8_mask(back, soh);
        ms = soh_k;
        me = _mm512_cmpeq_epi8_mask(v, eq);
        acc = _mm512_add_epi64(acc, _mm512_sad_epu8(v, zero));
        /* a carry starts with each field, and where the block begins within a tag */
        r = (start_k | in_tag) - me - 1;            /* + ~me */
        first = r & me;
        tag = ~(r | me);                            /* what the carry turned, without the '=' */
        /* a tag of five: two octets, or `39=2|1=` would count with the 9 of the tag before */
        too_long |= first & (tag << 5 | tag_before >> 59) & (tag << 4 | tag_before >> 60);
        tag_before = tag;
        tag_k = tag;
        digits = _mm512_maskz_sub_epi8(tag_k, v, c30);
        odd = _kor_mask64(odd, _mm512_mask_cmpgt_epu8_mask(tag_k, digits, nine));
        odd = _kor_mask64(odd, _mm512_mask_cmpgt_epu8_mask(start_k, _mm512_sub_epi8(v, c31), eight));
        odd = _kor_mask64(odd, _mm512_mask_cmpeq_epi8_mask(soh_k, back, eq));
        c = (uint64_t)_mm_popcnt_u64(first);
        /* the field that was open when this block began ends at its first SOH, or is written again by a later block */
        value = i + (uint32_t)_tzcnt_u64(ms) - length[-1] - length[0];
        *length = (uint16_t)(length[0] + (value & (uint32_t)(in_tag - 1)));     /* no branch: it would often go wrong */
        marks = _mm512_maskz_compress_epi8(first | (ms & (ms - (in_tag ^ 1))), iota);
        FW_EIGHT(o, c);
        if (__builtin_expect(c > 8, 0))
            for (uint64_t g = 8; g < c; g += 8) {
                marks = _mm512_alignr_epi64(zero, marks, 2);
                FW_EIGHT(o + g, c - g);
            }
        in_tag += (uint64_t)_mm_popcnt_u64(ms) - c;
        o += c;
        prev = digits;
        step = _mm256_add_epi32(step, c64);
        i += 64;
    } while (i < end);
    *sum = (uint32_t)_mm512_reduce_add_epi64(acc) & 255;
    if (in_tag != 1) return -1;
    if (__builtin_expect((too_long | odd) != 0, 0)) return fw_scan_wide(p, begin, end, out, room, sum, t);
    lengths = _mm256_or_si256(_mm256_and_si256(lengths, _mm256_set1_epi32(1)), _mm256_srli_epi32(tags, 10));
    if (!_mm256_testz_si256(lengths, lengths) && fw_has_length(out, (uint32_t)(o - out), t)) return -1;
    return (int)(o - out);
}
FW_512 static uint32_t fw_sum_512(const uint8_t *p, uint32_t n) {
    const __m512i zero = _mm512_setzero_si512();
    __m512i a = zero;
    uint32_t i = 0;
    for (; i + 64 <= n; i += 64) a = _mm512_add_epi64(a, _mm512_sad_epu8(_mm512_loadu_si512(p + i), zero));
    a = _mm512_add_epi64(a, _mm512_sad_epu8(_mm512_maskz_loadu_epi8(_bzhi_u64(~0ull, n - i), p + i), zero));
    return (uint32_t)_mm512_reduce_add_epi64(a) & 255;
}
#endif
