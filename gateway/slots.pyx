"""Sessions of an engine are made here: every value judged, the slot filled, its memory allocated. See Engine.add_session.

Nothing is on the way of a message. A session of a template's pool is vacant: it waits for a peer that names itself in its
Logon (gateway/connection).
"""
import array
import ipaddress
import itertools
import os

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memset

from fix.journal cimport Journal
from fix.parse cimport FIX_COMPLETE, fix_parse
from fix.session cimport (
    FIX_ACCEPTOR, FIX_INITIATOR, fix_session_config, fix_session_config_init, session_free, session_new, session_renumber,
    session_schedule)
from fix.store cimport Store, fix_store, memory_store_new, store_free
from fix.validate cimport Validator, fix_check
from stack.timer cimport timer_init, timer_set

from gateway.connection cimport engine_listen, slot_wire
from gateway.open_orders cimport ORDER_OPEN, open_order
from gateway.order_file cimport ORDERS_HEAD, orders_head
from gateway.risk cimport risk_orders, risk_prices, risk_recover
from gateway.session cimport GatewaySession, configure, copy_id
from gateway.slab cimport SLOT_HOSTS, WAKE_SLOT, engine, slot
from gateway.trace cimport TRACE_ALL

from gateway.order_file import map_file, replace_file
from gateway.session import VERSIONS

cdef enum:
    WINDOWS = 1000                  # of a schedule, worked out when the session is added: daily ones last for 2.7 years

cdef uint64_t ORDERS_MAGIC = 0x3153524458494620         # " FIXDRS1"


def window_table(schedule, int64_t utc_ns):
    """The next WINDOWS windows of a fix.Schedule as one array: from, to, from, to ..."""
    table = array.array("q")
    for begin, end in itertools.islice(schedule.windows(utc_ns), WINDOWS):
        table.extend((begin, end))
    return table


def check(str role, int port, host, str BeginString, int HeartBtInt, double reconnect_s, double reconnect_max_s,
          uint64_t next_in, uint64_t next_out):
    """ValueError for what no session can be."""
    if role not in ("initiator", "acceptor"):
        raise ValueError(f"role is {role!r}, must be 'initiator' or 'acceptor'")
    if not 0 < port < 65536:
        raise ValueError(f"port is {port}, must be 1 to 65535")
    if BeginString not in VERSIONS:
        raise ValueError(f"BeginString is {BeginString!r}, must be one of {', '.join(VERSIONS)}")
    if HeartBtInt < 0:
        raise ValueError(f"HeartBtInt is {HeartBtInt}, must be 0 or more")
    if not 0 < reconnect_s <= reconnect_max_s:
        raise ValueError(f"reconnect_s is {reconnect_s}, must be above 0 and at most reconnect_max_s {reconnect_max_s}")
    if role == "initiator" and host is None:
        raise ValueError("an initiator needs the host to connect to")
    if next_in < 1 or next_out < 1:
        raise ValueError(f"next_in and next_out are {next_in} and {next_out}, must be 1 or more")


cdef int fill_hosts(slot *g, host, int port, backup_hosts) except -1:
    """Where an initiator connects to, in the order in which they are tried."""
    cdef int at
    hosts = [] if host is None else [(host, port), *backup_hosts]
    if len(hosts) > SLOT_HOSTS:
        raise ValueError(f"{len(hosts)} hosts, at most {SLOT_HOSTS}")
    for address, at in hosts:
        if not 0 < at < 65536:
            raise ValueError(f"port of {address} is {at}, must be 1 to 65535")
        g.hosts[g.n_hosts].address = int(ipaddress.IPv4Address(address))
        g.hosts[g.n_hosts].port = <uint16_t>at
        g.n_hosts += 1
    return 0


cdef int fill_risk(slot *g, int64_t max_order_qty, int64_t max_notional_e8, uint32_t max_orders_per_second,
                   int64_t min_price_e8, int64_t max_price_e8, double price_band, bint price_band_last,
                   uint32_t price_symbols, bint bypass_allowed, uint32_t max_open_orders,
                   uint8_t[::1] kept) except -1:
    cdef open_order *entries = NULL
    if not 0 <= price_band <= 1000:
        raise ValueError(f"price_band is {price_band:g} percent, must be 0 to 1000")
    if max_order_qty < 0 or max_notional_e8 < 0:
        raise ValueError(f"max_order_qty {max_order_qty} and max_notional_e8 {max_notional_e8} must be 0 or more")
    if min_price_e8 < 0 or (max_price_e8 and max_price_e8 < min_price_e8):
        raise ValueError(f"min_price_e8 {min_price_e8} and max_price_e8 {max_price_e8} leave no price")
    g.risk.max_order_qty = max_order_qty
    g.risk.max_notional_e8 = max_notional_e8
    g.risk.max_orders_per_second = max_orders_per_second
    g.risk.min_price_e8 = min_price_e8
    g.risk.max_price_e8 = max_price_e8
    g.risk.band_ppm = <uint64_t>(price_band * 10_000 + 0.5)
    g.risk.band_last = price_band_last
    g.risk.bypass_allowed = bypass_allowed
    if g.risk.band_ppm and not risk_prices(&g.risk, price_symbols):
        raise MemoryError(f"no memory for the prices of {price_symbols} symbols")
    if kept is not None:
        entries = <open_order *>&kept[ORDERS_HEAD]
        g.risk.order_pending = &(<orders_head *>&kept[0]).pending
    if max_open_orders and not risk_orders(&g.risk, max_open_orders, entries):
        raise MemoryError(f"no memory for {max_open_orders} open orders")
    return 0


