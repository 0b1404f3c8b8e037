"""Answers of the golden device that come late: the host hears the truth, and nothing is lost (G-20, G-34)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from model.layout.generated import Cqe, CqKind, Opcode, Sqe, Status
from model.ndis.enums import TcpEventType, UploadReason
from model.ndis.miniport import DriverConfig
from model.ndis.status import NdisStatus
from model.wire.frame import TcpFlag
from tb.config import RunConfig
from tb.contract.scenes.golden import SceneRun
from tb.contract.scenes.stage import CONNS, DELAY, SIZE, Case, Play, SceneStage
from tb.session import summary
from tb.tests.stage import EVENT, INDICATE, Scene, pattern

LIMIT = 2000
"""Ticks after which an answer is overdue."""


LATE = ["was not answered in time", "was answered too late"]


def _play(tmp_path: Path, scene: Play, reports: Sequence[str]) -> SceneStage:
    stage = SceneStage([Case("late", "late", frozenset(), scene, last=True)])
    config = RunConfig(device="model", size=SIZE, delay=DELAY, seed=1, out=tmp_path)
    settings = DriverConfig(conns=CONNS, cq_log2=12, answer_ticks=LIMIT, terminate_ticks=LIMIT)
    run = SceneRun(config, stage, CONNS, driver_config=settings)
    assert run.run() == [], stage.where()
    assert stage.over, stage.where()
    told = list(stage.driver.reports)
    assert [line for line in summary.verdict(run.transfer) if line.startswith("driver: ")] == [
        f"driver: {line}" for line in told
    ]
    assert [line.split(" ", 2)[2] for line in stage.driver.take_reports()] == reports
    assert summary.verdict(run.transfer) == []
    return stage


@pytest.mark.rule("CH-155", "CH-251", "G-33")
@pytest.mark.parametrize("answered", ["before the terminate", "behind it"])
def test_a_connection_whose_start_is_answered_late_comes_back_with_all_that_was_acknowledged(
    tmp_path: Path, answered: str
) -> None:
    data, reply = pattern(2500), pattern(600, 7)

    def scene(stage: SceneStage) -> Scene:
        late, other = stage.tell("late"), stage.tell("other")
        yield from other.open()
        yield from late.shake_hands()
        stage.driver.withhold(Opcode.START)
        late.begin_offload()
        yield lambda: bool(stage.driver.late)
        for first in range(0, len(data), 500):
            late.far.say(data[first : first + 500], TcpFlag.PSH)
        yield lambda: bool(late.wire) and late.wire[-1].ack == late.far.snd
        assert late.offload_status is None
        yield from late.offloaded()
        yield late.told(TcpEventType.RETRIEVE, UploadReason.UPLOAD_REQUESTED)
        if answered == "before the terminate":
            stage.driver.answer()
        yield from late.send(late.make("S1", reply))
        yield from late.leave()
        stage.driver.answer()
        assert late.sink == data
        assert late.far.stream == reply
        assert other.is_offloaded
        yield from other.leave()

    stage = _play(tmp_path, scene, LATE)
    assert stage.driver.overdue == 0


@pytest.mark.rule("CH-095", "G-34")
def test_a_host_that_looks_late_loses_no_connection_that_the_device_has_answered_for(
    tmp_path: Path,
) -> None:
    def scene(stage: SceneStage) -> Scene:
        asks, ends = stage.tell("asks"), stage.tell("ends")
        yield from asks.open()
        yield from ends.open()
        driver = stage.driver
        driver.asleep = True
        request = asks.start_query()
        stage.host.terminate(ends.connection)
        yield from stage.quiet(LIMIT + 500)
        assert not request.completed
        driver.asleep = False
        driver.on_interrupt()
        yield lambda: request.completed and ends.upload is not None
        assert {status.name for status in request.statuses} == {"SUCCESS"}
        assert not asks.told(TcpEventType.ABORT)()
        yield from ends.finish()
        yield from asks.leave()

    stage = _play(tmp_path, scene, [])
    assert stage.driver.counters["terminates given up"] == 0


@pytest.mark.rule("CH-095", "G-34")
def test_a_device_that_is_silent_while_it_answers_others_is_given_up_all_the_same(tmp_path: Path) -> None:
    def scene(stage: SceneStage) -> Scene:
        asks, other = stage.tell("asks"), stage.tell("other")
        yield from asks.open()
        yield from other.open()
        stage.driver.withhold(Opcode.QUERY)
        asked = stage.now
        request = asks.start_query()
        while not request.completed and stage.now < asked + 2 * LIMIT:
            stage.driver.nothing(1)
            yield from stage.quiet(7)
        assert LIMIT <= stage.now - asked < LIMIT + 20
        assert "FAILURE" in {status.name for status in request.statuses}
        stage.driver.answer()
        yield from asks.drop()
        yield from other.leave()

    _play(tmp_path, scene, LATE)


@pytest.mark.rule("CH-235", "CH-250", "G-20")
def test_a_connection_that_neither_started_nor_came_off_the_device_is_told_to_nobody(tmp_path: Path) -> None:
    def scene(stage: SceneStage) -> Scene:
        lost, other = stage.tell("lost"), stage.tell("other")
        yield from other.open()
        yield from lost.shake_hands()
        stage.driver.withhold(Opcode.START)
        stage.driver.withhold(Opcode.TERMINATE)
        lost.begin_offload()
        yield lambda: bool(stage.driver.late)
        connection = stage.driver._by_id[stage.driver.late[0].conn]
        stage.driver.late = [replace(cqe, status=Status.BAD_STATE) for cqe in stage.driver.late]
        stage.driver.answer()
        yield lambda: lost.offload_status is not None
        assert lost.offload_status is NdisStatus.FAILURE
        answers: list[Sqe] = []
        stage.driver.submit = answers.append  # type: ignore[method-assign, assignment]
        for entry in (
            Cqe(kind=CqKind.INDICATION, conn=connection.id, gen=connection.io.gen, nbytes=1),
            Cqe(kind=CqKind.EVENT, conn=connection.id, gen=connection.io.gen, code=TcpEventType.DISCONNECT),
        ):
            stage.driver._dispatch(entry)
        del stage.driver.submit
        assert [(one.opcode, one.length) for one in answers] == [(Opcode.ANSWER, 0)]
        assert not lost.of(INDICATE)
        assert not lost.of(EVENT)
        stage.driver.answer()
        yield from lost.in_software()
        yield from other.leave()

    _play(tmp_path, scene, LATE)


@pytest.mark.rule("G-20", "G-34")
def test_what_takes_a_connection_that_was_loaded_too_late_off_the_device_has_a_bound_and_a_report(
    tmp_path: Path,
) -> None:
    def scene(stage: SceneStage) -> Scene:
        late, other = stage.tell("late"), stage.tell("other")
        yield from other.open()
        yield from late.shake_hands()
        stage.driver.withhold(Opcode.INITIATE)
        stage.driver.withhold(Opcode.TERMINATE)
        late.begin_offload()
        yield lambda: late.offload_status is not None
        assert late.offload_status is NdisStatus.FAILURE
        stage.driver.answer()
        yield from stage.quiet(LIMIT + 10)
        assert stage.driver.overdue == 1
        stage.driver.answer()
        assert stage.driver.overdue == 0
        yield from late.in_software()
        yield from other.leave()

    _play(tmp_path, scene, LATE * 2)
