"""Explicit congestion notification of the host's software TCP (RFC 3168, 6.1)."""

from __future__ import annotations

from dataclasses import dataclass

from model.wire.frame import TcpFlag

ECN_FIELD, ECT_0, CE = 0x03, 0x02, 0x03
"""The ECN field of the TOS octet, and two of its code points (RFC 3168, 5)."""
OFFER = TcpFlag.ECE | TcpFlag.CWR
"""Flags of an ECN-setup SYN; the SYN that answers it has ECE alone (6.1.1)."""


@dataclass
class SoftEcn:
    """What one connection keeps. ``edge``: ECE is answered again when more than this is acknowledged."""

    enabled: bool = False
    echo: bool = False
    announce: bool = False
    edge: int = 0

    def agree(self, wanted: bool, syn: TcpFlag) -> None:
        """The other side's SYN came (6.1.1)."""
        expected = TcpFlag.ECE if TcpFlag.ACK in syn else OFFER
        self.enabled = wanted and syn & OFFER == expected

    def received(self, flags: TcpFlag, tos: int, *, text: bool) -> None:
        """An acceptable segment, ``text``: with payload (6.1.3)."""
        if self.enabled:
            self.echo = (self.echo and TcpFlag.CWR not in flags) or (text and tos & ECN_FIELD == CE)

    def flags(self, *, fresh: bool) -> TcpFlag:
        """Flags of the next segment; ``fresh``: data that was never sent before, which alone carries CWR (6.1.2)."""
        said = TcpFlag.ECE if self.echo else TcpFlag(0)
        if fresh and self.announce:
            self.announce = False
            said |= TcpFlag.CWR
        return said

    def tos(self, tos: int, *, fresh: bool) -> int:
        """The TOS octet: only fresh data is marked (6.1.4 to 6.1.6)."""
        return tos & ~ECN_FIELD | (ECT_0 if fresh else 0) if self.enabled else tos

    def reduced(self, snd_max: int) -> None:
        """The congestion window was reduced."""
        if self.enabled:
            self.announce, self.edge = True, snd_max
