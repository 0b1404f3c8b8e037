"""Which call is allowed in which state: the table that random contract operations are drawn from and counted in.

States are those that the host knows from its own calls and from what came back, so that they are the same on every
device. Reasons of what is not allowed are rules of the NDIS sheet (CH, G), or sections of docs/errors.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class State(StrEnum):
    """Where a connection (or, behind the gap, a path or neighbor) stands, as its host sees it."""

    SOFTWARE = "software"
    SYN_SENT = "SynSent"
    INITIATING = "initiating"
    ESTABLISHED = "Established"
    FIN_WAIT_1 = "FinWait1"
    FIN_WAIT_2 = "FinWait2"
    CLOSE_WAIT = "CloseWait"
    CLOSING = "Closing"
    LAST_ACK = "LastAck"
    TIME_WAIT = "TimeWait"
    CLOSED = "Closed"
    INVALID = "invalid"
    RETRIEVED = "retrieved"
    TERMINATING = "terminating"
    UPLOADED = "uploaded"
    FOREIGN = "foreign"

    OBJECT = "object offloaded"
    OBJECT_INVALID = "object invalid"
    OBJECT_NONE = "object not offloaded"


class Kind(StrEnum):
    """A call, an answer, or what the peer does."""

    INITIATE = "initiate"
    REOFFLOAD = "offload again"
    TERMINATE = "terminate"
    QUERY = "query"
    UPDATE = "update"
    INVALIDATE = "invalidate"
    SEND = "send"
    RECEIVE_PUSH = "receive push"
    RECEIVE_NONPUSH = "receive nonpush"
    RECEIVE_ZERO = "receive zero bytes"
    RECEIVE_PREFILLED = "receive pre-filled"
    RECEIVE_RETURN = "receive return"
    DISCONNECT = "disconnect graceful"
    DISCONNECT_DATA = "disconnect graceful with data"
    DISCONNECT_ABORTIVE = "disconnect abortive"
    FORWARD = "forward"
    ANSWER_ACCEPT = "answer accepted"
    ANSWER_PART = "answer partially accepted"
    ANSWER_REFUSE = "answer not accepted"

    QUERY_OBJECT = "query of path and neighbor"
    UPDATE_MTU = "update of the path MTU"
    UPDATE_MAC = "update of the neighbor's MAC"
    RELINK = "update that relinks a path"
    INVALIDATE_PATH = "invalidate of a path"
    INVALIDATE_NEIGHBOR = "invalidate of a neighbor"
    TERMINATE_OBJECT = "terminate of path and neighbor"

    TREE_CYCLE = "tree with a cycle"
    TREE_LAYERS = "tree with wrong types"
    TREE_NO_STATE = "initiate without its state"
    UPDATE_TWICE = "update during an update"
    RELINK_TCP = "update that relinks a connection"
    DISCONNECT_SHAPE = "disconnect of two NET_BUFFERs"
    ABORT_WITH_DATA = "disconnect abortive with data"
    DISCONNECT_FLAGS = "disconnect with odd flags"
    FORWARD_SIZE = "forward of a cut segment"
    ANSWER_COUNT = "answer with an impossible count"
    RETURN_FOREIGN = "receive return of a foreign list"

    PEER_DATA = "peer sends"
    PEER_FIN = "peer closes"
    PEER_RESET = "peer resets"
    PEER_URGENT = "peer sends urgent data"
    PEER_ZERO_WINDOW = "peer closes its window"
    PEER_SILENCE = "peer is silent"


@dataclass(frozen=True)
class Cell:
    """One pair of the table. ``reason`` says why it is not allowed; empty where it is."""

    reason: str = ""

    @property
    def legal(self) -> bool:
        """The host may do this."""
        return not self.reason


S = State
TCP_STATES: Final = (
    S.ESTABLISHED, S.FIN_WAIT_1, S.FIN_WAIT_2, S.CLOSE_WAIT, S.CLOSING, S.LAST_ACK, S.TIME_WAIT, S.CLOSED,
)  # fmt: skip
"""States of an offloaded connection that nothing else happened to."""
LIVE: Final = (*TCP_STATES, S.INVALID, S.RETRIEVED)
"""Offloaded, and not being terminated."""
AFTER_OWN_FIN: Final = (S.FIN_WAIT_1, S.FIN_WAIT_2, S.CLOSING, S.LAST_ACK, S.TIME_WAIT)
PEER_KINDS: Final = tuple(kind for kind in Kind if kind.name.startswith("PEER_"))
"""What the peer does: counted, but no call of the host."""

_NOT_THERE: Final = {
    S.SOFTWARE: "1.5: a NULL context names nothing",
    S.UPLOADED: "1.5: the context was valid until the terminate completed",
    S.FOREIGN: "1.5: the context is none that the target gave",
}
_INITIATING: Final = {S.INITIATING: "CH-059: the object is being offloaded"}
_TERMINATING: Final = {S.TERMINATING: "6.2: nothing follows a terminate"}
_AWAY: Final = {**_NOT_THERE, **_INITIATING, **_TERMINATING}


def _row(
    kind: Kind, allowed: Iterable[State], refused: Mapping[State, str] | None = None
) -> dict[tuple[Kind, State], Cell]:
    cells = {(kind, state): Cell() for state in allowed}
    return cells | {(kind, state): Cell(reason) for state, reason in (refused or {}).items()}


def _io_rows() -> dict[tuple[Kind, State], Cell]:
    sending = dict.fromkeys(AFTER_OWN_FIN, "7.2: the FIN follows the last byte of all sends")
    second = dict.fromkeys(AFTER_OWN_FIN, "G-23: a second graceful disconnect")
    forwarding = {**_AWAY, S.TERMINATING: "CH-168: the connection is being terminated"}
    rows = _row(Kind.SEND, (s for s in LIVE if s not in AFTER_OWN_FIN), {**_AWAY, **sending})
    for kind in (Kind.RECEIVE_PUSH, Kind.RECEIVE_NONPUSH, Kind.RECEIVE_ZERO, Kind.RECEIVE_PREFILLED):
        rows |= _row(kind, LIVE, _AWAY)
    for kind in (Kind.DISCONNECT, Kind.DISCONNECT_DATA):
        rows |= _row(kind, (s for s in LIVE if s not in AFTER_OWN_FIN), {**_AWAY, **second})
    rows |= _row(Kind.DISCONNECT_ABORTIVE, LIVE, _AWAY)
    rows |= _row(Kind.FORWARD, (s for s in LIVE if s is not S.CLOSED), forwarding)
    rows |= _row(Kind.RECEIVE_RETURN, (*LIVE, S.TERMINATING, S.UPLOADED))
    for kind in (Kind.ANSWER_ACCEPT, Kind.ANSWER_PART, Kind.ANSWER_REFUSE):
        rows |= _row(kind, (S.ESTABLISHED, S.FIN_WAIT_1, S.FIN_WAIT_2, S.INVALID))
    return rows


def _state_rows() -> dict[tuple[Kind, State], Cell]:
    hand_over = (S.ESTABLISHED, S.FIN_WAIT_1, S.FIN_WAIT_2, S.CLOSE_WAIT, S.CLOSING, S.LAST_ACK)
    unfit = {S.SYN_SENT: "CH-060", S.TIME_WAIT: "CH-060", S.CLOSED: "CH-060"}
    rows = _row(Kind.INITIATE, (S.ESTABLISHED, S.CLOSE_WAIT), unfit)
    rows |= _row(Kind.REOFFLOAD, hand_over)
    rows |= _row(Kind.TERMINATE, LIVE, _AWAY)
    rows |= _row(Kind.QUERY, LIVE, _AWAY)
    updating = {**_AWAY, S.INVALID: "CH-088: the object was invalidated"}
    rows |= _row(Kind.UPDATE, (s for s in LIVE if s is not S.INVALID), updating)
    rows |= _row(Kind.INVALIDATE, (s for s in LIVE if s is not S.INVALID), _AWAY)
    return rows


def _object_rows() -> dict[tuple[Kind, State], Cell]:
    none = {S.OBJECT_NONE: "1.5: the object is not offloaded"}
    changing = {**none, S.OBJECT_INVALID: "CH-088: the object was invalidated"}
    rows = _row(Kind.QUERY_OBJECT, (S.OBJECT, S.OBJECT_INVALID), none)
    for kind in (Kind.UPDATE_MTU, Kind.UPDATE_MAC):
        rows |= _row(kind, (S.OBJECT,), changing)
    rows |= _row(Kind.RELINK, (S.OBJECT,), changing)
    for kind in (Kind.INVALIDATE_PATH, Kind.INVALIDATE_NEIGHBOR):
        rows |= _row(kind, (S.OBJECT,), none)
    return rows | _row(
        Kind.TERMINATE_OBJECT, (S.OBJECT, S.OBJECT_INVALID), {**none, S.TERMINATING: "CH-231: something depends on it"}
    )


def _misuse_rows() -> dict[tuple[Kind, State], Cell]:
    live = S.ESTABLISHED
    return (
        _row(Kind.TREE_CYCLE, (), {live: "1.4: NextBlock and DependentBlockList make a tree"})
        | _row(Kind.TREE_LAYERS, (), {live: "CH-026, CH-027: layers"})
        | _row(Kind.TREE_NO_STATE, (), {S.SOFTWARE: "CH-028: a new offload is followed by its state"})
        | _row(Kind.UPDATE_TWICE, (), {live: "CH-088: the object is being updated", S.OBJECT: "CH-088"})
        | _row(Kind.RELINK_TCP, (), {live: "CH-090: no TCP-to-path relink"})
        | _row(Kind.DISCONNECT_SHAPE, (), {live: "CH-171: one NET_BUFFER"})
        | _row(Kind.ABORT_WITH_DATA, (), {live: "CH-171: DataLength 0"})
        | _row(Kind.DISCONNECT_FLAGS, (), {live: "2.10: graceful or abortive"})
        | _row(Kind.FORWARD_SIZE, (), {live: "CH-165: one whole segment"})
        | _row(Kind.ANSWER_COUNT, (), {live: "CH-149, CH-150: BytesConsumed"})
        | _row(Kind.RETURN_FOREIGN, (), {live: "CH-149: a list that was not indicated"})
    )


TABLE: Final[Mapping[tuple[Kind, State], Cell]] = _io_rows() | _state_rows() | _object_rows() | _misuse_rows()
"""Every pair that can be asked for. What the peer does is allowed at any time and stands in no cell; so does an answer
in a state in which data is indicated by chance alone."""


def legal(kind: Kind, state: State) -> bool:
    """The pair is allowed."""
    cell = TABLE.get((kind, state))
    return cell is None or cell.legal
