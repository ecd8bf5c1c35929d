"""The footprint screen at every size, by its keys."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
from examples import some_of
from fake_monitor import FakeMonitor
from rich.cells import cell_len
from screens import app_of, settled

from tui_feeder.monitor import FootprintView, SymbolState, SymbolView, unmade_footprint
from tui_feeder.screens.footprint import FootprintScreen

BARS = {(80, 24): 5, (200, 60): 12, (120, 40): 8}


@pytest.mark.parametrize(("size", "glyphs"), some_of(tuple(product(BARS, ("braille", "ascii")))))
async def test_bars_stand_beside_each_other_with_what_is_known(size: tuple[int, int], glyphs: str) -> None:
    bars = BARS[size]
    app = app_of(FakeMonitor(4), symbol_set=glyphs, colors="none")
    async with app.run_test(size=size) as pilot:
        await pilot.press("8")
        lines = await settled(pilot)
        assert all(cell_len(line) == size[0] for line in lines)
        assert "bought x sold" in lines[1]
        assert lines[2].count("02-03") + lines[2].count("02-02") == bars
        assert sum(line.count("[") for line in lines[3:-4]) == bars
        foot = lines[-2].split()
        assert foot[1:4] == ["exact", "97", "%"]
        assert foot.count("~") == bars - 2
        if glyphs == "ascii":
            assert "".join(lines).isascii()
        screen = app.screen
        assert isinstance(screen, FootprintScreen)
        table = screen.table()
        assert table is not None
        assert len({row[0] for row in table.rows}) == bars
        assert "bought" in screen.selected_text()


async def test_keys_go_to_older_bars_other_timeframes_and_finer_rows() -> None:
    monitor = FakeMonitor(4)
    app = app_of(monitor)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("8")
        newest = (await settled(pilot))[2]
        await pilot.press("left", "left")
        older = (await settled(pilot))[2]
        assert older.split()[-2:] == newest.split()[-4:-2]  # the newest is the bar in progress
        await pilot.press("right", "right", "right")
        assert (await settled(pilot))[2] == newest
        await pilot.press("pageup", "end")
        assert (await settled(pilot))[2] == newest
        coarse = monitor.calls[-1].split()
        await pilot.press("plus")
        await settled(pilot)
        fine = next(call for call in reversed(monitor.calls) if call.startswith("footprint")).split()
        assert int(fine[4]) == 2 * int(next(c for c in monitor.calls if c.startswith("footprint")).split()[4])
        assert coarse
        await pilot.press("minus", "minus", "left_square_bracket")
        lines = await settled(pilot)
        assert "15m" in lines[1]
        await pilot.press("down")
        assert "ETHUSDT" in (await settled(pilot))[1]


async def test_g_goes_to_the_bar_of_a_time_and_types_no_other_key() -> None:
    app = app_of(FakeMonitor(4))
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("8", "g")
        assert "Go to a time (UTC)" in "\n".join(await settled(pilot))
        await pilot.press(*"02-01 09:20", "enter")
        assert (await settled(pilot))[2].split()[-2:] == ["02-01", "09:00"]
        await pilot.press("g", *"2020-01-01", "enter")
        assert "before the first candle" in "\n".join(await settled(pilot))
        await pilot.press("escape", "g", *"2026-12-31", "enter")
        assert "no bar of that time yet" in "\n".join(await settled(pilot))
        await pilot.press("escape", "left")
        assert (await settled(pilot))[2].split()[-2:] == ["02-01", "08:00"]
        assert isinstance(app.screen, FootprintScreen)


async def test_a_wide_screen_has_the_profile_of_the_day_on_the_prices_of_the_rows() -> None:
    monitor = FakeMonitor(4)
    app = app_of(monitor, colors="none")
    async with app.run_test(size=(200, 60)) as pilot:
        await pilot.press("8")
        lines = await settled(pilot)
        assert "profile, today UTC" in lines[2]
        profile = monitor.profile("BTCUSDT")
        assert profile is not None
        (poc,) = (line for line in lines[3:-6] if line.rstrip().endswith(" POC"))
        assert abs(float(poc.split("│")[0]) - profile.poc) <= 100  # rows of 200
        assert f"VAH  {profile.vah:.2f}" in lines[-5]
        assert [line.split("│")[0].strip() for line in lines[-6:-1]] == [
            "delta",
            "sum",
            "vol",
            "3:1",
            "known",
        ]
        # From the left, so that the last sum is that of all deltas.
        deltas, sums = (
            [float(text.replace("k", "e3")) for text in line.split("│")[1].split()] for line in lines[-6:-4]
        )
        assert sums[-1] == pytest.approx(sum(deltas), abs=0.3)
        await pilot.press(*["pageup"] * 3)
        lines = await settled(pilot)
        assert "profile, 2026-02-02 UTC" in lines[2]
        older = monitor.profile("BTCUSDT", 1_769_990_400_000)
        assert older is not None
        assert f"POC  {older.poc:.2f}" in lines[-6]


class Loading(FakeMonitor):
    """Whose footprints come later: none of it, then the newest bars, then all."""

    missing = 24

    def footprint(self, symbol: str, *asked: int | None, **more: float | None) -> FootprintView | None:
        """The newest bars, as far as they are made."""
        found = super().footprint(symbol, *asked, **more)
        if found is None or self.missing >= len(found.bars):
            return unmade_footprint(symbol)
        return replace(found, bars=found.bars[self.missing :], whole=not self.missing)


async def test_until_a_footprint_is_whole_the_screen_states_that_it_is_loading() -> None:
    monitor = Loading(2)
    app = app_of(monitor)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("8")
        assert "loading ..." in (await settled(pilot))[1]
        monitor.missing = 3
        app.tick()
        lines = await settled(pilot)
        assert "loading ..." in lines[1]
        assert "row " in lines[1]
        assert lines[2].count("02-03") == 2
        monitor.missing = 0
        app.tick()
        lines = await settled(pilot)
        assert "loading" not in lines[1]
        assert "nothing was traded" not in lines[1]
        await pilot.press("pageup")
        assert "loading" not in (await settled(pilot))[1]


@pytest.mark.parametrize(
    ("key", "wrong"), [("8", "nothing was traded"), ("3", "no candles"), ("2", "no completed")]
)
async def test_while_candles_are_being_read_every_screen_states_it(key: str, wrong: str) -> None:
    monitor = Untraded(2)
    reason = "its candles are being read"
    monitor.views = {name: SymbolView(name, SymbolState.WAITING, reason, 2) for name in monitor.views}
    monitor.profile = lambda symbol, day=None, patience=None: None
    none = monitor.bars("BTCUSDT", 3_600, 1)[:0]
    monitor.bars = lambda symbol, timeframe, count, end=None: none
    app = app_of(monitor)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press(key)
        text = "\n".join(await settled(pilot))
        assert f"waiting: {reason}" in text
        assert wrong not in text


class Untraded(FakeMonitor):
    """Of which nothing was traded."""

    def footprint(self, symbol: str, *asked: int | None, **more: float | None) -> FootprintView | None:
        """Nothing."""
        return None


async def test_without_trades_the_screen_states_it() -> None:
    app = app_of(Untraded(2))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("8")
        lines = await settled(pilot)
        assert "nothing was traded here" in lines[1]
        screen = app.screen
        assert isinstance(screen, FootprintScreen)
        assert screen.table() is None
        assert screen.selected_text() == ""
