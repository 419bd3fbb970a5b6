"""Open orders in a file on tmpfs: what is in it survives the process, not the machine.

A file is whole before it has its name, and every entry before its state says that it is open (gateway/open_orders), so a
kill at any point leaves something that can be read. Who keeps the file is alone with it: a journal's lock, a desk's name.
"""
import contextlib
import json
import mmap
import os

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from gateway.open_orders cimport ORDER_DONE, ORDER_FREE, ORDER_OPEN, open_order
from gateway.outside cimport OUTSIDE_TEXT

cdef uint64_t OUTSIDE_MAGIC = 0x3153444958494620        # " FIXIDS1"


def replace_file(str path, bytes octets):
    fd = os.open(path + ".new", os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        os.posix_fallocate(fd, 0, len(octets))          # a full tmpfs shows here
        os.write(fd, octets)
    finally:
        os.close(fd)
    os.rename(path + ".new", path)


def map_file(str path, size_t octets):
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        return mmap.mmap(fd, octets, mmap.MAP_SHARED | mmap.MAP_POPULATE)
    finally:
        os.close(fd)


cdef bint entry_sound(const open_order *o, uint32_t sessions) noexcept:
    return o.state == ORDER_FREE or (
        (o.state == ORDER_OPEN or o.state == ORDER_DONE) and 0 < o.ClOrdID_n <= OUTSIDE_TEXT
        and 0 < o.Symbol_n <= OUTSIDE_TEXT and o.session < sessions)


cdef class OrderFile:
    """See gateway/order_file.pyi."""

    def __init__(self, str path, strategies, sessions):
        cdef orders_head *head
        self.path = path
        strategies, sessions = [[name, places] for name, places in strategies], list(sessions)
        text = json.dumps([strategies, sessions]).encode()
        text = text.ljust((len(text) + 63) // 64 * 64)          # the entries behind it are aligned
        old = self.read()
        octets = ORDERS_HEAD + len(text) + sum(places for _, places in strategies) * sizeof(open_order)
        if old is None or old[0] != strategies or old[1] != sessions:
            replace_file(path, self.made(strategies, sessions, text, old))
        self.map = map_file(path, octets)
        self.view = self.map
        head = <orders_head *>&self.view[0]
        self.pending = &head.pending
        self.entries = <open_order *>&self.view[ORDERS_HEAD + len(text)]

    def read(self):
        """(strategies, sessions, pending, {strategy: entries that are not free}) of the file that is there; None: none is."""
        cdef const orders_head *head
        cdef const uint8_t *p
        cdef size_t at
        cdef bytes octets
        try:
            with open(self.path, "rb") as f:
                octets = f.read()
        except FileNotFoundError:
            return None
        p = octets
        head = <const orders_head *>p
        wrong = ValueError(f"{self.path} is no table of open orders of this version; remove it if none is open")
        if (len(octets) < ORDERS_HEAD or head.magic != OUTSIDE_MAGIC or head.entry != sizeof(open_order)
                or len(octets) != ORDERS_HEAD + head.text + head.places * sizeof(open_order)):
            raise wrong
        at = ORDERS_HEAD + head.text
        try:
            strategies, sessions = json.loads(octets[ORDERS_HEAD:at])
            places = sum([places for _, places in strategies])
        except (TypeError, ValueError):
            raise wrong from None
        if places != head.places:
            raise wrong
        found = {}
        for name, places in strategies:
            found[name] = []
            for _ in range(places):
                if not entry_sound(<const open_order *>(p + at), len(sessions)):
                    raise wrong
                if (<const open_order *>(p + at)).state != ORDER_FREE:
                    found[name].append(octets[at:at + sizeof(open_order)])
                at += sizeof(open_order)
        return strategies, sessions, head.pending, found

    def made(self, strategies, sessions, bytes text, old):
        """A whole file, with what the old one says of these strategies and sessions."""
        cdef orders_head head
        known, pending, found = (old[1], old[2], old[3]) if old is not None else ([], 0, {})
        pools = {name: self.moved(entries, known, sessions) for name, entries in found.items()}
        room = dict(strategies)
        for name, entries in pools.items():
            count = sum(1 for entry in entries if is_open(entry))
            if name not in room and count:
                raise ValueError(f"{count} orders of the strategy {name} were open when the gateway ended, and there is no such "
                                 f"strategy now; add it, or remove {self.path}")
            if count > room.get(name, 0):
                raise ValueError(f"{count} orders of the strategy {name} were open when the gateway ended, its `open` has room "
                                 f"for {room[name]}; raise it, or remove {self.path}")
        head.magic, head.entry, head.places = OUTSIDE_MAGIC, sizeof(open_order), sum(room.values())
        head.pending, head.text = pending, len(text)
        body = [b"".join(sorted(pools.get(name, ()), key=is_open, reverse=True)[:places]).ljust(places * sizeof(open_order), b"\0")
                for name, places in strategies]
        return (<const uint8_t *>&head)[:sizeof(orders_head)].ljust(ORDERS_HEAD, b"\0") + text + b"".join(body)

    def moved(self, entries, known, sessions):
        """The entries with the sessions' indices as they are now; those that are done and whose session is gone are dropped."""
        cdef open_order o
        cdef const uint8_t *p
        kept = []
        for entry in entries:
            p = <bytes>entry
            o = (<const open_order *>p)[0]
            if known[o.session] in sessions:
                o.session = sessions.index(known[o.session])
                kept.append((<const uint8_t *>&o)[:sizeof(open_order)])
            elif o.state == ORDER_OPEN:
                raise ValueError(f"an order of the session {known[o.session]} was open when the gateway ended, and there is no "
                                 f"such session now; add it, or remove {self.path}")
        return kept

    def close(self, bint keep=True):
        if not keep:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path)


cdef bint is_open_entry(bytes entry) noexcept:
    cdef const uint8_t *p = entry
    return (<const open_order *>p).state == ORDER_OPEN


def is_open(bytes entry):
    return is_open_entry(entry)
