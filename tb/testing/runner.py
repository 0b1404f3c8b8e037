"""`make test`, `test-all`: lint, plain Python tests, then the cocotb tests on every simulator."""

from __future__ import annotations

import json
import os
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from model.device.bounds import too_wide
from tb.config import ROOT, SIMULATORS, ConfigError, RunConfig
from tb.files import shown
from tb.folders import claimed
from tb.peers.choice import MISSING
from tb.progress import Meter
from tb.session.summary import commit_id
from tb.sim.build import BuildError, build
from tb.sim.process import ProcessTimeoutError, end_all, run_bounded
from tb.sim.run import RunResult, replay_command, run
from tb.sim.spec import SimSpec, chimney_spec, unit_spec
from tb.sim.tools import Tool, find
from tb.story.find import key_of, story_of
from tb.testing.lint import lint
from tb.testing.names import in_python, may_be_python, nothing_has
from tb.testing.results import Report, Verdict
from tb.testing.tiers import TIERS, Job, Tiers, load, wanted

OUT = ROOT / "sim_build" / "test"
#: Seconds after which the plain Python tests are ended.
PYTEST_BOUND = 3600.0
#: Status of pytest when no test was chosen.
NOTHING_COLLECTED = 5
#: A job's folder holds this when its test compared something: keys commits_compared, frames_compared, problems.
NUMBERS = "*rtl.json"
#: Sabotages drawn in a tier run, the control edit apart.
SABOTAGES = 12
TIER_OF_COMMAND = {"test": "test", "test-all": "all"}


@dataclass(frozen=True)
class PythonJob:
    """A call of pytest: its name, the paths it gets, those below them that another has, whether it mostly waits."""

    name: str
    paths: tuple[str, ...]
    left_out: tuple[str, ...] = ()
    waits: bool = False

    @property
    def xml(self) -> Path:
        """What pytest writes."""
        return OUT / f"{self.name}.xml"

    @property
    def log(self) -> Path:
        """What it prints."""
        return OUT / f"{self.name}.log"


def chosen_tier(config: RunConfig) -> str:
    """The tier of this call; a regression of tests that are named finds them in every tier."""
    named = "TEST" in config.given and "TIER" not in config.given
    wanted = TIERS[-1] if named else config.tier
    tier = TIER_OF_COMMAND.get(config.command, wanted if config.command == "regress" else "test")
    if tier not in TIERS:
        raise ConfigError("there is no such tier", f"TIER={tier}", f"give one of {', '.join(TIERS)}")
    return tier


def chosen_tools(config: RunConfig) -> dict[str, Tool | None]:
    """The simulators of this call; a required one must be there."""
    tools = {kind: find(kind) for kind in ([config.sim] if config.sim_given else SIMULATORS)}
    for kind in config.require:
        if kind in SIMULATORS and find(kind) is None:
            raise ConfigError(
                f"{kind} is required and missing", f"REQUIRE={kind}", "`make doctor` says what to install"
            )
    if not any(tools.values()):
        raise ConfigError("no simulator on this machine", f"SIM={config.sim}", "`make doctor` says what to install")
    return tools


def run_python(config: RunConfig, job: PythonJob) -> int:
    """Run pytest on what a job holds; its status (5: nothing to run). Files: NAME.xml, NAME.log."""
    job.xml.unlink(missing_ok=True)
    if not job.paths:
        return NOTHING_COLLECTED
    left_out = [f"--ignore={path}" for path in job.left_out]
    command = [sys.executable, "-m", "pytest", *job.paths, *left_out, f"--junitxml={job.xml}", "--tb=short"]
    if config.test:
        command += ["-k", " or ".join(config.test.split())]
    return run_bounded(command, cwd=ROOT, env=os.environ, log=job.log, timeout=PYTEST_BOUND)


