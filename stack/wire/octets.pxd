# Loads and stores of unaligned integers in network order: the one way octets of a header become numbers.
# With stack/wire/trace.pxd, the only header every room may cimport.
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>
    static inline uint16_t fw_load_be16(const uint8_t *p) { uint16_t x; memcpy(&x, p, 2); return __builtin_bswap16(x); }
    static inline uint32_t fw_load_be32(const uint8_t *p) { uint32_t x; memcpy(&x, p, 4); return __builtin_bswap32(x); }
    static inline uint64_t fw_load_be64(const uint8_t *p) { uint64_t x; memcpy(&x, p, 8); return __builtin_bswap64(x); }
    static inline uint16_t fw_load_16(const uint8_t *p) { uint16_t x; memcpy(&x, p, 2); return x; }
    static inline uint32_t fw_load_32(const uint8_t *p) { uint32_t x; memcpy(&x, p, 4); return x; }
    static inline uint64_t fw_load_64(const uint8_t *p) { uint64_t x; memcpy(&x, p, 8); return x; }
    static inline void fw_store_be16(uint8_t *p, uint16_t x) { x = __builtin_bswap16(x); memcpy(p, &x, 2); }
    static inline void fw_store_be32(uint8_t *p, uint32_t x) { x = __builtin_bswap32(x); memcpy(p, &x, 4); }
    static inline void fw_store_be64(uint8_t *p, uint64_t x) { x = __builtin_bswap64(x); memcpy(p, &x, 8); }
    static inline void fw_store_16(uint8_t *p, uint16_t x) { memcpy(p, &x, 2); }
    static inline void fw_store_32(uint8_t *p, uint32_t x) { memcpy(p, &x, 4); }
    static inline void fw_store_64(uint8_t *p, uint64_t x) { memcpy(p, &x, 8); }
    #define fw_likely(x) __builtin_expect(!!(x), 1)
    #define fw_unlikely(x) __builtin_expect(!!(x), 0)
    static inline void fw_prefetch(const void *p) { __builtin_prefetch(p); }
    """
    uint16_t load_be16 "fw_load_be16"(const uint8_t *p) noexcept nogil
    uint32_t load_be32 "fw_load_be32"(const uint8_t *p) noexcept nogil
    uint64_t load_be64 "fw_load_be64"(const uint8_t *p) noexcept nogil
    # host order, for octets whose order does not matter (equality, sums)
    uint16_t load_16 "fw_load_16"(const uint8_t *p) noexcept nogil
    uint32_t load_32 "fw_load_32"(const uint8_t *p) noexcept nogil
    uint64_t load_64 "fw_load_64"(const uint8_t *p) noexcept nogil
    void store_be16 "fw_store_be16"(uint8_t *p, uint16_t x) noexcept nogil
    void store_be32 "fw_store_be32"(uint8_t *p, uint32_t x) noexcept nogil
    void store_be64 "fw_store_be64"(uint8_t *p, uint64_t x) noexcept nogil
    void store_16 "fw_store_16"(uint8_t *p, uint16_t x) noexcept nogil
    void store_32 "fw_store_32"(uint8_t *p, uint32_t x) noexcept nogil
    void store_64 "fw_store_64"(uint8_t *p, uint64_t x) noexcept nogil
    void prefetch "fw_prefetch"(const void *p) noexcept nogil
    bint likely "fw_likely"(bint x) noexcept nogil
    bint unlikely "fw_unlikely"(bint x) noexcept nogil
