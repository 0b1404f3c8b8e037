"""Commit records as columns: every field of a record and of what is nested in it, by its dotted name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum

from model.device.divergence import BODIES, NESTED, PackedStruct
from model.layout.generated import (
    Cqe,
    CqKind,
    CqSource,
    DlvEvt,
    DlvMsg,
    Opcode,
    Phase,
    PlOp,
    Plq,
    RecCq,
    RecDlv,
    RecTcp,
    Status,
    Tcb,
    TcpEvt,
    TcpState,
    TxKind,
    Txq,
    Verdict,
)

#: The largest whole number that a program in JavaScript holds exactly.
EXACT = (1 << 53) - 1
_ENUMS: Mapping[tuple[type[PackedStruct], str], type[IntEnum]] = {
    (RecTcp, "kind"): TcpEvt, (RecTcp, "opcode"): Opcode, (RecTcp, "verdict"): Verdict, (Tcb, "state"): TcpState,
    (Tcb, "phase"): Phase, (Txq, "kind"): TxKind, (DlvMsg, "kind"): DlvEvt, (Cqe, "kind"): CqKind,
    (Cqe, "status"): Status, (RecDlv, "kind"): DlvEvt, (RecDlv, "opcode"): Opcode, (Plq, "op"): PlOp,
    (RecCq, "source"): CqSource,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Column:
    """One field: `lsb` from the record's lowest bit. Of a queue entry's body only with `kind` at `kind_lsb`."""

    name: str
    lsb: int
    width: int
    enum: type[IntEnum] | None = None
    kind: int | None = None
    kind_lsb: int = 0


def columns(struct: type[PackedStruct]) -> tuple[Column, ...]:
    """All columns of a record."""
    return tuple(_columns(struct, "", 0))


def _columns(struct: type[PackedStruct], prefix: str, base: int) -> Iterator[Column]:
    for name, (lsb, width) in struct.FIELDS.items():
        nested = NESTED.get((struct, name))
        if nested is not None:
            yield from _columns(nested, f"{prefix}{name}.", base + lsb)
        elif struct is Txq and name == "body":
            for kind, body in BODIES.items():
                for part, (at, bits) in body.FIELDS.items():
                    shown = f"{prefix}{TxKind(kind).name.lower()}.{part}"
                    yield Column(shown, base + lsb + at, bits, None, kind, base + struct.FIELDS["kind"][0])
        else:
            yield Column(f"{prefix}{name}", base + lsb, width, _ENUMS.get((struct, name)))


class Table:
    """The columns of one record, and records as sparse rows."""

    def __init__(self, struct: type[PackedStruct]) -> None:
        self.columns = columns(struct)
        self._kind_mask = (1 << Txq.FIELDS["kind"][1]) - 1

    def row(self, record: int) -> dict[int, int | str]:
        """Column number -> value, of the fields that are not 0; what JavaScript cannot hold is a text of hex digits."""
        found: dict[int, int | str] = {}
        for number, column in enumerate(self.columns):
            value = record >> column.lsb & ((1 << column.width) - 1)
            if not value or (column.kind is not None and record >> column.kind_lsb & self._kind_mask != column.kind):
                continue
            found[number] = value if value <= EXACT else f"{value:#x}"
        return found

    def described(self) -> dict[str, object]:
        """Names and enumerations for the page."""
        enums = {
            str(number): {str(member.value): member.name for member in column.enum}
            for number, column in enumerate(self.columns)
            if column.enum is not None
        }
        return {"names": [column.name for column in self.columns], "enums": enums}


def change(before: Mapping[int, int | str], after: Mapping[int, int | str]) -> list[int | str]:
    """What a row changes: column, value, column, value; a field that became 0 is given as 0."""
    flat: list[int | str] = []
    for number in sorted({*before, *after}):
        value = after.get(number, 0)
        if value != before.get(number, 0):
            flat += [number, value]
    return flat
