"""The judge of a gateway that is killed again and again: reads the peer's record of the wire and the application's notes.

Written from the standard (FIX 4.4 vol. 2 "Message Recovery", "PossDup"), independent of fix/: no number is used twice,
none is lost, a message sent again is the message sent, and each application message counts exactly once.
"""
import collections

SOH = b"\x01"
ADMIN = frozenset((b"0", b"1", b"2", b"3", b"4", b"5", b"A"))
MAY_CHANGE = frozenset((b"43", b"52", b"122", b"9", b"10"))      # in a message that is sent again


class Wrong(AssertionError):
    """Something that must not happen; names the life and the message."""


def fields_of(raw):
    """[(tag, value)] of one message; Wrong if frame, BodyLength(9) or CheckSum(10) are not right."""
    if not raw.endswith(SOH):
        raise Wrong(f"no SOH at the end: {raw!r}")
    fields = [tuple(part.split(b"=", 1)) for part in raw[:-1].split(SOH)]
    if any(len(f) != 2 for f in fields) or [f[0] for f in fields[:3]] != [b"8", b"9", b"35"] or fields[-1][0] != b"10":
        raise Wrong(f"no FIX message: {raw!r}")
    begin = raw.index(SOH, raw.index(SOH) + 1) + 1
    if int(fields[1][1]) != len(raw) - 7 - begin:
        raise Wrong(f"BodyLength(9) is wrong: {raw!r}")
    if int(fields[-1][1]) != sum(raw[:-7]) % 256:
        raise Wrong(f"CheckSum(10) is wrong: {raw!r}")
    return fields


