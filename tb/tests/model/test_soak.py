"""A soak on the golden device alone: every seed at both widths, in processes of their own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tb import soak
from tb.config import RunConfig


def test_a_soak_of_the_golden_device_plays_every_seed_at_both_widths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(soak, "OUT", tmp_path)
    config = RunConfig.from_environment("soak", {"DEVICE": "model", "SIZE": "2K", "SEEDS": "3,4", "LOSS": "0.02"})
    assert soak.main(config) == 0
    runs = json.loads((tmp_path / "summary.json").read_text())["runs"]
    assert [(run["data_w"], run["seed"], run["byte_exact"]) for run in runs] == [
        (64, 3, True), (64, 4, True), (512, 3, True), (512, 4, True),
    ]  # fmt: skip
    assert "4 of 4 runs passed" in capsys.readouterr().out
