"""`fixwire replay`: captured peers against the real stack and session, and the same octets every time."""
import argparse
import contextlib
import io
import json
import pathlib
import random
import subprocess
import sys

import pytest
import reassembly_oracle as oracle
from capture_maker import START, Connection, fix, frame, reordered, repeated, retimed, write

from gateway import replay
from gateway.cli import Mistake
from gateway.loading import load_strategy

REAL = pathlib.Path("../shared/captures/fix41-2017.pcap")
US, PEER = "10.0.0.1", "10.0.0.2"
STRATEGIES = '''
class Trader:
    """An order at Logon, and one for every fill."""
    def __init__(self, orders=30, quantity=100):
        self.orders, self.quantity, self.sent, self.fills = orders, quantity, 0, 0
    def on_logon(self, session):
        self.order(session)
    def on_message(self, session, msg):
        self.fills += 1
        self.order(session)
    def order(self, session):
        if self.sent < self.orders:
            self.sent += 1
            session.order_new("FIXW", "1", self.quantity + self.sent, 9_950_000_000, ClOrdID=self.sent, Account="DEMO01")

class Larger(Trader):
    def __init__(self):
        super().__init__(quantity=500)

class Listener:
    def on_message(self, session, msg):
        pass

class Clumsy:
    def on_message(self, session, msg):
        raise RuntimeError("clumsy")

class Broken:
    def __init__(self):
        self.x = 1 / 0

listener = Listener()
'''


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """A directory with strategies.py and rec.pcapng: 30 orders and fills, recorded at our gateway on virtual time."""
    from dpdk_py import open_device
    from dpdk_py.pcap import PcapWriter
    from gateway.engine import Engine
    from gateway.exchange import SimulatedExchange
    directory = tmp_path_factory.mktemp("replay")
    (directory / "strategies.py").write_text(STRATEGIES)
    near, far = open_device("pair")
    recorder = PcapWriter(near, directory / "rec.pcapng")
    ours = Engine(recorder, f"{US}/24", seed=1, sessions=1, connections=4, utc_offset_ns=0)
    theirs = Engine(far, f"{PEER}/24", seed=2, sessions=1, connections=4, utc_offset_ns=0)
    trader = load_strategy("strategies:Trader", str(directory))
    ours.add_session("GATEWAY", "EXCHANGE", role="initiator", host=PEER, port=9878, strategy=ours.add_strategy(trader))
    theirs.add_session("EXCHANGE", "GATEWAY", role="acceptor", port=9878,
                       strategy=theirs.add_strategy(SimulatedExchange()))
    for turn in range(200):
        (ours if turn % 2 == 0 else theirs).step(START + turn * 7_000)
    assert trader.fills == 30
    for each in (recorder, ours, theirs, near, far):
        each.close()
    return directory


def play(here, path, strategy="Trader", **kw):
    """(exit code, messages, totals) of a replay in this process."""
    args = {"file": str(path), "strategy": f"strategies:{strategy}", "us": None, "seed": 0, "record": None, "json": True}
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.chdir(here):
        code = replay.main(argparse.Namespace(**{**args, **kw}))
    *lines, totals = [json.loads(line) for line in out.getvalue().splitlines()]
    return code, lines, totals


def peer_side(packets):
    """(segments of the peer, the others) of what was recorded."""
    segs = [(i, oracle.segment_of(oracle.Packet(p[0], 1, p[1], len(p[1])))) for i, p in enumerate(packets)]
    return [i for i, s in segs if s and s.src[0] == PEER], [i for i, s in segs if not s or s.src[0] != PEER]


def recorded(here):
    return [(p.ts_ns, p.octets) for p in oracle.read(here / "rec.pcapng")]


def test_the_strategy_that_was_captured_sends_what_was_captured(here):
    code, lines, totals = play(here, "rec.pcapng")
    assert code == 0
    assert totals == {"frames_in": 32, "messages_in": 31, "orders_out": 30, "matched": 30, "differed": 0}
    assert [m["way"] for m in lines[:4]] == ["out", "in", "out", "in"]
    assert all(m["matched"] for m in lines if m["MsgType"] == "D")