cdef bytes still_open(bytes kept, uint32_t places, path):
    """The file's open orders with room for `places`; ValueError where they are more."""
    cdef const uint8_t *p = kept
    cdef size_t i, n = (len(kept) - ORDERS_HEAD) // sizeof(open_order) if len(kept) > ORDERS_HEAD else 0
    found = [kept[ORDERS_HEAD + i * sizeof(open_order):ORDERS_HEAD + (i + 1) * sizeof(open_order)]
             for i in range(n)
             if (<const open_order *>(p + ORDERS_HEAD + i * sizeof(open_order))).state == ORDER_OPEN]
    if len(found) > places:
        raise ValueError(f"{len(found)} orders were open when the gateway ended, max_open_orders has room for {places}, "
                         f"replacements included; raise it, or remove {path}")
    return b"".join(found).ljust(places * sizeof(open_order), b"\0")


cdef object kept_orders(Store store, uint32_t most):
    """The memory of open orders beside the ring of a journal, None where nothing survives the process.

    A file of the journal's name on tmpfs: 64 octets of head, then two places for each of the `most` orders. The journal is
    locked, so nobody else has it. ValueError if it is not of this version, or more orders are open than it may hold.
    """
    cdef orders_head head
    cdef const orders_head *found
    cdef bytes old
    if most == 0 or not isinstance(store, Journal):
        return None
    path = os.path.join(store.ring_directory, f"fixwire-{store.name}.orders")
    head.magic, head.entry, head.places, head.pending, head.text = ORDERS_MAGIC, sizeof(open_order), 2 * most, 0, 0
    try:
        with open(path, "rb") as f:
            old = f.read()
    except FileNotFoundError:
        old = b""
    if len(old) >= ORDERS_HEAD:
        found = <const orders_head *><const uint8_t *>old
        if found.magic != ORDERS_MAGIC or found.entry != sizeof(open_order) or (
                len(old) != ORDERS_HEAD + found.places * sizeof(open_order)):
            raise ValueError(f"{path} is no table of open orders of this version; remove it if none is open")
        head.pending = found.pending
    if len(old) < ORDERS_HEAD or found.places != head.places:
        replace_file(path, (<const uint8_t *>&head)[:sizeof(orders_head)].ljust(ORDERS_HEAD, b"\0")
                     + still_open(old, head.places, path))
    return map_file(path, ORDERS_HEAD + head.places * sizeof(open_order))


cdef void recover_order(slot *g, engine *e) noexcept nogil:
    """The process before may have ended between an order's record and the note that it is open."""
    cdef uint64_t seq
    cdef uint32_t n = 0
    cdef const uint8_t *p
    if g.risk.order_pending == NULL:
        return
    seq = g.risk.order_pending[0]
    if seq != 0 and seq + 1 == g.s.store.numbers.next_out:
        p = g.s.store.ops.get(g.s.store, seq, &n)
        if p != NULL and fix_parse(e.msg, p, n) == FIX_COMPLETE:
            risk_recover(g, e.msg, seq)
    g.risk.order_pending[0] = 0


