from __future__ import annotations

import pytest

from tui_feeder.engine.acquisition.download_plan import File, FileKind
from tui_feeder.engine.core.candle import DAY_MS
from tui_feeder.engine.exchanges.binance.routes import RouteError, archive_path, kline_stream, market_url

LEAP_DAY = 1_709_164_800_000  # 2024-02-29
FEBRUARY = 1_706_745_600_000


def test_archives_are_where_the_exchange_publishes_them() -> None:
    day = File(LEAP_DAY, LEAP_DAY + DAY_MS, FileKind.DAY)
    month = File(FEBRUARY, LEAP_DAY + DAY_MS, FileKind.MONTH)
    assert (
        archive_path(day, "FILUSDT") == "/data/futures/um/daily/klines/FILUSDT/1m/FILUSDT-1m-2024-02-29.zip"
    )
    assert (
        archive_path(month, "FILUSDT", "4h")
        == "/data/futures/um/monthly/klines/FILUSDT/4h/FILUSDT-4h-2024-02.zip"
    )


def test_names_are_percent_encoded_and_can_not_leave_their_folder() -> None:
    day = File(LEAP_DAY, LEAP_DAY + DAY_MS, FileKind.DAY)
    encoded = "%E5%B8%81%E5%AE%89%E4%BA%BA%E7%94%9FUSDT"
    assert archive_path(day, "币安人生USDT") == (
        f"/data/futures/um/daily/klines/{encoded}/1m/{encoded}-1m-2024-02-29.zip"
    )
    assert "/../" not in archive_path(day, "a/../../b")


def test_klines_are_asked_of_the_market_route_in_lower_case() -> None:
    stream = kline_stream("BTCUSDT")
    assert stream == "btcusdt@kline_1m"
    assert market_url("wss://fstream.binance.com/", [stream]) == "wss://fstream.binance.com/market/stream"


@pytest.mark.parametrize(
    "stream", ["btcusdt@bookTicker", "btcusdt@depth", "btcusdt@trade", "!bookTicker", ""]
)
def test_a_stream_the_market_route_would_never_feed_is_refused(stream: str) -> None:
    with pytest.raises(RouteError, match="not carried by the /market route"):
        market_url("wss://fstream.binance.com", ["btcusdt@kline_1m", stream])
