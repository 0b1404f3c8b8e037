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
from model.ndis.cut_transfer import CutTransferApp
from model.ndis.enums import TcpConnectionState
from model.ndis.file_transfer import AppPhase, FileTransferApp, FileTransferConfig, TerminateWhen
from model.ndis.framing import Endpoint
from model.ndis.host import HostConfig, NdisHost
from model.ndis.intermediate import IntermediateDriver
from model.ndis.memory import HostMemory, PageAllocator
from model.ndis.miniport import MiniportDriver
from model.ndis.registration import TcpConnectionOffloadParameters
from model.wire.impair import shortfalls
from tb.config import RunConfig
from tb.monitors.contract.trace import Enter, Record
from tb.monitors.seam_monitor import SeamMonitor
from tb.peers.applications import EchoApp
from tb.peers.connection import TcpConfig
from tb.peers.judge import JudgeRules
from tb.peers.tcp_peer import PeerConfig
from tb.session.contract_apart import MonitorsApart
from tb.session.contract_tap import ContractTap
from tb.session.network import FIRST_LOCAL_PORT, NIC_IP, NIC_IP6, NIC_MAC, PEER_ADDRESS, PEER_MAC, PEER_PORT, Network
from tb.session.seam import Plan, Seam, random_plans
from tb.session.statistics import Ask, StatisticsQuestions

#: Bound on rounds of host activity without time passing; reaching it means that the host chases its own tail.
MAX_ROUNDS = 100_000
#: Pool bytes that all connections' receive windows share: 1024 buffers, half of each counted (a segment takes one).
POOL_BYTES = 1 << 20
#: Sizes of sends in a session with cuts: small enough that a cut finds some of them at any stage.
SEAM_SENDS = ((1, 300, 2), (301, 9_000, 4), (9_001, 32_768, 1))


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


#: Calls around which a connection changes its owner.
HAND_OVERS = frozenset(
    (
        "MiniportInitiateOffload",
        "NdisMInitiateOffloadComplete",
        "MiniportTerminateOffload",
        "NdisMTerminateOffloadComplete",
    )
)


