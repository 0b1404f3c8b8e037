"""Random contract operations draw from named streams: one draw more of a kind leaves what the others give."""

from __future__ import annotations

import random
import re
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

import tb.contract
from model.streams import Streams, seed_of
from tb.config import RunConfig
from tb.contract.golden import GoldenRun
from tb.contract.operator import Plan
from tb.contract.tally import Findings
from tb.env.bench import back_pressure

SEED, OPERATIONS, BYTES = 5, 60, 64 << 10
#: Where the draws are made; a list's shape is drawn below, for whoever builds it.
PART = str(Path(tb.contract.__file__).parent)


class Heard(random.Random):
    """A generator that notes what it is asked for (bits, or 0 for a number below 1), what it gives, and who asks."""

    notes: list[tuple[int, float, str]] | None = None

    def random(self) -> float:
        given = super().random()
        self._note(0, given)
        return given

    def getrandbits(self, k: int) -> int:
        given = super().getrandbits(k)
        self._note(k, given)
        return given

    def _note(self, asked: int, given: float) -> None:
        if self.notes is not None:
            frame = sys._getframe(2)
            while not frame.f_code.co_filename.startswith(PART) and frame.f_back is not None:
                frame = frame.f_back
            self.notes.append((asked, given, f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"))


@dataclass
class Session:
    """What a short session drew from each stream, by its path, and what came of it."""

    found: Findings
    notes: dict[str, list[tuple[int, float, str]]] = field(default_factory=dict)


def played(out: Path, once_more: str = "", shared: bool = False) -> Session:
    """A session in which one value more is drawn from a stream; all draw from one generator where it is ``shared``."""
    notes: dict[str, list[tuple[int, float, str]]] = defaultdict(list)
    one = Heard(SEED)

    def stream(streams: Streams, name: str) -> random.Random:
        path = "/".join((*streams.scope, name))
        if name not in streams._streams:
            made = one if shared else Heard(seed_of(streams.seed, (*streams.scope, name)))
            streams._streams[name] = made
            if path == once_more:
                made.notes = None
                made.random()
            made.notes = notes[path]
        own = streams._streams[name]
        if isinstance(own, Heard):
            own.notes = notes[path]
        return own

    config = replace(RunConfig(command="regress", device="model"), seed=SEED, size=BYTES, delay=5, out=out)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Streams, "stream", stream)
        run = GoldenRun(config, Plan(seed=SEED, operations=OPERATIONS, bytes=BYTES, slots=4))
        if once_more.endswith("something new"):
            run.session.operator.draws("something new").random()
        return Session(run.run(), dict(notes))


def changed(plain: Session, other: Session) -> set[str]:
    """The streams that gave another answer to the same question at the same place."""
    found = set()
    for path, asked in plain.notes.items():
        for (question, said, _), (again, says, _) in zip(asked, other.notes.get(path, []), strict=False):
            if question != again:
                break  # from here on the sessions ask for other things
            if said != says:
                found.add(path)
    return found


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Session:
    return played(tmp_path_factory.mktemp("plain"))


def test_every_part_of_a_session_draws_from_streams(plain: Session) -> None:
    assert plain.found.violations == []
    parts = {path.split("/")[1] for path in plain.notes if path.startswith("contract/")}
    assert parts == {"operator", "misuse", "steering", "host", "lives"}
    assert len(plain.notes) > 60


@pytest.mark.parametrize("name", ["operator", "misuse", "steering", "host", "life"])
def test_every_draw_names_its_stream_and_no_two_the_same(name: str) -> None:
    text = (Path(PART) / f"{name}.py").read_text()
    named = Counter(re.findall(r'draws\((f?"[^"]+")\)', text))
    assert len(named) >= 6
    assert [stream for stream, count in named.items() if count > 1] == []
    assert re.findall(r"\brng\b|random\.Random\((?!f\"flow/)", text) == []


def test_no_two_places_draw_from_one_stream(plain: Session) -> None:
    places = {path: {place for _, _, place in asked} for path, asked in plain.notes.items()}
    assert {path: found for path, found in places.items() if len(found) > 1} == {}


@pytest.mark.parametrize("kind", ["operator/send: bytes", "operator/something new"])
def test_a_draw_more_that_moves_nothing_leaves_every_other_value_of_the_session(
    kind: str, plain: Session, tmp_path: Path
) -> None:
    other = played(tmp_path, f"contract/{kind}")
    path = f"contract/{kind}"
    assert {p: n for p, n in other.notes.items() if p != path} == {p: n for p, n in plain.notes.items() if p != path}
    assert other.found.operations.counts == plain.found.operations.counts
    assert changed(plain, other) == ({path} & plain.notes.keys())


@pytest.mark.parametrize(
    "kind",
    [
        "operator/operation", "operator/connection", "operator/misused", "operator/send: size", "misuse/pair",
        "steering/who acts", "host/placeholder beside",
    ],
)  # fmt: skip
def test_a_draw_more_of_one_kind_leaves_what_all_other_streams_give(kind: str, plain: Session, tmp_path: Path) -> None:
    path = f"contract/{kind}"
    assert path in plain.notes
    assert changed(plain, played(tmp_path, path)) == {path}


def test_one_shared_generator_would_not_pass_this(tmp_path: Path) -> None:
    """The control: with one generator for all, a draw more changes what most of them give."""
    first = played(tmp_path, shared=True)
    assert len(changed(first, played(tmp_path, "contract/operator/send: bytes", shared=True))) > 10


def test_each_setting_of_the_transactors_has_a_stream_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    config, stream = replace(RunConfig(command="run"), seed=SEED), Streams.stream
    calm = back_pressure(config)
    asked: list[str] = []

    def one_more(streams: Streams, name: str) -> random.Random:
        asked.append(name)
        own = stream(streams, name)
        if name == "p_ar":
            for _ in range(8):
                own.random()
        return own

    monkeypatch.setattr(Streams, "stream", one_more)
    wild = back_pressure(config)
    assert sorted(asked) == sorted(name for name in calm if name != "lat_min")
    assert {name for name in calm if calm[name] != wild[name]} <= {"p_ar"}
