"""The strategy of strategy_python.py compiled by numba: a C function whose address the gateway is given.

    pip install "fixwire[numba]"
    strategy = "strategy_numba:follower"     in gateway.toml

The compiled code never touches Python: it runs without the GIL, as a Cython or C strategy does.
"""
from __future__ import annotations

import numpy
from numba import carray, cfunc, types

from gateway.callback import CallbackStrategy, api

fw = api()
msg_type, msg_int, msg_price_e8, msg_text, limit_order = (
    fw["msg_type"], fw["msg_int"], fw["msg_price_e8"], fw["msg_text"], fw["limit_order"])

SNAPSHOT = ord("W")
LAST, PRICE, SIZE, SYMBOL_N = range(4)          # what the state's integers are


@cfunc(types.void(types.CPointer(types.int64), types.voidptr, types.voidptr, types.uint64))
def on_message(ctx, session, msg, now_ns):      # type: ignore[no-untyped-def]
    if msg_type(msg) != SNAPSHOT:
        return
    state = carray(ctx, 4)
    if not msg_price_e8(msg, 270, state[PRICE:].ctypes) or not msg_int(msg, 271, state[SIZE:].ctypes):
        return
    symbol = msg_text(msg, 55, state[SYMBOL_N:].ctypes)
    if state[LAST]:
        side = ord("1") if state[PRICE] < state[LAST] else ord("2")
        limit_order(session, symbol, state[SYMBOL_N] & 0xFFFFFFFF, side, state[SIZE], state[PRICE], 0, now_ns)
    state[LAST] = state[PRICE]


def follower() -> CallbackStrategy:
    """A new strategy with its own state; the state and the functions live as long as it does."""
    state = numpy.zeros(4, numpy.int64)
    return CallbackStrategy(on_message.address, ctx=state.ctypes.data, keep=(state, on_message, fw))
