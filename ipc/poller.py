"""Many channels into one consumer: finds, polls and drops the channels of a name pattern, fairly, without a restart.

Each channel keeps its own order; `poll` takes at most `burst` messages from one before it turns to the next, and begins
each round one further. A channel whose producer has died or removed it is dropped once it is empty.
"""
import fnmatch
import os
from typing import Self

from ipc.channel import Reader
from ipc.segment import PREFIX, Forked, RoleTaken, SegmentError, segments


class Poller:
    """Consumer of every channel whose name matches `pattern` (as of fnmatch: `orders.*`).

    `discover` looks for new ones (call it now and then: it lists a directory); `poll` never does. `unreadable` maps a
    name that matched and could not be attached to the reason.
    """

    def __init__(self, pattern: str, directory: str | os.PathLike[str] | None = None, burst: int = 64) -> None:
        if burst < 1:
            raise ValueError(f"burst is {burst}, must be 1 or more")
        self.pattern, self.directory, self.burst = pattern, directory, burst
        self.readers: dict[str, Reader] = {}
        self.unreadable: dict[str, str] = {}
        self._first = 0

    def discover(self) -> list[str]:
        """Attaches channels that are new; returns their names."""
        found = []
        for entry in sorted(os.listdir(self.directory or "/dev/shm")):
            name = entry[len(PREFIX):]
            if not entry.startswith(PREFIX) or name in self.readers or not fnmatch.fnmatchcase(name, self.pattern):
                continue
            try:
                self.readers[name] = Reader(name, directory=self.directory, timeout=0)
            except (OSError, ValueError) as e:      # whatever lies there, the others are found
                if not isinstance(e, RoleTaken) or name not in self.unreadable:
                    self.unreadable[name] = str(e)
                continue
            self.unreadable.pop(name, None)
            found.append(name)
        return found

    def poll(self, most: int = 1024) -> list[tuple[str, bytes]]:
        """Up to `most` (channel name, message) pairs, taken in turns."""
        names = list(self.readers)
        got: list[tuple[str, bytes]] = []
        for k in range(len(names)):
            name = names[(self._first + k) % len(names)]
            room = min(self.burst, most - len(got))
            if room <= 0:
                break
            try:
                got += [(name, m) for m in self.readers[name].pop_batch(room)]
            except Forked:
                raise
            except SegmentError as e:       # damaged: this one is dropped, the others go on
                self._drop(name, e)
        self._first = (self._first + 1) % len(names) if names else 0
        return got

    def drop_finished(self) -> list[str]:
        """Closes readers whose channel is empty and whose producer is gone, or that are damaged; returns their names."""
        roles = {row["name"]: row.get("roles", []) for row in segments(self.directory)}
        gone = []
        for name, reader in list(self.readers.items()):
            try:
                if not len(reader) and ("producer" not in roles.get(name, []) or reader.segment.state != "ready"):
                    self.readers.pop(name).close()
                    gone.append(name)
            except Forked:
                raise
            except SegmentError as e:
                self._drop(name, e)
                gone.append(name)
        return gone

    def _drop(self, name: str, why: SegmentError) -> None:
        self.unreadable[name] = str(why)
        self.readers.pop(name).close()

    def close(self) -> None:
        """Gives every channel up."""
        while self.readers:
            self.readers.popitem()[1].close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
