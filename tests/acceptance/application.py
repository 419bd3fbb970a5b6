"""Sessions and behaviour of the acceptor, without its connections (../shared/acceptance/AT_PLAYER.md says both).

Orders, security definitions and e-mails are sent back; whatever else is valid is an unsupported message type.
"""
import fix
from fix import dictionary

APPLICATION = {"7": "FIX.5.0", "8": "FIX.5.0SP1", "9": "FIX.5.0SP2"}        # DefaultApplVerID -> dictionary
# what the session writes itself
HEADER_OURS = {8, 9, 35, 34, 43, 49, 52, 56, 122}


def table():
    """(BeginString, TargetCompID) -> keyword arguments of its Session."""
    rows = {(f"FIX.4.{n}", f"TW4{n}"): {} for n in range(5)}
    for name, version in (("TW50", "7"), ("TW50SP1", "8"), ("TW50SP2", "9")):
        rows["FIXT.1.1", name] = {"DefaultApplVerID": version}
    rows["FIX.4.4", "TW"] = {}
    rows["FIX.4.4", "NO_CHECK_FIELDS_HAVE_VALUES"] = {"checks": {"ValidateFieldsHaveValues": False}}
    return rows


def validator(BeginString, version, checks):
    """The checks of a session: its dictionary, for FIXT.1.1 that of the transport and of the application."""
    if version is None:
        return fix.Validator(dictionary.standard(BeginString), **checks)
    return fix.Validator(dictionary.standard(APPLICATION[version]), dictionary.standard(BeginString), **checks)


def applications(clock, utc_offset_ns):
    """(BeginString, TargetCompID) -> Application, of every row of the table."""
    return {(begin, target): Application(begin, target, options, clock, utc_offset_ns)
            for (begin, target), options in table().items()}


class Application:
    """One session and what it does with what it receives."""

    def __init__(self, BeginString, TargetCompID, options, clock, utc_offset_ns):
        options = dict(options)
        checks = options.pop("checks", {})
        self.session = fix.Session("acceptor", "ISLD", TargetCompID, BeginString, clock=clock,
                                   utc_offset_ns=utc_offset_ns, on_event=self.on_event, reset_on_logon=True,
                                   validator=validator(BeginString, options.get("DefaultApplVerID"), checks), **options)
        self.version = APPLICATION.get(options.get("DefaultApplVerID"), BeginString)
        self.old = BeginString in ("FIX.4.0", "FIX.4.1")
        self.seen = set()

    def on_event(self, session, event):
        if event.name == "MESSAGE":
            self.on_message(session, event)
        elif event.name in ("LOGOUT", "DISCONNECT"):
            self.seen.clear()

    def on_message(self, session, event):
        message = fix.parse(event.raw, dictionary.standard(self.version))
        kind = message.MsgType
        if kind == "D":
            order = message.get("11")
            if order in self.seen and message.get("97") == "Y":
                return
            self.seen.add(order)
        elif kind != "C" and (kind != "d" or self.old):
            session.business_reject(event.raw, 3)
            return
        session.send(self.again(message))

    def again(self, message):
        """The fields of `message` in the order QuickFIX sends them: ascending, members behind their NoXxx."""
        fields = [(tag, value) for tag, value in message.items() if tag not in HEADER_OURS and tag != 10]
        return [(35, message.MsgType)] + ordered(fields, message.MsgType, message.dictionary)


def ordered(fields, kind, words):
    """Fields ascending by tag; those of a repeating group stay together, each entry in the dictionary's order."""
    blocks, i = [], 0
    while i < len(fields):
        tag, value = fields[i]
        members = words.group_tags(kind, tag)
        block = [fields[i]]
        i += 1
        while members and i < len(fields) and fields[i][0] in members:
            block.append(fields[i])
            i += 1
        blocks.append((tag, entries(block, words.group(kind, tag)) if len(block) > 1 else block))
    return [field for _, block in sorted(blocks, key=lambda b: b[0]) for field in block]


def entries(block, group):
    """A group's counter and its entries, each in the order of the group's members."""
    rank = {m.tag: n for n, m in enumerate(group.members)}
    head, rest = block[:1], block[1:]
    first = rest[0][0]
    out, entry = head, []
    for field in rest:
        if field[0] == first and entry:
            out = out + arranged(entry, rank, group)
            entry = []
        entry.append(field)
    return out + arranged(entry, rank, group)


def arranged(entry, rank, group):
    """One entry: its own members by rank, a nested group behind its counter."""
    parts, i = [], 0
    inner = {m.tag: m for m in group.members if m.members is not None}
    while i < len(entry):
        tag = entry[i][0]
        part = [entry[i]]
        i += 1
        if tag in inner:
            members = {m.tag for m in inner[tag].members}
            while i < len(entry) and entry[i][0] in members:
                part.append(entry[i])
                i += 1
            if len(part) > 1:
                part = entries(part, inner[tag])
        parts.append((rank.get(tag, len(rank)), part))
    return [field for _, part in sorted(parts, key=lambda p: p[0]) for field in part]
