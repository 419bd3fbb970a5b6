"""Stage times from marks, kept as histograms and, where asked, as every single sample.

Marks are the CPU's counter (TSC), whose reading costs 10-25 ns: `Trace.mark_cost_ns()` says how much here. Each stage
time contains the cost of one mark; nothing is subtracted.
"""
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

from dpdk_py.device cimport device, device_ops, frame
from stack.wire.trace cimport trace_mark

from gateway.clock cimport clock_ns

STAGES = ("rx", "parse", "tcp", "fix_parse", "session", "strategy", "encode", "tcp_out", "tx", "total")


cdef void trace_record(trace_recorder *t) noexcept nogil:
    """The order whose tx_burst has just returned: its stage times into histograms and samples.

    Does nothing when no frame has been received since the last record (an order sent from a timer).
    """
    cdef uint64_t *m = t.mark
    cdef uint64_t v
    cdef uint32_t *row = NULL
    cdef uint32_t i
    if m[<int>TRACE_RX] == 0 or m[<int>TRACE_TX] < m[<int>TRACE_RX]:
        return
    if t.skip:
        t.skip -= 1
        return
    if t.count < t.keep:
        row = t.sample + t.count * t.times
    t.count += 1
    if t.mode == TRACE_WIRE:
        v = m[<int>TRACE_TX] - m[<int>TRACE_RX]
        histogram_record(&t.hist[0], v)
        if row != NULL:
            row[0] = <uint32_t>v
        return
    for i in range(<uint32_t>TRACE_TIMES):
        if i == 0:
            v = m[<int>TRACE_RX] - m[<int>TRACE_POLL]
        elif i == <uint32_t>TRACE_STAGES:
            v = m[<int>TRACE_TX] - m[<int>TRACE_RX]
        else:
            v = m[i] - m[i - 1]
        histogram_record(&t.hist[i], v)
        if row != NULL:
            row[i] = <uint32_t>v


cdef int timed_rx_burst(device *d, frame *frames, int n, uint64_t now_ns) noexcept nogil:
    cdef timed_device *t = <timed_device *>d.self
    cdef int got = t.inner.ops.rx_burst(t.inner, frames, n, now_ns)
    if got:
        trace_mark(t.rec.mark, TRACE_RX)
    return got


cdef int timed_tx_burst(device *d, frame *frames, int n, uint64_t now_ns) noexcept nogil:
    cdef timed_device *t = <timed_device *>d.self
    cdef int took = t.inner.ops.tx_burst(t.inner, frames, n, now_ns)
    trace_mark(t.rec.mark, TRACE_TX)
    return took


cdef bint timed_alloc(device *d, frame *f) noexcept nogil:
    cdef timed_device *t = <timed_device *>d.self
    return t.inner.ops.alloc(t.inner, f)


cdef void timed_free(device *d, frame *frames, int n) noexcept nogil:
    cdef timed_device *t = <timed_device *>d.self
    t.inner.ops.free(t.inner, frames, n)


cdef device_ops timed_ops
timed_ops.rx_burst = timed_rx_burst
timed_ops.tx_burst = timed_tx_burst
timed_ops.alloc = timed_alloc
timed_ops.free = timed_free


