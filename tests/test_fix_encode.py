"""Numbers, prices and timestamps against int, decimal and datetime; the writer octet by octet and at its limits."""
import datetime
import decimal
import random

import compiled
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fix

values = compiled.module("fix_values_face")
EPOCH = datetime.datetime(1970, 1, 1)
OK, FORMAT, OVERFLOW, DECIMALS = 0, 1, 2, 3


@given(st.integers(0, 2**64 - 1) | st.integers(0, 10**9) | st.sampled_from([10**k + d for k in range(19) for d in (-1, 0)]))
def test_unsigned_numbers_there_and_back(n):
    assert values.write_uint(n) == b"%d" % n
    assert values.read_uint(b"%d" % n) == (OK, n) == values.read_uint(b"000%d" % n)


@given(st.integers(-2**63, 2**63 - 1))
def test_signed_numbers_there_and_back(n):
    assert values.write_int(n) == b"%d" % n and values.read_int(b"%d" % n) == (OK, n)


# the last kind has few digits and a dot anywhere among them: read as one register of eight octets
@given(st.integers(-2**63, 2**63 - 1) | st.integers(-10**12, 10**12)
       | st.builds(lambda digits, zeros: digits * 10**zeros, st.integers(-10**6, 10**6), st.integers(1, 8)),
       st.integers(0, 8))
def test_prices_there_and_back(mantissa, decimals):
    exact = decimal.Decimal(mantissa).scaleb(-8)
    text = values.write_e8(mantissa, decimals)
    assert decimal.Decimal(text.decode()) == exact and values.read_e8(text) == (OK, mantissa)
    shown = len(text.partition(b".")[2])
    assert shown >= decimals and (shown == decimals or not text.endswith(b"0"))


@given(st.text("0123456789.-+ e", max_size=24).map(str.encode))
def test_prices_of_any_text(text):
    wrong, mantissa = values.read_e8(text)
    digits = text.removeprefix(b"-")
    if digits.count(b".") > 1 or not digits.replace(b".", b"").isdigit():
        assert wrong == FORMAT
        return
    exact = decimal.Context(prec=60).create_decimal(text.decode()).scaleb(8, decimal.Context(prec=60))
    if wrong == OK:
        assert mantissa == exact
    elif wrong == DECIMALS:
        assert mantissa == int(exact) != exact
    else:
        assert wrong == OVERFLOW and not -2**63 <= int(exact) <= 2**63 - 1


@pytest.mark.parametrize("text, found", [
    (b"", FORMAT), (b"-", FORMAT), (b".", FORMAT), (b"-.", FORMAT), (b"1.2.3", FORMAT), (b"+1", FORMAT), (b"1e3", FORMAT),
    (b" 1", FORMAT), (b"1 ", FORMAT), (b"\xb1", FORMAT), (b"5.", OK), (b".5", OK), (b"-0", OK), (b"0.000000001", DECIMALS),
    (b"1.2345678900000", OK), (b"92233720368.54775807", OK), (b"92233720368.54775808", OVERFLOW),
    (b"-92233720368.54775808", OK), (b"99999999999999999999999", OVERFLOW),
])
def test_odd_prices(text, found):
    assert values.read_e8(text)[0] == found


@pytest.mark.parametrize("text", [b"", b"-", b"1-", b"+1", b"1.0", b"12345678x", b"x2345678", b" 1", b"\xb1", b"1234567:"])
def test_odd_integers(text):
    assert values.read_int(text)[0] == FORMAT and values.read_uint(text)[0] == FORMAT


def test_integers_that_do_not_fit():
    assert values.read_uint(b"18446744073709551616")[0] == OVERFLOW
    assert values.read_int(b"9223372036854775808")[0] == OVERFLOW
    assert values.read_int(b"-9223372036854775809")[0] == OVERFLOW
    assert values.read_uint(b"-1")[0] == FORMAT


def test_fixed_width():
    assert [values.write_fixed(v, w) for v, w in [(7, 1), (7, 3), (255, 3), (99999999, 8)]] == \
        [b"7", b"007", b"255", b"99999999"]


