# The engine's marks turned into stage times: one record an order, taken after tx_burst has returned.
# The stack and the session write marks (stack/wire/trace.pxd); nothing here is on the way of a frame.
from libc.stdint cimport int64_t, uint32_t, uint64_t

from dpdk_py.device cimport device
from stack.wire.trace cimport TRACE_RX, TRACE_STAGES, TRACE_TX

cdef enum:
    TRACE_POLL = TRACE_STAGES       # before rx_burst: the mark the rx stage begins at
    TRACE_MARKS = TRACE_STAGES + 1
    TRACE_TIMES = TRACE_STAGES + 1  # rx, the eight times between nine marks, total
    HISTOGRAM_SUB = 32              # buckets an octave, so a bucket is 3 % wide
    HISTOGRAM_BUCKETS = 36 * 32     # up to 2^40 ticks

cdef enum trace_mode:
    TRACE_OFF = 0
    TRACE_ALL = 1                   # every stage
    TRACE_WIRE = 2                  # only rx_burst and tx_burst, by a device around the device

cdef struct histogram:
    uint64_t count
    uint64_t total
    uint64_t least
    uint64_t most
    uint64_t bucket[36 * 32]

cdef struct trace_recorder:
    uint64_t mark[10]               # TRACE_MARKS; netif.trace and fix_session.trace point here (TRACE_ALL)
    uint32_t mode                   # trace_mode
    uint32_t times                  # stages recorded: TRACE_TIMES, or 1 (TRACE_WIRE)
    uint64_t skip                   # orders still to be left out: the warm-up
    uint64_t count                  # orders recorded
    uint64_t keep                   # samples there is room for
    uint32_t *sample                # keep x times ticks, one row an order; NULL: histograms only
    histogram *hist                 # one a stage

cdef extern from *:
    """
    static inline uint32_t fw_hist_index(uint64_t v) {
        if (v < 64) return (uint32_t)v;
        unsigned up = 58u - (unsigned)__builtin_clzll(v);         /* v >> up is 32..63 */
        uint32_t i = up * 32u + (uint32_t)(v >> up);
        return i < 36u * 32u ? i : 36u * 32u - 1u;
    }
    """
    uint32_t histogram_index "fw_hist_index"(uint64_t v) noexcept nogil
    uint64_t tsc "fw_tsc"() noexcept nogil

cdef inline void histogram_record(histogram *h, uint64_t v) noexcept nogil:
    h.count += 1
    h.total += v
    h.bucket[histogram_index(v)] += 1
    if v < h.least:
        h.least = v
    if v > h.most:
        h.most = v

# A device around a device that marks the return of rx_burst and tx_burst: the two marks of TRACE_WIRE.
cdef struct timed_device:
    device dev              # what the stack is given
    device *inner
    trace_recorder *rec

cdef void trace_record(trace_recorder *t) noexcept nogil

cdef class Trace:
    cdef trace_recorder rec
    cdef timed_device timed
    cdef device *around(self, device *inner) noexcept
    cdef uint64_t tsc_start, ns_start
    cdef double ticks_per_ns(self)
    cdef dict _row(self, uint32_t at, double scale)
