"""Requests that are not back yet."""

from __future__ import annotations

from collections import UserDict
from typing import Protocol, TypeVar


class Kinded(Protocol):
    """A request of any book."""

    kind: str


_Request = TypeVar("_Request", bound=Kinded)


class Pending(UserDict[int, _Request]):
    """Requests by their NET_BUFFER_LIST, in the order of their calls; those of one kind are looked up."""

    def __init__(self) -> None:
        super().__init__()
        self._kinds: dict[str, dict[int, _Request]] = {}

    def __setitem__(self, ident: int, request: _Request) -> None:
        old = self.get(ident)
        if old is not None and old.kind != request.kind:
            del self._kinds[old.kind][ident]
        super().__setitem__(ident, request)
        self._kinds.setdefault(request.kind, {})[ident] = request

    def __delitem__(self, ident: int) -> None:
        del self._kinds[self[ident].kind][ident]
        super().__delitem__(ident)

    def of(self, kind: str) -> list[_Request]:
        """Those of a kind, in order."""
        return list(self._kinds.get(kind, {}).values())

    def first(self, kind: str) -> _Request | None:
        """The oldest of a kind."""
        return next(iter(self._kinds.get(kind, {}).values()), None)
