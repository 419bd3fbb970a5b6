# From a journal's ring to its segments: the thread that waits for the disk, so that no session does.
from fix.ring cimport journal

# Everything published so far is on disk, in the caller's thread; False: there is none, or it failed (last_errno).
cdef bint drain_now(journal *j) noexcept nogil
cdef void serve(journal *j)                     # give it to the drain thread, which is started if it is not there
cdef void unserve(journal *j) noexcept nogil
