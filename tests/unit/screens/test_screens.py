from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from examples import some_of
from fake_monitor import NOON, FakeMonitor, with_troubles
from rich.cells import cell_len
from screens import app_of, overview, settled
from textual.binding import Binding
from textual.geometry import Region
from textual.pilot import Pilot
from textual.widget import Widget

import tui_feeder.screens.base
from tui_feeder.app import ExitReason, FeederApp, UiSettings
from tui_feeder.monitor import Event, SymbolState, SymbolView
from tui_feeder.screens.base import bindings_of
from tui_feeder.widgets.panel import Panel


@pytest.mark.parametrize("size", some_of(((80, 24), (100, 30), (160, 45), (120, 40), (200, 60)), every=2))
async def test_overview_covers_the_whole_terminal_without_overlap(size: tuple[int, int]) -> None:
    app = app_of(with_troubles(FakeMonitor(20)))
    async with app.run_test(size=size) as pilot:
        lines = await settled(pilot)
        cells = [[0] * size[0] for _ in range(size[1])]
        for panel, region in overview(app).plan.items():
            assert isinstance(panel, Panel)
            assert len(panel.strips) == region.height
            for y, strip in enumerate(panel.strips):
                assert strip.cell_length == cell_len(strip.text) == region.width
                for x in range(region.x, region.right):
                    cells[region.y + y][x] += 1
        assert {count for row in cells for count in row} == {1}
        text = "\n".join(lines)
        for expected in (
            "● LIVE 20 sym",
            "14:03:22Z",
            "▸ BTCUSDT",
            "60123.40",
            "POC",
            "BTCUSDT 1h",
            "q quit",
        ):
            assert expected in text
        assert "! gap BTCUSDT 13:41→13:44" in text


async def test_rows_appear_when_the_symbols_come_after_the_start() -> None:
    monitor = FakeMonitor(9)
    views, monitor.views = monitor.views, {}
    app = app_of(monitor)
    async with app.run_test(size=(80, 24)) as pilot:
        assert "no symbol" in "\n".join(await settled(pilot))
        monitor.views = views
        app.tick()
        lines = await settled(pilot)
        assert [line[2:9] for line in lines[2:5]] == ["BTCUSDT", "ETHUSDT", "SOLUSDT"]
        assert overview(app).plan[overview(app).query_one("#column0", Panel)].height == 9


@pytest.mark.parametrize("size", some_of(((45, 20), (80, 24), (120, 40), (200, 60)), every=2))
async def test_a_start_without_the_exchange_shows_the_symbols_the_reason_in_full_and_what_to_do(
    size: tuple[int, int],
) -> None:
    monitor = FakeMonitor(3)
    known = monitor.views
    monitor.state = "starting"
    monitor.not_ready = (
        "https://fapi.binance.com/fapi/v1/time is unreachable: Cannot connect to host fapi.binance.com:443 "
        "ssl:default [Temporary failure in name resolution]"
    )
    reason = "the exchange is not reached yet; 43,200 minutes are stored"
    monitor.views = {n: SymbolView(n, SymbolState.WAITING, reason, 2) for n in ("BTCUSDT", "ETHUSDT")}
    app = app_of(monitor)
    async with app.run_test(size=size) as pilot:
        lines = await settled(pilot)
        text = " ".join("\n".join(lines).split())
        assert "STARTING" in lines[0]
        assert "2 sym" in lines[0]
        assert lines[2].startswith("▸ BTCUSDT")
        assert "waiting: the" in lines[3]
        assert monitor.not_ready in text
        assert "feeder-tui doctor tries each of them" in text
        assert "no symbol selected" not in text
        monitor.not_ready, monitor.views = "", known
        app.tick()
        text = "\n".join(await settled(pilot))
        assert "not reached" not in text
        assert size[0] < 80 or "BTCUSDT 1h" in text


async def test_few_symbols_leave_the_rows_to_the_chart() -> None:
    heights = {}
    for count in (2, 40):
        app = app_of(FakeMonitor(count))
        async with app.run_test(size=(80, 24)) as pilot:
            await settled(pilot)
            heights[count] = overview(app).query_one("#chart", Panel).size.height
    assert heights[2] == heights[40] + 6


