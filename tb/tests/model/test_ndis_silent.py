"""A device that does not answer a command: the call ends FAILURE in its time, and nobody else notices (G-20)."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from model.layout.generated import CqKind, Opcode, Sqe
from model.ndis.enums import DisconnectFlags, OffloadStateType
from model.ndis.file_transfer import AppPhase, FileTransferApp
from model.ndis.host import OffloadedConnection
from model.ndis.miniport import DriverConfig
from model.ndis.netbuffer import BufferShape
from model.ndis.offload_state import NeighborCached
from model.ndis.status import NdisStatus
from tb.tests.model.ndis_bench import PEER, Bench, Wire
from tb.tests.model.test_ndis_state_calls import Running, transfer

LIMIT = 300


class Deaf:
    """The fake device carries a command out and keeps the completion of the first of its kind back."""

    def __init__(self, bench: Bench, opcode: Opcode) -> None:
        self._opcode = opcode
        self._complete: Callable[..., None] = bench.device._complete
        self._kept: list[tuple[Any, ...]] = []
        bench.device._complete = self._completes  # type: ignore[method-assign, assignment]

    def _completes(self, kind: CqKind, sqe: Sqe, *more: Any) -> None:
        if sqe.opcode == self._opcode and not self._kept:
            self._kept.append((kind, sqe, *more))
        else:
            self._complete(kind, sqe, *more)

    @property
    def kept(self) -> bool:
        """There was such a command."""
        return bool(self._kept)

    def answer(self) -> None:
        """Long after."""
        for kept in self._kept:
            self._complete(*kept)


def _query(at: Running) -> Callable[[], list[NdisStatus]]:
    request = at.bench.host.state.query(at.connections[0].node(OffloadStateType.TCP))
    return lambda: list(request.statuses) if request.completed else []


def _update(at: Running) -> Callable[[], list[NdisStatus]]:
    request = at.bench.host.state.update([(at.neighbor, NeighborCached(PEER.mac, 5))])
    return lambda: list(request.statuses) if request.completed else []


CALLS = {"query": (_query, Opcode.QUERY, True), "update": (_update, Opcode.NEIGHBOR_WRITE, False)}


@pytest.mark.rule("CH-095", "G-34")
@pytest.mark.parametrize("call", CALLS)
def test_a_state_call_without_an_answer_fails_in_its_time_and_a_late_answer_frees_what_it_held(call: str) -> None:
    issue, opcode, loses = CALLS[call]
    at = Running(2, conns=2, answer_ticks=LIMIT)
    deaf = Deaf(at.bench, opcode)
    asked = at.bench.driver.now
    result = issue(at)
    at.settle()
    assert deaf.kept
    at.bench.driver.on_tick(asked + LIMIT - 1)
    assert result() == []
    at.bench.driver.on_tick(asked + LIMIT)
    assert result() == [NdisStatus.FAILURE]
    assert (at.bench.driver.overdue, at.bench.driver.lists.used > 0) == (1, True)
    deaf.answer()
    at.bench.run()
    for number, app in enumerate(at.apps):
        spoiled = loses and number == 0
        assert app.phase is (AppPhase.FAILED if spoiled else AppPhase.DONE), number
    assert [line.split(" ", 2)[2] for line in at.bench.driver.reports] == [
        "was not answered in time",
        "was answered too late",
    ]
    assert (at.bench.driver.overdue, at.bench.driver.lists.used, at.bench.driver.bounce.used) == (0, 0, 0)


def _opened_with_a_deaf(opcode: Opcode) -> tuple[Bench, Deaf, FileTransferApp]:
    """A connection whose offload a device leaves without an answer to `opcode`, when the driver has stopped waiting."""
    bench = Bench(3, Wire(delay=2), driver=DriverConfig(conns=4, answer_ticks=LIMIT))
    deaf = Deaf(bench, opcode)
    silent = transfer(bench, 40_000, 4000)
    bench.run(until=lambda: deaf.kept)
    _settle(bench)
    assert silent.offload_status is None
    bench.driver.on_tick(bench.driver.now + LIMIT)
    _settle(bench)
    return bench, deaf, silent


@pytest.mark.rule("CH-042", "CH-045", "CH-250")
@pytest.mark.parametrize("opcode", [Opcode.INITIATE, Opcode.PATH_WRITE, Opcode.NEIGHBOR_WRITE])
def test_an_initiate_without_an_answer_fails_and_runs_in_software_and_gives_its_number_back_late(
    opcode: Opcode,
) -> None:
    bench, deaf, silent = _opened_with_a_deaf(opcode)
    assert silent.offload_status is NdisStatus.FAILURE
    other = transfer(bench, 40_000, 4001)
    bench.run(until=lambda: other.offload_status is not None)
    deaf.answer()
    bench.run()
    assert other.offload_status is NdisStatus.SUCCESS
    for app in (silent, other):
        assert (app.phase, app.failure, bytes(app.sink)) == (AppPhase.DONE, "", app.data)
    driver = bench.driver
    assert (driver.overdue, driver.lists.used, driver.bounce.used, driver._by_id) == (0, 0, 0, {})
    assert [len(numbers) for numbers in driver._free_ids.values()] == [4, 8, 8]


@pytest.mark.rule("CH-155", "CH-251")
def test_a_connection_whose_start_is_not_answered_is_the_devices_until_it_is_terminated() -> None:
    bench, deaf, silent = _opened_with_a_deaf(Opcode.START)
    assert silent.offload_status is NdisStatus.SUCCESS
    bench.run()
    deaf.answer()
    _settle(bench)
    assert (silent.phase, silent.failure, bytes(silent.sink)) == (AppPhase.DONE, "", silent.data)
    driver = bench.driver
    assert (driver.overdue, driver.lists.used, driver.bounce.used, driver._by_id) == (0, 0, 0, {})
    assert [len(numbers) for numbers in driver._free_ids.values()] == [4, 8, 8]


@pytest.mark.rule("CH-169", "CH-181", "G-20")
@pytest.mark.parametrize("opcode", [Opcode.FORWARD, Opcode.DISCONNECT])
def test_a_forward_or_an_abort_without_an_answer_loses_its_connection_alone(opcode: Opcode) -> None:
    at = Running(4, conns=2, answer_ticks=LIMIT, terminate_ticks=LIMIT)
    bench, connection = at.bench, at.connections[0]
    swallow = bench.device._execute

    def execute(sqe: Sqe, raw: bytes, index: int) -> None:
        if sqe.opcode == Opcode.TERMINATE and sqe.conn == 0:
            del bench.device.conns[0]  # dead for good
        elif sqe.opcode != opcode or sqe.conn != 0:
            swallow(sqe, raw, index)

    bench.device._execute = execute  # type: ignore[method-assign]
    asked = bench.driver.now
    _give(bench, connection, opcode)
    _settle(bench)
    bench.driver.on_tick(asked + LIMIT - 1)
    assert not connection.ledger.aborted
    bench.driver.on_tick(asked + LIMIT)
    _settle(bench)
    bench.driver.on_tick(asked + 2 * LIMIT)
    _settle(bench)
    assert at.apps[0].phase is AppPhase.FAILED
    bench.run()
    assert [app.phase for app in at.apps] == [AppPhase.FAILED, AppPhase.DONE]
    assert bytes(at.apps[1].sink) == at.apps[1].data
    events = [e.detail for e in bench.host.trace if e.connection == connection.number and e.name == "tcp event"]
    assert events == ["RETRIEVE(HARDWARE_FAILURE)", "ABORT"]
    assert connection.ledger.terminated


def _settle(bench: Bench) -> None:
    while bench.host.step() | bench.target.step():
        pass


def _give(bench: Bench, connection: OffloadedConnection, opcode: Opcode) -> None:
    made = bench.host.build(
        bytes(40) if opcode == Opcode.FORWARD else b"", BufferShape(max_net_buffers=1), random.Random(1)
    )
    assert made is not None
    if opcode == Opcode.FORWARD:
        bench.host.issue_forward(connection, [made])
    else:
        bench.host.issue_disconnect(connection, made, DisconnectFlags.ABORTIVE)
