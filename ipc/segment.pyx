"""Named shared-memory segments: created whole or not at all, attached only when every field is right.

A segment is a file in /dev/shm, or in a directory the user names (a hugetlbfs mount included), mode 0600, all of it in
memory before it is used (MAP_POPULATE), on request locked there. Who produces
and who consumes is said by locks of open file descriptions, which the kernel drops when their holder ends however it
ended; the PID in the header is for people. What a ring does with the memory is ring.pxd's and broadcast's business.
"""
import errno
import os
import stat
import sys
import time
import zlib
from mmap import mmap as mmap_file

from cpython.buffer cimport PyBUF_WRITABLE, PyBuffer_FillInfo
from cpython.memoryview cimport PyMemoryView_FromObject
from libc.string cimport memcpy, memset
from posix.mman cimport MAP_FAILED, MAP_SHARED, PROT_READ, PROT_WRITE, mlock, mmap, munmap

from ipc.atomic cimport add32, load32_acquire, store32_release

from ipc.errors import (
    ByteOrderMismatch,
    Forked,
    GeometryMismatch,
    HeaderDamaged,
    KindMismatch,
    LayoutMismatch,
    NotASegment,
    NotPrivate,
    NotReady,
    RoleTaken,
    SegmentError,
    SegmentTruncated,
    Stale,
)
from ipc.names import DEFAULT_DIRECTORY, PREFIX, again, boot_id, segment_path


cdef extern from "shm.h":
    int shm_lock(int fd, long octet) nogil
    int shm_unlock(int fd, long octet) nogil
    int shm_locked(int fd, long octet) noexcept nogil
    uint64_t shm_fork_count() noexcept nogil
    void shm_install()
    int shm_guard_add(void *base, size_t size, size_t page, uint32_t *broken, int fd)
    void shm_guard_drop(int i)
    size_t shm_page_of(int fd, int *huge) nogil
    void shm_futex_wake(uint32_t *word) noexcept nogil
    uint64_t shm_start_time(int pid)

cdef extern from "unistd.h":
    int close_fd "close"(int fd) nogil

cdef extern from "sched.h" nogil:
    int sched_yield()

cdef extern from "sys/mman.h":
    enum:
        MAP_POPULATE

cdef uint64_t MAGIC = 0x3147455357584946ULL        # "FIXWSEG1" read as a little-endian word
cdef uint32_t BYTE_ORDER = 0x01020304
cdef uint64_t LONGEST = 1 << 30                     # octets of a message
KINDS = {SEGMENT_CHANNEL: "channel", SEGMENT_MPSC: "mpsc", SEGMENT_BROADCAST: "broadcast", SEGMENT_POOL: "pool"}

shm_install()


def hugetlbfs(directory=None):
    """`directory` if it is on hugetlbfs, the first mount of that kind where none is named; SegmentError else."""
    cdef int huge = 0
    if directory is None:
        with open("/proc/self/mounts") as f:
            mounts = [line.split() for line in f]
        directory = next((m[1] for m in mounts if m[2] == "hugetlbfs"), None)
        if directory is None:
            raise SegmentError("hugetlbfs", "is mounted nowhere", "mount -t hugetlbfs none /dev/hugepages", errno.ENOENT)
    else:
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            shm_page_of(fd, &huge)
        finally:
            os.close(fd)
        if not huge:
            raise SegmentError(os.fspath(directory), "is not on hugetlbfs", "name a mount of hugetlbfs, or no directory")
    return directory


cdef uint32_t _checksum(const segment_header *h) except? 0:
    """Of the fields that never change once the segment is made; who made it is for people to read, and not among them."""
    cdef segment_header constant = h[0]
    constant.creator, constant.start_time = 0, 0
    return <uint32_t>zlib.crc32((<const uint8_t *>&constant)[:SEGMENT_CONSTANT])


