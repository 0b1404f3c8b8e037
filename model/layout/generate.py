"""Turn ``layout.toml`` into Verilog macros, Python codecs and a reference page.

The source describes each register, host-memory image, engine state, action and commit record once.
Nothing here knows what a field means; it only places fields and writes three views of the same placement.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCE = Path(__file__).with_name("layout.toml")
#: Enumerations that number ports, not field values: their macros are plain integers, to index vectors with.
INDEX_ENUMS = ("rd_client", "wr_client", "cq_source")
#: Enumerations whose names the test bench shows in waves (tb/hdl/wave_window.v).
WORD_ENUMS = ("opcode", "tcp_state", "phase", "tcp_evt", "dlv_evt", "tx_kind", "verdict")
BANNER = "generated from model/layout/layout.toml by `make layout`; do not edit"


class LayoutError(ValueError):
    """The layout source is inconsistent; the message names the struct, the field and the remedy."""


@dataclass(frozen=True)
class Field:
    """One field: bit offset ``lsb`` and ``width`` in bits; ``struct`` names the struct it nests."""

    name: str
    lsb: int
    width: int
    struct: str | None
    doc: str


@dataclass(frozen=True)
class Struct:
    """A packed vector (``bits``) or a little-endian host-memory image (``image``) of ``width`` bits."""

    name: str
    kind: str
    doc: str
    width: int
    fields: tuple[Field, ...]


@dataclass(frozen=True)
class Register:
    """A 32-bit register at byte ``offset``."""

    name: str
    offset: int
    access: str
    reset: int
    doc: str


@dataclass(frozen=True)
class Layout:
    """All of the source, placed."""

    consts: dict[str, tuple[int, str]]
    enums: dict[str, dict[str, int]]
    registers: tuple[Register, ...]
    structs: dict[str, Struct]


def load(source: Path = SOURCE) -> Layout:
    """Read and place the layout source. Raises LayoutError on overlap, bad width or unknown nesting."""
    raw = tomllib.loads(source.read_text(encoding="utf-8"))
    structs: dict[str, Struct] = {}
    for name, body in raw["struct"].items():
        structs[name] = _place(name, body, structs)
    registers = tuple(_register(line) for line in _lines(raw["csr"]["fields"]))
    offsets = [r.offset for r in registers]
    if len(set(offsets)) != len(offsets):
        raise LayoutError("csr: two registers at one offset; give each its own")
    consts = {k: (int(v[0]), str(v[1])) for k, v in raw["const"].items()}
    return Layout(consts, dict(raw["enum"]), registers, structs)


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _register(line: str) -> Register:
    at, name, access, *rest = line.split(maxsplit=3)
    if access not in ("ro", "rw", "w1c"):
        raise LayoutError(f"csr {name}: access {access!r} is none of ro, rw, w1c")
    return Register(name, int(at[1:], 0), access, 0, rest[0] if rest else "")


def _place(name: str, body: dict[str, str | int], known: dict[str, Struct]) -> Struct:
    kind = str(body["kind"])
    fields: list[Field] = []
    position = 0
    for line in _lines(str(body["fields"])):
        if kind == "image":
            at, line = line.split(maxsplit=1)
            start = 8 * int(at[1:], 0)
            if start < position:
                raise LayoutError(f"struct {name}: field at byte {at} overlaps the one before; move it up")
            position = start
        words = line.split(maxsplit=2)
        fname, size = words[0], words[1]
        nested = None if size.isdigit() else size
        if nested is not None and nested not in known:
            raise LayoutError(f"struct {name}, field {fname}: {nested!r} is no width and no earlier struct")
        width = known[nested].width if nested else int(size)
        fields.append(Field(fname, position, width, nested, words[2] if len(words) > 2 else ""))
        position += width
    total = 8 * int(body["bytes"]) if kind == "image" else position
    if position > total:
        raise LayoutError(f"struct {name}: fields end at bit {position}, the image has {total}; enlarge `bytes`")
    return Struct(name, kind, str(body.get("doc", "")), total, tuple(fields))


def verilog(layout: Layout) -> str:
    """Verilog macros: ``NAME`` for constants, ``STRUCT_FIELD`` for bit ranges, ``STRUCT_W`` for widths."""
    out = [f"// {BANNER}", "`ifndef CHIMNEY_LAYOUT_VH", "`define CHIMNEY_LAYOUT_VH", ""]
    for name, (value, doc) in layout.consts.items():
        literal = f"32'd{value}" if value >= 1 << 31 else str(value)
        out.append(f"`define {name} {literal} // {doc}")
    for enum, values in layout.enums.items():
        width = 0 if enum in INDEX_ENUMS else enum_width(values)
        out += ["", f"// enum {enum}"]
        sized = f"{width}'d" if width else ""
        out += [f"`define {enum.upper()}_{n} {sized}{v}" for n, v in values.items()]
    out += ["", "// register offsets"]
    out += [f"`define CSR_{r.name} 16'h{r.offset:04x}" for r in layout.registers]
    for struct in layout.structs.values():
        prefix = struct.name.upper()
        out += ["", f"// struct {struct.name}: {struct.doc}", f"`define {prefix}_W {struct.width}"]
        for f in struct.fields:
            out.append(f"`define {prefix}_{f.name.upper()} {f.lsb + f.width - 1}:{f.lsb}")
            out.append(f"`define {prefix}_{f.name.upper()}_LSB {f.lsb}")
            out.append(f"`define {prefix}_{f.name.upper()}_W {f.width}")
    out += ["", "`endif", ""]
    return "\n".join(out)


def enum_width(values: dict[str, int]) -> int:
    """Bits an enum's macros are written with: the field width it is used in, at least its largest value."""
    fixed = {
        "PASS_UP": 2,
        "LIST_WRITE": 2,
        "FROZEN": 2,
        "TIME_WAIT": 4,
        "FENCE_DONE": 4,
        "CONTINUE": 4,
        "HDR_NEIGHBOR": 4,
        "NO_SPACE": 4,
        "DISCARDED": 2,
        "RAW": 2,
        "RAW_TX": 8,
    }
    if "DECODE" in values:
        return 4
    for marker, width in fixed.items():
        if marker in values:
            return width
    return 8


