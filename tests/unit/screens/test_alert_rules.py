"""Rules of alerts made, changed and deleted on the screen."""

from __future__ import annotations

from dataclasses import replace

import pytest
from examples import examples, some_of
from fake_monitor import FakeMonitor
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from screens import app_of, mouse, settled
from textual.geometry import Size
from textual.pilot import Pilot

from tui_feeder.app import ExitReason
from tui_feeder.config import Config
from tui_feeder.configuration.rule_editing import checked_rule
from tui_feeder.monitor import RulesView, RuleView
from tui_feeder.screens.alert_rules import rule_form

LINE = RuleView("line", {"kind": "price_cross", "symbols": ("BTCUSDT",), "price": 61000.5}, "store")
FLIP = RuleView("flip", {"kind": "trend_flip", "symbols": ("ETH*",), "timeframe": 3600}, "configuration")
LAG = RuleView("lag", {"kind": "sink_lag", "seconds": 90.0}, "configuration", "the sinks are off")


async def typed(pilot: Pilot[ExitReason], text: str) -> None:
    """Replace what stands in the field in front."""
    await pilot.press("ctrl+u", *text)


def saved(monitor: FakeMonitor) -> RuleView:
    return monitor.rules.rules[-1]


async def test_a_price_is_typed_with_the_present_one_beside_it_and_the_rule_is_one_the_feeder_takes() -> None:
    monitor = FakeMonitor(12)
    app = app_of(monitor)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("A")
        text = "\n".join(await settled(pilot))
        assert "New alert on BTCUSDT" in text
        assert "now 60123.40" in text
        assert "feeder-tui/config.toml" in text
        assert "e89" in text
        await pilot.press("down", "down")
        await typed(pilot, "61,000.5")
        assert "now 60123.40, +1.46%" in "\n".join(await settled(pilot))
        await pilot.press("tab")
        await typed(pilot, "0.2")
        assert "% of the level, here 120.25" in "\n".join(await settled(pilot))
        await pilot.press("enter")
        lines = await settled(pilot)
        assert "saved: BTCUSDT-price, price crosses 61000.5" in lines[-1]
        assert "New alert" not in "\n".join(lines)
    keys = {"kind": "price_cross", "symbols": ("BTCUSDT",), "price": 61000.5, "hysteresis_percent": 0.2}
    assert saved(monitor) == RuleView("BTCUSDT-price", keys, "configuration")
    assert checked_rule(Config(), saved(monitor).name, keys).price == 61000.5


@pytest.mark.parametrize(
    ("presses", "keys"),
    [
        (["down", "right", "right"], {"kind": "price_cross", "level": "vah", "hysteresis_percent": 0.1}),
        (
            ["down", "left", "down", "right", "down", "right"],
            {
                "kind": "price_cross", "level": "ema", "timeframe": 14400, "periods": (89,),
                "hysteresis_percent": 0.1,
            },
        ),
        (["right"], {"kind": "trend_flip", "timeframe": 3600}),
        (
            ["right"] * 2,
            {"kind": "ema_cross", "timeframe": 3600, "periods": (21, 89), "hysteresis_percent": 0.1},
        ),
        (
            ["right"] * 3 + ["down", "right", "down", "down", "5"],
            {
                "kind": "volume_above", "measure": "taker_buy_volume", "quantile": "q90", "factor": 5.0,
                "hysteresis_percent": 0.1,
            },
        ),
        (["left", "left", "down", "6", "0"], {"kind": "gap_open", "seconds": 60.0}),
        (["left"], {"kind": "stream_stale"}),
    ],
)  # fmt: skip
async def test_every_kind_has_the_fields_it_needs_and_no_others(
    presses: list[str], keys: dict[str, object]
) -> None:
    monitor = FakeMonitor(12)
    app = app_of(monitor)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("down", "A", *presses, "enter")
        await settled(pilot)
    found = saved(monitor)
    assert dict(found.keys) == {"symbols": ("ETHUSDT",), **keys}
    checked_rule(Config(), found.name, found.keys)


