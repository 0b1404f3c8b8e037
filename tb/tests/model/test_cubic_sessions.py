"""Whole sessions with CUBIC on the golden device: asked for by the host, byte exact with losses and cuts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from model.layout.generated import Cubic, Tcb
from tb.config import ConfigError, RunConfig
from tb.contract.wire import CUBIC_SHARE, ContractNetwork, FarApp
from tb.device.model_loop import ModelRun
from tb.peers.tcp_peer import PeerConfig
from tb.session import summary
from tb.testing.tiers import expand


def config(tmp_path: Path, seed: int, **changes: object) -> RunConfig:
    """A short session that loses frames."""
    base = RunConfig(device="model", size=300_000, conns=2, seed=seed, delay=3, loss=0.03, out=tmp_path, cubic=True)
    return replace(base, **changes)  # type: ignore[arg-type]


def played(settings: RunConfig) -> tuple[ModelRun, list[Tcb]]:
    """The session, over and without a finding, and the last state of its connections."""
    run = ModelRun(settings)
    assert run.run() == []
    assert summary.verdict(run.transfer) == []
    return run, run.device.core.tcbs[: settings.conns]


@pytest.mark.rule("Q-1", "Q-4")
@pytest.mark.parametrize(
    "changes", [{}, {"reorder": 0.02, "ecn": True, "mark": 0.03}, {"family": 6}], ids=["loss", "marks", "IPv6"]
)
def test_a_session_with_losses_is_byte_exact(tmp_path: Path, changes: dict[str, object]) -> None:
    run, tcbs = played(config(tmp_path, 3, **changes))
    assert run.transfer.network.retransmissions > 0
    assert all(tcb.cubic_en for tcb in tcbs)
    memories = [Cubic.unpack(tcb.cc) for tcb in tcbs]
    assert all(memory.prior for memory in memories), "nothing was reduced"


@pytest.mark.rule("Q-1", "B-3")
def test_without_it_the_same_session_keeps_nothing(tmp_path: Path) -> None:
    _, tcbs = played(config(tmp_path, 3, cubic=False))
    assert [(tcb.cubic_en, tcb.cc) for tcb in tcbs] == [(0, 0)] * 2


@pytest.mark.rule("Q-1", "B-3")
def test_a_connection_that_is_cut_in_two_has_cubic_again_and_remembers_nothing(tmp_path: Path) -> None:
    """The software between the two is Reno."""
    run = ModelRun(config(tmp_path, 5, cuts=6))
    loads: list[tuple[int, int]] = []
    tcbs = run.device.core.tcbs
    before = list(tcbs)
    advance = run.transfer.on_tick

    def on_tick(tick: int) -> None:
        for conn, tcb in enumerate(tcbs):
            if tcb.gen != before[conn].gen:
                loads.append((tcb.cubic_en, Cubic.unpack(tcb.cc).prior))
                before[conn] = tcb
        advance(tick)

    run.transfer.on_tick = on_tick  # type: ignore[method-assign]
    assert run.run() == []
    assert summary.verdict(run.transfer) == []
    assert len(loads) > 4
    assert loads == [(1, 0)] * len(loads)


@pytest.mark.rule("C-06")
def test_cubic_is_chosen_by_a_variable_and_repeated_in_the_command() -> None:
    assert RunConfig.from_environment("run", {"CUBIC": "1"}).cubic
    assert not RunConfig.from_environment("run", {}).cubic
    with pytest.raises(ConfigError, match="CUBIC is not in the allowed set"):
        RunConfig.from_environment("run", {"CUBIC": "reno"})
    assert "CUBIC=1" in RunConfig(cubic=True).make_command()
    assert "CUBIC" not in RunConfig().make_command()
    (job,) = expand({"name": "a", "module": "b", "simulators": ["icarus"], "cubic": True})
    assert job.settings == {"cubic": True}


def test_random_contract_sessions_offload_a_part_of_their_connections_with_cubic(tmp_path: Path) -> None:
    network = ContractNetwork(config(tmp_path, 7), lambda _: FarApp(), PeerConfig(), None)
    drawn = [network.with_cubic(port) for port in range(40_000, 41_000)]
    assert abs(sum(drawn) / 1000 - CUBIC_SHARE) < 0.05
    assert drawn == [network.with_cubic(port) for port in range(40_000, 41_000)]
    other = ContractNetwork(config(tmp_path, 8), lambda _: FarApp(), PeerConfig(), None)
    assert drawn != [other.with_cubic(port) for port in range(40_000, 41_000)]
