"""Passive reassembly for Python: class Tap over stack/tap, for tests, notebooks and one's own tools."""
from typing import NamedTuple

from libc.stdint cimport INT64_MAX, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy

from stack.tap cimport tap, tap_ethernet, tap_finish, tap_flow, tap_free, tap_init, tap_ipv4, tap_passage, tap_sink, tap_watermark


cdef struct tap_piece:
    uint64_t number
    uint32_t addr[2]                # source, destination
    uint16_t port[2]
    int64_t ts_ns
    size_t end                      # in octets; it begins where the piece before ends

cdef struct tap_log:                # what on_text got since the last call
    tap_piece *pieces
    size_t n_pieces
    size_t room_pieces
    uint8_t *octets
    size_t n_octets
    size_t room_octets
    bint full                       # no memory


cdef uint32_t tap_collect(void *ctx, tap_flow *flow, int d, const tap_passage *text) noexcept nogil:
    """Sink of class Tap: everything is taken and copied."""
    cdef tap_log *g = <tap_log *>ctx
    cdef uint32_t n = text.n
    cdef tap_piece *x
    cdef void *more
    if g.n_pieces == g.room_pieces:
        more = realloc(g.pieces, (2 * g.room_pieces + 16) * sizeof(tap_piece))
        if more == NULL:
            g.full = True
            return n
        g.pieces = <tap_piece *>more
        g.room_pieces = 2 * g.room_pieces + 16
    if g.n_octets + n > g.room_octets:
        more = realloc(g.octets, 2 * (g.n_octets + n))
        if more == NULL:
            g.full = True
            return n
        g.octets = <uint8_t *>more
        g.room_octets = 2 * (g.n_octets + n)
    memcpy(g.octets + g.n_octets, text.p, n)
    g.n_octets += n
    x = &g.pieces[g.n_pieces]
    g.n_pieces += 1
    x.number = flow.number
    x.addr[0] = flow.addr[d]
    x.addr[1] = flow.addr[d ^ 1]
    x.port[0] = flow.port[d]
    x.port[1] = flow.port[d ^ 1]
    x.ts_ns = text.ts_ns
    x.end = g.n_octets
    return n


class Text(NamedTuple):
    """Octets of one direction in order: `flow` counts connections from 0, ends as "10.0.0.1:5001"."""

    flow: int
    src: str
    dst: str
    text: bytes
    ts_ns: int


def _end(uint32_t addr, uint16_t port):
    return f"{addr >> 24}.{addr >> 16 & 255}.{addr >> 8 & 255}.{addr & 255}:{port}"


cdef class Tap:
    """Passive reassembly of captured packets: `input` each, take the text that came in order from what it returns.

    `flows` connections at once, `memory` octets may wait in all, `checksums=True` drops segments whose checksum is wrong.
    ValueError for limits outside 1..2**24 and below 4 MiB, MemoryError.
    """
    cdef tap t
    cdef tap_log log

    def __cinit__(self, flows=65536, memory=256 << 20, checksums=False):
        cdef tap_sink sink
        if not 0 < flows <= 1 << 24:
            raise ValueError(f"flows is {flows}, must be 1..{1 << 24}")
        if not 4 << 20 <= memory <= 1 << 40:
            raise ValueError(f"memory is {memory}, must be {4 << 20}..{1 << 40}")
        sink.ctx = &self.log
        sink.on_text = tap_collect
        if not tap_init(&self.t, &sink, flows, memory):
            raise MemoryError(f"no memory for {flows} connections")
        self.t.checksums = checksums

    def __dealloc__(self):
        tap_free(&self.t)
        free(self.log.pieces)
        free(self.log.octets)

    def input(self, const uint8_t[::1] packet not None, ts_ns, link="ethernet", cut=False):
        """[Text, ...] that came in order by one captured packet. `link` is ethernet or ipv4; `cut`: it was longer."""
        cdef int64_t ts = ts_ns
        cdef bint is_cut = cut
        if link not in ("ethernet", "ipv4"):
            raise ValueError(f"link is {link!r}, must be ethernet or ipv4")
        if not 0 < packet.shape[0] <= 1 << 24:
            raise ValueError(f"packet has {packet.shape[0]} octets, must be 1..{1 << 24}")
        if link == "ethernet":
            tap_ethernet(&self.t, &packet[0], packet.shape[0], is_cut, ts)
        else:
            tap_ipv4(&self.t, &packet[0], packet.shape[0], is_cut, ts)
        return self.collected()

    def finish(self):
        """[Text, ...] of what waited behind holes that will never be filled. The tap is empty afterwards."""
        tap_finish(&self.t)
        return self.collected()

    cdef list collected(self):
        cdef size_t i, begin = 0
        cdef tap_piece *x
        found = []
        for i in range(self.log.n_pieces):
            x = &self.log.pieces[i]
            if x.end > begin:
                found.append(Text(x.number, _end(x.addr[0], x.port[0]), _end(x.addr[1], x.port[1]),
                                  self.log.octets[begin:x.end], x.ts_ns))
            begin = x.end
        self.log.n_pieces = self.log.n_octets = 0
        if self.log.full:
            raise MemoryError("no memory for reassembled text")
        return found

    def stats(self):
        """dict of the counters of tap_stats, named as in tap.pxd, and `memory`: octets of buffers."""
        return {**self.t.stats, "memory": self.t.memory}

    @property
    def watermark_ns(self):
        """No text can come any more that was captured before this; None: nothing waits."""
        cdef int64_t ns = tap_watermark(&self.t)
        return None if ns == INT64_MAX else ns
