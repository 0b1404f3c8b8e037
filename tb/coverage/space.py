"""The space of functional bins. Nothing here is chosen: a group is the product of enumerations that exist elsewhere.

Sources: the layout (model/layout/layout.toml, by its generated enumerations and structs), the rules of docs/ndis.md,
the rows of docs/errors.md, table 4.2 of the NDIS sheet (model/ndis/status.py), the fault kinds of the network.
What of a product cannot happen is in exclusions.toml, with its reason.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Final

from model.layout.generated import (
    OOO_MAX,
    SACK_RX_MAX,
    SB_RANGES,
    CqKind,
    Csr,
    DlvEvt,
    Family,
    Opcode,
    PlOp,
    RxReason,
    Status,
    Tcb,
    TcpEventType,
    TcpEvt,
    TxRecKind,
    Verdict,
)
from model.ndis.status import LEGAL_STATUS
from model.wire.impair import FaultKind
from tb.config import ROOT, SIMULATORS
from tb.contract.duties import duties
from tb.coverage.states import DELIVERY_STATES, STATES

WIDTHS: Final = (64, 512)
"""Bus widths in bits at which alignment counts; the others have smoke tests only."""
POSITIONS: Final = ("first", "between", "last")
LAPS: Final = ("first-lap", "later-lap")
ACCEPTED: Final = "accepted"
"""The outcome of a command that tcp_engine gives no completion for."""
GRANTED: Final = ("nothing", "SEGMENT", "RELEASE", "SEGMENT+RELEASE")
"""What a grant issues: tx0 and tx1 of a commit record, each of which it may have."""
SILENT: Final = "nothing"
TRANSFERS: Final = ("send", "place", "copy", "frame-in", "frame-out")
"""send: an element of a SEND's list. place: a piece of a frame written to memory. copy: one out of the pool."""
ENDS: Final[Mapping[str, tuple[str, ...]]] = {
    "send": ("start", "end"), "place": ("start", "end", "shift"), "copy": ("start", "end", "shift"),
    "frame-in": ("end",), "frame-out": ("end",),
}  # fmt: skip
"""start, end: of the bytes in host memory or in the frame, within a bus word. shift: destination less source."""
DIRECTIONS: Final = ("nic_to_peer", "peer_to_nic")
_CODES: Final = {"SEND": {"SEND", "DISCONNECT"}, "RECEIVE": {"RECEIVE"}, "FORWARD": {"FORWARD"}, "RAW_TX": {"RAW_SEND"}}
"""Opcodes of completion entries by kind, where a kind has its own (hostport)."""
_ERROR_ROW = re.compile(r"^\| [HIM]-\w+ \| (?P<entry>[^|]*) \| (?:the second: )?(?P<kind>[A-Z_]+) ?(?P<status>[A-Z_]*)")


@dataclass(frozen=True, slots=True)
class Bin:
    """One thing that must have been seen: a value for each axis of its group."""

    group: str
    values: tuple[str, ...]

    @property
    def name(self) -> str:
        """The values as one text."""
        return " ".join(self.values)


@dataclass(frozen=True)
class Group:
    """Bins of one kind. ``axes`` name the values of each."""

    name: str
    axes: tuple[str, ...]
    bins: tuple[Bin, ...]


def opcode_name(code: int) -> str:
    """The name of an opcode, or `unknown`."""
    return Opcode(code).name if code in Opcode._value2member_map_ else "unknown"


def timers() -> tuple[str, ...]:
    """The deadlines of struct tcb; the retransmission timer is also the persist timer."""
    names = [field.removesuffix("_deadline") for field in Tcb.FIELDS if field.endswith("_deadline")]
    return (*names, "persist")


def options() -> tuple[str, ...]:
    """What a connection may have agreed to: the flags of struct tcb that end in ``_en``."""
    return tuple(field.removesuffix("_en") for field in Tcb.FIELDS if field.endswith("_en"))


def ring_names() -> tuple[str, ...]:
    """The rings that have a size register."""
    return tuple(register.name.removesuffix("_SIZE_LOG2") for register in Csr if register.name.endswith("_SIZE_LOG2"))


def levels() -> Mapping[str, int]:
    """Things that a record counts, and how many there may be at most."""
    return {"ranges-held": OOO_MAX, "scoreboard": SB_RANGES, "sack-blocks-in": SACK_RX_MAX}


