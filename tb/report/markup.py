"""HTML as values: a text that goes into a page is escaped unless it is Html already."""

from __future__ import annotations

import base64
import gzip
import html
import json
from collections.abc import Iterable
from typing import Any

_VOID = frozenset(("input", "br", "meta", "link", "hr", "wbr"))


class Html(str):
    """Text that is HTML."""

    __slots__ = ()


def text(child: object) -> Html:
    """A child of an element: Html as it is, None as nothing, an iterable as its members, anything else escaped."""
    if child is None:
        return Html("")
    if isinstance(child, Html):
        return child
    if isinstance(child, str) or not isinstance(child, Iterable):
        return Html(html.escape(clean(str(child))))
    return Html("".join(text(one) for one in child))


def clean(shown: str) -> str:
    """Without what no HTML file may hold: control characters and halves of surrogate pairs."""
    return "".join(
        "\N{REPLACEMENT CHARACTER}" if (ord(c) < 32 and c not in "\n\t") or 0xD800 <= ord(c) < 0xE000 else c
        for c in shown
    )


def tag(name: str, /, *children: object, **attributes: object) -> Html:
    """An element. Attributes: `class_` is class, `data_x` is data-x; True stands alone, None and False are left out."""
    shown = ""
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        shown += f" {key.rstrip('_').replace('_', '-')}"
        if value is not True:
            shown += f'="{html.escape(clean(str(value)))}"'
    if name in _VOID:
        return Html(f"<{name}{shown}>")
    return Html(f"<{name}{shown}>{text(children)}</{name}>")


def table(head: Iterable[object], rows: Iterable[Iterable[object]], *, caption: str = "", **attributes: object) -> Html:
    """A table with a head; a cell may be Html."""
    cells = [tag("th", one, scope="col") for one in head]
    body = [tag("tr", [one if is_cell(one) else tag("td", one) for one in row]) for row in rows]
    shown = tag("caption", caption) if caption else None
    return tag(
        "div",
        tag("table", shown, tag("thead", tag("tr", cells)), tag("tbody", body), **attributes),
        class_="scroll", tabindex=0,
    )  # fmt: skip


def is_cell(child: object) -> bool:
    """Whether it is a cell already."""
    return isinstance(child, Html) and child.startswith(("<td", "<th"))


def json_block(name: str, value: Any) -> Html:
    """A value for the scripts of the page: JSON in which nothing can end the element."""
    shown = json.dumps(value, separators=(",", ":")).replace("<", "\\u003c").replace(">", "\\u003e")
    return Html(f'<script type="application/json" id="{html.escape(name)}">{shown}</script>')


def packed_block(name: str, value: Any) -> Html:
    """A large value for the scripts of the page: JSON, gzip, base64; unpacked when it is looked at."""
    packed = gzip.compress(json.dumps(value, separators=(",", ":")).encode(), 9, mtime=0)
    shown = base64.b64encode(packed).decode()
    return Html(f'<script type="application/gzip" id="{html.escape(name)}">{shown}</script>')
