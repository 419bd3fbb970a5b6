"""Capture files as devices: PcapDevice replays one, PcapWriter records what passes through another device.

Reading and writing files may wait for a disk, so neither belongs under a session that trades: PcapDevice is for
replay and tests, and PcapWriter beside a live session is opened with drop_when_full and flushed by its owner between
steps. The file formats are in capture.pyx and recording.pyx.
"""
from dpdk_py.base cimport Device, closed_ops, complete_checksums, mac_from
from dpdk_py.capture cimport (
    CAPTURE_AGAIN, CAPTURE_IN, CAPTURE_OUT, CAPTURE_PACKET, PcapReader, capture_next,
)
from dpdk_py.device cimport (
    FRAME_HEADROOM, FRAME_RX_PARTIAL, FRAME_RX_VLAN, FRAME_SLACK, FRAME_TS_NONE, FRAME_TS_REALTIME, FRAME_TX_IP_CSUM,
    FRAME_TX_L4_CSUM, device, device_ops, frame,
)
from dpdk_py.recording cimport PcapngWriter, capture_put, capture_record_len, capture_room
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset
from posix.stdlib cimport posix_memalign

from dpdk_py.errors import PcapError

cdef enum:
    ETHERNET_HLEN = 14
    VLAN_HLEN = 4
    TX_SLOTS = 256
    RECORD_BURST = 32
    RECORD_DATA = 28        # where the frame begins in an enhanced packet block
    VLAN_TAG = 0x10000      # capture_put: a tag was stripped, its TCI below

cdef device_ops pcap_ops
cdef device_ops recorder_ops
cdef device_ops recorder_closed_ops


# -- PcapDevice

cdef int replay_rx_burst(device *d, frame *frames, int n, uint64_t now_ns) noexcept nogil:
    """Lends frames where they lie in the reader's buffer, so it reads on only when none is out."""
    cdef pcap_replay *s = <pcap_replay *>d.self
    cdef int i = 0
    while i < n and replay_peek(s, s.lent == 0):
        if s.paced and not replay_due(s, now_ns):
            break
        s.have_next = False
        if s.next.len < s.next.orig_len:
            d.stats.rx_errors += 1      # cut by the capture: no longer the frame that was on the wire
            continue
        frames[i].data = s.next.data
        frames[i].len = s.next.len
        frames[i].room = s.next.len
        frames[i].flags = 0
        frames[i].vlan_tci = 0
        frames[i].ts_source = FRAME_TS_REALTIME if s.next.has_ts else FRAME_TS_NONE
        frames[i].ts_ns = s.next.ts_ns
        frames[i].handle = NULL
        d.stats.rx_octets += s.next.len
        s.lent += 1
        i += 1
    d.stats.rx_frames += i
    return i


cdef bint replay_peek(pcap_replay *s, bint may_refill) noexcept nogil:
    """True if s.next holds a packet."""
    cdef int r
    if s.have_next:
        return True
    if s.done:
        return False
    r = capture_next(s.cap, &s.next, may_refill)
    if r == CAPTURE_PACKET:
        s.have_next = True
    elif r != CAPTURE_AGAIN:
        s.done = True
    return s.have_next


cdef bint replay_due(pcap_replay *s, uint64_t now_ns) noexcept nogil:
    """The first packet is due at once; the others as much later as they came. One without a time goes with the last."""
    if not s.started:
        s.started = True
        s.start_ns = now_ns
        s.first_ns = s.next.ts_ns
    return not s.next.has_ts or s.next.ts_ns - s.first_ns <= <int64_t>(now_ns - s.start_ns)


cdef bint replay_alloc(device *d, frame *f) noexcept nogil:
    cdef pcap_replay *s = <pcap_replay *>d.self
    if s.nfree == 0:
        d.stats.alloc_failed += 1
        return False
    s.nfree -= 1
    f.data = s.free_slots[s.nfree] + FRAME_HEADROOM
    f.len = 0
    f.room = s.room
    f.flags = 0
    f.vlan_tci = 0
    f.ts_source = FRAME_TS_NONE
    f.ts_ns = 0
    f.handle = s.free_slots[s.nfree]
    return True


cdef int replay_tx_burst(device *d, frame *frames, int n, uint64_t now_ns) noexcept nogil:
    """Takes everything; what is above the MTU is lost, the rest is recorded if a file was named, else forgotten."""
    cdef pcap_replay *s = <pcap_replay *>d.self
    cdef int i
    for i in range(n):
        if frames[i].len > <uint32_t>d.mtu + ETHERNET_HLEN + VLAN_HLEN:
            d.stats.tx_errors += 1
            continue
        if s.record:
            capture_put(s.record, frames[i].data, frames[i].len, <int64_t>now_ns + s.utc_offset_ns, CAPTURE_OUT, 0)
        d.stats.tx_frames += 1
        d.stats.tx_octets += frames[i].len
    replay_free(d, frames, n)
    return n


