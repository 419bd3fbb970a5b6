"""Seat: a strategy in a process of its own, with the objects it would have inside the gateway.

Sessions are real GatewaySessions and messages real fix_msgs, parsed here from the octets the gateway received; an order
becomes a request in the strategy's channel. Notices of the broadcast and of the inbox are delivered in the order of their
numbers. Both places survive us: the inbox is acknowledged message by message, and the number of the next broadcast notice
is left as the inbox's mark, so a successor goes on behind the last notice that was handled.
"""
import json
import logging
import threading

from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset, strlen

from fix.encode cimport fix_writer, fix_writer_alloc, fix_writer_free
from fix.message cimport FIX_SLACK, fix_msg
from fix.parse cimport FIX_COMPLETE, fix_msg_alloc, fix_msg_free, fix_parse
from fix.session cimport (
    FIX_ACCEPTOR, FIX_DISCONNECTED, FIX_ESTABLISHED, FIX_EV_DISCONNECT, FIX_EV_LOGON, FIX_EV_REJECTED, FIX_INITIATOR,
    fix_session_config, fix_session_config_init, session_free, session_new)
from fix.store cimport fix_store, null_store_new, store_free
from ipc.broadcast_ring cimport BROADCAST_CORRUPT, BROADCAST_OK
from ipc.ring cimport RING_CORRUPT, ring_commit, ring_peek, ring_release, ring_reserve
from ipc.segment cimport LOCK_CONSUMER
from stack.timer cimport timer_init, timer_slot, timers_due, timers_init, timers_next

from gateway.clock cimport clock_ns, clock_sleep_ns, clock_utc_offset_ns
from gateway.outside cimport (
    NOTICE_LOGON, NOTICE_LOGOUT, NOTICE_MESSAGE, NOTICE_REJECT, NOTICE_STOP, NOTICE_VERDICT, NOTICE_WELCOME,
    OUTSIDE_TEXT, REQUEST_CANCEL, REQUEST_HELLO, REQUEST_MESSAGE, REQUEST_NEW, REQUEST_REPLACE,
    message_request, request)
from gateway.python cimport PythonStrategy
from gateway.session cimport GatewaySession, copy_id
from gateway.slab cimport (
    ENGINE_CALLS, ENGINE_ERROR, ENGINE_STOP, WAKE_STRATEGY, engine, flag_clear, flag_set, flags_of, slot)
from gateway.strategy cimport REFUSED, SENT, TOO_LONG, WOULD_BLOCK, order, slot_on_event, slot_on_message, strategy_due
from gateway.thread cimport pin, signals_give, signals_take, unpin

from gateway.errors import GatewayGone
from gateway.session import VERSIONS
from ipc.broadcast import Subscriber as Joined
from ipc.channel import Reader as Inbox
from ipc.channel import Writer as Outbox

cdef extern from "sched.h":
    int sched_yield() noexcept nogil

log = logging.getLogger("fixwire.strategy")
IDLE = ("spin", "yield", "sleep")

cdef enum:
    MSG_NEW = 0x44
    MSG_CANCEL = 0x46
    MSG_REPLACE = 0x47
    LOOK_NS = 100_000_000           # how often it is asked whether the gateway lives, and Python whether a signal came
    SLEEP_NS = 50_000
    SLEEP_AFTER = 200               # idle turns
    TURN = 64                       # notices between two looks at the clock


