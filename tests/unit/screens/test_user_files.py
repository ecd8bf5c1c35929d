from __future__ import annotations

import os
from pathlib import Path

import pytest
from fake_monitor import FakeMonitor
from places import ROOT
from screens import settled

from tui_feeder.app import FeederApp, UiSettings
from tui_feeder.screens.keymap import read_keymap
from tui_feeder.widgets.color_themes.themes import Themes

SHIPPED = ROOT / "tui_feeder/widgets/color_themes/feeder-dark.toml"
KNOWN = {
    "app.quit": "q",
    "app.help": "question_mark",
    "overview.up": "up",
    "overview.sort": "s",
    "log.level": "l",
}


def app_with(folder: Path, **settings: object) -> FeederApp:
    chosen = UiSettings(symbol_set="braille", colors="truecolor", refresh_hz=0.01, **settings)
    return FeederApp(FakeMonitor(6), chosen, title="test", folder=folder)


def keys_file(folder: Path, text: str) -> Path:
    path = folder / "keys.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "keys", "fault"),
    [
        ('[keys]\n"overview.up" = "k, up"', {"overview.up": "k,up"}, ""),
        ('[keys]\n"overview.sort" = "l"', {"overview.sort": "l"}, ""),  # another screen's l
        ('[keys]\n"app.quit" = "s"\n"overview.sort" = "q"', {"app.quit": "s", "overview.sort": "q"}, ""),
        (
            '[keys]\n"overview.upp" = "k"',
            {},
            'keys.toml:2: unknown name "overview.upp"; did you mean overview.up?',
        ),
        ('[keys]\n\n"overview.up" = "q"', {}, "keys.toml:3: overview.up: q is app.quit's"),
        ('[keys]\n"overview.sort" = "/"', {"overview.sort": "slash"}, ""),
        ('[keys]\n"overview.sort" = "ctrl+shift+f5,\\u00e4"', {"overview.sort": "ctrl+shift+f5,\u00e4"}, ""),
        ('[keys]\n"overview.sort" = "sapce"', {}, 'overview.sort: there is no key "sapce"; keys are such as'),
        ('[keys]\n"overview.sort" = "ctl+k"', {}, 'there is no key "ctl+k"'),
        ("[keys]\noverview.sort = 'k'", {}, 'keys.toml:2: write the name in quotes: "overview.sort"'),
        ('[key]\n"overview.sort" = "k"', {}, 'keys.toml:1: unknown "key": names of keys belong below [keys]'),
        ('[keys]\n"chart.nothing" = "k"', {}, "feeder-tui keys lists all names"),
        ('[keys]\n"overview.up" = "?"', {}, "is app.help's"),
        ('[keys]\n"app.quit" = "ctrl+z"', {}, "terminals use ctrl+z"),
        ('[keys]\n"app.quit" = 7', {}, "keys are a text"),
        ("keys = 7", {}, "must be a table"),
        ("x = 1\n[keys", {}, "keys.toml:2: is not TOML: Expected"),
        ("", {}, ""),
    ],
)
def test_a_keymap_is_read_and_its_faults_are_named(
    tmp_path: Path, text: str, keys: dict[str, str], fault: str
) -> None:
    found, faults = read_keymap(keys_file(tmp_path, text), KNOWN)
    assert found == keys
    assert bool(faults) == bool(fault)
    assert fault in "; ".join(faults)


async def test_keys_are_taken_over_while_running_and_faults_are_told_in_one_line(tmp_path: Path) -> None:
    app = app_with(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        path = keys_file(tmp_path, '[keys]\n"overview.down" = "j"\n')
        app.reload_user_files()
        await pilot.press("j")
        assert app.grid.selected == "ETHUSDT"
        await pilot.press("down")
        assert app.grid.selected == "ETHUSDT"
        app.note = ""
        app.tick()
        await pilot.press("question_mark")
        assert "  ↑ j " in "\n".join(await settled(pilot))
        await pilot.press("escape")
        path.write_text('[keys]\n"overview.down" = "q"\n"overview.dawn" = "x"\n')
        os.utime(path, ns=(1, 1))
        app.reload_user_files()
        line = (await settled(pilot))[-1]
        assert "overview.down: q is app.quit's" in line or "unknown name" in line
        await pilot.press("down")
        assert app.grid.selected == "SOLUSDT"


async def test_a_theme_of_the_user_is_found_and_follows_its_file(tmp_path: Path) -> None:
    folder = tmp_path / "themes"
    folder.mkdir()
    mine = folder / "mine.toml"
    mine.write_text(SHIPPED.read_text().replace("#10151b", "#112233"))
    app = app_with(tmp_path, theme="mine")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        assert app.palette.background.bgcolor is not None
        assert app.palette.background.bgcolor.name == "#112233"
        mine.write_text(SHIPPED.read_text().replace("#10151b", "#445566"))
        os.utime(mine, ns=(1, 1))
        app.reload_user_files()
        assert app.palette.background.bgcolor.name == "#445566"
        mine.write_text('description = "x"\n[colors]\ntext = "no such colour"\n')
        os.utime(mine, ns=(2, 2))
        app.reload_user_files()
        assert "theme file mine.toml" in (await settled(pilot))[-1]
        assert app.palette.background.bgcolor.name == "#445566"  # the last good one stays
        await pilot.press("t")
        await settled(pilot)
        mine.unlink()
        app.reload_user_files()
        await pilot.press("t", "t", "t", "t", "t", "t")


def test_a_theme_of_the_user_goes_before_a_shipped_one_of_the_same_name(tmp_path: Path) -> None:
    (tmp_path / "feeder-dark.toml").write_text(SHIPPED.read_text().replace("default", "mine"))
    themes = Themes(tmp_path)
    assert "mine" in themes.load("feeder-dark").description
    assert themes.names() == Themes().names()
    assert themes.faults() == []
