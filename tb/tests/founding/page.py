"""docs/founding-pages.md as data; the judgements of its rows, which see only what the scenes left behind."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from model.ndis.framing import Segment
from model.ndis.status import NdisStatus
from model.wire.frame import TcpFlag
from tb.config import ROOT
from tb.tests.stage import COMPLETIONS, Crossing, Given, ListSeen, Story

PAGE = ROOT / "docs" / "founding-pages.md"
OK, ABORTED, UPLOAD = NdisStatus.SUCCESS, NdisStatus.REQUEST_ABORTED, NdisStatus.UPLOAD_IN_PROGRESS
Stories = Mapping[str, Story]
#: Scenes in which the peer resets, on the wire or in a forwarded segment; in which the host does.
RESET = ("reset", "reset in the disconnect", "disconnect after reset", "late requests", "forward into a reset")
BROKEN = ("abort", "abort many", "abort behind graceful", "abort in the disconnect")
#: Scenes in which the state is lost.
LOST = ("failure", "silent")


@dataclass(frozen=True)
class PageRow:
    """A row of the page: identifier, rules, test and state."""

    name: str
    rules: tuple[str, ...]
    test: str
    shown: bool


def documented() -> list[PageRow]:
    """The rows of docs/founding-pages.md, in order."""
    rows = []
    for line in PAGE.read_text().splitlines():
        if re.match(r"\| [A-Z]{2}-\d\d ", line):
            name, _, _, rules, _, test, state = (cell.strip() for cell in line.strip("|").split(" | "))
            named = tuple(re.findall(r"(?:CH-\d{3}|G-\d\d)", rules))
            rows.append(PageRow(name, named, test.strip("`"), state == "shown"))
    return rows


@dataclass(frozen=True)
class Judgement:
    """A row that the device shows: what must hold, and the rules it speaks of."""

    name: str
    rules: tuple[str, ...]
    test: Callable[[Stories], None]
    #: Intermediate drivers that the row speaks of.
    intermediates: int = 0
    #: The driver answers alone, as it has heard of the reset: what the row shows never reaches the device.
    of_driver: bool = False

    @property
    def title(self) -> str:
        """Its name among all tests of the page."""
        return f"{self.name}-{self.test.__name__}"


JUDGEMENTS: list[Judgement] = []


def row(
    name: str, *, intermediates: int = 0, of_driver: bool = False
) -> Callable[[Callable[[Stories], None]], Callable[[Stories], None]]:
    """The function judges this row; the rules stand in its docstring."""

    def take(test: Callable[[Stories], None]) -> Callable[[Stories], None]:
        rules = tuple(re.findall(r"(?:CH-\d{3}|G-\d\d)", test.__doc__ or ""))
        JUDGEMENTS.append(Judgement(name, rules, test, intermediates, of_driver))
        return test

    return take


def returns(story: Story, name: str) -> Iterator[ListSeen]:
    """Every time a list of this name came back, by whatever way."""
    for moment in story.moments:
        if moment.name in COMPLETIONS:
            for seen in (*moment.lists, *(one for node in moment.nodes for one in node.chain)):
                if seen.name == name:
                    yield seen


def given(story: Story, letters: str) -> list[Given]:
    """Lists of some kinds (letters of Given) as they were given."""
    return [one for one in story.given.values() if one.name[0] in letters]


def back(story: Story, name: str) -> tuple[NdisStatus | None, int | None]:
    """Status and bytes of a list that came back."""
    seen = story.returned(name)
    return seen.status, seen.transferred


def fins(segments: list[Segment]) -> list[Segment]:
    return [s for s in segments if TcpFlag.FIN in s.flags]


def crossings(story: Story, face: str, name: str) -> list[Crossing]:
    """Calls of this name at a face, of every layer."""
    return [call for call in story.crossings if call.face == face and call.name == name]


def steps(story: Story, name: str, one: Given) -> list[Crossing]:
    """Every crossing of a list by calls of which the name contains ``name``, in order."""
    return [call for call in story.crossings if name in call.name and any(nbl is one.nbl for nbl in call.lists)]