def test_another_strategy_differs_and_a_listener_sends_nothing(here):
    larger = play(here, "rec.pcapng", "Larger")[2]
    assert (larger["matched"], larger["differed"]) == (0, 30)
    code, _, totals = play(here, "rec.pcapng", "listener")
    assert (code, totals["orders_out"], totals["matched"], totals["differed"]) == (0, 0, 0, 30)


def test_the_other_end_may_be_ours(here):
    """The mirror: our side accepts, the captured gateway logs on and sends orders."""
    code, lines, totals = play(here, "rec.pcapng", "Listener", us=PEER)
    assert code == 0 and totals["messages_in"] == 31 and totals["differed"] == 30
    assert [m["MsgType"] for m in lines if m["way"] == "out"] == ["A"]


@pytest.mark.parametrize("drop", [9, 20, 41])
def test_a_capture_from_mid_stream_is_given_a_handshake_and_its_numbers(here, tmp_path, drop):
    packets = recorded(here)[drop:]
    fills = [m for m in oracle.summarise(write(tmp_path / "mid.pcap", packets, magic="ns")).messages if m.type == "8"]
    first = int(oracle.re.search(rb"\x0134=(\d+)", fills[0].raw)[1])
    code, lines, totals = play(here, tmp_path / "mid.pcap", us=US)
    assert code == 0 and totals["messages_in"] == len(fills) + 1        # the Logon is made up
    numbers = [m["MsgSeqNum"] for m in lines if m["way"] == "in"]
    assert numbers == list(range(first - 1, first + len(fills)))
    assert lines[0]["MsgType"] == "A" and totals["orders_out"] > 0


@pytest.mark.parametrize("seed", range(6))
def test_the_peers_splits_repetitions_and_order_reach_the_stack(here, tmp_path, seed):
    rng = random.Random(seed)
    packets = recorded(here)
    theirs, _ = peer_side(packets)
    split = []
    for i, p in enumerate(packets):
        seg = oracle.segment_of(oracle.Packet(p[0], 1, p[1], len(p[1])))
        if i in theirs and len(seg.text) > 10 and rng.random() < 0.5:
            cut = rng.randrange(1, len(seg.text))
            split += [(p[0], frame(seg.src, seg.dst, seg.seq, 1, 24, seg.text[:cut])),
                      (p[0], frame(seg.src, seg.dst, seg.seq + cut, 1, 24, seg.text[cut:]))]
        else:
            split.append(p)
    spoilt = reordered(rng, repeated(rng, split[6:], 0.3, 4), 3, 0.3)
    spoilt = [(t + packets[6][0] - spoilt[0][0], d) for t, d in spoilt]
    code, _, totals = play(here, write(tmp_path / "s.pcap", packets[:6] + spoilt, magic="ns"))
    assert (code, totals["messages_in"], totals["matched"], totals["differed"]) == (0, 31, 30, 0)


def test_sequence_numbers_and_text_are_the_captures_and_ack_is_ours(here, tmp_path):
    play(here, "rec.pcapng", record=str(tmp_path / "out.pcapng"))
    captured = [oracle.segment_of(oracle.Packet(t, 1, d, len(d))) for t, d in recorded(here)]
    played = [oracle.segment_of(p) for p in oracle.read(tmp_path / "out.pcapng")]
    def told(segs):
        return [(s.ts_ns, s.seq, s.text) for s in segs if s and s.src[0] == PEER and (s.text or s.flags & 2)]
    assert told(played) == told(captured)
    base = sent = 0
    for p in oracle.read(tmp_path / "out.pcapng"):
        s = oracle.segment_of(p)
        if s and s.src[0] == US:
            base = s.seq if s.flags & 2 else base
            sent = max(sent, (s.seq - base + len(s.text) + (s.flags & 2 > 0)) % 2**32)
        elif s and s.flags & 16:
            ack = int.from_bytes(p.octets[42:46], "big")
            assert 0 < (ack - base) % 2**32 <= sent


def fixwire(here, *args, **env):
    return subprocess.run([sys.executable, "-m", "gateway", "replay", *args], capture_output=True, cwd=here,
                          env={"PYTHONPATH": str(pathlib.Path.cwd()), "PATH": "/usr/bin:/bin", **env}, timeout=300)


