"""Port: a DPDK port, by PCI address or vdev string. DpdkDevice: one of its queue pairs as a device.

Port is "DPDK for Python": Mbufs in and out, link, statistics, filters. DpdkDevice is what the stack drives: frames
lent from the driver's own buffers without a copy, nothing allocated, no call that takes the GIL. DPDK 22.11,
"Poll Mode Driver" and the ethdev and mbuf library guides; quirks of single drivers are named where they are met.
A port's statistics that DPDK keeps for the whole port appear on the device of queue 0.
"""
import errno
import weakref
import zlib
from collections import namedtuple

from cpython.bytes cimport PyBytes_FromStringAndSize
from dpdk_py.base cimport Device, closed_ops, mac_from
from dpdk_py.device cimport (
    DEVICE_RX_CSUM, DEVICE_RX_TIMESTAMP, DEVICE_TX_IP_CSUM, DEVICE_TX_L4_CSUM, FRAME_HEADROOM, FRAME_SLACK,
    FRAME_TS_DEVICE, FRAME_TS_REALTIME, device_ops,
)
from dpdk_py.dpdk cimport *
from dpdk_py.eal cimport eal_attach, eal_detach, eal_error, eal_log_mark, eal_require, eal_running, eal_watch
from dpdk_py.mbuf cimport Mbuf, Mempool, mbuf_take, mbuf_wrap
from dpdk_py.queue cimport (
    BURST, JUMBO_SLOTS, dpdk_alloc, dpdk_free, dpdk_rx_burst, dpdk_tx_burst, gone_free, gone_tx_burst,
)
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset

from dpdk_py import eal_args
from dpdk_py.eal import Eal
from dpdk_py.errors import DpdkError

Link = namedtuple("Link", "up mbps full_duplex autoneg")
Link.__doc__ = """State of a port's link: `up`, `mbps` (None: the port does not know), `full_duplex`, `autoneg`."""

cdef tuple OFFLOADS_RX = (("vlan_strip", RTE_ETH_RX_OFFLOAD_VLAN_STRIP), ("ipv4_checksum", RTE_ETH_RX_OFFLOAD_IPV4_CKSUM),
               ("udp_checksum", RTE_ETH_RX_OFFLOAD_UDP_CKSUM), ("tcp_checksum", RTE_ETH_RX_OFFLOAD_TCP_CKSUM),
               ("scatter", RTE_ETH_RX_OFFLOAD_SCATTER), ("timestamp", RTE_ETH_RX_OFFLOAD_TIMESTAMP))
cdef tuple OFFLOADS_TX = (("ipv4_checksum", RTE_ETH_TX_OFFLOAD_IPV4_CKSUM), ("udp_checksum", RTE_ETH_TX_OFFLOAD_UDP_CKSUM),
               ("tcp_checksum", RTE_ETH_TX_OFFLOAD_TCP_CKSUM))

cdef object ports_by_name = weakref.WeakValueDictionary()


# -- the ops (queue.pxd) as tables

cdef device_ops dpdk_ops
dpdk_ops.rx_burst = dpdk_rx_burst
dpdk_ops.tx_burst = dpdk_tx_burst
dpdk_ops.alloc = dpdk_alloc
dpdk_ops.free = dpdk_free

cdef device_ops gone_ops
gone_ops.rx_burst = closed_ops.rx_burst
gone_ops.tx_burst = gone_tx_burst
gone_ops.alloc = closed_ops.alloc
gone_ops.free = gone_free


# -- Port

