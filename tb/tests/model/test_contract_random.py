"""Random contract operations on the golden device: a small `make regress SUITE=contract`, and its own checks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import tb.contract.golden as golden
from model.ndis.calls import NdisCall
from model.ndis.enums import OffloadStateType
from model.ndis.host import SharedObject
from model.ndis.host_state import ObjectPhase
from model.ndis.miniport_io import ConnectionIo, SendJob
from model.ndis.offload_state import (
    NeighborCached,
    NeighborConst,
    OffloadBlock,
    OffloadHandle,
    PathCached,
    PathConst,
    link,
    nodes_once,
    tree_fault,
)
from model.ndis.status import NdisStatus
from tb.config import ROOT, RunConfig
from tb.contract.misuse import Chosen
from tb.contract.operator import MAX_SIZE, Plan
from tb.contract.regress import MOST_BYTES, plan_of, result_of
from tb.contract.table import TABLE, Kind, State, legal
from tb.contract.tally import ALLOWED_TIMES, REFUSED_TIMES, Findings, Tally
from tb.monitors.contract import ndis_numbers as ndis
from tb.monitors.contract.host_misuse import HostMisuse
from tb.monitors.contract.monitor import ContractMonitors
from tb.monitors.contract.trace import Record
from tb.pool import Finished, Job
from tb.session.network import NIC_IP

OPERATIONS, BYTES = 400, 512 << 10
#: Sizes drawn for an operation, on average: chains have many.
DRAWS = 5


def _played(seed: int, out: Path, intermediates: int = 0) -> Findings:
    base = RunConfig(command="regress", device="model", intermediates=intermediates)
    config = replace(base, seed=seed, size=BYTES, delay=5, out=out)
    return golden.GoldenRun(config, Plan(seed=seed, operations=OPERATIONS, bytes=BYTES, slots=6)).run()


@pytest.mark.parametrize("seed", [1, 2])
def test_every_state_call_on_what_was_never_offloaded_is_refused_whatever_the_seed(seed: int, tmp_path: Path) -> None:
    config = replace(RunConfig(command="regress", device="model"), seed=seed, size=4096, delay=5, out=tmp_path)
    found = golden.GoldenRun(config, Plan(seed=seed, operations=5, bytes=4096, slots=1, nameless=True)).run()
    assert found.violations == []
    for kind in (Kind.QUERY, Kind.UPDATE, Kind.INVALIDATE, Kind.TERMINATE):
        assert found.operations.counts[kind, State.FOREIGN] >= 1
    for kind in (Kind.INVALIDATE_PATH, Kind.INVALIDATE_NEIGHBOR, Kind.QUERY_OBJECT, Kind.RELINK):
        assert found.operations.counts[kind, State.OBJECT_NONE] >= 1


@pytest.mark.parametrize("seed", [1, 2])
def test_random_operations_keep_the_contract_and_lose_no_list(seed: int, tmp_path: Path) -> None:
    found = _played(seed, tmp_path)
    again = f"make regress SUITE=contract DEVICE=model SEEDS={seed} OPS={OPERATIONS}"
    assert found.passed, f"{again}: {found.violations[:5]}"
    assert found.operations.total >= OPERATIONS
    assert found.operations.legal_share >= 0.6


def test_misuse_is_answered_through_an_intermediate_driver_as_by_the_target_alone(tmp_path: Path) -> None:
    found = _played(2, tmp_path, intermediates=1)
    assert found.passed, found.violations[:5]
    refused = {kind for (kind, state), count in found.operations.counts.items() if count and not legal(kind, state)}
    assert refused >= {Kind.SEND, Kind.TREE_CYCLE, Kind.TREE_LAYERS, Kind.DISCONNECT_FLAGS, Kind.QUERY, Kind.TERMINATE}


_REPEATED = """
import dataclasses, json, pathlib, sys
import tb.contract.golden as golden
from tb.config import RunConfig
from tb.contract.operator import MAX_SIZE, Plan
from tb.contract.regress import plan_of
from tb.contract.table import Kind, State
from tb.session.contract_tap import ContractTap

base = RunConfig(command="regress", device="model")
config = dataclasses.replace(base, seed=3, size=65536, delay=5, out=pathlib.Path("."))
run = golden.GoldenRun(config, Plan(seed=3, operations=120, bytes=65536, slots=6))
log = []


class Logged(type(run.session.operator.tally.counts)):
    def __setitem__(self, pair, count):
        log.append((run.session.host.now, *map(str, pair), count))
        super().__setitem__(pair, count)