def test_the_same_input_gives_the_same_octets(here):
    """In fresh processes, whatever the hash seed and the name of the host's time zone; another seed gives others."""
    runs = []
    for k, env in enumerate(({"PYTHONHASHSEED": "1", "TZ": "Asia/Tokyo"}, {"PYTHONHASHSEED": "2"}, {})):
        out = fixwire(here, "rec.pcapng", "--strategy", "strategies:Trader", "--json", "--record", f"out{k}.pcapng",
                      "--seed", "7" if k < 2 else "8", **env)
        assert out.returncode == 0, out.stderr
        runs.append((out.stdout, (here / f"out{k}.pcapng").read_bytes()))
    assert runs[0] == runs[1]
    assert runs[2][0] == runs[0][0] and runs[2][1] != runs[0][1]


def test_the_human_output_says_that_replay_is_open_loop(here):
    out = fixwire(here, "rec.pcapng", "--strategy", "strategies.py:Trader")
    lines = out.stdout.decode().splitlines()
    assert lines[-2] == "32 frames in, 31 messages in, 30 orders out, 30 matched, 0 differed"
    assert lines[-1] == "open loop: what the peer answered is what it answered then"
    assert lines[1].endswith("in   Logon(A)  MsgSeqNum 1") and lines[2].endswith("MsgSeqNum 2  as captured")


def small(tmp_path, *, clients=((US, 40001),), to=(PEER, 9876), syn=True, after=()):
    """Sessions of a Logon each way and one fill."""
    packets = []
    for i, client in enumerate(clients):
        c = Connection(client=client, server=to, start=START + i * 10**9)
        c.open()
        if not syn:
            c.packets.clear()
        stamp = f"52=20170714-02:40:0{i}|"
        c.say(c.client, fix(f"35=A|34=1|49=US|56=THEM|{stamp}98=0|108=30|", "FIX.4.4"))
        c.say(c.server, fix(f"35=A|34=1|49=THEM|56=US|{stamp}98=0|108=30|", "FIX.4.4"))
        c.say(c.server, fix(f"35=8|34=2|49=THEM|56=US|{stamp}37=1|17=1|150=0|39=0|55=A|54=1|151=1|14=0|6=0|", "FIX.4.4"))
        for step in after:
            step(c)
        packets += c.packets
    return write(tmp_path / "small.pcap", sorted(packets, key=lambda p: p[0]), magic="ns")


def test_a_logon_in_a_capture_without_handshake_is_not_made_twice(here, tmp_path):
    code, lines, totals = play(here, small(tmp_path, syn=False), "Listener")
    assert code == 0 and [(m["way"], m["MsgType"]) for m in lines] == [("out", "A"), ("in", "A"), ("in", "8")]


def test_a_peer_that_answers_with_logout_is_played_and_told(here, tmp_path, capsys):
    c = Connection(client=(US, 40001), server=(PEER, 9876)).open()
    c.say(c.client, fix("35=A|34=1|49=US|56=THEM|52=20170714-02:40:00|98=0|108=30|", "FIX.4.4"))
    c.say(c.server, fix("35=5|34=1|49=THEM|56=US|52=20170714-02:40:00|58=go away|", "FIX.4.4"))
    c.close()
    code, lines, _ = play(here, write(tmp_path / "c.pcap", c.packets, magic="ns"), "Listener")
    assert code == 1 and [(m["way"], m["MsgType"]) for m in lines][:2] == [("out", "A"), ("in", "5")]
    assert "our side ended the session" in capsys.readouterr().err


def test_reset_and_close_of_the_peer_are_played_and_told(here, tmp_path):
    for flags in (0x04 | 0x10, 0x01 | 0x10):
        path = small(tmp_path, after=[lambda c, flags=flags: c.put(c.server, c.client, flags)])
        assert play(here, path, "Listener")[0] == 1


def test_a_hole_in_the_peers_text_ends_in_a_finding(here, tmp_path, capsys):
    path = small(tmp_path, after=[lambda c: c.put(c.server, c.client, 24, b"8=FIX", seq=c.server.nxt + 100)])
    code, _, totals = play(here, path, "Listener")
    assert code == 1 and totals["messages_in"] == 2
    assert "the capture lacks text of the peer" in capsys.readouterr().err


