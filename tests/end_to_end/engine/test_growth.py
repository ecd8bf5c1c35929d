"""Nothing grows with uptime: what comes and goes leaves nothing behind, and what is kept has a bound."""

from __future__ import annotations

import asyncio
import contextlib
import tracemalloc
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from feed import until
from holding import BTC, ETH, all_live, exchange_of, feed_of
from hypothesis import given
from hypothesis import strategies as st
from virtual_time import in_virtual_time

from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, ROW, Rows, Source
from tui_feeder.engine.core.coverage import EMPTY, Coverage, span
from tui_feeder.engine.core.journal import Journal
from tui_feeder.engine.core.supervisor import Supervisor
from tui_feeder.engine.core.zero_volume import SharedZeros
from tui_feeder.engine.derived import revisions
from tui_feeder.engine.derived.revisions import Revisions
from tui_feeder.engine.storage import records, store_write
from tui_feeder.engine.storage.store import Store


async def test_a_part_that_has_ended_well_leaves_nothing_behind() -> None:
    parts = Supervisor(Journal(lambda: 0))
    done = 0

    async def repair() -> None:
        nonlocal done
        done += 1

    for n in range(1_000):
        parts.start(f"repair X {n}", repair, restart=False)
    await until(lambda: done == 1_000)
    await until(lambda: not parts.states)
    assert not parts._parts


async def test_a_part_that_was_started_anew_is_not_taken_for_the_one_before() -> None:
    parts = Supervisor(Journal(lambda: 0))
    go, ended = asyncio.Event(), asyncio.Event()

    async def before() -> None:
        await go.wait()
        ended.set()

    async def after() -> None:
        await asyncio.Event().wait()

    parts.start("history X", before)
    await asyncio.sleep(0)
    parts.start("history X", after)
    go.set()
    await until(ended.is_set)
    await until(lambda: parts.states == {"history X": "running"})
    assert parts.alive("history X")
    parts.cancel("history X")
    assert not parts.states
    assert not parts.alive("history X")


async def test_a_part_that_failed_is_shown_until_it_is_let_go() -> None:
    parts = Supervisor(Journal(lambda: 0))

    async def part() -> None:
        raise ValueError("no")

    for _ in range(3):
        parts.start("repair X", part, restart=False)
        await until(lambda: parts.states == {"repair X": "failed"})
    parts.cancel("repair X")
    assert not parts.states


@in_virtual_time
async def test_minutes_that_come_late_are_one_part_of_their_symbol_and_leave_none(tmp_path: Path) -> None:
    async with exchange_of([BTC, ETH]) as exchange, feed_of(exchange, tmp_path) as feed:
        await until(lambda: all_live(feed))
        await feed.minutes(2)
        engine = feed.engine
        before = set(engine.supervisor.states)
        last = engine.tracked[BTC].last
        assert last is not None
        built = feed.counted("pipelines_rebuilt")
        for _ in range(200):
            engine.late_minute(BTC, last, Source.STREAM)  # the store knows it: it has nothing to correct
        assert {name for name in engine.supervisor.states if name not in before} == {f"repair {BTC}"}
        await until(lambda: feed.counted("pipelines_rebuilt") > built)
        await until(lambda: not engine.supervisor.alive(f"repair {BTC}"))
        assert set(engine.supervisor.states) == before
        assert feed.counted("pipelines_rebuilt") - built <= 2, "all that wait are repaired in one go"
        engine.subscriptions.drop(ETH)
        await until(lambda: ETH not in engine.tracked)
        await feed.minutes(1, BTC)
        for held in (
            engine.ingest.queues,
            engine.recovery._gaps,
            engine.recovery._wake,
            engine.repairs.waiting,
            engine.checkpoints._provenances,
            engine.profiles._days,
        ):
            assert ETH not in held
        assert not [name for name in engine.supervisor.states if ETH in name]
        await feed.holds()


def day_rows(start: int, minutes: int, zero: Sequence[int]) -> Rows:
    rows = np.zeros(minutes, dtype=ROW)
    rows["open_time"] = start + np.arange(minutes) * MINUTE_MS
    rows["volume"] = 1.0
    rows["volume"][[at for at in zero if at < minutes]] = 0.0
    return rows


_LATE = 20_000 * DAY_MS + DAY_MS - 20 * MINUTE_MS  # so that rows of 40 minutes cross a midnight
_books = st.lists(
    st.tuples(st.integers(0, 10), st.integers(1, 40), st.sets(st.integers(0, 39), max_size=40)), max_size=7
)


@given(_books)
def test_minutes_without_trades_in_most_symbols_are_found_as_by_hand(
    books: list[tuple[int, int, set[int]]],
) -> None:
    shared = SharedZeros()
    read: Counter[int] = Counter()
    silent: Counter[int] = Counter()
    for first, minutes, zero in books:
        start = _LATE + first * MINUTE_MS
        shared.add(day_rows(start, minutes, sorted(zero)))
        read.update(start + at * MINUTE_MS for at in range(minutes))
        silent.update(start + at * MINUTE_MS for at in zero if at < minutes)
    found = sorted(at for at, many in silent.items() if read[at] >= 3 and 2 * many > read[at])
    assert shared.minutes() == Coverage((at, at + MINUTE_MS) for at in found)


