# When text that waits in a buffer of the tap was captured: [H], structs and inline functions.
# Two lists: `behind` for pieces behind a hole, in the order of capture; `ready` for text in order, ascending.
from libc.stdint cimport INT64_MIN, int32_t, int64_t, uint32_t

cdef enum:
    TAP_BEHIND = 256            # beyond them the newest takes the place of the one before
    TAP_READY = 256             # beyond them every second is forgotten: what it stood for gets the time after it

cdef struct tap_mark:
    uint32_t end                # sequence number behind a piece of text
    int64_t ts_ns

cdef struct tap_marks:
    uint32_t n_behind
    uint32_t n_ready
    int64_t latest_ns           # of what came in order since the last hole
    tap_mark behind[256]
    tap_mark ready[256]


cdef inline void tap_marks_begin(tap_marks *m) noexcept nogil:
    m.n_behind = 0
    m.n_ready = 0
    m.latest_ns = INT64_MIN


cdef inline void tap_marks_note(tap_marks *m, uint32_t end, int64_t ts_ns, uint32_t used) noexcept nogil:
    """A piece came behind a hole. Places of what ended before `used` are taken again, at last that of the newest."""
    cdef uint32_t i, k = 0
    if m.n_behind == TAP_BEHIND:
        for i in range(m.n_behind):
            if <int32_t>(m.behind[i].end - used) > 0:
                m.behind[k] = m.behind[i]
                k += 1
        m.n_behind = k if k < TAP_BEHIND else TAP_BEHIND - 1
    m.behind[m.n_behind].end = end
    m.behind[m.n_behind].ts_ns = ts_ns
    m.n_behind += 1


cdef inline uint32_t tap_marks_next(const tap_marks *m, uint32_t after) noexcept nogil:
    """Index of the noted piece that ends first behind `after`, or n_behind."""
    cdef uint32_t i, best = m.n_behind
    for i in range(m.n_behind):
        if <int32_t>(m.behind[i].end - after) > 0 and (
                best == m.n_behind or <int32_t>(m.behind[i].end - m.behind[best].end) < 0):
            best = i
    return best


cdef inline void tap_marks_ready(tap_marks *m, uint32_t end, int64_t ts_ns, uint32_t used) noexcept nogil:
    """Text up to `end` is in order now; its time is never before that of the text before it."""
    cdef uint32_t i, k = 0
    if ts_ns > m.latest_ns:
        m.latest_ns = ts_ns
    if m.n_ready == TAP_READY:
        for i in range(m.n_ready):
            if <int32_t>(m.ready[i].end - used) > 0:
                m.ready[k] = m.ready[i]
                k += 1
        if k == TAP_READY:
            k = TAP_READY // 2
            for i in range(k):
                m.ready[i] = m.ready[2 * i + 1]
        m.n_ready = k
    m.ready[m.n_ready].end = end
    m.ready[m.n_ready].ts_ns = m.latest_ns
    m.n_ready += 1


cdef inline int64_t tap_marks_when(const tap_marks *m, uint32_t end) noexcept nogil:
    """When everything before `end` had come, and in order."""
    cdef uint32_t i
    for i in range(m.n_ready):
        if <int32_t>(m.ready[i].end - end) >= 0:
            return m.ready[i].ts_ns
    return m.latest_ns
