"""The Python face of TCP: Stack, Connection, Listener.

A Stack owns one interface over one device and is driven by `step`: frames in, timers, frames out. It never blocks and
reads no clock of its own. Two ways to use connections, which may be mixed: callbacks (`on_data(conn, data)`,
`on_event(conn, name)`) called inside `step`; or `stack.ready()`, the connections something has happened to, and then
`conn.recv()`, `conn.events()`. An exception in a callback does not disturb the stack: the first one of a step is raised
by that `step` when it is done, and all are counted.
"""
from collections import deque

cimport cython
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport UINT64_MAX, uint8_t, uint16_t, uint32_t, uint64_t

from stack.errors import TcpError, WrongThread
from stack.verdicts import CONGESTION, EVENTS, RX_VERDICTS, TX_REASONS
from stack.wire.text import format_ipv4, parse_ipv4

from dpdk_py.base cimport Device

from .flight cimport FlightRecorder
from .keywords cimport take_options
from .netif cimport Netif, netif_burst, netif_deadline, netif_poll, netif_start
from .tcb cimport *
from .tcp cimport *
from .tcp_output cimport tcp_pipe
from .tcp_segment cimport tcp_header_make
from .tcp_table cimport tcp_state_name

cdef extern from "pythread.h" nogil:
    unsigned long PyThread_get_thread_ident()

FLIGHT = 1024           # frames kept where only a directory is named
assert len(RX_VERDICTS) == TCP_RX_VERDICTS and len(TX_REASONS) == TCP_TX_REASONS


# -- upcalls: the second of the two places of the product that take the GIL on the way of a segment

cdef uint32_t face_text(void *ctx, tcb *c, const uint8_t *p, uint32_t n, uint64_t now_ns) noexcept with gil:
    cdef Connection conn = <Connection>ctx
    cdef Stack stack = conn.stack
    if conn.data_callback is None:
        stack.is_ready[conn] = None
        c.rcv_need = n + 1                          # told again when there is more
        return 0
    c.rcv_need = 0
    conn.delivering = True
    try:
        conn.data_callback(conn, PyBytes_FromStringAndSize(<const char *>p, n))
    except BaseException:
        stack.fault()
    conn.delivering = False
    return n


cdef void face_event(void *ctx, tcb *c, int event, uint64_t now_ns) noexcept with gil:
    cdef Connection conn = <Connection>ctx
    cdef Stack stack = conn.stack
    try:
        conn.happened(event)
    except BaseException:
        stack.fault()


cdef bint face_accept(void *ctx, tcb *c, uint64_t now_ns) noexcept with gil:
    cdef Listener listener = <Listener>ctx
    cdef Stack stack = listener.stack
    try:
        return listener.arrived(c)
    except BaseException:
        stack.fault()
        return False


