"""Named shared-memory segments: created whole or not at all, attached only when every field is right.

A segment is a file in /dev/shm, or in a directory the user names (a hugetlbfs mount included), mode 0600, all of it in
memory before it is used (MAP_POPULATE), on request locked there. Who produces
and who consumes is said by locks of open file descriptions, which the kernel drops when their holder ends however it
ended; the PID in the header is for people. What a ring does with the memory is ring.pxd's and broadcast's business.
"""
import errno
import os
import stat
import time
from mmap import mmap as mmap_file

from cpython.buffer cimport PyBUF_WRITABLE, PyBuffer_FillInfo
from cpython.memoryview cimport PyMemoryView_FromObject
from libc.string cimport memcpy, memset
from posix.mman cimport MAP_FAILED, MAP_SHARED, PROT_READ, PROT_WRITE, mlock, mmap, munmap

from ipc.atomic cimport load32_acquire, store32_release


cdef extern from "shm.h":
    int shm_lock(int fd, long octet) nogil
    int shm_unlock(int fd, long octet) nogil
    int shm_locked(int fd, long octet) noexcept nogil
    uint64_t shm_fork_count() noexcept nogil
    void shm_install()
    int shm_guard_add(void *base, size_t size, uint32_t *broken, int fd)
    void shm_guard_drop(int i)
    uint64_t shm_start_time(int pid)

cdef extern from "unistd.h":
    int close_fd "close"(int fd) nogil

cdef extern from "sys/mman.h":
    enum:
        MAP_POPULATE

cdef uint64_t MAGIC = 0x3147455357584946ULL        # "FIXWSEG1" read as a little-endian word
cdef uint32_t BYTE_ORDER = 0x01020304
DEFAULT_DIRECTORY = "/dev/shm"
PREFIX = "fixwire."
KINDS = {SEGMENT_CHANNEL: "channel", SEGMENT_MPSC: "mpsc", SEGMENT_BROADCAST: "broadcast", SEGMENT_POOL: "pool"}

shm_install()


class SegmentError(OSError):
    """A segment cannot be made, attached or used. `remedy` says what to do, where something can be done."""

    def __init__(self, path, why, remedy="", code=errno.EINVAL):
        super().__init__(code, f"{path}: {why}" + (f" ({remedy})" if remedy else ""))
        self.path, self.why, self.remedy = path, why, remedy


class NotASegment(SegmentError):
    """Wrong magic: the file is something else."""


class LayoutMismatch(SegmentError):
    """Made by a release with another layout."""


class ByteOrderMismatch(SegmentError):
    """Made on a machine of the other byte order."""


class GeometryMismatch(SegmentError):
    """Kind, message size or capacity differ from what was asked for, or cannot be."""


class SegmentTruncated(SegmentError):
    """The file is shorter than its header says."""


class NotPrivate(SegmentError):
    """Owner or mode would let others write; or the name is a symbolic link."""


class NotReady(SegmentError):
    """The creator has not finished, or died before it did."""


class RoleTaken(SegmentError):
    """Another living process holds the role asked for."""


class Forked(SegmentError):
    """A handle crossed fork(); open it again in the child."""


def boot_id():
    """The 16 octets the kernel drew at boot; zeros where /proc is not mounted."""
    try:
        with open("/proc/sys/kernel/random/boot_id") as f:
            return bytes.fromhex(f.read().strip().replace("-", ""))
    except OSError:
        return bytes(16)


def segment_path(name, directory=None):
    """The file of a segment's name. Names are 1-200 letters, digits, `.`, `_` and `-`, not beginning with `.`."""
    if not name or len(name) > 200 or name[0] == "." or not all(c.isalnum() or c in "._-" for c in name):
        raise ValueError(f"segment name {name!r} must be 1-200 letters, digits, '.', '_' or '-', not beginning with '.'")
    return os.path.join(directory or DEFAULT_DIRECTORY, PREFIX + name)


