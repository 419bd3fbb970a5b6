"""Eal: DPDK's environment abstraction layer, initialised once a process.

What rte_eal_init (DPDK 22.11) does to a process is put right here: its arguments are judged beforehand because a
failed try cannot be repeated; the caller's CPU affinity is restored; its log and the usage text it prints are kept
instead of shown, so a failure is one exception with the lines that matter and a remedy; after cleanup or in the
child of a fork calls raise instead of dumping a stack. Argument rules: eal_args; reading of the log: eal_log.
"""
import atexit
import errno
import os
import sys
import tempfile
import weakref

cimport cython

from dpdk_py.dpdk cimport (
    LCORE_ID_ANY, rte_eal_cleanup, rte_eal_hotplug_add, rte_eal_hotplug_remove, rte_eal_init,
    rte_eth_dev_get_port_by_name, rte_lcore_id, rte_openlog_stream, rte_strerror, rte_thread_register,
    rte_thread_unregister, rte_version, shim_errno, shim_errno_clear,
)
from libc.stdint cimport uint16_t, uint64_t
from libc.stdio cimport FILE, fflush, stderr, stdout
from libc.stdlib cimport malloc
from libc.string cimport strdup

from dpdk_py import eal_args, eal_log
from dpdk_py.errors import DpdkError

cdef extern from "<stdio.h>" nogil:
    ctypedef struct cookie_io_functions_t:
        ssize_t (*write)(void *cookie, const char *buf, size_t n) noexcept nogil
    FILE *fopencookie(void *cookie, const char *mode, cookie_io_functions_t io)
    int setvbuf(FILE *f, char *buf, int mode, size_t n)
    int _IONBF

cdef extern from "<pthread.h>" nogil:
    int pthread_atfork(void (*prepare)() noexcept nogil, void (*parent)() noexcept nogil,
                       void (*child)() noexcept nogil)

cdef extern from *:
    """
    #include <pthread.h>
    #define EAL_LOG_SIZE 65536
    static pthread_mutex_t eal_log_lock = PTHREAD_MUTEX_INITIALIZER;   /* drivers log from threads of their own */
    static __thread int eal_thread_is_ours;
    """
    enum: EAL_LOG_SIZE
    ctypedef struct pthread_mutex_t:
        pass
    pthread_mutex_t eal_log_lock
    int eal_thread_is_ours
    int pthread_mutex_lock(pthread_mutex_t *m) nogil
    int pthread_mutex_unlock(pthread_mutex_t *m) nogil

cdef int state = EAL_NONE
cdef object the_eal = None
cdef str failure = ""               # why rte_eal_init failed
cdef object open_ports = weakref.WeakSet()      # what cleanup closes: anything with close()

# The newest EAL_LOG_SIZE octets of log; log_end counts all there ever were.
cdef char log_ring[EAL_LOG_SIZE]
cdef uint64_t log_end = 0


# -- the log

cdef ssize_t log_write(void *cookie, const char *buf, size_t n) noexcept nogil:
    """fopencookie's writer: keeps the newest octets. Called by any thread that logs."""
    global log_end
    cdef size_t i
    pthread_mutex_lock(&eal_log_lock)
    for i in range(n):
        log_ring[(log_end + i) % EAL_LOG_SIZE] = buf[i]
    log_end += n
    pthread_mutex_unlock(&eal_log_lock)
    return n


cdef bytes log_since(uint64_t mark):
    """The octets logged since `mark` (a former log_end), as far as the ring still holds them."""
    cdef uint64_t start, i
    cdef bytearray out
    pthread_mutex_lock(&eal_log_lock)
    start = max(mark, log_end - EAL_LOG_SIZE if log_end > EAL_LOG_SIZE else 0)
    out = bytearray(log_end - start)
    for i in range(log_end - start):
        out[i] = <unsigned char>log_ring[(start + i) % EAL_LOG_SIZE]
    pthread_mutex_unlock(&eal_log_lock)
    return bytes(out)


cdef int open_log() except -1:
    cdef cookie_io_functions_t io
    cdef FILE *stream
    io = cookie_io_functions_t(write=log_write)
    stream = fopencookie(NULL, "w", io)
    if stream == NULL:
        raise MemoryError
    setvbuf(stream, NULL, _IONBF, 0)
    rte_openlog_stream(stream)
    return 0


class _Noise:
    """Sends the descriptors `fds` into the log while it is entered: EAL's usage text, libbpf's complaints."""

    def __init__(self, *fds):
        self.fds = fds

    def __enter__(self):
        for stream in (sys.stdout, sys.stderr):
            if stream is not None and not getattr(stream, "closed", False):
                stream.flush()
        fflush(stdout)
        fflush(stderr)
        self.file = tempfile.TemporaryFile()
        self.saved = []
        for fd in self.fds:
            try:
                self.saved.append((fd, os.dup(fd)))
            except OSError:                 # a daemon without that descriptor
                continue
            os.dup2(self.file.fileno(), fd)

    def __exit__(self, *exc):
        cdef bytes text
        fflush(stdout)
        fflush(stderr)
        for fd, copy in self.saved:
            os.dup2(copy, fd)
            os.close(copy)
        self.file.seek(0)
        text = self.file.read()
        self.file.close()
        if text:
            log_write(NULL, text, len(text))


