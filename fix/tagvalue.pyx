"""What a program gives Session.send, as tag=value octets: text, octets, a fix.Message, a mapping or pairs."""
import datetime
import decimal

from fix.outbound cimport is_header_tag

from fix.errors import LocalProtocolError


cdef bytes value_octets(int tag, value):
    """A field's value as FIX writes it."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, bool):
        return b"Y" if value else b"N"
    if isinstance(value, int):
        return b"%d" % value
    if isinstance(value, float):
        value = decimal.Decimal(repr(value))
    if isinstance(value, decimal.Decimal):
        if not value.is_finite():
            raise LocalProtocolError(f"field {tag} is {value}, must be a finite number")
        return format(value, "f").encode()
    if isinstance(value, datetime.datetime):
        if value.tzinfo is not None:
            value = value.astimezone(datetime.timezone.utc)
        return value.strftime("%Y%m%d-%H:%M:%S.").encode() + b"%03d" % (value.microsecond // 1000)
    if isinstance(value, datetime.date):
        return value.strftime("%Y%m%d").encode()
    return str(value).encode("latin-1")


cdef tuple split(message):
    """-> (MsgType, header fields ascending but for the entries of NoHops(627), body), each field with its SOH."""
    cdef list head = []
    cdef list body = []
    cdef bytes MsgType = b"", value
    cdef bint in_body = False
    cdef int tag
    for tag, value in pairs_of(message):
        if tag == 35 and not MsgType:
            MsgType = value
        elif tag in (8, 9, 10, 34, 43, 49, 52, 56, 122) and not in_body:
            pass
        elif tag in (8, 9, 10):
            pass
        elif is_header_tag(tag) and tag not in (34, 43, 49, 52, 56, 122):
            head.append((tag, value))
        else:
            body.append(b"%d=%b\x01" % (tag, value))
    head.sort(key=lambda field: 627 if 628 <= field[0] <= 630 else field[0])
    return MsgType, b"".join([b"%d=%b\x01" % field for field in head]), b"".join(body)


cdef list pairs_of(message):
    """(tag, octets) pairs of whatever Session.send takes."""
    cdef list pairs = []
    if isinstance(message, (str, bytes, bytearray)):
        line = message.encode("latin-1") if isinstance(message, str) else bytes(message)
        for field in line.replace(b"|", b"\x01").split(b"\x01") if b"\x01" not in line else line.split(b"\x01"):
            tag, sep, value = field.partition(b"=")
            if not field:
                continue
            if not sep or not tag.isdigit():
                raise LocalProtocolError(f"{field!r} is not tag=value")
            pairs.append((int(tag), value))
        return pairs
    length = None
    for tag, value in (message.items() if hasattr(message, "items") else message):
        tag = int(tag)
        if not 0 < tag < 1 << 31:
            raise LocalProtocolError(f"tag is {tag}, must be 1 to 2147483647")
        value = value_octets(tag, value)
        if b"\x01" in value and length != len(value):
            raise LocalProtocolError(f"field {tag} holds SOH: only a data field behind its Length field may")
        length = int(value) if value.isdigit() else None
        pairs.append((tag, value))
    return pairs
