"""The trace format (docs/trace-format.md): its header, a writer, and a reader that names the line that is wrong."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import stat
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from enum import IntEnum
from pathlib import Path
from typing import Any

from model.device.bounds import bounds_for
from model.device.config import DeviceConfig
from model.device.memory import Contents
from model.layout import generated
from tb.sim.contents import initial_contents
from tb.variables import ConfigError

FORMAT = "chimney trace"
VERSION = 2
#: Its name in the folder of a run.
TRACE_NAME = "commits.jsonl.gz"
#: Bytes of memory that a trace may have at most.
MAX_MEMORY = 1 << 30
#: Bytes of the longest line: so many, and so many more for each byte of memory that the header tells of.
MAX_LINE, LINE_PER_BYTE = 1 << 20, 4
#: Bits of the longest number of a record, and of any other.
RECORD_BITS, NUMBER_BITS = 1 << 14, 64
#: What each table of the device may be at most.
MAX_TABLE = 1 << 16
#: Bytes of a snapshot that are compared at once.
PAGE = 4096
#: What to do with what is no trace.
GIVE = "give the commits.jsonl.gz of a run with TRACE=1 (docs/trace-format.md)"
_GZIP = b"\x1f\x8b"

#: Pieces of memory: (address, bytes).
Pieces = list[tuple[int, bytes]]


class TraceError(ConfigError):
    """A file is not a trace of this version, or not a whole one."""


def layout_hash() -> str:
    """16 hex digits over names, places and values of everything in model/layout/generated.py."""
    facts: dict[str, object] = {}
    for name, thing in vars(generated).items():
        if isinstance(thing, int):
            facts[name] = thing
        elif isinstance(thing, type) and issubclass(thing, IntEnum) and thing is not IntEnum:
            facts[name] = {member: int(value) for member, value in thing.__members__.items()}
        elif hasattr(thing, "FIELDS"):
            facts[name] = {field: list(place) for field, place in thing.FIELDS.items()}
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Header:
    """What must be known before the first observation.

    `busy_conns` connections at work and memory that answers after `latency` cycles decide the bounds of check 6.
    `contents` of the memory of `memory_bytes` bytes from `memory_base` before anyone writes: "zero", or "hash" of
    `memory_seed`. `origin` is the command that made the trace, for people.
    """

    device: DeviceConfig
    memory_bytes: int
    busy_conns: int
    latency: int
    seed: int = 0
    contents: str = "zero"
    memory_seed: int = 0
    ticks_per_second: int = 1000
    origin: str = ""
    memory_base: int = 0

    def initial(self) -> bytes:
        """Host memory before anyone writes."""
        if self.contents == "hash":
            return initial_contents(self.memory_seed, 0, self.memory_bytes)
        return bytes(self.memory_bytes)

    def bounds(self) -> dict[str, int]:
        """Cycles in which what is due must happen, by kind."""
        return bounds_for(self.busy_conns, self.device.data_w, self.latency)

    def values(self) -> dict[str, Any]:
        """The first line of a trace."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "layout": layout_hash(),
            "seed": self.seed,
            "device": asdict(self.device),
            "ticks_per_second": self.ticks_per_second,
            "bounds": {"conns": self.busy_conns, "latency": self.latency},
            "memory": {
                "base": self.memory_base,
                "bytes": self.memory_bytes,
                "contents": self.contents,
                "seed": self.memory_seed,
            },
            "origin": self.origin,
        }


class Image:
    """Host memory as the lines of a trace tell it; a snapshot holds only what they do not tell."""

    def __init__(self, contents: bytes | bytearray, base: int = 0) -> None:
        self.contents: Contents = bytearray(contents)
        self.base = base

    def host_wrote(self, addr: int, data: bytes) -> None:
        """The host stored ``data``."""
        self._put(addr, data)

    def device_wrote(self, addr: int, strobe: int, data: int, lanes: int) -> None:
        """Bytes of the device that memory took: one strobe bit a byte from ``addr``."""
        stored = data.to_bytes(lanes, "little")
        if strobe == (1 << lanes) - 1:
            self._put(addr, stored)
            return
        for at in range(lanes):
            if strobe >> at & 1:
                self._put(addr + at, stored[at : at + 1])

    def _put(self, addr: int, data: bytes) -> None:
        at = addr - self.base
        first, end = max(at, 0), min(at + len(data), len(self.contents))  # what lies outside of memory is nowhere
        if first < end:
            self.contents[first:end] = data[first - at : end - at]

    def correct(self, pieces: Pieces) -> None:
        """Take over the pieces of a snapshot."""
        for addr, data in pieces:
            self._put(addr, data)

    def unlike(self, memory: bytes | bytearray) -> Pieces:
        """The pages in which ``memory`` differs; they are taken over."""
        pieces = [
            (self.base + at, bytes(memory[at : at + PAGE]))
            for at in range(0, len(self.contents), PAGE)
            if self.contents[at : at + PAGE] != memory[at : at + PAGE]
        ]
        self.correct(pieces)
        return pieces


