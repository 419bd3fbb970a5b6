"""Messages for Python: fields by tag or by name, groups as sequences, building.

A Message is its octets and a table of fields, whether it came from the wire or is being built; a value is converted when
it is asked for. Names, types and the ends of groups come from its dictionary: the one given, else the standard one of its
BeginString, read when first needed. A session adds the standard header when it sends; `encode` alone writes what is there.
"""
import datetime as _datetime
import decimal as _decimal

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint16_t
from libc.stdlib cimport free, realloc
from libc.string cimport memchr, memcpy, memmove, memset

from fix.digits cimport fix_write_int, fix_write_uint
from fix.encode cimport (
    fix_begin, fix_finish, fix_put_raw, fix_put_str, fix_writer, fix_writer_alloc, fix_writer_version,
)
from fix.fieldset cimport Entry, FieldSet, text_of
from fix.message cimport (
    FIX_MAX_FIELDS, FIX_MAX_MESSAGE, FIX_OK, FIX_SLACK, fix_field, fix_find, fix_index_from, fix_tag_text,
)
from fix.parse cimport fix_length_tag
from fix.timestamp cimport fix_stamp, fix_write_utc

from .errors import FieldMissing, FieldValueError, MessageError
from .fieldset import EPOCH

cdef extern from "Python.h":
    const char *PyUnicode_AsUTF8AndSize(object u, Py_ssize_t *n) except NULL
    bint PyUnicode_IS_ASCII(object u)

ERRORS = {1: "a field has no '='", 2: "a tag is not a number from 1 to 2147483647",
          3: "a data field is not as long as its Length field says", 4: "too many fields"}

cdef fix_writer writer
cdef fix_stamp stamp

if not fix_writer_alloc(&writer, FIX_MAX_MESSAGE):
    raise MemoryError


