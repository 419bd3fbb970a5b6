"""FlightRecorder: the last frames of an interface with what became of each, looked at or dumped to pcapng."""
import os

from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memcpy

from .netif cimport Netif, netif_record
from .recorder cimport (
    FAULT_EXCEPTION, RECORD_NONE, RECORD_OUT, RECORD_WORDS, RECORDER_DIR, record, recorder_at, recorder_comment,
    recorder_dump, recorder_fault, recorder_free, recorder_new,
)
from .tcp_table cimport tcp_state_name

from stack.verdicts import AGAIN, DELIVERED, NETIF_VERDICTS, RX_VERDICTS, TAKEN, TX_REASONS
from stack.wire.text import format_ipv4

STATES = 11


cdef int put(char *to, str name) except -1:
    cdef bytes octets = name.encode()
    if len(octets) >= RECORD_WORDS:
        raise ValueError(f"{name!r} is longer than {RECORD_WORDS - 1} octets")
    memcpy(to, <const char *>octets, len(octets) + 1)
    return 0


cdef class FlightRecorder:
    """The last `frames` frames (rounded up to a power of two) of `net`, `octets` of each; all memory is taken here.

    `directory`: where a fault (a connection reset, timed out or aborted by us, an exception) leaves a file by itself, at
    most one a second, named flight-PID-NUMBER-WHY.pcapng. `utc_offset_ns` is added to now_ns for the times in files.
    """

    def __cinit__(self, Netif net not None, int frames, int octets=160, directory=None, int64_t utc_offset_ns=0):
        cdef int i
        cdef bytes path
        for name, value, least, most in (("flight", frames, 1, 1 << 20), ("flight_octets", octets, 64, 65535)):
            if not least <= value <= most:
                raise ValueError(f"{name} is {value}, must be {least} to {most}")
        path = b"" if directory is None else os.fsencode(os.path.abspath(directory))
        if len(path) >= RECORDER_DIR:
            raise ValueError(f"flight_dir is {len(path)} octets long, at most {RECORDER_DIR - 1}")
        if directory is not None and not os.path.isdir(directory):
            raise ValueError(f"flight_dir {os.fspath(directory)} is no directory")
        self.r = recorder_new(frames, octets)
        if self.r == NULL:
            raise MemoryError(f"no memory for {frames} frames of {octets} octets")
        self.r.utc_offset_ns = utc_offset_ns
        memcpy(self.r.directory, <const char *>path, len(path) + 1)
        for i, name in enumerate(NETIF_VERDICTS):
            put(self.r.rx_name[i], ("taken: " if name in TAKEN else "dropped: ") + name)
        for i, name in enumerate(RX_VERDICTS):
            put(self.r.rx_l4_name[i], ("delivered: " if name in DELIVERED else "dropped: ") + name)
        for i, name in enumerate(TX_REASONS):
            put(self.r.tx_l4_name[i], ("again, " if name in AGAIN else "new, " if name == "text" else "") + name)
        for i in range(STATES):
            put(self.r.state_name[i], tcp_state_name(i).decode())
        self.net = net
        netif_record(net.nif, self.r)

    def __dealloc__(self):
        if self.net is not None and self.net.nif != NULL and self.net.nif.recorder == self.r:
            netif_record(self.net.nif, NULL)
        recorder_free(self.r)

    def frames(self):
        """What is kept, oldest first: dicts at_ns, out, octets (the first of the frame), len (of the frame), verdict
        (as in a dump), reason (TCP's own name of it, or None), state (of its connection afterwards, or None)."""
        cdef record *x
        cdef char comment[128]
        cdef uint64_t i, first = self.r.count - self.r.mask - 1 if self.r.count > self.r.mask else 0
        cdef uint64_t n
        out = []
        for i in range(first, self.r.count):
            x = recorder_at(self.r, i)
            n = recorder_comment(self.r, x, comment, sizeof(comment))
            tcp = x.l4 != RECORD_NONE
            out.append({
                "at_ns": x.at_ns, "out": x.direction == RECORD_OUT, "len": x.len,
                "octets": (<uint8_t *>x + sizeof(record))[:x.kept], "verdict": comment[:n].decode(),
                "reason": (TX_REASONS if x.direction == RECORD_OUT else RX_VERDICTS)[x.l4] if tcp else None,
                "state": tcp_state_name(x.state).decode() if tcp else None})
        return out

    def segments(self):
        """The TCP segments among frames(): dicts at_ns, out, peer, local_port, flags, seq, ack, len (of the text),
        window, verdict (TCP's own name), state. Numbers are those on the wire."""
        out = []
        for f in self.frames():
            p = f["octets"]
            ip = p[18:] if p[12:14] == b"\x81\x00" else p[14:]
            hlen = 4 * (ip[0] & 15) if ip else 0
            tcp = ip[hlen:]
            if f["reason"] is None or len(tcp) < 20 or ip[9] != 6:
                continue
            ours, theirs = (0, 2) if f["out"] else (2, 0)
            peer = ip[16:20] if f["out"] else ip[12:16]
            out.append({
                "at_ns": f["at_ns"], "out": f["out"], "local_port": int.from_bytes(tcp[ours:ours + 2], "big"),
                "peer": (format_ipv4(int.from_bytes(peer, "big")), int.from_bytes(tcp[theirs:theirs + 2], "big")),
                "flags": tcp[13], "seq": int.from_bytes(tcp[4:8], "big"), "ack": int.from_bytes(tcp[8:12], "big"),
                "len": int.from_bytes(ip[2:4], "big") - hlen - 4 * (tcp[12] >> 4),
                "window": int.from_bytes(tcp[14:16], "big"), "verdict": f["reason"], "state": f["state"]})
        return out

    def dump(self, path, utc_offset_ns=None):
        """Writes what is kept to a new pcapng file, each frame's verdict as its comment. OSError where it cannot."""
        cdef bytes name = os.fsencode(path)
        cdef const char *p = name
        cdef int error
        if utc_offset_ns is not None:
            self.r.utc_offset_ns = utc_offset_ns
        with nogil:
            error = recorder_dump(self.r, p)
        if error:
            raise OSError(error, os.strerror(error), os.fspath(path))

    def fault(self):
        """An exception ended something: a file is left behind with the next step."""
        recorder_fault(self.r, FAULT_EXCEPTION)

    def counters(self):
        """dict: recorded (frames seen), faults, dumps (files written), failed (files that could not be)."""
        return {"recorded": self.r.count, "faults": self.r.faults, "dumps": self.r.dumps, "failed": self.r.failed}
