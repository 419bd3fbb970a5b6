# TCP options as keywords of Stack, connect and listen.
from .tcb cimport tcp_options

# Fill `o` from keywords; TypeError for a name there is none of, ValueError for a value out of range.
cdef int take_options(tcp_options *o, dict given) except -1
