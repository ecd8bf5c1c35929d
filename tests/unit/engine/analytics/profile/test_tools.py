"""Profile tools against slow and obvious references, on real months."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal, localcontext
from fractions import Fraction
from itertools import pairwise, product

import numpy as np
import pytest
from examples import examples, some_of
from hypothesis import example, given, settings
from hypothesis import strategies as st
from profile_reference import days_of, reference, reference_row, reference_rows
from samples import MIDNIGHT, TRIED_MONTHS, candle, real_month, walk
from trade_samples import APE_DAY, PlainTrade, ape_candles, ape_plain, ladder_of

from tui_feeder.engine.analytics.orderflow.packing import day_sums, pack, sums_of
from tui_feeder.engine.analytics.orderflow.traded_profile import traded_profile
from tui_feeder.engine.analytics.profile.day_profile import LiveProfile, profile_of
from tui_feeder.engine.analytics.profile.increments import ranges_of
from tui_feeder.engine.analytics.profile.settings import ProfileSettings
from tui_feeder.engine.analytics.profile.tools.anchored import AnchoredVwap, anchored_vwap
from tui_feeder.engine.analytics.profile.tools.developing import Developing, DevelopingLevels, developing
from tui_feeder.engine.analytics.profile.tools.footprint import footprint
from tui_feeder.engine.analytics.profile.tools.naked import MOST_LEVELS, NakedLevels, touched_levels
from tui_feeder.engine.analytics.profile.tools.nodes import nodes
from tui_feeder.engine.analytics.profile.tools.range_profile import RangeProfile, range_profile
from tui_feeder.engine.analytics.profile.tools.sessions import Session, parse_session, sessions_of
from tui_feeder.engine.analytics.profile.tools.traded import MinuteVolume
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, Rows, to_candles
from tui_feeder.price_grid import PriceGrid

AUTO = ProfileSettings(tick_size=0.0001)
UNIFORM = replace(AUTO, volume_distribution_mode="UniformOHLC")


def assert_is_reference(made: RangeProfile | None, rows: Rows, shape: ProfileSettings) -> None:
    candles = to_candles(rows)
    expected = reference(candles, shape, reference_rows(candles, shape), Decimal(0))
    assert made is not None
    assert expected is not None
    assert made.weights.tolist() == pytest.approx(expected["weights"], rel=1e-12, abs=1e-12)
    for name in ("increment", "low_index", "poc", "vah", "val", "min_price", "max_price"):
        assert getattr(made, name) == expected[name], name
    assert made.minutes == expected["candles"]
    for name in ("total_volume", "value_area_volume", "value_area_percent"):
        assert getattr(made, name) == pytest.approx(expected[name], rel=1e-12)
    traded = sum(Fraction(repr(c.volume)) for c in candles)
    money = sum(Fraction(repr(c.quote_volume)) for c in candles)
    assert made.vwap == pytest.approx(float(money / traded), rel=1e-12)


# -- any minutes: fixed range, composite, session


SHAPES = (AUTO, UNIFORM, replace(AUTO, value_area_calculation_mode="Greedy"))


@pytest.mark.parametrize(("month", "shape"), some_of(tuple(product(TRIED_MONTHS, SHAPES)), every=4))
def test_ranges_composites_and_sessions_are_those_of_the_reference(
    month: str, shape: ProfileSettings
) -> None:
    rows = real_month(month)
    tick = min(
        float(f"1e-{len(text.partition('.')[2])}") for text in map(repr, rows["close"][:2000].tolist())
    )
    shape = replace(shape, tick_size=tick)
    days = days_of(rows)
    anywhere = rows[1_000:1_777]
    composite = np.concatenate([days[2], days[5], days[9]])
    start = int(rows["open_time"][0]) // DAY_MS * DAY_MS + 3 * DAY_MS
    (_, _, london) = sessions_of(start, [Session("Asia", 0, 540), Session("London", 480, 990)])
    session = rows[(rows["open_time"] >= london.start) & (rows["open_time"] < london.end)]
    assert len(session) == 510
    for part in (anywhere, composite, session):
        assert_is_reference(range_profile(MinuteVolume(part), shape), part, shape)


def test_of_a_day_it_is_the_profile_of_the_day_where_the_increment_is_stated() -> None:
    shape = ProfileSettings(price_increment_mode="Fixed", fixed_price_increment=0.05)
    rows = walk(1_440)
    made, day = range_profile(MinuteVolume(rows), shape), profile_of(rows, shape)
    assert made is not None
    assert day is not None
    for name in ("poc", "vah", "val", "vwap", "total_volume", "value_area_volume", "low_index"):
        assert getattr(made, name) == getattr(day, name)
    assert made.weights.tobytes() == day.weights.tobytes()


def test_without_minutes_or_trades_there_is_no_profile() -> None:
    rows = walk(10)
    assert range_profile(MinuteVolume(rows[:0]), AUTO) is None
    rows["volume"] = 0
    assert range_profile(MinuteVolume(rows), AUTO) is None


def test_adaptive_increments_rest_on_the_range_too() -> None:
    shape = replace(AUTO, price_increment_mode="Adaptive", tick_size=0.01)
    rows = walk(3_000)
    assert_is_reference(range_profile(MinuteVolume(rows), shape), rows, shape)


# -- known levels: real trades


def known(trades: Sequence[PlainTrade], start: int, minutes: int) -> MinuteVolume:
    """The volume of minutes whose trades are all there."""
    first = (start - APE_DAY) // MINUTE_MS
    return MinuteVolume(ape_candles()[first : first + minutes], (day_sums(pack(ladder_of(trades))),))


@pytest.mark.parametrize(("increment", "area"), [(0.0001, "Traditional"), (0.0005, "Greedy")])
def test_levels_of_real_trades_make_the_profile_that_decimals_make(increment: float, area: str) -> None:
    trades = ape_plain()
    shape = ProfileSettings(
        price_increment_mode="Fixed",
        fixed_price_increment=increment,
        value_area_calculation_mode="Greedy" if area == "Greedy" else "Traditional",
    )
    made = range_profile(known(trades, APE_DAY, 1_440), shape)
    exact: dict[int, Decimal] = defaultdict(Decimal)  # 28 digits hold sums of these quantities exactly
    bought: dict[int, Decimal] = defaultdict(Decimal)
    for trade in trades:
        index = reference_row(float(trade.price), Decimal(repr(increment)))
        exact[index] += trade.quantity
        bought[index] += 0 if trade.sold else trade.quantity
    assert made is not None
    assert made.bought is not None
    assert len(trades) == 45_342
    for index, weight, part in zip(range(min(exact), max(exact) + 1), made.weights, made.bought, strict=True):
        assert weight == pytest.approx(float(exact[index]), rel=1e-12)
        assert part == pytest.approx(float(bought[index]), rel=1e-12)
    heaviest = max(exact.values())
    poc = max(index for index, weight in exact.items() if weight == heaviest)
    assert made.poc == float(poc * Decimal(repr(increment)))
    step = 1 if area == "Greedy" else 2
    low = high = poc
    inside, total = exact[poc], sum(exact.values())
    first, last = min(exact), max(exact)
    while inside * 10 < total * 7:
        above = [exact[i] for i in range(high + 1, min(high + step, last) + 1)]
        below = [exact[i] for i in range(max(low - step, first), low)]
        if above and (not below or sum(above) > sum(below)):
            inside, high = inside + sum(above), high + len(above)
        else:
            inside, low = inside + sum(below), low - len(below)
    assert (made.val, made.vah) == tuple(float(i * Decimal(repr(increment))) for i in (low, high))
    money = sum(trade.price * trade.quantity for trade in trades)
    assert made.vwap == pytest.approx(float(money / total), rel=1e-12)


# -- footprints


@pytest.mark.parametrize("month", TRIED_MONTHS)
def test_a_footprint_of_candles_has_what_takers_bought_and_sold_in_each_bar(month: str) -> None:
    rows = real_month(month)[600:1_080]
    bars = [(int(rows["open_time"][n]), MinuteVolume(rows[n : n + 60])) for n in range(0, 480, 60)]
    for levels in (30, 120):
        found = footprint(bars, AUTO, levels)
        assert found is not None
        assert [bar.time for bar in found.bars] == [time for time, _ in bars]
        rows_taken = {bar.first + i for bar in found.bars for i in range(len(bar.bought))}
        assert levels // 5 <= max(rows_taken) - min(rows_taken) + 1 <= levels
        for bar, place in zip(found.bars, range(0, 480, 60), strict=True):
            candles = to_candles(rows[place : place + 60])
            volumes: dict[int, Fraction] = defaultdict(Fraction)
            bought: dict[int, Fraction] = defaultdict(Fraction)
            for c in candles:
                for price, share in ((c.close, 2), (c.high, 1), (c.low, 1)):
                    row = reference_row(price, Decimal(repr(found.increment)))
                    volumes[row] += Fraction(repr(c.volume)) * share / 4
                    bought[row] += Fraction(repr(c.taker_buy_volume)) * share / 4
            assert bar.first == min(volumes)
            for row, part, rest in zip(
                range(min(volumes), max(volumes) + 1), bar.bought, bar.sold, strict=True
            ):
                assert part == pytest.approx(float(bought[row]), rel=1e-9, abs=1e-9)
                assert rest == pytest.approx(float(volumes[row] - bought[row]), rel=1e-9, abs=1e-6)
            assert volumes[bar.poc] == max(volumes.values())
            assert bar.exact_share == 0


def test_a_footprint_of_known_levels_is_exact_and_bars_without_trades_are_absent() -> None:
    shown: dict[int, list[PlainTrade]] = defaultdict(list)
    for trade in ape_plain()[:4_000]:
        shown[trade.time // 900_000 * 900_000].append(trade)
    shown.popitem()  # of the last bar there are some only
    parts = [(bar, known(inside, bar, 15)) for bar, inside in sorted(shown.items())]
    found = footprint([(0, MinuteVolume(walk(0))), *parts], ProfileSettings(tick_size=0.0001), 40)
    assert found is not None
    assert len(found.bars) == len(parts)
    for bar, inside in zip(found.bars, (shown[key] for key in sorted(shown)), strict=True):
        assert bar.exact_share == 1
        assert bar.bought.sum() == pytest.approx(sum(float(t.quantity) for t in inside if not t.sold))
        assert bar.sold.sum() == pytest.approx(sum(float(t.quantity) for t in inside if t.sold))
    assert footprint([], AUTO, 40) is None


# -- sessions


@pytest.mark.parametrize(
    ("text", "session"),
    [
        ("London 08:00-16:30", Session("London", 480, 990)),
        ("New York 13:30-20:00", Session("New York", 810, 1200)),
        ("late 22:00-24:00", Session("late", 1320, 1440)),
    ],
)
def test_sessions_are_read(text: str, session: Session) -> None:
    assert parse_session(text) == session


@pytest.mark.parametrize(
    "text",
    ["London", "London 8:00-16:30", "08:00-16:30", "A 08:61-09:00", "A 08:00-24:01", "UTC 00:00-24:00", ""],
)
def test_what_is_no_session_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"session"):
        parse_session(text)


def test_a_session_may_go_past_midnight_and_the_whole_day_is_one() -> None:
    found = sessions_of(MIDNIGHT, [Session("Sydney", 22 * 60, 6 * 60), Session("all", 0, 1440)])
    assert [(span.name, span.start - MIDNIGHT, span.end - span.start) for span in found] == [
        ("UTC", 0, DAY_MS),
        ("Sydney", 22 * 60 * MINUTE_MS, 8 * 60 * MINUTE_MS),
        ("all", 0, DAY_MS),
    ]


# -- naked points of control


def naked_reference(levels: list[tuple[int, float]], rows: Rows) -> list[int | None]:
    found: list[int | None] = []
    candles = to_candles(rows)
    for day, level in levels:
        touched, price = None, Decimal(repr(level))
        for c in candles:
            if c.open_time >= day + DAY_MS and Decimal(repr(c.low)) <= price <= Decimal(repr(c.high)):
                touched = c.open_time
                break
        found.append(touched)
    return found


@pytest.mark.parametrize("month", TRIED_MONTHS)
def test_naked_levels_are_those_of_the_reference_all_at_once_and_minute_by_minute(month: str) -> None:
    rows = real_month(month)[: 10 * 1_440]
    shape = ProfileSettings(price_increment_mode="Fixed", fixed_price_increment=0.001)
    profiles = [profile_of(day, shape) for day in days_of(rows)]
    levels = [(made.day, made.poc) for made in profiles if made is not None]
    found = touched_levels(levels, rows)
    assert [level.touched_at for level in found] == naked_reference(levels, rows)
    live, watched = LiveProfile(shape), NakedLevels()
    touched = []
    for c in to_candles(rows):
        live.add(c)
        figures = live.figures()
        touched += watched.add(c, None if figures is None else figures.poc)
    assert sorted(touched, key=lambda level: level.day) == [level for level in found if level.touched_at]
    last_day = levels[-1][0]
    assert watched.levels == [
        (level.day, level.price) for level in found if level.touched_at is None and level.day < last_day
    ]


def test_a_price_that_jumps_over_a_level_does_not_touch_it_and_its_own_day_does_not_count() -> None:
    watched = NakedLevels()
    assert watched.add(candle(0, 100, 101, 99, 100), 100.0) == []
    assert watched.add(candle(1, 100, 101, 99, 100), 100.0) == []
    assert watched.add(candle(1_440, 101, 102, 100.5, 101), 101.0) == []
    assert watched.add(candle(1_441, 99, 99.5, 98, 99), 99.0) == []
    (level,) = watched.add(candle(1_442, 99, 100, 99, 99), 99.0)
    assert (level.day, level.price, level.touched_at) == (MIDNIGHT, 100.0, MIDNIGHT + 1_442 * MINUTE_MS)
    assert watched.add(candle(1_443, 99, 101, 99, 99), 99.0) == []
    assert watched.levels == []


def test_levels_do_not_grow_for_ever() -> None:
    watched = NakedLevels()
    for day in range(MOST_LEVELS + 20):
        watched.add(candle(day * 1_440, 100 + day, 100 + day, 100 + day, 100 + day), 100.0 + day)
    assert len(watched.levels) == MOST_LEVELS


# -- developing levels


@pytest.mark.parametrize("every", [1, 15])
def test_developing_levels_are_the_profiles_of_each_minute(every: int) -> None:
    rows = real_month("NEARUSDT-1m-2026-02")[: 8 * 1_440]
    day, before = rows[7 * 1_440 : 7 * 1_440 + 700], ranges_of(rows[: 7 * 1_440])
    shape = ProfileSettings(tick_size=0.001)
    found = developing(day, shape, before, every)
    ends = (day["open_time"] + MINUTE_MS)[every - 1 :: every].tolist()
    assert found.times.tolist() == ends + (
        [] if 700 % every == 0 else [int(day["open_time"][-1]) + MINUTE_MS]
    )
    for place in range(0, len(found.times), 37 if every == 1 else 5):
        count = int(np.searchsorted(day["open_time"], found.times[place]))
        made = profile_of(day[:count], shape, before)
        assert made is not None
        shown = (found.poc[place], found.vah[place], found.val[place], found.vwap[place])
        assert shown == (made.poc, made.vah, made.val, made.vwap)


def assert_same_levels(found: Developing, wanted: Developing) -> None:
    for name in Developing._fields:
        assert getattr(found, name).tobytes() == getattr(wanted, name).tobytes(), name


@settings(max_examples=examples(20), deadline=None)
@given(cuts=st.lists(st.integers(1, 699), max_size=6, unique=True), every=st.sampled_from([1, 7, 60]))
def test_levels_that_are_followed_are_those_that_are_made_at_once(cuts: list[int], every: int) -> None:
    day = walk(700)
    levels = DevelopingLevels(AUTO, (), every)
    for end in (*sorted(cuts), 700):
        rest = levels.rest(day[:end])
        assert rest is not None
        for part in levels.parts(rest):
            levels.add(part)
        assert_same_levels(levels.lines(), developing(day[:end], AUTO, (), every))
    assert levels.rest(np.delete(day, 3)) is None


def test_levels_of_trades_are_those_of_the_profiles_of_trades() -> None:
    candles, ladder = ape_candles()[:500], ladder_of(ape_plain())
    ladder = replace(
        ladder, minutes=ladder.minutes[50:]
    )  # the candles of 50 minutes are all there is of them
    ladder = replace(ladder, levels=ladder.levels[ladder.levels["minute"] >= 50])
    levels = DevelopingLevels(AUTO, (), 60)
    for end in (75, 300, 500):
        rest = levels.rest(candles[:end])
        assert rest is not None
        for part in levels.parts(rest):
            sums = sums_of(ladder, part["open_time"])
            levels.add(part, sums if len(sums.prices) else None)
        found = levels.lines()
        assert found.times.tolist() == [APE_DAY + m * MINUTE_MS for m in (*range(60, end, 60), end)]
    for place, time in enumerate(found.times.tolist()):
        part = candles[: (time - APE_DAY) // MINUTE_MS]
        made = traded_profile(part, MinuteVolume(part, (sums_of(ladder, part["open_time"]),)), AUTO)
        assert made is not None
        shown = (found.poc[place], found.vah[place], found.val[place], found.vwap[place])
        assert shown == (made.poc, made.vah, made.val, made.vwap)
        assert 0 < made.exact_share < 1


def test_developing_levels_are_nan_before_the_first_trade() -> None:
    rows = walk(3)
    rows["volume"][:2] = 0
    rows["quote_volume"][:2] = 0
    found = developing(rows, AUTO)
    assert np.isnan(found.poc).tolist() == [True, True, False]
    assert len(developing(rows[:0], AUTO).times) == 0


# -- anchored VWAP


def anchored_reference(rows: Rows, place: int) -> tuple[Decimal, Decimal]:
    with localcontext() as context:
        context.prec = 60
        volumes = [Decimal(repr(v)) for v in rows["volume"][: place + 1].tolist()]
        money = [Decimal(repr(v)) for v in rows["quote_volume"][: place + 1].tolist()]
        total = sum(volumes)
        vwap = sum(money) / total
        square = sum(v * (q / v - vwap) ** 2 for v, q in zip(volumes, money, strict=True) if v)
        return Decimal(vwap), (square / total).sqrt()


@pytest.mark.parametrize("month", TRIED_MONTHS)
def test_an_anchored_vwap_and_its_deviation_are_those_of_decimals(month: str) -> None:
    rows = real_month(month)[777 : 777 + 6_000]
    found = anchored_vwap(rows)
    live = AnchoredVwap()
    loaded = AnchoredVwap()
    for place, c in enumerate(to_candles(rows)):
        live.add(c)
        if place in (0, 1, 60, 1_439, 5_999):
            vwap, deviation = anchored_reference(rows, place)
            loaded.load(rows[: place + 1])
            for shown in (
                (found.vwap[place], found.deviation[place]),
                (live.vwap, live.deviation),
                (loaded.vwap, loaded.deviation),
            ):
                assert shown[0] == pytest.approx(float(vwap), rel=1e-12)
                assert shown[1] == pytest.approx(float(deviation), rel=1e-6, abs=1e-9 * float(vwap))


def test_before_the_first_trade_there_is_no_vwap() -> None:
    rows = walk(5)
    rows["volume"][:3] = rows["quote_volume"][:3] = 0
    found = anchored_vwap(rows)
    assert np.isnan(found.vwap).tolist() == [True, True, True, False, False]
    assert np.isnan(anchored_vwap(rows[:3]).deviation).all()
    live = AnchoredVwap()
    live.load(rows[:3])
    assert (live.vwap, live.deviation) == (None, None)
    live.add(to_candles(rows)[3])
    assert live.vwap == pytest.approx(found.vwap[3])
    assert live.deviation == 0


# -- nodes


def nodes_reference(weights: list[float], reach: int, share: float) -> tuple[list[int], list[int]]:
    """By looking at every row and every way out of it, in fractions."""
    exact = [Fraction(weight) for weight in weights]
    size = len(exact)
    smooth = []
    for i in range(size):
        part = exact[max(0, i - reach) : i + reach + 1]
        smooth.append(sum(part) / len(part))
    most = max(smooth)
    high = []
    for i in range(size):
        if i and smooth[i - 1] == smooth[i]:
            continue  # looked at from its first row
        end = i
        while end + 1 < size and smooth[end + 1] == smooth[i]:
            end += 1
        falls = []
        for way in (range(i - 1, -1, -1), range(end + 1, size)):
            lowest = smooth[i]
            for j in way:
                if smooth[j] > smooth[i]:
                    break
                lowest = min(lowest, smooth[j])
            else:
                lowest = Fraction(0)
            falls.append(smooth[i] - lowest)
        around = [smooth[j] for j in (i - 1, end + 1) if 0 <= j < size]
        if all(other < smooth[i] for other in around) and min(falls) >= Fraction(share) * most:
            high.append((i, end))
    low = []
    for (_, below), (above, _) in pairwise(high):
        between = range(below + 1, above)
        least = min(smooth[j] for j in between)
        low.append(max(j for j in between if smooth[j] == least))
    return [(i + end) // 2 for i, end in high], low


@settings(max_examples=examples(300), deadline=None)
@given(
    weights=st.lists(st.integers(0, 9), min_size=1, max_size=40).filter(any),
    reach=st.integers(0, 4),
    share=st.sampled_from([0.0625, 0.125, 0.25]),
)
@example(weights=[7, 0, 7, 4, 7, 9], reach=1, share=0.125)  # falls by that share, but for rounding
def test_nodes_are_those_of_the_reference(weights: list[int], reach: int, share: float) -> None:
    found = nodes(np.array(weights, np.float64), reach, share)
    assert (list(found.high), list(found.low)) == nodes_reference([float(w) for w in weights], reach, share)


@pytest.mark.parametrize("month", TRIED_MONTHS)
def test_nodes_of_real_days_are_those_of_the_reference(month: str) -> None:
    for day in days_of(real_month(month))[:4]:
        prices = np.unique(np.concatenate([day[name] for name in ("open", "high", "low", "close")]))
        tick = round(float(np.diff(prices).min()), 8)  # rows smaller than that would be empty in turn
        made = range_profile(MinuteVolume(day), ProfileSettings(tick_size=tick, target_price_levels=100))
        assert made is not None
        reach = max(1, round(len(made.weights) * 0.02))
        found = nodes(made.weights)
        assert (list(found.high), list(found.low)) == nodes_reference(made.weights.tolist(), reach, 0.1)
        assert 1 <= len(found.high) <= 15
        poc = round(made.poc / made.increment) - made.low_index
        assert min(abs(poc - row) for row in found.high) <= 4 * reach


def test_without_weight_there_are_no_nodes() -> None:
    assert nodes(np.zeros(5)) == ((), ())
    assert nodes(np.zeros(0)) == ((), ())
    assert nodes(np.ones(5)) == ((2,), ())
    assert math.isclose(PriceGrid(0.1).price(3), 0.3)
