"""QuickFIX's FileStore, read and written: to move a session here with its numbers and messages, or back.

Four files named PREFIX.body, .header, .seqnums and .session (QuickFIX C++ and QuickFIX/J): the messages one behind the
other; "MsgSeqNum,offset,size " for each; "0000000012 : 0000000034", our next number and the one expected; and the UTC
time at which the numbers began. QuickFIX names PREFIX BEGINSTRING-SENDER-TARGET.
"""
from __future__ import annotations

import calendar
import os
import time
from collections.abc import Iterator

from .errors import JournalError
from .store import Store

SECOND = 1_000_000_000


def export_filestore(store: Store, directory: str | os.PathLike[str], prefix: str) -> int:
    """Write what `store` has into `directory`; -> messages written. Existing files of that prefix are replaced.

    What the store no longer keeps, and administrative messages, are left out: QuickFIX fills their gap, as we do.
    """
    os.makedirs(directory, exist_ok=True)
    path = os.path.join(os.fspath(directory), prefix)
    count = offset = 0
    with open(path + ".body", "wb") as body, open(path + ".header", "w") as header:
        for seq in range(1, store.next_out):
            message = store.get(seq)
            if message is not None:
                body.write(message)
                header.write(f"{seq},{offset},{len(message)} ")
                offset += len(message)
                count += 1
    with open(path + ".seqnums", "w") as numbers:
        numbers.write(f"{store.next_out:010d} : {store.next_in:010d}")
    with open(path + ".session", "w") as session:
        session.write(time.strftime("%Y%m%d-%H:%M:%S", time.gmtime(store.created_utc_ns // SECOND)))
    return count


def import_filestore(store: Store, directory: str | os.PathLike[str], prefix: str) -> int:
    """Take a QuickFIX session over into `store`, which loses what it had; -> messages taken.

    QuickFIX keeps administrative messages too; of those but Reject(3) only the number counts here, as of our own.
    JournalError, with the file's name, if one is missing or is not what QuickFIX writes; the store is then unchanged.
    """
    path = os.path.join(os.fspath(directory), prefix)
    next_out, next_in = read_numbers(path + ".seqnums")
    created = read_created(path + ".session")
    messages = list(read_messages(path, next_out))
    store.reset(created)
    for seq, message in messages:
        if not store.append(seq, message, admin=is_admin(message)):
            raise JournalError(f"{path}: the store has no room for message {seq}")
    store.renumber(next_in=next_in, next_out=next_out)
    return len(messages)


def is_admin(message: bytes) -> bool:
    """Is it one that a resend fills the gap of? The session judges kept messages likewise."""
    return message.split(b"\x01", 3)[2:3] in ([b"35=" + kind] for kind in (b"0", b"1", b"2", b"4", b"5", b"A"))


def read(path: str) -> bytes:
    try:
        with open(path, "rb") as f:
            return f.read()
    except OSError as error:
        raise JournalError(f"{path}: {error.strerror}") from None


def read_numbers(path: str) -> tuple[int, int]:
    parts = read(path).decode("latin-1").split(":")
    if len(parts) != 2 or not all(p.strip().isdigit() and int(p) > 0 for p in parts):
        raise JournalError(f"{path}: not two numbers such as 0000000001 : 0000000001")
    return int(parts[0]), int(parts[1])


def read_created(path: str) -> int:
    text = read(path).decode("latin-1").strip()
    try:
        return calendar.timegm(time.strptime(text[:17], "%Y%m%d-%H:%M:%S")) * SECOND
    except ValueError:
        raise JournalError(f"{path}: {text[:40]!r} is not a UTC time YYYYMMDD-HH:MM:SS") from None


def read_messages(path: str, next_out: int) -> Iterator[tuple[int, bytes]]:
    """(MsgSeqNum, octets), ascending; of a number written twice the last one, as QuickFIX has it."""
    body = read(path + ".body")
    found: dict[int, bytes] = {}
    for entry in read(path + ".header").decode("latin-1").split():
        parts = entry.split(",")
        if len(parts) != 3 or not all(p.isdigit() for p in parts):
            raise JournalError(f"{path}.header: {entry[:40]!r} is not MsgSeqNum,offset,size")
        seq, offset, size = map(int, parts)
        message = body[offset:offset + size]
        if seq == 0 or size == 0 or len(message) != size:
            raise JournalError(f"{path}.header: message {seq} is not within {path}.body")
        found[seq] = message
    yield from ((seq, found[seq]) for seq in sorted(found) if seq < next_out)
