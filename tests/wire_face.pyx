"""The inline functions of stack/wire, one Python function each: compiled by tests/compiled.py."""
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from stack.wire.arp cimport *
from stack.wire.checksum cimport *
from stack.wire.ethernet cimport *
from stack.wire.icmp cimport *
from stack.wire.ipv4 cimport *
from stack.wire.tcp cimport *
from stack.wire.udp cimport *

cdef extern from "<sys/mman.h>" nogil:
    int PROT_NONE, PROT_READ, PROT_WRITE, MAP_PRIVATE, MAP_ANONYMOUS
    void *mmap(void *, size_t, int, int, int, long)
    int mprotect(void *, size_t, int)
    int munmap(void *, size_t)

cdef enum:
    PAGE = 4096


cdef class Fence:
    """`n` octets with an unreadable page right behind them, or right in front: any overrun ends the process."""
    cdef uint8_t *base
    cdef uint8_t *p
    cdef Py_ssize_t n

    def __init__(self, bytes data not None, bint behind=True):
        self.n = len(data)
        self.base = <uint8_t *>mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        mprotect(self.base, PAGE, PROT_NONE)
        mprotect(self.base + 2 * PAGE, PAGE, PROT_NONE)
        self.p = self.base + 2 * PAGE - self.n if behind else self.base + PAGE
        memcpy(self.p, <const uint8_t *>data, self.n)

    def __dealloc__(self):
        munmap(self.base, 3 * PAGE)

    def data(self):
        return self.p[:self.n]


def use(int isa):
    return csum_use(isa)


def isa():
    return csum_isa_now


def sum_in(Fence fence, uint64_t start=0):
    return csum_fold(csum_partial(fence.p, <uint32_t>fence.n, start))


def copy_in(Fence to, Fence source, uint64_t start=0):
    assert to.n == source.n
    return csum_fold(csum_copy(to.p, source.p, <uint32_t>source.n, start))


def checksum(const uint8_t[::1] data, int at=0, uint64_t start=0):
    cdef uint32_t n = <uint32_t>data.shape[0] - at
    return csum_fold(csum_partial(&data[at], n, start) if n else start)


def two_pieces(bytes data, int cut):
    """The sum of the whole from those of its two pieces, the first of any length."""
    cdef const uint8_t *p = data
    cdef uint64_t first = csum_partial(p, cut, 0)
    cdef uint64_t second = csum_partial(p + cut, <uint32_t>len(data) - cut, 0)
    return csum_fold(csum_add(first, csum_swap(second) if cut & 1 else second))


def pseudo(uint32_t src, uint32_t dst, uint8_t protocol, uint32_t n):
    return csum_fold(csum_pseudo(src, dst, protocol, n))


def tcp_sum(uint32_t src, uint32_t dst, bytes segment):
    return tcp_csum(src, dst, segment, <uint32_t>len(segment))


cdef bytes octets(const uint8_t *p, Py_ssize_t n):
    return (<const char *>p)[:n]


def ethernet(bytes b):
    cdef eth_hdr h
    if not eth_parse(&h, b, <uint32_t>len(b)):
        return None
    return {"dst": octets(h.dst, 6), "src": octets(h.src, 6), "type": h.ethertype, "tagged": bool(h.tagged), "tci": h.tci,
            "payload": octets(h.payload, h.payload_len)}


def ethernet_emit(bytes dst, bytes src, int ethertype, tci=None):
    cdef uint8_t p[64]
    cdef uint32_t n
    if tci is None:
        n = eth_emit(p, dst, src, ethertype)
    else:
        n = eth_emit_tagged(p, dst, src, tci, ethertype)
    return octets(p, n)


def arp(bytes b):
    cdef arp_packet h
    if not arp_parse(&h, b, <uint32_t>len(b)):
        return None
    return {"op": h.op, "sha": octets(h.sha, 6), "spa": h.spa, "tha": octets(h.tha, 6), "tpa": h.tpa}


def arp_out(int op, bytes sha, uint32_t spa, bytes tha, uint32_t tpa):
    cdef uint8_t p[64]
    return octets(p, arp_emit(p, op, sha, spa, tha, tpa))


cdef dict ipv4_fields(ipv4_hdr *h, const uint8_t *p):
    return {"hlen": h.hlen, "tos": h.tos, "ttl": h.ttl, "len": h.total_length, "id": h.identification,
            "frag": h.fragment, "proto": h.protocol, "src": h.source, "dst": h.destination,
            "payload_at": h.payload - p, "payload_len": h.payload_len}


def ipv4(bytes b):
    cdef ipv4_hdr h
    if not ipv4_parse(&h, b, <uint32_t>len(b)):
        return None
    fields = ipv4_fields(&h, b)
    fields["ok"] = bool(ipv4_checksum_ok(&h))
    return fields


