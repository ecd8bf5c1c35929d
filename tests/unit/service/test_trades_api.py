"""Why the trades of a day are not read, with what to do about it."""

from __future__ import annotations

import pytest

from tui_feeder.config import Trades
from tui_feeder.engine.core.candle import DAY_MS
from tui_feeder.service.trades_api import why_unread

TODAY = 20_522 * DAY_MS


class OneMarketGivesTrades:
    """Shows those of symbols without a market's name."""

    def trades_published(self, symbol: str, day: int) -> int | None:
        return None if ":" in symbol else day + DAY_MS

    def read_trades(self) -> None: ...

    trade_streams = trades_from = read_trades


@pytest.mark.parametrize(
    ("symbol", "day", "reason"),
    [
        ("BTCUSDT", TODAY + DAY_MS, None),
        ("BTCUSDT", TODAY, None),
        ("BTCUSDT", TODAY - 2 * DAY_MS, None),
        ("BTCUSDT", TODAY - 3 * DAY_MS, "trades are read and kept of 2 days before today; see trades.days"),
        ("ETHUSDT", TODAY, "the trades of this symbol are not read; see trades.symbols"),
        ("coinm:BTCUSD_PERP", TODAY, "of the market of this symbol no trades are read"),
    ],
)
def test_it_is_stated_why_trades_are_not_read(symbol: str, day: int, reason: str | None) -> None:
    trades = Trades(symbols=("BTCUSDT", "coinm:BTCUSD_PERP"), days=2)
    found = why_unread(trades, OneMarketGivesTrades(), symbol, day, TODAY + 1)
    assert found == reason or (reason is not None and found is not None and found.startswith(reason))


def test_an_exchange_without_trades_has_none_to_read() -> None:
    assert why_unread(Trades(symbols=("BTCUSDT",)), object(), "BTCUSDT", TODAY, TODAY) is not None
