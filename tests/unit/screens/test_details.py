"""Enter shows everything about what is selected: nothing cut, to scroll and to copy."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import product

import pytest
from examples import some_of
from fake_monitor import NOON, FakeMonitor, with_troubles
from rich.cells import cell_len
from screens import app_of, settled

from tui_feeder.app import FeederApp, UiSettings
from tui_feeder.monitor import AlertView, ConfiguredValue, Event, RuleView

LONG = "contradictory closes: close 60123.4 and 60124.5; REST is asked, and what rests on it is revised"
LINE = RuleView("line", {"kind": "price_cross", "symbols": ("BTC*",), "price": 61000.0}, "store")
ALERT = AlertView(7, NOON - 300_000, "line", "price_cross", "BTCUSDT", "BTCUSDT: price crossed above 61,000")


def troubled() -> FakeMonitor:
    monitor = with_troubles(FakeMonitor(12))
    monitor.rules = replace(monitor.rules, rules=(LINE,))
    monitor.alerts = (ALERT,)
    monitor.events = (*monitor.events, Event(NOON - 60_000, "warning", "BTCUSDT", LONG))
    monitor.change("BTCUSDT", revisions=3, missing_minutes=1)
    return monitor


def words(lines: list[str]) -> str:
    """What stands in the frame, in one line."""
    inside = [line[line.index("│") + 1 : line.rindex("│")] for line in lines if line.count("│") > 1]
    return re.sub(r"\s+", " ", " ".join(inside))


async def test_a_symbol_is_shown_with_everything_known_of_it() -> None:
    app = app_of(troubled())
    async with app.run_test(size=(104, 70)) as pilot:
        await pilot.press("enter")
        text = words((await settled(pilot))[2:])
    for known in (
        "state live", "price 60123.40 1 min -0.05% 24 h +1.53%", "minute 14:03 in progress: O 60123.40",
        "24 h 54108.87 to 61032.53, 12.80% of the low; volume 402M (quote asset)",
        "1h ▲ Buy since 02-03 11:00 (3h); bar 02-03 13:00 closed at 60123.40; EMA 21 57839.24 "
        "(price +3.95% from it)",
        "alignment +3 of 5; no trend has changed for 18m", "POC 55800.00 +7.75%", "VWAP 58382.48",
        "profile 843 minutes, volume 1.5k (base asset), 118 rows of 50", "largest 55800.00 2.3%",
        "RVOL 3.4", "q25 q50 q75 q90 of a minute", "taker buy 1 2 4.50 9.25 base asset",
        "peak 812 in the 5m bar to 02-03 13:03, close 59800.00; 4h closes against it: Buy",
        "newest 02-03 14:02 closed; last frame 0.1 s ago", "wanted from 2026-01-17 22:00; 1 missing",
        "today 840 from REST, 3 from stream", "corrected 3 published minutes",
        "02-03 13:55 to 02-03 13:57 (2 min)",
        "gap 02-03 13:41 to 02-03 13:44 (3 min): filling, 1 still missing, tried 1 time; socket silent",
        "rule line: price crosses 61000", "! BTCUSDT: price crossed above 61,000 (rule line)", LONG,
    ):  # fmt: skip
        assert known in text, known


#: Rows of symbols of which little is known, each on terminals of these sizes.
CASES = tuple(product((1, 3, 6, 7, 8), ((45, 20), (80, 24), (200, 60))))


@pytest.mark.parametrize(("row", "size"), some_of(CASES, every=4))
async def test_symbols_of_which_little_is_known_have_a_sheet_that_fits(
    row: int, size: tuple[int, int]
) -> None:
    app = app_of(troubled(), symbol_set="ascii", colors="none")
    async with app.run_test(size=size) as pilot:
        await pilot.press(*["down"] * row, "enter", "pagedown")
        lines = await settled(pilot)
        text = "\n".join(lines)
        assert all(cell_len(line) == size[0] for line in lines)
        assert "y copies, esc" in text
        assert "None" not in text
        assert "nan" not in text


async def test_the_sheet_goes_on_with_the_symbol_and_is_copied_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monitor = troubled()
    app = app_of(monitor)
    copied: list[str] = []
    monkeypatch.setattr(app, "copy_to_clipboard", copied.append)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("enter")
        await settled(pilot)
        asked = monitor.calls.count("numbers BTCUSDT")
        monitor.change("BTCUSDT", price=61_000.0)
        app.tick()
        assert "price 61000.00" in words(await settled(pilot))
        assert monitor.calls.count("numbers BTCUSDT") == asked  # the store is read once a minute
        await pilot.press("y")
        assert "copied: " in (await settled(pilot))[-1]
    assert copied[0].startswith("state      live\nprice      61000.00")
    assert LONG in copied[0]


@pytest.mark.parametrize(
    ("keys", "title", "known"),
    [
        (["2", "enter"], "BTCUSDT", "state live"),
        (["3", "enter"], "BTCUSDT", "state live"),
        (
            ["4", "enter"],
            "Gap of BTCUSDT",
            "state filling, 1 still missing, tried 1 time; socket silent, asked REST",
        ),
        (["5", "enter"], "Sources", "market 1"),
        (["6", "enter"], "Log line", LONG),
        (["6", "enter", "left", "left"], "Log line", "text market 1 connected line 1 of 3 shown"),
        (["a", "down", "tab"], "Alert", "text BTCUSDT: price crossed above 61,000 state not acknowledged"),
    ],
)
async def test_enter_on_every_screen(keys: list[str], title: str, known: str) -> None:
    app = app_of(troubled())
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press(*keys)
        lines = await settled(pilot)
        assert f"── {title} ─" in "\n".join(lines)
        assert known in words(lines[2:])


async def test_a_value_of_the_configuration_is_shown_with_its_meaning_and_what_is_allowed() -> None:
    values = (
        ConfiguredValue("alerts.rules.line.price", "61000.0", "file /home/somebody/config.toml:3"),
        ConfiguredValue("kafka.acks", '"all"', "default"),
        ConfiguredValue("no.such_key", "1", "default"),
    )
    settings = UiSettings(symbol_set="braille", colors="truecolor")
    app = FeederApp(FakeMonitor(3), settings, title="test", configuration=values)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("c", *"line", "enter")
        text = words((await settled(pilot))[2:])
        assert "from file /home/somebody/config.toml:3" in text
        assert "meaning the price to cross, in the place of a level" in text
        assert "only with kind = price_cross" in text
        assert "change SIGHUP applies a new value" in text
        await pilot.press("escape", "c", *"acks", "enter")
        text = words((await settled(pilot))[2:])
        assert 'allowed one of "all", "-1", "1", "0"' in text
        assert "variable FEEDER_KAFKA__ACKS" in text
        assert "change a new value needs a restart" in text
        await pilot.press("escape", "c", *"no.such", "enter")
        assert "key no.such_key" in words((await settled(pilot))[2:])
