"""The keys of gateway.toml: how each value is checked, its default, what it means.

Keys that QuickFIX has carry QuickFIX's names and meanings; the others are lower case. gateway/config.py reads a file by
these tables, gateway/sessions.py makes sessions of what was read, tests/reference.py makes docs/gateway-toml.md.
"""
import ipaddress
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

VERSIONS = ("FIX.4.0", "FIX.4.1", "FIX.4.2", "FIX.4.3", "FIX.4.4", "FIXT.1.1")
# DefaultApplVerID(1137): the name QuickFIX takes -> what goes over the wire
APPL_VERSIONS = {"FIX.4.0": "2", "FIX.4.1": "3", "FIX.4.2": "4", "FIX.4.3": "5", "FIX.4.4": "6", "FIX.5.0": "7",
                 "FIX.5.0SP1": "8", "FIX.5.0SP2": "9"}
BACKENDS = ("dpdk", "afpacket", "pcap")
E8 = 10**8
LARGEST_E8 = 9 * 10**10     # of a price or an amount, so that its e8 fits 63 bits


class Wrong(Exception):
    """A value that cannot be: the sentence, which names the limit."""


@dataclass(frozen=True)
class Check:
    """Gives the value in the gateway's own terms or raises Wrong; `says` is what docs/gateway-toml.md calls the values."""

    judge: Callable[[Any], Any]
    says: str

    def __call__(self, v: Any) -> Any:
        return self.judge(v)


@dataclass(frozen=True)
class Key:
    """One known key: how its value is checked, what it means, whether it must be there, its default.

    `argument` is the keyword of Engine.add_session that the checked value goes to, as it is.
    """

    check: Check
    doc: str
    required: bool = False
    default: Any = None
    argument: str | None = None
    unset: str = ""             # what docs say of a default of None


# -- checks

def string(v: Any) -> str:
    if not isinstance(v, str):
        raise Wrong("must be a string")
    if not v:
        raise Wrong("must not be empty")
    if any(ord(c) < 32 for c in v):
        raise Wrong("must not hold control characters")
    return v


STRING = Check(string, "string")
PATH = Check(string, "path; a relative one begins at the directory of this file")


def integer(low: int, high: int, words: str = "") -> Check:
    def judge(v: Any) -> int:
        if isinstance(v, bool) or not isinstance(v, int):
            raise Wrong(f"must be a whole number from {low} to {high}")
        if not low <= v <= high:
            raise Wrong(f"must be from {low} to {high}")
        return v
    return Check(judge, words or f"whole number, {low:,} to {high:,}")


def number(low: float, high: float, unit: str) -> Check:
    """A whole or a decimal number."""
    def judge(v: Any) -> float:
        if isinstance(v, bool) or not isinstance(v, (int, float)) or not low <= v <= high:
            raise Wrong(f"must be a number from {low:g} to {high:g}")
        return float(v)
    return Check(judge, f"{unit}, {low:g} to {high:g}")


def seconds(low: float, high: float) -> Check:
    return number(low, high, "seconds")


def amount() -> Check:
    """A price or an amount of money -> its e8."""
    def judge(v: Any) -> int:
        if isinstance(v, bool) or not isinstance(v, (int, float)) or not 0 <= v <= LARGEST_E8:
            raise Wrong(f"must be a number from 0 to {LARGEST_E8}")
        return int(Decimal(repr(v)) * E8)
    return Check(judge, f"number, 0 to {LARGEST_E8:,}, eight decimals")


def one_of(*words: str) -> Check:
    def judge(v: Any) -> str:
        if v not in words:
            raise Wrong("must be " + ", ".join(words[:-1]) + " or " + words[-1] + suggestion(v, words))
        return str(v)
    return Check(judge, ", ".join(f'`"{w}"`' for w in words))


def boolean(v: Any) -> bool:
    if not isinstance(v, bool):
        raise Wrong("must be true or false")
    return v


BOOLEAN = Check(boolean, "`true`, `false`")


def device(v: Any) -> str:
    name = string(v).partition(":")[0]
    if name == "pair":
        raise Wrong("pair joins two ends inside one process and has nobody at its other end here; "
                    "`fixwire demo` uses it, run needs dpdk: or afpacket:")
    if name not in BACKENDS or not v.partition(":")[2]:
        raise Wrong("must be dpdk:PCI-ADDRESS, dpdk:VDEV, afpacket:INTERFACE or pcap:FILE"
                    + suggestion(name, BACKENDS))
    return str(v)


