"""docs/tcp-conformance.md against the tests: no MUST of RFC 9293 without a test that exists, or a stated exception."""
import ast
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parent.parent
TABLE = (ROOT / "docs" / "tcp-conformance.md").read_text()
MUSTS = range(1, 70)            # RFC 9293 appendix B numbers them 1 to 69, without a gap
NAME = re.compile(r"`(\w+\.py)::(\w+)`")


def names_in(path):
    return {node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)}


def faults(table):
    """What is wrong with the table: one sentence each."""
    rows = dict(re.findall(r"^\| (\d+) \| [^|]+ \| (.*) \|$", table, re.M))
    out = [f"MUST-{n} is not in the table" for n in MUSTS if str(n) not in rows]
    for n, cell in rows.items():
        if not NAME.search(cell) and not re.match(r"exception: .{20,}", cell):
            out.append(f"MUST-{n} names no test and no exception with its reason")
    for file, test in NAME.findall(table):
        path = ROOT / "tests" / file
        if not path.exists() or test not in names_in(path):
            out.append(f"{file}::{test} does not exist")
    return out


def test_every_must_is_mapped_to_a_test_that_exists():
    assert faults(TABLE) == []


def test_exceptions_are_few_and_known():
    assert re.findall(r"^\| (\d+) \| [^|]+ \| exception", TABLE, re.M) == ["43", "44", "51", "52", "53"]


def test_a_missing_row_a_wrong_name_and_an_empty_cell_are_noticed():
    assert faults(re.sub(r"^\| 37 .*\n", "", TABLE, flags=re.M)) == ["MUST-37 is not in the table"]
    assert faults(TABLE.replace("::test_we_close_first`", "::test_we_close_never`")) == [
        "test_tcp_close.py::test_we_close_never does not exist"]
    assert faults(re.sub(r"^(\| 61 \| [^|]+ \|).*\|$", r"\1  |", TABLE, flags=re.M)) == [
        "MUST-61 names no test and no exception with its reason"]
