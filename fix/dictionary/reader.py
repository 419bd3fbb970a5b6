"""A user's data dictionary: QuickFIX-format XML to a Dictionary.

Refused with `file:line: what`: DOCTYPE and entities (nothing is ever expanded or fetched), anything not well-formed,
names that are not defined, tags and types out of range, components that contain themselves or grow without measure.
Attributes and elements this format does not have are errors too: a misspelt `required` must not be a relaxed check.
"""
from __future__ import annotations

import os
import pathlib
from typing import Any
from xml.parsers import expat

from ..errors import DictionaryError
from .specification import DEEPEST, Dictionary, Member

LARGEST = 64 << 20      # octets of a file; FIX50SP2.xml, the largest there is, has 1.5 million
ATTRIBUTES = {
    "fix": {"type", "major", "minor", "servicepack", "fixtransport", "extensionpack"},
    "header": set(), "trailer": set(), "messages": set(), "components": set(), "fields": set(),
    "message": {"name", "msgtype", "msgcat"},
    "component": {"name", "required"},
    "group": {"name", "required"},
    "field": {"name", "required", "number", "type"},
    "value": {"enum", "description", "group"},
}
# written by other tools, without a meaning here
NOTES = {"added", "addedEP", "updated", "updatedEP", "deprecated", "deprecatedEP", "comment", "description", "id",
         "abbrName", "elaboration", "allowOtherValues"}
INSIDE = {
    "": {"fix"}, "fix": {"header", "trailer", "messages", "components", "fields"},
    "header": {"field", "group", "component"}, "trailer": {"field", "group", "component"},
    "messages": {"message"}, "components": {"component"}, "fields": {"field"},
    "message": {"field", "group", "component"}, "group": {"field", "group", "component"},
    "component": {"field", "group", "component"}, "field": {"value"}, "value": set(),
}


class _Element:
    __slots__ = ("attributes", "children", "kind", "line")

    def __init__(self, kind: str, attributes: dict[str, str], line: int) -> None:
        self.kind = kind
        self.attributes = attributes
        self.children: list[_Element] = []
        self.line = line


def load(path: str | os.PathLike[str]) -> Dictionary:
    """The Dictionary in the QuickFIX-format XML file at `path`. DictionaryError says file, line and what is wrong."""
    where = os.fspath(path)
    try:
        size = os.path.getsize(where)
        if size > LARGEST:
            raise DictionaryError(f"{where}: {size} octets, more than {LARGEST}")
        text = pathlib.Path(where).read_bytes()
    except OSError as e:
        raise DictionaryError(f"{where}: {e.strerror}") from e
    return loads(text, where)


def loads(text: bytes | str, name: str = "<dictionary>") -> Dictionary:
    """As `load`, from the XML itself; `name` stands in the errors."""
    return _Reader(name).read(text)


