# What a program gives Session.send, as tag=value octets.

# -> (MsgType, header fields, body), each field with its SOH; LocalProtocolError: not such fields
cdef tuple split(message)
