"""A crash-safe store: every message is in memory that survives the process before the wire sees it.

The session appends records to a ring on tmpfs (a file in /dev/shm, mapped, every page touched beforehand): a copy and one
published position, no system call. A thread carries whole records on to segment files, seals them with CRC-32C and calls
fdatasync in batches; only that thread ever waits for a disk. If it falls behind by a ring's length, append refuses and
session_begin says so.

    order of a message     record whole in the ring -> head published -> wire -> numbers.next_out
    crash before head      the message never was; its number is free
    crash after head       its number counts as used; the peer sees a gap, if at all, and gets it by ResendRequest

On opening, the records of the segments and then of the ring are replayed; numbers that a record sets (reset, by hand)
outrank those of the ring's page if the crash came between the two. Without the ring (the machine crashed) the segments
and the numbers file tell what was synced.
"""
import contextlib
import fcntl
import os

from libc.errno cimport errno
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset
from posix.mman cimport (
    MAP_ANONYMOUS, MAP_FAILED, MAP_FIXED, MAP_PRIVATE, MAP_SHARED, PROT_READ, PROT_WRITE, mmap, munmap,
)
from posix.unistd cimport close

from fix.drain cimport drain_now, serve, unserve
from fix.ring cimport (
    CLOSED_OPS, JOURNAL_EACH, JOURNAL_MACHINE, JOURNAL_OPS, JOURNAL_PROCESS, index_entry, index_put, journal, publish,
    record_at, ring_page,
)
from fix.segment cimport (
    JOURNAL_ADMIN, JOURNAL_HEAD, JOURNAL_MESSAGE, JOURNAL_NUMBERS, JOURNAL_PAD, RECORD_MAX, journal_record, numbers_open,
    numbers_read, pthread_mutex_destroy, pthread_mutex_init, record_step, segment_adopt, segment_walk, segments_at,
    segments_close, segments_cut, segments_seal,
)
from fix.store cimport fix_numbers, fix_store, store_free

from fix.errors import JournalError

cdef extern from *:
    """
    #include <sys/mman.h>
    #ifndef MAP_POPULATE
    #define MAP_POPULATE 0
    #endif
    #define FW_MAP_POPULATE MAP_POPULATE
    """
    int MAP_POPULATE "FW_MAP_POPULATE"

cdef enum:
    PAGE = 4096
    SLACK = 64

cdef uint64_t NO_POSITION = 0xFFFFFFFFFFFFFFFF      # no ring: nothing is kept but on disk
cdef uint64_t RING_MAGIC = 0x31474E4952584946       # "FIXRING1"


# --- opening

cdef void replay_record(journal *j, replay *y, journal_record *r, uint64_t at) noexcept nogil:
    cdef uint64_t i
    if r.kind == JOURNAL_NUMBERS:
        y.numbers = True
        y.numbers_at = at
        y.next_out = r.seq
        y.next_in = r.aux
        if r.seq == 1:
            j.void_before = at
        for i in range(j.mask + 1):
            if j.index[i].seq >= r.seq:
                j.index[i].known = False
    elif r.kind != JOURNAL_PAD:
        index_put(j, r.seq, at, r.n)
        y.next_out = r.seq + 1


cdef void replay_segments(journal *j, replay *y, uint64_t kept) noexcept nogil:
    cdef uint32_t i
    cdef uint64_t at
    cdef journal_record *r
    for i in range(j.segments.count):
        segment_walk(&j.segments, i, kept)
        at = j.segments.at[i].start
        while at < j.segments.at[i].end:
            r = <journal_record *>segments_at(&j.segments, at, 8)
            replay_record(j, y, r, at)
            at += record_step(r)


cdef bint ring_record_fits(journal *j, uint64_t at, uint64_t head) noexcept nogil:
    """Could there be a record at `at`? The ring has no CRC: what is before head is whole."""
    cdef journal_record *r = record_at(j, at)
    cdef uint64_t left = j.size - (at & (j.size - 1))
    if r.kind == JOURNAL_PAD:
        return r.n == left and at + left <= head
    if left < JOURNAL_HEAD or (r.kind != JOURNAL_MESSAGE and r.kind != JOURNAL_ADMIN and r.kind != JOURNAL_NUMBERS):
        return False
    return r.n <= RECORD_MAX and record_step(r) <= left and at + record_step(r) <= head


