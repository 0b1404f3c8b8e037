"""The parts of the page that are tables: each takes what was read and gives HTML that works without a script."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tb.farm.results import RunRow
from tb.report.artifacts import (
    Artifacts,
    Share,
    Trend,
    bins_of,
    blind_spots,
    impossible_by_group,
    listed_sabotages,
    made_by,
    numbers_of,
    shares,
    trends,
)
from tb.report.buckets import Bucket, shown_seeds
from tb.report.markup import Html, packed_block, table, tag
from tb.report.results import FAILED, LOST, NOT_RUN, PASSED, STATUSES, Figure, Job, Results

#: Rows of a list that the page holds, at most.
MOST_ROWS = 2000
#: A chart of a trend: its size in px.
CHART_WIDTH, CHART_HEIGHT, CHART_MARGIN = 260, 60, 6
SHOWN_STATUS = {PASSED: "passed", FAILED: "failed", LOST: "lost", NOT_RUN: "not run"}


def section(name: str, title: str, *children: object) -> Html:
    """A part of the page with its heading."""
    return tag("section", tag("h2", title), *children, id=name, aria_label=title)


def note(*children: object) -> Html:
    """A remark."""
    return tag("p", *children, class_="note")


def status_tag(status: str) -> Html:
    """A status in words and colour."""
    return tag("span", SHOWN_STATUS.get(status, status), class_=f"status {status}")


def command(line: str) -> Html:
    """A command with a button that copies it."""
    return tag(
        "span", tag("code", line), tag("button", "copy", type="button", class_="copy", data_copy=line),
        class_="command",
    )  # fmt: skip


def counts(jobs: Sequence[Job]) -> dict[str, int]:
    """Jobs by status."""
    return {status: sum(job.status == status for job in jobs) for status in STATUSES}


# ---- summary --------------------------------------------------------------------------------------


def summary(results: Results, found: Sequence[Bucket]) -> Html:
    """Counts, the run, what was retried and lost."""
    run, jobs, number = results.run, results.jobs, counts(results.jobs)
    cards = [("jobs", len(jobs), "")] + [(SHOWN_STATUS[s], number[s], s if number[s] else "") for s in STATUSES]
    cards += [("failure buckets", len(found), FAILED if found else "")]
    facts: list[tuple[str, object]] = [
        ("suite", run.suite), ("commit", run.commit_hash), ("started", run.started),
        ("seconds", f"{run.seconds:,.1f}" if run.seconds else ""), ("read from", results.source),
    ]  # fmt: skip
    shown = [tag("div", tag("dt", name), tag("dd", value)) for name, value in facts if value]
    retried = [job for job in jobs if job.attempts > 1 or (job.cause and job.status in (PASSED, FAILED))]
    lost = [job for job in jobs if job.status == LOST]
    unfinished = None if results.ended else note("The run did not come to its end: what follows is what was done.")
    over = note(f"{results.time_over} jobs were not run: the time of the run was over.") if results.time_over else None
    return section(
        "summary", "Summary",
        tag("p", results.verdict, class_=f"verdict {PASSED if results.good else FAILED}"), unfinished, over,
        tag("ul", [card(*one) for one in cards], class_="cards"), tag("dl", shown, class_="facts"),
        listed("Retried", retried, lambda job: f"{job.id}: {job.attempts} attempts; {job.cause}"),
        listed("Lost", lost, lambda job: f"{job.id}: {job.cause}"), by_test(jobs) if len(jobs) > 1 else None,
    )  # fmt: skip


def card(name: str, number: int, kind: str) -> Html:
    """A number with its name."""
    return tag("li", tag("b", f"{number:,}"), tag("span", name), class_=kind or None)


def listed(title: str, jobs: Sequence[Job], shown: Any) -> Html | None:
    """Jobs as a list, closed where it is long."""
    if not jobs:
        return None
    items = [tag("li", shown(job)) for job in jobs[:MOST_ROWS]]
    return tag("details", tag("summary", f"{title}: {len(jobs)}"), tag("ul", items), open=len(jobs) <= 8)


def by_test(jobs: Sequence[Job]) -> Html:
    """Jobs, results and seconds of each test."""
    groups: dict[tuple[str, str, int | None], list[Job]] = {}
    for job in jobs:
        groups.setdefault((job.test, job.simulator, job.width), []).append(job)
    rows = []
    for (test, simulator, width), members in sorted(groups.items(), key=lambda one: (one[0][:2], one[0][2] or 0)):
        number = counts(members)
        cells: list[object] = [tag("th", test, scope="row"), simulator, width or "", len(members)]
        cells += [tag("td", number[s] or "", class_=f"number {s if number[s] else ''}") for s in STATUSES]
        rows.append([*cells, f"{sum(job.seconds for job in members):,.1f}"])
    head = ("test", "simulator", "bits", "jobs", *(SHOWN_STATUS[s] for s in STATUSES), "seconds")
    shown = table(head, rows[:MOST_ROWS], class_="sortable")
    cut = note(f"{MOST_ROWS:,} of {len(rows):,} tests are listed.") if len(rows) > MOST_ROWS else None
    return tag("details", tag("summary", f"By test: {len(rows)}"), shown, cut, open=len(rows) <= 12)


# ---- failures -------------------------------------------------------------------------------------


def failures(found: Sequence[Bucket], traced: Mapping[str, str]) -> Html:
    """The buckets. `traced` says which failure key has a trace in the page, and its id."""
    if not found:
        return section("failures", "Failures", note("No job failed."))
    about = (
        f"{sum(len(bucket.jobs) for bucket in found)} failed jobs in {len(found)} buckets: same failure, same bucket."
    )
    return section("failures", "Failures", note(about), [bucket_part(one, traced.get(one.key)) for one in found])


def bucket_part(bucket: Bucket, trace: str | None) -> Html:
    """A bucket: what must hold, the first divergence, how often and where, how to see it again."""
    record = bucket.record
    rows: list[tuple[str, object]] = [
        ("must hold", record.get("must_hold")), ("rule", record.get("rule")), ("reference", record.get("reference")),
        ("check", record.get("check")), ("cycle", record.get("cycle")), ("connection", record.get("connection")),
        ("expected", record.get("expected")), ("got", record.get("got")), ("seeds", shown_seeds(bucket.seeds)),
        ("tests", ", ".join(bucket.tests[:20])),
        ("replay", command(bucket.replay) if bucket.replay else "no command was recorded"),
    ]  # fmt: skip
    facts = [tag("div", tag("dt", name), tag("dd", value)) for name, value in rows if value not in (None, "")]
    events = record.get("last_events")
    told = tag("ol", [tag("li", str(one)) for one in events], class_="events") if isinstance(events, list) else None
    link = tag("a", "look at its connections", href="#connections", data_trace=trace) if trace else None
    jobs = [tag("li", job.id, " ", tag("small", job.folder)) for job in bucket.jobs[:200]]
    more = len(bucket.jobs) - len(jobs)
    times = tag("span", f"{len(bucket.jobs)}\N{MULTIPLICATION SIGN}", class_="count")
    return tag(
        "article", tag("h3", times, " ", bucket.title), tag("dl", facts, class_="facts"), told, link,
        tag("details", tag("summary", "jobs"), tag("ul", jobs), note(f"and {more} more") if more else None),
        class_="bucket", data_key=bucket.key,
    )  # fmt: skip


# ---- plan -----------------------------------------------------------------------------------------

PLAN_STATUS = {"pass": PASSED, "fail": FAILED, "untested": NOT_RUN, "not_applicable": "excluded"}


def plan(artifacts: Artifacts) -> Html:
    """The rules of the contract with their results; each test is named once, rules have its number."""
    found = artifacts.plan
    if found is None:
        return section("plan", "Plan", absent(artifacts, "sim_build/plan/plan.json"))
    rules = [rule for rule in found["rules"] if isinstance(rule, dict)]
    devices = sorted({name for rule in rules for name in rule.get("triggers", {})})
    names = sorted({str(one) for rule in rules for one in rule.get("tests", ())})
    numbers = {name: number for number, name in enumerate(names, 1)}
    rows = []
    for rule in rules:
        status = str(rule.get("status", ""))
        tests = [str(one) for one in rule.get("tests", ())]
        listed_there = tag("span", ranges([numbers[one] for one in tests]))
        shown = tag("details", tag("summary", len(tests)), "numbers ", listed_there, class_="tests") if tests else "0"
        rows.append([
            tag("th", rule.get("id", ""), scope="row"), rule.get("where", ""),
            tag("span", status, class_=f"status {PLAN_STATUS.get(status, '')}"),
            *(rule.get("triggers", {}).get(device, 0) for device in devices), shown,
            ", ".join(str(one) for one in rule.get("sabotages", ())), rule.get("reason", ""),
        ])  # fmt: skip
    totals = {status: sum(rule.get("status") == status for rule in rules) for status in PLAN_STATUS}
    about = ", ".join(f"{number} {status.replace('_', ' ')}" for status, number in totals.items() if number)
    head = ("rule", "where", "status", *(f"triggers, {device}" for device in devices), "tests", "sabotages", "reason")
    shown_table = table(head, rows, class_="sortable filtered")
    items = tag("ol", [tag("li", name) for name in names])
    index = tag("details", tag("summary", f"Tests by number: {len(names):,}"), items, id="plan-tests")
    head_note = note(f"{len(rules)} rules: {about}.")
    return section("plan", "Plan", head_note, filter_field("plan", "rules"), shown_table, index if names else None)


def ranges(numbers: Iterable[int]) -> str:
    """Numbers in order, neighbours as a range: `1-3, 7`."""
    found: list[list[int]] = []
    for number in sorted(set(numbers)):
        if found and found[-1][1] == number - 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return ", ".join(str(low) if low == high else f"{low}-{high}" for low, high in found)


def filter_field(name: str, what: str) -> Html:
    """A field that hides rows of the table behind it."""
    field = tag("input", type="search", data_filter=name, placeholder="part of a row", autocomplete="off")
    return tag("label", f"filter {what} ", field, class_="filter")


def absent(artifacts: Artifacts, path: str) -> Html:
    """What is not there or cannot be used, and the command that makes it."""
    name, command_of = tag("code", path), tag("code", made_by(path))
    if path in artifacts.damaged:
        return note(name, " is damaged and left out; ", command_of, " makes it anew.")
    return note("There is no ", name, "; ", command_of, " makes it.")


# ---- coverage -------------------------------------------------------------------------------------


def coverage(artifacts: Artifacts) -> Html:
    """Shares, groups of bins, and every hole."""
    found = artifacts.coverage
    if found is None:
        return section("coverage", "Coverage", absent(artifacts, "sim_build/coverage/summary.json"))
    groups = bins_of(found)
    holes = [one for members in groups.values() for one in members if not one.get("hit") and not one.get("excluded")]
    hits = [one for members in groups.values() for one in members if one.get("hit")]
    left_out = [one for members in groups.values() for one in members if one.get("excluded")]
    gone = impossible_by_group(found)
    rows = [group_row(name, members, gone.get(name, 0)) for name, members in sorted(groups.items())]
    reasons = [one for one in found.get("impossible") or () if isinstance(one, dict)]
    kinds = ("kind", "hit", "of", "excluded", "impossible", "share")
    return section(
        "coverage", "Coverage", table(kinds, map(share_row, shares(found))),
        note(
            "Bins are products of enumerations; combinations that the design or the contract rules out are impossible "
            "and no bins: they are not in the total. A run that hits one is an error."
        ),
        tag("h3", "Functional bins by group"),
        table(("group", "bins", "hit", "excluded", "holes", "impossible"), rows, class_="sortable"),
        tag("h3", f"Holes: {len(holes)}"), bin_table(holes, ("group", "name"), "holes"),
        tag("h3", f"Excluded: {len(left_out)}"), bin_table(left_out, ("group", "name", "reason"), "excluded"),
        tag("h3", f"Impossible: {sum(gone.values()):,}"), bin_table(reasons, ("group", "bins", "reason"), "rows"),
        tag("h3", "First hit by"), first_hits(hits),
    )  # fmt: skip


def first_hits(bins: Sequence[Mapping[str, Any]]) -> Html:
    """The bins that were hit, for the page's script: which test and seed came first."""
    names = ("group", "name", "first_hit_by", "seed")
    rows = [["" if one.get(name) is None else one.get(name) for name in names] for one in bins]
    place = tag("div", id="hit-list", data_names="|".join(name.replace("_", " ") for name in names))
    field = tag("label", "filter bins ", tag("input", type="search", id="hit-filter", autocomplete="off"))
    count = tag("output", id="hit-count")
    controls = tag("p", field, " ", count, class_="controls")
    shown = tag("details", tag("summary", f"{len(bins):,} bins"), controls, place, id="hits")
    return Html(shown + packed_block("data-hits", rows))


