"""How nogil is kept, read from the source: `noexcept nogil` on cdef functions, `with gil` only where it is meant."""
import pathlib
import re

ROOT = pathlib.Path(__file__).parent.parent
ROOMS = ("ipc", "dpdk_py", "stack", "fix", "feed", "gateway")
BEGIN = re.compile(r"^[ \t]*(?:cdef|cpdef|ctypedef)\b[^\n(=]*\(", re.M)
GIL = {
    "gateway/python.pyx": "PythonStrategy",
    "stack/face.pyx": "the sink of a Python Connection",
    "fix/sansio.pyx": "the sans-I/O session's Python callbacks",
    "ipc/wait.pyx": "a wait that may be interrupted by a signal; no hot path",
}


def unsafe(text):
    """(line, first line) of signatures that run without the GIL and may raise: after each call somebody looks whether
    they have, and takes the GIL to do so. `except -1 nogil` is a choice (the look is one compare), `nogil` alone is not.
    """
    text = re.sub(r'"""(?:.|\n)*?"""', lambda m: "\n" * m[0].count("\n"), text)
    for found in BEGIN.finditer(text):
        depth, at = 1, found.end()
        while depth and at < len(text):
            depth += {"(": 1, ")": -1}.get(text[at], 0)
            at += 1
        if text[at:at + 1] == "(":          # a pointer to a function: its arguments follow
            depth, at = 1, at + 1
            while depth and at < len(text):
                depth += {"(": 1, ")": -1}.get(text[at], 0)
                at += 1
        tail = re.match(r"[^\n:#]*", text[at:])[0]
        if re.search(r"\bnogil\b", tail) and not re.search(r"\bnoexcept nogil\b|\bexcept\?? *[-\w.]+ +nogil\b", tail):
            yield text.count("\n", 0, found.start()) + 1, found[0].strip()


def sources():
    return [path for room in ROOMS for suffix in ("pyx", "pxd") for path in (ROOT / room).rglob(f"*.{suffix}")]


def test_nogil_functions_are_noexcept():
    bad = [f"{path.relative_to(ROOT)}:{line}: {text}" for path in sources() for line, text in unsafe(path.read_text())]
    assert not bad, "\n".join(bad)


def test_planted_functions_are_found():
    text = "cdef void a(int x) noexcept nogil:\n    pass\ncdef void b(\n   int x) nogil:\n"
    assert [line for line, _ in unsafe(text)] == [3]
    for planted in ("cdef int f(int (*g)(int) noexcept nogil) nogil:\n", "ctypedef void (*fn)(void *ctx) nogil\n",
                    "cdef int f() except * nogil:\n", "    cdef int f(self) nogil except -1:\n"):
        assert list(unsafe(planted)), planted
    for good in ("cdef int f(x) except -1:\n", "cdef int f(x) except -1 nogil:\n", "cdef int f(x) noexcept:\n",
                 '"""\ncdef void b(int x) nogil:\n"""\n', "ctypedef int (*fn)(void *ctx) noexcept nogil\n",
                 "cdef int f(int (*g)(int) noexcept nogil) noexcept nogil:\n", "cdef object x = f(nogil)\n"):
        assert not list(unsafe(good)), good


def test_the_gil_is_taken_where_it_is_meant_to_be():
    taking = {str(path.relative_to(ROOT)) for path in sources()
              if re.search(r"\bwith gil\s*:|^\s*with gil\b", path.read_text(), re.M)}
    assert taking <= set(GIL), sorted(taking - set(GIL))