async def test_what_is_wrong_is_told_in_the_form_and_nothing_typed_is_lost() -> None:
    monitor = FakeMonitor(12)
    app = app_of(monitor)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("A", "down", "down")
        await typed(pilot, "6x")
        await pilot.press("enter")
        assert "price: '6x' is no number, as 100000 or 0.25" in "\n".join(await settled(pilot))
        await typed(pilot, "60000")
        monitor.rule_fault = "config.toml cannot be written (read-only): keep the rule in the store"
        await pilot.press("enter")
        text = "\n".join(await settled(pilot))
        assert "cannot be written (read-only): keep the rule in the store" in text
        assert "60000" in text
        monitor.rule_fault = ""
        await pilot.press("up", *["down"] * 5, "right", "enter")  # keep it in the store
        await settled(pilot)
        app.tick()  # a snapshot that has it
        await pilot.press("A")
        assert "BTCUSDT-price  price crosses 60000 · BTCUSDT · store" in "\n".join(await settled(pilot))
    assert saved(monitor).place == "store"


async def test_the_list_has_those_on_the_symbol_first_to_change_and_delete() -> None:
    monitor = FakeMonitor(12)
    monitor.rules = replace(monitor.rules, rules=(FLIP, LAG, LINE))
    app = app_of(monitor)
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.press("A")
        lines = [line for line in await settled(pilot) if "│" in line]
        shown = [name for line in lines for name in ("new alert", "line ", "flip ", "lag ") if name in line]
        assert shown == ["new alert", "line ", "flip ", "lag "]
        assert "sink behind for 90 s · configuration · not in force: the sinks are off" in "\n".join(lines)
        await pilot.press(*"flip", "enter")
        text = "\n".join(await settled(pilot))
        assert "Rule flip" in text
        assert "now Buy" in text or "now Sell" in text or "now Neutral" in text
        await pilot.press("down", "right", *["down"] * 4)
        await typed(pilot, "eth-turns")
        await pilot.press("enter")
        await settled(pilot)
        assert monitor.calls[-1] == "save eth-turns in the configuration, for flip"
        assert dict(saved(monitor).keys) == dict(FLIP.keys) | {"timeframe": 14400}
        app.tick()
        await pilot.press("A", *"line", "delete")
        assert "delete it from the store" in "\n".join(await settled(pilot))
        await pilot.press("n", "A", *"line", "delete", "y")
        assert "deleted: rule line" in (await settled(pilot))[-1]
    assert monitor.rules.rules == (LAG, saved(monitor))


async def test_why_a_rule_is_not_in_force_is_shown_with_it() -> None:
    monitor = FakeMonitor(12)
    monitor.rules = replace(monitor.rules, rules=(LAG,))
    app = app_of(monitor)
    async with app.run_test(size=(45, 20)) as pilot:
        await pilot.press("A", *"lag", "enter")
        assert "not in force: the sinks are off" in "\n".join(await settled(pilot))
        await pilot.press("down", "1")
        assert "not in force" not in "\n".join(await settled(pilot))


@pytest.mark.parametrize("rule", [LINE, FLIP, LAG])
async def test_a_rule_that_is_saved_unchanged_is_the_same(rule: RuleView) -> None:
    monitor = FakeMonitor(12)
    monitor.rules = replace(monitor.rules, rules=(rule,))
    app = app_of(monitor)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("A", *rule.name, "enter", "enter")
        await settled(pilot)
    assert replace(saved(monitor), fault=rule.fault) == rule


