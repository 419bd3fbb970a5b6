"""The flight recorder's memory and its dumps: a pcapng file whose every frame carries its verdict as a comment.

draft-ietf-opsawg-pcapng: enhanced packet blocks with opt_comment and epb_flags (direction). Frames are cut to `snap`
octets, their true length is kept. What a verdict is called comes from the layers that give it (Stack fills the names in).
"""
from libc.errno cimport errno as c_errno
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdio cimport snprintf
from libc.stdlib cimport calloc, free
from posix.fcntl cimport O_CREAT, O_TRUNC, O_WRONLY
from posix.fcntl cimport open as c_open
from posix.unistd cimport close as c_close
from posix.unistd cimport getpid

from dpdk_py.recording cimport (
    CAPTURE_COMMENT_MAX, capture_file_header, capture_flush, capture_put_commented, capture_record_len,
)

cdef enum:
    MODE = 0o600                        # frames of a session are not everybody's
    SECOND_NS = 1000000000
    FILE_HEADER = 256

cdef extern from *:
    """
    #ifdef FIXWIRE_DEBUG
    #include <signal.h>
    /* abort() ends the process whatever a handler does; what handled it before (faulthandler) comes after us. */
    static void (*fw_last_words)(void);
    static struct sigaction fw_before;
    static void fw_aborted(int number) {
        (void)number;
        fw_last_words();
        sigaction(SIGABRT, &fw_before, NULL);
        raise(SIGABRT);
    }
    static void fw_at_abort(void (*last_words)(void)) {
        struct sigaction ours = {0};
        if (fw_last_words) return;
        fw_last_words = last_words;
        ours.sa_handler = fw_aborted;
        sigaction(SIGABRT, &ours, &fw_before);
    }
    #else
    static inline void fw_at_abort(void (*last_words)(void)) { (void)last_words; }
    #endif
    """
    void at_abort "fw_at_abort"(void (*last_words)() noexcept nogil) noexcept nogil

cdef recorder *alive = NULL


cdef void recorder_last_words() noexcept nogil:
    """A file of every recorder: in a FIXWIRE_DEBUG build an internal check has failed and is about to end the process."""
    cdef recorder *r = alive
    while r != NULL:
        recorder_write(r, FAULT_CHECK)
        r = r.next


cdef recorder *recorder_new(uint32_t frames, uint32_t snap) noexcept nogil:
    """For the last `frames` (rounded up to a power of two) frames, `snap` octets of each; NULL: no memory."""
    global alive
    cdef recorder *r = <recorder *>calloc(1, sizeof(recorder))
    cdef uint32_t n = 1
    if r == NULL:
        return NULL
    while n < frames:
        n <<= 1
    r.mask = n - 1
    r.snap = snap
    r.slot_size = (sizeof(record) + snap + 63) & ~<uint32_t>63
    r.l4 = RECORD_NONE
    r.pid = <uint32_t>getpid()
    r.slots = <uint8_t *>calloc(n, r.slot_size)
    r.out.fd = -1
    r.out.size = FILE_HEADER + n * (capture_record_len(snap, 1) + CAPTURE_COMMENT_MAX + 8)
    r.out.buf = <uint8_t *>calloc(1, r.out.size)
    if r.slots == NULL or r.out.buf == NULL:
        recorder_free(r)
        return NULL
    r.next = alive
    alive = r
    at_abort(recorder_last_words)
    return r


cdef void recorder_free(recorder *r) noexcept nogil:
    global alive
    cdef recorder **at = &alive
    if r != NULL:
        while at[0] != NULL and at[0] != r:
            at = &at[0].next
        if at[0] == r:
            at[0] = r.next
        free(r.slots)
        free(r.out.buf)
        free(r)


cdef const char *fault_name(int kind) noexcept nogil:
    if kind == FAULT_RESET: return b"reset"
    if kind == FAULT_TIMEOUT: return b"timeout"
    if kind == FAULT_ABORTED: return b"aborted"
    if kind == FAULT_EXCEPTION: return b"exception"
    if kind == FAULT_CHECK: return b"check"
    return b"demand"


cdef const char *out_name(int verdict) noexcept nogil:
    if verdict == RECORD_SENT: return b"sent"
    if verdict == RECORD_WAITS: return b"waits for ARP"
    if verdict == RECORD_FULL: return b"refused, device full"
    if verdict == RECORD_NO_ROUTE: return b"refused, no route"
    if verdict == RECORD_ARP: return b"sent: arp"
    return b"sent after ARP"


cdef uint32_t recorder_comment(const recorder *r, const record *x, char *out, uint32_t room) noexcept nogil:
    """The verdict of a frame in words, as in "delivered: predicted, ESTABLISHED"; its length."""
    cdef const char *first = b"being handled"
    cdef const char *more = b""
    cdef const char *state = b""
    cdef int n
    if x.verdict != RECORD_NONE:
        first = out_name(x.verdict) if x.direction == RECORD_OUT else r.rx_name[x.verdict & 31]
    if x.l4 != RECORD_NONE:
        state = r.state_name[x.state & 15]
        if x.direction == RECORD_OUT:
            more = r.tx_l4_name[x.l4 & 31]
        else:
            first = r.rx_l4_name[x.l4 & 31]
    n = snprintf(out, room, b"%s%s%s%s%s", first, b": " if more[0] else b"", more, b", " if state[0] else b"", state)
    return <uint32_t>n if <uint32_t>n < room else room - 1


cdef int recorder_dump(recorder *r, const char *path) noexcept nogil:
    cdef char comment[CAPTURE_COMMENT_MAX]
    cdef record *x
    cdef uint64_t i = r.count - r.mask - 1 if r.count > r.mask else 0
    cdef uint32_t n
    r.out.fd = c_open(path, O_WRONLY | O_CREAT | O_TRUNC, MODE)
    r.out.error = 0
    if r.out.fd < 0:
        return c_errno
    capture_file_header(&r.out)
    while i != r.count:
        x = recorder_at(r, i)
        n = recorder_comment(r, x, comment, CAPTURE_COMMENT_MAX)
        capture_put_commented(&r.out, <uint8_t *>x + sizeof(record), x.kept, x.len, <int64_t>x.at_ns + r.utc_offset_ns,
                              x.direction, <uint8_t *>comment, n)
        i += 1
    capture_flush(&r.out)
    c_close(r.out.fd)
    r.out.fd = -1
    if r.out.error == 0:
        r.dumps += 1
    return r.out.error


cdef void recorder_serve(recorder *r, uint64_t now_ns) noexcept nogil:
    cdef int kind = r.fault if r.fault else FAULT_DEMAND
    if now_ns < r.next_dump_ns:
        return
    r.requested = 0
    r.fault = FAULT_NONE
    if recorder_write(r, kind):
        r.next_dump_ns = now_ns + SECOND_NS


cdef bint recorder_write(recorder *r, int kind) noexcept nogil:
    """The next file in its directory; False: it has none, or has had its RECORDER_DUMPS."""
    cdef char path[RECORDER_DIR + 64]
    if r.directory[0] == 0 or r.dumps + r.failed >= RECORDER_DUMPS:
        return False
    snprintf(path, sizeof(path), b"%s/flight-%u-%03u-%s.pcapng", r.directory, r.pid,
             <uint32_t>(r.dumps + r.failed), fault_name(kind))
    if recorder_dump(r, path):
        r.failed += 1
    return True
