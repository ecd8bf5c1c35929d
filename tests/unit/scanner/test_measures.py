from __future__ import annotations

from dataclasses import replace

import pytest
from fake_monitor import INDICATORS, TIMEFRAMES, FakeMonitor
from hypothesis import given
from hypothesis import strategies as st

from tui_feeder.monitor import AlertView, IndicatorView, SymbolState, SymbolView, TimeframeView
from tui_feeder.scanner.fields import Kind, Subject, Subjects, field_table
from tui_feeder.scanner.measures import (
    LEVELS,
    alignment,
    distance_percent,
    indicator_measures,
    level_distance,
    level_price,
    range_percent,
    value_position,
)

trends = st.sampled_from(["Buy", "Sell", "Neutral", None])
changes = st.none() | st.integers(0, 10**13)


def view_of(*frames: tuple[str | None, int | None], **fields: object) -> SymbolView:
    states = tuple(
        TimeframeView(seconds, 0, 1.0, trend, (), False, trend_since=since)
        for seconds, (trend, since) in zip(TIMEFRAMES, frames, strict=False)
    )
    return SymbolView("BTCUSDT", SymbolState.LIVE, "", 2, timeframes=states, **fields)


def test_alignment_counts_buy_against_sell_and_holds_since_the_last_change() -> None:
    found = alignment(view_of(("Buy", 10), ("Buy", 50), ("Neutral", 20), ("Sell", 30), ("Buy", 40)))
    assert found is not None
    assert (found.score, found.known, found.total, found.since) == (2, 5, 5, 50)
    assert found.complete


def test_alignment_of_unknown_trends_never_overstates_and_does_not_say_how_long() -> None:
    found = alignment(view_of(("Buy", 10), ("Buy", 50), (None, None), ("Buy", None), ("Buy", 40)))
    assert found is not None
    assert (found.score, found.known, found.since) == (4, 4, None)
    assert not found.complete
    assert alignment(view_of((None, None))) is None
    assert alignment(view_of()) is None


@given(st.lists(st.tuples(trends, changes), max_size=5))
def test_alignment_lies_between_minus_and_plus_the_number_of_known_trends(
    frames: list[tuple[str | None, int | None]],
) -> None:
    found = alignment(view_of(*frames))
    known = [trend for trend, _ in frames if trend is not None]
    if not known:
        assert found is None
        return
    assert found is not None
    assert abs(found.score) <= found.known == len(known)
    swapped = {"Buy": "Sell", "Sell": "Buy"}
    opposite = alignment(view_of(*((swapped.get(t or "", t), since) for t, since in frames)))
    assert opposite is not None
    assert opposite.score == -found.score
    assert found.since is None or found.since == max(since or 0 for _, since in frames)


def test_distances_are_percent_of_the_level_and_unknown_where_a_price_is() -> None:
    assert distance_percent(102.0, 100.0) == pytest.approx(2.0)
    assert distance_percent(98.0, 100.0) == pytest.approx(-2.0)
    assert distance_percent(None, 100.0) is None
    assert distance_percent(1.0, None) is None
    assert distance_percent(1.0, 0.0) is None
    view = view_of(price=102.0, poc=100.0, vah=104.0, val=51.0, vwap=102.0, high_24h=101.0, low_24h=80.0)
    assert level_distance(view, "poc") == pytest.approx(2.0)
    assert level_distance(view, "val") == pytest.approx(100.0)
    assert level_distance(view, "vwap") == 0.0
    assert level_price(view, "high") == 102.0  # the price of now is part of the range
    assert level_price(view, "low") == 80.0
    assert range_percent(view) == pytest.approx(27.5)
    assert range_percent(replace(view, low_24h=None)) is None
    assert level_price(replace(view, price=None), "high") is None
    with pytest.raises(KeyError):
        level_price(view, "ema")


def test_position_against_the_value_area_and_spread_of_the_emas() -> None:
    view = view_of(price=10.0, vah=11.0, val=9.0)
    assert [value_position(replace(view, price=price)) for price in (10.0, 11.5, 8.5, None)] == [
        "in", "hi", "lo", None,
    ]  # fmt: skip
    frame = TimeframeView(3_600, 0, 1.0, None, (102.0, 95.0, 100.0), False)
    view = replace(view, timeframes=(frame,))
    periods = (21, 50, 89)
    (spread,) = indicator_measures([IndicatorView("ema", "EMA", n, "quote asset", True) for n in periods])
    assert (spread.name, spread.title, spread.heading) == ("ema", "EMA 21 against EMA 89", "E21-89")
    assert spread.value(view, 3_600) == pytest.approx(2.0)
    assert spread.value(view, 60) is None
    assert spread.value(replace(view, timeframes=(replace(frame, values=(None, 1.0, 1.0)),)), 3_600) is None


def test_indicators_with_a_scale_of_their_own_are_shown_each_and_a_single_price_is_not() -> None:
    indicators = (
        IndicatorView("ema", "EMA", 21, "quote asset", True),
        IndicatorView("osc", "Oscillator", 7, "points", False),
        IndicatorView("osc", "Oscillator", 14, "points", False),
    )
    view = view_of()
    view = replace(view, timeframes=(TimeframeView(300, 0, 1.0, None, (9.0, 55.5, None), False),))
    found = indicator_measures(indicators)
    assert [(measure.name, measure.title, measure.heading, measure.unit) for measure in found] == [
        ("osc7", "Oscillator 7", "OSC7", "points"), ("osc14", "Oscillator 14", "OSC14", "points"),
    ]  # fmt: skip
    assert [measure.value(view, 300) for measure in found] == [55.5, None]


def test_every_field_has_a_value_of_its_kind_or_none() -> None:
    monitor = FakeMonitor(12)
    monitor.alerts = (AlertView(1, 0, "r", "price", "ETHUSDT", ""), AlertView(2, 0, "r", "price", None, ""))
    fields = field_table(TIMEFRAMES, INDICATORS)
    known = Subjects(monitor.snapshot(), pinned=["SOLUSDT"], noted=["BTCUSDT"])
    empty = Subject(SymbolView("NEWUSDT", SymbolState.WAITING, "", 2), monitor.now)
    types = {Kind.WORD: str, Kind.NAME: str, Kind.FLAG: bool}
    for field in fields.values():
        for subject in (*known.values(), empty):
            value = field.value(subject)
            assert value is None or isinstance(value, types.get(field.kind, float)), field.name
            assert field.kind is not Kind.WORD or value is None or value in field.words
    assert {name for name, s in known.items() if fields["alerts"].value(s)} == {"ETHUSDT"}
    assert fields["pinned"].value(known["SOLUSDT"]) is True
    assert fields["noted"].value(known["SOLUSDT"]) is False
    unknown = {name for name, field in fields.items() if field.value(empty) is None}
    assert unknown == set(fields) - {"name", "state", "gaps", "alerts", "pinned", "noted"}


def test_fields_are_found_by_the_words_of_their_titles_and_other_names() -> None:
    fields = field_table(TIMEFRAMES, INDICATORS)
    found = lambda text: [name for name, field in fields.items() if field.found_by(text)]  # noqa: E731
    assert found("volume")[:2] == ["vol", "relvol"]
    assert found("turnover") == ["vol"]
    assert found("trend 4h") == ["trend.4h"]
    assert [f"near({level})" in fields for level in LEVELS] == [True] * len(LEVELS)
