# What one engine holds: its sessions in one array, connections that have not said who they are, what is due when.
# Structs only, so that strategy, session and engine share them without importing each other.
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from dpdk_py.device cimport device
from fix.encode cimport fix_writer
from fix.message cimport fix_msg
from fix.session cimport fix_session
from ipc.ring cimport ring
from stack.netif cimport netif
from stack.tcb cimport tcb, tcp_listener, tcp_options
from stack.timer cimport timer, timers

from gateway.trace cimport trace_recorder

cdef enum engine_flag:              # engine.flags: set from anywhere, looked at once a step
    ENGINE_STOP = 1 << 0            # stop() or a signal: begin the shutdown
    ENGINE_STOPPING = 1 << 1        # Logouts are under way
    ENGINE_STOPPED = 1 << 2         # every session is down
    ENGINE_CALLS = 1 << 3           # submit() has left something
    ENGINE_ERROR = 1 << 4           # a Python callback raised: to be logged, policy to be applied
    NEEDS_PYTHON = (1 << 2) | (1 << 3) | (1 << 4)

cdef enum:
    ENGINE_ANONYMOUS = 64           # accepted connections whose Logon(A) is still to come; more are refused
    ENGINE_LISTENERS = 16           # ports with acceptor sessions
    ENGINE_STRATEGIES = 32
    ENGINE_EVENTS = 256             # kept until somebody reads them; then the oldest are lost, counted
    LOGON_MAX = 4096                # octets of a first message

cdef enum wake_kind:                # timer.kind: what timer.owner is
    WAKE_SLOT = 0
    WAKE_ANONYMOUS = 1
    WAKE_STRATEGY = 2

cdef struct price_reference:        # what prices a symbol may have now
    uint64_t hash                   # of the symbol; 0: free
    int64_t low_e8
    int64_t high_e8

cdef struct risk_limits:            # 0: no limit
    int64_t max_order_qty
    int64_t max_notional_e8
    uint32_t max_orders_per_second
    uint32_t orders_this_second
    uint64_t second_ns              # when the second that is counted began
    bint killed                     # refuse everything
    bint bypass_allowed             # order.Bypass counts
    bint band_last                  # the last trade's price is the reference
    int64_t min_price_e8
    int64_t max_price_e8
    uint64_t band_ppm               # how far from its reference a price may be, in millionths of it
    uint32_t n_prices
    uint32_t max_prices
    uint64_t prices_mask
    uint32_t max_open_orders
    void *orders                    # gateway.open_orders.order_table of one pool; NULL: open orders are not counted
    uint64_t *order_pending         # in memory that outlives the process; NULL: orders are forgotten with it
    price_reference *prices         # hash of symbols; NULL: no band

cdef struct slot_stats:
    uint64_t messages               # handed to the strategy
    uint64_t undelivered            # came while the strategy was disabled
    uint64_t orders                 # sent: new, replace, cancel
    uint64_t refused                # not sent, for whatever reason
    uint64_t refused_risk           # ... because of a limit
    uint64_t refused_killed         # ... which one
    uint64_t refused_qty
    uint64_t refused_notional
    uint64_t refused_rate
    uint64_t refused_price
    uint64_t refused_open
    uint64_t bypassed               # orders that passed the limits because they said so
    uint64_t not_resent             # messages of ours that the strategy did not want sent again
    uint64_t connects               # connections begun (initiator) or taken over (acceptor)
    uint64_t connect_failed         # ... that were refused, timed out or found no free connection

cdef struct slot                    # below
cdef struct engine

# An order (gateway.strategy.order) of MsgType on its way to the process that has the session -> order_verdict.
ctypedef int (*slot_carry_fn)(slot *g, void *order, uint64_t MsgType, uint64_t now_ns) noexcept nogil
# The same for any other application message: its MsgType and the text of its body.
ctypedef int (*slot_carry_message_fn)(slot *g, uint64_t MsgType, const uint8_t *body, uint32_t n) noexcept nogil
# Called once a step, after the frames -> how much was done.
ctypedef int (*engine_poll_fn)(void *ctx, uint64_t now_ns) noexcept nogil

cdef enum:
    SLOT_HOSTS = 8

cdef struct peer_address:
    uint32_t address
    uint16_t port

cdef struct slot:                   # one FIX session of the engine; fix_session.user points here
    fix_session *s
    tcb *c                          # its connection, NULL while there is none
    engine *e
    void *strategy                  # gateway.strategy.Strategy, borrowed: the engine keeps it
    uint64_t ClOrdID                # the last one given or made
    bint closing                    # the connection is to be let go at the end of this step
    bint on                         # logged on, as the strategy was told
    bint initiator
    bint enabled                    # an initiator connects, an acceptor may be logged on to
    bint pooled                     # of a template's pool
    bint vacant                     # ... and the peer is whoever logs on first
    bint answered                   # this connection has brought a Logon
    bint logged                     # its messages go to engine.file_log
    bint own_store                  # its store is freed with it; else a fix.Store of Python's
    uint8_t time_digits             # of TransactTime(60)
    uint16_t port                   # acceptor: ours
    uint32_t n_hosts                # initiator: where to connect, tried in turn
    uint32_t host_at
    peer_address hosts[8]
    uint32_t id                     # index in engine.slots
    uint64_t connect_ns             # initiator without a connection: when to try (again)
    uint64_t backoff_ns             # the wait after that
    uint64_t reconnect_ns
    uint64_t reconnect_max_ns
    timer wake
    risk_limits risk
    slot_stats stats
    slot_carry_fn carry             # not NULL: the session is another process's; what is sent goes there
    slot_carry_message_fn carry_message
    uint64_t token                  # ... and the last order's number on the way there
    void *handle                    # gateway.session.GatewaySession, borrowed: the engine keeps it

