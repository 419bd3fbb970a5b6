"""Text goes up: in order, in place where it can, through the reassembler where it cannot; then the peer's FIN.

For Cython only, see tcp_text.pxd.
"""
