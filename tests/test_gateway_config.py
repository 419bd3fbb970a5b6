"""gateway.toml: what is accepted, and the sentence with file:line for everything that is not."""
import random

import pytest
import reference

from gateway.config import ConfigError, Lines, eal_contradictions, lcores, load, parse
from gateway.keys import KEYS, SESSION_KEYS

GOOD = """\
device = "dpdk:0000:3b:00.0"
address = "10.0.0.2/24"
gateway = "10.0.0.1"
strategy = "maker:Maker"
core = 3
idle = "yield"
eal = ["-l", "2-3", "-n", "4"]

[[sessions]]
role = "initiator"
BeginString = "FIX.4.4"
SenderCompID = "US"
TargetCompID = "THEM"
HeartBtInt = 10
host = "10.0.0.9"
port = 9876
"""


def problems(text):
    with pytest.raises(ConfigError) as e:
        parse(text.encode() if isinstance(text, str) else text, "g.toml")
    return e.value.problems


def changed(old, new):
    assert old in GOOD
    return GOOD.replace(old, new)


def test_a_whole_configuration():
    c = parse(GOOD.encode())
    assert (c.device, c.address, c.gateway) == ("dpdk:0000:3b:00.0", "10.0.0.2/24", "10.0.0.1")
    assert (c.core, c.idle, c.exceptions, c.seed) == (3, "yield", "continue", None)
    assert c.eal == ("-l", "2-3", "-n", "4")
    s, = c.sessions
    assert (s.role, s.BeginString, s.HeartBtInt) == ("initiator", "FIX.4.4", 10)
    assert (s.host, s.port, s.line) == ("10.0.0.9", 9876, 9)


def test_the_commented_example_is_one():
    c = load("examples/gateway.toml")
    assert {s.role for s in c.sessions} == {"initiator", "acceptor"}


def test_the_reference_has_every_key_as_it_is_and_no_other():
    with open("docs/gateway-toml.md") as f:
        assert f.read() == reference.page(), "write it again: python tests/reference.py > docs/gateway-toml.md"


def test_every_key_has_its_place_in_the_reference():
    shown = [key for group in reference.GROUPS.values() for key in group]
    assert sorted(shown) == sorted([*KEYS, *SESSION_KEYS]) and len(set(shown)) == len(shown)


