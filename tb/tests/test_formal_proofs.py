"""Every proof of tb/formal/proofs.toml, its covers, and every planted error (`make formal`, docs/formal.md)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tb.formal import run
from tb.formal.manifest import Planted, Proof, load

MANIFEST = load()


@pytest.mark.parametrize("proof", MANIFEST.proofs, ids=lambda proof: proof.name)
def test_every_property_is_proved_and_every_cover_reached(proof: Proof, tmp_path: Path) -> None:
    proved, covered = run.prove(proof, tmp_path / "prove"), run.cover(proof, tmp_path / "cover")
    assert not (*proved.problems, *covered.problems)
    assert {row.method for row in proved.properties} == {"bounded" if proof.bounded else "induction"}


@pytest.mark.parametrize("planted", MANIFEST.planted, ids=lambda planted: planted.id)
def test_every_planted_error_is_found_by_its_property(planted: Planted, tmp_path: Path) -> None:
    assert not run.plant(MANIFEST.proof(planted.proof), planted, tmp_path).problems