def words(layout: Layout) -> str:
    """Verilog functions ENUM_word(value): the name of a value as ASCII, zero bytes in front; zero if it has none."""
    out = [f"// {BANNER}"]
    for enum in WORD_ENUMS:
        values = layout.enums[enum]
        width = 8 * max(map(len, values))
        out += ["", f"function [{width - 1}:0] {enum}_word(input [7:0] value);", "    case (value)"]
        out += [f'        8\'d{v}: {enum}_word = "{n}";' for n, v in values.items()]
        out += [f"        default: {enum}_word = {width}'d0;", "    endcase", "endfunction"]
    return "\n".join(out) + "\n"


def python(layout: Layout) -> str:
    """Typed codecs: one frozen dataclass a struct, with ``pack``, ``unpack`` and field placement."""
    out = [
        f"# {BANNER}",
        '"""Typed codecs of every layout. Values are unsigned; images are little-endian."""',
        "",
        "from __future__ import annotations",
        "",
        "from dataclasses import dataclass",
        "from enum import IntEnum",
        "from typing import ClassVar",
        "",
    ]
    for name, (value, doc) in layout.consts.items():
        out += [f"{name} = {value}", f'"""{doc}"""', ""]
    for enum, values in layout.enums.items():
        out += ["", f"class {_camel(enum)}(IntEnum):", f'    """enum {enum}"""', ""]
        out += [f"    {n} = {v}" for n, v in values.items()]
        out += [""]
    out += ["", "class Csr(IntEnum):", '    """Register offsets in bytes."""', ""]
    out += [f"    {r.name} = 0x{r.offset:03X}" for r in layout.registers]
    out += [""]
    for struct in layout.structs.values():
        out += _python_struct(struct)
    return "\n".join(out).rstrip() + "\n"


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def _py(name: str) -> str:
    return name + "_" if name in ("class", "from", "last_") else name