async def test_a_terminal_that_is_too_small_says_what_it_needs_and_recovers() -> None:
    app = app_of(FakeMonitor(12))
    async with app.run_test(size=(60, 20)) as pilot:
        await pilot.press("2")
        text = "\n".join(await settled(pilot))
        assert "needed 80 x 24, here 60 x 20" in text
        assert "1 shows the list of symbols" in text
        await pilot.press("1")
        assert "▸ BTCUSDT" in "\n".join(await settled(pilot))
        await pilot.resize_terminal(29, 20)
        assert "needed 30 x 6, here 29 x 20" in "\n".join(await settled(pilot))
        await pilot.resize_terminal(80, 24)
        assert "▸ BTCUSDT" in "\n".join(await settled(pilot))
        await pilot.press("2")
        await pilot.resize_terminal(79, 24)
        assert "here 79 x 24" in "\n".join(await settled(pilot))


async def test_on_a_phone_there_is_the_list_with_its_filter_and_its_news() -> None:
    app = app_of(FakeMonitor(40))
    async with app.run_test(size=(45, 20)) as pilot:
        lines = await settled(pilot)
        assert lines[0].startswith("● LIVE 40 sym")
        assert lines[0].endswith("14:03:22Z ")
        assert lines[1].split() == ["SYMBOL", "PRICE", "1m%", "24h%", "ALGN"]
        assert len([line for line in lines[2:-2] if "USDT" in line]) == 16
        await pilot.press("slash", *"24h>2")
        lines = await settled(pilot)
        assert lines[-1].startswith(" /24h>2█")
        assert "a percentage such as 3 or -0.5" in lines[-2]
        await pilot.press("enter", "s", *"relative", "enter")
        assert "▾RVOL" in (await settled(pilot))[1]


async def test_only_cells_that_changed_are_repainted(monkeypatch: pytest.MonkeyPatch) -> None:
    monitor = FakeMonitor(12)
    app = app_of(monitor, refresh_hz=0.01)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        dirty: list[tuple[str | None, Region]] = []

        def noted(_: object, changes: Mapping[Widget, Sequence[Region]]) -> None:
            dirty.extend((panel.id, region) for panel, regions in changes.items() for region in regions)

        monkeypatch.setattr(tui_feeder.screens.base, "repaint_together", noted)
        app.tick()
        assert dirty == []
        monitor.change("SOLUSDT", price=142.0)
        monitor.change("XRPUSDT", change_1m=9.9)
        app.tick()
        assert dirty[:2] == [("column2", Region(0, 3, 11, 1)), ("column3", Region(0, 5, 6, 1))]
        assert [name for name, _ in dirty[2:]] == ["column13"]  # the distance to the POC


async def test_of_a_change_only_its_line_is_another() -> None:
    monitor = FakeMonitor(12)
    app = app_of(monitor, refresh_hz=0.01)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        before = {panel.id: list(panel.strips) for panel in app.screen.query(Panel)}
        monitor.change("SOLUSDT", price=142.0)
        app.tick()
        await settled(pilot)
        drawn = [
            (panel.id, y)
            for panel in app.screen.query(Panel)
            for y, (old, new) in enumerate(zip(before[panel.id], panel.strips, strict=True))
            if list(old) != list(new)
        ]
        assert drawn == [("column2", 3), ("column13", 3)]


async def test_selection_moves_with_the_arrows_and_stays_with_its_symbol() -> None:
    monitor = FakeMonitor(40)
    app = app_of(monitor)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("down", "down", "down")
        lines = await settled(pilot)
        assert lines[5].startswith("▸ BNBUSDT")
        assert "BNBUSDT 1h" in lines[10]
        await pilot.press("s", *"symbol", "enter")
        lines = await settled(pilot)
        assert any(line.startswith("▸ BNBUSDT") for line in lines)
        assert "SYMBOL▴" in lines[1]
        await pilot.press("s", *"price", "enter")
        lines = await settled(pilot)
        assert "▾PRICE" in lines[1]
        assert overview(app).grid.selected == "BNBUSDT"
        await pilot.press("end")
        assert overview(app).grid.selected == overview(app).grid.order[-1]
        await pilot.press("home", "pagedown")
        assert overview(app).grid.selected == overview(app).grid.order[7]


async def test_rows_change_places_only_every_two_seconds() -> None:
    monitor = FakeMonitor(12)
    app = app_of(monitor, refresh_hz=0.01)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        app.hz = 4.0
        await pilot.press("s", *"price", "enter")
        order = overview(app).grid.order
        while overview(app).grid.order is order:  # until the next sort is just over
            app.tick()
        order = list(overview(app).grid.order)
        monitor.change(order[-1], price=1e9)
        for _ in range(7):
            app.tick()
            assert overview(app).grid.order == order
        app.tick()
        assert overview(app).grid.order[0] == order[-1]


