"""What drivers tell NDIS at start, and what the host asks and sets by OID (NDIS sheet, 2.1, 2.14, 2.15, 3.7-3.9).

Field names are the NDIS names in snake_case. Tables keep the order of the header.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Final

from model.ndis.enums import DisconnectFlags, TcpEventType
from model.ndis.netbuffer import NetBufferList
from model.ndis.offload_state import OffloadBlock
from model.ndis.status import NdisStatus


class RegistrationError(Exception):
    """A driver registered against the rules; the message begins with the rule."""


@dataclass(frozen=True, eq=False)
class NdisHandle:
    """An NDIS_HANDLE: told apart by identity alone. ``what`` is its name in the documents."""

    what: str


class ChimneyType(IntEnum):
    """NDIS_CHIMNEY_OFFLOAD_TYPE; only TCP is usable (CH-003)."""

    TCP = 1
    IPSEC = 2
    RDMA = 3


class Oid(IntEnum):
    """The object identifiers of the chimney (2.15)."""

    TCP_OFFLOAD_PARAMETERS = 0xFC01_020C
    TCP_CONNECTION_OFFLOAD_CURRENT_CONFIG = 0xFC01_020E
    TCP_CONNECTION_OFFLOAD_HARDWARE_CAPABILITIES = 0xFC01_020F
    TCP4_OFFLOAD_STATS = 0xFC01_0207
    TCP6_OFFLOAD_STATS = 0xFC01_0208
    IP4_OFFLOAD_STATS = 0xFC01_0209
    IP6_OFFLOAD_STATS = 0xFC01_020A
    TCP_CONNECTION_OFFLOAD_PARAMETERS = 0xFC03_0201
    PNP_SET_POWER = 0xFD01_0101
    OFFLOAD_ENCAPSULATION = 0x0101_010A
    GEN_VLAN_ID = 0x0001_021C


STATISTICS_OIDS: Final = (
    Oid.TCP4_OFFLOAD_STATS,
    Oid.TCP6_OFFLOAD_STATS,
    Oid.IP4_OFFLOAD_STATS,
    Oid.IP6_OFFLOAD_STATS,
)
"""A query tells the counters, a set makes them zero (CH-015)."""


class PowerState(IntEnum):
    """NDIS_DEVICE_POWER_STATE, the payload of PNP_SET_POWER."""

    D0 = 1
    D1 = 2
    D2 = 3
    D3 = 4


class Encapsulation(IntFlag):
    """NDIS_ENCAPSULATION bits of NDIS_TCP_CONNECTION_OFFLOAD (3.7)."""

    NULL = 0x01
    IEEE_802_3 = 0x02
    IEEE_802_3_P_AND_Q = 0x04
    IEEE_802_3_P_AND_Q_IN_OOB = 0x08
    IEEE_LLC_SNAP_ROUTED = 0x10


@dataclass(frozen=True)
class TcpConnectionOffload:
    """NDIS_TCP_CONNECTION_OFFLOAD: the capabilities of an offload target (3.7)."""

    capacity: int
    encapsulation: Encapsulation = Encapsulation.IEEE_802_3
    support_ipv4: bool = True
    support_ipv6: bool = False
    support_ipv6_extension_headers: bool = False
    support_sack: bool = False

    @property
    def usable(self) -> bool:
        """The host counts it as a chimney (CH-004, CH-005)."""
        framed = self.encapsulation & (Encapsulation.IEEE_802_3 | Encapsulation.IEEE_LLC_SNAP_ROUTED)
        return bool(framed) and (self.support_ipv4 or self.support_ipv6) and self.capacity > 0


@dataclass(frozen=True)
class TcpConnectionOffloadParameters:
    """NDIS_TCP_CONNECTION_OFFLOAD_PARAMETERS, revision 1 (3.8): what every connection's timers count in."""

    ticks_per_second: int = 1000
    tcp_ack_frequency: int = 2
    tcp_delayed_ack_ticks: int = 100
    tcp_maximum_retransmissions: int = 5
    tcp_doubt_reachability_retransmissions: int = 3
    tcp_sws_prevention_ticks: int = 200
    tcp_duplicate_ack_threshold: int = 3
    tcp_push_ticks: int = 500
    nce_stale_ticks: int = 30_000
    encapsulation: Encapsulation = Encapsulation.IEEE_802_3


class Switch(IntEnum):
    """NDIS_OFFLOAD_PARAMETERS_NO_CHANGE, _CONNECTION_OFFLOAD_DISABLED and _CONNECTION_OFFLOAD_ENABLED."""

    NO_CHANGE = 0
    DISABLED = 1
    ENABLED = 2


