"""The main job as a session: host stack, applications, driver and network around any device.

A file is cut into as many slices as there are connections; each slice travels out on its connection, is echoed by the
peer and comes back through posted receives and indications.
"""

from __future__ import annotations

import hashlib
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from model.ndis.calls import MiniportFace, NdisCall
from model.ndis.enums import TcpConnectionState
from model.ndis.file_transfer import AppPhase, FileTransferApp, FileTransferConfig
from model.ndis.framing import Endpoint
from model.ndis.host import HostConfig, NdisHost
from model.ndis.memory import HostMemory, PageAllocator
from model.wire.impair import shortfalls
from tb.config import RunConfig
from tb.peers.applications import EchoApp
from tb.peers.connection import TcpConfig
from tb.peers.judge import JudgeRules
from tb.peers.tcp_peer import PeerConfig
from tb.session.network import FIRST_LOCAL_PORT, NIC_IP, NIC_MAC, PEER_IP, PEER_MAC, PEER_PORT, Network

#: Bound on rounds of host activity without time passing; reaching it means that the host chases its own tail.
MAX_ROUNDS = 100_000
#: Pool bytes that all connections' receive windows share: 1024 buffers, half of each counted (a segment takes one).
POOL_BYTES = 1 << 20


class SessionError(Exception):
    """A run that cannot go on; the message says what stands still."""


class RecordingEcho(EchoApp):
    """The peer's application: echoes, and keeps what it received."""

    def __init__(self) -> None:
        super().__init__()
        self.received = bytearray()

    def on_data(self, data: bytes) -> None:
        """Keep and echo the next bytes."""
        self.received += data
        super().on_data(data)


@dataclass(frozen=True)
class Sums:
    """SHA-256 of the file, of what the peer's application received, of what the host got back."""

    sent: str
    peer: str
    received: str

    @property
    def agree(self) -> bool:
        """All three are equal."""
        return self.sent == self.peer == self.received


def file_data(config: RunConfig) -> bytes:
    """The bytes to send: FILE, or SIZE bytes made from SEED."""
    if config.file is not None:
        return config.file.read_bytes()
    return random.Random(f"file/{config.seed}").randbytes(config.size)


