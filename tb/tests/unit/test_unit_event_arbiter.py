"""Unit test of `event_arbiter`: each request becomes one event of its class, with its payload, in turn and with room.

Round robin over the classes; room for the worst of an event before it starts (docs/contract/blocks.md, tcp_engine).
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly

from model.layout.generated import TcpEvt

CLASSES = ("cmd", "rx", "grant", "timer", "consumed", "credit", "fence", "fault")
KINDS = {
    "cmd": TcpEvt.COMMAND,
    "rx": TcpEvt.RX_SEGMENT,
    "grant": TcpEvt.TX_GRANT,
    "timer": TcpEvt.TIMER,
    "consumed": TcpEvt.CONSUMED,
    "credit": TcpEvt.CREDIT,
    "fence": TcpEvt.FENCE_DONE,
    "fault": TcpEvt.FAULT,
}
CAUSES = {"cmd": "sq_index", "rx": "arrival", "consumed": "bytes", "credit": "count"}  # what `m_evt_cause` carries
ROOMS = ("room_bar", "s_room", "s_full", "room_txq", "room_dlv", "room_host", "room_verdict", "room_cpl", "room_img")


@dataclass(frozen=True)
class Request:
    """What waits at the sink of a class; `gen` is 0 where the class brings none."""

    conn: int
    gen: int
    cause: int
    img: bool = False
    bars: bool = False


class Sinks:
    """The eight requests of this cycle, the rooms, and what the arbiter says of them."""

    def __init__(self, dut: Any, rng: random.Random) -> None:
        self.dut, self.rng = dut, rng
        self.waiting: dict[str, Request] = {}
        self.rooms = dict.fromkeys(ROOMS, True)
        self.ready = False

    def ask(self, name: str) -> None:
        """A new request of this class, with random payload in the ports that the class has."""

        def bits(port: str) -> int:
            return self.rng.getrandbits(len(getattr(self.dut, port))) if hasattr(self.dut, port) else 0

        self.waiting[name] = Request(
            bits(f"s_{name}_conn"),
            bits(f"s_{name}_gen"),
            bits(f"s_{name}_{CAUSES.get(name, 'none')}"),
            name == "cmd" and self.rng.random() < 0.5,
            name == "cmd" and self.rng.random() < 0.3,
        )

    def drive(self) -> None:
        """Put the requests, the rooms and the engine's ready on the ports; what nobody asks carries noise."""
        for name in CLASSES:
            request = self.waiting.get(name)
            getattr(self.dut, f"s_{name}_valid").value = int(request is not None)
            for field, port in (("conn", "conn"), ("gen", "gen"), ("cause", CAUSES.get(name, "none"))):
                signal = getattr(self.dut, f"s_{name}_{port}", None)
                if signal is not None:
                    signal.value = self.rng.getrandbits(len(signal)) if request is None else getattr(request, field)
        command = self.waiting.get("cmd")
        self.dut.s_cmd_img.value = int(command is not None and command.img)
        self.dut.s_cmd_bars.value = int(command is not None and command.bars)
        for room, free in self.rooms.items():
            getattr(self.dut, room).value = int(free)
        self.dut.m_evt_ready.value = int(self.ready)

    def may(self, name: str) -> bool:
        """Whether a request of this class has the room for the worst that its event can bring."""
        request, room = self.waiting.get(name), self.rooms
        if request is None:
            return False
        match name:
            case "cmd" if request.bars:
                return room["room_cpl"] and room["room_bar"]
            case "cmd":
                image = room["room_img"] or not request.img
                return room["room_cpl"] and room["room_txq"] and room["room_host"] and image
            case "rx":
                return room["room_dlv"] and room["room_verdict"] and (room["room_host"] or not room["s_room"])
            case "grant":
                completion = room["room_cpl"] or not room["s_room"] or room["s_full"]
                return room["room_txq"] and room["room_dlv"] and completion
            case "credit":
                return True
            case "fence":
                return room["room_img"]
            case _:
                return room["room_dlv"]

    def answered(self) -> list[str]:
        return [name for name in CLASSES if int(getattr(self.dut, f"s_{name}_ready").value)]

    def offered(self) -> tuple[int, Request]:
        """Kind and payload of the event at the engine's door."""
        dut = self.dut
        payload = Request(int(dut.m_evt_conn.value), int(dut.m_evt_gen.value), int(dut.m_evt_cause.value))
        return int(dut.m_evt_kind.value), payload

    def event(self, name: str) -> tuple[int, Request]:
        """What `offered` must be for the request of this class."""
        return KINDS[name], replace(self.waiting[name], img=False, bars=False)


