"""Segments leave here: the send ring, header templates, windows, retransmission.

For Cython only, see tcp_output.pxd.
"""
