"""`fixwire replay`: the peer's side of a captured session, played through the real stack and session into a strategy.

Virtual time, one seed, no clock: the same capture, strategy and seed give the same octets on standard output and in the
record, on any day and host. Open loop: what the peer answered is what it answered then. What our side sent then is not
played but compared with what it sends now.
"""
import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gateway.cli import Mistake, end

if TYPE_CHECKING:
    from gateway.engine import Engine
    from gateway.playback import PlaybackDevice

ADMIN = frozenset({b"0", b"1", b"2", b"3", b"4", b"5", b"A"})
# Fields that cannot be equal: they say when, where in the session, or how long. The rest of an order must be.
UNCOMPARED = frozenset({b"9", b"10", b"34", b"43", b"52", b"60", b"97", b"122", b"369"})
OPEN_LOOP = "open loop: what the peer answered is what it answered then"
BEFORE_NS = 10_000_000      # a made-up handshake begins so long before the first captured frame
PATIENCE_NS = 10 * 10**9    # a captured frame waits so long for our side to be ready for it, then the replay ends
FIRST = 64                  # messages of each side that tell what the session is

Fields = dict[bytes, bytes]
End = tuple[str, int]


@dataclass
class Flow:
    """The FIX messages between two ends: how many, and the first of each side."""

    ends: tuple[str, str]
    messages: int = 0
    first: dict[str, list[Fields]] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.ends[0]} > {self.ends[1]}  {self.messages} messages"


@dataclass
class Facts:
    """What the capture tells about the session, and where it begins."""

    us: End
    peer: End
    passive: bool               # the peer opened the connection and logs on
    made: bool                  # its SYN is not in the capture
    peer_first: int
    begin_ns: int
    BeginString: str
    SenderCompID: str
    TargetCompID: str
    HeartBtInt: int
    next_in: int
    next_out: int
    greeting: bytes
    more: dict[str, Any]


def main(args: argparse.Namespace) -> int:
    """0; 1 when the strategy raised, the capture lacks text, or our side ended the session before the capture does."""
    import logging

    from gateway.loading import load_strategy
    logging.basicConfig(format="fixwire: %(message)s", stream=sys.stderr)
    try:
        flow, us = choose(args.file, flows(args.file), args.us)
        facts = learn(args.file, flow, us)
        strategy = load_strategy(args.strategy)
        return Replay(args, facts, strategy).run()
    except Mistake:
        raise
    except (OSError, ValueError) as e:      # PcapError, DeviceError, what the engine refuses
        raise Mistake(str(e)) from None


def fields_of(raw: bytes) -> Fields:
    """First value of each tag."""
    found: Fields = {}
    for part in raw.split(b"\x01"):
        tag, equals, value = part.partition(b"=")
        if equals:
            found.setdefault(tag, value)
    return found


def flows(path: str) -> list[Flow]:
    """Connections with FIX messages in the capture, in the order in which they began to speak it."""
    from gateway.transcript import Transcript
    t = Transcript(path, lines="octets")
    found: dict[tuple[str, str], Flow] = {}
    more = True
    while more:
        more = t.read()
        for _, src, dst, raw in t.take():  # type: ignore[misc]
            key = (src, dst) if src < dst else (dst, src)
            flow = found.get(key)
            if flow is None:
                flow = found[key] = Flow((src, dst), 0, {src: [], dst: []})
            flow.messages += 1
            if len(flow.first[src]) < FIRST:
                flow.first[src].append(fields_of(raw))
    t.close()
    if not found:
        if t.error is not None:
            raise Mistake(str(t.error))
        raise Mistake(f"{path} holds no FIX message")
    return list(found.values())


def parts(text: str) -> End:
    ip, _, port = text.rpartition(":")
    return ip, int(port)


def choose(path: str, found: list[Flow], wanted: str | None) -> tuple[Flow, str | None]:
    """(connection, our end or None where it is not said). Mistake with the list where it is not clear which one."""
    def listed(some: list[Flow]) -> str:
        return "".join(f"\n  {f}" for f in some)
    if wanted is None:
        if len(found) > 1:
            raise Mistake(f"{path} has {len(found)} FIX connections, say which by --us IP:PORT of our end:"
                          + listed(found))
        return found[0], None
    ip, port = end(wanted, "--us")
    hits = [(f, e) for f in found for e in f.ends if parts(e)[0] == ip and port in (None, parts(e)[1])]
    if not hits:
        raise Mistake(f"--us {wanted} is no end of a FIX connection in {path}, which has:{listed(found)}")
    if len(hits) > 1:
        raise Mistake(f"--us {wanted} is an end of {len(hits)} FIX connections in {path}, say which by IP:PORT:"
                      + listed([f for f, _ in hits]))
    return hits[0]


