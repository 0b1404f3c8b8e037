"""pcapng captures with nanosecond times and a comment a packet; a writer, and a small reader for tests.

Format: IETF draft-ietf-opsawg-pcapng, sections 4.1 (section header), 4.2 (interface description) and 4.3
(enhanced packet). Written little-endian; the reader takes both byte orders and skips blocks it does not know.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final

_SECTION_HEADER: Final = 0x0A0D0D0A
_INTERFACE_DESCRIPTION: Final = 1
_ENHANCED_PACKET: Final = 6
_BYTE_ORDER_MAGIC: Final = 0x1A2B3C4D
_LINKTYPE_ETHERNET: Final = 1
_OPT_END: Final = 0
_OPT_COMMENT: Final = 1
_OPT_SHB_APPLICATION: Final = 4
_OPT_IDB_NAME: Final = 2
_OPT_IDB_TSRESOL: Final = 9
_NANOSECONDS: Final = 9
_SNAP_LENGTH: Final = 0
"""0 = packets are never cut."""


class PcapngError(ValueError):
    """A capture could not be read; the message says at which byte and what was found there."""


@dataclass(frozen=True, slots=True)
class CapturedPacket:
    """One packet of a capture: interface number, time in ns, frame bytes, comment (empty if none)."""

    interface: int
    time_ns: int
    frame: bytes
    comment: str


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("<HH", code, len(value)) + _padded(value)


def _block(kind: int, body: bytes) -> bytes:
    length = struct.pack("<I", 12 + len(body))
    return struct.pack("<I", kind) + length + body + length


class PcapngWriter:
    """Writes one capture file. `interfaces` names the capture points, numbered from 0 in that order."""

    def __init__(self, path: Path | str, interfaces: Sequence[str] = ("wire",), application: str = "chimney") -> None:
        self._file: BinaryIO = Path(path).open("wb")  # noqa: SIM115 - closed by close()
        self._interfaces = len(interfaces)
        self.packets = 0
        """Packets written so far."""
        options = _option(_OPT_SHB_APPLICATION, application.encode()) + _option(_OPT_END, b"")
        self._file.write(_block(_SECTION_HEADER, struct.pack("<IHHq", _BYTE_ORDER_MAGIC, 1, 0, -1) + options))
        for name in interfaces:
            options = _option(_OPT_IDB_NAME, name.encode())
            options += _option(_OPT_IDB_TSRESOL, bytes((_NANOSECONDS,))) + _option(_OPT_END, b"")
            fixed = struct.pack("<HHI", _LINKTYPE_ETHERNET, 0, _SNAP_LENGTH)
            self._file.write(_block(_INTERFACE_DESCRIPTION, fixed + options))

    def write(self, frame: bytes, time_ns: int, comment: str = "", interface: int = 0) -> None:
        """Append one frame (without FCS) with its time in nanoseconds and, unless empty, its comment."""
        if not 0 <= interface < self._interfaces:
            raise PcapngError(f"interface {interface}; this capture has 0 .. {self._interfaces - 1}")
        body = struct.pack("<IIIII", interface, time_ns >> 32, time_ns & 0xFFFFFFFF, len(frame), len(frame))
        body += _padded(frame)
        if comment:
            text = comment.encode()[:0xFFFF].decode(errors="ignore").encode()
            body += _option(_OPT_COMMENT, text) + _option(_OPT_END, b"")
        self._file.write(_block(_ENHANCED_PACKET, body))
        self.packets += 1

    def flush(self) -> None:
        """Hand what was written to the operating system."""
        self._file.flush()

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._file.close()

    def __enter__(self) -> PcapngWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def read_pcapng(path: Path | str) -> list[CapturedPacket]:
    """All enhanced packets of a capture, times in ns."""
    return list(_packets(Path(path).read_bytes()))


def _packets(data: bytes) -> Iterator[CapturedPacket]:
    at = 0
    order = "<"
    ticks_per_second: list[int] = []
    while at < len(data):
        if data[at : at + 4] == b"\x0a\x0d\x0d\x0a":
            order = "<" if data[at + 8 : at + 12] == b"\x4d\x3c\x2b\x1a" else ">"
            ticks_per_second = []
        if at + 12 > len(data):
            raise PcapngError(f"byte {at}: file ends inside a block header")
        kind, length = struct.unpack_from(order + "II", data, at)
        if length < 12 or length % 4 or at + length > len(data):
            raise PcapngError(f"byte {at}: block length {length} does not fit the file")
        if struct.unpack_from(order + "I", data, at + length - 4)[0] != length:
            raise PcapngError(f"byte {at}: the two lengths of the block differ")
        body = data[at + 8 : at + length - 4]
        if kind == _INTERFACE_DESCRIPTION:
            resolution = dict(_options(body[8:], order)).get(_OPT_IDB_TSRESOL, b"\x06")[0]
            ticks_per_second.append(2 ** (resolution & 0x7F) if resolution & 0x80 else 10**resolution)
        elif kind == _ENHANCED_PACKET:
            interface, high, low, captured, _ = struct.unpack_from(order + "IIIII", body)
            options = dict(_options(body[20 + captured + (-captured % 4) :], order))
            time_ns = (high << 32 | low) * 10**9 // ticks_per_second[interface]
            comment = options.get(_OPT_COMMENT, b"").decode()
            yield CapturedPacket(interface, time_ns, body[20 : 20 + captured], comment)
        at += length


def _options(data: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 4 <= len(data):
        code, length = struct.unpack_from(order + "HH", data, at)
        if code == _OPT_END:
            return
        yield code, data[at + 4 : at + 4 + length]
        at += 4 + length + (-length % 4)
