"""The engine as Python sees it: what it is made of, who may touch it, how it runs and stops. The loop is gateway/loop.pyx.

An engine belongs to one thread: the one that calls run() or, first, step(). stop() and submit() are for all others.
Signals: while run() runs in the main thread, C handlers turn SIGINT and SIGTERM into the flag that stop() sets, so the
loop never takes the GIL to look for them.
"""
import collections
import logging
import sys
import threading

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

from dpdk_py.base cimport Device
from fix.encode cimport fix_writer, fix_writer_alloc, fix_writer_free
from fix.message cimport fix_msg
from fix.parse cimport fix_msg_alloc, fix_msg_free
from fix.session cimport session_free
from fix.store cimport fix_store, store_free
from stack.face cimport Stack
from stack.netif cimport netif, netif_deadline, netif_start
from stack.timer cimport timer_init, timer_set, timer_slot, timers_init, timers_next

from gateway.clock cimport clock_ns, clock_utc_offset_ns
from gateway.connection cimport slot_abort
from gateway.loop cimport engine_run, engine_step
from gateway.risk cimport risk_free
from gateway.session cimport GatewaySession
from gateway.slab cimport (
    ENGINE_ANONYMOUS, ENGINE_CALLS, ENGINE_ERROR, ENGINE_STOP, ENGINE_STOPPED, ENGINE_STOPPING, ENGINE_STRATEGIES,
    EV_STRATEGY_DISABLED, NEEDS_PYTHON, WAKE_ANONYMOUS, WAKE_STRATEGY, engine, engine_event, engine_note,
    flag_clear, flag_set, flags_of, message_record, slot, strategy_slot)
from gateway.python cimport PythonStrategy
from gateway.strategy cimport Strategy
from gateway.thread cimport pin, signals_give, signals_take, unpin
from gateway.trace cimport TRACE_ALL, Trace

from gateway.errors import WrongThread
from gateway.slots import new_session

cdef extern from "pythread.h":
    unsigned long PyThread_get_thread_ident() noexcept nogil

log = logging.getLogger("fixwire.gateway")

EVENTS = {1: "logon", 2: "logout", 3: "disconnect", 4: "rejected", 5: "resend requested", 6: "gap", 7: "garbled", 8: "error",
          9: "reset", 10: "sent reject", 64: "connecting", 65: "connected", 66: "connect failed", 67: "strategy error",
          68: "strategy disabled", 69: "shutdown", 70: "strategy joined", 71: "strategy gone"}

cdef enum:
    CALLS_MAX = 1024
    CONNECT_NS = 10_000_000_000     # a SYN without an answer is given up and tried again, later and from another port
    LOOK_NS = 100_000_000           # how often a run looks whether a callback of the stack's Python face has raised
    TRACEBACKS_A_SECOND = 10
    GIL_SLICE_NS = 50_000


cdef dict counters(dict found, str prefix):
    return {f"{prefix}{name}": value for name, value in found.items() if isinstance(value, int)}


cdef uint32_t *dump_word(netif *nif) noexcept nogil:
    """Where a request for the flight recorder's file is written, NULL without one."""
    return NULL if nif.recorder == NULL else &nif.recorder.requested


cdef object idle_code(str idle):
    if idle not in ("spin", "yield", "sleep"):
        raise ValueError(f"idle is {idle!r}, must be 'spin', 'yield' or 'sleep'")
    return ("spin", "yield", "sleep").index(idle)


