# Numbers of FIX fields: ASCII digits to integers and back, eight at a time in one 64-bit register.
# FIX 4.4 vol. 1 "Data types" (int, float, Qty, Price): optional '-', digits, at most one '.'; no '+', no exponent, no spaces;
# leading and trailing zeros are allowed. Prices are int64 mantissas of 10^-8: 101.25 is 10125000000.
# Readers look at up to 8 octets behind p+n (message.pxd FIX_SLACK); writers may write 24 octets at o.
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

cdef enum fix_number:
    FIX_NUM_OK = 0
    FIX_NUM_FORMAT = 1      # not a number as FIX writes it
    FIX_NUM_OVERFLOW = 2    # does not fit the result
    FIX_NUM_DECIMALS = 3    # more than eight decimals that are not 0: the result would not be exact

cdef extern from *:
    """
    #ifndef FIXWIRE_DIGITS
    #define FIXWIRE_DIGITS
    #include <stdint.h>
    #include <string.h>
    #define FW_INLINE static inline __attribute__((always_inline, unused))
    FW_INLINE uint64_t fw_load8(const uint8_t *p) { uint64_t x; memcpy(&x, p, 8); return x; }
    FW_INLINE void fw_store8(uint8_t *p, uint64_t x) { memcpy(p, &x, 8); }
    FW_INLINE void fw_store4(uint8_t *p, uint32_t x) { memcpy(p, &x, 4); }

    /* Value of eight digits 0..9, one an octet, the most significant in the lowest octet. */
    FW_INLINE uint32_t fw_weigh8(uint64_t x) {
        x = x * 10 + (x >> 8);
        return (uint32_t)(((x & 0x000000FF000000FFull) * (100 + (1000000ull << 32))
                         + ((x >> 16) & 0x000000FF000000FFull) * (1 + (10000ull << 32))) >> 32);
    }
    /* Not 0 if an octet of x (digits minus '0') is not 0..9. */
    FW_INLINE uint64_t fw_not_digits(uint64_t x) { return (x | (x + 0x7676767676767676ull)) & 0x8080808080808080ull; }

    static const uint64_t fw_pow10[20] = {1ull, 10ull, 100ull, 1000ull, 10000ull, 100000ull, 1000000ull, 10000000ull,
        100000000ull, 1000000000ull, 10000000000ull, 100000000000ull, 1000000000000ull, 10000000000000ull,
        100000000000000ull, 1000000000000000ull, 10000000000000000ull, 100000000000000000ull,
        1000000000000000000ull, 10000000000000000000ull};

    static int fw_read_uint_long(const uint8_t *p, uint32_t n, uint64_t *out) {
        uint64_t v = 0;
        int over = 0;
        if (n == 0) return 1;
        for (uint32_t i = 0; i < n; i++) {
            uint32_t d = (uint32_t)p[i] - '0';
            if (d > 9) return 1;
            over |= __builtin_mul_overflow(v, 10ull, &v) | __builtin_add_overflow(v, (uint64_t)d, &v);
        }
        *out = v;
        return over ? 2 : 0;
    }
    /* The n digits at p as an unsigned number; 0, or 1 (format) or 2 (overflow). */
    FW_INLINE int fw_read_uint(const uint8_t *p, uint32_t n, uint64_t *out) {
        if (__builtin_expect(n - 1u < 8u, 1)) {
            uint64_t x = (fw_load8(p) ^ 0x3030303030303030ull) << (64 - 8 * n);
            *out = fw_weigh8(x);
            return fw_not_digits(x) != 0;
        }
        return fw_read_uint_long(p, n, out);
    }
    FW_INLINE int fw_read_int(const uint8_t *p, uint32_t n, int64_t *out) {
        uint64_t v = 0;
        uint32_t neg = n != 0 && p[0] == '-';
        int e = fw_read_uint(p + neg, n - neg, &v);
        if (e) return e;
        if (v > (uint64_t)INT64_MAX + neg) return 2;
        *out = neg ? (int64_t)(0 - v) : (int64_t)v;
        return 0;
    }
    static int fw_read_e8_long(const uint8_t *p, uint32_t n, int64_t *out) {
        uint64_t v = 0;
        uint32_t neg = n != 0 && p[0] == '-', digits = 0, decimals = 0, dot = 0, inexact = 0;
        int over = 0;
        for (uint32_t i = neg; i < n; i++) {
            uint32_t d = (uint32_t)p[i] - '0';
            if (p[i] == '.' && !dot) { dot = 1; continue; }
            if (d > 9) return 1;
            digits = 1;
            if (dot && decimals == 8) { inexact |= d; continue; }
            decimals += dot;
            over |= __builtin_mul_overflow(v, 10ull, &v) | __builtin_add_overflow(v, (uint64_t)d, &v);
        }
        if (!digits) return 1;
        over |= __builtin_mul_overflow(v, fw_pow10[8 - decimals], &v);
        if (over || v > (uint64_t)INT64_MAX + neg) return 2;
        *out = neg ? (int64_t)(0 - v) : (int64_t)v;
        return inexact ? 3 : 0;
    }
    /* A decimal number of n octets at p as a mantissa of 10^-8. With 3 (decimals) *out is truncated towards 0. */
    FW_INLINE int fw_read_e8(const uint8_t *p, uint32_t n, int64_t *out) {
        if (__builtin_expect(n - 1u < 8u, 1)) {
            uint64_t x = fw_load8(p) << (64 - 8 * n);
            uint64_t dots = x ^ 0x2e2e2e2e2e2e2e2eull;
            uint64_t y = (x ^ 0x3030303030303030ull) & (~0ull << (64 - 8 * n));
            dots = (dots - 0x0101010101010101ull) & ~dots & 0x8080808080808080ull;
            if (!dots) {
                *out = (int64_t)((uint64_t)fw_weigh8(y) * 100000000ull);
                return __builtin_expect(fw_not_digits(y) != 0, 0) ? fw_read_e8_long(p, n, out) : 0;
            }
            /* take the dot's octet out: what stands before it moves up by one place */
            uint32_t b = (uint32_t)__builtin_ctzll(dots) - 7;
            uint64_t below = (1ull << b) - 1;
            y = ((y & below) << 8) | (y & ~(below << 8 | 0xff));
            if (__builtin_expect(n > 1 && !fw_not_digits(y), 1)) {
                *out = (int64_t)((uint64_t)fw_weigh8(y) * fw_pow10[1 + b / 8]);
                return 0;
            }
        }
        return fw_read_e8_long(p, n, out);
    }

    /* Eight decimal digits of v < 10^8, one an octet, the most significant in the lowest octet. */
    FW_INLINE uint64_t fw_spread8(uint32_t v) {
        /* a | (b - a * 100) << 16 is (b << 16) - a * ((100 << 16) - 1), an operation less */
        uint64_t q = v / 10000u, x = ((uint64_t)v << 32) - q * ((10000ull << 32) - 1);
        q = ((x * 10486) >> 20) & 0x0000007f0000007full;
        x = (x << 16) - q * ((100u << 16) - 1);
        q = ((x * 103) >> 10) & 0x000f000f000f000full;
        return (x << 8) - q * ((10u << 8) - 1);
    }
    /* The two digits of v < 100, the first in the lower octet. */
    static const char fw_pairs[] =
        "0001020304050607080910111213141516171819202122232425262728293031323334353637383940414243444546474849"
        "5051525354555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899";
    FW_INLINE uint32_t fw_pair(uint32_t v) {
        uint16_t x;
        memcpy(&x, fw_pairs + 2 * v, 2);
        return x;
    }
    static uint8_t *fw_write_uint_long(uint8_t *o, uint64_t v) {
        uint64_t hi = v / 100000000ull;
        if (hi >= 100000000ull) {
            o = fw_write_uint_long(o, hi);
        } else {
            uint64_t d = fw_spread8((uint32_t)hi);
            uint32_t z = (uint32_t)__builtin_ctzll(d | 1ull << 56) >> 3;
            fw_store8(o, (d | 0x3030303030303030ull) >> (8 * z));
            o += 8 - z;
        }
        fw_store8(o, fw_spread8((uint32_t)(v - hi * 100000000ull)) | 0x3030303030303030ull);
        return o + 8;
    }
    /* v without leading zeros; returns the end. */
    FW_INLINE uint8_t *fw_write_uint(uint8_t *o, uint64_t v) {
        if (v < 10000) {                    /* a third of the work, and most quantities */
            const uint32_t a = (uint32_t)v * 5243u >> 19, n = 1 + (v > 9) + (v > 99) + (v > 999);
            const uint32_t d = fw_pair(a) | fw_pair((uint32_t)v - a * 100) << 16;
            fw_store4(o, d >> (32 - 8 * n));
            return o + n;
        }
        if (__builtin_expect(v < 100000000ull, 1)) {
            uint64_t d = fw_spread8((uint32_t)v);
            uint32_t z = (uint32_t)__builtin_ctzll(d | 1ull << 56) >> 3;
            fw_store8(o, (d | 0x3030303030303030ull) >> (8 * z));
            return o + 8 - z;
        }
        return fw_write_uint_long(o, v);
    }
    FW_INLINE uint8_t *fw_write_int(uint8_t *o, int64_t v) {
        uint64_t u = (uint64_t)v;
        if (v < 0) { *o++ = '-'; u = 0 - u; }
        return fw_write_uint(o, u);
    }
    /* v as exactly `width` digits (1..8), zeros in front. */
    FW_INLINE uint8_t *fw_write_fixed(uint8_t *o, uint32_t v, uint32_t width) {
        fw_store8(o, (fw_spread8(v) | 0x3030303030303030ull) >> (64 - 8 * width));
        return o + width;
    }
    /* Mantissa of 10^-8 as a decimal number: as few decimals as are exact, but at least `decimals` (0..8). */
    FW_INLINE uint8_t *fw_write_e8(uint8_t *o, int64_t v, uint32_t decimals) {
        uint64_t u = (uint64_t)v, c, d;
        uint32_t need;
        if (__builtin_expect(v < 0, 0)) { *o++ = '-'; u = 0 - u; }
        c = u / 1000000u;
        if (__builtin_expect(c * 1000000u == u && decimals <= 2, 1)) {
            const uint32_t f = fw_pair((uint32_t)(c % 100));
            o = fw_write_uint(o, c / 100);
            need = f & 0x0f00 ? 2 : (f & 0x0f) != 0;
            if (need < decimals) need = decimals;
            fw_store4(o, '.' | f << 8);
            return need ? o + 1 + need : o;
        }
        o = fw_write_uint(o, u / 100000000ull);
        d = fw_spread8((uint32_t)(u % 100000000ull));
        need = d ? 8 - ((uint32_t)__builtin_clzll(d) >> 3) : 0;
        if (need < decimals) need = decimals;
        o[0] = '.';
        fw_store8(o + 1, d | 0x3030303030303030ull);
        return need ? o + 1 + need : o;
    }
    #endif
    """
    uint64_t fw_pow10[20]
    # readers -> fix_number; *out is written only with FIX_NUM_OK (and, truncated, with FIX_NUM_DECIMALS)
    int fix_digits_uint "fw_read_uint"(const uint8_t *p, uint32_t n, uint64_t *out) noexcept nogil
    int fix_digits_int "fw_read_int"(const uint8_t *p, uint32_t n, int64_t *out) noexcept nogil
    int fix_digits_e8 "fw_read_e8"(const uint8_t *p, uint32_t n, int64_t *out) noexcept nogil
    # writers -> the end of what was written at o
    uint8_t *fix_write_uint "fw_write_uint"(uint8_t *o, uint64_t v) noexcept nogil
    uint8_t *fix_write_int "fw_write_int"(uint8_t *o, int64_t v) noexcept nogil
    uint8_t *fix_write_fixed "fw_write_fixed"(uint8_t *o, uint32_t v, uint32_t width) noexcept nogil
    uint8_t *fix_write_e8 "fw_write_e8"(uint8_t *o, int64_t v, uint32_t decimals) noexcept nogil
