"""A journal's ring as its session uses it: fix_store_ops over records in mapped memory, no system call on the way.

A record is whole before the head that counts it is published; messages that left the ring are read from their segment.
What becomes of the records afterwards is fix/drain's.
"""
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memcpy

from fix.drain cimport drain_now
from fix.segment cimport (
    JOURNAL_ADMIN, JOURNAL_HEAD, JOURNAL_MESSAGE, JOURNAL_NUMBERS, JOURNAL_PAD, RECORD_MAX, journal_record,
    pthread_mutex_lock, pthread_mutex_unlock, record_step, segments_at,
)
from fix.store cimport fix_store

cdef enum:
    RESERVE = 4096              # octets of the ring that only JOURNAL_NUMBERS records may use

cdef uint64_t NOWHERE = 0xFFFFFFFFFFFFFFFF


cdef uint64_t place(journal *j, uint64_t step, uint64_t reserve) noexcept nogil:
    """Position for a record of `step` octets, a pad written before it if the ring's end is too near.

    All ones: no room until the drain thread has caught up (or ever, for a record larger than the ring).
    """
    cdef uint64_t at = j.page.head, left = j.size - (at & (j.size - 1)), pad = 0
    cdef journal_record *r
    if left < step:
        pad = left
    if step + pad + reserve > j.size:
        return NOWHERE
    if j.disk:
        if at + pad + step + reserve - observe(&j.page.drained) > j.size:
            return NOWHERE
    else:
        while at + pad + step - j.page.tail > j.size:
            j.page.tail += record_step(record_at(j, j.page.tail))
    if pad != 0:
        r = record_at(j, at)
        r.kind = JOURNAL_PAD
        r.n = <uint32_t>pad
        at += pad
    return at


cdef bint write_record(journal *j, uint32_t kind, uint64_t seq, uint64_t aux, const uint8_t *p, uint32_t n,
                       uint64_t *where) noexcept nogil:
    """Append one record and publish it; False: no room."""
    cdef uint64_t step = JOURNAL_HEAD + ((<uint64_t>n + 7) & ~<uint64_t>7)
    cdef uint64_t at = place(j, step, 0 if kind == JOURNAL_NUMBERS else RESERVE)
    cdef journal_record *r
    if at == NOWHERE:
        return False
    r = record_at(j, at)
    if n != 0:
        memcpy(<uint8_t *>r + JOURNAL_HEAD, p, n)
    r.kind = kind
    r.n = n
    r.seq = seq
    r.aux = aux
    r.crc = r.zero = 0
    publish(&j.page.head, at + step)
    where[0] = at
    return True


cdef bint journal_append(fix_store *st, uint64_t seq, const uint8_t *p, uint32_t n, bint admin,
                         uint64_t now_ns) noexcept nogil:
    cdef journal *j = <journal *>st.self
    cdef uint64_t at = 0
    if n > RECORD_MAX or not write_record(j, JOURNAL_ADMIN if admin else JOURNAL_MESSAGE, seq, now_ns, p, 0 if admin else n, &at):
        st.stats.refused += 1
        return False
    index_put(j, seq, at, 0 if admin else n)
    if j.durability == JOURNAL_EACH and not drain_now(j):
        withdraw(j, seq)
        st.stats.refused += 1
        return False
    st.stats.appended += 1
    st.stats.appended_octets += n
    return True


cdef void withdraw(journal *j, uint64_t seq) noexcept nogil:
    """The record just published is refused after all: number `seq` is free again, also after a restart.

    RESERVE, which the record left free, has the room; numbers.next_in stays the page's, as journal_renumber says.
    """
    cdef uint64_t at = 0
    j.index[seq & j.mask].known = False
    if write_record(j, JOURNAL_NUMBERS, seq, j.page.numbers.next_in, NULL, 0, &at):
        publish(&j.page.applied, j.page.head)


