# Numbers an outsider cannot guess: initial sequence numbers (RFC 6528), SYN cookies (RFC 4987 section 3.6), the hash of
# the connection table. The keyed function is SipHash-2-4 (Aumasson, Bernstein 2012); keys come from the netif's seed.
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

cdef extern from *:
    """
    #include <stdint.h>
    #define FW_ROTL64(x, b) (((x) << (b)) | ((x) >> (64 - (b))))
    #define FW_SIPROUND do { \\
        v0 += v1; v1 = FW_ROTL64(v1, 13); v1 ^= v0; v0 = FW_ROTL64(v0, 32); \\
        v2 += v3; v3 = FW_ROTL64(v3, 16); v3 ^= v2; \\
        v0 += v3; v3 = FW_ROTL64(v3, 21); v3 ^= v0; \\
        v2 += v1; v1 = FW_ROTL64(v1, 17); v1 ^= v2; v2 = FW_ROTL64(v2, 32); } while (0)
    /* SipHash-2-4 of the 16 octets of two words */
    static inline uint64_t fw_siphash16(uint64_t k0, uint64_t k1, uint64_t a, uint64_t b) {
        uint64_t v0 = k0 ^ 0x736f6d6570736575ull, v1 = k1 ^ 0x646f72616e646f6dull;
        uint64_t v2 = k0 ^ 0x6c7967656e657261ull, v3 = k1 ^ 0x7465646279746573ull;
        const uint64_t last = (uint64_t)16 << 56;
        v3 ^= a; FW_SIPROUND; FW_SIPROUND; v0 ^= a;
        v3 ^= b; FW_SIPROUND; FW_SIPROUND; v0 ^= b;
        v3 ^= last; FW_SIPROUND; FW_SIPROUND; v0 ^= last;
        v2 ^= 0xff; FW_SIPROUND; FW_SIPROUND; FW_SIPROUND; FW_SIPROUND;
        return v0 ^ v1 ^ v2 ^ v3;
    }
    static inline uint64_t fw_mix(uint64_t a, uint64_t b) {
        unsigned __int128 m = (unsigned __int128)a * b;
        return (uint64_t)m ^ (uint64_t)(m >> 64);
    }
    """
    uint64_t siphash16 "fw_siphash16"(uint64_t k0, uint64_t k1, uint64_t a, uint64_t b) noexcept nogil
    # the high half of a product folded onto the low one
    uint64_t mix "fw_mix"(uint64_t a, uint64_t b) noexcept nogil


cdef inline uint32_t flow_hash(const uint64_t *key, uint32_t local_addr, uint32_t remote_addr,
                               uint32_t ports) noexcept nogil:
    """Bucket of a 4-tuple. Keyed, so which connections collide is not an attacker's choice; 3 ns."""
    return <uint32_t>mix((<uint64_t>remote_addr << 32 | ports) ^ key[0], local_addr ^ key[1] | 1)


cdef inline uint64_t flow_secret(const uint64_t *secret, uint32_t local_addr, uint32_t remote_addr, uint32_t ports,
                                 uint64_t salt) noexcept nogil:
    return siphash16(secret[0], secret[1] ^ salt, <uint64_t>local_addr << 32 | remote_addr, ports)


cdef inline uint32_t isn_make(const uint64_t *secret, uint32_t local_addr, uint32_t remote_addr, uint32_t ports,
                              uint64_t now_ns) noexcept nogil:
    """ISN = M + F(4-tuple, secret), M a clock that ticks every 4 us (RFC 6528 section 3)."""
    return <uint32_t>(now_ns // 4000) + <uint32_t>flow_secret(secret, local_addr, remote_addr, ports, 0)


# A cookie: 5 bits of a counter of 64 s, 3 bits of MSS index, 24 bits of hash over the 4-tuple, the peer's ISN and the
# counter. It is checked against this and the previous period.
cdef enum:
    COOKIE_PERIOD_S = 64


cdef inline uint16_t cookie_mss(uint32_t index) noexcept nogil:
    """The eight values an MSS is rounded down to."""
    if index < 4:
        return 536 if index < 1 else 1220 if index < 2 else 1300 if index < 3 else 1400
    return 1440 if index < 5 else 1460 if index < 6 else 4312 if index < 7 else 8960


cdef inline uint32_t cookie_hash(const uint64_t *secret, uint32_t local_addr, uint32_t remote_addr, uint32_t ports,
                                 uint32_t irs, uint64_t period) noexcept nogil:
    return <uint32_t>siphash16(secret[0] ^ period, secret[1] ^ 0x53594e,
                               <uint64_t>local_addr << 32 | remote_addr, <uint64_t>irs << 32 | ports)


cdef inline uint32_t cookie_make(const uint64_t *secret, uint32_t local_addr, uint32_t remote_addr, uint32_t ports,
                                 uint32_t irs, uint16_t mss, uint64_t now_ns) noexcept nogil:
    """The ISN of a SYN-ACK nobody remembers."""
    cdef uint64_t period = now_ns // (COOKIE_PERIOD_S * <uint64_t>1000000000)
    cdef uint32_t index = 7
    while index and cookie_mss(index) > mss:
        index -= 1
    return (<uint32_t>(period & 31) << 27 | index << 24
            | (cookie_hash(secret, local_addr, remote_addr, ports, irs ^ index << 29, period) & 0xFFFFFF))


cdef inline uint16_t cookie_check(const uint64_t *secret, uint32_t local_addr, uint32_t remote_addr, uint32_t ports,
                                  uint32_t irs, uint32_t iss, uint64_t now_ns) noexcept nogil:
    """The MSS that `iss` stands for if it is a cookie of ours of the last two periods, else 0."""
    cdef uint64_t period = now_ns // (COOKIE_PERIOD_S * <uint64_t>1000000000)
    cdef uint32_t index = iss >> 24 & 7, age = <uint32_t>(period - (iss >> 27)) & 31
    if age > 1 or age > period:
        return 0
    if (cookie_hash(secret, local_addr, remote_addr, ports, irs ^ index << 29, period - age) ^ iss) & 0xFFFFFF:
        return 0
    return cookie_mss(index)
