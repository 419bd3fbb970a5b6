"""What a capture says in FIX: packets to streams (stack/tap) to messages (fix/parse) to lines of JSON, without the GIL.

A message is whatever has the right BodyLength and CheckSum behind `8=FIX`; a stretch that begins `8=FIX` and has not is
garbled. fix_parse judges first; messages it would not trade on (another BeginString, no MsgType in third place, more
than 65,535 octets) are judged here by their frame alone, since whoever looks at a capture wants to see them.
"""
from libc.stdint cimport INT64_MAX, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, qsort, realloc
from libc.string cimport memchr, memcpy

from dpdk_py.capture cimport CAPTURE_END, CAPTURE_PACKET, PcapReader, capture, capture_next, capture_packet
from fix.message cimport FIX_GARBLED_BEGINSTRING, FIX_GARBLED_MSGTYPE, FIX_GARBLED_TOO_LONG, fix_field, fix_find, fix_msg
from fix.parse cimport FIX_COMPLETE, FIX_GARBLED, FIX_PARTIAL, fix_msg_alloc, fix_msg_free, fix_next_begin, \
    fix_octet_sum, fix_parse
from stack.tap cimport tap, tap_ethernet, tap_finish, tap_flow, tap_free, tap_init, tap_passage, tap_sink, \
    tap_watermark, tap_when

from dpdk_py.capture import PcapReader
from dpdk_py.errors import PcapError

cdef extern from *:
    """
    #include <stdint.h>
    #include <stdio.h>
    #include <string.h>
    #if defined(__SSE2__)
    #include <emmintrin.h>
    #endif
    /* The n octets at p as the inside of a JSON string, SOH as '|', octets from 0x80 as Latin-1. At most 6 n octets and
       16 more are written; returns how many count. */
    static size_t fw_json_text(uint8_t *out, const uint8_t *p, size_t n) {
        static const char hex[] = "0123456789abcdef";
        uint8_t *o = out;
        size_t i = 0;
        while (i < n) {
            uint8_t c;
    #if defined(__SSE2__)
            for (; i + 16 <= n; i += 16, o += 16) {
                __m128i v = _mm_loadu_si128((const __m128i *)(p + i));
                __m128i soh = _mm_cmpeq_epi8(v, _mm_set1_epi8(1));
                __m128i odd = _mm_or_si128(_mm_andnot_si128(soh, _mm_cmplt_epi8(v, _mm_set1_epi8(0x20))),
                              _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('"')), _mm_cmpeq_epi8(v, _mm_set1_epi8('\\\\'))));
                if (_mm_movemask_epi8(odd)) break;
                _mm_storeu_si128((__m128i *)o, _mm_or_si128(_mm_and_si128(soh, _mm_set1_epi8('|')), _mm_andnot_si128(soh, v)));
            }
            if (i == n) break;
    #endif
            c = p[i++];
            if (c == 1) *o++ = '|';
            else if (c == '"' || c == '\\\\') { *o++ = '\\\\'; *o++ = c; }
            else if (c >= 0x20 && c < 0x80) *o++ = c;
            else { memcpy(o, "\\\\u00", 4); o[4] = hex[c >> 4]; o[5] = hex[c & 15]; o += 6; }
        }
        return (size_t)(o - out);
    }
    static size_t fw_json_uint(uint8_t *out, uint64_t x) {
        uint8_t d[20];
        size_t n = 0, i;
        do { d[n++] = (uint8_t)('0' + x % 10); x /= 10; } while (x);
        for (i = 0; i < n; i++) out[i] = d[n - 1 - i];
        return n;
    }
    static size_t fw_json_end(uint8_t *out, uint32_t a, uint16_t port) {
        uint8_t *o = out;
        int i;
        for (i = 24; i >= 0; i -= 8) { o += fw_json_uint(o, a >> i & 255); *o++ = i ? '.' : ':'; }
        return (size_t)(o - out) + fw_json_uint(o, port);
    }
    """
    size_t json_text "fw_json_text"(uint8_t *out, const uint8_t *p, size_t n) noexcept nogil
    size_t json_uint "fw_json_uint"(uint8_t *out, uint64_t x) noexcept nogil
    size_t json_end "fw_json_end"(uint8_t *out, uint32_t a, uint16_t port) noexcept nogil

