"""The demo is a user's first start: nothing but where its exchange is differs from the defaults."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from commanding import command

from tui_feeder.config import load
from tui_feeder.demo import Demo, Scratch, remove_left_scratch
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


def test_a_demo_warns_of_what_it_leaves_out_and_of_a_program_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(
        '[file]\nenabled = true\n[kafka]\nenabled = true\n[alerts]\ncommand = ["nowhere-to-be-found"]\n'
    )
    done = command(
        "--demo", "--no-ui", "--run-for", "1", "--symbols", "BTCUSDT", "--config", "config.toml", cwd=tmp_path
    )
    assert done.code == 0, done.err
    assert done.err.count("demo: [kafka], [file] left out: candles of a demo are simulated") == 1
    assert done.err.count("alerts.command names a program that cannot be run here: nowhere-to-be-found") == 1
    assert not (tmp_path / "messages").exists()


def test_what_a_killed_demo_has_left_is_removed_and_what_is_in_use_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    script = "from tui_feeder.demo import Scratch; import os; Scratch(); os.kill(os.getpid(), 9)"
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", script], env=environment, timeout=60, check=False)
    [left] = tmp_path.iterdir()
    (left / "data.mdb").touch()
    running, other = Scratch(), tmp_path / "feeder-tui-demo-unknown"
    other.mkdir()  # of no demo that is known to be gone
    (tmp_path / "feeder-tui-demo-link").symlink_to(running.path)
    remove_left_scratch()
    assert not left.exists()
    assert running.path.exists()
    assert other.exists()
    running.remove()
    assert not running.path.exists()