def share_row(share: Share) -> list[object]:
    """A kind of coverage."""
    meter = tag("span", tag("i", style=f"width:{min(share.percent, 100):.1f}%"), class_="meter")
    return [
        tag("th", share.name, scope="row"), "" if share.hit is None else f"{share.hit:,}",
        "" if share.total is None else f"{share.total:,}", "" if share.excluded is None else f"{share.excluded:,}",
        "" if share.impossible is None else f"{share.impossible:,}", tag("td", meter, f" {share.percent:.2f} %"),
    ]  # fmt: skip


def group_row(name: str, members: Sequence[Mapping[str, Any]], impossible: int) -> list[object]:
    """A group of bins, and how many combinations are none."""
    excluded = sum(bool(one.get("excluded")) for one in members)
    hit = sum(bool(one.get("hit")) and not one.get("excluded") for one in members)
    holes = len(members) - excluded - hit
    return [
        tag("th", name, scope="row"), len(members), hit, excluded or "",
        tag("td", holes or "", class_=FAILED if holes else None), f"{impossible:,}" if impossible else "",
    ]  # fmt: skip


def bin_table(bins: Sequence[Mapping[str, Any]], names: tuple[str, ...], kind: str, *, closed: bool = False) -> Html:
    """Bins as a table, not more than MOST_ROWS."""
    if not bins:
        return note("None.")
    rows = [["" if one.get(name) is None else str(one.get(name)) for name in names] for one in bins[:MOST_ROWS]]
    shown = table([name.replace("_", " ") for name in names], rows, class_=f"sortable {kind}")
    cut = note(f"{MOST_ROWS:,} of {len(bins):,} are listed.") if len(bins) > MOST_ROWS else None
    what = "rows of exclusions.toml" if kind == "rows" else "bins"
    return tag("details", tag("summary", f"{len(bins):,} {what}"), shown, cut, open=len(bins) <= 200)


