# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The native ends of bench/ipc.py: what a Cython user writes over ipc.ring and ipc.broadcast_ring."""
from libc.stdint cimport uint32_t, uint64_t

from ipc.broadcast_ring cimport BROADCAST_OK, broadcast_begin, broadcast_end, broadcast_read, broadcast_ring
from ipc.broadcast cimport Publisher, Subscriber
from ipc.channel cimport Reader, Writer
from ipc.ring cimport ring, ring_available, ring_commit, ring_peek, ring_release, ring_reserve, ring_room


cdef extern from *:
    """
    #include <x86intrin.h>
    static inline uint64_t bench_tsc(void) { return __rdtsc(); }
    static inline void bench_pause(void) { _mm_pause(); }
    """
    uint64_t bench_tsc() noexcept nogil
    void bench_pause() noexcept nogil


def produce(Writer w, uint64_t n, uint64_t batch, uint64_t pace):
    """Sends `n` 64-octet messages, `batch` published together, one every `pace` cycles where pace is not 0."""
    cdef ring r = w.r
    cdef uint64_t sent = 0, k, next = bench_tsc()
    cdef uint64_t *m
    with nogil:
        while sent < n:
            if pace:
                while bench_tsc() < next:
                    bench_pause()
                next = bench_tsc() + pace
            if batch > n - sent:
                batch = n - sent
            if not ring_room(&r, batch):
                continue
            for k in range(batch):
                m = <uint64_t *>ring_reserve(&r, 64, k)
                m[1] = m[2] = m[3] = m[4] = m[5] = m[6] = m[7] = sent + k
                m[0] = bench_tsc() if pace else 0
            ring_commit(&r, batch)
            sent += batch
    w.r = r


def consume(Reader reader, uint64_t n, uint64_t batch, uint64_t[::1] latency):
    """Takes `n` messages, `batch` released together; fills `latency` (cycles) where it is not None."""
    cdef ring r = reader.r
    cdef uint64_t got = 0, k, there, total = 0
    cdef uint32_t length = 0
    cdef const uint64_t *m
    cdef bint timed = latency is not None
    cdef bint wrong = False
    with nogil:
        while got < n:
            there = ring_available(&r)          # looks at the producer's counter only when all it knew of is taken
            if there == 0:
                continue
            if there > batch:
                there = batch
            for k in range(there):
                m = <const uint64_t *>ring_peek(&r, &length, k)
                if timed:
                    latency[got + k] = bench_tsc() - m[0]
                if m[1] != got + k or m[7] != got + k or length != 64:
                    wrong = True
                total += m[4]
            ring_release(&r, there)
            got += there
    reader.r = r
    if wrong:
        raise RuntimeError("a message was wrong")
    return total


def broadcast(Publisher p, uint64_t n):
    """Publishes `n` messages of 56 octets, the floor's payload; cycles it took."""
    cdef broadcast_ring b = p.b
    cdef uint64_t i, begun
    cdef uint64_t *m
    with nogil:
        begun = bench_tsc()
        for i in range(n):
            m = <uint64_t *>broadcast_begin(&b)
            m[0] = m[1] = m[2] = m[3] = m[4] = m[5] = m[6] = i
            broadcast_end(&b, 56)
        begun = bench_tsc() - begun
    p.b = b
    return begun


def follow(Subscriber s, uint64_t until):
    """Reads until message number `until`; (got, lost)."""
    cdef broadcast_ring b = s.b
    cdef uint64_t[8] out
    cdef uint32_t n = 0
    cdef bint wrong = False
    with nogil:
        while b.next < until:
            if broadcast_read(&b, out, &n) == BROADCAST_OK and (out[0] != out[6] or n != 56):
                wrong = True
    s.b = b
    if wrong:
        raise RuntimeError("a torn message was accepted")
    return b.got, b.lost


def tsc():
    return bench_tsc()
