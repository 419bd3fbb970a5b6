"""Specimens: valid messages of any dictionary, and the same made wrong in one or two places, seeded.

A specimen is a list of (tag, value) from MsgType(35) on, without CheckSum; `frame` makes octets of it.
"""
from fix.dictionary import Dictionary

TEXTS = {
    "INT": ["1", "42", "007", "-5"], "LENGTH": ["3"], "SEQNUM": ["7"], "TAGNUM": ["55"], "NUMINGROUP": ["2"],
    "DAYOFMONTH": ["15"],
    "FLOAT": ["1.5", "-0.25", "10"], "PRICE": ["101.25", "99"], "QTY": ["100", "002000.00"], "AMT": ["1000.5"],
    "PRICEOFFSET": ["0.5"], "PERCENTAGE": ["0.05"], "CHAR": ["A"], "BOOLEAN": ["Y", "N"],
    "UTCTIMESTAMP": ["20260102-03:04:05", "20260102-03:04:05.678"], "TIME": ["20260102-03:04:05"],
    "UTCTIMEONLY": ["03:04:05", "03:04:05.678"], "UTCDATE": ["20260102"], "UTCDATEONLY": ["20260102"], "DATE": ["20260102"],
    "LOCALMKTDATE": ["20260102"], "MONTHYEAR": ["202601"],
}
ODD = ["", "x", "+1", "1.2.3", "1e5", "-", ".", "1.", ".5", "0", "00", "-0", " 1", "1 ", "YY", "y", "a=b", "9" * 25,
       "20260102", "20261302", "2026010", "20260102-25:00:00", "20260102-03:04:05.6", "20260102-03:04:60", "03:04", "202613",
       "20260102-03:04:05.678901", "A B", "A  B", "!", "12345678901", "-9223372036854775809"]
UNKNOWN = [999, 4999, 5000, 9999, 12345, 40000]


class Specimens:
    def __init__(self, book: Dictionary, rng, transport=None):
        self.book, self.rng, self.transport = book, rng, transport
        self.header = (transport or book).header_members()
        self.types = sorted(t for t, m in book.messages.items() if not m.admin and len(t) <= 8)
        self.data = {length: tag for length, tag in book.data_pairs().items()}

    def value(self, tag):
        field = self.book.fields.get(tag) or self.transport.fields[tag]
        if field.values and field.type != "BOOLEAN":
            return self.rng.choice(sorted(field.values))
        return self.rng.choice(TEXTS.get(field.type, ["text"]))

    def fields(self, members, chance, depth=0):
        """Required members and some of the others, in order; groups with one or two entries."""
        out = []
        members = [m for m in members if m.tag not in self.data and m.tag not in self.data.values()]
        for i, m in enumerate(members):
            # the first member of a group begins each entry
            if not (m.required or (depth and i == 0) or self.rng.random() < chance):
                continue
            if m.members is None:
                out.append((m.tag, self.value(m.tag)))
                continue
            entries = [self.fields(m.members, 0.2 if depth == 0 else 0.1, depth + 1)
                       for _ in range(self.rng.choice([1, 1, 2]))]
            entries = [e for e in entries if e]
            out.append((m.tag, str(len(entries))))
            out += [field for entry in entries for field in entry]
        return out

    def valid(self):
        kind = self.rng.choice(self.types)
        head = [(35, kind), (34, "2"), (49, "A"), (52, "20260102-03:04:05"), (56, "B")]
        head += [(m.tag, self.value(m.tag)) for m in self.header
                 if m.members is None and m.tag in (50, 57, 115, 128, 129, 142, 143) and self.rng.random() < 0.1]
        members = self.book.members(kind)
        return head + self.fields(members, min(0.2, 12 / max(len(members), 1)))

    def wrong(self, fields):
        """One thing done to a list of fields."""
        fields, rng = list(fields), self.rng
        at = rng.randrange(1, len(fields))
        what = rng.randrange(8)
        tag, value = fields[at]
        if what == 0:
            del fields[at]
        elif what == 1:
            fields.insert(rng.randrange(1, len(fields) + 1), (tag, rng.choice([value, value, "2"])))
        elif what == 2:
            fields[at] = (tag, rng.choice(ODD))
        elif what == 3:
            fields.insert(at, (rng.choice(UNKNOWN), rng.choice(["x", "x", ""])))
        elif what == 4:
            known = rng.choice(sorted(self.book.fields))
            fields.insert(at, (known, self.value(known)))
        elif what == 5:
            fields.insert(rng.randrange(1, len(fields)), fields.pop(at))
        elif what == 6:
            counters = [i for i, (t, _) in enumerate(fields) if self.book.group(fields[0][1], t)]
            if counters:
                i = rng.choice(counters)
                fields[i] = (fields[i][0], rng.choice(["0", "1", "2", "3", "-1", "x", ""]))
        else:
            fields[at] = (tag, rng.choice([value.lower(), value + "0", value[:-1], value + " " + value]))
        return fields


def frame(begin, fields):
    body = "".join(f"{tag}={value}\x01" for tag, value in fields).encode("latin-1")
    text = b"8=%b\x019=%d\x01" % (begin.encode(), len(body)) + body
    return text + b"10=%03d\x01" % (sum(text) % 256)
