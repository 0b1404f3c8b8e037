"""Out-of-order queueing with fewer ranges than the layout has places for: the cases that ask for no number of them."""

from __future__ import annotations

from tb.tests.unit.test_unit_tcp_ooo import (
    a_fin_alone_beyond_a_hole_waits_for_the_octets_in_front_of_it_b24,
    a_fin_beyond_a_hole_is_kept_and_taken_when_the_hole_is_filled_m2_1_m3,
    a_segment_behind_a_hole_is_held_and_delivered_when_the_hole_is_filled_m2_m3,
    past_the_last_range_only_what_grows_one_is_taken_m2_5,
    random_segments_across_the_wrap_of_the_sequence_space_m,
    random_segments_of_one_stream_are_delivered_without_a_gap_and_reported_by_the_rules_m,
    random_segments_with_few_buffers_c11_m,
    text_right_of_the_window_is_cut_and_a_closed_connection_holds_nothing_c9,
)

__all__ = [
    "a_fin_alone_beyond_a_hole_waits_for_the_octets_in_front_of_it_b24",
    "a_fin_beyond_a_hole_is_kept_and_taken_when_the_hole_is_filled_m2_1_m3",
    "a_segment_behind_a_hole_is_held_and_delivered_when_the_hole_is_filled_m2_m3",
    "past_the_last_range_only_what_grows_one_is_taken_m2_5",
    "random_segments_across_the_wrap_of_the_sequence_space_m",
    "random_segments_of_one_stream_are_delivered_without_a_gap_and_reported_by_the_rules_m",
    "random_segments_with_few_buffers_c11_m",
    "text_right_of_the_window_is_cut_and_a_closed_connection_holds_nothing_c9",
]
