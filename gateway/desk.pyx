"""Desk: strategies in processes of their own, as the gateway sees them. The records are in gateway/outside.pxd.

A message goes to the broadcast, and into the inbox of the strategy whose order it is about; nobody is waited for. Orders
are taken in the engine's step, a burst of each strategy at a time, through the same order_new with the same limits as
any other's, and each gets its verdict into the inbox: no order is taken while there is no room for its verdict. Whatever
lies in a strategy's memory is copied once, judged, and only then used; counters that cannot be end that strategy, not
the gateway. That a process has died is seen by the lock it held on its channel, every LOOK_NS, or by its successor's HELLO.
Where a session has a journal, open orders lie beside its ring: the next gateway knows whose they are, and what their owner,
whose incarnation ended with this one, wanted done with them.
"""
import json
import os

from libc.stdint cimport uint16_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy, memset

from fix.journal cimport Journal
from fix.message cimport fix_field, fix_find, fix_msgtype
from fix.parse cimport FIX_COMPLETE, fix_parse
from fix.session cimport FIX_ESTABLISHED
from ipc.atomic cimport copy_racing_in, load_acquire, store_release
from ipc.broadcast_ring cimport broadcast_begin, broadcast_end
from ipc.channel cimport Reader, Writer
from ipc.ring cimport (
    RING_CORRUPT, ring_commit, ring_free_slots, ring_peek, ring_release, ring_reserve)
from ipc.segment cimport LOCK_CONSUMER, LOCK_PRODUCER, Segment

from gateway.open_orders cimport (
    ORDER_OPEN, open_order, order_add, order_find, order_of_serial, order_rejected, order_report, order_room,
    order_table_free, order_table_init, order_withdraw)
from gateway.order_file cimport OrderFile
from gateway.outside cimport (
    DUPLICATE, MALFORMED, NOTICE_LOGON, NOTICE_LOGOUT, NOTICE_LOST, NOTICE_MESSAGE, NOTICE_REJECT, NOTICE_STOP,
    NOTICE_VERDICT, NOTICE_WELCOME, NOT_ALLOWED, NOT_YOURS, NO_SESSION, OUTSIDE_STRATEGIES, REQUEST_CANCEL, REQUEST_HELLO,
    REQUEST_MESSAGE, REQUEST_NEW, STALE, TOO_MANY_OPEN, message_request)
from gateway.request cimport request_sound
from gateway.session cimport GatewaySession
from gateway.slab cimport EV_STRATEGY_GONE, EV_STRATEGY_JOINED, engine_note
from gateway.strategy cimport (
    BAD_ORDER, NOT_LOGGED_ON, RISK_KILLED, RISK_RATE, SENT, message_send, order, order_cancel, order_init, order_new,
    order_replace)

from gateway.keys import INQUIRIES, Wrong, message_types
from ipc.segment import retire, segment_path

cdef enum:
    LOOK_NS = 10_000_000        # how often the locks of the strategies are asked for: one system call each
    EXECUTION_REPORT = 0x38     # 8
    CANCEL_REJECT = 0x39        # 9



