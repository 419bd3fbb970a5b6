# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The loops of bench/fix_message.py: fix_parse, reads, typed encoding and templates over a file of varied messages."""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcmp, memcpy

from fix.encode cimport (
    fix_add_char, fix_add_decimal_e8, fix_add_str, fix_add_uint, fix_add_utc, fix_begin, fix_cursor, fix_finish, fix_writer,
    fix_writer_alloc, fix_writer_free,
)
from fix.message cimport (
    FIX_SLACK, fix_field, fix_find, fix_find_after, fix_get, fix_msg, fix_read_char, fix_read_price_e8, fix_read_uint,
    fix_read_utc_ns,
)
from fix.template cimport (
    fix_fill_decimal_e8, fix_fill_piece, fix_fill_str, fix_fill_uint, fix_fill_utc, fix_template, fix_template_begin,
    fix_template_end, fix_template_hole,
)
from fix.validate cimport FIX_VALID, Validator, fix_check
from fix.parse cimport FIX_COMPLETE, fix_msg_alloc, fix_msg_free, fix_octet_sum, fix_parse

cdef extern from *:
    """
    #include <time.h>
    static inline uint64_t bench_ns(void) {
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t)t.tv_sec * 1000000000u + t.tv_nsec;
    }
    """
    uint64_t bench_ns() noexcept nogil

ctypedef int (*floor_fn)(const uint8_t *p, size_t n, uint64_t *out, uint32_t *sum) noexcept nogil

cdef struct entry:                      # of a market data message
    uint8_t action, kind
    const uint8_t *id
    const uint8_t *symbol
    const uint8_t *time
    uint32_t id_n, symbol_n, time_n
    int64_t px
    uint64_t size

cdef struct values:                     # what a typed encoder is given
    uint64_t seq
    int64_t sent, done
    const uint8_t *text[8]
    uint32_t n[8]
    uint64_t uints[6]
    int64_t prices[4]
    uint8_t chars[8]
    uint32_t entries
    entry *entry                    # in memory of their own: the other kinds' values lie close together


cdef enum:
    TEMPLATES = 16                      # as many orders as a strategy may well have at hand


