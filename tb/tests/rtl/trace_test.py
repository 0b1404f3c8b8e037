"""A trace (docs/trace-format.md) judged without the simulator says what the live run said."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cocotb
from cocotb.triggers import Timer
from pyuvm import uvm_factory, uvm_root

from model.layout.generated import RecTcp, Tcb
from tb.config import RunConfig
from tb.env.base_test import configuration, put
from tb.lockstep.check import check
from tb.lockstep.trace import TRACE_NAME
from tb.sim.records import Record, RecordReader
from tb.sim.run import RECORDS_NAME
from tb.tests.rtl.transfer_test import TransferTest

#: The commit that is told wrong.
LIE_AT = 60
LIE_BIT = RecTcp.FIELDS["tcb"][0] + Tcb.FIELDS["snd_nxt"][0] + 3
REPLAY = "-"


class TraceTest(TransferTest):
    """The main job with TRACE=1."""

    def configured(self) -> RunConfig:
        """The configuration of the run."""
        return replace(configuration(), trace=True)

    def check_phase(self) -> None:
        self.errors.close()
        self.judge()

    def judge(self) -> None:
        """Nothing is wrong with the run; the trace says so, with the same counts."""
        assert self.verdict() == []
        verdict, _ = check(self.config.out / TRACE_NAME)
        live, again = self.follower, verdict.follower
        assert verdict.agrees, again.report(REPLAY)
        assert not verdict.missing
        for name in ("commits_compared", "delivery_commits_compared", "frames_compared", "completions_compared",
                     "host_bytes_compared", "events"):  # fmt: skip
            assert getattr(again, name) == getattr(live, name), name
        assert again.liveness() == live.liveness()
        assert live.commits_compared > LIE_AT


class LyingReader(RecordReader):
    """The recorder's file with a bit of one commit turned."""

    seen = 0

    def read(self) -> list[Record]:
        """As it stands there, but for one."""
        return [self._turned(record) for record in super().read()]

    def _turned(self, record: Record) -> Record:
        if record.tag != "T":
            return record
        self.seen += 1
        return record if self.seen != LIE_AT else record._replace(fields=(record.value ^ 1 << LIE_BIT,))


class LyingTest(TraceTest):
    """A commit record is wrong: live run and trace name the same field of the same commit."""

    def build_phase(self) -> None:
        super().build_phase()
        put("records", LyingReader(self.config.out / RECORDS_NAME))

    def judge(self) -> None:
        """The first divergence, in the same words."""
        verdict, _ = check(self.config.out / TRACE_NAME)
        live, again = self.follower.divergence, verdict.divergence
        assert live is not None
        assert (live.check, live.stream, live.field) == (1, "tcp", "tcb.snd_nxt")
        assert again == live
        assert verdict.follower.report(REPLAY) == self.follower.report(REPLAY)
        assert not verdict.agrees


@cocotb.test()
async def the_trace_of_a_run_checks_clean_with_the_counts_of_the_live_run(_: Any) -> None:
    """Architecture section 3, checks 1 to 6, without a simulator."""
    await Timer(1, "ns")  # let the initial blocks of the transactors run
    await uvm_root().run_test(TraceTest, keep_set={uvm_factory})


@cocotb.test()
async def a_wrong_commit_is_the_same_divergence_in_the_live_run_and_in_its_trace(_: Any) -> None:
    """Architecture section 3, check 1, without a simulator."""
    await Timer(1, "ns")  # let the initial blocks of the transactors run
    await uvm_root().run_test(LyingTest, keep_set={uvm_factory})