def take_python(outcome: Future[int], job: PythonJob, report: Report) -> None:
    """The verdicts of plain Python tests."""
    again = f"python -m pytest {' '.join(job.paths)}"
    try:
        status = outcome.result()
    except ProcessTimeoutError as error:
        report.add(Verdict(f"{job.name}::collection", "failed", PYTEST_BOUND, str(error), again))
        return
    if status not in (0, 1, NOTHING_COLLECTED):
        tail = "\n".join(job.log.read_text(errors="replace").splitlines()[-12:])
        report.add(Verdict(f"{job.name}::collection", "failed", 0, tail, again))
    if not job.xml.exists():
        if status in (0, 1):
            report.add(Verdict(f"{job.name}::results", "failed", 0, f"pytest left no {job.xml.name}", again))
        return
    try:
        cases = list(ElementTree.parse(job.xml).iter("testcase"))  # noqa: S314 - our own file
    except ElementTree.ParseError as error:  # pytest was killed while it wrote
        report.add(Verdict(f"{job.name}::results", "failed", 0, f"{job.xml.name} is damaged: {error}", again))
        return
    for case in cases:
        report.add(python_verdict(case))


def python_paths(tiers: Tiers, tier: str) -> list[str]:
    """Folders and files of plain Python tests in a tier."""
    return [path for of, path in tiers.pytest if wanted(of, tier) and (ROOT / path).exists()]


def python_jobs(tiers: Tiers, tier: str) -> list[PythonJob]:
    """The plain Python tests of a tier: most of them, and those that wait more than they compute."""
    paths = python_paths(tiers, tier)
    apart = [path for path in tiers.apart if any(Path(path).is_relative_to(whole) for whole in paths)]
    return [PythonJob("pytest", tuple(paths), tuple(apart)), PythonJob("pytest-apart", tuple(apart), waits=True)]


def python_verdict(case: ElementTree.Element) -> Verdict:
    """One case of pytest's file."""
    group, name = case.get("classname", ""), case.get("name", "")
    seconds = float(case.get("time") or 0)
    again = f".venv/bin/python -m pytest {group.replace('.', '/')}.py -k '{name.partition('[')[0]}'"
    for child in case:
        if child.tag in ("failure", "error"):
            return Verdict(f"{group}::{name}", "failed", seconds, child.text or child.get("message") or "", again)
        if child.tag == "skipped":
            return Verdict(f"{group}::{name}", "skipped", seconds, child.get("message") or "")
    return Verdict(f"{group}::{name}", "passed", seconds)


def folder(job: Job) -> Path:
    """Where a job's run writes."""
    return OUT / job.label


def spec_of(job: Job, tool: Tool, *, cover: bool = False) -> SimSpec:
    """What a job simulates. Counted coverage is that of the small device that Icarus simulates, where there is one."""
    if job.top != "tb_top":
        return unit_spec(tool, job.top, parameters=job.parameters)
    counting = cover and tool.kind == "verilator"
    conns = small_conns(job) if counting else job.built_conns
    return chimney_spec(tool, data_w=job.data_w, conns=conns, coverage=counting, extra_parameters=job.parameters)


def power_of_two(number: int) -> int:
    """The least power of two that is not below a number."""
    return 1 << max(0, number - 1).bit_length()


def small_conns(job: Job) -> int:
    """The fewest connections that the job's test is built for on any simulator, if they suffice here."""
    twins = [other.built_conns for other in load().jobs if (other.name, other.data_w) == (job.name, job.data_w)]
    return power_of_two(max(min(twins), job.settings.get("conns", 1)))


def settings_of(job: Job, config: RunConfig, directory: Path) -> RunConfig:
    """The configuration of a job's run."""
    return replace(
        config,
        **{**({"seed": config.seed} if config.seed_given else {}), **job.settings},
        sim=job.simulator,
        data_w=job.data_w or 512,
        out=directory,
    )


