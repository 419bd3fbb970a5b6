"""AfPacketDevice: a kernel interface through packet(7), a TPACKET_V2 receive ring and plain send().

V2, not V3: a V3 block is handed over when it is full or after a timer of at least 1 ms, a V2 slot at once. Plain
send(), not a transmit ring: with one on the socket nothing leaves without a second call. A frame lent by rx_burst is
the ring's own slot, and a slot held stops the ring there, so it is freed when the burst is handled.

A peer on this host leaves the checksum to a device that is not there: the frame comes with only the pseudo-header's sum
and TP_STATUS_CSUMNOTREADY, here FRAME_RX_L4_GOOD | FRAME_RX_PARTIAL. It also leaves segmentation undone: such frames,
longer than the MTU, are counted in rx_oversize and dropped, and `advice` says how to stop them.

If the interface has an IP address, the kernel answers our TCP peers with RST: give our end none.
"""
import errno
import os
import socket
import struct

from dpdk_py.base cimport Device, mac_from
from dpdk_py.device cimport (
    DEVICE_RX_CSUM, FRAME_HEADROOM, FRAME_RX_L4_GOOD, FRAME_RX_PARTIAL, FRAME_RX_VLAN, FRAME_SLACK, FRAME_TS_NONE,
    FRAME_TS_REALTIME, device, device_ops, frame,
)
from libc.errno cimport EAGAIN, EINTR, ENOBUFS
from libc.errno cimport errno as c_errno
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset
from posix.mman cimport MAP_ANONYMOUS, MAP_FAILED, MAP_PRIVATE, MAP_SHARED, PROT_READ, PROT_WRITE, mmap, munmap
from posix.stdlib cimport posix_memalign
from posix.unistd cimport close as c_close

from dpdk_py.errors import DeviceError

cdef extern from *:
    """
    #ifndef _GNU_SOURCE
    #define _GNU_SOURCE
    #endif
    """

cdef extern from "sys/mman.h" nogil:
    enum:
        MAP_POPULATE
        MREMAP_MAYMOVE
        MREMAP_FIXED
    void *mremap(void *old, size_t old_octets, size_t new_octets, int flags, void *at)

cdef extern from "sys/socket.h" nogil:
    ssize_t send(int fd, const void *buf, size_t n, int flags)
    enum: MSG_DONTWAIT

cdef extern from "linux/if_packet.h" nogil:
    cdef struct tpacket2_hdr:
        uint32_t tp_status
        uint32_t tp_len
        uint32_t tp_snaplen
        uint16_t tp_mac
        uint16_t tp_net
        uint32_t tp_sec
        uint32_t tp_nsec
        uint16_t tp_vlan_tci
        uint16_t tp_vlan_tpid
    cdef struct sockaddr_ll:
        uint8_t sll_pkttype
    enum:
        TPACKET_V2
        TP_STATUS_USER
        TP_STATUS_CSUMNOTREADY
        TP_STATUS_VLAN_VALID
        TP_STATUS_CSUM_VALID
        PACKET_OUTGOING

cdef extern from *:
    """
    #include <stdint.h>
    #include <linux/if_packet.h>
    #define FW_SLL_OFFSET TPACKET_ALIGN(sizeof(struct tpacket2_hdr))
    static inline uint32_t fw_status_load(const uint32_t *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
    static inline void fw_status_store(uint32_t *p, uint32_t x) { __atomic_store_n(p, x, __ATOMIC_RELEASE); }
    """
    size_t SLL_OFFSET "FW_SLL_OFFSET"
    uint32_t status_load "fw_status_load"(const uint32_t *p) noexcept nogil
    void status_store "fw_status_store"(uint32_t *p, uint32_t x) noexcept nogil

cdef extern from *:
    """
    #include <net/if.h>
    #include <string.h>
    #include <sys/ioctl.h>
    static int fw_running(int fd, const char *name) {
        struct ifreq r;
        memset(&r, 0, sizeof r);
        memcpy(r.ifr_name, name, IFNAMSIZ);
        return ioctl(fd, SIOCGIFFLAGS, &r) == 0 && (r.ifr_flags & IFF_RUNNING) != 0;
    }
    """
    bint running "fw_running"(int fd, const char *name) noexcept nogil     # the interface of that name is up and has a carrier

cdef enum:
    ETHERNET_HLEN = 14
    VLAN_HLEN = 4
    STATUS_KERNEL = 0
    STATUS_LENT = 1 << 27       # ours: not the kernel's, and not to be lent again when the ring comes round
    # With this reserve the kernel puts the Ethernet header at 10 modulo 64, as FRAME_HEADROOM asks of alloc.
    RING_RESERVE = 8
    RING_DATA_OFFSET = 74       # where that is in a slot
    BLOCK_OCTETS = 1 << 16

