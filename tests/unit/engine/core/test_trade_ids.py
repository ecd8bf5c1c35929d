"""Trade ids of live minutes: what they prove of the ends of minutes, whatever the order of frames."""

from __future__ import annotations

import pytest
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from tui_feeder.engine.core.candle import MINUTE_MS
from tui_feeder.engine.core.trade_ids import QUIET, Link, TradeIdChain, TradeIds, trade_ids

JOINED, BROKEN = Link.JOINED, Link.BROKEN


def at(minute: int) -> int:
    return 1_773_144_000_000 + minute * MINUTE_MS


@pytest.mark.parametrize(
    ("first", "last", "trades", "found"),
    [
        (5, 9, 5, TradeIds(5, 9)),
        (0, 0, 1, TradeIds(0, 0)),
        (5, 9, 4, TradeIds(5, 9)),  # an id between is hidden
        (-1, -1, 0, QUIET),
        (5, 9, 6, None),  # more trades than ids
        (9, 5, 1, None),
        (-1, -1, 3, None),  # a source that states none
        (5, 9, 0, None),
        (5, 1 << 53, 1, None),
    ],
)
def test_ids_that_make_no_sense_are_none(first: int, last: int, trades: int, found: TradeIds | None) -> None:
    assert trade_ids(first, last, trades) == found


def test_neighbours_that_join_are_proved_by_the_first_frame_of_the_next_minute() -> None:
    chain = TradeIdChain()
    assert chain.closed(at(0), TradeIds(1, 10)) == []
    assert chain.forming(at(1), TradeIds(11, 11)) is JOINED
    assert chain.forming(at(1), TradeIds(11, 15)) is None  # judged once
    assert chain.closed(at(1), TradeIds(11, 20)) == []
    assert chain.closed(at(2), TradeIds(21, 30)) == [(at(1), JOINED)]  # no forming frame came


def test_a_closing_frame_that_was_not_the_last_state_is_found() -> None:
    chain = TradeIdChain()
    chain.closed(at(0), TradeIds(1, 10))
    assert chain.forming(at(1), TradeIds(13, 13)) is BROKEN
    # Also where the close comes after the next minute has begun.
    chain.forming(at(2), TradeIds(21, 21))
    assert chain.closed(at(1), TradeIds(13, 18)) == [(at(1), BROKEN)]
    assert chain.closed(at(2), TradeIds(21, 25)) == []


def test_a_first_trade_that_changes_is_judged_again() -> None:
    chain = TradeIdChain()
    chain.closed(at(0), TradeIds(1, 10))
    assert chain.forming(at(1), TradeIds(11, 12)) is JOINED
    assert chain.closed(at(1), TradeIds(12, 20)) == [(at(0), BROKEN)]


def test_quiet_minutes_keep_the_chain_where_they_are_pushed() -> None:
    chain = TradeIdChain()
    chain.closed(at(0), TradeIds(1, 10))
    assert chain.forming(at(1), QUIET) is None
    assert chain.closed(at(1), QUIET) == []
    assert chain.closed(at(2), TradeIds(11, 12)) == [(at(1), JOINED)]
    chain.closed(at(5), QUIET)  # of minutes 3 and 4 nothing is known
    assert chain.closed(at(6), TradeIds(40, 41)) == []


def test_minutes_that_were_not_seen_prove_nothing_and_break_nothing() -> None:
    chain = TradeIdChain()
    chain.closed(at(0), TradeIds(1, 10))
    assert chain.forming(at(3), TradeIds(50, 51)) is None
    assert chain.closed(at(3), TradeIds(50, 60)) == []
    # Where nothing was traded in them the ids say so.
    assert chain.closed(at(6), TradeIds(61, 62)) == [(at(3), JOINED)]


def test_frames_that_come_again_or_late_change_nothing() -> None:
    chain = TradeIdChain()
    chain.closed(at(1), TradeIds(11, 20))
    assert chain.closed(at(1), TradeIds(11, 18)) == []
    assert chain.closed(at(0), TradeIds(1, 9)) == []
    assert chain.closed(at(2), TradeIds(21, 22)) == [(at(1), JOINED)]


@given(
    st.lists(st.integers(0, 4), min_size=2, max_size=30),
    st.lists(st.integers(0, 3), max_size=12),
    st.randoms(use_true_random=False),
)
@settings(max_examples=examples(300))
def test_a_stream_that_loses_doubles_and_delays_frames_never_breaks(
    counts: list[int], lost: list[int], dice: st.DrawFn
) -> None:
    frames: list[tuple[int, TradeIds, bool]] = []
    following = 100
    for minute, trades in enumerate(counts):
        ids = TradeIds(following, following + trades - 1) if trades else QUIET
        following += trades
        if trades:
            frames.append((minute, TradeIds(ids.first, ids.first), False))
        if trades or minute % 2:  # one market pushes them, another does not
            frames.append((minute, ids, True))
    for gone in lost:
        if frames:
            frames.pop(gone * 7 % len(frames))
    for place in range(len(frames) - 1):
        if dice.random() < 0.2:
            frames[place], frames[place + 1] = frames[place + 1], frames[place]
        if dice.random() < 0.2:
            frames.insert(place, frames[place])
    chain = TradeIdChain()
    for minute, ids, closed in frames:
        links = (
            [link for _, link in chain.closed(at(minute), ids)]
            if closed
            else [chain.forming(at(minute), ids)]
        )
        assert BROKEN not in links
