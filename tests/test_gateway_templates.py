"""Order templates: the octets, limits, counters and verdicts of order_new, whatever is filled in."""
import contextlib
import ctypes
import decimal

import fix_oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from street import Quiet, Street
from test_gateway_outside import Floor, Notes

import gateway
from gateway import callback, strategy

TEXT = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=64)
QUANTITY = st.integers(1, 2**63 - 1) | st.integers(1, 20_000)
ROUND = st.builds(lambda n, zeros: n * 10**zeros, st.integers(-10**7, 10**7), st.integers(0, 8))
PRICE = (st.integers(-2**63, 2**63 - 1) | ROUND).filter(bool)
NAMED = st.integers(0, 2**64 - 1) | st.integers(0, 20_000) | st.text("ABCabc019-_", min_size=1, max_size=80)


def settled(**session):
    street = Street(Quiet(), **session).settle()
    street.out()
    return street


@pytest.fixture(scope="module")
def twins():
    """Two worlds that differ in nothing: what leaves one is, number and time included, what leaves the other."""
    with settled() as one, settled() as other:
        yield one, other


@settings(max_examples=150, deadline=None)
@given(TEXT, st.sampled_from("1258"), st.sampled_from("1234PK"), st.none() | st.sampled_from("0134"), st.none() | TEXT,
       st.lists(st.tuples(QUANTITY, PRICE, NAMED), min_size=1, max_size=4))
def test_the_same_octets_as_without(twins, Symbol, Side, OrdType, TimeInForce, Account, orders):
    fixed = dict(OrdType=OrdType, TimeInForce=TimeInForce, Account=Account)
    one, other = twins
    template, named = one.here.order_template(Symbol, Side, **fixed), []
    for OrderQty, Price_e8, ClOrdID in orders:
        assert template.order_new(OrderQty, Price_e8, ClOrdID) == strategy.SENT
        assert other.here.order_new(Symbol, Side, OrderQty, Price_e8, ClOrdID, **fixed) == strategy.SENT
        assert one.here.last_ClOrdID == other.here.last_ClOrdID
        named.append(str(ClOrdID or one.here.last_ClOrdID))
    sent = [octets for _, _, way, octets in one.gateway.messages() if way == "out"]
    assert sent == [octets for _, _, way, octets in other.gateway.messages() if way == "out"] and len(sent) == len(orders)
    for octets, (OrderQty, Price_e8, _), ClOrdID in zip(sent, orders, named, strict=True):
        verdict, n, fault, fields = fix_oracle.parse(octets)
        assert (verdict, n, fault) == (fix_oracle.COMPLETE, len(octets), None)
        values = {tag: octets[at:at + size].decode() for tag, at, size in fields}
        assert (values[55], values[54], values.get(1)) == (Symbol, Side, Account) and int(values[38]) == OrderQty
        assert values[11] == ClOrdID
        assert decimal.Decimal(values[44]).scaleb(8) == Price_e8 if OrdType in "24" else 44 not in values
    for street in twins:
        street.settle()


def test_a_template_says_what_order_new_says():
    """Refusals one by one, in two worlds; the counters agree in the end."""
    limits = dict(max_order_qty=100, max_notional_e8=1000 * 10**8, max_orders_per_second=3, max_open_orders=4,
                  price_band=0.1, bypass_allowed=True)
    orders = [(100, 0, 7), (0, 10**8, 7), (-1, 10**8, 7), (1, 10**8, ""), (1, 10**8, "a\x0144=1"), (101, 10**8, 7),
              (11, 100 * 10**8, 7), (1, 2 * 10**8, 7), (1, 10**8, "x" * 33), *[(1, 10**8, n) for n in range(1, 6)]]
    with settled(**limits) as one, settled(**limits) as other, settled() as third:
        for street in (one, other):
            assert street.here.reference_price("ABC", 10**8)
        template, bold = one.here.order_template("ABC", "1"), one.here.order_template("ABC", "1", bypass_risk=True)
        said = [template.order_new(*order) for order in orders]
        assert said == [other.here.order_new("ABC", "1", *order) for order in orders]
        assert set(said) == {strategy.SENT, strategy.BAD_ORDER, strategy.RISK_QTY, strategy.RISK_NOTIONAL,
                             strategy.RISK_PRICE, strategy.TOO_LONG, strategy.RISK_RATE}
        assert one.out() == other.out() and one.here.open_orders == other.here.open_orders == 3
        assert bold.order_new(101, 10**8, 9) == strategy.SENT
        assert other.here.order_new("ABC", "1", 101, 10**8, 9, bypass_risk=True) == strategy.SENT
        one.here.killed = other.here.killed = True
        assert bold.order_new(1, 10**8, 10) == strategy.RISK_KILLED
        assert other.here.order_new("ABC", "1", 1, 10**8, 10, bypass_risk=True) == strategy.RISK_KILLED
        assert one.here.stats() == other.here.stats()
        assert third.here.order_template("ABC", "1", OrdType="1", TimeInForce=None).order_new(1) == strategy.SENT
        assert third.out()[0].split("|38=")[1].startswith("1|40=1|10=")