def hugetlbfs(directory=None):
    """`directory` if it is on hugetlbfs, the first mount of that kind where none is named; SegmentError else."""
    if directory is None:
        with open("/proc/self/mounts") as f:
            mounts = [line.split() for line in f]
        directory = next((m[1] for m in mounts if m[2] == "hugetlbfs"), None)
        if directory is None:
            raise SegmentError("hugetlbfs", "is mounted nowhere", "mount -t hugetlbfs none /dev/hugepages", errno.ENOENT)
    elif os.statvfs(directory).f_bsize <= os.sysconf("SC_PAGESIZE"):
        raise SegmentError(os.fspath(directory), "is not on hugetlbfs", "name a mount of hugetlbfs, or no directory")
    return directory


cdef Segment obtain(name, int kind, max_len, capacity, octets, create, directory, int flags, replace, timeout, lock,
                    exact):
    """Made (then `created`, and still to be published) where `create` and a `max_len` allow it and nothing is there.

    Else attached; `exact` are the (max_len, capacity) it must have then, None where any will do.
    """
    if create and max_len is None:
        raise ValueError(f"max_len is needed to create a {KINDS[kind]}")
    if create is not False and max_len is not None:
        try:
            return Segment.create(name, kind, max_len, capacity, octets, directory, flags, replace, lock)
        except FileExistsError:
            if create:
                raise
    return Segment.attach(name, kind, directory, *exact, timeout, lock)


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
        path = segment_path(name, directory)
        if capacity < 1 or capacity & (capacity - 1):
            raise ValueError(f"capacity is {capacity}, must be a power of two")
        if not 0 < max_len <= 1 << 30:
            raise ValueError(f"max_len is {max_len}, must be 1 .. {1 << 30}")
        if replace and os.path.lexists(path):
            epoch = retire(path)
        page = os.statvfs(os.path.dirname(path)).f_bsize      # the huge page's size on hugetlbfs
        size = (SEGMENT_HEADER + octets + page - 1) // page * page
        s.fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            os.fchmod(s.fd, 0o600)                           # whatever the umask
            if shm_lock(s.fd, LOCK_CREATOR):
                raise SegmentError(path, "cannot be locked", code=errno.EBUSY)
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
            store32_release(&h.state, SEGMENT_INIT)
            h.magic = MAGIC
            if lock:
                s._lock()
        except BaseException:
            os.unlink(path)
            s.close()
            raise
        s.kind, s.max_len, s.capacity, s.epoch, s.flags, s.created = kind, max_len, capacity, epoch, flags, True
        return s

    def publish(self):
        """State READY: from here on others may attach."""
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
        while True:
            try:
                s._open(path)
                if s._ready(path, kind, max_len, capacity):
                    if lock:
                        s._lock()
                    return s
            except FileNotFoundError:
                if time.monotonic() >= end:
                    raise
            except BaseException:
                s.close()
                raise
            s.close()
            if time.monotonic() >= end and os.path.exists(path):
                raise NotReady(path, "its creator has not finished making it",
                               f"if the creator died, `fixwire ipc remove {name}`", errno.ETIMEDOUT)
            time.sleep(0.001)

    def _open(self, path):
        try:
            self.fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as e:
            if e.errno == errno.ELOOP:
                raise NotPrivate(path, "is a symbolic link", code=errno.ELOOP) from None
            raise
        st = os.fstat(self.fd)
        if not stat.S_ISREG(st.st_mode):
            raise NotASegment(path, "is not a regular file")
        if st.st_uid != os.geteuid():
            raise NotPrivate(path, f"belongs to uid {st.st_uid}, not to {os.geteuid()}", code=errno.EPERM)
        if st.st_mode & 0o077:
            raise NotPrivate(path, f"has mode {st.st_mode & 0o777:04o}, must be 0600", f"chmod 600 {path}", errno.EPERM)

    def _ready(self, path, kind, max_len, capacity):
        """True: mapped and judged. False: not yet filled in by a creator who is at it."""
        cdef segment_header *h
        cdef int making = shm_locked(self.fd, LOCK_CREATOR)
        size = os.fstat(self.fd).st_size
        if size < SEGMENT_HEADER:
            if making == 1 or size == 0:            # empty: its creator may be between making it and locking it
                return False
            raise SegmentTruncated(path, f"has {size} octets, a header alone has {SEGMENT_HEADER}")
        self._map(path, size)
        h = self.header
        if h.magic == 0 and making == 1:
            return False
        if h.magic != MAGIC:
            raise NotASegment(path, f"magic is {h.magic:#x}, must be {MAGIC:#x}")
        if h.byte_order != BYTE_ORDER:
            raise ByteOrderMismatch(path, f"byte order mark is {h.byte_order:#010x}, must be {BYTE_ORDER:#010x}")
        if h.layout != SEGMENT_LAYOUT:
            raise LayoutMismatch(path, f"layout is {h.layout}, this release speaks {SEGMENT_LAYOUT}")
        if load32_acquire(&h.state) == SEGMENT_INIT:
            if making == 1:
                return False
            raise NotReady(path, "its creator died before it was ready", "remove it and create it again")
        if load32_acquire(&h.state) == SEGMENT_REMOVED:
            raise NotReady(path, "was removed by its owner", code=errno.ENOENT)
        if load32_acquire(&h.state) != SEGMENT_READY:
            raise NotReady(path, f"state is {h.state}, which is none", "remove it and create it again")
        if h.kind != kind:
            raise GeometryMismatch(path, f"is a {KINDS.get(h.kind, h.kind)}, not a {KINDS.get(kind, kind)}")
        if h.size > <uint64_t>size:
            raise SegmentTruncated(path, f"has {size} octets, its header says {h.size}")
        if h.capacity == 0 or h.capacity & (h.capacity - 1) or h.max_len == 0 or \
                h.capacity * (<uint64_t>h.max_len + 4) > h.size or h.capacity > h.size:
            raise GeometryMismatch(path, f"{h.capacity} slots of {h.max_len} octets cannot be in {h.size} octets")
        if max_len is not None and max_len != h.max_len:
            raise GeometryMismatch(path, f"max_len is {h.max_len}, {max_len} was asked for")
        if capacity is not None and capacity != h.capacity:
            raise GeometryMismatch(path, f"capacity is {h.capacity}, {capacity} was asked for")
        if bytes(h.boot_id[:16]) != boot_id():
            raise NotReady(path, "was made before the machine's last boot", "remove it and create it again")
        self.kind, self.max_len, self.capacity = h.kind, h.max_len, h.capacity
        self.epoch, self.flags = h.epoch, h.flags
        return True

    def _map(self, path, uint64_t size):
        cdef void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, self.fd, 0)
        if p == MAP_FAILED:
            raise SegmentError(path, f"mmap of {size} octets failed", code=errno.ENOMEM)
        self.header, self.data, self.size = <segment_header *>p, <uint8_t *>p + SEGMENT_HEADER, size
        self.broken = 0
        self.guard = shm_guard_add(p, size, &self.broken, self.fd)
        self.forks = shm_fork_count()
        st = os.fstat(self.fd)
        self.inode, self.device_number, self.path = st.st_ino, st.st_dev, path

    def _lock(self):
        if mlock(self.header, self.size):
            raise SegmentError(self.path, f"mlock of {self.size} octets failed", "raise `ulimit -l`", errno.EPERM)

    @property
    def name(self):
        """The name it was made under."""
        return os.path.basename(self.path)[len(PREFIX):]

    @property
    def state(self):
        """`init`, `ready`, `removed`, `replaced` (the name now means another segment) or `truncated`."""
        self.check()
        if self.broken:
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
        if self.header is NULL:
            raise ValueError("the segment is closed")
        if self.forks != shm_fork_count():
            raise Forked(self.path, "was opened before fork()", "open it in the child, or start processes by spawn",
                         errno.ECHILD)
        if self.broken:
            raise SegmentTruncated(self.path, "was truncated while it was mapped", "create it again", errno.EIO)
        return 0

    cdef bint claim(self, int octet) except -1:
        """True: the role is ours until the descriptor is closed, by us or by our end."""
        cdef int e = shm_lock(self.fd, octet)
        if e in (errno.EAGAIN, errno.EACCES):
            return False
        if e:
            raise SegmentError(self.path, os.strerror(e), code=e)
        return True

    cdef bint held(self, int octet) noexcept nogil:
        """True: somebody else alive holds the role (also when it cannot be told)."""
        return shm_locked(self.fd, octet) != 0

    def remove(self):
        """Unlinks the name and tells those attached; their mappings stay valid until they close them."""
        self.check()
        if self.state in ("ready", "init"):
            os.unlink(self.path)
        store32_release(&self.header.state, SEGMENT_REMOVED)

    def close(self):
        """Unmaps it and gives up every role held through it. May be called twice; BufferError while views are held."""
        if self.exports:
            raise BufferError(f"{self.path}: {self.exports} views into it are still held")
        self._release()

    cdef void _release(self):
        if self.header is not NULL:
            shm_guard_drop(self.guard)
            self.guard = -1
            munmap(self.header, self.size)
            self.header = NULL
            self.data = NULL
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

    def __getbuffer__(self, Py_buffer *buffer, int flags):
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
    fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if not force and in_use(fd):
            raise RoleTaken(path, "is in use by a living process", "end it first", errno.EBUSY)
        text = os.pread(fd, sizeof(segment_header), 0)
        memset(&h, 0, sizeof(h))
        memcpy(&h, <const uint8_t *>text, len(text))
        if h.magic == MAGIC and h.layout == SEGMENT_LAYOUT:
            h.state = SEGMENT_REMOVED
            with mmap_file(fd, 0) as whole:             # hugetlbfs has no write()
                whole[:sizeof(h)] = (<uint8_t *>&h)[:sizeof(h)]
        os.unlink(path)
        return h.epoch + 1 if h.magic == MAGIC else 1
    finally:
        os.close(fd)


