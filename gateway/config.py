"""gateway.toml: read, checked key by key, every complaint with file:line.

tomllib reads the values; it does not say where they stood, so `Lines` walks the text once more for that.
Nothing is opened here: a Config that `load` returns has been checked against itself, not against the machine.
"""
import ipaddress
import os
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from gateway.keys import (
    HOURS_KEYS,
    IPC_KEYS,
    JOURNAL_KEYS,
    KEYS,
    OUTSIDE_KEYS,
    SESSION_KEYS,
    VALIDATION_KEYS,
    Key,
    Wrong,
    suggestion,
)

MAX_FILE = 1 << 20          # a configuration is a page; whatever is larger is some other file
PCI = re.compile(r"(?:([0-9a-fA-F]{1,8}):)?([0-9a-fA-F]{2}):([0-9a-fA-F]{2})\.([0-7])")


class ConfigError(Exception):
    """Everything wrong with a configuration, one `file:line: sentence` each, in the order of the lines."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class SessionConfig:
    """One [[sessions]] table, [default] filled in, names as in the file; `keys` has every session key, checked."""

    role: str
    BeginString: str
    SenderCompID: str
    TargetCompID: str
    HeartBtInt: int
    host: str | None
    port: int
    line: int
    keys: dict[str, Any]


@dataclass(frozen=True)
class Config:
    """A whole gateway.toml, defaults filled in."""

    path: str
    device: str
    address: str
    gateway: str | None
    strategy: str | None
    core: int | None
    idle: str
    eal: tuple[str, ...]
    seed: int | None
    exceptions: str
    log: str | None
    log_ring_octets: int
    admin: bool
    runtime_directory: str | None
    audit_log: str | None
    user_timeout: float | None
    user_timeout_option: bool
    ipc: dict[str, Any] | None      # IPC_KEYS; `strategies` is a tuple of OUTSIDE_KEYS
    flight_recorder: str | None
    sessions: tuple[SessionConfig, ...] = field(default_factory=tuple)


def load(path: str | os.PathLike[str]) -> Config:
    """The checked configuration of `path`. ConfigError lists everything wrong; OSError where it cannot be read."""
    name = os.fspath(path)
    with open(name, "rb") as f:
        raw = f.read(MAX_FILE + 1)
    if len(raw) > MAX_FILE:
        raise ConfigError([f"{name}:1: the file has more than {MAX_FILE} octets, no configuration does"])
    return parse(raw, name)


def parse(raw: bytes, name: str = "gateway.toml") -> Config:
    """The checked configuration in the octets `raw`; `name` stands before the line in complaints."""
    try:
        text = raw.decode()
    except UnicodeDecodeError as e:
        line = raw.count(b"\n", 0, e.start) + 1
        raise ConfigError([f"{name}:{line}: octet 0x{raw[e.start]:02x} is not UTF-8"]) from None
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as e:
        m = re.search(r"^(.*?) \(at (?:line (\d+), column \d+|end of document)\)", str(e), re.S)
        line = int(m[2]) if m and m[2] else text.count("\n") + 1
        raise ConfigError([f"{name}:{line}: not TOML: {m[1] if m else e}"]) from None
    except RecursionError:
        raise ConfigError([f"{name}:1: not a configuration: nested too deeply"]) from None
    return _Checker(data, Lines(text), name).config()


class Lines:
    """Line of every key of a TOML text tomllib has accepted: `line(("sessions", 0, "host"))`."""

    _STRING = re.compile(r'"""(?:\\.|[^\\])*?"""|\'\'\'.*?\'\'\'|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\'', re.S)
    _KEY = re.compile(r'[ \t]*((?:[A-Za-z0-9_-]+|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\')'
                      r'(?:[ \t]*\.[ \t]*(?:[A-Za-z0-9_-]+|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\'))*)[ \t]*=')
    _TABLE = re.compile(r"[ \t]*\[(\[?)([^\[\]\n]+)\]\]?")
    _PART = re.compile(r'[A-Za-z0-9_-]+|"((?:\\.|[^"\\\n])*)"|\'([^\'\n]*)\'')

    def __init__(self, text: str) -> None:
        self._lines: dict[tuple[str | int, ...], int] = {}
        self._walk(text)

    def line(self, path: tuple[str | int, ...]) -> int:
        """Where `path` was set; for what the file lacks, where the nearest table around it begins."""
        while path and path not in self._lines:
            path = path[:-1]
        return self._lines.get(path, 1)

    def _parts(self, dotted: str) -> tuple[str, ...]:
        return tuple(m[1] or m[2] or m[0].strip("\"'") for m in self._PART.finditer(dotted))

    def _walk(self, text: str) -> None:
        table: tuple[str | int, ...] = ()
        counts: dict[tuple[str, ...], int] = {}
        at, number, depth, end = 0, 1, 0, len(text)
        fresh = True                                    # at the beginning of a line outside any value
        while at < end:
            if fresh and not depth:
                fresh = False
                if m := self._TABLE.match(text, at):
                    parts = self._parts(m[2])
                    table = parts
                    if m[1]:
                        counts[parts] = counts.get(parts, -1) + 1
                        table = (*parts, counts[parts])
                    elif parts[:1] in counts:           # [sessions.sub] belongs to the last [[sessions]]
                        table = (parts[0], counts[parts[:1]], *parts[1:])
                    self._lines.setdefault(table, number)
                    at = m.end()
                    continue
                if m := self._KEY.match(text, at):
                    self._lines.setdefault((*table, *self._parts(m[1])), number)
                    at = m.end()
                    continue
            c = text[at]
            if c == "\n":
                number, fresh = number + 1, True
            elif c == "#":
                at = text.find("\n", at)
                if at < 0:
                    return
                continue
            elif c in "\"'" and (m := self._STRING.match(text, at)):
                number += m[0].count("\n")
                at = m.end()
                continue
            elif c in "[{":
                depth += 1
            elif c in "]}":
                depth -= 1
            at += 1


class _Checker:
    def __init__(self, data: dict[str, Any], lines: Lines, name: str) -> None:
        self.data, self.lines, self.name = data, lines, name
        self.problems: list[tuple[int, str]] = []

    def wrong(self, path: tuple[str | int, ...], sentence: str) -> None:
        self.problems.append((self.lines.line(path), sentence))

    def table(self, data: dict[str, Any], keys: dict[str, Key], path: tuple[str | int, ...]) -> dict[str, Any]:
        """What `data` holds, checked; unknown keys and wrong values are complained about, wrong ones are then None."""
        out: dict[str, Any] = {}
        for key in data:
            if key not in keys:
                where = ".".join(p for p in path if isinstance(p, str))
                where = f" of [[{where}]]" if path and isinstance(path[-1], int) else f" of [{where}]" if path else ""
                hint = suggestion(key, keys)
                if key in (SESSION_KEYS if keys is KEYS else KEYS):
                    hint = "; it belongs " + ("into a [[sessions]] table" if keys is KEYS else "before [[sessions]]")
                self.wrong((*path, key), f"{_shown(key)} is no key{where}{hint}")
                continue
            try:
                out[key] = keys[key].check(data[key])
            except Wrong as e:
                out[key] = None
                self.wrong((*path, key), f"{key} is {_shown(data[key])}, {e}")
        return out

    def filled(self, found: dict[str, Any], keys: dict[str, Key], path: tuple[str | int, ...]) -> dict[str, Any]:
        """`found` with the defaults of what is not there; what is required and missing is complained about."""
        for key, known in keys.items():
            if key not in found and known.required:
                self.wrong(path, f"{key} is missing: {known.doc}")
        return {key: found.get(key, known.default) for key, known in keys.items()}

    def sessions(self, found: Any, default: Any) -> Iterator[SessionConfig]:
        if default is not None and not isinstance(default, dict):
            self.wrong(("default",), "default must be a table: write [default] above its keys")
            default = None
        shared = self.table(default or {}, SESSION_KEYS, ("default",))
        if not isinstance(found, list) or not all(isinstance(s, dict) for s in found):
            if found is not None:
                self.wrong(("sessions",), "sessions must be tables: write [[sessions]] above each one's keys")
            return
        ids: dict[tuple[Any, ...], int] = {}
        for n, table in enumerate(found):
            path = ("sessions", n)
            own = self.table(table, SESSION_KEYS, path)
            aside = ("FileStorePath", *JOURNAL_KEYS) if own.get("store") in ("memory", "none") else ()
            given = {**{key: value for key, value in shared.items() if key not in aside}, **own}
            s = self.filled(given, SESSION_KEYS, path)
            line = self.lines.line(path)
            for key, sentence in contradictions(given, s):
                self.wrong((*path, key) if key in table or key not in shared else ("default", key), sentence)
            same = (s["BeginString"], s["SenderCompID"], s["TargetCompID"])
            if None not in same and ids.setdefault(same, line) != line:
                self.wrong(path, f"session {'/'.join(same)} is already defined in line {ids[same]}")
            yield SessionConfig(line=line, keys=s, **{k: s[k] for k in (
                "role", "BeginString", "SenderCompID", "TargetCompID", "HeartBtInt", "host", "port")})

    def outside(self, found: Any) -> dict[str, Any] | None:
        """[ipc] with its [[ipc.strategies]]."""
        if not isinstance(found, dict):
            self.wrong(("ipc",), "ipc must be a table: write [ipc] above its keys")
            return None
        ipc = self.filled(self.table(found, IPC_KEYS, ("ipc",)), IPC_KEYS, ("ipc",))
        tables = ipc["strategies"]
        if not isinstance(tables, list) or not tables or not all(isinstance(s, dict) for s in tables):
            if "strategies" in found:
                self.wrong(("ipc", "strategies"), "strategies must be tables: write [[ipc.strategies]] above each")
            return None
        if len(tables) > 63:
            self.wrong(("ipc",), f"there are {len(tables)} strategies, at most 63")
        strategies, names = [], set()
        for n, table in enumerate(tables):
            path = ("ipc", "strategies", n)
            s = self.filled(self.table(table, OUTSIDE_KEYS, path), OUTSIDE_KEYS, path)
            if s["name"] in names:
                self.wrong(path, f"strategy {s['name']} is already defined")
            names.add(s["name"])
            strategies.append(s)
        return {**ipc, "strategies": tuple(strategies)}

    def config(self) -> Config:
        c = self.filled(self.table(self.data, KEYS, ()), KEYS, ())
        if c["ipc"] is not None:
            c["ipc"] = self.outside(c["ipc"])
        sessions = tuple(self.sessions(c.pop("sessions"), c.pop("default")))
        if "sessions" in self.data and not self.data["sessions"]:
            self.wrong(("sessions",), "sessions is empty: a gateway needs at least one")
        for n, session in enumerate(sessions):
            if c["ipc"] is not None and session.keys["AcceptorTemplate"]:
                self.wrong(("sessions", n, "AcceptorTemplate"), "AcceptorTemplate cannot be had with [ipc]: strategies "
                                                                "outside know sessions by their names")
        if c["gateway"] and c["address"]:
            own = ipaddress.IPv4Interface(c["address"])
            if ipaddress.IPv4Address(c["gateway"]) not in own.network:
                self.wrong(("gateway",), f"gateway {c['gateway']} is not on our network {own.network}")
            elif c["gateway"] == str(own.ip):
                self.wrong(("gateway",), f"gateway {c['gateway']} is our own address")
        if c["eal"]:
            for sentence in eal_contradictions(c["eal"], c["device"], c["core"]):
                self.wrong(("eal",), sentence)
        if self.problems:
            complaints = dict.fromkeys(sorted(self.problems))       # of [default] once, however many sessions have it
            raise ConfigError([f"{self.name}:{line}: {sentence}" for line, sentence in complaints])
        return Config(path=self.name, sessions=sessions, **c)


def contradictions(given: dict[str, Any], s: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(key, sentence) for what the keys of one session say against each other; `given` lacks the defaults of `s`."""
    if s["role"] == "initiator" and "host" not in given:
        yield "", "host is missing: an initiator must know the peer's address"
    if s["role"] == "acceptor" and s["backup_hosts"]:
        yield "backup_hosts", "backup_hosts are for an initiator"
    yield from template_contradictions(given, s)
    fixt = s["BeginString"] == "FIXT.1.1"
    if s["DefaultApplVerID"] and not fixt and s["BeginString"]:
        yield "DefaultApplVerID", f"DefaultApplVerID needs BeginString FIXT.1.1, not {s['BeginString']}"
    if fixt and "DefaultApplVerID" not in given:
        yield "", "DefaultApplVerID is missing: FIXT.1.1 says no application version by itself, 9 is FIX.5.0SP2"
    if s["TransportDataDictionary"] and not fixt and s["BeginString"]:
        yield "TransportDataDictionary", f"TransportDataDictionary needs BeginString FIXT.1.1, not {s['BeginString']}"
    if s["TimestampPrecision"] not in (None, 0, 3, 6, 9):
        yield "TimestampPrecision", f"TimestampPrecision is {s['TimestampPrecision']}, must be 0, 3, 6 or 9"
    if (s["ReconnectInterval"] or 0) > (s["reconnect_max"] or 86_400):
        yield "ReconnectInterval", (f"ReconnectInterval is {s['ReconnectInterval']:g}, above reconnect_max "
                                    f"{s['reconnect_max']:g}")
    yield from store_contradictions(given, s)
    yield from checking_contradictions(given, s)


