"""What silence means: tail loss probe, reordering timer, retransmission timeout.

For Cython only, see tcp_timeout.pxd.
"""