@pytest.mark.parametrize("old, new, complaint", [
    ('gateway = ', 'gatway = ',
     ":3: 'gatway' is no key, did you mean gateway?"),
    ('HeartBtInt = 10', 'HeartBtInterval = 10',
     ":14: 'HeartBtInterval' is no key of [[sessions]], did you mean HeartBtInt?"),
    ('HeartBtInt = 10', 'heartbtint = 10',
     ":14: 'heartbtint' is no key of [[sessions]], did you mean HeartBtInt?"),
    ('HeartBtInt = 10', 'core = 10',
     ":14: 'core' is no key of [[sessions]]; it belongs before [[sessions]]"),
    ('core = 3', 'port = 3',
     ":5: 'port' is no key; it belongs into a [[sessions]] table"),
    ('HeartBtInt = 10', 'HeartBtInt = -1',
     ':14: HeartBtInt is -1, must be from 0 to 86400'),
    ('HeartBtInt = 10', 'HeartBtInt = true',
     ':14: HeartBtInt is true, must be a whole number from 0 to 86400'),
    ('port = 9876', 'port = 65536',
     ':16: port is 65536, must be from 1 to 65535'),
    ('port = 9876', 'port = "9876"',
     ":16: port is '9876', must be a whole number from 1 to 65535"),
    ('"yield"', '"yeild"',
     ":6: idle is 'yeild', must be spin, yield or sleep, did you mean yield?"),
    ('"10.0.0.2/24"', '"10.0.0.2"',
     ":2: address is '10.0.0.2', must name the prefix too, as in 10.0.0.2/24"),
    ('"10.0.0.2/24"', '"10.0.0.255/24"',
     ":2: address is '10.0.0.255/24', must be a host of 10.0.0.0/24, not its first or last address"),
    ('"10.0.0.1"', '"10.0.1.1"',
     ':3: gateway 10.0.1.1 is not on our network 10.0.0.0/24'),
    ('"10.0.0.1"', '"10.0.0.2"',
     ':3: gateway 10.0.0.2 is our own address'),
    ('"10.0.0.9"', '"example.com"',
     ":15: host is 'example.com', must be an IPv4 address, as in 10.0.0.1 (names are not looked up)"),
    ('"maker:Maker"', '"maker.Maker"',
     ":4: strategy is 'maker.Maker', must be module:Name or path/to/file.py:Name"),
    ('"FIX.4.4"', '"FIX44"',
     ":11: BeginString is 'FIX44', must be FIX.4.0, FIX.4.1, FIX.4.2, FIX.4.3, FIX.4.4 or FIXT.1.1, "
     'did you mean FIX.4.4?'),
    ('"FIX.4.4"', '"FIXT.1.1"',
     ':9: DefaultApplVerID is missing: FIXT.1.1 says no application version by itself, 9 is '
     'FIX.5.0SP2'),
    ('host = "10.0.0.9"\n', '',
     ":9: host is missing: an initiator must know the peer's address"),
    ('SenderCompID = "US"\n', '',
     ':9: SenderCompID is missing: we'),
    ('address = "10.0.0.2/24"\n', '',
     ':1: address is missing: our IPv4 address and prefix'),
    ('"US"', '"U\\u0001S"',
     ":12: SenderCompID is 'U\\x01S', must not hold control characters"),
    ('"US"', '""',
     ":12: SenderCompID is '', must not be empty"),
    ('"dpdk:0000:3b:00.0"', '"afpaket:eth1"',
     ":1: device is 'afpaket:eth1', must be dpdk:PCI-ADDRESS, dpdk:VDEV, afpacket:INTERFACE or "
     'pcap:FILE, did you mean afpacket?'),
    ("HeartBtInt = 10", 'sync_ms = 1',
     ":14: sync_ms is for a journal: FileStorePath names its directory"),
    ("HeartBtInt = 10", 'store = "journal"',
     ":14: FileStorePath is missing: a journal needs its directory"),
    ("HeartBtInt = 10", 'store = "none"\nFileStorePath = "store"',
     ":14: store is none, but FileStorePath is there too"),
    ("HeartBtInt = 10", 'FileStorePath = "store"\nring_octets = 70000',
     ":15: ring_octets is 70000, must be a power of two"),
    ("HeartBtInt = 10", 'FileStorePath = "store"\nsegment_octets = 131073',
     ":15: segment_octets is 131073, must be a multiple of 8"),
    ("HeartBtInt = 10", 'ValidateFieldsHaveValues = false',
     ":14: ValidateFieldsHaveValues needs UseDataDictionary = true, or a DataDictionary"),
    ("HeartBtInt = 10", 'UseDataDictionary = false\nDataDictionary = "F.xml"',
     ":15: DataDictionary needs UseDataDictionary = true"),
    ("HeartBtInt = 10", 'TransportDataDictionary = "F.xml"',
     ":14: TransportDataDictionary needs BeginString FIXT.1.1, not FIX.4.4"),
    ("HeartBtInt = 10", 'TimestampPrecision = 4',
     ":14: TimestampPrecision is 4, must be 0, 3, 6 or 9"),
    ("HeartBtInt = 10", 'ReconnectInterval = 60',
     ":14: ReconnectInterval is 60, above reconnect_max 30"),
    ("HeartBtInt = 10", 'StartTime = "08:00:00"',
     ":14: StartTime and EndTime belong together"),
    ("HeartBtInt = 10", 'StartTime = "8:00"\nEndTime = "17:00:00"',
     ":14: StartTime is '8:00', must be HH:MM:SS"),
    ("HeartBtInt = 10", 'Weekdays = ["mo", "fry"]\n',
     ":14: Weekdays is ['mo', 'fry'], must be a day such as monday or mo, did you mean friday?"),
    ("HeartBtInt = 10", 'Weekdays = ["mo"]\n',
     ":14: Weekdays needs StartTime and EndTime"),
    ("HeartBtInt = 10", 'StartTime = "08:00:00"\nEndTime = "17:00:00"\nEndDay = "fr"',
     ":16: StartDay and EndDay belong together"),
    ("HeartBtInt = 10", 'StartTime = "08:00:00"\nEndTime = "17:00:00"\nStartDay = "mo"\nEndDay = "fr"\nWeekdays = ["mo"]',
     ":18: Weekdays is for daily hours, StartDay and EndDay are for weekly ones"),
    ("HeartBtInt = 10", 'NonStopSession = true\nStartTime = "08:00:00"\nEndTime = "17:00:00"',
     ":15: StartTime contradicts NonStopSession = true"),
    ("HeartBtInt = 10", 'TimeZone = "Mars/Olympus"',
     ":14: TimeZone is 'Mars/Olympus', must be a time zone this system knows, as in America/New_York"),
    ("HeartBtInt = 10", 'max_notional = -1',
     ":14: max_notional is -1, must be a number from 0 to 90000000000"),
    ('core = 3', 'core = 3\ncore = 4',
     ':6: not TOML: Cannot overwrite a value'),
    ('core = 3', 'core = ',
     ':5: not TOML: Invalid value'),
])
def test_each_mistake_is_one_sentence_with_its_line(old, new, complaint):
    assert "g.toml" + complaint in problems(changed(old, new))


