"""Two network namespaces joined by a veth pair: our end without an IP address, the kernel's end with one.

    with Link() as link:                            # or Link(offloads=True), Link(mtu=9000)
        server = link.peer.start(["python3", "srv.py"], ready="listening")
        result = link.us.call(function, link.us.ifname, 3)       # in a process of its own, JSON in and out
        print(server.finish().stdout)

The namespaces have no name: two holder processes keep them, and end when their standard input closes, so nothing
stays behind even after kill -9 of the test. Works as root and, where the kernel lets plain users make user
namespaces, without. Our end has no IP, so the kernel has no TCP there and sends no RST. IPv6 is off in both.
"""
from __future__ import annotations

import functools
import inspect
import json
import os
import pathlib
import selectors
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
US_MAC, PEER_MAC = "02:00:00:00:00:02", "02:00:00:00:00:01"
US_IP, PEER_IP, PREFIX = "10.77.0.2", "10.77.0.1", 24

# Runs in the namespace: load the test module by path, call the function, result as JSON behind a mark.
_MARK = "\x1enetns-result "
_CALL = f"""
import importlib.util, json, sys
path, name, args = json.loads(sys.argv[1])
spec = importlib.util.spec_from_file_location("netns_call", path)
module = importlib.util.module_from_spec(spec)
sys.modules["netns_call"] = module
spec.loader.exec_module(module)
result = getattr(module, name)(*args)
sys.stdout.flush()
print({_MARK!r} + json.dumps(result), flush=True)
"""


class ProcessFailed(AssertionError):
    """A process in a namespace ended badly or in silence; carries all it printed."""


@dataclass
class Finished:
    returncode: int
    stdout: str
    stderr: str


class Process:
    """A running process whose output is collected; killed by `finish`'s timeout or when the Link closes."""

    def __init__(self, argv: Sequence[str], env: Mapping[str, str] | None, name: str) -> None:
        self.name = name
        self._out: dict[str, bytearray] = {"stdout": bytearray(), "stderr": bytearray()}
        self._p = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   env=env, cwd=ROOT, start_new_session=True)
        self._sel = selectors.DefaultSelector()
        for which in ("stdout", "stderr"):
            self._sel.register(getattr(self._p, which), selectors.EVENT_READ, which)

    def _pump(self, deadline: float) -> bool:
        """Collect what comes next; False at the deadline or when both streams ended."""
        left = deadline - time.monotonic()
        if left <= 0 or not self._sel.get_map():
            return False
        for key, _ in self._sel.select(left):
            data = os.read(key.fd, 65536)
            if data:
                self._out[key.data] += data
            else:
                self._sel.unregister(key.fileobj)
        return True

    def text(self, which: str = "stdout") -> str:
        return self._out[which].decode(errors="replace")

    def expect(self, text: str, timeout: float = 20.0) -> None:
        """Return once `text` was printed on stdout; ProcessFailed if it ends or `timeout` s pass first."""
        deadline = time.monotonic() + timeout
        while text not in self.text():
            if not self._pump(deadline):
                self.kill()
                raise ProcessFailed(f"{self.name}: no {text!r} on stdout\n{self.report()}")

    def finish(self, timeout: float = 30.0, check: bool = True) -> Finished:
        """Wait for its end. ProcessFailed after `timeout` s, or for an exit status not 0 if `check`."""
        if self._p.stdin and not self._p.stdin.closed:
            self._p.stdin.close()
        deadline = time.monotonic() + timeout
        while self._pump(deadline):
            pass
        try:
            code = self._p.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.kill()
            raise ProcessFailed(f"{self.name}: still running after {timeout} s\n{self.report()}") from None
        if check and code != 0:
            raise ProcessFailed(f"{self.name}: exit status {code}\n{self.report()}")
        return Finished(code, self.text(), self.text("stderr"))

    def write(self, text: str) -> None:
        assert self._p.stdin is not None
        self._p.stdin.write(text.encode())
        self._p.stdin.flush()

    def signal(self, number: int) -> None:
        self._p.send_signal(number)

    def kill(self) -> None:
        """End it and every process it started (they share a session of their own)."""
        if self._p.poll() is None:
            try:
                os.killpg(self._p.pid, 9)
            except ProcessLookupError:
                pass
            self._p.wait()

    def report(self) -> str:
        return f"--- stdout\n{self.text()[-4000:]}\n--- stderr\n{self.text('stderr')[-4000:]}"

    def close(self) -> None:
        self.kill()
        for stream in (self._p.stdin, self._p.stdout, self._p.stderr):
            if stream:
                stream.close()
        self._sel.close()