def learn(path: str, flow: Flow, us: str | None) -> Facts:
    """How the session between the two ends of `flow` began. Without `us`, ours is the end that connected, or the one
    with the higher port."""
    from gateway.playback import survey
    a, b = flow.ends
    if us is None:
        us = a if parts(a)[1] >= parts(b)[1] else b
        peer = b if us == a else a
        seen = survey(path, parts(us), parts(peer))
        if seen["opener"] == "peer":
            us, peer = peer, us
    else:
        peer = b if us == a else a
    seen = survey(path, parts(us), parts(peer))
    if not flow.first[peer]:
        raise Mistake(f"{path} has no FIX message from {peer}, the peer of --us {us}: nothing can be played")
    ours, theirs = flow.first[us], flow.first[peer]
    passive = seen["opener"] == "peer" or (seen["opener"] is None and parts(us)[1] < parts(peer)[1])
    said = ours[0] if ours else {b"49": theirs[0].get(b"56", b"US"), b"56": theirs[0].get(b"49", b"PEER")}
    logon_out = next((m for m in ours if m.get(b"35") == b"A"), None)
    logon_in = theirs[0] if theirs[0].get(b"35") == b"A" else None
    first_in, first_out = first_number(theirs), first_number(ours)
    heartbeat = int_of((logon_out or logon_in or {}).get(b"108", b"0"), 0)
    begin = theirs[0].get(b"8", b"FIX.4.4")
    more: dict[str, Any] = {"check_latency": False}
    if begin == b"FIXT.1.1":
        more["DefaultApplVerID"] = text_of((logon_out or logon_in or {}).get(b"1137", b"9"))
    for tag, key in ((b"50", "SenderSubID"), (b"57", "TargetSubID"), (b"142", "SenderLocationID"),
                     (b"143", "TargetLocationID"), (b"553", "Username"), (b"554", "Password")):
        if logon_out and logon_out.get(tag):
            more[key] = text_of(logon_out[tag])
    if logon_out and logon_out.get(b"141") == b"Y":
        more["ResetOnLogon"] = True
    greeting = b""
    made = seen["peer_isn"] is None
    if logon_in is None and made:
        # In mid-stream nobody says how often heartbeats were agreed on; what was, came.
        heartbeat = 0
        first_in, first_out = max(1, first_in - 1), max(1, first_out - 1)
        greeting = made_logon(begin, said, first_in, seen["first_ns"], more.get("DefaultApplVerID"))
    return Facts(
        us=parts(us), peer=parts(peer), passive=passive, made=made,
        peer_first=seen["peer_first"] if made else (seen["peer_isn"] + 1) % 2**32,
        begin_ns=seen["first_ns"] - (BEFORE_NS if made else 0), BeginString=text_of(begin),
        SenderCompID=text_of(said.get(b"49", b"US")), TargetCompID=text_of(said.get(b"56", b"PEER")),
        HeartBtInt=heartbeat, next_in=first_in, next_out=first_out, greeting=greeting, more=more)


def first_number(messages: list[Fields]) -> int:
    """The first MsgSeqNum that is not of a message sent again; 1 where none is known."""
    for m in messages:
        if m.get(b"43") != b"Y" and int_of(m.get(b"34", b""), 0) > 0:
            return int_of(m[b"34"], 1)
    return 1


def int_of(value: bytes, otherwise: int) -> int:
    return int(value) if value.isdigit() and len(value) < 10 else otherwise


def text_of(value: bytes) -> str:
    return value.decode("latin-1")


def utc(ts_ns: int) -> str:
    import datetime
    whole = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=ts_ns // 10**9)
    return f"{whole:%Y%m%d-%H:%M:%S}"


def made_logon(begin: bytes, ours: Fields, number: int, ts_ns: int, applverid: str | None) -> bytes:
    """The Logon of the peer that a capture from mid-stream does not have."""
    body = b"35=A\x0134=%d\x0149=%s\x0152=%s\x0156=%s\x0198=0\x01108=0\x01" % (
        number, ours.get(b"56", b"PEER"), utc(ts_ns).encode(), ours.get(b"49", b"US"))
    if applverid:
        body += b"1137=%s\x01" % applverid.encode("latin-1")
    head = b"8=%s\x019=%d\x01" % (begin, len(body))
    return head + body + b"10=%03d\x01" % (sum(head + body) % 256)


def comparable(raw: bytes) -> tuple[bytes, ...]:
    """The fields of an order that two runs of one strategy share."""
    return tuple(f for f in raw.split(b"\x01") if f and f.partition(b"=")[0] not in UNCOMPARED)


def captured_orders(path: str, us: End, peer: End) -> Iterator[tuple[bytes, ...]]:
    """Application messages our side sent in the capture, those sent again left out, read as they are wanted."""
    from gateway.transcript import Transcript
    t = Transcript(path, lines="octets", host=us[0], port=us[1])
    src, dst = f"{us[0]}:{us[1]}", f"{peer[0]}:{peer[1]}"
    more = True
    while more:
        more = t.read()
        for _, a, b, raw in t.take():  # type: ignore[misc]
            if a == src and b == dst:
                f = fields_of(raw)
                if f.get(b"35", b"") not in ADMIN and f.get(b"43") != b"Y":
                    yield comparable(raw)
    t.close()


