"""What goes into a step of the TCP engine and what comes out of it."""

from __future__ import annotations

from dataclasses import dataclass

from model.layout.generated import (
    OOO_MAX,
    CachedImage,
    Cqe,
    DlvMsg,
    NbrRec,
    NeighborImage,
    ParamImage,
    Params,
    PathImage,
    PathRec,
    RxSeg,
    Sqe,
    Tcb,
    TcpImage,
    Txq,
    Verdict,
)
from model.tcp.seq import MASK
from model.tcp.work import TcbWork

RESET_PARAMS = Params(
    ack_frequency=2,
    delayed_ack_ticks=100,
    max_retransmissions=5,
    dup_ack_threshold=3,
    push_ticks=500,
    rto_min=300,
    rto_max=60000,
    rto_initial=1000,
    nce_stale_ticks=30000,
    ticks_per_second=1000,
)
"""Global parameters after reset."""


def seconds(params: Params, n: int) -> int:
    """``n`` seconds in ticks, 32 bits."""
    return n * params.ticks_per_second & MASK


Image = TcpImage | CachedImage | PathImage | NeighborImage | ParamImage


@dataclass(frozen=True, slots=True)
class Command:
    """COMMAND: a submission entry that command_decode let pass, with the image it points to.

    ``seg``: the header of a FORWARD, parsed; ``pay_off`` counts from the first byte of the TCP header.
    """

    sqe: Sqe
    sq_index: int
    image: Image | None = None
    seg: RxSeg | None = None


@dataclass(frozen=True, slots=True)
class RxSegment:
    """RX_SEGMENT: what the parser and the look-up found."""

    seg: RxSeg


@dataclass(frozen=True, slots=True)
class TxGrant:
    """TX_GRANT of a connection and generation."""

    conn: int
    gen: int


@dataclass(frozen=True, slots=True)
class Timer:
    """TIMER: a deadline may have passed."""

    conn: int
    gen: int


@dataclass(frozen=True, slots=True)
class Consumed:
    """CONSUMED: ``nbytes`` more of the receive stream belong to the host."""

    conn: int
    gen: int
    nbytes: int


@dataclass(frozen=True, slots=True)
class Credit:
    """CREDIT: ``count`` pool credits come back."""

    count: int


@dataclass(frozen=True, slots=True)
class FenceDone:
    """FENCE_DONE: both halves of a terminate are done."""

    conn: int
    gen: int


@dataclass(frozen=True, slots=True)
class Fault:
    """FAULT: host memory of a connection could not be read or written."""

    conn: int
    gen: int


Event = Command | RxSegment | TxGrant | Timer | Consumed | Credit | FenceDone | Fault


@dataclass(frozen=True, slots=True)
class Env:
    """All a step reads beside its own TCB. ``now`` in ticks; ``path``: the connection's; ``neighbor``: the path's.

    For a command that names a path or a neighbor: that one, as it is before the command.
    """

    now: int
    params: Params = RESET_PARAMS
    credits: int = 0
    path: PathRec | None = None
    neighbor: NbrRec | None = None
    #: Connections of the device, each of which is owed a pool buffer (C-11).
    conns: int = 1
    #: Completions and text find room behind the engine (C.12).
    room: bool = True
    #: Out-of-order ranges that a connection may have (parameter OOO_RANGES).
    ooo_ranges: int = OOO_MAX


@dataclass(frozen=True, slots=True)
class Writes:
    """Engine-global state a step writes; None: not written. Path and neighbor carry their number."""

    credits: int
    params: Params | None = None
    path: tuple[int, PathRec] | None = None
    neighbor: tuple[int, NbrRec] | None = None


@dataclass(frozen=True, slots=True)
class Actions:
    """What a step causes.

    ``image``: FENCE_DONE asks for the delegated image (the look-up entry is deleted before), QUERY for the whole one.
    """

    tx0: Txq | None = None
    tx1: Txq | None = None
    dlv: DlvMsg | None = None
    cpl: Cqe | None = None
    verdict: Verdict = Verdict.NONE
    image: bool = False
    delete_lookup: bool = False


@dataclass(frozen=True, slots=True)
class StepResult:
    """State after the step, global writes, actions, and what tx_scheduler (E-4) and timer_scan (E-5) are told.

    ``matched`` is False when the event did not fit (E-1): then scheduler and timers keep what they have.
    """

    tcb: Tcb
    writes: Writes
    actions: Actions
    matched: bool
    pending: bool
    deadline: int | None


@dataclass(slots=True)
class Context:
    """The step under way: working TCB, environment, actions so far. ``mss`` in bytes (E, derived).

    ``path``, ``neighbor``: of the connection, or those that the command names.
    """

    w: TcbWork
    now: int
    params: Params
    credits: int
    mss: int
    path: PathRec | None = None
    neighbor: NbrRec | None = None
    conns: int = 1
    room: bool = True
    ooo_ranges: int = OOO_MAX
    tx0: Txq | None = None
    tx1: Txq | None = None
    dlv: DlvMsg | None = None
    cpl: Cqe | None = None
    verdict: Verdict = Verdict.NONE
    image: bool = False
    delete_lookup: bool = False
    new_params: Params | None = None
    new_path: tuple[int, PathRec] | None = None
    new_neighbor: tuple[int, NbrRec] | None = None


class StepError(ValueError):
    """A step was called with arguments the contract rules out."""
