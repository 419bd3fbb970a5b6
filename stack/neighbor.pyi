# Functions for other Cython modules only (neighbor.pxd); nothing here is visible from Python.