# -- state

cdef bint eal_running() noexcept nogil:
    return state == EAL_RUNNING


cdef int eal_require() except -1:
    if state == EAL_RUNNING:
        return 0
    if state == EAL_FAILED:
        raise DpdkError(errno.EALREADY, f"EAL failed to initialise in this process: {failure}", "EAL",
                        "DPDK cannot try twice: mend that and start a new process")
    if state == EAL_CLEANED:
        raise DpdkError(errno.EALREADY, "EAL was cleaned up and cannot begin again in this process", "EAL",
                        "start a new process")
    if state == EAL_FORKED:
        raise DpdkError(errno.ENOTSUP, "EAL's threads and ports belong to the parent of this fork", "EAL",
                        "use multiprocessing's \"spawn\", or start DPDK in the child only")
    raise DpdkError(errno.ENODEV, "EAL is not initialised", "EAL", "make an Eal first, or open a port")


cdef void after_fork_in_child() noexcept nogil:
    global state
    if state == EAL_RUNNING:
        state = EAL_FORKED


cdef int eal_register_thread() noexcept nogil:
    """Make the calling thread an lcore, so that it has a cache in every pool (8 instead of 22 ns an mbuf).

    0 also if it is one already. -rte_errno where DPDK has no lcore left (RTE_MAX_LCORE, 128) or does not run.
    """
    global eal_thread_is_ours
    if state != EAL_RUNNING:
        return -errno_nodev
    if rte_lcore_id() != LCORE_ID_ANY:
        return 0
    if rte_thread_register() != 0:
        return -shim_errno()
    eal_thread_is_ours = 1
    return 0


cdef void eal_unregister_thread() noexcept nogil:
    """Give back what eal_register_thread took. EAL's own lcores stay."""
    global eal_thread_is_ours
    if eal_thread_is_ours and state == EAL_RUNNING:
        rte_thread_unregister()
        eal_thread_is_ours = 0

cdef int errno_nodev = errno.ENODEV


cdef object eal_log_mark():
    return log_end


cdef int eal_watch(object port) except -1:
    open_ports.add(port)
    return 0


cdef object eal_error(int ret, str what, str name, object mark):
    """DpdkError of a call that returned `ret`; `mark` (log_end before the call) limits the log that is read.

    -1 is how drivers say no without a number, and rte_errno then is some other call's: 0, not known.
    """
    cdef int number = -ret if ret < -1 else 0
    text = log_since(mark).decode(errors="replace")
    why = eal_log.reasons(text) or [rte_strerror(number).decode() if number else "the driver refuses without a reason"]
    remedy = eal_log.remedy(text) or (None if number else "check the arguments behind its name")
    return DpdkError(number, f"{what}: {', '.join(why)}", name, remedy)


# -- ports come and go

cdef int eal_attach(str name, str devargs, uint16_t *port) except -1:
    """Put the device into DPDK and give its port id. Judged by looking the port up: the return value misleads."""
    cdef bytes bus = b"pci" if eal_args.pci_address(name) else b"vdev"
    cdef bytes cname = name.encode()
    cdef bytes cargs = devargs.encode()
    cdef const char *b = bus
    cdef const char *n = cname
    cdef const char *a = cargs
    cdef uint64_t mark = log_end
    cdef int ret
    eal_require()
    if rte_eth_dev_get_port_by_name(n, port) == 0:
        return 0                        # probed by EAL itself (-a), or made by another library
    if bus == b"pci" and not the_eal.pci:
        raise DpdkError(errno.ENODEV, "EAL was initialised without PCI", name,
                        "open the PCI port first, or make the Eal with pci=[...] or eal=[\"-a\", ...]")
    shim_errno_clear()
    with _Noise(2):
        with nogil:
            ret = rte_eal_hotplug_add(b, n, a)
    if ret < 0 or rte_eth_dev_get_port_by_name(n, port) != 0:
        raise eal_error(ret, "DPDK cannot open it", name, mark)
    return 0


cdef int eal_detach(str name) except -1:
    """Take the device out of DPDK again; its name is free afterwards."""
    cdef bytes bus = b"pci" if eal_args.pci_address(name) else b"vdev"
    cdef bytes cname = name.encode()
    cdef const char *b = bus
    cdef const char *n = cname
    if state == EAL_RUNNING:
        with _Noise(2):
            with nogil:
                rte_eal_hotplug_remove(b, n)
    return 0


