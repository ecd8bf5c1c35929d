"""Names with a market before the colon, and patterns that stay inside their market."""

from __future__ import annotations

import pytest

from tui_feeder.engine.acquisition.wanted import matching
from tui_feeder.symbol_name import is_pattern, market_of, matches

THERE = ["BTCUSDT", "ETHUSDC", "spot:BTCUSDT", "spot:ETHBTC", "coinm:BTCUSD_PERP"]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("ALL", ["BTCUSDT", "ETHUSDC"]),
        ("*USDT", ["BTCUSDT"]),
        ("*", ["BTCUSDT", "ETHUSDC"]),
        ("spot:ALL", ["spot:BTCUSDT", "spot:ETHBTC"]),
        ("spot:*USDT", ["spot:BTCUSDT"]),
        ("coinm:BTC*", ["coinm:BTCUSD_PERP"]),
        ("spot:XRPUSDT", ["spot:XRPUSDT"]),
        ("other:*", []),
    ],
)
def test_a_pattern_takes_in_the_symbols_of_its_own_market(wanted: str, found: list[str]) -> None:
    assert matching([wanted], THERE) == found


def test_the_market_is_what_stands_before_the_colon() -> None:
    assert [market_of(name) for name in THERE] == ["", "", "spot", "spot", "coinm"]
    assert is_pattern("spot:ALL")
    assert not is_pattern("spot:BTCUSDT")
    assert not matches("BTCUSDT", "spot:BTCUSDT")