def run_job(
    job: Job, tool: Tool, config: RunConfig, directory: Path | None = None
) -> tuple[RunResult | None, str, float]:
    """Build and run one job, in its own folder or in this one: what came of it, why there is nothing, seconds."""
    started = time.monotonic()
    directory = directory or folder(job)
    settings = settings_of(job, config, directory)
    for stale in directory.glob(NUMBERS):
        stale.unlink()
    try:
        built = build(spec_of(job, tool, cover=config.cover))
        result = run(
            built,
            job.module,
            directory,
            config=settings,
            plusargs=job.plusargs,
            timeout=job.timeout,
            testcase=job.testcase,
            extra_env={"PYTHONWARNINGS": "ignore::DeprecationWarning"},
        )
    except BuildError as error:
        return None, str(error), time.monotonic() - started
    return result, result.problem, time.monotonic() - started


def take_job(job: Job, outcome: tuple[RunResult | None, str, float], config: RunConfig, report: Report) -> None:
    """The verdicts and numbers of one finished job."""
    result, problem, seconds = outcome
    directory = result.directory if result is not None else folder(job)
    again, story, key = replay_command(directory), story_of(directory), key_of(directory)
    if result is not None:
        for case in result.outcomes:
            name = f"{job.label}::{case.name.rpartition('.')[2]}"
            alike = report.stories.setdefault(key, name) if case.status == "failed" and key and story else name
            message, story = (story or case.message, "") if case.status == "failed" else (case.message, story)
            other = "" if alike == name else alike
            report.add(Verdict(name, case.status, case.seconds, message, again, job.simulator, other))
        for path in result.directory.glob(NUMBERS):
            numbers = json.loads(path.read_text())
            report.count(job.simulator, int(numbers.get("commits_compared", 0)), int(numbers.get("frames_compared", 0)))
            report.liveness += [numbers["liveness"]] if numbers.get("liveness") else []
            report.uvm_errors += sum(str(p).startswith("UVM_ERROR") for p in numbers.get("problems", []))
    if problem:
        log = f"\nlog: {result.log}" if result is not None else ""
        report.add(Verdict(f"{job.label}::runs", "failed", seconds, problem + log, again, job.simulator))


def tiers_without(tools: dict[str, Tool | None], tiers: Tiers) -> Iterator[Job]:
    """All jobs; on a machine without Verilator, Icarus takes over what a tier has on Verilator only."""
    alone = tools.get("verilator", ...) is None
    on_verilator = {(job.name, job.data_w): job.tier for job in tiers.jobs if job.simulator == "verilator"}
    for job in tiers.jobs:
        tier = on_verilator.get((job.name, job.data_w), job.tier)
        earlier = job.simulator == "icarus" and wanted(tier, job.tier)
        yield replace(job, tier=tier) if alone and earlier else job


def seeded(jobs: Iterator[Job], config: RunConfig) -> Iterator[Job]:
    """In a regression every job of the whole device once for each seed, in a folder of its own."""
    for job in jobs:
        if config.command != "regress":
            yield job
        elif job.top == "tb_top":
            for seed in config.seeds:
                yield replace(job, name=f"{job.name}-s{seed}", settings={**job.settings, "seed": seed})


def candidates(config: RunConfig, tiers: Tiers, tier: str, tools: dict[str, Tool | None]) -> Iterator[Job]:
    """The simulations of the tier on the simulators of this call, whatever their names."""
    for job in seeded(tiers_without(tools, tiers), config):
        if job.simulator in tools and wanted(job.tier, tier):
            yield job


def in_no_job(config: RunConfig, tiers: Tiers, tier: str, tools: dict[str, Tool | None]) -> list[str]:
    """Those words of TEST that no simulation of this call has in its name."""
    labels = [job.label for job in candidates(config, tiers, tier, tools)]
    return [word for word in (config.test or "").split() if not any(word in label for label in labels)]


