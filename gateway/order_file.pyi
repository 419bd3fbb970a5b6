"""Open orders in a file on tmpfs, which outlives the process."""
import mmap
from collections.abc import Iterable
from typing import Any

from typing_extensions import disjoint_base

def replace_file(path: str, octets: bytes) -> None:
    """The file of that name has these octets, 0600; a kill leaves the old one or the new one. OSError: no room."""

def map_file(path: str, octets: int) -> mmap.mmap:
    """The file's first octets as shared, prefaulted memory."""

@disjoint_base
class OrderFile:
    """The open orders of a desk's strategies: a head, whose they are as JSON, the places of one strategy after the other's.

    strategies   (name, places) each
    sessions     what tells the engine's sessions apart, in their order: entries say which one by its index
    A file of other strategies or sessions is written anew, orders that are done but not forgotten included. ValueError: the
    file is damaged or of another version, a strategy or session with open orders is not there any more, or has no room.
    """
    def __init__(self, path: str, strategies: Iterable[tuple[str, int]], sessions: Iterable[str]) -> None: ...
    @property
    def path(self) -> str: ...
    def read(self) -> tuple[list[list[Any]], list[str], int, dict[str, list[bytes]]] | None:
        """(strategies, sessions, pending, entries by strategy) of the file; the constructor calls these three."""
    def moved(self, entries: Iterable[bytes], known: list[str], sessions: list[str]) -> list[bytes]:
        """Entries of the sessions `known` with the indices of `sessions`."""
    def made(self, strategies: list[list[Any]], sessions: list[str], text: bytes,
             old: tuple[list[list[Any]], list[str], int, dict[str, list[bytes]]] | None) -> bytes:
        """A whole file of these, with the entries of the `old` one."""
    def close(self, keep: bool = True) -> None:
        """Lets go of it; keep=False: and removes it. The memory is used until the object goes."""

def is_open(entry: bytes) -> bool:
    """The order of this entry is open."""
