"""Data dictionaries: `standard("FIX.4.4")`, or a user's own from QuickFIX-format XML with `load`.

Nothing is read before it is asked for.
"""
from __future__ import annotations

import importlib
import os

from ..errors import DictionaryError
from .specification import Dictionary, Field, Member, MessageType

__all__ = ["VERSIONS", "Dictionary", "DictionaryError", "Field", "Member", "MessageType", "load", "standard"]

# version -> (module of its table, value of ApplVerID(1128))
VERSIONS = {
    "FIX.4.0": ("fix40", "2"), "FIX.4.1": ("fix41", "3"), "FIX.4.2": ("fix42", "4"), "FIX.4.3": ("fix43", "5"),
    "FIX.4.4": ("fix44", "6"), "FIX.5.0": ("fix50", "7"), "FIX.5.0SP1": ("fix50sp1", "8"),
    "FIX.5.0SP2": ("fix50sp2", "9"), "FIXT.1.1": ("fixt11", ""),
}
_read: dict[str, Dictionary] = {}


def standard(version: str) -> Dictionary:
    """The dictionary of a standard version, by name (`FIX.4.4`, `FIX44`, `FIX.5.0SP2`) or ApplVerID (`9`).

    Every call with one version gives the same object; make changes on a `copy`.
    """
    wanted = version.upper().replace(".", "")
    for name, (module, applverid) in VERSIONS.items():
        if wanted == name.replace(".", "") or (applverid and wanted == applverid):
            if name not in _read:
                table = importlib.import_module(f".{module}", __name__).TABLE
                _read[name] = Dictionary.from_table(table)
                _read[name].standard = True
            return _read[name]
    raise DictionaryError(f"version {version!r} is not one of {', '.join(VERSIONS)}")


def load(path: str | os.PathLike[str]) -> Dictionary:
    """The Dictionary in a QuickFIX-format XML file; DictionaryError says file, line and what is wrong."""
    from .reader import load as read
    return read(path)
