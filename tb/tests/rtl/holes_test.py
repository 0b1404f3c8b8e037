"""Pieces that are held between others, on the RTL and in lockstep: the scripts of tb/packetdrill/holes, all of them.

Which buffer follows which in a list stands in no commit record: only a list that is handed over shows it. Each script
joins lists of several buffers while the first hole is open, then fills it.
"""

from __future__ import annotations

from typing import Any

import cocotb
from cocotb.triggers import Timer
from pyuvm import uvm_factory, uvm_root

from tb.script.run import Item
from tb.script.run_packetdrill import COLLECTION, family_of, item, ready
from tb.tests.rtl.script_test import ScriptTest


class HolesTest(ScriptTest):
    """The transfer with a stage beside it that plays the scripts."""

    def items(self) -> list[Item]:
        return [item(file, family_of(self.config)) for file in ready(COLLECTION / "holes")]


@cocotb.test()
async def what_fills_a_hole_between_held_pieces_joins_them_in_the_order_of_the_stream(_: Any) -> None:
    """S04, S05; RFC 9293 3.10.7.4, SHLD-31; docs/contract/tcp_step.md M-2, M-3; docs/contract/delivery_step.md HOLD."""
    await Timer(1, "ns")  # let the initial blocks of the transactors run
    await uvm_root().run_test(HolesTest, keep_set={uvm_factory})
