"""Sessions of an engine are made here; Engine.add_session documents the arguments."""
from array import array
from collections.abc import Sequence
from typing import Any

from fix import Schedule, Store, Validator
from gateway.session import GatewaySession

VERSIONS: dict[str, int]

def window_table(schedule: Schedule, utc_ns: int) -> array[int]: ...
def check(role: str, port: int, host: str | None, BeginString: str, HeartBtInt: int, reconnect_s: float,
          reconnect_max_s: float, next_in: int, next_out: int) -> None: ...
def new_session(of_engine: int, sessions: list[GatewaySession], strategy: object, SenderCompID: str, TargetCompID: str, *,
                role: str, port: int, host: str | None = None, name: str | None = None, BeginString: str = "FIX.4.4",
                HeartBtInt: int = 30, ResetOnLogon: bool = False, reconnect_s: float = 1.0, reconnect_max_s: float = 30.0,
                logon_timeout_s: float = 10.0, backup_hosts: Sequence[tuple[str, int]] = (), store: Store | None = None,
                validator: Validator | None = None, schedule: Schedule | None = None, max_order_qty: int = 0,
                max_notional_e8: int = 0, max_orders_per_second: int = 0, min_price_e8: int = 0, max_price_e8: int = 0,
                price_band: float = 0.0, price_band_last: bool = True, price_symbols: int = 1024,
                bypass_allowed: bool = False, max_open_orders: int = 0, store_octets: int = ..., store_messages: int = ...,
                next_in: int = 1, next_out: int = 1, vacant: bool = False, **more: Any) -> GatewaySession: ...
