"""Messages against their dictionary: every reason, QuickFIX's order among several faults, switches, groups."""
import pathlib
import random

import pytest

import fix
from fix import Message, dictionary
from fix.validate import Validator

HEAD = "8=FIX.4.4|9=0|35=D|34=1|49=A|52=20260102-03:04:05|56=B|"
BODY = "11=x|54=1|60=20260102-03:04:05|40=1|55=IBM|"
END = "10=000|"
MESSAGES = pathlib.Path(__file__).parent.parent.parent / "shared" / "messages"


@pytest.fixture(scope="module")
def rules():
    return Validator(dictionary.standard("FIX.4.4"))


def found(validator, text):
    fault = validator.check(Message.from_text(text))
    return fault[:2] if fault else None


@pytest.mark.parametrize("text, fault", [
    (BODY + "38=100|44=1.25|", None),
    (BODY + "999=HI|", (0, 999)), (BODY + "5000=HI|", (0, 5000)), (BODY + "70000=HI|", (0, 70000)),
    (BODY.replace("11=x|", ""), (1, 11)), ("", (1, 11)),
    (BODY + "41=x|", (2, 41)),
    (BODY + "58=|", (4, 58)), (BODY + "999=|", (4, 999)),
    (BODY.replace("54=1", "54=Z"), (5, 54)), (BODY + "167=BOO|", (5, 167)), (BODY + "167=FUT|", None),
    (BODY + "18=1 2|", None), (BODY + "18=1 !|", (5, 18)), (BODY + "18=1  2|", (5, 18)),
    (BODY + "38=+1|", (6, 38)), (BODY + "38=1.5.|", (6, 38)), (BODY + "38=002000.00|", None), (BODY + "44=1e5|", (6, 44)),
    (BODY + "114=y|", (6, 114)), (BODY.replace("54=1", "54=12"), (6, 54)), (BODY + "432=20260230|", (6, 432)),
    (BODY + "126=20260102 03:04:05|", (6, 126)), (BODY + "200=202613|", (6, 200)),
    (BODY + "200=202611-!|", (6, 200)), (BODY + "200=2026113!|", (6, 200)), (BODY + "200=202611w/|", (6, 200)),
    (BODY + "200=20261131|", None), (BODY + "126=99991231-23:59:59.999|", None), (BODY + "126=00010101-00:00:00|", None),
    (BODY + "126=99991301-00:00:00|", (6, 126)), (BODY + "200=202612w1|", None),
    (BODY + "55=MSFT|", (13, 55)),
    (BODY + "50=desk|", (14, 50)), (BODY + "89=s|58=x|", (14, 58)),
    (BODY + "453=2|448=a|448=b|58=x|", None), (BODY + "453=0|", None),
    (BODY + "453=2|448=a|447=D|", (16, 453)), (BODY + "453=1|448=a|448=b|", (16, 453)), (BODY + "453=-1|", (16, 453)),
    (BODY + "453=1000000000|448=a|", (16, 453)), (BODY + "453=x|448=a|", (6, 453)),
    (BODY + "453=1|448=a|447=D|447=D|", (16, 453)),
    (BODY + "453=1|448=a|802=2|523=q|803=1|523=r|58=x|", None), (BODY + "453=1|448=a|802=2|523=q|58=x|", (16, 802)),
    (BODY + "453=1|448=a|447=!|", (5, 447)), (BODY + "453=1|448=|", (4, 448)),
    ("453=1|448=a|", (1, 11)),
])
def test_reasons(rules, text, fault):
    assert found(rules, HEAD + text + END) == fault


@pytest.mark.parametrize("text, fault", [
    (HEAD.replace("56=B|", "") + BODY + END, (1, 56)), (HEAD + BODY, (1, 10)),
    (HEAD.replace("35=D", "35=*") + BODY + END, (11, 0)), (HEAD.replace("35=D", "35=ABCDEFGHI") + END, (11, 0)),
    (HEAD.replace("52=2026", "52=xx26") + BODY + END, (6, 52)), (HEAD + "34=2|" + BODY + END, (13, 34)),
    (HEAD + "627=1|628=h|629=20260102-03:04:05|" + BODY + END, None),
    (HEAD + "627=2|628=h|" + BODY + END, (16, 627)),
])
def test_header_and_trailer(rules, text, fault):
    assert found(rules, text) == fault


