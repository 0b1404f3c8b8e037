"""All sections of the contract together: what a run must be watched by, and which rules the simulation cannot show."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import Final

from tb.monitors.contract.monitor import ContractMonitors, Monitor

MODULES: Final = (
    "registration",
    "blocks",
    "initiate",
    "control",
    "send",
    "forward",
    "disconnect",
    "receive",
    "events",
    "timers",
    "terminate",
    "intermediate",
    "decisions",
    "host_misuse",
)
"""Section 9.1 to 9.12, then 10, then what the prose asks of the host.

A module shows every monitor of its section, also those it imports.
"""


def _section(name: str) -> ModuleType:
    return import_module(f"tb.monitors.contract.{name}")


def _monitors(section: ModuleType) -> list[type[Monitor]]:
    found = [item for item in vars(section).values() if isinstance(item, type) and issubclass(item, Monitor)]
    parts = {part for monitor in found for part in getattr(monitor, "PARTS", ())}
    return [monitor for monitor in found if monitor.RULES and monitor not in parts]


def _sections() -> tuple[type[Monitor], ...]:
    return tuple(dict.fromkeys(monitor for name in MODULES for monitor in _monitors(_section(name))))


SECTIONS: Final = _sections()
"""Every monitor, in the order of the sections."""

NOT_APPLICABLE: Final[dict[str, str]] = {
    rule: reason for name in MODULES for rule, reason in getattr(_section(name), "NOT_APPLICABLE", {}).items()
}
"""Rules that the simulation cannot show, with the object that it lacks."""


def all_monitors() -> ContractMonitors:
    """A fresh set for one run."""
    return ContractMonitors(SECTIONS)
