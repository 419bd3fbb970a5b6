"""The test language of FIX sessions: a conversation with one fix.Session, in FIX's own notation.

    peer = Peer("acceptor")                    the session under test is the acceptor, `peer` speaks to it
    peer.sends("35=A|34=1|98=0|108=30|")       header, BodyLength and CheckSum are filled in
    peer.gets("35=A|34=1|98=0|108=30|")        exactly the next message; SendingTime is the clock's, `...` is any value
    peer.silent()                              and nothing else
    peer.passes(30)                            seconds of the clock, polling where the session wants to be

Fields given in `sends` stay as they are; what is missing of 8, 9, 49, 52, 56 and 10 is added in its place. `gets`
compares every field, in order. Times are UTC seconds and a fraction; the clock stands still between calls.
"""
import fix

START_S = 1_700_000_000         # 2023-11-14 22:13:20 UTC
SECOND = 1_000_000_000


def utc(seconds, digits):
    """UTC text of seconds since 1970, as an independent writer would."""
    import datetime
    whole = datetime.datetime.fromtimestamp(int(seconds), datetime.UTC).strftime("%Y%m%d-%H:%M:%S")
    if digits == 0:
        return whole
    return f"{whole}.{int(round((seconds % 1) * 10 ** digits)):0{digits}d}"


def fields_of(raw):
    return [(int(t), v) for t, _, v in (f.partition("=") for f in raw.decode("latin-1").split("\x01")[:-1])]


def shown(raw):
    return raw.decode("latin-1").replace("\x01", "|")


def frame(begin, body):
    """8=, 9=, `body` (octets from 35= on) and 10=."""
    head = b"8=%b\x019=%d\x01" % (begin.encode(), len(body)) + body
    return head + b"10=%03d\x01" % (sum(head) % 256)


def split_messages(data):
    """Whole messages in octets that a session sent; they must be nothing else."""
    out = []
    while data:
        head, _, rest = data.partition(b"\x01")
        assert head.startswith(b"8=FIX"), f"not a message: {shown(data)}"
        length, _, rest = rest.partition(b"\x01")
        size = len(head) + len(length) + 2 + int(length[2:]) + 7
        message = data[:size]
        assert message[-7:-4] == b"10=" and int(message[-4:-1]) == sum(message[:-7]) % 256, shown(message)
        out.append(message)
        data = data[size:]
    return out


class Peer:
    """The other side of a session under test, played by hand."""

    def __init__(self, role="acceptor", BeginString="FIX.4.4", logged_on=False, **options):
        if BeginString == "FIXT.1.1":
            self.appl = options.setdefault("DefaultApplVerID", "9")
        self.BeginString = BeginString
        self.digits = options.get("timestamp_digits", 0 if BeginString in ("FIX.4.0", "FIX.4.1") else 3)
        self.now_ns = SECOND
        self.session = fix.Session(role, "US", "PEER", BeginString, clock=lambda: self.now_ns,
                                   utc_offset_ns=(START_S - 1) * SECOND, **options)
        self.waiting = []
        self.events = []
        self.next = 1               # MsgSeqNum the peer sends next, where `sends` has none
        self._take(self.session.connected())
        if logged_on:
            self.logs_on(role)

    def logs_on(self, role):
        logon = "35=A|34=1|98=0|108=30|" + (f"1137={self.appl}|" if self.BeginString == "FIXT.1.1" else "")
        if role == "initiator":
            self.gets(logon)
        self.sends(logon)
        if role == "acceptor":
            self.gets(logon)
        assert self.session.established and self.events.pop().name == "LOGON"
        self.events.clear()

    # --- the peer speaks

    def message(self, text):
        """The octets `sends` sends."""
        pairs = [tuple(f.split("=", 1)) for f in text.rstrip("|").split("|")]
        tags = [t for t, _ in pairs]
        begin = dict(pairs).get("8", self.BeginString)
        kept = [(t, v) for t, v in pairs if t not in ("8", "9", "10")]
        if "34" not in tags:
            kept.insert(1, ("34", str(self.next)))
        at = max((i + 1 for i, (t, _) in enumerate(kept) if t in ("35", "34", "43", "97")), default=1)
        for tag, value in (("56", "US"), ("52", utc(self.utc(), 3)), ("49", "PEER")):
            if tag not in tags:
                kept.insert(at, (tag, value))
        seq = dict(kept).get("34", "")
        if seq.isdigit():
            self.next = int(seq) + 1
        return frame(begin, "".join(f"{t}={v}\x01" for t, v in kept if v != "-").encode("latin-1"))

    def sends(self, *texts):
        """Messages, all in one piece; a field `56=-` is left out."""
        self.sends_raw(b"".join(self.message(t) for t in texts))

    def sends_raw(self, data):
        self._take(self.session.receive(data))

    def passes(self, seconds):
        """Time goes on, with a poll whenever the session's deadline comes."""
        end = self.now_ns + int(seconds * SECOND)
        while self.session.deadline_ns is not None and self.session.deadline_ns <= end:
            self.now_ns = max(self.now_ns, self.session.deadline_ns)
            before = self.session.deadline_ns
            self._take(self.session.poll())
            if self.session.deadline_ns is not None and self.session.deadline_ns <= before:
                assert before == 0 or self.session.deadline_ns == 0, "the deadline does not move on"
        self.now_ns = end
        self._take(self.session.poll())

    def drops(self):
        """The connection is lost."""
        self._take(self.session.disconnected())

    def connects(self):
        """A new connection of the same session."""
        self.next = 1
        self.waiting.clear()
        self._take(self.session.connected())

    # --- the session speaks

    def gets(self, text):
        """The next message; returns its fields as a dict."""
        assert self.waiting, f"nothing was sent, expected {text}"
        raw = self.waiting.pop(0)
        got = fields_of(raw)
        want = [tuple(f.split("=", 1)) for f in text.rstrip("|").split("|")]
        tags = [t for t, _ in want]
        have = [(t, v) for t, v in got if t not in (8, 9, 10)]
        assert got[0] == (8, self.BeginString), shown(raw)
        values = dict(got)
        for tag, value in (("49", "US"), ("56", "PEER"), ("52", utc(self.utc(), self.digits))):
            if tag not in tags:
                assert values.get(int(tag)) == value, f"{tag}={values.get(int(tag))} in {shown(raw)}, expected {value}"
                have = [(t, v) for t, v in have if t != int(tag)]
        assert [t for t, _ in have] == [int(t) for t in tags], f"sent {shown(raw)}, expected {text}"
        for (tag, value), (_, wanted) in zip(have, want, strict=True):
            assert wanted == "..." or value == wanted, f"{tag}={value} in {shown(raw)}, expected {wanted}"
        return {t: v for t, v in got}

    def silent(self):
        assert not self.waiting, f"sent as well: {[shown(m) for m in self.waiting]}"

    def closed(self, reason=None):
        """The session asked for the connection's end, and said nothing more."""
        self.silent()
        assert self.session.close_requested, "the connection stays"
        if reason is not None:
            assert self.session.reason == reason

    def happened(self, *names):
        """The events since the last call are exactly these (MESSAGE, LOGON ...); returns them."""
        events, self.events = self.events, []
        assert [e.name for e in events] == list(names), events
        return events

    def utc(self):
        return (self.now_ns + self.session.utc_offset_ns) / SECOND

    def _take(self, events):
        self.events += events
        self.waiting += split_messages(self.session.data_to_send())