# linux/if_packet.h and linux/if_ether.h, which the socket module does not name
SOL_PACKET = 263
PACKET_ADD_MEMBERSHIP = 1
PACKET_DROP_MEMBERSHIP = 2
PACKET_RX_RING = 5
PACKET_STATISTICS = 6
PACKET_VERSION = 10
PACKET_RESERVE = 12
PACKET_QDISC_BYPASS = 20
PACKET_IGNORE_OUTGOING = 23
PACKET_MR_MULTICAST = 0
PACKET_MR_PROMISC = 1
ETH_P_ALL = 3
ARPHRD_ETHER = 1
ARPHRD_LOOPBACK = 772
SIOCGIFFLAGS = 0x8913
SIOCGIFMTU = 0x8921
SIOCGIFHWADDR = 0x8927
IFF_UP = 1
IFF_RUNNING = 0x40
CAPABILITY = ("it needs CAP_NET_RAW: run as root, or `setcap cap_net_raw+ep` a copy of the interpreter, or try it in "
              "`unshare -Urn`")

cdef device_ops afpacket_ops
cdef device_ops afpacket_closed_ops


# -- the four functions

cdef int afpacket_rx_burst(device *d, frame *frames, int n, uint64_t now_ns) noexcept nogil:
    cdef afpacket_state *s = <afpacket_state *>d.self
    cdef tpacket2_hdr *h
    cdef frame *f
    cdef uint32_t status
    cdef int i = 0
    while i < n:
        h = <tpacket2_hdr *>(s.ring + <size_t>s.head * s.frame_size)
        status = status_load(&h.tp_status)
        if not status & TP_STATUS_USER:     # the kernel's still, or lent and not yet freed
            break
        s.head += 1
        if s.head == s.nframes:
            s.head = 0
        if not acceptable(d, s, h):
            status_store(&h.tp_status, STATUS_KERNEL)
            continue
        f = &frames[i]
        f.data = <uint8_t *>h + h.tp_mac
        f.len = h.tp_len
        f.room = h.tp_len
        f.flags = 0
        if status & TP_STATUS_CSUMNOTREADY:
            f.flags = FRAME_RX_L4_GOOD | FRAME_RX_PARTIAL
        elif status & TP_STATUS_CSUM_VALID:
            f.flags = FRAME_RX_L4_GOOD
        f.vlan_tci = 0
        if status & TP_STATUS_VLAN_VALID:
            f.flags |= FRAME_RX_VLAN
            f.vlan_tci = h.tp_vlan_tci
        f.ts_source = FRAME_TS_REALTIME
        f.ts_ns = <int64_t>h.tp_sec * 1000000000 + h.tp_nsec
        f.handle = h
        status_store(&h.tp_status, STATUS_LENT)
        d.stats.rx_octets += f.len
        i += 1
    d.stats.rx_frames += i
    return i


cdef inline bint acceptable(device *d, afpacket_state *s, tpacket2_hdr *h) noexcept nogil:
    """False, counted: our own frame seen again, larger than any frame of this interface, or cut by its slot."""
    cdef sockaddr_ll *from_ = <sockaddr_ll *>(<uint8_t *>h + SLL_OFFSET)
    if from_.sll_pkttype == PACKET_OUTGOING:
        d.stats.rx_own += 1
        return False
    if h.tp_len > s.max_len:
        d.stats.rx_oversize += 1
        if h.tp_len > s.oversize_len:
            s.oversize_len = h.tp_len
        return False
    if h.tp_snaplen < h.tp_len:
        d.stats.rx_errors += 1
        return False
    return True


cdef int afpacket_tx_burst(device *d, frame *frames, int n, uint64_t now_ns) noexcept nogil:
    """One send() a frame. The kernel's refusals for good (too long, link down) are losses. EAGAIN is a full socket, ENOBUFS a
    full queue of the interface: the frame has not left and stays the caller's. But ENOBUFS is said without a carrier too, and
    that may last: then it is a loss, which has a timer in TCP."""
    cdef afpacket_state *s = <afpacket_state *>d.self
    cdef ssize_t sent
    cdef int i, refused
    for i in range(n):
        sent = send(s.fd, frames[i].data, frames[i].len, MSG_DONTWAIT)
        while sent < 0 and c_errno == EINTR:
            sent = send(s.fd, frames[i].data, frames[i].len, MSG_DONTWAIT)
        if sent < 0:
            refused = c_errno
            if refused == EAGAIN or (refused == ENOBUFS and running(s.fd, s.name)):
                d.stats.tx_full += n - i
                return i
            s.tx_errno = refused
            d.stats.tx_errors += 1
        else:
            d.stats.tx_frames += 1
            d.stats.tx_octets += frames[i].len
        slot_give_back(s, <uint8_t *>frames[i].handle)
    return n


