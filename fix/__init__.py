"""FIX messages and sessions, sans-I/O: octets and time in, octets out.

    Session                       a session, initiator or acceptor    MemoryStore, Store   what it keeps for resends
    LocalProtocolError            you asked for what cannot be        RemoteProtocolError  the peer broke the protocol
"""
from .errors import FixError, LocalProtocolError, RemoteProtocolError
from .sansio import Event, Session
from .store import MemoryStore, Store

__all__ = ["Event", "FixError", "LocalProtocolError", "MemoryStore", "RemoteProtocolError", "Session", "Store"]
