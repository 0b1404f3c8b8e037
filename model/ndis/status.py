"""NDIS status values and which call may carry which (NDIS sheet, section 4)."""

from __future__ import annotations

from enum import Enum, IntEnum


class NdisStatus(IntEnum):
    """NDIS status numbers; a member is the documented name without ``NDIS_STATUS_``."""

    SUCCESS = 0x0000_0000
    PENDING = 0x0000_0103
    NOT_ACCEPTED = 0x0001_0003
    OFFLOAD_PAUSE = 0x4002_0001
    UPLOAD_ALL = 0x4002_0002
    OFFLOAD_RESUME = 0x4002_0003
    OFFLOAD_PARTIAL_SUCCESS = 0x4002_0004
    OFFLOAD_STATE_INVALID = 0x4002_0005
    TCP_CONNECTION_OFFLOAD_HARDWARE_CAPABILITIES = 0x4002_000B
    OFFLOAD_IM_RESERVED1 = 0x4002_0100
    OFFLOAD_IM_RESERVED2 = 0x4002_0101
    OFFLOAD_IM_RESERVED3 = 0x4002_0102
    FAILURE = 0xC000_0001
    RESOURCES = 0xC000_009A
    NOT_SUPPORTED = 0xC000_00BB
    INVALID_STATE = 0xC000_0184
    REQUEST_ABORTED = 0xC001_000C
    INVALID_DATA = 0xC001_0015
    SEND_ABORTED = 0xC023_000C
    PAUSED = 0xC023_002A
    UPLOAD_IN_PROGRESS = 0xC023_1001
    REQUEST_UPLOAD = 0xC023_1002
    UPLOAD_REQUESTED = 0xC023_1003
    OFFLOAD_TCP_ENTRIES = 0xC023_1004
    OFFLOAD_PATH_ENTRIES = 0xC023_1005
    OFFLOAD_NEIGHBOR_ENTRIES = 0xC023_1006
    OFFLOAD_IP_ADDRESS_ENTRIES = 0xC023_1007
    OFFLOAD_HW_ADDRESS_ENTRIES = 0xC023_1008
    OFFLOAD_VLAN_ENTRIES = 0xC023_1009
    OFFLOAD_TCP_XMIT_BUFFER = 0xC023_100A
    OFFLOAD_TCP_RCV_BUFFER = 0xC023_100B
    OFFLOAD_TCP_RCV_WINDOW = 0xC023_100C
    OFFLOAD_VLAN_MISMATCH = 0xC023_100D
    OFFLOAD_DATA_NOT_ACCEPTED = 0xC023_100E
    OFFLOAD_POLICY = 0xC023_100F
    OFFLOAD_DATA_PARTIALLY_ACCEPTED = 0xC023_1010
    OFFLOAD_REQUEST_RESET = 0xC023_1011
    OFFLOAD_CONNECTION_REJECTED = 0xC023_1012
    #: No published number: a local code, mapped to FAILURE at a real NDIS boundary (G-13).
    OFFLOAD_PATH_MTU = 0xC023_1FF1

    @property
    def ndis_name(self) -> str:
        """The name as a driver header spells it."""
        return f"NDIS_STATUS_{self.name}"

    @property
    def offloaded(self) -> bool:
        """True where a node of an initiate tree with this status is offloaded itself."""
        return self in (NdisStatus.SUCCESS, NdisStatus.OFFLOAD_PARTIAL_SUCCESS)


class CompletionKind(Enum):
    """What a status belongs to: the columns of table 4.2."""

    INITIATE = "initiate"
    TERMINATE = "terminate"
    UPDATE = "update"
    QUERY = "query"
    INVALIDATE = "invalidate"
    SEND = "send"
    RECEIVE = "receive"
    DISCONNECT = "disconnect"
    FORWARD = "forward"
    INDICATE = "indicate"


_S = NdisStatus
_NODE = frozenset({_S.SUCCESS, _S.FAILURE})
#: What every I/O request may come back with; the last two are an intermediate driver's (G-14).
_IO = frozenset({_S.SUCCESS, _S.REQUEST_ABORTED, _S.UPLOAD_IN_PROGRESS, _S.REQUEST_UPLOAD, _S.UPLOAD_REQUESTED})

#: Table 4.2: the statuses a completion (or an indication's return) may carry.
LEGAL_STATUS: dict[CompletionKind, frozenset[NdisStatus]] = {
    CompletionKind.INITIATE: frozenset(
        {
            _S.SUCCESS,
            _S.OFFLOAD_PARTIAL_SUCCESS,
            _S.FAILURE,
            _S.RESOURCES,
            _S.OFFLOAD_TCP_ENTRIES,
            _S.OFFLOAD_PATH_ENTRIES,
            _S.OFFLOAD_NEIGHBOR_ENTRIES,
            _S.OFFLOAD_HW_ADDRESS_ENTRIES,
            _S.OFFLOAD_IP_ADDRESS_ENTRIES,
            _S.OFFLOAD_TCP_XMIT_BUFFER,
            _S.OFFLOAD_TCP_RCV_BUFFER,
            _S.OFFLOAD_TCP_RCV_WINDOW,
            _S.OFFLOAD_VLAN_ENTRIES,
            _S.OFFLOAD_VLAN_MISMATCH,
            _S.OFFLOAD_PATH_MTU,
            _S.OFFLOAD_CONNECTION_REJECTED,
        }
    ),
    CompletionKind.TERMINATE: _NODE,
    CompletionKind.UPDATE: _NODE,
    CompletionKind.QUERY: _NODE,
    CompletionKind.INVALIDATE: _NODE,
    CompletionKind.SEND: _IO | {_S.FAILURE},
    CompletionKind.RECEIVE: _IO | {_S.INVALID_STATE},
    CompletionKind.DISCONNECT: _IO,
    CompletionKind.FORWARD: _IO,
    CompletionKind.INDICATE: frozenset({_S.SUCCESS, _S.OFFLOAD_DATA_NOT_ACCEPTED, _S.OFFLOAD_DATA_PARTIALLY_ACCEPTED}),
}
