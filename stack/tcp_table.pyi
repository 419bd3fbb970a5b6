"""Connections and their memory: the 4-tuple table, slots, lists of what is due, and the one place where state changes.

For Cython only, see tcp_table.pxd.
"""