def test_all_mistakes_are_told_at_once_in_the_order_of_lines():
    text = changed("core = 3", "core = -3").replace("port = 9876", "port = 0").replace("strategy", "strateg")
    assert [p.split(":")[1] for p in problems(text)] == ["4", "5", "16"]


def test_two_sessions_of_one_name():
    table = GOOD[GOOD.index("[[sessions]]"):]
    assert problems(GOOD + "\n" + table) == [
        "g.toml:18: session FIX.4.4/US/THEM is already defined in line 9"]


def test_keys_of_default_hold_where_a_session_has_none():
    head, table = GOOD.split("[[sessions]]")
    second = table.replace("US", "OTHER").replace("HeartBtInt = 10", "HeartBtInt = 11\nMaxLatency = 5")
    c = parse(f"{head}[default]\nHeartBtInt = 7\nMaxLatency = 3.5\n[[sessions]]{table.replace('HeartBtInt = 10', '')}"
              f"[[sessions]]{second}".encode())
    assert [(s.HeartBtInt, s.keys["MaxLatency"]) for s in c.sessions] == [(7, 3.5), (11, 5.0)]


def test_a_session_in_memory_leaves_the_journal_of_default_aside():
    head, table = GOOD.split("[[sessions]]")
    both = f'{head}[default]\nFileStorePath = "x"\nsync_ms = 1\n[[sessions]]{table}[[sessions]]'
    c = parse(f'{both}{table.replace("US", "OTHER")}store = "memory"'.encode())
    assert [(s.keys["FileStorePath"], s.keys["store"]) for s in c.sessions] == [("x", None), (None, "memory")]


def test_a_mistake_in_default_is_told_once_with_its_line():
    head, table = GOOD.split("[[sessions]]")
    two = f"[[sessions]]{table}[[sessions]]{table.replace('US', 'OTHER')}"
    assert problems(f"{head}[default]\nLogonTimeout = 0\ncore = 1\nsync_ms = 1\n{two}") == [
        "g.toml:10: LogonTimeout is 0, must be a number from 0.1 to 3600",
        "g.toml:11: 'core' is no key of [default]; it belongs before [[sessions]]",
        "g.toml:12: sync_ms is for a journal: FileStorePath names its directory"]
    assert problems(f"default = 3\n{GOOD}")[0] == "g.toml:1: default must be a table: write [default] above its keys"


def test_sessions_as_something_else():
    head = GOOD[:GOOD.index("[[sessions]]")]
    assert problems(head) == ["g.toml:1: sessions is missing: one table [[sessions]] each"]
    assert problems(head + "sessions = 3") == [
        "g.toml:9: sessions must be tables: write [[sessions]] above each one's keys"]
    assert problems(head + "sessions = []") == ["g.toml:9: sessions is empty: a gateway needs at least one"]


@pytest.mark.parametrize("eal, device, core, complaint", [
    (["-l", "4-5"], "dpdk:0000:3b:00.0", 3, "eal -l 4-5 leaves out CPU 3, which core names"),
    (["-l4,6"], "dpdk:0000:3b:00.0", 3, "eal -l 4,6 leaves out CPU 3, which core names"),
    (["--lcores=0@4,(1-2)@5"], "dpdk:0000:3b:00.0", 3, "eal -l 0@4,(1-2)@5 leaves out CPU 3, which core names"),
    (["-c", "0x10"], "dpdk:0000:3b:00.0", 3, "eal -c 0x10 leaves out CPU 3, which core names"),
    (["--main-lcore", "2"], "dpdk:0000:3b:00.0", 3, "eal --main-lcore 2 contradicts core = 3"),
    (["-a", "0000:3b:00.1"], "dpdk:0000:3b:00.0", None,
     "eal -a 0000:3b:00.1 allows another port than device = dpdk:0000:3b:00.0"),
    (["-b", "3b:00.0"], "dpdk:0000:3b:00.0", None, "eal -b 3b:00.0 blocks the port that device names"),
    (["--no-pci"], "dpdk:3b:00.0", None, "eal --no-pci hides the port that device = dpdk:3b:00.0 names"),
    (["--vdev=net_tap0,iface=t"], "dpdk:net_tap0,iface=q", None,
     "eal --vdev net_tap0,iface=t makes net_tap0 a second time: device does it"),
    (["-n", "4"], "afpacket:eth1", None, "eal is for DPDK, but device is afpacket:eth1"),
    (["-l"], "dpdk:3b:00.0", None, "eal -l has no value"),
    (["-l", "x"], "dpdk:3b:00.0", 1, "eal -l x is no list of CPUs"),
    (["2-3"], "dpdk:3b:00.0", 1, "eal holds '2-3', which is no option"),
])
def test_eal_arguments_that_contradict_the_keys_are_refused(eal, device, core, complaint):
    assert list(eal_contradictions(tuple(eal), device, core)) == [complaint]


