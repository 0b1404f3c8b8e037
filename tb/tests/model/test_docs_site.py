"""The documentation: links are found and judged by page and line; the reference says what the sources say."""

from __future__ import annotations

from pathlib import Path

import pytest

from tb.config import ROOT
from tb.docs import build, links, reference, sections, site

PAGES = {
    "README.md": "# Front\n\nSee [the way](docs/way.md#two-words-x) and [code](hdl/a.v), [out](https://example.org).\n",
    "docs/way.md": "# Way\n\n## Two words: `x`\n\n[up](../README.md#front) [a](#way)\n\n## Way\n\n[b](#way-1)\n",
}
FILES = {"hdl/a.v", "hdl"}


def problems(page: str, text: str) -> list[str]:
    return links.check({**PAGES, page: text}, FILES.__contains__)


def test_links_that_lead_somewhere_are_no_problem() -> None:
    assert links.check(PAGES, FILES.__contains__) == []


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("docs/gone.md", "no such file"),
        ("hdl/b.v", "no such file"),
        ("docs/way.md#nowhere", "no heading of docs/way.md has this anchor"),
        ("docs/way.md#way-2", "no heading of docs/way.md has this anchor"),
        ("#nowhere", "no heading of README.md has this anchor"),
        ("hdl/a.v#L3", "an anchor in what is no page"),
        ("../else.md", "leaves the repository"),
        ("", "an empty link"),
    ],
)
def test_a_link_to_nothing_is_told_with_page_and_line(target: str, said: str) -> None:
    assert problems("README.md", f"# Front\n\nwords\n[of two\nlines]({target}) behind\n") == [
        f"README.md:5: {target}: {said}"
    ]


@pytest.mark.parametrize(
    "written",
    ["![picture](gone.png)", "[name]: gone.png", '<img src="gone.png">', '[a](gone.png "title")', "[`code`](gone.png)",
     "| cell | [a](gone.png) |"],
)  # fmt: skip
def test_every_way_to_write_a_link_is_seen(written: str) -> None:
    assert problems("README.md", f"# Front\n\n{written}\n") == ["README.md:3: gone.png: no such file"]


@pytest.mark.parametrize(
    "written", ["```\n[a](gone)\n```", "~~~sh\n[a](gone)\n~~~", "`[a](gone)`", "``[a](gone) ` ``", "<!-- [a](gone) -->"]
)
def test_what_stands_in_code_or_a_comment_is_no_link_and_what_follows_is(written: str) -> None:
    line = written.count("\n") + 4
    assert problems("README.md", f"# Front\n\n{written}\n[b](lost)\n") == [f"README.md:{line}: lost: no such file"]


def test_no_page_of_the_tree_and_no_generated_page_has_a_link_to_nothing() -> None:
    own, made = build.own_pages(ROOT), reference.pages(ROOT)
    assert sum(len(list(links.links(text))) for text in own.values()) > 100
    assert build.broken_links(ROOT, own, made) == []


def test_a_page_of_the_tree_may_not_name_one_that_only_the_site_has() -> None:
    own = {"docs/a.md": "# A\n\n[blocks](reference/hdl.md)\n"}
    found = build.broken_links(ROOT, own, {"docs/reference/hdl.md": "# Blocks\n\n[a](../a.md)\n"})
    assert found == ["docs/a.md:3: reference/hdl.md: no such file"]


def test_every_page_of_the_tree_is_in_one_part_of_the_documentation() -> None:
    nav, wrong = sections.in_order(list(build.own_pages(ROOT)))
    assert wrong == []
    listed = [page for pages in nav.values() for page in pages]
    assert len(listed) == len(set(listed))


def test_a_page_in_no_part_and_a_name_without_a_page_are_told() -> None:
    pages = [page for page in build.own_pages(ROOT) if page != "docs/layout.md"]
    _, wrong = sections.in_order([*pages, "docs/new.md"])
    assert wrong == [
        "tb/docs/sections.py: Reference names docs/layout.md, which is not there",
        "docs/new.md: in no part of tb/docs/sections.py",
    ]


def test_the_reference_has_every_package_and_every_block() -> None:
    made = reference.pages(ROOT)
    assert {"docs/reference/model.tcp.md", "docs/reference/tb.monitors.contract.md"} <= set(made)
    assert not any(page.startswith("docs/reference/tb.tests") for page in made)
    hardware = made["docs/reference/hdl.md"]
    for path in (ROOT / "hdl").rglob("*.v"):
        opening = reference.header(path.read_text())
        assert opening.startswith(path.stem), path
        assert f"\n### {path.stem}\n" in hardware
        assert opening in hardware, path


