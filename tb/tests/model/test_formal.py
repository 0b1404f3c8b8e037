"""`make formal`: what its verdicts rest on, and that a planted error is found (docs/formal.md)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tb.config import ROOT, ConfigError
from tb.formal import run, sby
from tb.formal.manifest import INCLUDE, LABELLED, Manifest, Proof, load
from tb.formal.sby import Found

MANIFEST: Manifest = load()
SKID: Proof = MANIFEST.proof("skid")


def found(status: str, failed: tuple[str, ...] = (), trace: Path | None = None, **more: object) -> Found:
    values = {"reached": {}, "message": "", "cycle": None, **more}
    return Found(status=status, seconds=1.0, failed=failed, trace=trace, **values)  # type: ignore[arg-type]


def test_every_proof_has_sources_properties_and_covers_and_every_property_a_sentence() -> None:
    assert len(MANIFEST.proofs) >= 8
    for proof in MANIFEST.proofs:
        assert all((ROOT / source).is_file() for source in proof.sources), proof.name
        assert proof.of("assert"), proof.name
        assert proof.of("cover"), f"{proof.name}: nothing shows that its assumptions leave room"
        labels = proof.harness.read_text().count(": assert (") + proof.harness.read_text().count(": cover (")
        assert labels == len(proof.statements), proof.name


def test_harnesses_share_clock_and_reset_and_keep_their_properties_to_themselves() -> None:
    clocked = [proof for proof in MANIFEST.proofs if re.search(r"\brst\b", proof.harness.read_text())]
    assert len(clocked) >= 8
    for proof in clocked:
        text = proof.harness.read_text()
        assert text.count('`include "proof.svh"') == 1, proof.name
        assert not re.search(r"\breg\b[^;]*\b(started|was_rst)\b", text), proof.name
    assert not LABELLED.search(INCLUDE.read_text())  # the sentences of properties are read from harnesses


def test_every_planted_error_fits_its_source_and_names_a_property_of_interest() -> None:
    assert len({planted.id for planted in MANIFEST.planted}) == len(MANIFEST.planted) >= 5
    for planted in MANIFEST.planted:
        assert (ROOT / planted.edit.file).read_text().count(planted.edit.old) == 1, planted.id
        assert not planted.label.startswith("inv_"), planted.id


def test_proved_is_said_of_an_induction_that_passed_only() -> None:
    rows = run.judged(SKID, found("PASS")).properties
    assert {(row.method, row.proved, row.depth) for row in rows} == {("induction", True, None)}


def test_a_step_that_fails_leaves_the_depth_of_the_base_case_and_is_a_problem(tmp_path: Path) -> None:
    trace = tmp_path / "trace_induct.vcd"
    trace.write_text("$end\n")
    outcome = run.judged(SKID, found("UNKNOWN", ("order",), trace), tmp_path / "kept")
    assert {(row.method, row.proved, row.depth) for row in outcome.properties} == {("bounded", False, SKID.depth)}
    assert "skid.order" in outcome.problems[0]
    assert "make waves FAILURE=" in outcome.problems[0]
    assert (tmp_path / "kept" / "waves.vcd").exists()


def test_a_failing_property_keeps_its_trace_and_leaves_the_others_undecided(tmp_path: Path) -> None:
    trace = tmp_path / "trace.vcd"
    trace.write_text("$end\n")
    outcome = run.judged(SKID, found("FAIL", ("order",), trace, cycle=4), tmp_path / "kept")
    methods = {row.property: row.method for row in outcome.properties}
    assert methods.pop("order") == "fails"
    assert set(methods.values()) == {"undecided"}
    assert "cycle 4" in (tmp_path / "kept" / "divergence.txt").read_text()
    assert run.status_of([outcome]) == 1


def test_an_error_of_the_tools_proves_nothing(tmp_path: Path) -> None:
    outcome = run.judged(SKID, found("ERROR", message="no such module"), tmp_path)
    assert {row.method for row in outcome.properties} == {"undecided"}
    assert "no such module" in outcome.problems[0]


def test_a_missing_program_is_named_before_anything_is_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match=r"not installed \(yowasp-sby, .*yices-smt2\)"):
        sby.environment()


def test_a_name_that_is_no_proof_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(ConfigError, match=r"no proof has this name \(ID=nothing\).*skid"):
        MANIFEST.chosen("nothing")


def test_a_sound_block_is_proved_and_the_error_planted_in_its_copy_is_found(tmp_path: Path) -> None:
    sound = run.prove(SKID, tmp_path / "prove")
    assert not sound.problems
    assert {row.method for row in sound.properties} == {"induction"}
    planted = next(each for each in MANIFEST.planted if each.proof == "skid")
    broken = run.plant(SKID, planted, tmp_path / "planted")
    assert not broken.problems
    assert planted.label in broken.planted[0].failed
    assert (tmp_path / "planted" / "waves.vcd").stat().st_size > 0
