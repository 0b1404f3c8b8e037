"""Cuts through sessions on the golden device, and what would be found if an upload were wrong."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from model.layout.generated import Tcb, TcpState
from model.ndis.enums import TcpConnectionState
from model.ndis.offload_state import NOT_RUNNING, Retransmit, TcpDelegated
from tb.config import RunConfig
from tb.device.model_loop import ModelRun
from tb.seam import CUTS, EACH, Result, play_on_model
from tb.session import summary
from tb.session.seam import CONDITIONS, upload_differences
from tb.session.seam_sessions import STORIES, seam_config

FOUND = 0xFFFF_FF00
TCB = Tcb(
    state=TcpState.ESTABLISHED, rcv_nxt=500, rcv_adv=9500, snd_una=FOUND, snd_nxt=20, snd_max=40, snd_wnd=7000,
    max_snd_wnd=8000, snd_wl1=450, cwnd=3000, ssthresh=9000, srtt=80, rttvar=16, ts_recent=33, ts_recent_tick=70,
    ts_delta=5000, rtx_on=1, rtx_deadline=420, rtx_count=2,
)  # fmt: skip
UPLOADED = TcpDelegated(
    state=TcpConnectionState.ESTABLISHED,
    rcv_nxt=500, rcv_wnd=9000, snd_una=FOUND, snd_nxt=20, snd_max=40, snd_wnd=7000,
    max_snd_wnd=8000, send_wl1=450, c_wnd=3000, ss_thresh=9000, s_rtt=80, rtt_var=16, ts_recent=33, ts_recent_age=30,
    ts_time=5100, retransmit=Retransmit(2, 320),
)  # fmt: skip


def test_an_upload_that_is_the_models_state_shows_no_difference() -> None:
    assert upload_differences(TCB, UPLOADED, 100, 100) == []


@pytest.mark.parametrize(
    ("field", "value"),
    [("rcv_nxt", 501), ("rcv_wnd", 9001), ("snd_una", FOUND + 1), ("snd_max", 41), ("snd_wnd", 0), ("c_wnd", 1),
     ("s_rtt", 81), ("ts_recent_age", 31), ("retransmit", Retransmit(2, 319)), ("retransmit", Retransmit(1, 320)),
     ("retransmit", Retransmit(2, NOT_RUNNING)), ("state", TcpConnectionState.CLOSE_WAIT), ("dup_ack_count", 1)],
)  # fmt: skip
def test_a_variable_that_is_not_the_models_is_named(field: str, value: object) -> None:
    found = upload_differences(TCB, replace(UPLOADED, **{field: value}), 100, 100)  # type: ignore[arg-type]
    assert len(found) == 1
    assert found[0].startswith(field)


def test_an_upload_of_another_moment_is_found() -> None:
    assert "ts_time" in upload_differences(TCB, UPLOADED, 101, 105)[0]


@pytest.mark.rule("CH-066", "CH-068", "CH-069", "CH-070", "CH-224", "CH-239", "CH-241", "CH-245", "CH-246", "S60")
@pytest.mark.parametrize("seed", range(1, 1 + len(STORIES)))
def test_a_connection_that_is_cut_goes_on_as_if_nothing_had_been(seed: int) -> None:
    found = play_on_model(seam_config(RunConfig(command="seam", device="model"), seed), seed)
    assert found["problems"] + found["wire_findings"] == []
    assert found["byte_exact"]
    assert found["cuts"]
    assert found["checked"]["SEAM-EDGE"] > 50


@pytest.mark.parametrize("seed", [16, 23])
def test_what_comes_behind_inherited_bytes_goes_into_the_request_that_they_began_to_fill_ch_054(seed: int) -> None:
    found = play_on_model(seam_config(RunConfig(command="seam", device="model"), seed), seed)
    assert found["problems"] == []
    assert found["byte_exact"]


@pytest.mark.rule("CH-129", "CH-159", "G-20", "S60")
@pytest.mark.parametrize("seed", [8, 10])
def test_random_cuts_of_a_session_lose_and_reorder_nothing(seed: int, tmp_path: Path) -> None:
    config = RunConfig(device="model", seed=seed, size=200_000, cuts=10, conns=1 + seed % 3, out=tmp_path)
    run = ModelRun(config)
    assert run.run() + summary.verdict(run.transfer) == []
    assert run.transfer.seam is not None
    assert len(run.transfer.seam.cuts) >= 7


def test_the_result_wants_every_condition_often() -> None:
    cut = {"conditions": [*CONDITIONS[1:]]}
    result = Result(cuts=[cut] * CUTS)
    assert not result.enough
    result.cuts += [{"conditions": [CONDITIONS[0]]}] * EACH
    assert result.enough
    assert result.by_condition[CONDITIONS[0]] == EACH
