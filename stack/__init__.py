"""Segments and datagrams: Ethernet, ARP, IPv4, ICMP and TCP over any device of dpdk_py. Begin with Stack."""
from stack.errors import TcpError, WrongThread

__all__ = ["Connection", "Listener", "Netif", "Stack", "TcpError", "WrongThread"]


def __getattr__(name: str) -> object:
    # The compiled modules are loaded when they are first used: `import stack` stays cheap.
    if name in ("Connection", "Listener", "Stack"):
        from stack import face
        return getattr(face, name)
    if name == "Netif":
        from stack.netif import Netif
        return Netif
    raise AttributeError(f"module 'stack' has no attribute {name!r}")
