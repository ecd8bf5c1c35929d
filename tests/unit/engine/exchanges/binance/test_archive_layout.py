from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tui_feeder.engine.core.archive_file import File, FileKind
from tui_feeder.engine.core.candle import DAY_MS
from tui_feeder.engine.exchanges.binance.archive_layout import archive_path, published
from tui_feeder.engine.exchanges.binance.usdm import USDM

LEAP_DAY = 1_709_164_800_000  # 2024-02-29
FEBRUARY = 1_706_745_600_000
DAY = File(LEAP_DAY, LEAP_DAY + DAY_MS, FileKind.DAY)
MONTH = File(FEBRUARY, LEAP_DAY + DAY_MS, FileKind.MONTH)


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def path_of(file: File, symbol: str) -> str:
    return archive_path(USDM.archive_folder, file, symbol)


def test_archives_are_where_the_exchange_publishes_them() -> None:
    folder = "/data/futures/um"
    assert path_of(DAY, "FILUSDT") == f"{folder}/daily/klines/FILUSDT/1m/FILUSDT-1m-2024-02-29.zip"
    assert path_of(MONTH, "FILUSDT") == f"{folder}/monthly/klines/FILUSDT/1m/FILUSDT-1m-2024-02.zip"


def test_names_are_percent_encoded_and_can_not_leave_their_folder() -> None:
    encoded = "%E5%B8%81%E5%AE%89%E4%BA%BA%E7%94%9FUSDT"
    assert path_of(DAY, "币安人生USDT") == (
        f"/data/futures/um/daily/klines/{encoded}/1m/{encoded}-1m-2024-02-29.zip"
    )
    assert "/../" not in path_of(DAY, "a/../../b")


def test_a_day_is_published_at_0840_the_next_morning() -> None:
    assert published(DAY) == ms("2024-03-01T08:40")


@pytest.mark.parametrize(
    ("month", "monday"),
    [
        ("2024-01-01", "2024-02-05T08:40"),
        ("2024-02-01", "2024-03-04T08:40"),
        ("2024-03-01", "2024-04-01T08:40"),  # the first is a Monday
        ("2023-12-01", "2024-01-01T08:40"),
        ("2024-08-01", "2024-09-02T08:40"),  # the first is a Sunday
        ("2024-09-01", "2024-10-07T08:40"),  # the first is a Tuesday
    ],
)
def test_a_month_is_published_on_the_first_monday_after_it(month: str, monday: str) -> None:
    start = datetime.fromisoformat(month).replace(tzinfo=UTC)
    following = (start + timedelta(days=32)).replace(day=1)
    file = File(ms(month), int(following.timestamp() * 1000), FileKind.MONTH)
    assert published(file) == ms(monday)
    assert datetime.fromtimestamp(published(file) / 1000, UTC).weekday() == 0
