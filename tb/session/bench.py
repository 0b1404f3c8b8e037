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
from tb.session.network import FIRST_LOCAL_PORT, PEER_ADDRESS, PEER_MAC, PEER_PORT, Network
from tb.session.statistics import Ask
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
    """Sends its data in requests of 64 KiB, or receives ``expected`` bytes; then disconnects and terminates."""

    expected = 0

    @property
    def _still_to_come(self) -> int:
        return self.expected - len(self.sink)

    @property
    def progress(self) -> float:
        """Share of the data that arrived, or went out."""
        return len(self.sink) / self.expected if self.expected else self._next / len(self.data)

    def _post_receives(self) -> bool:
        return len(self.sink) < self.expected and super()._post_receives()

    def _disconnect(self) -> bool:
        if len(self.sink) < self.expected or self._next < len(self.data) or self._offloaded().ledger.sends:
            return False
        return self._without_echo(super()._disconnect)

    def _software(self) -> bool:
        return self._without_echo(super()._software)

    def _without_echo(self, step: Callable[[], bool]) -> bool:
        """One step of the base class, which waits until as much came back as was sent."""
        real = self.sink
        self.sink = bytearray(len(self.data))
        try:
            return step()
        finally:
            self.sink = real


class BulkTransfer(Transfer):
    """A session with bulk data in one direction only."""

    asks_statistics = Ask.AT_THE_END

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
        remote = Endpoint(PEER_MAC, PEER_ADDRESS[config.family], PEER_PORT)
        tcp = replace(settings.tcp, initial_seq=0xFFFF_0000)
        receives = play is Play.RECEIVE
        own = b"" if receives else self.data
        app = BulkApp(self.host, replace(settings, tcp=tcp), own, remote, FIRST_LOCAL_PORT)
        app.expected = len(self.data) if receives else 0
        self.apps = [app]
        self.peer_apps: list[SinkApp | SourceApp] = []
        peer = TcpConfig(
            timestamps=False, receive_buffer=PEER_BUFFER, send_buffer=PEER_BUFFER, nagle=False,
            initial_window_segments=64, initial_sequence=0xFFFF_8000,
        )  # fmt: skip
        self.network = Network(config, self._make_app, PeerConfig(tcp=peer), None)
        self.network.tap = self.tap

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
                self.network.tcp_peer.connections[0].poke(self.host.now)
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
        # the software stack acknowledges once more when it takes the connection back, behind all that is measured
        found = [line for line in super().problems() if not line.startswith("wire: DUP-ACK")]
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
