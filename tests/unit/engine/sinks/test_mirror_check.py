"""What is compared when, and how many rows a day should have; comparing itself is in tests/integration."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from store_child import rows_of
from stores import minute

from tui_feeder.engine.analytics.aggregate import aggregate
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, Source
from tui_feeder.engine.core.coverage import Coverage
from tui_feeder.engine.sinks.mirror_check import Comparing, Difference, _bars, mirrored_days

DAY = minute(0) // DAY_MS * DAY_MS
WHOLE = rows_of(DAY, DAY + DAY_MS, Source.REST)


def mirrored(days: int) -> dict[tuple[str, int], Coverage]:
    return {("BTCUSDT", 60): Coverage([(DAY, DAY + days * DAY_MS)])}


def due(comparing: Comparing, days: int, now: float) -> list[tuple[int, bool]]:
    """Everything that is due at one moment, in days from the first."""
    found = []
    while (one := comparing.next(mirrored(days), now)) is not None:
        found.append(((one[0] - DAY) // DAY_MS, one[1]))
        comparing.done(*one, [], 0.0, now)
    return found


@given(
    spans=st.lists(st.tuples(st.integers(0, 1439), st.integers(1, 200)), min_size=1, max_size=8),
    timeframe=st.sampled_from((60, 300, 3600, 14_400, 86_400)),
)
def test_as_many_bars_are_expected_as_their_minutes_make(
    spans: list[tuple[int, int]], timeframe: int
) -> None:
    minutes = Coverage()
    for start, length in spans:
        end = min(DAY + DAY_MS, DAY + (start + length) * MINUTE_MS)
        minutes = minutes.union(Coverage([(DAY + start * MINUTE_MS, end)]))
    kept = WHOLE[np.array([at in minutes for at in WHOLE["open_time"].tolist()])]
    after = WHOLE[:1].copy()
    after["open_time"] = DAY + DAY_MS
    bars = aggregate(np.concatenate([kept, after]), timeframe).rows["open_time"]
    assert _bars(minutes, timeframe * 1000) == int((bars < DAY + DAY_MS).sum())


def test_every_day_that_should_have_anything_is_compared_the_newest_first() -> None:
    some = {
        ("BTCUSDT", 60): Coverage(
            [(DAY, DAY + 2 * DAY_MS), (DAY + 4 * DAY_MS, DAY + 4 * DAY_MS + MINUTE_MS)]
        ),
        ("ETHUSDT", 60): Coverage([(DAY - MINUTE_MS, DAY)]),
        ("ETHUSDT", 300): Coverage(),
    }
    assert [(day - DAY) // DAY_MS for day in mirrored_days(some)] == [4, 1, 0, -1]


def test_at_the_start_all_days_and_in_the_hours_of_a_day_all_others() -> None:
    comparing = Comparing()
    assert due(comparing, 50, 100.0) == [(n, False) for n in range(49, -1, -1)] + [
        (n, True) for n in range(49, -1, -1)
    ]
    assert due(comparing, 50, 3_000.0) == []
    seen: set[int] = set()
    for hour in range(1, 25):
        found = due(comparing, 50, 100.0 + 3_600.0 * hour)
        assert [day for day, digests in found if not digests] == list(range(49, -1, -1))
        digests = [day for day, values in found if values]
        assert digests[:2] == [49, 48]
        assert len(digests) == 4
        seen.update(digests)
    assert seen == set(range(50))


def test_most_of_the_time_nothing_is_compared() -> None:
    comparing, now, busy = Comparing(), 1_000.0, 0.0
    while now < 1_500.0:
        one = comparing.next(mirrored(500), now)
        if one is None:
            now += comparing.pause(now)
            continue
        busy, now = busy + 2.0, now + 2.0
        comparing.done(*one, [], 2.0, now)
    assert 0.19 < busy / 500.0 < 0.21


def test_a_difference_is_written_again_once_and_then_left() -> None:
    comparing = Comparing()
    wrong = Difference("BTCUSDT", 60, DAY, 10, 11, "abc")
    assert comparing.done(DAY, False, [wrong._replace(digest="None")], 0.0, 0.0) == (
        [wrong._replace(digest="None")],
        [],
    )
    assert comparing.next(mirrored(1), 1.0) == (DAY, True)  # at once again
    assert comparing.done(DAY, True, [wrong], 0.0, 1.0) == ([], [wrong])
    for digests in (True, False):
        assert comparing.done(DAY, digests, [wrong], 0.0, 2.0) == ([], [])
    other = wrong._replace(digest="abd")
    assert comparing.done(DAY, True, [other], 0.0, 3.0) == ([other], [])
    assert comparing.done(DAY, True, [], 0.0, 4.0) == ([], [])
    assert comparing.done(DAY, True, [wrong], 0.0, 5.0) == ([wrong], [])
