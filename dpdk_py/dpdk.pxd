# The part of DPDK 22.11's API that eal, mbuf and port call, header by header. Extern declarations only.
# DPDK's structs have tags and no typedefs, so they are `cdef struct` here: a ctypedef would give wrong C.
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdio cimport FILE

cdef extern from "shim.h" nogil:
    # rte_version.h, rte_errno.h
    const char *rte_version()
    const char *rte_strerror(int errnum)
    int shim_errno()
    void shim_errno_clear()

    # rte_log.h
    int rte_openlog_stream(FILE *f)

    # rte_eal.h
    int rte_eal_init(int argc, char **argv)
    int rte_eal_cleanup()
    int rte_eal_has_hugepages()
    int rte_eal_has_pci()

    # rte_lcore.h
    enum: LCORE_ID_ANY
    unsigned rte_lcore_id()
    int rte_thread_register()
    void rte_thread_unregister()

    # rte_dev.h
    int rte_eal_hotplug_add(const char *busname, const char *devname, const char *drvargs)
    int rte_eal_hotplug_remove(const char *busname, const char *devname)

    # rte_mempool.h
    cdef struct rte_mempool:
        unsigned size
        unsigned elt_size
    void rte_mempool_free(rte_mempool *mp)
    unsigned rte_mempool_avail_count(const rte_mempool *mp)
    unsigned rte_mempool_in_use_count(const rte_mempool *mp)
    rte_mempool *shim_pool_create(const char *name, unsigned n, unsigned cache, uint16_t room, unsigned slack,
                                  int socket)

    # rte_mbuf.h, rte_mbuf_core.h
    enum:
        RTE_PKTMBUF_HEADROOM
        RTE_MBUF_DEFAULT_DATAROOM
        RTE_MEMPOOL_CACHE_MAX_SIZE
    const uint64_t RTE_MBUF_F_RX_VLAN_STRIPPED
    const uint64_t RTE_MBUF_F_RX_IP_CKSUM_MASK
    const uint64_t RTE_MBUF_F_RX_IP_CKSUM_GOOD
    const uint64_t RTE_MBUF_F_RX_IP_CKSUM_BAD
    const uint64_t RTE_MBUF_F_RX_L4_CKSUM_MASK
    const uint64_t RTE_MBUF_F_RX_L4_CKSUM_GOOD
    const uint64_t RTE_MBUF_F_RX_L4_CKSUM_BAD
    const uint64_t RTE_MBUF_F_TX_IPV4
    const uint64_t RTE_MBUF_F_TX_IP_CKSUM
    const uint64_t RTE_MBUF_F_TX_TCP_CKSUM
    const uint64_t RTE_MBUF_F_TX_UDP_CKSUM
    cdef struct rte_mbuf:
        void *buf_addr
        uint16_t data_off
        uint16_t nb_segs
        uint16_t port
        uint64_t ol_flags
        uint32_t pkt_len
        uint16_t data_len
        uint16_t vlan_tci
        uint16_t buf_len
        rte_mempool *pool
        rte_mbuf *next
    rte_mbuf *rte_pktmbuf_alloc(rte_mempool *mp)
    void rte_pktmbuf_free(rte_mbuf *m)
    uint16_t rte_pktmbuf_headroom(const rte_mbuf *m)
    uint16_t rte_pktmbuf_tailroom(const rte_mbuf *m)
    int rte_pktmbuf_linearize(rte_mbuf *m)
    void shim_prefetch(const rte_mbuf *m)
    const void *rte_pktmbuf_read(const rte_mbuf *m, uint32_t off, uint32_t n, void *buf)
    void shim_tx_offload(rte_mbuf *m, uint64_t flags, unsigned l2, unsigned l3, unsigned l4)

    # rte_mbuf_dyn.h
    int rte_mbuf_dyn_rx_timestamp_register(int *field_offset, uint64_t *rx_flag)
    int64_t shim_timestamp_ns(const rte_mbuf *m, int offset, uint64_t hz)

    # rte_ether.h
    cdef struct rte_ether_addr:
        uint8_t addr_bytes[6]

    # rte_ethdev.h
    enum: RTE_ETH_XSTATS_NAME_SIZE
    const uint64_t RTE_ETH_RX_OFFLOAD_VLAN_STRIP
    const uint64_t RTE_ETH_RX_OFFLOAD_IPV4_CKSUM
    const uint64_t RTE_ETH_RX_OFFLOAD_UDP_CKSUM
    const uint64_t RTE_ETH_RX_OFFLOAD_TCP_CKSUM
    const uint64_t RTE_ETH_RX_OFFLOAD_SCATTER
    const uint64_t RTE_ETH_RX_OFFLOAD_TIMESTAMP
    const uint64_t RTE_ETH_TX_OFFLOAD_IPV4_CKSUM
    const uint64_t RTE_ETH_TX_OFFLOAD_UDP_CKSUM
    const uint64_t RTE_ETH_TX_OFFLOAD_TCP_CKSUM
    cdef struct rte_eth_rxconf:
        uint64_t offloads
    cdef struct rte_eth_txconf:
        uint64_t offloads
    cdef struct rte_eth_desc_lim:
        uint16_t nb_max
        uint16_t nb_min
    cdef struct rte_eth_dev_info:
        const char *driver_name
        uint16_t min_mtu
        uint16_t max_mtu
        uint32_t min_rx_bufsize
        uint32_t max_rx_pktlen
        uint16_t max_rx_queues
        uint16_t max_tx_queues
        uint64_t rx_offload_capa
        uint64_t tx_offload_capa
        uint64_t flow_type_rss_offloads
        rte_eth_rxconf default_rxconf
        rte_eth_txconf default_txconf
        rte_eth_desc_lim rx_desc_lim
        rte_eth_desc_lim tx_desc_lim
    enum rte_eth_rx_mq_mode:
        RTE_ETH_MQ_RX_NONE
        RTE_ETH_MQ_RX_RSS
    const uint64_t RTE_ETH_RSS_IP
    const uint64_t RTE_ETH_RSS_TCP
    const uint64_t RTE_ETH_RSS_UDP
    cdef struct rte_eth_rxmode:
        rte_eth_rx_mq_mode mq_mode
        uint32_t mtu
        uint64_t offloads
    cdef struct rte_eth_txmode:
        uint64_t offloads
    cdef struct rte_eth_rss_conf:
        uint64_t rss_hf
    cdef struct rte_eth_rx_adv_conf "typeof(((struct rte_eth_conf *)0)->rx_adv_conf)":
        rte_eth_rss_conf rss_conf
    cdef struct rte_eth_conf:
        rte_eth_rxmode rxmode
        rte_eth_txmode txmode
        rte_eth_rx_adv_conf rx_adv_conf
    cdef struct rte_eth_stats:
        uint64_t ipackets
        uint64_t opackets
        uint64_t ibytes
        uint64_t obytes
        uint64_t imissed
        uint64_t ierrors
        uint64_t oerrors
        uint64_t rx_nombuf
    cdef struct rte_eth_xstat:
        uint64_t id
        uint64_t value
    cdef struct rte_eth_xstat_name:
        char name[64]
    int rte_eth_dev_get_port_by_name(const char *name, uint16_t *port_id)
    int rte_eth_dev_socket_id(uint16_t port)
    int rte_eth_dev_info_get(uint16_t port, rte_eth_dev_info *info)
    int rte_eth_dev_configure(uint16_t port, uint16_t nb_rx, uint16_t nb_tx, const rte_eth_conf *conf)
    int rte_eth_dev_adjust_nb_rx_tx_desc(uint16_t port, uint16_t *nb_rx, uint16_t *nb_tx)
    int rte_eth_rx_queue_setup(uint16_t port, uint16_t queue, uint16_t n, unsigned socket,
                               const rte_eth_rxconf *conf, rte_mempool *mp)
    int rte_eth_tx_queue_setup(uint16_t port, uint16_t queue, uint16_t n, unsigned socket,
                               const rte_eth_txconf *conf)
    int rte_eth_dev_start(uint16_t port)
    int rte_eth_dev_stop(uint16_t port)
    int rte_eth_dev_close(uint16_t port)
    int rte_eth_dev_get_mtu(uint16_t port, uint16_t *mtu)
    int rte_eth_dev_set_mtu(uint16_t port, uint16_t mtu)
    int rte_eth_macaddr_get(uint16_t port, rte_ether_addr *mac)
    int rte_eth_dev_default_mac_addr_set(uint16_t port, rte_ether_addr *mac)
    int rte_eth_dev_set_mc_addr_list(uint16_t port, rte_ether_addr *list, uint32_t n)
    int rte_eth_promiscuous_enable(uint16_t port)
    int rte_eth_promiscuous_disable(uint16_t port)
    int rte_eth_promiscuous_get(uint16_t port)
    int rte_eth_allmulticast_enable(uint16_t port)
    int rte_eth_allmulticast_disable(uint16_t port)
    int rte_eth_stats_get(uint16_t port, rte_eth_stats *stats)
    int rte_eth_xstats_get_names(uint16_t port, rte_eth_xstat_name *names, unsigned n)
    int rte_eth_xstats_get(uint16_t port, rte_eth_xstat *stats, unsigned n)
    uint16_t rte_eth_rx_burst(uint16_t port, uint16_t queue, rte_mbuf **mbufs, uint16_t n)
    uint16_t rte_eth_tx_burst(uint16_t port, uint16_t queue, rte_mbuf **mbufs, uint16_t n)
    uint16_t rte_eth_tx_prepare(uint16_t port, uint16_t queue, rte_mbuf **mbufs, uint16_t n)
    int shim_link(uint16_t port, int *up, int *full_duplex, int *autoneg, uint32_t *mbps)
