"""gateway.toml: read, checked key by key, every complaint with file:line.

tomllib reads the values; it does not say where they stood, so `Lines` walks the text once more for that.
Nothing is opened here: a Config that `load` returns has been checked against itself, not against the machine.
"""
import ipaddress
import os
import re
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

VERSIONS = ("FIX.4.0", "FIX.4.1", "FIX.4.2", "FIX.4.3", "FIX.4.4", "FIXT.1.1")
MAX_FILE = 1 << 20          # a configuration is a page; whatever is larger is some other file
BACKENDS = ("dpdk", "afpacket", "pcap")
PCI = re.compile(r"(?:([0-9a-fA-F]{1,8}):)?([0-9a-fA-F]{2}):([0-9a-fA-F]{2})\.([0-7])")


class ConfigError(Exception):
    """Everything wrong with a configuration, one `file:line: sentence` each, in the order of the lines."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class SessionConfig:
    """One [[sessions]] table, names as in the file."""

    role: str
    BeginString: str
    SenderCompID: str
    TargetCompID: str
    HeartBtInt: int
    host: str | None
    port: int
    line: int
    ResetOnLogon: bool = False
    DefaultApplVerID: str | None = None


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
    sessions: tuple[SessionConfig, ...] = field(default_factory=tuple)


class _Wrong(Exception):
    """A value that cannot be: the sentence, which names the limit."""


def _string(v: Any) -> str:
    if not isinstance(v, str):
        raise _Wrong("must be a string")
    if not v:
        raise _Wrong("must not be empty")
    if any(ord(c) < 32 for c in v):
        raise _Wrong("must not hold control characters")
    return v


def _integer(low: int, high: int) -> Callable[[Any], int]:
    def check(v: Any) -> int:
        if isinstance(v, bool) or not isinstance(v, int):
            raise _Wrong(f"must be a whole number from {low} to {high}")
        if not low <= v <= high:
            raise _Wrong(f"must be from {low} to {high}")
        return v
    return check


def _one_of(*words: str) -> Callable[[Any], str]:
    def check(v: Any) -> str:
        if v not in words:
            raise _Wrong("must be " + ", ".join(words[:-1]) + " or " + words[-1] + _suggestion(v, words))
        return str(v)
    return check


def _boolean(v: Any) -> bool:
    if not isinstance(v, bool):
        raise _Wrong("must be true or false")
    return v


def _device(v: Any) -> str:
    name = _string(v).partition(":")[0]
    if name == "pair":
        raise _Wrong("pair joins two ends inside one process and has nobody at its other end here; "
                     "`fixwire demo` uses it, run needs dpdk: or afpacket:")
    if name not in BACKENDS or not v.partition(":")[2]:
        raise _Wrong("must be dpdk:PCI-ADDRESS, dpdk:VDEV, afpacket:INTERFACE or pcap:FILE"
                     + _suggestion(name, BACKENDS))
    return str(v)


def _address(v: Any) -> str:
    text = _string(v)
    if "/" not in text:
        raise _Wrong("must name the prefix too, as in 10.0.0.2/24")
    try:
        i = ipaddress.IPv4Interface(text)
    except ValueError:
        raise _Wrong("must be an IPv4 address and prefix, as in 10.0.0.2/24") from None
    if i.ip.is_multicast or i.ip.is_unspecified or i.ip.is_loopback or int(i.ip) == 0xFFFFFFFF:
        raise _Wrong("must be an address a host can have: no multicast, loopback, 0.0.0.0 or broadcast")
    if i.network.prefixlen < 31 and i.ip in (i.network.network_address, i.network.broadcast_address):
        raise _Wrong(f"must be a host of {i.network}, not its first or last address")
    return text


def _host(v: Any) -> str:
    try:
        ip = ipaddress.IPv4Address(_string(v))
    except ValueError:
        raise _Wrong("must be an IPv4 address, as in 10.0.0.1 (names are not looked up)") from None
    if ip.is_multicast or ip.is_unspecified or int(ip) == 0xFFFFFFFF:
        raise _Wrong("must be the address of one host")
    return str(ip)


def _strategy(v: Any) -> str:
    module, colon, name = _string(v).rpartition(":")
    if not colon or not name.isidentifier() or not module or (
            not module.endswith(".py") and not all(p.isidentifier() for p in module.split("."))):
        raise _Wrong("must be module:Name or path/to/file.py:Name")
    return str(v)


def _comp_id(v: Any) -> str:
    text = _string(v)
    if len(text) > 64:
        raise _Wrong(f"has {len(text)} characters, at most 64")
    if not text.isascii():
        raise _Wrong("must be ASCII")
    return text


def _arguments(v: Any) -> tuple[str, ...]:
    if not isinstance(v, list) or not all(isinstance(a, str) and a for a in v):
        raise _Wrong('must be a list of strings, as in ["-l", "2-3", "-n", "4"]')
    return tuple(v)


@dataclass(frozen=True)
class Key:
    """One known key: how its value is checked, whether it must be there, and what it means."""

    check: Callable[[Any], Any]
    doc: str
    required: bool = False
    default: Any = None


KEYS: dict[str, Key] = {
    "device": Key(_device, "where frames come from and go to", required=True),
    "address": Key(_address, "our IPv4 address and prefix", required=True),
    "gateway": Key(_host, "next hop to other networks"),
    "strategy": Key(_strategy, "module:Name of the strategy"),
    "core": Key(_integer(0, 1023), "CPU the engine's thread is pinned to; the rest of the process is kept off it"),
    "idle": Key(_one_of("spin", "yield", "sleep"), "what the engine does when nothing is to do", default="spin"),
    "eal": Key(_arguments, "more arguments for DPDK's EAL", default=()),
    "seed": Key(_integer(0, 2**64 - 1), "seed of ISNs and ports; left out: from the system"),
    "exceptions": Key(_one_of("continue", "disable", "stop"),
                      "after an exception in a Python strategy: go on, disable it, or stop the gateway cleanly",
                      default="continue"),
    "log": Key(_string, "file that messages of the gateway are appended to; left out: standard error"),
    "sessions": Key(lambda v: v, "one table [[sessions]] each", required=True),
}
SESSION_KEYS: dict[str, Key] = {
    "role": Key(_one_of("initiator", "acceptor"), "who opens the connection", required=True),
    "BeginString": Key(_one_of(*VERSIONS), "version of the session", required=True),
    "SenderCompID": Key(_comp_id, "we", required=True),
    "TargetCompID": Key(_comp_id, "the peer", required=True),
    "HeartBtInt": Key(_integer(0, 86_400), "seconds between heartbeats, 0 for none", default=30),
    "host": Key(_host, "the peer's address (initiator)"),
    "port": Key(_integer(1, 65_535), "the peer's port (initiator) or ours (acceptor)", required=True),
    "ResetOnLogon": Key(_boolean, "both sides begin at MsgSeqNum 1 on each Logon", default=False),
    "DefaultApplVerID": Key(_string, "application version under FIXT.1.1, as in 9"),
}


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
        out: dict[str, Any] = {}
        for key in data:
            if key not in keys:
                where = f" of [[{path[0]}]]" if path else ""
                hint = _suggestion(key, keys)
                if not hint and (other := SESSION_KEYS if keys is KEYS else KEYS) and key in other:
                    hint = "; it belongs " + ("into a [[sessions]] table" if keys is KEYS else "before [[sessions]]")
                self.wrong((*path, key), f"{_shown(key)} is no key{where}{hint}")
        for key, known in keys.items():
            if key not in data:
                out[key] = known.default
                if known.required:
                    self.wrong(path, f"{key} is missing: {known.doc}")
                continue
            try:
                out[key] = known.check(data[key])
            except _Wrong as e:
                out[key] = None
                self.wrong((*path, key), f"{key} is {_shown(data[key])}, {e}")
        return out

    def sessions(self, found: Any) -> Iterator[SessionConfig]:
        if not isinstance(found, list) or not all(isinstance(s, dict) for s in found):
            if found is not None:
                self.wrong(("sessions",), "sessions must be tables: write [[sessions]] above each one's keys")
            return
        ids: dict[tuple[Any, ...], int] = {}
        for n, given in enumerate(found):
            path = ("sessions", n)
            s = self.table(given, SESSION_KEYS, path)
            line = self.lines.line(path)
            if s["role"] == "initiator" and "host" not in given:
                self.wrong(path, "host is missing: an initiator must know the peer's address")
            if s["DefaultApplVerID"] and s["BeginString"] not in (None, "FIXT.1.1"):
                self.wrong((*path, "DefaultApplVerID"),
                           f"DefaultApplVerID needs BeginString FIXT.1.1, not {s['BeginString']}")
            if s["BeginString"] == "FIXT.1.1" and "DefaultApplVerID" not in given:
                self.wrong(path, "DefaultApplVerID is missing: FIXT.1.1 says no application version by itself, "
                                 "9 is FIX.5.0SP2")
            same = (s["BeginString"], s["SenderCompID"], s["TargetCompID"])
            if None not in same and ids.setdefault(same, line) != line:
                self.wrong(path, f"session {'/'.join(same)} is already defined in line {ids[same]}")
            yield SessionConfig(**s, line=line)

    def config(self) -> Config:
        c = self.table(self.data, KEYS, ())
        sessions = tuple(self.sessions(c.pop("sessions")))
        if "sessions" in self.data and not self.data["sessions"]:
            self.wrong(("sessions",), "sessions is empty: a gateway needs at least one")
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
            raise ConfigError([f"{self.name}:{line}: {sentence}" for line, sentence in sorted(self.problems)])
        return Config(path=self.name, sessions=sessions, **c)


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


def _suggestion(word: object, known: Any) -> str:
    import difflib
    near = difflib.get_close_matches(str(word).lower(), {k.lower(): k for k in known}, 1, 0.6)
    return f", did you mean {next(k for k in known if k.lower() == near[0])}?" if near else ""


def _shown(v: object) -> str:
    text = repr(v) if not isinstance(v, bool) else str(v).lower()
    return text if len(text) <= 60 else text[:57] + "..."
