"""Requests that meet an indication on their way: they come first, and nothing is held back behind them (CH-142)."""

from __future__ import annotations

import pytest

from model.layout.generated import Cqe, Opcode, Status
from model.ndis.miniport_io import ConnectionIo
from model.ndis.status import CompletionKind, NdisStatus
from tb.tests.model.crossing_stage import Crossing, at_random
from tb.tests.model.test_ndis_abort_order import SIZE, Recorder


def _posted(driver: Recorder, requests: int, size: int = SIZE) -> ConnectionIo:
    io = ConnectionIo(driver, conn=1, gen=1, receive_open=True)
    for _ in range(requests):
        io.receive(driver.list_of(size))
    io.pump()
    return io


@pytest.mark.rule("CH-142")
@pytest.mark.parametrize(("requests", "size", "first"), [(0, SIZE, False), (1, 0, False), (1, SIZE, True)])
def test_requests_at_the_device_come_before_an_indication(requests: int, size: int, first: bool) -> None:
    assert _posted(Recorder(), requests, size).wants_data is first


@pytest.mark.rule("CH-151")
def test_the_device_is_told_that_the_host_refused_nothing() -> None:
    driver = Recorder()
    io = _posted(driver, 1)
    io.crossed()
    request, reminder = driver.entries
    assert (reminder.opcode, reminder.length) == (Opcode.RECEIVE, 0)
    io.on_receive(Cqe(cookie=request.cookie, status=Status.OK, nbytes=SIZE))
    io.on_receive(Cqe(cookie=reminder.cookie, status=Status.OK))
    assert driver.went_up == [(CompletionKind.RECEIVE, NdisStatus.SUCCESS)]
    assert not io.reminders


@pytest.mark.rule("CH-151")
def test_a_reminder_waits_for_room_at_the_device() -> None:
    driver = Recorder()
    io = _posted(driver, driver.limits.receives)
    io.crossed()
    assert len(driver.entries) == driver.limits.receives
    io.on_receive(Cqe(cookie=driver.entries[0].cookie, status=Status.OK, nbytes=SIZE))
    io.pump()
    assert [entry.length for entry in driver.entries[driver.limits.receives :]] == [0]


@pytest.mark.rule("CH-151")
def test_a_request_that_follows_the_refusal_is_reminder_enough() -> None:
    driver = Recorder()
    io = _posted(driver, driver.limits.receives + 1)
    io.crossed()
    io.on_receive(Cqe(cookie=driver.entries[0].cookie, status=Status.OK, nbytes=SIZE))
    io.pump()
    assert [entry.length for entry in driver.entries[driver.limits.receives :]] == [SIZE]
    assert not io.reminders


@pytest.mark.rule("CH-151")
def test_no_reminder_goes_to_a_connection_that_is_being_taken_back() -> None:
    driver = Recorder()
    io = _posted(driver, 1)
    io.close()
    io.crossed()
    assert len(driver.entries) == 1
    assert not io.reminder_owed


@pytest.mark.rule("CH-142", "CH-146")
def test_an_indication_that_the_first_of_several_requests_leaves_does_not_pass_the_others() -> None:
    """The first request behind the refusal ends it, and the device asks for the rest before it has the second."""
    at = Crossing()
    at.device.comes(30)
    for _ in range(3):
        at.post(8)
    at.poll()  # the requests met the indication: refused
    while at.device.commands:
        at.device.commit()
        at.poll()
    assert not at.overtaken
    assert (at.delivered, at.asked) == (30, 1)


@pytest.mark.rule("CH-142")
def test_requests_that_wait_in_the_driver_go_one_by_one_and_none_is_passed() -> None:
    at = Crossing()
    at.on_complete = lambda: at.post(8) if at.delivered == 8 else None
    at.post(8)
    at.device.commit()
    at.device.comes(40)
    at.poll()
    at.post(8)
    at.post(8)
    while at.device.commands:
        at.device.commit()
        at.poll()
    assert not at.overtaken
    assert (at.delivered, at.asked) == (40, 1)


@pytest.mark.rule("CH-151", "CH-153", "G-28")
def test_an_empty_request_that_met_a_refused_indication_lets_the_target_ask_again() -> None:
    answers = [0, 30]
    at = Crossing(lambda _: answers.pop(0))
    at.device.comes(30)
    at.post(0)
    at.settle()
    assert (at.asked, at.delivered, len(at.posted)) == (2, 30, 0)


@pytest.mark.rule("CH-126", "CH-142", "CH-151")
@pytest.mark.parametrize("seed", range(60))
def test_at_any_timing_no_indication_passes_a_request_and_no_byte_waits_for_ever(seed: int) -> None:
    at = at_random(seed, steps=150)
    assert not at.overtaken
    assert not at.device.stream or (at.content and not at.posted)