def _open_private(path):
    """A descriptor of the regular file of ours at `path`, read and write; NotPrivate or NotASegment for anything else."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as e:
        if e.errno == errno.ELOOP:
            raise NotPrivate(path, "is a symbolic link", f"see where it leads; rm {path}", errno.ELOOP) from None
        if e.errno == errno.EACCES:
            raise NotPrivate(path, "may not be opened by this user", "run both sides as one user", errno.EACCES) from None
        if e.errno in (errno.EISDIR, errno.ENXIO):
            raise NotASegment(path, "is not a regular file", "choose another name") from None
        raise
    st = os.fstat(fd)
    try:
        if not stat.S_ISREG(st.st_mode):
            raise NotASegment(path, "is not a regular file", "choose another name")
        if st.st_uid != os.geteuid():
            raise NotPrivate(path, f"belongs to uid {st.st_uid}, not to {os.geteuid()}", "run both sides as one user",
                             errno.EPERM)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _take_name(fd, path):
    """Holds LOCK_NAME of the open file, which whoever unlinks it must; True: `path` still names this file.

    Until it is let go, by `_let_name_go` or the descriptor's end, nobody else takes the name away.
    """
    end = time.monotonic() + 5
    while shm_lock(fd, LOCK_NAME):
        if time.monotonic() > end:
            raise RoleTaken(path, "is being made or removed by somebody who stands still", "end that process",
                            errno.EBUSY)
        time.sleep(0.0005)
    try:
        st, ours = os.stat(path, follow_symlinks=False), os.fstat(fd)
    except FileNotFoundError:
        return False
    return (st.st_ino, st.st_dev) == (ours.st_ino, ours.st_dev)


def _unlink(fd, path):
    """Takes the name away if it is still this file's."""
    if _take_name(fd, path):
        os.unlink(path)
    shm_unlock(fd, LOCK_NAME)


cdef Segment obtain(name, int kind, max_len, capacity, octets, create, directory, int flags, replace, timeout, lock,
                    exact):
    """Made (then `created`, and still to be published) where `create` and a `max_len` allow it and nothing is there.

    Else attached; `exact` are the (max_len, capacity) it must have then, None where any will do, `flags` those it must
    have been made with.
    """
    cdef Segment s
    if create and max_len is None:
        raise ValueError(f"max_len is needed to create a {KINDS[kind]}")
    if create is not False and max_len is not None:
        try:
            return Segment.create(name, kind, max_len, capacity, octets, directory, flags, replace, lock)
        except FileExistsError:
            if create:
                raise
    s = Segment.attach(name, kind, directory, *exact, timeout, lock)
    if flags & ~s.flags:
        path = s.path
        s.close()
        raise GeometryMismatch(path, "was made without what is asked for: wakeups or buffers", again(path))
    return s


