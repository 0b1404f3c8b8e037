"""Raw buffers from the doorbell of their RAW_POST to the device: until when the device may say it has none."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

SETTLED = 64
"""Cycles from the end of a RAW_POST until its buffers surely are in rx_placer."""


@dataclass(slots=True)
class Post:
    """A RAW_POST: its place in the submission ring, buffers not yet used, from when they surely are there."""

    number: int
    left: int
    since: int | None = None


class RawPosts:
    """The raw buffers that are free, oldest first. Commands are carried out in ring order: a later one is proof."""

    def __init__(self) -> None:
        self._posts: deque[Post] = deque()
        self._unsure: deque[Post] = deque()

    def posted(self, number: int, count: int) -> None:
        """A doorbell announced ``count`` buffers."""
        post = Post(number, count)
        self._posts.append(post)
        self._unsure.append(post)

    def carried_out(self, number: int, cycle: int) -> None:
        """Command ``number`` of the ring was carried out or refused."""
        while self._unsure and self._unsure[0].number < number:
            self._unsure.popleft().since = cycle + SETTLED

    def taken(self) -> None:
        """The oldest buffer was used."""
        self._posts[0].left -= 1
        if self._posts[0].left == 0:
            self._posts.popleft()

    def surely(self, cycle: int) -> bool:
        """A buffer surely is there: a raw frame that comes to the head now may not be dropped."""
        since = self._posts[0].since if self._posts else None
        return since is not None and since <= cycle
