"""FIX messages and sessions, sans-I/O: octets and time in, octets out.

    parse, Parser                 messages from octets, one or a stream   Message   read by tag or name, built, encoded
    fix.fix40 ... fix.fix50sp2    classes of the common messages of a version: NewOrderSingle(ClOrdID="A1", Side="1")
    Validator                     a message against its dictionary, every SessionRejectReason
    Session                       a session, initiator or acceptor    MemoryStore, Store   what it keeps for resends
    Journal                       a store that survives kill -9 and, on disk, a crash of the machine
    Schedule                      daily or weekly hours of a session
    LocalProtocolError            you asked for what cannot be        RemoteProtocolError  the peer broke the protocol

`fix.dictionary` holds names and types of every version, `fix.tags` and `fix.enums` the names as constants. Prices are exact
integers of 10^-8 (`get_e8`) or Decimals.
"""
from typing import TYPE_CHECKING

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
from .face import Message
from .fieldset import Entry, Group
from .journal import Journal
from .sansio import Event, Session, identify
from .schedule import Schedule
from .store import MemoryStore, Store
from .stream import Parser, parse
from .validate import Validator

__all__ = [
    "DictionaryError", "Entry", "Event", "FieldMissing", "FieldValueError", "FixError", "GarbledMessage", "Group",
    "IncompleteMessage", "Journal", "JournalError", "LocalProtocolError", "MemoryStore", "Message", "MessageError",
    "Parser", "RemoteProtocolError", "Schedule", "Session", "Store", "Validator", "identify", "parse",
]

if TYPE_CHECKING:
    from . import dictionary as dictionary
    from . import enums as enums
    from . import tags as tags
else:
    def __getattr__(name):
        """fix.dictionary, fix.tags and fix.enums are read when first asked for."""
        if name in ("dictionary", "tags", "enums"):
            import importlib
            return importlib.import_module(f".{name}", __name__)
        raise AttributeError(f"module 'fix' has no attribute {name!r}")