cdef class Message(FieldSet):
    """A FIX message.

    Message("D", {55: "IBM", 54: "1", 38: 100, 44: Decimal("101.25")}) begins one; `fields` is a mapping or (tag, value)
    pairs, a list of such is a repeating group. Reading: msg[44] and msg["44"] are text, msg.Price is converted,
    msg.get_int(34), msg.get_e8(44) and so on convert as asked. Writing: msg[44] = value sets or appends.
    """

    def __cinit__(self, *args, **kwargs):
        memset(&self.m, 0, sizeof(fix_msg))

    def __init__(self, msgtype, fields=(), *, begin_string="FIX.4.4", dictionary=None):
        if dictionary is not None:
            self.dictionary = dictionary
        self.version = begin_string
        self.reserve(256, 24)
        self.put(35, msgtype)
        self.update(fields)

    def __dealloc__(self):
        free(<void *>self.m.p)
        free(self.m.fields)

    cdef fix_msg *_at(self) except NULL:
        return &self.m

    cdef uint32_t _first(self) noexcept:
        return 0

    cdef uint32_t _last(self) noexcept:
        return self.m.count

    cdef object _message(self):
        return self

    cdef uint32_t _changes(self) noexcept:
        return self.changes

    cdef bint _own(self) noexcept:
        return self.own

    # memory and splicing

    cdef bint reserve(self, uint32_t octets, uint32_t fields) except False:
        """Room for so many more octets and fields."""
        cdef void *q
        cdef uint32_t wanted = self.m.n + octets
        if wanted > FIX_MAX_MESSAGE or self.m.count + fields > FIX_MAX_FIELDS:
            raise MessageError(f"the message would have {wanted} octets and {self.m.count + fields} fields, "
                               f"more than {FIX_MAX_MESSAGE} and {FIX_MAX_FIELDS}")
        if wanted > self.cap:
            if wanted < 2 * self.cap:
                wanted = min(2 * self.cap, <uint32_t>FIX_MAX_MESSAGE)
            q = realloc(<void *>self.m.p, wanted + FIX_SLACK)
            if q == NULL:
                raise MemoryError
            self.m.p = <uint8_t *>q
            self.cap = wanted
        wanted = self.m.count + fields
        if wanted > self.m.room:
            if wanted < 2 * self.m.room:
                wanted = min(2 * self.m.room, <uint32_t>FIX_MAX_FIELDS)
            q = realloc(self.m.fields, wanted * sizeof(fix_field) + 64)
            if q == NULL:
                raise MemoryError
            self.m.fields = <fix_field *>q
            self.m.room = wanted
        return True

    cdef bint append_octets(self, uint32_t tag, const uint8_t *p, uint32_t n) except False:
        cdef uint8_t *o
        cdef uint8_t *value
        if n > FIX_MAX_MESSAGE:
            raise MessageError(f"{self._field_title(tag)} has {n} octets, more than {FIX_MAX_MESSAGE}")
        self.reserve(n + 24, 1)
        o = <uint8_t *>self.m.p + self.m.n
        value = fix_write_uint(o, tag)
        value[0] = 61
        value += 1
        memcpy(value, p, n)
        value[n] = 1
        self.m.fields[self.m.count].tag = tag
        self.m.fields[self.m.count].off = <uint16_t>(value - self.m.p)
        self.m.fields[self.m.count].len = <uint16_t>n
        self.m.count += 1
        self.m.n = <uint32_t>(value + n + 1 - self.m.p)
        if tag == 35:
            self.retype(p, n)
        self.changes += 1
        return True

    cdef uint32_t start_of(self, uint32_t i) noexcept:
        """Where the tag of field i stands."""
        return <uint32_t>self.m.fields[i - 1].off + self.m.fields[i - 1].len + 1 if i else 0

    cdef bint shift(self, uint32_t i, uint32_t at, int64_t by) except False:
        """Move the octets from `at` on, which are the fields from i on."""
        cdef uint32_t k
        if by > 0:
            self.reserve(<uint32_t>by, 0)
        memmove(<uint8_t *>self.m.p + at + by, self.m.p + at, self.m.n - at)
        self.m.n = <uint32_t>(self.m.n + by)
        for k in range(i, self.m.count):
            self.m.fields[k].off = <uint16_t>(self.m.fields[k].off + by)
        self.changes += 1
        return True

    cdef bint replace_octets(self, uint32_t i, const uint8_t *p, uint32_t n) except False:
        cdef uint32_t off = self.m.fields[i].off
        if n > FIX_MAX_MESSAGE:
            raise MessageError(f"{self._field_title(self.m.fields[i].tag)} has {n} octets, more than {FIX_MAX_MESSAGE}")
        if n != self.m.fields[i].len:
            self.shift(i + 1, off + self.m.fields[i].len, <int64_t>n - self.m.fields[i].len)
            self.m.fields[i].len = <uint16_t>n
        memcpy(<uint8_t *>self.m.p + off, p, n)
        if self.m.fields[i].tag == 35:
            self.retype(p, n)
        return True

    cdef void retype(self, const uint8_t *p, uint32_t n) noexcept:
        self.m.MsgType = 0
        if n <= 8:
            memcpy(&self.m.MsgType, p, n)

    cdef bint remove_fields(self, uint32_t begin, uint32_t end) except False:
        cdef uint32_t a = self.start_of(begin), b = self.start_of(end)
        self.shift(end, b, <int64_t>a - b)
        memmove(&self.m.fields[begin], &self.m.fields[end], (self.m.count - end) * sizeof(fix_field))
        self.m.count -= end - begin
        return True

    cdef bint put(self, uint32_t tag, object value) except False:
        """Append a field: text, octets, numbers, bools, dates and times as FIX writes them, lists as a group."""
        cdef uint8_t short[48]
        cdef const uint8_t *p = short
        cdef Py_ssize_t n = 0
        cdef object kind = type(value)
        if kind is str:
            if PyUnicode_IS_ASCII(value):
                p = <const uint8_t *>PyUnicode_AsUTF8AndSize(value, &n)
            else:
                value = encoded(self, tag, value)
                p = <const uint8_t *>PyBytes_AS_STRING(value)
                n = PyBytes_GET_SIZE(value)
        elif kind is int:
            if -(<int64_t>1 << 62) <= value <= <int64_t>1 << 62:
                n = fix_write_int(short, value) - short
            else:
                return self.put(tag, str(value))
        elif kind is bytes:
            p = <const uint8_t *>PyBytes_AS_STRING(value)
            n = PyBytes_GET_SIZE(value)
        elif kind is list or kind is tuple:
            return self.put_group(tag, value)
        else:
            return self.put(tag, text_for(self, tag, value))
        if kind is not int and memchr(p, 1, n) != NULL:
            self.announce(tag, n)
        elif n and fix_length_tag(NULL, tag) != 0:
            self.announce(tag, n)
        return self.append_octets(tag, p, <uint32_t>min(n, <Py_ssize_t>FIX_MAX_MESSAGE + 1))

    cdef bint announce(self, uint32_t tag, Py_ssize_t n) except False:
        """The Length field of a data field stands right before it; only such a field may have SOH in it."""
        cdef uint32_t length = fix_length_tag(NULL, tag)
        if length == 0:
            raise FieldValueError(f"{self._field_title(tag)} has an SOH in it and is not a data field")
        if self.m.count and self.m.fields[self.m.count - 1].tag == length:
            self.remove_fields(self.m.count - 1, self.m.count)
        return self.put(length, n)

    cdef bint put_group(self, uint32_t tag, object entries) except False:
        self.put(tag, len(entries))
        for entry in entries:
            for key, value in pairs_of(entry):
                self.put(self._tag(key), value)
        return True

    # names

    @property
    def dictionary(self):
        """The dictionary given to it, else the standard one of its version."""
        if self.given is None:
            from .dictionary import standard
            version = self.begin_string
            if version == "FIXT.1.1":
                version = self.get(1128) or "FIX.5.0SP2"
            try:
                self.given = standard(version)
            except ValueError:
                self.given = standard("FIX.4.4")
        return self.given

    @dictionary.setter
    def dictionary(self, value):
        self.given = value
        self.own = value is not None and not value.standard

    @property
    def begin_string(self):
        """BeginString(8)."""
        return self.get(8, self.version)

    @property
    def MsgType(self):
        """MsgType(35)."""
        cdef const fix_field *f = fix_find(&self.m, 35)
        return text_of(self.m.p + f.off, f.len) if f != NULL else ""

    @property
    def name(self):
        """The name of its type (NewOrderSingle), or MsgType(35) where the dictionary has none."""
        message = self.dictionary.messages.get(self.MsgType)
        return message.name if message is not None else self.MsgType

    def _title(self):
        return f"{self.name}({self.MsgType})"

    def _field_title(self, tag):
        known = self.dictionary.fields.get(tag)
        return f"{known.name}({tag})" if known is not None else f"tag {tag}"

    @property
    def error(self):
        """What is wrong inside a message whose BodyLength and CheckSum are right, or None."""
        cdef uint32_t n
        if self.m.error == FIX_OK:
            return None
        text = ERRORS[self.m.error]
        if self.m.error_field < self.m.count:
            tag = fix_tag_text(&self.m, self.m.error_field, &n)
            text += f" (field {self.m.error_field}, {text_of(tag, min(n, 40))!r})"
        return text

    # writing

    def __setitem__(self, key, value):
        """Set the first field with that tag, or append one. None removes it."""
        cdef uint32_t tag = self._tag(key)
        cdef uint32_t i = fix_index_from(self.m.fields, 0, self.m.count, tag)
        cdef Message one
        if value is None:
            if i < self.m.count:
                self.__delitem__(tag)
        elif i >= self.m.count:
            self.put(tag, value)
        elif isinstance(value, (list, tuple)) or fix_length_tag(NULL, tag) != 0:
            one = Message(b"")
            one.given = self.given
            one.put(tag, value)
            self.splice(i, one)
        else:
            one = Message(b"")
            one.put(tag, value)
            self.replace_octets(i, one.m.p + one.m.fields[1].off, one.m.fields[1].len)

    cdef bint splice(self, uint32_t i, Message one) except False:
        """Put fields 1.. of `one` where field i, its group and its Length field were."""
        cdef uint32_t first = i, end = self.extent(i), k
        if i and one.m.fields[1].tag != self.m.fields[i].tag and self.m.fields[i - 1].tag == one.m.fields[1].tag:
            first = i - 1
        rest = [(self.m.fields[k].tag, PyBytes_FromStringAndSize(<const char *>self.m.p + self.m.fields[k].off,
                                                                 self.m.fields[k].len))
                for k in range(end, self.m.count)]
        self.remove_fields(first, self.m.count)
        for k in range(1, one.m.count):
            self.append_octets(one.m.fields[k].tag, one.m.p + one.m.fields[k].off, one.m.fields[k].len)
        for tag, value in rest:
            self.append_octets(tag, <const uint8_t *>PyBytes_AS_STRING(value), <uint32_t>PyBytes_GET_SIZE(value))
        return True

    cdef uint32_t extent(self, uint32_t i) except 0:
        """Behind field i, and behind the group it counts."""
        if self.dictionary.group_tags(self.MsgType, self.m.fields[i].tag) is not None:
            entries = self.group(self.m.fields[i].tag)
            if entries:
                return (<Entry>entries[len(entries) - 1]).end
        return i + 1

    def __delitem__(self, key):
        """Remove the first field with that tag; the whole group for NoXxx, the Length field with its data."""
        cdef uint32_t tag = self._tag(key)
        cdef uint32_t i = fix_index_from(self.m.fields, 0, self.m.count, tag)
        cdef uint32_t first = i
        if i >= self.m.count:
            raise FieldMissing(f"{self._title()} has no {self._field_title(tag)}")
        if i and fix_length_tag(NULL, tag) != 0 and self.m.fields[i - 1].tag == fix_length_tag(NULL, tag):
            first = i - 1
        self.remove_fields(first, self.extent(i))

    def append(self, key, value):
        """Append a field even if there is one with that tag (entries of groups, by hand)."""
        self.put(self._tag(key), value)

    def update(self, fields):
        """Set every field of a mapping or of (tag, value) pairs; a tag that comes again within pairs is appended."""
        seen = set()
        for key, value in pairs_of(fields):
            tag = self._tag(key)
            if value is None:
                continue
            if tag in seen or fix_index_from(self.m.fields, 0, self.m.count, tag) >= self.m.count:
                self.put(tag, value)
            else:
                self[tag] = value
            seen.add(tag)

    def copy(self):
        """A message of its own with the same fields and dictionary."""
        cdef Message twin = message_of(&self.m, self.given if self.own else None)
        twin.given = self.given
        twin.version = self.version
        return twin

    def encode(self):
        """The octets: 8, 9 and 35 in front, then the fields in their order, then CheckSum(10), both counted anew."""
        cdef const uint8_t *start
        cdef uint32_t n = 0, i, a
        cdef const fix_field *f = self.m.fields
        cdef uint32_t count = self.m.count
        version = self.version if fix_index_from(f, 0, count, 8) >= count else self.begin_string
        if not PyUnicode_IS_ASCII(version) or not fix_writer_version(&writer, PyUnicode_AsUTF8AndSize(version, NULL),
                                                                     <uint32_t>len(version)):
            raise MessageError(f"BeginString(8) is {version!r}, must be FIX.n.m or FIXT.n.m")
        i = fix_index_from(f, 0, count, 35)
        if i >= count or f[i].len == 0:
            raise MessageError("the message has no MsgType(35)")
        fix_begin(&writer, 0)
        writer.at.p = writer.body
        if i == 0:
            fix_put_raw(&writer, self.m.p, self.m.n)
        elif i == 2 and f[0].tag == 8 and f[1].tag == 9 and f[count - 1].tag == 10 \
                and fix_index_from(f, 3, count, 10) == count - 1:
            a = self.start_of(2)
            fix_put_raw(&writer, self.m.p + a, self.start_of(count - 1) - a)
        else:
            fix_put_str(&writer, 35, self.m.p + f[i].off, f[i].len)
            for i in range(count):
                if f[i].tag not in (8, 9, 10, 35):
                    a = self.start_of(i)
                    fix_put_raw(&writer, self.m.p + a, self.start_of(i + 1) - a)
        if not fix_finish(&writer, &start, &n):
            raise MessageError(f"the message would be longer than {FIX_MAX_MESSAGE} octets")
        return PyBytes_FromStringAndSize(<const char *>start, n)

    @property
    def raw(self):
        """The octets of its fields as they stand: what was received, or what has been built so far."""
        return PyBytes_FromStringAndSize(<const char *>self.m.p, self.m.n)

    @property
    def text(self):
        """The fields with `|` for SOH."""
        return text_of(self.m.p, self.m.n).replace("\x01", "|")

    def __str__(self):
        return self.text

    def __repr__(self):
        return f"<Message {self.text}>"

    def __eq__(self, other):
        return self.raw == other.raw if isinstance(other, Message) else NotImplemented

    __hash__ = None

    @staticmethod
    def from_text(text, dictionary=None):
        """From `35=D|55=IBM|...`, with `|` or SOH; 8, 9 and 10 may be left out and nothing is verified."""
        return message_from_text(text, dictionary)


