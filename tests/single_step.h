/* The processor's trap flag: after `step_begin` a SIGTRAP comes behind every instruction of this thread, until `step_end`
   or until a handler clears TRAP_FLAG in the flags it returns to. x86-64 only (Intel SDM vol. 3, 18.3.1.4). */
#pragma once
#include <signal.h>
#include <string.h>
static inline void step_handler(int number, void (*handler)(int, siginfo_t *, void *)) {
    struct sigaction a;
    memset(&a, 0, sizeof(a));
    a.sa_flags = SA_SIGINFO | SA_RESTART;
    a.sa_sigaction = handler;
    sigaction(number, &a, NULL);
}
#ifdef __x86_64__
#define CAN_STEP 1
#define TRAP_FLAG 0x100
static inline void step_begin(void) {
    __asm__ volatile("lea -128(%%rsp), %%rsp; pushfq; orq $0x100, (%%rsp); popfq; lea 128(%%rsp), %%rsp" ::: "cc", "memory");
}
static inline void step_end(void) {
    __asm__ volatile("lea -128(%%rsp), %%rsp; pushfq; andq $-257, (%%rsp); popfq; lea 128(%%rsp), %%rsp" ::: "cc", "memory");
}
#else
#define CAN_STEP 0
static inline void step_begin(void) { }
static inline void step_end(void) { }
#endif
