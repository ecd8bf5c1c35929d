"""Signing leaves the end of a minute to what has to be computed in time."""

from __future__ import annotations

import pytest

from tui_feeder.engine.core.candle import MINUTE_MS
from tui_feeder.engine.proof.sealing import left_of_rush

END = 1_773_144_000_000  # of a minute


@pytest.mark.parametrize(
    ("since_end", "left"), [(-101, 0), (-100, 4_100), (0, 4_000), (3_999, 1), (4_000, 0), (30_000, 0)]
)
def test_nothing_begins_from_right_before_a_minutes_end_to_four_seconds_after(
    since_end: int, left: int
) -> None:
    assert left_of_rush(END + since_end) == left
    assert left_of_rush(END + MINUTE_MS + since_end) == left
