"""`make docs`: the documentation as HTML under sim_build/docs/html, offline, with its links checked.

The pages of the repository and the generated reference (tb/docs/reference.py) are looked at link by link, by page and
line; then Sphinx builds them with warnings as errors; then the HTML is looked at once more, also for anything that it
would load from a network.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from tb.config import ROOT, RunConfig
from tb.docs import links, reference, sections, site
from tb.files import write_json
from tb.progress import alone
from tb.sim.process import run_bounded

OUT = ROOT / "sim_build" / "docs"
SOURCE, HTML, LOG = OUT / "source", OUT / "html", OUT / "sphinx.log"
SUMMARY = OUT / "summary.json"
#: Seconds for Sphinx.
BOUND = 900.0
#: Problems shown before the rest is only counted.
SHOWN = 40


def main(config: RunConfig) -> int:
    """Check and build; 1 if a link leads nowhere or a page is not as it should be. summary.json has the same."""
    started = time.monotonic()
    own = own_pages(ROOT)
    made = reference.pages(ROOT)
    with alone("docs", f"{len(own) + len(made)} pages"):
        problems = built(own, made)
    seconds = time.monotonic() - started
    front = (HTML / "index.html").relative_to(ROOT)
    write_json(
        SUMMARY,
        {
            "pages": len(own),
            "generated": len(made),
            "seconds": round(seconds, 1),
            "index": None if problems else str(front),
            "problems": problems,
        },
    )
    if problems:
        return report(problems)
    print(f"{len(own)} pages, {len(made)} generated, in {seconds:.0f} s: {front}")
    return 0


def built(own: dict[str, str], made: dict[str, str]) -> list[str]:
    """Check the pages and build the site; what is wrong with them, a line each."""
    nav, problems = sections.in_order(list(own))
    problems += broken_links(ROOT, own, made)
    if problems:
        return problems
    nav |= site.generated_sections(list(made))
    site.stage(ROOT, own | made, nav, SOURCE)
    command = [sys.executable, "-m", "sphinx", "-b", "html", "-W", "--keep-going", "-q", "-d", str(OUT / "doctrees")]
    if run_bounded([*command, str(SOURCE), str(HTML)], cwd=ROOT, env=os.environ, log=LOG, timeout=BOUND) != 0:
        return LOG.read_text().replace(f"{SOURCE}/", "").splitlines()
    site.unscheme(HTML)
    return site.check_site(HTML)


def own_pages(root: Path) -> dict[str, str]:
    """The pages that lie in the repository: text by path below its root."""
    found = [root / "README.md", root / "CHANGELOG.md", *sorted((root / "docs").rglob("*.md"))]
    return {path.relative_to(root).as_posix(): path.read_text() for path in found}


def broken_links(root: Path, own: dict[str, str], made: dict[str, str]) -> list[str]:
    """Links to nothing. A page of the repository, which is read there too, may not name one that only the site has."""
    known = own | made
    problems = links.check(own, lambda path: (root / path).exists())
    return problems + [
        text for text in links.check(known, lambda path: (root / path).exists()) if text.partition(":")[0] in made
    ]


def report(problems: list[str]) -> int:
    """Print what is wrong."""
    for problem in problems[:SHOWN]:
        print(problem, file=sys.stderr)
    print(f"{len(problems)} problems in the documentation", file=sys.stderr)
    return 1
