"""Open orders of outside strategies. FIX 4.4 volume 4: ExecutionReport(8) and OrdStatus(39), OrderCancelReject(9)."""
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy, memset

from fix.message cimport fix_field, fix_find, fix_read_uint

cdef extern from *:
    """
    #define fw_state_publish(at, state) __atomic_store_n((at), (uint8_t)(state), __ATOMIC_RELEASE)
    #define fw_in_program_order() __atomic_signal_fence(__ATOMIC_SEQ_CST)
    """
    void state_publish "fw_state_publish"(uint8_t *at, int state) noexcept nogil
    void in_program_order "fw_in_program_order"() noexcept nogil     # what a kill leaves: all before it, or less


cdef uint64_t hashed(const char *p, uint32_t n) noexcept nogil:
    """FNV-1a."""
    cdef uint64_t h = 0xcbf29ce484222325ULL
    cdef uint32_t i
    for i in range(n):
        h = (h ^ <uint8_t>p[i]) * 0x100000001b3ULL
    return h ^ h >> 32


cdef inline void entry_link(order_table *t, uint32_t index) noexcept nogil:
    """Puts an entry into the bucket of its hash."""
    cdef open_order *o = &t.entries[index]
    o.next = t.buckets[o.hash & t.mask]
    t.buckets[o.hash & t.mask] = index + 1


cdef inline void pool_done(order_table *t, order_pool *p, uint32_t index) noexcept nogil:
    """To the end of the list of those that are done."""
    if p.done_last:
        t.entries[p.done_last - 1].link = index + 1
    else:
        p.done_first = index + 1
    p.done_last = index + 1


cdef bint order_table_init(order_table *t, const uint32_t *sizes, uint32_t n, open_order *kept) noexcept nogil:
    cdef uint32_t total = 0, buckets = 1, i, k
    cdef order_pool *pool
    cdef open_order *o
    memset(t, 0, sizeof(order_table))
    for i in range(n):
        total += sizes[i]
    while buckets < 2 * total:
        buckets *= 2
    t.mask = buckets - 1
    t.n_pools = n
    t.kept = kept != NULL
    t.entries = kept if t.kept else <open_order *>calloc(total + 1, sizeof(open_order))
    t.buckets = <uint32_t *>calloc(buckets, sizeof(uint32_t))
    t.pools = <order_pool *>calloc(n + 1, sizeof(order_pool))
    if t.entries == NULL or t.buckets == NULL or t.pools == NULL:
        order_table_free(t)
        return False
    total = 0
    for i in range(n):
        pool = &t.pools[i]
        pool.first = total
        pool.size = sizes[i]
        total += sizes[i]
        for k in range(total, pool.first, -1):
            o = &t.entries[k - 1]
            o.owner = <uint16_t>i
            if o.state == ORDER_OPEN or o.state == ORDER_DONE:      # of the process before
                o.hash = hashed(o.ClOrdID, o.ClOrdID_n)
                o.link = 0
                entry_link(t, k - 1)
                t.serial = max(t.serial, o.serial + 1)
                if o.state == ORDER_OPEN:
                    pool.open += 1
                else:
                    pool_done(t, pool, k - 1)
            else:
                o.state = ORDER_FREE
                o.link = pool.free
                pool.free = k
    return True


cdef void order_table_free(order_table *t) noexcept nogil:
    if not t.kept:
        free(t.entries)
    free(t.buckets)
    free(t.pools)
    memset(t, 0, sizeof(order_table))


cdef open_order *order_find(order_table *t, const char *ClOrdID, uint32_t n) noexcept nogil:
    cdef uint64_t h = hashed(ClOrdID, n)
    cdef uint32_t i = t.buckets[h & t.mask]
    cdef open_order *o
    while i:
        o = &t.entries[i - 1]
        if o.hash == h and o.ClOrdID_n == n and memcmp(o.ClOrdID, ClOrdID, n) == 0:
            return o
        i = o.next
    return NULL


cdef void forget(order_table *t, uint32_t index) noexcept nogil:
    """Takes a done order out of its bucket."""
    cdef open_order *o = &t.entries[index]
    cdef uint32_t *at = &t.buckets[o.hash & t.mask]
    while at[0] != index + 1:
        at = &t.entries[at[0] - 1].next
    at[0] = o.next
    o.state = ORDER_FREE
    in_program_order()                          # first: a kill leaves no open order with another's fields


cdef bint order_room(order_table *t, uint32_t pool) noexcept nogil:
    return t.pools[pool].open < t.pools[pool].size


