"""`make layout`: write the files generated from the layout source."""

from __future__ import annotations

from model.layout.__main__ import main as generate
from tb.config import RunConfig


def main(_: RunConfig) -> int:
    """Write them; the exit status of the generator."""
    return generate([])
