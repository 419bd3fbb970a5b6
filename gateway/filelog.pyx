"""Message logs as QuickFIX's FileLog writes them: BEGINSTRING-SENDER-TARGET.messages.current.log, one message a line behind
`YYYYMMDD-HH:MM:SS.nnnnnnnnn : `, SOH as it is, the time UTC.

The engine copies what went over the wire into a ring (ipc/ring) and goes on; no room is a message lost to the log and
counted. A thread takes it out, finds the messages in what was received, and writes. It opens a file when its first message
comes, appends, and opens it anew when somebody has moved it away (logrotate).
"""
import os
import threading

from libc.errno cimport errno
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdio cimport snprintf
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset, strlen
from posix.fcntl cimport O_APPEND, O_CLOEXEC, O_CREAT, O_WRONLY, open as open_
from posix.mman cimport MAP_ANONYMOUS, MAP_FAILED, MAP_POPULATE, MAP_PRIVATE, PROT_READ, PROT_WRITE, mmap, munmap
from posix.stat cimport fstat, stat, struct_stat
from posix.unistd cimport close, write

from fix.parse cimport FIX_COMPLETE, FIX_GARBLED, fix_msg_alloc, fix_msg_free, fix_parse
from fix.session cimport fix_session
from fix.timestamp cimport fix_stamp, fix_write_utc
from ipc.atomic cimport load32_acquire, store32_release
from ipc.ring cimport ring_attach, ring_octets, ring_peek, ring_release

from gateway.clock cimport clock_ns, clock_sleep_ns
from gateway.session cimport GatewaySession
from gateway.wire_log cimport PIECE_HEAD, log_piece

cdef enum:
    TEXT_OCTETS = 1 << 18       # more than the engine hands over at once: a receive buffer of 128 KiB
    OUT_OCTETS = 1 << 17
    SLACK = 64
    IDLE_NS = 2_000_000
    LOOK_NS = 1_000_000_000

def prefix(GatewaySession session not None):
    """BEGINSTRING-SENDER-TARGET, as QuickFIX names a session's files; a slash in an ID is an underscore."""
    session.live()
    return f"{session.BeginString}-{session.SenderCompID}-{session.TargetCompID}".replace("/", "_")


