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
import fcntl
import os
import threading

from libc.errno cimport errno
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset
from posix.mman cimport (
    MAP_ANONYMOUS, MAP_FAILED, MAP_FIXED, MAP_PRIVATE, MAP_SHARED, PROT_READ, PROT_WRITE, mmap, munmap,
)
from posix.time cimport nanosleep, timespec
from posix.unistd cimport close

from fix.segment cimport (
    JOURNAL_ADMIN, JOURNAL_HEAD, JOURNAL_MESSAGE, JOURNAL_NUMBERS, JOURNAL_PAD, RECORD_MAX, journal_record, numbers_open,
    numbers_read, numbers_write, pthread_mutex_destroy, pthread_mutex_init, pthread_mutex_lock, pthread_mutex_t,
    pthread_mutex_unlock, record_seal, record_step, segment, segment_adopt, segment_walk, segments_at,
    segments_close, segments_cut, segments_prune, segments_rotate, segments_seal, segments_sync, segments_write,
)
from fix.store cimport fix_store_ops, store_free

from fix.errors import JournalError

cdef extern from *:
    """
    #include <stdint.h>
    #include <sys/mman.h>
    #ifndef MAP_POPULATE
    #define MAP_POPULATE 0
    #endif
    #define FW_MAP_POPULATE MAP_POPULATE
    static inline void fw_publish(uint64_t *p, uint64_t v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }
    static inline uint64_t fw_observe(const uint64_t *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
    """
    int MAP_POPULATE "FW_MAP_POPULATE"
    void publish "fw_publish"(uint64_t *p, uint64_t v) noexcept nogil
    uint64_t observe "fw_observe"(const uint64_t *p) noexcept nogil

cdef enum:
    PAGE = 4096
    SLACK = 64
    RESERVE = 4096              # octets of the ring that only JOURNAL_NUMBERS records may use
    DRAIN_MAX = 1 << 20         # octets written to disk at once
    IDLE_NS = 500000            # between two looks of the drain thread

cdef uint64_t RING_MAGIC = 0x31474E4952584946       # "FIXRING1"
cdef uint64_t NOWHERE = 0xFFFFFFFFFFFFFFFF


# --- the session's side

cdef inline journal_record *record_at(journal *j, uint64_t at) noexcept nogil:
    return <journal_record *>(j.ring + (at & (j.size - 1)))


cdef uint64_t place(journal *j, uint64_t step, uint64_t reserve) noexcept nogil:
    """Position for a record of `step` octets, a pad written before it if the ring's end is too near.

    All ones: no room until the drain thread has caught up (or ever, for a record larger than the ring).
    """
    cdef uint64_t at = j.page.head, left = j.size - (at & (j.size - 1)), pad = 0
    cdef journal_record *r
    if left < step:
        pad = left
    if step + pad + reserve > j.size:
        return NOWHERE
    if j.disk:
        if at + pad + step + reserve - observe(&j.page.drained) > j.size:
            return NOWHERE
    else:
        while at + pad + step - j.page.tail > j.size:
            j.page.tail += record_step(record_at(j, j.page.tail))
    if pad != 0:
        r = record_at(j, at)
        r.kind = JOURNAL_PAD
        r.n = <uint32_t>pad
        at += pad
    return at


cdef bint write_record(journal *j, uint32_t kind, uint64_t seq, uint64_t aux, const uint8_t *p, uint32_t n,
                       uint64_t *where) noexcept nogil:
    """Append one record and publish it; False: no room."""
    cdef uint64_t step = JOURNAL_HEAD + ((<uint64_t>n + 7) & ~<uint64_t>7)
    cdef uint64_t at = place(j, step, 0 if kind == JOURNAL_NUMBERS else RESERVE)
    cdef journal_record *r
    if at == NOWHERE:
        return False
    r = record_at(j, at)
    if n != 0:
        memcpy(<uint8_t *>r + JOURNAL_HEAD, p, n)
    r.kind = kind
    r.n = n
    r.seq = seq
    r.aux = aux
    r.crc = r.zero = 0
    publish(&j.page.head, at + step)
    where[0] = at
    return True


cdef bint journal_append(fix_store *st, uint64_t seq, const uint8_t *p, uint32_t n, bint admin,
                         uint64_t now_ns) noexcept nogil:
    cdef journal *j = <journal *>st.self
    cdef uint64_t at = 0
    if n > RECORD_MAX or not write_record(j, JOURNAL_ADMIN if admin else JOURNAL_MESSAGE, seq, now_ns, p, 0 if admin else n, &at):
        st.stats.refused += 1
        return False
    index_put(j, seq, at, 0 if admin else n)
    st.stats.appended += 1
    st.stats.appended_octets += n
    if j.durability == JOURNAL_EACH:
        return drain_now(j)
    return True


cdef inline void index_put(journal *j, uint64_t seq, uint64_t at, uint32_t n) noexcept nogil:
    cdef index_entry *e = &j.index[seq & j.mask]
    e.seq = seq
    e.at = at
    e.n = n
    e.known = True


