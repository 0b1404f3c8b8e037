"""A planted failure on Icarus at the small configuration: its replays, its waves, its key with another seed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tb.config import RunConfig
from tb.display.screen import Screen, missing
from tb.lockstep.check import check
from tb.lockstep.trace import TRACE_NAME
from tb.replay import REPLAY_NAME
from tb.report.command import write_report
from tb.sabotage import run as sabotage
from tb.sim.tools import find
from tb.story.find import FAILURE_NAME, STORY_NAME
from tb.story.planted import in_planted_tree, plant
from tb.story.record import marker_time
from tb.wave_viewer import SAVE_NAME
from tb.waves import read, words_of

#: The blocks with states in the device, and their tables.
STATES = {
    "u_command_decode.state": "command_decode_state",
    "u_engine.engine.state_reg": "tcp_engine_state",
    "u_rx.connections.ctrl.state_reg": "conn_lookup_ctrl_state",
    "u_rx.delivery.state_reg": "delivery_engine_state",
    "u_state_writer.state": "state_writer_state",
    "u_tx.completer.state_reg": "send_completer_state",
    "u_tx.mapper.state_reg": "send_mapper_state",
}
TIMES = 10
SEED = 4711


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the failure."""
    if find("icarus") is None:
        pytest.skip("no-icarus: Icarus Verilog is not installed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sabotage, "OUT", tmp_path_factory.mktemp("planted"))
        return plant()


def of(folder: Path, name: str) -> dict[str, object]:
    """A JSON file of a folder."""
    return dict(json.loads((folder / name).read_text()))


def test_the_story_of_the_planted_fault_names_its_rule_and_the_events_before_it(planted: Path) -> None:
    story = (planted / STORY_NAME).read_text()
    assert len(story.splitlines()) < 30
    assert "F-2: a new ACK opens cwnd" in story
    assert "RFC 5681" in story
    record = of(planted, FAILURE_NAME)
    assert record["key"] == "check 1: tcp tcb.cwnd"
    assert "SND.UNA" in str(record["last_events"])


def test_ten_replays_of_ten_find_the_same_first_divergence_in_the_same_cycle(planted: Path) -> None:
    recorded = (planted / "divergence.txt").read_text().partition("replay:")[0]
    cycle = of(planted, FAILURE_NAME)["cycle"]
    for _ in range(TIMES):
        done = in_planted_tree(planted, "replay", str(planted))
        assert done.returncode == 0, done.stdout + done.stderr
        again = (planted / "replay" / "divergence.txt").read_text().partition("replay:")[0]
        assert again == recorded
        replay = of(planted / "replay", REPLAY_NAME)
        assert (replay["cycle"], replay["identical"]) == (cycle, True)
        assert isinstance(cycle, int)
        assert replay["marker_time"] == marker_time(cycle)


def test_a_replay_leaves_a_trace_with_the_same_divergence_for_the_graphs_of_the_report(planted: Path) -> None:
    assert not (planted / TRACE_NAME).exists()  # it ran without TRACE=1
    done = in_planted_tree(planted, "replay", str(planted))
    assert done.returncode == 0, done.stdout + done.stderr
    verdict, _ = check(planted / "replay" / TRACE_NAME)
    assert verdict.divergence is not None
    assert verdict.divergence.cycle == of(planted, FAILURE_NAME)["cycle"]
    assert [one.job.id for one in write_report(planted).traces.shown] == [planted.name]


def test_another_seed_fails_elsewhere_with_the_same_key(planted: Path) -> None:
    other = planted.parent / "other"
    shutil.copytree(planted, other, ignore=shutil.ignore_patterns("replay"))
    config = RunConfig.from_json((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps({**json.loads(config.to_json()), "seed": SEED}))
    done = in_planted_tree(planted, "replay", str(other))
    assert done.returncode == 1, done.stdout + done.stderr  # not the recorded run
    one, two = of(planted, FAILURE_NAME), of(other / "replay", FAILURE_NAME)
    assert one["key"] == two["key"]
    assert (one["got"], one["last_events"]) != (two["got"], two["last_events"])


def test_waves_begin_at_the_margin_and_gtkwave_shows_the_diverging_commit_at_the_marker(planted: Path) -> None:
    margin = 300
    done = in_planted_tree(planted, "waves", str(planted), "--margin", str(margin), "--no-view")
    assert done.returncode == 0, done.stdout + done.stderr
    replay = of(planted / "replay", REPLAY_NAME)
    cycle, marker = replay["cycle"], replay["marker_time"]
    assert isinstance(cycle, int)
    assert replay["waves_from"] == cycle - margin
    waves = read(planted / "replay" / "waves.fst")
    assert (waves.start, waves.timescale) == (10_000 * (cycle - margin), -12)
    save = planted / "replay" / SAVE_NAME
    assert f" {marker} -1" in save.read_text()
    tables = words_of(waves.signals)
    found = {signal.path.partition("dut.")[2].partition("[")[0]: table.name for signal, table in tables.items()}
    assert {name: table for name, table in found.items() if name in STATES or table in STATES.values()} == {
        **STATES, "u_tx.completer.state_next": "send_completer_state", "u_tx.mapper.state_next": "send_mapper_state",
    }  # fmt: skip
    if (lack := missing()) is not None:
        pytest.skip(lack)
    with Screen() as screen:
        shown = screen.gtkwave(waves.path, save)
    assert shown.marker == marker
    assert shown.values["commit_cycle"] == str(cycle)
    assert shown.values["tcp_evt"] == "RX_SEGMENT"
    assert shown.values["tcp_state"] == "ESTABLISHED"
    assert shown.values["cwnd"] == str(of(planted, FAILURE_NAME)["got"]).split()[0]
    assert shown.values["commit_row"].startswith("c0 RX_SEGMENT")
    states = [value for name, value in shown.traces if name.rpartition(".")[2] in ("state", "state_reg")]
    assert len(states) == len(STATES) + 1  # and the field of the image in image_check
    assert all(value.isupper() or value == "0" for value in states), states
    assert {"COMMIT", "IDLE"} & set(states)  # tcp_engine retires the diverging commit here