async def start(dut: Any) -> tuple[Any, Sinks]:
    clock = Clock(dut.clk, 10, unit="ns").start()
    sinks = Sinks(dut, random.Random(int(cocotb.RANDOM_SEED)))
    dut.rst.value = 1
    sinks.drive()
    for _ in range(3):
        await FallingEdge(dut.clk)
    dut.rst.value = 0
    return clock, sinks


@cocotb.test()
async def eight_requests_at_once_become_eight_events_in_turn_each_answered_once(dut: Any) -> None:
    """Also for every pair of classes: the one not chosen still waits, and is served next."""
    clock, sinks = await start(dut)
    together = [set(CLASSES), *({a, b} for a in CLASSES for b in CLASSES if a < b)]
    last = len(CLASSES) - 1
    for names in together:
        for name in sorted(names):
            sinks.ask(name)
        for turn in range(len(names)):
            sinks.ready = False
            sinks.drive()
            await ReadOnly()
            assert not int(dut.m_evt_valid.value), "nothing is offered in the cycle of the request"
            assert not sinks.answered()
            await FallingEdge(dut.clk)
            sinks.ready = True
            sinks.drive()
            await ReadOnly()
            last = next(k % 8 for k in range(last + 1, last + 9) if CLASSES[k % 8] in sinks.waiting)
            name = CLASSES[last]
            assert int(dut.m_evt_valid.value), f"{names}: event {turn} is offered a cycle later"
            assert sinks.answered() == [name], f"{names}: {name} is in turn, and nobody else is answered"
            assert sinks.offered() == sinks.event(name)
            del sinks.waiting[name]
            await FallingEdge(dut.clk)
    clock.cancel()


@cocotb.test()
async def a_request_is_kept_until_it_has_room_and_its_event_until_the_engine_takes_it(dut: Any) -> None:
    clock, sinks = await start(dut)
    rng = sinks.rng
    last = len(CLASSES) - 1
    chosen: str | None = None
    chosen_room = False
    served = dict.fromkeys(CLASSES, 0)
    passed_over = 0
    for cycle in range(6000):
        for name in CLASSES:
            if name not in sinks.waiting and rng.random() < (0.05, 0.9)[cycle // 500 % 2]:
                sinks.ask(name)
        sinks.rooms = {room: rng.random() < (1.0, 0.6)[cycle // 250 % 2] for room in ROOMS}
        sinks.ready = chosen is not None and rng.random() < 0.5  # the engine takes only what is offered
        sinks.drive()
        await ReadOnly()
        assert int(dut.m_evt_valid.value) == int(chosen is not None), f"cycle {cycle}"
        assert sinks.answered() == ([chosen] if chosen is not None and sinks.ready else []), f"cycle {cycle}: {chosen}"
        if chosen is not None:
            assert sinks.offered() == sinks.event(chosen), f"cycle {cycle}: {chosen}"
            assert bool(int(dut.m_evt_room.value)) == chosen_room, f"cycle {cycle}: the room as {chosen} was chosen"
            if sinks.ready:
                served[chosen] += 1
                del sinks.waiting[chosen]
                chosen = None
        else:
            turn = [k % 8 for k in range(last + 1, last + 9)]
            able = [k for k in turn if sinks.may(CLASSES[k])]
            passed_over += sum(CLASSES[k] in sinks.waiting for k in turn[: turn.index(able[0])]) if able else 0
            if able:
                last, chosen = able[0], CLASSES[able[0]]
                chosen_room = sinks.rooms["s_room"] and (sinks.rooms["room_cpl"] or chosen != "grant")
        await FallingEdge(dut.clk)
    assert min(served.values()) >= 50, served
    assert passed_over >= 50, f"{passed_over} passed over for want of room"
    clock.cancel()