@pytest.mark.parametrize("text, fault", [
    (BODY + "50=x|999=HI|58=|", (14, 50)),                                          # order before anything
    (BODY.replace("11=x|", "") + "999=HI|58=|", (1, 11)),                           # required before single fields
    (BODY.replace("54=1", "54=Z") + "38=x|", (6, 38)),                              # then the lowest tag
    (BODY + "999=HI|58=|58=x|", (4, 58)),
    (BODY + "453=2|448=|", (16, 453)),                                              # what groups hold comes last
])
def test_the_fault_quickfix_would_report(rules, text, fault):
    assert found(rules, HEAD + text + END) == fault


@pytest.mark.parametrize("switch, text", [
    ({"ValidateFieldsOutOfOrder": False}, BODY + "50=x|"), ({"ValidateFieldsHaveValues": False}, BODY + "58=|38=|"),
    ({"ValidateUserDefinedFields": False}, BODY + "5001=x|9999=|".replace("9999=|", "")),
    ({"AllowUnknownMsgFields": True}, BODY + "41=x|999=y|"), ({"ValidateRequiredFields": False}, "58=x|"),
])
def test_switches(rules, switch, text):
    assert found(rules, HEAD + text + END) is not None
    assert found(Validator(dictionary.standard("FIX.4.4"), **switch), HEAD + text + END) is None


def test_texts(rules):
    assert rules.check(Message.from_text(HEAD + BODY + "58=|" + END)) == (4, 58, "Tag specified without a value")
    bad = b"8=FIX.4.4\x019=12\x0135=0\x01garbage\x01"
    parser = fix.Parser()
    message, = parser.feed(bad.replace(b"9=12", b"9=13") + b"10=%03d\x01" % (sum(bad.replace(b"9=12", b"9=13")) % 256))
    assert rules.check(message)[0] == 0


def test_transport_and_application_dictionaries():
    both = Validator(dictionary.standard("FIX.5.0SP1"), dictionary.standard("FIXT.1.1"))
    head = HEAD.replace("FIX.4.4", "FIXT.1.1")
    assert found(both, head + BODY + "1128=8|" + END) == (14, 1128)
    assert found(both, head + "1128=8|" + BODY + END) is None
    assert found(both, head.replace("35=D", "35=A") + "98=0|108=30|1137=8|" + END) is None
    assert found(both, head.replace("35=D", "35=A") + "98=0|108=30|" + END) == (1, 1137)
    # an administrative message is the transport's: fields of the application are none to it (QuickFIX's fix50 14a)
    assert found(both, head.replace("35=D", "35=0") + "999=HI|" + END) == (0, 999)
    assert found(both, head + BODY + "999=HI|" + END) == (2, 999)


def test_custom_fields_and_messages():
    book = dictionary.Dictionary.from_table(dictionary.standard("FIX.4.4").table())
    book.add_field(70001, "Desk", "INT")
    book.add_field(5001, "Lit", "CHAR", {"L": "LIT"})
    book.add_message("U1", "Desks", [dictionary.Member(70001, True), dictionary.Member(5001, False)])
    rules = Validator(book)
    head = HEAD.replace("35=D", "35=U1")
    assert found(rules, head + "70001=7|5001=L|" + END) is None
    assert found(rules, head + "70001=x|" + END) == (6, 70001)
    assert found(rules, head + "70001=7|5001=D|" + END) == (5, 5001)
    assert found(rules, head + END) == (1, 70001)


def test_old_versions_let_a_char_be_longer():
    rules = Validator(dictionary.standard("FIX.4.0"))
    head = "8=FIX.4.0|9=0|35=D|34=1|49=A|52=20260102-03:04:05|56=B|"
    assert found(rules, head + "11=x|21=1|55=IBM|54=1|38=1|40=1|18=1 2|" + END) in (None, (5, 18))


