"""fix.Parser: a stream of octets in any pieces, and what it does with what is no message."""
import subprocess
import sys

import pytest

import fix
from fix import Message


def heartbeat(seq, **more):
    return Message("0", {34: seq, **more}).encode()


THREE = [heartbeat(1), Message("B", {34: 2, 96: b"8=FIX.4.4\x019=5\x0135=0\x0110=163\x01"}).encode(), heartbeat(3)]


@pytest.mark.parametrize("piece", [1, 2, 7, 26, 64, 1000])
def test_messages_come_out_whatever_the_pieces(piece):
    parser = fix.Parser()
    stream = b"".join(THREE) * 20
    found = [m for i in range(0, len(stream), piece) for m in parser.feed(stream[i:i + piece])]
    assert [m.raw for m in found] == THREE * 20
    assert (parser.messages, parser.garbled, parser.skipped, parser.pending) == (60, 0, 0, 0)


def test_every_truncation_point_waits_and_then_delivers():
    for message in THREE:
        for cut in range(len(message)):
            parser = fix.Parser()
            assert parser.feed(message[:cut]) == [] and parser.pending == cut
            assert [m.raw for m in parser.feed(message[cut:])] == [message]


def test_garbage_is_skipped_to_the_next_message():
    one, two = heartbeat(1), heartbeat(2)
    for garbage, garbled in [
        (b"\x00\xff hello", 0), (b"8=", 0), (b"8=FIX", 1), (b"8=FIXC\x01", 1), (b"8=FIX.4.4\x01", 1),
        (b"8=FIX.4.4\x019=x\x01", 1), (b"8=FIX.4.4\x019=00000000000005\x01", 1), (b"8=FIX.4.4\x019=70000\x01", 1),
        (b"8=FIX.4.4\x019=5\x0134=0\x0110=163\x01", 1), (b"8=FIX.4.4\x019=6\x0135=0\x0110=163\x01xxxxxx", 1),
        (one.replace(b"34=1", b"34=2"), 1), (one[:-4], 1), (one[:-1] + b"|", 1), (one[:20] + one[:30], 2),
        (b"8=FIX.4.4\x019=5\x0135=\x01x10=163\x01", 1), (b"8=FIX.4.4\x019=4\x0135=\x0110=163\x01", 1),
    ]:
        parser = fix.Parser()
        found = parser.feed(garbage + two)
        assert [m.raw for m in found] == [two], garbage
        assert (parser.garbled, parser.skipped, parser.pending) == (garbled, len(garbage), 0), garbage


def test_a_false_begin_inside_a_garbled_message_is_no_message():
    bad = Message("0", {34: 1, 58: "FIX.4.4"}).encode().replace(b"34=1", b"34=2")     # 58=FIX.4.4 holds 8=FIX
    parser = fix.Parser()
    assert [m[34] for m in parser.feed(bad + heartbeat(3))] == ["3"]
    assert parser.garbled == 2 and parser.skipped == len(bad)


def test_a_message_longer_than_allowed_is_skipped_at_once():
    parser = fix.Parser(max_size=100)
    long = Message("B", {58: "x" * 100}).encode()
    assert parser.feed(long[:30]) == [] and parser.garbled == 1
    assert parser.last_garbled == "BodyLength(9) makes it longer than the limit"
    assert [m.raw for m in parser.feed(long[30:] + heartbeat(1))] == [heartbeat(1)]


def test_resync_by_trailer_swallows_what_quickfix_swallows():
    long = heartbeat(1).replace(b"9=10", b"9=20")
    parser = fix.Parser(resync="trailer")
    assert [m[34] for m in parser.feed(long + heartbeat(2) + heartbeat(3))] == ["3"]
    assert parser.garbled == 1
    parser = fix.Parser()
    assert [m[34] for m in parser.feed(long + heartbeat(2) + heartbeat(3))] == ["2", "3"]
    short = heartbeat(1).replace(b"9=10", b"9=05")
    parser = fix.Parser(resync="trailer")
    assert [m[34] for m in parser.feed(short + heartbeat(2))] == ["2"]


