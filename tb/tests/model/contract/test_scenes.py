"""Every contract scene on the golden device: it plays to its end, nothing is broken, its claims came true."""

from __future__ import annotations

from pathlib import Path

import pytest

from tb.contract.duties import duties
from tb.contract.scenes.everything import CASES, PARTS
from tb.contract.scenes.golden import play
from tb.contract.scenes.stage import Case, Part, SceneStage
from tb.tests.stage import Scene, pattern


def _marked(case: Case) -> object:
    return pytest.param(case, id=case.title, marks=pytest.mark.rule(*sorted(case.rules)))


@pytest.mark.parametrize("case", [_marked(case) for case in CASES])
def test_scene_holds_and_its_claims_come_true(case: Case, tmp_path: Path) -> None:
    played = play([case], tmp_path)
    assert (played.problems, played.unmet) == ((), ())


def test_scenes_have_names_of_their_own_and_claim_rules_that_exist() -> None:
    names = [case.name for case in CASES]
    assert len(names) == len(set(names))
    assert {rule for case in CASES for rule in case.rules} <= {duty.id for duty in duties()}
    assert all(case.rules for case in CASES)
    assert len({part.name for part in PARTS}) == len(PARTS)


def test_a_claim_that_never_triggers_is_told(tmp_path: Path) -> None:
    part = Part("empty")

    @part.scene("CH-256")
    def nothing(stage: SceneStage) -> Scene:
        yield from stage.quiet(1)

    assert nothing is part.cases[0].play
    played = play(part.cases, tmp_path)
    assert played.problems == ()
    assert played.unmet == ("nothing: CH-256 never triggered",)


def test_a_claim_that_only_another_scene_makes_true_is_told(tmp_path: Path) -> None:
    part = Part("two")

    @part.scene("CH-101")
    def sends(stage: SceneStage) -> Scene:
        story = stage.tell("sends")
        yield from story.open()
        yield from story.send(story.make("S1", pattern(50)))
        yield story.arrived(50)
        story.far.ack()
        yield story.came_back("S1")
        yield from story.leave()

    @part.scene("CH-101")
    def nothing(stage: SceneStage) -> Scene:
        yield from stage.quiet(1)

    assert [case.play for case in part.cases] == [sends, nothing]
    played = play(part.cases, tmp_path)
    assert played.problems == ()
    assert played.unmet == ("nothing: CH-101 never triggered",)
