"""The far end of the wire of one connection: answers the handshake, then does what a scene says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from model.ndis.framing import MASK32, Endpoint, Segment, decode, encode
from model.ndis.soft_tcp import SoftTcpConfig, signed
from model.wire.frame import TcpFlag
from tb.session.network import NIC_IP, NIC_IP6, NIC_MAC

if TYPE_CHECKING:
    from tb.tests.stage.stage import Stage

FAR_MAC = bytes.fromhex("0200000000fa")
FAR_IP = bytes([10, 0, 0, 88])
FAR_IP6 = NIC_IP6[:-2] + bytes([0x0F, 88])
FAR_PORT, LOCAL_PORT = 7001, 51_000
#: First sequence numbers: both directions wrap within the first bytes.
OUR_ISS, FAR_ISS = 0xFFFF_FF80, 0xFFFF_FFE0
MSS = 1000
WINDOW = 30_000
TCP = SoftTcpConfig(
    timestamps=False, window_scaling=False, initial_seq=OUR_ISS, initial_rcv_wnd=20_000, initial_cwnd=30_000,
    time_wait=5,
)  # fmt: skip

NO_FLAGS = TcpFlag(0)


def own_address(far: bytes) -> bytes:
    """The NIC's address of the version of IP of a far end's."""
    return NIC_IP6 if len(far) == len(NIC_IP6) else NIC_IP


class Far:
    """The other end of the wire of one connection: answers the handshake, then does what it is told."""

    def __init__(self, stage: Stage, number: int) -> None:
        self._stage = stage
        self.mac, self.ip, self.mss = FAR_MAC, FAR_IP, MSS
        self.local_port, self.port = LOCAL_PORT + number, FAR_PORT
        self.first = (OUR_ISS + 1) & MASK32
        self.snd = (FAR_ISS + 1) & MASK32
        self.window = WINDOW
        self.stream = bytearray()
        self.fin_seen = False
        self.fin_sent = False
        #: Acknowledge everything at once and close when the other side does.
        self.auto = False
        self.acked = self.first
        #: Value and echo of the timestamps option, in ticks; None: no segment has one.
        self.stamps: tuple[int, int] | None = None
        #: The device's tick at which the frame left that is being taken.
        self.tick = 0
        #: What it said, as it goes over the wire.
        self.said: list[Segment] = []

    @property
    def received(self) -> int:
        """Sequence number behind everything that came in order."""
        return (self.first + len(self.stream) + self.fin_seen) & MASK32

    def take(self, segment: Segment) -> None:
        """A segment of the other side arrived."""
        if TcpFlag.SYN in segment.flags:
            self._send(FAR_ISS, TcpFlag.SYN | TcpFlag.ACK, mss=self.mss)
            return
        skip = signed(self.received - segment.seq)
        span = len(segment.payload) + (TcpFlag.FIN in segment.flags)
        if not self.fin_seen and 0 <= skip <= len(segment.payload):
            self.stream += segment.payload[skip:]
            self.fin_seen = TcpFlag.FIN in segment.flags
        if self.auto and span:
            self.ack()

    def ack(self, count: int | None = None) -> None:
        """Acknowledge ``count`` positions of the stream, or all that came; closes in turn when ``auto``."""
        self.acked = self.received if count is None else (self.first + count) & MASK32
        closes = self.auto and self.fin_seen and not self.fin_sent
        self.say(flags=TcpFlag.FIN if closes else NO_FLAGS)

    def say(self, data: bytes = b"", flags: TcpFlag = NO_FLAGS) -> None:
        """Send a segment."""
        self._send(self.snd, flags | TcpFlag.ACK, data)
        self.fin_sent |= TcpFlag.FIN in flags
        self.snd = (self.snd + len(data) + (TcpFlag.FIN in flags)) & MASK32

    def repeat(self) -> None:
        """The last segment once more."""
        self._stage.arrive(encode(self.said[-1]))

    def _send(self, seq: int, flags: TcpFlag, data: bytes = b"", mss: int | None = None) -> None:
        ours, theirs = Endpoint(self.mac, self.ip, self.port), Endpoint(NIC_MAC, own_address(self.ip), self.local_port)
        segment = Segment(ours, theirs, seq, self.acked, flags, self.window, data, ts=self.stamps, mss=mss)
        frame = encode(segment)
        sent = decode(frame)
        assert sent is not None
        self.said.append(sent)
        self._stage.arrive(frame)
