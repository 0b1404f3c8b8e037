"""When the driver asks for a connection on its own: the optional upload reasons (NDIS sheet, 2.12).

The driver looks at its connections once a period: at what passed through it, and at the state that a QUERY brings. Each
threshold is a count of one period; 0 switches its reason off, and without a period nothing is looked at. All is off by
default: NDIS leaves it to the target whether it asks, and to the host whether it listens (CH-208).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from model.layout.generated import TcpImage
from model.ndis.enums import UploadReason
from model.ndis.ip_packet import tcp_packet
from model.ndis.offload_state import PathConst

_MASK32, _MASK16 = 0xFFFF_FFFF, 0xFFFF


@dataclass(frozen=True)
class UploadPolicy:
    """Thresholds of one period of ``period`` ticks."""

    period: int = 0
    #: LowActivity: fewer bytes than these were acknowledged and received, both together.
    low_activity_bytes: int = 0
    #: HighDropRate: so many segments were sent again.
    dropped_segments: int = 0
    #: SmallIO: at least `small_io_requests` receives were posted, none of so many bytes.
    small_io_bytes: int = 0
    small_io_requests: int = 8
    #: NoBufferPreposting: so many indications, and no receive was posted.
    unposted_indications: int = 0
    #: HighFragmentation: so many IP fragments of TCP came from the other end; their ports are not looked at.
    fragments: int = 0
    #: HighOutOfOrderPackets: so many segments came out of order.
    out_of_order_segments: int = 0


@dataclass(eq=False)
class Activity:
    """What a connection did since the last look."""

    #: Receives that were posted, and the largest of them (bytes).
    receives: int = 0
    largest: int = 0
    indications: int = 0
    fragments: int = 0
    #: The state at the last look; None before the first.
    before: TcpImage | None = field(default=None, repr=False)

    def posted(self, length: int) -> None:
        """A receive of ``length`` bytes; one of 0 bytes only asks to be called."""
        self.receives += length > 0
        self.largest = max(self.largest, length)

    def look(self, now: TcpImage, policy: UploadPolicy) -> UploadReason | None:
        """The period is over: the first reason to ask for the connection, if there is one."""
        reason = self._judge(self.before, now, policy)
        self.receives = self.largest = self.indications = self.fragments = 0
        self.before = now
        return reason

    def _judge(self, before: TcpImage | None, now: TcpImage, policy: UploadPolicy) -> UploadReason | None:
        whole = before is not None  # its first period may have been a short one
        before = before or TcpImage(snd_una=now.snd_una, rcv_nxt=now.rcv_nxt)
        moved = (now.snd_una - before.snd_una & _MASK32) + (now.rcv_nxt - before.rcv_nxt & _MASK32)
        small = self.receives >= policy.small_io_requests and self.largest < policy.small_io_bytes
        unposted = 0 if self.receives else self.indications
        verdicts = (
            (UploadReason.HIGH_DROP_RATE, now.old_segs - before.old_segs & _MASK16, policy.dropped_segments),
            (UploadReason.HIGH_FRAGMENTATION, self.fragments, policy.fragments),
            (
                UploadReason.HIGH_OUT_OF_ORDER_PACKETS,
                now.ooo_segs - before.ooo_segs & _MASK16,
                policy.out_of_order_segments,
            ),
            (UploadReason.NO_BUFFER_PREPOSTING, unposted, policy.unposted_indications),
        )
        if small:
            return UploadReason.SMALL_IO
        for reason, count, threshold in verdicts:
            if threshold and count >= threshold:
                return reason
        return UploadReason.LOW_ACTIVITY if whole and moved < policy.low_activity_bytes else None


def fragment_of(frame: bytes) -> tuple[bytes, bytes] | None:
    """Source and destination address of a received frame that is a fragment of a TCP packet."""
    packet = tcp_packet(frame)
    return (packet.source, packet.destination) if packet is not None and packet.is_fragment else None


def comes_over(path: object, ends: tuple[bytes, bytes]) -> bool:
    """A packet between these ends is one of the path's."""
    return isinstance(path, PathConst) and ends == (path.destination_address, path.source_address)