cdef class Seat:
    """See gateway/seat.pyi."""

    def __cinit__(self):
        self.e = NULL

    def __init__(self, str name, strategy, *, directory=None, str idle="yield", str on_error="continue", double timeout=1.0):
        cdef engine *e
        cdef uint32_t i
        desk, dot, own = name.rpartition(".")
        if not dot:
            raise ValueError(f"name is {name!r}, must be DESK.STRATEGY")
        if idle not in IDLE:
            raise ValueError(f"idle is {idle!r}, must be 'spin', 'yield' or 'sleep'")
        self.name, self.idle, self.sessions = name, IDLE.index(idle), []
        with Joined(f"{desk}.sessions", directory=directory, start="oldest", timeout=timeout) as told:
            known = json.loads(told.read(timeout_ns=<int64_t>(timeout * 1e9)) or b"{}")
        if own not in known.get("strategies", ()):
            raise ValueError(f"{desk} knows no strategy {own!r}, only {', '.join(known.get('strategies', ())) or 'none'}")
        self.index = known["strategies"].index(own)
        try:
            self.orders = Outbox(f"{name}.orders", create=False, directory=directory, timeout=timeout)
            self.inbox = Inbox(f"{name}.inbox", create=False, directory=directory, timeout=timeout)
            self.events = Joined(f"{desk}.events", directory=directory, timeout=timeout)
            if known["request"] != sizeof(request) or self.orders.r.max_len < sizeof(request):
                raise ValueError(f"the gateway's requests have {known['request']} octets, ours {sizeof(request)}: "
                                 "another release")
            # the mark is one more than the number, so that 0 says nobody was here before
            if 0 < self.inbox.mark <= self.events.number + 1:
                self.events.join(self.inbox.mark - 1)
            self.out, self.into = &self.orders.r, &self.inbox.r
            self.broadcast = <uint8_t *>calloc(1, self.events.b.max_len + FIX_SLACK)
            self.private = <uint8_t *>calloc(1, self.into.max_len + FIX_SLACK)
            self.e = e = <engine *>calloc(1, sizeof(engine))
            if self.broadcast == NULL or self.private == NULL or e == NULL:
                raise MemoryError()
            e.slots = <slot *>calloc(len(known["sessions"]) + 1, sizeof(slot))
            e.msg = <fix_msg *>calloc(1, sizeof(fix_msg))
            e.w = <fix_writer *>calloc(1, sizeof(fix_writer))
            self.wakes = calloc(1, sizeof(timer_slot))
            if (e.slots == NULL or e.msg == NULL or e.w == NULL or self.wakes == NULL
                    or not fix_msg_alloc(e.msg, 0) or not fix_writer_alloc(e.w, 65535)):
                raise MemoryError()
            timers_init(&e.due, <timer_slot *>self.wakes, 1)
            e.poll_ctx = <void *>self
            e.now_ns = clock_ns()
            e.utc_offset_ns = clock_utc_offset_ns()
            self.next_ClOrdID = (e.now_ns + <uint64_t>e.utc_offset_ns) // 1000 * 64 + self.index + 1
            for i in range(len(known["sessions"])):
                self.add_session(known["sessions"][i])
            self.take_in(strategy, on_error)
        except BaseException:
            self.close()
            raise

    def add_session(self, known):
        """The gateway's session as it looks from here: its names, orders that go to the gateway, nothing else."""
        cdef fix_session_config config
        cdef fix_store *st = null_store_new()
        cdef slot *g = &self.e.slots[self.e.n_slots]
        cdef GatewaySession session
        fix_session_config_init(&config)
        config.role = FIX_INITIATOR if known["role"] == "initiator" else FIX_ACCEPTOR
        config.version = VERSIONS[known["BeginString"]]
        copy_id(config.SenderCompID, known["SenderCompID"], "SenderCompID")
        copy_id(config.TargetCompID, known["TargetCompID"], "TargetCompID")
        g.s = session_new(&config, st, self.e.msg, self.e.w) if st != NULL else NULL
        if g.s == NULL:
            raise MemoryError()
        g.s.user = g
        g.s.utc_offset_ns = &self.e.utc_offset_ns
        g.s.writing = 1                     # a native strategy's own session_begin is refused: FIX_BUSY
        g.s.wire.commit, g.s.wire.room, g.s.wire.close = no_commit, no_room, no_close
        g.e = self.e
        g.id = self.e.n_slots
        g.initiator = known["role"] == "initiator"
        g.own_store = True
        g.carry = seat_carry
        g.carry_message = seat_carry_message
        session = GatewaySession.__new__(GatewaySession)
        session.g = g
        session.given_name = known["name"]
        g.handle = <void *>session
        self.sessions.append(session)
        self.e.n_slots += 1

    def take_in(self, strategy, on_error):
        """Makes `strategy` the one of every session."""
        cdef uint32_t i
        if isinstance(strategy, Strategy) and not hasattr(strategy, "on_message"):
            self.strategy = strategy
        else:
            self.strategy = PythonStrategy(strategy, on_error)
        if self.strategy.slot != NULL:
            raise ValueError(f"strategy {self.strategy.name} belongs to an engine already")
        self.at.e = self.e
        self.at.strategy = <void *>self.strategy
        timer_init(&self.at.wake, &self.at, WAKE_STRATEGY)
        self.strategy.slot = &self.at
        self.strategy.engine = self
        for i in range(self.e.n_slots):
            self.e.slots[i].strategy = <void *>self.strategy

    def __dealloc__(self):
        self.release()

    cdef void release(self) noexcept:
        cdef engine *e = self.e
        cdef fix_store *st
        cdef uint32_t i
        free(self.broadcast)
        free(self.private)
        self.broadcast = self.private = NULL
        if e == NULL:
            return
        self.e = NULL
        for i in range(e.n_slots):
            st = e.slots[i].s.store
            session_free(e.slots[i].s)
            store_free(st)
        if e.msg != NULL:
            fix_msg_free(e.msg)
        if e.w != NULL:
            fix_writer_free(e.w)
        free(e.msg)
        free(e.w)
        free(e.slots)
        free(self.wakes)
        free(e)

    cdef int open_for(self, str call) except -1:
        """Raises where `call` must not be made: closed, or inside a callback, whose caller goes on with what it has."""
        if self.inside:
            raise RuntimeError(f"{call}() inside a callback of this seat")
        if self.e == NULL:
            raise ValueError(f"{self.name} is closed")
        return 0

    def close(self):
        """Gives the channels up: for the gateway, the end of this incarnation."""
        cdef GatewaySession session
        if self.inside:
            raise RuntimeError("close() inside a callback of this seat")
        for session in self.sessions:
            session.g = NULL
        if self.strategy is not None:
            self.strategy.slot = NULL
            self.strategy.engine = None
        for end in (self.orders, self.inbox, self.events):
            if end is not None:
                end.close()
        self.out = self.into = NULL
        self.release()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    # -- what a strategy may ask of its engine

    def stop(self):
        """From any thread: run() returns soon."""
        if self.e != NULL:
            flag_set(self.e, ENGINE_STOP)

    @property
    def now_ns(self):
        return 0 if self.e == NULL else self.e.now_ns

    # -- orders, into the channel

    cdef int send(self, slot *g, void *given, uint64_t MsgType, uint64_t now_ns) noexcept nogil:
        cdef order *o = <order *>given
        cdef request r
        cdef void *room
        memset(&r, 0, sizeof(request))
        r.kind = REQUEST_NEW if MsgType == MSG_NEW else REQUEST_REPLACE if MsgType == MSG_REPLACE else REQUEST_CANCEL
        r.session = g.id
        r.OrderQty, r.Price_e8 = o.OrderQty, o.Price_e8
        r.Side, r.OrdType, r.TimeInForce, r.HandlInst = o.Side, o.OrdType, o.TimeInForce, o.HandlInst
        if o.ClOrdID == 0 and o.ClOrdID_text == NULL:
            o.ClOrdID = self.next_ClOrdID
            self.next_ClOrdID += 64
        if (not put_text(r.ClOrdID, &r.ClOrdID_n, o.ClOrdID_text, o.ClOrdID_n, o.ClOrdID)
                or not put_text(r.OrigClOrdID, &r.OrigClOrdID_n, o.OrigClOrdID_text, o.OrigClOrdID_n, o.OrigClOrdID)
                or not put_text(r.Symbol, &r.Symbol_n, o.Symbol, o.Symbol_n, 0)
                or not put_text(r.Account, &r.Account_n, o.Account, o.Account_n, 0)):
            return TOO_LONG
        room = ring_reserve(self.out, sizeof(request), 0)
        if room == NULL:
            g.stats.refused += 1
            return REFUSED if self.out.verdict == RING_CORRUPT else WOULD_BLOCK
        memcpy(room, &r, sizeof(request))
        g.token = self.out.head
        g.ClOrdID = o.ClOrdID
        g.stats.orders += 1
        ring_commit(self.out, 1)
        return SENT

    cdef int send_message(self, slot *g, uint64_t MsgType, const uint8_t *body, uint32_t n) noexcept nogil:
        cdef message_request m
        cdef uint8_t *room
        if n > self.out.max_len - sizeof(message_request):
            g.stats.refused += 1
            return TOO_LONG
        memset(&m, 0, sizeof(message_request))
        m.kind, m.session, m.MsgType, m.n = REQUEST_MESSAGE, g.id, MsgType, n
        room = ring_reserve(self.out, sizeof(message_request) + n, 0)
        if room == NULL:
            g.stats.refused += 1
            return REFUSED if self.out.verdict == RING_CORRUPT else WOULD_BLOCK
        memcpy(room, &m, sizeof(message_request))
        if n:
            memcpy(room + sizeof(message_request), body, n)
        g.token = self.out.head
        ring_commit(self.out, 1)
        return SENT

    # -- notices, in the order of their numbers

    cdef bint next_broadcast(self) noexcept nogil:
        """The next notice for us of the broadcast is in self.broadcast."""
        cdef uint32_t n = 0
        cdef uint64_t before
        cdef int verdict
        cdef notice *h = <notice *>self.broadcast
        while not self.pending:
            before = self.events.b.lost
            verdict = self.events.get(self.broadcast, &n)
            if self.events.b.lost != before:
                self.lost += self.events.b.lost - before
                self.strategy.on_lost(self.events.b.lost - before, self.e.now_ns)
            if verdict == BROADCAST_CORRUPT or (verdict == BROADCAST_OK and (n < sizeof(notice) or h.n != n - sizeof(notice))):
                self.broken = True
            if verdict != BROADCAST_OK or self.broken:
                return False
            # ours came into the inbox, another's is not our business
            self.pending = h.owner == 0
            if not self.pending:
                self.inbox.segment.header.mark = self.events.b.next + 1
        return True

    cdef int turn(self, uint64_t now_ns) noexcept nogil:
        """What is there, in the order of the gateway, at most TURN notices; -> how many."""
        cdef const uint8_t *p
        cdef uint32_t n = 0
        cdef int done = 0
        while done < TURN and not self.broken and not flags_of(self.e) & ENGINE_STOP:
            self.next_broadcast()
            p = ring_peek(self.into, &n, 0)
            if p == NULL:
                self.broken = self.broken or self.into.verdict == RING_CORRUPT
                if not self.pending:
                    break
            else:
                # what was published before this was written is there by now
                self.next_broadcast()
                if n < sizeof(notice) or (<const notice *>p).n != n - sizeof(notice):
                    self.broken = True
                    break
            done += 1
            if self.pending and (p == NULL or (<const notice *>self.broadcast).number < (<const notice *>p).number):
                self.deliver(self.broadcast, sizeof(notice) + (<const notice *>self.broadcast).n)
                self.pending = False
                self.inbox.segment.header.mark = self.events.b.next + 1
            else:
                memcpy(self.private, p, n)
                self.deliver(self.private, n)
                ring_release(self.into, 1)
                self.inbox.received += 1
        return done

    cdef void deliver(self, const uint8_t *record, uint32_t n) noexcept nogil:
        cdef const notice *h = <const notice *>record
        cdef const uint8_t *p = record + sizeof(notice)
        cdef slot *g = &self.e.slots[h.session]
        cdef uint32_t i
        self.number = h.number
        self.delivered += 1
        self.e.utc_offset_ns = h.utc_offset_ns
        if h.lost:
            self.lost += h.lost
            self.strategy.on_lost(h.lost, h.now_ns)
        if h.session >= self.e.n_slots:
            self.broken = True
        elif h.kind == NOTICE_MESSAGE or h.kind == NOTICE_REJECT:
            if fix_parse(self.e.msg, p, h.n) != FIX_COMPLETE:
                self.broken = True
            elif h.kind == NOTICE_MESSAGE:
                slot_on_message(g, g.s, self.e.msg, h.now_ns)
            else:
                g.s.in_msg = self.e.msg
                slot_on_event(g, g.s, FIX_EV_REJECTED, h.now_ns)
        elif h.kind == NOTICE_LOGON or h.kind == NOTICE_LOGOUT:
            self.logged(h.session, h.kind == NOTICE_LOGON, h.now_ns)
        elif h.kind == NOTICE_WELCOME:
            for i in range(min(h.n, self.e.n_slots)):
                self.logged(i, p[i] != 0, h.now_ns)
        elif h.kind == NOTICE_VERDICT:
            self.strategy.on_verdict(g.s, h.token, <int>h.verdict, h.now_ns)
        elif h.kind == NOTICE_STOP:
            self.stopped = True

    cdef void logged(self, uint32_t session, bint on, uint64_t now_ns) noexcept nogil:
        """Tells only what is new: after a restart the same may come from the past and in the WELCOME."""
        cdef slot *g = &self.e.slots[session]
        if g.on == on:
            return
        g.s.state = FIX_ESTABLISHED if on else FIX_DISCONNECTED
        slot_on_event(g, g.s, FIX_EV_LOGON if on else FIX_EV_DISCONNECT, now_ns)

    # -- running

    def begin(self):
        """HELLO, which the gateway answers with what is logged on, then on_start. Called by the first step."""
        cdef request r
        cdef void *room
        if self.started:
            return
        self.open_for("begin")
        self.started = True
        memset(&r, 0, sizeof(request))
        r.kind = REQUEST_HELLO
        room = ring_reserve(self.out, sizeof(request), 0)
        if room == NULL:                    # a dead predecessor's requests; the gateway takes them now
            self.orders.sleep_until(True, 5_000_000_000)
            room = ring_reserve(self.out, sizeof(request), 0)
            if room == NULL:
                raise GatewayGone(f"{self.name}: the gateway takes nothing from the channel")
        memcpy(room, &r, sizeof(request))
        ring_commit(self.out, 1)
        self.inside = True
        try:
            self.strategy.on_start(self.e.now_ns)
        finally:
            self.inside = False

    def step(self, now_ns=None):
        """One turn: notices that are there, then the timer. True: something was done."""
        cdef uint64_t now = clock_ns() if now_ns is None else now_ns
        cdef int done
        self.open_for("step")
        self.e.now_ns = now
        self.begin()
        self.inside = True
        try:
            with nogil:
                done = self.turn(now)
            if timers_next(&self.e.due) <= now and timers_due(&self.e.due, now) != NULL:
                strategy_due(&self.at, now)
                done += 1
            self.attend()
        finally:
            self.inside = False
        return done > 0

    cdef int loop(self, uint64_t until_ns) noexcept nogil:
        """Turns until `until_ns` or something only Python can do; -> whether that is so."""
        cdef uint32_t idle_turns = 0
        cdef uint64_t now_ns = 0
        cdef int done
        while now_ns < until_ns:
            now_ns = clock_ns()
            self.e.now_ns = now_ns
            done = self.turn(now_ns)
            if timers_next(&self.e.due) <= now_ns and timers_due(&self.e.due, now_ns) != NULL:
                strategy_due(&self.at, now_ns)
                done += 1
            if flags_of(self.e) & (ENGINE_STOP | ENGINE_ERROR | ENGINE_CALLS) or self.broken or (self.stopped and not done):
                return True
            if done:
                idle_turns = 0
            elif self.idle == 1:
                sched_yield()
            elif self.idle == 2:
                idle_turns += 1
                if idle_turns > SLEEP_AFTER:
                    clock_sleep_ns(SLEEP_NS)
        return False

    cdef object attend(self):
        """What a callback raised, and what a native strategy wants called."""
        if flags_of(self.e) & ENGINE_ERROR:
            flag_clear(self.e, ENGINE_ERROR)
            for exc, where in self.strategy.take_errors():
                log.error("strategy %s: %s raised %s: %s", self.strategy.name, where, type(exc).__name__, exc, exc_info=exc)
                if (<PythonStrategy>self.strategy).on_error == "stop" or not isinstance(exc, Exception):
                    raise exc
        if flags_of(self.e) & ENGINE_CALLS:
            flag_clear(self.e, ENGINE_CALLS)
            if self.strategy.wants_call:
                self.strategy.wants_call = False
                if self.strategy.on_call is not None:
                    self.strategy.on_call()

    def run(self, *, core=None, bint signals=True):
        """Until stop(), SIGINT, SIGTERM or the gateway's end; GatewayGone if it ended without a word.

        Raises what a callback raised with on_error="stop".
        """
        cdef bint wanted
        self.open_for("run")
        signals = signals and threading.current_thread() is threading.main_thread()
        before = None if core is None else pin(core)
        if signals:
            signals_take(&self.e.flags, &self.e.flags, NULL, NULL)
        try:
            self.e.now_ns = clock_ns()
            self.begin()
            self.inside = True
            while True:
                with nogil:
                    wanted = self.loop(clock_ns() + LOOK_NS)
                self.attend()
                if self.broken:
                    raise GatewayGone(f"{self.name}: what the gateway wrote cannot be; was it restarted?")
                if flags_of(self.e) & ENGINE_STOP or self.stopped and wanted:
                    break
                if not self.orders.segment.held(LOCK_CONSUMER) and not self.turn(clock_ns()) and not self.stopped:
                    raise GatewayGone(f"{self.name}: the gateway is gone")
            self.strategy.on_stop(self.e.now_ns)
            self.attend()
        finally:
            self.inside = False
            if signals:
                signals_give()
            if before is not None:
                unpin(before)

    def stats(self):
        """Counters of this incarnation; requests: how far the channel is, over all of them."""
        if self.e == NULL:
            raise ValueError(f"{self.name} is closed")
        return {"delivered": self.delivered, "lost": self.lost, "number": self.number, "requests": self.orders.next_number,
                "orders": sum([self.e.slots[i].stats.orders for i in range(self.e.n_slots)]), "errors": self.strategy.errors}