cdef int init_once(list args) except -1:
    """rte_eal_init with affinity, runtime directory and output as the caller left them."""
    global state, failure
    cdef int argc = <int>len(args) + 1
    cdef char **argv = <char **>malloc((argc + 1) * sizeof(char *))      # EAL keeps pointers into it for good
    cdef int i, ret
    cdef uint64_t mark = log_end
    if argv == NULL:
        raise MemoryError
    argv[0] = strdup(b"fixwire")
    for i in range(1, argc):
        text = os.fsencode(args[i - 1])
        argv[i] = strdup(text)
    argv[argc] = NULL
    open_log()
    affinity = os.sched_getaffinity(0)
    made = None
    if eal_args.wants_runtime_dir(os.environ):
        made = tempfile.mkdtemp(prefix="fixwire-dpdk-")
        os.environ["XDG_RUNTIME_DIR"] = made
    shim_errno_clear()
    try:
        with _Noise(1, 2):
            with nogil:
                ret = rte_eal_init(argc, argv)
    finally:
        os.sched_setaffinity(0, affinity)
        if made is not None:
            del os.environ["XDG_RUNTIME_DIR"]
    if ret < 0:
        state = EAL_FAILED
        error = eal_error(-shim_errno(), "EAL does not initialise", "EAL", mark)
        failure = error.why
        raise error
    state = EAL_RUNNING
    pthread_atfork(NULL, NULL, after_fork_in_child)
    if made is not None:
        atexit.register(remove_tree, made)
    return 0


def remove_tree(path):
    import shutil
    shutil.rmtree(path, ignore_errors=True)


@cython.auto_pickle(False)
cdef class Eal:
    """DPDK's environment. The first Eal of a process initialises it; there is no second (DpdkError).

    args: EAL's own arguments, e.g. ["-l", "2-3", "-n", "4"]; ValueError for unknown or contradicting ones.
    hugepages: None takes them if enough are free, else --no-huge; True insists; False never.
    pci: addresses of PCI ports that will be opened; without any, PCI is not touched.

    Opening a port makes one if there is none. The calling thread becomes DPDK's main lcore and keeps its affinity.
    At exit ports are closed (their promiscuous mode put back) and EAL is cleaned up.
    """

    cdef readonly tuple args        # as given to rte_eal_init
    cdef readonly tuple user_args
    cdef readonly bint hugepages
    cdef readonly bint pci          # PCI devices can be probed
    cdef object __weakref__

    def __init__(self, args=(), *, hugepages=None, pci=()):
        global the_eal
        if state == EAL_RUNNING:
            raise DpdkError(errno.EALREADY, "EAL is initialised already, with " + " ".join(the_eal.args), "EAL",
                            "use Eal.current()")
        if state != EAL_NONE:
            eal_require()
        if isinstance(args, str):
            raise ValueError(f"EAL arguments are a list of strings, not {args!r}")
        self.user_args = tuple(args)
        built = eal_args.build(self.user_args, free_mb=eal_args.free_hugepages_mb(), hugepages=hugepages,
                               pci=tuple(pci), cpu=min(os.sched_getaffinity(0)))
        self.args = tuple(built)
        self.hugepages = "--no-huge" not in built
        self.pci = "--no-pci" not in built
        init_once(built)
        the_eal = self
        atexit.register(at_exit)

    @staticmethod
    def current():
        """The Eal of this process, or None if there is none or it was cleaned up."""
        return the_eal if state == EAL_RUNNING else None

    @staticmethod
    def ensure(args=None, *, hugepages=None, pci=()):
        """The Eal of this process, made if there is none. DpdkError if there is one and `args` are not its own."""
        if state != EAL_RUNNING:
            return Eal(args or (), hugepages=hugepages, pci=pci)
        if args is not None and tuple(args) != the_eal.user_args:
            raise DpdkError(errno.EALREADY, f"EAL is initialised already, not with {' '.join(args)} but with "
                            + (" ".join(the_eal.user_args) or "no arguments of yours"), "EAL",
                            "give the same arguments, or none")
        if hugepages is not None and bool(hugepages) != the_eal.hugepages:
            raise DpdkError(errno.EALREADY, f"EAL is initialised already, hugepages={the_eal.hugepages}", "EAL")
        return the_eal

    @property
    def version(self):
        """DPDK's own version text, of the library that is loaded."""
        return rte_version().decode()

    @property
    def log(self):
        """What EAL and the drivers logged, the newest 64 KiB."""
        return log_since(0).decode(errors="replace")

    def register_thread(self):
        """Make the calling thread an lcore, so that it has a cache in every pool. Any number of times."""
        eal_require()
        cdef int ret = eal_register_thread()
        if ret < 0:
            raise DpdkError(-ret, "the thread cannot become an lcore: " + rte_strerror(-ret).decode(), "EAL")

    def unregister_thread(self):
        """Undo register_thread, in the same thread, before it ends. EAL's own lcores stay."""
        eal_unregister_thread()

    @property
    def lcore(self):
        """Number of the calling thread's lcore, None if it is not one."""
        return rte_lcore_id() if rte_lcore_id() != LCORE_ID_ANY else None

    def cleanup(self):
        """Close every port and end EAL. This process cannot use DPDK again. May be called twice."""
        global state
        if state == EAL_RUNNING:
            for port in list(open_ports):
                port.close()
            with _Noise(1, 2):
                with nogil:
                    rte_eal_cleanup()
            state = EAL_CLEANED

    def __repr__(self):
        return f"<Eal {rte_version().decode()}: {' '.join(self.args)}>"


def at_exit():
    """Interfaces get their promiscuous mode back, files of EAL vanish."""
    if the_eal is not None:
        the_eal.cleanup()