def test_a_package_page_has_the_public_names_with_their_docstrings_and_no_others(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "__init__.py").write_text('"""All of it."""\n')
    (tmp_path / "model" / "part.py").write_text(
        '"""A part of *it*."""\n\n'
        "class Shape(Base):\n"
        '    """Its shape.\n\n    Args:\n        size: Octets.\n    """\n\n'
        "    size: int = 3\n    _hidden: int = 4\n\n"
        '    @property\n    def area(self) -> int:\n        """Octets."""\n        return 1\n\n'
        "    def bare(self) -> int:\n        return 1\n\n"
        'def _inner() -> None:\n    """Not told."""\n\n'
        'def step(a: int, *, b: str = "x") -> bool:\n    """One `a_b` step of a_b."""\n    return True\n'
    )
    page = reference.package_page(tmp_path, "model")
    assert page.startswith("# model\n\nAll of it.\n\n## model.part\n\n[model/part.py](../../model/part.py)\n")
    assert "A part of \\*it\\*." in page
    assert "### `Shape`\n\n```python\nclass Shape(Base)\n    size: int = 3\n```\n\nIts shape.\n" in page
    assert "```text\nArgs:\n    size: Octets.\n```" in page
    assert "#### `Shape.area`\n\n```python\n@property\ndef area(self) -> int\n```\n\nOctets." in page
    assert "### `step`\n\n```python\ndef step(a: int, *, b: str='x') -> bool\n```\n\nOne `a_b` step of a\\_b." in page
    for absent in ("_hidden", "_inner", "Not told", "bare"):
        assert absent not in page


def test_the_site_sources_keep_their_lines_and_turn_their_links(tmp_path: Path) -> None:
    root, source = tmp_path / "root", tmp_path / "source"
    (root / "hdl").mkdir(parents=True)
    (root / "hdl" / "a.v").write_text("module a; endmodule\n")
    pages = {**PAGES, "docs/deep/b.md": "# B\n\n[a](../../hdl/a.v) [all](../../hdl) [way](../way.md#way)\n"}
    site.stage(root, pages, {"How to": ["docs/way.md"], "Deep": ["docs/deep/b.md"]}, source)
    front = (source / "index.md").read_text()
    assert front.startswith(
        f"# Front\n\nSee [the way](way.md#two-words-x) and [code]({site.SCHEME}files/hdl/a.v.txt), [out](https://example.org).\n"
    )
    assert ":caption: How to\n\nway\n" in front
    deep = (source / "deep" / "b.md").read_text()
    copies = f"{site.SCHEME}../files/hdl"
    assert deep == f"# B\n\n[a]({copies}/a.v.txt) [all]({copies}/files.html) [way](../way.md#way)\n"
    assert (source / "extra" / "files" / "hdl" / "a.v.txt").read_text() == "module a; endmodule\n"
    assert 'href="a.v.txt"' in (source / "extra" / "files" / "hdl" / "files.html").read_text()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('<a href="b.html#here">b</a><a href="#top">t</a><img src="p.png">', ""),
        ('<a href="c.html">c</a>', "a.html:2: c.html: no such file"),
        ('<a href="b.html#gone">b</a>', "a.html:2: b.html#gone: no such anchor"),
        ('<img src="q.png">', "a.html:2: q.png: no such file"),
        ('<script src="https://example.org/x.js"></script>', "a.html:2: loads https://example.org/x.js"),
        ('<link rel="stylesheet" href="//example.org/x.css">', "a.html:2: loads //example.org/x.css"),
        ('<a href="https://example.org/">out</a>', ""),
    ],
)
def test_built_pages_load_nothing_from_a_network_and_link_to_what_is_there(
    tmp_path: Path, body: str, said: str
) -> None:
    (tmp_path / "p.png").write_bytes(b"p")
    (tmp_path / "b.html").write_text('<p id="here">b</p>')
    (tmp_path / "a.html").write_text(f'<p id="top">a</p>\n{body}\n')
    assert site.check_site(tmp_path) == ([said] if said else [])


def test_a_style_sheet_may_not_load_from_a_network(tmp_path: Path) -> None:
    (tmp_path / "s.css").write_text('@import url("https://example.org/x.css");\n')
    assert site.check_site(tmp_path) == ["s.css: loads from a network"]
