"""Impairment: a bad network as a device around a device.

Every frame of an impaired side is, in this order: lost; queued behind a wire of rate_bps; doubled; damaged (one bit);
delayed by delay_ns and up to jitter_ns; moved behind up to reorder_gap later frames. Each frame draws the same number
of random numbers whatever the settings, so with one seed the same frames are lost when only the delay is changed.

Time is the caller's now_ns alone. A frame that goes on at once goes on in place; one that waits, or the second of a
double, is a copy in a buffer of our own, so a bad network never holds the inner device's buffers. Frames waiting to be
sent leave in the next rx_burst or tx_burst after they are due.
"""
from dpdk_py.base cimport Device, closed_ops, complete_checksums
from dpdk_py.device cimport (
    FRAME_HEADROOM, FRAME_RX_IP_BAD, FRAME_RX_IP_GOOD, FRAME_RX_L4_BAD, FRAME_RX_L4_GOOD, FRAME_RX_PARTIAL, FRAME_SLACK,
    FRAME_TX_IP_CSUM, FRAME_TX_L4_CSUM, device, device_ops, frame,
)
from libc.stdint cimport UINT64_MAX, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset
from posix.stdlib cimport posix_memalign

cdef enum:
    ETHERNET_HLEN = 14
    VLAN_HLEN = 4
    RX_CSUM_FLAGS = FRAME_RX_IP_GOOD | FRAME_RX_IP_BAD | FRAME_RX_L4_GOOD | FRAME_RX_L4_BAD | FRAME_RX_PARTIAL
    BURST = 32

cdef enum line_verdict:
    LINE_PASS = 0       # goes on at once, in place
    LINE_HELD = 1       # a copy waits; the frame itself is done with
    LINE_LOST = 2

cdef device_ops impair_ops
cdef device_ops impair_closed_ops


# -- chance

cdef inline uint64_t draw(impair_line *l) noexcept nogil:
    """splitmix64 (Steele, Lea, Flood 2014)."""
    cdef uint64_t z
    l.rng += 0x9e3779b97f4a7c15ULL
    z = l.rng
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL
    return z ^ (z >> 31)


cdef inline bint hit(uint64_t r, uint64_t probability) noexcept nogil:
    return (r >> 11) < probability


# -- frames that wait: a heap by due time, and a short list of those to be overtaken

cdef inline bint earlier(const impair_held *a, const impair_held *b) noexcept nogil:
    return a.due_ns < b.due_ns or (a.due_ns == b.due_ns and a.order < b.order)


cdef void heap_push(impair_line *l, const impair_held *h) noexcept nogil:
    cdef uint32_t i = l.nheap
    cdef uint32_t up
    while i:
        up = (i - 1) // 2
        if not earlier(h, &l.heap[up]):
            break
        l.heap[i] = l.heap[up]
        i = up
    l.heap[i] = h[0]
    l.nheap += 1


cdef void heap_pop(impair_line *l, impair_held *h) noexcept nogil:
    cdef impair_held last
    cdef uint32_t i = 0
    cdef uint32_t child
    h[0] = l.heap[0]
    l.nheap -= 1
    last = l.heap[l.nheap]
    while True:
        child = 2 * i + 1
        if child >= l.nheap:
            break
        if child + 1 < l.nheap and earlier(&l.heap[child + 1], &l.heap[child]):
            child += 1
        if not earlier(&l.heap[child], &last):
            break
        l.heap[i] = l.heap[child]
        i = child
    l.heap[i] = last


cdef bint line_hold(impair_state *s, impair_line *l, const frame *f, uint64_t due_ns, uint64_t order,
                    uint32_t behind) noexcept nogil:
    """A copy of the frame waits until `due_ns`. False: no buffer, or none so large."""
    cdef impair_held h
    if l.nfree == 0 or f.len > s.room:
        return False
    l.nfree -= 1
    h.slot = l.free_slots[l.nfree]
    memcpy(h.slot + FRAME_HEADROOM, f.data, f.len)
    h.due_ns = due_ns
    h.order = order
    h.behind = behind
    h.len = f.len
    h.flags = f.flags
    h.vlan_tci = f.vlan_tci
    h.ts_ns = f.ts_ns
    h.ts_source = f.ts_source
    heap_push(l, &h)
    return True


cdef void line_passed(impair_line *l) noexcept nogil:
    """A frame has gone on: it has overtaken every one that waits for that."""
    cdef uint32_t i
    for i in range(l.nmoved):
        if l.moved[i].behind:
            l.moved[i].behind -= 1


