# SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014): repeatable, from one seed.
# For back-off and choices a test repeats. Secrets (ISN, hash keys) are keyed functions of netif.secret.
from libc.stdint cimport uint64_t


cdef inline uint64_t random_next(uint64_t *state) noexcept nogil:
    """The next number of the sequence; `state` begins as the seed."""
    cdef uint64_t z
    state[0] += 0x9E3779B97F4A7C15ULL
    z = state[0]
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL
    return z ^ (z >> 31)
