# Passive reassembly: both directions of connections seen from outside, in a capture or on a mirror port.
# The rules differ from a receiver's (RFC 9293 section 3.10.7.4): nobody answers us, what was not captured may never come.
#
# Deviations from what an endpoint does, each because the observer is not one:
#   a connection whose SYN was not seen begins TAP_BACK octets before the first text seen, and waits for what may still
#   come from before it, for TAP_PATIENCE segments at most; a hole is given up when its receiver has acknowledged beyond it and TAP_GRACE_NS and
#   TAP_GRACE_SEGMENTS have passed since, or when it needs more memory than a stream may have; the window is not known,
#   so any text within reach of the buffer counts; checksums are not verified unless asked (a host that offloads them
#   captures its own frames without).
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from stack.reassembly cimport reass
from stack.tap_marks cimport tap_marks, tap_marks_when

cdef enum:
    TAP_BACK = 48 * 1024
    TAP_PATIENCE = 64
    TAP_GRACE_SEGMENTS = 32
    TAP_SIZES = 3                   # classes of buffers

cdef enum tap_state:
    TAP_NOTHING = 0                 # no text and no SYN yet
    TAP_HELD = 1                    # no SYN: text waits until earlier text can no longer come
    TAP_LIVE = 2                    # `nxt` is the next octet

cdef struct tap_buffer:             # what a stream has that waits: an unfinished message, text behind a hole
    reass r
    uint32_t size                   # class, index of tap_limits
    tap_marks marks                 # when it was captured
    # when the receiver was first seen to have the octets before the first range
    uint32_t covered_seq
    uint32_t covered_segments
    int64_t covered_ns
    bint covered
    int64_t since_ns                # nothing in it came before
    # every buffer in use, longest first
    tap_flow *flow
    int direction
    tap_buffer *older
    tap_buffer *newer

cdef struct tap_stream:             # one direction
    uint8_t state                   # tap_state
    bint syn_seen
    bint ack_seen
    uint32_t nxt                    # RCV.NXT of its receiver, as far as we know
    uint32_t high                   # one past the highest octet seen
    uint32_t isn                    # with syn_seen
    uint32_t first                  # first octet seen, without
    uint32_t acked                  # highest SEG.ACK of the other direction, with ack_seen
    uint32_t strays                 # segments in a row too far from nxt, each following the one before
    uint32_t stray_nxt
    uint32_t need                   # octets on_text wants before it is called again, set by on_text; 0 = any
    tap_buffer *wait                # NULL: nothing waits

cdef struct tap_flow:               # one connection; end 0 is the lower (address, port)
    uint32_t addr[2]                # host order
    uint16_t port[2]
    uint32_t segments
    uint64_t number                 # from 0, in the order in which connections appeared
    tap_stream stream[2]            # by the end that sends
    tap_flow *chain                 # of the hash bucket, or of the free list
    tap_flow *colder                # least recently used first out
    tap_flow *warmer

cdef struct tap_passage:
    const uint8_t *p                # in order, beginning with any octets left unconsumed before. 64 octets behind p+n may
    uint32_t n                      # be read where FRAME_SLACK holds for what tap_* is given
    bint last                       # nothing will ever follow directly (a hole, the end): what is not consumed is dropped
    int64_t ts_ns                   # when all of it had come; parts of it: tap_when
    uint32_t end                    # sequence number behind it
    const tap_marks *marks          # NULL: it came at once

cdef struct tap_sink:
    void *ctx
    # Text from the end `direction` of the flow -> octets consumed from the front, the rest waits for more.
    uint32_t (*on_text)(void *ctx, tap_flow *flow, int direction, const tap_passage *x) noexcept nogil

cdef struct tap_stats:
    uint64_t packets                # given to tap_ethernet or tap_ipv4
    uint64_t not_ipv4
    uint64_t fragments              # of IPv4 datagrams: not put together
    uint64_t not_tcp
    uint64_t malformed              # IPv4 or TCP header that cannot be
    uint64_t bad_checksum           # only counted when checksums are verified; dropped then
    uint64_t segments
    uint64_t flows
    uint64_t evicted                # connections forgotten because the table was full
    uint64_t retransmissions        # segments with octets that had been seen before
    uint64_t out_of_order           # segments of new octets from before the highest seen (RFC 4737 section 3)
    uint64_t cut                    # segments of which only a part was captured
    uint64_t gaps                   # holes given up
    uint64_t gap_octets
    uint64_t conflicting            # octets that came twice and differed: the first copy counts
    uint64_t outside                # segments too far from the stream to belong to it
    uint64_t squeezed               # buffers taken away because there were too many

cdef struct tap:
    tap_sink sink
    bint checksums                  # verify TCP checksums and drop what is wrong
    tap_stats stats
    tap_flow **buckets
    uint32_t bucket_mask
    tap_flow *flows
    uint32_t n_flows
    uint32_t used_flows             # slots ever used
    tap_flow *free_flows
    tap_flow *coldest
    tap_flow *warmest
    tap_flow *recent                # the flow of the segment before
    tap_buffer *oldest              # buffers in use
    tap_buffer *newest
    tap_buffer *spare[3]
    uint64_t memory                 # octets of buffers in use and spare
    uint64_t max_memory
    int64_t grace_ns

cdef inline uint32_t tap_bucket(const tap *t, uint32_t a, uint16_t a_port, uint32_t b, uint16_t b_port) noexcept nogil:
    cdef uint64_t x = (<uint64_t>a << 32 | b) * <uint64_t>0x9E3779B97F4A7C15
    x ^= x >> 32
    x = (x + (<uint64_t>a_port << 16 | b_port)) * <uint64_t>0xD6E8FEB86659FD93
    return <uint32_t>(x >> 32) & t.bucket_mask

cdef inline bint tap_is(const tap_flow *f, uint32_t a, uint16_t a_port, uint32_t b, uint16_t b_port) noexcept nogil:
    return f.addr[0] == a and f.addr[1] == b and f.port[0] == a_port and f.port[1] == b_port

cdef inline int64_t tap_when(const tap_passage *x, uint32_t upto) noexcept nogil:
    """When the first `upto` (1..x.n) octets of the passage had been captured, and all before them."""
    return x.ts_ns if x.marks == NULL else tap_marks_when(x.marks, x.end - x.n + upto)

# Up to `flows` connections at once and `memory` octets of what waits. False: no memory.
cdef bint tap_init(tap *t, const tap_sink *sink, uint32_t flows, uint64_t memory) noexcept nogil
cdef void tap_free(tap *t) noexcept nogil
# One captured frame / IPv4 packet: `n` octets of it at p were captured at `ts_ns`, it was longer if `cut`.
cdef void tap_ethernet(tap *t, const uint8_t *p, uint32_t n, bint cut, int64_t ts_ns) noexcept nogil
cdef void tap_ipv4(tap *t, const uint8_t *p, uint32_t n, bint cut, int64_t ts_ns) noexcept nogil
# Everything that waits is passed up, every connection forgotten: the end of the capture.
cdef void tap_finish(tap *t) noexcept nogil
# No text will be passed up any more that came before this (INT64_MAX: nothing waits).
cdef int64_t tap_watermark(const tap *t) noexcept nogil
