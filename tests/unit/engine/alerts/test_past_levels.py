"""Alerts on naked POCs and anchored VWAPs over a real month, against an independent computation."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import pytest
from alerting import minute_message, month_rows, replayed

from tui_feeder.config import Config
from tui_feeder.engine.alerts.level_history import StoredLevelHistory
from tui_feeder.engine.alerts.level_watch import MOST_WAITING, LevelsBefore
from tui_feeder.engine.alerts.manager import AlertManager
from tui_feeder.engine.alerts.rule_checks import AlertRules
from tui_feeder.engine.alerts.rules import Alert, Rule
from tui_feeder.engine.alerts.state_store import AlertStateStore
from tui_feeder.engine.analytics.profile.tools.anchored import AnchoredVwap
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, Candle, Source, to_candles
from tui_feeder.engine.core.clock import ExchangeClock
from tui_feeder.engine.core.journal import Journal
from tui_feeder.engine.derived.profile_tools import ProfileTools
from tui_feeder.engine.storage.store import Store

FIRST = 4 * 1_440 + 300  # the minute of the month at which the feeder begins to evaluate
READ = 1_000  # minutes later the levels of past days have been read
NAKED = Rule("naked", "naked_poc_touch", cooldown_ms=0)


def anchored_rule(hysteresis: float = 0.001) -> Rule:
    anchor = int(month_rows()["open_time"][2 * 1_440 + 7])
    return Rule("vwap", "anchored_vwap_touch", cooldown_ms=0, anchor=anchor, hysteresis=hysteresis)


def closing_pocs() -> dict[int, float]:
    """By day, the point of control of its last message."""
    found = {}
    for message in replayed()[0]:
        if message.profile is not None:
            found[message.profile.day] = message.profile.poc
    return found


def naked_before(end: int) -> list[tuple[int, float]]:
    rows = month_rows()
    found = []
    for day, poc in closing_pocs().items():
        later = rows[(rows["open_time"] >= day + DAY_MS) & (rows["open_time"] < end)]
        if day + DAY_MS <= end - end % DAY_MS and not ((later["low"] <= poc) & (poc <= later["high"])).any():
            found.append((day, poc))
    return found


def evaluated(rule: Rule) -> list[Alert]:
    """The alerts of a run from FIRST on, whose levels were read a while later."""
    rows, messages = month_rows(), replayed()[0]
    rules, found = AlertRules([rule], 89), []
    for place, c in enumerate(to_candles(rows[FIRST:]), FIRST):
        found += rules.minute(c, messages[place])
        if place == FIRST + READ:
            assert found == []
            ((symbol, before, anchors),) = rules.wanting_levels()
            assert (symbol, before) == ("FILUSDT", int(rows["open_time"][FIRST]))
            anchored = {anchor: AnchoredVwap() for anchor in anchors}
            for anchor, vwap in anchored.items():
                vwap.load(rows[(rows["open_time"] >= anchor) & (rows["open_time"] < before)])
            found += rules.begin_levels(symbol, before, LevelsBefore(naked_before(before), anchored))
            assert rules.wanting_levels() == []
    return found


def test_each_naked_level_is_reported_at_its_first_touch() -> None:
    rows = month_rows()
    first = int(rows["open_time"][FIRST])
    expected: dict[int, list[int]] = {}
    last = int(rows["open_time"][-1])
    for day, poc in closing_pocs().items():
        after = rows[rows["open_time"] >= day + DAY_MS]
        touched = after["open_time"][(after["low"] <= poc) & (poc <= after["high"])]
        if len(touched) and touched[0] >= first and day < last - last % DAY_MS:
            expected.setdefault(int(touched[0]), []).append(day)
    found = evaluated(NAKED)
    assert [alert.at + 1 - MINUTE_MS for alert in found] == sorted(expected)
    assert len(found) >= 3
    for alert in found:
        newest = max(expected[alert.at + 1 - MINUTE_MS])
        assert (alert.condition, alert.threshold) == ("touched", closing_pocs()[newest])
        assert "touched naked POC " in alert.text


@pytest.mark.parametrize("hysteresis", [0.0, 0.003])
def test_an_anchored_vwap_is_reported_when_it_is_reached(hysteresis: float) -> None:
    rule, rows = anchored_rule(hysteresis), month_rows()
    since = rows[rows["open_time"] >= rule.anchor]
    volume = money = Fraction(0)
    expected, on_it = [], False
    for c in to_candles(since):
        volume += Fraction(repr(c.volume))
        money += Fraction(repr(c.quote_volume))
        if c.open_time < rows["open_time"][FIRST]:
            continue
        level = float(money / volume)
        if c.low <= level <= c.high:
            if not on_it:
                expected.append(c.open_time)
            on_it = True
        elif c.low > level * (1 + hysteresis) or c.high < level * (1 - hysteresis):
            on_it = False
    found = evaluated(rule)
    assert [alert.at + 1 - MINUTE_MS for alert in found] == expected
    assert len(found) >= 3
    assert all(alert.threshold is not None and alert.condition == "touched" for alert in found)


START = 5 * DAY_MS


def test_other_rules_do_not_wait_for_the_levels() -> None:
    rules = AlertRules([NAKED, Rule("p", "price_cross", price=100.0, cooldown_ms=0)], None)
    assert rules.minute(*minute_message(0, 99.0, 99.0, day=5)) == []
    (crossed,) = rules.minute(*minute_message(1, 101.0, 101.0, day=5))
    assert crossed.rule == "p"
    assert len(rules.wanting_levels()) == 1


@pytest.mark.parametrize(("cooldown", "count"), [(0, 2), (300_000, 1)])
def test_two_levels_in_two_minutes_are_two_alerts_unless_it_cools_down(cooldown: int, count: int) -> None:
    rules = AlertRules([Rule("naked", "naked_poc_touch", cooldown_ms=cooldown)], None)
    assert rules.minute(*minute_message(0, 99.0, 99.0, day=5)) == []
    levels = LevelsBefore([(START - 2 * DAY_MS, 100.0), (START - DAY_MS, 101.0)], {})
    assert rules.begin_levels("BTCUSDT", START, levels) == []
    found = rules.minute(*minute_message(1, 100.0, 99.0, day=5))
    found += rules.minute(*minute_message(2, 101.0, 99.0, day=5))
    assert len(found) == count


def test_minutes_that_wait_too_long_begin_anew_and_late_levels_are_not_taken() -> None:
    rules = AlertRules([NAKED], None)
    for minute in range(MOST_WAITING + 2):
        rules.minute(*minute_message(minute, 99.0, 99.0, day=5))
    ((_, before, _),) = rules.wanting_levels()
    assert before == START + MOST_WAITING * MINUTE_MS
    assert rules.begin_levels("BTCUSDT", START, LevelsBefore([(0, 99.0)], {})) == []
    assert rules.wanting_levels()
    rules.forget("BTCUSDT")
    assert rules.wanting_levels() == []
    assert rules.begin_levels("BTCUSDT", before, LevelsBefore([], {})) == []


def test_of_a_symbol_without_such_a_rule_nothing_is_read() -> None:
    rules = AlertRules([Rule("naked", "naked_poc_touch", symbols=("ETHUSDT",))], None)
    rules.minute(*minute_message(0, 99.0, 99.0, day=5))
    assert rules.wanting_levels() == []


async def test_the_manager_reads_levels_of_the_store_and_reports_what_waited(tmp_path: Path) -> None:
    rows, clock = month_rows()[: 3 * 1_440], ExchangeClock()
    journal, config = Journal(clock.now), Config()
    with contextlib.closing(Store(tmp_path / "store", exchange="a test")) as store:
        store.put("BTCUSDT", rows, Source.ARCHIVE_MONTH).result()
        end = int(rows["open_time"][-1]) + MINUTE_MS
        history = StoredLevelHistory(store, config)
        (day, price), *_ = [
            (level.day, level.price)
            for level in ProfileTools(store, config).day_levels("BTCUSDT", 60, end, today=end)
            if level.touched_at is None
        ]
        rules = AlertRules([NAKED, anchored_rule()], None)
        state_store = AlertStateStore(store, config, journal)
        manager = AlertManager(rules, [], journal, clock, state_store, history, bell=False)
        _, message = minute_message(0, price, price, day=end // DAY_MS)
        manager.minute(Candle(end, price, price, price, price, 1.0, price, 1, 0.0, 0.0), message)
        assert not manager.recent
        await manager.read_levels()
        (shown,) = manager.recent
        assert shown.kind == "naked_poc_touch"
        assert datetime.fromtimestamp(day / 1000, UTC).strftime("%Y-%m-%d") in shown.text
        store.close()
        rules.forget("BTCUSDT")
        manager.minute(Candle(end, price, price, price, price, 1.0, price, 1, 0.0, 0.0), message)
        await manager.read_levels()
        assert journal.counters["alert_levels_unread"] == 1
