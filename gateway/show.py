"""`fixwire show`: every FIX message of a capture, for people or as JSON lines. The reading is in transcript.pyx."""
import argparse
import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, BinaryIO, Literal

from gateway.cli import Mistake, colour, complain, end

if TYPE_CHECKING:
    from gateway.transcript import Transcript

BAR_FROM = 16 << 20         # octets of a file from which a progress bar is worth its line


def main(args: argparse.Namespace) -> int:
    """Exit code: 0, or 2 for a file that is no capture, or is damaged further on (what came before is shown)."""
    from gateway.transcript import Transcript
    host, port = end(args.host, "--host") if args.host is not None else (None, None)
    types = args.type.split(",") if args.type is not None else []
    if len(types) > 32 or not all(0 < len(t) <= 8 for t in types):
        raise Mistake(f"--type is {args.type!r}, must be 1 to 32 MsgTypes of 1 to 8 characters, as in D,8")
    lines: Literal["none", "octets", "json"] = "none" if args.summary else "json" if args.json else "octets"
    if os.path.isdir(args.file):
        raise Mistake(f"{args.file} is a directory")
    try:
        t = Transcript(args.file, lines=lines, types=types, host=host, port=port, checksums=args.checksums)
    except (OSError, ValueError) as e:      # DeviceError, PcapError
        raise Mistake(str(e)) from None
    return show(t, args, sys.stdout.buffer)


def show(t: "Transcript", args: argparse.Namespace, out: BinaryIO) -> int:
    """Everything to `out`, the totals to standard error (with --summary: as JSON to `out`)."""
    view = View(colour())
    bar = Bar(sys.stderr.isatty() and (args.summary or not sys.stdout.isatty())
              and _size(args.file) >= BAR_FROM)
    more = True
    while more:
        more = t.read()
        batch = t.take()
        out.write(view.messages(batch).encode() if isinstance(batch, list) else batch)
        bar.at(t.progress)
    bar.at(None)
    t.close()
    totals = t.summary()
    if t.error is not None and not totals["packets"]:
        return complain(str(t.error))
    if args.summary:
        import json
        out.write(json.dumps(totals).encode() + b"\n")
    else:
        out.flush()
        sys.stderr.write(sentence(totals) + "\n")
    out.flush()
    if t.error is not None:
        return complain(f"{t.error}; what comes before it was read")
    if t.truncated:
        sys.stderr.write(f"fixwire: {args.file} ends within a packet; the whole ones were read\n")
    return 0


def sentence(totals: Mapping[str, object]) -> str:
    """The totals as one line for people."""
    words = [f"{totals[k]} {k.replace('_', '-')}" for k in
             ("packets", "flows", "messages", "garbled", "retransmissions", "out_of_order")]
    words += [f"{totals[k]} {name}" for k, name in
              (("gaps", "gaps"), ("truncated", "packets cut"), ("bad_checksum", "bad checksums")) if totals[k]]
    return ", ".join(words)


class View:
    """Messages as people read them: a line with time, ends and type, then a line a field."""

    def __init__(self, colours: bool) -> None:
        self.strong, self.dim, self.off = ("\033[1m", "\033[2m", "\033[0m") if colours else ("", "", "")
        self.before: int | None = None
        self.day: tuple[int, str] = (-1, "")
        self.names: dict[bytes, Names] = {}

    def messages(self, batch: list[tuple[int, str, str, bytes]]) -> str:
        """`batch` as from Transcript.take."""
        return "".join([self.message(*m) for m in batch])

    def message(self, ts_ns: int, src: str, dst: str, raw: bytes) -> str:
        """One message with an empty line behind it."""
        names = self.names_of(raw)
        fields = names.split(raw)
        kind = next((v for t, v in fields if t == b"35"), b"").decode("latin-1")
        step = "" if self.before is None else f"  {(ts_ns - self.before) / 1e9:+.6f} s"
        self.before = ts_ns
        lines = [f"{self.strong}{self.time(ts_ns)}  {src} > {dst}  {names.message(kind)}{self.off}"
                 f"{self.dim}{step}{self.off}\n"]
        for tag, value in fields:
            name, values = names.field(tag)
            text = printable(value)
            meaning = values.get(text)
            lines.append(f"  {self.dim}{printable(tag):>6}{self.off}  {name:<22} {text}"
                         + (f"  {self.dim}{meaning}{self.off}\n" if meaning else "\n"))
        lines.append("\n")
        return "".join(lines)

    def names_of(self, raw: bytes) -> "Names":
        """The names of the version in BeginString."""
        begin = raw[2:raw.find(b"\x01")]
        names = self.names.get(begin)
        if names is None:
            names = self.names[begin] = Names(begin.decode("latin-1"))
        return names

    def time(self, ts_ns: int) -> str:
        """UTC with nine decimals."""
        seconds, ns = divmod(ts_ns, 10**9)
        day, second = divmod(seconds, 86400)
        if self.day[0] != day:
            import datetime
            try:
                self.day = day, str(datetime.date(1970, 1, 1) + datetime.timedelta(day))
            except OverflowError:
                self.day = day, f"day {day}"
        return f"{self.day[1]} {second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}.{ns:09}"


