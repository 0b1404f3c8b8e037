"""The list of sabotages is complete, fits the tree, and its machinery says what it should."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tb.config import ROOT, ConfigError
from tb.sabotage.judge import read_divergence
from tb.sabotage.manifest import CONTRACT, CONTROL, Edit, Sabotage, draw, load, sources_of
from tb.sabotage.run import Outcome, from_patch, status_of
from tb.sabotage.stimuli import GOLDEN, SHORT, contract, stimuli

ENTRIES = load()
#: Those that a monitor of the contract must see; tb/tests/model/test_sabotage_contract.py is about them.
OTHERS = [entry for entry in ENTRIES if entry.check != CONTRACT]
SABOTAGES = [entry for entry in OTHERS if not entry.twin and entry.check != CONTROL]
TWINS = [entry for entry in OTHERS if entry.twin]
BLIND = {entry.id for entry in ENTRIES if entry.blind}
STIMULI = {stimulus.name for stimulus in stimuli()}
#: Blocks with logic -> the modules of which one must be sabotaged.
BLOCKS = {
    "csr": {"csr"},
    "descriptor_ring": {"descriptor_ring"},
    "completion_ring": {"completion_ring"},
    "dma": {"dma_split", "dma_read", "dma_write", "dma_read_align", "dma_write_align", "dma_request"},
    "command_decode": {"command_decode"},
    "conn_lookup": {"conn_lookup", "conn_lookup_ctrl"},
    "tcb_table": {"tcb_table"},
    "event_arbiter": {"event_arbiter"},
    "tcp_engine": {"tcp_engine"},
    "ack_tracker": {"ack_tracker"},
    "rx_tracker": {"rx_tracker"},
    "congestion": {"congestion"},
    "loss_recovery": {"loss_recovery"},
    "cubic": {"cubic", "cubic_cut"},
    "rtt_estimator": {"rtt_estimator"},
    "timer_scan": {"timer_scan"},
    "tx_scheduler": {"tx_scheduler"},
    "send_mapper": {"send_mapper"},
    "segment_builder": {"segment_builder"},
    "send_completer": {"send_completer"},
    "rx_parser": {"rx_parser"},
    "rx_buffer": {"rx_buffer"},
    "delivery_engine": {"delivery_engine"},
    "rx_placer": {"rx_placer"},
    "raw pass-through, transmit": {"raw_tx"},
    "raw pass-through, receive": {"raw_post"},
    "commit port": {"commit_record"},
}


def outcome(*, caught: bool, blind: bool = False, error: str = "") -> Outcome:
    entry = Sabotage("x", (Edit("hdl/x.v", "a", "b"),), "rule", 1, "field", blind=blind)
    return Outcome(entry, caught, 1 if caught else None, "field", 7, "calm", 1.0, error)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.id)
def test_each_old_text_is_in_the_tree_exactly_once(entry: Sabotage) -> None:
    assert sources_of(entry) == []


@pytest.mark.parametrize("block", BLOCKS)
def test_every_block_with_logic_is_sabotaged(block: str) -> None:
    assert any(entry.blocks & BLOCKS[block] for entry in SABOTAGES)


def test_there_are_enough_sabotages_of_each_kind() -> None:
    assert len(SABOTAGES) >= 24
    assert sum(entry.rare for entry in SABOTAGES) >= 6
    checks = Counter(entry.check for entry in SABOTAGES)
    assert all(checks[check] >= 3 for check in (1, 2, 3, 4, 5, 6)), checks
    assert all(entry.check == 6 for entry in SABOTAGES if entry.timeout_counts)
    assert sum(entry.timeout_counts for entry in SABOTAGES) <= 2
    assert sum(entry.check == CONTROL for entry in ENTRIES) == 1


def test_the_checks_are_those_of_the_lockstep_and_each_names_a_field() -> None:
    assert {entry.check for entry in SABOTAGES} == {1, 2, 3, 4, 5, 6}
    assert [entry.id for entry in SABOTAGES if not entry.field and entry.id != "lookup-wrong-owner"] == []
    assert [entry.id for entry in ENTRIES if not entry.rule] == []


def test_a_write_that_only_the_back_door_of_the_table_can_see_is_among_them() -> None:
    assert [entry for entry in SABOTAGES if entry.check == 1 and entry.field.startswith("table ")]


def test_every_stimulus_named_exists() -> None:
    assert set(SHORT) <= STIMULI | {stimulus.name for stimulus in contract(GOLDEN)}
    assert {entry.first for entry in OTHERS if entry.first} <= STIMULI


def test_only_twins_are_blind_spots_and_the_readme_lists_them() -> None:
    assert {entry.id for entry in TWINS} >= BLIND
    readme = (ROOT / "README.md").read_text()
    assert [name for name in sorted(BLIND) if name not in readme] == []


def test_there_are_eight_twins_that_another_judge_sees_and_each_changes_both_sides() -> None:
    assert sum(not twin.blind for twin in TWINS) >= 8
    for twin in TWINS:
        sides = {edit.file.split("/")[0] for edit in twin.edits}
        assert sides == {"model", "hdl"} or [edit.file for edit in twin.edits] == ["model/layout/layout.toml"]


def test_an_edit_whose_text_is_not_there_once_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.v").write_text("one one")
    with pytest.raises(ConfigError, match="occurs 2 times"):
        Edit("a.v", "one", "two").apply(tmp_path)
    Edit("a.v", "one one", "two").apply(tmp_path)
    assert (tmp_path / "a.v").read_text() == "two"


def test_the_draw_of_a_commit_is_always_the_same() -> None:
    first = draw("0123456789", 12)
    assert first == draw("0123456789", 12)
    assert first != draw("abcdef", 12)
    assert len(set(first)) == 12


def test_nothing_but_the_blind_spots_is_left_out_of_the_draw() -> None:
    everything = draw("0123456789", len(ENTRIES))
    assert sorted(everything) == sorted({entry.id for entry in ENTRIES} - BLIND)
    assert CONTROL in everything


def test_check_field_and_cycle_are_read_from_a_divergence_report() -> None:
    text = "first divergence: check 2, frame on the wire\n  cycle      4711\n  field      tcp.window\n"
    found = read_divergence(text)
    assert found is not None
    assert (found.by, found.field, found.cycle) == (2, "tcp.window", 4711)
    assert read_divergence("nothing") is None
    table = read_divergence(
        "first divergence: check 1, state\n  stream     tcb_table, record 3\n  field      tcb.phase\n"
    )
    assert table is not None
    assert (table.by, table.field) == (1, "table tcb.phase")


def test_the_exit_status_tells_caught_survived_and_broken_apart() -> None:
    assert status_of([outcome(caught=True), outcome(caught=False, blind=True)]) == 0
    assert status_of([outcome(caught=True), outcome(caught=False)]) == 3
    assert status_of([outcome(caught=False, error="old text not found")]) == 2


def test_a_patch_may_change_the_design_and_nothing_else(tmp_path: Path) -> None:
    patch = tmp_path / "any.diff"
    patch.write_text("--- a/hdl/x.v\n+++ b/hdl/x.v\n@@ -1 +1 @@\n-a\n+b\n")
    assert from_patch(patch).rule == "hdl/x.v"
    patch.write_text("--- a/tb/env/scoreboard.py\n+++ b/tb/env/scoreboard.py\n@@ -1 +1 @@\n-a\n+b\n")
    with pytest.raises(ConfigError, match="more than the design"):
        from_patch(patch)
