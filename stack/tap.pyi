"""Passive reassembly of captured TCP connections. Its functions are for Cython (tap.pxd); Python has stack.tap_face."""
