"""Administration of a running gateway over a Unix socket: numbers, Logout, requests, enabling, the kill switch.

The socket (0600, in a directory 0700 of the owner's) is served by a thread; one line of JSON asks, one answers. Reading and
changing a session happens in the engine's thread, between two steps, by Engine.submit. Every change is written to the audit
log and synced before it is made, and again with its outcome; what cannot be written there is not done.
"""
import contextlib
import datetime
import fcntl
import hashlib
import json
import os
import socket
import stat
import struct
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gateway.engine import Engine
    from gateway.session import GatewaySession

REQUEST_MAX = 65_536        # octets of a request
CLIENT_S = 5.0              # a client that neither asks nor reads is let go
ENGINE_S = 5.0              # how long the engine may take until it is between two steps
CHANGES = ("reset", "seq", "logout", "test-request", "resend-request", "enable", "disable", "kill", "unkill")
COMMANDS = ("list", "show", *CHANGES)


class Refused(Exception):
    """What was asked cannot be done or is not safe: the sentence."""


class Unavailable(Exception):
    """No socket can be served here: the sentence."""


# -- where

def runtime_directory(configured: str | None = None) -> str:
    """The directory of the sockets: configured, systemd's, the user's, or one of /tmp. Nothing is made."""
    if configured:
        return configured
    if found := os.environ.get("RUNTIME_DIRECTORY"):
        return found.split(":")[0]
    if found := os.environ.get("XDG_RUNTIME_DIR"):
        return os.path.join(found, "fixwire")
    return f"/tmp/fixwire-{os.geteuid()}"


def socket_name(config_path: str) -> str:
    """The socket's name in that directory: one a configuration file, so that two gateways never meet."""
    path = os.path.realpath(config_path)
    stem = os.path.splitext(os.path.basename(path))[0][:40]
    return f"{stem}-{hashlib.sha256(os.fsencode(path)).hexdigest()[:8]}.sock"


def make_directory(path: str) -> None:
    """`path` as a directory of ours that nobody else can write to; Unavailable where it is somebody's."""
    try:
        os.makedirs(path, mode=0o700, exist_ok=True)
        found = os.lstat(path)
    except OSError as e:
        raise Unavailable(f"runtime directory {path} cannot be made: {e.strerror}") from None
    if not stat.S_ISDIR(found.st_mode):
        raise Unavailable(f"runtime directory {path} is not a directory")
    if found.st_uid != os.geteuid():
        raise Unavailable(f"runtime directory {path} belongs to user {found.st_uid}, not to us ({os.geteuid()})")
    if found.st_mode & 0o022:
        raise Unavailable(f"runtime directory {path} can be written to by others (mode {found.st_mode & 0o777:o})")


def take_lock(path: str) -> int:
    """The lock of the socket at `path`, held until its descriptor is closed; whoever ends removes the file."""
    while True:
        lock = os.open(path + ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise Unavailable(f"another gateway of this configuration serves {path}") from None
        with contextlib.suppress(FileNotFoundError):
            if os.stat(path + ".lock").st_ino == os.fstat(lock).st_ino:
                return lock
        os.close(lock)                          # removed since it was opened, by a gateway that ended: once more


def listen(path: str) -> tuple[socket.socket, int]:
    """(the listening socket at `path`, the lock held on it); Unavailable while another gateway serves it."""
    if len(os.fsencode(path)) > 107:
        raise Unavailable(f"the path of the socket {path} is longer than 107 octets: set runtime_directory")
    lock = take_lock(path)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)                         # of a gateway that was killed: its lock was free
    served = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    before = os.umask(0o177)                    # 0600 from the first moment on
    try:
        served.bind(path)
    finally:
        os.umask(before)
    served.listen(8)
    return served, lock