cdef const uint8_t *journal_get(fix_store *st, uint64_t seq, uint32_t *n) noexcept nogil:
    """From the ring in place, else a copy of what is on disk (which may have to be read)."""
    cdef journal *j = <journal *>st.self
    cdef index_entry *e = &j.index[seq & j.mask]
    cdef const uint8_t *p
    if e.seq != seq or not e.known or e.at < j.void_before:
        n[0] = 1
        return NULL
    n[0] = e.n
    if e.n == 0:
        return NULL
    if e.at >= j.page.tail and j.page.head - e.at <= j.size:
        return <const uint8_t *>record_at(j, e.at) + JOURNAL_HEAD
    if j.disk:
        pthread_mutex_lock(&j.segments.lock)
        p = segments_at(&j.segments, e.at, JOURNAL_HEAD + e.n)
        if p != NULL:
            memcpy(j.copy, p + JOURNAL_HEAD, e.n)
        pthread_mutex_unlock(&j.segments.lock)
        if p != NULL:
            return j.copy
    n[0] = 1
    return NULL


cdef bint journal_room(fix_store *st, uint32_t n) noexcept nogil:
    """A record of n octets and the longest pad before it."""
    cdef journal *j = <journal *>st.self
    cdef uint64_t step = 2 * (JOURNAL_HEAD + ((<uint64_t>n + 7) & ~<uint64_t>7)) + RESERVE
    if not j.disk:
        return step <= j.size
    return j.page.head + step - observe(&j.page.drained) <= j.size


cdef void journal_renumber(fix_store *st) noexcept nogil:
    """Write down numbers set by hand; kept messages from next_out on are void."""
    cdef journal *j = <journal *>st.self
    cdef uint64_t at = 0, i
    while not write_record(j, JOURNAL_NUMBERS, j.page.numbers.next_out, j.page.numbers.next_in, NULL, 0, &at):
        if not drain_now(j):
            st.stats.refused += 1           # the disk is full or gone: the page alone has the numbers
            break
    publish(&j.page.applied, j.page.head)
    for i in range(j.mask + 1):
        if j.index[i].seq >= j.page.numbers.next_out:
            j.index[i].known = False


cdef void journal_reset(fix_store *st, int64_t utc_ns) noexcept nogil:
    cdef journal *j = <journal *>st.self
    cdef uint64_t at = 0
    while not write_record(j, JOURNAL_NUMBERS, 1, 1, NULL, 0, &at):
        if not drain_now(j):
            st.stats.refused += 1
            break
    j.page.numbers.next_in = j.page.numbers.next_out = 1
    j.page.numbers.created_utc_ns = utc_ns
    publish(&j.page.applied, j.page.head)
    j.void_before = j.page.head
    st.stats.resets += 1


cdef void journal_free(fix_store *st) noexcept nogil:
    free(st)            # the rest is the Journal object's


cdef fix_store_ops JOURNAL_OPS
JOURNAL_OPS.append = journal_append
JOURNAL_OPS.get = journal_get
JOURNAL_OPS.room = journal_room
JOURNAL_OPS.reset = journal_reset
JOURNAL_OPS.renumber = journal_renumber
JOURNAL_OPS.free = journal_free


# --- the drain thread's side

cdef pthread_mutex_t draining       # one drain at a time, and the list of journals
cdef journal *served = NULL
cdef bint running = False
pthread_mutex_init(&draining, NULL)


cdef int drain_part(journal *j, uint64_t head) noexcept nogil:
    """Write whole records, at most DRAIN_MAX octets, up to the ring's or the segment's end; -> 0 or an errno."""
    cdef uint64_t at = j.page.drained, end = at, step
    cdef segment *g
    cdef journal_record *r
    cdef int wrong
    cdef uint64_t room
    r = record_at(j, at)
    step = record_step(r)
    g = &j.segments.at[j.segments.count - 1 if j.segments.count else 0]
    if j.segments.count == 0 or g.fd < 0 or g.end != at or g.start + j.segments.size - at < step:
        wrong = segments_rotate(&j.segments, at)
        if wrong != 0:
            return wrong
        segments_prune(&j.segments)
        g = &j.segments.at[j.segments.count - 1]
    room = g.start + j.segments.size - at
    while end < head:
        r = record_at(j, end)
        step = record_step(r)
        if end + step - at > room or end + step - at > DRAIN_MAX and end != at:
            break
        record_seal(r)
        end += step
        if (end & (j.size - 1)) == 0:
            break
    wrong = segments_write(&j.segments, at, <const uint8_t *>record_at(j, at), end - at)
    if wrong == 0:
        publish(&j.page.drained, end)
    return wrong


