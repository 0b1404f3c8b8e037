"""Words for what wave files hold as numbers: the layout's enumerations, and the states of the blocks of hdl/.

The words of a state register are the localparams of its module that it is compared with, that it is given, and that are
labels of its `case`. They are read from the Verilog source; what cannot be read so is a problem and never left out in
silence. Wave files do not name modules: a scope is that of the module whose source has all names of the scope.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path

from model.layout.generated import DlvEvt, Opcode, Phase, TcpEvt, TcpState, TxKind, Verdict
from tb.config import ROOT

HDL = ROOT / "hdl"
#: Signals that hold a value of an enumeration of the layout, and their widths.
WORDS: Mapping[str, type[IntEnum]] = {
    "tcp_evt": TcpEvt, "opcode": Opcode, "phase": Phase, "tcp_state": TcpState, "verdict": Verdict, "tx_kind": TxKind,
    "dlv_evt": DlvEvt, "delivery_opcode": Opcode,
}  # fmt: skip
WIDTHS = {"tcp_evt": 4, "opcode": 8, "phase": 2, "tcp_state": 4, "verdict": 2, "tx_kind": 4, "dlv_evt": 4,
          "delivery_opcode": 8}  # fmt: skip
#: What the names of Surfer's formats begin with.
SURFER_PREFIX = "chimney_"

_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_MODULE = re.compile(r"\bmodule\s+(\w+)")
_WORD = re.compile(r"[A-Za-z_]\w*")
#: A state register by its name; the first group is what the register and its next value share.
_STATE_NAME = re.compile(r"((?:\w+_)?state)(?:_reg|_next)?")
_REGISTER = re.compile(r"\breg\s*(?:signed\s*)?(\[[^\]]*\])?\s*(\w+(?:\s*,\s*\w+)*)\s*[;=,)]")
_TCP_STATE = re.compile(r"\bwire\s*(\[[^\]]*\])\s*state\s*=\s*\w+\[`(?:TCB|TCP_IMAGE)_STATE\]\s*;")
_WIRE = re.compile(r"\bwire\s*(?:\[[^\]]*\])?\s*state\b")
_LOCALPARAM = re.compile(r"\blocalparam\b\s*(?:signed\b\s*)?(\[[^\]]*\])?([^;]*);")
_SIZED = re.compile(r"(\d+)'([bodh])([0-9a-fA-F_]+)")
_RANGE = re.compile(r"\[\s*(\d+)\s*:\s*0\s*\]")
_CASE = re.compile(r"\bcase[xz]?\s*\(\s*(\w+)\s*\)|\bcase[xz]?\b|\bendcase\b")
_LABEL = re.compile(r"^[ \t]*([\w`']+(?:[ \t]*,[ \t]*[\w`']+)*)[ \t]*:", re.MULTILINE)


class WordsError(Exception):
    """The words of a state register cannot be read from its module."""


@dataclass(frozen=True)
class Table:
    """Words of values: its name (that of the filter file), the width of the signal in bits, word -> value."""

    name: str
    width: int
    values: Mapping[str, int] = field(hash=False)

    def gtkwave(self) -> str:
        """A filter file of GTKWave: value with all hexadecimal digits, word."""
        digits = -(-self.width // 4)
        return "".join(f"{value:0{digits}x} {word}\n" for word, value in self.values.items())

    @property
    def surfer_format(self) -> str:
        """The name of its format in Surfer."""
        return SURFER_PREFIX + self.name

    def surfer(self) -> str:
        """A mapping file of Surfer (0.6.0 and later): name, width, value and word."""
        rows = "".join(f"{value} {word}\n" for word, value in self.values.items())
        return f"Name = {self.surfer_format}\nBits = {self.width}\n{rows}"


@dataclass(frozen=True)
class Block:
    """A module with states: every word of its source, and the tables of its signals by their names."""

    module: str
    names: frozenset[str]
    tables: Mapping[str, Table]
    #: Those of `tables` that are registers of the block's own states, not fields of a connection.
    registers: frozenset[str]


def enumerations() -> tuple[Table, ...]:
    """The tables of the layout's enumerations, one a signal of WORDS."""
    return tuple(
        Table(signal, WIDTHS[signal], {value.name: int(value) for value in enum}) for signal, enum in WORDS.items()
    )


@functools.cache
def blocks(hdl: Path = HDL) -> tuple[tuple[Block, ...], tuple[str, ...]]:
    """Modules of `hdl` with states; and why others have no words, one line each (none in a tree that is in order)."""
    found, problems = [], []
    for path in sorted(hdl.rglob("*.v")):
        try:
            block = read_block(path.read_text())
        except WordsError as error:
            problems.append(f"{path.relative_to(hdl)}: {error}")
        else:
            found += [block] if block is not None else []
    return tuple(found), tuple(problems)


def block_of(names: Iterable[str], found: Sequence[Block]) -> Block | None:
    """The module of a scope whose signals have these names; None if it has no states, or if two modules fit."""
    held = frozenset(names)
    fits = [block for block in found if held <= block.names and held & block.tables.keys()]
    return fits[0] if len(fits) == 1 else None


