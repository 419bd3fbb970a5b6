# The empty base of everything that has fields; see names.pyx.
cdef class FieldNames:
    pass
