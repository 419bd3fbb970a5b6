# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The loop of bench/recorder.py: frames past the flight recorder's two inline functions."""
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from stack.recorder cimport RECORD_IN, recorder, recorder_judge, recorder_l4, recorder_take
from stack.face cimport Stack

cdef extern from *:
    """
    #include <time.h>
    static inline uint64_t bench_ns(void) {
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t)t.tv_sec * 1000000000u + t.tv_nsec;
    }
    """
    uint64_t bench_ns() noexcept nogil


def record(Stack stack, const uint8_t[::1] frame, int turns, uint64_t[::1] samples):
    """Nanoseconds of `turns` frames taken, named by layer 4 and judged, into each sample."""
    cdef recorder *r = stack.nif.recorder
    cdef uint64_t t, number
    cdef Py_ssize_t k
    cdef int _i
    with nogil:
        for k in range(samples.shape[0]):
            t = bench_ns()
            for _i in range(turns):
                number = recorder_take(r, &frame[0], <uint32_t>frame.shape[0], RECORD_IN, t)
                recorder_l4(r, 6, 0, 4)
                recorder_judge(r, number, 0)
            samples[k] = bench_ns() - t
