# Capture files: a streaming reader of pcap and pcapng, and a writer of pcapng. Frames in memory are in capture.pyx's
# one buffer; nothing is read that is not there, whatever the file says.
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef enum:
    CAPTURE_PACKET_MAX = 262144     # octets of one packet: tcpdump's and Wireshark's own limit
    CAPTURE_BUFFER = 1 << 20        # read ahead; also the longest packet block, with its options
    CAPTURE_MARGIN = 64             # writable octets in front of the buffer, for an Ethernet header made up in place
    CAPTURE_INTERFACES_MAX = 4096
    CAPTURE_RECORD_OCTETS = 48      # what an enhanced packet block adds to its packet, padding included

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

cdef struct capture_out:
    int fd
    uint8_t *buf
    uint32_t size
    uint32_t used
    bint drop_when_full             # else the burst that finds the buffer full writes it out
    int error                       # errno of the first failed write; nothing is written after it
    uint64_t packets
    uint64_t dropped                # not recorded: buffer full, longer than CAPTURE_PACKET_MAX, or after an error

cdef uint32_t capture_record_len(uint32_t n, uint32_t direction) noexcept nogil
cdef bint capture_room(capture_out *o, uint32_t octets) noexcept nogil
cdef bint capture_put(capture_out *o, const uint8_t *p, uint32_t n, int64_t ts_ns, uint32_t direction,
                      uint32_t tag) noexcept nogil
cdef bint capture_flush(capture_out *o) noexcept nogil

cdef class PcapReader:
    cdef capture cap
    cdef readonly str path
    cdef readonly object size
    cdef int fail(self) except -1

cdef class PcapngWriter:
    cdef capture_out out
    cdef readonly str path
    cdef int check(self) except -1
