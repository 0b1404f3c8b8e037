"""Monitors that share books of offloaded objects, and sections made of them."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterable
from typing import ClassVar

from tb.monitors.contract.monitor import Desk, Hook, Monitor, hooks_of
from tb.monitors.contract.offload_books import Face
from tb.monitors.contract.trace import PortEntry, Record, Setting, Value


class Books:
    """All faces of a run, and its settings."""

    def __init__(self) -> None:
        self._common: dict[str, Value] = {}
        self._settings: dict[str, ChainMap[str, Value]] = {}
        """Settings of each adapter; what it was not given it has from the others."""
        self.faces: dict[tuple[str, int], Face] = {}
        self.top: dict[str, int] = {}
        """Topmost layer seen of each adapter."""

    def settings(self, adapter: str) -> ChainMap[str, Value]:
        """Settings that an adapter has."""
        return self._settings.setdefault(adapter, ChainMap({}, self._common))

    def set(self, record: Setting) -> None:
        """Note a setting."""
        self.settings(record.adapter)[record.name] = self._common[record.name] = record.value

    def face(self, record: Record) -> Face:
        """The face that a record comes from."""
        face = self.faces.get((record.adapter, record.layer))
        if face is None:
            settings = self.settings(record.adapter)
            face = self.faces[record.adapter, record.layer] = Face(record.adapter, record.layer, settings)
            self.top[record.adapter] = max(record.layer, self.top.get(record.adapter, 0))
        return face


class OffloadDesk(Desk):
    """Its monitors see each record before the books take it, and afterwards."""

    def __init__(self) -> None:
        super().__init__()
        self.books = Books()
        self.see: list[Hook] = []
        self.see_entry: list[Hook] = []
        """For ring entries: `see` of the monitors that look at them."""
        self.seen: list[Hook] = []

    def join(self, monitor: Monitor) -> None:
        """A monitor, or the parts of one, look at every record from now on."""
        for part in getattr(monitor, "parts", (monitor,)):
            part.desk = self
            hooks = hooks_of(part)
            self.see += [hooks["see"]]
            self.see_entry += [hooks["see"]] if part.RING_ENTRIES else []
            self.seen += [hooks["seen"]] if "seen" in hooks else []

    def take(self, record: Record) -> None:
        if isinstance(record, Setting):
            self.books.set(record)
            return
        face = self.books.face(record)
        if isinstance(record, PortEntry):
            for see in self.see_entry:
                see(face, record)
            return
        for see in self.see:
            see(face, record)
        face.take(record)
        for seen in self.seen:
            seen(face, record)


class BookMonitor(Monitor):
    """A monitor with books: `see` gets each record before the books take it, `seen` afterwards."""

    DESK: ClassVar[type[Desk]] = OffloadDesk
    desk: OffloadDesk

    @property
    def books(self) -> Books:
        """All faces and settings."""
        return self.desk.books

    def see(self, face: Face, record: Record) -> None:
        """What the section does with a record, the books being as they were before it."""

    def seen(self, face: Face, record: Record) -> None:
        """What the section does when the books have taken the record."""

    def is_top(self, face: Face) -> bool:
        """The face is the host's own, so that duties of the host show there."""
        return face.layer >= self.books.top.get(face.adapter, 0)


class Section(BookMonitor):
    """Several monitors over one set of books, as one."""

    PARTS: ClassVar[tuple[type[BookMonitor], ...]] = ()

    def __init__(self) -> None:
        self.parts = [part() for part in self.PARTS]
        super().__init__()
        for part in self.parts:
            part.triggers, part.at_device, part.breaches = self.triggers, self.at_device, self.breaches
            part.chapters = self.chapters

    def finish(self) -> None:
        """The run is over for each part."""
        for part in self.parts:
            part.finish()


def rules_of(parts: Iterable[type[BookMonitor]]) -> dict[str, str]:
    """All rules of several monitors."""
    return {rule: text for part in parts for rule, text in part.RULES.items()}
