"""Unit test of `skid`: the laws of a FIFO of two words, shared with `fifo`."""

from __future__ import annotations

from tb.tests.unit.test_unit_fifo import (
    a_word_passes_every_cycle,
    words_leave_in_order_and_none_is_lost_under_any_rates,
)

__all__ = ["a_word_passes_every_cycle", "words_leave_in_order_and_none_is_lost_under_any_rates"]