class TraceWriter:
    """Writes a trace as it comes. Without ``close`` the file has no end line, and no reader takes it for whole."""

    def __init__(self, path: Path, header: Header) -> None:
        self._file = path.open("wb")
        self._stream = gzip.GzipFile(filename="", mode="wb", fileobj=self._file, compresslevel=6, mtime=0)
        self._counts: Counter[str] = Counter()
        self._closed = False
        self._line(header.values())

    def put(self, kind: str, **values: object) -> None:
        """An observation; bytes become hex digits."""
        self._counts[kind] += 1
        shown = {name: value.hex() if isinstance(value, bytes) else value for name, value in values.items()}
        self._line({"is": kind, **shown})

    def close(self) -> None:
        """The end line; more calls do nothing."""
        if self._closed:
            return
        self._closed = True
        self._line({"is": "end", "counts": dict(sorted(self._counts.items()))})
        self._stream.close()
        self._file.close()

    def _line(self, values: Mapping[str, object]) -> None:
        self._stream.write(json.dumps(values, separators=(",", ":")).encode() + b"\n")


class Values:
    """The fields of one line, checked as they are taken. ``where`` names file and line for messages."""

    def __init__(self, values: Mapping[str, Any], where: str) -> None:
        self._values = values
        self.where = where
        self._taken: set[str] = set()

    def wrong(self, what: str) -> TraceError:
        """An error of this line."""
        return TraceError(what, self.where, "write it as docs/trace-format.md says, or record the trace again")

    def has(self, name: str) -> bool:
        """Whether an optional field is there."""
        return name in self._values

    def _take(self, name: str) -> Any:
        self._taken.add(name)
        if name not in self._values:
            raise self.wrong(f"the field `{name}` is missing")
        return self._values[name]

    def integer(self, name: str, low: int = 0, high: int = (1 << NUMBER_BITS) - 1) -> int:
        """A whole number within bounds."""
        value = self._take(name)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise self.wrong(f"`{name}` is no whole number from {low} to {high}")
        return value

    def flag(self, name: str) -> bool:
        """True or false."""
        value = self._take(name)
        if not isinstance(value, bool):
            raise self.wrong(f"`{name}` is neither true nor false")
        return value

    def text(self, name: str) -> str:
        """A text."""
        value = self._take(name)
        if not isinstance(value, str):
            raise self.wrong(f"`{name}` is no text")
        return value

    def octets(self, name: str) -> bytes:
        """Bytes as pairs of hex digits."""
        return self.hexadecimal(self.text(name), name)

    def hexadecimal(self, text: object, name: str) -> bytes:
        """Pairs of hex digits as bytes."""
        try:
            if isinstance(text, str) and text.isascii() and " " not in text:
                return bytes.fromhex(text)
        except ValueError:
            pass
        raise self.wrong(f"`{name}` is not of pairs of hex digits")

    def record(self) -> int:
        """A packed record, most significant digit first."""
        text = self.text("record")
        if not text or len(text) > RECORD_BITS // 4 or set(text) - set("0123456789abcdef"):
            raise self.wrong("`record` is not of lower-case hex digits")
        return int(text, 16)

    def pieces(self, name: str) -> Pieces:
        """[[address, hex], ...]."""
        found: Pieces = []
        for piece in self.listed(name):
            if not isinstance(piece, list) or len(piece) != 2 or not isinstance(piece[0], int) or piece[0] < 0:
                raise self.wrong(f"`{name}` is not of pairs of address and bytes")
            found.append((piece[0], self.hexadecimal(piece[1], name)))
        return found

    def listed(self, name: str) -> list[Any]:
        """A list."""
        value = self._take(name)
        if not isinstance(value, list):
            raise self.wrong(f"`{name}` is no list")
        return value

    def inner(self, name: str) -> Values:
        """An object."""
        return self.of(self._take(name), name)

    def of(self, value: object, name: str) -> Values:
        """An object that stands in this line."""
        if not isinstance(value, dict):
            raise self.wrong(f"`{name}` is no object")
        return Values(value, self.where)

    def names(self) -> list[str]:
        """All fields."""
        return list(self._values)

    def done(self) -> None:
        """Nothing else may stand in this line."""
        for name in self._values:
            if name not in self._taken:
                raise self.wrong(f"there is no field `{name}` in this line")


@dataclass(frozen=True)
class Line:
    """An observation: its kind, fields, and line from 1."""

    kind: str
    values: Values
    number: int


