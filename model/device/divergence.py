"""The first divergence: where RTL and golden model part, down to one field of one event."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Protocol

from model.device.rules import rule_of
from model.layout.generated import (
    Cqe,
    Dcb,
    DlvMsg,
    Plq,
    RecCq,
    RecDlv,
    RecTcp,
    RxSeg,
    Tcb,
    TxAppend,
    TxBarrier,
    TxHdrConn,
    TxHdrNbr,
    TxHdrPath,
    TxKind,
    Txq,
    TxRelease,
    TxSegment,
)


@dataclass(frozen=True, slots=True)
class Divergence:
    """One disagreement. ``check`` is the number in architecture section 3; ``frame`` the frame it is about."""

    check: int
    stream: str
    order: int
    cycle: int
    conn: int | None
    event: str
    field: str
    expected: str
    got: str
    rule: str
    frame: bytes | None = None
    history: tuple[str, ...] = ()

    def with_history(self, history: tuple[str, ...]) -> Divergence:
        """The same with the connection's last commits."""
        return replace(self, history=history)


class Halt(Exception):  # noqa: N818 - not an error of the program: it carries the finding out of the call
    """Raised inside the follower to carry a divergence out."""

    def __init__(self, divergence: Divergence) -> None:
        super().__init__(f"check {divergence.check}: {divergence.field}")
        self.divergence = divergence


class PackedStruct(Protocol):
    """A generated struct class."""

    FIELDS: ClassVar[dict[str, tuple[int, int]]]


#: What a field of a record is made of, and the body of an entry of the transmit queue by its kind.
NESTED: dict[tuple[type[PackedStruct], str], type[PackedStruct]] = {
    (RecTcp, "rx"): RxSeg,
    (RecTcp, "tcb"): Tcb,
    (RecTcp, "tx0"): Txq,
    (RecTcp, "tx1"): Txq,
    (RecTcp, "dlv"): DlvMsg,
    (RecTcp, "cpl"): Cqe,
    (RecDlv, "dcb"): Dcb,
    (RecDlv, "plq"): Plq,
    (Plq, "cqe"): Cqe,
    (RecCq, "cqe"): Cqe,
}
BODIES: dict[int, type[PackedStruct]] = {
    TxKind.SEGMENT: TxSegment,
    TxKind.APPEND: TxAppend,
    TxKind.RELEASE: TxRelease,
    TxKind.FENCE: TxRelease,
    TxKind.HDR_CONN: TxHdrConn,
    TxKind.HDR_PATH: TxHdrPath,
    TxKind.HDR_NEIGHBOR: TxHdrNbr,
    TxKind.BARRIER: TxBarrier,
}


def field_of(struct: type[PackedStruct], value: int, name: str) -> int:
    """One field of a packed vector."""
    lsb, width = struct.FIELDS[name]
    return value >> lsb & ((1 << width) - 1)


def first_difference(struct: type[PackedStruct], expected: int, got: int, prefix: str = "") -> tuple[str, int, int]:
    """(dotted name, expected, got) of the first field that differs, inside nested structs too."""
    for name in struct.FIELDS:
        e, g = field_of(struct, expected, name), field_of(struct, got, name)
        if e == g:
            continue
        nested = NESTED.get((struct, name))
        if struct is Txq and name == "body":
            nested = BODIES.get(field_of(Txq, expected, "kind"))
        dotted = f"{prefix}{name}"
        if nested is None:
            return dotted, e, g
        inner = first_difference(nested, e, g, f"{dotted}.")
        return inner if inner[0] else (dotted, e, g)
    return "", 0, 0


def from_records(
    struct: type[PackedStruct],
    expected: int,
    got: int,
    *,
    check: int,
    stream: str,
    order: int,
    cycle: int,
    conn: int | None,
    event: str,
    frame: bytes | None = None,
) -> Divergence:
    """A divergence from two packed records that are not equal."""
    name, e, g = first_difference(struct, expected, got)
    return Divergence(
        check=check,
        stream=stream,
        order=order,
        cycle=cycle,
        conn=conn,
        event=event,
        field=name or "bits above the record",
        expected=f"{e} ({e:#x})",
        got=f"{g} ({g:#x})",
        rule=rule_of(event, name),
        frame=frame,
    )
