"""docs/errors.md, part W: each row is a bound that a test named here proves. Those of commands without an image."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from model.layout.generated import Opcode
from model.ndis.file_transfer import AppPhase
from model.ndis.miniport import DriverConfig
from model.ndis.registration import Oid, OidRequest, TcpConnectionOffloadParameters
from model.ndis.status import NdisStatus
from tb.tests.lab import documented
from tb.tests.model import (
    test_ndis_faces,
    test_ndis_shares,
    test_ndis_silent,
    test_ndis_state_calls,
    test_ndis_statistics,
)
from tb.tests.model.ndis_bench import Bench
from tb.tests.model.test_ndis_silent import LIMIT, Deaf
from tb.tests.model.test_ndis_state_calls import Running, transfer


@pytest.mark.rule("CH-007")
def test_parameters_that_the_device_does_not_answer_fail_in_their_time() -> None:
    bench = Bench(5, driver=DriverConfig(answer_ticks=LIMIT))
    while bench.target.step():
        pass
    deaf = Deaf(bench, Opcode.PARAM_WRITE)
    request = OidRequest(
        Oid.TCP_CONNECTION_OFFLOAD_PARAMETERS, set=True, buffer=TcpConnectionOffloadParameters(tcp_push_ticks=300)
    )
    assert bench.host.request(request) is NdisStatus.PENDING
    while bench.target.step():
        pass
    assert deaf.kept
    asked = bench.driver.now
    bench.driver.on_tick(asked + LIMIT - 1)
    assert bench.host.pending(request)
    bench.driver.on_tick(asked + LIMIT)
    assert bench.host.oids_completed == [(request, NdisStatus.FAILURE)]
    deaf.answer()
    while bench.target.step():
        pass
    assert bench.host.oids_completed == [(request, NdisStatus.FAILURE)]
    assert bench.driver.lists.used == 0


@pytest.mark.rule("CH-078", "CH-095", "G-34")
def test_a_query_for_whose_answer_no_memory_comes_free_fails_in_its_time() -> None:
    at = Running(2, conns=2, answer_ticks=LIMIT)
    driver = at.bench.driver
    taken = []
    while (addr := driver.lists.allocate(64)) is not None:
        taken.append(addr)
    shares = driver.lists._shares
    held = [(share, share.allocate(64)) for share in shares.values()]
    asked = driver.now
    request = at.bench.host.state.query(at.connections[0].node(at.connections[0].kind))
    driver.on_tick(asked + LIMIT - 1)
    assert not request.completed
    driver.on_tick(asked + LIMIT)
    for addr in taken:
        driver.lists.free(addr)
    for share, addr in held:
        if addr is not None:
            share.free(addr)
    at.settle()
    assert request.statuses == [NdisStatus.FAILURE]
    at.bench.run()
    assert [app.phase for app in at.apps] == [AppPhase.FAILED, AppPhase.DONE]


def test_an_initiate_behind_frames_that_never_leave_is_tried_in_its_time() -> None:
    bench = Bench(3, driver=DriverConfig(answer_ticks=LIMIT))
    app = transfer(bench, 20_000, 4000)
    bench.driver._raw_frames[-1] = 0  # a frame of the host's whose completion never comes
    bench.run(until=lambda: app.phase is AppPhase.INITIATING)
    (walk,) = bench.driver._held_walks
    bench.driver.on_tick(walk.since + LIMIT - 1)
    assert bench.driver._held_walks == [walk]
    bench.driver.on_tick(walk.since + LIMIT)
    assert bench.driver._held_walks == []
    bench.run()
    assert (app.offload_status, app.phase) == (NdisStatus.SUCCESS, AppPhase.DONE)


ROWS: dict[str, tuple[Callable[..., None], ...]] = {
    "W-01": (
        test_ndis_silent.test_a_state_call_without_an_answer_fails_in_its_time_and_a_late_answer_frees_what_it_held,
    ),
    "W-02": (
        test_ndis_silent.test_an_initiate_without_an_answer_fails_and_runs_in_software_and_gives_its_number_back_late,
    ),
    "W-03": (test_ndis_silent.test_a_forward_or_an_abort_without_an_answer_loses_its_connection_alone,),
    "W-04": (
        test_ndis_state_calls.test_a_device_that_never_answers_does_not_keep_a_terminate_waiting,
        test_ndis_state_calls.test_what_a_device_says_long_after_it_was_given_up_is_not_told_to_the_host_but_frees_what_it_held,
    ),
    "W-05": (test_parameters_that_the_device_does_not_answer_fail_in_their_time,),
    "W-06": (
        test_ndis_statistics.test_registers_that_are_not_read_in_time_fail_their_requests_and_late_values_count_for_nobody,
        test_ndis_statistics.test_the_driver_bounds_its_reads_of_registers_and_reports_what_was_not_read,
    ),
    "W-07": (test_a_query_for_whose_answer_no_memory_comes_free_fails_in_its_time,),
    "W-08": (test_an_initiate_behind_frames_that_never_leave_is_tried_in_its_time,),
    "W-09": (
        test_ndis_faces.test_an_initiate_that_meets_a_bare_pause_fails_in_its_time_and_the_offloaded_connections_go_on,
    ),
    "W-10": (
        test_ndis_shares.test_a_scattered_request_larger_than_the_share_is_filled_in_parts,
        test_ndis_shares.test_a_push_mode_request_in_parts_comes_back_with_all_that_its_parts_have,
        test_ndis_shares.test_a_request_in_parts_ends_with_its_true_count,
    ),
    "W-11": (
        test_ndis_shares.test_one_connection_never_takes_the_place_of_another,
        test_ndis_shares.test_requests_of_one_connection_leave_a_place_for_every_other_one_and_for_an_abort,
    ),
    "W-12": (test_ndis_shares.test_a_connection_for_which_no_share_is_left_stays_in_software,),
}


def test_every_row_of_part_w_has_its_test() -> None:
    assert documented("W") == list(ROWS)
