"""What may be sent and what is sent (rules G-1 to G-6, S-5 to S-7)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from model.layout.generated import Phase, Status, TcpState, TxKind, Txq, TxRelease, TxSegment, UploadReason
from model.tcp import ecn, ooo
from model.tcp.congestion import LIMITED_TRANSMIT
from model.tcp.messages import retrieve
from model.tcp.reach import ask_age, unreachable
from model.tcp.recovery import Resend, recovery_of, sacked
from model.tcp.seq import COUNT_MAX, MASK, gt, lt, seq_max, signed
from model.tcp.types import Context

FIN, RST, PSH, ACK = 0x01, 0x04, 0x08, 0x10
_MAY_SEND = frozenset(
    (TcpState.ESTABLISHED, TcpState.CLOSE_WAIT, TcpState.FIN_WAIT_1, TcpState.CLOSING, TcpState.LAST_ACK)
)
_AFTER_FIN = {TcpState.ESTABLISHED: TcpState.FIN_WAIT_1, TcpState.CLOSE_WAIT: TcpState.LAST_ACK}
_MAX_WINDOW_FIELD = 0xFFFF
_NAGLE = 1 << 1


@dataclass(frozen=True, slots=True)
class Piece:
    """What a grant sends by G-2 (3): ``n`` data octets at ``seq``, ``fin`` behind them.

    ``again``: a retransmission of a recovery with SACK (S-6) and which one; None: at snd_nxt.
    """

    seq: int
    n: int
    fin: bool
    again: Resend | None = None


def can_send(c: Context) -> bool:
    """G-1, in a recovery with SACK S-6: a grant would send data or a FIN by G-2 (3)."""
    return next_piece(c) is not None


def next_piece(c: Context) -> Piece | None:
    """What G-2 (3) sends, None if nothing may go."""
    if c.w.state not in _MAY_SEND:
        return None
    recovery = recovery_of(c)
    if recovery is None:
        return _fresh(c, _room(c))
    if c.w.cwnd - recovery.pipe < c.mss:
        return None
    return (
        _resent(c, recovery.lost())
        or _fresh(c, c.w.snd_wnd - _used(c))
        or _resent(c, recovery.hole())
        or _resent(c, recovery.rescue())
    )


def _used(c: Context) -> int:
    return (c.w.snd_nxt - c.w.snd_una) & MASK


def _room(c: Context) -> int:
    """Octets that both windows leave out of recovery (G-1, S-5, S-7)."""
    w = c.w
    used, cwnd = _used(c), w.cwnd
    if w.sack_en:
        cwnd += sacked(c)
    elif not w.in_recovery and w.snd_nxt == w.snd_max and 0 < w.dup_acks < c.params.dup_ack_threshold:
        cwnd += min(w.dup_acks, LIMITED_TRANSMIT) * c.mss
    return min(cwnd, w.snd_wnd) - used


def _fresh(c: Context, room: int) -> Piece | None:
    """G-1: data at snd_nxt, and the FIN behind the last of it. ``room`` in octets, none if it is not positive."""
    w = c.w
    left = signed((w.snd_end - w.fin_queued) & MASK, w.snd_nxt)
    if left <= 0:
        return Piece(w.snd_nxt, 0, True) if left == 0 and w.fin_queued else None
    n = min(left, c.mss, room)
    if n <= 0 or not (n in (left, c.mss) or 2 * n >= w.max_snd_wnd) or _nagle_holds(c, n, left):
        return None
    return Piece(w.snd_nxt, n, bool(w.fin_queued and n == left))


def _resent(c: Context, again: Resend | None) -> Piece | None:
    """S-6: the octets of a retransmission; that of the FIN is a flag."""
    if again is None:
        return None
    w = c.w
    fin = bool(w.fin_queued and (again.seq + again.octets) & MASK == w.snd_end)
    return Piece(again.seq, again.octets - fin, fin, again)


def _nagle_holds(c: Context, n: int, left: int) -> bool:
    """K-5 (RFC 9293 3.7.4): a small last segment waits until all that was sent is acknowledged."""
    w = c.w
    small = n == left < c.mss
    unheld = w.snd_una == w.snd_max or w.fin_queued or lt(w.snd_nxt, w.snd_max)
    return bool(w.cached_flags & _NAGLE and small and not unheld)


def _advertise(c: Context) -> int:
    """The window field of G-4; moves rcv_adv, never to the left while the field can say so."""
    w = c.w
    ws = w.rcv_ws
    open_bytes = max(signed((w.consumed_seq + w.init_rcv_wnd) & MASK, w.rcv_nxt), 0)
    f = min(open_bytes >> ws, _MAX_WINDOW_FIELD)
    if lt((w.rcv_nxt + (f << ws)) & MASK, w.rcv_adv):
        f = min((((w.rcv_adv - w.rcv_nxt) & MASK) + (1 << ws) - 1) >> ws, _MAX_WINDOW_FIELD)
    w.rcv_adv = (w.rcv_nxt + (f << ws)) & MASK
    return f


def emit(
    c: Context,
    conn: int,
    seq: int,
    n: int,
    flags: int,
    blocks: Sequence[tuple[int, int]] = (),
    *,
    fresh: bool = False,
) -> None:
    """G-4: a SEGMENT into the transmit queue; moves rcv_adv and last_ack_sent, as every segment does.

    Before ``snd_max`` moves: what lies in front of it is old (CH-017). ``blocks``: its SACK blocks (M-4).
    ``fresh``: data that was never sent before (N-4).
    """
    w = c.w
    ask_age(c)
    octets = n + (flags & FIN)
    body = TxSegment(
        seq=seq,
        len=n,
        flags=flags,
        ack=w.rcv_nxt,
        wnd=_advertise(c),
        ts_en=w.ts_en,
        tsval=(c.now + w.ts_delta) & MASK if w.ts_en else 0,
        tsecr=w.ts_recent if w.ts_en else 0,
        ttl=w.ttl,
        tos=ecn.tos_of(w, fresh=fresh),
        user_priority=w.user_priority,
        has_old=int(octets > 0 and lt(seq, w.snd_max)),
        has_new=int(octets == 0 or gt((seq + octets) & MASK, w.snd_max)),
        sack_n=len(blocks),
        sack_left=ooo.edges(left for left, _ in blocks),
        sack_right=ooo.edges(right for _, right in blocks),
    )
    c.tx0 = Txq(kind=TxKind.SEGMENT, conn=conn, gen=w.gen, body=body.pack())
    w.last_ack_sent = w.rcv_nxt
    if body.has_old and not w.persist:
        w.old_segs = min(w.old_segs + 1, COUNT_MAX)


def _acknowledged(c: Context) -> None:
    """What a segment that every peer takes pays: no acknowledgment is owed or delayed any more (G-4)."""
    w = c.w
    w.ack_now = w.unacked_segs = w.dack_on = 0


def _bare_seq(c: Context) -> int:
    """Where a segment without data lies: behind everything that was sent.

    The octet of a window probe does not count: a closed window ends in front of it (RFC 9293 3.10.7.4).
    """
    w = c.w
    return w.snd_nxt if w.persist else w.snd_max


def emit_reset(c: Context, conn: int) -> None:
    """G-6; the caller clears what is owed, as B-6a says."""
    emit(c, conn, _bare_seq(c), 0, RST | ACK)


def emit_pure_ack(c: Context, conn: int, blocks: Sequence[tuple[int, int]] = ()) -> None:
    """A segment without data: pays one owed duplicate ACK too."""
    w = c.w
    emit(c, conn, _bare_seq(c), 0, ACK | ecn.echo(w), blocks)
    _acknowledged(c)
    w.dup_owed = max(w.dup_owed - 1, 0)


def _emit_keep_alive(c: Context, conn: int) -> None:
    """K-3: lies before the window of the far end, so that it must answer (RFC 9293 3.8.4).

    It pays no acknowledgment: a far end need not look at that of a segment outside its window.
    """
    c.w.ka_probe_owed = 0
    emit(c, conn, (c.w.snd_una - 1) & MASK, 0, ACK)


def _emit_data(c: Context, conn: int, seq: int, n: int, fin: bool, *, fresh: bool = False) -> None:
    """G-3 without its part on snd_nxt: flags, and the state change that our FIN makes."""
    w = c.w
    flags = ACK | (FIN if fin else 0) | ecn.echo(w)
    if fresh:
        flags |= ecn.announce(w)
    if n and (seq + n) & MASK == (w.snd_end - w.fin_queued) & MASK:
        flags |= PSH
    if fin:
        w.state = _AFTER_FIN.get(TcpState(w.state), TcpState(w.state))
    emit(c, conn, seq, n, flags, fresh=fresh)
    _acknowledged(c)
    w.last_tx_tick = c.now


def _retransmit_head(c: Context, conn: int) -> bool:
    """G-2 (1); in a recovery with SACK no octet that is held goes again (S-6)."""
    w = c.w
    w.rtx_head = 0
    if w.snd_max == w.snd_una:
        return False
    data_end = (w.snd_end - w.fin_queued) & MASK
    n = min(c.mss, (w.snd_max - w.snd_una) & MASK, max(signed(data_end, w.snd_una), 0))
    recovery = recovery_of(c)
    if recovery is not None and recovery.board.spans:
        n = min(n, recovery.board.spans[0][0])
    fin = bool(w.fin_queued and (w.snd_una + n) & MASK == data_end and w.snd_max == w.snd_end)
    _emit_data(c, conn, w.snd_una, n, fin)
    if recovery is not None:
        w.high_rxt = (w.snd_una + n + fin) & MASK
    return True


def _probe(c: Context, conn: int) -> bool:
    """G-2 (2): one octet behind the closed window, or what fits into one that silly-window avoidance held back."""
    w = c.w
    w.probe_owed = 0
    if not w.persist or w.snd_nxt != w.snd_una:
        return False
    left = max(signed((w.snd_end - w.fin_queued) & MASK, w.snd_una), 0)
    n = min(c.mss, max(1, w.snd_wnd), left)
    _emit_data(c, conn, w.snd_una, n, n == 0)
    w.snd_max = seq_max(w.snd_max, (w.snd_una + max(n, 1)) & MASK)
    return True


def _data(c: Context, conn: int) -> bool:
    """G-2 (3): data (and FIN) at snd_nxt, or what a recovery with SACK sends again."""
    w, piece = c.w, next_piece(c)
    if piece is None:
        return False
    seq = piece.seq
    fresh = piece.again is None and piece.n > 0 and not lt(seq, w.snd_max)
    _emit_data(c, conn, seq, piece.n, piece.fin, fresh=fresh)
    if piece.again is not None:
        if piece.again.rescue:
            w.rescued = 1
        else:
            w.high_rxt = (seq + piece.n) & MASK
        return True
    w.snd_nxt = (seq + piece.n + piece.fin) & MASK
    # Karn (RFC 6298 3): without timestamps a segment that begins below the old snd_max, with octets of an earlier one,
    # is not timed.
    if piece.n and not w.rtt_active and (fresh or w.ts_en):
        w.rtt_active, w.rtt_seq, w.rtt_tick = 1, seq, c.now
    w.snd_max = seq_max(w.snd_max, w.snd_nxt)
    return True


def on_abort_grant(c: Context, conn: int) -> None:
    """TX_GRANT after the peer's RST: all that is outstanding completes ABORTED, behind every earlier segment."""
    w = c.w
    w.abort_owed = w.release_owed = 0
    body = TxRelease(una=w.snd_una, status=Status.ABORTED).pack()
    c.tx1 = Txq(kind=TxKind.RELEASE, conn=conn, gen=w.gen, body=body)