cdef class Segment:
    """One mapping of one segment. Made by `create` or `attach`; closed by `close`, `with`, or at the latest when collected."""

    def __cinit__(self):
        self.fd = -1
        self.guard = -1
        self.forks = shm_fork_count()

    @staticmethod
    def create(name, kind, max_len, capacity, octets, directory=None, flags=0, replace=False, lock=False):
        """A new segment with `octets` octets of data, all zero, state INIT until `publish`.

        FileExistsError if the name exists; with `replace` one that no living process uses is replaced, its epoch
        counted on. OSError(ENOSPC) at once where the space is not there: it is reserved now, not at first touch.
        `lock` asks for mlock (OSError where RLIMIT_MEMLOCK forbids it).
        """
        cdef Segment s = Segment.__new__(Segment)
        cdef uint64_t epoch = 1
        cdef segment_header *h
        cdef int huge = 0
        path = segment_path(name, directory)
        if capacity < 1 or capacity & (capacity - 1):
            raise ValueError(f"capacity is {capacity}, must be a power of two")
        if not 0 < max_len <= LONGEST:
            raise ValueError(f"max_len is {max_len}, must be 1 .. {LONGEST}")
        if replace:
            try:
                epoch = retire(path)
            except FileNotFoundError:
                pass
        s.fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            os.fchmod(s.fd, 0o600)                           # whatever the umask
            if shm_lock(s.fd, LOCK_CREATOR):
                raise SegmentError(path, "cannot be locked", "name a directory whose file system has locks", errno.EBUSY)
            if not _take_name(s.fd, path):                   # somebody took the file for one left behind
                raise RoleTaken(path, "was replaced by another process while it was made", "let one side create it",
                                errno.EBUSY)
            shm_unlock(s.fd, LOCK_NAME)
            page = shm_page_of(s.fd, &huge)
            size = (SEGMENT_HEADER + octets + page - 1) // page * page
            try:
                os.posix_fallocate(s.fd, 0, size)
            except OSError as e:
                if e.errno == errno.ENOSPC:
                    raise SegmentError(path, f"no room for {size} octets in {os.path.dirname(path)}",
                                       "free some, or name another directory", errno.ENOSPC) from None
                raise
            s._map(path, size)
            h = s.header
            h.layout, h.byte_order, h.kind, h.max_len = SEGMENT_LAYOUT, BYTE_ORDER, kind, max_len
            h.capacity, h.size, h.epoch, h.flags = capacity, size, epoch, flags
            h.creator, h.start_time = os.getpid(), shm_start_time(os.getpid())
            boot = boot_id()
            memcpy(h.boot_id, <const uint8_t *>boot, 16)
            h.magic = MAGIC
            h.sum = _checksum(h)
            store32_release(&h.state, SEGMENT_INIT)
            if lock:
                s._lock()
        except BaseException:
            _unlink(s.fd, path)
            s.close()
            raise
        s.kind, s.max_len, s.capacity, s.epoch, s.flags, s.created = kind, max_len, capacity, epoch, flags, True
        return s

    def publish(self):
        """State READY: from here on others may attach."""
        self.check()
        store32_release(&self.header.state, SEGMENT_READY)

    @staticmethod
    def attach(name, kind, directory=None, max_len=None, capacity=None, timeout=1.0, lock=False):
        """The segment of that name, every field judged; waits up to `timeout` seconds for it to be there and ready.

        `max_len` and `capacity`, where given, must be the segment's. Each wrong field raises an error of its own class.
        `lock` as of `create`: it holds for this process's mapping.
        """
        cdef Segment s = Segment.__new__(Segment)
        path = segment_path(name, directory)
        end = time.monotonic() + timeout
        removed = False
        while True:
            try:
                s._open(path)
                if s._ready(path, kind, max_len, capacity):
                    if lock:
                        s._lock()
                    return s
                removed = s.header is not NULL and s.header.state == SEGMENT_REMOVED
            except FileNotFoundError:
                if time.monotonic() >= end:
                    raise
            except BaseException:
                s.close()
                raise
            s.close()
            if time.monotonic() >= end and os.path.exists(path):
                if removed:
                    raise NotReady(path, "was removed by its owner", "have its owner create it again", errno.ENOENT)
                raise NotReady(path, "its creator has not finished making it", "wait longer; if it hangs, end it, then " +
                               again(path), errno.ETIMEDOUT)
            time.sleep(0.001)

    def _open(self, path):
        self.fd = _open_private(path)
        mode = os.fstat(self.fd).st_mode
        if mode & 0o077:
            raise NotPrivate(path, f"has mode {mode & 0o777:04o}, must be 0600", f"chmod 600 {path}", errno.EPERM)

    def _ready(self, path, kind, max_len, capacity):
        """True: mapped and judged. False: not yet filled in by a creator who is at it, or just taken away."""
        cdef segment_header mine
        cdef segment_header *h = &mine
        cdef int making = shm_locked(self.fd, LOCK_CREATOR)
        size = os.fstat(self.fd).st_size
        if size < SEGMENT_HEADER:
            if making == 1 or size == 0:            # empty: its creator may be between making it and locking it
                return False
            raise SegmentTruncated(path, f"has {size} octets, a header alone has {SEGMENT_HEADER}", again(path))
        self._map(path, size)
        mine.state = load32_acquire(&self.header.state)
        memcpy(h, self.header, SEGMENT_CONSTANT)    # what is judged is what is used, whatever a peer writes meanwhile
        mine.sum = self.header.sum
        if making == 1 and mine.state == 0:
            return False
        if h.magic != MAGIC:
            raise NotASegment(path, f"magic is {h.magic:#x}, must be {MAGIC:#x}", f"if nobody needs the file, rm {path}")
        if h.byte_order != BYTE_ORDER:
            raise ByteOrderMismatch(path, f"byte order mark is {h.byte_order:#010x}, must be {BYTE_ORDER:#010x}",
                                    again(path))
        if h.layout != SEGMENT_LAYOUT:
            raise LayoutMismatch(path, f"layout is {h.layout}, this release speaks {SEGMENT_LAYOUT}",
                                 "run both sides with one release; " + again(path))
        if mine.state == SEGMENT_INIT:
            if making == 1:
                return False
            raise NotReady(path, "its creator died before it was ready", again(path))
        if mine.state == SEGMENT_REMOVED:
            return False
        if mine.state != SEGMENT_READY:
            raise NotReady(path, f"state is {mine.state}, which is none", again(path))
        if h.kind != kind:
            raise KindMismatch(path, f"is a {KINDS.get(h.kind, h.kind)}, not a {KINDS.get(kind, kind)}",
                               "open it as what it is, or choose another name")
        if h.size > <uint64_t>size:
            raise SegmentTruncated(path, f"has {size} octets, its header says {h.size}", again(path))
        if h.size < <uint64_t>size:
            raise GeometryMismatch(path, f"has {size} octets, its header says {h.size}", again(path))
        if h.capacity == 0 or h.capacity & (h.capacity - 1) or not 0 < h.max_len <= LONGEST or \
                h.capacity > (h.size - SEGMENT_HEADER) // h.max_len:
            raise GeometryMismatch(path, f"{h.capacity} slots of {h.max_len} octets cannot be in {h.size} octets",
                                   again(path))
        if max_len is not None and max_len != h.max_len:
            raise GeometryMismatch(path, f"max_len is {h.max_len}, {max_len} was asked for",
                                   "ask for its own or for none; " + again(path))
        if capacity is not None and capacity != h.capacity:
            raise GeometryMismatch(path, f"capacity is {h.capacity}, {capacity} was asked for",
                                   "ask for its own or for none; " + again(path))
        if bytes(h.boot_id[:16]) != boot_id():
            raise Stale(path, "was made before the machine's last boot", again(path))
        if mine.sum != _checksum(h):
            raise HeaderDamaged(path, "its header does not add up: its epoch or flags were written over", again(path))
        self.kind, self.max_len, self.capacity = h.kind, h.max_len, h.capacity
        self.epoch, self.flags = h.epoch, h.flags
        return True

    def _map(self, path, uint64_t size):
        cdef void *p
        cdef int huge = 0, fd = self.fd
        with nogil:                     # all of it is brought in now, which takes its time
            p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0)
        if p == MAP_FAILED:
            raise SegmentError(path, f"mmap of {size} octets failed", "see `ulimit -v` and free memory", errno.ENOMEM)
        self.broken = 0
        self.guard = shm_guard_add(p, size, shm_page_of(fd, &huge), &self.broken, fd)
        if self.guard < 0:
            munmap(p, size)
            raise SegmentError(path, "is one segment too many in this process", "close some: 1,024 may be open",
                               errno.EMFILE)
        self.header, self.data, self.size = <segment_header *>p, <uint8_t *>p + SEGMENT_HEADER, size
        self.forks = shm_fork_count()
        st = os.fstat(fd)
        self.inode, self.device_number, self.path = st.st_ino, st.st_dev, path

    def _lock(self):
        cdef int failed
        with nogil:
            failed = mlock(self.header, self.size)
        if failed:
            raise SegmentError(self.path, f"mlock of {self.size} octets failed", "raise `ulimit -l`", errno.EPERM)

    @property
    def name(self):
        """The name it was made under."""
        return os.path.basename(self.path or "")[len(PREFIX):]

    @property
    def state(self):
        """`init`, `ready`, `removed`, `replaced` (the name now means another segment) or `truncated`."""
        if not self.broken:
            self.check()
        if self.broken or os.fstat(self.fd).st_size < self.size:
            return "truncated"
        try:
            st = os.stat(self.path, follow_symlinks=False)
        except FileNotFoundError:
            return "removed"
        if (st.st_ino, st.st_dev) != (self.inode, self.device_number):
            return "replaced"
        return {SEGMENT_INIT: "init", SEGMENT_READY: "ready"}.get(load32_acquire(&self.header.state), "removed")

    cdef int check(self) except -1:
        """Raises where the mapping must not be used: closed, carried over fork(), or cut off by somebody."""
        if self.header is NULL or self.closing:
            raise ValueError("the segment is closed")
        if self.forks != shm_fork_count():
            raise Forked(self.path, "was opened before fork()", "open it in the child, or start processes by spawn",
                         errno.ECHILD)
        if self.broken:
            raise SegmentTruncated(self.path, "was truncated while it was mapped", again(self.path), errno.EIO)
        return 0

    cdef int alone(self) except -1:
        """`check`, once no other thread is in the middle of a batch through this handle."""
        self._batch_over()
        return self.check()

    cdef void _batch_over(self):
        while self.copying and self.forks == shm_fork_count():
            with nogil:
                sched_yield()

    cdef void wait_over(self):
        """A call that waited without the GIL is done: what was closed meanwhile is let go by the last of them."""
        self.waiting -= 1
        if self.closing and self.waiting == 0:
            self._release()

    cdef bint claim(self, int octet) except -1:
        """True: the role is ours until the descriptor is closed, by us or by our end."""
        cdef int e = shm_lock(self.fd, octet)
        if e in (errno.EAGAIN, errno.EACCES):
            return False
        if e:
            raise SegmentError(self.path, f"cannot be locked: {os.strerror(e)}",
                               "name a directory whose file system has locks", e)
        return True

    cdef bint held(self, int octet) noexcept nogil:
        """True: somebody else alive holds the role (also when it cannot be told)."""
        return shm_locked(self.fd, octet) != 0

    def remove(self):
        """Unlinks the name, if it is still this segment's, and tells those attached; their mappings stay until they close them."""
        self.check()
        _unlink(self.fd, self.path)
        store32_release(&self.header.state, SEGMENT_REMOVED)

    def discard(self):
        """Closes it; one just made is removed as well: what its maker wanted of it failed."""
        try:
            if self.created and self.header is not NULL:
                self.remove()
        finally:
            self.close()

    def close(self):
        """Unmaps it and gives up every role held through it. May be called twice; BufferError while views are held.

        A call that waits in another thread, or that a signal interrupted to call this, ends with ValueError.
        """
        self._batch_over()
        if self.exports:
            raise BufferError(f"{self.path}: {self.exports} views into it are still held")
        if self.waiting and self.forks == shm_fork_count():
            self.closing = True
            add32(&self.header.wake, 1)
            shm_futex_wake(&self.header.wake)
            return
        self._release()

    cdef void _release(self):
        if self.header is not NULL:
            shm_guard_drop(self.guard)
            self.guard = -1
            munmap(self.header, self.size)
            self.header = NULL
            self.data = NULL
            self.closing = False
        if self.fd >= 0:
            if self.forks == shm_fork_count():      # else the child's copy was closed when it was born
                close_fd(self.fd)
            self.fd = -1

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def __dealloc__(self):
        self._release()


