"""Wave files: which signals they hold, and what shows them by block with a marker: for GTKWave and for Surfer.

A save file for GTKWave (.gtkw) with filter files, a command file for Surfer (.sucl) with mapping files: enumerations
and the states of blocks are words in both (tb/wave_words.py).
The signal names are read from the wave file itself (VCD header, or the hierarchy block of an FST file), because the
widths of vectors are part of the names and follow from parameters.
"""

from __future__ import annotations

import gzip
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tb.wave_words import Block, Table, block_of, blocks, enumerations

#: FST block types and hierarchy tags (the format of GTKWave's fstapi.h).
_HEADER, _HIERARCHY_GZIP, _HIERARCHY_LZ4, _HIERARCHY_LZ4_TWICE = 0, 4, 6, 7
_ATTRIBUTE_BEGIN, _ATTRIBUTE_END, _SCOPE, _UPSCOPE = 252, 253, 254, 255
#: Where the timescale exponent stands in the FST header block, from the first byte behind the block's length.
_TIMESCALE_AT = 64
#: Signals of a block that tell its story; the order is the order shown.
INTERESTING = (
    r"(?:state|phase|opcode)(?:_reg)?$",
    r"\w*_valid$",
    r"\w*_ready$",
    r"rec_\w+$",
    r"\w*(?:conn|event|verdict|kind)(?:_reg)?$",
)
PER_BLOCK = 24
#: First group: what every look at a wave begins with.
COMMON = (
    r"clk|rst|cycle|tick_count|irq|dut_idle|tb_idle",
    r"snk_toggle|snk_len|src_go|src_done|src_len",
    r"s_axil_(?:awaddr|awvalid|wdata|wvalid|araddr|arvalid|rdata|rvalid)",
)
#: The instance of tb/hdl/wave_window.v, and its signals in the order shown.
WINDOW_INSTANCE = "wave_window_i"
COMMITS = (
    "commit_row commit_cycle conn tcp_evt opcode cause phase tcp_state snd_una snd_nxt snd_max snd_wnd rcv_nxt cwnd "
    "ssthresh verdict tx_kind order tick delivery_row delivery_conn dlv_evt delivery_opcode"
)
#: Bits of GTKWave's trace flags.
_HEX, _DECIMAL, _BIT, _RIGHT, _ASCII, _FILTERED = 0x2, 0x4, 0x8, 0x20, 0x800, 0x2000
#: Size of GTKWave's window, and how many pixels of it show waves.
WINDOW, SHOWN_PIXELS = (1600, 900), 1050
#: GTKWave's zoom is the time of so many pixels, as a power of two; the part of the view that is in front of the marker.
ZOOM_PIXELS, IN_FRONT = 200, 0.6
#: Where Surfer looks for mapping files, below the folder in which it runs (its book, "Mapping Translators").
MAPPINGS = Path(".surfer") / "mappings"
#: What the marker stands at.
DIVERGENCE = "divergence"


class WaveError(Exception):
    """A wave file cannot be read."""


@dataclass(frozen=True)
class Signal:
    """A signal in a wave file: its scopes from the top, name and bit range as the file has them."""

    scopes: tuple[str, ...]
    name: str
    width: int
    bits: str = ""

    @property
    def path(self) -> str:
        """As GTKWave names it."""
        return ".".join((*self.scopes, self.name)) + self.bits


@dataclass(frozen=True)
class WaveFile:
    """What a wave file holds: signals, seconds a time unit as a power of ten, the time of its first value."""

    path: Path
    signals: tuple[Signal, ...]
    timescale: int
    start: int = 0


def read(path: Path) -> WaveFile:
    """Signals of a VCD or FST file."""
    return _read_fst(path) if path.suffix == ".fst" else _read_vcd(path)


# ---- VCD --------------------------------------------------------------------------------------------


