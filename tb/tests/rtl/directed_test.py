"""Bins of coverage that no session hits whatever its seed, each by a case of its own, on the RTL and in lockstep.

The cases: tb/tests/delivery_cases.py, tb/tests/corner_cases.py. The test fails where one did not hit what it is for.
With them those of tb/tests/seldom_cases.py, for branches of the RTL that no session takes, which assert what they do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import cocotb
from cocotb.triggers import Timer
from pyuvm import uvm_factory, uvm_root

from model.ndis.memory import PageAllocator
from model.ndis.miniport import MiniportDriver
from tb.coverage.samples import by_group
from tb.env.base_test import top
from tb.session.transfer import Transfer
from tb.tests import corner_cases, delivery_cases, seldom_cases
from tb.tests.lab import Case, Lab
from tb.tests.rtl.closure_test import ClosureTest
from tb.tests.rtl.errors_test import RtlPort

#: A level of back-pressure with which one word in 256 cycles passes.
ALMOST_SHUT: Final = 255
WANTED: Final = {
    "delivery": delivery_cases.DELIVERY,
    "entry": delivery_cases.ENTRY,
    "frame-in": corner_cases.FRAMES | {"DISABLED"},
    "timer": corner_cases.TIMER,
    "tcp": corner_cases.TCP,
}
"""Group, and the bins of it that this test must hit."""


class DirectedTest(ClosureTest):
    """A small transfer with a lab beside it that goes through its cases."""

    def lab_cases(self) -> list[Callable[[Lab], Case]]:
        return [
            *delivery_cases.cases(),
            corner_cases.words_in_last_ack,
            lambda lab: corner_cases.no_room_for_frames(lab, self._memory),
            lambda lab: corner_cases.acknowledgment_due_in_closing(lab, self._wire),
            *seldom_cases.cases(self._wire),
        ]

    def session(self, allocator: PageAllocator) -> tuple[Transfer, MiniportDriver]:
        """A frame comes before the driver has switched anything on: it is dropped, reason DISABLED."""
        self._open = {name: int(getattr(top(), name).value) for name in ("p_aw", "p_stall")}
        RtlPort(self.bench, self.port, self.follower).arrive(corner_cases.raw_frame(0))
        return super().session(allocator)

    def _memory(self, shut: bool) -> None:
        top().p_aw.value = ALMOST_SHUT if shut else self._open["p_aw"]

    def _wire(self, shut: bool) -> None:
        top().p_stall.value = ALMOST_SHUT if shut else self._open["p_stall"]

    def extra_problems(self) -> list[str]:
        """And every case hit what it is for."""
        hits = by_group(self.env.scoreboard.coverage.hits())
        missed = [f"{group}: {name}" for group, names in WANTED.items() for name in sorted(names)
                  if name not in hits.get(group, [])]  # fmt: skip
        return [*super().extra_problems(), *(f"not hit: {name}" for name in missed)]


@cocotb.test()
async def every_bin_that_no_session_is_sure_to_hit_is_hit_by_a_case_of_its_own(_: Any) -> None:
    """docs/coverage.md; docs/contract/delivery_step.md, tcp_step B-6a, B-9, D-1, blocks (rx_parser verdicts)."""
    await Timer(1, "ns")  # let the initial blocks of the transactors run
    await uvm_root().run_test(DirectedTest, keep_set={uvm_factory})