class TraceReader:
    """Reads a trace: `header` at once, then the observations. Every complaint is a TraceError that names the line."""

    def __init__(self, path: Path, shown: str) -> None:
        self._shown = shown
        self._path = path
        self.lines = 1
        try:
            self._file = path.open("rb")
            packed = self._file.peek(2)[:2] == _GZIP
            found = os.fstat(self._file.fileno())
        except OSError as error:
            raise TraceError(f"the trace cannot be read ({error.strerror})", shown, GIVE) from error
        #: None if it comes from a pipe or a device.
        self._bytes = found.st_size if stat.S_ISREG(found.st_mode) else None
        self._longest = MAX_LINE
        self._stream: io.BufferedIOBase = gzip.GzipFile(fileobj=self._file) if packed else self._file
        self._texts = self._read()
        self.header = self._header()
        self._longest += LINE_PER_BYTE * self.header.memory_bytes

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    @property
    def sized(self) -> bool:
        """Whether it is known how much there is to read."""
        return self._bytes is not None

    @property
    def share(self) -> float:
        """How much of the file was read, 0 to 1; 0 of one that is not `sized`."""
        if self._bytes is None:
            return 0.0
        try:
            return min(1.0, self._file.tell() / max(1, self._bytes))  # it may have grown
        except ValueError:  # it is closed
            return 1.0

    def where(self, number: int) -> str:
        """A line, for a message."""
        return f"{self._shown}, line {number}"

    def _cut(self, what: str, number: int) -> TraceError:
        todo = "the run did not end well or the copy is not whole: record it again"
        return TraceError(what, self.where(number), todo)

    def _read(self) -> Iterator[tuple[int, bytes]]:
        number = 0
        try:
            while text := self._stream.readline(self._longest + 1):
                number += 1
                if len(text) > self._longest:
                    raise TraceError(
                        f"the line is longer than {self._longest} bytes: this is not a trace", self.where(number), GIVE
                    )
                yield number, text
        except EOFError:
            raise self._cut("the compressed trace is cut off", number + 1) from None
        except (OSError, zlib.error) as error:
            raise self._cut(f"the compressed trace is damaged ({error})", number + 1) from None

    def _parse(self, number: int, text: bytes) -> Values:
        if not text.endswith(b"\n"):
            raise self._cut("the trace is cut off in the middle of a line", number)
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            raise Values({}, self.where(number)).wrong("the line is not a JSON object") from None
        if not isinstance(value, dict):
            raise Values({}, self.where(number)).wrong("the line is not a JSON object")
        return Values(value, self.where(number))

    def _header(self) -> Header:
        number, text = next(self._texts, (1, b""))
        not_one = TraceError(
            "this is not a trace",
            self.where(1),
            GIVE,
        )
        if not text:
            raise not_one
        try:
            line = self._parse(number, text)
        except TraceError:
            raise not_one from None
        if not line.has("format") or line.text("format") != FORMAT:
            raise not_one
        version = line.integer("version")
        if version != VERSION:
            raise TraceError(
                f"the trace has version {version} of the format, this program reads {VERSION}", self.where(1),
                "record it again, or check it with the tree that wrote it",
            )  # fmt: skip
        if (layout := line.text("layout")) != layout_hash():
            raise TraceError(
                f"the trace was written with the layout {layout}, this tree has {layout_hash()}", self.where(1),
                "record it again, or check it with the tree that wrote it",
            )  # fmt: skip
        return self._fields_of_header(line)

    @staticmethod
    def _fields_of_header(line: Values) -> Header:
        tables, bounds, memory = line.inner("device"), line.inner("bounds"), line.inner("memory")
        sizes = {one.name: tables.integer(one.name, 1, MAX_TABLE) for one in fields(DeviceConfig)}
        if sizes["data_w"] not in (64, 128, 256, 512):
            raise line.wrong("`data_w` is none of 64, 128, 256, 512")
        contents = memory.text("contents")
        if contents not in ("zero", "hash"):
            raise line.wrong("`contents` is neither zero nor hash")
        header = Header(
            device=DeviceConfig(**sizes),
            memory_base=memory.integer("base", 0, (1 << 64) - 1),
            memory_bytes=memory.integer("bytes", 1, MAX_MEMORY),
            busy_conns=bounds.integer("conns", 0, MAX_TABLE),
            latency=bounds.integer("latency", 0, 1 << 20),
            seed=line.integer("seed"),
            contents=contents,
            memory_seed=memory.integer("seed", 0, 0xFFFF_FFFF),
            ticks_per_second=line.integer("ticks_per_second", 1),
            origin=line.text("origin"),
        )
        for part in (tables, bounds, memory, line):
            part.done()
        return header

    def observations(self) -> Iterator[Line]:
        """Every observation in order; the end line is checked and not among them."""
        counts: Counter[str] = Counter()
        end = None
        for number, text in self._texts:
            self.lines = number
            values = self._parse(number, text)
            if end is not None:
                raise values.wrong("there is a line behind the end line")
            kind = values.text("is")
            if kind == "end":
                end = values
                continue
            counts[kind] += 1
            yield Line(kind, values, number)
        if end is None:
            raise self._cut("the trace has no end line", self.lines)
        told = end.inner("counts")
        for kind in sorted({*told.names(), *counts}):
            if not told.has(kind) or told.integer(kind) != counts[kind]:
                raise self._cut(f"the end line does not count the {counts[kind]} lines `{kind}`", self.lines)
        end.done()
