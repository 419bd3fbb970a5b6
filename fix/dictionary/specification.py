"""A data dictionary: fields, their types and values, messages, components and groups of one FIX version.

The tables of the standard versions are read from the generated modules beside this one when first asked for
(`fix.dictionary.standard("FIX.4.4")`); a user's come from `fix.dictionary.load`. Members keep the order of the
specification, which is the order within a repeating group (FIX 4.4 vol. 1 "Repeating Groups").
"""
from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from ..errors import DictionaryError

MOST_MEMBERS = 65_536       # fields a message may expand to: components within components can double each time
DEEPEST = 32                # components and groups within each other

TYPES = frozenset("""
    STRING CHAR INT FLOAT PRICE AMT QTY QUANTITY CURRENCY MULTIPLEVALUESTRING MULTIPLESTRINGVALUE MULTIPLECHARVALUE
    EXCHANGE UTCTIMESTAMP TIME BOOLEAN LOCALMKTDATE LOCALMKTTIME DATE DATA XMLDATA PRICEOFFSET MONTHYEAR MONTH-YEAR
    DAYOFMONTH DAY-OF-MONTH UTCDATE UTCDATEONLY UTCTIMEONLY NUMINGROUP COUNTRY LANGUAGE PERCENTAGE LENGTH SEQNUM TAGNUM
    TZTIMEONLY TZTIMESTAMP XID XIDREF TENOR PATTERN RESERVED100PLUS RESERVED1000PLUS RESERVED4000PLUS
""".split())
DATA_TYPES = frozenset({"DATA", "XMLDATA"})


@dataclass(slots=True)
class Field:
    """A field: tag, name, type in capitals as dictionaries write it, and the values it is limited to (value: name)."""
    tag: int
    name: str
    type: str
    values: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True, frozen=True)
class Member:
    """A field (tag), a repeating group (tag of its NoXxx, members) or a component (name) of a message."""
    tag: int
    required: bool
    members: tuple[Member, ...] | None = None
    component: str = ""
    hashed: int = field(init=False, repr=False, compare=False, default=0)

    def __post_init__(self) -> None:
        # once: groups of groups are looked up by what they hold, thousands of times for FIX 5.0 SP2
        object.__setattr__(self, "hashed", hash((self.tag, self.required, self.members, self.component)))

    def __hash__(self) -> int:
        return self.hashed


@dataclass(slots=True)
class MessageType:
    """A message: MsgType(35), name, whether it is administrative, and its members without header and trailer."""
    msgtype: str
    name: str
    admin: bool
    members: tuple[Member, ...]


