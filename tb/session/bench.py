"""Bulk transfers for `make bench`: one direction at a time, a peer that acknowledges or sends without delay."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from enum import IntEnum

from model.ndis.calls import NdisCall
from model.ndis.file_transfer import AppPhase, FileTransferApp, FileTransferConfig
from model.ndis.framing import Endpoint
from model.ndis.memory import HostMemory, PageAllocator
from model.ndis.netbuffer import BufferShape
from model.ndis.soft_tcp import SoftTcpConfig
from tb.config import RunConfig
from tb.peers.applications import SinkApp, SourceApp
from tb.peers.base import Application
from tb.peers.connection import TcpConfig
from tb.peers.tcp_peer import PeerConfig
from tb.session.network import FIRST_LOCAL_PORT, PEER_IP, PEER_MAC, PEER_PORT, Network
from tb.session.transfer import Transfer

#: Bytes of a request, on the sending and on the receiving side.
REQUEST = 64 * 1024
#: Largest number of bytes the peer lets be under way.
PEER_BUFFER = 4 << 20
#: One MDL a request: whole pages, but for the first and the last, from any offset.
PAGES = BufferShape(max_net_buffers=1, max_mdls=1, max_slack=0, alignment=1)


class Play(IntEnum):
    """What is played."""

    SEND = 0
    RECEIVE = 1


class BulkApp(FileTransferApp):
    """Sends or receives ``data`` in requests of 64 KiB, then disconnects and terminates."""

    receives = False

    @property
    def _to_send(self) -> int:
        return 0 if self.receives else len(self.data)

    @property
    def _still_to_come(self) -> int:
        return len(self.data) - len(self.sink) if self.receives else 0

    @property
    def progress(self) -> float:
        """Share of the data that arrived or is acknowledged."""
        if self.receives:
            return len(self.sink) / len(self.data)
        waiting = 0 if self.connection is None else len(self.connection.ledger.sends)
        return (self._next - waiting) / len(self.data)

    def _post_receives(self) -> bool:
        return self.receives and super()._post_receives()

    def _disconnect(self) -> bool:
        over = self._offloaded()
        if self.receives and len(self.sink) < len(self.data):
            return False
        if not self.receives and (self._next < len(self.data) or over.ledger.sends):
            return False
        expected, self.sink = self.sink, bytearray(len(self.data))  # nothing more is waited for
        try:
            return super()._disconnect()
        finally:
            self.sink = expected

    def _software(self) -> bool:
        self._next = len(self.data)
        missing = len(self.data) - len(self.sink)
        self.sink += bytes(missing)
        try:
            return super()._software()
        finally:
            if missing:
                del self.sink[-missing:]


class BulkTransfer(Transfer):
    """A session with bulk data in one direction only."""

    def __init__(
        self,
        config: RunConfig,
        memory: HostMemory,
        allocator: PageAllocator,
        play: Play,
        issue: Callable[[NdisCall], None] | None = None,
    ) -> None:
        self.play = play
        settings = FileTransferConfig(
            tcp=SoftTcpConfig(timestamps=False, initial_cwnd=64 * 1024),
            send_sizes=((REQUEST, REQUEST, 1),),
            send_shape=PAGES,
            max_chain=1,
            receive_sizes=((REQUEST, REQUEST, 1),),
            receive_shape=PAGES,
            contiguous_receive=0.0,
            receive_windows=(4,),
            nonpush=1.0,
            zero_byte_receive=0.0,
            refuse=0.0,
            accept_part=0.0,
            reentrant_post=0.0,
        )
        super().__init__(config, memory, allocator, issue=issue, app_config=settings)
        self.host.clients.clear()
        remote = Endpoint(PEER_MAC, PEER_IP, PEER_PORT)
        tcp = replace(settings.tcp, initial_seq=0xFFFF_0000)
        self.apps = [BulkApp(self.host, replace(settings, tcp=tcp), self.data, remote, FIRST_LOCAL_PORT)]
        self.apps[0].receives = play is Play.RECEIVE  # type: ignore[attr-defined]
        self.peer_apps: list[SinkApp | SourceApp] = []
        peer = TcpConfig(
            timestamps=False, receive_buffer=PEER_BUFFER, send_buffer=PEER_BUFFER, nagle=False,
            initial_window_segments=64, initial_sequence=0xFFFF_8000,
        )  # fmt: skip
        self.network = Network(config, self._make_app, PeerConfig(tcp=peer), None)

    def _make_app(self, _index: int) -> Application:
        app = _GatedSource(self.data) if self.play is Play.RECEIVE else _KeepingSink()
        self.peer_apps.append(app)
        return app

    def pump(self) -> bool:
        """Open the peer's gate once the connection is offloaded and receives are posted."""
        moved = super().pump()
        connection = self.apps[0].connection
        for app in self.peer_apps:
            if isinstance(app, _GatedSource) and not app.open and connection is not None and connection.ledger.receives:
                app.open = True
                self.network.peer.connections[0].poke(self.host.now)
        return moved

    @property
    def progress(self) -> float:
        """Share of the data that arrived."""
        return self.apps[0].progress

    def peer_data(self) -> bytes:
        """What the peer's application received, or had to send."""
        app = self.peer_apps[0] if self.peer_apps else None
        return bytes(app.kept) if isinstance(app, _KeepingSink) else self.data

    def received_data(self) -> bytes:
        """What the host received, or had to send."""
        return bytes(self.apps[0].sink) if self.play is Play.RECEIVE else self.data

    def problems(self) -> list[str]:
        """Not done, not byte exact, or something complained."""
        found = [line for line in super().problems()]
        if self.apps[0].phase is not AppPhase.DONE:
            found.append("the session did not come to its end")
        if not self.sums().agree:
            found.append("the bytes that arrived are not those that were sent")
        if self.network.retransmissions:
            found.append(f"{self.network.retransmissions} segments sent again on a perfect wire")
        return found


class _GatedSource(SourceApp):
    """Sends nothing before it is ``open``: bulk data belongs to the offload, not to the software before it."""

    open = False

    def take(self, limit: int) -> bytes:
        """The next part of the data, once the way is open."""
        return super().take(limit) if self.open else b""

    def wants_close(self) -> bool:
        """When the other side has closed."""
        return self.ended


class _KeepingSink(SinkApp):
    """Keeps what it receives."""

    def __init__(self) -> None:
        super().__init__()
        self.kept = bytearray()

    def on_data(self, data: bytes) -> None:
        """Keep the next bytes."""
        super().on_data(data)
        self.kept += data
