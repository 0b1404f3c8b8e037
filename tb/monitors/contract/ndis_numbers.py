"""Numbers of the published headers, and which call does what (ndis.h, ntddndis.h, ndischimney.h)."""

from __future__ import annotations

from typing import Final

DEFAULT_MSS: Final = 536
"""Of a peer that named none, over IPv4 (RFC 9293 3.7.1)."""

ADDRESS_BYTES: Final = ((4, 4), (16, 16))
"""Source and destination address of a path over IPv4, over IPv6 (3.3)."""

# --- status values -----------------------------------------------------------------------------------------
SUCCESS: Final = 0
PENDING: Final = 0x103
PAUSE: Final = 0x40020001
UPLOAD_ALL: Final = 0x40020002
RESUME: Final = 0x40020003
PARTIAL_SUCCESS: Final = 0x40020004
FAILURE: Final = 0xC0000001
RESOURCES: Final = 0xC000009A
INVALID_STATE: Final = 0xC0000184
REQUEST_ABORTED: Final = 0xC001000C
UPLOAD_IN_PROGRESS: Final = 0xC0231001
REQUEST_UPLOAD: Final = 0xC0231002
UPLOAD_REQUESTED: Final = 0xC0231003
NOT_ACCEPTED: Final = 0xC023100E
PARTIALLY_ACCEPTED: Final = 0xC0231010
PATH_MTU: Final = 0xC0231FF1
"""A local code: the published headers have no number for it (G-13)."""
OFFLOADED: Final = frozenset({SUCCESS, PARTIAL_SUCCESS})

# --- state types -------------------------------------------------------------------------------------------
NEIGHBOR_STATE: Final = 4
IP6_STATE: Final = 12
TCP_STATE: Final = 17
RESOURCE_STATE: Final = 16
NEIGHBOR_LEVEL: Final = 1
PATH_LEVEL: Final = 2
TCP_LEVEL: Final = 3


def level(state_type: int) -> int:
    """Level of the object that an OFFLOAD_STATE_TYPE belongs to: 1 neighbor, 2 path, 3 TCP."""
    if state_type <= NEIGHBOR_STATE:
        return NEIGHBOR_LEVEL
    return PATH_LEVEL if state_type <= IP6_STATE else TCP_LEVEL


def swapped(port: int) -> int:
    """A 16-bit number with its bytes in the other order."""
    return (port & 0xFF) << 8 | port >> 8 & 0xFF


# --- TCP_OFFLOAD_CONNECTION_STATE --------------------------------------------------------------------------
CLOSED: Final = 0
ESTABLISHED: Final = 4
FIN_WAIT_1: Final = 5
FIN_WAIT_2: Final = 6
CLOSE_WAIT: Final = 7
CLOSING: Final = 8
LAST_ACK: Final = 9
TIME_WAIT: Final = 10
AFTER_PEER_FIN: Final = frozenset({CLOSE_WAIT, CLOSING, LAST_ACK, TIME_WAIT})
AFTER_OWN_FIN: Final = frozenset({FIN_WAIT_1, FIN_WAIT_2, CLOSING, LAST_ACK, TIME_WAIT})

# --- flags -------------------------------------------------------------------------------------------------
TIMESTAMPS: Final = 1
SACK: Final = 2
WINDOW_SCALING: Final = 4
ECN: Final = 0x08
CUBIC: Final = 0x10
ECN_BITS: Final = 0x03
"""Of the type of service or traffic class: the transport's where it uses ECN (RFC 3168 5)."""
KEEP_ALIVE_ENABLED: Final = 0x01
KEEP_ALIVE_RESTART: Final = 0x04
MAX_RT_RESTART: Final = 0x08
UPDATE_RCV_WND: Final = 0x10
GRACEFUL: Final = 1
ABORTIVE: Final = 2
DISCONNECTS: Final = (GRACEFUL, ABORTIVE)
"""Flags of a disconnect: one of them, alone (2.10)."""
NOT_RUNNING: Final = 0xFFFFFFFF

