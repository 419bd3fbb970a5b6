# Marks along the path of a message: each writes the CPU's time stamp counter into the engine's array.
# The one exception to "no clock below gateway/": a mark changes no behaviour, and costs one compare when off.
# With stack/wire/octets.pxd, the only header every room may cimport.
from libc.stdint cimport uint64_t

cdef enum trace_stage:
    TRACE_RX = 0            # rx_burst returned (engine)
    TRACE_PARSE = 1         # Ethernet, IPv4 and TCP headers parsed, checksums verified, tcb found (stack)
    TRACE_TCP = 2           # state machine done, text goes up (stack, before on_text)
    TRACE_FIX_PARSE = 3     # fix_parse returned COMPLETE (session)
    TRACE_SESSION = 4       # session checks done (session, before on_message)
    TRACE_STRATEGY = 5      # the strategy decided: order_new entered (gateway)
    TRACE_ENCODE = 6        # message encoded and stored (session, before wire.commit)
    TRACE_TCP_OUT = 7       # segment built (stack, before tx_burst)
    TRACE_TX = 8            # tx_burst returned (stack)
    TRACE_STAGES = 9

cdef extern from *:
    """
    #include <stdint.h>
    #if defined(__x86_64__)
    #include <x86intrin.h>
    static inline uint64_t fw_tsc(void) { return __rdtsc(); }
    #elif defined(__aarch64__)
    static inline uint64_t fw_tsc(void) { uint64_t x; __asm__ volatile("mrs %0, cntvct_el0" : "=r"(x)); return x; }
    #endif
    static inline void fw_trace_mark(uint64_t *t, int stage) { if (__builtin_expect(t != 0, 0)) t[stage] = fw_tsc(); }
    """
    void trace_mark "fw_trace_mark"(uint64_t *t, int stage) noexcept nogil
