"""When a look-up could hit: frames are looked up between their last byte and their record, entries come and go."""

from __future__ import annotations

from dataclasses import dataclass

from model.device.rxparse import Key

SLACK = 64
"""Cycles a look-up, an insertion or a deletion may lie beside the record that tells of it."""
CROWD = 12
"""Entries that stand in the way of a key that finds no place: two buckets of 4 ways, and the stash of 4 (hdl/rx)."""


@dataclass(slots=True)
class KeyLife:
    """An entry of the table: may be there from ``may_from`` on, surely is from ``surely_from`` to ``deleted``."""

    conn: int
    gen: int
    sq_index: int
    may_from: int
    surely_from: int | None = None
    deleted: int | None = None


class LookupHistory:
    """All lives of all keys."""

    def __init__(self) -> None:
        self._lives: dict[Key, list[KeyLife]] = {}
        self._current: dict[int, tuple[Key, KeyLife]] = {}
        self.freed: dict[int, int] = {}

    def announced(self, key: Key, conn: int, gen: int, sq_index: int, cycle: int) -> None:
        """An INITIATE was posted: from now on its key may be in the table."""
        self._lives.setdefault(key, []).append(KeyLife(conn, gen, sq_index, cycle))

    def inserted(self, key: Key, sq_index: int, cycle: int) -> None:
        """Its commit: now it surely is."""
        for life in self._lives.get(key, ()):
            if life.sq_index == sq_index and life.surely_from is None:
                life.surely_from = cycle
                self._current[life.conn] = (key, life)

    def refused(self, key: Key, sq_index: int) -> None:
        """It never came."""
        lives = self._lives.get(key, [])
        self._lives[key] = [x for x in lives if x.sq_index != sq_index or x.surely_from is not None]

    def deleted(self, conn: int, cycle: int) -> None:
        """The connection's entry went away."""
        self.freed[conn] = cycle
        current = self._current.pop(conn, None)
        if current is not None:
            current[1].deleted = cycle

    def freed_since(self, conn: int, cycle: int) -> bool:
        """The connection became free at ``cycle`` or later."""
        return self.freed.get(conn, -1) >= cycle - SLACK

    def can_hit(self, key: Key, conn: int, gen: int, entered: int, decided: int) -> bool:
        """A frame seen from ``entered`` to ``decided`` may have hit this connection."""
        return any(
            (life.conn, life.gen) == (conn, gen)
            and life.may_from <= decided
            and (life.deleted is None or entered <= life.deleted + SLACK)
            for life in self._lives.get(key, ())
        )

    def must_hit(self, key: Key, entered: int, decided: int) -> tuple[int, int] | None:
        """(connection, generation) that such a frame must hit, None if it may miss."""
        for life in self._lives.get(key, ()):
            since = life.surely_from
            if since is not None and since <= entered and (life.deleted is None or decided < life.deleted - SLACK):
                return life.conn, life.gen
        return None

    def crowded(self, since: int) -> bool:
        """So many entries were in the table at some time from ``since`` on that another may have found no place."""
        lives = (life for lives in self._lives.values() for life in lives)
        there = sum(
            life.surely_from is not None and (life.deleted is None or life.deleted >= since - SLACK) for life in lives
        )
        return there >= CROWD

    def present(self, key: Key, since: int) -> bool:
        """The key was in the table at some time from ``since`` on."""
        return any(
            life.surely_from is not None and (life.deleted is None or life.deleted >= since - SLACK)
            for life in self._lives.get(key, ())
        )