@pytest.mark.parametrize("wrong", [
    dict(Symbol=""), dict(Symbol="A\x01B"), dict(Symbol="x" * 65), dict(Side="\0"), dict(Account=""), dict(Account="x" * 65),
    dict(Account="a\x01b")])
def test_a_template_that_is_none(wrong):
    with settled() as street, pytest.raises(ValueError, match="Symbol"):
        street.here.order_template(**dict(Symbol="ABC", Side="1") | wrong)


def test_a_template_outlives_its_session_and_its_engine():
    with contextlib.ExitStack() as stack:
        street = stack.enter_context(Street(Quiet()))
        template = street.here.order_template("ABC", "1")
        assert template.order_new(1, 1) == strategy.NOT_LOGGED_ON and template.session is street.here
        street.settle()
        assert template.order_new(1, 1) == strategy.SENT
    with pytest.raises(RuntimeError, match="closed"):
        template.order_new(1, 1)
    with pytest.raises(TypeError, match="order_template makes"):
        gateway.OrderTemplate()


class Order(ctypes.Structure):
    _fields_ = [("ClOrdID", ctypes.c_uint64), ("OrigClOrdID", ctypes.c_uint64), ("texts", ctypes.c_char_p * 4),
                ("n", ctypes.c_uint32 * 4), ("OrderQty", ctypes.c_int64), ("Price_e8", ctypes.c_int64),
                ("chars", ctypes.c_char * 8)]


def test_C_makes_copies_and_fills_them_in():
    """Through struct fixwire_api as a C strategy has it; memory that nobody made a template of is a BAD_ORDER."""
    entry = [ctypes.cast(callback.api_address() + 8 * (1 + i), ctypes.POINTER(ctypes.c_void_p))[0] for i in range(13)]
    prepare = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)(entry[10])
    by_text = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_uint32,
                               ctypes.c_int64, ctypes.c_int64, ctypes.c_uint64)(entry[12])
    new_from = callback.api()["order_new_from"]
    assert ctypes.cast(new_from, ctypes.c_void_p).value == entry[11]
    said = []

    @ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint64)
    def on_logon(ctx, session, now_ns):
        symbol = ctypes.create_string_buffer(b"ABC")
        order = Order(texts=(ctypes.addressof(symbol), b"ACC"), chars=b"1201")
        template, copy = ctypes.create_string_buffer(1024), ctypes.create_string_buffer(1024)
        said.append(new_from(session, template, 1, 2, 3, now_ns))
        said.append(prepare(template, ctypes.byref(order)))
        ctypes.memmove(copy, template, 1024)
        ctypes.memset(template, 0x55, 1024)         # whatever becomes of the first, and of the text it was made of
        symbol.value = b"XYZ"
        said.append(new_from(session, copy, 7, 100, 10150000000, now_ns))
        said.append(by_text(session, copy, b"seven", 0, 100, 10150000000, now_ns))
        order.texts[0] = b"x" * 65
        said.append(prepare(copy, ctypes.byref(order)))
        said.append(new_from(session, copy, 7, 100, 10150000000, now_ns))

    native = gateway.CallbackStrategy(0, on_logon=ctypes.cast(on_logon, ctypes.c_void_p).value, keep=on_logon)
    with Street(native, price_band=10) as street:
        assert street.here.reference_price("ABC", 10**10)       # a limit that asks for the Symbol
        street.settle()
        sent = [m.split("|11=")[1].split("|10=")[0] for m in street.out() if "|35=D|" in m]
    assert said == [strategy.BAD_ORDER, strategy.SENT, strategy.SENT, strategy.SENT, strategy.TOO_LONG, strategy.BAD_ORDER]
    assert sent[0].startswith("7|1=ACC|21=1|55=ABC|54=1|60=") and sent[0].endswith("|38=100|40=2|44=101.5|59=0")
    assert sent[1] == "seven" + sent[0][1:]


def test_in_a_process_of_its_own_it_is_an_order_like_any(tmp_path):
    with Floor(tmp_path) as floor:
        notes = Notes()
        floor.sit("maker", notes)
        template = notes.session.order_template("ABC", "1", Account="ACC")
        assert template.order_new(100, 10150000000, "a-1") == strategy.SENT
        floor.turn()
        assert notes.verdicts == [(notes.session.last_token, "SENT")]
        sent, = (m for m in floor.street.out() if "|35=D|" in m)
        assert "|11=a-1|1=ACC|21=1|55=ABC|54=1|60=" in sent and "|38=100|40=2|44=101.5|59=0|10=" in sent
