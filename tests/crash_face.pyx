"""Test-only: kills the process at a named point of a message's way, and planted faults of a store. See tests/crash.

A device around a device and a store's own operations wrapped: at the n-th passage of the chosen point the process writes
the point's name to a descriptor and sends itself SIGKILL. Inside the journal there is nothing to wrap, so there the
processor's trap flag is set and every instruction counted: the kill comes between any two of them (x86-64 only). A step
costs up to 20 us on a virtual machine, so a breakpoint stands where the stretch begins.
"""
from libc.signal cimport SIGUSR1, signal
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from dpdk_py.base cimport Device
from dpdk_py.device cimport device, device_ops, frame
from fix.journal cimport Journal
from fix.ring cimport journal
from fix.segment cimport journal_record, segments_rotate
from fix.store cimport fix_store, fix_store_ops

cdef extern from *:
    """
    #define _GNU_SOURCE 1
    #include <signal.h>
    #include <stdint.h>
    #include <string.h>
    #include <sys/mman.h>
    #include <ucontext.h>
    #include <unistd.h>
    #include "single_step.h"

    static int report_fd = -1;
    static volatile int wire_cut = 0;       /* SIGUSR1: no frame leaves any more */
    static void cut_the_wire(int sig) { wire_cut = 1; }
    static void die_here(const char *point) {
        if (report_fd >= 0 && write(report_fd, point, strlen(point)) < 0)
            _exit(99);
        kill(getpid(), SIGKILL);
        for (;;)
            pause();
    }

    /* --- one instruction at a time */
    typedef struct {
        volatile int on;                    /* a thread is being stepped */
        const volatile uint64_t *mark;      /* the commit mark: where it moves, the stretch is over */
        uint64_t before;                    /* its value at the beginning */
        uint64_t count, least;              /* instructions so far; kill at `least`, 0 = only count */
        int at_the_latest;                  /* kill where the mark moves, too */
        const char *point;
    } stepped;
    static stepped step;
    static uint8_t *trapped;                /* a function whose first octet is a breakpoint while nobody steps, or NULL */
    static uint8_t first_octet;
    static int (*entered)(void *);          /* is this call of it, by its first argument, the one to be stepped? */

    #if CAN_STEP
    #define BREAKPOINT 0xCC
    static void on_trap(int sig, siginfo_t *info, void *context) {
        greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;
        if (trapped != NULL && *trapped == BREAKPOINT && regs[REG_RIP] == (greg_t)(uintptr_t)(trapped + 1)) {
            *trapped = first_octet;
            regs[REG_RIP] -= 1;
            regs[REG_EFL] |= TRAP_FLAG;
            step.on = entered((void *)regs[REG_RDI]);
            return;
        }
        if (!step.on) {
            regs[REG_EFL] &= ~(greg_t)TRAP_FLAG;
            if (trapped != NULL)
                *trapped = BREAKPOINT;
            return;
        }
        step.count += 1;
        if (*step.mark != step.before) {
            if (step.at_the_latest)
                die_here(step.point);
            step.on = 0;
        } else if (step.least != 0 && step.count >= step.least)
            die_here(step.point);
    }
    static int step_calls_of(void *function) {
        uintptr_t page = (uintptr_t)function & ~(uintptr_t)4095;
        if (mprotect((void *)page, 4096, PROT_READ | PROT_WRITE | PROT_EXEC) < 0)
            return 0;
        first_octet = *(uint8_t *)function;
        trapped = function;
        *trapped = BREAKPOINT;
        return 1;
    }
    static void count_steps(void) { step_handler(SIGTRAP, on_trap); }
    #else
    static void count_steps(void) { }
    static int step_calls_of(void *function) { return 0; }
    #endif
    static int has_text(const uint8_t *p, uint32_t n, const char *text) {
        return memmem(p, n, text, strlen(text)) != NULL;
    }
    """
    int CAN_STEP
    int report_fd
    int wire_cut
    void cut_the_wire(int) noexcept nogil
    struct stepped:
        int on
        const uint64_t *mark
        uint64_t before
        uint64_t count
        uint64_t least
        int at_the_latest
        const char *point
    stepped step
    int (*entered)(void *first) noexcept nogil
    void die_here(const char *point) noexcept nogil
    void count_steps() noexcept nogil
    void step_begin() noexcept nogil
    void step_end() noexcept nogil
    int step_calls_of(void *function) noexcept nogil
    int has_text(const uint8_t *p, uint32_t n, const char *text) noexcept nogil

