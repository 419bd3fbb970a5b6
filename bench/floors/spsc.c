/* The least an SPSC ring of 64-octet messages between two processes can cost: two counters, 4,096 slots, nothing checked.
   spsc BATCH MESSAGES [CYCLES]: throughput, or with a pace of CYCLES the one-way latency. Core 0 consumes, core 1 produces. */
#define _GNU_SOURCE
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

enum { CAPACITY = 4096, MASK = CAPACITY - 1 };
struct message { uint64_t word[8]; };
struct shared {
    _Alignas(128) uint64_t head;        /* the producer's */
    _Alignas(128) uint64_t tail;        /* the consumer's */
    _Alignas(128) uint64_t ready;
    _Alignas(128) uint64_t go;
    _Alignas(128) struct message slot[CAPACITY];
};

static void pin(int core) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(core, &set);
    sched_setaffinity(0, sizeof set, &set);
}

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void produce(struct shared *r, uint64_t n, uint64_t batch, uint64_t pace) {
    uint64_t head = 0, tail = 0, next = __rdtsc();
    while (head < n) {
        uint64_t k = n - head < batch ? n - head : batch;
        if (pace) {
            while (__rdtsc() < next) _mm_pause();
            next = __rdtsc() + pace;
        }
        while (CAPACITY - (head - tail) < k) tail = __atomic_load_n(&r->tail, __ATOMIC_ACQUIRE);
        for (uint64_t i = 0; i < k; i++) {
            struct message *m = &r->slot[(head + i) & MASK];
            for (int w = 1; w < 8; w++) m->word[w] = head + i;
            m->word[0] = pace ? __rdtsc() : 0;
        }
        head += k;
        __atomic_store_n(&r->head, head, __ATOMIC_RELEASE);
    }
}

static void consume(struct shared *r, uint64_t n, uint64_t batch, uint64_t *latency) {
    uint64_t tail = 0, head = 0;
    while (tail < n) {
        if (head == tail && (head = __atomic_load_n(&r->head, __ATOMIC_ACQUIRE)) == tail) continue;
        uint64_t k = head - tail < batch ? head - tail : batch;
        for (uint64_t i = 0; i < k; i++) {
            struct message *m = &r->slot[(tail + i) & MASK];
            if (latency) latency[tail + i] = __rdtsc() - m->word[0];
            if (m->word[1] != tail + i || m->word[7] != tail + i) { fprintf(stderr, "a message was wrong\n"); exit(2); }
        }
        tail += k;
        __atomic_store_n(&r->tail, tail, __ATOMIC_RELEASE);
    }
}

static int ascending(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

int main(int argc, char **argv) {
    uint64_t batch = argc > 1 ? strtoull(argv[1], NULL, 10) : 1, n = argc > 2 ? strtoull(argv[2], NULL, 10) : 10000000;
    uint64_t pace = argc > 3 ? strtoull(argv[3], NULL, 10) : 0;
    struct shared *r = mmap(NULL, sizeof *r, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (r == MAP_FAILED) return 1;
    double begun = seconds();
    uint64_t cycles = __rdtsc();
    while (seconds() - begun < 0.2) {}
    double ghz = (double)(__rdtsc() - cycles) / ((seconds() - begun) * 1e9);
    pid_t child = fork();
    if (child == 0) {
        pin(1);
        __atomic_store_n(&r->ready, 1, __ATOMIC_RELEASE);
        while (!__atomic_load_n(&r->go, __ATOMIC_ACQUIRE)) {}
        produce(r, n, batch, pace);
        _exit(0);
    }
    pin(0);
    uint64_t *latency = NULL;
    if (pace) {
        latency = malloc(n * sizeof *latency);
        memset(latency, 1, n * sizeof *latency);
    }
    while (!__atomic_load_n(&r->ready, __ATOMIC_ACQUIRE)) {}
    begun = seconds();
    __atomic_store_n(&r->go, 1, __ATOMIC_RELEASE);
    consume(r, n, batch, latency);
    double took = seconds() - begun;
    waitpid(child, NULL, 0);
    if (!pace) {
        printf("%.2f ns/msg\n", took / (double)n * 1e9);
    } else {
        qsort(latency, n, sizeof *latency, ascending);
        printf("p50=%.0f p99=%.0f p99.9=%.0f ns\n", (double)latency[n / 2] / ghz, (double)latency[n * 99 / 100] / ghz,
               (double)latency[n * 999 / 1000] / ghz);
    }
    return 0;
}