def test_a_strategy_that_raises_is_a_finding_and_loses_nothing(here, capsys):
    code, _, totals = play(here, "rec.pcapng", "Clumsy")
    assert code == 1 and totals["messages_in"] == 31
    assert "the strategy raised 30 times" in capsys.readouterr().err


def test_several_flows_need_us(here, tmp_path):
    path = small(tmp_path, clients=((US, 40001), (US, 40002), ("10.0.0.3", 5)))
    with pytest.raises(Mistake) as e:
        play(here, path, "Listener")
    assert str(e.value).splitlines()[1:] == [f"  {US}:40001 > {PEER}:9876  3 messages",
                                             f"  {US}:40002 > {PEER}:9876  3 messages",
                                             f"  10.0.0.3:5 > {PEER}:9876  3 messages"]
    assert "3 FIX connections, say which by --us" in str(e.value)
    with pytest.raises(Mistake, match="--us 10.0.0.1 is an end of 2 FIX connections"):
        play(here, path, "Listener", us=US)
    with pytest.raises(Mistake, match="--us 10.9.9.9 is no end of a FIX connection"):
        play(here, path, "Listener", us="10.9.9.9")
    assert play(here, path, "Listener", us=f"{US}:40002")[2]["messages_in"] == 2
    assert play(here, path, "Listener", us="10.0.0.3")[2]["messages_in"] == 2
    out = fixwire(here, str(path), "--strategy", "strategies:Listener")
    assert out.returncode == 2 and not out.stdout and b"Traceback" not in out.stderr


@pytest.mark.parametrize("spec, sentence", [
    ("strategies:Tradr", "has no Tradr, did you mean Trader?"),
    ("no_such_module:X", "strategy module 'no_such_module' is not found"),
    ("nofile.py:X", "nofile.py does not exist"),
    ("strategies", "must be module:Name or path/to/file.py:Name"),
    ("strategies:Broken", r"cannot be made: ZeroDivisionError: division by zero \(.*strategies.py:\d+\)"),
])
def test_a_strategy_that_cannot_be_loaded_is_one_sentence(here, spec, sentence):
    with pytest.raises(Mistake, match=sentence):
        load_strategy(spec, str(here))


@pytest.mark.parametrize("make, sentence", [
    (lambda p: p.write_bytes(b""), "the file is empty"),
    (lambda p: write(p, []), "holds no FIX message"),
    (lambda p: None, "No such file"),
])
def test_a_bad_file_is_one_sentence_and_exit_2(here, tmp_path, make, sentence):
    path = tmp_path / "bad.pcap"
    make(path)
    out = fixwire(here, str(path), "--strategy", "strategies:Listener", "--json")
    assert out.returncode == 2 and not out.stdout
    assert sentence in out.stderr.decode() and out.stderr.count(b"\n") == 1


@pytest.mark.skipif(not REAL.exists(), reason="no ../shared/captures here")
def test_a_peer_that_is_no_session_is_replayed_to_a_verdict(here):
    """Messages without MsgSeqNum, a binary dialect: our session may end it, nothing else may."""
    for us in ("192.168.0.20:47952", "192.168.0.20:45578"):
        code, _, totals = play(here, REAL.absolute(), "Listener", us=us)
        assert code in (0, 1) and set(totals) == {"frames_in", "messages_in", "orders_out", "matched", "differed"}


def test_mutated_captures_end_in_totals_or_a_sentence(here, tmp_path):
    rng = random.Random(99)
    packets = recorded(here)
    ended = {"played": 0, "refused": 0}
    for n in range(60):
        spoilt = [p for p in packets if rng.random() > rng.choice((0, 0, 0.05))]
        for _ in range(rng.randint(1, 6)):
            i = rng.randrange(len(spoilt))
            data = bytearray(spoilt[i][1])
            data[rng.randrange(14, len(data))] = rng.randrange(256)
            spoilt[i] = (spoilt[i][0] + rng.choice((0, 0, 10**9, -10**12)), bytes(data))
        try:
            play(here, write(tmp_path / "m.pcap", retimed(spoilt) if n % 3 else spoilt, magic="ns"), us=US)
            ended["played"] += 1
        except Mistake:
            ended["refused"] += 1
    assert ended["played"] > 20
