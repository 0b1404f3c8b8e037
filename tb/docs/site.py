"""The pages as Sphinx takes them, and what Sphinx made of them looked at once more."""

from __future__ import annotations

import html
import os
import posixpath
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

from tb.docs.links import Link, links, resolve
from tb.docs.reference import FOLDER as GENERATED
from tb.docs.sections import FRONT

#: Where copies of linked files of the repository lie in the site.
FILES = "files"
PICTURES = (".png", ".svg", ".jpg", ".gif")
#: Not copied with a folder.
PRIVATE = ("__pycache__",)
CONF = """# Written by tb/docs/site.py.
project = "Chimney"
author = copyright = "the Chimney authors"
extensions = ["myst_parser"]
root_doc = "index"
html_theme = "alabaster"
html_theme_options = {
    "show_powered_by": False, "github_button": False, "fixed_sidebar": True, "sidebar_width": "260px",
    "page_width": "96%", "body_max_width": "none",
    "description": "A TCP chimney offload NIC, held to a golden model event by event",
}
html_sidebars = {"**": ["about.html", "searchfield.html", "navigation.html"]}
html_copy_source = html_show_sourcelink = False
html_extra_path = ["extra"]
exclude_patterns = ["extra"]
highlight_language = "none"
myst_heading_anchors = 6
suppress_warnings = ["myst.header"]  # a page may begin below its title or leave out a level
"""


def staged_name(page: str) -> str:
    """Where a page lies in the site's sources: docs/ is its root, the README its front page."""
    if page == FRONT:
        return "index.md"
    return page.removeprefix("docs/") if page.startswith("docs/") else page.lower()


def stage(root: Path, pages: Mapping[str, str], sections: Mapping[str, Sequence[str]], source: Path) -> None:
    """Write the pages with their links turned to where things lie in the site, line for line; copy what they name."""
    shutil.rmtree(source, ignore_errors=True)
    (source / "extra" / FILES).mkdir(parents=True)
    (source / "conf.py").write_text(CONF)
    copied: set[str] = set()
    for name, text in pages.items():
        here = source / staged_name(name)
        here.parent.mkdir(parents=True, exist_ok=True)
        here.write_text(turned(root, name, text, pages, copied) + (contents(sections) if name == FRONT else ""))
    for path in sorted(copied):
        if path.endswith(PICTURES):
            target = source / staged_name(path)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(root / path, target)
        else:
            copy(root, path, source / "extra" / FILES)


def contents(sections: Mapping[str, Sequence[str]]) -> str:
    """The table of contents behind the front page: one tree a part."""
    parts = [_toctree(section, [staged_name(page) for page in listed]) for section, listed in sections.items()]
    return "\n".join(parts)


def _toctree(caption: str, names: Sequence[str]) -> str:
    rows = "\n".join(name.removesuffix(".md") for name in names)
    return f"\n```{{toctree}}\n:hidden:\n:maxdepth: 1\n:caption: {caption}\n\n{rows}\n```\n"


def turned(root: Path, name: str, text: str, pages: Mapping[str, str], copied: set[str]) -> str:
    """A page with its links as they are in the site; adds to `copied` what it needs beside the pages."""
    for link in reversed(list(links(text))):
        if not link.outside and link.path:
            text = text[: link.start] + _target(root, name, link, pages, copied) + text[link.end :]
    return text


def _target(root: Path, name: str, link: Link, pages: Mapping[str, str], copied: set[str]) -> str:
    folder = posixpath.dirname(staged_name(name)) or "."
    target = resolve(name, link.path)
    if target in pages:
        return posixpath.relpath(staged_name(target), folder) + (f"#{link.anchor}" if link.anchor else "")
    copied.add(target)
    if target.endswith(PICTURES):
        return posixpath.relpath(staged_name(target), folder)
    # An address with a scheme is nothing that Sphinx resolves; `unscheme` takes it off again.
    return SCHEME + posixpath.relpath(f"{FILES}/{shown_as(target, (root / target).is_dir())}", folder)


#: Before the address of a copied file while Sphinx works.
SCHEME = "https://copied.invalid/"


def shown_as(path: str, folder: bool) -> str:
    """The name of a copy: text that a browser shows and does not save; a list for a folder."""
    return f"{path}/files.html" if folder else f"{path}.txt"


def copy(root: Path, path: str, target: Path) -> None:
    """Copy a file, or a folder with a list of what is in it."""
    if not (root / path).is_dir():
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / path, target / shown_as(path, False))
        return
    (target / path).mkdir(parents=True, exist_ok=True)
    rows = []
    for inner in sorted((root / path).iterdir()):
        if inner.name in PRIVATE:
            continue
        copy(root, f"{path}/{inner.name}", target)
        shown = shown_as(inner.name, inner.is_dir())
        rows.append(f'<li><a href="{html.escape(shown)}">{html.escape(inner.name)}</a></li>')
    listing = f"<!DOCTYPE html><meta charset='utf-8'><title>{html.escape(path)}</title><ul>{''.join(rows)}</ul>"
    (target / path / "files.html").write_text(listing)


def unscheme(site: Path) -> None:
    """Make the addresses of copied files relative again."""
    for file in site.rglob("*.html"):
        text = file.read_text()
        if SCHEME in text:
            file.write_text(
                text.replace(f'class="reference external" href="{SCHEME}', f'href="{SCHEME}').replace(SCHEME, "")
            )


@dataclass
class _Page(HTMLParser):
    """What one HTML file links to, loads, and can be linked to at."""

    targets: list[tuple[int, str]] = field(default_factory=list)
    loaded: list[tuple[int, str]] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.ids |= {given[name] for name in ("id", "name") if name in given}
        where = self.getpos()[0]
        loads = given.get("src") or (given.get("href") if tag == "link" else None)
        if loads:
            self.loaded.append((where, loads))
        if target := loads or given.get("href"):
            self.targets.append((where, target))


def check_site(site: Path) -> list[str]:
    """What is wrong with built pages: links to nothing, and anything that would be loaded from a network."""
    parsed: dict[Path, _Page] = {}
    for file in sorted(site.rglob("*.html")):
        page = parsed[file.resolve()] = _Page()
        page.feed(file.read_text())
    problems: list[str] = []
    for file, page in parsed.items():
        name = os.path.relpath(file, site.resolve())
        remote = re.compile(r"^(?:[a-z]+:)?//", re.IGNORECASE)
        problems += [f"{name}:{line}: loads {what}" for line, what in page.loaded if remote.match(what)]
        for line, target in page.targets:
            path, _, anchor = target.partition("#")
            if ":" in path.partition("/")[0] or remote.match(target):
                continue
            found = (file.parent / unquote(path.partition("?")[0])).resolve() if path else file
            missing = not found.is_file()
            lost = anchor and found in parsed and unquote(anchor) not in parsed[found].ids
            if missing or lost:
                problems.append(f"{name}:{line}: {target}: {'no such file' if missing else 'no such anchor'}")
    for sheet in sorted(site.rglob("*.css")):
        if re.search(r"(?:@import\s+|url\()\s*[\"']?(?:https?:)?//", sheet.read_text()):
            problems.append(f"{os.path.relpath(sheet, site)}: loads from a network")
    return problems


def generated_sections(made: Sequence[str]) -> dict[str, list[str]]:
    """The part of the generated pages."""
    return {"Generated reference": sorted(made, key=lambda name: (name != f"{GENERATED}/hdl.md", name))}
