# Deadlines of sessions, pending logons and strategies: a binary heap of (ns, id), each id at most once.
# One heap an engine, so an idle step looks at one number however many sessions there are. A deadline that moves
# later is left where it is: the owner looks when it comes up and sets it anew. Memory is given at init.
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport calloc, free

cdef enum:
    DEADLINE_ABSENT = 0xFFFFFFFF

cdef struct deadline:
    uint64_t ns
    uint32_t id

cdef struct deadline_heap:
    deadline *at            # at[0] is the earliest
    uint32_t *where         # id -> index into at, or DEADLINE_ABSENT
    uint32_t n
    uint32_t ids            # ids are 0..ids-1

cdef inline bint deadline_init(deadline_heap *h, uint32_t ids) noexcept nogil:
    """Room for `ids` ids; False: no memory. `deadline_free` gives it back."""
    cdef uint32_t i
    h.n = 0
    h.ids = ids
    h.at = <deadline *>calloc(ids, sizeof(deadline))
    h.where = <uint32_t *>calloc(ids, sizeof(uint32_t))
    if h.at == NULL or h.where == NULL:
        return False
    for i in range(ids):
        h.where[i] = DEADLINE_ABSENT
    return True

cdef inline void deadline_free(deadline_heap *h) noexcept nogil:
    free(h.at)
    free(h.where)
    h.at = NULL
    h.where = NULL

cdef inline uint64_t deadline_next(const deadline_heap *h) noexcept nogil:
    """The earliest deadline; all ones when there is none."""
    return h.at[0].ns if h.n else ~<uint64_t>0

cdef inline void deadline_place(deadline_heap *h, uint32_t i, deadline d) noexcept nogil:
    h.at[i] = d
    h.where[d.id] = i

cdef inline void deadline_up(deadline_heap *h, uint32_t i, deadline d) noexcept nogil:
    while i and h.at[(i - 1) >> 1].ns > d.ns:
        deadline_place(h, i, h.at[(i - 1) >> 1])
        i = (i - 1) >> 1
    deadline_place(h, i, d)

cdef inline void deadline_down(deadline_heap *h, uint32_t i, deadline d) noexcept nogil:
    cdef uint32_t child
    while True:
        child = 2 * i + 1
        if child >= h.n:
            break
        if child + 1 < h.n and h.at[child + 1].ns < h.at[child].ns:
            child += 1
        if h.at[child].ns >= d.ns:
            break
        deadline_place(h, i, h.at[child])
        i = child
    deadline_place(h, i, d)

cdef inline void deadline_remove(deadline_heap *h, uint32_t id) noexcept nogil:
    cdef uint32_t i = h.where[id]
    cdef deadline last
    if i == <uint32_t>DEADLINE_ABSENT:
        return
    h.where[id] = DEADLINE_ABSENT
    h.n -= 1
    if i == h.n:
        return
    last = h.at[h.n]
    if i and h.at[(i - 1) >> 1].ns > last.ns:
        deadline_up(h, i, last)
    else:
        deadline_down(h, i, last)

cdef inline void deadline_set(deadline_heap *h, uint32_t id, uint64_t ns) noexcept nogil:
    """`id` is due at `ns`, whatever it was before; all ones: not at all."""
    cdef uint32_t i = h.where[id]
    cdef deadline d
    if ns == ~<uint64_t>0:
        deadline_remove(h, id)
        return
    d.ns = ns
    d.id = id
    if i == <uint32_t>DEADLINE_ABSENT:
        i = h.n
        h.n += 1
        deadline_up(h, i, d)
    elif ns <= h.at[i].ns:
        deadline_up(h, i, d)
    else:
        deadline_down(h, i, d)
