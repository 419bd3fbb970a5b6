/* Fields of a framed message: (tag, offset, length) of each, and the sum of its octets.
 *
 * Every scanner gets a message whose BodyLength and trailer are right, takes the fields of [begin, end), which is the body
 * with a SOH at end - 1, and writes one 64-bit word a field: tag | offset of the value << 32 | length << 48, which is
 * fix_field as it lies in memory. The sum is that of [0, end), what CheckSum counts; begin is at most 32.
 * The fast ones take regular messages only: every field is digits=value, no tag begins with 0 or is above their reach,
 * no Length field announces data. Anything else makes them return -1 and fw_scan_general decides, so all paths
 * agree because one of them judges; the sum is then not there. Reads at most 64 octets behind the message, writes at most 128 behind the fields.
 */
#ifndef FIXWIRE_SCAN_H
#define FIXWIRE_SCAN_H
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { FW_PAIRS = 256 };
enum { FW_OK = 0, FW_NO_EQUALS = 1, FW_BAD_TAG = 2, FW_DATA_LENGTH = 3, FW_FIELDS = 4 };

/* Length/data pairs. `bits` is a filter over the low 16 bits of a Length tag; the pairs decide. */
typedef struct {
    uint64_t bits[1024];
    uint64_t filter[4];             /* over the low 8 bits of those below 512 */
    uint32_t n;
    struct { uint32_t length, data; } pair[FW_PAIRS];       /* ascending by length */
    uint64_t data_bits[1024];       /* the same filter over data tags */
} fw_data_table;

typedef struct { uint32_t error, field, tag; } fw_fault;

typedef int (*fw_scan_fn)(const uint8_t *p, uint32_t begin, uint32_t end, uint64_t *out, uint32_t room, uint32_t *sum,
                          const fw_data_table *t);
typedef uint32_t (*fw_sum_fn)(const uint8_t *p, uint32_t n);

static int fw_data_add(fw_data_table *t, uint32_t length, uint32_t data) {
    uint32_t i = 0;
    while (i < t->n && t->pair[i].length < length) i++;
    if (i == t->n || t->pair[i].length != length) {
        if (t->n == FW_PAIRS) return 0;
        memmove(&t->pair[i + 1], &t->pair[i], (t->n - i) * sizeof t->pair[0]);
        t->n++;
    }
    t->pair[i].length = length;
    t->pair[i].data = data;
    t->bits[(length & 0xffff) >> 6] |= 1ull << (length & 63);
    if (length < 512) t->filter[(length & 255) >> 6] |= 1ull << (length & 63);
    t->data_bits[(data & 0xffff) >> 6] |= 1ull << (data & 63);
    return 1;
}
/* The data tag that a Length field announces, or 0. */
static inline uint32_t fw_data_of(const fw_data_table *t, uint32_t tag) {
    uint32_t lo = 0, hi = t->n;
    if (!(t->bits[(tag & 0xffff) >> 6] >> (tag & 63) & 1)) return 0;
    while (lo < hi) {
        uint32_t mid = (lo + hi) >> 1;
        if (t->pair[mid].length < tag) lo = mid + 1; else hi = mid;
    }
    return lo < t->n && t->pair[lo].length == tag ? t->pair[lo].data : 0;
}

/* The Length tag that announces a data field, or 0. */
static uint32_t fw_length_of(const fw_data_table *t, uint32_t tag) {
    if (t->data_bits[(tag & 0xffff) >> 6] >> (tag & 63) & 1)
        for (uint32_t i = 0; i < t->n; i++)
            if (t->pair[i].data == tag) return t->pair[i].length;
    return 0;
}

/* Lowest octet of x equal to c, as a bit of it: 0x80 in that octet and perhaps in octets above; 0 if there is none. */
static inline uint64_t fw_octets_equal(uint64_t x, uint8_t c) {
    x ^= 0x0101010101010101ull * c;
    return (x - 0x0101010101010101ull) & ~x & 0x8080808080808080ull;
}
/* Offset of the first SOH at or behind i; one is known to come. */
static inline uint32_t fw_soh(const uint8_t *p, uint32_t i) {
    for (;; i += 8) {
        uint64_t hit = fw_octets_equal(fw_load8(p + i), 1);
        if (hit) return i + ((uint32_t)__builtin_ctzll(hit) >> 3);
    }
}

/* A tag of any shape that ends before e: its number, or 0. */
static uint32_t fw_any_tag(const uint8_t *p, uint32_t n) {
    uint64_t v = 0;
    if (n == 0 || n > 10 || p[0] == '0') return 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t d = (uint32_t)p[i] - '0';
        if (d > 9) return 0;
        v = v * 10 + d;
    }
    return v > 0x7fffffff ? 0 : (uint32_t)v;
}