@cython.no_gc_clear         # `net` must outlive `table`: the collector would take it away first
cdef class Stack:
    """One interface with one IPv4 address and TCP on it, over `device`, which stays the caller's.

    `address` "10.0.0.2/24", `gateway` an address or None. `seed` fixes everything random (ISNs, ports); None takes
    os.urandom. `clock`: callable that gives monotonic nanoseconds, for calls without `now_ns`. `connections` at a time
    (TIME-WAIT included) with at most `rcv_buf` and `snd_buf` octets each: all memory is taken here. The last `flight`
    frames, `flight_octets` of each, are kept by the flight recorder (`recorder`, 0: none), which leaves a file in `flight_dir`
    at a fault. `announce`: tell the link about our address at the first step. `arp` goes to Netif.
    Every other keyword is a TCP option for connections that do not say otherwise: mss, ack ("immediate", "delay",
    "second"), congestion ("newreno", "none", "dctcp"), window_scale, sack, timestamps, ecn, ack_delay_ns, rto_min_ns,
    rto_max_ns, rto_initial_ns, max_ack_delay_ns, keep_idle_ns, keep_interval_ns, keep_count, initial_window,
    user_timeout_ns, syn_timeout_ns, time_wait_ns, fin_wait_2_ns, backlog, syn_cookies, ttl, tos, rto_variance_ns, tail_probe,
    slow_start_limit; and of RFC 5482
    uto_enabled, uto_changeable (unless given, not where user_timeout_ns is), adv_uto_ns, uto_l_limit_ns, uto_u_limit_ns.
    A stack belongs to the thread that first steps it: WrongThread elsewhere.
    """

    def __cinit__(self, Device device not None, address, gateway=None, *, seed=None, clock=None, connections=64,
                  rcv_buf=65535, snd_buf=65536, flight=0, flight_octets=160, flight_dir=None, announce=True, arp=None, **options):
        if seed is None:
            import os
            seed = int.from_bytes(os.urandom(8), "little")
        for name, value, least, most in (("connections", connections, 1, 1 << 20), ("rcv_buf", rcv_buf, 536, 1 << 28),
                                         ("snd_buf", snd_buf, 1024, 1 << 28)):
            if not least <= value <= most:
                raise ValueError(f"{name} is {value}, must be {least} to {most}")
        self.net = Netif(device, address, gateway, seed=seed, **(arp or {}))
        self.nif = self.net.nif
        tcp_options_default(&self.defaults)
        self.defaults.rcv_buf = rcv_buf
        self.defaults.snd_buf = snd_buf
        take_options(&self.defaults, options)
        self.table = tcp_attach(self.nif, connections, rcv_buf, snd_buf)
        if self.table == NULL:
            raise MemoryError(f"no memory for {connections} connections of {rcv_buf} + {snd_buf} octets")
        if flight or flight_dir is not None:
            self.recorder = FlightRecorder(self.net, flight or FLIGHT, flight_octets, flight_dir)
        self.clock = clock
        self.announce = announce
        self.connections_by_index = {}
        self.is_ready = {}
        self.listeners = []

    def __dealloc__(self):
        if self.table != NULL:
            tcp_detach(self.table)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def __repr__(self):
        return f"<Stack {self.net.address}, {self.table.in_use} of {self.table.connections} connections>"

    cdef int enter(self, object now_ns) except -1:
        """The caller is the right thread, and self.now_ns is now."""
        cdef uint64_t now
        if self.owner and self.owner != PyThread_get_thread_ident():
            raise WrongThread(f"this Stack is stepped by thread {self.owner}; use it there")
        if self.stepping and now_ns is None:
            return 0
        if now_ns is None:
            if self.clock is None:
                return 0                            # a call between two steps happens at the time of the last one
            now_ns = self.clock()
        now = now_ns
        if now < self.now_ns:
            raise ValueError(f"now_ns went back from {self.now_ns} to {now}")
        self.now_ns = now
        return 0

    cdef int fault(self) except -1:
        import sys
        self.callback_errors += 1
        if self.recorder is not None:
            self.recorder.fault()
        if self.failure is None:
            self.failure = sys.exc_info()[1]
        return 0

    def step(self, now_ns=None, int budget=32):
        """True if anything was done: at most `budget` frames in, then what time has made due.

        now_ns: monotonic, never less than before; without it the `clock` is read. Raises the first exception of a
        callback of this step, after everything else is done.
        """
        cdef int frames, work
        if self.stepping:
            raise RuntimeError("step() inside a callback of the same Stack")
        if now_ns is None and self.clock is None:
            raise TypeError("step() needs now_ns: this Stack was made without a clock")
        self.enter(now_ns)
        if not self.owner:
            self.owner = PyThread_get_thread_ident()
        if not self.started:
            self.started = True
            if self.announce:
                netif_start(self.nif, self.now_ns)
        self.stepping = True
        with nogil:
            frames = netif_burst(self.nif, budget, self.now_ns)
            work = netif_poll(self.nif, self.now_ns)
        self.stepping = False
        if self.failure is not None:
            failure, self.failure = self.failure, None
            raise failure
        return frames + work > 0

    def deadline(self):
        """When step() has something to do though no frame comes: nanoseconds (0: at once), None: never."""
        cdef uint64_t at = netif_deadline(self.nif)
        return None if at == UINT64_MAX else at

    def connect(self, str address not None, int port, *, int local_port=0, on_data=None, on_event=None, now_ns=None,
                **options):
        """A Connection in SYN-SENT; its events tell how it goes on. TcpError: no connection or port is free.

        Keywords besides those shown are TCP options (see Stack).
        """
        cdef tcp_options o = self.defaults
        cdef tcp_sink sink
        cdef tcb *c
        cdef Connection conn
        cdef uint32_t dst = parse_ipv4(address)
        cdef uint64_t before = self.table.counters.no_slot
        for name, value, least in (("port", port, 1), ("local_port", local_port, 0)):
            if not least <= value <= 65535:
                raise ValueError(f"{name} is {value}, must be {least} to 65535")
        take_options(&o, options)
        self.enter(now_ns)
        conn = Connection.__new__(Connection, self)
        conn.data_callback = on_data
        conn.on_event = on_event
        sink.ctx = <void *>conn
        sink.on_text = face_text
        sink.on_event = face_event
        c = tcp_connect(self.nif, dst, <uint16_t>port, <uint16_t>local_port, &o, &sink, self.now_ns)
        if c == NULL:
            if self.table.counters.no_slot != before:
                raise TcpError(11, f"all {self.table.connections} connections of this Stack are in use")
            raise TcpError(99, f"no connection to {address}:{port}: not a unicast address, or no local port is free")
        conn.bind(c)
        return conn

    def listen(self, int port, on_accept=None, **options):
        """A Listener on `port`. With on_accept(conn) each new Connection is handed over inside step(), and refused by RST
        if that returns False; without, they wait for accept(). Keywords are TCP options (see Stack)."""
        cdef Listener listener
        cdef tcp_options o = self.defaults
        if not 1 <= port <= 65535:
            raise ValueError(f"port is {port}, must be 1 to 65535")
        take_options(&o, options)
        self.enter(None)
        listener = Listener.__new__(Listener, self, port, on_accept)
        listener.backlog = o.backlog if o.backlog else 1
        listener.l = tcp_listen(self.nif, <uint16_t>port, &o, face_accept, <void *>listener)
        if listener.l == NULL:
            raise TcpError(98, f"port {port} is listened on already, or {TCP_LISTENERS} others are")
        self.listeners.append(listener)
        return listener

    def ready(self):
        """The Connections with events or text unread, in the order in which they became so; again until they are read."""
        cdef Connection conn
        out = [conn for conn in self.is_ready if conn.queue or (conn.waiting and conn.data_callback is None)]
        self.is_ready = dict.fromkeys(out)
        return out

    @property
    def connections(self):
        """The live Connections."""
        return list(self.connections_by_index.values())

    def close(self, now_ns=None):
        """Abort every connection (RST) and stop listening. The device stays open: it is the caller's."""
        self.enter(now_ns)
        for listener in list(self.listeners):
            listener.close()
        for conn in self.connections:
            conn.abort()
        if not self.stepping:
            netif_poll(self.nif, self.now_ns)

    def counters(self):
        """dict of counters since the start. segments_in = the sum of rx_*, segments_out = the sum of tx_*: one verdict
        for every segment received, one reason for every segment sent."""
        cdef tcp_counters *k = &self.table.counters
        cdef int i
        out = {"segments_in": k.segments_in}
        for i in range(TCP_RX_VERDICTS):
            out["rx_" + RX_VERDICTS[i]] = k.rx[i]
        out["segments_out"] = k.segments_out
        for i in range(TCP_TX_REASONS):
            out["tx_" + TX_REASONS[i]] = k.tx[i]
        out.update(
            refused_below=k.tx_refused, challenge_limited=k.challenge_limited, no_slot=k.no_slot, no_port=k.no_port,
            time_wait_reused=k.time_wait_reused, time_wait_recycled=k.time_wait_recycled, cookies_sent=k.cookies_sent,
            cookies_accepted=k.cookies_accepted, send_refused=k.send_refused, conflicting_octets=k.conflicting_octets,
            discarded_octets=k.discarded_octets, spurious_probes=k.spurious_probes, bad_uto=k.bad_uto, icmp_ignored=k.icmp_ignored,
            aborted=k.aborted, opened_active=k.opened_active, opened_passive=k.opened_passive,
            connections=self.table.in_use, callback_errors=self.callback_errors)
        return out

    def flight(self):
        """The segments the flight recorder keeps, see FlightRecorder.segments; [] without one."""
        return [] if self.recorder is None else self.recorder.segments()

    def dump_flight(self, path, utc_offset_ns=None):
        """Writes the flight recorder's frames to a pcapng file, see FlightRecorder.dump. RuntimeError without one."""
        if self.recorder is None:
            raise RuntimeError("this Stack was made without a flight recorder (flight=0)")
        self.recorder.dump(path, utc_offset_ns)