@given(st.integers(0, 2**63 - 1), st.sampled_from([0, 3, 6, 9]))
def test_timestamps_against_datetime(ns, decimals):
    at = EPOCH + datetime.timedelta(seconds=ns // 10**9)
    text = at.strftime("%Y%m%d-%H:%M:%S") + ("." + f"{ns % 10**9:09d}"[:decimals] if decimals else "")
    stamp = values.Stamp()
    assert stamp.write(ns, decimals) == text.encode()
    assert values.read_utc(text.encode()) == ns - ns % 10 ** (9 - decimals)
    assert values.read_date(text[:8].encode()) == (at - EPOCH).days
    assert values.read_time(text[9:].encode()) == ns % 86400_000_000_000 - ns % 10 ** (9 - decimals)


def test_a_stamp_keeps_its_second_and_goes_back():
    stamp = values.Stamp()
    base = 1_767_323_045_000_000_000
    for ns in (0, 1, 999_999_999, 1_000_000_000, 999_999_999, -1, 86_400 * 10**9, 0, 75_355 * 10**9, 75_354 * 10**9):
        at = EPOCH + datetime.timedelta(seconds=(base + ns) // 10**9)
        assert stamp.write(base + ns, 9) == f"{at:%Y%m%d-%H:%M:%S}.{(base + ns) % 10**9:09d}".encode()
    assert values.Stamp().write(0, 0) == b"19700101-00:00:00"


@pytest.mark.parametrize("text, ns", [
    (b"20161231-23:59:60", 1483228800 * 10**9), (b"20161231-23:59:60.5", 1483228800_500_000_000),     # a leap second
    (b"20240229-00:00:00", 1709164800 * 10**9), (b"19691231-23:59:59", -10**9),
    (b"20240229-00:00:00.123456789012", 1709164800_123_456_789),
    (b"20230229-00:00:00", None), (b"20240001-00:00:00", None), (b"20241301-00:00:00", None), (b"20240431-00:00:00", None),
    (b"20240101-24:00:00", None), (b"20240101-00:60:00", None), (b"20240101-00:00:61", None), (b"20240101 00:00:00", None),
    (b"20240101-00:00", None), (b"20240101-00:00:00.", None), (b"20240101-00:00:00.1x", None), (b"", None),
    (b"20240101-00:00:00.0123456789", None), (b"2024010a-00:00:00", None), (b"99991231-00:00:00", None),
    (b"19000229-00:00:00", None), (b"20000229-00:00:00", 951782400 * 10**9),
])
def test_odd_timestamps(text, ns):
    assert values.read_utc(text) == ns


def test_a_message_octet_by_octet():
    w = values.Writer()
    w.begin(b"AE")
    w.uint(34, 12)
    w.str(49, b"US")
    w.int(99, -5)
    w.char(54, 0x31)
    w.bool(43, True)
    w.bool(97, False)
    w.price(44, 10125 * 10**6)
    w.decimal(38, 100 * 10**8, 2)
    w.utc(52, 1_767_323_045_678_000_000, 3)
    w.str(40001, b"")
    w.raw(b"58=x\x0158=y\x01")
    body = (b"35=AE|34=12|49=US|99=-5|54=1|43=Y|97=N|44=101.25|38=100.00|52=20260102-03:04:05.678|40001=|58=x|58=y|"
            .replace(b"|", b"\x01"))
    text = b"8=FIX.4.4\x019=%d\x01" % len(body) + body
    assert w.finish() == text + b"10=%03d\x01" % (sum(text) % 256)


@pytest.mark.parametrize("version", [b"FIX.4.0", b"FIXT.1.1", b"F", b"SIXTEEN.OCTETS.X"])
def test_body_length_has_no_leading_zeros_at_any_length(version):
    w = values.Writer(20_000)
    assert w.version(version)
    for n in (0, 1, 80, 81, 82, 83, 84, 980, 985, 990, 9980, 9990, 10_000):
        w.begin(b"0")
        w.str(58, b"x" * n)
        text = b"8=%s\x019=%d\x0135=0\x0158=%s\x01" % (version, n + 9, b"x" * n)
        assert w.finish() == text + b"10=%03d\x01" % (sum(text) % 256)


def test_texts_of_every_length():
    text = bytes(range(48, 48 + 70))
    for n in range(70):
        for tag in (1, 55, 262, 5001, 40001):
            w = values.Writer(100)
            w.begin(b"0")
            w.str(tag, text[:n])
            w.char(40, 0x32)
            assert fix.parse(w.finish()).items()[3:-1] == [(tag, text[:n].decode()), (40, "2")]


def test_begin_strings_have_a_limit():
    assert not values.Writer().version(b"SEVENTEEN.OCTETS.")


def test_what_does_not_fit_is_not_written_and_there_is_no_message():
    for size in range(16, 80):
        w = values.Writer(size)
        w.begin(b"0")
        for _ in range(20):
            w.str(58, b"0123456789")
            w.uint(2147483647, 2**64 - 1)
            w.price(44, -2**63)
            w.utc(2147483647, 2**64 - 1, 9)
            w.int(99, -2**63)
            w.char(2147483647, 1)
            w.raw(b"1=x\x01")
        assert w.used() + 7 <= w.limit() and w.finish() is None
        w.begin(b"0")
        assert w.finish() is not None           # the next one is not harmed


def test_room_is_what_str_takes():
    w = values.Writer(100)
    w.begin(b"0")
    assert w.room(95) and not w.room(96)
    w.str(58, b"x" * 95)
    assert w.finish() is not None


def test_the_largest_message():
    w = values.Writer(65535)
    w.begin(b"B")
    w.str(58, b"x" * 65400)
    assert len(fix.parse(w.finish())[58]) == 65400
    w.begin(b"B")
    w.str(58, b"x" * 65500)
    assert w.finish() is None


def test_hints_learn_and_survive_a_miss():
    message = fix.Message("D", ((11, "a"), (55, "b"), (54, "1"), (55, "c"))).encode()
    found, every = values.hints(message, [55, 55, 31, 55, 54])
    assert found == [(4, 4), (4, 4), (None, 4), (4, 4), (5, 5)] and every == [4, 6]


def test_typed_messages_come_back():
    rng = random.Random(4)
    for _ in range(300):
        w = values.Writer()
        w.begin(b"D")
        fields = []
        for _ in range(rng.randrange(30)):
            tag, kind = rng.choice([1, 44, 999, 5001, 40001, 2147483647]), rng.randrange(3)
            if kind == 0:
                number = rng.randrange(10 ** rng.randrange(1, 19))
                w.uint(tag, number)
                fields.append((tag, str(number)))
            elif kind == 1:
                text = bytes(rng.choice(b"abc=|") for _ in range(rng.randrange(40)))
                w.str(tag, text)
                fields.append((tag, text.decode()))
            else:
                mantissa = rng.randrange(-10**14, 10**14)
                w.price(tag, mantissa)
                fields.append((tag, values.write_e8(mantissa).decode()))
        assert fix.parse(w.finish()).items()[3:-1] == fields


TAGS = st.sampled_from([1, 44, 999, 5001, 40001])
FIELDS = st.one_of(
    st.tuples(st.sampled_from(["fixed", "str"]), TAGS, st.binary(max_size=70).map(lambda b: b.replace(b"\x01", b"x"))),
    st.tuples(st.just("uint"), TAGS, st.integers(0, 2**64 - 1)),
    st.tuples(st.sampled_from(["int", "price"]), TAGS, st.integers(-2**63, 2**63 - 1)),
    st.tuples(st.just("utc"), TAGS, st.integers(0, 2**63 - 1)))


def written(fields, size):
    """The fields through a template and one by one, into writers of that size; None: no template can hold them."""
    template, filled, plain = values.Template(), values.Writer(size), values.Writer(size)
    plain.begin(b"D")
    filled.begin(b"D")
    for kind, tag, value in fields:
        if kind == "fixed":
            template.str(tag, value)
            plain.str(tag, value)
        else:
            template.hole(tag)
            getattr(plain, kind)(tag, *[value] + [9] * (kind == "utc"))
    if not template.end():
        return None
    template.fill(filled, [(kind, value) for kind, _, value in fields if kind != "fixed"])
    assert filled.used() + 8 <= filled.limit()
    return filled.finish(), plain.finish()


@given(st.lists(FIELDS, max_size=10))
def test_a_filled_template_is_what_its_fields_are(fields):
    found = written(fields, 4096)
    if found is None:
        assert len([f for f in fields if f[0] != "fixed"]) > 8 or sum(len(f[2]) for f in fields if f[0] == "fixed") > 200
    else:
        assert found[0] == found[1] is not None


@given(st.lists(FIELDS, min_size=8, max_size=10), st.integers(16, 200))
def test_a_template_that_does_not_fit_is_no_message(fields, size):
    filled, plain = written(fields, size) or (None, None)
    assert filled is None or plain is None or filled == plain


def test_pieces_of_every_length():
    for n in range(280):
        filled, plain = written([("fixed", 58, b"x" * n), ("uint", 34, n), ("fixed", 1, b"y" * (n % 16))], 1024)
        assert filled == plain is not None


def test_a_template_stops_at_the_end_of_the_writer():
    fields = [("fixed", 58, b"x" * 20), ("int", 44, -2**63)] * 8
    fits = [written(fields, size)[0] is not None for size in range(16, 500)]
    assert True in fits and fits == sorted(fits)


def test_a_template_has_its_limits():
    for holes, whole in [(0, True), (8, True), (9, False), (40, False)]:
        template = values.Template()
        for _ in range(holes):
            template.hole(40001)
        assert bool(template.end()) == whole
    for n, whole in [(310, True), (330, False), (5000, False)]:
        template = values.Template()
        template.str(58, b"x" * n)
        assert bool(template.end()) == whole
