# Loads, stores and fences with the memory order the ring protocols name. x86 needs only compiler barriers for all but
# the full fence; ARM gets LDAR, STLR and DMB from the same lines.
from libc.stdint cimport uint32_t, uint64_t


cdef inline uint32_t slot_stride(uint32_t octets) noexcept nogil:
    """Octets from slot to slot for slots of `octets`: a divisor or a multiple of a cache line, so none is shared needlessly."""
    cdef uint32_t stride = 8
    if octets > 64:
        return (octets + 63) & ~<uint32_t>63
    while stride < octets:
        stride *= 2
    return stride


cdef inline uint64_t lengths_octets(uint64_t capacity) noexcept nogil:
    """Octets the messages' lengths take, a 32-bit word a slot, before the slots; these begin on a line of their own."""
    return (4 * capacity + 63) & ~<uint64_t>63


cdef inline void keep_length(uint32_t *length, uint32_t n) noexcept nogil:
    """Written only where it changes: among messages of one length the words stay in both sides' caches."""
    if load32_relaxed(length) != n:
        store32_relaxed(length, n)


cdef extern from *:
    """
    #include <stdint.h>
    static inline uint64_t fw_load_acquire(const uint64_t *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
    static inline uint64_t fw_load_relaxed(const uint64_t *p) { return __atomic_load_n(p, __ATOMIC_RELAXED); }
    static inline void fw_store_release(uint64_t *p, uint64_t v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }
    static inline void fw_store_relaxed(uint64_t *p, uint64_t v) { __atomic_store_n(p, v, __ATOMIC_RELAXED); }
    static inline int fw_cas(uint64_t *p, uint64_t old, uint64_t new_) {
        return __atomic_compare_exchange_n(p, &old, new_, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
    }
    static inline uint32_t fw_load32_relaxed(const uint32_t *p) { return __atomic_load_n(p, __ATOMIC_RELAXED); }
    static inline void fw_store32_relaxed(uint32_t *p, uint32_t v) { __atomic_store_n(p, v, __ATOMIC_RELAXED); }
    static inline uint32_t fw_load32_acquire(const uint32_t *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
    static inline void fw_store32_release(uint32_t *p, uint32_t v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }
    static inline uint32_t fw_add32(uint32_t *p, uint32_t v) { return __atomic_add_fetch(p, v, __ATOMIC_SEQ_CST); }
    static inline uint32_t fw_or32(uint32_t *p, uint32_t v) { return __atomic_or_fetch(p, v, __ATOMIC_SEQ_CST); }
    static inline void fw_fence_acquire(void) { __atomic_thread_fence(__ATOMIC_ACQUIRE); }
    static inline void fw_fence_release(void) { __atomic_thread_fence(__ATOMIC_RELEASE); }
    static inline void fw_fence_full(void) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
    #if defined(__x86_64__)
    static inline void fw_pause(void) { __builtin_ia32_pause(); }
    #else
    static inline void fw_pause(void) { __asm__ volatile("yield"); }
    #endif
    /* Copies by 64-bit relaxed atomics: a reader may race with the writer (and then discards what it got). */
    static inline void fw_copy_racing_out(void *dst, const void *src, uint32_t n) {
        uint64_t *d = (uint64_t *)dst; const uint64_t *s = (const uint64_t *)src; uint32_t k = n >> 3;
        for (uint32_t i = 0; i < k; i++) d[i] = __atomic_load_n(s + i, __ATOMIC_RELAXED);
        if (n & 7) { uint64_t last = __atomic_load_n(s + k, __ATOMIC_RELAXED); __builtin_memcpy(d + k, &last, n & 7); }
    }
    static inline void fw_copy_racing_in(void *dst, const void *src, uint32_t n) {
        uint64_t *d = (uint64_t *)dst; const uint8_t *s = (const uint8_t *)src; uint32_t k = n >> 3; uint64_t w;
        for (uint32_t i = 0; i < k; i++) { __builtin_memcpy(&w, s + 8 * i, 8); __atomic_store_n(d + i, w, __ATOMIC_RELAXED); }
        if (n & 7) { w = 0; __builtin_memcpy(&w, s + 8 * k, n & 7); __atomic_store_n(d + k, w, __ATOMIC_RELAXED); }
    }
    """
    uint64_t load_acquire "fw_load_acquire"(const uint64_t *p) noexcept nogil
    uint64_t load_relaxed "fw_load_relaxed"(const uint64_t *p) noexcept nogil
    void store_release "fw_store_release"(uint64_t *p, uint64_t v) noexcept nogil
    void store_relaxed "fw_store_relaxed"(uint64_t *p, uint64_t v) noexcept nogil
    bint compare_and_swap "fw_cas"(uint64_t *p, uint64_t old, uint64_t new) noexcept nogil
    uint32_t load32_relaxed "fw_load32_relaxed"(const uint32_t *p) noexcept nogil
    void store32_relaxed "fw_store32_relaxed"(uint32_t *p, uint32_t v) noexcept nogil
    uint32_t load32_acquire "fw_load32_acquire"(const uint32_t *p) noexcept nogil
    void store32_release "fw_store32_release"(uint32_t *p, uint32_t v) noexcept nogil
    uint32_t add32 "fw_add32"(uint32_t *p, uint32_t v) noexcept nogil
    uint32_t or32 "fw_or32"(uint32_t *p, uint32_t v) noexcept nogil
    void fence_acquire "fw_fence_acquire"() noexcept nogil
    void fence_release "fw_fence_release"() noexcept nogil
    void fence_full "fw_fence_full"() noexcept nogil
    void pause "fw_pause"() noexcept nogil
    # dst and src are 8-aligned where the ring is; the ring's side has room up to the next multiple of 8
    void copy_racing_out "fw_copy_racing_out"(void *dst, const void *src, uint32_t n) noexcept nogil
    void copy_racing_in "fw_copy_racing_in"(void *dst, const void *src, uint32_t n) noexcept nogil