# --- TCP_OFFLOAD_EVENT_TYPE and TCP_UPLOAD_REASON ----------------------------------------------------------
DISCONNECT_EVENT: Final = 2
RETRIEVE_EVENT: Final = 3
ABORT_EVENT: Final = 4
URGENT_DATA: Final = 5
TIMEOUT_EXPIRATION: Final = 8
INVALID: Final = 9
UPLOAD_WANTED: Final = 10
HARDWARE_FAILURE: Final = 11
MANDATORY: Final = frozenset({5, 8, 9, 10, 11})
OPTIONAL: Final = frozenset({1, 2, 3, 4, 6, 7})
IN_DOUBT: Final = 1
REACHABILITY_QUERY: Final = 2

# --- NDIS_OBJECT_TYPE --------------------------------------------------------------------------------------
PROVIDER_GENERIC: Final = 0x8F
PROVIDER_TCP: Final = 0x94
CHIMNEY_CHARACTERISTICS: Final = frozenset({0x8E, PROVIDER_GENERIC, 0x93, PROVIDER_TCP})
"""Of NdisSetOptionalHandlers: what clients and providers of the chimney register."""

# --- OIDs --------------------------------------------------------------------------------------------------
OID_PARAMETERS: Final = 0xFC030201
OID_TASK_OFFLOAD: Final = 0xFC010201

# --- calls -------------------------------------------------------------------------------------------------
INITIATE: Final = "MiniportInitiateOffload"
TERMINATE: Final = "MiniportTerminateOffload"
UPDATE: Final = "MiniportUpdateOffload"
INVALIDATE: Final = "MiniportInvalidateOffload"
QUERY: Final = "MiniportQueryOffload"
SEND: Final = "MiniportTcpOffloadSend"
RECEIVE: Final = "MiniportTcpOffloadReceive"
DISCONNECT: Final = "MiniportTcpOffloadDisconnect"
FORWARD: Final = "MiniportTcpOffloadForward"
RETURN: Final = "MiniportTcpOffloadReceiveReturn"
OID: Final = "MiniportOidRequest"
EVENT: Final = "NdisTcpOffloadEventHandler"
INDICATE: Final = "NdisTcpOffloadReceiveHandler"
NEIGHBOR_EVENT: Final = "NdisMOffloadEventIndicate"
STATUS: Final = "NdisMIndicateStatusEx"
INITIATED: Final = "NdisMInitiateOffloadComplete"
TERMINATED: Final = "NdisMTerminateOffloadComplete"
UPDATED: Final = "NdisMUpdateOffloadComplete"
INVALIDATED: Final = "NdisMInvalidateOffloadComplete"
QUERIED: Final = "NdisMQueryOffloadStateComplete"
STATE_CALLS: Final = {
    INITIATE: INITIATED,
    TERMINATE: TERMINATED,
    UPDATE: UPDATED,
    INVALIDATE: INVALIDATED,
    QUERY: QUERIED,
}
STATE_COMPLETIONS: Final = frozenset(STATE_CALLS.values())
REQUESTS: Final = {SEND: "send", RECEIVE: "receive", DISCONNECT: "disconnect", FORWARD: "forward"}
COMPLETIONS: Final = {
    "NdisTcpOffloadSendComplete": "send",
    "NdisTcpOffloadReceiveComplete": "receive",
    "NdisTcpOffloadDisconnectComplete": "disconnect",
    "NdisTcpOffloadForwardComplete": "forward",
}
COMPLETION_OF: Final = {kind: function for function, kind in COMPLETIONS.items()}


def taken(indicated: int, result: int | None, consumed: int | None) -> int:
    """Bytes of an indication that the host took; a count that cannot be says none (CH-150)."""
    if result == SUCCESS:
        return indicated
    partial = result == PARTIALLY_ACCEPTED and consumed is not None and 0 < consumed < indicated
    return consumed or 0 if partial else 0
