"""What each cell of the matrix asks of the wire, and the judgement over what came of it. No sockets here.

A cell is a peer and a damage, as in "cubic/loss5". Each asks for probabilities per frame, in both directions alike.
"""
from dataclasses import dataclass, field

PERCENT = 0.01
DAMAGE = {
    "loss0": {},
    "loss1": {"loss": 1 * PERCENT},
    "loss5": {"loss": 5 * PERCENT},
    "reorder25": {"reorder": 25 * PERCENT},
    "double5": {"duplicate": 5 * PERCENT},
    "corrupt1": {"corrupt": 1 * PERCENT},
    "all": {"loss": 5 * PERCENT, "reorder": 25 * PERCENT, "duplicate": 5 * PERCENT, "corrupt": 1 * PERCENT},
}
LINUX = ("reno", "cubic", "bbr")
PEERS = (*LINUX, "lwip")
# lwIP's sender has neither SACK nor NewReno's partial ACKs, and waits 1.5 s and more for its timer: after two losses in one
# window it does. So it sends this fraction of what we send.
LWIP_SENDS = {"loss1": 1 / 10, "corrupt1": 1 / 10, "loss5": 1 / 200, "all": 1 / 400}
LWIP_LEAST = 20_000
COUNT_OF = {"loss": "lost", "reorder": "moved", "duplicate": "doubled", "corrupt": "damaged"}
TOLERANCE = 0.20
STALL_RTOS = 3.0
# Of 1,514 octets 14 are the Ethernet header, which no checksum covers; of a bare ACK's 54 they are a quarter.
REFUSED_LEAST = 0.6


def names(peers=PEERS):
    return [f"{peer}/{damage}" for peer in peers for damage in DAMAGE]


def octets_back(cell, octets):
    """What the peer of `cell` sends while we send `octets`."""
    peer, damage = cell.split("/")
    return max(int(octets * LWIP_SENDS.get(damage, 1)), LWIP_LEAST) if peer == "lwip" else octets


def damage_faults(asked, counts):
    """What the wire did otherwise than asked, as sentences: each kind within 20 % of it, none where none was asked.

    `counts` are Impairment.counts() of both directions added. A lost frame meets no other damage.
    """
    faults = []
    for setting, count in COUNT_OF.items():
        among = counts["seen"] - (0 if setting == "loss" else counts["lost"])
        want, got = asked.get(setting, 0) * among, counts[count]
        if abs(got - want) > TOLERANCE * want or (want and not got):
            faults.append(f"{got} frames {count}, asked {want:.0f} +- 20 %")
    for unasked in ("overflow", "no_room", "missed"):
        if counts.get(unasked):
            faults.append(f"{counts[unasked]} frames lost by the bridge itself ({unasked})")
    return faults


@dataclass
class Stalls:
    """The longest time one direction stood still while text was to be delivered, against the sender's RTO.

    Fed by the sender: `look` whenever it can, with how many octets are acknowledged, whether any are outstanding or
    queued, and a callable for the RTO, asked only during a pause. The time a pause takes is compared with the RTO in
    force when it began (before any back-off) and with the one in force at its end. All in nanoseconds.
    """
    pause_ns: int = 1_000_000           # shorter ones are not pauses
    longest_ns: int = 0
    first_rtos: float = 0.0             # the worst pause / RTO in force when it began
    rtos: float = 0.0                   # the worst pause / RTO in force at its end
    _value: int = -1
    _busy: bool = False
    _since_ns: int = 0
    _rto_seen: list[int] = field(default_factory=list)

    def look(self, now_ns, value, busy, rto_ns):
        if value != self._value or not (busy and self._busy):
            if self._rto_seen:
                self._note(now_ns - self._since_ns)
            self._value, self._busy, self._since_ns, self._rto_seen = value, busy, now_ns, []
        elif now_ns - self._since_ns > self.pause_ns:
            rto = rto_ns()
            if not self._rto_seen:
                self._rto_seen = [rto, rto]
            self._rto_seen[1] = max(self._rto_seen[1], rto)

    def _note(self, pause_ns):
        first, last = self._rto_seen
        self.longest_ns = max(self.longest_ns, pause_ns)
        self.first_rtos = max(self.first_rtos, pause_ns / first)
        self.rtos = max(self.rtos, pause_ns / last)

    def result(self):
        return {"longest_ms": round(self.longest_ns / 1e6, 3), "rtos": round(self.rtos, 3),
                "first_rtos": round(self.first_rtos, 3)}


def faults(cell, outcome, timed=True):
    """What is wrong with the outcome of `cell` (run.run_cell), as sentences; [] if nothing. `timed`: stalls too."""
    asked = DAMAGE[cell.partition("/")[2]]
    found = damage_faults(asked, outcome["wire"])
    for end, other in (("us", "peer"), ("peer", "us")):
        got, sent = outcome[end], outcome[other]
        if got["received"] != sent["sent"] or got["sha256_in"] != sent["sha256_out"]:
            found.append(f"{end} received {got['received']} of {sent['sent']} octets, sha256 "
                         f"{'equal' if got['sha256_in'] == sent['sha256_out'] else 'differs'}")
        if got["error"]:
            found.append(f"{end}: {got['error']}")
        if timed and got["stall"]["rtos"] > STALL_RTOS:
            found.append(f"{end} as sender stood still for {got['stall']['longest_ms']} ms, "
                         f"{got['stall']['rtos']} RTO (at most {STALL_RTOS:g})")
    if outcome["us"]["accounting"]:
        found.append(f"us: {outcome['us']['accounting']}")
    if asked.get("corrupt") and outcome["refused"] < REFUSED_LEAST * outcome["refusable"]:
        found.append(f"only {outcome['refused']} of {outcome['refusable']} damaged frames were refused")
    return found
