from __future__ import annotations

import threading

import pytest
from rich.cells import cell_len
from textual.binding import Binding
from textual.geometry import Region
from textual.pilot import Pilot

from tests.fake_monitor import NOON, FakeMonitor, with_troubles
from tui_feeder.app import ExitReason, FeederApp, UiSettings
from tui_feeder.monitor import Event, GapView
from tui_feeder.screens.base import FeederScreen, bindings_of
from tui_feeder.screens.overview import OverviewScreen
from tui_feeder.widgets.panel import Panel

SCREENS = ("overview", "chart", "profile", "gaps", "sources", "log")


def app_of(monitor: FakeMonitor, **settings: object) -> FeederApp:
    chosen = {"symbol_set": "braille", "colors": "truecolor", **settings}
    return FeederApp(monitor, UiSettings(**chosen), title="test")  # type: ignore[arg-type]


def screen_text(app: FeederApp) -> list[str]:
    """What is on the screen, line by line, from the panels and their places."""
    screen = app.screen
    assert isinstance(screen, FeederScreen)
    lines = [[" "] * app.size.width for _ in range(app.size.height)]
    for panel, region in screen.plan.items():
        assert isinstance(panel, Panel)
        assert panel.region == region
        for y, strip in enumerate(panel.strips[: region.height]):
            x = region.x
            for character in strip.text:
                lines[region.y + y][x] = character
                for i in range(1, cell_len(character)):
                    lines[region.y + y][x + i] = ""
                x += cell_len(character)
    return ["".join(line) for line in lines]


async def settled(pilot: Pilot[ExitReason]) -> list[str]:
    await pilot.pause()
    await pilot.pause()
    assert isinstance(pilot.app, FeederApp)
    return screen_text(pilot.app)


def overview(app: FeederApp) -> OverviewScreen:
    assert isinstance(app.screen, OverviewScreen)
    return app.screen


@pytest.mark.parametrize("size", [(80, 24), (100, 30), (120, 40), (160, 45), (200, 60)])
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
        assert overview(app).plan[overview(app).query_one("#column0", Panel)].height == 10


async def test_few_symbols_leave_the_rows_to_the_chart() -> None:
    heights = {}
    for count in (2, 40):
        app = app_of(FakeMonitor(count))
        async with app.run_test(size=(80, 24)) as pilot:
            await settled(pilot)
            heights[count] = overview(app).query_one("#chart", Panel).size.height
    assert heights[2] == heights[40] + 7


async def test_a_terminal_that_is_too_small_says_what_it_needs_and_recovers() -> None:
    app = app_of(FakeMonitor(12))
    async with app.run_test(size=(60, 20)) as pilot:
        text = "\n".join(await settled(pilot))
        assert "needed 80 x 24, here 60 x 20" in text
        assert "BTCUSDT" not in text
        await pilot.resize_terminal(80, 24)
        assert "▸ BTCUSDT" in "\n".join(await settled(pilot))
        await pilot.resize_terminal(79, 24)
        assert "here 79 x 24" in "\n".join(await settled(pilot))


async def test_only_cells_that_changed_are_repainted(monkeypatch: pytest.MonkeyPatch) -> None:
    monitor = FakeMonitor(12)
    app = app_of(monitor, refresh_hz=0.01)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        dirty: list[tuple[str | None, Region]] = []
        monkeypatch.setattr(
            Panel, "refresh", lambda panel, *regions: dirty.extend((panel.id, r) for r in regions)
        )
        app.tick()
        assert dirty == []
        monitor.change("SOLUSDT", price=142.0)
        monitor.change("XRPUSDT", change_1m=9.9)
        app.tick()
        assert dirty == [("column1", Region(0, 3, 11, 1)), ("column2", Region(0, 5, 6, 1))]


async def test_a_repaint_draws_only_the_lines_that_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monitor = FakeMonitor(12)
    app = app_of(monitor)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        drawn: list[tuple[str | None, int]] = []
        render_line = Panel.render_line
        monkeypatch.setattr(
            Panel, "render_line", lambda panel, y: drawn.append((panel.id, y)) or render_line(panel, y)
        )
        monitor.change("SOLUSDT", price=142.0)
        app.tick()
        await settled(pilot)
        assert drawn == [("column1", 3)]