HOSTILE = """
import random, sys, fix
from fix import Message
random.seed(7)
one = Message("0", {34: 1, 58: "x" * 20}).encode()
for max_size in (100, 1000, 4096, 65535):
    cap = 2 * max_size + 4096
    for _ in range(40 if max_size < 5000 else 6):
        length = random.randint(5, max_size - 20)
        bad = b"8=FIX.4.4\x019=%d\x0135=B\x0158=" % length + b"z" * (length + random.choice([0, 4000, 8000, cap]))
        head = one * (random.randint(0, cap) // len(one))
        tail = b"\x0110=000\x01" + one * 3
        stream = head + bad + tail
        whole = None
        for piece in (len(stream), random.randint(1, 1 + len(stream)), random.randint(len(stream) // 99 + 1, len(stream))):
            parser = fix.Parser(max_size=max_size, resync="trailer")
            found = [m.raw for i in range(0, len(stream), piece) for m in parser.feed(stream[i:i + piece])]
            assert sum(map(len, found)) + parser.skipped + parser.pending == len(stream)
            whole = whole or (found, parser.skipped, parser.garbled)
            assert (found, parser.skipped, parser.garbled) == whole, (max_size, length, len(head), piece)
            assert parser.pending == 0 and found[-2:] == [one] * 2
print("done")
"""


def test_a_peer_cannot_stop_it_with_a_trailer_that_does_not_come():
    child = subprocess.run([sys.executable, "-c", HOSTILE], capture_output=True, text=True, timeout=60)    # it kept the GIL
    assert child.stdout == "done\n", child.stderr


def test_structure_faults_are_told_and_the_stream_goes_on():
    def framed(body):
        text = b"8=FIX.4.4\x019=%d\x01" % len(body) + body
        return text + b"10=%03d\x01" % (sum(text) % 256)
    parser = fix.Parser()
    for body, error, tags in [
        (b"35=0\x0134=1\x01", None, [8, 9, 35, 34, 10]),
        (b"35=0\x01garbage\x0134=1\x01", "a field has no '=' (field 3, 'garbage')", [8, 9, 35, 0, 34, 10]),
        (b"35=0\x01-1=HI\x01", "a tag is not a number from 1 to 2147483647 (field 3, '-1')", [8, 9, 35, 0, 10]),
        (b"35=0\x01=HI\x01", "a tag is not a number from 1 to 2147483647 (field 3, '')", [8, 9, 35, 0, 10]),
        (b"35=0\x010=HI\x01", "a tag is not a number from 1 to 2147483647 (field 3, '0')", [8, 9, 35, 0, 10]),
        (b"35=0\x01044=1\x01", "a tag is not a number from 1 to 2147483647 (field 3, '044')", [8, 9, 35, 0, 10]),
        (b"35=0\x012147483647=1\x01", None, [8, 9, 35, 2147483647, 10]),
        (b"35=0\x012147483648=1\x01", "a tag is not a number from 1 to 2147483647 (field 3, '2147483648')",
         [8, 9, 35, 0, 10]),
        (b"35=0\x01\x01", "a field has no '=' (field 3, '')", [8, 9, 35, 0, 10]),
        (b"35=0\x0195=9\x0196=abc\x01", "a data field is not as long as its Length field says (field 4, '96')",
         [8, 9, 35, 95, 96, 10]),
        (b"35=0\x0195=3\x0196=a\x01b\x0158=\x01", None, [8, 9, 35, 95, 96, 58, 10]),
        (b"35=0\x0195=x\x0196=a=b\x01", None, [8, 9, 35, 95, 96, 10]),
        (b"35=0\x0195=2\x0158=a\x0196=abc\x01", None, [8, 9, 35, 95, 58, 96, 10]),
    ]:
        message, = parser.feed(framed(body))
        assert (message.error, message.tags()) == (error, tags)
    with pytest.raises(fix.MessageError, match="a field has no '='"):
        fix.parse(framed(b"35=0\x01x\x01"))


def test_data_fields_of_a_users_dictionary():
    custom = fix.dictionary.Dictionary("FIX.4.4")
    custom.add_field(5001, "BlobLen", "LENGTH")
    custom.add_field(5002, "Blob", "DATA")
    text = b"8=FIX.4.4\x019=21\x0135=0\x015001=3\x015002=a\x01b\x0110="
    raw = text + b"%03d\x01" % (sum(text[:-3]) % 256)
    assert fix.Parser(custom).feed(raw)[0].get_bytes(5002) == b"a\x01b"
    assert fix.Parser().feed(raw)[0].error == "a field has no '=' (field 5, 'b')"


def test_wrong_options():
    with pytest.raises(ValueError, match="max_size is 7, must be 32 to 65535"):
        fix.Parser(max_size=7)
    with pytest.raises(ValueError, match="resync is 'never', must be next or trailer"):
        fix.Parser(resync="never")
