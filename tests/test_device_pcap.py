"""Capture files: what is read is what tshark, capinfos and scapy read, and damage is named, never a crash."""
import importlib.util
import pathlib
import random
import shutil
import struct
import subprocess
import threading

import pytest

from dpdk_py import DeviceError, PcapDevice, PcapError, PcapngWriter, PcapReader, PcapWriter, open_device
from dpdk_py.pair import pair

FRAME_RX_L4_GOOD, FRAME_RX_PARTIAL, FRAME_TX_L4_CSUM = 1 << 2, 1 << 5, 1 << 9      # device.pxd
ROOT = pathlib.Path(__file__).parent.parent
PCAPS = ROOT / "pcaps"
TSHARK = pytest.mark.skipif(not shutil.which("tshark"), reason="tshark is not installed")
GOOD = ["session.pcap", "session-ns-big.pcap", "session.pcapng", "session-big.pcapng", "splits.pcap", "several.pcap",
        "trouble.pcap", "vlan.pcap", "midstream.pcap", "wrap.pcap", "lost.pcap", "ipv6.pcap", "raw.pcap",
        "cooked.pcap", "cooked2.pcap", "snaplen.pcap", "truncated.pcap", "truncated.pcapng"]

spec = importlib.util.spec_from_file_location("pcaps_make", PCAPS / "make.py")
make = importlib.util.module_from_spec(spec)
spec.loader.exec_module(make)
FRAMES = make.plain()


def read(path, **how):
    with PcapReader(path, **how) as r:
        return list(r), r


# -- against others

@pytest.mark.parametrize("name", sorted(make.FILES))
def test_the_captures_are_what_make_writes(name):
    assert (PCAPS / name).read_bytes() == make.FILES[name]()


@TSHARK
@pytest.mark.parametrize("name", GOOD)
def test_times_lengths_and_interfaces_as_tshark_sees_them(name):
    out = subprocess.run(["tshark", "-r", PCAPS / name, "-T", "fields", "-e", "frame.time_epoch", "-e", "frame.cap_len",
                          "-e", "frame.len", "-e", "frame.interface_id"], capture_output=True, text=True, timeout=300).stdout
    theirs = []
    for line in out.splitlines():
        time, kept, whole, number = line.split("\t")
        sec, frac = time.split(".")
        theirs.append((int(sec) * 10**9 + int(frac[:9].ljust(9, "0")), int(kept), int(whole), int(number or 0)))
    ours, reader = read(PCAPS / name, ethernet=False)
    assert len(theirs) > 10
    assert [(p.ts_ns, len(p.data), p.orig_len, p.interface) for p in ours] == theirs
    assert reader.truncated == name.startswith("truncated")
    assert reader.cut == sum(kept < whole for _, kept, whole, _ in theirs)


@pytest.mark.parametrize("name", [name for name in GOOD if not name.startswith("truncated")])
def test_octets_as_scapy_sees_them(name):
    from scapy.utils import RawPcapNgReader, RawPcapReader
    reader = RawPcapNgReader if name.endswith("ng") else RawPcapReader
    theirs = [bytes(data) for data, _ in reader(str(PCAPS / name))]
    assert [p.data for p in read(PCAPS / name, ethernet=False)[0]] == theirs


@TSHARK
def test_a_real_capture_counts_as_capinfos_says():
    path = ROOT / "../shared/captures/fix41-2017.pcap"
    if not path.exists():
        pytest.skip("the shared captures are not here")
    out = subprocess.run(["capinfos", "-M", "-c", "-d", path], capture_output=True, text=True, timeout=300).stdout
    ours, reader = read(path)
    assert f"Number of packets:   {len(ours)}" in out and f"Data size:           {reader.octets}" in out
    assert reader.offset == reader.size


# -- time

@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("resol, ticks, ns", [
    (None, 1_700_000_000_123_456, 1_700_000_000_123_456_000), (0, 1_700_000_000, 1_700_000_000 * 10**9),
    (3, 1_700_000_000_123, 1_700_000_000_123_000_000), (9, 1_700_000_000_123_456_789, 1_700_000_000_123_456_789),
    (10, 17_000_000_001_234_567_899, 1_700_000_000_123_456_789), (12, 2**64 - 1, 18_446_744_073_709_551),
    (19, 2**64 - 1, 1_844_674_407), (28, 2**64 - 1, 1), (29, 2**64 - 1, 0), (127, 2**64 - 1, 0),
    (0x80, 1_700_000_000, 1_700_000_000 * 10**9), (0x80 | 1, 3, 1_500_000_000), (0x80 | 10, 1023, 999_023_437),
    (0x80 | 32, (1_700_000_000 << 32) | 1 << 31, 1_700_000_000_500_000_000), (0x80 | 63, 2**64 - 1, 1_999_999_999),
    (0x80 | 64, 2**64 - 1, 999_999_999), (0x80 | 127, 2**64 - 1, 0)])