cdef enum:
    NOWHERE, MID_RECORD, BEFORE_TX, AFTER_TX, SEGMENT_SWITCH, RESEND
    SOUND = 0, NUMBER_FIRST, RECORD_AFTER_SEND, ALTERED_RESEND

POINTS = {"": NOWHERE, "mid-record": MID_RECORD, "record, before tx_burst": BEFORE_TX,
          "tx_burst, before the numbers": AFTER_TX, "segment switch": SEGMENT_SWITCH, "during a resend": RESEND}
FAULTS = {"": SOUND, "number first": NUMBER_FIRST, "record after send": RECORD_AFTER_SEND,
          "altered resend": ALTERED_RESEND}

cdef struct plan:               # of this process
    int point
    int fault
    uint32_t left               # passages that go well
    double share                # where in a stepped stretch, 0 to 1
    uint64_t steps              # instructions the stretch had when it was only counted
    bint pending                # an application message is in the store, and not yet in a frame
    journal *j
    const fix_store_ops *ops    # the journal's own
    fix_store *st
    uint8_t late[65536]         # RECORD_AFTER_SEND: the message the store is told of too late
    uint32_t late_n
    uint64_t late_seq
    uint8_t copy[65600]
    device *inner

cdef plan now
can_step = bool(CAN_STEP)


cdef bint passes(int point) noexcept nogil:
    """Is it time to die at this point?"""
    if now.point != point:
        return False
    if now.left > 0:
        now.left -= 1
        return False
    return True


# --- the store

cdef journal_record *ring_record(journal *j, uint64_t at) noexcept nogil:
    return <journal_record *>(j.ring + (at & (j.size - 1)))


cdef int switch_begins(void *segments) noexcept nogil:
    """The drain thread enters segments_rotate; True: of this journal, whose last segment is full."""
    cdef journal *j = now.j
    if segments != <void *>&j.segments or j.segments.count == 0:
        return False
    step.mark = <uint64_t *>&j.segments.at[j.segments.count].start
    step.before = j.segments.at[j.segments.count].start
    step.at_the_latest = True
    step.count = 0
    step.least = 1 + <uint64_t>(now.share * 900)
    step.point = b"hit segment switch\n"
    return True


cdef bint append_stepped(fix_store *st, uint64_t seq, const uint8_t *p, uint32_t n, uint64_t now_ns) noexcept nogil:
    """The first passage counts the instructions up to the commit mark; the next ones die at their share of them."""
    cdef bint done
    step.mark = &now.j.page.head
    step.before = now.j.page.head
    step.at_the_latest = False
    step.count = 0
    step.least = 0 if now.steps == 0 else 1 + <uint64_t>(now.share * <double>now.steps)
    step.point = b"hit mid-record\n"
    step.on = True
    step_begin()
    done = now.ops.append(st, seq, p, n, False, now_ns)
    step.on = False
    step_end()
    if now.steps == 0:
        now.steps = step.count
    else:
        now.share *= 0.9            # this record was shorter
    return done


cdef bint faulty_append(fix_store *st, uint64_t seq, const uint8_t *p, uint32_t n, uint64_t now_ns) noexcept nogil:
    cdef uint64_t at
    if now.fault == RECORD_AFTER_SEND:
        memcpy(now.late, p, n)
        now.late_n = n
        now.late_seq = seq
        return True
    at = now.j.page.head            # NUMBER_FIRST: the mark, then the octets
    memset(now.copy, 0, n)
    if not now.ops.append(st, seq, now.copy, n, False, now_ns):
        return False
    if passes(MID_RECORD):
        die_here(b"hit mid-record\n")
    at = now.j.index[seq & now.j.mask].at
    memcpy(<uint8_t *>ring_record(now.j, at) + 32, p, n)
    return True


cdef bint crash_append(fix_store *st, uint64_t seq, const uint8_t *p, uint32_t n, bint admin,
                       uint64_t now_ns) noexcept nogil:
    if admin:
        return now.ops.append(st, seq, p, n, admin, now_ns)
    now.pending = True
    if now.fault == NUMBER_FIRST or now.fault == RECORD_AFTER_SEND:
        return faulty_append(st, seq, p, n, now_ns)
    if passes(MID_RECORD):
        return append_stepped(st, seq, p, n, now_ns)
    return now.ops.append(st, seq, p, n, admin, now_ns)


