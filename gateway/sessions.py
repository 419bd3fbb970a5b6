"""Sessions of a checked configuration: stores, dictionaries and hours are made, then everything goes to Engine.add_session.

Journals are opened here and closed by whoever owns the ExitStack, after the engine.
"""
import contextlib
import os
from typing import TYPE_CHECKING, Any

from gateway.cli import Mistake
from gateway.config import Config, SessionConfig
from gateway.keys import APPL_VERSIONS, SESSION_KEYS, VALIDATION_KEYS

if TYPE_CHECKING:
    from fix import Schedule, Store, Validator
    from fix.dictionary import Dictionary
    from gateway.engine import Engine
    from gateway.session import GatewaySession

PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.")


class SessionMaker:
    """Makes the sessions of one configuration; equal dictionaries are compiled once."""

    def __init__(self, engine: "Engine", config: Config, opened: contextlib.ExitStack) -> None:
        self.engine, self.config, self.opened = engine, config, opened
        self.directory = os.path.dirname(os.path.abspath(config.path))
        self.validators: dict[tuple[Any, ...], Validator] = {}

    def add_all(self, strategy: object) -> None:
        """One session for each table; all of them share the strategy."""
        known = None
        if strategy is not None:
            known = self.engine.add_strategy(strategy, on_error=self.config.exceptions)
        for s in self.config.sessions:
            self.add(s, known)

    def add(self, s: SessionConfig, strategy: Any) -> "GatewaySession":
        """The session of table `s`. Mistake, with file:line, for what this machine cannot do."""
        from fix import FixError
        more = {key.argument: s.keys[name] for name, key in SESSION_KEYS.items()
                if key.argument is not None and s.keys[name] is not None}
        try:
            return self.engine.add_session(
                s.SenderCompID, s.TargetCompID, strategy=strategy, role=s.role, port=s.port, host=s.host,
                BeginString=s.BeginString, HeartBtInt=s.HeartBtInt, store=self.store(s), validator=self.validator(s),
                schedule=hours(s), **more)
        except (ValueError, TypeError, FixError) as e:
            raise Mistake(f"{self.config.path}:{s.line}: {e}") from None
        except OSError as e:
            raise Mistake(f"{self.config.path}:{s.line}: {e.filename or 'journal'}: {e.strerror}") from None

    def path(self, name: str) -> str:
        """A path of the configuration; relative ones begin at its directory."""
        return os.path.join(self.directory, name)

    def store(self, s: SessionConfig) -> "Store":
        from fix import Journal, MemoryStore, Store
        kind = s.keys["store"] or ("journal" if s.keys["FileStorePath"] else "memory")
        if kind == "none":
            return Store()
        if kind == "memory":
            return MemoryStore(s.keys["store_octets"], s.keys["store_messages"])
        return self.opened.enter_context(Journal(
            journal_name(s.BeginString, s.SenderCompID, s.TargetCompID), self.path(s.keys["FileStorePath"]),
            durability=s.keys["durability"], sync_ns=int(s.keys["sync_ms"] * 1e6),
            ring_directory=self.path(s.keys["ring_directory"]), ring_octets=s.keys["ring_octets"],
            segment_octets=s.keys["segment_octets"], keep_segments=s.keys["keep_segments"],
            messages=s.keys["store_messages"]))

    def validator(self, s: SessionConfig) -> "Validator | None":
        from fix import Validator
        own, transport = s.keys["DataDictionary"], s.keys["TransportDataDictionary"]
        wanted = s.keys["UseDataDictionary"]
        if wanted is False or (wanted is None and not own and not transport):
            return None
        version = s.BeginString
        if version == "FIXT.1.1":
            version = next(name for name, number in APPL_VERSIONS.items() if number == s.keys["DefaultApplVerID"])
        switches = {name: s.keys[name] for name in VALIDATION_KEYS}
        same = (version, s.BeginString, own, transport, *switches.values())
        if same not in self.validators:
            self.validators[same] = Validator(
                self.dictionary(own, version),
                self.dictionary(transport, "FIXT.1.1") if s.BeginString == "FIXT.1.1" else None, **switches)
        return self.validators[same]

    def dictionary(self, path: str | None, version: str) -> "Dictionary":
        from fix import dictionary
        return dictionary.standard(version) if path is None else dictionary.load(self.path(path))


def hours(s: SessionConfig) -> "Schedule | None":
    """The session's hours, None where it is always open."""
    from fix import Schedule
    if s.keys["StartTime"] is None:
        return None
    return Schedule(s.keys["StartTime"], s.keys["EndTime"], s.keys["TimeZone"], start_day=s.keys["StartDay"],
                    end_day=s.keys["EndDay"], weekdays=s.keys["Weekdays"])


def journal_name(begin_string: str, sender: str, target: str) -> str:
    """BEGINSTRING-SENDER-TARGET as QuickFIX names its files; what a file name cannot hold, and '-', as _ and two digits."""
    return "-".join("".join(c if c in PLAIN else f"_{ord(c):02x}" for c in part)
                    for part in (begin_string, sender, target))