@dataclass(frozen=True)
class OffloadParameters:
    """NDIS_OFFLOAD_PARAMETERS, the switches of connection offload (2.15)."""

    tcp_connection_ipv4: Switch = Switch.NO_CHANGE
    tcp_connection_ipv6: Switch = Switch.NO_CHANGE


@dataclass(frozen=True)
class TcpOffloadStats:
    """TCP_OFFLOAD_STATS (3.9): one set per interface and IP version."""

    in_segments: int = 0
    out_segments: int = 0
    currently_established: int = 0
    reset_established: int = 0
    retransmitted_segments: int = 0
    in_errors: int = 0
    out_resets: int = 0


@dataclass(frozen=True)
class IpOffloadStats:
    """IP_OFFLOAD_STATS (3.9); octets are IP header and payload."""

    in_receives: int = 0
    in_octets: int = 0
    in_delivers: int = 0
    out_requests: int = 0
    out_octets: int = 0
    in_header_errors: int = 0
    in_truncated_packets: int = 0
    in_discards: int = 0
    out_discards: int = 0
    out_no_routes: int = 0


OidPayload = (
    TcpConnectionOffload
    | TcpConnectionOffloadParameters
    | OffloadParameters
    | TcpOffloadStats
    | IpOffloadStats
    | PowerState
    | Encapsulation
    | int
)


@dataclass(eq=False)
class OidRequest:
    """NDIS_OID_REQUEST: a query (``set`` False) is answered in ``buffer``, a set is read from it."""

    oid: Oid
    set: bool = False
    buffer: OidPayload | None = None
    #: ImReserved of the request: who passes it on keeps its own note of it here.
    im_reserved: object = None


@dataclass(frozen=True)
class OffloadAttributes:
    """NDIS_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES, the connection offload part.

    ``adapter_context`` is MiniportAdapterContext, which comes back with every call into the miniport.
    """

    adapter_context: object
    default_tcp_connection_offload: TcpConnectionOffload | None = None
    tcp_connection_offload_hardware_capabilities: TcpConnectionOffload | None = None


StateHandler = Callable[[object, OffloadBlock], None]
CompleteHandler = Callable[[object, NetBufferList], None]


@dataclass(frozen=True)
class ProviderGeneric:
    """NDIS_PROVIDER_CHIMNEY_OFFLOAD_GENERIC_CHARACTERISTICS: the miniport's state calls."""

    initiate: StateHandler
    terminate: StateHandler
    update: StateHandler
    invalidate: StateHandler
    query: StateHandler


@dataclass(frozen=True)
class ProviderTcp:
    """NDIS_PROVIDER_CHIMNEY_OFFLOAD_TCP_CHARACTERISTICS: the miniport's I/O calls."""

    send: Callable[[object, int, NetBufferList], NdisStatus]
    receive: Callable[[object, int, NetBufferList], NdisStatus]
    disconnect: Callable[[object, int, NetBufferList, DisconnectFlags], NdisStatus]
    forward: Callable[[object, int, NetBufferList], NdisStatus]
    receive_return: Callable[[object, NetBufferList], NdisStatus]
    offload_type: ChimneyType = ChimneyType.TCP


@dataclass(frozen=True)
class ClientGeneric:
    """NDIS_CLIENT_CHIMNEY_OFFLOAD_GENERIC_CHARACTERISTICS: what a protocol face takes up of state calls."""

    initiate_complete: StateHandler
    terminate_complete: StateHandler
    update_complete: StateHandler
    invalidate_complete: StateHandler
    query_complete: StateHandler
    indicate_offload_event: Callable[[object, OffloadBlock | None, int], None]


@dataclass(frozen=True)
class ClientTcp:
    """NDIS_CLIENT_CHIMNEY_OFFLOAD_TCP_CHARACTERISTICS: what a protocol face takes up of I/O calls."""

    send_complete: CompleteHandler
    receive_complete: CompleteHandler
    disconnect_complete: CompleteHandler
    forward_complete: CompleteHandler
    event: Callable[[object, TcpEventType, int], None]
    receive_indicate: Callable[[object, NetBufferList, NdisStatus], tuple[NdisStatus, int]]
    offload_type: ChimneyType = ChimneyType.TCP


@dataclass(frozen=True)
class TcpEventHandlers:
    """NDIS_TCP_OFFLOAD_EVENT_HANDLERS: the only way up for TCP completions and indications (CH-002)."""

    event: Callable[[object, TcpEventType, int], None]
    receive: Callable[[object, NetBufferList, NdisStatus], tuple[NdisStatus, int]]
    send_complete: CompleteHandler
    receive_complete: CompleteHandler
    disconnect_complete: CompleteHandler
    forward_complete: CompleteHandler
    #: Header.Type: the chimney type the table is for.
    type: ChimneyType = ChimneyType.TCP
    revision: int = 1
    #: Header and six entry points on a 64-bit host, bytes.
    size: int = 56