def segments(directory=None):
    """What is there: one dict a segment with name, kind, max_len, capacity, size, epoch, creator, alive, state, roles."""
    cdef segment_header h
    found = []
    base = directory or DEFAULT_DIRECTORY
    for entry in sorted(os.listdir(base)):
        if not entry.startswith(PREFIX):
            continue
        path = os.path.join(base, entry)
        try:
            fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as e:
            found.append({"name": entry[len(PREFIX):], "path": path, "error": os.strerror(e.errno)})
            continue
        try:
            text = os.pread(fd, sizeof(segment_header), 0)
            memset(&h, 0, sizeof(h))
            memcpy(&h, <const uint8_t *>text, len(text))
            row = {"name": entry[len(PREFIX):], "path": path, "size": os.fstat(fd).st_size}
            if h.magic != MAGIC:
                row["error"] = "not a segment"
            else:
                roles = [n for n, octet in (("creator", LOCK_CREATOR), ("producer", LOCK_PRODUCER),
                                            ("consumer", LOCK_CONSUMER)) if shm_locked(fd, octet) == 1]
                roles += [f"producer {k}" for k in range(64) if shm_locked(fd, LOCK_PRODUCERS + k) == 1]
                stale = bytes(h.boot_id[:16]) != boot_id()
                row.update(kind=KINDS.get(h.kind, str(h.kind)), max_len=h.max_len, capacity=h.capacity, epoch=h.epoch,
                           creator=h.creator, roles=roles,
                           alive=not stale and shm_start_time(h.creator) == h.start_time and h.start_time != 0,
                           state="stale" if stale else {SEGMENT_INIT: "init", SEGMENT_READY: "ready",
                                                        SEGMENT_REMOVED: "removed"}.get(h.state, "damaged"))
            found.append(row)
        finally:
            os.close(fd)
    return found
