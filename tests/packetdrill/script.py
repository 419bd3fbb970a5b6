"""The packetdrill language: text -> options and a list of events. What we do not play raises Unsupported by name.

Numbers of a script are kept as they stand; runner maps them to live ones. Times are integer nanoseconds.
"""
from __future__ import annotations

import dataclasses
import re

TOKENS = re.compile(r"""
    (?P<space>[ \t\r\n]+ | //[^\n]* | /\*.*?\*/ | \#[^\n]*)
  | (?P<code>%\{.*?\}%)
  | (?P<command>`(?:\\.|[^`])*`)
  | (?P<string>"(?:\\.|[^"])*")
  | (?P<ellipsis>\.\.\.)
  | (?P<option>--[A-Za-z0-9_]+)
  | (?P<ipv4>\d+\.\d+\.\d+\.\d+)
  | (?P<float>-?\d*\.\d+)
  | (?P<hex>0x[0-9a-fA-F]+)
  | (?P<number>-?\d+(?![A-Za-z0-9_]))
  | (?P<word>[A-Za-z0-9_]+)
  | (?P<char>.)
""", re.X | re.S)


class ScriptError(Exception):
    """The text is not a script; `line` says where."""

    def __init__(self, line, message):
        super().__init__(f"line {line}: {message}")
        self.line = line


class Unsupported(Exception):
    """A script we understand to ask for something this stack, or this runner, does not have."""

    def __init__(self, line, what):
        super().__init__(f"line {line}: {what}")
        self.line = line


ELLIPSIS = type("Ellipsis", (), {"__repr__": lambda self: "..."})()


@dataclasses.dataclass
class Time:
    kind: str                       # absolute, relative, any, range, relative range
    start: int = 0
    end: int | None = None          # of a range


@dataclasses.dataclass
class Packet:
    outbound: bool
    flags: str = ""                 # letters of FSRPUEWA, and "." for ACK, as they stand
    seq: int = 0
    end: int = 0
    length: int = 0
    ack: int | None = None
    win: int | None = None
    urg: int | None = None
    options: list | None = None     # None: unchecked (<...>)
    ports: tuple[int, int] | None = None
    ecn: str | None = None          # noecn ect0 ect1 ce ect01
    tos: int | None = None
    ttl: int | None = None
    icmp: str | None = None
    icmp_code: str | None = None
    mtu: int | None = None
    quoted: tuple[int, int] | None = None   # sequence number and length of the segment an ICMP error quotes


@dataclasses.dataclass
class Call:
    name: str
    args: list
    result: object
    errno: str | None = None
    end: int | None = None          # a blocking call ends then: nanoseconds after (or at, if absolute) its base


@dataclasses.dataclass
class Command:
    text: str


@dataclasses.dataclass
class Code:
    text: str


@dataclasses.dataclass
class Event:
    line: int
    time: Time
    action: Packet | Call | Command | Code


@dataclasses.dataclass
class Script:
    options: dict
    setup: list                     # commands before the first event, each with its line
    events: list


