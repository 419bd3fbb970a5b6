"""A gateway and a venue, each an engine on its own stack, on one pair and on virtual time that the test turns.

    street = Street(strategy, venue_strategy)
    street.settle()                 until neither end has anything more to do now
    street.pass_s(30)               time passes, in steps
    street.out()                    messages the gateway sent since the last call, SOH as |, SendingTime as it was
"""
import re

from dpdk_py import open_device
from gateway import Engine

UTC_OFFSET_NS = 1_790_000_000 * 10**9       # 2026-09-21; the same in every run, so are the octets


class Quiet:
    """A strategy that notes what it is told, and does nothing."""

    def __init__(self):
        self.told = []
        self.session = None

    def on_logon(self, session):
        self.session = session
        self.told.append("logon")

    def on_message(self, session, msg):
        self.told.append(msg.MsgType)

    def on_logout(self, session):
        self.told.append("logout")


class Street:
    def __init__(self, strategy, venue=None, *, on_error="continue", begin_string="FIX.4.4", connect=True, trace=None,
                 around=None, **session):
        self.near, self.far = open_device("pair")
        self.now_ns = 10**9
        shared = dict(sessions=8, connections=96, utc_offset_ns=UTC_OFFSET_NS, message_log=1 << 20)
        self.around = self.near if around is None else around(self.near)
        self.gateway = Engine(self.around, "10.0.0.1/24", seed=1, trace=trace, **shared)
        self.venue = Engine(self.far, "10.0.0.2/24", seed=2, **shared)
        self.quiet = Quiet() if venue is None else venue
        self.strategy = self.gateway.add_strategy(strategy, on_error=on_error)
        self.venue_strategy = self.venue.add_strategy(self.quiet)
        self.there = self.venue.add_session("VENUE", "GATEWAY", role="acceptor", port=9878, strategy=self.venue_strategy,
                                            BeginString=begin_string)
        if connect:
            self.here = self.gateway.add_session("GATEWAY", "VENUE", role="initiator", host="10.0.0.2", port=9878,
                                                 strategy=self.strategy, BeginString=begin_string, **session)
        self.step()

    def step(self, ns=1000):
        self.now_ns += ns
        did = self.gateway.step(self.now_ns)
        return self.venue is not None and self.venue.step(self.now_ns) or did

    def lose_venue(self):
        """The venue goes without a word to its strategies: its connections are reset, its device stays."""
        self.venue.close()
        self.venue = None

    def settle(self, turns=2000):
        idle = 0
        for _ in range(turns):
            idle = 0 if self.step() else idle + 1
            if idle == 3:
                return self
        raise AssertionError(f"still busy after {turns} turns")

    def pass_s(self, seconds, every_ms=10):
        for _ in range(round(seconds * 1000 / every_ms)):
            self.step(every_ms * 10**6)
        return self.settle()

    def out(self):
        return ["".join(shown(octets)) for _, _, way, octets in self.gateway.messages() if way == "out"]

    def close(self):
        self.gateway.close()
        if self.venue is not None:
            self.venue.close()
        self.near.close()
        self.far.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()


def shown(octets):
    return octets.replace(b"\x01", b"|").decode("latin-1")


def body(message):
    """What the application put into a message: everything behind the session's header and before CheckSum."""
    return re.sub(r"^8=.*?\|56=[^|]*\||10=\d+\|$", "", message)
