"""The user's calls on TCP (RFC 9293 section 3.9.1), the passing of time, and what ICMP says.

For Cython only, see tcp.pxd.
"""
