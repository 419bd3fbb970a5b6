# Requests of strategies in processes of their own, judged on a private copy.
from gateway.outside cimport request

# Every octet of it can stand in a FIX message.
cdef bint request_sound(const request *r) noexcept nogil
