"""FIX messages and sessions, sans-I/O: octets and time in, octets out.

    parse, Parser                 messages from octets, one or a stream   Message   read by tag or name, built, encoded
    Session                       a session, initiator or acceptor    MemoryStore, Store   what it keeps for resends
    Journal                       a store that survives kill -9 and, on disk, a crash of the machine
    LocalProtocolError            you asked for what cannot be        RemoteProtocolError  the peer broke the protocol

`fix.dictionary` holds names and types of every version, `fix.tags` and `fix.enums` the names as constants. Prices are exact
integers of 10^-8 (`get_e8`) or Decimals.
"""
from .errors import (
    DictionaryError,
    FieldMissing,
    FieldValueError,
    FixError,
    GarbledMessage,
    IncompleteMessage,
    JournalError,
    LocalProtocolError,
    MessageError,
    RemoteProtocolError,
)
from .face import Message, Parser, parse
from .fieldset import Entry, Group
from .journal import Journal
from .sansio import Event, Session, identify
from .store import MemoryStore, Store

__all__ = [
    "DictionaryError", "Entry", "Event", "FieldMissing", "FieldValueError", "FixError", "GarbledMessage", "Group",
    "IncompleteMessage", "Journal", "JournalError", "LocalProtocolError", "MemoryStore", "Message", "MessageError",
    "Parser", "RemoteProtocolError", "Session", "Store", "identify", "parse",
]
