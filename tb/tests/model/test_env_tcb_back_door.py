"""The back door of the TCB table against a memory made of a list: right words pass, wrong and late ones do not."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from model.device.follower import Follower
from model.layout.generated import RecTcp, Tcb
from tb.env.tcb_back_door import TcbBackDoor


class Word(int):
    """What cocotb gives for a memory word."""

    is_resolvable = True


class Unknown:
    is_resolvable = False


class Bench:
    """A device of four connections: `commit` moves the table at once and the golden side one cycle later."""

    def __init__(self) -> None:
        self.memory = [SimpleNamespace(value=Unknown()) for _ in range(4)]
        inner = SimpleNamespace(
            u_engine=SimpleNamespace(engine=SimpleNamespace(tcbs=SimpleNamespace(ram=SimpleNamespace(mem=self.memory))))
        )
        self.dut = SimpleNamespace(dut=inner, seed=SimpleNamespace(value=Word(1)), cycle=SimpleNamespace(value=Word(0)))
        self.follower = Follower(bytes(4096), conns=4, data_w=64)
        self.door = TcbBackDoor(self.dut, self.follower)

    def write(self, cycle: int, conn: int, tcb: Tcb) -> None:
        self.dut.cycle.value = Word(cycle)
        self.memory[conn].value = Word(tcb.pack())

    def follow(self, cycle: int, conn: int, tcb: Tcb) -> None:
        self.door.passed(cycle)
        self.door.commit(RecTcp(conn=conn).pack(), cycle)
        self.follower.core.tcbs[conn] = tcb
        self.door.committed()

    def commit(self, cycle: int, conn: int, tcb: Tcb) -> None:
        self.write(cycle, conn, tcb)
        self.follow(cycle, conn, tcb)

    @property
    def found(self) -> Any:
        return self.follower.divergence


@pytest.fixture
def bench() -> Bench:
    return Bench()


OPEN = Tcb(phase=2, snd_una=7)


def test_equal_words_are_counted_and_pass(bench: Bench) -> None:
    bench.commit(10, 1, OPEN)
    bench.dut.cycle.value = Word(20)
    bench.door.sample(1)
    bench.door.passed(22)
    assert bench.door.compared == 1
    bench.door.finish()
    assert (bench.door.compared, bench.found) == (2, None)


def test_connections_that_the_device_holds_are_counted_in_its_own_memory(bench: Bench) -> None:
    assert bench.door.held() == 0  # nobody knows what stands in a word that was never written
    bench.commit(10, 1, OPEN)
    bench.commit(20, 2, Tcb(phase=1))
    assert bench.door.held() == 2
    bench.write(30, 1, Tcb())
    assert bench.door.held() == 1
    bench.follower.core.tcbs[2] = Tcb()
    assert bench.door.held() == 1


def test_a_word_that_differs_is_a_divergence_with_its_field(bench: Bench) -> None:
    bench.commit(10, 1, OPEN)
    bench.memory[1].value = Word(replace(OPEN, ka_interval=1).pack())
    bench.door.finish()
    assert (bench.found.check, bench.found.conn, bench.found.field) == (1, 1, "tcb.ka_interval")


def test_an_unknown_bit_is_a_divergence(bench: Bench) -> None:
    bench.commit(10, 1, OPEN)
    bench.memory[1].value = Unknown()
    bench.door.finish()
    assert bench.found.got == "an unknown (x) bit"


def test_a_commit_whose_record_comes_after_the_sample_is_waited_for(bench: Bench) -> None:
    bench.commit(10, 1, OPEN)
    later = replace(OPEN, snd_una=8)
    bench.write(20, 1, later)
    bench.door.sample(1)
    assert bench.door.compared == 0
    bench.follow(20, 1, later)
    bench.door.passed(30)
    assert (bench.door.compared, bench.found) == (1, None)


def test_a_state_that_was_current_before_is_no_excuse(bench: Bench) -> None:
    bench.commit(10, 1, OPEN)
    bench.follow(20, 1, replace(OPEN, snd_una=8))
    bench.dut.cycle.value = Word(30)
    bench.door.sample(1)
    bench.door.passed(40)
    assert bench.found.field == "tcb.snd_una"


def test_connections_never_written_are_left_alone_and_a_reset_forgets(bench: Bench) -> None:
    bench.commit(10, 1, OPEN)
    bench.follower.mmio_write(0x10, 2)
    bench.memory[1].value = Unknown()
    bench.door.finish()
    assert (bench.door.compared, bench.found) == (0, None)
