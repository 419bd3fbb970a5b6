"""The thread that runs an engine; for Cython only, see thread.pxd."""
