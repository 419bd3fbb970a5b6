"""Test-only: the process signals itself before the n-th store into shared memory, or at the n-th instruction.

A death leaves nothing behind but the shared memory, so what dies before each store has died in every state there is.
`stores`: the memory is read-only while the operation runs; a store faults, is counted, and is let through alone, by the
trap flag. `instructions`: the native operations below run one instruction at a time. `states`: everything does, and what
is counted is a change of the memory (for an operation that maps it itself: slow).
"""
from libc.stdint cimport uint8_t, uint32_t, uint64_t, uintptr_t
from libc.string cimport memcpy

from ipc.broadcast cimport Publisher, Subscriber
from ipc.channel cimport Reader, Writer
from ipc.mpsc cimport MpscReader, MpscWriter, mpsc_slot
from ipc.ring cimport ring_peek, ring_release

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

    enum { STORES, INSTRUCTIONS, STATES };
    static struct {
        volatile int on;
        int by, number;                             /* number: the signal */
        uint64_t at, seen, last;
        uintptr_t from[8], to[8];                   /* of memory: whole pages, or whole words */
        int ranges;
    } step;

    static void step_hit(void) {
        if (step.seen++ == step.at)
            kill(getpid(), step.number);
    }
    static void step_protect(int how) {
        for (int i = 0; i < step.ranges; i++)
            mprotect((void *)step.from[i], step.to[i] - step.from[i], how);
    }
    static uint64_t memory_now(void) {
        uint64_t h = 14695981039346656037ULL;       /* FNV-1a over words */
        for (int i = 0; i < step.ranges; i++)
            for (const volatile uint64_t *p = (void *)step.from[i]; p < (const volatile uint64_t *)step.to[i]; p++)
                h = (h ^ *p) * 1099511628211ULL;
        return h;
    }
    #if CAN_STEP
    static greg_t *flags_of(void *context) { return &((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL]; }
    static void on_store(int sig, siginfo_t *info, void *context) {
        int i = 0;
        uintptr_t at = (uintptr_t)info->si_addr;
        while (i < step.ranges && !(at >= step.from[i] && at < step.to[i]))
            i++;
        if (!step.on || i == step.ranges) {
            signal(SIGSEGV, SIG_DFL);               /* not ours: the access runs again and ends the process */
            return;
        }
        step_hit();
        step_protect(PROT_READ | PROT_WRITE);
        *flags_of(context) |= TRAP_FLAG;
    }
    static void on_trap(int sig, siginfo_t *info, void *context) {
        if (!step.on || step.by == STORES)
            *flags_of(context) &= ~(greg_t)TRAP_FLAG;
        if (!step.on)
            return;
        if (step.by == STORES)
            step_protect(PROT_READ);
        else if (step.by == INSTRUCTIONS)
            step_hit();
        else {
            uint64_t now = memory_now();
            if (now != step.last)
                step_hit();
            step.last = now;
        }
    }
    #endif
    static void step_arm(int by, uint64_t at, int number) {
        step.by = by, step.at = at, step.number = number;
        step.seen = step.last = 0;                  /* the state it begins in is the first */
    #if CAN_STEP
        step_handler(SIGTRAP, on_trap);
        step_handler(SIGSEGV, on_store);
    #endif
    }
    static void step_range(uintptr_t from, uintptr_t to) {
        if (step.ranges < 8)
            step.from[step.ranges] = from, step.to[step.ranges++] = to;
    }
    static void step_on(void) {
        step.on = 1;
        if (step.by == STORES)
            step_protect(PROT_READ);
        if (step.by == STATES)
            step_begin();
    }
    static void step_off(void) {
        step.on = 0;
        if (step.by == STORES)
            step_protect(PROT_READ | PROT_WRITE);
    }
    static inline void native_begin(void) { if (step.by == INSTRUCTIONS) step_begin(); }
    static inline void native_end(void) { if (step.by == INSTRUCTIONS) step_end(); }
    """
    int CAN_STEP
    int STORES
    int INSTRUCTIONS
    int STATES
    void step_arm(int by, uint64_t at, int number)
    void step_range(uintptr_t first, uintptr_t last)
    void step_on()
    void step_off()
    void native_begin() noexcept nogil
    void native_end() noexcept nogil

can_step = bool(CAN_STEP)
BY = {"stores": STORES, "instructions": INSTRUCTIONS, "states": STATES}


def arm(by, ranges, uint64_t at, int number):
    """Signal `number` before the `at`-th of what `by` counts in `ranges` of memory; counts from `on` to `off`."""
    for first, last in ranges:
        step_range(first, last)
    step_arm(BY[by], at, number)


def on():
    step_on()


def off():
    step_off()


# -- the rings as a Cython user drives them

def mpsc_send(MpscWriter w not None, const uint8_t[::1] message not None):
    cdef bint sent = False
    cdef uint8_t *p
    with nogil:
        native_begin()
        p = w.claim()
        if p is not NULL:
            memcpy(p, &message[0], message.shape[0])
            sent = w.commit_held(<uint32_t>message.shape[0])
        native_end()
    return sent


def mpsc_pop(MpscReader r not None):
    cdef mpsc_slot *slot
    cdef uint8_t[256] out
    with nogil:
        native_begin()
        slot = r.first()
        if slot is not NULL:
            memcpy(out, slot + 1, r.length)
            r.release()
        native_end()


def send(Writer w not None, const uint8_t[::1] message not None):
    cdef int verdict
    with nogil:
        native_begin()
        verdict = w.put(&message[0], <uint32_t>message.shape[0])
        native_end()
    return verdict == 0


def ack(Reader r not None):
    cdef uint32_t n = 0
    cdef uint8_t[256] out
    cdef const uint8_t *p
    with nogil:
        native_begin()
        p = ring_peek(&r.r, &n, 0)
        if p is not NULL:
            memcpy(out, p, n)
            ring_release(&r.r, 1)
        native_end()


def publish(Publisher p not None, const uint8_t[::1] message not None):
    with nogil:
        native_begin()
        p.put(&message[0], <uint32_t>message.shape[0])
        native_end()


def read(Subscriber s not None):
    """The message, or None."""
    cdef uint64_t[32] out
    cdef uint32_t n = 0
    cdef int verdict
    with nogil:
        native_begin()
        verdict = s.get(out, &n)
        native_end()
    return (<uint8_t *>out)[:n] if verdict == 0 else None
