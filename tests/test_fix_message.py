"""fix.Message: reading by tag and name, groups, building, encoding, and what is refused."""
import datetime
from decimal import Decimal

import pytest

import fix
from fix import FieldMissing, FieldValueError, GarbledMessage, IncompleteMessage, Message, MessageError

ORDER = ("8=FIX.4.4|35=D|49=US|56=THEM|34=7|52=20260102-03:04:05.678|11=A1|55=IBM|54=1|38=100|44=101.25|"
         "43=N|453=2|448=A|452=1|802=1|523=x|803=2|448=B|447=D|58=text|")


@pytest.fixture
def order():
    return fix.parse(Message.from_text(ORDER).encode())


def test_fields_by_tag_text_and_name(order):
    assert order[44] == order["44"] == order["Price"] == "101.25"
    assert order.Price == Decimal("101.25") and order.MsgSeqNum == 7 and order.PossDupFlag is False
    assert order.MsgType == "D" and order.name == "NewOrderSingle" and order.begin_string == "FIX.4.4"
    assert 44 in order and "Price" in order and 31 not in order and "Prize" not in order
    assert order.get(31) is None and order.get(31, "0") == "0"
    assert order.tags()[:3] == [8, 9, 35] and order.tags()[-1] == 10 and len(order) == 23
    assert dict(iter(order))[55] == "IBM" and order.get_all(448) == ["A", "B"]


def test_values_converted_as_asked(order):
    assert order.get_int(34) == 7 and order.get_e8(44) == 10125000000 and order.get_e8(38) == 100 * 10**8
    assert order.get_decimal(44) == Decimal("101.25") and order.get_float(44) == 101.25
    assert order.get_bool(43) is False and order.get_bytes(58) == b"text"
    assert order.get_utc_ns(52) == 1767323045678000000
    assert order.get_datetime(52) == datetime.datetime(2026, 1, 2, 3, 4, 5, 678000, datetime.UTC) == order.SendingTime
    assert order.get_int(31, None) is None and order.get_datetime(60, 0) == 0 and order.get_bytes(96, b"") == b""
    made = Message("D", {64: "20260301", 273: "23:59:60.5", 44: "-0.00000001", 96: b"a\x01b"})
    assert made.get_date(64) == made.SettlDate == datetime.date(2026, 3, 1)
    assert made.get_time_ns(273) == 86400_500_000_000 and made.get_e8(44) == -1 and made.RawData == b"a\x01b"


def test_groups_are_sequences_of_entries(order):
    parties = order.NoPartyIDs
    assert [p[448] for p in parties] == ["A", "B"] and parties.announced == 2 and parties.tag == 453
    assert parties[0].PartyRole == 1 and parties[0].NoPartySubIDs[0].PartySubID == "x"
    assert parties[1].tags() == [448, 447] and 58 not in parties[1]       # the last entry ends where its members do
    assert parties[1].NoPartySubIDs == [] and order.group(268) == []
    assert repr(parties[1]) == "<Entry 448=B|447=D>"


def test_an_unknown_group_is_split_by_its_first_field():
    message = fix.parse(Message.from_text("35=U1|9000=2|9001=a|9002=b|9001=c|").encode())
    assert [dict(e) for e in message.group(9000)] == [{9001: "a", 9002: "b"}, {9001: "c"}]


def test_a_count_that_is_not_kept():
    message = Message.from_text("35=D|453=3|448=A|448=B|58=x|")
    assert len(message.NoPartyIDs) == 2 and message.NoPartyIDs.announced == 3
    assert len(Message.from_text("35=D|453=1|448=A|448=B|").NoPartyIDs) == 1
    assert Message.from_text("35=D|453=2|447=D|").NoPartyIDs[0].tags() == [447]
    assert Message.from_text("35=D|453=2|58=D|").NoPartyIDs == []
    with pytest.raises(FieldValueError, match=r"NoPartyIDs\(453\) is '-1', must be a number from 0 to"):
        Message.from_text("35=D|453=-1|448=A|").group(453)
    with pytest.raises(FieldValueError, match=r"NoPartyIDs\(453\) is '1000000000', must be a number"):
        Message.from_text("35=D|453=1000000000|448=A|").group(453)


def test_entries_of_a_message_that_was_changed_say_so(order):
    entry = order.NoPartyIDs[0]
    order[58] = "longer than it was"
    with pytest.raises(RuntimeError, match="the message was changed"):
        entry[448]