async def test_selection_moves_with_the_arrows_and_stays_with_its_symbol() -> None:
    monitor = FakeMonitor(40)
    app = app_of(monitor)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("down", "down", "down")
        lines = await settled(pilot)
        assert lines[5].startswith("▸ BNBUSDT")
        assert "BNBUSDT 1h" in lines[11]
        await pilot.press("s")
        lines = await settled(pilot)
        assert any(line.startswith("▸ BNBUSDT") for line in lines)
        assert "SYMBOL▴" in lines[1]
        await pilot.press("s")
        lines = await settled(pilot)
        assert "PRICE▾" in lines[1]
        assert overview(app).grid.selected == "BNBUSDT"
        await pilot.press("end")
        assert overview(app).grid.selected == overview(app).grid.order[-1]
        await pilot.press("home", "pagedown")
        assert overview(app).grid.selected == overview(app).grid.order[8]


async def test_rows_change_places_only_every_two_seconds() -> None:
    monitor = FakeMonitor(12)
    app = app_of(monitor, refresh_hz=0.01)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        app.hz = 4.0
        await pilot.press("s", "s")  # by price
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
        await pilot.press("left_square_bracket")
        assert "unterminated" in (await settled(pilot))[-1]
        await pilot.press("backspace", "enter")
        lines = await settled(pilot)
        assert lines[-1].startswith(" /coin2")
        assert "q quit" in lines[-1]
        await pilot.press("escape")
        assert "● LIVE 40 sym" in (await settled(pilot))[0]


async def test_brackets_change_the_timeframe_of_chart_and_distance() -> None:
    app = app_of(FakeMonitor(12))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("right_square_bracket")
        lines = await settled(pilot)
        assert "E21-89 4h" in lines[1]
        assert "BTCUSDT 4h" in lines[11]
        await pilot.press("right_square_bracket", *["left_square_bracket"] * 9)
        lines = await settled(pilot)
        assert "E21-89 1m" in lines[1]
        assert "BTCUSDT 1m" in lines[11]


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


async def test_every_binding_has_an_id_and_a_tooltip_and_help_lists_it() -> None:
    app = app_of(FakeMonitor(12))
    async with app.run_test(size=(80, 24)) as pilot:
        for key in "123456":
            await pilot.press(key)
            await settled(pilot)
            bindings = bindings_of(app.screen)
            await pilot.press("question_mark")
            text = "\n".join(await settled(pilot))
            for binding in bindings:
                assert isinstance(binding, Binding)
                assert binding.id
                assert binding.tooltip in text, binding
                assert (binding.key_display or binding.key) in text
                assert not {"ctrl+m", "ctrl+h", "ctrl+i", "ctrl+j", "ctrl+z"} & set(binding.key.split(","))
            await pilot.press("escape")
            assert "KEYS" not in "\n".join(await settled(pilot))


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


async def test_q_quits_from_every_screen() -> None:
    for keys in ([], ["2"], ["3"], ["4"], ["5"], ["6"], ["question_mark"]):
        app = app_of(FakeMonitor(3))
        async with app.run_test(size=(80, 24)) as pilot:
            await pilot.press(*keys, "q")
        assert app.return_value == ExitReason.QUIT
        assert app.return_code == 0


async def test_ctrl_c_quits_when_pressed_twice() -> None:
    app = app_of(FakeMonitor(3))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("ctrl+c")
        assert "press ctrl+c again" in (await settled(pilot))[-1]
        assert app.return_value is None
        await pilot.press("ctrl+c")
    assert app.return_value == ExitReason.QUIT


async def test_freeze_holds_the_picture_and_says_so() -> None:
    monitor = FakeMonitor(3)
    app = app_of(monitor)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("f")
        monitor.change("BTCUSDT", price=1.0)
        app.tick()
        lines = await settled(pilot)
        assert "FROZEN" in lines[0]
        assert "60123.40" in lines[2]
        await pilot.press("f")
        lines = await settled(pilot)
        assert "FROZEN" not in lines[0]
        assert "1.00" in lines[2]


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


