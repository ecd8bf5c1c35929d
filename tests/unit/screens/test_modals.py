"""What lies over a screen: origins, configuration, the question before the end, alerts."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
from examples import some_of
from fake_monitor import NOON, FakeMonitor, with_troubles
from screens import app_of, settled

from tui_feeder.app import AttachedApp, ExitReason, FeederApp, QuitEffect, UiSettings
from tui_feeder.monitor import AlertView, ConfiguredValue, RulesView, RuleView
from tui_feeder.screens.alert_notices import AlertNotices
from tui_feeder.widgets.lines import news_line
from tui_feeder.widgets.palette import GLYPHS

MINUTE = 60_000
CONFIGURED = (
    ConfiguredValue("application.symbols", '["BTCUSDT"]', "file /home/somebody/config.toml:3"),
    ConfiguredValue("technical_analysis.trend_rule", '"ema_cross"', "default"),
    ConfiguredValue("kafka.enabled", "false", "flag --kafka"),
)


def configured_app(monitor: FakeMonitor, quit_effect: QuitEffect = QuitEffect.STOPS) -> FeederApp:
    settings = UiSettings(symbol_set="braille", colors="truecolor", refresh_hz=0.01)
    return FeederApp(monitor, settings, title="test", quit_effect=quit_effect, configuration=CONFIGURED)


def line_of(lines: list[str], name: str) -> str:
    return next(line for line in lines if f"│ {name}" in line)


def words(lines: list[str]) -> str:
    """The text of a frame without the frame."""
    return " ".join("\n".join(lines).replace("│", " ").split())


async def test_w_tells_where_every_value_of_the_symbol_comes_from_and_what_it_lacks() -> None:
    monitor = FakeMonitor(3)
    states = list(monitor.views["BTCUSDT"].timeframes)
    states[3] = replace(states[3], warming=True, bars_lacking=3)
    monitor.change("BTCUSDT", timeframes=tuple(states), revisions=7)
    app = configured_app(monitor)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("w")
        lines = await settled(pilot)
        assert "Where the values of BTCUSDT come from" in "\n".join(lines)
        assert "60123.40" in line_of(lines, "price")
        assert "minute 14:03 in progress, frame" in line_of(lines, "price")
        assert "against the close of minute 14:02" in line_of(lines, "1m%")
        assert "closed bar 13:00: e21 against e89" in line_of(lines, "trend 1h")  # the rule configured
        assert "warming~ partial*" in line_of(lines, "trend 1h")
        assert "3 bars after it missing" in "\n".join(lines)
        assert "partial*" not in line_of(lines, "trend 4h")
        assert "closes of 1h bars up to 13:00  warming~" in line_of(lines, "e89 1h")
        assert "1m candles of 2026-02-03 UTC up to 14:02" in line_of(lines, "POC")
        assert "60/60 " in line_of(lines, "bar 13:00")
        assert "minutes from 57 REST, 3 stream" in line_of(lines, "bar 13:00")
        assert "843/843 " in line_of(lines, "today")
        assert line_of(lines, "revised").split()[2] == "7"
        asked = monitor.calls.count("sources BTCUSDT")
        app.tick()
        assert monitor.calls.count("sources BTCUSDT") == asked  # the store is read once a minute
        monitor.change("BTCUSDT", price=61_000.0, last_closed=NOON - NOON % MINUTE)
        app.tick()
        lines = await settled(pilot)
        assert "61000.00" in line_of(lines, "price")
        assert monitor.calls.count("sources BTCUSDT") == asked + 2
        await pilot.press("x")
        assert "come from" not in "\n".join(await settled(pilot))


@pytest.mark.parametrize(
    ("exact", "known", "basis"),
    [
        (0.0, 0.0, "volume; 1m candles of 2026-02-03 UTC up to 23:58"),
        (0.0, 0.06, "volume; trades for 6 % of the volume, 1m candles for the rest, of 2026-02-03 UTC"),
        (1.0, 1.0, "volume; trades, exact, of 2026-02-03 UTC up to 23:58"),
    ],
)
async def test_w_has_what_the_profile_is_made_of_and_its_minutes_whole(
    exact: float, known: float, basis: str
) -> None:
    monitor = FakeMonitor(2)
    last = NOON - NOON % 86_400_000 + 86_400_000 - 2 * MINUTE
    monitor.change("BTCUSDT", last_closed=last)
    made = monitor.profile("BTCUSDT")
    assert made is not None
    profile = replace(made, exact_share=exact, known_share=known)
    monitor.profile = lambda symbol, day=None, patience=None: profile
    monitor.sources = lambda symbol, start, end: {"REST": (end - start) // MINUTE}
    app = configured_app(monitor)
    async with app.run_test(size=(80, 40)) as pilot:
        await pilot.press("w")
        lines = await settled(pilot)
        assert basis in words(lines)
        assert "1,439/1,439 minutes from 1,439 REST" in " ".join(line_of(lines, "today").split())


@pytest.mark.parametrize("row", some_of(range(9), every=2))
async def test_w_knows_symbols_of_which_little_is_known(row: int) -> None:
    monitor = with_troubles(FakeMonitor(12))
    app = configured_app(monitor)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press(*["down"] * row, "w", "down", "pagedown")
        text = "\n".join(await settled(pilot))
        assert f"Where the values of {list(monitor.views)[row]}" in text or row == 8  # wide letters
        assert "None" not in text
        assert "nan" not in text


async def test_the_configuration_is_searched_and_a_value_told_with_its_origin() -> None:
    app = configured_app(FakeMonitor(3))
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("c")
        text = "\n".join(await settled(pilot))
        assert 'config.toml:3  application.symbols = ["BTCUSDT"]' in text
        assert "--kafka" in text
        await pilot.press(*"symb", "enter")
        text = words(await settled(pilot))
        assert 'value ["BTCUSDT"]' in text
        assert "from file /home/somebody/config.toml:3" in text


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("c", "the configuration is not known here: feeder-tui config show"),
        ("F", "faults can be injected on the own screen of a demo alone: feeder-tui --demo"),
        ("7", "no cluster: cluster.enabled = true makes this feeder a worker (docs/cluster.md)"),
    ],
)
async def test_a_key_of_what_there_is_not_here_tells_why(key: str, why: str) -> None:
    app = app_of(FakeMonitor(3))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press(key)
        assert why in (await settled(pilot))[-1]
        app.note = ""
        await pilot.press("s", key, "escape")  # typed into a list it is a letter
        assert why not in (await settled(pilot))[-1]


async def test_q_names_what_stops_and_what_stays_and_asks() -> None:
    monitor = with_troubles(FakeMonitor(12))
    app = configured_app(monitor)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("q")
        text = words(await settled(pilot))
        for expected in (
            "stops the live candles of 12 symbols", "stops reading history", "stops filling 1 gap",
            "stays 1,036,800 candles in lmdb_data; the", "q stop the feeder and quit", "n stay here",
        ):  # fmt: skip
            assert expected in text, expected
        await pilot.press("n")
        assert "Quit?" not in "\n".join(await settled(pilot))
        await pilot.press("q", "escape")
        assert app.return_value is None
        await pilot.press("q", "enter")
    assert app.return_value == ExitReason.QUIT


async def test_a_demo_that_keeps_nothing_says_so_before_it_ends() -> None:
    app = configured_app(FakeMonitor(3), QuitEffect.FORGETS)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("q")
        text = words(await settled(pilot))
        assert "1,036,800 candles of this demo (--storage DIR keeps them)" in text
        assert "stays" not in text


@pytest.mark.parametrize(
    ("quit_effect", "state"), [(QuitEffect.DETACHES, "live"), (QuitEffect.STOPS, "failed")]
)
async def test_nothing_is_asked_where_nothing_stops(quit_effect: QuitEffect, state: str) -> None:
    monitor = FakeMonitor(3)
    monitor.state = state
    app = configured_app(monitor, quit_effect)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("q")
    assert app.return_value == ExitReason.QUIT


@pytest.mark.parametrize(
    ("quit_effect", "said"),
    [(QuitEffect.DETACHES, "again to leave"), (QuitEffect.STOPS, "again to stop the feeder and quit")],
)
async def test_ctrl_c_says_what_the_second_one_does(quit_effect: QuitEffect, said: str) -> None:
    app = configured_app(FakeMonitor(3), quit_effect)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("ctrl+c")
        assert said in words(await settled(pilot))


def alert(number: int, symbol: str = "BTCUSDT", **fields: object) -> AlertView:
    return AlertView(number, NOON, "breakout", "price", symbol, f"crossed its POC, {number}", **fields)


def rows_of(lines: list[str]) -> list[str]:
    """The rows of the table."""
    return lines[2:10]


@pytest.mark.parametrize("size", some_of(((80, 24), (120, 40), (160, 45), (45, 20))))
async def test_an_alert_is_a_mark_a_bell_and_a_line_and_covers_nothing(
    size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monitor = FakeMonitor(3)
    monitor.alerts = (alert(1, acknowledged=True),)
    app = configured_app(monitor)
    rung: list[int] = []
    monkeypatch.setattr(app, "bell", lambda: rung.append(1))
    async with app.run_test(size=size) as pilot:
        before = await settled(pilot)
        assert "alert" not in "\n".join(before)  # it went off before the screen was there
        monitor.alerts = (*monitor.alerts, alert(2), alert(3, "ETHUSDT", rings=False))
        app.tick()
        lines = await settled(pilot)
        assert rung == [1]
        for was, row in zip(before[2:5], lines[2:5], strict=True):
            assert row[2:] == was[2:]  # every column of every row is still there
        assert [row[:2] for row in lines[2:5]] == ["▸!", " !", "  "]
        assert "alert 14:03 ETHUSDT crossed its POC, 3"[: size[0] - 5] in lines[-2]
        if size[0] >= 80:
            assert "alerts 2!" in lines[0]
            assert "1 more · a lists them" in lines[-2]
        app.tick()
        assert rung == [1]


@pytest.mark.parametrize(("screen", "size"), [("1", (80, 24)), ("2", (80, 24)), ("2", (120, 40))])
async def test_an_alert_is_pinned_on_the_chart_at_its_minute_and_price(
    screen: str, size: tuple[int, int]
) -> None:
    monitor = FakeMonitor(3)
    app = configured_app(monitor)
    bar = monitor.bars("BTCUSDT", 3_600, 6)[0]
    async with app.run_test(size=size) as pilot:
        await pilot.press(screen)
        before = await settled(pilot)
        at, price = int(bar["open_time"]) + 17 * MINUTE, float(bar["close"])
        pinned = replace(alert(1, price=price), at=at)
        monitor.alerts = (pinned, replace(pinned, number=2, symbol="ETHUSDT"))
        app.tick()
        app.note = ""
        app.tick()
        lines = await settled(pilot)
        rows = range(10 if screen == "1" else 4, size[1] - 2)
        changed = [
            (y, x) for y in rows for x in range(size[0] - 27) if before[y][x : x + 1] != lines[y][x : x + 1]
        ]
        assert len(changed) == 1  # nothing of the chart is covered but one cell
        ((y, x),) = changed
        assert lines[y][x] == "!"
        chart = app.screen.chart
        assert x == chart._slots.column(int(bar["open_time"])) + lines[y].index("│") + 1
        monitor.alerts = (replace(alert(1, price=None), at=NOON),)  # in the bar in progress, without a price
        app.tick()
        lines = await settled(pilot)
        first = next(y for y, line in enumerate(lines) if "BTCUSDT 1h" in line) + (1 if screen == "1" else 3)
        assert "!" in lines[first][size[0] // 2 :]


async def test_alerts_are_listed_and_acknowledged_one_by_one_or_all() -> None:
    monitor = FakeMonitor(3)
    monitor.alerts = (alert(1), alert(2, "SOLUSDT"), alert(3, acknowledged=True))
    app = configured_app(monitor)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("a")
        text = words(await settled(pilot))
        assert "Alerts, 2 not acknowledged" in text
        assert "a acknowledge all 2" in text
        assert "! 14:03 breakout SOLUSDT crossed its POC, 2" in text  # those acknowledged have no mark
        await pilot.press("down", "enter")  # past the newest, which is selected and was seen before
        assert monitor.calls[-1] != "acknowledge None"
        assert "acknowledge 2" in monitor.calls
        assert app.grid.selected == "SOLUSDT"
        app.tick()
        assert "alerts 1!" in (await settled(pilot))[0]
        await pilot.press("a", "a")
        assert "acknowledge None" in monitor.calls
        app.tick()
        lines = await settled(pilot)
        assert "alerts" not in lines[0]
        assert {row[1] for row in lines[2:5]} == {" "}


async def test_enter_in_the_list_of_alerts_acknowledges_the_newest_alone() -> None:
    monitor = FakeMonitor(3)
    monitor.alerts = (alert(1), replace(alert(2, "SOLUSDT"), rule="far-breakout"))
    app = configured_app(monitor)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("a")
        text = words(await settled(pilot))
        assert "! 14:03 far-breakout SOLUSDT crossed" in text
        assert "! 14:03 breakout BTCUSDT crossed" in text
        await pilot.press("enter")
        assert "acknowledge 2" in monitor.calls
        assert "acknowledge None" not in monitor.calls


@pytest.mark.parametrize(("others", "named"), [((), False), (("SOLUSDT",), False), (("BTCUSDT",), True)])
def test_the_line_of_news_names_the_rule_where_another_one_could_have_raised_the_alert(
    others: tuple[str, ...], named: bool
) -> None:
    keys = {"kind": "price", "symbols": ("BTCUSDT",)}
    rules = [RuleView("breakout", keys, "store")]
    rules += [RuleView("other", keys | {"symbols": others}, "store")] if others else []
    snapshot = replace(FakeMonitor(1).snapshot(), alerts=(alert(1),), alert_rules=RulesView(tuple(rules)))
    text = "".join(part for part, _ in news_line(snapshot, None, GLYPHS["braille"]))
    assert ("crossed its POC, 1 · rule breakout" in text) is named


async def test_on_another_screen_an_alert_takes_the_place_of_the_keys_for_a_while() -> None:
    monitor = FakeMonitor(3)
    app = configured_app(monitor)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("2")
        before = await settled(pilot)
        monitor.alerts = (alert(1, "ETHUSDT"),)
        app.tick()
        lines = await settled(pilot)
        assert lines[-1].startswith(" ! 14:03 ETHUSDT crossed its POC, 1 · a lists the alerts")
        assert lines[1:-1] == before[1:-1]
        assert "alerts 1!" in lines[0]


def test_alerts_are_new_once_and_again_when_the_feeder_began_anew() -> None:
    monitor = FakeMonitor(1)
    notices = AlertNotices()
    first = monitor.snapshot()
    assert notices.take(first) == ()
    assert notices.take(replace(first, alerts=(alert(1),))) == (alert(1),)
    assert notices.take(replace(first, alerts=(alert(1), alert(2)))) == (alert(2),)
    assert notices.take(replace(first, alerts=(alert(1), alert(2)))) == ()
    assert notices.take(replace(first, alerts=(alert(1),))) == (alert(1),)  # counted from one again


@pytest.mark.parametrize(
    ("size", "screen"), some_of(tuple(product(((24, 5), (40, 12), (45, 20), (30, 6), (80, 24)), "12")))
)
async def test_q_asks_in_sight_on_the_smallest_terminal(size: tuple[int, int], screen: str) -> None:
    app = configured_app(FakeMonitor(3))
    async with app.run_test(size=size) as pilot:
        await pilot.press(screen, "q")
        text = words(await settled(pilot))
        assert "stop the feed" in text
        assert "stay here" in text
        await pilot.press("n")
        assert "stay here" not in words(await settled(pilot))
        assert app.return_value is None


@pytest.mark.parametrize("kind", [AttachedApp, FeederApp])
async def test_help_and_commands_say_what_q_does_here(kind: type[FeederApp]) -> None:
    """On an attached screen it stops nothing."""
    more = {"title": "test"} if kind is FeederApp else {}
    app = kind(FakeMonitor(3), UiSettings(symbol_set="braille"), **more)
    async with app.run_test(size=(120, 40)) as pilot:
        shown = []
        for key in ("question_mark", "colon"):
            await pilot.press(key)
            if key == "colon":
                await pilot.press(*"feeder")
            shown.append(words(await settled(pilot)))
            await pilot.press("escape")
    for text in shown:
        assert ("Quit; the feeder keeps running" in text) == (kind is AttachedApp)
        assert ("Stop the feeder and quit" in text) == (kind is FeederApp)