cdef class Connection:
    """One TCP connection; made by Stack.connect and Listener. Valid, if only to be looked at, after it has closed.

    on_data(conn, data): text in order, called inside step(); None: it waits for recv(). on_event(conn, name) with name
    connected, peer_closed (all text has been passed on), reset, refused, timeout, unreachable, writable (room again after
    a refused send), urgent, closed (the last); None: they wait for events(). `error` is the one that ended it, or None;
    `eof`: the peer has closed. `user` is yours.
    """

    def __cinit__(self, Stack stack not None):
        self.stack = stack
        self.queue = []
        self.rest = b""

    def __init__(self, stack):
        raise TypeError("Connections are made by Stack.connect and Listener")

    cdef int bind(self, tcb *c) except -1:
        self.c = c
        self.generation = c.generation
        self.stack.connections_by_index[c.index] = self
        return 0

    @property
    def on_data(self):
        return self.data_callback

    @on_data.setter
    def on_data(self, callback):
        self.data_callback = callback
        if self.c != NULL:
            tcp_want_text(self.c, 0)                # what waits already comes in the next step

    cdef int happened(self, int event) except -1:
        cdef str name = EVENTS[event]
        if event == TCP_EV_PEER_CLOSED:
            self.eof = True
        elif event in (TCP_EV_RESET, TCP_EV_REFUSED, TCP_EV_TIMEOUT) or (
                event == TCP_EV_UNREACHABLE and self.c != NULL and self.c.ended):
            self.error = name
        elif event == TCP_EV_CLOSED and self.c != NULL:
            self.last = self.info()
            if self.c.rcv.held and self.error is None and not self.c.closed_by_user:
                self.rest = self.recv(self.c.rcv.held)
            self.stack.connections_by_index.pop(self.c.index, None)
            self.c = NULL
        if self.on_event is not None:
            self.on_event(self, name)
        else:
            self.queue.append(name)
            self.stack.is_ready[self] = None
        return 0

    cdef int refuse(self) except -1:
        """on_accept said no: TCP resets it, we only forget."""
        if self.c != NULL:
            self.last = self.info()
            self.stack.connections_by_index.pop(self.c.index, None)
            self.c.sink.on_event = NULL
            self.c.sink.on_text = NULL
            self.c = NULL
        return 0

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def __repr__(self):
        info = self.info()
        return f"<Connection {info['local']} -> {info['remote']} {info['state']}>"

    cdef int live(self, object now_ns) except -1:
        self.stack.enter(now_ns)
        if self.c == NULL:
            raise TcpError(107, f"the connection is closed{' (' + self.error + ')' if self.error else ''}")
        return 0

    def send(self, const uint8_t[::1] data not None, now_ns=None):
        """Octets queued, from the front: all, or less if the send buffer is full ("writable" follows). What the windows
        allow has been given to the device on return. TcpError: closed, or closing on our side."""
        cdef Py_ssize_t n = data.shape[0]
        self.live(now_ns)
        if self.c.fin_queued:
            raise TcpError(32, f"nothing can be sent after close() (state {self.state})")
        if n == 0:
            return 0
        return tcp_send(self.c, &data[0], <uint32_t>(n if n < 1 << 30 else 1 << 30), self.stack.now_ns)

    def send_all(self, const uint8_t[::1] data not None, now_ns=None):
        """True if all of it was queued; False, and none was, if it does not fit ("writable" follows)."""
        cdef Py_ssize_t n = data.shape[0]
        self.live(now_ns)
        if self.c.fin_queued:
            raise TcpError(32, f"nothing can be sent after close() (state {self.state})")
        if n > self.c.snd_buf:
            raise ValueError(f"{n} octets never fit into a send buffer of {self.c.snd_buf}")
        return n == 0 or tcp_send_commit(self.c, &data[0], <uint32_t>n, self.stack.now_ns)

    @property
    def room(self):
        """Octets send_all would take now."""
        return tcp_send_room(self.c) if self.c != NULL else 0

    def recv(self, Py_ssize_t n=65536, now_ns=None):
        """Up to n octets of text in order; b"" if none waits (then `eof` tells whether more can come), and in on_data,
        which has been given what waited."""
        cdef bytes out
        if n < 0:
            raise ValueError(f"recv({n})")
        if self.c == NULL:
            out, self.rest = self.rest[:n], self.rest[n:]
            return out
        self.stack.enter(now_ns)
        if self.delivering:
            return b""
        if n > tcp_recv_waiting(self.c):
            n = tcp_recv_waiting(self.c)
        out = PyBytes_FromStringAndSize(NULL, n)
        if n:
            tcp_recv(self.c, <uint8_t *><char *>out, <uint32_t>n, self.stack.now_ns)
        self.c.rcv_need = self.c.rcv.held + 1
        return out

    @property
    def waiting(self):
        """Octets recv() would give."""
        if self.delivering:
            return 0
        return tcp_recv_waiting(self.c) if self.c != NULL else len(self.rest)

    def events(self):
        """Names of the events since the last call, oldest first."""
        out, self.queue = self.queue, []
        return out

    def shutdown(self, now_ns=None):
        """FIN after what is queued; the peer may go on sending (half-close)."""
        self.stack.enter(now_ns)
        if self.c != NULL:
            tcp_shutdown(self.c, self.stack.now_ns)

    def close(self, now_ns=None):
        """FIN after what is queued, and no more text is wanted: what comes is answered by RST. No error if closed."""
        self.stack.enter(now_ns)
        if self.c != NULL:
            tcp_close(self.c, self.stack.now_ns)

    def abort(self, now_ns=None):
        """RST now; what is queued is forgotten."""
        self.stack.enter(now_ns)
        if self.c != NULL:
            tcp_abort(self.c, self.stack.now_ns)

    def urgent(self):
        """What is queued is urgent (RFC 6093 advises against it)."""
        self.live(None)
        tcp_urgent(self.c, self.stack.now_ns)

    @property
    def state(self):
        """The RFC's name: "ESTABLISHED", "FIN-WAIT-1", ... "CLOSED"."""
        return tcp_state_name(self.c.state).decode() if self.c != NULL else "CLOSED"

    def info(self):
        """What TCP knows of this connection, like tcp_info; octets and nanoseconds. After it closed: as it was then."""
        cdef tcb *c = self.c
        if c == NULL:
            return self.last
        return {
            "state": tcp_state_name(c.state).decode(), "local": (format_ipv4(c.local_addr), c.ports & 0xFFFF),
            "remote": (format_ipv4(c.remote_addr), c.ports >> 16), "mss": c.snd_mss, "advmss": own_mss(c), "srtt_ns": c.srtt_ns,
            "rttvar_ns": c.rttvar_ns, "min_rtt_ns": c.min_rtt_ns, "rto_ns": c.rto_ns, "backoff": c.backoff,
            "cwnd": c.cwnd, "ssthresh": c.ssthresh, "recovery": ("none", "fast", "loss")[c.recovery],
            "unacked": c.snd_nxt - c.snd_una, "pipe": tcp_pipe(c), "unsent": max(c.snd_end - c.snd_nxt, 0)
            if not c.fin_sent else 0, "sacked": c.sacked_octets, "lost": c.lost_octets, "dup_acks": c.dup_acks,
            "retransmitted": c.retransmitted, "retransmitted_octets": c.retransmitted_octets, "timeouts": c.timeouts,
            "tail_probes": c.probes, "reordering": bool(c.rack_reordering), "dsacks_in": c.dsacks_in,
            "snd_wnd": c.snd_wnd, "rcv_wnd": c.rcv_adv - c.rcv_nxt, "snd_buf": c.snd_buf, "rcv_buf": c.rcv_buf,
            "unread": c.rcv.held, "out_of_order": c.out_of_order_in, "duplicates": c.duplicates_in,
            "segments_in": c.segs_in, "segments_out": c.segs_out, "octets_in": c.octets_in,
            "octets_acked": c.octets_out, "opened_ns": c.opened_ns, "last_rx_ns": c.last_rx_ns,
            "last_tx_ns": c.last_tx_ns, "window_scale": (c.snd_wscale, c.rcv_wscale) if c.wscale_ok else None,
            "sack": bool(c.sack_ok), "timestamps": bool(c.ts_ok), "ecn": bool(c.ecn_ok),
            "congestion": CONGESTION[c.opt.congestion], "dctcp_alpha": c.dctcp_alpha / 1024.0,
            "user_timeout_ns": c.opt.user_timeout_ns, "remote_uto_ns": c.remote_uto_ns,
            "max_ack_delay_ns": c.max_ack_delay_ns, "urgent_octets": urgent_octets(c), "predicted": bool(c.predict),
            "iss": c.iss, "irs": c.irs, "snd_una": c.snd_una, "snd_nxt": c.snd_nxt, "rcv_nxt": c.rcv_nxt,
        }

    def mark(self, *, ttl=None, tos=None):
        """The TTL and the TOS octet (DSCP << 2) of every segment from now on. ValueError: outside 1 to 255, 0 to 252."""
        self.live(None)
        take_options(&self.c.opt, {k: v for k, v in (("ttl", ttl), ("tos", tos)) if v is not None})
        tcp_header_make(self.c)

    @property
    def remote(self):
        """(address, port) of the peer."""
        return self.info()["remote"]

    @property
    def local(self):
        """(address, port) of ours."""
        return self.info()["local"]