cdef int drain_pass(journal *j, bint sync) noexcept nogil:
    """Carry on everything published so far; `sync`: and wait until it is on disk. -> 0 or an errno."""
    cdef uint64_t head = observe(&j.page.head)
    cdef int wrong
    cdef fix_numbers numbers
    while j.page.drained != head:
        wrong = drain_part(j, head)
        if wrong != 0:
            return wrong
    if j.durability == JOURNAL_PROCESS and not sync:
        return 0
    j.idle_ns += IDLE_NS            # passes are that far apart, or more: no clock is read
    if not sync and j.idle_ns < j.sync_ns:
        return 0
    j.idle_ns = 0
    if j.synced != head:
        wrong = segments_sync(&j.segments)
        if wrong != 0:
            return wrong
        j.synced = head
    numbers = j.page.numbers
    if numbers.next_in != j.numbers_in or numbers.created_utc_ns != j.numbers_created or sync:
        wrong = numbers_write(&j.segments, &numbers, head)
        if wrong != 0:
            return wrong
        j.numbers_in = numbers.next_in
        j.numbers_created = numbers.created_utc_ns
    return 0


cdef bint drain(journal *j, bint sync) noexcept nogil:
    cdef int wrong = drain_pass(j, sync)
    if wrong != 0:
        j.drain_errors += 1
        j.last_errno = wrong
    return wrong == 0


cdef bint drain_now(journal *j) noexcept nogil:
    """In the caller's thread, synced."""
    cdef bint done
    if not j.disk:
        return False
    pthread_mutex_lock(&draining)
    done = drain(j, True)
    pthread_mutex_unlock(&draining)
    return done


cdef void drain_loop() noexcept nogil:
    """The drain thread: until no journal is left."""
    cdef journal *j
    cdef timespec idle
    cdef bint more = True
    idle.tv_sec = 0
    idle.tv_nsec = IDLE_NS
    while more:
        pthread_mutex_lock(&draining)
        j = served
        while j != NULL:
            drain(j, False)
            j = j.next
        more = served != NULL
        if not more:
            global running
            running = False
        pthread_mutex_unlock(&draining)
        if more:
            nanosleep(&idle, NULL)


def _drain_thread():
    with nogil:
        drain_loop()


cdef void serve(journal *j):
    """Give j to the drain thread, which is started if it is not there."""
    global served, running
    pthread_mutex_lock(&draining)
    j.next = served
    served = j
    start = not running
    running = True
    pthread_mutex_unlock(&draining)
    if start:
        threading.Thread(target=_drain_thread, name="fix journal", daemon=True).start()


cdef void unserve(journal *j) noexcept nogil:
    global served
    cdef journal **at = &served
    pthread_mutex_lock(&draining)
    while at[0] != NULL:
        if at[0] == j:
            at[0] = j.next
            break
        at = &at[0].next
    pthread_mutex_unlock(&draining)


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


cdef void replay_segments(journal *j, replay *y) noexcept nogil:
    cdef uint32_t i
    cdef uint64_t at
    cdef journal_record *r
    for i in range(j.segments.count):
        segment_walk(&j.segments, i)
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
        replay_segments(self.j, &y)
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
        names = (f.removeprefix(self.name + ".").removesuffix(".journal") for f in os.listdir(self.directory)
                 if f.startswith(self.name + ".") and f.endswith(".journal"))
        starts = sorted(int(n) for n in names if len(n) == 20 and n.isdigit())
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
        if self.directory is not None:
            for f in os.listdir(self.directory):
                if f == self.name + ".numbers" or (f.startswith(self.name + ".") and f.endswith(".journal")):
                    os.unlink(os.path.join(self.directory, f))

    def stats(self):
        """Counters of every store, and positions in octets: head, drained, synced; segments, damaged, pruned, errors."""
        said = dict(Store.stats(self))
        if self.open:
            said.update(head=self.j.page.head, drained=self.j.page.drained, synced=self.j.synced,
                        segments=self.j.segments.count, damaged=self.j.segments.damaged,
                        pruned=self.j.segments.pruned, drain_errors=self.j.drain_errors)
        return said


# --- a closed journal: nothing is kept, nothing may be sent

cdef bint closed_append(fix_store *st, uint64_t seq, const uint8_t *p, uint32_t n, bint admin,
                        uint64_t now_ns) noexcept nogil:
    st.stats.refused += 1
    return False


cdef const uint8_t *closed_get(fix_store *st, uint64_t seq, uint32_t *n) noexcept nogil:
    n[0] = 1
    return NULL


cdef bint closed_room(fix_store *st, uint32_t n) noexcept nogil:
    return False


cdef void closed_reset(fix_store *st, int64_t utc_ns) noexcept nogil:
    pass


cdef void closed_renumber(fix_store *st) noexcept nogil:
    pass


cdef fix_store_ops CLOSED_OPS
CLOSED_OPS.append = closed_append
CLOSED_OPS.get = closed_get
CLOSED_OPS.room = closed_room
CLOSED_OPS.reset = closed_reset
CLOSED_OPS.renumber = closed_renumber
CLOSED_OPS.free = journal_free
