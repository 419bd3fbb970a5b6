"""Test-only Cython: `compiled.module("wire_face")` builds tests/wire_face.pyx into build/tests and imports it.

Built again when the .pyx or a .pxd it cimports is newer; the headers under test are compiled in, so what runs is the
inline code a user's module would get.
"""
import contextlib
import importlib.util
import io
import os
import pathlib
import sys

ROOT = pathlib.Path(__file__).parent.parent
BUILD = ROOT / "build" / "tests"


def build(name):
    """Where the module is, compiled anew if it must be."""
    from Cython.Build import cythonize
    from setuptools import Distribution, Extension
    from setuptools.command.build_ext import build_ext

    BUILD.mkdir(parents=True, exist_ok=True)
    checks = [f"-fsanitize={os.environ['FIXWIRE_SANITIZE']}", "-fno-sanitize-recover=undefined",
              "-fno-wrapv", "-DFIXWIRE_DEBUG=1"] if os.environ.get("FIXWIRE_SANITIZE") else []
    pxds = [str(p) for room in ("ipc", "stack", "dpdk_py", "fix") for p in (ROOT / room).rglob("*.pxd")]
    pxds += [str(p) for kind in ("*.pxd", "*.h") for p in (ROOT / "tests").glob(kind)]
    extension = Extension(name, [str(ROOT / "tests" / f"{name}.pyx")], depends=pxds, include_dirs=[str(ROOT / "tests")],
                          extra_compile_args=["-O2", "-g", "-std=gnu11", "-fno-strict-aliasing",
                                              "-Wno-unused-function", "-Wno-unused-variable", *checks],
                          extra_link_args=checks[:1])
    log = io.StringIO()
    with contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
        include = [str(ROOT), str(ROOT / "tests")]
        modules = cythonize([extension], build_dir=str(BUILD), include_path=include, compiler_directives={
            "language_level": 3, "boundscheck": False, "wraparound": False, "cdivision": True})
        command = build_ext(Distribution({"ext_modules": modules}))
        command.build_lib = str(BUILD)
        command.build_temp = str(BUILD / "temp")
        command.finalize_options()
        command.run()
    return command.get_ext_fullpath(name)


def module(name, path=None):
    """The module; with `path`, what `build` gave elsewhere, nothing is looked after."""
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path or build(name))
    sys.modules[name] = loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded
