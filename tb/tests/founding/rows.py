"""The judgements of all rows."""

from __future__ import annotations

from tb.tests.founding import rows_disconnect, rows_forward, rows_send, rows_terminate
from tb.tests.founding.page import JUDGEMENTS

__all__ = ["JUDGEMENTS", "rows_disconnect", "rows_forward", "rows_send", "rows_terminate"]