def on_grant(c: Context, conn: int) -> None:
    """TX_GRANT: at most one SEGMENT (G-2) and one RELEASE (G-5)."""
    w = c.w
    if unreachable(c) and _would_send(c):
        retrieve(c, conn, UploadReason.INVALID_STATE, freeze=True)
        w.phase = Phase.FROZEN
    else:
        _send_one(c, conn)
    if w.release_owed:
        w.release_owed = 0
        c.tx1 = Txq(kind=TxKind.RELEASE, conn=conn, gen=w.gen, body=TxRelease(una=w.snd_una).pack())


def _would_send(c: Context) -> bool:
    """One of the cases of G-2 makes a SEGMENT."""
    w = c.w
    head = w.rtx_head and w.snd_max != w.snd_una
    probe = w.probe_owed and w.persist and w.snd_nxt == w.snd_una
    return bool(head or probe or w.ka_probe_owed or w.ack_now or w.dup_owed or can_send(c))


def _send_one(c: Context, conn: int) -> None:
    """G-2."""
    w = c.w
    sent = bool(w.rtx_head) and _retransmit_head(c, conn)
    sent = sent or (bool(w.probe_owed) and _probe(c, conn))
    sent = sent or _data(c, conn)
    if not sent and (w.ack_now or w.dup_owed):
        emit_pure_ack(c, conn, ooo.sack_blocks(w))
    elif not sent and w.ka_probe_owed:
        _emit_keep_alive(c, conn)