cdef uint32_t own_mss(const tcb *c) noexcept:
    """What our SYN announced (RFC 6691)."""
    cdef uint32_t most = c.table.nif.dev.mtu - 40
    return c.opt.mss if 0 < c.opt.mss < most else most


cdef uint32_t urgent_octets(const tcb *c) noexcept:
    """Unread octets up to the peer's urgent pointer (MUST-33)."""
    cdef uint32_t n = c.rcv_up - c.rcv_nxt + c.rcv.held
    return n if c.urgent_in and n < 1 << 31 else 0


cdef class Listener:
    """A port that is listened on; made by Stack.listen."""

    def __cinit__(self, Stack stack not None, port, on_accept):
        self.stack = stack
        self.port = port
        self.on_accept = on_accept
        self.waiting = deque()

    def __init__(self, *args):
        raise TypeError("Listeners are made by Stack.listen")

    cdef bint arrived(self, tcb *c) except -1:
        cdef Connection conn
        if self.on_accept is None and len(self.waiting) >= self.backlog:
            return False
        conn = Connection.__new__(Connection, self.stack)
        c.sink.ctx = <void *>conn
        c.sink.on_text = face_text
        c.sink.on_event = face_event
        conn.bind(c)
        if self.on_accept is None:
            self.waiting.append(conn)
            return True
        ok = False
        try:
            ok = self.on_accept(conn) is not False
        finally:
            if not ok:
                conn.refuse()
        return ok

    def accept(self):
        """The next established Connection, None if none waits."""
        self.stack.enter(None)
        return self.waiting.popleft() if self.waiting else None

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self, now_ns=None):
        """Stop listening: half-open connections are reset, those never accepted aborted, accepted ones stay."""
        self.stack.enter(now_ns)
        if self.l == NULL:
            return
        tcp_unlisten(self.stack.nif, self.l, self.stack.now_ns)
        self.l = NULL
        self.stack.listeners.remove(self)
        while self.waiting:
            self.waiting.popleft().abort()

    @property
    def counters(self):
        """dict: accepted, refused, half_open."""
        if self.l == NULL:
            return {"accepted": 0, "refused": 0, "half_open": 0}
        return {"accepted": self.l.accepted, "refused": self.l.refused, "half_open": self.l.half_open}
