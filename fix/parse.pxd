# Octets to fix_msg: framing (FIX 4.4 vol. 2 "Message format", "Garbled messages"), fields, resynchronisation.
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from fix.message cimport fix_field, fix_msg

cdef enum fix_verdict:
    FIX_COMPLETE = 0        # m.n octets are one message, BodyLength and CheckSum right; m.error may still be set
    FIX_PARTIAL = 1         # nothing wrong so far; call again with m.need octets from the same p
    FIX_GARBLED = 2         # drop m.skip octets (at least 1) and call again; m.garbled says why

cdef enum fix_resync:
    # Where to go on behind a garbled message.
    FIX_RESYNC_NEXT = 0     # at the next 8=FIX, wherever it is: no whole message is ever lost
    FIX_RESYNC_TRAILER = 1  # as QuickFIX: a message whose BodyLength can be read reaches to the first CheckSum(10) at or behind
                            # the place BodyLength points to, be it that it swallows the message that follows

cdef enum fix_isa:
    FIX_ISA_SCALAR = 0
    FIX_ISA_AVX2 = 1
    FIX_ISA_AVX512 = 2      # with VBMI2

# Zero the fix_msg and give it room for `fields` fields (0: as many as a message can have, memory that is touched only when
# used). False: no memory. fix_msg_free gives it back.
cdef bint fix_msg_alloc(fix_msg *m, uint32_t fields) noexcept nogil
cdef void fix_msg_free(fix_msg *m) noexcept nogil

# The standard's Length/data pairs and those of a dictionary (a mapping of tags), for fix_msg.data_table, which only borrows
# it: malloc'd, the caller's to free. NULL: they are the standard's.
cdef void *fix_data_table(dict pairs) except? NULL

# The data tag that a Length field announces, and the other way round; 0 if it is none. `m` NULL: the standard's pairs.
cdef uint32_t fix_data_tag(const fix_msg *m, uint32_t length_tag) noexcept nogil
cdef uint32_t fix_length_tag(const fix_msg *m, uint32_t data_tag) noexcept nogil

# One message from the n octets at p -> fix_verdict. FIX_SLACK octets behind p+n must be readable. n may be 0 (PARTIAL).
# Call again after PARTIAL only with m.need octets: then a message that comes an octet at a time costs O(its length).
cdef int fix_parse(fix_msg *m, const uint8_t *p, uint32_t n) noexcept nogil

# Octets from p to the next 8=FIX behind p, or to a tail that may become one, or n.
cdef uint32_t fix_next_begin(const uint8_t *p, uint32_t n) noexcept nogil

# Sum of n octets, modulo 256 (CheckSum). No slack needed.
cdef uint32_t fix_octet_sum(const uint8_t *p, uint32_t n) noexcept nogil

# Which instructions the scanner uses -> what it uses now. Takes the best the CPU has unless `isa` is lower; for tests.
cdef int fix_use_isa(int isa) noexcept nogil