def _read_vcd(path: Path) -> WaveFile:
    scopes: list[str] = []
    signals: list[Signal] = []
    timescale = -9
    text = []
    with path.open(errors="replace") as file:
        for line in file:
            text.append(line)
            if "$enddefinitions" in line:
                break
        start = next((int(line[1:]) for line in file if line.startswith("#")), 0)
    for section in re.findall(r"\$(\w+)\s+(.*?)\s*\$end", "".join(text), re.DOTALL):
        kind, words = section[0], section[1].split()
        if kind == "timescale":
            timescale = _exponent("".join(words))
        elif kind == "scope":
            scopes.append(words[1])
        elif kind == "upscope":
            scopes.pop()
        elif kind == "var":
            signals.append(_signal(scopes, "".join(words[3:]), int(words[1])))
    return WaveFile(path, tuple(signals), timescale, start)


def _exponent(text: str) -> int:
    match = re.fullmatch(r"(1|10|100)(s|ms|us|ns|ps|fs)", text)
    if match is None:
        raise WaveError(f"the timescale {text!r} is none")
    unit = {"s": 0, "ms": -3, "us": -6, "ns": -9, "ps": -12, "fs": -15}[match.group(2)]
    return unit + len(match.group(1)) - 1


def _signal(scopes: Sequence[str], text: str, width: int) -> Signal:
    name, bracket, rest = text.replace(" ", "").partition("[")
    return Signal(tuple(scopes), name, width, bracket + rest)


# ---- FST --------------------------------------------------------------------------------------------


def _read_fst(path: Path) -> WaveFile:
    timescale, start, hierarchy = -12, 0, b""
    with path.open("rb") as file:
        while head := file.read(9):
            if len(head) < 9:
                raise WaveError(f"{path} ends inside a block")
            kind, length = head[0], int.from_bytes(head[1:], "big")
            if kind == _HEADER:
                body = file.read(length - 8)
                start = int.from_bytes(body[:8], "big")
                timescale = int.from_bytes(body[_TIMESCALE_AT : _TIMESCALE_AT + 1], "big", signed=True)
            elif kind in (_HIERARCHY_GZIP, _HIERARCHY_LZ4, _HIERARCHY_LZ4_TWICE):
                hierarchy = _unpack(kind, file.read(length - 8))
            else:
                file.seek(length - 8, 1)
    if not hierarchy:
        raise WaveError(f"{path} has no list of signals; was the simulation cut off?")
    return WaveFile(path, tuple(_walk(hierarchy)), timescale, start)


def _unpack(kind: int, body: bytes) -> bytes:
    size, data = int.from_bytes(body[:8], "big"), body[8:]
    if kind == _HIERARCHY_GZIP:
        return gzip.decompress(data)
    if kind == _HIERARCHY_LZ4_TWICE:
        return lz4_block(lz4_block(data[8:], int.from_bytes(data[:8], "big")), size)
    return lz4_block(data, size)


def lz4_block(data: bytes, size: int) -> bytes:
    """Unpack one LZ4 block of `size` bytes (LZ4 block format: token, literals, offset, match)."""
    out = bytearray()
    at = 0

    def length(start: int) -> int:
        nonlocal at
        total = start
        if start == 15:
            more = 255
            while more == 255:
                more = data[at]
                at += 1
                total += more
        return total

    while at < len(data) and len(out) < size:
        token = data[at]
        at += 1
        literals = length(token >> 4)
        out += data[at : at + literals]
        at += literals
        if len(out) >= size or at >= len(data):
            break
        offset = int.from_bytes(data[at : at + 2], "little")
        at += 2
        for _ in range(length(token & 15) + 4):
            out.append(out[-offset])
    if len(out) != size:
        raise WaveError(f"an LZ4 block gives {len(out)} bytes, not {size}")
    return bytes(out)


def _walk(data: bytes) -> Iterable[Signal]:
    scopes: list[str] = []
    at = 0

    def text() -> str:
        nonlocal at
        end = data.index(0, at)
        found = data[at:end].decode(errors="replace")
        at = end + 1
        return found

    def number() -> int:
        nonlocal at
        value, shift = 0, 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                return value

    while at < len(data):
        tag = data[at]
        at += 1
        if tag == _SCOPE:
            at += 1
            scopes.append(text())
            text()
        elif tag == _UPSCOPE:
            scopes.pop()
        elif tag == _ATTRIBUTE_BEGIN:
            at += 2
            text()
            number()
        elif tag != _ATTRIBUTE_END:
            at += 1
            name, width = text(), number()
            number()
            yield _signal(scopes, name, width)


