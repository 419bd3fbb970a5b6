# AfPacketDevice: a kernel interface through a TPACKET_V2 receive ring and plain send().
from dpdk_py.base cimport Device
from libc.stdint cimport uint8_t, uint32_t, uint64_t

cdef struct afpacket_state:
    int fd
    # the ring, shared with the kernel: nframes slots of frame_size octets
    uint8_t *ring
    uint8_t *ring_end
    size_t ring_octets
    uint32_t frame_size
    uint32_t nframes
    uint32_t head               # the next slot the kernel will fill
    uint32_t max_len            # mtu + 14 + a tag: anything longer was not one frame on a wire
    # buffers to send from
    uint8_t *arena
    uint8_t **free_slots
    uint32_t nfree
    uint32_t nslots
    uint32_t slot_size
    uint32_t room
    # what the bursts note for the Python side to say
    uint32_t oversize_len       # the longest GSO frame seen
    int tx_errno                # of the last frame the kernel refused
    char[16] name               # of the interface, for ioctl

cdef class AfPacketDevice(Device):
    cdef afpacket_state state
    cdef readonly str interface
    cdef readonly int ifindex
    cdef bint advised
    cdef object groups
    cdef int configure(self, sock, bint promiscuous) except -1
    cdef int open_ring(self, int frames) except -1
    cdef int open_pool(self, int buffers) except -1
    cdef int read_kernel_drops(self) except -1
