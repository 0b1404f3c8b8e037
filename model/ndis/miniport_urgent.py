"""Frames of connections that the host is to have back: the miniport driver keeps them until the terminate (CH-204).

The target passes an URG segment and all behind it, and what comes behind a terminate has begun, up the ordinary path as
they come; the host is to get them only when the connection is its own again.
"""

from __future__ import annotations

from model.ndis.miniport_objects import OffloadedTcp
from model.ndis.offload_state import PathConst, TcpConst, structure_port

_ETHERTYPE, _IPV4, _TAG = slice(12, 14), b"\x08\x00", b"\x81\x00"
_VERSION_AND_LENGTH, _PROTOCOL_TCP, _URG = 0x45, 6, 0x20
#: Frames of a connection that wait; what comes beyond that is lost, as on the wire.
MAX_HELD = 256


class UrgentFrames:
    """By the addresses and ports of a received frame: connections, and what is kept back for each."""

    def __init__(self) -> None:
        self._flows: dict[bytes, OffloadedTcp] = {}
        self._held: dict[OffloadedTcp, list[bytes]] = {}

    def loaded(self, connection: OffloadedTcp, path: PathConst, const: TcpConst) -> None:
        """The device knows the connection from now on."""
        ports = (structure_port(port).to_bytes(2, "big") for port in (const.remote_port, const.local_port))
        self._flows[path.destination_address + path.source_address + b"".join(ports)] = connection

    def begins(self, connection: OffloadedTcp) -> None:
        """ReceivedUrgentData was raised, or a terminate has begun: nothing goes up before that has completed."""
        self._held.setdefault(connection, [])

    def keeps(self, frame: bytes) -> bool:
        """True if the frame waits for the terminate of its connection."""
        at = 18 if frame[_ETHERTYPE] == _TAG else 14
        plain = frame[at - 2 : at] == _IPV4 and frame[at : at + 1] == bytes((_VERSION_AND_LENGTH,))
        if not plain or len(frame) < at + 40 or frame[at + 9] != _PROTOCOL_TCP:
            return False
        connection = self._flows.get(frame[at + 12 : at + 24])
        if connection is None:
            return False
        if connection.io.aborted and not (connection.terminating or connection in self._held):
            return False
        if frame[at + 33] & _URG:
            self.begins(connection)
        held = self._held.get(connection)
        if held is not None and len(held) < MAX_HELD:
            held.append(frame)
        return held is not None

    def gone(self, connection: OffloadedTcp) -> list[bytes]:
        """The connection is the host's again: what waited for that, in order."""
        self._flows = {flow: other for flow, other in self._flows.items() if other is not connection}
        return self._held.pop(connection, [])
