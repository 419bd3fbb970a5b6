"""Build of the extension modules. One line each in EXTENSIONS; libdpdk is found by pkg-config.

FIXWIRE_WITH_DPDK=auto|0|1   auto: build the three DPDK modules where libdpdk >= 22.11 is found; 1: fail where it is not
FIXWIRE_DEBUG=1              internal checks (transition whitelist, frame ownership marks), -Og -g1
FIXWIRE_OPT=-O1              another optimisation than -O3 (quick builds of mutants)
FIXWIRE_SANITIZE=address,undefined   adds -fsanitize (see `make test-debug`)
FIXWIRE_ROOMS="stack fix"    the modules of these rooms alone (see `make fuzz`)
"""
import glob
import os
import shlex
import subprocess
import sys
import tempfile

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

DEBUG = os.environ.get("FIXWIRE_DEBUG") == "1"
SANITIZE = os.environ.get("FIXWIRE_SANITIZE", "")
WITH_DPDK = os.environ.get("FIXWIRE_WITH_DPDK", "auto")

CFLAGS = ["-Og", "-g1", "-DFIXWIRE_DEBUG=1"] if DEBUG else [os.environ.get("FIXWIRE_OPT", "-O3"), "-g0"]
# CPython's and Cython's own idioms need no-strict-aliasing; the rest keeps the log short enough to read.
CFLAGS += ["-std=gnu11", "-fno-strict-aliasing", "-Wno-unused-function", "-Wno-unused-variable"]
LDFLAGS = []
if SANITIZE:
    # -fwrapv, which comes with Python's own flags, would make a signed overflow right
    # null and object-size find nothing that address does not, and double the time to compile Cython's C
    CFLAGS += [f"-fsanitize={SANITIZE}", "-fno-omit-frame-pointer", "-fno-wrapv", "-fno-sanitize=null,object-size",
               "-fno-sanitize-recover=undefined"]
    LDFLAGS += [f"-fsanitize={SANITIZE}"]

DIRECTIVES = {
    "language_level": 3, "boundscheck": DEBUG, "wraparound": False, "cdivision": True,
    "initializedcheck": False, "embedsignature": True, "binding": True,
}
# A void nogil function without noexcept takes the GIL on every call; a cast that drops the GIL
# requirement crashes. Cython only hints at both, so the build refuses them.
FATAL = ("performance hint", "circumvents GIL validation")


def pkg_config(*args):
    try:
        out = subprocess.run(["pkg-config", *args, "libdpdk"], capture_output=True, text=True)
    except FileNotFoundError:
        return None
    return shlex.split(out.stdout) if out.returncode == 0 else None


def want_dpdk():
    if WITH_DPDK not in ("auto", "0", "1"):
        sys.exit(f"FIXWIRE_WITH_DPDK is {WITH_DPDK!r}, must be auto, 0 or 1")
    if WITH_DPDK == "0":
        return False
    if pkg_config("--atleast-version=22.11") is not None:
        return True
    if WITH_DPDK == "1":
        sys.exit("FIXWIRE_WITH_DPDK=1 but pkg-config finds no libdpdk >= 22.11; "
                 "on Debian: apt-get install libdpdk-dev pkg-config")
    print("fixwire: no libdpdk >= 22.11 found, building without dpdk_py.eal, .mbuf and .port", file=sys.stderr)
    return False


def ext(name, dpdk=False, **kw):
    path = name.replace(".", "/") + ".pyx"
    cflags, ldflags = list(CFLAGS), list(LDFLAGS)
    if dpdk:
        cflags += pkg_config("--cflags")        # carries -include rte_config.h and -march=corei7, both needed
        ldflags += pkg_config("--libs")
    return Extension(name, [path], extra_compile_args=cflags, extra_link_args=ldflags,
                     include_dirs=[os.path.dirname(path), "."], depends=glob.glob(os.path.dirname(path) + "/*.h"), **kw)


