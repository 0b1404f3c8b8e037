"""Properties of drawn scenarios inside one running simulation: hypothesis draws, the RTL plays in lockstep.

Each scenario is a new connection of the same session. What fails ends the session: the device is reset softly, golden
side and monitors begin anew, and the search for a smaller scenario goes on. The smallest is printed as a packetdrill
script and lies in the run's folder.

Plusargs: `examples` scenarios, `shrinks` plays at most behind the first failure, `longest` ticks of a scenario's waits.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from unittest import mock

import cocotb
from cocotb.task import bridge, resume
from cocotb.triggers import Timer
from pyuvm import uvm_factory, uvm_root

from model.tcp import rx
from tb.contract.scenes.stage import DELAY, SIZE, SceneDriver, SceneTransfer
from tb.device.addresses import host_pages
from tb.env.base_test import top
from tb.env.bench import StandstillError, back_pressure
from tb.env.live_bench import LiveBench
from tb.properties import report
from tb.properties.closing import BOUND, Whole
from tb.properties.search import Found, Search, Verdict
from tb.properties.strategies import scenarios
from tb.script import packetdrill
from tb.script.draw import ticks_of
from tb.script.events import Departure, Script
from tb.script.player import Player
from tb.script.stage import ScriptStage
from tb.script.text import text
from tb.sim.run import replay_command
from tb.tests.rtl.stage_test import StageTest
from tb.tests.rtl.transfer_test import NS_AT_LEAST, built
from tb.tests.stage import Stage

#: Ticks for hand-over, calls and upload of one scenario, beside its waits and what is played behind it.
AROUND = 4_000
#: Events of a scenario that open the connection.
OPENING = 2
EXAMPLES, SHRINKS, LONGEST = 20, 100, 2_000


@dataclass(frozen=True)
class Failure:
    """A scenario that failed, what came of it, and what lockstep said."""

    script: Script
    problems: list[str]
    whole: Whole
    divergence: str

    def begins(self, script: Script) -> bool:
        """All that this one depends on is in front of another one."""
        count = self.whole.happened
        return script.handover == self.script.handover and script.events[:count] == self.script.events[:count]


class LiveStage(ScriptStage):
    """Plays traces as they come, until it is closed."""

    def __init__(self) -> None:
        super().__init__([])
        self._is_open = True

    def add(self, player: Player) -> None:
        """Play this next."""
        self._scenes.append(self._keeping(player))  # type: ignore[arg-type]

    def close(self) -> None:
        """Nothing more comes."""
        self._is_open = False

    @property
    def idle(self) -> bool:
        """All that came was played."""
        return super().over

    @property
    def over(self) -> bool:
        """It is closed, and all was played."""
        return self.idle and not self._is_open


class PropertiesTest(StageTest):
    """The transfer with a stage beside it that plays what hypothesis draws."""

    transfer_type = SceneTransfer
    driver_type = SceneDriver
    size, delay = SIZE, DELAY
    stage: LiveStage
    bench: LiveBench

    def build_phase(self) -> None:
        super().build_phase()
        longest = built("longest", LONGEST)
        self.search = Search(
            self._judge,
            built("examples", EXAMPLES),
            self.config.seed,
            built("shrinks", SHRINKS),
            scenarios(longest),
        )
        self.findings: list[str] = []
        #: In the order in which they were played; the search went from each to a smaller one.
        self.failures: list[Failure] = []
        self._stuck = ""
        self._latest: Script | None = None

    def scenes(self) -> Stage:
        return LiveStage()

    def judge(self) -> list[str]:
        """The sound ending of the session, behind all scenarios."""
        return [] if self.search.played else ["no scenario was played"]

    def verdict(self) -> list[str]:
        return self.findings or super().verdict()

    def _execute(self, call: Any) -> None:
        try:
            super()._execute(call)
        except Exception as error:  # noqa: BLE001 - a device that is broken may lead the driver anywhere
            self.bench.failed(error)

    async def stimulus(self) -> None:
        dut, started = top(), time.monotonic()
        for name, value in back_pressure(self.config).items():
            getattr(dut, name).value = value
        bench = self.bench = LiveBench(dut, self.config, self.env, self.port)
        await bench.start()
        await bench.reset_device()
        self._begin()
        try:
            found = await bridge(self.search.run)()
            if found is not None:
                await self._tell(found)
            else:
                self.stage.close()
                await bench.run(self._session(), NS_AT_LEAST)
                await self.compare_at_the_end()
            cocotb.log.info("properties: %d scenarios, %d of them to shrink", self.search.played, self.search.shrunk)
        finally:
            self.tick = int(dut.tick_count.value)
            self._session().network.close()
            bench.stop()
            self._write_results(time.monotonic() - started)

    # ---- sessions ----

    def _begin(self) -> None:
        """A new session, with a stage that waits for scenarios."""
        allocator = host_pages(self.port.mem, len(self.contents), self.config.seed)
        self.transfer, driver = self.session(allocator)
        self.transfer.attach(driver)
        self.transfer.on_tick(self.bench.now)  # before the driver asks for anything that must come in time
        self.bench.use(driver)
        self.bench.carry(self.transfer)

    def _session(self) -> Any:
        return self.transfer

    def _complaints(self) -> list[tuple[str, Sequence[object]]]:
        """All that complains, with what it said so far."""
        session = self._session()
        return [
            ("checker", self.env.scoreboard.violations),
            ("contract", session.tap.monitors.breaches),
            ("wire", session.network.monitor.violations),
            ("peer", session.network.peer.violations),
            ("driver", session.driver_reports),
            ("error", self.errors.messages),
        ]

    # ---- one scenario ----

    def _judge(self, script: Script) -> Verdict:
        """Play a scenario; called from the thread of the search, the simulation stands still meanwhile."""
        if self._stuck:
            return Verdict([], 0)
        verdict: Verdict = resume(self._play_drawn)(script)
        if verdict.problems and len(self.failures) == 1 and not self._stuck:
            again: Verdict = resume(self._play_drawn)(script)
            if not again.problems:
                before = "nothing" if self._latest is None else text(self._latest)
                self._stuck = f"it holds when it is played alone; before it came\n{before}"
        self._latest = script
        return verdict

    async def _play_drawn(self, script: Script) -> Verdict:
        whole = Whole(script)
        problems, divergence = await self._play(whole, ticks_of(script) + BOUND + AROUND)
        if problems:
            self.failures.append(Failure(script, problems, whole, divergence))
        return Verdict(problems, whole.happened)

    async def _play(self, player: Player, ticks: int) -> tuple[list[str], str]:
        """What is wrong with what came of a player, and the report of lockstep; then all begins anew."""
        before = [len(said) for _, said in self._complaints()]
        stage, bench = self.stage, self.bench
        stage.add(player)
        await bench.until(lambda: stage.idle, ticks)
        problems, divergence = [], ""
        if (found := self.follower.divergence) is not None:
            problems.append(f"lockstep: check {found.check}, {found.field}: {found.expected} / {found.got}")
            divergence = self.follower.report(replay_command(self.config.out))
        if bench.error is not None:
            problems.append(f"{type(bench.error).__name__}: {bench.error}")
        if player.result is not None and player.result.status != "pass":
            problems.append(player.result.reason)
        for (name, said), count in zip(self._complaints(), before, strict=True):
            problems += [f"{name}: {one}" for one in said[count:]]
        if not stage.idle and not problems:
            problems.append(f"after {ticks} ticks the player waits at {stage.where()}")
        if problems:
            await self._begin_anew()
        return problems, divergence

    async def _begin_anew(self) -> None:
        try:
            self._session().network.close()
            await self.bench.begin_anew()
            self._begin()
        except StandstillError as error:
            self._stuck = f"the device cannot be reset any more: {error}"

    # ---- report ----

    async def _tell(self, found: Found) -> None:
        """Write the smallest scenario as a script that fails by itself, and say how to play it again."""
        out = self.config.out
        file = out / report.FILE
        again = report.command(
            file, "DEVICE=rtl", f"SIM={self.config.sim}", f"DATA_W={self.config.data_w}", f"SEED={self.config.seed}"
        )
        failure = next(one for one in reversed(self.failures) if one.begins(found.script))
        (out / "divergence.txt").write_text(failure.divergence)
        played = failure.whole.played()
        written, shows = played, False
        for candidate in (report.expecting(played, out / "golden"), played):
            if candidate is None or self._stuck or shows:
                continue
            script = packetdrill.script(report.FILE, text(candidate))
            problems, _ = await self._play(Player(script), ticks_of(script) + AROUND)
            written, shows = (candidate, True) if problems else (played, False)
        shown = report.write(file, written, found.problems, again)
        count = max(0, failure.whole.happened - OPENING)
        self.findings = [
            f"properties: the smallest of {self.search.played} scenarios that fails has {count} events: "
            + "; ".join(found.problems[:2]),
            *([self._stuck] if self._stuck else []),
            *([] if shows or self._stuck else ["the script alone holds; the run shows it again"]),
            shown,
            f"play it again: {again}",
        ]
        for line in self.findings:
            cocotb.log.info("%s", line)


class PlantedTest(PropertiesTest):
    """The same with an error in the golden model: RTL and model part, and the search must find out where."""

    #: Events of the smallest script at most.
    most = 8

    async def stimulus(self) -> None:
        self.sound = ["it was not played"]
        self.planted = mock.patch.object(rx, "gt", lambda a, b: a > b)  # numbers are compared modulo 2^32 (B09)
        self.planted.start()
        try:
            await super().stimulus()
        finally:
            mock.patch.stopall()

    async def _tell(self, found: Found) -> None:
        await super()._tell(found)
        self.planted.stop()
        self.script = packetdrill.read(self.config.out / report.FILE)
        self.sound, _ = await self._play(Player(self.script), ticks_of(self.script) + AROUND)

    def verdict(self) -> list[str]:
        if not self.findings:
            return ["nothing was found"]
        said = len([event for event in self.script.events if not isinstance(event, Departure)]) - OPENING
        wrong = [] if said <= self.most else [f"{said} events are no small scenario: {self.findings}"]
        wrong += [] if "lockstep" in self.findings[0] else [f"lockstep had nothing to say: {self.findings}"]
        wrong += [f"without the error: {line}" for line in self.sound]
        return wrong + [
            line for line in self.findings if line.startswith(("it holds", "the script alone", "the device"))
        ]


@cocotb.test()
async def a_divergence_shrinks_inside_the_simulation_to_a_script_that_holds_without_the_error(_: Any) -> None:
    """B09: an error in one comparison of the model."""
    await Timer(1, "ns")  # let the initial blocks of the transactors run
    await uvm_root().run_test(PlantedTest, keep_set={uvm_factory})


@cocotb.test()
async def whatever_a_host_and_its_peer_do_the_stream_is_exact_and_comes_to_its_end(_: Any) -> None:
    """RFC 9293 3.4, 3.6, 3.8, 3.10; lockstep, checks 1 to 6, and the laws of tb/script/laws.py."""
    await Timer(1, "ns")  # let the initial blocks of the transactors run
    await uvm_root().run_test(PropertiesTest, keep_set={uvm_factory})
