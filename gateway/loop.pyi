"""The loop of one or more engines; for Cython only, see loop.pxd."""
