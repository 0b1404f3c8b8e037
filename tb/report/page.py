"""The page: what was read, as one HTML file without anything from elsewhere."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path

from tb.report import sections
from tb.report.artifacts import Artifacts
from tb.report.buckets import Bucket
from tb.report.markup import Html, json_block, tag
from tb.report.results import STATUSES, Results
from tb.report.traces import Chosen

ASSETS = Path(__file__).with_name("assets")
#: The scripts, in the order in which they need each other.
SCRIPTS = ("base.js", "jobs.js", "trace.js", "chart.js", "ladder.js", "detail.js", "connections.js", "start.js")
PARTS = (
    ("summary", "Summary"), ("failures", "Failures"), ("connections", "Connections"), ("jobs", "Jobs"),
    ("plan", "Plan"), ("coverage", "Coverage"), ("sabotages", "Sabotages"), ("trend", "Trend"),
)  # fmt: skip


def page(results: Results, found: Sequence[Bucket], chosen: Chosen, artifacts: Artifacts) -> str:
    """The whole file."""
    script = "".join(f"// {name}\n{(ASSETS / name).read_text()}" for name in SCRIPTS)
    style = (ASSETS / "report.css").read_text()
    title = f"Chimney: {results.run.suite or 'report'} {results.run.started}".strip()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; base-uri 'none'"
    traced: dict[str, str] = {}
    for one in chosen.shown:
        traced.setdefault(one.job.failure_key, one.id)
    links = [tag("li", tag("a", name, href=f"#{part}")) for part, name in PARTS]
    head = tag(
        "head",
        tag("meta", charset="utf-8"), tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"), tag("title", title),
        tag("style", Html(style)),
    )  # fmt: skip
    body = tag(
        "body",
        tag("a", "skip to the results", href="#summary", class_="skip"),
        tag(
            "header", tag("h1", title),
            tag("nav", tag("ul", links), aria_label="parts of the report"),
            tag("button", "dark or light", type="button", id="theme"),
        ),
        tag(
            "main",
            sections.summary(results, found), sections.failures(found, traced), connections(chosen),
            jobs(results), sections.plan(artifacts), sections.coverage(artifacts), sections.sabotages(artifacts),
            sections.trend(results, artifacts),
        ),
        json_block("data-jobs", sections.job_rows(results.jobs)),
        json_block("data-traces", [one.facts for one in chosen.shown]),
        [one.block for one in chosen.shown],
        tag("script", Html(script)),
    )  # fmt: skip
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def jobs(results: Results) -> Html:
    """The place of the list of jobs; its script fills it."""
    controls = tag(
        "p",
        tag("label", "filter jobs ", tag("input", type="search", id="job-filter", autocomplete="off")), " ",
        tag("label", "status ", tag("select", tag("option", "all", value=""), [
            tag("option", sections.SHOWN_STATUS[one], value=one) for one in STATUSES
        ], id="job-status")), " ", tag("output", id="job-count"),
        class_="controls",
    )  # fmt: skip
    no_script = tag("noscript", sections.note("The list of jobs and the graphs need JavaScript."))
    return sections.section("jobs", "Jobs", controls, tag("div", id="job-list"), no_script)


def connections(chosen: Chosen) -> Html:
    """The place of the graphs."""
    notes = [sections.note(one) for one in chosen.notes]
    if not chosen.shown:
        how = sections.note(
            "No job of this folder left a trace. ", tag("code", "chimney run --trace"),
            " writes one; a job's folder holds it as ", tag("code", "commits.jsonl.gz"), ".",
        )  # fmt: skip
        return sections.section("connections", "Connections", how, notes)
    options = [tag("option", f"{one.job.id} ({one.job.status})", value=one.id) for one in chosen.shown]
    controls = tag(
        "p",
        tag("label", "job ", tag("select", options, id="trace-choice")), " ",
        tag("label", "connection ", tag("select", id="connection-choice")), " ",
        tag("label", "data ", tag(
            "select", tag("option", "sent by the device", value="sent"),
            tag("option", "received by the device", value="received"), id="direction-choice",
        )), " ",
        tag("label", tag("input", type="checkbox", id="edge-choice"), " scale to the window edge"), " ",
        [tag("button", name, type="button", data_zoom=what, title=title) for name, what, title in (
            ("\N{MINUS SIGN}", "out", "zoom out"), ("+", "in", "zoom in"), ("all", "all", "show everything"),
        )],
        class_="controls",
    )  # fmt: skip
    keys = sections.note(
        "Click an event, or walk with the arrow keys (Home and End: the first and last); + and - zoom, 0 shows all; "
        "drag in a graph to zoom into a range."
    )
    views = tag(
        "div", tag("div", id="graphs"), tag("h3", "Host, device, wire"), tag("div", id="ladder"), class_="views"
    )
    place = tag(
        "div", views,
        tag("aside", id="detail", aria_live="polite", aria_label="the event chosen", tabindex=0), class_="connection",
    )  # fmt: skip
    return sections.section(
        "connections", "Connections", notes, controls, tag("p", id="trace-note", class_="note"), keys, place
    )
