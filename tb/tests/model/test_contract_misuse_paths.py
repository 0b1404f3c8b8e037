"""Misuse of paths in random contract operations keeps away from what the host itself has under way."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import tb.contract.golden as golden
from model.ndis.calls import InitiateOffload, NdisCall
from model.ndis.enums import OffloadStateType
from model.ndis.host import SharedObject
from model.ndis.host_state import ObjectPhase
from model.ndis.offload_state import PathCached, PathConst, nodes_once
from model.ndis.status import NdisStatus
from tb.config import RunConfig
from tb.contract.misuse import Chosen
from tb.contract.operator import Plan
from tb.contract.table import Kind, State
from tb.session.network import NIC_IP

OFFLOADED = ObjectPhase.OFFLOADED


@pytest.mark.rule("CH-059", "CH-231")
def test_no_path_goes_from_under_its_connections_while_an_initiate_is_on_its_way(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """From the issue on: a simulated target gets the call later than a golden one."""
    config = replace(RunConfig(command="regress", device="model"), seed=1, delay=5, out=tmp_path)
    run = golden.GoldenRun(config, Plan(seed=1, operations=100, bytes=1 << 16))
    host, misuser = run.session.host, run.session.operator.misuser
    issued: list[NdisCall] = []
    monkeypatch.setattr(host, "_issue", issued.append)
    below = host.offload_neighbor(b"\2\0\0\0\0\x55")
    path = SharedObject(OffloadStateType.IP4, PathConst(NIC_IP, b"peer"), PathCached(1500), below, OFFLOADED, users=1)
    path.handle.miniport_offload_context = 8
    host._paths[b"peer"] = path
    chosen = Chosen(Kind.TERMINATE_OBJECT, State.OBJECT)
    (initiate,) = issued
    assert isinstance(initiate, InitiateOffload)
    assert not misuser._terminate_below(chosen)
    assert (path.phase, host.misuses) == (OFFLOADED, [])
    host._trees.called(initiate.root)
    below.handle.miniport_offload_context = 7
    for node in nodes_once(initiate.root):
        node.status = NdisStatus.SUCCESS
    host.initiate_offload_complete(host.binding_context, initiate.root)
    assert misuser._terminate_below(chosen)
    assert path.phase is ObjectPhase.TERMINATING
