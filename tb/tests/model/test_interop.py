"""`make interop`: what it runs by default, and what it makes of a run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tb import interop
from tb.config import ConfigError, RunConfig
from tb.pool import Finished, Job


def given(**variables: str) -> RunConfig:
    return RunConfig.from_environment("interop", variables)


@pytest.mark.parametrize("peer", ["lwip", "gvisor"])
def test_virtual_peers_get_16_mib_and_a_bad_network_unless_told_otherwise(peer: str) -> None:
    config = interop.with_defaults(given(PEER=peer))
    assert (config.size, config.loss, config.reorder, config.dup, config.corrupt) == (16 << 20, 0.05, 0.1, 0.05, 0.02)
    config = interop.with_defaults(given(PEER=peer, SIZE="1M", LOSS="0", CORRUPT="0.3"))
    assert (config.size, config.loss, config.reorder, config.dup, config.corrupt) == (1 << 20, 0, 0.1, 0.05, 0.3)


def test_the_kernel_gets_4_mib_and_losses_alone() -> None:
    config = interop.with_defaults(given(PEER="linux"))
    assert (config.size, config.loss, config.reorder, config.dup, config.corrupt) == (4 << 20, 0.02, 0, 0, 0)


def test_interop_with_the_own_peer_is_refused() -> None:
    with pytest.raises(ConfigError, match="needs another TCP"):
        interop.main(given())


@pytest.mark.parametrize(
    ("change", "status", "problem"),
    [
        ({}, 0, ""),
        ({"sha256_peer": "b"}, 1, "status 1"),
        ({"complete": False}, 0, "not byte-exact"),
        ({"problems": ["the RTL diverged"], "divergences": 1}, 1, "diverged"),
        ({}, None, "bound"),
    ],
)
def test_a_run_passes_only_if_it_is_byte_exact_and_nothing_is_held_against_it(
    tmp_path: Path, change: dict[str, object], status: int | None, problem: str
) -> None:
    config = given(PEER="lwip", SEED="7")
    summary: dict[str, object] = {"complete": True, "bytes_received": 99, "retransmissions": 5, "timeouts": 2}
    summary |= {"ticks": 1500, "problems": []}
    summary |= {f"sha256_{name}": "a" for name in ("sent", "peer", "received")}
    (tmp_path / "summary.json").write_text(json.dumps(summary | change))
    (tmp_path / "job.json").write_text(config.to_json())
    job = Job("some", [], tmp_path, {}, tmp_path / "run.log", 10.0)
    run, problems = interop._result(Finished(job, status, 3.0), config)
    assert (run.seed, run.bytes, run.retransmissions, run.rto_count, run.virtual_seconds) == (7, 99, 5, 2, 1.5)
    assert [line for line in problems if problem in line] if problem else not problems