def answers() -> frozenset[tuple[str, str]]:
    """Opcode and status of every error row of docs/errors.md, parts H, I and M."""
    known = {opcode.name for opcode in Opcode}
    statuses = {status.name for status in Status}
    found = set()
    for line in (ROOT / "docs" / "errors.md").read_text().splitlines():
        if (match := _ERROR_ROW.match(line)) is None:
            continue
        status = match["status"] if match["status"] in statuses else match["kind"]
        if status not in statuses:
            continue
        codes = _CODES.get(match["kind"], known)
        words = [word for word in re.findall(r"[A-Z_]{3,}", match["entry"]) if word in codes]
        fallback = match["kind"] if match["kind"] in known | {"RAW_RX"} else "unknown"
        found.add((words[0] if words else fallback, status))
    return frozenset(found)


def _tcp_events() -> Iterator[tuple[str, Sequence[str]]]:
    """Events of tcp_engine with a connection, each with its outcomes: from the field of struct rec_tcp for it."""
    notices = [SILENT, *(event.name for event in TcpEventType)]
    for event in TcpEvt:
        if event is TcpEvt.COMMAND:
            statuses = [ACCEPTED, *(status.name for status in Status)]
            yield from ((opcode.name, statuses) for opcode in Opcode)
        elif event is TcpEvt.RX_SEGMENT:
            yield event.name, [verdict.name for verdict in Verdict if verdict is not Verdict.NONE]
        elif event is TcpEvt.TX_GRANT:
            yield event.name, GRANTED
        elif event not in (TcpEvt.NONE, TcpEvt.CREDIT):
            yield event.name, notices


def _values() -> Iterator[tuple[str, tuple[str, ...], Iterator[tuple[str, ...]]]]:
    """Name, axes and values of every group."""
    yield "rule", ("rule", "simulator"), product([d.id for d in duties() if not d.missing], SIMULATORS)
    yield "tcp", ("state", "event", "outcome"), (
        (state, event, outcome) for state in STATES for event, outcomes in _tcp_events() for outcome in outcomes
    )  # fmt: skip
    yield "next", ("state", "after"), product(STATES, STATES)
    yield "object", ("opcode", "status"), product(
        [opcode.name for opcode in Opcode], [ACCEPTED, *(status.name for status in Status)]
    )  # fmt: skip
    yield "timer", ("state", "timer"), product(STATES, timers())
    yield "delivery", ("state", "event", "op"), product(
        DELIVERY_STATES, [event.name for event in DlvEvt if event is not DlvEvt.NONE], [op.name for op in PlOp]
    )  # fmt: skip
    yield "entry", ("event", "entry"), product(
        [event.name for event in DlvEvt if event is not DlvEvt.NONE], [kind.name for kind in CqKind]
    )  # fmt: skip
    yield "frame-in", ("reason",), ((reason.name,) for reason in RxReason)
    yield "frame-out", ("kind",), ((kind.name,) for kind in TxRecKind)
    good = {(opcode.name, Status.OK.name) for opcode in Opcode}
    yield "answer", ("opcode", "status"), iter(sorted(good | answers()))
    yield "status", ("call", "status"), (
        (kind.value, status.name) for kind, legal in LEGAL_STATUS.items() for status in sorted(legal)
    )  # fmt: skip
    agreed = [tuple(f"{name}={int(on)}" for name, on in zip(options(), bits, strict=True))
              for bits in product((False, True), repeat=len(options()))]  # fmt: skip
    yield "option", ("family", *options()), ((family.name, *one) for family in Family for one in agreed)
    yield "scale", ("side", "shift"), product(("snd", "rcv"), map(str, range(15)))
    yield "alignment", ("width", "transfer", "end", "lane"), (
        (str(width), transfer, end, str(lane))
        for width in WIDTHS
        for transfer in TRANSFERS
        for end in ENDS[transfer]
        for lane in range(width // 8)
    )  # fmt: skip
    yield "ring", ("ring", "position", "lap"), product(ring_names(), POSITIONS, LAPS)
    yield "request-ring", ("position", "fill"), product(POSITIONS, ("empty", "some", "full"))
    yield "level", ("what", "count"), (
        (what, str(count)) for what, most in levels().items() for count in range(most + 1)
    )  # fmt: skip
    yield "impairment", ("kind", "direction", "family"), product(
        [kind.value for kind in FaultKind], DIRECTIONS, [family.name for family in Family]
    )  # fmt: skip


@cache
def groups() -> Mapping[str, Group]:
    """Every group, with all of its bins, the impossible ones included."""
    found = {}
    for name, axes, values in _values():
        found[name] = Group(name, axes, tuple(Bin(name, one) for one in values))
    return found