cdef class View:
    """A window of `n` octets into a segment, for memoryview()."""

    def __init__(self):
        raise TypeError("views are given out by the rings")

    def __getbuffer__(self, Py_buffer *buffer, int flags):
        if self.segment is None or self.segment.header is NULL:
            raise BufferError("the segment is closed")
        if flags & PyBUF_WRITABLE and self.readonly:
            raise BufferError("a received message cannot be written")
        PyBuffer_FillInfo(buffer, self, self.data, self.n, self.readonly, flags)
        self.segment.exports += 1

    def __releasebuffer__(self, Py_buffer *buffer):
        self.segment.exports -= 1


cdef object view(Segment segment, const uint8_t *data, Py_ssize_t n, bint readonly):
    """A memoryview of `n` octets at `data` that keeps the segment mapped until it is released."""
    cdef View v = View.__new__(View)
    v.segment, v.data, v.n, v.readonly = segment, <uint8_t *>data, n, readonly
    return PyMemoryView_FromObject(v)


def in_use(fd):
    """True when some living process holds a role on the open segment file `fd`."""
    cdef int octet
    for octet in range(128):
        if shm_locked(fd, octet) != 0:
            return True
    return False


def retire(path, force=False):
    """Unlinks the segment at `path` that no living process uses; its epoch + 1. RoleTaken if one does.

    `force`: whoever still uses it keeps its mapping and finds its state `removed`.
    """
    cdef segment_header h
    fd = _open_private(path)
    try:
        if not _take_name(fd, path):
            raise RoleTaken(path, "was replaced by another process just now", "let one side create it", errno.EBUSY)
        if not force and in_use(fd):
            raise RoleTaken(path, "is in use by a living process", "end it first", errno.EBUSY)
        _header_of(fd, &h)
        os.unlink(path)
        if h.magic == MAGIC and os.fstat(fd).st_size >= SEGMENT_HEADER:
            with mmap_file(fd, 0) as whole:             # hugetlbfs has no write()
                whole[SEGMENT_CONSTANT:SEGMENT_CONSTANT + 4] = int(SEGMENT_REMOVED).to_bytes(4, sys.byteorder)
        return h.epoch + 1 if h.magic == MAGIC else 1
    finally:
        os.close(fd)


