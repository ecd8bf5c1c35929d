from __future__ import annotations

from statistics import median

import numpy as np
import pytest
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import MIDNIGHT

from tui_feeder.engine.analytics.time_of_day import MIN_DAYS, TimeOfDayVolume
from tui_feeder.engine.core.candle import MINUTE_MS, ROW, Rows, to_candles

DAY = 1_440


def minutes(at: list[int], volumes: list[float]) -> Rows:
    rows = np.zeros(len(at), dtype=ROW)
    rows["open_time"] = MIDNIGHT + np.array(at, dtype=np.int64) * MINUTE_MS
    rows["close"] = 100.0
    rows["volume"] = volumes
    return rows


def expected(rows: Rows) -> float | None:
    """The same by another way: dictionaries and whole sums."""
    volume = dict(zip((rows["open_time"] // MINUTE_MS).tolist(), rows["volume"].tolist(), strict=True))
    last = max(volume)
    recent = [volume.get(last - i) for i in range(15)]
    if None in recent:
        return None

    def usual(slot: int) -> float | None:
        sums = []
        for day in range(1, 15):
            start = (slot - 96 * day) * 15
            inside = [volume.get(start + i) for i in range(15)]
            if None not in inside:
                sums.append(sum(inside))
        return median(sums) if len(sums) >= MIN_DAYS else None

    slot, into = divmod(last + 1, 15)
    before, now = usual(slot - 1), usual(slot)
    if before is None or (into and now is None):
        return None
    level = before * (15 - into) / 15 + (now * into / 15 if into and now is not None else 0.0)
    return sum(recent) / level if level > 0 else None


@given(
    days=st.integers(4, 17),
    last=st.integers(0, 40),
    holes=st.lists(st.tuples(st.integers(0, 17 * DAY), st.integers(1, 200)), max_size=4),
    split=st.integers(0, 30),
    seed=st.integers(0, 99),
)
@settings(max_examples=examples(60), deadline=None)
def test_it_is_the_median_of_the_days_before_however_it_was_counted(
    days: int, last: int, holes: list[tuple[int, int]], split: int, seed: int
) -> None:
    end = days * DAY + last
    missing = {m for start, length in holes for m in range(start, start + length)}
    # Only the stretch around this time of day is traded, so that the test is quick.
    at = [m for m in range(end) if (m - end) % DAY > DAY - 70 and m not in missing]
    if not at:
        return
    rows = minutes(at, np.random.default_rng(seed).lognormal(0, 1, len(at)).round(3).tolist())
    whole = TimeOfDayVolume()
    whole.load(rows)
    wanted = expected(rows)
    assert whole.relative == (None if wanted is None else pytest.approx(wanted, rel=1e-6))
    some = TimeOfDayVolume()
    some.load(rows[: len(rows) - split])
    for candle in to_candles(rows[len(rows) - split :] if split else rows[:0]):
        some.add(candle)
    assert repr(some.state()) == repr(whole.state())  # NaN included
    assert some.relative == whole.relative
    again = TimeOfDayVolume()
    again.restore(whole.state())
    assert again.relative == whole.relative


def test_a_quarter_with_three_times_its_volume_is_three() -> None:
    at = [day * DAY + m for day in range(8) for m in range(60)]
    rows = minutes(at, [2.0] * (7 * 60) + [2.0] * 45 + [6.0] * 15)
    found = TimeOfDayVolume()
    assert found.relative is None
    found.load(rows[: 7 * 60 + 45])
    assert found.relative == 1.0
    values = []
    for candle in to_candles(rows[7 * 60 + 45 :]):
        found.add(candle)
        values.append(found.relative)
    assert values[-1] == 3.0
    assert values == sorted(values)


def test_few_days_or_a_missing_minute_are_not_known() -> None:
    at = [day * DAY + m for day in range(MIN_DAYS) for m in range(30)]
    found = TimeOfDayVolume()
    found.load(minutes(at, [1.0] * len(at)))
    assert found.relative is None  # a day short
    at = [day * DAY + m for day in range(MIN_DAYS + 1) for m in range(30)]
    found.load(minutes(at, [1.0] * len(at)))
    assert found.relative == 1.0
    found.load(minutes(at[:-3] + at[-2:], [1.0] * (len(at) - 1)))
    assert found.relative is None
    found.load(minutes(at, [0.0] * len(at)))
    assert found.relative is None
    found.load(minutes([], []))
    assert found.relative is None