class Names:
    """Names of messages, fields and values for one BeginString."""

    def __init__(self, begin: str) -> None:
        from fix.dictionary import standard
        from fix.errors import DictionaryError
        try:
            self.books = [standard(begin)]
        except DictionaryError:
            self.books = [standard("FIX.4.4")]
        if begin.startswith("FIXT"):
            self.books.append(standard("FIX.5.0SP2"))
        self.fields: dict[bytes, tuple[str, dict[str, str]]] = {}
        self.kinds: dict[str, str] = {}
        self.data = {str(a).encode(): str(b).encode() for book in self.books
                     for a, b in book.data_pairs().items()}

    def message(self, kind: str) -> str:
        """`NewOrderSingle(D)`; only the MsgType where the dictionary has no such message."""
        if kind not in self.kinds:
            found = [b.messages[kind].name for b in self.books if kind in b.messages]
            text = printable(kind.encode("latin-1"))
            self.kinds[kind] = f"{found[0]}({text})" if found else f"MsgType {text}"
        return self.kinds[kind]

    def field(self, tag: bytes) -> tuple[str, dict[str, str]]:
        """(name, {value: meaning}); both empty for a tag the dictionary does not know."""
        known = self.fields.get(tag)
        if known is None:
            known = ("", {})
            if tag.isdigit() and len(tag) < 11:
                for book in self.books:
                    f = book.fields.get(int(tag))
                    if f is not None:
                        values = {v: m.name for v, m in book.messages.items()} if tag == b"35" else f.values
                        known = (f.name, {**values, **known[1]})
            if len(self.fields) < 10_000:       # of a capture of garbage the names are not kept for ever
                self.fields[tag] = known
        return known

    def split(self, raw: bytes) -> list[tuple[bytes, bytes]]:
        """(tag, value) of every field; a data field may hold SOH, its Length field says how many octets it has."""
        out = []
        at, n, data, length = 0, len(raw), b"", 0
        while at < n:
            equals = raw.find(b"=", at)
            stop = raw.find(b"\x01", at)
            stop = n if stop < 0 else stop
            if equals < 0 or equals > stop:
                out.append((b"", raw[at:stop]))
                at = stop + 1
                continue
            tag = raw[at:equals]
            if tag == data and raw[equals + 1 + length:equals + 2 + length] == b"\x01":
                stop = equals + 1 + length
            value = raw[equals + 1:stop]
            out.append((tag, value))
            data = self.data.get(tag, b"")
            length = int(value) if data and value.isdigit() and len(value) < 8 else n
            at = stop + 1
        return out


_UNPRINTABLE = {c: f"\\x{c:02x}" for c in (*range(0x20), *range(0x7F, 0xA0))} | {0x5C: "\\\\"}


def printable(octets: bytes) -> str:
    """Latin-1 text; what a terminal would act upon as \\xNN."""
    text = octets.decode("latin-1")
    return text if text.isascii() and text.isprintable() and "\\" not in text else text.translate(_UNPRINTABLE)


class Bar:
    """Progress on a terminal: one line that is gone at the end."""

    def __init__(self, on: bool) -> None:
        self.on, self.shown = on, -1

    def at(self, part: float | None) -> None:
        """`part` from 0 to 1; None takes the line away."""
        if not self.on:
            return
        percent = -1 if part is None else int(part * 100)
        if percent != self.shown:
            self.shown = percent
            sys.stderr.write("\r\033[K" if part is None else f"\r[{'#' * (percent // 4):<25}] {percent:3} %")
            sys.stderr.flush()


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0