cdef inline void slot_give_back(afpacket_state *s, uint8_t *slot) noexcept nogil:
    s.free_slots[s.nfree] = slot
    s.nfree += 1


cdef bint afpacket_alloc(device *d, frame *f) noexcept nogil:
    cdef afpacket_state *s = <afpacket_state *>d.self
    if s.nfree == 0:
        d.stats.alloc_failed += 1
        return False
    s.nfree -= 1
    f.handle = s.free_slots[s.nfree]
    f.data = s.free_slots[s.nfree] + FRAME_HEADROOM
    f.len = 0
    f.room = s.room
    f.flags = 0
    f.vlan_tci = 0
    f.ts_source = FRAME_TS_NONE
    f.ts_ns = 0
    return True


cdef void afpacket_free(device *d, frame *frames, int n) noexcept nogil:
    cdef afpacket_state *s = <afpacket_state *>d.self
    cdef int i
    for i in range(n):
        if s.ring <= <uint8_t *>frames[i].handle < s.ring_end:
            status_store(&(<tpacket2_hdr *>frames[i].handle).tp_status, STATUS_KERNEL)
        else:
            slot_give_back(s, <uint8_t *>frames[i].handle)


# -- closed: what is still held can be freed (the ring stays mapped), nothing else happens

cdef int closed_rx_burst(device *d, frame *frames, int n, uint64_t now_ns) noexcept nogil:
    return 0


cdef int closed_tx_burst(device *d, frame *frames, int n, uint64_t now_ns) noexcept nogil:
    d.stats.tx_errors += n
    afpacket_free(d, frames, n)
    return n


cdef bint closed_alloc(device *d, frame *f) noexcept nogil:
    d.stats.alloc_failed += 1
    return False


afpacket_ops.rx_burst = afpacket_rx_burst
afpacket_ops.tx_burst = afpacket_tx_burst
afpacket_ops.alloc = afpacket_alloc
afpacket_ops.free = afpacket_free
afpacket_closed_ops.rx_burst = closed_rx_burst
afpacket_closed_ops.tx_burst = closed_tx_burst
afpacket_closed_ops.alloc = closed_alloc
afpacket_closed_ops.free = afpacket_free


# -- opening

def unavailable():
    """("", "") if packet sockets can be opened here, else why not and the remedy."""
    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).close()
    except OSError as error:
        if error.errno == errno.EPERM:
            return "packet sockets may not be opened by this user", CAPABILITY
        return f"packet sockets cannot be opened: {error.strerror}", "use a kernel with CONFIG_PACKET"
    return "", ""


cdef refused(name, error, doing):
    """The DeviceError for an OSError met while `doing` something to interface `name`, with its remedy."""
    remedy = None
    if error.errno == errno.EPERM:
        remedy = CAPABILITY
    elif error.errno == errno.ENOMEM:
        remedy = "ask for fewer ring frames"
    return DeviceError(error.errno, f"{doing}: {error.strerror}", f"afpacket:{name}", remedy)


cdef interface_request(sock, name, code):
    """ioctl(2) `code` of netdevice(7) about one interface; the 16 octets behind its name."""
    import fcntl
    return fcntl.ioctl(sock.fileno(), code, struct.pack("16s16x", name.encode()))[16:32]


