"""Workflows and hooks: what they call is there, they are pinned and bounded, and the groups of the night are whole."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # comes with distributed; its types are a package of their own

from tb import doctor
from tb.commands import COMMANDS
from tb.config import ROOT
from tb.nightly.entries import chosen, load
from tb.testing import big_files, lint
from tb.testing.results import SKIP_REASONS

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
#: What is carried from night to night: figures of earlier runs, which no verdict rests on.
HISTORIES = ("sim_build/regress/latest/results.sqlite", "sim_build/bench/results.sqlite")
#: What is installed for each reason for which a test may be skipped.
PACKAGES = {
    "no-icarus": ("iverilog",), "no-tun": ("iproute2", "util-linux", "curl"), "no-tshark": ("tshark",),
    "no-gvisor": ("golang-go", "golang-gvisor-gvisor-dev"), "no-lwip": ("liblwip-dev",), "no-x": ("xvfb", "gtkwave"),
    "no-chromium": ("chromium",), "no-slurm": ("slurm-wlm", "munge"),
}  # fmt: skip
#: A hosted machine has it without an installation.
IN_THE_IMAGE = ("chromium",)
ACTION = re.compile(r"actions/[\w/-]+@v\d+\.\d+\.\d+")


def document(path: Path) -> dict[Any, Any]:
    """A YAML file."""
    found: dict[Any, Any] = yaml.safe_load(path.read_text())
    return found


def jobs(path: Path) -> dict[str, dict[str, Any]]:
    """The jobs of a workflow."""
    found: dict[str, dict[str, Any]] = document(path)["jobs"]
    return found


def steps(path: Path) -> list[dict[str, Any]]:
    """All steps of a workflow."""
    return [step for job in jobs(path).values() for step in job["steps"]]


def test_there_are_workflows_for_each_push_and_for_each_night() -> None:
    triggers = {path.name: set(document(path)[True]) for path in WORKFLOWS}  # YAML 1.1 reads `on` as true
    assert triggers == {"ci.yml": {"push", "pull_request"}, "nightly.yml": {"schedule", "workflow_dispatch"}}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_is_pinned_bounded_and_allowed_little(path: Path) -> None:
    text = document(path)
    assert text["permissions"] == {"contents": "read"}
    assert text["concurrency"]["group"]
    writers = {name for name, job in jobs(path).items() if "permissions" in job}
    assert writers <= {"publish"}
    for name, job in jobs(path).items():
        assert 0 < job["timeout-minutes"] <= 360, name
        assert job["runs-on"] == "ubuntu-24.04", name
    for step in steps(path):
        assert "uses" not in step or ACTION.fullmatch(step["uses"]), step
        assert ("uses" in step) is not ("run" in step), step
        if step.get("uses", "").startswith("actions/checkout"):
            assert step["with"]["persist-credentials"] is False
        if step.get("uses", "").startswith("actions/cache"):
            assert step["with"]["path"] in HISTORIES
        assert "cache" not in step.get("with", {}), step


def test_the_history_of_regression_and_bench_is_carried_on_and_reaches_the_page() -> None:
    numbers = jobs(ROOT / ".github" / "workflows" / "nightly.yml")["numbers"]["steps"]
    for action in ("restore", "save"):
        carried = [one["with"]["path"] for one in numbers if one.get("uses", "").startswith(f"actions/cache/{action}@")]
        assert sorted(carried) == sorted(HISTORIES)
    (kept,) = [one["with"]["path"].split() for one in numbers if "upload-artifact" in one.get("uses", "")]
    assert set(HISTORIES) <= set(kept)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_make_target_and_script_that_a_workflow_calls_exists(path: Path) -> None:
    lines = [line.strip() for step in steps(path) for line in step.get("run", "").splitlines()]
    lines = [line.removeprefix('sudo env "PATH=$PATH" ') for line in lines]
    targets = [line.split()[1] for line in lines if line.startswith("make ")]
    assert targets
    assert set(targets) <= set(COMMANDS)
    for line in lines:
        if line.startswith("."):
            assert (ROOT / line.split()[0]).stat().st_mode & 0o111, line


def test_the_folder_of_a_failure_is_kept_by_the_pattern_that_a_push_hands_on(tmp_path: Path) -> None:
    folders = {
        tmp_path / "sim_build" / name for name in ("run", "test/unit_fifo[icarus]", "test/a-s3[icarus-64]/replay")
    }
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / "failure.json").touch()
    found = steps(ROOT / ".github" / "workflows" / "ci.yml")
    (script,) = [step["run"] for step in found if step.get("id") == "failures"]
    output = {"PATH": os.environ["PATH"], "GITHUB_OUTPUT": str(tmp_path / "output")}
    subprocess.run(["bash", "-e", "-c", script], cwd=tmp_path, env=output, check=True, timeout=60)
    name, *patterns, end = (tmp_path / "output").read_text().splitlines()
    assert name == f"folders<<{end}"
    assert {path for pattern in patterns for path in tmp_path.glob(pattern)} == folders
    kept = [step["with"]["path"] for step in found if "upload-artifact" in step.get("uses", "")]
    assert any("${{ steps.failures.outputs.folders }}" in paths for paths in kept)


def test_the_doctor_names_what_each_reason_for_a_skip_is_about() -> None:
    offered = {word for *_, packages in doctor.OPTIONAL_PARTS for word in packages.split()}
    for reason, packages in PACKAGES.items():
        assert reason == "no-icarus" or set(packages) <= offered, reason


def test_each_entry_of_the_nightly_list_is_in_one_group() -> None:
    groups = jobs(ROOT / ".github" / "workflows" / "nightly.yml")["numbers"]["strategy"]["matrix"]["include"]
    entries = load()
    count = Counter(entry.name for group in groups for entry in chosen(entries, group["entries"]))
    assert count == {entry.name: 1 for entry in entries}
    assert len({group["group"] for group in groups}) == len(groups)


def test_the_night_and_the_script_of_a_push_install_what_each_reason_for_a_skip_is_about() -> None:
    assert set(PACKAGES) == {reason for reason in SKIP_REASONS if reason.startswith("no-")}
    numbers = jobs(ROOT / ".github" / "workflows" / "nightly.yml")["numbers"]["steps"]
    night = " ".join(step.get("run", "") for step in numbers)
    push = (ROOT / ".ci" / "run").read_text()
    for reason, packages in PACKAGES.items():
        for package in packages:
            assert re.search(rf"(?<![\w-]){package}(?![\w-])", push), (reason, package)
            assert package in IN_THE_IMAGE or package in night.split(), (reason, package)
        assert re.search(rf"require=(\$require,)?{reason[3:]}\b", push), reason


def test_the_night_runs_as_root_which_the_daemons_of_slurm_need() -> None:
    (line,) = [one["run"] for one in jobs(ROOT / ".github" / "workflows" / "nightly.yml")["numbers"]["steps"]
               if "make nightly" in one.get("run", "")]  # fmt: skip
    assert line.startswith("sudo env ")


def test_the_regression_the_coverage_of_its_runs_and_its_report_are_in_one_group_in_this_order() -> None:
    groups = jobs(ROOT / ".github" / "workflows" / "nightly.yml")["numbers"]["strategy"]["matrix"]["include"]
    words = next(group["entries"] for group in groups if group["group"] == "regression")
    assert [entry.name for entry in chosen(load(), words)] == ["regress", "coverage", "report"]


def test_every_hook_is_local_and_calls_a_module_of_the_tree_or_a_program_that_is_pinned() -> None:
    (repository,) = document(ROOT / ".pre-commit-config.yaml")["repos"]
    assert repository["repo"] == "local"
    assert {hook["id"] for hook in repository["hooks"]} == {
        "layout", "ruff", "ruff-format", "mypy", "verilator", "big-files",
    }  # fmt: skip
    pinned = (ROOT / "requirements.txt").read_text()
    names = [name for name, _ in lint.CHECKS]
    for hook in repository["hooks"]:
        assert hook["language"] == "system"
        python, option, module, *words = shlex.split(hook["entry"])
        assert (python, option) == (".venv/bin/python", "-m")
        assert (ROOT / f"{module.replace('.', '/')}.py").is_file() or f"\n{module}==" in pinned
        if module == "tb.testing.lint":
            assert all(any(name.startswith(word) for name in names) for word in words), hook


def test_part_of_the_lint_fails_where_a_check_complains_and_where_there_is_none(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(lint, "CHECKS", (("good one", lambda: ""), ("bad one", lambda: "this line")))
    assert lint.some(["good"]) == 0
    assert lint.some(["good", "bad"]) == 1
    assert "this line" in capsys.readouterr().out
    assert lint.some(["neither"]) == 2
    assert lint.some([]) == 2


def test_a_file_above_the_bound_is_named_and_one_at_the_bound_is_not(tmp_path: Path) -> None:
    (tmp_path / "at").write_bytes(bytes(big_files.MOST))
    (tmp_path / "above").write_bytes(bytes(big_files.MOST + 1))
    found = big_files.too_large([tmp_path / "at", tmp_path / "above", tmp_path / "gone"])
    assert [line.partition(":")[0] for line in found] == [str(tmp_path / "above")]
