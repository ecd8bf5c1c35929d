"""The demo is a user's first start: nothing but where its exchange is differs from the defaults."""

from __future__ import annotations

import contextlib
import json
import time
import urllib.request
from pathlib import Path

import pytest

from tui_feeder.config import load
from tui_feeder.demo import Demo
from tui_feeder.simulator.launch import ExchangeStartError


def test_the_demo_runs_the_defaults(tmp_path: Path) -> None:
    with contextlib.closing(Demo(None, ["BTCUSDT"], 10.0, tmp_path)) as demo:
        flags = demo.flags()
    assert set(flags) == {
        "exchange.rest_url", "exchange.stream_url", "exchange.archive_url", "exchange.clock_rate",
        "application.storage_path", "application.symbols",
        # Simulated candles never reach a real topic, table or file.
        "kafka.enabled", "database.enabled", "file.enabled",
    }  # fmt: skip
    origins = load(None, environ={}, flags=flags).origins
    assert {key for key, origin in origins.items() if origin != "default"} == set(flags)


def test_symbols_of_several_markets_are_on_one_clock(tmp_path: Path) -> None:
    symbols = ["coinm:BTCUSD_PERP", "BTCUSDT", "spot:BTCUSDT", "spot:ETHUSDT"]
    with contextlib.closing(Demo(None, symbols, 60.0, tmp_path)) as demo:
        flags = demo.flags()
        assert flags["application.symbols"] == [
            "BTCUSDT", "spot:BTCUSDT", "spot:ETHUSDT", "coinm:BTCUSD_PERP",
        ]  # fmt: skip
        config = load(None, environ={}, flags=flags).config
        shown = []
        for url, path in (
            (config.exchange.rest_url, "/fapi/v1/time"), (config.exchange.spot.rest_url, "/api/v3/time"),
            (config.exchange.coinm.rest_url, "/dapi/v1/time"),
        ):  # fmt: skip
            with urllib.request.urlopen(url + path, timeout=10) as answer:
                shown.append(json.loads(answer.read())["serverTime"] - time.monotonic() * 60_000)
        assert max(shown) - min(shown) < 60_000  # each was asked within a real second
        assert demo.faults.switch_on("silence", "coinm:BTCUSD_PERP").startswith("on: mute coinm:BTCUSD_PERP")
        assert [len(one.faults()) for one in demo.exchanges.values()] == [0, 0, 1]
        assert demo.faults.switch_on("rest-418", None).startswith("on: ban")
        assert demo.faults.heal() == "healed: 4 faults ended"


def test_a_demo_of_contracts_alone_asks_no_real_exchange(tmp_path: Path) -> None:
    with contextlib.closing(Demo(None, ["coinm:BTCUSD_PERP"], 10.0, tmp_path)) as demo:
        flags = demo.flags()
    addresses = [value for name, value in flags.items() if name.endswith("_url")]
    assert len(addresses) == 6
    assert all("://127.0.0.1:" in address for address in addresses)


def test_recorded_candles_are_of_one_market(tmp_path: Path) -> None:
    with pytest.raises(ExchangeStartError, match="as USD-M futures alone"):
        Demo(tmp_path, ["spot:BTCUSDT"], 10.0, tmp_path)
