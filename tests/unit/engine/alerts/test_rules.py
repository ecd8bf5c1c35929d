"""The rules of alerts by themselves: conditions, hysteresis, cool-down, trouble that lasts."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from alerting import minute_message
from hypothesis import given
from hypothesis import strategies as st

from tui_feeder.engine.alerts.rule_checks import AlertRules
from tui_feeder.engine.alerts.rules import Alert, Finding, Health, Rule, RuleState, alert_for
from tui_feeder.engine.analytics.message import divergence_name
from tui_feeder.engine.core.candle import MINUTE_MS

TWO_SIDED = Rule("side", "price_cross", level="poc", cooldown_ms=5 * MINUTE_MS)
QUIET_OR_NOT = Rule("trouble", "gap_open", cooldown_ms=5 * MINUTE_MS)


def settled(rule: Rule, conditions: Sequence[str | None], step: int = MINUTE_MS) -> list[Alert]:
    watch, out = RuleState(), []
    for n, condition in enumerate(conditions):
        alert, _ = alert_for(rule, watch, Finding(condition), "BTCUSDT", n * step)
        if alert is not None:
            out.append(alert)
    return out


@given(st.lists(st.sampled_from(["above", "below", None]), max_size=60), st.integers(0, 20))
def test_two_alerts_are_never_closer_than_the_cool_down_and_always_of_another_side(
    conditions: list[str | None], minutes: int
) -> None:
    rule = Rule("side", "price_cross", level="poc", cooldown_ms=minutes * MINUTE_MS)
    alerts = settled(rule, conditions)
    for before, after in pairwise(alerts):
        assert after.at - before.at >= rule.cooldown_ms
        assert after.condition != before.condition
    if alerts:
        first = next(condition for condition in conditions if condition is not None)
        assert alerts[0].condition != first, "what was so from the beginning is no crossing"


@given(st.lists(st.booleans(), min_size=1, max_size=40), st.integers(1, 10))
def test_what_flaps_gives_one_alert_a_cool_down(flaps: list[bool], minutes: int) -> None:
    rule = Rule("trouble", "gap_open", cooldown_ms=minutes * MINUTE_MS)
    half = MINUTE_MS // 2
    conditions = [one for flap in flaps for one in (("late", "") if flap else ("", "late"))]
    alerts = settled(rule, conditions, half)
    assert alerts, "trouble was never told"
    assert len(alerts) <= len(conditions) * half / rule.cooldown_ms + 1


@given(st.lists(st.sampled_from(["late", "", None]), max_size=40))
def test_trouble_that_lasts_beyond_the_cool_down_is_told(conditions: list[str | None]) -> None:
    lasting = [*conditions, "", *["late"] * 8]
    alerts = settled(QUIET_OR_NOT, lasting)
    assert any(alert.at >= (len(conditions) - 5) * MINUTE_MS for alert in alerts)


def test_a_side_that_changed_in_the_cool_down_and_stayed_is_told_at_its_end() -> None:
    alerts = settled(TWO_SIDED, ["below", "above", "below", "below", "below", "below", "below", "below"])
    assert [(a.at // MINUTE_MS, a.condition) for a in alerts] == [(1, "above"), (6, "below")]


def test_a_side_that_changed_in_the_cool_down_and_came_back_is_not_told() -> None:
    alerts = settled(TWO_SIDED, ["below", "above", "below", "above", "above", "above", "above", "above"])
    assert [(a.at // MINUTE_MS, a.condition) for a in alerts] == [(1, "above")]


def test_what_the_cool_down_held_back_is_counted_once_a_change() -> None:
    rules = AlertRules((Rule("gap", "gap_open", seconds=10, cooldown_ms=600_000),), None)
    for n, seconds in enumerate([11, 0, 11, 12, 13, 0, 11]):
        rules.health(Health(n * 60_000, gaps={"BTCUSDT": (seconds, 1)}))
    assert rules.held_back == 2


def test_a_price_near_its_level_crosses_nothing_within_the_hysteresis() -> None:
    rules = AlertRules((Rule("poc", "price_cross", level="poc", hysteresis=0.01, cooldown_ms=0),), 89)
    prices = [98.0, 99.5, 100.5, 99.5, 100.9, 101.1, 100.5, 99.5, 99.1, 98.9]
    found = [
        (n, alert.condition)
        for n, price in enumerate(prices)
        for alert in rules.minute(*minute_message(n, price, 100.0))
    ]
    assert found == [(5, "above"), (9, "below")]


def test_the_levels_of_a_new_day_are_no_crossing() -> None:
    rules = AlertRules((Rule("poc", "price_cross", level="poc", cooldown_ms=0),), 89)
    assert not rules.minute(*minute_message(1439, 100.0, 90.0))
    assert not rules.minute(*minute_message(0, 100.0, 110.0, day=1))
    (alert,) = rules.minute(*minute_message(1, 111.0, 110.0, day=1))
    assert alert.condition == "above"


def test_a_price_that_is_set_is_crossed_over_days_with_its_hysteresis() -> None:
    rules = AlertRules([Rule("p", "price_cross", price=100.0, cooldown_ms=0, hysteresis=0.01)], None)
    found: list[Alert] = []
    for day, minute, close in ((0, 0, 99.5), (0, 1, 98.0), (0, 2, 100.9), (1, 0, 101.5), (1, 1, 99.5)):
        found += rules.minute(*minute_message(minute, close, 50.0, day))
    assert [(alert.condition, alert.value, alert.threshold) for alert in found] == [("above", 101.5, 100.0)]
    assert found[0].text == "BTCUSDT: price 101.5 crossed above 100"


def test_averages_that_are_not_converged_are_not_compared() -> None:
    rules = AlertRules(
        (
            Rule("cross", "ema_cross", timeframe=60, periods=(21, 89), cooldown_ms=0),
            Rule("trend", "trend_flip", timeframe=60, cooldown_ms=0),
        ),
        89,
    )
    found = []
    for n, (fast, trend, warming) in enumerate(
        [(99.0, "Sell", True), (101.0, "Buy", True), (99.0, "Sell", False), (101.0, "Buy", False)]
    ):
        emas = {"ema21_1min": fast, "ema89_1min": 100.0}
        given_: dict[str, Any] = {
            "indicators": emas,
            "trends": {"trend_1min": trend},
            "warming": ("ema89_1min",) if warming else (),
        }
        found += [(n, a.rule, a.condition) for a in rules.minute(*minute_message(n, 100.0, 100.0, **given_))]
    assert found == [(3, "cross", "above"), (3, "trend", "Buy")]


def test_rules_watch_the_symbols_they_name() -> None:
    rule = Rule("x", "gap_open", symbols=("BTC*", "币安人生USDT"), seconds=10)
    assert [rule.concerns(s) for s in ("BTCUSDT", "ETHUSDT", "币安人生USDT")] == [True, False, True]
    rules = AlertRules((rule, Rule("y", "stream_stale", symbols=("ALL",), seconds=60)), None)
    health = Health(
        1, gaps={"BTCUSDT": (11.0, 3), "ETHUSDT": (99.0, 1)}, silences={"BTCUSDT": 0.0, "ETHUSDT": 700.0}
    )
    assert [(a.rule, a.symbol, a.text) for a in rules.health(health)] == [
        ("x", "BTCUSDT", "BTCUSDT: 3 minutes missing, looked for since 11 s"),
        ("y", "ETHUSDT", "ETHUSDT: no frame from the stream for 12 min"),
    ]


def test_a_sink_behind_is_told_by_its_name_and_again_when_it_falls_behind_again() -> None:
    rules = AlertRules((Rule("lag", "sink_lag", seconds=120, cooldown_ms=1000),), None)
    told = [
        alert.symbol
        for n, lag in enumerate([0.0, 121.0, 500.0, 3.0, 130.0])
        for alert in rules.health(Health(n * 60_000, lags={"kafka": lag, "postgres": 0.0}))
    ]
    assert told == ["kafka", "kafka"]


def test_numbers_are_written_for_people() -> None:
    rules = AlertRules((Rule("poc", "price_cross", level="poc", cooldown_ms=0),), 89)
    told = []
    for minute, (before, after) in enumerate([(1e-5, 1.2345e-5), (70_000.0, 70_120.55), (2e7, 3e7)]):
        level = (before + after) / 2
        rules.minute(*minute_message(2 * minute, before, level, day=minute))
        told += [a.text for a in rules.minute(*minute_message(2 * minute + 1, after, level, day=minute))]
    assert told == [
        "BTCUSDT: price 0.000012345 crossed above POC 0.0000111725",
        "BTCUSDT: price 70,120.55 crossed above POC 70,060.275",
        "BTCUSDT: price 30,000,000 crossed above POC 25,000,000",
    ]


def test_rules_that_stay_when_others_come_go_on_with_what_they_know() -> None:
    gap = Rule("gap", "gap_open", seconds=10, cooldown_ms=0)
    poc = Rule("poc", "price_cross", level="poc", cooldown_ms=0)
    before = AlertRules((gap, poc), 89)
    assert len(before.health(Health(0, gaps={"BTCUSDT": (11.0, 1)}))) == 1
    before.minute(*minute_message(0, 99.0, 100.0))
    after = AlertRules((Rule("mute", "stream_stale", seconds=5), poc, gap), 89)
    after.adopt(before)
    health = Health(1, gaps={"BTCUSDT": (12.0, 1)}, silences={"BTCUSDT": 6.0})
    assert [alert.rule for alert in after.health(health)] == ["mute"]
    assert [alert.condition for alert in after.minute(*minute_message(1, 101.0, 100.0))] == ["above"]
    other = AlertRules((Rule("gap", "gap_open", seconds=9, cooldown_ms=0),), 89)
    other.adopt(after)
    assert len(other.health(health)) == 1, "a rule that is another begins anew"


def test_rules_replaced_twice_before_anything_is_looked_at_lose_nothing() -> None:
    poc = Rule("poc", "price_cross", level="poc", cooldown_ms=0)
    gap = Rule("gap", "gap_open", seconds=10, cooldown_ms=0)
    rules = AlertRules((poc, gap), 89)
    rules.minute(*minute_message(0, 99.0, 100.0))
    rules.health(Health(0, gaps={"BTCUSDT": (11.0, 1)}))
    for _ in range(2):
        rules, before = AlertRules((gap, poc), 89), rules
        rules.adopt(before)
    assert [alert.condition for alert in rules.minute(*minute_message(1, 101.0, 100.0))] == ["above"]
    assert not rules.health(Health(1, gaps={"BTCUSDT": (12.0, 1)}))


def test_a_symbol_that_is_forgotten_begins_anew() -> None:
    rules = AlertRules((Rule("gap", "gap_open", seconds=10, cooldown_ms=10**9),), None)
    look = Health(0, gaps={"BTCUSDT": (11.0, 1)})
    assert len(rules.health(look)) == 1
    assert not rules.health(look)
    rules.forget("BTCUSDT")
    assert len(rules.health(look)) == 1


def found_of(rule: Rule, *minutes: dict[str, Any]) -> list[tuple[int, str, float | None, str]]:
    rules = AlertRules((rule,), None)
    return [
        (n, alert.condition, alert.value, alert.text)
        for n, fields in enumerate(minutes)
        for alert in rules.minute(*minute_message(n, 100.0, 100.0, **fields))
    ]


def of_delta(delta: float, volume: float, **more: object) -> dict[str, Any]:
    return {"deltas": {"delta_1m": delta}, "volumes": {"delta_1m": volume}, **more}


def test_a_delta_above_or_below_what_is_stated_alerts_once() -> None:
    above = Rule("d", "delta_above", timeframe=60, delta=20.0, cooldown_ms=0)
    minutes = [of_delta(delta, 100.0) for delta in (20.0, 20.5, 30.0, -50.0, 21.0)]
    assert found_of(above, *minutes) == [
        (1, "high", 20.5, "BTCUSDT: delta 1m 20.5, above 20"),
        (4, "high", 21.0, "BTCUSDT: delta 1m 21, above 20"),
    ]
    below = Rule("d", "delta_below", timeframe=60, delta=-20.0, cooldown_ms=0)
    assert found_of(below, *minutes) == [(3, "low", -50.0, "BTCUSDT: delta 1m -50, below -20")]


def test_a_delta_is_held_against_a_share_of_the_bars_volume_where_none_is_stated() -> None:
    rule = Rule("d", "delta_above", timeframe=60, delta_percent=50.0, cooldown_ms=0)
    assert found_of(rule, of_delta(5.0, 10.0), of_delta(6.0, 10.0), of_delta(60.0, 1_000.0)) == [
        (1, "high", 60.0, "BTCUSDT: delta 1m 60 %, above 50 %")
    ]
    assert found_of(rule, of_delta(2.0, 3.0))[0][3] == "BTCUSDT: delta 1m 66.67 %, above 50 %"
    assert found_of(rule, of_delta(0.0, 0.0), of_delta(6.0, 10.0)) != []  # nothing traded is nothing to tell
    below = Rule("d", "delta_below", timeframe=60, delta_percent=-50.0, cooldown_ms=0)
    assert [found[:3] for found in found_of(below, of_delta(5.0, 10.0), of_delta(-6.0, 10.0))] == [
        (1, "low", -60.0)
    ]


def test_a_bar_that_lacks_minutes_has_no_delta_to_tell_of() -> None:
    rule = Rule("d", "delta_above", timeframe=60, delta=20.0, cooldown_ms=0)
    assert found_of(rule, of_delta(0.0, 1.0), of_delta(30.0, 100.0, partial=("1min",))) == []
    assert found_of(rule, of_delta(0.0, 1.0), {}, {"deltas": {"delta_1m": 30.0}}) == []


def test_a_divergence_alerts_and_says_which() -> None:
    rule = Rule("c", "cvd_divergence", timeframe=60, cooldown_ms=0)
    name = divergence_name(60)
    minutes = [
        of_delta(1.0, 2.0),
        of_delta(1.0, 2.0, divergences={name: "Sell"}, partial=("1min",)),
        of_delta(1.0, 2.0, divergences={name: "Sell"}),
        of_delta(1.0, 2.0, divergences={name: "Sell"}),
        of_delta(1.0, 2.0),
        {"divergences": {name: "Buy"}},  # bars without a delta
        of_delta(1.0, 2.0, divergences={name: "Buy"}),
    ]
    assert found_of(rule, *minutes) == [
        (2, "Sell", None, "BTCUSDT: CVD diverges on 1m: close at a 20-bar high, yet takers sold"),
        (6, "Buy", None, "BTCUSDT: CVD diverges on 1m: close at a 20-bar low, yet takers bought"),
    ]