class Dictionary:
    """Fields and messages of one version. `version` is what BeginString says, or FIX.5.0, FIX.5.0SP1, FIX.5.0SP2."""

    def __init__(self, version: str) -> None:
        self.version = version
        self.fields: dict[int, Field] = {}
        self.tags: dict[str, int] = {}
        self.messages: dict[str, MessageType] = {}
        self.components: dict[str, tuple[Member, ...]] = {}
        self.header: tuple[Member, ...] = ()
        self.trailer: tuple[Member, ...] = ()
        self.standard = False       # one of `fix.dictionary.standard`, as generated
        self._expanded: dict[str, tuple[Member, ...]] = {}
        self._members: dict[Member, Member] = {}
        self._groups: dict[tuple[str, int], Member | None] = {}
        self._group_tags: dict[tuple[str, int], frozenset[int] | None] = {}

    def __repr__(self) -> str:
        return f"<Dictionary {self.version}: {len(self.fields)} fields, {len(self.messages)} messages>"

    def add_field(self, tag: int, name: str, type: str, values: dict[str, str] | None = None) -> Field:
        """Add a field, or give another one to a tag (a venue's own). A name belongs to one tag."""
        if not 0 < tag < 1 << 31:
            raise DictionaryError(f"field {name}: tag is {tag}, must be 1 to 2147483647")
        if type not in TYPES:
            raise DictionaryError(f"field {name}({tag}): type {type!r} is not known")
        if self.tags.get(name, tag) != tag:
            raise DictionaryError(f"field name {name} is used for {self.tags[name]} and {tag}")
        old = self.fields.get(tag)
        if old is not None:
            del self.tags[old.name]
        self.standard = False
        new = Field(tag, name, type, dict(values or {}))
        self.fields[tag] = new
        self.tags[name] = tag
        return new

    def add_member(self, msgtype: str, tag: int, required: bool = False) -> None:
        """Allow a field in messages of that type (a venue's extra tag)."""
        if tag not in self.fields:
            raise DictionaryError(f"tag {tag} is not a field of {self.version}")
        message = self.messages.get(msgtype)
        if message is None:
            raise DictionaryError(f"MsgType {msgtype!r} is not a message of {self.version}")
        self.standard = False
        message.members += (Member(tag, required),)
        self._expanded.pop("M" + msgtype, None)
        self._groups.clear()
        self._group_tags.clear()

    def add_message(self, msgtype: str, name: str, members: Iterable[Member], admin: bool = False) -> MessageType:
        """Add a message of the venue's own, or replace one."""
        self.standard = False
        message = MessageType(msgtype, name, admin, tuple(members))
        self.messages[msgtype] = message
        self._expanded.pop("M" + msgtype, None)
        self._groups.clear()
        self._group_tags.clear()
        return message

    def members(self, msgtype: str) -> tuple[Member, ...]:
        """Members of a message in order, components put in place; a group's own members too."""
        key = "M" + msgtype
        if key not in self._expanded:
            message = self.messages[msgtype]
            self._expanded[key] = tuple(self._expand(message.members, f"message {message.name}"))
        return self._expanded[key]

    def header_members(self) -> tuple[Member, ...]:
        if "H" not in self._expanded:
            self._expanded["H"] = tuple(self._expand(self.header, "header"))
        return self._expanded["H"]

    def trailer_members(self) -> tuple[Member, ...]:
        if "T" not in self._expanded:
            self._expanded["T"] = tuple(self._expand(self.trailer, "trailer"))
        return self._expanded["T"]

    def group(self, msgtype: str, counter: int) -> Member | None:
        """The repeating group counted by that tag in messages of that type, or None. Its members are expanded."""
        key = (msgtype, counter)
        if key not in self._groups:
            pools = [self.header_members(), self.trailer_members()]
            if msgtype in self.messages:
                pools.insert(0, self.members(msgtype))
            self._groups[key] = next((g for pool in pools for g in groups_of(pool) if g.tag == counter), None)
        return self._groups[key]

    def group_tags(self, msgtype: str, counter: int) -> frozenset[int] | None:
        """The tags of that group and of the groups in it, or None if there is no such group."""
        key = (msgtype, counter)
        if key not in self._group_tags:
            group = self.group(msgtype, counter)
            self._group_tags[key] = None if group is None or group.members is None else frozenset(
                [m.tag for m in group.members] + [m.tag for g in groups_of(group.members) for m in g.members or ()])
        return self._group_tags[key]

    def data_pairs(self) -> dict[int, int]:
        """Length fields and the data fields they announce: by name (RawDataLength, XmlDataLen), else the tag before."""
        pairs = {}
        for f in self.fields.values():
            if f.type in DATA_TYPES:
                tag = self.tags.get(f.name + "Len") or self.tags.get(f.name + "Length")
                before = self.fields.get(f.tag - 1)
                if tag is None and before is not None and before.type in ("LENGTH", "INT"):
                    tag = before.tag
                if tag is not None:
                    pairs[tag] = f.tag
        return pairs

    def _expand(self, members: Iterable[Member], where: str) -> list[Member]:
        spent = [0]
        return list(self._walk(members, True, where, (), spent))

    def _walk(self, members: Iterable[Member], required: bool, where: str, within: tuple[str, ...],
              spent: list[int]) -> Iterator[Member]:
        if len(within) > DEEPEST:
            raise DictionaryError(f"{where}: components and groups are nested more than {DEEPEST} deep")
        for m in members:
            spent[0] += 1
            if spent[0] > MOST_MEMBERS:
                raise DictionaryError(f"{where}: expands to more than {MOST_MEMBERS} fields")
            if m.component:
                if m.component in within:
                    raise DictionaryError(f"{where}: component {m.component} contains itself")
                # a field is required by a component only where the component is itself
                yield from self._walk(self.components[m.component], required and m.required, where,
                                      within + (m.component,), spent)
            elif m.members is not None:
                wanted = required and m.required
                inner = tuple(self._walk(m.members, wanted, where, within + ("",), spent))
                yield self._same(Member(m.tag, wanted, inner))
            else:
                yield self._same(Member(m.tag, required and m.required))

    def _same(self, m: Member) -> Member:
        """The one object for all equal members, so that comparing what holds them need not look into them."""
        return self._members.setdefault(m, m)

    # the generated tables

    def table(self) -> str:
        """This dictionary as text, one line a field, component and message; `from_table` reads it."""
        lines = [f"V\t{self.version}", "H\t" + _write(self.header), "T\t" + _write(self.trailer)]
        for f in sorted(self.fields.values(), key=lambda f: f.tag):
            if any("=" in value for value in f.values):
                raise DictionaryError(f"{f.name}({f.tag}): a value with '=' cannot be written to a table")
            values = "".join(f"\t{value}={name}" for value, name in f.values.items())
            lines.append(f"F\t{f.tag}\t{f.name}\t{f.type}{values}")
        lines += [f"C\t{name}\t{_write(members)}" for name, members in self.components.items()]
        lines += [f"M\t{m.msgtype}\t{m.name}\t{'admin' if m.admin else 'app'}\t{_write(m.members)}"
                  for m in self.messages.values()]
        return "\n".join(lines) + "\n"

    @classmethod
    def from_table(cls, text: str) -> Dictionary:
        d = cls("")
        for line in text.splitlines():
            kind, *rest = line.split("\t")
            if kind == "F":
                tag = int(rest[0])
                d.fields[tag] = Field(tag, rest[1], rest[2], dict(v.split("=", 1) for v in rest[3:]))
                d.tags[rest[1]] = tag
            elif kind == "C":
                d.components[rest[0]] = _read(rest[1])
            elif kind == "M":
                d.messages[rest[0]] = MessageType(rest[0], rest[1], rest[2] == "admin", _read(rest[3]))
            elif kind == "H":
                d.header = _read(rest[0])
            elif kind == "T":
                d.trailer = _read(rest[0])
            else:
                d.version = rest[0]
        return d


def groups_of(members: Iterable[Member]) -> Iterator[Member]:
    """Every group among expanded members, outer before inner."""
    for m in members:
        if m.members is not None:
            yield m
            yield from groups_of(m.members)


def _write(members: Iterable[Member]) -> str:
    return " ".join((f"@{m.component}" if m.component else str(m.tag)) + "!" * m.required
                    + (f"({_write(m.members)})" if m.members is not None else "") for m in members)


TOKEN = re.compile(r"(@?\w+)(!?)(\(?)|(\))")


def _read(text: str) -> tuple[Member, ...]:
    stack: list[list[Member]] = [[]]
    heads: list[tuple[int, bool]] = []
    for name, required, opening, closing in TOKEN.findall(text):
        if closing:
            members = tuple(stack.pop())
            tag, need = heads.pop()
            stack[-1].append(Member(tag, need, members))
        elif opening:
            heads.append((int(name), bool(required)))
            stack.append([])
        elif name[0] == "@":
            stack[-1].append(Member(0, bool(required), None, name[1:]))
        else:
            stack[-1].append(Member(int(name), bool(required)))
    return tuple(stack[0])
