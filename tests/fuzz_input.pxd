# An input of a fuzzer read from the front, and the way a harness says what is wrong. Shared by tests/fuzz_*.pyx.
#
# A harness is `const char *run(const uint8_t *data, size_t n)`: NULL, or what should not have happened. Its module ends
# with `ENTRY = harness(run, &planted)`, which tests/fuzz/harness.py calls it by. Every buffer the product reads or writes
# is of its own malloc and not an octet larger than promised, so that ASan sees the first one beyond.
from libc.stddef cimport size_t
from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uintptr_t

ctypedef const char *(*fuzz_run_t)(const uint8_t *data, size_t n) noexcept nogil

cdef extern from *:
    """
    #include <stdio.h>
    #include <stdlib.h>
    #include <stdint.h>
    static const char *(*fw_fuzz_run)(const uint8_t *, size_t);
    /* What libFuzzer calls; it stops at an abort. */
    static int fw_fuzz_callback(const uint8_t *data, size_t n) {
        const char *why = fw_fuzz_run(data, n);
        if (why) { fprintf(stderr, "fuzz: %s\\n", why); fflush(stderr); abort(); }
        return 0;
    }
    static inline uint8_t fw_octet(uint32_t i) { i *= 0x9E3779B1u; return (uint8_t)((i >> 24) ^ (i >> 13) ^ 0x35); }
    """
    fuzz_run_t fuzz_run "fw_fuzz_run"
    int fuzz_callback "fw_fuzz_callback"(const uint8_t *data, size_t n) noexcept nogil
    # octet number i of every stream: neighbours differ, and so do octets a power of two apart
    uint8_t fuzz_octet "fw_octet"(uint32_t i) noexcept nogil


cdef inline tuple harness(fuzz_run_t run, int *planted):
    """Addresses for tests/fuzz/harness.py: of libFuzzer's callback, of `run`, and of the fault planted in it (0: none)."""
    global fuzz_run
    fuzz_run = run
    return <uintptr_t>&fuzz_callback, <uintptr_t>run, <uintptr_t>planted


cdef struct fuzz_input:
    const uint8_t *p
    const uint8_t *end


cdef inline uint32_t left(const fuzz_input *in_) noexcept nogil:
    return <uint32_t>(in_.end - in_.p)


cdef inline uint8_t take8(fuzz_input *in_) noexcept nogil:
    """The next octet, 0 where there is none."""
    if in_.p == in_.end:
        return 0
    in_.p += 1
    return in_.p[-1]


cdef inline uint16_t take16(fuzz_input *in_) noexcept nogil:
    cdef uint16_t high = take8(in_)
    return <uint16_t>(high << 8 | take8(in_))


cdef inline int32_t take_near(fuzz_input *in_, int32_t far) noexcept nogil:
    """A signed distance: mostly small (one octet), for an octet of -128 one of two octets times `far`."""
    cdef int32_t near = <int32_t>take8(in_) - 128
    if near != -128:
        return near
    return (<int32_t>take16(in_) - 32768) * far


cdef inline uint32_t take_octets(fuzz_input *in_, uint32_t most, const uint8_t **p) noexcept nogil:
    """A length octet and as many octets, fewer where the input ends."""
    cdef uint32_t n = take8(in_)
    if n > most:
        n = most
    if n > left(in_):
        n = left(in_)
    p[0] = in_.p
    in_.p += n
    return n