async def test_a_rule_of_a_configuration_that_is_not_written_states_so_before_it_is_changed() -> None:
    monitor = FakeMonitor(12)
    monitor.rules = RulesView((replace(LINE, place="configuration"),), cooldown_seconds=45.0)
    app = app_of(monitor)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("A", *"line", "enter")
        text = " ".join("\n".join(await settled(pilot)).replace("│", " ").split())
        assert "cannot be changed: it is of the configuration, which is not written" in text
        assert "s; empty: 45" in text
        await pilot.press("enter")
        text = " ".join("\n".join(await settled(pilot)).replace("│", " ").split())
        assert "cannot be changed: it is of the configuration" in text
        await pilot.press("escape", "A", *"line", "delete")
        assert "rule line stays: it is of the configuration" in (await settled(pilot))[-1]
    assert not [call for call in monitor.calls if call.startswith(("save", "delete"))]


async def test_where_rules_cannot_be_changed_the_list_tells_why() -> None:
    monitor = FakeMonitor(12)
    monitor.rules = RulesView((LINE,), locked="a replay changes no rules of alerts")
    app = app_of(monitor)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("A")
        text = "\n".join(await settled(pilot))
        assert "a replay changes no rules of alerts" in text
        assert "line  price crosses 61000.5" in text
        assert "new alert" not in text
        await pilot.press(*"line", "delete")
        assert "a replay changes no rules of alerts" in (await settled(pilot))[-1]
    assert not [call for call in monitor.calls if call.startswith(("save", "delete"))]


@pytest.mark.parametrize(
    ("size", "symbol_set"),
    some_of((((30, 6), "braille"), ((120, 40), "braille"), ((45, 20), "ascii")), every=2),
)
async def test_the_form_fits_every_terminal_and_every_field_can_be_reached(
    size: tuple[int, int], symbol_set: str
) -> None:
    monitor = FakeMonitor(12)
    app = app_of(monitor, symbol_set=symbol_set, colors="none")
    async with app.run_test(size=size) as pilot:
        await pilot.press("A", "down", "left")  # an EMA: most fields
        pointer = app.palette.glyphs.pointer
        seen = set()
        for _ in range(12):
            lines = await settled(pilot)
            assert all(cell_len(line) == size[0] for line in lines)
            seen |= {line.partition(f"{pointer} ")[2][:6] for line in lines}
            await pilot.press("down")
        assert {"level ", "bars  ", "EMA   ", "hyster", "cool-d", "symbol", "keep i", "name  "} <= seen


async def test_fields_are_pressed_with_the_mouse_and_a_press_beside_the_form_loses_nothing() -> None:
    app = app_of(FakeMonitor(12))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("A", "down", "down", "ctrl+u", *"123")
        lines = await settled(pilot)
        row = next(y for y, line in enumerate(lines) if " level " in line)
        lines = await mouse(pilot, "press", (10, row))
        assert "▸ level      < a price >" in lines[row]
        lines = await mouse(pilot, "press", (10, row))
        assert "< POC >" in lines[row]
        await mouse(pilot, "press", (0, 23))
        text = "\n".join(await mouse(pilot, "press", (79, 1)))
        assert "New alert on BTCUSDT" in text
        await pilot.press("left")
        assert " 123 " in "\n".join(await settled(pilot))


KEYS = ("up", "down", "left", "right", "tab", "space", "backspace", "home", "ctrl+u", *"0.1a,*")


@settings(max_examples=examples(40), deadline=None)
@given(
    st.sampled_from([None, LINE, FLIP, LAG]),
    st.lists(st.sampled_from(KEYS), max_size=40),
    st.integers(30, 200),
    st.integers(6, 60),
)
def test_any_keys_leave_a_form_that_fits_the_terminal(
    rule: RuleView | None, keys: list[str], width: int, height: int
) -> None:
    app = app_of(FakeMonitor(3))
    app.grid.update(app.snapshot, resort=False)
    form = rule_form(app, rule)
    for key in keys:
        assert form.press(key, key if len(key) == 1 else " " if key == "space" else None) is True
    region = form.region(Size(width, height))
    assert region.x >= 0
    assert region.right <= width
    assert region.bottom <= height
    strips = form.paint(region.width, region.height, app.palette)
    assert [strip.cell_length for strip in strips] == [region.width] * region.height
