"""Strategies that are C functions."""
from collections.abc import Callable
from typing import Any

from typing_extensions import disjoint_base

from gateway.strategy import Strategy

@disjoint_base
class CallbackStrategy(Strategy):
    """A strategy that is C functions, given by address (C, Cython, numba @cfunc); 0: not called.

    on_message   void f(void *ctx, void *session, void *msg, uint64_t now_ns)
    on_logon     void f(void *ctx, void *session, uint64_t now_ns); on_logout the same
    on_timer     void f(void *ctx, uint64_t now_ns)
    may_resend   int f(void *ctx, void *session, void *msg, uint64_t now_ns); 0: a gap fill goes in its place
    and in a process of its own (gateway.seat) only
    on_verdict   void f(void *ctx, void *session, uint64_t token, int verdict, uint64_t now_ns)
    on_lost      void f(void *ctx, uint64_t count, uint64_t now_ns)
    What they may call is in gateway/fixwire.h; `api()` gives it to ctypes and numba. `keep` is held alive.
    """
    def __init__(self, on_message: int, *, ctx: int = 0, on_logon: int = 0, on_logout: int = 0, on_reject: int = 0,
                 on_timer: int = 0, may_resend: int = 0, on_verdict: int = 0, on_lost: int = 0,
                 keep: object = None) -> None: ...

def api() -> dict[str, Callable[..., Any]]:
    """The functions of gateway/fixwire.h as ctypes function objects, callable from numba's nopython code."""

def api_address() -> int:
    """Address of the `struct fixwire_api` of gateway/fixwire.h, for a strategy written in C."""
