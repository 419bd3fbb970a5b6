from stack.errors import TcpError, WrongThread
from stack.face import Connection, Listener, Stack
from stack.netif import Netif

__all__ = [
    "Connection", "Listener", "Netif", "Stack", "TcpError", "WrongThread",
]
