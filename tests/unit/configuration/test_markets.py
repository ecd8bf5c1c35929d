"""Symbols with a market before the colon, in a configuration."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from tui_feeder.config import Application, Config, Exchange
from tui_feeder.configuration.forms import Symbol, SymbolName
from tui_feeder.configuration.rules import contradictions, exchange_label
from tui_feeder.configuration.sections.exchange import Spot
from tui_feeder.configuration.values import UnfitError, convert


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("BTCUSDT", "BTCUSDT"), ("usdm:BTCUSDT", "BTCUSDT"), ("spot:BTCUSDT", "spot:BTCUSDT"),
        ("spot:*USDT", "spot:*USDT"), ("usdm:ALL", "ALL"), ("coinm:ALL", "coinm:ALL"),
        ("coinm:BTCUSD_261225", "coinm:BTCUSD_261225"),
    ],
)  # fmt: skip
def test_a_symbol_has_one_form(text: str, found: str) -> None:
    assert convert(Symbol, text) == found


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("spto:BTCUSDT", "a market is one of usdm, spot, coinm"),
        ("SPOT:btcusdt", 'did you mean "spot:BTCUSDT"?'),
        ("spot:", "behind spot: stands a symbol of that market"),
        ("spot:coinm:BTCUSDT", "a market is one of"),
    ],
)
def test_an_unknown_market_is_refused_with_those_there_are(text: str, hint: str) -> None:
    with pytest.raises(UnfitError) as refused:
        convert(Symbol, text)
    assert hint in str(refused.value.hint)


def test_a_pattern_is_no_name_in_any_market() -> None:
    for text in ("spot:ALL", "spot:*", "ALL"):
        with pytest.raises(UnfitError):
            convert(SymbolName, text)


def test_real_and_simulated_markets_do_not_mix() -> None:
    simulated = "http://127.0.0.1:8000"
    spot = replace(Application(), symbols=("BTCUSDT", "spot:BTCUSDT"))
    mixed = replace(Exchange(), rest_url=simulated, stream_url="ws://127.0.0.1:8000")
    (finding,) = contradictions(Config(application=spot, exchange=mixed))
    assert finding.keys == ("exchange.spot.rest_url", "application.symbols")
    assert "is a real exchange, and exchange.rest_url a simulated one" in finding.message
    assert not contradictions(Config(exchange=mixed))  # nobody follows spot
    whole = replace(mixed, spot=Spot(simulated, "ws://127.0.0.1:8000"))
    assert not contradictions(Config(application=spot, exchange=whole))
    (finding,) = contradictions(Config(application=spot, exchange=replace(Exchange(), spot=whole.spot)))
    assert "is a simulated exchange" in finding.message


def test_a_simulated_market_can_be_followed_alone() -> None:
    """The address of USD-M futures is asked nothing: what it is does not matter."""
    alone = replace(Application(), symbols=("spot:BTCUSDT", "spot:ETHUSDT"))
    simulated = Spot("http://127.0.0.1:8000", "ws://127.0.0.1:8000")
    config = Config(application=alone, exchange=replace(Exchange(), spot=simulated))
    assert not contradictions(config)
    assert exchange_label(config) == "a simulated exchange"
    both = replace(alone, symbols=("spot:BTCUSDT", "coinm:BTCUSD_PERP"))
    (finding,) = contradictions(replace(config, application=both))
    assert finding.keys == ("exchange.spot.rest_url", "application.symbols")
    assert "is a simulated exchange, and exchange.coinm.rest_url a real one" in finding.message
    real = Config(application=alone)
    assert exchange_label(real) == real.exchange.rest_url  # as stores of before are marked
