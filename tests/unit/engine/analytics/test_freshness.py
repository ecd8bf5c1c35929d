"""What is stale or incomplete says so: ``partial`` and ``warming`` against a reference written here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from examples import examples
from hypothesis import example, given, settings
from hypothesis import strategies as st
from places import DOCS
from samples import MIDNIGHT, walk

from tui_feeder.engine.alerts.rule_checks import AlertRules
from tui_feeder.engine.alerts.rules import Rule
from tui_feeder.engine.analytics.aggregate import aggregate
from tui_feeder.engine.analytics.message import Message, encode
from tui_feeder.engine.analytics.pipeline import SymbolPipeline
from tui_feeder.engine.analytics.settings import PipelineSettings
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, Candle, Rows, Source, to_candles
from tui_feeder.engine.derived.bar_messages import bar_messages
from tui_feeder.engine.sinks.mirror_plan import bars_of, next_piece
from tui_feeder.engine.snapshots import timeframe_views
from tui_feeder.engine.storage.store import Store
from tui_feeder.research import open_store

SCHEMA = json.loads((DOCS / "message.schema.json").read_text(encoding="utf-8"))
SPANS = {60: "1min", 180: "3min", 300: "5min", 900: "15min", 3600: "1h", 14400: "4h"}
SMALL = PipelineSettings((60, 180, 300, 900), (2, 5, 9), "closes_vs_ema", 0, None)
DEFAULT = PipelineSettings((60, 300, 900, 3600, 14400), (21, 89), "closes_vs_ema", 0, None)


def rows_at(minutes: Sequence[int], start: int = MIDNIGHT) -> Rows:
    rows = walk(len(minutes), seed=5)
    rows["open_time"] = start + np.array(minutes, dtype=np.int64) * MINUTE_MS
    return rows


def fed(rows: Rows, s: PipelineSettings, loaded: int = 0) -> list[Message]:
    """The messages of ``rows``, the first of which were loaded at once."""
    pipeline = SymbolPipeline("X", s)
    pipeline.load(rows[:loaded])
    return [pipeline.update(one) for one in to_candles(rows[loaded:])]


# --- the reference: what is due, what is there, and what weighs how much -------------------------


def expected(
    minutes: Sequence[int], s: PipelineSettings, listed: int | None = None
) -> tuple[set[str], set[str]]:
    """``partial`` and ``warming`` after the last of ``minutes`` (numbers since midnight, ascending)."""
    partial, warming = set(), set()
    now = minutes[-1] + 1  # this many minutes of the day are over
    for timeframe in s.timeframes:
        length = timeframe // 60
        inside: dict[int, int] = {}  # bar: its minutes
        for one in minutes:
            inside[one // length] = inside.get(one // length, 0) + 1
        first, newest_due = minutes[0] // length, now // length - 1
        due = range(first, newest_due + 1)
        there = [bar for bar in due if bar in inside]
        if not there:
            continue
        wanted = length
        if listed is not None and newest_due == listed // length:
            wanted = (newest_due + 1) * length - listed
        if newest_due not in inside or inside[newest_due] < wanted:
            partial.add(SPANS[timeframe])
        for period in s.ema_periods:
            alpha = 2 / (period + 1)
            absent = sum(alpha * (1 - alpha) ** (newest_due - bar) for bar in due if bar not in inside)
            seed = (1 - alpha) ** (len(there) - period)
            if len(there) >= period and (absent > 1e-3 or seed > 1e-3):
                warming.add(f"ema{period}_{SPANS[timeframe]}")
    return partial, warming


steps = st.lists(
    st.one_of(st.just(1), st.just(1), st.integers(1, 4), st.integers(1, 70), st.integers(100, 2_000)),
    min_size=1, max_size=80,
)  # fmt: skip
runs = st.lists(st.tuples(st.integers(1, 40), st.sampled_from([1, 2, 5, 6, 15, 30, 61, 300])), max_size=8)


@given(st.integers(0, 40), steps, runs, st.integers(0, 400), st.booleans())
@example(0, [1] * 14 + [4_320], [(20, 15)], 7, False)  # three days
@example(3, [1] * 56 + [5], [(20, 5)], 0, True)  # a hole from the edge of a bar to the edge of another
@settings(max_examples=examples(120, share=8), deadline=None)
def test_flags_are_those_of_the_reference_live_and_at_once(
    first: int, jumps: list[int], stretches: list[tuple[int, int]], at: int, is_listing: bool
) -> None:
    minutes = [first]
    for jump in jumps:
        minutes.append(minutes[-1] + jump)
    for length, hole in stretches:
        minutes += range(minutes[-1] + hole, minutes[-1] + hole + length)
    s = replace(SMALL, listed=MIDNIGHT + first * MINUTE_MS if is_listing else None)
    rows = rows_at(minutes)
    at = min(at, len(rows) - 1)
    messages = fed(rows, s, at)
    for place, message in enumerate(messages, at + 1):
        partial, warming = expected(minutes[:place], s, first if is_listing else None)
        assert set(message.partial) == partial, place
        assert set(message.warming) == warming, place
    whole = SymbolPipeline("X", s)
    whole.load(rows)
    assert whole.message() == messages[-1]
    resumed = SymbolPipeline("X", s)
    last = rows["open_time"]
    resumed.restore(whole.state(), rows[last >= last[-1] - last[-1] % DAY_MS])
    assert resumed.message() == messages[-1]
    jsonschema.validate(json.loads(encode(messages[-1])), SCHEMA)


@pytest.mark.parametrize("days", [3, 43])
def test_after_days_without_minutes_every_value_of_before_is_flagged(days: int) -> None:
    history = list(range(40 * 1440))
    minutes = [*history, *range((40 + days) * 1440 + 1, (40 + days) * 1440 + 400)]
    messages = fed(rows_at(minutes), DEFAULT, len(history))
    first = messages[0]
    assert first.closes["close_5m"] == rows_at(history)["close"][-1]  # three days old
    assert first.partial == ("5min", "15min", "1h", "4h")
    assert first.warming == tuple(
        f"ema{period}_{SPANS[timeframe]}" for timeframe in DEFAULT.timeframes for period in (21, 89)
    )
    for message in messages:
        over = (message.timestamp + 1 - MIDNIGHT) // MINUTE_MS - (40 + days) * 1440
        # The first bar of each begins with a missing minute; the second is whole.
        lacking = [SPANS[t] for t in DEFAULT.timeframes[1:] if over < 2 * t // 60]
        assert list(message.partial) == lacking, over
    assert "ema21_1min" not in messages[-1].warming
    assert "ema89_1min" not in messages[-1].warming
    assert "ema89_5min" in messages[-1].warming


def test_numbers_kept_over_a_restart_go_on_with_what_they_lack() -> None:
    minutes = [*range(200), *range(230, 300)]
    rows = rows_at(minutes)
    messages = fed(rows, SMALL)
    pipeline = SymbolPipeline("X", SMALL)
    pipeline.load(rows[:201])
    again = SymbolPipeline("X", SMALL)
    again.restore(pipeline.state(), rows[:201])
    assert [again.update(one) for one in to_candles(rows[201:])] == messages[201:]


# --- alerts --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "rule",
    [
        Rule("trend", "trend_flip", timeframe=300, cooldown_ms=0),
        Rule("cross", "ema_cross", timeframe=300, periods=(2, 5), cooldown_ms=0),
        Rule("price", "price_cross", timeframe=300, level="ema", periods=(5,), cooldown_ms=0),
    ],
)
def test_alerts_see_nothing_in_stale_values_and_go_on_with_whole_bars(rule: Rule) -> None:
    s = PipelineSettings((60, 300), (2, 5), "closes_vs_ema", 0, None)
    pipeline, rules = SymbolPipeline("X", s), AlertRules([rule], 5)
    found = []
    # Rising until minute 200; then none for two hours, after which the price falls.
    for minute in [*range(200), *range(320, 500)]:
        price = 100.0 + minute if minute < 200 else 150.0 - (minute - 320) * 0.5
        one = Candle(MIDNIGHT + minute * MINUTE_MS, price, price, price, price, 1.0, price, 1, 0.0, 0.0)
        message = pipeline.update(one)
        for alert in rules.minute(one, message):
            found.append((alert.at + 1 - MIDNIGHT) // MINUTE_MS - 1)
            assert "5min" not in message.partial
            assert not {name for name in message.warming if name.endswith("5min")}
    assert len(found) == 1
    assert found[0] >= 325  # the first bar behind the hole is over


# --- screens and the API -------------------------------------------------------------------------


def test_a_screen_flags_what_is_due_by_the_clock_though_no_minute_closes() -> None:
    rows = rows_at(range(30 * 1440))
    pipeline = SymbolPipeline("X", DEFAULT)
    pipeline.load(rows)
    states, end = pipeline.timeframe_states(), MIDNIGHT + 30 * DAY_MS

    def shown(after: int) -> list[tuple[int, bool]]:
        views = timeframe_views(states, DEFAULT.ema_periods, end + after * MINUTE_MS)
        return [(view.bars_lacking, view.warming) for view in views]

    assert shown(0) == [(0, False)] * 4 + [(0, True)]  # 180 bars of four hours warm up
    assert shown(1) == [(1, True), (0, False), (0, False), (0, False), (0, True)]
    assert shown(62) == [(62, True), (12, True), (4, True), (1, True), (0, True)]
    assert [view.partial for view in timeframe_views(states, (), end + 5 * MINUTE_MS)] == [
        True, True, False, False, False,
    ]  # fmt: skip


# --- the beginning of a listing ------------------------------------------------------------------


LISTED = MIDNIGHT + 127 * MINUTE_MS  # 02:07


def test_the_first_bar_of_a_listing_is_whole_wherever_bars_are_made(tmp_path: Path) -> None:
    rows = rows_at(range(127, 127 + 300))
    s = replace(DEFAULT, listed=LISTED)
    messages = fed(rows, s)
    assert all(message.partial == () for message in messages)
    assert [m.partial for m in fed(rows, DEFAULT)[53:60]] == [("1h",)] * 7  # where no listing is known
    for timeframe in (300, 900, 3600, 14400):
        whole = aggregate(rows, timeframe, listed=LISTED)
        assert not whole.partial.any()
        assert aggregate(rows, timeframe).partial.tolist() == [True, *[False] * (len(whole.rows) - 1)]
    lacking = np.delete(rows, 10)
    assert aggregate(lacking, 3600, listed=LISTED).partial.tolist() == [True, *[False] * 4]
    late = rows[1:]  # its first minute is missing
    assert aggregate(late, 3600, listed=LISTED).partial.tolist() == [True, *[False] * 4]

    store = Store(tmp_path, exchange="a test")
    store.set_listed("X", LISTED).result()
    store.put("X", rows, Source.REST).result()
    store.open_outbox(["somebody"], 64, "candles")
    pipeline = SymbolPipeline("X", s)
    first: dict[str, Any] = {}
    for one in to_candles(rows):
        pipeline.update(one)
        for bar in bar_messages(store, pipeline, one):
            made = json.loads(bar.payload)
            first.setdefault(made["timeframe"], made)
    assert {name: bar["minutes"] for name, bar in first.items()} == {
        "1m": 1, "5m": 5, "15m": 15, "1h": 60, "4h": 240,
    }  # fmt: skip
    assert first["1h"]["volume"] == pytest.approx(rows["volume"][:53].sum())
    piece = next_piece(store.present("X"), store.present("X"), 3600)
    assert piece is not None
    mirrored = bars_of(store.read("X", piece.start, piece.end), piece, 3600, store.listed("X"))
    assert mirrored.minutes.tolist() == [60] * 5
    store.close()
    with open_store(tmp_path) as reading:
        bars = reading.candles("X", "1h")
        assert bars["open_time"][0] == MIDNIGHT + 120 * MINUTE_MS
        assert bars["close"][0] == rows["close"][52]
        assert len(bars) == 5
        assert len(reading.candles("X", "4h")) == 1
        later = reading.candles("X", "1h", start=LISTED)
        assert later["open_time"][0] == MIDNIGHT + 180 * MINUTE_MS


def test_a_listing_at_the_edge_of_a_bar_changes_nothing() -> None:
    rows = rows_at(range(120, 300))
    for timeframe in (300, 3600):
        plain = aggregate(rows, timeframe)
        known = aggregate(rows, timeframe, listed=int(rows["open_time"][0]))
        assert known.minutes.tolist() == plain.minutes.tolist()
