"""Profile tools over a store: what was kept is made again when a minute changes, and ends where it must."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from examples import some_of
from profile_reference import days_of, reference_row
from samples import real_month
from trade_samples import APE_DAY, ape_candles, ape_ladder, ape_plain, ladder_of

from tui_feeder.config import Config, Trades
from tui_feeder.configuration.sections.volume_profile import VolumeProfile
from tui_feeder.engine.analytics.profile.day_profile import profile_of
from tui_feeder.engine.analytics.profile.increments import ranges_of
from tui_feeder.engine.analytics.profile.settings import ProfileSettings
from tui_feeder.engine.analytics.profile.tools import anchored, developing, naked, nodes
from tui_feeder.engine.analytics.profile.tools.range_profile import range_profile
from tui_feeder.engine.analytics.profile.tools.traded import MinuteVolume
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, Rows, Source
from tui_feeder.engine.derived.profile_tools import ProfileTools
from tui_feeder.engine.derived.stored_ladders import (
    LadderOrigin,
    put_ladder,
    put_minute,
    stored_traded_profile,
)
from tui_feeder.engine.derived.stored_reads import StoredReads
from tui_feeder.engine.storage.store import Store
from tui_feeder.monitor import LONGEST_RANGE, NakedPoc

SYMBOL = "NEARUSDT"
SETTINGS = ProfileSettings()


@pytest.fixture(scope="module")
def rows() -> Rows:
    return real_month("NEARUSDT-1m-2026-02")[: 14 * 1_440 + 500]


@pytest.fixture
def store(tmp_path: Path, rows: Rows) -> Iterator[Store]:
    opened = Store(tmp_path / "store", exchange="a test")
    opened.put(SYMBOL, rows, Source.ARCHIVE_MONTH).result()
    yield opened
    opened.close()


def test_a_range_and_a_composite_are_those_of_their_minutes(store: Store, rows: Rows) -> None:
    tools, start = ProfileTools(store, Config()), int(rows["open_time"][0])
    closed = start + len(rows) * MINUTE_MS
    spans = ((start + DAY_MS, start + 2 * DAY_MS), (start + 5 * DAY_MS, start + 6 * DAY_MS))
    view = tools.range_profile(SYMBOL, spans, closed)
    expected = range_profile(MinuteVolume(np.concatenate([rows[1_440:2_880], rows[7_200:8_640]])), SETTINGS)
    assert view is not None
    assert expected is not None
    assert (view.poc, view.vah, view.val, view.vwap) == (
        expected.poc,
        expected.vah,
        expected.val,
        expected.vwap,
    )
    assert view.weights == tuple(expected.weights.tolist())
    assert (view.day, view.end, view.candles) == (spans[0][0], spans[1][1], 2_880)
    found = nodes.nodes(expected.weights)
    assert view.high_nodes == tuple(expected.prices[list(found.high)].tolist())
    assert view.low_nodes == tuple(expected.prices[list(found.low)].tolist())
    assert tools.range_profile(SYMBOL, spans, closed) is view
    late = tools.range_profile(SYMBOL, ((start, start + DAY_MS),), start + 100 * MINUTE_MS)
    assert late is not None
    assert late.candles == 100
    assert tools.range_profile(SYMBOL, ((closed, closed + DAY_MS),), closed) is None
    assert tools.range_profile(SYMBOL, ((0, LONGEST_RANGE + MINUTE_MS),), closed) is None


def test_naked_levels_are_of_days_that_are_over_and_follow_repairs(store: Store, rows: Rows) -> None:
    tools, days = ProfileTools(store, Config()), days_of(rows)
    closed = int(rows["open_time"][-1]) + MINUTE_MS
    ranges = ranges_of(rows)
    levels = []
    for part in days[:-1]:
        day = int(part["open_time"][0])
        made = profile_of(part, SETTINGS, [r for r in ranges if day - 7 * DAY_MS <= r.day < day])
        assert made is not None
        levels.append((day, made.poc))
    expected = [n for n in naked.touched_levels(levels, rows) if n.touched_at is None]
    found = tools.naked_pocs(SYMBOL, closed)
    assert found == tuple(NakedPoc(level.day, level.price) for level in expected)
    assert found
    assert tools.naked_pocs(SYMBOL, closed) == found
    high = rows[-2:-1].copy()  # a minute of today that went through all there is
    high["high"], high["low"] = max(p.price for p in found) * 1.5, min(p.price for p in found) * 0.5
    store.put(SYMBOL, high, Source.ARCHIVE_MONTH).result()
    assert tools.naked_pocs(SYMBOL, closed) == ()
    short = Config(volume_profile=VolumeProfile(historical_days=3))
    assert len(ProfileTools(store, short).day_levels(SYMBOL, 3, closed)) == 3


def test_developing_levels_and_an_anchored_vwap_are_those_of_their_minutes(store: Store, rows: Rows) -> None:
    tools = ProfileTools(store, Config())
    day, closed = int(rows["open_time"][10 * 1_440]), int(rows["open_time"][-1]) + MINUTE_MS
    lines = tools.developing(SYMBOL, day, 60, closed)
    part = rows[10 * 1_440 : 11 * 1_440]
    before = [r for r in ranges_of(rows) if day - 7 * DAY_MS <= r.day < day]
    expected = developing.developing(part, SETTINGS, before, 60)
    assert lines is not None
    assert (lines.poc, lines.val) == (tuple(expected.poc.tolist()), tuple(expected.val.tolist()))
    assert len(lines.times) == 24
    anchor = day + 7 * MINUTE_MS
    line = tools.anchored(SYMBOL, anchor, 3_600, anchor + 120 * MINUTE_MS)
    values = anchored.anchored_vwap(rows[10 * 1_440 + 7 : 10 * 1_440 + 127])
    assert line.times == tuple(day + hour * 3_600_000 for hour in (1, 2, 3))
    assert line.vwap == tuple(values.vwap[[52, 112, 119]].tolist())
    assert not any(map(math.isnan, line.deviation))


def test_levels_are_followed_minute_by_minute_and_begin_anew_after_a_repair(store: Store, rows: Rows) -> None:
    tools, day = ProfileTools(store, Config()), int(rows["open_time"][10 * 1_440])
    for minutes in (100, 101, 102, 160):
        found = tools.developing(SYMBOL, day, 15, day + minutes * MINUTE_MS)
        assert found == ProfileTools(store, Config()).developing(SYMBOL, day, 15, day + minutes * MINUTE_MS)
        assert found is not None
        assert found.times[-1] == day + minutes * MINUTE_MS
    repaired = rows[10 * 1_440 + 5 : 10 * 1_440 + 6].copy()
    repaired["volume"] *= 10_000
    store.put(SYMBOL, repaired, Source.ARCHIVE_MONTH).result()
    after = tools.developing(SYMBOL, day, 15, day + 161 * MINUTE_MS)
    assert after == ProfileTools(store, Config()).developing(SYMBOL, day, 15, day + 161 * MINUTE_MS)
    assert after is not None
    assert after.poc[0] == after.poc[-1]


def test_a_store_that_is_closed_has_nothing_to_show(store: Store, rows: Rows) -> None:
    reads, closed = StoredReads(store, Config()), int(rows["open_time"][-1]) + MINUTE_MS
    day = closed - closed % DAY_MS
    assert reads.range_profile(SYMBOL, ((day, closed),), closed) is not None
    assert reads.anchored(SYMBOL, day, 60, day + 5 * MINUTE_MS, closed).times[-1] == day + 5 * MINUTE_MS
    store.close()
    assert reads.range_profile(SYMBOL, ((day - DAY_MS, day),), closed) is None
    assert reads.naked_pocs(SYMBOL, closed) == ()
    assert reads.developing(SYMBOL, day, 5, closed) is None
    assert reads.anchored(SYMBOL, day - 1, 60, None, closed).times == ()


def test_a_footprint_ends_with_the_bar_in_progress(store: Store, rows: Rows) -> None:
    tools, closed = ProfileTools(store, Config()), int(rows["open_time"][-1]) + MINUTE_MS  # 08:20
    view = tools.footprint(SYMBOL, 3_600, 4, 30, closed)
    assert view is not None
    assert [bar.time % DAY_MS // 3_600_000 for bar in view.bars] == [5, 6, 7, 8]
    last = rows[-20:]
    assert sum(view.bars[-1].bought) == pytest.approx(float(last["taker_buy_volume"].sum()))
    assert sum(view.bars[-1].sold) == pytest.approx(float((last["volume"] - last["taker_buy_volume"]).sum()))
    assert tools.footprint(SYMBOL, 3_600, 4, 30, closed) is view
    assert tools.footprint(SYMBOL, 86_400, 101, 30, closed) is None
    assert tools.footprint(SYMBOL, 3_600, 2, 30, closed + 400 * DAY_MS) is None


def test_without_profiles_there_are_none(store: Store, rows: Rows) -> None:
    tools = ProfileTools(store, Config(volume_profile=VolumeProfile(enabled=False)))
    closed = int(rows["open_time"][-1]) + MINUTE_MS
    assert tools.range_profile(SYMBOL, ((closed - DAY_MS, closed),), closed) is None
    assert tools.naked_pocs(SYMBOL, closed) == ()
    assert tools.developing(SYMBOL, closed - closed % DAY_MS, 5, closed) is None


@pytest.mark.parametrize("live", [False, True])
def test_with_patience_each_answer_goes_on_where_the_one_before_ended(tmp_path: Path, live: bool) -> None:
    store, ladder = Store(tmp_path, exchange="a test"), ape_ladder()
    store.put("APEUSDT", ape_candles(), Source.ARCHIVE_DAY).result()
    if live:
        for minute in ladder.minutes["minute"].tolist():
            part = ladder.of_minutes(ladder.minutes["minute"] == minute)
            put_minute(store, "APEUSDT", APE_DAY + minute * MINUTE_MS, part)
        store.flushed().result()
    else:
        put_ladder(store, "APEUSDT", ladder, LadderOrigin("", "", True, 45_342), APE_DAY).result()
    whole, tools, end = (
        ProfileTools(store, Config()),
        ProfileTools(store, Config()),
        APE_DAY + 1_000 * MINUTE_MS,
    )
    for every in some_of((7, 1, 60), every=2):
        wanted = whole.developing("APEUSDT", APE_DAY, every, end)
        assert wanted is not None
        assert wanted.whole
        ends = []
        while (
            found := tools.developing("APEUSDT", APE_DAY, every, end, 0.0)
        ) is not None and not found.whole:
            ends.append(found.times[-1])
            points = len(found.times) - (found.times[-1] not in wanted.times)
            assert (found.times[:points], found.poc[:points]) == (wanted.times[:points], wanted.poc[:points])
        assert len(ends) > 20
        assert ends == sorted(set(ends))
        assert found == wanted
    for timeframe, count in ((900, 8), (3_600, 8), (86_400, 1)):
        bars = whole.footprint("APEUSDT", timeframe, count, 40, end)
        assert bars is not None
        shown, seen = None, [0]
        while shown is None or not shown.whole:
            asked = tools.footprint("APEUSDT", timeframe, count, 40, end, 0.0)
            assert asked is not None
            shown = asked
            seen.append(len(shown.bars))
            assert [bar.time for bar in shown.bars] == [bar.time for bar in bars.bars][
                count - len(shown.bars) :
            ]
        assert seen == sorted(seen), "the newest come first"
        assert [bar.exact_share for bar in shown.bars] == [bar.exact_share for bar in bars.bars]
        for bar, expected in zip(shown.bars, bars.bars, strict=True):
            assert (bar.time, bar.first, bar.poc) == (expected.time, expected.first, expected.poc)
            assert bar.bought == pytest.approx(expected.bought)
            assert bar.sold == pytest.approx(expected.sold)
    store.close()


def test_ladders_that_come_later_make_the_footprint_and_ranges_exact(tmp_path: Path) -> None:
    store, candles = Store(tmp_path, exchange="a test"), ape_candles()
    store.put("APEUSDT", candles, Source.ARCHIVE_DAY).result()
    tools, end = ProfileTools(store, Config()), APE_DAY + 600 * MINUTE_MS
    asked = ("APEUSDT", 3_600, 3, 40, end)
    guessed = tools.footprint(*asked)
    spans = ((APE_DAY, end),)
    before = tools.range_profile("APEUSDT", spans, end)
    assert guessed is not None
    assert before is not None
    assert {(bar.exact_share, bar.known_share) for bar in guessed.bars} == {(0.0, 0.0)}
    assert before.known_share == 0
    put_ladder(store, "APEUSDT", ape_ladder(), LadderOrigin("", "", True, 45_342), APE_DAY).result()
    known, after = tools.footprint(*asked), tools.range_profile("APEUSDT", spans, end)
    assert known is not None
    assert after is not None
    assert {bar.exact_share for bar in known.bars} == {1.0}
    assert (after.exact_share, after.total_volume) == (1.0, before.total_volume)
    last: dict[int, float] = defaultdict(float)
    for trade in ape_plain():
        if end - 60 * MINUTE_MS <= trade.time < end and not trade.sold:
            last[reference_row(float(trade.price), Decimal(repr(known.increment)))] += float(trade.quantity)
    lines = tools.developing("APEUSDT", APE_DAY, 60, end)
    day = stored_traded_profile(store, "APEUSDT", ProfileSettings(), APE_DAY, end)
    assert lines is not None
    assert day is not None
    assert (lines.poc[-1], lines.vah[-1], lines.val[-1]) == (day.poc, day.vah, day.val)
    bar = known.bars[-1]
    found = {bar.first + place: bought for place, bought in enumerate(bar.bought) if bought}
    assert found == pytest.approx(dict(last))
    as_messages = ProfileTools(store, Config(), as_messages=True).range_profile("APEUSDT", spans, end)
    assert as_messages == before, "messages of a symbol whose trades are not read are of candles"
    traded = Config(trades=Trades(symbols=("APEUSDT",)))
    assert ProfileTools(store, traded, as_messages=True).range_profile("APEUSDT", spans, end) == after
    lost = [trade for place, trade in enumerate(ape_plain()) if place % 5]
    put_ladder(store, "APEUSDT", ladder_of(lost), LadderOrigin("", "", True, len(lost)), APE_DAY).result()
    partial = tools.footprint("APEUSDT", 60, 30, 40, end)
    assert partial is not None
    assert any(not bar.exact_share and 0 < bar.known_share < 1 for bar in partial.bars)
    store.close()
