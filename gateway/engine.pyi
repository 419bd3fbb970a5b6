"""The process: one thread, one device, one stack, its sessions and strategies."""
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

from typing_extensions import disjoint_base

from dpdk_py.base import Device
from fix import Schedule, Store, Validator
from gateway.errors import WrongThread as WrongThread
from gateway.session import GatewaySession
from gateway.strategy import Strategy
from gateway.trace import Trace
from stack.face import Stack

EVENTS: dict[int, str]

@disjoint_base
class Engine:
    """`Engine(device, "10.0.0.2/24")`: a stack on `device`, driven by whoever calls `step` or `run`.

    device          an open dpdk_py device; the engine drives it, the caller closes it after the engine
    gateway         next hop outside our network, or None
    seed            of ISNs, ephemeral ports, everything random; None: os.urandom
    idle            what `run` does when a step found nothing: "spin", "yield" the core, or "sleep" (50 us)
    burst           frames taken from the device in one step, 1..64
    sessions        the most sessions `add_session` can make
    connections     the most TCP connections the stack holds, sessions and the strategies' own together
    utc_offset_ns   UTC minus now_ns. None: read from the host and followed while running. Given: fixed (replay)
    trace           None, "stages" (a mark at every stage) or "wire" (two marks only); see `gateway.trace`
    samples         with trace: keep this many samples of each; 0: histograms only
    rcv_buf, snd_buf  octets of every connection; tcp: further options of `stack.Stack` by name, the flight
                      recorder's (flight, flight_octets, flight_dir) included; SIGUSR1 asks it for a file while run() runs
    message_log     octets of messages, both directions, kept for `messages()`; 0: none
    Raises ValueError for an address, idle or trace it does not know.
    """
    def __init__(self, device: Device, address: str, *, gateway: str | None = None, seed: int | None = None,
                 idle: str = "spin", burst: int = 32, sessions: int = 64, connections: int = 256,
                 utc_offset_ns: int | None = None, trace: str | None = None, samples: int = 0,
                 message_log: int = 0, rcv_buf: int = 131072, snd_buf: int = 131072,
                 tcp: dict[str, Any] | None = None) -> None: ...
    @property
    def device(self) -> Device: ...
    @property
    def stack(self) -> Stack: ...               # strategies open connections of their own here
    @property
    def trace(self) -> Trace | None: ...
    @property
    def sessions(self) -> list[GatewaySession]: ...
    @property
    def strategies(self) -> list[Strategy]: ...
    def clock(self) -> int: ...                 # ns: the running step's time, else the host's
    @property
    def now_ns(self) -> int: ...                # time of the last step
    @property
    def max_sessions(self) -> int: ...          # as given at construction
    @property
    def utc_offset_ns(self) -> int: ...
    @property
    def deadline_ns(self) -> int | None: ...    # when a step has something to do without a frame; None: never
    @property
    def idle(self) -> str: ...
    @property
    def running(self) -> bool: ...
    @property
    def stopping(self) -> bool: ...             # stop() was called or a signal came; Logouts are under way
    @property
    def stopped(self) -> bool: ...              # ... and every session is down
    def add_strategy(self, strategy: object, *, name: str | None = None, on_error: str = "continue") -> Strategy:
        """The strategy as the engine knows it. A `Strategy` (Cython subclass, CallbackStrategy) stays itself; any other
        object with an `on_message(session, msg)` is wrapped in a PythonStrategy.

        on_error: what an exception in a Python callback does after it was logged and counted: "continue" (the
        message counts as delivered), "disable" this strategy (its sessions stay up), or "stop" the gateway cleanly
        (run() then raises it). Optional methods: on_start(engine), on_logon(session), on_logout(session),
        on_reject(session, msg), on_timer(now_ns), on_stop(engine), and may_resend(session, msg): False for a message of
        ours that the peer asks for again and that is stale; a gap fill goes in its place. An exception there is False,
        and nothing of a disabled strategy is sent again. on_timer comes at the time that on_start or on_timer returned,
        an int on the clock of engine.now_ns.
        Raises TypeError for an object that has no on_message.
        """
    def add_session(self, SenderCompID: str, TargetCompID: str, *, strategy: Strategy | None, role: str,
                    port: int, host: str | None = None, name: str | None = None, BeginString: str = "FIX.4.4",
                    HeartBtInt: int = 30, ResetOnLogon: bool = False, reconnect_s: float = 1.0,
                    reconnect_max_s: float = 30.0, logon_timeout_s: float = 10.0, store: Store | None = None,
                    backup_hosts: Sequence[tuple[str, int]] = (),
                    validator: Validator | None = None, schedule: Schedule | None = None,
                    max_order_qty: int = 0, max_notional_e8: int = 0, max_orders_per_second: int = 0,
                    min_price_e8: int = 0, max_price_e8: int = 0, price_band: float = 0, price_band_last: bool = True,
                    price_symbols: int = 1024, bypass_allowed: bool = False, max_open_orders: int = 0,
                    store_octets: int = ..., store_messages: int = ..., next_in: int = 1, next_out: int = 1,
                    **more: Any) -> GatewaySession:
        """A FIX session. role "initiator" connects to host:port and again after a loss (backoff doubles from
        reconnect_s to reconnect_max_s); "acceptor" waits on `port`, where the Logon(A)'s CompIDs choose the session.
        backup_hosts, (address, port) each, are tried in turn where no Logon is answered, the wait grows with each round.

        next_in, next_out: the MsgSeqNum expected and the next of ours, where the session does not begin anew.
        Limits of 0 are no limits. price_band: percent that an order's price may lie off its symbol's reference, which is
        the last trade's (price_band_last) or what GatewaySession.reference_price said, for price_symbols symbols at most;
        an order without a reference is refused. bypass_allowed: orders may say that they are not to be judged.
        store None: in memory; a fix.Journal survives the process. validator: received messages are checked against its
        dictionary. schedule: hours outside which the session is not open.
        Further keywords go to the session's configuration (`fix.Session` names them). Raises ValueError for a
        duplicate or impossible session, RuntimeError when
        `sessions` are in use.
        """
    def add_template(self, SenderCompID: str, *, strategy: Strategy | None, pool: int, port: int,
                     **keywords: Any) -> list[GatewaySession]:
        """A template of acceptors on `port`: whoever logs on to SenderCompID and is no session's peer gets one of `pool`
        sessions, made now, and keeps it with its numbers as long as the engine lives. Then further peers are refused and
        counted (engine_refused_pool). Keywords as add_session's; stores are in memory.
        """
    def step(self, now_ns: int | None = None) -> bool:
        """One turn of the loop at `now_ns` (None: the clock). True: something was done.

        Binds the engine to the calling thread until close(). Raises what a strategy with on_error="stop" raised once all
        sessions are down.
        """
    def run(self, *, core: int | None = None, signals: bool = True, beside: Engine | None = None,
            seconds: float | None = None) -> None:
        """Step until stopped: by stop(), SIGINT or SIGTERM (in the main thread; a second one ends the process at
        once), or after `seconds`. Shuts down with Logout(5) and returns within 2 s; raises what a strategy with
        on_error="stop" raised.

        core: pin this thread there and keep the process's other threads off it, undone on return.
        beside: a second engine driven by the same thread in turn (both ends of a pair).
        """
    def stop(self) -> None:
        """From any thread: begin the shutdown. Returns at once."""
    def submit(self, fn: Callable[..., object], *args: object) -> None:
        """From any thread: have the engine's thread call fn(*args) between two steps.

        RuntimeError: 1,024 calls are waiting already.
        """
    def events(self) -> list[tuple[int, str, str, int]]:
        """What happened to sessions since the last call: (now_ns, session, event, reason), the last 256 of them."""
    def messages(self) -> list[tuple[int, str, str, bytes]]:
        """What went over the wire since the last call: (now_ns, session, "in" | "out", octets). Needs `message_log`.

        Octets of "in" are what the session used up at once: one or more whole messages, and garbage between them.
        """
    def stats(self) -> dict[str, int]:
        """Counters of the engine, and of device, stack and sessions added up."""
    def close(self) -> None:
        """Abort what is still open and give memory back; the device is left to its owner. Idempotent. RuntimeError while the
        engine runs and inside a callback of a step."""
    def __enter__(self) -> Engine: ...
    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None,
                 tb: TracebackType | None) -> None: ...