def pairs_of(fields):
    return fields.items() if hasattr(fields, "items") else fields


def encoded(Message message, tag, value):
    try:
        return value.encode("latin-1")
    except UnicodeEncodeError:
        raise FieldValueError(f"{message._field_title(tag)} is {value!r}, which Latin-1 cannot write; "
                              "give the octets instead") from None


def text_for(Message message, tag, value):
    """Values of other types than text and int as FIX writes them."""
    cdef uint8_t o[48]
    if value is True or value is False:
        return "Y" if value else "N"
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, str):
        return str(value)
    if isinstance(value, float):
        value = _decimal.Decimal(repr(value))
    if isinstance(value, _decimal.Decimal):
        if not value.is_finite():
            raise FieldValueError(f"{message._field_title(tag)} is {value}, which FIX cannot write")
        return f"{value:f}"
    if isinstance(value, _datetime.datetime):
        if value.tzinfo is None:
            raise FieldValueError(f"{message._field_title(tag)} is {value!r}, a datetime without a time zone")
        ns = (value - EPOCH) // _datetime.timedelta(microseconds=1) * 1000
        if ns < 0:
            raise FieldValueError(f"{message._field_title(tag)} is {value}, before 1970")
        return text_of(o, <uint32_t>(fix_write_utc(&stamp, o, ns, 6 if ns % 1_000_000 else 3) - o))
    if isinstance(value, _datetime.date):
        return f"{value:%Y%m%d}"
    raise FieldValueError(f"{message._field_title(tag)} cannot be of type {type(value).__name__}")


