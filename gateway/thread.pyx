"""The thread that runs an engine. C signal handlers, because the loop never takes the GIL to look for signals."""
import os
import threading

from libc.stdint cimport uint32_t

cdef extern from *:
    """
    #include <signal.h>
    #include <string.h>
    /* SIGINT and SIGTERM set ENGINE_STOP of the engines that run; a second one ends the process as if we had no handler. */
    static uint32_t *fw_stop_flags[8];
    static volatile sig_atomic_t fw_stop_signals;
    static struct sigaction fw_old_int, fw_old_term, fw_old_usr1;
    static uint32_t *fw_dump_words[2];
    static void fw_on_signal(int n) {
        if (fw_stop_signals++) { signal(n, SIG_DFL); raise(n); return; }    /* delivered when this handler returns */
        for (int i = 0; i < 8; i++)
            if (fw_stop_flags[i]) __atomic_fetch_or(fw_stop_flags[i], 1u, __ATOMIC_SEQ_CST);
    }
    static void fw_on_usr1(int n) {
        (void)n;
        for (int i = 0; i < 2; i++)
            if (fw_dump_words[i]) __atomic_store_n(fw_dump_words[i], 1u, __ATOMIC_RELAXED);
    }
    static void fw_take(uint32_t *a, uint32_t *b, uint32_t *dump_a, uint32_t *dump_b) {
        struct sigaction s;
        memset(&s, 0, sizeof s);
        s.sa_handler = fw_on_signal;
        fw_stop_flags[0] = a; fw_stop_flags[1] = b; fw_stop_signals = 0;
        sigaction(SIGINT, &s, &fw_old_int);
        sigaction(SIGTERM, &s, &fw_old_term);
        fw_dump_words[0] = dump_a; fw_dump_words[1] = dump_b;
        s.sa_handler = fw_on_usr1;
        s.sa_flags = SA_RESTART;
        sigaction(SIGUSR1, dump_a || dump_b ? &s : 0, &fw_old_usr1);
    }
    static void fw_give(void) {
        sigaction(SIGINT, &fw_old_int, 0);
        sigaction(SIGTERM, &fw_old_term, 0);
        sigaction(SIGUSR1, &fw_old_usr1, 0);
        fw_dump_words[0] = fw_dump_words[1] = 0;
        fw_stop_flags[0] = fw_stop_flags[1] = 0;
    }
    """
    void fw_take(uint32_t *a, uint32_t *b, uint32_t *dump_a, uint32_t *dump_b) noexcept nogil
    void fw_give() noexcept nogil


cdef void signals_take(uint32_t *a, uint32_t *b, uint32_t *dump_a, uint32_t *dump_b) noexcept nogil:
    fw_take(a, b, dump_a, dump_b)


cdef void signals_give() noexcept nogil:
    fw_give()


cdef dict pin(int core):
    """This thread to `core`, every other thread of the process off it. -> {thread: cores before}."""
    cores = os.sched_getaffinity(0)
    if core not in cores:
        raise ValueError(f"core is {core}, this process may use {', '.join(map(str, sorted(cores)))}")
    before = {}
    mine = threading.get_native_id()
    for tid in map(int, os.listdir("/proc/self/task")):
        try:
            before[tid] = os.sched_getaffinity(tid)
            os.sched_setaffinity(tid, {core} if tid == mine else (before[tid] - {core} or before[tid]))
        except ProcessLookupError:
            pass
    return before


cdef int unpin(dict before) except -1:
    for tid, cores in before.items():
        try:
            os.sched_setaffinity(tid, cores)
        except OSError:
            pass
    return 0
