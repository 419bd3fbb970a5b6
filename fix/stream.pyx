"""Messages out of octets: `fix.parse` for one message, `fix.Parser` for a stream of them."""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memmove

from fix.face cimport message_of
from fix.message cimport FIX_GARBLED_NOT_FIX, FIX_MAX_MESSAGE, FIX_OK, FIX_SLACK, fix_msg
from fix.parse cimport (
    FIX_COMPLETE, FIX_GARBLED, FIX_PARTIAL, fix_data_table, fix_msg_alloc, fix_msg_free, fix_parse,
)

from .errors import GarbledMessage, IncompleteMessage, MessageError

GARBLED = {
    1: "does not begin with 8=FIX", 2: "BeginString(8) is not FIX.n.m or FIXT.n.m",
    3: "BodyLength(9) is not second or not a number", 4: "BodyLength(9) makes it longer than the limit",
    5: "MsgType(35) is not third or empty", 6: "CheckSum(10) is not where BodyLength(9) says",
    7: "CheckSum(10) is wrong",
}

cdef fix_msg scratch            # parse's: fields of one message at a time
cdef uint8_t *scratch_octets    # a message and its slack

if not fix_msg_alloc(&scratch, 0):
    raise MemoryError
scratch_octets = <uint8_t *>malloc(FIX_MAX_MESSAGE + FIX_SLACK + 16)
if scratch_octets == NULL:
    raise MemoryError


def parse(data, dictionary=None):
    """The message that `data` is: octets, or text with `|` for SOH. All of it, with right BodyLength and CheckSum.

    GarbledMessage, IncompleteMessage (both say what is wrong), or MessageError if it is wrong inside.
    """
    cdef const uint8_t[::1] octets
    cdef int verdict
    cdef Py_ssize_t n
    if isinstance(data, str):
        data = data.replace("|", "\x01").encode("latin-1")
    if type(data) is bytes:
        n = PyBytes_GET_SIZE(data)
        if n <= FIX_MAX_MESSAGE:
            memcpy(scratch_octets, PyBytes_AS_STRING(data), n)
    else:
        octets = data
        n = octets.shape[0]
        if 0 < n <= FIX_MAX_MESSAGE:
            memcpy(scratch_octets, &octets[0], n)
    if n > FIX_MAX_MESSAGE:
        raise MessageError(f"{n} octets, a message has at most {FIX_MAX_MESSAGE}")
    verdict = fix_parse(&scratch, scratch_octets, <uint32_t>n)
    if verdict == FIX_GARBLED:
        raise GarbledMessage(f"no message: {GARBLED[scratch.garbled]}", scratch.skip)
    if verdict == FIX_PARTIAL:
        raise IncompleteMessage(f"{n} octets are not the whole message, at least {scratch.need} are needed", scratch.need)
    if scratch.n != n:
        raise MessageError(f"{n - scratch.n} octets follow the message; fix.Parser takes streams")
    message = message_of(&scratch, dictionary)
    if scratch.error != FIX_OK:
        raise MessageError(message.error)
    return message


cdef class Parser:
    """Messages from a stream of octets: feed what arrives, get the messages that are whole by now.

    What is not a message is skipped up to the next `8=FIX` and counted: `garbled` stretches that began like a message and
    were none, `skipped` octets in all, `last_garbled` the latest reason. A message with `error` set has right BodyLength
    and CheckSum and is wrong inside. max_size limits a message, and with it the memory of this object.
    """
    cdef fix_msg m
    cdef uint8_t *octets
    cdef void *data_table           # of the dictionary, NULL: the standard's
    cdef uint32_t begin, end, cap
    cdef object dictionary
    cdef readonly uint64_t messages, garbled, skipped
    cdef readonly object last_garbled

    def __cinit__(self, dictionary=None, *, max_size=FIX_MAX_MESSAGE, resync="next"):
        if not isinstance(max_size, int) or not 32 <= max_size <= FIX_MAX_MESSAGE:
            raise ValueError(f"max_size is {max_size!r}, must be 32 to {FIX_MAX_MESSAGE}")
        if resync not in ("next", "trailer"):
            raise ValueError(f"resync is {resync!r}, must be next or trailer")
        self.cap = 2 * <uint32_t>max_size + 4096
        self.octets = <uint8_t *>malloc(self.cap + FIX_SLACK)
        if self.octets == NULL or not fix_msg_alloc(&self.m, 0):
            raise MemoryError
        self.m.max_size = max_size
        self.m.resync = resync == "trailer"
        self.dictionary = dictionary
        if dictionary is not None:
            self.data_table = fix_data_table(dictionary.data_pairs())
            self.m.data_table = self.data_table

    def __dealloc__(self):
        fix_msg_free(&self.m)
        free(self.data_table)
        free(self.octets)

    @property
    def pending(self):
        """Octets kept because their message is not whole yet."""
        return self.end - self.begin

    def feed(self, data):
        """Take octets; the list of messages they complete."""
        cdef const uint8_t[::1] octets = data
        cdef Py_ssize_t n = octets.shape[0], taken = 0, k
        cdef list found = []
        while taken < n:
            if self.begin == self.end:
                self.begin = self.end = 0
            elif self.begin > self.cap // 2 or self.end == self.cap:
                memmove(self.octets, self.octets + self.begin, self.end - self.begin)
                self.end -= self.begin
                self.begin = 0
            k = min(n - taken, <Py_ssize_t>(self.cap - self.end))
            memcpy(self.octets + self.end, &octets[taken], k)
            self.end += <uint32_t>k
            taken += k
            self.drain(found)
        return found

    cdef bint drain(self, list found) except False:
        cdef int verdict
        while self.end - self.begin >= self.m.need and self.begin < self.end:
            verdict = fix_parse(&self.m, self.octets + self.begin, self.end - self.begin)
            if verdict == FIX_PARTIAL:
                break
            self.m.need = 0
            if verdict == FIX_COMPLETE:
                self.messages += 1
                found.append(message_of(&self.m, self.dictionary))
                self.begin += self.m.n
            else:
                self.skipped += self.m.skip
                self.last_garbled = GARBLED[self.m.garbled]
                if self.m.garbled != FIX_GARBLED_NOT_FIX:
                    self.garbled += 1
                self.begin += self.m.skip
        return True