async def test_filter_is_typed_applied_and_cleared() -> None:
    app = app_of(FakeMonitor(40))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("slash", *"coin2q")
        lines = await settled(pilot)
        assert lines[-1].startswith(" /coin2q█")
        await pilot.press("backspace")
        lines = await settled(pilot)
        assert "10/40 sym" in lines[0]
        assert lines[2].startswith("▸ COIN20USDT")
        await pilot.press("enter")
        lines = await settled(pilot)
        assert lines[-1].startswith(" /coin2 ")
        assert "q quit" in lines[-1]
        await pilot.press("slash", *" or x", "escape")  # back to what was there before
        assert "10/40 sym" in (await settled(pilot))[0]
        await pilot.press("escape")
        assert "● LIVE 40 sym" in (await settled(pilot))[0]


@pytest.mark.parametrize(
    ("size", "key"), [((80, 24), "1"), ((30, 8), "1"), ((200, 60), "1"), ((80, 24), "0")]
)
async def test_a_filter_that_nothing_passes_is_named_in_the_middle(size: tuple[int, int], key: str) -> None:
    app = app_of(FakeMonitor(5))
    async with app.run_test(size=size) as pilot:
        await pilot.press(key, "slash", *"align>9", "enter")
        text = " ".join(" ".join(await settled(pilot)).split())
        assert 'no symbol passes "align>9"; Esc shows all' in text
        await pilot.press("escape")
        text = "".join(await settled(pilot))
        assert "no symbol passes" not in text
        assert "5 sym" in text


async def test_a_search_that_nothing_fits_names_what_was_typed() -> None:
    app = app_of(FakeMonitor(5))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("slash", *"btc", "enter", "W")
        assert "Save this filter" in "\n".join(await settled(pilot))
        await pilot.press(*"xyz")
        text = "\n".join(await settled(pilot))
        assert 'no line has "xyz"' in text
        assert "none is saved" not in text
        await pilot.press("escape", "6", "slash", *"zzz", "enter")
        assert 'no line matches "zzz"; Esc shows all' in "\n".join(await settled(pilot))


async def test_a_filter_is_completed_and_its_faults_are_told_in_place() -> None:
    monitor = FakeMonitor(40)
    app = app_of(monitor)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("slash", *"vo")
        lines = await settled(pilot)
        assert lines[-2].split()[:2] == ["tab", "vol"]
        assert "● LIVE 40 sym" in lines[0]  # a word in the making that no name has hides nothing
        await pilot.press("tab", "greater_than_sign")
        lines = await settled(pilot)
        assert lines[-1].startswith(" /vol>█")
        assert "quote asset: a number such as 3, 0.5, 250k, 100M, 1.5B" in lines[-2]
        await pilot.press(*"1B")
        wanted = [name for name, view in monitor.views.items() if (view.volume_24h or 0) > 1e9]
        await settled(pilot)
        assert app.grid.order == wanted
        await pilot.press(*" trend.2h=buy")
        lines = await settled(pilot)
        assert lines[-2].startswith(
            '! no field "trend.2h": trend.1m, trend.5m, trend.15m, trend.1h, trend.4h?'
        )
        assert app.grid.order == wanted  # the filter before stays in force
        segments = {s.text: str(s.style) for s in overview(app).query_one("#keys", Panel).strips[0]}
        assert segments["2"] != segments["1"]  # the part that is wrong is marked
        await pilot.press("enter")
        assert (await settled(pilot))[-1].startswith(" /vol>1B trend.2h=buy█")  # it stays open
        await pilot.press(*["left"] * 4, "backspace", "backspace", *"1h", "enter")
        lines = await settled(pilot)
        assert app.grid.pattern == "vol>1B trend.1h=buy"
        assert len(app.grid.order) < len(wanted)


async def test_enter_after_an_unfinished_filter_names_what_is_missing() -> None:
    app = app_of(FakeMonitor(5))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("slash", *"((price>1")
        assert "missing" not in (await settled(pilot))[-2]
        await pilot.press("enter")
        assert (await settled(pilot))[-2].startswith('! ")" is missing')
        await pilot.press("escape", "slash", *"24h>3 and", "enter")
        assert (await settled(pilot))[-2].startswith('! a condition is missing after "and"')
        await pilot.press("space")
        assert not (await settled(pilot))[-2].startswith("!")


async def test_the_news_line_of_any_tick_leaves_the_line_that_is_typed_alone() -> None:
    app = app_of(FakeMonitor(3))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("slash", *"bt")
        app.show_note("something else", 5.0)
        assert (await settled(pilot))[-1].startswith(" /bt█")