cdef struct anonymous:              # an accepted connection before its Logon(A)
    engine *e
    tcb *c                          # NULL: free
    uint16_t port
    timer wake

cdef struct listening:
    engine *e
    tcp_listener *l
    uint16_t port

cdef struct strategy_slot:
    engine *e
    void *strategy                  # gateway.strategy.Strategy, borrowed: the engine keeps it
    timer wake

cdef struct engine_event:           # what happened to a session, for whoever asks afterwards
    uint64_t now_ns
    uint32_t slot
    uint16_t event                  # fix_event, or engine_event_kind
    uint16_t reason                 # fix_reason, tcp_event

cdef enum engine_event_kind:        # beside fix_event, which ends below 64
    EV_CONNECTING = 64
    EV_CONNECTED = 65
    EV_CONNECT_FAILED = 66
    EV_STRATEGY_ERROR = 67
    EV_STRATEGY_DISABLED = 68
    EV_SHUTDOWN = 69
    EV_STRATEGY_JOINED = 70     # from outside; reason: its index
    EV_STRATEGY_GONE = 71

cdef struct message_log:            # octets of messages as they went over the wire; NULL memory: off
    uint8_t *at
    uint64_t size
    uint64_t used
    uint64_t lost                   # messages that found it full

cdef struct message_record:         # in front of each message's octets
    uint64_t now_ns
    uint32_t n
    uint16_t slot
    uint16_t sent                   # 1: by us

cdef struct engine_stats:
    uint64_t steps
    uint64_t idle_steps
    uint64_t accepted
    uint64_t refused_full           # accepted connections refused: ENGINE_ANONYMOUS were waiting already
    uint64_t refused_pool           # a template fits, but every session of its pool has a peer
    uint64_t refused_logon          # the first message was no Logon(A) of a session of this port
    uint64_t refused_twice          # its session has a connection already
    uint64_t logon_timeouts
    uint64_t calls                  # of submit()
    uint64_t errors                 # exceptions of Python callbacks
    uint64_t events_lost

cdef struct engine:
    netif *nif
    trace_recorder *trace
    uint64_t now_ns                 # of the running step
    int64_t utc_offset_ns
    uint64_t owner                  # ident of the thread that runs it; 0: none yet
    uint32_t flags                  # engine_flag; |= and &= by atomic operations only
    int burst
    timers due
    engine_poll_fn poll             # orders of strategies in other processes; NULL: there are none
    void *poll_ctx
    slot *slots
    uint32_t n_slots
    uint32_t max_slots
    fix_msg *msg                    # scratch of all sessions
    fix_writer *w
    uint64_t stop_ns                # when the shutdown began
    uint64_t next_ClOrdID
    uint64_t logon_timeout_ns
    bint follow_utc                 # utc_offset_ns is read again every second
    uint64_t utc_read_ns
    tcp_options options
    message_log log
    ring *file_log                  # to the thread that writes message logs (gateway/filelog); NULL: none
    uint64_t file_log_lost          # messages that found it full
    engine_event events[256]
    uint32_t events_head            # next to write
    uint32_t events_tail            # next to read
    uint32_t n_listeners
    uint32_t n_strategies
    listening listeners[16]
    anonymous waiting[64]
    strategy_slot strategies[32]
    engine_stats stats

cdef extern from *:
    """
    #define fw_flag_set(e, f) __atomic_fetch_or(&(e)->flags, (f), __ATOMIC_SEQ_CST)
    #define fw_flag_clear(e, f) __atomic_fetch_and(&(e)->flags, ~(uint32_t)(f), __ATOMIC_SEQ_CST)
    #define fw_flags(e) __atomic_load_n(&(e)->flags, __ATOMIC_RELAXED)
    """
    uint32_t flag_set "fw_flag_set"(engine *e, uint32_t f) noexcept nogil       # -> what they were
    uint32_t flag_clear "fw_flag_clear"(engine *e, uint32_t f) noexcept nogil
    uint32_t flags_of "fw_flags"(engine *e) noexcept nogil

cdef inline void engine_note(engine *e, uint32_t slot_id, int event, int reason) noexcept nogil:
    """Remember that this happened, for Engine.events()."""
    cdef engine_event *ev = &e.events[e.events_head & 255]
    ev.now_ns = e.now_ns
    ev.slot = slot_id
    ev.event = <uint16_t>event
    ev.reason = <uint16_t>reason
    e.events_head += 1
    if e.events_head - e.events_tail > ENGINE_EVENTS:
        e.events_tail += 1
        e.stats.events_lost += 1
