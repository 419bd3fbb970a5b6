"""One direction of a captured connection. For Cython, see tap_text.pxd."""
