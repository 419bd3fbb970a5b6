# What a session keeps of its past: the next MsgSeqNum of both directions, and the messages it sent, for resends.
# A store is an ops table, so a session does not know whether its memory is a ring, a file or nothing at all.
# Order on the way out: append, then commit to the wire, then numbers.next_out (see session_end).
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

cdef struct fix_numbers:
    # Plain words that the session reads and writes in place. In a journal they lie in memory that survives the process.
    uint64_t next_out       # MsgSeqNum(34) of the next message we send
    uint64_t next_in        # MsgSeqNum(34) we expect
    int64_t created_utc_ns  # when the numbers last began at 1

cdef struct fix_store_stats:
    uint64_t appended       # messages kept
    uint64_t appended_octets
    uint64_t refused        # append found no room and changed nothing
    uint64_t evicted        # messages that made room for newer ones: a resend fills their gap
    uint64_t resets

cdef struct fix_store           # below

# Keep the message `seq` (n octets, from BeginString to CheckSum). A number already there is replaced: session_end
# does that when the wire refused the message before. admin: nobody will ask for the text, only that the number was used.
# False: no room, nothing changed, the message must not be sent.
ctypedef bint (*fix_store_append_fn)(fix_store *st, uint64_t seq, const uint8_t *p, uint32_t n, bint admin,
                                     uint64_t now_ns) noexcept nogil
# The message `seq` and its length in `n`; NULL if it was administrative (n = 0), or is not kept any more (n = 1).
# Lent until the next append or reset; 64 octets behind it may be read.
ctypedef const uint8_t *(*fix_store_get_fn)(fix_store *st, uint64_t seq, uint32_t *n) noexcept nogil
# Is there room for a message of n octets? Asked before a number is given to it.
ctypedef bint (*fix_store_room_fn)(fix_store *st, uint32_t n) noexcept nogil
# Forget every message, both numbers are 1 again.
ctypedef void (*fix_store_reset_fn)(fix_store *st, int64_t utc_ns) noexcept nogil
# The session set its numbers by hand (administration): what was kept from numbers.next_out on is void.
ctypedef void (*fix_store_renumber_fn)(fix_store *st) noexcept nogil
ctypedef void (*fix_store_free_fn)(fix_store *st) noexcept nogil

cdef struct fix_store_ops:
    fix_store_append_fn append
    fix_store_get_fn get
    fix_store_room_fn room
    fix_store_reset_fn reset
    fix_store_renumber_fn renumber
    fix_store_free_fn free

cdef struct fix_store:
    const fix_store_ops *ops
    fix_numbers *numbers
    void *self              # the store's own state
    fix_store_stats stats

# A store of no messages: numbers only, every resend is a gap fill. NULL: out of memory.
cdef fix_store *null_store_new() noexcept nogil
# The newest messages that fit in `octets` of memory, at most `messages` of them; older ones are evicted, so append
# refuses only a message larger than the whole ring. All memory is touched here. NULL: out of memory.
cdef fix_store *memory_store_new(uint32_t octets, uint32_t messages) noexcept nogil
cdef void store_free(fix_store *st) noexcept nogil

cdef class Store:
    """A fix_store for Python: tests and fix.Session; base of every store a session can be given."""
    cdef fix_store *st

cdef class MemoryStore(Store):
    pass
