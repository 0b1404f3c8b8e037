"""Frames of connections that the host is to have back: the miniport driver keeps them until the terminate (CH-204).

The target passes an URG segment and all behind it, and what comes behind a terminate has begun, up the ordinary path as
they come; the host is to get them only when the connection is its own again.
"""

from __future__ import annotations

from model.ndis.ip_packet import tcp_packet
from model.ndis.miniport_objects import OffloadedTcp
from model.ndis.offload_state import PathConst, TcpConst, structure_port

_URG, _TCP_BYTES = 0x20, 20
#: Frames of a connection that wait; what comes beyond that is lost, as on the wire.
MAX_HELD = 256


class UrgentFrames:
    """By the addresses and ports of a received frame: connections, and what is kept back for each."""

    def __init__(self) -> None:
        self._flows: dict[bytes, OffloadedTcp] = {}
        self._held: dict[OffloadedTcp, list[bytes]] = {}
        #: Packets, by addresses and identification, of which the first fragment is held: its connection.
        self._packets: dict[bytes, OffloadedTcp] = {}
        #: Frames that were lost because too many waited.
        self.dropped = 0

    def loaded(self, connection: OffloadedTcp, path: PathConst, const: TcpConst) -> None:
        """The device knows the connection from now on."""
        ports = (structure_port(port).to_bytes(2, "big") for port in (const.remote_port, const.local_port))
        self._flows[path.destination_address + path.source_address + b"".join(ports)] = connection

    def begins(self, connection: OffloadedTcp) -> None:
        """ReceivedUrgentData was raised, or a terminate has begun: nothing goes up before that has completed."""
        self._held.setdefault(connection, [])

    def keeps(self, frame: bytes) -> bool:
        """True if the frame waits for the terminate of its connection."""
        found = tcp_packet(frame)
        if found is None:
            return False
        ends = found.source + found.destination
        packet = ends + found.identification.to_bytes(4, "big")
        if found.offset:  # it has no ports: it goes where the first fragment of its packet went
            connection = self._packets.get(packet)
            return connection is not None and connection in self._held and self._hold(connection, frame)
        tcp = found.payload[:_TCP_BYTES]
        connection = self._flows.get(ends + tcp[:4]) if len(tcp) == _TCP_BYTES else None
        if connection is None:
            return False
        if connection.io.aborted and not (connection.terminating or connection in self._held):
            return False
        if tcp[13] & _URG:
            self.begins(connection)
        if connection not in self._held:
            return False
        if found.more:
            self._packets[packet] = connection
        return self._hold(connection, frame)

    def _hold(self, connection: OffloadedTcp, frame: bytes) -> bool:
        held = self._held[connection]
        if len(held) < MAX_HELD:
            held.append(frame)
        else:
            self.dropped += 1
        return True

    def gone(self, connection: OffloadedTcp) -> list[bytes]:
        """The connection is the host's again: what waited for that, in order."""
        self._flows = {flow: other for flow, other in self._flows.items() if other is not connection}
        self._packets = {packet: other for packet, other in self._packets.items() if other is not connection}
        return self._held.pop(connection, [])
