"""PairDevice: two ends of a cable in one process, both driven by one thread.

A frame sent at one end waits in a bounded queue until the other end's next rx_burst: sending never calls into the
peer, so a send inside a receive cannot recurse. Nothing is copied; the buffer itself changes hands and comes back
when the receiver frees it. No time passes on the cable (put an Impairment around an end for that), nothing is lost
on it except what is above the MTU or sent to a closed end.
"""
cimport cython
from dpdk_py.base cimport (
    FRAME_ALLOCATED, FRAME_FREE, FRAME_LENT, FRAME_MARKS, FRAME_SENT, Device, frame_fault, mac_from,
)
from dpdk_py.device cimport (
    DEVICE_RX_CSUM, DEVICE_TX_L4_CSUM, FRAME_HEADROOM, FRAME_RX_L4_GOOD, FRAME_RX_PARTIAL, FRAME_SLACK, FRAME_TS_NONE,
    FRAME_TX_L4_CSUM, device, device_ops, frame,
)
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset
from posix.stdlib cimport posix_memalign

from stack.wire.octets cimport load_be16

cdef enum:
    ETHERNET_HLEN = 14
    VLAN_HLEN = 4
    ETHERTYPE_VLAN = 0x8100     # IEEE 802.1Q
    SPARE_SLOTS = 256           # buffers beyond a full queue: frames being written, frames the peer still holds

cdef device_ops pair_ops
cdef device_ops pair_closed_ops


# -- buffers. A frame's handle is its buffer's address with the sending end's index in bit 0.