# ---- sabotages ------------------------------------------------------------------------------------


def sabotages(artifacts: Artifacts) -> Html:
    """How many errors put in on purpose were caught, which survived, and what is known not to be seen."""
    blind = blind_spots()
    spots = (
        table(("known blind spot", "rule", "note"), ([tag("th", one[0], scope="row"), *one[1:]] for one in blind))
        if blind
        else note("No sabotage of the lists in tb/sabotage is marked as a known blind spot.")
    )
    if artifacts.sabotages is None:
        made = absent(artifacts, "sim_build/sabotage/summary.json")
        return section("sabotages", "Sabotages", made, tag("h3", "Known blind spots"), spots)
    entries = artifacts.sabotages
    caught = sum(bool(one.get("caught")) for one in entries)
    rows = [
        [
            tag("th", one.get("id", ""), scope="row"), status_of(one), one.get("rule", ""), one.get("by_check", ""),
            one.get("by_field", ""), one.get("test", ""), one.get("file", ""),
        ]
        for one in sorted(entries, key=lambda one: (bool(one.get("caught")), str(one.get("id"))))
    ]  # fmt: skip
    known = listed_sabotages()
    tried = len(known & {str(one.get("id")) for one in entries})
    score = (
        f"{caught} of {len(entries)} as they should be ({100 * caught / len(entries):.1f} %); {tried} of the "
        f"{len(known)} of the lists in tb/sabotage were tried." if entries else "None."
    )  # fmt: skip
    head = ("sabotage", "result", "what is broken", "seen by check", "field", "test", "file")
    return section(
        "sabotages", "Sabotages", note(score), filter_field("sabotages", "sabotages"),
        table(head, rows, class_="sortable filtered"), tag("h3", "Known blind spots"), spots,
    )  # fmt: skip