def peer_of(client: socket.socket) -> tuple[int, int]:
    """(uid, pid) of the other end, as the kernel knows them."""
    pid, uid, _ = struct.unpack("3i", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return uid, pid


# -- what was done, by whom

class Audit:
    """Append-only log of changes, one JSON object a line. Opened when the first change is asked for."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.fd = -1

    def write(self, **entry: Any) -> None:
        """On disk when it returns; Refused where it cannot be written."""
        at = datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds")
        line = json.dumps({"at": at, **entry}).encode() + b"\n"
        try:
            if self.fd < 0:
                flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
                self.fd = os.open(self.path, flags, 0o600)
            if os.write(self.fd, line) != len(line):
                raise OSError(28, "no space left")
            os.fdatasync(self.fd)
        except OSError as e:
            raise Refused(f"audit log {self.path} cannot be written: {e.strerror}; nothing was changed") from None

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


# -- what is done, in the engine's thread

def state_of(s: "GatewaySession") -> dict[str, Any]:
    """What `list` says of a session."""
    return {"name": s.name, "role": s.role, "BeginString": s.BeginString, "SenderCompID": s.SenderCompID,
            "TargetCompID": s.TargetCompID, "state": s.state, "enabled": s.enabled, "connected": s.connected,
            "logged_on": s.logged_on, "next_in": s.next_in, "next_out": s.next_out, "killed": s.killed,
            "open_orders": s.open_orders}


def number_of(request: dict[str, Any], key: str) -> int | None:
    value = request.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value < 2**63:
        raise Refused(f"{key} is {value!r}, must be a whole number of 1 or more")
    return value


def check(s: "GatewaySession", request: dict[str, Any]) -> None:
    """Refused where the change would be impossible, or unsafe and not forced."""
    command, force = request["command"], bool(request.get("force"))
    if command in ("logout", "test-request", "resend-request") and not s.logged_on:
        raise Refused(f"session {s.name} is not logged on ({s.state})")
    if command == "reset":
        if s.logged_on and not force:
            raise Refused(f"session {s.name} is logged on: resetting it sends a Logon with ResetSeqNumFlag, which the peer "
                          "must agree to; --force does it")
        if s.state not in ("disconnected", "established"):
            raise Refused(f"session {s.name} is in state {s.state!r}: try again in a moment")
    if command == "seq":
        new_in, new_out = number_of(request, "in"), number_of(request, "out")
        if new_in is None and new_out is None:
            raise Refused("neither --in nor --out is there: nothing to set")
        if s.logged_on and not force:
            raise Refused(f"session {s.name} is logged on: its peer would see the change at once; --force does it")
        if new_out is not None and new_out < s.next_out and not force:
            raise Refused(f"next_out would go from {s.next_out} down to {new_out}: numbers that were used would be used "
                          "again; --force does it")
    if command == "resend-request":
        first, last = number_of(request, "from"), number_of(request, "to")
        if first is None or first >= s.next_in:
            raise Refused(f"from is {first}, must be below {s.next_in}, the number expected next")
        if last is not None and last < first:
            raise Refused(f"to is {last}, must not be below from, {first}")


def change(s: "GatewaySession", request: dict[str, Any]) -> None:
    """The change itself, checked before."""
    command = request["command"]
    if command == "reset":
        s.reset()
    elif command == "seq":
        s.renumber(number_of(request, "in"), number_of(request, "out"))
    elif command == "logout":
        s.logout(request.get("text"))
    elif command == "test-request":
        s.test_request()
    elif command == "resend-request":
        s.resend_request(number_of(request, "from") or 1, number_of(request, "to") or 0)
    elif command in ("enable", "disable"):
        s.enabled = command == "enable"
    else:
        s.killed = command == "kill"


class Call:
    """One function for the engine's thread to call; given up by the asking thread, it is not called any more."""

    def __init__(self, fn: Callable[[], Any]) -> None:
        self.fn = fn
        self.lock = threading.Lock()
        self.done = threading.Event()
        self.given_up = False
        self.result: Any = None
        self.error: Exception | None = None

    def __call__(self) -> None:
        with self.lock:
            if not self.given_up:
                try:
                    self.result = self.fn()
                except Exception as e:
                    self.error = e
                self.done.set()

    def wait(self, seconds: float, ended: threading.Event) -> Any:
        """The result, or what it raised; Refused if the engine did not get to it."""
        slices = max(1, round(seconds / 0.05))
        while not self.done.wait(0.05):
            slices -= 1
            if slices <= 0 or ended.is_set():
                with self.lock:
                    self.given_up = not self.done.is_set()
                if self.given_up:
                    raise Refused("the gateway is stopping" if ended.is_set() else
                                  f"the engine did not answer within {seconds:g} s; nothing was changed")
        if self.error is not None:
            raise self.error
        return self.result


# -- the server

class AdminServer:
    """Serves `path` from a thread of its own until close(). Context manager."""

    def __init__(self, engine: "Engine", path: str, audit: str) -> None:
        """Unavailable where the socket cannot be made, or is served already."""
        self.engine, self.path = engine, path
        self.owner = os.geteuid()
        self.audit = Audit(audit)
        self.ended = threading.Event()
        make_directory(os.path.dirname(path))
        try:
            self.listening, self.lock = listen(path)
        except OSError as e:
            raise Unavailable(f"administration socket {path}: {e.strerror}") from None
        self.thread = threading.Thread(target=self.work, name="admin", daemon=True)
        self.thread.start()

    def __enter__(self) -> "AdminServer":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """The socket goes, the thread ends. Idempotent."""
        if self.ended.is_set():
            return
        self.ended.set()
        with contextlib.suppress(OSError):
            self.listening.shutdown(socket.SHUT_RDWR)       # wakes accept
        self.thread.join()
        self.listening.close()
        for path in (self.path, self.path + ".lock"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
        os.close(self.lock)
        self.audit.close()

    def work(self) -> None:
        while not self.ended.is_set():
            try:
                client, _ = self.listening.accept()
            except OSError:
                continue                                    # shut down, or a client that left at once
            with client:
                client.settimeout(CLIENT_S)
                with contextlib.suppress(OSError):
                    self.serve(client)

    def serve(self, client: socket.socket) -> None:
        """One request, one answer."""
        uid, pid = peer_of(client)
        if uid not in (0, self.owner):
            client.sendall(b'{"error": "user %d may not administer this gateway"}\n' % uid)
            return
        raw = b""
        while b"\n" not in raw and len(raw) < REQUEST_MAX and (more := client.recv(4096)):
            raw += more
        try:
            answer = self.answer(raw, uid, pid)
        except Refused as e:
            answer = {"error": str(e)}
        client.sendall(json.dumps(answer).encode() + b"\n")

    def answer(self, raw: bytes, uid: int, pid: int) -> dict[str, Any]:
        try:
            request = json.loads(raw)
        except (ValueError, RecursionError):
            raise Refused("the request is not one line of JSON") from None
        if not isinstance(request, dict) or request.get("command") not in COMMANDS:
            raise Refused(f"the request has no command, must be one of {', '.join(COMMANDS)}")
        command = request["command"]
        if command == "list":
            return {"sessions": self.ask(lambda: [state_of(s) for s in self.engine.sessions if not s.vacant])}
        name = request.get("session")
        if command == "show":
            return {"sessions": self.ask(lambda: [{**state_of(s), "stats": s.stats()} for s in self.named(name)])}
        return {"sessions": self.changed(name, request, uid, pid)}

    def changed(self, name: object, request: dict[str, Any], uid: int, pid: int) -> list[dict[str, Any]]:
        """Audit, change, audit: the sessions as they are then."""
        asked = {key: value for key, value in request.items() if key not in ("command", "session")}

        def look() -> list[dict[str, Any]]:
            sessions = self.named(name)
            for s in sessions:
                check(s, request)
            return [state_of(s) for s in sessions]

        def act() -> list[tuple[dict[str, Any], dict[str, Any]]]:
            found = []
            sessions = self.named(name)
            for s in sessions:
                check(s, request)           # again: it may have logged on since
            for s in sessions:
                before = state_of(s)
                change(s, request)
                found.append((before, state_of(s)))
            return found

        who = {"uid": uid, "pid": pid, "command": request["command"], "arguments": asked}
        try:
            for before in self.ask(look):
                self.audit.write(phase="asked", **who, session=before["name"], before=before)
            done = self.ask(act)
        except Refused as e:
            with contextlib.suppress(Refused):
                self.audit.write(phase="refused", **who, session=name, error=str(e))
            raise
        for before, after in done:
            self.audit.write(phase="done", **who, session=after["name"], before=before, after=after)
        return [after for _, after in done]

    def named(self, name: object) -> list["GatewaySession"]:
        """Sessions of that name; `*` is all of them. In the engine's thread."""
        found = [s for s in self.engine.sessions if name == "*" or (name == s.name and not s.vacant)]
        if not found:
            known = ", ".join([s.name for s in self.engine.sessions if not s.vacant][:20])
            raise Refused(f"no session is called {name!r}; there is {known or 'none'}")
        return found

    def ask(self, fn: Callable[[], Any]) -> Any:
        """fn() of the engine's thread."""
        call = Call(fn)
        try:
            self.engine.submit(call)
        except RuntimeError as e:
            raise Refused(str(e)) from None
        try:
            return call.wait(ENGINE_S, self.ended)
        except (ValueError, RuntimeError) as e:
            raise Refused(str(e)) from None
