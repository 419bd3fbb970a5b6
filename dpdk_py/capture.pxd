# A streaming reader of pcap and pcapng. Packets lie in its one buffer; nothing is read that is not there, whatever the
# file says.
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef enum:
    CAPTURE_PACKET_MAX = 262144     # octets of one packet: tcpdump's and Wireshark's own limit
    CAPTURE_BUFFER = 1 << 20        # read ahead; also the longest packet block, with its options
    CAPTURE_MARGIN = 64             # writable octets in front of the buffer, for an Ethernet header made up in place
    CAPTURE_INTERFACES_MAX = 4096

cdef enum capture_verdict:
    CAPTURE_ERROR = -1              # c.error says what, at c.error_offset
    CAPTURE_END = 0                 # c.truncated: in the middle of a packet
    CAPTURE_PACKET = 1
    CAPTURE_AGAIN = 2               # more must be read, which would overwrite packets handed out before

cdef enum capture_direction:
    CAPTURE_UNKNOWN = 0
    CAPTURE_IN = 1                  # as epb_flags has it
    CAPTURE_OUT = 2

cdef struct capture_interface:
    uint16_t linktype
    uint8_t tsresol                 # as if_tsresol: 10^-n, or 2^-n with the top bit
    uint8_t fcs_len                 # octets of FCS at the end of every packet
    uint32_t snaplen                # 0: no limit
    int64_t tsoffset_s

cdef struct capture_packet:
    uint8_t *data                   # valid until capture_next may refill
    uint32_t len
    uint32_t orig_len               # octets it had; more than len where the capture cut it
    int64_t ts_ns                   # UTC
    bint has_ts                     # False: a simple packet block, ts_ns is 0
    uint32_t interface
    uint16_t linktype
    uint8_t direction

cdef struct capture:
    int fd
    bint pcapng
    bint big                        # the file's (the section's) integers are big-endian
    bint ethernet                   # other link types are given an Ethernet header, or refused
    uint8_t *memory
    uint8_t *buf
    uint32_t pos
    uint32_t end
    uint64_t start                  # file offset of buf[0]
    uint64_t skip                   # octets still to be passed over, not in the buffer
    bint eof
    bint truncated
    capture_interface *interfaces
    uint32_t ninterfaces
    uint64_t packets
    uint64_t octets
    uint64_t cut                    # packets shorter than they were, by the capture's snaplen
    uint64_t error_offset
    char error[192]

cdef int capture_open(capture *c) noexcept nogil
cdef int capture_next(capture *c, capture_packet *p, bint may_refill) noexcept nogil

cdef class PcapReader:
    cdef capture cap
    cdef readonly str path
    cdef readonly object size
    cdef bint busy
    cdef int fail(self) except -1
