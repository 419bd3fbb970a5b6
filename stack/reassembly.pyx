"""Ranges of a stream over preallocated memory: what arrived ahead of its turn, and what the reader has not used up.

RFC 9293 section 3.10.7.4 (seventh) and, for the blocks, RFC 2018 section 4. Octets only: no window arithmetic beyond
`limit`, no FIN, no time. The structs and the contract are in reassembly.pxd.
"""
from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy, memmove

from .seqnum cimport seq_ge, seq_gt, seq_le, seq_lt, seq_max, seq_min


cdef void reass_init(reass *r, uint8_t *buf, uint32_t limit, uint32_t nxt) noexcept nogil:
    """An empty stream whose next octet is number `nxt`, over `reass_memory(limit)` octets at `buf`."""
    r.buf = buf
    r.limit = limit
    r.head = 0
    r.held = 0
    r.nxt = nxt
    r.count = 0
    r.clock = 0
    r.conflicting = 0
    r.duplicate = 0
    r.refused = 0


cdef inline uint8_t *reass_place(const reass *r, uint32_t seq) noexcept nogil:
    """Where octet `seq` lies, or will lie: seq is within [nxt - held, nxt - held + limit)."""
    return r.buf + r.head + r.held + <int32_t>(seq - r.nxt)


cdef void reass_compact(reass *r) noexcept nogil:
    """Move everything to the front, so that `limit` octets fit behind it.

    Called when more than `limit` octets were consumed since the last time, so each octet is moved at most once on
    average however small the pieces in which it is consumed.
    """
    cdef uint32_t n = r.held
    if r.count:
        n += r.ranges[r.count - 1].end - r.nxt
    memmove(r.buf, r.buf + r.head, n)
    r.head = 0


cdef uint64_t reass_compare(const reass *r, uint32_t seq, const uint8_t *p, uint32_t n) noexcept nogil:
    """How many of n octets at `seq`, all of them kept already, differ from what is kept."""
    cdef const uint8_t *kept = reass_place(r, seq)
    cdef uint64_t differ = 0
    cdef uint32_t i
    if memcmp(kept, p, n) != 0:
        for i in range(n):
            differ += kept[i] != p[i]
    return differ


cdef void reass_append(reass *r, const uint8_t *p, uint32_t n) noexcept nogil:
    """Keep n octets that are next in order; n is at most `reass_room`."""
    if r.count:
        reass_insert(r, r.nxt, p, n)
        return
    if r.head > r.limit:
        reass_compact(r)
    memcpy(r.buf + r.head + r.held, p, n)
    r.held += n
    r.nxt += n


cdef void reass_skip(reass *r, uint32_t n) noexcept nogil:
    """n octets in order were used where they lay. Only while nothing is kept (held == 0, count == 0)."""
    r.nxt += n


cdef uint32_t reass_insert(reass *r, uint32_t seq, const uint8_t *p, uint32_t n) noexcept nogil:
    """Keep what is new of the n octets at `seq`; returns how many became readable in order (nxt moved by as many).

    Octets before nxt and octets kept already count as `duplicate`, those that differ from the kept copy as
    `conflicting` too; octets beyond `limit`, or that would need one range too many, as `refused`.
    """
    cdef uint32_t lo = seq, hi = seq + n, cut, first, last, k, at, upto, gained
    cdef const reass_range *x
    if seq_lt(lo, r.nxt):
        cut = r.nxt - lo if seq_lt(r.nxt, hi) else n
        r.duplicate += cut
        at = seq_max(lo, r.nxt - r.held)
        if seq_lt(at, lo + cut):
            r.conflicting += reass_compare(r, at, p + (at - lo), lo + cut - at)
        lo += cut
        p += cut
        if cut == n:
            return 0
    upto = r.nxt + reass_room(r)
    if seq_gt(hi, upto):
        if seq_ge(lo, upto):
            r.refused += hi - lo
            return 0
        r.refused += hi - upto
        hi = upto
    if lo == hi:
        return 0
    if r.head > r.limit:
        reass_compact(r)

    first = 0
    while first < r.count and seq_lt(r.ranges[first].end, lo):
        first += 1
    last = first                                    # ranges[first:last] touch the new text
    while last < r.count and seq_le(r.ranges[last].seq, hi):
        last += 1
    if first == last and lo != r.nxt and r.count == REASS_RANGES:
        r.refused += hi - lo
        return 0

    at = lo
    for k in range(first, last):
        x = &r.ranges[k]
        if seq_lt(at, x.seq):
            memcpy(reass_place(r, at), p + (at - lo), x.seq - at)
            at = x.seq
        upto = seq_min(hi, x.end)
        if seq_lt(at, upto):
            r.duplicate += upto - at
            r.conflicting += reass_compare(r, at, p + (at - lo), upto - at)
            at = upto
    if seq_lt(at, hi):
        memcpy(reass_place(r, at), p + (at - lo), hi - at)
    if first != last:
        lo = seq_min(lo, r.ranges[first].seq)
        hi = seq_max(hi, r.ranges[last - 1].end)

    if lo == r.nxt:                                 # the hole in front is filled
        gained = hi - lo
        r.held += gained
        r.nxt = hi
        reass_remove(r, 0, last)
        return gained
    if first == last:
        memmove(&r.ranges[first + 1], &r.ranges[first], (r.count - first) * sizeof(reass_range))
        r.count += 1
    else:
        reass_remove(r, first + 1, last)
    r.clock += 1
    r.ranges[first].seq = lo
    r.ranges[first].end = hi
    r.ranges[first].recent = r.clock
    return 0