def test_building_takes_python_values():
    stamp = datetime.datetime(2026, 1, 2, 3, 4, 5, 678000, datetime.UTC)
    message = Message("D", {"ClOrdID": "A1", 38: 100, 44: Decimal("1E+2"), 6: 0.1, 114: True, 60: stamp,
                            64: datetime.date(2026, 3, 1), 58: None, 99: -5, 31: 2**70})
    assert message.text == ("35=D|11=A1|38=100|44=100|6=0.1|114=Y|60=20260102-03:04:05.678|64=20260301|99=-5|"
                            "31=1180591620717411303424|")
    assert Message("D", {60: stamp.replace(microsecond=1)})[60] == "20260102-03:04:05.000001"


def test_a_list_is_a_repeating_group():
    message = Message("D", {453: [{448: "A", 802: [{523: "x"}, [(523, "y"), (803, 1)]]}, {448: "B"}], 55: "IBM"})
    assert message.text == "35=D|453=2|448=A|802=2|523=x|523=y|803=1|448=B|55=IBM|"
    message["NoPartyIDs"] = [{448: "Z"}]
    assert message.text == "35=D|453=1|448=Z|55=IBM|"
    message[453] = None
    assert message.text == "35=D|55=IBM|"


def test_setting_replaces_in_place_and_deletes():
    message = Message("D", ((55, "IBM"), (54, "1"), (58, "x")))
    message[55] = "LONGER SYMBOL"
    message[54] = "2"
    message[58] = ""
    message["44"] = 5
    assert message.text == "35=D|55=LONGER SYMBOL|54=2|58=|44=5|"
    del message[54]
    message[35] = "AE"
    assert message.text == "35=AE|55=LONGER SYMBOL|58=|44=5|" and message.MsgType == "AE"
    message.append(55, "again")
    assert message.get_all(55) == ["LONGER SYMBOL", "again"]
    with pytest.raises(FieldMissing, match=r"has no Side\(54\)"):
        del message[54]


def test_data_fields_carry_their_length():
    message = Message("B", {96: b"a\x01b=", 213: "<x/>"})
    assert message.raw == b"35=B\x0195=4\x0196=a\x01b=\x01212=4\x01213=<x/>\x01"
    message[96] = b"zz"
    assert message.raw == b"35=B\x0195=2\x0196=zz\x01212=4\x01213=<x/>\x01"
    assert fix.parse(message.encode()).get_bytes(213) == b"<x/>"
    del message[213]
    assert message.raw == b"35=B\x0195=2\x0196=zz\x01"
    assert Message("B", ((95, 99), (96, b"abc"))).raw == b"35=B\x0195=3\x0196=abc\x01"
    with pytest.raises(FieldValueError, match=r"Text\(58\) has an SOH in it and is not a data field"):
        Message("D", {58: "a\x01b"})


def test_encode_counts_anew_and_puts_the_frame_first(order):
    assert fix.parse(order.encode()) == order
    order[44] = "99"
    again = fix.parse(order.encode())
    assert again.get_int(9) == order.get_int(9) - 4 and again[44] == "99"
    moved = Message.from_text("10=000|34=1|35=0|8=FIX.4.2|9=999|112=x|")
    assert moved.encode() == b"8=FIX.4.2\x019=16\x0135=0\x0134=1\x01112=x\x0110=243\x01"
    assert Message("0", begin_string="FIXT.1.1").encode() == b"8=FIXT.1.1\x019=5\x0135=0\x0110=241\x01"
    with pytest.raises(MessageError, match=r"no MsgType\(35\)"):
        Message.from_text("55=IBM").encode()


def test_parse_says_what_is_wrong(order):
    raw = order.raw
    assert fix.parse(bytearray(raw)) == fix.parse(memoryview(raw)) == order
    assert fix.parse(raw.decode().replace("\x01", "|")) == order
    with pytest.raises(IncompleteMessage, match=f"40 octets are not the whole .* {len(raw)} are needed") as e:
        fix.parse(raw[:40])
    assert e.value.need == len(raw)
    with pytest.raises(GarbledMessage, match=r"CheckSum\(10\) is wrong"):
        fix.parse(raw.replace(b"IBM", b"IBN"))
    with pytest.raises(GarbledMessage, match="does not begin with 8=FIX") as e:
        fix.parse(b"xx" + raw)
    assert e.value.skip == 2
    with pytest.raises(MessageError, match=f"{len(raw)} octets follow the message"):
        fix.parse(raw + raw)
    with pytest.raises(MessageError, match="70000 octets, a message has at most 65535"):
        fix.parse(b"8" * 70000)
    with pytest.raises(IncompleteMessage):
        fix.parse(b"")


