from collections.abc import Iterable

from typing_extensions import disjoint_base

from dpdk_py.base import Device

SOL_PACKET: int
PACKET_ADD_MEMBERSHIP: int
PACKET_DROP_MEMBERSHIP: int
PACKET_RX_RING: int
PACKET_STATISTICS: int
PACKET_VERSION: int
PACKET_RESERVE: int
PACKET_QDISC_BYPASS: int
PACKET_IGNORE_OUTGOING: int
PACKET_MR_MULTICAST: int
PACKET_MR_PROMISC: int
ETH_P_ALL: int
ARPHRD_ETHER: int
ARPHRD_LOOPBACK: int
SIOCGIFFLAGS: int
SIOCGIFMTU: int
SIOCGIFHWADDR: int
IFF_UP: int
IFF_RUNNING: int
CAPABILITY: str

def unavailable() -> tuple[str, str]: ...

@disjoint_base
class AfPacketDevice(Device):
    def __init__(
        self,
        interface: str,
        *,
        ring: int = 1024,
        buffers: int = 1024,
        promiscuous: bool = False,
        multicast: Iterable[bytes | str] = (),
    ) -> None: ...
    @property
    def interface(self) -> str: ...
    @property
    def ifindex(self) -> int: ...
    @property
    def advice(self) -> str | None: ...
    @property
    def tx_error(self) -> str | None: ...
    @property
    def link_up(self) -> bool: ...
    @property
    def ring_frames(self) -> int: ...
    @property
    def free_buffers(self) -> int: ...
    def set_multicast(self, addresses: Iterable[bytes | str]) -> None: ...