class Replay:
    """One run: device, engine, what came and went."""

    def __init__(self, args: argparse.Namespace, facts: Facts, strategy: Any) -> None:
        from fix import Parser
        from gateway.show import View
        self.args, self.facts, self.strategy = args, facts, strategy
        self.view = View(False)
        self.parser = Parser()
        self.captured = captured_orders(args.file, facts.us, facts.peer)
        self.messages_in = self.orders_out = self.matched = self.differed = 0
        self.findings: list[str] = []

    def run(self) -> int:
        """Play everything, print totals. -> exit code"""
        from contextlib import ExitStack

        from gateway.engine import Engine
        from gateway.playback import PlaybackDevice
        f = self.facts
        with ExitStack() as opened:
            device = opened.enter_context(PlaybackDevice(
                self.args.file, f.us, f.peer, passive=f.passive, peer_first=f.peer_first, made=f.made,
                greeting=f.greeting))
            outer: Any = device
            if self.args.record is not None:
                from dpdk_py.pcap import PcapWriter
                outer = PcapWriter(device, self.args.record)
            engine = opened.enter_context(Engine(
                outer, f"{f.us[0]}/0", seed=self.args.seed, sessions=1, connections=4, utc_offset_ns=0,
                message_log=8 << 20))
            added = engine.add_strategy(self.strategy)
            session = engine.add_session(
                f.SenderCompID, f.TargetCompID, strategy=added, role="acceptor" if f.passive else "initiator",
                host=f.peer[0], port=f.us[1] if f.passive else f.peer[1], BeginString=f.BeginString,
                HeartBtInt=f.HeartBtInt, next_in=f.next_in, next_out=f.next_out, reconnect_s=86_400.0,
                reconnect_max_s=86_400.0, **f.more)
            try:
                self.play(engine, device)
            finally:
                outer.close()           # what the engine does to open connections when it goes is no part of the replay
            if added.errors:
                self.findings.append(f"the strategy raised {added.errors} times")
            if device.hole:
                self.findings.append(f"the capture lacks text of the peer, {device.hole} octets behind it are not used")
            if device.counts()["reconnects"] or session.state == "disconnected":
                self.findings.append("our side ended the session"
                                     + (f", the peer's Logout said {session.text!r}" if session.text else ""))
            frames_in = device.counts()["frames_in"]
        self.differed += sum(1 for _ in self.captured)
        self.totals(frames_in)
        for sentence in self.findings:
            sys.stderr.write(f"fixwire: {sentence}\n")
        return 1 if self.findings else 0

    def play(self, engine: "Engine", device: "PlaybackDevice") -> None:
        """Turn time from one thing to do to the next until the capture is played."""
        now = self.facts.begin_ns
        while True:
            steps = 0
            while engine.step(now) and steps < 100_000:
                self.took(engine)
                steps += 1
            self.took(engine)
            if device.done:
                return
            due, deadline = device.next_ns, engine.deadline_ns
            if due is None:
                return
            if due <= now or not device.opened and self.facts.made:
                if deadline is None or deadline - max(due, self.facts.begin_ns) > PATIENCE_NS:
                    self.findings.append("our side was not ready for what the peer sent next; the replay ends there")
                    return
                due = deadline
            now = max(now + 1, due if deadline is None else min(due, max(deadline, now + 1)))

    def took(self, engine: "Engine") -> None:
        """What went over the session in the last step."""
        # The log has what a callback sent before the message it answered; people read them the other way round.
        for ts_ns, _, way, octets in sorted(engine.messages(), key=lambda m: (m[0], m[2])):
            for message in self.parser.feed(octets):
                self.message(ts_ns, way, message.raw)

    def message(self, ts_ns: int, way: str, raw: bytes) -> None:
        """Count one message, compare it if it is an order of ours, print it."""
        f = fields_of(raw)
        kind = f.get(b"35", b"")
        same = None
        if way == "in":
            self.messages_in += 1
        elif kind not in ADMIN:
            self.orders_out += 1
            same = comparable(raw) == next(self.captured, None)
            self.matched += same
            self.differed += not same
        number = int_of(f.get(b"34", b""), 0) or None
        if self.args.json:
            line: dict[str, Any] = {"ts_ns": ts_ns, "way": way, "MsgType": text_of(kind), "MsgSeqNum": number,
                                    "PossDupFlag": f.get(b"43") == b"Y", "raw": text_of(raw).replace("\x01", "|")}
            if same is not None:
                line["matched"] = same
            print(json.dumps(line))
        else:
            names = self.view.names_of(raw)
            word = "" if same is None else "  as captured" if same else "  not as captured"
            print(f"{self.view.time(ts_ns)}  {way:<3}  {names.message(text_of(kind))}  MsgSeqNum {number}{word}")

    def totals(self, frames_in: int) -> None:
        """The last line of the output."""
        counts = {"frames_in": frames_in, "messages_in": self.messages_in, "orders_out": self.orders_out,
                  "matched": self.matched, "differed": self.differed}
        if self.args.json:
            print(json.dumps(counts))
        else:
            print(", ".join(f"{n} {name.replace('_', ' ')}" for name, n in counts.items()) + f"\n{OPEN_LOOP}")
