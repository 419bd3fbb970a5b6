# The Python class of messages, for Cython modules that take or make them (fix.session, gateway.strategy).
from libc.stdint cimport int64_t, uint8_t, uint32_t

from fix.fieldset cimport FieldSet
from fix.message cimport fix_msg


cdef class Message(FieldSet):
    cdef fix_msg m              # p, n, fields, count, room, MsgType: memory of this object; n octets are `count` whole fields
    cdef uint32_t cap           # octets there is room for at m.p
    cdef uint32_t changes       # entries of groups are of the message as it was
    cdef object given           # the dictionary given to it, or None
    cdef bint own               # `given` is a user's dictionary: names and types are what it says
    cdef object version         # BeginString of a message that has no field 8
    cdef bint reserve(self, uint32_t octets, uint32_t fields) except False
    cdef bint append_octets(self, uint32_t tag, const uint8_t *p, uint32_t n) except False
    cdef uint32_t start_of(self, uint32_t i) noexcept
    cdef bint shift(self, uint32_t i, uint32_t at, int64_t by) except False
    cdef bint replace_octets(self, uint32_t i, const uint8_t *p, uint32_t n) except False
    cdef void retype(self, const uint8_t *p, uint32_t n) noexcept
    cdef bint remove_fields(self, uint32_t begin, uint32_t end) except False
    cdef bint put(self, uint32_t tag, object value) except False
    cdef bint announce(self, uint32_t tag, Py_ssize_t n) except False
    cdef bint put_group(self, uint32_t tag, object entries) except False
    cdef bint splice(self, uint32_t i, Message one) except False
    cdef uint32_t extent(self, uint32_t i) except 0


# A Message of its own with the fields of a parsed one (whose octets may go away).
cdef Message message_of(const fix_msg *m, object dictionary)