class Namespace:
    """A network namespace kept alive by a holder process. `ifname`, `mac`, `ip` are those of its end."""

    def __init__(self, inside: Namespace | None, ifname: str, mac: str, ip: str) -> None:
        self.ifname, self.mac, self.ip = ifname, mac, ip
        self._processes: list[Process] = []
        flags = ["-Urn"] if os.geteuid() != 0 and inside is None else ["-n"]
        # Own /sys, or it shows the interfaces of the namespace it was mounted in.
        keep = "mount -t sysfs none /sys 2>/dev/null; echo ready; exec cat"
        enter = inside.prefix() if inside is not None and os.geteuid() != 0 else []
        self._holder = subprocess.Popen([*enter, "unshare", "-m", *flags, "sh", "-c", keep],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert self._holder.stdout is not None and self._holder.stderr is not None
        if self._holder.stdout.readline() != b"ready\n":
            why = self._holder.stderr.read().decode().strip()
            self.close()
            raise OSError(f"no network namespace: {why}")
        self.sh("for c in all default; do echo 1 > /proc/sys/net/ipv6/conf/$c/disable_ipv6; done", check=False)

    @property
    def pid(self) -> int:
        """The holder: `ip link set X netns PID` moves an interface here."""
        return self._holder.pid

    def prefix(self) -> list[str]:
        """What to put before a command line so that it runs here."""
        user = ["-U", "--preserve-credentials"] if os.geteuid() != 0 else []
        return ["nsenter", "-t", str(self.pid), *user, "-n", "-m", f"--wd={ROOT}"]

    def start(self, argv: Sequence[str], ready: str | None = None, timeout: float = 20.0,
              env: Mapping[str, str] | None = None) -> Process:
        """Start `argv` here and, if `ready` is given, return once it has printed that."""
        path = os.pathsep.join(filter(None, [str(ROOT), str(ROOT / "tests"), os.environ.get("PYTHONPATH")]))
        full = {**os.environ, "PYTHONPATH": path, **(env or {})}
        process = Process([*self.prefix(), *argv], full, " ".join(argv)[:200])
        self._processes.append(process)
        if ready is not None:
            process.expect(ready, timeout)
        return process

    def run(self, argv: Sequence[str], timeout: float = 30.0, check: bool = True) -> Finished:
        """Run `argv` here to its end."""
        return self.start(argv).finish(timeout, check)

    def sh(self, command: str, timeout: float = 30.0, check: bool = True) -> Finished:
        return self.run(["sh", "-c", command], timeout, check)

    def python(self, *argv: str, ready: str | None = None, timeout: float = 20.0) -> Process:
        """Start this interpreter with `argv` here: python("-c", source), python("examples/echo.py", …)."""
        return self.start([sys.executable, *argv], ready, timeout)

    def start_call(self, function: Callable[..., Any], *args: Any, ready: str | None = None) -> Process:
        """Start `function(*args)`, a top-level function of a test module, here. `result_of` gives what it returned."""
        path = inspect.getsourcefile(function)
        return self.python("-c", _CALL, json.dumps([path, function.__name__, args]), ready=ready)

    def call(self, function: Callable[..., Any], *args: Any, timeout: float = 30.0) -> Any:
        """`function(*args)` in a process here; arguments and result go through JSON. ProcessFailed if it raised."""
        return result_of(self.start_call(function, *args), timeout)

    def close(self) -> None:
        for process in self._processes:
            process.close()
        for stream in (self._holder.stdin, self._holder.stdout, self._holder.stderr):
            if stream:
                stream.close()
        self._holder.kill()
        self._holder.wait()


def result_of(process: Process, timeout: float = 30.0) -> Any:
    """What the function of `start_call` returned. ProcessFailed if it raised, with its traceback."""
    out = process.finish(timeout).stdout
    return json.loads(out.rpartition(_MARK)[2])


@functools.cache
def why_not() -> str | None:
    """None if a Link can be made on this machine, else the reason."""
    for tool in ("unshare", "nsenter", "ip", "ethtool"):
        if not shutil.which(tool) and not shutil.which(tool, path="/usr/sbin:/sbin"):
            return f"{tool} is not installed"
    try:
        Link(_probe=True).close()
    except (OSError, ProcessFailed) as e:
        return str(e)
    return None


def require() -> None:
    """Skip the calling test, with the reason, where no Link can be made."""
    reason = why_not()
    if reason:
        pytest.skip(f"network namespaces: {reason}")


class Link:
    """`us` (no IP address) and `peer` (PEER_IP/24, the Linux kernel's stack), joined by a veth pair.

    offloads=False: the peer computes full checksums and sends no frame above the MTU, as over a real wire.
    offloads=True: the kernel's default on veth, partial checksums and GSO frames.
    """

    def __init__(self, offloads: bool = False, mtu: int = 1500, _probe: bool = False) -> None:
        if not _probe:
            require()
        self._open: list[Namespace] = []
        try:
            self.us = Namespace(None, "us0", US_MAC, US_IP)
            self._open.append(self.us)
            self.peer = Namespace(self.us, "peer0", PEER_MAC, PEER_IP)
            self._open.append(self.peer)
            self._join(mtu)
            self.us.sh("ip link set us0 up")
            self.peer.sh(f"ip link set lo up; ip link set peer0 up; ip addr add {PEER_IP}/{PREFIX} dev peer0")
            self.set_offloads(offloads)
        except BaseException:
            self.close()
            raise

    def _join(self, mtu: int) -> None:
        self.us.sh(f"ip link add us0 mtu {mtu} address {US_MAC} type veth"
                   f" peer name peer0 mtu {mtu} address {PEER_MAC} netns {self.peer.pid}")

    def set_offloads(self, on: bool) -> None:
        """Checksum and segmentation offload of both ends; the ethtool command the README gives its users."""
        for end in (self.us, self.peer):
            end.sh(f"ethtool -K {end.ifname} " + " ".join(f"{f} {'on' if on else 'off'}" for f in ("tx", "tso", "gso")))

    def close(self) -> None:
        """End every process started in the namespaces, and them."""
        for namespace in reversed(self._open):
            namespace.close()
        self._open.clear()

    def __enter__(self) -> Link:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class BridgedLink(Link):
    """A Link with a third namespace `middle` on the way: us0 - left0, right0 - peer0, two veth pairs.

    Nothing passes until a process in `middle` carries it.
    """

    def _join(self, mtu: int) -> None:
        self.middle = Namespace(self.us, "left0", "02:00:00:00:00:03", "")
        self._open.append(self.middle)
        for end, ifname in ((self.us, "left0"), (self.peer, "right0")):
            end.sh(f"ip link add {end.ifname} mtu {mtu} address {end.mac} type veth"
                   f" peer name {ifname} mtu {mtu} netns {self.middle.pid}")
        self.middle.sh("ip link set left0 up; ip link set right0 up;"
                       " for i in left0 right0; do ethtool -K $i tx off tso off gso off; done")