def status_of(entry: Mapping[str, Any]) -> Html:
    """What came of a sabotage."""
    if entry.get("error"):
        return tag("span", "error", class_=f"status {LOST}")
    if entry.get("not_judged"):
        return tag("span", "not judged: out of time", class_=f"status {LOST}")
    good = bool(entry.get("caught"))
    return tag("span", "as it should be" if good else "survived", class_=f"status {PASSED if good else FAILED}")


# ---- trend ----------------------------------------------------------------------------------------


def trend(results: Results, artifacts: Artifacts) -> Html:
    """Figures over runs of the folder and of the bench, and those of the last bench."""
    bench = [
        [tag("th", name, scope="row"), f"{value:,.6g}", file] for file, name, value in numbers_of(artifacts.bench or {})
    ]
    history = artifacts.history
    shown = table(("figure", "value", "file"), bench, class_="sortable")
    return section(
        "trend", "Trend", trend_table(results.runs, results.figures, "of this folder"),
        tag("h3", "Bench"), trend_table(history.runs, history.figures, "of the bench on this tree"),
        tag("h3", "Last bench"),
        shown if bench else absent(artifacts, "sim_build/bench/bench.json"),
    )  # fmt: skip


def trend_table(runs: Sequence[RunRow], figures: Sequence[Figure], what: str) -> Html:
    """Every figure over the runs that measured it."""
    rows = [trend_row(one, runs) for one in trends(figures)]
    if not rows:
        return note(f"No figure over runs {what} was kept.")
    shown = table(("figure", "runs", "first", "last", "change", "course"), rows)
    return tag("div", note(f"Over {len(runs)} run(s) {what}."), shown)


