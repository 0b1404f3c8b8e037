"""The pictures of docs/report.md, taken of a real run in a headless Chromium.

`pictures` is the function that `make pictures` calls: it runs a traced session, writes its report, and takes each view.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tb.config import ROOT
from tb.report.chromium import Browser
from tb.report.command import write_report

OUT = ROOT / "docs" / "pictures"
SESSION = ROOT / "sim_build" / "pictures" / "report"
#: The run that is shown: RTL, so that there are waves to open; lossy, so that there is something to see.
RUN = ("run", "--sim", "icarus", "--data-w", "64", "--size", "48K", "--loss", "0.04", "--trace")
WIDTH, HEIGHT = 1280, 760
#: Name of a picture, and what brings its view up.
_RETRANSMISSION = (
    "(() => { const own = Report.connections; const mark = own.charts[0].marks.find((one) => one.style === 'again'); "
    "own.choose(mark.target); document.querySelector('#connections .connection').scrollIntoView(); scrollBy(0, -60); "
    "})()"
)
VIEWS = (
    ("report-connection.png", _RETRANSMISSION),
    ("report-ladder.png", "(() => { document.getElementById('ladder').scrollIntoView(); scrollBy(0, -110); })()"),
)


def take(report: Path, out: Path = OUT) -> tuple[Path, ...]:
    """Pictures of a report that holds a trace with retransmissions."""
    out.mkdir(parents=True, exist_ok=True)
    taken = []
    with Browser(WIDTH, HEIGHT) as browser:
        browser.size(WIDTH, HEIGHT)
        browser.dark(dark=False)
        browser.open(report)
        for name, script in VIEWS:
            browser.run(script)
            browser.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
            browser.picture(out / name)
            taken.append(out / name)
    return tuple(taken)


def pictures(out: Path = OUT) -> tuple[Path, ...]:
    """Run the session, report it, take the pictures; their paths."""
    command = [sys.executable, "-m", "tb", *RUN, "--out", str(SESSION)]
    subprocess.run(command, cwd=ROOT, check=True)
    return take(write_report(SESSION).path, out)