cdef bint line_pop(impair_line *l, uint64_t now_ns, impair_held *h) noexcept nogil:
    """The next frame that may go on now; its buffer is the caller's to give back."""
    cdef uint32_t i, k
    while True:
        for i in range(l.nmoved):
            if l.moved[i].behind == 0 or l.moved[i].due_ns <= now_ns:
                h[0] = l.moved[i]
                l.nmoved -= 1
                for k in range(i, l.nmoved):
                    l.moved[k] = l.moved[k + 1]
                return True
        if l.nheap == 0 or l.heap[0].due_ns > now_ns:
            return False
        heap_pop(l, h)
        if h.behind and l.nmoved < IMPAIR_MOVED_MAX:
            h.due_ns += l.set.reorder_ns        # not for ever: nothing may follow
            l.moved[l.nmoved] = h[0]
            l.nmoved += 1
            continue
        line_passed(l)
        return True


cdef inline void slot_give_back(impair_line *l, uint8_t *slot) noexcept nogil:
    l.free_slots[l.nfree] = slot
    l.nfree += 1


# -- damage

cdef void damage(frame *f, uint64_t r) noexcept nogil:
    """Turns one bit over; nobody vouches for the checksums any more."""
    if f.flags & (FRAME_RX_PARTIAL | FRAME_TX_L4_CSUM | FRAME_TX_IP_CSUM):
        complete_checksums(f.data, f.len, f.flags)
    f.flags &= ~(RX_CSUM_FLAGS | FRAME_TX_L4_CSUM | FRAME_TX_IP_CSUM)
    if f.len:
        f.data[(r >> 3) % f.len] ^= 1 << (r & 7)


# -- how a frame fares

cdef int line_enter(impair_state *s, impair_line *l, frame *f, uint64_t now_ns, uint64_t *order) noexcept nogil:
    """A line_verdict. Unless it is LINE_PASS the caller gives the frame back to the inner device."""
    cdef uint64_t loss = draw(l)
    cdef uint64_t duplicate = draw(l)
    cdef uint64_t corrupt = draw(l)
    cdef uint64_t where = draw(l)
    cdef uint64_t jitter = draw(l)
    cdef uint64_t reorder = draw(l)
    cdef uint64_t gap = draw(l)
    cdef uint64_t due_ns = now_ns
    cdef uint32_t behind = 0
    order[0] = l.order
    l.order += 2
    l.counts.seen += 1
    if not s.up:
        l.counts.down += 1
        return LINE_LOST
    if not l.active:
        return LINE_PASS
    if hit(loss, l.set.loss):
        l.counts.lost += 1
        return LINE_LOST
    if l.set.rate_bps:
        if l.nfree == 0:
            l.counts.overflow += 1      # at the tail of a full queue; it never reaches the wire
            return LINE_LOST
        l.free_ns = max(l.free_ns, now_ns) + <uint64_t>f.len * 8000000000ULL // l.set.rate_bps
        due_ns = l.free_ns
    due_ns += l.set.delay_ns
    if l.set.jitter_ns:
        due_ns += jitter % (l.set.jitter_ns + 1)
    if hit(duplicate, l.set.duplicate) and line_hold(s, l, f, due_ns, order[0] + 1, 0):
        l.counts.doubled += 1
    if hit(corrupt, l.set.corrupt):
        damage(f, where)
        l.counts.damaged += 1
    if hit(reorder, l.set.reorder):
        behind = <uint32_t>(1 + gap % l.set.reorder_gap)
    if due_ns <= now_ns and not behind:
        return LINE_PASS
    if not line_hold(s, l, f, due_ns, order[0], behind):
        l.counts.overflow += 1
        return LINE_LOST
    if behind:
        l.counts.moved += 1
    if due_ns > now_ns:
        l.counts.delayed += 1
    return LINE_HELD


cdef inline int lend(device *d, impair_state *s, impair_line *l, frame *f, const impair_held *h) noexcept nogil:
    f.data = h.slot + FRAME_HEADROOM
    f.len = h.len
    f.room = h.len
    f.flags = h.flags
    f.vlan_tci = h.vlan_tci
    f.ts_source = h.ts_source
    f.ts_ns = h.ts_ns
    f.handle = h.slot
    return 1


