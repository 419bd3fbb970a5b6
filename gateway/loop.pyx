"""The loop. engine_step is the whole program, one turn at a time:

    netif_burst   frames in; each goes up through TCP and its session to a strategy, whose order leaves before it returns
    poll          orders of strategies in processes of their own, where there are any
    netif_poll    bare ACKs, retransmission timers
    what is due   heartbeats, connecting, logon timeouts, strategies' timers: one heap, so idle sessions cost nothing
    the shutdown  Logout everywhere, 2 s at most

engine_run repeats that, without Python, until a flag asks for it. Time is read here, once a step, and nowhere else.
"""
from libc.stdint cimport uint32_t, uint64_t

from stack.netif cimport netif_burst, netif_poll
from stack.tcb cimport TCP_CLOSING, TCP_FIN_WAIT_1, TCP_LAST_ACK, tcb, tcp_table
from stack.tcp cimport tcp_of
from stack.timer cimport timer, timers_due, timers_next
from stack.wire.trace cimport TRACE_RX, trace_mark

from gateway.clock cimport clock_ns, clock_sleep_ns, clock_utc_offset_ns
from gateway.connection cimport anonymous_wake, slot_abort, slot_leave, slot_wake
from gateway.slab cimport (
    ENGINE_STOP, ENGINE_STOPPED, ENGINE_STOPPING, EV_SHUTDOWN, NEEDS_PYTHON, WAKE_ANONYMOUS, WAKE_SLOT, anonymous,
    engine, engine_note, flag_set, flags_of, slot, strategy_slot)
from gateway.strategy cimport strategy_due
from gateway.trace cimport TRACE_ALL, TRACE_POLL

cdef extern from "sched.h":
    int sched_yield() noexcept nogil

cdef enum:
    SHUTDOWN_NS = 1_500_000_000     # Logouts have this long; then connections are reset
    DRAIN_NS = 1_900_000_000        # ... and this is the end, whatever TCP still waits for
    SLEEP_NS = 50_000
    SLEEP_AFTER = 200               # idle steps
    UTC_NS = 1_000_000_000          # how often the wall clock is read


cdef int engine_due(engine *e, uint64_t now_ns) noexcept nogil:
    cdef timer *t
    cdef int done = 0
    while True:
        t = timers_due(&e.due, now_ns)
        if t == NULL:
            return done
        done += 1
        if t.kind == WAKE_SLOT:
            slot_wake(<slot *>t.owner, now_ns)
        elif t.kind == WAKE_ANONYMOUS:
            anonymous_wake(<anonymous *>t.owner, now_ns)
        else:
            strategy_due(<strategy_slot *>t.owner, now_ns)


cdef bint tcp_draining(tcp_table *table) noexcept nogil:
    """A FIN of ours is not acknowledged yet."""
    cdef uint32_t i
    cdef tcb *c
    for i in range(table.connections):
        c = <tcb *>(table.slots + <size_t>i * table.slot_size)
        if c.state == TCP_FIN_WAIT_1 or c.state == TCP_CLOSING or c.state == TCP_LAST_ACK:
            return True
    return False


cdef void engine_shutdown(engine *e, uint64_t now_ns) noexcept nogil:
    """ENGINE_STOP is set: Logout everywhere, then wait until sessions and FINs are through, for 2 s at most."""
    cdef uint32_t i
    cdef bint busy = False
    if flags_of(e) & ENGINE_STOPPED:
        return
    if not flags_of(e) & ENGINE_STOPPING:
        flag_set(e, ENGINE_STOPPING)
        engine_note(e, 0, EV_SHUTDOWN, 0)
        e.stop_ns = now_ns
        for i in range(e.n_slots):
            slot_leave(&e.slots[i], now_ns)
    if now_ns - e.stop_ns >= SHUTDOWN_NS:
        for i in range(e.n_slots):
            slot_abort(&e.slots[i], now_ns)
    for i in range(e.n_slots):
        busy = busy or e.slots[i].c != NULL
    if (not busy and not tcp_draining(tcp_of(e.nif))) or now_ns - e.stop_ns >= DRAIN_NS:
        flag_set(e, ENGINE_STOPPED)


cdef int engine_step(engine *e, uint64_t now_ns) noexcept nogil:
    cdef int done
    e.now_ns = now_ns
    if e.trace != NULL:
        e.trace.mark[<int>TRACE_RX] = 0
        if e.trace.mode == TRACE_ALL:
            trace_mark(e.trace.mark, TRACE_POLL)
    done = netif_burst(e.nif, e.burst, now_ns)
    if e.poll != NULL:
        done += e.poll(e.poll_ctx, now_ns)
    done += netif_poll(e.nif, now_ns)
    if flags_of(e) & ENGINE_STOP:
        engine_shutdown(e, now_ns)
    if timers_next(&e.due) <= now_ns:
        done += engine_due(e, now_ns)
    e.stats.steps += 1
    e.stats.idle_steps += done == 0
    return done


cdef void engine_run(engine **es, int n, int idle, uint64_t until_ns) noexcept nogil:
    cdef uint64_t now_ns
    cdef uint32_t idle_steps = 0
    cdef int i, done
    cdef bint wanted = False
    while not wanted:
        done = 0
        for i in range(n):
            now_ns = clock_ns()
            if es[i].follow_utc and now_ns - es[i].utc_read_ns >= UTC_NS:
                es[i].utc_read_ns = now_ns
                es[i].utc_offset_ns = clock_utc_offset_ns()
                if es[i].nif.recorder != NULL:
                    es[i].nif.recorder.utc_offset_ns = es[i].utc_offset_ns
            done += engine_step(es[i], now_ns)
            wanted = wanted or (flags_of(es[i]) & NEEDS_PYTHON) != 0
        if done:
            idle_steps = 0
        elif idle == IDLE_YIELD:
            sched_yield()
        elif idle == IDLE_SLEEP:
            idle_steps += 1
            if idle_steps > SLEEP_AFTER:
                clock_sleep_ns(SLEEP_NS)
        if now_ns >= until_ns:
            return
