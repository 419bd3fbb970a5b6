"""What both ends of a channel have, `End`; what every producing one does when the ring is full, and counts: `Producer`."""
POLICIES = {"refuse": POLICY_REFUSE, "block": POLICY_BLOCK, "drop": POLICY_DROP_NEW}


cdef class End(Side):
    """An end of a channel."""

    @property
    def max_len(self):
        """Octets of the longest message."""
        return self.segment.max_len

    @property
    def capacity(self):
        """Messages the ring holds."""
        return self.segment.capacity


cdef class Producer(End):
    """The policy of a full ring and its counters: `refused`, `timed_out` or `dropped`, one for each message not sent."""

    cdef int set_policy(self, policy, block_ns) except -1:
        """Checks and takes the policy by its name; `block_ns` below 0: for ever."""
        if policy not in POLICIES:
            raise ValueError(f"policy is {policy!r}, must be one of {', '.join(POLICIES)}")
        self.policy, self.block_ns = POLICIES[policy], block_ns
        return 0

    cdef int usable(self) except -1:
        """Raises where the ring must not be used: its segment says so, or it is damaged."""
        return self.segment.alone()

    cdef bint room(self, uint64_t count, int64_t *end) except -1:
        """The ring is full, `count` messages are still to be sent. True: look again. False: the policy has counted them.

        `end` is 0 before the first call for a message or a batch and keeps its deadline from then on: the ring may be
        full again by the time we look.
        """
        cdef bint found = False
        self.usable()
        if self.policy == POLICY_BLOCK:
            found = self.linger(True, self.block_ns, end)
            self.usable()
            if not found:
                self.timed_out += count
        elif self.policy == POLICY_DROP_NEW:
            self.dropped += count
        else:
            self.refused += count
        return found

    cdef uint32_t fitting(self, Py_ssize_t n, uint32_t max_len) except? 0:
        """`n`, the octets of a message, if the channel takes as many; counted and ValueError if not."""
        if n < 0 or n > max_len:
            self.oversize += 1
            raise ValueError(f"message has {n} octets, the channel takes {max_len}")
        return n

    def send_batch(self, messages):
        """Sends a list of bytes-like messages; returns how many are in the ring.

        What does not fit meets the policy, as with `send`: `block` waits for room, once, until the deadline. A 2-D array
        of octets, or a 1-D structured array, sends one message a row. A list ends before a message that is too long:
        ValueError if that is the first. `Writer` publishes together what fits, `MpscWriter` one by one.
        """
        if hasattr(messages, "dtype"):
            return self._send_rows(octet_rows(messages))
        return self._send_list(messages if isinstance(messages, (list, tuple)) else list(messages))

    cdef uint64_t _send_rows(self, const uint8_t[:, ::1] rows) except? 0:
        raise NotImplementedError

    cdef uint64_t _send_list(self, messages) except? 0:
        raise NotImplementedError


cdef const uint8_t[:, ::1] octet_rows(messages):
    """A 2-D array of octets, a 1-D structured array: one row of octets a message, copied only if it is not contiguous."""
    import numpy
    a = numpy.ascontiguousarray(messages)
    if a.nbytes == 0:
        return numpy.empty((len(a), 0), numpy.uint8)
    return a.view(numpy.uint8).reshape(len(a), -1)