cdef int impair_rx_burst(device *d, frame *frames, int n, uint64_t now_ns) noexcept nogil:
    cdef impair_state *s = <impair_state *>d.self
    cdef impair_line *l = &s.lines[IMPAIR_RX]
    cdef frame fresh[BURST]
    cdef impair_held h
    cdef uint64_t order
    cdef int out = 0
    cdef int i, got, verdict
    send_due(s, now_ns)
    while out < n and line_pop(l, now_ns, &h):
        out += lend(d, s, l, &frames[out], &h)
    got = 0
    if out < n:
        got = s.inner.ops.rx_burst(s.inner, fresh, min(n - out, <int>BURST), now_ns)
    for i in range(got):
        verdict = line_enter(s, l, &fresh[i], now_ns, &order)
        if verdict == LINE_PASS and out < n:
            frames[out] = fresh[i]
            out += 1
            line_passed(l)
        else:
            if verdict == LINE_PASS and not line_hold(s, l, &fresh[i], now_ns, order, 0):
                l.counts.overflow += 1  # doubles and moved frames had taken the room of this burst
            s.inner.ops.free(s.inner, &fresh[i], 1)
        while out < n and line_pop(l, now_ns, &h):
            out += lend(d, s, l, &frames[out], &h)
    for i in range(out):
        d.stats.rx_octets += frames[i].len
    d.stats.rx_frames += out
    return out


cdef bint send_due(impair_state *s, uint64_t now_ns) noexcept nogil:
    """Sends what is due; False if the inner device is full, and the rest waits."""
    cdef impair_line *l = &s.lines[IMPAIR_TX]
    cdef impair_held h
    cdef frame f
    while line_pop(l, now_ns, &h):
        if not s.inner.ops.alloc(s.inner, &f):
            h.behind = 0
            heap_push(l, &h)
            return False
        if h.len > f.room:
            s.inner.ops.free(s.inner, &f, 1)
            s.inner.stats.tx_errors += 1
        else:
            memcpy(f.data, h.slot + FRAME_HEADROOM, h.len)
            f.len = h.len
            f.flags = h.flags
            if s.inner.ops.tx_burst(s.inner, &f, 1, now_ns) != 1:
                s.inner.ops.free(s.inner, &f, 1)
                h.behind = 0
                heap_push(l, &h)
                return False
        slot_give_back(l, h.slot)
    return True


cdef int impair_tx_burst(device *d, frame *frames, int n, uint64_t now_ns) noexcept nogil:
    cdef impair_state *s = <impair_state *>d.self
    cdef impair_line *l = &s.lines[IMPAIR_TX]
    cdef uint64_t order
    cdef uint32_t octets
    cdef int i, verdict
    for i in range(n):
        if not send_due(s, now_ns):
            d.stats.tx_full += n - i
            return i
        octets = frames[i].len
        verdict = line_enter(s, l, &frames[i], now_ns, &order)
        if verdict == LINE_PASS:
            if s.inner.ops.tx_burst(s.inner, &frames[i], 1, now_ns) == 1:
                line_passed(l)
            else:       # its fate is drawn: it is ours now, and the next one is refused
                if not line_hold(s, l, &frames[i], now_ns, order, 0):
                    l.counts.overflow += 1
                s.inner.ops.free(s.inner, &frames[i], 1)
        else:
            s.inner.ops.free(s.inner, &frames[i], 1)
        d.stats.tx_frames += 1
        d.stats.tx_octets += octets
    send_due(s, now_ns)
    return n


cdef bint impair_alloc(device *d, frame *f) noexcept nogil:
    cdef impair_state *s = <impair_state *>d.self
    return s.inner.ops.alloc(s.inner, f)


cdef void impair_free(device *d, frame *frames, int n) noexcept nogil:
    """Ours are told by their address: a buffer of the rx side."""
    cdef impair_state *s = <impair_state *>d.self
    cdef impair_line *l = &s.lines[IMPAIR_RX]
    cdef int i
    for i in range(n):
        if l.arena <= frames[i].data < l.arena_end:
            slot_give_back(l, <uint8_t *>frames[i].handle)
        else:
            s.inner.ops.free(s.inner, &frames[i], 1)


cdef int closed_tx_burst(device *d, frame *frames, int n, uint64_t now_ns) noexcept nogil:
    d.stats.tx_errors += n
    impair_free(d, frames, n)
    return n


