"""Fixtures every test may use; each comes from the language it belongs to."""
import ctypes
import faulthandler
import os

import pytest
from segments import link, make_link  # noqa: F401

# Hundreds of stacks of 13 MB each come and go. glibc would keep the second of that size in its heap, touched and for
# ever (the runner grew to 1 GB); with a fixed M_MMAP_THRESHOLD (-3) what is freed goes home.
getattr(ctypes.CDLL(None), "mallopt", lambda *_: 0)(-3, 256 * 1024)

SANITIZED = bool(os.environ.get("FIXWIRE_SANITIZE"))
if SANITIZED:
    import sanitized
    sanitized.preload_python_only()

# Sizes of a soak: how long such a test may take is its user's business
SOAK = ("FIXWIRE_SEEDS", "FIXWIRE_KILLS", "FIXWIRE_BROADCAST_MESSAGES", "FIXWIRE_MPSC_MESSAGES", "FIXWIRE_FUZZ",
        "FIXWIRE_BLIND", "FIXWIRE_MUTATIONS", "FIXWIRE_RUNS", "FIXWIRE_SPECIMENS")
UNLIMITED = not SANITIZED and any(name in os.environ for name in SOAK)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    if UNLIMITED and config.option.timeout is None:
        config.option.timeout = 0


def pytest_runtest_setup():
    if UNLIMITED:
        faulthandler.cancel_dump_traceback_later()


def pytest_collection_modifyitems(items):
    """`make test-debug` leaves out what cannot hold in a sanitized build; the mark's argument says why."""
    if not SANITIZED:
        return
    for item in items:
        mark = item.get_closest_marker("uninstrumented")
        if mark:
            item.add_marker(pytest.mark.skip(reason=mark.args[0]))
