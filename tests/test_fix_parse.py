"""fix_parse against an independent parser: every truncation point, every set of instructions, mutated messages."""
import contextlib
import os
import pathlib
import random
import subprocess
import sys
from collections import Counter

import fix_mutations
import fix_oracle as oracle
import pytest
from fix_mutations import ENDINGS, KINDS, framed, mutations
from hypothesis import given, settings
from hypothesis import strategies as st

import fix

scanner = sys.modules["fix.parse"]      # fix.parse itself is the function
ISAS = ["scalar", "avx2", "avx512"]
HERE = pathlib.Path(__file__).parent
COUNT = int(os.environ.get("FIXWIRE_MUTATIONS", "20000"))      # make soak: 1,000,000
MESSAGES = HERE.parent.parent / "shared" / "messages"


def available():
    found = [isa for isa in ISAS if scanner.use_isa(isa) == isa]
    scanner.use_isa()
    return found


AVAILABLE = available()


@pytest.fixture(params=AVAILABLE)
def isa(request):
    scanner.use_isa(request.param)
    yield request.param
    scanner.use_isa()


def corpus():
    found = [framed(b"35=D\x0134=7\x0149=US\x0156=THEM\x0152=20260102-03:04:05.678\x0111=A=1\x0155=IBM\x0144=101.25\x01"),
             framed(b"35=B\x0195=20\x0196=8=FIX.4.4\x019=5\x0135=0\x01\x0158=x\x01"),
             framed(b"35=n\x01212=3\x01213=<\x01>\x01" + b"5001=abcdefgh\x01" * 30)]
    for path in sorted(MESSAGES.glob("*_1024.fix")):
        found += [m.raw for m in fix.Parser().feed(path.read_bytes()[:20_000])]
    return found


def agree(data):
    wanted = oracle.parse(data)
    for isa in AVAILABLE:
        scanner.use_isa(isa)
        assert scanner.verdict(data) == wanted, (isa, data)
    scanner.use_isa()
    return wanted


def test_all_instruction_sets_are_tested_here():
    flags = pathlib.Path("/proc/cpuinfo").read_text() if os.path.exists("/proc/cpuinfo") else ""
    wanted = ["scalar"] + ["avx2"] * (" avx2 " in flags) + ["avx512"] * ("avx512_vbmi2" in flags)
    assert available() == wanted
    with pytest.raises(ValueError, match="isa is 'sse9', must be one of scalar, avx2, avx512"):
        scanner.use_isa("sse9")


def test_every_truncation_point(isa):
    for message in corpus()[:6]:
        for cut in range(len(message) + 1):
            found = scanner.verdict(message[:cut])
            assert found == oracle.parse(message[:cut])
            if cut < len(message):
                assert found[0] == oracle.PARTIAL and found[1] > cut
            else:
                assert found[0] == oracle.COMPLETE and found[1] == cut


def test_a_message_that_comes_octet_by_octet_is_parsed_four_times_at_most(isa):
    message = corpus()[2]
    need, calls = 0, 0
    for n in range(len(message) + 1):
        if n >= need:
            calls += 1
            verdict, need, _, _ = scanner.verdict(message[:n])
    assert verdict == oracle.COMPLETE and calls <= 3 + 26


def test_mutated_messages_are_judged_alike(capsys):
    """By every instruction set and the independent parser; at least half are repaired, so that they reach the depths."""
    done = Counter()
    for data in mutations(20261121, COUNT, corpus(), done):
        verdict = agree(data)
        done["complete"] += verdict[0] == oracle.COMPLETE
        done["partial"] += verdict[0] == oracle.PARTIAL
        done["garbled"] += verdict[0] == oracle.GARBLED
        done["complete and wrong inside"] += verdict[0] == oracle.COMPLETE and verdict[2] is not None
    with capsys.disabled() if COUNT >= 1_000_000 else contextlib.nullcontext():
        print(f"\n{COUNT} mutated messages, {', '.join(AVAILABLE)} and the independent parser agree:")
        for name, n in sorted(done.items()):
            print(f"  {n:>9} {name}")
    assert done["repaired"] > COUNT // 2 and done["complete"] > COUNT // 2
    assert done["complete and wrong inside"] > COUNT // 20
    seldom = [kind for kind in (*KINDS, *ENDINGS) if done[kind] <= COUNT // 100]
    assert not seldom


def test_a_kind_of_mutation_that_is_never_done_is_noticed(monkeypatch, capsys):
    """Planted: nothing is ever taken out."""
    monkeypatch.setattr(fix_mutations, "KINDS", KINDS[:3] + ("planted",) + KINDS[4:])
    monkeypatch.setattr(sys.modules[__name__], "COUNT", 500)
    with pytest.raises(AssertionError, match="octets taken out"):
        test_mutated_messages_are_judged_alike(capsys)


def test_a_planted_difference_is_found(monkeypatch):
    monkeypatch.setitem(oracle.DATA, 95, 97)
    with pytest.raises(AssertionError):
        for data in mutations(1, 2000, corpus()):
            agree(data)
    scanner.use_isa()


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 2**31 - 1) | st.sampled_from([95, 96, 44, 1023, 1024, 9999, 10000]),
                          st.binary(max_size=80).map(lambda b: b.replace(b"\x01", b"="))), max_size=40))
def test_any_fields_come_back(fields):
    body = b"35=D\x01" + b"".join(b"%d=%s\x01" % field for field in fields if field[0] not in oracle.DATA)
    agree(framed(body))
    found = scanner.verdict(framed(body))
    assert [tag for tag, _, _ in found[3]][3:-1] == [tag for tag, _ in fields if tag not in oracle.DATA]


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200) | st.binary(max_size=60).map(lambda b: b"8=FIX.4.4\x019=" + b))
def test_any_octets_are_judged_alike(data):
    agree(data)


