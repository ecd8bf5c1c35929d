from __future__ import annotations

import pytest

from tui_feeder.engine.analytics.trend import side, trend_of


@pytest.mark.parametrize(
    ("closes", "trend"),
    [
        ((10.1, 10.2), "Buy"),
        ((9.9, 9.8), "Sell"),
        ((9.9, 10.1), "Neutral"),
        ((10.1, 9.9), "Neutral"),
        ((10.0, 10.1), "Neutral"),  # strictly above, both
        ((10.1, 10.0), "Neutral"),
        ((9.0, 11.0, 12.0), "Buy"),  # only the last two count
    ],
)
def test_closes_against_the_longest_ema(closes: tuple[float, ...], trend: str) -> None:
    assert trend_of("closes_vs_ema", closes, 99.0, 10.0) == trend


@pytest.mark.parametrize(("shortest", "trend"), [(10.1, "Buy"), (9.9, "Sell"), (10.0, "Neutral")])
def test_ema_cross_compares_shortest_with_longest(shortest: float, trend: str) -> None:
    assert trend_of("ema_cross", (), shortest, 10.0) == trend


def test_no_trend_is_known_while_an_ema_is_absent() -> None:
    assert trend_of("closes_vs_ema", (11.0, 12.0), 10.0, None) is None
    assert trend_of("ema_cross", (11.0, 12.0), None, 10.0) is None


def test_a_single_close_makes_no_trend() -> None:
    assert trend_of("closes_vs_ema", (11.0,), 10.0, 10.0) == "Neutral"


def test_all_prices_on_one_side() -> None:
    assert side((3.0, 2.0, 4.0), 1.0) == "Buy"
    assert side((3.0, 2.0, 4.0), 5.0) == "Sell"
    assert side((3.0, 2.0, 4.0), 2.0) == "Neutral"
