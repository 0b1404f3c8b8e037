"""Named random streams from one seed: what one part draws does not depend on how much another part draws.

A part that draws from a generator shared with others shifts all draws behind its own. Here every name has its own,
whose seed is a hash of the run's seed and the name; a new draw, or a new name, leaves the others as they are.
"""

from __future__ import annotations

import hashlib
import random


class Streams:
    """Streams of one run, or of one part of it (``child``). ``seed`` is the run's."""

    def __init__(self, seed: int, scope: tuple[str, ...] = ()) -> None:
        self.seed = seed
        self.scope = scope
        self._streams: dict[str, random.Random] = {}
        self._children: dict[str, Streams] = {}

    def stream(self, name: str) -> random.Random:
        """The generator of a name: the same one at every call, at the same place in its sequence.

        It is made by seed, scope and name alone, not by when it is asked for first.
        """
        if name not in self._streams:
            self._streams[name] = random.Random(seed_of(self.seed, (*self.scope, name)))
        return self._streams[name]

    def child(self, name: str) -> Streams:
        """The streams of a part: the same names mean others there. The same object at every call."""
        if name not in self._children:
            self._children[name] = Streams(self.seed, (*self.scope, name))
        return self._children[name]


def seed_of(seed: int, names: tuple[str, ...]) -> int:
    """A number of 256 bits: SHA-256 of the seed and of each name with its length, so that no two paths meet."""
    text = "".join(f"{len(name)}:{name}" for name in (str(seed), *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest(), "big")