cdef class AfPacketDevice(Device):
    """A kernel interface by name, e.g. "eth1" or one end of a veth. Needs CAP_NET_RAW.

    `ring` slots receive (a power of two is best), `buffers` send. `promiscuous` receives frames for other addresses
    too, until the device is closed; `multicast`: see set_multicast. `rx_missed` counts what the kernel dropped because the ring was full; it is read
    from the kernel by stats(). Time stamps are the kernel's (UTC).

    DeviceError: no such interface (with a list of those there are), not allowed (with the capability), interface down,
    not Ethernet, no memory for the ring.
    """

    def __cinit__(self):
        self.state.fd = -1
        self.groups = frozenset()

    def __init__(self, interface, *, int ring=1024, int buffers=1024, bint promiscuous=False, multicast=()):
        cdef bytes name
        if self.interface is not None:
            raise TypeError("an AfPacketDevice is opened once")
        self.interface = os.fsdecode(interface)
        self.name = f"afpacket:{self.interface}"
        if not 16 <= ring <= 1 << 20:
            raise ValueError(f"ring is {ring}, must be 16 to {1 << 20} frames")
        if not 1 <= buffers <= 1 << 20:
            raise ValueError(f"buffers is {buffers}, must be 1 to {1 << 20} frames")
        try:
            self.ifindex = socket.if_nametoindex(self.interface)
        except OSError:
            known = ", ".join(name for _, name in socket.if_nameindex())
            raise DeviceError(errno.ENODEV, "no such interface", self.name, f"there are {known}") from None
        try:
            sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
        except OSError as error:
            raise refused(self.interface, error, "opening a packet socket") from None
        self.state.fd = sock.fileno()
        name = os.fsencode(self.interface)              # it is an interface's: shorter than IFNAMSIZ
        memcpy(self.state.name, <const char *>name, len(name) + 1)
        try:
            self.configure(sock, promiscuous)
            self.open_ring(ring)
            self.open_pool(buffers)
            # Only now do frames arrive, in the ring alone.
            sock.bind((self.interface, ETH_P_ALL))
        except OSError as error:
            if isinstance(error, DeviceError):
                raise
            raise refused(self.interface, error, "setting up the packet socket") from None
        except BaseException:
            self.state.fd = -1
            raise
        finally:
            if self.state.fd >= 0:
                sock.detach()
        self.dev.caps = DEVICE_RX_CSUM
        self.dev.self = &self.state
        self.dev.ops = &afpacket_ops
        self.set_multicast(multicast)

    cdef int configure(self, sock, bint promiscuous) except -1:
        """Checks what the interface is and sets the options that must come before the ring."""
        flags = struct.unpack_from("H", interface_request(sock, self.interface, SIOCGIFFLAGS))[0]
        hardware = interface_request(sock, self.interface, SIOCGIFHWADDR)
        kind = struct.unpack_from("H", hardware)[0]
        if kind not in (ARPHRD_ETHER, ARPHRD_LOOPBACK):
            raise DeviceError(errno.EAFNOSUPPORT, f"not an Ethernet interface (ARPHRD {kind})", self.name)
        if not flags & IFF_UP:
            raise DeviceError(errno.ENETDOWN, "the interface is down", self.name,
                              f"`ip link set {self.interface} up`")
        cdef bytes mac = hardware[2:8]
        memcpy(self.dev.mac, <const uint8_t *>mac, 6)
        self.dev.mtu = min(struct.unpack_from("i", interface_request(sock, self.interface, SIOCGIFMTU))[0], 65535)
        self.state.max_len = self.dev.mtu + ETHERNET_HLEN + VLAN_HLEN
        sock.setsockopt(SOL_PACKET, PACKET_VERSION, TPACKET_V2)
        sock.setsockopt(SOL_PACKET, PACKET_RESERVE, RING_RESERVE)
        for option in (PACKET_IGNORE_OUTGOING, PACKET_QDISC_BYPASS):
            try:
                sock.setsockopt(SOL_PACKET, option, 1)
            except OSError as error:
                if error.errno != errno.ENOPROTOOPT:    # Linux before 4.20 and 3.14: own frames are told by their type
                    raise
        if promiscuous:
            sock.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP,
                            struct.pack("iHH8x", self.ifindex, PACKET_MR_PROMISC, 0))
        return 0

    cdef int open_ring(self, int frames) except -1:
        cdef afpacket_state *s = &self.state
        cdef uint32_t size = 2048
        cdef uint32_t block
        cdef void *at
        while size < RING_DATA_OFFSET + s.max_len + FRAME_SLACK:
            size *= 2
        block = max(BLOCK_OCTETS, size)
        blocks = max(1, (frames * size + block - 1) // block)
        s.frame_size = size
        s.nframes = blocks * (block // size)
        s.ring_octets = <size_t>blocks * block
        sock = socket.socket(fileno=s.fd)
        try:
            sock.setsockopt(SOL_PACKET, PACKET_RX_RING, struct.pack("IIII", block, blocks, size, s.nframes))
        finally:
            sock.detach()
        at = mmap(NULL, s.ring_octets, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, s.fd, 0)
        if at == MAP_FAILED:
            raise OSError(c_errno, os.strerror(c_errno))
        s.ring = <uint8_t *>at
        s.ring_end = s.ring + s.ring_octets
        return 0

    cdef int open_pool(self, int buffers) except -1:
        cdef afpacket_state *s = &self.state
        cdef uint32_t i
        s.nslots = buffers
        s.room = s.max_len
        s.slot_size = (FRAME_HEADROOM + s.room + FRAME_SLACK + 63) & ~<uint32_t>63
        s.free_slots = <uint8_t **>calloc(s.nslots, sizeof(uint8_t *))
        if not s.free_slots or posix_memalign(<void **>&s.arena, 64, <size_t>s.nslots * s.slot_size):
            s.arena = NULL
            raise MemoryError()
        memset(s.arena, 0, <size_t>s.nslots * s.slot_size)
        for i in range(s.nslots):
            s.free_slots[i] = s.arena + <size_t>(s.nslots - 1 - i) * s.slot_size
        s.nfree = s.nslots
        return 0

    def __dealloc__(self):
        if self.state.ring != NULL:
            munmap(self.state.ring, self.state.ring_octets)
        if self.state.fd >= 0:
            c_close(self.state.fd)
        free(self.state.free_slots)
        free(self.state.arena)

    cdef int shutdown(self) except -1:
        if self.state.ring == NULL:
            return 0
        self.read_kernel_drops()
        self.dev.ops = &afpacket_closed_ops
        c_close(self.state.fd)
        self.state.fd = -1
        # The mapping holds the socket open, its memberships included: a copy takes the ring's place, so that frames
        # still lent stay readable where they are.
        cdef void *copy = mmap(NULL, self.state.ring_octets, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        if copy == MAP_FAILED:
            raise DeviceError(c_errno, "closing: no memory for the frames still held", self.name)
        memcpy(copy, self.state.ring, self.state.ring_octets)
        if mremap(copy, self.state.ring_octets, self.state.ring_octets, MREMAP_MAYMOVE | MREMAP_FIXED,
                  self.state.ring) == MAP_FAILED:
            raise DeviceError(c_errno, "closing: the ring cannot be replaced", self.name)
        return 0

    cdef int read_kernel_drops(self) except -1:
        """PACKET_STATISTICS is since it was last read."""
        sock = socket.socket(fileno=self.state.fd)
        try:
            self.dev.stats.rx_missed += struct.unpack("II", sock.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))[1]
        finally:
            sock.detach()
        return 0

    def stats(self):
        """As Device.stats; asks the kernel for rx_missed, and logs `advice` once."""
        if self.state.fd >= 0:
            self.read_kernel_drops()
        if self.advice and not self.advised:
            import logging
            self.advised = True
            logging.getLogger("dpdk_py").warning("%s", self.advice)
        return Device.stats(self)

    @property
    def advice(self):
        """What to do about frames longer than the MTU, once one came; else None."""
        if not self.state.oversize_len:
            return None
        return (f"{self.name}: {self.dev.stats.rx_oversize} frames longer than the MTU {self.dev.mtu} (up to "
                f"{self.state.oversize_len} octets) were dropped: the sender leaves segmentation to a device. On this "
                f"host's other end of the link: `ethtool -K PEER tso off gso off`; from a NIC: "
                f"`ethtool -K {self.interface} gro off lro off`")

    @property
    def tx_error(self):
        """Why the kernel refused the last frame it refused, as text; None if it took all."""
        return os.strerror(self.state.tx_errno) if self.state.tx_errno else None

    @property
    def link_up(self):
        """The interface is up and has a carrier."""
        self.require_open()
        sock = socket.socket(fileno=self.state.fd)
        try:
            flags = struct.unpack_from("H", interface_request(sock, self.interface, SIOCGIFFLAGS))[0]
        finally:
            sock.detach()
        return flags & (IFF_UP | IFF_RUNNING) == IFF_UP | IFF_RUNNING

    @property
    def ring_frames(self):
        """Slots of the receive ring."""
        return self.state.nframes

    @property
    def free_buffers(self):
        """Buffers that could be allocated now."""
        return self.state.nfree

    def set_multicast(self, addresses):
        """Receives frames for exactly these multicast addresses (bytes or text), until the device is closed."""
        cdef uint8_t octets[6]
        self.require_open()
        wanted = set()
        for address in addresses:
            mac_from(address, octets)
            if not octets[0] & 1:
                raise ValueError(f"{address!r} is not a multicast address")
            wanted.add(bytes(octets[:6]))
        sock = socket.socket(fileno=self.state.fd)
        try:
            for code, macs in ((PACKET_ADD_MEMBERSHIP, wanted - self.groups),
                               (PACKET_DROP_MEMBERSHIP, self.groups - wanted)):
                for mac in sorted(macs):
                    sock.setsockopt(SOL_PACKET, code, struct.pack("iHH8s", self.ifindex, PACKET_MR_MULTICAST, 6, mac))
                    self.groups = self.groups ^ {mac}
        except OSError as error:
            raise refused(self.interface, error, "setting the multicast addresses") from None
        finally:
            sock.detach()