async def test_the_sort_list_is_searched_and_takes_two_keys() -> None:
    monitor = FakeMonitor(40)
    app = app_of(monitor)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("s", *"volume")
        text = "\n".join(await settled(pilot))
        assert "Volume, 24 hours" in text
        assert "Relative volume" in text
        assert "Price " not in text
        await pilot.press("enter", "s", *"alignment of", "tab")
        lines = await settled(pilot)
        assert "▾VOL" in lines[1]
        assert "▿ALGN" in lines[1]
        assert [key.text for key in app.grid.sort] == ["vol", "align"]
        await pilot.press("s")
        lines = await settled(pilot)
        assert "1▾  Volume, 24 hours" in lines[5]  # those in force first
        assert "2▾  Alignment of the trends" in lines[6]
        await pilot.press("enter")
        assert "▴VOL" in (await settled(pilot))[1]
        await pilot.press("s", *"order of", "enter")
        assert app.grid.order == list(monitor.views)


async def test_watchlists_pins_and_notes_are_kept_in_the_state_folder(tmp_path: Path) -> None:
    settings_ = UiSettings(symbol_set="braille", colors="truecolor")
    state = tmp_path / "screen.json"

    def app_with_state() -> FeederApp:
        return FeederApp(FakeMonitor(40), settings_, title="test", state_file=state)

    app = app_with_state()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("W")
        assert "none is saved" in "\n".join(await settled(pilot))
        await pilot.press("escape", "slash", *"24h>1 vol>100M", "enter", "s", *"volume", "enter")
        await pilot.press("W", "enter")
        assert "Name of the watchlist" in "\n".join(await settled(pilot))
        await pilot.press("enter")
        assert "a name has 1 to 40 characters" in "\n".join(await settled(pilot))
        await pilot.press(*"movers", "enter")
        assert "saved: watchlist movers" in (await settled(pilot))[-1]
        shown = list(app.grid.order)
        await pilot.press("escape", "down", "p", "n", *"range day", "enter")
        lines = await settled(pilot)
        chosen = app.grid.selected
        assert lines[2].startswith(f"▸◆{chosen}")
        assert f"≡ {chosen}: range day" in lines[-2]
    kept = tmp_path / "watchlists.toml"
    assert tomllib.loads(kept.read_text()) == {
        "pins": [chosen], "notes": {chosen: "range day"},
        "watchlists": {"movers": {"filter": "24h>1 vol>100M", "sort": ["vol"]}},
    }  # fmt: skip
    again = app_with_state()
    async with again.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        again.reload_user_files(first=True)
        await pilot.press("s", *"order of", "enter")
        lines = await settled(pilot)
        assert lines[2][1:].startswith(f"◆{chosen}") or lines[2].startswith(f"▸◆{chosen}")
        await pilot.press("W", *"mov", "enter")
        assert set(again.grid.order) == set(shown)
        again.note = ""
        again.tick()
        assert (await settled(pilot))[-1].startswith(" W movers ")
        assert [key.text for key in again.grid.sort] == ["vol"]
        kept.write_text("# by hand\n[watchlists.bad]\nfilter = 'trend.9h=buy'\n")
        os.utime(kept, ns=(1, 1))
        again.reload_user_files()
        assert again.grid.lists.pins == ()
        await pilot.press("W", *"bad", "enter")
        assert 'watchlist bad: no field "trend.9h"' in (await settled(pilot))[-1]
        await pilot.press("W", *"bad", "delete")
        assert "# by hand" in kept.read_text()
        assert "bad" not in kept.read_text()
        kept.write_text("pins = 3\n")
        os.utime(kept, ns=(2, 2))
        again.reload_user_files()
        assert "watchlists.toml: pins must be a list" in (await settled(pilot))[-1]


async def test_brackets_change_the_timeframe_of_chart_and_distance() -> None:
    app = app_of(FakeMonitor(12))
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("right_square_bracket")
        lines = await settled(pilot)
        assert "E21-89 4h" in lines[1]
        assert "BTCUSDT 4h" in "\n".join(lines)
        await pilot.press("right_square_bracket", *["left_square_bracket"] * 9)
        lines = await settled(pilot)
        assert "E21-89 1m" in lines[1]
        assert "BTCUSDT 1m" in "\n".join(lines)


async def test_zoom_shows_more_or_fewer_candles() -> None:
    monitor = FakeMonitor(1)
    app = app_of(monitor)
    async with app.run_test(size=(80, 24)) as pilot:
        asked = []
        for key in ("minus", "plus", "plus"):
            await pilot.press(key)
            await settled(pilot)
            calls = [call for call in monitor.calls if call.startswith("bars BTCUSDT 3600 ")]
            asked.append(int(calls[-1].split()[-1]))
        assert asked[0] > asked[1] > asked[2]