def address(v: Any) -> str:
    text = string(v)
    if "/" not in text:
        raise Wrong("must name the prefix too, as in 10.0.0.2/24")
    try:
        i = ipaddress.IPv4Interface(text)
    except ValueError:
        raise Wrong("must be an IPv4 address and prefix, as in 10.0.0.2/24") from None
    if i.ip.is_multicast or i.ip.is_unspecified or i.ip.is_loopback or int(i.ip) == 0xFFFFFFFF:
        raise Wrong("must be an address a host can have: no multicast, loopback, 0.0.0.0 or broadcast")
    if i.network.prefixlen < 31 and i.ip in (i.network.network_address, i.network.broadcast_address):
        raise Wrong(f"must be a host of {i.network}, not its first or last address")
    return text


def host(v: Any) -> str:
    try:
        ip = ipaddress.IPv4Address(string(v))
    except ValueError:
        raise Wrong("must be an IPv4 address, as in 10.0.0.1 (names are not looked up)") from None
    if ip.is_multicast or ip.is_unspecified or int(ip) == 0xFFFFFFFF:
        raise Wrong("must be the address of one host")
    return str(ip)


HOST = Check(host, "IPv4 address")


def hosts(v: Any) -> tuple[tuple[str, int | None], ...]:
    """-> (address, port or None) each"""
    if not isinstance(v, list) or len(v) > 7:
        raise Wrong('must be a list of at most 7, as in ["10.0.0.9", "10.0.0.10:9877"]')
    found = []
    for one in v:
        name, colon, port = string(one).partition(":")
        if colon and not (port.isascii() and port.isdigit() and 0 < int(port) < 65_536):
            raise Wrong(f"{one} must have a port from 1 to 65535")
        found.append((host(name), int(port) if colon else None))
    return tuple(found)


def references(v: Any) -> dict[str, int]:
    """-> e8 by symbol"""
    if not isinstance(v, dict):
        raise Wrong("must be a table of prices, as in {ABC = 101.5}")
    return {string(symbol): amount()(price) for symbol, price in v.items()}


def strategy(v: Any) -> str:
    module, colon, name = string(v).rpartition(":")
    if not colon or not name.isidentifier() or not module or (
            not module.endswith(".py") and not all(p.isidentifier() for p in module.split("."))):
        raise Wrong("must be module:Name or path/to/file.py:Name")
    return str(v)


def comp_id(v: Any) -> str:
    text = string(v)
    if len(text) > 63:
        raise Wrong(f"has {len(text)} characters, at most 63")
    if not text.isascii():
        raise Wrong("must be ASCII")
    return text


COMP_ID = Check(comp_id, "string of at most 63 ASCII characters")


def arguments(v: Any) -> tuple[str, ...]:
    if not isinstance(v, list) or not all(isinstance(a, str) and a for a in v):
        raise Wrong('must be a list of strings, as in ["-l", "2-3", "-n", "4"]')
    return tuple(v)


def appl_version(v: Any) -> str:
    text = string(v)
    if text in APPL_VERSIONS:
        return APPL_VERSIONS[text]
    if text not in APPL_VERSIONS.values():
        raise Wrong("must be FIX.5.0, FIX.5.0SP1, FIX.5.0SP2 or the value of ApplVerID(1128), as in 9"
                    + suggestion(text, APPL_VERSIONS))
    return text


def clock_time(v: Any) -> str:
    if not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d:[0-5]\d", string(v), re.ASCII):
        raise Wrong("must be HH:MM:SS")
    return str(v)


DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def day(v: Any) -> str:
    text = string(v)
    if len(text) < 2 or not any(d.startswith(text.lower()) for d in DAYS):
        raise Wrong("must be a day such as monday or mo" + suggestion(text, DAYS))
    return text


def days(v: Any) -> tuple[str, ...]:
    if not isinstance(v, list) or not v:
        raise Wrong('must be a list of days, as in ["monday", "friday"]')
    return tuple(day(d) for d in v)


def zone(v: Any) -> str:
    import zoneinfo
    text = string(v)
    try:
        zoneinfo.ZoneInfo(text)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise Wrong("must be a time zone this system knows, as in America/New_York") from None
    return text


def suggestion(word: object, known: Iterable[str]) -> str:
    import difflib
    names = {k.lower(): k for k in known}
    near = difflib.get_close_matches(str(word).lower(), names, 1, 0.6)
    return f", did you mean {names[near[0]]}?" if near else ""


