# The Internet checksum (RFC 1071), for IPv4, ICMP, UDP and TCP.
#
# A running sum is a ones-complement number of 64 bits over the octets as they lie in memory, so no octet is swapped
# (RFC 1071 section 2 (B)); adding lanes of 8 octets is adding words of 2, since 2^16 = 1 modulo 2^16 - 1.
# Nothing outside [p, p + n) is read and nothing outside [dst, dst + n) is written, on any instruction set.
# The instruction set is chosen when a module is loaded, by cpuid; FIXWIRE_ISA=avx512|avx2|scalar lowers the choice
# (valgrind has no AVX-512), csum_use() does so for the calling module alone.
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

cdef enum csum_isa:
    CSUM_SCALAR = 0             # four lanes of 64 bits with carry
    CSUM_AVX2 = 1
    CSUM_AVX512 = 2

cdef extern from *:
    """
    #include <stddef.h>
    #include <stdint.h>
    #include <stdlib.h>
    #include <string.h>
    #ifndef FIXWIRE_CHECKSUM
    #define FIXWIRE_CHECKSUM
    #if defined(__x86_64__)
    #include <immintrin.h>
    #endif

    /* ones-complement sum: the carry comes back in at the low end */
    static inline uint64_t fw_csum_add(uint64_t a, uint64_t b) { a += b; return a + (a < b); }
    static inline uint64_t fw_csum_ld8(const uint8_t *p) { uint64_t x; memcpy(&x, p, 8); return x; }
    /* 1..7 octets as the low end of a lane, without reading an eighth */
    static inline uint64_t fw_csum_tail(const uint8_t *p, uint32_t n) {
        uint64_t x = 0; uint32_t w; uint16_t h, at = 0;
        if (n & 4) { memcpy(&w, p, 4); x = w; at = 4; }
        if (n & 2) { memcpy(&h, p + at, 2); x |= (uint64_t)h << (8 * at); at += 2; }
        if (n & 1) x |= (uint64_t)p[at] << (8 * at);
        return x;
    }
    static inline uint16_t fw_csum_fold(uint64_t s) {
        uint32_t h;
        s += (s >> 32) | (s << 32);
        h = (uint32_t)(s >> 32);
        h += (h >> 16) | (h << 16);
        return (uint16_t)~(h >> 16);
    }
    static inline uint64_t fw_csum_pseudo(uint32_t src, uint32_t dst, uint8_t protocol, uint32_t n) {
        return (uint64_t)__builtin_bswap32(src) + __builtin_bswap32(dst)
             + ((uint64_t)protocol << 8) + __builtin_bswap16((uint16_t)n);
    }
    static inline uint16_t fw_csum_ipv4_header(const uint8_t *p, uint32_t hlen) {
        uint32_t w, i;
        uint64_t s;
        memcpy(&w, p + 16, 4);
        s = fw_csum_add(fw_csum_add(fw_csum_ld8(p), fw_csum_ld8(p + 8)), w);
        for (i = 20; i < hlen; i += 4) { memcpy(&w, p + i, 4); s = fw_csum_add(s, w); }
        return fw_csum_fold(s);
    }

    static uint64_t fw_csum_scalar(const uint8_t *p, uint32_t n, uint64_t s) {
        uint64_t t = 0;
        for (; n >= 32; n -= 32, p += 32) {
            unsigned __int128 a = (unsigned __int128)fw_csum_ld8(p) + fw_csum_ld8(p + 8);
            unsigned __int128 b = (unsigned __int128)fw_csum_ld8(p + 16) + fw_csum_ld8(p + 24);
            a += b;
            s = fw_csum_add(s, (uint64_t)a); t += (uint64_t)(a >> 64);
        }
        for (; n >= 8; n -= 8, p += 8) s = fw_csum_add(s, fw_csum_ld8(p));
        if (n) s = fw_csum_add(s, fw_csum_tail(p, n));
        return fw_csum_add(s, t);
    }
    static uint64_t fw_csum_copy_scalar(uint8_t *d, const uint8_t *p, uint32_t n, uint64_t s) {
        memcpy(d, p, n);
        return fw_csum_scalar(p, n, s);
    }

    #if defined(__x86_64__)
    /* The lanes of 32 bits are added into lanes of 64: no carry is lost below 2^32 vectors. */
    #define FW_SUM256(v) do { \\
        a = _mm256_add_epi64(a, _mm256_and_si256(v, low)); b = _mm256_add_epi64(b, _mm256_srli_epi64(v, 32)); } while (0)
    __attribute__((target("avx2")))
    static uint64_t fw_csum_avx2(const uint8_t *p, uint32_t n, uint64_t s) {
        const __m256i low = _mm256_set1_epi64x(0xffffffffll);
        __m256i a = _mm256_setzero_si256(), b = a, v;
        __m128i x;
        if (n < 32) return fw_csum_scalar(p, n, s);
        for (; n >= 32; n -= 32, p += 32) { v = _mm256_loadu_si256((const __m256i *)p); FW_SUM256(v); }
        a = _mm256_add_epi64(a, b);
        x = _mm_add_epi64(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
        s = fw_csum_add(s, (uint64_t)_mm_cvtsi128_si64(x));
        s = fw_csum_add(s, (uint64_t)_mm_extract_epi64(x, 1));
        for (; n >= 8; n -= 8, p += 8) s = fw_csum_add(s, fw_csum_ld8(p));
        return n ? fw_csum_add(s, fw_csum_tail(p, n)) : s;
    }
    __attribute__((target("avx2")))
    static uint64_t fw_csum_copy_avx2(uint8_t *d, const uint8_t *p, uint32_t n, uint64_t s) {
        const __m256i low = _mm256_set1_epi64x(0xffffffffll);
        __m256i a = _mm256_setzero_si256(), b = a, v;
        __m128i x;
        uint64_t w;
        for (; n >= 32; n -= 32, p += 32, d += 32) {
            v = _mm256_loadu_si256((const __m256i *)p);
            _mm256_storeu_si256((__m256i *)d, v);
            FW_SUM256(v);
        }
        a = _mm256_add_epi64(a, b);
        x = _mm_add_epi64(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
        s = fw_csum_add(s, (uint64_t)_mm_cvtsi128_si64(x));
        s = fw_csum_add(s, (uint64_t)_mm_extract_epi64(x, 1));
        for (; n >= 8; n -= 8, p += 8, d += 8) { w = fw_csum_ld8(p); memcpy(d, &w, 8); s = fw_csum_add(s, w); }
        if (n) { s = fw_csum_add(s, fw_csum_tail(p, n)); while (n--) d[n] = p[n]; }
        return s;
    }
    #undef FW_SUM256

    #define FW_T512 __attribute__((target("avx512f,avx512bw,bmi2")))
    #define FW_SUM512(v) do { \\
        a = _mm512_add_epi64(a, _mm512_and_si512(v, low)); b = _mm512_add_epi64(b, _mm512_srli_epi64(v, 32)); } while (0)
    FW_T512 static uint64_t fw_csum_avx512(const uint8_t *p, uint32_t n, uint64_t s) {
        const __m512i low = _mm512_set1_epi64(0xffffffffll);
        __m512i a = _mm512_setzero_si512(), b = a, v;
        for (; n >= 64; n -= 64, p += 64) { v = _mm512_loadu_si512(p); FW_SUM512(v); }
        v = _mm512_maskz_loadu_epi8(_bzhi_u64(~0ull, n), p);
        FW_SUM512(v);
        return fw_csum_add(s, (uint64_t)_mm512_reduce_add_epi64(_mm512_add_epi64(a, b)));
    }
    FW_T512 static uint64_t fw_csum_copy_avx512(uint8_t *d, const uint8_t *p, uint32_t n, uint64_t s) {
        const __m512i low = _mm512_set1_epi64(0xffffffffll);
        __m512i a = _mm512_setzero_si512(), b = a, v;
        __mmask64 k;
        for (; n >= 64; n -= 64, p += 64, d += 64) {
            v = _mm512_loadu_si512(p); _mm512_storeu_si512(d, v); FW_SUM512(v);
        }
        k = _bzhi_u64(~0ull, n);
        v = _mm512_maskz_loadu_epi8(k, p);
        _mm512_mask_storeu_epi8(d, k, v);
        FW_SUM512(v);
        return fw_csum_add(s, (uint64_t)_mm512_reduce_add_epi64(_mm512_add_epi64(a, b)));
    }
    #undef FW_SUM512
    #endif

    static uint64_t (*fw_csum_partial)(const uint8_t *, uint32_t, uint64_t) = fw_csum_scalar;
    static uint64_t (*fw_csum_copy)(uint8_t *, const uint8_t *, uint32_t, uint64_t) = fw_csum_copy_scalar;
    static int fw_csum_isa = 0;

    static int fw_csum_best(void) {
    #if defined(__x86_64__)
        __builtin_cpu_init();
        if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("bmi2"))
            return 2;
        if (__builtin_cpu_supports("avx2")) return 1;
    #endif
        return 0;
    }
    static int fw_csum_use(int isa) {
        int best = fw_csum_best();
        fw_csum_isa = isa < best ? (isa < 0 ? 0 : isa) : best;
        fw_csum_partial = fw_csum_scalar; fw_csum_copy = fw_csum_copy_scalar;
    #if defined(__x86_64__)
        if (fw_csum_isa == 1) { fw_csum_partial = fw_csum_avx2; fw_csum_copy = fw_csum_copy_avx2; }
        if (fw_csum_isa == 2) { fw_csum_partial = fw_csum_avx512; fw_csum_copy = fw_csum_copy_avx512; }
    #endif
        return fw_csum_isa;
    }
    __attribute__((constructor)) static void fw_csum_choose(void) {
        const char *e = getenv("FIXWIRE_ISA");
        fw_csum_use(!e || !*e ? 2 : !strcmp(e, "scalar") ? 0 : !strcmp(e, "avx2") ? 1 : 2);
    }
    #endif
    """
    # sum + the sum of n octets at p. Where sums of pieces are chained, all but the last have an even length
    # (see csum_swap). The result of a verification is right if csum_fold gives 0.
    uint64_t csum_partial "fw_csum_partial"(const uint8_t *p, uint32_t n, uint64_t sum) noexcept nogil
    # the same, while copying the n octets to dst (no overlap)
    uint64_t csum_copy "fw_csum_copy"(uint8_t *dst, const uint8_t *src, uint32_t n, uint64_t sum) noexcept nogil
    # the checksum itself: folded to 16 bits and complemented, in memory order: store_16 puts it into the field
    uint16_t csum_fold "fw_csum_fold"(uint64_t sum) noexcept nogil
    # ones-complement addition of two running sums
    uint64_t csum_add "fw_csum_add"(uint64_t a, uint64_t b) noexcept nogil
    # of the pseudo-header (RFC 9293 section 3.1), addresses in host order; n counts header and text
    uint64_t csum_pseudo "fw_csum_pseudo"(uint32_t src, uint32_t dst, uint8_t protocol, uint32_t n) noexcept nogil
    # of an IPv4 header of hlen (20..60) octets: 0 if right, or what belongs into its field when that is 0
    uint16_t csum_ipv4_header "fw_csum_ipv4_header"(const uint8_t *p, uint32_t hlen) noexcept nogil
    # sets the instruction set for the calling module, at most what the CPU has; returns what it is now
    int csum_use "fw_csum_use"(int isa) noexcept nogil
    int csum_isa_now "fw_csum_isa"


cdef inline uint64_t csum_swap(uint64_t sum) noexcept nogil:
    """The sum as it is when its octets begin at an odd offset (RFC 1071 section 2 (B)): the second of two pieces
    whose first has an odd length adds csum_swap(csum_partial(p, n, 0))."""
    return (sum << 8) | (sum >> 56)


cdef inline uint16_t tcp_csum(uint32_t src, uint32_t dst, const uint8_t *p, uint32_t n) noexcept nogil:
    """The checksum of the TCP segment of `n` octets at `p`, in memory order: 0 if the one it carries is right, or what
    belongs into the field when that is 0. Addresses in host order."""
    return csum_fold(csum_partial(p, n, csum_pseudo(src, dst, 6, n)))
