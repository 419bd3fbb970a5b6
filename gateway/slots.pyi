"""Sessions of an engine are made here; Engine.add_session documents the arguments."""
from array import array
from typing import Any

from fix import Schedule
from gateway.session import GatewaySession

def window_table(schedule: Schedule, utc_ns: int) -> array[int]: ...
def check(role: str, port: int, host: str | None, BeginString: str, HeartBtInt: int, reconnect_s: float,
          reconnect_max_s: float, next_in: int, next_out: int) -> None: ...
def new_session(of_engine: int, sessions: list[GatewaySession], strategy: object, SenderCompID: str, TargetCompID: str,
                **keywords: Any) -> GatewaySession: ...