def test_every_unit_of_time_is_exact(tmp_path, order, resol, ticks, ns):
    f = tmp_path / "f"
    f.write_bytes(make.section(order) + make.interface(order, tsresol=resol)
                  + make.enhanced(order, 0, ticks, b"x" * 60))
    assert read(f)[0][0].ts_ns == ns


def test_offset_of_an_interface_may_be_negative(tmp_path):
    f = tmp_path / "f"
    f.write_bytes(make.section(">") + make.interface(">", tsresol=9, tsoffset=-5) + make.enhanced(">", 0, 1, b"x" * 60))
    assert read(f)[0][0].ts_ns == -5 * 10**9 + 1


@pytest.mark.parametrize("resol, offset", [(0, 0), (9, 2**62), (9, -2**62)])
def test_a_time_that_does_not_fit_is_an_error(tmp_path, resol, offset):
    f = tmp_path / "f"
    f.write_bytes(make.section("<") + make.interface("<", tsresol=resol, tsoffset=offset)
                  + make.enhanced("<", 0, 2**62, b"x" * 60))
    with pytest.raises(PcapError, match="a time outside the years 1678 to 2262"):
        read(f)


# -- sections, blocks, options

def test_sections_of_both_orders_follow_each_other_and_interfaces_begin_again(tmp_path):
    f = tmp_path / "f"
    f.write_bytes(make.pcapng(FRAMES[:4], "<") + make.pcapng(FRAMES[:4], ">"))
    packets, _ = read(f)
    assert [p.data for p in packets] == FRAMES[:4] * 2 and packets[:4] == packets[4:]
    f.write_bytes(b"".join(make.section(order) + make.interface(order, tsresol=resol)
                           + make.enhanced(order, 0, 7, FRAMES[0]) for order, resol in (("<", 9), (">", 6), ("<", 3))))
    assert [p.ts_ns for p in read(f)[0]] == [7, 7_000, 7_000_000]


def test_simple_packet_blocks_have_no_time_and_the_interfaces_snaplen(tmp_path):
    f = tmp_path / "f"
    f.write_bytes(make.section("<") + make.interface("<", snaplen=40)
                  + make.block("<", 3, struct.pack("<I", 60) + b"y" * 40)
                  + make.block("<", 3, struct.pack("<I", 33) + b"z" * 33))
    packets, reader = read(f)
    assert [(p.ts_ns, p.data, p.orig_len) for p in packets] == [(0, b"y" * 40, 60), (0, b"z" * 33, 33)]
    assert reader.cut == 1


def test_direction_is_read_from_the_flags(tmp_path):
    f = tmp_path / "f"
    with PcapngWriter(f) as w:
        for direction in (0, 1, 2):
            w.write(FRAMES[0], 1, direction)
    assert [p.direction for p in read(f)[0]] == [0, 1, 2]


def test_a_block_larger_than_the_buffer_is_passed_over(tmp_path):
    f = tmp_path / "f"
    huge = make.block("<", 0x0BAD, bytes(3 << 20))
    f.write_bytes(make.section("<") + make.interface("<") + huge + make.enhanced("<", 0, 1, FRAMES[0]) + huge[:-8])
    packets, reader = read(f)
    assert len(packets) == 1 and reader.truncated


def test_a_frame_check_sequence_the_file_declares_is_taken_off(tmp_path):
    f = tmp_path / "f"
    f.write_bytes(make.pcap([FRAMES[0] + b"FCS!"], linktype=1 | 0x24000000))
    assert read(f)[0][0].data == FRAMES[0]
    f.write_bytes(make.section("<") + make.block("<", 1, struct.pack("<HHI", 1, 0, 0) + make.option("<", 13, b"\x04"))
                  + make.enhanced("<", 0, 1, FRAMES[0] + b"FCS!") + make.enhanced("<", 0, 1, b"abcdefgh", 100))
    assert [(p.data, p.orig_len) for p in read(f)[0]] == [(FRAMES[0], len(FRAMES[0])), (b"abcdefgh", 96)]


