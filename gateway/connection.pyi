"""Sessions and their TCP connections; for Cython only, see connection.pxd."""
