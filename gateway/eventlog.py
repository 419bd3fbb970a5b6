"""What happens to sessions, to the gateway's log and to QuickFIX's BEGINSTRING-SENDER-TARGET.event.current.log.

The engine's thread only hands events over, between two steps; a thread beside it formats and writes.
"""
import contextlib
import logging
import os
import queue
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.engine import Engine
    from gateway.session import GatewaySession

log = logging.getLogger("fixwire.gateway")
EVENTS_S = 0.2      # how often session events are taken from the engine
# no session's
OF_THE_GATEWAY = {"strategy error", "strategy disabled", "strategy joined", "strategy gone", "shutdown"}

Event = tuple[int, str, str, int, str | None]      # UTC ns, session, event, reason, its event log


class EventLog:
    """A thread that logs session events of `engine`; `logged` are sessions with the directory of their event log."""

    def __init__(self, engine: "Engine", logged: "list[tuple[GatewaySession, str]]") -> None:
        self.engine, self.logged = engine, logged
        self.paths: dict[str, str] = {}
        self.taken: queue.SimpleQueue[list[Event]] = queue.SimpleQueue()
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.work, name="events", daemon=True)

    def __enter__(self) -> "EventLog":
        self.thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def take(self) -> None:
        """In the engine's thread."""
        offset = self.engine.utc_offset_ns
        self.taken.put([(now_ns + offset, name, event, reason, self.path(name) if event not in OF_THE_GATEWAY else None)
                        for now_ns, name, event, reason in self.engine.events()])

    def path(self, name: str) -> str | None:
        """The event log of the session called `name`, None if it has none. The peer of a template's is known by now."""
        if name not in self.paths:
            from gateway.filelog import prefix
            for session, directory in self.logged:
                if session.name == name:
                    self.paths[name] = os.path.join(directory, prefix(session) + ".event.current.log")
        return self.paths.get(name)

    def work(self) -> None:
        while not self.ended.wait(EVENTS_S):
            with contextlib.suppress(RuntimeError):     # 1,024 calls are waiting: the engine is busy, next time then
                self.engine.submit(self.take)
            self.write()

    def write(self) -> None:
        """Everything that was taken."""
        while not self.taken.empty():
            lines: dict[str, list[str]] = {}
            for utc_ns, session, event, reason, path in self.taken.get():
                text = f"{event}{f' (reason {reason})' if reason else ''}"
                log.info("session %s: %s", session, text)
                if path is not None:
                    lines.setdefault(path, []).append(f"{stamp(utc_ns)} : {text}\n")
            for path, found in lines.items():
                try:
                    with open(path, "a") as f:
                        f.writelines(found)
                except OSError as e:
                    log.error("event log %s: %s", path, e.strerror)

    def stop(self) -> None:
        """Log what is left. The engine does not run any more."""
        if self.ended.is_set():
            return
        self.ended.set()
        self.thread.join()
        self.take()
        self.write()


def stamp(utc_ns: int) -> str:
    """UTC as QuickFIX's logs have it: YYYYMMDD-HH:MM:SS.nnnnnnnnn"""
    seconds, ns = divmod(utc_ns, 10**9)
    return f"{time.strftime('%Y%m%d-%H:%M:%S', time.gmtime(seconds))}.{ns:09d}"