cdef void replay_free(device *d, frame *frames, int n) noexcept nogil:
    cdef pcap_replay *s = <pcap_replay *>d.self
    cdef int i
    for i in range(n):
        if frames[i].handle == NULL:
            s.lent -= 1
        else:
            s.free_slots[s.nfree] = <uint8_t *>frames[i].handle
            s.nfree += 1


pcap_ops.rx_burst = replay_rx_burst
pcap_ops.tx_burst = replay_tx_burst
pcap_ops.alloc = replay_alloc
pcap_ops.free = replay_free


cdef class PcapDevice(Device):
    """Replays the packets of a capture into rx_burst; what is sent is recorded to `record` or forgotten.

    `paced=False`: every rx_burst gives the next frames. `paced=True`: the first frame is due at the first rx_burst, the
    others as much later, by now_ns, as they were captured later. Frames carry the capture's UTC time as ts_ns. A packet
    the capture had cut is not handed out but counted in rx_errors.

    The end: `done` is True, `truncated` tells a file that ends within a packet, `error` is the PcapError of a damaged
    one (bursts never raise). `record` frames are stamped now_ns + utc_offset_ns.
    """

    def __init__(self, path, *, bint paced=False, record=None, int64_t utc_offset_ns=0, int mtu=1500,
                 mac="02:00:00:00:00:01"):
        cdef pcap_replay *s = &self.state
        cdef uint32_t i
        if self.reader is not None:
            raise TypeError("a PcapDevice is opened once")
        if not 68 <= mtu <= 65535:
            raise ValueError(f"MTU is {mtu}, must be 68 to 65535")
        mac_from(mac, self.dev.mac)
        self.reader = PcapReader(path)
        self.name = f"pcap:{self.reader.path}"
        if record is not None:
            self.writer = PcapngWriter(record)
            s.record = &self.writer.out
        s.cap = &self.reader.cap
        s.paced = paced
        s.utc_offset_ns = utc_offset_ns
        s.nslots = TX_SLOTS
        s.room = mtu + ETHERNET_HLEN + VLAN_HLEN
        s.slot_size = (FRAME_HEADROOM + s.room + FRAME_SLACK + 63) & ~<uint32_t>63
        s.free_slots = <uint8_t **>calloc(s.nslots, sizeof(uint8_t *))
        if not s.free_slots or posix_memalign(<void **>&s.arena, 64, <size_t>s.nslots * s.slot_size):
            s.arena = NULL
            raise MemoryError()
        memset(s.arena, 0, <size_t>s.nslots * s.slot_size)
        for i in range(s.nslots):
            s.free_slots[i] = s.arena + <size_t>i * s.slot_size
        s.nfree = s.nslots
        self.dev.mtu = mtu
        self.dev.self = s
        self.dev.ops = &pcap_ops

    def __dealloc__(self):
        free(self.state.free_slots)
        free(self.state.arena)

    cdef int shutdown(self) except -1:
        # The reader keeps its buffer until it is collected: frames still lent stay readable.
        self.state.done = True
        self.state.have_next = False
        if self.reader is not None:
            self.reader.close()
        if self.writer is not None:
            self.writer.close()
        return 0

    @property
    def done(self):
        """Nothing will come any more."""
        return self.state.done and not self.state.have_next

    @property
    def truncated(self):
        return self.reader.truncated

    @property
    def error(self):
        """The PcapError that ended the replay, or None."""
        if not self.reader.cap.error[0]:
            return None
        return PcapError(self.reader.path, self.reader.cap.error_offset, self.reader.cap.error.decode())

    @property
    def next_ns(self):
        """UTC nanoseconds of the next frame, None at the end (or while frames are held that must be freed first)."""
        cdef pcap_replay *s = &self.state
        if self.closed or not replay_peek(s, s.lent == 0):
            return None
        return s.next.ts_ns


# -- PcapWriter

cdef inline void record(pcap_recorder *s, const frame *f, uint64_t now_ns, uint32_t direction) noexcept nogil:
    """Nothing in a file tells of flags: a stripped tag is put back and a checksum left to a device is completed."""
    cdef uint32_t tag = VLAN_TAG | f.vlan_tci if f.flags & FRAME_RX_VLAN else 0
    cdef uint8_t *block
    cdef uint32_t octets
    if not capture_put(s.out, f.data, f.len, <int64_t>now_ns + s.utc_offset_ns, direction, tag):
        return
    if f.flags & (FRAME_RX_PARTIAL | FRAME_TX_L4_CSUM | FRAME_TX_IP_CSUM):
        octets = f.len + (VLAN_HLEN if tag and f.len >= 12 else 0)
        block = s.out.buf + s.out.used - capture_record_len(octets, direction)
        complete_checksums(block + RECORD_DATA, octets, f.flags)


