"""Wave files: which signals they hold, and a GTKWave save file that shows them by block with a marker.

The signal names are read from the wave file itself (VCD header, or the hierarchy block of an FST file), because the
widths of vectors are part of the names and follow from parameters.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

#: FST block types and hierarchy tags (the format of GTKWave's fstapi.h).
_HEADER, _HIERARCHY_GZIP, _HIERARCHY_LZ4, _HIERARCHY_LZ4_TWICE = 0, 4, 6, 7
_ATTRIBUTE_BEGIN, _ATTRIBUTE_END, _SCOPE, _UPSCOPE = 252, 253, 254, 255
#: Where the timescale exponent stands in the FST header block, from the first byte behind the block's length.
_TIMESCALE_AT = 64
#: Signals of a block that tell its story; the order is the order shown.
INTERESTING = (
    r"(?:state|phase)(?:_reg)?$",
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
    """What a wave file holds: signals, and seconds a time unit as a power of ten."""

    path: Path
    signals: tuple[Signal, ...]
    timescale: int


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
    return WaveFile(path, tuple(signals), timescale)


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
    timescale, hierarchy = -12, b""
    with path.open("rb") as file:
        while head := file.read(9):
            if len(head) < 9:
                raise WaveError(f"{path} ends inside a block")
            kind, length = head[0], int.from_bytes(head[1:], "big")
            if kind == _HEADER:
                body = file.read(length - 8)
                timescale = int.from_bytes(body[_TIMESCALE_AT : _TIMESCALE_AT + 1], "big", signed=True)
            elif kind in (_HIERARCHY_GZIP, _HIERARCHY_LZ4, _HIERARCHY_LZ4_TWICE):
                hierarchy = _unpack(kind, file.read(length - 8))
            else:
                file.seek(length - 8, 1)
    if not hierarchy:
        raise WaveError(f"{path} has no list of signals; was the simulation cut off?")
    return WaveFile(path, tuple(_walk(hierarchy)), timescale)


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


# ---- GTKWave ----------------------------------------------------------------------------------------


def save_file(waves: WaveFile, marker: int | None, window: int) -> str:
    """A GTKWave save file: signals by block, a marker at time `marker` and a view of `window` around it (file's units).

    Blocks are the instances of the device down to two levels; of each only the signals of INTERESTING are shown.
    """
    lines = ["[*] written by `make replay`", f'[dumpfile] "{waves.path}"']
    start = max(0, marker - window // 2) if marker is not None else 0
    zoom = -float(max(1, (window // 200).bit_length()))
    lines += [f"[timestart] {start}", "[size] 1600 900", "[pos] -1 -1"]
    marks = [str(marker if marker is not None else -1)] + ["-1"] * 26
    lines.append(f"*{zoom:.6f} " + " ".join(marks))
    lines += ["[sst_width] 250", "[signals_width] 320"]
    for title, signals in _groups(waves.signals):
        lines += ["@800200", f"-{title}"]
        for signal in signals:
            lines += ["@28" if signal.width == 1 else "@22", signal.path]
        lines += ["@1000200", f"-{title}"]
    return "\n".join(lines) + "\n"


def _groups(signals: Sequence[Signal]) -> list[tuple[str, list[Signal]]]:
    """Blocks by name with the signals to show."""
    top = signals[0].scopes[0] if signals else ""
    tops = [signal for signal in signals if signal.scopes == (top,) or signal.scopes[-1:] == ("tb_top",)]
    common = [signal for pattern in COMMON for signal in tops if re.fullmatch(pattern, signal.name)]
    groups = [("bench", common)] if common else []
    blocks: dict[tuple[str, ...], list[Signal]] = {}
    for signal in signals:
        inner = [n for n, scope in enumerate(signal.scopes) if scope in ("dut", "u_dut", "u_chimney", "chimney")]
        if inner and len(signal.scopes) - inner[-1] <= 3:
            blocks.setdefault(signal.scopes[inner[-1] :], []).append(signal)
    for scopes, members in blocks.items():
        shown: list[Signal] = []
        for pattern in INTERESTING:
            shown += [signal for signal in members if re.match(pattern, signal.name) and signal not in shown]
        if shown:
            groups.append((".".join(scopes), shown[:PER_BLOCK]))
    return groups