class Judge:
    """Takes every message of the gateway in the order of the wire; `problems` says what was wrong."""

    def __init__(self, ident=b"17"):
        self.ident = ident              # the tag that names an application message
        self.first = {}                 # MsgSeqNum: (life, fields) as first seen, sent or sent again
        self.original = set()           # numbers seen without PossDupFlag
        self.filled = {}                # number: life, of gap fills
        self.high = 0                   # the highest number seen or filled
        self.live = None                # of the connection: (life, last number sent for the first time)
        self.problems = []
        self.counts = collections.Counter()

    def wrong(self, life, what, fields):
        text = b"|".join(b"=".join(f) for f in fields).decode("latin-1")
        self.problems.append(f"life {life}: {what}: {text}")

    def heard(self, life, raw):
        """One whole message from the gateway, which was in its `life`-th life. -> its fields as a dict"""
        try:
            fields = fields_of(raw)
        except Wrong as e:
            self.problems.append(f"life {life}: {e}")
            return {}
        message = dict(fields)
        self.counts["messages"] += 1
        number = int(message[b"34"])
        if message[b"35"] == b"4":
            self.sequence_reset(life, number, message, fields)
        elif message.get(b"43") == b"Y":
            self.again(life, number, message, fields)
        else:
            self.sent(life, number, fields)
        return message

    def sent(self, life, number, fields):
        """A message sent for the first time: the next number, never one that was there before."""
        if number in self.original:
            self.wrong(life, "number used twice", fields)
        elif number in self.first or number in self.filled:
            self.wrong(life, "number was sent again before, or filled, and is used now", fields)
        if self.live is not None and self.live[0] == life:
            if number != self.live[1] + 1:
                self.wrong(life, f"number after {self.live[1]} on one connection", fields)
        elif number <= self.high:
            self.wrong(life, f"a new life begins at or below {self.high}", fields)
        self.live = (life, number)
        self.original.add(number)
        self.first.setdefault(number, (life, fields))
        self.high = max(self.high, number)

    def again(self, life, number, message, fields):
        """A message sent again: the one that was sent, octet by octet."""
        self.counts["resends"] += 1
        if message[b"35"] in ADMIN:
            self.wrong(life, "an administrative message was sent again", fields)
        if number in self.filled:
            self.wrong(life, f"was filled in life {self.filled[number]} and is a message now", fields)
        if self.live is not None and self.live[0] == life and number > self.live[1]:
            self.wrong(life, "sent again before it was sent", fields)
        if number not in self.first:
            self.first[number] = (life, fields)
            self.high = max(self.high, number)
            return
        self.counts["resends compared"] += 1
        known = self.first[number][1]
        if [f for f in fields if f[0] not in MAY_CHANGE] != [f for f in known if f[0] not in MAY_CHANGE]:
            self.wrong(life, "is not the message sent first: "
                       + b"|".join(b"=".join(f) for f in known).decode("latin-1"), fields)
        before = dict(known)
        if message.get(b"122") != before.get(b"122", before[b"52"]):
            self.wrong(life, "OrigSendingTime(122) is not the first SendingTime(52)", fields)

    def sequence_reset(self, life, number, message, fields):
        if message.get(b"123") != b"Y":
            self.wrong(life, "SequenceReset that is no gap fill", fields)
            return
        self.counts["gap fills"] += 1
        for n in range(number, int(message[b"36"])):
            if n in self.first and dict(self.first[n][1])[b"35"] not in ADMIN:
                self.wrong(life, f"fills {n}, which was an application message", fields)
            self.filled.setdefault(n, life)
            self.high = max(self.high, n)

    # -- the end

    def delivered(self):
        """{identifier: [numbers]} of the gateway's application messages."""
        seen = collections.defaultdict(list)
        for number, (_, fields) in self.first.items():
            message = dict(fields)
            if message[b"35"] not in ADMIN:
                seen[message[self.ident].decode()].append(number)
        return seen

    def end(self, next_out, intended, sent, begun):
        """The gateway is at `next_out`; `intended` {identifier: (life, number it was to get)}, `sent`: told it was sent,
        `begun` {life: its first free number, as its journal said}."""
        for n in range(1, next_out):
            if n not in self.first and n not in self.filled:
                self.problems.append(f"number {n} is lost: neither seen nor filled")
        if self.high != next_out - 1:
            self.problems.append(f"the gateway is at {next_out}, the wire at {self.high}")
        seen = self.delivered()
        for ident, numbers in seen.items():
            if len(numbers) != 1:
                self.problems.append(f"{ident} was sent as {sorted(numbers)}")
            if ident not in intended:
                self.problems.append(f"{ident} came and was never sent")
        for ident in sent:
            if ident not in seen:
                self.problems.append(f"{ident} was sent and never came")
        for ident, (life, number) in intended.items():
            # Killed before the record: the number is free, and the next life's Logon has it (which the peer need not
            # have heard). Killed behind it: the message must come.
            after = min((n for n in begun if n > life), default=None)
            if ident not in seen and number not in self.original and number < next_out and (
                    after is None or begun[after] > number):
                self.problems.append(f"number {number} is lost: given to {ident} in life {life}, and filled")
        self.counts["application messages out"] += len(seen)

    def received(self, numbers, got):
        """`numbers` {identifier: MsgSeqNum}: the peer's messages; `got` [(identifier, PossDup)]: the application's."""
        seen, last = set(), 0
        for ident, possdup in got:
            if ident not in numbers:
                self.problems.append(f"the application got {ident}, which nobody sent")
            elif ident in seen:
                self.counts["delivered again"] += 1
                if not possdup:
                    self.problems.append(f"the application got {ident} twice, the second time without PossDupFlag")
            else:
                if numbers[ident] <= last:
                    self.problems.append(f"the application got {ident} ({numbers[ident]}) after {last}")
                last = numbers[ident]
                seen.add(ident)
        for ident, number in numbers.items():
            if ident not in seen:
                self.problems.append(f"{ident} ({number}) never came to the application")
        self.counts["application messages in"] += len(seen)

    def check(self):
        if self.problems:
            more = f"\n... and {len(self.problems) - 20} more" if len(self.problems) > 20 else ""
            raise Wrong("\n".join(self.problems[:20]) + more)
