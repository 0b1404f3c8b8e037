"""`make layout`: write the files generated from the layout source."""

from __future__ import annotations

from typing import Any

from model.layout.__main__ import stale_files
from model.layout.generate import generated_files
from tb.config import RunConfig
from tb.files import shown


def result(_: RunConfig) -> tuple[int, dict[str, Any]]:
    """Write what is stale: exit status, and the document for --json with all generated files and those written."""
    written = [shown(path) for path in stale_files(write=True)]
    return 0, {"files": [shown(path) for path in generated_files()], "written": written}


def main(config: RunConfig) -> int:
    """Write them."""
    return result(config)[0]
