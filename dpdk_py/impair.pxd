# Impairment: a bad network as a device around a device. Hot structs here; how a frame fares is in impair.pyx.
from dpdk_py.base cimport Device
from dpdk_py.device cimport device, frame
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef enum:
    IMPAIR_RX = 0
    IMPAIR_TX = 1
    IMPAIR_MOVED_MAX = 16       # frames of one side waiting to be overtaken

cdef struct impair_settings:
    uint64_t loss               # probabilities in units of 2^-53
    uint64_t duplicate
    uint64_t reorder
    uint64_t corrupt
    uint64_t delay_ns
    uint64_t jitter_ns
    uint64_t rate_bps           # 0: no limit
    uint64_t reorder_ns
    uint32_t reorder_gap

cdef struct impair_counts:
    uint64_t seen               # frames that entered this side
    uint64_t lost
    uint64_t doubled
    uint64_t moved
    uint64_t damaged
    uint64_t delayed
    uint64_t overflow           # lost because no buffer was left to hold them
    uint64_t down               # lost because the link was down

# A frame that waits, in a buffer of ours.
cdef struct impair_held:
    uint64_t due_ns
    uint64_t order              # of arrival, so that equal times keep it
    uint8_t *slot
    int64_t ts_ns
    uint32_t ts_source
    uint32_t len
    uint32_t behind             # how many later frames are to overtake it
    uint16_t flags
    uint16_t vlan_tci

cdef struct impair_line:
    bint active
    impair_settings set
    impair_counts counts
    uint64_t rng
    uint64_t order
    uint64_t free_ns            # rate_bps: when the wire has sent what entered
    impair_held *heap           # by due_ns, then order
    uint32_t nheap
    impair_held moved[IMPAIR_MOVED_MAX]
    uint32_t nmoved
    uint8_t **free_slots
    uint32_t nfree
    uint32_t nslots
    uint8_t *arena
    uint8_t *arena_end

cdef struct impair_state:
    device *inner
    bint up
    uint32_t slot_size
    uint32_t room
    impair_line lines[2]

cdef class Impairment(Device):
    cdef impair_state state
    cdef readonly Device inner
    cdef list sides(self, side)
