# The flight recorder: the last frames of one interface, both ways, each with what became of it; dumped to pcapng.
#
# The netif calls recorder_take before a frame is handled or handed to the device (after that it may be somebody else's)
# and recorder_judge when its fate is known. All memory is taken by recorder_new; a frame costs one copy of its first
# `snap` octets. Only a dump touches a file: on demand, or in netif_poll once recorder_fault has been called.
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from dpdk_py.recording cimport capture_out

cdef enum:
    RECORD_IN = 1                   # as pcapng's epb_flags
    RECORD_OUT = 2
    RECORD_NONE = 255               # no verdict of layer 4
    RECORD_WORDS = 32               # octets of a name, its zero included
    RECORDER_DIR = 512
    RECORDER_DUMPS = 1000           # files of one recorder, then faults are only counted

cdef enum record_out:               # what became of a frame of ours
    RECORD_SENT = 0
    RECORD_WAITS = 1                # for ARP: recorded again when it leaves
    RECORD_FULL = 2                 # the device took no more
    RECORD_NO_ROUTE = 3             # not on the link and no gateway, or our address cannot be used now
    RECORD_ARP = 4                  # the neighbour table's own
    RECORD_LATE = 5                 # had waited for ARP
    RECORD_OUTS = 6

cdef enum recorder_fault_kind:
    FAULT_NONE = 0
    FAULT_RESET = 1                 # the peer reset a connection
    FAULT_TIMEOUT = 2               # the peer is gone
    FAULT_ABORTED = 3               # we reset a connection
    FAULT_EXCEPTION = 4             # a callback or the run ended by one
    FAULT_DEMAND = 5                # asked for
    FAULT_CHECK = 6                 # an internal check stopped the process (FIXWIRE_DEBUG)
    FAULTS = 7

cdef struct record:                 # `kept` octets follow
    uint64_t at_ns
    uint32_t len                    # of the frame
    uint16_t kept
    uint8_t direction
    uint8_t verdict                 # netif_verdict, or record_out
    uint8_t l4                      # layer 4's verdict or reason, RECORD_NONE
    uint8_t protocol                # IPv4's, whose names l4 is from
    uint8_t state                   # of the connection afterwards
    uint8_t pad

cdef struct recorder:
    uint8_t *slots
    uint32_t slot_size
    uint32_t mask
    uint32_t snap
    uint64_t count                  # frames seen; the last mask + 1 of them are kept
    # -- set by layer 4 while it handles or builds a segment
    uint8_t l4
    uint8_t state
    uint8_t protocol
    # -- dumps
    uint32_t requested              # FAULT_DEMAND wanted, set by anybody, a signal handler too
    int fault                       # first recorder_fault_kind since the last dump
    int64_t utc_offset_ns
    uint64_t next_dump_ns           # no earlier: a storm of faults is one file a second
    uint64_t faults
    uint64_t dumps
    uint64_t failed                 # files that could not be written
    uint32_t pid
    capture_out out                 # its buffer holds a whole dump
    char directory[RECORDER_DIR]    # empty: faults are counted, nothing is written
    char rx_name[32][RECORD_WORDS]  # by netif_verdict
    char rx_l4_name[32][RECORD_WORDS]
    char tx_l4_name[32][RECORD_WORDS]
    char state_name[16][RECORD_WORDS]
    recorder *next                  # of those that leave a file when a check stops the process

cdef recorder *recorder_new(uint32_t frames, uint32_t snap) noexcept nogil
cdef void recorder_free(recorder *r) noexcept nogil
cdef inline record *recorder_at(const recorder *r, uint64_t i) noexcept nogil:
    return <record *>(r.slots + (i & r.mask) * r.slot_size)

cdef inline uint64_t recorder_take(recorder *r, const uint8_t *p, uint32_t n, uint8_t direction,
                                   uint64_t now_ns) noexcept nogil:
    """A copy of the frame, its fate still open; its number for recorder_judge."""
    cdef uint64_t i = r.count
    cdef record *x = recorder_at(r, i)
    r.count = i + 1
    x.at_ns = now_ns
    x.len = n
    x.kept = <uint16_t>(n if n < r.snap else r.snap)
    x.direction = direction
    x.verdict = x.l4 = RECORD_NONE
    memcpy(<uint8_t *>x + sizeof(record), p, x.kept)
    return i

cdef inline void recorder_judge(recorder *r, uint64_t i, uint8_t verdict) noexcept nogil:
    """What became of frame i, and what layer 4 said of it; that is forgotten then."""
    cdef record *x = recorder_at(r, i)
    if r.count - i <= r.mask + <uint64_t>1:     # else its slot is another frame's by now
        x.verdict = verdict
        x.l4 = r.l4
        x.protocol = r.protocol
        x.state = r.state
    r.l4 = RECORD_NONE

cdef inline void recorder_amend(recorder *r, uint64_t i, uint8_t verdict) noexcept nogil:
    """Frame i, the last one judged, fared otherwise."""
    recorder_at(r, i).verdict = verdict

cdef inline void recorder_l4(recorder *r, uint8_t protocol, int verdict, int state) noexcept nogil:
    """Layer 4 about the frame it is handling or handing down."""
    r.l4 = <uint8_t>verdict
    r.protocol = protocol
    r.state = <uint8_t>state

cdef inline void recorder_fault(recorder *r, int kind) noexcept nogil:
    """Something a human will want to look at: dumped at the end of this step, if a directory was named."""
    if r != NULL:
        r.faults += 1
        if r.fault == FAULT_NONE or r.fault == FAULT_ABORTED:      # a RST of ours is how a timeout ends
            r.fault = kind

# Writes the file a fault or a request has asked for; at most one a second of now_ns.
cdef void recorder_serve(recorder *r, uint64_t now_ns) noexcept nogil
# Everything that is kept, oldest first, to a new file at `path`; 0 or the errno.
cdef int recorder_dump(recorder *r, const char *path) noexcept nogil
cdef uint32_t recorder_comment(const recorder *r, const record *x, char *out, uint32_t room) noexcept nogil
