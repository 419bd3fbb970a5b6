"""A bridge between two interfaces through two Impairments, compiled by tests/compiled.py: no Python per frame.

What comes in on one side goes out on the other, through the Impairment around that other device. Partial checksums are
completed before that, so damage arrives as damage. While nothing waits the process sleeps in ppoll(2).
"""
from libc.stdint cimport INT64_MAX, int64_t, uint32_t, uint64_t
from libc.string cimport memcpy
from libc.time cimport time_t

from dpdk_py.afpacket cimport AfPacketDevice
from dpdk_py.base cimport complete_checksums
from dpdk_py.device cimport device, frame
from dpdk_py.impair cimport IMPAIR_TX, Impairment, impair_line

cdef extern from *:
    """
    #ifndef _GNU_SOURCE
    #define _GNU_SOURCE
    #endif
    #include <poll.h>
    """

cdef extern from "time.h" nogil:
    cdef struct timespec:
        time_t tv_sec
        long tv_nsec
    int clock_gettime(int clock, timespec *t)
    enum: CLOCK_MONOTONIC

cdef extern from "poll.h" nogil:
    cdef struct pollfd:
        int fd
        short events
        short revents
    int ppoll(pollfd *fds, unsigned long n, const timespec *timeout, const void *sigmask)
    enum: POLLIN

cdef enum:
    BURST = 32
    LOOK_EVERY = 256                # steps without a pause between two looks at standard input
    SLEEP_MOST_NS = 50000000


cdef inline int64_t monotonic_ns() noexcept nogil:
    cdef timespec t
    clock_gettime(CLOCK_MONOTONIC, &t)
    return <int64_t>t.tv_sec * 1000000000 + t.tv_nsec


cdef int readable(int *fds, int n, int64_t wait_ns) noexcept nogil:
    """Bit i: fds[i] has something to read, or was closed by its other end; waits for the first of them."""
    cdef pollfd p[3]
    cdef timespec t
    cdef int i, bits = 0
    for i in range(n):
        p[i].fd = fds[i]
        p[i].events = POLLIN
        p[i].revents = 0
    t.tv_sec = wait_ns // 1000000000
    t.tv_nsec = wait_ns % 1000000000
    ppoll(p, n, &t, NULL)
    for i in range(n):
        bits |= (p[i].revents != 0) << i
    return bits


def wait(AfPacketDevice interface not None, int64_t wait_ns):
    """Sleeps until a frame has come to `interface`, `wait_ns` at most."""
    cdef int fd = interface.state.fd
    with nogil:
        readable(&fd, 1, wait_ns)


cdef int carry(device *source, device *target, uint64_t *no_room, int64_t now_ns) noexcept nogil:
    """One burst from source to target, in order; how many frames came."""
    cdef frame come[BURST]
    cdef frame go
    cdef int i, n = source.ops.rx_burst(source, come, BURST, now_ns)
    for i in range(n):
        complete_checksums(come[i].data, come[i].len, come[i].flags)
        if not target.ops.alloc(target, &go):
            no_room[0] += 1
            continue
        go.len = min(come[i].len, go.room)      # both interfaces have the same MTU
        memcpy(go.data, come[i].data, go.len)
        if target.ops.tx_burst(target, &go, 1, now_ns) != 1:
            no_room[0] += 1
            target.ops.free(target, &go, 1)
    source.ops.free(source, come, n)
    return n


cdef int64_t due_ns(Impairment side, int64_t now_ns) noexcept nogil:
    """How long until a frame that waits on `side` must go."""
    cdef impair_line *l = &side.state.lines[IMPAIR_TX]
    cdef int64_t first = INT64_MAX
    cdef uint32_t i
    if l.nheap:
        first = l.heap[0].due_ns
    for i in range(l.nmoved):
        first = min(first, <int64_t>l.moved[i].due_ns)
    if first == INT64_MAX:
        return SLEEP_MOST_NS
    return min(max(first - now_ns, 0), <int64_t>SLEEP_MOST_NS)


def forward(Impairment left not None, Impairment right not None, int stop_fd):
    """Carries frames between two Impairments around AfPacketDevices until `stop_fd` is readable or closed.

    Returns how many frames were lost because a device had no room: those are on top of the damage asked for.
    """
    cdef AfPacketDevice a = left.inner, b = right.inner
    cdef int fds[3]
    cdef int64_t now
    cdef uint64_t no_room = 0
    cdef int work, since = 0
    fds[:] = [stop_fd, a.state.fd, b.state.fd]
    with nogil:
        while True:
            now = monotonic_ns()
            work = carry(&left.dev, &right.dev, &no_room, now) + carry(&right.dev, &left.dev, &no_room, now)
            since += 1
            if not work:
                since = 0
                if readable(fds, 3, min(due_ns(left, now), due_ns(right, now))) & 1:
                    break
            elif since >= LOOK_EVERY:
                since = 0
                if readable(fds, 1, 0):
                    break
    return no_room
