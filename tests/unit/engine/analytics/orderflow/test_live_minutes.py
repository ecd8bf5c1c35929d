"""Trades as they come: in any order, twice, with holes; their minutes and what is missing of them."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from trade_samples import APE_DAY, ape_ladder, ape_plain

from tui_feeder.engine.analytics.orderflow.ladder import LadderBuilder
from tui_feeder.engine.analytics.orderflow.live_minutes import KnownIds, LiveMinutes, MissingIds
from tui_feeder.engine.core.candle import MINUTE_MS
from tui_feeder.engine.core.trades import TradeRow, Trades, of_rows

START = APE_DAY + 600 * MINUTE_MS


def rows_of(first: int, minutes: int) -> list[TradeRow]:
    begin, end = START + first * MINUTE_MS, START + (first + minutes) * MINUTE_MS
    return [
        (t.id, float(t.price), float(t.quantity), t.count, t.time, t.sold)
        for t in ape_plain() if begin <= t.time < end
    ]  # fmt: skip


def trades_of(rows: list[TradeRow]) -> Trades:
    made, refused = of_rows(rows)
    assert refused == 0
    return made


@given(st.data())
def test_whatever_way_they_come_the_ladder_is_that_of_the_day(data: st.DataObject) -> None:
    rows = rows_of(0, 3)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=6)))
    parts = [rows[a:b] for a, b in zip([0, *cuts], [*cuts, len(rows)], strict=True)]
    parts += data.draw(st.lists(st.sampled_from(parts), max_size=3))
    live = LiveMinutes()
    for part in data.draw(st.permutations(parts)):
        if part:
            live.add(trades_of(data.draw(st.permutations(part)) if len(part) < 8 else part[::-1]))
    whole = ape_ladder()
    for minute in range(600, 603):
        made = live.ladder(APE_DAY + minute * MINUTE_MS)
        wanted = whole.of_minutes(whole.minutes["minute"] == minute)
        assert made is not None
        assert made.prices().tolist() == wanted.prices().tolist()
        for name in ("bought", "sold"):
            found = made.quantities(made.levels[name])
            assert np.array_equal(found, wanted.quantities(wanted.levels[name]))
        assert np.array_equal(made.levels["trades"], wanted.levels["trades"])
        for name in ("first_id", "last_id", "missing", "trades"):
            assert made.minutes[name][0] == wanted.minutes[name][0]
    assert live.missing() == []
    assert [live.proved(START + at * MINUTE_MS) for at in range(3)] == [False, True, False]


def test_missing_ids_are_between_the_trades_on_both_sides() -> None:
    rows = rows_of(0, 4)
    cut = [row for row in rows if row[4] < START + 30_000 or row[4] >= START + 2 * MINUTE_MS + 30_000]
    before = [row for row in cut if row[4] < START + MINUTE_MS]
    after = [row for row in cut if row[4] >= START + 2 * MINUTE_MS]
    live = LiveMinutes([KnownIds(rows[0][0] - 1, rows[0][0] - 1, START - MINUTE_MS)])
    live.add(trades_of(cut))
    hole = MissingIds(before[-1][0] + 1, after[0][0] - 1, START, START + 2 * MINUTE_MS)
    assert live.missing() == [hole]
    assert [live.proved(START + at * MINUTE_MS) for at in range(4)] == [False, False, False, False]
    assert live.ladder(START + MINUTE_MS) is None
    found = live.ladder(START + 2 * MINUTE_MS)
    assert found is not None
    assert found.minutes["missing"].tolist() == [hole.last - hole.first + 1]
    live.add(trades_of([row for row in rows if hole.first <= row[0] <= hole.last]))
    assert live.missing() == []
    assert [live.proved(START + at * MINUTE_MS) for at in range(4)] == [True, True, True, False]
    found = live.ladder(START + 2 * MINUTE_MS)
    assert found is not None
    assert found.minutes["missing"].tolist() == [0]


def test_what_is_forgotten_leaves_its_newest_id() -> None:
    rows = rows_of(0, 3)
    live = LiveMinutes()
    live.add(trades_of(rows_of(0, 2)))
    assert live.followed(START)
    assert not live.followed(START + MINUTE_MS)
    live.forget(START + 2 * MINUTE_MS)
    assert (live.minutes, live.trades) == ([], 0)
    last = rows_of(2, 1)
    live.add(trades_of(last[3:]))
    ids = [row[0] for row in rows_of(0, 2)]
    assert live.missing() == [
        MissingIds(max(ids) + 1, last[3][0] - 1, START + MINUTE_MS, START + 2 * MINUTE_MS)
    ]
    live.drop(START + 2 * MINUTE_MS)
    assert (live.minutes, live.trades, live.missing()) == ([], 0, [])
    assert rows[0][0] == ids[0]


def test_minutes_known_from_before_lack_nothing_and_those_between_them_do() -> None:
    rows = [rows_of(at, 1) for at in range(5)]
    ids = [[row[0] for row in minute] for minute in rows]
    known = [KnownIds(ids[at][0], ids[at][-1], START + at * MINUTE_MS) for at in (0, 2)]
    live = LiveMinutes(known)
    live.add(trades_of(rows[4]))
    holes = [
        MissingIds(ids[at][0], ids[at][-1], START + (at - 1) * MINUTE_MS, START + (at + 1) * MINUTE_MS)
        for at in (1, 3)
    ]
    assert live.missing() == holes
    live.add(trades_of(rows[1] + rows[2][:2]))  # a page ends where it will
    assert live.missing() == holes[1:]
    assert live.proved(START + MINUTE_MS)
    live.forget(START + 3 * MINUTE_MS)
    assert live.missing() == holes[1:]
    live.add(trades_of(rows[3]))
    assert live.missing() == []


def test_a_trade_beyond_the_minute_closes_no_hole_of_ids() -> None:
    """The last trade of a minute may bear a time of the next one: both are proved all the same."""
    rows = rows_of(0, 3)
    last = max(at for at, row in enumerate(rows) if row[4] < START + MINUTE_MS)
    rows[last] = (*rows[last][:4], START + MINUTE_MS + 3, rows[last][5])
    live = LiveMinutes([KnownIds(rows[0][0] - 1, rows[0][0] - 1, START - MINUTE_MS)])
    live.add(trades_of(rows))
    assert live.proved(START)
    assert live.proved(START + MINUTE_MS)
    made = live.ladder(START + MINUTE_MS)
    assert made is not None
    assert made.minutes["missing"].tolist() == [0]


def test_zero_trades_count_for_nothing_but_their_ids() -> None:
    live = LiveMinutes()
    live.add(trades_of([(7, 0.0, 0.0, 0, START + 5, False)]))
    assert live.ladder(START) is None
    live.add(trades_of([(6, 1.5, 2.0, 1, START, True), (8, 1.5, 1.0, 1, START + 9, False)]))
    made = live.ladder(START)
    assert made is not None
    assert (made.minutes["missing"].tolist(), made.zeros) == ([0], 1)
    assert LadderBuilder(APE_DAY).ladder().minutes.tolist() == []