def test_years_of_a_symbol_that_trades_every_second_minute_are_a_few_megabytes() -> None:
    tracemalloc.start()
    try:
        shared = SharedZeros()
        for month in range(36):
            start = (20_000 + 30 * month) * DAY_MS
            shared.add(day_rows(start, 43_200, range(0, 43_200, 2)))
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert held < 5 << 20


def test_certified_minutes_have_a_bound_and_the_longest_of_them_are_kept(tmp_path: Path) -> None:
    """Minutes closed by the stream lie between those closed by REST, for as long as the feeder runs."""
    start, bound = 20_000 * DAY_MS, store_write._CERTIFIED_INTERVALS
    read = span(start, start + DAY_MS)
    alternating = start + 2 * DAY_MS + 2 * MINUTE_MS * np.arange(3 * bound)
    with contextlib.closing(Store(tmp_path, exchange="a test")) as store:
        store.put(BTC, day_rows(start, 1_440, []), Source.REST, certify=read).result()
        for day in np.unique(alternating // DAY_MS):
            rows = day_rows(start, 1, []).repeat(int((alternating // DAY_MS == day).sum()))
            rows["open_time"] = alternating[alternating // DAY_MS == day]
            every = Coverage.of_times(rows["open_time"])
            store.put(BTC, rows, Source.REST, certify=every).result()
            assert len(store.certified(BTC)) <= bound
        certified = store.certified(BTC)
        assert not read.subtract(certified)
        assert not certified.subtract(store.present(BTC))
        newest = [(int(at), int(at) + MINUTE_MS) for at in alternating[-(bound - 1) :]]
        assert certified == Coverage([(read.start, read.end), *newest])
        store.put(BTC, day_rows(start + 2 * DAY_MS, 1_440, []), Source.REST, certify=EMPTY).result()
        assert len(store.certified(BTC)) == bound
    with contextlib.closing(Store(tmp_path, read_only=True)) as store:
        assert store.certified(BTC) == certified


sets = st.sets(st.integers(0, 200), max_size=80).map(
    lambda minutes: Coverage((m * MINUTE_MS, (m + 1) * MINUTE_MS) for m in minutes)
)


@given(sets, st.integers(1, 20))
def test_a_set_made_coarse_has_its_shortest_holes_filled(minutes: Coverage, most: int) -> None:
    longest = minutes.longest(most)
    assert not longest.subtract(minutes)
    lengths = sorted((end - start for start, end in minutes), reverse=True)
    assert sorted((end - start for start, end in longest), reverse=True) == lengths[:most]
    coarse = minutes.coarse(most)
    assert len(coarse) <= max(most, min(len(minutes), most))
    assert not minutes.subtract(coarse)
    if not minutes:
        assert coarse == EMPTY
        return
    assert (coarse.start, coarse.end) == (minutes.start, minutes.end)
    left = [high - low for low, high in span(minutes.start, minutes.end).subtract(coarse)]
    filled = [high - low for low, high in coarse.subtract(minutes)]
    assert not filled or not left or max(filled) <= min(left)
    assert len(coarse) == min(len(minutes), most)


def test_years_of_corrections_stay_a_small_note_and_numbers_always_rise() -> None:
    made = Revisions(0)
    for n in range(5_000):  # every few hours a minute, for years
        minute = n * 240 * MINUTE_MS
        before = made.of(minute)
        made.correct(span(minute, minute + MINUTE_MS))
        assert made.of(minute) == before + 1
    early = 17 * 240 * MINUTE_MS
    before = made.of(early)
    made.correct(span(early, early + MINUTE_MS))
    assert made.of(early) == before + 1
    assert len(made.encode()) < 32_000
    assert Revisions.decode(made.encode()).of(early) == before + 1
    assert revisions._MOST_INTERVALS < 5_000


def test_of_candles_refused_for_ever_the_newest_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "_REFUSED_KEPT", 50)
    for opened in range(2):  # how many there are is counted anew
        store = Store(tmp_path, exchange="x")
        try:
            for n in range(200 * opened, 200 * opened + 200):
                store.quarantine(BTC, n * MINUTE_MS, Source.STREAM, b"{}")
            store.quarantine(ETH, 0, Source.REST, b"{}").result()
            kept = [one.open_time // MINUTE_MS for one in store.quarantined(BTC)]
            assert 40 <= len(kept) <= 50
            assert kept == list(range(200 * opened + 200 - len(kept), 200 * opened + 200))
            assert len(store.quarantined(ETH)) == 1
        finally:
            store.close()
