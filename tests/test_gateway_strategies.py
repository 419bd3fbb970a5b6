"""The same rule as a Python class, a Cython class, a C function and a numba function: the same octets leave."""
import ctypes
import importlib.util
import pathlib
import subprocess

import pytest
from street import Street

from gateway import callback, strategy

EXAMPLES = pathlib.Path(__file__).parent.parent / "examples"
PRICES = ["101.5", "101.25", "101.75", "101.75", "99", "100.00000001"]
SIDES = ["1", "2", "2", "1", "2"]


class Prices:
    """Shows every price at once, in messages of their own."""

    def on_logon(self, session):
        for price in PRICES:
            assert session.send("W", [(55, "ABC"), (268, 1), (269, "0"), (270, price), (271, 7)]) == strategy.SENT

    def on_message(self, session, msg):
        pass


def example(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def python_follower():
    return example("strategy_python").Follower()


def numba_follower():
    pytest.importorskip("numba", reason="numba is not installed")
    return example("strategy_numba").follower()


@pytest.fixture(scope="module")
def c_library(tmp_path_factory):
    out = tmp_path_factory.mktemp("c") / "libfollower.so"
    subprocess.run(["gcc", "-O2", "-Wall", "-Werror", "-shared", "-fPIC", "-I",
                    str(pathlib.Path(callback.__file__).parent), "-o", str(out), str(EXAMPLES / "strategy_c.c")], check=True,
                   timeout=300)
    return ctypes.CDLL(str(out))


def sent_by(follower):
    with Street(follower, Prices()) as street:
        street.settle()
        return street.out()


@pytest.fixture(scope="module")
def by_python():
    return sent_by(python_follower())


def test_python(by_python):
    orders = [m for m in by_python if "|35=D|" in m]
    assert [m.split("|54=")[1][0] for m in orders] == SIDES
    assert [m.split("|44=")[1].split("|")[0] for m in orders] == PRICES[1:]
    assert all("|38=7|" in m and "|55=ABC|" in m for m in orders)


def test_c(by_python, c_library):
    c_library.init(ctypes.c_void_p(callback.api_address()))
    address = ctypes.cast(c_library.on_message, ctypes.c_void_p).value
    assert sent_by(callback.CallbackStrategy(address, keep=c_library)) == by_python


def test_numba(by_python):
    assert sent_by(numba_follower()) == by_python


def test_a_C_strategy_is_told_of_logon_timer_and_logout(tmp_path):
    seen = []
    logon = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint64)(
        lambda ctx, session, now_ns: seen.append(("logon", ctx)))
    logout = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint64)(
        lambda ctx, session, now_ns: seen.append(("logout", ctx)))
    given = callback.CallbackStrategy(0, ctx=42, on_logon=ctypes.cast(logon, ctypes.c_void_p).value,
                                      on_logout=ctypes.cast(logout, ctypes.c_void_p).value, keep=(logon, logout))
    with Street(given, Prices()) as street:
        street.settle()
        assert given.messages == len(PRICES)
        street.there.logout("enough")
        street.settle()
    assert seen == [("logon", 42), ("logout", 42)]


def test_the_header_says_what_an_order_is():
    text = (EXAMPLES.parent / "gateway" / "fixwire.h").read_text()
    names = [name.strip().removeprefix("FIXWIRE_").removesuffix(" = 0") for name in
             text.split("enum fixwire_verdict {")[1].split("}")[0].split(",")]
    assert tuple(names) == strategy.VERDICTS