cdef class Port:
    """A DPDK port, configured and started: "net_af_packet0,iface=eth1", "0000:3b:00.0".

    eal: EAL arguments, or an Eal, for the first port of the process; hugepages: see Eal.
    rx_queues, tx_queues, rx_descriptors, tx_descriptors: as the port can (descriptors are rounded to what it takes).
    mtu: None leaves the port's own. room: octets of packet a buffer takes, at least the MTU's frame unless given.
    mbufs: buffers a queue pair. checksum: let the port check and compute sums where it can. timestamp: receive times
    where the port has them, its clock ticking timestamp_hz times a second. vlan_strip: tags out of the frame.
    multicast: addresses to receive. mac: our address; some drivers then change the interface's own.

    ValueError for what cannot be asked, DpdkError (reason from DPDK's log, remedy) for what DPDK refuses.
    """

    def __init__(self, str spec, *, eal=None, hugepages=None, int rx_queues=1, int tx_queues=1,
                 int rx_descriptors=1024, int tx_descriptors=1024, mtu=None, room=None,
                 mbufs=None, bint promiscuous=False, multicast=(), bint checksum=True, bint timestamp=False,
                 timestamp_hz=None, bint vlan_strip=False, mac=None):
        name, _, devargs = spec.partition(",")
        address = eal_args.pci_address(name)
        self.name = address or name
        self.closed = True
        self.devices = weakref.WeakSet()
        for what, value in (("rx_queues", rx_queues), ("tx_queues", tx_queues), ("rx_descriptors", rx_descriptors),
                            ("tx_descriptors", tx_descriptors), ("mbufs", mbufs), ("mtu", mtu), ("room", room)):
            if value is not None and not 1 <= value <= (65535 if what != "mbufs" else 1 << 24):
                raise ValueError(f"{what} is {value}, must be 1 to {65535 if what != 'mbufs' else 1 << 24}")
        if not name or "/" in name or len(name) > 60:
            raise ValueError(f"DPDK port {spec!r} is neither a PCI address nor a vdev like net_af_packet0,iface=eth1")
        if not isinstance(eal, Eal):
            Eal.ensure(eal, hugepages=hugepages, pci=[address] if address else [])
        eal_require()
        if self.name in ports_by_name:
            # DPDK itself answers a second add of the same name with success.
            raise DpdkError(errno.EEXIST, "the port is open already in this process", self.name,
                            "close it first, or give the vdev another number")
        cdef object since = eal_log_mark()
        eal_attach(self.name, devargs, &self.id_)
        self.attached = True
        self.closed = False
        try:
            self.configure(dict(rx_queues=rx_queues, tx_queues=tx_queues, rx_descriptors=rx_descriptors,
                                tx_descriptors=tx_descriptors, mtu=mtu, room=room, mbufs=mbufs, checksum=checksum,
                                timestamp=timestamp, timestamp_hz=timestamp_hz, vlan_strip=vlan_strip,
                                devargs=devargs, since=since))
            self.read_mac(mac)
            if promiscuous:
                self.promiscuous = True
            if multicast:
                self.set_multicast(multicast)
        except BaseException:
            self.close()
            raise
        ports_by_name[self.name] = self
        eal_watch(self)

    cdef int require(self) except -1:
        if self.closed:
            raise DpdkError(errno.EBADF, "the port is closed", self.name)
        return eal_require()

    cdef object failed(self, int ret, str what, object mark):
        return eal_error(ret, what, self.name, mark)

    cdef int configure(self, dict o) except -1:
        """Offloads, MTU, pools, queues, start: DPDK's order."""
        cdef rte_eth_conf conf
        cdef rte_eth_rxconf rxconf
        cdef rte_eth_txconf txconf
        cdef Mempool pool
        cdef uint16_t nrx = o["rx_queues"], ntx = o["tx_queues"], rxd = o["rx_descriptors"], txd = o["tx_descriptors"]
        cdef uint64_t rx_wanted = 0, tx_wanted = 0
        cdef object since = o["since"]
        cdef int ret, i, room
        ret = rte_eth_dev_info_get(self.id_, &self.info)
        if ret < 0:
            raise self.failed(ret, "no information about the port", since)
        self.driver = self.info.driver_name.decode()
        if nrx > self.info.max_rx_queues or ntx > self.info.max_tx_queues:
            raise ValueError(f"rx_queues is {nrx}, tx_queues is {ntx}; {self.name} ({self.driver}) has at most "
                             f"{self.info.max_rx_queues} and {self.info.max_tx_queues}")
        self.rx_queues = nrx
        self.tx_queues = ntx
        memset(&conf, 0, sizeof(conf))
        if o["checksum"]:
            rx_wanted |= (RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_CKSUM)
            tx_wanted |= (RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_UDP_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_CKSUM)
        if o["vlan_strip"]:
            if not self.info.rx_offload_capa & RTE_ETH_RX_OFFLOAD_VLAN_STRIP:
                raise DpdkError(errno.ENOTSUP, f"the driver {self.driver} cannot strip VLAN tags", self.name,
                                "leave vlan_strip out: the stack reads tagged frames")
            rx_wanted |= RTE_ETH_RX_OFFLOAD_VLAN_STRIP
        if o["timestamp"]:
            self.ask_timestamps(o["timestamp_hz"])
            rx_wanted |= RTE_ETH_RX_OFFLOAD_TIMESTAMP
        self.rx_offloads = conf.rxmode.offloads = rx_wanted & self.info.rx_offload_capa
        self.tx_offloads = conf.txmode.offloads = tx_wanted & self.info.tx_offload_capa
        if nrx > 1:
            conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS
            conf.rx_adv_conf.rss_conf.rss_hf = self.info.flow_type_rss_offloads & (
                RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP)
        if o["mtu"] is not None:
            conf.rxmode.mtu = o["mtu"]
        room = self.room_for(o["mtu"] or 1500, o["room"], o["devargs"])
        if room < (o["mtu"] or 1500) + 18 and self.info.rx_offload_capa & RTE_ETH_RX_OFFLOAD_SCATTER:
            conf.rxmode.offloads |= RTE_ETH_RX_OFFLOAD_SCATTER
            self.rx_offloads |= RTE_ETH_RX_OFFLOAD_SCATTER
        ret = rte_eth_dev_configure(self.id_, nrx, ntx, &conf)
        if ret < 0:
            raise self.failed(ret, "the port cannot be configured so", since)
        if o["mtu"] is not None:
            ret = rte_eth_dev_set_mtu(self.id_, o["mtu"])
            if ret < 0 and ret != -errno.ENOTSUP:
                raise self.failed(ret, f"MTU {o['mtu']} is refused", since)
        ret = rte_eth_dev_adjust_nb_rx_tx_desc(self.id_, &rxd, &txd)
        if ret < 0:
            raise self.failed(ret, "descriptor counts are refused", since)
        self.rx_descriptors = rxd
        self.tx_descriptors = txd
        self.socket = rte_eth_dev_socket_id(self.id_)
        # Everything the driver may hold, and as much again for bursts in hand and lcores' caches.
        n = o["mbufs"] or (1 << int(rxd + txd + 1024).bit_length()) - 1
        self.pools = tuple(Mempool(n, room=room, socket=self.socket) for _ in range(max(nrx, ntx)))
        rxconf = self.info.default_rxconf
        rxconf.offloads = conf.rxmode.offloads
        txconf = self.info.default_txconf
        txconf.offloads = conf.txmode.offloads
        for i in range(nrx):
            pool = self.pools[i]
            ret = rte_eth_rx_queue_setup(self.id_, i, rxd, <unsigned>self.socket, &rxconf, pool.mp)
            if ret < 0:
                raise self.failed(ret, f"receive queue {i} is refused", since)
        for i in range(ntx):
            ret = rte_eth_tx_queue_setup(self.id_, i, txd, <unsigned>self.socket, &txconf)
            if ret < 0:
                raise self.failed(ret, f"transmit queue {i} is refused", since)
        ret = rte_eth_dev_start(self.id_)
        if ret < 0:
            raise self.failed(ret, "the port does not start", since)
        self.started = True
        return 0

    cdef int ask_timestamps(self, object hz) except -1:
        """Reserve the place of receive time stamps in every mbuf."""
        cdef int ret
        # net_pcap fills them in, in microseconds, without announcing the offload (22.11).
        if not (self.info.rx_offload_capa & RTE_ETH_RX_OFFLOAD_TIMESTAMP or self.driver == "net_pcap"):
            raise DpdkError(errno.ENOTSUP, f"the driver {self.driver} has no receive time stamps", self.name,
                            "leave timestamp out")
        self.ts_hz = hz or (1_000_000 if self.driver == "net_pcap" else 1_000_000_000)
        ret = rte_mbuf_dyn_rx_timestamp_register(&self.ts_offset, &self.ts_flag)
        if ret < 0:
            raise DpdkError(shim_errno(), "no place for time stamps in the mbuf", self.name)
        return 0

    cdef int room_for(self, int mtu, object room, str devargs) except -1:
        """Octets of packet a buffer must take: the MTU's frame, tag and FCS included, in steps of 1,024 (ixgbe's)."""
        if room is not None:
            return room
        # net_af_packet copies out of ring slots of framesz octets and wants a buffer to take a slot's frame.
        asked = [int(v) for k, _, v in (a.partition("=") for a in devargs.split(",")) if k == "framesz" and v.isdigit()]
        need = max([mtu + 22 + FRAME_HEADROOM, 2048, self.info.min_rx_bufsize if self.info.min_rx_bufsize < 65535 else 0]
                   + asked)
        return min((need + 1023) // 1024 * 1024, 65535 - RTE_PKTMBUF_HEADROOM)

    cdef int read_mac(self, object mac) except -1:
        """Our address: the port's, or `mac`, or one made of the name where a vdev has none."""
        cdef rte_ether_addr addr
        cdef int ret
        memset(&addr, 0, sizeof(addr))
        rte_eth_macaddr_get(self.id_, &addr)
        memcpy(self.mac_, addr.addr_bytes, 6)
        if mac is not None:
            mac_from(mac, self.mac_)
            if self.mac_[0] & 1:
                raise ValueError(f"mac {mac!r} is a group address")
            memcpy(addr.addr_bytes, self.mac_, 6)
            # The kernel's end of a tap takes the port's address, so there ours is ours alone.
            if self.driver != "net_tap":
                ret = rte_eth_dev_default_mac_addr_set(self.id_, &addr)
                if ret < 0 and ret != -errno.ENOTSUP:
                    raise self.failed(ret, "the MAC address is refused", eal_log_mark())
        elif self.driver == "net_tap":
            self.mac_[5] ^= 1
        elif not any(addr.addr_bytes[i] for i in range(6)):
            made = b"\x02\x00" + zlib.crc32(self.name.encode()).to_bytes(4, "big")
            memcpy(self.mac_, <const uint8_t *>made, 6)
        return 0

    @property
    def id(self):
        """DPDK's number of the port."""
        return self.id_

    @property
    def mac(self):
        """Our hardware address, 6 octets."""
        return PyBytes_FromStringAndSize(<char *>self.mac_, 6)

    @property
    def mtu(self):
        cdef uint16_t mtu = 0
        self.require()
        rte_eth_dev_get_mtu(self.id_, &mtu)
        return mtu

    @property
    def link(self):
        """Link(up, mbps, full_duplex, autoneg) as the driver knows it, without waiting for it to settle.

        Of the vdevs most say "up" whatever happens: net_af_packet does not watch its interface.
        """
        cdef int up = 0, full = 0, auto = 0, ret
        cdef uint32_t mbps = 0
        self.require()
        ret = shim_link(self.id_, &up, &full, &auto, &mbps)
        if ret < 0:
            raise self.failed(ret, "no link state", eal_log_mark())
        return Link(bool(up), None if mbps in (0, 0xffffffff) else mbps, bool(full), bool(auto))

    @property
    def offloads(self):
        """Names of the offloads in force: {"rx": (...), "tx": (...)}."""
        return {"rx": tuple(name for name, bit in OFFLOADS_RX if self.rx_offloads & bit),
                "tx": tuple(name for name, bit in OFFLOADS_TX if self.tx_offloads & bit)}

    @property
    def promiscuous(self):
        """Whether frames for every address are received. Settable; close() puts it back."""
        self.require()
        return rte_eth_promiscuous_get(self.id_) == 1

    @promiscuous.setter
    def promiscuous(self, bint on):
        cdef object since = eal_log_mark()
        cdef int ret
        self.require()
        ret = rte_eth_promiscuous_enable(self.id_) if on else rte_eth_promiscuous_disable(self.id_)
        if ret < 0:
            raise self.failed(ret, f"promiscuous mode cannot be {'set' if on else 'cleared'}", since)
        self.promiscuous_set = on

    def set_multicast(self, addresses):
        """Receive these group addresses and no others; where the port has no such filter, all of them."""
        cdef rte_ether_addr *table
        cdef object since = eal_log_mark()
        cdef int i, ret
        addresses = tuple(addresses)
        self.require()
        table = <rte_ether_addr *>calloc(max(1, len(addresses)), sizeof(rte_ether_addr))
        if table == NULL:
            raise MemoryError
        try:
            for i in range(<int>len(addresses)):
                mac_from(addresses[i], table[i].addr_bytes)
                if not table[i].addr_bytes[0] & 1:
                    raise ValueError(f"multicast address {addresses[i]!r} is not a group address")
            ret = rte_eth_dev_set_mc_addr_list(self.id_, table, <uint32_t>len(addresses))
            if ret == -errno.ENOTSUP:
                ret = rte_eth_allmulticast_enable(self.id_) if addresses else rte_eth_allmulticast_disable(self.id_)
                self.allmulticast = ret == 0 and bool(addresses)
            if ret < 0:
                error = self.failed(ret, "multicast addresses cannot be received", since)
                raise DpdkError(error.rte_errno, error.why, self.name, "open the port with promiscuous=True")
            self.multicast = tuple(bytes(table[i].addr_bytes[:6]) for i in range(<int>len(addresses)))
        finally:
            free(table)

    def stats(self):
        """DPDK's basic counters of the port, by their names in rte_eth_stats."""
        cdef rte_eth_stats s
        self.require()
        memset(&s, 0, sizeof(s))
        rte_eth_stats_get(self.id_, &s)
        return {"ipackets": s.ipackets, "opackets": s.opackets, "ibytes": s.ibytes, "obytes": s.obytes,
                "imissed": s.imissed, "ierrors": s.ierrors, "oerrors": s.oerrors, "rx_nombuf": s.rx_nombuf}

    def xstats(self):
        """The driver's own counters by its own names; what they mean is in the driver's manual."""
        cdef rte_eth_xstat_name *names = NULL
        cdef rte_eth_xstat *values = NULL
        cdef int n, i
        self.require()
        n = rte_eth_xstats_get_names(self.id_, NULL, 0)
        if n <= 0:
            return {}
        try:
            names = <rte_eth_xstat_name *>calloc(n, sizeof(rte_eth_xstat_name))
            values = <rte_eth_xstat *>calloc(n, sizeof(rte_eth_xstat))
            if names == NULL or values == NULL:
                raise MemoryError
            if rte_eth_xstats_get_names(self.id_, names, n) != n or rte_eth_xstats_get(self.id_, values, n) != n:
                return {}
            return {names[values[i].id].name.decode(): values[i].value for i in range(n)}
        finally:
            free(names)
            free(values)

    def rx_burst(self, int n=32, *, int queue=0):
        """Up to `n` (at most 64) packets as a list of Mbuf; their buffers are the caller's until freed or sent."""
        cdef rte_mbuf *got[BURST]
        cdef int i, k
        self.require()
        if not 0 <= queue < self.rx_queues:
            raise ValueError(f"queue is {queue}, must be 0 to {self.rx_queues - 1}")
        k = rte_eth_rx_burst(self.id_, <uint16_t>queue, got, <uint16_t>max(0, min(n, BURST)))
        return [mbuf_wrap(got[i], self.pools[queue]) for i in range(k)]

    def tx_burst(self, mbufs, *, int queue=0):
        """Send Mbufs; how many the port took, from the front. Those are gone, the others stay the caller's."""
        cdef rte_mbuf *one
        cdef Mbuf b
        cdef int sent = 0
        self.require()
        if not 0 <= queue < self.tx_queues:
            raise ValueError(f"queue is {queue}, must be 0 to {self.tx_queues - 1}")
        for b in mbufs:
            one = mbuf_take(b)
            if rte_eth_tx_burst(self.id_, <uint16_t>queue, &one, 1) != 1:
                b.m = one
                break
            sent += 1
        return sent

    def close(self):
        """Stop, give the port back to where it came from. May be called twice; devices on it are closed."""
        cdef Mempool pool
        if self.closed:
            return
        self.closed = True
        ports_by_name.pop(self.name, None)
        for device in list(self.devices):
            device.close()
        if not eal_running():
            return
        if self.promiscuous_set:
            rte_eth_promiscuous_disable(self.id_)       # net_af_packet leaves IFF_PROMISC on the interface otherwise
        if self.allmulticast:
            rte_eth_allmulticast_disable(self.id_)
        with nogil:
            if self.started:
                rte_eth_dev_stop(self.id_)
            rte_eth_dev_close(self.id_)
        eal_detach(self.name)
        for pool in self.pools or ():
            try:
                pool.close()
            except DpdkError:
                pass        # buffers are still held; the pool ends with its last owner, or with the process

    def __del__(self):
        self.close()

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.close()

    def __repr__(self):
        return f"<Port {self.name} {self.driver}{' closed' if self.closed else ''}>"


# -- DpdkDevice

cdef class DpdkDevice(Device):
    """A queue pair of a DPDK port as a device. `port`: a spec, opened here with `options` (see Port), or a Port.

    queue: which pair of the Port. verify=False: count every L4 checksum the port knows nothing about as good, for
    peers on this host that leave them partial (net_af_packet hides that; `ethtool -K PEER tx off` is the cure).
    Frames longer than the MTU's are dropped and counted: rx_oversize, tx_errors. Frames of our own MAC that
    net_af_packet shows us are dropped as rx_own. Call register_thread in the thread that drives it.
    """

    def __init__(self, port, *, int queue=0, bint verify=True, **options):
        if isinstance(port, Port):
            if options:
                raise TypeError(f"options of a Port that is open already: {', '.join(options)}")
            self.port = port
            self.port.require()
        else:
            self.closed = True
            self.port = Port(port, **options)
            self.closed = False
            self.owns_port = True
        if not 0 <= queue < min(self.port.rx_queues, self.port.tx_queues):
            top = min(self.port.rx_queues, self.port.tx_queues) - 1
            if self.owns_port:
                self.port.close()
            raise ValueError(f"queue is {queue}, must be 0 to {top}")
        self.name = f"dpdk:{self.port.name}" + (f"/{queue}" if queue else "")
        self.queue = queue
        self.q.port = self.port.id_
        self.q.queue = <uint16_t>queue
        self.q.vouch = not verify
        self.q.drop_own = self.port.driver == "net_af_packet"
        self.q.mp = (<Mempool>self.port.pools[queue]).mp
        self.q.ts_flag = self.port.ts_flag
        self.q.ts_offset = self.port.ts_offset
        self.q.ts_hz = self.port.ts_hz
        self.q.ts_source = FRAME_TS_REALTIME if self.port.driver == "net_pcap" else FRAME_TS_DEVICE
        self.dev.mtu = self.port.mtu
        self.size_for(self.dev.mtu)
        memcpy(self.dev.mac, self.port.mac_, 6)
        self.dev.caps = self.capabilities()
        self.dev.self = &self.q
        self.dev.ops = &dpdk_ops
        self.port.devices.add(self)

    cdef int size_for(self, int mtu) except -1:
        """Limits of length that follow from the MTU; the jumbo slots too."""
        cdef uint8_t *slots
        cdef uint32_t size = (mtu + 18 + FRAME_SLACK + 63) // 64 * 64
        if size > self.q.jumbo_size:
            if self.q.jumbo_used:
                raise DpdkError(errno.EBUSY, "frames are still held", self.name)
            slots = <uint8_t *>malloc(<size_t>size * JUMBO_SLOTS)
            if slots == NULL:
                raise MemoryError
            free(self.q.jumbo)
            self.q.jumbo = slots
            self.q.jumbo_size = size
        self.q.max_len = mtu + 14
        return 0

    cdef uint32_t capabilities(self) noexcept:
        cdef uint64_t rx = self.port.rx_offloads, tx = self.port.tx_offloads
        cdef uint64_t both = RTE_ETH_TX_OFFLOAD_UDP_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_CKSUM
        cdef uint32_t caps = 0
        if tx & RTE_ETH_TX_OFFLOAD_IPV4_CKSUM:
            caps |= DEVICE_TX_IP_CSUM
        if tx & both == both:
            caps |= DEVICE_TX_L4_CSUM
        if rx & RTE_ETH_RX_OFFLOAD_TCP_CKSUM:
            caps |= DEVICE_RX_CSUM
        if self.port.ts_flag:
            caps |= DEVICE_RX_TIMESTAMP
        return caps

    cdef int change_mtu(self, int mtu) except -1:
        cdef object since = eal_log_mark()
        cdef int ret, room = (<Mempool>self.port.pools[self.queue]).room
        if mtu + 18 + FRAME_HEADROOM > room:
            raise DpdkError(errno.EINVAL, f"MTU {mtu} needs larger buffers than the {room} octets of this port's pool",
                            self.name, f"open it with mtu={mtu}")
        ret = rte_eth_dev_set_mtu(self.q.port, <uint16_t>mtu)
        if ret < 0:
            raise eal_error(ret, f"MTU {mtu} is refused", self.name, since)
        self.size_for(mtu)
        self.dev.mtu = <uint16_t>mtu
        return 0

    def register_thread(self):
        """Make the calling thread an lcore (see Eal.register_thread): call it in the thread that drives the device."""
        Eal.ensure().register_thread()

    def stats(self):
        """Counters of this device; on queue 0 with what the port itself missed, damaged or had no buffer for."""
        counters = super().stats()
        if self.queue == 0 and not self.port.closed and eal_running():
            port = self.port.stats()
            counters["rx_missed"] += port["imissed"]
            counters["rx_errors"] += port["ierrors"]
            counters["rx_nombuf"] += port["rx_nombuf"]
            counters["tx_errors"] += port["oerrors"]
        return counters

    def xstats(self):
        """The driver's own counters by its own names."""
        return self.port.xstats()

    @property
    def link(self):
        """Link(up, mbps, full_duplex, autoneg)."""
        return self.port.link

    cdef int shutdown(self) except -1:
        self.dev.ops = &gone_ops
        if self.owns_port:
            self.port.close()
        return 0

    def __dealloc__(self):
        free(self.q.jumbo)