def refuse_unknown(
    config: RunConfig, tiers: Tiers, tier: str, tools: dict[str, Tool | None], *, python: bool
) -> ConfigError | None:
    """ConfigError if a word of TEST is in no name. A word alone that only pytest knows is left to it: its answer."""
    unknown = in_no_job(config, tiers, tier, tools)
    absent = [word for word in unknown if not (python and may_be_python(word))]
    if absent:
        raise nothing_has(absent, tiers)
    if not unknown:
        return None
    if len((config.test or "").split()) == 1:
        print("no simulated test has this in its name; pytest looks among the others", flush=True)
        return nothing_has(unknown, tiers)
    print(f"no simulated test has {' or '.join(unknown)} in its name; pytest looks among the others", flush=True)
    found = in_python(unknown, python_paths(tiers, tier))
    if absent := [word for word in unknown if word not in found]:
        raise nothing_has(absent, tiers)
    return None


def simulated_jobs(
    config: RunConfig, tiers: Tiers, tier: str, tools: dict[str, Tool | None], report: Report
) -> Iterator[tuple[Job, Tool]]:
    """The simulations of the tier; those that cannot be run get their verdict here."""
    for job in candidates(config, tiers, tier, tools):
        tool = tools[job.simulator]
        if not config.selects(job.label):
            continue
        if tool is None:
            if job.simulator == "icarus":
                report.add(Verdict(job.label, "skipped", 0, "no-icarus: Icarus Verilog is not installed", "", "icarus"))
        elif (lack := MISSING[job.settings.get("peer", "python")]()) is not None:
            report.add(Verdict(job.label, "skipped", 0, lack, "", job.simulator))
        elif job.exempt:
            report.add(Verdict(job.label, "skipped", 0, f"exempt on icarus: {job.exempt}", "", job.simulator))
        else:
            yield job, tool


def run_tests(
    config: RunConfig, tiers: Tiers, tier: str, tools: dict[str, Tool | None], report: Report, *, python: bool
) -> None:
    """Run the tier, as many jobs at a time as there are cores (JOBS); pytest is the first of them, and one of them.

    The Python tests that mostly wait run beside them, in a thread of their own.
    """
    jobs = list(simulated_jobs(config, tiers, tier, tools, report))
    plain = python_jobs(tiers, tier) if python else []
    futures: list[tuple[Job, Future[tuple[RunResult | None, str, float]]]] = []
    calls: list[tuple[PythonJob, Future[int]]] = []
    taken = 0
    with (
        Meter("tests", len(jobs) + len(plain)) as meter,
        ThreadPoolExecutor(max_workers=config.jobs) as pool,
        ThreadPoolExecutor(max_workers=1) as waiting,
    ):
        try:
            for of_python in plain:
                where = waiting if of_python.waits else pool
                calls.append((of_python, where.submit(meter.around(of_python.name, run_python), config, of_python)))
            futures += [(job, pool.submit(meter.around(job.label, run_job), job, tool, config)) for job, tool in jobs]
            for job, future in futures:
                outcome = future.result()
                taken += 1
                take_job(job, outcome, config, report)
            while calls:
                of_python, status = calls.pop(0)
                take_python(status, of_python, report)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            over = [(job, future) for job, future in futures[taken:] if future.done() and not future.cancelled()]
            played = [(job, future) for job, future in calls if future.done() and not future.cancelled()]
            end_all()
            for job, future in over:  # what ended before the interrupt counts
                take_job(job, future.result(), config, report)
            for of_python, status in played:
                take_python(status, of_python, report)
            raise