cdef void reass_remove(reass *r, uint32_t first, uint32_t last) noexcept nogil:
    """Forget ranges[first:last]."""
    memmove(&r.ranges[first], &r.ranges[last], (r.count - last) * sizeof(reass_range))
    r.count -= last - first


cdef uint32_t reass_give_up(reass *r) noexcept nogil:
    """The octets before the first range will never come: nxt jumps over them. Returns what is readable then.

    Only while held == 0: the reader takes what lies before the hole first. 0 if nothing waits behind a hole.
    """
    cdef uint32_t gained
    if r.held or r.count == 0:
        return 0
    r.head += r.ranges[0].seq - r.nxt
    gained = r.ranges[0].end - r.ranges[0].seq
    r.nxt = r.ranges[0].end
    r.held = gained
    reass_remove(r, 0, 1)
    return gained


cdef bint reass_block(const reass *r, uint32_t i, uint32_t *seq, uint32_t *end) noexcept nogil:
    """The i-th most recently touched range, i from 0; False if there are not so many."""
    cdef uint32_t k, j, newer
    for k in range(r.count):
        newer = 0
        for j in range(r.count):
            newer += r.ranges[j].recent > r.ranges[k].recent
        if newer == i:
            seq[0] = r.ranges[k].seq
            end[0] = r.ranges[k].end
            return True
    return False


cdef class Reassembly:
    """One direction of a stream, octet-exact whatever order its pieces come in.

    `limit` octets may wait at most, the next octet in order is number `nxt` (modulo 2**32). Raises ValueError for a
    limit outside 1..2**30, MemoryError when there is no memory.
    """
    cdef reass r

    def __cinit__(self, limit, nxt=0):
        if not 0 < limit <= 1 << 30:
            raise ValueError(f"limit is {limit}, must be 1..{1 << 30}")
        cdef uint8_t *buf = <uint8_t *>calloc(reass_memory(limit), 1)
        if buf == NULL:
            raise MemoryError(f"no {reass_memory(limit)} octets for reassembly")
        reass_init(&self.r, buf, limit, nxt & 0xFFFFFFFF)

    def __dealloc__(self):
        free(self.r.buf)

    def insert(self, seq, const uint8_t[::1] text not None):
        """Octets that became readable in order by `text`, whose first octet is number `seq`."""
        if text.shape[0] == 0:
            return 0
        if text.shape[0] > 1 << 30:
            raise ValueError(f"text is {text.shape[0]} octets, must be at most {1 << 30}")
        return reass_insert(&self.r, seq & 0xFFFFFFFF, &text[0], text.shape[0])

    def next(self):
        """The octets that wait in order, a copy; they stay until `consume`."""
        cdef const uint8_t *p
        cdef uint32_t n = reass_next(&self.r, &p)
        return p[:n]

    def consume(self, n):
        """The first n octets of `next()` are used up."""
        if not 0 <= n <= self.r.held:
            raise ValueError(f"consume({n}): {self.r.held} octets wait")
        reass_consume(&self.r, n)

    def give_up(self):
        """Octets readable after jumping over the first hole; 0 if there is none or `next()` is not empty."""
        return reass_give_up(&self.r)

    def blocks(self):
        """[(first, one past the last), ...] of what waits beyond a hole, most recently touched first."""
        cdef uint32_t seq, end, i = 0
        found = []
        while reass_block(&self.r, i, &seq, &end):
            found.append((seq, end))
            i += 1
        return found

    @property
    def nxt(self):
        """Number of the next octet in order."""
        return self.r.nxt

    @property
    def counters(self):
        """dict of octets: duplicate, conflicting, refused."""
        return {"duplicate": self.r.duplicate, "conflicting": self.r.conflicting, "refused": self.r.refused}
