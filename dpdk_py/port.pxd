# Port: one DPDK ethdev. DpdkDevice: one queue pair of it as a device (dpdk_py/device.pxd).
from dpdk_py.base cimport Device
from dpdk_py.dpdk cimport rte_eth_dev_info
from dpdk_py.queue cimport dpdk_queue
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

cdef class Port:
    cdef uint16_t id_
    cdef rte_eth_dev_info info
    cdef uint8_t mac_[6]
    cdef readonly str name
    cdef readonly str driver
    cdef readonly bint closed
    cdef readonly int socket            # NUMA node of the pools, -1 where the port has none
    cdef readonly int rx_queues
    cdef readonly int tx_queues
    cdef readonly int rx_descriptors
    cdef readonly int tx_descriptors
    cdef readonly tuple pools           # one Mempool a queue pair
    cdef readonly tuple multicast       # addresses received, in the port's filter or by all-multicast
    cdef readonly bint allmulticast     # the port has no filter list, so it receives every multicast frame
    cdef bint attached
    cdef bint started
    cdef bint promiscuous_set           # by us, so close puts it back
    cdef uint64_t rx_offloads
    cdef uint64_t tx_offloads
    cdef uint64_t ts_flag
    cdef uint64_t ts_hz
    cdef int ts_offset
    cdef object devices                 # WeakSet of DpdkDevice
    cdef object __weakref__

    cdef int require(self) except -1
    cdef object failed(self, int ret, str what, object mark)
    cdef int configure(self, dict o) except -1
    cdef int ask_timestamps(self, object hz) except -1
    cdef int room_for(self, int mtu, object room, str devargs) except -1
    cdef int read_mac(self, object mac) except -1

cdef class DpdkDevice(Device):
    cdef dpdk_queue q
    cdef readonly Port port
    cdef readonly int queue
    cdef bint owns_port

    cdef int size_for(self, int mtu) except -1
    cdef uint32_t capabilities(self) noexcept
