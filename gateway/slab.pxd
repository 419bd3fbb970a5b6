# What one engine holds: its sessions in one array, the connections that have not said who they are, its deadlines.
# Structs only, so that strategy and engine share them without importing each other.
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from dpdk_py.device cimport device
from stack.netif cimport netif
from stack.tcb cimport tcb, tcp_listener
from stack.tcp cimport tcp_options
from fix.session cimport fix_session

from gateway.deadline cimport deadline_heap
from gateway.trace cimport trace_recorder

cdef enum engine_flag:              # engine.flags: set from anywhere, looked at once a step
    ENGINE_STOP = 1 << 0            # stop() or a signal: begin the shutdown
    ENGINE_CALLS = 1 << 1           # submit() has left something
    ENGINE_ERROR = 1 << 2           # a Python callback raised: to be logged, policy to be applied
    ENGINE_STOPPING = 1 << 3        # Logouts are under way
    ENGINE_STOPPED = 1 << 4         # every session is down

cdef enum:
    ENGINE_ANONYMOUS = 64           # accepted connections whose Logon(A) is still to come; more are refused
    ENGINE_LISTENERS = 16           # ports with acceptor sessions
    ENGINE_STRATEGIES = 32

cdef struct risk_limits:            # 0: no limit
    int64_t max_order_qty
    int64_t max_notional_e8
    uint32_t max_orders_per_second
    uint32_t orders_this_second
    uint64_t second_ns              # when the second that is counted began
    bint killed                     # refuse everything

cdef struct slot_stats:
    uint64_t messages               # handed to the strategy
    uint64_t undelivered            # came while the strategy was disabled
    uint64_t orders                 # sent: new, replace and cancel
    uint64_t refused                # not sent, for whatever reason
    uint64_t refused_risk           # ... because of a limit
    uint64_t connects               # connections begun (initiator) or taken over (acceptor)
    uint64_t disconnects
    uint64_t logons

# One FIX session of the engine. `s` is first: a fix_session pointer of the gateway is a slot pointer.
cdef struct slot:
    fix_session *s
    tcb *c                          # its connection, NULL while there is none
    engine *e
    void *strategy                  # gateway.strategy.Strategy, borrowed: the engine keeps it
    uint32_t id                     # index in engine.slots and id in engine.deadlines
    bint initiator
    bint enabled
    bint delivering                 # strategy takes messages
    uint64_t connect_ns             # initiator without a connection: when to try (again); all ones: never
    uint64_t backoff_ns             # the next wait
    uint64_t reconnect_ns, reconnect_max_ns
    uint32_t host
    uint16_t port
    uint64_t ClOrdID                # the last one given or made
    risk_limits risk
    slot_stats stats
    void *handle                    # gateway.engine.GatewaySession, borrowed

# An accepted connection before its Logon(A): which session it is for is not known yet.
cdef struct anonymous:
    engine *e
    tcb *c                          # NULL: free
    uint16_t port
    uint64_t give_up_ns

cdef struct listening:
    engine *e
    tcp_listener *l
    uint16_t port

cdef struct engine_stats:
    uint64_t steps
    uint64_t idle_steps
    uint64_t accepted
    uint64_t refused_full           # accepted connections refused: ENGINE_ANONYMOUS were waiting already
    uint64_t refused_logon          # the first message was no Logon(A) of a session of this port
    uint64_t refused_twice          # its session has a connection already
    uint64_t logon_timeouts
    uint64_t calls                  # submit()
    uint64_t errors                 # exceptions of Python callbacks

cdef struct engine:
    netif *nif
    device *dev
    uint64_t now_ns                 # of the running step
    int64_t utc_offset_ns
    uint32_t flags                  # engine_flag, atomic
    int burst
    uint32_t n_slots, max_slots
    slot *slots
    deadline_heap deadlines         # sessions, then anonymous connections, then strategies
    anonymous waiting[64]
    listening listeners[16]
    uint32_t n_listeners
    uint32_t n_strategies
    void *strategies[32]
    uint64_t stop_by_ns             # shutdown: abort what is left then
    uint64_t next_ClOrdID
    uint64_t logon_timeout_ns
    trace_recorder *trace
    tcp_options options
    engine_stats stats