def ipv4_quoted(bytes b):
    cdef ipv4_hdr h
    return ipv4_fields(&h, b) if ipv4_parse_quoted(&h, b, <uint32_t>len(b)) else None


def ipv4_out(int tos, int length, int ident, int fragment, int ttl, int protocol, uint32_t src, uint32_t dst):
    cdef uint8_t p[64]
    return octets(p, ipv4_emit(p, tos, length, ident, fragment, ttl, protocol, src, dst))


def icmp(bytes b):
    cdef icmp_hdr h
    if not icmp_parse(&h, b, <uint16_t>len(b)):
        return None
    return {"type": h.type, "code": h.code, "rest": h.rest, "mtu": h.mtu, "body": octets(h.body, h.body_len),
            "ok": bool(icmp_checksum_ok(b, <uint16_t>len(b)))}


def icmp_out(int type, int code, uint32_t rest, bytes body):
    cdef uint8_t *p = <uint8_t *>malloc(8 + len(body))
    memcpy(p + 8, <const uint8_t *>body, len(body))
    try:
        return octets(p, icmp_emit(p, type, code, rest, <uint16_t>(8 + len(body))))
    finally:
        free(p)


def udp(bytes b):
    cdef udp_hdr h
    if not udp_parse(&h, b, <uint16_t>len(b)):
        return None
    return {"sport": h.source_port, "dport": h.destination_port, "len": h.length, "sum": bool(h.checksummed),
            "data": octets(h.data, h.data_len)}


def udp_out(int sport, int dport, bytes data, uint32_t src, uint32_t dst):
    cdef uint8_t *p = <uint8_t *>malloc(8 + len(data))
    memcpy(p + 8, <const uint8_t *>data, len(data))
    try:
        b = octets(p, udp_emit(p, sport, dport, <uint16_t>len(data), src, dst))
        return b, bool(udp_checksum_ok(src, dst, p, <uint16_t>len(b)))
    finally:
        free(p)


def tcp(bytes b):
    cdef tcp_seg s
    if not tcp_parse(&s, b, <uint32_t>len(b)):
        return None
    return {"sport": s.source_port, "dport": s.destination_port, "seq": s.seq, "ack": s.ack, "flags": s.flags,
            "wnd": s.wnd, "up": s.up, "hlen": s.hlen, "options": octets(s.options, s.hlen - TCP_HLEN),
            "text": octets(s.text, s.text_len)}


def tcp_options(bytes b):
    """(well formed, what was understood)"""
    cdef tcp_opt o
    cdef Fence fence = Fence(b)
    memset(&o, 0xA5, sizeof(o))
    ok = tcp_parse_options(&o, fence.p, <uint32_t>len(b))
    out = {}
    if o.has_mss:
        out["mss"] = o.mss
    if o.has_wscale:
        out["wscale"] = o.wscale
    if o.sack_permitted:
        out["sack_permitted"] = True
    if o.has_timestamps:
        out["timestamps"] = (o.tsval, o.tsecr)
    if o.has_uto:
        out["uto"] = o.uto
    if o.sack_count:
        out["sack"] = [(o.sack[k].left, o.sack[k].right) for k in range(o.sack_count)]
    return bool(ok), out


def tcp_uto(uint64_t ns):
    """(field for a timeout of ns, what that field says in ns)"""
    cdef uint16_t field = tcp_uto_field(ns)
    return field, tcp_uto_ns(field)


def tcp_timestamps(bytes b):
    cdef uint32_t tsval = 0, tsecr = 0
    return (tsval, tsecr) if tcp_parse_timestamps(b, <uint32_t>len(b), &tsval, &tsecr) else None


def tcp_out(int sport, int dport, uint32_t seq, uint32_t ack, int hlen, int flags, int wnd, int up):
    cdef uint8_t p[64]
    return octets(p, tcp_emit(p, sport, dport, seq, ack, hlen, flags, wnd, up))


def tcp_options_out(mss=None, wscale=None, sack_permitted=None, timestamps=None, sack=(), padded=True, uto=None):
    cdef uint8_t p[128]
    cdef tcp_sack_block blocks[4]
    cdef uint32_t n = 0
    if mss is not None:
        n += tcp_emit_mss(p + n, mss)
    if sack_permitted:
        n += tcp_emit_sack_permitted(p + n, padded)
    if timestamps:
        n += tcp_emit_timestamps(p + n, timestamps[0], timestamps[1], padded)
    if wscale is not None:
        n += tcp_emit_wscale(p + n, wscale)
    if uto is not None:
        n += tcp_emit_uto(p + n, uto)
    if sack:
        for k, (a, b) in enumerate(sack):
            blocks[k].left, blocks[k].right = a, b
        n += tcp_emit_sack(p + n, blocks, <uint32_t>len(sack))
    return octets(p, n)