def slices(data: bytes, count: int) -> list[bytes]:
    """``count`` contiguous parts of nearly equal length; a part may be empty only if the data is that short."""
    cuts = [len(data) * i // count for i in range(count + 1)]
    return [data[a:b] for a, b in itertools.pairwise(cuts)]


class Transfer:
    """Host, applications and network of one run; the device and its driver are attached from outside."""

    #: What is behind the wire; tests put their own here.
    network_type: type[Network] = Network

    def __init__(
        self,
        config: RunConfig,
        memory: HostMemory,
        allocator: PageAllocator,
        *,
        capture: Path | None = None,
        issue: Callable[[NdisCall], None] | None = None,
        app_config: FileTransferConfig | None = None,
    ) -> None:
        self.config = config
        self.data = file_data(config)
        if len(self.data) < config.conns:
            raise SessionError(f"{len(self.data)} bytes are too few for {config.conns} connections")
        self.host = NdisHost(memory, allocator, NIC_MAC, NIC_IP, HostConfig(seed=config.seed), issue)
        remote = Endpoint(PEER_MAC, PEER_IP, PEER_PORT)
        base = app_config or FileTransferConfig()
        self.apps: list[FileTransferApp] = []
        self.echoes: list[RecordingEcho] = []
        for number, part in enumerate(slices(self.data, config.conns)):
            rng = random.Random(f"app/{config.seed}/{number}")
            # by default everything is about to wrap: sequence numbers both ways, timestamps
            window = min(base.tcp.initial_rcv_wnd, POOL_BYTES // config.conns)
            seq = 0xFFFF_F000 - rng.randrange(1 << 15)
            tcp = replace(base.tcp, initial_rcv_wnd=window, initial_seq=seq, initial_ts=0xFFFF_FF00)
            settings = replace(base, seed=rng.getrandbits(32), tcp=tcp)
            self.apps.append(FileTransferApp(self.host, settings, part, remote, FIRST_LOCAL_PORT + number))
        peer = PeerConfig(
            tcp=TcpConfig(mss=config.mss, initial_sequence=0xFFFF_E000 - config.seed % 4096),
            rules=JudgeRules(damaged_path=config.corrupt > 0),
        )
        self.network = self.network_type(config, self._make_echo, peer, capture)
        self.host.on_abort = lambda connection: self.network.expect_reset(connection.stack.tcp.local.port)
        self._skipped = 0
        #: Whether nothing is on its way between network and host: in the device, or waiting to enter it.
        self.quiet: Callable[[], bool] = lambda: True

    def _make_echo(self, _index: int) -> RecordingEcho:
        echo = RecordingEcho()
        self.echoes.append(echo)
        return echo

    def attach(self, driver: MiniportFace) -> None:
        """Bind the miniport driver below the host."""
        self.host.attach(driver)

    def on_tick(self, tick: int) -> None:
        """Time has come to ``tick`` for the host."""
        self.host.on_tick(tick + self._skipped)

    def pump(self) -> bool:
        """Let the host do all that is possible now; True if it did anything."""
        progress = False
        for _ in range(MAX_ROUNDS):
            if not self.host.step() and not self._skip_time_wait():
                return progress
            progress = True
        raise SessionError("the host never comes to rest: it goes on issuing calls without time passing")

    def _only_time_wait(self) -> bool:
        """Nothing is left but software connections in TIME_WAIT; wire and peer have nothing under way."""
        if any(app.phase is not AppPhase.SOFTWARE and not app.done for app in self.apps):
            return False
        waiting = [app for app in self.apps if not app.done]
        if not waiting or any(app.tcp_state is not TcpConnectionState.TIME_WAIT for app in waiting):
            return False
        return self.network.next_deadline() is None

    def _skip_time_wait(self) -> bool:
        """Let TIME_WAIT pass when nothing can come any more, and the device is quiet too.

        The host's clock runs ahead of the device's from then on; no offload is left that could tell.
        """
        if not self._only_time_wait() or not self.quiet():
            return False
        deadline = self.host.next_deadline()
        if deadline is None or deadline <= self.host.now:
            return False
        self._skipped += deadline - self.host.now
        self.host.on_tick(deadline)
        return True

    def next_deadline(self) -> int | None:
        """The tick at which host or network have something to do next."""
        host, network = self.host.next_deadline(), self.network.next_deadline()
        soon = self.host.now - self._skipped + 2 if self._only_time_wait() else None
        ticks = [None if host is None else host - self._skipped, network, soon]
        return min((t for t in ticks if t is not None), default=None)

    @property
    def done(self) -> bool:
        """Every connection is over and everything is back."""
        return self.host.done

    @property
    def progress(self) -> float:
        """Share of the file that came back, 0..1."""
        return sum(len(app.sink) for app in self.apps) / len(self.data)

    def peer_data(self) -> bytes:
        """What the peer's applications received, in the order of the slices."""
        by_port = {}
        for connection, echo in zip(self.network.peer.connections, self.echoes, strict=True):
            by_port[connection.addresses.other_port] = bytes(echo.received)
        return b"".join(by_port.get(app.local_port, b"") for app in self.apps)

    def received_data(self) -> bytes:
        """What came back through receive completions and indications, in the order of the slices."""
        return b"".join(bytes(app.sink) for app in self.apps)

    def sums(self) -> Sums:
        """The three SHA-256 sums."""
        return Sums(*(hashlib.sha256(d).hexdigest() for d in (self.data, self.peer_data(), self.received_data())))

    def problems(self) -> list[str]:
        """Everything that the host side, the peer and the monitors hold against this run."""
        found = [f"connection {n}: {app.failure}" for n, app in enumerate(self.apps) if app.phase is AppPhase.FAILED]
        found += [f"connection {n}: {app.software_bytes} bytes came back in software, not through the offload"
                  for n, app in enumerate(self.apps) if app.software_bytes]
        found += [f"peer: {line}" for line in self.network.peer.violations]
        found += [f"wire: {violation}" for violation in self.network.monitor.violations]
        found += [f"impairments: {line}" for line in shortfalls(list(self.network.impairments.values()))]
        return found
