"""What the strips of coverage show of many minutes."""

from __future__ import annotations

import numpy as np
import pytest

from tui_feeder.engine.snapshots import sourced_from, worst
from tui_feeder.monitor import DAY_MS, MINUTE_MS, MinuteState

_ALL = tuple(MinuteState)
OUT, OMITTED, L, S, U, F, M = (
    _ALL  # outside, none at the exchange, live, stored, unavailable, filling, missing
)


@pytest.mark.parametrize(
    ("minutes", "shown"),
    [
        ([S, S, S, L, L, L], [S, L]),
        ([S, S, S, S, S, L], [S, L]),  # a live symbol is live, however little of the cell came so
        ([S, S, S, S, L, OUT], [S, L]),
        ([L, L, L, L, L, S], [L, S]),  # its last minute came from REST: it is not live
        ([S, M, L, U, L, L], [M, U]),
        ([OUT, OUT, OUT, OUT, F, L], [OUT, F]),
        ([OMITTED, OMITTED, S, OMITTED, OUT, OMITTED], [S, OMITTED]),
    ],
)
def test_a_cell_shows_the_worst_and_of_stored_minutes_how_the_newest_came(
    minutes: list[MinuteState], shown: list[MinuteState]
) -> None:
    states = np.array([_ALL.index(state) for state in minutes], dtype=np.uint8)
    assert list(worst(states, 2)) == shown


def test_of_sixty_days_the_sources_of_the_last_hour_are_read() -> None:
    end = 1_000 * DAY_MS
    assert sourced_from(end - DAY_MS, end) == end - DAY_MS
    assert sourced_from(end - 60 * DAY_MS, end) == end - 60 * MINUTE_MS
