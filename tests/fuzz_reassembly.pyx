"""Fuzzed: the reassembler, against an octet-by-octet account of which numbers have come and what they were."""
from libc.stddef cimport size_t
from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset

from fuzz_input cimport fuzz_input, fuzz_octet, harness, left, take8, take16, take_near
from stack.reassembly cimport *

cdef enum:
    SPAN = 1 << 17          # numbers the account covers, from `origin` on
    BEFORE = 1 << 14        # of which so many lie before the first octet

cdef struct account:
    uint32_t origin         # sequence number of place 0
    uint32_t nxt            # places
    uint32_t held
    uint32_t limit
    uint64_t conflicting
    uint64_t duplicate
    uint64_t refused
    uint8_t has[131072]
    uint8_t value[131072]

cdef account book
cdef int planted = 0    # 1: with octets in order and just three ranges something is said to be wrong


cdef uint32_t runs(const account *a, uint32_t *first, uint32_t *last) noexcept nogil:
    """How many stretches wait behind a hole; where the one that touches or holds *first..*last is, if there is one."""
    cdef uint32_t i = a.nxt, end = a.nxt + a.limit, n = 0, start, lo = first[0], hi = last[0]
    first[0] = last[0] = 0
    while i < end:
        if not a.has[i]:
            i += 1
            continue
        start = i
        while i < end and a.has[i]:
            i += 1
        n += 1
        if start <= hi and i >= lo and last[0] == 0:
            first[0], last[0] = start, i
    return n


cdef uint32_t account_insert(account *a, uint32_t at, const uint8_t *p, uint32_t n) noexcept nogil:
    cdef uint32_t i, x, lo = max(at, a.nxt), hi = min(at + n, a.nxt + a.limit - a.held), first = lo, last = hi, before = a.nxt
    cdef bint new_hole
    for i in range(n):                          # what came before, and what lies too far ahead
        x = at + i
        if x < a.nxt:
            a.duplicate += 1
            a.conflicting += x >= a.nxt - a.held and a.value[x] != p[i]
        elif x >= a.nxt + a.limit - a.held:
            a.refused += 1
    if lo >= hi:
        return 0
    new_hole = runs(a, &first, &last) == REASS_RANGES and last == 0 and lo != a.nxt
    for x in range(lo, hi):
        if new_hole:
            a.refused += 1
        elif a.has[x]:
            a.duplicate += 1
            a.conflicting += a.value[x] != p[x - at]
        else:
            a.has[x] = 1
            a.value[x] = p[x - at]
    while a.has[a.nxt]:
        a.nxt += 1
    a.held += a.nxt - before
    return a.nxt - before


cdef const char *compare(const account *a, reass *r) noexcept nogil:
    cdef const uint8_t *p
    cdef uint32_t n = reass_next(r, &p), i, first = 0, last = 0, at, end, count
    if r.nxt != a.origin + a.nxt:
        return b"nxt"
    if n != a.held or (planted and n and r.count == 3):
        return b"octets in order"
    for i in range(n):
        if p[i] != a.value[a.nxt - a.held + i]:
            return b"a wrong octet"
    if r.conflicting != a.conflicting or r.duplicate != a.duplicate or r.refused != a.refused:
        return b"counters"
    count = runs(a, &first, &last)
    if r.count != count:
        return b"number of ranges"
    for i in range(count):
        if not reass_block(r, i, &at, &end):
            return b"a block is missing"
        at -= a.origin
        end -= a.origin
        if not (a.nxt < at < end <= a.nxt + a.limit) or a.has[at - 1] or a.has[end]:
            return b"a block is not a stretch"
        while at < end:
            if not a.has[at]:
                return b"a block holds a hole"
            at += 1
    if reass_block(r, count, &at, &end):
        return b"one block too many"
    if reass_room(r) != a.limit - a.held:
        return b"room"
    return NULL


cdef const char *step(fuzz_input *in_, account *a, reass *r) noexcept nogil:
    cdef uint8_t kind = take8(in_)
    cdef uint32_t n, at, i
    cdef int32_t near
    cdef uint8_t *text
    cdef const char *why = NULL
    if (kind & 7) <= 3:
        near = take_near(in_, 1)
        n = take8(in_)
        if n == 255:
            n = take16(in_) % 4096
        if n == 0:
            return NULL
        at = <uint32_t>(<int32_t>(a.nxt) + max(near, -BEFORE))
        text = <uint8_t *>malloc(n)
        for i in range(n):
            text[i] = fuzz_octet(at + i) ^ (0x40 if kind & 0x80 else 0)
        if kind & 7 == 3:                           # append: next in order, room for it
            n = min(n, a.limit - a.held)
            at = a.nxt
            if n:
                reass_append(r, text, n)
                account_insert(a, at, text, n)
        elif reass_insert(r, a.origin + at, text, n) != account_insert(a, at, text, n):
            why = b"what became readable"
        free(text)
        return why
    if (kind & 7) <= 5:
        n = take8(in_) if kind & 0x80 else a.held
        n = min(n, a.held)
        reass_consume(r, n)
        a.held -= n
    elif kind & 7 == 6:
        at = a.nxt
        n = 0
        if a.held == 0:
            while at < a.nxt + a.limit and not a.has[at]:
                at += 1
            if at < a.nxt + a.limit:
                while a.has[at + n]:
                    n += 1
                a.nxt = at + n
                a.held = n
        if reass_give_up(r) != n:
            return b"what became readable behind a hole given up"
    elif a.held == 0 and r.count == 0:
        n = take8(in_)
        reass_skip(r, n)
        a.nxt += n
    return NULL


cdef const char *run(const uint8_t *data, size_t size) noexcept nogil:
    cdef fuzz_input in_
    cdef account *a = &book
    cdef reass r
    cdef uint8_t *memory
    cdef uint8_t kind
    cdef const char *why = NULL
    in_.p = data
    in_.end = data + size
    memset(a, 0, sizeof(account))
    kind = take8(&in_)
    a.limit = 1 if kind & 7 == 0 else 7 if kind & 7 == 1 else 64 if kind & 7 == 2 else 3000 if kind & 7 == 3 else 500
    a.nxt = BEFORE
    a.origin = (<uint32_t>0xFFFFFF00 if kind & 0x80 else <uint32_t>take16(&in_) << 16) - BEFORE
    memory = <uint8_t *>malloc(reass_memory(a.limit))
    reass_init(&r, memory, a.limit, a.origin + a.nxt)
    while why == NULL and left(&in_) and a.nxt < SPAN - 40000:
        why = step(&in_, a, &r)
        if why == NULL:
            why = compare(a, &r)
    free(memory)
    return why


ENTRY = harness(run, &planted)