def label(v: Any) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,32}", string(v)):
        raise Wrong("must be 1 to 32 letters, digits, - and _")
    return str(v)


LABEL = Check(label, "1 to 32 letters, digits, `-` and `_`")


def power_of_two(low: int, high: int) -> Check:
    def judge(v: Any) -> int:
        if isinstance(v, bool) or not isinstance(v, int) or not low <= v <= high or v & (v - 1):
            raise Wrong(f"must be a power of two from {low} to {high}")
        return v
    return Check(judge, f"power of two, {low:,} to {high:,}")


# What asks and changes nothing: the status of orders, market data, quotes, securities and their status, trading sessions,
# trades, positions
INQUIRIES = ("H", "AF", "V", "R", "c", "x", "e", "g", "AD", "AN")
# By order_new, order_cancel and order_replace only, which ask the limits; lists (E, executed by L), crosses (s, t) and
# multileg orders (AB, AC) would place orders past them
ORDERS = ("D", "F", "G", "E", "L", "s", "t", "AB", "AC")
ADMINISTRATIVE = ("0", "1", "2", "3", "4", "5", "A")


def message_types(v: Any) -> tuple[str, ...]:
    """MsgTypes of messages that are neither orders nor the session's own."""
    if not isinstance(v, (list, tuple)) or len(v) > 32 or not all(
            isinstance(t, str) and 0 < len(t) <= 8 and all("!" <= c <= "~" for c in t) for t in v):
        raise Wrong("must be a list of at most 32 MsgTypes")
    for t in v:
        if t in ORDERS or t in ADMINISTRATIVE:
            raise Wrong(f"has {t!r}, " + ("an order's" if t in ORDERS else "the session's own"))
    return tuple(v)


CLOCK_TIME = Check(clock_time, "`HH:MM:SS`")
DAY = Check(day, "a day of the week in English, or its first letters")

# -- the tables

KEYS: dict[str, Key] = {
    "device": Key(Check(device, "`dpdk:PCI-ADDRESS`, `dpdk:VDEV,options`, `afpacket:INTERFACE`, `pcap:FILE`"),
                  "where frames come from and go to", required=True),
    "address": Key(Check(address, "IPv4 address and prefix"), "our IPv4 address and prefix", required=True),
    "gateway": Key(HOST, "next hop to other networks", unset="one network only"),
    "strategy": Key(Check(strategy, "`module:Name` or `path/to/file.py:Name`"),
                    "module:Name of the strategy; looked for beside this file first", unset="no strategy"),
    "core": Key(integer(0, 1023), "CPU the engine's thread is pinned to; the rest of the process is kept off it",
                unset="not pinned"),
    "idle": Key(one_of("spin", "yield", "sleep"), "what the engine does when nothing is to do", default="spin"),
    "eal": Key(Check(arguments, "list of strings"), "more arguments for DPDK's EAL", default=()),
    "seed": Key(integer(0, 2**64 - 1, "whole number below 2^64"), "seed of ISNs and ports, for tests only",
                unset="from the system"),
    "exceptions": Key(one_of("continue", "disable", "stop"),
                      "after an exception in a Python strategy: go on, disable it, or stop the gateway cleanly",
                      default="continue"),
    "log": Key(PATH, "file that messages of the gateway are appended to", unset="standard error"),
    "log_ring_octets": Key(integer(65_536, 1 << 34), "room between the engine and the thread that writes message logs; what "
                           "finds none is not logged, and counted", default=1 << 22),
    "admin": Key(BOOLEAN, "serve `fixwire session` on a Unix socket of the owner's", default=True),
    "runtime_directory": Key(PATH, "directory of that socket, 0700",
                             unset="$RUNTIME_DIRECTORY, $XDG_RUNTIME_DIR/fixwire or /tmp/fixwire-UID"),
    "audit_log": Key(PATH, "file that every change by `fixwire session` is appended to",
                     unset="this file's name with .audit.log"),
    "user_timeout": Key(seconds(0.001, 1_000_000), "text that a peer has not acknowledged for so long ends its connection",
                        unset="300, which a peer may change if `user_timeout_option` is true"),
    "user_timeout_option": Key(BOOLEAN, "tell peers of it and hear of theirs, by the TCP option of RFC 5482", default=False),
    "ipc": Key(Check(lambda v: v, "table"), "[ipc]: strategies in processes of their own", unset="none"),
    "flight_recorder": Key(PATH, "directory for the last 1024 frames with their verdicts, a pcapng file at every fault and "
                                 "at SIGUSR1", unset="no recorder"),
    "default": Key(Check(lambda v: v, "table"), "[default]: session keys that hold where a [[sessions]] table has none"),
    "sessions": Key(Check(lambda v: v, "tables"), "one table [[sessions]] each", required=True),
}

