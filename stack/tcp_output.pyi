"""What is sent, and when: the send ring, windows, retransmission.

For Cython only, see tcp_output.pxd.
"""
