"""`make goodput`: bulk data from the chimney and from gVisor over the same bottleneck, with the same frames lost.

100 Mbit/s, 20 ms round trip, a queue of one bandwidth-delay product; 8 MiB from each sender to the same receiver
(gVisor), MSS 1460, timestamps and SACK on, Reno on both sides, gVisor without RACK and tail loss probes. Frames are
lost by number. A goodput is the bytes over the protocol time from the SYN to the last byte; the figures are medians
over SEEDS. DEVICE=model plays the golden device; results are in sim_build/goodput.json. `ratio` is against gVisor as it
is installed, `ratio_mended` against gVisor whose Reno grows as RFC 5681 3.1 has it (`tb/peers/gvisor_reno.py`).
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path as FilePath
from typing import Any, Final

from model.ndis.calls import NdisCall
from model.ndis.memory import HostMemory, PageAllocator
from tb.config import ROOT, ConfigError, RunConfig
from tb.device.model_loop import ModelRun
from tb.peers.applications import SinkApp, SourceApp
from tb.peers.base import Application
from tb.peers.gvisor_peer import GvisorConfig, GvisorPeer, missing
from tb.peers.neighbor import Neighbor
from tb.peers.pair import End
from tb.peers.tcp_peer import PeerConfig
from tb.progress import Meter
from tb.session.bench import BulkTransfer, Play
from tb.session.bottleneck import Bottleneck, Path, drop_list
from tb.session.network import NIC_IP, NIC_MAC, PEER_IP, PEER_MAC, PEER_PORT, Network

OUT: Final = ROOT / "sim_build" / "goodput.json"
SIZE: Final = 8 << 20
SEEDS: Final = tuple(range(1, 11))
LOSS: Final = 0.001
PATH: Final = Path()
#: Bytes that both ends can have under way: four bandwidth-delay products.
BUFFER: Final = 4 * PATH.queue_bytes
INITIAL_SEGMENTS: Final = 10
SEGMENT: Final = 1448
#: Frames that a drop list covers, per frame that the data needs.
FRAMES_PER_FRAME: Final = 4
LEAST_SEGMENTS: Final = 64
#: Ticks after which a sender counts as stuck.
MOST_TICKS: Final = 600_000


class StuckError(RuntimeError):
    """A sender did not bring its bytes over; the message says how far it came."""


def receiver(seed: int, make_app: Callable[[int], Application]) -> GvisorPeer:
    """The far end of both senders."""
    settings = GvisorConfig(buffer=BUFFER, seed=seed)
    return GvisorPeer(_mac(PEER_MAC), _ip(PEER_IP), PEER_PORT, settings, Neighbor(NIC_IP, NIC_MAC), make_app)


def _mac(mac: bytes) -> str:
    return mac.hex(":")


def _ip(ip: bytes) -> str:
    return ".".join(map(str, ip))


def drops_of(seed: int, size: int, rate: float) -> frozenset[int]:
    """The frames that are lost, by number."""
    return drop_list(seed, rate, FRAMES_PER_FRAME * (size // SEGMENT + LEAST_SEGMENTS))


def gvisor_sends(seed: int, data: bytes, rate: float, *, mended_reno: bool = False) -> int:
    """Ticks that gVisor takes."""
    sink = SinkApp()
    far = receiver(seed, lambda _: sink)
    source = SourceApp(data)
    settings = GvisorConfig(buffer=BUFFER, seed=seed + 1000, mended_reno=mended_reno)
    near = GvisorPeer(_mac(NIC_MAC), _ip(NIC_IP), 0, settings, Neighbor(PEER_IP, PEER_MAC), lambda _: source)
    one = End(near, Bottleneck(PATH, drops_of(seed, len(data), rate)))
    two = End(far, Bottleneck(PATH))
    try:
        one.send(near.connect(PEER_PORT, 40_000, 0), 0)
        tick = 0
        while sink.received_bytes < len(data):
            two.receive(one.wire.pop_due(tick), tick)
            one.receive(two.wire.pop_due(tick), tick)
            one.send(near.on_tick(tick), tick)
            two.send(far.on_tick(tick), tick)
            deadlines = [thing.next_deadline() for thing in (near, far, one.wire, two.wire)]
            pending = [at for at in deadlines if at is not None]
            if not pending or tick > MOST_TICKS:
                raise StuckError(f"gVisor brought {sink.received_bytes} of {len(data)} bytes over in {tick} ticks")
            tick = max(tick + 1, min(pending))
    finally:
        near.close()
        far.close()
    return tick


class BottleneckNetwork(Network):
    """The path and gVisor behind the NIC's port."""

    def __init__(
        self, config: RunConfig, make_app: Callable[[int], Application], peer: PeerConfig, capture: FilePath | None
    ) -> None:
        super().__init__(replace(config, peer="python"), make_app, peer, capture)
        self.peer = receiver(config.seed, make_app)
        self.out = Bottleneck(PATH, drops_of(config.seed, config.size, config.loss))
        self.back = Bottleneck(PATH)

    def from_nic(self, frame: bytes, tick: int) -> None:
        """The NIC transmitted ``frame``."""
        self.sent += 1
        self._resent.sent(frame, tick)
        if not self.watched_apart:
            self.watched(frame, tick)
        self.out.push(frame, tick)

    def due(self, tick: int) -> list[bytes]:
        """Run the far side up to ``tick``; the frames that reach the NIC now."""
        answers: list[bytes] = []
        for frame in self.out.pop_due(tick):
            answers += self.peer.on_frame(frame, tick)
        answers += self.peer.on_tick(tick)
        for frame in answers:
            self.back.push(frame, tick)
        return self.back.pop_due(tick)

    def next_deadline(self) -> int | None:
        """The tick at which ``due`` has something to do next."""
        ticks = (self.peer.next_deadline(), self.out.next_deadline(), self.back.next_deadline())
        return min((tick for tick in ticks if tick is not None), default=None)