class Reader:
    def __init__(self, text):
        self.tokens = []
        line = 1
        for m in TOKENS.finditer(text):
            kind = m.lastgroup
            if kind != "space":
                self.tokens.append((kind, m.group(), line))
            line += m.group().count("\n")
        self.tokens.append(("end", "", line))
        self.at = 0

    # -- tokens

    @property
    def kind(self):
        return self.tokens[self.at][0]

    @property
    def text(self):
        return self.tokens[self.at][1]

    @property
    def line(self):
        return self.tokens[self.at][2]

    def peek(self, ahead=1):
        return self.tokens[min(self.at + ahead, len(self.tokens) - 1)][1]

    def take(self, text=None, kind=None):
        if (text is not None and self.text != text) or (kind is not None and self.kind != kind):
            self.wrong(f"{text or kind} expected")
        taken = self.text
        if self.kind != "end":
            self.at += 1
        return taken

    def maybe(self, text):
        if self.text == text:
            self.at += 1
            return True
        return False

    def wrong(self, what):
        raise ScriptError(self.line, f"{what}, found {self.text!r}")

    def integer(self, most=None):
        if self.kind == "hex":
            value = int(self.take(), 16)
        elif self.kind == "number":
            value = int(self.take())
        else:
            self.wrong("a number expected")
        if most is not None and not 0 <= value <= most:
            raise ScriptError(self.line, f"{value} is out of range 0..{most}")
        return value

    # -- the whole

    def script(self):
        options, setup, events = {}, [], []
        while self.kind == "option":
            name = self.take()[2:]
            value = ""
            if self.maybe("="):
                value = self.take()
                while self.line == self.tokens[self.at - 1][2] and self.kind != "end" and self.kind != "option":
                    value += self.take()
            options.setdefault(name, []).append(value.strip('"'))
        while self.kind == "command":
            setup.append((self.line, self.take()[1:-1]))
        while self.kind != "end":
            if self.kind == "command" and self.peek() == "":    # clean-up after the last event, or a last question
                events.append(Event(self.line, Time("relative"), Command(self.take()[1:-1])))
                continue
            if self.kind == "command":
                setup.append((self.line, self.take()[1:-1]))
                continue
            events.append(self.event())
        return Script(options, setup, events)

    def event(self):
        line = self.line
        when = self.time()
        match self.kind:
            case "command":
                action = Command(self.take()[1:-1])
            case "code":
                action = Code(self.take()[2:-2])
            case _ if self.text in "<>" and self.text:
                action = self.packet()
            case "word" | "ellipsis":
                action = self.call()
            case _:
                self.wrong("a packet, a call, `command` or %{ code }% expected")
        outbound = isinstance(action, Packet) and action.outbound
        if when.kind in ("any", "range", "relative range") and not outbound:
            raise ScriptError(line, f"a time of kind {when.kind!r} is for outbound packets only")
        if when.end is not None and when.end < when.start:
            raise ScriptError(line, "the time range runs backwards")
        return Event(line, when, action)

    def seconds(self):
        if self.kind not in ("float", "number"):
            self.wrong("a time in seconds expected")
        text = self.take()
        if text.startswith("-"):
            raise ScriptError(self.line, f"time {text} is negative")
        whole, _, rest = text.partition(".")
        if len(rest) > 9:
            raise ScriptError(self.line, f"time {text} is finer than a nanosecond")
        return int(whole or 0) * 1_000_000_000 + int(rest.ljust(9, "0") or 0)

    def time(self):
        if self.maybe("*"):
            return Time("any")
        relative = self.maybe("+")
        start = self.seconds()
        if not self.maybe("~"):
            return Time("relative" if relative else "absolute", start)
        if relative:
            self.take("+")
        return Time("relative range" if relative else "range", start, self.seconds())

    # -- packets

    def packet(self):
        p = Packet(self.take() == ">")
        line = self.line
        if self.text in ("ipv4", "ipv6", "gre", "GREv0", "mpls"):
            raise Unsupported(line, f"encapsulation {self.text}")
        if self.text == "[" and self.tokens[self.at + 1][0] in ("number", "hex"):
            p.quoted = self.quotation()             # FreeBSD's order: < [1:1461(1460)] icmp unreachable ...
        if self.text in ("[", "("):
            self.ip_info(p)
        if self.text == "udp":
            raise Unsupported(line, "UDP packets")
        if self.text == "icmp":
            return self.icmp(p)
        if self.kind == "number":
            p.ports = self.integer(65535), (self.take(">"), self.integer(65535))[1]
        p.flags = self.flags()
        p.seq, p.end, p.length = self.sequence()
        if self.maybe("ack"):
            p.ack = self.integer(2**32 - 1)
        if self.maybe("win"):
            p.win = self.integer(65535)
        if self.maybe("urg"):
            p.urg = self.integer(65535)
        p.options = []
        if self.text == "<" and not self.begins_a_packet():
            p.options = self.tcp_options(p)
        if self.text == "{":
            raise Unsupported(line, "fuzzed packets")
        return p

    def begins_a_packet(self):
        """`<` on the same line is the option list; a packet needs a time in front of it."""
        return self.line != self.tokens[self.at - 1][2]

    def ip_info(self, p):
        close = "]" if self.take() == "[" else ")"
        while not self.maybe(close):
            word = self.take()
            if word in ("noecn", "ect0", "ect1", "ect01", "ce"):
                p.ecn = word
            elif word == "tos":
                p.tos = self.integer(255)
            elif word == "ttl":
                p.ttl = self.integer(255)
            elif word in ("flowlabel", "hlim"):
                raise Unsupported(self.line, f"IPv6 {word}")
            elif word != ",":
                raise ScriptError(self.line, f"{word!r} is no word for IP")
        if p.ecn == "ect01" and not p.outbound:
            raise ScriptError(self.line, "[ect01] is for outbound packets only")

    def flags(self):
        if self.maybe("-"):
            return ""
        flags = ""
        if self.kind == "word" and not self.text[0].isdigit():
            flags = self.take()
        if self.kind == "float" and self.text.startswith("."):
            raise Unsupported(self.line, f"AccECN counter {self.text}")
        if self.maybe("."):
            flags += "."
        if self.kind == "word" and not self.text[0].isdigit() and self.text not in ("ack", "win"):
            flags += self.take()                # ".UE": letters behind the dot
        if not flags or set(flags) - set("FSRPUEWA."):
            raise ScriptError(self.line, f"flags {flags!r} are not of FSRPUEWA and .")
        if "A" in flags:
            raise Unsupported(self.line, "the AE flag of AccECN")
        return flags

    def sequence(self):
        start = self.integer(2**32 - 1)
        self.take(":")
        end = self.integer(2**32 - 1)
        self.take("(")
        n = self.integer(65535)
        self.take(")")
        if end != (start + n) % 2**32:
            raise ScriptError(self.line, f"sequence {start}:{end} does not hold {n} octets")
        return start, end, n

    def icmp(self, p):
        self.take("icmp")
        p.icmp = self.take(kind="word")
        if self.kind == "word" and self.text not in ("mtu", "id"):
            p.icmp_code = self.take()
        if self.maybe("mtu"):
            p.mtu = self.integer(65535)
        if self.maybe("id"):
            self.integer()
        if self.text == "[":
            p.quoted = self.quotation()
        return p

    def quotation(self):
        self.take("[")
        if self.text in ("udp", "raw"):
            raise Unsupported(self.line, f"ICMP about {self.text}")
        seq, _, n = self.sequence()
        self.take("]")
        return seq, n

    def tcp_options(self, p):
        """A list of tuples (name, values...), or None for <...>."""
        self.take("<")
        if self.maybe("..."):
            self.take(">")
            if not p.outbound:
                raise ScriptError(self.line, "<...> is for outbound packets only")
            return None
        out = []
        while True:
            word = self.take(kind="word")
            if word in ("nop", "eol", "sackOK"):
                out.append((word,))
            elif word == "mss":
                out.append((word, self.integer(65535)))
            elif word in ("uto", "uto_min"):        # RFC 5482, in seconds or minutes: names of our own
                out.append((word, self.integer(32767)))
            elif word == "wscale":
                out.append((word, self.integer(255)))
            elif word == "TS":
                self.take("val")
                val = ELLIPSIS if self.maybe("...") else self.integer(2**32 - 1)
                self.take("ecr")
                ecr = ELLIPSIS if self.maybe("...") else self.integer(2**32 - 1)
                out.append((word, val, ecr))
            elif word == "sack":
                blocks = []
                while self.kind == "number":
                    left = self.integer(2**32 - 1)
                    self.take(":")
                    blocks.append((left, self.integer(2**32 - 1)))
                out.append((word, *blocks))
            elif word in ("FO", "FOEXP", "md5", "ECN", "ACC", "e0b", "mp_capable", "exp", "gen"):
                raise Unsupported(self.line, f"TCP option {word}")
            else:
                raise ScriptError(self.line, f"{word!r} is no TCP option")
            if self.maybe(">"):
                return out
            self.take(",")

    # -- calls

    def call(self):
        call = Call("", [], None)
        if self.maybe("..."):
            call.end = self.seconds()
        call.name = self.take(kind="word")
        self.take("(")
        while not self.maybe(")"):
            call.args.append(self.expression())
            if self.text != ")":
                self.take(",")
        self.take("=")
        call.result = self.expression()
        if self.kind == "word" and self.text[0].isupper() and self.peek() not in ("=", "("):
            call.errno = self.take()
        elif self.kind == "word" and self.text[0].isupper() and self.peek() == "(":
            call.errno = self.take()
        if self.text == "(":                    # a note for the human reader
            while not self.maybe(")"):
                self.take()
        return call

    def expression(self):
        value = self.operand()
        while self.maybe("|"):
            other = self.operand()
            value = ("|", value, other)
        return value

    def operand(self):
        match self.kind:
            case "ellipsis":
                self.take()
                return ELLIPSIS
            case "number" | "hex":
                return self.integer()
            case "string":
                text = self.take()[1:-1]
                while self.kind == "string":
                    text += self.take()[1:-1]
                self.maybe("...")
                return text.encode().decode("unicode_escape").encode("latin-1")
            case "word" | "ipv4":
                word = self.take()
                if self.text == "(":            # htons(8080), inet_addr("10.0.0.1")
                    self.take()
                    value = [] if self.text == ")" else [self.expression()]
                    while self.maybe(","):
                        value.append(self.expression())
                    self.take(")")
                    return (word, *value)
                return word
            case "char" if self.text == "[":
                self.take()
                out = []
                while not self.maybe("]"):
                    out.append(self.expression())
                    if self.text != "]":
                        self.take(",")
                return out
            case "char" if self.text == "{":
                return self.struct()
        self.wrong("an expression expected")

    def struct(self):
        """{onoff=1, linger=0}, {fd=3, events=POLLIN}, {..., 1000}: a dict, positions for what has no name."""
        self.take("{")
        out = {}
        while not self.maybe("}"):
            value = self.expression()
            if self.maybe("="):
                name = value[0] if isinstance(value, tuple) else value     # msg_iov(2)=[...]
                value = self.expression()
                out[name] = value
            else:
                out[len(out)] = value
            if self.text != "}":
                self.take(",")
        return out


def chosen(text, defined):
    """`text` with the lines between #ifdef NAME, #else and #endif blanked that are not for `defined`."""
    lines, nested = [], []
    for line in text.split("\n"):
        words = line.split()
        if words[:1] in (["#ifdef"], ["#ifndef"]) and len(words) > 1:
            nested.append((words[1] in defined) == (words[0] == "#ifdef"))
        elif words[:1] == ["#else"] and nested:
            nested[-1] = not nested[-1]
        elif words[:1] == ["#endif"] and nested:
            nested.pop()
        elif all(nested):
            lines.append(line)
            continue
        lines.append("")
    return "\n".join(lines)


def read(text, defined=()):
    """The Script in `text`; raises ScriptError or Unsupported. `defined`: for which names its #ifdef lines count."""
    return Reader(chosen(text, defined)).script()
