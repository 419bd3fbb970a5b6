"""SEGMENT ARRIVES (RFC 9293 section 3.10.7), its steps in their order.

For Cython only, see tcp_input.pxd.
"""
