"""Shared-memory rings between threads and processes: channels (one or many producers, one consumer) and broadcast.

Nothing is imported until it is used.
"""
_HOME = {
    "Writer": "channel", "Reader": "channel", "MpscWriter": "mpsc", "MpscReader": "mpsc",
    "Publisher": "broadcast", "Subscriber": "broadcast", "Borrowed": "broadcast", "Poller": "poller",
    "Segment": "segment", "segments": "segment", "SegmentError": "segment", "RingCorrupt": "wait",
}
__all__ = list(_HOME)


def __getattr__(name):
    if name not in _HOME:
        raise AttributeError(f"module 'ipc' has no attribute {name!r}")
    import importlib
    return getattr(importlib.import_module(f"ipc.{_HOME[name]}"), name)


def __dir__():
    return sorted(__all__)
