"""The protocol checkers alone: silent on good manners, and each rule's code on a violation made by hand.

One test per checker (`testcase` in tiers.toml, `top` is the checker). Rules about X need a 4-state simulator and are
left out on Verilator, where X does not exist.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge
from cocotb.types import LogicArray

from model.layout.generated import Csr, WrClient

#: What happens in one cycle: values of inputs; None is X. Inputs keep their value until they are named again.
Step = Mapping[str, int | LogicArray | None]
FOUR_STATES = "icarus" in cocotb.SIM_NAME.lower()
#: WAIT_MAX of the jobs, cycles.
WAIT_MAX = 12
RING_BYTES, ENTRY_BYTES = 8, 32


class Checker:
    """Drives a checker step by step and notes the codes it shows."""

    def __init__(self, dut: Any, idle: Step) -> None:
        self.dut = dut
        self.idle = idle
        self.codes: list[int] = []

    async def start(self) -> None:
        """Clock and idle inputs."""
        self._apply(self.idle)
        Clock(self.dut.clk, 10, "ns").start()
        await self.reset()

    async def reset(self, **held: int) -> None:
        """Four cycles of reset, all inputs idle but those given."""
        self._apply({**self.idle, **held, "rst": 1})
        await self._cycles(4)
        self._apply({**self.idle, "rst": 0})
        await self._cycles(2)

    async def play(self, steps: Iterable[Step]) -> list[int]:
        """The codes that come of some steps, after a reset."""
        await self.reset()
        self.codes.clear()
        for step in steps:
            self._apply(step)
            await self._cycles(1)
        return list(self.codes)

    async def silent(self, what: str, steps: Iterable[Step]) -> None:
        """Good manners."""
        assert await self.play(steps) == [], f"the checker complains about {what}"

    async def fires(self, code: int, what: str, steps: Iterable[Step]) -> None:
        """A violation: the first code shown is that of the rule."""
        found = await self.play(steps)
        assert found[:1] == [code], f"{what}: rule {code} expected, the checker shows {found}"

    def _apply(self, step: Step) -> None:
        for name, value in step.items():
            handle = getattr(self.dut, name)
            handle.value = LogicArray("X" * len(handle)) if value is None else value

    async def _cycles(self, count: int) -> None:
        for _ in range(count):
            await FallingEdge(self.dut.clk)
            if self.dut.violation.value == 1:
                self.codes.append(int(self.dut.code.value))


async def checker(dut: Any, idle: Step) -> Checker:
    """The checker, reset."""
    made = Checker(dut, idle)
    await made.start()
    return made


STREAM: Step = {"tdata": 0, "tkeep": 0xFF, "tlast": 0, "tvalid": 0, "tready": 0}


@cocotb.test()
async def axis_checker_shows_each_rule(dut: Any) -> None:
    c = await checker(dut, STREAM)
    beat = {"tvalid": 1, "tready": 1, "tdata": 0x1122, "tkeep": 0xFF, "tlast": 0}
    end = {**beat, "tlast": 1, "tkeep": 7}
    wait = {**beat, "tready": 0}
    await c.silent("a frame with waits", [wait, wait, beat, {"tvalid": 0}, beat, end, {"tvalid": 0}, end])
    await c.silent("a frame of just the longest length", [beat] * 7 + [{**end, "tkeep": 0xFF}])
    await c.fires(1, "valid dropped", [wait, {"tvalid": 0}])
    for name, value in (("tdata", 5), ("tkeep", 1), ("tlast", 1)):
        await c.fires(1, f"{name} changed", [{**wait, "tlast": int(name == "tkeep")}, {name: value}])
    await c.fires(2, "a hole before the last beat", [{**beat, "tkeep": 0x7F}])
    await c.fires(2, "an empty last beat", [{**end, "tkeep": 0}])
    await c.fires(2, "a last beat that is not contiguous", [{**end, "tkeep": 5}])
    await c.fires(2, "a last beat that does not start at bit 0", [{**end, "tkeep": 6}])
    await c.fires(5, "ready never comes", [wait] * (WAIT_MAX + 3))
    await c.fires(7, "a frame of 65 bytes", [*[beat] * 8, {**end, "tkeep": 1}])
    c.codes.clear()
    await c.reset(tvalid=1)
    assert c.codes[:1] == [6], "valid during reset"
    if FOUR_STATES:
        await c.fires(3, "tvalid is X", [{"tvalid": None, "tready": 1}])
        await c.fires(3, "tready is X", [{**beat, "tready": None}])
        await c.fires(3, "tready is X while nothing is offered", [{"tready": None}])
        for name in ("tdata", "tkeep", "tlast"):
            await c.fires(4, f"{name} is X", [{**beat, name: None}])
        await c.silent("X in the payload of nothing", [{"tdata": None, "tlast": None, "tkeep": None}])


LITE: Step = {
    **dict.fromkeys(("awaddr", "awvalid", "wdata", "wstrb", "wvalid", "bresp", "bvalid", "araddr", "arvalid"), 0),
    **dict.fromkeys(("rdata", "rresp", "rvalid", "awready", "wready", "bready", "arready", "rready"), 0),
}  # fmt: skip


@cocotb.test()
async def axil_checker_shows_each_rule(dut: Any) -> None:
    c = await checker(dut, LITE)
    write = [
        {"awvalid": 1, "wvalid": 1, "awaddr": 16, "wdata": 3, "wstrb": 15},
        {"awready": 1},
        {"awvalid": 0, "awready": 0, "wready": 1},
        {"wvalid": 0, "wready": 0},
    ]
    read: list[Step] = [{"arvalid": 1, "araddr": 4}, {"arready": 1}, {"arvalid": 0, "arready": 0}]
    await c.silent("a write", [*write, {"bvalid": 1}, {"bready": 1}, {"bvalid": 0}])
    await c.silent("a read", [*read, {"rvalid": 1, "rdata": 9}, {"rready": 1}, {"rvalid": 0}])
    await c.fires(1, "AW dropped", [{"awvalid": 1}, {"awvalid": 0}])
    await c.fires(1, "awaddr changed", [{"awvalid": 1}, {"awaddr": 8}])
    await c.fires(2, "W dropped", [{"wvalid": 1}, {"wvalid": 0}])
    await c.fires(2, "wdata changed", [{"wvalid": 1}, {"wdata": 8}])
    await c.fires(2, "wstrb changed", [{"wvalid": 1}, {"wstrb": 8}])
    await c.fires(3, "B dropped", [*write, {"bvalid": 1}, {"bvalid": 0}])
    await c.fires(3, "bresp changed", [*write, {"bvalid": 1}, {"bresp": 2}])
    await c.fires(4, "AR dropped", [{"arvalid": 1}, {"arvalid": 0}])
    await c.fires(4, "araddr changed", [{"arvalid": 1}, {"araddr": 8}])
    await c.fires(5, "R dropped", [*read, {"rvalid": 1}, {"rvalid": 0}])
    await c.fires(5, "rdata changed", [*read, {"rvalid": 1}, {"rdata": 7}])
    await c.fires(6, "B without a write", [{"bvalid": 1, "bready": 1}])
    await c.fires(6, "B after an address alone", [{"awvalid": 1, "awready": 1}, {"awvalid": 0, "bvalid": 1}])
    await c.fires(6, "R without a read", [{"rvalid": 1, "rready": 1}])
    await c.fires(8, "no answer", [*write, *[{"bready": 1}] * (WAIT_MAX + 3)])
    for name in ("bvalid", "rvalid"):
        c.codes.clear()
        await c.reset(**{name: 1})
        assert c.codes[:1] == [9], f"{name} during reset"
    if FOUR_STATES:
        for name in ("awvalid", "wvalid", "bvalid", "arvalid", "rvalid"):
            await c.fires(7, f"{name} is X", [{name: None}])
        await c.fires(7, "wready is X", [{"wvalid": 1, "wready": None}])


FULL: Step = {
    **{f"a{c}{n}": 0 for c in "wr" for n in ("id", "addr", "len", "user", "valid", "ready")},
    **{f"a{c}size": 3 for c in "wr"},
    **{f"a{c}burst": 1 for c in "wr"},
    **dict.fromkeys(("wdata", "wlast", "wvalid", "wready", "bid", "bresp", "bvalid", "bready"), 0),
    **dict.fromkeys(("rid", "rdata", "rresp", "rlast", "rvalid", "rready"), 0),
    "wstrb": 0xFF,
}  # fmt: skip


@cocotb.test()
async def axi4_checker_shows_each_rule(dut: Any) -> None:
    c = await checker(dut, FULL)
    aw: list[Step] = [{"awvalid": 1, "awaddr": 0x100, "awlen": 1, "awid": 2}, {"awready": 1}, {"awvalid": 0}]
    w: list[Step] = [{"wvalid": 1, "wready": 1}, {"wlast": 1}, {"wvalid": 0, "wlast": 0, "wready": 0}]
    ar: list[Step] = [{"arvalid": 1, "araddr": 0x100, "arlen": 1, "arid": 3}, {"arready": 1}, {"arvalid": 0}]
    r: list[Step] = [{"rvalid": 1, "rid": 3}, {"rready": 1}, {"rlast": 1}, {"rvalid": 0}]
    await c.silent("a write", [*aw, *w, {"bvalid": 1, "bid": 2}, {"bready": 1}, {"bvalid": 0}])
    await c.silent("a read", [*ar, *r])
    await c.silent("a burst up to the page's end", [{"awvalid": 1, "awaddr": 0xFF0, "awlen": 1}])
    odd: list[Step] = [{"wvalid": 1, "wready": 1, "wstrb": 0xF8}, {"wstrb": 3, "wlast": 1}]
    await c.silent("a write of bytes 3 to 9", [*aw, *odd])
    for name in ("awaddr", "awlen", "awid", "awuser"):
        await c.fires(1, f"{name} changed", [aw[0], {name: 9}])
        other = name.replace("w", "r", 1)
        await c.fires(4, f"{other} changed", [ar[0], {other: 9}])
    await c.fires(1, "AW dropped", [aw[0], {"awvalid": 0}])
    await c.fires(4, "AR dropped", [ar[0], {"arvalid": 0}])
    await c.fires(2, "W dropped", [*aw, {"wvalid": 1}, {"wvalid": 0}])
    await c.fires(2, "wdata changed", [*aw, {"wvalid": 1}, {"wdata": 1}])
    await c.fires(2, "wstrb changed", [*aw, {"wvalid": 1}, {"wstrb": 0xF0}])
    await c.fires(3, "B dropped", [*aw, *w, {"bvalid": 1, "bid": 2}, {"bvalid": 0}])
    await c.fires(3, "bresp changed", [*aw, *w, {"bvalid": 1, "bid": 2}, {"bresp": 2}])
    await c.fires(5, "R dropped", [*ar, r[0], {"rvalid": 0}])
    await c.fires(5, "rdata changed", [*ar, r[0], {"rdata": 1}])
    await c.fires(6, "a write over the page's end", [{"awvalid": 1, "awaddr": 0xFF8, "awlen": 1}])
    await c.fires(6, "an unaligned write over the page's end", [{"awvalid": 1, "awaddr": 0xFF7, "awlen": 2}])
    await c.fires(7, "a read over the page's end", [{"arvalid": 1, "araddr": 0x1FC0, "arlen": 8}])
    for code, channel in ((8, "aw"), (9, "ar")):
        await c.fires(code, "a FIXED burst", [{f"{channel}valid": 1, f"{channel}burst": 0}])
        await c.fires(code, "a narrow burst", [{f"{channel}valid": 1, f"{channel}size": 2}])
    await c.fires(10, "wlast too early", [*aw, {"wvalid": 1, "wready": 1, "wlast": 1}])
    await c.fires(10, "wlast missing", [*aw, {"wvalid": 1, "wready": 1}, {}, {}])
    await c.fires(10, "data before its address", [{"wvalid": 1, "wready": 1, "wlast": 1}])
    await c.fires(11, "B without a burst", [{"bvalid": 1, "bready": 1}])
    await c.fires(11, "B before the last beat", [*aw, w[0], {"wvalid": 0, "bvalid": 1, "bready": 1, "bid": 2}])
    await c.fires(11, "a wrong bid", [*aw, *w, {"bvalid": 1, "bid": 3, "bready": 1}])
    await c.fires(12, "R without a request", [{"rvalid": 1, "rready": 1}])
    await c.fires(12, "a wrong rid", [*ar, {"rvalid": 1, "rready": 1, "rid": 1}])
    await c.fires(12, "rlast too early", [*ar, {"rvalid": 1, "rready": 1, "rid": 3, "rlast": 1}])
    await c.fires(12, "rlast missing", [*ar, {"rvalid": 1, "rready": 1, "rid": 3}, {}])
    for first, last in ((0, 0xFF), (0x5F, 0xFF), (0x0F, 0xFF), (0xFF, 0xFE), (0xFF, 5)):
        data = [{"wvalid": 1, "wready": 1, "wstrb": first}, {"wstrb": last, "wlast": 1}]
        await c.fires(13, f"strobes {first:#x} {last:#x}", [*aw, *data])
    await c.fires(16, "no answer", [*ar, *[{"rready": 1}] * (WAIT_MAX + 3)])
    for name in ("awvalid", "wvalid", "arvalid"):
        c.codes.clear()
        await c.reset(**{name: 1})
        assert c.codes[:1] == [17], f"{name} during reset"
    if FOUR_STATES:
        for name in ("awvalid", "wvalid", "bvalid", "arvalid", "rvalid"):
            await c.fires(14, f"{name} is X", [{name: None}])
        await c.fires(14, "awready is X", [{"awvalid": 1, "awready": None}])
        for name in ("awaddr", "awlen", "awid", "awuser"):
            await c.fires(15, f"{name} is X", [{**aw[0], "awready": 1, name: None}])
            other = name.replace("w", "r", 1)
            await c.fires(15, f"{other} is X", [{**ar[0], "arready": 1, other: None}])
        await c.fires(15, "wdata is X", [*aw, {"wvalid": 1, "wready": 1, "wdata": None}])
        await c.fires(15, "wstrb is X", [*aw, {"wvalid": 1, "wready": 1, "wstrb": None}])


RINGS: Step = {
    **dict.fromkeys(("s_awaddr", "s_awvalid", "s_awready", "s_wdata", "s_wvalid", "s_wready"), 0),
    **dict.fromkeys(("awaddr", "awuser", "awvalid", "awready", "wdata", "wlast", "wvalid", "wready"), 0),
    **dict.fromkeys(("araddr", "arlen", "aruser", "arvalid", "arready"), 0),
    "wstrb": 0xFF,
}  # fmt: skip
SQ, CQ = 0x1_0000_1000, 0x2_0000


def register(offset: int, value: int) -> list[Step]:
    """A register write, address before data."""
    return [
        {"s_awvalid": 1, "s_awready": 1, "s_awaddr": offset},
        {"s_awvalid": 0, "s_wvalid": 1, "s_wready": 1, "s_wdata": value},
        {"s_wvalid": 0},
    ]


def enabled() -> list[Step]:
    """Both rings of four entries, and CONTROL[0]."""
    settings = (
        (Csr.SQ_BASE_LO, SQ & 0xFFFF_FFFF), (Csr.SQ_BASE_HI, SQ >> 32), (Csr.SQ_SIZE_LOG2, 2),
        (Csr.CQ_BASE_LO, CQ), (Csr.CQ_BASE_HI, 0), (Csr.CQ_SIZE_LOG2, 2), (Csr.CONTROL, 1),
    )  # fmt: skip
    return [step for offset, value in settings for step in register(offset, value)]


def fetch(index: int, count: int = 1, client: int = 0) -> list[Step]:
    """A read of submission entries."""
    burst = {"araddr": SQ + 64 * index, "arlen": 8 * count - 1, "aruser": client}
    return [{"arvalid": 1, "arready": 1, **burst}, {"arvalid": 0}]


def store(address: int, beats: Sequence[tuple[int, int]], client: int = WrClient.COMPLETION) -> list[Step]:
    """A write burst; beats are (strobes, data)."""
    steps: list[Step] = [{"awvalid": 1, "awready": 1, "awaddr": address, "awuser": client}, {"awvalid": 0}]
    for number, (strobes, data) in enumerate(beats):
        last = int(number == len(beats) - 1)
        steps.append({"wvalid": 1, "wready": 1, "wlast": last, "wstrb": strobes, "wdata": data})
    return [*steps, {"wvalid": 0, "wlast": 0}]


def entry(index: int, phase: int) -> list[Step]:
    """A whole completion entry."""
    return store(CQ + ENTRY_BYTES * index, [(0xFF, 1), (0xFF, 2), (0xFF, 3), (0xFF, phase << 56)])


@cocotb.test()
async def ring_checker_shows_each_rule(dut: Any) -> None:
    c = await checker(dut, RINGS)
    on = enabled()
    tail2, tail3 = register(Csr.SQ_TAIL, 2), register(Csr.SQ_TAIL, 3)
    await c.silent("fetching in order", [*on, *tail2, *fetch(0), *fetch(1), *tail3, *fetch(2)])
    await c.silent("fetching two at once", [*on, *tail2, *fetch(0, 2)])
    round_ = [*on, *tail3, *fetch(0, 3), *register(Csr.SQ_TAIL, 1), *fetch(3), *fetch(0)]
    await c.silent("fetching over the wrap", round_)
    laps: list[Step] = [*on]
    for number in range(10):
        laps += [*entry(number % 4, 1 - (number // 4) % 2), *register(Csr.CQ_HEAD, (number + 1) % 4)]
    await c.silent("ten completions over two wraps", laps)
    await c.silent("others elsewhere", [*on, *store(CQ + 128, [(0xFF, 0)], WrClient.PLACER), *fetch(3, 1, client=2)])
    await c.silent("anything while disabled", [*fetch(3), *entry(2, 0), *register(Csr.CQ_HEAD, 1)])
    reset = register(Csr.CONTROL, 2)
    await c.silent("a soft reset in a lap", [*laps[:-30], *reset, *fetch(2), *on, *entry(0, 1), *tail2, *fetch(0)])
    ignored = [*on, *register(Csr.SQ_TAIL, 4), *register(Csr.CQ_HEAD, 4), *register(Csr.SQ_SIZE_LOG2, 13)]
    await c.silent("values that are ignored", [*ignored, *tail2, *fetch(0, 2)])

    await c.fires(1, "an entry skipped", [*on, *tail2, *fetch(1)])
    await c.fires(1, "an entry fetched twice", [*on, *tail2, *fetch(0), *fetch(0)])
    await c.fires(1, "a read over the ring's end", [*round_[:-4], *fetch(3, 2)])
    await c.fires(1, "a read of half an entry", [*on, *tail2, {**fetch(0)[0], "arlen": 3}])
    await c.fires(2, "a fetch without a doorbell", [*on, *fetch(0)])
    await c.fires(2, "a fetch past the tail", [*on, *tail2, *fetch(0, 3)])
    await c.fires(3, "a completion skipped", [*on, *entry(1, 1)])
    await c.fires(3, "a completion written twice", [*on, *entry(0, 1), *entry(0, 1)])
    await c.fires(3, "half an entry", [*on, *store(CQ, [(0xFF, 0)] * 2)])
    await c.fires(3, "bytes skipped", [*on, *store(CQ, [(0xFF, 0), (0xF0, 0)])])
    await c.fires(3, "more bytes than an entry", [*on, *store(CQ, [(0xFF, 1 << 56)] * 5)])
    await c.fires(4, "a fourth unread completion", [*on, *entry(0, 1), *entry(1, 1), *entry(2, 1), *entry(3, 1)])
    await c.fires(5, "the phase of the lap before", [*on, *entry(0, 0)])
    await c.fires(5, "a phase byte of 3", [*on, *entry(0, 3)])
    second = laps[: len(on) + 4 * 10]
    await c.fires(5, "the old phase in the second lap", [*second, *entry(0, 1)])
    for client in (WrClient.PLACER, WrClient.STATE):
        await c.fires(6, "another client in the completion ring", [*on, *store(CQ + 40, [(0xFF, 0)], client)])
        await c.fires(6, "a write into the submission ring", [*on, *store(SQ + 248, [(0x80, 0)], client)])
    await c.fires(7, "CQ_HEAD past the tail", [*on, *entry(0, 1), *register(Csr.CQ_HEAD, 2)])
    await c.fires(8, "SQ_TAIL over an entry not fetched", [*on, *tail3, *register(Csr.SQ_TAIL, 1)])


@cocotb.test()
async def known_checker_shows_each_rule(dut: Any) -> None:
    c = await checker(dut, {"always_known": 0, "valid_known": 0})
    await c.silent("known values", [{"always_known": 1, "valid_known": 3}, {"valid_known": 2}])
    if FOUR_STATES:
        await c.silent("X in the payload of nothing", [{"valid_known": LogicArray("0X")}])
        await c.fires(1, "a control output is X", [{"always_known": None}])
        await c.fires(2, "a valid payload is X", [{"valid_known": LogicArray("1X")}])