# ---- words ------------------------------------------------------------------------------------------


def words_of(signals: Sequence[Signal], found: Sequence[Block] | None = None) -> dict[Signal, Table]:
    """The table of each signal that is shown in words: states by their block (`found`: those of hdl/), enumerations."""
    known = blocks()[0] if found is None else found
    words = {(table.name, table.width): table for table in enumerations()}
    shown = {signal: words[key] for signal in signals if (key := (_plain(signal), signal.width)) in words}
    for members, block in _in_blocks(signals, known):
        shown |= {
            signal: table
            for signal in members
            if (table := block.tables.get(signal.name)) is not None and table.width == signal.width
        }
    return shown


def all_tables() -> tuple[Table, ...]:
    """Every table that a wave file may need, each once."""
    states = {table.name: table for block in blocks()[0] for table in block.tables.values()}
    return (*enumerations(), *states.values())


def _in_blocks(signals: Sequence[Signal], found: Sequence[Block]) -> Iterable[tuple[list[Signal], Block]]:
    """The scopes that are instances of modules with states: their signals, the module."""
    scopes: dict[tuple[str, ...], list[Signal]] = {}
    for signal in signals:
        scopes.setdefault(signal.scopes, []).append(signal)
    for members in scopes.values():
        block = block_of((signal.name.lstrip("\\") for signal in members), found)
        if block is not None:
            yield members, block


# ---- GTKWave ----------------------------------------------------------------------------------------


def write_words(folder: Path, tables: Iterable[Table]) -> dict[str, Path]:
    """Filter files of GTKWave by the names of their tables, one a table: its hexadecimal values, their words."""
    folder.mkdir(parents=True, exist_ok=True)
    found = {}
    for table in tables:
        path = found[table.name] = folder / f"{table.name}.txt"
        path.write_text(table.gtkwave())
    return found


def save_file(waves: WaveFile, marker: int | None, window: int, words: Mapping[str, Path] | None = None) -> str:
    """A GTKWave save file: signals by block, a marker at time `marker` and a view of `window` around it (file's units).

    First the commit stream, then the bench, then the blocks: the instances of the device down to two levels and those
    with states, of each the signals of INTERESTING. `words` are the filter files of `write_words`.
    """
    lines = ["[*] written by `chimney waves`", f'[dumpfile] "{waves.path}"']
    start = max(waves.start, marker - int(window * IN_FRONT)) if marker is not None else waves.start
    zoom = -math.log2(max(1.0, window * ZOOM_PIXELS / SHOWN_PIXELS))
    lines += [f"[timestart] {start}", f"[size] {WINDOW[0]} {WINDOW[1]}", "[pos] -1 -1"]
    marks = [str(marker if marker is not None else -1)] + ["-1"] * 26
    lines.append(f"*{zoom:.6f} " + " ".join(marks))
    lines += ["[sst_width] 60", "[signals_width] 380", "[sst_expanded] 0"]
    if marker is not None:
        lines += ["@200", f"-marker: {DIVERGENCE}"]
    tables = words_of(waves.signals)
    for title, signals in groups(waves.signals):
        lines += ["@800200", f"-{title}"]
        for signal in signals:
            filter_file = (words or {}).get(tables[signal].name) if signal in tables else None
            lines.append(f"@{_flags(signal, filter_file is not None):x}")
            if filter_file is not None:
                lines.append(f"^1 {filter_file}")
            lines.append(signal.path)
        lines += ["@1000200", f"-{title}"]
    return "\n".join(lines) + "\n"


def _plain(signal: Signal) -> str:
    """The name without what says that it is a register."""
    return signal.name.removesuffix("_reg")


