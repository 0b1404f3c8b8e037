"""Check 6 of the lockstep: what is due must happen, counted in cycles; timers also in ticks of an idle device."""

from __future__ import annotations

import pytest

from model.device.bounds import BOUNDS, QUIET_STROBES, Liveness
from model.device.divergence import Halt


def strobes(live: Liveness, count: int, *, quiet: bool = True) -> None:
    """``count`` ticks of an idle device, far within every bound in cycles."""
    for cycle in range(count):
        live.strobe(cycle, quiet=quiet)


@pytest.mark.parametrize("kind", ["timer", "push"])
def test_a_timer_that_is_due_while_the_device_is_idle_is_late_after_a_few_ticks(kind: str) -> None:
    live = Liveness(BOUNDS)
    live.begin(kind, 3, 0)
    strobes(live, QUIET_STROBES)
    with pytest.raises(Halt) as halt:
        strobes(live, 1)
    assert halt.value.divergence.check == 6
    assert halt.value.divergence.field == f"{kind} 3"


def test_a_timer_that_waits_while_the_device_works_is_late_by_its_cycles_only() -> None:
    live = Liveness(BOUNDS)
    live.begin("timer", 3, 0)
    for _ in range(8):
        strobes(live, QUIET_STROBES)
        strobes(live, 1, quiet=False)
    with pytest.raises(Halt):
        live.check(BOUNDS["timer"] + 1)


def test_ticks_of_an_idle_device_without_a_timer_due_count_for_nothing() -> None:
    live = Liveness(BOUNDS)
    strobes(live, 10 * QUIET_STROBES)
    live.begin("timer", 3, 0)
    strobes(live, QUIET_STROBES)
    live.end("timer", 3, 1)
    strobes(live, 10 * QUIET_STROBES)


@pytest.mark.parametrize(("kind", "late"), [("raw_send", False), ("command", True)])
def test_of_raw_sends_each_is_due_when_the_one_before_it_is_done(kind: str, late: bool) -> None:
    live, count = Liveness(BOUNDS), 200
    step = 2 * BOUNDS[kind] // count
    for number in range(count):
        live.begin(kind, number, 0)
    in_time = [number for number in range(count) if _ends(live, kind, number, (number + 1) * step)]
    assert (len(in_time) < count) == late
    if not late:
        assert live.seen[kind] == step
        live.begin(kind, count, count * step)
        live.begin(kind, count + 1, count * step)
        with pytest.raises(Halt):
            live.check(count * step + BOUNDS[kind] + 1)


def test_a_raw_send_that_is_overtaken_for_ever_is_late() -> None:
    live, bound = Liveness(BOUNDS), BOUNDS["raw_send"]
    live.begin("raw_send", 0, 0)
    live.begin("raw_send", 1, 0)
    live.end("raw_send", 0, 10)
    for cycle in range(20, 10 + bound, bound // 16):  # each is done at once, while 1 waits in front of it
        live.begin("raw_send", cycle, cycle)
        live.end("raw_send", cycle, cycle + 5)
        live.check(cycle + 5)
    live.check(10 + bound)
    with pytest.raises(Halt) as halt:
        live.check(10 + bound + 1)
    assert halt.value.divergence.field == "raw_send 1"


def test_a_raw_send_that_is_done_out_of_turn_begins_nothing_and_took_nothing() -> None:
    live, bound = Liveness(BOUNDS), BOUNDS["raw_send"]
    for number in range(3):
        live.begin("raw_send", number, 0)
    live.end("raw_send", 0, bound)
    live.end("raw_send", 2, 2 * bound)  # 1 is due since 0 was done
    assert live.seen["raw_send"] == bound
    live.check(2 * bound)
    with pytest.raises(Halt):
        live.check(2 * bound + 1)


def _ends(live: Liveness, kind: str, number: int, cycle: int) -> bool:
    try:
        live.end(kind, number, cycle)
    except Halt:
        return False
    return True
