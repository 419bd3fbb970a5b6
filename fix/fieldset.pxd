# Reading fields from Python; see face.pxd for the messages themselves.
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from fix.message cimport fix_field, fix_msg
from fix.names cimport FieldNames


cdef object text_of(const uint8_t *p, uint32_t n)


cdef class FieldSet(FieldNames):
    """Fields in order: a whole message, or one entry of a repeating group."""
    cdef fix_msg *_at(self) except NULL
    cdef uint32_t _first(self) noexcept
    cdef uint32_t _last(self) noexcept
    cdef uint32_t _changes(self) noexcept
    cdef object _message(self)
    cdef bint _own(self) noexcept               # its dictionary is a user's: names and types are what that one says
    cdef uint32_t _tag(self, object key) except 0
    cdef const fix_field *_look(self, object key) except? NULL
    cdef const fix_field *_need(self, object key) except NULL
    cdef const fix_field *_want(self, object key, object default) except? NULL
    cdef object _refuse(self, const fix_field *f, str wanted)


cdef class Entry(FieldSet):
    """One entry of a repeating group: m.fields[begin] to m.fields[end - 1]."""
    cdef FieldSet message
    cdef uint32_t begin, end, changes


cdef class FieldAttribute:
    """msg.Price: a field by name, converted by its type."""
    cdef uint32_t tag
    cdef uint8_t kind
    cdef readonly str name
