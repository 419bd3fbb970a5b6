# Deadlines of many owners: earliest first, exact to the nanosecond. A 4-ary heap over memory the caller provides:
# with nothing due a step costs one comparison, however many timers are armed.
#
# Owners arm lazily: a deadline that moves later leaves its timer where it is; when it fires too early the owner looks
# at its own deadlines and arms it again. `timer_by` does that, so a connection that sends and is acknowledged a million
# times a second touches the heap once a retransmission timeout.
from libc.stdint cimport uint32_t, uint64_t

cdef enum:
    TIMER_OFF = 0xFFFFFFFF

cdef extern from *:
    """
    #define FW_NEVER UINT64_MAX
    """
    const uint64_t NEVER "FW_NEVER"

cdef struct timer:
    uint64_t at_ns          # when it fires; NEVER while it is not armed
    uint32_t place          # in the heap, TIMER_OFF while it is not armed
    uint32_t kind           # the owner's own
    void *owner

cdef struct timer_slot:
    uint64_t at_ns
    timer *t

cdef struct timers:
    timer_slot *heap
    uint32_t count
    uint32_t room           # one slot for each timer that can ever be armed at once


cdef inline void timers_init(timers *h, timer_slot *memory, uint32_t room) noexcept nogil:
    h.heap = memory
    h.count = 0
    h.room = room


cdef inline void timer_init(timer *t, void *owner, uint32_t kind) noexcept nogil:
    t.at_ns = NEVER
    t.place = TIMER_OFF
    t.kind = kind
    t.owner = owner


cdef inline uint64_t timers_next(timers *h) noexcept nogil:
    """When the earliest timer fires, NEVER if none is armed."""
    return h.heap[0].at_ns if h.count else NEVER


cdef inline void timer_up(timers *h, uint32_t i, timer *t, uint64_t at_ns) noexcept nogil:
    """Put t at i or nearer to the top."""
    cdef uint32_t up
    while i:
        up = (i - 1) >> 2
        if h.heap[up].at_ns <= at_ns:
            break
        h.heap[i] = h.heap[up]
        h.heap[i].t.place = i
        i = up
    h.heap[i].at_ns = at_ns
    h.heap[i].t = t
    t.place = i


cdef inline void timer_down(timers *h, uint32_t i, timer *t, uint64_t at_ns) noexcept nogil:
    """Put t at i or farther from the top."""
    cdef uint32_t child, last, best
    while True:
        child = 4 * i + 1
        if child >= h.count:
            break
        last = child + 4 if child + 4 < h.count else h.count
        best = child
        child += 1
        while child < last:
            if h.heap[child].at_ns < h.heap[best].at_ns:
                best = child
            child += 1
        if h.heap[best].at_ns >= at_ns:
            break
        h.heap[i] = h.heap[best]
        h.heap[i].t.place = i
        i = best
    h.heap[i].at_ns = at_ns
    h.heap[i].t = t
    t.place = i


cdef inline void timer_cancel(timers *h, timer *t) noexcept nogil:
    cdef uint32_t i = t.place
    cdef timer_slot last
    if i == TIMER_OFF:
        return
    t.place = TIMER_OFF
    t.at_ns = NEVER
    h.count -= 1
    if i == h.count:
        return
    last = h.heap[h.count]
    if i and h.heap[(i - 1) >> 2].at_ns > last.at_ns:
        timer_up(h, i, last.t, last.at_ns)
    else:
        timer_down(h, i, last.t, last.at_ns)


cdef inline bint timer_set(timers *h, timer *t, uint64_t at_ns) noexcept nogil:
    """Arm t at at_ns, earlier or later than it was; NEVER cancels. False: more timers than `room`."""
    if at_ns == NEVER:
        timer_cancel(h, t)
        return True
    if t.place == TIMER_OFF:
        if h.count >= h.room:
            return False
        h.count += 1
        t.at_ns = at_ns
        timer_up(h, h.count - 1, t, at_ns)
    elif at_ns < t.at_ns:
        t.at_ns = at_ns
        timer_up(h, t.place, t, at_ns)
    else:
        t.at_ns = at_ns
        timer_down(h, t.place, t, at_ns)
    return True


cdef inline bint timer_by(timers *h, timer *t, uint64_t at_ns) noexcept nogil:
    """See that t fires at at_ns at the latest; it may fire earlier. The cheap call of the hot path."""
    if at_ns >= t.at_ns:
        return True
    return timer_set(h, t, at_ns)


cdef inline timer *timers_due(timers *h, uint64_t now_ns) noexcept nogil:
    """The earliest timer if its time has come, disarmed; else NULL."""
    cdef timer *t
    if h.count == 0 or h.heap[0].at_ns > now_ns:
        return NULL
    t = h.heap[0].t
    timer_cancel(h, t)
    return t
