# Which number comes next, what to do about those that do not, and the queue of messages that wait for their turn.
# For fix.session, which draws the consequences.
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from fix.endpoint cimport fix_session
from fix.message cimport fix_msg

cdef enum fix_turn:
    TURN_NOW = 0            # handle it
    TURN_LATER = 1          # above next_in: queued if there was room, and asked for
    TURN_SEEN = 2           # PossDup of something received before: ignored
    TURN_NO_ORIG = 3        # PossDup without OrigSendingTime(122)
    TURN_BAD_ORIG = 4       # OrigSendingTime after SendingTime
    TURN_TOO_LOW = 5        # below next_in and not marked as a duplicate

# For a message whose number is not next_in -> fix_turn.
cdef int take_turn(fix_session *s, fix_msg *m, uint8_t kind, uint64_t seq, uint64_t now_ns) noexcept nogil
# Ask for next_in .. seq - 1, unless that is open already. m: the message that showed the gap.
cdef void ask(fix_session *s, fix_msg *m, uint64_t seq, uint64_t now_ns) noexcept nogil
# Look after the open request; False: the peer does not fill the gap.
cdef bint gap_poll(fix_session *s, uint64_t now_ns) noexcept nogil
cdef uint64_t gap_patience(const fix_session *s) noexcept nogil

# The queued message that is next in turn, taken out; NULL: none. Valid until the next queue_put.
cdef const uint8_t *queue_take(fix_session *s, uint32_t *n) noexcept nogil
cdef void queue_clear(fix_session *s) noexcept nogil

# A ResendRequest for first .. last is to be served; False: a running resend covers it.
cdef bint resend_start(fix_session *s, uint64_t first, uint64_t last) noexcept nogil
