"""tb/folders.py: commands and paths are printed as they work where the user stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from tb.config import ROOT
from tb.folders import here, standing, typed

TEXT = (
    "again, with waves, in the report:\n"
    "  replay   .venv/bin/chimney replay sim_build/run\n"
    "  waves    chimney waves 'sim_build/two words' --at 7\n"
    "  report   chimney report /far/away\n"
    "again: make replay FAILURE=sim_build/run WAVES=1; `make check COMMITS=` it; to make runs\n"
)


@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        (ROOT, TEXT),
        (
            ROOT / "docs",
            "again, with waves, in the report:\n"
            "  replay   ../.venv/bin/chimney replay ../sim_build/run\n"
            "  waves    chimney waves '../sim_build/two words' --at 7\n"
            "  report   chimney report /far/away\n"
            "again: make -C .. replay FAILURE=sim_build/run WAVES=1; `make -C .. check COMMITS=` it; to make runs\n",
        ),
        (
            Path("/"),
            "again, with waves, in the report:\n"
            f"  replay   {ROOT}/.venv/bin/chimney replay {ROOT}/sim_build/run\n"
            f"  waves    chimney waves '{ROOT}/sim_build/two words' --at 7\n"
            "  report   chimney report /far/away\n"
            f"again: make -C {ROOT} replay FAILURE=sim_build/run WAVES=1; `make -C {ROOT} check COMMITS=` it; "
            "to make runs\n",
        ),
    ],
    ids=["root", "below", "elsewhere"],
)
def test_a_command_for_the_root_is_printed_as_it_works_where_the_user_stands(folder: Path, expected: str) -> None:
    with standing(folder):
        assert here(TEXT) == expected
    assert here(TEXT) == TEXT


def test_a_path_is_relative_within_the_tree_and_absolute_beyond_it() -> None:
    for folder, path, expected in (
        (ROOT, ROOT / "sim_build" / "run", "sim_build/run"),
        (ROOT / "docs", ROOT / "sim_build" / "run", "../sim_build/run"),
        (ROOT / "sim_build" / "run", ROOT / "sim_build" / "run", "."),
        (Path("/"), ROOT / "sim_build" / "run", str(ROOT / "sim_build" / "run")),
        (ROOT / "docs", Path("/far/away"), "/far/away"),
    ):
        with standing(folder):
            assert typed(path) == expected
