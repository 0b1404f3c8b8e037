"""gVisor's Reno with the mistake mended that the packaged version has (google/gvisor mended it in reno.go in 2026).

In congestion avoidance the packaged one takes the count of acknowledged segments modulo the window that it has just
enlarged: the count is never used up, and each further acknowledgment adds a segment where RFC 5681 3.1 allows one a
round trip. `make goodput` measures a sender against both. The compiler is given the mended text in the place of the
installed one; nothing installed is changed.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Final

from tb.peers.built import FOLDER

_LINES: Final = (
    "\t\tr.s.SndCwnd += r.s.SndCAAckCount / r.s.SndCwnd\n\t\tr.s.SndCAAckCount = r.s.SndCAAckCount % r.s.SndCwnd\n"
)
_MENDED: Final = (
    "\t\tgrown := r.s.SndCAAckCount / r.s.SndCwnd\n"
    "\t\tr.s.SndCAAckCount -= grown * r.s.SndCwnd\n"
    "\t\tr.s.SndCwnd += grown\n"
)


def mended(text: str) -> str:
    """``text`` of reno.go with the two lines replaced; as it is if it does not have them."""
    return text.replace(_LINES, _MENDED)


def overlay(installed: Path) -> Path:
    """A file for ``go build -overlay`` that puts the mended text in the place of ``installed`` (reno.go)."""
    text = mended(installed.read_text(encoding="utf-8"))
    key = hashlib.sha256(f"{installed}\n{text}".encode()).hexdigest()[:16]
    FOLDER.mkdir(parents=True, exist_ok=True)
    source, table = FOLDER / f"reno-{key}.go.txt", FOLDER / f"reno-{key}.json"
    source.write_text(text, encoding="utf-8")
    table.write_text(json.dumps({"Replace": {str(installed): str(source)}}), encoding="utf-8")
    return table
