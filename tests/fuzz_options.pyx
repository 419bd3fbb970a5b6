"""Fuzzed: the TCP header and its options, against a second reader that first cuts them into pieces and then looks at each."""
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp, memcpy, memset

from fuzz_input cimport harness
from stack.wire.tcp cimport *

cdef int planted = 0    # 1: the judge does not know that one SACK block is as good as more


cdef bint cut(const uint8_t *p, uint32_t n, uint8_t *starts, uint32_t *count) noexcept nogil:
    """Where each option with a length begins; False where the list is damaged behind the last of them."""
    cdef uint32_t at = 0
    count[0] = 0
    while at < n and p[at] != 0:
        if p[at] == 1:
            at += 1
        elif n - at < 2 or p[at + 1] < 2 or p[at + 1] > n - at:
            return False
        else:
            starts[count[0]] = <uint8_t>at
            count[0] += 1
            at += p[at + 1]
    return True


cdef uint32_t word(const uint8_t *p, int n) noexcept nogil:
    cdef uint32_t x = 0
    cdef int i
    for i in range(n):
        x = x << 8 | p[i]
    return x


cdef const char *judge(const uint8_t *p, uint32_t n, bint found, const tcp_opt *o) noexcept nogil:
    cdef uint8_t[40] starts
    cdef uint32_t count, i, k
    cdef const uint8_t *x
    cdef const uint8_t *last[29]        # the last well-formed option of each kind counts
    memset(last, 0, sizeof(last))
    if cut(p, n, starts, &count) != found:
        return b"a damaged list of options was not told from a whole one"
    for i in range(count):
        x = p + starts[i]
        if (x[0] == 2 and x[1] == 4) or (x[0] == 3 and x[1] == 3) or (x[0] == 4 and x[1] == 2) or \
                (x[0] == 8 and x[1] == 10) or x[0] == 28 or (x[0] == 5 and x[1] % 8 == 2 and x[1] > 2 + planted * 8):
            last[x[0]] = x
    if o.has_mss != (last[2] != NULL) or (o.has_mss and o.mss != word(last[2] + 2, 2)):
        return b"MSS"
    if o.has_wscale != (last[3] != NULL) or (o.has_wscale and o.wscale != min(word(last[3] + 2, 1), 14)):
        return b"window scale"
    if o.sack_permitted != (last[4] != NULL):
        return b"SACK permitted"
    if o.has_timestamps != (last[8] != NULL) or (o.has_timestamps and (
            o.tsval != word(last[8] + 2, 4) or o.tsecr != word(last[8] + 6, 4))):
        return b"timestamps"
    if o.has_uto != (last[28] != NULL) or (o.has_uto and o.uto != (word(last[28] + 2, 2) if last[28][1] == 4 else 0)):
        return b"user timeout"
    if o.sack_count != (0 if last[5] == NULL else (last[5][1] - 2) // 8):
        return b"number of SACK blocks"
    for k in range(o.sack_count):
        if o.sack[k].left != word(last[5] + 2 + 8 * k, 4) or o.sack[k].right != word(last[5] + 6 + 8 * k, 4):
            return b"SACK block"
    return NULL


cdef const char *again(const tcp_opt *o) noexcept nogil:
    """What was read is written and read once more."""
    cdef uint8_t[80] out
    cdef tcp_opt back
    cdef uint32_t n = 0
    if o.has_mss:
        n += tcp_emit_mss(out + n, o.mss)
    if o.has_wscale:
        n += tcp_emit_wscale(out + n, o.wscale)
    if o.sack_permitted:
        n += tcp_emit_sack_permitted(out + n, o.has_mss)
    if o.has_timestamps:
        n += tcp_emit_timestamps(out + n, o.tsval, o.tsecr, o.sack_permitted)
    if o.has_uto:
        n += tcp_emit_uto(out + n, tcp_uto_field(tcp_uto_ns(o.uto)))    # but for zero every value can be sent
    if not tcp_parse_options(&back, out, n) or back.has_mss != o.has_mss or back.has_wscale != o.has_wscale \
            or back.sack_permitted != o.sack_permitted or back.has_timestamps != o.has_timestamps \
            or (o.has_mss and back.mss != o.mss) or (o.has_wscale and back.wscale != o.wscale) \
            or (o.has_timestamps and (back.tsval != o.tsval or back.tsecr != o.tsecr)) \
            or back.has_uto != o.has_uto or (o.has_uto and o.uto & 0x7FFF and tcp_uto_ns(back.uto) != tcp_uto_ns(o.uto)):
        return b"options written are not the ones read"
    if o.sack_count:
        n = tcp_emit_sack(out, o.sack, o.sack_count)
        if not tcp_parse_options(&back, out, n) or back.sack_count != o.sack_count \
                or memcmp(back.sack, o.sack, o.sack_count * sizeof(tcp_sack_block)) != 0:
            return b"SACK blocks written are not the ones read"
    return NULL


cdef const char *run(const uint8_t *data, size_t size) noexcept nogil:
    cdef uint32_t n = <uint32_t>size if size < 65535 else 65535, most
    cdef uint8_t *copy = <uint8_t *>malloc(n if n else 1)
    cdef tcp_seg seg
    cdef tcp_opt o
    cdef uint32_t val, ecr
    cdef bint found
    cdef const char *why = NULL
    memcpy(copy, data, n)
    if tcp_parse(&seg, copy, n):
        if seg.hlen < 20 or seg.hlen > 60 or seg.text_len + seg.hlen != n or seg.text != copy + seg.hlen:
            why = b"header and text are not the segment"
        else:
            found = tcp_parse_options(&o, seg.options, seg.hlen - 20)
            why = judge(seg.options, seg.hlen - 20, found, &o)
            if why == NULL and tcp_parse_timestamps(seg.options, seg.hlen - 20, &val, &ecr) and not (
                    o.has_timestamps and o.tsval == val and o.tsecr == ecr):
                why = b"timestamps by the short way"
    elif n >= 20 and 20 <= (copy[12] >> 4) * 4 <= n:
        why = b"a segment was refused"
    free(copy)
    if why == NULL:                     # and the octets as nothing but options, up to the end of their memory
        most = n if n < 40 else 40
        copy = <uint8_t *>malloc(most if most else 1)
        memcpy(copy, data, most)
        found = tcp_parse_options(&o, copy, most)
        why = judge(copy, most, found, &o)
        if why == NULL:
            why = again(&o)
        free(copy)
    return why


ENTRY = harness(run, &planted)