def floors(tiers: Tiers, tools: dict[str, Tool | None], report: Report, *, cover: bool = False) -> Iterator[Verdict]:
    """The run checks itself: enough was compared, not too much was exempted.

    Bounds of waiting are not judged by jobs on Icarus alone, which are too short for a jam, nor by those that were
    built for code coverage (``cover``), which have four connections where the bounds are for many.
    """
    for simulator, floor in tiers.floors.items():
        if tools.get(simulator) is not None:
            count = report.commits.get(simulator, 0)
            yield Verdict(
                f"floor::{simulator}",
                "passed" if count >= floor else "failed",
                message=f"{count} commits compared on {simulator}, at least {floor} are wanted",
                again=f"make test SIM={simulator}",
            )
    if report.liveness and report.commits.keys() != {"icarus"} and not cover:
        wide = too_wide(report.liveness)
        again = "make test; the table is in model/device/bounds.py"
        yield Verdict("floor::liveness", "failed" if wide else "passed", 0, "\n".join(wide), again)
    jobs = {simulator: [job for job in tiers.jobs if job.simulator == simulator] for simulator in SIMULATORS}
    of_icarus = {(job.name, job.data_w) for job in jobs["icarus"]}
    absent = [job.label for job in jobs["verilator"] if (job.name, job.data_w) not in of_icarus]
    exempt = [job.label for job in jobs["icarus"] if job.exempt]
    share = len(exempt) / len(jobs["verilator"])
    yield Verdict(
        "floor::exemptions",
        "passed" if share <= tiers.exempt_share and not absent else "failed",
        message=f"{len(exempt)} of {len(jobs['verilator'])} jobs are exempt on icarus; "
        f"not there at all, without a reason: {', '.join(absent) or 'none'}",
    )


def sabotages(tools: dict[str, Tool | None]) -> Iterator[Verdict]:
    """A draw of sabotages, by the hash of the commit: each must be caught, the edit that changes nothing must pass."""
    from tb.sabotage.run import draw, run_ids

    if tools.get("icarus") is None:
        yield Verdict("sabotage", "skipped", message="no-icarus: sabotages are built with Icarus")
        return
    for outcome in run_ids(draw(commit_hash(), SABOTAGES)):
        yield Verdict(
            f"sabotage::{outcome.sabotage.id}",
            "passed" if outcome.caught and not outcome.error else "failed",
            outcome.seconds,
            outcome.line(),
            f"make sabotage ID={outcome.sabotage.id}",
            "icarus",
        )


def commit_hash() -> str:
    """The commit of the tree, without a mark for local changes."""
    return commit_id().removesuffix("-dirty")


def main(config: RunConfig) -> int:
    """Run the tier; the last line printed is 'N passed, N failed'."""
    if config.dut is not None:
        from tb.owndut.run import main as own

        return own(config)
    if config.patch is not None:
        raise ConfigError(
            "PATCH is for a device of your own here",
            f"PATCH={config.patch}",
            "give its folder as DUT, too; a diff of hdl/ or model/ is for `make sabotage PATCH=`",
        )
    tier = chosen_tier(config)
    tools = chosen_tools(config)
    tiers = load()
    nothing = refuse_unknown(config, tiers, tier, tools, python=not config.sim_given)  # before anything is lost
    print("simulators: " + ", ".join(f"{tool.label if tool else f'{kind} missing'}" for kind, tool in tools.items()))
    OUT.mkdir(parents=True, exist_ok=True)
    with claimed(OUT, shown(OUT), "wait for it, or end it"):
        return tier_run(config, tiers, tier, tools, nothing)


def tier_run(
    config: RunConfig, tiers: Tiers, tier: str, tools: dict[str, Tool | None], nothing: ConfigError | None
) -> int:
    """Run what was selected; `nothing` is raised if no test was found after all, and then nothing is written."""
    started = time.monotonic()
    report = Report(required=config.require)
    everything = not config.sim_given
    try:
        if config.sim_given:
            print(f"SIM={config.sim}: only the simulated tests, without lint, model tests and sabotages")
        if config.test is None and everything:
            lint(report)
        run_tests(config, tiers, tier, tools, report, python=everything)
        if nothing is not None and not report.verdicts:
            raise nothing
        if config.test is None and everything:
            for verdict in sabotages(tools):
                report.add(verdict)
        if config.test is None:
            for verdict in floors(tiers, tools, report, cover=config.cover):
                report.add(verdict)
        report.complete = True
    finally:
        report.seconds = time.monotonic() - started
        if nothing is None or report.verdicts:
            report.write(OUT)
    print(f"results: {Path('sim_build/test/summary.json')}, {Path('sim_build/test/junit.xml')}; {report.seconds:.0f} s")
    print("\n".join(report.verdict_lines()))
    print(report.closing_line(), flush=True)
    return 0 if report.passed else 1
