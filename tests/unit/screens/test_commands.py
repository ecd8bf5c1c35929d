from __future__ import annotations

import csv
import json
import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from examples import some_of
from fake_monitor import NOON, FakeFaults, FakeMonitor, with_troubles
from screens import SCREENS, app_of, overview, settled

from tui_feeder.app import FeederApp, UiSettings
from tui_feeder.screens.export import Table, file_name, row_text, write
from tui_feeder.screens.ui_state import UiState, read_ui_state, write_ui_state
from tui_feeder.widgets.popup import Choice, Popup


def demo_app(faults: FakeFaults | None = None, state_file: Path | None = None) -> FeederApp:
    settings = UiSettings(symbol_set="braille", colors="truecolor", theme_stated=False)
    return FeederApp(FakeMonitor(12), settings, title="test", faults=faults, state_file=state_file)


async def test_f_shows_the_faults_of_a_demo_and_switches_them_for_the_selected_symbol() -> None:
    faults = FakeFaults()
    app = demo_app(faults)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("down")
        assert "F fault " in (await settled(pilot))[-1]
        await pilot.press("F")
        text = "\n".join(await settled(pilot))
        assert "1  cut the connection" in text
        assert "2  mute ETHUSDT" in text
        await pilot.press("2")
        await app.workers.wait_for_complete()
        assert faults.asked == ["mute ETHUSDT"]
        assert "on: mute" in (await settled(pilot))[-1]
        await pilot.press("F", "down", "up", "enter")
        await app.workers.wait_for_complete()
        await pilot.press("F", "h")
        await app.workers.wait_for_complete()
        assert faults.asked == ["mute ETHUSDT", "cut None", "heal"]
        assert "end all faults" not in "\n".join(await settled(pilot))


async def test_without_a_demo_there_is_no_fault_to_switch() -> None:
    app = app_of(FakeMonitor(3))
    async with app.run_test(size=(200, 60)) as pilot:
        await pilot.press("F")
        text = "\n".join(await settled(pilot))
        assert "Faults" not in text
        await pilot.press("question_mark")
        assert "Inject a fault" not in "\n".join(await settled(pilot))


async def test_an_open_list_takes_the_keys_and_escape_gives_them_back() -> None:
    app = demo_app(FakeFaults())
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("F", "q", "down", "6")
        assert app.current_mode == "overview"
        await pilot.press("escape")
        lines = await settled(pilot)
        assert overview(app).grid.selected == "BTCUSDT"
        assert lines[3].startswith("  ETHUSDT")
        await pilot.press("6")
        assert app.current_mode == "log"


async def test_the_palette_finds_every_action_of_the_screen_and_runs_it() -> None:
    app = demo_app(FakeFaults())
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("2", "colon", *"wid")
        text = "\n".join(await settled(pilot))
        assert "Wider candles" in text
        pitch = app.screen.chart.pitch
        await pilot.press("enter")
        await settled(pilot)
        assert app.screen.chart.pitch == pitch + 1
        await pilot.press("colon", *"xrp", "enter")
        assert app.grid.selected == "XRPUSDT"
        await pilot.press("colon", *"e 5m", "enter")
        assert app.timeframe == 300
        await pilot.press("colon", *"high", "enter")
        await settled(pilot)
        await pilot.press("colon", *"y pri", "enter", "1")
        lines = await settled(pilot)
        assert "▾PRICE" in lines[1]
        await pilot.press("colon", *"zz", "enter")
        assert 'no line has "zz"' in "\n".join(await settled(pilot))
        await pilot.press("backspace", "escape")
        await pilot.press("colon", *"r and q", "enter")
        await settled(pilot)
        await pilot.press("enter")
    assert app.return_value == "quit"


def test_a_list_shows_what_has_every_word_typed_beginnings_first() -> None:
    popup = Popup("x", [Choice("", text, list) for text in ("see chart", "chart one", "two")], searched=True)
    for character in "chart":
        assert popup.press(character, character) is True
    assert [choice.text for choice in popup.shown] == ["chart one", "see chart"]
    popup.press("space", " ")
    popup.press("s", "s")
    assert [choice.text for choice in popup.shown] == ["see chart"]


async def test_y_copies_the_selected_line_through_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monitor = with_troubles(FakeMonitor(12))
    app = app_of(monitor)
    copied: list[str] = []
    monkeypatch.setattr(app, "copy_to_clipboard", copied.append)
    async with app.run_test(size=(120, 40)) as pilot:
        for key in "123456":
            await pilot.press(key)
            await settled(pilot)
            await pilot.press("y")
    assert copied[0].startswith("symbol BTCUSDT  state live  price 60123.4")
    assert copied[1].startswith("BTCUSDT 02-03 14:00  O 60123.40  H ")
    assert copied[2].startswith("BTCUSDT 2026-02-03 POC ")
    assert copied[3].startswith("symbol BTCUSDT  start 2026-02-03T13:41:00Z")
    assert copied[4].endswith("no closing frame for 14:01, asking REST")
    assert len(copied) == 5  # sinks and sources have no line to select