def test_wrong_values_name_field_value_and_limit(order):
    for ask, text in [
        (lambda: order.get_int(55), "Symbol(55) is 'IBM', must be an integer of 64 bits"),
        (lambda: order.get_e8(55), "Symbol(55) is 'IBM', must be a decimal number"),
        (lambda: Message("D", {44: "0.000000001"}).get_e8(44),
         "Price(44) is '0.000000001', must be a number of at most 8 decimals"),
        (lambda: Message("D", {44: "99999999999"}).Price + Message("D", {44: 10**11}).get_e8(44),
         "Price(44) is '100000000000', must be within +-92233720368.54775807"),
        (lambda: order.get_bool(55), "Symbol(55) is 'IBM', must be Y or N"),
        (lambda: order.get_utc_ns(58), "Text(58) is 'text', must be YYYYMMDD-HH:MM:SS[.sss[sss[sss]]]"),
        (lambda: order.get_date(58), "Text(58) is 'text', must be YYYYMMDD"),
        (lambda: order.get_time_ns(58), "Text(58) is 'text', must be HH:MM:SS[.sss[sss[sss]]]"),
        (lambda: Message("D", {58: "€"}), "Text(58) is '€', which Latin-1 cannot write; give the octets instead"),
        (lambda: Message("D", {44: Decimal("NaN")}), "Price(44) is NaN, which FIX cannot write"),
        (lambda: Message("D", {60: datetime.datetime(2026, 1, 2)}),
         "TransactTime(60) is datetime.datetime(2026, 1, 2, 0, 0), a datetime without a time zone"),
        (lambda: Message("D", {58: object()}), "Text(58) cannot be of type object"),
    ]:
        with pytest.raises(FieldValueError) as error:
            ask()
        assert str(error.value) == text


def test_missing_and_unknown_fields(order):
    for ask, text in [
        (lambda: order[31], "NewOrderSingle(D) has no LastPx(31)"),
        (lambda: order.get_int("LastPx"), "NewOrderSingle(D) has no LastPx(31)"),
        (lambda: order["Prize"], "'Prize' is not a field of FIX.4.4; did you mean Price?"),
        (lambda: order[0], "tag 0 is not 1 to 2147483647"),
        (lambda: order[2**31], "tag 2147483648 is not 1 to 2147483647"),
    ]:
        with pytest.raises(FieldMissing) as error:
            ask()
        assert str(error.value) == text
    with pytest.raises(AttributeError, match="did you mean Price"):
        order.Prize  # noqa: B018
    with pytest.raises(AttributeError, match=r"has no LastPx\(31\)"):
        order.LastPx  # noqa: B018
    with pytest.raises(TypeError, match="by tag or name, not by float"):
        order[1.0]
    assert getattr(order, "LastPx", None) is None


def test_a_message_has_limits():
    message = Message("B")
    with pytest.raises(MessageError, match="more than 65535"):
        message[58] = "x" * 70000
    message[58] = "x" * 65000
    with pytest.raises(MessageError, match="more than 65535"):
        message[60] = "y" * 1000
    assert len(fix.parse(message.encode())[58]) == 65000
    message.append(60, "y" * 490)
    with pytest.raises(MessageError, match="longer than 65535 octets"):
        message.encode()


def test_versions_choose_their_dictionary():
    assert Message("D", {167: "FUT"}, begin_string="FIX.4.2").dictionary.version == "FIX.4.2"
    assert fix.parse(Message("0", begin_string="FIXT.1.1").encode()).dictionary.version == "FIX.5.0SP2"
    assert Message.from_text("8=FIXT.1.1|35=D|1128=7|").dictionary.version == "FIX.5.0"
    custom = fix.dictionary.Dictionary("FIX.4.4")
    custom.add_field(5001, "Venue", "INT")
    assert Message("D", {"Venue": 7}, dictionary=custom).Venue == 7


def test_a_copy_is_its_own(order):
    twin = order.copy()
    twin[55] = "MSFT"
    assert order[55] == "IBM" and twin != order and twin.encode() != order.raw
