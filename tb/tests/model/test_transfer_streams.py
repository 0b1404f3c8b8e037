"""Application and host of a session draw from named streams: one draw more of a kind leaves what the others give."""

from __future__ import annotations

import random
import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import model.ndis
import tb.hostile
from model.streams import Streams, seed_of
from tb.config import RunConfig
from tb.device.model_loop import ModelRun

SEED = 5
NDIS, HOSTILE = (Path(package.__path__[0]) for package in (model.ndis, tb.hostile))
#: Who draws: the seed of its streams, its scope, the name.
Key = tuple[int, tuple[str, ...], str]


class Heard(random.Random):
    """A generator that notes what it is asked for (bits, or 0 for a number below 1) and what it gives."""

    notes: list[tuple[int, float]] | None = None

    def random(self) -> float:
        given = super().random()
        if self.notes is not None:
            self.notes.append((0, given))
        return given

    def getrandbits(self, k: int) -> int:
        given = super().getrandbits(k)
        if self.notes is not None:
            self.notes.append((k, given))
        return given


@dataclass
class Session:
    """What a session drew from each stream."""

    notes: dict[Key, list[tuple[int, float]]] = field(default_factory=lambda: defaultdict(list))

    @property
    def names(self) -> set[str]:
        """The names of the streams that were asked."""
        return {name for _, _, name in self.notes}


def played(out: Path, once_more: str = "", cuts: int = 0) -> Session:
    """A short session of the golden device; from every stream of one name a value more is drawn at its beginning."""
    session = Session()

    def stream(streams: Streams, name: str) -> random.Random:
        if name not in streams._streams:
            made = Heard(seed_of(streams.seed, (*streams.scope, name)))
            if name == once_more:
                made.random()
            made.notes = session.notes[streams.seed, streams.scope, name]
            streams._streams[name] = made
        return streams._streams[name]

    config = RunConfig(command="run", device="model", size=48 << 10, conns=2, seed=SEED, loss=0.02, cuts=cuts, out=out)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Streams, "stream", stream)
        assert ModelRun(config).run() == []
    return session


def changed(plain: Session, other: Session) -> set[str]:
    """Names of the streams that gave another answer to the same question at the same place."""
    found = set()
    for key, asked in plain.notes.items():
        for (question, said), (again, says) in zip(asked, other.notes.get(key, []), strict=False):
            if question != again:
                break  # from here on the sessions ask for other things
            if said != says:
                found.add(key[2])
    return found


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Session:
    return played(tmp_path_factory.mktemp("plain"))


@pytest.mark.parametrize(
    "part", [NDIS / "file_transfer.py", NDIS / "cut_transfer.py", NDIS / "host.py", HOSTILE / "session.py",
             HOSTILE / "far.py"], ids=lambda part: part.stem,
)  # fmt: skip
def test_every_draw_of_a_session_names_its_stream_and_no_two_the_same(part: Path) -> None:
    text = part.read_text()
    named = Counter(re.findall(r'(?:stream|_chance|draw)\("([^"]+)"|_pick\([^"\n]*"([^"]+)"\)', text))
    assert len(named) >= 4
    assert [stream for stream, count in named.items() if count > 1] == []
    assert re.findall(r"self\._rng\b|random\.Random\(", text) == []


def test_a_session_asks_for_sends_receives_and_answers(plain: Session) -> None:
    asked = {"chain", "send size", "send buffer", "receive size", "receive buffer", "window", "answer", "post again"}
    assert asked <= plain.names
    assert {"return delay", "source mac"} <= plain.names


@pytest.mark.parametrize("name", ["send size", "receive size", "answer", "window", "return delay", "post again"])
def test_a_draw_more_of_one_kind_leaves_the_values_of_all_other_streams(
    name: str, plain: Session, tmp_path: Path
) -> None:
    assert changed(plain, played(tmp_path, name)) == {name}


def test_the_same_seed_draws_the_same(plain: Session, tmp_path: Path) -> None:
    assert played(tmp_path).notes == plain.notes


def test_a_session_that_is_cut_draws_its_own_kinds_from_streams_of_their_own(tmp_path: Path) -> None:
    cut = played(tmp_path, cuts=6)
    assert {"software sends", "steps", "connection"} <= cut.names
