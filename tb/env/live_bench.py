"""The bench that goes on behind a failure: what went wrong is kept, and the device and all beside it begin anew."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from cocotb.triggers import Event, First, SimTimeoutError, Timer, with_timeout

from model.layout.generated import Csr
from tb.env.bench import EXTERNAL_TICK, Bench, StandstillError
from tb.session.transfer import Transfer

#: Cycles of a tick at most, and nanoseconds of a cycle.
SLOWEST_TICK, CYCLE_NS = 1_000, 10


class LiveBench(Bench):
    """Carries a session until something is so, as often as asked. ``error`` is what ended the last time early."""

    _condition: Callable[[], bool] | None = None
    _last_tick = 0

    @property
    def now(self) -> int:
        """The tick; it goes on over a reset."""
        return self._tick()

    def carry(self, transfer: Transfer) -> None:
        """From now on this session is the one that is carried."""
        self._met = Event()
        super().carry(transfer)

    def failed(self, error: Exception) -> None:
        """Something between host and device went wrong; nothing behind it means anything."""
        self.error = self.error or error
        self._over.set()

    async def until(self, condition: Callable[[], bool], ticks: int) -> None:
        """Carry the session on until ``condition`` holds, ``ticks`` have passed, or something is wrong."""
        transfer = self.transfer
        if transfer is None:
            raise StandstillError("there is no session to be carried on")
        self._condition, self._last_tick = condition, self._tick() + ticks
        self._last_progress = (self._tick(), transfer.reached)
        self._met.clear()
        self._kick()
        try:
            waited = First(self._met.wait(), self._over.wait())
            await with_timeout(waited, 2 * ticks * SLOWEST_TICK * CYCLE_NS, "ns")
        except SimTimeoutError:
            self.failed(StandstillError(f"{ticks} ticks never passed"))
        finally:
            self._condition = None

    async def begin_anew(self) -> None:
        """Soft reset of a device in any state; no session is carried afterwards. Raises if that does not work."""
        self.transfer = self._driver = None
        self.calls.clear()
        self._stop_time()
        await self._until(lambda: not self._posted(), "the driver's operations")
        self.frames.clear()
        with suppress(StandstillError):  # a device that takes no frame takes one when it is reset
            await self._until(self._port_is_quiet, "a frame on its way in")
        await self.reset_device()
        await self.register(Csr.CONTROL, EXTERNAL_TICK)
        await self._until(self._port_is_quiet, "the end of a frame that was cut")
        await Timer(1, "us")
        self.env.scoreboard.begin_anew(self._tick(), await self.dump())
        self.port.restart()
        self.error = None
        self._over.clear()
        self._last_progress = (self._tick(), (0.0, False, 0))

    def _port_is_quiet(self) -> bool:
        return self.frames.empty and not int(self.dut.src_busy.value)

    # ---- an exception in a reaction ends what is under way, and no coroutine of the bench ----

    def _kick(self) -> None:
        self._caught(super()._kick)
        condition = self._condition
        if condition is not None and (condition() or self._tick() > self._last_tick):
            self._met.set()

    def _records(self) -> None:
        self._caught(super()._records)

    def _interrupt(self) -> None:
        self._caught(super()._interrupt)

    def _poll(self) -> None:
        self._caught(super()._poll)

    def _caught(self, reaction: Callable[[], None]) -> None:
        try:
            reaction()
        except Exception as error:  # noqa: BLE001 - whatever it is belongs to the verdict on what is played
            self.failed(error)
