# cython: language_level=3
"""The inline readers and writers of fix/*.pxd as a user's module gets them, for tests/test_fix_encode.py."""
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from fix.digits cimport fix_digits_e8, fix_digits_int, fix_digits_uint, fix_write_e8, fix_write_fixed, fix_write_int, \
    fix_write_uint
from fix.encode cimport (
    FIX_WRITER_SLACK, fix_begin, fix_finish, fix_put_bool, fix_put_char, fix_put_decimal_e8, fix_put_int,
    fix_add_str, fix_cursor, fix_put_price_e8, fix_put_raw, fix_put_str, fix_put_uint, fix_put_utc, fix_room, fix_writer, fix_writer_alloc,
    fix_writer_free, fix_writer_version,
)
from fix.message cimport fix_field, fix_find, fix_find_after, fix_get, fix_msg, fix_msgtype
from fix.parse cimport fix_msg_alloc, fix_msg_free, fix_parse
from fix.template cimport (
    fix_fill_decimal_e8, fix_fill_int, fix_fill_piece, fix_fill_str, fix_fill_uint, fix_fill_utc, fix_template,
    fix_template_begin, fix_template_end, fix_template_hole,
)
from fix.timestamp cimport fix_stamp, fix_text_date, fix_text_time, fix_text_utc, fix_write_utc

cdef uint8_t text[256]


cdef uint32_t put(bytes value):
    memset(text, 0x39, 256)             # what is behind the value must not matter
    memcpy(text, <const char *>value, len(value))
    return <uint32_t>len(value)


def read_uint(bytes value):
    cdef uint64_t v = 0
    return fix_digits_uint(text, put(value), &v), v


def read_int(bytes value):
    cdef int64_t v = 0
    return fix_digits_int(text, put(value), &v), v


def read_e8(bytes value):
    cdef int64_t v = 0
    return fix_digits_e8(text, put(value), &v), v


def read_utc(bytes value):
    cdef int64_t v = 0
    return v if fix_text_utc(text, put(value), &v) else None


def read_time(bytes value):
    cdef int64_t v = 0
    return v if fix_text_time(text, put(value), &v) else None


def read_date(bytes value):
    cdef int32_t v = 0
    return v if fix_text_date(text, put(value), &v) else None


def write_uint(v):
    return text[:fix_write_uint(text, v) - text]


def write_int(v):
    return text[:fix_write_int(text, v) - text]


def write_e8(v, decimals=0):
    return text[:fix_write_e8(text, v, decimals) - text]


def write_fixed(v, width):
    return text[:fix_write_fixed(text, v, width) - text]


cdef class Stamp:
    cdef fix_stamp stamp

    def write(self, utc_ns, decimals):
        return text[:fix_write_utc(&self.stamp, text, utc_ns, decimals) - text]


cdef class Writer:
    """A fix_writer."""
    cdef fix_writer w
    cdef uint32_t size

    def __cinit__(self, size=4096):
        self.size = size
        if not fix_writer_alloc(&self.w, size):
            raise MemoryError

    def __dealloc__(self):
        fix_writer_free(&self.w)

    def version(self, bytes s):
        return fix_writer_version(&self.w, s, <uint32_t>len(s))

    def begin(self, bytes msgtype):
        fix_begin(&self.w, fix_msgtype(msgtype))

    def str(self, tag, bytes s):
        fix_put_str(&self.w, tag, s, <uint32_t>len(s))

    def raw(self, bytes s):
        fix_put_raw(&self.w, s, <uint32_t>len(s))

    def uint(self, tag, v):
        fix_put_uint(&self.w, tag, v)

    def int(self, tag, v):
        fix_put_int(&self.w, tag, v)

    def char(self, tag, v):
        fix_put_char(&self.w, tag, v)

    def bool(self, tag, v):
        fix_put_bool(&self.w, tag, v)

    def price(self, tag, v):
        fix_put_price_e8(&self.w, tag, v)

    def decimal(self, tag, v, decimals):
        fix_put_decimal_e8(&self.w, tag, v, decimals)

    def utc(self, tag, v, decimals):
        fix_put_utc(&self.w, tag, v, decimals)

    def room(self, n):
        return fix_room(&self.w, n)

    def used(self):
        return self.w.at.p - self.w.body

    def limit(self):
        return self.size + FIX_WRITER_SLACK

    def finish(self):
        cdef const uint8_t *p = NULL
        cdef uint32_t n = 0
        return p[:n] if fix_finish(&self.w, &p, &n) else None


cdef class Template:
    """A fix_template; `fill` puts it into a Writer as the fields of its body."""
    cdef fix_template t
    cdef fix_cursor c

    def __cinit__(self):
        self.c = fix_template_begin(&self.t)

    def str(self, tag, bytes s):
        fix_add_str(&self.c, tag, s, <uint32_t>len(s))

    def hole(self, tag):
        fix_template_hole(&self.t, &self.c, tag)

    def end(self):
        return fix_template_end(&self.t, &self.c)

    def fill(self, Writer w, values):
        cdef fix_cursor c = w.w.at
        cdef uint32_t i = 0
        for kind, value in values:
            fix_fill_piece(&c, &self.t, i)
            i += 1
            if kind == "str":
                fix_fill_str(&c, <bytes>value, <uint32_t>len(value))
            elif kind == "uint":
                fix_fill_uint(&c, value)
            elif kind == "int":
                fix_fill_int(&c, value)
            elif kind == "price":
                fix_fill_decimal_e8(&c, value, 0)
            else:
                fix_fill_utc(&c, value, 9)
        fix_fill_piece(&c, &self.t, i)
        w.w.at = c


def hints(bytes message, tags):
    """For each tag asked in turn with one hint: (place found or None, the hint afterwards); and all places by tag."""
    cdef fix_msg m
    cdef uint16_t hint = 0
    cdef const fix_field *f
    padded = message + bytes(64)
    fix_msg_alloc(&m, 0)
    fix_parse(&m, padded, <uint32_t>len(message))
    got = []
    for tag in tags:
        f = fix_get(&m, tag, &hint)
        got.append((None if f == NULL else f - m.fields, hint))
    every = []
    f = fix_find(&m, tags[0])
    while f != NULL:
        every.append(f - m.fields)
        f = fix_find_after(&m, f, tags[0])
    fix_msg_free(&m)
    return got, every