EXTENSIONS = [
    ext("ipc.segment"),
    ext("ipc.wait"),
    ext("ipc.producer"),
    ext("ipc.channel"),
    ext("ipc.mpsc"),
    ext("ipc.broadcast"),
    ext("dpdk_py.base"),
    ext("dpdk_py.pair"),
    ext("dpdk_py.impair"),
    ext("dpdk_py.capture"),
    ext("dpdk_py.recording"),
    ext("dpdk_py.pcap"),
    ext("dpdk_py.afpacket"),
    ext("stack.netif"),
    ext("stack.recorder"),
    ext("stack.flight"),
    ext("stack.neighbor"),
    ext("stack.reassembly"),
    ext("stack.tcp_table"),
    ext("stack.tcp_segment"),
    ext("stack.tcp_output"),
    ext("stack.tcp_recovery"),
    ext("stack.tcp_timeout"),
    ext("stack.tcp_text"),
    ext("stack.tcp_open"),
    ext("stack.tcp_input"),
    ext("stack.tcp"),
    ext("stack.tap_text"),
    ext("stack.tap"),
    ext("stack.tap_face"),
    ext("stack.keywords"),
    ext("stack.face"),
    ext("fix.parse"),
    ext("fix.encode"),
    ext("fix.names"),
    ext("fix.fieldset"),
    ext("fix.face"),
    ext("fix.stream"),
    ext("fix.typed"),
    ext("fix.validate"),
    ext("fix.endpoint"),
    ext("fix.outbound"),
    ext("fix.recovery"),
    ext("fix.reject"),
    ext("fix.states"),
    ext("fix.logon"),
    ext("fix.session"),
    ext("fix.store"),
    ext("fix.segment"),
    ext("fix.ring"),
    ext("fix.drain"),
    ext("fix.journal"),
    ext("fix.tagvalue"),
    ext("fix.sansio"),
    ext("gateway.engine"),
    ext("gateway.loop"),
    ext("gateway.thread"),
    ext("gateway.connection"),
    ext("gateway.filelog"),
    ext("gateway.risk"),
    ext("gateway.slots"),
    ext("gateway.session"),
    ext("gateway.callback"),
    ext("gateway.python"),
    ext("gateway.exchange"),
    ext("gateway.allocations"),
    ext("gateway.strategy"),
    ext("gateway.trace"),
    ext("gateway.transcript"),
    ext("gateway.playback"),
    ext("gateway.open_orders"),
    ext("gateway.order_file"),
    ext("gateway.request"),
    ext("gateway.desk"),
    ext("gateway.seat"),
]
if want_dpdk():
    EXTENSIONS += [
        ext("dpdk_py.eal", dpdk=True),
        ext("dpdk_py.mbuf", dpdk=True),
        ext("dpdk_py.port", dpdk=True),
    ]
if os.environ.get("FIXWIRE_ROOMS"):
    EXTENSIONS = [e for e in EXTENSIONS if e.name.split(".")[0] in os.environ["FIXWIRE_ROOMS"].split()]
if os.environ.get("FIXWIRE_METADATA") == "1":      # `make build` builds the modules in place itself
    EXTENSIONS = []


class BuildExt(build_ext):
    """build_ext in parallel, incremental by .pxd, and deaf to no warning in FATAL."""

    def finalize_options(self):
        super().finalize_options()
        if self.parallel is None:
            self.parallel = os.cpu_count()


def cythonized():
    if not EXTENSIONS or not any(a in sys.argv for a in
                                 ("build_ext", "build", "bdist_wheel", "editable_wheel", "install", "develop")):
        return EXTENSIONS
    from Cython.Build import cythonize
    sys.stdout.flush()
    sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    with tempfile.TemporaryFile() as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        try:
            modules = cythonize(
                EXTENSIONS, build_dir="build/cython-debug" if DEBUG else "build/cython",
                nthreads=os.cpu_count() or 1, compiler_directives=DIRECTIVES, show_all_warnings=False)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os.dup2(saved[0], 1)
            os.dup2(saved[1], 2)
            log.seek(0)
            text = log.read().decode(errors="replace")
            sys.stderr.write(text)
    # index checks of a debug build are meant to cost something
    bad = [line for line in text.splitlines() if any(f in line for f in FATAL) and not (DEBUG and "boundscheck" in line)]
    if bad:
        for e in EXTENSIONS:        # or the next run would find the C file fresh and say nothing
            for built in ("build/cython", "build/cython-debug"):
                c = os.path.join(built, e.name.replace(".", "/") + ".c")
                if os.path.exists(c):
                    os.unlink(c)
        sys.exit("refused: " + "\n".join(bad))
    return modules


setup(ext_modules=cythonized(), cmdclass={"build_ext": BuildExt})
