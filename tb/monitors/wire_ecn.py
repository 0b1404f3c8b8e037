"""What the wire shows of explicit congestion notification (RFC 3168 6.1), for one flow of the wire monitor.

What the NIC has dealt with is known only from its acknowledgments, so ECE is asked for (and forbidden) only behind an
acknowledgment that covers all marked octets, each of which came once. Everything else is left open: no false alarm.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from tb.monitors.wire_headers import ACK, CWR, ECE, RST, SYN, WireSegment

ECN_RULES: Final[dict[str, str]] = {
    "ECN-AGREED": "ECT, ECE and CWR only where both sides agreed (RFC 3168 6.1.1)",
    "ECN-ECT": "only data that was never sent before is ECT, and nobody sends CE (RFC 3168 6.1.4 to 6.1.6)",
    "ECN-CWR": "CWR is on new data, once behind each congestion: ECE for what was sent behind the last one, or a loss",
    "ECN-ECE": "from CE until CWR every segment has ECE, none without CE (RFC 3168 6.1.3)",
}
CODE_POINT: Final = 3
_CE: Final = 3
_OFFER: Final = ECE | CWR
_Check = Callable[[str, bool, int, str], None]


@dataclass(slots=True)
class EcnWatch:
    """One flow. Positions as the flow counts them; ``silence``: ticks without news that let a timer expire."""

    check: _Check
    silence: int
    agreed: bool = False
    _asked: int | None = None
    _ce_seen: bool = False
    _marks: list[tuple[int, bool]] = field(default_factory=list)
    """(end of the octets, CE or CWR) of arrivals that no acknowledgment covers yet."""
    _echo: bool | None = None
    """What every segment must say; None: not known."""
    _loss: bool = False
    _echo_up_to: int = -1
    """The highest acknowledgment that came with ECE."""
    _marked: int = 0
    """The end of what was sent as ECT."""
    _said_at: int = 0
    """That, when CWR was last said."""
    _news: int = 0

    def syn(self, flags: int) -> None:
        """A SYN of either side."""
        said = flags & _OFFER
        if not flags & ACK:
            self._asked = said
        else:
            self.agreed = self._asked == _OFFER and said == ECE

    def handed_over(self) -> None:
        """Another sender goes on: what the one before owed is not known to it."""
        self._echo = None
        self._marks.clear()
        self._loss = True

    def received(self, seg: WireSegment, start: int, *, new: bool) -> None:
        """A segment came; ``new``: of its octets none came before."""
        if seg.flags & (SYN | RST) or not self.agreed:
            return
        marked = seg.payload_length > 0 and seg.tos & CODE_POINT == _CE
        self._ce_seen |= marked
        touches = any(start < end for end, _ in self._marks)
        if marked or seg.flags & CWR:
            if new and seg.payload_length and not touches:
                self._marks.append((start + seg.payload_length, marked))
            else:
                self._marks.clear()
                self._echo = None
        elif touches:
            self._marks.clear()
            self._echo = None
        self._loss |= bool(seg.blocks)

    def acknowledged(self, seg: WireSegment, ack: int, tick: int, *, moved: bool, repeated: bool) -> None:
        """An acknowledgment came, of more than before (``moved``) or so often the same that it tells of a loss."""
        self._loss |= repeated
        if moved:
            self._news = tick
        if seg.flags & ECE and not seg.flags & SYN:
            self._echo_up_to = max(self._echo_up_to, ack)

    def sent(self, seg: WireSegment, start: int, top: int, ack: int, tick: int, *, probe: bool) -> None:
        """A segment left, behind the handshake; ``top``: what was sent before; ``ack``: as a position that came in."""
        point, said = seg.tos & CODE_POINT, seg.flags & _OFFER
        if not self.agreed:
            self.check("ECN-AGREED", not said, tick, "ECE or CWR")
            return
        fresh = seg.payload_length > 0 and start >= top and not seg.flags & RST
        self.check("ECN-ECT", point == 0 or (fresh and point != _CE), tick, f"code point {point} on [{start}, ...)")
        if start < top or tick - self._news >= self.silence:
            self._loss = True
        if said & CWR:
            asked = self._loss or self._echo_up_to > self._said_at
            self.check("ECN-CWR", fresh and asked, tick, "CWR on what is not new, or that nothing asked for")
            self._loss, self._said_at = False, self._marked
        if point:
            self._marked = max(self._marked, start + seg.payload_length)
        if seg.flags & RST or probe:
            return
        if self._marks and all(end <= ack for end, _ in self._marks):
            self._echo = self._marks[-1][1]
            self._marks.clear()
        known = self._echo if not self._marks else None
        wrong = (known is not None and bool(said & ECE) != known) or (bool(said & ECE) and not self._ce_seen)
        self.check("ECN-ECE", not wrong, tick, "no ECE behind CE" if known else "ECE that no CE asked for")