@pytest.mark.parametrize("name", ["raw.pcap", "cooked.pcap", "cooked2.pcap"])
def test_other_link_types_become_ethernet(name):
    packets, _ = read(PCAPS / name)
    assert [p.data[12:] for p in packets] == [f[12:] for f in FRAMES]
    assert all(p.orig_len == len(p.data) for p in packets)
    if name != "raw.pcap":
        assert [p.data[6:12] for p in packets] == [f[6:12] for f in FRAMES]
        assert [p.direction == 2 for p in packets] == [f[6:12] == bytes.fromhex("020000000001") for f in FRAMES]


@pytest.mark.parametrize("orig_len, shown", [(20, 34), (2**32 - 15, 2**32 - 1), (2**32 - 1, 2**32 - 1)])
def test_a_length_no_packet_has_does_not_wrap_when_the_ethernet_header_is_added(tmp_path, orig_len, shown):
    (tmp_path / "f.pcap").write_bytes(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 101)
                                      + struct.pack("<IIII", 1, 0, 20, orig_len) + b"\x45" + bytes(19))
    (packet,), _ = read(tmp_path / "f.pcap")
    assert (len(packet.data), packet.orig_len) == (34, shown)


def test_raw_ipv6_gets_its_ethertype(tmp_path):
    f = tmp_path / "f"
    for linktype in (101, 229):
        f.write_bytes(make.pcap([b"\x60" + bytes(39)], linktype=linktype))
        assert read(f)[0][0].data == bytes(12) + b"\x86\xdd\x60" + bytes(39)


def test_a_packet_cut_within_the_cooked_header_is_counted(tmp_path):
    f = tmp_path / "f"
    for linktype, hlen in ((113, 16), (276, 20)):
        for n in range(hlen):
            f.write_bytes(make.pcap([bytes(100)], linktype=linktype, snaplen=n))
            packets, reader = read(f)
            assert packets[0].data == b"" and reader.cut == 1


def test_unknown_link_types_are_named():
    with pytest.raises(PcapError, match=r"wifi.pcap: link type 105 is neither Ethernet .* \(at octet 20\)"):
        PcapReader(PCAPS / "wifi.pcap")
    assert read(PCAPS / "wifi.pcap", ethernet=False)[0][0].linktype == 105


def test_an_unknown_link_type_of_one_interface_is_an_error_at_its_first_packet(tmp_path):
    f = tmp_path / "f"
    start = make.section("<") + make.interface("<") + make.interface("<", linktype=105)
    f.write_bytes(start + make.enhanced("<", 0, 1, FRAMES[0]) + make.enhanced("<", 1, 1, FRAMES[0]))
    reader = PcapReader(f)
    assert next(reader).data == FRAMES[0]
    with pytest.raises(PcapError, match="link type 105 .* interface 1"):
        next(reader)


# -- damage

def boundaries(name, whole):
    """Where a packet ends, and where anything ends: found by walking the file independently."""
    at = 24 if name.endswith("pcap") else 0
    packets, blocks = [], [at]
    while at < len(whole):
        if name.endswith("pcap"):
            kind, length = 6, 16 + struct.unpack_from("<I", whole, at + 8)[0]
        else:
            kind, length = struct.unpack_from("<II", whole, at)
        at += length
        blocks.append(at)
        packets += [at] if kind in (2, 6) else []
    return packets, blocks


@pytest.mark.parametrize("name, whole", [("f.pcap", make.pcap(FRAMES[:4])), ("f.pcapng", make.pcapng(FRAMES[:5]))])
def test_a_file_cut_at_every_octet_keeps_its_whole_packets(tmp_path, name, whole):
    f, (ends, blocks) = tmp_path / name, boundaries(name, whole)
    for n in range(24, len(whole)):
        f.write_bytes(whole[:n])
        packets, reader = read(f)
        assert [p.data for p in packets] == FRAMES[:sum(end <= n for end in ends)], n
        assert reader.truncated == (n not in blocks), n


