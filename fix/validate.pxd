# A message against its data dictionary. The tables are compiled once per session's dictionary and switches.
from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t

from fix.message cimport fix_msg

cdef enum fix_reject:           # SessionRejectReason(373)
    FIX_VALID = -1
    FIX_INVALID_TAG = 0         # no such field in the dictionary
    FIX_REQUIRED_MISSING = 1
    FIX_NOT_IN_MESSAGE = 2      # not defined for this message type
    FIX_NO_VALUE = 4
    FIX_BAD_VALUE = 5           # not one of the field's values
    FIX_BAD_FORMAT = 6
    FIX_BAD_MSGTYPE = 11
    FIX_REPEATED = 13
    FIX_OUT_OF_ORDER = 14       # header, body, trailer
    FIX_GROUP_ORDER = 15        # an entry of a group that does not begin with its first field
    FIX_GROUP_COUNT = 16

# FIX_VALID, or the reason and the tag it is about in *ref_tag (0: none). QuickFIX's order: header, body and trailer in
# place; MsgType; what is required; then each field, header, trailer and body by ascending tags. m.error must be FIX_OK.
cdef int fix_check(const void *rules, fix_msg *m, uint32_t *ref_tag) noexcept nogil


cdef class Validator:
    """Compiled rules; keep it alive as long as `rules` is used. One thread at a time."""
    cdef void *rules            # what fix_check takes
    cdef void *data_table       # its Length/data pairs, for fix_session.data_table; NULL: the standard's
    cdef readonly object dictionary
    cdef readonly object transport
    cdef uint32_t used
    cdef void *room(self, size_t n) except NULL
    cdef take_fields(self, list books)
    cdef uint32_t pooled(self, bytes octets) except? 0xFFFFFFFF
    cdef take_messages(self, list books)
    cdef list shape(self, list shapes, dict known, uint32_t index)
    cdef compile(self, void *where, list entries, uint32_t delimiter)
