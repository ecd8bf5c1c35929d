from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from tui_feeder.engine.core.candle import MINUTE_MS
from tui_feeder.engine.core.coverage import Coverage
from tui_feeder.engine.derived.revisions import Revisions

spans = st.tuples(st.integers(0, 30), st.integers(1, 12))


@given(st.lists(spans, max_size=12))
def test_a_minute_has_the_number_of_times_it_was_corrected(corrections: list[tuple[int, int]]) -> None:
    revisions, counted = Revisions(since=0), Counter[int]()
    for first, length in corrections:
        revisions.correct(Coverage([(first * MINUTE_MS, (first + length) * MINUTE_MS)]))
        counted.update(range(first, first + length))
    again = Revisions.decode(revisions.encode())
    for minute in range(45):
        assert revisions.of(minute * MINUTE_MS) == counted[minute]
        assert again.of(minute * MINUTE_MS) == counted[minute]
