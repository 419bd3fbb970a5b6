"""Requests of strategies in processes of their own: what can be an order and what cannot."""
from libc.stdint cimport uint8_t, uint32_t

from gateway.outside cimport OUTSIDE_TEXT, REQUEST_CANCEL, REQUEST_NEW, request


cdef bint text_sound(const char *p, uint32_t n, uint32_t least) noexcept nogil:
    """Printable ASCII, `least` to OUTSIDE_TEXT octets."""
    cdef uint32_t i
    if n < least or n > OUTSIDE_TEXT:
        return False
    for i in range(n):
        if <uint8_t>p[i] < 0x20 or <uint8_t>p[i] > 0x7e:
            return False
    return True


cdef bint request_sound(const request *r) noexcept nogil:
    """Every octet of it can stand in a FIX message."""
    if r.kind < REQUEST_NEW or r.kind > REQUEST_CANCEL or r.Side < 0x21 or r.Side > 0x7e:
        return False
    if r.OrdType < 0x21 or r.OrdType > 0x7e or (r.TimeInForce and (r.TimeInForce < 0x21 or r.TimeInForce > 0x7e)):
        return False
    if r.HandlInst and (r.HandlInst < 0x21 or r.HandlInst > 0x7e):
        return False
    return (text_sound(r.ClOrdID, r.ClOrdID_n, 1) and text_sound(r.Symbol, r.Symbol_n, 1)
            and text_sound(r.Account, r.Account_n, 0)
            and text_sound(r.OrigClOrdID, r.OrigClOrdID_n, 0 if r.kind == REQUEST_NEW else 1))
