"""gateway: the process. Engine, strategies, orders, command line.

Importing this package loads no compiled module: each name is loaded when it is used.
"""
from __future__ import annotations

import importlib
from typing import Any

_MODULE = {
    "BAD_ORDER": "strategy", "CallbackStrategy": "callback", "Desk": "desk", "Engine": "engine", "GatewayGone": "errors",
    "GatewaySession": "session",
    "OrderTemplate": "session",
    "MessageView": "python", "NOT_LOGGED_ON": "strategy", "PythonStrategy": "python", "REFUSED": "strategy",
    "RISK_KILLED": "strategy", "RISK_NOTIONAL": "strategy", "RISK_OPEN": "strategy", "RISK_PRICE": "strategy",
    "RISK_QTY": "strategy", "RISK_RATE": "strategy", "Seat": "seat",
    "SENT": "strategy", "Strategy": "strategy", "TOO_LONG": "strategy", "Trace": "trace", "VERDICTS": "strategy",
    "WOULD_BLOCK": "strategy", "WrongThread": "errors",
}
__all__ = sorted(_MODULE)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name in _MODULE:
        return getattr(importlib.import_module(f"gateway.{_MODULE[name]}"), name)
    raise AttributeError(f"module 'gateway' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(_MODULE)