cdef Message message_of(const fix_msg *m, object dictionary):
    cdef Message message = Message.__new__(Message)
    message.reserve(m.n, m.count)
    memcpy(<void *>message.m.p, m.p, m.n)
    memcpy(message.m.fields, m.fields, m.count * sizeof(fix_field))
    message.m.n = m.n
    message.m.count = m.count
    message.m.MsgType = m.MsgType
    message.m.error = m.error
    message.m.error_field = m.error_field
    message.m.error_tag = m.error_tag
    if dictionary is not None:
        message.dictionary = dictionary
    message.version = "FIX.4.4"
    return message


def message_from_text(text, dictionary):
    cdef Message message = Message.__new__(Message)
    cdef uint32_t tag
    if dictionary is not None:
        message.dictionary = dictionary
    message.version = "FIX.4.4"
    for part in (text if "\x01" in text else text.replace("|", "\x01")).split("\x01"):
        if not part.strip():
            continue
        left, equals, value = part.strip("\r\n").partition("=")
        left = left.strip()
        if not equals or not (left.isascii() and left.isdigit() and 0 < int(left) < 1 << 31):
            raise MessageError(f"{part!r} is not tag=value")
        tag = int(left)
        value = encoded(message, tag, value)
        message.append_octets(tag, <const uint8_t *>PyBytes_AS_STRING(value), <uint32_t>PyBytes_GET_SIZE(value))
    return message
