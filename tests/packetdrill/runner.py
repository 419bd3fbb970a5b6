"""Plays one script: the virtual clock, the calls, the packets in, and the judgement of every packet out.

Time moves only from one thing that is due to the next, so tolerance 0 is meant to the nanosecond. Between script and
wire: our initial sequence number is 0 in a script and whatever the stack chose on the wire; the peer's is shifted by
`peer_shift`, so that both wrap wherever the caller wants; text is octet(offset) of packets.py, checked on both sides.
"""
from __future__ import annotations

import dataclasses
import traceback

from dpdk_py.pair import pair
from stack import Stack
from stack.wire.text import format_ipv4, frame_text

from . import commands, packets
from .packets import ECN, FLAG_BITS, LOCAL, REMOTE, REMOTE_MAC, text_at
from .script import ELLIPSIS, Call, Code, Command, Packet, ScriptError, Unsupported, read
from .sockets import KEEPALIVE, LOCAL_PORT, MS, REMOTE_PORT, Blocked, NotHere, S, Sockets
from .tcpi import namespace

MOD = 1 << 32
FOREVER_NS = 3600 * S               # how long a `*` line is waited for
START_NS = 1000 * S
LONGEST_TOLERANCE_NS = 4 * MS       # packetdrill's: 4 ms or an eighth of the gap
COMMON = {"sack": 1, "timestamps": 1, "window_scale": 1, "congestion": "newreno", "initial_window": 10, "ack": "immediate",
          "rcv_buf": 1 << 20, "snd_buf": 1 << 20, "ecn": "no"}
PROFILES = {                        # Linux adds its least timeout to the tail loss probe of a lone segment
    None: {},
    "linux": {**COMMON, "rto_min_ns": 200 * MS, "rto_variance_ns": 200 * MS, "max_ack_delay_ns": 200 * MS,
              "slow_start_limit": 1000},
    "freebsd": {**COMMON, "rto_min_ns": 230 * MS, "ecn": "answer", "ack": "second", "ack_delay_ns": 40 * MS},
}
USUAL_SCALE = {"linux": 8, "freebsd": 6}    # of the system whose script writes <...> and then its window
DEFINED = {None: (), "linux": ("Linux", "linux"), "freebsd": ("STANDARD",)}    # for #ifdef: ours is no FreeBSD either
FREEBSD_BUFFER = 65536              # net.inet.tcp.recvspace
LARGEST_FRAME = 65535
PASSED_OVER = ("tolerance_usecs", "tolerance_percent", "define", "tcp_ts_tick_usecs", "send_omit_free", "bind_port",
               "local_ip", "remote_ip", "gateway_ip", "netmask_ip", "connect_port", "code_command", "non_fatal", "mss",
               "strict_segments", "code_sockopt", "speed", "init_scripts", "persistent_tun_dev", "verbose")


MAKES_DESCRIPTOR = ("socket", "accept", "accept4")


class Failed(Exception):
    """The stack did not do what the script says."""


@dataclasses.dataclass
class Result:
    verdict: str                    # passed, failed, unsupported
    reason: str = ""
    log: list = dataclasses.field(default_factory=list)    # what happened, a line a frame


class Flow:
    """How the numbers of one connection of the script map to live ones."""

    def __init__(self):
        self.iss = None             # live number of our script number 0
        self.opened = 0             # how many connections had been opened when we learnt it
        self.ts_shift = None        # live TSval minus script TSval
        self.ts_live = {}           # script TSval: live TSval, for scripts whose clock is not checked
        self.scales = {}            # (outbound?, script?): the shift its SYN offered


