from __future__ import annotations

import pytest

from tui_feeder.engine.exchanges.binance.usdm import USDM


@pytest.mark.parametrize(
    ("limit", "weight"), [(1, 1), (99, 1), (100, 2), (499, 2), (500, 5), (1_000, 5), (1_001, 10), (1_500, 10)]
)
def test_the_weight_of_candles_is_that_of_the_limit_asked_for(limit: int, weight: int) -> None:
    assert USDM.limits.candles_weight(limit) == weight


def test_a_page_has_the_most_candles_for_the_weight() -> None:
    page = USDM.facts.page_candles
    most = page / USDM.limits.candles_weight(page)
    assert most == max(limit / USDM.limits.candles_weight(limit) for limit in range(1, 1_501))


def test_every_native_timeframe_has_a_name_that_says_its_length() -> None:
    units = {"m": 60, "h": 3_600, "d": 86_400}
    assert list(USDM.facts.native_timeframes) == sorted(USDM.intervals)
    for timeframe, name in USDM.intervals.items():
        assert int(name[:-1]) * units[name[-1]] == timeframe
