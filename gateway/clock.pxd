# The only clock. Nothing below gateway/ reads time: it is handed down as now_ns, once a step.
# now_ns is CLOCK_MONOTONIC, so a stepped wall clock moves SendingTime(52) and never a timer.
from libc.stdint cimport int64_t, uint64_t

cdef extern from *:
    """
    #include <time.h>
    #include <stdint.h>
    static inline uint64_t fw_clock_ns(void) {
        struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
    }
    static inline int64_t fw_clock_utc_offset_ns(void) {
        struct timespec u; uint64_t a = fw_clock_ns(); clock_gettime(CLOCK_REALTIME, &u); uint64_t b = fw_clock_ns();
        return (int64_t)((uint64_t)u.tv_sec * 1000000000u + (uint64_t)u.tv_nsec - (a + (b - a) / 2));
    }
    static inline void fw_clock_sleep_ns(uint64_t ns) {
        struct timespec t = { (time_t)(ns / 1000000000u), (long)(ns % 1000000000u) };
        clock_nanosleep(CLOCK_MONOTONIC, 0, &t, 0);
    }
    """
    uint64_t clock_ns "fw_clock_ns"() noexcept nogil                        # monotonic
    int64_t clock_utc_offset_ns "fw_clock_utc_offset_ns"() noexcept nogil   # UTC since 1970 = now_ns + this
    void clock_sleep_ns "fw_clock_sleep_ns"(uint64_t ns) noexcept nogil     # or until a signal