SESSION_KEYS: dict[str, Key] = {
    # who
    "role": Key(one_of("initiator", "acceptor"), "who opens the connection", required=True),
    "BeginString": Key(one_of(*VERSIONS), "version of the session", required=True),
    "SenderCompID": Key(COMP_ID, "we", required=True),
    "TargetCompID": Key(COMP_ID, "the peer", required=True),
    "SenderSubID": Key(COMP_ID, "sent as SenderSubID(50)", argument="SenderSubID", unset="not sent"),
    "TargetSubID": Key(COMP_ID, "sent as TargetSubID(57)", argument="TargetSubID", unset="not sent"),
    "SenderLocationID": Key(COMP_ID, "sent as SenderLocationID(142)", argument="SenderLocationID", unset="not sent"),
    "TargetLocationID": Key(COMP_ID, "sent as TargetLocationID(143)", argument="TargetLocationID", unset="not sent"),
    "DefaultApplVerID": Key(Check(appl_version, "`FIX.5.0SP2` and so on, or the value of ApplVerID(1128)"),
                            "application version under FIXT.1.1, and required there", argument="DefaultApplVerID",
                            unset="none"),
    "Username": Key(COMP_ID, "sent in our Logon; an acceptor asks for it in the peer's", argument="Username", unset="none"),
    "Password": Key(COMP_ID, "as Username; keep this file readable by its owner only", argument="Password",
                    unset="not sent"),
    "name": Key(COMP_ID, "what logs and `fixwire session` call it", argument="name", unset="SenderCompID->TargetCompID"),
    # where
    "host": Key(HOST, "the peer's address (initiator)", unset="none"),
    "backup_hosts": Key(Check(hosts, "list of `IP` or `IP:PORT`, at most 7"), "tried in turn while no Logon is answered; "
                        "the wait of ReconnectInterval grows with each round", default=()),
    "AcceptorTemplate": Key(BOOLEAN, "an acceptor with TargetCompID `*`: whoever logs on to SenderCompID gets one of "
                            "`template_sessions` sessions, which are made at the start, and keeps it", default=False),
    "template_sessions": Key(integer(1, 4096), "see AcceptorTemplate; further peers are refused and counted", default=16),
    "port": Key(integer(1, 65_535), "the peer's port (initiator) or ours (acceptor)", required=True),
    # logon and logout
    "HeartBtInt": Key(integer(0, 86_400), "seconds between heartbeats, 0 for none", default=30),
    "LogonTimeout": Key(seconds(0.1, 3600), "a Logon that is not there by then ends the connection", default=10.0,
                        argument="logon_timeout_s"),
    "LogoutTimeout": Key(seconds(0.1, 3600), "how long our Logout waits for the peer's", default=2.0,
                         argument="logout_timeout_s"),
    "ReconnectInterval": Key(seconds(0.001, 86_400), "wait before an initiator connects again; doubled after each failure",
                             default=1.0, argument="reconnect_s"),
    "reconnect_max": Key(seconds(0.001, 86_400), "where the doubling ends", default=30.0, argument="reconnect_max_s"),
    "ResetOnLogon": Key(BOOLEAN, "both sides begin at MsgSeqNum 1 on each Logon", default=False,
                        argument="ResetOnLogon"),
    "ResetOnLogout": Key(BOOLEAN, "... after each Logout", default=False, argument="reset_on_logout"),
    "ResetOnDisconnect": Key(BOOLEAN, "... after each end of the connection", default=False,
                             argument="reset_on_disconnect"),
    "EnableLastMsgSeqNumProcessed": Key(BOOLEAN, "LastMsgSeqNumProcessed(369) in every message", default=False,
                                        argument="last_processed"),
    "EnableNextExpectedMsgSeqNum": Key(BOOLEAN, "NextExpectedMsgSeqNum(789) in the Logon, instead of ResendRequests",
                                       default=False, argument="next_expected"),
    "TimestampPrecision": Key(Check(integer(0, 9).judge, "0, 3, 6 or 9"),
                              "digits behind the second of SendingTime(52)", argument="timestamp_digits",
                              unset="3, and 0 for FIX.4.0 and FIX.4.1"),
    # limits
    "MaxMessageSize": Key(integer(256, 65_535), "octets of a message received; a longer one is skipped as garbled",
                          default=65_535, argument="max_message"),
    "ResendRequestChunkSize": Key(integer(0, 2**31 - 1), "messages asked for by one ResendRequest, 0 for all", default=0,
                                  argument="resend_request_max"),
    "resend_messages": Key(integer(1, 100_000), "messages sent again in one step, between which live ones go out",
                           default=64, argument="resend_messages"),
    "throttle_messages": Key(integer(0, 2**31 - 1), "application messages sent within `throttle_interval`, 0 for any "
                             "number; further ones are refused to the strategy and counted", default=0,
                             argument="throttle_messages"),
    "throttle_interval": Key(seconds(0.001, 86_400), "see `throttle_messages`", default=1.0, argument="throttle_s"),
    # what is kept
    "store": Key(one_of("journal", "memory", "none"),
                 "what was sent and the next numbers: in files that outlive the process, in memory, or numbers only "
                 "(every resend is a gap fill). memory or none in a session's own table leaves [default]'s journal aside",
                 unset="journal with FileStorePath, else memory"),
    "FileStorePath": Key(PATH, "directory of the journal", unset="none"),
    "durability": Key(one_of("process", "machine", "each"),
                      "the journal survives kill -9 (process), a crash of the machine but for the last `sync_ms` "
                      "(machine), or all of it, at milliseconds a message (each)", default="process"),
    "sync_ms": Key(number(0, 60_000, "milliseconds"), "how often the journal is synced to disk", default=5.0),
    "ring_directory": Key(PATH, "tmpfs for the journal's ring, which survives the process", default="/dev/shm"),
    "ring_octets": Key(integer(65_536, 1 << 32), "size of that ring, a power of two", default=1 << 22),
    "segment_octets": Key(integer(131_072, 1 << 40), "size of one journal file, a multiple of 8", default=1 << 24),
    "keep_segments": Key(integer(2, 1000), "journal files that are kept; older ones are deleted", default=64),
    "store_messages": Key(integer(1, 1 << 26), "newest messages that can be sent again", default=1 << 16),
    "FileLogPath": Key(PATH, "directory of message and event logs in QuickFIX's format", unset="none are written"),
    "store_octets": Key(integer(1024, 1 << 31), "octets of them, where the store is memory", default=1 << 22),
    # what is checked
    "CheckCompID": Key(BOOLEAN, "CompIDs of every message must be the session's", default=True, argument="check_comp_id"),
    "CheckLatency": Key(BOOLEAN, "SendingTime(52) must be within MaxLatency of our clock", default=True,
                        argument="check_latency"),
    "MaxLatency": Key(seconds(1, 1_000_000), "see CheckLatency", default=120.0, argument="max_latency_s"),
    "UseDataDictionary": Key(BOOLEAN, "received messages are checked against a dictionary: the built-in one of the "
                             "version, or DataDictionary", unset="true if one is named"),
    "DataDictionary": Key(PATH, "QuickFIX-format XML of the application's messages", unset="built in"),
    "TransportDataDictionary": Key(PATH, "QuickFIX-format XML of the transport, FIXT.1.1 only", unset="built in"),
    "ValidateFieldsOutOfOrder": Key(BOOLEAN, "header, body and trailer fields in their places, delimiters first",
                                    default=True),
    "ValidateFieldsHaveValues": Key(BOOLEAN, "no empty field", default=True),
    "ValidateUserDefinedFields": Key(BOOLEAN, "tags from 5000 on must be in the dictionary", default=True),
    "AllowUnknownMsgFields": Key(BOOLEAN, "tags below 5000 need not be in the message's definition", default=False),
    "ValidateRequiredFields": Key(BOOLEAN, "no required field is missing", default=True),
    "ValidateGroupFieldsOrder": Key(BOOLEAN, "a field that comes twice before the next delimiter of its group is a "
                                    "fault, not the beginning of the next entry", default=False),
    # when
    "NonStopSession": Key(BOOLEAN, "open at all times; the hours below must not be there", default=False),
    "StartTime": Key(CLOCK_TIME, "when the session opens, and its numbers begin at 1", unset="always open"),
    "EndTime": Key(CLOCK_TIME, "when it closes with Logout", unset="always open"),
    "StartDay": Key(DAY, "with EndDay: one window a week, from StartTime that day", unset="every day"),
    "EndDay": Key(DAY, "... to EndTime that day", unset="every day"),
    "Weekdays": Key(Check(days, "list of days"), "days on which a daily session opens", unset="all"),
    "TimeZone": Key(Check(zone, "as in `America/New_York`"), "zone of the hours", default="UTC"),
    # risk
    "max_order_qty": Key(integer(0, 2**62), "largest OrderQty(38) of an order, 0 for any", default=0,
                         argument="max_order_qty"),
    "max_notional": Key(amount(), "largest OrderQty(38) times Price(44), 0 for any", default=0, argument="max_notional_e8"),
    "min_price": Key(amount(), "lowest Price(44) of an order", default=0, argument="min_price_e8"),
    "max_price": Key(amount(), "highest Price(44) of an order, 0 for any", default=0, argument="max_price_e8"),
    "price_band": Key(number(0, 1000, "percent"), "how far a Price(44) may lie off its symbol's reference, 0 for any; "
                      "without a reference an order is refused", default=0.0, argument="price_band"),
    "reference_prices": Key(Check(references, "table, as in `{ABC = 101.5}`"), "references at the start; a strategy sets "
                            "them with session.reference_price", default={}),
    "price_band_last": Key(BOOLEAN, "each LastPx(31) of an execution becomes its symbol's reference", default=True,
                           argument="price_band_last"),
    "price_symbols": Key(integer(1, 1 << 20), "symbols that can have a reference", default=1024, argument="price_symbols"),
    "max_open_orders": Key(integer(0, 1 << 20), "orders that no execution report said are done, those before a restart "
                           "with a journal included, 0 for any number; a ClOrdID may then have 32 characters at most",
                           default=0, argument="max_open_orders"),
    "bypass_allowed": Key(BOOLEAN, "an order may say bypass_risk, which leaves only the kill switch; counted",
                          default=False, argument="bypass_allowed"),
    "max_orders_per_second": Key(integer(0, 2**31 - 1), "new and replaced orders, 0 for any number", default=0,
                                 argument="max_orders_per_second"),
}