cdef class FileLog:

    def __cinit__(self, engine_, uint64_t octets=1 << 22):
        cdef uint64_t capacity = 64, i
        if not 65536 <= octets <= 1 << 34:
            raise ValueError(f"octets is {octets}, must be 65536 to {1 << 34}")
        while 2 * capacity * sizeof(log_piece) <= octets:
            capacity *= 2
        self.engine = engine_
        self.max_slots = engine_.max_sessions
        self.octets = ring_octets(sizeof(log_piece), capacity)
        self.memory = mmap(NULL, self.octets, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0)
        if self.memory == MAP_FAILED:
            self.memory = NULL
            raise MemoryError(f"no memory for a ring of {self.octets} octets")
        ring_attach(&self.producer, self.memory, sizeof(log_piece), capacity)
        ring_attach(&self.consumer, self.memory, sizeof(log_piece), capacity)
        self.files = <log_file *>calloc(self.max_slots, sizeof(log_file))
        self.text = <uint8_t *>calloc(1, TEXT_OCTETS + SLACK)
        self.out = <uint8_t *>calloc(1, OUT_OCTETS)
        if self.files == NULL or self.text == NULL or self.out == NULL or not fix_msg_alloc(&self.msg, 0):
            raise MemoryError("no memory for message logs")
        for i in range(self.max_slots):
            self.files[i].fd = -1

    def __init__(self, engine_, uint64_t octets=1 << 22):
        self.thread = threading.Thread(target=self._run, name="filelog", daemon=True)
        self.thread.start()

    def __dealloc__(self):
        if self.memory != NULL:
            munmap(self.memory, self.octets)
        free(self.files)
        free(self.text)
        free(self.out)
        fix_msg_free(&self.msg)

    def add(self, GatewaySession session not None, str directory):
        """Log the messages of `session` in `directory`, which is made. OSError where that cannot be; in the engine's thread."""
        cdef bytes path = os.fsencode(os.path.abspath(directory))
        session.change()
        if len(path) > PATH_OCTETS - 1:
            raise ValueError(f"the path of {directory} is longer than {PATH_OCTETS - 1} octets")
        os.makedirs(path, exist_ok=True)
        if not os.access(path, os.W_OK | os.X_OK):
            raise PermissionError(13, "cannot be written to", directory)
        memcpy(self.files[session.g.id].directory, <const char *>path, len(path) + 1)
        self.files[session.g.id].g = session.g
        session.g.e.file_log = &self.producer
        session.g.logged = True

    def close(self):
        """Write what is left, end the thread, close the files. In the engine's thread, before the engine is closed."""
        cdef GatewaySession session
        cdef uint32_t i
        if self.thread is None:
            return
        for session in self.engine.sessions:
            session.change()
            session.g.logged = False
        store32_release(&self.stopping, 1)
        self.thread.join()
        self.thread = None
        for i in range(self.max_slots):
            if self.files[i].fd >= 0:
                close(self.files[i].fd)
                self.files[i].fd = -1

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def stats(self):
        """written: messages; errors: writes that failed; garbage: octets received that were no message."""
        return {"written": self.written, "errors": self.errors, "garbage": self.garbage}

    def _run(self):
        with nogil:
            self.work()

    cdef void work(self) noexcept nogil:
        """The thread: until close(), and then until nothing is left."""
        cdef uint32_t last
        while True:
            last = load32_acquire(&self.stopping)
            if not self.drain():
                self.look()
                if last:
                    return
                clock_sleep_ns(IDLE_NS)

    cdef bint drain(self) noexcept nogil:
        """One message, or what there is of it in the ring. False: none."""
        cdef uint32_t n = 0, at = 0, k
        cdef uint64_t pieces = 0
        cdef int64_t utc_ns = 0
        cdef const log_piece *piece
        cdef log_file *f = NULL
        cdef bint sent = False
        while True:
            piece = <const log_piece *>ring_peek(&self.consumer, &k, pieces)
            if piece == NULL:
                break
            if pieces == 0:
                n = piece.n
                utc_ns = piece.utc_ns
                sent = piece.sent
                f = &self.files[piece.slot] if piece.slot < self.max_slots else NULL
            k -= PIECE_HEAD
            if at + k <= TEXT_OCTETS:
                memcpy(self.text + at, piece.text, k)
            at += k
            pieces += 1
            if at >= n:
                break
        if pieces == 0:
            self.flush()
            return False
        ring_release(&self.consumer, pieces)
        if f != NULL and f.g != NULL and n <= TEXT_OCTETS:
            self.message(f, utc_ns, sent, n)
        return True

    cdef void message(self, log_file *f, int64_t utc_ns, bint sent, uint32_t n) noexcept nogil:
        """Lines for what is in `text`: the message we sent, or the messages among what was received."""
        cdef uint32_t at = 0
        cdef int verdict
        if sent:
            self.line(f, utc_ns, self.text, n)
            return
        while at < n:
            verdict = fix_parse(&self.msg, self.text + at, n - at)
            if verdict == FIX_COMPLETE:
                self.line(f, utc_ns, self.text + at, self.msg.n)
                at += self.msg.n
            elif verdict == FIX_GARBLED and self.msg.skip != 0:
                self.garbage += self.msg.skip
                at += self.msg.skip
            else:
                self.garbage += n - at
                return

    cdef void line(self, log_file *f, int64_t utc_ns, const uint8_t *p, uint32_t n) noexcept nogil:
        cdef fix_stamp stamp
        cdef uint8_t *o
        if self.out_to != f or self.out_n + n + 64 > OUT_OCTETS:
            self.flush()
            self.out_to = f
        if n + 64 > OUT_OCTETS:
            self.errors += 1
            return
        memset(&stamp, 0, sizeof(fix_stamp))
        o = fix_write_utc(&stamp, self.out + self.out_n, <uint64_t>utc_ns, 9)
        memcpy(o, b" : ", 3)
        memcpy(o + 3, p, n)
        o[3 + n] = 10
        self.out_n = <uint32_t>(o + 4 + n - self.out)
        self.written += 1

    cdef void flush(self) noexcept nogil:
        """Write the lines that are there. What cannot be written is lost and counted: a full disk stops no session."""
        cdef uint32_t at = 0
        cdef ssize_t done
        if self.out_n == 0:
            return
        if self.open_file(self.out_to):
            while at < self.out_n:
                done = write(self.out_to.fd, self.out + at, self.out_n - at)
                if done <= 0:
                    self.last_errno = errno
                    self.errors += 1
                    break
                at += <uint32_t>done
        self.out_n = 0

    cdef void path_of(self, log_file *f, char *path, size_t room) noexcept nogil:
        """The file's name; read when its first message came, so that the peer of a template's session is known."""
        cdef fix_session *s = f.g.s
        cdef size_t i
        snprintf(path, room, b"%s/%.*s-%s-%s.messages.current.log", f.directory, <int>s.begin_len, <char *>s.begin,
                 s.config.SenderCompID, s.config.TargetCompID)
        for i in range(strlen(f.directory) + 1, strlen(path)):
            if path[i] == c'/':
                path[i] = c'_'

    cdef bint open_file(self, log_file *f) noexcept nogil:
        cdef char[1300] path
        cdef struct_stat found
        if f.fd >= 0:
            return True
        self.path_of(f, path, sizeof(path))
        f.fd = open_(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o640)
        if f.fd < 0 or fstat(f.fd, &found) != 0:
            self.last_errno = errno
            self.errors += 1
            return False
        f.inode = found.st_ino
        return True

    cdef void look(self) noexcept nogil:
        """Once a second: files that were moved away are closed, and opened anew with the next message."""
        cdef uint64_t now_ns = clock_ns()
        cdef struct_stat found
        cdef char[1300] path
        cdef uint32_t i
        if now_ns - self.looked_ns < LOOK_NS:
            return
        self.looked_ns = now_ns
        for i in range(self.max_slots):
            if self.files[i].fd < 0:
                continue
            self.path_of(&self.files[i], path, sizeof(path))
            if stat(path, &found) != 0 or found.st_ino != self.files[i].inode:
                close(self.files[i].fd)
                self.files[i].fd = -1
