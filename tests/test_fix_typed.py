"""Fields as attributes (msg.Price) on every kind of message, and the message classes of every version."""
import importlib
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

import fix
from fix import Message, dictionary
from fix.fix44 import Heartbeat, MarketDataSnapshotFullRefresh, NewOrderSingle
from fix.typed import TypedMessage

VERSIONS = ["fix40", "fix41", "fix42", "fix43", "fix44", "fix50", "fix50sp1", "fix50sp2"]


def order(**more):
    return NewOrderSingle(ClOrdID="A1", Side="1", Symbol="IBM", OrderQty=100, Price=Decimal("101.25"), OrdType="2",
                          TransactTime=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), **more)


def test_building_and_reading():
    msg = order(SettlDate=date(2026, 1, 6), LocateReqd=True, MaxFloor=None)
    assert msg.text == ("35=D|11=A1|54=1|55=IBM|38=100|44=101.25|40=2|60=20260102-03:04:05.000|64=20260106|114=Y|")
    assert (msg.Price, msg.OrderQty, msg.Side, msg.Symbol) == (Decimal("101.25"), 100, "1", "IBM")
    assert msg.TransactTime == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC) and msg.SettlDate == date(2026, 1, 6)
    assert msg.LocateReqd is True and msg.MsgType == "D" and msg.name == "NewOrderSingle"
    assert fix.parse(msg.encode()).ClOrdID == "A1"


def test_setting():
    msg = order()
    msg.Price = "99.5"
    msg.Text = "late"
    assert msg[44] == "99.5" and msg.Price == Decimal("99.5") and msg["58"] == "late"
    msg.Price = None
    assert 44 not in msg


def test_groups_are_sequences():
    msg = MarketDataSnapshotFullRefresh(Symbol="IBM", NoMDEntries=[
        {"MDEntryType": "0", "MDEntryPx": Decimal("101.25"), "MDEntrySize": 5}, {269: "1", 270: "101.5", 271: 7}])
    assert [(e.MDEntryType, e.MDEntryPx, e.MDEntrySize) for e in msg.NoMDEntries] == [
        ("0", Decimal("101.25"), 5), ("1", Decimal("101.5"), 7)]
    assert len(msg.NoMDEntries) == 2 and msg.NoMDEntries[1]["MDEntryPx"] == "101.5"
    assert order().NoPartyIDs == [] and order().NoPartyIDs.announced == 0


@pytest.mark.parametrize("make, words", [
    (lambda: order(Pricee=1), "NewOrderSingle(D) of FIX.4.4 has no field Pricee; did you mean Price?"),
    (lambda: Heartbeat(Price=1), "Heartbeat(0) of FIX.4.4 has no field Price"),
    (lambda: order(Text="a\x01b"), "Text(58) has an SOH"),
])
def test_errors_when_building(make, words):
    with pytest.raises(fix.FixError) as caught:
        make()
    assert words in str(caught.value)


def test_the_base_is_no_message():
    with pytest.raises(TypeError):
        TypedMessage()


def test_a_missing_field_and_a_wrong_value():
    msg = Message("D", {44: "cheap", 34: "x", 60: "noon"})
    with pytest.raises(AttributeError, match=r"NewOrderSingle\(D\) has no StopPx\(99\); get\(99\) gives None"):
        _ = msg.StopPx
    with pytest.raises(AttributeError, match="NoSuchThing is not a field"):
        _ = msg.NoSuchThing
    for name, words in (("Price", "must be a decimal number"), ("MsgSeqNum", "must be an integer"),
                        ("TransactTime", "must be YYYYMMDD")):
        with pytest.raises(fix.FieldValueError, match=words):
            getattr(msg, name)


def test_decimals_are_exact_and_their_own():
    """Read through a cache of short texts: equal digits written differently stay different."""
    seen = {}
    for text in ("1", "1.0", "1.00", "01", "0.1", "10", "-1", "1.5", "1.50", "123456.7", "1234567.8") * 3:
        value = Message("D", {44: text}).Price
        assert str(value) == str(Decimal(text)) and seen.setdefault(text, value) == value
    for n in range(5000):
        assert Message("D", {44: f"{n}.25"}).Price == Decimal(f"{n}.25")


def test_a_dictionary_of_ones_own_decides():
    book = dictionary.Dictionary.from_table(dictionary.standard("FIX.4.4").table())
    book.add_field(44, "Price", "STRING")
    book.add_field(5001, "Desk", "INT")
    msg = Message("D", {44: "101.25", 5001: 7}, dictionary=book)
    assert msg.Price == "101.25" and msg.Desk == 7 and msg.copy().Desk == 7
    assert Message("D", {44: "101.25"}).Price == Decimal("101.25")


@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_has_its_classes(version):
    module = importlib.import_module(f"fix.{version}")
    made = module.NewOrderSingle(ClOrdID="A1", Symbol="IBM", Side="1")
    assert made.dictionary is dictionary.standard(version)
    assert module.Logon().dictionary is dictionary.standard("FIXT11" if "50" in version else version)
    assert made.encode().startswith(b"8=FIXT.1.1" if "50" in version else b"8=FIX.4." + version[4:].encode())
    classes = [c for c in vars(module).values() if isinstance(c, type) and c is not TypedMessage]
    assert len(classes) >= 14
    for kind in classes:
        assert kind().MsgType == kind.MSGTYPE and kind().name == kind.__name__
    assert module.Logon(EncryptMethod=0, HeartBtInt=30).HeartBtInt == 30


def test_every_attribute_has_its_tag():
    for version in dictionary.VERSIONS:
        for field in dictionary.standard(version).fields.values():
            if field.name != "MsgType":
                assert repr(getattr(fix.fieldset.FieldSet, field.name)) == f"<FieldAttribute {field.name}({field.tag})>"