impair_ops.rx_burst = impair_rx_burst
impair_ops.tx_burst = impair_tx_burst
impair_ops.alloc = impair_alloc
impair_ops.free = impair_free
impair_closed_ops = closed_ops
impair_closed_ops.tx_burst = closed_tx_burst
impair_closed_ops.free = impair_free        # frames lent before the end still go back where they came from


# -- Python

cdef uint64_t probability(name, value) except? 0xffffffffffffffff:
    if not 0.0 <= value <= 1.0:
        raise ValueError(f"{name} is {value}, must be 0 to 1")
    return <uint64_t>(<double>value * 9007199254740992.0)


cdef uint64_t natural(name, value, least=0) except? 0xffffffffffffffff:
    if int(value) != value or not least <= value <= 1 << 62:
        raise ValueError(f"{name} is {value}, must be a whole number of {least} or more")
    return int(value)


cdef class Impairment(Device):
    """A device around `inner` that treats frames as a bad network does.

    `side` is "rx", "tx" or "both". Settings, each 0 (never) unless given: probabilities `loss`, `duplicate`, `corrupt`
    (one bit), `reorder` (the frame lets 1 to `reorder_gap` later ones pass, but waits at most `reorder_ns`); `delay_ns`,
    `jitter_ns` (0 to jitter_ns more, evenly; enough of it reorders too) and `rate_bps`. They can be changed at any time
    by `set`; frames already on their way keep theirs. `queue` frames can wait on each side; a later one, and one above
    the inner device's MTU, is lost where it would have to wait (`overflow`). Take two of these, one around the other, for two directions that differ.

    Closing it loses what waits and leaves the inner device open.
    """

    def __init__(self, Device inner not None, *, seed=0, side="both", int queue=1024, **settings):
        cdef impair_line *l
        cdef uint32_t i
        cdef int k
        if self.inner is not None:
            raise TypeError("an Impairment is opened once")
        if side not in ("rx", "tx", "both"):
            raise ValueError(f"side is {side!r}, must be 'rx', 'tx' or 'both'")
        if not 1 <= queue <= 1 << 20:
            raise ValueError(f"queue is {queue}, must be 1 to {1 << 20} frames")
        self.state.up = True
        self.state.room = inner.dev.mtu + ETHERNET_HLEN + VLAN_HLEN
        self.state.slot_size = (FRAME_HEADROOM + self.state.room + FRAME_SLACK + 63) & ~<uint32_t>63
        for k in range(2):
            l = &self.state.lines[k]
            l.active = side == "both" or side == ("rx", "tx")[k]
            l.rng = (<uint64_t>(int(seed) & UINT64_MAX) ^ (<uint64_t>k << 63)) * 0x9e3779b97f4a7c15ULL + k
            l.set.reorder_gap = 3
            l.set.reorder_ns = 1000000
            l.nslots = queue if l.active else 1
            l.heap = <impair_held *>calloc(l.nslots + 1, sizeof(impair_held))
            l.free_slots = <uint8_t **>calloc(l.nslots, sizeof(uint8_t *))
            if not l.heap or not l.free_slots or posix_memalign(<void **>&l.arena, 64,
                                                                <size_t>l.nslots * self.state.slot_size):
                l.arena = NULL
                raise MemoryError()
            l.arena_end = l.arena + <size_t>l.nslots * self.state.slot_size
            memset(l.arena, 0, l.arena_end - l.arena)
            for i in range(l.nslots):
                l.free_slots[i] = l.arena + <size_t>i * self.state.slot_size
            l.nfree = l.nslots
        self.inner = inner
        self.name = f"impaired {inner.name}"
        self.set(**settings)
        self.state.inner = inner.ptr()
        self.dev.mtu = inner.dev.mtu
        self.dev.mac = inner.dev.mac
        self.dev.caps = inner.dev.caps
        self.dev.self = &self.state
        self.dev.ops = &impair_ops

    def __dealloc__(self):
        cdef int k
        for k in range(2):
            free(self.state.lines[k].heap)
            free(self.state.lines[k].free_slots)
            free(self.state.lines[k].arena)

    cdef int shutdown(self) except -1:
        if self.state.inner != NULL:
            self.dev.ops = &impair_closed_ops
        return 0

    cdef int change_mtu(self, int mtu) except -1:
        cdef uint32_t limit = self.state.room - ETHERNET_HLEN - VLAN_HLEN
        if <uint32_t>mtu > limit:
            raise ValueError(f"MTU is {mtu}, the buffers of {self.name} are made for {limit}")
        self.inner.mtu = mtu
        self.dev.mtu = mtu
        return 0

    cdef list sides(self, side):
        if side is None:
            return [k for k in range(2) if self.state.lines[k].active]
        if side not in ("rx", "tx"):
            raise ValueError(f"side is {side!r}, must be 'rx' or 'tx'")
        k = ("rx", "tx").index(side)
        if not self.state.lines[k].active:
            raise ValueError(f"{self.name} does not impair {side}")
        return [k]

    def set(self, *, side=None, **settings):
        """Changes the named settings of `side` (default: every impaired side); the others stay. All or none."""
        cdef impair_settings new
        cdef int k
        changed = []
        for k in self.sides(side):
            new = self.state.lines[k].set
            for name, value in settings.items():
                if name == "loss":
                    new.loss = probability(name, value)
                elif name == "duplicate":
                    new.duplicate = probability(name, value)
                elif name == "reorder":
                    new.reorder = probability(name, value)
                elif name == "corrupt":
                    new.corrupt = probability(name, value)
                elif name == "delay_ns":
                    new.delay_ns = natural(name, value)
                elif name == "jitter_ns":
                    new.jitter_ns = natural(name, value)
                elif name == "rate_bps":
                    new.rate_bps = natural(name, value)
                elif name == "reorder_ns":
                    new.reorder_ns = natural(name, value)
                elif name == "reorder_gap":
                    new.reorder_gap = natural(name, min(value, 1 << 30), 1)
                else:
                    raise TypeError(f"no setting {name!r}: there are loss, duplicate, reorder, corrupt, delay_ns, "
                                    "jitter_ns, rate_bps, reorder_ns, reorder_gap")
            changed.append((k, new))
        for k, value in changed:
            self.state.lines[k].set = value

    def settings(self, side=None):
        """The settings of `side` (default: the first impaired one) as a dict, probabilities as float."""
        cdef impair_settings s = self.state.lines[self.sides(side)[0]].set
        return {"loss": s.loss / 2.0**53, "duplicate": s.duplicate / 2.0**53, "reorder": s.reorder / 2.0**53,
                "corrupt": s.corrupt / 2.0**53, "delay_ns": s.delay_ns, "jitter_ns": s.jitter_ns,
                "rate_bps": s.rate_bps, "reorder_ns": s.reorder_ns, "reorder_gap": s.reorder_gap}

    def counts(self, side=None):
        """What happened on `side` (default: both, added): seen lost doubled moved damaged delayed overflow down."""
        cdef impair_counts *c
        cdef int k
        total = dict.fromkeys(("seen", "lost", "doubled", "moved", "damaged", "delayed", "overflow", "down"), 0)
        if side not in (None, "rx", "tx"):
            raise ValueError(f"side is {side!r}, must be 'rx' or 'tx'")
        for k in range(2):
            if side == ("tx", "rx")[k]:
                continue
            c = &self.state.lines[k].counts
            for name, value in (("seen", c.seen), ("lost", c.lost), ("doubled", c.doubled), ("moved", c.moved),
                                ("damaged", c.damaged), ("delayed", c.delayed), ("overflow", c.overflow),
                                ("down", c.down)):
                total[name] += value
        return total

    @property
    def up(self):
        """The link. Set to False, everything is lost in both directions, what is on its way included."""
        return bool(self.state.up)

    @up.setter
    def up(self, bint value):
        cdef impair_line *l
        cdef impair_held h
        cdef int k
        if not value and self.state.up:
            for k in range(2):
                l = &self.state.lines[k]
                while line_pop(l, UINT64_MAX, &h):
                    slot_give_back(l, h.slot)
                    l.counts.down += 1
        self.state.up = value

    @property
    def waiting(self):
        """Frames on their way, both directions."""
        return sum(self.state.lines[k].nheap + self.state.lines[k].nmoved for k in range(2))

    @property
    def deadline_ns(self):
        """When the next frame that waits is due (it may go earlier if others overtake it); None if none waits."""
        cdef impair_line *l
        cdef uint64_t first = UINT64_MAX
        cdef uint32_t i
        cdef int k
        for k in range(2):
            l = &self.state.lines[k]
            if l.nheap:
                first = min(first, l.heap[0].due_ns)
            for i in range(l.nmoved):
                first = min(first, l.moved[i].due_ns)
        return None if first == UINT64_MAX else first
