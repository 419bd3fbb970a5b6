"""What a program gives Session.send, as tag=value octets. For Cython, see tagvalue.pxd."""