@pytest.mark.parametrize("octets, why", [
    (b"", "the file is empty"), (b"\xd4", "only 1 octets, not a capture"),
    (b"\xd4\xc3\xb2\xa1\x02", "only 5 octets, the header of a capture has 24"),
    (b"8=FIX.4.4\x01" * 9, "neither pcap nor pcapng: it begins with 383d4649"),
    (b"\x1f\x8b\x08\x00" + bytes(40), "compressed with gzip"),
    (b"\x28\xb5\x2f\xfd" + bytes(40), "compressed with zstd"),
    (struct.pack("<IHHIIII", 0xA1B2C3D4, 3, 7, 0, 0, 0, 1), "pcap version 3.7"),
    (make.pcap([])[:24] + struct.pack("<IIII", 0, 0, 262145, 262145), "a packet of 262145 octets"),
    (make.section("<")[:8] + bytes(20), "the byte-order magic is 00000000"),
    (make.block("<", 0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 2, 0, -1)), "pcapng version 2.0"),
    (make.block("<", 0x0A0D0D0A, struct.pack("<IHH", 0x1A2B3C4D, 1, 0)), "a section header of 20 octets"),
    (make.section("<") + struct.pack("<II", 6, 8) + bytes(8), "a block of 8 octets, must be 12"),
    (make.section("<") + struct.pack("<II", 6, 33) + bytes(40), "a block of 33 octets, must be 12 or more and a mult"),
    (make.section("<") + make.interface("<")[:-4] + b"\x24\0\0\0", "a block of 20 octets ends by saying it has 36"),
    (make.section("<") + make.block("<", 1, b""), "an interface block of 12 octets"),
    (make.section("<") + struct.pack("<II", 6, 2 << 20) + bytes(40), "a block of 2097152 octets, at most 1048576"),
    (make.section("<") + make.enhanced("<", 0, 0, b"x"), "a packet of interface 0, the file has 0"),
    (make.section("<") + make.interface("<") + make.block("<", 6, bytes(16)), "a packet block of 28 octets"),
    (make.section("<") + make.interface("<") + make.block("<", 3, struct.pack("<I", 61) + bytes(60)),
     "a packet of 61 octets in a block with room for 60"),
    (make.section("<") + make.interface("<") * 4097, "more than 4096 interfaces"),
])
def test_damage_is_named_with_its_place(tmp_path, octets, why):
    f = tmp_path / "bad"
    f.write_bytes(octets)
    with pytest.raises(PcapError) as e:
        read(f)
    assert why in str(e.value) and str(f) in str(e.value) and 0 <= e.value.offset <= len(octets)


def test_what_lies_before_the_damage_is_given_out_and_the_error_stays(tmp_path):
    f = tmp_path / "bad"
    f.write_bytes(make.pcap(FRAMES[:2]) + struct.pack("<IIII", 0, 0, 1 << 31, 1 << 31))
    reader = PcapReader(f)
    assert [next(reader).data, next(reader).data] == FRAMES[:2]
    for _ in range(2):
        with pytest.raises(PcapError, match="2147483648 octets"):
            next(reader)


def test_a_file_that_cannot_be_opened(tmp_path):
    with pytest.raises(DeviceError, match="cannot be opened: No such file"):
        PcapReader(tmp_path / "none")
    with pytest.raises(PcapError, match="reading failed with errno 21"):
        PcapReader(tmp_path)
    with pytest.raises(DeviceError, match="cannot be written: No such file"):
        PcapngWriter(tmp_path / "none" / "f")
    reader = PcapReader(PCAPS / "session.pcap")
    reader.close()
    with pytest.raises(DeviceError, match="the file is closed"):
        next(reader)


