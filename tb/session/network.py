"""The wire side of a run: impairments in both directions, the peer, captures and monitors.

Time is counted in ticks. Nothing here knows whether the device is the RTL or the golden model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from model.wire.impair import ImpairmentRates, Impairments
from model.wire.pcapng import PcapngWriter
from tb.config import MAX_CONNS, RunConfig
from tb.monitors.wire_monitor import MonitorConfig, WireMonitor
from tb.peers.base import Application, Peer
from tb.peers.choice import make_peer
from tb.peers.neighbor import Neighbor
from tb.peers.tcp_peer import PeerConfig, TcpPeer
from tb.session import capture_judge
from tb.session.capture_judge import RECEIVED, SENT, CaptureVerdict, InjectorLog, Origin, judge_capture, write_faults
from tb.session.contract_tap import ContractTap
from tb.session.retransmissions import RetransmissionCounter

NIC_MAC = bytes.fromhex("020000000001")
NIC_IP = bytes([10, 0, 0, 1])
PEER_MAC = bytes.fromhex("020000000002")
PEER_IP = bytes([10, 0, 0, 2])
NIC_IP6 = bytes.fromhex("fd4a6b7c8d9ea0b10000000000000a01")
PEER_IP6 = bytes.fromhex("fd4a6b7c8d9ea0b10000000000000a02")
#: Address of the NIC, and of the peer, by version of IP.
NIC_ADDRESS = {4: NIC_IP, 6: NIC_IP6}
PEER_ADDRESS = {4: PEER_IP, 6: PEER_IP6}
PEER_PORT = 5001
FIRST_LOCAL_PORT = 40_000
TICK_NS = 1_000_000
#: Frames that may be queued in the transmit path when an acknowledgment arrives: transmit queue, frame store, mapper.
QUEUED_FRAMES = 36
FULL_FRAME_BYTES = 1514
#: Where the ports of a TCP segment stand in an untagged frame, by ethertype.
_PORTS_AT = {b"\x08\x00": 34, b"\x86\xdd": 54}
TO_PEER, TO_NIC = "nic_to_peer", "peer_to_nic"


def wire_cycles(config: RunConfig) -> int:
    """Cycles of a full-size frame on the wire."""
    return -(-FULL_FRAME_BYTES * 8 // config.data_w)


def patient(peer: PeerConfig, delay: int) -> PeerConfig:
    """A far end that does not time out while the answer is still under way: ``delay`` ticks there, and back.

    RFC 6298 2.4 asks for a least timeout of a second for this; with less, a round trip that hardly varies leaves no
    room for a delayed ACK.
    """
    tcp = peer.tcp
    return replace(peer, tcp=replace(tcp, rto_min=max(tcp.rto_min, 3 * delay)))


class Network:
    """Everything behind the wire port.

    ``from_nic`` takes what the NIC sent; ``due`` gives what reaches its port, ``entered`` says when it is inside.
    """

    #: Whether the captured sequences are those of two TCPs with nothing but the injector between them.
    plain = True

    def __init__(
        self, config: RunConfig, make_app: Callable[[int], Application], peer: PeerConfig, capture: Path | None
    ) -> None:
        rates = ImpairmentRates(config.loss, config.reorder, config.dup, config.corrupt, config.delay, config.mark)
        self.impairments = {direction: Impairments(rates, config.seed, direction) for direction in (TO_PEER, TO_NIC)}
        neighbor = Neighbor(NIC_ADDRESS[config.family], NIC_MAC)
        self.peer: Peer = make_peer(config.peer, patient(peer, config.delay), PEER_PORT, neighbor, make_app)
        queued = -(-QUEUED_FRAMES * wire_cycles(config) // config.tick_cycles)
        self.monitor = WireMonitor(MonitorConfig(race_ticks=1 + queued))
        #: Sees every frame at the NIC's port, too.
        self.tap: ContractTap | None = None
        #: Somebody calls `watched` as soon as a frame leaves, before ``from_nic`` gets it.
        self.watched_apart = False
        self.sent = 0
        self.received = 0
        self._resent = RetransmissionCounter()
        self._capture = PcapngWriter(capture, interfaces=("nic",)) if capture else None
        self._capture_path = capture
        self._origins: list[Origin] = []
        self._config = config
        #: What tshark and scapy said of the capture; None before `close`, without a capture or without tshark.
        self.capture_verdict: CaptureVerdict | None = None
        #: Frames that the NIC had no room for (rx_buffer was full), by their number among those that entered it.
        self.frames_without_room: Sequence[int] = ()

    def from_nic(self, frame: bytes, tick: int) -> None:
        """The NIC transmitted ``frame``."""
        self.sent += 1
        self._resent.sent(frame, tick)
        if not self.watched_apart:
            self.watched(frame, tick)
        self._write(frame, tick, SENT, self.impairments[TO_PEER].frames)
        self.impairments[TO_PEER].push(frame, tick)

    def aside(self, frame: bytes, tick: int) -> None:
        """The NIC transmitted a frame to a host beside the peer: past the impairments, but into the capture."""
        self._write(frame, tick, SENT, None)

    def watched(self, frame: bytes, tick: int) -> None:
        """Show a transmitted frame to the monitors."""
        self.monitor.on_transmit(frame, tick)
        if self.tap is not None:
            self.tap.sent(frame, tick)

    def due(self, tick: int) -> list[bytes]:
        """Run the far side up to ``tick``; the frames that reach the NIC now, in order."""
        answers: list[bytes] = []
        for frame in self.impairments[TO_PEER].pop_due(tick):
            answers += self.peer.on_frame(frame, tick)
        answers += self.peer.on_tick(tick)
        for frame in answers:
            self.impairments[TO_NIC].push(frame, tick)
        return self.impairments[TO_NIC].pop_due(tick)

    def entered(self, frame: bytes, tick: int) -> None:
        """``frame``, one that ``due`` gave, has entered the NIC. It may have waited for the port meanwhile."""
        self.received += 1
        self.monitor.on_receive(frame, tick)
        if self.tap is not None:
            self.tap.received(frame, tick)
        self._write(frame, tick, RECEIVED, self.impairments[TO_NIC].number_of(frame))

    @property
    def retransmissions(self) -> int:
        """Segments sent that brought no new octet."""
        return self._resent.count

    @property
    def timeouts(self) -> int:
        """Retransmissions behind a silence as long as the least timeout."""
        return self._resent.after_silence

    def expect_reset(self, local_port: int) -> None:
        """The host called for an abortive disconnect of the connection from this port; nothing else allows an RST."""
        self.monitor.expect_reset(local_port)
        self.peer.expect_reset(local_port)

    def next_deadline(self) -> int | None:
        """The tick at which ``due`` has something to do next, None if nothing is under way."""
        ticks = [self.peer.next_deadline(), *(i.next_deadline() for i in self.impairments.values())]
        return min((t for t in ticks if t is not None), default=None)

    @property
    def tcp_peer(self) -> TcpPeer:
        """The peer, where a session can only be played with our own."""
        if not isinstance(self.peer, TcpPeer):
            raise TypeError(f"this session needs PEER=python, not {type(self.peer).__name__}")
        return self.peer

    def close(self) -> None:
        """Finish the capture and have it judged; let the peer go. A second call does nothing."""
        self.peer.close()
        if self._capture is None or self._capture_path is None:
            return
        self._capture.close()
        self._capture = None
        logs = {SENT: InjectorLog.of(self.impairments[TO_PEER]), RECEIVED: InjectorLog.of(self.impairments[TO_NIC])}
        write_faults(self._capture_path.with_name("faults.json"), logs)
        if capture_judge.missing() is None and self._origins:
            sequences = self.plain and self._config.peer != "linux"
            entered = [origin for origin in self._origins if origin.direction == RECEIVED]
            # where a capture leaves frames out, numbers of those that entered say nothing of it
            without_room = [entered[arrival] for arrival in self.frames_without_room] if sequences else []
            self.capture_verdict = judge_capture(
                self._capture_path,
                self._origins,
                logs,
                without_room=without_room,
                delay=self._config.delay,
                sequences=sequences,
                seed=self._config.seed,
            )

    def _write(self, frame: bytes, tick: int, direction: str, number: int | None) -> None:
        if self._capture is None:
            return
        self._origins.append(Origin(direction, number, tick))
        at = _PORTS_AT.get(frame[12:14], len(frame))
        ports = frame[at : at + 4] if len(frame) >= at + 4 else b""
        own = ports[0:2] if direction == SENT else ports[2:4]
        connection = int.from_bytes(own, "big") - FIRST_LOCAL_PORT if ports else -1
        shown = str(connection) if 0 <= connection < MAX_CONNS else "?"  # damaged, or no connection's
        counted = "by-hand" if number is None else str(number)
        self._capture.write(frame, tick * TICK_NS, f"{direction} tick={tick} conn={shown} frame={counted}")