cdef class Engine:

    def __cinit__(self):
        self.e = NULL

    def __init__(self, Device device not None, str address, *, str gateway=None, object seed=None, str idle="spin",
                 int burst=32, int sessions=64, int connections=256, object utc_offset_ns=None, str trace=None,
                 uint64_t samples=0, uint64_t message_log=0, int rcv_buf=131072, int snd_buf=131072, object tcp=None):
        cdef engine *e
        cdef uint32_t i, timers_room
        idle_code(idle)
        if not 1 <= burst <= 64:
            raise ValueError(f"burst is {burst}, must be 1 to 64")
        if not 1 <= sessions <= 65000:
            raise ValueError(f"sessions is {sessions}, must be 1 to 65000")
        if connections < sessions:
            raise ValueError(f"connections is {connections}, must be at least the {sessions} sessions")
        self.idle = idle
        self.device = device
        self.sessions = []
        self.strategies = []
        self.calls = collections.deque()
        self.trace = None if trace is None else Trace(trace, samples)
        self.stack = Stack(device, address, gateway, seed=seed, connections=connections, rcv_buf=rcv_buf,
                           snd_buf=snd_buf, clock=self.clock, **({} if tcp is None else tcp))
        e = <engine *>calloc(1, sizeof(engine))
        if e == NULL:
            raise MemoryError("no memory for an engine")
        self.e = e
        timers_room = sessions + ENGINE_ANONYMOUS + ENGINE_STRATEGIES
        e.slots = <slot *>calloc(sessions, sizeof(slot))
        e.msg = <fix_msg *>calloc(1, sizeof(fix_msg))
        e.w = <fix_writer *>calloc(1, sizeof(fix_writer))
        self.wakes = calloc(timers_room, sizeof(timer_slot))
        if message_log:
            e.log.at = <uint8_t *>calloc(1, message_log)
            e.log.size = message_log
        if (e.slots == NULL or e.msg == NULL or e.w == NULL or self.wakes == NULL or (message_log and e.log.at == NULL)
                or not fix_msg_alloc(e.msg, 0) or not fix_writer_alloc(e.w, 65535)):
            raise MemoryError(f"no memory for {sessions} sessions")
        timers_init(&e.due, <timer_slot *>self.wakes, timers_room)
        e.nif = self.stack.nif
        e.burst = burst
        e.max_slots = sessions
        e.logon_timeout_ns = 10_000_000_000
        e.options = self.stack.defaults
        if tcp is None or "syn_timeout_ns" not in tcp:
            e.options.syn_timeout_ns = CONNECT_NS
        e.follow_utc = utc_offset_ns is None
        e.utc_offset_ns = clock_utc_offset_ns() if utc_offset_ns is None else utc_offset_ns
        e.utc_read_ns = clock_ns()
        if e.nif.recorder != NULL:
            e.nif.recorder.utc_offset_ns = e.utc_offset_ns
        for i in range(ENGINE_ANONYMOUS):
            e.waiting[i].e = e
            timer_init(&e.waiting[i].wake, &e.waiting[i], WAKE_ANONYMOUS)
        if self.trace is not None:
            e.trace = &(<Trace>self.trace).rec
            if e.trace.mode == TRACE_ALL:
                e.nif.trace = e.trace.mark
            else:
                e.nif.dev = (<Trace>self.trace).around(e.nif.dev)

    def __dealloc__(self):
        self.release()

    cdef void release(self) noexcept:
        cdef engine *e = self.e
        cdef fix_store *st
        cdef uint32_t i
        if e == NULL:
            return
        self.e = NULL
        for i in range(e.n_slots):
            st = e.slots[i].s.store
            session_free(e.slots[i].s)
            risk_free(&e.slots[i].risk)
            if e.slots[i].own_store:
                store_free(st)
        if e.msg != NULL:
            fix_msg_free(e.msg)
        if e.w != NULL:
            fix_writer_free(e.w)
        free(e.msg)
        free(e.w)
        free(e.slots)
        free(e.log.at)
        free(self.wakes)
        free(e)

    cdef int open_(self) except -1:
        if self.e == NULL:
            raise RuntimeError("the engine is closed")
        return 0

    cdef int mine(self) except -1:
        """Only the engine's thread goes on from here; the first one to come is it."""
        self.open_()
        if self.e.owner and self.e.owner != PyThread_get_thread_ident():
            raise WrongThread("this engine belongs to the thread that runs it; hand the call over with submit(fn)")
        return 0

    def clock(self):
        """Time for the stack's Python face: the running step's, else the host's."""
        return self.e.now_ns if self.running or self.stepping or self.given_time else clock_ns()

    @property
    def now_ns(self):
        self.open_()
        return self.e.now_ns

    @property
    def max_sessions(self):
        self.open_()
        return self.e.max_slots

    @property
    def utc_offset_ns(self):
        self.open_()
        return self.e.utc_offset_ns

    @property
    def deadline_ns(self):
        """When the engine next has something to do by itself, in time of now_ns; None: only if a frame comes."""
        cdef uint64_t due
        self.open_()
        due = min(timers_next(&self.e.due), netif_deadline(self.e.nif))
        return None if due == <uint64_t>-1 else due

    @property
    def stopping(self):
        self.open_()
        return bool(flags_of(self.e) & (ENGINE_STOP | ENGINE_STOPPING))

    @property
    def stopped(self):
        self.open_()
        return bool(flags_of(self.e) & ENGINE_STOPPED)

    def add_strategy(self, strategy, *, str name=None, str on_error="continue"):
        cdef Strategy added
        cdef strategy_slot *t
        self.mine()
        if self.e.n_strategies == ENGINE_STRATEGIES:
            raise RuntimeError(f"this engine has {ENGINE_STRATEGIES} strategies already")
        if isinstance(strategy, Strategy) and not hasattr(strategy, "on_message"):
            added = strategy
            if name is not None:
                added.name = name
        else:
            added = PythonStrategy(strategy, on_error, name)
        if added.slot != NULL:
            raise ValueError(f"strategy {added.name} belongs to an engine already")
        t = &self.e.strategies[self.e.n_strategies]
        t.e = self.e
        t.strategy = <void *>added
        timer_init(&t.wake, t, WAKE_STRATEGY)
        self.e.n_strategies += 1
        added.slot = t
        added.engine = self
        self.strategies.append(added)
        return added

    def add_session(self, SenderCompID, TargetCompID, *, strategy, **keywords):
        self.mine()
        if strategy is not None and not any(strategy is known for known in self.strategies):
            raise ValueError(f"{strategy!r} is no strategy of this engine, see add_strategy")
        return new_session(<size_t>self.e, self.sessions, strategy, SenderCompID, TargetCompID, **keywords)

    def add_template(self, SenderCompID, *, strategy, int pool, **keywords):
        self.mine()
        if not 1 <= pool <= <int64_t>self.e.max_slots - <int64_t>self.e.n_slots:
            raise ValueError(f"pool is {pool}, must be 1 to the {self.e.max_slots - self.e.n_slots} sessions that are left")
        if strategy is not None and not any(strategy is known for known in self.strategies):
            raise ValueError(f"{strategy!r} is no strategy of this engine, see add_strategy")
        for name in ("role", "host", "backup_hosts", "store", "name"):
            if name in keywords:
                raise ValueError(f"{name} is nothing a template of acceptors can have")
        return [new_session(<size_t>self.e, self.sessions, strategy, SenderCompID, "*", role="acceptor", vacant=True,
                            **keywords) for _ in range(pool)]

    # -- running

    cdef object start(self, uint64_t now_ns):
        """Once, before the first step, and in a run() after a stop."""
        cdef uint32_t i
        if self.running and flags_of(self.e) & ENGINE_STOPPED:
            flag_clear(self.e, ENGINE_STOP | ENGINE_STOPPING | ENGINE_STOPPED)
            self.started = self.ended = False
            for i in range(self.e.n_slots):
                self.e.slots[i].connect_ns = now_ns
                self.e.slots[i].backoff_ns = self.e.slots[i].reconnect_ns
                timer_set(&self.e.due, &self.e.slots[i].wake, now_ns)
        if self.started:
            return
        self.started = True
        self.e.now_ns = now_ns
        if not self.announced:
            self.announced = True
            netif_start(self.e.nif, now_ns)
        for strategy in self.strategies:
            (<Strategy>strategy).on_start(now_ns)

    cdef object attend(self):
        """What a flag asked for: log errors and apply their policy, call what was submitted."""
        cdef Strategy strategy
        self.look()
        if flags_of(self.e) & ENGINE_ERROR:
            flag_clear(self.e, ENGINE_ERROR)
            for strategy in self.strategies:
                for exc, where in strategy.take_errors():
                    self.report(strategy, exc, where)
        if flags_of(self.e) & ENGINE_CALLS:
            flag_clear(self.e, ENGINE_CALLS)
            for _ in range(len(self.calls)):
                fn, args = self.calls.popleft()
                self.e.stats.calls += 1
                try:
                    fn(*args)
                except Exception:
                    log.exception("a submitted call failed: %r", fn)
            for strategy in self.strategies:
                if strategy.wants_call:
                    strategy.wants_call = False
                    if strategy.on_call is not None:
                        strategy.on_call()

        if flags_of(self.e) & ENGINE_STOPPED and not self.ended:
            self.ended = True
            for strategy in self.strategies:
                strategy.on_stop(self.e.now_ns)

    cdef object look(self):
        """Exceptions of callbacks of the stack's own connections: logged, the gateway goes on."""
        exc = self.stack.failure
        if exc is None:
            return
        self.stack.failure = None
        self.e.stats.errors += 1
        log.error("a connection's callback raised %s: %s", type(exc).__name__, exc, exc_info=exc)
        if not isinstance(exc, Exception):
            self.fatal = exc
            flag_set(self.e, ENGINE_STOP)

    cdef object report(self, Strategy strategy, exc, str where):
        if self.e.now_ns - self.traceback_ns >= 1_000_000_000:
            self.traceback_ns = self.e.now_ns
            self.tracebacks = 0
        self.tracebacks += 1
        if self.tracebacks <= TRACEBACKS_A_SECOND:
            log.error("strategy %s: %s raised %s: %s (error %d)", strategy.name, where, type(exc).__name__, exc,
                      strategy.errors, exc_info=exc)
        policy = (<PythonStrategy>strategy).on_error if isinstance(exc, Exception) else "stop"
        if policy == "disable":
            engine_note(self.e, 0, EV_STRATEGY_DISABLED, 0)
            log.error("strategy %s is disabled; its sessions stay up and its messages are counted as undelivered",
                      strategy.name)
        elif policy == "stop":
            if self.fatal is None:
                self.fatal = exc
                log.error("strategy %s: the gateway stops", strategy.name)
                if self.stack.recorder is not None:
                    self.stack.recorder.fault()
            flag_set(self.e, ENGINE_STOP)

    def step(self, now_ns=None):
        cdef uint64_t now
        cdef int done
        self.mine()
        if self.running or self.stepping:
            raise RuntimeError("step() inside a callback of this engine")
        self.given_time = now_ns is not None
        now = now_ns if self.given_time else clock_ns()
        self.e.owner = PyThread_get_thread_ident()
        self.start(now)
        self.stepping = True
        with nogil:
            done = engine_step(self.e, now)
        self.stepping = False
        if self.stack.failure is not None or flags_of(self.e) & NEEDS_PYTHON:
            self.attend()
            if flags_of(self.e) & ENGINE_STOPPED and self.fatal is not None:
                exc, self.fatal = self.fatal, None
                raise exc
        return done != 0

    cdef int turn(self, Engine beside, int idle, bint hold, uint64_t until) except -1:
        """Run until both have stopped. Makes no Python object unless a flag asks for Python."""
        cdef engine *es[2]
        cdef int n = 1 if beside is None else 2
        es[0] = self.e
        es[1] = self.e if beside is None else beside.e
        while True:
            if hold:
                engine_run(es, n, idle, min(until, clock_ns() + GIL_SLICE_NS))
                with nogil:
                    clock_ns()
            else:
                with nogil:
                    engine_run(es, n, idle, min(until, clock_ns() + LOOK_NS))
            if self.stack.failure is not None or flags_of(es[0]) & NEEDS_PYTHON:
                self.attend()
            if beside is not None and (beside.stack.failure is not None or flags_of(es[1]) & NEEDS_PYTHON):
                beside.attend()
            if flags_of(es[0]) & flags_of(es[1]) & ENGINE_STOPPED:
                return 0
            if (flags_of(es[0]) | flags_of(es[1])) & ENGINE_STOPPED or clock_ns() >= until:
                until = ~<uint64_t>0
                flag_set(es[0], ENGINE_STOP)
                flag_set(es[1], ENGINE_STOP)

    def run(self, *, core=None, bint signals=True, Engine beside=None, seconds=None):
        cdef int idle = idle_code(self.idle)
        cdef uint64_t until
        cdef bint hold
        cdef Engine one
        engines = [self] if beside is None else [self, beside]
        if beside is self:
            raise ValueError("beside is this engine itself")
        for one in engines:
            one.mine()
            if one.running:
                raise RuntimeError("the engine runs already")
            if one.stepping:
                raise RuntimeError("run() inside a callback of this engine")
        until = clock_ns() + <uint64_t>(seconds * 1e9) if seconds is not None else ~<uint64_t>0
        signals = signals and threading.current_thread() is threading.main_thread()
        # A spinning engine with Python strategies keeps the GIL and gives it up between two steps every 50 us: taking
        # it for every message would cost 60-100 ns each. Others take it only for their callbacks.
        hold = idle == 0 and any(isinstance(s, PythonStrategy) for one in engines for s in one.strategies)
        before = None if core is None else pin(core)
        eal = sys.modules["dpdk_py.eal"].Eal.current() if "dpdk_py.eal" in sys.modules else None
        if signals:
            one = self if beside is None else beside
            signals_take(&self.e.flags, &one.e.flags, dump_word(self.e.nif), dump_word(one.e.nif))
        try:
            if eal is not None:
                eal.register_thread()       # else every mbuf would miss its pool's cache
            for one in engines:
                one.running = True
                one.e.owner = PyThread_get_thread_ident()
                one.start(clock_ns())
            self.turn(beside, idle, hold, until)
        finally:
            if signals:
                signals_give()
            if eal is not None:
                eal.unregister_thread()
            for one in engines:
                one.running = False
                one.e.owner = 0
            if before is not None:
                unpin(before)
        for one in engines:
            if one.fatal is not None:
                exc, one.fatal = one.fatal, None
                raise exc

    def stop(self):
        self.open_()
        flag_set(self.e, ENGINE_STOP)

    def submit(self, fn, *args):
        self.open_()
        if not callable(fn):
            raise TypeError(f"{fn!r} cannot be called")
        if len(self.calls) >= CALLS_MAX:
            raise RuntimeError(f"{CALLS_MAX} submitted calls are waiting already")
        self.calls.append((fn, args))
        flag_set(self.e, ENGINE_CALLS)

    # -- looking at it

    def events(self):
        cdef engine_event *ev
        self.mine()
        taken = []
        while self.e.events_tail != self.e.events_head:
            ev = &self.e.events[self.e.events_tail & 255]
            self.e.events_tail += 1
            taken.append((ev.now_ns, self.sessions[ev.slot].name if self.sessions else "",
                          EVENTS.get(ev.event, str(ev.event)), ev.reason))
        return taken

    def messages(self):
        cdef uint64_t at = 0
        cdef message_record r
        self.mine()
        taken = []
        while at < self.e.log.used:
            memcpy(&r, self.e.log.at + at, sizeof(message_record))
            at += sizeof(message_record)
            taken.append((r.now_ns, self.sessions[r.slot].name, "out" if r.sent else "in",
                          (<const char *>self.e.log.at)[at:at + r.n]))
            at += r.n
        self.e.log.used = 0
        return taken

    def stats(self):
        self.open_()
        found = counters(dict(self.e.stats), "engine_")
        found["engine_messages_lost"] = self.e.log.lost
        found["engine_file_log_lost"] = self.e.file_log_lost
        found.update(counters(self.device.stats(), "device_"))
        for session in self.sessions:
            for name, value in counters(session.stats(), "session_").items():
                found[name] = found.get(name, 0) + value
        return found

    def close(self):
        cdef GatewaySession session
        cdef Strategy strategy
        cdef uint32_t i
        if self.e == NULL:
            return
        self.mine()
        if self.running:
            raise RuntimeError("the engine runs; stop() it first")
        if self.stepping:
            raise RuntimeError("close() inside a callback of this engine")
        for i in range(self.e.n_slots):
            slot_abort(&self.e.slots[i], self.e.now_ns)
        for session in self.sessions:
            session.g = NULL
        for strategy in self.strategies:
            strategy.slot = NULL
            strategy.engine = None
        self.stack.close()
        self.release()

    def __enter__(self):
        return self

    def __exit__(self, kind, exc, tb):
        self.close()
