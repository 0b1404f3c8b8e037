"""The pictures of the pages: each is made by `make pictures`, from a real run."""

from __future__ import annotations

import pytest

from tb import pictures
from tb.config import ROOT, ConfigError
from tb.report import chromium


def test_every_picture_of_the_pages_is_made_by_make_pictures() -> None:
    assert set(pictures.PICTURES) == {path.name for path in (ROOT / "docs" / "pictures").iterdir()}
    pages = "".join(path.read_text() for path in (ROOT / "docs").rglob("*.md"))
    assert [name for name in pictures.PICTURES if f"pictures/{name})" not in pages] == []


def test_without_a_browser_the_pictures_of_the_report_are_refused_with_what_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(chromium, "find", lambda: None)
    pictures.report_views.cache_clear()
    with pytest.raises(ConfigError, match="there is no browser"):
        pictures.PICTURES["report-ladder.png"]()
