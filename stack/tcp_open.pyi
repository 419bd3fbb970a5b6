"""Opening: segments for nobody, for a listener, for a connection in SYN-SENT; SYN cookies.

For Cython only, see tcp_open.pxd.
"""