cdef int recorder_rx_burst(device *d, frame *frames, int n, uint64_t now_ns) noexcept nogil:
    cdef pcap_recorder *s = <pcap_recorder *>d.self
    cdef int i, got = s.inner.ops.rx_burst(s.inner, frames, n, now_ns)
    for i in range(got):
        record(s, &frames[i], now_ns, CAPTURE_IN)
        d.stats.rx_octets += frames[i].len
    d.stats.rx_frames += got
    return got


cdef int recorder_tx_burst(device *d, frame *frames, int n, uint64_t now_ns) noexcept nogil:
    """Records before it sends, because a taken frame may not be read any more, and takes back what was not taken."""
    cdef pcap_recorder *s = <pcap_recorder *>d.self
    cdef uint32_t used[RECORD_BURST]
    cdef uint64_t packets[RECORD_BURST]
    cdef uint32_t octets[RECORD_BURST]
    cdef uint32_t total, size
    cdef int done = 0, count, taken, i
    while done < n:
        total = 0
        count = 0
        while count < RECORD_BURST and done + count < n:
            octets[count] = frames[done + count].len
            size = capture_record_len(octets[count], CAPTURE_OUT)
            if count and total + size > s.out.size:
                break
            total += size
            count += 1
        capture_room(s.out, total)      # so that nothing is written out between the records of this burst
        for i in range(count):
            used[i] = s.out.used
            packets[i] = s.out.packets
            record(s, &frames[done + i], now_ns, CAPTURE_OUT)
        taken = s.inner.ops.tx_burst(s.inner, frames + done, count, now_ns)
        for i in range(taken):
            d.stats.tx_octets += octets[i]
        d.stats.tx_frames += taken
        done += taken
        if taken < count:
            s.out.used = used[taken]
            s.out.packets = packets[taken]
            d.stats.tx_full += n - done
            break
    return done


cdef bint recorder_alloc(device *d, frame *f) noexcept nogil:
    cdef pcap_recorder *s = <pcap_recorder *>d.self
    return s.inner.ops.alloc(s.inner, f)


cdef void recorder_free(device *d, frame *frames, int n) noexcept nogil:
    cdef pcap_recorder *s = <pcap_recorder *>d.self
    s.inner.ops.free(s.inner, frames, n)


cdef int closed_tx_burst(device *d, frame *frames, int n, uint64_t now_ns) noexcept nogil:
    d.stats.tx_errors += n
    recorder_free(d, frames, n)
    return n


recorder_ops.rx_burst = recorder_rx_burst
recorder_ops.tx_burst = recorder_tx_burst
recorder_ops.alloc = recorder_alloc
recorder_ops.free = recorder_free
recorder_closed_ops = closed_ops
recorder_closed_ops.tx_burst = closed_tx_burst
recorder_closed_ops.free = recorder_free    # what is still held goes back to the inner device


cdef class PcapWriter(Device):
    """A device around `inner` that records every frame received and every frame taken, to a pcapng file.

    Times are now_ns + utc_offset_ns, never the frame's own stamp, so the same run gives the same octets. A stripped tag
    is put back in the file, and a checksum left to the device is completed there, so that the file can be replayed.
    `buffer` octets are filled before the burst that finds it full writes it to the file; with `drop_when_full` that
    burst goes on, counts `dropped`, and only flush() writes. Closing it closes the file, not the inner device.
    """

    def __init__(self, Device inner not None, path, *, int64_t utc_offset_ns=0, buffer=1 << 20, drop_when_full=False):
        if self.inner is not None:
            raise TypeError("a PcapWriter is opened once")
        self.writer = PcapngWriter(path, buffer=buffer, drop_when_full=drop_when_full)
        self.inner = inner
        self.name = f"{inner.name}>{self.writer.path}"
        self.state.inner = inner.ptr()
        self.state.out = &self.writer.out
        self.state.utc_offset_ns = utc_offset_ns
        self.dev.mtu = inner.dev.mtu
        self.dev.mac = inner.dev.mac
        self.dev.caps = inner.dev.caps
        self.dev.self = &self.state
        self.dev.ops = &recorder_ops

    cdef int change_mtu(self, int mtu) except -1:
        self.inner.mtu = mtu
        self.dev.mtu = mtu
        return 0

    cdef int shutdown(self) except -1:
        if self.state.inner != NULL:
            self.dev.ops = &recorder_closed_ops
            self.writer.close()
        return 0

    @property
    def recorded(self):
        """Frames in the file or its buffer."""
        return self.writer.packets

    @property
    def dropped(self):
        """Frames that passed but were not recorded."""
        return self.writer.dropped

    def flush(self):
        """Writes what is buffered to the file; DeviceError where the disk refuses."""
        self.writer.flush()
