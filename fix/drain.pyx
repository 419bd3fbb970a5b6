"""The drain thread: carries whole records from the rings of all journals to their segments, seals and syncs them in batches.

It is the only one that waits for a disk. A pass writes what was published since the last one; every sync_ns the segments
and the numbers file are synced, for journals whose durability asks for it.
"""
import threading

from libc.stdint cimport uint8_t, uint64_t
from posix.time cimport nanosleep, timespec

from fix.ring cimport JOURNAL_PROCESS, journal, observe, publish, record_at
from fix.segment cimport (
    journal_record, numbers_write, pthread_mutex_init, pthread_mutex_lock, pthread_mutex_t, pthread_mutex_unlock,
    record_seal, record_step, segment, segments_prune, segments_rotate, segments_sync, segments_write,
)
from fix.store cimport fix_numbers

cdef enum:
    DRAIN_MAX = 1 << 20         # octets written to disk at once
    IDLE_NS = 500000            # between two looks

cdef pthread_mutex_t draining       # one drain at a time, and the list of journals
cdef journal *served = NULL
cdef bint running = False
pthread_mutex_init(&draining, NULL)


cdef int drain_part(journal *j, uint64_t head) noexcept nogil:
    """Write whole records, at most DRAIN_MAX octets, up to the ring's or the segment's end; -> 0 or an errno."""
    cdef uint64_t at = j.page.drained, end = at, step
    cdef segment *g
    cdef journal_record *r
    cdef int wrong
    cdef uint64_t room
    r = record_at(j, at)
    step = record_step(r)
    g = &j.segments.at[j.segments.count - 1 if j.segments.count else 0]
    if j.segments.count == 0 or g.fd < 0 or g.end != at or g.start + j.segments.size - at < step:
        wrong = segments_rotate(&j.segments, at)
        if wrong != 0:
            return wrong
        segments_prune(&j.segments)
        g = &j.segments.at[j.segments.count - 1]
    room = g.start + j.segments.size - at
    while end < head:
        r = record_at(j, end)
        step = record_step(r)
        if end + step - at > room or end + step - at > DRAIN_MAX and end != at:
            break
        record_seal(r)
        end += step
        if (end & (j.size - 1)) == 0:
            break
    wrong = segments_write(&j.segments, at, <const uint8_t *>record_at(j, at), end - at)
    if wrong == 0:
        publish(&j.page.drained, end)
    return wrong


cdef int drain_pass(journal *j, bint sync) noexcept nogil:
    """Carry on everything published so far; `sync`: and wait until it is on disk. -> 0 or an errno."""
    cdef uint64_t head = observe(&j.page.head)
    cdef int wrong
    cdef fix_numbers numbers
    while j.page.drained != head:
        wrong = drain_part(j, head)
        if wrong != 0:
            return wrong
    if j.durability == JOURNAL_PROCESS and not sync:
        return 0
    j.idle_ns += IDLE_NS            # passes are that far apart, or more: no clock is read
    if not sync and j.idle_ns < j.sync_ns:
        return 0
    j.idle_ns = 0
    if j.synced != head:
        wrong = segments_sync(&j.segments)
        if wrong != 0:
            return wrong
        j.synced = head
    numbers = j.page.numbers
    if numbers.next_in != j.numbers_in or numbers.created_utc_ns != j.numbers_created or sync:
        wrong = numbers_write(&j.segments, &numbers, head)
        if wrong != 0:
            return wrong
        j.numbers_in = numbers.next_in
        j.numbers_created = numbers.created_utc_ns
    return 0


cdef bint drain(journal *j, bint sync) noexcept nogil:
    cdef int wrong = drain_pass(j, sync)
    if wrong != 0:
        j.drain_errors += 1
        j.last_errno = wrong
    return wrong == 0


cdef bint drain_now(journal *j) noexcept nogil:
    """In the caller's thread, synced."""
    cdef bint done
    if not j.disk:
        return False
    pthread_mutex_lock(&draining)
    done = drain(j, True)
    pthread_mutex_unlock(&draining)
    return done


cdef void drain_loop() noexcept nogil:
    """The drain thread: until no journal is left."""
    cdef journal *j
    cdef timespec idle
    cdef bint more = True
    idle.tv_sec = 0
    idle.tv_nsec = IDLE_NS
    while more:
        pthread_mutex_lock(&draining)
        j = served
        while j != NULL:
            drain(j, False)
            j = j.next
        more = served != NULL
        if not more:
            global running
            running = False
        pthread_mutex_unlock(&draining)
        if more:
            nanosleep(&idle, NULL)


def _drain_thread():
    with nogil:
        drain_loop()


cdef void serve(journal *j):
    global served, running
    pthread_mutex_lock(&draining)
    j.next = served
    served = j
    start = not running
    running = True
    pthread_mutex_unlock(&draining)
    if start:
        threading.Thread(target=_drain_thread, name="fix journal", daemon=True).start()


cdef void unserve(journal *j) noexcept nogil:
    global served
    cdef journal **at = &served
    pthread_mutex_lock(&draining)
    while at[0] != NULL:
        if at[0] == j:
            at[0] = j.next
            break
        at = &at[0].next
    pthread_mutex_unlock(&draining)
