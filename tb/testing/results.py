"""What a test run found, and the two files that say it: summary.json and junit.xml."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tb.files import shortened
from tb.folders import here
from tb.story.find import AGAIN

#: Why a test may be skipped; everything else fails. An exemption carries its reason behind the colon.
#: The closed list of what may be missing, and exemptions on Icarus, which are counted apart.
SKIP_REASONS = (
    "no-icarus", "no-tun", "no-tshark", "no-gvisor", "no-lwip", "no-x", "no-chromium", "no-slurm", "exempt on icarus: ",
)  # fmt: skip

#: Lines of a message that are printed: a story (tb/story) whole.
SHOWN = 30


@dataclass(frozen=True)
class Verdict:
    """One test: `status` is passed, failed or skipped, `message` why it is not passed, `again` how to repeat it."""

    test: str
    status: str
    seconds: float = 0.0
    message: str = ""
    again: str = ""
    simulator: str = ""
    #: The test that failed in the same place, if it was told before.
    alike: str = ""

    def checked(self) -> Verdict:
        """A skip for a reason outside the closed list is a failure."""
        if self.status == "skipped" and not self.message.startswith(SKIP_REASONS):
            return Verdict(self.test, "failed", self.seconds, f"skipped without a legal reason: {self.message!r}")
        return self

    def line(self) -> str:
        """For the terminal."""
        text = f"{self.status.upper():<8}{self.test}  ({self.seconds:.1f} s)"
        if self.status == "skipped":
            text += f"  {self.message}"
        if self.status == "failed":
            tail = self.message.strip().splitlines()[-SHOWN:]
            tail = [f"the failure of {self.alike}, told above"] if self.alike else tail
            text += "".join(f"\n        | {shortened(line, 200)}" for line in tail)
            text += f"\n        again: {self.again}" if self.again and AGAIN not in tail else ""
        return text


def verdict_word(good: bool, not_run: int) -> str:
    """The verdict of a run, with how much of it was not run."""
    word = "PASS" if good else "FAIL"
    return f"{word} ({not_run} not run)" if not_run else word


@dataclass
class Report:
    """Everything of one run, in the order it came."""

    seconds: float = 0.0
    #: Whether the run came to its end; what an interrupted one found is written, too.
    complete: bool = False
    verdicts: list[Verdict] = field(default_factory=list)
    commits: dict[str, int] = field(default_factory=dict)
    frames: dict[str, int] = field(default_factory=dict)
    uvm_errors: int = 0
    #: What must be there (REQUIRE): a skip for want of it is a failure.
    required: tuple[str, ...] = ()
    liveness: list[Mapping[str, Mapping[str, int]]] = field(default_factory=list)
    #: The test whose story told a failure, by its key: the others are in its bucket.
    stories: dict[str, str] = field(default_factory=dict)

    def add(self, verdict: Verdict) -> None:
        """Take a verdict and print its line."""
        verdict = verdict.checked()
        if verdict.status == "skipped" and verdict.message.startswith(tuple(f"no-{name}" for name in self.required)):
            verdict = replace(verdict, status="failed", message=f"required and missing: {verdict.message}")
        self.verdicts.append(verdict)
        print(here(verdict.line()), flush=True)

    def count(self, simulator: str, commits: int, frames: int) -> None:
        """Add what one simulation compared."""
        self.commits[simulator] = self.commits.get(simulator, 0) + commits
        self.frames[simulator] = self.frames.get(simulator, 0) + frames

    def of(self, status: str) -> Sequence[Verdict]:
        """The verdicts of one status."""
        return [verdict for verdict in self.verdicts if verdict.status == status]

    @property
    def passed(self) -> bool:
        """Whether something passed and nothing failed."""
        return bool(self.of("passed")) and not self.of("failed")

    def closing_line(self) -> str:
        """The last line of the output; other programs read it."""
        skipped = len(self.of("skipped"))
        text = f"{len(self.of('passed'))} passed, {len(self.of('failed'))} failed"
        return text + (f", {skipped} skipped" if skipped else "")

    def verdict_lines(self) -> list[str]:
        """What was not run, then the verdict; the last lines but the closing one."""
        skipped = self.of("skipped")
        lines = [f"not run: {verdict.test}: {verdict.message}" for verdict in skipped]
        return [*lines, verdict_word(self.passed, len(skipped))]

    def write(self, folder: Path) -> None:
        """Write both files."""
        folder.mkdir(parents=True, exist_ok=True)
        simulators = sorted({v.simulator for v in self.verdicts if v.simulator} | self.commits.keys())
        summary = {
            "schema": 1,
            "complete": self.complete,
            "tests": len(self.verdicts),
            "passed": len(self.of("passed")),
            "failed": len(self.of("failed")),
            "failures": [{"test": v.test, "again": v.again} for v in self.of("failed")],
            "skipped": [{"test": v.test, "reason": v.message} for v in self.of("skipped")],
            "simulators": {
                name: {
                    "ids": [v.test for v in self.verdicts if v.simulator == name and v.status != "skipped"],
                    "commits_compared": self.commits.get(name, 0),
                    "frames_compared": self.frames.get(name, 0),
                }
                for name in simulators
            },
            "uvm_errors": self.uvm_errors,
            "seconds": round(self.seconds, 1),
        }
        (folder / "summary.json").write_text(json.dumps(summary, indent=1) + "\n")
        write_junit(folder / "junit.xml", "chimney", self.verdicts, self.seconds)


def write_junit(path: Path, name: str, verdicts: Sequence[Verdict], seconds: float = 0.0) -> None:
    """The verdicts as JUnit XML."""
    count = {status: sum(verdict.status == status for verdict in verdicts) for status in ("failed", "skipped")}
    suite = ElementTree.Element(
        "testsuite",
        name=name,
        tests=str(len(verdicts)),
        failures=str(count["failed"]),
        skipped=str(count["skipped"]),
        time=f"{seconds:.3f}",
    )
    for verdict in verdicts:
        group, _, test = verdict.test.partition("::")
        case = ElementTree.SubElement(
            suite, "testcase", classname=group, name=test or group, time=f"{verdict.seconds:.3f}"
        )
        if verdict.status == "failed":
            ElementTree.SubElement(case, "failure", message=verdict.again).text = printable(verdict.message)
        elif verdict.status == "skipped":
            ElementTree.SubElement(case, "skipped", message=verdict.message)
    ElementTree.ElementTree(suite).write(path, encoding="unicode", xml_declaration=True)


def printable(text: str) -> str:
    """Text without the control characters that XML forbids."""
    return "".join(c if c.isprintable() or c in "\n\t" else "?" for c in text)