class GoodputTransfer(BulkTransfer):
    """Bulk data into the path; timestamps on, the first window that of RFC 6928."""

    def __init__(
        self,
        config: RunConfig,
        memory: HostMemory,
        allocator: PageAllocator,
        *,
        capture: FilePath | None = None,
        issue: Callable[[NdisCall], None] | None = None,
    ) -> None:
        super().__init__(config, memory, allocator, Play.SEND, issue)
        app = self.apps[0]
        tcp = replace(app.config.tcp, timestamps=True, initial_cwnd=INITIAL_SEGMENTS * SEGMENT)
        app.config = replace(app.config, tcp=tcp, max_outstanding_send=BUFFER)
        self.sink = SinkApp()
        self.network.peer.close()
        self.network = BottleneckNetwork(config, lambda _: self.sink, PeerConfig(), capture)
        self.network.tap = self.tap


class GoodputRun(ModelRun):
    """The golden device as the sender, until the last byte is over."""

    transfer_type = GoodputTransfer

    def ticks(self) -> int:
        """Ticks that it takes."""
        transfer = self.transfer
        if not isinstance(transfer, GoodputTransfer):
            raise TypeError("only a goodput session can be timed")
        while transfer.sink.received_bytes < len(transfer.data):
            self._settle()
            if self.tick > MOST_TICKS:
                raise StuckError(f"the device brought {transfer.sink.received_bytes} bytes over in {self.tick} ticks")
            self.device.tick()
            transfer.on_tick(self.tick)
        return self.tick


def device_sends(config: RunConfig) -> int:
    """Ticks that the chimney takes."""
    run = GoodputRun(config)
    try:
        return run.ticks()
    finally:
        run.transfer.network.close()


def measure(config: RunConfig, seeds: Sequence[int], size: int, rate: float, meter: Meter) -> dict[str, Any]:
    """The figures over all seeds, written after each of them."""
    rows: list[dict[str, float]] = []
    theirs = meter.around("gVisor", gvisor_sends)
    for seed in seeds:
        run = replace(config, device="model", seed=seed, size=size, loss=rate, conns=1, file=None)
        ticks = {
            "ours": meter.around("ours", device_sends)(run),
            "gvisor": theirs(seed, bytes(size), rate),
            "gvisor_mended": theirs(seed, bytes(size), rate, mended_reno=True),
        }
        row = {sender: round(size * 8 / 1000 / count, 3) for sender, count in ticks.items()}
        rows.append({"seed": seed, **row})
        figures = ", ".join(f"{sender} {figure:.2f}" for sender, figure in row.items())
        print(f"SEED={seed}, Mbit/s: {figures}", flush=True)
        medians = {sender: statistics.median(one[sender] for one in rows) for sender in ticks}
        result = {
            **medians,
            "ratio": round(medians["ours"] / medians["gvisor"], 3),
            "ratio_mended": round(medians["ours"] / medians["gvisor_mended"], 3),
            "unit": "Mbit/s",
            "bytes": size,
            "loss": rate,
            "seeds": rows,
        }
        OUT.write_text(json.dumps(result, indent=1))
    return result


def main(config: RunConfig) -> int:
    """Measure and write the figures; 0 whatever they are."""
    if (lack := missing()) is not None:
        raise ConfigError(f"gVisor is missing: {lack}", "make goodput", "`make doctor` says what to install")
    if config.device != "model" and "DEVICE" in config.given:
        raise ConfigError("the RTL is not measured yet", f"DEVICE={config.device}", "give DEVICE=model")
    seeds = config.seeds if "SEEDS" in config.given else SEEDS
    size = config.size if "SIZE" in config.given else SIZE
    rate = config.loss if "LOSS" in config.given else LOSS
    OUT.parent.mkdir(exist_ok=True)
    with Meter("goodput", 3 * len(seeds)) as meter:
        result = measure(config, seeds, size, rate, meter)
    print(f"ratio {result['ratio']}, against the mended Reno {result['ratio_mended']}; {OUT}")
    return 0