cdef void replay_ring(journal *j, replay *y) noexcept nogil:
    cdef uint64_t at = j.page.drained if j.disk else j.page.tail
    while at < j.page.head:
        if not ring_record_fits(j, at, j.page.head):
            j.segments.damaged += 1
            j.page.head = at
            return
        replay_record(j, y, record_at(j, at), at)
        at += record_step(record_at(j, at))


cdef int ring_open(journal *j, int fd, uint64_t size, bint *fresh) except -1:
    """Map the ring's file, made whole and zero if it is new; -> 0."""
    cdef ring_page page
    cdef void *p
    head = os.pread(fd, sizeof(ring_page), 0)
    fresh[0] = True
    if len(head) == sizeof(ring_page):
        memcpy(&page, <const char *>head, sizeof(ring_page))
        if page.magic == RING_MAGIC:
            if page.version != 1 or page.size < 65536 or page.size & (page.size - 1) or \
                    os.fstat(fd).st_size != PAGE + page.size + PAGE or page.head & 7 or \
                    page.head - (page.drained if page.disk else page.tail) > page.size or \
                    (page.drained if page.disk else page.tail) & 7:
                raise JournalError("the ring's file is not one of this version, or damaged")
            if bool(page.disk) != bool(j.disk):
                raise JournalError("the journal was used with a directory" if page.disk else
                                   "the journal was used without a directory")
            size = page.size
            fresh[0] = False
    if fresh[0]:
        os.ftruncate(fd, 0)
    os.posix_fallocate(fd, 0, PAGE + size + PAGE)       # a full tmpfs shows here and not as SIGBUS later
    p = mmap(NULL, PAGE + size + PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0)
    if p == MAP_FAILED:
        raise OSError(errno, "mmap of the journal's ring")
    j.page = <ring_page *>p
    j.ring = <uint8_t *>p + PAGE
    j.size = size
    return 0


