"""Explicit congestion notification of a peer's connection, from the text of RFC 3168 6.1."""

from __future__ import annotations

from typing import Final

from tb.peers.headers import ACK, CWR, ECE

CODE_POINT: Final = 3
"""The ECN field of the TOS octet (RFC 3168 5)."""
ECT_0: Final = 2
CONGESTION: Final = 3
OFFER: Final = ECE | CWR
"""Of a SYN; the SYN that answers it has ECE alone (6.1.1)."""


class Ecn:
    """One connection. Positions are unwrapped integers."""

    def __init__(self) -> None:
        self.agreed = False
        self.reductions = 0
        """Times that ECE made the sender slow down."""
        self._echo = False
        self._announce = False
        self._answered = -1

    def take_syn(self, wanted: bool, flags: int) -> None:
        """The other side's SYN."""
        self.agreed = wanted and flags & OFFER == (ECE if flags & ACK else OFFER)

    def receive(self, flags: int, tos: int, size: int) -> None:
        """An acceptable segment with ``size`` octets of payload (6.1.3)."""
        if flags & CWR:
            self._echo = False
        if self.agreed and size and tos & CODE_POINT == CONGESTION:
            self._echo = True

    def reduces(self, flags: int, una: int, sent: int) -> bool:
        """Whether an acknowledgment up to ``una`` asks for a reduction: once for each window of data (6.1.2)."""
        if not self.agreed or not flags & ECE or una <= self._answered:
            return False
        self.reductions += 1
        self.slowed_down(sent)
        return True

    def slowed_down(self, sent: int) -> None:
        """The congestion window was reduced for what was sent up to ``sent``."""
        if self.agreed:
            self._answered, self._announce = sent, True

    def mark(self, flags: int, tos: int, *, fresh: bool) -> tuple[int, int]:
        """Flags and TOS of a segment; only ``fresh`` data, never sent before, is ECT or says CWR (6.1.4 to 6.1.6)."""
        if not self.agreed:
            return flags, tos
        if self._echo:
            flags |= ECE
        if fresh and self._announce:
            flags |= CWR
            self._announce = False
        return flags, tos & ~CODE_POINT | (ECT_0 if fresh else 0)
