from gateway.callback import CallbackStrategy
from gateway.desk import Desk
from gateway.engine import Engine
from gateway.errors import GatewayGone, WrongThread
from gateway.python import MessageView, PythonStrategy
from gateway.seat import Seat
from gateway.session import GatewaySession, OrderTemplate
from gateway.strategy import (
    BAD_ORDER,
    NOT_LOGGED_ON,
    REFUSED,
    RISK_KILLED,
    RISK_NOTIONAL,
    RISK_OPEN,
    RISK_PRICE,
    RISK_QTY,
    RISK_RATE,
    SENT,
    TOO_LONG,
    VERDICTS,
    WOULD_BLOCK,
    Strategy,
)
from gateway.trace import Trace

__all__ = [
    "BAD_ORDER", "CallbackStrategy", "Desk", "Engine", "GatewayGone", "GatewaySession", "MessageView", "NOT_LOGGED_ON",
    "OrderTemplate", "PythonStrategy", "REFUSED", "RISK_KILLED", "RISK_NOTIONAL", "RISK_OPEN", "RISK_PRICE", "RISK_QTY",
    "RISK_RATE", "SENT", "Seat", "Strategy", "TOO_LONG", "Trace", "VERDICTS", "WOULD_BLOCK", "WrongThread",
]
