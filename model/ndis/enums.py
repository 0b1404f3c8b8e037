"""Enumerations of the chimney interface with their header values (NDIS sheet, 2.12-2.13, 3.2-3.6)."""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import Final


class OffloadStateType(IntEnum):
    """OFFLOAD_STATE_TYPE: ``Header.Type`` of a block-list node (3.2)."""

    NEIGHBOR_CONST = 1
    NEIGHBOR_CACHED = 2
    NEIGHBOR_DELEGATED = 3
    NEIGHBOR = 4
    IP4_CONST = 5
    IP4_CACHED = 6
    IP4_DELEGATED = 7
    IP4 = 8
    IP6_CONST = 9
    IP6_CACHED = 10
    IP6_DELEGATED = 11
    IP6 = 12
    TCP_CONST = 13
    TCP_CACHED = 14
    TCP_DELEGATED = 15
    TCP_RESOURCE = 16
    TCP = 17
    FILTER_RESERVED = 0xFE
    MAXIMUM = 0xFF

    @property
    def layer(self) -> Layer:
        """Level of the object this state belongs to."""
        if self <= OffloadStateType.NEIGHBOR:
            return Layer.NEIGHBOR
        if self <= OffloadStateType.IP6:
            return Layer.PATH
        return Layer.TCP


class Layer(IntEnum):
    """Levels of the offload tree, bottom first (1.2)."""

    NEIGHBOR = 1
    PATH = 2
    TCP = 3


CACHED_TYPE: Final = {
    OffloadStateType.NEIGHBOR: OffloadStateType.NEIGHBOR_CACHED,
    OffloadStateType.IP4: OffloadStateType.IP4_CACHED,
    OffloadStateType.IP6: OffloadStateType.IP6_CACHED,
    OffloadStateType.TCP: OffloadStateType.TCP_CACHED,
}
"""What an update of cached variables names an object of the "all" type by (2.4)."""
DELEGATED_TYPE: Final = {
    OffloadStateType.NEIGHBOR: OffloadStateType.NEIGHBOR_DELEGATED,
    OffloadStateType.IP4: OffloadStateType.IP4_DELEGATED,
    OffloadStateType.IP6: OffloadStateType.IP6_DELEGATED,
    OffloadStateType.TCP: OffloadStateType.TCP_DELEGATED,
}
"""What a terminate names an object of the "all" type by (2.2)."""
PATH_TYPE: Final = {4: OffloadStateType.IP4, 16: OffloadStateType.IP6}
"""The "all" type of a path whose addresses have so many bytes (3.3)."""


class TcpConnectionState(IntEnum):
    """TCP_OFFLOAD_CONNECTION_STATE (3.6)."""

    CLOSED = 0
    LISTEN = 1
    SYN_SENT = 2
    SYN_RCVD = 3
    ESTABLISHED = 4
    FIN_WAIT_1 = 5
    FIN_WAIT_2 = 6
    CLOSE_WAIT = 7
    CLOSING = 8
    LAST_ACK = 9
    TIME_WAIT = 10


#: States in which our FIN was sent and is not acknowledged.
FIN_TAKEN_STATES = frozenset((TcpConnectionState.CLOSE_WAIT, TcpConnectionState.CLOSING, TcpConnectionState.LAST_ACK))
"""The far end's FIN was received: no data comes behind it."""
FIN_SENT_STATES = frozenset(
    {TcpConnectionState.FIN_WAIT_1, TcpConnectionState.CLOSING, TcpConnectionState.LAST_ACK},
)

#: States in which a connection may be offloaded (CH-060).
OFFLOADABLE_STATES = frozenset(
    {
        TcpConnectionState.ESTABLISHED,
        TcpConnectionState.FIN_WAIT_1,
        TcpConnectionState.FIN_WAIT_2,
        TcpConnectionState.CLOSE_WAIT,
        TcpConnectionState.CLOSING,
        TcpConnectionState.LAST_ACK,
    }
)


class TcpEventType(IntEnum):
    """TCP_OFFLOAD_EVENT_TYPE (2.12)."""

    SEND_BACKLOG_CHANGE = 1
    DISCONNECT = 2
    RETRIEVE = 3
    ABORT = 4


class UploadReason(IntEnum):
    """TCP_UPLOAD_REASON (2.12)."""

    LOW_ACTIVITY = 1
    HIGH_DROP_RATE = 2
    SMALL_IO = 3
    NO_BUFFER_PREPOSTING = 4
    RECEIVED_URGENT_DATA = 5
    HIGH_FRAGMENTATION = 6
    HIGH_OUT_OF_ORDER_PACKETS = 7
    TIMEOUT_EXPIRATION = 8
    INVALID_STATE = 9
    UPLOAD_REQUESTED = 10
    HARDWARE_FAILURE = 11

    @property
    def mandatory(self) -> bool:
        """True where the host always uploads and the target stops processing."""
        return self in (
            UploadReason.RECEIVED_URGENT_DATA,
            UploadReason.TIMEOUT_EXPIRATION,
            UploadReason.INVALID_STATE,
            UploadReason.UPLOAD_REQUESTED,
            UploadReason.HARDWARE_FAILURE,
        )


class NeighborEvent(IntEnum):
    """INDICATE_OFFLOAD_EVENT (2.13)."""

    REACHABILITY_IN_DOUBT = 1
    REACHABILITY_QUERY = 2


class DisconnectFlags(IntFlag):
    """Flags of NdisOffloadTcpDisconnect (2.10)."""

    GRACEFUL = 0x01
    ABORTIVE = 0x02


class TcpConstFlags(IntFlag):
    """TCP_OFFLOAD_STATE_CONST.Flags (3.5)."""

    TIMESTAMP_ENABLED = 0x01
    SACK_ENABLED = 0x02
    WINDOW_SCALING_ENABLED = 0x04
    #: Not in NDIS: ECN was agreed on (RFC 3168 6.1.1).
    ECN_ENABLED = 0x08
    #: Not in NDIS: CUBIC instead of Reno (RFC 9438).
    CUBIC_ENABLED = 0x10


class TcpCachedFlags(IntFlag):
    """TCP_OFFLOAD_STATE_CACHED.Flags (3.5)."""

    KEEP_ALIVE_ENABLED = 0x01
    NAGLING_ENABLED = 0x02
    KEEP_ALIVE_RESTART = 0x04
    MAX_RT_RESTART = 0x08
    UPDATE_RCV_WND = 0x10


class NblInfo(IntEnum):
    """Slots of NetBufferListInfo the chimney uses (3.10)."""

    TCP_OFFLOAD_BYTES_TRANSFERRED = 0
    TCP_RECEIVE_NO_PUSH = 2
    TCP_RECEIVE_BYTES_TRANSFERRED = 17
