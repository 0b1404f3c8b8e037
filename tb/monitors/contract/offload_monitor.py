"""Monitors that share books of offloaded objects, and sections made of them."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterable
from typing import ClassVar

from tb.monitors.contract.monitor import Monitor
from tb.monitors.contract.offload_books import Face
from tb.monitors.contract.trace import Record, Setting, Value


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


class BookMonitor(Monitor):
    """A monitor with books: `see` gets each record before the books take it, `seen` afterwards."""

    def __init__(self, books: Books | None = None) -> None:
        super().__init__()
        self.books = Books() if books is None else books

    def now(self, record: Record) -> None:
        """The record that breaches are reported at."""
        self._now = record

    def observe(self, record: Record) -> None:
        """Show the record to the section, then note it."""
        if isinstance(record, Setting):
            self.books.set(record)
            return
        face = self.books.face(record)
        self.see(face, record)
        face.take(record)
        self.seen(face, record)

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
        super().__init__()
        self.parts = [part(self.books) for part in self.PARTS]
        for part in self.parts:
            part.triggers, part.at_device, part.breaches = self.triggers, self.at_device, self.breaches

    def see(self, face: Face, record: Record) -> None:
        """Show the record to each part."""
        for part in self.parts:
            part.now(record)
            part.from_device = self.from_device
            part.see(face, record)

    def seen(self, face: Face, record: Record) -> None:
        """Show the books to each part."""
        for part in self.parts:
            part.seen(face, record)

    def finish(self) -> None:
        """The run is over for each part."""
        for part in self.parts:
            part.finish()


def rules_of(parts: Iterable[type[BookMonitor]]) -> dict[str, str]:
    """All rules of several monitors."""
    return {rule: text for part in parts for rule, text in part.RULES.items()}