class Player:
    def __init__(self, script, profile=None, start_ns=START_NS, peer_shift=0, seed=1):
        self.script = script
        self.profile = profile
        self.strict = profile is None
        self.start = self.now = start_ns
        self.allowed = max([int(v) * 1000 for v in script.options.get("tolerance_usecs", ()) if v.isdigit()], default=0)
        self.peer_shift = peer_shift
        options = {**PROFILES[profile]}
        table = {"connections": 16, "rcv_buf": 65535, "snd_buf": 65536}
        self.mtu = 1500
        self.tick_checked = self.strict or any(int(v) for v in script.options.get("tcp_ts_tick_usecs", ()) if v.isdigit())
        self.whole = "strict_segments" not in script.options    # one line may stand for several segments
        self.scope = {}             # what one %{ }% leaves for the next
        self.take_options(options, table)
        keep = {key: options.pop(key) for key in KEEPALIVE if key in options} if not self.strict else {}
        if profile == "freebsd":
            options["rcv_buf"] = self.freebsd_buffer()
        if not self.strict:
            table.update((key, options.pop(key)) for key in ("rcv_buf", "snd_buf"))
            options["mss"] = min(options.get("mss", 65535), self.mtu - 40)
        ecn = options.pop("ecn", False)
        self.device, self.wire = pair(queue=256 if self.strict else 2048, mtu=self.frame_room(),
                                      macs=(packets.LOCAL_MAC, packets.REMOTE_MAC))
        self.stack = Stack(self.device, format_ipv4(LOCAL) + "/24", seed=seed, announce=False, **table, **options)
        self.stack.net.add_neighbor(format_ipv4(REMOTE), REMOTE_MAC)
        self.sockets = Sockets(self.stack, {"ecn": ecn}, table["snd_buf"])
        self.sockets.system = profile
        self.sockets.keepalive.update(keep)
        self.flows = {}
        self.out = []               # segments sent and not yet expected
        self.waiting = []           # calls that block: (event, Blocked, end of it)
        self.log = []

    # -- configuration

    def take_options(self, options, table):
        """`--rto_min_ns=5000000` and the like at the head of our own scripts; sysctls of borrowed ones."""
        for name, values in self.script.options.items():
            value = values[-1]
            if name == "mtu":
                self.mtu = int(value)
            elif name in ("connections",):
                table[name] = int(value)
            elif name in ("ip_version",):
                if value not in ("ipv4", "ipv4_mapped_ipv6"):
                    raise Unsupported(1, f"ip_version {value}")
            elif name in PASSED_OVER:
                pass
            elif self.strict:
                options[name] = value if not value.lstrip("-").isdigit() else int(value)
                if name in ("rcv_buf", "snd_buf"):
                    table[name] = options.pop(name)
            else:
                raise Unsupported(1, f"option --{name}={value}")
        if self.strict:
            return
        for line, text in self.script.setup:
            commands.run(line, text, options, lambda state: 0)
        for event in self.script.events:
            if not isinstance(event.action, Command):
                break
            commands.run(event.line, event.action.text, options, lambda state: 0)

    def frame_room(self):
        """A borrowed script may send in one frame what GRO would have made of many segments."""
        lengths = [] if self.strict else [e.action.length + 80 for e in self.script.events
                                          if isinstance(e.action, Packet) and not e.action.outbound]
        return min(LARGEST_FRAME, max([self.mtu, *lengths]))

    def freebsd_buffer(self):
        """Once open, FreeBSD's receive buffer is a whole number of the segments the two have agreed on."""
        for event in self.script.events:
            if isinstance(event.action, Packet) and not event.action.outbound and "S" in event.action.flags:
                agreed = min([self.mtu - 40, *(o[1] for o in event.action.options if o[0] == "mss")])
                return -(-FREEBSD_BUFFER // agreed) * agreed
        return FREEBSD_BUFFER

    def count_state(self, state):
        half_open = sum(s.listener.counters["half_open"] for s in self.sockets.open.values() if s.listener is not None)
        return sum(conn.state == state for conn in self.stack.connections) + (half_open if state == "SYN-RECEIVED" else 0)

    # -- time and frames

    def step(self, now_ns):
        """Everything the stack has to do at now_ns; then calls that blocked are tried again."""
        self.now = now_ns
        for _ in range(100_000):
            busy = self.stack.step(now_ns)
            self.collect()
            if not busy:
                break
        else:
            raise Failed(f"the stack is never done at {self.text_time(now_ns)}")
        self.retry()

    def collect(self):
        for frame in self.wire.rx_burst(64):
            if not self.strict and frame.data[23:24] == b"\x01":
                continue                # answers to pings are nothing a script of theirs sees
            try:
                segment = packets.read_frame(frame.data, self.now)
            except packets.Malformed as e:
                raise Failed(f"malformed frame at {self.text_time(self.now)}: {e}") from None
            self.log.append(self.line(segment.frame, ">", self.now))
            self.out.append(segment)

    def line(self, frame, direction, now_ns):
        return frame_text(frame, now_ns - self.start, direction, ports=False)

    def advance(self, to_ns):
        """Lets time pass up to to_ns, one due thing after the other."""
        while (due := self.stack.deadline()) is not None and due <= to_ns:
            if due <= self.now and not self.stack.step(self.now):
                raise Failed(f"deadline() is {due - self.now} ns ago, and step() does nothing")
            self.step(max(due, self.now))
        self.step(max(to_ns, self.now))

    def wait_for_segment(self, until_ns):
        while not self.out:
            due = self.stack.deadline()
            if due is None or due > until_ns:
                return
            self.step(max(due, self.now))

    def text_time(self, at_ns):
        return f"{(at_ns - self.start) / S:.9f}".rstrip("0").rstrip(".")

    # -- the script

    def play(self):
        """Result of the whole script."""
        event = None
        try:
            self.step(self.now)
            previous, scheduled, inbound = self.now, self.now, False
            for event in self.script.events:
                packet_in = isinstance(event.action, Packet) and not event.action.outbound
                base = self.start if not event.time.kind.startswith("relative") else (
                    scheduled if inbound and packet_in else previous)
                scheduled = base + event.time.start
                previous = self.event(event, base, scheduled)
                inbound = packet_in
            self.finish()
        except Unsupported as e:
            return Result("unsupported", str(e), self.log)
        except NotHere as e:
            return Result("unsupported", f"line {event.line}: {e}", self.log)
        except (Failed, AssertionError) as e:
            return Result("failed", f"line {event.line if event else 0}: {e}", self.log)
        except (ValueError, TypeError, KeyError, IndexError, AttributeError):
            where = traceback.format_exc().strip().splitlines()
            return Result("unsupported", f"line {event.line if event else 0}: the runner: {where[-1]} ({where[-3]})",
                          self.log)
        return Result("passed", "", self.log)

    def event(self, event, base, scheduled):
        """Does it; returns when it really happened."""
        action = event.action
        self.sockets.check_corks(max(self.now, scheduled) if event.time.kind != "any" else self.now)
        if isinstance(action, Packet) and action.outbound:
            if action.icmp:
                raise Unsupported(event.line, "outbound ICMP")
            return self.expect(event, base, scheduled)
        self.advance(scheduled)
        at = self.now
        if isinstance(action, Packet):
            self.inject(action)
        elif isinstance(action, Call):
            self.begin(event, base)
        elif isinstance(action, Code):
            self.code(action.text)
        elif isinstance(action, Command):
            changed = {}
            wait = commands.run(event.line, action.text, changed, self.count_state)
            self.sockets.keepalive.update((key, changed.pop(key)) for key in KEEPALIVE if key in changed)
            self.sockets.defaults.update(changed)
            self.advance(at + wait)
        return at

    def finish(self):
        for event, _, _ in self.waiting:
            raise Failed(f"the call of line {event.line} never returned")
        if self.strict and self.out:
            raise Failed(f"not expected: {self.describe(self.out[0])}")
        if self.strict:
            self.check_books()

    def check_books(self):
        counters = self.stack.counters()
        for key, total in (("rx_", "segments_in"), ("tx_", "segments_out")):
            named = sum(v for k, v in counters.items() if k.startswith(key) and k not in ("tx_refused",))
            if named != counters[total]:
                raise Failed(f"{total} is {counters[total]}, its named reasons are {named}")

    # -- calls

    def begin(self, event, base):
        call = event.action
        end = None if call.end is None else base + call.end
        try:
            result = self.sockets.call(call.name, call.args, self.now)
        except Blocked as blocked:
            if end is None:
                raise Failed(f"{call.name}() blocks") from None
            self.waiting.append((event, blocked, end))
            self.step(self.now)
            return
        self.step(self.now)
        self.ended(event, result, end, self.now)

    def retry(self):
        still = []
        waiting, self.waiting = self.waiting, []
        for event, blocked, end in waiting:
            try:
                result = self.sockets.call(event.action.name, event.action.args, self.now, blocked)
            except Blocked as again:
                if self.now > end + self.tolerance(end - self.start):
                    raise Failed(f"the call of line {event.line} should have returned at {self.text_time(end)}") from None
                still.append((event, again, end))
                continue
            self.ended(event, result, end, self.now)
        self.waiting = still + self.waiting
        for _ in range(100_000):
            if not self.stack.step(self.now):
                break
            self.collect()
        self.collect()

    def ended(self, event, result, end, at):
        call = event.action
        value, error = result
        if isinstance(value, tuple) and value[0] == "flags":
            return
        if call.name in MAKES_DESCRIPTOR and isinstance(call.result, int) and 0 <= value != call.result >= 0:
            self.sockets.rename(value, call.result)     # a script's descriptors are its own
            value = call.result
        if call.result is not ELLIPSIS and value != call.result:
            raise Failed(f"{call.name}() of line {event.line} gives {value} {error or ''}, not {call.result} "
                         f"{call.errno or ''}")
        if call.errno and call.errno != error and {call.errno, error} != {"EAGAIN", "EWOULDBLOCK"}:
            raise Failed(f"{call.name}() of line {event.line} fails with {error}, not {call.errno}")
        if end is not None and abs(at - end) > self.tolerance(end - self.start):
            raise Failed(f"{call.name}() of line {event.line} returns at {self.text_time(at)}, "
                         f"not at {self.text_time(end)}")

    def code(self, text):
        sock = self.sockets.latest
        info = sock.conn.info() if sock is not None and sock.conn is not None else None
        if info is None:
            raise NotHere("%{ }% before there is a connection")
        lines = text.strip("\n").splitlines()
        source = "\n".join([lines[0].strip(), *lines[1:]]) if lines else ""
        self.scope.update(namespace(info))
        try:
            exec(source, self.scope)
        except AssertionError as e:
            raise Failed(f"%{{ {' '.join(source.split())} }}%: {e}") from None
        except NameError as e:
            raise NotHere(f"%{{ }}%: {e}") from None

    # -- packets in

    def flow(self, packet):
        """(flow, local port, remote port)"""
        if packet.ports is None:
            key = LOCAL_PORT, REMOTE_PORT
        elif packet.outbound:
            key = packet.ports
        else:
            key = packet.ports[1], packet.ports[0]
        if key not in self.flows:
            self.flows[key] = Flow()
        return self.flows[key], *key

    def inject(self, packet):
        """One inbound line may be more than a frame holds: its segments then come in one burst, as a sender's would."""
        flow, local, remote = self.flow(packet)
        tos = packet.tos if packet.tos is not None else ECN.index(packet.ecn) if packet.ecn else 0
        if packet.icmp:
            frames = [self.icmp(packet, flow, local, remote, tos)]
        else:
            frames = [packets.tcp_frame(self.segment(piece, flow, local, remote), tos, packet.ttl or 64)
                      for piece in self.pieces(packet)]
        for frame in frames:
            self.log.append(self.line(frame, "<", self.now))
            if not self.wire.tx(frame, self.now):
                raise Failed("the device has no room for an inbound frame")
        self.step(self.now)

    def pieces(self, packet):
        room = self.frame_room() - (80 if packet.options else 40)
        if packet.length <= room:
            return [packet]
        return [dataclasses.replace(
            packet, seq=(packet.seq + at) % MOD, length=min(room, packet.length - at),
            flags=packet.flags if at + room >= packet.length else packet.flags.replace("P", "").replace("F", ""))
            for at in range(0, packet.length, room)]

    def segment(self, packet, flow, local, remote):
        flags = sum(FLAG_BITS[letter] for letter in packet.flags)
        self.note_scales(flow, packet.flags, peer=packet.options)
        ack = 0
        if packet.ack is not None or "." in packet.flags:
            ack = ((packet.ack or 0) + (flow.iss or 0)) % MOD
        options = []
        for name, *values in packet.options:
            if name == "TS":
                val, ecr = values
                ecr = 0 if ecr == 0 or ecr is ELLIPSIS else flow.ts_live.get(ecr, (ecr + (flow.ts_shift or 0)) % MOD)
                values = [0 if val is ELLIPSIS else val, ecr]
            elif name == "sack":
                values = [tuple((edge + (flow.iss or 0)) % MOD for edge in block) for block in values]
            options.append((name, *values))
        return packets.tcp_segment(remote, local, (packet.seq + self.peer_shift) % MOD, ack, flags, packet.win or 0,
                                   packet.urg or 0, packets.encode_options(options),
                                   text_at(packet.seq + ("S" in packet.flags), packet.length))

    def icmp(self, packet, flow, local, remote, tos):
        kind, codes = packets.ICMP_CODES.get(packet.icmp, (None, {}))
        if packet.icmp.startswith("type_"):
            kind = int(packet.icmp[5:])
        code = 0 if packet.icmp_code is None else codes.get(packet.icmp_code)
        if code is None and packet.icmp_code.startswith("code_"):
            code = int(packet.icmp_code[5:])
        if kind is None or code is None:
            raise NotHere(f"ICMP {packet.icmp} {packet.icmp_code or ''}")
        self.sockets.heard_unreachable(packet.icmp_code)
        seq, n = packet.quoted or (0, 0)
        segment = packets.tcp_segment(local, remote, (seq + (flow.iss or 0)) % MOD, 0, 16, 0, 0, b"", b"", LOCAL, REMOTE)
        quoted = packets.ipv4_header(20 + n, 6, LOCAL, REMOTE) + segment[:8]
        return packets.icmp_frame(kind, code, packet.mtu, quoted, tos)

    # -- packets out

    def tolerance(self, gap_ns):
        return 0 if self.strict else max(LONGEST_TOLERANCE_NS, gap_ns // 8, self.allowed)

    def expect(self, event, base, scheduled):
        packet, when = event.action, event.time
        match when.kind:
            case "any":
                earliest, latest = 0, self.now + FOREVER_NS
            case "range" | "relative range":
                slack = self.tolerance(when.end - when.start)
                earliest, latest = scheduled - slack, base + when.end + slack
            case _:
                slack = self.tolerance(scheduled - base)
                earliest, latest = scheduled - slack, scheduled + slack
        self.wait_for_segment(latest)
        if not self.out:
            raise Failed(f"nothing was sent by {self.text_time(latest)}")
        first = self.out.pop(0)
        if not earliest <= first.at_ns <= latest:
            raise Failed(f"sent at {self.text_time(first.at_ns)}, not "
                         f"{self.text_time(earliest)}~{self.text_time(latest)}: {self.describe(first)}")
        whole = first
        while self.whole and len(whole.text) < packet.length:   # one line may stand for several segments of one burst
            self.wait_for_segment(latest)
            if not self.out or not self.continues(whole, self.out[0]):
                break
            part = self.out.pop(0)
            whole = dataclasses.replace(part, at_ns=first.at_ns, seq=whole.seq, text=whole.text + part.text)
        self.compare(packet, whole)
        return first.at_ns

    def continues(self, whole, part):
        return (whole.text and part.text and part.seq == (whole.seq + len(whole.text)) % MOD
                and (part.sport, part.dport, part.ack, part.win, part.tos) == (
                    whole.sport, whole.dport, whole.ack, whole.win, whole.tos)
                and whole.flags & ~0x40 & ~(0 if self.strict else 8) == 0x10)

    def describe(self, segment):
        flow = self.flows.get((segment.sport, segment.dport))
        shift = flow.iss if flow is not None and flow.iss is not None else 0
        return frame_text(segment.frame, segment.at_ns - self.start, ">", shift, self.peer_shift)

    def compare(self, packet, segment):
        flow, local, remote = self.flow(packet)
        wrong = []

        def check(what, found, wanted):
            if found != wanted:
                wrong.append(f"{what} {found}, not {wanted}")

        check("ports", (segment.sport, segment.dport), (local, remote))
        # Which segments of a larger write carry PSH is an implementation's own (RFC 9293 3.8.6 asks for the last)
        compared = [f for f in FLAG_BITS if self.strict or f != "P"]
        check("flags", "".join(f for f in compared if f in segment.letters),
              "".join(f for f in compared if f in packet.flags))
        if "S" in packet.flags and (flow.iss is None or segment.seq != (packet.seq + flow.iss) % MOD):
            # A second connection between the same ports has an ISN of its own; a SYN sent again has not
            opened = self.opened()
            if self.strict and (packet.seq != 0 or (flow.iss is not None and opened == flow.opened)):
                wrong.append(f"sequence number of SYN {packet.seq}, the script's own is 0")
            flow.iss, flow.opened = (segment.seq - packet.seq) % MOD, opened
            flow.ts_shift = None
        self.note_scales(flow, packet.flags, script=packet.options, live=segment.options)
        shift = flow.iss or 0
        check("sequence number", (segment.seq - shift) % MOD, packet.seq)
        check("length", len(segment.text), packet.length)
        if packet.ack is not None or "." in packet.flags:
            check("ack", (segment.ack - self.peer_shift) % MOD if segment.flags & 16 else None, packet.ack or 0)
        self.check_window(packet, segment, flow, check)
        if packet.urg is not None or "U" in packet.flags:
            check("urgent pointer", segment.urg, packet.urg or 0)
        self.check_options(packet, segment, flow, check, wrong)
        if packet.tos is not None:
            check("TOS", segment.tos, packet.tos)
        if packet.ttl is not None:
            check("TTL", segment.ttl, packet.ttl)
        if packet.ecn == "ect01":
            check("ECN", segment.tos & 3 in (1, 2), True)
        elif packet.ecn is not None:
            check("ECN", ECN[segment.tos & 3], packet.ecn)
        sent = self.sockets.sent.get((local, remote), b"")
        at = (segment.seq - shift - 1) % MOD
        if segment.text and at < MOD // 2 and segment.text != bytes(sent[at:at + len(segment.text)]):
            wrong.append(f"octets {at + 1}.. are not those that were written")
        if wrong:
            raise Failed(f"{'; '.join(wrong)}: {self.describe(segment)}")

    def check_window(self, packet, segment, flow, check):
        """How far a window is shifted is an implementation's own: a borrowed script's is compared in octets."""
        if packet.win is None:
            return
        theirs, ours = flow.scales.get("script"), flow.scales.get("live")
        if self.strict or "S" in packet.flags or None in (theirs, ours, flow.scales.get("peer")):
            check("window", segment.win, packet.win)
        elif abs((segment.win << ours) - (packet.win << theirs)) > 1 << max(ours, theirs):
            check("window in octets", segment.win << ours, packet.win << theirs)

    def note_scales(self, flow, flags, **options):
        """Remembers the shifts that SYNs offer: the script's, ours, the peer's."""
        if "S" in flags:
            for who, given in options.items():
                flow.scales[who] = USUAL_SCALE.get(self.profile) if given is None else next(
                    (o[1] for o in given if o[0] == "wscale"), None)

    def opened(self):
        counters = self.stack.counters()
        return counters["opened_active"] + counters["opened_passive"]

    def check_options(self, packet, segment, flow, check, wrong):
        if packet.options is None:
            return
        found = list(segment.options)
        wanted = list(packet.options)
        if not self.strict:
            # Their order and padding are an implementation's own, and so is the shift of its window
            found, wanted = ([("wscale",) if o[0] == "wscale" else o for o in side if o[0] not in ("nop", "eol")]
                             for side in (found, wanted))
            found.sort(key=lambda o: o[0])
            wanted.sort(key=lambda o: o[0])
        if [o[0] for o in found] != [o[0] for o in wanted]:
            wrong.append(f"options {found}, not {wanted}")
            return
        for have, want in zip(found, wanted, strict=True):
            if have[0] == "TS":
                self.check_timestamps(have, want, segment, flow, wrong)
            elif have[0] == "sack":
                blocks = tuple(tuple((edge - self.peer_shift) % MOD for edge in block) for block in have[1:])
                check("sack", blocks, want[1:])
            else:
                check(have[0], have[1:], want[1:])

    def check_timestamps(self, have, want, segment, flow, wrong):
        _, val, ecr = have
        if want[1] is not ELLIPSIS:
            if flow.ts_shift is None:
                flow.ts_shift = (val - want[1]) % MOD
                first = 100 + (segment.at_ns - self.start) // MS
                if self.strict and want[1] != first:        # or any first value would be as good as another
                    wrong.append(f"TSval {want[1]}, the first of a script of ours is 100 plus milliseconds: {first}")
            flow.ts_live[want[1]] = val
            off = abs((val - flow.ts_shift - want[1] + MOD // 2) % MOD - MOD // 2)
            if self.tick_checked and off * MS > self.tolerance(0):
                wrong.append(f"TSval {(val - flow.ts_shift) % MOD}, not {want[1]}")
        if want[2] is not ELLIPSIS and ecr != want[2]:
            wrong.append(f"TSecr {ecr}, not {want[2]}")


def play(text, profile=None, defined=None, **options):
    """Result of the script in `text`. profile None: one of ours, tolerance 0. `defined`: names for #ifdef (DEFINED)."""
    try:
        script = read(text, DEFINED[profile] if defined is None else defined) if isinstance(text, str) else text
        player = Player(script, profile, **options)
    except (Unsupported, ScriptError) as e:
        return Result("unsupported", str(e))
    except (ValueError, TypeError) as e:
        return Result("unsupported", f"options: {e}")
    return player.play()
