"""Sabotages of contract rules: enough of each section, stimuli that are clean, a judge that takes the first breach."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar, cast

import pytest

from tb.config import ROOT
from tb.monitors.contract.everything import NOT_APPLICABLE, SECTIONS
from tb.monitors.contract.monitor import Monitor
from tb.monitors.contract.trace import Record
from tb.pool import Finished, Job
from tb.sabotage import contract_verdict
from tb.sabotage.contract_model import play
from tb.sabotage.contract_scenes import SETS
from tb.sabotage.judge import judge_contract
from tb.sabotage.manifest import CONTRACT, Edit, Sabotage, load
from tb.sabotage.run import outcome_of
from tb.sabotage.stimuli import GOLDEN, RTL, contract
from tb.sabotage.trial import LAYERS
from tb.session.contract_tap import ContractTap

ENTRIES = [entry for entry in load() if entry.check == CONTRACT]
#: First and last rule of the sections of the contract's checklist.
RULES_OF = {
    "9.1": (15, 19),
    "9.2": (20, 36),
    "9.3": (37, 73),
    "9.4": (74, 96),
    "9.5": (97, 122),
    "9.6": (123, 163),
    "9.7": (164, 169),
    "9.8": (170, 189),
    "9.9": (190, 213),
    "9.10": (214, 229),
    "9.11": (230, 252),
    "9.12": (253, 259),
}
LEAST, LEAST_OF_HDL, LEAST_OF_SECTION, LEAST_TWINS = 60, 30, 3, 8


class Chosen(Monitor):
    """Breaks the rules that a test names, one a record."""

    RULES: ClassVar[Mapping[str, str]] = {"CH-101": "one", "CH-102": "another", "CH-103": "a third"}

    def observe(self, record: Record) -> None:
        """Nothing by itself."""

    def at(self, order: int, *rules: str) -> None:
        """Break rules at a record."""
        self.feed(Record(order, order))
        for rule in rules:
            self.breach(rule, "broken")


def verdict_of(out: Path, monitor: Chosen, **facts: str) -> None:
    """The file that a run leaves whose only monitor is ``monitor``."""
    tap = cast(ContractTap, SimpleNamespace(monitors=monitor))
    contract_verdict.write(out, tap, complete=False, **facts)


def test_there_are_enough_of_each_section_in_hdl_and_as_twins() -> None:
    rules = Counter(entry.field for entry in ENTRIES if entry.field.startswith("CH-"))
    for section, (first, last) in RULES_OF.items():
        of_section = sum(n for rule, n in rules.items() if first <= int(rule.removeprefix("CH-")) <= last)
        assert of_section >= LEAST_OF_SECTION, (section, of_section)
    assert len(ENTRIES) >= LEAST
    assert sum(entry.on_rtl for entry in ENTRIES) >= LEAST_OF_HDL
    assert sum(entry.twin for entry in ENTRIES) >= LEAST_TWINS


def test_every_rule_named_has_a_monitor_and_every_set_of_scenes_exists() -> None:
    watched = {rule for monitor in SECTIONS for rule in monitor.RULES} - NOT_APPLICABLE.keys()
    assert [entry.id for entry in ENTRIES if entry.field not in watched] == []
    assert [entry.id for entry in ENTRIES if entry.first not in SETS] == []
    played = {stimulus.testcase for stimulus in contract(RTL)}
    assert [entry.id for entry in ENTRIES if entry.on_rtl and entry.first not in played] == []


def test_the_set_named_is_tried_first() -> None:
    assert next(stimulus.testcase for stimulus in contract(GOLDEN, "timers")) == "timers"
    assert {stimulus.testcase for stimulus in contract(GOLDEN)} == set(SETS)


def test_every_set_that_shows_something_of_the_rtl_has_a_test_on_the_rtl() -> None:
    tests = re.findall(r"^async def (\w+)\(_: Any\)", (ROOT / "tb/sabotage/contract_rtl.py").read_text(), re.MULTILINE)
    assert sorted(tests) == sorted(str(stimulus.testcase) for stimulus in contract(RTL))


SETS_BELOW_LAYERS = [(name, im) for name, found in SETS.items() for im in (0, 1, 3) if im or not found.layered]


@pytest.mark.parametrize(("name", "layers"), SETS_BELOW_LAYERS)
def test_without_an_error_no_monitor_fires_and_every_scene_comes_to_its_end(
    name: str, layers: int, tmp_path: Path
) -> None:
    assert play(name, tmp_path, layers) == []
    assert judge_contract(tmp_path) is None


@pytest.mark.parametrize("name", SETS)
def test_a_monitor_looks_at_the_rule_of_each_entry_in_a_run_without_an_error(name: str, tmp_path: Path) -> None:
    play(name, tmp_path, LAYERS)
    looked = json.loads((tmp_path / contract_verdict.FILE).read_text())["triggers"]
    assert [entry.id for entry in ENTRIES if entry.first == name and not looked.get(entry.field)] == []


def test_the_rules_of_the_earliest_record_are_the_first_ones_all_of_them(tmp_path: Path) -> None:
    monitor = Chosen()
    monitor.at(7, "CH-103")
    monitor.at(5, "CH-102", "CH-101")
    monitor.breaches.sort(key=lambda breach: breach.order)
    verdict_of(tmp_path, monitor, lockstep="check 1, tcb.state")
    found = judge_contract(tmp_path)
    assert found is not None
    assert (found.by, found.field, found.lockstep) == (CONTRACT, "CH-102, CH-101", "check 1, tcb.state")


def test_without_a_breach_the_judge_names_what_else_was_wrong(tmp_path: Path) -> None:
    verdict_of(tmp_path, Chosen(), lockstep="check 2, byte")
    found = judge_contract(tmp_path)
    assert found is not None
    assert found.by == 2
    verdict_of(tmp_path, Chosen(), ended="ContractError: the host's books")
    found = judge_contract(tmp_path)
    assert found is not None
    assert found.by == "crash"
    verdict_of(tmp_path, Chosen())
    assert judge_contract(tmp_path) is None
    (tmp_path / contract_verdict.FILE).unlink()
    missing = judge_contract(tmp_path)
    assert missing is not None
    assert missing.by == "crash"


@pytest.mark.parametrize(
    ("by", "field", "caught"),
    [
        (CONTRACT, "CH-101", True),
        (CONTRACT, "CH-099, CH-101", True),
        (CONTRACT, "CH-099", False),
        ("crash", "CH-101", False),
        (1, "CH-101", False),
    ],
)
def test_only_the_monitor_of_its_own_rule_catches_it(by: int | str, field: str, caught: bool, tmp_path: Path) -> None:
    entry = Sabotage("x", (Edit("model/ndis/x.py", "a", "b"),), "rule", CONTRACT, "CH-101")
    found = {"by": by, "field": field, "cycle": None, "test": "", "error": "", "detail": "", "lockstep": ""}
    (tmp_path / "trial.json").write_text(json.dumps(found))
    finished = Finished(Job("x", [], tmp_path, {}, tmp_path / "trial.log", 1.0), 0, 1.0)
    assert outcome_of(entry, finished).caught is caught