def _flags(signal: Signal, translated: bool) -> int:
    """GTKWave's flags of a trace: hexadecimal, decimal, bits or ASCII, shown at the right, through a filter file."""
    if signal.name.endswith("_row"):
        return _ASCII | _RIGHT
    if translated:
        return _FILTERED | _HEX | _RIGHT
    if signal.width == 1:
        return _BIT | _RIGHT
    return (_DECIMAL if _in_window(signal) else _HEX) | _RIGHT


def _in_window(signal: Signal) -> bool:
    return signal.scopes[-1:] == (WINDOW_INSTANCE,)


def groups(signals: Sequence[Signal]) -> list[tuple[str, list[Signal]]]:
    """The commit stream, the bench, and blocks by name, each with the signals to show."""
    top = next((signal.scopes[0] for signal in signals if signal.scopes), "")
    tops = [signal for signal in signals if signal.scopes == (top,) or signal.scopes[-1:] == ("tb_top",)]
    common = [signal for pattern in COMMON for signal in tops if re.fullmatch(pattern, signal.name)]
    rows = {signal.name: signal for signal in signals if _in_window(signal)}
    stream = [rows[name] for name in COMMITS.split() if name in rows]
    found = [("commits", stream)] if stream else []
    found += [("bench", common)] if common else []
    if top.endswith("_proof"):  # a harness of tb/formal: what it has at its top is the story
        found = [(top, [signal for signal in tops if not re.search(r"\$|_EN$|_CHECK$", signal.name)])]
    states = {
        member
        for members, block in _in_blocks(signals, blocks()[0])
        for member in members
        if member.name in block.registers and not member.name.endswith("_next")
    }
    with_states = {signal.scopes for signal in states}
    inside: dict[tuple[str, ...], list[Signal]] = {}
    for signal in signals:
        inner = [n for n, scope in enumerate(signal.scopes) if scope in ("dut", "u_dut", "u_chimney", "chimney")]
        if inner and (len(signal.scopes) - inner[-1] <= 3 or signal.scopes in with_states):
            inside.setdefault(signal.scopes[inner[-1] :], []).append(signal)
    for scopes, members in inside.items():
        shown = [signal for signal in members if signal in states]
        for pattern in INTERESTING:
            shown += [signal for signal in members if re.match(pattern, signal.name) and signal not in shown]
        if shown:
            found.append((".".join(scopes), shown[:PER_BLOCK]))
    return found


# ---- Surfer -----------------------------------------------------------------------------------------


def write_mappings(folder: Path, tables: Iterable[Table]) -> None:
    """Mapping files of Surfer in `folder`, that in which it runs: it looks for them in MAPPINGS below that."""
    place = folder / MAPPINGS
    place.mkdir(parents=True, exist_ok=True)
    for table in tables:
        (place / table.surfer_format).write_text(table.surfer())


def command_file(waves: WaveFile, marker: int | None) -> str:
    """A Surfer command file (`surfer --command-file`): the same groups, rows as ASCII, words, a marker at `marker`.

    The formats of words are those of `write_mappings`; a Surfer that lacks one warns and shows the number.
    """
    lines = [f"load_file {waves.path}"]
    tables = words_of(waves.signals)
    shown = 0
    formats: list[tuple[int, str]] = []
    for title, signals in groups(waves.signals):
        lines.append(f"divider_add {title}")
        shown += 1
        for signal in signals:
            lines.append(f"variable_add {'.'.join((*signal.scopes, signal.name))}")
            if signal.name.endswith("_row"):
                formats.append((shown, "ASCII"))
            elif signal in tables:
                formats.append((shown, tables[signal].surfer_format))
            shown += 1
    for row, name in formats:
        lines += [f"item_focus {_item(row, shown)}_row", f"item_set_format {name}"]
    if formats:
        lines.append("item_unfocus")
    if marker is not None:
        lines += [f"cursor_set {marker}", f"marker_set {DIVERGENCE}", "goto_cursor"]
    return "\n".join(lines) + "\n"


def _item(index: int, count: int) -> str:
    """Surfer's name of the item at a place among `count`: hexadecimal digits, written a to p."""
    digits = len(f"{max(count, 1):x}")
    return "".join("abcdefghijklmnop"[int(digit, 16)] for digit in f"{index:0{digits}x}")
