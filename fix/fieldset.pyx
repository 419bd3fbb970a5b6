"""Reading fields: what a Message and an entry of a repeating group have in common.

A value is text unless it is asked for as something else: get_int, get_e8, get_decimal, get_utc_ns ... name their result,
attribute access (`msg.Price`) converts by the field's type in the dictionary.
"""
import datetime as _datetime
import decimal as _decimal

from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.unicode cimport PyUnicode_DecodeLatin1
from libc.stdint cimport int32_t, int64_t, uint64_t
from libc.string cimport memcpy

from fix.digits cimport fix_digits_e8, fix_digits_int, fix_digits_uint
from fix.message cimport FIX_MAX_FIELDS, fix_index_from, fix_is_yes
from fix.names cimport FieldNames
from fix.timestamp cimport fix_civil, fix_text_date, fix_text_is_utc, fix_text_time, fix_text_utc

from .attributes import ATTRIBUTES
from .errors import FieldMissing, FieldValueError

UNSET = object()
EPOCH = _datetime.datetime(1970, 1, 1, tzinfo=_datetime.timezone.utc)


cdef object text_of(const uint8_t *p, uint32_t n):
    return PyUnicode_DecodeLatin1(<const char *>p, n, NULL)


cdef class FieldSet(FieldNames):
    cdef fix_msg *_at(self) except NULL:
        raise NotImplementedError

    cdef uint32_t _first(self) noexcept:
        return 0

    cdef uint32_t _last(self) noexcept:
        return 0

    cdef object _message(self):
        return None

    cdef uint32_t _changes(self) noexcept:
        return 0

    cdef bint _own(self) noexcept:
        return False

    cdef uint32_t _tag(self, object key) except 0:
        """A tag from 44, "44" or "Price"."""
        cdef object number
        if type(key) is int:
            number = key
        elif isinstance(key, str):
            if key.isascii() and key.isdigit():
                number = int(key)
            else:
                return tag_named(self._message().dictionary, key)
        else:
            raise TypeError(f"a field is asked for by tag or name, not by {type(key).__name__}")
        if not 0 < number < 1 << 31:
            raise FieldMissing(f"tag {number} is not 1 to 2147483647")
        return number

    cdef const fix_field *_look(self, object key) except? NULL:
        cdef fix_msg *m = self._at()
        cdef uint32_t last = self._last()
        cdef uint32_t i = fix_index_from(m.fields, self._first(), last, self._tag(key))
        return &m.fields[i] if i < last else NULL

    cdef const fix_field *_need(self, object key) except NULL:
        cdef const fix_field *f = self._look(key)
        if f == NULL:
            raise FieldMissing(f"{self._message()._title()} has no {self._message()._field_title(self._tag(key))}")
        return f

    cdef const fix_field *_want(self, object key, object default) except? NULL:
        """The field; NULL if it is missing and there is a default for that."""
        cdef const fix_field *f = self._look(key)
        return self._need(key) if f == NULL and default is UNSET else f

    cdef object _refuse(self, const fix_field *f, str wanted):
        value = text_of(self._at().p + f.off, f.len)
        return FieldValueError(f"{self._message()._field_title(f.tag)} is {value!r}, must be {wanted}")

    def __getitem__(self, key):
        cdef const fix_field *f = self._need(key)
        return text_of(self._at().p + f.off, f.len)

    def __contains__(self, key):
        try:
            return self._look(key) != NULL
        except FieldMissing:
            return False

    def __len__(self):
        """Number of fields."""
        return self._last() - self._first()

    def __iter__(self):
        return iter(self.items())

    def items(self):
        """Every field in order as (tag, value); the tag of a field that has none is 0."""
        cdef uint32_t i
        cdef fix_msg *m = self._at()
        return [(m.fields[i].tag, text_of(m.p + m.fields[i].off, m.fields[i].len))
                for i in range(self._first(), self._last())]

    def tags(self):
        """Every tag in order, repeated ones as often as they stand there."""
        cdef uint32_t i
        cdef fix_msg *m = self._at()
        return [m.fields[i].tag for i in range(self._first(), self._last())]

    def get(self, key, default=None):
        """The value as text, or `default`."""
        cdef const fix_field *f = self._look(key)
        return default if f == NULL else text_of(self._at().p + f.off, f.len)

    def get_all(self, key):
        """The values of every field with that tag, in order."""
        cdef fix_msg *m = self._at()
        cdef uint32_t tag = self._tag(key), last = self._last()
        cdef uint32_t i = fix_index_from(m.fields, self._first(), last, tag)
        found = []
        while i < last:
            found.append(text_of(m.p + m.fields[i].off, m.fields[i].len))
            i = fix_index_from(m.fields, i + 1, last, tag)
        return found

    def get_bytes(self, key, default=UNSET):
        """The value's octets (a data field may hold any)."""
        cdef const fix_field *f = self._want(key, default)
        if f == NULL:
            return default
        return PyBytes_FromStringAndSize(<const char *>self._at().p + f.off, f.len)

    def get_int(self, key, default=UNSET):
        """The value as an integer."""
        cdef int64_t v = 0
        cdef const fix_field *f = self._want(key, default)
        if f == NULL:
            return default
        if fix_digits_int(self._at().p + f.off, f.len, &v) != 0:
            raise self._refuse(f, "an integer of 64 bits")
        return v

    def get_e8(self, key, default=UNSET):
        """A price, quantity or amount as an exact integer of 10^-8: 101.25 is 10125000000."""
        cdef int64_t v = 0
        cdef int wrong
        cdef const fix_field *f = self._want(key, default)
        if f == NULL:
            return default
        wrong = fix_digits_e8(self._at().p + f.off, f.len, &v)
        if wrong != 0:
            raise self._refuse(f, ("", "a decimal number", "within +-92233720368.54775807",
                                   "a number of at most 8 decimals")[wrong])
        return v

    def get_decimal(self, key, default=UNSET):
        """The value as a decimal.Decimal, all its digits kept."""
        cdef int64_t v = 0
        cdef const fix_field *f = self._want(key, default)
        if f == NULL:
            return default
        if fix_digits_e8(self._at().p + f.off, f.len, &v) == 1:
            raise self._refuse(f, "a decimal number")
        return _decimal.Decimal(text_of(self._at().p + f.off, f.len))

    def get_float(self, key, default=UNSET):
        """The value as a float."""
        cdef int64_t v = 0
        cdef const fix_field *f = self._want(key, default)
        cdef int wrong
        if f == NULL:
            return default
        wrong = fix_digits_e8(self._at().p + f.off, f.len, &v)
        if wrong == 1:
            raise self._refuse(f, "a decimal number")
        if wrong == 0 and -(<int64_t>1 << 53) <= v <= <int64_t>1 << 53:
            return <double>v / 1e8          # both are exact, so the quotient is the nearest double
        return float(text_of(self._at().p + f.off, f.len))

    def get_bool(self, key, default=UNSET):
        """The value as a bool; Y or N."""
        cdef const fix_field *f = self._want(key, default)
        if f == NULL:
            return default
        if f.len != 1 or self._at().p[f.off] not in (78, 89):
            raise self._refuse(f, "Y or N")
        return fix_is_yes(self._at(), f)

    def get_utc_ns(self, key, default=UNSET):
        """A UTCTimestamp as nanoseconds since 1970-01-01; a leap second is the next minute's first."""
        cdef int64_t v = 0
        cdef const fix_field *f = self._want(key, default)
        if f == NULL:
            return default
        if not fix_text_utc(self._at().p + f.off, f.len, &v):
            if fix_text_is_utc(self._at().p + f.off, f.len):
                raise self._refuse(f, "from 1677-09-21 to 2262-04-11 to be nanoseconds since 1970")
            raise self._refuse(f, "YYYYMMDD-HH:MM:SS[.sss[sss[sss]]]")
        return v

    def get_datetime(self, key, default=UNSET):
        """A UTCTimestamp as an aware datetime, cut to microseconds."""
        cdef object ns = self.get_utc_ns(key, default)
        if ns is default:
            return default
        return EPOCH + _datetime.timedelta(microseconds=ns // 1000)

    def get_date(self, key, default=UNSET):
        """A UTCDateOnly or LocalMktDate as a date."""
        cdef int32_t days = 0
        cdef uint32_t y, month, d
        cdef const fix_field *f = self._want(key, default)
        if f == NULL:
            return default
        if not fix_text_date(self._at().p + f.off, f.len, &days):
            raise self._refuse(f, "YYYYMMDD")
        fix_civil(days, &y, &month, &d)
        return _datetime.date(y, month, d)

    def get_time_ns(self, key, default=UNSET):
        """A UTCTimeOnly as nanoseconds of the day."""
        cdef int64_t v = 0
        cdef const fix_field *f = self._want(key, default)
        if f == NULL:
            return default
        if not fix_text_time(self._at().p + f.off, f.len, &v):
            raise self._refuse(f, "HH:MM:SS[.sss[sss[sss]]]")
        return v

    def group(self, key):
        """The repeating group that NoXxx counts, as a sequence; empty if there is no such field.

        Its members, and so the end of its last entry, are the dictionary's. A tag the dictionary does not know as a
        group's gives entries that begin with the field behind NoXxx and reach to the next such, or to the end.
        """
        cdef uint32_t tag = self._tag(key), last = self._last()
        cdef fix_msg *m = self._at()
        cdef uint32_t i = fix_index_from(m.fields, self._first(), last, tag)
        cdef uint64_t count = 0
        if i >= last:
            return Group(tag, 0, [])
        if fix_digits_uint(m.p + m.fields[i].off, m.fields[i].len, &count) != 0 or count > FIX_MAX_FIELDS:
            raise self._refuse(&m.fields[i], f"a number from 0 to {FIX_MAX_FIELDS}")
        return group_at(self._message(), i, last, tag, count)

    def __getattr__(self, name):
        """A field that only a user's dictionary knows by that name, converted by its type there; a group for NoXxx."""
        if name.startswith("_"):
            raise AttributeError(name)
        dictionary = self._message().dictionary
        tag = dictionary.tags.get(name)
        if tag is None:
            raise AttributeError(f"{name} is not a field of {dictionary.version}{nearest(name, dictionary.tags)}")
        kind = dictionary.fields[tag].type
        if kind == "NUMINGROUP" and self._look(tag) == NULL:
            return Group(tag, 0, [])
        try:
            return CONVERTERS.get(kind, FieldSet.__getitem__)(self, tag)
        except FieldMissing as error:
            raise AttributeError(f"{error}; get({tag}) gives None") from None


CONVERTERS = {
    "INT": FieldSet.get_int, "LENGTH": FieldSet.get_int, "SEQNUM": FieldSet.get_int, "TAGNUM": FieldSet.get_int,
    "DAYOFMONTH": FieldSet.get_int, "NUMINGROUP": FieldSet.group,
    "FLOAT": FieldSet.get_decimal, "PRICE": FieldSet.get_decimal, "QTY": FieldSet.get_decimal,
    "QUANTITY": FieldSet.get_decimal, "AMT": FieldSet.get_decimal, "PRICEOFFSET": FieldSet.get_decimal,
    "PERCENTAGE": FieldSet.get_decimal, "BOOLEAN": FieldSet.get_bool,
    "UTCTIMESTAMP": FieldSet.get_datetime, "TIME": FieldSet.get_datetime,
    "UTCDATE": FieldSet.get_date, "UTCDATEONLY": FieldSet.get_date, "LOCALMKTDATE": FieldSet.get_date,
    "DATE": FieldSet.get_date, "DATA": FieldSet.get_bytes, "XMLDATA": FieldSet.get_bytes,
}


def nearest(name, names):
    import difflib
    close = difflib.get_close_matches(name, names, 1)
    return f"; did you mean {close[0]}?" if close else ""


cdef uint32_t tag_named(object dictionary, str name) except 0:
    tag = dictionary.tags.get(name)
    if tag is None:
        raise FieldMissing(f"{name!r} is not a field of {dictionary.version}{nearest(name, dictionary.tags)}")
    return tag


cdef class Entry(FieldSet):
    """One entry of a repeating group. It shows the message as it was when the group was asked for."""

    cdef fix_msg *_at(self) except NULL:
        if self.changes != self.message._changes():
            raise RuntimeError("the message was changed since this group was asked for; ask for it again")
        return self.message._at()

    cdef uint32_t _first(self) noexcept:
        return self.begin

    cdef uint32_t _last(self) noexcept:
        return self.end

    cdef object _message(self):
        return self.message

    cdef bint _own(self) noexcept:
        return self.message._own()

    def __repr__(self):
        return f"<Entry {'|'.join(f'{tag}={value}' for tag, value in self.items())}>"


class Group(list):
    """The entries of a repeating group. `announced` is what NoXxx says, which a wrong message may not keep."""

    def __init__(self, tag, announced, entries):
        super().__init__(entries)
        self.tag = tag
        self.announced = announced


cdef object group_at(FieldSet message, uint32_t i, uint32_t last, uint32_t tag, uint64_t count):
    """The entries behind field i, which counts `count` of them, before field `last`."""
    cdef const fix_field *f = message._at().fields
    cdef uint32_t begin, delimiter
    cdef Entry entry
    cdef frozenset members
    found = []
    if count and i + 1 < last:
        members = message.dictionary.group_tags(message.MsgType, tag)
        if members is None and f[last - 1].tag == 10:
            last -= 1
        i += 1
        delimiter = f[i].tag
        if members is not None and delimiter not in members:
            last = i
        while i < last and f[i].tag == delimiter and <uint64_t>len(found) < count:
            begin = i
            i += 1
            while i < last and f[i].tag != delimiter and (members is None or f[i].tag in members):
                i += 1
            entry = Entry.__new__(Entry)
            entry.message = message
            entry.begin = begin
            entry.end = i
            entry.changes = message._changes()
            found.append(entry)
    return Group(tag, count, found)


# --- msg.Price

cdef enum attribute_kind:
    TEXT = 0
    NUMBER = 1
    EXACT = 2
    OTHER = 3
    GROUP = 4

cdef enum:
    CACHED = 1024           # Decimals kept by their text: prices and quantities come again and again

cdef list ONE = [chr(octet) for octet in range(256)]
cdef list decimals = [None] * CACHED
cdef uint64_t[CACHED] decimal_texts
cdef uint8_t[CACHED] decimal_lengths
cdef object Decimal = _decimal.Decimal

KIND_OF = {"s": TEXT, "i": NUMBER, "d": EXACT, "g": GROUP}
OTHER_WAY = {"b": FieldSet.get_bool, "t": FieldSet.get_datetime, "D": FieldSet.get_date, "x": FieldSet.get_bytes}
cdef dict convert_by = {}


cdef class FieldAttribute:
    def __cinit__(self, str name, uint32_t tag, str kind):
        self.name = name
        self.tag = tag
        self.kind = KIND_OF.get(kind, OTHER)
        if self.kind == OTHER:
            convert_by[tag] = OTHER_WAY[kind]

    def __get__(self, instance, owner):
        cdef FieldSet fields
        cdef fix_msg *m
        cdef const fix_field *f
        cdef uint32_t i, last
        cdef int64_t v = 0
        if instance is None:
            return self
        fields = <FieldSet>instance
        if fields._own():
            return FieldSet.__getattr__(fields, self.name)
        m = fields._at()
        last = fields._last()
        i = fix_index_from(m.fields, fields._first(), last, self.tag)
        if i >= last:
            if self.kind == GROUP:
                return Group(self.tag, 0, [])
            raise AttributeError(f"{fields._message()._title()} has no {self.name}({self.tag}); get({self.tag}) gives None")
        f = &m.fields[i]
        if self.kind == TEXT:
            return ONE[m.p[f.off]] if f.len == 1 else text_of(m.p + f.off, f.len)
        if self.kind == NUMBER and fix_digits_int(m.p + f.off, f.len, &v) == 0:
            return v
        if self.kind == EXACT and 0 < f.len <= 8:
            return exact(fields, self.tag, m.p + f.off, f.len)
        if self.kind == EXACT:
            return fields.get_decimal(self.tag)
        if self.kind == GROUP:
            return fields.group(self.tag)
        return convert_by[self.tag](fields, self.tag) if self.kind == OTHER else fields.get_int(self.tag)

    def __set__(self, instance, value):
        instance[self.tag] = value

    def __repr__(self):
        return f"<FieldAttribute {self.name}({self.tag})>"


cdef object exact(FieldSet fields, uint32_t tag, const uint8_t *p, uint32_t n):
    """The Decimal of n octets, at most eight, from the cache if it was read before."""
    cdef uint64_t text = 0
    cdef uint32_t at
    memcpy(&text, p, n)
    at = <uint32_t>((text * <uint64_t>0x9E3779B97F4A7C15) >> 54)
    if decimal_texts[at] != text or decimal_lengths[at] != n:
        value = fields.get_decimal(tag)
        decimals[at] = value
        decimal_texts[at] = text
        decimal_lengths[at] = <uint8_t>n
    return decimals[at]


cdef extern from "Python.h":
    ctypedef struct PyTypeObject:
        void *tp_dict
    void PyType_Modified(PyTypeObject *kind)


def _name_fields():
    """Every name an attribute of FieldNames. An extension type takes none from Python, so its dict is filled directly."""
    names = <dict>(<PyTypeObject *>FieldNames).tp_dict
    words = ATTRIBUTES.split()
    for i in range(0, len(words), 3):
        names[words[i]] = FieldAttribute(words[i], int(words[i + 1]), words[i + 2])
    PyType_Modified(<PyTypeObject *>FieldNames)


_name_fields()