cdef class Desk(Strategy):
    """See gateway/desk.pyi."""

    def __init__(self, str desk, strategies, *, inner=None, directory=None, uint32_t events=16384, uint32_t message=2048):
        cdef uint32_t i, k
        cdef outside *o
        super().__init__()
        strategies = [dict(s) for s in strategies]
        if not 1 <= len(strategies) <= OUTSIDE_STRATEGIES:
            raise ValueError(f"{len(strategies)} strategies outside, must be 1 to {OUTSIDE_STRATEGIES}")
        if len({s["name"] for s in strategies}) != len(strategies):
            raise ValueError("two strategies outside have the same name")
        self.desk, self.inner, self.directory = desk, inner, directory
        self.max_len = sizeof(notice) + message
        self.configured = strategies
        self.capacity = events
        self.strategies = {}
        self.count = <uint32_t>len(strategies)
        self.all = <outside *>calloc(self.count, sizeof(outside))
        self.pending = &self.unkept
        if self.all == NULL:
            raise MemoryError()
        for i, s in enumerate(strategies):
            o = &self.all[i]
            o.index = i
            if s.get("on_death", "cancel") not in ("cancel", "leave"):
                raise ValueError(f"on_death is {s['on_death']!r}, must be 'cancel' or 'leave'")
            o.cancel_on_death = s.get("on_death", "cancel") == "cancel"
            o.max_orders_per_second = s.get("max_orders_per_second", 0)
            try:
                names = message_types(s.get("messages", INQUIRIES))
            except Wrong as e:
                raise ValueError(f"messages of {s['name']} {e}") from None
            o.n_types = <uint32_t>len(names)
            for k, name in enumerate(names):
                o.types[k] = fix_msgtype(name.encode())
            self.longest = max(self.longest, request_size(s))
        self.copied = <uint8_t *>calloc(1, self.longest)
        if self.copied == NULL:
            raise MemoryError()
        self.make_room(NULL)

    cdef int make_room(self, open_order *kept) except -1:
        """The table of open orders, in `kept` or in memory of its own."""
        cdef uint32_t sizes[OUTSIDE_STRATEGIES]
        cdef uint32_t i
        for i in range(self.count):
            sizes[i] = self.configured[i].get("open", 4096)
        if not order_table_init(&self.orders, sizes, self.count, kept):
            raise MemoryError()
        return 0

    def __dealloc__(self):
        order_table_free(&self.orders)
        free(self.all)
        free(self.copied)

    def open(self):
        """Makes the channels and lets strategies in; once the engine has all its sessions."""
        cdef uint32_t i
        cdef Reader orders
        cdef Writer inbox
        if self.slot == NULL:
            raise RuntimeError("the desk belongs to no engine yet, see Engine.add_strategy")
        if self.slot.e.n_slots > self.max_len - sizeof(notice):
            raise ValueError(f"message is {self.max_len - sizeof(notice)}, must be at least the {self.slot.e.n_slots} sessions")
        self.sessions = self.slot.e.n_slots
        # the broadcast first: that it can be made says that no other gateway of this name lives
        self.events = Publisher(f"{self.desk}.events", self.max_len, self.capacity, create=True, replace=True,
                                directory=self.directory)
        try:
            self.remember()
            for i, s in enumerate(self.configured):
                name = f"{self.desk}.{s['name']}"
                for kind in ("orders", "inbox"):
                    path = segment_path(f"{name}.{kind}", self.directory)
                    if os.path.lexists(path):
                        retire(path, force=True)    # one that hangs on to a former run's finds it removed
                orders = Reader(f"{name}.orders", request_size(s), s.get("orders", 1024), create=True,
                                directory=self.directory)
                inbox = Writer(f"{name}.inbox", self.max_len, s.get("inbox", 4096), create=True,
                               directory=self.directory)
                self.strategies[s["name"]] = (orders, inbox)
                self.all[i].orders = &orders.r
                self.all[i].inbox = &inbox.r
                self.all[i].orders_segment = <void *>orders.segment
                self.all[i].inbox_segment = <void *>inbox.segment
            text = json.dumps({
                "strategies": [s["name"] for s in self.configured], "request": sizeof(request),
                "sessions": [{"name": x.name, "SenderCompID": x.SenderCompID, "TargetCompID": x.TargetCompID,
                              "BeginString": x.BeginString, "role": x.role} for x in self.engine.sessions]}).encode()
            self.directory_of_sessions = Publisher(f"{self.desk}.sessions", len(text), 2, create=True, replace=True,
                                                   directory=self.directory)
            self.directory_of_sessions.publish(text)
        except BaseException:
            self.close()
            raise
        self.b = &self.events.b
        self.slot.e.poll = desk_poll
        self.slot.e.poll_ctx = <void *>self
        self.set_timer(0)

    def remember(self):
        """Takes over what was open when the gateway before ended; only where a session has a journal.

        Its strategies' incarnations ended with it: their orders are cancelled, or left, as configured, once their session
        is up. An order that was on its way counts if its number was used for it.
        """
        cdef uint32_t i
        cdef open_order *x
        rings = [(<GatewaySession>s).kept[0].ring_directory for s in self.engine.sessions
                 if isinstance((<GatewaySession>s).kept[0], Journal)]
        if not rings or self.kept is not None:
            return
        self.kept = OrderFile(os.path.join(rings[0], f"fixwire-{self.desk}.outside"),
                              [(s["name"], s.get("open", 4096)) for s in self.configured],
                              [f"{s.BeginString} {s.SenderCompID} {s.TargetCompID} {s.role}" for s in self.engine.sessions])
        order_table_free(&self.orders)
        self.make_room(self.kept.entries)
        self.pending = self.kept.pending
        x = order_of_serial(&self.orders, self.pending[0] - 1) if self.pending[0] else NULL
        if x != NULL and not self.recorded(x):
            order_withdraw(&self.orders, x)
        self.pending[0] = 0
        for i in range(self.count):
            self.forsaken(&self.all[i])

    cdef bint recorded(self, const open_order *x) noexcept:
        """The journal has the order under its number, or can have had it. False: the process before did not come so far."""
        cdef engine *e = self.slot.e
        cdef fix_session *s = e.slots[x.session].s
        cdef uint32_t n = 0
        cdef const uint8_t *p
        cdef const fix_field *f
        if s.next_out == x.MsgSeqNum:
            return False
        p = s.store.ops.get(s.store, x.MsgSeqNum, &n)
        if p == NULL or fix_parse(e.msg, p, n) != FIX_COMPLETE:
            return True                 # numbers were set back since, or the store has forgotten
        f = fix_find(e.msg, 11)
        return f != NULL and f.len == x.ClOrdID_n and memcmp(e.msg.p + f.off, x.ClOrdID, f.len) == 0

    def close(self):
        """Takes the channels away. Strategies that still run keep their mappings, and see that the gateway is gone."""
        if self.slot != NULL and self.slot.e.poll_ctx == <void *>self:
            self.slot.e.poll = NULL
        self.b = NULL
        ends = [end for pair in self.strategies.values() for end in pair]
        for end in (*ends, self.directory_of_sessions, self.events):
            if end is not None:
                end.remove()
                end.close()
        for i in range(self.count):
            self.all[i].orders = self.all[i].inbox = NULL
        self.strategies = {}
        self.events = self.directory_of_sessions = None
        if self.kept is not None:
            self.kept.close(keep=any([self.orders.pools[i].open for i in range(self.count)]))

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def stats(self):
        """By strategy: its counters, what is still in its channel, its open orders, verdicts by name."""
        from gateway.strategy import VERDICTS
        cdef outside *o
        found = {}
        for i, s in enumerate(self.configured):
            o = &self.all[i]
            row = dict(o.stats)
            row["on"] = bool(o.on)
            row["open"] = self.orders.pools[i].open
            row["waiting"] = 0 if o.orders == NULL else load_acquire(&o.orders.shared.head) - o.orders.tail
            row["verdicts"] = {VERDICTS[k]: o.verdicts[k] for k in range(len(VERDICTS)) if o.verdicts[k]}
            found[s["name"]] = row
        return found

    @property
    def published(self):
        """Notices on the broadcast so far."""
        return 0 if self.events is None else self.events.number

    # -- what the engine tells, passed on

    cdef bint hears(self) noexcept nogil:
        """There is a strategy inside as well, and it is to be told."""
        return self.inner is not None and self.inner.enabled

    cdef void fill(self, notice *h, int kind, slot *g, uint32_t n, uint64_t now_ns) noexcept nogil:
        memset(h, 0, sizeof(notice))
        h.kind = kind
        h.session = <uint16_t>g.id if g != NULL else 0
        h.number = self.number
        h.now_ns = now_ns
        h.utc_offset_ns = self.slot.e.utc_offset_ns
        h.n = n
        self.number += 1

    cdef void publish(self, notice *h, const uint8_t *p, uint32_t n) noexcept nogil:
        """To everybody. Never waits; the room was judged by the caller."""
        cdef uint8_t *room = <uint8_t *>broadcast_begin(self.b)
        copy_racing_in(room, h, sizeof(notice))
        copy_racing_in(room + sizeof(notice), p, n)
        broadcast_end(self.b, sizeof(notice) + n)

    cdef void tell(self, outside *o, notice *h, const uint8_t *p, uint32_t n) noexcept nogil:
        """Into one inbox; what finds it full is counted and told with the next that fits."""
        cdef uint8_t *room = ring_reserve(o.inbox, sizeof(notice) + n, 0)
        if room == NULL:
            if o.inbox.verdict == RING_CORRUPT:
                self.spoilt(o)
            o.stats.lost += 1
            o.pending_lost += 1
            return
        h.lost = o.pending_lost
        o.pending_lost = 0
        memcpy(room, h, sizeof(notice))
        if n:                                           # a notice without a text has no address
            memcpy(room + sizeof(notice), p, n)
        ring_commit(o.inbox, 1)

    cdef void passed_on(self, int kind, fix_session *s, fix_msg *m, int owner, uint64_t now_ns) noexcept nogil:
        """A notice with the message's octets (m NULL: none), to its owner's inbox first, then to everybody."""
        cdef notice h
        cdef uint32_t n = m.n if m != NULL else 0
        cdef const uint8_t *p = m.p if m != NULL else NULL
        if self.b == NULL:
            return
        if (<slot *>s.user).id >= self.sessions:
            self.unlisted += 1
            return
        if sizeof(notice) + n > self.max_len:
            self.oversize += 1
            if owner >= 0:
                self.all[owner].stats.lost += 1
                self.all[owner].pending_lost += 1
            return
        self.fill(&h, kind, <slot *>s.user, n, now_ns)
        if owner >= 0:
            h.owner = <uint16_t>(owner + 1)
            self.tell(&self.all[owner], &h, p, n)
            h.lost = 0
        self.publish(&h, p, n)

    cdef void on_start(self, uint64_t now_ns) noexcept nogil:
        if self.b != NULL:
            self.slot.e.poll = desk_poll
        self.set_timer(now_ns)

    cdef void on_logon(self, fix_session *s, uint64_t now_ns) noexcept nogil:
        cdef uint32_t i
        self.passed_on(NOTICE_LOGON, s, NULL, -1, now_ns)
        for i in range(self.count):
            if self.all[i].cancel_again:        # what could not be cancelled while it was down
                self.all[i].cancel_again = False
                self.all[i].cancelling = True
                self.all[i].cursor = 0
        if self.hears():
            self.inner.on_logon(s, now_ns)

    cdef void on_message(self, fix_session *s, fix_msg *m, uint64_t now_ns) noexcept nogil:
        cdef open_order *o = NULL
        if m.MsgType == EXECUTION_REPORT or m.MsgType == CANCEL_REJECT:
            o = order_report(&self.orders, m)
        self.passed_on(NOTICE_MESSAGE, s, m, o.owner if o != NULL else -1, now_ns)
        if self.hears():
            self.inner.count_message()
            self.inner.on_message(s, m, now_ns)

    cdef void on_reject(self, fix_session *s, fix_msg *m, uint64_t now_ns) noexcept nogil:
        cdef open_order *o = order_rejected(&self.orders, (<slot *>s.user).id, m)
        self.passed_on(NOTICE_REJECT, s, m, o.owner if o != NULL else -1, now_ns)
        if self.hears():
            self.inner.on_reject(s, m, now_ns)

    cdef void on_logout(self, fix_session *s, uint64_t now_ns) noexcept nogil:
        self.passed_on(NOTICE_LOGOUT, s, NULL, -1, now_ns)
        if self.hears():
            self.inner.on_logout(s, now_ns)

    cdef void on_stop(self, uint64_t now_ns) noexcept nogil:
        """The engine tells the strategy inside by itself: it is one of its strategies."""
        cdef notice h
        if self.b != NULL:
            self.slot.e.poll = NULL             # what is not taken by now stays in the channels
            self.fill(&h, NOTICE_STOP, NULL, 0, now_ns)
            self.publish(&h, NULL, 0)

    cdef void on_timer(self, uint64_t now_ns) noexcept nogil:
        cdef uint32_t i
        if self.b == NULL:
            return
        for i in range(self.count):
            self.look_after(&self.all[i], now_ns)
        self.set_timer(now_ns + LOOK_NS)

    # -- orders

    cdef int poll(self, uint64_t now_ns) noexcept nogil:
        """The engine's, once a step."""
        cdef int done = 0
        cdef uint32_t i
        for i in range(self.count):
            if self.all[i].cancelling:
                done += self.cancel_some(&self.all[i], now_ns)
            else:
                done += self.take(&self.all[i], now_ns)
        return done

    cdef int take(self, outside *o, uint64_t now_ns) noexcept nogil:
        """Requests of one strategy, at most DESK_BURST; -> how many."""
        cdef const uint8_t *p
        cdef request *r = <request *>self.copied
        cdef notice h
        cdef uint32_t n = 0
        cdef uint64_t token
        cdef int done = 0, verdict
        while done < DESK_BURST and not o.damaged and not o.cancelling:
            p = ring_peek(o.orders, &n, 0)
            if p == NULL:
                if o.orders.verdict == RING_CORRUPT:
                    self.spoilt(o)
                break
            if ring_free_slots(o.inbox) == 0:
                if o.inbox.verdict == RING_CORRUPT:
                    self.spoilt(o)
                else:
                    o.stats.waits += 1
                break
            r.kind = 0
            memcpy(self.copied, p, n)               # judged and used is this copy: the strategy may write over its own
            token = o.orders.tail
            if r.kind == REQUEST_HELLO and n == sizeof(request):
                o.stale_until = token
                if o.on:                            # its predecessor's death went unseen
                    self.ended(o, token)
                    if o.cancelling:
                        break                       # HELLO is answered once the dead one's orders are seen to
                self.welcome(o, now_ns)
            else:
                verdict = self.judge(o, r, n, token, now_ns)
                o.verdicts[verdict] += 1
                if verdict == SENT:
                    o.stats.sent += 1
                else:
                    o.stats.refused += 1
                self.fill(&h, NOTICE_VERDICT, NULL, 0, now_ns)
                h.session = <uint16_t>r.session if verdict != MALFORMED and verdict != NO_SESSION else 0
                h.owner = <uint16_t>(o.index + 1)
                h.token = token
                h.verdict = verdict
                self.tell(o, &h, NULL, 0)
            o.stats.taken += 1
            ring_release(o.orders, 1)
            done += 1
        return done

    cdef void welcome(self, outside *o, uint64_t now_ns) noexcept nogil:
        """The answer to HELLO: which sessions are logged on, an octet each, written straight into the inbox."""
        cdef notice h
        cdef engine *e = self.slot.e
        cdef uint32_t i, n = self.sessions
        cdef uint8_t *room = ring_reserve(o.inbox, sizeof(notice) + n, 0)
        o.stats.hellos += 1
        o.on = True
        engine_note(e, 0, EV_STRATEGY_JOINED, o.index)
        self.fill(&h, NOTICE_WELCOME, NULL, n, now_ns)
        h.owner = <uint16_t>(o.index + 1)
        h.lost = o.pending_lost
        o.pending_lost = 0
        memcpy(room, &h, sizeof(notice))
        for i in range(n):
            room[sizeof(notice) + i] = e.slots[i].s.state == FIX_ESTABLISHED
        ring_commit(o.inbox, 1)

    cdef int judge(self, outside *o, const request *r, uint32_t n, uint64_t token, uint64_t now_ns) noexcept nogil:
        """The verdict on one request; SENT: it has left."""
        cdef open_order *orig
        cdef const message_request *m = <const message_request *>r
        if r.kind == REQUEST_MESSAGE:
            if n < sizeof(message_request) or m.n != n - sizeof(message_request):
                return MALFORMED
        elif n != sizeof(request) or not request_sound(r):
            return MALFORMED
        if r.session >= self.sessions:
            return NO_SESSION
        if token < o.stale_until:
            return STALE
        if not o.on:
            return MALFORMED                        # its process has not said HELLO
        if o.max_orders_per_second and r.kind != REQUEST_CANCEL:
            if now_ns - o.second_ns >= 1_000_000_000:
                o.second_ns = now_ns
                o.orders_this_second = 0
            if o.orders_this_second >= o.max_orders_per_second:
                return RISK_RATE
        if r.kind == REQUEST_MESSAGE:
            return self.send_message(o, m, now_ns)
        if r.kind != REQUEST_NEW:
            orig = order_find(&self.orders, r.OrigClOrdID, r.OrigClOrdID_n)
            if orig != NULL and orig.owner != o.index:
                return NOT_YOURS
        if r.kind != REQUEST_CANCEL:
            if order_find(&self.orders, r.ClOrdID, r.ClOrdID_n) != NULL:
                return DUPLICATE
            if not order_room(&self.orders, o.index):
                return TOO_MANY_OPEN
        return self.send(o, r, now_ns)

    cdef int send(self, outside *o, const request *r, uint64_t now_ns) noexcept nogil:
        """As a strategy inside would, limits of the session included."""
        cdef fix_session *s = self.slot.e.slots[r.session].s
        cdef open_order *added
        cdef order x
        cdef int verdict
        order_init(&x)
        x.ClOrdID_text, x.ClOrdID_n = r.ClOrdID, r.ClOrdID_n
        x.Symbol, x.Symbol_n = r.Symbol, r.Symbol_n
        if r.Account_n:
            x.Account, x.Account_n = r.Account, r.Account_n
        if r.OrigClOrdID_n:
            x.OrigClOrdID_text, x.OrigClOrdID_n = r.OrigClOrdID, r.OrigClOrdID_n
        x.OrderQty, x.Price_e8 = r.OrderQty, r.Price_e8
        x.Side, x.OrdType, x.TimeInForce, x.HandlInst = r.Side, r.OrdType, r.TimeInForce, r.HandlInst
        if r.kind == REQUEST_CANCEL:
            return order_cancel(s, &x, now_ns)
        # known before it leaves, in doubt until it has left: a kill in between is judged by the journal's record
        self.pending[0] = self.orders.serial + 1
        added = order_add(&self.orders, o.index, r, s.next_out)
        verdict = order_new(s, &x, now_ns) if r.kind == REQUEST_NEW else order_replace(s, &x, now_ns)
        if verdict == SENT:
            o.orders_this_second += 1
        else:
            order_withdraw(&self.orders, added)
        self.pending[0] = 0
        return verdict

    cdef int send_message(self, outside *o, const message_request *m, uint64_t now_ns) noexcept nogil:
        """Of the types it may send; no order is among them, and the kill switch stops them all."""
        cdef slot *g = &self.slot.e.slots[m.session]
        cdef uint32_t i = 0
        cdef int verdict
        while i < o.n_types and o.types[i] != m.MsgType:
            i += 1
        if i == o.n_types:
            return NOT_ALLOWED
        if g.risk.killed:
            return RISK_KILLED
        verdict = message_send(g.s, m.MsgType, <const uint8_t *>(m + 1), m.n, now_ns)
        if verdict == SENT:
            o.orders_this_second += 1
        return MALFORMED if verdict == BAD_ORDER else verdict

    # -- ends

    cdef void ended(self, outside *o, uint64_t stale_until) noexcept nogil:
        """The incarnation is over, cleanly or not: what it left in its channel is stale, its open orders as configured."""
        o.on = False
        o.stats.deaths += 1
        engine_note(self.slot.e, 0, EV_STRATEGY_GONE, o.index)
        if stale_until - o.orders.tail <= o.orders.capacity:
            o.stale_until = stale_until
        self.forsaken(o)

    cdef void forsaken(self, outside *o) noexcept nogil:
        """Nobody looks after its open orders: they are cancelled from now on, a few a step, or left."""
        if o.cancel_on_death and self.orders.pools[o.index].open:
            o.cancel_before = self.orders.serial
            o.cancelling = True
            o.cursor = 0

    cdef void spoilt(self, outside *o) noexcept nogil:
        """A counter or a length in its channels cannot be: nothing more is taken until its process is gone."""
        if o.damaged:
            return
        o.damaged = True
        o.stats.damaged += 1
        if o.on:
            self.ended(o, o.orders.tail)

    cdef int cancel_some(self, outside *o, uint64_t now_ns) noexcept nogil:
        """A piece of the pass over a dead strategy's orders; -> cancels sent."""
        cdef order_table *t = &self.orders
        cdef open_order *x
        cdef order c
        cdef uint32_t looked = 0
        cdef int done = 0, verdict
        while o.cursor < t.pools[o.index].size:
            if looked == DESK_LOOKED_AT or done == DESK_CANCELS:
                return done
            x = &t.entries[t.pools[o.index].first + o.cursor]
            if x.state == ORDER_OPEN and x.serial < o.cancel_before and not x.cancel_sent:
                order_init(&c)
                c.OrigClOrdID_text, c.OrigClOrdID_n = x.ClOrdID, x.ClOrdID_n
                c.Symbol, c.Symbol_n = x.Symbol, x.Symbol_n
                c.Side, c.OrderQty = x.Side, x.OrderQty
                verdict = order_cancel(self.slot.e.slots[x.session].s, &c, now_ns)
                if verdict == SENT:
                    x.cancel_sent = True
                    o.stats.cancels += 1
                    done += 1
                elif verdict == NOT_LOGGED_ON:
                    o.cancel_again = True
                else:
                    return done                     # no room now: at the next step
            o.cursor += 1
            looked += 1
        o.cancelling = False
        return done

    cdef void look_after(self, outside *o, uint64_t now_ns) noexcept nogil:
        """Every LOOK_NS: is its process there, and may a damaged channel be used anew?"""
        cdef notice h
        cdef bint held = (<Segment>o.orders_segment).held(LOCK_PRODUCER)
        if o.on and not held:
            self.ended(o, load_acquire(&o.orders.shared.head))
        if ring_free_slots(o.inbox) == 0 and o.inbox.verdict == RING_CORRUPT:
            self.spoilt(o)
        if o.damaged and not held and not (<Segment>o.inbox_segment).held(LOCK_CONSUMER):
            # Nobody else is attached. The number of requests that were in it nobody knows: it begins where we stood.
            store_release(&o.orders.shared.head, o.orders.tail)
            store_release(&o.orders.shared.tail, o.orders.tail)
            o.orders.head = o.orders.tail
            store_release(&o.inbox.shared.tail, o.inbox.tail)
            store_release(&o.inbox.shared.head, o.inbox.head)
            o.orders.verdict = o.inbox.verdict = 0
            o.damaged = False
        if o.pending_lost and not o.damaged and ring_free_slots(o.inbox):
            self.fill(&h, NOTICE_LOST, NULL, 0, now_ns)
            h.owner = <uint16_t>(o.index + 1)
            self.tell(o, &h, NULL, 0)


cdef uint32_t request_size(dict s) except 0:
    """Octets of the longest request of this strategy."""
    return max(<uint32_t>sizeof(request), <uint32_t>sizeof(message_request) + <uint32_t>s.get("request", 512))


cdef int desk_poll(void *ctx, uint64_t now_ns) noexcept nogil:
    return (<Desk>ctx).poll(now_ns)