def read_block(text: str) -> Block | None:
    """The states of one module, None if it has none; WordsError if a state register's words cannot be read."""
    text = _COMMENT.sub(" ", text)
    if (header := _MODULE.search(text)) is None:
        return None
    module = header.group(1)
    widths = {name: span for span, name in _declared(text)}
    constants = tuple(_constants(text))
    groups: dict[str, list[str]] = {}
    for name in widths:
        match = _STATE_NAME.fullmatch(name)
        if match is not None or _is_machine(text, name, constants):
            stem = match.group(1) if match else name.removesuffix("_reg").removesuffix("_next")
            groups.setdefault(stem, []).append(name)
    tables: dict[str, Table] = {}
    for stem, registers in groups.items():
        spans = {_width(widths[name], name) for name in registers}
        if len(spans) != 1:
            raise WordsError(f"{' and '.join(registers)} are not of one width")
        table = Table(f"{module}_{stem}", width := spans.pop(), _values(text, registers, width, constants))
        tables |= dict.fromkeys(registers, table)
    own = frozenset(tables)
    if (wire := _WIRE.search(text)) is not None:
        if (of_tcp := _TCP_STATE.match(text, wire.start())) is None:
            raise WordsError("the wire state is neither a register nor the state of a connection")
        width = _width(of_tcp.group(1), "state")
        tables["state"] = Table(f"tcp_state_{width}", width, {value.name: int(value) for value in TcpState})
    return Block(module, frozenset(_WORD.findall(text)), tables, own) if tables else None


def _declared(text: str) -> Iterator[tuple[str | None, str]]:
    for match in _REGISTER.finditer(text):
        for name in match.group(2).split(","):
            yield match.group(1), name.strip()


def _width(span: str | None, name: str) -> int:
    """Bits of a range that is written in numbers."""
    if span is None:
        return 1
    match = _RANGE.fullmatch(span)
    if match is None:
        raise WordsError(f"the range {span} of {name} is not in numbers")
    return int(match.group(1)) + 1


@dataclass(frozen=True)
class _Constant:
    """A localparam: its declaration's number, range and value as they are written."""

    statement: int
    name: str
    span: str | None
    value: str

    @property
    def width(self) -> int | None:
        """Bits of its range, if that is written in numbers."""
        match = _RANGE.fullmatch(self.span or "")
        return int(match.group(1)) + 1 if match else None


def _constants(text: str) -> Iterator[_Constant]:
    for number, match in enumerate(_LOCALPARAM.finditer(text)):
        for part in re.split(r",(?![^{(]*[})])", match.group(2)):
            name, _, value = part.partition("=")
            yield _Constant(number, name.strip(), match.group(1), value.strip())


def _is_machine(text: str, name: str, constants: Sequence[_Constant]) -> bool:
    """Whether a register of any name is a state register: all labels of a `case` of it are localparams."""
    known = {constant.name for constant in constants}
    return any(labels and set(labels) <= known for labels in _labels(text, name))


def _labels(text: str, name: str) -> Iterator[list[str]]:
    """The labels of each `case (name)`, without those of a `case` inside it."""
    stack: list[tuple[str | None, list[str]]] = []
    at = 0
    for match in _CASE.finditer(text):
        if stack:
            stack[-1][1].append(text[at : match.start()])
        at = match.end()
        if match.group() != "endcase":
            stack.append((match.group(1), []))
        elif stack:
            register, parts = stack.pop()
            if register == name:
                rows = [row.group(1) for part in parts for row in _LABEL.finditer(part)]
                labels = [label.strip() for row in rows for label in row.split(",")]
                yield [label for label in labels if label not in ("default", "begin", "end", "else")]


def _values(text: str, registers: Sequence[str], width: int, constants: Sequence[_Constant]) -> dict[str, int]:
    """Word -> value of what names the values of `registers`: with it, the rest of the same declarations."""
    known = {constant.name: constant for constant in constants}
    named: set[str] = set()
    for name in registers:
        direct = {label for labels in _labels(text, name) for label in labels}
        direct |= set(re.findall(rf"\b{name}\s*[!=]==?\s*([\w`']+)", text)) - set(registers)
        if unknown := sorted(direct - known.keys()):
            raise WordsError(f"{name} has values that are no localparams of the module: {', '.join(unknown)}")
        given = " ".join(re.findall(rf"\b{name}\s*(?:<=|=(?!=))([^;]*);", text))
        named |= direct | {word for word in _WORD.findall(given) if word in known and known[word].width == width}
    if not named:
        raise WordsError(f"no localparam names a value of {registers[0]}")
    statements = {known[word].statement for word in named}
    values: dict[str, int] = {}
    for constant in constants:
        if constant.statement in statements:
            value = _literal(constant, width)
            if value in values.values():
                raise WordsError(f"two words for the value {value} of {registers[0]}")
            values[constant.name] = value
    return values


def _literal(constant: _Constant, width: int) -> int:
    """The value of a localparam that is a sized number of `width` bits."""
    match = _SIZED.fullmatch(constant.value)
    if match is None or int(match.group(1)) != width:
        raise WordsError(f"{constant.name} = {constant.value} is not a number of {width} bits")
    value = int(match.group(3).replace("_", ""), {"b": 2, "o": 8, "d": 10, "h": 16}[match.group(2)])
    if value >> width:
        raise WordsError(f"{constant.name} = {constant.value} does not fit")
    return value
