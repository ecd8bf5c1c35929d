"""The list of open gaps: what it takes in, in which order, at which cost. No exchange."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from types import FrameType, SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tui_feeder.engine.acquisition.recovery import Gap, Recovery
from tui_feeder.engine.core.candle import MINUTE_MS
from tui_feeder.engine.core.clock import ExchangeClock
from tui_feeder.engine.core.coverage import EMPTY, Coverage, span
from tui_feeder.engine.core.journal import Journal
from tui_feeder.engine.exchanges.binance.usdm import USDM
from tui_feeder.engine.storage.store import Unavailable

#: Ten years before the clock's now: nothing is due to be tried by itself.
THEN = 1_400_000_000_000 // MINUTE_MS * MINUTE_MS


class Never:
    """A history that never ends reading."""

    async def fill(self, *_: Any, **__: Any) -> None:  # noqa: ANN401
        await asyncio.Event().wait()


@contextlib.asynccontextmanager
async def recovering(*unavailable: Unavailable, present: Coverage = EMPTY) -> AsyncIterator[Recovery]:
    clock = ExchangeClock()
    queue = SimpleNamespace(next=clock.now() // MINUTE_MS * MINUTE_MS, skipped=EMPTY, opened=0)
    ingest = SimpleNamespace(queue=lambda _: queue, is_blocked=lambda _: False, advance=lambda _: None)
    exchange = SimpleNamespace(clock=clock, facts=lambda _: USDM.facts)
    store = SimpleNamespace(settled=lambda _: present, unavailable=lambda _: unavailable)

    async def rebuild(symbol: str, since: int) -> None:
        raise AssertionError

    made = Recovery(
        Never(), store, ingest, Journal(clock.now), exchange, deadline_seconds=20, rebuild=rebuild
    )  # fmt: skip
    try:
        yield made
    finally:
        await made.stop()


def spans(gaps: list[Gap]) -> list[tuple[int, int]]:
    return [((gap.start - THEN) // MINUTE_MS, (gap.end - THEN) // MINUTE_MS) for gap in gaps]


def at(minute: int) -> int:
    return THEN + minute * MINUTE_MS


asked = st.lists(st.tuples(st.integers(0, 40), st.integers(1, 6)), max_size=25)


@given(asked)
def test_gaps_are_sorted_disjoint_and_exactly_what_was_asked_for(needs: list[tuple[int, int]]) -> None:
    async def ask() -> list[Gap]:
        async with recovering() as recovery:
            for start, many in needs:
                recovery.request("X", at(start), at(start + many), "test")
            return recovery.open_gaps()

    gaps = asyncio.run(ask())
    covered = [minute for a, b in spans(gaps) for minute in range(a, b)]
    assert covered == sorted({minute for start, many in needs for minute in range(start, start + many)})
    assert all(gap.missing == (gap.end - gap.start) // MINUTE_MS for gap in gaps)


@given(asked, asked)
def test_what_is_known_to_be_unavailable_is_taken_up_beside_open_gaps_and_changes_none(
    live: list[tuple[int, int]], known: list[tuple[int, int]]
) -> None:
    ranges = Coverage((at(a), at(a + n)) for a, n in known)
    records = [Unavailable(a, b, f"reason of {a}", 9, at(10**9)) for a, b in ranges]

    async def run() -> tuple[list[Gap], dict[int, tuple[object, ...]], dict[int, tuple[object, ...]]]:
        async with recovering(*records) as recovery:
            for start, many in live:
                recovery.request("X", at(start), at(start + many), "live")
            before = {id(gap): (gap.start, gap.end, gap.state, gap.tries) for gap in recovery.open_gaps()}
            recovery.resume("X")
            recovery.resume("X")  # a second startup of the symbol
            gaps = recovery.open_gaps()
            return gaps, before, {id(g): (g.start, g.end, g.state, g.tries) for g in gaps}

    gaps, before, after = asyncio.run(run())
    assert {key: after[key] for key in before} == before
    taken = [gap for gap in gaps if id(gap) not in before]
    wanted = ranges.subtract(Coverage((at(a), at(a + n)) for a, n in live))
    assert Coverage((gap.start, gap.end) for gap in taken) == wanted
    assert sum(gap.missing for gap in taken) == wanted.minutes
    for gap in taken:
        (record,) = [one for one in records if one.start <= gap.start and gap.end <= one.end]
        assert (gap.state, gap.tries, gap.given_up) == ("unavailable", 9, True)
        assert (gap.reason, gap.next_try) == (record.reason, record.next_try)


async def test_of_what_is_unavailable_only_what_is_still_missing_is_taken_up() -> None:
    stored = span(at(3), at(5))
    async with recovering(
        Unavailable(at(0), at(10), "none has it", 4, at(10**9)), present=stored
    ) as recovery:
        recovery.resume("X")
        assert spans(recovery.open_gaps()) == [(0, 3), (5, 10)]


def calls_of(gaps: int) -> int:
    """Python calls that as many single-minute gaps take to be taken in, the newest first."""
    counted = 0

    def count(_frame: FrameType, event: str, _arg: object) -> None:
        nonlocal counted
        counted += event == "call"

    async def ask() -> None:
        async with recovering() as recovery:
            sys.setprofile(count)
            for k in range(gaps):
                recovery.request("X", at(2 * (gaps - k)), at(2 * (gaps - k) + 1), "test")
            sys.setprofile(None)

    asyncio.run(ask())
    return counted


def test_a_gap_costs_the_same_however_many_are_open() -> None:
    assert calls_of(800) < 6 * calls_of(200)  # fourfold, where each costs the same; sixteenfold else
