# UTCTimestamp, UTCTimeOnly, UTCDateOnly: text to nanoseconds and back (FIX 4.4 vol. 1 "Data types", FIX 5.0 SP2 EP 206).
# YYYYMMDD-HH:MM:SS[.sss[sss[sss]]]. Time is nanoseconds since 1970-01-01, POSIX: a leap second (SS = 60) is the
# next minute's first second. Twelve decimals (picoseconds) are read and cut to nanoseconds.
# A fix_stamp keeps the text of one second, so that writing costs a copy and the decimals.
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from fix.digits cimport fix_write_fixed

cdef extern from *:
    """
    #ifndef FIXWIRE_TIMESTAMP
    #define FIXWIRE_TIMESTAMP
    #include <stdint.h>
    #include <string.h>
    /* The text of one second in three words, so that a second just made is read back as it was stored:
     * YYYYMMDD, -HH:MM:S, S. and six zeros. */
    typedef struct { uint64_t second_ns, day_ns, word[3]; } fix_stamp;

    /* Days since 1970-01-01 of a day of the proleptic Gregorian calendar, and back (years begin in March). */
    static inline __attribute__((unused)) int64_t fw_days(int32_t y, uint32_t m, uint32_t d) {
        int64_t era;
        uint32_t yoe, doy;
        y -= m <= 2;
        era = (y >= 0 ? y : y - 399) / 400;
        yoe = (uint32_t)(y - era * 400);
        doy = (153 * (m > 2 ? m - 3 : m + 9) + 2) / 5 + d - 1;
        return era * 146097 + (int64_t)(yoe * 365 + yoe / 4 - yoe / 100 + doy) - 719468;
    }
    static inline __attribute__((unused)) void fw_civil(int64_t days, uint32_t *y, uint32_t *m, uint32_t *d) {
        int64_t z = days + 719468, era = (z >= 0 ? z : z - 146096) / 146097;
        uint32_t doe = (uint32_t)(z - era * 146097);
        uint32_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
        uint32_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
        *d = doy - (153 * mp + 2) / 5 + 1;
        *m = mp < 10 ? mp + 3 : mp - 9;
        *y = (uint32_t)(yoe + era * 400) + (*m <= 2);
    }
    static inline uint32_t fw_two(const uint8_t *p) {      /* 0..99, or more if not two digits */
        uint32_t a = (uint32_t)p[0] - '0', b = (uint32_t)p[1] - '0';
        return a > 9 || b > 9 ? 100 : a * 10 + b;
    }
    static inline __attribute__((unused)) int fw_read_date(const uint8_t *p, uint32_t n, int32_t *days) {
        uint32_t c, y, m, d, last;
        if (n != 8) return 0;
        c = fw_two(p); y = fw_two(p + 2); m = fw_two(p + 4); d = fw_two(p + 6);
        if (c > 99 || y > 99 || m - 1 > 11 || d - 1 > 30) return 0;
        y += c * 100;
        last = m == 2 ? 28u + (y % 4 == 0 && (y % 100 != 0 || y % 400 == 0)) : 30 + ((m + (m >> 3)) & 1);
        if (d > last) return 0;
        *days = (int32_t)fw_days((int32_t)y, m, d);
        return 1;
    }
    /* HH:MM:SS[.s..] -> ns of the day; a leap second may make it 86400 s. Decimals: 0 to 9, or 12. */
    static inline __attribute__((unused)) int fw_read_time(const uint8_t *p, uint32_t n, int64_t *ns) {
        uint32_t h, m, s, frac = 0, i;
        if (n < 8 || p[2] != ':' || p[5] != ':') return 0;
        h = fw_two(p); m = fw_two(p + 3); s = fw_two(p + 6);
        if (h > 23 || m > 59 || s > 60) return 0;
        if (n > 8) {
            if (p[8] != '.' || n == 9 || (n > 18 && n != 21)) return 0;
            for (i = 9; i < n; i++) {
                uint32_t x = (uint32_t)p[i] - '0';
                if (x > 9) return 0;
                if (i < 18) frac = frac * 10 + x;
            }
            for (; i < 18; i++) frac *= 10;
        }
        *ns = (int64_t)((h * 60 + m) * 60 + s) * 1000000000ll + frac;
        return 1;
    }
    static inline __attribute__((unused)) int fw_utc_parts(const uint8_t *p, uint32_t n, int32_t *days, int64_t *ns) {
        return n >= 17 && p[8] == '-' && fw_read_date(p, 8, days) && fw_read_time(p + 9, n - 9, ns);
    }
    static inline __attribute__((unused)) int fw_is_utc(const uint8_t *p, uint32_t n) {
        int32_t days;
        int64_t ns;
        return fw_utc_parts(p, n, &days, &ns);
    }
    static inline __attribute__((unused)) int fw_read_utc(const uint8_t *p, uint32_t n, int64_t *utc_ns) {
        int32_t days;
        int64_t ns;
        if (!fw_utc_parts(p, n, &days, &ns)) return 0;
        return !__builtin_mul_overflow((int64_t)days, 86400000000000ll, utc_ns) &&
               !__builtin_add_overflow(*utc_ns, ns, utc_ns);
    }

    static __attribute__((noinline, unused)) void fw_stamp_second(fix_stamp *c, uint64_t utc_ns) {
        uint64_t x, q;
        uint32_t t, y, m, d;
        if (utc_ns - c->day_ns >= 86400000000000ull || !c->word[0]) {
            const uint64_t day = utc_ns / 86400000000000ull;
            fw_civil((int64_t)day, &y, &m, &d);
            c->word[0] = fw_spread8(y * 10000 + m * 100 + d) | 0x3030303030303030ull;
            c->day_ns = day * 86400000000000ull;
        }
        t = (uint32_t)((utc_ns - c->day_ns) / 1000000000ull);
        c->second_ns = c->day_ns + t * 1000000000ull;
        x = t / 3600 | (uint64_t)(t / 60 % 60) << 24 | (uint64_t)(t % 60) << 48;
        q = (x * 103 >> 10) & 0x000f00000f00000full;        /* the tens of the three */
        x = (q | (x - q * 10) << 8) + 0x30303a30303a3030ull;
        c->word[1] = '-' | x << 8;
        c->word[2] = x >> 56 | 0x3030303030302e00ull;
    }
    static inline __attribute__((always_inline, unused)) uint8_t *fw_write_utc(fix_stamp *c, uint8_t *o,
                                                                              uint64_t utc_ns, uint32_t decimals) {
        uint64_t d = utc_ns - c->second_ns, x;
        uint32_t f, i;
        if (__builtin_expect(d >= 1000000000ull || !c->word[0], 0)) {
            fw_stamp_second(c, utc_ns);
            d = utc_ns - c->second_ns;
        }
        fw_store8(o, c->word[0]);
        fw_store8(o + 8, c->word[1]);
        x = c->word[2];
        f = (uint32_t)d;
        if (__builtin_expect(decimals == 3, 1)) {
            f /= 1000000u;
            i = f * 41 >> 12;               /* f / 100 of three digits */
            f -= i * 100;
            x += (uint64_t)i << 16;
            i = f * 103 >> 10;
            x += (uint64_t)i << 24 | (uint64_t)(f - i * 10) << 32;
        } else if (decimals != 0) {
            i = f / 1000u;
            x += fw_spread8(i);             /* 00 and six digits: the 00 fall on S. */
            fw_write_fixed(o + 24, f - i * 1000u, 3);
        }
        fw_store8(o + 16, x);
        return o + 17 + decimals + (decimals != 0);
    }
    #endif
    """
    ctypedef struct fix_stamp:      # zeroed before its first use
        uint64_t second_ns
    int64_t fix_days "fw_days"(int32_t year, uint32_t month, uint32_t day) noexcept nogil
    void fix_civil "fw_civil"(int64_t days, uint32_t *year, uint32_t *month, uint32_t *day) noexcept nogil
    # readers: False if the n octets at p are not that (*out then means nothing)
    bint fix_text_date "fw_read_date"(const uint8_t *p, uint32_t n, int32_t *days) noexcept nogil
    bint fix_text_time "fw_read_time"(const uint8_t *p, uint32_t n, int64_t *ns) noexcept nogil
    # ... a UTCTimestamp is one in any year from 0000 to 9999; as nanoseconds it must be within 1677-09-21 to 2262-04-11
    bint fix_text_is_utc "fw_is_utc"(const uint8_t *p, uint32_t n) noexcept nogil
    bint fix_text_utc "fw_read_utc"(const uint8_t *p, uint32_t n, int64_t *utc_ns) noexcept nogil
    # writes 17 + (1 + decimals) octets at o (room for 32), decimals 0, 3, 6 or 9; returns the end. Years 1970 to 2554.
    uint8_t *fix_write_utc "fw_write_utc"(fix_stamp *c, uint8_t *o, uint64_t utc_ns, uint32_t decimals) noexcept nogil
