"""The matrix, the 120 orders of five segments and the overlap pairs on the RTL, in lockstep."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cocotb
from cocotb.triggers import Timer
from pyuvm import uvm_factory, uvm_root

from model.ndis.memory import PageAllocator
from model.ndis.miniport import DriverConfig, MiniportDriver
from tb.env.base_test import configuration
from tb.matrix.cells import Cell, part, sample
from tb.matrix.table import possible
from tb.session.transfer import Transfer
from tb.tests.lab import LabDriver, LabTransfer
from tb.tests.matrix_cases import ManyLab, play
from tb.tests.reorder_cases import ORDERS, PAIRS, play_orders
from tb.tests.rtl.errors_test import RtlPort
from tb.tests.rtl.transfer_test import TransferTest, built


def chosen() -> list[Cell]:
    """A seeded sample; with 100 % all cells, divided among the seeds of a regression."""
    config, percent = configuration(), built("matrix_percent")
    if percent < 100:
        return sample(possible(), percent / 100, config.seed)
    seeds = config.seeds if config.seed in config.seeds else (config.seed,)
    return part(possible(), seeds.index(config.seed), len(seeds))


class ManyTest(TransferTest):
    """A session with a lab of many connections beside it."""

    lab: ManyLab
    wanted: int

    def cases(self) -> ManyLab:
        """What the lab plays; `wanted` is how much that is."""
        raise NotImplementedError(f"{type(self).__name__} must say what is played")

    def session(self, allocator: PageAllocator) -> tuple[Transfer, MiniportDriver]:
        """The session and its lab."""
        self.lab = self.cases()
        self.config = replace(self.config, conns=1)
        transfer = LabTransfer(
            self.config, self.port.mem, allocator, capture=self.config.out / "wire.pcapng", issue=self.bench.issue
        )
        driver = LabDriver(self.port, transfer.host, allocator, DriverConfig(conns=built("conns"), cq_log2=12))
        driver.lab = self.lab
        self.lab.attach(driver, RtlPort(self.bench, self.port, self.follower), allocator)
        transfer.join(self.lab)
        return transfer, driver

    def extra_problems(self) -> list[str]:
        """Everything was played, and ended as its table says."""
        found = super().extra_problems() + self.lab.problems
        if not self.lab.over:
            found.append(f"the lab waits at {self.lab.where()}")
        if self.lab.played != self.wanted:
            found.append(f"{self.lab.played} of {self.wanted} were played")
        return found


class MatrixTest(ManyTest):
    """Cells of the matrix."""

    def cases(self) -> ManyLab:
        """The cells of this run."""
        cells = chosen()
        self.wanted = len(cells)
        cocotb.log.info("matrix: %d of %d cells that exist, seed %d", len(cells), len(possible()), self.config.seed)
        return ManyLab([play(cells)])


class ReorderTest(ManyTest):
    """Segments in every order, pieces that overlap."""

    def cases(self) -> ManyLab:
        """All of them."""
        self.wanted = len(ORDERS) + len(PAIRS)
        return ManyLab([play_orders(ORDERS), play_orders(PAIRS)])


@cocotb.test()
async def every_cell_of_the_matrix_that_is_played_ends_as_the_table_says(_: Any) -> None:
    """S43, S44, S45, S46, S58, B12; Conformance sheet, section 4; RFC 9293 3.10.7.4, 5961, 7323, 5681 4.2."""
    await Timer(1, "ns")  # let the initial blocks of the transactors run
    await uvm_root().run_test(MatrixTest, keep_set={uvm_factory})


@cocotb.test()
async def every_order_of_five_segments_and_every_pair_of_pieces_gives_the_stream(_: Any) -> None:
    """S05, S54; RFC 2018 4, 2883 4, 5681 4.2."""
    await Timer(1, "ns")
    await uvm_root().run_test(ReorderTest, keep_set={uvm_factory})
