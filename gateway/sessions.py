"""Sessions of a checked configuration: stores, dictionaries and hours are made, then everything goes to Engine.add_session.

Journals are opened here and closed by whoever owns the ExitStack of stores, after the engine; message logs before it.
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
    from gateway.filelog import FileLog
    from gateway.session import GatewaySession

PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.")


class SessionMaker:
    """Makes the sessions of one configuration; equal dictionaries are compiled once."""

    def __init__(self, engine: "Engine", config: Config, stores: contextlib.ExitStack,
                 logs: contextlib.ExitStack) -> None:
        self.engine, self.config, self.stores, self.logs = engine, config, stores, logs
        self.filelog: FileLog | None = None
        self.logged: list[tuple[GatewaySession, str]] = []     # with the directories of their logs
        self.directory = os.path.dirname(os.path.abspath(config.path))
        self.validators: dict[tuple[Any, ...], Validator] = {}

    def add_all(self, strategy: object) -> None:
        """One session for each table; all of them share the strategy."""
        known = None
        if strategy is not None:
            known = self.engine.add_strategy(strategy, on_error=self.config.exceptions)
        for s in self.config.sessions:
            self.add(s, known)

    def add(self, s: SessionConfig, strategy: Any) -> "list[GatewaySession]":
        """What table `s` makes: one session, or a template's. Mistake, with file:line, for what this machine cannot do."""
        from fix import FixError
        more = {key.argument: s.keys[name] for name, key in SESSION_KEYS.items()
                if key.argument is not None and s.keys[name] is not None}
        more.update(strategy=strategy, port=s.port, BeginString=s.BeginString, HeartBtInt=s.HeartBtInt, schedule=hours(s))
        try:
            more.update(validator=self.validator(s))
            if s.keys["AcceptorTemplate"]:
                made = self.engine.add_template(
                    s.SenderCompID, pool=s.keys["template_sessions"], store_octets=s.keys["store_octets"],
                    store_messages=s.keys["store_messages"], **more)
            else:
                backup = [(host, port or s.port) for host, port in s.keys["backup_hosts"]]
                made = [self.engine.add_session(s.SenderCompID, s.TargetCompID, role=s.role, host=s.host,
                                                backup_hosts=backup, store=self.store(s), **more)]
            for session in made:
                for symbol, price in s.keys["reference_prices"].items():
                    session.reference_price(symbol, price)
                if s.keys["FileLogPath"] is not None:
                    directory = self.path(s.keys["FileLogPath"])
                    self.log().add(session, directory)
                    self.logged.append((session, directory))
            return made
        except (ValueError, TypeError, FixError) as e:
            raise Mistake(f"{self.config.path}:{s.line}: {e}") from None
        except OSError as e:
            raise Mistake(f"{self.config.path}:{s.line}: {e.filename or 'journal'}: {e.strerror}") from None

    def log(self) -> "FileLog":
        """The message logs of all sessions, begun with the first that has one."""
        if self.filelog is None:
            from gateway.filelog import FileLog
            self.filelog = self.logs.enter_context(FileLog(self.engine, self.config.log_ring_octets))
        return self.filelog

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
        return self.stores.enter_context(Journal(
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


def sessions_needed(config: Config) -> int:
    """How many sessions the engine must have room for."""
    return sum(s.keys["template_sessions"] if s.keys["AcceptorTemplate"] else 1 for s in config.sessions)


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
