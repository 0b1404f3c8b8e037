"""The links of Markdown pages: where they stand, what they name, and whether that is there.

Only what lies in this repository is looked at. Addresses with a scheme (https:) are somebody else's and are not asked.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})")
CODE = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
#: `](target)`, `](target "title")`, `[label]: target`, `href="target"`, `src="target"`.
TARGETS = re.compile(
    r"\]\(\s*<?(?P<inline>[^()\s<>]*(?:\([^()\s]*\)[^()\s<>]*)*)>?(?:\s+\"[^\"]*\")?\s*\)"
    r"|^ {0,3}\[[^\]\n]+\]:\s*(?P<label>\S+)"
    r"|\b(?:href|src)=\"(?P<html>[^\"]*)\"",
    re.MULTILINE,
)
HEADING = re.compile(r"^ {0,3}#{1,6}\s+(.*?)\s*#*\s*$")
ANCHOR = re.compile(r"<a\s+(?:id|name)=\"([^\"]+)\"")
SCHEME = re.compile(r"^[a-zA-Z][a-zA-Z0-9+.-]*:|^//")


@dataclass(frozen=True)
class Link:
    """One link: its line (from 1), the target as written, and where the target stands in the text."""

    line: int
    target: str
    start: int
    end: int

    @property
    def outside(self) -> bool:
        """Whether it leaves the repository."""
        return SCHEME.match(self.target) is not None

    @property
    def path(self) -> str:
        """The target without its anchor; empty for the page itself."""
        return self.target.partition("#")[0]

    @property
    def anchor(self) -> str:
        """What stands behind `#`; empty without."""
        return self.target.partition("#")[2]


def links(text: str) -> Iterator[Link]:
    """The links of a page in their order. What stands in code or in a comment is none."""
    masked = without_code(text)
    for found in TARGETS.finditer(masked):
        group = str(found.lastgroup)
        start, end = found.span(group)
        yield Link(masked.count("\n", 0, start) + 1, found.group(group), start, end)


def without_code(text: str) -> str:
    """The text with code and comments made blank; every other character keeps its place."""
    lines, fence = [], ""
    for line in text.split("\n"):
        mark = FENCE.match(line)
        if fence:
            closes = mark and mark.group(1).startswith(fence) and not line.strip(" " + fence[0])
            lines.append(" " * len(line))
            fence = "" if closes else fence
        elif mark:
            fence = mark.group(1)
            lines.append(" " * len(line))
        else:
            lines.append(line)
    masked = "\n".join(lines)
    for pattern in (COMMENT, CODE):
        masked = pattern.sub(_blank, masked)
    return masked


def _blank(found: re.Match[str]) -> str:
    return re.sub(r"[^\n]", " ", found.group(0))


def anchors(text: str) -> set[str]:
    """What a link to this page may have behind `#`: its headings as GitHub writes them, and the anchors it sets."""
    found: set[str] = set(ANCHOR.findall(text))
    counts: dict[str, int] = {}
    blank = without_code(text).split("\n")
    for line, masked in zip(text.split("\n"), blank, strict=True):
        if masked.lstrip().startswith("#") and (heading := HEADING.match(line)):
            name = slug(heading.group(1))
            number = counts.get(name, 0)
            counts[name] = number + 1
            found.add(f"{name}-{number}" if number else name)
    return found


def slug(heading: str) -> str:
    """The anchor of a heading: small letters, words joined with `-`, marks left out."""
    plain = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    plain = re.sub(r"[`*]|<[^>]*>", "", plain)
    return re.sub(r"[^\w\- ]", "", plain.strip().lower()).replace(" ", "-")


def check(pages: Mapping[str, str], exists: Callable[[str], bool]) -> list[str]:
    """Each link that leads nowhere, as `page:line: what`.

    Args:
        pages: Texts by path below the root.
        exists: Whether there is a file or folder with this path below the root.
    """
    known = {name: anchors(text) for name, text in pages.items()}
    problems: list[str] = []
    for name, text in pages.items():
        for link in links(text):
            if link.outside:
                continue
            if problem := _problem(name, link, known, exists):
                problems.append(f"{name}:{link.line}: {link.target}: {problem}")
    return problems


def _problem(name: str, link: Link, known: Mapping[str, set[str]], exists: Callable[[str], bool]) -> str:
    target = resolve(name, link.path)
    if target.startswith("../") or target == "..":
        return "leaves the repository"
    if link.path.startswith("/"):
        return "a path from the root of a machine"
    if target not in known and not exists(target):
        return "no such file"
    if link.anchor and target not in known:
        return "an anchor in what is no page"
    if link.anchor and link.anchor not in known[target]:
        return f"no heading of {target} has this anchor"
    return "" if link.target else "an empty link"


def resolve(page: str, path: str) -> str:
    """The path below the root that a link of a page names; the page itself for an empty one."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(page), path)) if path else page


def check_files(root: Path, names: Sequence[str]) -> list[str]:
    """`check` on the pages with these paths below a folder."""
    texts = {name: (root / name).read_text() for name in names}
    return check(texts, lambda path: (root / path).exists())