async def help_text(pilot: Pilot[ExitReason]) -> str:
    """Everything behind ``?``, scrolled through."""
    await pilot.press("question_mark")
    pages = []
    while not pages or pages[-1] != pages[-2:][0] or len(pages) == 1:
        lines = (await settled(pilot))[1:-1]
        place = lines[-1].split()[1:2] == ["of"]  # below the text, that may go on on the next page
        pages.append("\n".join(lines[:-1] if place else lines))
        await pilot.press("pagedown")
    return "\n".join(pages)


@pytest.mark.parametrize("size", some_of(((80, 24), (200, 60), (45, 20)), every=2))
async def test_every_binding_has_an_id_and_a_tooltip_and_help_lists_it(size: tuple[int, int]) -> None:
    app = app_of(FakeMonitor(12))
    async with app.run_test(size=size) as pilot:
        for key in "1234560":
            await pilot.press(key)
            await settled(pilot)
            bindings = bindings_of(app.screen)
            text = " ".join((await help_text(pilot)).split())
            for binding in bindings:
                assert isinstance(binding, Binding)
                assert binding.id
                assert binding.tooltip.split(",")[0].split(":")[0] in text, binding
                assert (binding.key_display or binding.key) in text
                assert not {"ctrl+m", "ctrl+h", "ctrl+i", "ctrl+j", "ctrl+z"} & set(binding.key.split(","))
            await pilot.press("escape")
            assert "KEYS" not in "\n".join(await settled(pilot))


async def test_help_explains_every_heading_and_every_abbreviation_of_the_first_line() -> None:
    app = app_of(FakeMonitor(12))
    async with app.run_test(size=(200, 60)) as pilot:
        await settled(pilot)
        headings = [column.heading for column in app.grid.columns if column.heading]
        text = await help_text(pilot)
    explained = " ".join(text.split())
    for heading in headings:
        assert heading in explained or heading in ("SYMBOL", "5m", "15m", "1h", "4h"), heading
    for words in ("WebSocket streams", "REST requests", "LMDB, the store", "relative volume", "quote asset"):
        assert words in explained


async def test_help_at_80_columns_has_its_terms_and_texts_apart() -> None:
    app = app_of(FakeMonitor(12))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("question_mark")
        lines = (await settled(pilot))[2:-2]
        for line in lines:
            assert line[14] == " ", line  # a blank between key and text
            assert "…" not in line


async def test_the_last_line_shows_only_keys_that_work() -> None:
    app = app_of(FakeMonitor(12))
    async with app.run_test(size=(80, 24)) as pilot:
        for key, name in (("1", "overview"), ("4", "gaps"), ("6", "log")):
            await pilot.press(key)
            line = (await settled(pilot))[-1]
            assert app.current_mode == name
            assert "? help" in line
            assert "q quit" in line
            assert "faults" not in line  # this is no demo


@pytest.mark.parametrize("state", ["starting", "stopped", "failed"])
async def test_an_engine_that_does_not_run_is_shown_with_its_last_words(state: str) -> None:
    monitor = FakeMonitor(3)
    monitor.state = state
    monitor.events = (Event(NOON - 7_200_000, "error", None, "the store is full"),)
    app = app_of(monitor)
    async with app.run_test(size=(80, 24)) as pilot:
        lines = await settled(pilot)
        assert state.upper() in lines[0]
        if state != "starting":
            assert "the store is full" in lines[-2]


async def test_themes_take_turns_and_repaint_everything() -> None:
    app = app_of(FakeMonitor(3))
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        colours = set()
        for _ in range(5):
            await pilot.press("t")
            await settled(pilot)
            segment = next(iter(overview(app).query_one("#column1", Panel).strips[1]))
            colours.add(str(segment.style))
        assert len(colours) >= 4


async def test_ascii_without_colours_is_all_ascii_and_plain() -> None:
    app = app_of(with_troubles(FakeMonitor(20)), symbol_set="ascii", colors="none")
    async with app.run_test(size=(120, 40)) as pilot:
        for key in (*"123456", "question_mark"):
            await pilot.press(key)
            assert "".join(await settled(pilot)).isascii()
            for panel in app.screen.query(Panel):
                for strip in panel.strips:
                    assert all(s.style is None or s.style.color is s.style.bgcolor is None for s in strip)
