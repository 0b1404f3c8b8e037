"""Files and paths, the same everywhere: results are written whole or not at all, paths shown as they are typed."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from tb.config import ROOT


def shown(path: Path) -> str:
    """A path as the user would type it at the root of the tree; one that lies elsewhere as it is."""
    path = path.absolute()
    return str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path)


def program() -> str:
    """The command line as a user types it at the root of the tree."""
    return "chimney" if shutil.which("chimney") else os.path.join(".venv", "bin", "chimney")


def shortened(text: str, most: int) -> str:
    """A line of at most so many characters: what is longer ends behind a word, and says so."""
    if len(text) <= most:
        return text
    room = most - len(" ...")
    head = text[: room + 1].rpartition(" ")[0] or text[:room]
    return f"{head.rstrip()} ..."


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file in one step: a reader finds the old one or the new one, whenever the writer ends."""
    temporary = path.with_name(f"{path.name}.tmp")
    temporary.write_bytes(content.encode() if isinstance(content, str) else content)
    os.replace(temporary, path)


def write_json(path: Path, value: object) -> None:
    """Write a result file in one step."""
    write_whole(path, json.dumps(value, indent=1) + "\n")
