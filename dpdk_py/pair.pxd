# PairDevice: two ends of a cable in one process. Hot structs here; the four ops are in pair.pyx.
from dpdk_py.base cimport Device
from libc.stdint cimport uint8_t, uint32_t, uint64_t

cdef struct pair_sent:
    uint8_t *data
    uint32_t len
    uint32_t flags
    void *handle

cdef struct pair_end:
    pair_end *ends          # both, ends[0] and ends[1]
    pair_end *peer
    bint up                 # False once closed: what the peer sends is lost
    uint32_t index
    # frames this end has sent and the peer has not taken yet: a ring of mask + 1, at most `limit` in use
    pair_sent *queue
    uint32_t head
    uint32_t tail
    uint32_t mask
    uint32_t limit
    # the buffers this end sends from, last freed first: the next frame is written where the cache is warm
    uint8_t **free_slots
    uint32_t nfree
    uint32_t nslots
    uint32_t slot_size
    uint32_t room           # octets of frame a buffer takes
    uint32_t max_len        # mtu + 14; + 4 for a frame with a tag
    bint offload
    uint8_t *arena
    uint8_t *marks          # frame_mark of every buffer, FIXWIRE_DEBUG only

cdef class PairLink:
    cdef pair_end ends[2]

cdef class PairDevice(Device):
    cdef PairLink link
    cdef pair_end *end
