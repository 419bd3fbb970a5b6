"""The Internet checksum on every instruction set the CPU has, against scapy's and against RFC 1071's own words."""
import os
import random
import subprocess
import sys

import compiled
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP, in4_chksum
from scapy.packet import Raw
from scapy.utils import checksum as scapy_checksum

wire = compiled.module("wire_face")
BEST = wire.isa()
ISAS = range(BEST + 1)
seeded = settings(deadline=None, max_examples=150, derandomize=True)
NAMES = ("scalar", "avx2", "avx512")


def as_field(value):
    """A checksum as scapy has it (a number) as we have it (memory order)."""
    return int.from_bytes(value.to_bytes(2, "big"), "little")


@pytest.fixture(params=ISAS, ids=[NAMES[i] for i in ISAS])
def isa(request):
    assert wire.use(request.param) == request.param
    yield request.param
    wire.use(BEST)


def test_the_example_of_rfc_1071(isa):
    # Section 3: 00 01 f2 03 f4 f5 f6 f7 adds up to dd f2
    assert wire.checksum(bytes.fromhex("0001f203f4f5f6f7")) == as_field(0xFFFF ^ 0xDDF2)


@pytest.mark.parametrize("fill", [0x00, 0xFF, 0x80], ids=hex)
def test_constant_octets_of_every_length(isa, fill):
    for n in range(301):
        assert wire.checksum(bytes([fill]) * n) == as_field(scapy_checksum(bytes([fill]) * n)), n


def test_every_length_ends_at_an_unreadable_page_and_begins_behind_one(isa):
    rng = random.Random(71)
    for n in range(301):
        data = rng.randbytes(n)
        right = as_field(scapy_checksum(data))
        assert wire.sum_in(wire.Fence(data, behind=True)) == right, n
        assert wire.sum_in(wire.Fence(data, behind=False)) == right, n
        for behind in (True, False):
            to = wire.Fence(bytes(n), behind=behind)
            assert wire.copy_in(to, wire.Fence(data, behind=behind)) == right, n
            assert to.data() == data, n


def test_every_alignment(isa):
    data = random.Random(72).randbytes(400)
    for at in range(65):
        for n in (0, 1, 7, 20, 31, 32, 33, 63, 64, 65, 236, 300):
            assert wire.checksum(data[:at + n], at) == as_field(scapy_checksum(data[at:at + n])), (at, n)


@seeded
@given(st.binary(max_size=3000), st.data())
def test_all_instruction_sets_agree_with_scapy(data, draw):
    cut = draw.draw(st.integers(0, len(data)))
    right = as_field(scapy_checksum(data))
    for isa in ISAS:
        wire.use(isa)
        assert wire.checksum(data) == right
        assert wire.two_pieces(data, cut) == right      # an odd first piece shifts the second by one octet
    wire.use(BEST)


@seeded
@given(st.integers(0, 2**64 - 1), st.binary(max_size=200))
def test_a_sum_goes_on_from_any_other(start, data):
    words = start.to_bytes(8, "little")
    assert wire.checksum(data, 0, start) == as_field(scapy_checksum(words + data))


def test_carries_are_not_lost_in_long_runs_of_ones(isa):
    data = b"\xff" * 60_000
    assert wire.checksum(data, 0, 2**64 - 1) == as_field(scapy_checksum(data))
    assert wire.checksum(data[:-1] + b"\xfe") == as_field(scapy_checksum(data[:-1] + b"\xfe"))


@seeded
@given(st.binary(max_size=1460), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_tcp_over_the_pseudo_header(text, src, dst):
    ends = [".".join(str(a >> s & 255) for s in (24, 16, 8, 0)) for a in (src, dst)]
    packet = IP(src=ends[0], dst=ends[1]) / TCP(sport=1, dport=2, seq=3) / Raw(text)
    segment = bytes(packet)[20:]
    assert wire.tcp_sum(src, dst, segment) == 0
    blank = segment[:16] + b"\0\0" + segment[18:]
    assert wire.tcp_sum(src, dst, blank) == as_field(in4_chksum(6, packet[IP], blank))


@seeded
@given(st.binary(min_size=20, max_size=400), st.data())
def test_every_single_flipped_bit_is_noticed(segment, draw):
    field = wire.tcp_sum(1, 2, segment[:16] + b"\0\0" + segment[18:])
    good = segment[:16] + field.to_bytes(2, "little") + segment[18:]
    assert wire.tcp_sum(1, 2, good) == 0
    bit = draw.draw(st.integers(0, 8 * len(good) - 1))
    bad = bytearray(good)
    bad[bit // 8] ^= 1 << bit % 8
    assert wire.tcp_sum(1, 2, bytes(bad)) != 0


@pytest.mark.parametrize("name", ["scalar", "avx2", "avx512", ""])
def test_the_environment_lowers_the_choice(name):
    program = "import compiled; print(compiled.module('wire_face').isa())"
    out = subprocess.run([sys.executable, "-c", program], env={**os.environ, "FIXWIRE_ISA": name},
                         cwd=os.path.dirname(__file__), capture_output=True, text=True, check=True, timeout=300).stdout
    assert int(out) == (min(NAMES.index(name), BEST) if name else BEST)
