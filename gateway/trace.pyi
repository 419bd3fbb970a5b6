"""Where the time of an order goes: marks of the CPU's counter between rx_burst and tx_burst."""
from numpy import ndarray
from typing_extensions import disjoint_base

STAGES: tuple[str, ...]
"""rx, parse, tcp, fix_parse, session, strategy, encode, tcp_out, tx, total: exclusive times but the last."""

@disjoint_base
class Trace:
    """Samples of an engine. One an order, taken after tx_burst returned."""
    @property
    def mode(self) -> str: ...                  # "stages" or "wire"
    @property
    def count(self) -> int: ...
    def skip(self, orders: int) -> None: ...    # leave out the next so many: the warm-up
    def reset(self) -> None: ...                # forget every sample
    def samples_ns(self, stage: str) -> ndarray: ...    # float64, in the order they were taken; ValueError: not kept
    def table(self) -> dict[str, dict[str, float]]:
        """{stage: {count, min_ns, p50_ns, p99_ns, p99_9_ns, max_ns}}; "wire" has the one stage wire_to_wire.

        From all samples where they are kept, else from the histogram (3 % wide buckets).
        """
    @staticmethod
    def mark_cost_ns() -> float: ...            # one mark, measured now
    @staticmethod
    def tsc_ghz() -> float: ...                 # ticks of the counter a nanosecond, measured against CLOCK_MONOTONIC
