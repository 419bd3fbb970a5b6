"""Counting malloc: this module's own .so is the interposer.

    LD_PRELOAD=$(python -c 'import gateway.allocations as a; print(a.__file__)') python ...

makes every malloc, calloc, realloc and aligned allocation of the process go through the counters below. Without
LD_PRELOAD the module is inert and `counting()` says so. glibc only.
"""
from libc.stdint cimport uint64_t
from libc.stdlib cimport free

cdef extern from *:
    """
    #include <features.h>
    #include <stdint.h>
    #include <stddef.h>
    static uint64_t fw_mallocs;
    #if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__)
    extern void *__libc_malloc(size_t n);
    extern void *__libc_calloc(size_t n, size_t size);
    extern void *__libc_realloc(void *p, size_t n);
    extern void *__libc_memalign(size_t align, size_t n);
    #define FW_COUNT() __atomic_fetch_add(&fw_mallocs, 1, __ATOMIC_RELAXED)
    #define FW_EXPORT __attribute__((visibility("default")))
    FW_EXPORT void *malloc(size_t n) { FW_COUNT(); return __libc_malloc(n); }
    FW_EXPORT void *calloc(size_t n, size_t size) { FW_COUNT(); return __libc_calloc(n, size); }
    FW_EXPORT void *realloc(void *p, size_t n) { FW_COUNT(); return __libc_realloc(p, n); }
    FW_EXPORT void *memalign(size_t align, size_t n) { FW_COUNT(); return __libc_memalign(align, n); }
    FW_EXPORT void *aligned_alloc(size_t align, size_t n) { FW_COUNT(); return __libc_memalign(align, n); }
    FW_EXPORT int posix_memalign(void **p, size_t align, size_t n) {
        void *got;
        if (align % sizeof(void *) || (align & (align - 1)) || !align) return 22;
        FW_COUNT();
        got = __libc_memalign(align, n);
        if (!got) return 12;
        *p = got;
        return 0;
    }
    #endif
    /* through a pointer, or the compiler would drop a malloc that is freed at once */
    static void *(*volatile fw_malloc)(size_t) = malloc;
    static uint64_t fw_malloc_count(void) { return __atomic_load_n(&fw_mallocs, __ATOMIC_RELAXED); }
    """
    uint64_t malloc_count "fw_malloc_count"() noexcept nogil
    void *(*called_malloc "fw_malloc")(size_t n) noexcept nogil


def mallocs():
    """Allocations of this process so far; 0 for ever where the counters are not in place."""
    return malloc_count()


def counting():
    """True if malloc really goes through the counters: one is made and looked for."""
    cdef uint64_t before = malloc_count()
    free(called_malloc(32))
    return malloc_count() > before