def trend_row(one: Trend, runs: Sequence[RunRow]) -> list[object]:
    """A figure: its first and last value, and a line over all."""
    first, last = one.points[0][1], one.points[-1][1]
    change = f"{100 * (last - first) / abs(first):+.1f} %" if first and len(one.points) > 1 else ""
    unit = f" {one.unit}" if one.unit else ""
    dates = {run.id: run.started for run in runs}
    return [
        tag("th", one.name, scope="row"), len(one.points), f"{first:,.6g}{unit}", f"{last:,.6g}{unit}", change,
        tag("td", spark(one, dates)),
    ]  # fmt: skip


def spark(one: Trend, dates: Mapping[int, str]) -> Html:
    """The course of a figure as a small chart; each point says its run."""
    values = [value for _, value in one.points]
    low, high = min(values), max(values)
    inner_width, inner_height = CHART_WIDTH - 2 * CHART_MARGIN, CHART_HEIGHT - 2 * CHART_MARGIN
    places = [
        (
            CHART_MARGIN + (inner_width * at / (len(values) - 1) if len(values) > 1 else inner_width / 2),
            CHART_MARGIN + inner_height * (1 - (value - low) / (high - low) if high > low else 0.5),
        )
        for at, value in enumerate(values)
    ]
    line = tag("polyline", points=" ".join(f"{x:.1f},{y:.1f}" for x, y in places))
    dots = [
        tag(
            "circle",
            tag("title", f"run {run} {dates.get(run, '')}: {value:,.6g} {one.unit}"),
            cx=f"{x:.1f}",
            cy=f"{y:.1f}",
            r=3,
        )
        for (x, y), (run, value) in zip(places, one.points, strict=True)
    ]
    return tag(
        "svg", line, dots, class_="spark", width=CHART_WIDTH, height=CHART_HEIGHT, role="img",
        aria_label=f"{one.name} over {len(values)} runs",
    )  # fmt: skip


def job_rows(jobs: Iterable[Job]) -> list[list[object]]:
    """The jobs for the page's script, failed ones first."""
    order = {status: number for number, status in enumerate(STATUSES)}
    return [
        [
            job.status, job.id, job.test, job.simulator, job.width, job.seed, round(job.seconds, 2), job.attempts,
            job.title or job.cause, job.replay, job.folder,
        ]
        for job in sorted(jobs, key=lambda job: (order.get(job.status, 9), job.id))
    ]  # fmt: skip