def template_contradictions(given: dict[str, Any], s: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if not s["AcceptorTemplate"]:
        if s["TargetCompID"] == "*":
            yield "TargetCompID", "TargetCompID * needs AcceptorTemplate = true"
        if "template_sessions" in given:
            yield "template_sessions", "template_sessions needs AcceptorTemplate = true"
        return
    if s["role"] == "initiator":
        yield "AcceptorTemplate", "AcceptorTemplate is for an acceptor"
    if s["TargetCompID"] not in (None, "*"):
        yield "TargetCompID", f"TargetCompID is {s['TargetCompID']!r}, must be * in an AcceptorTemplate: any peer"
    for key in ("FileStorePath", "name"):
        if s[key] is not None:
            yield key, f"{key} cannot be had with AcceptorTemplate: its peers are not known beforehand"
    if s["store"] in ("journal", "none"):
        yield "store", f"store is {s['store']}, must be memory in an AcceptorTemplate"


def store_contradictions(given: dict[str, Any], s: dict[str, Any]) -> Iterator[tuple[str, str]]:
    journal = s["store"] == "journal" or (s["store"] is None and s["FileStorePath"])
    if journal and not s["FileStorePath"] and "FileStorePath" not in given:
        yield "store", "FileStorePath is missing: a journal needs its directory"
    for key in JOURNAL_KEYS if not journal else ():
        if key in given:
            yield key, f"{key} is for a journal: FileStorePath names its directory"
    if s["store"] in ("memory", "none") and s["FileStorePath"]:
        yield "store", f"store is {s['store']}, but FileStorePath is there too"
    if s["ring_octets"] and s["ring_octets"] & (s["ring_octets"] - 1):
        yield "ring_octets", f"ring_octets is {s['ring_octets']}, must be a power of two"
    if s["segment_octets"] and s["segment_octets"] % 8:
        yield "segment_octets", f"segment_octets is {s['segment_octets']}, must be a multiple of 8"


def checking_contradictions(given: dict[str, Any], s: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if s["UseDataDictionary"] is False:
        for key in ("DataDictionary", "TransportDataDictionary", *VALIDATION_KEYS):
            if key in given:
                yield key, f"{key} needs UseDataDictionary = true"
    elif not s["UseDataDictionary"] and not s["DataDictionary"] and not s["TransportDataDictionary"]:
        for key in VALIDATION_KEYS:
            if key in given:
                yield key, f"{key} needs UseDataDictionary = true, or a DataDictionary"
    for key in ("reference_prices", "price_band_last", "price_symbols"):
        if key in given and not s["price_band"]:
            yield key, f"{key} is for a price_band"
    if s["reference_prices"] and s["price_symbols"] and len(s["reference_prices"]) > s["price_symbols"]:
        yield "reference_prices", (f"reference_prices has {len(s['reference_prices'])} symbols, price_symbols is "
                                   f"{s['price_symbols']}")
    if (s["max_price"] or 0) and (s["min_price"] or 0) > s["max_price"]:
        yield "min_price", "min_price is above max_price"
    if s["NonStopSession"]:
        for key in HOURS_KEYS:
            if key in given:
                yield key, f"{key} contradicts NonStopSession = true"
    elif ("StartTime" in given) != ("EndTime" in given):
        yield "StartTime" if "StartTime" in given else "EndTime", "StartTime and EndTime belong together"
    elif "StartTime" not in given:
        for key in ("StartDay", "EndDay", "Weekdays"):
            if key in given:
                yield key, f"{key} needs StartTime and EndTime"
    elif ("StartDay" in given) != ("EndDay" in given):
        yield "StartDay" if "StartDay" in given else "EndDay", "StartDay and EndDay belong together"
    elif "StartDay" in given and "Weekdays" in given:
        yield "Weekdays", "Weekdays is for daily hours, StartDay and EndDay are for weekly ones"


# EAL options that take a value in the next word, by the name EAL knows them by.
_EAL_LONG = {"--lcores": "-l", "--coremask": "-c", "--allow": "-a", "--block": "-b", "--main-lcore": "--main-lcore",
             "--vdev": "--vdev", "--memory": "-m", "--memory-channels": "-n"}
_EAL_VALUE = {"-l", "-c", "-a", "-b", "-n", "-m", "-r", "-d", "-s", "-S", "--vdev", "--main-lcore", "--socket-mem",
              "--file-prefix", "--huge-dir", "--log-level", "--iova-mode", "--base-virtaddr", "--proc-type",
              "--socket-limit", "--syslog", "--vfio-intr", "--trace", "--trace-dir", "--match-allocations"}


def eal_options(arguments: tuple[str, ...] | list[str]) -> Iterator[tuple[str, str | None]]:
    """(option, value) of an EAL command line; `--x=v`, `-lv` and `-l v` are the same."""
    words = iter(arguments)
    for word in words:
        option, equals, value = word.partition("=") if word.startswith("--") else (word, "", "")
        if not word.startswith("--") and word.startswith("-") and len(word) > 2:
            option, equals, value = word[:2], "=", word[2:]
        option = _EAL_LONG.get(option, option)
        if equals:
            yield option, value
        elif option in _EAL_VALUE:
            yield option, next(words, None)
        else:
            yield option, None


def lcores(spec: str) -> set[int]:
    """The CPUs of an EAL core list: `2-3,6` or `0@4,(1,2)@5` or `(0-3)@(8-11)`. ValueError where it is none."""
    cpus: set[int] = set()
    for part in re.findall(r"(?:\([^()]*\)|[^,()])+", spec):
        places = part.partition("@")[2] or part
        for item in places.strip("()").split(","):
            low, dash, high = item.partition("-")
            first, last = int(low), int(high) if dash else int(low)
            if not 0 <= first <= last < 1024:
                raise ValueError(item)
            cpus.update(range(first, last + 1))
    return cpus


def eal_contradictions(arguments: tuple[str, ...], device: str | None, core: int | None) -> Iterator[str]:
    """What in EAL `arguments` says something else than the keys `device` and `core`, a sentence each."""
    backend, _, name = (device or "").partition(":")
    if device and backend != "dpdk":
        yield f"eal is for DPDK, but device is {device}"
        return
    pci = _pci(name)
    for option, value in eal_options(arguments):
        if option in _EAL_VALUE and not value:
            yield f"eal {option} has no value"
        elif option in ("-l", "-c"):
            try:
                mask = int(value or "", 16) if option == "-c" else 0
                cpus = lcores(value or "") if option == "-l" else {i for i in range(mask.bit_length()) if mask >> i & 1}
            except ValueError:
                yield f"eal {option} {value} is no list of CPUs"
                continue
            if core is not None and core not in cpus:
                yield f"eal {option} {value} leaves out CPU {core}, which core names"
        elif option == "--main-lcore" and core is not None and value != str(core):
            yield f"eal --main-lcore {value} contradicts core = {core}"
        elif option == "-a" and name and _pci((value or "").partition(",")[0]) != pci:
            yield f"eal -a {value} allows another port than device = {device}"
        elif option == "-b" and pci and _pci(value or "") == pci:
            yield f"eal -b {value} blocks the port that device names"
        elif option == "--no-pci" and pci:
            yield f"eal --no-pci hides the port that device = {device} names"
        elif option == "--vdev" and not pci and name and (value or "").partition(",")[0] == name.partition(",")[0]:
            yield f"eal --vdev {value} makes {name.partition(',')[0]} a second time: device does it"
        elif not option.startswith("-"):
            yield f"eal holds {_shown(option)}, which is no option"


def _pci(text: str) -> tuple[int, ...] | None:
    m = PCI.fullmatch(text.partition(",")[0])
    return (int(m[1] or "0", 16), *(int(x, 16) for x in m.groups()[1:])) if m else None


def _shown(v: object) -> str:
    text = repr(v) if not isinstance(v, bool) else str(v).lower()
    return text if len(text) <= 60 else text[:57] + "..."