def test_fields_at_every_place_of_a_block(isa):
    """Every width of tag, at every offset from the scanner's 64-octet steps, over two of them."""
    for width in range(1, 11):
        for pad in range(130):
            tag = int("1234567891"[:width])
            for fields in (b"\x01%d=v\x0158=x\x01", b"\x01%d=v\x0158=\x01%d=\x01" % (tag, tag), b"\x011=\x01%d=x\x01"):
                data = framed(b"35=" + b"D" * (pad + 1) + (fields % tag if b"%" in fields else fields))
                assert scanner.verdict(data) == oracle.parse(data)


@pytest.mark.parametrize("tail", [b"8", b"8=", b"8=F", b"8=FI"])
def test_a_tail_that_may_become_a_begin_is_kept(tail):
    data = b"8=FIXC\x01" + b"x" * 30 + tail
    assert scanner.verdict(data) == oracle.parse(data) == (oracle.GARBLED, 37, 2, [])


def test_many_fields_and_little_room(isa):
    data = framed(b"35=D\x01" + b"1=\x01" * 3000)
    assert scanner.verdict(data) == oracle.parse(data)
    for room in (8, 9, 64, 1000):
        verdict, n, why, fields = scanner.verdict(data, room=room)
        assert (verdict, n, why) == (oracle.COMPLETE, len(data), (4, room - 1, 0))
        assert len(fields) == room and fields[-1][0] == 10
    exact = framed(b"35=D\x01" + b"1=\x01" * 10)
    assert scanner.verdict(exact, room=14)[2] is None and scanner.verdict(exact, room=13)[2] == (4, 12, 0)
    longest = framed(b"35=D\x01" + b"1=\x01" * 21830)
    assert len(longest) <= 65535 and scanner.verdict(longest) == oracle.parse(longest)


def test_the_largest_message(isa):
    body = b"35=B\x0158=" + b"x" * 65501 + b"\x01"
    assert len(framed(body)) == 65535
    assert scanner.verdict(framed(body))[:2] == (oracle.COMPLETE, 65535)
    assert scanner.verdict(framed(body + b"1=x\x01")[:100])[0::2] == (oracle.GARBLED, 4)
    assert scanner.verdict(framed(body), max_size=65534)[0::2] == (oracle.GARBLED, 4)


def test_resync_by_trailer():
    good = framed(b"35=0\x0134=1\x01")
    long = good.replace(b"9=10", b"9=20")
    assert scanner.verdict(long, trailer=True)[:2] == (1, len(good) + 10)
    assert scanner.verdict(long + good[:20], trailer=True)[:2] == (1, len(good) + 21)     # no CheckSum yet
    assert scanner.verdict(long + good, trailer=True)[:2] == (2, 2 * len(good))
    assert scanner.verdict(long + b"x" * 5000, trailer=True)[:2] == (2, len(long) + 5000)
    assert scanner.verdict(long + b"x" * 5000 + good, trailer=True)[:2] == (2, len(long) + 5000)      # not further than 4096
    wrong = good.replace(b"34=1", b"34=2")
    assert scanner.verdict(wrong + good, trailer=True)[:2] == (2, len(good))
    assert scanner.verdict(b"8=FIX.4.4\x019=a\x01" + b"x" * 20 + good, trailer=True)[:2] == (2, 34)


GUARDED = """
import ctypes, mmap, sys
sys.path[:0] = [%r, %r]
import fix, fix_mutations
scanner = sys.modules["fix.parse"]
libc = ctypes.CDLL(None, use_errno=True)
libc.mprotect.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
PAGE = mmap.PAGESIZE
area = mmap.mmap(-1, 18 * PAGE)
start = ctypes.addressof(ctypes.c_char.from_buffer(area))
for guard in (start, start + 17 * PAGE):                # no octet before the first and behind the last can be touched
    assert libc.mprotect(guard, PAGE, 0) == 0
inside = memoryview(area)[PAGE:17 * PAGE]
for isa in %r:
    scanner.use_isa(isa)
    for data in fix_mutations.mutations(3, 400):
        tail = len(inside) - len(data) - %d
        inside[tail:tail + len(data)] = data            # ends right before the guard, slack included
        scanner.verdict(inside[tail:], in_place=True)
        inside[:len(data)] = data                       # begins right behind the guard
        scanner.verdict(inside[:len(data) + 64], in_place=True)
print("done")
"""


@pytest.mark.parametrize("ends_well", [True, pytest.param(False, marks=pytest.mark.uninstrumented(
    "the planted SIGSEGV would be a report"))])
def test_reads_stay_within_the_slack(ends_well):
    """With pages before and behind that must not be touched; planted: a message that itself runs into one."""
    code = GUARDED % (str(HERE), str(HERE.parent), AVAILABLE, 64 if ends_well else 0)
    if not ends_well:
        code = code.replace("inside[tail:], in_place=True", "memoryview(area)[PAGE + tail:PAGE + tail + len(data) + 64],"
                            " in_place=True")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert (done.returncode == 0 and done.stdout == "done\n") == ends_well, done.stderr


def test_skipping_never_stands_still():
    rng = random.Random(5)
    for _ in range(300):
        data = bytes(rng.choice(b"8=FIX.4\x019=5T") for _ in range(rng.randrange(60)))
        while True:
            found = scanner.verdict(data)
            assert found == oracle.parse(data)
            if found[0] != oracle.GARBLED:
                break
            assert found[1] >= 1
            data = data[found[1]:]
