"""What the Python border of `stack` raises. Below it nothing raises: verdicts are returned and counted."""
from __future__ import annotations


class TcpError(OSError):
    """A call on a connection or a stack could not be done; the message names the state or the limit."""


class WrongThread(RuntimeError):
    """A stack belongs to the thread that steps it; another one called."""
