"""The base test: whatever a test does, it fails on a UVM error, a queue left over, a scoreboard that saw nothing."""

from __future__ import annotations

import logging
from typing import Any

import cocotb
from pyuvm import ConfigDB, uvm_test

from tb.config import RunConfig
from tb.env.environment import ChimneyEnv


class TestFailure(Exception):  # noqa: N818 - it is the verdict, read by people
    """The verdict of the base test, one reason a line."""

    __test__ = False


class ErrorCounter:
    """Counts messages of level ERROR and above: what UVM calls UVM_ERROR and UVM_FATAL.

    Loggers of pyuvm do not hand their records to the root logger, so the records are counted where they are made.
    """

    def __init__(self) -> None:
        self.messages: list[str] = []
        self._make = logging.getLogRecordFactory()
        logging.setLogRecordFactory(self._count)

    def _count(self, *args: Any, **kwargs: Any) -> logging.LogRecord:
        record = self._make(*args, **kwargs)
        if record.levelno >= logging.ERROR:
            self.messages.append(record.getMessage())
        return record

    def close(self) -> None:
        """Stop counting."""
        logging.setLogRecordFactory(self._make)


class ChimneyTest(uvm_test):  # type: ignore[misc]  # pyuvm is untyped
    """Builds the environment, gates the verdict. Subclasses give ``stimulus`` and may add ``extra_problems``."""

    __test__ = False

    def build_phase(self) -> None:
        self.errors = ErrorCounter()
        self.env = ChimneyEnv.create("env", self)

    async def run_phase(self) -> None:
        self.raise_objection()
        try:
            await self.stimulus()
        finally:
            self.drop_objection()

    async def stimulus(self) -> None:
        """What the test does."""
        raise NotImplementedError

    def extra_problems(self) -> list[str]:
        """What else is wrong, one line each."""
        return []

    def verdict(self) -> list[str]:
        """All reasons to fail."""
        reasons = [f"UVM_ERROR: {message}" for message in self.errors.messages]
        reasons += self.env.scoreboard.problems()
        reasons += self.extra_problems()
        return reasons

    def check_phase(self) -> None:
        self.errors.close()
        reasons = self.verdict()
        if reasons:
            raise TestFailure("\n".join(reasons))
        self.leave_coverage()

    def leave_coverage(self) -> None:
        """The test is clean: write down what it has exercised."""


def put(name: str, value: Any) -> None:
    """Give every component of the environment a value."""
    ConfigDB().set(None, "*", name, value)


def top() -> Any:
    """The simulated top level."""
    return cocotb.top


def configuration() -> RunConfig:
    """The configuration of this run."""
    return RunConfig.for_simulation()