cdef class Journal(Store):
    """A store that survives kill -9, and with a `directory` a crash of the machine.

    name            names its files; one process at a time has it open
    directory       of segments on disk; None: only the ring, which then holds the newest messages
    ring_directory  on tmpfs; ring_octets: a power of two, at least 16 times the largest message
    segment_octets, keep_segments   size and number of the files; older ones are deleted
    messages        newest messages that can be sent again
    durability      "process": what was sent survives kill -9 · "machine": synced every sync_ns, so that a crash of the
                    machine loses that much · "each": synced before every message leaves, milliseconds each
    """

    def __cinit__(self, name, directory=None, *, ring_directory="/dev/shm", ring_octets=1 << 22,
                  segment_octets=1 << 24, keep_segments=64, messages=1 << 16, durability="process",
                  sync_ns=5_000_000):
        cdef bint fresh = True
        cdef replay y
        cdef uint64_t slots = 1
        if not name or set(name) - set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") \
                or name[0] == ".":
            raise ValueError(f"name is {name!r}, must be letters, digits, '.', '_', '-'")
        if durability not in ("process", "machine", "each"):
            raise ValueError(f"durability is {durability!r}, must be 'process', 'machine' or 'each'")
        if durability != "process" and directory is None:
            raise ValueError(f"durability {durability!r} needs a directory")
        for what, value, least, most in (("ring_octets", ring_octets, 65536, 1 << 32),
                                         ("segment_octets", segment_octets, 131072, 1 << 40),
                                         ("keep_segments", keep_segments, 2, 1000), ("messages", messages, 1, 1 << 26),
                                         ("sync_ns", sync_ns, 0, 1 << 40)):
            if not least <= value <= most:
                raise ValueError(f"{what} is {value}, must be {least} to {most}")
        if ring_octets & (ring_octets - 1):
            raise ValueError(f"ring_octets is {ring_octets}, must be a power of two")
        if segment_octets % 8:
            raise ValueError(f"segment_octets is {segment_octets}, must be a multiple of 8")
        self.name, self.directory, self.ring_directory, self.durability = name, directory, ring_directory, durability
        self.j = <journal *>calloc(1, sizeof(journal))
        if self.j == NULL:
            raise MemoryError("a journal")
        self.j.segments.numbers_fd = self.fd = -1
        pthread_mutex_init(&self.j.segments.lock, NULL)
        while slots < messages:
            slots <<= 1
        self.j.mask = slots - 1
        self.j.index = <index_entry *>calloc(slots, sizeof(index_entry))
        self.j.copy = <uint8_t *>calloc(1, RECORD_MAX + SLACK)
        if self.j.index == NULL or self.j.copy == NULL:
            raise MemoryError("a journal's index")
        memset(self.j.index, 0, slots * sizeof(index_entry))
        self.j.durability = {"process": JOURNAL_PROCESS, "machine": JOURNAL_MACHINE, "each": JOURNAL_EACH}[durability]
        self.j.sync_ns = sync_ns
        self.j.disk = directory is not None
        self._lock_ring()
        ring_open(self.j, self.fd, ring_octets, &fresh)
        memset(&y, 0, sizeof(y))
        if directory is not None:
            self._find_segments(segment_octets, keep_segments)
        if not fresh and self.j.segments.stream != 0 and self.j.segments.stream != self.j.page.stream:
            raise JournalError(f"{self._ring_path()} and the segments in {directory} are of different journals; "
                               f"remove the one that is not wanted")
        replay_segments(self.j, &y, NO_POSITION if fresh else self.j.page.drained)
        if fresh:
            self._begin_ring(&y)
        else:
            if self.j.disk:
                self.j.segments.stream = self.j.page.stream
                segments_cut(&self.j.segments, self.j.page.drained)
            replay_ring(self.j, &y)
            if y.numbers and y.numbers_at >= self.j.page.applied:
                self.j.page.numbers.next_in = y.next_in
            if y.next_out:
                self.j.page.numbers.next_out = y.next_out
            self.j.page.applied = self.j.page.head
        store_free(self.st)
        self.st = <fix_store *>calloc(1, sizeof(fix_store))
        if self.st == NULL:
            raise MemoryError("a journal")
        self.st.ops = &JOURNAL_OPS
        self.st.self = self.j
        self.st.numbers = &self.j.page.numbers
        self.j.synced = self.j.page.drained
        self.open = True
        if self.j.disk:
            serve(self.j)

    def _ring_path(self):
        return os.path.join(self.ring_directory, f"fixwire-{self.name}.ring")

    def _lock_ring(self):
        """Open the ring's file, ours alone."""
        self.fd = os.open(self._ring_path(), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        if os.fstat(self.fd).st_uid != os.geteuid():
            raise JournalError(f"{self._ring_path()} belongs to another user")
        try:
            fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise JournalError(f"journal {self.name} is in use by another process") from None

    def _find_segments(self, segment_octets, keep_segments):
        cdef int wrong
        os.makedirs(self.directory, mode=0o700, exist_ok=True)
        prefix = os.fsencode(os.path.join(os.path.abspath(self.directory), self.name))
        if len(prefix) > 1000:
            raise ValueError(f"the path of {self.directory} is longer than 1000 octets")
        memcpy(self.j.segments.prefix, <const char *>prefix, len(prefix) + 1)
        self.j.segments.size = segment_octets
        self.j.segments.keep = keep_segments
        wrong = numbers_open(&self.j.segments)
        if wrong:
            raise OSError(wrong, os.strerror(wrong), f"{self.name}.numbers")
        starts = self._segment_starts()
        newest = max(starts, default=0)
        for start in starts:
            path = prefix + b".%020d.journal" % start
            wrong = segment_adopt(&self.j.segments, path, start, start == newest)
            if wrong > 0:
                raise OSError(wrong, os.strerror(wrong), os.fsdecode(path))
            if wrong < 0 and start == newest:
                os.unlink(path)             # a crash came while it was made
            elif wrong < 0:
                raise JournalError(f"{os.fsdecode(path)} is not a segment of this journal")

    def _segment_starts(self):
        """Positions at which this journal's segments begin, ascending, by the names of the files."""
        names = (f.removeprefix(self.name + ".").removesuffix(".journal") for f in os.listdir(self.directory)
                 if f.startswith(self.name + ".") and f.endswith(".journal"))
        return sorted(int(n) for n in names if len(n) == 20 and n.isdigit())

    cdef void _begin_ring(self, replay *y):
        """The ring is new: the journal begins, or goes on behind what the segments have."""
        cdef fix_numbers numbers
        cdef uint64_t at = 0, end = 0
        cdef bint known = False
        if self.j.segments.count:
            end = segments_seal(&self.j.segments)
        if self.j.segments.stream == 0:
            self.j.segments.stream = int.from_bytes(os.urandom(8), "little") | 1
        elif self.j.disk:
            known = numbers_read(&self.j.segments, &numbers, &at)
        self.j.page.size = self.j.size
        self.j.page.version = 1
        self.j.page.disk = self.j.disk
        self.j.page.stream = self.j.segments.stream
        self.j.page.head = self.j.page.drained = self.j.page.tail = self.j.page.applied = end
        self.j.page.numbers.next_in = self.j.page.numbers.next_out = 1
        if known:
            self.j.page.numbers = numbers
        if y.numbers and (not known or y.numbers_at >= at):
            self.j.page.numbers.next_in = y.next_in
        if y.next_out:
            self.j.page.numbers.next_out = y.next_out
        publish(&self.j.page.magic, RING_MAGIC)

    def sync(self):
        """Return when everything appended so far is on disk; True, or False without a directory. Raises OSError."""
        cdef bint done
        if not self.open or not self.j.disk:
            return False
        with nogil:
            done = drain_now(self.j)
        if not done:
            raise OSError(self.j.last_errno, os.strerror(self.j.last_errno), self.directory)
        return True

    def close(self):
        """Sync and let go of the files. A session that still has it can neither send nor resend."""
        self._let_go()

    cdef void _let_go(self) noexcept:
        cdef void *page = self.j.page
        if self.open:
            self.open = False
            unserve(self.j)
            if self.j.disk:
                drain_now(self.j)
            self.st.ops = &CLOSED_OPS
        if page != NULL and self.fd >= 0:
            # sessions write their numbers through a pointer into this page: from now on into memory of nobody
            mmap(page, PAGE + self.j.size + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0)
            self.j.page.numbers.next_in = self.j.page.numbers.next_out = 1
        segments_close(&self.j.segments)
        if self.fd >= 0:
            close(self.fd)
        self.fd = -1

    def __dealloc__(self):
        if self.j != NULL:
            self._let_go()
            if self.j.page != NULL:
                munmap(self.j.page, PAGE + self.j.size + PAGE)
            pthread_mutex_destroy(&self.j.segments.lock)
            free(self.j.index)
            free(self.j.copy)
            free(self.j)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def remove(self):
        """Close, and delete every file of this journal."""
        self.close()
        os.unlink(self._ring_path())
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(self.ring_directory, f"fixwire-{self.name}.orders"))     # the gateway's
        if self.directory is not None:
            for start in self._segment_starts():
                os.unlink(os.path.join(self.directory, f"{self.name}.{start:020d}.journal"))
            os.unlink(os.path.join(self.directory, f"{self.name}.numbers"))

    def stats(self):
        """Counters of every store, and positions in octets: head, drained, synced; segments, damaged, pruned, errors."""
        said = dict(Store.stats(self))
        if self.open:
            said.update(head=self.j.page.head, drained=self.j.page.drained, synced=self.j.synced,
                        segments=self.j.segments.count, damaged=self.j.segments.damaged,
                        pruned=self.j.segments.pruned, drain_errors=self.j.drain_errors)
        return said