cdef class Trace:
    """See gateway/trace.pyi. Made by the engine."""

    def __cinit__(self, str mode, uint64_t samples=0):
        if mode == "stages":
            self.rec.mode = TRACE_ALL
            self.rec.times = TRACE_TIMES
        elif mode == "wire":
            self.rec.mode = TRACE_WIRE
            self.rec.times = 1
        else:
            raise ValueError(f"trace is {mode!r}, must be 'stages' or 'wire'")
        self.rec.hist = <histogram *>calloc(self.rec.times, sizeof(histogram))
        self.rec.keep = samples
        if samples:
            self.rec.sample = <uint32_t *>calloc(samples * self.rec.times, sizeof(uint32_t))
            if self.rec.sample != NULL:     # touched now, or the first orders would pay for the pages
                memset(self.rec.sample, 0xFF, samples * self.rec.times * sizeof(uint32_t))
        if self.rec.hist == NULL or (samples and self.rec.sample == NULL):
            raise MemoryError(f"no memory for {samples} samples")
        self.tsc_start = tsc()
        self.ns_start = clock_ns()
        self.reset()

    def __dealloc__(self):
        free(self.rec.hist)
        free(self.rec.sample)

    cdef device *around(self, device *inner) noexcept:
        """The device the stack is to drive instead of `inner`."""
        self.timed.dev = inner[0]
        self.timed.dev.ops = &timed_ops
        self.timed.dev.self = &self.timed
        self.timed.inner = inner
        self.timed.rec = &self.rec
        return &self.timed.dev

    @property
    def mode(self):
        return "wire" if self.rec.mode == TRACE_WIRE else "stages"

    @property
    def count(self):
        return self.rec.count

    def skip(self, uint64_t orders):
        self.rec.skip = orders

    def reset(self):
        cdef uint32_t i
        memset(self.rec.hist, 0, self.rec.times * sizeof(histogram))
        for i in range(self.rec.times):
            self.rec.hist[i].least = ~<uint64_t>0
        self.rec.count = 0

    cdef double ticks_per_ns(self):
        """Since this trace was made, but over 20 ms at least."""
        while clock_ns() - self.ns_start < 20_000_000:
            pass
        return <double>(tsc() - self.tsc_start) / <double>(clock_ns() - self.ns_start)

    def _stage(self, str stage):
        names = ("wire_to_wire",) if self.rec.mode == TRACE_WIRE else STAGES
        if stage not in names:
            raise ValueError(f"no stage {stage!r} here, there are {', '.join(names)}")
        return names.index(stage)

    def samples_ns(self, str stage):
        import numpy
        cdef uint32_t at = self._stage(stage)
        cdef uint64_t n = min(self.rec.count, self.rec.keep)
        if self.rec.sample == NULL:
            raise ValueError("samples were not kept; give samples= to the engine")
        out = numpy.empty(n, numpy.float64)
        cdef double[::1] view = out
        cdef double scale = 1.0 / self.ticks_per_ns()
        cdef uint64_t i
        for i in range(n):
            view[i] = self.rec.sample[i * self.rec.times + at] * scale
        return out

    def table(self):
        names = ("wire_to_wire",) if self.rec.mode == TRACE_WIRE else STAGES
        scale = 1.0 / self.ticks_per_ns()
        return {name: self._row(i, scale) for i, name in enumerate(names)}

    cdef dict _row(self, uint32_t at, double scale):
        cdef histogram *h = &self.rec.hist[at]
        cdef uint64_t i, n = min(self.rec.count, self.rec.keep)
        row = {"count": h.count}
        if h.count == 0:
            return row
        row["min_ns"] = h.least * scale
        if n == h.count:
            ticks = sorted([self.rec.sample[i * self.rec.times + at] for i in range(n)])
            for name, q in (("p50_ns", 0.5), ("p99_ns", 0.99), ("p99_9_ns", 0.999)):
                row[name] = ticks[min(n - 1, int(q * n))] * scale
        else:
            for name, q in (("p50_ns", 0.5), ("p99_ns", 0.99), ("p99_9_ns", 0.999)):
                row[name] = histogram_quantile(h, q) * scale
        row["max_ns"] = h.most * scale
        row["mean_ns"] = h.total * scale / h.count
        return row

    @staticmethod
    def mark_cost_ns():
        cdef uint64_t marks[16]
        cdef uint64_t best = ~<uint64_t>0, before, spent
        cdef int i, _k
        for _k in range(50):
            before = clock_ns()
            for i in range(1000):
                trace_mark(marks, i & 7)
            spent = clock_ns() - before
            best = min(best, spent)
        return best / 1000.0

    @staticmethod
    def tsc_ghz():
        return Trace("wire").ticks_per_ns()


cdef double histogram_quantile(const histogram *h, double q):
    """The middle of the bucket in which the q-th of the recorded values lies."""
    cdef uint64_t want = <uint64_t>(q * h.count), seen = 0
    cdef uint32_t i, up
    for i in range(<uint32_t>HISTOGRAM_BUCKETS):
        seen += h.bucket[i]
        if seen > want:
            if i < 64:
                return i
            up = i // 32 - 1
            return ((<uint64_t>(i - up * 32)) << up) + ((<uint64_t>1) << up) / 2.0
    return <double>h.most
