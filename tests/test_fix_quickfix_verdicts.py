"""The real QuickFIX's DataDictionary and our Validator over the same messages: the same reason and RefTagID.

Where they differ on purpose, one of the DIFFERENCES below says why; any other difference fails. FIXWIRE_SPECIMENS sets
how many messages of each version are compared.
"""
import os
import pathlib
import random

import pytest
from fix_specimens import Specimens, frame

import fix
from fix import dictionary

quickfix = pytest.importorskip("quickfix", reason="quickfix is not installed (pip install quickfix-tls)")
XML = pathlib.Path(__file__).parent.parent.parent / "shared" / "dictionaries"
N = int(os.environ.get("FIXWIRE_SPECIMENS", "250"))
REASONS = {"InvalidTagNumber": 0, "RequiredTagMissing": 1, "TagNotDefinedForMessage": 2, "NoTagValue": 4,
           "IncorrectTagValue": 5, "IncorrectDataFormat": 6, "InvalidMessageType": 11, "RepeatedTag": 13,
           "TagOutOfOrder": 14, "RepeatingGroupCountMismatch": 16}
VERSIONS = ["FIX40", "FIX41", "FIX42", "FIX43", "FIX44", "FIX50", "FIX50SP1", "FIX50SP2"]

pytestmark = pytest.mark.skipif(not XML.is_dir(), reason="../shared/dictionaries is not there")


def theirs(raw, book, transport):
    """(reason, tag), None, or "InvalidMessage" where its parser takes the message for garbled."""
    try:
        text = raw.decode("latin-1")
        if transport is None:
            book.validate(quickfix.Message(text, book, True))
        else:
            quickfix.DataDictionary.validate(quickfix.Message(text, transport, book, True), transport, book)
    except quickfix.InvalidMessage:
        return "InvalidMessage"
    except tuple(getattr(quickfix, name) for name in REASONS) as fault:
        reason = REASONS[type(fault).__name__]
        return reason, fault.field if reason != 11 else 0
    return None


def ours(raw, validator):
    fault = validator.check(fix.parse(raw, validator.dictionary))
    return fault and fault[:2]


class Case:
    def __init__(self, book, fields, theirs, ours):
        self.book, self.fields, self.theirs, self.ours = book, fields, theirs, ours
        self.reason, self.tag = ours or (None, None)
        self.their_reason, self.their_tag = theirs if isinstance(theirs, tuple) else (None, None)
        self.count = [tag for tag, _ in fields].count
        kind = fields[0][1]
        self.grouped = set()
        for tag, _ in fields:
            self.grouped |= book.group_tags(kind, tag) or set()

    def type(self, tag):
        return self.book.fields[tag].type if tag in self.book.fields else ""

    def wide(self, tag):
        """An integer that 32 bits do not hold, or a zero with a sign."""
        return any(t == tag and v.lstrip("-").isdigit() and (len(v) > 9 or v == "-0") for t, v in self.fields)


DIFFERENCES = {
    # QuickFIX looks at the counters of a message's own groups and at what their entries require, at nothing else in them;
    # nor does it demand the counter of a required group within a group
    "within a group": lambda c: c.tag in c.grouped and c.reason in (1, 4, 5, 6, 13, 15, 16),
    # text that is no date, for QuickFIX a string
    "dates": lambda c: c.reason == 6 and c.type(c.tag) in ("LOCALMKTDATE", "MONTHYEAR", "DATE", "DAYOFMONTH"),
    # two dictionaries: QuickFIX asks the application's for what the header requires, and that one has no header
    "header over FIXT": lambda c: c.reason == 1 and c.tag in (34, 49, 52, 56) and c.book.version.startswith("FIX.5"),
    "integers have 64 bits": lambda c: c.their_reason == 6 and c.wide(c.their_tag),
    # which of two equal tags it looks at first depends on its sort
    "a repeated tag": lambda c: c.tag is not None and c.tag == c.their_tag and c.count(c.tag) > 1,
    # data without its Length, or 8, 9, 10 in the middle: garbled for its parser; we say what is wrong
    "garbled for its parser": lambda c: c.theirs == "InvalidMessage",
}


@pytest.mark.parametrize("version", VERSIONS)
def test_same_verdicts(version):
    book = dictionary.standard(version)
    fixt = dictionary.standard("FIXT.1.1") if version.startswith("FIX50") else None
    validator = fix.Validator(book, fixt)
    their_book = quickfix.DataDictionary(str(XML / f"{version}.xml"))
    their_fixt = quickfix.DataDictionary(str(XML / "FIXT11.xml")) if fixt else None
    rng = random.Random(version)
    specimens = Specimens(book, rng, fixt)
    same, faults, unexplained = 0, set(), []
    for _ in range(N):
        fields = specimens.valid()
        for _ in range(rng.choice([0, 1, 1, 1, 2])):
            fields = specimens.wrong(fields)
        raw = frame("FIXT.1.1" if fixt else book.version, fields)
        a, b = theirs(raw, their_book, their_fixt), ours(raw, validator)
        faults.add(b and b[0])
        if a == b:
            same += 1
        elif not any(explains(Case(book, fields, a, b)) for explains in DIFFERENCES.values()):
            unexplained.append((a, b, raw.decode("latin-1").replace("\x01", "|")))
    assert not unexplained, "\n".join(map(str, unexplained[:5]))
    assert same > 0.85 * N and faults >= {None, 0, 1, 2, 4, 5, 6, 13, 14}


@pytest.mark.parametrize("version", VERSIONS)
def test_valid_specimens_are_valid(version):
    """Else every fault compared above might be one of the generator's."""
    book = dictionary.standard(version)
    fixt = dictionary.standard("FIXT.1.1") if version.startswith("FIX50") else None
    validator = fix.Validator(book, fixt)
    specimens = Specimens(book, random.Random(version), fixt)
    raws = [frame("FIXT.1.1" if fixt else book.version, specimens.valid()) for _ in range(100)]
    assert [(ours(raw, validator), raw) for raw in raws if ours(raw, validator)] == []
