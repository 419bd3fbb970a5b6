# PcapDevice (replay) and PcapWriter (record): capture files as devices.
from dpdk_py.base cimport Device
from dpdk_py.capture cimport PcapReader, capture, capture_packet
from dpdk_py.device cimport device
from dpdk_py.recording cimport PcapngWriter, capture_out
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

cdef struct pcap_replay:
    capture *cap
    capture_packet next     # read, not yet due or not yet handed out
    bint have_next
    bint done               # end of file, or damage
    uint32_t lent           # frames out; their octets are in the reader's buffer
    bint paced
    bint started
    uint64_t start_ns       # now_ns that stands for first_ns
    int64_t first_ns
    capture_out *record     # where tx goes, or NULL
    int64_t utc_offset_ns
    uint8_t **free_slots
    uint32_t nfree
    uint32_t nslots
    uint32_t slot_size
    uint32_t room
    uint8_t *arena

cdef class PcapDevice(Device):
    cdef pcap_replay state
    cdef readonly PcapReader reader
    cdef PcapngWriter writer

cdef struct pcap_recorder:
    device *inner
    capture_out *out
    int64_t utc_offset_ns

cdef class PcapWriter(Device):
    cdef pcap_recorder state
    cdef readonly Device inner
    cdef PcapngWriter writer