run.session.operator.tally.counts = Logged()
feed = ContractTap.feed
ContractTap.feed = lambda tap, record: (log.append(repr(record)), feed(tap, record))[1]
found = run.run().as_dict()
del found["seconds"]
json.dump([log, found, dict(run.driver.counters)], sys.stdout)
"""


def test_a_seed_does_the_same_whatever_python_hashes_and_where_objects_lie() -> None:
    told = []
    for salt in ("1", "77"):
        padding = {f"PADDING_{n}": "x" * 1000 * len(salt) for n in range(len(salt))}  # moves what lies behind it
        environment = os.environ | padding | {"PYTHONHASHSEED": salt}
        command = [sys.executable, "-c", _REPEATED]
        told.append(subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True))
    log, found, counters = json.loads(told[0].stdout)
    assert len(log) > 1000
    assert found["violations"] == []
    assert counters
    assert told[0].stdout == told[1].stdout


@pytest.mark.parametrize("operations", [1000, 10_000])
def test_what_a_seed_does_depends_on_no_other_seed(operations: int) -> None:
    alone = replace(RunConfig(command="regress", device="model"), seed=4, seeds=(4,), operations=operations)
    assert plan_of(alone) == plan_of(replace(alone, seeds=tuple(range(1, 51))))


@pytest.mark.parametrize(("seeds", "operations"), [(1, 10_000), (10, 1000), (50, 10_000)])
def test_seeds_want_every_pair_as_often_as_a_complete_run_asks(seeds: int, operations: int) -> None:
    plan = plan_of(replace(RunConfig(command="regress", device="model"), seed=1, operations=operations))
    assert seeds * plan.allowed_times >= ALLOWED_TIMES
    assert seeds * plan.refused_times >= REFUSED_TIMES


def test_sizes_go_from_0_to_1_mib_and_the_run_keeps_to_its_bytes(tmp_path: Path) -> None:
    model = RunConfig(command="regress", device="model")
    config = replace(model, seed=1, size=8 << 20, operations=10_000, out=tmp_path)
    operator = golden.GoldenRun(config, plan_of(config)).session.operator
    drawn: Counter[int] = Counter()
    for _ in range(operator.plan.operations):
        operator.tally.counts[Kind.SEND, State.ESTABLISHED] += 1
        for _ in range(DRAWS):
            size = operator.size()
            assert 0 <= size <= MAX_SIZE
            operator.bytes += size
            drawn[size.bit_length()] += 1
    assert set(range(13)) <= drawn.keys()
    assert sum(drawn[bits] for bits in range(14, 21)) >= 10
    assert drawn[20] > 0
    assert operator.bytes < (8 << 20) + MAX_SIZE


def test_a_send_that_never_comes_back_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    lost: list[SendJob] = []
    finish = ConnectionIo._finish

    def forgetful(self: ConnectionIo, job: SendJob) -> None:
        if lost:
            finish(self, job)
        else:
            lost.append(job)

    monkeypatch.setattr(ConnectionIo, "_finish", forgetful)
    monkeypatch.setattr(golden, "STALL_TICKS", 200)
    found = _played(1, tmp_path)
    assert lost
    assert found.nbl_never > 0
    assert not found.passed


def test_misuse_that_no_monitor_reports_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def deaf(_: ContractMonitors, __: Record) -> None:
        return

    monkeypatch.setattr(ContractMonitors, "feed", deaf)
    found = _played(1, tmp_path)
    assert any(line.startswith("misuse: ") and line.endswith("not reported") for line in found.violations)
    assert not found.passed


@pytest.mark.rule("CH-059", "CH-060", "CH-028")
@pytest.mark.parametrize(
    "chosen",
    [Chosen(Kind.INITIATE, State.SYN_SENT), Chosen(Kind.TREE_NO_STATE, State.SOFTWARE)],
    ids=lambda chosen: chosen.kind.name,
)
def test_a_path_that_an_initiate_names_is_not_terminated_before_the_tree_is_back(
    chosen: Chosen, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = replace(RunConfig(command="regress", device="model"), seed=1, size=BYTES, delay=5, out=tmp_path)
    run = golden.GoldenRun(config, Plan(seed=1, operations=OPERATIONS, bytes=BYTES))
    host, misuser = run.session.host, run.session.operator.misuser
    issued: list[NdisCall] = []
    monkeypatch.setattr(host, "_issue", issued.append)
    host.may_retire = lambda _: True
    offloaded = ObjectPhase.OFFLOADED
    below = SharedObject(OffloadStateType.NEIGHBOR, NeighborConst(), NeighborCached(), phase=offloaded, users=1)
    path = SharedObject(OffloadStateType.IP4, PathConst(NIC_IP, b"peer"), PathCached(1500), below, offloaded)
    below.handle.miniport_offload_context, path.handle.miniport_offload_context = 7, 8
    host._neighbors[b"next"], host._paths[b"peer"] = below, path
    assert misuser._make(chosen)
    assert not host._issue_idle_terminates()
    path.users = 1
    assert not misuser._terminate_below(chosen)
    path.users = 0
    assert (len(issued), path.phase) == (1, offloaded)
    (misuse,) = host.misuses
    for root in misuse.roots:
        for node in nodes_once(root):
            node.status = NdisStatus.FAILURE
        host.initiate_offload_complete(host, root)
    assert host._issue_idle_terminates()
    assert (len(issued), path.phase) == (2, ObjectPhase.TERMINATING)


@pytest.mark.parametrize("section", HostMisuse.RULES)
def test_misuse_of_a_section_that_its_monitor_does_not_report_is_found(
    section: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    report = HostMisuse.breach

    def half_deaf(self: HostMisuse, rule: str, text: str) -> None:
        if rule != section:
            report(self, rule, text)

    monkeypatch.setattr(HostMisuse, "breach", half_deaf)
    found = _played(1, tmp_path)
    assert found.violations
    assert all(line.startswith("misuse: ") and f"{section} not reported" in line for line in found.violations)


def test_every_forbidden_kind_has_its_row_in_the_page_of_bad_input() -> None:
    page = (ROOT / "docs" / "errors.md").read_text()
    part = page[page.index("## N: ") : page.index("## R: ")]
    assert [kind for (kind, _), cell in TABLE.items() if not cell.legal and kind.value not in part] == []


def test_every_pair_that_was_left_out_is_named() -> None:
    tally = Tally()
    for (kind, state), cell in TABLE.items():
        tally.counts[kind, state] = ALLOWED_TIMES if cell.legal else REFUSED_TIMES
    assert tally.shortfalls() == []
    tally.counts[Kind.SEND, State.ESTABLISHED] -= 1
    tally.counts[Kind.SEND, State.UPLOADED] -= 1
    assert [line.split(":")[0] for line in tally.shortfalls()] == [
        "send in state Established", "send in state uploaded",
    ]  # fmt: skip


def test_a_run_of_mostly_misuse_fails() -> None:
    tally = Tally()
    for (kind, state), cell in TABLE.items():
        tally.counts[kind, state] = ALLOWED_TIMES if cell.legal else 100 * ALLOWED_TIMES
    assert [line for line in tally.shortfalls() if "allowed, 60% asked for" in line]


def _block(kind: OffloadStateType, context: int | None = 1) -> OffloadBlock:
    return OffloadBlock(kind, None if context is None else OffloadHandle(context))


TCP, IP4, NEIGHBOR = OffloadStateType.TCP, OffloadStateType.IP4, OffloadStateType.NEIGHBOR


@pytest.mark.rule("CH-026", "CH-027")
def test_links_that_make_no_tree_are_told_apart() -> None:
    good = _block(NEIGHBOR)
    good.dependent_block_list = link([_block(IP4), _block(TCP, None), _block(IP4)])  # a placeholder's type says nothing
    assert tree_fault(good) is None
    beside = _block(NEIGHBOR)
    beside.next_block = _block(TCP)
    assert "CH-026" in str(tree_fault(beside))
    above = _block(NEIGHBOR)
    above.dependent_block_list = _block(TCP)
    assert "CH-027" in str(tree_fault(above))
    circle = _block(IP4)
    circle.next_block = _block(IP4)
    circle.next_block.next_block = circle
    assert "linked twice" in str(tree_fault(circle))
    assert len(list(nodes_once(circle))) == 2


@pytest.mark.rule("CH-150")
@pytest.mark.parametrize(
    ("result", "consumed", "taken"),
    [
        (ndis.SUCCESS, 10, 10),
        (ndis.PARTIALLY_ACCEPTED, 4, 4),
        (ndis.PARTIALLY_ACCEPTED, 0, 0),
        (ndis.PARTIALLY_ACCEPTED, 10, 0),
        (ndis.PARTIALLY_ACCEPTED, 15, 0),
        (ndis.REQUEST_ABORTED, 4, 0),
    ],
)
def test_an_impossible_count_of_consumed_bytes_says_none(result: Any, consumed: int, taken: int) -> None:
    assert ndis.taken(10, result, consumed) == taken


@pytest.mark.parametrize("past", [0, 1])
def test_a_seed_that_sends_more_bytes_than_its_device_may_fails(tmp_path: Path, past: int) -> None:
    most = MOST_BYTES["icarus"]
    folder = tmp_path / "seed9"
    folder.mkdir()
    (folder / "findings.json").write_text(json.dumps({"bytes": most + past, "streams_exact": True}))
    job = Job("seed9", ["true"], tmp_path, {}, folder / "run.log", 1.0)
    found = result_of(Finished(job, 0, 1.0), most)
    assert found["passed"] == (not past), found
    assert (f"sent {most + past} bytes of at most {most}" in str(found["violations"])) == bool(past)