# [ipc] and its [[ipc.strategies]]: what Desk is made with
IPC_KEYS: dict[str, Key] = {
    "desk": Key(LABEL, "name of the gateway towards them: `fixwire strategy run ... --connect DESK.NAME`", required=True),
    "directory": Key(PATH, "where the shared memory is", default="/dev/shm"),
    "events": Key(power_of_two(64, 1 << 24), "events that are kept for those who fall behind", default=16_384),
    "message": Key(integer(256, 65_535), "octets of the longest message passed on; longer ones are counted", default=2048),
    "strategies": Key(Check(lambda v: v, "tables"), "one table [[ipc.strategies]] each", required=True),
}
OUTSIDE_KEYS: dict[str, Key] = {
    "name": Key(LABEL, "its name at the desk", required=True),
    "on_death": Key(one_of("cancel", "leave"), "when its process ends, however, or the gateway does: its open "
                   "orders are cancelled, or left",
                    default="cancel"),
    "orders": Key(power_of_two(2, 1 << 20), "requests its channel holds", default=1024),
    "inbox": Key(power_of_two(2, 1 << 20), "verdicts and executions kept until it acknowledges them", default=4096),
    "open": Key(integer(1, 1 << 20), "orders it may have open", default=4096),
    "max_orders_per_second": Key(integer(0, 2**31 - 1), "new and replaced orders and other messages, 0 for any number; the "
                                 "limits of the session hold besides", default=0),
    "messages": Key(Check(message_types, "list of MsgTypes, at most 32"), "what it may send beside orders. "
                    "Orders of any kind are never among them: they have limits, messages have none but the kill switch and "
                    "the rate (quotes bind, too)", default=INQUIRIES),
    "request": Key(integer(64, 65_535), "octets of the longest body of such a message", default=512),
}

VALIDATION_KEYS = ("ValidateFieldsOutOfOrder", "ValidateFieldsHaveValues", "ValidateUserDefinedFields",
                   "AllowUnknownMsgFields", "ValidateRequiredFields", "ValidateGroupFieldsOrder")
JOURNAL_KEYS = ("durability", "sync_ms", "ring_directory", "ring_octets", "segment_octets", "keep_segments")
HOURS_KEYS = ("StartTime", "EndTime", "StartDay", "EndDay", "Weekdays")