async def test_e_writes_the_view_as_svg_csv_and_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    app = app_of(with_troubles(FakeMonitor(12)))
    async with app.run_test(size=(80, 24)) as pilot:
        for form in "scj":
            await pilot.press("e", form)
        await pilot.press("2")
        await settled(pilot)
        await pilot.press("e", "c")
        assert "written:" in (await settled(pilot))[-1]
        monkeypatch.chdir("/proc")
        await pilot.press("e", "c")
        assert "not exported" in (await settled(pilot))[-1]
    names = os.listdir(tmp_path)
    files = {name[-4:]: tmp_path / name for name in names if "overview" in name}
    assert "BTCUSDT" in files[".svg"].read_text()
    rows = list(csv.DictReader(files[".csv"].open(newline="")))
    assert [row["symbol"] for row in rows] == list(app.grid.order)
    assert float(rows[0]["price"]) == 60123.4
    assert rows[6]["price"] == ""  # unknown, not 0
    parsed = json.loads(files["json"].read_text())
    assert parsed[6]["price"] is None
    assert parsed[0]["last_closed"] == "2026-02-03T14:02:00Z"
    (bars,) = [name for name in names if "BTCUSDT-1h" in name]
    assert list(csv.DictReader((tmp_path / bars).open(newline="")))[-1]["open_time"] == "2026-02-03T13:00:00Z"


def test_an_export_never_replaces_a_file(tmp_path: Path) -> None:
    name = file_name("币安人生USDT-1h/..", "csv", NOON)
    assert "/" not in name
    assert [write(tmp_path, name, str(i)).name for i in range(3)] == [
        name, name.replace(".csv", "-2.csv"), name.replace(".csv", "-3.csv"),
    ]  # fmt: skip
    assert (tmp_path / name).read_text() == "0"


def test_a_table_is_the_same_in_csv_and_json() -> None:
    table = Table("x", ("a", "b"), [("1,2", None), ('"', 0.1)])
    assert table.csv() == 'a,b\r\n"1,2",\r\n"""",0.1\r\n'
    assert json.loads(table.json()) == [{"a": "1,2", "b": None}, {"a": '"', "b": 0.1}]


async def test_choices_are_kept_from_one_run_to_the_next(tmp_path: Path) -> None:
    state = tmp_path / "state" / "screen.json"
    app = demo_app(state_file=state)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("s", *"price", "enter", "down", "down", "left_square_bracket", "t", "2")
        await settled(pilot)
        chosen = app.grid.selected
    again = demo_app(state_file=state)
    async with again.run_test(size=(80, 24)) as pilot:
        lines = await settled(pilot)
        assert again.current_mode == "chart"
        assert f"{chosen} 15m" in lines[1]
        await pilot.press("1")
        assert "▾PRICE" in (await settled(pilot))[1]
        assert again.grid.selected == chosen
    assert read_ui_state(state).theme == app.appearance.theme != "feeder-dark"
    assert [path.name for path in state.parent.iterdir()] == ["screen.json"]


async def test_a_kept_symbol_is_selected_when_it_appears(tmp_path: Path) -> None:
    state = tmp_path / "screen.json"
    write_ui_state(state, UiState(symbol="SOLUSDT"))
    monitor = FakeMonitor(6)
    views, monitor.views = monitor.views, {}
    app = FeederApp(monitor, UiSettings(symbol_set="braille"), title="test", state_file=state)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        monitor.views = views
        app.tick()
        await settled(pilot)
        assert app.grid.selected == "SOLUSDT"


@pytest.mark.parametrize(
    "text", some_of(("{", "", '{"symbol": 7, "timeframe": true, "screen": "bridge"}', "[]", "\0"), every=2)
)
async def test_a_damaged_memory_is_no_obstacle(tmp_path: Path, text: str) -> None:
    state = tmp_path / "screen.json"
    state.write_text(text)
    app = demo_app(state_file=state)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        assert app.current_mode == "overview"
        await pilot.press("6")
    assert read_ui_state(state).screen == "log"


def test_memory_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    state = tmp_path / "screen.json"
    write_ui_state(state, UiState(symbol="BTCUSDT"))
    assert stat.S_IMODE(state.stat().st_mode) == 0o600
    before = state.read_text()
    tmp_path.chmod(0o500)
    try:
        write_ui_state(state, replace(UiState(), symbol="ETHUSDT"))  # root may write all the same
    finally:
        tmp_path.chmod(0o700)
    assert state.read_text() in (before, before.replace("BTC", "ETH"))


async def test_every_binding_can_be_reached_by_its_id_from_the_palette() -> None:
    app = demo_app(FakeFaults())
    async with app.run_test(size=(120, 40)) as pilot:
        for key, name in zip("123456", SCREENS, strict=True):
            await pilot.press(key)
            await settled(pilot)
            assert app.current_mode == name
            wanted = {active.binding.tooltip for active in app.screen.active_bindings.values()}
            await pilot.press("colon")
            popup = app.screen.popup
            listed = {choice.text for choice in popup.shown}
            assert wanted - listed == {
                "Search all commands, symbols, themes", "Quit, if pressed twice",
            }  # fmt: skip
            await pilot.press("escape")


def test_a_copied_row_has_numbers_as_people_read_them() -> None:
    columns = ("symbol", "price", "change", "volume", "time", "tiny", "none")
    row = ("A", 107_922.1, -0.22787694644891276, 13_012_345_678.12, 1_770_127_402_000, 5.123456789e-8, None)
    text = row_text(Table("a", columns, [row]), "A")
    assert text == (
        "symbol A  price 107922.1  change -0.22787695  volume 13012345678  time 1770127402000  "
        "tiny 0.000000051234568"
    )