def test_threads_that_share_a_reader_get_every_packet_once_or_are_refused(tmp_path):
    f, got = tmp_path / "f", []
    with PcapngWriter(f) as w:
        for i in range(20_000):
            w.write(FRAMES[0], i)
    reader = PcapReader(f)

    def read_on():
        while True:
            try:
                got.append(next(reader).ts_ns)
            except RuntimeError:
                continue
            except StopIteration:
                return
    threads = [threading.Thread(target=read_on) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
    assert sorted(got) == list(range(20_000))


def test_mutated_captures_never_crash_or_hang(tmp_path):
    rng, f = random.Random(2), tmp_path / "f"
    seeds = [make.pcap(FRAMES), make.pcapng(FRAMES), make.pcapng(FRAMES, ">"),
             make.pcap([make.cooked(x, 2) for x in FRAMES], linktype=276)]
    ends = {"read": 0, "error": 0, "truncated": 0}
    for turn in range(3000):
        octets = bytearray(seeds[turn % 4])
        for _ in range(rng.choice((1, 1, 2, 8))):
            at = rng.randrange(min(len(octets), rng.choice((60, 400, 10**6))))
            width = rng.choice((1, 2, 4))
            octets[at:at + width] = rng.choice((rng.randbytes(width), b"\xff" * width, bytes(width)))
        f.write_bytes(octets)
        try:
            packets, reader = read(f, ethernet=turn % 8 < 4)
            ends["truncated" if reader.truncated else "read"] += 1
            assert len(packets) <= 200
        except PcapError as error:
            ends["error"] += 1
            assert 0 <= error.offset <= len(octets)
    assert all(ends.values())


# -- PcapngWriter

def test_what_is_written_is_read_back_and_by_scapy(tmp_path):
    from scapy.utils import RawPcapNgReader
    f = tmp_path / "f.pcapng"
    with PcapngWriter(f, buffer=4096) as w:
        for i, x in enumerate(FRAMES):
            w.write(x, make.START_NS + i)
        assert w.packets == len(FRAMES) and w.dropped == 0
    packets, _ = read(f)
    assert [(p.ts_ns, p.data) for p in packets] == [(make.START_NS + i, x) for i, x in enumerate(FRAMES)]
    theirs = list(RawPcapNgReader(str(f)))
    assert [bytes(d) for d, _ in theirs] == FRAMES
    assert [(m.tshigh << 32) + m.tslow for _, m in theirs] == [make.START_NS + i for i in range(len(FRAMES))]


def test_the_file_holds_nothing_of_the_host(tmp_path):
    with PcapngWriter(tmp_path / "f") as w:
        w.write(b"", 0)
    assert (tmp_path / "f").read_bytes() == (
        make.section("<") + make.interface("<", snaplen=262144, tsresol=9) + make.enhanced("<", 0, 0, b""))


def test_the_writer_refuses_what_the_format_cannot_say(tmp_path):
    with PcapngWriter(tmp_path / "f") as w:
        for data, ts, direction, why in ((b"", -1, 0, "no times before 1970"), (b"", 0, 3, "direction is 3"),
                                         (bytes(262141), 0, 0, "at most 262140")):
            with pytest.raises(ValueError, match=why):
                w.write(data, ts, direction)
    with pytest.raises(DeviceError, match="closed"):
        w.write(b"", 0)


def test_a_full_disk_is_an_error_not_a_silent_gap():
    w = PcapngWriter("/dev/full", buffer=4096)
    with pytest.raises(DeviceError, match="No space left"):
        for _ in range(200):
            w.write(FRAMES[0], 0)
    with pytest.raises(DeviceError, match="No space left"):
        w.close()


# -- PcapDevice

def test_replay_as_fast_as_possible():
    d = open_device(f"pcap:{PCAPS / 'session.pcapng'}")
    got = []
    while not d.done:
        got += d.rx_burst(7)
    assert [f.data for f in got] == FRAMES
    assert {f.ts_source for f in got} == {2}
    assert d.error is None and not d.truncated
    assert d.stats()["rx_frames"] == len(FRAMES)


def test_paced_replay_keeps_the_captures_distances():
    d = PcapDevice(PCAPS / "splits.pcap", paced=True)
    assert d.next_ns == make.START_NS
    assert len(d.rx_burst(32, now_ns=10**12)) == 1
    assert d.rx_burst(32, now_ns=10**12 + make.STEP_NS - 1) == []
    assert len(d.rx_burst(32, now_ns=10**12 + make.STEP_NS)) == 1
    assert len(d.rx_burst(32, now_ns=10**12 + 5 * make.STEP_NS + 1)) == 4
    assert d.next_ns == make.START_NS + 6 * make.STEP_NS


def test_packets_the_capture_cut_are_counted_not_given():
    d = PcapDevice(PCAPS / "snaplen.pcap")
    got = d.rx_burst(64) + d.rx_burst(64)
    assert [f.data for f in got] == [x for x in FRAMES if len(x) <= 96]
    assert d.stats()["rx_errors"] == sum(len(x) > 96 for x in FRAMES) > 0


def test_a_damaged_file_ends_the_replay_and_says_why(tmp_path):
    f = tmp_path / "bad"
    f.write_bytes(make.pcap(FRAMES[:2]) + b"\xff" * 16)
    d = PcapDevice(f)
    assert len(d.rx_burst()) == 2 and d.done
    assert isinstance(d.error, PcapError) and d.error.offset == f.stat().st_size - 8
    assert d.rx_burst() == [] and d.next_ns is None


def test_what_is_sent_is_recorded_or_forgotten(tmp_path):
    with PcapDevice(PCAPS / "session.pcap", record=tmp_path / "out", utc_offset_ns=make.START_NS) as d:
        assert d.tx(FRAMES[0], now_ns=5) and d.tx(FRAMES[3], now_ns=6)
        for _ in range(1000):
            assert d.tx(FRAMES[1], 7)
    packets, _ = read(tmp_path / "out")
    assert [(p.ts_ns - make.START_NS, p.data) for p in packets[:2]] == [(5, FRAMES[0]), (6, FRAMES[3])]
    assert d.stats()["alloc_failed"] == 0 and d.done
    with pytest.raises(DeviceError, match="closed"):
        d.tx(FRAMES[0])


# -- PcapWriter

def test_a_recorder_keeps_both_directions_and_changes_neither(tmp_path):
    a, b = pair()
    with PcapWriter(a, tmp_path / "f", utc_offset_ns=100) as w:
        assert (w.mac, w.mtu) == (a.mac, a.mtu)
        w.tx(FRAMES[0], 1)
        assert [f.data for f in b.rx_burst()] == [FRAMES[0]]
        b.tx(FRAMES[1])
        assert [f.data for f in w.rx_burst(8, 2)] == [FRAMES[1]]
        assert w.recorded == 2
    packets, _ = read(tmp_path / "f")
    assert [(p.ts_ns, p.direction, p.data) for p in packets] == [(101, 2, FRAMES[0]), (102, 1, FRAMES[1])]
    assert a.tx(FRAMES[2]), "closing the recorder leaves the inner device open"
    assert a.free_buffers == a.buffers - 1 and b.free_buffers == b.buffers


def test_a_frame_the_inner_device_refused_is_not_recorded(tmp_path):
    a, b = pair(queue=2)
    with PcapWriter(a, tmp_path / "f") as w:
        assert [w.tx(FRAMES[i], i) for i in range(4)] == [True, True, False, False]
        b.rx_burst()
        assert w.tx(FRAMES[4], 4)
        assert w.stats()["tx_full"] == 2
    assert [p.ts_ns for p in read(tmp_path / "f")[0]] == [0, 1, 4]


@pytest.mark.parametrize("vlan", [None, 5])
def test_a_checksum_left_to_the_device_is_whole_in_the_file_only(tmp_path, vlan):
    whole = make.Flow(vlan=vlan).segment(True, make.PSH | make.ACK, b"8=FIX.4.4\x01")
    at = 14 + (4 if vlan else 0)
    pseudo = whole[at + 12:at + 20] + struct.pack(">HH", 6, len(whole) - at - 20)
    total = sum(struct.unpack(">6H", pseudo))
    partial = whole[:at + 36] + struct.pack(">H", (total & 0xFFFF) + (total >> 16)) + whole[at + 38:]
    assert partial != whole
    a, b = pair(offload=True)
    with PcapWriter(a, tmp_path / "out") as out, PcapWriter(b, tmp_path / "in") as inbound:
        out.tx(partial, flags=FRAME_TX_L4_CSUM)
        got = inbound.rx_burst()[0]
        assert got.data == partial and got.flags == FRAME_RX_L4_GOOD | FRAME_RX_PARTIAL
    assert [read(tmp_path / name)[0][0].data for name in ("out", "in")] == [whole, whole]


def test_a_full_buffer_is_written_out_or_counted(tmp_path):
    for drop in (False, True):
        a, b = pair()
        with PcapWriter(a, tmp_path / "f", buffer=4096, drop_when_full=drop) as w:
            for _ in range(100):
                assert w.tx(FRAMES[0])
            recorded, dropped = w.recorded, w.dropped
            assert recorded + dropped == 100 and bool(dropped) == drop
            w.flush()
            w.tx(FRAMES[0])
            assert w.recorded == recorded + 1
        assert len(read(tmp_path / "f")[0]) == recorded + 1


def test_the_same_run_gives_the_same_octets(tmp_path):
    for name in "xy":
        a, b = pair()
        with PcapWriter(a, tmp_path / name) as w:
            for i, x in enumerate(FRAMES):
                w.tx(x, i) if i % 2 else b.tx(x)
                w.rx_burst(8, i)
    assert (tmp_path / "x").read_bytes() == (tmp_path / "y").read_bytes()