cdef const uint8_t *journal_get(fix_store *st, uint64_t seq, uint32_t *n) noexcept nogil:
    """From the ring in place, else a copy of what is on disk (which may have to be read)."""
    cdef journal *j = <journal *>st.self
    cdef index_entry *e = &j.index[seq & j.mask]
    cdef const uint8_t *p
    if e.seq != seq or not e.known or e.at < j.void_before:
        n[0] = 1
        return NULL
    n[0] = e.n
    if e.n == 0:
        return NULL
    if e.at >= j.page.tail and j.page.head - e.at <= j.size:
        return <const uint8_t *>record_at(j, e.at) + JOURNAL_HEAD
    if j.disk:
        pthread_mutex_lock(&j.segments.lock)
        p = segments_at(&j.segments, e.at, JOURNAL_HEAD + e.n)
        if p != NULL:
            memcpy(j.copy, p + JOURNAL_HEAD, e.n)
        pthread_mutex_unlock(&j.segments.lock)
        if p != NULL:
            return j.copy
    n[0] = 1
    return NULL


cdef bint journal_room(fix_store *st, uint32_t n) noexcept nogil:
    """A record of n octets and the longest pad before it."""
    cdef journal *j = <journal *>st.self
    cdef uint64_t step = 2 * (JOURNAL_HEAD + ((<uint64_t>n + 7) & ~<uint64_t>7)) + RESERVE
    if not j.disk:
        return step <= j.size
    return j.page.head + step - observe(&j.page.drained) <= j.size


cdef void journal_renumber(fix_store *st) noexcept nogil:
    """Write down numbers set by hand; kept messages from next_out on are void."""
    cdef journal *j = <journal *>st.self
    cdef uint64_t at = 0, i
    while not write_record(j, JOURNAL_NUMBERS, j.page.numbers.next_out, j.page.numbers.next_in, NULL, 0, &at):
        if not drain_now(j):
            st.stats.refused += 1           # the disk is full or gone: the page alone has the numbers
            break
    publish(&j.page.applied, j.page.head)
    for i in range(j.mask + 1):
        if j.index[i].seq >= j.page.numbers.next_out:
            j.index[i].known = False


cdef void journal_reset(fix_store *st, int64_t utc_ns) noexcept nogil:
    cdef journal *j = <journal *>st.self
    cdef uint64_t at = 0
    while not write_record(j, JOURNAL_NUMBERS, 1, 1, NULL, 0, &at):
        if not drain_now(j):
            st.stats.refused += 1
            break
    j.page.numbers.next_in = j.page.numbers.next_out = 1
    j.page.numbers.created_utc_ns = utc_ns
    publish(&j.page.applied, j.page.head)
    j.void_before = j.page.head
    st.stats.resets += 1


cdef void journal_free(fix_store *st) noexcept nogil:
    free(st)            # the rest is the Journal object's


JOURNAL_OPS.append = journal_append
JOURNAL_OPS.get = journal_get
JOURNAL_OPS.room = journal_room
JOURNAL_OPS.reset = journal_reset
JOURNAL_OPS.renumber = journal_renumber
JOURNAL_OPS.free = journal_free


# --- a closed journal: nothing is kept, nothing may be sent

cdef bint closed_append(fix_store *st, uint64_t seq, const uint8_t *p, uint32_t n, bint admin,
                        uint64_t now_ns) noexcept nogil:
    st.stats.refused += 1
    return False


cdef const uint8_t *closed_get(fix_store *st, uint64_t seq, uint32_t *n) noexcept nogil:
    n[0] = 1
    return NULL


cdef bint closed_room(fix_store *st, uint32_t n) noexcept nogil:
    return False


cdef void closed_reset(fix_store *st, int64_t utc_ns) noexcept nogil:
    pass


cdef void closed_renumber(fix_store *st) noexcept nogil:
    pass


CLOSED_OPS.append = closed_append
CLOSED_OPS.get = closed_get
CLOSED_OPS.room = closed_room
CLOSED_OPS.reset = closed_reset
CLOSED_OPS.renumber = closed_renumber
CLOSED_OPS.free = journal_free