@pytest.mark.skipif(not MESSAGES.is_dir(), reason="../shared/messages is not there")
def test_good_messages_are_good(rules):
    for path in MESSAGES.glob("*_1024.fix"):
        assert all(rules.check(m) is None for m in fix.Parser().feed(path.read_bytes()[:100_000]))


def test_any_fields_end_well(rules):
    """Random tags and values: an answer, no crash, the same answer twice."""
    rng = random.Random(9)
    tags = [8, 9, 10, 35, 34, 49, 453, 448, 802, 523, 268, 269, 627, 628, 555, 600, 11, 54, 55, 89, 93, 5000, 99999, 382]
    for _ in range(3000):
        fields = "".join(f"{rng.choice(tags)}={rng.choice(['', '0', '1', '2', '9', 'D', 'x', '-3', '99999999999'])}|"
                         for _ in range(rng.randrange(40)))
        message = Message.from_text(f"35={rng.choice('D8XV0A')}|" + fields)
        assert rules.check(message) == rules.check(message)


def test_nested_groups_have_a_limit():
    book = dictionary.Dictionary.from_table(dictionary.standard("FIX.4.4").table())
    inner = dictionary.Member(58, False)
    for _ in range(20):
        inner = dictionary.Member(453, False, (dictionary.Member(448, False), inner))
    book.add_message("U2", "Deep", [inner])
    text = HEAD.replace("35=D", "35=U2") + "453=1|448=a|" * 20 + "58=x|" + END
    assert Validator(book).check(Message.from_text(text)) == Validator(book).check(Message.from_text(text))


def test_required_within_groups():
    book = dictionary.Dictionary.from_table(dictionary.standard("FIX.4.4").table())
    sides = dictionary.Member(552, True, (dictionary.Member(54, True), dictionary.Member(11, True)))
    book.add_message("U3", "Sides", [sides])
    rules = Validator(book)
    head = HEAD.replace("35=D", "35=U3")
    assert found(rules, head + "552=2|54=1|11=a|54=2|11=b|" + END) is None
    assert found(rules, head + "552=2|54=1|54=2|11=b|" + END) == (1, 11)
    assert found(rules, head + "552=2|54=1|11=a|54=2|" + END) == (1, 11)


def test_times_and_header_fields_of_old_versions():
    rules = Validator(dictionary.standard("FIX.4.0"))
    head = HEAD.replace("FIX.4.4", "FIX.4.0")
    body = "11=x|21=1|38=100|40=1|54=1|55=IBM|"
    assert found(rules, head + body + END) is None
    assert found(rules, head + body + "126=20260102|" + END) == (6, 126)
    assert found(rules, head + body + "126=20260102-03:04:05|" + END) is None
    # LocationIDs came with 4.1: a fault of the header, so it comes before those of the body
    assert found(rules, head + "144=CHI|" + body.replace("40=1", "40=w") + END) == (0, 144)
    assert found(rules, head + body + "144=CHI|" + END) == (14, 144)


@pytest.mark.parametrize("text, fault", [
    (BODY + "453=0|448=a|", (16, 453)), (BODY + "453=-1|448=a|", (16, 453)),        # read, whatever the counter says
    (BODY + "453=1|448=a|802=2|523=q|999=HI|", (0, 999)),       # the message's own faults before those of nested groups
    (BODY + "628=h|", (2, 628)),         # belongs to NoHops, so not to the header
])
def test_groups_beside_other_faults(rules, text, fault):
    assert found(rules, HEAD + text + END) == fault


def test_the_first_entry_that_lacks_a_field_is_reported():
    book = dictionary.Dictionary.from_table(dictionary.standard("FIX.4.4").table())
    sides = dictionary.Member(552, True, tuple(dictionary.Member(tag, True) for tag in (54, 11, 37)))
    book.add_message("U4", "Sides", [sides])
    head = HEAD.replace("35=D", "35=U4")
    assert found(Validator(book), head + "552=2|54=1|11=a|54=2|37=b|" + END) == (1, 37)