cdef int _header_of(int fd, segment_header *h) except -1:
    """What the file has of a header, zeros behind it."""
    text = os.pread(fd, sizeof(segment_header), 0)
    memset(h, 0, sizeof(segment_header))
    memcpy(h, <const uint8_t *>text, len(text))
    return 0


def segments(directory=None):
    """What is there: one dict a segment with name, kind, max_len, capacity, size, epoch, creator, alive, state, roles.

    What cannot be looked at, or is no segment of this release, has name, path and `error` instead.
    """
    base = directory or DEFAULT_DIRECTORY
    found = []
    for entry in sorted(os.listdir(base)):
        if entry.startswith(PREFIX):
            path = os.path.join(base, entry)
            row = {"name": entry[len(PREFIX):], "path": path}
            try:
                row.update(_described(path))
            except FileNotFoundError:               # gone since it was listed
                continue
            except SegmentError as e:
                row["error"] = e.why
            except OSError as e:
                row["error"] = os.strerror(e.errno)
            found.append(row)
    return found


def _described(path):
    cdef segment_header h
    fd = _open_private(path)
    try:
        _header_of(fd, &h)
        size = os.fstat(fd).st_size
        if h.magic != MAGIC:
            return {"size": size, "error": "not a segment"}
        if h.byte_order != BYTE_ORDER or h.layout != SEGMENT_LAYOUT:
            return {"size": size, "error": f"a segment of layout {h.layout}, this release speaks {SEGMENT_LAYOUT}"}
        roles = [n for n, octet in (("creator", LOCK_CREATOR), ("producer", LOCK_PRODUCER),
                                    ("consumer", LOCK_CONSUMER)) if shm_locked(fd, octet) == 1]
        roles += [f"producer {k}" for k in range(64) if shm_locked(fd, LOCK_PRODUCERS + k) == 1]
        state = {SEGMENT_INIT: "init", SEGMENT_READY: "ready", SEGMENT_REMOVED: "removed"}.get(h.state, "damaged")
        if h.sum != _checksum(&h):
            state = "damaged"
        elif h.size != size:
            state = "truncated"
        elif bytes(h.boot_id[:16]) != boot_id():
            state = "stale"
        return {"size": size, "kind": KINDS.get(h.kind, str(h.kind)), "max_len": h.max_len, "capacity": h.capacity,
                "epoch": h.epoch, "creator": h.creator, "roles": roles,
                "alive": state != "stale" and shm_start_time(h.creator) == h.start_time and h.start_time != 0,
                "state": state}
    finally:
        os.close(fd)