@pytest.mark.parametrize("eal, device, core", [
    (["-l", "2-3", "-n", "4"], "dpdk:0000:3b:00.0", 3),
    (["-l", "2-3", "-a", "3b:00.0,arg=1"], "dpdk:0000:3b:00.0", 2),
    (["--vdev", "net_null1", "--no-pci", "--no-huge", "-m", "64"], "dpdk:net_null0", 0),
    (["--main-lcore=3", "--lcores", "(0-3)@(0-7)"], "dpdk:net_null0", 3),
])
def test_eal_arguments_that_agree(eal, device, core):
    assert list(eal_contradictions(tuple(eal), device, core)) == []


def test_core_lists():
    assert lcores("2-3,6") == {2, 3, 6}
    assert lcores("0@4,(1,2)@5,(7-8)@(9,11-12)") == {4, 5, 9, 11, 12}


def test_lines_of_keys_among_strings_arrays_and_comments():
    lines = Lines('# x = 1\na = """\nb = 2\n"""\nc = [\n  "d = 1", # e = 2\n]\n"q r".s = 1\n'
                  '[t]\nu = \'[v]\'\n[[w]]\nx = 1\n[[w]]\nx = 2\n[w.y]\nz = {k = 1}\n')
    want = {("a",): 2, ("c",): 5, ("q r", "s"): 8, ("t",): 9, ("t", "u"): 10, ("w", 0): 11, ("w", 0, "x"): 12,
            ("w", 1, "x"): 14, ("w", 1, "y"): 15, ("w", 1, "y", "z"): 16, ("w", 1, "none"): 13, ("b",): 1, ("e",): 1}
    assert {k: lines.line(k) for k in want} == want


def test_octets_that_are_no_text():
    assert problems(b"device = 1\n\xff") == ["g.toml:2: octet 0xff is not UTF-8"]
    assert problems(b"x = " + b"[" * 100_000)[0].startswith("g.toml:1: not ")


def test_a_file_that_is_too_large(tmp_path):
    big = tmp_path / "big.toml"
    big.write_bytes(b"#" * (1 << 21))
    with pytest.raises(ConfigError, match="more than 1048576 octets"):
        load(big)


def test_any_octets_are_a_configuration_or_a_complaint():
    rng = random.Random(20_101_224)
    for _ in range(1500):
        text = bytearray(GOOD.encode())
        for _ in range(rng.randint(1, 6)):
            at = rng.randrange(len(text))
            text[at:at + rng.randint(0, 4)] = bytes(rng.choices(b'[]{}="\'#\n.,0a\x00\xff', k=rng.randint(0, 3)))
        try:
            parse(bytes(text))
        except ConfigError as e:
            assert e.problems and all(p.startswith("gateway.toml:") for p in e.problems)


IPC = """
[ipc]
desk = "d"
events = 1024
[[ipc.strategies]]
name = "maker"
on_death = "leave"
[[ipc.strategies]]
name = "taker"
"""


def test_strategies_in_processes_of_their_own():
    assert parse(GOOD.encode()).ipc is None
    ipc = parse((GOOD + IPC).encode()).ipc
    assert (ipc["desk"], ipc["directory"], ipc["events"], ipc["message"]) == ("d", "/dev/shm", 1024, 2048)
    assert [(s["name"], s["on_death"], s["orders"]) for s in ipc["strategies"]] == [("maker", "leave", 1024),
                                                                                   ("taker", "cancel", 1024)]


@pytest.mark.parametrize("old, new, complaint", [
    ('desk = "d"', 'desk = "a.b"', ":19: desk is 'a.b', must be 1 to 32 letters, digits, - and _"),
    ('desk = "d"', '', ":18: desk is missing: name of the gateway towards them"),
    ("events = 1024", "events = 1000", ":20: events is 1000, must be a power of two from 64 to 16777216"),
    ("events = 1024", "event = 1024", ":20: 'event' is no key of [ipc], did you mean events?"),
    ('"leave"', '"leaves"', ":23: on_death is 'leaves', must be cancel or leave, did you mean leave?"),
    ('"taker"', '"maker"', ":24: strategy maker is already defined"),
    ('name = "taker"', 'nam = "taker"', ":25: 'nam' is no key of [[ipc.strategies]], did you mean name?"),
    (IPC, "[ipc]\ndesk = 'd'", ":17: strategies is missing: one table [[ipc.strategies]] each"),
    (IPC, "[ipc]\ndesk = 'd'\nstrategies = 1", ":19: strategies must be tables: write [[ipc.strategies]] above each"),
])
def test_complaints_about_ipc(old, new, complaint):
    assert old in GOOD + IPC
    assert any(("g.toml" + complaint) in p for p in problems((GOOD + IPC).replace(old, new))), problems(
        (GOOD + IPC).replace(old, new))
