# The loop of one or more engines in one thread.
from libc.stdint cimport uint64_t

from gateway.slab cimport engine

cdef enum idle_policy:          # what a turn that found nothing is followed by
    IDLE_SPIN = 0
    IDLE_YIELD = 1
    IDLE_SLEEP = 2

# One turn: frames in and everything they cause, then what is due -> how much was done. Reads no clock.
cdef int engine_step(engine *e, uint64_t now_ns) noexcept nogil
# Turns of all n engines, at the clock's time, until one of them needs Python (NEEDS_PYTHON) or until_ns has passed.
cdef void engine_run(engine **es, int n, int idle, uint64_t until_ns) noexcept nogil