cdef enum:
    LONGEST = 1_000_000             # octets of a message judged by its frame: what a stream of the tap can hold
    TYPES = 64                      # MsgTypes counted apart
    PENDING = 64 << 20              # octets that may wait for a hole before they are given out of their order
    BATCH = 4 << 20                 # octets after which read() returns

cdef struct entry:                  # one message, its octets or its line in `octets`
    int64_t ts_ns
    uint64_t number
    size_t begin
    size_t end
    uint32_t addr[2]
    uint16_t port[2]

cdef struct msgtype_count:
    uint64_t msgtype
    uint64_t count

cdef struct transcript:
    tap t
    fix_msg m
    int lines                       # 0: only counted, 1: octets are kept, 2: lines of JSON
    uint32_t n_wanted               # of MsgTypes, 0 = all
    uint64_t wanted[32]
    uint32_t host                   # 0 = all
    uint16_t port                   # 0 = all
    uint64_t messages
    uint64_t garbled
    uint32_t n_types
    msgtype_count types[64]
    uint64_t octets_seen
    uint64_t octets_summed          # by frame_whole, for messages above 65,535 octets
    entry *entries
    size_t n_entries
    size_t room_entries
    uint8_t *octets
    size_t n_octets
    size_t room_octets
    uint64_t number
    bint no_memory


# -- messages in a stream

cdef uint32_t transcript_text(void *ctx, tap_flow *flow, int d, const tap_passage *text) noexcept nogil:
    """Sink of the tap: every message in the text; what may still become one waits unless this is the last of it."""
    cdef transcript *x = <transcript *>ctx
    cdef const uint8_t *p = text.p
    cdef uint32_t n = text.n, at = 0, total = 0
    cdef int verdict
    while at < n:
        verdict = fix_parse(&x.m, p + at, n - at)
        if verdict == FIX_GARBLED and x.m.garbled in (FIX_GARBLED_BEGINSTRING, FIX_GARBLED_MSGTYPE, FIX_GARBLED_TOO_LONG):
            verdict = frame_whole(x, p + at, n - at, &total)
            if verdict == FIX_COMPLETE:
                transcript_message(x, flow, d, p + at, total, False, tap_when(text, at + total))
                at += total
                continue
            if verdict == FIX_PARTIAL:
                x.m.need = total
        if verdict == FIX_COMPLETE:
            transcript_message(x, flow, d, p + at, x.m.n, True, tap_when(text, at + x.m.n))
            at += x.m.n
        elif verdict == FIX_PARTIAL and not text.last:
            flow.stream[d].need = x.m.need
            break
        else:
            if n - at >= 5 and begins(p + at):
                x.garbled += 1
            at += fix_next_begin(p + at, n - at)
    x.octets_seen += at
    return at


cdef inline bint begins(const uint8_t *p) noexcept nogil:
    return p[0] == 56 and p[1] == 61 and p[2] == 70 and p[3] == 73 and p[4] == 88      # 8=FIX