class _Reader:
    def __init__(self, name: str) -> None:
        self.name = name

    def fail(self, line: int, what: str) -> DictionaryError:
        return DictionaryError(f"{self.name}:{line}: {what}")

    def read(self, text: bytes | str) -> Dictionary:
        root = self.tree(text)
        d = Dictionary(self.version(root))
        sections = {child.kind: child for child in root.children}
        for kind in ("header", "trailer", "messages", "fields"):
            if kind not in sections:
                raise self.fail(root.line, f"<fix> has no <{kind}>")
        for e in sections["fields"].children:
            self.field(d, e)
        components = sections["components"].children if "components" in sections else []
        lines = {self.get(e, "name"): e.line for e in components}
        for e in components:
            name = self.get(e, "name")
            if name in d.components:
                raise self.fail(e.line, f"component {name} is defined twice")
            d.components[name] = self.members(d, e, lines)
        d.header = self.members(d, sections["header"], lines)
        d.trailer = self.members(d, sections["trailer"], lines)
        try:
            d.header_members()
            d.trailer_members()
        except DictionaryError as error:
            raise self.fail(root.line, str(error)) from None
        for e in sections["messages"].children:
            self.message(d, e, lines)
        return d

    def tree(self, text: bytes | str) -> _Element:
        parser = expat.ParserCreate()
        top = _Element("", {}, 0)
        stack = [top]

        def start(kind: str, attributes: dict[str, str]) -> None:
            line = parser.CurrentLineNumber
            if kind not in INSIDE[stack[-1].kind]:
                raise self.fail(line, f"<{kind}> does not belong in <{stack[-1].kind or 'document'}>")
            for a in attributes:
                if a not in ATTRIBUTES[kind] and a not in NOTES and not a.startswith(("xmlns", "xsi:")):
                    raise self.fail(line, f"<{kind}> has no attribute {a!r}")
            if len(stack) > DEEPEST + 8:
                raise self.fail(line, f"elements are nested more than {DEEPEST} deep")
            e = _Element(kind, attributes, line)
            stack[-1].children.append(e)
            stack.append(e)

        def end(kind: str) -> None:
            stack.pop()

        def refuse(*args: Any) -> None:
            raise self.fail(parser.CurrentLineNumber, "DOCTYPE and entities are refused")

        parser.StartElementHandler = start
        parser.EndElementHandler = end
        parser.StartDoctypeDeclHandler = refuse
        parser.EntityDeclHandler = refuse
        try:
            parser.Parse(text, True)
        except expat.ExpatError as e:
            raise self.fail(e.lineno, f"not well-formed XML: {expat.ErrorString(e.code)}") from None
        except (ValueError, UnicodeError, LookupError) as e:
            if isinstance(e, DictionaryError):
                raise
            raise self.fail(parser.CurrentLineNumber, f"not readable as XML: {e}") from None
        return top.children[0]

    def get(self, e: _Element, attribute: str) -> str:
        value = e.attributes.get(attribute, "")
        if not value:
            raise self.fail(e.line, f"<{e.kind}> needs {attribute}")
        if any(c in value for c in "\t\n\r\x01"):
            raise self.fail(e.line, f"<{e.kind}> {attribute} {value!r} has a control character in it")
        return value

    def number(self, e: _Element, attribute: str) -> int:
        value = self.get(e, attribute)
        if not (value.isascii() and value.isdigit() and len(value) < 11):
            raise self.fail(e.line, f"<{e.kind}> {attribute} is {value!r}, must be a number")
        return int(value)

    def required(self, e: _Element) -> bool:
        value = e.attributes.get("required", "N")
        if value not in ("Y", "N", "y", "n"):
            raise self.fail(e.line, f"required is {value!r}, must be Y or N")
        return value in "Yy"

    def version(self, root: _Element) -> str:
        kind = root.attributes.get("type", "FIX")
        if kind not in ("FIX", "FIXT"):
            raise self.fail(root.line, f"type is {kind!r}, must be FIX or FIXT")
        text = f"{kind}.{self.number(root, 'major')}.{self.number(root, 'minor')}"
        pack = self.number(root, "servicepack") if root.attributes.get("servicepack") else 0
        return text + (f"SP{pack}" if pack else "")

    def field(self, d: Dictionary, e: _Element) -> None:
        name, tag, kind = self.get(e, "name"), self.number(e, "number"), self.get(e, "type").upper()
        if tag in d.fields:
            raise self.fail(e.line, f"tag {tag} is {d.fields[tag].name} and {name}")
        values: dict[str, str] = {}
        for v in e.children:
            values[self.get(v, "enum")] = v.attributes.get("description", "")
        try:
            d.add_field(tag, name, kind, values)
        except DictionaryError as error:
            raise self.fail(e.line, str(error)) from None

    def message(self, d: Dictionary, e: _Element, lines: dict[str, int]) -> None:
        msgtype, name = self.get(e, "msgtype"), self.get(e, "name")
        category = e.attributes.get("msgcat", "app")
        if category not in ("app", "admin"):
            raise self.fail(e.line, f"msgcat is {category!r}, must be app or admin")
        if msgtype in d.messages:
            raise self.fail(e.line, f"msgtype {msgtype} is {d.messages[msgtype].name} and {name}")
        d.add_message(msgtype, name, self.members(d, e, lines), category == "admin")
        try:
            d.members(msgtype)
        except DictionaryError as error:
            raise self.fail(e.line, str(error)) from None

    def members(self, d: Dictionary, e: _Element, components: dict[str, int]) -> tuple[Member, ...]:
        found = []
        for child in e.children:
            name = self.get(child, "name")
            if child.kind == "component":
                if name not in components:
                    raise self.fail(child.line, f"component {name} is not defined")
                found.append(Member(0, self.required(child), None, name))
                continue
            tag = d.tags.get(name)
            if tag is None:
                raise self.fail(child.line, f"field {name} is not defined in <fields>")
            if child.kind == "group":
                inner = self.members(d, child, components)
                if not inner:
                    raise self.fail(child.line, f"group {name} has no members")
                found.append(Member(tag, self.required(child), inner))
            else:
                found.append(Member(tag, self.required(child)))
        return tuple(found)
