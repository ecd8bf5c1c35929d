from __future__ import annotations

import pytest
from rich.cells import cell_len

from tui_feeder.widgets.cells import (
    age_text,
    bytes_text,
    clock_text,
    count_text,
    duration_text,
    fit,
    known_text,
    percent_text,
    price_text,
)


@pytest.mark.parametrize(
    ("value", "decimals", "width", "text"),
    [
        (60_123.4, 2, 10, "60123.40"),
        (100_000.0, 2, 10, "100000.00"),
        (1e-8, 8, 10, "0.00000001"),
        (1e-8, 8, 8, "1.000e-8"),
        (0.0071234, 7, 8, "0.007123"),
        (0.00002345, 8, 8, "2.345e-5"),
        (123_456.78, 2, 8, "123456.8"),
        (1_234_567.8, 2, 8, "1234568"),
        (60_123.4, 8, 10, "60123.4000"),
        (None, 2, 10, "–"),
    ],
)
def test_price_keeps_its_decimals_as_far_as_they_fit(
    value: float | None, decimals: int, width: int, text: str
) -> None:
    assert price_text(value, decimals, width) == text


def test_price_never_exceeds_its_cells_from_the_smallest_to_the_hugest() -> None:
    for exponent in range(-8, 10):
        for mantissa in (1.0, 1.2345678, 9.9999999):
            for decimals in range(9):
                for width in (8, 9, 10):
                    text = price_text(mantissa * 10.0**exponent, decimals, width)
                    assert len(text) <= width, (mantissa, exponent, decimals, text)
                    if mantissa * 10.0**exponent >= 10.0**-decimals:
                        assert float(text) == pytest.approx(mantissa * 10.0**exponent, rel=0.7)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.123, "+0.12"), (-0.05, "-0.05"), (0.004, "0.00"), (-0.004, "0.00"), (12.345, "+12.3"), (None, "–")],
)
def test_percent_shows_its_sign_and_none_for_nothing(value: float | None, text: str) -> None:
    assert percent_text(value, 5) == text
    assert percent_text(-0.04, 4) == "+0.0"


@pytest.mark.parametrize("value", [0.1, -9.999, 99.999, -1_234.5, 99_999.0, 1e9, -1e9])
def test_percent_never_exceeds_its_cells(value: float) -> None:
    assert len(percent_text(value, 5)) <= 5


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [(0, "0.0"), (-40, "0.0"), (310, "0.3"), (4_100, "4.1"), (42_400, "42"), (999_000, "999"),
     (1_020_000, "17m"), (7_200_000, "2h"), (5 * 86_400_000, "5d"), (400 * 86_400_000, "400d"), (None, "–")],
)  # fmt: skip
def test_age_has_at_most_four_cells(milliseconds: int | None, text: str) -> None:
    assert age_text(milliseconds) == text
    assert len(text) <= 4


def test_wide_characters_count_two_cells() -> None:
    assert cell_len(fit("币安人生USDT", 10)) == 10
    assert cell_len(fit("币安人生USDT", 4)) == 4
    assert fit("币安人生USDT", 14) == "币安人生USDT  "
    assert fit("BTC", 6, right=True) == "   BTC"


def test_durations_counts_and_sizes_are_short() -> None:
    assert [duration_text(s) for s in (None, 0, 59, 80, 7_500, 100_000)] == [
        "–", "0s", "59s", "1m20s", "2h05m", "1d03h",
    ]  # fmt: skip
    assert [count_text(v) for v in (0.35, 0.0123, 4.567, 99.9, 1e-5, 17)] == [
        "0.350", "0.012", "4.57", "99.9", "<.001", "17",
    ]  # fmt: skip
    assert [count_text(v) for v in (None, 0, 999, 58_240, 999_960, 1.3e6, 240e9)] == [
        "–", "0", "999", "58.2k", "1.0M", "1.3M", "240B",
    ]  # fmt: skip
    assert [bytes_text(v) for v in (812, 58_000, 31_000_000, 1_200_000_000)] == [
        "812 B", "58 kB", "31 MB", "1.2 GB",
    ]  # fmt: skip


def test_clock_is_utc() -> None:
    assert clock_text(1_770_127_402_000) == "14:03"
    assert clock_text(1_770_127_402_000, seconds=True) == "14:03:22"


@pytest.mark.parametrize(
    ("exact", "known", "text"),
    [(1.0, 1.0, "exact"), (0.0, 0.97, "97 %"), (0.9, 1.0, "99 %"), (0.0, 0.004, "<1 %"), (0.0, 0.0, "~")],
)
def test_volume_is_exact_only_where_every_minute_is(exact: float, known: float, text: str) -> None:
    assert known_text(exact, known) == text