cdef int frame_whole(transcript *x, const uint8_t *p, uint32_t n, uint32_t *total) noexcept nogil:
    """Is there a message by its frame alone: `8=FIX...|9=digits|`, BodyLength octets, `10=ddd|` with their sum?

    *total: its octets if FIX_COMPLETE, the octets to come back with if FIX_PARTIAL. `p` begins `8=FIX`.
    """
    cdef uint32_t i = 5, digits = 0, length = 0
    while i < 32 and i < n and p[i] != 1:
        i += 1
    if i < 32 and i + 3 >= n:
        total[0] = i + 4
        return FIX_PARTIAL
    if i == 32 or p[i + 1] != 57 or p[i + 2] != 61:
        return FIX_GARBLED
    i += 3
    while i < n and 48 <= p[i] <= 57 and digits < 9:
        length = length * 10 + (p[i] - 48)
        digits += 1
        i += 1
    if i == n:
        total[0] = n + 1
        return FIX_PARTIAL
    if p[i] != 1 or digits == 0 or length > LONGEST - 64:
        return FIX_GARBLED
    i += 1 + length
    total[0] = i + 7
    if total[0] > n:
        return FIX_PARTIAL
    if p[i - 1] != 1 or p[i] != 49 or p[i + 1] != 48 or p[i + 2] != 61 or p[i + 6] != 1:
        return FIX_GARBLED
    if total[0] > 65_535:
        # Text made for it could have every stretch summed again and again; the work stays in proportion to the text.
        if x.octets_summed > 64 * x.octets_seen + (<uint64_t>16 << 20):
            return FIX_GARBLED
        x.octets_summed += total[0]
    length = fix_octet_sum(p, i) & 255
    if p[i + 3] != 48 + length // 100 or p[i + 4] != 48 + length // 10 % 10 or p[i + 5] != 48 + length % 10:
        return FIX_GARBLED
    return FIX_COMPLETE


cdef const uint8_t *frame_find(const uint8_t *p, uint32_t n, const char *tag, uint32_t k, uint32_t *length) noexcept nogil:
    """Value of the first field `tag` (with its '=') of a message that fix_parse does not read, or NULL."""
    cdef uint32_t i, j
    cdef const uint8_t *soh
    for i in range(n):
        if p[i] == 1 and i + k < n:
            j = 0
            while j < k and p[i + 1 + j] == <uint8_t>tag[j]:
                j += 1
            if j == k:
                soh = <const uint8_t *>memchr(p + i + 1 + k, 1, n - i - 1 - k)
                length[0] = <uint32_t>(soh - (p + i + 1 + k)) if soh != NULL else 0
                return p + i + 1 + k if soh != NULL else NULL
    return NULL


# -- a message becomes an entry

cdef void transcript_message(transcript *x, tap_flow *flow, int d, const uint8_t *p, uint32_t n, bint parsed,
                             int64_t ts_ns) noexcept nogil:
    """Count the message of n octets at p, and keep it if it was asked for. `parsed`: x.m holds its fields."""
    cdef const uint8_t *kind = NULL
    cdef uint32_t kind_len = 0, i
    cdef uint64_t msgtype = 0
    cdef entry *e
    if parsed:
        msgtype = x.m.MsgType
        kind = p + x.m.fields[2].off
        kind_len = x.m.fields[2].len
    else:
        kind = frame_find(p, n, b"35=", 3, &kind_len)
        if kind != NULL and kind_len <= 8:
            memcpy(&msgtype, kind, kind_len)
    x.messages += 1
    i = 0
    while i < x.n_types and x.types[i].msgtype != msgtype:
        i += 1
    if i < x.n_types:
        x.types[i].count += 1
    elif i < TYPES:
        x.types[i].msgtype = msgtype
        x.types[i].count = 1
        x.n_types += 1
    if x.lines == 0 or not transcript_wanted(x, flow, msgtype):
        return
    if not transcript_room(x, 6 * <size_t>n + 6 * kind_len + 512):
        return
    e = &x.entries[x.n_entries]
    x.n_entries += 1
    e.ts_ns = ts_ns
    e.number = x.number
    x.number += 1
    e.begin = x.n_octets
    e.addr[0] = flow.addr[d]
    e.addr[1] = flow.addr[d ^ 1]
    e.port[0] = flow.port[d]
    e.port[1] = flow.port[d ^ 1]
    if x.lines == 1:
        memcpy(x.octets + x.n_octets, p, n)
        x.n_octets += n
    else:
        x.n_octets += transcript_line(x, e, x.octets + x.n_octets, p, n, kind, kind_len, parsed)
    e.end = x.n_octets