def _python_struct(struct: Struct) -> list[str]:
    out = [
        "",
        "@dataclass(frozen=True, slots=True)",
        f"class {_camel(struct.name)}:",
        f'    """{struct.doc}"""',
        "",
        f"    WIDTH: ClassVar[int] = {struct.width}",
        "    FIELDS: ClassVar[dict[str, tuple[int, int]]] = {",
    ]
    out += [f'        "{_py(f.name)}": ({f.lsb}, {f.width}),' for f in struct.fields]
    out += ["    }"]
    for f in struct.fields:
        out.append(f"    {_py(f.name)}: int = 0")
    out += [
        "",
        "    def pack(self) -> int:",
        '        """The packed vector; raises ValueError when a field does not fit."""',
        "        value = 0",
    ]
    for f in struct.fields:
        n = _py(f.name)
        out += [
            f"        if self.{n} >> {f.width}:",
            f'            raise ValueError(f"{struct.name}.{n} = {{self.{n}:#x}} does not fit in {f.width} bits")',
            f"        value |= self.{n} << {f.lsb}" if f.lsb else f"        value |= self.{n}",
        ]
    out += [
        "        return value",
        "",
        "    @classmethod",
        f"    def unpack(cls, value: int) -> {_camel(struct.name)}:",
        '        """Fields of a packed vector."""',
        "        return cls(",
    ]
    for f in struct.fields:
        shift = f"(value >> {f.lsb})" if f.lsb else "value"
        out.append(f"            {shift} & {hex((1 << f.width) - 1)},")
    out += ["        )", ""]
    if struct.kind == "image":
        nbytes = struct.width // 8
        out += [
            "    def to_bytes(self) -> bytes:",
            f'        """The {nbytes} bytes in host memory."""',
            f'        return self.pack().to_bytes({nbytes}, "little")',
            "",
            "    @classmethod",
            f"    def from_bytes(cls, data: bytes) -> {_camel(struct.name)}:",
            f'        """Decode {nbytes} bytes; raises ValueError on another length."""',
            f"        if len(data) != {nbytes}:",
            f'            raise ValueError(f"{struct.name}: {{len(data)}} bytes given, {nbytes} needed")',
            '        return cls.unpack(int.from_bytes(data, "little"))',
            "",
        ]
    return out


def reference(layout: Layout) -> str:
    """The reference page."""
    out = [
        "# Layout reference",
        "",
        f"<!-- {BANNER} -->",
        "",
        "Every layout of Chimney. Source: `model/layout/layout.toml`.",
        "",
        "## Constants",
        "",
        "| name | value | meaning |",
        "|---|---|---|",
    ]
    out += [f"| {n} | {v:#x} | {d} |" for n, (v, d) in layout.consts.items()]
    out += ["", "## Enumerations", ""]
    for enum, values in layout.enums.items():
        out += [f"* **{enum}**: " + ", ".join(f"{n} = {v}" for n, v in values.items())]
    out += ["", "## Registers", "", "| offset | name | access | meaning |", "|---|---|---|---|"]
    out += [f"| 0x{r.offset:03X} | {r.name} | {r.access} | {r.doc} |" for r in layout.registers]
    for struct in layout.structs.values():
        image = struct.kind == "image"
        size = f"{struct.width // 8} bytes" if image else f"{struct.width} bits"
        where = "byte" if image else "bits"
        out += [
            "",
            f"## {struct.name} ({size})",
            "",
            struct.doc,
            "",
            f"| {where} | field | width | meaning |",
            "|---|---|---|---|",
        ]
        for f in struct.fields:
            where = str(f.lsb // 8) if image else f"{f.lsb + f.width - 1}:{f.lsb}"
            out.append(f"| {where} | {f.name} | {f.width} | {f.struct or ''} {f.doc} |")
    return "\n".join(out) + "\n"


def generated_files() -> dict[Path, str]:
    """Path and text of every generated file."""
    layout = load()
    return {
        ROOT / "hdl/include/chimney_layout.vh": verilog(layout),
        ROOT / "tb/hdl/layout_words.vh": words(layout),
        ROOT / "model/layout/generated.py": python(layout),
        ROOT / "docs/layout.md": reference(layout),
    }