cdef const uint8_t *crash_get(fix_store *st, uint64_t seq, uint32_t *n) noexcept nogil:
    cdef const uint8_t *p = now.ops.get(st, seq, n)
    cdef uint32_t i, sum = 0, k
    if now.fault != ALTERED_RESEND or p == NULL:
        return p
    k = n[0]
    memcpy(now.copy, p, k)
    now.copy[k - 10] ^= 1           # the last octet but one of the body; CheckSum as it must be then
    for i in range(k - 7):
        sum += now.copy[i]
    now.copy[k - 4] = 48 + (sum & 255) // 100
    now.copy[k - 3] = 48 + (sum & 255) // 10 % 10
    now.copy[k - 2] = 48 + (sum & 255) % 10
    return now.copy


cdef fix_store_ops crash_store_ops


def arm_store(Journal store not None):
    """Wrap the journal's operations; a breakpoint where its drain thread begins a segment, if that is the point."""
    global entered
    now.j = store.j
    now.st = store.st
    now.ops = store.st.ops
    set_ops(store.st)
    if now.point == SEGMENT_SWITCH:
        entered = switch_begins
        if not step_calls_of(<void *>segments_rotate):
            raise OSError("no breakpoint can be written")


cdef void set_ops(fix_store *st) noexcept:
    global crash_store_ops
    crash_store_ops = now.ops[0]
    crash_store_ops.append = crash_append
    crash_store_ops.get = crash_get
    st.ops = &crash_store_ops


# --- the device

cdef int crash_rx_burst(device *d, frame *frames, int n, uint64_t now_ns) noexcept nogil:
    return now.inner.ops.rx_burst(now.inner, frames, n, now_ns)


cdef int crash_tx_burst(device *d, frame *frames, int n, uint64_t now_ns) noexcept nogil:
    cdef bint ours = now.pending, again = False
    cdef int taken, i
    if wire_cut:
        now.inner.ops.free(now.inner, frames, n)
        return n
    if ours and passes(BEFORE_TX):
        die_here(b"hit record, before tx_burst\n")
    for i in range(n):
        again = again or has_text(frames[i].data, frames[i].len, b"\x0143=Y\x01") != 0
    if again and now.share < 0.5 and passes(RESEND):
        die_here(b"hit during a resend\n")
    now.pending = False
    taken = now.inner.ops.tx_burst(now.inner, frames, n, now_ns)
    if again and now.share >= 0.5 and passes(RESEND):
        die_here(b"hit during a resend\n")
    if ours and passes(AFTER_TX):
        die_here(b"hit tx_burst, before the numbers\n")
    if now.late_n:
        now.ops.append(now.st, now.late_seq, now.late, now.late_n, False, now_ns)
        now.late_n = 0
    return taken


cdef bint crash_alloc(device *d, frame *f) noexcept nogil:
    return now.inner.ops.alloc(now.inner, f)


cdef void crash_free(device *d, frame *frames, int n) noexcept nogil:
    now.inner.ops.free(now.inner, frames, n)


cdef device_ops crash_device_ops
crash_device_ops.rx_burst = crash_rx_burst
crash_device_ops.tx_burst = crash_tx_burst
crash_device_ops.alloc = crash_alloc
crash_device_ops.free = crash_free


cdef class CrashDevice(Device):
    """A device around `inner` that dies where the plan says."""
    cdef Device kept

    def __init__(self, Device inner not None):
        self.kept = inner
        now.inner = inner.ptr()
        self.dev = now.inner[0]
        self.dev.ops = &crash_device_ops
        self.dev.self = &self.dev

    cdef int shutdown(self) except -1:
        return 0


def arm(str point, int passages, double share, int fd, str fault=""):
    """Die at `point` after so many passages; `fd` is told. `fault`: what the store does wrong."""
    global report_fd
    report_fd = fd
    now.point = POINTS[point]
    now.fault = FAULTS[fault]
    now.left = passages
    now.share = share
    count_steps()
    signal(SIGUSR1, cut_the_wire)


def cut():
    """Does no frame leave any more?"""
    return wire_cut != 0


def die(str point):
    """Now, as `point`."""
    text = f"hit {point}\n".encode()
    die_here(text)
