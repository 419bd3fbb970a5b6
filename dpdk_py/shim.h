/* What Cython cannot say of DPDK: thread-local macros, bit fields, and a packet pool with readable slack.
 * DPDK 22.11 and later. Only static inline functions; included by eal, mbuf and port alone. */
#ifndef FIXWIRE_DPDK_SHIM_H
#define FIXWIRE_DPDK_SHIM_H

#include <stdint.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_log.h>
#include <rte_mbuf.h>
#include <rte_mbuf_dyn.h>
#include <rte_mbuf_pool_ops.h>
#include <rte_mempool.h>
#include <rte_prefetch.h>
#include <rte_version.h>

static inline int shim_errno(void) { return rte_errno; }        /* thread-local, a macro */
static inline void shim_errno_clear(void) { rte_errno = 0; }

/* rte_pktmbuf_pool_create, except that each element has `slack` octets behind the room drivers may fill, so a
 * frame that fills its buffer can be over-read by vector loads. NULL and rte_errno on failure. */
static inline struct rte_mempool *
shim_pool_create(const char *name, unsigned n, unsigned cache, uint16_t room, unsigned slack, int socket)
{
    struct rte_pktmbuf_pool_private priv;
    unsigned elt = sizeof(struct rte_mbuf) + room + slack;
    struct rte_mempool *mp = rte_mempool_create_empty(name, n, elt, cache, sizeof(priv), socket, 0);
    int ret;

    if (mp == NULL)
        return NULL;
    memset(&priv, 0, sizeof(priv));
    priv.mbuf_data_room_size = room;
    ret = rte_mempool_set_ops_byname(mp, rte_mbuf_best_mempool_ops(), NULL);
    if (ret == 0) {
        rte_pktmbuf_pool_init(mp, &priv);
        ret = rte_mempool_populate_default(mp);
    }
    if (ret < 0) {
        rte_mempool_free(mp);
        rte_errno = -ret;
        return NULL;
    }
    rte_mempool_obj_iter(mp, rte_pktmbuf_init, NULL);
    return mp;
}

/* TX checksum offload of a frame that begins with `l2` octets of Ethernet and, if `l3` is not 0, `l3` of IPv4. */
static inline void shim_tx_offload(struct rte_mbuf *m, uint64_t flags, unsigned l2, unsigned l3, unsigned l4)
{
    m->ol_flags |= flags;
    m->l2_len = l2;
    m->l3_len = l3;
    m->l4_len = l4;
}

/* The port's receive time stamp, whose clock ticks `hz` times a second, as nanoseconds. */
static inline int64_t shim_timestamp_ns(const struct rte_mbuf *m, int offset, uint64_t hz)
{
    uint64_t ticks = *RTE_MBUF_DYNFIELD(m, offset, const uint64_t *);

    return (int64_t)(hz == 1000000000u ? ticks : (unsigned __int128)ticks * 1000000000u / hz);
}

static inline void shim_prefetch(const struct rte_mbuf *m) { rte_prefetch0(rte_pktmbuf_mtod(m, const void *)); }

/* rte_eth_link has bit fields. Negative errno, or 0 and *up, *full_duplex, *autoneg, *mbps. */
static inline int shim_link(uint16_t port, int *up, int *full_duplex, int *autoneg, uint32_t *mbps)
{
    struct rte_eth_link link;
    int ret;

    memset(&link, 0, sizeof(link));
    ret = rte_eth_link_get_nowait(port, &link);
    *up = link.link_status;
    *full_duplex = link.link_duplex;
    *autoneg = link.link_autoneg;
    *mbps = link.link_speed;
    return ret;
}

#endif