cdef class Messages:
    """The messages of a file, parsed once, and the values in them."""
    cdef uint8_t *octets
    cdef uint32_t *begin
    cdef values *given
    cdef entry *entry
    cdef uint32_t entries
    cdef fix_msg m
    cdef fix_writer w
    cdef fix_template templates[16]
    cdef readonly uint32_t count
    cdef readonly uint64_t kind

    def __cinit__(self, bytes data):
        cdef uint32_t at = 0
        self.octets = <uint8_t *>malloc(len(data) + FIX_SLACK)
        memcpy(self.octets, <const char *>data, len(data))
        self.begin = <uint32_t *>malloc(4 * (len(data) // 26 + 1))
        if not fix_msg_alloc(&self.m, 0) or not fix_writer_alloc(&self.w, 4096):
            raise MemoryError
        while at < len(data):
            if fix_parse(&self.m, self.octets + at, <uint32_t>len(data) - at) != FIX_COMPLETE:
                raise ValueError("not messages back to back")
            self.begin[self.count] = at
            self.count += 1
            at += self.m.n
        self.begin[self.count] = at
        self.kind = self.m.MsgType
        self.given = <values *>calloc(self.count, sizeof(values))
        self.entry = <entry *>calloc(16 * self.count, sizeof(entry))
        for at in range(self.count):
            self.given[at].entry = &self.entry[self.entries]
            self.take(&self.given[at], at)

    def __dealloc__(self):
        fix_msg_free(&self.m)
        fix_writer_free(&self.w)
        free(self.octets)
        free(self.begin)
        free(self.given)
        free(self.entry)

    cdef take(self, values *v, uint32_t i):
        cdef fix_msg *m = &self.m
        cdef const fix_field *f
        cdef int k = 0
        cdef entry *e
        fix_parse(m, self.octets + self.begin[i], self.begin[i + 1] - self.begin[i])
        fix_read_uint(m, fix_find(m, 34), &v.seq)
        fix_read_utc_ns(m, fix_find(m, 52), &v.sent)
        fix_read_utc_ns(m, fix_find(m, 60), &v.done)
        for k, tag in enumerate((49, 56, 11, 1, 55, 17, 37, 262)):
            f = fix_find(m, tag)
            if f != NULL:
                v.text[k] = m.p + f.off
                v.n[k] = f.len
        for k, tag in enumerate((38, 14, 32, 151)):
            fix_read_uint(m, fix_find(m, tag), &v.uints[k])
        for k, tag in enumerate((44, 6, 31)):
            fix_read_price_e8(m, fix_find(m, tag), &v.prices[k])
        for k, tag in enumerate((21, 40, 54, 59, 39, 150)):
            fix_read_char(m, fix_find(m, tag), &v.chars[k])
        f = fix_find(m, 279)
        while f != NULL:
            e = &v.entry[v.entries]
            fix_read_char(m, f, &e.action)
            fix_read_char(m, f + 1, &e.kind)
            e.id, e.id_n = m.p + f[2].off, f[2].len
            e.symbol, e.symbol_n = m.p + f[3].off, f[3].len
            fix_read_price_e8(m, f + 4, &e.px)
            fix_read_uint(m, f + 5, &e.size)
            e.time, e.time_n = m.p + f[6].off, f[6].len
            v.entries += 1
            f = fix_find_after(m, f, 279)
        self.entries += v.entries

    cdef inline bint put(self, values *v, const uint8_t **p, uint32_t *n) noexcept nogil:
        cdef fix_writer *w = &self.w
        cdef entry *e
        cdef uint32_t k
        cdef fix_cursor c
        fix_begin(w, self.kind)
        c = w.at
        fix_add_uint(&c, 34, v.seq)
        fix_add_str(&c, 49, v.text[0], v.n[0])
        fix_add_utc(&c, 52, v.sent, 3)
        fix_add_str(&c, 56, v.text[1], v.n[1])
        if self.kind == 0x44:           # NewOrderSingle
            fix_add_str(&c, 11, v.text[2], v.n[2])
            fix_add_str(&c, 1, v.text[3], v.n[3])
            fix_add_char(&c, 21, v.chars[0])
            fix_add_uint(&c, 38, v.uints[0])
            fix_add_char(&c, 40, v.chars[1])
            fix_add_decimal_e8(&c, 44, v.prices[0], 2)
            fix_add_char(&c, 54, v.chars[2])
            fix_add_str(&c, 55, v.text[4], v.n[4])
            fix_add_char(&c, 59, v.chars[3])
            fix_add_utc(&c, 60, v.done, 3)
        elif self.kind == 0x38:         # ExecutionReport
            fix_add_str(&c, 1, v.text[3], v.n[3])
            fix_add_decimal_e8(&c, 6, v.prices[1], 2)
            fix_add_str(&c, 11, v.text[2], v.n[2])
            fix_add_uint(&c, 14, v.uints[1])
            fix_add_str(&c, 17, v.text[5], v.n[5])
            fix_add_decimal_e8(&c, 31, v.prices[2], 2)
            fix_add_uint(&c, 32, v.uints[2])
            fix_add_str(&c, 37, v.text[6], v.n[6])
            fix_add_uint(&c, 38, v.uints[0])
            fix_add_char(&c, 39, v.chars[4])
            fix_add_char(&c, 40, v.chars[1])
            fix_add_decimal_e8(&c, 44, v.prices[0], 2)
            fix_add_char(&c, 54, v.chars[2])
            fix_add_str(&c, 55, v.text[4], v.n[4])
            fix_add_char(&c, 59, v.chars[3])
            fix_add_utc(&c, 60, v.done, 3)
            fix_add_char(&c, 150, v.chars[5])
            fix_add_uint(&c, 151, v.uints[3])
        else:                           # MarketDataIncrementalRefresh
            fix_add_str(&c, 262, v.text[7], v.n[7])
            fix_add_uint(&c, 268, v.entries)
            for k in range(v.entries):
                e = &v.entry[k]
                fix_add_char(&c, 279, e.action)
                fix_add_char(&c, 269, e.kind)
                fix_add_str(&c, 278, e.id, e.id_n)
                fix_add_str(&c, 55, e.symbol, e.symbol_n)
                fix_add_decimal_e8(&c, 270, e.px, 2)
                fix_add_uint(&c, 271, e.size)
                fix_add_str(&c, 273, e.time, e.time_n)
        w.at = c
        return fix_finish(w, p, n)

    def check(self):
        """How many messages come out of the encoder as they were in the file."""
        cdef const uint8_t *p
        cdef uint32_t i, n, same = 0
        for i in range(self.count):
            if self.put(&self.given[i], &p, &n) and n == self.begin[i + 1] - self.begin[i] \
                    and memcmp(p, self.octets + self.begin[i], n) == 0:
                same += 1
        return same

    def in_one_second(self):
        """From now on every message is of the first one's second, as a session's are; the octets are not the file's any more."""
        cdef uint32_t i
        for i in range(self.count):
            self.given[i].sent = self.given[i].done = self.given[0].sent // 10**9 * 10**9 + i % 1000 * 10**6

    cdef bint prepare(self, fix_template *t, values *v) noexcept nogil:
        """A NewOrderSingle with header, of which the numbers, the times and ClOrdID are still to come."""
        cdef fix_cursor c = fix_template_begin(t)
        fix_template_hole(t, &c, 34)
        fix_add_str(&c, 49, v.text[0], v.n[0])
        fix_template_hole(t, &c, 52)
        fix_add_str(&c, 56, v.text[1], v.n[1])
        fix_template_hole(t, &c, 11)
        fix_add_str(&c, 1, v.text[3], v.n[3])
        fix_add_char(&c, 21, v.chars[0])
        fix_template_hole(t, &c, 38)
        fix_add_char(&c, 40, v.chars[1])
        fix_template_hole(t, &c, 44)
        fix_add_char(&c, 54, v.chars[2])
        fix_add_str(&c, 55, v.text[4], v.n[4])
        fix_add_char(&c, 59, v.chars[3])
        fix_template_hole(t, &c, 60)
        return fix_template_end(t, &c)

    cdef inline bint fill(self, fix_template *t, values *v, const uint8_t **p, uint32_t *n) noexcept nogil:
        cdef fix_writer *w = &self.w
        cdef fix_cursor c
        fix_begin(w, self.kind)
        c = w.at
        fix_fill_piece(&c, t, 0)
        fix_fill_uint(&c, v.seq)
        fix_fill_piece(&c, t, 1)
        fix_fill_utc(&c, v.sent, 3)
        fix_fill_piece(&c, t, 2)
        fix_fill_str(&c, v.text[2], v.n[2])
        fix_fill_piece(&c, t, 3)
        fix_fill_uint(&c, v.uints[0])
        fix_fill_piece(&c, t, 4)
        fix_fill_decimal_e8(&c, v.prices[0], 2)
        fix_fill_piece(&c, t, 5)
        fix_fill_utc(&c, v.done, 3)
        fix_fill_piece(&c, t, 6)
        w.at = c
        return fix_finish(w, p, n)

    def check_templates(self):
        """How many messages come out of a template as they were in the file; prepares those of `encode_template`."""
        cdef const uint8_t *p
        cdef uint32_t i, n, same = 0
        for i in range(self.count - 1, -1, -1):
            if self.prepare(&self.templates[i % TEMPLATES], &self.given[i]) \
                    and self.fill(&self.templates[i % TEMPLATES], &self.given[i], &p, &n) \
                    and n == self.begin[i + 1] - self.begin[i] and memcmp(p, self.octets + self.begin[i], n) == 0:
                same += 1
        return same

    def encode_template(self):
        """Nanoseconds to fill in every message's values, in turn into sixteen templates."""
        cdef const uint8_t *p
        cdef uint32_t i, n, total = 0
        cdef uint64_t t = bench_ns()
        with nogil:
            for i in range(self.count):
                self.fill(&self.templates[i % TEMPLATES], &self.given[i], &p, &n)
                total += n
        t = bench_ns() - t
        return t if total else 0

    def encode(self):
        """Nanoseconds to encode every message."""
        cdef const uint8_t *p
        cdef uint32_t i, n, total = 0
        cdef uint64_t t = bench_ns()
        with nogil:
            for i in range(self.count):
                self.put(&self.given[i], &p, &n)
                total += n
        t = bench_ns() - t
        if total != self.begin[self.count]:
            raise AssertionError("encoded octets differ")
        return t

    def parse(self):
        """Nanoseconds to parse every message, all fields."""
        cdef uint32_t i, total = 0
        cdef uint64_t t = bench_ns()
        with nogil:
            for i in range(self.count):
                if fix_parse(&self.m, self.octets + self.begin[i], self.begin[i + 1] - self.begin[i]) == FIX_COMPLETE:
                    total += self.m.n
        t = bench_ns() - t
        if total != self.begin[self.count]:
            raise AssertionError("parsed octets differ")
        return t

    def parse_read(self):
        """Nanoseconds to parse every message and read eight fields by hints."""
        cdef uint32_t i, k
        cdef uint16_t hints[8]
        cdef uint64_t u, got = 0
        cdef int64_t px
        cdef uint8_t c
        cdef fix_msg *m = &self.m
        cdef uint64_t t
        for k in range(8):
            hints[k] = 0
        t = bench_ns()
        with nogil:
            for i in range(self.count):
                fix_parse(m, self.octets + self.begin[i], self.begin[i + 1] - self.begin[i])
                got += fix_read_uint(m, fix_get(m, 34, &hints[0]), &u)
                got += fix_read_utc_ns(m, fix_get(m, 52, &hints[1]), &px)
                got += fix_get(m, 11, &hints[2]) != NULL
                got += fix_get(m, 55, &hints[3]) != NULL
                got += fix_read_char(m, fix_get(m, 54, &hints[4]), &c)
                got += fix_read_uint(m, fix_get(m, 38, &hints[5]), &u)
                got += fix_read_price_e8(m, fix_get(m, 44, &hints[6]), &px)
                got += fix_read_char(m, fix_get(m, 40, &hints[7]), &c)
        return bench_ns() - t

    def parse_check(self, Validator rules):
        """Nanoseconds to parse every message and check it against the dictionary."""
        cdef uint32_t i, tag, valid = 0
        cdef void *tables = rules.rules
        cdef uint64_t t = bench_ns()
        with nogil:
            for i in range(self.count):
                fix_parse(&self.m, self.octets + self.begin[i], self.begin[i + 1] - self.begin[i])
                valid += fix_check(tables, &self.m, &tag) == FIX_VALID
        t = bench_ns() - t
        if valid != self.count:
            raise AssertionError(f"{self.count - valid} messages are not valid")
        return t

    def octet_sum(self):
        """Nanoseconds to sum the octets of every message."""
        cdef uint32_t i, total = 0
        cdef uint64_t t = bench_ns()
        with nogil:
            for i in range(self.count):
                total += fix_octet_sum(self.octets + self.begin[i], self.begin[i + 1] - self.begin[i])
        t = bench_ns() - t
        return t if total else 0

    def floor(self, size_t address):
        """Nanoseconds a yardstick's scanner takes for every message."""
        cdef floor_fn scan = <floor_fn><void *>address
        cdef uint32_t i, total = 0, s
        cdef uint64_t t = bench_ns()
        with nogil:
            for i in range(self.count):
                total += scan(self.octets + self.begin[i], self.begin[i + 1] - self.begin[i], <uint64_t *>self.m.fields, &s)
        t = bench_ns() - t
        return t if total else 0
