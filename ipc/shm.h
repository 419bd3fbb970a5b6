/* What a segment needs of the kernel: locks that die with their holder, a guard against a file cut off under its
   mapping (SIGBUS), a mark that a process has forked, a futex. Nothing here is called in steady state. */
#pragma once
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/magic.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

/* --- locks of open file descriptions: released by the kernel when the holder ends, whatever ended it, seen across
   PID namespaces, and never fooled by a PID used again --- */
static inline int shm_lock(int fd, off_t octet) {
    struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = octet, .l_len = 1};
    return fcntl(fd, F_OFD_SETLK, &l) == 0 ? 0 : errno;
}
static inline int shm_unlock(int fd, off_t octet) {
    struct flock l = {.l_type = F_UNLCK, .l_whence = SEEK_SET, .l_start = octet, .l_len = 1};
    return fcntl(fd, F_OFD_SETLK, &l) == 0 ? 0 : errno;
}
/* 1: somebody else holds it, 0: nobody, -1: could not tell */
static inline int shm_locked(int fd, off_t octet) {
    struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = octet, .l_len = 1};
    if (fcntl(fd, F_OFD_GETLK, &l) != 0) return -1;
    return l.l_type != F_UNLCK;
}

/* --- SIGBUS: a peer may cut the file off under our mapping. The page is replaced by zeros and the region marked; the
   index and length checks of the rings then report a corrupt ring instead of the process dying. --- */
#define SHM_GUARDS 1024
struct shm_guard { _Atomic(uintptr_t) base; _Atomic(size_t) size; size_t page; _Atomic(uint32_t) *broken; int fd; };
static struct shm_guard shm_guards[SHM_GUARDS];
static struct sigaction shm_previous;
static _Atomic int shm_passed_on;

/* octets of a page of the file: a huge page's on hugetlbfs, whose mappings can only be replaced by whole ones */
static inline size_t shm_page_of(int fd, int *huge) {
    struct statfs s;
    *huge = fstatfs(fd, &s) == 0 && s.f_type == HUGETLBFS_MAGIC;
    return *huge ? (size_t)s.f_bsize : (size_t)sysconf(_SC_PAGESIZE);
}

static void shm_on_sigbus(int sig, siginfo_t *info, void *context) {
    uintptr_t at = (uintptr_t)info->si_addr;
    for (int i = 0; i < SHM_GUARDS; i++) {
        uintptr_t base = atomic_load(&shm_guards[i].base);
        size_t size = atomic_load(&shm_guards[i].size);
        if (base && at >= base && at < base + size) {
            int saved = errno;
            if (shm_guards[i].broken) atomic_store(shm_guards[i].broken, 1);
            size_t page = shm_guards[i].page;
            void *got = mmap((void *)(at & ~(uintptr_t)(page - 1)), page, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
            errno = saved;
            if (got != MAP_FAILED) return;
        }
    }
    /* Not ours. A handler that has the signal raised again when it is done (faulthandler) brings it back here: the end. */
    int known = shm_previous.sa_handler != SIG_DFL && shm_previous.sa_handler != SIG_IGN && shm_previous.sa_handler;
    if (known && !(atomic_exchange(&shm_passed_on, 1) && info->si_code <= 0)) {
        if (shm_previous.sa_flags & SA_SIGINFO) shm_previous.sa_sigaction(sig, info, context);
        else shm_previous.sa_handler(sig);
        return;
    }
    signal(SIGBUS, SIG_DFL);        /* returning runs the access again, and ends the process as it would have */
}

/* --- fork: every handle remembers the count at which it was made and refuses later use. The child lets go of its copies
   at once, of the mapping too (it refers to the same open file), or it would keep its parent's roles taken after the
   parent has died. Zeros take the mapping's place, so that a view a child still holds reads nothing instead of crashing --- */
static uint64_t shm_forks;
static void shm_forked(void) {
    shm_forks++;
    for (int i = 0; i < SHM_GUARDS; i++) {
        uintptr_t base = atomic_load(&shm_guards[i].base);
        if (!base) continue;
        if (shm_guards[i].fd >= 0) close(shm_guards[i].fd);
        shm_guards[i].fd = -1;          /* the number may mean another file by the time this child forks itself */
        mmap((void *)base, atomic_load(&shm_guards[i].size), PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    }
}
static inline uint64_t shm_fork_count(void) { return shm_forks; }

static inline void shm_install(void) {
    static int forks;
    struct sigaction a, now;
    if (!forks) forks = pthread_atfork(NULL, NULL, shm_forked) == 0;
    sigaction(SIGBUS, NULL, &now);
    if (now.sa_flags & SA_SIGINFO && now.sa_sigaction == shm_on_sigbus) return;
    shm_previous = now;                 /* the first time, or somebody has put a handler of theirs over ours */
    memset(&a, 0, sizeof a);
    a.sa_sigaction = shm_on_sigbus;
    a.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigemptyset(&a.sa_mask);
    sigaction(SIGBUS, &a, NULL);
}
/* -1: all SHM_GUARDS places are taken */
static inline int shm_guard_add(void *base, size_t size, size_t page, uint32_t *broken, int fd) {
    shm_install();
    for (int i = 0; i < SHM_GUARDS; i++) {
        uintptr_t none = 0;
        if (atomic_compare_exchange_strong(&shm_guards[i].base, &none, (uintptr_t)base)) {
            shm_guards[i].broken = (_Atomic(uint32_t) *)broken;
            shm_guards[i].page = page;
            shm_guards[i].fd = fd;
            atomic_store(&shm_guards[i].size, size);
            return i;
        }
    }
    return -1;
}
static inline void shm_guard_drop(int i) {
    if (i < 0) return;
    atomic_store(&shm_guards[i].size, 0);
    shm_guards[i].broken = NULL;
    atomic_store(&shm_guards[i].base, 0);
}

/* --- futex on a word in shared memory --- */
static inline int shm_futex_wait(uint32_t *word, uint32_t seen, int64_t timeout_ns) {
    struct timespec t = {.tv_sec = timeout_ns / 1000000000, .tv_nsec = timeout_ns % 1000000000};
    return syscall(SYS_futex, word, FUTEX_WAIT, seen, &t, NULL, 0) == 0 ? 0 : errno;
}
static inline void shm_futex_wake(uint32_t *word) { syscall(SYS_futex, word, FUTEX_WAKE, 0x7fffffff, NULL, NULL, 0); }

/* Waiting for a deadline is the one thing in ipc that needs a clock: there is no engine above it to ask. */
static inline int64_t shm_monotonic_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* start time of a process in clock ticks since boot (field 22 of /proc/PID/stat), 0: no such process */
static inline uint64_t shm_start_time(int pid) {
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 0;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n <= 0) return 0;
    text[n] = 0;
    char *p = strrchr(text, ')');       /* the name before it may hold blanks and brackets */
    if (!p) return 0;
    unsigned long long start = 0;
    if (sscanf(p + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu", &start) != 1) return 0;
    return start;
}