def new_session(size_t of_engine, list sessions, strategy, SenderCompID, TargetCompID, *, str role, int port, host=None,
                str name=None, str BeginString="FIX.4.4", int HeartBtInt=30, bint ResetOnLogon=False,
                double reconnect_s=1.0, double reconnect_max_s=30.0, double logon_timeout_s=10.0, backup_hosts=(),
                Store store=None, Validator validator=None, schedule=None, int64_t max_order_qty=0,
                int64_t max_notional_e8=0, uint32_t max_orders_per_second=0, int64_t min_price_e8=0,
                int64_t max_price_e8=0, double price_band=0, bint price_band_last=True, uint32_t price_symbols=1024,
                bint bypass_allowed=False, uint32_t max_open_orders=0,
                uint32_t store_octets=1 << 22, uint32_t store_messages=1 << 14,
                uint64_t next_in=1, uint64_t next_out=1, bint vacant=False, **more):
    """A session of the engine at `of_engine`, appended to its `sessions`; Engine.add_session documents the arguments."""
    cdef engine *e = <engine *>of_engine
    cdef fix_session_config config
    cdef slot *g
    cdef fix_store *st
    cdef const int64_t[::1] windows = None
    cdef uint8_t[::1] orders = None
    cdef GatewaySession session
    if e.n_slots == e.max_slots:
        raise RuntimeError(f"all {e.max_slots} sessions of this engine are in use")
    check(role, port, host, BeginString, HeartBtInt, reconnect_s, reconnect_max_s, next_in, next_out)
    fix_session_config_init(&config)
    config.role = FIX_INITIATOR if role == "initiator" else FIX_ACCEPTOR
    config.version = VERSIONS[BeginString]
    copy_id(config.SenderCompID, SenderCompID, "SenderCompID")
    copy_id(config.TargetCompID, TargetCompID, "TargetCompID")
    config.HeartBtInt = HeartBtInt
    config.reset_on_logon = ResetOnLogon
    config.logon_timeout_ns = <uint64_t>(logon_timeout_s * 1e9)
    configure(&config, more)
    for other in sessions:
        if not vacant and (other.SenderCompID, other.TargetCompID, other.BeginString, other.role) == (
                SenderCompID, TargetCompID, BeginString, role):
            raise ValueError(f"session {other.name} has these CompIDs already")
    if store is not None and any((<GatewaySession>other).kept[0] is store for other in sessions):
        raise ValueError("a store belongs to one session")
    g = &e.slots[e.n_slots]
    memset(g, 0, sizeof(slot))
    fill_hosts(g, host, port, backup_hosts)
    kept = kept_orders(store, max_open_orders) if store is not None else None
    if kept is not None:
        orders = kept
    fill_risk(g, max_order_qty, max_notional_e8, max_orders_per_second, min_price_e8, max_price_e8, price_band,
              price_band_last, price_symbols, bypass_allowed, max_open_orders, orders)
    g.own_store = store is None
    st = memory_store_new(store_octets, store_messages) if store is None else store.st
    g.s = session_new(&config, st, e.msg, e.w) if st != NULL else NULL
    if g.s == NULL:
        if g.own_store:
            store_free(st)
        raise MemoryError("no memory for a session")
    if validator is not None:
        g.s.check = fix_check
        g.s.check_tables = validator.rules
        g.s.data_table = validator.data_table
    g.e = e
    g.id = e.n_slots
    g.strategy = <void *>strategy if strategy is not None else NULL
    g.initiator = role == "initiator"
    g.enabled = True
    g.pooled = g.vacant = vacant
    g.port = <uint16_t>port
    g.reconnect_ns = g.backoff_ns = <uint64_t>(reconnect_s * 1e9)
    g.reconnect_max_ns = <uint64_t>(reconnect_max_s * 1e9)
    g.time_digits = 3 if config.version >= 42 else 0
    g.s.user = g
    recover_order(g, e)
    g.s.utc_offset_ns = &e.utc_offset_ns
    if e.trace != NULL and e.trace.mode == TRACE_ALL:
        g.s.trace = e.trace.mark
    timer_init(&g.wake, g, WAKE_SLOT)
    slot_wire(g)
    kept_windows = None
    if schedule is not None:
        kept_windows = window_table(schedule, <int64_t>e.now_ns + e.utc_offset_ns)
        windows = kept_windows
        session_schedule(g.s, &windows[0], <uint32_t>(len(kept_windows) // 2), e.now_ns)
    if next_in != 1 or next_out != 1:
        # numbers given now are those of this window, or of the next one where none is open: not to begin at 1 again
        g.s.numbers.created_utc_ns = <int64_t>e.now_ns + e.utc_offset_ns
        if g.s.n_windows != 0 and g.s.numbers.created_utc_ns < g.s.window_from:
            g.s.numbers.created_utc_ns = g.s.window_from
        session_renumber(g.s, next_in, next_out)
    if not g.initiator and not engine_listen(e, g.port):
        session_free(g.s)
        if g.own_store:
            store_free(st)
        raise ValueError(f"port {port} is taken, or too many ports are listened on")
    e.n_slots += 1
    if g.initiator:
        timer_set(&e.due, &g.wake, 0)
    session = GatewaySession.__new__(GatewaySession)
    session.g = g
    session.kept = (store, validator, kept_windows, kept)
    session.given_name = name
    g.handle = <void *>session
    sessions.append(session)
    return session
