"""The judgements of all rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tb.contract.duties import counted_in, triggered_in
from tb.tests.founding import rows_disconnect, rows_forward, rows_send, rows_terminate
from tb.tests.founding.page import JUDGEMENTS
from tb.tests.stage import Stage

__all__ = ["JUDGEMENTS", "rows_disconnect", "rows_forward", "rows_send", "rows_terminate", "seen_by_rows"]


def seen_by_rows(stage: Stage, found: Mapping[str, Any], intermediates: int) -> dict[str, list[str]]:
    """The rules that count in the scenes that each row looks at, of what the tap of the run says.

    In a row of the driver those that triggered anywhere; the plan still wants each rule of the device seen there.
    """
    rows = (row for row in JUDGEMENTS if row.intermediates <= intermediates)
    look = {False: counted_in, True: triggered_in}
    return {row.title: sorted(look[row.of_driver](found, stage.read_by(row.test))) for row in rows}