/* The fields of [i, end) from out[k] on; the octet before `end` is SOH. Returns the number of fields in out. */
static uint32_t fw_scan_general(const uint8_t *p, uint32_t i, uint32_t end, uint64_t *out, uint32_t k, uint32_t room,
                                const fw_data_table *t, fw_fault *fault) {
    uint32_t data = 0, data_len = 0;        /* what the field before announced */
    fault->error = FW_OK;
    while (i < end) {
        uint64_t x = fw_load8(p + i), hit = fw_octets_equal(x, '=');
        uint32_t w = (uint32_t)__builtin_ctzll(hit | 1ull << 63) >> 3, tag, v, s;
        uint64_t digits = (x ^ 0x3030303030303030ull) << ((64 - 8 * w) & 63);
        if (k == room) {
            if (!fault->error) { fault->error = FW_FIELDS; fault->field = k; fault->tag = 0; }
            break;
        }
        if (__builtin_expect(hit != 0 && w != 0 && !fw_not_digits(digits) && (uint8_t)x != '0', 1)) {
            tag = fw_weigh8(digits);
            v = i + w + 1;
        } else {
            const uint8_t *e;
            s = fw_soh(p, i);
            e = (const uint8_t *)memchr(p + i, '=', s - i);
            v = e ? (uint32_t)(e - p) + 1 : i;
            tag = e ? fw_any_tag(p + i, v - 1 - i) : 0;
            if (!tag && !fault->error) {
                fault->error = e ? FW_BAD_TAG : FW_NO_EQUALS;
                fault->field = k;
                fault->tag = 0;
            }
        }
        if (__builtin_expect(data != 0 && tag == data, 0)) {
            s = data_len < end - v && p[v + data_len] == 1 ? v + data_len : end;
            if (s == end) {
                if (!fault->error) { fault->error = FW_DATA_LENGTH; fault->field = k; fault->tag = tag; }
                s = fw_soh(p, v);
            }
        } else {
            s = fw_soh(p, v);
        }
        out[k++] = tag | (uint64_t)v << 32 | (uint64_t)(s - v) << 48;
        data = fw_data_of(t, tag);
        if (__builtin_expect(data != 0, 0)) {
            uint64_t n = 0;
            if (fw_read_uint(p + v, s - v, &n) || n > 0xffff) data = 0;
            data_len = (uint32_t)n;
        }
        i = s + 1;
    }
    return k;
}

static uint32_t fw_sum_plain(const uint8_t *p, uint32_t n) {
    uint32_t s = 0, i = 0;
    for (; i + 64 <= n; i += 64) {
        uint64_t lo = 0, hi = 0;            /* eight lanes of 16 bits: 8 * 255 each */
        for (uint32_t j = 0; j < 64; j += 8) {
            uint64_t x = fw_load8(p + i + j);
            lo += x & 0x00ff00ff00ff00ffull;
            hi += x >> 8 & 0x00ff00ff00ff00ffull;
        }
        s += (uint32_t)((lo + hi) * 0x0001000100010001ull >> 48);
    }
    for (; i < n; i++) s += p[i];
    return s & 255;
}
/* Octet by octet; tags of up to nine digits. */
static int fw_scan_plain(const uint8_t *p, uint32_t begin, uint32_t end, uint64_t *out, uint32_t room, uint32_t *sum,
                         const fw_data_table *t) {
    const uint8_t *q = p + begin, *last = p + end;
    uint32_t s = fw_sum_plain(p, begin), k = 0;
    while (q < last) {
        const uint8_t *first = q, *v;
        uint32_t tag = 0, c, d;
        while ((d = (uint32_t)(c = *q) - '0') <= 9) {
            tag = tag * 10 + d;
            s += c;
            q++;
        }
        if (c != '=' || *first == '0' || (uint32_t)(q - first) - 1 > 8 || k == room) return -1;
        s += c;
        v = ++q;
        while ((c = *q) != 1) {
            s += c;
            q++;
        }
        s += 1;
        out[k++] = tag | (uint64_t)(v - p) << 32 | (uint64_t)(q - v) << 48;
        q++;
        if (__builtin_expect(t->bits[(tag & 0xffff) >> 6] >> (tag & 63) & 1, 0) && fw_data_of(t, tag)) return -1;
    }
    *sum = s & 255;
    return (int)k;
}

#if defined(__x86_64__)
#include "scan_x86.h"
#endif

/* The best this CPU has up to `isa` (0 plain, 1 AVX2, 2 AVX-512); says which. */
static int fw_choose(int isa, fw_scan_fn *scan, fw_sum_fn *sum) {
    *scan = fw_scan_plain;
    *sum = fw_sum_plain;
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (isa >= 2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")
        && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512vbmi")
        && __builtin_cpu_supports("avx512vbmi2") && __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("avx2")) {
        *scan = fw_scan_512;
        *sum = fw_sum_512;
        return 2;
    }
    if (isa >= 1 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2")
        && __builtin_cpu_supports("popcnt")) {
        *scan = fw_scan_256;
        *sum = fw_sum_256;
        return 1;
    }
#endif
    return 0;
}
#endif
