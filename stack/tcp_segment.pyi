"""One segment: header template, window, options, checksum, and the kinds without new text.

For Cython only, see tcp_segment.pxd.
"""