def slices(data: bytes, count: int) -> list[bytes]:
    """``count`` contiguous parts of nearly equal length; a part may be empty only if the data is that short."""
    cuts = [len(data) * i // count for i in range(count + 1)]
    return [data[a:b] for a, b in itertools.pairwise(cuts)]


class Transfer:
    """Host, applications and network of one run; the device and its driver are attached from outside."""

    #: How the peer's connections behave.
    peer_tcp = TcpConfig()
    #: What is behind the wire; tests put their own here.
    network_type: type[Network] = Network
    #: When the host asks for statistics.
    asks_statistics = Ask.TWICE
    #: The host above it.
    host_type: type[NdisHost] = NdisHost

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
        self.host = self.host_type(memory, allocator, NIC_MAC, NIC_IP, HostConfig(seed=config.seed, ip6=NIC_IP6), issue)
        base = app_config or FileTransferConfig()
        self.apps: list[FileTransferApp] = []
        self.echoes: list[RecordingEcho] = []
        for number, part in enumerate(slices(self.data, config.conns)):
            rng = random.Random(f"app/{config.seed}/{number}")
            # by default everything is about to wrap: sequence numbers both ways, timestamps
            window = min(base.tcp.initial_rcv_wnd, POOL_BYTES // config.conns)
            seq = 0xFFFF_F000 - rng.randrange(1 << 15)
            tcp = replace(base.tcp, ecn=config.ecn, cubic=config.cubic, sack=config.sack)
            tcp = replace(tcp, initial_rcv_wnd=window, initial_seq=seq)
            label = random.Random(f"flow/{config.seed}/{number}").getrandbits(20)
            tcp = replace(tcp, initial_ts=0xFFFF_FF00, flow_label=label)
            settings = replace(base, seed=rng.getrandbits(32), tcp=tcp)
            if config.cuts:  # the end of a connection is cut, too
                settings = replace(
                    settings, terminate_when=TerminateWhen.AFTER_PEER_FIN, send_sizes=SEAM_SENDS, max_chain=2
                )
            self.apps.append(self.app_type(self.host, settings, part, *self.ends(number)))
        peer = PeerConfig(
            tcp=replace(
                self.peer_tcp,
                mss=config.mss,
                ecn=config.ecn,
                sack=config.sack,
                initial_sequence=0xFFFF_E000 - config.seed % 4096,
            ),
            rules=JudgeRules(damaged_path=config.corrupt > 0),
        )
        self.network = self.network_type(config, self._make_echo, peer, capture)
        self._skipped = 0
        #: The host has set the parameters of its connections (CH-007).
        self._told = False
        watchers = MonitorsApart() if config.apart else None
        self.tap = ContractTap(memory, lambda: self.host.now - self._skipped, watchers=watchers)  # the device's time
        self.tap.setting("interface_mac", NIC_MAC)
        self.network.tap = self.tap
        self.tap.listeners.append(self._show_forwards)
        self.tap.listeners.append(self.network.monitor.paths.feed)
        #: Whether a hand-over shows on the wire.
        self.seam_monitor = SeamMonitor()
        self.tap.listeners.append(self.seam_monitor.feed)
        self.host.on_abort = lambda connection: self.network.expect_reset(connection.stack.tcp.local.port)
        self.statistics = StatisticsQuestions(self.host, self.asks_statistics)
        self._driver_clock: Callable[[int], None] = lambda _: None
        #: What the driver waited for in vain, or was told too late.
        self.driver_reports: list[str] = []
        #: Whether nothing is on its way between network and host: in the device, or waiting to enter it.
        self.quiet: Callable[[], bool] = lambda: True
        apps = [app for app in self.apps if isinstance(app, CutTransferApp)]
        self.seam = Seam(self, apps, self.plans(), config.seed) if apps else None

    def plans(self) -> list[Plan]:
        """The cuts of this session: those that CUTS asks for."""
        return random_plans(self.config.seed, self.config.cuts, self.config.conns)

    def ends(self, number: int) -> tuple[Endpoint, int]:
        """The far end of a connection, and the own port."""
        return Endpoint(PEER_MAC, PEER_ADDRESS[self.config.family], PEER_PORT), FIRST_LOCAL_PORT + number

    @property
    def app_type(self) -> type[FileTransferApp]:
        """The application on each connection."""
        return CutTransferApp if self.config.cuts else FileTransferApp

    def _make_echo(self, _index: int) -> RecordingEcho:
        echo = self.new_echo()
        self.echoes.append(echo)
        return echo

    def _show_forwards(self, record: Record) -> None:
        """The wire monitor does not see what the host hands down, nor who owns a connection."""
        if isinstance(record, Enter) and record.function == "MiniportTcpOffloadForward" and record.layer == 0:
            for one in record.lists:
                self.network.monitor.on_forward(one.data, record.tick)
        if isinstance(record, Enter) and record.function in HAND_OVERS:
            self.network.monitor.forget_marks()

    def new_echo(self) -> RecordingEcho:
        """The peer's application of the next connection."""
        return RecordingEcho()

    def intermediate(self, below: MiniportFace, layer: int) -> IntermediateDriver:
        """The intermediate driver of a layer, 1 above the miniport driver."""
        return IntermediateDriver(below)

    def attach(self, driver: MiniportFace) -> None:
        """Bind the miniport driver below the host, under as many intermediate drivers as asked for."""
        if isinstance(driver, MiniportDriver):
            self._driver_clock = driver.on_tick
            self.driver_reports = driver.reports
            self.tap.watch_rings(driver)
        face = self.tap.watch(driver)
        for layer in range(1, self.config.intermediates + 1):
            face = self.tap.watch(self.intermediate(face, layer), layer)
        self.host.attach(face)

    def on_tick(self, tick: int) -> None:
        """Time has come to ``tick`` for driver and host."""
        self._driver_clock(tick)
        self.host.on_tick(tick + self._skipped)

    def pump(self) -> bool:
        """Let the host do all that is possible now; True if it did anything."""
        if not self._told:
            self._told = True
            self.host.set_parameters(TcpConnectionOffloadParameters())
        progress = self.statistics.step(self.progress, self.over)
        if self.seam is not None:
            self.seam.step()
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
        wishes = [app.deadline for app in self.apps] + [None if self.seam is None else self.seam.deadline]
        ticks = [network, soon, *(None if tick is None else tick - self._skipped for tick in (host, *wishes))]
        return min((t for t in ticks if t is not None), default=None)

    @property
    def over(self) -> bool:
        """Every connection is over and everything is back."""
        return self.host.done

    @property
    def done(self) -> bool:
        """It is over, and the statistics are told."""
        return self.over and self.statistics.answered

    @property
    def reached(self) -> tuple[float, bool, int]:
        """How far it is: the host has questions left when its connections are over. Else it stands still."""
        return self.progress, self.over, 0

    @property
    def progress(self) -> float:
        """Share of the file that came back, 0..1."""
        return sum(len(app.sink) for app in self.apps) / len(self.data)

    def peer_data(self) -> bytes:
        """What the peer's applications received, in the order of the slices."""
        by_port = {}
        for port, echo in zip(self.network.peer.served, self.echoes, strict=True):
            by_port[port] = bytes(echo.received)
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
        if self.seam is None:
            found += [
                f"connection {n}: {app.software_bytes} bytes came back in software, not through the offload"
                for n, app in enumerate(self.apps)
                if app.software_bytes
            ]
        else:
            found += [f"seam: {line}" for line in self.seam.problems]
        found += [f"driver: {line}" for line in self.driver_reports]
        found += [f"peer: {line}" for line in self.network.peer.violations]
        found += [f"wire: {violation}" for violation in self.network.monitor.violations]
        found += [f"contract: {breach}" for breach in self.tap.verdict()]
        if self.seam is not None:  # it is told of every session, and judges those that are cut
            self.seam_monitor.finish()
            found += [f"hand-over: {finding}" for finding in self.seam_monitor.findings]
        if self.network.capture_verdict is not None:
            found += [f"capture: {line}" for line in self.network.capture_verdict.unexplained]
        found += [f"impairments: {line}" for line in shortfalls(list(self.network.impairments.values()))]
        return found
