"""A stated price increment that does not fit a symbol is told wherever a user looks, with one that would."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from commanding import command, command_at
from fake_monitor import FakeMonitor
from feed import NOON, configured, feeding, monitor_of, until
from msgspec.structs import replace
from samples import walk
from screens import app_of, settled

from tui_feeder.config import AssetOverrides, VolumeProfile
from tui_feeder.engine.core.candle import Source
from tui_feeder.engine.storage.store import Store
from tui_feeder.simulator.clock import clock_for
from tui_feeder.simulator.exchange import Exchange
from tui_feeder.simulator.synthetic import synthetic_market

NOTE = (
    "profile rows of 0.01 are too coarse, about 1 a day: "
    "0.00002 would fit (volume_profile.fixed_price_increment)"
)


def store_of_all(path: Path) -> None:
    """Eight days each of a coin far below a cent, one of 15 and one of 100,000."""
    with closing(Store(path, exchange="a simulated exchange")) as store:
        for symbol, price, tick in (
            ("CHEAPUSDT", 0.05, "0.0000001"),
            ("MIDUSDT", 15.0, "0.001"),
            ("DEARUSDT", 100_000.0, "0.1"),
        ):
            rows = walk(8 * 1_440, seed=2, price=price, tick=tick)
            store.put(symbol, rows, Source.ARCHIVE_DAY).result()


FILE = """[application]
symbols = ["*USDT"]
storage_path = "kept"
[volume_profile]
fixed_price_increment = 0.01
[volume_profile.asset_overrides]
MIDUSDT = { fixed_price_increment = 0.00001 }
"""


def test_config_check_holds_stated_increments_against_the_prices_of_the_store(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(FILE)
    done = command("config", "check", cwd=tmp_path)
    assert (done.code, done.err) == (0, "")  # there is no store yet, and none is made
    assert not (tmp_path / "kept").exists()
    store_of_all(tmp_path / "kept")
    done = command("config", "check", cwd=tmp_path)
    assert done.code == 0
    cheap, dear, mid = sorted(done.err.splitlines())
    assert cheap.startswith("warning: CHEAPUSDT: profile rows of 0.01 are too coarse, about 1 a day: 0.0000")
    assert cheap.endswith(" would fit (volume_profile.fixed_price_increment)")
    assert dear.startswith("warning: DEARUSDT: profile rows of 0.01 are too fine, about ")
    assert mid.startswith("warning: MIDUSDT: profile rows of 0.00001 are too fine, about ")
    assert mid.endswith(" would fit (volume_profile.asset_overrides.MIDUSDT.fixed_price_increment)")
    # With what is said to fit, nothing is left to say.
    fits = [line.rpartition(": ")[2].split(" ")[0] for line in (cheap, dear, mid)]
    (tmp_path / "config.toml").write_text(
        "[application]\nsymbols = ['ALL']\nstorage_path = 'kept'\n[volume_profile.asset_overrides]\n"
        + "".join(
            f"{name} = {{ fixed_price_increment = {fit} }}\n"
            for name, fit in zip(("CHEAPUSDT", "DEARUSDT", "MIDUSDT"), fits, strict=True)
        )
    )
    assert command("config", "check", cwd=tmp_path).err == ""
    (tmp_path / "config.toml").write_text("[application]\nsymbols = ['ALL']\nstorage_path = 'kept'\n")
    assert command("config", "check", cwd=tmp_path).err == ""  # the defaults fit


async def test_log_and_snapshot_tell_once_of_each_cause_and_doctor_agrees(tmp_path: Path) -> None:
    market = synthetic_market(["1000PEPEUSDT", "AVAXUSDT", "BTCUSDT"], as_of_ms=NOON)
    async with Exchange(market, clock_for(market, start_ms=NOON, rate=600.0)) as exchange:
        stated = VolumeProfile(
            price_increment_mode="Fixed",
            historical_days=1,
            asset_overrides={"BTCUSDT": AssetOverrides(price_increment_mode="Auto")},
        )
        config = replace(
            configured(exchange, ["1000PEPEUSDT", "AVAXUSDT", "BTCUSDT"], days=3), volume_profile=stated
        )
        async with feeding(config, tmp_path / "store") as (engine, sink):
            # Over an hour's edge: it is judged again there, and not logged again.
            await until(lambda: len(sink.minutes("1000PEPEUSDT")) > 75, 60)
            monitor = monitor_of(engine)
            views = {view.symbol: view for view in monitor.newest.symbols}
            told = [event for event in engine.journal.events if "profile rows" in event.text]
            assert [event.symbol for event in told] == ["1000PEPEUSDT"]
            assert told[0].level == "warning"
            assert told[0].text == views["1000PEPEUSDT"].profile_note
            assert told[0].text.startswith("profile rows of 0.01 are too coarse, about 1 a day: 0.00000")
            assert views["AVAXUSDT"].profile_note == views["BTCUSDT"].profile_note == ""
        (tmp_path / "config.toml").write_text("[volume_profile]\nprice_increment_mode = 'Fixed'\n")
        done = await command_at(
            exchange, "doctor", "--patience", "4", "--symbols", "1000PEPEUSDT", "--storage", "store",
            cwd=tmp_path,
        )  # fmt: skip
        assert "warn  profile     1000PEPEUSDT: profile rows of 0.01 are too coarse" in done.out
        assert (
            '-> state what fits in volume_profile.asset_overrides, or set price_increment_mode = "Auto"'
            in (done.out)
        )


@pytest.mark.parametrize("key", ["1", "2", "3", "w"])
async def test_a_screen_marks_the_symbol_and_says_why(key: str) -> None:
    monitor = FakeMonitor(3)
    first = next(iter(monitor.views))
    monitor.change(first, profile_note=NOTE)
    app = app_of(monitor)
    async with app.run_test(size=(150, 45)) as pilot:
        await settled(pilot)
        await pilot.press(key)
        shown = await settled(pilot) if key != "w" else []
        if key == "w":
            await settled(pilot)
            shown = app.export_screenshot().replace("&#160;", " ").splitlines()
        text = "\n".join(shown)
        assert "profile rows of 0.01 are too coarse" in text
        if key == "1":
            row = next(line for line in shown if first in line)
            assert "! " in row
            assert NOTE in text
        if key == "w":
            assert "0.00002 would fit" in text
        monitor.change(first, profile_note="")
        await pilot.press("escape", "1")
        app.tick()
        assert "profile rows" not in "\n".join(await settled(pilot))
