"""The demo is a user's first start: nothing but where its exchange is differs from the defaults."""

from __future__ import annotations

import contextlib
from pathlib import Path

from tui_feeder.config import load
from tui_feeder.demo import Demo


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
