"""Loss recovery with SACK (section S; RFC 6675): when it begins, what it sends, when it has sent enough."""

from __future__ import annotations

from dataclasses import dataclass

from model.layout.generated import CWND_MAX, RxSeg
from model.tcp.congestion import reduce
from model.tcp.control import control_of
from model.tcp.ecn import on_reduction
from model.tcp.scoreboard import Scoreboard, blocks_of, load, store
from model.tcp.seq import MASK, distance, ge, gt, seq_max
from model.tcp.types import Context


def take_blocks(c: Context, seg: RxSeg) -> bool:
    """S-1, with the new snd_una: what ``seg`` says is held. True: something of it was not known.

    After a timeout nothing is believed until all that was sent before it is acknowledged (RFC 2018 8, RFC 6675 5.1).
    """
    w = c.w
    if not w.sb_n and not seg.sack_n:
        return False
    before = load(w)
    board = before
    if w.snd_nxt == w.snd_max and (w.in_recovery or ge(w.snd_una, w.recover)):
        board = before.with_blocks(blocks_of(seg.sack_n, seg.sack_left, seg.sack_right, w.snd_una))
    store(w, board)
    return board.sacked > before.sacked


def on_duplicate(c: Context) -> None:
    """S-2: an acknowledgment of what is acknowledged brought news of octets behind the hole."""
    w = c.w
    w.dup_acks = min(w.dup_acks + 1, 255)
    if w.in_recovery or not ge(w.snd_una, w.recover):
        return
    if w.dup_acks < c.params.dup_ack_threshold and not load(w).lost_edge(c.params.dup_ack_threshold, c.mss):
        return
    reduce(c, sacked(c))
    w.recover = w.snd_max
    w.in_recovery = w.rtx_head = 1
    w.partial_seen = w.rtt_active = w.rescued = 0
    w.high_rxt = w.snd_una
    on_reduction(c)


@dataclass(frozen=True, slots=True)
class Before:
    """What a sender with SACK knew in front of an acknowledgment (S-8).

    ``credit``: octets that the recovery still allowed to send, negative if the head went without; ``sacked`` in
    octets; ``una``, ``lost_edge`` sequence numbers.
    """

    credit: int
    una: int
    sacked: int
    lost_edge: int


def before_ack(c: Context) -> Before:
    """S-8, in front of C.8."""
    w, recovery = c.w, recovery_of(c)
    if recovery is None:
        return Before(0, w.snd_una, sacked(c), w.snd_una)
    edge = (recovery.una + recovery.lost_edge) & MASK
    return Before(w.cwnd - recovery.pipe, recovery.una, recovery.board.sacked, edge)


def pace(c: Context, before: Before) -> None:
    """S-8, proportional rate reduction (RFC 9937): what the acknowledgment lets out, in a recovery.

    The part of what it says was delivered that the control keeps of a window (Q-2), until pipe has come down to
    ssthresh; then all of it, and one segment more if the recovery gets on and nothing else turns out to be lost.
    """
    w, recovery = c.w, recovery_of(c)
    if recovery is None:
        return
    delivered = max(distance(w.snd_una, before.una) + recovery.board.sacked - before.sacked, 0)
    if recovery.pipe > w.ssthresh:
        cwnd = recovery.pipe + before.credit + control_of(w).part(delivered)
    else:
        worse = recovery.lost_edge > 0 and gt((recovery.una + recovery.lost_edge) & MASK, before.lost_edge)
        more = c.mss if w.snd_una != before.una and not worse else 0
        cwnd = min(recovery.pipe + max(before.credit, 0) + delivered + more, w.ssthresh)
    w.cwnd = min(max(cwnd, c.mss), CWND_MAX)


def sacked(c: Context) -> int:
    """Octets in flight that the far end holds."""
    return load(c.w).sacked if c.w.sb_n else 0


@dataclass(frozen=True, slots=True)
class Resend:
    """Octets [seq, seq + octets), an octet of the FIN included; ``rescue``: by N4."""

    seq: int
    octets: int
    rescue: bool = False


@dataclass(frozen=True, slots=True)
class Recovery:
    """A recovery at one instant. Edges as distances from snd_una; ``mss`` in octets.

    ``resent``: behind the highest octet that was sent again in it.
    """

    board: Scoreboard
    una: int
    mss: int
    lost_edge: int
    resent: int
    rescued: bool

    @property
    def pipe(self) -> int:
        """Octets that are taken to be under way (S-4, RFC 6675 SetPipe)."""
        board = self.board
        not_lost = board.flight - board.sacked - board.unsacked(self.lost_edge)
        return not_lost + board.unsacked(self.resent)

    def lost(self) -> Resend | None:
        """N1: the first octets that count as lost and were not sent again."""
        return self._hole(self.lost_edge)

    def hole(self) -> Resend | None:
        """N3: the first octets below a range that were not sent again."""
        return self._hole(self.board.highest)

    def _hole(self, below: int) -> Resend | None:
        found = self.board.hole(self.resent)
        if found is None or found[0] >= below:
            return None
        first, behind = found
        return Resend((self.una + first) & MASK, min(self.mss, behind - first))

    def rescue(self) -> Resend | None:
        """N4: the last segment, once, when nothing else is known to be missing."""
        top, flight = self.board.highest, self.board.flight
        if self.rescued or top >= flight:
            return None
        first = max(top, flight - self.mss)
        return Resend((self.una + first) & MASK, flight - first, rescue=True)


def recovery_of(c: Context) -> Recovery | None:
    """The recovery that is under way; None without one, or without SACK."""
    w = c.w
    if not (w.sack_en and w.in_recovery):
        return None
    board = load(w)
    edge = board.lost_edge(c.params.dup_ack_threshold, c.mss)
    resent = distance(seq_max(w.high_rxt, w.snd_una), w.snd_una)
    return Recovery(board, w.snd_una, c.mss, edge, resent, bool(w.rescued))


def forget(c: Context) -> None:
    """D-2: the far end may have given up what it held (RFC 2018 8)."""
    w = c.w
    w.sb_n = w.sb_left = w.sb_right = 0
    w.high_rxt, w.rescued = w.snd_una, 0
