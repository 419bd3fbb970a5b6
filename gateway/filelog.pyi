"""Message logs in QuickFIX's format, written off the engine's thread."""
from typing_extensions import disjoint_base

from gateway.engine import Engine
from gateway.session import GatewaySession

def prefix(session: GatewaySession) -> str:
    """BEGINSTRING-SENDER-TARGET, as QuickFIX names a session's files; a slash in an ID is an underscore."""

@disjoint_base
class FileLog:
    """`FileLog(engine)`: the message logs of an engine; `octets` of ring between it and the thread that writes.

    A message that finds the ring full is not logged: stats()["engine_file_log_lost"] of the engine. Close it before the
    engine.
    """
    def __init__(self, engine_: Engine, octets: int = ...) -> None: ...
    def add(self, session: GatewaySession, directory: str) -> None:
        """Log the messages of `session` in `directory`, which is made. OSError where that cannot be."""
    def close(self) -> None:
        """Write what is left, end the thread, close the files. Idempotent."""
    def __enter__(self) -> FileLog: ...
    def __exit__(self, *exc: object) -> None: ...
    def stats(self) -> dict[str, int]:
        """written: messages; errors: writes that failed; garbage: octets received that were no message."""