cdef inline uint32_t slot_number(pair_end *owner, uint8_t *slot) noexcept nogil:
    return <uint32_t>((slot - owner.arena) // owner.slot_size)


cdef inline void slot_mark(pair_end *owner, uint8_t *slot, uint8_t expected, uint8_t mark) noexcept nogil:
    """FIXWIRE_DEBUG: aborts unless the buffer was in the state this step needs."""
    cdef uint32_t i = slot_number(owner, slot)
    if slot < owner.arena or i >= owner.nslots:
        frame_fault("pair", "a frame that is not from this device")
    if owner.marks[i] != expected:
        frame_fault("pair", "a frame sent or freed by somebody who does not own it")
    owner.marks[i] = mark


cdef inline void slot_give_back(pair_end *owner, uint8_t *slot) noexcept nogil:
    if FRAME_MARKS:
        owner.marks[slot_number(owner, slot)] = FRAME_FREE
        memset(slot, 0xdd, owner.slot_size)     # whoever kept a pointer into it reads nonsense, not old truth
    owner.free_slots[owner.nfree] = slot
    owner.nfree += 1


# -- the four functions

cdef bint pair_alloc(device *d, frame *f) noexcept nogil:
    cdef pair_end *e = <pair_end *>d.self
    cdef uint8_t *slot
    if e.nfree == 0:
        d.stats.alloc_failed += 1
        return False
    e.nfree -= 1
    slot = e.free_slots[e.nfree]
    if FRAME_MARKS:
        slot_mark(e, slot, FRAME_FREE, FRAME_ALLOCATED)
    f.data = slot + FRAME_HEADROOM
    f.len = 0
    f.room = e.room
    f.flags = 0
    f.vlan_tci = 0
    f.ts_source = FRAME_TS_NONE
    f.ts_ns = 0
    f.handle = <void *>(<uintptr_t>slot | e.index)
    return True


cdef int pair_tx_burst(device *d, frame *frames, int n, uint64_t now_ns) noexcept nogil:
    cdef pair_end *e = <pair_end *>d.self
    cdef frame *f
    cdef pair_sent *q
    cdef uint8_t *slot
    cdef int i
    for i in range(n):
        f = &frames[i]
        slot = <uint8_t *>(<uintptr_t>f.handle & ~<uintptr_t>1)
        if FRAME_MARKS:
            slot_mark(e, slot, FRAME_ALLOCATED, FRAME_SENT)
        if not e.peer.up or (f.len > e.max_len and not tagged_fits(e, f)):
            d.stats.tx_errors += 1
            slot_give_back(&e.ends[<uintptr_t>f.handle & 1], slot)
            continue
        if e.tail - e.head >= e.limit:
            if FRAME_MARKS:
                slot_mark(e, slot, FRAME_SENT, FRAME_ALLOCATED)
            d.stats.tx_full += n - i
            return i
        q = &e.queue[e.tail & e.mask]
        q.data = f.data
        q.len = f.len
        q.flags = FRAME_RX_L4_GOOD | FRAME_RX_PARTIAL if e.offload and f.flags & FRAME_TX_L4_CSUM else 0
        q.handle = f.handle
        e.tail += 1
        d.stats.tx_frames += 1
        d.stats.tx_octets += f.len
    return n


cdef bint tagged_fits(pair_end *e, frame *f) noexcept nogil:
    return f.len <= e.max_len + VLAN_HLEN and load_be16(f.data + 12) == ETHERTYPE_VLAN


cdef int pair_rx_burst(device *d, frame *frames, int n, uint64_t now_ns) noexcept nogil:
    cdef pair_end *sender = (<pair_end *>d.self).peer
    cdef pair_sent *q
    cdef frame *f
    cdef int i = 0
    while i < n and sender.head != sender.tail:
        q = &sender.queue[sender.head & sender.mask]
        f = &frames[i]
        f.data = q.data
        f.len = q.len
        f.room = q.len
        f.flags = <uint16_t>q.flags
        f.vlan_tci = 0
        f.ts_source = FRAME_TS_NONE
        f.ts_ns = 0
        f.handle = q.handle
        sender.head += 1
        if FRAME_MARKS:
            slot_mark(sender, <uint8_t *>(<uintptr_t>f.handle & ~<uintptr_t>1), FRAME_SENT, FRAME_LENT)
        d.stats.rx_octets += f.len
        i += 1
    d.stats.rx_frames += i
    return i


cdef void pair_free(device *d, frame *frames, int n) noexcept nogil:
    cdef pair_end *e = <pair_end *>d.self
    cdef pair_end *owner
    cdef uint8_t *slot
    cdef int i
    for i in range(n):
        owner = &e.ends[<uintptr_t>frames[i].handle & 1]
        slot = <uint8_t *>(<uintptr_t>frames[i].handle & ~<uintptr_t>1)
        if FRAME_MARKS:
            slot_mark(owner, slot, FRAME_ALLOCATED if owner is e else FRAME_LENT, FRAME_FREE)
        slot_give_back(owner, slot)


# -- a closed end: the cable hangs loose

cdef int closed_rx_burst(device *d, frame *frames, int n, uint64_t now_ns) noexcept nogil:
    return 0


cdef int closed_tx_burst(device *d, frame *frames, int n, uint64_t now_ns) noexcept nogil:
    d.stats.tx_errors += n
    pair_free(d, frames, n)
    return n


cdef bint closed_alloc(device *d, frame *f) noexcept nogil:
    d.stats.alloc_failed += 1
    return False


pair_ops.rx_burst = pair_rx_burst
pair_ops.tx_burst = pair_tx_burst
pair_ops.alloc = pair_alloc
pair_ops.free = pair_free
pair_closed_ops.rx_burst = closed_rx_burst
pair_closed_ops.tx_burst = closed_tx_burst
pair_closed_ops.alloc = closed_alloc
pair_closed_ops.free = pair_free


cdef class PairLink:
    """The memory of both ends; lives as long as either of them."""

    def __cinit__(self, uint32_t queue, uint32_t mtu, uint32_t max_mtu, bint offload):
        cdef uint32_t ring = 1
        cdef uint32_t i, k
        cdef pair_end *e
        while ring < queue:
            ring *= 2
        for k in range(2):
            e = &self.ends[k]
            e.ends = self.ends
            e.peer = &self.ends[1 - k]
            e.up = True
            e.index = k
            e.mask = ring - 1
            e.limit = queue
            e.room = max_mtu + ETHERNET_HLEN + VLAN_HLEN
            e.slot_size = (FRAME_HEADROOM + e.room + FRAME_SLACK + 63) & ~<uint32_t>63
            e.max_len = mtu + ETHERNET_HLEN
            e.offload = offload
            e.nslots = queue + SPARE_SLOTS
            e.queue = <pair_sent *>calloc(ring, sizeof(pair_sent))
            e.free_slots = <uint8_t **>calloc(e.nslots, sizeof(uint8_t *))
            e.marks = <uint8_t *>calloc(e.nslots, 1)
            if not e.queue or not e.free_slots or not e.marks:
                raise MemoryError()
            if posix_memalign(<void **>&e.arena, 64, <size_t>e.nslots * e.slot_size):
                e.arena = NULL
                raise MemoryError()
            memset(e.arena, 0, <size_t>e.nslots * e.slot_size)      # every page is there before the first frame
            for i in range(e.nslots):
                e.free_slots[i] = e.arena + <size_t>(e.nslots - 1 - i) * e.slot_size
            e.nfree = e.nslots

    def __dealloc__(self):
        cdef int k
        for k in range(2):
            free(self.ends[k].queue)
            free(self.ends[k].free_slots)
            free(self.ends[k].marks)
            free(self.ends[k].arena)


@cython.no_gc_clear         # `end` lies in `link`: the collector would take it away before __dealloc__
cdef class PairDevice(Device):
    """One end of a cable. `pair()` makes both.

    Closing an end takes the link down: what it had sent still arrives, what is sent to it is lost and counted
    in the sender's tx_errors.
    """

    def __init__(self):
        if self.link is None:
            raise TypeError("a cable has two ends: use dpdk_py.pair.pair() or open_device('pair')")

    cdef int shutdown(self) except -1:
        self.dev.ops = &pair_closed_ops
        self.end.up = False
        # What the peer sent here and nobody will take: the buffers go back to it.
        cdef pair_end *sender = self.end.peer
        while sender.head != sender.tail:
            slot_give_back(sender, <uint8_t *>(<uintptr_t>sender.queue[sender.head & sender.mask].handle
                                               & ~<uintptr_t>1))
            sender.head += 1
        return 0

    def __dealloc__(self):
        if self.end != NULL:
            self.end.up = False

    cdef int change_mtu(self, int mtu) except -1:
        cdef uint32_t limit = self.end.room - ETHERNET_HLEN - VLAN_HLEN
        if <uint32_t>mtu > limit:
            raise ValueError(f"MTU is {mtu}, the buffers of {self.name} are made for {limit} (max_mtu)")
        self.dev.mtu = mtu
        self.end.max_len = mtu + ETHERNET_HLEN
        return 0

    @property
    def pending(self):
        """Frames sent to this end that its rx_burst has not taken yet."""
        return self.end.peer.tail - self.end.peer.head

    @property
    def free_buffers(self):
        """Buffers this end could allocate now; `buffers` when nobody holds a frame."""
        return self.end.nfree

    @property
    def buffers(self):
        return self.end.nslots


def pair(*, int mtu=1500, int queue=1024, max_mtu=None, bint offload=False, macs=(None, None),
         names=("pair0", "pair1")):
    """Two PairDevices, the ends of one cable.

    `queue` frames wait in each direction before tx_burst refuses. `mtu` may later be raised to `max_mtu` (default:
    the same). `offload`: both ends take FRAME_TX_L4_CSUM and hand the frame over as a veth does, with only the
    pseudo-header's sum in it and FRAME_RX_L4_GOOD | FRAME_RX_PARTIAL. `macs` default to 02:00:00:00:00:01 and :02.
    """
    cdef PairLink link
    cdef PairDevice one
    cdef int k
    top = mtu if max_mtu is None else max_mtu
    if not 68 <= mtu <= top <= 65535:
        raise ValueError(f"MTU is {mtu} and max_mtu {top}, must be 68 <= mtu <= max_mtu <= 65535")
    if not 1 <= queue <= 1 << 20:
        raise ValueError(f"queue is {queue}, must be 1 to {1 << 20} frames")
    link = PairLink(queue, mtu, top, offload)
    ends = []
    for k in range(2):
        one = PairDevice.__new__(PairDevice)
        one.name = names[k]
        one.link = link
        one.end = &link.ends[k]
        one.dev.self = one.end
        one.dev.ops = &pair_ops
        one.dev.mtu = mtu
        one.dev.caps = DEVICE_TX_L4_CSUM | DEVICE_RX_CSUM if offload else 0
        mac_from(macs[k] or bytes((2, 0, 0, 0, 0, k + 1)), one.dev.mac)
        ends.append(one)
    return tuple(ends)