cdef open_order *order_add(order_table *t, uint32_t pool, const request *r, uint64_t MsgSeqNum) noexcept nogil:
    cdef order_pool *p = &t.pools[pool]
    cdef open_order *o
    cdef uint32_t index
    if p.free:
        index = p.free - 1
        p.free = t.entries[index].link
    elif p.done_first:                  # the one that has been done for longest
        index = p.done_first - 1
        p.done_first = t.entries[index].link
        if not p.done_first:
            p.done_last = 0
        forget(t, index)
    else:
        return NULL
    o = &t.entries[index]
    o.hash = hashed(r.ClOrdID, r.ClOrdID_n)
    o.serial = t.serial
    t.serial += 1
    o.MsgSeqNum = MsgSeqNum
    o.session = r.session
    o.cancel_sent = False
    o.OrderQty = r.OrderQty
    o.Side = r.Side
    o.ClOrdID_n = r.ClOrdID_n
    o.Symbol_n = r.Symbol_n
    memcpy(o.ClOrdID, r.ClOrdID, r.ClOrdID_n)
    memcpy(o.Symbol, r.Symbol, r.Symbol_n)
    o.link = 0
    entry_link(t, index)
    p.open += 1
    state_publish(&o.state, ORDER_OPEN)         # last: a kill leaves an order whole, or none
    return o


cdef void order_done(order_table *t, open_order *o) noexcept nogil:
    cdef order_pool *p = &t.pools[o.owner]
    cdef uint32_t index = <uint32_t>(o - t.entries)
    if o.state != ORDER_OPEN:
        return
    o.state = ORDER_DONE
    o.link = 0
    p.open -= 1
    pool_done(t, p, index)


cdef void order_withdraw(order_table *t, open_order *o) noexcept nogil:
    cdef order_pool *p = &t.pools[o.owner]
    cdef uint32_t index = <uint32_t>(o - t.entries)
    forget(t, index)
    o.link = p.free
    p.free = index + 1
    p.open -= 1


cdef open_order *order_of_serial(order_table *t, uint64_t serial) noexcept nogil:
    cdef uint32_t i, total = 0
    for i in range(t.n_pools):
        total += t.pools[i].size
    for i in range(total):
        if t.entries[i].state == ORDER_OPEN and t.entries[i].serial == serial:
            return &t.entries[i]
    return NULL


cdef open_order *named(order_table *t, const fix_msg *m, uint32_t tag) noexcept nogil:
    cdef const fix_field *f = fix_find(m, tag)
    return order_find(t, <const char *>m.p + f.off, f.len) if f != NULL else NULL


cdef char one(const fix_msg *m, uint32_t tag) noexcept nogil:
    cdef const fix_field *f = fix_find(m, tag)
    return <char>m.p[f.off] if f != NULL and f.len == 1 else 0


cdef open_order *order_report(order_table *t, const fix_msg *m) noexcept nogil:
    """A cancel request's own ClOrdID is not kept: what answers it names the order in OrigClOrdID(41)."""
    cdef open_order *order = named(t, m, 11)
    cdef open_order *orig = named(t, m, 41)
    cdef char status = one(m, 39)
    cdef bint final = status == b'2' or status == b'4' or status == b'8' or status == b'C'
    if m.MsgType == 0x39:                       # OrderCancelReject: the request is done, the order as OrdStatus says
        if order != NULL:
            order_done(t, order)                # a replacement that will not be
        if orig != NULL and (final or one(m, 102) == b'1'):     # CxlRejReason: unknown order
            order_done(t, orig)
    elif status == b'5' or one(m, 150) == b'5':     # replaced: the new one takes the old one's place
        if orig != NULL and order != NULL:
            order_done(t, orig)
    elif final:
        if order != NULL:
            order_done(t, order)
        if orig != NULL and status != b'8':
            order_done(t, orig)
    return order if order != NULL else orig


cdef open_order *order_rejected(order_table *t, uint32_t session, const fix_msg *m) noexcept nogil:
    """By RefSeqNum(45); every place is looked at, which is for the rare message that this is."""
    cdef uint64_t seq = 0
    cdef uint32_t i, total = 0
    if not fix_read_uint(m, fix_find(m, 45), &seq):
        return NULL
    for i in range(t.n_pools):
        total += t.pools[i].size
    for i in range(total):
        if t.entries[i].state == ORDER_OPEN and t.entries[i].session == session and t.entries[i].MsgSeqNum == seq:
            order_done(t, &t.entries[i])
            return &t.entries[i]
    return NULL
