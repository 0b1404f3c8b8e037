"""The TCB table read by back door: what stands in the memory must be the golden TCB, whatever the commit port says.

A sample is a word read in some cycle N. The table is written at the clock edge of a commit; the record of that commit
is in the file one edge later, with the number of that cycle. So a record of cycle N may come after the sample and its
state be in the word already. A sample is therefore judged when the records have passed N + 1; it must equal a golden
state of its connection that was current within N - 1 .. N + 1 (commits are more than two cycles apart: at most two).
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from model.device.divergence import Divergence, first_difference
from model.device.follower import Follower
from model.layout.generated import Phase, RecTcp, Tcb

#: Cycles around a sample in which a commit may or may not be in the word.
SLACK = 1
#: One in so many looks at the records takes a sample.
ONE_IN = 8
RULE = "mechanisms M1: the state in the table is the state of the record"
_CONN_LSB, _CONN_WIDTH = RecTcp.FIELDS["conn"]
_CONN_MASK = (1 << _CONN_WIDTH) - 1
_PHASE_LSB, _PHASE_WIDTH = Tcb.FIELDS["phase"]
_PHASE_MASK = (1 << _PHASE_WIDTH) - 1


@dataclass
class Sample:
    """A word that was read; ``golden`` are the states it may be, the newest last."""

    conn: int
    cycle: int
    word: int | None
    golden: list[Tcb] = field(default_factory=list)


class TcbBackDoor:
    """Takes samples and judges them. ``compared`` counts the entries that were judged."""

    def __init__(self, dut: Any, follower: Follower) -> None:
        self._dut = dut
        self._memory = dut.dut.u_engine.engine.tcbs.ram.mem
        self._follower = follower
        self._rng = random.Random(f"tcb back door/{int(dut.seed.value)}")
        self._core = follower.core
        self._states: dict[int, tuple[int, Tcb]] = {}  # connection: cycle of its last commit, the state before it
        self._last: int | None = None
        self._open: list[Sample] = []
        self.compared = 0

    @property
    def in_use(self) -> bool:
        """Whether any connection has had a commit, since the last reset or before it."""
        return bool(self._states) or self.compared > 0

    def held(self) -> int:
        """Connections that the device's own table holds now, in whatever phase but FREE."""
        words = (int(self._memory[conn].value) for conn in self._states)
        return sum(word >> _PHASE_LSB & _PHASE_MASK != Phase.FREE for word in words)

    def commit(self, record: int, cycle: int) -> None:
        """A record of tcp_engine is about to be followed. Call ``committed`` after it."""
        if self._follower.core is not self._core:
            self.forget()
        self._last = None
        conn = record >> _CONN_LSB & _CONN_MASK
        if conn < len(self._core.tcbs):
            self._last = conn
            self._before = self._core.tcbs[conn]
        self._at = cycle

    def committed(self) -> None:
        """The golden side has followed the record given to ``commit``."""
        conn = self._last
        if conn is None:
            return
        after = self._core.tcbs[conn]
        if after is not self._before:
            self._states[conn] = (self._at, self._before)
            for sample in self._open:
                if sample.conn == conn and self._at <= sample.cycle + SLACK:
                    sample.golden.append(after)
        if conn not in self._states:
            self._last = None  # never written since reset: the memory holds anything

    def forget(self) -> None:
        """The device was reset: the words mean nothing until they are written again."""
        self._core = self._follower.core
        self._states.clear()
        self._open.clear()
        self._last = None

    def maybe_sample(self) -> None:
        """Call after every look at the records, while simulated time stands still."""
        if self._last is not None and self._rng.randrange(ONE_IN) == 0:
            self.sample(self._last)

    def sample(self, conn: int) -> None:
        """Read the word of a connection now."""
        cycle = int(self._dut.cycle.value)
        value = self._memory[conn].value
        at, before = self._states[conn]
        golden = [before] if at >= cycle - SLACK else []
        try:
            word: int | None = int(value)
        except (TypeError, ValueError):  # unknown bits
            word = None
        self._open.append(Sample(conn, cycle, word, [*golden, self._core.tcbs[conn]]))

    def passed(self, cycle: int) -> None:
        """No record before ``cycle`` can come any more."""
        if self._open and cycle > self._open[0].cycle + SLACK:
            ripe = [sample for sample in self._open if cycle > sample.cycle + SLACK]
            self._open = self._open[len(ripe) :]
            for sample in ripe:
                self._judge(sample)

    def finish(self) -> None:
        """The device is idle: every connection that had a commit is compared."""
        if self._follower.core is not self._core:
            self.forget()
        for conn in self._states:
            self.sample(conn)
        for sample in self._open:
            self._judge(sample)
        self._open.clear()

    def _judge(self, sample: Sample) -> None:
        if self._follower.divergence is not None:
            return
        self.compared += 1
        if any(sample.word == tcb.pack() for tcb in sample.golden):
            return
        expected = sample.golden[-1].pack()
        if sample.word is None:
            name, wanted, got = "tcb", f"{expected:#x}", "an unknown (x) bit"
        else:
            inner, e, g = first_difference(Tcb, expected, sample.word)
            name, wanted, got = f"tcb.{inner}", f"{e} ({e:#x})", f"{g} ({g:#x})"
        commits = self._follower._history.get(sample.conn, ())
        self._follower.divergence = Divergence(
            check=1,
            stream="tcb_table",
            order=self.compared,
            cycle=sample.cycle,
            conn=sample.conn,
            event="back door",
            field=name,
            expected=wanted,
            got=got,
            rule=RULE,
            history=tuple(commit.words() for commit in commits),
        )
