"""Named random streams: a new draw in one place does not change the others (model/streams.py)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from model.streams import Streams, seed_of
from tb.env import random_sequences
from tb.env.random_sequences import CALL_PAUSE, FRAME_PAUSE, READ_PAUSE, Pause, RandomFrameStream, RandomReads
from tb.env.sequences import FrameStream

FRAMES = [bytes(length) for length in (54, 60, 300, 1514, 54, 700)] * 8


def test_a_stream_is_made_by_seed_and_name_alone() -> None:
    first, second = Streams(7), Streams(7)
    second.stream("another").random()
    second.child("gap").stream("gap").random()
    assert [first.stream("gap").random() for _ in range(8)] == [second.stream("gap").random() for _ in range(8)]


def test_a_stream_goes_on_where_it_was() -> None:
    streams, whole = Streams(7), Streams(7).stream("gap")
    assert [streams.stream("gap").random() for _ in range(4)] == [whole.random() for _ in range(4)]


def test_seeds_names_and_scopes_give_other_streams() -> None:
    made = [
        Streams(7).stream("gap"), Streams(8).stream("gap"), Streams(7).stream("gaps"),
        Streams(7).child("gap").stream("gap"), Streams(7).child("a").stream("b/c"), Streams(7).child("a/b").stream("c"),
    ]  # fmt: skip
    drawn = [stream.getrandbits(64) for stream in made]
    assert len(set(drawn)) == len(drawn)


def test_no_two_paths_have_the_same_seed() -> None:
    paths = [(7, ("ab", "c")), (7, ("a", "bc")), (7, ("abc",)), (71, ("ab", "c")), (7, ("1:a", "bc")), (7, ())]
    assert len({seed_of(seed, names) for seed, names in paths}) == len(paths)


def test_the_seed_of_a_name_stays_what_it_was() -> None:
    """The meaning of a seed may only change with a line in CHANGELOG.md."""
    assert seed_of(1, ("frames", "gap")) % 1_000_000 == 121_844


def stimuli(
    streams: Streams, monkeypatch: pytest.MonkeyPatch, disturb: Callable[[Streams], object]
) -> dict[str, list[int]]:
    """What the random sequences draw for a session, interleaved; ``disturb`` draws more between them."""
    monkeypatch.setattr(random_sequences, "streams", lambda: streams)
    frames, reads, calls = RandomFrameStream(), RandomReads(), streams.child("calls").stream("pause")
    drawn: dict[str, list[int]] = {"calls": [], "frames": [], "reads": [], "registers": []}
    for data in FRAMES:
        disturb(streams)
        drawn["calls"].append(CALL_PAUSE.draw(calls))
        drawn["frames"].append(frames.gap(data))
        disturb(streams)
        drawn["reads"].append(READ_PAUSE.draw(reads._pause))
        drawn["registers"].append(int(reads._register.choice(random_sequences.READ)))
    return drawn


@pytest.mark.parametrize(
    ("scope", "name", "changed"),
    [
        ("calls", "pause", "calls"),
        ("frames", "gap", "frames"),
        ("reads", "pause", "reads"),
        ("reads", "register", "registers"),
        ("frames", "something new", None),
        ("something new", "gap", None),
    ],
)
def test_a_new_draw_in_one_stream_leaves_the_stimuli_of_the_others(
    monkeypatch: pytest.MonkeyPatch, scope: str, name: str, changed: str | None
) -> None:
    plain = stimuli(Streams(3), monkeypatch, lambda _: None)
    disturbed = stimuli(Streams(3), monkeypatch, lambda streams: streams.child(scope).stream(name).random())
    assert [part for part in plain if plain[part] != disturbed[part]] == ([changed] if changed else [])


def test_one_shared_generator_would_not_pass_this() -> None:
    """The control: with one generator for all, a draw more changes what is drawn elsewhere."""
    plain, shared = Streams(3).stream("all"), Streams(3).stream("all")
    first = [FRAME_PAUSE.draw(plain) for _ in range(16)]
    shared.random()
    assert first != [FRAME_PAUSE.draw(shared) for _ in range(16)]


def test_pauses_keep_their_bounds_and_reach_both_ends() -> None:
    rng = Streams(5).stream("pause")
    drawn = [Pause(0.5, 400).draw(rng) for _ in range(4000)]
    assert min(drawn) == 0
    assert 380 <= max(drawn) <= 400
    assert 0.45 < drawn.count(0) / len(drawn) < 0.55
    assert {1, 2, 3} < set(drawn)


def test_a_frame_is_never_closer_to_the_one_before_than_the_engine_takes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random_sequences, "streams", lambda: Streams(9))
    plain, wild = FrameStream(), RandomFrameStream()
    gaps = [(plain.gap(data), wild.gap(data)) for data in FRAMES]
    assert all(own >= least for least, own in gaps)
    assert len({own - least for least, own in gaps}) > 4


def test_frames_that_keep_no_distance_follow_each_other_at_once() -> None:
    close = FrameStream()
    assert max(close.gap(data) for data in FRAMES) > 0
    close.spaced = False
    assert {close.gap(data) for data in FRAMES} == {0}