cdef int seat_carry(slot *g, void *o, uint64_t MsgType, uint64_t now_ns) noexcept nogil:
    return (<Seat>g.e.poll_ctx).send(g, o, MsgType, now_ns)


cdef int seat_carry_message(slot *g, uint64_t MsgType, const uint8_t *body, uint32_t n) noexcept nogil:
    return (<Seat>g.e.poll_ctx).send_message(g, MsgType, body, n)


cdef bint put_text(char *to, uint8_t *n, const char *text, uint32_t size, uint64_t number) noexcept nogil:
    """`text`, or `number` in decimal where there is none (0: nothing); False: too long."""
    cdef char digits[20]
    cdef uint32_t k = 0
    if text == NULL:
        while number:
            k += 1
            digits[20 - k] = <char>(48 + number % 10)
            number //= 10
        memcpy(to, digits + 20 - k, k)
        n[0] = <uint8_t>k
        return True
    if size == 0:
        size = <uint32_t>strlen(text)
    if size > OUTSIDE_TEXT:
        return False
    memcpy(to, text, size)
    n[0] = <uint8_t>size
    return True


# a session without a wire: whatever a native strategy asks of it beside orders comes to nothing
cdef bint no_commit(void *ctx, const uint8_t *p, uint32_t n, uint64_t now_ns) noexcept nogil:
    return False


cdef uint32_t no_room(void *ctx) noexcept nogil:
    return 0


cdef void no_close(void *ctx, bint abort, uint64_t now_ns) noexcept nogil:
    pass
