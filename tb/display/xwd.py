"""The frame buffer of Xvfb as a PNG file: an XWD dump (XWDFile.h) read and written without other packages."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

#: Words of the header in front of the window's name (XWDFileHeader), most significant byte first.
_WORDS = 25
_VERSION = 7
_Z_PIXMAP = 2


class PictureError(Exception):
    """What should be a picture is none, or one of another kind."""


@dataclass(frozen=True)
class Picture:
    """Rows of red, green, blue, a byte each, from the top."""

    width: int
    height: int
    rows: tuple[bytes, ...]

    @property
    def colours(self) -> int:
        """How many different ones there are: 1 is an empty picture."""
        seen: set[bytes] = set()
        for row in set(self.rows):
            seen |= {row[at : at + 3] for at in range(0, len(row), 3)}
        return len(seen)

    def png(self) -> bytes:
        """As a PNG file, with a palette if there are at most 256 colours."""
        colours = sorted({row[at : at + 3] for row in set(self.rows) for at in range(0, len(row), 3)})
        if len(colours) <= 256:
            place = {colour: bytes((index,)) for index, colour in enumerate(colours)}
            lines = [b"".join(place[row[at : at + 3]] for at in range(0, len(row), 3)) for row in self.rows]
            kind, palette = 3, _chunk(b"PLTE", b"".join(colours))
        else:
            lines, kind, palette = list(self.rows), 2, b""
        head = struct.pack(">IIBBBBB", self.width, self.height, 8, kind, 0, 0, 0)
        data = zlib.compress(b"".join(b"\0" + line for line in lines), 9)
        return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + palette + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def read_xwd(data: bytes) -> Picture:
    """A dump of 24 or 32 bits a pixel, true colour; raises PictureError for anything else."""
    if len(data) < 4 * _WORDS:
        raise PictureError("the dump has no header")
    words = struct.unpack_from(f">{_WORDS}I", data)
    size, version, form, _, width, height, _, order = words[:8]
    bits, line = words[11], words[12]
    red, green, blue = words[14:17]
    colours = words[19]
    if version != _VERSION or form != _Z_PIXMAP or bits != 32 or (red, green, blue) != (0xFF0000, 0xFF00, 0xFF):
        raise PictureError(f"the dump has version {version}, format {form}, {bits} bits a pixel: not what Xvfb writes")
    start = size + 12 * colours
    if len(data) < start + line * height:
        raise PictureError("the dump is cut off")
    at = (1, 2, 3) if order else (2, 1, 0)
    rows = []
    for row in range(height):
        raw = data[start + row * line : start + row * line + 4 * width]
        out = bytearray(3 * width)
        for target, source in enumerate(at):
            out[target::3] = raw[source::4]
        rows.append(bytes(out))
    return Picture(width, height, tuple(rows))