cdef bint transcript_wanted(const transcript *x, const tap_flow *flow, uint64_t msgtype) noexcept nogil:
    cdef uint32_t i
    if x.host and not ((flow.addr[0] == x.host and x.port in (0, flow.port[0])) or
                       (flow.addr[1] == x.host and x.port in (0, flow.port[1]))):
        return False
    for i in range(x.n_wanted):
        if x.wanted[i] == msgtype:
            return True
    return x.n_wanted == 0


cdef bint transcript_room(transcript *x, size_t octets) noexcept nogil:
    cdef void *more
    cdef size_t room
    if x.n_entries == x.room_entries:
        room = 2 * x.room_entries + 1024
        more = realloc(x.entries, room * sizeof(entry))
        if more == NULL:
            x.no_memory = True
            return False
        x.entries = <entry *>more
        x.room_entries = room
    if x.n_octets + octets > x.room_octets:
        room = 2 * (x.n_octets + octets)
        more = realloc(x.octets, room)
        if more == NULL:
            x.no_memory = True
            return False
        x.octets = <uint8_t *>more
        x.room_octets = room
    return True


cdef inline size_t put(uint8_t *out, const char *text, size_t n) noexcept nogil:
    memcpy(out, text, n)
    return n


cdef size_t transcript_line(const transcript *x, const entry *e, uint8_t *out, const uint8_t *p, uint32_t n,
                            const uint8_t *kind, uint32_t kind_len, bint parsed) noexcept nogil:
    """One object and a newline at `out`; returns its octets."""
    cdef uint8_t *o = out
    cdef const fix_field *f
    cdef const uint8_t *seq = NULL
    cdef const uint8_t *dup = NULL
    cdef uint32_t seq_len = 0, dup_len = 0, i
    cdef uint64_t number = 0
    if parsed:
        f = fix_find(&x.m, 34)
        if f != NULL:
            seq = p + f.off
            seq_len = f.len
        f = fix_find(&x.m, 43)
        if f != NULL:
            dup = p + f.off
            dup_len = f.len
    else:
        seq = frame_find(p, n, b"34=", 3, &seq_len)
        dup = frame_find(p, n, b"43=", 3, &dup_len)
    o += put(o, b'{"ts_ns":', 9)
    if e.ts_ns < 0:
        o += put(o, b"-", 1)
    o += json_uint(o, <uint64_t>(e.ts_ns if e.ts_ns >= 0 else -e.ts_ns))
    o += put(o, b',"src":"', 8)
    o += json_end(o, e.addr[0], e.port[0])
    o += put(o, b'","dst":"', 9)
    o += json_end(o, e.addr[1], e.port[1])
    o += put(o, b'","MsgType":', 12)
    if kind == NULL:
        o += put(o, b"null", 4)
    else:
        o += put(o, b'"', 1)
        o += json_text(o, kind, kind_len)
        o += put(o, b'"', 1)
    o += put(o, b',"MsgSeqNum":', 13)
    for i in range(seq_len):
        if not 48 <= seq[i] <= 57 or i == 18:
            seq_len = 0
            break
        number = number * 10 + (seq[i] - 48)
    if seq_len:
        o += json_uint(o, number)
    else:
        o += put(o, b"null", 4)
    if dup_len == 1 and dup[0] == 89:
        o += put(o, b',"PossDupFlag":true,"raw":"', 27)
    else:
        o += put(o, b',"PossDupFlag":false,"raw":"', 28)
    o += json_text(o, p, n)
    o += put(o, b'"}\n', 3)
    return <size_t>(o - out)


