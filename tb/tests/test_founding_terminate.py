"""docs/founding-pages.md, D, a terminate completes: one test a row, on the golden device."""

from __future__ import annotations

import pytest

from tb.tests.founding.golden import assert_holds, cases
from tb.tests.founding.page import Judgement


@pytest.mark.parametrize("judgement", cases("TC"))
def test_row(judgement: Judgement) -> None:
    assert_holds(judgement)
