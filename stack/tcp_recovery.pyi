"""What acknowledgements mean: round trip time, congestion window, loss.

For Cython only, see tcp_recovery.pxd.
"""