cdef int entry_order(const void *a, const void *b) noexcept nogil:
    cdef const entry *x = <const entry *>a
    cdef const entry *y = <const entry *>b
    if x.ts_ns != y.ts_ns:
        return -1 if x.ts_ns < y.ts_ns else 1
    return -1 if x.number < y.number else 1


cdef size_t transcript_due(transcript *x, bint all_of_them) noexcept nogil:
    """Put the entries in order of time; how many of them nothing can come before any more."""
    cdef size_t i, k
    cdef bint sorted = True
    cdef int64_t mark = INT64_MAX if all_of_them or x.n_octets > PENDING else tap_watermark(&x.t)
    for i in range(1, x.n_entries):
        if entry_order(&x.entries[i - 1], &x.entries[i]) > 0:
            sorted = False
            break
    if not sorted:
        qsort(x.entries, x.n_entries, sizeof(entry), entry_order)
    if mark == INT64_MAX:
        return x.n_entries
    k = x.n_entries
    while k and x.entries[k - 1].ts_ns >= mark:
        k -= 1
    return k


# -- for Python

cdef str end_of(uint32_t addr, uint16_t port):
    return f"{addr >> 24}.{addr >> 16 & 255}.{addr >> 8 & 255}.{addr & 255}:{port}"


cdef class Transcript:
    """The FIX messages of a capture file, both directions of every connection, in order of time.

    `lines`: "none" only counts, "octets" gives (ts_ns, src, dst, raw), "json" gives lines. `types` (at most 32 MsgTypes)
    and `host`, `port` limit what is given, not what is counted. `checksums`: drop segments whose TCP checksum is wrong.
    Call `read` until it returns False, and `take` after each. OSError or PcapError where the file cannot be opened or is
    no capture; damage further on ends the reading and is in `error`. Memory does not grow with the file.
    """
    cdef transcript x
    cdef PcapReader reader
    cdef bint done
    cdef readonly object error

    def __cinit__(self, path, *, lines="none", types=(), host=None, port=None, checksums=False):
        import ipaddress
        cdef tap_sink sink
        cdef transcript *x = &self.x
        if lines not in ("none", "octets", "json"):
            raise ValueError(f"lines is {lines!r}, must be none, octets or json")
        x.lines = ("none", "octets", "json").index(lines)
        if len(types) > 32:
            raise ValueError(f"types has {len(types)} MsgTypes, at most 32")
        for kind in types:
            octets = kind.encode("latin-1", "replace")
            if not 0 < len(octets) <= 8:
                raise ValueError(f"MsgType {kind!r} must have 1 to 8 characters")
            x.wanted[x.n_wanted] = int.from_bytes(octets, "little")
            x.n_wanted += 1
        x.host = int(ipaddress.IPv4Address(host)) if host is not None else 0
        x.port = port or 0
        self.reader = PcapReader(path)
        sink.ctx = x
        sink.on_text = transcript_text
        if not fix_msg_alloc(&x.m, 0) or not tap_init(&x.t, &sink, 65_536, 256 << 20):
            raise MemoryError("no memory for connections and fields")
        x.t.checksums = checksums

    def __dealloc__(self):
        tap_free(&self.x.t)
        fix_msg_free(&self.x.m)
        free(self.x.entries)
        free(self.x.octets)

    def read(self, packets=65_536):
        """Read on, at most so many packets. False when the capture is at its end (`take` once more then)."""
        cdef capture_packet c
        cdef capture *cap = &self.reader.cap
        cdef transcript *x = &self.x
        cdef int r = CAPTURE_PACKET
        cdef size_t left = packets, before = x.n_octets
        if self.done:
            return False
        with nogil:
            while left and x.n_octets - before < BATCH and not x.no_memory:
                r = capture_next(cap, &c, True)
                if r != CAPTURE_PACKET:
                    break
                left -= 1
                tap_ethernet(&x.t, c.data, c.len, c.len < c.orig_len, c.ts_ns)
            if r != CAPTURE_PACKET:
                tap_finish(&x.t)
        if r != CAPTURE_PACKET:
            self.done = True
            if r != CAPTURE_END:
                self.error = PcapError(self.reader.path, cap.error_offset, cap.error.decode(errors="replace"))
        if x.no_memory:
            raise MemoryError("no memory for the messages of this capture")
        return not self.done

    def take(self):
        """What was read and is due: bytes of whole lines, or a list of (ts_ns, src, dst, raw); none: always empty."""
        cdef transcript *x = &self.x
        cdef size_t due, i, n
        cdef entry *e
        with nogil:
            due = transcript_due(x, self.done)
        if x.lines != 1:
            pieces = []
            i = 0
            while i < due:                          # neighbours in memory leave as one piece
                e = &x.entries[i]
                n = e.end
                i += 1
                while i < due and x.entries[i].begin == n:
                    n = x.entries[i].end
                    i += 1
                pieces.append(x.octets[e.begin:n])
            out = b"".join(pieces)
        else:
            out = []
            for i in range(due):
                e = &x.entries[i]
                out.append((e.ts_ns, end_of(e.addr[0], e.port[0]), end_of(e.addr[1], e.port[1]), x.octets[e.begin:e.end]))
        self.forget(due)
        return out

    cdef int forget(self, size_t due) except -1:
        """The first `due` entries were taken; what the others have moves to the front."""
        cdef transcript *x = &self.x
        cdef size_t i, n, kept = 0
        cdef uint8_t *fresh = NULL
        if due < x.n_entries:
            for i in range(due, x.n_entries):
                kept += x.entries[i].end - x.entries[i].begin
            fresh = <uint8_t *>realloc(NULL, kept + 1)
            if fresh == NULL:
                raise MemoryError("no memory for the messages of this capture")
            kept = 0
            for i in range(due, x.n_entries):
                n = x.entries[i].end - x.entries[i].begin
                memcpy(fresh + kept, x.octets + x.entries[i].begin, n)
                x.entries[i - due] = x.entries[i]
                x.entries[i - due].begin = kept
                kept += n
                x.entries[i - due].end = kept
            free(x.octets)
            x.octets = fresh
            x.room_octets = kept + 1
        x.n_entries -= due
        x.n_octets = kept
        return 0

    def summary(self):
        """dict: packets, flows, messages, garbled, retransmissions, out_of_order, truncated, and more that is named.

        packets: of the file. flows: TCP connections. messages, garbled: see above. retransmissions: segments with octets
        that had been seen. out_of_order: segments of new octets from before the highest seen (RFC 4737). truncated:
        packets that are not whole, cut by the capture or by the end of the file. gaps: holes that never filled.
        """
        cdef transcript *x = &self.x
        types = {}
        for i in range(x.n_types):
            octets = (<uint64_t>x.types[i].msgtype).to_bytes(8, "little").rstrip(b"\0")
            types[octets.decode("latin-1")] = x.types[i].count
        return {
            "packets": self.reader.packets, "flows": x.t.stats.flows, "messages": x.messages, "garbled": x.garbled,
            "retransmissions": x.t.stats.retransmissions, "out_of_order": x.t.stats.out_of_order,
            "truncated": self.reader.cut + self.reader.truncated, "gaps": x.t.stats.gaps,
            "bad_checksum": x.t.stats.bad_checksum, "MsgTypes": dict(sorted(types.items(), key=lambda i: (-i[1], i[0]))),
        }

    @property
    def progress(self):
        """Part of the file that was read, 0 to 1; None where its size is not known (a pipe)."""
        size = self.reader.size
        return min(1.0, self.reader.offset / size) if size else None

    @property
    def truncated(self):
        """The file ends within a packet."""
        return bool(self.reader.truncated)

    def close(self):
        """Close the file."""
        self.done = True
        self.reader.close()
