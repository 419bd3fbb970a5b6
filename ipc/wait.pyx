"""Waiting and waking over shared memory: spin, yield, or sleep on a futex. No system call unless a side really sleeps."""
from libc.stdint cimport INT64_MAX

from ipc.atomic cimport add32, fence_full, load32_acquire, or32, pause, store32_release

from ipc.segment import SegmentError

cdef extern from "shm.h":
    int shm_futex_wait(uint32_t *word, uint32_t seen, int64_t timeout_ns) nogil
    void shm_futex_wake(uint32_t *word) noexcept nogil
    int64_t shm_monotonic_ns() noexcept nogil

cdef extern from "sched.h" nogil:
    int sched_yield()

cdef extern from "Python.h":
    int PyErr_CheckSignals() except -1

WAITS = {"spin": WAIT_SPIN, "yield": WAIT_YIELD, "sleep": WAIT_SLEEP}
cdef enum:
    SPINS = 2000                    # about 50 us of pauses before a yielding or sleeping side gives the core up
    SIGNALS_NS = 50_000_000         # how long a wait may go without looking for Ctrl-C


class RingCorrupt(SegmentError):
    """A counter or a length in shared memory cannot be: a peer wrote over it. Nothing more is read from it."""


cdef class Side:
    """One end of something in a segment."""

    def __cinit__(self):
        self.segment = Segment.__new__(Segment)         # a closed one, until there is another

    cdef int set_wait(self, wait) except -1:
        """Checks and takes the waiting strategy by its name."""
        if wait not in WAITS:
            raise ValueError(f"wait is {wait!r}, must be one of {', '.join(WAITS)}")
        self.strategy = WAITS[wait]
        if self.strategy == WAIT_SLEEP and not self.segment.flags & SEGMENT_WAKEUPS:
            raise ValueError(f"{self.segment.path}: wait='sleep' needs a segment made with wakeups=True")
        return 0

    cdef bint ready(self, bint for_room) noexcept nogil:
        """There may be something to do, or to report. Changes nothing: other threads may use the handle meanwhile."""
        return True

    cdef void notify(self) noexcept nogil:
        """Wakes whoever sleeps. The fence orders what we published before the look at `asleep`."""
        if self.segment.flags & SEGMENT_WAKEUPS:
            fence_full()
            if load32_acquire(&self.segment.header.asleep):
                store32_release(&self.segment.header.asleep, 0)
                add32(&self.segment.header.wake, 1)
                shm_futex_wake(&self.segment.header.wake)

    cdef bint linger(self, bint for_room, int64_t timeout_ns, int64_t *end) except -1:
        """Waits for `ready`; True: look again, False: the time is over.

        `end` is 0 before the first call and keeps the deadline from then on: what we were woken for may be gone again.
        """
        cdef int64_t now = shm_monotonic_ns()
        if end[0] == 0:
            end[0] = now + timeout_ns if 0 <= timeout_ns < INT64_MAX - now else INT64_MAX
        return now < end[0] and self.sleep_until(for_room, end[0] - now)

    cdef bint sleep_until(self, bint for_room, int64_t timeout_ns) except -1:
        """`wait_until` without the GIL. The segment may be closed meanwhile: look with `check` before it is used again."""
        self.segment.waiting += 1
        try:
            with nogil:
                return self.wait_until(for_room, timeout_ns)
        finally:
            self.segment.wait_over()

    cdef bint wait_until(self, bint for_room, int64_t timeout_ns) except -1 nogil:
        """True when `ready`; False when `timeout_ns` (-1: never) is over, or the segment was closed or cut off."""
        cdef int64_t end = -1, now, looked = -1, slice_ns
        cdef uint32_t seen
        cdef int spins = 0
        while True:
            if self.ready(for_room):
                return True
            if timeout_ns == 0 or self.segment.broken or self.segment.closing:
                return False
            spins += 1
            if spins & 63:
                pause()
                continue
            now = shm_monotonic_ns()
            if end < 0:
                end = now + timeout_ns if 0 < timeout_ns < INT64_MAX - now else INT64_MAX
                looked = now
            if now >= end:
                return False
            if now - looked > SIGNALS_NS:
                looked = now
                with gil:
                    PyErr_CheckSignals()
            if self.strategy == WAIT_SPIN or spins < SPINS:
                continue
            if self.strategy == WAIT_YIELD:
                sched_yield()
                continue
            # Announced, then one more look, then sleep while nobody has bumped `wake` since `seen`. A waker that
            # clears another's announcement with ours bumps `wake` afterwards, so that other's wait returns at once.
            seen = load32_acquire(&self.segment.header.wake)
            or32(&self.segment.header.asleep, 1)
            if not self.ready(for_room):
                slice_ns = end - now
                if slice_ns > SIGNALS_NS:
                    slice_ns = SIGNALS_NS
                shm_futex_wait(&self.segment.header.wake, seen, slice_ns)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    @property
    def name(self):
        """The segment's name."""
        return self.segment.name

    def close(self):
        """Gives the role up and unmaps. BufferError while views are held."""
        self.segment.close()

    def remove(self):
        """Unlinks the segment's name; peers keep their mappings."""
        self.segment.remove()