async def test_gaps_are_listed_and_tried_again() -> None:
    monitor = FakeMonitor(3)
    end = NOON - NOON % 60_000
    monitor.gaps = tuple(
        GapView(name, end - 600_000, end, 4, "filling", 2, "REST", "why", None)
        for name in ("BTCUSDT", "ETHUSDT")
    )
    app = app_of(monitor)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("4")
        lines = await settled(pilot)
        assert lines[7].startswith("▸ BTCUSDT")
        assert "60%" in lines[7]
        await pilot.press("down", "r", "R")
        assert [call for call in monitor.calls if "retry" in call] == ["retry ETHUSDT", "retry None"]
        monitor.gaps = monitor.gaps[1:]
        app.tick()
        assert (await settled(pilot))[7].startswith("▸ ETHUSDT")
        monitor.gaps = ()
        app.tick()
        assert "no gap" in (await settled(pilot))[7]


async def test_log_follows_scrolls_stays_and_filters() -> None:
    monitor = FakeMonitor(3)
    monitor.events = tuple(
        Event(NOON + i * 1000, ("info", "warning", "error")[i % 3], None, f"event {i}") for i in range(100)
    )
    app = app_of(monitor)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("6")
        assert "event 99" in (await settled(pilot))[21]
        await pilot.press("up", "up")
        assert "event 97" in (await settled(pilot))[21]
        monitor.events = (*monitor.events[3:], Event(NOON, "info", None, "event 100"))
        app.tick()
        lines = await settled(pilot)
        assert "event 97" in lines[21]
        assert "3 newer below" in lines[22]
        await pilot.press("end")
        assert "event 100" in (await settled(pilot))[21]
        await pilot.press("l", "l")
        lines = await settled(pilot)
        assert "errors" in lines[22]
        assert "event 98" in lines[21]
        assert "event 95" in lines[20]


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


@pytest.mark.parametrize(
    ("setting", "value", "named"),
    [("theme", "neon", "feeder-dark"), ("symbol_set", "emoji", "braille"), ("colors", "17", "truecolor")],
)
def test_a_setting_that_does_not_exist_is_refused_with_what_does(
    setting: str, value: str, named: str
) -> None:
    with pytest.raises(ValueError, match=rf"unknown .*'{value}'; there are: .*{named}"):
        app_of(FakeMonitor(1), **{setting: value})


async def test_a_stop_may_be_asked_for_from_another_thread() -> None:
    app = app_of(FakeMonitor(1))
    async with app.run_test(size=(80, 24)) as pilot:
        thread = threading.Thread(target=app.request_stop)
        thread.start()
        thread.join()
        await pilot.pause()
    assert app.return_value == ExitReason.STOP


async def test_a_stop_asked_for_before_the_start_is_not_lost() -> None:
    app = app_of(FakeMonitor(1))
    app.request_stop()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
    assert app.return_value == ExitReason.STOP


async def test_a_terminal_that_is_behind_costs_no_snapshots(monkeypatch: pytest.MonkeyPatch) -> None:
    monitor = FakeMonitor(3)
    app = app_of(monitor, refresh_hz=0.01)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        pulled = monitor.sequence
        monkeypatch.setattr("tui_feeder.app.write_backlog", lambda app: 4)
        app.tick()
        monkeypatch.setattr("tui_feeder.app.write_backlog", lambda app: 0)
        app.tick()  # the rate is halved: the tick after is left out too
        assert monitor.sequence == pulled
        assert app.ticks_skipped == 1
        app.tick()
        assert monitor.sequence == pulled + 1


async def test_a_terminal_without_the_focus_is_drawn_once_a_second() -> None:
    monitor = FakeMonitor(3)
    app = app_of(monitor, refresh_hz=0.01)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        app.hz = 4.0
        app.app_focus = False
        pulled = monitor.sequence
        for _ in range(12):
            app.tick()
        assert monitor.sequence == pulled + 3


async def test_ascii_without_colours_is_all_ascii_and_plain() -> None:
    app = app_of(with_troubles(FakeMonitor(20)), symbol_set="ascii", colors="none")
    async with app.run_test(size=(120, 40)) as pilot:
        for key in (*"123456", "question_mark"):
            await pilot.press(key)
            assert "".join(await settled(pilot)).isascii()
            for panel in app.screen.query(Panel):
                for strip in panel.strips:
                    assert all(s.style is None or s.style.color is s.style.bgcolor is None for s in strip)
